//! C's types as glibc lays them out, and what differs between CPUs.
//!
//! Times are 64 bits wide on every CPU: a 32-bit `time_t` ends in 2038. On 32-bit CPUs these are what glibc's
//! headers declare under `_TIME_BITS=64`, and the table calls the functions that take them
//! (`__nanosleep64` and its like, since glibc 2.34).

use core::ffi::{c_int, c_long, c_short, c_uint, c_ulong, c_void};

/// `EDEADLOCK` is another name of `EDEADLK`, but on PowerPC a number of its own.
pub(crate) const EDEADLOCK_NUMBER: c_int = if cfg!(target_arch = "powerpc64") { 58 } else { 35 };
/// PowerPC's `asm/mman.h` has its own.
pub(crate) const MAP_NORESERVE_BIT: c_int = if cfg!(target_arch = "powerpc64") { 0x40 } else { 0x4000 };

/// Bytes of a `pthread_attr_t`.
const THREAD_ATTR: usize = if cfg!(target_pointer_width = "32") {
    36
} else if cfg!(target_arch = "aarch64") {
    64
} else {
    56
};

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, less than 1 000 000 000.
    pub nsec: c_long,
    /// glibc's padding, on CPUs whose 32-bit words lie least significant byte first, as all of ours do.
    #[cfg(target_pointer_width = "32")]
    pub _reserved: u32,
}

impl Timespec {
    /// So many nanoseconds.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self {
            sec: (nanos / 1_000_000_000) as i64,
            nsec: (nanos % 1_000_000_000) as c_long,
            #[cfg(target_pointer_width = "32")]
            _reserved: 0,
        }
    }

    /// In nanoseconds, of a time that is not negative; wraps after 584 years.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn as_nanos(self) -> u64 {
        (self.sec as u64).wrapping_mul(1_000_000_000).wrapping_add(self.nsec as u64)
    }
}

/// `struct itimerspec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Itimerspec {
    /// From one expiry to the next; zero: expires once.
    pub interval: Timespec,
    /// To the first expiry; zero: disarmed.
    pub value: Timespec,
}

/// `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeval {
    /// Seconds.
    pub sec: i64,
    /// Microseconds, less than 1 000 000.
    pub usec: i64,
}

/// `struct itimerval`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Itimerval {
    /// From one expiry to the next; zero: expires once.
    pub interval: Timeval,
    /// To the first expiry; zero: disarmed.
    pub value: Timeval,
}

/// Words of a `sigset_t`, which has 1024 bits.
const SIGNAL_WORDS: usize = 1024 / usize::BITS as usize;

/// `sigset_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigSet {
    words: [usize; SIGNAL_WORDS],
}

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self { words: [0; SIGNAL_WORDS] };
    /// Every signal. libc leaves out those that it needs itself.
    pub const FULL: Self = Self { words: [usize::MAX; SIGNAL_WORDS] };

    /// The word and the bit of a signal, from 1 on.
    const fn place(signal: c_int) -> (usize, usize) {
        let at = (signal - 1) as usize;
        (at / usize::BITS as usize, 1 << (at % usize::BITS as usize))
    }

    /// The same set with `signal` in it.
    ///
    /// Runs on any stack; safe in a signal handler.
    #[must_use]
    pub const fn with(mut self, signal: c_int) -> Self {
        let (word, bit) = Self::place(signal);
        self.words[word] |= bit;
        self
    }

    /// Whether `signal` is in it.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn has(&self, signal: c_int) -> bool {
        let (word, bit) = Self::place(signal);
        self.words[word] & bit != 0
    }
}

/// How many words of a [`SigSet`] Linux knows: 64 signals.
const KNOWN_WORDS: usize = 64 / usize::BITS as usize;

impl SigSet {
    /// The signals 1 to 64, from the lowest bit.
    pub(crate) fn bits(&self) -> u64 {
        self.words[..KNOWN_WORDS].iter().rev().fold(0, |bits, &word| bits << (usize::BITS % 64) | word as u64)
    }

    /// The set of which those are the bits.
    pub(crate) fn of_bits(bits: u64) -> Self {
        let mut set = Self::EMPTY;
        for (i, word) in set.words[..KNOWN_WORDS].iter_mut().enumerate() {
            *word = (bits >> (i as u32 * usize::BITS)) as usize;
        }
        set
    }
}

/// `struct sigaction`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SigAction {
    /// [`SIG_DFL`](crate::SIG_DFL), [`SIG_IGN`](crate::SIG_IGN) or the handler's address: a function of the
    /// signal, and with [`SA_SIGINFO`](crate::SA_SIGINFO) of a `siginfo_t` and a `ucontext_t` too.
    pub handler: usize,
    /// glibc's own order on this CPU.
    #[cfg(target_arch = "s390x")]
    pub _reserved: c_int,
    /// `SA_` bits.
    #[cfg(target_arch = "s390x")]
    pub flags: c_int,
    /// libc's affair.
    #[cfg(target_arch = "s390x")]
    pub restorer: usize,
    /// Signals that are blocked while the handler runs, beside its own.
    pub mask: SigSet,
    /// `SA_` bits.
    #[cfg(not(target_arch = "s390x"))]
    pub flags: c_int,
    /// libc's affair.
    #[cfg(not(target_arch = "s390x"))]
    pub restorer: usize,
}

impl SigAction {
    /// An action.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn new(handler: usize, flags: c_int, mask: SigSet) -> Self {
        Self {
            handler,
            #[cfg(target_arch = "s390x")]
            _reserved: 0,
            flags,
            restorer: 0,
            mask,
        }
    }
}

/// `stack_t`: where signal handlers run that ask for it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SigStack {
    /// Lowest address.
    pub limit: *mut c_void,
    /// `SS_` bits.
    pub flags: c_int,
    /// In bytes.
    pub size: usize,
}

impl SigStack {
    /// None.
    pub const DISABLED: Self = Self { limit: core::ptr::null_mut(), flags: crate::SS_DISABLE, size: 0 };
}

/// Words of a `struct sigevent` behind the fields that have a name here; it has 64 bytes.
const EVENT_REST: usize = (64 - size_of::<usize>() - 3 * size_of::<c_int>()) / size_of::<c_int>();

/// `struct sigevent`: what happens when a timer expires.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SigEvent {
    /// For the handler, in its `siginfo_t`.
    pub value: usize,
    /// The signal.
    pub signal: c_int,
    /// [`SIGEV_SIGNAL`](crate::SIGEV_SIGNAL), [`SIGEV_NONE`](crate::SIGEV_NONE) or
    /// [`SIGEV_THREAD_ID`](crate::SIGEV_THREAD_ID).
    pub notify: c_int,
    /// The thread, by the kernel's number, for `SIGEV_THREAD_ID`.
    pub thread: c_int,
    /// Room for what else libc knows.
    pub _reserved: [c_int; EVENT_REST],
}

impl SigEvent {
    /// Sends `signal` to the process.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn signal(signal: c_int) -> Self {
        Self { value: 0, signal, notify: crate::SIGEV_SIGNAL, thread: 0, _reserved: [0; EVENT_REST] }
    }
}

/// `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollFd {
    /// The descriptor; a negative one is passed over.
    pub fd: c_int,
    /// What is waited for, `POLL` bits.
    pub events: c_short,
    /// What has come, `POLL` bits.
    pub revents: c_short,
}

/// `pthread_attr_t`: libc's own, by address only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ThreadAttr {
    words: [usize; THREAD_ATTR / size_of::<usize>()],
}

impl ThreadAttr {
    /// Memory for libc to initialise.
    pub const ZERO: Self = Self { words: [0; THREAD_ATTR / size_of::<usize>()] };
}

/// `pthread_t`.
pub type ThreadId = c_ulong;
/// `pthread_key_t`.
pub type ThreadKey = c_uint;
/// `timer_t`.
pub type TimerId = *mut c_void;
/// What a thread runs.
pub type StartFn = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

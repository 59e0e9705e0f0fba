//! The part of Linux and its C library that this crate calls itself.

use core::ffi::{c_int, c_long, c_uint, c_ulong, c_void};

pub(crate) const EAGAIN: c_int = 11;
pub(crate) const ENOMEM: c_int = 12;
pub(crate) const EFAULT: c_int = 14;
pub(crate) const EINVAL: c_int = 22;
pub(crate) const EPERM: c_int = 1;

pub(crate) const PROT_NONE: c_int = 0;
pub(crate) const PROT_READ: c_int = 1;
pub(crate) const PROT_WRITE: c_int = 2;
pub(crate) const MAP_PRIVATE: c_int = 2;
pub(crate) const MAP_ANONYMOUS: c_int = 0x20;
pub(crate) const MADV_DONTNEED: c_int = 4;
pub(crate) const MADV_NOHUGEPAGE: c_int = 15;
/// Linux 6.13.
pub(crate) const MADV_GUARD_INSTALL: c_int = 102;

pub(crate) const AT_PAGESZ: c_ulong = 6;
pub(crate) const AT_MINSIGSTKSZ: c_ulong = 51;

pub(crate) const SIGBUS: c_int = 7;
pub(crate) const SIGSEGV: c_int = 11;
pub(crate) const SIG_DFL: usize = 0;
pub(crate) const SIG_IGN: usize = 1;
pub(crate) const SIG_BLOCK: c_int = 0;
pub(crate) const SIG_UNBLOCK: c_int = 1;
pub(crate) const SIG_SETMASK: c_int = 2;
pub(crate) const SA_SIGINFO: c_int = 4;
pub(crate) const SA_ONSTACK: c_int = 0x0800_0000;
pub(crate) const SA_NODEFER: c_int = 0x4000_0000;
pub(crate) const SA_RESETHAND: c_int = i32::MIN;
pub(crate) const SS_DISABLE: c_int = 2;

pub(crate) const PTHREAD_CREATE_DETACHED: c_int = 1;

pub(crate) const FUTEX_WAIT_PRIVATE: c_long = 128;
pub(crate) const FUTEX_WAKE_PRIVATE: c_long = 129;

// What Linux numbers differently on each CPU.
cfg_if::cfg_if! {
    if #[cfg(target_arch = "powerpc64")] {
        pub(crate) const MAP_NORESERVE: c_int = 0x40;
    } else {
        pub(crate) const MAP_NORESERVE: c_int = 0x4000;
    }
}
cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        pub(crate) const SYS_GETTID: c_long = 186;
        pub(crate) const SYS_FUTEX: c_long = 202;
    } else if #[cfg(any(target_arch = "x86", target_arch = "arm"))] {
        pub(crate) const SYS_GETTID: c_long = 224;
        pub(crate) const SYS_FUTEX: c_long = 240;
    } else if #[cfg(target_arch = "aarch64")] {
        pub(crate) const SYS_GETTID: c_long = 178;
        pub(crate) const SYS_FUTEX: c_long = 98;
    } else if #[cfg(target_arch = "powerpc64")] {
        pub(crate) const SYS_GETTID: c_long = 207;
        pub(crate) const SYS_FUTEX: c_long = 221;
    } else {
        pub(crate) const SYS_GETTID: c_long = 236;
        pub(crate) const SYS_FUTEX: c_long = 238;
    }
}

/// `sigset_t`, which has 1024 bits, of which Linux knows 64.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct SigSet {
    pub words: [c_ulong; 1024 / c_ulong::BITS as usize],
}

/// How many words of a [`SigSet`] Linux knows.
const WORDS: usize = 64 / c_ulong::BITS as usize;

impl SigSet {
    pub(crate) const NONE: Self = Self { words: [0; 1024 / c_ulong::BITS as usize] };
    pub(crate) const ALL: Self = Self { words: [c_ulong::MAX; 1024 / c_ulong::BITS as usize] };

    /// The signal alone.
    pub(crate) fn one(signal: c_int) -> Self {
        let bit = signal as usize - 1;
        let mut set = Self::NONE;
        set.words[bit / c_ulong::BITS as usize] |= 1 << (bit % c_ulong::BITS as usize);
        set
    }

    /// The signals 1 to 64, from the lowest bit.
    #[allow(clippy::unnecessary_cast, reason = "a long is no u64 everywhere")]
    pub(crate) fn bits(&self) -> u64 {
        self.words[..WORDS].iter().rev().fold(0, |bits, &word| bits << (c_ulong::BITS % 64) | word as u64)
    }

    pub(crate) fn of_bits(bits: u64) -> Self {
        let mut set = Self::NONE;
        for (i, word) in set.words[..WORDS].iter_mut().enumerate() {
            *word = (bits >> (i as u32 * c_ulong::BITS)) as c_ulong;
        }
        set
    }
}

/// `struct sigaction`, `bits/sigaction.h`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Sigaction {
    pub handler: usize,
    #[cfg(target_arch = "s390x")]
    pub _reserved: c_int,
    #[cfg(target_arch = "s390x")]
    pub flags: c_int,
    #[cfg(target_arch = "s390x")]
    pub restorer: usize,
    pub mask: SigSet,
    #[cfg(not(target_arch = "s390x"))]
    pub flags: c_int,
    #[cfg(not(target_arch = "s390x"))]
    pub restorer: usize,
}

impl Sigaction {
    pub(crate) const fn new(handler: usize, flags: c_int) -> Self {
        Self {
            handler,
            #[cfg(target_arch = "s390x")]
            _reserved: 0,
            flags,
            restorer: 0,
            mask: SigSet::NONE,
        }
    }
}

/// `stack_t`, `bits/types/stack_t.h`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct SignalStack {
    pub sp: *mut c_void,
    pub flags: c_int,
    pub size: usize,
}

/// The part of `siginfo_t` that says where a fault was, `bits/types/siginfo_t.h`.
#[repr(C)]
pub(crate) struct Siginfo {
    pub signal: c_int,
    pub errno: c_int,
    /// Greater than 0 where the kernel found the fault; otherwise somebody sent the signal.
    pub code: c_int,
    pub address: *mut c_void,
}

/// `pthread_attr_t`, `bits/pthreadtypes-arch.h`: 36 to 64 bytes.
#[repr(C)]
pub(crate) struct PthreadAttr {
    pub _opaque: [u64; 8],
}

unsafe extern "C" {
    pub(crate) fn __errno_location() -> *mut c_int;
    pub(crate) fn abort() -> !;
    pub(crate) fn usleep(microseconds: c_uint) -> c_int;
    pub(crate) fn write(fd: c_int, from: *const c_void, n: usize) -> isize;
    pub(crate) fn read(fd: c_int, to: *mut c_void, n: usize) -> isize;
    pub(crate) fn open(name: *const core::ffi::c_char, flags: c_int, ...) -> c_int;
    pub(crate) fn close(fd: c_int) -> c_int;
    pub(crate) fn syscall(number: c_long, ...) -> c_long;
    pub(crate) fn getpid() -> c_int;
    pub(crate) fn getauxval(kind: c_ulong) -> c_ulong;

    pub(crate) fn mmap(
        at: *mut c_void,
        size: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: c_long,
    ) -> *mut c_void;
    pub(crate) fn munmap(at: *mut c_void, size: usize) -> c_int;
    pub(crate) fn mprotect(at: *mut c_void, size: usize, protection: c_int) -> c_int;
    pub(crate) fn madvise(at: *mut c_void, size: usize, advice: c_int) -> c_int;

    pub(crate) fn raise(signal: c_int) -> c_int;
    pub(crate) fn sigaction(signal: c_int, action: *const Sigaction, former: *mut Sigaction) -> c_int;
    pub(crate) fn sigaltstack(stack: *const SignalStack, former: *mut SignalStack) -> c_int;
    pub(crate) fn pthread_sigmask(how: c_int, set: *const SigSet, former: *mut SigSet) -> c_int;

    pub(crate) fn pthread_self() -> usize;
    pub(crate) fn pthread_create(
        thread: *mut usize,
        attr: *const PthreadAttr,
        start: stackgate::ThreadRun,
        arg: *mut c_void,
    ) -> c_int;
    pub(crate) fn pthread_attr_init(attr: *mut PthreadAttr) -> c_int;
    pub(crate) fn pthread_attr_destroy(attr: *mut PthreadAttr) -> c_int;
    pub(crate) fn pthread_attr_setstacksize(attr: *mut PthreadAttr, size: usize) -> c_int;
    pub(crate) fn pthread_attr_setdetachstate(attr: *mut PthreadAttr, state: c_int) -> c_int;
    pub(crate) fn pthread_getattr_np(thread: usize, attr: *mut PthreadAttr) -> c_int;
    pub(crate) fn pthread_attr_getstack(
        attr: *const PthreadAttr,
        limit: *mut *mut c_void,
        size: *mut usize,
    ) -> c_int;
    pub(crate) fn pthread_key_create(key: *mut c_uint, destructor: stackgate::ExitHook) -> c_int;
    pub(crate) fn pthread_key_delete(key: c_uint) -> c_int;
    pub(crate) fn pthread_getspecific(key: c_uint) -> *mut c_void;
    pub(crate) fn pthread_setspecific(key: c_uint, word: *const c_void) -> c_int;
    pub(crate) fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
}

/// The number by which libc said why the last call of this thread failed.
pub(crate) fn errno() -> c_int {
    // SAFETY: this thread's.
    unsafe { *__errno_location() }
}

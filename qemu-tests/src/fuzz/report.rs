//! What a fuzzing process has done, where its parent can read it whatever becomes of it.

use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The kinds of operations, by their names.
macro_rules! ops {
    ($($op:ident $name:literal,)+) => {
        /// What a step of a sequence does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names say it")]
        #[repr(u8)]
        pub enum Op { $($op),+ }

        /// Every kind.
        pub const OPS: &[(Op, &str)] = &[$((Op::$op, $name)),+];
    };
}
ops! {
    Deeper "a managed function calls another",
    Asmcgocall "asmcgocall",
    Ccall "ccall",
    Systemstack "systemstack",
    Cgocall "cgocall",
    NoCallback "cgocall_no_callback",
    Catch "cgocall_catch",
    CallInC "a call where C is already",
    Cgocallback "cgocallback",
    Crosscall2 "crosscall2",
    Enter "enter",
    Export "an exported function",
    KeepsNothing "managed code that keeps no register",
    Throw "throw",
    Panic "a Rust panic through C",
    PanicInC "stackgate_panic",
    NewTask "a task begins",
    Reuse "a g is used again",
    Resume "resume",
    ResumeElsewhere "resume on another thread",
    Park "park",
    ParkBelowC "park below C, refused",
    Switch "switch_to",
    SwitchBelowC "switch_to below C, refused",
    CameBack "resume, and another task comes back",
    Finish "finish",
    FinishBelowC "finish below C, refused",
    Mcall "mcall and gogo",
    MoveParked "the stack of a parked task is moved",
    MoveInC "a stack is moved while C runs",
    Raise "a signal, at a place that is known",
    Interrupt "a signal, anywhere",
    Mask "signals blocked, or let in",
    Trace "a traceback",
    TraceParked "a traceback of a parked task",
    MisuseInTask "misuse in a task",
    MisuseInC "misuse in C",
    MisuseOnG0 "misuse on a system stack",
    MisuseBare "misuse on a thread without an m",
    AdoptedThread "a thread that is adopted",
    StartedThread "a thread of the runtime's",
    ForeignThread "a thread of C's",
    Visit "work on another thread",
    EndThread "a thread ends",
    ExitThread "a thread is ended from below",
}

/// Steps of a sequence that are written down.
const STEPS: usize = 1024;
/// Bytes of a message.
const MESSAGE: usize = 4096;

/// Shared between the process that fuzzes and its parent.
#[repr(C)]
pub struct Report {
    /// Of the sequence that runs, or ran last.
    pub seed: AtomicU64,
    /// Sequences that were run to their end.
    pub sequences: AtomicU64,
    /// Steps that were taken.
    pub steps: AtomicU64,
    /// Comparisons that were made and held.
    pub checks: AtomicU64,
    /// Traces of handlers that ended early, where no table is exact.
    pub short: AtomicU64,
    /// By [`OPS`].
    pub counts: [AtomicU64; OPS.len()],
    taken: AtomicU32,
    log: [AtomicU32; STEPS],
    length: AtomicU32,
    message: [core::sync::atomic::AtomicU8; MESSAGE],
}

static REPORT: AtomicPtr<Report> = AtomicPtr::new(core::ptr::null_mut());

/// The report of this program and its children.
pub fn report() -> &'static Report {
    if REPORT.load(Ordering::Acquire).is_null() {
        // SAFETY: new memory, of zeros, which is a good report; it stays for ever.
        let at = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                size_of::<Report>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(at != libc::MAP_FAILED, "memory to share");
        REPORT.store(at.cast(), Ordering::Release);
    }
    // SAFETY: as above.
    unsafe { &*REPORT.load(Ordering::Acquire) }
}

/// One line of the log.
#[derive(Clone, Copy)]
pub struct Step {
    /// What was done.
    pub op: Op,
    /// Which word of the sequence said so.
    pub word: usize,
    /// On which thread.
    pub thread: usize,
    /// How deep in its task.
    pub depth: usize,
}

impl Report {
    /// A sequence begins.
    pub fn begin(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
        self.length.store(0, Ordering::Relaxed);
    }

    /// Writes a step down, before it is taken.
    pub fn step(&self, step: Step) {
        self.counts[step.op as usize].fetch_add(1, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
        let at = self.taken.fetch_add(1, Ordering::Relaxed) as usize;
        if let Some(place) = self.log.get(at) {
            let packed = (step.op as usize) << 24
                | (step.thread & 15) << 20
                | (step.depth & 63) << 14
                | step.word & 0x3fff;
            place.store(packed as u32, Ordering::Relaxed);
        }
    }

    /// The steps of the last sequence.
    pub fn log(&self) -> Vec<Step> {
        let taken = (self.taken.load(Ordering::Relaxed) as usize).min(STEPS);
        let step = |place: &AtomicU32| {
            let packed = place.load(Ordering::Relaxed) as usize;
            let op = OPS[(packed >> 24).min(OPS.len() - 1)].0;
            Step { op, word: packed & 0x3fff, thread: packed >> 20 & 15, depth: packed >> 14 & 63 }
        };
        self.log[..taken].iter().map(step).collect()
    }

    /// Says what was wrong, and ends the process. Allocates nothing: a handler may have found it.
    pub fn fail(&self, message: fmt::Arguments<'_>) -> ! {
        if self.length.swap(1, Ordering::Relaxed) == 0 {
            let mut to = Message { report: self, used: 0 };
            let _ = to.write_fmt(message);
            self.length.store(to.used as u32, Ordering::Relaxed);
        }
        // SAFETY: ends the process.
        unsafe { libc::_exit(FAILED) }
    }

    /// What [`fail`](Self::fail) was told.
    pub fn message(&self) -> String {
        let length = self.length.load(Ordering::Relaxed) as usize;
        let bytes: Vec<u8> = self.message[..length].iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// How a process ends that has found something.
pub const FAILED: i32 = 3;

struct Message<'a> {
    report: &'a Report,
    used: usize,
}

impl fmt::Write for Message<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.report.message.get(self.used).ok_or(fmt::Error)?.store(byte, Ordering::Relaxed);
            self.used += 1;
        }
        Ok(())
    }
}

/// SplitMix64: the same numbers from the same seed, on every machine.
#[derive(Clone, Copy)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `n` numbers, from 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }
}

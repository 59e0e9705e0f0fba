//! Threads: how one becomes an m before a signal can find it, and how it ends.
//!
//! ```text
//!   block of a thread:  | guard | signal stack | Thread: m, launcher, arguments |
//!   its system stack:   the C library's, which frees it
//! ```
//!
//! A thread begins with every signal blocked. [`mstart`], on the stack that C gave it, makes the m current by
//! [`crosscall1`], which keeps C's registers; tells g0 and gsignal their bounds; sets the signal stack; and only
//! then lets signals in and runs the thread's function on g0. Go: `mstart`, `minit`.
//!
//! The end is a jump. Before it runs the function, the thread resumes a small task, the launcher, which goes
//! straight back to the system stack by `mcall`. [`exit_thread`] drops whatever is on the system stack then, at
//! any depth, by running the launcher to its end. The thread then gives up its signal stack, blocks signals,
//! stops being an m, hands its block to a list, and returns to C. It frees nothing that it stands on: blocks on
//! that list are unmapped by whoever starts the next thread, or calls [`reap_threads`]. Go: `mexit`.

use crate::sys;
use core::cell::Cell;
use core::convert::Infallible;
use core::ffi::c_void;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use stackgate::arch::frame::Word;
use stackgate::arch::{self, NativeWord, Stack, crosscall1};
use stackgate::traceback::HANDLER_USE;
use stackgate::{
    G, GState, M, MIN_STACK, Platform, Resumed, ServiceError, SignalMask, StackBounds, current_g, current_m,
    fatal, g_init, m_init, platform, resume,
};

/// Bytes of a system stack that is not asked for by size.
pub const SYSTEM_STACK: usize = 256 << 10;
/// Bytes of a signal stack that is not asked for by size, beside what the kernel needs.
pub const SIGNAL_STACK: usize = 32 << 10;

const _: () = assert!(SIGNAL_STACK >= HANDLER_USE, "a traceback does not fit on a signal stack");

/// Bytes of the smallest signal stack on which a handler may take a traceback: what that uses, and what the
/// kernel puts there (`AT_MINSIGSTKSZ`). A handler's own frames come on top, and those of
/// [`sigtramp`](stackgate::arch::sigtramp).
///
/// Runs on any stack; safe in a signal handler.
pub fn least_signal_stack() -> usize {
    HANDLER_USE + kernels_frame()
}

/// What a thread gets.
#[derive(Clone, Copy, Debug)]
pub struct ThreadOptions {
    /// Bytes of its system stack, at least. The C library keeps thread-local variables there, and takes no less
    /// than its own minimum: 128 KiB on arm64 and ppc64le, 16 KiB elsewhere.
    pub system_stack: usize,
    /// Bytes of its signal stack, at least, beside what the kernel needs. Never less than
    /// [`HANDLER_USE`].
    pub signal_stack: usize,
}

impl Default for ThreadOptions {
    /// [`SYSTEM_STACK`] and [`SIGNAL_STACK`].
    fn default() -> Self {
        Self { system_stack: SYSTEM_STACK, signal_stack: SIGNAL_STACK }
    }
}

/// What a thread runs, on its system stack, as an m, with signals let in.
pub type ThreadMain = unsafe extern "C" fn(arg: *mut c_void);

/// Bytes of the launcher's stack: it calls one function that returns at once.
const LAUNCHER_STACK: usize = MIN_STACK;

/// A thread that the runtime starts, before it runs, while it does, and until its memory is freed.
#[repr(C, align(16))]
struct Thread {
    /// First, so that the address of g0 is the thread's.
    m: M,
    launcher: G,
    run: ThreadMain,
    arg: *mut c_void,
    /// What is kept from the thread when its function runs.
    mask: SignalMask,
    signal_stack: StackBounds,
    /// `g0.sched.sp` when the function began.
    base: Cell<usize>,
    /// The whole block.
    block: NonNull<u8>,
    size: usize,
    /// The next ended thread.
    next: *mut Thread,
    launcher_stack: MaybeUninit<[u128; LAUNCHER_STACK / 16]>,
}

/// Threads that have ended, whose blocks are not unmapped yet. Taken as a whole, so that no thread can come back
/// to it while it is looked at.
static ENDED: AtomicPtr<Thread> = AtomicPtr::new(core::ptr::null_mut());

/// Starts a thread that runs `run(arg)` on its system stack, as an m. It is detached; what is kept from the
/// caller in the way of signals is kept from it.
///
/// Runs on any stack of the system. Not for signal handlers. Go: `newm`.
///
/// # Errors
/// [`ServiceError`]: nothing has been started then. The pauses that the system may need to start a thread have
/// been made. A thread that cannot become an m ends the program by name.
///
/// # Safety
/// `run` may be called with `arg` on another thread, and does not unwind.
pub unsafe fn start_thread(
    options: &ThreadOptions,
    run: ThreadMain,
    arg: *mut c_void,
) -> Result<(), ServiceError> {
    let platform = platform().ok_or(ServiceError::NotHere)?;
    // SAFETY: by the caller; the new thread is the only one that runs this one.
    unsafe {
        let thread = prepare_thread(options, run, arg)?;
        let result = platform.start_thread(options.system_stack, mstart, thread);
        if result.is_err() {
            discard_thread(thread);
        }
        result
    }
}

/// Makes what [`mstart`] takes, for an embedder that makes its threads itself.
///
/// Runs on any stack of the system. Not for signal handlers.
///
/// # Errors
/// [`ServiceError`], as the platform's `map` and `guard` say.
///
/// # Safety
/// As [`start_thread`].
pub unsafe fn prepare_thread(
    options: &ThreadOptions,
    run: ThreadMain,
    arg: *mut c_void,
) -> Result<*mut c_void, ServiceError> {
    let platform = platform().ok_or(ServiceError::NotHere)?;
    reap_threads();
    let page = platform.page_size();
    if page == 0 {
        return Err(ServiceError::NotHere);
    }
    let whole = |bytes: usize| bytes.checked_next_multiple_of(page).ok_or(ServiceError::BadArgument);
    let handlers = options.signal_stack.max(HANDLER_USE);
    let signal = whole(handlers.checked_add(kernels_frame()).ok_or(ServiceError::BadArgument)?)?;
    let size = signal.checked_add(page + whole(size_of::<Thread>())?).ok_or(ServiceError::BadArgument)?;
    let block = platform.map(size)?;
    // SAFETY: memory that has just been mapped.
    unsafe {
        match platform.guard(block, page) {
            Ok(()) | Err(ServiceError::NotHere) => {}
            Err(error) => {
                _ = platform.unmap(block, size);
                return Err(error);
            }
        }
        let limit = block.as_ptr().expose_provenance() + page;
        let thread = block.add(page + signal).cast::<Thread>();
        let mask = platform.block_signals();
        if let Ok(mask) = mask {
            platform.restore_signals(mask);
        }
        let at = thread.as_ptr();
        (&raw mut (*at).m).write(M::default());
        (&raw mut (*at).launcher).write(G::default());
        (&raw mut (*at).run).write(run);
        (&raw mut (*at).arg).write(arg);
        (&raw mut (*at).mask).write(mask.unwrap_or_default());
        (&raw mut (*at).signal_stack).write(StackBounds { limit, top: limit + signal, accurate: true });
        (&raw mut (*at).base).write(Cell::new(0));
        (&raw mut (*at).block).write(block);
        (&raw mut (*at).size).write(size);
        (&raw mut (*at).next).write(core::ptr::null_mut());
        if m_init(&raw mut (*at).m).is_err() {
            fatal("thread start", "the memory that the platform mapped is not aligned");
        }
        // By which `exit_thread` knows it.
        (*at).m.gsignal.user = word(at.expose_provenance());
        Ok(at.cast())
    }
}

/// Frees what [`prepare_thread`] made and no thread will run.
///
/// Runs on any stack; not for signal handlers.
///
/// # Safety
/// From [`prepare_thread`]; [`mstart`] has not been called with it.
pub unsafe fn discard_thread(thread: *mut c_void) {
    // SAFETY: by the caller.
    unsafe { free(thread.cast()) };
}

/// A thread's start routine, as `pthread_create` takes it: makes the thread the m that [`prepare_thread`] has
/// made, runs its function, and gives C its registers, its signal mask and its signal stack back. The result is
/// null.
///
/// Runs on the thread's own stack, once with each argument. A thread that begins with signals blocked, as
/// [`start_thread`] makes it, takes none before it can. Go: `mstart`.
///
/// Not for signal handlers.
///
/// # Safety
/// From [`prepare_thread`]; the thread is no m.
pub unsafe extern "C" fn mstart(thread: *mut c_void) -> *mut c_void {
    let thread: *mut Thread = thread.cast();
    let Some(platform) = platform() else {
        fatal("thread start", "no platform is set: call set_platform before the first thread");
    };
    if current_g().is_some() {
        fatal("thread start", "the thread is an m already: mstart is for threads that are none");
    }
    let former = platform.block_signals();
    // SAFETY: the thread's own g0, which is current until this returns; by the caller.
    unsafe {
        crosscall1(run_as_m, &raw mut (*thread).m.g0);
        retire(thread);
    }
    if let Ok(former) = former {
        platform.restore_signals(former);
    }
    core::ptr::null_mut()
}

/// The rest of [`mstart`], on g0.
unsafe extern "C" fn run_as_m(g0: *mut G) {
    // g0 comes first in its m, and the m in its thread.
    let thread: *mut Thread = g0.cast();
    let Some(platform) = platform() else { return };
    // SAFETY: this thread's own.
    unsafe {
        let former = become_m(platform, thread);
        let stack = (&raw mut (*thread).launcher_stack).cast::<u8>();
        let top = stack.add(LAUNCHER_STACK);
        if g_init(&raw mut (*thread).launcher, stack, top, launch).is_err() {
            fatal("thread start", "the launcher's stack is not aligned: a bug of stackgate");
        }
        match resume(&raw mut (*thread).launcher, 0) {
            Ok(Resumed::Finished(_)) => {}
            _ => fatal("thread start", "the launcher does not run: a bug of stackgate"),
        }
        // Signals are blocked again.
        if let Ok(former) = former
            && platform.set_signal_stack(former).is_err()
        {
            fatal("thread end", "the signal stack is in use: exit_thread is not for signal handlers");
        }
    }
}

/// Tells the m its stacks, and the kernel the signal stack. Returns the signal stack that C had set.
///
/// # Safety
/// `thread` is this thread.
unsafe fn become_m(
    platform: &dyn Platform,
    thread: *mut Thread,
) -> Result<Option<StackBounds>, ServiceError> {
    let stack = |bounds: StackBounds| Stack { limit: word(bounds.limit), top: word(bounds.top) };
    // SAFETY: by the caller.
    unsafe {
        match platform.stack_bounds() {
            Ok(bounds) => (*thread).m.g0.stack = stack(bounds),
            Err(ServiceError::NotHere) => {}
            Err(_) => fatal("thread start", "the system does not say where the thread's stack is"),
        }
        let signal_stack = (*thread).signal_stack;
        let former = platform.set_signal_stack(Some(signal_stack));
        match former {
            Ok(_) => (*thread).m.gsignal.stack = stack(signal_stack),
            Err(ServiceError::NotHere) => {}
            Err(_) => fatal("thread start", "the system refuses the signal stack: make it larger"),
        }
        former
    }
}

/// The launcher: leaves for the system stack, and ends when it is run again.
unsafe extern "C" fn launch(_: usize) -> usize {
    // SAFETY: a task that `resume` runs, with no C below.
    unsafe { arch::mcall(run_on_g0) };
    0
}

/// Runs the thread's function where the launcher has been left for.
unsafe extern "C" fn run_on_g0(launcher: *mut G) -> ! {
    let thread: *mut Thread = launcher.wrapping_byte_sub(core::mem::offset_of!(Thread, launcher)).cast();
    // SAFETY: this thread's own. m, g0, gsignal and the signal stack are in place: signals may come.
    unsafe {
        (*thread).base.set((*thread).m.g0.sched.sp.get() as usize);
        (*launcher).state = word(GState::Parked as usize);
        if let Some(platform) = platform() {
            platform.restore_signals((*thread).mask);
        }
        ((*thread).run)((*thread).arg);
        leave(thread)
    }
}

/// Drops what is on the system stack and ends the launcher.
///
/// # Safety
/// On the system stack of `thread`, which runs no task.
unsafe fn leave(thread: *mut Thread) -> ! {
    // SAFETY: by the caller. The launcher is parked in `mcall`, and `resume` waits at `base`.
    unsafe {
        if let Some(platform) = platform() {
            _ = platform.block_signals();
        }
        (*thread).m.g0.sched.sp = word((*thread).base.get());
        (*thread).launcher.state = word(GState::Running as usize);
        arch::gogo(&raw mut (*thread).launcher, 0)
    }
}

/// Why a thread did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitError {
    /// [`mstart`] has not begun this thread. Let it return to who made it.
    NotStarted,
    /// Not on the system stack. A task parks, and the m that it parks on ends the thread.
    NotOnG0,
    /// A g of this m is in C. Let it return first.
    InUse,
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "mstart has not begun this thread: return to who made it",
            Self::NotOnG0 => "not on the system stack: park, and end the thread from there",
            Self::InUse => "a g of this m is in C: let it return first",
        })
    }
}

/// Ends this thread, as if its function had returned: what is on its system stack is dropped, and no destructor
/// of it runs.
///
/// Frees nothing that the thread stands on: see [`reap_threads`].
///
/// Runs on the system stack of an m that runs no task. Not for signal handlers. Go: `mexit`.
///
/// # Errors
/// [`ExitError`]; nothing has changed then.
pub fn exit_thread() -> Result<Infallible, ExitError> {
    let m = current_m().ok_or(ExitError::NotStarted)?;
    // SAFETY: this thread's m is valid.
    unsafe {
        // The user word of gsignal is whose m it is.
        if (*m).gsignal.user.get() as usize != m.addr() {
            return Err(ExitError::NotStarted);
        }
        if current_g() != Some(&raw mut (*m).g0) {
            return Err(ExitError::NotOnG0);
        }
        if !(*m).curg.is_null() {
            return Err(ExitError::InUse);
        }
        leave(m.cast())
    }
}

/// Hands the block of a thread that is no m any more, and blocks signals, to who frees it.
///
/// # Safety
/// This thread is the only one that has it.
unsafe fn retire(thread: *mut Thread) {
    let mut first = ENDED.load(Ordering::Relaxed);
    loop {
        // SAFETY: by the caller.
        unsafe { (*thread).next = first };
        // After this it is another thread's.
        match ENDED.compare_exchange_weak(first, thread, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

/// Frees the memory of threads that have ended: their m's and signal stacks. Returns how many. The next start of
/// a thread does the same.
///
/// Runs on any stack of the system. Not for signal handlers.
pub fn reap_threads() -> usize {
    let mut thread = ENDED.swap(core::ptr::null_mut(), Ordering::Acquire);
    let mut reaped = 0;
    while !thread.is_null() {
        // SAFETY: taken from the list by this thread alone; who was on it has left it.
        unsafe {
            let next = (*thread).next;
            free(thread);
            thread = next;
        }
        reaped += 1;
    }
    reaped
}

/// # Safety
/// Nobody uses the thread's block.
unsafe fn free(thread: *mut Thread) {
    // SAFETY: by the caller.
    unsafe {
        let (block, size) = ((*thread).block, (*thread).size);
        if let Some(platform) = platform() {
            _ = platform.unmap(block, size);
        }
    }
}

/// What the kernel writes on a signal stack before a handler runs, in bytes: registers, vectors included.
fn kernels_frame() -> usize {
    /// `MINSIGSTKSZ` of kernels that do not say.
    const LEAST: usize = 8 << 10;
    // SAFETY: reads what the kernel has left.
    LEAST.max(unsafe { sys::getauxval(sys::AT_MINSIGSTKSZ) as usize })
}

fn word(value: usize) -> NativeWord {
    Word::new(value as u64)
}

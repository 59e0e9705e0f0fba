//! Signal handlers: what stands between the trampoline and the embedder's function.
//!
//! The trampoline, [`sigtramp`](stackgate_arch::sigtramp), makes the m's gsignal the current g before anything
//! else is called, so that crossings in a handler switch no stack. What follows here gives the interrupted code
//! its `errno` back, and sees to it that gsignal's bounds are those of the stack that the handler runs on: C may
//! have set another one, or have called the handler where it stood.

use crate::once::Once;
use crate::platform::{errno_location, platform};
use crate::task::{current_g, current_m, is, value, word};
use crate::{G, GState, Interrupted, M};
use core::ffi::{c_int, c_void};
use core::fmt;
use core::mem::transmute;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicPtr, Ordering, compiler_fence};
use stackgate_arch::frame::Ptr;
use stackgate_arch::{self as arch, Native, SignalFn, Stack};

/// Why a signal handler was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalError {
    /// There is one already. Set one function for all signals, once in a process.
    AlreadySet,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySet => f.write_str("a signal handler is set already: set one for all signals"),
        }
    }
}

static SET: Once<()> = Once::new();
/// Written before [`arrived`] can run.
static HANDLER: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// Sets what runs for a signal whose action is [`sigtramp`](stackgate_arch::sigtramp) with `SA_SIGINFO` and
/// `SA_ONSTACK`: one function for all signals, once in a process.
///
/// It runs as gsignal on a thread that is an m, and without a g on any other; on the stack that the kernel or
/// C chose. Another signal may interrupt it. `errno` is given back after it. What it calls in C runs where it
/// stands, and may not call back: that is a named fatal error. Where the signal came,
/// [`Traceback::from_ucontext`](crate::traceback::Traceback::from_ucontext) says.
///
/// Runs on any stack; safe in a signal handler. Go: `sigtrampgo`.
///
/// # Errors
/// [`SignalError::AlreadySet`] on every call but the first.
///
/// # Safety
/// The function is safe in a signal handler, returns, and gives back what it changes.
pub unsafe fn set_signal_handler(handler: SignalFn) -> Result<(), SignalError> {
    if !SET.set(()) {
        return Err(SignalError::AlreadySet);
    }
    HANDLER.store(handler as *mut c_void, Ordering::Relaxed);
    arch::SIGNAL_HANDLER.store(arrived as *mut c_void, Ordering::Release);
    Ok(())
}

/// The g that was current when the signal came whose handler runs; the current g where no handler runs, or one that
/// did not come through [`sigtramp`](stackgate_arch::sigtramp). `None` on a thread without an m.
///
/// Runs on any stack; safe in a signal handler. Go: the g that `sigtrampgo` passes to `sighandler`.
pub fn interrupted_g() -> Option<*mut G> {
    let g = current_g()?;
    let Some(m) = gsignals_m() else { return Some(g) };
    // SAFETY: this thread's m; what it designates lies in the frame of a function that has not returned.
    let interrupted = unsafe { (*m).interrupted.get().as_ref() };
    Some(interrupted.map_or(g, |interrupted| interrupted.g.get()))
}

/// What the trampoline calls.
unsafe extern "C" fn arrived(signal: c_int, info: *mut c_void, ucontext: *mut c_void, g: *mut G) {
    let errno = errno_location();
    // SAFETY: errno is this thread's, and stays where it is.
    let saved = unsafe { errno.read_volatile() };
    let handler = HANDLER.load(Ordering::Relaxed);
    // SAFETY: only functions of this type are stored, before this one can be called.
    let handler = unsafe { transmute::<*mut c_void, SignalFn>(handler) };
    match gsignals_m() {
        // SAFETY: this thread's m, whose gsignal is current.
        Some(m) => unsafe {
            let stack = (*m).gsignal.stack;
            (*m).gsignal.stack = stack_of(m, (&raw const saved).addr());
            let outer = (*m).interrupted;
            let mut interrupted = Interrupted { outer, g: Ptr::new(g), ucontext: Ptr::new(ucontext.cast()) };
            // Whoever takes a traceback finds it by its address.
            let published = (&raw mut interrupted).expose_provenance();
            compiler_fence(Ordering::Release);
            (&raw mut (*m).interrupted).write_volatile(Ptr::new(with_exposed_provenance_mut(published)));
            handler(signal, info, ucontext);
            (&raw mut (*m).interrupted).write_volatile(outer);
            compiler_fence(Ordering::Release);
            (*m).gsignal.stack = stack;
        },
        // SAFETY: what the kernel passed. The trampoline makes current again what was.
        None => unsafe {
            arch::setg((&raw const arch::HANDLES_NO_G).cast_mut().cast());
            handler(signal, info, ucontext);
        },
    }
    // SAFETY: as above.
    unsafe { errno.write_volatile(saved) };
}

/// This thread's m, if its gsignal is current.
fn gsignals_m() -> Option<*mut M> {
    let g = current_g()?;
    // SAFETY: the current g is valid.
    if is(unsafe { &*g }, GState::Gsignal) { current_m() } else { None }
}

/// The bounds of the stack that `here` lies on, in a handler on the thread of `m`; zeros if nobody knows it.
///
/// # Safety
/// `m` is this thread's.
unsafe fn stack_of(m: *mut M, here: usize) -> Stack<Native> {
    let holds = |stack: &Stack<Native>| value(stack.limit) <= here && here < value(stack.top);
    // SAFETY: by the caller.
    let (gsignal, g0) = unsafe { ((*m).gsignal.stack, (*m).g0.stack) };
    if holds(&gsignal) {
        return gsignal;
    }
    let asked = platform().and_then(|platform| platform.signal_stack().ok().flatten());
    let asked = asked.map(|bounds| Stack { limit: word(bounds.limit), top: word(bounds.top) });
    // g0's last: its lower end may be a guess.
    [asked, Some(g0)].into_iter().flatten().find(holds).unwrap_or_default()
}

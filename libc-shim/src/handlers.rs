//! Signal handlers beside those of C: ours comes first, and says whether the one that was there comes too.
//!
//! [`handle_signal`] makes [`sigtramp`] the action of a signal and keeps what was there. The handler runs as
//! gsignal, on the thread's signal stack, ours or one that C has set; where there is none, on the stack that was
//! interrupted. C code that sets a handler afterwards replaces this one; if it calls the one that it replaces,
//! as it should, nothing is lost.

use crate::sys::{self, SigAction, SigSet, Siginfo};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use stackgate::arch::sigtramp;
use stackgate::{ServiceError, set_signal_handler};

/// What becomes of a signal after a handler has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Verdict {
    /// It is dealt with.
    Done = 0,
    /// What was done about it before is done now: the former handler runs, or the default action.
    PassOn = 1,
}

/// A handler: the signal's number, its `siginfo_t`, and the `ucontext_t` of what it interrupted.
pub type SignalHandler =
    unsafe extern "C" fn(signal: c_int, info: *mut c_void, ucontext: *mut c_void) -> Verdict;

/// The highest number of a signal of Linux.
const LAST: usize = 64;

/// What is known of one signal.
struct Slot {
    state: AtomicU8,
    /// Null while the signal is not ours.
    handler: AtomicPtr<c_void>,
    /// Written before the action is set.
    former: UnsafeCell<MaybeUninit<SigAction>>,
    /// The former handler wanted to run once, and has.
    spent: AtomicBool,
}
// SAFETY: `former` is written by the one thread that found the state NOT_SET, before any handler of ours can read.
unsafe impl Sync for Slot {}

const NOT_SET: u8 = 0;
const SETTING: u8 = 1;
const SET: u8 = 2;

/// By the signal's number.
static SLOTS: [Slot; LAST + 1] = [const {
    Slot {
        state: AtomicU8::new(NOT_SET),
        handler: AtomicPtr::new(core::ptr::null_mut()),
        former: UnsafeCell::new(MaybeUninit::uninit()),
        spent: AtomicBool::new(false),
    }
}; LAST + 1];

/// Has `handler` run when `signal` comes, before what was done about it so far.
///
/// What the former handler did not want to be interrupted by interrupts neither; calls that it let the kernel
/// begin again are begun again, and all are if there was no former one. For a signal that is handled already
/// the handler is exchanged, and nothing else happens.
///
/// Runs on a system stack. Not for signal handlers. Go: `setsig`, `sigfwd`.
///
/// # Errors
/// [`ServiceError::BadArgument`] if there is no such signal, or nobody may handle it; [`ServiceError::Busy`]
/// while another thread does the same, or if the embedder has set a handler of its own by
/// [`set_signal_handler`].
///
/// # Safety
/// The handler is safe between any two instructions of the program, and returns.
pub unsafe fn handle_signal(signal: c_int, handler: SignalHandler) -> Result<(), ServiceError> {
    let slot = usize::try_from(signal).ok().filter(|&n| n != 0).and_then(|n| SLOTS.get(n));
    let Some(slot) = slot else { return Err(ServiceError::BadArgument) };
    match slot.state.compare_exchange(NOT_SET, SETTING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => {}
        Err(SET) => {
            slot.handler.store(handler as *mut c_void, Ordering::Release);
            return Ok(());
        }
        Err(_) => return Err(ServiceError::Busy),
    }
    // SAFETY: by the caller.
    let result = unsafe { install(signal, slot, handler) };
    slot.state.store(if result.is_ok() { SET } else { NOT_SET }, Ordering::Release);
    result
}

/// The first part of [`handle_signal`] for each signal.
///
/// # Safety
/// As there; this thread alone has the slot.
unsafe fn install(signal: c_int, slot: &Slot, handler: SignalHandler) -> Result<(), ServiceError> {
    ours_arrive()?;
    let failed = || match sys::errno() {
        sys::EINVAL => ServiceError::BadArgument,
        number => ServiceError::Failed(number),
    };
    // SAFETY: by the caller; the slot is complete before the action is set.
    unsafe {
        let former = slot.former.get().cast::<SigAction>();
        if sys::sigaction(signal, core::ptr::null(), former) != 0 {
            return Err(failed());
        }
        slot.handler.store(handler as *mut c_void, Ordering::Release);
        let had_one = !matches!((*former).handler, sys::SIG_DFL | sys::SIG_IGN);
        let restart = if had_one { (*former).flags & crate::SA_RESTART } else { crate::SA_RESTART };
        let flags = sys::SA_SIGINFO | sys::SA_ONSTACK | restart;
        let action = SigAction::new(sigtramp as *const () as usize, flags, (*former).mask);
        if sys::sigaction(signal, &action, core::ptr::null_mut()) != 0 {
            return Err(failed());
        }
    }
    Ok(())
}

/// Sees to it that signals come to [`arrived`].
fn ours_arrive() -> Result<(), ServiceError> {
    static STATE: AtomicU8 = AtomicU8::new(NOT_SET);
    match STATE.compare_exchange(NOT_SET, SETTING, Ordering::Acquire, Ordering::Acquire) {
        // SAFETY: `arrived` calls what is safe in handlers, and returns.
        Ok(_) => match unsafe { set_signal_handler(arrived) } {
            Ok(()) => {
                STATE.store(SET, Ordering::Release);
                Ok(())
            }
            Err(_) => {
                STATE.store(NOT_SET, Ordering::Release);
                Err(ServiceError::Busy)
            }
        },
        Err(SET) => Ok(()),
        Err(_) => Err(ServiceError::Busy),
    }
}

/// What every signal of ours comes to, as gsignal.
unsafe extern "C" fn arrived(signal: c_int, info: *mut c_void, ucontext: *mut c_void) {
    let Some(slot) = usize::try_from(signal).ok().and_then(|n| SLOTS.get(n)) else { return };
    let handler = slot.handler.load(Ordering::Acquire);
    if handler.is_null() {
        return;
    }
    // SAFETY: only handlers are stored, with their contract; what the kernel passed.
    unsafe {
        let handler = transmute::<*mut c_void, SignalHandler>(handler);
        if handler(signal, info, ucontext) == Verdict::PassOn {
            pass_on(slot, signal, info.cast(), ucontext);
        }
    }
}

/// Does what would have been done without us.
///
/// # Safety
/// The handler's arguments.
unsafe fn pass_on(slot: &Slot, signal: c_int, info: *mut Siginfo, ucontext: *mut c_void) {
    // SAFETY: the slot was complete before the action was set.
    let former = unsafe { *slot.former.get().cast::<SigAction>() };
    // SAFETY: the kernel's.
    let fault = FAULTS.contains(&signal) && unsafe { (*info).code > 0 };
    let once = former.flags & sys::SA_RESETHAND != 0;
    match former.handler {
        // Nobody can ignore a fault; the kernel does not either.
        sys::SIG_IGN if !fault => {}
        sys::SIG_DFL | sys::SIG_IGN => by_default(signal, fault),
        _ if once && slot.spent.swap(true, Ordering::Relaxed) => by_default(signal, fault),
        // SAFETY: the former handler is one, and gets what the kernel would have given it.
        _ => unsafe { call(&former, signal, info, ucontext) },
    }
}

/// The signals of instructions that cannot go on. Those that somebody has sent are others.
const FAULTS: [c_int; 5] = [crate::SIGILL, crate::SIGTRAP, sys::SIGBUS, crate::SIGFPE, sys::SIGSEGV];

/// The default action. `fault`: the interrupted instruction makes the signal again.
fn by_default(signal: c_int, fault: bool) {
    let default = SigAction::new(sys::SIG_DFL, 0, SigSet::EMPTY);
    // SAFETY: the default action; numbers of signals.
    unsafe {
        match signal {
            crate::SIGCHLD | crate::SIGURG | crate::SIGWINCH | crate::SIGCONT => {}
            crate::SIGTSTP | crate::SIGTTIN | crate::SIGTTOU => {
                sys::raise(crate::SIGSTOP);
            }
            _ => {
                sys::sigaction(signal, &default, core::ptr::null_mut());
                if !fault {
                    // Comes when the handler returns: it is blocked until then.
                    sys::raise(signal);
                }
            }
        }
    }
}

/// Calls a handler of C's as the kernel would have.
///
/// # Safety
/// `former` has a handler, of the form that its flags say; the handler's arguments.
pub(crate) unsafe fn call(former: &SigAction, signal: c_int, info: *mut Siginfo, ucontext: *mut c_void) {
    // SAFETY: by the caller.
    unsafe {
        if former.flags & sys::SA_NODEFER != 0 {
            sys::pthread_sigmask(sys::SIG_UNBLOCK, &SigSet::EMPTY.with(signal), core::ptr::null_mut());
        }
        if former.flags & sys::SA_SIGINFO != 0 {
            let handler =
                transmute::<usize, unsafe extern "C" fn(c_int, *mut Siginfo, *mut c_void)>(former.handler);
            handler(signal, info, ucontext);
        } else {
            transmute::<usize, unsafe extern "C" fn(c_int)>(former.handler)(signal);
        }
    }
}

//! The timer's interrupt as a signal: on a stack of its own, with gsignal as the current g.

use crate::board;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch::{self, unwind::Registers};
use stackgate::{M, current_m};

/// What a handler is called with: the registers of what was interrupted.
pub type Handler = fn(&Registers);

/// The handler; null for none.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// Interrupts that came, on any CPU.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Sets the handler of the timer's interrupt.
pub fn handle(handler: Handler) {
    HANDLER.store(handler as *mut (), Ordering::Relaxed);
}

/// How many interrupts have come so far.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// What a board's handler calls, on the signal stack and with interrupts masked. What was interrupted finds
/// its g as it was, whichever instruction of whichever crossing it stood at.
///
/// # Safety
/// `registers` is what was interrupted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn interrupted(registers: *const Registers) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    board::acknowledge();
    // SAFETY: the current g is given back below; gsignal's stack is the one that this runs on.
    unsafe {
        let g = arch::getg();
        if let Some(m) = current_m() {
            arch::setg(&raw mut (*m.cast::<M>()).gsignal);
        }
        let handler = HANDLER.load(Ordering::Relaxed);
        if !handler.is_null() {
            core::mem::transmute::<*mut (), Handler>(handler)(&*registers);
        }
        arch::setg(g);
    }
}

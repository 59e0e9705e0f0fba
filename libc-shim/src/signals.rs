//! Signals.

use crate::abi::{SigAction, SigSet, SigStack};
use crate::{Errno, raw};
use core::ffi::c_int;
use core::ptr;

/// The address of what is there, or null.
fn or_null<T>(value: Option<&T>) -> *const T {
    value.map_or(ptr::null(), ptr::from_ref)
}

/// Sends a signal to a process, `kill(2)`.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
pub fn kill(process: c_int, signal: c_int) -> Result<(), Errno> {
    // SAFETY: takes any numbers.
    unsafe { raw::kill(process, signal) }.done()
}

/// Sends a signal to this process: any of its threads that does not block it takes it.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
pub fn raise_process(signal: c_int) -> Result<(), Errno> {
    kill(crate::getpid(), signal)
}

/// Sends a signal to this thread, `raise(3)`. Unless it is blocked, its handler has run when this returns.
///
/// Runs on any stack; safe in a signal handler, as `pthread_kill` to `pthread_self` is not with every libc.
///
/// # Errors
/// What libc says.
pub fn raise_thread(signal: c_int) -> Result<(), Errno> {
    // SAFETY: takes any number.
    unsafe { raw::raise(signal) }.done()
}

/// `sigaction(2)`: what was done about the signal before.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
///
/// # Safety
/// The handler is a function of the form that the flags say, and may run between any two instructions.
pub unsafe fn sigaction(signal: c_int, action: Option<&SigAction>) -> Result<SigAction, Errno> {
    let mut former = SigAction::new(crate::SIG_DFL, 0, SigSet::EMPTY);
    // SAFETY: by the caller; both outlive the call.
    unsafe { raw::sigaction(signal, or_null(action), &raw mut former) }.done()?;
    Ok(former)
}

/// `pthread_sigmask(3)`: the signals that were blocked before. With no set, `how` does not matter.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
pub fn pthread_sigmask(how: c_int, set: Option<&SigSet>) -> Result<SigSet, Errno> {
    let mut former = SigSet::EMPTY;
    // SAFETY: both outlive the call.
    unsafe { raw::pthread_sigmask(how, or_null(set), &raw mut former) }.number()?;
    Ok(former)
}

/// `sigaltstack(2)`: the stack before. Linux keeps one for each thread.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
///
/// # Safety
/// The memory is used for nothing else, for as long as it is this thread's signal stack.
pub unsafe fn sigaltstack(stack: Option<&SigStack>) -> Result<SigStack, Errno> {
    let mut former = SigStack::DISABLED;
    // SAFETY: by the caller; both outlive the call.
    unsafe { raw::sigaltstack(or_null(stack), &raw mut former) }.done()?;
    Ok(former)
}

//! Time.

use crate::abi::{Itimerspec, Itimerval, SigEvent, TimerId, Timespec};
use crate::{Errno, raw};
use core::ffi::{c_int, c_uint};
use core::ptr;

/// `usleep(3)`.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// `EINTR`: a signal came, and it has slept for less.
pub fn usleep(microseconds: c_uint) -> Result<(), Errno> {
    // SAFETY: takes any number.
    unsafe { raw::usleep(microseconds) }.done()
}

/// `nanosleep(2)`.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// `EINTR`: a signal came; `remaining` says for how long it has not slept. And what else libc says.
pub fn nanosleep(time: &Timespec, remaining: Option<&mut Timespec>) -> Result<(), Errno> {
    // SAFETY: both outlive the call.
    unsafe { raw::nanosleep(time, remaining.map_or(ptr::null_mut(), ptr::from_mut)) }.done()
}

/// `clock_gettime(2)`.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
pub fn clock_gettime(clock: c_int) -> Result<Timespec, Errno> {
    let mut time = Timespec::default();
    // SAFETY: the place outlives the call.
    unsafe { raw::clock_gettime(clock, &raw mut time) }.done()?;
    Ok(time)
}

/// `setitimer(2)`: what was left of the timer before.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
pub fn setitimer(which: c_int, value: &Itimerval) -> Result<Itimerval, Errno> {
    let mut former = Itimerval::default();
    // SAFETY: both outlive the call.
    unsafe { raw::setitimer(which, value, &raw mut former) }.done()?;
    Ok(former)
}

/// A timer of the process, deleted when it is dropped.
#[derive(Debug)]
pub struct Timer(TimerId);

// SAFETY: the kernel's timers belong to the process, not to a thread.
unsafe impl Send for Timer {}
// SAFETY: as above; the kernel sees to it that calls do not disturb each other.
unsafe impl Sync for Timer {}

impl Timer {
    /// `timer_create(2)`: a timer that is not armed.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// What libc says.
    pub fn new(clock: c_int, event: &SigEvent) -> Result<Self, Errno> {
        let mut event = *event;
        let mut timer = ptr::null_mut();
        // SAFETY: both outlive the call.
        unsafe { raw::timer_create(clock, &raw mut event, &raw mut timer) }.done()?;
        Ok(Self(timer))
    }

    /// `timer_settime(2)`: arms or disarms it; what was left before. With
    /// [`TIMER_ABSTIME`](crate::TIMER_ABSTIME) in `flags` the value is a point in time.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Errors
    /// What libc says.
    pub fn set(&self, flags: c_int, value: &Itimerspec) -> Result<Itimerspec, Errno> {
        let mut former = Itimerspec::default();
        // SAFETY: the timer lives; both outlive the call.
        unsafe { raw::timer_settime(self.0, flags, value, &raw mut former) }.done()?;
        Ok(former)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { raw::timer_delete(self.0) };
    }
}

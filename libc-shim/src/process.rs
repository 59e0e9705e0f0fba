//! The process as a whole.

use crate::{Errno, raw};
use core::ffi::{CStr, c_int, c_long};

/// `exit(3)`: runs what `atexit` has registered, then ends the program. The handlers run on the system stack;
/// they are C code like any other, and may call back. One that returns from `exit` stops the program by name.
///
/// Runs on any stack; not for signal handlers.
pub fn exit(code: c_int) -> ! {
    // SAFETY: takes any number.
    unsafe { raw::exit(code) }
}

/// `_exit(2)`: ends the program at once. No handler of `atexit` runs, no stream is flushed, nothing is called
/// back.
///
/// Runs on any stack; safe in a signal handler.
pub fn _exit(code: c_int) -> ! {
    // SAFETY: takes any number.
    unsafe { raw::_exit(code) }
}

/// `abort(3)`: ends the program by `SIGABRT`. No handler of `atexit` runs; one of `SIGABRT` does.
///
/// Runs on any stack; safe in a signal handler.
pub fn abort() -> ! {
    // SAFETY: may be called anywhere.
    unsafe { raw::abort() }
}

/// `getpid(2)`.
///
/// Runs on any stack; safe in a signal handler.
pub fn getpid() -> c_int {
    // SAFETY: may be called anywhere.
    unsafe { raw::getpid() }.result
}

/// `getenv(3)`: `None` when there is no such variable.
///
/// Runs on any stack; not for signal handlers.
///
/// # Safety
/// Nobody changes the environment while this runs and while the text is in use.
pub unsafe fn getenv<'a>(name: &CStr) -> Option<&'a CStr> {
    // SAFETY: (1) the name outlives the call; (2) what comes back is text that stays, by the caller.
    unsafe {
        let value = raw::getenv(name.as_ptr()).result;
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

/// `sysconf(3)`: `None` when there is no limit.
///
/// Runs on any stack; not for signal handlers.
///
/// # Errors
/// What libc says.
pub fn sysconf(name: c_int) -> Result<Option<c_long>, Errno> {
    // SAFETY: takes any number.
    let value = unsafe { raw::sysconf(name) };
    match (value.result, value.errno) {
        (-1, Errno(0)) => Ok(None),
        (-1, errno) => Err(errno),
        (value, _) => Ok(Some(value)),
    }
}

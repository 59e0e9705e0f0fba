//! Compiled C that calls back.

use core::ffi::{c_int, c_void};
use stackgate::arch;

unsafe extern "C" {
    fn c_outer(closure: *mut c_void) -> c_int;
}

stackgate::export! {
    /// Runs a closure that came through C.
    pub extern "C" fn test_run(closure: *mut c_void) {
        // SAFETY: `through` passes one that outlives the call.
        unsafe { (*closure.cast::<&mut dyn FnMut()>())() }
    }
}

/// Calls compiled C, two functions deep, that calls `f` back.
pub fn through(f: &mut dyn FnMut()) -> c_int {
    let mut closure = f;
    // SAFETY: C passes the closure to `test_run` and keeps it no longer than the call.
    unsafe { arch::asmcgocall(c_outer, (&raw mut closure).cast()) }
}

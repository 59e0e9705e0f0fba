//! Closures where a case wants them: in a task, in C, in a callback. The same with an operating system and without.

use crate::setup::{Task, adopted};
use core::ffi::{c_int, c_void};
use stackgate::{Resumed, asmcgocall};

/// Runs `f` in a task on a stack of 64 KiB, on this thread.
pub fn in_task<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn entry<F: FnMut()>(f: usize) -> usize {
        let f: *mut F = core::ptr::with_exposed_provenance_mut(f);
        // SAFETY: `in_task` passes a function that outlives the task.
        unsafe { (*f)() };
        7
    }
    adopted(|_| {
        let mut task = Task::new(64 << 10, entry::<F>);
        let f = (&raw mut f).expose_provenance();
        assert_eq!(task.resume(f), Resumed::Finished(7));
    });
}

/// Runs `f` as C would run, through `asmcgocall`.
pub fn in_c<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn run<F: FnMut()>(f: *mut c_void) -> c_int {
        // SAFETY: `in_c` passes a function that outlives the call.
        unsafe { (*f.cast::<F>())() };
        0
    }
    // SAFETY: `run` takes the function.
    unsafe { asmcgocall(run::<F>, (&raw mut f).cast()) };
}

/// Runs `f` as a callback of the C code that runs now, through the whole way in.
pub fn in_callback<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn run<F: FnMut()>(f: *mut c_void, _: usize, _: usize) {
        // SAFETY: `in_callback` passes a function that outlives the callback.
        unsafe { (*f.cast::<F>())() };
    }
    // SAFETY: `run` takes the function.
    unsafe { stackgate::enter(run::<F>, (&raw mut f).cast(), 0) };
}

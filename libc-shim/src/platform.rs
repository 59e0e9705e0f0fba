//! Linux as a platform.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};
use stackgate::{ErrnoFn, Platform};

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    fn abort() -> !;
    fn usleep(microseconds: u32) -> c_int;
    #[link_name = "write"]
    fn libc_write(fd: c_int, from: *const c_void, n: usize) -> isize;
}

/// How long a thread that waits for another sleeps before it looks again, in microseconds.
const LOOK_AGAIN: u32 = 200;

/// Hosted Linux. Pass it to [`set_platform`](stackgate::set_platform).
#[derive(Clone, Copy, Debug)]
pub struct Hosted;

impl Platform for Hosted {
    fn write(&self, mut message: &[u8]) {
        while !message.is_empty() {
            // SAFETY: the slice outlives the call.
            let n = unsafe { libc_write(2, message.as_ptr().cast(), message.len()) };
            let Ok(n @ 1..) = usize::try_from(n) else { return };
            message = &message[n..];
        }
    }

    fn abort(&self) -> ! {
        // SAFETY: may be called anywhere.
        unsafe { abort() }
    }

    fn thread_id(&self) -> usize {
        // The address of a variable that each thread has of its own.
        // SAFETY: reads no memory.
        unsafe { __errno_location() }.addr()
    }

    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        if word.load(Ordering::Acquire) == expected {
            // SAFETY: may be called anywhere.
            unsafe { usleep(LOOK_AGAIN) };
        }
        true
    }

    fn wake(&self, _word: &AtomicU32) {}

    fn errno(&self) -> Option<ErrnoFn> {
        Some(__errno_location)
    }
}

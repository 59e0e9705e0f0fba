//! An allocator that can be forbidden: for code that must not allocate.

use core::sync::atomic::{AtomicBool, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// Runs `f`, in which the program ends if any thread allocates or frees memory of Rust's, or opens a file.
///
/// Safe in a signal handler if `f` is.
pub fn forbidden<R>(f: impl FnOnce() -> R) -> R {
    let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both structures are there. No descriptor is below the limit, so that none can be opened.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut files);
        libc::setrlimit(libc::RLIMIT_NOFILE, &libc::rlimit { rlim_cur: 0, ..files });
    }
    FORBIDDEN.store(true, Ordering::SeqCst);
    let result = f();
    FORBIDDEN.store(false, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &files) };
    result
}

/// The system's allocator, except in [`forbidden`].
pub struct Forbidding;

fn look() {
    if FORBIDDEN.load(Ordering::Relaxed) {
        const WHAT: &[u8] = b"allocation is forbidden here\n";
        // SAFETY: the bytes are there.
        unsafe {
            libc::write(2, WHAT.as_ptr().cast(), WHAT.len());
            libc::abort()
        }
    }
}

// SAFETY: all is left to the system's.
unsafe impl GlobalAlloc for Forbidding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        look();
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        look();
        // SAFETY: by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        look();
        // SAFETY: by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        look();
        // SAFETY: by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

//! What C programs link: `libstackgate`, which asks for nothing, and with the feature `libc` `libstackgate-libc`.
//!
//! `cargo xtask dist` builds it, with a panic that ends the program, and makes everything local that is not called
//! `stackgate_`: two archives made by Rust can then be in one program. There is nothing here but what a program has
//! to have once, and a library must not: what happens on a panic, and where memory comes from. Where panics unwind,
//! for lints and tools, the standard library has both.

#![no_std]

#[cfg(panic = "unwind")]
extern crate std;

extern crate stackgate as _;
#[cfg(feature = "libc")]
extern crate stackgate_libc as _;

#[cfg(panic = "abort")]
mod end {
    use core::fmt::Write as _;
    use core::panic::PanicInfo;
    use stackgate::Console;

    /// Says where and why, if there is somebody to say it to. A fatal error without a platform comes here too.
    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        // There always is one then.
        #[cfg(feature = "libc")]
        let _ = stackgate::set_platform(&stackgate_libc::Hosted);
        let Some(platform) = stackgate::platform() else { stackgate::arch::trap() };
        let mut console = Console::new();
        _ = writeln!(console, "stackgate: {info}");
        console.flush();
        platform.abort()
    }
}

/// The C library's heap, from which the symbolizer's tables come.
#[cfg(all(panic = "abort", feature = "libc"))]
mod heap {
    use core::alloc::{GlobalAlloc, Layout};
    use core::ffi::{c_int, c_void};
    use core::ptr::null_mut;

    unsafe extern "C" {
        fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int;
        fn free(at: *mut c_void);
    }

    struct Heap;

    // SAFETY: C's functions promise what the trait asks for.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let mut at = null_mut();
            // SAFETY: room for an address; the alignment is a power of two, and of at least a word.
            let error =
                unsafe { posix_memalign(&raw mut at, layout.align().max(size_of::<usize>()), layout.size()) };
            if error == 0 { at.cast() } else { null_mut() }
        }

        unsafe fn dealloc(&self, at: *mut u8, _: Layout) {
            // SAFETY: from `alloc`.
            unsafe { free(at.cast()) };
        }
    }

    #[global_allocator]
    static HEAP: Heap = Heap;
}

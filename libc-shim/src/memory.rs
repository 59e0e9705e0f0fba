//! Memory.

use crate::{Errno, raw};
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

/// `mmap(2)`, with an offset of 64 bits on every CPU. The address is a wish, unless `flags` says otherwise.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
///
/// # Safety
/// With `MAP_FIXED`, nobody else uses that memory.
pub unsafe fn mmap(
    address: *mut u8,
    n: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> Result<NonNull<u8>, Errno> {
    const MAP_FAILED: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);
    // SAFETY: by the caller.
    let mapped = unsafe { raw::mmap(address.cast(), n, protection, flags, fd, offset) };
    if mapped.result == MAP_FAILED {
        return Err(mapped.errno);
    }
    // Address 0 can be had on request by a privileged program; nothing here can use it.
    NonNull::new(mapped.result.cast()).ok_or(Errno::ENOMEM)
}

/// `munmap(2)`. One that fails stops the program by name: memory that was to go away is still there, or the
/// address was wrong, and there is nothing that a caller could do about either.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Safety
/// The memory is the caller's, and nobody uses it any more.
pub unsafe fn munmap(address: *mut u8, n: usize) {
    // SAFETY: by the caller.
    unsafe { raw::munmap(address.cast(), n) };
}

/// `madvise(2)`. Advice that is not taken, on locked memory for example, is no error.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Safety
/// The memory is the caller's, and its contents may become what the advice makes of them.
pub unsafe fn madvise(address: *mut u8, n: usize, advice: c_int) {
    // SAFETY: by the caller.
    unsafe { raw::madvise(address.cast(), n, advice) };
}

/// `mprotect(2)`.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
///
/// # Safety
/// The memory is the caller's, and nobody uses it in a way that it no longer allows.
pub unsafe fn mprotect(address: *mut u8, n: usize, protection: c_int) -> Result<(), Errno> {
    // SAFETY: by the caller.
    unsafe { raw::mprotect(address.cast(), n, protection) }.done()
}

/// Up to where memory can be read without a gap, from `address` on; `address` itself if not even that can. No further
/// than a megabyte, by whole pages.
///
/// The kernel is made to read a word of each page, by a change of the signal mask that it has to refuse whatever the
/// word is. Runs on any stack; safe in a signal handler. Keeps errno.
#[cfg_attr(not(feature = "symbolizer"), allow(dead_code, reason = "the symbolizer looks for it"))]
pub(crate) fn readable_end(address: usize) -> usize {
    use crate::sys;
    /// Bytes.
    const FAR: usize = 1 << 20;
    /// `how` of `rt_sigprocmask(2)`: none that there is.
    const NO_HOW: core::ffi::c_int = -1;
    let page = stackgate::platform().map_or(0, |platform| platform.page_size());
    if page == 0 {
        return address;
    }
    let readable = |at: usize| {
        let set: *const u64 = core::ptr::with_exposed_provenance(at);
        // SAFETY: nothing but the kernel reads it, which says so where it cannot.
        unsafe {
            let refused = sys::syscall(
                sys::SYS_RT_SIGPROCMASK,
                NO_HOW,
                set,
                core::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
            refused == -1 && sys::errno() == sys::EINVAL
        }
    };
    // SAFETY: errno is this thread's, and stays where it is.
    let saved = unsafe { sys::__errno_location().read() };
    let mut at = address / page * page;
    while at.saturating_sub(address) < FAR && readable(at) {
        at = at.saturating_add(page);
    }
    // SAFETY: as above.
    unsafe { sys::__errno_location().write(saved) };
    at.max(address)
}

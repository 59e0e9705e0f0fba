//! Memory.

use crate::{Errno, raw};
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

/// `mmap(2)`, with an offset of 64 bits on every CPU. The address is a wish, unless `flags` says otherwise.
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
/// # Safety
/// The memory is the caller's, and nobody uses it any more.
pub unsafe fn munmap(address: *mut u8, n: usize) {
    // SAFETY: by the caller.
    unsafe { raw::munmap(address.cast(), n) };
}

/// `madvise(2)`. Advice that is not taken, on locked memory for example, is no error.
///
/// # Safety
/// The memory is the caller's, and its contents may become what the advice makes of them.
pub unsafe fn madvise(address: *mut u8, n: usize, advice: c_int) {
    // SAFETY: by the caller.
    unsafe { raw::madvise(address.cast(), n, advice) };
}

/// `mprotect(2)`.
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

//! Files.

use crate::abi::PollFd;
use crate::{Errno, raw};
use core::ffi::{CStr, c_int, c_uint, c_ulong};
use core::mem::ManuallyDrop;

/// A file descriptor that is closed when it is dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnedFd(c_int);

impl OwnedFd {
    /// Takes a descriptor over.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Safety
    /// Nobody else closes it.
    pub const unsafe fn from_raw(fd: c_int) -> Self {
        Self(fd)
    }

    /// Its number; it stays owned.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn as_raw(&self) -> c_int {
        self.0
    }

    /// Its number; nobody closes it any more.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn into_raw(self) -> c_int {
        ManuallyDrop::new(self).0
    }

    /// As [`read`].
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Errors
    /// What libc says, `EINTR` included.
    pub fn read(&self, to: &mut [u8]) -> Result<usize, Errno> {
        read(self.0, to)
    }

    /// As [`write()`].
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Errors
    /// What libc says, `EINTR` included.
    pub fn write(&self, from: &[u8]) -> Result<usize, Errno> {
        write(self.0, from)
    }

    /// Closes it, and says what a drop does not: whether what was written has arrived.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Errors
    /// What libc says. The descriptor is closed in any case, after `EINTR` too: Linux does not take a second
    /// attempt.
    pub fn close(self) -> Result<(), Errno> {
        // SAFETY: it is this one's to close.
        unsafe { close(self.into_raw()) }
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // SAFETY: it is this one's to close.
        let _ = unsafe { close(self.0) };
    }
}

/// `open(2)`, with offsets of 64 bits on every CPU.
///
/// `mode` counts where `flags` has `O_CREAT`; it is passed as the variadic argument that it is in C.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says, `EINTR` included.
pub fn open(name: &CStr, flags: c_int, mode: c_uint) -> Result<OwnedFd, Errno> {
    // SAFETY: the name outlives the call.
    unsafe { raw::open(name.as_ptr(), flags, mode) }.checked().map(OwnedFd)
}

/// `close(2)`, for a descriptor that nobody owns.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says. The descriptor is closed after `EINTR` too.
///
/// # Safety
/// The descriptor is the caller's to close.
pub unsafe fn close(fd: c_int) -> Result<(), Errno> {
    // SAFETY: by the caller.
    unsafe { raw::close(fd) }.done()
}

/// `read(2)`: how many bytes were read, 0 at the end.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says, `EINTR` included.
pub fn read(fd: c_int, to: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the slice outlives the call.
    let read = unsafe { raw::read(fd, to.as_mut_ptr().cast(), to.len()) };
    usize::try_from(read.result).map_err(|_| read.errno)
}

/// `write(2)`: how many bytes were written.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says, `EINTR` included.
pub fn write(fd: c_int, from: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice outlives the call.
    let written = unsafe { raw::write(fd, from.as_ptr().cast(), from.len()) };
    usize::try_from(written.result).map_err(|_| written.errno)
}

/// `poll(2)`: how many of them have something to say; 0 when the time was over. A negative time has no end.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says, `EINTR` included.
pub fn poll(fds: &mut [PollFd], milliseconds: c_int) -> Result<usize, Errno> {
    // SAFETY: the slice outlives the call.
    let ready = unsafe { raw::poll(fds.as_mut_ptr(), fds.len() as c_ulong, milliseconds) };
    usize::try_from(ready.result).map_err(|_| ready.errno)
}

//! Argument blocks, trampolines and wrappers.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt;
use stackgate::arch::asmcgocall;

/// The number by which libc says why a call failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub c_int);

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno {}", self.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Declares a libc function: the import, the block, the trampoline, and `call`, which runs it on the system
/// stack and returns the result with `errno`.
///
/// What follows `; ...` is passed as a variadic argument: the callee may count on what its ABI gives a variadic
/// function, on ppc64le room in the caller's frame for its arguments.
macro_rules! call {
    ($(#[$doc:meta])* $name:ident = $symbol:literal ($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        call!(@ $(#[$doc])* $name $symbol [$($arg: $ty),*] [$($arg: $ty,)*] $ret);
    };
    ($(#[$doc:meta])* $name:ident = $symbol:literal ($($arg:ident: $ty:ty),*; ... $varg:ident: $vty:ty) -> $ret:ty) => {
        call!(@ $(#[$doc])* $name $symbol [$($arg: $ty,)* ...] [$($arg: $ty,)* $varg: $vty,] $ret);
    };
    (@ $(#[$doc:meta])* $name:ident $symbol:literal [$($import:tt)*] [$($arg:ident: $ty:ty,)*] $ret:ty) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            #[repr(C)]
            pub struct Block { $(pub $arg: $ty,)* pub result: $ret, pub errno: c_int }

            unsafe extern "C" {
                #[link_name = $symbol]
                fn target($($import)*) -> $ret;
            }

            /// Runs on the system stack. `errno` is read on the same stack, right after the call.
            pub unsafe extern "C" fn trampoline(block: *mut c_void) -> c_int {
                // SAFETY: `call` passes its block; the arguments are the wrapper's affair.
                unsafe {
                    let block = &mut *block.cast::<Block>();
                    block.result = target($(block.$arg),*);
                    block.errno = *__errno_location();
                }
                0
            }

            /// Calls the function on the system stack.
            pub unsafe fn call($($arg: $ty),*) -> ($ret, Errno) {
                let mut block = Block { $($arg,)* result: Default::default(), errno: 0 };
                // SAFETY: the trampoline takes a Block; the arguments are the wrapper's affair.
                unsafe { asmcgocall(trampoline, (&raw mut block).cast()) };
                (block.result, Errno(block.errno))
            }
        }
    };
}

call! { sys_open = "open64" (name: *const c_char, flags: c_int; ... mode: c_int) -> c_int }
call! { sys_close = "close" (fd: c_int) -> c_int }
call! { sys_read = "read" (fd: c_int, to: *mut c_void, n: usize) -> isize }
call! { sys_write = "write" (fd: c_int, from: *const c_void, n: usize) -> isize }

/// `open(2)` with large-file offsets.
///
/// # Errors
/// What libc says.
pub fn open(name: &CStr, flags: c_int, mode: c_int) -> Result<c_int, Errno> {
    // SAFETY: the name outlives the call.
    let (fd, errno) = unsafe { sys_open::call(name.as_ptr(), flags, mode) };
    if fd < 0 { Err(errno) } else { Ok(fd) }
}

/// `close(2)`.
///
/// # Errors
/// What libc says.
pub fn close(fd: c_int) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    let (result, errno) = unsafe { sys_close::call(fd) };
    if result < 0 { Err(errno) } else { Ok(()) }
}

/// `read(2)`: how many bytes were read, 0 at the end.
///
/// # Errors
/// What libc says, `EINTR` included.
pub fn read(fd: c_int, to: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the slice outlives the call.
    let (n, errno) = unsafe { sys_read::call(fd, to.as_mut_ptr().cast(), to.len()) };
    usize::try_from(n).map_err(|_| errno)
}

/// `write(2)`: how many bytes were written.
///
/// # Errors
/// What libc says, `EINTR` included.
pub fn write(fd: c_int, from: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice outlives the call.
    let (n, errno) = unsafe { sys_write::call(fd, from.as_ptr().cast(), from.len()) };
    usize::try_from(n).map_err(|_| errno)
}

//! The entries as they are: a block, a trampoline and a call for each.
//!
//! Each module has the name of its function and holds a `Block`, in which the arguments and the outcome lie,
//! and the `trampoline`, which runs on the system stack. The function of the same name fills a block, passes
//! both to [`asmcgocall`], and returns what is in the block after:
//!
//! ```text
//!     managed stack                       system stack
//!   | the wrapper's frame  |            | AsmcgocallFrame  |
//!   |   Block              | <--------- | trampoline       |
//!   |     arguments        |            | libc's frames    | <- SP
//!   |     result, errno    |
//! ```
//!
//! # Conventions
//!
//! - The result comes back in the block, as wide as it is; `asmcgocall` itself would pass on no more than an
//!   `int`.
//! - `errno` is 0 before libc runs, is read on the same stack and thread directly after, and comes back in the
//!   block. What the thread's `errno` held before is put back, so that a call from a signal handler, or from a
//!   callback, disturbs neither the C code nor the other call that it came between.
//! - A call that a signal cuts short says `EINTR`. Nothing is repeated, but `pthread_create` in its wrapper.
//! - A `munmap` that fails, and a function that returns though it must not, end the program by name.
//! - `exit` runs what `atexit` has registered, on the system stack; that code may call back. `_exit` and
//!   `abort` run none of it.
//!
//! No closure and no call through a pointer lies on the way, other than `asmcgocall`'s of the trampoline: so an
//! entry can be called wherever `asmcgocall` can, which is on any stack, also in a signal handler that
//! interrupted a crossing between its change of g and its change of stack. What a handler may call is then
//! libc's question alone: [`Entry::handler_safe`].
//!
//! Arguments may point to the managed stack, and the block lies there: a runtime that moves stacks must not move
//! one from which a call through the shim is under way.
//!
//! # Safety
//!
//! As for the C function itself: each of these is `unsafe` for what its arguments mean to libc, and for nothing
//! else.

// Each function's safety is said once, above.
#![allow(clippy::missing_safety_doc, reason = "the module's own documentation has a section for all of them")]

use crate::Errno;
use crate::abi::{
    Itimerspec, Itimerval, PollFd, SigAction, SigEvent, SigSet, SigStack, StartFn, ThreadAttr, ThreadId,
    ThreadKey, TimerId, Timespec,
};
use crate::fatal::fatal;
use crate::sys::__errno_location;
use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::mem::MaybeUninit;
use stackgate::arch::asmcgocall;

/// What a libc function came to. Begins at a word's boundary in each block, as results do in Go's frames.
#[repr(C)]
#[cfg_attr(target_pointer_width = "32", repr(align(4)))]
#[cfg_attr(target_pointer_width = "64", repr(align(8)))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    /// What it returned.
    pub result: R,
    /// `errno` directly after; 0 if it was not set.
    pub errno: Errno,
}

/// How the failure of a function is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It does not fail: glibc has no way to on Linux.
    Never,
    /// -1, `MAP_FAILED` from `mmap`, and the reason in [`Outcome::errno`].
    Errno,
    /// The result is the error number, 0 for success.
    Number,
    /// A null pointer, which says that there is no such thing, and not why.
    Absent,
    /// The program is stopped by name.
    Fatal,
    /// It may fail, and nobody is told: advice need not be taken.
    Ignored,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the function and of the module here.
    pub name: &'static str,
    /// What it is called where the embedder brings the function, with the feature `libc-names`: `libc_` and the
    /// name.
    pub import: &'static str,
    /// The platform's symbol for it on 64-bit CPUs.
    pub symbol_64: &'static str,
    /// The same on 32-bit CPUs.
    pub symbol_32: &'static str,
    /// How its failure is told.
    pub failure: Failure,
    /// Whether a signal handler may call it wherever it came.
    pub handler_safe: bool,
}

impl Entry {
    /// The platform's symbol on this CPU.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub const fn symbol(&self) -> &'static str {
        if cfg!(target_pointer_width = "32") { self.symbol_32 } else { self.symbol_64 }
    }
}

/// The second name if there is one.
macro_rules! last_of {
    ($first:ident) => {
        stringify!($first)
    };
    ($first:ident $last:ident) => {
        stringify!($last)
    };
}

/// `true` for `safe`.
macro_rules! is_safe {
    (safe) => {
        true
    };
    (unsafe) => {
        false
    };
}

/// What the trampoline of a function does about its result before it returns.
macro_rules! settle {
    ($name:ident Fatal $result:ident $errno:expr) => {
        if $result != 0 {
            fatal(
                concat!(stringify!($name), " failed"),
                $errno,
                "the arguments are not what they must be: find out who else has changed this memory",
            );
        }
    };
    ($name:ident $failure:ident $result:ident $errno:expr) => {};
}

/// The import of a function as `target`.
macro_rules! import {
    ($name:ident [$($symbol:ident)+] ($($params:tt)*) $(-> $ret:ty)?) => {
        #[allow(
            clashing_extern_declarations,
            reason = "what must not return is declared as if it did, so that one which does is noticed"
        )]
        unsafe extern "C" {
            #[cfg_attr(not(feature = "libc-names"), link_name = symbol_here!($($symbol)+))]
            #[cfg_attr(feature = "libc-names", link_name = concat!("libc_", stringify!($name)))]
            pub(crate) fn target($($params)*) $(-> $ret)?;
        }
    };
}

/// The symbol of a function on this CPU.
#[cfg(all(not(feature = "libc-names"), target_pointer_width = "64"))]
macro_rules! symbol_here {
    ($symbol:ident $($symbol_32:ident)?) => {
        stringify!($symbol)
    };
}
#[cfg(all(not(feature = "libc-names"), target_pointer_width = "32"))]
macro_rules! symbol_here {
    ($($symbol:ident)+) => {
        last_of!($($symbol)+)
    };
}

/// Makes the list and, row by row, everything else.
macro_rules! define {
    ($(
        $name:ident = $symbol:ident $(| $symbol_32:ident)?
        ($([out $out:ident: $out_ty:ty])? $($arg:ident: $ty:ty),* $(; ... $rest:ident: $rest_ty:ty)?)
        $(-> $ret:ty)?, $failure:ident, $handlers:tt;
    )*) => {
        /// Every entry.
        pub const ENTRIES: &[Entry] = &[$(
            Entry {
                name: stringify!($name),
                import: concat!("libc_", stringify!($name)),
                symbol_64: stringify!($symbol),
                symbol_32: last_of!($symbol $($symbol_32)?),
                failure: Failure::$failure,
                handler_safe: is_safe!($handlers),
            }
        ),*];
        $(
            define! {
                @row $name [$symbol $($symbol_32)?] [$($out: $out_ty)?] [$($arg: $ty,)*]
                [$($rest: $rest_ty)?] [$($ret)?] $failure
            }
        )*
    };
    // The functions that return.
    (@row
        $name:ident $symbol:tt [] [$($arg:ident: $ty:ty,)*] [] [$ret:ty] $failure:ident
    ) => {
        define! {
            @one $name $symbol [] [$($arg: $ty,)*] [$ret] $failure ($($arg: $ty),*)
        }
    };
    (@row
        $name:ident $symbol:tt [$out:ident: $out_ty:ty] [$($arg:ident: $ty:ty,)*] [] [$ret:ty] $failure:ident
    ) => {
        define! {
            @one $name $symbol [$out $out_ty] [$($arg: $ty,)*] [$ret] $failure ($out: *mut $out_ty, $($arg: $ty),*)
        }
    };
    (@row
        $name:ident $symbol:tt [] [$($arg:ident: $ty:ty,)*] [$rest:ident: $rest_ty:ty] [$ret:ty] $failure:ident
    ) => {
        define! {
            @one $name $symbol [] [$($arg: $ty,)* $rest: $rest_ty,] [$ret] $failure ($($arg: $ty),*, ...)
        }
    };
    (@one
        $name:ident $symbol:tt [$($out:ident $out_ty:ty)?] [$($arg:ident: $ty:ty,)*] [$ret:ty] $failure:ident
        ($($params:tt)*)
    ) => {
        #[doc = concat!("The block and the trampoline of `", stringify!($name), "`.")]
        pub mod $name {
            use super::*;

            #[doc = concat!("What `", stringify!($name), "` takes, and what came of it.")]
            #[repr(C)]
            #[derive(Debug)]
            pub struct Block {
                $(#[doc = "An argument."] pub $arg: $ty,)*
                /// Written by the trampoline.
                pub outcome: MaybeUninit<Outcome<$ret>>,
            }

            import!($name $symbol ($($params)*) -> $ret);

            #[doc = concat!("Calls `", stringify!($name), "` with what is in the [`Block`] that it is given.")]
            ///
            /// Runs on a system stack: for [`asmcgocall`]. Returns 0.
            pub unsafe extern "C" fn trampoline(block: *mut c_void) -> c_int {
                let block = block.cast::<Block>();
                // SAFETY: (1) the caller passes the block, with arguments that the function may be called with;
                // (2) this thread's errno stays where it is.
                unsafe {
                    let errno = __errno_location();
                    let former = errno.read();
                    errno.write(0);
                    $(let mut $out = MaybeUninit::<$out_ty>::uninit();)?
                    let result = target($($out.as_mut_ptr(),)? $((*block).$arg),*);
                    (*block).outcome.write(Outcome { result, errno: Errno(errno.read()) });
                    settle!($name $failure result Errno(errno.read()));
                    errno.write(former);
                }
                0
            }
        }

        #[doc = concat!("Calls `", stringify!($name), "` on the system stack.")]
        #[inline]
        pub unsafe fn $name($($arg: $ty),*) -> Outcome<$ret> {
            let mut block = $name::Block { $($arg,)* outcome: MaybeUninit::uninit() };
            // SAFETY: (1) the trampoline takes this block and writes the outcome; (2) the arguments are the
            // caller's affair.
            unsafe {
                asmcgocall($name::trampoline, (&raw mut block).cast());
                block.outcome.assume_init()
            }
        }
    };
    // Those that do not.
    (@row
        $name:ident $symbol:tt [] [$($arg:ident: $ty:ty,)*] [] [] $failure:ident
    ) => {
        #[doc = concat!("The block and the trampoline of `", stringify!($name), "`.")]
        pub mod $name {
            use super::*;

            #[doc = concat!("What `", stringify!($name), "` takes.")]
            #[repr(C)]
            #[derive(Debug)]
            pub struct Block {
                $(#[doc = "An argument."] pub $arg: $ty,)*
            }

            import!($name $symbol ($($arg: $ty),*));

            #[doc = concat!("Calls `", stringify!($name), "` with what is in the [`Block`] that it is given.")]
            ///
            /// Runs on a system stack: for [`asmcgocall`]. Does not return.
            pub unsafe extern "C" fn trampoline(block: *mut c_void) -> c_int {
                let _block = block.cast::<Block>();
                // SAFETY: the caller passes the block.
                unsafe { target($((*_block).$arg),*) };
                fatal(
                    concat!(stringify!($name), " returned"),
                    Errno(0),
                    "the C library must not return from it: find out what stands in its place",
                )
            }
        }

        #[doc = concat!("Calls `", stringify!($name), "` on the system stack.")]
        #[inline(always)]
        pub unsafe fn $name($($arg: $ty),*) -> ! {
            let mut block = $name::Block { $($arg,)* };
            // SAFETY: the trampoline takes this block.
            unsafe { asmcgocall($name::trampoline, (&raw mut block).cast()) };
            unreachable!("the trampoline does not return")
        }
    };
}

entries!(define);

impl Entry {
    /// The row of a function.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn find(name: &str) -> Option<&'static Self> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }
}

/// Asserts where the fields of a block lie, as `field: 32 bits, 64 bits`.
macro_rules! offsets {
    ($($name:ident { $($field:ident: $at_32:literal, $at_64:literal;)* })*) => {
        $($(
            const _: () = assert!(
                core::mem::offset_of!($name::Block, $field)
                    == if cfg!(target_pointer_width = "32") { $at_32 } else { $at_64 },
                concat!(stringify!($name), ".", stringify!($field)),
            );
        )*)*
    };
}

// The blocks of the seed, Go's commit "use libc calls for system calls on darwin" (runtime: 2018), where each
// is the frame of a Go function: arguments, then results from the next word on. The result is `outcome` here,
// which is as wide as C has it and has errno behind it, where the seed keeps an `int32` and no errno.
offsets! {
    exit { code: 0, 0; }
    open { name: 0, 0; flags: 4, 8; mode: 8, 12; outcome: 12, 16; }
    close { fd: 0, 0; outcome: 4, 8; }
    // `n` is a `size_t` here, an `int32` there.
    read { fd: 0, 0; to: 4, 8; n: 8, 16; outcome: 12, 24; }
    // `fd` fills a word there.
    write { fd: 0, 0; from: 4, 8; n: 8, 16; outcome: 12, 24; }
    mmap { address: 0, 0; n: 4, 8; protection: 8, 16; flags: 12, 20; fd: 16, 24; }
    // The seed returns nothing of the next two.
    munmap { address: 0, 0; n: 4, 8; }
    madvise { address: 0, 0; n: 4, 8; advice: 8, 16; }
    usleep { microseconds: 0, 0; }
    pthread_attr_init { attributes: 0, 0; outcome: 4, 8; }
    pthread_attr_setstacksize { attributes: 0, 0; size: 4, 8; outcome: 8, 16; }
    // `state` and `signal` fill a word there; ours are `int`s at the same place.
    pthread_attr_setdetachstate { attributes: 0, 0; state: 4, 8; outcome: 8, 16; }
    pthread_create { attributes: 0, 0; start: 4, 8; argument: 8, 16; outcome: 12, 24; }
    pthread_kill { thread: 0, 0; signal: 4, 8; outcome: 8, 16; }
    pthread_self { outcome: 0, 0; }
}

// On purpose not the seed's: the offset is 64 bits wide on every CPU (there 32 bits at 20 or 28), so that what
// follows is pushed on, and further where 64 bits are aligned to 8.
const _: () = {
    use core::mem::{align_of, offset_of};
    let seed = if cfg!(target_pointer_width = "32") { 20usize } else { 28 };
    assert!(offset_of!(mmap::Block, offset) == seed.next_multiple_of(align_of::<i64>()), "mmap.offset");
    assert!(offset_of!(mmap::Block, outcome) == offset_of!(mmap::Block, offset) + 8, "mmap.outcome");
};

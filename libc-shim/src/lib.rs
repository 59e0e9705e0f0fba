//! The hosted side of stackgate: Linux as a [`Platform`](stackgate::Platform), and libc for code on small stacks.
//!
//! [`raw`] has a block and a trampoline for each libc function, and says how calls go; [`ENTRIES`] lists them.
//! The functions here are what Rust code calls: they take slices, `&CStr` and references, and return
//! `Result<_, Errno>`. They run on any stack, also on a task's of 2 KiB, and in a signal handler where their
//! entry says so ([`Entry::handler_safe`]).
//!
//! glibc 2.34 or later: on 32-bit CPUs the functions that take 64-bit times are used.
//!
//! Beside that there is what a runtime on Linux needs and what rests on any platform: managed stacks
//! ([`Stacks`]), threads that are m's before a signal can find them ([`start_thread`]), signal handlers beside those
//! of C ([`handle_signal`]), stack overflows that are named ([`handle_overflow`]), and every other fault
//! ([`handle_faults`]).
//!
//! A CPU without atomic operations on 64 bits, a microcontroller, has no [`Stacks`], no [`handle_signal`], no
//! [`handle_overflow`] and no [`handle_faults`].
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | |
//! |---|---|
//! | `symbolizer` | a module of that name, by which tracebacks show function, file and line; needs an allocator |
//! | `libc-names` | imports each function as `libc_` and its name, where there is no C library |

#![no_std]
#![cfg_attr(not(target_has_atomic = "64"), allow(dead_code, reason = "what is left out there would use it"))]

#[cfg(feature = "symbolizer")]
extern crate alloc;

#[macro_use]
mod table;

pub mod abi;
// Where the embedder brings the functions there is no hosted Linux to give to C.
#[cfg(all(target_has_atomic = "64", not(feature = "libc-names")))]
pub mod capi;
mod errno;
mod fatal;
#[cfg(target_has_atomic = "64")]
mod faults;
mod files;
#[cfg(target_has_atomic = "64")]
mod handlers;
mod memory;
mod platform;
mod process;
pub mod raw;
mod signals;
#[cfg(target_has_atomic = "64")]
mod stacks;
mod start;
#[cfg(feature = "symbolizer")]
pub mod symbolizer;
mod sys;
mod tables;
mod threads;
mod time;

pub use abi::{Itimerspec, Itimerval, PollFd, SigAction, SigEvent, SigSet, SigStack, Timespec, Timeval};
pub use errno::Errno;
#[cfg(target_has_atomic = "64")]
pub use faults::{handle_faults, handle_overflow};
pub use files::{OwnedFd, close, open, poll, read, write};
#[cfg(target_has_atomic = "64")]
pub use handlers::{SignalHandler, Verdict, handle_signal};
pub use memory::{madvise, mmap, mprotect, munmap};
pub use platform::{Hosted, guards_by_advice, handle_fork, use_mprotect_guards};
pub use process::{_exit, abort, exit, getenv, getpid, sysconf};
pub use raw::{ENTRIES, Entry, Failure, Outcome};
pub use signals::{kill, pthread_sigmask, raise_process, raise_thread, sigaction, sigaltstack};
#[cfg(target_has_atomic = "64")]
pub use stacks::{ManagedStack, StackOptions, Stacks};
pub use start::{
    ExitError, SIGNAL_STACK, SYSTEM_STACK, ThreadMain, ThreadOptions, discard_thread, exit_thread,
    least_signal_stack, mstart, prepare_thread, reap_threads, start_thread,
};
pub use tables::register_own_tables;
pub use threads::{
    Key, START_TRIES, Thread, ThreadAttributes, pthread_atfork, pthread_create, pthread_kill, pthread_self,
};
pub use time::{Timer, clock_gettime, nanosleep, setitimer, usleep};

use core::ffi::{c_int, c_short};

/// Makes the constants.
macro_rules! define_constants {
    ($($name:ident: $ty:ty = $value:expr;)*) => {
        $(
            #[doc = concat!("C's `", stringify!($name), "`.")]
            pub const $name: $ty = $value;
        )*
    };
}
constants!(define_constants);

impl<R> Outcome<R> {
    /// The result, or the error where libc says -1.
    fn checked(self) -> Result<R, Errno>
    where
        R: PartialEq + From<i8>,
    {
        if self.result == R::from(-1) { Err(self.errno) } else { Ok(self.result) }
    }
}

impl Outcome<c_int> {
    /// Nothing, or the error where libc says -1.
    fn done(self) -> Result<(), Errno> {
        self.checked().map(|_| ())
    }

    /// Nothing, or the error that libc returned.
    fn number(self) -> Result<(), Errno> {
        if self.result == 0 { Ok(()) } else { Err(Errno(self.result)) }
    }
}

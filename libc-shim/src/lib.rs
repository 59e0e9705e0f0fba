//! The hosted side of stackgate: Linux as a [`Platform`](stackgate::Platform), and libc for code on small stacks.
//!
//! Each libc function has an argument block and a trampoline. The wrapper fills the block on the caller's
//! stack and passes its address to `asmcgocall` together with the trampoline, which runs on the system stack,
//! unpacks the block, calls libc and puts the result and `errno` back. No closure and no indirect call lies
//! on the way, so a wrapper can be called from a small stack and from a signal handler that interrupted a
//! crossing.
//!
//! Beside that there is what a runtime on Linux needs and what rests on any platform: managed stacks
//! ([`Stacks`]), threads that are m's before a signal can find them ([`start_thread`]), and stack overflows that
//! are named ([`handle_overflow`]).

#![no_std]

mod calls;
mod overflow;
mod platform;
mod stacks;
mod start;
mod sys;
mod tables;

pub use calls::{Errno, close, open, read, write};
pub use overflow::handle_overflow;
pub use platform::{Hosted, guards_by_advice, handle_fork, use_mprotect_guards};
pub use stacks::{ManagedStack, StackOptions, Stacks};
pub use start::{
    ExitError, SIGNAL_STACK, SYSTEM_STACK, ThreadMain, ThreadOptions, discard_thread, exit_thread,
    least_signal_stack, mstart, prepare_thread, reap_threads, start_thread,
};
pub use tables::register_own_tables;

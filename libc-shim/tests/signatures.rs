//! Compares the table with the `libc` crate: each signature, each structure, each number. All of it when this is
//! compiled, for each CPU; there is nothing to run.
//!
//! On 32-bit CPUs the `libc` crate has the structures of 32-bit times, where the shim has the other ones: there
//! the functions are compared and not what they point to. The guests' C compiler knows both
//! (`qemu-tests/c/shim.c`).

#[macro_use]
#[path = "../src/table.rs"]
mod table;

use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::mem::{align_of, offset_of, size_of};
use stackgate_libc::{Errno, abi};

/// What the table's names mean to the `libc` crate.
mod c {
    pub use libc::{
        itimerspec as Itimerspec, itimerval as Itimerval, pollfd as PollFd, pthread_attr_t as ThreadAttr,
        pthread_key_t as ThreadKey, pthread_t as ThreadId, sigaction as SigAction, sigevent as SigEvent,
        sigset_t as SigSet, stack_t as SigStack, timer_t as TimerId, timespec as Timespec,
    };
    pub type StartFn = extern "C" fn(*mut core::ffi::c_void) -> *mut core::ffi::c_void;
}
use c::*;

/// Each entry has the type of the crate's function.
macro_rules! same_functions {
    ($(
        $name:ident = $symbol:ident $(| $symbol_32:ident)?
        ($([out $out:ident: $out_ty:ty])? $($arg:ident: $ty:ty),* $(; ... $rest:ident: $rest_ty:ty)?)
        $(-> $ret:ty)?, $failure:ident, $handlers:tt;
    )*) => {
        $(same_functions! { @row $symbol [$(*mut $out_ty,)? $($ty),*] [$($rest_ty)?] [$($ret)?] })*
    };
    (@row $symbol:ident [$($ty:ty),*] [] [$ret:ty]) => {
        const _: unsafe extern "C" fn($($ty),*) -> $ret = libc::$symbol;
    };
    // The type of the variadic argument is C's default promotion of a `mode_t`, which no signature tells.
    (@row $symbol:ident [$($ty:ty),*] [$rest:ty] [$ret:ty]) => {
        const _: unsafe extern "C" fn($($ty),*, ...) -> $ret = libc::$symbol;
        const _: () = assert!(size_of::<$rest>() >= size_of::<libc::mode_t>());
    };
    (@row $symbol:ident [$($ty:ty),*] [] []) => {
        const _: unsafe extern "C" fn($($ty),*) -> ! = libc::$symbol;
    };
}
entries!(same_functions);

/// Each constant has the crate's value. Signal handlers are addresses here.
macro_rules! same_constants {
    ($($name:ident: $ty:ty = $value:expr;)*) => {
        $(const _: () = assert!(stackgate_libc::$name as i64 == libc::$name as i64, stringify!($name));)*
    };
}
constants!(same_constants);

/// Each error has the crate's number on this CPU.
macro_rules! same_errnos {
    ($($name:ident = $number:expr;)*) => {
        $(const _: () = assert!(Errno::$name.0 == libc::$name, stringify!($name));)*
    };
}
errnos!(same_errnos);

/// Each structure has the crate's size and alignment, each field its place.
macro_rules! same_structures {
    ($($(#[$attribute:meta])* $ours:ident = $theirs:ident { $($field:ident = $their_field:ident),* };)*) => {
        $(
            $(#[$attribute])*
            const _: () = {
                assert!(size_of::<abi::$ours>() == size_of::<libc::$theirs>(), stringify!($ours));
                assert!(align_of::<abi::$ours>() == align_of::<libc::$theirs>(), stringify!($ours));
                $(assert!(
                    offset_of!(abi::$ours, $field) == offset_of!(libc::$theirs, $their_field),
                    stringify!($ours.$field),
                );)*
            };
        )*
    };
}
same_structures! {
    #[cfg(target_pointer_width = "64")]
    Timespec = timespec { sec = tv_sec, nsec = tv_nsec };
    #[cfg(target_pointer_width = "64")]
    Itimerspec = itimerspec { interval = it_interval, value = it_value };
    #[cfg(target_pointer_width = "64")]
    Timeval = timeval { sec = tv_sec, usec = tv_usec };
    #[cfg(target_pointer_width = "64")]
    Itimerval = itimerval { interval = it_interval, value = it_value };
    SigSet = sigset_t {};
    SigAction = sigaction {
        handler = sa_sigaction, mask = sa_mask, flags = sa_flags, restorer = sa_restorer
    };
    SigStack = stack_t { limit = ss_sp, flags = ss_flags, size = ss_size };
    SigEvent = sigevent {
        value = sigev_value, signal = sigev_signo, notify = sigev_notify, thread = sigev_notify_thread_id
    };
    PollFd = pollfd { fd = fd, events = events, revents = revents };
    ThreadAttr = pthread_attr_t {};
}

/// This file sees the table that the shim was made from.
macro_rules! rows {
    ($($name:ident = $symbol:ident $(| $symbol_32:ident)? ($($arguments:tt)*) $(-> $ret:ty)?, $failure:ident,
        $handlers:tt;)*) => { [$(stringify!($name)),*].len() };
}
const _: () = assert!(entries!(rows) == stackgate_libc::ENTRIES.len());

fn main() {}

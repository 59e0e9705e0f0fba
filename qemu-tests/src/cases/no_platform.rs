//! Programs that have not called `set_platform`, which the cases of this group leave out.

use crate::setup::{adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::c_void;
use core::ptr::null_mut;
use stackgate::{ExtraError, ServiceError, extra_ms, prepare_extra_ms, runtime_init_begin};
use stackgate_libc::{
    StackOptions, Stacks, ThreadOptions, mstart, prepare_thread, reap_threads, start_thread,
};

unsafe extern "C" fn never(_: *mut c_void) {
    std::process::exit(3);
}

fn services_are_not_here() {
    // SAFETY: not called.
    unsafe {
        let started = start_thread(&ThreadOptions::default(), never, null_mut());
        check_eq!(started, Err(ServiceError::NotHere));
        let prepared = prepare_thread(&ThreadOptions::default(), never, null_mut());
        check_eq!(prepared.err(), Some(ServiceError::NotHere));
    }
    check_eq!(reap_threads(), 0);
    check_eq!(prepare_extra_ms(1), Err(ExtraError::NoPlatform));
    check_eq!(extra_ms().made, 0);
    check_eq!(Stacks::new(StackOptions::default()).take(8192).err(), Some(ServiceError::NotHere));
}

fn crossings_need_none() {
    let mut levels = 0;
    adopted(|_| check!(stackgate::current_m().is_some()));
    in_task(|| in_c(|| in_callback(|| in_c(|| in_callback(|| levels = 2)))));
    check_eq!(levels, 2);
}

fn a_thread_starts() {
    // SAFETY: ends before it looks at what it got.
    unsafe { mstart(null_mut()) };
}

fn a_callback_waits() {
    runtime_init_begin().expect("nobody has begun");
    _ = std::thread::spawn(|| in_task(|| in_c(|| in_callback(|| ())))).join();
}

fn a_foreign_thread_calls() {
    in_callback(|| ());
}

cases! {
    "no platform";
    "services" => services_are_not_here;
    "crossings" => crossings_need_none;
    "mstart" (fatal "thread start: no platform is set") => a_thread_starts;
    "a callback that waits" (fatal "no platform is set, so nothing can wake the caller") => a_callback_waits;
    "a callback without an m" (fatal "callback where none can run: call set_platform") => a_foreign_thread_calls;
}

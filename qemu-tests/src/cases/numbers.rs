//! Floating point: formatted in C and in callbacks, and the modes, which a crossing neither saves nor sets.

use crate::cases::nesting::through;
use crate::setup::{in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_char, c_int, c_void};
use stackgate::arch::asmcgocall;
use std::ffi::CStr;

#[repr(C)]
struct Format {
    value: f64,
    text: [c_char; 64],
}

unsafe extern "C" {
    fn c_format(format: *mut c_void) -> c_int;
    fn c_set_upward(arg: *mut c_void) -> c_int;
    fn c_set_nearest(arg: *mut c_void) -> c_int;
    fn c_is_upward(arg: *mut c_void) -> c_int;
    fn c_third(third: *mut c_void) -> c_int;
    fn c_raise_inexact(arg: *mut c_void) -> c_int;
    fn c_clear_inexact(arg: *mut c_void) -> c_int;
    fn c_test_inexact(arg: *mut c_void) -> c_int;
    fn c_outer(closure: *mut c_void) -> c_int;
}

fn formatted(call: impl FnOnce(*mut c_void) -> c_int) {
    let mut format = Format { value: -1234.5678, text: [0; 64] };
    let n = call((&raw mut format).cast());
    // SAFETY: snprintf ends it.
    let text = unsafe { CStr::from_ptr(format.text.as_ptr()) }.to_str().expect("ASCII");
    check_eq!(text, "-1234.568 0x1p-1 42 end");
    check_eq!(n as usize, text.len());
}

fn snprintf_on_the_system_stack() {
    // SAFETY: takes a Format.
    in_task(|| formatted(|f| unsafe { asmcgocall(c_format, f) }));
}

fn snprintf_in_a_callback() {
    // SAFETY: takes a Format.
    in_task(|| in_c(|| in_callback(|| formatted(|f| unsafe { asmcgocall(c_format, f) }))));
}

fn snprintf_on_the_managed_stack() {
    // SAFETY: takes a Format; 64 KiB are enough for it.
    in_task(|| in_c(|| in_callback(|| formatted(|f| unsafe { c_format(f) }))));
}

fn doubles_through_managed_frames() {
    in_task(|| {
        let mut sum = 0.0f64;
        for i in 0..100 {
            let x = f64::from(i) * 0.25;
            through(c_outer, || sum += x);
        }
        check_eq!(sum, 1237.5);
    });
}

fn call(f: unsafe extern "C" fn(*mut c_void) -> c_int) -> c_int {
    // SAFETY: the functions passed here take nothing.
    unsafe { asmcgocall(f, core::ptr::null_mut()) }
}

fn direct(f: unsafe extern "C" fn(*mut c_void) -> c_int) -> c_int {
    // SAFETY: as above.
    unsafe { f(core::ptr::null_mut()) }
}

fn third() -> u64 {
    let mut third = 0.0f64;
    // SAFETY: takes a double.
    unsafe { asmcgocall(c_third, (&raw mut third).cast()) };
    third.to_bits()
}

fn rounding_set_by_c_stays() {
    in_task(|| {
        let nearest = third();
        check_eq!(call(c_set_upward), 0);
        check!(direct(c_is_upward) == 1, "managed code runs in the mode that C set");
        check_eq!(third(), nearest + 1, "C computes in it");
        check_eq!(call(c_set_nearest), 0);
        check_eq!(third(), nearest);
    });
}

fn rounding_set_by_managed_code_reaches_c() {
    in_task(|| {
        let nearest = third();
        check_eq!(direct(c_set_upward), 0);
        check_eq!(call(c_is_upward), 1, "C runs in the mode that managed code set");
        check_eq!(third(), nearest + 1);
        check_eq!(direct(c_set_nearest), 0);
    });
}

fn rounding_set_by_c_reaches_a_callback() {
    in_task(|| {
        in_c(|| {
            check_eq!(direct(c_set_upward), 0);
            in_callback(|| check_eq!(direct(c_is_upward), 1, "a callback runs in the mode of C"));
            check_eq!(direct(c_set_nearest), 0);
        });
    });
}

fn rounding_set_by_a_callback_stays_in_c() {
    in_task(|| {
        in_c(|| {
            in_callback(|| check_eq!(direct(c_set_upward), 0));
            check_eq!(direct(c_is_upward), 1, "C goes on in the mode that the callback set");
            check_eq!(direct(c_set_nearest), 0);
        });
        check_eq!(call(c_is_upward), 0);
    });
}

fn rounding_belongs_to_the_thread_not_to_the_task() {
    unsafe extern "C" fn sets_and_parks(_: usize) -> usize {
        check_eq!(direct(c_set_upward), 0);
        stackgate::park(1).expect("a task parks");
        check_eq!(direct(c_is_upward), 0, "what the scheduler set holds here");
        2
    }
    crate::setup::adopted(|_| {
        let mut task = crate::setup::Task::new(64 << 10, sets_and_parks);
        check_eq!(task.resume(0), stackgate::Resumed::Parked(1));
        check_eq!(direct(c_is_upward), 1, "a switch leaves the modes alone");
        check_eq!(direct(c_set_nearest), 0);
        check_eq!(task.resume(0), stackgate::Resumed::Finished(2));
    });
}

fn exceptions_raised_in_c_are_seen() {
    in_task(|| {
        check_eq!(call(c_raise_inexact), 1);
        check_eq!(direct(c_test_inexact), 1, "flags that C raised are seen by managed code");
        check_eq!(direct(c_clear_inexact), 0);
        check_eq!(call(c_test_inexact), 0, "and what it clears is clear in C");
    });
}

fn exceptions_raised_in_a_callback_are_seen() {
    in_task(|| {
        in_c(|| {
            check_eq!(direct(c_clear_inexact), 0);
            in_callback(|| check_eq!(direct(c_raise_inexact), 1));
            check_eq!(direct(c_test_inexact), 1);
        });
    });
}

cases! {
    "numbers";
    "snprintf in C" => snprintf_on_the_system_stack;
    "snprintf in C below a callback" => snprintf_in_a_callback;
    "snprintf on the managed stack" => snprintf_on_the_managed_stack;
    "doubles" => doubles_through_managed_frames;
    "rounding: C to managed" => rounding_set_by_c_stays;
    "rounding: managed to C" => rounding_set_by_managed_code_reaches_c;
    "rounding: C to callback" => rounding_set_by_c_reaches_a_callback;
    "rounding: callback to C" => rounding_set_by_a_callback_stays_in_c;
    "rounding: over a switch" => rounding_belongs_to_the_thread_not_to_the_task;
    "exceptions: C to managed" => exceptions_raised_in_c_are_seen;
    "exceptions: callback to C" => exceptions_raised_in_a_callback_are_seen;
}

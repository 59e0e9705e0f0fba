//! What no stack is switched for: the least that the hardware allows, and what everything is compared with.

use crate::measure::Contestant;
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ptr::null_mut;
use stackgate::CFn;
use std::cell::Cell;

/// C that calls back so many times.
#[repr(C)]
pub struct Back {
    pub function: unsafe extern "C" fn(),
    pub times: usize,
}

unsafe extern "C" {
    fn bench_leaf(arg: *mut c_void) -> c_int;
    fn bench_leaf_void(arg: *mut c_void);
    fn bench_leaf_managed(frame: *mut c_void, n: usize, ctxt: usize);
    fn bench_counted(arg: *mut c_void) -> c_int;
    fn bench_counted_void(arg: *mut c_void);
    fn bench_counted_managed(frame: *mut c_void, n: usize, ctxt: usize);
    pub fn bench_call_back(back: *mut c_void) -> c_int;
    fn bench_call_back_once(back: *mut c_void) -> c_int;
    fn bench_counted_call_back_once(back: *mut c_void) -> c_int;
    static mut bench_count: usize;
}

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the functions below are those that count.
pub fn count_calls(counting: bool) {
    COUNTING.set(counting);
}

/// How often these were called since the last time.
pub fn take_count() -> usize {
    // SAFETY: one thread has it.
    unsafe { (&raw mut bench_count).replace(0) }
}

/// Counts one more.
pub fn count() {
    // SAFETY: one thread has it.
    unsafe { bench_count += 1 };
}

/// One of two functions, of which the compiler does not know which.
pub fn either<F>(leaf: F, counted: F) -> F {
    black_box(if COUNTING.get() { counted } else { leaf })
}

/// The C function that does nothing.
pub fn leaf() -> CFn {
    either(bench_leaf as CFn, bench_counted)
}

/// The same, and it returns nothing.
pub fn leaf_void() -> unsafe extern "C" fn(*mut c_void) {
    either(bench_leaf_void as unsafe extern "C" fn(*mut c_void), bench_counted_void)
}

/// The same, as a callback's crossing runs it.
pub fn leaf_managed() -> stackgate::CallbackFn {
    either(bench_leaf_managed as stackgate::CallbackFn, bench_counted_managed)
}

/// The C function that calls back once.
pub fn calls_back() -> CFn {
    either(bench_call_back_once as CFn, bench_counted_call_back_once)
}

/// What is called back.
extern "C" fn back() {}
extern "C" fn counted_back() {
    count();
}

/// A call through a pointer.
pub fn call() -> Contestant {
    Contestant::new("plain", "indirect C call", 1, |n| {
        let f = leaf();
        for _ in 0..n {
            // SAFETY: takes anything.
            unsafe { f(null_mut()) };
        }
    })
}

/// The same of a function without a result.
pub fn call_void() -> Contestant {
    Contestant::new("plain", "indirect C call", 1, |n| {
        let f = leaf_void();
        for _ in 0..n {
            // SAFETY: takes anything.
            unsafe { f(null_mut()) };
        }
    })
}

/// C calls back through a pointer, again and again.
pub fn callback() -> Contestant {
    Contestant::new("plain", "C callback", 1, |times| {
        let mut back = Back { function: either(back as extern "C" fn(), counted_back), times };
        // SAFETY: what it takes.
        unsafe { bench_call_back((&raw mut back).cast()) };
    })
}

/// A call through a pointer, of a function that calls back through one.
pub fn call_and_callback() -> Contestant {
    Contestant::new("plain", "indirect C call, C callback", 2, |n| {
        let f = calls_back();
        let mut back = Back { function: either(back as extern "C" fn(), counted_back), times: 1 };
        for _ in 0..n {
            // SAFETY: what it takes.
            unsafe { f((&raw mut back).cast()) };
        }
    })
}

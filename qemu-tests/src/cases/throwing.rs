//! Throwing through C, and Rust's panics.

use crate::cases::registers::{self, keeps};
use crate::setup::{Task, adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::traceback::{ContextArg, set_cgo_traceback};
use stackgate::{Resumed, arch, cgocall, cgocall_catch, current_g, current_m, park, throw};

unsafe extern "C" {
    fn c_panics(message: *mut c_void) -> c_int;
}

/// The word `n`, which is not 0.
fn number(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not 0")
}

/// Calls C that goes `levels` callbacks down, the innermost of which throws `word`; 0 throws nothing.
#[derive(Clone, Copy)]
struct Down {
    levels: usize,
    word: usize,
}

unsafe extern "C" fn down(job: *mut c_void) -> c_int {
    // SAFETY: who calls C passes a Down; C is below a task.
    unsafe { stackgate::enter(managed, job, size_of::<Down>()) };
    17
}

unsafe extern "C" fn managed(job: *mut c_void, _: usize, _: usize) {
    // SAFETY: `down` passes what it got.
    let Down { levels, word } = unsafe { *job.cast::<Down>() };
    if levels > 1 {
        let mut inner = Down { levels: levels - 1, word };
        // SAFETY: `down` takes a Down.
        let result = unsafe { cgocall(down, (&raw mut inner).cast()) };
        check_eq!(result, 17, "a level that nobody drops");
    } else if let Some(word) = NonZeroUsize::new(word) {
        // SAFETY: no frame down to the catch has a destructor.
        unsafe { throw(word) }
    }
}

/// Throws `word` through `levels` callbacks.
fn thrown(levels: usize, word: usize) -> Result<c_int, usize> {
    let mut job = Down { levels, word };
    // SAFETY: `down` takes a Down, and can be abandoned.
    unsafe { cgocall_catch(down, (&raw mut job).cast()) }.map_err(|thrown| thrown.word().get())
}

/// What a throw puts right: calls under way, calls ever made, where the system stack begins.
fn kept() -> [u64; 2] {
    // SAFETY: this thread's m.
    unsafe {
        let m = &*current_m().expect("an m");
        [m.ncgo.get(), m.g0.sched.sp.get()]
    }
}

fn through(levels: usize) {
    in_task(|| {
        let before = kept();
        check_eq!(thrown(levels, 0), Ok(17), "nothing is thrown");
        for word in [1, 55, usize::MAX] {
            check_eq!(thrown(levels, word), Err(word), "through {levels}");
            check_eq!(kept(), before, "counters and stack");
            // SAFETY: this task's g.
            check!(unsafe { (*current_g().expect("a task")).catch.get() }.is_null(), "nothing left to catch");
        }
    });
}

fn to_the_innermost() {
    in_task(|| {
        let mut caught = [0; 2];
        let at = (&raw mut caught).cast::<c_void>();
        unsafe extern "C" fn outer(at: *mut c_void) -> c_int {
            in_callback(|| {
                // SAFETY: the case passes two words.
                let caught = unsafe { &mut *at.cast::<[usize; 2]>() };
                caught[0] = thrown(2, 5).expect_err("thrown");
                // SAFETY: nothing with a destructor lies below.
                unsafe { throw(number(6)) }
            });
            unreachable!("it throws");
        }
        // SAFETY: `outer` takes two words.
        caught[1] = unsafe { cgocall_catch(outer, at) }.expect_err("thrown").word().get();
        check_eq!(caught, [5, 6]);
    });
}

fn a_hundred_thousand_times() {
    static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);
    static HIGHEST: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn notes(job: *mut c_void) -> c_int {
        let here = 0u8;
        let at = (&raw const here).addr();
        LOWEST.fetch_min(at, Ordering::Relaxed);
        HIGHEST.fetch_max(at, Ordering::Relaxed);
        // SAFETY: as `down`.
        unsafe { down(job) }
    }
    in_task(|| {
        let before = kept();
        for i in 1..=100_000 {
            let mut job = Down { levels: 1, word: i };
            // SAFETY: `notes` takes a Down.
            let word = unsafe { cgocall_catch(notes, (&raw mut job).cast()) };
            assert_eq!(word.expect_err("thrown").word().get(), i);
        }
        check_eq!(kept(), before, "after all of them");
        let (low, high) = (LOWEST.load(Ordering::Relaxed), HIGHEST.load(Ordering::Relaxed));
        check_eq!(high - low, 0, "bytes that the system stack has crept");
    });
}

/// `cgocall_catch` as a C function: every register of its caller has to come back.
unsafe extern "C" fn catches(levels: usize, word: usize) -> usize {
    thrown(levels, word).expect_err("thrown")
}

fn registers_of_who_catches() {
    in_task(|| {
        for (levels, seed) in [(1, 60), (10, 61)] {
            let args = [levels, 77, 0, 0];
            check_eq!(keeps("cgocall_catch", catches as *const () as usize, args, seed), 77);
        }
        // The throwing side puts junk into all of them first.
        let args = [registers::c_throws as *const () as usize, 0, 0, 0];
        unsafe extern "C" fn catches_junk(c: usize) -> usize {
            // SAFETY: the case passes a C function that takes anything.
            let c = unsafe { core::mem::transmute::<usize, stackgate::CFn>(c) };
            // SAFETY: as above.
            unsafe { cgocall_catch(c, core::ptr::null_mut()) }.expect_err("thrown").word().get()
        }
        check_eq!(keeps("cgocall_catch", catches_junk as *const () as usize, args, 62), 55);
    });
}

/// Contexts made and not given back, newest last.
static CONTEXTS: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
static MADE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn context(arg: *mut ContextArg) {
    let mut contexts = CONTEXTS.lock().expect("one thread");
    // SAFETY: stackgate passes one.
    let context = unsafe { &mut (*arg).context };
    if *context == 0 {
        *context = MADE.fetch_add(1, Ordering::Relaxed) + 1;
        contexts.push(*context);
    } else {
        assert_eq!(contexts.pop(), Some(*context), "the newest is given back first");
    }
}

fn contexts_are_released() {
    // SAFETY: the function takes what it is given.
    unsafe { set_cgo_traceback(0, None, Some(context), None) }.expect("the first set");
    in_task(|| {
        for levels in [1, 2, 10] {
            let made = MADE.load(Ordering::Relaxed);
            check_eq!(thrown(levels, 9), Err(9));
            check_eq!(MADE.load(Ordering::Relaxed) - made, levels, "contexts made");
            check_eq!(CONTEXTS.lock().expect("one thread").len(), 0, "contexts left after {levels} levels");
        }
    });
}

fn the_task_goes_on() {
    unsafe extern "C" fn entry(_: usize) -> usize {
        for i in 1..=5 {
            check_eq!(thrown(3, i), Err(i));
            check_eq!(park(i), Ok(i + 1), "a task that has caught can park");
        }
        5
    }
    adopted(|_| {
        let mut task = Task::new(32 << 10, entry);
        for i in 1..=5 {
            check_eq!(task.resume(i), Resumed::Parked(i));
        }
        check_eq!(task.resume(6), Resumed::Finished(5));
    });
}

fn from_c() {
    in_task(|| {
        for (message, wanted) in
            [(c"boom".as_ptr(), c"boom"), (core::ptr::null(), c"a panic without a message")]
        {
            // SAFETY: the message is a constant.
            let thrown = unsafe { cgocall_catch(c_panics, message.cast_mut().cast()) }.expect_err("thrown");
            let at: *const c_char = core::ptr::with_exposed_provenance(thrown.word().get());
            // SAFETY: what arrives is the message.
            check_eq!(unsafe { CStr::from_ptr(at) }, wanted);
        }
    });
}

stackgate::export! {
    /// Ends in a panic of Rust's.
    pub extern "C" fn test_panics(which: usize) -> usize {
        let _dropped = Dropped;
        assert!(which == 0, "which is {which}");
        12
    }
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Counts its destructor.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn a_rust_panic() {
    unsafe extern "C" fn c(which: *mut c_void) -> c_int {
        test_panics(which.addr()) as c_int
    }
    in_task(|| {
        std::panic::set_hook(Box::new(|_| {}));
        // SAFETY: `c` takes a number.
        let fine = unsafe { cgocall_catch(c, core::ptr::null_mut()) };
        check_eq!(fine, Ok(12));
        for n in 1..=3usize {
            let again = std::panic::catch_unwind(|| {
                // SAFETY: as above.
                let thrown = unsafe { cgocall_catch(c, core::ptr::without_provenance_mut(n)) };
                thrown.expect_err("thrown").resume_panic();
            });
            let payload = again.expect_err("a panic that goes on");
            check_eq!(payload.downcast_ref::<String>().map(String::as_str), Some(&*format!("which is {n}")));
            check_eq!(DROPPED.load(Ordering::Relaxed), n + 1, "destructors of the exported function");
        }
        // What was no panic is given back.
        let mut job = Down { levels: 1, word: 4 };
        // SAFETY: `down` takes a Down.
        let thrown = unsafe { cgocall_catch(down, (&raw mut job).cast()) }.expect_err("thrown");
        check_eq!(thrown.resume_panic().word().get(), 4);
    });
}

fn nothing_catches() {
    crate::symbols::register_once();
    in_task(|| {
        let mut job = Down { levels: 2, word: 1 };
        // SAFETY: `down` takes a Down.
        unsafe { cgocall(down, (&raw mut job).cast()) };
    });
}

fn nothing_catches_a_message() {
    // SAFETY: the message is a constant.
    in_task(|| unsafe { _ = cgocall(c_panics, c"what C says".as_ptr().cast_mut().cast()) });
}

fn a_rust_panic_that_nothing_catches() {
    unsafe extern "C" fn c(which: *mut c_void) -> c_int {
        test_panics(which.addr()) as c_int
    }
    // SAFETY: `c` takes a number.
    in_task(|| unsafe { _ = cgocall(c, core::ptr::without_provenance_mut(1)) });
}

fn outside_a_task() {
    // SAFETY: refused.
    adopted(|_| unsafe { throw(number(1)) });
}

fn no_task_below_c() {
    // SAFETY: refused.
    adopted(|_| unsafe { _ = c_panics(c"on g0".as_ptr().cast_mut().cast()) });
}

fn no_c_below() {
    in_task(|| {
        // Made to look as if the call that catches were the code that runs now.
        let mut catch = arch::CatchFrame::default();
        // SAFETY: this thread's m, and its g; the program ends.
        unsafe {
            catch.g0_sp = (*current_m().expect("an m")).g0.sched.sp;
            (*current_g().expect("a task")).catch = arch::frame::Ptr::new(&raw mut catch);
            throw(number(1))
        }
    });
}

fn on_a_system_stack_it_is_a_plain_call() {
    unsafe extern "C" fn plain(_: *mut c_void) -> c_int {
        31
    }
    adopted(|_| {
        // SAFETY: takes anything.
        check_eq!(unsafe { cgocall_catch(plain, core::ptr::null_mut()) }, Ok(31));
    });
    // SAFETY: takes anything.
    check_eq!(unsafe { cgocall_catch(plain, core::ptr::null_mut()) }, Ok(31), "without an m");
}

fn a_throw_of_nothing() {
    in_task(|| {
        in_c(|| {
            in_callback(|| {
                // SAFETY: refused by name.
                unsafe { stackgate::capi::stackgate_throw(0) }
            })
        })
    });
}

fn nowhere_to_put_it() {
    unsafe extern "C" fn plain(_: *mut c_void) -> c_int {
        0
    }
    // SAFETY: refused by name.
    unsafe {
        stackgate::capi::stackgate_cgocall_catch(Some(plain), core::ptr::null_mut(), core::ptr::null_mut())
    };
}

cases! {
    "throwing";
    "through one level" => || through(1);
    "through ten levels" => || through(10);
    "to the innermost" => to_the_innermost;
    "a hundred thousand times" => a_hundred_thousand_times;
    "registers of who catches" => registers_of_who_catches;
    "contexts are released" => contexts_are_released;
    "the task goes on" => the_task_goes_on;
    "from C" => from_c;
    "a Rust panic" => a_rust_panic;
    "on a system stack" => on_a_system_stack_it_is_a_plain_call;
    "nothing catches" (fatal "nothing catches a throw") => nothing_catches;
    "nothing catches, both parts are printed" (fatal "throwing::managed ... throwing::managed ... in_task::entry") => nothing_catches;
    "nothing catches what C says" (fatal "stackgate: thrown: what C says ... nothing catches a throw") => nothing_catches_a_message;
    "nothing catches a Rust panic" (fatal "which is 1 ... nothing catches a throw") => a_rust_panic_that_nothing_catches;
    "outside a task" (fatal "throw outside a task") => outside_a_task;
    "no task below C" (fatal "stackgate: thrown: on g0 ... a panic in C with no task below") => no_task_below_c;
    "nothing thrown" (fatal "throw of 0") => a_throw_of_nothing;
    "nowhere to put it" (fatal "nowhere to put what is thrown") => nowhere_to_put_it;
    "no C below" (fatal "throw with no C below") => no_c_below;
}

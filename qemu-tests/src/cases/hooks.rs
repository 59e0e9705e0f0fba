//! Hooks around C, and calls that promise not to call back.

use crate::setup::{adopted, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::{
    Hooks, HooksError, cgocall, cgocall_catch, cgocall_no_callback, current_g, current_m, set_hooks, throw,
};

/// What has happened: which hook, with or giving which word.
static LOG: std::sync::Mutex<Vec<(char, usize)>> = std::sync::Mutex::new(Vec::new());
static CALLS: AtomicUsize = AtomicUsize::new(0);

fn log(what: char, word: usize) {
    let mut log = LOG.lock().expect("one thread");
    if log.capacity() > log.len() {
        log.push((what, word));
    }
}

unsafe extern "C" fn entering_c() -> usize {
    let word = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    log('C', word);
    word
}

unsafe extern "C" fn left_c(word: usize) {
    log('c', word);
}

unsafe extern "C" fn entering_managed(word: usize) {
    log('M', word);
}

unsafe extern "C" fn leaving_managed(word: usize) {
    log('m', word);
}

static HOOKS: Hooks = Hooks { entering_c, left_c, entering_managed, leaving_managed };

/// Sets the hooks; forgets what has happened.
fn hooked() {
    // SAFETY: they write to a log of fixed size.
    unsafe { set_hooks(&HOOKS) }.expect("the first set");
    *LOG.lock().expect("one thread") = Vec::with_capacity(1000);
}

/// What has happened since.
fn log_so_far() -> String {
    let mut log = LOG.lock().expect("one thread");
    let text = log.iter().map(|(what, word)| format!("{what}{word}")).collect::<Vec<_>>().join(" ");
    log.clear();
    text
}

/// Calls `f` as a callback of C that is called by `cgocall`.
fn through_c(mut f: impl FnMut()) -> c_int {
    let mut f: &mut dyn FnMut() = &mut f;
    // SAFETY: `c` takes a closure.
    unsafe { cgocall(c, (&raw mut f).cast()) }
}

unsafe extern "C" fn c(f: *mut c_void) -> c_int {
    // SAFETY: `through_c` passes one.
    in_callback(|| unsafe { (*f.cast::<&mut dyn FnMut()>())() });
    5
}

unsafe extern "C" fn returns(_: *mut c_void) -> c_int {
    5
}

fn calls() {
    hooked();
    in_task(|| {
        // SAFETY: takes anything.
        check_eq!(unsafe { cgocall(returns, core::ptr::null_mut()) }, 5);
        check_eq!(log_so_far(), "C1 c1", "a call");
        check_eq!(through_c(|| ()), 5);
        check_eq!(log_so_far(), "C2 M2 m2 c2", "a callback");
        check_eq!(through_c(|| _ = through_c(|| ())), 5);
        check_eq!(log_so_far(), "C3 M3 C4 M4 m4 c4 m3 c3", "one in the other");
        through_c(|| {
            through_c(|| ());
            through_c(|| ());
        });
        check_eq!(log_so_far(), "C5 M5 C6 M6 m6 c6 C7 M7 m7 c7 m5 c5", "one after the other");
        // SAFETY: this thread's m.
        let m = unsafe { &*current_m().expect("an m") };
        check!(m.hooked.get().is_null() && stackgate::arch::frame::Word::get(m.hook) == 0, "nothing is left");
    });
}

fn throws() {
    hooked();
    /// Throws through as many levels.
    fn down(levels: usize) {
        if levels == 0 {
            // SAFETY: the closures between have no destructors.
            unsafe { throw(NonZeroUsize::MIN) }
        }
        through_c(|| down(levels - 1));
    }
    unsafe extern "C" fn throws(levels: *mut c_void) -> c_int {
        in_callback(|| down(levels.addr()));
        unreachable!("it throws")
    }
    in_task(|| {
        // SAFETY: `throws` takes a number.
        let thrown = |levels| unsafe { cgocall_catch(throws, core::ptr::without_provenance_mut(levels)) };
        check!(thrown(0).is_err());
        check_eq!(log_so_far(), "C1 M1 m1 c1", "one level");
        check!(thrown(2).is_err());
        check_eq!(log_so_far(), "C2 M2 C3 M3 C4 M4 m4 c4 m3 c3 m2 c2", "three levels");
        // In a callback that stays.
        through_c(|| check!(thrown(1).is_err()));
        check_eq!(log_so_far(), "C5 M5 C6 M6 C7 M7 m7 c7 m6 c6 m5 c5", "two levels, in a callback");
        check_eq!(through_c(|| ()), 5);
        check_eq!(log_so_far(), "C8 M8 m8 c8", "afterwards");
    });
}

fn not_on_a_system_stack() {
    hooked();
    adopted(|_| {
        // SAFETY: takes anything.
        check_eq!(unsafe { cgocall(returns, core::ptr::null_mut()) }, 5);
    });
    check_eq!(log_so_far(), "", "C was there already");
}

fn set_once() {
    hooked();
    // SAFETY: refused.
    let again = unsafe { set_hooks(&HOOKS) };
    check_eq!(again, Err(HooksError::AlreadySet));
    check!(again.expect_err("refused").to_string().len() > 20);
}

fn no_callback() {
    in_task(|| {
        // SAFETY: takes anything, and does not call back.
        check_eq!(unsafe { cgocall_no_callback(returns, core::ptr::null_mut()) }, 5);
        check_eq!(through_c(|| ()), 5, "callbacks are let in again");
        through_c(|| {
            // SAFETY: as above.
            check_eq!(unsafe { cgocall_no_callback(returns, core::ptr::null_mut()) }, 5);
            check_eq!(through_c(|| ()), 5, "in a callback too");
        });
    });
    // SAFETY: as above.
    check_eq!(unsafe { cgocall_no_callback(returns, core::ptr::null_mut()) }, 5, "without an m");
}

fn a_broken_promise() {
    in_task(|| {
        let mut f: &mut dyn FnMut() = &mut || ();
        // SAFETY: `c` takes a closure; the promise is broken on purpose.
        unsafe { cgocall_no_callback(c, (&raw mut f).cast()) };
    });
}

/// A signal handler's stack is gsignal's: managed code does not run there.
fn in_a_signal_handler() {
    in_task(|| {
        crate::setup::in_c(|| {
            // SAFETY: gsignal stands for this stack, as in a handler that came while C ran.
            unsafe {
                let m = current_m().expect("an m");
                stackgate::arch::setg(&raw mut (*m).gsignal);
                check!(current_g().is_some());
            }
            in_callback(|| ());
        });
    });
}

cases! {
    "hooks";
    "calls and callbacks" => calls;
    "throws" => throws;
    "not on a system stack" => not_on_a_system_stack;
    "set once" => set_once;
    "a call without callbacks" => no_callback;
    "a broken promise" (fatal "callback from a call that promised none") => a_broken_promise;
    "a callback in a signal handler" (fatal "callback from a signal handler") => in_a_signal_handler;
}

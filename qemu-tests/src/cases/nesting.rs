//! Calls and callbacks in each other.

use crate::setup::{adopted, in_c, in_task};
use crate::{cases, check, check_eq, setup};
use core::ffi::{c_int, c_void};
use stackgate::{arch, current_g, current_m};

unsafe extern "C" {
    fn c_outer(closure: *mut c_void) -> c_int;
    fn c_errno(closure: *mut c_void) -> c_int;
    fn c_qsort(words: *mut c_void) -> c_int;
}

type Closure<'a> = &'a mut dyn FnMut();

stackgate::export! {
    /// Runs a closure that came through C.
    pub extern "C" fn test_run(closure: *mut c_void) {
        // SAFETY: `through` passes one that outlives the call.
        unsafe { (*closure.cast::<Closure<'_>>())() }
    }

    /// Compares two ints for qsort.
    pub extern "C" fn test_compare(a: *const c_void, b: *const c_void) -> c_int {
        COMPARED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // SAFETY: qsort passes elements of the array of ints.
        unsafe { (*a.cast::<c_int>()).cmp(&*b.cast::<c_int>()) as c_int }
    }
}

static COMPARED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Calls `c` with a closure that C calls back.
pub fn through(c: unsafe extern "C" fn(*mut c_void) -> c_int, mut f: impl FnMut()) -> c_int {
    let mut closure: Closure<'_> = &mut f;
    // SAFETY: C passes the closure to `test_run` and keeps it no longer than the call.
    unsafe { arch::asmcgocall(c, (&raw mut closure).cast()) }
}

/// Goes `depth` calls and callbacks down and counts the way up.
fn down(depth: usize, level: usize, ups: &mut usize) {
    let g = current_g();
    let local = [level; 4];
    if level < depth {
        check_eq!(through(c_outer, || down(depth, level + 1, ups)), 2, "level {level}");
    }
    check_eq!(current_g(), g, "g at level {level}");
    check_eq!(core::hint::black_box(local), [level; 4], "locals at level {level}");
    *ups += 1;
}

fn nested(depth: usize) {
    adopted(|m| {
        // A task's stack of its own: each level takes some hundred bytes.
        let mut ups = 0;
        let mut body = || down(depth, 0, &mut ups);
        let mut closure: Closure<'_> = &mut body;
        unsafe extern "C" fn entry(closure: usize) -> usize {
            let closure: *mut Closure<'_> = core::ptr::with_exposed_provenance_mut(closure);
            // SAFETY: lives until the task ends.
            unsafe { (*closure)() };
            1
        }
        // SAFETY: this thread's m.
        let g0_sp = || unsafe { arch::frame::Word::get((*m).g0.sched.sp) };
        let mut task = setup::Task::new((depth + 16) * 2048, entry);
        check_eq!(task.resume((&raw mut closure).expose_provenance()), stackgate::Resumed::Finished(1));
        let first = g0_sp();
        check_eq!(ups, depth + 1, "every level came back");
        // And once more: the system stack has not crept.
        let mut ups_again = 0;
        let mut body = || down(depth.min(50), 0, &mut ups_again);
        let mut closure: Closure<'_> = &mut body;
        let mut task = setup::Task::new((depth + 16) * 2048, entry);
        check_eq!(task.resume((&raw mut closure).expose_provenance()), stackgate::Resumed::Finished(1));
        check!(g0_sp().abs_diff(first) < 4096, "the system stack has moved by {}", g0_sp().abs_diff(first));
    });
}

fn on_a_thread_with_room(depth: usize) {
    std::thread::Builder::new()
        .stack_size(16 << 20)
        .spawn(move || nested(depth))
        .expect("a thread")
        .join()
        .expect("no level failed");
}

fn errno_survives_a_callback() {
    unsafe extern "C" {
        fn __errno_location() -> *mut c_int;
    }
    in_task(|| {
        let got = through(c_errno, || {
            // SAFETY: this thread's errno.
            unsafe { *__errno_location() = 5 };
        });
        check_eq!(got, 77, "C finds its errno after the callback");
    });
}

fn qsort_with_a_managed_comparator() {
    in_task(|| {
        let mut words: Vec<c_int> = (0..1000).map(|i| (i * 7919) % 1000 - 500).collect();
        // SAFETY: a thousand ints.
        check_eq!(unsafe { arch::asmcgocall(c_qsort, words.as_mut_ptr().cast()) }, 3);
        check!(words.is_sorted(), "sorted");
        check_eq!(words.iter().sum::<c_int>(), -500, "nothing lost");
        check!(COMPARED.load(std::sync::atomic::Ordering::Relaxed) >= 4982, "n log2(n) / 2 comparisons");
    });
}

fn many_callbacks_in_one_call() {
    in_task(|| {
        let mut n = 0;
        in_c(|| {
            for _ in 0..10_000 {
                setup::in_callback(|| n += 1);
            }
        });
        check_eq!(n, 10_000);
    });
}

fn calls_in_a_callback_leave_the_m_as_it_was() {
    in_task(|| {
        let m = current_m().expect("an m");
        // SAFETY: this thread's m.
        let sp = || unsafe { arch::frame::Word::get((*m).g0.sched.sp) };
        let outside = sp();
        in_c(|| {
            check_eq!(sp(), outside, "in C");
            setup::in_callback(|| {
                let inside = sp();
                check!(inside < outside, "a callback has a frame on the system stack");
                in_c(|| check_eq!(sp(), inside, "in C below a callback"));
                check_eq!(sp(), inside, "back in the callback");
            });
            check_eq!(sp(), outside, "after the callback");
        });
        check_eq!(sp(), outside, "after C");
    });
}

cases! {
    "nesting";
    "depth 1" => || on_a_thread_with_room(1);
    "depth 2" => || on_a_thread_with_room(2);
    "depth 16" => || on_a_thread_with_room(16);
    "depth 100" => || on_a_thread_with_room(100);
    "depth 1000" => || on_a_thread_with_room(1000);
    "errno" => errno_survives_a_callback;
    "qsort" => qsort_with_a_managed_comparator;
    "many callbacks in one call" => many_callbacks_in_one_call;
    "g0.sched.sp" => calls_in_a_callback_leave_the_m_as_it_was;
}

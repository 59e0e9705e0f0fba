//! Calls and callbacks in each other.

use crate::setup::{adopted, in_c, in_task};
use crate::{cases, check, check_eq, setup};
use core::ffi::{c_int, c_void};
use core::ptr::with_exposed_provenance;
use stackgate::arch::frame::Word as _;
use stackgate::{arch, current_g, current_m};

unsafe extern "C" {
    fn c_outer(closure: *mut c_void) -> c_int;
    fn c_errno(closure: *mut c_void) -> c_int;
    fn c_qsort(words: *mut c_void) -> c_int;
    fn c_jumps(closures: *mut c_void) -> c_int;
    fn c_jumps_back(_: *mut c_void) -> c_int;
    fn c_on_stack(closure_and_ends: *mut c_void) -> c_int;
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

/// Calls C that a `longjmp` from below a callback leads back to; it calls `then` back, if there is one, perhaps from
/// deeper than where it has left.
fn jumps(then: Option<&mut dyn FnMut()>, deeper: bool) -> c_int {
    let mut f = || {
        // SAFETY: the frames between have nothing that must be done.
        unsafe { arch::asmcgocall(c_jumps_back, core::ptr::null_mut()) };
        unreachable!("C has left");
    };
    let mut first: Closure<'_> = &mut f;
    let mut then = then;
    let second = then.as_mut().map_or(core::ptr::null_mut(), |then| (&raw mut *then).cast::<c_void>());
    let deeper = core::ptr::without_provenance_mut(usize::from(deeper));
    let mut closures = [(&raw mut first).cast::<c_void>(), second, deeper];
    // SAFETY: C passes the closures to `test_run` and keeps them no longer than the call.
    unsafe { arch::asmcgocall(c_jumps, (&raw mut closures).cast()) }
}

/// Nothing else is refused, and nothing is lost: the task runs on, and the next one on this m as if nothing had been.
fn a_longjmp_over_managed_frames() {
    in_task(|| {
        let g = current_g();
        check_eq!(jumps(None, false), 2);
        check_eq!(current_g(), g);
        let mut ran = 0;
        in_c(|| ran += 1);
        check_eq!(ran, 1, "calls go on");
        check_eq!(stackgate::park(0), Err(stackgate::ParkError::BelowC));
    });
    in_task(|| check_eq!(through(c_outer, || ()), 2, "another task calls, and is called back"));
}

fn a_callback_after_a_longjmp() {
    in_task(|| {
        jumps(Some(&mut || unreachable!("it is refused")), false);
    });
}

/// Where C has called, the words of the call that it has left are no more.
fn a_callback_after_a_longjmp_from_deeper() {
    in_task(|| {
        jumps(Some(&mut || unreachable!("it is refused")), true);
    });
}

/// C that was called from a task calls back on a stack of its own, which lies above the system stack, and below it.
fn on_a_stack_of_cs_own() {
    const STACK: usize = 256 << 10;
    let memory: &'static mut [u128] = Box::leak(vec![0u128; 3 * STACK / 16].into_boxed_slice());
    let start = memory.as_mut_ptr().cast::<c_void>().wrapping_byte_add(STACK);
    unsafe extern "C" fn runs(below: *mut c_void) -> *mut c_void {
        setup::adopted(|m| {
            // SAFETY: this thread's m.
            let top = unsafe { stackgate::arch::frame::Word::get((*m).g0.stack.top) as usize };
            check_eq!(top, below.addr() + 2 * STACK, "the m knows its stack");
            let run = |limit: *mut c_void| {
                let mut task = setup::Task::new(64 << 10, entry);
                check_eq!(task.resume(limit.expose_provenance()), stackgate::Resumed::Finished(5));
            };
            run(below);
            run(below.wrapping_byte_add(2 * STACK));
        });
        core::ptr::null_mut()
    }
    unsafe extern "C" fn entry(limit: usize) -> usize {
        let limit: *mut c_void = core::ptr::with_exposed_provenance_mut(limit);
        let mut runs = 0;
        let mut f = || {
            runs += 1;
            // The next callback arrives where C's own frames are, on the system stack.
            check_eq!(through(c_outer, || runs += 1), 2);
        };
        let mut closure: Closure<'_> = &mut f;
        let mut args = [(&raw mut closure).cast::<c_void>(), limit, limit.wrapping_byte_add(STACK)];
        // SAFETY: C passes the closure to `test_run`; nobody else uses the stack.
        let result = unsafe { arch::asmcgocall(c_on_stack, (&raw mut args).cast()) };
        check_eq!(runs, 2);
        result as usize
    }
    // SAFETY: the middle of the memory is the thread's stack, what lies on its sides C's own.
    unsafe {
        let mut attributes = core::mem::zeroed::<libc::pthread_attr_t>();
        let mut thread = core::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstack(&mut attributes, start, STACK), 0);
        let below = start.wrapping_byte_sub(STACK);
        extern "C" fn begins(below: *mut c_void) -> *mut c_void {
            // SAFETY: what `pthread_create` passes.
            unsafe { runs(below) }
        }
        assert_eq!(libc::pthread_create(&mut thread, &attributes, begins, below), 0);
        assert_eq!(libc::pthread_join(thread, core::ptr::null_mut()), 0);
    }
}

/// What the words of both frames of a callback say of it, to debuggers too.
fn what_the_frames_say_of_a_callback() {
    unsafe extern "C" fn looks(_: *mut c_void, _: usize, ctxt: usize) {
        let (m, g) = (current_m().expect("an m"), current_g().expect("a g"));
        // SAFETY: this thread's m, which the frame belongs to as long as this runs.
        unsafe {
            let frame: *const arch::CallbackFrame = with_exposed_provenance((*m).g0.sched.sp.get() as usize);
            check_eq!(((*frame).m.get(), (*frame).g.get()), (m, g));
            check_eq!((*frame).ctxt.get() as usize, ctxt);
            let call = (*frame).g0_sp.get() as usize - size_of::<arch::AsmcgocallFrame>();
            let entry = arch::entry_below(&*with_exposed_provenance::<arch::AsmcgocallFrame>(call));
            check_eq!((*entry).callback.get().cast_const(), frame);
            check_eq!((*entry).func.get() as usize, looks as *const () as usize, "the function that runs");
        }
    }
    in_task(|| {
        // SAFETY: on the system stack, below a task.
        in_c(|| unsafe { arch::cgocallback(looks, core::ptr::null_mut(), 0, 5) });
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
    "a longjmp over managed frames" => a_longjmp_over_managed_frames;
    "a callback after a longjmp" (fatal "callback after a longjmp") => a_callback_after_a_longjmp;
    "a callback after a longjmp, from deeper" (fatal "callback after a longjmp")
        => a_callback_after_a_longjmp_from_deeper;
    "on a stack of C's own" => on_a_stack_of_cs_own;
    "the frames of a callback" => what_the_frames_say_of_a_callback;
    "g0.sched.sp" => calls_in_a_callback_leave_the_m_as_it_was;
}

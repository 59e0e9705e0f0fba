//! Threads that the runtime did not make and that call managed code.

use crate::cases::nesting::through;
use crate::setup::{adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::traceback::{Stop, Traceback, Walker};
use stackgate::{
    ExtraError, G, GState, ParkError, ResumeError, add_extra_m, calls_of_ended_threads, cgocall, current_g,
    current_m, extra_ms, notify_runtime_init_done, park, prepare_extra_ms, resume, runtime_init_begin,
};
use std::sync::{Arc, Barrier};
use std::thread;

unsafe extern "C" {
    fn c_outer(closure: *mut c_void) -> c_int;
    fn c_thread_calls(stack: usize, times: isize) -> c_int;
    fn c_make_keys(which: c_int) -> c_int;
    fn c_calls_at_exit(rounds: isize) -> c_int;
    fn c_on_context() -> c_int;
    fn c_deep_shallow_deep() -> c_int;
    fn c_signal_mask() -> u64;
    fn c_at_exit() -> c_int;
}

static CALLED: AtomicUsize = AtomicUsize::new(0);

stackgate::export! {
    /// Says in which task it runs by succeeding; ends the program for -1.
    pub extern "C" fn test_foreign(n: c_int) -> c_int {
        CALLED.fetch_add(1, Ordering::Relaxed);
        on_a_managed_stack();
        if n == -1 {
            eprintln!("managed code runs at the very end");
            std::process::abort();
        }
        n + 1
    }
}

/// Checks that this runs in a task of this thread's m, on the task's stack.
fn on_a_managed_stack() {
    let here = 0u8;
    let here = (&raw const here).addr() as u64;
    let (g, m) = (current_g().expect("a task"), current_m().expect("an m"));
    // SAFETY: both are this thread's.
    unsafe {
        assert_eq!((*g).state.get(), GState::Running as u64);
        assert_eq!((*m).curg.get(), g);
        assert!(((*g).stack.limit.get()..(*g).stack.top.get()).contains(&here), "SP {here:#x}");
    }
}

/// Everything has been given back: prints how many there are, and returns that.
fn all_are_back() -> usize {
    let ms = extra_ms();
    println!("{} m's were ever made for foreign threads, {} are ready", ms.made, ms.ready);
    check_eq!(ms.made, ms.ready, "each m is back");
    ms.made
}

fn first_later_and_nested() {
    thread::spawn(|| {
        check!(current_g().is_none(), "a thread without an m");
        check_eq!(test_foreign(1), 2, "the first call");
        let m = current_m().expect("the thread has kept its m");
        for n in 2..100 {
            check_eq!(test_foreign(n), n + 1, "a later call");
        }
        check_eq!(current_m(), Some(m), "still the same m");
        fn down(levels: usize) {
            on_a_managed_stack();
            if levels > 0 {
                check_eq!(through(c_outer, || down(levels - 1)), 2);
            }
        }
        in_callback(|| down(30));
        in_callback(|| check_eq!(park(1), Err(ParkError::BelowC)));
        check_eq!(extra_ms().made, 1);
    })
    .join()
    .expect("the thread");
    check_eq!(all_are_back(), 1, "one m is enough");
}

fn their_calls_are_counted() {
    unsafe extern "C" fn nothing(_: *mut c_void) -> c_int {
        0
    }
    let before = calls_of_ended_threads();
    let calls = |n: usize| {
        let call = || {
            // SAFETY: `nothing` takes anything.
            check_eq!(unsafe { cgocall(nothing, core::ptr::null_mut()) }, 0);
        };
        thread::spawn(move || in_callback(|| (0..n).for_each(|_| call()))).join().expect("the thread");
    };
    calls(3);
    check_eq!(calls_of_ended_threads() - before, 3, "of the first thread");
    calls(8);
    check_eq!(calls_of_ended_threads() - before, 11, "of both, one after the other on the same m");
    check_eq!(all_are_back(), 1);
}

/// A g's address on its way to another thread.
struct Sent(*mut G);
// SAFETY: whoever gets it does not look at what it points to.
unsafe impl Send for Sent {}

fn its_task_is_not_resumed() {
    let refused = |g: *mut G| {
        let mut error = None;
        // SAFETY: memory of a g, which lives for ever.
        adopted(|_| error = unsafe { resume(g, 0) }.err());
        error
    };
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        in_callback(|| tell.send(Sent(current_g().expect("a task"))).expect("somebody waits"));
        ended.recv().expect("the word");
    });
    let g = told.recv().expect("a g").0;
    check_eq!(refused(g), Some(ResumeError::NotParked), "while its thread has an m");
    end.send(()).expect("somebody waits");
    thread.join().expect("the thread");
    check_eq!(refused(g), Some(ResumeError::NotParked), "and when it has given that back");
}

fn sixty_four_at_once() {
    prepare_extra_ms(4).expect("memory");
    check_eq!(extra_ms().ready, 4);
    const THREADS: usize = 64;
    let barrier = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            let barrier = barrier.clone();
            let run = move || {
                barrier.wait();
                for n in 0..50 {
                    let mut inside = 0;
                    in_callback(|| in_c(|| in_callback(|| inside = i * 100 + n)));
                    assert_eq!(inside, i * 100 + n);
                }
                // Nobody leaves before all are here, so that all have an m at once.
                barrier.wait();
            };
            thread::Builder::new().stack_size(256 << 10).spawn(run).expect("a thread")
        })
        .collect();
    for thread in threads {
        thread.join().expect("a thread");
    }
    check_eq!(all_are_back(), THREADS, "one for each thread that was there at once");
}

fn a_thousand_in_sequence() {
    for i in 0..1000 {
        // SAFETY: makes a thread and waits for it.
        let well = unsafe { c_thread_calls(0, 2) };
        assert_eq!(well, 2, "thread {i}");
    }
    check_eq!(CALLED.load(Ordering::Relaxed), 2000);
    check_eq!(all_are_back(), 1, "each thread takes what the last one has given back");
}

fn at_the_end_of_a_thread() {
    // One key is older than stackgate's own, and one is younger: their destructors come before and after.
    // SAFETY: makes a key; makes a thread and waits for it.
    unsafe {
        check_eq!(c_make_keys(0), 0);
        check_eq!(c_thread_calls(0, 1), 1);
        check_eq!(c_make_keys(1), 0);
        for rounds in 1..=4 {
            check_eq!(c_calls_at_exit(rounds), rounds as c_int + 1, "calls from destructors");
        }
    }
    check!(all_are_back() <= 2, "none is lost");
}

fn at_the_end_of_the_program() {
    // SAFETY: registers a function.
    check_eq!(unsafe { c_at_exit() }, 0);
    std::process::exit(0);
}

fn small_stacks() {
    // SAFETY: makes a thread and waits for it.
    unsafe {
        check_eq!(c_thread_calls(64 << 10, 100), 100, "on a stack of 64 KiB");
        check_eq!(c_thread_calls(8 << 20, 100), 100, "on a stack of 8 MiB");
    }
    all_are_back();
}

fn on_the_main_thread() {
    check!(current_g().is_none());
    check_eq!(test_foreign(5), 6);
    // SAFETY: this thread's m.
    let stack = unsafe { (*current_m().expect("an m")).g0.stack };
    let here = 0u8;
    let here = (&raw const here).addr() as u64;
    check!((stack.limit.get()..stack.top.get()).contains(&here), "the bounds of the main thread's stack");
}

fn on_a_stack_of_its_own() {
    // SAFETY: switches to a stack and back.
    check_eq!(unsafe { c_on_context() }, 17, "the first calls come from there");
    // SAFETY: as above.
    check_eq!(unsafe { c_deep_shallow_deep() }, 13, "then from elsewhere");
    // SAFETY: as above.
    check_eq!(unsafe { c_on_context() }, 17, "and again");
}

fn deep_and_shallow() {
    // SAFETY: takes 400 KiB of stack.
    check_eq!(unsafe { c_deep_shallow_deep() }, 13);
}

fn the_signal_mask() {
    thread::spawn(|| {
        // SAFETY: asks.
        let before = unsafe { c_signal_mask() };
        let mut inside = !before;
        // SAFETY: asks.
        in_callback(|| inside = unsafe { c_signal_mask() });
        check_eq!(inside, before, "in managed code");
        // SAFETY: asks.
        check_eq!(unsafe { c_signal_mask() }, before, "afterwards");
    })
    .join()
    .expect("the thread");
}

fn traced() {
    thread::spawn(|| {
        for walker in [Walker::Auto, Walker::Tables, Walker::Records] {
            let (mut one, mut two) = (0, 0);
            in_callback(|| {
                let mut trace = Traceback::current_by(walker);
                one = trace.by_ref().filter(|pc| pc.managed).count();
                check_eq!(trace.stop(), Some(Stop::End), "{walker:?}");
                in_c(|| {
                    in_callback(|| {
                        let mut trace = Traceback::current_by(walker);
                        two = trace.by_ref().filter(|pc| pc.managed).count();
                        check_eq!(trace.stop(), Some(Stop::End), "{walker:?}, nested");
                    });
                });
            });
            check!(one >= 1 && two > one, "{one} frames, {two} nested, by {walker:?}");
        }
    })
    .join()
    .expect("the thread");
}

fn during_initialisation() {
    runtime_init_begin().expect("nobody initialises");
    let thread = thread::spawn(|| test_foreign(20));
    thread::sleep(std::time::Duration::from_millis(20));
    check_eq!(CALLED.load(Ordering::Relaxed), 0, "it waits");
    notify_runtime_init_done().expect("it was begun");
    check_eq!(thread.join().expect("the thread"), 21);
}

fn beside_an_adopted_thread() {
    adopted(|m| {
        let other = thread::spawn(|| {
            test_foreign(1);
            current_m().map_or(0, |m| m.addr())
        });
        let other = other.join().expect("the thread");
        check!(other != 0 && other != m.addr());
        check_eq!(current_m(), Some(m));
    });
    in_task(|| check_eq!(through(c_outer, on_a_managed_stack), 2));
    all_are_back();
}

fn memory_of_the_embedder() {
    let too_small = &mut [0u128; 16];
    // SAFETY: refused.
    let refused = unsafe { add_extra_m(too_small.as_mut_ptr().cast(), 256) };
    let Err(ExtraError::TooSmall { least }) = refused else { panic!("{refused:?}") };
    check!(refused.expect_err("refused").to_string().contains(&least.to_string()));
    let memory = Box::leak(vec![0u128; 2048].into_boxed_slice());
    // SAFETY: leaked.
    unsafe { add_extra_m(memory.as_mut_ptr().cast(), 32 << 10) }.expect("large enough");
    thread::spawn(|| check_eq!(test_foreign(3), 4)).join().expect("the thread");
    check_eq!(all_are_back(), 1, "it was that one");
}

cases! {
    "foreign threads";
    "first, later and nested calls" => first_later_and_nested;
    "their calls are counted" => their_calls_are_counted;
    "its task is its own" => its_task_is_not_resumed;
    "sixty-four at once" => sixty_four_at_once;
    "a thousand in sequence" => a_thousand_in_sequence;
    "at the end of a thread" => at_the_end_of_a_thread;
    "at the end of the program" (fatal "managed code runs at the very end") => at_the_end_of_the_program;
    "small stacks" => small_stacks;
    "on the main thread" => on_the_main_thread;
    "on a stack of its own" => on_a_stack_of_its_own;
    "deep and shallow" => deep_and_shallow;
    "the signal mask" => the_signal_mask;
    "traced" => traced;
    "during initialisation" => during_initialisation;
    "beside an adopted thread" => beside_an_adopted_thread;
    "memory of the embedder" => memory_of_the_embedder;
}

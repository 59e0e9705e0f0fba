//! Threads that the runtime starts: how they begin, what they keep, how they end.

use crate::child::in_child;
use crate::cpu::{KEPT, with_pattern};
use crate::setup::{Task, adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::traceback::{Function, register_functions};
use stackgate::{G, M, Platform, Resumed, ServiceError, SignalMask, current_g, current_m, park};
use stackgate_libc::{
    ExitError, Hosted, SYSTEM_STACK, ThreadMain, ThreadOptions, exit_thread, handle_fork, mstart,
    prepare_thread, reap_threads, start_thread,
};
use std::time::{Duration, Instant};

fn start_with(options: &ThreadOptions, run: ThreadMain, arg: usize) {
    // SAFETY: the functions of this module take words.
    unsafe { start_thread(options, run, without_provenance_mut(arg)) }.expect("a thread");
}

fn start(run: ThreadMain, arg: usize) {
    start_with(&ThreadOptions::default(), run, arg);
}

fn wait_until(what: &str, f: impl Fn() -> bool) {
    let start = Instant::now();
    while !f() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn here() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

/// The signals that are kept from this thread.
fn mask() -> SignalMask {
    let mask = Hosted.block_signals().expect("a mask");
    Hosted.restore_signals(mask);
    mask
}

/// Whether `address` lies on the stack of `g`.
fn on(g: &G, address: usize) -> bool {
    (g.stack.limit.get() as usize..g.stack.top.get() as usize).contains(&address)
}

static DONE: AtomicUsize = AtomicUsize::new(0);

/// Runs `f` on a thread and waits for it: a failed check ends the process.
fn on_a_thread(options: &ThreadOptions, f: fn()) {
    unsafe extern "C" fn run(f: *mut c_void) {
        // SAFETY: `on_a_thread` passes a function.
        let f = unsafe { core::mem::transmute::<*mut c_void, fn()>(f) };
        if std::panic::catch_unwind(f).is_err() {
            std::process::exit(101);
        }
        DONE.fetch_add(1, Ordering::SeqCst);
    }
    let done = DONE.load(Ordering::SeqCst);
    start_with(options, run, f as usize);
    wait_until("the thread has run", || DONE.load(Ordering::SeqCst) > done);
}

fn everything_is_in_place() {
    on_a_thread(&ThreadOptions::default(), || {
        let m = current_m().expect("an m");
        // SAFETY: this thread's m.
        unsafe {
            check_eq!(current_g(), Some(&raw mut (*m).g0));
            check!(on(&(*m).g0, here()), "g0's bounds");
            check!((*m).curg.is_null());
            let signal_stack = Hosted.signal_stack().expect("it says").expect("there is one");
            check_eq!((*m).gsignal.stack.limit.get() as usize, signal_stack.limit);
            check_eq!((*m).gsignal.stack.top.get() as usize, signal_stack.top);
            check!(signal_stack.top - signal_stack.limit >= stackgate_libc::SIGNAL_STACK);
        }
        check_eq!(mask(), SignalMask::default(), "signals are let in");
        let bounds = Hosted.stack_bounds().expect("bounds");
        check!(bounds.top - bounds.limit >= SYSTEM_STACK - 4096, "its system stack");
        // It runs tasks, which call C, which calls back.
        let mut task = Task::new(16 << 10, works);
        check_eq!(task.resume(4), Resumed::Parked(8));
        check_eq!(task.resume(0), Resumed::Finished(1));
    });
}

unsafe extern "C" fn works(word: usize) -> usize {
    let mut seen = 0;
    in_c(|| in_callback(|| seen = word));
    park(seen * 2).expect("a task parks") + 1
}

fn stated_sizes() {
    for system_stack in [128 << 10, 1 << 20, 3 << 20] {
        static WANTED: AtomicUsize = AtomicUsize::new(0);
        WANTED.store(system_stack, Ordering::SeqCst);
        let options = ThreadOptions { system_stack, signal_stack: system_stack };
        on_a_thread(&options, || {
            let wanted = WANTED.load(Ordering::SeqCst);
            let bounds = Hosted.stack_bounds().expect("bounds");
            let is = bounds.top - bounds.limit;
            check!(is + 8192 >= wanted && is < wanted + (256 << 10), "{is} of {wanted}");
            let signal_stack = Hosted.signal_stack().expect("it says").expect("there is one");
            check!(signal_stack.top - signal_stack.limit >= wanted);
        });
    }
}

fn a_mask_is_inherited() {
    // SAFETY: a set of this function's.
    unsafe {
        let mut set = core::mem::zeroed::<libc::sigset_t>();
        libc::sigaddset(&mut set, libc::SIGUSR2);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, null_mut());
    }
    static MASK: std::sync::Mutex<Option<SignalMask>> = std::sync::Mutex::new(None);
    let before = mask();
    *MASK.lock().expect("a mask") = Some(before);
    check!(before != SignalMask::default());
    on_a_thread(&ThreadOptions::default(), || {
        check_eq!(Some(mask()), *MASK.lock().expect("a mask"));
    });
    check_eq!(mask(), before, "the starter's own");
}

fn starts_fail_by_name() {
    // More than there is of address space: the C library says EAGAIN, which may pass, so it is tried again.
    let system_stack = if usize::BITS == 64 { 1 << 47 } else { 0xf000_0000 };
    unsafe extern "C" fn never(_: *mut c_void) {
        std::process::exit(3);
    }
    let start = Instant::now();
    let options = ThreadOptions { system_stack, ..ThreadOptions::default() };
    // SAFETY: not called.
    let error = unsafe { start_thread(&options, never, null_mut()) };
    check_eq!(error, Err(ServiceError::TooManyThreads));
    // 1 to 20 milliseconds.
    check!(start.elapsed() >= Duration::from_millis(210), "{:?}", start.elapsed());
    // SAFETY: not called.
    let error = unsafe { start_thread(&ThreadOptions { system_stack: 16, ..options }, never, null_mut()) };
    check_eq!(error, Err(ServiceError::BadArgument), "less than the C library takes");
    check_eq!(mask(), SignalMask::default(), "the starter's mask is as it was");
}

/// How many destructors of [`Counts`] have run.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counts;

impl Drop for Counts {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[inline(never)]
fn ends_at_depth(depth: usize) {
    let _counts = Counts;
    core::hint::black_box(&_counts);
    if depth == 0 {
        let error = exit_thread().expect_err("it does not return");
        panic!("{error}");
    }
    ends_at_depth(depth - 1);
    core::hint::black_box(());
}

static ENDS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn ended(word: *mut c_void) {
    // C's part of the thread's end: no m, no signals.
    if current_m().is_none() && mask() != SignalMask::default() {
        ENDS.fetch_add(word.addr(), Ordering::SeqCst);
    }
}

fn ends_from_any_depth() {
    unsafe extern "C" fn run(depth: *mut c_void) {
        // SAFETY: the hook takes any word.
        unsafe { Hosted.at_thread_exit(ended, without_provenance_mut(1)) }.expect("a hook");
        // A task before: g0's sched is another one than at the start.
        let mut task = Task::new(16 << 10, works);
        task.resume(1);
        task.resume(0);
        drop(task);
        match depth.addr() {
            // By returning.
            1000 => {}
            depth => ends_at_depth(depth),
        }
    }
    for (i, depth) in [1000, 0, 1, 20, 1000].into_iter().enumerate() {
        start(run, depth);
        wait_until("C ends the thread", || ENDS.load(Ordering::SeqCst) == i + 1);
        check_eq!(DROPPED.load(Ordering::SeqCst), 0, "nothing of what is dropped runs");
    }
}

/// The error, which has a text that says what to do.
fn refused() -> ExitError {
    let error = exit_thread().expect_err("refused");
    check!(error.to_string().len() > 20, "{error}");
    error
}

fn ends_are_refused() {
    check_eq!(refused(), ExitError::NotStarted);
    adopted(|_| check_eq!(refused(), ExitError::NotStarted, "an adopted thread"));
    in_task(|| check_eq!(refused(), ExitError::NotStarted));
    unsafe extern "C" fn task(_: usize) -> usize {
        check_eq!(refused(), ExitError::NotOnG0);
        in_c(|| check_eq!(refused(), ExitError::InUse));
        1
    }
    on_a_thread(&ThreadOptions::default(), || {
        check_eq!(Task::new(64 << 10, task).resume(0), Resumed::Finished(1));
    });
}

fn mstart_on_an_m() {
    adopted(|_| {
        // SAFETY: ends before it runs anything.
        unsafe {
            let thread = prepare_thread(&ThreadOptions::default(), saw, null_mut()).expect("memory");
            mstart(thread);
        }
    });
}

static SEEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn saw(_: *mut c_void) {
    SEEN.fetch_add(1, Ordering::SeqCst);
}

fn registers_of_c_are_kept() {
    for seed in 1..=3u64 {
        // SAFETY: run once, on this thread, which is no m.
        let thread = unsafe { prepare_thread(&ThreadOptions::default(), saw, null_mut()) }.expect("memory");
        let before: crate::cpu::Pattern = core::array::from_fn(|i| {
            crate::cpu::representable(i, ((seed << 40) | (i as u64 + 1)).wrapping_mul(0x0101_0101_0101_0101))
        });
        let mut after = [0; KEPT.len()];
        let args = [thread.expose_provenance(), 0, 0, 0];
        let (mask_before, stack_before) = (mask(), Hosted.signal_stack());
        // SAFETY: `mstart` takes a prepared thread.
        let result = unsafe { with_pattern(mstart as *const () as usize, &args, &before, &mut after) };
        for (i, register) in KEPT.iter().enumerate() {
            check_eq!(after[i], before[i], "mstart lost {register}");
        }
        check_eq!(result, 0);
        check!(current_g().is_none(), "no m any more");
        check_eq!(mask(), mask_before, "C's mask");
        check_eq!(Hosted.signal_stack(), stack_before, "C's signal stack");
        check_eq!(SEEN.load(Ordering::SeqCst), seed as usize);
        check_eq!(reap_threads(), 1);
    }
}

// ---- A storm of signals while threads start and end.

/// How many threads start.
const STARTS: usize = 1000;
/// How many signals are sent meanwhile.
const SIGNALS: usize = 4000;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
static RUN: AtomicUsize = AtomicUsize::new(0);
static LET_GO: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn takes(_: c_int) {
    TAKEN.fetch_add(1, Ordering::SeqCst);
    let right = current_m().is_some_and(|m| {
        // SAFETY: this thread's m.
        let m: &M = unsafe { &*m };
        on(&m.gsignal, here()) && m.g0.stack.top.get() != 0
    });
    if !right {
        WRONG.fetch_add(1, Ordering::SeqCst);
    }
}

/// A signal that queues: what is sent is not merged.
fn queued_signal() -> c_int {
    libc::SIGRTMIN() + 3
}

/// Keeps the signal from this thread, or lets it in.
fn keep(how: c_int) {
    // SAFETY: a set of this function's.
    unsafe {
        let mut set = core::mem::zeroed::<libc::sigset_t>();
        libc::sigaddset(&mut set, queued_signal());
        assert_eq!(libc::pthread_sigmask(how, &set, null_mut()), 0);
    }
}

/// Starts them all; what is let in here is let in there.
unsafe extern "C" fn starts(_: *mut c_void) {
    unsafe extern "C" fn run(_: *mut c_void) {
        RUN.fetch_add(1, Ordering::SeqCst);
    }
    keep(libc::SIG_UNBLOCK);
    for _ in 0..STARTS {
        start(run, 0);
    }
    wait_until("it may end", || LET_GO.load(Ordering::SeqCst));
}

fn a_storm() {
    // SAFETY: a handler that counts.
    unsafe {
        let mut action = core::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = takes as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
        assert_eq!(libc::sigaction(queued_signal(), &action, null_mut()), 0);
    }
    // Threads that are no m's do not take it: this one, and the one that sends.
    keep(libc::SIG_BLOCK);
    let storm = std::thread::spawn(|| {
        let mut sent = 0;
        while sent < SIGNALS {
            // As long as threads start.
            if sent * STARTS > (RUN.load(Ordering::Relaxed) + 16) * SIGNALS {
                std::thread::yield_now();
                continue;
            }
            // SAFETY: to this process, which has a handler.
            let result = unsafe { libc::sigqueue(libc::getpid(), queued_signal(), core::mem::zeroed()) };
            // Otherwise the queue is full.
            sent += usize::from(result == 0);
        }
    });
    start(starts, 0);
    wait_until("all have run", || RUN.load(Ordering::SeqCst) == STARTS);
    storm.join().expect("the storm");
    wait_until("every signal is taken", || TAKEN.load(Ordering::SeqCst) >= SIGNALS);
    LET_GO.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(20));
    check_eq!(TAKEN.load(Ordering::SeqCst), SIGNALS, "as many as were sent");
    check_eq!(WRONG.load(Ordering::SeqCst), 0, "before the m was there, or on another stack");
    check_eq!(RUN.load(Ordering::SeqCst), STARTS);
}

// ---- Fork.

/// The exit code of a child that found nothing wrong.
const FINE: c_int = 17;

/// What a child finds, on the stacks of the task that forked in C.
fn in_the_child(g: *mut G, m: *mut M, table: &'static [Function], alone: bool) -> c_int {
    // SAFETY: ends a child that hangs.
    unsafe { libc::alarm(20) };
    if current_m() != Some(m) {
        return 1;
    }
    let mut seen = None;
    in_callback(|| seen = current_g());
    if seen != Some(g) {
        return 2;
    }
    if register_functions(table).is_err() {
        return 3;
    }
    // QEMU 7.2 starts no thread in the child of a process that had several.
    if alone {
        let done = DONE.load(Ordering::SeqCst);
        on_a_thread(&ThreadOptions::default(), || ());
        if DONE.load(Ordering::SeqCst) != done + 1 {
            return 4;
        }
    }
    FINE
}

const fn function(entry: usize) -> Function {
    Function { entry, end: entry + 8, name: "a function", file: "", line: 0 }
}
// Addresses where nothing is.
static FIRST: [Function; 1] = [function(64)];
static SECOND: [Function; 1] = [function(128)];

fn the_child_of_a_fork() {
    handle_fork().expect("memory");
    in_task(|| {
        let (g, m) = (current_g().expect("a task"), current_m().expect("an m"));
        in_c(|| {
            let ending = in_child(|| in_the_child(g, m, &SECOND, true));
            check_eq!(ending.code, Some(FINE), "{ending:?}");
        });
        check_eq!(current_g(), Some(g), "the parent");
    });
}

fn a_fork_among_threads() {
    handle_fork().expect("memory");
    handle_fork().expect("once is enough");
    register_functions(&FIRST).expect("room");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Somebody has each lock nearly always.
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(register_functions(&FIRST).is_err(), "it is there already");
                }
            });
        }
        in_task(|| {
            let (g, m) = (current_g().expect("a task"), current_m().expect("an m"));
            in_c(|| {
                for _ in 0..20 {
                    let ending = in_child(|| in_the_child(g, m, &SECOND, false));
                    check_eq!(ending.code, Some(FINE), "{ending:?}");
                }
            });
            check_eq!(current_g(), Some(g), "the parent");
        });
        stop.store(true, Ordering::Relaxed);
    });
    register_functions(&SECOND).expect("the parent's is free too");
}

cases! {
    "threads";
    "everything in place" => everything_is_in_place;
    "stated sizes" => stated_sizes;
    "inherited mask" => a_mask_is_inherited;
    "a start that fails" => starts_fail_by_name;
    "end from any depth" => ends_from_any_depth;
    "ends refused" => ends_are_refused;
    "registers of C" => registers_of_c_are_kept;
    "mstart on an m" (fatal "thread start: the thread is an m already") => mstart_on_an_m;
    "signal storm" => a_storm;
    "fork" => the_child_of_a_fork;
    "fork among threads" => a_fork_among_threads;
}

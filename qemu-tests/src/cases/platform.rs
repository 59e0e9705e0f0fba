//! The services of a platform: the hosted one's, and what becomes of each failure.

use crate::fake::{Call, FAKE};
use crate::setup::{adopted, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::traceback::{Stop, Traceback};
use stackgate::{
    ErrnoFn, ExtraError, Platform, ServiceError, SignalMask, StackBounds, runtime_init_begin,
    wait_runtime_init_done,
};
use stackgate_libc::{
    Hosted, StackOptions, Stacks, ThreadOptions, prepare_thread, reap_threads, start_thread,
};
use std::time::{Duration, Instant};

/// The least that a board has.
struct Board;

impl Platform for Board {
    fn write(&self, _: &[u8]) {}
    fn abort(&self) -> ! {
        std::process::abort()
    }
    fn thread_id(&self) -> usize {
        1
    }
    fn wait(&self, _: &AtomicU32, _: u32) -> bool {
        false
    }
    fn wake(&self, _: &AtomicU32) {}
    fn errno(&self) -> Option<ErrnoFn> {
        None
    }
}

fn the_least_board() {
    let memory = NonNull::dangling();
    unsafe extern "C" fn run(_: *mut c_void) -> *mut c_void {
        null_mut()
    }
    unsafe extern "C" fn hook(_: *mut c_void) {}
    // SAFETY: a board that does nothing.
    unsafe {
        check_eq!(Board.page_size(), 0);
        check_eq!(Board.map(4096), Err(ServiceError::NotHere));
        check_eq!(Board.unmap(memory, 4096), Err(ServiceError::NotHere));
        check_eq!(Board.guard(memory, 4096), Err(ServiceError::NotHere));
        check_eq!(Board.idle(memory, 4096), Err(ServiceError::NotHere));
        check_eq!(Board.start_thread(4096, run, null_mut()), Err(ServiceError::NotHere));
        check_eq!(Board.at_thread_exit(hook, null_mut()), Err(ServiceError::NotHere));
        check_eq!(Board.block_signals(), Err(ServiceError::NotHere));
        check_eq!(Board.signal_stack(), Err(ServiceError::NotHere));
        check_eq!(Board.set_signal_stack(None), Err(ServiceError::NotHere));
        check_eq!(Board.stack_bounds(), Err(ServiceError::NotHere));
    }
    Board.restore_signals(SignalMask::default());
}

fn texts() {
    let errors = [
        ServiceError::NotHere,
        ServiceError::NoMemory,
        ServiceError::TooManyGuards { limit: 0 },
        ServiceError::TooManyGuards { limit: 65530 },
        ServiceError::TooManyThreads,
        ServiceError::BadArgument,
        ServiceError::Busy,
        ServiceError::Failed(99),
    ];
    let texts: std::collections::BTreeSet<_> = errors.iter().map(ToString::to_string).collect();
    check_eq!(texts.len(), errors.len(), "each says something else");
    check!(texts.iter().all(|text| text.contains(": ")), "what it is, and what to do: {texts:?}");
    check!(texts.iter().any(|text| text.contains("vm.max_map_count is 65530")));
    check!(texts.iter().any(|text| text.contains("99")));
}

// ---- The hosted platform.

fn memory() {
    let page = Hosted.page_size();
    check!(page.is_power_of_two() && page >= 4096);
    for size in [0, 1, page - 1, page + 1] {
        check_eq!(Hosted.map(size), Err(ServiceError::BadArgument));
    }
    check_eq!(Hosted.map(usize::MAX / page * page), Err(ServiceError::NoMemory));
    let memory = Hosted.map(4 * page).expect("memory");
    check_eq!(memory.addr().get() % page, 0);
    // SAFETY: the pages that have been mapped.
    unsafe {
        check!((0..4 * page).all(|i| memory.add(i).read() == 0));
        memory.write_bytes(0xff, 4 * page);
        check_eq!(Hosted.idle(memory, page), Ok(()));
        check_eq!((memory.read(), memory.add(page).read()), (0, 0xff));
        check_eq!(Hosted.guard(memory, page), Ok(()));
        check_eq!(Hosted.unmap(memory, 4 * page), Ok(()));
        check_eq!(Hosted.unmap(memory.add(1), page), Err(ServiceError::BadArgument));
    }
}

fn waits_and_wakes() {
    static WORD: AtomicU32 = AtomicU32::new(0);
    let start = Instant::now();
    check!(Hosted.wait(&WORD, 1));
    check!(start.elapsed() < Duration::from_secs(2), "the word is another: at once");
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);
    let waiter = std::thread::spawn(|| {
        while WORD.load(Ordering::Acquire) == 0 {
            ROUNDS.fetch_add(1, Ordering::Relaxed);
            assert!(Hosted.wait(&WORD, 0));
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    // A thread that sleeps does not look again and again.
    let rounds = ROUNDS.load(Ordering::Relaxed);
    WORD.store(1, Ordering::Release);
    Hosted.wake(&WORD);
    waiter.join().expect("it wakes");
    check!((1..10).contains(&rounds), "it has looked {rounds} times");
}

static TAKEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn takes(_: c_int) {
    TAKEN.fetch_add(1, Ordering::SeqCst);
}

fn signals_are_kept_and_come() {
    // SAFETY: a handler that counts.
    unsafe {
        libc::signal(libc::SIGUSR1, takes as *const () as usize);
        libc::signal(libc::SIGRTMIN() + 3, takes as *const () as usize);
        let before = Hosted.block_signals().expect("a mask");
        libc::raise(libc::SIGUSR1);
        libc::raise(libc::SIGRTMIN() + 3);
        check_eq!(TAKEN.load(Ordering::SeqCst), 0, "blocked");
        let blocked = Hosted.block_signals().expect("a mask");
        check!(blocked != before);
        Hosted.restore_signals(blocked);
        check_eq!(TAKEN.load(Ordering::SeqCst), 0, "blocked still");
        Hosted.restore_signals(before);
        check_eq!(TAKEN.load(Ordering::SeqCst), 2, "both come");
        libc::raise(libc::SIGUSR1);
        check_eq!(TAKEN.load(Ordering::SeqCst), 3);
    }
}

fn here() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

fn contains(bounds: &StackBounds, address: usize) -> bool {
    (bounds.limit..bounds.top).contains(&address)
}

fn bounds_of_stacks() {
    for _ in 0..2 {
        let main = Hosted.stack_bounds().expect("bounds");
        check!(main.accurate && contains(&main, here()), "{main:x?}");
        check!(main.top - main.limit >= 64 << 10);
    }
    for size in [64 << 10, 2 << 20] {
        std::thread::Builder::new()
            .stack_size(size)
            .spawn(move || {
                let bounds = Hosted.stack_bounds().expect("bounds");
                check!(bounds.accurate && contains(&bounds, here()), "{bounds:x?}");
                let is = bounds.top - bounds.limit;
                check!(is + 4096 >= size && is < size + (1 << 20), "{is} of {size}");
            })
            .expect("a thread")
            .join()
            .expect("its checks");
    }
    // On a stack that the C library does not know.
    in_task(|| {
        let bounds = Hosted.stack_bounds().expect("bounds");
        check!(!bounds.accurate && contains(&bounds, here()), "{bounds:x?}");
    });
}

fn adopted_threads_know_their_stacks() {
    let check_m = || {
        adopted(|m| {
            // SAFETY: this thread's m.
            let (g0, gsignal) = unsafe { ((*m).g0.stack, (*m).gsignal.stack) };
            let (limit, top) = (g0.limit.get() as usize, g0.top.get() as usize);
            check!(limit < here() && here() < top, "g0");
            let known = Hosted.signal_stack().expect("it says").map(|stack| (stack.limit, stack.top));
            let found = (gsignal.limit.get() as usize, gsignal.top.get() as usize);
            check_eq!(found, known.unwrap_or((0, 0)), "gsignal");
        });
    };
    check_m();
    std::thread::spawn(check_m).join().expect("its checks");
    // SAFETY: no handler runs.
    let former = unsafe { Hosted.set_signal_stack(None) }.expect("it may be taken away");
    check!(former.is_some(), "Rust's standard library has set one");
    check_m();
}

#[inline(never)]
fn trace_here() -> (usize, Option<Stop>) {
    let mut trace = Traceback::current();
    (trace.by_ref().count(), trace.stop())
}

fn a_trace_on_g0_has_bounds() {
    crate::symbols::register_once();
    adopted(|m| {
        let (frames, stop) = trace_here();
        check!(stop != Some(Stop::NoBounds) && frames >= 3, "{frames} frames, {stop:?}");
        // SAFETY: this thread's m.
        unsafe {
            (*m).g0.stack.limit = Word::new(0);
            (*m).g0.stack.top = Word::new(0);
        }
        check_eq!(trace_here().1, Some(Stop::NoBounds), "without them it ends");
    });
}

static ENDED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn at_end(word: *mut c_void) {
    ENDED.fetch_add(word.addr(), Ordering::SeqCst);
}

unsafe extern "C" fn at_another_end(_: *mut c_void) {}

fn a_hook_at_the_threads_end() {
    let on_thread = |words: &'static [usize]| {
        std::thread::spawn(move || {
            for &word in words {
                // SAFETY: the hook takes any word.
                unsafe { Hosted.at_thread_exit(at_end, core::ptr::without_provenance_mut(word)) }
                    .expect("a hook");
            }
        })
        .join()
        .expect("a thread");
        ENDED.swap(0, Ordering::SeqCst)
    };
    check_eq!(on_thread(&[]), 0);
    check_eq!(on_thread(&[5]), 5);
    check_eq!(on_thread(&[5, 7]), 7, "the last word");
    check_eq!(on_thread(&[5, 0]), 0, "taken back");
    // SAFETY: refused.
    let other = unsafe { Hosted.at_thread_exit(at_another_end, null_mut()) };
    check_eq!(other, Err(ServiceError::Busy));
}

fn extra_ms() {
    let before = stackgate::extra_ms();
    stackgate::prepare_extra_ms(10).expect("memory");
    let after = stackgate::extra_ms();
    check_eq!(after.made, before.made + 10);
    check_eq!(after.ready, before.ready + 10);
}

fn a_fork_waits_for_the_extra_ms() {
    let ready = || stackgate::extra_ms().ready;
    let before = ready();
    stackgate::before_fork();
    let other = std::thread::spawn(|| stackgate::prepare_extra_ms(1));
    std::thread::sleep(std::time::Duration::from_millis(200));
    check!(!other.is_finished(), "it is kept out");
    // SAFETY: this thread has called before_fork.
    unsafe { stackgate::after_fork() };
    check_eq!(other.join().expect("the thread"), Ok(()));
    check_eq!(ready(), before + 1);
}

// ---- Failures.

const SMALL: usize = stackgate::MIN_STACK;

fn no_memory() {
    let pool = Stacks::new(StackOptions::default());
    FAKE.fail(Call::Map, ServiceError::NoMemory);
    check_eq!(pool.take(SMALL).err(), Some(ServiceError::NoMemory));
    check_eq!(pool.reserve(SMALL, 10), Err(ServiceError::NoMemory));
    // From 64 stacks it goes down to one before it gives up; what is reserved is not less.
    check_eq!(FAKE.calls(Call::Map), 7 + 1);
    check_eq!(start(), Err(ServiceError::NoMemory));
    FAKE.heal();
    check!(pool.take(SMALL).is_ok());
}

fn no_pages() {
    let pool = Stacks::new(StackOptions::default());
    FAKE.fail(Call::PageSize, ServiceError::NotHere);
    check_eq!(pool.take(SMALL).err(), Some(ServiceError::NotHere));
    check_eq!(start(), Err(ServiceError::NotHere));
    check_eq!(FAKE.calls(Call::Map), 0);
}

fn memory_cannot_be_given_back() {
    let pool = Stacks::new(StackOptions::default());
    drop(pool.take(SMALL).expect("a stack"));
    FAKE.fail(Call::Unmap, ServiceError::BadArgument);
    drop(pool);
    check_eq!(FAKE.calls(Call::Unmap), 1, "it was tried, and that is all");
    FAKE.heal();
    check!(Stacks::new(StackOptions::default()).take(SMALL).is_ok());
}

fn no_guards() {
    let pool = Stacks::new(StackOptions::default());
    let before = pool.take(SMALL).expect("a stack");
    let error = ServiceError::TooManyGuards { limit: 5 };
    FAKE.fail(Call::Guard, error);
    for _ in 0..3 {
        check_eq!(pool.take(SMALL).err(), Some(error));
    }
    let maps = FAKE.calls(Call::Map);
    check_eq!(start(), Err(error));
    check_eq!(FAKE.calls(Call::Map) - maps, FAKE.calls(Call::Unmap), "the thread's memory is given back");
    FAKE.heal();
    let after = pool.take(SMALL).expect("a stack");
    let apart = after.limit().addr().abs_diff(before.limit().addr());
    check_eq!(apart, 2 * Hosted.page_size(), "the very next one: none is lost");
}

fn memory_stays() {
    let pool = Stacks::new(StackOptions { keep: 0, ..StackOptions::default() });
    let stack = pool.take(SMALL).expect("a stack");
    let limit = stack.limit();
    FAKE.fail(Call::Idle, ServiceError::Failed(1));
    drop(stack);
    check_eq!(FAKE.calls(Call::Idle), 1);
    check_eq!(pool.take(SMALL).expect("a stack").limit(), limit, "it comes back all the same");
}

static RAN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn runs(_: *mut c_void) {
    RAN.fetch_add(1, Ordering::SeqCst);
}

fn start() -> Result<(), ServiceError> {
    // SAFETY: takes anything.
    unsafe { start_thread(&ThreadOptions::default(), runs, null_mut()) }
}

fn wait_for(count: usize) {
    let start = Instant::now();
    while RAN.load(Ordering::SeqCst) < count {
        assert!(start.elapsed() < Duration::from_secs(30), "the thread runs");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn no_thread() {
    FAKE.fail(Call::StartThread, ServiceError::TooManyThreads);
    check_eq!(start(), Err(ServiceError::TooManyThreads));
    check_eq!(FAKE.calls(Call::Map), FAKE.calls(Call::Unmap), "its memory is given back");
    FAKE.heal();
    check_eq!(start(), Ok(()));
    wait_for(1);
    check_eq!(RAN.load(Ordering::SeqCst), 1, "and it runs once");
}

fn no_signals_to_block() {
    FAKE.fail(Call::BlockSignals, ServiceError::NotHere);
    check_eq!(start(), Ok(()));
    wait_for(1);
    check!(FAKE.calls(Call::BlockSignals) > 0);
}

fn no_signal_stack_known() {
    FAKE.fail(Call::SignalStack, ServiceError::NotHere);
    // SAFETY: this thread's m.
    adopted(|m| check_eq!(unsafe { (*m).gsignal.stack.top.get() }, 0));
    check_eq!(FAKE.calls(Call::SignalStack), 1);
}

fn no_bounds_known() {
    FAKE.fail(Call::StackBounds, ServiceError::NotHere);
    // SAFETY: this thread's m.
    adopted(|m| check_eq!(unsafe { (*m).g0.stack.top.get() }, 0));
    check_eq!(start(), Ok(()), "a thread does without");
    wait_for(1);
}

fn fatal_bounds() {
    FAKE.fail(Call::StackBounds, ServiceError::Failed(3));
    check_eq!(start(), Ok(()));
    wait_for(1);
}

fn fatal_signal_stack() {
    FAKE.fail(Call::SetSignalStack, ServiceError::BadArgument);
    check_eq!(start(), Ok(()));
    wait_for(1);
}

fn fatal_end() {
    unsafe extern "C" fn ends_badly(_: *mut c_void) {
        FAKE.fail(Call::SetSignalStack, ServiceError::Busy);
    }
    // SAFETY: takes anything.
    check_eq!(unsafe { start_thread(&ThreadOptions::default(), ends_badly, null_mut()) }, Ok(()));
    wait_for(1);
}

fn no_signal_stacks() {
    FAKE.fail(Call::SetSignalStack, ServiceError::NotHere);
    check_eq!(start(), Ok(()), "a thread does without");
    wait_for(1);
}

fn no_hook() {
    FAKE.fail(Call::AtThreadExit, ServiceError::Busy);
    // SAFETY: refused.
    check_eq!(unsafe { FAKE.at_thread_exit(at_end, null_mut()) }, Err(ServiceError::Busy));
}

fn no_extra_m() {
    let before = stackgate::extra_ms();
    FAKE.fail(Call::Map, ServiceError::NoMemory);
    check_eq!(stackgate::prepare_extra_ms(1), Err(ExtraError::Platform(ServiceError::NoMemory)));
    FAKE.fail(Call::Guard, ServiceError::NoMemory);
    check_eq!(stackgate::prepare_extra_ms(1), Err(ExtraError::Platform(ServiceError::NoMemory)));
    check_eq!(stackgate::extra_ms(), before);
    FAKE.heal();
    check_eq!(stackgate::prepare_extra_ms(1), Ok(()));
}

fn no_m_at_all() {
    FAKE.fail(Call::Map, ServiceError::NoMemory);
    in_callback(|| ());
}

fn no_m_and_nobody_wakes() {
    check_eq!(stackgate::prepare_extra_ms(1), Ok(()));
    let (sent, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        in_callback(|| {
            sent.send(()).expect("somebody waits");
            loop {
                std::thread::park();
            }
        });
    });
    received.recv().expect("it has the m");
    FAKE.fail(Call::Map, ServiceError::NoMemory);
    FAKE.fail_too(Call::Wait);
    in_callback(|| ());
}

fn nobody_wakes() {
    runtime_init_begin().expect("nobody has begun");
    FAKE.fail(Call::Wait, ServiceError::NotHere);
    _ = std::thread::spawn(wait_runtime_init_done).join();
}

fn prepared_and_not_used() {
    for _ in 0..3 {
        // SAFETY: no thread runs it.
        unsafe {
            let thread = prepare_thread(&ThreadOptions::default(), runs, null_mut()).expect("memory");
            stackgate_libc::discard_thread(thread);
        }
    }
    check_eq!((FAKE.calls(Call::Map), FAKE.calls(Call::Unmap)), (3, 3));
    check_eq!(reap_threads(), 0);
    let huge = ThreadOptions { signal_stack: usize::MAX, ..ThreadOptions::default() };
    // SAFETY: refused.
    check_eq!(unsafe { prepare_thread(&huge, runs, null_mut()) }.err(), Some(ServiceError::BadArgument));
}

fn what_ended_threads_leave_is_freed() {
    const THREADS: usize = 200;
    for _ in 0..THREADS {
        start().expect("a thread");
    }
    wait_for(THREADS);
    check_eq!(FAKE.calls(Call::Map), THREADS, "a block each");
    let begin = Instant::now();
    // What the starts have not reaped already; the last ones are on their way out still.
    while FAKE.calls(Call::Unmap) < THREADS && begin.elapsed() < Duration::from_secs(20) {
        reap_threads();
        std::thread::sleep(Duration::from_millis(1));
    }
    check_eq!(FAKE.calls(Call::Unmap), THREADS);
    check_eq!(reap_threads(), 0);
}

cases! {
    "platform";
    "the least board" => the_least_board;
    "texts" => texts;
    "memory" => memory;
    "wait and wake" => waits_and_wakes;
    "signal mask" => signals_are_kept_and_come;
    "stack bounds" => bounds_of_stacks;
    "bounds of an adopted thread" => adopted_threads_know_their_stacks;
    "a trace on g0" => a_trace_on_g0_has_bounds;
    "thread exit hook" => a_hook_at_the_threads_end;
    "extra m's" => extra_ms;
    "a fork waits for the extra m's" => a_fork_waits_for_the_extra_ms;
    "map fails" => no_memory;
    "no pages" => no_pages;
    "unmap fails" => memory_cannot_be_given_back;
    "guard fails" => no_guards;
    "idle fails" => memory_stays;
    "start_thread fails" => no_thread;
    "block_signals fails" => no_signals_to_block;
    "signal_stack fails" => no_signal_stack_known;
    "stack_bounds not here" => no_bounds_known;
    "stack_bounds fails" (fatal "thread start: the system does not say where the thread's stack is") => fatal_bounds;
    "set_signal_stack not here" => no_signal_stacks;
    "set_signal_stack fails" (fatal "thread start: the system refuses the signal stack") => fatal_signal_stack;
    "set_signal_stack fails at the end" (fatal "thread end: the signal stack is in use") => fatal_end;
    "at_thread_exit fails" => no_hook;
    "no memory for an extra m" => no_extra_m;
    "no m for a callback" (fatal "callback on a thread without an m: adopt the thread with m_adopt, or prepare") => no_m_at_all;
    "no m for a callback, and no wait" (fatal "every extra m is in use, and nothing can wake the caller") => no_m_and_nobody_wakes;
    "wait fails" (fatal "nothing can wake the caller on this platform") => nobody_wakes;
    "ended threads" => what_ended_threads_leave_is_freed;
    "prepared in vain" => prepared_and_not_used;
}

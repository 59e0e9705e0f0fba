//! Stacks that overflow are named, and other faults go where they went before.

use crate::child::{Ending, in_child};
use crate::setup::{adopted, in_c};
use crate::symbols;
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::arch::{Cpu, Native};
use stackgate::{G, Platform, StackBounds, current_m, g_init, resume};
use stackgate_libc::{
    Hosted, StackOptions, Stacks, ThreadOptions, Verdict, handle_overflow, handle_signal, start_thread,
};

/// Frames until there is no room.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn overflow_recurses(depth: usize) -> usize {
    let words = [depth; 64];
    black_box(&words);
    if depth == usize::MAX {
        return 0;
    }
    overflow_recurses(depth + 1) + black_box(words)[3]
}

unsafe extern "C" fn overflow_task(word: usize) -> usize {
    black_box(overflow_recurses(word))
}

unsafe extern "C" fn overflow_task_in_c(word: usize) -> usize {
    in_c(|| {
        black_box(overflow_recurses(word));
    });
    0
}

/// A signal stack for this thread, with a guard.
pub fn signal_stack(size: usize) -> StackBounds {
    let page = Hosted.page_size();
    let size = size.next_multiple_of(page);
    let memory = Hosted.map(size + page).expect("memory");
    // SAFETY: new memory, which nobody gives back.
    unsafe {
        Hosted.guard(memory, page).expect("a guard");
        let limit = memory.as_ptr().expose_provenance() + page;
        let stack = StackBounds { limit, top: limit + size, accurate: true };
        Hosted.set_signal_stack(Some(stack)).expect("a signal stack");
        stack
    }
}

/// What the report says, with the parts that every one has.
fn report(ending: &Ending, what: &str) -> Vec<String> {
    check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    let text = &ending.errors;
    check_eq!(text.matches("stackgate: fatal: stack overflow: ").count(), 1, "{text}");
    check!(text.contains(&format!("stackgate: fatal: stack overflow: {what}")), "{text}");
    check!(text.contains("\n    fault 0x") && text.contains("  signal 11\n"), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// The function names of the traceback: lines that are not indented.
fn names(lines: &[String]) -> Vec<&str> {
    let indented = |line: &&str| !line.starts_with([' ', '\t']) && !line.starts_with("stackgate: fatal");
    lines.iter().map(String::as_str).filter(indented).collect()
}

fn overflows_managed(in_c: bool, given: bool, handled: bool) -> (Ending, String, String) {
    let pool = Stacks::new(StackOptions::default());
    let stack = pool.take(16 << 10).expect("a stack");
    symbols::register_once();
    let mut g = Box::<G>::default();
    g.user = Word::new(0x1234);
    let task = format!("    task {:p} (user word 0x1234)", &raw const *g);
    let entry = if in_c { overflow_task_in_c } else { overflow_task };
    let mut limit = stack.limit();
    let mut memory = Vec::new();
    let page = Hosted.page_size();
    if given {
        // The embedder's own, with a guard of the embedder's.
        memory = vec![0u8; 16 * page];
        let guard = memory.as_mut_ptr().wrapping_add(page).addr().next_multiple_of(page);
        limit = core::ptr::with_exposed_provenance_mut(guard + page);
    }
    let top = if given { limit.wrapping_add(8 * page) } else { stack.top() };
    let bounds = format!("    stack {limit:p} to {top:p}, {} bytes", top.addr() - limit.addr());
    memory.as_mut_slice().iter().for_each(|byte| {
        black_box(byte);
    });
    let ending = in_child(|| {
        handle_overflow().expect("a handler");
        handle_overflow().expect("again does nothing");
        if handled {
            // SAFETY: a handler that does nothing.
            unsafe { handle_signal(libc::SIGSEGV, passes_on) }.expect("a signal");
        }
        signal_stack(64 << 10);
        adopted(|_| {
            // SAFETY: the stack is the task's; the guard is in memory that nobody else uses in this child.
            unsafe {
                if given {
                    libc::mprotect(limit.wrapping_sub(page).cast(), page, libc::PROT_NONE);
                }
                g_init(&raw mut *g, limit, top, entry).expect("a good stack");
                black_box(resume(&raw mut *g, 0)).expect("it dies");
            }
        });
        0
    });
    (ending, task, bounds)
}

fn managed(given: bool, handled: bool) {
    let (ending, task, bounds) = overflows_managed(false, given, handled);
    let lines = report(&ending, "the managed stack of a task is too small");
    check!(lines.iter().any(|line| line.starts_with(&task) && !line.contains("in C")), "{task}: {lines:#?}");
    check!(lines.iter().any(|line| line.starts_with(&bounds)), "{bounds}: {lines:#?}");
    check_eq!(lines.iter().any(|line| line.contains(", guard from 0x")), !given, "{lines:#?}");
    let names = names(&lines);
    check_eq!(names[0], "overflow_recurses", "{lines:#?}");
    check!(names.iter().filter(|name| **name == "overflow_recurses").count() >= 10, "{lines:#?}");
    check!(names.iter().any(|name| name.ends_with("overflow_task")), "down to the task: {lines:#?}");
    check!(!ending.errors.contains("... stopped"), "{lines:#?}");
}

fn a_managed_stack() {
    managed(false, false);
}

/// A handler of the embedder that comes first and runs as gsignal.
unsafe extern "C" fn passes_on(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    Verdict::PassOn
}

fn after_a_handler() {
    managed(false, true);
    managed(true, true);
}

fn a_stack_of_the_embedder() {
    managed(true, false);
}

/// Runs `f` in a child, on a thread that the runtime starts.
fn on_a_small_thread(f: unsafe extern "C" fn(*mut c_void)) -> Ending {
    symbols::register_once();
    in_child(|| {
        handle_overflow().expect("a handler");
        let options = ThreadOptions { system_stack: 128 << 10, signal_stack: 32 << 10 };
        // SAFETY: it dies.
        unsafe { start_thread(&options, f, null_mut()) }.expect("a thread");
        std::thread::sleep(std::time::Duration::from_secs(20));
        0
    })
}

fn a_system_stack() {
    unsafe extern "C" fn run(_: *mut c_void) {
        black_box(overflow_recurses(0));
    }
    let ending = on_a_small_thread(run);
    let lines = report(&ending, "the system stack of a thread is too small");
    check!(lines.iter().any(|line| line.starts_with("    no task on the m 0x")), "{lines:#?}");
    check_eq!(names(&lines)[0], "overflow_recurses");
    check!(names(&lines).iter().any(|name| name.contains("a_system_stack::run")), "{lines:#?}");
}

fn a_system_stack_in_c() {
    unsafe extern "C" fn run(_: *mut c_void) {
        static POOL: Stacks = Stacks::new(StackOptions { guard: 1, keep: 0 });
        let stack = POOL.take(16 << 10).expect("a stack");
        let mut g = G::default();
        // SAFETY: the task dies.
        unsafe {
            stack.init(&raw mut g, overflow_task_in_c).expect("a good stack");
            black_box(resume(&raw mut g, 0)).expect("it dies");
        }
    }
    let ending = on_a_small_thread(run);
    let lines = report(&ending, "the system stack of a thread is too small");
    check!(
        lines.iter().any(|line| line.starts_with("    task 0x") && line.ends_with(", in C")),
        "{lines:#?}"
    );
    check!(names(&lines).iter().any(|name| name.ends_with("overflow_task_in_c")), "the task: {lines:#?}");
}

fn a_signal_stack() {
    unsafe extern "C" fn overflows(_: c_int) {
        black_box(overflow_recurses(0));
    }
    unsafe extern "C" fn run(_: *mut c_void) {
        // SAFETY: a handler.
        unsafe {
            let mut action = core::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = overflows as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK;
            libc::sigaction(libc::SIGUSR1, &action, null_mut());
            libc::raise(libc::SIGUSR1);
        }
    }
    let ending = on_a_small_thread(run);
    if Native::NAME == "ppc64le" {
        // There a frame is opened by one store, which faults before SP moves. SP is on the signal stack, on which
        // there is no room for another handler: the kernel ends the process, and nobody can say anything.
        check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
        return;
    }
    let lines = report(&ending, "a signal stack is too small");
    check_eq!(names(&lines)[0], "overflow_recurses", "{lines:#?}");
}

fn the_main_threads_stack() {
    symbols::register_once();
    let ending = in_child(|| {
        // Smaller than it is by default, so that it does not take so long.
        let small = libc::rlimit { rlim_cur: 1 << 20, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: this process's own limit.
        unsafe { libc::setrlimit(libc::RLIMIT_STACK, &small) };
        handle_overflow().expect("a handler");
        signal_stack(64 << 10);
        adopted(|_| _ = black_box(overflow_recurses(0)));
        0
    });
    let lines = report(&ending, "the system stack of a thread is too small");
    check_eq!(names(&lines)[0], "overflow_recurses", "{lines:#?}");
}

fn two_at_once() {
    unsafe extern "C" fn run(again: *mut c_void) {
        static BOTH: AtomicUsize = AtomicUsize::new(0);
        if again.is_null() {
            let options = ThreadOptions { system_stack: 128 << 10, signal_stack: 32 << 10 };
            // SAFETY: it dies.
            unsafe { start_thread(&options, run, core::ptr::without_provenance_mut(1)) }.expect("a thread");
        }
        BOTH.fetch_add(1, Ordering::SeqCst);
        while BOTH.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        black_box(overflow_recurses(0));
    }
    for _ in 0..10 {
        let ending = on_a_small_thread(run);
        let lines = report(&ending, "the system stack of a thread is too small");
        check!(names(&lines).iter().any(|name| name.contains("two_at_once::run")), "to its end: {lines:#?}");
    }
}

// ---- Faults that are not ours.

/// Touches what nobody has.
fn wild() {
    let nowhere = black_box(core::ptr::without_provenance_mut::<u8>(64));
    // SAFETY: none: this is the fault.
    unsafe { nowhere.write_volatile(1) };
}

/// Has `handler` or SIG_DFL or SIG_IGN in place before ours, then runs `f` in a child with an m.
fn before_ours(handler: usize, flags: c_int, f: impl Fn()) -> Ending {
    in_child(|| {
        // SAFETY: handlers of this module.
        unsafe {
            let mut action = core::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = handler;
            action.sa_flags = flags;
            libc::sigaction(libc::SIGSEGV, &action, null_mut());
            libc::sigaction(libc::SIGBUS, &action, null_mut());
        }
        handle_overflow().expect("a handler");
        adopted(|_| f());
        black_box(FINE)
    })
}

const FINE: c_int = 17;

fn quiet(ending: &Ending) {
    check!(!ending.errors.contains("stackgate"), "it is not ours: {ending:?}");
}

fn a_wild_pointer_by_default() {
    let ending = before_ours(libc::SIG_DFL, 0, wild);
    check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    quiet(&ending);
    // Ignoring a fault does not help.
    let ending = before_ours(libc::SIG_IGN, 0, wild);
    check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    quiet(&ending);
}

fn a_wild_pointer_into_a_guard() {
    unsafe extern "C" fn writes(address: usize) -> usize {
        // SAFETY: none: this is the fault.
        unsafe { core::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
        0
    }
    // From a task on one stack into the guard of another.
    let pool = Stacks::new(StackOptions::default());
    let stacks = [(); 2].map(|()| pool.take(16 << 10).expect("a stack"));
    let guard = stacks[0].limit().expose_provenance() - 16;
    let ending = before_ours(libc::SIG_DFL, 0, || {
        let mut g = G::default();
        // SAFETY: the task dies.
        unsafe {
            stacks[1].init(&raw mut g, writes).expect("a good stack");
            black_box(resume(&raw mut g, guard)).expect("it dies");
        }
    });
    check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    quiet(&ending);
}

fn sent_by_somebody() {
    // SAFETY: to this process.
    let send = |signal| move || _ = unsafe { libc::raise(signal) };
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        let ending = before_ours(libc::SIG_DFL, 0, send(signal));
        check_eq!(ending.signal, Some(signal), "{ending:?}");
        quiet(&ending);
        let ending = before_ours(libc::SIG_IGN, 0, send(signal));
        check_eq!(ending.code, Some(FINE), "{ending:?}");
    }
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

fn plain_handler() {
    unsafe extern "C" fn plain(signal: c_int) {
        HANDLED.fetch_add(signal as usize, Ordering::SeqCst);
    }
    let ending = before_ours(plain as *const () as usize, 0, || {
        // SAFETY: to this process.
        unsafe { libc::raise(libc::SIGSEGV) };
        assert_eq!(HANDLED.load(Ordering::SeqCst), 11);
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGBUS) };
        assert_eq!(HANDLED.load(Ordering::SeqCst), 11 + 7);
    });
    check_eq!(ending.code, Some(FINE), "{ending:?}");
}

fn handler_with_information() {
    /// Makes the fault go away.
    unsafe extern "C" fn informed(signal: c_int, info: *mut libc::siginfo_t, ucontext: *mut c_void) {
        // SAFETY: what the kernel passes.
        unsafe {
            let address = (*info).si_addr();
            let page = Hosted.page_size();
            let at = address.wrapping_byte_sub(address.addr() % page);
            assert_eq!((signal, (*info).si_signo), (libc::SIGSEGV, libc::SIGSEGV));
            assert!(!ucontext.is_null());
            libc::mprotect(at, page, libc::PROT_READ | libc::PROT_WRITE);
        }
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
    for flags in [0, libc::SA_NODEFER, libc::SA_RESETHAND] {
        let ending = before_ours(informed as *const () as usize, libc::SA_SIGINFO | flags, || {
            let page = Hosted.map(Hosted.page_size()).expect("memory");
            // SAFETY: a page of this function's, which the handler makes writable.
            unsafe {
                libc::mprotect(page.as_ptr().cast(), Hosted.page_size(), libc::PROT_NONE);
                page.as_ptr().write_volatile(9);
                assert_eq!(page.as_ptr().read_volatile(), 9);
            }
            assert_eq!(HANDLED.load(Ordering::SeqCst), 1);
            if flags == libc::SA_RESETHAND {
                // Once and no more.
                wild();
            }
        });
        if flags == libc::SA_RESETHAND {
            check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
        } else {
            check_eq!(ending.code, Some(FINE), "{ending:?}");
        }
    }
}

fn a_thread_without_an_m() {
    let ending = in_child(|| {
        handle_overflow().expect("a handler");
        assert!(current_m().is_none());
        wild();
        FINE
    });
    check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    quiet(&ending);
}

cases! {
    "overflow";
    "managed stack" => a_managed_stack;
    "after a handler" => after_a_handler;
    "embedder's stack" => a_stack_of_the_embedder;
    "system stack" => a_system_stack;
    "system stack in C" => a_system_stack_in_c;
    "signal stack" => a_signal_stack;
    "the main thread's stack" => the_main_threads_stack;
    "two at once" => two_at_once;
    "not ours, default" => a_wild_pointer_by_default;
    "not ours, in a guard" => a_wild_pointer_into_a_guard;
    "sent" => sent_by_somebody;
    "plain handler" => plain_handler;
    "handler with information" => handler_with_information;
    "without an m" => a_thread_without_an_m;
}

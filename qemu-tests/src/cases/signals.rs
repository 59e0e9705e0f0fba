//! Signal handlers: the trampoline, the handlers of C beside ours, the stacks they run on, and tracebacks of what
//! they interrupt.

use crate::cases::registers::keeps;
use crate::cases::traceback::{counting_context, name_tower, tower, tower_of};
use crate::child::in_child;
use crate::cpu::clobber_everything;
use crate::setup::{adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch;
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::traceback::{Pc, Stop, Traceback, TracebackArg, set_cgo_traceback};
use stackgate::{G, ServiceError, current_g, current_m, interrupted_g};
use stackgate_libc::{SignalHandler, Verdict, handle_signal};
use std::hint::{black_box, spin_loop};
use std::thread;
use std::time::Duration;

const ONE: c_int = libc::SIGUSR1;
const TWO: c_int = libc::SIGUSR2;

/// Has it run for that signal.
pub fn handle(signal: c_int, handler: SignalHandler) {
    // SAFETY: the handlers of this file.
    check_eq!(unsafe { handle_signal(signal, handler) }, Ok(()));
}

/// Sends this thread a signal, whose handler has run when this returns.
fn raise(signal: c_int) {
    // SAFETY: takes any number.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

fn here() -> usize {
    let here = 0u8;
    (&raw const here).addr()
}

/// Runs `f` with a signal stack that two handlers have room on that take tracebacks, one above the other: what
/// Rust's threads have is too small.
pub fn with_room(f: impl FnOnce()) {
    let mut memory = vec![0u128; (8 << 10) * crate::variants::MORE_STACK];
    let stack =
        libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: size_of_val(&memory[..]) };
    // SAFETY: memory that nobody else uses while it is this thread's signal stack.
    unsafe {
        let mut former = core::mem::zeroed::<libc::stack_t>();
        assert_eq!(libc::sigaltstack(&stack, &mut former), 0);
        f();
        assert_eq!(libc::sigaltstack(&former, null_mut()), 0);
    }
}

/// What a handler has found.
static CALLS: AtomicUsize = AtomicUsize::new(0);
static FOUND_G: AtomicPtr<G> = AtomicPtr::new(null_mut());
static INTERRUPTED: AtomicPtr<G> = AtomicPtr::new(null_mut());
static FOUND_AT: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(0);
static TOP: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn looks(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    look();
    Verdict::Done
}

fn look() {
    CALLS.fetch_add(1, Ordering::SeqCst);
    FOUND_AT.store(here(), Ordering::SeqCst);
    FOUND_G.store(current_g().unwrap_or_default(), Ordering::SeqCst);
    if let Some(m) = current_m() {
        // SAFETY: this thread's m.
        let m = unsafe { &*m };
        INTERRUPTED.store(interrupted_g().unwrap_or_default(), Ordering::SeqCst);
        LIMIT.store(m.gsignal.stack.limit.get() as usize, Ordering::SeqCst);
        TOP.store(m.gsignal.stack.top.get() as usize, Ordering::SeqCst);
    }
}

/// Raises `signal`, and checks which g its handler has found.
fn found_as_gsignal(signal: c_int, place: &str) {
    let before = current_g();
    let m = current_m().expect("an m");
    // SAFETY: this thread's m.
    let (gsignal, bounds) = unsafe { (&raw mut (*m).gsignal, (*m).gsignal.stack) };
    let calls = CALLS.load(Ordering::SeqCst);
    raise(signal);
    check_eq!(CALLS.load(Ordering::SeqCst), calls + 1, "{place}");
    check_eq!(FOUND_G.load(Ordering::SeqCst), gsignal, "{place}: the g in the handler");
    check_eq!(Some(INTERRUPTED.load(Ordering::SeqCst)), before, "{place}: the g that was interrupted");
    let (limit, top) = (LIMIT.load(Ordering::SeqCst), TOP.load(Ordering::SeqCst));
    check!((limit..top).contains(&FOUND_AT.load(Ordering::SeqCst)), "{place}: gsignal's bounds");
    check_eq!(current_g(), before, "{place}: the g afterwards");
    // SAFETY: as above.
    let after = unsafe { (*m).gsignal.stack };
    check_eq!((after.limit.get(), after.top.get()), (bounds.limit.get(), bounds.top.get()), "{place}");
}

// ---- The trampoline, called as C calls a function.

fn registers_of_c() {
    arch::SIGNAL_HANDLER.store(clobber_everything as *mut c_void, Ordering::Relaxed);
    let calls = |place: &str, seed| {
        let mut words = [0usize; 2];
        let at = (&raw mut words).expose_provenance();
        let before = current_g();
        // What is called writes its second and its third argument where the first says.
        keeps(place, arch::sigtramp as *const () as usize, [at, 0x1234, 0x5678, 0], seed);
        check_eq!(words, [0x1234, 0x5678], "{place}: info and ucontext");
        check_eq!(current_g(), before, "{place}: the g");
    };
    calls("sigtramp without a g", 21);
    adopted(|_| calls("sigtramp on g0", 22));
    in_task(|| {
        calls("sigtramp on a g", 23);
        in_c(|| calls("sigtramp in C", 24));
        let m = current_m().expect("an m");
        let g = current_g().expect("a task");
        in_c(|| {
            // SAFETY: gsignal stands for this stack meanwhile, as in a handler.
            unsafe {
                arch::setg(&raw mut (*m).gsignal);
                calls("sigtramp on gsignal", 25);
                arch::setg(&raw mut (*m).g0);
            }
        });
        check_eq!(current_g(), Some(g));
    });
}

// ---- Which g a handler runs as.

fn gs() {
    handle(ONE, looks);
    raise(ONE);
    check_eq!(CALLS.load(Ordering::SeqCst), 1);
    check!(FOUND_G.load(Ordering::SeqCst).is_null(), "a thread that is no m");
    check!(current_g().is_none());
    adopted(|_| found_as_gsignal(ONE, "on g0"));
    in_task(|| {
        found_as_gsignal(ONE, "in a task");
        in_c(|| {
            found_as_gsignal(ONE, "in C");
            in_callback(|| {
                found_as_gsignal(ONE, "in a callback");
                in_c(|| found_as_gsignal(ONE, "in C that a callback calls"));
            });
        });
    });
}

static OUTER: AtomicUsize = AtomicUsize::new(0);

/// A handler that another one interrupts.
unsafe extern "C" fn is_interrupted(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    let outer = interrupted_g().expect("what it has interrupted");
    found_as_gsignal(TWO, "in a handler");
    check_eq!(interrupted_g(), Some(outer), "the outer handler's again");
    OUTER.store(outer.addr(), Ordering::SeqCst);
    Verdict::Done
}

fn nested() {
    handle(ONE, is_interrupted);
    handle(TWO, looks);
    for _ in 0..2 {
        in_task(|| {
            let me = current_g().expect("a task");
            raise(ONE);
            check_eq!(OUTER.load(Ordering::SeqCst), me.addr(), "what the outer handler has interrupted");
            check_eq!(current_g(), Some(me));
            in_c(|| raise(ONE));
            check_eq!(OUTER.load(Ordering::SeqCst), current_m().expect("an m").addr(), "g0");
        });
    }
}

fn on_a_foreign_thread() {
    handle(ONE, looks);
    thread::spawn(|| {
        raise(ONE);
        check_eq!(CALLS.load(Ordering::SeqCst), 1);
        check!(FOUND_G.load(Ordering::SeqCst).is_null(), "no g");
        // A callback finds the thread an m.
        in_callback(|| found_as_gsignal(ONE, "in a callback of a foreign thread"));
        FOUND_G.store(null_mut(), Ordering::SeqCst);
        raise(ONE);
        check_eq!(CALLS.load(Ordering::SeqCst), 3);
    })
    .join()
    .expect("the thread");
}

// ---- C's handlers.

static C_CALLS: AtomicUsize = AtomicUsize::new(0);
static C_INFO: AtomicUsize = AtomicUsize::new(0);
static C_UCONTEXT: AtomicUsize = AtomicUsize::new(0);
static OUR_INFO: AtomicUsize = AtomicUsize::new(0);
static OUR_UCONTEXT: AtomicUsize = AtomicUsize::new(0);
static PASS_ON: AtomicBool = AtomicBool::new(true);

unsafe extern "C" fn of_c(_: c_int) {
    C_CALLS.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn of_c_with_info(_: c_int, info: *mut libc::siginfo_t, ucontext: *mut c_void) {
    C_CALLS.fetch_add(1, Ordering::SeqCst);
    C_INFO.store(info.addr(), Ordering::SeqCst);
    C_UCONTEXT.store(ucontext.addr(), Ordering::SeqCst);
}

unsafe extern "C" fn passes_on(_: c_int, info: *mut c_void, ucontext: *mut c_void) -> Verdict {
    look();
    OUR_INFO.store(info.addr(), Ordering::SeqCst);
    OUR_UCONTEXT.store(ucontext.addr(), Ordering::SeqCst);
    if PASS_ON.load(Ordering::SeqCst) { Verdict::PassOn } else { Verdict::Done }
}

/// What C does: the handler, and which one there was.
fn c_sets(signal: c_int, handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: handlers of this file.
    unsafe {
        let mut action = core::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        let mut former = core::mem::zeroed();
        assert_eq!(libc::sigaction(signal, &action, &mut former), 0);
        former
    }
}

fn chained() {
    c_sets(ONE, of_c as *const () as usize, 0);
    c_sets(TWO, of_c_with_info as *const () as usize, libc::SA_SIGINFO);
    handle(ONE, passes_on);
    handle(TWO, passes_on);
    in_task(|| {
        found_as_gsignal(ONE, "with a handler of C");
        check_eq!(C_CALLS.load(Ordering::SeqCst), 1, "C's handler of one argument");
        in_c(|| found_as_gsignal(TWO, "with a handler of C in C"));
        check_eq!(C_CALLS.load(Ordering::SeqCst), 2, "C's handler of three arguments");
        for (c, ours) in [(&C_INFO, &OUR_INFO), (&C_UCONTEXT, &OUR_UCONTEXT)] {
            check!(c.load(Ordering::SeqCst) != 0);
            check_eq!(c.load(Ordering::SeqCst), ours.load(Ordering::SeqCst), "what the kernel passed");
        }
        PASS_ON.store(false, Ordering::SeqCst);
        raise(ONE);
        raise(TWO);
        check_eq!((CALLS.load(Ordering::SeqCst), C_CALLS.load(Ordering::SeqCst)), (4, 2), "ours alone");
    });
}

static OURS: AtomicUsize = AtomicUsize::new(0);

/// A handler of C that calls the one that it has replaced, as a function.
unsafe extern "C" fn calls_ours(signal: c_int, info: *mut libc::siginfo_t, ucontext: *mut c_void) {
    // QEMU 7.2 enters handlers on x86 with an SP that is no C function's; a strict local mends that.
    #[repr(align(64))]
    struct Strict([u8; 64]);
    black_box(&mut Strict([0; 64]).0);
    C_CALLS.fetch_add(1, Ordering::SeqCst);
    let args = [signal as usize, info.expose_provenance(), ucontext.expose_provenance(), 0];
    keeps("the handler that C replaced", OURS.load(Ordering::SeqCst), args, 31);
}

fn called_by_c() {
    handle(ONE, looks);
    let former = c_sets(ONE, calls_ours as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
    OURS.store(former.sa_sigaction, Ordering::SeqCst);
    check_eq!(former.sa_sigaction, arch::sigtramp as *const () as usize, "what C finds");
    in_task(|| {
        found_as_gsignal(ONE, "called by C");
        in_c(|| found_as_gsignal(ONE, "called by C in C"));
    });
    check_eq!(C_CALLS.load(Ordering::SeqCst), 2);
    // The handler is exchanged; C's stays.
    handle(ONE, passes_on);
    PASS_ON.store(false, Ordering::SeqCst);
    in_task(|| found_as_gsignal(ONE, "the other one, called by C"));
    check_eq!(C_CALLS.load(Ordering::SeqCst), 3);
    check!(OUR_INFO.load(Ordering::SeqCst) != 0);
}

fn once() {
    c_sets(ONE, of_c as *const () as usize, libc::SA_RESETHAND);
    handle(ONE, passes_on);
    raise(ONE);
    check_eq!((CALLS.load(Ordering::SeqCst), C_CALLS.load(Ordering::SeqCst)), (1, 1));
    let ending = in_child(|| {
        raise(ONE);
        3
    });
    check_eq!(ending.signal, Some(ONE), "the default action, once C's handler has run: {ending:?}");
}

fn by_default() {
    for signal in [libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG, libc::SIGCONT] {
        handle(signal, passes_on);
        for _ in 0..2 {
            let calls = CALLS.load(Ordering::SeqCst);
            raise(signal);
            check_eq!(CALLS.load(Ordering::SeqCst), calls + 1, "signal {signal}");
        }
    }
    c_sets(TWO, libc::SIG_IGN, 0);
    handle(TWO, passes_on);
    let calls = CALLS.load(Ordering::SeqCst);
    raise(TWO);
    raise(TWO);
    check_eq!(CALLS.load(Ordering::SeqCst), calls + 2, "what is ignored comes to us nevertheless");
    for signal in [libc::SIGTERM, ONE] {
        let ending = in_child(|| {
            handle(signal, passes_on);
            raise(signal);
            3
        });
        check_eq!(ending.signal, Some(signal), "{ending:?}");
    }
}

/// The kernel sends it, and no instruction makes it again.
fn by_default_from_the_kernel() {
    let ending = in_child(|| {
        handle(TICK, passes_on);
        tick(100, false);
        thread::sleep(Duration::from_secs(2));
        3
    });
    check_eq!(ending.signal, Some(TICK), "{ending:?}");
    // A fault: it comes again when the handler returns, and nobody can ignore it.
    for former in [libc::SIG_DFL, libc::SIG_IGN] {
        let ending = in_child(|| {
            c_sets(libc::SIGSEGV, former, 0);
            handle(libc::SIGSEGV, passes_on);
            // SAFETY: the child dies.
            unsafe { black_box(core::ptr::without_provenance_mut::<u8>(8)).write_volatile(1) };
            3
        });
        check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    }
}

fn refused() {
    for signal in [0, -1, 65, 1000, libc::SIGKILL, libc::SIGSTOP] {
        // SAFETY: a handler of this file.
        check_eq!(unsafe { handle_signal(signal, looks) }, Err(ServiceError::BadArgument), "signal {signal}");
    }
    handle(ONE, looks);
}

// ---- errno.

unsafe extern "C" fn spoils_errno(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: this thread's.
    unsafe { *libc::__errno_location() = 77 };
    Verdict::PassOn
}

unsafe extern "C" fn c_spoils_errno(_: c_int) {
    // SAFETY: this thread's.
    unsafe { *libc::__errno_location() = 78 };
}

fn errno() {
    c_sets(ONE, c_spoils_errno as *const () as usize, 0);
    handle(ONE, spoils_errno);
    let kept = |place: &str| {
        // SAFETY: this thread's.
        unsafe {
            *libc::__errno_location() = 55;
            raise(ONE);
            check_eq!(*libc::__errno_location(), 55, "{place}");
        }
    };
    kept("without a g");
    in_task(|| {
        kept("in a task");
        in_c(|| kept("in C"));
    });
    check_eq!(CALLS.load(Ordering::SeqCst), 3);
}

// ---- The stack that C has chosen.

fn stacks_of_c() {
    handle(ONE, looks);
    let mut memory = vec![0u128; 4 << 10];
    let ends = memory.as_mut_ptr_range();
    let ends = ends.start.addr()..ends.end.addr();
    adopted(|_| {
        let m = current_m().expect("an m");
        // SAFETY: C's own signal stack, while it is there; this thread's m.
        unsafe {
            let mut former = core::mem::zeroed::<libc::stack_t>();
            let stack =
                libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() * 16 };
            assert_eq!(libc::sigaltstack(&stack, &mut former), 0);
            found_as_gsignal(ONE, "on a stack that C has set");
            check!(ends.contains(&FOUND_AT.load(Ordering::SeqCst)), "on C's signal stack");
            check_eq!((LIMIT.load(Ordering::SeqCst), TOP.load(Ordering::SeqCst)), (ends.start, ends.end));

            let none = libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            assert_eq!(libc::sigaltstack(&none, null_mut()), 0);
            found_as_gsignal(ONE, "without a signal stack");
            let g0 = (*m).g0.stack;
            check!(
                (g0.limit.get() as usize..g0.top.get() as usize).contains(&FOUND_AT.load(Ordering::SeqCst))
            );
            check_eq!(LIMIT.load(Ordering::SeqCst), g0.limit.get() as usize, "g0's bounds");
            assert_eq!(libc::sigaltstack(&former, null_mut()), 0);
        }
    });
    drop(memory);
}

// ---- What is a mistake.

unsafe extern "C" fn calls_back(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    CALLS.fetch_add(1, Ordering::SeqCst);
    in_callback(|| ());
    Verdict::Done
}

fn a_callback() {
    handle(ONE, calls_back);
    in_task(|| in_c(|| raise(ONE)));
}

fn a_callback_on_a_foreign_thread() {
    handle(ONE, calls_back);
    _ = thread::spawn(|| with_room(|| raise(ONE))).join();
}

fn a_callback_on_a_foreign_thread_later() {
    handle(ONE, looks);
    handle(TWO, calls_back);
    thread::spawn(|| {
        // A handler that has ended does not matter, nor one that has interrupted a handler.
        raise(ONE);
        in_callback(|| check!(current_m().is_some()));
    })
    .join()
    .expect("the thread");
    _ = thread::spawn(|| {
        with_room(|| {
            raise(ONE);
            raise(TWO);
        });
    })
    .join();
}

// ---- Tracebacks.

/// The most that a handler keeps.
const MOST: usize = 64;
struct Trace(UnsafeCell<[Pc; MOST]>);
// SAFETY: the case waits for the handler that writes it.
unsafe impl Sync for Trace {}
static TRACE: Trace = Trace(UnsafeCell::new([Pc::managed(0); MOST]));
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static STOP: AtomicUsize = AtomicUsize::new(0);
/// Somebody is to be interrupted, and has not been.
static SPINS: AtomicBool = AtomicBool::new(false);

fn keep(mut trace: Traceback) {
    let mut length = 0;
    // SAFETY: the case waits for the handler before it reads.
    let kept = unsafe { &mut *TRACE.0.get() };
    for pc in trace.by_ref().take(MOST) {
        kept[length] = pc;
        length += 1;
    }
    LENGTH.store(length, Ordering::SeqCst);
    STOP.store(trace.stop().map_or(usize::MAX, |stop| stop as usize), Ordering::SeqCst);
}

fn kept() -> Vec<Pc> {
    // SAFETY: the handler has returned.
    let trace = unsafe { &*TRACE.0.get() };
    trace[..LENGTH.load(Ordering::SeqCst)].to_vec()
}

unsafe extern "C" fn traces(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    // SAFETY: the handler's third argument.
    keep(unsafe { Traceback::from_ucontext(ucontext) });
    Verdict::Done
}

/// The same where something [`spin`]s.
unsafe extern "C" fn traces_who_spins(signal: c_int, info: *mut c_void, ucontext: *mut c_void) -> Verdict {
    if SPINS.load(Ordering::SeqCst) {
        // SAFETY: the handler's arguments.
        unsafe { traces(signal, info, ucontext) };
        SPINS.store(false, Ordering::SeqCst);
    }
    Verdict::Done
}

/// Spins until a signal has interrupted it, which the timer sends.
#[inline(never)]
fn spin() {
    SPINS.store(true, Ordering::SeqCst);
    while SPINS.load(Ordering::SeqCst) {
        spin_loop();
    }
    black_box(());
}

/// The signal of the timer. The program has one thread: under QEMU's i386 others would lose their storage.
pub const TICK: c_int = libc::SIGALRM;

/// Has [`TICK`] come once after so many microseconds, or again and again.
fn tick(after: libc::suseconds_t, again: bool) {
    let time = |microseconds| libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: time(if again { after } else { 0 }), it_value: time(after) };
    // SAFETY: a timer whose signal has a handler.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, null_mut()) }, 0);
}

/// Runs `f` while [`TICK`] comes 10 000 times a second, or as often as the system can.
pub fn interrupted(f: impl FnOnce()) {
    tick(100, true);
    f();
    tick(0, false);
}

/// C's PCs, by the context; where C was interrupted, one that says so.
unsafe extern "C" fn traceback_in_c(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        if arg.sigcontext.is_null() {
            for i in 0..arg.context.min(arg.max) {
                arg.buf.add(i).write((arg.context << 8) + i);
            }
        } else {
            arg.buf.write(0xc000);
        }
    }
}

const BELOW: [&str; 5] = ["g2", "C 0x200", "C 0x201", "g1", "C 0x100"];

fn names_end_in_the_task(names: &[String], place: &str) {
    check_eq!(names[..names.len() - 1], BELOW, "{place}");
    check_eq!(names.last().map(String::as_str), Some("task"), "{place}");
    check_eq!(STOP.load(Ordering::SeqCst), Stop::End as usize, "{place}");
}

fn set_traceback() {
    name_tower();
    // SAFETY: functions of this program.
    let set = unsafe { set_cgo_traceback(0, Some(traceback_in_c), Some(counting_context), None) };
    check_eq!(set, Ok(()));
}

fn tracebacks() {
    set_traceback();
    handle(TICK, traces_who_spins);
    interrupted(|| {
        tower(2, || {
            spin();
            check!(kept()[0].exact && kept()[0].managed, "managed code, where it was interrupted");
            names_end_in_the_task(&tower_of(&kept()), "in a callback");
            in_c(|| {
                spin();
                check_eq!((kept()[0].managed, kept()[0].pc), (false, 0xc000), "C, which was interrupted");
                names_end_in_the_task(&tower_of(&kept()), "in C");
            });
        });
        tower(0, || {
            spin();
            check_eq!(tower_of(&kept()), ["task"], "in managed code");
            in_c(|| {
                spin();
                check_eq!(tower_of(&kept()), ["task"], "in C that managed code called");
            });
        });
    });
}

/// A thread that C made: its chain begins where it calls back.
fn tracebacks_on_a_foreign_thread() {
    set_traceback();
    handle(ONE, traces);
    let body = || {
        in_callback(|| {
            in_c(|| {
                raise(ONE);
                let kept = kept();
                check_eq!((kept[0].managed, kept[0].pc), (false, 0xc000), "C, which was interrupted");
                let [.., last] = kept[..] else { unreachable!("it has a first") };
                check_eq!((last.managed, last.pc), (false, 0x100), "C that calls back");
                let between = &kept[1..kept.len() - 1];
                check!(!between.is_empty() && between.iter().all(|pc| pc.managed), "{kept:?}");
                check_eq!(STOP.load(Ordering::SeqCst), Stop::End as usize, "where C called back");
            });
        });
    };
    let seen = || (LENGTH.load(Ordering::SeqCst), STOP.load(Ordering::SeqCst));
    thread::spawn(move || {
        with_room(|| raise(ONE));
        check_eq!(seen(), (1, Stop::End as usize), "C alone: no m yet");
        check_eq!((kept()[0].managed, kept()[0].pc), (false, 0xc000), "C, which was interrupted");
        with_room(body);
        with_room(|| raise(ONE));
        check_eq!(seen(), (1, Stop::End as usize), "C alone, on a thread that has its m until it ends");
    })
    .join()
    .expect("the thread");
}

/// The handler's own chain, and what it has interrupted.
unsafe extern "C" fn traces_itself(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    if SPINS.load(Ordering::SeqCst) {
        keep(Traceback::current());
        SPINS.store(false, Ordering::SeqCst);
    }
    Verdict::Done
}

unsafe extern "C" fn is_traced(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    if SPINS.load(Ordering::SeqCst) {
        raise(TWO);
        SPINS.store(false, Ordering::SeqCst);
    }
    Verdict::Done
}

/// Checks that the frames of handlers come first, then C if that was interrupted, then the tower.
fn handlers_come_first(handlers: usize, in_c: bool, place: &str) {
    let kept = kept();
    let c = kept.iter().position(|pc| !pc.managed && pc.pc == 0xc000);
    check_eq!(c.is_some(), in_c, "{place}: {kept:?}");
    if let Some(c) = c {
        check!(kept[..c].iter().all(|pc| pc.managed), "{place}: {kept:?}");
        check!(c > handlers, "{place}: the handler: {kept:?}");
    }
    names_end_in_the_task(&tower_of(&kept), place);
}

fn of_handlers() {
    set_traceback();
    let both = |place: &str| {
        tower(2, || {
            // It leaves behind what looks like a call into C that is under way.
            in_c(|| ());
            spin();
            handlers_come_first(1, false, place);
            in_c(|| {
                spin();
                handlers_come_first(1, true, place);
            });
        });
    };
    handle(TICK, traces_itself);
    interrupted(|| both("its own"));
    handle(TWO, traces);
    handle(TICK, is_traced);
    interrupted(|| both("of a handler that another one has interrupted"));
    handle(TWO, traces_itself);
    interrupted(|| both("from a handler to the one that it has interrupted, and on"));
}

/// How often a handler was interrupted before its first instruction.
static AT_FIRST: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn traces_at_first(signal: c_int, info: *mut c_void, ucontext: *mut c_void) -> Verdict {
    // SAFETY: the handler's arguments.
    unsafe {
        if Registers::from_ucontext(ucontext).pc() == arch::sigtramp as *const () as usize & !1 {
            traces(signal, info, ucontext);
            AT_FIRST.fetch_add(1, Ordering::SeqCst);
        }
    }
    Verdict::Done
}

/// Two signals that come at once: the second handler interrupts the first one's trampoline.
fn two_at_once() {
    set_traceback();
    handle(ONE, traces_at_first);
    handle(TWO, traces_at_first);
    tower(2, || {
        in_c(|| {
            // SAFETY: sets of signals.
            unsafe {
                let mut both = core::mem::zeroed();
                libc::sigemptyset(&mut both);
                libc::sigaddset(&mut both, ONE);
                libc::sigaddset(&mut both, TWO);
                assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &both, null_mut()), 0);
                raise(ONE);
                raise(TWO);
                assert_eq!(libc::pthread_sigmask(libc::SIG_UNBLOCK, &both, null_mut()), 0);
            }
            check_eq!(AT_FIRST.load(Ordering::SeqCst), 1, "a trampoline was interrupted");
            check_eq!((kept()[0].managed, kept()[0].pc), (false, 0xc000), "C, which was interrupted");
            names_end_in_the_task(&tower_of(&kept()), "before the handler");
        });
    });
}

/// What the trampoline calls before anybody has said what is interrupted.
unsafe extern "C" fn traces_early(_: c_int, _: *mut c_void, _: *mut c_void, _: *mut G) {
    keep(Traceback::current());
}

unsafe extern "C" fn begins_another(signal: c_int, info: *mut c_void, ucontext: *mut c_void) -> Verdict {
    let cores = arch::SIGNAL_HANDLER.swap(traces_early as *mut c_void, Ordering::Relaxed);
    // SAFETY: the handler's arguments.
    unsafe { arch::sigtramp(signal, info, ucontext) };
    arch::SIGNAL_HANDLER.store(cores, Ordering::Relaxed);
    Verdict::Done
}

/// A handler of which nothing is known yet has not interrupted what the one has that it interrupts.
fn early() {
    set_traceback();
    handle(ONE, begins_another);
    tower(2, || {
        in_c(|| {
            raise(ONE);
            // The tower is below C, which would be there.
            check!(!kept().is_empty() && kept().iter().all(|pc| pc.managed), "its own frames: {:x?}", kept());
            check_eq!(STOP.load(Ordering::SeqCst), Stop::End as usize);
        });
    });
}

/// Between the two words that `stack_moved` writes the ends may be the wrong way round.
fn between_two_ends() {
    set_traceback();
    handle(ONE, traces);
    in_task(|| {
        let g = current_g().expect("a task");
        in_c(|| {
            // SAFETY: the g of this thread, which stands still.
            let (limit, top) = unsafe { (&raw mut (*g).stack.limit, (*g).stack.top) };
            // SAFETY: as above; nobody goes back to its stack meanwhile.
            unsafe {
                let old = limit.replace(Word::new(top.get() + (1 << 16)));
                raise(ONE);
                limit.write(old);
            }
            check!(LENGTH.load(Ordering::SeqCst) != 0, "C at least");
            check!(STOP.load(Ordering::SeqCst) != usize::MAX, "the trace has ended");
        });
    });
}

/// C's own, which nobody has told of.
unsafe extern "C" fn of_c_is_traced(_: c_int) {
    // QEMU 7.2, as above.
    #[repr(align(64))]
    struct Strict([u8; 64]);
    black_box(&mut Strict([0; 64]).0);
    if SPINS.load(Ordering::SeqCst) {
        raise(ONE);
        SPINS.store(false, Ordering::SeqCst);
    }
}

/// Where C's handler has interrupted managed code, nobody knows the place; a call that has ended is not it.
fn of_handlers_of_c() {
    set_traceback();
    handle(ONE, traces);
    c_sets(TICK, of_c_is_traced as *const () as usize, libc::SA_ONSTACK);
    interrupted(|| {
        tower(2, || {
            in_c(|| ());
            spin();
            check_eq!(kept(), [Pc::c(0xc000)], "C's handler alone");
            check_eq!(STOP.load(Ordering::SeqCst), Stop::End as usize);
            in_c(|| {
                spin();
                check_eq!(kept()[0], Pc::c(0xc000), "C's handler is C's as the rest of it");
                names_end_in_the_task(&tower_of(&kept()), "C's handler in C");
            });
        });
    });
}

/// How many traces the storm takes.
const STORM: usize = 2000;
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static SHORT: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
static IN_TASK: AtomicBool = AtomicBool::new(false);
/// The outermost managed function: where it begins and ends.
static BASE: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// What LLVM's tables say holds in prologues and epilogues too. Elsewhere a trace that begins there may be short.
pub const EXACT: bool = !arch::EXIDX && !arch::RECORD.pc_is_in_next;

unsafe extern "C" fn storms(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    if !IN_TASK.load(Ordering::Relaxed) {
        return Verdict::Done;
    }
    // SAFETY: the handler's third argument.
    let (mut trace, pc) =
        unsafe { (Traceback::from_ucontext(ucontext), Registers::from_ucontext(ucontext).pc()) };
    let last = trace.by_ref().filter(|pc| pc.managed).last().map_or(0, |pc| pc.lookup());
    let [begin, end] = &BASE;
    let to_the_base = (begin.load(Ordering::Relaxed)..end.load(Ordering::Relaxed)).contains(&last);
    match trace.stop() {
        Some(Stop::End) if to_the_base => {}
        Some(Stop::End) | None => _ = WRONG.fetch_add(1, Ordering::SeqCst),
        Some(_) if EXACT || in_crossing(pc) => _ = WRONG.fetch_add(1, Ordering::SeqCst),
        Some(_) => _ = SHORT.fetch_add(1, Ordering::SeqCst),
    }
    TAKEN.fetch_add(1, Ordering::SeqCst);
    Verdict::Done
}

fn storm() {
    set_traceback();
    handle(TICK, storms);
    let base = crate::cases::traceback::task_address();
    let function = crate::symbols::functions().iter().find(|f| f.entry == base).expect("a function");
    BASE[0].store(base, Ordering::Relaxed);
    BASE[1].store(function.end, Ordering::Relaxed);
    interrupted(|| {
        tower(2, || {
            IN_TASK.store(true, Ordering::SeqCst);
            while TAKEN.load(Ordering::SeqCst) < STORM {
                in_c(|| in_callback(|| in_c(|| ())));
            }
            IN_TASK.store(false, Ordering::SeqCst);
        });
    });
    let [taken, short] = [&TAKEN, &SHORT].map(|count| count.load(Ordering::SeqCst));
    println!("{taken} tracebacks between crossings, {short} of them short");
    check_eq!(WRONG.load(Ordering::SeqCst), 0, "traces that lost the task");
    check!(taken >= STORM);
}

/// Whether `at` lies in a function of the program. Its symbols have been read.
fn is_known(at: usize) -> bool {
    let functions = crate::symbols::functions();
    let behind = functions.partition_point(|f| f.entry <= at);
    functions[..behind].last().is_some_and(|f| at < f.end)
}

/// What the thread's traces may be: none while it has no m, C alone between callbacks, and in one the managed frames
/// down to C that has called back.
unsafe extern "C" fn storms_abroad(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    // SAFETY: the handler's third argument.
    let (mut trace, pc) =
        unsafe { (Traceback::from_ucontext(ucontext), Registers::from_ucontext(ucontext).pc()) };
    let (mut first, mut last, mut length, mut unknown) = (Pc::default(), Pc::default(), 0, 0);
    for pc in trace.by_ref() {
        if length == 0 {
            first = pc;
        }
        last = pc;
        length += 1;
        unknown += usize::from(pc.managed && !is_known(pc.lookup()));
    }
    let interrupted_c = !first.managed && first.pc == 0xc000;
    let well = match trace.stop() {
        Some(Stop::End) if length == 1 => interrupted_c || in_crossing(pc) && last == Pc::c(0x100),
        // The crossing that makes or ends the thread's one callback.
        Some(Stop::End) if length == 0 => in_crossing(pc),
        Some(Stop::End) => unknown == 0 && !last.managed && last.pc == 0x100,
        _ => false,
    };
    // arm's tables may pass over the caller of an interrupted prologue. Here that may be the crossing that says where
    // C has called back, and the thread's end comes next.
    let passed_over = arch::EXIDX && length == 1 && first.managed && first.exact && unknown == 0;
    ABROAD[usize::from(current_m().is_some())].fetch_add(1, Ordering::SeqCst);
    match well {
        true => {}
        false if EXACT || in_crossing(pc) || trace.stop() == Some(Stop::End) && !passed_over => {
            if WRONG.fetch_add(1, Ordering::SeqCst) == 0 {
                // SAFETY: as above.
                keep(unsafe { Traceback::from_ucontext(ucontext) });
            }
        }
        false => _ = SHORT.fetch_add(1, Ordering::SeqCst),
    }
    TAKEN.fetch_add(1, Ordering::SeqCst);
    Verdict::Done
}

/// Signals that found the thread without an m, and with one.
static ABROAD: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Threads that the runtime does not know, one after the other: their first callback, others, their end.
fn storm_abroad() {
    set_traceback();
    handle(TICK, storms_abroad);
    // The timer's signals go to whichever thread takes them: the new ones alone do.
    // SAFETY: sets of signals.
    let mask = |how| unsafe {
        let mut set = core::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, TICK);
        assert_eq!(libc::pthread_sigmask(how, &set, null_mut()), 0);
    };
    mask(libc::SIG_BLOCK);
    interrupted(|| {
        while TAKEN.load(Ordering::SeqCst) < STORM {
            let body = move || {
                with_room(|| {
                    mask(libc::SIG_UNBLOCK);
                    for _ in 0..20 {
                        in_callback(|| in_c(|| in_callback(|| ())));
                        in_callback(|| ());
                    }
                    mask(libc::SIG_BLOCK);
                });
            };
            thread::spawn(body).join().expect("the thread");
        }
    });
    let [taken, short, wrong] = [&TAKEN, &SHORT, &WRONG].map(|count| count.load(Ordering::SeqCst));
    let [without, with] = [0, 1].map(|i: usize| ABROAD[i].load(Ordering::SeqCst));
    println!("{taken} tracebacks on foreign threads, {without} of them without an m, {short} short");
    check_eq!(wrong, 0, "the first: {:x?} {}", kept(), STOP.load(Ordering::SeqCst));
    check!(taken >= STORM && with > 0);
}

cases! {
    "signals";
    "registers of C" => registers_of_c;
    "the current g" => gs;
    "nested" => nested;
    "on a foreign thread" => on_a_foreign_thread;
    "chained" => chained;
    "called by C" => called_by_c;
    "a handler of C that runs once" => once;
    "by default" => by_default;
    "by default, from the kernel" => by_default_from_the_kernel;
    "refused" => refused;
    "errno" => errno;
    "stacks of C" => stacks_of_c;
    "a callback" (fatal "callback from a signal handler") => a_callback;
    "a callback on a foreign thread" (fatal "callback from a signal handler") => a_callback_on_a_foreign_thread;
    "a callback on a foreign thread, later" (fatal "callback from a signal handler") => a_callback_on_a_foreign_thread_later;
    "tracebacks" => || with_room(tracebacks);
    "tracebacks on a foreign thread" => tracebacks_on_a_foreign_thread;
    "tracebacks of handlers" => || with_room(of_handlers);
    "tracebacks of two handlers at once" => || with_room(two_at_once);
    "tracebacks of a handler that begins" => || with_room(early);
    "tracebacks while the stack is moved" => || with_room(between_two_ends);
    "tracebacks of handlers of C" => || with_room(of_handlers_of_c);
    "storm" => || with_room(storm);
    "storm on foreign threads" => storm_abroad;
}

//! Runs every crossing once on each of its paths, for `cargo xtask step`, which takes a traceback at each
//! instruction: `steps --list`, `steps --expect`, `steps NAME...`, `steps --trap NAME...`. With `--trap` the CPU
//! itself raises the signals.

#![no_main]

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use qemu_tests::cpu::EVERY_INSTRUCTION;
use qemu_tests::scenarios::{
    SCENARIOS, Scenario, Way, run, set_bounds, set_spare, step_scenario_begins, step_scenario_ends,
    step_traceback, trace_line, under_way, write_expected,
};
use qemu_tests::shim::call_all;
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::arch::{self, Stack};
use stackgate::traceback::{Traceback, set_cgo_traceback};
use stackgate::{EntryFn, G, M, g_init};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Handlers that have run meanwhile, and the calls through the shim that they have made.
static HANDLERS: AtomicUsize = AtomicUsize::new(0);
static SHIM_CALLS: AtomicUsize = AtomicUsize::new(0);

/// Writes the trace of what has been interrupted. Then calls libc by every entry of the shim that a handler may
/// call: wherever it came, also between a crossing's change of g and of stack.
#[unsafe(no_mangle)]
unsafe extern "C" fn step_signal(_: c_int, _: *mut c_void, ucontext: *mut c_void) {
    // SAFETY: a handler's argument.
    let (registers, trace) =
        unsafe { (Registers::from_ucontext(ucontext), Traceback::from_ucontext(ucontext)) };
    let broken = if under_way() { broken_rule(registers.sp()) } else { None };
    let line = trace_line(registers.pc(), broken, trace);
    if under_way() {
        // SAFETY: the bytes are there.
        unsafe { write(1, line.text().as_ptr(), line.text().len()) };
        SHIM_CALLS.fetch_add(call_all(true), Ordering::Relaxed);
        HANDLERS.fetch_add(1, Ordering::Relaxed);
    }
    step_signal_end();
}

/// The same by a trap of the CPU, which comes at every instruction of the scenario: those that are no crossing's
/// are passed over.
unsafe extern "C" fn step_signal_trap(signal: c_int, info: *mut c_void, ucontext: *mut c_void) {
    // SAFETY: a handler's arguments.
    unsafe {
        if !under_way() {
            let trap = EVERY_INSTRUCTION.as_ref().expect("it has trapped");
            (trap.end)(ucontext);
        } else if in_crossing(Registers::from_ucontext(ucontext).pc()) {
            step_signal(signal, info, ucontext);
        }
    }
}

/// Begins a scenario at whose instructions the CPU traps.
extern "C" fn begin_with_traps() {
    step_scenario_begins();
    let trap = EVERY_INSTRUCTION.as_ref().expect("the command line was refused");
    (trap.begin)();
}

/// Which of the rules that hold at every instruction does not, of those that one word can tell; see the
/// contract in `stackgate_arch`.
fn broken_rule(sp: usize) -> Option<&'static str> {
    let (m, g) = (M_OF_SCENARIO.load(Ordering::Relaxed), G_OF_SCENARIO.load(Ordering::Relaxed));
    if m.is_null() {
        return None;
    }
    // SAFETY: the m lives as long as its scenario, and so does its g, if it has one; whatever is current
    // is one of them, or none.
    unsafe {
        let within = |stack: &Stack<stackgate::arch::Native>| {
            (stack.limit.get() as usize..=stack.top.get() as usize).contains(&sp)
        };
        let current = arch::getg();
        let on_system = within(&(*m).g0.stack);
        let on_managed = !g.is_null() && within(&(*g).stack);
        if !on_system && !on_managed {
            return Some("sp-on-no-stack");
        }
        // A handler that C calls as a function runs as gsignal, which calls C where it stands as g0 does.
        if on_system && current != &raw mut (*m).g0 && current != &raw mut (*m).gsignal {
            return Some("g0-not-current-on-its-stack");
        }
        if !current.is_null()
            && !(*current).m_out.is_null()
            && (*(*current).m_out.get()).curg.get() != current
        {
            return Some("current-g-not-curg");
        }
    }
    None
}

/// What the handler looks at: the scenario's m, and its task's g.
static M_OF_SCENARIO: AtomicPtr<M> = AtomicPtr::new(core::ptr::null_mut());
/// The g of the scenario's task.
static G_OF_SCENARIO: AtomicPtr<G> = AtomicPtr::new(core::ptr::null_mut());

/// Runs last in the handler: signals may come again.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_signal_end() {
    black_box(());
}

/// Words of a `sigset_t`, which has 1024 bits.
const MASK_WORDS: usize = 1024 / usize::BITS as usize;

/// `struct sigaction`, `bits/sigaction.h` of glibc.
#[repr(C)]
struct Sigaction {
    handler: usize,
    #[cfg(target_arch = "s390x")]
    _reserved: c_int,
    #[cfg(target_arch = "s390x")]
    flags: c_int,
    #[cfg(target_arch = "s390x")]
    restorer: usize,
    mask: [usize; MASK_WORDS],
    #[cfg(not(target_arch = "s390x"))]
    flags: c_int,
    #[cfg(not(target_arch = "s390x"))]
    restorer: usize,
}

/// `stack_t`, `bits/types/stack_t.h` of glibc.
#[repr(C)]
struct SignalStack {
    sp: *mut u8,
    flags: c_int,
    size: usize,
}

unsafe extern "C" {
    fn sigaction(signal: c_int, action: *const Sigaction, former: *mut Sigaction) -> c_int;
    fn sigaltstack(stack: *const SignalStack, former: *mut SignalStack) -> c_int;
    fn write(fd: c_int, bytes: *const u8, count: usize) -> isize;
}

/// Takes SIGUSR1 and SIGTRAP on a stack of their own.
fn handle_signals() {
    type Handler = unsafe extern "C" fn(c_int, *mut c_void, *mut c_void);
    const SIGTRAP: c_int = 5;
    const SIGUSR1: c_int = 10;
    const SA_SIGINFO: c_int = 4;
    const SA_ONSTACK: c_int = 0x0800_0000;
    const SIZE: usize = 256 << 10;
    let stack = SignalStack {
        sp: Box::leak(vec![0u128; SIZE / 16].into_boxed_slice()).as_mut_ptr().cast(),
        flags: 0,
        size: SIZE,
    };
    let action = |handler: Handler| Sigaction {
        handler: handler as usize,
        #[cfg(target_arch = "s390x")]
        _reserved: 0,
        mask: [0; MASK_WORDS],
        flags: SA_SIGINFO | SA_ONSTACK,
        restorer: 0,
    };
    // SAFETY: the stack is leaked, the handler is one.
    let results = unsafe {
        [
            sigaltstack(&stack, core::ptr::null_mut()),
            sigaction(SIGUSR1, &action(step_signal), core::ptr::null_mut()),
            sigaction(SIGTRAP, &action(step_signal_trap), core::ptr::null_mut()),
        ]
    };
    assert_eq!(results, [0, 0, 0], "the signal handlers are set");
}

/// A task's memory: the g and its stack.
struct Task {
    g: Box<G>,
    stack: Box<[u128]>,
}

impl Task {
    fn new(entry: EntryFn) -> Self {
        let mut task = Self { g: Box::default(), stack: vec![0; 4096].into_boxed_slice() };
        let ends = task.stack.as_mut_ptr_range();
        // SAFETY: both live as long as the task, and stay where they are.
        unsafe { g_init(&raw mut *task.g, ends.start.cast(), ends.end.cast(), entry) }.expect("a good stack");
        task
    }
}

/// Never run: scenarios that are not a task's have one nevertheless.
unsafe extern "C" fn none(word: usize) -> usize {
    word
}

/// Runs scenarios. Nothing lies between this frame, C's `main`, and theirs.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn main(_: c_int, arguments: *const *const u8) -> c_int {
    /// How much of the stack belongs to an m: what lies below the arguments, which the kernel puts above the
    /// first frame.
    const SIZE: usize = 1 << 20;
    let Some((chosen, begin)) = chosen() else { return 2 };
    let top = arguments.addr() & !(align_of::<u128>() - 1);
    set_bounds(top - SIZE, top);
    set_spare(|size| Box::leak(vec![0u128; size / 16].into_boxed_slice()).as_mut_ptr().cast());
    for scenario in chosen {
        let mut m: Box<M> = Box::default();
        let mut task = Task::new(if let Way::Task(entry) = scenario.way { entry } else { none });
        let (m, g) = (&raw mut *m, &raw mut *task.g);
        if !matches!(scenario.way, Way::Bare(_)) {
            M_OF_SCENARIO.store(m, Ordering::Relaxed);
        }
        if matches!(scenario.way, Way::Task(_)) {
            G_OF_SCENARIO.store(g, Ordering::Relaxed);
        }
        // SAFETY: both are for this alone.
        unsafe { run(scenario, m, g, begin, step_scenario_ends) };
        M_OF_SCENARIO.store(core::ptr::null_mut(), Ordering::Relaxed);
        G_OF_SCENARIO.store(core::ptr::null_mut(), Ordering::Relaxed);
    }
    println!("shim {} {}", HANDLERS.load(Ordering::Relaxed), SHIM_CALLS.load(Ordering::Relaxed));
    println!("done");
    0
}

/// Does what the command line says; the scenarios to run are left to `main`, and what begins each. `None`: a
/// wrong command line.
#[inline(never)]
fn chosen() -> Option<(Vec<&'static Scenario>, extern "C" fn())> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut begin: extern "C" fn() = step_scenario_begins;
    if EVERY_INSTRUCTION.is_some() && arguments.first().is_some_and(|first| first == "--trap") {
        arguments.remove(0);
        begin = begin_with_traps;
    }
    let chosen = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            SCENARIOS.iter().for_each(|scenario| println!("{}", scenario.name));
            return Some((Vec::new(), begin));
        }
        ["--expect"] => {
            SCENARIOS.iter().for_each(print_expected);
            return Some((Vec::new(), begin));
        }
        [_, ..] if !arguments[0].starts_with('-') => {
            let of = |name: &String| SCENARIOS.iter().find(|scenario| scenario.name == name);
            if let Some(unknown) = arguments.iter().find(|name| of(name).is_none()) {
                eprintln!("no scenario is called {unknown}: steps --list names them");
                return None;
            }
            arguments.iter().filter_map(of).collect()
        }
        _ => {
            eprintln!("usage: steps --list | steps --expect | steps [--trap] NAME...");
            return None;
        }
    };
    // SAFETY: the function writes one word; no context is made.
    unsafe { set_cgo_traceback(0, Some(step_traceback), None, None) }.expect("the first set");
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    stackgate_libc::register_own_tables();
    handle_signals();
    Some((chosen, begin))
}

fn print_expected(scenario: &Scenario) {
    let mut text = String::new();
    write_expected(scenario, &mut text).expect("text has room");
    print!("{text}");
}

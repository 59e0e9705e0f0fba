//! Runs every crossing once on each of its paths, for `cargo xtask step`, which takes a traceback at each
//! instruction: `steps --list`, `steps --expect`, `steps NAME`, `steps --all`.

#![no_main]

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use qemu_tests::scenarios::{
    SCENARIOS, Scenario, Way, run, set_bounds, set_spare, step_scenario_begins, step_scenario_ends,
    step_traceback, trace_line, under_way, write_expected,
};
use qemu_tests::shim::call_all;
use stackgate::arch::unwind::Registers;
use stackgate::traceback::{Traceback, set_cgo_traceback};
use stackgate::{EntryFn, G, M, g_init};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Handlers that have run meanwhile, and the calls through the shim that they have made.
static HANDLERS: AtomicUsize = AtomicUsize::new(0);
static SHIM_CALLS: AtomicUsize = AtomicUsize::new(0);

/// Writes the trace of what has been interrupted. Then calls libc by every entry of the shim that a handler may
/// call: wherever it came, also between a crossing's change of g and of stack.
#[unsafe(no_mangle)]
unsafe extern "C" fn step_signal(_: c_int, _: *mut c_void, ucontext: *mut c_void) {
    // SAFETY: a handler's argument.
    let (at, trace) =
        unsafe { (Registers::from_ucontext(ucontext).pc(), Traceback::from_ucontext(ucontext)) };
    let line = trace_line(at, trace);
    if under_way() {
        // SAFETY: the bytes are there.
        unsafe { write(1, line.text().as_ptr(), line.text().len()) };
        SHIM_CALLS.fetch_add(call_all(true), Ordering::Relaxed);
        HANDLERS.fetch_add(1, Ordering::Relaxed);
    }
    step_signal_end();
}

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

/// Takes SIGUSR1 on a stack of its own.
fn handle_signals() {
    const SIGUSR1: c_int = 10;
    const SA_SIGINFO: c_int = 4;
    const SA_ONSTACK: c_int = 0x0800_0000;
    const SIZE: usize = 256 << 10;
    let stack = SignalStack {
        sp: Box::leak(vec![0u128; SIZE / 16].into_boxed_slice()).as_mut_ptr().cast(),
        flags: 0,
        size: SIZE,
    };
    let action = Sigaction {
        handler: (step_signal as unsafe extern "C" fn(c_int, *mut c_void, *mut c_void)) as usize,
        #[cfg(target_arch = "s390x")]
        _reserved: 0,
        mask: [0; MASK_WORDS],
        flags: SA_SIGINFO | SA_ONSTACK,
        restorer: 0,
    };
    // SAFETY: the stack is leaked, the handler is one.
    let results = unsafe {
        [sigaltstack(&stack, core::ptr::null_mut()), sigaction(SIGUSR1, &action, core::ptr::null_mut())]
    };
    assert_eq!(results, [0, 0], "the signal handler is set");
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
extern "C" fn main(_: c_int, _: *const *const u8) -> c_int {
    /// How much of the stack belongs to an m: what lies below this frame, and that.
    const BELOW: usize = 1 << 20;
    const ABOVE: usize = 1 << 13;
    let Some(chosen) = chosen() else { return 2 };
    let here = 0u128;
    let here = (&raw const here).addr() & !0xfff;
    set_bounds(here - BELOW, here + ABOVE);
    set_spare(|size| Box::leak(vec![0u128; size / 16].into_boxed_slice()).as_mut_ptr().cast());
    for scenario in chosen {
        let mut m: Box<M> = Box::default();
        let mut task = Task::new(if let Way::Task(entry) = scenario.way { entry } else { none });
        // SAFETY: both are for this alone.
        unsafe {
            run(scenario, &raw mut *m, &raw mut *task.g, step_scenario_begins, step_scenario_ends);
        }
    }
    end();
    0
}

/// Says what the handlers have done. Not in `main`, whose frame has to lie within the bounds of the m's stack.
#[inline(never)]
fn end() {
    println!("shim {} {}", HANDLERS.load(Ordering::Relaxed), SHIM_CALLS.load(Ordering::Relaxed));
    println!("done");
}

/// Does what the command line says; the scenarios to run are left to `main`. `None`: a wrong command line.
#[inline(never)]
fn chosen() -> Option<&'static [Scenario]> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen: &[Scenario] = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            SCENARIOS.iter().for_each(|scenario| println!("{}", scenario.name));
            return Some(&[]);
        }
        ["--expect"] => {
            SCENARIOS.iter().for_each(print_expected);
            return Some(&[]);
        }
        ["--all"] => SCENARIOS,
        [name] => match SCENARIOS.iter().position(|scenario| scenario.name == name) {
            Some(at) => &SCENARIOS[at..=at],
            None => {
                eprintln!("no scenario is called {name}: steps --list names them");
                return None;
            }
        },
        _ => {
            eprintln!("usage: steps --list | steps --expect | steps --all | steps NAME");
            return None;
        }
    };
    // SAFETY: the function writes one word; no context is made.
    unsafe { set_cgo_traceback(0, Some(step_traceback), None, None) }.expect("the first set");
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    stackgate_libc::register_own_tables();
    handle_signals();
    Some(chosen)
}

fn print_expected(scenario: &Scenario) {
    let mut text = String::new();
    write_expected(scenario, &mut text).expect("text has room");
    print!("{text}");
}

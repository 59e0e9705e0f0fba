//! Runs every crossing once on each of its paths, for `cargo xtask step`, which takes a traceback at each
//! instruction: `steps --list`, `steps --expect`, `steps NAME...`, `steps --trap NAME...`. With `--trap` the CPU
//! itself raises the signals. `steps --storm SECONDS` runs all of them again and again, while a timer's signal comes
//! to the trampoline, about 100 microseconds after the last one was handled, and writes which traces its handler has
//! seen, and how often.

#![no_main]

use core::ffi::{c_int, c_long, c_void};
use core::hint::black_box;
use qemu_tests::cpu::EVERY_INSTRUCTION;
use qemu_tests::scenarios::{
    Handler, Line, SCENARIOS, Scenario, Way, run, set_bounds, set_handler, set_spare, step,
    step_scenario_begins, step_scenario_ends, step_traceback, trace_line, under_way, write_expected,
};
use qemu_tests::shim::call_all;
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::arch::{self, SIGNAL_HANDLER, Stack};
use stackgate::traceback::{Traceback, set_cgo_traceback};
use stackgate::{EntryFn, G, M, g_init};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
        let spare = SPARE.load(Ordering::Relaxed).addr();
        let on_spare = (spare..=spare + SPARE_SIZE.load(Ordering::Relaxed)).contains(&sp);
        let on_managed = !g.is_null() && within(&(*g).stack) || on_spare;
        // The trampoline, before gsignal is current or after.
        if within(&(*m).gsignal.stack) {
            return None;
        }
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
        if !g.is_null() && !catches_well(g, sp) {
            return Some("catch-chain");
        }
    }
    None
}

/// Whether the catches of a g are a chain that a throw can follow: each lies on the g's stack, above the one before and
/// not below SP.
unsafe fn catches_well(g: *mut G, sp: usize) -> bool {
    // SAFETY: the g lives, and the frames lie on its stack.
    unsafe {
        let (limit, top) = ((*g).stack.limit.get() as usize, (*g).stack.top.get() as usize);
        let mut least = if (limit..=top).contains(&sp) { sp } else { limit };
        let mut catch = (*g).catch.get();
        while !catch.is_null() {
            if catch.addr() < least || catch.addr() >= top || !catch.is_aligned() {
                return false;
            }
            least = catch.addr() + size_of::<arch::CatchFrame>();
            catch = (*catch).previous.get();
        }
    }
    true
}

/// What needs an operating system: the trampoline as the kernel calls it.
const OF_SIGNALS: &[Scenario] = &[Scenario {
    name: "a handler of a signal",
    way: Way::Task(step_raises),
    steps: &[
        step("asmcgocall", "", "raises"),
        step("sigtramp", "", "C:signal raises"),
        step("asmcgocall", "", "raises"),
    ],
}];

/// Every scenario.
fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain(OF_SIGNALS)
}

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_raises(word: usize) -> usize {
    // SAFETY: the callee takes anything.
    unsafe { arch::asmcgocall(step_c_raises, core::ptr::null_mut()) };
    black_box(word);
    black_box(END)
}

/// What a task gives back at its end.
const END: usize = 7;

#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn step_c_raises(_: *mut c_void) -> c_int {
    // SAFETY: its action is the trampoline.
    unsafe { raise(SIGUSR2) }
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
    fn raise(signal: c_int) -> c_int;
    fn setitimer(which: c_int, value: *const [Timeval; 2], former: *mut [Timeval; 2]) -> c_int;
}

/// `struct timeval`, for `setitimer`.
#[repr(C)]
struct Timeval {
    seconds: c_long,
    microseconds: c_long,
}

const SIGTRAP: c_int = 5;
const SIGUSR1: c_int = 10;
const SIGUSR2: c_int = 12;
const SIGALRM: c_int = 14;

/// Takes SIGUSR1 and SIGTRAP on a stack of their own, and by the trampoline SIGUSR2 and SIGALRM.
fn handle_signals() {
    type Handler = unsafe extern "C" fn(c_int, *mut c_void, *mut c_void);
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
            sigaction(SIGUSR2, &action(arch::sigtramp), core::ptr::null_mut()),
            sigaction(SIGALRM, &action(arch::sigtramp), core::ptr::null_mut()),
        ]
    };
    assert_eq!(results, [0; 5], "the signal handlers are set");
}

/// One trace that the storm has seen: where, and how often. A place where the count is 0 is free.
struct Seen {
    scenario: usize,
    count: usize,
    line: Line,
}

/// Where the trace is looked for first.
fn hash(scenario: usize, text: &[u8]) -> usize {
    text.iter().fold(scenario, |hash, &byte| (hash ^ usize::from(byte)).wrapping_mul(0x0100_0193))
}

/// What the storm has seen. Only its handler writes, which does not interrupt itself.
struct Storm(UnsafeCell<Vec<Seen>>);
// SAFETY: the program has one thread, and reads when no signal comes any more.
unsafe impl Sync for Storm {}
static STORM: Storm = Storm(UnsafeCell::new(Vec::new()));
/// More traces than there can be: a few for each instruction.
const MOST: usize = 1 << 15;
/// The index of the scenario that runs.
static SCENARIO: AtomicUsize = AtomicUsize::new(0);
/// Signals that came, and those of them that found no room.
static CAME: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicUsize = AtomicUsize::new(0);

/// Core's function for signals.
static CORES: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

/// What the trampoline calls: the storm's signals go to core, those of the scenarios end here.
unsafe extern "C" fn step_signal_arrives(signal: c_int, info: *mut c_void, ucontext: *mut c_void, g: *mut G) {
    if signal == SIGALRM {
        // SAFETY: `chosen` has stored it; what it expects.
        unsafe {
            let core = CORES.load(Ordering::Relaxed);
            core::mem::transmute::<*mut c_void, Handler>(core)(signal, info, ucontext, g);
        }
    }
}

/// Keeps the trace of what was interrupted, and has the next signal come.
unsafe extern "C" fn step_signal_storm(_: c_int, _: *mut c_void, ucontext: *mut c_void) {
    let came = CAME.fetch_add(1, Ordering::Relaxed);
    if under_way() {
        // SAFETY: a handler's argument.
        unsafe { keep(ucontext) };
    }
    // Only now, so that something happens between two however long a trace takes; each time another time later.
    tick(50 + came % 101);
}

/// Takes a trace of what was interrupted. Those in crossings are kept.
unsafe fn keep(ucontext: *mut c_void) {
    // SAFETY: a handler's argument.
    let (registers, trace) =
        unsafe { (Registers::from_ucontext(ucontext), Traceback::from_ucontext(ucontext)) };
    let line = trace_line(registers.pc(), None, trace);
    if !in_crossing(registers.pc()) {
        return;
    }
    let scenario = SCENARIO.load(Ordering::Relaxed);
    // SAFETY: nobody else is there.
    let all = unsafe { &mut *STORM.0.get() };
    for at in 0..all.len() {
        let at = hash(scenario, line.text()).wrapping_add(at) % all.len();
        let seen = &mut all[at];
        if seen.count == 0 {
            *seen = Seen { scenario, count: 1, line };
            return;
        }
        if seen.scenario == scenario && seen.line.text() == line.text() {
            seen.count += 1;
            return;
        }
    }
    LOST.fetch_add(1, Ordering::Relaxed);
}

/// Has SIGALRM come once after so many microseconds, or no longer.
fn tick(microseconds: usize) {
    const ITIMER_REAL: c_int = 0;
    let time = |microseconds| Timeval { seconds: 0, microseconds };
    // SAFETY: the signal has a handler.
    let set =
        unsafe { setitimer(ITIMER_REAL, &[time(0), time(microseconds as c_long)], core::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// Writes what the storm has seen: how often, the scenario, the trace.
fn print_storm() {
    // SAFETY: no signal comes any more.
    let all = unsafe { &*STORM.0.get() };
    for Seen { scenario, count, line } in all.iter().filter(|seen| seen.count != 0) {
        let name = scenarios().nth(*scenario).expect("it ran").name;
        print!("{count}\t{name}\t{}", String::from_utf8_lossy(line.text()));
    }
    println!("storm {} {}", CAME.load(Ordering::Relaxed), LOST.load(Ordering::Relaxed));
}

/// In a storm a scenario that takes longer, in microseconds, runs that much less often: the time belongs to all alike.
const SHORT: usize = 50;
/// What it takes is the shortest of so many runs: others are interrupted, perhaps for long.
const MEASURED: usize = 8;

/// A task's memory: the g and its stack.
struct Task {
    g: Box<G>,
    stack: Box<[u128]>,
}

impl Task {
    fn new() -> Self {
        // What nobody has written is no pointer.
        Self { g: Box::default(), stack: vec![u128::from_ne_bytes([0xa5; 16]); 4096].into_boxed_slice() }
    }

    fn begin(&mut self, entry: EntryFn) -> *mut G {
        let ends = self.stack.as_mut_ptr_range();
        *self.g = G::default();
        // SAFETY: both live as long as the task, and stay where they are.
        unsafe { g_init(&raw mut *self.g, ends.start.cast(), ends.end.cast(), entry) }.expect("a good stack");
        &raw mut *self.g
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
    let Some(chosen) = chosen() else { return 2 };
    let top = arguments.addr() & !(align_of::<u128>() - 1);
    set_bounds(top - SIZE, top);
    set_spare(spare);
    // The same for all, since a storm is to find little else under way.
    let (mut m, mut task) = (Box::<M>::default(), Task::new());
    let mut lengths = vec![0; chosen.scenarios.len()];
    let start = Instant::now();
    for round in 0usize.. {
        for (at, scenario) in chosen.scenarios.iter().enumerate() {
            if round >= MEASURED && round % (lengths[at] / SHORT + 1) != 0 {
                continue;
            }
            *m = M::default();
            let m = &raw mut *m;
            let g = task.begin(if let Way::Task(entry) = scenario.way { entry } else { none });
            SCENARIO.store(at, Ordering::Relaxed);
            let began = Instant::now();
            if !matches!(scenario.way, Way::Bare(_)) {
                M_OF_SCENARIO.store(m, Ordering::Relaxed);
            }
            if matches!(scenario.way, Way::Task(_)) {
                G_OF_SCENARIO.store(g, Ordering::Relaxed);
            }
            // SAFETY: both are for this alone.
            unsafe { run(scenario, m, g, chosen.begin, step_scenario_ends) };
            let took = began.elapsed().as_micros() as usize;
            lengths[at] = if round == 0 { took } else { took.min(lengths[at]) };
            M_OF_SCENARIO.store(core::ptr::null_mut(), Ordering::Relaxed);
            G_OF_SCENARIO.store(core::ptr::null_mut(), Ordering::Relaxed);
        }
        if chosen.storm.is_none_or(|limit| start.elapsed() > limit) {
            break;
        }
    }
    if chosen.storm.is_some() {
        tick(0);
        print_storm();
    } else {
        println!("shim {} {}", HANDLERS.load(Ordering::Relaxed), SHIM_CALLS.load(Ordering::Relaxed));
    }
    println!("done");
    0
}

/// The second stack of a scenario, and how large it is.
static SPARE: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static SPARE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// The stack that a scenario moves to, or its other task's: always the same memory.
fn spare(size: usize) -> *mut u8 {
    let mut spare = SPARE.load(Ordering::Relaxed);
    if spare.is_null() {
        spare = Box::leak(vec![0u128; size / 16].into_boxed_slice()).as_mut_ptr().cast();
        SPARE_SIZE.store(size, Ordering::Relaxed);
        SPARE.store(spare, Ordering::Relaxed);
    }
    spare
}

/// What the command line wants.
struct Chosen {
    scenarios: Vec<&'static Scenario>,
    /// What begins each.
    begin: extern "C" fn(),
    /// How long, while signals come.
    storm: Option<Duration>,
}

/// Does what the command line says; the scenarios to run are left to `main`. `None`: a wrong command line.
#[inline(never)]
fn chosen() -> Option<Chosen> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut chosen = Chosen { scenarios: Vec::new(), begin: step_scenario_begins, storm: None };
    if EVERY_INSTRUCTION.is_some() && arguments.first().is_some_and(|first| first == "--trap") {
        arguments.remove(0);
        chosen.begin = begin_with_traps;
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            scenarios().for_each(|scenario| println!("{}", scenario.name));
            return Some(chosen);
        }
        ["--expect"] => {
            scenarios().for_each(print_expected);
            return Some(chosen);
        }
        ["--storm", seconds] if seconds.parse::<u32>().is_ok_and(|n| n > 0) => {
            chosen.storm = seconds.parse().ok().map(Duration::from_secs);
            chosen.scenarios = scenarios().collect();
        }
        [_, ..] if !arguments[0].starts_with('-') => {
            let of = |name: &String| scenarios().find(|scenario| scenario.name == name);
            if let Some(unknown) = arguments.iter().find(|name| of(name).is_none()) {
                eprintln!("no scenario is called {unknown}: steps --list names them");
                return None;
            }
            chosen.scenarios = arguments.iter().filter_map(of).collect();
        }
        _ => {
            eprintln!(
                "usage: steps --list | steps --expect | steps [--trap] NAME... | steps --storm SECONDS"
            );
            return None;
        }
    }
    // SAFETY: the function writes one word; no context is made.
    unsafe { set_cgo_traceback(0, Some(step_traceback), None, None) }.expect("the first set");
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    stackgate_libc::register_own_tables();
    handle_signals();
    if chosen.storm.is_some() {
        // SAFETY: no signal has come yet; the handler is one.
        unsafe {
            let free = || Seen { scenario: 0, count: 0, line: Line::default() };
            (*STORM.0.get()).resize_with(MOST, free);
            stackgate::set_signal_handler(step_signal_storm).expect("the first one");
        }
        CORES.store(SIGNAL_HANDLER.load(Ordering::Relaxed), Ordering::Relaxed);
        set_handler(step_signal_arrives);
        tick(100);
    }
    Some(chosen)
}

fn print_expected(scenario: &Scenario) {
    let mut text = String::new();
    write_expected(scenario, &mut text).expect("text has room");
    print!("{text}");
}

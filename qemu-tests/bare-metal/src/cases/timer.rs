//! The timer's interrupt, which plays the part of a signal.

use crate::scenarios::{
    SCENARIOS, Way, run, set_bounds, set_spare, step_scenario_begins, step_scenario_ends, step_traceback,
    trace_line, under_way, write_expected,
};
use crate::setup::{Task, adopted, in_c, in_callback, in_task};
use crate::{board, cases, check, console::Console, memory, say, signal, trio};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::traceback::{Stop, Traceback, Walker};
use stackgate::{M, Resumed};

/// The scenario that runs.
static SCENARIO: AtomicUsize = AtomicUsize::new(0);
/// The stack that it has. One of them is copied to another place, and each instruction of that takes a run.
const SCENARIO_STACK: usize = 4096;
/// After how many ticks it is interrupted.
static DELAY: AtomicU32 = AtomicU32::new(0);

/// Never run: scenarios that are not a task's have one nevertheless.
unsafe extern "C" fn none(word: usize) -> usize {
    word
}

/// A scenario begins: so does the time.
extern "C" fn begins() {
    step_scenario_begins();
    board::timer_arm(DELAY.load(Ordering::Relaxed));
    board::unmask();
}

/// It has ended, and no interrupt comes any more.
extern "C" fn ends() {
    board::mask();
    step_scenario_ends();
    board::timer_stop();
}

/// Where scenarios begin. Nothing lies between this frame and theirs, and tracebacks are read as far as here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn main() {
    let scenario = &SCENARIOS[SCENARIO.load(Ordering::Relaxed)];
    let mut m = M::default();
    let mut task = Task::new(SCENARIO_STACK, if let Way::Task(entry) = scenario.way { entry } else { none });
    // SAFETY: both are for this alone.
    unsafe { run(scenario, &raw mut m, task.at(), begins, ends) };
    black_box(&raw mut m);
}

/// Writes down what has been interrupted, if it was a crossing.
fn sight(registers: &Registers) {
    if !under_way() || !in_crossing(registers.pc()) {
        return;
    }
    // SAFETY: they are what was interrupted.
    let trace = unsafe { Traceback::from_registers(Walker::Auto, registers) };
    board::console(trace_line(registers.pc(), None, trace).text());
}

/// One interrupt in each run of a scenario, each time a tick later, until the scenario ends before it comes: so
/// each instruction is interrupted once. What was seen is judged by the host, which knows the symbols.
fn at_every_instruction() {
    let stack = memory::system_stack(board::cpu());
    set_bounds(stack.start, stack.end);
    set_spare(|_| {
        core::ptr::with_exposed_provenance_mut(memory::managed_stack(memory::managed_count() - 1).start)
    });
    trio::choose(None, Some(step_traceback), None);
    signal::handle(sight);
    let before = signal::count();
    for (at, scenario) in SCENARIOS.iter().enumerate() {
        SCENARIO.store(at, Ordering::Relaxed);
        let _ = write_expected(scenario, &mut Console);
        say!("scenario {}", scenario.name);
        for delay in 1.. {
            DELAY.store(delay, Ordering::Relaxed);
            let before = signal::count();
            black_box(main as extern "C" fn())();
            if signal::count() == before {
                break;
            }
        }
    }
    say!("interrupts {}", signal::count() - before);
    check!(signal::count() > before);
    trio::choose(None, None, None);
}

/// How many interrupts the storm has.
const STORM: usize = 100_000;
/// Interrupts that came while the storm lasted, and among them those that came in a crossing, and in a handler.
static CAME: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
/// What is wrong with a trace, if anything was: the PC, and the reason of its end.
static WRONG: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The next number of a fixed sequence.
fn random() -> u32 {
    static STATE: AtomicU32 = AtomicU32::new(1);
    let next = STATE.load(Ordering::Relaxed).wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    STATE.store(next, Ordering::Relaxed);
    next >> 16
}

/// Takes a trace of what was interrupted, on gsignal's stack; the next interrupt may come meanwhile.
fn storms(registers: &Registers) {
    let n = CAME[0].fetch_add(1, Ordering::Relaxed) + 1;
    let local = 0u8;
    let stack = memory::signal_stack(board::cpu());
    let in_handler = stack.contains(&registers.sp());
    if in_crossing(registers.pc()) {
        CAME[1].fetch_add(1, Ordering::Relaxed);
    }
    // The handler's own stack, as gsignal says; what it interrupted was a task's or C, or a handler.
    let mut good = stack.contains(&(&raw const local).addr());
    if let Some(m) = stackgate::current_m() {
        // SAFETY: this CPU's m.
        good &= stackgate::current_g() == Some(unsafe { &raw mut (*m).gsignal });
    }
    if in_handler {
        CAME[2].fetch_add(1, Ordering::Relaxed);
    } else {
        // Every other trace is interrupted.
        if n.is_multiple_of(2) {
            board::timer_arm_in_handler(40 + random() % 400);
        }
        board::unmask();
        // SAFETY: they are what was interrupted.
        let mut trace = unsafe { Traceback::from_registers(Walker::Auto, registers) };
        let mut frames = 0;
        while trace.next().is_some() {
            frames += 1;
        }
        good &= frames < 200 && trace.stop().is_some();
        // Where a crossing was interrupted, and wherever a task's code runs, the chain is complete.
        if in_crossing(registers.pc()) {
            good &= trace.stop() == Some(Stop::End);
        }
        board::mask();
        board::timer_stop();
        if CAME[0].load(Ordering::Relaxed) < STORM {
            board::timer_arm(100 + random() % 4000);
        }
        if !good {
            WRONG[1].store(trace.stop().map_or(99, |stop| stop as usize), Ordering::Relaxed);
        }
    }
    if !good {
        WRONG[0].store(registers.pc(), Ordering::Relaxed);
    }
}

/// What is interrupted: callbacks in callbacks, from a task that parks in between.
unsafe extern "C" fn works(_: usize) -> usize {
    let mut sum = 0usize;
    while CAME[0].load(Ordering::Relaxed) < STORM {
        in_c(|| in_callback(|| in_c(|| in_callback(|| sum += 1))));
        stackgate::on_system_stack(|| sum += 1);
        if stackgate::park(sum) != Ok(sum + 1) {
            return 0;
        }
    }
    sum
}

/// 100 000 interrupts at any instruction, every other one of them while a handler takes a trace.
fn a_storm() {
    CAME.iter().chain(&WRONG).for_each(|n| n.store(0, Ordering::Relaxed));
    signal::handle(storms);
    adopted(|_| {
        let mut task = Task::new(32 << 10, works);
        board::timer_arm(1000);
        board::unmask();
        let mut word = 0;
        let sum = loop {
            match task.resume(word) {
                Resumed::Parked(sum) => word = sum + 1,
                Resumed::Finished(sum) => break sum,
            }
        };
        board::mask();
        board::timer_stop();
        check!(sum > 0 && sum % 2 == 0, "the task has been disturbed: {sum}");
    });
    let [all, crossings, nested] = [0, 1, 2].map(|i: usize| CAME[i].load(Ordering::Relaxed));
    say!("interrupts: {all}, in crossings {crossings}, in handlers {nested}");
    let [pc, stop] = [0, 1].map(|i: usize| WRONG[i].load(Ordering::Relaxed));
    check!(pc == 0, "a wrong trace at {pc:#x}, stop {stop}");
    check!(all >= STORM, "{all}");
    check!(crossings > STORM / 100, "{crossings}");
    check!(nested > STORM / 100, "{nested}");
}

/// What the memory below a task's SP is filled with.
const UNTOUCHED: u8 = 0xa5;
/// How much of it is looked at: more than any red zone.
const LOOKED_AT: usize = 512;
/// Bytes below the interrupted SP up to the lowest one that has changed, and one; 0 while nothing has come.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Looks what the interrupt has left below the SP that it found.
fn measures(registers: &Registers) {
    let sp = registers.sp();
    let at = |address| core::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the task's own stack, of which this much is left.
    let changed = (sp - LOOKED_AT..sp).find(|&address| unsafe { at(address).read_volatile() } != UNTOUCHED);
    TAKEN.store(changed.map_or(0, |address| sp - address) + 1, Ordering::Relaxed);
}

/// Waits for the interrupt, in a frame that is far below its caller's, and calls nothing.
#[inline(never)]
fn waits_far_below() {
    let mut room = core::mem::MaybeUninit::<[u8; 4 * LOOKED_AT]>::uninit();
    black_box(&mut room);
    while TAKEN.load(Ordering::Relaxed) == 0 {
        core::hint::spin_loop();
    }
    black_box(&mut room);
}

/// A managed stack has to have room for what an interrupt takes, which is in the bounds of `stack-depth`. The rest
/// of what is below SP is as it was: the red zone of the CPUs that have one, too.
fn what_an_interrupt_takes() {
    TAKEN.store(0, Ordering::Relaxed);
    signal::handle(measures);
    in_task(|| {
        let local = 0u8;
        let stack = memory::managed_stack(0);
        let above = (&raw const local).addr() - LOOKED_AT;
        // SAFETY: nothing of the task's is so far below this frame, and what is called here stays above.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<u8>(stack.start)
                .write_bytes(UNTOUCHED, above - stack.start);
        }
        board::timer_arm(5000);
        board::unmask();
        waits_far_below();
        board::mask();
    });
    let taken = TAKEN.load(Ordering::Relaxed) - 1;
    say!("an interrupt takes {taken} bytes");
    let most = board::INTERRUPT_TAKES;
    check!(taken <= most, "{taken} bytes, at most {most} are allowed for");
    check!(taken + size_of::<usize>() >= most, "{taken} bytes: {most} is too much");
    let reserve = <stackgate::arch::Native as stackgate::arch::Cpu>::INTERRUPT_RESERVE;
    check!((0..=reserve).contains(&most), "{most}");
}

cases! {
    "timer";
    "what an interrupt takes" => what_an_interrupt_takes;
    "100 000 interrupts" => a_storm;
    "at every instruction" => at_every_instruction;
}

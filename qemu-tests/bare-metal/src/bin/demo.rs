//! The demonstration: tasks on small stacks call compiled C, which calls them back, while a timer interrupts
//! them and takes tracebacks. At the end it says what it did, and what it took.

#![no_std]
#![no_main]

use bare_metal::calls::through;
use bare_metal::setup::{Task, adopted};
use bare_metal::{board, memory, say, signal};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::unwind::Registers;
use stackgate::traceback::{Traceback, Walker};
use stackgate::{Resumed, park};

/// How often each task parks.
const ROUNDS: usize = 50;
/// As many as fit into the smallest machine.
const TASKS: usize = 4;
/// Between two interrupts.
const TICKS: u32 = 2000;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static CALLBACKS: AtomicUsize = AtomicUsize::new(0);
static FRAMES: AtomicUsize = AtomicUsize::new(0);

/// Takes a traceback of what was interrupted, on the signal stack.
fn interrupted(registers: &Registers) {
    // SAFETY: they are what was interrupted.
    let trace = unsafe { Traceback::from_registers(Walker::Records, registers) };
    FRAMES.fetch_add(trace.count(), Ordering::Relaxed);
    board::timer_arm(TICKS);
}

unsafe extern "C" fn task(me: usize) -> usize {
    for _ in 0..ROUNDS {
        through(&mut || _ = CALLBACKS.fetch_add(1, Ordering::Relaxed));
        CALLS.fetch_add(1, Ordering::Relaxed);
        if park(me).is_err() {
            return 0;
        }
    }
    me
}

#[unsafe(no_mangle)]
fn machine_main() -> ! {
    signal::handle(interrupted);
    let mut finished = 0;
    adopted(|_| {
        let mut tasks: [Task; TASKS] = core::array::from_fn(|_| Task::new(usize::MAX, task));
        board::timer_arm(TICKS);
        board::unmask();
        for round in 0..=ROUNDS {
            for (i, task) in tasks.iter_mut().enumerate() {
                match task.resume(i + 1) {
                    Resumed::Parked(word) if word == i + 1 && round < ROUNDS => {}
                    Resumed::Finished(word) if word == i + 1 && round == ROUNDS => finished += 1,
                    _ => say!("task {i} came back at round {round} with the wrong word"),
                }
            }
        }
        board::mask();
        board::timer_stop();
    });
    let [calls, callbacks, frames] = [&CALLS, &CALLBACKS, &FRAMES].map(|n| n.load(Ordering::Relaxed));
    let variables = memory::data().len() + memory::bss().len();
    let stacks = memory::managed_stacks().end - memory::slots().start;
    say!("machine: {}", board::NAME);
    say!("tasks: {finished}");
    say!("C calls: {calls}");
    say!("callbacks: {callbacks}");
    say!("interrupts: {}", signal::count());
    say!("frames in tracebacks: {frames}");
    say!("code: {}", memory::read_only());
    say!("RAM: {}", memory::written());
    say!("of it variables: {variables}, stacks {stacks}");
    let good = finished == TASKS && callbacks == TASKS * ROUNDS && calls == callbacks;
    board::exit(good && signal::count() > 0 && frames > 0)
}

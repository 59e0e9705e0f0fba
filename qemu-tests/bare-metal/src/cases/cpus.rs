//! More than one CPU, where the machine has them.

use crate::calls::through;
use crate::setup::Task;
use crate::{board, cases, check, check_eq, memory, multi, say};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::{current_g, current_m, park};

/// How often each task parks.
const ROUNDS: usize = 300;
/// For each CPU, turns that tasks had there, and calls from C.
static TURNS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
static CALLED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
/// Turns that a task had on another CPU than the turn before.
static MOVES: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn wanders(mut cpu: usize) -> usize {
    let me = current_g();
    for _ in 0..ROUNDS {
        assert_eq!(cpu, board::cpu(), "the CPU that resumed it");
        let m = current_m();
        TURNS[cpu].fetch_add(1, Ordering::Relaxed);
        let mut depth = 0;
        through(&mut || {
            assert_eq!((board::cpu(), current_g(), current_m()), (cpu, me, m), "in a callback");
            through(&mut || depth += 2);
        });
        assert_eq!(depth, 2, "both callbacks");
        CALLED[cpu].fetch_add(1, Ordering::Relaxed);
        let next = park(0).expect("between two calls");
        if next != cpu {
            MOVES.fetch_add(1, Ordering::Relaxed);
        }
        cpu = next;
    }
    0
}

/// Tasks go from CPU to CPU, each of which is an m with a g0 of its own.
fn tasks_migrate() {
    let running = multi::start();
    check_eq!(running, memory::cpus(), "every CPU that has stacks runs");
    let mut tasks: [Task; multi::ROOM] = core::array::from_fn(|_| Task::new(16 << 10, wanders));
    multi::run(&tasks.each_mut().map(|task| task.at()));
    let sum = |all: &[AtomicUsize]| all.iter().map(|n| n.load(Ordering::Relaxed)).sum::<usize>();
    check_eq!(sum(&TURNS), multi::ROOM * ROUNDS);
    check_eq!(sum(&CALLED), multi::ROOM * ROUNDS);
    for (cpu, turns) in TURNS.iter().enumerate().take(running) {
        let turns = turns.load(Ordering::Relaxed);
        say!("CPU {cpu}: {turns} turns");
        check!(turns > 0, "CPU {cpu} has run no task");
    }
    let moves = MOVES.load(Ordering::Relaxed);
    say!("moves: {moves}");
    if running > 1 {
        check!(moves >= ROUNDS, "tasks have moved {moves} times");
    }
}

cases! {
    "cpus";
    "tasks migrate" => tasks_migrate;
}

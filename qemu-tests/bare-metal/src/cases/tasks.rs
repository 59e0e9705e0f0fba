//! Tasks, a scheduler, and calls that call back, to some depth.

use crate::calls::through;
use crate::setup::{Task, adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq, memory};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::{Resumed, current_g, current_m, park};

unsafe extern "C" fn echoes(mut word: usize) -> usize {
    while word != 0 {
        word = park(word * 2).expect("a task parks");
    }
    99
}

fn words_each_way() {
    adopted(|_| {
        let mut task = Task::new(16 << 10, echoes);
        for word in [1usize, 2, 1000, usize::MAX / 2] {
            check_eq!(task.resume(word), Resumed::Parked(word * 2));
        }
        check_eq!(task.resume(0), Resumed::Finished(99));
    });
}

/// How many tasks the scheduler has.
const TASKS: usize = 8;
/// How often each gets its turn.
const ROUNDS: usize = 100;
static TURNS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn takes_turns(me: usize) -> usize {
    for round in 0..ROUNDS {
        let mut seen = 0;
        in_c(|| in_callback(|| seen = TURNS.fetch_add(1, Ordering::Relaxed)));
        check_eq!(seen, round * TASKS + me, "whose turn it is");
        park(me).expect("between two calls");
    }
    me
}

/// Round robin, until every task has finished.
fn a_scheduler() {
    TURNS.store(0, Ordering::Relaxed);
    adopted(|_| {
        let mut tasks: [Option<Task>; TASKS] =
            core::array::from_fn(|_| Some(Task::new(16 << 10, takes_turns)));
        let mut left = TASKS;
        let mut switches = 0;
        while left > 0 {
            for (i, place) in tasks.iter_mut().enumerate() {
                let Some(task) = place else { continue };
                switches += 1;
                match task.resume(i) {
                    Resumed::Parked(word) => check_eq!(word, i),
                    Resumed::Finished(word) => {
                        check_eq!(word, i);
                        *place = None;
                        left -= 1;
                    }
                }
            }
        }
        check_eq!(switches, TASKS * (ROUNDS + 1));
    });
}

/// Goes `depth` calls and callbacks down, through compiled C, and counts the way up.
fn down(depth: usize, level: usize, ups: &mut usize) {
    let g = current_g();
    let local = [level; 4];
    if level < depth {
        check_eq!(through(&mut || down(depth, level + 1, ups)), 2, "level {level}");
    }
    check_eq!(current_g(), g, "g at level {level}");
    check_eq!(core::hint::black_box(local), [level; 4], "locals at level {level}");
    *ups += 1;
}

fn nested(depth: usize) {
    in_task(|| {
        let m = current_m().expect("an m");
        // SAFETY: this CPU's m.
        let g0_sp = || unsafe { (*m).g0.sched.sp.get() };
        let before = g0_sp();
        for _ in 0..3 {
            let mut ups = 0;
            down(depth, 0, &mut ups);
            check_eq!(ups, depth + 1, "every level came back");
            check_eq!(g0_sp(), before, "the system stack is as it was");
        }
    });
}

fn many_callbacks_in_one_call() {
    in_task(|| {
        let mut n = 0;
        in_c(|| {
            for _ in 0..10_000 {
                in_callback(|| n += 1);
            }
        });
        check_eq!(n, 10_000);
    });
}

fn the_pool_is_used_again() {
    adopted(|_| {
        for _ in 0..10 * memory::managed_count() {
            let mut task = Task::new(16 << 10, echoes);
            check_eq!(task.resume(0), Resumed::Finished(99));
        }
        check!(memory::broken_guard().is_none(), "the guards are as they were");
    });
}

cases! {
    "tasks";
    "words each way" => words_each_way;
    "a scheduler" => a_scheduler;
    "nesting, depth 1" => || nested(1);
    "nesting, depth 16" => || nested(16);
    "many callbacks in one call" => many_callbacks_in_one_call;
    "the pool is used again" => the_pool_is_used_again;
}

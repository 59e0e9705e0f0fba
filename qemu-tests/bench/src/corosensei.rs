//! corosensei: coroutines.

use crate::each_of_many;
use crate::measure::Contestant;
use crate::plain::{leaf, leaf_void};
use core::ptr::null_mut;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

const WHO: &str = "corosensei";

/// A coroutine that is never ended: what it is given, it works on.
fn in_coroutine<F: FnMut(&Yielder<usize, usize>, usize) + 'static>(mut f: F) -> impl FnMut(usize) {
    let mut coroutine: Coroutine<usize, usize, ()> = Coroutine::new(move |yielder, mut n| {
        loop {
            f(yielder, n);
            n = yielder.suspend(n);
        }
    });
    move |n| assert!(matches!(coroutine.resume(n), CoroutineResult::Yield(done) if done == n))
}

pub fn on_parent_stack() -> Contestant {
    let run = in_coroutine(|yielder, n| {
        let f = leaf();
        for _ in 0..n {
            // SAFETY: takes anything.
            yielder.on_parent_stack(|| unsafe { f(null_mut()) });
        }
    });
    Contestant::new(WHO, "on_parent_stack", 1, run)
}

pub fn on_parent_stack_void() -> Contestant {
    let run = in_coroutine(|yielder, n| {
        let f = leaf_void();
        for _ in 0..n {
            // SAFETY: takes anything.
            yielder.on_parent_stack(|| unsafe { f(null_mut()) });
        }
    });
    Contestant::new(WHO, "on_parent_stack", 1, run)
}

type Task = Coroutine<usize, usize, (), DefaultStack>;

/// A coroutine that suspends with how often it has done so: one function for each number.
fn suspends<const NUMBER: usize>() -> Task {
    Coroutine::new(|yielder, _| {
        let mut turns = NUMBER;
        loop {
            turns += 1;
            yielder.suspend(turns);
        }
    })
}

pub fn turns<const TASKS: usize>() -> Contestant {
    let make: [fn() -> Task; crate::MANY] = each_of_many!(suspends);
    resume_and_suspend(core::array::from_fn::<_, TASKS, _>(|number| (make[number](), number)))
}

pub fn turns_alike<const TASKS: usize>() -> Contestant {
    resume_and_suspend(core::array::from_fn::<_, TASKS, _>(|_| (suspends::<0>(), 0)))
}

/// Each in turn, again and again. With the number that each begins to count from.
fn resume_and_suspend<const TASKS: usize>(tasks: [(Task, usize); TASKS]) -> Contestant {
    let begin: [usize; TASKS] = core::array::from_fn(|number| tasks[number].1);
    let mut tasks = tasks.map(|(task, _)| task);
    let mut each = 0;
    Contestant::new(WHO, "resume, suspend", 0, move |n| {
        let mut words = [0; TASKS];
        for _ in 0..n / TASKS {
            for (task, last) in tasks.iter_mut().zip(&mut words) {
                match task.resume(0) {
                    CoroutineResult::Yield(word) => *last = word,
                    CoroutineResult::Return(()) => panic!("it has ended"),
                }
            }
        }
        each += n / TASKS;
        assert_eq!(words, begin.map(|begin| begin + each), "turns that each coroutine has had");
    })
}

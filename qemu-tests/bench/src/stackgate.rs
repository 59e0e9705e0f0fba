//! The operations that all of this is about, as a runtime uses them.

use crate::each_of_many;
use crate::measure::Contestant;
use crate::plain::{Back, bench_call_back, calls_back, either, leaf, leaf_managed, leaf_void};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use stackgate::{EntryFn, G, Resumed, arch, g_init, park, resume, resume_any, switch_to};
use stackgate_libc::{ManagedStack, StackOptions, Stacks};

/// Bytes of a task's stack.
const STACK: usize = 16 << 10;

const WHO: &str = "stackgate";

static STACKS: Stacks = Stacks::new(StackOptions::DEFAULT);

/// A task that never ends.
struct Task {
    g: Box<G>,
    /// Given back to nobody: the task is still on it.
    _stack: ManagedStack<'static>,
}

impl Task {
    fn new(entry: EntryFn) -> Self {
        let stack = STACKS.take(STACK).expect("a stack");
        let mut g = Box::<G>::default();
        // SAFETY: both stay where they are for as long as the program runs the task.
        unsafe { g_init(&raw mut *g, stack.limit(), stack.top(), entry) }.expect("a good stack");
        Self { g, _stack: stack }
    }

    fn at(&mut self) -> *mut G {
        &raw mut *self.g
    }
}

/// `f`, which repeats an operation, as something to be called with the number: it runs in a task, of which the caller
/// resumes and parks once for all of it.
fn in_task<F: FnMut(usize) + 'static>(f: F) -> impl FnMut(usize) {
    unsafe extern "C" fn entry<F: FnMut(usize)>(f: usize) -> usize {
        let f: *mut F = core::ptr::with_exposed_provenance_mut(f);
        loop {
            let n = park(0).expect("a task");
            // SAFETY: passed below, and nobody else has it.
            unsafe { (*f)(n) };
        }
    }
    let mut task = Task::new(entry::<F>);
    let run = move |word| {
        // SAFETY: the g is this task's, and nobody else has it.
        assert_eq!(unsafe { resume(task.at(), word) }, Ok(Resumed::Parked(0)));
    };
    let mut run = run;
    run(Box::into_raw(Box::new(f)).expose_provenance());
    run
}

pub fn ccall() -> Contestant {
    Contestant::new(
        WHO,
        "ccall",
        1,
        in_task(|n| {
            let f = leaf();
            for _ in 0..n {
                // SAFETY: takes anything.
                unsafe { crate::ccall::ccall(f, null_mut()) };
            }
        }),
    )
}

pub fn asmcgocall() -> Contestant {
    Contestant::new(
        WHO,
        "asmcgocall",
        1,
        in_task(|n| {
            let f = leaf();
            for _ in 0..n {
                // SAFETY: takes anything.
                unsafe { arch::asmcgocall(f, null_mut()) };
            }
        }),
    )
}

pub fn cgocall() -> Contestant {
    Contestant::new(
        WHO,
        "cgocall",
        1,
        in_task(|n| {
            let f = leaf();
            for _ in 0..n {
                // SAFETY: takes anything.
                unsafe { stackgate::cgocall(f, null_mut()) };
            }
        }),
    )
}

pub fn systemstack() -> Contestant {
    Contestant::new(
        WHO,
        "systemstack",
        1,
        in_task(|n| {
            let f = leaf_void();
            for _ in 0..n {
                // SAFETY: takes anything.
                unsafe { arch::systemstack(f, null_mut()) };
            }
        }),
    )
}

pub fn on_system_stack() -> Contestant {
    Contestant::new(
        WHO,
        "on_system_stack",
        1,
        in_task(|n| {
            let f = leaf();
            for _ in 0..n {
                // SAFETY: takes anything.
                stackgate::on_system_stack(|| unsafe { f(null_mut()) });
            }
        }),
    )
}

/// C that a callback's crossing alone is done in, so many times.
#[repr(C)]
struct Crossing {
    cross: unsafe extern "C" fn(stackgate::CallbackFn, *mut c_void, usize, usize),
    function: stackgate::CallbackFn,
    times: usize,
}

unsafe extern "C" {
    fn bench_cross_back(crossing: *mut c_void) -> c_int;
}

pub fn cgocallback() -> Contestant {
    Contestant::new(
        WHO,
        "cgocallback",
        1,
        in_task(|times| {
            let mut crossing = Crossing { cross: arch::cgocallback, function: leaf_managed(), times };
            // SAFETY: what it takes.
            unsafe { arch::asmcgocall(bench_cross_back, (&raw mut crossing).cast()) };
        }),
    )
}

stackgate::export! {
    /// The least that C can call back.
    extern "C" fn bench_exported() {}

    /// The same, and it counts.
    extern "C" fn bench_exported_counted() { crate::plain::count() }
}

fn exported() -> unsafe extern "C" fn() {
    either(bench_exported as unsafe extern "C" fn(), bench_exported_counted)
}

pub fn callback() -> Contestant {
    Contestant::new(
        WHO,
        "exported function",
        1,
        in_task(|times| {
            let mut back = Back { function: exported(), times };
            // SAFETY: what it takes.
            unsafe { stackgate::cgocall(bench_call_back, (&raw mut back).cast()) };
        }),
    )
}

pub fn call_and_callback() -> Contestant {
    Contestant::new(
        WHO,
        "cgocall, exported function",
        2,
        in_task(|n| {
            let f = calls_back();
            let mut back = Back { function: exported(), times: 1 };
            for _ in 0..n {
                // SAFETY: what it takes.
                unsafe { stackgate::cgocall(f, (&raw mut back).cast()) };
            }
        }),
    )
}

/// A task that parks with how often it has done so: one function for each number, which differ in where they begin.
unsafe extern "C" fn parks<const NUMBER: usize>(_: usize) -> usize {
    let mut turns = NUMBER;
    loop {
        turns += 1;
        park(turns).expect("a task");
    }
}

pub fn turns<const TASKS: usize>() -> Contestant {
    let entries: [EntryFn; crate::MANY] = each_of_many!(parks);
    resume_and_park(core::array::from_fn::<_, TASKS, _>(|number| (Task::new(entries[number]), number)))
}

pub fn turns_alike<const TASKS: usize>() -> Contestant {
    resume_and_park(core::array::from_fn::<_, TASKS, _>(|_| (Task::new(parks::<0>), 0)))
}

/// Each in turn, again and again. With the number that each begins to count from.
fn resume_and_park<const TASKS: usize>(tasks: [(Task, usize); TASKS]) -> Contestant {
    let begin: [usize; TASKS] = core::array::from_fn(|number| tasks[number].1);
    let mut tasks = tasks.map(|(task, _)| task);
    let at = tasks.each_mut().map(Task::at);
    let mut each = 0;
    Contestant::new(WHO, "resume, park", 0, move |n| {
        let _tasks = &tasks;
        let mut words = [0; TASKS];
        for _ in 0..n / TASKS {
            for (g, last) in at.iter().zip(&mut words) {
                // SAFETY: the tasks are still there, and nobody else resumes them.
                match unsafe { resume(*g, 0) } {
                    Ok(Resumed::Parked(word)) => *last = word,
                    other => panic!("{other:?}"),
                }
            }
        }
        each += n / TASKS;
        assert_eq!(words, begin.map(|begin| begin + each), "turns that each task has had");
    })
}

/// The same without the checks: what a runtime does that keeps its own list of who is parked.
unsafe extern "C" fn parks_unchecked(_: usize) -> usize {
    let mut turns = 0;
    loop {
        turns += 1;
        // SAFETY: in a task, not below C.
        unsafe { arch::park(turns) };
    }
}

pub fn turns_unchecked() -> Contestant {
    let mut task = Task::new(parks_unchecked);
    let mut turns = 0;
    Contestant::new(WHO, "arch::resume, arch::park", 0, move |n| {
        let g = task.at();
        let mut last = 0;
        for _ in 0..n {
            // SAFETY: parked, and nobody else resumes it.
            last = unsafe { arch::resume(g, 0) }.0;
        }
        turns += n;
        assert_eq!(last, turns, "turns that the task has had");
    })
}

/// A task that switches to the next one as often as all of them together have to.
unsafe extern "C" fn switches<const NUMBER: usize>(next: usize) -> usize {
    let next: *mut G = core::ptr::with_exposed_provenance_mut(next);
    let mut switched = NUMBER;
    let mut left = park(switched).expect("a task");
    loop {
        while left > 0 {
            switched += 1;
            // SAFETY: the tasks never end.
            left = unsafe { switch_to(next, left - 1) }.expect("a task that is parked");
        }
        left = park(switched - NUMBER).expect("a task");
    }
}

pub fn ring<const TASKS: usize>() -> Contestant {
    let entries: [EntryFn; crate::MANY] = each_of_many!(switches);
    let mut tasks: [Task; TASKS] = core::array::from_fn(|number| Task::new(entries[number]));
    let at = tasks.each_mut().map(Task::at);
    for number in 0..TASKS {
        let next = at[(number + 1) % TASKS].expose_provenance();
        // SAFETY: the tasks are there until the program ends.
        assert_eq!(unsafe { resume(at[number], next) }, Ok(Resumed::Parked(number)));
    }
    let mut each = 0;
    Contestant::new(WHO, "switch_to", 0, move |n| {
        let _tasks = &tasks;
        each += n / TASKS;
        // SAFETY: as above. Round after round it ends where it began: each has switched once in each.
        let came_back = unsafe { resume_any(at[0], n) };
        assert_eq!(came_back, Ok((at[0], Resumed::Parked(each))));
    })
}

//! Tasks that take turns, on stacks of 16 KiB and as many threads as are wanted: what the examples with a C library
//! have in common. `libc-shim/examples/scheduler.rs` is a scheduler that does more.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::{EntryFn, G, M, Resumed, cgocall, current_g, m_adopt, m_release, resume};
use stackgate_libc::{ManagedStack, StackOptions, Stacks};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

// What the tests use too.
#[path = "../../src/child.rs"]
pub mod child;

/// Bytes of a task's stack.
pub const STACK: usize = 16 << 10;

// ---- What is counted: messages would need more stack than there is.

/// Kinds of callbacks.
pub const KINDS: usize = 5;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static CALLBACKS: [AtomicUsize; KINDS] = [const { AtomicUsize::new(0) }; KINDS];
static IN_PLACE: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);

/// What there has been since the last time.
#[derive(Default)]
pub struct Counts {
    /// Calls into C.
    pub calls: usize,
    /// Callbacks of each kind.
    pub callbacks: [usize; KINDS],
    /// Those of them that ran on the stack of the task that had called C.
    pub in_place: usize,
    /// What was not as it must be.
    pub wrong: usize,
}

/// Takes them, and begins again.
pub fn take_counts() -> Counts {
    let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
    let callbacks = CALLBACKS.each_ref().map(take);
    Counts { calls: take(&CALLS), callbacks, in_place: take(&IN_PLACE), wrong: take(&WRONG) }
}

/// Every callback begins with this.
pub fn counted(kind: usize) {
    CALLBACKS[kind].fetch_add(1, Ordering::Relaxed);
    IN_PLACE.fetch_add(usize::from(on_its_stack()), Ordering::Relaxed);
}

/// Counts what is not as it must be.
pub fn must(holds: bool) {
    WRONG.fetch_add(usize::from(!holds), Ordering::Relaxed);
}

// ---- What runs where.

/// Runs `f`, which calls C, on the system stack, and counts it. C may call back.
///
/// On a thread that runs no tasks it is a plain call: so code that calls C in this way does not ask where it runs.
pub fn c<F: FnOnce() -> R, R>(f: F) -> R {
    unsafe extern "C" fn run<F: FnOnce() -> R, R>(slot: *mut c_void) -> c_int {
        // SAFETY: what is passed below, to nobody else.
        let (f, result) = unsafe { &mut *slot.cast::<(Option<F>, Option<R>)>() };
        *result = f.take().map(|f| f());
        0
    }
    CALLS.fetch_add(1, Ordering::Relaxed);
    let mut slot = (Some(f), None);
    // SAFETY: `run` takes such a slot.
    unsafe { cgocall(run::<F, R>, (&raw mut slot).cast()) };
    slot.1.expect("`run` has run")
}

/// A task. The embedder's word of its g is its address; in other g's it is 0.
struct Task {
    g: G,
    stack: ManagedStack<'static>,
    /// Where it ran last.
    thread: Option<usize>,
    result: usize,
}

impl Task {
    /// The bytes of its stack that it has used: memory that is new is all zeros, and so is what the pool has put back.
    fn used(&self) -> usize {
        let (limit, top) = (self.stack.limit(), self.stack.top());
        let mut words = (limit.addr()..top.addr()).step_by(8);
        // SAFETY: its stack, a multiple of 8 bytes at both ends, while it does not run.
        let untouched = |&at: &usize| unsafe { limit.with_addr(at).cast::<u64>().read() } == 0;
        words.find(|at| !untouched(at)).map_or(0, |lowest| top.addr() - lowest)
    }
}

/// Whether this runs on the stack of the task that is current: in a callback, of the one that has called C.
fn on_its_stack() -> bool {
    let here = 0u8;
    let Some(g) = current_g() else { return false };
    // SAFETY: the current g is valid.
    let task: *const Task = core::ptr::with_exposed_provenance(unsafe { (*g).user.get() } as usize);
    if task.is_null() {
        return false;
    }
    // SAFETY: `run` has made the task, and nobody changes which stack it has.
    let stack = unsafe { &(*task).stack };
    (stack.limit().addr()..stack.top().addr()).contains(&(&raw const here).addr())
}

/// What the tasks have done.
#[derive(Default)]
pub struct Report {
    /// What each has returned.
    pub results: Vec<usize>,
    /// How often one was resumed.
    pub turns: usize,
    /// Turns on another thread than the last one.
    pub moves: usize,
    /// The bytes that the task with the deepest stack has used of it.
    pub deepest: usize,
    /// What there was meanwhile.
    pub counts: Counts,
}

impl Report {
    /// Says how the tasks were run, and whether it was as it should be.
    pub fn tell(&self) -> bool {
        let Self { turns, moves, deepest, counts: Counts { callbacks, in_place, wrong, .. }, .. } = self;
        let callbacks: usize = callbacks.iter().sum();
        println!("  {in_place} of {callbacks} callbacks ran on the stack of the task that had called C");
        println!("  the deepest of all stacks was used to {deepest} bytes of {STACK}");
        println!("  {turns} turns, {moves} of them on another thread than the last; {wrong} wrong");
        *in_place == callbacks && (1..=STACK).contains(deepest) && *wrong == 0
    }
}

/// Whose number is not in `ready` is run by one thread, which alone touches it.
struct Tasks {
    all: Box<[UnsafeCell<Task>]>,
    ready: Mutex<VecDeque<usize>>,
}
// SAFETY: as above.
unsafe impl Sync for Tasks {}

impl Tasks {
    fn ready(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<usize> {
        self.ready().pop_front()
    }

    /// What each thread does: runs who is ready. When nobody is, those that remain are run by the other threads.
    fn work(&self, thread: usize) -> Report {
        let mut report = Report::default();
        let mut m = Box::<M>::default();
        // SAFETY: lives until it is released.
        unsafe { m_adopt(&raw mut *m) }.expect("a thread that is no m");
        while let Some(number) = self.next() {
            let task = self.all[number].get();
            report.turns += 1;
            // SAFETY: its number was in the list: it is this thread's until it is there again.
            unsafe {
                let last = (*task).thread.replace(thread);
                report.moves += usize::from(last.is_some_and(|last| last != thread));
                match resume(&raw mut (*task).g, number).expect("a parked task") {
                    Resumed::Parked(_) => self.ready().push_back(number),
                    Resumed::Finished(result) => {
                        (*task).result = result;
                        report.deepest = report.deepest.max((*task).used());
                    }
                }
            }
        }
        m_release().expect("nothing runs on it");
        report
    }
}

/// Runs `count` tasks to their ends, all of them begun before the first one has finished. Each calls `entry` with
/// its number, and gives up its turn by parking.
pub fn run(count: usize, threads: usize, entry: EntryFn) -> Report {
    static STACKS: Stacks = Stacks::new(StackOptions { guard: 1, keep: 0 });
    STACKS.reserve(STACK, count).expect("address space for all stacks");
    let task = |_| {
        let stack = STACKS.take(STACK).expect("a stack");
        UnsafeCell::new(Task { g: G::default(), stack, thread: None, result: 0 })
    };
    let tasks = Tasks { all: (0..count).map(task).collect(), ready: Mutex::new((0..count).collect()) };
    for task in &tasks.all {
        let task = task.get();
        // SAFETY: nobody else has it yet; it stays where it is, and its stack with it.
        unsafe {
            (*task).g.user = Word::new(task.expose_provenance() as u64);
            (*task).stack.init(&raw mut (*task).g, entry).expect("a good stack");
        }
    }
    take_counts();
    let mut report = std::thread::scope(|scope| {
        let tasks = &tasks;
        let work = |thread| scope.spawn(move || tasks.work(thread));
        let threads: Vec<_> = (0..threads).map(work).collect();
        threads.into_iter().fold(Report::default(), |sum, thread| {
            let one = thread.join().expect("a thread that does not panic");
            Report {
                turns: sum.turns + one.turns,
                moves: sum.moves + one.moves,
                deepest: sum.deepest.max(one.deepest),
                ..sum
            }
        })
    });
    report.counts = take_counts();
    report.results = tasks.all.into_iter().map(|task| task.into_inner().result).collect();
    report
}

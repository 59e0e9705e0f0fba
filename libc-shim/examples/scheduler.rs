//! A scheduler for tasks on stacks of one page: round robin, channels, timers, and waiting for descriptors, with
//! as many threads as are wanted. `scheduler [TASKS [THREADS]]`, 100 000 and 2 if nothing is said.
//!
//! A task asks by parking with the address of a [`Request`]; the thread that ran it reads that, on its system
//! stack, where it may lock, allocate and sleep. So no task ever runs code that needs more than its page. What it
//! gets for an answer is the word with which it is resumed, by whichever thread is free: a task seldom stays on one.
//!
//! At the end everything that was sent, slept and counted is held against what it must come to.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::{G, M, Resumed, current_g, m_adopt, m_release, park, resume};
use stackgate_libc::{
    CLOCK_MONOTONIC, Errno, ManagedStack, OwnedFd, POLLIN, PollFd, StackOptions, Stacks, clock_gettime, poll,
    read, write,
};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a task wants. It parks with the address of one, which stays where it is until the task goes on.
enum Request {
    /// Everybody else's turn comes first.
    Yield,
    /// To go on at this time, in nanoseconds of the monotonic clock.
    SleepUntil(u64),
    /// To leave a word in a channel, and to wait while that is full.
    Send(usize, usize),
    /// A word from a channel, and to wait while that is empty.
    Receive(usize),
    /// To wait until a descriptor can be read.
    Readable(c_int),
}

/// Parks with a request. The answer is a word.
fn ask(request: Request) -> usize {
    park((&raw const request).expose_provenance()).unwrap_or(usize::MAX)
}

// ---- What the tasks do.

/// Words that a channel holds.
const ROOM: usize = 4;
/// As many tasks as have a channel in common: a quarter of them send, as many receive, and it has no room for all.
const SHARE: usize = 32;
/// How often a task of the kind [`yields`] does so.
const YIELDS: usize = 3;
/// A descriptor that nobody has, for a call that fails.
const NO_DESCRIPTOR: c_int = -1;

/// The kinds of tasks, by their number: those at the ends of a channel, one that sleeps, one that only takes turns.
const KINDS: [fn(usize) -> usize; 4] = [sends, receives, sleeps, yields];

/// The two ends of a pipe.
static PIPE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// What went wrong: messages would not fit onto a task's stack.
static WRONG: AtomicUsize = AtomicUsize::new(0);

/// Counts what is not as it must be.
fn must(holds: bool) {
    if !holds {
        WRONG.fetch_add(1, Ordering::Relaxed);
    }
}

/// Number 0 waits for the pipe and 1 fills it; the others do what their kind does. What a task returns is added up.
unsafe extern "C" fn task(number: usize) -> usize {
    let me = current_g();
    let result = match number {
        0 => reads_pipe(),
        1 => fills_pipe(),
        _ => KINDS[number % KINDS.len()](number),
    };
    // Whatever thread this is, the current g is this one, and errno that thread's.
    must(current_g() == me);
    must(read(NO_DESCRIPTOR, &mut [0]) == Err(Errno(libc::EBADF)));
    result
}

fn sends(number: usize) -> usize {
    ask(Request::Send(number / SHARE, number));
    0
}

fn receives(number: usize) -> usize {
    // All who send come first.
    ask(Request::Yield);
    let word = ask(Request::Receive(number / SHARE));
    must(word / SHARE == number / SHARE && word.is_multiple_of(KINDS.len()));
    word
}

fn sleeps(number: usize) -> usize {
    let until = now() + (number as u64 % 50) * 1_000_000;
    ask(Request::SleepUntil(until));
    must(now() >= until);
    1
}

fn yields(_: usize) -> usize {
    let me = current_g();
    for _ in 0..YIELDS {
        ask(Request::Yield);
        must(current_g() == me);
    }
    YIELDS
}

fn reads_pipe() -> usize {
    let fd = PIPE[0].load(Ordering::Relaxed) as c_int;
    ask(Request::Readable(fd));
    let mut bytes = [0; 8];
    must(read(fd, &mut bytes) == Ok(bytes.len()));
    usize::from(bytes[7])
}

fn fills_pipe() -> usize {
    ask(Request::SleepUntil(now() + 20_000_000));
    must(write(PIPE[1].load(Ordering::Relaxed) as c_int, &[7; 8]) == Ok(8));
    0
}

/// What all tasks return together.
fn expected(tasks: usize) -> usize {
    let of = |number: usize| match number {
        0 => 7,
        1 => 0,
        _ => [0, number - 1, 1, YIELDS][number % KINDS.len()],
    };
    (0..tasks).map(of).sum()
}

/// The monotonic clock, in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(CLOCK_MONOTONIC).unwrap_or_default();
    time.sec as u64 * 1_000_000_000 + time.nsec as u64
}

// ---- The scheduler.

/// A task, what it is told next, and where it ran last.
struct Task {
    g: G,
    stack: Option<ManagedStack<'static>>,
    word: usize,
    thread: usize,
}

/// Whose number is in no list of [`State`] is run by one thread, which alone touches it.
struct Tasks(Box<[UnsafeCell<Task>]>);
// SAFETY: as above; the lists are behind a lock.
unsafe impl Sync for Tasks {}

/// A channel: the words in it, and who waits at either end.
#[derive(Default)]
struct Channel {
    words: VecDeque<usize>,
    senders: VecDeque<(usize, usize)>,
    receivers: VecDeque<usize>,
}

/// Where every task that does not run is, and what has been counted.
struct State {
    /// Who goes on, with which word.
    ready: VecDeque<(usize, usize)>,
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    descriptors: Vec<(c_int, usize)>,
    channels: Vec<Channel>,
    /// Tasks that have not finished.
    live: usize,
    /// Tasks that run.
    running: usize,
    /// A thread sleeps in `poll`, until the next timer or descriptor.
    polling: bool,
    /// What the finished ones have returned.
    sum: usize,
    switches: usize,
    moves: usize,
}

impl State {
    /// Does what task `number` has asked for.
    fn serve(&mut self, number: usize, request: &Request) {
        match *request {
            Request::Yield => self.ready.push_back((number, 0)),
            Request::SleepUntil(time) => self.timers.push(Reverse((time, number))),
            Request::Readable(fd) => self.descriptors.push((fd, number)),
            Request::Send(channel, word) => {
                let channel = &mut self.channels[channel];
                if let Some(receiver) = channel.receivers.pop_front() {
                    self.ready.push_back((receiver, word));
                } else if channel.words.len() < ROOM {
                    channel.words.push_back(word);
                } else {
                    return channel.senders.push_back((number, word));
                }
                self.ready.push_back((number, 0));
            }
            Request::Receive(channel) => {
                let channel = &mut self.channels[channel];
                let Some(word) = channel.words.pop_front() else {
                    return channel.receivers.push_back(number);
                };
                if let Some((sender, next)) = channel.senders.pop_front() {
                    channel.words.push_back(next);
                    self.ready.push_back((sender, 0));
                }
                self.ready.push_back((number, word));
            }
        }
    }

    /// Moves those whose time has come, and those whose descriptors are among `seen`, to the ready ones.
    fn wake(&mut self, seen: &[PollFd]) {
        let time = now();
        while let Some(&Reverse((at, number))) = self.timers.peek()
            && at <= time
        {
            self.timers.pop();
            self.ready.push_back((number, 0));
        }
        let is_seen = |fd| seen.iter().any(|one| one.fd == fd && one.revents != 0);
        let (ready, waiting) = self.descriptors.drain(..).partition::<Vec<_>, _>(|&(fd, _)| is_seen(fd));
        self.descriptors = waiting;
        self.ready.extend(ready.into_iter().map(|(_, number)| (number, 0)));
    }
}

/// What the threads share.
struct Scheduler {
    tasks: Tasks,
    state: Mutex<State>,
    /// Somebody is ready, or everything is over, or nobody polls.
    changed: Condvar,
}

impl Scheduler {
    /// `count` tasks, which are ready.
    fn new(count: usize, stacks: &'static Stacks) -> Self {
        let size = stackgate::MIN_STACK;
        stacks.reserve(size, count).expect("address space for all stacks");
        let one = |_| UnsafeCell::new(Task { g: G::default(), stack: None, word: 0, thread: usize::MAX });
        let tasks = Tasks((0..count).map(one).collect());
        for cell in &tasks.0 {
            let task = cell.get();
            // SAFETY: nobody else has it yet; it stays where it is, and its stack with it.
            unsafe {
                let stack = (*task).stack.insert(stacks.take(size).expect("a stack"));
                stack.init(&raw mut (*task).g, self::task).expect("a good stack");
            }
        }
        let state = State {
            ready: (0..count).map(|number| (number, number)).collect(),
            timers: BinaryHeap::new(),
            descriptors: Vec::new(),
            channels: (0..count.div_ceil(SHARE)).map(|_| Channel::default()).collect(),
            live: count,
            running: 0,
            polling: false,
            sum: 0,
            switches: 0,
            moves: 0,
        };
        Self { tasks, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does: runs who is ready, until all have finished.
    fn work(&self, thread: usize) {
        let mut m = Box::<M>::default();
        // SAFETY: lives until it is released.
        unsafe { m_adopt(&raw mut *m) }.expect("a thread that is no m");
        let mut state = self.lock();
        while state.live > 0 {
            let Some((number, word)) = state.ready.pop_front() else {
                state = self.wait(state);
                continue;
            };
            state.switches += 1;
            state.running += 1;
            drop(state);
            let task = self.tasks.0[number].get();
            // SAFETY: its number was taken from the list: it is this thread's until it is in another.
            let (result, moved) = unsafe {
                let moved = (*task).thread != usize::MAX && (*task).thread != thread;
                ((*task).thread, (*task).word) = (thread, word);
                (resume(&raw mut (*task).g, word), moved)
            };
            state = self.lock();
            state.running -= 1;
            state.moves += usize::from(moved);
            match result.expect("a parked task, on a thread that runs none") {
                Resumed::Parked(request) => {
                    let request = core::ptr::with_exposed_provenance::<Request>(request);
                    // SAFETY: on the stack of the task, which waits for the answer.
                    state.serve(number, unsafe { &*request });
                }
                Resumed::Finished(result) => {
                    state.sum += result;
                    state.live -= 1;
                    // SAFETY: as above; it has finished, and its stack is another's now.
                    unsafe { (*task).stack = None };
                }
            }
            if state.live == 0 || !state.ready.is_empty() {
                self.changed.notify_all();
            }
        }
        drop(state);
        m_release().expect("nothing runs on it");
    }

    /// Nobody is ready. One thread waits for timers and descriptors, the others for that one, or for who runs.
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.polling || (state.timers.is_empty() && state.descriptors.is_empty()) {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.polling = true;
        let next = state.timers.peek().map(|&Reverse((time, _))| time.saturating_sub(now()));
        // A task that runs may ask for an earlier timer: then it is not slept through.
        let longest = if state.running == 0 { c_int::MAX as u64 } else { 1 };
        let left = next.map_or(longest, |left| left.div_ceil(1_000_000).min(longest)) as c_int;
        let wanted = |&(fd, _): &(c_int, usize)| PollFd { fd, events: POLLIN, revents: 0 };
        let mut fds: Vec<_> = state.descriptors.iter().map(wanted).collect();
        drop(state);
        must(matches!(poll(&mut fds, left), Ok(_) | Err(Errno(libc::EINTR))));
        let mut state = self.lock();
        state.polling = false;
        state.wake(&fds);
        self.changed.notify_all();
        state
    }
}

fn main() -> ExitCode {
    static STACKS: Stacks = Stacks::new(StackOptions { guard: 0, keep: 0 });
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(default, |n| n.parse().expect("a number"));
    let (count, threads): (usize, usize) = (number(100_000), number(2));
    // Each sender has its receiver.
    let count = count.next_multiple_of(KINDS.len());
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    let mut ends = [0; 2];
    // SAFETY: room for two.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0, "a pipe");
    // SAFETY: these are ours alone.
    let ends = ends.map(|fd| unsafe { OwnedFd::from_raw(fd) });
    for (place, end) in PIPE.iter().zip(&ends) {
        place.store(end.as_raw() as usize, Ordering::Relaxed);
    }

    let scheduler = Scheduler::new(count, &STACKS);
    std::thread::scope(|scope| {
        let scheduler = &scheduler;
        (0..threads).for_each(|thread| drop(scope.spawn(move || scheduler.work(thread))));
    });
    let state = scheduler.lock();
    let (sum, wanted, wrong) = (state.sum, expected(count), WRONG.load(Ordering::Relaxed));
    let moved = threads < 2 || state.moves > 0;
    println!(
        "{count} tasks on {threads} threads: {} switches, {} of them to another thread; sum {sum}, {wrong} wrong",
        state.switches, state.moves
    );
    if sum == wanted && wrong == 0 && moved { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

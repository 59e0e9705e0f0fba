//! Random sequences of crossings, held against a model of what both stacks must hold.
//!
//! A sequence is a list of random words, made from its seed. [`moves`] interprets them: each level, of managed code,
//! of C, of a thread that runs no task, takes the next word, chooses from it what may be done there, and does it; where
//! the words end every level returns. One thread works at a time, and hands the work on to others, so that a seed
//! always does the same; the signals that come [`anywhere`](model::anywhere) alone do not.
//!
//! [`model`] knows what must hold: which functions of which task are entered, on which thread, through which calls.
//! It is compared with reality after every step: the current g and its m, both stacks' ends and where each is,
//! counters, contexts, hooks, the signal mask, errno, m's that are in use, words in the frames of every level, every
//! callee-saved register; and, where a word says so, tracebacks by both walkers, of parked tasks, and in handlers.
//! What the library must refuse it must refuse with the error that the model expects.
//!
//! Stacks are moved as well, while their tasks are parked and while they are in C. Compiled code keeps addresses of its
//! stack wherever it likes, so every word is rewritten that could be one, in the copy and in C's frames: a random word
//! of 64 bits is none ([`Memory`](model::Memory)), while of 32 bits one in a few thousands is. So this is for the four
//! 64-bit CPUs.
//!
//! The program `fuzz` runs sequences in child processes. What hooks, contexts and signals there are is set once in a
//! process: by the lowest bits of the seed.

mod model;
mod moves;
pub mod report;

use core::sync::atomic::{AtomicBool, Ordering};
use model::{ANYWHERE, Class, KNOWN, Kind, State, Thread, World, number, set_world, with};
use moves::{g0_level, others, resume_one, with_signal_stack};
use report::{Op, Random, report};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn c_signal_mask() -> u64;
}

pub use model::CLASSES;
pub use moves::may_come;

/// Reads where the functions with names lie, for this process and the children that it will have.
pub fn prepare() {
    model::name(moves::entries());
    report();
}

/// The words of a sequence.
pub fn words(seed: u64) -> Vec<u64> {
    let mut random = Random(seed);
    let many = 20 + random.below(200);
    (0..many).map(|_| random.word()).collect()
}

/// Runs sequences of one class in this process, which is new but for [`prepare`]: those of `seed` and, [`CLASSES`]
/// apart, more. Of the one sequence if there is only one, `keep` says which words are used. No further one begins after
/// `until`.
pub fn run(seed: u64, sequences: u64, keep: Option<&[usize]>, until: Option<Instant>) {
    let class = Class::of(seed);
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    stackgate_libc::register_own_tables();
    std::panic::set_hook(Box::new(model::on_panic));
    // SAFETY: functions of this module, which keep to what is asked of them.
    unsafe {
        if class.hooks() {
            stackgate::set_hooks(&model::HOOKS).expect("the first hooks");
        }
        if class.contexts() {
            let set = stackgate::traceback::set_cgo_traceback;
            set(0, Some(model::traceback), Some(model::context), None).expect("the first set");
            model::HAS_CONTEXTS.store(true, Ordering::Relaxed);
        }
        stackgate_libc::handle_signal(KNOWN, model::at_known_place).expect("a signal");
        stackgate_libc::handle_signal(ANYWHERE, model::anywhere).expect("a signal");
    }
    model::hold(number());
    static STOP: AtomicBool = AtomicBool::new(false);
    let interrupts = class.interrupts().then(|| std::thread::spawn(|| interrupt(&STOP)));
    let mut extra = 0;
    with_signal_stack(|| {
        // SAFETY: asks.
        let mask = unsafe { c_signal_mask() };
        for n in 0..sequences {
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let seed = seed + n * CLASSES;
            report().begin(seed);
            let words = words(seed).into_iter().enumerate();
            let words = words.filter(|(i, _)| keep.is_none_or(|keep| keep.contains(i))).collect();
            extra = one(words, class, extra, mask);
            report().sequences.fetch_add(1, Ordering::Relaxed);
        }
        STOP.store(true, Ordering::Relaxed);
        if let Some(interrupts) = interrupts {
            interrupts.join().expect("a thread");
        }
    });
}

/// Sends signals to the thread that works.
fn interrupt(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(300));
        // SAFETY: at worst the thread has ended, and nobody gets it.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), model::holder(), ANYWHERE) };
    }
}

/// One sequence. Returns how many m's were ever made for threads of C's in this process.
fn one(words: Vec<(usize, u64)>, class: Class, extra: usize, mask: u64) -> usize {
    crate::setup::adopted(|m| {
        let main = Thread {
            kind: Kind::Main,
            m,
            number: number(),
            mask,
            calls: 0,
            busy: true,
            alive: true,
            task: 0,
            sender: None,
            join: None,
        };
        let (tasks, threads) = (Vec::new(), vec![main]);
        set_world(Some(World { words, next: 0, tasks, threads, at: 0, resuming: 0, left: 0, extra, class }));
        g0_level();
        // The words have ended: whatever goes on, returns.
        let mut random = Random(1);
        let idle = |w: &mut World| {
            let idle = |task: &model::Task| matches!(task.state, State::New | State::Parked);
            w.tasks.iter().position(idle)
        };
        while let Some(t) = with(idle) {
            resume_one(t, 0, &mut random);
        }
        while with(|w| w.threads.iter().any(|thread| thread.alive && thread.kind != Kind::Main)) {
            others(Op::EndThread, None, &mut random);
        }
        g0_level();
    });
    // The next begins with what this one has begun with.
    let (extra, blocked) = with(|w| (w.extra, w.thread().mask & !mask));
    // SAFETY: a set of signals.
    unsafe {
        let mut set = core::mem::zeroed();
        libc::sigemptyset(&mut set);
        (1..=31)
            .filter(|signal| blocked >> (signal - 1) & 1 != 0)
            .for_each(|signal| _ = libc::sigaddset(&mut set, signal));
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, core::ptr::null_mut());
    }
    set_world(None);
    extra
}

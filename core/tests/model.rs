//! Model checks of the pool of extra m's and of the initialisation gate: the files themselves, with loom's
//! primitives, in every order in which threads can run. Planted mistakes show that the checks find some.

#![allow(dead_code, missing_docs, reason = "the files are part of another crate, which uses all of them")]

#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/pool.rs"]
mod pool;

/// What `core/src/sync.rs` is to the library.
mod sync {
    pub use loom::sync::Mutex as Lock;
    use loom::sync::atomic;
    use std::sync::atomic::Ordering;

    /// A mistake. Each check runs in a thread of its own, and loom runs all its threads on that one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Planted {
        Nothing,
        /// No store is published, no load sees what was.
        Relaxed,
        /// Signals are not masked.
        Unmasked,
        /// Who gives one back does not look whether anybody waits.
        Unwoken,
    }

    std::thread_local! {
        pub static PLANTED: std::cell::Cell<Planted> = const { std::cell::Cell::new(Planted::Nothing) };
    }

    pub fn planted() -> Planted {
        PLANTED.get()
    }

    fn order(order: Ordering) -> Ordering {
        if planted() == Planted::Relaxed { Ordering::Relaxed } else { order }
    }

    macro_rules! atomic {
        ($name:ident, $int:ty) => {
            pub struct $name(atomic::$name);

            impl $name {
                pub fn new(value: $int) -> Self {
                    Self(atomic::$name::new(value))
                }
                pub fn load(&self, ordering: Ordering) -> $int {
                    self.0.load(order(ordering))
                }
                pub fn store(&self, value: $int, ordering: Ordering) {
                    self.0.store(value, order(ordering));
                }
                pub fn fetch_add(&self, value: $int, ordering: Ordering) -> $int {
                    self.0.fetch_add(value, order(ordering))
                }
                pub fn fetch_sub(&self, value: $int, ordering: Ordering) -> $int {
                    self.0.fetch_sub(value, order(ordering))
                }
                pub fn compare_exchange(
                    &self,
                    now: $int,
                    new: $int,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$int, $int> {
                    self.0.compare_exchange(now, new, order(success), order(failure))
                }
            }
        };
    }

    atomic!(AtomicU32, u32);
    atomic!(AtomicUsize, usize);

    loom::thread_local! {
        /// How often signals are masked on this thread.
        pub static MASKED: std::cell::Cell<usize> = std::cell::Cell::new(0);
    }

    /// A signal comes while the lock is held, unless they are masked. Its handler wants an m too.
    pub fn with<T, R>(lock: &Lock<T>, f: impl FnOnce(&mut T) -> R) -> R {
        let mut guard = lock.lock().unwrap();
        if MASKED.with(|masked| masked.get()) == 0 {
            drop(lock.lock());
        }
        f(&mut guard)
    }

    macro_rules! maybe_const {
        ($(#[$attribute:meta])* pub fn $name:ident() -> Self $body:block) => {
            $(#[$attribute])*
            pub fn $name() -> Self $body
        };
    }
    pub(crate) use maybe_const;
}

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use pool::{Pool, Pooled, Waits};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use sync::{AtomicU32, MASKED, PLANTED, Planted, planted};

/// A futex.
struct System {
    lock: Mutex<()>,
    changed: Condvar,
}

impl System {
    fn new() -> Self {
        Self { lock: Mutex::new(()), changed: Condvar::new() }
    }
}

impl Waits for System {
    type Mask = ();
    fn mask(&self) {
        if planted() != Planted::Unmasked {
            MASKED.with(|masked| masked.set(masked.get() + 1));
        }
    }
    fn unmask(&self, (): ()) {
        if planted() != Planted::Unmasked {
            MASKED.with(|masked| masked.set(masked.get() - 1));
        }
    }
    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        let guard = self.lock.lock().unwrap();
        if word.load(Ordering::Acquire) == expected {
            drop(self.changed.wait(guard).unwrap());
        }
        true
    }
    fn wake(&self, _: &AtomicU32) {
        if planted() != Planted::Unwoken {
            let _guard = self.lock.lock().unwrap();
            self.changed.notify_all();
        }
    }
}

/// Something that one thread at a time may use: loom sees to it.
struct Extra {
    uses: UnsafeCell<usize>,
    link: Option<NonNull<Extra>>,
}

// SAFETY: the link is a field of its own.
unsafe impl Pooled for Extra {
    fn link(this: NonNull<Self>) -> *mut Option<NonNull<Self>> {
        // SAFETY: inside the same object.
        unsafe { &raw mut (*this.as_ptr()).link }
    }
}

fn extra() -> NonNull<Extra> {
    NonNull::from(Box::leak(Box::new(Extra { uses: UnsafeCell::new(0), link: None })))
}

/// Takes one, uses it, and gives it back, as a foreign thread does.
fn visit(pool: &Pool<Extra>, system: &System) {
    system.mask();
    let one = pool.take_or_wait(&(), system).expect("somebody wakes this thread");
    system.unmask(());
    // SAFETY: it is this thread's until it is given back.
    unsafe { one.as_ref().uses.with_mut(|uses| *uses += 1) };
    system.mask();
    // SAFETY: as above; it is leaked.
    unsafe { pool.give(one, &(), system) };
    system.unmask(());
}

/// Runs `f` in every order: of two threads all, of more those with at most two switches that nothing forces, of
/// which there are few enough to try.
fn model(threads: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (threads > 2).then_some(2);
    model.check(f);
}

/// `threads` threads share `extras`.
fn share(planted: Planted, threads: usize, extras: usize) {
    model(threads, move || {
        PLANTED.set(planted);
        let shared = Arc::new((Pool::<Extra>::new(), System::new()));
        let all: Vec<_> = (0..extras).map(|_| extra()).collect();
        for &one in &all {
            shared.1.mask();
            // SAFETY: leaked, and nobody else's.
            unsafe { shared.0.give(one, &(), &shared.1) };
            shared.1.unmask(());
            shared.0.count_made();
        }
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || visit(&shared.0, &shared.1))
            })
            .collect();
        visit(&shared.0, &shared.1);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((shared.0.ready(), shared.0.made()), (extras, extras), "each is back");
        let mut uses = 0;
        for one in all {
            // SAFETY: nobody uses it any more.
            let one = unsafe { Box::from_raw(one.as_ptr()) };
            uses += one.uses.with(|uses| {
                // SAFETY: as above.
                unsafe { *uses }
            });
        }
        assert_eq!(uses, threads);
    });
}

#[test]
fn two_threads_share_one() {
    share(Planted::Nothing, 2, 1);
}

#[test]
fn three_threads_share_one() {
    share(Planted::Nothing, 3, 1);
}

#[test]
fn three_threads_share_two() {
    share(Planted::Nothing, 3, 2);
}

#[test]
#[ignore = "a planted mistake: `planted_mistakes_are_found` runs it"]
fn a_signal_before_masking_is_found() {
    share(Planted::Unmasked, 1, 1);
}

#[test]
#[ignore = "a planted mistake: `planted_mistakes_are_found` runs it"]
fn a_thread_that_nobody_wakes_is_found() {
    share(Planted::Unwoken, 2, 1);
}

/// One thread initialises, the others call back.
fn initialise(planted: Planted, callers: usize) {
    model(callers + 1, move || {
        PLANTED.set(planted);
        let shared = Arc::new((gate::Gate::new(), System::new(), UnsafeCell::new(0)));
        assert!(shared.0.close(1), "it was open");
        assert!(!shared.0.close(2), "it is closed");
        assert_eq!(shared.0.wait(1, &shared.1), Err(gate::Stuck::Itself));
        let callers: Vec<_> = (0..callers)
            .map(|i| {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.0.wait(i + 2, &shared.1).expect("it is opened");
                    shared.2.with(|state| {
                        // SAFETY: the initialiser is done with it.
                        assert_eq!(unsafe { *state }, 7);
                    });
                })
            })
            .collect();
        // SAFETY: nobody looks before the gate is open.
        shared.2.with_mut(|state| unsafe { *state = 7 });
        assert!(shared.0.open(Some(&shared.1)), "it was closed");
        callers.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!shared.0.open(Some(&shared.1)), "it is open");
    });
}

#[test]
fn one_caller_waits() {
    initialise(Planted::Nothing, 1);
}

#[test]
fn two_callers_wait() {
    initialise(Planted::Nothing, 2);
}

#[test]
#[ignore = "a planted mistake: `planted_mistakes_are_found` runs it"]
fn a_relaxed_publication_is_found() {
    initialise(Planted::Relaxed, 1);
}

#[test]
#[ignore = "a planted mistake: `planted_mistakes_are_found` runs it"]
fn an_initialiser_that_wakes_nobody_is_found() {
    initialise(Planted::Unwoken, 1);
}

/// Loom ends the process where a mistake is found, so that each has one of its own.
#[test]
fn planted_mistakes_are_found() {
    for (name, finding) in [
        ("a_signal_before_masking_is_found", "deadlock"),
        ("a_thread_that_nobody_wakes_is_found", "deadlock"),
        ("a_relaxed_publication_is_found", "Causality violation"),
        ("an_initialiser_that_wakes_nobody_is_found", "deadlock"),
    ] {
        let run = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "--nocapture", name])
            .output()
            .expect("it can be run");
        let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
        assert!(said.contains("running 1 test"), "{name} is a test");
        assert!(!run.status.success() && said.contains(finding), "{name}: {} {said}", run.status);
    }
}

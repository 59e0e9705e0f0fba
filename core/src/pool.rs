//! Things that are ready, for threads that need one each and give it back.
//!
//! Only `crate::sync` and the platform that is passed in connect this file with the rest: `tests/model.rs`
//! compiles it with loom's primitives in their place and tries every order of what several threads do.

use crate::sync::{AtomicU32, AtomicUsize, Lock, with};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// What can lie in a pool: it has room for the link.
///
/// # Safety
/// `link` gives the same place each time, which nobody else uses.
pub unsafe trait Pooled: Sized {
    /// The link to the next one.
    fn link(this: NonNull<Self>) -> *mut Option<NonNull<Self>>;
}

/// What a pool asks of the system.
pub trait Waits {
    /// What [`mask`](Waits::mask) gives back.
    type Mask;
    /// Keeps signals from this thread: a handler that takes from the pool while this thread has its lock would
    /// never get it.
    fn mask(&self) -> Self::Mask;
    /// Lets them come again.
    fn unmask(&self, mask: Self::Mask);
    /// Sleeps until `word` is no longer `expected`; may return early. `false` when nothing can wake it.
    fn wait(&self, word: &AtomicU32, expected: u32) -> bool;
    /// Wakes who sleeps on `word`.
    fn wake(&self, word: &AtomicU32);
}

/// The first that is ready.
struct First<T>(Option<NonNull<T>>);

// SAFETY: what lies in a pool belongs to nobody, and goes to one thread at a time.
unsafe impl<T> Send for First<T> {}

/// A pool.
pub struct Pool<T> {
    first: Lock<First<T>>,
    /// How many have been added for the first time.
    made: AtomicUsize,
    /// How many lie here.
    ready: AtomicUsize,
    /// How many threads wait for one.
    waiting: AtomicUsize,
    /// Changes with each that is given back.
    given: AtomicU32,
}

impl<T: Pooled> Pool<T> {
    crate::sync::maybe_const! {
        /// An empty pool.
        pub fn new() -> Self {
            Self {
                first: Lock::new(First(None)),
                made: AtomicUsize::new(0),
                ready: AtomicUsize::new(0),
                waiting: AtomicUsize::new(0),
                given: AtomicU32::new(0),
            }
        }
    }

    /// The lock under which one is taken or given back.
    pub fn lock(&self) -> &Lock<impl Sized + use<T>> {
        &self.first
    }

    /// How many there are in all, taken or not.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// Counts one that its maker keeps at once.
    pub fn count_made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one that is ready. Signals are masked, by the caller, who owns `_masked`.
    pub fn take<M>(&self, _masked: &M) -> Option<NonNull<T>> {
        let taken = with(&self.first, |first| {
            let one = first.0?;
            // SAFETY: it lies here, so that its link is the pool's.
            first.0 = unsafe { *T::link(one) };
            Some(one)
        })?;
        self.ready.fetch_sub(1, Ordering::Relaxed);
        Some(taken)
    }

    /// Takes one that is ready, or that comes back. `None` when nothing can wake this thread.
    pub fn take_or_wait<M>(&self, masked: &M, waits: &impl Waits) -> Option<NonNull<T>> {
        loop {
            let given = self.given.load(Ordering::Acquire);
            // Announced before the last look: who gives one back after that look sees that somebody waits.
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let taken = self.take(masked);
            let woken = taken.is_some() || waits.wait(&self.given, given);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if taken.is_some() || !woken {
                return taken;
            }
        }
    }

    /// Gives one to the pool. Signals are masked, by the caller, who owns `_masked`.
    ///
    /// # Safety
    /// `one` is valid for ever, and nobody uses it.
    pub unsafe fn give<M>(&self, one: NonNull<T>, _masked: &M, waits: &impl Waits) {
        self.ready.fetch_add(1, Ordering::Relaxed);
        with(&self.first, |first| {
            // SAFETY: by the caller, it is the pool's from here on.
            unsafe { T::link(one).write(first.0) };
            first.0 = Some(one);
        });
        self.given.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) != 0 {
            waits.wake(&self.given);
        }
    }
}

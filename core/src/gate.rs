//! The gate that callbacks wait at until the runtime is initialised.
//!
//! Only `crate::sync` and [`Waits`] connect this file with the rest: `tests/model.rs` compiles it with loom's
//! primitives in their place and tries every order of what several threads do.

use crate::pool::Waits;
use crate::sync::{AtomicU32, AtomicUsize};
use core::sync::atomic::Ordering;

/// Nobody keeps callbacks waiting: initialisation is over, or was never announced.
const OPEN: u32 = 0;
/// A thread has announced initialisation and has not finished it.
const INITIALISING: u32 = 1;

/// Why a callback cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// The thread that waits is the one that initialises.
    Itself,
    /// Nothing can wake it.
    Sleepless,
}

/// A gate.
pub struct Gate {
    state: AtomicU32,
    /// The thread that initialises; 0 when it is not known.
    initialiser: AtomicUsize,
}

impl Gate {
    crate::sync::maybe_const! {
        /// An open gate.
        pub fn new() -> Self {
            Self { state: AtomicU32::new(OPEN), initialiser: AtomicUsize::new(0) }
        }
    }

    /// Closes it, for the thread `me` to open. `false` if it is closed already.
    pub fn close(&self, me: usize) -> bool {
        let closed =
            self.state.compare_exchange(OPEN, INITIALISING, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if closed {
            self.initialiser.store(me, Ordering::Relaxed);
        }
        closed
    }

    /// Opens it: what this thread has done is seen by who passes. `false` if it is open already.
    pub fn open(&self, waits: Option<&impl Waits>) -> bool {
        let opened =
            self.state.compare_exchange(INITIALISING, OPEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if let (true, Some(waits)) = (opened, waits) {
            waits.wake(&self.state);
        }
        opened
    }

    /// Whether it is open: one load.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }

    /// Returns when it is open.
    ///
    /// # Errors
    /// When it never will be.
    pub fn wait(&self, me: usize, waits: &impl Waits) -> Result<(), Stuck> {
        while !self.is_open() {
            if self.initialiser.load(Ordering::Relaxed) == me {
                return Err(Stuck::Itself);
            }
            if !waits.wait(&self.state, INITIALISING) {
                return Err(Stuck::Sleepless);
            }
        }
        Ok(())
    }
}

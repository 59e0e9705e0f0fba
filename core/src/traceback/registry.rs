//! A table of fixed capacity that grows under a lock and is read without one.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Up to `N` entries, which stay where they are.
pub(super) struct Registry<T, const N: usize> {
    count: AtomicUsize,
    slots: UnsafeCell<[MaybeUninit<T>; N]>,
    /// Taken by who adds an entry; never by who reads.
    adding: spin::Mutex<()>,
}

// SAFETY: a slot is written once, by whoever holds the lock, before `count` says that it is there.
unsafe impl<T: Send + Sync, const N: usize> Sync for Registry<T, N> {}

impl<T, const N: usize> Registry<T, N> {
    pub const fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            slots: UnsafeCell::new([const { MaybeUninit::uninit() }; N]),
            adding: spin::Mutex::new(()),
        }
    }

    /// Lets nobody add an entry until [`let_in`](Self::let_in).
    pub fn keep_out(&self) {
        core::mem::forget(self.adding.lock());
    }

    /// Lets entries be added again.
    ///
    /// # Safety
    /// After [`keep_out`](Self::keep_out), on that thread or on its copy in a child process.
    pub unsafe fn let_in(&self) {
        // SAFETY: by the caller; the guard has been forgotten.
        unsafe { self.adding.force_unlock() };
    }

    /// The entries so far. Safe in a signal handler.
    #[inline]
    pub fn entries(&self) -> &[T] {
        let count = self.count.load(Ordering::Acquire);
        // SAFETY: the first `count` slots have been written and will not be written again.
        unsafe { core::slice::from_raw_parts(self.slots.get().cast::<T>(), count) }
    }

    /// Adds an entry that `check` accepts; `full` is the error when there is no room.
    pub fn add<E>(&self, entry: T, full: E, check: impl FnOnce(&[T]) -> Result<(), E>) -> Result<(), E> {
        let _adding = self.adding.lock();
        let entries = self.entries();
        check(entries)?;
        let count = entries.len();
        if count == N {
            return Err(full);
        }
        // SAFETY: below N, and nobody reads the slot before `count` is stored.
        unsafe { self.slots.get().cast::<T>().add(count).write(entry) };
        self.count.store(count + 1, Ordering::Release);
        Ok(())
    }
}

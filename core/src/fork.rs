//! Forks: what other threads may be changing is whole in the child.

use crate::extra;
use crate::pool::Waits;
use crate::traceback;
use crate::{SignalMask, platform};

/// The signals of the thread that forks. Whoever holds the pool of extra m's has it.
static MASK: spin::Mutex<Option<SignalMask>> = spin::Mutex::new(None);

/// Before a process forks: waits until no thread takes or returns an extra m, or registers anything, and lets none
/// begin. Signals are kept from this thread until [`after_fork`].
///
/// Everything else of this crate that several threads write is written by single stores, so that the child of a
/// fork finds it whole, and its one thread is the m, and runs the g, that it was. The m's of its parent's other
/// threads stay taken.
///
/// Runs on any stack; not for signal handlers. Go: `syscall_runtime_BeforeFork`.
pub fn before_fork() {
    let mask = platform().and_then(|platform| extra::System(platform).mask());
    extra::keep_out();
    traceback::keep_out();
    *MASK.lock() = mask;
}

/// After a process has forked, in the parent and in the child: extra m's may be taken and tables registered again.
///
/// Runs on any stack; not for signal handlers. Go: `syscall_runtime_AfterFork`.
///
/// # Safety
/// This thread, or the one that it is a copy of, has called [`before_fork`].
pub unsafe fn after_fork() {
    let mask = MASK.lock().take();
    // SAFETY: by the caller.
    unsafe {
        traceback::let_in();
        extra::let_in();
    }
    if let Some(platform) = platform() {
        extra::System(platform).unmask(mask);
    }
}

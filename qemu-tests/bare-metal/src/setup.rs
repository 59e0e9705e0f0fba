//! A small runtime for the cases: a CPU that is an m, and tasks on stacks of the linker script's pool.

use crate::{board, memory};
use core::ops::Range;
use stackgate::arch::{NativeWord, Stack, frame::Word};
use stackgate::{EntryFn, G, M, Resumed, g_init, m_adopt, m_release, resume};

pub use crate::ways::{in_c, in_callback, in_task};

/// A task. Its g lies at the upper end of its memory, and its stack below.
pub struct Task {
    /// The task itself.
    pub g: &'static mut G,
    place: usize,
}

impl Task {
    /// A task that is about to run `entry` on a stack of `size` bytes, or less where the machine has less.
    pub fn new(size: usize, entry: EntryFn) -> Self {
        let place = memory::take_managed();
        let memory = memory::managed_stack(place);
        let top = (memory.end - size_of::<G>()) & !63;
        let limit = memory.start.max(top.saturating_sub(size) & !63);
        let g: *mut G = core::ptr::with_exposed_provenance_mut(top);
        let end = core::ptr::with_exposed_provenance_mut::<u8>;
        // SAFETY: the memory is this task's alone.
        let g = unsafe {
            g.write(G::default());
            g_init(g, end(limit), end(top), entry).expect("a good stack");
            &mut *g
        };
        Self { g, place }
    }

    /// Where the task is.
    pub fn at(&mut self) -> *mut G {
        &raw mut *self.g
    }

    /// Runs it until it parks or finishes.
    pub fn resume(&mut self, word: usize) -> Resumed {
        // SAFETY: the g is this task's, and nobody else has it.
        unsafe { resume(&raw mut *self.g, word) }.expect("a parked task on an adopted thread")
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        memory::give_managed(self.place);
    }
}

/// Makes this CPU an m while `f` runs.
pub fn adopted<R>(f: impl FnOnce(*mut M) -> R) -> R {
    let mut m = M::default();
    let at = &raw mut m;
    // SAFETY: the m outlives the adoption.
    unsafe {
        m_adopt(at).expect("a CPU that is no m");
        bounds(at);
    }
    let result = f(at);
    m_release().expect("the CPU stands where it was adopted");
    result
}

/// Tells an m of this CPU's two stacks.
///
/// # Safety
/// `m` is this CPU's.
pub unsafe fn bounds(m: *mut M) {
    let stack = |ends: Range<usize>| Stack {
        limit: NativeWord::new(ends.start as u64),
        top: NativeWord::new(ends.end as u64),
    };
    // SAFETY: by the caller.
    unsafe {
        (*m).g0.stack = stack(memory::system_stack(board::cpu()));
        (*m).gsignal.stack = stack(memory::signal_stack(board::cpu()));
    }
}

//! A small runtime for the cases: a thread that is an m, and tasks on stacks of their own.

use stackgate::{EntryFn, G, M, Resumed, g_init, m_adopt, m_release, resume};

pub use crate::ways::{in_c, in_callback, in_task};

/// A task with its stack.
pub struct Task {
    /// The task itself.
    pub g: Box<G>,
    stack: Box<[u128]>,
}

impl Task {
    /// A task that is about to run `entry` on a stack of `size` bytes.
    pub fn new(size: usize, entry: EntryFn) -> Self {
        Self::on(vec![0; size / 16].into_boxed_slice(), entry)
    }

    /// The same, on this stack.
    pub fn on(stack: Box<[u128]>, entry: EntryFn) -> Self {
        let mut task = Self { g: Box::default(), stack };
        let ends = task.stack.as_mut_ptr_range();
        // SAFETY: both live as long as the task, and stay where they are.
        unsafe { g_init(&raw mut *task.g, ends.start.cast(), ends.end.cast(), entry) }.expect("a good stack");
        task
    }

    /// Where the task is.
    pub fn at(&mut self) -> *mut G {
        &raw mut *self.g
    }

    /// Its stack, which nobody may write to now.
    pub fn stack(&self) -> &[u128] {
        &self.stack
    }

    /// Runs it until it parks or finishes.
    pub fn resume(&mut self, word: usize) -> Resumed {
        // SAFETY: the g is this task's, and nobody else has it.
        unsafe { resume(&raw mut *self.g, word) }.expect("a parked task on an adopted thread")
    }
}

/// Makes this thread an m while `f` runs.
pub fn adopted<R>(f: impl FnOnce(*mut M) -> R) -> R {
    let mut m: Box<M> = Box::default();
    let at = &raw mut *m;
    // SAFETY: the m outlives the adoption.
    unsafe { m_adopt(at) }.expect("a thread that is no m");
    let result = f(at);
    m_release().expect("the thread stands where it was adopted");
    result
}

//! A small runtime for the cases: a thread that is an m, and tasks on stacks of their own.

use core::ffi::{c_int, c_void};
use stackgate::{EntryFn, G, M, Resumed, asmcgocall, g_init, m_adopt, m_release, resume};

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

/// Runs `f` in a task on a stack of 64 KiB, on this thread.
pub fn in_task<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn entry<F: FnMut()>(f: usize) -> usize {
        let f: *mut F = core::ptr::with_exposed_provenance_mut(f);
        // SAFETY: `in_task` passes a function that outlives the task.
        unsafe { (*f)() };
        7
    }
    adopted(|_| {
        let mut task = Task::new(64 << 10, entry::<F>);
        let f = (&raw mut f).expose_provenance();
        assert_eq!(task.resume(f), Resumed::Finished(7));
    });
}

/// Runs `f` as C would run, through `asmcgocall`.
pub fn in_c<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn run<F: FnMut()>(f: *mut c_void) -> c_int {
        // SAFETY: `in_c` passes a function that outlives the call.
        unsafe { (*f.cast::<F>())() };
        0
    }
    // SAFETY: `run` takes the function.
    unsafe { asmcgocall(run::<F>, (&raw mut f).cast()) };
}

/// Runs `f` as a callback of the C code that runs now, through the whole way in.
pub fn in_callback<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn run<F: FnMut()>(f: *mut c_void, _: usize, _: usize) {
        // SAFETY: `in_callback` passes a function that outlives the callback.
        unsafe { (*f.cast::<F>())() };
    }
    // SAFETY: `run` takes the function.
    unsafe { stackgate::enter(run::<F>, (&raw mut f).cast(), 0) };
}

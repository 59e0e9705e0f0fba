//! Calls into C, and the story of one that calls back.
//!
//! # One call that calls back
//!
//! A task on a managed stack (curg) calls the C function `f`, which calls the exported managed function
//! `g1`. Stacks grow down; `->` is where SP is.
//!
//! **Before.** The task runs on its own stack. `g0.sched.sp` is where `resume` left the system stack.
//!
//! ```text
//!     managed stack (curg)                  system stack (g0)
//!   | BaseFrame            | top          | main, scheduler ...   |
//!   | the task's frames    |              | SwitchFrame of resume | <- g0.sched.sp
//!   | caller of asmcgocall | <- SP        |                       |
//! ```
//!
//! **In C.** `asmcgocall` has made g0 current, moved SP to `g0.sched.sp` and left an `AsmcgocallFrame` there:
//! which g called, where its SP is, and the frame record in which C's own chain goes on to the task's. It
//! writes nothing on the managed stack, which may therefore be moved meanwhile (`stack_moved`).
//!
//! ```text
//!     managed stack (curg)                  system stack (g0)
//!   | BaseFrame            |              | main, scheduler ...   |
//!   | the task's frames    |              | SwitchFrame of resume | <- g0.sched.sp
//!   | caller of asmcgocall | <----+       | AsmcgocallFrame       |
//!   |                      |      +-- sp -|                       |
//!   |                      |              | f's frames            | <- SP
//! ```
//!
//! **In the callback.** The export stub has asked for a traceback context and calls `cgocallback`, which
//! leaves a `CallbackFrame` on the system stack, publishes it by moving `g0.sched.sp` to it, and goes on on
//! curg, below the task's frames, with a `CallbackEntry`: its frame record continues the task's chain, so
//! that who follows records sees `g1`, then the task, and who follows call frame information sees `g1`, then
//! `f`, then the task. Another call into C from here begins directly below the `CallbackFrame`: both stacks
//! grow and shrink in step, to any depth.
//!
//! ```text
//!     managed stack (curg)                  system stack (g0)
//!   | BaseFrame            |              | main, scheduler ...   |
//!   | the task's frames    |              | SwitchFrame of resume |
//!   | caller of asmcgocall | <----+       | AsmcgocallFrame       |
//!   | CallbackEntry        | -----|--+    | f's frames, stub      |
//!   | g1's frames          | <- SP|  +--> | CallbackFrame         | <- g0.sched.sp
//! ```
//!
//! **After.** `g1` returns into `cgocallback`, which makes g0 current, takes `g0.sched.sp` back to where it
//! was, and returns to the stub on the system stack; the stub releases the context. `f` returns into
//! `asmcgocall`, which takes SP from its frame, which says where the managed stack is now, and makes the task
//! current again.

use crate::M;
use crate::hooks::{self, Hooks};
use crate::sanitizers;
use crate::task::{value, word};
use core::ffi::{c_int, c_void};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::sync::atomic::{Ordering, compiler_fence};
use stackgate_arch::frame::Ptr;
use stackgate_arch::{self as arch, CFn};

/// Calls C from managed code, on the system stack: `f(arg)`.
///
/// [`asmcgocall`](stackgate_arch::asmcgocall) with what a runtime wants to know: while C runs the m counts
/// one more call under way (`ncgo`), and it counts them all (`ncgocall`). Nothing is locked, no other thread
/// is told, nobody waits for the initialisation gate: this is the cheap call. [`Hooks`] run if
/// there are any.
///
/// Runs on any stack; safe in a signal handler. Go: `cgocall`.
///
/// # Safety
/// `f` may be called with `arg`.
#[inline]
pub unsafe fn cgocall(f: CFn, arg: *mut c_void) -> c_int {
    // SAFETY: `f` and `arg` by the caller; the current g and the m that runs it are valid, and a g in C stays
    // on its m.
    unsafe {
        let m = (*arch::current()).m_out.get();
        if m.is_null() {
            return arch::asmcgocall(f, arg);
        }
        (*m).ncgocall = word(value((*m).ncgocall).wrapping_add(1));
        // One after the other: compilers that count both at once, in a vector, make the next call wait until the word that
        // is counted down below has reached the cache, which takes longer than the call. arm has no such vectors, and on
        // ppc64le, where this is three instructions more, nobody has timed it.
        if cfg!(not(any(target_arch = "arm", target_arch = "powerpc64"))) {
            compiler_fence(Ordering::SeqCst);
        }
        (*m).ncgo = word(value((*m).ncgo) + 1);
        let result = match hooks::hooks() {
            None => {
                let call = sanitizers::calling(m);
                let result = arch::asmcgocall(f, arg);
                call.returned();
                result
            }
            Some(hooks) => call_hooked(hooks, m, f, arg),
        };
        (*m).ncgo = word(value((*m).ncgo) - 1);
        result
    }
}

/// The call itself, where there are hooks.
#[cold]
#[inline(never)]
unsafe fn call_hooked(hooks: &Hooks, m: *mut M, f: CFn, arg: *mut c_void) -> c_int {
    // SAFETY: by the caller.
    unsafe {
        let words = hooks::entering(m, hooks);
        let call = sanitizers::calling(m);
        let result = arch::asmcgocall(f, arg);
        call.returned();
        hooks::left(m, hooks, words);
        result
    }
}

/// [`cgocall`] of C that promises not to call back. If it does, the program ends by name.
///
/// On a system stack, where no callback can arrive, it is `cgocall`.
///
/// Runs on any stack; safe in a signal handler. Go: `#cgo nocallback`.
///
/// # Safety
/// `f` may be called with `arg`.
#[inline]
pub unsafe fn cgocall_no_callback(f: CFn, arg: *mut c_void) -> c_int {
    // SAFETY: as `cgocall`.
    unsafe {
        let m = (*arch::current()).m_out.get();
        if m.is_null() {
            return cgocall(f, arg);
        }
        let callbacks = (*m).g0.m_in;
        (*m).g0.m_in = Ptr::new(core::ptr::null_mut());
        let result = cgocall(f, arg);
        (*m).g0.m_in = callbacks;
        result
    }
}

/// Calls one of the user's hook functions (traceback, symbolizer), whatever stack this runs on.
///
/// # Safety
/// `f` may be called with `arg`.
pub(crate) unsafe fn call_hook(f: unsafe extern "C" fn(*mut c_void), arg: *mut c_void) {
    // SAFETY: by the caller. A hook returns nothing; the register that would hold a result is ignored.
    unsafe { run_on_system_stack(f, arg) }
}

/// `systemstack`, of which the sanitizers are told.
///
/// # Safety
/// `f` may be called with `arg`.
#[inline(always)]
unsafe fn run_on_system_stack(f: unsafe extern "C" fn(*mut c_void), arg: *mut c_void) {
    // SAFETY: by the caller; the current g and the m that runs it are valid.
    unsafe {
        #[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
        {
            let m = (*arch::current()).m_out.get();
            if !m.is_null() {
                let call = sanitizers::calling(m);
                arch::systemstack(f, arg);
                return call.returned();
            }
        }
        arch::systemstack(f, arg);
    }
}

/// Runs `f` on the system stack and returns what it returns.
///
/// For Rust code on a managed stack that is about to need more of it than it has. On a system stack already,
/// it is a plain call.
///
/// Runs on any stack; safe in a signal handler if `f` is. Go: `systemstack`.
///
/// # Panics
/// A panic of `f` ends the program: it cannot unwind a crossing.
#[inline]
pub fn on_system_stack<R>(f: impl FnOnce() -> R) -> R {
    /// Takes the closure, leaves the result.
    union Slot<F, R> {
        closure: ManuallyDrop<F>,
        result: ManuallyDrop<MaybeUninit<R>>,
    }
    unsafe extern "C" fn run<F: FnOnce() -> R, R>(slot: *mut c_void) {
        let slot = slot.cast::<Slot<F, R>>();
        // SAFETY: `on_system_stack` passes a slot that holds the closure, and takes the result after.
        unsafe {
            let closure = ManuallyDrop::take(&mut (*slot).closure);
            let result = closure();
            slot.write(Slot { result: ManuallyDrop::new(MaybeUninit::new(result)) });
        }
    }
    fn runner<F: FnOnce() -> R, R>(_: &F) -> unsafe extern "C" fn(*mut c_void) {
        run::<F, R>
    }
    let run = runner(&f);
    let mut slot = Slot { closure: ManuallyDrop::new(f) };
    // SAFETY: `run` takes the closure out and puts the result in, before this returns.
    unsafe {
        run_on_system_stack(run, (&raw mut slot).cast());
        ManuallyDrop::take(&mut slot.result).assume_init()
    }
}

//! Throwing through C: from a callback to the call into C that is ready for it.
//!
//! A throw drops the callbacks and the C frames between, as `longjmp` would: nothing of theirs runs, neither
//! C's clean-up nor a destructor. What stackgate keeps is put right: both stacks, contexts, hooks, counters,
//! the no-callback flag. What is thrown is one word.
//!
//! A Rust panic never unwinds a crossing. With the feature `std`, [`export!`](crate::export) catches a panic
//! and throws it, and `Thrown::resume_panic` lets it go on where it has landed.

use crate::console::Console;
use crate::hooks;
use crate::platform::{fatal, platform};
use crate::sanitizers;
use crate::task::{Calls, value, word};
use crate::traceback::{self, Traceback};
use crate::{G, M};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt;
use core::num::NonZeroUsize;
use stackgate_arch::{self as arch, CFn};

/// What was thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thrown(NonZeroUsize);

impl Thrown {
    /// The word that [`throw`] was given. For [`stackgate_panic`](crate::capi::stackgate_panic) it is the
    /// address of the message, and for a panic of Rust's nothing that means anything.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn word(self) -> NonZeroUsize {
        self.0
    }

    /// Lets a Rust panic that an exported function ended with go on from here. Of any other throw: gives it
    /// back.
    ///
    /// Runs where [`cgocall_catch`] has returned it, on the same thread, before another one is caught. Without the
    /// feature `std` no throw is a panic.
    ///
    /// Not for signal handlers.
    pub fn resume_panic(self) -> Self {
        #[cfg(feature = "std")]
        if self.0 == panics::mark()
            && let Some(payload) = panics::PANIC.take()
        {
            std::panic::resume_unwind(payload);
        }
        self
    }
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} was thrown through C", self.0)
    }
}

/// [`cgocall`](fn@crate::cgocall), and a [`throw`] from a callback below lands here: `f(arg)` has not returned
/// then, and never will.
///
/// Keeps every register that a C function keeps, since the C frames that are dropped may hold them: it costs
/// what saving them costs. Nothing runs for the frames that are dropped; what stackgate counts and keeps is as
/// it was before the call, the signal mask is C's affair.
///
/// On a system stack nothing can be thrown to: it is `cgocall` there.
///
/// Runs on any stack; not for signal handlers. Go: a cgo call in a function that recovers.
///
/// # Errors
/// What was thrown.
///
/// # Safety
/// `f` may be called with `arg`, and abandoned in each of its callbacks.
pub unsafe fn cgocall_catch(f: CFn, arg: *mut c_void) -> Result<c_int, Thrown> {
    // SAFETY: as `cgocall`. The call returns once, one way or the other.
    unsafe {
        let m: *mut M = (*arch::current()).m_out.get();
        if m.is_null() {
            return Ok(crate::cgocall(f, arg));
        }
        let under_way = value((*m).ncgo);
        let callbacks = (*m).g0.m_in;
        (*m).ncgocall = word(value((*m).ncgocall).wrapping_add(1));
        (*m).ncgo = word(under_way + 1);
        let hooks = hooks::hooks();
        let words = hooks.map(|hooks| hooks::entering(m, hooks));
        let mut thrown = 0usize;
        let catch = sanitizers::catching(m);
        let result = arch::asmcgocall_catch(f, arg, &raw mut thrown);
        catch.returned();
        if let (Some(hooks), Some(words)) = (hooks, words) {
            hooks::left(m, hooks, words);
        }
        (*m).ncgo = word(under_way);
        (*m).g0.m_in = callbacks;
        NonZeroUsize::new(thrown).map_or(Ok(result), |word| Err(Thrown(word)))
    }
}

/// Drops this callback, and everything down to the innermost [`cgocall_catch`] of this task, which returns
/// `Err` with `word`.
///
/// The traceback contexts of the callbacks that are dropped are released, innermost first. If nothing catches,
/// or this is no task, the program ends with a message and a traceback of all that would have been dropped.
///
/// Runs on a managed stack; not for signal handlers. Go: `panic`, with what `unwindm` does.
///
/// # Safety
/// The managed frames between here and the `cgocall_catch` need no destructor, and the C frames between may be
/// abandoned where they are.
pub unsafe fn throw(word: NonZeroUsize) -> ! {
    // SAFETY: by the caller.
    unsafe { throw_saying(word, None) }
}

/// [`throw`], with what to print if nothing catches.
///
/// # Safety
/// As [`throw`].
unsafe fn throw_saying(word: NonZeroUsize, message: Option<&CStr>) -> ! {
    // SAFETY: the current g is valid, and what it has to catch with lies on its own stack.
    unsafe {
        let g: *mut G = arch::current();
        let m: *mut M = (*g).m_out.get();
        if m.is_null() {
            uncaught("throw outside a task", "throw in a callback that a task's call into C led to", message);
        }
        let catch = (*g).catch.get();
        if catch.is_null() {
            uncaught("nothing catches a throw", "call C by cgocall_catch where one may come", message);
        }
        let g0_sp = value((*catch).g0_sp);
        if value((*m).g0.sched.sp) == g0_sp {
            uncaught(
                "throw with no C below",
                "what called cgocall_catch runs again: return instead",
                message,
            );
        }
        for (callback, _) in Calls::of(m, g).take_while(|(callback, _)| callback.addr() < g0_sp) {
            // Who takes a trace in the function that releases the context must not find it any more.
            let ctxt = value((*callback).ctxt);
            (*callback).ctxt = crate::task::word(0);
            traceback::release_context(ctxt);
        }
        hooks::dropped(m, g0_sp);
        sanitizers::dropping(m, g0_sp, catch.addr());
        arch::throw_to(catch, word.get())
    }
}

/// What `stackgate_panic` does: throws the address of `message` from C.
///
/// # Safety
/// As [`throw`]; `message` is null, or a string that outlives the C frames that are dropped.
pub(crate) unsafe fn panic_from_c(message: *const c_char) -> ! {
    unsafe extern "C" fn throws(message: *mut c_void, _: usize, _: usize) {
        // SAFETY: `panic_from_c` passes a message; the rest by its caller.
        unsafe {
            let word = NonZeroUsize::new_unchecked(message.expose_provenance());
            throw_saying(word, Some(CStr::from_ptr(message.cast())))
        }
    }
    const UNNAMED: &CStr = c"a panic without a message";
    let message = if message.is_null() { UNNAMED.as_ptr() } else { message };
    // SAFETY: `throws` takes a message, and does not come back.
    unsafe {
        let m = (*arch::current()).m_in.get();
        if m.is_null() || (*m).curg.get().is_null() {
            let message = Some(CStr::from_ptr(message));
            uncaught("a panic in C with no task below", "panic in C that a task called", message);
        }
        crate::enter(throws, message.cast_mut().cast(), 0);
    }
    unreachable!("`throws` does not return")
}

/// Ends the program where a throw goes nowhere: says so, what was thrown if it is a text, and how it came to
/// be here.
#[cold]
fn uncaught(name: &'static str, what_to_do: &'static str, message: Option<&CStr>) -> ! {
    struct Last<'a> {
        name: &'static str,
        what_to_do: &'static str,
        message: Option<&'a CStr>,
    }
    unsafe extern "C" fn say(last: *mut c_void) {
        // SAFETY: `uncaught` passes one.
        let last = unsafe { &*last.cast::<Last>() };
        if platform().is_some() {
            let mut console = Console::new();
            if let Some(message) = last.message {
                console.bytes(b"stackgate: thrown: ");
                console.bytes(message.to_bytes());
                console.bytes(b"\n");
            }
            // Whatever the console makes of it, the program ends in a moment.
            let _ = traceback::print(Traceback::current(), &mut console);
        }
        fatal(last.name, last.what_to_do)
    }
    let mut last = Last { name, what_to_do, message };
    // SAFETY: `say` takes one. It needs more than a managed stack may have left.
    unsafe { arch::systemstack(say, (&raw mut last).cast()) };
    unreachable!("`say` does not return")
}

/// Runs the body of an exported function.
///
/// With the feature `std` a panic of the body is thrown through C; without, it ends the program.
#[doc(hidden)]
#[inline(always)]
pub fn guarded<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(feature = "std")]
    return panics::guarded(body);
    #[cfg(not(feature = "std"))]
    body()
}

#[cfg(feature = "std")]
mod panics {
    use core::any::Any;
    use core::cell::Cell;
    use core::num::NonZeroUsize;
    use std::boxed::Box;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    std::thread_local! {
        /// What a panic said, between the throw and where it lands.
        pub static PANIC: Cell<Option<Box<dyn Any + Send>>> = const { Cell::new(None) };
    }

    /// The word that says that a panic was thrown: an address that nobody else has.
    pub fn mark() -> NonZeroUsize {
        static MARK: u8 = 0;
        (&raw const MARK).expose_provenance().try_into().expect("a static has an address")
    }

    /// Runs `body`, and throws its panic.
    #[inline(always)]
    pub fn guarded<R>(body: impl FnOnce() -> R) -> R {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(result) => result,
            Err(payload) => thrown(payload),
        }
    }

    #[cold]
    fn thrown(payload: Box<dyn Any + Send>) -> ! {
        PANIC.set(Some(payload));
        // SAFETY: the panic has run the destructors of the managed frames above the exported function; what lies
        // below it is the embedder's affair, as with every throw.
        unsafe { super::throw(mark()) }
    }
}

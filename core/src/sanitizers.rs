//! What AddressSanitizer and ThreadSanitizer are told of stacks: the features `asan` and `tsan`, for programs built
//! with `-Z sanitizer=address` or `-Z sanitizer=thread` and C built with `-fsanitize`.
//!
//! Both keep books on the stack that a thread stands on, and take a switch that they are not told of for a mistake of
//! the program. With these features every crossing of this crate tells them: calls into C, callbacks, tasks that are
//! resumed, park or switch, and throws. Without, everything here is nothing at all. The crossings of `stackgate_arch`
//! called directly tell nobody, nor does the C interface where it is those.
//!
//! * **AddressSanitizer** knows where each stack ends, so that it does not take a panic or a `longjmp` for a stack
//!   that has gone wild; what a throw drops, and a stack that is used again, may be written to anew. Its
//!   `detect_stack_use_after_return` keeps locals elsewhere, a piece of memory for each stack that is left: what the
//!   frames that a throw drops had there is not given back.
//! * **ThreadSanitizer** follows each task as a fiber of its own, made when the task first runs and destroyed when it
//!   finishes; a task that is given up while it is parked keeps its fiber. What one thread did before a crossing
//!   happens before what any thread does after one: managed code is often not instrumented, and the order that it
//!   makes is unseen otherwise. So does Go. It has the price that a race between two calls of C may go unseen.

#[cfg(feature = "asan")]
use crate::task::value;
use crate::{G, M};

/// The stack that is being left, until its code goes on.
#[must_use]
pub(crate) struct Left {
    #[cfg(feature = "asan")]
    fake: *mut core::ffi::c_void,
    #[cfg(feature = "tsan")]
    fiber: *mut core::ffi::c_void,
}

/// From the stack of a g to another, on the same thread, by a call that comes back.
///
/// The sanitizers are told of the new stack while SP is on the old one still: between lies nothing that they look at.
///
/// # Safety
/// `to` is valid, and nothing but the switch comes next.
#[inline(always)]
pub(crate) unsafe fn leave(to: *const G) -> Left {
    let _ = to;
    Left {
        #[cfg(feature = "asan")]
        // SAFETY: by the caller.
        fake: unsafe { asan::leave_for(to) },
        #[cfg(feature = "tsan")]
        // SAFETY: asks for the thread's own.
        fiber: unsafe { tsan::__tsan_get_current_fiber() },
    }
}

impl Left {
    /// The code of `g`, whose stack had been left, goes on.
    ///
    /// # Safety
    /// `g` is valid, and SP is on its stack.
    #[inline(always)]
    unsafe fn back(&self, g: *const G) {
        let _ = g;
        // SAFETY: by the caller.
        #[cfg(feature = "asan")]
        unsafe {
            asan::back_to(g, self.fake);
        }
    }
}

/// Around a call from a task into C on the system stack of `m`.
pub(crate) struct Call(Left);

/// # Safety
/// The current g is one that `m` runs; the call comes next.
#[inline(always)]
pub(crate) unsafe fn calling(m: *const M) -> Call {
    order();
    // SAFETY: by the caller.
    Call(unsafe { leave(&raw const (*m).g0) })
}

impl Call {
    /// C has returned, or a throw has landed.
    ///
    /// # Safety
    /// The current g is a task.
    #[inline(always)]
    pub(crate) unsafe fn returned(self) {
        // Asking for the current g costs instructions, whoever uses it.
        // SAFETY: by the caller.
        #[cfg(any(feature = "asan", feature = "tsan"))]
        unsafe {
            self.0.back(stackgate_arch::current());
        }
        order();
    }
}

/// Around a call that a throw may end: what it drops ThreadSanitizer would count as under way for good, so that the
/// call has a fiber of its own.
pub(crate) struct Catch(Call, #[cfg(feature = "tsan")] *mut core::ffi::c_void);

/// # Safety
/// As [`calling`].
#[inline(always)]
pub(crate) unsafe fn catching(m: *const M) -> Catch {
    // SAFETY: by the caller.
    unsafe {
        let call = calling(m);
        #[cfg(feature = "tsan")]
        let fiber = tsan::begin();
        Catch(
            call,
            #[cfg(feature = "tsan")]
            fiber,
        )
    }
}

impl Catch {
    /// As [`Call::returned`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn returned(self) {
        // SAFETY: the fiber that was left is the caller's, the one that the call had is over.
        #[cfg(feature = "tsan")]
        unsafe {
            tsan::__tsan_switch_to_fiber(self.0.0.fiber, 0);
            tsan::__tsan_destroy_fiber(self.1);
        }
        // SAFETY: by the caller.
        unsafe { self.0.returned() }
    }
}

/// Around a callback, from the system stack of an m to its curg.
#[cfg(any(feature = "asan", feature = "tsan"))]
pub(crate) struct Callback(Left, *const M);

/// Nothing where the callback will be refused.
///
/// # Safety
/// The callback comes next.
#[cfg(any(feature = "asan", feature = "tsan"))]
pub(crate) unsafe fn calling_back() -> Option<Callback> {
    order();
    // SAFETY: the current g is valid, and so is the m of a g0 and its curg.
    unsafe {
        let m = (*stackgate_arch::current()).m_in.get();
        let g = m.as_ref()?.curg.get();
        (!g.is_null()).then(|| Callback(leave(g), m))
    }
}

#[cfg(any(feature = "asan", feature = "tsan"))]
impl Callback {
    /// The callback has returned.
    ///
    /// # Safety
    /// SP is on the system stack again.
    #[inline(always)]
    pub(crate) unsafe fn returned(self) {
        // SAFETY: by the caller.
        unsafe { self.0.back(&raw const (*self.1).g0) };
        order();
    }
}

/// Around the run of a task, from the system stack.
pub(crate) struct Run(Left);

/// # Safety
/// `g` is about to be resumed; `begun` says whether it has run before.
#[inline(always)]
pub(crate) unsafe fn resuming(g: *const G, begun: impl FnOnce() -> bool) -> Run {
    // SAFETY: by the caller.
    let left = unsafe { leave(g) };
    begin_unless(begun);
    Run(left)
}

impl Run {
    /// A task has come back.
    ///
    /// # Safety
    /// The current g is `g0`; `finished` says whether the task that came has ended.
    #[inline(always)]
    pub(crate) unsafe fn came_back(self, g0: *const G, finished: bool) {
        let _ = finished;
        // SAFETY: the fiber is that of who resumed.
        #[cfg(feature = "tsan")]
        unsafe {
            let task = tsan::__tsan_get_current_fiber();
            tsan::__tsan_switch_to_fiber(self.0.fiber, 0);
            // One that was run by no `resume` of this crate had none.
            if finished && task != self.0.fiber {
                tsan::__tsan_destroy_fiber(task);
            }
        }
        // SAFETY: by the caller.
        unsafe { self.0.back(g0) };
    }
}

/// While a task is not running.
pub(crate) struct Away(Left);

/// # Safety
/// The current task parks, for its m.
#[inline(always)]
pub(crate) unsafe fn parking(m: *const M) -> Away {
    // SAFETY: by the caller. Who resumed goes on in the fiber that it left.
    Away(unsafe { leave(&raw const (*m).g0) })
}

/// # Safety
/// The current task switches to `g`; `begun` says whether that has run before.
#[inline(always)]
pub(crate) unsafe fn switching(g: *const G, begun: impl FnOnce() -> bool) -> Away {
    // SAFETY: by the caller.
    let left = unsafe { leave(g) };
    begin_unless(begun);
    Away(left)
}

impl Away {
    /// The task goes on, perhaps on another thread.
    ///
    /// # Safety
    /// `g` is the task.
    #[inline(always)]
    pub(crate) unsafe fn goes_on(self, g: *const G) {
        // SAFETY: the fiber is this task's.
        #[cfg(feature = "tsan")]
        unsafe {
            tsan::__tsan_switch_to_fiber(self.0.fiber, 0);
        }
        // SAFETY: by the caller.
        unsafe { self.0.back(g) };
    }
}

/// A throw drops the system stack of `m` from where it is in use up to `g0_sp`, and the task's stack up to `catch`.
///
/// # Safety
/// Nothing there is used any more.
#[inline(always)]
pub(crate) unsafe fn dropping(m: *const M, g0_sp: usize, catch: usize) {
    let _ = (m, g0_sp, catch);
    // SAFETY: by the caller. What lies below SP is nobody's, and what lies above is this function's caller's, which
    // does not return.
    #[cfg(feature = "asan")]
    unsafe {
        let here = 0usize;
        let forget = |from: usize, to: usize| {
            asan::__asan_unpoison_memory_region(
                core::ptr::with_exposed_provenance(from),
                to.saturating_sub(from),
            );
        };
        forget(value((*m).g0.sched.sp), g0_sp);
        forget((&raw const here).addr(), catch);
    }
}

/// A stack is a new task's.
///
/// # Safety
/// Nobody uses what lies between.
#[inline(always)]
pub(crate) unsafe fn reusing(limit: usize, top: usize) {
    let _ = (limit, top);
    // SAFETY: by the caller.
    #[cfg(feature = "asan")]
    unsafe {
        asan::__asan_unpoison_memory_region(core::ptr::with_exposed_provenance(limit), top - limit);
    }
}

/// What came before this, on any thread, happens before what comes after.
#[inline(always)]
pub(crate) fn order() {
    // SAFETY: only the address counts.
    #[cfg(feature = "tsan")]
    unsafe {
        static ORDER: usize = 0;
        tsan::__tsan_release((&raw const ORDER).cast_mut().cast());
        tsan::__tsan_acquire((&raw const ORDER).cast_mut().cast());
    }
}

#[inline(always)]
fn begin_unless(begun: impl FnOnce() -> bool) {
    #[cfg(feature = "tsan")]
    if !begun() {
        // SAFETY: what runs next is a new task.
        let _ = unsafe { tsan::begin() };
    }
    #[cfg(not(feature = "tsan"))]
    let _ = begun;
}

/// `sanitizer/common_interface_defs.h`, `sanitizer/asan_interface.h`.
#[cfg(feature = "asan")]
mod asan {
    use super::value;
    use crate::G;
    use core::ffi::c_void;
    use core::ptr::{null_mut, with_exposed_provenance};

    unsafe extern "C" {
        fn __sanitizer_start_switch_fiber(fake: *mut *mut c_void, bottom: *const c_void, size: usize);
        fn __sanitizer_finish_switch_fiber(fake: *mut c_void, bottom: *mut *const c_void, size: *mut usize);
        pub(super) fn __asan_unpoison_memory_region(from: *const c_void, size: usize);
    }

    /// Where the bounds of the stack of `g` are not known, nobody is told.
    unsafe fn bounds(g: *const G) -> Option<(*const c_void, usize)> {
        // SAFETY: by the callers, or null.
        let stack = unsafe { g.as_ref() }?.stack;
        let (limit, top) = (value(stack.limit), value(stack.top));
        (top != 0).then(|| (with_exposed_provenance(limit), top - limit))
    }

    /// The stack of `to` comes next. Returns what this one keeps its locals in.
    #[inline(always)]
    pub(super) unsafe fn leave_for(to: *const G) -> *mut c_void {
        let mut fake = null_mut();
        // SAFETY: by the callers.
        unsafe {
            if let Some((bottom, size)) = bounds(to) {
                __sanitizer_start_switch_fiber(&raw mut fake, bottom, size);
                __sanitizer_finish_switch_fiber(null_mut(), null_mut(), null_mut());
            }
        }
        fake
    }

    /// The stack of `g` goes on, with what it kept its locals in.
    #[inline(always)]
    pub(super) unsafe fn back_to(g: *const G, fake: *mut c_void) {
        // SAFETY: by the callers.
        unsafe {
            if let Some((bottom, size)) = bounds(g) {
                __sanitizer_start_switch_fiber(null_mut(), bottom, size);
                __sanitizer_finish_switch_fiber(fake, null_mut(), null_mut());
            }
        }
    }
}

/// `sanitizer/tsan_interface.h`.
#[cfg(feature = "tsan")]
mod tsan {
    use core::ffi::{c_uint, c_void};

    unsafe extern "C" {
        pub(super) fn __tsan_get_current_fiber() -> *mut c_void;
        fn __tsan_create_fiber(flags: c_uint) -> *mut c_void;
        pub(super) fn __tsan_switch_to_fiber(fiber: *mut c_void, flags: c_uint);
        pub(super) fn __tsan_destroy_fiber(fiber: *mut c_void);
        pub(super) fn __tsan_acquire(address: *mut c_void);
        pub(super) fn __tsan_release(address: *mut c_void);
    }

    /// What runs from here on is a new fiber.
    #[inline(always)]
    pub(super) unsafe fn begin() -> *mut c_void {
        // SAFETY: a fiber of this thread's.
        unsafe {
            let fiber = __tsan_create_fiber(0);
            __tsan_switch_to_fiber(fiber, 0);
            fiber
        }
    }
}

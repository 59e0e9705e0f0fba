//! What AddressSanitizer, ThreadSanitizer and valgrind are told of stacks: the features `asan` and `tsan`, for programs
//! built with `-Z sanitizer=address` or `-Z sanitizer=thread` and C built with `-fsanitize`, and the feature `valgrind`,
//! for programs that are run under it.
//!
//! All keep books on the stack that a thread stands on, and take a switch that they are not told of for a mistake of
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
//! * **valgrind** sees every change of SP, and guesses what it means: a step within a stack, or another stack. So it is
//!   told where stacks are: a task's from `g_init` until the task has finished, wherever the memory comes from, and
//!   at its new place when it has moved. Those of threads it knows. What a finished task, or one that has moved away,
//!   leaves behind counts as never written. A stack whose task is given up while it is parked is forgotten when another
//!   task's is made of the same memory. It knows 65536 stacks at once; who has more is told of those only. Without
//!   valgrind a program that was built with this feature does the same, a little more slowly.

#[cfg(any(feature = "asan", feature = "valgrind"))]
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
    #[cfg(feature = "valgrind")]
    unsafe {
        valgrind::call_below(value((*m).g0.sched.sp));
    }
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
#[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
pub(crate) struct Callback(Left, *const M);

/// Nothing where the callback will be refused.
///
/// # Safety
/// The callback comes next.
#[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
pub(crate) unsafe fn calling_back() -> Option<Callback> {
    order();
    // SAFETY: the current g is valid, and so is the m of a g0 and its curg.
    unsafe {
        let m = (*stackgate_arch::current()).m_in.get();
        let g = m.as_ref()?.curg.get();
        #[cfg(feature = "valgrind")]
        if !g.is_null() {
            valgrind::callback_below(m);
        }
        (!g.is_null()).then(|| Callback(leave(g), m))
    }
}

#[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
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
    /// The task `g` has come back.
    ///
    /// # Safety
    /// The current g is `g0`; `finished` says whether the task that came has ended.
    #[inline(always)]
    pub(crate) unsafe fn came_back(self, g0: *const G, g: *const G, finished: bool) {
        let _ = (g, finished);
        #[cfg(feature = "valgrind")]
        if finished {
            // SAFETY: by the caller; the stack is the embedder's again.
            unsafe { valgrind::forget(value((*g).stack.limit), value((*g).stack.top)) };
        }
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
    #[cfg(feature = "valgrind")]
    valgrind::know(limit, top);
}

/// A stack has been copied, top to top, from one place to another.
///
/// # Safety
/// Nobody uses the old one.
#[inline(always)]
pub(crate) unsafe fn moved(from: (usize, usize), to: (usize, usize)) {
    let _ = (from, to);
    #[cfg(feature = "valgrind")]
    valgrind::moved(from, to);
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

/// Client requests of valgrind and its memcheck: `valgrind.h`, `memcheck.h`.
#[cfg(feature = "valgrind")]
mod valgrind {
    use crate::M;
    use crate::task::{call_below as frame_below, value};
    use core::sync::atomic::{AtomicUsize, Ordering};
    use stackgate_arch::{AsmcgocallFrame, CallbackEntry, RED_ZONE, client_request, entry_below};

    /// `VG_USERREQ__STACK_REGISTER`: lowest and highest address in, the stack's number out.
    const STACK_REGISTER: usize = 0x1501;
    /// `VG_USERREQ__STACK_DEREGISTER`: the stack's number.
    const STACK_DEREGISTER: usize = 0x1502;
    /// `VG_USERREQ__STACK_CHANGE`: the stack's number, lowest and highest address.
    const STACK_CHANGE: usize = 0x1503;
    /// `VG_USERREQ__MAKE_MEM_UNDEFINED` of memcheck, whose requests begin with its initials: address and size.
    const MAKE_MEM_UNDEFINED: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16 | 1;

    fn request(number: usize, a: usize, b: usize, c: usize) -> usize {
        client_request(0, &[number, a, b, c, 0, 0])
    }

    /// The memory may be used, and holds nothing yet.
    fn make_undefined(from: usize, to: usize) {
        request(MAKE_MEM_UNDEFINED, from, to - from, 0);
    }

    /// A stack that valgrind knows. Only who has the stack changes its row; so nothing is locked.
    struct Row {
        /// One past the highest address; [`FREE`] for a row that is nobody's, [`TAKEN`] while it changes.
        top: AtomicUsize,
        limit: AtomicUsize,
        /// Valgrind's number for it.
        number: AtomicUsize,
    }

    const FREE: usize = 0;
    const TAKEN: usize = 1;

    static ROWS: [Row; 1 << 16] = [const {
        Row { top: AtomicUsize::new(FREE), limit: AtomicUsize::new(0), number: AtomicUsize::new(0) }
    }; 1 << 16];
    /// So many rows have been used at most.
    static USED: AtomicUsize = AtomicUsize::new(0);

    /// The rows of stacks of which a part lies between the two, each of them taken.
    fn take(limit: usize, top: usize) -> impl Iterator<Item = &'static Row> {
        ROWS[..USED.load(Ordering::Acquire)].iter().filter(move |row| {
            let its_top = row.top.load(Ordering::Acquire);
            its_top > TAKEN
                && limit < its_top
                && row.limit.load(Ordering::Relaxed) < top
                && row.top.compare_exchange(its_top, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    fn is(row: &Row, limit: usize, top: usize, number: usize) {
        row.limit.store(limit, Ordering::Relaxed);
        row.number.store(number, Ordering::Relaxed);
        row.top.store(top, Ordering::Release);
    }

    /// A stack begins to be a task's.
    pub(super) fn know(limit: usize, top: usize) {
        forget(limit, top);
        let free = ROWS.iter().enumerate().find(|(_, row)| {
            row.top.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        });
        let Some((at, row)) = free else { return };
        is(row, limit, top, request(STACK_REGISTER, limit, top - 1, 0));
        USED.fetch_max(at + 1, Ordering::AcqRel);
    }

    /// A stack is no task's any more.
    pub(super) fn forget(limit: usize, top: usize) {
        for row in take(limit, top) {
            request(STACK_DEREGISTER, row.number.load(Ordering::Relaxed), 0, 0);
            row.top.store(FREE, Ordering::Release);
        }
        // What lay below SP was out of bounds.
        make_undefined(limit, top);
    }

    /// A stack is elsewhere.
    pub(super) fn moved((from_limit, from_top): (usize, usize), (limit, top): (usize, usize)) {
        for row in take(from_limit, from_top) {
            let number = row.number.load(Ordering::Relaxed);
            request(STACK_CHANGE, number, limit, top - 1);
            is(row, limit, top, number);
        }
        // Where both share memory the copy may lie in what was the old one.
        if top <= from_limit || from_top <= limit {
            make_undefined(from_limit, from_top);
        }
    }

    /// A call is about to change to the system stack: SP may arrive there with its frame below it already, and
    /// valgrind takes a change of stacks for no more than that.
    #[inline(always)]
    pub(super) fn call_below(g0_sp: usize) {
        make_undefined(g0_sp - size_of::<AsmcgocallFrame>() - RED_ZONE, g0_sp);
    }

    /// The same of a callback, to the stack of the task that is in C on `m`.
    ///
    /// # Safety
    /// The current g is the g0 of `m`, which has a curg.
    #[inline(always)]
    pub(super) unsafe fn callback_below(m: *const M) {
        // SAFETY: by the caller: a call lies below, and its callback's entry will lie there.
        unsafe {
            let entry = entry_below(&*frame_below(value((*m).g0.sched.sp))).addr();
            make_undefined(entry - RED_ZONE, entry + size_of::<CallbackEntry>());
        }
    }
}

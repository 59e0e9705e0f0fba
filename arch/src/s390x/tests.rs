//! What the module's documentation says, checked where it runs.

extern crate std;

use super::asm::*;
use super::frame::*;
use super::unwind::start_of_call;
use crate::frame::{Ptr, W64, Word};
use crate::unwind::Start;
use crate::{G, GState, M, Stack};
use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use std::boxed::Box;
use std::vec;

/// ABI 1.2.2, figures "Standard stack frame" and "Register save area usage example".
#[test]
fn the_layout_of_the_abi() {
    assert_eq!(size_of::<AbiFrame>(), 160);
    assert_eq!(offset_of!(AbiFrame, pc), 112, "r14's slot");
    assert_eq!(offset_of!(CallbackFrame, pc), 112, "r14's slot");
}

/// What the callers know of themselves, and what lies in the frames while the callback runs.
#[derive(Default)]
#[repr(C)]
struct Seen {
    /// SP of the managed caller of `asmcgocall`, and where it is returned to.
    managed_sp: usize,
    managed_pc: usize,
    /// The same of C, the caller of `cgocallback`.
    c_sp: usize,
    c_pc: usize,
    callbacks: usize,
}

/// Managed code that calls `c_caller(seen)` by `asmcgocall`, having noted SP and its return address.
#[unsafe(naked)]
unsafe extern "C" fn managed_caller(seen: usize) -> usize {
    naked_asm!(
        "stmg %r14, %r15, {r14}(%r15)",
        "lgr %r1, %r15",
        "aghi %r15, -{size}",
        "stg %r1, 0(%r15)",
        "stg %r15, {sp}(%r2)",
        "larl %r1, 2f",
        "stg %r1, {pc}(%r2)",
        "lgr %r3, %r2",
        "larl %r2, {c}",
        "brasl %r14, {asmcgocall}",
        "2:",
        "lmg %r14, %r15, {size} + {r14}(%r15)",
        "br %r14",
        size = const size_of::<AbiFrame>(),
        r14 = const offset_of!(AbiFrame, pc),
        sp = const offset_of!(Seen, managed_sp),
        pc = const offset_of!(Seen, managed_pc),
        c = sym c_caller,
        asmcgocall = sym asmcgocall,
    )
}

/// C that calls `look(seen, 0, 0)` back, having noted SP and its return address.
#[unsafe(naked)]
unsafe extern "C" fn c_caller(seen: *mut c_void) -> c_int {
    naked_asm!(
        "stmg %r14, %r15, {r14}(%r15)",
        "lgr %r1, %r15",
        "aghi %r15, -{size}",
        "stg %r1, 0(%r15)",
        "stg %r15, {sp}(%r2)",
        "larl %r1, 2f",
        "stg %r1, {pc}(%r2)",
        "lgr %r3, %r2",
        "larl %r2, {look}",
        "lghi %r4, 0",
        "lghi %r5, 0",
        "brasl %r14, {cgocallback}",
        "2:",
        "lghi %r2, 9",
        "lmg %r14, %r15, {size} + {r14}(%r15)",
        "br %r14",
        size = const size_of::<AbiFrame>(),
        r14 = const offset_of!(AbiFrame, pc),
        sp = const offset_of!(Seen, c_sp),
        pc = const offset_of!(Seen, c_pc),
        look = sym look,
        cgocallback = sym cgocallback,
    )
}

/// The callback: finds both callers by the frames alone.
unsafe extern "C" fn look(seen: *mut c_void, _: usize, _: usize) {
    // SAFETY: on curg, called through the two functions above.
    unsafe {
        let seen = &mut *seen.cast::<Seen>();
        seen.callbacks += 1;
        let m = (*getg()).m_out.get();
        let callback: *const CallbackFrame =
            core::ptr::with_exposed_provenance((*m).g0.sched.sp.get() as usize);
        assert_eq!(callback.addr(), seen.c_sp, "the CallbackFrame is the frame that C passes");
        assert_eq!((*callback).pc.get() as usize, seen.c_pc, "C's r14");
        assert_eq!((*callback).g.get(), getg());
        let start = start_of_callback(callback);
        assert_eq!((start.pc, start.sp, start.record), (seen.c_pc, seen.c_sp, seen.c_sp));

        let call: *const AsmcgocallFrame = core::ptr::with_exposed_provenance(
            (*callback).g0_sp.get() as usize - size_of::<AsmcgocallFrame>(),
        );
        assert_eq!((*call).sp.get() as usize, seen.managed_sp);
        assert_eq!((*(*call).caller()).pc.get() as usize, seen.managed_pc, "the managed caller's r14");
        let start = start_of_call(&*call);
        assert_eq!((start.pc, start.sp, start.record), (seen.managed_pc, seen.managed_sp, seen.managed_sp));
        // The managed stack's chain goes on there, and C's own does.
        let entry = super::unwind::entry_below(&*call);
        assert_eq!((*entry).link.get() as usize, seen.managed_sp);
        assert_eq!((*entry).callback.get().cast_const(), callback);
        assert_eq!(
            (*callback).link.get() as usize,
            call.addr(),
            "C's back chain leads to the AsmcgocallFrame"
        );
    }
}

/// Runs `entry` in a task until it is over.
fn in_task(entry: crate::EntryFn, word: usize) -> usize {
    const SIZE: usize = 64 << 10;
    let mut m: Box<M<S390x>> = Box::default();
    m.g0.m_in = Ptr::new(&raw mut *m);
    m.g0.state = W64::of(GState::G0 as u64);
    let mut stack = vec![0u128; SIZE / 16];
    let top = stack.as_mut_ptr().expose_provenance() + SIZE;
    let mut g: Box<G<S390x>> = Box::default();
    g.stack = Stack { limit: W64::of((top - SIZE) as u64), top: W64::of(top as u64) };
    g.state = W64::of(GState::Running as u64);
    let base: *mut BaseFrame = core::ptr::with_exposed_provenance_mut(top - size_of::<BaseFrame>());
    // SAFETY: the stack's upper end; the m and the g outlive the run.
    unsafe {
        base.write(BaseFrame { entry: W64::of(entry as *const () as u64), ..BaseFrame::default() });
        g.sched = begin_below(base, (&raw const g_begin).addr());
        setg((&raw mut *m).cast());
        let (mut out, _) = resume(&raw mut *g, word);
        while out == PARKED {
            let start = start_of_switch(core::ptr::with_exposed_provenance(g.sched.sp.get() as usize));
            assert!(top - SIZE < start.sp && start.sp <= base.addr(), "the parked caller's SP");
            assert_ne!(start.pc, 0, "the parked caller's return address");
            (out, _) = resume(&raw mut *g, 0);
        }
        setg(core::ptr::null_mut());
        out
    }
}

const PARKED: usize = usize::MAX;

#[test]
fn r14_while_a_callback_runs() {
    let mut seen = Seen::default();
    assert_eq!(in_task(managed_caller, (&raw mut seen).expose_provenance()), 9);
    assert_eq!(seen.callbacks, 1);
}

#[test]
fn a_parked_caller_is_found() {
    unsafe extern "C" fn parks(_: usize) -> usize {
        // SAFETY: on a managed stack, below no C.
        unsafe { park(PARKED) }
    }
    assert_eq!(in_task(parks, 0), 0);
}

/// The caller of `park` or `mcall` that left `frame` at the lower end of a parked g's stack, or of the `resume`
/// that left it on a system stack, right after that call.
///
/// # Safety
/// `frame` is the one that `sched.sp` of such a g designates: its address counts.
unsafe fn start_of_switch(frame: *const SwitchFrame) -> Start {
    // SAFETY: by the caller.
    let pc = unsafe { (*frame).pc.get() } as usize;
    Start { pc, sp: frame.addr(), record: frame.addr() }
}

/// C's caller of `cgocallback`, right after its call instruction: what a traceback of C's own frames below a
/// callback goes on with. C keeps a back chain there only if it was compiled to.
///
/// # Safety
/// `frame` is that of a callback which has not returned: its address counts.
unsafe fn start_of_callback(frame: *const CallbackFrame) -> Start {
    // SAFETY: by the caller.
    let pc = unsafe { (*frame).pc.get() } as usize;
    Start { pc, sp: frame.addr(), record: frame.addr() }
}

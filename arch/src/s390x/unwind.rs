//! What unwinders know of s390x: back chains, register numbers, the state at a signal.
//!
//! Every function here only reads and writes the frames that it is given: it runs on any stack, and is safe in a
//! signal handler.

use super::frame::*;
use crate::frame::{Register, W32, W64};
use crate::unwind::{RecordForm, Start, UcontextIn};
use core::mem::offset_of;

/// A frame is its own record: r15 designates it, its first word is the address of the caller's frame, and in
/// that one lies the return address. ABI 1.2.2.1; code keeps it with `-C target-feature=+backchain`,
/// `-mbackchain`.
///
/// A function that has opened no frame runs on its caller's: the chain says nothing of that caller then, and a
/// walker that begins in such a function (a signal interrupted it) takes the first step by tables.
pub const RECORD: RecordForm = RecordForm {
    link: offset_of!(AbiFrame, link),
    pc: offset_of!(AbiFrame, pc),
    pc_is_in_next: true,
    register: R15,
};
/// Where the record lies in a [`CallbackEntry`].
pub const ENTRY_RECORD: usize = offset_of!(CallbackEntry, link);
/// How many DWARF register numbers an unwinder keeps: up to that of the program counter. The floating-point
/// registers are among them, because gcc's leaf functions save general registers there.
pub const REGISTERS_KEPT: usize = 66;
/// The stack pointer's DWARF number.
pub const SP: usize = R15.dwarf as usize;
/// The DWARF number of the register that, beside SP, may define a CFA: of the frame pointer, of which compiled
/// code makes use where a frame has no fixed size.
pub const FP: usize = R11.dwarf as usize;
/// How far above a function's SP at entry its CFA lies: above the register save area. ABI 1.6.1, 1.4.
pub const CFA_ABOVE_SP: usize = 160;
/// How far below SP a function may keep something, also its caller's registers, which nobody overwrites.
/// ABI 1.2.2: none.
pub const RED_ZONE: usize = 0;
/// Whether a frame record is the upper end of its frame: where the call instruction pushes the return address.
pub const RECORD_ENDS_FRAME: bool = false;
/// Whether the CPU's unwind tables are `.ARM.exidx`, and not `.eh_frame`.
pub const EXIDX: bool = false;
/// The DWARF number under which the program counter is kept. It is not the return address column, which is
/// r14's: where a signal interrupted, both have a value, and in a function that has not saved r14 the rules
/// need it.
pub const RA: usize = PSWA.dwarf as usize;
/// Where `park`, `mcall`, `g_start` and `switch_to`, in this order, keep the g that they leave from the moment when it is no
/// longer curg until SP has left its stack.
pub const LEFT_IN: [Register; 4] = [R3, R3, R3, R4];
/// Where `throw_to` keeps its catch from the moment when `g0.sched.sp` is back until SP is there.
pub const CATCH_IN: Register = R2;
/// Where `sigtramp` has the `ucontext_t` that it was called with.
pub const UCONTEXT_IN: UcontextIn = UcontextIn::Registers { argument: R4, kept: R8, back: 0 };

crate::frames! {
    /// The part of Linux's `ucontext_t` that holds the interrupted registers, as a signal handler gets it.
    /// ABI 1.3.1; Linux `arch/s390/include/uapi/asm/{ucontext,sigcontext}.h`.
    Memory frame Ucontext {
        /// `uc_flags`, `uc_link`, `uc_stack`.
        _reserved: [W64; 5], "the kernel" => "nobody";
        /// Mask part of the program status word.
        _psw_mask: W64, "the kernel" => "nobody";
        /// Where the program was interrupted.
        pc: W64, [PSWA] "the kernel" => "unwinders";
        /// General.
        r0: W64, [R0] "the kernel" => "unwinders";
        /// General.
        r1: W64, [R1] "the kernel" => "unwinders";
        /// General.
        r2: W64, [R2] "the kernel" => "unwinders";
        /// General.
        r3: W64, [R3] "the kernel" => "unwinders";
        /// General.
        r4: W64, [R4] "the kernel" => "unwinders";
        /// General.
        r5: W64, [R5] "the kernel" => "unwinders";
        /// General.
        r6: W64, [R6] "the kernel" => "unwinders";
        /// General.
        r7: W64, [R7] "the kernel" => "unwinders";
        /// General.
        r8: W64, [R8] "the kernel" => "unwinders";
        /// General.
        r9: W64, [R9] "the kernel" => "unwinders";
        /// General.
        r10: W64, [R10] "the kernel" => "unwinders";
        /// General.
        r11: W64, [R11] "the kernel" => "unwinders";
        /// General.
        r12: W64, [R12] "the kernel" => "unwinders";
        /// General.
        r13: W64, [R13] "the kernel" => "unwinders";
        /// General.
        r14: W64, [R14] "the kernel" => "unwinders";
        /// Stack pointer.
        r15: W64, [R15] "the kernel" => "unwinders";
        /// Access registers.
        _access: [W32; 16], "the kernel" => "nobody";
        /// Floating-point control.
        _fpc: W32, "the kernel" => "nobody";
        /// Keeps what follows aligned.
        _alignment: W32, "nobody" => "nobody";
        /// Floating point.
        f0: W64, [F0] "the kernel" => "unwinders";
        /// Floating point.
        f1: W64, [F1] "the kernel" => "unwinders";
        /// Floating point.
        f2: W64, [F2] "the kernel" => "unwinders";
        /// Floating point.
        f3: W64, [F3] "the kernel" => "unwinders";
        /// Floating point.
        f4: W64, [F4] "the kernel" => "unwinders";
        /// Floating point.
        f5: W64, [F5] "the kernel" => "unwinders";
        /// Floating point.
        f6: W64, [F6] "the kernel" => "unwinders";
        /// Floating point.
        f7: W64, [F7] "the kernel" => "unwinders";
        /// Floating point.
        f8: W64, [F8] "the kernel" => "unwinders";
        /// Floating point.
        f9: W64, [F9] "the kernel" => "unwinders";
        /// Floating point.
        f10: W64, [F10] "the kernel" => "unwinders";
        /// Floating point.
        f11: W64, [F11] "the kernel" => "unwinders";
        /// Floating point.
        f12: W64, [F12] "the kernel" => "unwinders";
        /// Floating point.
        f13: W64, [F13] "the kernel" => "unwinders";
        /// Floating point.
        f14: W64, [F14] "the kernel" => "unwinders";
        /// Floating point.
        f15: W64, [F15] "the kernel" => "unwinders";
    }
}

/// The managed caller of the call into C that `frame` belongs to, right after its call instruction: what a
/// logical traceback goes on with. Its frame record is its frame, which is where SP is.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Safety
/// `frame` is complete, and the stack that it designates is there.
pub unsafe fn start_of_call(frame: &AsmcgocallFrame) -> Start {
    use crate::frame::Word;
    // SAFETY: the caller's frame lies on that stack, and the crossing has stored the return address in it.
    let pc = unsafe { (*frame.caller()).pc.get() } as usize;
    let sp = frame.sp.get() as usize;
    Start { pc, sp, record: sp }
}

/// Where the [`CallbackEntry`] of a callback lies that came through the call into C that `frame` belongs to.
///
/// Runs on any stack; safe in a signal handler.
pub fn entry_below(frame: &AsmcgocallFrame) -> *mut CallbackEntry {
    use crate::frame::Word;
    let sp = frame.sp.get() as usize;
    core::ptr::with_exposed_provenance_mut(sp - size_of::<CallbackEntry>())
}

/// The return address that a frame holds as `pc`: compiled code of this CPU signs none.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn without_signature(pc: usize) -> usize {
    pc
}

/// Rewrites what `frame` holds of a stack that has moved, and what the crossing keeps in the caller's frame,
/// in the copy: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
///
/// # Safety
/// `frame` is complete and belongs to a g whose stack has been copied.
pub unsafe fn call_moved(frame: &mut AsmcgocallFrame, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    frame.sp = W64::new(moved(frame.sp.get() as usize) as u64);
    let passed: *mut AbiFrame = core::ptr::with_exposed_provenance_mut(frame.sp.get() as usize);
    // SAFETY: `sp` designates the caller's frame in the copy now.
    let passed = unsafe { &mut *passed };
    for word in [&mut passed.r11, &mut passed.sp] {
        *word = W64::new(moved(word.get() as usize) as u64);
    }
}

/// Rewrites what the entry of a callback holds of a stack that has moved: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
///
/// # Safety
/// `entry` lies in the copy of that stack.
pub unsafe fn entry_moved(entry: &mut CallbackEntry, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    entry.link = W64::new(moved(entry.link.get() as usize) as u64);
}

/// Rewrites the back chain, SP and the register that a catch keeps and that can define a CFA, of a stack that has
/// moved: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
pub fn catch_moved(frame: &mut CatchFrame, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    frame.link = W64::new(moved(frame.link.get() as usize) as u64);
    saved_moved(&mut frame.saved, moved);
}

/// The same of what `stackgate_park` or `mcall` keeps for its caller.
///
/// Runs on a system stack; not for signal handlers.
pub fn kept_moved(frame: &mut Crosscall2Frame, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    frame.link = W64::new(moved(frame.link.get() as usize) as u64);
    saved_moved(&mut frame.saved, moved);
}

fn saved_moved(saved: &mut CalleeSaved, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    for word in [&mut saved.r11, &mut saved.sp] {
        *word = W64::new(moved(word.get() as usize) as u64);
    }
}

/// Rewrites what a parked g's `sched` holds of a stack that has moved, and what `park` or `mcall` keeps in the
/// caller's frame, in the copy: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
///
/// # Safety
/// `gobuf` belongs to a parked g whose stack has been copied.
pub unsafe fn gobuf_moved(gobuf: &mut Gobuf, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    gobuf.sp = W64::new(moved(gobuf.sp.get() as usize) as u64);
    let frame: *mut SwitchFrame = core::ptr::with_exposed_provenance_mut(gobuf.sp.get() as usize);
    // SAFETY: `sp` designates the caller's frame in the copy now; of a g that has not run yet, its BaseFrame,
    // where the same word is zero.
    unsafe { (*frame).r11 = W64::new(moved((*frame).r11.get() as usize) as u64) };
}

#[cfg(target_arch = "s390x")]
pub use native::*;

#[cfg(target_arch = "s390x")]
mod native {
    use super::super::frame::*;
    use super::RA;
    use crate::unwind::Registers;
    use core::arch::naked_asm;

    /// Takes the caller's registers as they are after this returns: callee-saved ones, SP, and the return
    /// address as its PC. The others are not written, but for r14, which holds the return address too.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Safety
    /// `to` is valid for writes.
    ///
    /// # Registers
    /// In: `r2` to. Clobbered: none.
    #[unsafe(naked)]
    #[unsafe(export_name = "stackgate_capture")]
    pub unsafe extern "C" fn capture(to: *mut Registers /* r2 */) {
        naked_asm!(
            ".cfi_startproc",
            ".cfi_val_offset %r15, -{abi}",
            // The general registers follow each other in DWARF's numbering as they do here.
            "stmg %r6, %r15, {r6}(%r2)",
            "stg %r14, {pc}(%r2)",
            "std %f8, {f8}(%r2)",
            "std %f9, {f9}(%r2)",
            "std %f10, {f10}(%r2)",
            "std %f11, {f11}(%r2)",
            "std %f12, {f12}(%r2)",
            "std %f13, {f13}(%r2)",
            "std %f14, {f14}(%r2)",
            "std %f15, {f15}(%r2)",
            "br %r14",
            ".cfi_endproc",
            abi = const size_of::<AbiFrame>(),
            r6 = const Registers::offset(R6.dwarf as usize),
            pc = const Registers::offset(RA),
            f8 = const Registers::offset(F8.dwarf as usize),
            f9 = const Registers::offset(F9.dwarf as usize),
            f10 = const Registers::offset(F10.dwarf as usize),
            f11 = const Registers::offset(F11.dwarf as usize),
            f12 = const Registers::offset(F12.dwarf as usize),
            f13 = const Registers::offset(F13.dwarf as usize),
            f14 = const Registers::offset(F14.dwarf as usize),
            f15 = const Registers::offset(F15.dwarf as usize),
        )
    }
}

//! What unwinders know of ppc64le: back chains, register numbers, the state at a signal.
//!
//! Every function here only reads and writes the frames that it is given: it runs on any stack, and is safe in a
//! signal handler.

use super::frame::*;
use crate::frame::{Register, W64};
use crate::unwind::{RecordForm, Start, UcontextIn};

/// A frame record is the frame itself: SP designates the back chain word, which designates the caller's
/// frame, and a function's return address lies in its caller's frame. ABI 2.2.3.1, 2.2.3.2; all code keeps
/// it, and `stdu` keeps it true at every instruction.
pub const RECORD: RecordForm = RecordForm {
    link: core::mem::offset_of!(FrameHeader, link),
    pc: core::mem::offset_of!(FrameHeader, linkage.lr),
    pc_is_in_next: true,
    register: R1,
};
/// Where the record lies in a [`CallbackEntry`].
pub const ENTRY_RECORD: usize = core::mem::offset_of!(CallbackEntry, link);
/// How many DWARF register numbers an unwinder keeps: the general registers, LR and the PC, and what lies
/// between them.
pub const REGISTERS_KEPT: usize = PC.dwarf as usize + 1;
/// The stack pointer's DWARF number.
pub const SP: usize = R1.dwarf as usize;
/// The DWARF number of the register that, beside SP, may define a CFA: of the frame pointer, of which compiled
/// code makes use where a frame has no fixed size.
pub const FP: usize = R31.dwarf as usize;
/// How far above a function's SP at entry its CFA lies: nowhere but there.
pub const CFA_ABOVE_SP: usize = 0;
/// How far below SP a function may keep something, also its caller's registers, which nobody overwrites.
/// ELFv2 ABI 2.2.2.4.
pub const RED_ZONE: usize = 288;
/// Whether a frame record is the upper end of its frame: where the call instruction pushes the return address.
pub const RECORD_ENDS_FRAME: bool = false;
/// Whether the CPU's unwind tables are `.ARM.exidx`, and not `.eh_frame`.
pub const EXIDX: bool = false;
/// The number under which the PC is kept. It is not the return address column, which is LR's: where a signal
/// interrupted, both have a value, and in a function that has not saved LR the rules need it.
pub const RA: usize = PC.dwarf as usize;
/// Where `park`, `mcall`, `g_start` and `switch_to`, in this order, keep the g that they leave from the moment when it is no
/// longer curg until SP has left its stack.
pub const LEFT_IN: [Register; 4] = [R10, R10, R10, R10];
/// Where `throw_to` keeps its catch from the moment when `g0.sched.sp` is back until SP is there.
pub const CATCH_IN: Register = R3;
/// Where `sigtramp` has the `ucontext_t` that it was called with.
/// The TOC is restored first.
pub const UCONTEXT_IN: UcontextIn = UcontextIn::Registers { argument: R5, kept: R14, back: 4 };

crate::frames! {
    /// The part of Linux's `ucontext_t` that holds the interrupted registers, as a signal handler gets it.
    /// Linux `arch/powerpc/include/uapi/asm/{ucontext,sigcontext,ptrace}.h`.
    Memory frame Ucontext {
        /// `uc_flags`, `uc_link`, `uc_stack`.
        _reserved: [W64; 5], "the kernel" => "nobody";
        /// `uc_sigmask`, with room to grow.
        _sigmask: [W64; 16], "the kernel" => "nobody";
        /// Of `uc_mcontext`: what precedes the registers.
        _signal: [W64; 8], "the kernel" => "nobody";
        /// General.
        r0: W64, [R0] "the kernel" => "unwinders";
        /// Stack pointer.
        r1: W64, [R1] "the kernel" => "unwinders";
        /// TOC pointer.
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
        /// Thread pointer.
        r13: W64, [R13] "the kernel" => "unwinders";
        /// General.
        r14: W64, [R14] "the kernel" => "unwinders";
        /// General.
        r15: W64, [R15] "the kernel" => "unwinders";
        /// General.
        r16: W64, [R16] "the kernel" => "unwinders";
        /// General.
        r17: W64, [R17] "the kernel" => "unwinders";
        /// General.
        r18: W64, [R18] "the kernel" => "unwinders";
        /// General.
        r19: W64, [R19] "the kernel" => "unwinders";
        /// General.
        r20: W64, [R20] "the kernel" => "unwinders";
        /// General.
        r21: W64, [R21] "the kernel" => "unwinders";
        /// General.
        r22: W64, [R22] "the kernel" => "unwinders";
        /// General.
        r23: W64, [R23] "the kernel" => "unwinders";
        /// General.
        r24: W64, [R24] "the kernel" => "unwinders";
        /// General.
        r25: W64, [R25] "the kernel" => "unwinders";
        /// General.
        r26: W64, [R26] "the kernel" => "unwinders";
        /// General.
        r27: W64, [R27] "the kernel" => "unwinders";
        /// General.
        r28: W64, [R28] "the kernel" => "unwinders";
        /// General.
        r29: W64, [R29] "the kernel" => "unwinders";
        /// General.
        r30: W64, [R30] "the kernel" => "unwinders";
        /// General.
        r31: W64, [R31] "the kernel" => "unwinders";
        /// Where the program was interrupted.
        nip: W64, [PC] "the kernel" => "unwinders";
        /// Machine state, and `orig_gpr3`.
        _msr: [W64; 2], "the kernel" => "nobody";
        /// Count register.
        ctr: W64, [CTR] "the kernel" => "unwinders";
        /// Link register.
        lr: W64, [LR] "the kernel" => "unwinders";
    }
}

/// The managed caller of the call into C that `frame` belongs to, right after its call instruction: what a
/// logical traceback goes on with.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Safety
/// `frame` is complete, and the stack that it designates is there.
pub unsafe fn start_of_call(frame: &AsmcgocallFrame) -> Start {
    // SAFETY: the managed caller's frame, where asmcgocall stored its return address.
    unsafe { caller(frame.sp) }
}

/// The function whose frame `link` designates, right after its call of the one that stored its return address
/// there.
///
/// # Safety
/// Such a frame lies there.
unsafe fn caller(link: W64) -> Start {
    use crate::frame::Word;
    let frame: *const FrameHeader = core::ptr::with_exposed_provenance(link.get() as usize);
    // SAFETY: by the caller.
    let pc = unsafe { (*frame).linkage.lr };
    Start { pc: pc.get() as usize, sp: frame.addr(), record: frame.addr() }
}

/// Where the [`CallbackEntry`] of a callback lies that came through the call into C that `frame` belongs to.
///
/// Runs on any stack; safe in a signal handler.
pub fn entry_below(frame: &AsmcgocallFrame) -> *mut CallbackEntry {
    use crate::frame::Word;
    core::ptr::with_exposed_provenance_mut(frame.sp.get() as usize - size_of::<CallbackEntry>())
}

/// The return address that a frame holds as `pc`: compiled code of this CPU signs none.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn without_signature(pc: usize) -> usize {
    pc
}

/// Rewrites what `frame` holds of a stack that has moved: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
///
/// # Safety
/// `frame` is complete and belongs to a g whose stack has been copied.
pub unsafe fn call_moved(frame: &mut AsmcgocallFrame, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    frame.sp = W64::new(moved(frame.sp.get() as usize) as u64);
    frame.r31 = W64::new(moved(frame.r31.get() as usize) as u64);
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

/// Rewrites the back chain and the register that a catch keeps and that can define a CFA, of a stack that has
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
    saved.r31 = W64::new(moved(saved.r31.get() as usize) as u64);
}

/// Rewrites what a parked g's `sched` holds of a stack that has moved, and what its `SwitchFrame` holds of the
/// registers that can define a CFA: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
///
/// # Safety
/// `gobuf` belongs to a parked g whose stack has been copied.
pub unsafe fn gobuf_moved(gobuf: &mut Gobuf, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    let at = moved(gobuf.sp.get() as usize);
    gobuf.sp = W64::new(at as u64);
    let frame: *mut SwitchFrame = core::ptr::with_exposed_provenance_mut(at);
    // SAFETY: by the caller.
    let frame = unsafe { &mut *frame };
    for word in [&mut frame.link, &mut frame.r31] {
        *word = W64::new(moved(word.get() as usize) as u64);
    }
}

#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub use native::*;

#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
mod native {
    use super::{RA, SP};
    use crate::unwind::Registers;
    use core::arch::naked_asm;

    /// Takes the caller's registers as they are after this returns: callee-saved ones, SP, and the return
    /// address as its PC. The others are not written.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Safety
    /// `to` is valid for writes.
    ///
    /// # Registers
    /// In: `r3` to. Clobbered: `r0`.
    #[unsafe(naked)]
    #[unsafe(export_name = "stackgate_capture")]
    pub unsafe extern "C" fn capture(to: *mut Registers /* r3 */) {
        naked_asm!(
            ".cfi_startproc",
            "std %r14, {r14}(%r3)",
            "std %r15, {r15}(%r3)",
            "std %r16, {r16}(%r3)",
            "std %r17, {r17}(%r3)",
            "std %r18, {r18}(%r3)",
            "std %r19, {r19}(%r3)",
            "std %r20, {r20}(%r3)",
            "std %r21, {r21}(%r3)",
            "std %r22, {r22}(%r3)",
            "std %r23, {r23}(%r3)",
            "std %r24, {r24}(%r3)",
            "std %r25, {r25}(%r3)",
            "std %r26, {r26}(%r3)",
            "std %r27, {r27}(%r3)",
            "std %r28, {r28}(%r3)",
            "std %r29, {r29}(%r3)",
            "std %r30, {r30}(%r3)",
            "std %r31, {r31}(%r3)",
            "std %r1, {sp}(%r3)",
            // The caller's own return address is not known here; what LR holds is where this returns to.
            "mflr %r0",
            "std %r0, {ra}(%r3)",
            "blr",
            ".cfi_endproc",
            r14 = const Registers::offset(super::R14.dwarf as usize),
            r15 = const Registers::offset(super::R15.dwarf as usize),
            r16 = const Registers::offset(super::R16.dwarf as usize),
            r17 = const Registers::offset(super::R17.dwarf as usize),
            r18 = const Registers::offset(super::R18.dwarf as usize),
            r19 = const Registers::offset(super::R19.dwarf as usize),
            r20 = const Registers::offset(super::R20.dwarf as usize),
            r21 = const Registers::offset(super::R21.dwarf as usize),
            r22 = const Registers::offset(super::R22.dwarf as usize),
            r23 = const Registers::offset(super::R23.dwarf as usize),
            r24 = const Registers::offset(super::R24.dwarf as usize),
            r25 = const Registers::offset(super::R25.dwarf as usize),
            r26 = const Registers::offset(super::R26.dwarf as usize),
            r27 = const Registers::offset(super::R27.dwarf as usize),
            r28 = const Registers::offset(super::R28.dwarf as usize),
            r29 = const Registers::offset(super::R29.dwarf as usize),
            r30 = const Registers::offset(super::R30.dwarf as usize),
            r31 = const Registers::offset(super::R31.dwarf as usize),
            sp = const Registers::offset(SP),
            ra = const Registers::offset(RA),
        )
    }
}

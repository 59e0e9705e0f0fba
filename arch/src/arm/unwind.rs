//! What unwinders know of arm: frame records, register numbers, the state at a signal.
//!
//! Every function here only reads and writes the frames that it is given: it runs on any stack, and is safe in a
//! signal handler.

use super::frame::*;
use crate::frame::{Register, W32};
use crate::unwind::{RecordForm, Start, UcontextIn};

/// A frame record: the frame pointer, r11 in A32 and r7 in Thumb code, designates the caller's, and the
/// return address follows it. LLVM's form, with `-C force-frame-pointers=yes`; AAPCS32 6.2.1.4 has the same
/// with r11 in both states. gcc's differ: see the module above.
pub const RECORD: RecordForm =
    RecordForm { link: 0, pc: 4, pc_is_in_next: false, register: super::frame::FP };
/// Where the record lies in a [`CallbackEntry`].
pub const ENTRY_RECORD: usize = core::mem::offset_of!(CallbackEntry, link);
/// How many DWARF register numbers an unwinder keeps: the general registers.
pub const REGISTERS_KEPT: usize = 16;
/// The stack pointer's DWARF number.
pub const SP: usize = super::frame::SP.dwarf as usize;
/// The DWARF number of the register that, beside SP, may define a CFA: of the frame pointer, of which compiled
/// code makes use where a frame has no fixed size.
pub const FP: usize = super::frame::FP.dwarf as usize;
/// How far above a function's SP at entry its CFA lies: nowhere but there.
pub const CFA_ABOVE_SP: usize = 0;
/// How far below SP a function may keep something, also its caller's registers, which nobody overwrites.
/// AAPCS32 6.2.1: none.
pub const RED_ZONE: usize = 0;
/// Whether a frame record is the upper end of its frame: where the call instruction pushes the return address.
pub const RECORD_ENDS_FRAME: bool = false;
/// Whether the CPU's unwind tables are `.ARM.exidx`, and not `.eh_frame`.
pub const EXIDX: bool = true;
/// The DWARF number under which an unwinder keeps the PC. The return address column of the call frame
/// information is LR's, 14: a program that a signal interrupts has both.
pub const RA: usize = PC.dwarf as usize;
/// Where `park`, `mcall`, `g_start` and `switch_to`, in this order, keep the g that they leave from the moment when it is no
/// longer curg until SP has left its stack.
pub const LEFT_IN: [Register; 4] = [R1, R1, R1, R2];
/// Where `throw_to` keeps its catch from the moment when `g0.sched.sp` is back until SP is there.
pub const CATCH_IN: Register = R0;
/// Where `sigtramp` has the `ucontext_t` that it was called with.
pub const UCONTEXT_IN: UcontextIn = UcontextIn::Registers { argument: R2, kept: R8, back: 0 };

crate::frames! {
    /// The part of Linux's `ucontext_t` that holds the interrupted registers, as a signal handler gets it.
    /// Linux `arch/arm/include/asm/ucontext.h`, `arch/arm/include/uapi/asm/sigcontext.h`.
    Memory frame Ucontext {
        /// `uc_flags`, `uc_link`, `uc_stack`.
        _reserved: [W32; 5], "the kernel" => "nobody";
        /// `trap_no`, `error_code`, `oldmask`.
        _trap: [W32; 3], "the kernel" => "nobody";
        /// General.
        r0: W32, [R0] "the kernel" => "unwinders";
        /// General.
        r1: W32, [R1] "the kernel" => "unwinders";
        /// General.
        r2: W32, [R2] "the kernel" => "unwinders";
        /// General.
        r3: W32, [R3] "the kernel" => "unwinders";
        /// General.
        r4: W32, [R4] "the kernel" => "unwinders";
        /// General.
        r5: W32, [R5] "the kernel" => "unwinders";
        /// General.
        r6: W32, [R6] "the kernel" => "unwinders";
        /// Frame pointer of Thumb code.
        r7: W32, [R7] "the kernel" => "unwinders";
        /// General.
        r8: W32, [R8] "the kernel" => "unwinders";
        /// General.
        r9: W32, [R9] "the kernel" => "unwinders";
        /// General.
        r10: W32, [R10] "the kernel" => "unwinders";
        /// Frame pointer of A32 code.
        r11: W32, [R11] "the kernel" => "unwinders";
        /// Scratch.
        r12: W32, [R12] "the kernel" => "unwinders";
        /// Stack pointer.
        sp: W32, [super::frame::SP] "the kernel" => "unwinders";
        /// Return address of a function that has not stored it.
        lr: W32, [LR] "the kernel" => "unwinders";
        /// Where the program was interrupted. Bit 0 is clear in either state.
        pc: W32, [PC] "the kernel" => "unwinders";
        /// Program status; bit 5 says Thumb.
        cpsr: W32, "the kernel" => "nobody";
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
    use crate::frame::Word;
    let word = |w: W32| w.get() as usize;
    Start { pc: word(frame.pc), sp: word(frame.sp), record: word(frame.link) }
}

/// Where the [`CallbackEntry`] of a callback lies that came through the call into C that `frame` belongs to.
///
/// Runs on any stack; safe in a signal handler.
pub fn entry_below(frame: &AsmcgocallFrame) -> *mut CallbackEntry {
    use crate::frame::Word;
    let sp = frame.sp.get() as usize & !7;
    core::ptr::with_exposed_provenance_mut(sp - size_of::<CallbackEntry>())
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
    frame.sp = W32::new(moved(frame.sp.get() as usize) as u64);
    frame.link = W32::new(moved(frame.link.get() as usize) as u64);
    frame.other = W32::new(moved(frame.other.get() as usize) as u64);
}

/// Rewrites what the entry of a callback holds of a stack that has moved: see `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
///
/// # Safety
/// `entry` lies in the copy of that stack.
pub unsafe fn entry_moved(entry: &mut CallbackEntry, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    entry.link = W32::new(moved(entry.link.get() as usize) as u64);
}

/// Rewrites the registers that a catch keeps and that can define a CFA, of a stack that has moved: see
/// `stack_moved`.
///
/// Runs on a system stack; not for signal handlers.
pub fn catch_moved(frame: &mut CatchFrame, moved: impl Fn(usize) -> usize) {
    saved_moved(&mut frame.saved, moved);
}

/// The same of what `stackgate_park` or `mcall` keeps for its caller.
///
/// Runs on a system stack; not for signal handlers.
pub fn kept_moved(frame: &mut Crosscall2Frame, moved: impl Fn(usize) -> usize) {
    saved_moved(&mut frame.saved, moved);
}

fn saved_moved(saved: &mut CalleeSaved, moved: impl Fn(usize) -> usize) {
    use crate::frame::Word;
    for word in [&mut saved.r7, &mut saved.r11, &mut saved.link] {
        *word = W32::new(moved(word.get() as usize) as u64);
    }
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
    gobuf.sp = W32::new(at as u64);
    let frame: *mut SwitchFrame = core::ptr::with_exposed_provenance_mut(at);
    // SAFETY: by the caller.
    unsafe { (*frame).link = W32::new(moved((*frame).link.get() as usize) as u64) };
}

#[cfg(target_arch = "arm")]
pub use native::*;

#[cfg(target_arch = "arm")]
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
    /// In: `r0` to. Clobbered: `r12`.
    #[unsafe(naked)]
    #[unsafe(export_name = "stackgate_capture")]
    pub unsafe extern "C" fn capture(to: *mut Registers /* r0 */) {
        naked_asm!(
            ".fnstart",
            ".cfi_sections .debug_frame",
            ".cfi_startproc",
            "add r12, r0, #{r4}",
            "stm r12, {{r4-r11}}",
            "str sp, [r0, #{sp}]",
            "str lr, [r0, #{ra}]",
            "bx lr",
            ".cfi_endproc",
            ".fnend",
            // Registers are in the order of their numbers, so that one instruction stores eight of them.
            r4 = const Registers::offset(super::R4.dwarf as usize),
            sp = const Registers::offset(SP),
            ra = const Registers::offset(RA),
        )
    }
}

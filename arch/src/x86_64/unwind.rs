//! What unwinders know of x86_64: frame records, register numbers, the state at a signal.
//!
//! Every function here only reads and writes the frames that it is given: it runs on any stack, and is safe in a
//! signal handler.

use super::frame::*;
use crate::frame::{Register, W64};
use crate::unwind::{RecordForm, Start, UcontextIn};

/// A frame record: rbp designates the caller's rbp, and the return address follows it.
/// psABI 3.2.2, figure 3.3; code keeps it with `-C force-frame-pointers=yes`, `-fno-omit-frame-pointer`.
pub const RECORD: RecordForm = RecordForm { link: 0, pc: 8, pc_is_in_next: false, register: RBP };
/// Where the record lies in a [`CallbackEntry`].
pub const ENTRY_RECORD: usize = core::mem::offset_of!(CallbackEntry, link);
/// How many DWARF register numbers an unwinder keeps: the general registers and the return address.
pub const REGISTERS_KEPT: usize = 17;
/// The stack pointer's DWARF number.
pub const SP: usize = RSP.dwarf as usize;
/// The DWARF number of the register that, beside SP, may define a CFA: of the frame pointer, of which compiled
/// code makes use where a frame has no fixed size.
pub const FP: usize = RBP.dwarf as usize;
/// How far above a function's SP at its call its CFA lies: nowhere but there.
pub const CFA_ABOVE_SP: usize = 0;
/// How far below SP a function may keep something, also its caller's registers, which nobody overwrites.
/// psABI 3.2.2.
pub const RED_ZONE: usize = 128;
/// Whether a frame record is the upper end of its frame: where the call instruction pushes the return address.
pub const RECORD_ENDS_FRAME: bool = true;
/// Whether the CPU's unwind tables are `.ARM.exidx`, and not `.eh_frame`.
pub const EXIDX: bool = false;
/// The DWARF number of the return address column.
pub const RA: usize = RIP.dwarf as usize;
/// Where `park`, `mcall`, `g_start` and `switch_to`, in this order, keep the g that they leave from the moment when it is no
/// longer curg until SP has left its stack.
pub const LEFT_IN: [Register; 4] = [RDX, RDX, RDX, RDX];
/// Where `throw_to` keeps its catch from the moment when `g0.sched.sp` is back until SP is there.
pub const CATCH_IN: Register = RDI;
/// Where `sigtramp` has the `ucontext_t` that it was called with.
pub const UCONTEXT_IN: UcontextIn = UcontextIn::Registers { argument: RDX, kept: RBX, back: 0 };

crate::frames! {
    /// The part of Linux's `ucontext_t` that holds the interrupted registers, as a signal handler gets it.
    /// Linux `arch/x86/include/uapi/asm/{ucontext,sigcontext}.h`.
    Memory frame Ucontext {
        /// `uc_flags`, `uc_link`, `uc_stack`.
        _reserved: [W64; 5], "the kernel" => "nobody";
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
        /// General.
        r15: W64, [R15] "the kernel" => "unwinders";
        /// General.
        rdi: W64, [RDI] "the kernel" => "unwinders";
        /// General.
        rsi: W64, [RSI] "the kernel" => "unwinders";
        /// Frame pointer.
        rbp: W64, [RBP] "the kernel" => "unwinders";
        /// General.
        rbx: W64, [RBX] "the kernel" => "unwinders";
        /// General.
        rdx: W64, [RDX] "the kernel" => "unwinders";
        /// General.
        rax: W64, [RAX] "the kernel" => "unwinders";
        /// General.
        rcx: W64, [RCX] "the kernel" => "unwinders";
        /// Stack pointer.
        rsp: W64, [RSP] "the kernel" => "unwinders";
        /// Where the program was interrupted.
        rip: W64, [RIP] "the kernel" => "unwinders";
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
    let word = |w: W64| w.get() as usize;
    Start { pc: word(frame.pc), sp: word(frame.sp) + size_of::<W64>(), record: word(frame.link) }
}

/// Where the [`CallbackEntry`] of a callback lies that came through the call into C that `frame` belongs to.
///
/// Runs on any stack; safe in a signal handler.
pub fn entry_below(frame: &AsmcgocallFrame) -> *mut CallbackEntry {
    use crate::frame::Word;
    let sp = frame.sp.get() as usize & !15;
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
    frame.sp = W64::new(moved(frame.sp.get() as usize) as u64);
    frame.link = W64::new(moved(frame.link.get() as usize) as u64);
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
    saved.rbp = W64::new(moved(saved.rbp.get() as usize) as u64);
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
    unsafe { (*frame).rbp = W64::new(moved((*frame).rbp.get() as usize) as u64) };
}

#[cfg(target_arch = "x86_64")]
pub use native::*;

#[cfg(target_arch = "x86_64")]
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
    /// In: `rdi` to. Clobbered: `rax`.
    #[unsafe(naked)]
    #[unsafe(export_name = "stackgate_capture")]
    pub unsafe extern "C" fn capture(to: *mut Registers /* rdi */) {
        naked_asm!(
            ".cfi_startproc",
            "mov [rdi + {rbx}], rbx",
            "mov [rdi + {rbp}], rbp",
            "mov [rdi + {r12}], r12",
            "mov [rdi + {r13}], r13",
            "mov [rdi + {r14}], r14",
            "mov [rdi + {r15}], r15",
            "lea rax, [rsp + 8]",
            "mov [rdi + {sp}], rax",
            "mov rax, [rsp]",
            "mov [rdi + {ra}], rax",
            "ret",
            ".cfi_endproc",
            rbx = const Registers::offset(super::RBX.dwarf as usize),
            rbp = const Registers::offset(super::RBP.dwarf as usize),
            r12 = const Registers::offset(super::R12.dwarf as usize),
            r13 = const Registers::offset(super::R13.dwarf as usize),
            r14 = const Registers::offset(super::R14.dwarf as usize),
            r15 = const Registers::offset(super::R15.dwarf as usize),
            sp = const Registers::offset(SP),
            ra = const Registers::offset(RA),
        )
    }
}

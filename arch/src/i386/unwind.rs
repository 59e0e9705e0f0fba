//! What unwinders know of i386: frame records, register numbers, the state at a signal.
//!
//! Every function here only reads and writes the frames that it is given: it runs on any stack, and is safe in a
//! signal handler.

use super::frame::*;
use crate::frame::{Register, W32};
use crate::unwind::{RecordForm, Start, UcontextIn};

/// A frame record: ebp designates the caller's ebp, and the return address follows it.
/// psABI 2.2.2; code keeps it with `-C force-frame-pointers=yes`, `-fno-omit-frame-pointer`.
pub const RECORD: RecordForm = RecordForm { link: 0, pc: 4, pc_is_in_next: false, register: EBP };
/// Where the record lies in a [`CallbackEntry`].
pub const ENTRY_RECORD: usize = core::mem::offset_of!(CallbackEntry, link);
/// How many DWARF register numbers an unwinder keeps: the general registers and the return address.
pub const REGISTERS_KEPT: usize = 9;
/// The stack pointer's DWARF number.
pub const SP: usize = ESP.dwarf as usize;
/// The DWARF number of the register that, beside SP, may define a CFA: of the frame pointer, of which compiled
/// code makes use where a frame has no fixed size.
pub const FP: usize = EBP.dwarf as usize;
/// How far above a function's SP at its call its CFA lies: nowhere but there.
pub const CFA_ABOVE_SP: usize = 0;
/// How far below SP a function may keep something, also its caller's registers, which nobody overwrites.
/// psABI 2.2.2: none.
pub const RED_ZONE: usize = 0;
/// Whether a frame record is the upper end of its frame: where the call instruction pushes the return address.
pub const RECORD_ENDS_FRAME: bool = true;
/// Whether the CPU's unwind tables are `.ARM.exidx`, and not `.eh_frame`.
pub const EXIDX: bool = false;
/// The DWARF number of the return address column.
pub const RA: usize = EIP.dwarf as usize;
/// Where `park`, `mcall`, `g_start` and `switch_to`, in this order, keep the g that they leave from the moment when it is no
/// longer curg until SP has left its stack.
pub const LEFT_IN: [Register; 4] = [EDX, EDX, EDX, ECX];
/// Where `throw_to` keeps its catch from the moment when `g0.sched.sp` is back until SP is there.
pub const CATCH_IN: Register = ECX;
/// Where `sigtramp` has the `ucontext_t` that it was called with.
pub const UCONTEXT_IN: UcontextIn =
    UcontextIn::Stack { above_cfa: core::mem::offset_of!(Arguments, third) - size_of::<W32>() };

crate::frames! {
    /// The part of Linux's `ucontext_t` that holds the interrupted registers, as a signal handler gets it.
    /// Linux `arch/x86/include/uapi/asm/{ucontext,sigcontext}.h`.
    Memory frame Ucontext {
        /// `uc_flags`, `uc_link`, `uc_stack`.
        _reserved: [W32; 5], "the kernel" => "nobody";
        /// Segment registers: gs, fs, es, ds.
        _segments: [W32; 4], "the kernel" => "nobody";
        /// General.
        edi: W32, [EDI] "the kernel" => "unwinders";
        /// General.
        esi: W32, [ESI] "the kernel" => "unwinders";
        /// Frame pointer.
        ebp: W32, [EBP] "the kernel" => "unwinders";
        /// Stack pointer.
        esp: W32, [ESP] "the kernel" => "unwinders";
        /// General.
        ebx: W32, [EBX] "the kernel" => "unwinders";
        /// General.
        edx: W32, [EDX] "the kernel" => "unwinders";
        /// General.
        ecx: W32, [ECX] "the kernel" => "unwinders";
        /// General.
        eax: W32, [EAX] "the kernel" => "unwinders";
        /// Number and error code of the exception.
        _exception: [W32; 2], "the kernel" => "nobody";
        /// Where the program was interrupted.
        eip: W32, [EIP] "the kernel" => "unwinders";
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
    Start { pc: word(frame.pc), sp: word(frame.sp) + size_of::<W32>(), record: word(frame.link) }
}

/// Where the [`CallbackEntry`] of a callback lies that came through the call into C that `frame` belongs to.
///
/// Runs on any stack; safe in a signal handler.
pub fn entry_below(frame: &AsmcgocallFrame) -> *mut CallbackEntry {
    use crate::frame::Word;
    let sp = frame.sp.get() as usize & !(ALIGN - 1);
    core::ptr::with_exposed_provenance_mut(sp - ABOVE_ENTRY - size_of::<CallbackEntry>())
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
    saved.ebp = W32::new(moved(saved.ebp.get() as usize) as u64);
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
    unsafe { (*frame).ebp = W32::new(moved((*frame).ebp.get() as usize) as u64) };
}

#[cfg(target_arch = "x86")]
pub use native::*;

#[cfg(target_arch = "x86")]
mod native {
    use super::{Arguments, RA, SP};
    use crate::unwind::Registers;
    use core::arch::naked_asm;
    use core::mem::offset_of;

    /// Takes the caller's registers as they are after this returns: callee-saved ones, SP, and the return
    /// address as its PC. The others are not written.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Safety
    /// `to` is valid for writes.
    ///
    /// # Registers
    /// In: on the stack, to. Clobbered: `eax`, `ecx`.
    #[unsafe(naked)]
    #[unsafe(export_name = "stackgate_capture")]
    pub unsafe extern "C" fn capture(to: *mut Registers /* first */) {
        naked_asm!(
            ".cfi_startproc",
            "mov eax, [esp + {to}]",
            "mov [eax + {ebx}], ebx",
            "mov [eax + {ebp}], ebp",
            "mov [eax + {esi}], esi",
            "mov [eax + {edi}], edi",
            "lea ecx, [esp + {first}]",
            "mov [eax + {sp}], ecx",
            "mov ecx, [esp + {pc}]",
            "mov [eax + {ra}], ecx",
            "ret",
            ".cfi_endproc",
            to = const offset_of!(Arguments, first),
            first = const offset_of!(Arguments, first),
            pc = const offset_of!(Arguments, pc),
            ebx = const Registers::offset(super::EBX.dwarf as usize),
            ebp = const Registers::offset(super::EBP.dwarf as usize),
            esi = const Registers::offset(super::ESI.dwarf as usize),
            edi = const Registers::offset(super::EDI.dwarf as usize),
            sp = const Registers::offset(SP),
            ra = const Registers::offset(RA),
        )
    }
}

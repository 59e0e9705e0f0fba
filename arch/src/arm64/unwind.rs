//! What unwinders know of arm64: frame records, register numbers, the state at a signal.
//!
//! Every function here only reads and writes the frames that it is given: it runs on any stack, and is safe in a
//! signal handler.

use super::frame::*;
use crate::frame::{Register, W64};
use crate::unwind::{RecordForm, Start, UcontextIn};

/// A frame record: x29 designates the caller's x29, and the return address follows it.
/// AAPCS64 6.4.6; code keeps it with `-C force-frame-pointers=yes`, `-fno-omit-frame-pointer`.
pub const RECORD: RecordForm = RecordForm { link: 0, pc: 8, pc_is_in_next: false, register: X29 };
/// Where the record lies in a [`CallbackEntry`].
pub const ENTRY_RECORD: usize = core::mem::offset_of!(CallbackEntry, link);
/// How many DWARF register numbers an unwinder keeps: x0 to x30, SP and the PC.
pub const REGISTERS_KEPT: usize = 33;
/// The stack pointer's DWARF number.
pub const SP: usize = super::frame::SP.dwarf as usize;
/// The DWARF number of the register that, beside SP, may define a CFA: of the frame pointer, of which compiled
/// code makes use where a frame has no fixed size.
pub const FP: usize = X29.dwarf as usize;
/// How far above a function's SP at entry its CFA lies: nowhere but there.
pub const CFA_ABOVE_SP: usize = 0;
/// How far below SP a function may keep something, also its caller's registers, which nobody overwrites.
/// AAPCS64 6.4.5: none.
pub const RED_ZONE: usize = 0;
/// Whether a frame record is the upper end of its frame: where the call instruction pushes the return address.
pub const RECORD_ENDS_FRAME: bool = false;
/// Whether the CPU's unwind tables are `.ARM.exidx`, and not `.eh_frame`.
pub const EXIDX: bool = false;
/// The DWARF number under which the PC is kept. It is not the return address column, which is x30's: where a
/// signal interrupted, both have a value, and in a function that has not saved x30 the rules need it.
pub const RA: usize = PC.dwarf as usize;
/// Where `park`, `mcall`, `g_start` and `switch_to`, in this order, keep the g that they leave from the moment when it is no
/// longer curg until SP has left its stack.
pub const LEFT_IN: [Register; 4] = [X12, X12, X12, X12];
/// Where `throw_to` keeps its catch from the moment when `g0.sched.sp` is back until SP is there.
pub const CATCH_IN: Register = X0;
/// Where `sigtramp` has the `ucontext_t` that it was called with.
pub const UCONTEXT_IN: UcontextIn = UcontextIn::Registers { argument: X2, kept: X19, back: 0 };

crate::frames! {
    /// The part of Linux's `ucontext_t` that holds the interrupted registers, as a signal handler gets it.
    /// Linux `arch/arm64/include/uapi/asm/{ucontext,sigcontext}.h`.
    Memory frame Ucontext {
        /// `uc_flags`, `uc_link`, `uc_stack`.
        _reserved: [W64; 5], "the kernel" => "nobody";
        /// `uc_sigmask` and room for 1024 signals.
        _sigmask: [W64; 16], "the kernel" => "nobody";
        /// `uc_mcontext` is aligned to 16.
        _alignment: W64, "nobody" => "nobody";
        /// The address of a fault.
        _fault_address: W64, "the kernel" => "nobody";
        /// General.
        x0: W64, [X0] "the kernel" => "unwinders";
        /// General.
        x1: W64, [X1] "the kernel" => "unwinders";
        /// General.
        x2: W64, [X2] "the kernel" => "unwinders";
        /// General.
        x3: W64, [X3] "the kernel" => "unwinders";
        /// General.
        x4: W64, [X4] "the kernel" => "unwinders";
        /// General.
        x5: W64, [X5] "the kernel" => "unwinders";
        /// General.
        x6: W64, [X6] "the kernel" => "unwinders";
        /// General.
        x7: W64, [X7] "the kernel" => "unwinders";
        /// General.
        x8: W64, [X8] "the kernel" => "unwinders";
        /// General.
        x9: W64, [X9] "the kernel" => "unwinders";
        /// General.
        x10: W64, [X10] "the kernel" => "unwinders";
        /// General.
        x11: W64, [X11] "the kernel" => "unwinders";
        /// General.
        x12: W64, [X12] "the kernel" => "unwinders";
        /// General.
        x13: W64, [X13] "the kernel" => "unwinders";
        /// General.
        x14: W64, [X14] "the kernel" => "unwinders";
        /// General.
        x15: W64, [X15] "the kernel" => "unwinders";
        /// General.
        x16: W64, [X16] "the kernel" => "unwinders";
        /// General.
        x17: W64, [X17] "the kernel" => "unwinders";
        /// The platform's.
        x18: W64, [X18] "the kernel" => "unwinders";
        /// General.
        x19: W64, [X19] "the kernel" => "unwinders";
        /// General.
        x20: W64, [X20] "the kernel" => "unwinders";
        /// General.
        x21: W64, [X21] "the kernel" => "unwinders";
        /// General.
        x22: W64, [X22] "the kernel" => "unwinders";
        /// General.
        x23: W64, [X23] "the kernel" => "unwinders";
        /// General.
        x24: W64, [X24] "the kernel" => "unwinders";
        /// General.
        x25: W64, [X25] "the kernel" => "unwinders";
        /// General.
        x26: W64, [X26] "the kernel" => "unwinders";
        /// General.
        x27: W64, [X27] "the kernel" => "unwinders";
        /// General.
        x28: W64, [X28] "the kernel" => "unwinders";
        /// Frame pointer.
        x29: W64, [X29] "the kernel" => "unwinders";
        /// Link register.
        x30: W64, [X30] "the kernel" => "unwinders";
        /// Stack pointer.
        sp: W64, [super::frame::SP] "the kernel" => "unwinders";
        /// Where the program was interrupted.
        pc: W64, [PC] "the kernel" => "unwinders";
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
    Start { pc: word(frame.pc), sp: word(frame.sp), record: word(frame.link) }
}

/// Where the [`CallbackEntry`] of a callback lies that came through the call into C that `frame` belongs to.
///
/// Runs on any stack; safe in a signal handler.
pub fn entry_below(frame: &AsmcgocallFrame) -> *mut CallbackEntry {
    use crate::frame::Word;
    let sp = frame.sp.get() as usize;
    core::ptr::with_exposed_provenance_mut(sp - size_of::<CallbackEntry>())
}

/// The return address that a frame holds as `pc`, without the signature that compiled code may have put into the
/// bits above it (`-mbranch-protection=pac-ret`). Armv8.3 `XPACLRI`, which older CPUs take for a `nop`.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn without_signature(pc: usize) -> usize {
    #[cfg(target_arch = "aarch64")]
    {
        let address;
        // SAFETY: changes x30, and nothing else.
        unsafe {
            core::arch::asm!("hint 7", inout("x30") pc => address, options(nomem, nostack, preserves_flags, pure));
        }
        address
    }
    // Layouts are read on other CPUs too, frames are not.
    #[cfg(not(target_arch = "aarch64"))]
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
    saved.x29 = W64::new(moved(saved.x29.get() as usize) as u64);
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
    unsafe { (*frame).x29 = W64::new(moved((*frame).x29.get() as usize) as u64) };
}

#[cfg(target_arch = "aarch64")]
pub use native::*;

#[cfg(target_arch = "aarch64")]
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
    /// In: `x0` to. Clobbered: `x9`.
    #[unsafe(naked)]
    #[unsafe(export_name = "stackgate_capture")]
    pub unsafe extern "C" fn capture(to: *mut Registers /* x0 */) {
        naked_asm!(
            ".cfi_startproc",
            landing_pad!(),
            "stp x19, x20, [x0, {x19}]",
            "stp x21, x22, [x0, {x21}]",
            "stp x23, x24, [x0, {x23}]",
            "stp x25, x26, [x0, {x25}]",
            "stp x27, x28, [x0, {x27}]",
            "str x29, [x0, {x29}]",
            "mov x9, sp",
            // The PC follows SP.
            "stp x9, x30, [x0, {sp}]",
            "ret",
            ".cfi_endproc",
            x19 = const Registers::offset(super::X19.dwarf as usize),
            x21 = const Registers::offset(super::X21.dwarf as usize),
            x23 = const Registers::offset(super::X23.dwarf as usize),
            x25 = const Registers::offset(super::X25.dwarf as usize),
            x27 = const Registers::offset(super::X27.dwarf as usize),
            x29 = const Registers::offset(super::X29.dwarf as usize),
            sp = const Registers::offset(SP),
        )
    }
    static_assertions::const_assert_eq!(RA, SP + 1);
}

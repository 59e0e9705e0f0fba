//! The frames of ppc64le. See the module above for who builds which, and when.

use crate::frame::{Layout, Ptr, Register, W32, W64};
use crate::{Cpu, G, Interrupted, M, Stack};
use core::mem::offset_of;
use static_assertions::const_assert_eq;

/// ppc64le, also called powerpc64le.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ppc64le;
/// The CPU that this module describes.
pub type ThisCpu = Ppc64le;

impl Cpu for Ppc64le {
    const NAME: &'static str = "ppc64le";
    const REGISTERS: &'static [Register] = REGISTERS;
    const LAYOUTS: &'static [Layout] = LAYOUTS;
    // Nothing is stored; a handler finds its stack by a register of its own.
    const INTERRUPT_RESERVE: usize = 0;
    type Word = W64;
    type Gobuf = Gobuf;
    type AsmcgocallFrame = AsmcgocallFrame;
    type CatchFrame = CatchFrame;
}

// Numbers: 64-Bit ELF V2 ABI Specification 1.5, section 2.4 (DWARF register mapping).
// Who saves: the same, section 2.2.2 (register roles).
crate::registers! {
    R0 = 0 "r0" Caller "scratch; no base of an address";
    R1 = 1 "r1" Callee "stack pointer, and the innermost back chain";
    R2 = 2 "r2" Neither "TOC pointer";
    R3 = 3 "r3" Caller "first argument; first result";
    R4 = 4 "r4" Caller "second argument; second result";
    R5 = 5 "r5" Caller "third argument";
    R6 = 6 "r6" Caller "fourth argument";
    R7 = 7 "r7" Caller "fifth argument";
    R8 = 8 "r8" Caller "sixth argument";
    R9 = 9 "r9" Caller "seventh argument";
    R10 = 10 "r10" Caller "eighth argument";
    R11 = 11 "r11" Caller "environment pointer; scratch";
    R12 = 12 "r12" Caller "address of the function at its global entry; scratch";
    R13 = 13 "r13" Neither "thread pointer";
    R14 = 14 "r14" Callee "general";
    R15 = 15 "r15" Callee "general";
    R16 = 16 "r16" Callee "general";
    R17 = 17 "r17" Callee "general";
    R18 = 18 "r18" Callee "general";
    R19 = 19 "r19" Callee "general";
    R20 = 20 "r20" Callee "general";
    R21 = 21 "r21" Callee "general";
    R22 = 22 "r22" Callee "general";
    R23 = 23 "r23" Callee "general";
    R24 = 24 "r24" Callee "general";
    R25 = 25 "r25" Callee "general";
    R26 = 26 "r26" Callee "general";
    R27 = 27 "r27" Callee "general";
    R28 = 28 "r28" Callee "general";
    R29 = 29 "r29" Callee "general";
    R30 = 30 "r30" Callee "general";
    R31 = 31 "r31" Callee "general; frame pointer of code whose frames have no fixed size";
    F14 = 46 "f14" Callee "floating point; upper half of vs14, whose lower half is the caller's to save";
    F15 = 47 "f15" Callee "floating point; upper half of vs15, whose lower half is the caller's to save";
    F16 = 48 "f16" Callee "floating point; upper half of vs16, whose lower half is the caller's to save";
    F17 = 49 "f17" Callee "floating point; upper half of vs17, whose lower half is the caller's to save";
    F18 = 50 "f18" Callee "floating point; upper half of vs18, whose lower half is the caller's to save";
    F19 = 51 "f19" Callee "floating point; upper half of vs19, whose lower half is the caller's to save";
    F20 = 52 "f20" Callee "floating point; upper half of vs20, whose lower half is the caller's to save";
    F21 = 53 "f21" Callee "floating point; upper half of vs21, whose lower half is the caller's to save";
    F22 = 54 "f22" Callee "floating point; upper half of vs22, whose lower half is the caller's to save";
    F23 = 55 "f23" Callee "floating point; upper half of vs23, whose lower half is the caller's to save";
    F24 = 56 "f24" Callee "floating point; upper half of vs24, whose lower half is the caller's to save";
    F25 = 57 "f25" Callee "floating point; upper half of vs25, whose lower half is the caller's to save";
    F26 = 58 "f26" Callee "floating point; upper half of vs26, whose lower half is the caller's to save";
    F27 = 59 "f27" Callee "floating point; upper half of vs27, whose lower half is the caller's to save";
    F28 = 60 "f28" Callee "floating point; upper half of vs28, whose lower half is the caller's to save";
    F29 = 61 "f29" Callee "floating point; upper half of vs29, whose lower half is the caller's to save";
    F30 = 62 "f30" Callee "floating point; upper half of vs30, whose lower half is the caller's to save";
    F31 = 63 "f31" Callee "floating point; upper half of vs31, whose lower half is the caller's to save";
    LR = 65 "lr" Caller "link register: the return address";
    CTR = 66 "ctr" Caller "count register: target of a call through a pointer";
    CR2 = 70 "cr2" Callee "condition register field 2; stands for the word that holds fields 2 to 4";
    CR3 = 71 "cr3" Callee "condition register field 3";
    CR4 = 72 "cr4" Callee "condition register field 4";
    V20 = 97 "v20" Callee "vector; vs52";
    V21 = 98 "v21" Callee "vector; vs53";
    V22 = 99 "v22" Callee "vector; vs54";
    V23 = 100 "v23" Callee "vector; vs55";
    V24 = 101 "v24" Callee "vector; vs56";
    V25 = 102 "v25" Callee "vector; vs57";
    V26 = 103 "v26" Callee "vector; vs58";
    V27 = 104 "v27" Callee "vector; vs59";
    V28 = 105 "v28" Callee "vector; vs60";
    V29 = 106 "v29" Callee "vector; vs61";
    V30 = 107 "v30" Callee "vector; vs62";
    V31 = 108 "v31" Callee "vector; vs63";
}

/// Where unwinders keep the program counter, which has no DWARF number. 67 is one that the ABI leaves free.
/// It cannot be LR's: at a signal the two are different, and in a leaf function both count.
pub const PC: Register =
    Register { name: "pc", dwarf: 67, role: "program counter", saved_by: crate::frame::SavedBy::Neither };

crate::frames! {
    /// Where a g that is not running resumes.
    Memory frame Gobuf {
        /// Stack pointer: the address of a `SwitchFrame`; of a g0 in a callback, of a `CallbackFrame`; of a g0
        /// of a thread that C made, while no callback runs, the end of `M.root`. It is the innermost back chain
        /// as well.
        sp: W64, [R1] "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, crossings, tracebacks";
    }

    /// The part of a frame in which the functions that its owner calls save, and the owner its TOC pointer:
    /// ABI 2.2.3.2. It follows the back chain.
    Either frame Linkage {
        /// The condition register. A function saves it in its caller's frame.
        cr: W32, [CR2] "a function that this frame's owner calls" => "the same, at its end";
        /// Keeps the next word aligned.
        _reserved: W32, "nobody" => "nobody";
        /// The return address of a function. It saves it in its caller's frame.
        lr: W64, [LR] "a function that this frame's owner calls" => "the same, at its end; of a g that was left, who runs it; tracebacks";
        /// The owner's TOC pointer over a call that may change it. It is here and nowhere else that libgcc's
        /// unwinder looks for it, when `ld r2, 24(r1)` stands where the call returns to.
        toc: W64, [R2] "the frame's owner, or linker stubs for it" => "the frame's owner, after the call";
    }

    /// What every frame begins with, and the smallest frame: that of compiled code's frames which crossings
    /// rely on, and the one they open themselves where there is nothing to keep.
    Either frame FrameHeader {
        /// Back chain: the caller's frame, which is the caller's SP.
        link: W64, [R1] "the frame's owner, as it moves SP" => "tracebacks";
        /// What belongs to the functions that the owner calls, and its TOC pointer.
        linkage: Linkage, "functions that the owner calls, and the owner" => "the same; tracebacks";
    }

    /// Two words of a vector register, as `stvx` stores it.
    Either frame Vector {
        /// Lower half.
        low: W64, "the frame that holds this" => "the same, at its end";
        /// Upper half.
        high: W64, "the frame that holds this" => "the same, at its end";
    }

    /// The registers that a C function gives back as it found them, but for those that have their place in the
    /// caller's frame: condition register fields 2 to 4 and the return address, in [`Linkage`].
    Either frame CalleeSaved {
        /// General.
        r14: W64, [R14] "the frame that holds this" => "the same, at its end";
        /// General.
        r15: W64, [R15] "the frame that holds this" => "the same, at its end";
        /// General.
        r16: W64, [R16] "the frame that holds this" => "the same, at its end";
        /// General.
        r17: W64, [R17] "the frame that holds this" => "the same, at its end";
        /// General.
        r18: W64, [R18] "the frame that holds this" => "the same, at its end";
        /// General.
        r19: W64, [R19] "the frame that holds this" => "the same, at its end";
        /// General.
        r20: W64, [R20] "the frame that holds this" => "the same, at its end";
        /// General.
        r21: W64, [R21] "the frame that holds this" => "the same, at its end";
        /// General.
        r22: W64, [R22] "the frame that holds this" => "the same, at its end";
        /// General.
        r23: W64, [R23] "the frame that holds this" => "the same, at its end";
        /// General.
        r24: W64, [R24] "the frame that holds this" => "the same, at its end";
        /// General.
        r25: W64, [R25] "the frame that holds this" => "the same, at its end";
        /// General.
        r26: W64, [R26] "the frame that holds this" => "the same, at its end";
        /// General.
        r27: W64, [R27] "the frame that holds this" => "the same, at its end";
        /// General.
        r28: W64, [R28] "the frame that holds this" => "the same, at its end";
        /// General.
        r29: W64, [R29] "the frame that holds this" => "the same, at its end";
        /// General.
        r30: W64, [R30] "the frame that holds this" => "the same, at its end";
        /// General; the frame pointer of code that has one.
        r31: W64, [R31] "the frame that holds this, `stack_moved`" => "the same, at its end; tracebacks";
        /// Floating point.
        f14: W64, [F14] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f15: W64, [F15] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f16: W64, [F16] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f17: W64, [F17] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f18: W64, [F18] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f19: W64, [F19] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f20: W64, [F20] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f21: W64, [F21] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f22: W64, [F22] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f23: W64, [F23] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f24: W64, [F24] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f25: W64, [F25] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f26: W64, [F26] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f27: W64, [F27] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f28: W64, [F28] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f29: W64, [F29] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f30: W64, [F30] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        f31: W64, [F31] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v20: Vector, [V20] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v21: Vector, [V21] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v22: Vector, [V22] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v23: Vector, [V23] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v24: Vector, [V24] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v25: Vector, [V25] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v26: Vector, [V26] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v27: Vector, [V27] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v28: Vector, [V28] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v29: Vector, [V29] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v30: Vector, [V30] "the frame that holds this" => "the same, at its end";
        /// Vector.
        v31: Vector, [V31] "the frame that holds this" => "the same, at its end";
    }

    /// What a stack that is left holds at its lower end: of a parked g, and of the m whose `resume` runs a g. It
    /// has what the compiler cannot be told to keep by itself; where the g goes on lies in the frame that `link`
    /// designates. `stackgate_resume`, `stackgate_park` and `mcall` have put a `Crosscall2Frame` above it.
    Either frame SwitchFrame {
        /// Back chain: the caller of `resume`, `park`, `switch_to` or `mcall`; of a g that has not run yet, its
        /// `BaseFrame`.
        link: W64, [R1] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "tracebacks";
        /// What belongs to `mcall`'s function, which is called from here on the system stack.
        linkage: Linkage, "`mcall`, and what it calls" => "tracebacks";
        /// Base pointer of a frame of variable size.
        r30: W64, [R30] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back";
        /// Frame pointer.
        r31: W64, [R31] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "the switch back; tracebacks";
    }

    /// The upper end of a managed stack.
    Managed frame BaseFrame {
        /// Zero: the back chain of a managed stack ends here.
        link: W64, [R1] "`g_init`" => "tracebacks";
        /// What belongs to the task's first function; at first, where the g begins.
        linkage: Linkage, "`g_init`, the entry trampoline, and the task's first function" => "the first `resume`, the same; tracebacks";
        /// The task's first function.
        entry: W64, "`g_init`" => "the entry trampoline";
        /// The `SwitchFrame` of the `resume` that runs this g; on a thread that C made, the end of `M.root`.
        parent: Ptr<SwitchFrame, W64>, "`resume`, `gogo`, `switch_to`, attaching a foreign thread" => "`g_start`, call frame information, `park`, `switch_to` and `finish` in core, throws, `stack_moved`, tracebacks, debuggers";
    }

    /// What `asmcgocall`, `ccall` and `systemstack` leave on the system stack, directly below `g0.sched.sp`.
    /// On the managed stack they leave their return address, in the caller's frame, where the ABI has it.
    System frame AsmcgocallFrame {
        /// The managed stack's SP, and the back chain in which C's chain goes on: the caller's frame.
        sp: W64, [R1] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// What belongs to C.
        linkage: Linkage, "`asmcgocall`, and C" => "the same, tracebacks";
        /// The g that called.
        g: Ptr<G<Ppc64le>, W64>, "`asmcgocall`" => "the way back, `cgocallback`, tracebacks";
        /// The caller's r31, with which code whose frames have no fixed size finds its frame. Kept here,
        /// because C would save it at a place that nobody can find again when the managed stack moves.
        r31: W64, [R31] "`asmcgocall`, `stack_moved`" => "the way back, call frame information, tracebacks";
    }

    /// Where a throw lands. The return address and the condition register of `asmcgocall_catch` lie in the
    /// frame that `link` designates.
    Managed frame CatchFrame {
        /// Back chain: the caller of `asmcgocall_catch`.
        link: W64, [R1] "`asmcgocall_catch`, `stack_moved`" => "tracebacks";
        /// What belongs to `asmcgocall`.
        linkage: Linkage, "`asmcgocall`" => "the same, tracebacks";
        /// The next outer place where a throw lands.
        previous: Ptr<CatchFrame, W64>, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`";
        /// `g0.sched.sp` at entry: everything below it is dropped by a throw.
        g0_sp: W64, "`asmcgocall_catch`" => "throws, `throw_to`, tracebacks";
        /// Where the thrown word goes.
        thrown: Ptr<W64, W64>, "`asmcgocall_catch`, `stack_moved`" => "`throw_to`";
        /// Keeps the vector registers aligned.
        _reserved: W64, "nobody" => "nobody";
        /// The registers of the caller: the C frames that a throw drops may hold them.
        saved: CalleeSaved, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
    }

    /// What `cgocallback` leaves on the system stack while managed code runs. C's return address lies in the
    /// frame that `link` designates.
    System frame CallbackFrame {
        /// Back chain: C's frame.
        link: W64, [R1] "`cgocallback`" => "the way back, tracebacks of C";
        /// Nothing is called from this frame.
        linkage: Linkage, "nobody" => "nobody";
        /// `g0.sched.sp` before: the end of the `AsmcgocallFrame` that this callback came through, and the
        /// address of the next outer `CallbackFrame`, if there is one.
        g0_sp: W64, "`cgocallback`" => "the way back, throws, `stack_moved`, tracebacks, debuggers";
        /// The g that the callback runs on.
        g: Ptr<G<Ppc64le>, W64>, "`cgocallback`" => "tracebacks";
        /// The traceback context of the C frames below the callback; 0 when there is none.
        ctxt: W64, "`cgocallback`, throws" => "throws, tracebacks";
        /// The m.
        m: Ptr<M<Ppc64le>, W64>, "`cgocallback`" => "the way back";
    }

    /// The part of a callback that lies on curg: where managed code begins.
    Managed frame CallbackEntry {
        /// Back chain: the frame of the managed caller below C, whose return address lies in it. It continues
        /// curg's own chain.
        link: W64, [R1] "`cgocallback`, `stack_moved`" => "tracebacks";
        /// What belongs to the managed function: its return address says "C lies below here".
        linkage: Linkage, "`cgocallback`, and the managed function" => "the same; tracebacks";
        /// The rest of this callback, on the system stack.
        callback: Ptr<CallbackFrame, W64>, "`cgocallback`" => "the way back, call frame information, tracebacks";
        /// The managed function that runs.
        func: W64, "`cgocallback`" => "nobody: for who reads a stack by eye";
    }

    /// What `crosscall2` keeps for C while managed code without callee-saved registers runs. C's return
    /// address and condition register lie in the frame that `link` designates.
    Either frame Crosscall2Frame {
        /// Back chain: C's frame.
        link: W64, [R1] "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "tracebacks";
        /// What belongs to what is called: `cgocallback`, the thread's function, the handler, a switch.
        linkage: Linkage, "`crosscall1`, `sigtramp`, and what is called" => "the same; who runs a parked g; tracebacks";
        /// The g that was current before `crosscall1` or `sigtramp`.
        former: W64, "`crosscall1`, `sigtramp`" => "their end";
        /// Keeps the vector registers aligned.
        _reserved: W64, "nobody" => "nobody";
        /// Everything that C expects back.
        saved: CalleeSaved, "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "their end";
    }
}

/// The `Gobuf` of a g whose `SwitchFrame` is at `sp`.
///
/// Runs on any stack; safe in a signal handler.
pub fn gobuf(sp: usize) -> Gobuf {
    Gobuf { sp: W64::of(sp as u64) }
}

/// How far below its `BaseFrame` the `SwitchFrame` of a g that has not run yet lies.
pub const BEGIN_BELOW_BASE: usize = size_of::<SwitchFrame>();

/// Puts a `SwitchFrame` below `base`, from which a g begins at `pc`: its `Gobuf`.
///
/// Runs on any other stack; safe in a signal handler.
///
/// # Safety
/// `base` is the `BaseFrame` of a stack that nobody runs on.
pub unsafe fn begin_below(base: *mut BaseFrame, pc: usize) -> Gobuf {
    let at = base.wrapping_byte_sub(BEGIN_BELOW_BASE).cast::<SwitchFrame>();
    // SAFETY: by the caller.
    unsafe {
        (*base).linkage.lr = W64::of(pc as u64);
        at.write(SwitchFrame { link: W64::of(base.addr() as u64), ..SwitchFrame::default() });
    }
    gobuf(at.addr())
}

/// Every structure and frame, in the order in which they are documented.
pub const LAYOUTS: &[Layout] = &[
    Stack::<Ppc64le>::LAYOUT,
    Gobuf::LAYOUT,
    G::<Ppc64le>::LAYOUT,
    M::<Ppc64le>::LAYOUT,
    Interrupted::<Ppc64le>::LAYOUT,
    Linkage::LAYOUT,
    FrameHeader::LAYOUT,
    Vector::LAYOUT,
    CalleeSaved::LAYOUT,
    SwitchFrame::LAYOUT,
    BaseFrame::LAYOUT,
    AsmcgocallFrame::LAYOUT,
    CatchFrame::LAYOUT,
    CallbackFrame::LAYOUT,
    CallbackEntry::LAYOUT,
    Crosscall2Frame::LAYOUT,
];

// The frame header, ABI 2.2.3.2: back chain at 0, CR save word at 8, LR save doubleword at 16, TOC pointer
// doubleword at 24; no frame is smaller than 32 bytes.
const_assert_eq!(offset_of!(FrameHeader, link), 0);
const_assert_eq!(offset_of!(FrameHeader, linkage.cr), 8);
const_assert_eq!(offset_of!(FrameHeader, linkage.lr), 16);
const_assert_eq!(offset_of!(FrameHeader, linkage.toc), 24);
const_assert_eq!(size_of::<FrameHeader>(), 32);

/// Asserts that a frame begins as every frame does, and that SP stays a multiple of 16 (ABI 2.2.3.1).
macro_rules! is_a_frame {
    ($($frame:ident: $link:ident;)+) => {$(
        const_assert_eq!(offset_of!($frame, $link), offset_of!(FrameHeader, link));
        const_assert_eq!(offset_of!($frame, linkage), offset_of!(FrameHeader, linkage));
        const_assert_eq!(size_of::<$frame>() % 16, 0);
    )+};
}
is_a_frame! {
    SwitchFrame: link;
    BaseFrame: link;
    AsmcgocallFrame: sp;
    CatchFrame: link;
    CallbackFrame: link;
    CallbackEntry: link;
    Crosscall2Frame: link;
}

// `stvx` and `lvx` ignore the lowest four bits of the address: Power ISA 2.07, section 6.7.
const_assert_eq!(offset_of!(CatchFrame, saved.v20) % 16, 0);
const_assert_eq!(offset_of!(Crosscall2Frame, saved.v20) % 16, 0);
// The crossings reach the upper six vector registers with the offsets of the lower six.
const_assert_eq!(offset_of!(CalleeSaved, v31) - offset_of!(CalleeSaved, v25), 6 * size_of::<Vector>());
const_assert_eq!(offset_of!(CalleeSaved, v26) - offset_of!(CalleeSaved, v20), 6 * size_of::<Vector>());

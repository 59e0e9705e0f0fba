//! The frames of arm. See the module above for who builds which, and when.

use crate::frame::{Layout, Ptr, Register, W32};
use crate::{Cpu, G, Interrupted, M, Stack};
use core::mem::offset_of;
use static_assertions::const_assert_eq;

/// arm: A32 and Thumb-2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arm;
/// The CPU that this module describes.
pub type ThisCpu = Arm;

impl Cpu for Arm {
    const NAME: &'static str = "arm";
    const REGISTERS: &'static [Register] = REGISTERS;
    const LAYOUTS: &'static [Layout] = LAYOUTS;
    // Of the microcontrollers: eight words, and one to align them. *Armv7-M Architecture Reference Manual*,
    // B1.5.6. The others change to another mode's SP.
    const INTERRUPT_RESERVE: usize = 36;
    type Word = W32;
    type Gobuf = Gobuf;
    type AsmcgocallFrame = AsmcgocallFrame;
    type CatchFrame = CatchFrame;
}

// Numbers: DWARF for the Arm Architecture (AADWARF32), section 4.1, table 1.
crate::registers! {
    R0 = 0 "r0" Caller "first argument; result";
    R1 = 1 "r1" Caller "second argument; second word of a result";
    R2 = 2 "r2" Caller "third argument";
    R3 = 3 "r3" Caller "fourth argument";
    R4 = 4 "r4" Callee "general";
    R5 = 5 "r5" Callee "general";
    R6 = 6 "r6" Callee "general";
    R7 = 7 "r7" Callee "general; frame pointer of Thumb code";
    R8 = 8 "r8" Callee "general";
    R9 = 9 "r9" Callee "general on Linux, else what the platform says";
    R10 = 10 "r10" Callee "general";
    R11 = 11 "r11" Callee "general; frame pointer of A32 code";
    R12 = 12 "r12" Caller "scratch, also of the linker between a call and its target";
    SP = 13 "sp" Callee "stack pointer";
    LR = 14 "lr" Caller "return address; scratch";
    PC = 15 "pc" Neither "program counter";
    D8 = 264 "d8" Callee "floating point and vector";
    D9 = 265 "d9" Callee "floating point and vector";
    D10 = 266 "d10" Callee "floating point and vector";
    D11 = 267 "d11" Callee "floating point and vector";
    D12 = 268 "d12" Callee "floating point and vector";
    D13 = 269 "d13" Callee "floating point and vector";
    D14 = 270 "d14" Callee "floating point and vector";
    D15 = 271 "d15" Callee "floating point and vector";
}

/// The register that designates frame records: [`R11`] in A32 code, [`R7`] in Thumb code. The assembly calls
/// it `rfp`.
pub const FP: Register = if cfg!(stackgate_thumb) { R7 } else { R11 };
/// The frame pointer of the other state, which is a callee-saved register like others here. The assembly
/// calls it `ofp`.
pub const OTHER_FP: Register = if cfg!(stackgate_thumb) { R11 } else { R7 };

crate::frames! {
    /// Where a g that is not running resumes.
    Memory frame Gobuf {
        /// Stack pointer: the address of a `SwitchFrame`; of a g0 in a callback, of a `CallbackFrame`; of a g0
        /// of a thread that C made, while no callback runs, the end of `M.root`.
        sp: W32, [SP] "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, crossings, tracebacks";
    }

    /// Two words of a floating-point register.
    Either frame Double {
        /// Lower half.
        low: W32, "the frame that holds this" => "the same, at its end";
        /// Upper half.
        high: W32, "the frame that holds this" => "the same, at its end";
    }

    /// The registers that a C function gives back as it found them. The frame pointer is there twice: among
    /// the others, so that one instruction stores them all in either state, and at the end, where it forms a
    /// frame record with the return address that follows. The second one is what is restored.
    Either frame CalleeSaved {
        /// General.
        r4: W32, [R4] "the frame that holds this" => "the same, at its end; tracebacks";
        /// General.
        r5: W32, [R5] "the frame that holds this" => "the same, at its end; tracebacks";
        /// General.
        r6: W32, [R6] "the frame that holds this" => "the same, at its end; tracebacks";
        /// General; in Thumb code nobody uses this copy.
        r7: W32, [R7] "the frame that holds this, `stack_moved`" => "the same, at its end";
        /// General.
        r8: W32, [R8] "the frame that holds this" => "the same, at its end; tracebacks";
        /// General.
        r9: W32, [R9] "the frame that holds this" => "the same, at its end; tracebacks";
        /// General.
        r10: W32, [R10] "the frame that holds this" => "the same, at its end; tracebacks";
        /// General; in A32 code nobody uses this copy.
        r11: W32, [R11] "the frame that holds this, `stack_moved`" => "the same, at its end";
        /// Floating point.
        d8: Double, [D8] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d9: Double, [D9] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d10: Double, [D10] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d11: Double, [D11] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d12: Double, [D12] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d13: Double, [D13] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d14: Double, [D14] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d15: Double, [D15] "the frame that holds this" => "the same, at its end";
        /// Frame pointer; start of the frame record.
        link: W32, [FP] "the frame that holds this, `stack_moved`" => "the same, at its end; tracebacks";
    }

    /// What a stack that is left holds at its lower end: of a parked g, and of the m whose `resume` runs a g. It
    /// has what the compiler cannot be told to keep by itself, in the order in which one `push` stores it;
    /// `stackgate_resume`, `stackgate_park` and `mcall` have put a `Crosscall2Frame` above it.
    Either frame SwitchFrame {
        /// General; brings the frame to a multiple of 8.
        r5: W32, [R5] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
        /// Base pointer of a frame of variable size.
        r6: W32, [R6] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
        /// Frame pointer; start of the frame record.
        link: W32, [FP] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "the switch back; tracebacks";
        /// Where `resume` was called, or `park`, `switch_to` and `mcall` go on: for a g that has not run yet,
        /// its beginning. Its bit 0 says Thumb.
        pc: W32, [LR] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
    }

    /// The upper end of a managed stack.
    Managed frame BaseFrame {
        /// The task's first function.
        entry: W32, "`g_init`" => "the entry trampoline";
        /// The `SwitchFrame` of the `resume` that runs this g; on a thread that C made, the end of `M.root`.
        parent: Ptr<SwitchFrame, W32>, [SP] "`resume`, `gogo`, `switch_to`, attaching a foreign thread" => "`g_start`, unwind tables, `park`, `switch_to` and `finish` in core, throws, `stack_moved`, tracebacks, debuggers";
        /// Zero. The frame records end below, in that of the task's first function: the g begins with a zero
        /// for its link.
        link: W32, [FP] "`g_init`" => "nobody";
        /// Zero.
        pc: W32, [LR] "`g_init`" => "nobody";
    }

    /// What `asmcgocall`, `ccall` and `systemstack` leave on the system stack, directly below `g0.sched.sp`.
    ///
    /// The order is the one in which EHABI's unwinder can pop it: it knows no address of a word, only pops,
    /// and a pop of SP takes it to the other stack. So the frame record comes first, and SP comes last.
    System frame AsmcgocallFrame {
        /// The g that called.
        g: Ptr<G<Arm>, W32>, "`asmcgocall`" => "the way back, `cgocallback`, tracebacks";
        /// The address of this thread's current g. C returns on the thread that called it, since its stack is
        /// that thread's; so the way back need not look for it. Keeps SP aligned.
        place: W32, "`asmcgocall`" => "the way back";
        /// The caller's frame pointer, and the frame record in which C's chain goes on. Kept here and not on
        /// the managed stack, so that it can be found and rewritten when that stack moves.
        link: W32, [FP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, unwind tables, tracebacks";
        /// The return address, which completes the record.
        pc: W32, [LR] "`asmcgocall`" => "the way back, `cgocallback`, tracebacks, unwind tables";
        /// The frame pointer of the other state, kept for the same reason as `link`.
        other: W32, [OTHER_FP] "`asmcgocall`, `stack_moved`" => "the way back, unwind tables, tracebacks";
        /// The managed stack's SP at entry.
        sp: W32, [SP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, unwind tables, tracebacks";
    }

    /// Where a throw lands.
    Managed frame CatchFrame {
        /// The next outer place where a throw lands.
        previous: Ptr<CatchFrame, W32>, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`";
        /// `g0.sched.sp` at entry: everything below it is dropped by a throw.
        g0_sp: W32, "`asmcgocall_catch`" => "throws, `throw_to`, tracebacks";
        /// Where the thrown word goes.
        thrown: Ptr<W32, W32>, "`asmcgocall_catch`, `stack_moved`" => "`throw_to`";
        /// Keeps SP aligned.
        _reserved: W32, "`asmcgocall_catch`, whatever a register held" => "nobody";
        /// The registers of the caller: the C frames that a throw drops may hold them.
        saved: CalleeSaved, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
        /// Return address of `asmcgocall_catch`.
        pc: W32, [LR] "`asmcgocall_catch`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
    }

    /// What `cgocallback` leaves on the system stack while managed code runs.
    System frame CallbackFrame {
        /// The traceback context of the C frames below the callback; 0 when there is none.
        ctxt: W32, "`cgocallback`, throws" => "`cgocallback`, throws, tracebacks";
        /// The g that the callback runs on.
        g: Ptr<G<Arm>, W32>, "`cgocallback`" => "tracebacks";
        /// The m.
        m: Ptr<M<Arm>, W32>, "`cgocallback`" => "the way back";
        /// `g0.sched.sp` before: the end of the `AsmcgocallFrame` that this callback came through, and the
        /// address of the next outer `CallbackFrame`, if there is one.
        g0_sp: W32, "`cgocallback`" => "the way back, throws, `stack_moved`, tracebacks, debuggers";
        /// C's. The crossing needs a register more than the convention gives it.
        r4: W32, [R4] "`cgocallback`" => "the way back";
        /// C's. As above.
        r5: W32, [R5] "`cgocallback`" => "the way back";
        /// C's frame pointer, and C's frame record.
        link: W32, [FP] "`cgocallback`" => "the way back, tracebacks of C";
        /// Return address of `cgocallback`.
        pc: W32, [LR] "`cgocallback`" => "the way back, tracebacks of C";
    }

    /// The part of a callback that lies on curg: where managed code begins.
    Managed frame CallbackEntry {
        /// The rest of this callback, on the system stack. An unwinder pops it as its next SP.
        callback: Ptr<CallbackFrame, W32>, [SP] "`cgocallback`" => "the way back, unwind tables, tracebacks";
        /// The managed function that runs.
        func: W32, "`cgocallback`" => "nobody: for who reads a stack by eye";
        /// Frame pointer of the managed caller below C: the frame record continues curg's own chain.
        link: W32, [FP] "`cgocallback`, `stack_moved`" => "tracebacks";
        /// The return address into the managed caller below C.
        pc: W32, [LR] "`cgocallback`" => "tracebacks";
    }

    /// What `crosscall2` keeps for C while managed code without callee-saved registers runs, and the full forms of
    /// the switches for their callers.
    Either frame Crosscall2Frame {
        /// The g that was current before `crosscall1` or `sigtramp`; `crosscall2` does not use it.
        former: W32, "`crosscall1`, `sigtramp`" => "their end";
        /// The address of this thread's current g in `crosscall1` and `sigtramp`; keeps SP aligned.
        place: W32, "`crosscall1`, `sigtramp`" => "their end";
        /// Everything that C expects back.
        saved: CalleeSaved, "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "their end";
        /// Return address.
        pc: W32, [LR] "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`" => "their end";
    }
}

/// The `Gobuf` of a g whose `SwitchFrame` is at `sp`.
///
/// Runs on any stack; safe in a signal handler.
pub fn gobuf(sp: usize) -> Gobuf {
    Gobuf { sp: W32::of(sp as u32) }
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
    unsafe { at.write(SwitchFrame { pc: W32::of(pc as u32), ..SwitchFrame::default() }) };
    gobuf(at.addr())
}

/// Every structure and frame, in the order in which they are documented.
pub const LAYOUTS: &[Layout] = &[
    Stack::<Arm>::LAYOUT,
    Gobuf::LAYOUT,
    G::<Arm>::LAYOUT,
    M::<Arm>::LAYOUT,
    Interrupted::<Arm>::LAYOUT,
    Double::LAYOUT,
    CalleeSaved::LAYOUT,
    SwitchFrame::LAYOUT,
    BaseFrame::LAYOUT,
    AsmcgocallFrame::LAYOUT,
    CatchFrame::LAYOUT,
    CallbackFrame::LAYOUT,
    CallbackEntry::LAYOUT,
    Crosscall2Frame::LAYOUT,
];

// SP is a multiple of 8 at every call (AAPCS32, section 6.2.1.2): so is the size of each frame.
const_assert_eq!(size_of::<SwitchFrame>() % 8, 0);
const_assert_eq!(size_of::<BaseFrame>() % 8, 0);
const_assert_eq!(size_of::<AsmcgocallFrame>() % 8, 0);
const_assert_eq!(size_of::<CatchFrame>() % 8, 0);
const_assert_eq!(size_of::<CallbackFrame>() % 8, 0);
const_assert_eq!(size_of::<CallbackEntry>() % 8, 0);
const_assert_eq!(size_of::<Crosscall2Frame>() % 8, 0);

/// Asserts that these fields follow each other, a word each: one load or store multiple transfers them.
macro_rules! words {
    ($frame:ty: $first:ident $(. $inner:ident)*, $($($field:ident).+),+) => {
        const _: () = {
            let mut at = offset_of!($frame, $first $(. $inner)*);
            $(
                at += size_of::<W32>();
                assert!(offset_of!($frame, $($field).+) == at, "a load or store multiple no longer fits this frame");
            )+
        };
    };
}
words!(AsmcgocallFrame: g, place, link, pc, other, sp);
words!(SwitchFrame: r5, r6, link, pc);
words!(CatchFrame: previous, g0_sp, thrown, _reserved, saved.r4);
words!(CatchFrame: saved.link, pc);
words!(AsmcgocallFrame: link, pc, other, sp);
const_assert_eq!(offset_of!(AsmcgocallFrame, sp) + size_of::<W32>(), size_of::<AsmcgocallFrame>());
words!(CallbackFrame: ctxt, g, m, g0_sp, r4, r5, link, pc);
words!(CallbackEntry: callback, func, link, pc);
words!(Crosscall2Frame: former, place, saved.r4);
words!(Crosscall2Frame: saved.link, pc);
// The doubles follow each other up to the record, and one `vpush` stores them.
const_assert_eq!(offset_of!(CalleeSaved, link) - offset_of!(CalleeSaved, d8), 8 * size_of::<Double>());
// A g begins with its gobuf, so that its address is its gobuf's.
const_assert_eq!(offset_of!(G<Arm>, sched), 0);

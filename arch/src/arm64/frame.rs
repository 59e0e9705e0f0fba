//! The frames of arm64. See the module above for who builds which, and when.

use crate::frame::{Layout, Ptr, Register, W64};
use crate::{Cpu, G, Interrupted, M, Stack};
use static_assertions::const_assert_eq;

/// arm64, also called AArch64.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arm64;
/// The CPU that this module describes.
pub type ThisCpu = Arm64;

impl Cpu for Arm64 {
    const NAME: &'static str = "arm64";
    const REGISTERS: &'static [Register] = REGISTERS;
    const LAYOUTS: &'static [Layout] = LAYOUTS;
    // An exception changes to SP_EL1.
    const INTERRUPT_RESERVE: usize = 0;
    type Word = W64;
    type Gobuf = Gobuf;
    type AsmcgocallFrame = AsmcgocallFrame;
    type CatchFrame = CatchFrame;
}

// Numbers: DWARF for the Arm 64-bit Architecture, section 4.1.
// Who saves: Procedure Call Standard for the Arm 64-bit Architecture, sections 6.1.1 and 6.1.2.
crate::registers! {
    X0 = 0 "x0" Caller "first argument; first result";
    X1 = 1 "x1" Caller "second argument; second result";
    X2 = 2 "x2" Caller "third argument";
    X3 = 3 "x3" Caller "fourth argument";
    X4 = 4 "x4" Caller "fifth argument";
    X5 = 5 "x5" Caller "sixth argument";
    X6 = 6 "x6" Caller "seventh argument";
    X7 = 7 "x7" Caller "eighth argument";
    X8 = 8 "x8" Caller "address of a result in memory";
    X9 = 9 "x9" Caller "scratch";
    X10 = 10 "x10" Caller "scratch";
    X11 = 11 "x11" Caller "scratch";
    X12 = 12 "x12" Caller "scratch";
    X13 = 13 "x13" Caller "scratch";
    X14 = 14 "x14" Caller "scratch";
    X15 = 15 "x15" Caller "scratch";
    X16 = 16 "x16" Caller "scratch of linker veneers too (IP0)";
    X17 = 17 "x17" Caller "scratch of linker veneers too (IP1)";
    X18 = 18 "x18" Neither "the platform's";
    X19 = 19 "x19" Callee "general";
    X20 = 20 "x20" Callee "general";
    X21 = 21 "x21" Callee "general";
    X22 = 22 "x22" Callee "general";
    X23 = 23 "x23" Callee "general";
    X24 = 24 "x24" Callee "general";
    X25 = 25 "x25" Callee "general";
    X26 = 26 "x26" Callee "general";
    X27 = 27 "x27" Callee "general";
    X28 = 28 "x28" Callee "general";
    X29 = 29 "x29" Callee "frame pointer";
    X30 = 30 "x30" Neither "link register: the return address";
    SP = 31 "sp" Callee "stack pointer";
    PC = 32 "pc" Neither "program counter";
    D8 = 72 "d8" Callee "floating point; the lower half of v8";
    D9 = 73 "d9" Callee "floating point; the lower half of v9";
    D10 = 74 "d10" Callee "floating point; the lower half of v10";
    D11 = 75 "d11" Callee "floating point; the lower half of v11";
    D12 = 76 "d12" Callee "floating point; the lower half of v12";
    D13 = 77 "d13" Callee "floating point; the lower half of v13";
    D14 = 78 "d14" Callee "floating point; the lower half of v14";
    D15 = 79 "d15" Callee "floating point; the lower half of v15";
}

crate::frames! {
    /// Where a g that is not running resumes.
    Memory frame Gobuf {
        /// Stack pointer: the address of a `SwitchFrame`; of a g0 in a callback, of a `CallbackFrame`; of a g0
        /// of a thread that C made, while no callback runs, the end of `M.root`.
        sp: W64, [SP] "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, crossings, tracebacks";
    }

    /// The registers that a C function gives back as it found them; of the vector registers v8 to v15 it is
    /// the lower half. `x29` comes last: with the return address that follows it forms a frame record.
    Either frame CalleeSaved {
        /// General.
        x19: W64, [X19] "the frame that holds this" => "the same, at its end";
        /// General.
        x20: W64, [X20] "the frame that holds this" => "the same, at its end";
        /// General.
        x21: W64, [X21] "the frame that holds this" => "the same, at its end";
        /// General.
        x22: W64, [X22] "the frame that holds this" => "the same, at its end";
        /// General.
        x23: W64, [X23] "the frame that holds this" => "the same, at its end";
        /// General.
        x24: W64, [X24] "the frame that holds this" => "the same, at its end";
        /// General.
        x25: W64, [X25] "the frame that holds this" => "the same, at its end";
        /// General.
        x26: W64, [X26] "the frame that holds this" => "the same, at its end";
        /// General.
        x27: W64, [X27] "the frame that holds this" => "the same, at its end";
        /// General.
        x28: W64, [X28] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d8: W64, [D8] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d9: W64, [D9] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d10: W64, [D10] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d11: W64, [D11] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d12: W64, [D12] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d13: W64, [D13] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d14: W64, [D14] "the frame that holds this" => "the same, at its end";
        /// Floating point.
        d15: W64, [D15] "the frame that holds this" => "the same, at its end";
        /// Frame pointer; start of the frame record.
        x29: W64, [X29] "the frame that holds this, `stack_moved`" => "the same, at its end; tracebacks";
    }

    /// What a stack that is left holds at its lower end: of a parked g, and of the m whose `resume` runs a g. It
    /// has what the compiler cannot be told to keep by itself; `stackgate_resume`, `stackgate_park` and `mcall`
    /// have put a `Crosscall2Frame` above it.
    Either frame SwitchFrame {
        /// Keeps SP aligned.
        _reserved: W64, "nobody" => "nobody";
        /// Base pointer of a frame of variable size.
        x19: W64, [X19] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back";
        /// Frame pointer; start of the frame record.
        x29: W64, [X29] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "the switch back; tracebacks";
        /// Where `resume` was called, or `park`, `switch_to` and `mcall` go on: for a g that has not run yet,
        /// its beginning.
        pc: W64, [X30] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
    }

    /// The upper end of a managed stack.
    Managed frame BaseFrame {
        /// The task's first function.
        entry: W64, "`g_init`" => "the entry trampoline";
        /// The `SwitchFrame` of the `resume` that runs this g; on a thread that C made, the end of `M.root`.
        parent: Ptr<SwitchFrame, W64>, "`resume`, `gogo`, `switch_to`, attaching a foreign thread" => "`g_start`, call frame information, `park`, `switch_to` and `finish` in core, throws, `stack_moved`, tracebacks, debuggers";
        /// Zero. The frame records end below, in that of the task's first function: the g begins with a zero
        /// for its link.
        link: W64, [X29] "`g_init`" => "nobody";
        /// Zero.
        pc: W64, [X30] "`g_init`" => "nobody";
    }

    /// What `asmcgocall`, `ccall` and `systemstack` leave on the system stack, directly below `g0.sched.sp`.
    /// They leave nothing on the managed stack.
    System frame AsmcgocallFrame {
        /// The g that called.
        g: Ptr<G<Arm64>, W64>, "`asmcgocall`" => "the way back, `cgocallback`, tracebacks";
        /// The managed stack's SP at entry.
        sp: W64, [SP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// The caller's frame pointer, and the frame record in which C's chain goes on. Kept here and not on
        /// the managed stack, so that it can be found and rewritten when that stack moves.
        link: W64, [X29] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// The return address, which completes the record. The only other copy is in the `CallbackEntry` of a callback.
        pc: W64, [X30] "`asmcgocall`" => "the way back, `cgocallback`, tracebacks, call frame information";
    }

    /// Where a throw lands.
    Managed frame CatchFrame {
        /// Keeps SP aligned.
        _reserved: W64, "nobody" => "nobody";
        /// Where the thrown word goes.
        thrown: Ptr<W64, W64>, "`asmcgocall_catch`, `stack_moved`" => "`throw_to`";
        /// The next outer place where a throw lands.
        previous: Ptr<CatchFrame, W64>, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`";
        /// `g0.sched.sp` at entry: everything below it is dropped by a throw.
        g0_sp: W64, "`asmcgocall_catch`" => "throws, `throw_to`, tracebacks";
        /// The registers of the caller: the C frames that a throw drops may hold them.
        saved: CalleeSaved, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
        /// Return address of `asmcgocall_catch`.
        pc: W64, [X30] "`asmcgocall_catch`" => "its end, `throw_to`, tracebacks";
    }

    /// What `cgocallback` leaves on the system stack while managed code runs.
    System frame CallbackFrame {
        /// `g0.sched.sp` before: the end of the `AsmcgocallFrame` that this callback came through, and the
        /// address of the next outer `CallbackFrame`, if there is one.
        g0_sp: W64, "`cgocallback`" => "the way back, throws, `stack_moved`, tracebacks, debuggers";
        /// The g that the callback runs on.
        g: Ptr<G<Arm64>, W64>, "`cgocallback`" => "tracebacks";
        /// The traceback context of the C frames below the callback; 0 when there is none.
        ctxt: W64, "`cgocallback`, throws" => "throws, tracebacks";
        /// The m.
        m: Ptr<M<Arm64>, W64>, "`cgocallback`" => "the way back";
        /// C's frame pointer, and C's frame record.
        link: W64, [X29] "`cgocallback`" => "the way back, tracebacks of C";
        /// Return address of `cgocallback`.
        pc: W64, [X30] "`cgocallback`" => "the way back, tracebacks of C";
    }

    /// The part of a callback that lies on curg: where managed code begins.
    Managed frame CallbackEntry {
        /// The rest of this callback, on the system stack.
        callback: Ptr<CallbackFrame, W64>, "`cgocallback`" => "the way back, call frame information, tracebacks";
        /// The managed function that runs.
        func: W64, "`cgocallback`" => "nobody: for who reads a stack by eye";
        /// Frame pointer of the managed caller below C: the frame record continues curg's own chain.
        link: W64, [X29] "`cgocallback`, `stack_moved`" => "tracebacks";
        /// The return address into the managed caller below C.
        pc: W64, [X30] "`cgocallback`" => "tracebacks";
    }

    /// What `crosscall2` keeps for C while managed code without callee-saved registers runs.
    Either frame Crosscall2Frame {
        /// Keeps SP aligned.
        _reserved: W64, "nobody" => "nobody";
        /// The g that was current before `crosscall1` or `sigtramp`.
        former: W64, "`crosscall1`, `sigtramp`" => "their end";
        /// Everything that C expects back.
        saved: CalleeSaved, "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "their end";
        /// Return address.
        pc: W64, [X30] "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`" => "their end, tracebacks";
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
    unsafe { at.write(SwitchFrame { pc: W64::of(pc as u64), ..SwitchFrame::default() }) };
    gobuf(at.addr())
}

/// Every structure and frame, in the order in which they are documented.
pub const LAYOUTS: &[Layout] = &[
    Stack::<Arm64>::LAYOUT,
    Gobuf::LAYOUT,
    G::<Arm64>::LAYOUT,
    M::<Arm64>::LAYOUT,
    Interrupted::<Arm64>::LAYOUT,
    CalleeSaved::LAYOUT,
    SwitchFrame::LAYOUT,
    BaseFrame::LAYOUT,
    AsmcgocallFrame::LAYOUT,
    CatchFrame::LAYOUT,
    CallbackFrame::LAYOUT,
    CallbackEntry::LAYOUT,
    Crosscall2Frame::LAYOUT,
];

// SP is a multiple of 16 whenever memory is accessed through it: the CPU sees to that (AAPCS64 section
// 6.4.5.1). So is the size of each frame.
const_assert_eq!(size_of::<SwitchFrame>() % 16, 0);
const_assert_eq!(size_of::<BaseFrame>() % 16, 0);
const_assert_eq!(size_of::<AsmcgocallFrame>() % 16, 0);
const_assert_eq!(size_of::<CatchFrame>() % 16, 0);
const_assert_eq!(size_of::<CallbackFrame>() % 16, 0);
const_assert_eq!(size_of::<CallbackEntry>() % 16, 0);
const_assert_eq!(size_of::<Crosscall2Frame>() % 16, 0);

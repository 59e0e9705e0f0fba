//! The frames of x86_64. See the module above for who builds which, and when.

use crate::frame::{Layout, Ptr, Register, W64};
use crate::{Cpu, G, Interrupted, M, Stack};
use static_assertions::const_assert_eq;

/// x86_64, also called amd64.
#[derive(Clone, Copy, Debug, Default)]
pub struct X86_64;
/// The CPU that this module describes.
pub type ThisCpu = X86_64;

impl Cpu for X86_64 {
    const NAME: &'static str = "x86_64";
    const REGISTERS: &'static [Register] = REGISTERS;
    const LAYOUTS: &'static [Layout] = LAYOUTS;
    // The interrupt stack table has a stack for handlers.
    const INTERRUPT_RESERVE: usize = 0;
    type Word = W64;
    type Gobuf = Gobuf;
    type AsmcgocallFrame = AsmcgocallFrame;
    type CatchFrame = CatchFrame;
}

// Numbers: System V ABI AMD64 Architecture Processor Supplement 1.0, figure 3.36.
crate::registers! {
    RAX = 0 "rax" Caller "first result; number of vector registers of a variadic call";
    RDX = 1 "rdx" Caller "third argument; second result";
    RCX = 2 "rcx" Caller "fourth argument";
    RBX = 3 "rbx" Callee "general";
    RSI = 4 "rsi" Caller "second argument";
    RDI = 5 "rdi" Caller "first argument";
    RBP = 6 "rbp" Callee "frame pointer";
    RSP = 7 "rsp" Callee "stack pointer";
    R8 = 8 "r8" Caller "fifth argument";
    R9 = 9 "r9" Caller "sixth argument";
    R10 = 10 "r10" Caller "static chain; scratch";
    R11 = 11 "r11" Caller "scratch";
    R12 = 12 "r12" Callee "general";
    R13 = 13 "r13" Callee "general";
    R14 = 14 "r14" Callee "general";
    R15 = 15 "r15" Callee "general";
    RIP = 16 "rip" Neither "return address";
    XMM6 = 23 "xmm6" Caller "vector; callee-saved under the Windows convention";
    XMM7 = 24 "xmm7" Caller "vector; callee-saved under the Windows convention";
    XMM8 = 25 "xmm8" Caller "vector; callee-saved under the Windows convention";
    XMM9 = 26 "xmm9" Caller "vector; callee-saved under the Windows convention";
    XMM10 = 27 "xmm10" Caller "vector; callee-saved under the Windows convention";
    XMM11 = 28 "xmm11" Caller "vector; callee-saved under the Windows convention";
    XMM12 = 29 "xmm12" Caller "vector; callee-saved under the Windows convention";
    XMM13 = 30 "xmm13" Caller "vector; callee-saved under the Windows convention";
    XMM14 = 31 "xmm14" Caller "vector; callee-saved under the Windows convention";
    XMM15 = 32 "xmm15" Caller "vector; callee-saved under the Windows convention";
}

crate::frames! {
    /// Where a g that is not running resumes.
    Memory frame Gobuf {
        /// Stack pointer: the address of a `SwitchFrame`; of a g0 in a callback, of a `CallbackFrame`; of a g0
        /// of a thread that C made, while no callback runs, the end of `M.root`.
        sp: W64, [RSP] "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, crossings, tracebacks";
    }

    /// The registers that a C function gives back as it found them. `rbp` comes last: with the return address
    /// that follows it forms a frame record.
    Either frame CalleeSaved {
        /// General.
        rbx: W64, [RBX] "the frame that holds this" => "the same, at its end";
        /// General.
        r12: W64, [R12] "the frame that holds this" => "the same, at its end";
        /// General.
        r13: W64, [R13] "the frame that holds this" => "the same, at its end";
        /// General.
        r14: W64, [R14] "the frame that holds this" => "the same, at its end";
        /// General.
        r15: W64, [R15] "the frame that holds this" => "the same, at its end";
        /// Frame pointer; start of the frame record.
        rbp: W64, [RBP] "the frame that holds this, `stack_moved`" => "the same, at its end; tracebacks";
    }

    /// What a stack that is left holds at its lower end: of a parked g, and of the m whose `resume` runs a g. It
    /// has what the compiler cannot be told to keep by itself; `stackgate_resume`, `stackgate_park` and `mcall`
    /// have put a `Crosscall2Frame` above it.
    Either frame SwitchFrame {
        /// Keeps SP aligned.
        _reserved: W64, "nobody" => "nobody";
        /// Base pointer of a frame of variable size.
        rbx: W64, [RBX] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back";
        /// Frame pointer; start of the frame record.
        rbp: W64, [RBP] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "the switch back; tracebacks";
        /// Where `resume` was called, or `park`, `switch_to` and `mcall` go on: for a g that has not run yet,
        /// its beginning.
        pc: W64, [RIP] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
    }

    /// The upper end of a managed stack.
    Managed frame BaseFrame {
        /// The task's first function.
        entry: W64, "`g_init`" => "the entry trampoline";
        /// The `SwitchFrame` of the `resume` that runs this g; on a thread that C made, the end of `M.root`.
        parent: Ptr<SwitchFrame, W64>, "`resume`, `gogo`, `switch_to`, attaching a foreign thread" => "`g_start`, call frame information, `park`, `switch_to` and `finish` in core, throws, `stack_moved`, tracebacks, debuggers";
        /// Zero. The frame records end below, in that of the task's first function: the g begins with a zero
        /// for its link.
        link: W64, [RBP] "`g_init`" => "nobody";
        /// Zero.
        pc: W64, [RIP] "`g_init`" => "nobody";
    }

    /// What `asmcgocall`, `ccall` and `systemstack` leave on the system stack, directly below `g0.sched.sp`.
    System frame AsmcgocallFrame {
        /// The g that called.
        g: Ptr<G<X86_64>, W64>, "`asmcgocall`" => "the way back, `cgocallback`, tracebacks";
        /// The managed stack's SP at entry, which is the address of the return address.
        sp: W64, [RSP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// The caller's frame pointer, and the frame record in which C's chain goes on. Kept here and not on
        /// the managed stack, so that it can be found and rewritten when that stack moves.
        link: W64, [RBP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// The return address, once more, to complete the record.
        pc: W64, [RIP] "`asmcgocall`" => "`cgocallback`, tracebacks";
    }

    /// Where a throw lands.
    Managed frame CatchFrame {
        /// The next outer place where a throw lands.
        previous: Ptr<CatchFrame, W64>, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`";
        /// `g0.sched.sp` at entry: everything below it is dropped by a throw.
        g0_sp: W64, "`asmcgocall_catch`" => "throws, `throw_to`, tracebacks";
        /// Where the thrown word goes.
        thrown: Ptr<W64, W64>, "`asmcgocall_catch`, `stack_moved`" => "`throw_to`";
        /// The registers of the caller: the C frames that a throw drops may hold them.
        saved: CalleeSaved, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
        /// Return address of `asmcgocall_catch`.
        pc: W64, [RIP] "the caller's call instruction" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
    }

    /// What `cgocallback` leaves on the system stack while managed code runs.
    System frame CallbackFrame {
        /// `g0.sched.sp` before: the end of the `AsmcgocallFrame` that this callback came through, and the
        /// address of the next outer `CallbackFrame`, if there is one.
        g0_sp: W64, "`cgocallback`" => "the way back, throws, `stack_moved`, tracebacks, debuggers";
        /// The g that the callback runs on.
        g: Ptr<G<X86_64>, W64>, "`cgocallback`" => "tracebacks";
        /// The traceback context of the C frames below the callback; 0 when there is none.
        ctxt: W64, "`cgocallback`, throws" => "throws, tracebacks";
        /// The m.
        m: Ptr<M<X86_64>, W64>, "`cgocallback`" => "the way back";
        /// C's frame pointer, and C's frame record.
        link: W64, [RBP] "`cgocallback`" => "the way back, tracebacks of C";
        /// Return address of `cgocallback`.
        pc: W64, [RIP] "the caller's call instruction" => "the way back, tracebacks of C";
    }

    /// The part of a callback that lies on curg: where managed code begins.
    Managed frame CallbackEntry {
        /// The rest of this callback, on the system stack.
        callback: Ptr<CallbackFrame, W64>, "`cgocallback`" => "the way back, call frame information, tracebacks";
        /// The managed function that runs.
        func: W64, "`cgocallback`" => "nobody: for who reads a stack by eye";
        /// Frame pointer of the managed caller below C: the frame record continues curg's own chain.
        link: W64, [RBP] "`cgocallback`, `stack_moved`" => "tracebacks";
        /// The return address into the managed caller below C.
        pc: W64, [RIP] "`cgocallback`" => "tracebacks";
    }

    /// What `crosscall2` keeps for C while managed code without callee-saved registers runs, and the full forms of
    /// the switches for their callers.
    Either frame Crosscall2Frame {
        /// The g that was current before `crosscall1` or `sigtramp`; keeps SP aligned in `crosscall2` and in
        /// the switches.
        former: W64, "`crosscall1`, `sigtramp`" => "their end";
        /// Everything that C expects back.
        saved: CalleeSaved, "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "their end";
        /// Return address.
        pc: W64, [RIP] "the caller's call instruction, the kernel" => "their end";
    }

    /// Two words of a vector register.
    Either frame Xmm {
        /// Lower half.
        low: W64, "`crosscall2_win64`" => "its end";
        /// Upper half.
        high: W64, "`crosscall2_win64`" => "its end";
    }

    /// What `crosscall2_win64` keeps in place of a `Crosscall2Frame`, for callers of the Windows convention.
    System frame Crosscall2Win64Frame {
        /// Vector register.
        xmm6: Xmm, [XMM6] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm7: Xmm, [XMM7] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm8: Xmm, [XMM8] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm9: Xmm, [XMM9] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm10: Xmm, [XMM10] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm11: Xmm, [XMM11] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm12: Xmm, [XMM12] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm13: Xmm, [XMM13] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm14: Xmm, [XMM14] "`crosscall2_win64`" => "its end";
        /// Vector register.
        xmm15: Xmm, [XMM15] "`crosscall2_win64`" => "its end";
        /// Callee-saved under the Windows convention.
        rdi: W64, [RDI] "`crosscall2_win64`" => "its end";
        /// Callee-saved under the Windows convention.
        rsi: W64, [RSI] "`crosscall2_win64`" => "its end";
        /// Keeps SP aligned.
        _reserved: W64, "nobody" => "nobody";
        /// The registers that both conventions keep.
        saved: CalleeSaved, "`crosscall2_win64`" => "its end";
        /// Return address into C.
        pc: W64, [RIP] "C's call instruction" => "its end";
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
    Stack::<X86_64>::LAYOUT,
    Gobuf::LAYOUT,
    G::<X86_64>::LAYOUT,
    M::<X86_64>::LAYOUT,
    Interrupted::<X86_64>::LAYOUT,
    CalleeSaved::LAYOUT,
    SwitchFrame::LAYOUT,
    BaseFrame::LAYOUT,
    AsmcgocallFrame::LAYOUT,
    CatchFrame::LAYOUT,
    CallbackFrame::LAYOUT,
    CallbackEntry::LAYOUT,
    Crosscall2Frame::LAYOUT,
    Xmm::LAYOUT,
    Crosscall2Win64Frame::LAYOUT,
];

// SP is a multiple of 16 at every call (psABI section 3.2.2): so is the size of each frame that a crossing
// opens below an aligned address.
const_assert_eq!(size_of::<BaseFrame>() % 16, 0);
const_assert_eq!(size_of::<AsmcgocallFrame>() % 16, 0);
const_assert_eq!(size_of::<CallbackEntry>() % 16, 0);
// And where the call instruction has pushed the return address, which is the frame's last word, the rest of
// the frame brings SP back to such an address.
const_assert_eq!(size_of::<SwitchFrame>() % 16, 0);
const_assert_eq!(size_of::<CatchFrame>() % 16, 0);
const_assert_eq!(size_of::<CallbackFrame>() % 16, 0);
const_assert_eq!(size_of::<Crosscall2Frame>() % 16, 0);
const_assert_eq!(size_of::<Crosscall2Win64Frame>() % 16, 0);

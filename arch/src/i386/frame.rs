//! The frames of i386. See the module above for who builds which, and when.

use crate::frame::{Layout, Ptr, Register, W32};
use crate::{Cpu, G, Interrupted, M, Stack};
use core::mem::offset_of;
use static_assertions::const_assert_eq;

/// i386, from the Pentium Pro on.
#[derive(Clone, Copy, Debug, Default)]
pub struct I386;
/// The CPU that this module describes.
pub type ThisCpu = I386;

impl Cpu for I386 {
    const NAME: &'static str = "i386";
    const REGISTERS: &'static [Register] = REGISTERS;
    const LAYOUTS: &'static [Layout] = LAYOUTS;
    // EFLAGS, CS and EIP, and one register until the handler has a stack. *Software Developer's Manual*,
    // 6.12.1.
    const INTERRUPT_RESERVE: usize = 16;
    type Word = W32;
    type Gobuf = Gobuf;
    type AsmcgocallFrame = AsmcgocallFrame;
    type CatchFrame = CatchFrame;
}

// Numbers: System V ABI Intel386 Architecture Processor Supplement 1.1, table 2.14. Apple's tables exchange
// esp and ebp; this one does not.
crate::registers! {
    EAX = 0 "eax" Caller "first result";
    ECX = 1 "ecx" Caller "scratch";
    EDX = 2 "edx" Caller "second result";
    EBX = 3 "ebx" Callee "general; address of the global offset table for calls through a PLT";
    ESP = 4 "esp" Callee "stack pointer";
    EBP = 5 "ebp" Callee "frame pointer";
    ESI = 6 "esi" Callee "general";
    EDI = 7 "edi" Callee "general";
    EIP = 8 "eip" Neither "return address";
}

crate::frames! {
    /// Where a g that is not running resumes.
    Memory frame Gobuf {
        /// Stack pointer: the address of a `SwitchFrame`; of a g0 in a callback, of a `CallbackFrame`; of a g0
        /// of a thread that C made, while no callback runs, the end of `M.root`.
        sp: W32, [ESP] "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, crossings, tracebacks";
    }

    /// The registers that a C function gives back as it found them. `ebp` comes last: with the return address
    /// that follows it forms a frame record. There are no others: no vector and no x87 register is kept.
    Either frame CalleeSaved {
        /// General.
        ebx: W32, [EBX] "the frame that holds this" => "the same, at its end";
        /// General.
        esi: W32, [ESI] "the frame that holds this" => "the same, at its end";
        /// General.
        edi: W32, [EDI] "the frame that holds this" => "the same, at its end";
        /// Frame pointer; start of the frame record.
        ebp: W32, [EBP] "the frame that holds this, `stack_moved`" => "the same, at its end; tracebacks";
    }

    /// What a function finds at SP when it begins: psABI 2.2.2 and 2.2.3. The arguments are the callee's to
    /// change; the caller takes them off.
    Either frame Arguments {
        /// Return address.
        pc: W32, [EIP] "the caller's call instruction" => "the callee's return";
        /// First argument.
        first: W32, "the caller" => "the callee";
        /// Second argument.
        second: W32, "the caller" => "the callee";
        /// Third argument.
        third: W32, "the caller" => "the callee";
        /// Fourth argument.
        fourth: W32, "the caller" => "the callee";
    }

    /// What a stack that is left holds at its lower end: of a parked g, and of the m whose `resume` runs a g. It
    /// has what the compiler cannot be told to keep by itself; `stackgate_resume`, `stackgate_park` and `mcall`
    /// have put a `Crosscall2Frame` above it.
    Either frame SwitchFrame {
        /// Base pointer of a frame of variable size.
        esi: W32, [ESI] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back";
        /// Frame pointer; start of the frame record.
        ebp: W32, [EBP] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "the switch back; tracebacks";
        /// Where `resume` was called, or `park`, `switch_to` and `mcall` go on: for a g that has not run yet,
        /// its beginning.
        pc: W32, [EIP] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
    }

    /// The upper end of a managed stack.
    Managed frame BaseFrame {
        /// The task's first function; when it runs, its argument.
        entry: W32, "`g_init`, the entry trampoline" => "the entry trampoline; the task's first function";
        /// The `SwitchFrame` of the `resume` that runs this g; on a thread that C made, the end of `M.root`.
        parent: Ptr<SwitchFrame, W32>, "`resume`, `gogo`, `switch_to`, attaching a foreign thread" => "`g_start`, call frame information, `park`, `switch_to` and `finish` in core, throws, `stack_moved`, tracebacks, debuggers";
        /// Zero. The frame records end below, in that of the task's first function: the g begins with a zero
        /// for its link.
        link: W32, [EBP] "`g_init`" => "nobody";
        /// Zero.
        pc: W32, [EIP] "`g_init`" => "nobody";
    }

    /// What `asmcgocall`, `ccall` and `systemstack` leave on the system stack, directly below `g0.sched.sp`.
    System frame AsmcgocallFrame {
        /// The g that called.
        g: Ptr<G<I386>, W32>, "`asmcgocall`" => "the way back, `cgocallback`, tracebacks";
        /// The managed stack's SP at entry, which is the address of the return address.
        sp: W32, [ESP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// The caller's frame pointer, and the frame record in which C's chain goes on. Kept here and not on
        /// the managed stack, so that it can be found and rewritten when that stack moves.
        link: W32, [EBP] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// The return address, once more, to complete the record.
        pc: W32, [EIP] "`asmcgocall`" => "`cgocallback`, tracebacks";
    }

    /// Where a throw lands. SP is its address when `asmcgocall` is called, and when that returns.
    Managed frame CatchFrame {
        /// First argument of `asmcgocall`.
        func: W32, "`asmcgocall_catch`" => "`asmcgocall`";
        /// Second argument.
        arg: W32, "`asmcgocall_catch`" => "`asmcgocall`";
        /// Keeps SP aligned.
        _reserved: [W32; 2], "nobody" => "nobody";
        /// The next outer place where a throw lands.
        previous: Ptr<CatchFrame, W32>, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`";
        /// `g0.sched.sp` at entry: everything below it is dropped by a throw.
        g0_sp: W32, "`asmcgocall_catch`" => "throws, `throw_to`, tracebacks";
        /// Where the thrown word goes.
        thrown: Ptr<W32, W32>, "`asmcgocall_catch`, `stack_moved`" => "`throw_to`";
        /// The registers of the caller: the C frames that a throw drops may hold them.
        saved: CalleeSaved, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
        /// Return address of `asmcgocall_catch`.
        pc: W32, [EIP] "the caller's call instruction" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
    }

    /// What `cgocallback` leaves on the system stack while managed code runs.
    System frame CallbackFrame {
        /// `g0.sched.sp` before: the end of the `AsmcgocallFrame` that this callback came through, and the
        /// address of the next outer `CallbackFrame`, if there is one.
        g0_sp: W32, "`cgocallback`" => "the way back, throws, `stack_moved`, tracebacks, debuggers";
        /// The g that the callback runs on.
        g: Ptr<G<I386>, W32>, "`cgocallback`" => "tracebacks";
        /// The traceback context of the C frames below the callback; 0 when there is none.
        ctxt: W32, "`cgocallback`, throws" => "throws, tracebacks";
        /// The m.
        m: Ptr<M<I386>, W32>, "`cgocallback`" => "the way back";
        /// Where in a thread's storage the current g is, the same in each thread. Position-independent code
        /// would have to work it out again; other code knows it, and leaves here whatever a register held.
        /// Without this word SP would not be where it is in a `SwitchFrame`.
        place: W32, "`cgocallback`" => "`cgocallback`, the way back";
        /// C's frame pointer, and C's frame record.
        link: W32, [EBP] "`cgocallback`" => "the way back, tracebacks of C";
        /// Return address of `cgocallback`.
        pc: W32, [EIP] "the caller's call instruction" => "the way back, tracebacks of C";
    }

    /// The part of a callback that lies on curg: where managed code begins. SP is its address when the function
    /// is called, and when it returns.
    Managed frame CallbackEntry {
        /// First argument of the function, which may change it.
        frame: W32, "`cgocallback`" => "the managed function";
        /// Second argument.
        framesize: W32, "`cgocallback`" => "the managed function";
        /// Third argument: the traceback context once more.
        ctxt: W32, "`cgocallback`" => "the managed function";
        /// The rest of this callback, on the system stack.
        callback: Ptr<CallbackFrame, W32>, "`cgocallback`" => "the way back, call frame information, tracebacks";
        /// The managed function that runs.
        func: W32, "`cgocallback`" => "`cgocallback`";
        /// Frame pointer of the managed caller below C: the frame record continues curg's own chain.
        link: W32, [EBP] "`cgocallback`, `stack_moved`" => "tracebacks";
        /// The return address into the managed caller below C.
        pc: W32, [EIP] "`cgocallback`" => "tracebacks";
    }

    /// What `crosscall2` keeps for C while managed code without callee-saved registers runs, and the full forms of
    /// the switches for their callers.
    Either frame Crosscall2Frame {
        /// The g that was current before `crosscall1` or `sigtramp`.
        former: W32, "`crosscall1`, `sigtramp`" => "their end";
        /// Keeps SP aligned.
        _reserved: [W32; 2], "nobody" => "nobody";
        /// Everything that C expects back.
        saved: CalleeSaved, "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `crosscall2_panic`, `stack_moved`" => "their end";
        /// Return address.
        pc: W32, [EIP] "the caller's call instruction, the kernel" => "their end";
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
    Stack::<I386>::LAYOUT,
    Gobuf::LAYOUT,
    G::<I386>::LAYOUT,
    M::<I386>::LAYOUT,
    Interrupted::<I386>::LAYOUT,
    CalleeSaved::LAYOUT,
    Arguments::LAYOUT,
    SwitchFrame::LAYOUT,
    BaseFrame::LAYOUT,
    AsmcgocallFrame::LAYOUT,
    CatchFrame::LAYOUT,
    CallbackFrame::LAYOUT,
    CallbackEntry::LAYOUT,
    Crosscall2Frame::LAYOUT,
];

/// What SP is a multiple of at a call instruction, when the arguments have been put there: psABI 2.2.2.
pub(super) const ALIGN: usize = 16;
/// How far SP is above such an address when a function begins: the call has pushed the return address.
const AT_ENTRY: usize = ALIGN - size_of::<W32>();
/// How far `g0.sched.sp` is above such an address: `asmcgocall` pushes its frame and C's argument below it, and
/// makes the call without another look at SP.
const AT_G0_SP: usize = (size_of::<AsmcgocallFrame>() + size_of::<W32>()) % ALIGN;
/// How far SP is below such an address where `cgocallback` builds the `CallbackEntry`, from whose lower end it
/// calls.
pub(super) const ABOVE_ENTRY: usize =
    size_of::<CallbackEntry>().next_multiple_of(ALIGN) - size_of::<CallbackEntry>();

// `g0.sched.sp` is the address of a `SwitchFrame`, or of a `CallbackFrame`. Their last word is the return
// address that lies at SP when `resume` or `cgocallback` begins. `mcall` calls with one argument from there too:
// an `AsmcgocallFrame` is as long as a multiple of 16 bytes.
const_assert_eq!((AT_ENTRY + 2 * ALIGN - offset_of!(SwitchFrame, pc)) % ALIGN, AT_G0_SP);
const_assert_eq!((AT_ENTRY + 2 * ALIGN - offset_of!(CallbackFrame, pc)) % ALIGN, AT_G0_SP);
const_assert_eq!(size_of::<AsmcgocallFrame>() % ALIGN, 0);
// The entry trampoline makes its call from SP at the `BaseFrame`, with the argument in the frame's first word.
const_assert_eq!(size_of::<BaseFrame>() % ALIGN, 0);
const_assert_eq!(offset_of!(BaseFrame, entry), 0);
// The others open below a return address, and make their calls from SP at their lower end: `Crosscall2Frame`
// with arguments, padded to a multiple of 16 bytes, below it.
const_assert_eq!((AT_ENTRY + 2 * ALIGN - offset_of!(CatchFrame, pc)) % ALIGN, 0);
const_assert_eq!(offset_of!(CatchFrame, func), 0);
const_assert_eq!(offset_of!(CatchFrame, arg), size_of::<W32>());
const_assert_eq!((AT_ENTRY + 2 * ALIGN - offset_of!(Crosscall2Frame, pc)) % ALIGN, 0);

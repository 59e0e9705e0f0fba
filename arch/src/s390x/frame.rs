//! The frames of s390x. See the module above for who builds which, and when.
//!
//! On this CPU a caller passes 160 bytes of its own frame, at SP, to every function that it calls: the back
//! chain slot, which the callee leaves alone, and the register save area, which the callee may use in any way
//! (ABI 1.2.2.1 and 1.2.2.2). Where such a frame is all that a crossing needs, the crossing opens none: then
//! its frame here *is* those 160 bytes, and `link` in it belongs to the caller.

use crate::frame::{Layout, Ptr, Register, W64};
use crate::{Cpu, G, Interrupted, M, Stack};
use static_assertions::const_assert_eq;

/// s390x, also called z/Architecture, IBM Z and LinuxONE.
#[derive(Clone, Copy, Debug, Default)]
pub struct S390x;
/// The CPU that this module describes.
pub type ThisCpu = S390x;

impl Cpu for S390x {
    const NAME: &'static str = "s390x";
    const REGISTERS: &'static [Register] = REGISTERS;
    const LAYOUTS: &'static [Layout] = LAYOUTS;
    // The old state is stored in the CPU's own page.
    const INTERRUPT_RESERVE: usize = 0;
    type Word = W64;
    type Gobuf = Gobuf;
    type AsmcgocallFrame = AsmcgocallFrame;
    type CatchFrame = CatchFrame;
}

// Numbers: ELF Application Binary Interface, s390x Supplement 1.7, 1.6.1 "DWARF Register Numbers". The
// even-numbered floating-point registers of each half come before the odd-numbered ones.
// Roles and who saves: 1.2.1.1 "Register Preservation Rules".
crate::registers! {
    R0 = 0 "r0" Caller "scratch; no base register";
    R1 = 1 "r1" Caller "scratch; linkage code may change it";
    R2 = 2 "r2" Caller "first argument; result";
    R3 = 3 "r3" Caller "second argument";
    R4 = 4 "r4" Caller "third argument";
    R5 = 5 "r5" Caller "fourth argument";
    R6 = 6 "r6" Callee "fifth argument";
    R7 = 7 "r7" Callee "general";
    R8 = 8 "r8" Callee "general";
    R9 = 9 "r9" Callee "general";
    R10 = 10 "r10" Callee "general";
    R11 = 11 "r11" Callee "frame pointer of functions that allocate dynamically";
    R12 = 12 "r12" Callee "general; GOT pointer of older code";
    R13 = 13 "r13" Callee "general; literal pool pointer of older code";
    R14 = 14 "r14" Caller "return address at entry; DWARF's return address column";
    R15 = 15 "r15" Callee "stack pointer, and with it the innermost frame record";
    F0 = 16 "f0" Caller "first floating-point argument; result";
    F2 = 17 "f2" Caller "second floating-point argument";
    F4 = 18 "f4" Caller "third floating-point argument";
    F6 = 19 "f6" Caller "fourth floating-point argument";
    F1 = 20 "f1" Caller "scratch";
    F3 = 21 "f3" Caller "scratch";
    F5 = 22 "f5" Caller "scratch";
    F7 = 23 "f7" Caller "scratch";
    F8 = 24 "f8" Callee "general; left half of v8";
    F10 = 25 "f10" Callee "general; left half of v10";
    F12 = 26 "f12" Callee "general; left half of v12";
    F14 = 27 "f14" Callee "general; left half of v14";
    F9 = 28 "f9" Callee "general; left half of v9";
    F11 = 29 "f11" Callee "general; left half of v11";
    F13 = 30 "f13" Callee "general; left half of v13";
    F15 = 31 "f15" Callee "general; left half of v15";
    A0 = 48 "a0" Neither "thread pointer, upper half";
    A1 = 49 "a1" Neither "thread pointer, lower half";
    PSWA = 65 "pswa" Neither "address part of the program status word: the program counter";
}

crate::frames! {
    /// Where a g that is not running resumes.
    Memory frame Gobuf {
        /// Stack pointer: the address of a `SwitchFrame`; of a g0 in a callback, of a `CallbackFrame`; of a g0
        /// of a thread that C made, while no callback runs, the end of `M.root`. It is the frame record as
        /// well.
        sp: W64, [R15] "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, crossings, tracebacks";
    }

    /// How every frame begins: what a caller passes at SP to the function that it calls. The slots of the
    /// registers are customary, not prescribed (ABI 1.2.2.2), but for back chains: who keeps one stores r14
    /// and r15 in these (ABI 1.2.2.1).
    Either frame AbiFrame {
        /// Back chain: the address of the frame that this one's owner was passed, 0 at the end. Optional, and
        /// in gcc's and LLVM's code absent unless asked for.
        link: W64, [R15] "the owner" => "tracebacks";
        /// In no use.
        _unused: W64, "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        r2: W64, [R2] "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        r3: W64, [R3] "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        r4: W64, [R4] "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        r5: W64, [R5] "the callee" => "the callee";
        /// General.
        r6: W64, [R6] "the callee" => "the callee, at its end";
        /// General.
        r7: W64, [R7] "the callee" => "the callee, at its end";
        /// General.
        r8: W64, [R8] "the callee" => "the callee, at its end";
        /// General.
        r9: W64, [R9] "the callee" => "the callee, at its end";
        /// General.
        r10: W64, [R10] "the callee" => "the callee, at its end";
        /// General. `asmcgocall` reads it back from here, and not from C, since it may be a frame pointer:
        /// then its value changes when the stack moves.
        r11: W64, [R11] "the callee, `stack_moved`" => "the callee, at its end; tracebacks";
        /// General.
        r12: W64, [R12] "the callee" => "the callee, at its end";
        /// General.
        r13: W64, [R13] "the callee" => "the callee, at its end";
        /// The callee's return address.
        pc: W64, [R14] "the callee" => "the callee, at its end; tracebacks";
        /// The address of this frame, as the callee found it in r15.
        sp: W64, [R15] "the callee, `stack_moved`" => "compiled callees, at their end; call frame information of compiled code";
        /// Argument register, of a variadic callee.
        f0: W64, [F0] "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        f2: W64, [F2] "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        f4: W64, [F4] "the callee" => "the callee";
        /// Argument register, of a variadic callee.
        f6: W64, [F6] "the callee" => "the callee";
    }

    /// The registers that a C function gives back as it found them, in the frame that its caller passed. The
    /// general registers and the return address have the ABI's slots; f8 to f15, for which it has none, those
    /// of the argument registers, which nobody has to save here.
    Either frame CalleeSaved {
        /// The caller's own back chain: not written, and whatever the caller left there.
        link: W64, [R15] "the caller" => "tracebacks";
        /// Left over; the g that was current before `crosscall1` or `sigtramp`.
        former: W64, "`crosscall1`, `sigtramp`" => "their end";
        /// Floating point.
        f8: W64, [F8] "who saves" => "the same, at its end";
        /// Floating point.
        f9: W64, [F9] "who saves" => "the same, at its end";
        /// Floating point.
        f10: W64, [F10] "who saves" => "the same, at its end";
        /// Floating point.
        f11: W64, [F11] "who saves" => "the same, at its end";
        /// General.
        r6: W64, [R6] "who saves" => "the same, at its end";
        /// General.
        r7: W64, [R7] "who saves" => "the same, at its end";
        /// General.
        r8: W64, [R8] "who saves" => "the same, at its end";
        /// General.
        r9: W64, [R9] "who saves" => "the same, at its end";
        /// General.
        r10: W64, [R10] "who saves" => "the same, at its end";
        /// General; perhaps a frame pointer.
        r11: W64, [R11] "who saves, `stack_moved`" => "the same, at its end; tracebacks";
        /// General.
        r12: W64, [R12] "who saves" => "the same, at its end";
        /// General.
        r13: W64, [R13] "who saves" => "the same, at its end";
        /// Return address.
        pc: W64, [R14] "who saves" => "the same, at its end; tracebacks";
        /// The address of this frame.
        sp: W64, [R15] "who saves, `stack_moved`" => "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park` and `mcall`, at their end";
        /// Floating point.
        f12: W64, [F12] "who saves" => "the same, at its end";
        /// Floating point.
        f13: W64, [F13] "who saves" => "the same, at its end";
        /// Floating point.
        f14: W64, [F14] "who saves" => "the same, at its end";
        /// Floating point.
        f15: W64, [F15] "who saves" => "the same, at its end";
    }

    /// What a stack that is left holds at its lower end: of a parked g, and of the m whose `resume` runs a g. It
    /// is the frame that the caller of the switch passed, and has what the compiler cannot be told to keep by
    /// itself; `stackgate_resume`, `stackgate_park` and `mcall` pass a `Crosscall2Frame`. Of a g that has not run
    /// yet it is its `BaseFrame`.
    Either frame SwitchFrame {
        /// The caller's own back chain: not written, and whatever the caller left there.
        link: W64, [R15] "`g_init`, the caller" => "tracebacks";
        /// In no use.
        _save: [W64; 10], "nobody" => "nobody";
        /// Perhaps a frame pointer.
        r11: W64, [R11] "`g_init`, `resume`, `park`, `switch_to`, `mcall`, `stack_moved`" => "the switch back; tracebacks";
        /// In no use.
        _save_middle: [W64; 2], "nobody" => "nobody";
        /// Where `resume` was called, or `park`, `switch_to` and `mcall` go on: for a g that has not run yet,
        /// its beginning.
        pc: W64, [R14] "`g_init`, `resume`, `park`, `switch_to`, `mcall`" => "the switch back; tracebacks";
        /// In no use.
        _save_upper: [W64; 5], "nobody" => "nobody";
    }

    /// The upper end of a managed stack: the frame that the task's first function is passed.
    Managed frame BaseFrame {
        /// Zero: the back chain of a managed stack ends here.
        link: W64, [R15] "`g_init`" => "tracebacks";
        /// Save area of the task's first function, lower part.
        _save: [W64; 13], "the task's first function" => "the same";
        /// Where that function stores its return address; until then, where the g begins.
        pc: W64, [R14] "`g_init`, the task's first function" => "the first `resume`, the same; tracebacks";
        /// Save area of the task's first function, upper part.
        _save_upper: [W64; 5], "the task's first function" => "the same";
        /// The task's first function.
        entry: W64, "`g_init`" => "the entry trampoline";
        /// The `SwitchFrame` of the `resume` that runs this g; on a thread that C made, the end of `M.root`.
        parent: Ptr<SwitchFrame, W64>, "`resume`, `gogo`, `switch_to`, attaching a foreign thread" => "`g_start`, call frame information, `park`, `switch_to` and `finish` in core, throws, `stack_moved`, tracebacks, debuggers";
    }

    /// What `asmcgocall`, `ccall` and `systemstack` leave on the system stack, directly below `g0.sched.sp`:
    /// the frame that C is passed. What lies on the managed stack is [`AsmcgocallFrame::caller`].
    System frame AsmcgocallFrame {
        /// The managed stack's SP at entry: C's back chain goes on there. What the crossing was called with
        /// in r11 and r14 lies in the `AbiFrame` that this designates.
        sp: W64, [R15] "`asmcgocall`, `stack_moved`" => "the way back, `cgocallback`, call frame information, tracebacks";
        /// C's save area.
        _save: [W64; 19], "C" => "C";
        /// The g that called.
        g: Ptr<G<S390x>, W64>, "`asmcgocall`" => "`cgocallback`, tracebacks";
    }

    /// Where a throw lands: the frame that `asmcgocall_catch` opens, and above it the one it was passed.
    Managed frame CatchFrame {
        /// Back chain: the address of `saved`.
        link: W64, [R15] "`asmcgocall_catch`, `stack_moved`" => "tracebacks";
        /// Save area of the call that this frame catches for.
        _save: [W64; 19], "`asmcgocall`" => "the same, at its end";
        /// The next outer place where a throw lands.
        previous: Ptr<CatchFrame, W64>, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`";
        /// `g0.sched.sp` at entry: everything below it is dropped by a throw.
        g0_sp: W64, "`asmcgocall_catch`" => "throws, `throw_to`, tracebacks";
        /// Where the thrown word goes.
        thrown: Ptr<W64, W64>, "`asmcgocall_catch`, `stack_moved`" => "`throw_to`";
        /// The registers of the caller: the C frames that a throw drops may hold them.
        saved: CalleeSaved, "`asmcgocall_catch`, `stack_moved`" => "`asmcgocall_catch` at its end, `throw_to`, tracebacks";
    }

    /// What `cgocallback` leaves on the system stack while managed code runs: the frame that C passed to it.
    /// Its address is C's SP.
    System frame CallbackFrame {
        /// C's own back chain: not written, and 0 or a stale word where C keeps none.
        link: W64, [R15] "C" => "tracebacks of C";
        /// The traceback context of the C frames below the callback; 0 when there is none.
        ctxt: W64, "`cgocallback`, throws" => "throws, tracebacks";
        /// The g that the callback runs on.
        g: Ptr<G<S390x>, W64>, "`cgocallback`" => "tracebacks";
        /// The m.
        m: Ptr<M<S390x>, W64>, "`cgocallback`" => "the way back";
        /// `g0.sched.sp` before: the end of the `AsmcgocallFrame` that this callback came through, and the
        /// address of the next outer `CallbackFrame`, if there is one.
        g0_sp: W64, "`cgocallback`" => "the way back, throws, `stack_moved`, tracebacks, debuggers";
        /// Left over.
        _reserved: [W64; 6], "nobody" => "nobody";
        /// C's, which the crossing uses.
        r11: W64, [R11] "`cgocallback`" => "the way back";
        /// C's, which the crossing uses.
        r12: W64, [R12] "`cgocallback`" => "the way back";
        /// C's, which the crossing uses.
        r13: W64, [R13] "`cgocallback`" => "the way back";
        /// Return address of `cgocallback`: the caller's r14, in its slot at 112 (ABI 1.2.2.2).
        pc: W64, [R14] "`cgocallback`" => "the way back, tracebacks of C";
        /// C's SP: the address of this frame.
        sp: W64, [R15] "`cgocallback`" => "tracebacks of C";
        /// Left over.
        _reserved_upper: [W64; 4], "nobody" => "nobody";
    }

    /// The part of a callback that lies on curg, directly below the managed SP: the frame that the managed
    /// code is passed.
    Managed frame CallbackEntry {
        /// Back chain: the managed SP below C, so that curg's own chain goes on. The return address into that
        /// managed caller is in the `AbiFrame` there.
        link: W64, [R15] "`cgocallback`, `stack_moved`" => "tracebacks";
        /// Save area of the managed code.
        _save: [W64; 19], "the managed code" => "the managed code; tracebacks";
        /// The rest of this callback, on the system stack.
        callback: Ptr<CallbackFrame, W64>, "`cgocallback`" => "the way back, call frame information, tracebacks";
        /// The managed function that runs.
        func: W64, "`cgocallback`" => "nobody: for who reads a stack by eye";
    }

    /// What `crosscall2` keeps for C while managed code without callee-saved registers runs: the frame that
    /// it opens, and above it the one that C passed.
    Either frame Crosscall2Frame {
        /// Back chain: the address of `saved`.
        link: W64, [R15] "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "tracebacks";
        /// The frame's save area: `cgocallback` makes a [`CallbackFrame`] of it, a switch a [`SwitchFrame`].
        _save: [W64; 19], "what is called" => "the same; tracebacks";
        /// Everything that C expects back.
        saved: CalleeSaved, "`crosscall2`, `crosscall1`, `sigtramp`, `stackgate_resume`, `stackgate_park`, `mcall`, `stack_moved`" => "their end";
    }
}

impl AsmcgocallFrame {
    /// The frame that the managed caller passed to the crossing: `link` is the caller's own back chain, `pc`
    /// the return address, and `r11` what may be the caller's frame pointer.
    ///
    /// Runs on any stack; safe in a signal handler.
    #[inline]
    pub fn caller(&self) -> *mut AbiFrame {
        use crate::frame::Word;
        core::ptr::with_exposed_provenance_mut(self.sp.get() as usize)
    }
}

/// The `Gobuf` of a g whose `SwitchFrame` is at `sp`.
///
/// Runs on any stack; safe in a signal handler.
pub fn gobuf(sp: usize) -> Gobuf {
    Gobuf { sp: W64::of(sp as u64) }
}

/// How far below its `BaseFrame` the `SwitchFrame` of a g that has not run yet lies: it is the save area there.
pub const BEGIN_BELOW_BASE: usize = 0;

/// Puts a `SwitchFrame` into the save area of `base`, from which a g begins at `pc`: its `Gobuf`.
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
    Stack::<S390x>::LAYOUT,
    Gobuf::LAYOUT,
    G::<S390x>::LAYOUT,
    M::<S390x>::LAYOUT,
    Interrupted::<S390x>::LAYOUT,
    AbiFrame::LAYOUT,
    CalleeSaved::LAYOUT,
    SwitchFrame::LAYOUT,
    BaseFrame::LAYOUT,
    AsmcgocallFrame::LAYOUT,
    CatchFrame::LAYOUT,
    CallbackFrame::LAYOUT,
    CallbackEntry::LAYOUT,
    Crosscall2Frame::LAYOUT,
];

// The frame that a caller passes is 160 bytes long, and these are its slots: ABI 1.2.2, figures "Standard
// stack frame" and "Register save area usage example".
const_assert_eq!(size_of::<AbiFrame>(), 160);
const_assert_eq!(core::mem::offset_of!(AbiFrame, link), 0);
const_assert_eq!(core::mem::offset_of!(AbiFrame, r2), 16);
const_assert_eq!(core::mem::offset_of!(AbiFrame, r6), 48);
const_assert_eq!(core::mem::offset_of!(AbiFrame, r7), 56);
const_assert_eq!(core::mem::offset_of!(AbiFrame, pc), 112);
const_assert_eq!(core::mem::offset_of!(AbiFrame, sp), 120);
const_assert_eq!(core::mem::offset_of!(AbiFrame, f0), 128);

/// Asserts that each frame begins, or is passed, as the ABI says: 160 bytes with the slots of an [`AbiFrame`].
macro_rules! abi_slots {
    ($($frame:ident: $($slot:ident = $field:ident),+;)+) => {$($(
        const_assert_eq!(core::mem::offset_of!($frame, $field), core::mem::offset_of!(AbiFrame, $slot));
    )+)+};
}
abi_slots! {
    CalleeSaved: link = link, r6 = r6, r7 = r7, r8 = r8, r9 = r9, r10 = r10, r11 = r11, r12 = r12, r13 = r13, pc = pc, sp = sp;
    SwitchFrame: link = link, r11 = r11, pc = pc;
    BaseFrame: link = link, pc = pc;
    AsmcgocallFrame: link = sp;
    CatchFrame: link = link;
    CallbackFrame: link = link, r11 = r11, r12 = r12, r13 = r13, pc = pc, sp = sp;
    CallbackEntry: link = link;
    Crosscall2Frame: link = link;
}
const_assert_eq!(size_of::<CalleeSaved>(), size_of::<AbiFrame>());
const_assert_eq!(size_of::<SwitchFrame>(), size_of::<AbiFrame>());
const_assert_eq!(size_of::<CallbackFrame>(), size_of::<AbiFrame>());
const_assert_eq!(core::mem::offset_of!(BaseFrame, entry), size_of::<AbiFrame>());
const_assert_eq!(core::mem::offset_of!(AsmcgocallFrame, g), size_of::<AbiFrame>());
const_assert_eq!(core::mem::offset_of!(CatchFrame, previous), size_of::<AbiFrame>());
const_assert_eq!(core::mem::offset_of!(CallbackEntry, callback), size_of::<AbiFrame>());
const_assert_eq!(core::mem::offset_of!(Crosscall2Frame, saved), size_of::<AbiFrame>());
// What a crossing is passed ends the frame that it opens below.
const_assert_eq!(core::mem::offset_of!(CatchFrame, saved) + size_of::<AbiFrame>(), size_of::<CatchFrame>());

// SP is a multiple of 8 (ABI 1.2.1.2): so is the size of each frame that a crossing opens.
const_assert_eq!(size_of::<BaseFrame>() % 8, 0);
const_assert_eq!(size_of::<AsmcgocallFrame>() % 8, 0);
const_assert_eq!(size_of::<CatchFrame>() % 8, 0);
const_assert_eq!(size_of::<CallbackEntry>() % 8, 0);
const_assert_eq!(size_of::<Crosscall2Frame>() % 8, 0);

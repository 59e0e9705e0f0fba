//! The frames of the Go commits that this machinery comes from, on i386. For comparison only: no code uses
//! them.
//!
//! The first seed (April 2016, the traceback context) has right offsets on i386. What it lacks: `asmcgocall`
//! dereferences a null g (the second seed adds the path for a thread without one), and on gsignal it switches
//! to g0 and overwrites C's frames there (repaired in 2018); `crosscall2` moves SP behind the assembler's back,
//! so that debuggers lose C below it (repaired in 2017). Go today passes three arguments, the function, its
//! argument block and the context, and keeps the m in the frame on g0.

use crate::frame::W32;
use crate::lineage::{Lineage, Then, WHY_CALL, WHY_CALLBACK, WHY_CROSSCALL2, WHY_ENTRY};
use static_assertions::const_assert_eq;

crate::frames! {
    /// Go's block on the system stack while C runs, `asmcgocall`.
    System frame AsmcgocallBlock {
        /// C's argument.
        arg: W32, "asmcgocall" => "C";
        /// `g.stack.hi` less SP at entry.
        depth: W32, "asmcgocall" => "asmcgocall's return";
        /// The g that called.
        g: W32, "asmcgocall" => "asmcgocall's return";
        /// Free.
        _free: [W32; 5], "nobody" => "nobody";
    }

    /// Go's frame of `cgocallback_gofunc` on g0.
    System frame CgocallbackG0 {
        /// `g0.sched.sp` before.
        g0_sp: W32, "cgocallback_gofunc" => "its end, unwindm";
        /// Free; the m travels in a register. Go today keeps it in the second of these words.
        _free: [W32; 2], "nobody" => "nobody";
        /// Return address.
        pc: W32, "the call" => "the return";
        /// The function, as the address of its address.
        func: W32, "cgocallback" => "cgocallbackg1";
        /// The argument block.
        frame: W32, "cgocallback" => "cgocallbackg1";
        /// Its size.
        framesize: W32, "cgocallback" => "cgocallbackg1";
        /// The traceback context.
        ctxt: W32, "cgocallback" => "cgocallback_gofunc";
    }

    /// Go's frame of `cgocallback_gofunc` on curg, as committed and as intended.
    Managed frame CgocallbackCurg {
        /// The traceback context: the argument of cgocallbackg.
        ctxt: W32, "cgocallback_gofunc" => "cgocallbackg";
        /// The m to give back, or 0.
        oldm: W32, "cgocallback_gofunc" => "its end";
        /// Free.
        _free: W32, "nobody" => "nobody";
        /// `sched.pc` of curg, where a return address would be.
        pc: W32, "cgocallback_gofunc" => "tracebacks";
    }

    /// Go's frame of `crosscall2`.
    System frame Crosscall2 {
        /// Second argument of crosscall2, first of fn.
        a: W32, "crosscall2" => "fn";
        /// Third argument, second of fn.
        n: W32, "crosscall2" => "fn";
        /// Fourth argument, third of fn.
        ctxt: W32, "crosscall2" => "fn";
        /// C's.
        edi: W32, "crosscall2" => "its end";
        /// C's.
        esi: W32, "crosscall2" => "its end";
        /// C's.
        ebx: W32, "crosscall2" => "its end";
        /// C's.
        ebp: W32, "crosscall2" => "its end";
        /// Return address.
        pc: W32, "C's call instruction" => "the return";
    }
}

/// The seed's frames, in the order of the frames that answer to them.
pub const LAYOUTS: &[crate::frame::Layout] =
    &[AsmcgocallBlock::LAYOUT, CgocallbackG0::LAYOUT, CgocallbackCurg::LAYOUT, Crosscall2::LAYOUT];

/// The frames that answer to ours: what was meant, what was committed, what Go does today.
///
/// Numbers of today: golang/go, development of March 2026, the same files, assembled and disassembled.
pub const LINEAGE: &[Lineage] = &[
    Lineage {
        ours: "AsmcgocallFrame",
        intended: AsmcgocallBlock::LAYOUT,
        committed: None,
        today: Then {
            size: 32,
            slots: &[(0, "C's argument"), (4, "depth"), (8, "the g"), (12, "20 bytes, free")],
            note: "On g0 and gsignal Go builds the same block without a switch; for a thread without a g the second word is SP itself.",
        },
        why: WHY_CALL,
        here: "C's argument lies below our frame, where the convention wants it at the call, and is no part of it.",
    },
    Lineage {
        ours: "CallbackFrame",
        intended: CgocallbackG0::LAYOUT,
        committed: None,
        today: Then {
            size: 28,
            slots: &[
                (0, "`g0.sched.sp` before"),
                (4, "free"),
                (8, "the m to give back"),
                (12, "return address"),
                (16, "fn"),
                (20, "frame"),
                (24, "ctxt"),
            ],
            note: "One function since 2020; the size of the argument block is gone.",
        },
        why: WHY_CALLBACK,
        here: "",
    },
    Lineage {
        ours: "CallbackEntry",
        intended: CgocallbackCurg::LAYOUT,
        committed: None,
        today: Then {
            size: 16,
            slots: &[(0, "fn"), (4, "frame"), (8, "ctxt"), (12, "`sched.pc` of curg")],
            note: "The three arguments of the function that runs the callback.",
        },
        why: WHY_ENTRY,
        here: "Arguments travel on the stack here: ours has them too, and below them nothing.",
    },
    Lineage {
        ours: "Crosscall2Frame",
        intended: Crosscall2::LAYOUT,
        committed: None,
        today: Then {
            size: 32,
            slots: &[
                (0, "fn"),
                (4, "a"),
                (8, "ctxt"),
                (12, "edi"),
                (16, "esi"),
                (20, "ebx"),
                (24, "ebp"),
                (28, "return address"),
            ],
            note: "`n` is dropped. The frame is declared since 2017, so that debuggers see through it.",
        },
        why: WHY_CROSSCALL2,
        here: "The arguments are pushed again below our frame.",
    },
];

// Numbers: golang/go, the commit "use cgo context function" of 2016-04, `runtime/asm_386.s` and
// `runtime/cgo/asm_386.s`, assembled and disassembled.
const_assert_eq!(size_of::<AsmcgocallBlock>(), 32);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, arg), 0);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, depth), 4);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, g), 8);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, g0_sp), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, pc), 12);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, func), 16);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, ctxt), 28);
const_assert_eq!(size_of::<CgocallbackCurg>(), 16);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, ctxt), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, oldm), 4);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, pc), 12);
const_assert_eq!(core::mem::offset_of!(Crosscall2, edi), 12);
const_assert_eq!(core::mem::offset_of!(Crosscall2, ebp), 24);
const_assert_eq!(core::mem::offset_of!(Crosscall2, pc), 28);

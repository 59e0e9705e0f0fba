//! The frames of the Go commits that this machinery comes from, on arm64. For comparison only: no code uses
//! them.
//!
//! The first seed (April 2016, the traceback context) is wrong on arm64 as committed: on curg it exchanged
//! the return PC and the context. The structures here are what it meant; [`CgocallbackCurg`] says what it
//! did. Go repaired it the same day.
//!
//! Identity to read them by: a Go frame of a CPU with a link register keeps its return address at its own
//! lower end, and its outgoing arguments behind that word.

use crate::frame::W64;
use crate::lineage::{Lineage, Then, WHY_CALL, WHY_CALLBACK, WHY_CROSSCALL2, WHY_ENTRY};
use static_assertions::const_assert_eq;

crate::frames! {
    /// Go's block on the system stack while C runs, `asmcgocall`; the same today. On the path without a
    /// switch Go today writes it as {0, SP}, the seed not at all: it has no such path for a null g.
    System frame AsmcgocallBlock {
        /// The g that called.
        g: W64, "asmcgocall" => "asmcgocall's return";
        /// `g.stack.hi` less SP at entry.
        depth: W64, "asmcgocall" => "asmcgocall's return";
    }

    /// Go's frame of `cgocallback_gofunc` on g0, with the outgoing area of `cgocallback` above it. Today the
    /// two are one function with 48 bytes: return address 0, `g0.sched.sp` 16, the m 24.
    System frame CgocallbackG0 {
        /// Return address.
        pc: W64, "cgocallback_gofunc" => "the return";
        /// Free.
        _free: W64, "nobody" => "nobody";
        /// `g0.sched.sp` before.
        g0_sp: W64, "cgocallback_gofunc" => "its end, unwindm";
        /// The m to give back, or 0.
        oldm: W64, "cgocallback_gofunc" => "its end";
        /// Return address of `cgocallback`.
        caller_pc: W64, "cgocallback" => "its end";
        /// The function, as the address of its address.
        func: W64, "cgocallback" => "cgocallbackg1";
        /// The argument block.
        frame: W64, "cgocallback" => "cgocallbackg1";
        /// Its size.
        framesize: W64, "cgocallback" => "cgocallbackg1";
        /// The traceback context.
        ctxt: W64, "cgocallback" => "cgocallback_gofunc";
    }

    /// Go's frame of `cgocallback_gofunc` on curg, as intended.
    ///
    /// As committed the two first words are exchanged: PC at 8 and context at 0. The callee took a code
    /// address for the context, and `sched.pc` became the context. Today it holds three arguments at 8, 16
    /// and 24, with the return address at 0, in 48 bytes, and curg's frame pointer below SP.
    Managed frame CgocallbackCurg {
        /// `sched.pc` of curg, where a return address would be.
        pc: W64, "cgocallback_gofunc" => "tracebacks, its end";
        /// The traceback context: the argument of cgocallbackg.
        ctxt: W64, "cgocallback_gofunc" => "cgocallbackg";
        /// Free.
        _free: [W64; 2], "nobody" => "nobody";
    }

    /// Go's frame of `crosscall2`. Today the words up to x28 are the same but for the arguments (function,
    /// argument, context), d8 to d15 follow at 112, and x29 and x30 come last.
    System frame Crosscall2 {
        /// Free: a return address would lie here.
        _free: W64, "nobody" => "nobody";
        /// Second argument of crosscall2, first of fn.
        a: W64, "crosscall2" => "fn";
        /// Third argument, second of fn.
        n: W64, "crosscall2" => "fn";
        /// Fourth argument, third of fn.
        ctxt: W64, "crosscall2" => "fn";
        /// C's x19 to x28; x28 is Go's g.
        x19_to_x28: [W64; 10], "crosscall2" => "its end";
        /// C's frame pointer. Nothing points at the record that it and the next word form.
        x29: W64, "crosscall2" => "its end";
        /// Return address.
        x30: W64, "crosscall2" => "the return";
        /// C's d8 to d15.
        d8_to_d15: [W64; 8], "crosscall2" => "its end";
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
            size: 16,
            slots: &[(0, "the g"), (8, "depth")],
            note: "Without a switch the same words are zero and SP itself; the seed has no such path for a thread without a g.",
        },
        why: WHY_CALL,
        here: "",
    },
    Lineage {
        ours: "CallbackFrame",
        intended: CgocallbackG0::LAYOUT,
        committed: None,
        today: Then {
            size: 80,
            slots: &[
                (-8, "x29, below SP"),
                (0, "return address"),
                (8, "free"),
                (16, "`g0.sched.sp` before"),
                (24, "the m to give back"),
                (32, "free"),
                (48, "return address of the caller"),
                (56, "fn"),
                (64, "frame"),
                (72, "ctxt"),
            ],
            note: "48 bytes of its own, then the caller's. Go keeps a frame pointer below SP.",
        },
        why: WHY_CALLBACK,
        here: "Ours keeps nothing below SP: a signal handler may write there.",
    },
    Lineage {
        ours: "CallbackEntry",
        intended: CgocallbackCurg::LAYOUT,
        committed: Some(Then {
            size: 32,
            slots: &[(0, "ctxt"), (8, "`sched.pc` of curg"), (16, "16 bytes, free")],
            note: "The two words are exchanged: the callee takes a code address for the context, and curg's PC becomes the context. Repaired the same day.",
        }),
        today: Then {
            size: 48,
            slots: &[
                (-8, "curg's x29, below SP"),
                (0, "`sched.pc` of curg"),
                (8, "fn"),
                (16, "frame"),
                (24, "ctxt"),
                (32, "16 bytes, free"),
            ],
            note: "Curg's frame pointer lets walks by frame pointer go on.",
        },
        why: WHY_ENTRY,
        here: "",
    },
    Lineage {
        ours: "Crosscall2Frame",
        intended: Crosscall2::LAYOUT,
        committed: None,
        today: Then {
            size: 192,
            slots: &[
                (0, "free"),
                (8, "fn"),
                (16, "a"),
                (24, "ctxt"),
                (32, "x19 to x28"),
                (112, "d8 to d15"),
                (176, "x29"),
                (184, "x30"),
            ],
            note: "Nothing describes the frame to unwinders.",
        },
        why: WHY_CROSSCALL2,
        here: "Ours puts x29 and x30 last as Go does today, as a record that x29 designates.",
    },
];

// Numbers: golang/go, the commit "use cgo context function" of 2016-04, `runtime/asm_arm64.s` and
// `runtime/cgo/asm_arm64.s`, assembled and disassembled; for CgocallbackCurg the repair of the same day.
const_assert_eq!(size_of::<AsmcgocallBlock>(), 16);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, g), 0);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, depth), 8);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, pc), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, g0_sp), 16);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, oldm), 24);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, func), 40);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, ctxt), 64);
const_assert_eq!(size_of::<CgocallbackCurg>(), 32);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, pc), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, ctxt), 8);
const_assert_eq!(size_of::<Crosscall2>(), 192);
const_assert_eq!(core::mem::offset_of!(Crosscall2, ctxt), 24);
const_assert_eq!(core::mem::offset_of!(Crosscall2, x19_to_x28), 32);
const_assert_eq!(core::mem::offset_of!(Crosscall2, x29), 112);
const_assert_eq!(core::mem::offset_of!(Crosscall2, x30), 120);
const_assert_eq!(core::mem::offset_of!(Crosscall2, d8_to_d15), 128);

//! The frames of the Go commits that this machinery comes from, on arm. For comparison only: no code uses
//! them.
//!
//! As committed, the first seed (April 2016, the traceback context) stores the return PC and the context of
//! its callback where these frames say, but takes curg's PC back from the context's place. It meant the
//! return PC at 0; Go corrected that within days. It did not save d8 to d15 in `crosscall2` either, which C
//! expects back; Go does since May 2016, in a frame of 124 bytes, which leaves SP at 4 modulo 8 in what it
//! calls. Go's code has no callee-saved registers, so its `asmcgocall` keeps none.
//!
//! We keep d8 to d15 wherever registers are kept, SP a multiple of 8 at every call, and the context in the
//! callback's own frame on the system stack.

use crate::frame::W32;
use crate::lineage::{Lineage, Then, WHY_CALL, WHY_CALLBACK, WHY_CROSSCALL2, WHY_ENTRY};
use static_assertions::const_assert_eq;

crate::frames! {
    /// Go's block on the system stack while C runs, `asmcgocall`.
    System frame AsmcgocallBlock {
        /// Free.
        _free: [W32; 4], "nobody" => "nobody";
        /// `g.stack.hi` less SP at entry.
        depth: W32, "asmcgocall" => "asmcgocall's return";
        /// The g that called.
        g: W32, "asmcgocall" => "asmcgocall's return";
    }

    /// Go's frame of `cgocallback_gofunc` on g0.
    System frame CgocallbackG0 {
        /// Return address.
        pc: W32, "cgocallback_gofunc" => "its end";
        /// `g0.sched.sp` before.
        g0_sp: W32, "cgocallback_gofunc" => "its end, unwindm";
        /// The m to give back, or 0.
        oldm: W32, "cgocallback_gofunc" => "its end";
        /// Return address of `cgocallback`, whose arguments follow.
        caller_pc: W32, "cgocallback" => "its end";
        /// The function, as the address of its address.
        func: W32, "cgocallback" => "cgocallbackg1";
        /// The argument block.
        frame: W32, "cgocallback" => "cgocallbackg1";
        /// Its size.
        framesize: W32, "cgocallback" => "cgocallbackg1";
        /// The traceback context.
        ctxt: W32, "cgocallback" => "cgocallback_gofunc";
    }

    /// Go's frame of `cgocallback_gofunc` on curg, as intended.
    Managed frame CgocallbackCurg {
        /// `sched.pc` of curg, where a return address would be. The seed read it back from the word above.
        pc: W32, "cgocallback_gofunc" => "tracebacks, cgocallback_gofunc";
        /// The traceback context: the argument of cgocallbackg.
        ctxt: W32, "cgocallback_gofunc" => "cgocallbackg";
        /// Free.
        _free: W32, "nobody" => "nobody";
    }

    /// Go's frame of `crosscall2`.
    System frame Crosscall2 {
        /// First argument of crosscall2: the function, which is called from here.
        func: W32, "crosscall2" => "crosscall2";
        /// Second argument of crosscall2, first of fn.
        a: W32, "crosscall2" => "fn";
        /// Third argument, second of fn.
        n: W32, "crosscall2" => "fn";
        /// Fourth argument, third of fn.
        ctxt: W32, "crosscall2" => "fn";
        /// C's.
        r4: W32, "crosscall2" => "its end";
        /// C's.
        r5: W32, "crosscall2" => "its end";
        /// C's.
        r6: W32, "crosscall2" => "its end";
        /// C's.
        r7: W32, "crosscall2" => "its end";
        /// C's.
        r8: W32, "crosscall2" => "its end";
        /// C's.
        r9: W32, "crosscall2" => "its end";
        /// C's; Go's g.
        r10: W32, "crosscall2" => "its end";
        /// C's.
        r11: W32, "crosscall2" => "its end";
        /// Scratch; saved for no reason.
        r12: W32, "crosscall2" => "its end";
        /// Return address.
        pc: W32, "crosscall2" => "the return";
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
            size: 24,
            slots: &[(0, "16 bytes, free"), (16, "depth"), (20, "the g")],
            note: "Without a switch the last two words are SP itself and zero.",
        },
        why: WHY_CALL,
        here: "EHABI cannot compute a stack pointer, it can only load one: so ours has the managed SP as a word, and both registers that code uses as a frame pointer.",
    },
    Lineage {
        ours: "CallbackFrame",
        intended: CgocallbackG0::LAYOUT,
        committed: None,
        today: Then {
            size: 32,
            slots: &[
                (0, "return address"),
                (4, "`g0.sched.sp` before"),
                (8, "free"),
                (12, "the m to give back"),
                (16, "return address of the caller"),
                (20, "fn"),
                (24, "frame"),
                (28, "ctxt"),
            ],
            note: "16 bytes of its own, then the caller's.",
        },
        why: WHY_CALLBACK,
        here: "Go's SP is 4 modulo 8 here; ours is a multiple of 8 at every call.",
    },
    Lineage {
        ours: "CallbackEntry",
        intended: CgocallbackCurg::LAYOUT,
        committed: Some(Then {
            size: 12,
            slots: &[(0, "`sched.pc` of curg"), (4, "ctxt; the PC is taken back from here"), (8, "free")],
            note: "The words are written where the seed meant them, and on the way back curg's PC is loaded from the context's place: curg resumes at the context. Corrected within days.",
        }),
        today: Then {
            size: 16,
            slots: &[(0, "`sched.pc` of curg"), (4, "fn"), (8, "frame"), (12, "ctxt")],
            note: "",
        },
        why: WHY_ENTRY,
        here: "",
    },
    Lineage {
        ours: "Crosscall2Frame",
        intended: Crosscall2::LAYOUT,
        committed: None,
        today: Then {
            size: 124,
            slots: &[
                (0, "return address"),
                (4, "fn"),
                (8, "a"),
                (12, "ctxt"),
                (16, "r4 to r12"),
                (52, "8 bytes, free"),
                (60, "d8 to d15"),
            ],
            note: "The seed lost d8 to d15, which C expects back; Go saves them since May 2016, except on soft-float.",
        },
        why: WHY_CROSSCALL2,
        here: "Ours saves neither r12, which is scratch, nor the arguments, and does save d8 to d15.",
    },
];

// Numbers: golang/go, the commit "use cgo context function" of 2016-04, `runtime/asm_arm.s` and
// `runtime/cgo/asm_arm.s`, assembled and disassembled.
const_assert_eq!(size_of::<AsmcgocallBlock>(), 24);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, depth), 16);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, g), 20);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, pc), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, g0_sp), 4);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, oldm), 8);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, func), 16);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, ctxt), 28);
const_assert_eq!(size_of::<CgocallbackCurg>(), 12);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, pc), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, ctxt), 4);
const_assert_eq!(size_of::<Crosscall2>(), 56);
const_assert_eq!(core::mem::offset_of!(Crosscall2, a), 4);
const_assert_eq!(core::mem::offset_of!(Crosscall2, r4), 16);
const_assert_eq!(core::mem::offset_of!(Crosscall2, r12), 48);
const_assert_eq!(core::mem::offset_of!(Crosscall2, pc), 52);

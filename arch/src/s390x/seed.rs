//! The frames of the Go commits that this machinery comes from, on s390x. For comparison only: no code uses
//! them.
//!
//! What the first seed (April 2016, the traceback context) did here, what it meant, and what Go does today:
//!
//! * `asmcgocall` as here: a frame of the C ABI, and behind it the depth and the g. Its back chain word is
//!   zero, so that C's chain ends there; ours goes on on the managed stack. It has no path for a thread
//!   without a g, and Go has none today: the null g is dereferenced.
//! * `cgocallback` is right; only its comment names the wrong slot as free. The frame on curg is of the size of
//!   the one on g0, and neither has a save area for C-ABI code. Go's today is 32 bytes, the m at 24.
//! * `crosscall2` saved f0, f2, f4 and f6, which belong to nobody over a call, and lost f8 to f15, which C
//!   expects back; and its restores of the four had their operands exchanged, so that they stored once more.
//!   It meant what Go has done since December 2016: f8 to f15 in a frame of its own, 96 bytes long, and loads
//!   at its end. Below stands that, with the seed's own three words of arguments.
//!
//! Ours saves r6 to r15 where both do, in the ABI's slots of the frame that C passes, and f8 to f15 in slots of
//! the same frame that argument registers would have.

use crate::frame::{W32, W64};
use crate::lineage::{Lineage, Then, WHY_CALL, WHY_CALLBACK, WHY_CROSSCALL2, WHY_ENTRY};
use static_assertions::const_assert_eq;

crate::frames! {
    /// Go's block on the system stack while C runs, `asmcgocall`.
    System frame AsmcgocallBlock {
        /// Back chain: zero.
        link: W64, "asmcgocall" => "tracebacks of C";
        /// C's save area.
        _save: [W64; 19], "C" => "C";
        /// `g.stack.hi` less SP at entry.
        depth: W64, "asmcgocall" => "asmcgocall's return";
        /// The g that called.
        g: W64, "asmcgocall" => "asmcgocall's return";
    }

    /// Go's frame of `cgocallback_gofunc` on g0, and above it what `cgocallback` passes.
    System frame CgocallbackG0 {
        /// Return address: a Go frame keeps its own at its lower end.
        pc: W64, "cgocallback_gofunc" => "the return";
        /// `g0.sched.sp` before.
        g0_sp: W64, "cgocallback_gofunc" => "its end, unwindm";
        /// The m to give back, or 0.
        oldm: W64, "cgocallback_gofunc" => "its end";
        /// Return address of `cgocallback`.
        caller_pc: W64, "cgocallback" => "the return";
        /// The function, as the address of its address.
        func: W64, "cgocallback" => "cgocallbackg1";
        /// The argument block.
        frame: W64, "cgocallback" => "cgocallbackg1";
        /// Its size.
        framesize: W64, "cgocallback" => "cgocallbackg1";
        /// The traceback context.
        ctxt: W64, "cgocallback" => "cgocallback_gofunc";
    }

    /// Go's frame of `cgocallback_gofunc` on curg, as committed and as intended.
    Managed frame CgocallbackCurg {
        /// `sched.pc` of curg, where a return address would be.
        pc: W64, "cgocallback_gofunc" => "tracebacks";
        /// The traceback context: the argument of cgocallbackg.
        ctxt: W64, "cgocallback_gofunc" => "cgocallbackg";
        /// Free.
        _free: W64, "nobody" => "nobody";
    }

    /// Go's frame of `crosscall2` as intended, and above it the one that C passes.
    System frame Crosscall2 {
        /// Return address of what it calls, by Go's convention.
        _pc: W64, "fn" => "fn";
        /// Second argument of crosscall2, first of fn.
        a: W64, "crosscall2" => "fn";
        /// Third argument, second of fn: an `int`, stored as one.
        n: W32, "crosscall2" => "fn";
        /// Free: on this CPU the upper half of a word comes first.
        _n_rest: W32, "nobody" => "nobody";
        /// Fourth argument, third of fn.
        ctxt: W64, "crosscall2" => "fn";
        /// C's f8 to f15. The seed as committed does not have them.
        f8_to_f15: [W64; 8], "crosscall2" => "its end";
        /// C's back chain and the slots of r2 to r5.
        _caller: [W64; 6], "C" => "C";
        /// C's.
        r6: W64, "crosscall2" => "its end";
        /// C's r7 to r13.
        r7_to_r13: [W64; 7], "crosscall2" => "its end";
        /// Return address.
        pc: W64, "crosscall2" => "its end";
        /// C's SP.
        sp: W64, "crosscall2" => "its end";
        /// Where the seed as committed stores f0, f2, f4 and f6, twice.
        _f0_to_f6: [W64; 4], "crosscall2" => "nobody";
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
            size: 176,
            slots: &[(0, "back chain: zero"), (8, "C's save area"), (160, "depth"), (168, "the g")],
            note: "There is no path for a thread without a g, as in the seed: a null g is dereferenced.",
        },
        why: WHY_CALL,
        here: "Ours has a true back chain in the first word, which is the managed SP at once.",
    },
    Lineage {
        ours: "CallbackFrame",
        intended: CgocallbackG0::LAYOUT,
        committed: None,
        today: Then {
            size: 64,
            slots: &[
                (0, "return address"),
                (8, "`g0.sched.sp` before"),
                (16, "free"),
                (24, "the m to give back"),
                (32, "return address of the caller"),
                (40, "fn"),
                (48, "frame"),
                (56, "ctxt"),
            ],
            note: "32 bytes of its own, then the caller's.",
        },
        why: WHY_CALLBACK,
        here: "Ours opens nothing: it lies in the 160 bytes that C passes to whom it calls.",
    },
    Lineage {
        ours: "CallbackEntry",
        intended: CgocallbackCurg::LAYOUT,
        committed: None,
        today: Then {
            size: 32,
            slots: &[(0, "`sched.pc` of curg"), (8, "fn"), (16, "frame"), (24, "ctxt")],
            note: "",
        },
        why: WHY_ENTRY,
        here: "C-ABI code expects 160 bytes at SP that it may write to; ours has them.",
    },
    Lineage {
        ours: "Crosscall2Frame",
        intended: Crosscall2::LAYOUT,
        committed: Some(Then {
            size: 192,
            slots: &[
                (0, "free"),
                (8, "a"),
                (16, "n, four bytes"),
                (24, "ctxt"),
                (32, "C's frame begins"),
                (80, "r6 to r15"),
                (160, "f0, f2, f4, f6"),
            ],
            note: "Saves four registers that belong to nobody over a call and loses f8 to f15, which C expects back; and its restores of the four store once more, since their operands are exchanged. Repaired in December 2016.",
        }),
        today: Then {
            size: 256,
            slots: &[
                (0, "free"),
                (8, "fn"),
                (16, "a"),
                (24, "ctxt"),
                (32, "f8 to f15"),
                (96, "C's frame begins"),
                (144, "r6 to r15"),
            ],
            note: "",
        },
        why: WHY_CROSSCALL2,
        here: "Ours saves r6 to r15 where both do, in the frame that C passes, and f8 to f15 in slots of the same frame.",
    },
];

// Numbers: golang/go, the commit "use cgo context function" of 2016-04, `runtime/asm_s390x.s` and
// `runtime/cgo/asm_s390x.s`, assembled and disassembled; f8 to f15 as the fix of issue 18035 (06fcc32d14) places them.
const_assert_eq!(size_of::<AsmcgocallBlock>(), 176);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, depth), 160);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, g), 168);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, g0_sp), 8);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, oldm), 16);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, caller_pc), 24);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, func), 32);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, ctxt), 56);
const_assert_eq!(size_of::<CgocallbackCurg>(), 24);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, pc), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, ctxt), 8);
const_assert_eq!(core::mem::offset_of!(Crosscall2, a), 8);
const_assert_eq!(core::mem::offset_of!(Crosscall2, n), 16);
const_assert_eq!(core::mem::offset_of!(Crosscall2, ctxt), 24);
const_assert_eq!(core::mem::offset_of!(Crosscall2, f8_to_f15), 32);
// C's frame begins at 96, and what is saved in it lies in the ABI's slots: r6 at 48, r15 at 120, f0 at 128.
const_assert_eq!(core::mem::offset_of!(Crosscall2, _caller), 96);
const_assert_eq!(core::mem::offset_of!(Crosscall2, r6), 96 + 48);
const_assert_eq!(core::mem::offset_of!(Crosscall2, sp), 96 + 120);
const_assert_eq!(core::mem::offset_of!(Crosscall2, _f0_to_f6), 96 + 128);

//! The frames of the Go commits that this machinery comes from, on ppc64le. For comparison only: no code uses
//! them.
//!
//! A Go frame begins with what looks like the ABI's header, but keeps the return address of its own function in
//! the first word, where the ABI has the back chain: no C unwinder can follow it.
//!
//! The first seed (April 2016, the traceback context) is wrong on ppc64le as committed. Its layouts here are
//! those it meant; the notes say what it did, and what Go does today. It was repaired the next month.

use crate::frame::W64;
use crate::lineage::{Lineage, Then, WHY_CALL, WHY_CALLBACK, WHY_CROSSCALL2, WHY_ENTRY};
use static_assertions::const_assert_eq;

crate::frames! {
    /// Go's block on the system stack while C runs, `asmcgocall`. Unchanged today. Where g is null, g0 or
    /// gsignal, the seed still switched, and wrote over live C frames in a signal handler; Go today calls where
    /// it stands, in a block of 40 bytes rounded to 16 whose back chain it leaves as it finds it. Ours is as
    /// large, has a true back chain and r31 where this has the depth.
    System frame AsmcgocallBlock {
        /// Zero, so that C's back chain ends here.
        back_chain: W64, "asmcgocall" => "C unwinders";
        /// CR, LR and TOC words of the ABI.
        _linkage: [W64; 3], "C" => "C";
        /// `g.stack.hi` less SP at entry.
        depth: W64, "asmcgocall" => "asmcgocall's return";
        /// The g that called.
        g: W64, "asmcgocall" => "asmcgocall's return";
    }

    /// Go's frame of `cgocallback_gofunc` on g0. Today 56 bytes, the m at 48: no multiple of 16, so that Go
    /// code runs on an SP that C code could not.
    System frame CgocallbackG0 {
        /// Return address.
        lr: W64, "cgocallback_gofunc" => "its end";
        /// The other words of the header.
        _header: [W64; 3], "nobody" => "nobody";
        /// `g0.sched.sp` before.
        g0_sp: W64, "cgocallback_gofunc" => "its end, unwindm";
        /// The m to give back, or 0.
        oldm: W64, "cgocallback_gofunc" => "its end";
        /// The caller's header.
        _caller: [W64; 4], "cgocallback" => "cgocallback";
        /// The function, as the address of its address.
        func: W64, "cgocallback" => "cgocallbackg1";
        /// The argument block.
        frame: W64, "cgocallback" => "cgocallbackg1";
        /// Its size.
        framesize: W64, "cgocallback" => "cgocallbackg1";
        /// The traceback context. The seed declared room for three arguments and read this one all the same.
        ctxt: W64, "cgocallback" => "cgocallback_gofunc";
    }

    /// Go's frame of `cgocallback_gofunc` on curg, as intended. As committed the PC went to 8 and the context to
    /// 0, where tracebacks and the return look for the PC; the argument at 32 was never written, and for two
    /// instructions the context was in r1, the stack pointer. Today 56 bytes with three arguments at 32.
    Managed frame CgocallbackCurg {
        /// `sched.pc` of curg, where a return address is.
        pc: W64, "cgocallback_gofunc" => "tracebacks";
        /// The other words of the header.
        _header: [W64; 3], "nobody" => "nobody";
        /// The traceback context: the argument of cgocallbackg.
        ctxt: W64, "cgocallback_gofunc" => "cgocallbackg";
        /// Free.
        _free: W64, "nobody" => "nobody";
    }

    /// Go's frame of `crosscall2`, as intended. As committed it allocated 344 bytes and freed 336, so that every
    /// register came back from eight bytes beside its place, and the return address with them; 344 is no
    /// multiple of 16 either. It saved r2 at 24 of C's frame, which is not its own, and lost CR2 to CR4 and v20
    /// to v31. Today: 544 bytes, a back chain, r2 at 24 of its own frame, CR and v20 to v31 (from 2023) as well.
    System frame Crosscall2 {
        /// The header.
        _header: [W64; 4], "nobody" => "nobody";
        /// Second argument of crosscall2, first of fn.
        a: W64, "crosscall2" => "fn";
        /// Third argument, second of fn.
        n: W64, "crosscall2" => "fn";
        /// Fourth argument, third of fn.
        ctxt: W64, "crosscall2" => "fn";
        /// C's.
        r14: W64, "crosscall2" => "its end";
        /// C's.
        r15: W64, "crosscall2" => "its end";
        /// C's.
        r16: W64, "crosscall2" => "its end";
        /// C's.
        r17: W64, "crosscall2" => "its end";
        /// C's.
        r18: W64, "crosscall2" => "its end";
        /// C's.
        r19: W64, "crosscall2" => "its end";
        /// C's.
        r20: W64, "crosscall2" => "its end";
        /// C's.
        r21: W64, "crosscall2" => "its end";
        /// C's.
        r22: W64, "crosscall2" => "its end";
        /// C's.
        r23: W64, "crosscall2" => "its end";
        /// C's.
        r24: W64, "crosscall2" => "its end";
        /// C's.
        r25: W64, "crosscall2" => "its end";
        /// C's.
        r26: W64, "crosscall2" => "its end";
        /// C's.
        r27: W64, "crosscall2" => "its end";
        /// C's.
        r28: W64, "crosscall2" => "its end";
        /// C's.
        r29: W64, "crosscall2" => "its end";
        /// C's; Go keeps g in it.
        r30: W64, "crosscall2" => "its end";
        /// C's.
        r31: W64, "crosscall2" => "its end";
        /// C's.
        f14: W64, "crosscall2" => "its end";
        /// C's.
        f15: W64, "crosscall2" => "its end";
        /// C's.
        f16: W64, "crosscall2" => "its end";
        /// C's.
        f17: W64, "crosscall2" => "its end";
        /// C's.
        f18: W64, "crosscall2" => "its end";
        /// C's.
        f19: W64, "crosscall2" => "its end";
        /// C's.
        f20: W64, "crosscall2" => "its end";
        /// C's.
        f21: W64, "crosscall2" => "its end";
        /// C's.
        f22: W64, "crosscall2" => "its end";
        /// C's.
        f23: W64, "crosscall2" => "its end";
        /// C's.
        f24: W64, "crosscall2" => "its end";
        /// C's.
        f25: W64, "crosscall2" => "its end";
        /// C's.
        f26: W64, "crosscall2" => "its end";
        /// C's.
        f27: W64, "crosscall2" => "its end";
        /// C's.
        f28: W64, "crosscall2" => "its end";
        /// C's.
        f29: W64, "crosscall2" => "its end";
        /// C's.
        f30: W64, "crosscall2" => "its end";
        /// C's.
        f31: W64, "crosscall2" => "its end";
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
            size: 48,
            slots: &[(0, "back chain: zero"), (8, "CR, LR and TOC words"), (32, "depth"), (40, "the g")],
            note: "Without a switch, 40 bytes rounded to 16 with SP at 32, whose back chain word is left as it was found.",
        },
        why: WHY_CALL,
        here: "Ours is as large, with a true back chain.",
    },
    Lineage {
        ours: "CallbackFrame",
        intended: CgocallbackG0::LAYOUT,
        committed: None,
        today: Then {
            size: 112,
            slots: &[
                (0, "return address"),
                (8, "the other words of the header"),
                (32, "`g0.sched.sp` before"),
                (40, "free"),
                (48, "the m to give back"),
                (56, "the caller's header"),
                (88, "fn"),
                (96, "frame"),
                (104, "ctxt"),
            ],
            note: "56 bytes of its own are no multiple of 16, so that Go code runs on an SP that C code could not.",
        },
        why: WHY_CALLBACK,
        here: "SP stays a multiple of 16 in ours, and C's return address lies where the ABI has it, in C's frame.",
    },
    Lineage {
        ours: "CallbackEntry",
        intended: CgocallbackCurg::LAYOUT,
        committed: Some(Then {
            size: 48,
            slots: &[
                (0, "ctxt"),
                (8, "`sched.pc` of curg"),
                (16, "16 bytes, unwritten"),
                (32, "the argument, never written"),
                (40, "free"),
            ],
            note: "Tracebacks and the return look for the PC where the context is. For two instructions the context is in r1, the stack pointer. Repaired the next month.",
        }),
        today: Then {
            size: 56,
            slots: &[
                (0, "`sched.pc` of curg"),
                (8, "the other words of the header"),
                (32, "fn"),
                (40, "frame"),
                (48, "ctxt"),
            ],
            note: "",
        },
        why: WHY_ENTRY,
        here: "",
    },
    Lineage {
        ours: "Crosscall2Frame",
        intended: Crosscall2::LAYOUT,
        committed: Some(Then {
            size: 344,
            slots: &[
                (0, "the header"),
                (32, "a"),
                (40, "n"),
                (48, "ctxt"),
                (56, "r14 to r31"),
                (200, "f14 to f31"),
            ],
            note: "Allocates 344 bytes and frees 336: each register comes back from eight bytes beside its place, and the return address with them. 344 is no multiple of 16. r2 goes to 24 of C's frame, which is not this function's.",
        }),
        today: Then {
            size: 544,
            slots: &[
                (0, "back chain"),
                (8, "CR and LR words of callees"),
                (24, "r2"),
                (32, "fn"),
                (40, "a"),
                (48, "ctxt"),
                (56, "pad"),
                (64, "r14 to r31"),
                (208, "f14 to f31"),
                (352, "v20 to v31"),
            ],
            note: "CR is saved since 2017, r2 in the frame itself later, v20 to v31 since 2023; LR and CR lie in C's frame.",
        },
        why: WHY_CROSSCALL2,
        here: "Ours saves the same set but for r2, which a linker's stub keeps in the frame's header where a call leaves the module.",
    },
];

// Numbers: golang/go, the commit "use cgo context function" of 2016-04, `runtime/asm_ppc64x.s` and
// `runtime/cgo/asm_ppc64x.s`, assembled and disassembled; where they contradict each other, what was meant.
const_assert_eq!(size_of::<AsmcgocallBlock>(), 48);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, depth), 32);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, g), 40);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, lr), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, g0_sp), 32);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, oldm), 40);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, func), 80);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, ctxt), 104);
const_assert_eq!(size_of::<CgocallbackCurg>(), 48);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, pc), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, ctxt), 32);
const_assert_eq!(size_of::<Crosscall2>(), 344);
const_assert_eq!(core::mem::offset_of!(Crosscall2, a), 32);
const_assert_eq!(core::mem::offset_of!(Crosscall2, n), 40);
const_assert_eq!(core::mem::offset_of!(Crosscall2, ctxt), 48);
// From C's SP: r14 at -288, r31 at -152, f14 at -144, f31 at -8.
const_assert_eq!(size_of::<Crosscall2>() - core::mem::offset_of!(Crosscall2, r14), 288);
const_assert_eq!(size_of::<Crosscall2>() - core::mem::offset_of!(Crosscall2, r31), 152);
const_assert_eq!(size_of::<Crosscall2>() - core::mem::offset_of!(Crosscall2, f14), 144);
const_assert_eq!(size_of::<Crosscall2>() - core::mem::offset_of!(Crosscall2, f31), 8);

//! The frames of the Go commits that this machinery comes from, on x86_64. For comparison only: no code uses
//! them.
//!
//! The first seed (April 2016, the traceback context) is right on x86_64. Its frames could not carry ours:
//! Go's code has no callee-saved registers, so `asmcgocall` there keeps none, and its callback keeps what it
//! needs in frames of equal size on both stacks.

use crate::frame::W64;
use crate::lineage::{Lineage, Then, WHY_CALL, WHY_CALLBACK, WHY_CROSSCALL2, WHY_ENTRY};
use static_assertions::const_assert_eq;

crate::frames! {
    /// Go's block on the system stack while C runs, `asmcgocall`.
    System frame AsmcgocallBlock {
        /// Room for the four register arguments of a Windows callee.
        _home: [W64; 4], "nobody" => "a Windows callee";
        /// Free.
        _free: W64, "nobody" => "nobody";
        /// `g.stack.hi` less SP at entry.
        depth: W64, "asmcgocall" => "asmcgocall's return";
        /// The g that called.
        g: W64, "asmcgocall" => "asmcgocall's return";
        /// Free.
        _free2: W64, "nobody" => "nobody";
    }

    /// Go's frame of `cgocallback_gofunc` on g0.
    System frame CgocallbackG0 {
        /// `g0.sched.sp` before.
        g0_sp: W64, "cgocallback_gofunc" => "its end, unwindm";
        /// Free; the m travels in a register.
        _free: W64, "nobody" => "nobody";
        /// Go's frame pointer.
        bp: W64, "cgocallback_gofunc" => "its end";
        /// Return address.
        pc: W64, "the call" => "the return";
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
        /// The traceback context: the argument of cgocallbackg.
        ctxt: W64, "cgocallback_gofunc" => "cgocallbackg";
        /// The m to give back, or 0.
        oldm: W64, "cgocallback_gofunc" => "its end";
        /// A hole of the frame pointer's shape, never written.
        _bp: W64, "nobody" => "nobody";
        /// `sched.pc` of curg, where a return address would be.
        pc: W64, "cgocallback_gofunc" => "tracebacks";
    }

    /// Go's frame of `crosscall2` for the System V convention.
    System frame Crosscall2 {
        /// Second argument of crosscall2, first of fn.
        a: W64, "crosscall2" => "fn";
        /// Third argument, second of fn.
        n: W64, "crosscall2" => "fn";
        /// Fourth argument, third of fn.
        ctxt: W64, "crosscall2" => "fn";
        /// C's.
        rbx: W64, "crosscall2" => "its end";
        /// C's.
        rbp: W64, "crosscall2" => "its end";
        /// C's.
        r12: W64, "crosscall2" => "its end";
        /// C's.
        r13: W64, "crosscall2" => "its end";
        /// C's.
        r14: W64, "crosscall2" => "its end";
        /// C's.
        r15: W64, "crosscall2" => "its end";
        /// Free.
        _free: [W64; 2], "nobody" => "nobody";
        /// Return address.
        pc: W64, "C's call instruction" => "the return";
    }

    /// Go's frame of `crosscall2` for the Windows convention.
    System frame Crosscall2Win64 {
        /// Second argument of crosscall2, first of fn.
        a: W64, "crosscall2" => "fn";
        /// Third argument, second of fn.
        n: W64, "crosscall2" => "fn";
        /// Fourth argument, third of fn.
        ctxt: W64, "crosscall2" => "fn";
        /// C's.
        rbx: W64, "crosscall2" => "its end";
        /// C's.
        rbp: W64, "crosscall2" => "its end";
        /// C's.
        r12: W64, "crosscall2" => "its end";
        /// C's.
        r13: W64, "crosscall2" => "its end";
        /// C's.
        r14: W64, "crosscall2" => "its end";
        /// C's.
        r15: W64, "crosscall2" => "its end";
        /// C's.
        rdi: W64, "crosscall2" => "its end";
        /// C's.
        rsi: W64, "crosscall2" => "its end";
        /// Free.
        _free: W64, "nobody" => "nobody";
        /// C's xmm6 to xmm15, two words each.
        xmm6_to_xmm15: [[W64; 2]; 10], "crosscall2" => "its end";
        /// Free.
        _free2: [W64; 3], "nobody" => "nobody";
        /// Return address.
        pc: W64, "C's call instruction" => "the return";
    }
}

/// The seed's frames, in the order of the frames that answer to them.
pub const LAYOUTS: &[crate::frame::Layout] = &[
    AsmcgocallBlock::LAYOUT,
    CgocallbackG0::LAYOUT,
    CgocallbackCurg::LAYOUT,
    Crosscall2::LAYOUT,
    Crosscall2Win64::LAYOUT,
];

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
            slots: &[(0, "depth"), (8, "the g")],
            note: "Without a switch the same 16 bytes hold SP itself and a zero. A Windows callee's home area is the business of a separate function.",
        },
        why: WHY_CALL,
        here: "Ours is as large as a frame record and two words.",
    },
    Lineage {
        ours: "CallbackFrame",
        intended: CgocallbackG0::LAYOUT,
        committed: None,
        today: Then {
            size: 64,
            slots: &[
                (0, "`g0.sched.sp` before"),
                (8, "free"),
                (16, "the m to give back"),
                (24, "rbp"),
                (32, "return address"),
                (40, "fn"),
                (48, "frame"),
                (56, "ctxt"),
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
            size: 40,
            slots: &[
                (0, "fn"),
                (8, "frame"),
                (16, "ctxt"),
                (24, "a hole of rbp's shape, never written"),
                (32, "`sched.pc` of curg"),
            ],
            note: "The size is computed at run time from where the arguments arrived.",
        },
        why: WHY_ENTRY,
        here: "Where Go leaves the frame pointer's place as it is, ours has a record.",
    },
    Lineage {
        ours: "Crosscall2Frame",
        intended: Crosscall2::LAYOUT,
        committed: None,
        today: Then {
            size: 80,
            slots: &[
                (0, "fn"),
                (8, "a"),
                (16, "ctxt"),
                (24, "rbx"),
                (32, "r12"),
                (40, "r13"),
                (48, "r14"),
                (56, "r15"),
                (64, "rbp, and rbp designates it"),
                (72, "return address"),
            ],
            note: "`n` is dropped. The last two words are a frame record today, as in ours.",
        },
        why: WHY_CROSSCALL2,
        here: "",
    },
    Lineage {
        ours: "Crosscall2Win64Frame",
        intended: Crosscall2Win64::LAYOUT,
        committed: None,
        today: Then {
            size: 264,
            slots: &[
                (0, "fn"),
                (8, "a"),
                (16, "ctxt"),
                (24, "rdi"),
                (32, "rsi"),
                (40, "rbp"),
                (48, "rbx"),
                (56, "r12"),
                (64, "r13"),
                (72, "r14"),
                (80, "r15"),
                (88, "xmm6 to xmm15"),
                (248, "flags"),
                (256, "return address"),
            ],
            note: "SP is 8 modulo 16 at the inner call, so that vectors are moved without alignment.",
        },
        why: WHY_CROSSCALL2,
        here: "SP is a multiple of 16 at our inner call, and the vectors are aligned. The direction flag is clear at every call by both conventions, so that ours saves no flags.",
    },
];

// Numbers: golang/go, the commit "use cgo context function" of 2016-04, `runtime/asm_amd64.s` and
// `runtime/cgo/asm_amd64.s`, assembled and disassembled.
const_assert_eq!(size_of::<AsmcgocallBlock>(), 64);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, depth), 40);
const_assert_eq!(core::mem::offset_of!(AsmcgocallBlock, g), 48);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, g0_sp), 0);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, pc), 24);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, func), 32);
const_assert_eq!(core::mem::offset_of!(CgocallbackG0, ctxt), 56);
const_assert_eq!(size_of::<CgocallbackCurg>(), 32);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, oldm), 8);
const_assert_eq!(core::mem::offset_of!(CgocallbackCurg, pc), 24);
const_assert_eq!(core::mem::offset_of!(Crosscall2, rbx), 0x18);
const_assert_eq!(core::mem::offset_of!(Crosscall2, r15), 0x40);
const_assert_eq!(core::mem::offset_of!(Crosscall2, pc), 0x58);
const_assert_eq!(core::mem::offset_of!(Crosscall2Win64, rbx), 0x18);
const_assert_eq!(core::mem::offset_of!(Crosscall2Win64, rsi), 0x50);
const_assert_eq!(core::mem::offset_of!(Crosscall2Win64, xmm6_to_xmm15), 0x60);
const_assert_eq!(core::mem::offset_of!(Crosscall2Win64, pc), 0x118);

//! The frames of the Go commits that this machinery comes from, on x86_64. For comparison only: no code uses
//! them.
//!
//! The first seed (April 2016, the traceback context) is right on x86_64. Its frames could not carry ours:
//! Go's code has no callee-saved registers, so `asmcgocall` there keeps none, and its callback keeps what it
//! needs in frames of equal size on both stacks.

use crate::frame::W64;
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
}

/// The seed's frames, in the order of the frames that answer to them.
pub const LAYOUTS: &[crate::frame::Layout] =
    &[AsmcgocallBlock::LAYOUT, CgocallbackG0::LAYOUT, CgocallbackCurg::LAYOUT, Crosscall2::LAYOUT];

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

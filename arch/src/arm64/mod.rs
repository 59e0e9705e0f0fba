//! arm64: AAPCS64, with the frame records, the landing pads and the untouched x18 that its platforms ask for.
//!
//! # ABI documents
//!
//! * *Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64)*, 2025Q4: 6.1.1 (general registers),
//!   6.1.2 (vector registers, FPCR, FPSR), 6.2 (SME), 6.4.5 (the stack), 6.4.6 (the frame pointer and its
//!   record), 6.5.1 (what veneers may change).
//! * *DWARF for the Arm 64-bit Architecture (AADWARF64)*, 2025Q4: 4.1 (register numbers).
//! * *ELF for the Arm 64-bit Architecture (AAELF64)*, 2025Q4: 5.7.11 (relocations of thread-local storage).
//! * *Arm Architecture Reference Manual for A-profile*, DDI 0487: branch target identification.
//!
//! # Registers
//!
//! | name | DWARF number | role | saved by |
//! |---|---|---|---|
//! | x0 to x7 | 0 to 7 | arguments, results | caller |
//! | x8 | 8 | address of a result in memory | caller |
//! | x9 to x15 | 9 to 15 | scratch: the crossings' own | caller |
//! | x16, x17 | 16, 17 | scratch; a linker's veneers change them too | caller |
//! | x18 | 18 | the platform's, or scratch | nobody here: untouched |
//! | x19 to x28 | 19 to 28 | general | callee |
//! | x29 | 29 | frame pointer: the address of a frame record | callee |
//! | x30 | 30 | link register: the return address at entry | who calls on |
//! | sp | 31 | stack pointer, a multiple of 16 | callee |
//! | v0 to v7 | 64 to 71 | arguments, results | caller |
//! | v8 to v15 | 72 to 79 | their lower halves, d8 to d15, are kept | callee; the upper halves caller |
//! | v16 to v31 | 80 to 95 | scratch | caller |
//! | NZCV, FPSR | - | undefined at every call | nobody |
//! | FPCR | - | rounding and exception control | nobody: see below |
//!
//! # What is different here
//!
//! * A call leaves its return address in x30 and nothing on the stack. So a call into C writes nothing at all
//!   on the managed stack: x29, x30 and SP lie in the [`AsmcgocallFrame`](frame::AsmcgocallFrame), nowhere
//!   else, and `stack_moved` finds them there.
//! * The CPU refuses an access through an SP that is not a multiple of 16, so no crossing has to align it.
//!   What on other CPUs calls C where it stands only to align SP is a jump here.
//! * The frame record is the ABI's own (6.4.6): {x29, x30} anywhere in a frame. Every crossing frame ends in
//!   one, so that one pair instruction stores it and one loads it.
//! * An instruction changes two registers at most, and an address of a variable takes two of them: what is
//!   one instruction with a memory operand on x86 is a load, an operation and a store here.
//! * `br` and `ret` differ only in what the CPU's predictor makes of them, and in where they may land when
//!   the CPU enforces landing pads: `br` only on one, `ret` anywhere. Calls land on `bti c`, jumps of
//!   `resume` and `gogo` on `bti j`. A throw, and the end of a `park`, go back to a call that is not the
//!   innermost one for the predictor. They jump, unless the crate is built with landing pads
//!   (`cfg(stackgate_landing_pads)`): then they have to return. The managed code of a process must not have
//!   landing pads when this crate has none.
//!
//! # Where things are while a callback runs
//!
//! Managed code calls C, C calls back. The caller's return address, which it left in x30, is the word `pc` of
//! the [`AsmcgocallFrame`](frame::AsmcgocallFrame) directly below the `g0_sp` of the
//! [`CallbackFrame`](frame::CallbackFrame) that `g0.sched.sp` designates; `link` before it is the caller's
//! x29. A copy of both is the record at the end of the [`CallbackEntry`](frame::CallbackEntry) on curg: x29
//! of the callback's function leads to it, and over it to the caller's own record (AAPCS64 6.4.6). C's return
//! address is the word `pc` of the `CallbackFrame`. The cases `registers/cgocallback` and `nesting` of
//! `qemu-tests` return through all of them; `cargo xtask step` reads them at each instruction.
//!
//! # What is not saved
//!
//! * FPCR: a global register (6.1.2); C that changes rounding changes it for managed code, and the other way
//!   round. FPSR and NZCV: undefined at every call.
//! * The upper halves of v8 to v15, SVE's z and p registers: a base-standard call keeps none of them, and
//!   every crossing is one. `PSTATE.SM` is 0 at a crossing and ZA dormant or off (6.2), as at any call of a
//!   function that does not say otherwise.
//! * x18: no crossing reads or writes it. Where it belongs to the platform (Windows, Darwin, a shadow call
//!   stack) it belongs to the thread and not to a g. A shadow call stack does not follow a switch of stacks.
//! * Return addresses are stored as they came in x30, never signed: a g resumes on another thread, which may
//!   have another key, and its stack may move, which changes the SP that goes into a signature. Compiled code
//!   that signs stores signed ones in its own records; who reads those strips the signature.
//! * TPIDR_EL0 belongs to the thread; a g that resumes on another thread finds that thread's.
#![doc = include_str!("../../docs/arm64.md")]

/// Lands a call through a pointer where the CPU enforces that: `bti c`, or nothing. Written as the hint that
/// it is, since assemblers know the name only for CPUs that have it.
#[cfg(all(target_arch = "aarch64", not(stackgate_landing_pads)))]
#[rustfmt::skip]
macro_rules! landing_pad { () => { "" } }
#[cfg(all(target_arch = "aarch64", stackgate_landing_pads))]
#[rustfmt::skip]
macro_rules! landing_pad { () => { "hint 34" } }

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "aarch64")]
pub mod asm;

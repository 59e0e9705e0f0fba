//! s390x: the ELF convention of Linux on IBM Z, 64-bit, big-endian.
//!
//! # ABI documents
//!
//! * *ELF Application Binary Interface, s390x Supplement*, version 1.7 (IBM, June 2025), called "ABI" here:
//!   1.2.1 (registers), 1.2.2 (stack frame, back chain, register save area), 1.2.3 (argument passing), 1.3.1
//!   (signal context), 1.6 (DWARF numbers, CFA, default rules).
//! * *ELF Handling For Thread-Local Storage*, version 0.21: the initial-exec model of s390x.
//! * *z/Architecture Principles of Operation*, SA22-7832: instructions. None is newer than the z10, which is
//!   what Rust's target assumes.
//!
//! # Registers
//!
//! | register | DWARF | role | saved by |
//! |---|---|---|---|
//! | r0 | 0 | scratch; cannot be a base or an index | caller |
//! | r1 | 1 | scratch; `ccall`'s function | caller |
//! | r2 | 2 | first argument; result | caller |
//! | r3 to r5 | 3 to 5 | second to fourth argument | caller |
//! | r6 | 6 | fifth argument | callee |
//! | r7 to r10 | 7 to 10 | general | callee |
//! | r11 | 11 | frame pointer of functions that allocate dynamically | callee |
//! | r12, r13 | 12, 13 | general | callee |
//! | r14 | 14 | return address at entry; DWARF's return address column | caller |
//! | r15 | 15 | stack pointer | callee |
//! | f0, f2, f4, f6 | 16 to 19 | arguments; f0 result | caller |
//! | f1, f3, f5, f7 | 20 to 23 | scratch | caller |
//! | f8, f10, f12, f14 | 24 to 27 | general | callee |
//! | f9, f11, f13, f15 | 28 to 31 | general | callee |
//! | v0 to v7, v16 to v31, right halves of v8 to v15 | 16 to 31, 68 to 83 | vector; v24 to v31 arguments | caller |
//! | a0, a1 | 48, 49 | thread pointer, upper and lower half | nobody changes them |
//! | a2 to a15 | 50 to 63 | scratch | caller |
//! | pswa | 65 | program counter; only signals show it | |
//! | program mask | in 64 | zero at every call and return | |
//! | fpc | none | floating-point control | nobody: see below |
//!
//! # What is different here
//!
//! * *The caller passes a frame.* 160 bytes at SP are the callee's to save registers in, so that `asmcgocall`,
//!   `ccall`, `systemstack`, `mcall`, `resume`, `park` and `cgocallback` open no frame on the stack that they
//!   are called on. Twenty instructions are `asmcgocall`'s way to C and back, and it uses nothing of the
//!   managed stack that was not passed to it. `SwitchFrame` and `CallbackFrame` *are* the passed frame.
//! * *No red zone.* Nothing below SP is safe. A frame on the other stack is written whole before SP moves
//!   there, by one instruction; the order is g0 current, frame, SP on the way to g0, and frame, published, SP,
//!   curg current on the way to curg.
//! * *The frame record is the frame.* r15 designates it, its first word is the back chain, and the return
//!   address is in the frame that this leads to ([`unwind::RECORD`]). gcc's and LLVM's code writes no back
//!   chain unless told (`-mbackchain`, `-C target-feature=+backchain`); the crossings always do.
//! * *SP is a multiple of 8*, always: without a switch, C is called by a jump, with no frame to align it.
//! * *The CFA is 160 above the caller's SP* (ABI 1.6.3), so that r15 needs a rule of its own: the CFA less
//!   160, stated once in each function. No word that holds an SP is read for it, and it stays true when a
//!   stack moves.
//! * *r11 may define a CFA.* It is kept in the managed frame that the caller passed, at a known distance from
//!   `AsmcgocallFrame.sp`, and `call_moved` and `gobuf_moved` rewrite it there.
//! * *The thread pointer takes three instructions.* `asmcgocall` keeps it in r12 while C runs, which is on the
//!   same thread until it returns; after a callback it is read again, since `crosscall2` is for code that
//!   keeps no register.
//! * *An `int` is passed sign-extended* (ABI 1.2.3). `crosscall2` extends n all the same.
//!
//! # Where things are while a callback runs
//!
//! There are two callers, and the answer is the same for both: 112 bytes above the caller's SP, in the slot
//! that ABI 1.2.2.2, figure "Register save area usage example", gives to r14.
//!
//! * C called `cgocallback`. The [`CallbackFrame`](frame::CallbackFrame) is the frame that C passed, and its
//!   `pc` is C's r14. `g0.sched.sp` is its address.
//! * Managed code called `asmcgocall`. `sp` of the [`AsmcgocallFrame`](frame::AsmcgocallFrame), which ends at
//!   `CallbackFrame.g0_sp`, is the managed SP, and `pc` of the [`AbiFrame`](frame::AbiFrame) there is that
//!   caller's r14.
//!
//! ```text
//!   system stack                              curg's stack
//!   | ...                   |                 | ...                   |
//!   | g                     |                 | managed caller        |
//!   | AsmcgocallFrame: sp   |---------------->| AbiFrame: +112 r14    |  its SP
//!   | C's frames            |                 | func                  |
//!   | CallbackFrame:        |<----------------| callback              |
//!   |   +112 r14, +32 g0_sp |  g0.sched.sp    | CallbackEntry: link   |  -> AbiFrame
//!   | free                  |                 | the callback's frames |  <- r15
//! ```
//!
//! The tests `tests::r14_while_a_callback_runs` (both places hold what the callers put there) and
//! `tests::the_layout_of_the_abi` (the slot is at 112) in this directory prove it.
//!
//! # What is not saved
//!
//! * The floating-point control register: no ABI document gives it to caller or callee, and C may change it
//!   for its own purposes (`fesetround`). Managed code sees what C leaves there, and the other way round; the
//!   cases `numbers` hold the contract.
//! * The program mask: it is zero whenever a function is entered or left (ABI 1.2.1.1).
//! * a0 and a1, the thread pointer: reserved. a2 to a15, and the right halves of the vector registers v8 to
//!   v15: volatile.
#![doc = include_str!("../../docs/s390x.md")]

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "s390x")]
pub mod asm;

#[cfg(all(test, target_arch = "s390x"))]
mod tests;

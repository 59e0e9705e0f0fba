//! x86_64: the System V convention, and a way in from the Windows one.
//!
//! # ABI documents
//!
//! * *System V Application Binary Interface, AMD64 Architecture Processor Supplement*, version 1.0: 3.2.1
//!   (registers), 3.2.2 (stack frame, red zone), 3.2.3 (arguments), figure 3.36 (DWARF numbers).
//! * *ELF Handling For Thread-Local Storage*, version 0.21: 4.4.6 (initial-exec model).
//! * *x64 calling convention*, Microsoft: for `crosscall2_win64`.
//!
//! # Registers
//!
//! | register | DWARF | role | saved by |
//! |---|---:|---|---|
//! | `rax` | 0 | first result; vector registers of a variadic call | caller |
//! | `rdx` | 1 | third argument; second result | caller |
//! | `rcx` | 2 | fourth argument | caller |
//! | `rbx` | 3 | general | callee |
//! | `rsi`, `rdi` | 4, 5 | second and first argument | caller |
//! | `rbp` | 6 | frame pointer | callee |
//! | `rsp` | 7 | stack pointer | callee |
//! | `r8` to `r11` | 8 to 11 | fifth and sixth argument; scratch | caller |
//! | `r12` to `r15` | 12 to 15 | general | callee |
//! | `xmm0` to `xmm15` | 17 to 32 | arguments, results, scratch | caller; Windows: `xmm6` to `xmm15` callee |
//! | `fs` | | thread pointer | the platform's |
//!
//! # What is different here
//!
//! * The return address lies on the stack: `AsmcgocallFrame.sp` is its address, and `pc` repeats it, so that
//!   the record on the system stack is whole.
//! * The red zone, 128 bytes below SP, belongs to leaf functions. Who calls a crossing is none, so its red zone
//!   is dead; a crossing itself uses none.
//! * There is no link register to keep on the way into a callback: its caller's `call` has pushed the return
//!   address, and it is the last word of the `CallbackFrame`.
//! * Callers of the Windows convention have a way in, `crosscall2_win64`.
//!
//! # Where things are while a callback runs
//!
//! C's return address: `CallbackFrame.pc`, on the system stack, found from `g0.sched.sp`; the rule `CFA - 8` of
//! `cgocallback` says so to unwinders (psABI 3.2.2), and the cases `registers/cgocallback` and `nesting` prove
//! it. C's `rbp`: `CallbackFrame.link`. Its `rbx` and `r12` to `r15`: in the callee's hands under the C ABI, and
//! in `Crosscall2Frame.saved` if C came through `crosscall2`.
//!
//! # What is not saved
//!
//! MXCSR and the x87 control word are the thread's: a crossing neither saves nor sets them, in either
//! direction, and a mode that C sets stays set (psABI 3.2.1 makes their control bits callee-saved; the cases
//! `numbers` hold the contract). DF is clear at every function's entry and every return, by the same section.
//! `fs` and `gs` are the platform's. A shadow stack is not switched.
#![doc = include_str!("../../docs/x86_64.md")]

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "x86_64")]
pub mod asm;

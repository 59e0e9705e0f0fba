//! i386: the System V convention with arguments on the stack.
//!
//! # ABI documents
//!
//! * *System V Application Binary Interface, Intel386 Architecture Processor Supplement*, version 1.1: 2.2.1
//!   (registers), 2.2.2 (stack frame), 2.2.3 (argument passing), table 2.14 (DWARF numbers).
//! * *ELF Handling For Thread-Local Storage*, version 0.21: the initial-exec and local-exec models of IA-32.
//!
//! # Registers
//!
//! | register | DWARF | role | saved by |
//! |---|---:|---|---|
//! | `eax` | 0 | first result; `ccall`'s function | caller |
//! | `ecx` | 1 | scratch; `ccall`'s number of words | caller |
//! | `edx` | 2 | second result | caller |
//! | `ebx` | 3 | general; the global offset table's address for calls through a linkage table | callee |
//! | `esp` | 4 | stack pointer | callee |
//! | `ebp` | 5 | frame pointer | callee |
//! | `esi`, `edi` | 6, 7 | general | callee |
//! | `eip` | 8 | DWARF's return address column | |
//! | `st(0)` to `st(7)` | 11 to 18 | `st(0)` result; none in use at a call | caller |
//! | `xmm0` to `xmm7` | 21 to 28 | scratch, vector arguments and results | caller |
//! | `gs` | | thread pointer | the platform's |
//!
//! # What is different here
//!
//! * All arguments lie on the stack, in [`Arguments`](frame::Arguments) as the callee finds them: `asmcgocall`
//!   puts C's one argument below its frame, `ccall` copies as many words as it is told, the `CallbackEntry` begins
//!   with three. The caller takes them off; `throw_to` and a switch drop them with the stack.
//! * SP is a multiple of 16 at a call, which leaves four places for it elsewhere. `g0.sched.sp` is 4 above such
//!   a multiple: an `AsmcgocallFrame` and one argument below it need no other look at SP. `SwitchFrame` and
//!   `CallbackFrame` are as long as that takes, and `frame` asserts it. Where no callback runs on a thread that
//!   C made, nothing is called from `g0.sched.sp`.
//! * There is no address from the program counter. How the current g is found depends on the relocation model:
//!   see the macros at the head of `asm`. Position-independent code costs up to eight instructions more a
//!   crossing, and four bytes of the stack it begins on.
//! * A call through a linkage table of a shared library takes `ebx` as an argument, against what 2.2.1 says of
//!   it; the crossings call each other by hidden names and never go through one.
//! * An `int` is as wide as a word: `crosscall2` has no sign to extend.
//! * There is no red zone: nothing below SP is safe, nor used.
//!
//! # Where things are while a callback runs
//!
//! C's return address: `CallbackFrame.pc`, on the system stack, found from `g0.sched.sp`; the rule `CFA - 4` of
//! `cgocallback` says so to unwinders (psABI 2.2.2 has it at SP when a function begins), and the cases
//! `registers/cgocallback` and `nesting` prove it. C's `ebp`: `CallbackFrame.link`. Its `ebx`, `esi` and `edi`:
//! in the callee's hands under the C ABI, and in `Crosscall2Frame.saved` if C came through `crosscall2`.
//!
//! The return address into the managed code that called C: `AsmcgocallFrame.pc` below `CallbackFrame.g0_sp`,
//! at `AsmcgocallFrame.sp` on its own stack, and in the record of the `CallbackEntry`.
//!
//! ```text
//!   system stack                              curg's stack
//!   | ...                   |                 | ...                   |
//!   | AsmcgocallFrame: pc   |                 | managed caller        |
//!   |   link                |---------------->|   its frame record    |
//!   |   sp                  |---------------->| return address        |
//!   |   g                   |                 |                       |
//!   | C's argument, frames  |                 | CallbackEntry: pc     |
//!   | CallbackFrame: pc     |                 |   link                |  -> its caller's frame record
//!   |   link .. g0_sp       |<----------------|   func, callback      |
//!   | free                  |  g0.sched.sp    |   three arguments     |
//!   |                       |                 | the callback's frames |  <- esp
//! ```
//!
//! # What is not saved
//!
//! MXCSR and the x87 control word are the thread's: a crossing neither saves nor sets them, in either
//! direction, and a mode that C sets stays set (the cases `numbers` hold the contract). The x87 stack is empty at
//! every call, and DF is clear at every function's entry and return (psABI 2.2.1). Segment registers are the
//! platform's. A shadow stack is not switched.
#![doc = include_str!("../../docs/i386.md")]

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "x86")]
pub mod asm;

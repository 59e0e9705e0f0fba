//! arm: AAPCS32 with hard float, A32 and Thumb-2 from one text.
//!
//! # ABI documents
//!
//! * *Procedure Call Standard for the Arm Architecture (AAPCS32)*, 2025Q4: 6.1.1 (core registers), 6.1.2.1 (VFP
//!   registers, FPSCR), 6.2.1.2 (SP at a call), 6.2.1.4 (the frame pointer and its record), 6.3.1.1 (what the
//!   linker does with IP).
//! * *DWARF for the Arm Architecture (AADWARF32)*, 2025Q4: 4.1 (register numbers), 4.4 (CFA).
//! * *Exception Handling ABI for the Arm Architecture (EHABI32)*, 2025Q4: 10.3 (what an unwinder can pop).
//! * *Addenda to, and Errata in, the ABI for the Arm Architecture (ADDENDA32)*, 2025Q4: 4.3 (thread-local
//!   storage on Linux).
//!
//! # Registers
//!
//! | register | DWARF | role | saved by |
//! |---|---:|---|---|
//! | `r0` to `r3` | 0 to 3 | arguments; results | caller |
//! | `r4` to `r6`, `r8`, `r10` | 4 to 6, 8, 10 | general | callee |
//! | `r7` | 7 | frame pointer of Thumb code, else general | callee |
//! | `r9` | 9 | general on Linux; elsewhere the platform may own it | callee |
//! | `r11` | 11 | frame pointer of A32 code, else general | callee |
//! | `r12`, IP | 12 | scratch; veneers and PLT entries change it too | caller |
//! | `sp` | 13 | stack pointer, a multiple of 8 at every call | callee |
//! | `lr` | 14 | return address at entry, bit 0 says Thumb; scratch | who calls on |
//! | `pc` | 15 | program counter | - |
//! | `d0` to `d7` | 256 to 263 | arguments, results | caller |
//! | `d8` to `d15` | 264 to 271 | floating point and vector | callee |
//! | `d16` to `d31` | 272 to 287 | scratch, where the CPU has them | caller |
//! | flags of APSR and FPSCR | | undefined at every call | nobody |
//! | modes of FPSCR | | the thread's | nobody: see below |
//!
//! # What is different here
//!
//! * Two instruction sets, and each has its own frame pointer: r11 in A32, r7 in Thumb code. Either may define
//!   the CFA of a function that called C, so both lie in the [`AsmcgocallFrame`](frame::AsmcgocallFrame). Which
//!   of them designates records is [`frame::FP`], chosen where the crate is compiled. The records are LLVM's:
//!   the register designates the saved one, the return address follows (AAPCS32 6.2.1.4, which would have r11
//!   in both states). gcc's differ: with `-fno-omit-frame-pointer` its A32 code lets r11 designate the return
//!   address, a word above the saved r11, and its Thumb code lets r7 designate the lower end of the locals. So a
//!   chain of records goes through managed code that LLVM compiled, and past C only where a frame here says so.
//! * An address of code says its state in bit 0. `callback_return`, `g_begin` and the like are therefore
//!   functions to the linker, and control goes by `blx`, `bx` and loads of the PC alone.
//! * SP cannot be in a list of registers in Thumb code. A frame is written on the system stack through another
//!   register and SP goes there when it is complete, so that there is no time in which it is half built.
//! * The CPU predicts `bx lr` and loads of the PC from the stack as returns, and nothing else. What is no return
//!   goes by r12.
//! * Nothing loads `.eh_frame`. EHABI describes the body of a function by a list of pops and knows no
//!   expressions, but a pop of SP leads to another stack: [`AsmcgocallFrame::sp`](frame::AsmcgocallFrame),
//!   [`CallbackEntry::callback`](frame::CallbackEntry) and [`BaseFrame::parent`](frame::BaseFrame) are such words,
//!   and the order of the fields is the order in which they are popped. Every function here is cut into as many
//!   entries of `.ARM.exidx` as it has states, so that the table is exact at each instruction and not only at
//!   calls, for a handler that unwinds what a signal interrupted; `cargo xtask check` holds it against `.debug_frame`
//!   there. (An `.eh_frame` cannot be had beside it: LLVM drops a module's as soon as one of its functions has debug
//!   information.)
//! * Registers are loaded and stored several at a time, in the order of their numbers; `frame.rs` asserts that
//!   the fields follow that order.
//!
//! # Where things are while a callback runs
//!
//! The managed caller's return address, its lr at the call: `AsmcgocallFrame.pc`, directly below the `g0_sp` of
//! the [`CallbackFrame`](frame::CallbackFrame) that `g0.sched.sp` designates; a copy is the record at the end of
//! the [`CallbackEntry`](frame::CallbackEntry), which the frame pointer of the callback's function leads to
//! (AAPCS32 6.2.1.4). C's return address: `CallbackFrame.pc`, after C's frame pointer and two registers that the
//! crossing works with; an unwinder pops SP from `CallbackEntry.callback` and then them (EHABI32 10.3). The cases
//! `registers` and `nesting` return through all of them. C's other callee-saved registers: in the callee's hands
//! under the C ABI, and in `Crosscall2Frame.saved` if C came through `crosscall2`.
//!
//! # What is not saved
//!
//! The modes of FPSCR (rounding, flush to zero, exceptions) are the thread's: a crossing neither saves nor sets
//! them, and a mode that C sets stays set (AAPCS32 6.1.2.1 lets nobody change them unseen); the cumulative and
//! condition flags are undefined at every call. d16 to d31 are scratch. r9 is saved as any other register; where
//! a platform owns it, it holds the same in all code of a thread. The thread pointer, TPIDRURO, is the thread's.
//! The IT and GE bits and Q are undefined at every call.
#![doc = include_str!("../../docs/arm.md")]

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "arm")]
pub mod asm;

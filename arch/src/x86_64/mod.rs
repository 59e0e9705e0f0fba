//! x86_64: the System V convention, and a way in from the Windows one.
//!
//! # ABI documents
//!
//! * *System V Application Binary Interface, AMD64 Architecture Processor Supplement*, version 1.0: 3.2.1
//!   (registers), 3.2.2 (stack frame, red zone), 3.2.3 (argument passing), figure 3.36 (DWARF numbers).
//! * *ELF Handling For Thread-Local Storage*, version 0.21: 4.4.6 (initial-exec model).
//! * *x64 calling convention*, Microsoft: for `crosscall2_win64`.

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "x86_64")]
pub mod asm;

//! i386: the System V convention with arguments on the stack.
//!
//! # ABI documents
//!
//! * *System V Application Binary Interface, Intel386 Architecture Processor Supplement*, version 1.1: 2.2.1
//!   (registers), 2.2.2 (stack frame), 2.2.3 (argument passing), table 2.14 (DWARF numbers).
//! * *ELF Handling For Thread-Local Storage*, version 0.21: 4.4.5 (initial-exec model), 4.4.6 (local-exec).

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "x86")]
pub mod asm;

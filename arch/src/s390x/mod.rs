//! s390x: the s390x ELF ABI.

pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "s390x")]
pub mod asm;

//! arm: AAPCS32, A32 and Thumb-2, hard-float.
pub mod frame;
pub mod seed;
pub mod unwind;

#[cfg(target_arch = "arm")]
pub mod asm;

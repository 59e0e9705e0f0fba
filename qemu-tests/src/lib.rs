//! The programs that prove stackgate on six CPUs, and what they share.

pub mod allocation;
pub mod cases;
pub mod child;
pub mod depth;
pub mod fake;
pub mod fuzz;
pub mod harness;
pub mod movable;
pub mod perf;
pub mod scenarios;
pub mod setup;
pub mod shim;
pub mod symbols;
pub mod towers;
pub mod variants;
pub mod ways;

/// What the register tests need of this CPU, in assembly.
#[cfg_attr(target_arch = "x86_64", path = "cpu/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "cpu/i386.rs")]
#[cfg_attr(target_arch = "arm", path = "cpu/arm.rs")]
#[cfg_attr(target_arch = "aarch64", path = "cpu/arm64.rs")]
#[cfg_attr(target_arch = "powerpc64", path = "cpu/ppc64le.rs")]
#[cfg_attr(target_arch = "s390x", path = "cpu/s390x.rs")]
pub mod cpu;

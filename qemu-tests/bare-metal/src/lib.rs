//! stackgate on machines without an operating system.
//!
//! [`board`] is all that is known of a machine; one file a CPU, the same names in the same order. On top of
//! it, and the same for all: memory as the linker script lays it out, stackgate's platform, an interrupt that
//! plays the part of a signal, and the tests.

#![no_std]

// The shim's own table: what it imports is what is defined here.
#[allow(unused_macros, reason = "it has the constants of libc too")]
#[macro_use]
#[path = "../../../libc-shim/src/table.rs"]
mod table;

pub mod board;
pub mod calls;
pub mod cases;
pub mod console;
pub mod libc;
pub mod memory;
pub mod multi;
pub mod platform;
pub mod runner;
pub mod setup;
pub mod signal;
pub mod start;
pub mod trio;

#[path = "../../src/harness.rs"]
pub mod harness;
#[path = "../../src/movable.rs"]
pub mod movable;
#[path = "../../src/perf.rs"]
pub mod perf;
#[path = "../../src/scenarios.rs"]
pub mod scenarios;
#[path = "../../src/ways.rs"]
pub mod ways;

/// What the register tests need of this CPU, in assembly: the hosted tests' own.
#[cfg_attr(target_arch = "x86_64", path = "../../src/cpu/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "../../src/cpu/i386.rs")]
#[cfg_attr(target_arch = "arm", path = "../../src/cpu/arm.rs")]
#[cfg_attr(target_arch = "aarch64", path = "../../src/cpu/arm64.rs")]
#[cfg_attr(target_arch = "powerpc64", path = "../../src/cpu/ppc64le.rs")]
#[cfg_attr(target_arch = "s390x", path = "../../src/cpu/s390x.rs")]
pub mod cpu;

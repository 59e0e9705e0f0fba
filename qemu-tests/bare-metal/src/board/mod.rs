//! What is known of a machine. Each CPU's file defines the same names, in this order; what machines of a kind share it
//! takes from `pc.rs`, `virt.rs` or `one_cpu.rs`.
//!
//! | name | what it is |
//! |---|---|
//! | `_start` | where the machine begins: a stack, floating point, then [`start::begin`](crate::start::begin) |
//! | `NAME` | the machine's name |
//! | `INTERRUPT_TAKES` | what an interrupt takes at most of the stack that SP is on |
//! | `PROTECTED_GUARDS` | how many guards, from the first, nobody can write to |
//! | `thread_pointer` | where a slot's variables and the thread pointer belong, by the ABI |
//! | `set_thread_pointer` | names this CPU's slot |
//! | `console` | writes to the console |
//! | `exit` | ends the machine, as passed or failed |
//! | `init` | vectors, interrupt controller and timer of this CPU; interrupts stay masked |
//! | `timer_arm`, `timer_stop` | one timer interrupt after so many ticks; none |
//! | `timer_arm_in_handler` | the same, for a handler that lets itself be interrupted |
//! | `acknowledge` | ends the interrupt for the controller, in the handler |
//! | `mask`, `unmask` | keeps interrupts from this CPU, and lets them in |
//! | `restart` | leaves everything, handlers too, for a function on an empty system stack |
//! | `cpu` | which CPU this is, from 0 |
//! | `start_cpu` | starts another, which calls [`start::join`](crate::start::join); `false` where there is none |
//! | `relax` | lets another CPU go first |
//!
//! The timer's handler stores the interrupted registers as [`Registers`](stackgate::arch::unwind::Registers),
//! keeps the others that Rust code may change, and calls [`signal::interrupted`](crate::signal::interrupted)
//! on the signal stack; any other exception ends in [`runner::fault`](crate::runner::fault).

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "i386.rs")]
#[cfg_attr(all(target_arch = "arm", not(machine_mps2)), path = "arm.rs")]
#[cfg_attr(machine_mps2, path = "thumb.rs")]
#[cfg_attr(target_arch = "aarch64", path = "arm64.rs")]
#[cfg_attr(target_arch = "powerpc64", path = "ppc64le.rs")]
#[cfg_attr(target_arch = "s390x", path = "s390x.rs")]
mod native;

pub use native::*;

/// The contract, enforced: the same names with the same types on each machine.
mod contract {
    use super::native;

    const _: &str = native::NAME;
    const _: usize = native::INTERRUPT_TAKES;
    const _: usize = native::PROTECTED_GUARDS;
    const _: fn(usize, usize) -> (usize, usize) = native::thread_pointer;
    const _: unsafe fn(usize) = native::set_thread_pointer;
    const _: fn(&[u8]) = native::console;
    const _: fn(bool) -> ! = native::exit;
    const _: unsafe fn(usize) = native::init;
    const _: fn(u32) = native::timer_arm;
    const _: fn(u32) = native::timer_arm_in_handler;
    const _: fn() = native::timer_stop;
    const _: fn() = native::acknowledge;
    const _: fn() -> bool = native::mask;
    const _: fn() = native::unmask;
    const _: unsafe fn(extern "C" fn() -> !) -> ! = native::restart;
    const _: fn() -> usize = native::cpu;
    const _: unsafe fn(usize) -> bool = native::start_cpu;
    const _: fn() = native::relax;
}

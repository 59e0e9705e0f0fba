//! Every case, by group.

pub mod bad_input;
pub mod c_interface;
pub mod depth;
pub mod entry;
pub mod export;
pub mod faults;
pub mod foreign;
pub mod hooks;
pub mod jit;
pub mod libc_shim;
pub mod moved;
pub mod nesting;
pub mod no_platform;
pub mod numbers;
pub mod overflow;
pub mod paths;
pub mod platform;
pub mod registers;
pub mod signals;
pub mod stacks;
pub mod symbolizer;
pub mod tasks;
pub mod threads;
pub mod throwing;
pub mod towers;
pub mod traceback;
pub mod unwinding;

use crate::harness::Case;

/// Every case of every group.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        registers::CASES,
        entry::CASES,
        numbers::CASES,
        paths::CASES,
        nesting::CASES,
        moved::CASES,
        tasks::CASES,
        traceback::CASES,
        unwinding::CASES,
        towers::CASES,
        symbolizer::CASES,
        export::CASES,
        throwing::CASES,
        hooks::CASES,
        foreign::CASES,
        bad_input::CASES,
        c_interface::CASES,
        depth::CASES,
        platform::CASES,
        no_platform::CASES,
        stacks::CASES,
        threads::CASES,
        overflow::CASES,
        faults::CASES,
        signals::CASES,
        jit::CASES,
        libc_shim::CASES,
        crate::cpu::CASES,
    ]
    .into_iter()
    .flatten()
}

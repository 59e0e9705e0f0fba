//! The cases: the hosted tests' own where they ask for nothing but stackgate, and this place's.

use crate::harness::Case;

pub mod cpus;
pub mod misuse;
#[allow(clippy::undocumented_unsafe_blocks, reason = "the text around the program says why")]
pub mod readme;
#[path = "../../../src/cases/registers.rs"]
pub mod registers;
pub mod services;
pub mod tasks;
pub mod timer;
pub mod traceback;

/// Every case by its number, in the order in which they run.
pub fn nth(i: usize) -> Option<&'static Case> {
    let groups = [
        registers::CASES,
        tasks::CASES,
        traceback::CASES,
        timer::CASES,
        cpus::CASES,
        services::CASES,
        readme::CASES,
        // Misuse comes last: initialisation is begun there, and never done.
        misuse::CASES,
    ];
    groups.into_iter().flatten().nth(i)
}

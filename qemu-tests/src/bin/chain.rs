//! Towers for a debugger, for `cargo xtask debug`: `chain below` and `chain above` build some whose managed stack lies
//! there, and stop themselves in `chain_stop`, where a breakpoint is set, at the top of each. Before that each prints
//! where the functions begin that the debugger has to see, from the innermost on, and first of all how far from its own
//! addresses the program was loaded.

use core::ffi::c_char;
use core::hint::black_box;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use qemu_tests::cases::towers::{Place, build};
use qemu_tests::fuzz::report::Random;
use qemu_tests::symbols;
use qemu_tests::towers::{Managed, Plan, Top};
use std::ffi::CString;

/// A breakpoint is set here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn chain_stop() {
    black_box(());
}

/// The file of the C library, and where that was loaded, for the debugger; null in a static program.
#[unsafe(no_mangle)]
static CHAIN_LIBRARY: AtomicPtr<c_char> = AtomicPtr::new(null_mut());
/// Where it was loaded.
#[unsafe(no_mangle)]
static CHAIN_LIBRARY_AT: AtomicUsize = AtomicUsize::new(0);

fn find_library() {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("what is mapped");
    let Some(first) = maps.lines().find(|line| line.ends_with("/libc.so.6")) else { return };
    let path = first.split_whitespace().last().expect("a path");
    let at = usize::from_str_radix(first.split('-').next().expect("an address"), 16).expect("an address");
    CHAIN_LIBRARY_AT.store(at, Ordering::Relaxed);
    CHAIN_LIBRARY.store(CString::new(path).expect("no zero").into_raw(), Ordering::Relaxed);
}

const TOWERS: usize = 8;

fn main() {
    let place = match std::env::args().nth(1).as_deref() {
        Some("below") => Place::Below,
        Some("above") => Place::Above,
        _ => panic!("usage: chain below|above"),
    };
    find_library();
    println!("slide {:x}", symbols::slide_of_this_program());
    let mut random = Random(0x6db);
    for round in 0..TOWERS {
        let top = if round % 2 == 0 { Top::Runs } else { Top::RunsInC };
        // The first is the one that calls C twice, and is called back twice.
        let depth = if round == 0 { 2 } else { random.below(5) };
        let plan = Plan::new(&mut random, depth, Managed::Any, top);
        let functions: Vec<_> = plan.physical().iter().map(|entry| format!("{entry:x}")).collect();
        println!("tower {}", functions.join(" "));
        build(&plan, place, null_mut(), &mut || chain_stop());
    }
    println!("end");
}

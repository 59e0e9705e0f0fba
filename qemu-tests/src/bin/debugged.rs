//! What a debugger is shown, for `cargo xtask debug`: a parked g, and one that runs in a callback of a callback.
//!
//! Stops itself in `debug_managed` and then in `debug_in_c`, where breakpoints are set. Prints before that which
//! of its functions its own traceback sees: the debugger has to see the same.

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::sync::atomic::{AtomicPtr, Ordering};
use qemu_tests::cases::nesting::through;
use qemu_tests::setup::{Task, adopted, in_c};
use qemu_tests::symbols;
use stackgate::traceback::{Traceback, function_at};
use stackgate::{G, park};
use std::io::Write as _;

unsafe extern "C" {
    fn c_outer(closure: *mut c_void) -> c_int;
}

/// The parked g, for the debugger.
#[unsafe(no_mangle)]
static DEBUG_PARKED: AtomicPtr<G> = AtomicPtr::new(core::ptr::null_mut());

/// The functions of this program that a trace shows, innermost first, on one line.
fn say(what: &str, trace: Traceback) {
    let names = trace.filter_map(|pc| function_at(pc.lookup())).map(|f| f.name);
    let names: Vec<_> = names.filter(|name| name.starts_with("debug_")).collect();
    println!("{what}: {}", names.join(" "));
    std::io::stdout().flush().expect("standard output");
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn debug_parks_deeper(word: usize) -> usize {
    black_box(park(word).expect("a task parks")) + 1
}

#[unsafe(no_mangle)]
unsafe extern "C" fn debug_parks(word: usize) -> usize {
    debug_parks_deeper(word) + 1
}

/// A breakpoint is set here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn debug_managed() {
    black_box(());
}

/// And here.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn debug_in_c() {
    black_box(());
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn debug_inner() {
    say("running", Traceback::current());
    debug_managed();
    in_c(|| debug_in_c());
    black_box(());
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn debug_middle() {
    through(c_outer, || debug_inner());
    black_box(());
}

#[unsafe(no_mangle)]
unsafe extern "C" fn debug_task(word: usize) -> usize {
    through(c_outer, || debug_middle());
    black_box(word)
}

fn main() {
    symbols::register();
    adopted(|_| {
        let mut parked = Task::new(64 << 10, debug_parks);
        parked.resume(1);
        let g = &raw mut *parked.g;
        DEBUG_PARKED.store(g, Ordering::Relaxed);
        // SAFETY: it stays parked.
        say("parked", unsafe { Traceback::of(g) });
        Task::new(256 << 10, debug_task).resume(2);
        parked.resume(3);
    });
    println!("end");
}

//! The physical chain, by an unwinder that is not ours: libgcc's, in C.

use crate::cases::nesting::through;
use crate::setup::in_task;
use crate::{cases, check};
use core::ffi::{c_int, c_void};
use stackgate::traceback::function_at;

unsafe extern "C" {
    fn c_backtrace(pcs: *mut usize, max: c_int) -> c_int;
    fn c_outer(closure: *mut c_void) -> c_int;
}

/// An address inside each call that is under way, from here out.
pub fn calls() -> Vec<usize> {
    let mut pcs = vec![0usize; 512];
    // SAFETY: room for as many.
    let n = unsafe { c_backtrace(pcs.as_mut_ptr(), pcs.len() as c_int) };
    pcs.truncate(n as usize);
    pcs.into_iter().map(|pc| pc.wrapping_sub(1)).collect()
}

/// The functions from here out, by name; names of the standard library are short of their paths.
pub fn names() -> Vec<&'static str> {
    crate::symbols::register_once();
    calls().iter().map(|&pc| function_at(pc).map_or("?", |f| f.name)).collect()
}

/// Whether this is the name of C's `main`, which an optimised one leaves by a jump, or of Rust's.
pub fn is_main(name: &str) -> bool {
    name == "main" || name.ends_with("5guest4main")
}

/// Checks that the functions come in this order, perhaps with others between, and that main is reached.
pub fn come_in_order(names: &[&str], wanted: &[&str]) {
    let mut rest = names.iter();
    for want in wanted {
        check!(rest.any(|name| name == want), "{want} is not there, or out of order, in {names:#?}");
    }
    check!(rest.any(|name| is_main(name)), "main is not there, or out of order, in {names:#?}");
}

fn from_a_callback() {
    in_task(|| {
        through(c_outer, || {
            let names = names();
            come_in_order(
                &names,
                &[
                    "qemu_tests::cases::nesting::test_run::managed",
                    "stackgate_cgocallback",
                    "test_run",
                    "c_inner",
                    "c_outer",
                    "stackgate_asmcgocall",
                    "stackgate_g_start",
                ],
            );
        });
    });
}

fn from_c_below_two_callbacks() {
    in_task(|| {
        through(c_outer, || {
            through(c_outer, || {
                crate::setup::in_c(|| {
                    let names = names();
                    let level = ["stackgate_asmcgocall", "stackgate_cgocallback", "c_inner", "c_outer"];
                    come_in_order(
                        &names,
                        &[&level[..], &level[..], &["stackgate_asmcgocall", "stackgate_g_start"]].concat(),
                    );
                });
            });
        });
    });
}

fn from_c_that_a_task_called() {
    in_task(|| {
        crate::setup::in_c(|| {
            come_in_order(&names(), &["stackgate_asmcgocall", "stackgate_g_start"]);
        });
    });
}

fn from_the_system_stack() {
    in_task(|| {
        stackgate::on_system_stack(|| {
            come_in_order(&names(), &["stackgate_systemstack", "stackgate_g_start"]);
        });
    });
}

fn from_managed_code_under_a_catch() {
    unsafe extern "C" fn calls_back(_: *mut c_void) -> c_int {
        crate::setup::in_callback(|| {
            let wanted = [
                "stackgate_cgocallback",
                "stackgate_asmcgocall",
                "stackgate_asmcgocall_catch",
                "stackgate_g_start",
            ];
            come_in_order(&names(), &wanted);
        });
        4
    }
    in_task(|| {
        let mut thrown = 0usize;
        // SAFETY: takes nothing.
        unsafe { stackgate::arch::asmcgocall_catch(calls_back, core::ptr::null_mut(), &raw mut thrown) };
    });
}

cases! {
    "unwinding";
    "from a callback" => from_a_callback;
    "from C below two callbacks" => from_c_below_two_callbacks;
    "from C that a task called" => from_c_that_a_task_called;
    "from the system stack" => from_the_system_stack;
    "under a catch" => from_managed_code_under_a_catch;
}

//! The C interface, used by C.

use crate::{cases, check_eq, harness};
use core::ffi::c_int;

unsafe extern "C" {
    fn embed() -> c_int;
    fn embed_steps() -> c_int;
    fn readme_main() -> c_int;
}

fn a_runtime_in_c() {
    // SAFETY: on a thread that is no m.
    unsafe {
        check_eq!(embed(), 0, "the line of c/embed.c whose check failed");
        for _ in 0..embed_steps() {
            harness::passed();
        }
    }
}

fn the_readme() {
    // SAFETY: as above.
    check_eq!(unsafe { readme_main() }, 0, "what the README's program returns");
}

cases! {
    "C interface";
    "a runtime in C" => a_runtime_in_c;
    "the README's program" => the_readme;
}

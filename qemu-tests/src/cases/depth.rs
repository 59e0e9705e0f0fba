//! The paths on managed stacks, without optimisation: each fits in the least stack that `g_init` takes. What they
//! use when they are optimised, and that they use no more, is `cargo xtask stack-depth`.

use crate::depth::{paths, used};
use crate::{cases, check};
use stackgate::MIN_STACK;

fn fits(name: &str) {
    let path = paths().find(|path| path.name == name).expect("a path of this name");
    let used = used(path);
    println!("{name}: {used} of {MIN_STACK} bytes");
    check!(used <= MIN_STACK, "{name} uses {used} bytes");
}

cases! {
    "stack depth";
    "a task's first function" => || fits("a task's first function");
    "asmcgocall" => || fits("asmcgocall");
    "ccall" => || fits("ccall");
    "asmcgocall_catch" => || fits("asmcgocall_catch");
    "throw_to" => || fits("throw_to");
    "systemstack" => || fits("systemstack");
    "mcall" => || fits("mcall");
    "park, the crossing" => || fits("park, the crossing");
    "park" => || fits("park");
    "switch_to" => || fits("switch_to");
    "cgocall" => || fits("cgocall");
    "on_system_stack" => || fits("on_system_stack");
    "callback" => || fits("callback");
    "exported function" => || fits("exported function");
    "cgocall_catch" => || fits("stackgate_cgocall_catch");
    "cgocall_no_callback" => || fits("stackgate_cgocall_no_callback");
    "throw" => || fits("stackgate_throw");
    "yield" => || fits("stackgate_yield");
    "open" => || fits("files::open");
    "close" => || fits("files::OwnedFd::close");
    "read" => || fits("files::read");
    "write" => || fits("files::write");
}

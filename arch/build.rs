//! Declares the cfg names that the crossings know, so that a misspelt one is an error, and sets those that
//! the compiler does not tell.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stackgate_landing_pads)");
    println!("cargo::rustc-check-cfg=cfg(stackgate_thumb)");
    println!("cargo::rustc-check-cfg=cfg(stackgate_static)");

    // Which of arm's two instruction sets the crate is compiled to decides which register is the frame
    // pointer. Stable compilers do not show the feature `thumb-mode`.
    let variable = |name| env::var(name).unwrap_or_default();
    let arm = variable("CARGO_CFG_TARGET_ARCH") == "arm";
    if arm
        && (variable("TARGET").starts_with("thumb")
            || variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "thumb-mode")
            || variable("CARGO_ENCODED_RUSTFLAGS").contains("+thumb-mode"))
    {
        println!("cargo::rustc-cfg=stackgate_thumb");
    }

    // Code of the static relocation model may name addresses by number, which i386 has no other cheap way to
    // do. Stable compilers do not show the relocation model.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    let model = flags.split('\x1f').filter_map(|flag| flag.split_once("relocation-model=")).next_back();
    if variable("CARGO_CFG_TARGET_ARCH") == "x86" && model.is_some_and(|(_, model)| model == "static") {
        println!("cargo::rustc-cfg=stackgate_static");
    }
}

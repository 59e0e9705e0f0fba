//! Declares the cfg names that the crossings know, so that a misspelt one is an error.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(stackgate_landing_pads)");
}

//! Names the linker script of the machine, and compiles the C half of the tests.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The linker script of each machine, by what the target's name begins with.
const SCRIPTS: &[(&str, &str)] = &[
    ("x86_64", "x86_64-pc.x"),
    ("i686", "i386-pc.x"),
    ("aarch64", "arm64-virt.x"),
    ("armv7", "arm-virt.x"),
    ("powerpc64le", "ppc64le-pseries.x"),
    ("s390x", "s390x-ccw-virtio.x"),
    ("thumbv7em", "thumb-mps2.x"),
];

/// What is the same on every CPU of the program in `linker/README.md`, which a case runs: a Rust and a C file, each
/// below its name in bold. Returns where the C file is.
fn program_of_the_readme(linker: &Path) -> PathBuf {
    let text = fs::read_to_string(linker.join("README.md")).expect("linker/README.md");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for name in ["callback.rs", "driver.c"] {
        let (_, rest) = text.split_once(&format!("**`src/{name}`**")).expect("a file of the README");
        let block =
            rest.split("```").nth(1).and_then(|block| block.split_once('\n')).expect("a block below it");
        fs::write(out.join(name), block.1).expect("a directory to write to");
    }
    out.join("driver.c")
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=c");
    println!("cargo::rerun-if-changed=../../linker");
    println!("cargo::rustc-check-cfg=cfg(machine_mps2)");
    println!("cargo::rustc-check-cfg=cfg(stackgate_landing_pads)");
    let target = env::var("TARGET").expect("cargo sets it");
    let linker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../linker");
    let readme = program_of_the_readme(&linker);
    let (_, script) =
        SCRIPTS.iter().find(|(prefix, _)| target.starts_with(prefix)).expect("a target of the table");
    if target.starts_with("thumb") {
        println!("cargo::rustc-cfg=machine_mps2");
    }
    for argument in ["-nostdlib", "-nostartfiles", "-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    for argument in [
        "--build-id=none",
        "--no-dynamic-linker",
        "--eh-frame-hdr",
        "--gc-sections",
        // Code and variables of the images that lie in RAM as a whole share a segment.
        "--no-warn-rwx-segments",
        "-znoexecstack",
    ] {
        println!("cargo::rustc-link-arg-bins=-Wl,{argument}");
    }
    // The tests want more than a small chip has; the demonstration keeps to what it has.
    if target.starts_with("thumb") {
        for symbol in [
            "stackgate_flash_size=4M",
            "stackgate_ram_size=4M",
            "stackgate_system_stack_size=64K",
            "stackgate_signal_stack_size=64K",
            "stackgate_managed_stacks=24",
            "stackgate_managed_stack_size=64K",
            "stackgate_arena_size=64K",
        ] {
            println!("cargo::rustc-link-arg-bin=tests=-Wl,--defsym={symbol}");
        }
    }
    // Two machines are run with two CPUs, which one plain word does not serve.
    let one_word = env::var_os("CARGO_FEATURE_SINGLE_CORE").is_some();
    if !one_word && ["x86_64", "aarch64"].iter().any(|cpu| target.starts_with(cpu)) {
        println!("cargo::rustc-link-arg-bins=-Wl,--defsym=stackgate_cpus=2");
    }
    println!("cargo::rustc-link-arg-bins=-L{}", linker.display());
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");

    cc::Build::new()
        .warnings_into_errors(true)
        .inherit_rustflags(false)
        .std("gnu11")
        .flag("-ffreestanding")
        .flag("-fno-pic")
        .flag("-fno-omit-frame-pointer")
        .flag("-fasynchronous-unwind-tables")
        .flag("-fno-optimize-sibling-calls")
        .flag("-fno-stack-protector")
        .file("c/callbacks.c")
        .file(readme)
        .compile("bare_metal_c");
}

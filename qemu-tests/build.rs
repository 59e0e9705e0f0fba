//! Compiles the C half of the tests with the target's own compiler.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=c");
    // Set for the microcontroller, which shares the CPU's assembly.
    println!("cargo::rustc-check-cfg=cfg(machine_mps2)");
    // Set for variants: programs whose landing pads are enforced, whose return addresses have hashes.
    println!("cargo::rustc-check-cfg=cfg(stackgate_landing_pads)");
    println!("cargo::rustc-check-cfg=cfg(stackgate_hash_checks)");
    // And for those that are linked in another way.
    println!("cargo::rustc-check-cfg=cfg(stackgate_pie)");
    println!("cargo::rustc-check-cfg=cfg(stackgate_lto)");
    println!("cargo::rustc-env=QEMU_TESTS_OPT_LEVEL={}", std::env::var("OPT_LEVEL").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=landing-pads.x");
    println!("cargo::rerun-if-changed=../core/include");
    compile(
        "qemu_tests_c",
        &[
            "callbacks.c",
            "embed.c",
            "faults.c",
            "foreign.c",
            "jit.c",
            "numbers.c",
            "shim.c",
            "signatures.c",
            "symbolizer.c",
            "unwinding.c",
            "variants.c",
        ]
        .map(in_c),
    );
    // Cases of the shim make these fail or return, or look at what they are passed; other callers get the real
    // ones.
    for symbol in ["exit", "_exit", "close", "mmap64", "pthread_create", "__libc_dynarray_emplace_enlarge"] {
        println!("cargo::rustc-link-arg-bin=guest=-Wl,--wrap={symbol}");
    }
    for level in [0, 2] {
        let mut build = compiler();
        // Records of leaf functions too, and where they are no part of the usual frame.
        build.flag_if_supported("-mno-omit-leaf-frame-pointer").flag_if_supported("-mbackchain");
        // Each function is its own also where the linker's optimiser sees one like it.
        build.flag_if_supported("-fno-ipa-icf");
        build
            .file(in_c("tower.c"))
            .flag(format!("-O{level}"))
            .define("TOWER", Some(&*format!("tower_o{level}_")));
        build.compile(&format!("qemu_tests_tower_o{level}"));
    }
    // Calls a comparator that the demonstration alone exports, so a library of its own.
    compile("qemu_tests_sort", &[in_c("sort.c")]);
    compile("qemu_tests_count", &[in_c("count.c")]);
    compile("qemu_tests_depth", &[in_c("depth.c")]);
    compile("qemu_tests_readme", &[readme()]);
}

fn in_c(file: &str) -> PathBuf {
    Path::new("c").join(file)
}

/// The README's C program, as a function: what is shown is what is compiled.
fn readme() -> PathBuf {
    const README: &str = "../README.md";
    println!("cargo::rerun-if-changed={README}");
    let text = std::fs::read_to_string(README).expect("the README");
    let code =
        text.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).expect("C code in the README");
    let path = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("readme.c");
    std::fs::write(&path, code.replace("int main(void)", "int readme_main(void)")).expect("a file to write");
    path
}

fn compile(library: &str, files: &[PathBuf]) {
    let mut build = compiler();
    for file in files {
        build.file(file);
    }
    build.compile(library);
}

fn compiler() -> cc::Build {
    let mut build = cc::Build::new();
    build
        .warnings_into_errors(true)
        // The flags are those below, the same for each CPU.
        .inherit_rustflags(false)
        .flag("-Wno-unused-parameter")
        .std("gnu11")
        .include("../core/include")
        .flag("-fno-omit-frame-pointer")
        .flag("-fasynchronous-unwind-tables")
        // Modes of the floating point unit are among what is tested.
        .flag("-frounding-math")
        // A C function's frames are to be there when it is looked for.
        .flag("-fno-optimize-sibling-calls");
    build
}

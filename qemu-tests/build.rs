//! Compiles the C half of the tests with the target's own compiler.

fn main() {
    println!("cargo::rerun-if-changed=c");
    let mut build = cc::Build::new();
    build
        .warnings_into_errors(true)
        .flag("-fno-omit-frame-pointer")
        .flag("-fasynchronous-unwind-tables")
        // Modes of the floating point unit are among what is tested.
        .flag("-frounding-math")
        // A C function's frames are to be there when it is looked for.
        .flag("-fno-optimize-sibling-calls");
    for file in ["callbacks.c", "signatures.c", "numbers.c"] {
        build.file(format!("c/{file}"));
    }
    build.compile("qemu_tests_c");
}

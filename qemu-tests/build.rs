//! Compiles the C half of the tests with the target's own compiler.

fn main() {
    println!("cargo::rerun-if-changed=c");
    compile("qemu_tests_c", &["callbacks.c", "signatures.c", "numbers.c"]);
    // Calls a comparator that the demonstration alone exports, so a library of its own.
    compile("qemu_tests_sort", &["sort.c"]);
}

fn compile(library: &str, files: &[&str]) {
    let mut build = cc::Build::new();
    build
        .warnings_into_errors(true)
        .flag("-fno-omit-frame-pointer")
        .flag("-fasynchronous-unwind-tables")
        // Modes of the floating point unit are among what is tested.
        .flag("-frounding-math")
        // A C function's frames are to be there when it is looked for.
        .flag("-fno-optimize-sibling-calls");
    for file in files {
        build.file(format!("c/{file}"));
    }
    build.compile(library);
}

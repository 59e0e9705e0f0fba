//! Compiles the C half with the C compiler of the machine that it is for.

fn main() {
    println!("cargo::rerun-if-changed=c");
    cc::Build::new()
        .file("c/bench.c")
        .warnings_into_errors(true)
        // The flags are those below, the same for each CPU.
        .inherit_rustflags(false)
        .std("gnu11")
        // Debug information would ask for frames, of which a function that does nothing has no need.
        .force_frame_pointer(false)
        .compile("bench_c");
}

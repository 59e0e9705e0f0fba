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
        // A loop that crosses a line of the cache takes longer, and the plain one must take the least.
        .flag_if_supported("-falign-functions=64")
        .flag_if_supported("-falign-loops=64")
        .compile("bench_c");
}

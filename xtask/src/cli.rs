//! The command line; its help texts are the manual.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Drives the stackgate workspace: tools, tests, instruments.
///
/// Guest programs are built for six CPUs and run under user-mode emulators. `run` and `test`
/// install what they need by themselves; `doctor` says beforehand what that would be.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
pub struct Cli {
    /// Work on this CPU only; may be repeated (default: all of them, see `list`)
    #[arg(long, global = true, value_name = "NAME")]
    pub target: Vec<String>,

    /// Install nothing, leave out CPUs whose tools are missing, and say so in the summary
    #[arg(long, global = true)]
    pub allow_missing: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say which tools are there, which are missing and what command mends that
    ///
    /// For each CPU: the compiler (rustc with a standard library of its own for that target, or with
    /// its sources), the linker with a C library, the emulator. Then what single commands need
    /// beyond that. Exits with an error where something is missing. XTASK_RUSTC names a compiler
    /// to be tried before all others.
    Doctor,

    /// Install every missing tool
    ///
    /// Through apt, as root or through `sudo -n`. A dry run comes first: where not everything can
    /// be installed, or a package would have to go, nothing is changed and the commands to type are
    /// printed, those of rustup too.
    Setup {
        /// Print the command that would install, and run nothing
        #[arg(long)]
        dry_run: bool,

        /// Also the browser for `frames --browser-test`, which is large
        #[arg(long)]
        browser: bool,
    },

    /// Print the table of targets
    List {
        /// As JSON, one object a CPU
        #[arg(long)]
        json: bool,
    },

    /// Print the variables and options with which this tool calls cargo, for a shell
    Env,

    /// Sort a file's lines on every CPU, with calls into C and callbacks from it
    ///
    /// The program `demo` sorts with the platform's qsort, whose comparator is managed code, and
    /// says what it did. Lines, checksum and number of callbacks are held against a plain sort, and
    /// the functions, files and lines of its traceback against the sources.
    ///
    /// With --machine: a smaller program, on machines without an operating system (and on a
    /// microcontroller, which is built by arm's tools), with a timer that interrupts it.
    Run {
        /// On machines without an operating system
        #[arg(long, conflicts_with_all = ["example", "file"])]
        machine: bool,

        /// Run this example in place of the demonstration: lua, scheduler, sqlite
        ///
        /// Each is a file of its name in the directory `examples` of a package. An example of a package that ships is
        /// built with link-time optimisation where the compiler's own standard library is used.
        #[arg(long, value_name = "NAME")]
        example: Option<String>,

        /// The file to sort (default: a text that ships with the project)
        file: Option<PathBuf>,
    },

    /// Run every test case on every CPU, then the tests of the host
    ///
    /// Each case runs in a process of its own, under the emulator, and natively as well where the
    /// host has the CPU. The table at the end is the same on all CPUs, but for the exceptions in
    /// qemu-tests/exceptions.toml. The last line is `N passed, N failed`.
    ///
    /// With --machine: the tests of qemu-tests/bare-metal, on machines without an operating system. A
    /// timer interrupts every instruction of every crossing, and what its handler sees is held against
    /// the lists of `step`. All of it once with the current g in a slot of the CPU's, once in one plain word
    /// (the feature single-core). At the end the program of linker/README.md is built from the page alone and
    /// booted.
    ///
    /// With --variants: the same cases built and run in other ways: arm64 where the CPU enforces landing pads
    /// (`landing-pads`), ppc64le with hash checks (`hash-checks`), x86_64 under AddressSanitizer (`asan`),
    /// ThreadSanitizer (`tsan`) and valgrind (`valgrind`). Each program first does what its variant has to notice.
    /// And the cases about unwinding on each CPU: position independent with shared libraries and not optimised
    /// (`CPU-pie`), and static with link-time optimisation of Rust, its library and C (`CPU-lto`).
    Test {
        /// On machines without an operating system
        #[arg(long, conflicts_with = "filter")]
        machine: bool,

        /// Built and run in other ways
        #[arg(long, conflicts_with = "machine")]
        variants: bool,

        /// In this way only; may be repeated
        #[arg(long, value_name = "NAME", conflicts_with = "machine")]
        variant: Vec<String>,

        /// Only cases with this in their name (group/name); the host's tests are then left out
        filter: Option<String>,
    },

    /// Print the frame layouts, or write or check what is generated from them
    ///
    /// The tables in arch/docs, which the documentation includes, the C header core/include/stackgate.h
    /// and the offsets in core/gdb/layouts.json come from the declarations in arch/src/*/frame.rs. The
    /// page and the pictures are written to target/frames.
    Frames {
        /// Compare the generated files with the layouts
        #[arg(long)]
        check: bool,

        /// Write the generated files
        #[arg(long, conflicts_with = "check")]
        write: bool,

        /// Try the page in a browser: type each CPU's registers, and take pictures (`setup --browser`)
        #[arg(long, conflicts_with_all = ["check", "write"])]
        browser_test: bool,

        /// What to print
        #[arg(long, value_enum, default_value_t = FramesFormat::Md, conflicts_with_all = ["check", "write", "browser_test"])]
        format: FramesFormat,
    },

    /// Count guest instructions per operation and compare them with Go's
    ///
    /// Runs each operation of the program `count` under the emulator with a plugin of the project's
    /// own, twice with different numbers of repetitions, and takes the difference.
    Count {
        /// Fail where a count differs from core/docs/counts.md, or exceeds its limit without a reason given there
        #[arg(long)]
        check: bool,

        /// Write core/docs/counts.md
        #[arg(long, conflicts_with_all = ["check", "profile"])]
        write: bool,

        /// Print where the instructions go, function by function; needs --op
        #[arg(long, requires = "op", conflicts_with = "check")]
        profile: bool,

        /// Count this operation only
        #[arg(long, value_name = "NAME")]
        op: Option<String>,
    },

    /// Time each operation on this machine, beside a plain C call and beside others who switch stacks
    ///
    /// Natively, on one CPU: plain calls and callbacks through pointers, psm, corosensei, and where they are installed
    /// Boost.Context and Go. In each round everybody who does the same has some turns, in short blocks, so that what
    /// else the machine does hits them alike. Prints nanoseconds, the medians of the ratios with their quartiles, and
    /// the limits; writes target/bench/bench.svg.
    ///
    /// Before anything is timed everybody has to call functions that count, as often as it says.
    Bench {
        /// Fail where a limit is missed
        #[arg(long)]
        check: bool,

        /// Write qemu-tests/BENCH.md and its picture
        #[arg(long)]
        write: bool,

        /// Only see that everybody does what it says: a few rounds, whose times are not told
        #[arg(long, conflicts_with_all = ["check", "write", "rounds"])]
        quick: bool,

        /// So many rounds (default: 501)
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        rounds: Option<u32>,
    },

    /// Take a backtrace at every instruction of every crossing
    ///
    /// Twice: gdb's, over the emulator's stub, by the unwind tables alone, and the library's own, in a
    /// signal handler. The program `steps` says which frames must be seen on each path of each crossing.
    /// gdb also compares the caller's registers with what they held at the call, and the handler looks at
    /// the rules that hold at every instruction.
    /// An instruction that is never reached is an error too, unless the source says why nobody can.
    ///
    /// Then a storm: all of it again and again, while a timer's signals come to the trampoline, about 100
    /// microseconds after the last one was handled. Each trace in a crossing has to be one that the program expects
    /// there. How many instructions the storm has hit is printed; from a minute on all of them have to be, in four storms at most.
    Step {
        /// How long the storm lasts on each CPU, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        storm: u64,
    },

    /// Bound the stack use of every path that runs on a managed stack, from the object code
    ///
    /// The program `depth` of qemu-tests holds each path: crossings, calls into C, callbacks, wrappers of
    /// libc, and the tracebacks of handlers. Prints for each the deepest chain of functions, with the
    /// bytes of each, and what was found on a painted stack. Recursion, a call through an unknown
    /// pointer and a function whose size is not known are errors.
    StackDepth {
        /// Fail where a chain differs from qemu-tests/DEPTH.md or a limit is exceeded
        #[arg(long)]
        check: bool,

        /// Write qemu-tests/DEPTH.md
        #[arg(long, conflicts_with = "check")]
        write: bool,
    },

    /// Try the commands that core/gdb/stackgate.py adds to gdb: `info stackgate`, `stackgate bt`
    ///
    /// On the program `debugged`, over the emulator's stub; on the host's own CPU also in a process and
    /// in its core file. gdb has to see the functions that the program's own tracebacks see.
    ///
    /// Then gdb's own backtrace, by unwind tables alone: of random towers of managed code and C that the program
    /// `chain` builds, out to `main`, static and position independent, with the managed stack below the system stack
    /// and above.
    Debug,

    /// Break the crossings in every mechanical way and say what notices
    ///
    /// Offsets a word off, saves, restores and lines of unwind tables left out, stores that publish in the
    /// wrong order: each is built in a copy below target/mutants and run against the cases of `test` and the
    /// views of `step` until one fails. A mutant that nobody notices means that a test is missing, unless
    /// qemu-tests/mutants.toml says why nobody can. At least 95 of 100 must be noticed. What became of each is kept
    /// there while nothing changes that it depends on: a run that was stopped goes on where it was.
    Mutants {
        /// Try this many, over all chosen CPUs and kinds (default: all)
        #[arg(long, value_name = "N")]
        sample: Option<usize>,

        /// Choose the sample by this number; the same number, the same sample
        #[arg(long, value_name = "S", default_value_t = 1)]
        seed: u64,

        /// Only mutants with this in their kind and name
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,

        /// Write examples of what was noticed to qemu-tests/MUTANTS.md
        #[arg(long)]
        write: bool,

        /// Print their names and run nothing
        #[arg(long, conflicts_with = "write")]
        list: bool,
    },

    /// Run random sequences of crossings on every CPU, against a model of what both stacks must hold
    ///
    /// Calls into C, callbacks, throws, tasks that park and go on elsewhere, signals, threads that begin and end, and
    /// misuse, which must be refused. After each operation the program `fuzz` compares with its model: the current g,
    /// both stacks, registers, words in every frame, counters, contexts, hooks, the signal mask, and tracebacks. What
    /// it finds it makes smaller and prints, with the command that shows it again. The CPUs run side by side, the
    /// host's own natively, and so what the emulator cannot run. A kind of operation that never came is a failure too.
    Fuzz {
        /// Where the sequences begin; the same number, the same sequences (default: 1)
        #[arg(long, value_name = "S")]
        seed: Option<u64>,

        /// How long each CPU runs, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = crate::fuzz::SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,

        /// Run so many sequences in one process, and not for a time
        #[arg(long, value_name = "N", conflicts_with_all = ["seconds", "planted"])]
        sequences: Option<u64>,

        /// Run one sequence, of which these words are used alone
        #[arg(long, value_name = "N,N,...", conflicts_with_all = ["seconds", "sequences", "planted"])]
        keep: Option<String>,

        /// Break the sources in known ways, in a copy below target/planted, and say how soon each is found
        ///
        /// On x86_64, natively. What is not found within a minute is a failure.
        #[arg(long, conflicts_with = "seconds")]
        planted: bool,
    },

    /// Make what C programs link: libraries, headers and pkg-config files, below target/dist
    ///
    /// `libstackgate` asks for nothing: no C library, no heap, no memcpy. `libstackgate-libc` contains it and hosted
    /// Linux as its platform: threads that C made, guarded stacks, faults that are told, names in tracebacks. Each as
    /// an archive and as a shared library, which export what the headers declare and nothing else: that is looked at. A
    /// program links one of the two, of the version of its header; otherwise it does not link. The shared libraries
    /// have a word of thread-local memory in the initial-exec model; with glibc they can be loaded by dlopen too.
    Dist {
        /// Make them again in another directory, which must give the same bytes, then compile, link and run programs
        ///
        /// As C11 and C++17, by gcc and clang, with -flto, position-independent and static, with and without frame
        /// pointers; a header of another version must not link.
        #[arg(long)]
        check: bool,
    },

    /// Print how many bytes stackgate takes on machines without an operating system
    ///
    /// With the current g in a CPU's slot and in one plain word. And that the archives of stackgate and
    /// stackgate-arch want no symbol there that Rust's core and the compiler do not bring.
    Size {
        /// Fail where a size differs from core/docs/sizes.md, or exceeds its limit without a reason given there
        #[arg(long)]
        check: bool,

        /// Write core/docs/sizes.md
        #[arg(long, conflicts_with = "check")]
        write: bool,
    },

    /// Judge everything that needs no guest: format, lints, documentation, dependencies, symbols
    ///
    /// Lints run on the host and for every CPU. The package stackgate is built for every CPU with
    /// `core` and nothing else, and must want no symbol of a C library. Unwind tables, layouts and
    /// instructions of the crossings must say the same of where each register is.
    Check {
        /// Only checks with this in their name
        filter: Option<String>,
    },

    /// Run every stage: check, test, run, count, bench --quick, step, stack-depth, fuzz, 30 mutants, debug,
    /// frames, dist, and those of the machines
    ///
    /// Ends with a table of where the time went and the line `N passed, N failed`: the cases of
    /// `test`, and one for each other stage.
    Ci {
        /// Also what takes too long for every change: planted bugs, a browser, a large file, a storm of a minute,
        /// sequences of crossings for ten
        #[arg(long)]
        long: bool,
    },
}

/// What `frames` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FramesFormat {
    /// Tables and pictures
    Md,
    /// One page that needs nothing else, target/frames/index.html
    Html,
    /// A picture of each frame, target/frames/*.svg
    Svg,
    /// For tools
    Json,
    /// The C header
    C,
}

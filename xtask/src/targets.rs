//! The table of targets: one row a CPU, read by every command.
//!
//! A new CPU is a new row here and nothing else in this crate: `setup`, `doctor`, `list`, `test`,
//! `run`, `count`, `step` and `check` all walk this table, and CI walks it through them.

use std::sync::LazyLock;

use anyhow::{Result, bail};
use serde::Serialize;

/// What the host tool knows of one CPU.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Target {
    /// The name used on the command line, in tables and in `arch/src/`.
    pub name: &'static str,
    /// Rust's name for the target that the guest programs are built for.
    pub triple: &'static str,
    /// Prefix of Debian's cross tools: `<gnu>-gcc`, `<gnu>-objcopy`.
    pub gnu: &'static str,
    /// Debian packages with a C compiler, a linker and a C library for this CPU.
    pub packages: &'static [&'static str],
    /// Debian package with a C++ compiler, for `dist --check`.
    pub cpp_package: &'static str,
    /// QEMU's name: the runner is `qemu-<qemu>`.
    pub qemu: &'static str,
    /// What gdb's `set architecture` wants.
    pub gdb: &'static str,
    /// Target features beyond [`COMMON_FEATURES`], in rustc's `+feature` form.
    pub features: &'static [&'static str],
    /// Bits of a pointer.
    pub bits: u32,
    /// Byte order: "little" or "big".
    pub endian: &'static str,
    /// How landing pads are asked for, and what they look like, where the CPU may enforce them.
    pub landing_pads: Option<LandingPads>,
}

/// Landing pads of one CPU.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct LandingPads {
    /// Code generation options that ask for them.
    pub flags: &'static [&'static str],
    /// What code begins with that a pointer may lead to.
    pub code: [u8; 4],
    /// The property of an object file that says that all of its code has them: its type, and the bit.
    pub property: (u32, u32),
}

/// `elf.h`: `GNU_PROPERTY_X86_FEATURE_1_AND`, of which `IBT`.
const X86_PROPERTY: (u32, u32) = (0xc000_0002, 1);
// Landing pads alone: `full` would ask for a shadow stack too, which tasks cannot have.
const X86_FLAGS: &[&str] = &["-Z cf-protection=branch", "--cfg stackgate_landing_pads"];
/// What arm64's landing pads are asked for by.
const ARM64_FLAGS: [&str; 3] = [
    "-Z branch-protection=bti,pac-ret,leaf",
    // Rust's own library has none.
    "-C unsafe-allow-abi-mismatch=branch-protection",
    "--cfg stackgate_landing_pads",
];

/// Code generation options for every guest program, on every CPU.
///
/// Frame pointers give the record walker its chains and unwind tables the table walker its rows.
/// A static, position dependent program needs no C library beside the emulator, and has the
/// addresses that its symbol table says.
pub const COMMON_FLAGS: &[&str] =
    &["-C force-frame-pointers=yes", "-C force-unwind-tables=yes", "-C relocation-model=static"];

/// Those of them for what C programs link.
const LIBRARY_FLAGS: &str = "-C force-frame-pointers=yes -C force-unwind-tables=yes";

/// Target features for every guest program. rustc keeps only the last `target-feature` option,
/// so that these and a CPU's own are merged into one list.
const COMMON_FEATURES: &[&str] = &["+crt-static"];

/// Every supported CPU, in the order of all tables.
pub const TARGETS: &[Target] = &[
    Target {
        name: "i386",
        triple: "i686-unknown-linux-gnu",
        gnu: "i686-linux-gnu",
        packages: &["gcc-i686-linux-gnu", "libc6-dev-i386-cross"],
        cpp_package: "g++-i686-linux-gnu",
        qemu: "i386",
        gdb: "i386",
        features: &[],
        bits: 32,
        endian: "little",
        landing_pads: Some(LandingPads {
            flags: X86_FLAGS,
            // endbr32
            code: [0xf3, 0x0f, 0x1e, 0xfb],
            property: X86_PROPERTY,
        }),
    },
    Target {
        name: "x86_64",
        triple: "x86_64-unknown-linux-gnu",
        gnu: "x86_64-linux-gnu",
        packages: &["gcc", "libc6-dev"],
        cpp_package: "g++",
        qemu: "x86_64",
        gdb: "i386:x86-64",
        features: &[],
        bits: 64,
        endian: "little",
        landing_pads: Some(LandingPads {
            flags: X86_FLAGS,
            // endbr64
            code: [0xf3, 0x0f, 0x1e, 0xfa],
            property: X86_PROPERTY,
        }),
    },
    Target {
        name: "arm",
        triple: "armv7-unknown-linux-gnueabihf",
        gnu: "arm-linux-gnueabihf",
        packages: &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
        cpp_package: "g++-arm-linux-gnueabihf",
        qemu: "arm",
        gdb: "arm",
        features: &[],
        bits: 32,
        endian: "little",
        landing_pads: None,
    },
    Target {
        name: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        gnu: "aarch64-linux-gnu",
        packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        cpp_package: "g++-aarch64-linux-gnu",
        qemu: "aarch64",
        gdb: "aarch64",
        features: &[],
        bits: 64,
        endian: "little",
        landing_pads: Some(LandingPads {
            flags: &ARM64_FLAGS,
            // bti c
            code: [0x5f, 0x24, 0x03, 0xd5],
            // `elf.h`: `GNU_PROPERTY_AARCH64_FEATURE_1_AND`, of which `BTI`.
            property: (0xc000_0000, 1),
        }),
    },
    Target {
        name: "ppc64le",
        triple: "powerpc64le-unknown-linux-gnu",
        gnu: "powerpc64le-linux-gnu",
        packages: &["gcc-powerpc64le-linux-gnu", "libc6-dev-ppc64el-cross"],
        cpp_package: "g++-powerpc64le-linux-gnu",
        qemu: "ppc64le",
        gdb: "powerpc:common64",
        features: &[],
        bits: 64,
        endian: "little",
        landing_pads: None,
    },
    Target {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        gnu: "s390x-linux-gnu",
        packages: &["gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"],
        cpp_package: "g++-s390x-linux-gnu",
        qemu: "s390x",
        gdb: "s390:64-bit",
        // Without it compiled code writes no back chain, and a record walker stops at once.
        features: &["+backchain"],
        bits: 64,
        endian: "big",
        landing_pads: None,
    },
];

/// Another way to build the test programs of a CPU, and to run them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name used on the command line, in tables and in `qemu-tests/exceptions.toml`.
    pub name: &'static str,
    /// The CPU.
    pub target: &'static str,
    /// What is other, in words.
    pub about: &'static str,
    /// Code generation options instead of [`COMMON_FLAGS`].
    pub flags: &'static [&'static str],
    /// Target features beside the CPU's own.
    pub features: &'static [&'static str],
    /// Options for the compiler of C.
    pub cflags: &'static str,
    /// Features of the test programs' package.
    pub cargo_features: &'static [&'static str],
    /// Settings of cargo's profile, as variables of the environment.
    pub profile: &'static [(&'static str, &'static str)],
    /// The standard library it is linked with, where none comes with the compiler.
    pub library: Linked,
    /// What runs the program.
    pub runner: Runner,
    /// The program's environment.
    pub environment: &'static [(&'static str, &'static str)],
    /// What `guest --prove` must say or die of: that what this is about happens at all.
    pub proof: Proof,
    /// What no case may have said on standard error, however it ends.
    pub unsaid: Option<&'static str>,
    /// The groups that `ci` runs, where those of all variants take too long; where there are none it does not build it.
    pub groups: Option<&'static [&'static str]>,
    /// The groups that there are at all: the other cases are about nothing that is other here.
    pub only: Option<&'static [&'static str]>,
}

/// A standard library for programs of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The one of the usual programs.
    Usual,
    /// One that is position independent, and that link-time optimisation can read.
    Anywhere,
}

/// What runs the programs of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runner {
    /// The CPU's emulator, with these options.
    Emulator(&'static [&'static str]),
    /// The machine itself.
    Native,
    /// A program of the machine's own, with these options; [`crate::setup`] installs it.
    Program(&'static str, &'static [&'static str]),
}

/// How a program ends that does what the variant is to notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By this signal.
    Signal(i32),
    /// With an error, and with this text on standard error.
    Says(&'static str),
}

/// Every variant, in the order of all tables: those of one CPU, then those of each.
pub static VARIANTS: LazyLock<Vec<Variant>> =
    LazyLock::new(|| OF_ONE_CPU.iter().cloned().chain(TARGETS.iter().flat_map(of_each_cpu)).collect());

/// Groups of cases about code that is compiled and linked in other ways.
const BUILDS: &[&str] = &["unwinding", "towers", "traceback"];

/// Position independent and not optimised at all; static, and optimised when it is linked, in Rust and in C.
fn of_each_cpu(target: &'static Target) -> [Variant; 2] {
    let pie = Variant {
        name: format!("{}-pie", target.name).leak(),
        target: target.name,
        about: "position independent, with shared libraries, and not optimised",
        flags: &["-C force-frame-pointers=yes", "-C force-unwind-tables=yes", "-C relocation-model=pic", PIE],
        features: &[],
        cflags: "-O0",
        cargo_features: &["std"],
        profile: &[("CARGO_PROFILE_DEV_OPT_LEVEL", "0")],
        library: Linked::Anywhere,
        runner: Runner::Emulator(libraries_of(target)),
        environment: &[],
        proof: Proof::Says("position independent, opt-level 0"),
        unsaid: None,
        // Each wants a standard library of its own, which takes minutes: in `ci --long`.
        groups: Some(&[]),
        only: Some(BUILDS),
    };
    let lto = Variant {
        name: format!("{}-lto", target.name).leak(),
        about: "static, optimised when it is linked, in Rust with its library and in C",
        flags: &[
            "-C force-frame-pointers=yes",
            "-C force-unwind-tables=yes",
            "-C relocation-model=static",
            "--cfg stackgate_lto",
        ],
        features: COMMON_FEATURES,
        cflags: "-O2 -flto -ffat-lto-objects",
        profile: &[("CARGO_PROFILE_DEV_OPT_LEVEL", "2"), ("CARGO_PROFILE_DEV_LTO", "fat")],
        runner: Runner::Emulator(&[]),
        proof: Proof::Says("one module, opt-level 2"),
        ..pie.clone()
    };
    [pie, lto]
}

/// The emulator's options for programs with shared libraries.
fn libraries_of(target: &Target) -> &'static [&'static str] {
    if target.is_host() { &[] } else { vec!["-L", format!("/usr/{}", target.gnu).leak() as &str].leak() }
}

impl Variant {
    /// Position independent, and nothing but a CPU's usual program otherwise.
    pub fn is_pie(&self) -> bool {
        self.flags.contains(&PIE)
    }
}

/// What says so.
const PIE: &str = "--cfg stackgate_pie";

/// The variants of one CPU.
const OF_ONE_CPU: &[Variant] = &[
    Variant {
        name: "landing-pads",
        target: "arm64",
        about: "the CPU enforces landing pads in Rust, C and crossings, and return addresses are signed",
        flags: &[
            "-C force-frame-pointers=yes",
            "-C force-unwind-tables=yes",
            "-C relocation-model=static",
            // Rust's own library is not among the pages where they are enforced.
            ARM64_FLAGS[0],
            ARM64_FLAGS[1],
            ARM64_FLAGS[2],
            "-C link-arg=-Wl,-T,qemu-tests/landing-pads.x",
        ],
        features: &["+crt-static"],
        cflags: "-mbranch-protection=standard",
        cargo_features: &["std"],
        profile: &[],
        library: Linked::Usual,
        // The emulator computes the architecture's own signatures in software, for minutes.
        runner: Runner::Emulator(&["-cpu", "max,pauth-impdef=on"]),
        environment: &[],
        proof: Proof::Signal(SIGILL),
        unsaid: None,
        groups: None,
        only: None,
    },
    Variant {
        name: "hash-checks",
        target: "ppc64le",
        about: "POWER10, whose hash checks guard return addresses; Rust and C without a TOC pointer",
        flags: &[
            "-C force-frame-pointers=yes",
            "-C force-unwind-tables=yes",
            "-C relocation-model=static",
            "-C target-cpu=pwr10",
            "--cfg stackgate_hash_checks",
        ],
        features: &["+crt-static", "+rop-protect"],
        cflags: "-mcpu=power10 -mrop-protect",
        cargo_features: &["std"],
        profile: &[],
        library: Linked::Usual,
        runner: Runner::Emulator(&["-cpu", "power10"]),
        environment: &[],
        proof: Proof::Signal(SIGTRAP),
        unsaid: None,
        groups: None,
        only: None,
    },
    Variant {
        name: "asan",
        target: "x86_64",
        about: "AddressSanitizer, in Rust and C; position independent, with shared libraries",
        flags: &[
            "-C force-frame-pointers=yes",
            "-C force-unwind-tables=yes",
            "-Z sanitizer=address",
            "-C unsafe-allow-abi-mismatch=sanitizer",
        ],
        features: &[],
        cflags: "-fsanitize=address",
        cargo_features: &["std", "asan"],
        profile: &[],
        library: Linked::Usual,
        runner: Runner::Native,
        environment: &[(
            "ASAN_OPTIONS",
            // Parked stacks are nobody's to a leak checker. Locals are to lie on the stacks that the cases look at,
            // and signals are theirs.
            "detect_leaks=0:detect_stack_use_after_return=0:use_sigaltstack=0:handle_segv=0:handle_sigbus=0:\
             handle_abort=0:handle_sigill=0:handle_sigfpe=0",
        )],
        proof: Proof::Says("AddressSanitizer: heap-buffer-overflow"),
        unsaid: None,
        groups: None,
        only: None,
    },
    Variant {
        name: "tsan",
        target: "x86_64",
        about: "ThreadSanitizer, in Rust and C; position independent, with shared libraries",
        flags: &[
            "-C force-frame-pointers=yes",
            "-C force-unwind-tables=yes",
            "-Z sanitizer=thread",
            "-C unsafe-allow-abi-mismatch=sanitizer",
        ],
        features: &[],
        cflags: "-fsanitize=thread",
        cargo_features: &["std", "tsan"],
        profile: &[],
        library: Linked::Usual,
        runner: Runner::Native,
        environment: &[(
            "TSAN_OPTIONS",
            "suppressions=qemu-tests/tsan.supp:report_signal_unsafe=0:\
             handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0",
        )],
        proof: Proof::Says("ThreadSanitizer: data race"),
        unsaid: None,
        groups: None,
        only: None,
    },
    Variant {
        name: "valgrind",
        target: "x86_64",
        about: "under valgrind's memcheck, which is told of stacks; position independent, with shared libraries",
        flags: &["-C force-frame-pointers=yes", "-C force-unwind-tables=yes"],
        features: &[],
        cflags: "",
        cargo_features: &["std", "valgrind"],
        profile: &[],
        library: Linked::Usual,
        // An exit code that no case has. Without -q: that would keep it from saying what must not be said.
        runner: Runner::Program(VALGRIND, &["--error-exitcode=99", "--leak-check=no"]),
        environment: &[],
        proof: Proof::Says("Conditional jump or move depends on uninitialised value"),
        unsaid: Some("client switching stacks?"),
        groups: Some(&["moved stack", "tasks", "throwing", "foreign threads"]),
        only: None,
    },
];

/// The program, and Debian's package of it.
pub const VALGRIND: &str = "valgrind";

/// Numbers of signals, the same on every CPU here.
const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;

/// The variants of these targets with one of these names; all of theirs if none is named.
pub fn variants(targets: &[&Target], names: &[String]) -> Result<Vec<&'static Variant>> {
    if let Some(unknown) = names.iter().find(|name| VARIANTS.iter().all(|v| v.name != **name)) {
        let known: Vec<_> = VARIANTS.iter().map(|v| v.name).collect();
        bail!("unknown variant `{unknown}`; the variants are: {}", known.join(" "));
    }
    let named = |v: &&Variant| names.is_empty() || names.iter().any(|name| name == v.name);
    Ok(VARIANTS.iter().filter(named).filter(|v| targets.iter().any(|t| t.name == v.target)).collect())
}

impl Target {
    /// The code generation options of this CPU, the same bytes each time: cargo builds the
    /// standard library again for every other spelling.
    pub fn rustflags(&self) -> String {
        self.flags(COMMON_FLAGS, COMMON_FEATURES)
    }

    /// The same of one of its variants.
    pub fn variants_rustflags(&self, variant: &Variant) -> String {
        self.flags(variant.flags, variant.features)
    }

    fn flags(&self, flags: &[&str], features: &[&str]) -> String {
        let features: Vec<_> = features.iter().chain(self.features).copied().collect();
        let mut all = flags.join(" ");
        if !features.is_empty() {
            all.push_str(" -C target-feature=");
            all.push_str(&features.join(","));
        }
        all
    }

    /// The options of what C programs link, into whatever they are: position-independent, with frame records and
    /// unwind tables, and the same whether the compiler or its user's choice would be another.
    pub fn library_flags(&self) -> String {
        let mut flags = format!("{LIBRARY_FLAGS} -C relocation-model=pic");
        if !self.features.is_empty() {
            flags += &format!(" -C target-feature={}", self.features.join(","));
        }
        flags
    }

    /// One of the cross tools, `gcc` or `objcopy` for example.
    pub fn tool(&self, tool: &str) -> String {
        format!("{}-{tool}", self.gnu)
    }

    /// True where this machine runs the programs without an emulator as well.
    pub fn is_host(&self) -> bool {
        std::env::consts::OS == "linux" && self.triple.starts_with(std::env::consts::ARCH)
    }
}

/// The targets named on the command line in table order, each once; all of them if none is named.
pub fn select(names: &[String]) -> Result<Vec<&'static Target>> {
    if let Some(unknown) = names.iter().find(|name| TARGETS.iter().all(|t| t.name != **name)) {
        let known: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
        bail!("unknown target `{unknown}`; the targets are: {}", known.join(" "));
    }
    Ok(TARGETS.iter().filter(|t| names.is_empty() || names.iter().any(|name| name == t.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(selected: &[&Target]) -> Vec<&'static str> {
        selected.iter().map(|t| t.name).collect()
    }

    #[test]
    fn without_names_every_target_is_selected() {
        let all = select(&[]).unwrap();
        assert_eq!(names(&all), ["i386", "x86_64", "arm", "arm64", "ppc64le", "s390x"]);
    }

    #[test]
    fn a_selection_is_in_table_order_and_without_repetition() {
        let chosen = select(&["s390x".into(), "arm".into(), "s390x".into()]).unwrap();
        assert_eq!(names(&chosen), ["arm", "s390x"]);
    }

    #[test]
    fn an_unknown_target_is_named_with_the_known_ones() {
        let error = select(&["arm".into(), "mips".into()]).unwrap_err().to_string();
        assert!(error.contains("`mips`") && error.contains("i386 x86_64 arm"), "{error}");
    }

    #[test]
    fn there_is_one_target_feature_option_on_every_cpu() {
        for target in TARGETS {
            let flags = target.rustflags();
            assert_eq!(flags.matches("target-feature").count(), 1, "{flags}");
            assert!(flags.contains("+crt-static"), "{flags}");
        }
        let s390x = select(&["s390x".into()]).unwrap()[0];
        assert!(s390x.rustflags().ends_with("target-feature=+crt-static,+backchain"));
    }

    #[test]
    fn cross_tools_are_named_as_debian_names_them() {
        let arm = select(&["arm".into()]).unwrap()[0];
        assert_eq!(arm.tool("gcc"), "arm-linux-gnueabihf-gcc");
    }
}

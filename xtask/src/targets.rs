//! The table of targets: one row a CPU, read by every command.
//!
//! A new CPU is a new row here and nothing else in this crate: `setup`, `doctor`, `list`, `test`,
//! `run`, `count`, `step` and `check` all walk this table, and CI walks it through them.

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
}

/// Code generation options for every guest program, on every CPU.
///
/// Frame pointers give the record walker its chains and unwind tables the table walker its rows.
/// A static, position dependent program needs no C library beside the emulator, and has the
/// addresses that its symbol table says.
pub const COMMON_FLAGS: &[&str] =
    &["-C force-frame-pointers=yes", "-C force-unwind-tables=yes", "-C relocation-model=static"];

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
        qemu: "i386",
        gdb: "i386",
        features: &[],
        bits: 32,
        endian: "little",
    },
    Target {
        name: "x86_64",
        triple: "x86_64-unknown-linux-gnu",
        gnu: "x86_64-linux-gnu",
        packages: &["gcc", "libc6-dev"],
        qemu: "x86_64",
        gdb: "i386:x86-64",
        features: &[],
        bits: 64,
        endian: "little",
    },
    Target {
        name: "arm",
        triple: "armv7-unknown-linux-gnueabihf",
        gnu: "arm-linux-gnueabihf",
        packages: &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
        qemu: "arm",
        gdb: "arm",
        features: &[],
        bits: 32,
        endian: "little",
    },
    Target {
        name: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        gnu: "aarch64-linux-gnu",
        packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        qemu: "aarch64",
        gdb: "aarch64",
        features: &[],
        bits: 64,
        endian: "little",
    },
    Target {
        name: "ppc64le",
        triple: "powerpc64le-unknown-linux-gnu",
        gnu: "powerpc64le-linux-gnu",
        packages: &["gcc-powerpc64le-linux-gnu", "libc6-dev-ppc64el-cross"],
        qemu: "ppc64le",
        gdb: "powerpc:common64",
        features: &[],
        bits: 64,
        endian: "little",
    },
    Target {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        gnu: "s390x-linux-gnu",
        packages: &["gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"],
        qemu: "s390x",
        gdb: "s390:64-bit",
        // Without it compiled code writes no back chain, and a record walker stops at once.
        features: &["+backchain"],
        bits: 64,
        endian: "big",
    },
];

impl Target {
    /// The code generation options of this CPU, the same bytes each time: cargo builds the
    /// standard library again for every other spelling.
    pub fn rustflags(&self) -> String {
        let features: Vec<_> = COMMON_FEATURES.iter().chain(self.features).copied().collect();
        format!("{} -C target-feature={}", COMMON_FLAGS.join(" "), features.join(","))
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

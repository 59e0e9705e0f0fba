//! Building the guest programs of `qemu-tests`.

use anyhow::Result;

use crate::{
    process::Cmd,
    toolchain::{Kit, Std},
};

/// The package whose programs run under the emulators.
pub const PACKAGE: &str = "qemu-tests";

/// The package whose examples do.
pub const EXAMPLES: &str = "stackgate-libc";

/// Guest programs have a target directory of their own, so that they never wait for the lock of
/// the host's builds, nor these for theirs.
pub const TARGET_DIRECTORY: &str = "target/guests";

/// What programs for tests are built with.
pub const TEST_FEATURES: [&str; 2] = ["--features", "std"];

/// What of the package is built.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    Bin(&'a str),
    Example(&'a str),
}

/// How it is optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For tests: with checks, and panics that are thrown.
    Dev,
    /// For counting instructions: as users build it.
    Release,
    /// For examples: the same, with link-time optimisation through every crate. A standard library that was built
    /// from its sources has nothing to optimise then; with that one it is `Release`.
    Linked,
}

/// Builds a program and returns its path, relative to the workspace's root.
pub fn build(kit: &Kit, program: Program<'_>, profile: Profile) -> Result<String> {
    let (package, option, name, folder) = match program {
        Program::Bin(name) => (PACKAGE, "--bin", name, ""),
        Program::Example(name) => (EXAMPLES, "--example", name, "examples/"),
    };
    let mut cmd: Cmd = kit
        .cargo()
        .args(["build", "--package", package, option, name, "--target-dir", TARGET_DIRECTORY])
        .args(kit.cargo_options());
    let mut profile_folder = "debug";
    match profile {
        Profile::Dev => cmd = cmd.args(TEST_FEATURES),
        Profile::Linked if kit.std == Std::Shipped => {
            cmd = cmd.args(["--profile", "linked"]);
            profile_folder = "linked";
        }
        Profile::Release | Profile::Linked => {
            cmd = cmd.arg("--release");
            profile_folder = "release";
        }
    }
    cmd.run()?;
    Ok(format!("{TARGET_DIRECTORY}/{}/{profile_folder}/{folder}{name}", kit.target.triple))
}

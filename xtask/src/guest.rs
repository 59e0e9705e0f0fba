//! Building the guest programs of `qemu-tests`, and the examples of every package.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{
    mutants,
    process::Cmd,
    toolchain::{Kit, Std},
};

/// The package whose programs run under the emulators.
pub const PACKAGE: &str = "qemu-tests";

/// Guest programs have a target directory of their own, so that they never wait for the lock of
/// the host's builds, nor these for theirs.
pub const TARGET_DIRECTORY: &str = "target/guests";

/// Each [variant](crate::targets::Variant) has one below this: cargo keeps one program of a name in each.
const VARIANTS_DIRECTORY: &str = "target/variants";

/// What programs for tests are built with.
pub const TEST_FEATURES: [&str; 2] = ["--features", "std"];

/// What is built: a program of the package, or an example.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    Bin(&'a str),
    Example(&'a Example),
}

/// An example, and the package that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    pub name: String,
    package: String,
    /// As users build it, if the package is published. The others embed C, which has no part in link-time
    /// optimisation, and need not wait for it.
    pub profile: Profile,
}

/// The examples of all packages, as cargo knows them, by name.
pub fn examples() -> Result<Vec<Example>> {
    let metadata = Cmd::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]).read()?;
    examples_in(&metadata)
}

fn examples_in(metadata: &str) -> Result<Vec<Example>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        /// Where it may be published; none says anywhere.
        publish: Option<Vec<String>>,
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let metadata: Metadata = serde_json::from_str(metadata).context("what cargo says of the workspace")?;
    let mut found = Vec::new();
    for Package { name: package, publish, targets } in metadata.packages {
        let ships = publish.is_none_or(|registries| !registries.is_empty());
        let profile = if ships { Profile::Linked } else { Profile::Release };
        let examples = targets.into_iter().filter(|target| target.kind.iter().any(|kind| kind == "example"));
        found.extend(examples.map(|Target { name, .. }| Example { name, package: package.clone(), profile }));
    }
    found.sort();
    Ok(found)
}

/// How it is optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        Program::Example(Example { name, package, .. }) => {
            (package.as_str(), "--example", name.as_str(), "examples/")
        }
    };
    let directory = match kit.variant {
        Some(variant) => format!("{VARIANTS_DIRECTORY}/{}", variant.name),
        None => TARGET_DIRECTORY.to_owned(),
    };
    let mut cmd: Cmd = kit
        .cargo()
        .args(["build", "--package", package, option, name, "--target-dir", &directory])
        .args(kit.cargo_options());
    let mut profile_folder = "debug";
    match profile {
        Profile::Dev if let Some(variant) = kit.variant => {
            cmd = cmd.args(["--features", &variant.cargo_features.join(",")]);
        }
        Profile::Dev => cmd = recorded(kit, cmd)?.args(TEST_FEATURES),
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
    Ok(format!("{directory}/{}/{profile_folder}/{folder}{name}", kit.target.triple))
}

/// With this tool between cargo and rustc, which writes down how rustc was called: `mutants` calls it once more. Cargo
/// keeps what is built so apart from what it builds otherwise, so that all of a CPU's tests are built so.
pub fn recorded(kit: &Kit, cmd: Cmd) -> Result<Cmd> {
    let this = this_tool(env::current_exe().context("where this tool is")?);
    let lines = env::current_dir()?.join(mutants::lines_of(kit.target));
    let cmd = cmd.env("RUSTC_WORKSPACE_WRAPPER", this.to_string_lossy());
    Ok(cmd.env(mutants::RECORD, lines.to_string_lossy()))
}

/// Where the tool is that has taken the place of the one that runs, if it was built anew meanwhile: Linux says so behind
/// the path.
fn this_tool(path: PathBuf) -> PathBuf {
    match path.to_string_lossy().strip_suffix(" (deleted)") {
        Some(former) if !path.exists() => Path::new(former).to_owned(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_was_built_anew_is_found() {
        assert_eq!(this_tool("/no/where/xtask (deleted)".into()), Path::new("/no/where/xtask"));
        assert_eq!(this_tool("/no/where/xtask".into()), Path::new("/no/where/xtask"));
    }

    #[test]
    fn examples_are_found_in_every_package() {
        let metadata = r#"{"packages": [
            {"name": "own", "publish": [], "targets": [
                {"name": "guest", "kind": ["bin"]}, {"name": "z", "kind": ["example"]}
            ]},
            {"name": "shipped", "publish": null, "targets": [
                {"name": "a", "kind": ["example"]}, {"name": "shipped", "kind": ["lib"]}
            ]}
        ]}"#;
        let found = examples_in(metadata).unwrap();
        let names: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.package.as_str(), e.profile)).collect();
        assert_eq!(names, [("a", "shipped", Profile::Linked), ("z", "own", Profile::Release)]);
        assert!(examples_in("{}").is_err());
    }
}

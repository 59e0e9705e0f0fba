//! Standard libraries that come with no compiler, each built from its sources once, where rustc's `--sysroot`
//! finds it.
//!
//! Cargo's `-Z build-std` alone would build one for each profile, and another for clippy: most of what a first run
//! does.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::Cmd,
    toolchain::{Rustc, cargo_variable},
    ui,
};

/// What a program for a CPU is compiled against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// All of it.
    Std,
    /// `core` and the compiler's runtime, with the memory functions that no C library brings then.
    Core,
}

impl Library {
    fn name(self) -> &'static str {
        match self {
            Self::Std => "std",
            Self::Core => "core",
        }
    }

    /// Cargo's options that build it.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Std => &["-Z", "build-std=std,panic_unwind,test"],
            Self::Core => {
                &["-Z", "build-std=core,compiler_builtins", "-Z", "build-std-features=compiler-builtins-mem"]
            }
        }
    }
}

/// A package with nothing in it, so that cargo builds the library and nothing else.
const EMPTY_MANIFEST: &str = "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = \"lib.rs\"\n\n\
     [profile.release]\ndebug = \"line-tables-only\"\n";

/// Builds the library for a target with these flags, if that has not been done, and returns the option by which rustc
/// finds it.
pub fn option(rustc: &Rustc, triple: &str, flags: &str, library: Library) -> Result<String> {
    let root = env::current_dir()?.join("target/sysroots").join(library.name());
    let at = root.join("lib/rustlib").join(triple);
    // What it was built by and how: anything else makes it another.
    let stamp =
        format!("{} {}\n{flags}\n{}\n", rustc.release, rustc.path.display(), library.options().join(" "));
    if !fs::read_to_string(at.join("stamp")).is_ok_and(|there| there == stamp) {
        ui::say(&format!("the {} library for {triple} is built once from its sources", library.name()));
        build(rustc, triple, flags, library, &at)?;
        fs::write(at.join("stamp"), stamp)?;
    }
    let root = root.to_string_lossy();
    if root.contains(char::is_whitespace) {
        bail!("cargo splits flags at spaces, and the workspace's path has one: move it, {root}");
    }
    Ok(format!("--sysroot={root}"))
}

fn build(rustc: &Rustc, triple: &str, flags: &str, library: Library, at: &Path) -> Result<()> {
    let work = PathBuf::from(format!("target/sysroots/{}-{triple}", library.name()));
    fs::create_dir_all(&work)?;
    fs::write(work.join("Cargo.toml"), EMPTY_MANIFEST)?;
    fs::write(work.join("lib.rs"), "#![no_std]\n")?;
    let mut cmd = Cmd::new("cargo").env("RUSTC_BOOTSTRAP", "1");
    if !rustc.active {
        cmd = cmd.env("RUSTC", rustc.path.to_string_lossy());
    }
    cmd.env(cargo_variable(triple, "RUSTFLAGS"), flags)
        .args(["build", "--release", "--target", triple, "--manifest-path"])
        .arg(work.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(work.join("target"))
        .args(library.options())
        .run()?;
    let built = work.join("target").join(triple).join("release/deps");
    let library = at.join("lib");
    // Nothing of an older one may stay: rustc would find two of each.
    if at.exists() {
        fs::remove_dir_all(at)?;
    }
    fs::create_dir_all(&library)?;
    for file in fs::read_dir(&built).with_context(|| format!("nothing in {}", built.display()))? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&file, library.join(name))?;
        }
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}

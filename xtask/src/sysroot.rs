//! Standard libraries that come with no compiler, each built from its sources once, where rustc's `--sysroot`
//! finds it.
//!
//! Cargo's `-Z build-std` alone would build one for each profile, and another for clippy: most of what a first run
//! does.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
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
    /// All of it for programs that are optimised when they are linked, or lie anywhere.
    Anywhere,
    /// `core` and the compiler's runtime, with the memory functions that no C library brings then.
    Core,
    /// The same with `alloc`, for the archives that C programs link.
    Alloc,
}

impl Library {
    fn name(self) -> &'static str {
        match self {
            Self::Std => "std",
            Self::Anywhere => "std-anywhere",
            Self::Core => "core",
            Self::Alloc => "alloc",
        }
    }

    /// The manifest of the package for which it is built.
    fn manifest(self) -> String {
        match self {
            Self::Std | Self::Anywhere => EMPTY_MANIFEST.to_owned(),
            Self::Core => format!("{EMPTY_MANIFEST}{ABORT}{SMALL}"),
            Self::Alloc => format!("{EMPTY_MANIFEST}{ABORT}"),
        }
    }

    /// Cargo's options that build it.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Std | Self::Anywhere => &["-Z", "build-std=std,panic_unwind,test"],
            Self::Core => {
                &["-Z", "build-std=core,compiler_builtins", "-Z", "build-std-features=compiler-builtins-mem"]
            }
            Self::Alloc => &[
                "-Z",
                "build-std=core,alloc,compiler_builtins",
                "-Z",
                "build-std-features=compiler-builtins-mem",
            ],
        }
    }
}

/// A package with nothing in it, so that cargo builds the library and nothing else.
const EMPTY_MANIFEST: &str = "[package]\nname = \"empty\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = \"lib.rs\"\n\n\
     [profile.release]\ndebug = \"line-tables-only\"\n";

/// What is added where nobody can catch a panic: otherwise arm's tables name functions that nobody brings.
const ABORT: &str = "panic = \"abort\"\n";

/// What is added where there is no operating system: small, like the demonstration.
const SMALL: &str = "opt-level = \"s\"\n";

/// A library for a target.
pub struct Wanted<'a> {
    pub rustc: &'a Rustc,
    pub triple: &'static str,
    pub flags: String,
    pub library: Library,
}

impl Wanted<'_> {
    /// The directory for `--sysroot`. Its name says all that the library depends on: cargo does not look into it, but
    /// builds anew for another name. Absolute: cargo compiles each package where that is.
    fn root(&self) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        self.stamp().hash(&mut hasher);
        let name = format!("{}-{}-{:016x}", self.library.name(), self.triple, hasher.finish());
        let root = env::current_dir()?.join("target/sysroots").join(name);
        if root.to_string_lossy().contains(char::is_whitespace) {
            bail!(
                "cargo splits flags at spaces, and the workspace's path has one: move it, {}",
                root.display()
            );
        }
        Ok(root)
    }

    /// The option by which rustc finds the library.
    pub fn option(&self) -> Result<String> {
        Ok(format!("--sysroot={}", self.root()?.display()))
    }

    /// A program that calls the compiler with that option, for cargo's `RUSTC_WRAPPER`: what is an option to cargo is in
    /// the names of all symbols, and this one names a directory.
    pub fn wrapper(&self) -> Result<PathBuf> {
        let path = self.root()?.join("rustc");
        let (triple, option) = (self.triple, self.option()?);
        let script = format!(
            "#!/bin/sh\nrustc=$1\nshift\ncase \" $* \" in *\" --target {triple} \"*) set -- {option} \"$@\";; esac\n\
             exec \"$rustc\" \"$@\"\n"
        );
        fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(path)
    }

    /// Where the library's files belong.
    fn place(&self) -> Result<PathBuf> {
        Ok(self.root()?.join("lib/rustlib").join(self.triple))
    }

    /// The flags that it is built with: those of the programs, and what their link-time optimisation reads.
    fn flags(&self) -> String {
        match self.library {
            Library::Std => self.flags.clone(),
            Library::Anywhere | Library::Core | Library::Alloc => {
                format!("{} -C embed-bitcode=yes", self.flags)
            }
        }
    }

    /// What it is built by and how: anything else makes it another.
    fn stamp(&self) -> String {
        let options = self.library.options().join(" ");
        let (rustc, flags, manifest) = (self.rustc, self.flags(), self.library.manifest());
        format!("{} {}\n{flags}\n{options}\n{manifest}", rustc.release, rustc.path.display())
    }

    fn is_there(&self) -> Result<bool> {
        Ok(self.place()?.join("stamp").exists())
    }
}

/// Builds those that are not there, several at once: most of the time of one is a single crate.
pub fn build(wanted: &[Wanted<'_>]) -> Result<()> {
    // One command at a time: another may be about to build the same.
    fs::create_dir_all("target/sysroots")?;
    let lock = fs::File::create("target/sysroots/lock")?;
    if lock.try_lock().is_err() {
        ui::say("waiting for another `cargo xtask`, which builds libraries");
        lock.lock()?;
    }
    let mut missing = Vec::new();
    for one in wanted {
        if !one.is_there()? {
            missing.push(one);
        }
    }
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(missing.len());
    thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some(one) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                build_one(one)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })
}

fn build_one(wanted: &Wanted<'_>) -> Result<()> {
    let Wanted { rustc, triple, library, .. } = wanted;
    let at = wanted.place()?;
    ui::say(&format!("the {} library for {triple} is built once from its sources", library.name()));
    let work = PathBuf::from(format!("target/sysroots/{}-{triple}", library.name()));
    fs::create_dir_all(&work)?;
    fs::write(work.join("Cargo.toml"), library.manifest())?;
    fs::write(work.join("lib.rs"), "#![no_std]\n")?;
    let mut cmd = Cmd::new("cargo").env("RUSTC_BOOTSTRAP", "1");
    if !rustc.active {
        cmd = cmd.env("RUSTC", rustc.path.to_string_lossy());
    }
    cmd.env(cargo_variable(triple, "RUSTFLAGS"), wanted.flags())
        .args(["build", "--release", "--target", triple, "--manifest-path"])
        .arg(work.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(work.join("target"))
        .args(library.options())
        .run()?;
    let built = work.join("target").join(triple).join("release/deps");
    // One that was not finished: rustc would find two of each.
    if at.exists() {
        fs::remove_dir_all(&at)?;
    }
    let files = at.join("lib");
    fs::create_dir_all(&files)?;
    for file in fs::read_dir(&built).with_context(|| format!("nothing in {}", built.display()))? {
        let file = file?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&file, files.join(name))?;
        }
    }
    fs::remove_dir_all(&work)?;
    fs::write(at.join("stamp"), wanted.stamp())?;
    Ok(())
}

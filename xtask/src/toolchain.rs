//! What builds and runs a guest program: three choices that do not depend on each other.
//!
//! 1. **A compiler with a standard library.** Candidates in order: `$XTASK_RUSTC`, the active
//!    `rustc`, the other rustup toolchains, every other `rustc` on the search path (Debian's).
//!    One that comes with the target's library is preferred to any that must build it from its
//!    sources ([`crate::sysroot`]). Sources must be those of the very same compiler.
//! 2. **A linker with a C library**: `$CARGO_TARGET_<TRIPLE>_LINKER`, else Debian's cross gcc.
//! 3. **A runner**: the dynamically linked `qemu-<cpu>`, which takes plugins, else the static one.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{Cmd, find_program, find_programs},
    sysroot::{Library, Wanted},
    targets::{Linked, Runner, Target, Variant},
};

/// Release of a compiler, as far as it is compared.
type Version = (u32, u32);

/// The oldest compiler that will do, as the workspace declares it.
pub const MSRV: &str = env!("CARGO_PKG_RUST_VERSION");

/// One compiler of this machine.
#[derive(Clone, Debug)]
pub struct Rustc {
    pub path: PathBuf,
    /// The full release, `1.95.0` or `1.97.0-nightly`.
    pub release: String,
    pub sysroot: PathBuf,
    /// True for the compiler that cargo takes by itself.
    pub active: bool,
}

impl Rustc {
    fn probe(path: PathBuf, active: bool) -> Result<Self> {
        let version = Cmd::new(&path).arg("-vV").read()?;
        let release = version
            .lines()
            .find_map(|line| line.strip_prefix("release: "))
            .with_context(|| format!("{} does not tell its release", path.display()))?
            .to_owned();
        let sysroot = Cmd::new(&path).args(["--print", "sysroot"]).read()?.into();
        Ok(Self { path, release, sysroot, active })
    }

    fn new_enough(&self) -> bool {
        match (version(&self.release), version(MSRV)) {
            (Some(this), Some(least)) => this >= least,
            _ => false,
        }
    }

    /// True if the standard library for this target came with the compiler.
    fn ships(&self, triple: &str) -> bool {
        let library = self.sysroot.join("lib/rustlib").join(triple).join("lib");
        fs::read_dir(library).is_ok_and(|files| {
            files.flatten().any(|file| {
                let name = file.file_name();
                let name = name.to_string_lossy();
                name.starts_with("libstd-") && name.ends_with(".rlib")
            })
        })
    }

    /// True if the sources of the standard library are there and belong to this compiler.
    fn has_sources(&self) -> bool {
        let rust = self.sysroot.join("lib/rustlib/src/rust");
        if !rust.join("library/Cargo.lock").is_file() {
            return false;
        }
        // Debian links to /usr/src/rustc-<release>, and its two packages can be out of step.
        match fs::canonicalize(&rust)
            .ok()
            .and_then(|real| real.file_name()?.to_str()?.strip_prefix("rustc-").map(str::to_owned))
        {
            Some(of) => of == self.release,
            None => true,
        }
    }

    /// Clippy's compiler of the same release.
    pub fn clippy_driver(&self) -> Option<PathBuf> {
        Some(self.sysroot.join("bin/clippy-driver")).filter(|driver| driver.is_file())
    }
}

/// Major and minor number at the head of a release.
fn version(release: &str) -> Option<Version> {
    let mut parts = release.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// True if a compiler of this release is not older than the oldest that will do.
pub fn release_will_do(release: &str) -> bool {
    version(release) >= version(MSRV)
}

/// How a compiler comes to a standard library for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Std {
    /// It lies beside the compiler.
    Shipped,
    /// It is built from its sources.
    Built,
}

/// Everything that builds and runs programs for one CPU.
#[derive(Clone, Debug)]
pub struct Kit {
    pub target: &'static Target,
    pub rustc: Rustc,
    pub std: Std,
    pub linker: String,
    pub runner: PathBuf,
    /// Where rustc finds a library that was built, once [`Kit::use_library`] has been called.
    sysroot: Option<String>,
    /// How programs are built and run, if not as usual.
    pub variant: Option<&'static Variant>,
}

/// Something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What, in words.
    pub what: String,
    /// Debian packages that bring it.
    pub packages: Vec<&'static str>,
    /// A rustup command that brings it too, if one does.
    pub rustup: Option<String>,
}

/// All compilers of this machine that are new enough.
pub struct Compilers(Vec<Rustc>);

impl Compilers {
    /// Looks for compilers; one that does not answer is left out.
    pub fn find() -> Self {
        let mut found: Vec<Rustc> = Vec::new();
        let mut add = |path: PathBuf, active: bool| {
            if let Ok(rustc) = Rustc::probe(path, active)
                && rustc.new_enough()
                && found.iter().all(|known| known.sysroot != rustc.sysroot)
            {
                found.push(rustc);
            }
        };
        // The cargo that runs us takes a compiler that its user names by RUSTC, or `rustc`.
        let active = std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from);
        if let Some(path) = std::env::var_os("XTASK_RUSTC") {
            add(path.into(), false);
        }
        add(active, true);
        for toolchain in rustup_toolchains() {
            let which = Cmd::new("rustup").args(["which", "--toolchain", &toolchain, "rustc"]);
            if let Ok(path) = which.read() {
                add(path.into(), false);
            }
        }
        for path in find_programs("rustc") {
            add(path, false);
        }
        Self(found)
    }

    /// The compiler of the release that the workspace declares as its oldest.
    pub fn oldest_that_will_do(&self) -> Option<&Rustc> {
        self.0.iter().find(|rustc| version(&rustc.release) == version(MSRV))
    }

    /// The compiler for a target, and where its standard library comes from.
    fn choose(&self, triple: &str) -> Option<(&Rustc, Std)> {
        let shipped = self.0.iter().find(|rustc| rustc.ships(triple));
        let built = || self.with_sources().map(|rustc| (rustc, Std::Built));
        shipped.map(|rustc| (rustc, Std::Shipped)).or_else(built)
    }

    /// The first compiler with the sources of its library, which serve for every target.
    pub fn with_sources(&self) -> Option<&Rustc> {
        self.0.iter().find(|rustc| rustc.has_sources())
    }
}

fn rustup_toolchains() -> Vec<String> {
    if find_program("rustup").is_none() {
        return Vec::new();
    }
    let list = Cmd::new("rustup").args(["toolchain", "list"]).read().unwrap_or_default();
    list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Makes the three choices for one CPU, or says everything that it misses.
pub fn kit(target: &'static Target, compilers: &Compilers) -> Result<Kit, Vec<Missing>> {
    let compiler = compilers.choose(target.triple).ok_or_else(|| Missing {
        what: format!("a Rust compiler (at least {MSRV}) with a standard library for {}", target.triple),
        packages: vec!["rustc-web", "rust-web-src"],
        rustup: Some(format!("rustup target add {}", target.triple)),
    });
    let linker = linker(target);
    let runner = runner(target);
    match (compiler, linker, runner) {
        (Ok((rustc, std)), Ok(linker), Ok(runner)) => {
            Ok(Kit { target, rustc: rustc.clone(), std, linker, runner, sysroot: None, variant: None })
        }
        (compiler, linker, runner) => {
            Err([compiler.err(), linker.err(), runner.err()].into_iter().flatten().collect())
        }
    }
}

/// A C compiler that links, and that has a static C library to link with.
fn linker(target: &'static Target) -> Result<String, Missing> {
    let missing = |what: String| Missing { what, packages: target.packages.to_vec(), rustup: None };
    let own = std::env::var(cargo_variable(target.triple, "LINKER")).ok();
    let host = target.is_host().then(|| "gcc".to_owned());
    let gcc = own
        .into_iter()
        .chain([target.tool("gcc")])
        .chain(host)
        .find(|name| find_program(name).is_some())
        .ok_or_else(|| missing(format!("a linker for {} ({})", target.name, target.tool("gcc"))))?;
    // gcc answers with the bare name where it finds no such file.
    match Cmd::new(&gcc).arg("-print-file-name=libc.a").read() {
        Ok(path) if path.contains('/') => Ok(gcc),
        _ => Err(missing(format!("a static C library for {}", target.name))),
    }
}

fn runner(target: &Target) -> Result<PathBuf, Missing> {
    let name = format!("qemu-{}", target.qemu);
    [name.clone(), format!("{name}-static")]
        .into_iter()
        .find(|name| find_program(name).is_some())
        .map(PathBuf::from)
        .ok_or_else(|| Missing {
            what: format!("an emulator for {} ({name})", target.name),
            packages: vec!["qemu-user"],
            rustup: None,
        })
}

/// Names that tell instances of generics apart, whichever the compiler would choose.
const MANGLING: &str = "-C symbol-mangling-version=v0";

/// Name of one of cargo's per-target settings, for example `CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER`.
pub fn cargo_variable(triple: &str, setting: &str) -> String {
    format!("CARGO_TARGET_{}_{setting}", triple.to_uppercase().replace('-', "_"))
}

impl Kit {
    /// The standard library that the compiler has not, if it has none for this CPU.
    pub fn wanted(&self) -> Option<Wanted<'_>> {
        let (rustc, triple) = (&self.rustc, self.target.triple);
        let (flags, library) = match self.variant.map_or(Linked::Usual, |variant| variant.library) {
            Linked::Usual => (self.target.rustflags(), Library::Std),
            Linked::Anywhere => (self.target.library_flags(), Library::Anywhere),
        };
        (self.std == Std::Built).then_some(Wanted { rustc, triple, flags, library })
    }

    /// Compiles against the library that has been built.
    pub fn use_library(&mut self) -> Result<()> {
        self.sysroot = self.wanted().map(|wanted| wanted.option()).transpose()?;
        Ok(())
    }

    /// The same CPU, built and run in another way. What it is to be linked with has to be there, see
    /// [`Kit::wanted`], before [`Kit::use_library`] is called again.
    pub fn as_variant(&self, variant: &'static Variant) -> Self {
        Self { variant: Some(variant), ..self.clone() }
    }

    /// Cargo with everything in its environment that selects compiler, flags, linker and runner.
    /// The same bytes each time, so that nothing is built twice.
    pub fn cargo(&self) -> Cmd {
        self.variables().into_iter().fold(Cmd::new("cargo"), |cmd, (name, value)| cmd.env(name, value))
    }

    /// The variables of [`Kit::cargo`].
    pub fn variables(&self) -> Vec<(String, String)> {
        let target = self.target;
        let mut all = Vec::new();
        if !self.rustc.active {
            all.push(("RUSTC".to_owned(), self.rustc.path.to_string_lossy().into_owned()));
        }
        let flags = self.variant.map_or_else(|| target.rustflags(), |v| target.variants_rustflags(v));
        let flags = [flags, MANGLING.to_owned()];
        let flags: Vec<_> = flags.into_iter().chain(self.sysroot.clone()).collect();
        let mut own = |setting, value| all.push((cargo_variable(target.triple, setting), value));
        own("RUSTFLAGS", flags.join(" "));
        own("LINKER", self.linker.clone());
        own("RUNNER", self.runner.to_string_lossy().into_owned());
        let triple = target.triple.replace('-', "_");
        all.push((format!("CC_{triple}"), self.linker.clone()));
        if let Some(variant) = self.variant {
            // Options that are not stable yet.
            all.push(("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned()));
            all.push((format!("CFLAGS_{triple}"), variant.cflags.to_owned()));
            all.extend(variant.profile.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        }
        all
    }

    /// Cargo's options that select the target.
    pub fn cargo_options(&self) -> [&str; 2] {
        ["--target", self.target.triple]
    }

    /// The emulator, before the guest program is named, whatever else runs programs of a variant.
    pub fn emulator(&self) -> Cmd {
        let cmd = Cmd::new(&self.runner);
        match self.variant.map(|variant| &variant.runner) {
            Some(Runner::Emulator(options)) => cmd.args(*options),
            _ => cmd,
        }
    }

    /// A guest program under the emulator.
    pub fn guest(&self, program: &str) -> Cmd {
        let Some(variant) = self.variant else { return self.emulator().arg(program) };
        let cmd = match variant.runner {
            Runner::Emulator(_) => self.emulator().arg(program),
            Runner::Native => Cmd::new(program),
            Runner::Program(name, options) => Cmd::new(name).args(options).arg(program),
        };
        variant.environment.iter().fold(cmd, |cmd, &(name, value)| cmd.env(name, value))
    }

    /// The emulator, before its options and the guest program are named, if it takes plugins: the
    /// dynamically linked one does.
    pub fn emulator_with_plugins(&self) -> Result<Cmd> {
        let help = Cmd::new(&self.runner).arg("--help").capture(Some(Duration::from_secs(20)))?;
        if !help.stdout.contains("-plugin") {
            bail!(
                "{} takes no plugins; install the dynamically linked emulator: cargo xtask setup",
                self.runner.display()
            );
        }
        Ok(Cmd::new(&self.runner))
    }

    /// The compiler in words.
    pub fn compiler(&self) -> String {
        let how = match self.std {
            Std::Shipped => "own std",
            Std::Built => "std from source",
        };
        format!("rustc {} ({how})", self.rustc.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_by_number() {
        assert_eq!(version("1.95.0"), Some((1, 95)));
        assert_eq!(version("1.100.0-nightly"), Some((1, 100)));
        assert_eq!(version("nonsense"), None);
        assert!(version("1.100.0") > version("1.95.0"));
        assert!(release_will_do("1.96.0+dfsg1-1~deb12u2"));
        assert!(!release_will_do("1.85.0+dfsg3-1~deb12u3"));
    }

    #[test]
    fn settings_of_cargo_are_in_capitals() {
        let name = cargo_variable("armv7-unknown-linux-gnueabihf", "LINKER");
        assert_eq!(name, "CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER");
    }

    fn compiler(directory: &str, files: &[&str]) -> Rustc {
        let sysroot = std::env::temp_dir().join(format!("xtask-test-{}-{directory}", std::process::id()));
        for file in files {
            let path = sysroot.join("lib/rustlib").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Rustc { path: "rustc".into(), release: "1.96.0".into(), sysroot, active: false }
    }

    #[test]
    fn a_shipped_library_is_preferred_to_sources() {
        let sources = compiler("sources", &["src/rust/library/Cargo.lock"]);
        let library = compiler("library", &["s390x-unknown-linux-gnu/lib/libstd-0123.rlib"]);
        let all = Compilers(vec![sources.clone(), library.clone()]);
        let (chosen, std) = all.choose("s390x-unknown-linux-gnu").unwrap();
        assert_eq!((&chosen.sysroot, std), (&library.sysroot, Std::Shipped));
        let (chosen, std) = all.choose("i686-unknown-linux-gnu").unwrap();
        assert_eq!((&chosen.sysroot, std), (&sources.sysroot, Std::Built));
        assert!(Compilers(vec![library.clone()]).choose("i686-unknown-linux-gnu").is_none());
        fs::remove_dir_all(&sources.sysroot).unwrap();
        fs::remove_dir_all(&library.sysroot).unwrap();
    }

    #[test]
    fn sources_of_another_release_do_not_count() {
        let rustc = compiler("mismatch", &["src/rustc-1.85.0/library/Cargo.lock"]);
        let src = rustc.sysroot.join("lib/rustlib/src");
        std::os::unix::fs::symlink(src.join("rustc-1.85.0"), src.join("rust")).unwrap();
        assert!(!rustc.has_sources());
        fs::rename(src.join("rustc-1.85.0"), src.join("rustc-1.96.0")).unwrap();
        fs::remove_file(src.join("rust")).unwrap();
        std::os::unix::fs::symlink(src.join("rustc-1.96.0"), src.join("rust")).unwrap();
        assert!(rustc.has_sources());
        fs::remove_dir_all(&rustc.sysroot).unwrap();
    }
}

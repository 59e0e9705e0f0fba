//! `cargo xtask dist`: what C programs link, for each CPU, and the proof that they can.
//!
//! ```text
//! target/dist/<cpu>/include/stackgate.h  stackgate-libc.h
//!                   lib/libstackgate.a  libstackgate.so  libstackgate-libc.a  libstackgate-libc.so
//!                   lib/pkgconfig/stackgate.pc  stackgate-libc.pc
//! ```
//!
//! Each library is one object. rustc makes an archive of `libc-shim/dist`, all of it optimised together; the linker
//! takes from it what the headers declare and what that needs, Rust's `core` and memory functions included; then every
//! other name is made local. So two archives made by Rust can be in one program, and nothing is asked of a C library
//! that the core does not have: it asks for none. `libstackgate-libc` contains the same core, and a program that links
//! both does not link.

mod programs;
mod symbols;

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    context::{Context, Tally},
    fuzz, header,
    process::Cmd,
    sysroot::{self, Library, Wanted},
    targets::Target,
    toolchain::{Compilers, Kit, Rustc, cargo_variable},
    ui,
};

/// Where it goes, a directory for each CPU.
const DIRECTORY: &str = "target/dist";
/// Where it is built.
const BUILD: &str = "target/dist-build";
/// Where it is built again.
const AGAIN: &str = "target/dist-again";
/// The version of everything.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What rustc's archive is made of.
const PACKAGE: &str = "stackgate-dist";

/// One of the two libraries.
struct Product {
    /// `lib<name>.a`, `<name>.pc`.
    name: &'static str,
    description: &'static str,
    /// Has the functions of `stackgate-libc.h` too, on top of a C library.
    libc: bool,
}

const PRODUCTS: [Product; 2] = [
    Product {
        name: "stackgate",
        description: "Crossing between a language runtime's own stacks and C",
        libc: false,
    },
    Product {
        name: "stackgate-libc",
        description: "stackgate with hosted Linux as its platform; in place of stackgate",
        libc: true,
    },
];

const HEADERS: [&str; 2] = ["core/include/stackgate.h", "libc-shim/include/stackgate-libc.h"];

/// The tools that make a library for a CPU.
struct Maker<'a> {
    target: &'static Target,
    rustc: &'a Rustc,
    /// Calls the compiler with the library that it is to use.
    wrapper: String,
    gcc: String,
    ld: String,
    objcopy: String,
    ar: String,
}

impl<'a> Maker<'a> {
    fn new(kit: &Kit, wanted: &Wanted<'a>) -> Result<Self> {
        let tool = |name: &str| Cmd::new(&kit.linker).arg(format!("-print-prog-name={name}")).read();
        Ok(Self {
            target: kit.target,
            rustc: wanted.rustc,
            wrapper: wanted.wrapper()?.to_string_lossy().into_owned(),
            gcc: kit.linker.clone(),
            ld: tool("ld")?,
            objcopy: tool("objcopy")?,
            ar: tool("ar")?,
        })
    }

    /// Makes both libraries from the sources in `root`, in `place`.
    fn make(&self, root: &Path, build: &Path, place: &Path) -> Result<()> {
        let lib = place.join("lib");
        // Nothing of an earlier version stays.
        if place.exists() {
            fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        for directory in [&lib, &lib.join("pkgconfig"), &place.join("include")] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        for product in &PRODUCTS {
            let archive = self.compile(product, root, build)?;
            self.link(product, &archive, build, &lib)?;
            let pc = pkg_config(product);
            fs::write(lib.join(format!("pkgconfig/{}.pc", product.name)), pc)?;
        }
        for path in HEADERS {
            let name = Path::new(path).file_name().unwrap_or_default();
            let to = place.join("include").join(name);
            fs::copy(root.join(path), &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
        Ok(())
    }

    /// rustc's archive.
    fn compile(&self, product: &Product, root: &Path, build: &Path) -> Result<String> {
        let triple = self.target.triple;
        // Messages of panics name files. Neither where the sources are nor where cargo keeps others'.
        let cargo_home = std::env::var("CARGO_HOME")
            .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
            .context("there is neither CARGO_HOME nor HOME")?;
        let flags = format!(
            "{} -C symbol-mangling-version=v0 -C embed-bitcode=yes --remap-path-prefix={}=stackgate \
             --remap-path-prefix={cargo_home}=cargo",
            self.target.library_flags(),
            root.display()
        );
        let mut cmd = Cmd::new("cargo").directory(root).env("RUSTC_WRAPPER", &self.wrapper);
        if !self.rustc.active {
            cmd = cmd.env("RUSTC", self.rustc.path.to_string_lossy());
        }
        cmd = cmd
            .env(cargo_variable(triple, "RUSTFLAGS"), flags)
            .env("STACKGATE_WITHOUT_PATHS", "1")
            .args(["build", "--locked", "--package", PACKAGE, "--profile", "dist", "--target", triple])
            .args(["--target-dir", &build.to_string_lossy()]);
        if product.libc {
            cmd = cmd.args(["--features", "libc"]);
        }
        cmd.show();
        let outcome = cmd.capture(None)?;
        if !outcome.success() {
            bail!("{PACKAGE} is not built: {}\n{}", outcome.ending(), outcome.stderr.trim_end());
        }
        Ok(format!("{}/{triple}/dist/libstackgate_dist.a", build.display()))
    }

    /// The two libraries, of the one object.
    fn link(&self, product: &Product, archive: &str, build: &Path, lib: &Path) -> Result<()> {
        let exports = exports(product.libc)?;
        let work = build.join(self.target.name).join(product.name);
        fs::create_dir_all(&work)?;
        let (all, object) = (work.join("all.o"), work.join(format!("{}.o", product.name)));
        let wanted = exports.iter().flat_map(|name| ["-u", name.as_str()]);
        quiet(
            &Cmd::new(&self.ld).args(["-r", "--gc-sections"]).args(wanted).arg("-o").arg(&all).arg(archive),
        )?;
        let list = work.join("exports");
        fs::write(&list, exports.join("\n") + "\n")?;
        quiet(
            &Cmd::new(&self.objcopy)
                .arg(format!("--keep-global-symbols={}", list.display()))
                // Rust's core has lines, and nobody else. And what another optimiser takes for its own, and cannot read.
                .arg("--strip-debug")
                .args([".llvmbc", ".llvmcmd", ".comment"].map(|name| format!("--remove-section={name}")))
                .arg(&all)
                .arg(&object),
        )?;
        let archive = lib.join(format!("lib{}.a", product.name));
        quiet(&Cmd::new(&self.ar).args(["rcsD"]).arg(&archive).arg(&object))?;

        let script = work.join("versions");
        fs::write(
            &script,
            format!("STACKGATE_{VERSION} {{\n\tglobal: {};\n\tlocal: *;\n}};\n", exports.join("; ")),
        )?;
        let soname = format!("lib{}.so.{VERSION}", product.name);
        let mut cmd =
            Cmd::new(&self.gcc).args(["-shared", "-Wl,-z,defs,-z,noexecstack", "-Wl,--build-id=none"]);
        // A C library wants its own start files; the core has none, and what the compiler itself calls.
        if !product.libc {
            cmd = cmd.args(["-nostartfiles", "-nostdlib"]);
        }
        cmd = cmd
            .arg(format!("-Wl,-soname,{soname}"))
            .arg(format!("-Wl,--version-script,{}", script.display()));
        cmd = cmd
            .args(["-Wl,--as-needed", "-o"])
            .arg(lib.join(&soname))
            .arg(&object)
            .args(["-lgcc", "-lgcc_s"]);
        quiet(&cmd)?;
        let link = lib.join(format!("lib{}.so", product.name));
        std::os::unix::fs::symlink(&soname, &link)?;
        Ok(())
    }
}

/// What a library exports: what its headers declare, and the symbol that ties them to it.
fn exports(libc: bool) -> Result<Vec<String>> {
    let mut names = header::functions_declared(libc)?;
    names.push(header::version_symbol());
    names.sort();
    Ok(names)
}

/// Relocatable: paths are counted from where the file is. Tracebacks find the unwind tables of a program by an index
/// that gcc leaves out of static ones.
fn pkg_config(product: &Product) -> String {
    let index = if product.libc { " -Wl,--eh-frame-hdr" } else { "" };
    format!(
        "prefix=${{pcfiledir}}/../..\n\nName: {name}\nDescription: {}\nVersion: {VERSION}\n\
         Cflags: -I${{prefix}}/include\nLibs: -L${{prefix}}/lib -l{name}{index}\n",
        product.description,
        name = product.name
    )
}

/// Runs a tool that has nothing to say.
fn quiet(cmd: &Cmd) -> Result<()> {
    let outcome = cmd.capture(None)?;
    if !outcome.success() {
        cmd.show();
        bail!("{}\n{}", outcome.ending(), outcome.stderr.trim_end());
    }
    Ok(())
}

/// Makes the libraries of every chosen CPU and looks at their symbols; with `prove` makes them again elsewhere, and
/// builds and runs programs with them.
pub fn dist(context: &Context, prove: bool) -> Result<Tally> {
    let kits = context.tools()?;
    let compilers = Compilers::find();
    let rustc = compilers.with_sources().context(
        "no compiler has the sources of its library: cargo xtask setup, or rustup component add rust-src",
    )?;
    let wanted: Vec<_> = kits.kits.iter().map(|kit| library(rustc, kit.target)).collect();
    sysroot::build(&wanted)?;
    if prove {
        fuzz::copy(&format!("{AGAIN}/tree"))?;
    }
    let mut tally = Tally::default();
    let jobs: Vec<_> = kits.kits.iter().zip(&wanted).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    // A library is one object, whose code one core makes, and the programs are small.
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((kit, wanted)) = jobs.get(at) else { return };
                    let start = Instant::now();
                    let mut row = vec![kit.target.name.to_owned()];
                    let result = one(context, kit, wanted, prove, &mut row);
                    if let Err(error) = &result {
                        ui::failed(&format!("dist, {}: {error:#}", kit.target.name));
                    }
                    row.resize(if prove { 6 } else { 4 }, "-".to_owned());
                    row.extend([ui::seconds(start), ui::verdict(result.is_ok())]);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, row, result.is_ok()));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, ..)| *at);
    let mut rows = Vec::new();
    for (_, row, good) in done {
        tally.add(good);
        rows.push(row);
    }
    ui::headline(&format!("dist, version {VERSION}, rustc {}", rustc.release));
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    ui::say(&format!("dist: {tally}, in {DIRECTORY}"));
    Ok(tally)
}

/// Rust's own part of what is linked.
fn library<'a>(rustc: &'a Rustc, target: &'static Target) -> Wanted<'a> {
    Wanted { rustc, triple: target.triple, flags: target.library_flags(), library: Library::Alloc }
}

/// One CPU. What has been found goes to the `row` as it is found.
fn one(context: &Context, kit: &Kit, wanted: &Wanted<'_>, prove: bool, row: &mut Vec<String>) -> Result<()> {
    let maker = Maker::new(kit, wanted)?;
    let place = context.root.join(DIRECTORY).join(kit.target.name);
    let name = kit.target.name;
    maker.make(&context.root, &context.root.join(BUILD).join(name), &place)?;
    for product in &PRODUCTS {
        let exports = exports(product.libc)?;
        let bytes = symbols::archive(&place, product.name, &exports, product.libc)?;
        symbols::shared(&place, product.name, &exports, product.libc)?;
        row.push(format!("{} {} KiB", product.name, bytes.div_ceil(1024)));
    }
    row.push(format!("{} symbols", exports(true)?.len()));
    if !prove {
        return Ok(());
    }
    let tree = context.root.join(AGAIN).join("tree");
    let again = context.root.join(AGAIN).join(name);
    maker.make(&tree, &context.root.join(AGAIN).join("build").join(name), &again)?;
    let files = identical(&place, &again)?;
    row.push(format!("{files} files twice"));
    let programs = programs::prove(kit, &place)?;
    row.push(format!("{programs} programs"));
    Ok(())
}

/// How many files there are, each with the same bytes in both directories.
fn identical(one: &Path, other: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(one).with_context(|| format!("cannot read {}", one.display()))? {
        let path = entry?.path();
        let twin = other.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            files += identical(&path, &twin)?;
            continue;
        }
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        if read(&path)? != read(&twin)? {
            bail!("{} differs from {}: cmp -l says where", path.display(), twin.display());
        }
        files += 1;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_exports_what_its_headers_declare() {
        let (core, both) = (exports(false).unwrap(), exports(true).unwrap());
        assert!(core.iter().all(|name| both.contains(name) && name.starts_with("stackgate_")));
        assert!(both.contains(&"stackgate_use_linux".to_owned()));
        assert!(!core.contains(&"stackgate_use_linux".to_owned()));
        for (libc, path) in [(false, HEADERS[0]), (true, HEADERS[1])] {
            let text = fs::read_to_string(Path::new("..").join(path)).unwrap();
            let own = exports(libc).unwrap().into_iter().filter(|name| !libc || !core.contains(name));
            own.for_each(|name| assert!(text.contains(&name), "{name} is not in {path}"));
        }
    }

    #[test]
    fn a_difference_is_found() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (place.path().join("one"), place.path().join("other"));
        for directory in [&one, &other] {
            fs::create_dir_all(directory.join("lib")).unwrap();
            fs::write(directory.join("lib/a"), "same").unwrap();
        }
        assert_eq!(identical(&one, &other).unwrap(), 1);
        fs::write(other.join("lib/a"), "other").unwrap();
        assert!(identical(&one, &other).is_err());
    }
}

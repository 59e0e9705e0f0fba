//! `cargo xtask check`: everything that is judged without running a guest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{IsTerminal as _, stdout},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind,
    read::{
        archive::ArchiveFile,
        elf::{ElfFile, FileHeader, SectionHeader as _},
    },
};

use crate::{
    context::{Context, Tally},
    documented::documented,
    guest::{self, Profile, Program},
    host_tests, machines, packages,
    process::Cmd,
    rows,
    targets::LandingPads,
    toolchain::{Compilers, Kit, MSRV, cargo_variable},
    ui,
};

/// What `stackgate` may be built from: the crates it names, and what these need themselves.
const ALLOWED_PACKAGES: &[&str] = &[
    "stackgate",
    "stackgate-arch",
    "cfg-if",
    "memoffset",
    "static_assertions",
    "spin",
    "gimli",
    "heapless",
    // heapless: its hash maps, and the marker of its pools.
    "hash32",
    "byteorder",
    "stable_deref_trait",
];

/// Symbols that Rust's core itself wants from outside, as its documentation says; compiler-builtins has them.
const MEMORY_FUNCTIONS: &[&str] = &["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

/// Symbols that are no functions of a C library either.
const TOOLCHAIN_SYMBOLS: &[&str] = &[
    // Made by the linker.
    "_GLOBAL_OFFSET_TABLE_",
    ".TOC.",
    "__exidx_start",
    "__exidx_end",
    "__start_stackgate_text",
    "__stop_stackgate_text",
    // Named by unwind tables; they come with the compiler's own runtime.
    "rust_eh_personality",
    "_Unwind_Resume",
    "__aeabi_unwind_cpp_pr0",
    "__aeabi_unwind_cpp_pr1",
];

/// The section of the crossings.
const CROSSINGS: &str = "stackgate_text";

/// The packages whose documentation and symbols are looked at.
const LIBRARIES: &[&str] = &["stackgate", "stackgate-arch", "stackgate-libc"];

/// Those of them that ask for nothing of a C library.
const WITHOUT_LIBC: &[&str] = &["stackgate", "stackgate-arch"];

/// One line of the summary.
struct Line {
    what: String,
    good: bool,
    seconds: String,
}

/// Runs all checks, or those with `filter` in their name, each to its end; says which failed.
pub fn check(context: &Context, filter: Option<&str>) -> Result<Tally> {
    let mut lines = Vec::new();
    let mut one = |what: &str, work: &mut dyn FnMut() -> Result<()>| {
        if filter.is_some_and(|part| !what.contains(part)) {
            return;
        }
        let start = Instant::now();
        let result = work();
        if let Err(error) = &result {
            ui::failed(&format!("{what}: {error:#}"));
        }
        lines.push(Line { what: what.to_owned(), good: result.is_ok(), seconds: ui::seconds(start) });
    };
    one("format", &mut || {
        // rustfmt colours its differences on whatever they are written to.
        let colour = if stdout().is_terminal() { "auto" } else { "never" };
        Cmd::new("cargo").args(["fmt", "--all", "--check", "--", "--color", colour]).run()?;
        let manifest = ["--manifest-path", machines::MANIFEST];
        Cmd::new("cargo").arg("fmt").args(manifest).args(["--check", "--", "--color", colour]).run()
    });
    one("clippy, host", &mut || {
        Cmd::new("cargo").args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
    });
    one("documentation", &mut || {
        let mut cmd = Cmd::new("cargo").env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]);
        for package in LIBRARIES.iter().chain(&["xtask"]) {
            cmd = cmd.args(["--package", package]);
        }
        cmd = cmd.args(host_tests::FEATURES);
        cmd.run()
    });
    one("the oldest compiler that will do", &mut oldest_compiler);
    one("packages that are published", &mut packages::pack);
    one("packages with their oldest dependencies", &mut packages::oldest_dependencies);
    one("packages' licences and sources", &mut packages::deny);
    one("clippy, machines", &mut || machines::clippy(context));
    let kits = context.kits()?;
    one("packages that stackgate needs", &mut || {
        kits.kits.iter().try_for_each(|kit| allowed_packages(kit.target.triple))
    });
    for kit in &kits.kits {
        let name = kit.target.name;
        one(&format!("clippy, {name}"), &mut || clippy(kit));
        one(&format!("documentation, {name}"), &mut || documented(kit, LIBRARIES));
        one(&format!("libc's signatures, {name}"), &mut || signatures(kit));
        one(&format!("symbols, {name}"), &mut || symbols(kit));
        one(&format!("unwind tables, {name}"), &mut || unwind_tables(kit));
        if let Some(pads) = &kit.target.landing_pads {
            one(&format!("landing pads, {name}"), &mut || landing_pads(kit, pads));
        }
    }
    ui::headline("check");
    let rows: Vec<_> = lines
        .iter()
        .map(|line| vec![line.what.clone(), line.seconds.clone(), ui::verdict(line.good)])
        .collect();
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    if lines.is_empty() {
        bail!("no check has `{}` in its name", filter.unwrap_or_default());
    }
    let mut tally = Tally::default();
    lines.iter().for_each(|line| tally.add(line.good));
    ui::say(&format!("check: {tally}"));
    Ok(tally)
}

/// Unwind tables, layouts and instructions of the crossings against each other.
fn unwind_tables(kit: &Kit) -> Result<()> {
    let program = guest::build(kit, Program::Bin("steps"), Profile::Dev)?;
    let (instructions, wrong) = rows::disagreements(kit.target.name, &program)?;
    wrong.iter().for_each(|line| ui::failed(line));
    if !wrong.is_empty() || instructions == 0 {
        bail!("{} disagreements at {instructions} instructions", wrong.len());
    }
    Ok(())
}

/// Built with landing pads, each object says so, and each crossing that a pointer may lead to begins with one.
fn landing_pads(kit: &Kit, pads: &LandingPads) -> Result<()> {
    let flags = cargo_variable(kit.target.triple, "RUSTFLAGS");
    let mut cmd = kit.cargo().env("RUSTC_BOOTSTRAP", "1");
    for (name, value) in kit.variables().into_iter().filter(|(name, _)| *name == flags) {
        cmd = cmd.env(name, format!("{value} {}", pads.flags.join(" ")));
    }
    let cmd = cmd
        .args(["build", "--package", "stackgate", "--target-dir", "target/landing-pads"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(kit.cargo_options());
    let mut seen = 0;
    let mut wrong = Vec::new();
    for path in archives(&cmd.run_reading()?)? {
        let bytes = fs::read(&path)?;
        for member in ArchiveFile::parse(&*bytes)?.members() {
            let member = member?;
            let name = String::from_utf8_lossy(member.name()).into_owned();
            if name.ends_with(".o") {
                let data = member.data(&*bytes)?;
                let file = object::File::parse(data)?;
                if !has_property(&file, pads.property)? {
                    wrong.push(format!("{name} does not say that it has landing pads"));
                }
                without_landing_pad(&file, pads.code, &mut seen, &mut wrong)?;
            }
        }
    }
    if !wrong.is_empty() || seen == 0 {
        bail!("{} of {seen} crossings: {}", wrong.len(), wrong.join(", "));
    }
    Ok(())
}

/// Whether an object file has a property of this type with this bit.
fn has_property(file: &object::File<'_>, property: (u32, u32)) -> Result<bool> {
    fn search<E: FileHeader<Endian = Endianness>>(
        file: &ElfFile<'_, E>,
        (kind, bit): (u32, u32),
    ) -> Result<bool> {
        let endian = file.endian();
        for section in file.elf_section_table().iter() {
            let Some(mut notes) = section.notes(endian, file.data())? else { continue };
            while let Some(note) = notes.next()? {
                let Some(mut properties) = note.gnu_properties(endian) else { continue };
                while let Some(property) = properties.next()? {
                    if property.pr_type().0 == kind && property.data_u32(endian)? & bit != 0 {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
    match file {
        object::File::Elf32(file) => search(file, property),
        object::File::Elf64(file) => search(file, property),
        _ => bail!("an object file that is not ELF"),
    }
}

/// Names the crossings of an object file that do not begin with `pad`, but for those that are only jumped to from
/// within the crate, or returned to.
fn without_landing_pad(
    file: &object::File<'_>,
    pad: [u8; 4],
    seen: &mut usize,
    wrong: &mut Vec<String>,
) -> Result<()> {
    for symbol in file.symbols().filter(|s| s.is_definition() && s.kind() == SymbolKind::Text) {
        let (name, Some(index)) = (symbol.name()?, symbol.section_index()) else { continue };
        let section = file.section_by_index(index)?;
        let inner = name.ends_with("_light") || name == "stackgate_g_start" || symbol.size() == 0;
        if section.name()? != CROSSINGS || inner {
            continue;
        }
        *seen += 1;
        let at = (symbol.address() - section.address()) as usize;
        if section.data()?.get(at..at + pad.len()) != Some(&pad[..]) {
            wrong.push(format!("{name} begins with no landing pad"));
        }
    }
    Ok(())
}

/// Builds everything for the host with the release that the workspace declares as its oldest.
fn oldest_compiler() -> Result<()> {
    let compilers = Compilers::find();
    let rustc = compilers.oldest_that_will_do().with_context(|| {
        format!("rustc {MSRV} is not installed: rustup toolchain install {MSRV} --profile minimal")
    })?;
    let mut cmd = Cmd::new("cargo").args(["check", "--workspace", "--all-targets"]);
    if !rustc.active {
        cmd = cmd.env("RUSTC", rustc.path.to_string_lossy()).args(["--target-dir", "target/oldest"]);
    }
    cmd.run()
}

/// The package and what it needs to run, on one target.
fn allowed_packages(triple: &str) -> Result<()> {
    let cmd = Cmd::new("cargo")
        .args(["tree", "--package", "stackgate", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--target", triple]);
    cmd.show();
    let tree = cmd.read()?;
    let strangers = strangers(&tree);
    if !strangers.is_empty() {
        let strangers: Vec<_> = strangers.into_iter().collect();
        bail!("stackgate must not depend on {}", strangers.join(", "));
    }
    Ok(())
}

/// Packages in `cargo tree`'s output that are not allowed.
fn strangers(tree: &str) -> BTreeSet<&str> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|package| !ALLOWED_PACKAGES.contains(package))
        .collect()
}

/// Clippy of the compiler that builds for this CPU, on everything that is built for it.
fn clippy(kit: &Kit) -> Result<()> {
    if kit.rustc.clippy_driver().is_none() {
        bail!("there is no clippy for rustc {}; install it: cargo xtask setup", kit.rustc.release);
    }
    // The compiler's own `cargo-clippy` takes the driver beside it, not that of another release.
    let cargo_clippy = kit.rustc.sysroot.join("bin/cargo-clippy");
    let cmd = Cmd::new(cargo_clippy).arg("clippy");
    let cmd = kit.variables().into_iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    cmd.args(["--workspace", "--exclude", "xtask", "--target-dir", guest::TARGET_DIRECTORY])
        .args(kit.cargo_options())
        .args(["--", "-D", "warnings"])
        .run()
}

/// Compares what the shim says of libc with the `libc` crate, on this CPU.
fn signatures(kit: &Kit) -> Result<()> {
    kit.cargo()
        .args(["check", "--package", "stackgate-libc", "--test", "signatures"])
        .args(["--target-dir", crate::guest::TARGET_DIRECTORY])
        .args(kit.cargo_options())
        .run()
}

/// Builds `stackgate` and looks for symbols of a C library.
fn symbols(kit: &Kit) -> Result<()> {
    let cmd = kit
        .cargo()
        .args(["build", "--package", "stackgate", "--target-dir", guest::TARGET_DIRECTORY])
        .args(["--message-format", "json-render-diagnostics"])
        .args(kit.cargo_options());
    nothing_foreign(&cmd.run_reading()?)
}

/// Looks for symbols of a C library in the libraries' archives, which cargo's messages name.
pub fn nothing_foreign(messages: &str) -> Result<()> {
    let archives = archives(messages)?;
    if archives.is_empty() {
        bail!("cargo named no archive of {}", WITHOUT_LIBC.join(" or "));
    }
    let mut defined = BTreeSet::new();
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for path in &archives {
        read_symbols(path, &mut defined, &mut wanted).with_context(|| format!("cannot read {path}"))?;
    }
    let foreign: Vec<_> = wanted
        .iter()
        .filter(|(symbol, _)| !defined.contains(*symbol) && !may_be_undefined(symbol))
        .map(|(symbol, member)| format!("{symbol} (wanted by {member})"))
        .collect();
    if !foreign.is_empty() {
        bail!("undefined symbols that core and the compiler do not bring: {}", foreign.join(", "));
    }
    Ok(())
}

/// Paths of the libraries' archives in cargo's messages.
fn archives(messages: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let name = message["target"]["name"].as_str().unwrap_or("").replace('_', "-");
        if message["reason"] == "compiler-artifact" && WITHOUT_LIBC.contains(&name.as_str()) {
            let files = message["filenames"].as_array().into_iter().flatten();
            let files = files.filter_map(|file| file.as_str());
            found.extend(files.filter(|f| f.ends_with(".rlib") || f.ends_with(".a")).map(str::to_owned));
        }
    }
    Ok(found)
}

/// Adds an archive's symbols: those it defines, and those it wants with the member that does.
fn read_symbols(
    path: &str,
    defined: &mut BTreeSet<String>,
    wanted: &mut BTreeMap<String, String>,
) -> Result<()> {
    let bytes = fs::read(path)?;
    for member in ArchiveFile::parse(&*bytes)?.members() {
        let member = member?;
        let member_name = String::from_utf8_lossy(member.name()).into_owned();
        // The compiler's own metadata is no object file.
        if !member_name.ends_with(".o") {
            continue;
        }
        let file = object::File::parse(member.data(&*bytes)?)?;
        for symbol in file.symbols() {
            let Ok(name) = symbol.name() else { continue };
            if symbol.is_undefined() && !name.is_empty() {
                wanted.insert(name.to_owned(), member_name.clone());
            } else if symbol.is_global() {
                defined.insert(name.to_owned());
            }
        }
    }
    Ok(())
}

/// True for symbols that come from `core`, from other Rust packages, from the compiler's runtime,
/// or are one of the five memory functions.
fn may_be_undefined(symbol: &str) -> bool {
    let rust = symbol.starts_with("_ZN") || symbol.starts_with("_R") || symbol.starts_with("__rust");
    // Arithmetic that the CPU lacks: __udivdi3, __multi3, __aeabi_uldivmod.
    let arithmetic = symbol.starts_with("__aeabi_")
        || (symbol.starts_with("__")
            && ["di3", "ti3", "si3", "di2", "ti2", "si2"].iter().any(|s| symbol.ends_with(s)));
    // Atomic operations that choose their instructions at run time, in compiler-builtins too.
    let atomics = symbol.starts_with("__aarch64_");
    rust || arithmetic || atomics || MEMORY_FUNCTIONS.contains(&symbol) || TOOLCHAIN_SYMBOLS.contains(&symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_found_in_a_tree() {
        let tree = "stackgate v0.1.0 (/w/core)\nspin v0.10.0\nlibc v0.2.1\nspin v0.10.0 (*)\n";
        assert_eq!(strangers(tree).into_iter().collect::<Vec<_>>(), ["libc"]);
    }

    #[test]
    fn symbols_of_a_c_library_are_told_from_others() {
        for good in ["memcpy", "_RNvCs1_4core", "_ZN4core3fmt", "__udivdi3", "__aeabi_uldivmod"] {
            assert!(may_be_undefined(good), "{good}");
        }
        for bad in ["malloc", "abort", "__errno_location", "pthread_self", "write", "__tls_get_addr"] {
            assert!(!may_be_undefined(bad), "{bad}");
        }
    }

    #[test]
    fn archives_are_found_in_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"stackgate_arch"},"filenames":["/x/a.rlib","/x/a.rmeta"]}"#,
            "\nnoise\n",
            r#"{"reason":"compiler-artifact","target":{"name":"core"},"filenames":["/x/core.rlib"]}"#,
            "\n",
        );
        assert_eq!(archives(messages).unwrap(), ["/x/a.rlib"]);
    }
}

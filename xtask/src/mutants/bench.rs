//! Building a mutant in a second or two.
//!
//! Cargo would build every package above the changed one again. The programs for tests are built with this
//! tool as rustc's wrapper, which writes down how rustc was called ([`record`]). Each mutant is then a
//! copy of `arch/` with one file changed, compiled by that very command line, incrementally, into the archive
//! that the programs' own link lines are given in place of the first one. Its symbols are the same, since
//! they depend on the command line and not on what the functions do. A program is linked when a guard first asks
//! for it: most mutants fall to one of the two, and those without effect show in the archive.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, bail};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, read::archive::ArchiveFile,
};

use crate::{
    guest::{self, Profile, Program},
    process::Cmd,
    targets::Target,
    toolchain::Kit,
};

/// Names the directory in which [`record`] writes command lines. While it is set this tool is a wrapper.
pub const RECORD: &str = "XTASK_RECORD_RUSTC";

/// Everything of this command lies here, a directory a CPU.
pub const DIRECTORY: &str = "target/mutants";

/// Where [`record`] writes how a CPU's programs for tests are built.
pub fn lines_of(target: &Target) -> String {
    format!("{DIRECTORY}/{}/lines", target.name)
}

/// The package that is changed, as rustc calls it.
const CHANGED: &str = "stackgate_arch";

/// Packages between it and the programs.
const PACKAGES: &[&str] = &["stackgate-arch", "stackgate", "stackgate-libc", guest::PACKAGE];

/// The programs, for cases and for steps.
const PROGRAMS: [&str; 2] = ["guest", "steps"];

/// Sections that differ where two builds of the crossings do.
const SECTIONS: &[&str] =
    &["stackgate_text", ".eh_frame", ".debug_frame", ".ARM.exidx", ".ARM.extab", ".rodata", ".data.rel.ro"];

/// Called by cargo with rustc's command line: writes it down and becomes rustc.
pub fn record(directory: &Path) -> ExitCode {
    let line: Vec<String> = env::args().skip(1).collect();
    let value = |option: &str| Some(line.get(line.iter().position(|word| word == option)? + 1)?.as_str());
    if let Some(name) = value("--crate-name").filter(|name| *name != "___" && *name != "build_script_build") {
        let written = serde_json::to_string(&line).map_err(std::io::Error::from).and_then(|text| {
            fs::create_dir_all(directory)?;
            fs::write(directory.join(name), text)
        });
        if let Err(error) = written {
            eprintln!("cannot write {}: {error}", directory.join(name).display());
            return ExitCode::FAILURE;
        }
    }
    let Some((rustc, arguments)) = line.split_first() else { return ExitCode::FAILURE };
    let error = Command::new(rustc).args(arguments).exec();
    eprintln!("cannot start {rustc}: {error}");
    ExitCode::FAILURE
}

/// How one CPU's programs are built.
pub struct Bench<'a> {
    pub kit: &'a Kit,
    /// Below [`DIRECTORY`].
    directory: String,
    /// The call of rustc for the package that is changed, without what each worker says itself.
    compile: Vec<String>,
    /// The archive that it makes.
    archive: String,
    /// A line for a shell for each of [`PROGRAMS`].
    link: Vec<String>,
}

/// A mutant, compiled.
pub struct Built<'a> {
    bench: &'a Bench<'a>,
    /// Where all of it lies.
    pub directory: String,
    /// Those of [`PROGRAMS`] that were asked for.
    programs: [OnceLock<String>; 2],
}

/// It compiles and does not link: the linker's words.
#[derive(Debug)]
pub struct Unlinked(String);

impl fmt::Display for Unlinked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unlinked {}

impl Built<'_> {
    pub fn guest(&self) -> Result<&str> {
        self.program(0)
    }

    pub fn steps(&self) -> Result<&str> {
        self.program(1)
    }

    /// The program, linked if it is not yet; an error of the linker's is [`Unlinked`].
    fn program(&self, which: usize) -> Result<&str> {
        if let Some(path) = self.programs[which].get() {
            return Ok(path);
        }
        let path = format!("{}/{}", self.directory, PROGRAMS[which]);
        let line = self.bench.link[which].replace("@ARCHIVE@", &self.directory).replace("@PROGRAM@", &path);
        let linked = Cmd::new("sh").args(["-c", &line]).capture(None)?;
        if !linked.success() {
            return Err(Unlinked(first_error(&linked.stderr)).into());
        }
        Ok(self.programs[which].get_or_init(|| path))
    }

    /// The sections in which a mutant shows, as text: their bytes, and what the linker puts into them.
    pub fn sections(&self) -> Result<BTreeMap<String, String>> {
        let path = format!("{}/{}", self.directory, self.bench.archive);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {path}"))?;
        let mut found = BTreeMap::new();
        for member in ArchiveFile::parse(&*bytes)?.members() {
            let member = member?;
            let name = String::from_utf8_lossy(member.name()).into_owned();
            let Some(file) = name.ends_with(".o").then(|| member.data(&*bytes)).transpose()? else {
                continue;
            };
            // Behind the unit's own name comes one of the directory that it was compiled in.
            let name = name.split('.').take(2).collect::<Vec<_>>().join(".");
            let file = object::File::parse(file)?;
            for section in file.sections() {
                let of = section.name()?;
                if SECTIONS.iter().any(|known| of.starts_with(known)) {
                    let mut text = format!("{:x?}", section.data()?);
                    for (at, relocation) in section.relocations() {
                        let symbol = match relocation.target() {
                            RelocationTarget::Symbol(index) => file.symbol_by_index(index)?.name()?,
                            _ => "",
                        };
                        text.push_str(&format!(
                            "{at:x} {:?} {symbol} {}",
                            relocation.flags(),
                            relocation.addend()
                        ));
                    }
                    found.insert(format!("{name} {of} {}", section.index()), text);
                }
            }
        }
        if found.is_empty() {
            bail!("{path} has none of the sections in which crossings lie");
        }
        Ok(found)
    }
}

impl<'a> Bench<'a> {
    /// Builds the programs as they are and learns how that is done.
    pub fn new(kit: &'a Kit) -> Result<Self> {
        let directory = format!("{DIRECTORY}/{}", kit.target.name);
        let lines = PathBuf::from(lines_of(kit.target));
        build(kit)?;
        let all_there = || PROGRAMS.iter().chain([&CHANGED]).all(|name| lines.join(name).is_file());
        if !all_there() {
            // Somebody removed what was written; cargo, for which all is fresh, would not call rustc again.
            let mut clean = kit.cargo().args(["clean", "--target-dir", guest::TARGET_DIRECTORY]);
            clean = clean.args(["--target", kit.target.triple]);
            PACKAGES.iter().fold(clean, |cmd, package| cmd.args(["--package", package])).run()?;
            build(kit)?;
        }
        if !all_there() {
            bail!("cargo did not call rustc for {CHANGED}, {}", PROGRAMS.join(" and "));
        }
        let read = |name: &str| -> Result<Vec<String>> {
            Ok(serde_json::from_str(&fs::read_to_string(lines.join(name))?)?)
        };
        let mut link = Vec::new();
        for program in PROGRAMS {
            link.push(link_line(kit, &directory, program, &stripped(&read(program)?))?);
        }
        let compile = stripped(&read(CHANGED)?);
        let ending = compile.iter().find_map(|word| word.strip_prefix("extra-filename="));
        let archive = format!("lib{CHANGED}{}.rlib", ending.unwrap_or_default());
        Ok(Self { kit, directory, compile, archive, link })
    }

    /// Where all that is this CPU's lies.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Compiles this text in the place of the CPU's `asm.rs`. The error of a text that does not compile is
    /// `Ok(Err(...))`.
    pub fn build(&self, worker: usize, text: &str) -> Result<Result<Built<'_>, String>> {
        let directory = format!("{}/{worker}", self.directory);
        let copy = format!("{directory}/arch");
        if !Path::new(&copy).exists() {
            copy_tree(Path::new("arch/src"), &Path::new(&copy).join("src"))?;
            copy_tree(Path::new("arch/docs"), &Path::new(&copy).join("docs"))?;
        }
        fs::write(format!("{copy}/{}", source_of(self.kit.target)), text)?;
        let root = |word: &String| {
            if word == "arch/src/lib.rs" { format!("{copy}/src/lib.rs") } else { word.clone() }
        };
        // What cargo sets, and the sources ask for.
        let manifest = env::current_dir()?.join("arch");
        let compiled = with_variables(self.kit, Cmd::new(&self.compile[0]))
            .env("CARGO_MANIFEST_DIR", manifest.to_string_lossy())
            .args(self.compile[1..].iter().map(root))
            .args(["--emit=link", "--cap-lints=allow", "--out-dir", &directory])
            .args(["-C", &format!("incremental={directory}/incremental")])
            .capture(None)?;
        if !compiled.success() {
            return Ok(Err(first_error(&compiled.stderr)));
        }
        Ok(Ok(Built { bench: self, directory, programs: Default::default() }))
    }

    /// Takes away the copies that workers made: sources may have changed since.
    pub fn fresh(&self, workers: usize) -> Result<()> {
        for worker in 0..workers {
            let copy = PathBuf::from(format!("{}/{worker}/arch", self.directory));
            if copy.exists() {
                fs::remove_dir_all(&copy).with_context(|| format!("cannot remove {}", copy.display()))?;
            }
        }
        Ok(())
    }
}

/// The file of which mutants are made, below `arch/`.
pub fn source_of(target: &Target) -> String {
    format!("src/{}/asm.rs", target.name)
}

/// Has cargo build the programs, as any test does.
fn build(kit: &Kit) -> Result<()> {
    PROGRAMS.iter().try_for_each(|name| guest::build(kit, Program::Bin(name), Profile::Dev).map(drop))
}

/// rustc's call without what says how it reports, and where its output goes.
fn stripped(line: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = line.iter().peekable();
    while let Some(word) = words.next() {
        let incremental = word == "-C" && words.peek().is_some_and(|next| next.starts_with("incremental="));
        if word == "--out-dir" || incremental {
            words.next();
        } else if !["--error-format", "--json", "--emit"].iter().any(|option| word.starts_with(option)) {
            kept.push(word.clone());
        }
    }
    kept
}

/// Compiles a program's own part once more, keeps its objects, and makes its link line one with blanks:
/// `@ARCHIVE@` for the directory of the changed package, `@PROGRAM@` for the result.
fn link_line(kit: &Kit, directory: &str, program: &str, line: &[String]) -> Result<String> {
    let objects = format!("{directory}/{program}");
    if Path::new(&objects).exists() {
        fs::remove_dir_all(&objects).with_context(|| format!("cannot remove {objects}"))?;
    }
    fs::create_dir_all(&objects).with_context(|| format!("cannot make {objects}"))?;
    let text = with_variables(kit, Cmd::new(&line[0]))
        .args(&line[1..])
        .args(["--emit=link", "--out-dir", &objects, "-C", "save-temps", "--print", "link-args"])
        .read()?;
    let words: Vec<_> = text.split(' ').collect();
    let output = words.iter().position(|word| *word == "\"-o\"").context("a link line without -o")? + 1;
    let mut found = false;
    let words = words.iter().enumerate().map(|(at, word)| match word.rsplit_once("/lib") {
        _ if at == output => "\"@PROGRAM@\"".to_owned(),
        Some((_, name)) if name.starts_with(&format!("{CHANGED}-")) => {
            found = true;
            format!("\"@ARCHIVE@/lib{name}")
        }
        _ => (*word).to_owned(),
    });
    let line = words.collect::<Vec<_>>().join(" ");
    if !found {
        bail!("the link line of {program} names no {CHANGED}");
    }
    Ok(line)
}

fn with_variables(kit: &Kit, cmd: Cmd) -> Cmd {
    kit.variables().into_iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value))
}

fn first_error(text: &str) -> String {
    let line = text.lines().find(|line| line.contains("error")).or_else(|| text.lines().next());
    line.unwrap_or("").trim().to_owned()
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_rustc_keeps_what_decides_about_the_code() {
        let line = [
            "rustc",
            "--crate-name",
            "x",
            "--error-format=json",
            "--emit=dep-info,link",
            "-C",
            "opt-level=1",
            "-C",
            "incremental=/i",
            "--out-dir",
            "/o",
            "-C",
            "metadata=1",
        ];
        let line = line.map(str::to_owned);
        assert_eq!(stripped(&line), ["rustc", "--crate-name", "x", "-C", "opt-level=1", "-C", "metadata=1"]);
    }
}

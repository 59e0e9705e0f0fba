//! The machines without an operating system: one row each, and how it is built, booted and judged.
//!
//! A program of `qemu-tests/bare-metal` is linked by the scripts in `linker/` and run by `qemu-system`, with
//! its console on standard output. Time on these machines is a count of instructions, so that an interrupt
//! comes at the same instruction each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSymbol as _};

use crate::{
    context::{Context, Tally},
    depth::Do,
    process::{Cmd, find_program},
    readme, setup,
    step::{Sight, View, compare, crossing_ranges, data_of, name_of, parse_expected, unreachable},
    symbols::Symbols,
    sysroot::{self, Library, Wanted},
    targets::{self, Target},
    toolchain::{Compilers, Kit, Missing, Rustc, cargo_variable},
    ui,
};

/// The manifest of the package with the programs, which is a workspace of its own.
pub const MANIFEST: &str = "qemu-tests/bare-metal/Cargo.toml";

/// Programs for machines have a target directory of their own: they are built with `core` alone.
const TARGET_DIRECTORY: &str = "target/machines";

/// Where emulators are unpacked that the package manager could not install without removing something.
const UNPACKED: &str = "target/qemu-system";

/// A machine that runs longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(240);

/// The machine of the program in `linker/README.md`.
const OF_THE_README: &str = "thumb";

/// What the host tool knows of one machine.
#[derive(Debug)]
pub struct Machine {
    /// The CPU, as [`targets::TARGETS`] calls it, or `thumb`, which is built by arm's tools.
    pub name: &'static str,
    /// The target whose tools build for it.
    tools: &'static str,
    /// Rust's target, if it is not that target's.
    triple: Option<&'static str>,
    /// The emulator.
    qemu: &'static str,
    /// The Debian package that has it.
    package: &'static str,
    /// Machine, CPU, memory, console, time.
    options: &'static str,
    /// The option that takes the program.
    load: &'static str,
    /// A flat image is loaded, not an ELF file.
    flat: bool,
    /// The emulator's exit code if all went well. `isa-debug-exit` makes 33 of the board's 16.
    passed: i32,
    /// How programs find the current g there: a build for each. The first is what the demonstration has.
    forms: &'static [Form],
}

/// Where the current g is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// In the slot that the CPU's thread pointer designates.
    Slot,
    /// In one plain word: the feature `single-core`.
    Word,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Word => "word",
        }
    }
}

/// Every machine, in the order of all tables.
const MACHINES: &[Machine] = &[
    Machine {
        name: "i386",
        tools: "i386",
        triple: None,
        qemu: "qemu-system-i386",
        package: "qemu-system-x86",
        options: "-M pc -cpu max -m 128 -vga none -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 \
                  -icount shift=0",
        load: "-kernel",
        flat: false,
        passed: 33,
        forms: &[Form::Slot, Form::Word],
    },
    Machine {
        name: "x86_64",
        tools: "x86_64",
        triple: None,
        qemu: "qemu-system-x86_64",
        package: "qemu-system-x86",
        options: "-M pc -cpu max -m 128 -smp 2 -vga none -serial stdio \
                  -device isa-debug-exit,iobase=0xf4,iosize=4 -icount shift=0",
        load: "-kernel",
        flat: false,
        passed: 33,
        forms: &[Form::Slot, Form::Word],
    },
    Machine {
        name: "arm",
        tools: "arm",
        triple: None,
        qemu: "qemu-system-arm",
        package: "qemu-system-arm",
        // An instruction is a tick of the timer.
        options: "-M virt -cpu cortex-a15 -m 128 -serial stdio -semihosting -icount shift=4",
        load: "-kernel",
        flat: false,
        passed: 0,
        forms: &[Form::Slot, Form::Word],
    },
    Machine {
        name: "arm64",
        tools: "arm64",
        triple: None,
        qemu: "qemu-system-aarch64",
        package: "qemu-system-arm",
        options: "-M virt -cpu max -m 128 -smp 2 -serial stdio -semihosting -icount shift=4",
        load: "-kernel",
        flat: false,
        passed: 0,
        forms: &[Form::Slot, Form::Word],
    },
    Machine {
        name: "ppc64le",
        tools: "ppc64le",
        triple: None,
        qemu: "qemu-system-ppc64",
        package: "qemu-system-ppc",
        // Capabilities that an emulated CPU does not have; an instruction is two ticks of the timer.
        options: "-M pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off -cpu power9 -m 256 \
                  -action panic=exit-failure -serial stdio -icount shift=2",
        load: "-bios",
        flat: true,
        passed: 0,
        forms: &[Form::Slot, Form::Word],
    },
    Machine {
        name: "s390x",
        tools: "s390x",
        triple: None,
        qemu: "qemu-system-s390x",
        package: "qemu-system-misc",
        options: "-M s390-ccw-virtio -m 128 -action panic=exit-failure -chardev stdio,id=c \
                  -device sclpconsole,chardev=c -icount shift=2",
        load: "-kernel",
        flat: false,
        passed: 0,
        forms: &[Form::Slot, Form::Word],
    },
    Machine {
        name: "thumb",
        tools: "arm",
        triple: Some("thumbv7em-none-eabihf"),
        qemu: "qemu-system-arm",
        package: "qemu-system-arm",
        // An instruction is more than a tick of the timer, which is 40 ns.
        options: "-M mps2-an386 -serial stdio -semihosting -icount shift=6",
        load: "-kernel",
        flat: false,
        passed: 0,
        forms: &[Form::Word],
    },
];

/// Options of every machine: no display, no devices but those named, no second start.
const COMMON_OPTIONS: &[&str] = &["-display", "none", "-nodefaults", "-no-reboot", "-net", "none"];

/// A machine with the tools that build for it and run it.
struct Ready {
    machine: &'static Machine,
    kit: Kit,
    /// A compiler that has the sources of `core`.
    rustc: Rustc,
    flags: String,
    emulator: Emulator,
}

/// An emulator, where it is.
#[derive(Clone, Debug)]
pub struct Emulator {
    program: PathBuf,
    /// The directory that it was unpacked to, if it is not installed.
    root: Option<PathBuf>,
}

impl Emulator {
    /// Looks on the search path, then where emulators are unpacked.
    fn find(name: &str) -> Option<Self> {
        if let Some(program) = find_program(name) {
            return Some(Self { program, root: None });
        }
        let root = fs::canonicalize(UNPACKED).ok()?;
        // Debian's qemu-system-i386 is a script that starts the emulator in libexec.
        ["usr/libexec", "usr/bin"]
            .map(|folder| root.join(folder).join(name))
            .into_iter()
            .find(|program| program.is_file())
            .map(|program| Self { program, root: Some(root) })
    }

    /// The emulator with what it needs to be run from there.
    fn command(&self) -> Cmd {
        let cmd = Cmd::new(&self.program);
        let Some(root) = &self.root else { return cmd };
        let inside = |folder: &str| root.join(folder).display().to_string();
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(inside).join(":");
        ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"]
            .into_iter()
            .fold(cmd.env("LD_LIBRARY_PATH", libraries), |cmd, folder| cmd.args(["-L", &inside(folder)]))
    }
}

/// The machines of the chosen targets: arm's tools build for the microcontroller too.
fn chosen(context: &Context) -> Vec<&'static Machine> {
    MACHINES.iter().filter(|m| context.targets.iter().any(|target| target.name == m.tools)).collect()
}

/// Emulators that the chosen machines miss: two machines of one emulator miss one.
pub fn missing(context: &Context) -> Vec<Missing> {
    let emulators: BTreeMap<_, _> =
        chosen(context).into_iter().map(|machine| (machine.qemu, machine.package)).collect();
    emulators
        .into_iter()
        .filter(|(qemu, _)| Emulator::find(qemu).is_none())
        .map(|(qemu, package)| Missing {
            what: format!("{qemu}, for `--machine`"),
            packages: vec![package],
            rustup: None,
        })
        .collect()
}

/// Installs emulators: by the package manager, or, where that would remove a package, by unpacking what it
/// would install into a directory of the workspace.
pub fn install(missing: &[Missing], dry_run: bool) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let Err(refused) = setup::install(missing, dry_run) else { return Ok(()) };
    ui::say(&format!("{refused:#}\nso the emulators are unpacked in {UNPACKED} instead"));
    let mut packages: Vec<_> = missing.iter().flat_map(|m| m.packages.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    let archives = Path::new(UNPACKED).join("archives");
    fs::create_dir_all(archives.join("partial"))?;
    let archives = fs::canonicalize(archives)?;
    let cache = format!("Dir::Cache::archives={}/", archives.display());
    Cmd::new("apt-get")
        .args(["-q", "--yes", "-o", &cache, "-o", "Debug::NoLocking=1", "--download-only"])
        .args(["--no-install-recommends", "install"])
        .args(&packages)
        .run()?;
    let mut unpacked = 0;
    for entry in fs::read_dir(&archives)?.flatten().map(|entry| entry.path()) {
        if entry.extension().is_some_and(|extension| extension == "deb") {
            Cmd::new("dpkg").arg("-x").arg(&entry).arg(UNPACKED).read()?;
            fs::remove_file(&entry)?;
            unpacked += 1;
        }
    }
    ui::say(&format!("unpacked {unpacked} packages"));
    Ok(())
}

/// The chosen machines with their tools, and those left out.
fn ready(context: &Context) -> Result<(Vec<Ready>, Vec<String>)> {
    let kits = context.tools()?;
    let gaps = missing(context);
    if !gaps.is_empty() && !context.allow_missing {
        install(&gaps, false)?;
    }
    let mut skipped: Vec<_> =
        kits.skipped.iter().map(|(target, what)| format!("{}: missing {what}", target.name)).collect();
    let mut machines = Vec::new();
    let compilers = Compilers::find();
    for machine in chosen(context) {
        let Some(kit) = kits.kits.iter().find(|kit| kit.target.name == machine.tools) else { continue };
        match Emulator::find(machine.qemu) {
            Some(emulator) => {
                let rustc = compilers.with_sources().context(
                    "no compiler has the sources of its library; add them: rustup component add rust-src, \
                     or apt-get install rustc-web rust-web-src",
                )?;
                let (kit, rustc, flags) = (kit.clone(), rustc.clone(), machine.rustflags());
                machines.push(Ready { machine, kit, rustc, flags, emulator });
            }
            None if context.allow_missing => {
                skipped.push(format!("{}: missing {}", machine.name, machine.qemu));
            }
            None => bail!("{} is still missing after the set-up", machine.qemu),
        }
    }
    sysroot::build(&machines.iter().map(Ready::wanted).collect::<Vec<_>>())?;
    for ready in &mut machines {
        let option = ready.wanted().option()?;
        ready.flags = format!("{} {option}", ready.flags);
    }
    if machines.is_empty() {
        bail!(
            "no machine is left: the emulators of all chosen ones are missing; install them: cargo xtask setup"
        );
    }
    Ok((machines, skipped))
}

impl Machine {
    fn triple(&self) -> &'static str {
        self.triple.unwrap_or(self.target().triple)
    }

    fn target(&self) -> &'static Target {
        targets::TARGETS.iter().find(|target| target.name == self.tools).expect("a row of the table")
    }

    fn rustflags(&self) -> String {
        match self.triple {
            Some(_) => targets::COMMON_FLAGS.join(" "),
            None => self.target().rustflags(),
        }
    }
}

impl Ready {
    /// The library that its programs are compiled against.
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            rustc: &self.rustc,
            triple: self.machine.triple(),
            flags: self.machine.rustflags(),
            library: Library::Core,
        }
    }

    /// Builds a program of the package and returns its path.
    fn build(&self, program: &str, release: bool, form: Form) -> Result<String> {
        let mut cmd = self.cargo("build", form).args(["--bin", program]);
        if release {
            cmd = cmd.arg("--release");
        }
        cmd.run()?;
        let folder = if release { "release" } else { "debug" };
        Ok(format!("{TARGET_DIRECTORY}/{}/{folder}/{program}", self.machine.triple()))
    }

    /// Cargo for this machine, which has `core` and nothing else.
    fn cargo(&self, command: &str, form: Form) -> Cmd {
        let triple = self.machine.triple();
        // The compiler's own clippy takes the driver beside it, not that of another release.
        let program = match command {
            "clippy" => self.rustc.sysroot.join("bin/cargo-clippy"),
            _ => "cargo".into(),
        };
        let mut cmd = Cmd::new(program).env("RUSTC_BOOTSTRAP", "1");
        if !self.rustc.active {
            cmd = cmd.env("RUSTC", self.rustc.path.to_string_lossy());
        }
        // Build scripts are this machine's programs, and linked by what is said for its target. They would be built
        // anew for every other machine.
        if !self.machine.target().is_host() {
            cmd = cmd.env(cargo_variable(triple, "LINKER"), &self.kit.linker);
        }
        cmd = cmd
            .env(cargo_variable(triple, "RUSTFLAGS"), &self.flags)
            .env(format!("CC_{}", triple.replace('-', "_")), &self.kit.linker)
            .args([command, "--manifest-path", MANIFEST])
            .args(["--target", triple, "--target-dir", TARGET_DIRECTORY]);
        if form == Form::Word { cmd.args(["--features", "single-core"]) } else { cmd }
    }

    /// The program of `linker/README.md`, with the same compiler, `core` and emulator.
    fn readme(&self, context: &Context) -> Result<()> {
        let mut variables = vec![(cargo_variable(self.machine.triple(), "RUSTFLAGS"), self.flags.clone())];
        if !self.rustc.active {
            variables.push(("RUSTC".to_owned(), self.rustc.path.to_string_lossy().into_owned()));
        }
        readme::program(
            &context.root,
            TARGET_DIRECTORY,
            (self.machine.qemu, &self.emulator.command()),
            &variables,
        )
    }

    /// The emulator with a program.
    fn run(&self, program: &str) -> Result<Cmd> {
        let image = if self.machine.flat {
            let image = format!("{program}.bin");
            Cmd::new(self.kit.target.tool("objcopy")).args(["-O", "binary", program, &image]).read()?;
            image
        } else {
            program.to_owned()
        };
        let cmd = self.emulator.command();
        Ok(cmd
            .args(COMMON_OPTIONS)
            .args(self.machine.options.split_whitespace())
            .args([self.machine.load, &image]))
    }
}

/// What a machine's tests came to.
#[derive(Default)]
struct Report {
    tally: Tally,
    checks: u64,
    problems: Vec<String>,
    /// Instructions of the crossings, interrupts at them, and the least number at one.
    instructions: [usize; 3],
}

/// `cargo xtask test --machine`: the tests on each machine.
pub fn test(context: &Context) -> Result<Tally> {
    let (machines, skipped) = ready(context)?;
    let mut tally = Tally::default();
    let head = [
        "machine",
        "g in",
        "passed",
        "failed",
        "checks",
        "instructions",
        "interrupts",
        "least at one",
        "time",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (ready, form) in
        machines.iter().flat_map(|ready| ready.machine.forms.iter().map(move |&form| (ready, form)))
    {
        let start = Instant::now();
        let report = ready.build("tests", false, form).and_then(|program| test_one(ready, &program));
        let report = report
            .unwrap_or_else(|error| Report { problems: vec![format!("{error:#}")], ..Report::default() });
        for problem in &report.problems {
            ui::failed(&format!("{}, {}: {problem}", ready.machine.name, form.name()));
        }
        let mut own = report.tally;
        own.failed += report.problems.len() as u64;
        let [instructions, interrupts, least] = report.instructions;
        rows.push(vec![
            ready.machine.name.to_owned(),
            form.name().to_owned(),
            own.passed.to_string(),
            own.failed.to_string(),
            report.checks.to_string(),
            instructions.to_string(),
            interrupts.to_string(),
            least.to_string(),
            ui::seconds(start),
            ui::verdict(own.good()),
        ]);
        tally.merge(own);
    }
    if let Some(ready) = machines.iter().find(|ready| ready.machine.name == OF_THE_README) {
        let start = Instant::now();
        let result = ready.readme(context);
        if let Err(error) = &result {
            ui::failed(&format!("{}, readme/the page alone: {error:#}", ready.machine.name));
        }
        let counts = if result.is_ok() { ["1", "0"] } else { ["0", "1"] };
        let mut row = vec!["readme".to_owned(), Form::Word.name().to_owned()];
        row.extend(counts.map(str::to_owned));
        row.extend(vec!["-".to_owned(); 4]);
        row.extend([ui::seconds(start), ui::verdict(result.is_ok())]);
        rows.push(row);
        tally.add(result.is_ok());
    }
    ui::headline("machines without an operating system");
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    skipped.iter().for_each(|line| ui::say(&format!("SKIPPED (--allow-missing): {line}")));
    ui::say(&tally.to_string());
    Ok(tally)
}

/// Boots a machine with its tests, and reads what they say.
fn test_one(ready: &Ready, program: &str) -> Result<Report> {
    let cmd = ready.run(program)?;
    cmd.show();
    let outcome = cmd.capture(Some(TIME_LIMIT))?;
    let mut report = Report::default();
    let mut done = None;
    for line in outcome.stdout.lines() {
        if let Some(rest) = line.strip_prefix("ok ") {
            report.tally.add(true);
            let checks = rest.rsplit(' ').next().and_then(|word| word.parse().ok());
            report.checks += checks.unwrap_or(0u64);
        } else if let Some(rest) = line.strip_prefix("FAILED ") {
            report.problems.push(rest.to_owned());
        } else if let Some(rest) = line.strip_prefix("done ") {
            done = Some(rest.to_owned());
        }
    }
    let code = outcome.status.code();
    if done.is_none() || (report.problems.is_empty() && code != Some(ready.machine.passed)) {
        let last: Vec<_> = outcome.stdout.lines().rev().take(6).collect();
        let last: Vec<_> = last.into_iter().rev().map(|line| format!("    {line}")).collect();
        report.problems.push(format!(
            "the machine ended with {}; the last it said:\n{}\n{}",
            outcome.ending(),
            last.join("\n"),
            outcome.stderr.trim_end(),
        ));
    } else if report.tally.passed == 0 {
        report.problems.push("it ran no case".to_owned());
    }
    at_every_instruction(ready, program, &outcome.stdout, &mut report)?;
    if !report.problems.is_empty() {
        report.problems.push(format!("repeat: {cmd}"));
    }
    Ok(report)
}

/// Judges what the timer's interrupts saw: each trace by the list of its scenario, and each instruction of the
/// crossings must have been interrupted.
fn at_every_instruction(ready: &Ready, program: &str, console: &str, report: &mut Report) -> Result<()> {
    const MOST_PRINTED: usize = 10;
    let symbols = Symbols::read(program)?;
    let ranges = crossing_ranges(&symbols, ready.machine.target().name)?;
    let expected = parse_expected(console)?;
    let mut sights: Vec<Vec<Sight>> = Vec::new();
    let mut hits: BTreeMap<u64, usize> = BTreeMap::new();
    for line in console.lines() {
        if line.starts_with("scenario ") {
            sights.push(Vec::new());
        } else if let (Some(rest), Some(last)) = (line.strip_prefix("@ "), sights.last_mut()) {
            let sight = Sight::parse(rest, |at| name_of(&symbols, at))?;
            *hits.entry(sight.address).or_default() += 1;
            last.push(sight);
        }
    }
    if sights.len() != expected.len() || expected.is_empty() {
        report.problems.push(format!("{} scenarios are listed, and {} ran", expected.len(), sights.len()));
    }
    let mut mistakes = Vec::new();
    for (scenario, sights) in expected.iter().zip(&sights) {
        mistakes.extend(compare(View::Logical, scenario, sights).into_iter().map(|mistake| {
            let at = mistake.address.map_or_else(String::new, |at| {
                let name = name_of(&symbols, at);
                let start = ranges.iter().find(|range| range.contains(&at)).map_or(at, |range| range.start);
                format!("{name}+{:#x}: ", at - start)
            });
            format!("{at}{}", mistake.text)
        }));
    }
    let instructions = disassemble(ready, program)?;
    let mut least = usize::MAX;
    for (&at, text) in instructions.iter().filter(|(at, _)| ranges.iter().any(|range| range.contains(at))) {
        let n = hits.get(&at).copied().unwrap_or(0);
        if n == 0 && unreachable(&name_of(&symbols, at), text).is_some() {
            continue;
        }
        report.instructions[0] += 1;
        least = least.min(n);
        if n == 0 {
            mistakes.push(format!("{} at {at:#x} ({text}) was never interrupted", name_of(&symbols, at)));
        }
    }
    if let Some(at) = hits.keys().find(|at| !instructions.contains_key(at)) {
        mistakes.push(format!("an interrupt at {at:#x}, where no instruction begins"));
    }
    report.instructions[1] = hits.values().sum();
    report.instructions[2] = if report.instructions[0] == 0 { 0 } else { least };
    let more = mistakes.len().saturating_sub(MOST_PRINTED);
    mistakes.truncate(MOST_PRINTED);
    report.problems.extend(mistakes);
    if more > 0 {
        report.problems.push(format!("and {more} more traces or instructions"));
    }
    Ok(())
}

/// Where each instruction of the crossings begins, and its text.
fn disassemble(ready: &Ready, program: &str) -> Result<BTreeMap<u64, String>> {
    let text = Cmd::new(ready.kit.target.tool("objdump"))
        .args(["-d", "--no-show-raw-insn", "-j", "stackgate_text", program])
        .read()?;
    let data = data_of(program)?;
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let Some((address, text)) = line.split_once(":\t") else { continue };
        let Ok(address) = u64::from_str_radix(address.trim(), 16) else { continue };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Thumb code is padded where constants follow it.
        let padding = text == "nop" && data.iter().any(|range| range.start == address + 2);
        // What is no instruction, between functions, is shown as data.
        let padding = padding || text.starts_with(".long") || text.starts_with(".short");
        if !padding && !data.iter().any(|range| range.contains(&address)) {
            all.insert(address, text);
        }
    }
    if all.is_empty() {
        bail!("objdump found no instruction in the section stackgate_text of {program}");
    }
    Ok(all)
}

/// `cargo xtask run --machine`: the demonstration on each machine.
pub fn run(context: &Context) -> Result<Tally> {
    let (machines, skipped) = ready(context)?;
    let mut tally = Tally::default();
    let head =
        ["machine", "tasks", "C calls", "callbacks", "interrupts", "bytes of code", "of RAM", "time", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for ready in &machines {
        let start = Instant::now();
        let result: Result<Vec<String>> =
            ready.build("demo", true, ready.machine.forms[0]).and_then(|program| {
                let cmd = ready.run(&program)?;
                cmd.show();
                let outcome = cmd.capture(Some(TIME_LIMIT))?;
                ui::say(outcome.stdout.trim_end());
                if outcome.status.code() != Some(ready.machine.passed) {
                    bail!("the machine ended with {}\n{}", outcome.ending(), outcome.stderr.trim_end());
                }
                let field = |key: &str| -> Result<String> {
                    let line =
                        outcome.stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
                    Ok(line.with_context(|| format!("it printed no line `{key}: ...`"))?.trim().to_owned())
                };
                ["tasks", "C calls", "callbacks", "interrupts", "code", "RAM"]
                    .into_iter()
                    .map(field)
                    .collect()
            });
        let mut row = vec![ready.machine.name.to_owned()];
        tally.add(result.is_ok());
        let good = result.is_ok();
        match result {
            Ok(cells) => row.extend(cells),
            Err(error) => {
                ui::failed(&format!("{}: {error:#}", ready.machine.name));
                row.extend(vec!["-".to_owned(); 6]);
            }
        }
        row.extend([ui::seconds(start), ui::verdict(good)]);
        rows.push(row);
    }
    ui::headline("the demonstration, without an operating system");
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    skipped.iter().for_each(|line| ui::say(&format!("SKIPPED (--allow-missing): {line}")));
    ui::say(&format!("run: {tally}"));
    Ok(tally)
}

/// Judges the package by clippy, for each machine.
pub fn clippy(context: &Context) -> Result<()> {
    let (machines, _) = ready(context)?;
    for ready in &machines {
        let rustc = &ready.kit.rustc;
        if rustc.clippy_driver().is_none() {
            bail!("there is no clippy for rustc {}; install it: cargo xtask setup", rustc.release);
        }
        for &form in ready.machine.forms {
            ready.cargo("clippy", form).args(["--", "-D", "warnings"]).run()?;
        }
    }
    Ok(())
}

/// Bytes of code that the crossings and core may take without tracebacks, and with them.
const LIMITS: [u64; 2] = [8 << 10, 32 << 10];

/// Machines that exceed one of [`LIMITS`], the how manieth, and why.
const OVER: &[(&str, usize, &str)] = &[
    (
        "ppc64le",
        0,
        "the crossings that save every register for code without callee-saved ones save 48 here, 12 of them with two \
         instructions each, and each is written out; every function has two entries and sets up its TOC pointer",
    ),
    ("ppc64le", 1, "as above; what reads unwind tables is no larger than elsewhere"),
    (
        "s390x",
        1,
        "LLVM inlines three times as eagerly for s390x: the parts of gimli that read unwind tables take 24 KiB here, \
         10 elsewhere",
    ),
];

/// The table of sizes that is kept.
const SIZES: &str = "core/docs/sizes.md";

/// So much, in hundredths, may a size differ from the kept one: names of directories change what is inlined.
const SIZE_NOISE: u64 = 3;

/// `cargo xtask size`: what of each machine's demonstration is stackgate's, wherever the current g is kept, and that
/// its archives want nothing that a machine without an operating system has not.
pub fn size(context: &Context, what: Do) -> Result<Tally> {
    let (machines, skipped) = ready(context)?;
    let complete = skipped.is_empty() && context.targets.len() == targets::TARGETS.len();
    if what == Do::Write && !complete {
        bail!(
            "--write needs every machine: leave out --target, and install what is missing: cargo xtask setup"
        );
    }
    let mut tally = Tally::default();
    let mut problems = Vec::new();
    let head = ["machine", "g in", "crossings", "without tracebacks", "with", "program", "data"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (ready, form) in
        machines.iter().flat_map(|ready| ready.machine.forms.iter().map(move |&form| (ready, form)))
    {
        let name = ready.machine.name;
        let result = size_one(ready, form);
        tally.add(result.is_ok());
        match result {
            Ok(sizes) => {
                problems.extend(beyond(name, [sizes[1], sizes[2]]));
                let names = [name, form.name()].map(str::to_owned);
                rows.push(names.into_iter().chain(sizes.map(|n| n.to_string())).collect());
            }
            Err(error) => ui::failed(&format!("{name}, {}: {error:#}", form.name())),
        }
    }
    ui::headline("bytes, release build; nothing unresolved");
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    skipped.iter().for_each(|line| ui::say(&format!("SKIPPED (--allow-missing): {line}")));
    match what {
        Do::Print => {}
        Do::Check => problems.extend(differing_sizes(&fs::read_to_string(SIZES).unwrap_or_default(), &rows)),
        Do::Write if tally.good() && problems.is_empty() => {
            fs::write(SIZES, sizes_page(&rows)).with_context(|| format!("cannot write {SIZES}"))?;
            ui::say(&format!("wrote {SIZES}"));
        }
        Do::Write => problems.push(format!("{SIZES} was not written")),
    }
    for problem in &problems {
        ui::failed(problem);
        tally.add(false);
    }
    ui::say(&format!("size: {tally}"));
    Ok(tally)
}

/// Which limits a machine exceeds without a reason given, or no longer exceeds.
fn beyond(machine: &str, sizes: [u64; 2]) -> Vec<String> {
    let problem = |(at, (size, limit)): (usize, (u64, u64))| {
        let known = OVER.iter().any(|&(name, which, _)| name == machine && which == at);
        match (size > limit, known) {
            (true, false) => Some(format!("{machine}: {size} bytes of code; the limit is {limit}")),
            (false, true) => Some(format!(
                "{machine}: {size} bytes are within {limit}: take it out of `OVER` in xtask/src/machines.rs"
            )),
            _ => None,
        }
    };
    sizes.into_iter().zip(LIMITS).enumerate().filter_map(problem).collect()
}

/// The kept table's text.
fn sizes_page(rows: &[Vec<String>]) -> String {
    let mut text = format!(
        "# Bytes of code\n\n\
         Written by `cargo xtask size --write`, compared by `cargo xtask size --check`; not to be edited. What the\n\
         demonstration for machines without an operating system carries, optimised for size, with the current g in the\n\
         slot of a CPU or in one plain word. The crossings are part of what follows; gimli's readers of unwind tables are\n\
         part of \"with\". Limits: {} without tracebacks, {} with them.\n\n",
        LIMITS[0], LIMITS[1]
    );
    for (at, row) in rows.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if at == 0 {
            text.push_str(&format!("|---|---|{}\n", "---:|".repeat(row.len() - 2)));
        }
    }
    text.push_str("\nWhere a limit is exceeded, and why:\n\n");
    for (machine, at, why) in OVER {
        text.push_str(&format!("- {machine}, {}: {why}.\n", ["without tracebacks", "with"][*at]));
    }
    text
}

/// Rows that differ from those of the kept page.
fn differing_sizes(kept: &str, rows: &[Vec<String>]) -> Vec<String> {
    let kept: Vec<Vec<&str>> = kept
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let number = |cell: &str| cell.parse::<u64>().unwrap_or(0);
    let near = |a: &str, b: &str| number(a).abs_diff(number(b)) * 100 <= number(a) * SIZE_NOISE;
    let mut found: Vec<_> = rows
        .iter()
        .skip(1)
        .filter(|row| {
            !kept.iter().any(|old| {
                old.len() == row.len()
                    && old[..2] == row[..2]
                    && old[2..].iter().zip(&row[2..]).all(|(a, b)| near(a, b))
            })
        })
        .map(|row| format!("{} {}: not the sizes in {SIZES}", row[0], row[1]))
        .collect();
    if !found.is_empty() {
        found.push("if it is meant: cargo xtask size --write".to_owned());
    }
    found
}

/// The section of the crossings; the code of the two packages without what is there for tracebacks, and with it; all
/// code; variables.
fn size_one(ready: &Ready, form: Form) -> Result<[u64; 5]> {
    // Archives of the release profile hold no symbols: it is optimised when it is linked.
    let cmd =
        ready.cargo("build", form).args(["--bin", "tests", "--message-format", "json-render-diagnostics"]);
    crate::check::nothing_foreign(&cmd.run_reading()?)?;
    let program = ready.build("demo", true, form)?;
    let bytes = fs::read(&program).with_context(|| format!("cannot read {program}"))?;
    let file = object::File::parse(&*bytes)?;
    let section = |name: &str| {
        use object::ObjectSection as _;
        file.section_by_name(name).map_or(0, |section| section.size())
    };
    let mut seen = BTreeSet::new();
    let mut sums = [0, 0];
    for symbol in file.symbols().filter(|s| s.is_definition() && s.kind() == object::SymbolKind::Text) {
        let Ok(name) = symbol.name() else { continue };
        let traces = ["traceback", "gimli", "6unwind"].iter().any(|part| name.contains(part));
        // The board's implementation of core's trait is the board's.
        let own = name.contains("stackgate") && !(name.starts_with("_R") && name.contains("bare_metal"));
        if (own || traces) && seen.insert(symbol.address()) {
            sums[usize::from(traces)] += symbol.size();
        }
    }
    let text = section(".text") + section("stackgate_text") + section("traced_text") + section(".boot");
    let data = section(".data") + section(".bss");
    Ok([section("stackgate_text"), sums[0], sums[0] + sums[1], text, data])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_held() {
        let rows: Vec<Vec<String>> = [["machine", "g in", "with"], ["arm", "slot", "1000"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec();
        let page = sizes_page(&rows);
        assert!(differing_sizes(&page, &rows).is_empty(), "{page}");
        assert_eq!(differing_sizes(&page.replace("1000", "1020"), &rows).len(), 0);
        assert_eq!(differing_sizes(&page.replace("1000", "1100"), &rows).len(), 2);
        assert_eq!(differing_sizes("", &rows).len(), 2);
        assert_eq!(beyond("arm", [LIMITS[0] + 1, LIMITS[1]]).len(), 1);
        assert_eq!(beyond("s390x", LIMITS).len(), 1);
    }

    #[test]
    fn every_target_has_a_machine() {
        for target in targets::TARGETS {
            assert!(
                MACHINES.iter().any(|m| m.name == target.name && m.tools == target.name),
                "{}",
                target.name
            );
        }
        assert!(MACHINES.iter().all(|m| !m.forms.is_empty()));
        assert!(MACHINES.iter().all(|m| targets::TARGETS.iter().any(|target| target.name == m.tools)));
    }

    #[test]
    fn every_name_of_libc_has_a_default() {
        let script = include_str!("../../linker/libc.x");
        let names: Vec<_> = script
            .lines()
            .filter_map(|line| line.strip_prefix("PROVIDE(")?.split_once(" = ").map(|(name, _)| name))
            .collect();
        let mut wanted = vec!["libc___errno_location"];
        wanted.extend(stackgate_libc::ENTRIES.iter().map(|entry| entry.import));
        assert_eq!(names, wanted, "linker/libc.x has other names than libc-shim/src/table.rs");
    }
}

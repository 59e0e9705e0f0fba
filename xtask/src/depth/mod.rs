//! `cargo xtask stack-depth`: how much of a stack each path may use, from the object code.
//!
//! The program `depth` of `qemu-tests`, built as users build, holds every path that runs on a managed stack until
//! the system stack is reached, and the tracebacks that handlers take. [`object`] reads its functions and
//! instructions, [`cpu`] knows what an instruction does to SP, [`body`] carries SP through every way of a
//! function, and [`chain`] follows the calls. What cannot be known is an error that names the function: a call
//! through a pointer that [`chain::POINTERS`] does not explain, recursion, SP moved by what is not a constant.
//!
//! The program then runs each path on a painted stack: more bytes than the bound is an error, fewer need a
//! reason. The result is kept in [`PATH`].

mod body;
mod chain;
mod cpu;
mod object;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use stackgate::{MANAGED_USE, STACK_ALIGN, traceback::HANDLER_USE};

use crate::{
    context::{Context, Tally},
    frames::{CPUS, Described},
    guest,
    targets::TARGETS,
    toolchain::Kit,
    ui,
};
use chain::{Chains, Worst};
use object::Program;

/// The table that is kept.
pub const PATH: &str = "qemu-tests/DEPTH.md";

/// The program that holds the paths.
const PROGRAM: &str = "depth";

/// The crate with the wrappers, as symbols have it.
const WRAPPERS: &str = "stackgate_libc";

/// What must be on a path, to be a wrapper.
const WAY_OUT: &str = "stackgate_asmcgocall";

/// What C calls, as symbols have it.
const C_PREFIX: &str = "stackgate_";

/// A path that hangs takes longer than this.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Functions that run on a system stack alone, as their documentation says.
const SYSTEM_STACK: &[&str] = &[
    "stackgate_m_adopt",
    "stackgate_m_release",
    "stackgate_run",
    "stackgate_run_any",
    "stackgate_enter",
    "stackgate_stack_moved",
    "stackgate_runtime_init_begin",
    "stackgate_notify_runtime_init_done",
    "stackgate_wait_runtime_init_done",
    "stackgate_panic",
    "stackgate_set_platform",
    "stackgate_prepare_extra_ms",
    "stackgate_add_extra_m",
    "stackgate_register_code",
    "stackgate_unregister_code",
    "stackgate_set_managed_symbolizer",
    "stackgate_callers_of",
    "stackgate_callers_interrupted",
    // Or on one with room for a traceback, as it says.
    "stackgate_print_traceback",
    "stackgate_use_linux",
    "stackgate_register_own_tables",
    "stackgate_install_symbolizer",
    "stackgate_handle_overflow",
    "stackgate_handle_faults",
    "stackgate_handle_fork",
    "stackgate_start_thread",
    "stackgate_exit_thread",
    "stackgate_stack_take",
    "stackgate_stack_put",
    "stackgate_libc::symbolizer::install",
    "stackgate_libc::symbolizer::install_from",
];

/// What to do with the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Do {
    Print,
    Write,
    Check,
}

/// A path as the program lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    name: String,
    stack: On,
    parts: Vec<String>,
    why: String,
    /// Words that a caller may push on the CPU that passes arguments on the stack.
    arguments: i64,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// Called on a managed stack.
    Managed,
    /// At the top of a managed stack.
    Top,
    /// Called in a signal handler.
    Handler,
}

impl Path {
    fn limit(&self) -> usize {
        if self.stack == On::Handler { HANDLER_USE } else { MANAGED_USE }
    }
}

/// What came of a path on a CPU.
#[derive(Clone, Debug)]
struct Row {
    path: Path,
    bound: i64,
    /// Nothing where there is no input.
    found: Option<i64>,
    chain: String,
}

/// What came of a CPU.
struct Report {
    cpu: &'static str,
    rows: Vec<Row>,
    ends: Vec<String>,
    users: Vec<String>,
    functions: usize,
    instructions: usize,
    confirmed: usize,
    problems: Vec<String>,
}

/// Computes, prints, and checks or writes the kept table.
pub fn stack_depth(context: &Context, what: Do) -> Result<Tally> {
    if what == Do::Write && context.targets.len() != TARGETS.len() {
        bail!("--write needs every CPU: leave out --target");
    }
    let kits = context.kits()?;
    if what == Do::Write && !kits.skipped.is_empty() {
        bail!("--write needs every CPU; install the tools: cargo xtask setup");
    }
    let mut tally = Tally::default();
    let mut reports = Vec::new();
    let mut problems = Vec::new();
    for kit in &kits.kits {
        match one(kit) {
            Ok(report) => reports.push(report),
            Err(error) => problems.push(format!("{}: {error:#}", kit.target.name)),
        }
    }
    for report in &reports {
        problems.extend(report.problems.iter().map(|p| format!("{}: {p}", report.cpu)));
        if what == Do::Print {
            ui::headline(report.cpu);
            let rows: Vec<_> = report
                .rows
                .iter()
                .map(|r| vec![r.path.name.clone(), r.bound.to_string(), shown(r.found), r.chain.clone()])
                .collect();
            ui::align_words(&rows).iter().for_each(|line| ui::say(line));
        }
    }
    let text = markdown(&reports, &compilers(&kits.kits));
    if what == Do::Check {
        problems.extend(differences(&reports)?);
    }
    ui::headline("bytes of stack, at most");
    ui::align(&matrix(&reports)).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    for problem in &problems {
        ui::failed(problem);
        tally.add(false);
    }
    if what == Do::Write {
        if !problems.is_empty() {
            bail!("{PATH} was not written");
        }
        fs::write(PATH, text).with_context(|| format!("cannot write {PATH}"))?;
        ui::say(&format!("wrote {PATH}"));
    }
    tally.passed += reports.iter().map(|r| r.rows.len() as u64).sum::<u64>();
    ui::say(&totals(&reports, problems.len()));
    Ok(tally)
}

fn totals(reports: &[Report], wrong: usize) -> String {
    let sum = |f: fn(&Report) -> usize| reports.iter().map(f).sum::<usize>();
    let deepest = |handler: bool| {
        let rows = reports.iter().flat_map(|r| &r.rows).filter(|r| (r.path.stack == On::Handler) == handler);
        rows.map(|r| r.bound).max().unwrap_or(0)
    };
    format!(
        "stack-depth: {} CPUs, {} paths, deepest {} of {MANAGED_USE}, in handlers {} of {HANDLER_USE}, \
         {} functions, {} instructions, {} confirmed by unwind tables, {wrong} wrong",
        reports.len(),
        sum(|r| r.rows.len()),
        deepest(false),
        deepest(true),
        sum(|r| r.functions),
        sum(|r| r.instructions),
        sum(|r| r.confirmed),
    )
}

/// Everything of one CPU.
fn one(kit: &Kit) -> Result<Report> {
    let name = kit.target.name;
    let reserve = described(name)?.interrupt_reserve;
    let (file, exported) = build(kit)?;
    let cpu = cpu::CPUS.iter().find(|c| c.name == name).with_context(|| format!("no rules for {name}"))?;
    let program = Program::read(&file, cpu)?;
    let mut chains = Chains::new(&program, false);
    let mut in_handlers = Chains::new(&program, true);
    let mut report = Report {
        cpu: name,
        rows: Vec::new(),
        ends: Vec::new(),
        users: Vec::new(),
        functions: 0,
        instructions: 0,
        confirmed: 0,
        problems: Vec::new(),
    };
    let listed = parse(&kit.guest(&file).arg("--list").read()?)?;
    let (more, wrong) = unlisted(&program, &mut chains, &exported, &listed);
    report.problems.extend(wrong);
    for path in more {
        match of_path(&program, &mut chains, &path) {
            Ok(worst) => {
                let row = Row { bound: worst.bytes, found: None, chain: worst.text(), path };
                report.problems.extend(judge(&row, reserve));
                report.rows.push(row);
            }
            Err(error) => report.problems.push(format!("{}: {error:#}", path.name)),
        }
    }
    let without_input = report.rows.len();
    for path in listed {
        let worst =
            of_path(&program, if path.stack == On::Handler { &mut in_handlers } else { &mut chains }, &path);
        let worst = match worst {
            Ok(worst) => worst,
            Err(error) => {
                report.problems.push(format!("{}: {error:#}", path.name));
                continue;
            }
        };
        let cmd = kit.guest(&file).arg(&path.name);
        let outcome = cmd.capture(Some(TIME_LIMIT))?;
        let found = outcome.stdout.trim().parse::<i64>();
        // Arguments that the caller has pushed are below SP as it was, and the caller's.
        let pushed = path.arguments * cpu.argument;
        let found = found.map(|n| if (1..=pushed).contains(&(n - worst.bytes)) { worst.bytes } else { n });
        let Ok(found) = found else {
            report.problems.push(format!(
                "`{cmd}`: {}\n{}{}",
                outcome.ending(),
                outcome.stdout,
                outcome.stderr
            ));
            continue;
        };
        let row = Row { bound: worst.bytes, found: Some(found), chain: worst.text(), path };
        report.problems.extend(judge(&row, reserve));
        report.rows.push(row);
    }
    // Those with an input first.
    report.rows.rotate_left(without_input);
    let both = |one: BTreeSet<String>, other| -> Vec<String> { one.union(&other).cloned().collect() };
    report.problems.extend(both(chains.problems(), in_handlers.problems()));
    report.ends = both(chains.ends(), in_handlers.ends());
    report.users = both(chains.users(), in_handlers.users());
    (report.functions, report.instructions, report.confirmed) = Chains::counts(&[&chains, &in_handlers]);
    Ok(report)
}

/// What is wrong with a path's figures.
fn judge(row: &Row, reserve: usize) -> Vec<String> {
    let Row { path, bound, found, chain } = row;
    let mut wrong = Vec::new();
    // Handlers are interrupted on the signal stack, which has room for that.
    let reserve = if path.stack == On::Handler { 0 } else { reserve };
    if bound + reserve as i64 > path.limit() as i64 {
        let and = if reserve == 0 { String::new() } else { format!(" and {reserve} for an interrupt") };
        wrong.push(format!("{}: {bound} bytes{and} are more than {}: {chain}", path.name, path.limit()));
    }
    let Some(found) = found else { return wrong };
    if found > bound {
        wrong.push(format!("{}: {found} bytes were found, the bound is {bound}: {chain}", path.name));
    }
    // The last words of a frame may be there for its alignment alone.
    let reached = *found + STACK_ALIGN as i64 > *bound;
    if !reached && path.why.is_empty() {
        wrong.push(format!(
            "{}: {found} bytes were found, the bound is {bound}, and the path does not say why: {chain}",
            path.name
        ));
    }
    wrong
}

/// The worst of a path: its first function as it is entered; of the others, which are entered from the system
/// stack, what they put on the managed one; the last again as it is entered.
fn of_path(program: &Program, chains: &mut Chains<'_>, path: &Path) -> Result<Worst> {
    let mut sum = match path.stack {
        On::Top => Worst::frame("BaseFrame", base_frame(program.cpu.name)?),
        On::Managed | On::Handler => Worst::call(program.cpu.pushed),
    };
    for part in &path.parts {
        let address = program.address(part)?;
        let worst =
            if part == "stackgate_cgocallback" { chains.other(address)? } else { chains.worst(address) };
        sum = sum.then(worst);
    }
    if path.stack == On::Top {
        // What `g_init` leaves there for the first `resume`.
        let first = Worst::frame("BaseFrame", base_frame(program.cpu.name)?)
            .then(Worst::frame("SwitchFrame", i64::try_from(described(program.cpu.name)?.begin_below_base)?));
        if first.bytes > sum.bytes {
            return Ok(first);
        }
    }
    Ok(sum)
}

/// What is declared of a CPU.
fn described(cpu: &str) -> Result<&'static Described> {
    CPUS.iter().find(|c| c.name == cpu).context("a CPU with layouts")
}

/// Bytes of what lies at the top of a managed stack.
fn base_frame(cpu: &str) -> Result<i64> {
    let layout = described(cpu)?.layouts.iter().find(|l| l.name == "BaseFrame").context("no BaseFrame")?;
    Ok(i64::try_from(layout.size)?)
}

/// Builds the program, in which every exported function of the shim is kept; returns it and the functions that
/// the libraries export, by their symbols.
fn build(kit: &Kit) -> Result<(String, Vec<String>)> {
    let common = |cmd: crate::process::Cmd| {
        cmd.args(["--release", "--package", guest::PACKAGE, "--target-dir", guest::TARGET_DIRECTORY])
            .args(kit.cargo_options())
    };
    let messages = common(kit.cargo().arg("build"))
        .args(["--lib", "--message-format", "json-render-diagnostics"])
        .run_reading()?;
    let mut exported = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let name = message["target"]["name"].as_str().unwrap_or("");
        if message["reason"] == "compiler-artifact" && ["stackgate", WRAPPERS].contains(&name) {
            let files = message["filenames"].as_array().into_iter().flatten();
            for file in files.filter_map(|f| f.as_str()).filter(|f| f.ends_with(".rlib")) {
                exported.extend(object::exported(file, name == WRAPPERS, C_PREFIX)?);
            }
        }
    }
    if exported.is_empty() {
        bail!("cargo named no archive of the libraries");
    }
    let mut cmd = common(kit.cargo().arg("rustc")).args(["--bin", PROGRAM, "--"]);
    for symbol in &exported {
        cmd = cmd.args(["-C", &format!("link-arg=-Wl,-u,{symbol}")]);
    }
    cmd.run_reading()?;
    Ok((format!("{}/{}/release/{PROGRAM}", guest::TARGET_DIRECTORY, kit.target.triple), exported))
}

/// The wrappers that the program has no input for, as paths. The rest of what is exported has to be on a path or
/// to run on a system stack: what is neither is wrong.
fn unlisted(
    program: &Program,
    chains: &mut Chains<'_>,
    exported: &[String],
    listed: &[Path],
) -> (Vec<Path>, Vec<String>) {
    let (mut paths, mut wrong) = (Vec::new(), Vec::new());
    for symbol in exported {
        let Some(function) = program.address(symbol).ok().and_then(|at| program.function_at(at)) else {
            wrong.push(format!("{symbol} is not in the program"));
            continue;
        };
        if SYSTEM_STACK.contains(&function.name.as_str())
            || listed.iter().flat_map(|path| &path.parts).any(|part| program.means(part, function))
        {
            continue;
        }
        if function.name.starts_with(C_PREFIX) && !function.name.contains("::") {
            wrong.push(format!(
                "{symbol} may run on a managed stack and is on no path: give it an input in qemu-tests/src/depth.rs"
            ));
        } else if chains.reaches(function.range.start, WAY_OUT) {
            let name = function.name.strip_prefix("stackgate_libc::").unwrap_or(&function.name).to_owned();
            paths.push(Path {
                name,
                stack: On::Managed,
                parts: vec![symbol.clone()],
                why: String::new(),
                arguments: 0,
            });
        }
    }
    paths.sort_by(|a, b| a.name.cmp(&b.name));
    (paths, wrong)
}

/// Reads the program's list.
fn parse(text: &str) -> Result<Vec<Path>> {
    text.lines()
        .map(|line| {
            let mut words = line.split('\t');
            let (Some(name), Some(stack), Some(parts), Some(arguments)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                bail!("`{line}` is no path");
            };
            let why = words.next().unwrap_or("");
            Ok(Path {
                name: name.to_owned(),
                stack: match stack {
                    "managed" => On::Managed,
                    "top" => On::Top,
                    "handler" => On::Handler,
                    other => bail!("a path begins on `{other}`"),
                },
                parts: parts.split(", ").map(str::to_owned).collect(),
                why: why.to_owned(),
                arguments: arguments.parse()?,
            })
        })
        .collect()
}

/// What built the programs: a frame belongs to a compiler.
fn compilers(kits: &[Kit]) -> String {
    kits.iter().map(|k| format!("{} rustc {}", k.target.name, k.rustc.release)).collect::<Vec<_>>().join(", ")
}

/// The paths, and for each CPU `bound` or `bound (found)`.
fn matrix(reports: &[Report]) -> Vec<Vec<String>> {
    let mut rows =
        vec![std::iter::once("path").chain(reports.iter().map(|r| r.cpu)).map(str::to_owned).collect()];
    let mut names: Vec<&Path> = Vec::new();
    for row in reports.iter().flat_map(|r| &r.rows) {
        if !names.iter().any(|n| n.name == row.path.name) {
            names.push(&row.path);
        }
    }
    for path in names {
        let cell = |report: &Report| {
            let row = report.rows.iter().find(|r| r.path.name == path.name);
            row.map_or("-".to_owned(), |r| {
                if r.found == Some(r.bound) {
                    r.bound.to_string()
                } else {
                    format!("{} ({})", r.bound, shown(r.found))
                }
            })
        };
        rows.push(std::iter::once(path.name.clone()).chain(reports.iter().map(cell)).collect());
    }
    let reserve = |report: &Report| described(report.cpu).map_or(0, |c| c.interrupt_reserve).to_string();
    rows.push(
        std::iter::once("an interrupt, beside each".to_owned()).chain(reports.iter().map(reserve)).collect(),
    );
    rows
}

/// What was found, or that nothing was tried.
fn shown(found: Option<i64>) -> String {
    found.map_or_else(|| "-".to_owned(), |n| n.to_string())
}

/// The kept table's text.
fn markdown(reports: &[Report], compilers: &str) -> String {
    let mut text = format!(
        "# Bytes of stack per path\n\n\
         Written by `cargo xtask stack-depth --write`, compared by `cargo xtask stack-depth --check`; not to be\n\
         edited. From the object code of a release build.\n\n\
         Compilers: {compilers}\n\n\
         A figure is what a path uses at most, from SP in its caller down to the lowest byte that it touches before\n\
         SP is on the system stack, or a function of the user's is entered: the return address that a call pushes\n\
         is in it, the arguments that the caller pushes are not. Bytes below SP that a function without calls uses\n\
         (the red zone: 128 on x86_64, 288 on ppc64le) count as far as it touches them; what an ABI wants a caller\n\
         to leave for its callee (32 bytes on ppc64le, 160 on s390x) counts in the frame of who leaves it. In\n\
         parentheses, where it is less: what was found on a painted stack, `-` where the path has no input of its own.\n\
         Fewer than {} bytes less is a frame's padding.\n\n\
         The limit is {MANAGED_USE} bytes for paths on a managed stack (`stackgate::MANAGED_USE`), and {HANDLER_USE} for\n\
         what handlers run on the signal stack (`stackgate::traceback::HANDLER_USE`). Without an operating system an\n\
         interrupt may store words where SP is (`Cpu::INTERRUPT_RESERVE`): paths on a managed stack keep to the limit\n\
         with these, too.\n\n",
        STACK_ALIGN
    );
    let table = matrix(reports);
    for (at, row) in table.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if at == 0 {
            text += &format!("|---|{}\n", "---:|".repeat(reports.len()));
        }
    }
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    for row in reports.iter().flat_map(|r| &r.rows).filter(|r| !r.path.why.is_empty()) {
        reasons.insert(&row.path.name, &row.path.why);
    }
    if !reasons.is_empty() {
        text += "\nWhy less is found:\n\n";
        reasons.iter().for_each(|(name, why)| text += &format!("- {name}: {why}\n"));
    }
    for report in reports {
        text += &format!("\n## The deepest chains on {}\n\n", report.cpu);
        for row in &report.rows {
            text += &format!("- {}: {}\n", row.path.name, row.chain);
        }
        text += &format!("\nUser functions and hooks, where a chain ends: {}.\n", report.users.join("; "));
        text += &format!("\nFunctions that end the program: {}.\n", report.ends.join(", "));
    }
    text += &format!("\n{}\n", totals(reports, 0));
    text
}

/// The bounds and chains of the kept table, by CPU and path: the lines that start with a path's name.
fn kept(text: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    let mut cpu = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## The deepest chains on ") {
            cpu = name.to_owned();
        } else if let Some((path, chain)) = line.strip_prefix("- ").and_then(|rest| rest.split_once(": "))
            && !cpu.is_empty()
        {
            found.insert((cpu.clone(), path.to_owned()), chain.to_owned());
        }
    }
    found
}

/// Differences from the kept table, as far as the selection goes.
fn differences(reports: &[Report]) -> Result<Vec<String>> {
    const REPAIR: &str = "if it is meant: cargo xtask stack-depth --write";
    let Ok(text) = fs::read_to_string(PATH) else {
        return Ok(vec![format!("there is no {PATH}; make it: cargo xtask stack-depth --write")]);
    };
    let kept = kept(&text);
    let mut found = Vec::new();
    for report in reports {
        for row in &report.rows {
            match kept.get(&(report.cpu.to_owned(), row.path.name.clone())) {
                None => found.push(format!("{} {} is not in {PATH}", report.cpu, row.path.name)),
                Some(was) if *was != row.chain => {
                    found.push(format!("{} {}: {}, was {was}", report.cpu, row.path.name, row.chain));
                }
                Some(_) => {}
            }
        }
        for (_, path) in kept.keys().filter(|(cpu, _)| cpu == report.cpu) {
            if !report.rows.iter().any(|row| row.path.name == *path) {
                found.push(format!("{} {path} is in {PATH}, but was not computed", report.cpu));
            }
        }
    }
    if !found.is_empty() {
        found.push(format!("{PATH} is not current; {REPAIR}"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, bound: i64, found: Option<i64>) -> Row {
        let path = Path {
            name: name.to_owned(),
            stack: On::Managed,
            parts: Vec::new(),
            why: String::new(),
            arguments: 0,
        };
        Row { path, bound, found, chain: format!("{bound} = f {bound}") }
    }

    #[test]
    fn a_path_is_judged_by_its_limit_and_by_what_was_found() {
        assert!(judge(&row("p", 96, Some(96)), 0).is_empty());
        assert!(judge(&row("p", 96, Some(88)), 0).is_empty(), "a frame's padding");
        assert!(judge(&row("p", 96, None), 0).is_empty());
        assert!(judge(&row("p", 96, Some(97)), 0)[0].contains("the bound is 96"));
        assert!(judge(&row("p", 96, Some(40)), 0)[0].contains("does not say why"));
        assert!(judge(&row("p", 801, Some(801)), 0)[0].contains("801 bytes are more than 800"));
        assert!(judge(&row("p", 784, Some(784)), 16).is_empty());
        assert!(
            judge(&row("p", 785, Some(785)), 16)[0].contains("785 bytes and 16 for an interrupt are more")
        );
    }

    #[test]
    fn the_kept_table_reads_as_it_was_written() {
        let report = Report {
            cpu: "arm",
            rows: vec![row("park", 104, Some(104)), row("write", 32, Some(28))],
            ends: vec!["core::panicking::panic".to_owned()],
            users: vec!["depth_user_c".to_owned()],
            functions: 2,
            instructions: 40,
            confirmed: 4,
            problems: Vec::new(),
        };
        let text = markdown(&[report], "arm rustc 1.96.0");
        assert!(text.contains("| write | 32 (28) |"), "{text}");
        let kept = kept(&text);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[&("arm".to_owned(), "park".to_owned())], "104 = f 104");
    }

    #[test]
    fn a_list_is_read() {
        let paths =
            parse("park\tmanaged\tdepth_park\t0\t\ncallers\thandler\ta, <b as c>\t7\tbecause\n").unwrap();
        assert_eq!(paths[0].stack, On::Managed);
        assert_eq!(paths[1].parts, ["a", "<b as c>"]);
        assert_eq!(paths[1].arguments, 7);
        assert_eq!(paths[1].why, "because");
        assert!(parse("park\tnowhere\tx\t0\t\n").is_err());
    }
}

//! `cargo xtask count`: guest instructions per operation.
//!
//! The program `count` of `qemu-tests` runs an operation N times. It is run twice, with
//! [`FEW`] and [`MANY`]; the difference of the instructions over the difference of N is what one
//! operation costs, since start and end of the program cancel out. For a program with one thread
//! the result is exact and the same on every machine, so that it is kept in [`PATH`] and every
//! change of it is seen in review.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    context::{Context, Tally},
    figures::{FIGURES, figure},
    guest::{self, Profile, Program},
    plugins::{DIRECTORY, Plugin},
    symbols::Symbols,
    targets::{TARGETS, Target},
    toolchain::Kit,
    ui,
};

/// Both numbers are multiples of 1000, the largest unit that the program divides N by.
const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// The table that is kept.
pub const PATH: &str = "core/docs/counts.md";

/// A program that counts longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What is asked for on the command line.
pub struct Options<'a> {
    pub check: bool,
    pub write: bool,
    pub profile: bool,
    pub op: Option<&'a str>,
}

/// Instructions of one operation on one CPU, by (operation, CPU).
type Counts = BTreeMap<(String, &'static str), f64>;

/// The same, as it is read from the kept table.
type Kept = BTreeMap<(String, String), f64>;

/// A CPU ready to count on.
struct Counter<'a> {
    kit: &'a Kit,
    program: String,
    plugin: &'a str,
    ops: Vec<String>,
}

/// Counts, prints the table beside Go's figures, and checks or writes the kept one.
pub fn count(context: &Context, options: &Options<'_>) -> Result<Tally> {
    if options.write && (options.op.is_some() || context.targets.len() != TARGETS.len()) {
        bail!("--write needs every operation on every CPU: leave out --op and --target");
    }
    let kits = context.kits()?;
    if options.write && !kits.skipped.is_empty() {
        bail!("--write needs every CPU; install the tools: cargo xtask setup");
    }
    let plugin = Plugin::Insn.build()?;
    let mut tally = Tally::default();
    let mut counters = Vec::new();
    for kit in &kits.kits {
        match Counter::new(kit, &plugin, options.op) {
            Ok(counter) => counters.push(counter),
            Err(error) => {
                ui::say(&format!("{}: {error:#}", kit.target.name));
                tally.add(false);
            }
        }
    }
    if counters.iter().all(|counter| counter.ops.is_empty()) {
        bail!("no CPU has such an operation");
    }
    if options.profile {
        let Some(op) = options.op else { bail!("--profile needs --op NAME") };
        for counter in counters.iter().filter(|counter| !counter.ops.is_empty()) {
            counter.profile(op)?;
        }
        return Ok(tally);
    }
    let (counts, errors) = count_all(&counters);
    let ops = order(&counters);
    let targets: Vec<_> = counters.iter().map(|c| c.kit.target).collect();

    ui::headline("guest instructions per operation, Go's better figure, ratio");
    ui::align(&rows(&ops, &targets, &counts)).iter().for_each(|line| ui::say(line));
    kits.report_skipped();

    let mut problems = errors;
    if options.check {
        problems.extend(over_limit(&ops, &targets, &counts, options.op));
        problems.extend(compare_with_kept(&counts, &counters, options.op)?);
    }
    if options.write {
        if !problems.is_empty() || !tally.good() {
            bail!("{PATH} was not written: {}", problems.join("; "));
        }
        let text = markdown(&ops, &targets, &counts, &compilers(&counters));
        fs::write(PATH, text).with_context(|| format!("cannot write {PATH}"))?;
        ui::say(&format!("wrote {PATH}"));
    }
    for problem in &problems {
        ui::failed(problem);
        tally.add(false);
    }
    tally.passed += counts.len() as u64;
    ui::say(&format!("count: {} CPUs, {} operations, {} wrong", counters.len(), ops.len(), tally.failed));
    Ok(tally)
}

impl<'a> Counter<'a> {
    fn new(kit: &'a Kit, plugin: &'a str, only: Option<&str>) -> Result<Self> {
        kit.emulator_with_plugins()?;
        let program = guest::build(kit, Program::Bin("count"), Profile::Release)?;
        let list = kit.guest(&program).arg("--list").read()?;
        let all: Vec<_> = list.lines().map(str::to_owned).collect();
        let ops: Vec<_> = all.iter().filter(|op| only.is_none_or(|only| only == *op)).cloned().collect();
        // Not every CPU has all: those of others are where the others are.
        if ops.is_empty() {
            ui::say(&format!(
                "{}: unknown operation `{}`; the operations are: {}",
                kit.target.name,
                only.unwrap_or(""),
                all.join("; ")
            ));
        }
        let counter = Self { kit, program, plugin, ops };
        ui::say(&format!("{} {}", ui::dim("$"), counter.command("OPERATION", FEW, "FILE", false)));
        Ok(counter)
    }

    fn command(&self, op: &str, n: u64, file: &str, profile: bool) -> crate::process::Cmd {
        let profile = if profile { ",profile=on" } else { "" };
        crate::process::Cmd::new(&self.kit.runner)
            .args([
                "-plugin",
                &format!("{},out={file}{profile}", self.plugin),
                &self.program,
                op,
                &n.to_string(),
            ])
            .empty_environment()
    }

    /// Runs an operation N times and returns what the plugin wrote.
    fn run(&self, op: &str, n: u64, profile: bool) -> Result<String> {
        let file = format!("{DIRECTORY}/{}-{}-{n}.txt", self.kit.target.name, file_name(op));
        // What an earlier run left must not count for this one.
        let _ = fs::remove_file(&file);
        let cmd = self.command(op, n, &file, profile);
        let outcome = cmd.capture(Some(TIME_LIMIT))?;
        if !outcome.success() {
            bail!("`{cmd}`: {}\n{}{}", outcome.ending(), outcome.stdout, outcome.stderr);
        }
        let text = fs::read_to_string(&file).with_context(|| format!("`{cmd}` wrote no count"))?;
        let _ = fs::remove_file(&file);
        Ok(text)
    }

    /// Instructions of one operation.
    fn count(&self, op: &str) -> Result<f64> {
        let few = total(&self.run(op, FEW, false)?)?;
        let many = total(&self.run(op, MANY, false)?)?;
        if many < few {
            bail!("{op}: {MANY} times took fewer instructions than {FEW} times");
        }
        Ok(per_operation(many - few))
    }

    /// Prints where the instructions of one operation go, function by function.
    fn profile(&self, op: &str) -> Result<()> {
        let symbols = Symbols::read(&self.program)?;
        let by_function = |text: &str| -> BTreeMap<String, u64> {
            let mut sums = BTreeMap::new();
            for (address, times) in profile_lines(text) {
                let name = symbols.name_at(address).unwrap_or("?");
                *sums.entry(name.to_owned()).or_default() += times;
            }
            sums
        };
        let few = by_function(&self.run(op, FEW, true)?);
        let many = by_function(&self.run(op, MANY, true)?);
        let mut costs: Vec<(f64, String)> = many
            .into_iter()
            .map(|(name, n)| {
                let before = few.get(&name).copied().unwrap_or(0);
                (per_operation(n.saturating_sub(before)), name)
            })
            .filter(|(cost, _)| *cost >= 0.05)
            .collect();
        costs.sort_by(|a, b| b.0.total_cmp(&a.0));
        ui::headline(&format!("{} {op}", self.kit.target.name));
        costs.iter().for_each(|(cost, name)| ui::say(&format!("{cost:10.1}  {name}")));
        Ok(())
    }
}

/// An operation's name where commas and blanks mean something: in the plugin's arguments.
fn file_name(op: &str) -> String {
    op.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The plugin's first line.
fn total(text: &str) -> Result<u64> {
    let value = text.lines().next().and_then(|line| line.strip_prefix("total "));
    value.and_then(|v| v.parse().ok()).context("the plugin wrote no total")
}

/// The plugin's other lines: address and number of executions.
fn profile_lines(text: &str) -> impl Iterator<Item = (u64, u64)> + '_ {
    text.lines().skip(1).filter_map(|line| {
        let (address, times) = line.split_once(' ')?;
        Some((u64::from_str_radix(address, 16).ok()?, times.parse().ok()?))
    })
}

/// A difference in instructions per operation, to a tenth. What is left over from printing and
/// parsing a longer N is less than that, and is rounded away.
fn per_operation(instructions: u64) -> f64 {
    (instructions as f64 / (MANY - FEW) as f64 * 10.0).round() / 10.0
}

/// Counts every operation on every CPU, as many at a time as there are cores.
fn count_all(counters: &[Counter<'_>]) -> (Counts, Vec<String>) {
    let jobs: Vec<_> = counters.iter().flat_map(|c| c.ops.iter().map(move |op| (c, op))).collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let progress = ui::Progress::new("count", jobs.len() as u64);
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Counts::new(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((counter, op)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = counter.kit.target.name;
                    progress.step(&format!("{name} {op}"));
                    let result = counter.count(op);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(count) => _ = results.0.insert(((*op).clone(), name), count),
                        Err(error) => results.1.push(format!("{name} {op}: {error:#}")),
                    }
                }
            });
        }
    });
    drop(progress);
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Operations in the order of the figures, then the others in the program's order.
fn order(counters: &[Counter<'_>]) -> Vec<String> {
    let mut rest: Vec<&String> = Vec::new();
    for op in counters.iter().flat_map(|c| &c.ops) {
        if !rest.contains(&op) {
            rest.push(op);
        }
    }
    let known = FIGURES.iter().map(|f| f.op).filter(|op| rest.iter().any(|r| r == op));
    let unknown = rest.iter().map(|op| op.as_str()).filter(|op| figure(op).is_none());
    known.chain(unknown).map(str::to_owned).collect()
}

fn row_of(target: &Target) -> usize {
    TARGETS.iter().position(|t| t.name == target.name).unwrap_or(usize::MAX)
}

/// The table: for each operation our counts, Go's, and the ratios.
fn rows(ops: &[String], targets: &[&'static Target], counts: &Counts) -> Vec<Vec<String>> {
    let row = |head: String, cell: &dyn Fn(&'static Target) -> Option<String>| {
        let cells = targets.iter().map(|t| cell(t).unwrap_or_else(|| "-".to_owned()));
        std::iter::once(head).chain(cells).collect::<Vec<_>>()
    };
    let mut rows = vec![row("operation".to_owned(), &|t| Some(t.name.to_owned()))];
    for op in ops {
        let ours = |t: &'static Target| counts.get(&(op.clone(), t.name)).copied();
        rows.push(row(op.clone(), &|t| ours(t).map(|n| format!("{n:.1}"))));
        if let Some(figure) = figure(op) {
            rows.push(row("  Go".to_owned(), &|t| figure.go(row_of(t)).map(|n| format!("{n:.1}"))));
            let limit = figure.limit.map_or(String::new(), |limit| format!(", limit {limit}"));
            rows.push(row(format!("  ratio{limit}"), &|t| {
                Some(format!("{:.2}", ours(t)? / figure.go(row_of(t))?))
            }));
        }
    }
    rows
}

/// Operations that cost too much beside Go's without a reason given, that no longer do, or that should have been
/// counted and were not.
fn over_limit(
    ops: &[String],
    targets: &[&'static Target],
    counts: &Counts,
    only: Option<&str>,
) -> Vec<String> {
    let mut found = Vec::new();
    for figure in FIGURES.iter().filter(|f| only.is_none_or(|only| only == f.op)) {
        let Some(limit) = figure.limit else { continue };
        if !ops.iter().any(|op| op == figure.op) {
            found.push(format!("{} is not counted", figure.op));
            continue;
        }
        for target in targets {
            let ours = counts.get(&(figure.op.to_owned(), target.name));
            let (Some(ours), Some(go)) = (ours, figure.go(row_of(target))) else { continue };
            let (ratio, name, op, what) = (ours / go, target.name, figure.op, figure.what);
            let known = figure.over.iter().any(|over| over.cpus.contains(&name));
            if ratio > limit && !known {
                found.push(format!(
                    "{name} {op}: {ours:.1} instructions are {ratio:.2} of Go's {go:.1} ({what}); the limit is {limit}"
                ));
            }
            if ratio <= limit && known {
                found.push(format!(
                    "{name} {op}: {ratio:.2} of Go's is within the limit: take it out of `over` in xtask/src/figures.rs"
                ));
            }
        }
    }
    found
}

/// What built the programs: a count belongs to a compiler.
fn compilers(counters: &[Counter<'_>]) -> String {
    let all: Vec<_> =
        counters.iter().map(|c| format!("{} rustc {}", c.kit.target.name, c.kit.rustc.release)).collect();
    all.join(", ")
}

/// The kept table's text.
fn markdown(ops: &[String], targets: &[&'static Target], counts: &Counts, compilers: &str) -> String {
    let mut text = format!(
        "# Guest instructions per operation\n\n\
         Written by `cargo xtask count --write`, compared by `cargo xtask count --check`; not to be\n\
         edited. Whole loop iterations, release build. \"Go\" is the better figure of Go 1.27.3 and\n\
         Go 1.19.8 for its own operation of that kind, \"ratio\" ours over Go's.\n\n\
         Compilers: {compilers}\n\n"
    );
    let table = rows(ops, targets, counts);
    for (at, row) in table.iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.iter().map(|c| c.trim()).collect::<Vec<_>>().join(" | ")));
        if at == 0 {
            text.push_str(&format!("|---|{}\n", "---:|".repeat(targets.len())));
        }
    }
    text.push_str("\nWhat the rows compare with:\n\n");
    for figure in FIGURES.iter().filter(|f| ops.iter().any(|op| op == f.op)) {
        text.push_str(&format!("- {}: {}\n", figure.op, figure.what));
    }
    text.push_str("\nWhere a limit is exceeded, and what the instructions are for:\n\n");
    for figure in FIGURES.iter().filter(|f| ops.iter().any(|op| op == f.op)) {
        for over in figure.over {
            text.push_str(&format!("- {}, {}: {}.\n", figure.op, over.cpus.join(", "), over.why));
        }
    }
    text
}

/// Reads the kept table: our counts by operation and CPU name, and the line of compilers.
fn parse_markdown(text: &str) -> Result<(Kept, String)> {
    let compilers = text.lines().find_map(|line| line.strip_prefix("Compilers: ")).unwrap_or("");
    let mut table = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let head: Vec<_> = table.next().context("there is no table in it")?.split(" | ").collect();
    let mut counts = BTreeMap::new();
    for line in table {
        let cells: Vec<_> = line.split(" | ").collect();
        if cells[0] == "Go" || cells[0].starts_with("ratio") {
            continue;
        }
        for (cpu, cell) in head.iter().zip(&cells).skip(1).filter(|(_, cell)| **cell != "-") {
            let count = cell.parse().with_context(|| format!("`{cell}` is no count"))?;
            counts.insert((cells[0].to_owned(), (*cpu).to_owned()), count);
        }
    }
    Ok((counts, compilers.to_owned()))
}

/// Differences from the kept table, each way, as far as the selection goes.
fn compare_with_kept(counts: &Counts, counters: &[Counter<'_>], only: Option<&str>) -> Result<Vec<String>> {
    const REPAIR: &str = "if it is meant: cargo xtask count --write";
    let Ok(text) = fs::read_to_string(PATH) else {
        return Ok(vec![format!("there is no {PATH}; make it: cargo xtask count --write")]);
    };
    let (kept, made_with) = parse_markdown(&text).with_context(|| format!("{PATH} is wrong"))?;
    let mut found = differences(&kept, counts, only);
    let missing_compiler = counters.iter().find(|c| {
        let this = format!("{} rustc {}", c.kit.target.name, c.kit.rustc.release);
        !made_with.split(", ").any(|other| other == this)
    });
    if let (Some(c), false) = (missing_compiler, found.is_empty()) {
        found.push(format!(
            "{PATH} was made with another compiler than {} rustc {}: counts differ for that reason",
            c.kit.target.name, c.kit.rustc.release
        ));
    }
    if !found.is_empty() {
        found.push(format!("{PATH} is not current; {REPAIR}"));
    }
    Ok(found)
}

fn differences(kept: &Kept, counts: &Counts, only: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for ((op, cpu), now) in counts {
        let noise = figure(op).map_or(0.0, |f| f.noise);
        match kept.get(&(op.clone(), (*cpu).to_owned())) {
            None => found.push(format!("{cpu} {op}: {now:.1}, not in {PATH}")),
            // Equal tenths, but for the rounding of decimal fractions.
            Some(was) if (was - now).abs() <= was * noise + 0.01 => {}
            Some(was) => found.push(format!("{cpu} {op}: {now:.1}, was {was:.1}")),
        }
    }
    let counted = |cpu: &str| counts.keys().any(|(_, c)| *c == cpu);
    for (op, cpu) in kept.keys().filter(|(op, cpu)| counted(cpu) && only.is_none_or(|o| o == op)) {
        if !counts.keys().any(|(o, c)| o == op && c == cpu) {
            found.push(format!("{cpu} {op} is in {PATH}, but was not counted"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::select;

    fn counts(all: &[(&str, &'static str, f64)]) -> Counts {
        all.iter().map(|&(op, cpu, n)| ((op.to_owned(), cpu), n)).collect()
    }

    #[test]
    fn names_of_files_have_no_comma() {
        assert_eq!(file_name("nesting, per level"), "nesting--per-level");
    }

    #[test]
    fn the_plugins_file_is_read() {
        assert_eq!(total("total 12345\n10a8 3\n").unwrap(), 12345);
        assert!(total("").is_err());
        assert_eq!(profile_lines("total 5\n10a8 3\nff 2\n").collect::<Vec<_>>(), [(0x10a8, 3), (0xff, 2)]);
        assert_eq!(per_operation(240_013), 24.0);
    }

    #[test]
    fn the_kept_table_reads_as_it_was_written() {
        let targets = select(&["arm".into(), "s390x".into()]).unwrap();
        let ours =
            counts(&[("asmcgocall", "arm", 30.0), ("asmcgocall", "s390x", 28.5), ("mine", "arm", 7.0)]);
        let ops = ["asmcgocall".to_owned(), "mine".to_owned()];
        let text = markdown(&ops, &targets, &ours, "arm rustc 1.96.0");
        assert!(text.contains("| Go | 86.0 | 80.0 |"), "{text}");
        assert!(text.contains("| ratio, limit 0.5 | 0.35 | 0.36 |"), "{text}");
        let (kept, compilers) = parse_markdown(&text).unwrap();
        assert_eq!(compilers, "arm rustc 1.96.0");
        assert_eq!(kept.len(), 3);
        assert!(differences(&kept, &ours, None).is_empty());
    }

    #[test]
    fn one_instruction_more_or_an_operation_less_is_found() {
        let kept: Kept = [(("asmcgocall".to_owned(), "arm".to_owned()), 30.0)].into();
        assert_eq!(differences(&kept, &counts(&[("asmcgocall", "arm", 31.0)]), None).len(), 1);
        assert_eq!(differences(&kept, &counts(&[("mine", "arm", 31.0)]), None).len(), 2);
        assert_eq!(differences(&kept, &counts(&[("mine", "arm", 31.0)]), Some("mine")).len(), 1);
        // Another CPU was not looked at.
        assert_eq!(differences(&kept, &counts(&[("asmcgocall", "i386", 1.0)]), None).len(), 1);
    }

    #[test]
    fn limits_hold_but_for_what_has_a_reason() {
        let arm = select(&["arm".into()]).unwrap();
        let ops = ["asmcgocall".to_owned()];
        let found = over_limit(&ops, &arm, &counts(&[("asmcgocall", "arm", 44.0)]), Some("asmcgocall"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("0.51"), "{found:?}");
        assert!(
            over_limit(&ops, &arm, &counts(&[("asmcgocall", "arm", 43.0)]), Some("asmcgocall")).is_empty()
        );
        let missing = over_limit(&ops, &arm, &counts(&[("asmcgocall", "arm", 43.0)]), None);
        assert_eq!(missing.len(), FIGURES.iter().filter(|figure| figure.limit.is_some()).count() - 1);
        // An exception that is none any more.
        let op = "traceback by records, per frame";
        let count = |n| over_limit(&[op.to_owned()], &arm, &counts(&[(op, "arm", n)]), Some(op));
        assert_eq!((count(51.0).len(), count(20.0).len()), (0, 1));
    }
}

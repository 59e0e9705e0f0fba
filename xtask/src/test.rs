//! `cargo xtask test`: every case on every CPU, each in a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    context::{Context, Tally},
    exceptions::{self, Exception},
    guest::{self, Profile, Program},
    host_tests, known_bugs,
    process::{Cmd, Outcome, find_program},
    protocol::{Case, judge, notes, parse_list},
    targets::{self, Proof, Runner, TARGETS, VARIANTS, Variant},
    toolchain::Kit,
    ui,
};

/// A guest that runs longer hangs. The slowest honest case takes a few seconds.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Fewer cases on a CPU mean that something is missing: a module left out of the list, a list that
/// ends early, a CPU for which most cases are compiled away.
const MINIMUM_OF_CASES: usize = 150;

/// Name of the column of programs that run without an emulator.
const NATIVE: &str = "native";

/// One column of the table: a CPU under its emulator, or the host's own.
struct Column {
    name: &'static str,
    program: Cmd,
    cases: Vec<Case>,
    /// The program without the emulator, and the cases that run so; none of a variant's.
    direct: Option<(Cmd, Vec<String>)>,
    /// What no case may have said.
    unsaid: Option<&'static str>,
    /// The groups of [`Choice::Crossings`].
    crossings: &'static [&'static str],
    /// The groups that are run at all, if not each.
    only: Option<&'static [&'static str]>,
}

impl Column {
    /// The command that runs a case.
    fn command(&self, case: &Case) -> Cmd {
        let direct = self.direct.as_ref().filter(|(_, cases)| cases.contains(&case.name));
        direct.map_or(&self.program, |(direct, _)| direct).clone().arg(&case.name)
    }

    /// Takes the cases that the emulator cannot run from it, to run without it where that is possible.
    /// Returns a line for each.
    fn except(&mut self, exceptions: &[Exception]) -> Vec<Vec<String>> {
        let mut alone = self.direct.as_mut().filter(|(direct, _)| {
            let outcome = direct.clone().arg("--list").capture(Some(TIME_LIMIT));
            outcome.is_ok_and(|outcome| outcome.success())
        });
        let mut lines = Vec::new();
        for exception in exceptions.iter().filter(|e| e.emulator && e.cpu == self.name) {
            let how = if let Some((_, cases)) = &mut alone {
                cases.push(exception.case.clone());
                "without the emulator"
            } else {
                self.cases.retain(|case| case.name != exception.case);
                "left out"
            };
            lines.push([self.name, &exception.case, how, &exception.reason].map(str::to_owned).to_vec());
        }
        lines
    }
}

/// One case to run.
struct Job<'a> {
    column: usize,
    case: &'a Case,
}

/// What became of a job.
struct Done {
    column: usize,
    group: String,
    name: String,
    checks: Option<u64>,
    notes: Vec<String>,
}

/// Runs the tests that `filter` selects by a part of their name, on the chosen CPUs; without a
/// selection those of the host too.
pub fn test(context: &Context, filter: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let kits = context.kits()?;
    let mut problems = Vec::new();
    let mut columns = Vec::new();
    for kit in &kits.kits {
        match columns_of(kit) {
            Ok(more) => columns.extend(more),
            Err(error) => {
                ui::say(&format!("{}: {error:#}", kit.target.name));
                problems.push(format!("{}: no test ran: {error:#}", kit.target.name));
            }
        }
    }
    columns.sort_by_key(|c: &Column| c.name == NATIVE);
    let complete = kits.kits.len() == TARGETS.len() && problems.is_empty();
    let exceptions = exceptions::read()?.into_iter().filter(|e| !is_variant(&e.cpu)).collect::<Vec<_>>();
    let chosen = |_: &[&str], case: &Case| filter.is_none_or(|part| case.name.contains(part));
    let (own, done) = run_columns(&mut columns, &exceptions, &chosen, complete, &mut problems);
    tally.merge(own);
    kits.report_skipped();

    if filter.is_none() {
        ui::headline("arch's own tests, on each CPU");
        let mut rows = Vec::new();
        for kit in &kits.kits {
            let own = host_tests::of_arch(kit)?;
            rows.push(vec![kit.target.name.to_owned(), own.to_string(), ui::verdict(own.good())]);
            tally.merge(own);
        }
        ui::align(&rows).iter().for_each(|line| ui::say(line));
    }
    if filter.is_none() {
        let exist = columns.iter().flat_map(|c| &c.cases).map(|case| case.name.as_str()).collect();
        let failed = done.iter().filter(|d| d.checks.is_none()).map(|d| d.name.as_str()).collect();
        // A case of one CPU exists only where that one is among the chosen.
        let (counts, wrong) = known_bugs::check(&exist, &failed)?;
        if complete {
            problems.extend(wrong);
        }
        let known_bugs::Counts { bugs, to_do } = counts;
        ui::say(&format!("\n{}: {bugs} bugs, {to_do} of them with something to do", known_bugs::PATH));
    }
    if filter.is_none() && context.targets.len() == TARGETS.len() {
        tally.merge(host_tests::run()?);
    } else {
        ui::say("the host's own tests were left out, since a selection was given");
    }
    for problem in &problems {
        ui::failed(problem);
        tally.failed += 1;
    }
    ui::say(&tally.to_string());
    Ok(tally)
}

/// Whether an exception's `cpu` names a variant of one.
fn is_variant(name: &str) -> bool {
    VARIANTS.iter().any(|variant| variant.name == name)
}

/// Runs the cases of these columns, but for the exceptions, and shows the tables.
fn run_columns(
    columns: &mut [Column],
    exceptions: &[Exception],
    chosen: &dyn Fn(&[&str], &Case) -> bool,
    complete: bool,
    problems: &mut Vec<String>,
) -> (Tally, Vec<Done>) {
    problems.extend(check_lists(columns, exceptions, complete));
    let excepted: Vec<_> = columns.iter_mut().flat_map(|c| c.except(exceptions)).collect();
    let before: usize = columns.iter().map(|c| c.cases.len()).sum();
    for Column { cases, crossings, only, .. } in columns.iter_mut() {
        cases.retain(|case| {
            only.is_none_or(|groups| groups.contains(&case.group())) && chosen(crossings, case)
        });
    }
    let after: usize = columns.iter().map(|c| c.cases.len()).sum();
    if after == 0 {
        problems.push("no case has that in its name".to_owned());
    }
    let mut tally = Tally::default();
    let columns = &*columns;
    let (done, elapsed) = run_all(columns);
    ui::headline("cases that passed, by group and CPU");
    table(columns, &done).iter().for_each(|line| ui::say(line));
    ui::say("");
    let mut rows = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let mut own = Tally::default();
        let mut checks = 0;
        for result in done.iter().filter(|d| d.column == at) {
            own.add(result.checks.is_some());
            checks += result.checks.unwrap_or(0);
        }
        rows.push(vec![
            column.name.to_owned(),
            format!("{} passed", own.passed),
            format!("{} failed", own.failed),
            format!("{checks} checks"),
            format!("{:.1} s", elapsed[at].as_secs_f64()),
            ui::verdict(own.good()),
        ]);
        tally.merge(own);
    }
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    if !excepted.is_empty() && after == before {
        ui::headline("not under the emulator");
        ui::align_words(&excepted).iter().for_each(|line| ui::say(line));
    }
    let noted = noted(columns, &done);
    if !noted.is_empty() {
        ui::headline("measured");
        noted.iter().for_each(|line| ui::say(line));
    }
    (tally, done)
}

/// Which cases of the variants are run.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    All,
    /// Those of the groups in [`CROSSINGS`], or of fewer where a variant says so.
    Crossings,
    /// Those with this in their name.
    Named(&'a str),
}

/// The groups in which crossings change stacks, take traces and throw.
const CROSSINGS: &[&str] = &[
    "registers",
    "entry",
    "numbers",
    "paths",
    "nesting",
    "moved stack",
    "tasks",
    "traceback",
    "unwinding",
    "export",
    "throwing",
    "hooks",
    "foreign threads",
    "jit",
    "signals",
];

/// Runs the test programs that are built and run in another way: where landing pads are enforced, return addresses
/// guarded, or memory and threads watched. Each first proves that its variant does what it is there for.
pub fn variants(context: &Context, names: &[String], choice: Choice<'_>) -> Result<Tally> {
    let mut wanted = targets::variants(&context.targets, names)?;
    if matches!(choice, Choice::Crossings) {
        wanted.retain(|variant| variant.groups.is_none_or(|groups| !groups.is_empty()));
    }
    let kits = context.kits()?;
    let mut tally = Tally::default();
    let mut problems = Vec::new();
    let mut columns = Vec::new();
    for (variant, kit) in kits.variants(&wanted)? {
        match column_of_variant(&kit, variant) {
            Ok(column) => columns.push(column),
            Err(error) => {
                ui::say(&format!("{}: {error:#}", variant.name));
                problems.push(format!("{}: no test ran: {error:#}", variant.name));
            }
        }
    }
    let exceptions = exceptions_of_variants(&exceptions::read()?, &columns);
    let chosen = |crossings: &[&str], case: &Case| match choice {
        Choice::All => true,
        Choice::Crossings => crossings.contains(&case.group()),
        Choice::Named(part) => case.name.contains(part),
    };
    let (own, _) = run_columns(&mut columns, &exceptions, &chosen, false, &mut problems);
    tally.merge(own);
    kits.report_skipped();
    for problem in &problems {
        ui::failed(problem);
        tally.failed += 1;
    }
    ui::say(&tally.to_string());
    Ok(tally)
}

/// The exceptions of these variants, and those of their CPUs for cases that a CPU does not have.
fn exceptions_of_variants(all: &[Exception], columns: &[Column]) -> Vec<Exception> {
    let mut found = Vec::new();
    for variant in VARIANTS.iter().filter(|v| columns.iter().any(|c| c.name == v.name)) {
        let own = all.iter().filter(|e| e.cpu == variant.name);
        let of_cpu = all.iter().filter(|e| e.cpu == variant.target && !e.emulator);
        found.extend(own.chain(of_cpu).map(|e| Exception { cpu: variant.name.to_owned(), ..e.clone() }));
    }
    found
}

/// Builds the test program of a variant, has it prove itself, and asks it for its cases.
fn column_of_variant(kit: &Kit, variant: &Variant) -> Result<Column> {
    if let Runner::Program(name, _) = variant.runner
        && find_program(name).is_none()
    {
        anyhow::bail!("{name} is missing; install it: cargo xtask setup");
    }
    let program = guest::build(kit, Program::Bin("guest"), Profile::Dev)?;
    let cmd = kit.guest(&program);
    let outcome = cmd.clone().arg("--prove").capture(Some(TIME_LIMIT))?;
    // The emulator dies of the signal that its program has died of.
    let proven = match variant.proof {
        Proof::Signal(signal) => outcome.status.signal() == Some(signal),
        Proof::Says(text) => !outcome.success() && outcome.stderr.contains(text),
    };
    if !proven {
        anyhow::bail!(
            "`{cmd} --prove`: {}, and not {:?}: nothing is enforced\n{}",
            outcome.ending(),
            variant.proof,
            outcome.stderr
        );
    }
    ui::say(&format!("{}: {}", variant.name, variant.about));
    let listed = cmd.clone().arg("--list").capture(Some(TIME_LIMIT))?;
    let cases = parse_list(&listed.stdout).with_context(|| format!("`{cmd} --list`"))?;
    Ok(Column {
        name: variant.name,
        program: cmd,
        cases,
        direct: None,
        unsaid: variant.unsaid,
        crossings: variant.groups.unwrap_or(CROSSINGS),
        only: variant.only,
    })
}

/// Builds the test program for a CPU and asks it for its cases; on the host's own CPU it makes
/// two columns.
fn columns_of(kit: &Kit) -> Result<Vec<Column>> {
    let program = guest::build(kit, Program::Bin("guest"), Profile::Dev)?;
    let direct = Cmd::new(&program);
    let mut columns = vec![(kit.target.name, kit.guest(&program))];
    if kit.target.is_host() {
        columns.push((NATIVE, direct.clone()));
    }
    columns
        .into_iter()
        .map(|(name, program)| {
            let outcome = program.clone().arg("--list").capture(Some(TIME_LIMIT))?;
            if !outcome.success() {
                anyhow::bail!("`{program} --list`: {}\n{}", outcome.ending(), outcome.stderr);
            }
            let cases = parse_list(&outcome.stdout).with_context(|| format!("`{program} --list`"))?;
            ui::say(&format!(
                "{} {program} GROUP/NAME   {}",
                ui::dim("$"),
                ui::dim(&format!("# {} cases, each in a process", cases.len()))
            ));
            Ok(Column {
                name,
                program,
                cases,
                direct: Some((direct.clone(), Vec::new())),
                unsaid: None,
                crossings: CROSSINGS,
                only: None,
            })
        })
        .collect()
}

/// Problems of the lists themselves: too short, or not the same on every CPU.
fn check_lists(columns: &[Column], exceptions: &[Exception], complete: bool) -> Vec<String> {
    let mut problems: Vec<_> = columns
        .iter()
        .filter(|column| column.cases.len() < MINIMUM_OF_CASES)
        .map(|c| {
            format!("{} has only {} cases; at least {MINIMUM_OF_CASES} are expected", c.name, c.cases.len())
        })
        .collect();
    let lists: BTreeMap<&str, BTreeSet<&str>> = columns
        .iter()
        .map(|column| (column.name, column.cases.iter().map(|case| case.name.as_str()).collect()))
        .collect();
    problems.extend(exceptions::differences(&lists, exceptions, complete));
    problems
}

/// Runs every case of every column, as many at a time as there are cores. Failures are printed as
/// they come. Returns the results and the time each column's cases took, added up.
fn run_all(columns: &[Column]) -> (Vec<Done>, Vec<Duration>) {
    let jobs: Vec<Job<'_>> = columns
        .iter()
        .enumerate()
        .flat_map(|(column, c)| c.cases.iter().map(move |case| Job { column, case }))
        .collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let progress = ui::Progress::new("test", jobs.len() as u64);
    let next = AtomicUsize::new(0);
    let results = Mutex::new((Vec::new(), vec![Duration::ZERO; columns.len()]));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let ran = run_case(&columns[job.column], job.case);
                    let (checks, notes) = ran.map_or((None, Vec::new()), |(n, notes)| (Some(n), notes));
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.1[job.column] += start.elapsed();
                    let (group, name) = (job.case.group().to_owned(), job.case.name.clone());
                    results.0.push(Done { column: job.column, group, name, checks, notes });
                    progress.step(&format!("{} {}", columns[job.column].name, job.case.name));
                }
            });
        }
    });
    drop(progress);
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one case; the number of checks it made and its notes, or nothing after the failure was printed.
fn run_case(column: &Column, case: &Case) -> Option<(u64, Vec<String>)> {
    let cmd = column.command(case);
    let (why, output) = match cmd.capture(Some(TIME_LIMIT)) {
        Ok(outcome) => {
            match judge(&case.expect, &outcome).and_then(|checks| unsaid(column, &outcome, checks)) {
                Ok(checks) => return Some((checks, notes(&outcome.stdout).map(str::to_owned).collect())),
                Err(why) => (why, format!("{}{}", outcome.stdout, outcome.stderr)),
            }
        }
        Err(error) => (format!("{error:#}"), String::new()),
    };
    let indented: Vec<_> = output.lines().map(|line| format!("    {line}")).collect();
    ui::failed(&format!(
        "{} {}: {why}\n{}{}    repeat: {cmd}",
        column.name,
        case.name,
        indented.join("\n"),
        if indented.is_empty() { "" } else { "\n" },
    ));
    None
}

/// Fails where a case said what none may say; passes its `checks` on where not.
fn unsaid(column: &Column, outcome: &Outcome, checks: u64) -> Result<u64, String> {
    match column.unsaid.filter(|text| outcome.stderr.contains(text)) {
        Some(text) => Err(format!("`{text}` on standard error")),
        None => Ok(checks),
    }
}

/// What the cases noted, by column.
fn noted(columns: &[Column], done: &[Done]) -> Vec<String> {
    let of = |at: usize| done.iter().filter(move |d| d.column == at).flat_map(|d| &d.notes);
    let rows = columns.iter().enumerate().flat_map(|(at, column)| {
        of(at).map(|note| std::iter::once(column.name).chain(note.split("  ")).map(str::to_owned).collect())
    });
    ui::align(&rows.collect::<Vec<_>>())
}

/// Test group by column: the cases that passed, and of how many where some did not.
fn table(columns: &[Column], done: &[Done]) -> Vec<String> {
    let mut groups: Vec<&str> = Vec::new();
    for case in columns.iter().flat_map(|c| &c.cases) {
        if !groups.contains(&case.group()) {
            groups.push(case.group());
        }
    }
    let count = |column: usize, group: Option<&str>| {
        let mine: Vec<_> =
            done.iter().filter(|d| d.column == column && group.is_none_or(|g| d.group == g)).collect();
        let passed = mine.iter().filter(|d| d.checks.is_some()).count();
        match (passed, mine.len()) {
            (_, 0) => "-".to_owned(),
            (passed, all) if passed == all => passed.to_string(),
            (passed, all) => format!("{passed}/{all}"),
        }
    };
    let mut rows = vec![
        std::iter::once("group".to_owned())
            .chain(columns.iter().map(|c| c.name.to_owned()))
            .collect::<Vec<_>>(),
    ];
    for group in groups {
        let cells = (0..columns.len()).map(|c| count(c, Some(group)));
        rows.push(std::iter::once(group.to_owned()).chain(cells).collect());
    }
    let totals = (0..columns.len()).map(|c| count(c, None));
    rows.push(std::iter::once("all".to_owned()).chain(totals).collect());
    ui::align(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Expect;

    #[test]
    fn the_table_counts_by_group_and_column() {
        let case = |name: &str| Case { name: name.into(), expect: Expect::Ok };
        let column = |name, cases: &[&str]| Column {
            name,
            program: Cmd::new("guest"),
            cases: cases.iter().map(|n| case(n)).collect(),
            direct: None,
            unsaid: None,
            crossings: CROSSINGS,
            only: None,
        };
        let columns = [column("i386", &["a/x", "b/x"]), column("arm", &["a/x"])];
        let result = |column, group: &str, checks| Done {
            column,
            group: group.into(),
            name: String::new(),
            checks,
            notes: Vec::new(),
        };
        let done = [result(0, "a", Some(2)), result(0, "b", None), result(1, "a", Some(1))];
        assert_eq!(
            table(&columns, &done),
            ["group  i386  arm", "a         1    1", "b       0/1    -", "all     1/2    1"]
        );
    }
}

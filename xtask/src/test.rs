//! `cargo xtask test`: every case on every CPU, each in a process of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    process::Cmd,
    protocol::{Case, judge, notes, parse_list},
    targets::TARGETS,
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
    /// The program without the emulator, and the cases that run so.
    direct: (Cmd, Vec<String>),
}

impl Column {
    /// The command that runs a case.
    fn command(&self, case: &Case) -> Cmd {
        let (direct, cases) = &self.direct;
        if cases.contains(&case.name) { direct.clone() } else { self.program.clone() }.arg(&case.name)
    }

    /// Takes the cases that the emulator cannot run from it, to run without it where that is possible.
    /// Returns a line for each.
    fn except(&mut self, exceptions: &[Exception]) -> Vec<Vec<String>> {
        let alone = self.direct.0.clone().arg("--list").capture(Some(TIME_LIMIT));
        let alone = alone.is_ok_and(|outcome| outcome.success());
        let mut lines = Vec::new();
        for exception in exceptions.iter().filter(|e| e.emulator && e.cpu == self.name) {
            if alone {
                self.direct.1.push(exception.case.clone());
            } else {
                self.cases.retain(|case| case.name != exception.case);
            }
            let how = if alone { "without the emulator" } else { "left out" };
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
    let exceptions = exceptions::read()?;
    let complete = kits.kits.len() == TARGETS.len() && problems.is_empty();
    problems.extend(check_lists(&columns, &exceptions, complete));
    let excepted: Vec<_> = columns.iter_mut().flat_map(|c| c.except(&exceptions)).collect();
    if let Some(filter) = filter {
        columns.iter_mut().for_each(|c| c.cases.retain(|case| case.name.contains(filter)));
        if columns.iter().all(|c| c.cases.is_empty()) {
            problems.push(format!("no case has `{filter}` in its name"));
        }
    }

    let (done, elapsed) = run_all(&columns);
    ui::headline("cases that passed, by group and CPU");
    table(&columns, &done).iter().for_each(|line| ui::say(line));
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
    if !excepted.is_empty() && filter.is_none() {
        ui::headline("not under the emulator");
        ui::align_words(&excepted).iter().for_each(|line| ui::say(line));
    }
    let noted = noted(&columns, &done);
    if !noted.is_empty() {
        ui::headline("measured");
        noted.iter().for_each(|line| ui::say(line));
    }
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
        ui::say(&format!("{}: {problem}", ui::red("failed")));
        tally.failed += 1;
    }
    ui::say(&tally.to_string());
    Ok(tally)
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
            Ok(Column { name, program, cases, direct: (direct.clone(), Vec::new()) })
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
        Ok(outcome) => match judge(&case.expect, &outcome) {
            Ok(checks) => return Some((checks, notes(&outcome.stdout).map(str::to_owned).collect())),
            Err(why) => (why, format!("{}{}", outcome.stdout, outcome.stderr)),
        },
        Err(error) => (format!("{error:#}"), String::new()),
    };
    let indented: Vec<_> = output.lines().map(|line| format!("    {line}")).collect();
    ui::say(&format!(
        "{} {} {}: {why}\n{}{}    repeat: {cmd}",
        ui::red("FAILED"),
        column.name,
        case.name,
        indented.join("\n"),
        if indented.is_empty() { "" } else { "\n" },
    ));
    None
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
            direct: (Cmd::new("guest"), Vec::new()),
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

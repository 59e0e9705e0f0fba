//! `cargo xtask bench`: nanoseconds per operation on this machine, beside a plain C call and beside others.
//!
//! The program `bench` of `qemu-tests/bench` times everybody of a row by turns, in short blocks, round after round. What
//! else the machine does hits them alike, so that what is compared is the ratio of two times of one round, and what
//! is told is the median over all rounds, with the quartiles. Nanoseconds are this machine's, and differ from run to
//! run; ratios of one run are what [`LIMITS`] are about.

mod picture;

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    context::{Context, Tally},
    process::{Cmd, find_program},
    targets::{TARGETS, Target},
    ui,
};

/// The package.
const PACKAGE: &str = "bench";

/// Where its program is built, with a lock of its own, and what is made from what it says.
const DIRECTORY: &str = "target/bench";

/// The table that is kept, and its picture.
pub const PATH: &str = "qemu-tests/BENCH.md";
const PICTURE: &str = "qemu-tests/bench.svg";

/// Rounds of a run, and the length of a block in microseconds.
const ROUNDS: usize = 501;
const BLOCK: usize = 40;

/// The same of a run whose times nobody reads.
const QUICK_ROUNDS: usize = 4;
const QUICK_BLOCK: usize = 4;

/// Whose operations these are, and what is compared with.
const OURS: &str = "stackgate";
const PLAIN: &str = "plain";

/// What is asked for on the command line.
pub struct Options {
    pub check: bool,
    pub write: bool,
    pub quick: bool,
    pub rounds: Option<usize>,
}

/// What a row has to reach in one run.
struct Limit {
    row: &'static str,
    what: Bound,
    /// What takes the time, for who sees that the limit is missed.
    why: &'static str,
}

/// How one time is held against another.
enum Bound {
    /// Ours is at most so many times the plain one.
    Plain(f64),
    /// Somebody else's is at least so many times ours, where he is there.
    Rival(&'static str, f64),
}

/// Seen by what a store or a load more or less changes; of a callback, by the row `cgocallback`.
const CALL: &str =
    "the next call waits for the current g, which this one stores again, and which goes by memory twice";
const CALLBACK: &str =
    "the crossing leaves two frames, and the way in asks for errno, which it keeps, by a call";
const SWITCH: &str = "each way stores the current g, whose m it is, what the m runs and where the system stack begins, for \
                      handlers and tracebacks, and the CPU takes one store at a time; corosensei keeps none of these";

/// A decision of the project, for x86_64.
const LIMITS: &[Limit] = &[
    Limit { row: "ccall", what: Bound::Plain(1.8), why: CALL },
    Limit { row: "asmcgocall", what: Bound::Plain(2.2), why: CALL },
    Limit { row: "callback", what: Bound::Plain(4.0), why: CALLBACK },
    Limit { row: "cgocall and callback", what: Bound::Plain(4.0), why: CALLBACK },
    Limit { row: "resume and park, 1 task", what: Bound::Rival("corosensei", 1.0), why: SWITCH },
    Limit { row: "resume and park, 16 tasks", what: Bound::Rival("corosensei", 1.3), why: SWITCH },
];

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * sorted.len().saturating_sub(1) as f64;
            let (below, share) = (place.floor() as usize, place.fract());
            let value = |at: usize| sorted.get(at).or(sorted.last()).copied().unwrap_or(f64::NAN);
            value(below) + (value(below + 1) - value(below)) * share
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    /// Of the ratios of two, round by round.
    fn of_ratios(of: &[f64], to: &[f64]) -> Self {
        Self::of(of.iter().zip(to).map(|(of, to)| of / to))
    }

    fn quartiles(&self) -> String {
        format!("{:.2} to {:.2}", self.low, self.high)
    }
}

/// One who was timed.
#[derive(Debug, PartialEq)]
struct Contestant {
    who: String,
    /// What of his it is.
    what: String,
    /// Nanoseconds of an operation in each round.
    samples: Vec<f64>,
}

/// Those who do the same; the first one is the plain one, the second is ours.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    contestants: Vec<Contestant>,
}

/// What the program said.
#[derive(Debug, Default, PartialEq)]
struct Report {
    /// The CPU that it was kept on.
    pinned: Option<usize>,
    /// Calls of functions that count, each of which was awaited.
    counted: usize,
    rows: Vec<Row>,
}

/// One line of the table: a contestant beside the plain one and ours.
struct Line {
    who: String,
    what: String,
    ns: f64,
    of_plain: Spread,
    /// His time over ours, for others.
    of_ours: Option<Spread>,
    limit: Option<Verdict>,
}

/// A limit, and whether it is held.
struct Verdict {
    limit: String,
    /// Where it lies, in times the plain one.
    place: f64,
    held: bool,
    why: &'static str,
}

/// What the table says of an operation.
struct Group {
    name: String,
    lines: Vec<Line>,
}

/// What was compared, and where.
struct Setting {
    /// Names and versions.
    versions: String,
    cpu: String,
    kernel: String,
    /// Who could not be compared with, why, and how he can be.
    left_out: Vec<String>,
}

/// Others who are there only where they are installed.
struct Peers {
    /// The version of Boost.
    boost: Option<String>,
    /// The program, and the version of Go.
    go: Option<(String, String)>,
    left_out: Vec<String>,
}

/// Times every operation, prints the table, writes the picture, and checks or writes the kept table.
pub fn bench(context: &Context, options: &Options) -> Result<Tally> {
    let Some(target) = context.targets.iter().find(|target| target.is_host()) else {
        let host =
            TARGETS.iter().find(|target| target.is_host()).map_or("none of them", |target| target.name);
        bail!("only the CPU of this machine can be timed, which is {host}");
    };
    fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
    let peers = Peers::find()?;
    let program = build(&peers)?;
    let mut cmd = Cmd::new(&program);
    let (rounds, block) = if options.quick { (QUICK_ROUNDS, QUICK_BLOCK) } else { (ROUNDS, BLOCK) };
    let rounds = options.rounds.unwrap_or(rounds);
    cmd = cmd.args(["--rounds", &rounds.to_string(), "--block", &block.to_string()]);
    if let Some((go, _)) = &peers.go {
        cmd = cmd.args(["--go", go]);
    }
    let output = cmd.run_reading()?;
    let report = Report::parse(&output)?;
    let absent = report.verify(rounds, target)?;
    let mut tally = Tally { passed: report.rows.len() as u64, failed: 0 };
    if options.quick {
        peers.left_out.iter().for_each(|line| ui::say(&format!("left out: {line}")));
        let contestants: usize = report.rows.iter().map(|row| row.contestants.len()).sum();
        ui::say(&format!(
            "bench: {} operations, {contestants} ways to do them, {} calls counted where they had to be: {}",
            report.rows.len(),
            report.counted,
            ui::verdict(true)
        ));
        return Ok(tally);
    }
    let groups: Vec<_> = report.rows.iter().map(Group::of).collect();
    let setting = Setting::of(&peers, absent)?;

    ui::headline(&format!("nanoseconds per operation on {}, Linux {}", setting.cpu, setting.kernel));
    ui::align(&table(&groups)).iter().for_each(|line| ui::say(line));
    ui::say(&format!(
        "{rounds} rounds{}; {}",
        report.pinned.map_or(", on any CPU".to_owned(), |cpu| format!(", all on CPU {cpu}")),
        setting.versions
    ));
    setting.left_out.iter().for_each(|line| ui::say(&format!("left out: {line}")));
    let picture = picture::svg(&groups, &setting);
    let path = format!("{DIRECTORY}/bench.svg");
    fs::write(&path, &picture).with_context(|| format!("cannot write {path}"))?;
    ui::say(&format!("wrote {path}"));
    if options.write {
        fs::write(PICTURE, &picture).with_context(|| format!("cannot write {PICTURE}"))?;
        fs::write(PATH, markdown(&groups, &setting, rounds))
            .with_context(|| format!("cannot write {PATH}"))?;
        ui::say(&format!("wrote {PATH} and {PICTURE}"));
    }
    let missed: Vec<_> = groups.iter().flat_map(Group::missed).collect();
    for line in &missed {
        if options.check {
            ui::failed(line);
            tally.add(false);
        } else {
            ui::say(&format!("{} {line}", ui::red("MISSED")));
        }
    }
    let limits = groups.iter().flat_map(|group| &group.lines).filter(|line| line.limit.is_some()).count();
    ui::say(&format!("bench: {} operations, {limits} limits, {} missed", groups.len(), missed.len()));
    Ok(tally)
}

/// Builds the program as its user's cargo would, and returns its path.
fn build(peers: &Peers) -> Result<String> {
    let mut cmd =
        Cmd::new("cargo").args(["build", "--release", "--package", PACKAGE, "--target-dir", DIRECTORY]);
    if peers.boost.is_some() {
        cmd = cmd.args(["--features", "boost"]);
    }
    cmd.run()?;
    Ok(format!("{DIRECTORY}/release/{PACKAGE}"))
}

impl Peers {
    /// Looks for Boost and Go, and builds Go's half.
    fn find() -> Result<Self> {
        let mut left_out = Vec::new();
        let boost = boost()?;
        if boost.is_none() {
            left_out.push(
                "Boost.Context, which is not installed: apt-get install libboost-context-dev".to_owned(),
            );
        }
        let go = if find_program("go").is_some() { Some(go()?) } else { None };
        if go.is_none() {
            left_out.push("Go, which is not installed: apt-get install golang-go".to_owned());
        }
        Ok(Self { boost, go, left_out })
    }
}

/// The version of Boost, if its header and its library are there.
fn boost() -> Result<Option<String>> {
    const HEADER: &str = "#if __has_include(<boost/context/detail/fcontext.hpp>)\n\
                          #include <boost/version.hpp>\nBOOST_LIB_VERSION\n#endif\n";
    let file = format!("{DIRECTORY}/boost.c");
    fs::write(&file, HEADER).with_context(|| format!("cannot write {file}"))?;
    let version = Cmd::new("cc").args(["-E", "-P", &file]).read()?;
    let library = ["so", "a"].iter().any(|ending| {
        let name = format!("-print-file-name=libboost_context.{ending}");
        // The bare name is the answer where there is no such file.
        Cmd::new("cc").arg(name).read().is_ok_and(|path| path.contains('/'))
    });
    let version = version.trim().trim_matches('"').replace('_', ".");
    Ok((library && !version.is_empty()).then_some(version))
}

/// Builds the Go program and returns its path, with the version of Go.
fn go() -> Result<(String, String)> {
    let version = Cmd::new("go").args(["env", "GOVERSION"]).read()?;
    Cmd::new("go")
        .args(["build", "-o", "../../../target/bench/go-peer", "."])
        .env("CGO_ENABLED", "1")
        .directory("qemu-tests/bench/go")
        .run()?;
    Ok((format!("{DIRECTORY}/go-peer"), version.replacen("go", "Go ", 1)))
}

impl Report {
    fn parse(output: &str) -> Result<Self> {
        let mut report = Self::default();
        for line in output.lines() {
            if let Some(cpu) = line.strip_prefix("pinned ") {
                report.pinned = cpu.parse().ok();
            } else if let Some(calls) = line.strip_prefix("counted ") {
                report.counted = calls.parse().with_context(|| format!("`{line}`"))?;
            } else if let Some(sample) = line.strip_prefix("sample\t") {
                let [row, who, what, values] = sample.split('\t').collect::<Vec<_>>()[..] else {
                    bail!("`{line}` has not the parts that it should have");
                };
                let samples: Result<Vec<f64>, _> = values.split(' ').map(str::parse).collect();
                let samples = samples.with_context(|| format!("{row}, {who}: `{values}`"))?;
                let contestant = Contestant { who: who.to_owned(), what: what.to_owned(), samples };
                match report.rows.iter_mut().find(|known| known.name == row) {
                    Some(known) => known.contestants.push(contestant),
                    None => report.rows.push(Row { name: row.to_owned(), contestants: vec![contestant] }),
                }
            } else {
                bail!("the program said `{line}`");
            }
        }
        Ok(report)
    }

    /// Everybody was timed in each round, and everything that has a limit. Returns the others for whom there is a
    /// limit and who are not there.
    fn verify(&self, rounds: usize, target: &Target) -> Result<Vec<String>> {
        ensure!(self.counted > 0, "the program counted no call");
        for row in &self.rows {
            let who: Vec<_> = row.contestants.iter().map(|c| c.who.as_str()).collect();
            ensure!(who.starts_with(&[PLAIN, OURS]), "{}: timed were {}", row.name, who.join(", "));
            for Contestant { who, samples, .. } in &row.contestants {
                let good = samples.len() == rounds && samples.iter().all(|ns| ns.is_finite() && *ns > 0.0);
                ensure!(
                    good,
                    "{}, {who}: {} times for {rounds} rounds, or one that is none",
                    row.name,
                    samples.len()
                );
            }
        }
        let mut absent = BTreeMap::new();
        for limit in LIMITS {
            let row = self.rows.iter().find(|row| row.name == limit.row);
            let row = row.with_context(|| format!("{} has a limit and was not timed", limit.row))?;
            if let Bound::Rival(who, _) = limit.what
                && row.contestants.iter().all(|c| c.who != who)
            {
                absent.insert(
                    who,
                    format!("{who}, which cannot be built for {} by a released compiler", target.name),
                );
            }
        }
        Ok(absent.into_values().collect())
    }
}

impl Group {
    fn of(row: &Row) -> Self {
        let [plain, ours, ..] = &row.contestants[..] else { unreachable!("verified") };
        let line = |contestant: &Contestant| {
            let of_plain = Spread::of_ratios(&contestant.samples, &plain.samples);
            let other = contestant.who != PLAIN && contestant.who != OURS;
            let of_ours = other.then(|| Spread::of_ratios(&contestant.samples, &ours.samples));
            let limit =
                LIMITS.iter().filter(|limit| limit.row == row.name).find_map(|limit| match limit.what {
                    Bound::Plain(most) if contestant.who == OURS => Some(Verdict {
                        limit: format!("at most {most:.1} plain"),
                        place: most,
                        held: of_plain.median <= most,
                        why: limit.why,
                    }),
                    Bound::Rival(who, least) if contestant.who == who => Some(Verdict {
                        limit: format!("at least {least:.1} ours"),
                        place: of_plain.median / least,
                        held: of_ours.is_some_and(|of_ours| of_ours.median >= least),
                        why: limit.why,
                    }),
                    _ => None,
                });
            Line {
                who: contestant.who.clone(),
                what: contestant.what.clone(),
                ns: Spread::of(contestant.samples.iter().copied()).median,
                of_plain,
                of_ours,
                limit,
            }
        };
        Self { name: row.name.clone(), lines: row.contestants.iter().map(line).collect() }
    }

    /// The limits that were missed, in words.
    fn missed(&self) -> Vec<String> {
        let missed = self.lines.iter().filter_map(|line| {
            let verdict = line.limit.as_ref().filter(|verdict| !verdict.held)?;
            let ratio = line.of_ours.unwrap_or(line.of_plain);
            Some(format!(
                "{}: {} is {:.2} ({}), and the limit is {}: {}",
                self.name,
                line.who,
                ratio.median,
                ratio.quartiles(),
                verdict.limit,
                verdict.why
            ))
        });
        missed.collect()
    }
}

const HEAD: [&str; 8] =
    ["operation", "ns", "of plain", "quartiles", "of ours", "quartiles", "limit", "verdict"];

impl Line {
    /// What stands behind the name.
    fn cells(&self) -> Vec<String> {
        let ours = |text: &dyn Fn(&Spread) -> String| self.of_ours.as_ref().map_or(String::new(), text);
        let plain = self.who == PLAIN;
        let quartiles = if plain { String::new() } else { self.of_plain.quartiles() };
        let limit = self.limit.as_ref();
        vec![
            format!("{:.2}", self.ns),
            format!("{:.2}", self.of_plain.median),
            quartiles,
            ours(&|spread| format!("{:.2}", spread.median)),
            ours(&Spread::quartiles),
            limit.map_or(String::new(), |verdict| verdict.limit.clone()),
        ]
    }

    fn verdict(&self) -> Option<bool> {
        self.limit.as_ref().map(|verdict| verdict.held)
    }
}

/// The table: each operation, and below it who does it.
fn table(groups: &[Group]) -> Vec<Vec<String>> {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for group in groups {
        rows.push(vec![ui::bold(&group.name)]);
        for line in &group.lines {
            let verdict = match line.verdict() {
                None => String::new(),
                Some(true) => ui::green("ok"),
                Some(false) => ui::red("MISSED"),
            };
            let name = std::iter::once(format!("  {}: {}", line.who, line.what));
            rows.push(name.chain(line.cells()).chain([verdict]).collect());
        }
    }
    rows
}

impl Setting {
    fn of(peers: &Peers, absent: Vec<String>) -> Result<Self> {
        let versions = [
            format!("rustc {}", Cmd::new("rustc").arg("-V").read()?.split(' ').nth(1).unwrap_or("?")),
            format!("psm {}", locked("psm")?),
            format!("corosensei {}", locked("corosensei")?),
        ];
        let versions =
            versions.into_iter().filter(|version| !absent.iter().any(|a| version.starts_with(word(a))));
        let boost = peers.boost.iter().map(|version| format!("Boost {version}"));
        let go = peers.go.iter().map(|(_, version)| version.clone());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Self {
            versions: versions.chain(boost).chain(go).collect::<Vec<_>>().join(", "),
            cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            kernel: kernel.trim().to_owned(),
            left_out: peers.left_out.iter().cloned().chain(absent).collect(),
        })
    }
}

/// The first word.
fn word(text: &str) -> &str {
    text.split([' ', ',']).next().unwrap_or_default()
}

/// What the kernel calls the CPU.
fn cpu(cpuinfo: &str) -> String {
    let field = |key: &str| {
        let mut values =
            cpuinfo.lines().filter_map(|line| line.split_once(':')).filter(|(k, _)| k.trim() == key);
        values.next().map(|(_, value)| value.trim().to_owned())
    };
    // x86; ppc64le; s390x; arm.
    let name = ["model name", "cpu", "processor 0", "CPU part"].iter().find_map(|key| field(key));
    let name = name.unwrap_or_else(|| format!("an {} CPU without a name", std::env::consts::ARCH));
    let numbers =
        ["cpu family", "model", "stepping"].map(|key| field(key).map(|value| format!("{key} {value}")));
    let numbers: Vec<_> = numbers.into_iter().flatten().collect();
    let virtual_machine =
        field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let mut name = name;
    if !numbers.is_empty() {
        name += &format!(" ({})", numbers.join(", "));
    }
    if virtual_machine {
        name += " in a virtual machine";
    }
    name
}

/// The version of a package that `Cargo.lock` names.
fn locked(name: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let lock: Lock = toml::from_str(&fs::read_to_string("Cargo.lock")?).context("Cargo.lock")?;
    let package = lock.package.into_iter().find(|package| package.name == name);
    Ok(package.with_context(|| format!("Cargo.lock does not name {name}"))?.version)
}

/// The kept table's text.
fn markdown(groups: &[Group], setting: &Setting, rounds: usize) -> String {
    let mut text = format!(
        "# Nanoseconds per operation\n\n\
         Written by `cargo xtask bench --write`; not to be edited. Nanoseconds are those of one machine and one run. What\n\
         can be compared are the ratios: medians of {rounds} rounds, in each of which everybody of a row has had its turns,\n\
         with the quartiles. \"of plain\" is a time over that of the plain call or callback of the row, \"of ours\" that of\n\
         somebody else over ours. `cargo xtask bench --check` holds the limits.\n\n\
         CPU: {}\\\nKernel: Linux {}\\\nCompared: {}\n\n",
        setting.cpu, setting.kernel, setting.versions
    );
    setting.left_out.iter().for_each(|line| text.push_str(&format!("Left out: {line}\n\n")));
    text.push_str("![The ratios of the table, on a scale of powers of two](bench.svg)\n\n");
    text.push_str(&format!("| {} |\n|---|---:|---:|---|---:|---|---|---|\n", HEAD.join(" | ")));
    for group in groups {
        text.push_str(&format!("| **{}** | | | | | | | |\n", group.name));
        for line in &group.lines {
            let verdict = match line.verdict() {
                None => "",
                Some(true) => "ok",
                Some(false) => "**missed**",
            };
            text.push_str(&format!(
                "| {}: {} | {} | {verdict} |\n",
                line.who,
                line.what,
                line.cells().join(" | ")
            ));
        }
    }
    let mut missed = groups.iter().flat_map(Group::missed).peekable();
    if missed.peek().is_some() {
        text.push_str("\nMissed:\n\n");
        missed.for_each(|line| text.push_str(&format!("- {line}.\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says of rows with limits: plain, ours and corosensei, in nanoseconds.
    fn said(plain: &str, ours: &str, rival: &str) -> String {
        let mut text = "pinned 1\ncounted 7\n".to_owned();
        for limit in LIMITS {
            for (who, samples) in [(PLAIN, plain), (OURS, ours), ("corosensei", rival)] {
                text.push_str(&format!("sample\t{}\t{who}\tcall\t{samples}\n", limit.row));
            }
        }
        text
    }

    fn host() -> &'static Target {
        &TARGETS[1]
    }

    #[test]
    fn the_median_is_of_ratios_and_not_of_times() {
        // Twice as long in each round, on a machine that is slower each time.
        let spread = Spread::of_ratios(&[2.0, 8.0, 20.0], &[1.0, 4.0, 10.0]);
        assert_eq!(spread, Spread { low: 2.0, median: 2.0, high: 2.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Spread { low: 1.75, median: 2.5, high: 3.25 });
    }

    #[test]
    fn limits_are_held_against_both() {
        let missed = |plain, ours, rival| {
            let report = Report::parse(&said(plain, ours, rival)).unwrap();
            assert!(report.verify(2, host()).unwrap().is_empty());
            report.rows.iter().map(Group::of).flat_map(|group| group.missed()).collect::<Vec<_>>()
        };
        assert!(missed("1 1", "1.7 1.7", "2.3 2.3").is_empty());
        // All of them: slower than four plain ones, and than the other.
        assert_eq!(missed("1 1", "4.1 4.1", "4 4").len(), LIMITS.len());
        // As fast as the other, which is not fast enough with many tasks.
        let one = missed("1 1", "1.7 1.7", "1.7 1.7");
        assert_eq!(one.len(), 1, "{one:?}");
        assert!(one[0].contains("16 tasks: corosensei is 1.00"), "{one:?}");
    }

    #[test]
    fn what_was_not_timed_is_an_error() {
        let text = said("1 1", "2 2", "3 3");
        let verify =
            |text: &str, rounds| Report::parse(text).and_then(|report| report.verify(rounds, host()));
        assert!(verify(&text, 2).is_ok());
        assert!(verify(&text, 3).is_err(), "a round is missing");
        assert!(verify(&text.replace("sample\tccall\t", "sample\tother\t"), 2).is_err(), "ccall is missing");
        assert!(verify(&text.replace("\tstackgate\t", "\tstranger\t"), 2).is_err(), "ours is missing");
        assert!(verify(&text.replace("counted 7", "counted 0"), 2).is_err(), "nothing was counted");
        assert!(verify(&text.replace("2 2", "2 0"), 2).is_err(), "no time at all");
        assert!(verify(&text.replace("pinned", "panned"), 2).is_err(), "a line that nobody knows");
        let absent = verify(&text.replace("corosensei", "nobody"), 2).unwrap();
        assert_eq!(absent, ["corosensei, which cannot be built for x86_64 by a released compiler"]);
    }

    #[test]
    fn a_cpu_is_named() {
        let text = "processor\t: 0\nmodel name\t: Fast One\ncpu family\t: 6\nmodel\t\t: 7\nflags\t\t: fpu hypervisor\n";
        assert_eq!(cpu(text), "Fast One (cpu family 6, model 7) in a virtual machine");
        assert_eq!(cpu("cpu\t\t: POWER9\n"), "POWER9");
    }
}

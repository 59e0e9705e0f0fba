//! `cargo xtask mutants`: is there a test for it?
//!
//! Mutants of each CPU's `asm.rs` are made mechanically ([`source`]), built in a copy ([`mod@bench`]) and run
//! against what guards the crossings, the cases of `guest`, the two views of `step` and the comparison of unwind
//! tables with layouts and instructions, until one notices ([`guards`]). What is made:
//!
//! - each operand with an `offset_of!` or a `size_of` in it, a word larger, wherever its function uses it;
//! - each store and each load of a register that a frame holds or that is callee-saved, left out;
//! - each line of unwind tables left out: call frame information, and EHABI's directives on arm;
//! - each pair of stores of which one publishes, in the other order. A store publishes if it goes to the
//!   current g's place, into `g0.sched.sp` or into a g's `catch`; moving SP to another stack publishes too. The
//!   two follow each other without a jump, a call or a label between, and at least one of them can be moved past what lies
//!   between.
//!
//! What became of each is kept in `target/mutants/CPU/results` for as long as the mutant, the programs and all else
//! that judges stay as they are ([`results`]): a run that was stopped goes on where it was. A mutant is one process a
//! case, as in `test`: cases set up what a process has once, and starting one takes 25 ms of a second and more.
//!
//! A mutant that changes no byte of code or tables is none: a line for another build of the crossings, or
//! a rule that says what holds anyway. Nor is one that the assembler refuses: it says nothing about tests. One
//! that hangs counts as noticed.

mod bench;
mod guards;
mod results;
mod source;

pub use bench::{RECORD, lines_of, record};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use stackgate_arch::frame::SavedBy;

use crate::{
    context::{Context, Tally},
    frames::CPUS,
    process::Cmd,
    targets::TARGETS,
    toolchain::Kit,
    ui,
};
use bench::{Bench, Unlinked, source_of};
use guards::Guards;
use results::{Reached, Results};
use source::{Dialect, Kind, Mutant, mutants as make};

/// What the command line says.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// So many, evenly over CPUs and kinds; all without it.
    pub sample: Option<usize>,
    /// Of the sample.
    pub seed: u64,
    /// Only mutants with this in their name.
    pub only: Option<&'a str>,
    /// Write what was noticed into [`DOCUMENT`].
    pub write: bool,
    /// Print the mutants and run nothing.
    pub list: bool,
}

/// Mutants that nobody notices, each with its reason.
const UNNOTICED: &str = "qemu-tests/mutants.toml";

/// What was broken and what noticed, for readers.
const DOCUMENT: &str = "qemu-tests/MUTANTS.md";
/// Its part that is written here; all before it is written by hand.
const OURS: &str = "\n# Made by `cargo xtask mutants`\n";
/// The headline in it under which a row a CPU says what the last run that wrote came to.
const TOTALS: &str = "What became of them";
/// And that under which those are that survived.
const SURVIVORS: &str = "What survived";
/// Rows a CPU and kind that go there.
const ROWS: usize = 2;

/// Of a hundred that can be noticed, so many have to be.
const LEAST_PERCENT: usize = 95;

/// Why nobody notices a mutant.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Unnoticed {
    cpus: Vec<String>,
    mutant: String,
    reason: String,
}

/// What [`UNNOTICED`] holds.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasons {
    /// It does nothing wrong: it does not count.
    #[serde(default)]
    equivalent: Vec<Unnoticed>,
    /// It does, and nobody looks: it counts as one that survived.
    #[serde(default)]
    survivor: Vec<Unnoticed>,
}

impl Reasons {
    fn all(&self) -> impl Iterator<Item = &Unnoticed> {
        self.equivalent.iter().chain(&self.survivor)
    }
}

/// What became of a mutant.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
enum Fate {
    /// Who noticed.
    Killed(String),
    Survived,
    /// No byte changed.
    Same,
    /// It does not build.
    Refused,
}

/// What became of some.
type Fates<'m> = Vec<(&'m Mutant, Fate)>;

impl Fate {
    /// Whether there was something to notice.
    fn counts(&self) -> bool {
        matches!(self, Self::Killed(_) | Self::Survived)
    }
}

/// What became of a CPU's.
#[derive(Default)]
struct Count {
    killed: usize,
    survived: usize,
    equivalent: usize,
    same: usize,
    refused: usize,
}

impl Count {
    fn tried(&self) -> usize {
        self.killed + self.survived
    }

    /// Of those that can be noticed.
    fn enough(&self) -> bool {
        self.killed * 100 >= self.tried() * LEAST_PERCENT
    }

    fn percent(&self) -> String {
        let tenths = (self.killed * 1000).checked_div(self.tried()).unwrap_or(1000);
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

/// Makes mutants of the chosen CPUs' crossings, and says which nobody notices.
pub fn mutants(context: &Context, options: &Options<'_>) -> Result<Tally> {
    let reasons = read_reasons()?;
    let kits = if options.list { None } else { Some(context.kits()?) };
    let mut chosen = Vec::new();
    let mut made = BTreeMap::new();
    let mut problems = Vec::new();
    for target in &context.targets {
        let path = format!("arch/{}", source_of(target));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let mut all = make(&text, &dialect(target.name)?).with_context(|| path.clone())?;
        for kind in Kind::ALL {
            if all.iter().all(|mutant| mutant.kind != kind) {
                problems.push(format!("{}: no mutant of the kind `{kind}` was made", target.name));
            }
        }
        problems.extend(unknown(&reasons, target.name, &all));
        made.insert(target.name, all.len());
        if options.sample.is_some() {
            // They take longest, since nobody notices them; a run of all says whether it is still so.
            all.retain(|mutant| reasons.equivalent.iter().all(|known| !known.is(target.name, mutant)));
        }
        let all = ordered(all, options, target.name);
        chosen.push((target.name, text, all));
    }
    if options.list {
        for (cpu, _, all) in &chosen {
            all.iter().for_each(|mutant| ui::say(&format!("{cpu}  {}  {mutant}", mutant.kind)));
        }
        return Ok(Tally { passed: 1, failed: problems.len() as u64 });
    }
    let kits = kits.context("the tools")?;

    let mut rows = Vec::new();
    let mut total = Count::default();
    let mut killed: BTreeMap<&str, Vec<(Mutant, String)>> = BTreeMap::new();
    let mut totals = BTreeMap::new();
    let mut survivors = Vec::new();
    let mut without_test: BTreeMap<&str, String> = BTreeMap::new();
    let mut cpus = 0;
    for (at, kit) in kits.kits.iter().enumerate() {
        let cpu = kit.target.name;
        let Some((_, text, all)) = chosen.iter().find(|(name, ..)| *name == cpu) else { continue };
        let limit = options.sample.map(|n| n / kits.kits.len() + usize::from(at < n % kits.kits.len()));
        let start = Instant::now();
        let (fates, broken) = match run(kit, text, all, limit) {
            Ok(result) => result,
            Err(error) => {
                problems.push(format!("{cpu}: {error:#}"));
                continue;
            }
        };
        cpus += 1;
        problems.extend(broken.iter().map(|by| format!("{cpu}: {by}: fails with the crossings as they are")));
        let mut count = Count::default();
        let mut needed = BTreeSet::new();
        for (mutant, fate) in fates {
            if !matches!(fate, Fate::Killed(_)) {
                let known = reasons.all().filter(|known| known.is(cpu, mutant));
                needed.extend(known.map(|known| known.mutant.as_str()));
            }
            let known = reasons.all().find(|known| known.is(cpu, mutant));
            let equivalent = reasons.equivalent.iter().any(|known| known.is(cpu, mutant));
            match (fate, known) {
                (Fate::Same, _) => count.same += 1,
                (Fate::Refused, _) => count.refused += 1,
                (Fate::Killed(by), Some(known)) if !known.mutant.contains('*') => {
                    count.killed += 1;
                    problems.push(format!("{cpu}: {mutant}: {by} notices it: take it out of {UNNOTICED}"));
                }
                (Fate::Killed(by), _) => {
                    count.killed += 1;
                    killed.entry(cpu).or_default().push((mutant.clone(), by));
                }
                (Fate::Survived, Some(known)) if equivalent => {
                    count.equivalent += 1;
                    survivors.push(format!("{cpu}  {mutant}: equivalent: {}", known.reason));
                }
                (Fate::Survived, known) => {
                    count.survived += 1;
                    let red = ui::red("nobody notices");
                    let reason = known.map_or("nobody has said why", |known| known.reason.as_str());
                    survivors.push(format!("{cpu}  {red} {mutant}: {reason}"));
                    let what = mutant.what.replace('|', "\\|");
                    let row = format!("| {cpu} | `{}`: {what} | {reason} |\n", mutant.function);
                    without_test.entry(cpu).or_default().push_str(&row);
                    // A sample is for those who have just made it.
                    if known.is_none() && options.sample.is_none() {
                        problems.push(format!(
                            "{cpu}: {mutant}: nobody notices: write a test, or the reason into {UNNOTICED}"
                        ));
                    }
                }
            }
        }
        if options.sample.is_none() && options.only.is_none() {
            let of_cpu = reasons.all().filter(|known| known.cpus.iter().any(|own| own == cpu));
            let idle =
                of_cpu.filter(|known| known.mutant.contains('*') && !needed.contains(known.mutant.as_str()));
            problems.extend(idle.map(|known| {
                format!("{cpu}: all of `{}` are noticed: take it out of {UNNOTICED}", known.mutant)
            }));
        }
        rows.push(row(cpu, &count, start.elapsed()));
        total.killed += count.killed;
        total.survived += count.survived;
        total.equivalent += count.equivalent;
        total.same += count.same;
        total.refused += count.refused;
        // A few of one CPU say little by themselves.
        if options.sample.is_none() && !count.enough() {
            problems.push(format!("{cpu}: fewer than {LEAST_PERCENT} % were noticed"));
        }
        totals.insert(cpu, (made[cpu], count));
        without_test.entry(cpu).or_default();
    }

    if !survivors.is_empty() {
        ui::headline("survivors");
        survivors.iter().for_each(|line| ui::say(line));
    }
    ui::headline("mutants");
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    if total.tried() == 0 {
        problems.push("no mutant was tried".to_owned());
    }
    if !total.enough() {
        problems.push(format!("fewer than {LEAST_PERCENT} % were noticed: a test is missing"));
    }
    problems.iter().for_each(|problem| ui::failed(problem));
    if options.write {
        write(&killed, &totals, &without_test)?;
    }
    ui::say(&format!(
        "mutants: {cpus} CPUs, {} tried, {} killed, {} survived, {}, {} equivalent, seed {}",
        total.tried(),
        total.killed,
        total.survived,
        total.percent(),
        total.equivalent,
        options.seed,
    ));
    Ok(Tally { passed: total.killed as u64, failed: problems.len() as u64 })
}

fn row(cpu: &str, count: &Count, took: Duration) -> Vec<String> {
    vec![
        cpu.to_owned(),
        format!("{} tried", count.tried()),
        format!("{} killed", count.killed),
        format!("{} survived", count.survived),
        count.percent(),
        format!("{} equivalent", count.equivalent),
        format!("{} without effect", count.same),
        format!("{} not built", count.refused),
        format!("{:.1} s", took.as_secs_f64()),
    ]
}

/// What [`source`] has to know of a CPU: from its table of registers, and its frames.
fn dialect(cpu: &str) -> Result<Dialect> {
    let described = CPUS.iter().find(|known| known.name == cpu).context("a CPU without layouts")?;
    let callee = described.registers.iter().filter(|register| register.saved_by == SavedBy::Callee);
    let in_frames =
        described.layouts.iter().flat_map(|layout| layout.fields).filter_map(|field| field.register);
    let mut registers: BTreeSet<String> =
        callee.copied().chain(in_frames).map(|register| register.name.to_owned()).collect();
    let stack_pointer: &[&str] = match cpu {
        "i386" => &["esp"],
        "x86_64" => &["rsp"],
        "ppc64le" => &["%r1"],
        "s390x" => &["%r15"],
        _ => &["sp"],
    };
    if cpu == "arm" {
        // The assembly's own names for r11 and r7, which are one or the other by state.
        registers.extend(["rfp", "ofp"].map(str::to_owned));
    }
    Ok(Dialect { word: described.word, registers, stack_pointer })
}

/// In the order in which they are tried: as in the source, or the sample's.
fn ordered(mut all: Vec<Mutant>, options: &Options<'_>, cpu: &str) -> Vec<Mutant> {
    if let Some(part) = options.only {
        all.retain(|mutant| format!("{} {mutant}", mutant.kind).contains(part));
    }
    if options.sample.is_none() {
        return all;
    }
    let mut random = Random(options.seed);
    cpu.bytes().for_each(|byte| random.0 = random.next() ^ u64::from(byte));
    let mut by_kind: Vec<Vec<Mutant>> = Kind::ALL
        .iter()
        .map(|kind| {
            let mut some: Vec<_> = all.iter().filter(|mutant| mutant.kind == *kind).cloned().collect();
            for at in (1..some.len()).rev() {
                some.swap(at, (random.next() % (at as u64 + 1)) as usize);
            }
            some
        })
        .collect();
    // One of each kind in turn, beginning anywhere: a small sample of six CPUs has all kinds.
    let first = (random.next() % by_kind.len() as u64) as usize;
    by_kind.rotate_left(first);
    let mut mixed = Vec::new();
    while by_kind.iter().any(|some| !some.is_empty()) {
        mixed.extend(by_kind.iter_mut().filter_map(Vec::pop));
    }
    mixed
}

/// SplitMix64: the same numbers from the same seed, on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Tries mutants of one CPU in their order, until `limit` of them had an effect. Returns what became of each,
/// and the guards that do not get past the crossings as they are.
fn run<'m>(
    kit: &Kit,
    text: &str,
    all: &'m [Mutant],
    limit: Option<usize>,
) -> Result<(Fates<'m>, Vec<String>)> {
    let cpu = kit.target.name;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let bench = Bench::new(kit)?;
    // The last directory is the original's.
    bench.fresh(workers + 1)?;
    let original = match bench.build(workers, text)? {
        Ok(built) => built,
        Err(error) => bail!("the crossings as they are do not build: {error}"),
    };
    let sections = original.sections()?;
    let guards = Guards::of(kit, original, |judges| Reached::open(bench.directory(), judges))?;
    let known = Mutex::new(Results::open(bench.directory(), &guards.judges())?);
    for mutant in all {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.killer(&mutant.to_string()).into_iter().for_each(|by| guards.learn(mutant, by));
    }

    let progress = ui::Progress::new("mutants", limit.unwrap_or(all.len()) as u64);
    let (next, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<BTreeMap<usize, Result<Fate>>> = Mutex::default();
    let try_out = |worker: usize, mutant: &Mutant, text: &str, before: Option<&str>| -> Result<Fate> {
        let built = match bench.build(worker, text)? {
            Ok(built) => built,
            Err(error) => {
                ui::say(&format!("{cpu}  {mutant}: is not built: {}", ui::dim(&error)));
                return Ok(Fate::Refused);
            }
        };
        if built.sections()? == sections {
            return Ok(Fate::Same);
        }
        match guards.killer(&built, mutant, before) {
            Ok(by) => Ok(by.map_or(Fate::Survived, Fate::Killed)),
            Err(error) => {
                let error = error.downcast::<Unlinked>()?;
                ui::say(&format!("{cpu}  {mutant}: is not linked: {}", ui::dim(&error.to_string())));
                Ok(Fate::Refused)
            }
        }
    };
    let one = |worker: usize, mutant: &Mutant| -> Result<Fate> {
        let (text, name) = (mutant.apply(text), mutant.to_string());
        let (fate, before) = {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            (known.fate(&name, &text), known.killer(&name).map(str::to_owned))
        };
        if let Some(fate) = fate {
            return Ok(fate);
        }
        let start = Instant::now();
        let fate = try_out(worker, mutant, &text, before.as_deref())?;
        match &fate {
            Fate::Killed(by) => say(cpu, mutant, &format!("killed by {by}"), start),
            Fate::Survived => say(cpu, mutant, &ui::red("survived"), start),
            Fate::Same | Fate::Refused => (),
        }
        known.lock().unwrap_or_else(PoisonError::into_inner).add(&name, &text, &fate)?;
        Ok(fate)
    };
    thread::scope(|scope| {
        for worker in 0..workers {
            let (next, enough, results, progress, one) = (&next, &enough, &results, &progress, &one);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = all.get(at) else { break };
                    let fate = one(worker, mutant);
                    progress.step(&format!("{cpu} {}", mutant.function));
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.insert(at, fate);
                    let counted =
                        results.values().filter(|fate| fate.as_ref().is_ok_and(Fate::counts)).count();
                    if limit.is_some_and(|limit| counted >= limit) {
                        enough.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    drop(progress);
    // What other workers had begun beyond the limit does not count: the same seed, the same sample.
    let mut counted = 0;
    let mut fates = Vec::new();
    for (at, fate) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if limit.is_some_and(|limit| counted >= limit) {
            break;
        }
        let fate = fate?;
        counted += usize::from(fate.counts());
        fates.push((&all[at], fate));
    }
    Ok((fates, guards.broken()))
}

fn say(cpu: &str, mutant: &Mutant, fate: &str, start: Instant) {
    ui::say(&format!("{cpu}  {mutant} -> {fate}  {}", ui::dim(&ui::seconds(start))));
}

impl Unnoticed {
    fn is(&self, cpu: &str, mutant: &Mutant) -> bool {
        self.cpus.iter().any(|own| own == cpu) && matches(&self.mutant, &mutant.to_string())
    }
}

/// Whether a pattern, in which `*` stands for anything, is this text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}

fn read_reasons() -> Result<Reasons> {
    let text = fs::read_to_string(UNNOTICED).with_context(|| format!("cannot read {UNNOTICED}"))?;
    let reasons: Reasons = toml::from_str(&text).with_context(|| format!("{UNNOTICED} is wrong"))?;
    for entry in reasons.all() {
        if entry.reason.trim().is_empty() {
            bail!("{UNNOTICED}: `{}` has no reason", entry.mutant);
        }
        if let Some(cpu) = entry.cpus.iter().find(|cpu| TARGETS.iter().all(|t| t.name != **cpu)) {
            bail!("{UNNOTICED}: there is no CPU {cpu}");
        }
    }
    Ok(reasons)
}

/// Entries for mutants that are no longer made.
fn unknown(reasons: &Reasons, cpu: &str, all: &[Mutant]) -> Vec<String> {
    let of_cpu = reasons.all().filter(|entry| entry.cpus.iter().any(|own| own == cpu));
    of_cpu
        .filter(|entry| all.iter().all(|mutant| !entry.is(cpu, mutant)))
        .map(|entry| format!("{UNNOTICED}: {cpu} has no mutant `{}`", entry.mutant))
        .collect()
}

/// Replaces the tables of the CPUs that were tried, and their rows of the totals.
fn write(
    killed: &BTreeMap<&str, Vec<(Mutant, String)>>,
    totals: &BTreeMap<&str, (usize, Count)>,
    survivors: &BTreeMap<&str, String>,
) -> Result<()> {
    let mut text = fs::read_to_string(DOCUMENT).with_context(|| format!("cannot read {DOCUMENT}"))?;
    for (cpu, all) in killed {
        text = with_table(&text, cpu, &rows_of(all))?;
    }
    text = with_totals(&text, totals)?;
    text = with_survivors(&text, survivors)?;
    fs::write(DOCUMENT, text).with_context(|| format!("cannot write {DOCUMENT}"))?;
    Cmd::new("git").args(["--no-pager", "diff", "--stat", "--", DOCUMENT]).run()?;
    Ok(())
}

/// A few rows of each kind: of as many functions, and noticed by as many guards, as there are.
fn rows_of(all: &[(Mutant, String)]) -> BTreeMap<Kind, String> {
    let mut rows: BTreeMap<Kind, String> = BTreeMap::new();
    for kind in Kind::ALL {
        let (mut functions, mut guards) = (BTreeSet::new(), BTreeSet::new());
        let mut rest: Vec<_> = all.iter().filter(|(mutant, _)| mutant.kind == kind).collect();
        let guard = |by: &str| by.split(['/', ',', ' ']).next().unwrap_or("").to_owned();
        for _ in 0..ROWS {
            let known = |(mutant, by): &(Mutant, String)| {
                (functions.contains(&mutant.function), guards.contains(&guard(by)))
            };
            let Some(best) = (0..rest.len()).min_by_key(|at| (known(rest[*at]), *at)) else { break };
            let (mutant, by) = rest.remove(best);
            functions.insert(mutant.function.clone());
            guards.insert(guard(by));
            let what = mutant.what.replace('|', "\\|");
            let row = rows.entry(kind).or_default();
            let _ = writeln!(row, "| {kind} | `{}`: {what} | {by} |", mutant.function);
        }
    }
    rows
}

/// The document with other rows under `### cpu` in the part that is ours. Kinds of which there is none now keep
/// the rows that they had.
fn with_table(text: &str, cpu: &str, rows: &BTreeMap<Kind, String>) -> Result<String> {
    with_section(text, cpu, |old| {
        let mut table = String::from("\n| kind | what was broken | what noticed |\n|---|---|---|\n");
        for kind in Kind::ALL {
            let had = || old.lines().filter(|line| line.starts_with(&format!("| {kind} |")));
            match rows.get(&kind) {
                Some(rows) => table.push_str(rows),
                None => had().for_each(|line| _ = writeln!(table, "{line}")),
            }
        }
        table
    })
}

/// The document with other rows for these CPUs under [`TOTALS`]: how many there are, and what became of them.
fn with_totals(text: &str, totals: &BTreeMap<&str, (usize, Count)>) -> Result<String> {
    with_section(text, TOTALS, |old| {
        let mut table = String::from(
            "\n| CPU | mutants | tried | noticed | survived | | equivalent | without effect | not built |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        for cpu in TARGETS.iter().map(|target| target.name) {
            let had = || old.lines().filter(|line| line.starts_with(&format!("| {cpu} |")));
            match totals.get(cpu) {
                Some((made, count)) => {
                    let Count { killed, survived, equivalent, same, refused } = count;
                    let (tried, percent) = (count.tried(), count.percent());
                    let _ = writeln!(
                        table,
                        "| {cpu} | {made} | {tried} | {killed} | {survived} | {percent} | {equivalent} | {same} | \
                         {refused} |"
                    );
                }
                None => had().for_each(|line| _ = writeln!(table, "{line}")),
            }
        }
        table
    })
}

/// The document with other rows for these CPUs under [`SURVIVORS`].
fn with_survivors(text: &str, survivors: &BTreeMap<&str, String>) -> Result<String> {
    with_section(text, SURVIVORS, |old| {
        let mut table = String::from("\n| CPU | what was broken | why nobody notices |\n|---|---|---|\n");
        for cpu in TARGETS.iter().map(|target| target.name) {
            let had = || old.lines().filter(|line| line.starts_with(&format!("| {cpu} |")));
            match survivors.get(cpu) {
                Some(rows) => table.push_str(rows),
                None => had().for_each(|line| _ = writeln!(table, "{line}")),
            }
        }
        table
    })
}

/// The document with another text under this headline of the part that is ours, made from what is there.
fn with_section(text: &str, headline: &str, new: impl FnOnce(&str) -> String) -> Result<String> {
    let at = text.find(OURS).with_context(|| format!("{DOCUMENT} has no headline `{}`", OURS.trim()))?;
    let (by_hand, ours) = text.split_at(at + OURS.len());
    let headline = format!("\n### {headline}\n");
    let start = ours.find(&headline).unwrap_or(ours.len());
    let (before, rest) = ours.split_at(start);
    let rest = rest.strip_prefix(headline.as_str()).unwrap_or(rest);
    let (old, after) = rest.split_at(rest.find("\n#").unwrap_or(rest.len()));
    let new = new(old);
    Ok(format!("{by_hand}{before}{headline}{new}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(cpu: &str) -> Vec<Mutant> {
        let path = format!("{}/../arch/src/{cpu}/asm.rs", env!("CARGO_MANIFEST_DIR"));
        make(&fs::read_to_string(path).unwrap(), &dialect(cpu).unwrap()).unwrap()
    }

    fn options(seed: u64) -> Options<'static> {
        Options { sample: Some(10), seed, only: None, write: false, list: false }
    }

    #[test]
    fn each_cpu_has_mutants_of_each_kind_and_function() {
        for target in TARGETS {
            let all = all(target.name);
            for kind in Kind::ALL {
                assert!(all.iter().any(|mutant| mutant.kind == kind), "{}: no {kind}", target.name);
            }
            for function in [
                "asmcgocall",
                "ccall",
                "throw_to",
                "park_light",
                "switch_light",
                "gogo",
                "resume_light",
                "cgocallback",
                "crosscall2",
            ] {
                assert!(all.iter().any(|m| m.function == function), "{}: nothing of {function}", target.name);
            }
            let names: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
            assert_eq!(names.len(), all.len(), "{}: two have one name", target.name);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_sample() {
        let of = |seed| ordered(all("arm"), &options(seed), "arm");
        assert_eq!(of(7)[..10], of(7)[..10]);
        assert_ne!(of(7)[..10], of(8)[..10]);
        let kinds: BTreeSet<_> = of(7)[..5].iter().map(|mutant| mutant.kind).collect();
        assert_eq!(kinds.len(), Kind::ALL.len());
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("park: `a` only after `b`", "park: `a` only after `b`"));
        assert!(matches("*: `a*` only after `*sp*`", "park: `a [x]` only after `mov sp, x`"));
        assert!(!matches("park: `a`", "park: `a` only after `b`"));
        assert!(!matches("*: `c*", "park: `a`"));
    }

    #[test]
    fn survivors_of_other_cpus_stay() {
        let head = "\n| CPU | what was broken | why nobody notices |\n|---|---|---|\n";
        let old =
            format!("{OURS}\n### {SURVIVORS}\n{head}| i386 | old | x |\n| arm | old | y |\n\n### arm\n");
        let new = |rows: &str| with_survivors(&old, &BTreeMap::from([("arm", rows.to_owned())])).unwrap();
        let with =
            |rows: &str| format!("{OURS}\n### {SURVIVORS}\n{head}| i386 | old | x |\n{rows}\n### arm\n");
        assert_eq!(new("| arm | new | z |\n"), with("| arm | new | z |\n"));
        assert_eq!(new(""), with(""));
    }

    #[test]
    fn totals_of_other_cpus_stay() {
        let head = "\n| CPU | mutants | tried | noticed | survived | | equivalent | without effect | not built |\n\
                    |---|---|---|---|---|---|---|---|---|\n";
        let old = format!("{OURS}\n### {TOTALS}\n{head}| arm | old |\n| s390x | old |\n\n### arm\n");
        let count = Count { killed: 19, survived: 1, equivalent: 2, same: 3, refused: 4 };
        let new = with_totals(&old, &BTreeMap::from([("arm", (99, count))])).unwrap();
        let row = "| arm | 99 | 20 | 19 | 1 | 95.0 % | 2 | 3 | 4 |\n";
        assert_eq!(new, format!("{OURS}\n### {TOTALS}\n{head}{row}| s390x | old |\n\n### arm\n"));
    }

    #[test]
    fn a_table_takes_the_place_of_the_old_one_and_of_nothing_else() {
        let by_hand = "# M\n\n## arm\n\nby hand\n\n### arm\n\n| save | by hand |\n";
        let old = "\n### arm\n\n| save | old |\n| CFI line | old |\n\n### s390x\n\n| save | kept |\n";
        let rows = BTreeMap::from([(Kind::Save, "| save | new |\n".to_owned())]);
        let new = with_table(&format!("{by_hand}{OURS}\nWords.\n{old}"), "arm", &rows).unwrap();
        let head = "| kind | what was broken | what noticed |\n|---|---|---|\n";
        let table = format!("\n### arm\n\n{head}| save | new |\n| CFI line | old |\n");
        let after = "\n### s390x\n\n| save | kept |\n";
        assert_eq!(new, format!("{by_hand}{OURS}\nWords.\n{table}{after}"));
        let first = with_table(&format!("{by_hand}{OURS}"), "arm", &rows).unwrap();
        assert_eq!(first, format!("{by_hand}{OURS}\n### arm\n\n{head}| save | new |\n"));
        assert!(with_table(by_hand, "arm", &rows).is_err());
    }
}

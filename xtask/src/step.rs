//! `cargo xtask step`: a backtrace at every instruction of every crossing.
//!
//! The program `steps` of `qemu-tests` runs each crossing on each path, and says which frames have to be
//! seen in each stretch of it. Two views are held against that: gdb's, which knows the unwind tables
//! alone, by stepping over the emulator's stub ([`crate::gdb`], `xtask/scripts/step.py`); and the
//! library's own, from a signal handler at each instruction, by the plugin `sigstep`
//! ([`signal_every_instruction`]), which also calls libc there by every entry of the shim that it may. On the
//! host's own CPU the second view is taken once more without the emulator, by the CPU's own trap after each
//! instruction. An instruction that a view never reached is wrong too, unless [`UNREACHED`] says why nobody can.
//!
//! Then a storm: a timer's signals interrupt all of it, wherever they come, and each trace has to be one that the
//! scenario has there. How many of the instructions they have hit is said. A long storm has to hit every one that can
//! be reached, in the emulator, where each instruction is a block of its own; a short one leaves that to the plugin.

pub mod compare;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use stackgate_arch::frame::SavedBy;

use crate::{
    context::{Context, Tally},
    frames::CPUS,
    gdb::{self, Session},
    guest::{self, Profile, Program},
    plugins::Plugin,
    process::Cmd,
    symbols::Symbols,
    toolchain::Kit,
    ui,
};
pub use compare::{Scenario, Sight, View, compare, parse_expected};

/// Runs the crossings that are stepped through.
const PROGRAM: &str = "steps";

/// Where copies of the program for gdb go.
const DIRECTORY: &str = "target/step";

/// The run on the host's own CPU.
const NATIVE: &str = "native";

/// CPUs that let a program trap itself.
const TRAPPING: &[&str] = &["x86_64"];

/// What drives gdb.
const SCRIPT: &str = "xtask/scripts/step.py";

/// The contract's functions, and the two places where a g goes on. Symbols have [`PREFIX`] before these.
const CROSSINGS: &[&str] = &[
    "getg",
    "setg",
    "asmcgocall",
    "ccall",
    "asmcgocall_catch",
    "throw_to",
    "systemstack",
    "mcall",
    "gogo",
    "mcall_light",
    "resume",
    "park",
    "resume_light",
    "park_light",
    "switch_light",
    "g_start",
    "cgocallback",
    "crosscall2",
    "crosscall2_panic",
    "crosscall1",
    "sigtramp",
];

/// Functions that one CPU has beyond those.
const MORE_CROSSINGS: &[(&str, &str)] = &[("x86_64", "crosscall2_win64")];

/// Of crossings, and of what stands beside them.
pub const PREFIX: &str = "stackgate_";

/// Of the functions of [`PROGRAM`] that have a name in its lists.
const OWN_PREFIX: &str = "step_";

/// Labels inside crossings to which others jump.
const LABELS: &[&str] = &["g_begin", "callback_return"];

/// Crossings that keep only some of the callee-saved registers, whose callers know that, and what comes behind them.
pub const LOSING: [&str; 6] =
    ["resume_light", "park_light", "switch_light", "mcall_light", "gogo", "g_start"];

/// Calls that gdb follows from the high system stack down to a task's only in a copy with other names.
const DOWNWARD: [&str; 3] = ["asmcgocall", "ccall", "systemstack"];

/// Why a global entry is not reached.
const BY_POINTER_ONLY: &str = "makes the TOC for who calls through a pointer, and the scenarios call by name";
/// Why the end of `mcall` is not reached.
const BEHIND_NO_RETURN: &str = "stands behind the call of a function that does not return";

/// Instructions that nobody can reach: the function, how the text of the instruction begins, and why.
const UNREACHED: &[(&str, &str, &str)] = &[
    ("mcall_light", "ud2", BEHIND_NO_RETURN),
    ("mcall_light", "udf", BEHIND_NO_RETURN),
    ("mcall_light", "trap", BEHIND_NO_RETURN),
    // The TOC's restoration that every call through a pointer has behind it on ppc64le.
    ("mcall_light", "ld r2,", BEHIND_NO_RETURN),
    // ppc64le's global entries.
    ("ccall", "lis r2,", BY_POINTER_ONLY),
    ("ccall", "addi r2,r2,", BY_POINTER_ONLY),
    ("resume_light", "lis r2,", BY_POINTER_ONLY),
    ("resume_light", "addi r2,r2,", BY_POINTER_ONLY),
    ("g_start", "nop", "stands before the label, for unwinders that look one byte back"),
];

/// gdb takes seconds; a program that hangs takes longer than this.
const TIME_LIMIT: Duration = Duration::from_secs(170);

/// How long the storm lasts in `ci`.
pub const STORM: Duration = Duration::from_secs(5);

/// And in `ci --long`. Storms that last as long hit each instruction.
pub const LONG_STORM: Duration = Duration::from_secs(60);

/// So many of them may that take.
const MOST_STORMS: usize = 4;

/// A storm with fewer signals was none.
const LEAST_SIGNALS: u64 = 1000;

/// Mistakes are printed up to this number for each CPU; all are counted.
const MOST_PRINTED: usize = 100;

/// What a CPU's run came to.
struct Report {
    functions: usize,
    instructions: usize,
    unreached: Vec<String>,
    wrong: Vec<String>,
    stops: [usize; 2],
    shim_calls: usize,
    elapsed: Duration,
    /// The run without the emulator, if this machine can.
    native: Option<Native>,
    storms: Vec<(&'static str, Storm)>,
}

/// What a storm came to.
#[derive(Default)]
struct Storm {
    signals: u64,
    in_crossings: u64,
    /// Instructions that were hit.
    hit: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl Storm {
    fn merge(&mut self, more: Self) {
        self.signals += more.signals;
        self.in_crossings += more.in_crossings;
        self.hit.extend(more.hit);
        self.wrong.extend(more.wrong);
    }
}

/// What the run without the emulator came to. Its mistakes are among the CPU's.
struct Native {
    stops: usize,
    shim_calls: usize,
    wrong: usize,
    elapsed: Duration,
}

/// Steps through every crossing on the chosen CPUs; the storm on each lasts as long as `storm`.
pub fn step(context: &Context, storm: Duration) -> Result<Tally> {
    let kits = context.kits()?;
    let mut jobs = Vec::new();
    let mut problems = Vec::new();
    Plugin::Sigstep.build()?;
    for kit in &kits.kits {
        match guest::build(kit, Program::Bin(PROGRAM), Profile::Dev) {
            Ok(program) => jobs.push((kit, program)),
            Err(error) => problems.push(format!("{}: {error:#}", kit.target.name)),
        }
    }
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(BTreeMap::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((kit, program)) = jobs.get(at) else { break };
                    let report = step_one(kit, program, storm);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).insert(at, report);
                }
            });
        }
    });

    let mut tally = Tally::default();
    let mut rows = Vec::new();
    let mut storms = Vec::new();
    let (mut functions, mut instructions, mut wrong, mut cpus) = (0, 0, 0, 0);
    for (at, report) in reports.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let name = jobs[at].0.target.name;
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                problems.push(format!("{name}: {error:#}"));
                continue;
            }
        };
        ui::headline(name);
        report.unreached.iter().for_each(|line| ui::say(line));
        report.wrong.iter().take(MOST_PRINTED).for_each(|line| ui::failed(line));
        if report.wrong.len() > MOST_PRINTED {
            ui::say(&format!("and {} more", report.wrong.len() - MOST_PRINTED));
        }
        let native_wrong = report.native.as_ref().map_or(0, |native| native.wrong);
        let storms_wrong: usize = report.storms.iter().map(|(_, storm)| storm.wrong.len()).sum();
        rows.push(vec![
            name.to_owned(),
            format!("{} functions", report.functions),
            format!("{} instructions", report.instructions),
            format!("{} unreached", report.unreached.len()),
            format!("gdb {} stops", report.stops[0]),
            format!("signals {} stops", report.stops[1]),
            format!("{} calls of libc from them", report.shim_calls),
            format!("{} wrong", report.wrong.len() - native_wrong - storms_wrong),
            format!("{:.1} s", report.elapsed.as_secs_f64()),
            ui::verdict(report.wrong.len() == native_wrong + storms_wrong),
        ]);
        if let Some(native) = &report.native {
            rows.push(vec![
                NATIVE.to_owned(),
                format!("{} functions", report.functions),
                format!("{} instructions", report.instructions),
                format!("{} unreached", report.unreached.len()),
                String::new(),
                format!("signals {} stops", native.stops),
                format!("{} calls of libc from them", native.shim_calls),
                format!("{} wrong", native.wrong),
                format!("{:.1} s", native.elapsed.as_secs_f64()),
                ui::verdict(native.wrong == 0),
            ]);
        }
        for (name, storm) in &report.storms {
            let possible = report.instructions - report.unreached.len();
            storms.push(vec![
                (*name).to_owned(),
                format!("{} signals", storm.signals),
                format!("{} in crossings", storm.in_crossings),
                format!("{} of {possible} instructions hit", storm.hit.len()),
                format!("{} wrong", storm.wrong.len()),
                ui::verdict(storm.wrong.is_empty()),
            ]);
        }
        cpus += 1;
        functions += report.functions;
        instructions += report.instructions;
        wrong += report.wrong.len();
        tally.passed += report.functions as u64;
    }
    ui::say("");
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    ui::headline(&format!("a storm of signals, {} s each", storm.as_secs()));
    ui::align(&storms).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    problems.iter().for_each(|problem| ui::failed(problem));
    wrong += problems.len();
    tally.failed = wrong as u64;
    ui::say(&format!(
        "step: {cpus} CPUs, {functions} functions, {instructions} instructions, 2 views, {wrong} wrong"
    ));
    Ok(tally)
}

/// The scenarios of a program, and what it expects of them.
pub fn expected(kit: &Kit, program: &str) -> Result<Vec<Scenario>> {
    parse_expected(&kit.guest(program).arg("--expect").read()?)
}

/// A build of [`PROGRAM`] whose scenarios are looked at.
pub struct Subject<'a> {
    kit: &'a Kit,
    program: &'a str,
    symbols: Symbols,
    /// Of the crossings.
    ranges: Vec<Range<u64>>,
    /// Where its copy for gdb goes.
    directory: &'a str,
    /// For each run of it.
    limit: Duration,
    /// Whether command lines are printed.
    loud: bool,
}

impl<'a> Subject<'a> {
    pub fn new(
        kit: &'a Kit,
        program: &'a str,
        directory: &'a str,
        limit: Duration,
        loud: bool,
    ) -> Result<Self> {
        let symbols = Symbols::read(program)?;
        let ranges = crossing_ranges(&symbols, kit.target.name)?;
        Ok(Self { kit, program, symbols, ranges, directory, limit, loud })
    }

    /// The first thing of these scenarios that one view does not see as it has to be.
    pub fn first_mistake(&self, view: View, scenarios: &[&Scenario]) -> Result<Option<String>> {
        let seen = match view {
            View::Physical => by_gdb(self, scenarios)?,
            View::Logical => by_signals(self, scenarios)?,
        };
        let mistakes = seen.mistakes.into_iter().map(|mistake| mistake.text);
        Ok(mistakes.chain(seen.problems).next())
    }
}

/// Both views of one CPU.
fn step_one(kit: &Kit, program: &str, storm: Duration) -> Result<Report> {
    let start = Instant::now();
    let expected = expected(kit, program)?;
    let expected: Vec<_> = expected.iter().collect();
    let names = crossings_of(kit.target.name);
    let subject = Subject::new(kit, program, DIRECTORY, TIME_LIMIT, true)?;
    let symbols = &subject.symbols;

    let physical = by_gdb(&subject, &expected)?;
    let logical = by_signals(&subject, &expected)?;

    let emulated = start.elapsed();
    let traps = kit.target.is_host() && TRAPPING.contains(&kit.target.name);
    let own = traps.then(|| by_traps(&subject, &expected)).transpose()?;

    let texts = &physical.instructions;
    let mut unreached = BTreeSet::new();
    let mut wrong = Vec::new();
    wrong.extend(physical.wrong(View::Physical, "", symbols, texts, &mut unreached));
    wrong.extend(logical.wrong(View::Logical, "", symbols, texts, &mut unreached));
    let native = own.map(|own| {
        let found = own.wrong(View::Logical, "native: ", symbols, texts, &mut unreached);
        let native = Native {
            stops: own.stops,
            shim_calls: own.shim_calls,
            wrong: found.len(),
            elapsed: start.elapsed() - emulated,
        };
        wrong.extend(found);
        native
    });
    let seconds = storm.as_secs().to_string();
    let emulator = kit.emulator_with_plugins()?.args(["-singlestep", program, "--storm", &seconds]);
    let never = |seen: &Storm| -> Vec<String> {
        let missed = texts.iter().filter(|(at, _)| !seen.hit.contains(at));
        let missed = missed.filter(|(at, text)| unreachable(&name_of(symbols, **at), text).is_none());
        missed.map(|(&at, text)| format!("{}: never hit", place(symbols, at, text))).collect()
    };
    let mut emulated_storm = in_a_storm(&subject, &expected, &emulator, storm)?;
    if storm >= LONG_STORM {
        for _ in 1..MOST_STORMS {
            if never(&emulated_storm).is_empty() {
                break;
            }
            emulated_storm.merge(in_a_storm(&subject, &expected, &emulator, storm)?);
        }
        let missed = never(&emulated_storm);
        emulated_storm.wrong.extend(missed);
    }
    let mut storms = vec![(kit.target.name, emulated_storm)];
    if kit.target.is_host() {
        let own = Cmd::new(program).args(["--storm", &seconds]);
        storms.push((NATIVE, in_a_storm(&subject, &expected, &own, storm)?));
    }
    for (name, seen) in &mut storms {
        seen.hit.retain(|at| texts.contains_key(at));
        wrong.extend(seen.wrong.iter().map(|text| format!("storm, {name}: {text}")));
    }
    Ok(Report {
        storms,
        functions: names.len(),
        instructions: texts.len(),
        unreached: unreached.into_iter().collect(),
        wrong,
        stops: [physical.stops, logical.stops],
        shim_calls: logical.shim_calls,
        elapsed: emulated,
        native,
    })
}

/// The functions of the contract: every crossing but the two places where a g goes on.
#[cfg(test)]
pub fn contract() -> Vec<&'static str> {
    let more = MORE_CROSSINGS.iter().map(|(_, function)| *function);
    CROSSINGS.iter().copied().filter(|c| !["park_return", "g_start"].contains(c)).chain(more).collect()
}

/// A crossing's symbol.
pub fn crossing(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The crossings of a CPU, without [`PREFIX`].
pub fn crossings_of(cpu: &str) -> Vec<&'static str> {
    let more = MORE_CROSSINGS.iter().filter(|(name, _)| *name == cpu).map(|(_, function)| *function);
    CROSSINGS.iter().copied().chain(more).collect()
}

/// Where the crossings of a CPU lie in a program.
pub fn crossing_ranges(symbols: &Symbols, cpu: &str) -> Result<Vec<Range<u64>>> {
    crossings_of(cpu).iter().map(|name| symbols.range(&format!("{PREFIX}{name}"))).collect()
}

/// Why nobody can reach an instruction of `function` that reads `text`, if so it is.
pub fn unreachable(function: &str, text: &str) -> Option<&'static str> {
    let text = one_line(text);
    UNREACHED.iter().find(|(f, start, _)| *f == function && text.starts_with(start)).map(|(_, _, why)| *why)
}

/// The function that an address lies in, as the lists call it.
pub fn name_of(symbols: &Symbols, address: u64) -> String {
    let name = symbols.name_at(address).unwrap_or("?");
    let short = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix(OWN_PREFIX));
    short.unwrap_or(name).to_owned()
}

/// An instruction with single spaces, however the disassembler has set it.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `function+offset (instruction)`.
fn place(symbols: &Symbols, address: u64, text: &str) -> String {
    let function = name_of(symbols, address);
    let start = symbols.range(&format!("{PREFIX}{function}")).map_or(address, |range| range.start);
    format!("{function}+{:#x} ({})", address - start, one_line(text))
}

/// What a view saw.
#[derive(Default)]
struct Seen {
    /// Addresses at which it took a trace.
    seen: BTreeSet<u64>,
    stops: usize,
    /// Calls through the shim that handlers made.
    shim_calls: usize,
    mistakes: Vec<compare::Mistake>,
    /// What is not about one instruction.
    problems: Vec<String>,
    /// Every instruction of the crossings, from gdb.
    instructions: BTreeMap<u64, String>,
}

impl Seen {
    /// Compares one scenario's sights.
    fn judge(&mut self, view: View, scenario: &Scenario, sights: &[Sight]) {
        self.stops += sights.len();
        self.seen.extend(sights.iter().map(|sight| sight.address));
        self.mistakes.extend(compare(view, scenario, sights));
    }

    /// All that is wrong, in words: problems, instructions of `texts` that were never reached, mistakes. `run`
    /// begins each line. What nobody can reach goes to `unreached`.
    fn wrong(
        &self,
        view: View,
        run: &str,
        symbols: &Symbols,
        texts: &BTreeMap<u64, String>,
        unreached: &mut BTreeSet<String>,
    ) -> Vec<String> {
        let mut wrong: Vec<_> = self.problems.iter().map(|problem| format!("{run}{problem}")).collect();
        for (&address, text) in texts.iter().filter(|(address, _)| !self.seen.contains(address)) {
            let place = place(symbols, address, text);
            match unreachable(&name_of(symbols, address), text) {
                Some(why) => _ = unreached.insert(format!("not reached: {place}: {why}")),
                None => wrong.push(format!("{run}{view}: {place}: never reached")),
            }
        }
        wrong.extend(self.mistakes.iter().map(|mistake| {
            let place = mistake.address.map_or_else(String::new, |at| {
                format!("{}: ", place(symbols, at, texts.get(&at).map_or("?", String::as_str)))
            });
            format!("{run}{view}: {place}{}", mistake.text)
        }));
        wrong
    }
}

fn by_gdb(subject: &Subject<'_>, expected: &[&Scenario]) -> Result<Seen> {
    let expected: Vec<_> = expected.iter().copied().filter(|scenario| !scenario.is_of_signals()).collect();
    let Subject { kit, program, symbols, ranges, .. } = subject;
    let copy = gdb::copy_for_stack_changes(kit, program, subject.directory, &DOWNWARD.map(crossing))?;
    let list: Vec<_> = ranges.iter().map(|r| format!("{:x}-{:x}", r.start, r.end)).collect();
    let every = every_symbol(program)?;
    let data: Vec<_> = data_of(program)?
        .iter()
        .filter(|data| ranges.iter().any(|range| range.start < data.end && data.start < range.end))
        .map(|data| format!("{:x}-{:x}", data.start, data.end))
        .collect();
    let mut labels: Vec<_> = LABELS
        .iter()
        .map(|label| {
            let name = format!("{PREFIX}{label}");
            let found = every.iter().find(|(known, _)| *known == name);
            found.map(|(_, range)| format!("{:x}", range.start)).with_context(|| format!("no label {name}"))
        })
        .collect::<Result<_>>()?;
    let starts = local_entries(program)?;
    labels.extend(
        starts.iter().filter(|at| ranges.iter().any(|range| range.contains(at))).map(|at| format!("{at:x}")),
    );
    let marker = |name: &str| Ok::<_, anyhow::Error>(format!("{:x}", symbols.range(name)?.start));
    let args: Vec<_> = expected.iter().map(|scenario| scenario.name.as_str()).collect();
    let session = Session {
        kit,
        program,
        args: &args,
        symbols: &copy,
        script: Path::new(SCRIPT),
        variables: &[
            ("STEP_RANGES", list.join(",")),
            ("STEP_DATA", data.join(",")),
            ("STEP_LABELS", labels.join(",")),
            ("STEP_KEPT", kept_by_gdb_names(kit.target.name).join(",")),
            ("STEP_LOSING", LOSING.map(|name| format!("{PREFIX}{name}")).join(",")),
            ("STEP_BEGIN", marker("step_scenario_begins")?),
            ("STEP_END", marker("step_scenario_ends")?),
        ],
        limit: subject.limit,
        loud: subject.loud,
    };
    let transcript = session.run()?;
    let mut seen = Seen::default();
    let mut sights: Vec<Vec<Sight>> = Vec::new();
    let mut ended = false;
    for line in transcript.gdb.stdout.lines() {
        if line == "scenario" {
            sights.push(Vec::new());
        } else if line == "end" {
            ended = true;
        } else if let Some(rest) = line.strip_prefix("insn ") {
            let mut words = rest.splitn(3, ' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            let address = address.context("an instruction without an address")?;
            seen.instructions.insert(address, words.nth(1).unwrap_or("").to_owned());
        } else if let Some((address, text)) = line.strip_prefix("! ").and_then(|rest| rest.split_once(' ')) {
            if let Some(scenario) = sights.len().checked_sub(1).and_then(|at| expected.get(at)) {
                let address = u64::from_str_radix(address, 16).ok();
                seen.mistakes.push(compare::Mistake { address, text: format!("{}: {text}", scenario.name) });
            }
        } else if let Some(rest) = line.strip_prefix("@ ") {
            let sight = Sight::parse(rest, |at| name_of(symbols, at))?;
            // What is before the first scenario belongs to the set-up.
            if let Some(last) = sights.last_mut() {
                last.push(sight);
            }
        }
    }
    if !ended || !transcript.gdb.success() || !transcript.guest.contains("done") {
        seen.problems.push(format!(
            "gdb: {}; the program {}\n{}{}",
            transcript.gdb.ending(),
            if transcript.guest.contains("done") { "ended well" } else { "did not end well" },
            transcript.gdb.stderr,
            transcript.guest,
        ));
    }
    for (at, scenario) in expected.iter().enumerate() {
        seen.judge(View::Physical, scenario, sights.get(at).map_or(&[][..], Vec::as_slice));
    }
    Ok(seen)
}

/// The callee-saved registers of a CPU, SP aside, whose value in the caller gdb is asked for at each stop.
fn kept_by_gdb_names(cpu: &str) -> Vec<String> {
    let registers = CPUS.iter().find(|known| known.name == cpu).map_or(&[][..], |known| known.registers);
    let kept = registers.iter().filter(|register| register.saved_by == SavedBy::Callee);
    kept.map(|register| match (cpu, register.name.strip_prefix('v')) {
        ("ppc64le", Some(number)) => format!("vr{number}"),
        _ => register.name.to_owned(),
    })
    .collect()
}

fn by_signals(subject: &Subject<'_>, expected: &[&Scenario]) -> Result<Seen> {
    let Subject { kit, program, symbols, ranges, .. } = subject;
    let plan = SignalPlan {
        // The program's own functions too: the first instruction of what they call is seen from there.
        ranges: ranges
            .iter()
            .cloned()
            .chain(every_symbol(program)?.into_iter().filter_map(|(name, range)| {
                let own = name.starts_with(OWN_PREFIX) && !name.starts_with("step_signal");
                // The trampoline that gives `ccall` its function.
                let calls = own || name.contains("ccall_one");
                (calls && !range.is_empty()).then_some(range)
            }))
            .collect(),
        quiet: Some((symbols.range("step_signal")?.start, symbols.range("step_signal_end")?.start)),
    };
    by_handler(subject, expected, &signal_every_instruction(kit, &plan, program)?)
}

/// The same view without the emulator: the CPU traps after each instruction, and says so by SIGTRAP.
fn by_traps(subject: &Subject<'_>, expected: &[&Scenario]) -> Result<Seen> {
    // The kernel takes the trap from a handler.
    let expected: Vec<_> = expected.iter().copied().filter(|scenario| !scenario.is_of_signals()).collect();
    by_handler(subject, &expected, &Cmd::new(subject.program).arg("--trap"))
}

/// What the program's own handler writes while `command` runs each scenario in a process.
fn by_handler(subject: &Subject<'_>, expected: &[&Scenario], command: &Cmd) -> Result<Seen> {
    let Subject { symbols, ranges, .. } = subject;
    let mut seen = Seen::default();
    for scenario in expected {
        let outcome = command.clone().arg(&scenario.name).capture(Some(subject.limit))?;
        let mut sights = Vec::new();
        let mut handlers = 0;
        for line in outcome.stdout.lines().filter_map(|line| line.strip_prefix("@ ")) {
            handlers += 1;
            let sight = Sight::parse(line, |at| name_of(symbols, at))?;
            if ranges.iter().any(|range| range.contains(&sight.address)) {
                sights.push(sight);
            }
        }
        if !outcome.success() || !outcome.stdout.ends_with("done\n") {
            let last: Vec<_> = outcome.stdout.lines().rev().take(2).collect();
            seen.problems.push(format!(
                "{}: {}: {} {}{}",
                View::Logical,
                scenario.name,
                outcome.ending(),
                outcome.stderr,
                last.join(" after "),
            ));
        }
        match shim_calls(&outcome.stdout) {
            Some((said, calls)) if said == handlers && calls >= handlers => seen.shim_calls += calls,
            other => seen.problems.push(format!(
                "{}: {}: {handlers} handlers ran, and of calls through the shim it said {other:?}",
                View::Logical,
                scenario.name,
            )),
        }
        seen.judge(View::Logical, scenario, &sights);
    }
    Ok(seen)
}

/// What the program's handler has seen while a timer's signals came: `COUNT SCENARIO TRACE`, with tabs between, and
/// `storm SIGNALS LOST`.
fn in_a_storm(
    subject: &Subject<'_>,
    expected: &[&Scenario],
    command: &Cmd,
    storm: Duration,
) -> Result<Storm> {
    let outcome = command.capture(Some(subject.limit + storm))?;
    let mut seen = Storm::default();
    let mut said = None;
    for line in outcome.stdout.lines() {
        if let Some((signals, lost)) = line.strip_prefix("storm ").and_then(|rest| rest.split_once(' ')) {
            said = Some((signals.parse::<u64>()?, lost.parse::<u64>()?));
        }
        let mut cells = line.splitn(3, '\t');
        let (Some(count), Some(name), Some(trace)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        let count: u64 = count.parse().with_context(|| format!("no number in `{line}`"))?;
        let trace = trace.strip_prefix("@ ").with_context(|| format!("no trace in `{line}`"))?;
        let sight = Sight::parse(trace, |at| name_of(&subject.symbols, at))?;
        seen.in_crossings += count;
        seen.hit.insert(sight.address);
        let scenario = expected.iter().find(|scenario| scenario.name == name);
        if !scenario.is_some_and(|scenario| scenario.shows(&sight)) {
            let place = place(&subject.symbols, sight.address, "");
            let frames = sight.frames.join(" ");
            seen.wrong.push(format!("{place}: {name}: saw [{frames}] ({}), {count} times", sight.reason));
        }
    }
    match said {
        Some((signals, 0)) if signals >= LEAST_SIGNALS && outcome.success() => seen.signals = signals,
        _ => seen.wrong.push(format!(
            "{}; signals, and those without room: {said:?}; {}",
            outcome.ending(),
            outcome.stderr.trim_end()
        )),
    }
    Ok(seen)
}

/// Handlers that called libc, and how many calls that were: `shim HANDLERS CALLS`.
fn shim_calls(stdout: &str) -> Option<(usize, usize)> {
    let line = stdout.lines().find_map(|line| line.strip_prefix("shim "))?;
    let (handlers, calls) = line.split_once(' ')?;
    Some((handlers.parse().ok()?, calls.parse().ok()?))
}

/// Every symbol of a program, labels too.
fn every_symbol(program: &str) -> Result<Vec<(String, Range<u64>)>> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {program}"))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{program} is no object file"))?;
    // Thumb code is marked in the lowest bit of its address.
    let mark = if file.architecture() == object::Architecture::Arm { 1 } else { 0 };
    let symbols = file.symbols().filter(|symbol| symbol.is_definition());
    Ok(symbols
        .filter_map(|symbol| {
            let start = symbol.address() & !mark;
            Some((symbol.name().ok()?.to_owned(), start..start + symbol.size()))
        })
        .collect())
}

/// Where functions of ppc64le begin for callers that share their TOC, if it is not their first instruction
/// (ELFv2 ABI 3.4.1). Other CPUs have none.
fn local_entries(program: &str) -> Result<Vec<u64>> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {program}"))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{program} is no object file"))?;
    if file.architecture() != object::Architecture::PowerPc64 {
        return Ok(Vec::new());
    }
    let entry = |symbol: object::Symbol<'_, '_>| match symbol.flags() {
        object::SymbolFlags::Elf { st_other, .. } => Some(symbol.address() + local_entry_offset(st_other.0)?),
        _ => None,
    };
    Ok(file.symbols().filter(|symbol| symbol.is_definition()).filter_map(entry).collect())
}

/// How far the local entry is from the global one, if they differ, by the upper bits of `st_other`.
fn local_entry_offset(st_other: u8) -> Option<u64> {
    match st_other >> 5 {
        bits @ 2..=6 => Some(1 << bits),
        _ => None,
    }
}

/// Where constants lie between instructions, by Arm's mapping symbols: from each `$d` to the next `$a`, `$t`
/// or `$x`, or to the end, of the section that the crossings lie in. Other CPUs have none.
pub fn data_of(program: &str) -> Result<Vec<Range<u64>>> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {program}"))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{program} is no object file"))?;
    let Some(crossings) = file.section_by_name("stackgate_text") else { return Ok(Vec::new()) };
    let mut marks = vec![(crossings.index().0, crossings.address() + crossings.size(), false)];
    for symbol in file.symbols() {
        let (Ok(name), Some(section)) = (symbol.name(), symbol.section_index()) else { continue };
        let kind = name.split('.').next().unwrap_or(name);
        if section == crossings.index() && matches!(kind, "$a" | "$t" | "$x" | "$d") {
            marks.push((section.0, symbol.address(), kind == "$d"));
        }
    }
    Ok(data_between(marks))
}

/// The same from the marks and the sections' ends: section, address, and whether constants begin there.
fn data_between(mut marks: Vec<(usize, u64, bool)>) -> Vec<Range<u64>> {
    // Where both are at one address the constants are none.
    marks.sort_unstable_by_key(|&(section, address, constants)| (section, address, !constants));
    marks
        .windows(2)
        .filter(|pair| pair[0].2 && pair[0].0 == pair[1].0)
        .map(|pair| pair[0].1..pair[1].1)
        .filter(|range| !range.is_empty())
        .collect()
}

/// What the plugin `sigstep` is told.
#[derive(Clone, Debug, Default)]
pub struct SignalPlan {
    /// Addresses before whose instructions a signal is raised. The handler sees the instruction
    /// that follows, so that a function's first one is seen only if its caller is here too.
    pub ranges: Vec<Range<u64>>,
    /// First instruction of the handler, and one that it runs last; between them no signal.
    pub quiet: Option<(u64, u64)>,
}

impl SignalPlan {
    /// The plugin's arguments, in its own words.
    fn arguments(&self) -> String {
        let mut text: String =
            self.ranges.iter().map(|range| format!(",range={:x}-{:x}", range.start, range.end)).collect();
        if let Some((pause, resume)) = self.quiet {
            text.push_str(&format!(",pause={pause:x},resume={resume:x}"));
        }
        text
    }
}

/// A guest program that gets SIGUSR1 at each instruction of the plan.
fn signal_every_instruction(kit: &Kit, plan: &SignalPlan, program: &str) -> Result<Cmd> {
    let plugin = Plugin::Sigstep.build()?;
    let emulator = kit.emulator_with_plugins()?;
    let plugin = format!("{plugin}{}", plan.arguments());
    Ok(emulator.args(["-singlestep", "-plugin", &plugin, program]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_spelled_as_the_plugin_reads_it() {
        let plan = SignalPlan { ranges: vec![0x10..0x20, 0x30..0x34], quiet: Some((0x40, 0x50)) };
        assert_eq!(plan.arguments(), ",range=10-20,range=30-34,pause=40,resume=50");
    }

    #[test]
    fn constants_lie_between_marks() {
        let marks =
            vec![(1, 0x10, false), (2, 0x8, true), (1, 0x20, true), (1, 0x30, true), (1, 0x28, false)];
        assert_eq!(data_between(marks), [std::ops::Range { start: 0x20, end: 0x28 }]);
        assert_eq!(
            data_between(vec![(1, 0x20, true), (1, 0x28, false)]),
            [std::ops::Range { start: 0x20, end: 0x28 }]
        );
    }

    #[test]
    fn local_entries_are_decoded() {
        // ELFv2 ABI 3.4.1: 0, 1 and 7 say nothing of another address.
        let offsets = [0, 1, 2, 3, 4, 5, 6, 7].map(|bits: u8| local_entry_offset(bits << 5 | 3));
        assert_eq!(offsets, [None, None, Some(4), Some(8), Some(16), Some(32), Some(64), None]);
    }

    #[test]
    fn one_cpu_has_one_function_more() {
        assert_eq!(crossings_of("s390x").len(), CROSSINGS.len());
        assert_eq!(crossings_of("x86_64").last(), Some(&"crosscall2_win64"));
    }
}

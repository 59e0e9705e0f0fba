//! What a mutant has to get past, in an order in which most fall early: who noticed it in an earlier run, who noticed
//! the function's others of its kind, what is named like the function, then all the rest. A case that executes nothing
//! of the function is not asked; which functions it executes the emulator says, of the programs as they are, when
//! somebody first wants to know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    bench::Built,
    results::Reached,
    source::{Kind, Mutant},
};
use crate::{
    exceptions,
    protocol::{Case, judge, parse_list},
    rows,
    step::{
        self, PREFIX, Subject,
        compare::{Scenario, View},
    },
    symbols::Symbols,
    toolchain::Kit,
};

/// The slowest case takes a few seconds on a busy machine; what takes longer hangs.
const CASE_LIMIT: Duration = Duration::from_secs(20);
/// So long may one view of some scenarios take.
const VIEW_LIMIT: Duration = Duration::from_secs(60);

/// How many scenarios of a function are looked at before its cases are.
const FEW: usize = 2;

/// How many of those that noticed a function's other mutants are asked before all else.
const LEARNED: usize = 3;

/// Groups whose cases notice most are first.
const GROUPS: &[&str] =
    &["registers", "entry", "paths", "nesting", "tasks", "moved stack", "unwinding", "traceback", "numbers"];
/// Groups whose cases read all debug information, for a second and more each, are last; and are left out where only
/// who comes between two instructions can notice, which `step` and the other groups do.
const SLOW_GROUPS: &[&str] = &["symbolizer", "faults"];
/// Groups whose cases read unwind tables, and do not take long about it: nobody else is asked about a line of those.
const READERS: &[&str] = &["unwinding", "towers", "traceback", "moved stack", "jit", "overflow", "signals"];

/// What is written of a CPU's programs when they judge: a result holds as long as none of it changes. The programs
/// themselves belong to it too.
const JUDGES: &[&str] = &[
    include_str!("../gdb.rs"),
    include_str!("../protocol.rs"),
    include_str!("../rows.rs"),
    include_str!("../step.rs"),
    include_str!("../step/compare.rs"),
    include_str!("../../scripts/backtrace.py"),
    include_str!("../../scripts/step.py"),
    include_str!("../../plugins/sigstep.c"),
];

/// Everything that looks at a CPU's crossings.
pub struct Guards<'a> {
    kit: &'a Kit,
    cases: Vec<Case>,
    scenarios: Vec<Scenario>,
    /// The programs as they are.
    original: Built<'a>,
    /// Guards that noticed a mutant, and whether they hold the programs as they are for one too.
    tried: Mutex<BTreeMap<String, bool>>,
    /// Who noticed a function's mutants of a kind, and how many.
    learned: Mutex<BTreeMap<(String, Kind), BTreeMap<String, usize>>>,
    reached: Mutex<Reached>,
}

/// One thing to do.
enum Guard<'a> {
    Case(&'a Case),
    View(View, Vec<&'a Scenario>),
    /// Unwind tables, layouts and instructions against each other.
    Tables,
}

impl Guard<'_> {
    fn is_slow(&self) -> bool {
        matches!(self, Self::Case(case) if SLOW_GROUPS.contains(&case.group()))
    }

    fn reads_tables(&self) -> bool {
        matches!(self, Self::Case(case) if READERS.contains(&case.group()))
    }

    /// No two that look at different things have one; of a case and of one scenario it is what the reports name.
    fn key(&self) -> String {
        match self {
            Self::Case(case) => case.name.clone(),
            Self::View(view, scenarios) => {
                let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
                format!("{}, {}", name_of(*view), names.join(", "))
            }
            Self::Tables => TABLES.to_owned(),
        }
    }
}

/// The name of what looks at unwind tables without running anything.
const TABLES: &str = "check, unwind tables";

/// What stands behind the name of a case that did not end.
const HUNG: &str = ", which hung";

fn name_of(view: View) -> &'static str {
    match view {
        View::Physical => "gdb",
        View::Logical => "signals",
    }
}

impl<'a> Guards<'a> {
    /// Asks the programs as they are. `reached` opens what is known of programs with this text.
    pub fn of(
        kit: &'a Kit,
        original: Built<'a>,
        reached: impl FnOnce(&str) -> Result<Reached>,
    ) -> Result<Self> {
        let mut cases = parse_list(&kit.guest(original.guest()?).arg("--list").read()?)?;
        // What the emulator cannot run notices everything.
        let exceptions = exceptions::read()?;
        cases.retain(|case| exceptions.iter().all(|e| e.cpu != kit.target.name || e.case != case.name));
        let scenarios = step::expected(kit, original.steps()?)?;
        let mut judges: Vec<_> = JUDGES.iter().map(|text| super::results::hash(text.as_bytes())).collect();
        let groups = [GROUPS, SLOW_GROUPS, READERS].map(|groups| groups.join(","));
        judges.push(super::results::hash(groups.join(" ").as_bytes()));
        for path in [original.guest()?, original.steps()?] {
            let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
            judges.push(super::results::hash(&bytes));
        }
        let reached = Mutex::new(reached(&super::results::hash(judges.join(" ").as_bytes()))?);
        Ok(Self {
            kit,
            cases,
            scenarios,
            original,
            tried: Mutex::default(),
            learned: Mutex::default(),
            reached,
        })
    }

    /// Who notices a mutant first, if anybody does. Who does not get past the programs as they are does not
    /// count. `before` noticed it when the guards were others.
    pub fn killer(&self, built: &Built<'_>, mutant: &Mutant, before: Option<&str>) -> Result<Option<String>> {
        for guard in self.order(mutant, before) {
            if let Guard::Case(case) = guard
                && !self.can_notice(case, mutant)?
            {
                continue;
            }
            if let Some(name) = notices(self.kit, built, &guard)?
                && self.holds(self.named(&name).as_ref().unwrap_or(&guard))?
            {
                self.learn(mutant, &name);
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Whether the programs as they are get past it, each guard asked once.
    fn holds(&self, guard: &Guard<'_>) -> Result<bool> {
        // The lock is held meanwhile: nobody else uses the directory of the original's copies.
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(good) = tried.get(&guard.key()) {
            return Ok(*good);
        }
        let good = notices(self.kit, &self.original, guard)?.is_none();
        tried.insert(guard.key(), good);
        Ok(good)
    }

    /// All that judges, in a word.
    pub fn judges(&self) -> String {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).guards.clone()
    }

    /// Guards that the programs as they are do not get past, of those that noticed a mutant.
    pub fn broken(&self) -> Vec<String> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.iter().filter(|(_, good)| !**good).map(|(key, _)| key.clone()).collect()
    }

    /// Remembers who noticed a mutant, now or in a run before this one.
    pub fn learn(&self, mutant: &Mutant, by: &str) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let of = learned.entry((mutant.function.clone(), mutant.kind)).or_default();
        *of.entry(by.trim_end_matches(HUNG).to_owned()).or_default() += 1;
    }

    /// The guard that a report names, if there is one.
    fn named(&self, name: &str) -> Option<Guard<'_>> {
        let name = name.trim_end_matches(HUNG);
        if name == TABLES {
            return Some(Guard::Tables);
        }
        let view = |view| {
            let of = name.strip_prefix(name_of(view))?.strip_prefix(", ")?;
            Some(Guard::View(view, vec![self.scenarios.iter().find(|scenario| scenario.name == of)?]))
        };
        let case = || Some(Guard::Case(self.cases.iter().find(|case| case.name == name)?));
        view(View::Physical).or_else(|| view(View::Logical)).or_else(case)
    }

    /// Whether a case executes anything of the mutant's function: another cannot notice. Unwind tables are read
    /// also of functions that do not run, and what is no crossing may be in any.
    fn can_notice(&self, case: &Case, mutant: &Mutant) -> Result<bool> {
        let function = function_of(mutant);
        if mutant.kind == Kind::Cfi || !step::crossings_of(self.kit.target.name).contains(&function) {
            return Ok(true);
        }
        let known = self.reached.lock().unwrap_or_else(PoisonError::into_inner).of(&case.name, function);
        if let Some(known) = known {
            return Ok(known);
        }
        let functions = self.executes(case)?;
        let reaches = functions.contains(function);
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).add(&case.name, functions)?;
        Ok(reaches)
    }

    /// The crossings that a case executes anything of: the emulator writes each block of instructions when it
    /// comes to it first, also in a process that then dies, or that another one made.
    fn executes(&self, case: &Case) -> Result<BTreeSet<String>> {
        let program = self.original.guest()?;
        let symbols = Symbols::read(program)?;
        let names = step::crossings_of(self.kit.target.name);
        let mut ranges = Vec::new();
        for name in &names {
            ranges.push(symbols.range(&format!("{PREFIX}{name}"))?);
        }
        let filter: Vec<_> =
            ranges.iter().map(|r| format!("{:#x}+{:#x}", r.start, r.end - r.start)).collect();
        let log = tempfile::NamedTempFile::new().context("no temporary file")?;
        let path = log.path().to_string_lossy();
        let mut command = self.kit.guest(program).arg(&case.name);
        command = command.env("QEMU_LOG", "in_asm").env("QEMU_DFILTER", filter.join(","));
        command.env("QEMU_LOG_FILENAME", path).capture(Some(CASE_LIMIT))?;
        let text = fs::read(log.path()).context("what the emulator wrote")?;
        let text = String::from_utf8_lossy(&text);
        let addresses = text.lines().filter_map(|line| {
            let (address, _) = line.strip_prefix("0x")?.split_once(':')?;
            u64::from_str_radix(address, 16).ok()
        });
        let mut functions = BTreeSet::new();
        for address in addresses {
            let at = ranges.iter().position(|range| range.contains(&address));
            functions.extend(at.map(|at| names[at].to_owned()));
        }
        Ok(functions)
    }

    /// Scenarios in which a function is stepped through, the shortest first; all for what is no function.
    fn with(&self, function: &str) -> Vec<&Scenario> {
        let runs =
            |scenario: &&Scenario| scenario.stretches.iter().any(|stretch| stretch.function == function);
        let mut found: Vec<_> = self.scenarios.iter().filter(runs).collect();
        if found.is_empty() {
            found.extend(&self.scenarios);
        }
        found.sort_by_key(|scenario| scenario.stretches.len());
        found
    }

    fn order(&self, mutant: &Mutant, before: Option<&str>) -> Vec<Guard<'_>> {
        let function = function_of(mutant);
        let scenarios = self.with(function);
        let (few, more) = scenarios.split_at(FEW.min(scenarios.len()));
        let words = |name: &str| name.split([' ', '/', ',']).any(|word| word == function);
        // Those that have no cases of their name: where the functions that lead there are named.
        let near = match function {
            "mcall_light" => &["mcall", "gogo"][..],
            "resume_light" | "park_light" | "switch_light" | "g_start" | "gogo" | "mcall" | "resume"
            | "park" => &["tasks", "resume"],
            "sigtramp" => &["signals/"],
            "throw_to" | "asmcgocall_catch" => &["throwing/"],
            _ => &[],
        };
        let is_near = |name: &str| words(name) || near.iter().any(|part| name.contains(part));
        let (named, mut others): (Vec<_>, Vec<_>) = self.cases.iter().partition(|case| is_near(&case.name));
        others.sort_by_key(|case| {
            let slow = SLOW_GROUPS.contains(&case.group());
            (slow, GROUPS.iter().position(|group| *group == case.group()).unwrap_or(GROUPS.len()))
        });
        let named = named.into_iter().map(Guard::Case);
        let others = others.into_iter().map(Guard::Case);
        let view = |view, some: &[&'_ Scenario]| {
            let some: Vec<_> = self.scenarios.iter().filter(|s| some.contains(s)).collect();
            (!some.is_empty()).then_some(Guard::View(view, some))
        };
        let gdb = [view(View::Physical, few), view(View::Physical, more)];
        let signals = [view(View::Logical, few), view(View::Logical, more)];
        let ([gdb, more_gdb], [signals, more_signals]) = (gdb, signals);
        let views = match mutant.kind {
            Kind::Order => [signals, gdb],
            _ => [gdb, signals],
        };
        let more = [more_gdb, more_signals].into_iter().flatten();
        let views = views.into_iter().flatten();
        let tables = [Guard::Tables];
        let rest: Vec<_> = match mutant.kind {
            Kind::Cfi => {
                let readers = named.chain(others).filter(Guard::reads_tables);
                tables.into_iter().chain(views).chain(more).chain(readers).collect()
            }
            Kind::Order => {
                let others = others.filter(|guard| !guard.is_slow());
                views.chain(tables).chain(more).chain(named).chain(others).collect()
            }
            _ => named.chain(views).chain(tables).chain(more).chain(others).collect(),
        };
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let learned = learned.get(&(mutant.function.clone(), mutant.kind));
        let mut learned: Vec<_> = learned.into_iter().flatten().collect();
        learned.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let learned = learned.iter().take(LEARNED).map(|(name, _)| name.as_str());
        let first = before.into_iter().chain(learned).filter_map(|name| self.named(name));
        let mut seen = BTreeSet::new();
        first.chain(rest).filter(|guard| seen.insert(guard.key())).collect()
    }
}

/// C's name of the function, which cases and scenarios have.
fn function_of(mutant: &Mutant) -> &str {
    mutant.function.strip_suffix("_full").unwrap_or(&mutant.function)
}

/// The guard's name if it notices something.
fn notices(kit: &Kit, built: &Built<'_>, guard: &Guard<'_>) -> Result<Option<String>> {
    match guard {
        Guard::Case(case) => {
            let outcome = kit.guest(built.guest()?).arg(&case.name).capture(Some(CASE_LIMIT))?;
            let hung = if outcome.exceeded.is_some() { HUNG } else { "" };
            Ok(judge(&case.expect, &outcome).err().map(|_| format!("{}{hung}", case.name)))
        }
        Guard::Tables => {
            let found = rows::disagreements(kit.target.name, built.steps()?);
            let wrong = found.map_or(true, |(_, wrong)| !wrong.is_empty());
            Ok(wrong.then(|| TABLES.to_owned()))
        }
        Guard::View(view, scenarios) => {
            let copies = format!("{}/step", built.directory);
            // A program without the functions, or that does not even say what it expects, is noticed too.
            let mistake = Subject::new(kit, built.steps()?, &copies, VIEW_LIMIT, false)
                .and_then(|subject| subject.first_mistake(*view, scenarios))
                .unwrap_or_else(|error| Some(format!("{error:#}")));
            Ok(mistake.map(|mistake| {
                let scenario = scenarios.iter().find(|s| mistake.contains(&format!("{}:", s.name)));
                let name = name_of(*view);
                scenario.map_or_else(|| name.to_owned(), |scenario| format!("{name}, {}", scenario.name))
            }))
        }
    }
}

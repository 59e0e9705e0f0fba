//! What a mutant has to get past, in an order in which most fall early.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;

use super::{
    bench::Built,
    source::{Kind, Mutant},
};
use crate::{
    protocol::{Case, judge, parse_list},
    rows,
    step::{
        self, Subject,
        compare::{Scenario, View},
    },
    toolchain::Kit,
};

/// The slowest case takes a few seconds on a busy machine; what takes longer hangs.
const CASE_LIMIT: Duration = Duration::from_secs(20);
/// So long may one view of some scenarios take.
const VIEW_LIMIT: Duration = Duration::from_secs(60);

/// How many scenarios of a function are looked at before its cases are.
const FEW: usize = 2;

/// Groups whose cases notice most are first.
const GROUPS: &[&str] =
    &["registers", "entry", "paths", "nesting", "tasks", "moved stack", "unwinding", "traceback", "numbers"];

/// Everything that looks at a CPU's crossings.
pub struct Guards {
    cases: Vec<Case>,
    scenarios: Vec<Scenario>,
    /// The programs as they are.
    original: Built,
    /// Guards that noticed a mutant, and whether they hold the programs as they are for one too.
    tried: Mutex<BTreeMap<String, bool>>,
}

/// One thing to do.
enum Guard<'a> {
    Case(&'a Case),
    View(View, Vec<&'a Scenario>),
    /// Unwind tables, layouts and instructions against each other.
    Tables,
}

impl Guard<'_> {
    /// No two that look at different things have one.
    fn key(&self) -> String {
        match self {
            Self::Case(case) => case.name.clone(),
            Self::View(view, scenarios) => {
                let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
                format!("{view}: {}", names.join(", "))
            }
            Self::Tables => "unwind tables".to_owned(),
        }
    }
}

impl Guards {
    /// Asks the programs as they are.
    pub fn of(kit: &Kit, original: Built) -> Result<Self> {
        let cases = parse_list(&kit.guest(original.guest()).arg("--list").read()?)?;
        let scenarios = step::expected(kit, original.steps())?;
        Ok(Self { cases, scenarios, original, tried: Mutex::default() })
    }

    /// Who notices a mutant first, if anybody does. Who does not get past the programs as they are does not
    /// count.
    pub fn killer(&self, kit: &Kit, built: &Built, mutant: &Mutant) -> Result<Option<String>> {
        for guard in self.order(mutant) {
            if let Some(name) = notices(kit, built, &guard)?
                && self.holds(kit, &guard)?
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Whether the programs as they are get past it, each guard asked once.
    fn holds(&self, kit: &Kit, guard: &Guard<'_>) -> Result<bool> {
        // The lock is held meanwhile: nobody else uses the directory of the original's copies.
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(good) = tried.get(&guard.key()) {
            return Ok(*good);
        }
        let good = notices(kit, &self.original, guard)?.is_none();
        tried.insert(guard.key(), good);
        Ok(good)
    }

    /// Guards that the programs as they are do not get past, of those that noticed a mutant.
    pub fn broken(&self) -> Vec<String> {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.iter().filter(|(_, good)| !**good).map(|(key, _)| key.clone()).collect()
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

    fn order(&self, mutant: &Mutant) -> Vec<Guard<'_>> {
        // C's name of it is what cases and scenarios have.
        let function = mutant.function.as_str();
        let function = function.strip_suffix("_full").unwrap_or(function);
        let scenarios = self.with(function);
        let (few, more) = scenarios.split_at(FEW.min(scenarios.len()));
        let words = |name: &str| name.split([' ', '/', ',']).any(|word| word == function);
        // The switches and `g_start` have no cases of their name, the functions that lead there have.
        let near = match function {
            "mcall_light" => &["mcall", "gogo"][..],
            "resume_light" | "park_light" | "switch_light" | "g_start" | "gogo" | "mcall" | "resume"
            | "park" => &["tasks", "resume"],
            _ => &[],
        };
        let is_near = |name: &str| words(name) || near.iter().any(|part| name.contains(part));
        let (named, mut others): (Vec<_>, Vec<_>) = self.cases.iter().partition(|case| is_near(&case.name));
        others.sort_by_key(|case| {
            GROUPS.iter().position(|group| *group == case.group()).unwrap_or(GROUPS.len())
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
        match mutant.kind {
            Kind::Cfi | Kind::Order => {
                views.chain([Guard::Tables]).chain(more).chain(named).chain(others).collect()
            }
            _ => named.chain(views).chain([Guard::Tables]).chain(more).chain(others).collect(),
        }
    }
}

/// The guard's name if it notices something.
fn notices(kit: &Kit, built: &Built, guard: &Guard<'_>) -> Result<Option<String>> {
    match guard {
        Guard::Case(case) => {
            let outcome = kit.guest(built.guest()).arg(&case.name).capture(Some(CASE_LIMIT))?;
            let hung = if outcome.exceeded.is_some() { ", which hung" } else { "" };
            Ok(judge(&case.expect, &outcome).err().map(|_| format!("{}{hung}", case.name)))
        }
        Guard::Tables => {
            let found = rows::disagreements(kit.target.name, built.steps());
            let wrong = found.map_or(true, |(_, wrong)| !wrong.is_empty());
            Ok(wrong.then(|| "check, unwind tables".to_owned()))
        }
        Guard::View(view, scenarios) => {
            let copies = format!("{}/step", built.directory);
            // A program without the functions, or that does not even say what it expects, is noticed too.
            let mistake = Subject::new(kit, built.steps(), &copies, VIEW_LIMIT, false)
                .and_then(|subject| subject.first_mistake(*view, scenarios))
                .unwrap_or_else(|error| Some(format!("{error:#}")));
            Ok(mistake.map(|mistake| {
                let scenario = scenarios.iter().find(|s| mistake.contains(&format!("{}:", s.name)));
                let name = match view {
                    View::Physical => "gdb",
                    View::Logical => "signals",
                };
                scenario.map_or_else(|| name.to_owned(), |scenario| format!("{name}, {}", scenario.name))
            }))
        }
    }
}

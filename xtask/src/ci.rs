//! `cargo xtask ci`: everything that must hold, one stage after the other, and where the time went.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    bench::{self, bench},
    check::check,
    context::{Context, Tally},
    count::{self, count},
    debug::{Programs, debug},
    depth::{self, stack_depth},
    dist::dist,
    frames::{Do, frames},
    fuzz, machines, mutants,
    run::{run, run_examples, run_odd},
    setup::setup,
    step::{LONG_STORM, STORM, step},
    targets::TARGETS,
    test::{Choice, test, variants},
    ui,
};

/// How long all of it may take once everything was built before.
const BUDGET: Duration = Duration::from_secs(25 * 60);

/// A stage: its name, and what it does. Only `test` counts cases; any other stage counts as one.
struct Stage {
    name: &'static str,
    work: fn(&Context) -> Result<Tally>,
    counts_cases: bool,
}

const STAGES: &[Stage] = &[
    Stage { name: "setup", work: set_up, counts_cases: false },
    Stage { name: "check", work: |context| check(context, None), counts_cases: false },
    Stage { name: "test", work: |context| test(context, None), counts_cases: true },
    Stage {
        name: "test --variants",
        work: |context| variants(context, &[], Choice::Crossings),
        counts_cases: true,
    },
    Stage { name: "run", work: |context| run(context, None, None), counts_cases: false },
    Stage { name: "run, odd files", work: run_odd, counts_cases: false },
    Stage { name: "run, examples", work: run_examples, counts_cases: false },
    Stage { name: "count", work: counted, counts_cases: false },
    Stage { name: "bench, quick", work: benched, counts_cases: false },
    Stage {
        name: "stack-depth",
        work: |context| stack_depth(context, depth::Do::Check),
        counts_cases: false,
    },
    Stage { name: "step", work: |context| step(context, STORM), counts_cases: false },
    Stage { name: "fuzz", work: fuzzed, counts_cases: false },
    Stage { name: "mutants, a sample", work: broken, counts_cases: false },
    Stage { name: "debug", work: |context| debug(context, Programs::Usual), counts_cases: false },
    Stage { name: "frames", work: framed, counts_cases: false },
    Stage { name: "dist", work: |context| dist(context, true), counts_cases: false },
    Stage { name: "test --machine", work: machines::test, counts_cases: true },
    Stage { name: "run --machine", work: machines::run, counts_cases: false },
    Stage { name: "size", work: |context| machines::size(context, depth::Do::Check), counts_cases: false },
];

/// How long sequences are run in `ci --long`.
const LONG_FUZZ: Duration = Duration::from_secs(10 * 60);

/// So many mutants are tried, the same ones every time.
const MUTANTS: usize = 30;

/// What takes too long for every change.
const LONG_STAGES: &[Stage] = &[
    Stage {
        name: "test --variants, all cases",
        work: |context| variants(context, &[], Choice::All),
        counts_cases: true,
    },
    Stage { name: "run, large file", work: run_large, counts_cases: false },
    Stage { name: "frames, browser", work: browsed, counts_cases: false },
    Stage { name: "step, long storm", work: |context| step(context, LONG_STORM), counts_cases: false },
    Stage { name: "fuzz, any seed", work: fuzzed_long, counts_cases: false },
    Stage {
        name: "fuzz, planted bugs",
        work: |context| fuzz::planted(context, fuzz::SEED),
        counts_cases: false,
    },
    Stage {
        name: "debug, position independent",
        work: |context| debug(context, Programs::All),
        counts_cases: false,
    },
];

/// Whether `cargo xtask NAME` is one of the stages.
pub fn has_stage(name: &str) -> bool {
    STAGES.iter().any(|stage| stage.name == name)
}

/// Installs what any stage needs, all at once. With `--allow-missing` nothing is installed, and each says what it does
/// without.
fn set_up(context: &Context) -> Result<Tally> {
    if !context.allow_missing {
        setup(context, false, false)?;
    }
    Ok(Tally { passed: 1, failed: 0 })
}

fn counted(context: &Context) -> Result<Tally> {
    count(context, &count::Options { check: true, write: false, profile: false, op: None })
}

/// That everybody whom it compares does what it says. Times are another matter, since a machine that runs `ci` may do
/// other things too. On this machine's own CPU, whichever are chosen.
fn benched(context: &Context) -> Result<Tally> {
    let targets = TARGETS.iter().collect();
    let context = Context { targets, root: context.root.clone(), origin: context.origin.clone(), ..*context };
    bench(&context, &bench::Options { check: false, write: false, quick: true, rounds: None })
}

fn fuzzed(context: &Context) -> Result<Tally> {
    let options = fuzz::Options { seed: fuzz::SEED, seconds: fuzz::SECONDS, keep: None, sequences: None };
    fuzz::fuzz(context, &options)
}

/// From a seed that is another one each time, on x86_64.
fn fuzzed_long(context: &Context) -> Result<Tally> {
    let targets = context.targets.iter().copied().filter(|target| target.name == "x86_64").collect();
    let context = Context { targets, root: context.root.clone(), origin: context.origin.clone(), ..*context };
    let options =
        fuzz::Options { seed: fuzz::any_seed(), seconds: LONG_FUZZ.as_secs(), keep: None, sequences: None };
    fuzz::fuzz(&context, &options)
}

fn broken(context: &Context) -> Result<Tally> {
    let options = mutants::Options { sample: Some(MUTANTS), seed: 1, only: None, write: false, list: false };
    mutants::mutants(context, &options)
}

fn framed(context: &Context) -> Result<Tally> {
    frames(context, Do::Check).map(|()| Tally { passed: 1, failed: 0 })
}

fn browsed(context: &Context) -> Result<Tally> {
    frames(context, Do::Browse).map(|()| Tally { passed: 1, failed: 0 })
}

/// Sorts a million lines, 100 MB.
fn run_large(context: &Context) -> Result<Tally> {
    let path = Path::new("target/large.txt");
    let mut text = String::new();
    let mut state: u32 = 1;
    for _ in 0..1_000_000 {
        // A fixed sequence, the same lines every time.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&format!("{state:08x} {:91}\n", "line"));
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    run(context, None, Some(&context.root.join(path)))
}

/// So many failures are told once more at the end.
const TOLD: usize = 50;

/// Runs every stage to its end, whatever became of the others.
pub fn ci(context: &Context, long: bool) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    let start = Instant::now();
    for stage in STAGES.iter().chain(LONG_STAGES.iter().filter(|_| long)) {
        ui::headline(&format!("=== {} ===", stage.name));
        let stage_start = Instant::now();
        let result = (stage.work)(context);
        let took = stage_start.elapsed();
        if let Err(error) = &result {
            ui::failed(&format!("{}: {error:#}", stage.name));
        }
        let own = summarize(&result, stage.counts_cases);
        rows.push((stage.name, took, own));
        tally.merge(own);
    }
    let total = start.elapsed();
    ui::headline("where the time went");
    budget(&rows, total).iter().for_each(|line| ui::say(line));
    if !long && total > BUDGET {
        ui::say(&format!(
            "this took longer than {} minutes; where it does so on a second run too, something belongs into `ci --long`",
            BUDGET.as_secs() / 60
        ));
    }
    let failures = ui::failures();
    if !failures.is_empty() {
        ui::headline("what failed");
        failures.iter().take(TOLD).flat_map(|text| shortened(text)).for_each(|line| ui::say(&line));
        if let Some(more @ 1..) = failures.len().checked_sub(TOLD) {
            ui::say(&format!("and {more} more"));
        }
    }
    ui::say(&tally.to_string());
    Ok(tally)
}

/// The first lines of a failure and its last ones, the whole of which stands further up.
fn shortened(text: &str) -> Vec<String> {
    const FIRST: usize = 12;
    const LAST: usize = 4;
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    if lines.len() > FIRST + LAST + 1 {
        let left_out = lines.len() - FIRST - LAST;
        lines.splice(FIRST..lines.len() - LAST, [format!("    ({left_out} lines)")]);
    }
    lines
}

/// What a stage adds to the total. A stage that did nothing has failed.
fn summarize(result: &Result<Tally>, counts_cases: bool) -> Tally {
    match result {
        Ok(tally) if counts_cases && tally.passed + tally.failed > 0 => *tally,
        Ok(tally) if tally.good() && tally.passed > 0 => Tally { passed: 1, failed: 0 },
        _ => Tally { passed: 0, failed: 1 },
    }
}

fn budget(rows: &[(&str, Duration, Tally)], total: Duration) -> Vec<String> {
    let line = |name: &str, took: Duration, verdict: String| {
        let share = took.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE) * 100.0;
        vec![name.to_owned(), format!("{:.1} s", took.as_secs_f64()), format!("{share:.0} %"), verdict]
    };
    let mut table: Vec<_> =
        rows.iter().map(|(name, took, tally)| line(name, *took, ui::verdict(tally.good()))).collect();
    let of = format!("of {} min", BUDGET.as_secs() / 60);
    table.push(line("all", total, of));
    ui::align(&table)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn long_failures_are_shortened() {
        let lines = |n: u32| (0..n).map(|i| format!("{i}\n")).collect::<String>();
        assert_eq!(shortened(&lines(17)).len(), 17);
        let short = shortened(&lines(50));
        assert_eq!((short.len(), short[12].as_str(), short[16].as_str()), (17, "    (34 lines)", "49"));
    }

    #[test]
    fn a_stage_that_did_nothing_has_failed() {
        let failed = Tally { passed: 0, failed: 1 };
        assert_eq!(summarize(&Ok(Tally::default()), false), failed);
        assert_eq!(summarize(&Ok(Tally::default()), true), failed);
        assert_eq!(summarize(&Err(anyhow!("no")), true), failed);
        assert_eq!(summarize(&Ok(Tally { passed: 6, failed: 1 }), false), failed);
        assert_eq!(summarize(&Ok(Tally { passed: 6, failed: 0 }), false), Tally { passed: 1, failed: 0 });
        assert_eq!(summarize(&Ok(Tally { passed: 6, failed: 2 }), true), Tally { passed: 6, failed: 2 });
    }
}

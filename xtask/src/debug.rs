//! `cargo xtask debug`: the commands that stackgate adds to gdb, tried on every CPU.
//!
//! The program `debugged` of `qemu-tests` prints which of its functions its own tracebacks see, in a callback of
//! a callback and in a parked g; gdb with `core/gdb/stackgate.py` has to see the same, and C's frames between
//! them: over the emulator's stub on every CPU, and where the host is that CPU in a process of its own and in
//! its core file.
//!
//! Then gdb by itself ([`chain`]): its own backtrace, by unwind tables alone, at the top of random towers of managed code
//! and C, out to `main`.

mod chain;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    context::{Context, Tally},
    gdb::{GDB, Session},
    guest::{self, Profile, Program},
    process::{Cmd, find_program},
    toolchain::Kit,
    ui,
};

const PROGRAM: &str = "debugged";
const SCRIPT: &str = "xtask/scripts/debug.py";
const DIRECTORY: &str = "target/debug-sessions";
const LIMIT: Duration = Duration::from_secs(120);

/// Functions of C between each two parts of managed code, innermost first.
const IN_C: [&str; 2] = ["c_inner", "c_outer"];
/// Where the program stops.
const STOPS: [&str; 2] = ["managed", "in_c"];

/// Which programs are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    /// Each CPU's usual ones.
    Usual,
    /// And the position independent ones, for which a standard library is built first.
    All,
}

/// Runs the sessions of the chosen CPUs.
pub fn debug(context: &Context, programs: Programs) -> Result<Tally> {
    let kits = context.kits()?;
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    for kit in &kits.kits {
        let name = kit.target.name;
        let built = guest::build(kit, Program::Bin(PROGRAM), Profile::Dev);
        let mut ways = vec!["remote"];
        if kit.target.is_host() {
            ways.extend(["run", "core"]);
        }
        for way in ways {
            let start = Instant::now();
            let result = built
                .as_ref()
                .map_err(|error| anyhow::anyhow!("{error:#}"))
                .and_then(|program| session(kit, program, way));
            if let Err(error) = &result {
                ui::failed(&format!("{name}, {way}: {error:#}"));
            }
            let shown = result.as_ref().map_or(0, |n| *n);
            tally.add(result.is_ok());
            rows.push(vec![
                name.to_owned(),
                way.to_owned(),
                format!("{shown} tracebacks"),
                ui::seconds(start),
                ui::verdict(result.is_ok()),
            ]);
        }
    }
    chain::chains(context, programs, &kits, &mut tally, &mut rows)?;
    ui::headline("debug");
    ui::align_words(&rows).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    ui::say(&format!("debug: {tally}"));
    Ok(tally)
}

/// One session; how many tracebacks were right.
fn session(kit: &Kit, program: &str, way: &str) -> Result<usize> {
    if find_program(GDB).is_none() {
        bail!("{GDB} is missing; install it: cargo xtask setup");
    }
    std::fs::create_dir_all(DIRECTORY)?;
    let core = format!("{DIRECTORY}/{}.core", kit.target.name);
    let variables = [("DEBUG_MODE", way.to_owned()), ("DEBUG_CORE", core)];
    let (output, said) = if way == "remote" {
        let transcript = Session {
            kit,
            program,
            args: &[],
            symbols: program,
            script: Path::new(SCRIPT),
            variables: &variables,
            limit: LIMIT,
            loud: true,
        }
        .run()?;
        (transcript.gdb, transcript.guest)
    } else {
        let cmd = Cmd::new(GDB).args(["-nx", "-q", "-batch", "-x", SCRIPT, program]);
        let cmd = variables.iter().fold(cmd, |cmd, (name, value)| cmd.env(*name, value));
        cmd.show();
        (cmd.capture(Some(LIMIT))?, kit.guest(program).read()?)
    };
    let shown = parse(&output.stdout);
    let log = format!("{DIRECTORY}/{}-{way}.txt", kit.target.name);
    std::fs::write(&log, format!("{}\n{}\n{said}", output.stdout, output.stderr))?;
    judge(&shown, &said, way).with_context(|| format!("see {log}"))
}

/// What was printed under each heading.
fn parse(output: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut shown = BTreeMap::new();
    let mut what = None;
    for line in output.lines() {
        match (line.strip_prefix("== "), what) {
            (Some(heading), _) => {
                what = Some(heading);
                shown.insert(heading, Vec::new());
            }
            (None, _) if line == "==" => what = None,
            (None, Some(heading)) => shown.entry(heading).or_default().push(line),
            (None, None) => {}
        }
    }
    shown
}

/// The function and whether it is C's, of a line of a traceback.
fn frame(line: &str) -> Option<(&str, bool)> {
    let rest = line.strip_prefix('#')?;
    let mut words = rest.split_whitespace().skip(2);
    Some((words.next()?, line.ends_with("[C]")))
}

/// Holds what gdb shows against what the program says.
fn judge(shown: &BTreeMap<&str, Vec<&str>>, said: &str, way: &str) -> Result<usize> {
    let own = |what: &str| -> Result<Vec<&str>> {
        let line = said.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
        Ok(line
            .with_context(|| format!("the program does not say what it sees {what}"))?
            .split(' ')
            .collect())
    };
    let (running, parked) = (own("running")?, own("parked")?);
    if running.len() < 3 || parked.len() < 2 {
        bail!("the program sees {running:?} and {parked:?}");
    }
    let mut right = 0;
    for stop in STOPS {
        if way == "core" && stop == "managed" {
            continue;
        }
        let get = |what: &str| {
            let heading = format!("{stop} {what}");
            shown.get(&*heading).with_context(|| format!("gdb shows nothing under `{heading}`"))
        };
        // C between each two, and the function at the stop on top.
        let mut wanted = vec![match stop {
            "managed" => ("debug_managed", false),
            _ => ("debug_in_c", true),
        }];
        for (i, function) in running.iter().enumerate() {
            if i > 0 {
                wanted.extend(IN_C.map(|c| (c, true)));
            }
            wanted.push((function, false));
        }
        same(get("running")?, &wanted).with_context(|| format!("{stop}, running"))?;
        let wanted: Vec<_> = parked.iter().map(|function| (*function, false)).collect();
        same(get("parked")?, &wanted).with_context(|| format!("{stop}, parked"))?;
        right += 2;

        let info = get("info")?.join("\n");
        let deep =
            if stop == "managed" { "in managed code, 2 callbacks deep" } else { "in C, 2 callbacks deep" };
        for part in ["m ", "g0 ", "gsignal ", "curg ", "G0", "Gsignal", "Running", "Parked", deep] {
            if !info.contains(part) {
                bail!("{stop}: `info stackgate` does not show `{part}`:\n{info}");
            }
        }
        if !get("gdb")?.first().is_some_and(|line| line.contains(&format!("debug_{stop}"))) {
            bail!("{stop}: the commands leave gdb elsewhere: {:?}", get("gdb")?);
        }
    }
    Ok(right)
}

/// Whether a traceback has these functions of the program in this order, and ends well.
fn same(lines: &[&str], wanted: &[(&str, bool)]) -> Result<()> {
    let ours = |name: &str| name.starts_with("debug_") || IN_C.contains(&name);
    let seen: Vec<_> = lines.iter().filter_map(|line| frame(line)).filter(|(name, _)| ours(name)).collect();
    if seen != wanted {
        bail!("gdb shows {seen:?}\nand not {wanted:?}:\n{}", lines.join("\n"));
    }
    if lines.iter().any(|line| line.starts_with("ends here") || line.starts_with("error")) {
        bail!("the traceback stops early:\n{}", lines.join("\n"));
    }
    if lines.iter().any(|line| line.contains("stackgate_")) {
        bail!("a crossing is shown as a frame:\n{}", lines.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_from_lines() {
        assert_eq!(frame("#0   0x0000000000401000 debug_inner at a.rs:3"), Some(("debug_inner", false)));
        assert_eq!(frame("#12  0x00401000 c_outer [C]"), Some(("c_outer", true)));
        assert_eq!(frame("ends here: no"), None);
    }

    #[test]
    fn an_early_end_and_a_wrong_order_are_mistakes() {
        let wanted = [("debug_a", false), ("c_inner", true)];
        let good = ["#0   0x1 debug_a", "#1   0x2 core::x", "#2   0x3 c_inner [C]"];
        assert!(same(&good, &wanted).is_ok());
        assert!(same(&[&good[..], &["ends here: why"]].concat(), &wanted).is_err());
        assert!(same(&[good[2], good[0]], &wanted).is_err());
        assert!(same(&good[..1], &wanted).is_err());
    }
}

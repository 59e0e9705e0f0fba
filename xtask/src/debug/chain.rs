//! gdb's own backtraces of towers that the program `chain` builds: static and position independent, with the managed
//! stack below the system stack and above.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{DIRECTORY, LIMIT, Programs};
use crate::{
    context::{Context, Kits, Tally},
    gdb::{self, Session},
    guest::{self, Profile, Program},
    step::crossing,
    symbols::Symbols,
    targets,
    toolchain::Kit,
    ui,
};

const PROGRAM: &str = "chain";
const SCRIPT: &str = "xtask/scripts/chain.py";

/// Where the managed stack lies, and the crossings whose callers lie further down then: of these alone gdb accepts it.
const PLACES: [(&str, &[&str]); 2] =
    [("below", &["asmcgocall", "systemstack"]), ("above", &["cgocallback", "g_start"])];

/// Fewer frames in all are no towers.
const LEAST_FRAMES: usize = 60;

/// Functions of towers, by parts of their symbols: what gdb shows of these has to be what was built, and nothing else.
const OF_TOWERS: [&str; 5] = ["tower_o0_", "tower_o2_", "6towers7in_rust", "6towers4runs", "6towers6begins"];
/// The crossings among them.
const CROSSINGS: [&str; 3] = ["asmcgocall", "asmcgocall_catch", "cgocallback"];

/// Functions of the C library that gdb does not find the caller of, by the program's name: what it shows is held against
/// the towers down to there.
const LOST_IN: [(&str, &str); 1] = [
    // Thumb code without `.debug_frame`, which the static library has none of. libgcc goes through it by `.ARM.exidx`.
    ("arm", "msort_with_tmp.part.0"),
];

/// Runs the sessions of the chosen CPUs, each program once as usual and once as its position independent variant.
pub(super) fn chains(
    context: &Context,
    programs: Programs,
    kits: &Kits,
    tally: &mut Tally,
    rows: &mut Vec<Vec<String>>,
) -> Result<()> {
    let independent = targets::variants(&context.targets, &[])?.into_iter();
    let independent: Vec<_> = independent.filter(|v| v.is_pie() && programs == Programs::All).collect();
    let independent = kits.variants(&independent)?;
    for kit in kits.kits.iter().chain(independent.iter().map(|(_, kit)| kit)) {
        let name = kit.variant.map_or(kit.target.name, |variant| variant.name);
        let built = guest::build(kit, Program::Bin(PROGRAM), Profile::Dev);
        for (place, downward) in PLACES {
            let start = Instant::now();
            let result = built
                .as_ref()
                .map_err(|error| anyhow::anyhow!("{error:#}"))
                .and_then(|program| session(kit, name, program, place, downward));
            if let Err(error) = &result {
                ui::failed(&format!("{name}, stack {place}: {error:#}"));
            }
            tally.add(result.is_ok());
            rows.push(vec![
                name.to_owned(),
                format!("gdb alone, stack {place}"),
                result.as_ref().map_or_else(
                    |_| "wrong".to_owned(),
                    |(n, frames)| format!("{n} towers, {frames} frames"),
                ),
                ui::seconds(start),
                ui::verdict(result.is_ok()),
            ]);
        }
    }
    Ok(())
}

/// One session; how many towers gdb has seen, and how many of their frames.
fn session(kit: &Kit, name: &str, program: &str, place: &str, downward: &[&str]) -> Result<(usize, usize)> {
    let directory = format!("{DIRECTORY}/{place}");
    let downward: Vec<_> = downward.iter().map(|name| crossing(name)).collect();
    let copy = gdb::copy_for_stack_changes(kit, program, &directory, &downward)?;
    let transcript = Session {
        kit,
        program,
        args: &[place],
        symbols: &copy,
        script: Path::new(SCRIPT),
        variables: &[],
        limit: LIMIT,
        loud: true,
    }
    .run()?;
    let log = format!("{directory}/{name}.txt");
    let (output, said) = (&transcript.gdb, &transcript.guest);
    std::fs::write(&log, format!("{}\n{}\n{said}", output.stdout, output.stderr))?;
    judge(name, &Symbols::read(program)?, &output.stdout, said).with_context(|| format!("see {log}"))
}

/// Holds gdb's chains against the towers that the program says it has built.
fn judge(program: &str, symbols: &Symbols, shown: &str, said: &str) -> Result<(usize, usize)> {
    let slide = said.lines().find_map(|line| line.strip_prefix("slide ")).context("no slide")?;
    let slide = u64::from_str_radix(slide, 16)?;
    let towers: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("tower ")).collect();
    let chains: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("chain ")).collect();
    ensure!(said.lines().any(|line| line == "end"), "the program did not end well");
    ensure!(
        towers.len() == chains.len() && !towers.is_empty(),
        "{} towers, {} chains",
        towers.len(),
        chains.len()
    );
    let crossings = CROSSINGS.map(crossing);
    let of_tower = |name: &str| {
        crossings.iter().any(|known| known == name) || OF_TOWERS.iter().any(|part| name.contains(part))
    };
    let mut frames = 0;
    for (at, (tower, chain)) in towers.iter().zip(&chains).enumerate() {
        let name = |address: &str| -> Option<&str> {
            symbols.name_at(u64::from_str_radix(address, 16).ok()?.checked_sub(slide)?)
        };
        let (pcs, reason) = chain.rsplit_once(' ').context("no reason")?;
        let mut wanted: Vec<_> = tower.split(' ').filter_map(name).filter(|name| of_tower(name)).collect();
        let all: Vec<_> = pcs.split(' ').map(|pc| name(pc).unwrap_or("?")).collect();
        let seen: Vec<_> = all.iter().copied().filter(|name| of_tower(name)).collect();
        let lost = LOST_IN.iter().any(|(of, function)| *of == program && all.contains(function));
        if lost {
            wanted.truncate(seen.len());
        }
        ensure!(
            seen == wanted,
            "tower {at}: gdb shows {seen:#?}\nand not {wanted:#?}\nof {all:#?}: {reason}"
        );
        // C's, or Rust's, which C's may have left to by a jump.
        let last = all.last().copied().unwrap_or("?");
        if !lost && last != "main" && !all.iter().any(|name| name.ends_with("5chain4main")) {
            bail!("tower {at}: main is not reached: {all:#?}: {reason}");
        }
        frames += wanted.len();
    }
    ensure!(frames >= LEAST_FRAMES, "only {frames} frames in {} towers", towers.len());
    Ok((towers.len(), frames))
}

//! `cargo xtask`: one tool for everything that is done with the workspace.
//!
//! Every command works on the one table of [`targets`], prints the commands it runs before it runs
//! them (`$ ...`), tries every chosen CPU before it gives up, ends with an aligned line for each,
//! and tells by its exit code how it went. `cargo xtask --help` is the manual.

mod bench;
mod check;
mod ci;
mod cli;
mod context;
mod count;
mod debug;
mod depth;
mod dist;
mod documented;
mod exceptions;
mod figures;
mod frames;
mod fuzz;
mod gdb;
mod guest;
mod header;
mod host_tests;
mod known_bugs;
mod list;
mod machines;
mod mutants;
mod packages;
mod plugins;
mod process;
mod protocol;
mod readme;
mod rows;
mod run;
mod setup;
mod step;
mod symbols;
mod sysroot;
mod targets;
mod test;
mod toolchain;
mod ui;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Command};
use context::{Context, Tally};
use test::Choice;

fn main() -> ExitCode {
    if let Some(directory) = std::env::var_os(mutants::RECORD) {
        return mutants::record(directory.as_ref());
    }
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            ui::clear();
            eprintln!("{} {error:#}", ui::red("error:"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; true if everything it did went well.
fn dispatch(cli: Cli) -> Result<bool> {
    process::supervise()?;
    let targets = targets::select(&cli.target)?;
    let context = Context::new(targets, cli.allow_missing)?;
    match cli.command {
        Command::Doctor => setup::doctor(&context).map(|()| true),
        Command::Setup { dry_run, browser } => setup::setup(&context, dry_run, browser).map(|()| true),
        Command::List { json } => list::list(&context, json).map(|()| true),
        Command::Env => list::env(&context).map(|()| true),
        Command::Run { machine: true, .. } => machines::run(&context).map(Tally::good),
        Command::Run { example, file, .. } => {
            run::run(&context, example.as_deref(), file.as_deref()).map(Tally::good)
        }
        Command::Test { machine: true, .. } => machines::test(&context).map(Tally::good),
        Command::Test { variants, variant, filter, .. } if variants || !variant.is_empty() => {
            let choice = filter.as_deref().map_or(Choice::All, Choice::Named);
            test::variants(&context, &variant, choice).map(Tally::good)
        }
        Command::Test { filter, .. } => test::test(&context, filter.as_deref()).map(Tally::good),
        Command::Size { check, write } => machines::size(&context, kept(check, write)).map(Tally::good),
        Command::Frames { check: true, .. } => frames::frames(&context, frames::Do::Check).map(|()| true),
        Command::Frames { write: true, .. } => frames::frames(&context, frames::Do::Write).map(|()| true),
        Command::Frames { browser_test: true, .. } => {
            frames::frames(&context, frames::Do::Browse).map(|()| true)
        }
        Command::Frames { format, .. } => frames::frames(&context, frames::Do::Print(format)).map(|()| true),
        Command::Count { check, write, profile, op } => {
            let options = count::Options { check, write, profile, op: op.as_deref() };
            count::count(&context, &options).map(Tally::good)
        }
        Command::Bench { check, write, quick, rounds } => {
            let options = bench::Options { check, write, quick, rounds: rounds.map(|n| n as usize) };
            bench::bench(&context, &options).map(Tally::good)
        }
        Command::StackDepth { check, write } => {
            depth::stack_depth(&context, kept(check, write)).map(Tally::good)
        }
        Command::Debug => debug::debug(&context, debug::Programs::All).map(Tally::good),
        Command::Step { storm } => step::step(&context, Duration::from_secs(storm)).map(Tally::good),
        Command::Mutants { sample, seed, only, write, list } => {
            let options = mutants::Options { sample, seed, only: only.as_deref(), write, list };
            mutants::mutants(&context, &options).map(Tally::good)
        }
        Command::Fuzz { planted: true, seed, .. } => {
            fuzz::planted(&context, seed.unwrap_or(fuzz::SEED)).map(Tally::good)
        }
        Command::Fuzz { seed, seconds, sequences, keep, .. } => {
            let options = fuzz::Options { seed: seed.unwrap_or(fuzz::SEED), seconds, keep, sequences };
            fuzz::fuzz(&context, &options).map(Tally::good)
        }
        Command::Dist { check } => dist::dist(&context, check).map(Tally::good),
        Command::Check { filter } => check::check(&context, filter.as_deref()).map(Tally::good),
        Command::Ci { long } => ci::ci(&context, long).map(Tally::good),
    }
}

/// What to do with a table that is kept.
fn kept(check: bool, write: bool) -> depth::Do {
    match (check, write) {
        (true, _) => depth::Do::Check,
        (_, true) => depth::Do::Write,
        _ => depth::Do::Print,
    }
}

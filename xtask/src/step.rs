//! `cargo xtask step`: a backtrace at every instruction of every crossing.
//!
//! Two views are held against exact lists: gdb's, which knows the unwind tables alone, by stepping
//! over the emulator's stub ([`crate::gdb`]); and the library's own, from a signal handler at each
//! instruction, by the plugin `sigstep` ([`signal_every_instruction`]).

use std::ops::Range;

use anyhow::{Result, bail};

use crate::{
    context::{Context, Tally},
    guest::PACKAGE,
    plugins::Plugin,
    process::Cmd,
    symbols::Symbols,
    toolchain::Kit,
};

/// Where the program is that runs the crossings to be stepped through.
const PROGRAM: &str = "steps";

/// Steps through every crossing on the chosen CPUs.
pub fn step(context: &Context) -> Result<Tally> {
    let source = context.root.join(PACKAGE).join("src/bin").join(format!("{PROGRAM}.rs"));
    if !source.is_file() {
        bail!("`step` is not available yet: {PACKAGE} has no program `{PROGRAM}` to step through");
    }
    bail!("`step` is not available yet: its two views are not written");
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
    /// All instructions of these functions.
    pub fn of_functions(symbols: &Symbols, names: &[&str]) -> Result<Self> {
        let ranges = names.iter().map(|name| symbols.range(name)).collect::<Result<_>>()?;
        Ok(Self { ranges, quiet: None })
    }

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
pub fn signal_every_instruction(kit: &Kit, plan: &SignalPlan, program: &str) -> Result<Cmd> {
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
}

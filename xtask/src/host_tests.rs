//! The tests that cargo runs: on the host layouts, pure logic, documentation examples; on each CPU those of arch.

use anyhow::Result;

use crate::{context::Tally, guest, process::Cmd, toolchain::Kit, ui};

/// Packages with tests for the host. `qemu-tests` is not among them: its programs are run above.
const PACKAGES: &[&str] = &["stackgate-arch", "stackgate", "stackgate-libc", "xtask"];

/// What of them is not there by default.
pub const FEATURES: [&str; 2] = ["--features", "stackgate-libc/symbolizer"];

/// Runs them and returns their count.
pub fn run() -> Result<Tally> {
    ui::headline("tests on the host");
    let mut cmd = Cmd::new("cargo").args(["test", "--no-fail-fast"]);
    for package in PACKAGES {
        cmd = cmd.args(["--package", package]);
    }
    cmd = cmd.args(FEATURES);
    cmd.show();
    let progress = ui::Progress::spinner("cargo test".to_owned());
    let outcome = cmd.capture(None)?;
    drop(progress);
    let mut tally = parse(&outcome.stdout);
    if !outcome.success() {
        ui::say(outcome.stdout.trim_end());
        ui::say(outcome.stderr.trim_end());
        // A package that does not compile fails without a count.
        tally.failed = tally.failed.max(1);
    } else if tally.passed == 0 {
        ui::say("cargo test passed without running a test");
        tally.failed = 1;
    }
    ui::say(&format!("host  {tally}  {}", ui::verdict(tally.good())));
    Ok(tally)
}

/// Runs the tests of what depends on the CPU on that CPU, and returns their count.
pub fn of_arch(kit: &Kit) -> Result<Tally> {
    let cmd = kit
        .cargo()
        .args(["test", "--package", "stackgate-arch", "--lib", "--target-dir", guest::TARGET_DIRECTORY])
        .args(kit.cargo_options());
    cmd.show();
    let outcome = cmd.capture(None)?;
    let mut tally = parse(&outcome.stdout);
    if !outcome.success() || tally.passed == 0 {
        ui::say(outcome.stdout.trim_end());
        ui::say(outcome.stderr.trim_end());
        tally.failed = tally.failed.max(1);
    }
    Ok(tally)
}

/// Adds up the `test result:` lines.
fn parse(stdout: &str) -> Tally {
    let mut tally = Tally::default();
    for line in stdout.lines().filter(|line| line.starts_with("test result:")) {
        let count = |word: &str| -> u64 {
            let before = line.split(word).next().unwrap_or_default();
            before.split_whitespace().last().and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        tally.passed += count(" passed");
        tally.failed += count(" failed");
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let text = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
            test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(parse(text), Tally { passed: 15, failed: 2 });
        assert_eq!(parse("error: could not compile"), Tally::default());
    }
}

//! Cases that a CPU does not have, or that its emulator cannot run: `qemu-tests/exceptions.toml`, each with
//! its reason.
//!
//! ```toml
//! [[exception]]
//! cpu = "i386"
//! case = "stacks/after fork"
//! emulator = true
//! reason = "the emulator stops in a child of a program with several threads"
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// A CPU, or one of its variants.
    pub cpu: String,
    pub case: String,
    /// True where the CPU has the case and its emulator is at fault, or what a variant is watched by: the case runs
    /// without it, where this machine can.
    #[serde(default)]
    pub emulator: bool,
    pub reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exception: Vec<Exception>,
}

/// Where the exceptions are.
pub const PATH: &str = "qemu-tests/exceptions.toml";

/// Reads the file; where it does not exist there are no exceptions.
pub fn read() -> Result<Vec<Exception>> {
    if !Path::new(PATH).exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    parse(&text).with_context(|| format!("{PATH} is wrong"))
}

fn parse(text: &str) -> Result<Vec<Exception>> {
    let file: File = toml::from_str(text)?;
    if let Some(bare) = file.exception.iter().find(|e| e.reason.trim().is_empty()) {
        bail!("the exception of {} for {} has no reason", bare.cpu, bare.case);
    }
    Ok(file.exception)
}

/// Compares the lists of cases of several columns. Returns a sentence for every difference that
/// no exception declares, and for every exception that declares no difference.
///
/// `lists` holds the names of each column's cases; `complete` says that every column of the table
/// is among them, since only then an exception for an unknown case can be told from one for a
/// case of another CPU.
pub fn differences(
    lists: &BTreeMap<&str, BTreeSet<&str>>,
    exceptions: &[Exception],
    complete: bool,
) -> Vec<String> {
    let union: BTreeSet<&str> = lists.values().flatten().copied().collect();
    let declared =
        |cpu: &str, case: &str| exceptions.iter().any(|e| !e.emulator && e.cpu == cpu && e.case == case);
    let mut found = Vec::new();
    for (cpu, list) in lists {
        for case in union.difference(list).filter(|case| !declared(cpu, case)) {
            found.push(format!("{cpu} has no case {case}, and {PATH} does not say why"));
        }
    }
    for exception in exceptions {
        let used = match lists.get(exception.cpu.as_str()) {
            Some(list) if list.contains(exception.case.as_str()) => exception.emulator,
            Some(_) => !exception.emulator && (!complete || union.contains(exception.case.as_str())),
            None => !complete,
        };
        if !used {
            found.push(format!(
                "the exception of {} for {} in {PATH} is not needed: take it out",
                exception.cpu, exception.case
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(cpu: &str, case: &str) -> Exception {
        Exception { cpu: cpu.into(), case: case.into(), emulator: false, reason: "because".into() }
    }

    fn lists<'a>(all: &[(&'a str, &[&'a str])]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        all.iter().map(|(cpu, cases)| (*cpu, cases.iter().copied().collect())).collect()
    }

    #[test]
    fn the_file_is_read_and_needs_reasons() {
        let text = "[[exception]]\ncpu = \"arm\"\ncase = \"a/b\"\nreason = \"because\"\n";
        assert_eq!(parse(text).unwrap(), [exception("arm", "a/b")]);
        assert_eq!(parse("").unwrap(), []);
        assert!(parse(&text.replace("because", " ")).is_err());
        assert!(parse("[[exceptions]]\n").is_err());
    }

    #[test]
    fn an_undeclared_difference_is_found() {
        let lists = lists(&[("arm", &["a/b"]), ("i386", &["a/b", "a/c"])]);
        let found = differences(&lists, &[], true);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("arm has no case a/c"), "{found:?}");
        assert!(differences(&lists, &[exception("arm", "a/c")], true).is_empty());
    }

    #[test]
    fn an_unused_exception_is_found() {
        let lists = lists(&[("arm", &["a/b"]), ("i386", &["a/b"])]);
        assert_eq!(differences(&lists, &[exception("arm", "a/b")], true).len(), 1);
        assert_eq!(differences(&lists, &[exception("arm", "x/y")], true).len(), 1);
        assert_eq!(differences(&lists, &[exception("mips", "a/b")], true).len(), 1);
        // Another CPU, not looked at now, may have that case.
        assert!(differences(&lists, &[exception("arm", "x/y")], false).is_empty());
        assert!(differences(&lists, &[exception("s390x", "x/y")], false).is_empty());
    }

    #[test]
    fn an_emulator_is_at_fault_for_a_case_that_is_there() {
        let lists = lists(&[("arm", &["a/b"]), ("i386", &["a/b", "a/c"])]);
        let at_fault = |cpu, case| Exception { emulator: true, ..exception(cpu, case) };
        assert!(differences(&lists, &[at_fault("arm", "a/b"), exception("arm", "a/c")], true).is_empty());
        assert_eq!(differences(&lists, &[at_fault("arm", "a/c")], true).len(), 2);
    }
}

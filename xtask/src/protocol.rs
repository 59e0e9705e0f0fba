//! The language between this tool and the test program `guest`.
//!
//! `guest --list` prints a line a case: `group/name`, a tab, and what is expected: `ok`, or
//! `fatal:TEXT` for a case that must die with TEXT on standard error, where ` ... ` stands for whatever
//! comes between two parts. `guest group/name` runs that one case in its process; the last line on
//! standard output is `ok N`, N the number of things that it checked. A program that ends early with exit
//! code 0 has not said so and fails. Lines that begin with `note: ` are figures for people; they are
//! printed below the table.

use anyhow::{Context as _, Result, bail};

use crate::process::Outcome;

/// How a case must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Ok,
    /// By a signal or a non-zero exit, with this text on standard error.
    Fatal(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// `group/name`.
    pub name: String,
    pub expect: Expect,
}

impl Case {
    pub fn group(&self) -> &str {
        self.name.split_once('/').map_or(self.name.as_str(), |(group, _)| group)
    }
}

/// Reads what `guest --list` prints.
pub fn parse_list(text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let (name, expect) = line.split_once('\t').with_context(|| {
            format!("`{line}` is no line of a list of cases (group/name, tab, expectation)")
        })?;
        if !name.split_once('/').is_some_and(|(group, case)| !group.is_empty() && !case.is_empty()) {
            bail!("`{name}` is no name of a case: it must be group/name");
        }
        let expect = match (expect, expect.strip_prefix("fatal:")) {
            ("ok", _) => Expect::Ok,
            (_, Some(text)) if !text.is_empty() => Expect::Fatal(text.to_owned()),
            _ => bail!("case {name} expects `{expect}`, which is neither `ok` nor `fatal:TEXT`"),
        };
        if cases.iter().any(|case| case.name == name) {
            bail!("case {name} is listed twice");
        }
        cases.push(Case { name: name.to_owned(), expect });
    }
    if cases.is_empty() {
        bail!("the list of cases is empty");
    }
    Ok(cases)
}

/// Judges how a case ended: the number of checks it made, or why it failed.
pub fn judge(expect: &Expect, outcome: &Outcome) -> Result<u64, String> {
    if outcome.exceeded.is_some() {
        return Err(outcome.ending());
    }
    match expect {
        Expect::Ok if !outcome.success() => Err(outcome.ending()),
        Expect::Ok => match last_line_checks(&outcome.stdout) {
            Some(0) => Err("it checked nothing (`ok 0`)".to_owned()),
            Some(checks) => Ok(checks),
            None => Err("exit code 0, but the last line is not `ok N`: it ended early".to_owned()),
        },
        Expect::Fatal(text) if outcome.success() => Err(format!("it lived on, but must die with `{text}`")),
        Expect::Fatal(text) if !in_order(&outcome.stderr, text) => {
            Err(format!("{}, but without `{text}` on standard error", outcome.ending()))
        }
        Expect::Fatal(_) => Ok(1),
    }
}

/// Whether the parts of `wanted` occur in `text`, in this order.
fn in_order(text: &str, wanted: &str) -> bool {
    let mut rest = Some(text);
    for part in wanted.split(" ... ") {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some()
}

/// What a case has to say to people.
pub fn notes(stdout: &str) -> impl Iterator<Item = &str> {
    stdout.lines().filter_map(|line| line.strip_prefix("note: "))
}

fn last_line_checks(stdout: &str) -> Option<u64> {
    stdout.lines().last()?.strip_prefix("ok ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

    use super::*;

    fn ended(raw: i32, stdout: &str, stderr: &str) -> Outcome {
        Outcome {
            status: ExitStatus::from_raw(raw),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            exceeded: None,
        }
    }

    #[test]
    fn a_list_is_read() {
        let cases = parse_list("seed/a context\tok\nbad/null-fn\tfatal:null function\n").unwrap();
        assert_eq!(cases[0], Case { name: "seed/a context".into(), expect: Expect::Ok });
        assert_eq!(cases[1].expect, Expect::Fatal("null function".into()));
        assert_eq!(cases[1].group(), "bad");
    }

    #[test]
    fn a_list_with_a_mistake_is_refused() {
        for text in ["", "a/b", "ab\tok", "a/b\tmaybe", "a/b\tfatal:", "a/b\tok\na/b\tok", "a/\tok", "/b\tok"]
        {
            assert!(parse_list(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_a_count_of_checks_is_a_pass() {
        assert_eq!(judge(&Expect::Ok, &ended(0, "noise\nok 3\n", "")), Ok(3));
        assert!(judge(&Expect::Ok, &ended(0, "", "")).is_err());
        assert!(judge(&Expect::Ok, &ended(0, "ok 0\n", "")).is_err());
        assert!(judge(&Expect::Ok, &ended(0, "ok 3\nmore\n", "")).is_err());
        assert!(judge(&Expect::Ok, &ended(1 << 8, "ok 3\n", "")).is_err());
        assert!(judge(&Expect::Ok, &ended(11, "ok 3\n", "")).is_err());
    }

    #[test]
    fn parts_come_in_order() {
        assert!(in_order("one two three", "one") && in_order("one two three", "one ... three"));
        assert!(!in_order("one two three", "two ... one") && !in_order("one", "one ... one"));
    }

    #[test]
    fn notes_are_lines_of_their_own() {
        let found: Vec<_> = notes("note: stack of x 5\nnoise note: no\nnote: two\nok 3\n").collect();
        assert_eq!(found, ["stack of x 5", "two"]);
    }

    #[test]
    fn a_fatal_case_must_die_with_its_text() {
        let expect = Expect::Fatal("no m".into());
        assert_eq!(judge(&expect, &ended(6, "", "fatal: no m here\n")), Ok(1));
        assert_eq!(judge(&expect, &ended(101 << 8, "", "no m")), Ok(1));
        assert!(judge(&expect, &ended(6, "", "something else")).is_err());
        assert!(judge(&expect, &ended(0, "ok 1\n", "no m")).is_err());
    }

    #[test]
    fn running_out_of_time_is_a_failure_whatever_was_printed() {
        let mut outcome = ended(9, "", "no m");
        outcome.exceeded = Some(Duration::from_secs(120));
        assert_eq!(judge(&Expect::Fatal("no m".into()), &outcome), Err("killed after 120 s".into()));
    }
}

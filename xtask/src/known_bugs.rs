//! `qemu-tests/KNOWN-BUGS.md` against the tests that it names.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};

use crate::ci::has_stage;

/// Where the table is.
pub const PATH: &str = "qemu-tests/KNOWN-BUGS.md";

/// How the commands begin that are named.
const COMMAND: &str = "cargo xtask ";
/// What is said against a bug that has no test yet.
const TO_DO: &str = "*to do*";
/// What is said against one that needs none.
const CANNOT_HAPPEN: &str = "cannot happen:";

/// A row: the bug, and what the last column says.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    bug: String,
    here: String,
}

impl Row {
    /// The names in the last column that stand for cases, and those that stand for commands.
    fn named(&self) -> (Vec<&str>, Vec<&str>) {
        let code = self.here.split('`').skip(1).step_by(2);
        let code = code.filter(|name| !name.contains('.') && !name.contains('!') && !name.contains('"'));
        let (cases, rest): (Vec<_>, Vec<_>) = code.partition(|name| name.contains('/'));
        (cases, rest.into_iter().filter(|name| name.starts_with(COMMAND)).collect())
    }
}

/// The rows of every table of the page.
fn rows(text: &str) -> Vec<Row> {
    let cells =
        |line: &str| line.trim_matches('|').split(" | ").map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| bug |"));
    lines
        .filter_map(|line| match &cells(line)[..] {
            [bug, _, here] => Some(Row { bug: bug.clone(), here: here.clone() }),
            _ => None,
        })
        .collect()
}

/// How many bugs there are, and how many of them have something to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub bugs: usize,
    pub to_do: usize,
}

/// Holds the page against the cases that exist and those that did not pass somewhere. Returns a sentence for each
/// difference.
pub fn check(exist: &BTreeSet<&str>, failed: &BTreeSet<&str>) -> Result<(Counts, Vec<String>)> {
    let text = fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    let rows = rows(&text);
    ensure!(!rows.is_empty(), "{PATH} has no row");
    Ok(judge(&rows, exist, failed))
}

fn judge(rows: &[Row], exist: &BTreeSet<&str>, failed: &BTreeSet<&str>) -> (Counts, Vec<String>) {
    let mut counts = Counts { bugs: rows.len(), to_do: 0 };
    let mut wrong = Vec::new();
    for row in rows {
        let (cases, commands) = row.named();
        let to_do = row.here.contains(TO_DO);
        counts.to_do += usize::from(to_do);
        if cases.is_empty() && commands.is_empty() && !to_do && !row.here.contains(CANNOT_HAPPEN) {
            wrong.push(format!("{PATH}: {} names no test and no reason", row.bug));
        }
        for command in commands {
            if !command.strip_prefix(COMMAND).is_some_and(has_stage) {
                wrong.push(format!("{PATH}: {} names `{command}`, which `ci` does not run", row.bug));
            }
        }
        for case in cases {
            if !exist.contains(case) {
                wrong.push(format!("{PATH}: {} names `{case}`, which is no case", row.bug));
            } else if failed.contains(case) {
                wrong.push(format!("{PATH}: {} names `{case}`, which did not pass", row.bug));
            }
        }
    }
    (counts, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_wrong_are_found() {
        let text = "| bug | what | here |\n|---|---|---|\n| 1 | x | `a/b`, `core/x.rs` |\n| 2 | x | `a/c` |\n\
                    | 3 | x | *to do* |\n| 4 | x | cannot happen: no |\n| 5 | x | `cargo xtask step` |\n| 6 | x | hm |\n| 7 | x | `cargo xtask sleep` |\n";
        let rows = rows(text);
        assert_eq!(rows.len(), 7);
        let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        let (counts, wrong) = judge(&rows, &set(&["a/b"]), &set(&[]));
        assert_eq!(counts, Counts { bugs: 7, to_do: 1 });
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].contains("`a/c`, which is no case") && wrong[1].contains("6 names no test"));
        assert_eq!(judge(&rows, &set(&["a/b", "a/c"]), &set(&["a/c"])).1.len(), 3);
    }

    #[test]
    fn the_page_can_be_read() {
        let rows = rows(include_str!("../../qemu-tests/KNOWN-BUGS.md"));
        assert!(rows.len() > 50, "{}", rows.len());
    }
}

//! What was seen against what has to be seen.

use std::fmt;

use anyhow::{Context as _, Result};

/// Whose frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// gdb's, by call frame information.
    Physical,
    /// The library's own, by its iterator.
    Logical,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Physical => "gdb",
            Self::Logical => "logical",
        })
    }
}

/// One stretch of a scenario: while `function` runs, this is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub function: String,
    pub physical: Vec<String>,
    pub logical: Vec<String>,
}

impl Stretch {
    fn list(&self, view: View) -> &[String] {
        match view {
            View::Physical => &self.physical,
            View::Logical => &self.logical,
        }
    }
}

/// A crossing on one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub name: String,
    pub stretches: Vec<Stretch>,
}

impl Scenario {
    /// A signal of the kernel's comes in it, which gdb and the trap do not follow.
    pub fn is_of_signals(&self) -> bool {
        self.stretches.iter().any(|stretch| stretch.physical.is_empty())
    }

    /// Whether it has a stretch that shows this by the library's own view, wherever it lies.
    pub fn shows(&self, sight: &Sight) -> bool {
        self.stretches
            .iter()
            .any(|stretch| stretch.function == sight.function && stretch.logical == sight.frames)
    }
}

/// Reads what the program expects: scenario, function, physical and logical list, with tabs between.
pub fn parse_expected(text: &str) -> Result<Vec<Scenario>> {
    let mut all: Vec<Scenario> = Vec::new();
    for line in text.lines().filter(|line| line.contains('\t')) {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().with_context(|| format!("a cell is missing in `{line}`"));
        let name = cell()?;
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let stretch = Stretch {
            function: cell()?.to_owned(),
            physical: words(cell()?),
            // The last one may be empty, and the reader may have cut the tab.
            logical: words(cell().unwrap_or("")),
        };
        match all.last_mut() {
            Some(last) if last.name == name => last.stretches.push(stretch),
            _ => all.push(Scenario { name: name.to_owned(), stretches: vec![stretch] }),
        }
    }
    Ok(all)
}

/// A trace at one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    pub address: u64,
    pub function: String,
    /// Innermost first, as far as `main`.
    pub frames: Vec<String>,
    /// Why it ended there.
    pub reason: String,
}

/// Frames of C in the library's own view that stand for a context, and the one for a signal.
const C_OF_CONTEXT: u64 = 0xc000;
const C_OF_SIGNAL: u64 = 0xcfff;

impl Sight {
    /// Reads the address, the frames' (`C` before C's, `m` or nothing before the others) and the reason. What
    /// begins with `!` is no frame but says what else is wrong, and so makes the list wrong.
    pub fn parse(line: &str, name_of: impl Fn(u64) -> String) -> Result<Self> {
        let mut words: Vec<_> = line.split_whitespace().collect();
        let reason = words.pop().unwrap_or_default().to_owned();
        let number =
            |text: &str| u64::from_str_radix(text, 16).with_context(|| format!("`{text}` is no address"));
        let address = number(words.first().context("a trace without an address")?)?;
        let mut frames = Vec::new();
        for word in &words[1..] {
            let frame = if word.starts_with('!') {
                (*word).to_owned()
            } else if let Some(c) = word.strip_prefix('C') {
                match number(c)? {
                    C_OF_SIGNAL => "C:signal".to_owned(),
                    at => format!("C:{}", at.wrapping_sub(C_OF_CONTEXT)),
                }
            } else {
                name_of(number(word.strip_prefix('m').unwrap_or(word))?)
            };
            let last = frame == "main";
            frames.push(frame);
            if last {
                break;
            }
        }
        Ok(Self { address, function: name_of(address), frames, reason })
    }
}

/// Something that was not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The instruction, where there is one.
    pub address: Option<u64>,
    pub text: String,
}

/// Goes through the sights of one scenario. Each must show what its stretch says, or the next one's list,
/// which then is the one that counts; each stretch must have been seen. Stretches that differ only in what
/// the other view sees are one.
pub fn compare(view: View, scenario: &Scenario, sights: &[Sight]) -> Vec<Mistake> {
    let mut stretches: Vec<(&str, &[String])> =
        scenario.stretches.iter().map(|stretch| (stretch.function.as_str(), stretch.list(view))).collect();
    stretches.dedup();
    let mut mistakes = Vec::new();
    let mut seen = vec![false; stretches.len()];
    let mut at = 0;
    for sight in sights {
        let runs = |at: usize| stretches.get(at).is_some_and(|(function, _)| *function == sight.function);
        let shows = |at: usize| runs(at) && stretches[at].1 == sight.frames;
        let now = [at, at + 1].into_iter().find(|&at| shows(at)).or_else(|| {
            // The next stretch of this function that shows it: those before are missing, which is said below.
            let first = (at..stretches.len()).find(|&at| runs(at))?;
            (first..stretches.len()).take_while(|&at| runs(at)).find(|&at| shows(at))
        });
        if let Some(now) = now {
            at = now;
            seen[at] = true;
            continue;
        }
        let expected = match (at..stretches.len()).find(|&at| runs(at)) {
            None => "nothing of this function".to_owned(),
            Some(first) => {
                at = first;
                let may_be = [at, at + 1].into_iter().filter(|&at| runs(at));
                may_be.map(|at| bracketed(stretches[at].1)).collect::<Vec<_>>().join(" or ")
            }
        };
        mistakes.push(Mistake {
            address: Some(sight.address),
            text: format!(
                "{}: saw {} ({}), expected {expected}",
                scenario.name,
                bracketed(&sight.frames),
                sight.reason
            ),
        });
    }
    for ((function, list), _) in stretches.iter().zip(&seen).filter(|(_, seen)| !**seen) {
        mistakes.push(Mistake {
            address: None,
            text: format!("{}: {function} never showed {}", scenario.name, bracketed(list)),
        });
    }
    mistakes
}

fn bracketed(frames: &[String]) -> String {
    format!("[{}]", frames.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "park\tpark\tpark task main\ttask\n\
                            park\tpark\tpark main\tmain\n\
                            park\tresume\tresume main\tmain\n\
                            other\tgetg\tgetg main\t";

    fn sight(function: &str, frames: &str) -> Sight {
        Sight {
            address: 16,
            function: function.to_owned(),
            frames: frames.split_whitespace().map(str::to_owned).collect(),
            reason: "End".to_owned(),
        }
    }

    fn mistakes(view: View, sights: &[(&str, &str)]) -> Vec<String> {
        let expected = parse_expected(EXPECTED).unwrap();
        let sights: Vec<_> = sights.iter().map(|(function, frames)| sight(function, frames)).collect();
        compare(view, &expected[0], &sights).into_iter().map(|mistake| mistake.text).collect()
    }

    #[test]
    fn expected_lists_are_read() {
        let expected = parse_expected(EXPECTED).unwrap();
        assert_eq!(expected.len(), 2);
        assert_eq!(expected[0].stretches.len(), 3);
        assert_eq!(expected[0].stretches[0].physical, ["park", "task", "main"]);
        assert!(expected[1].stretches[0].logical.is_empty());
        assert!(parse_expected("name\tgetg").is_err());
    }

    #[test]
    fn traces_are_read_as_far_as_main() {
        let name = |at| match at {
            0x10 => "getg".to_owned(),
            0x20 => "main".to_owned(),
            _ => "start".to_owned(),
        };
        let logical = Sight::parse("10 Cc001 Ccfff m20 m30 End", name).unwrap();
        assert_eq!(logical.frames, ["C:1", "C:signal", "main"]);
        assert_eq!((logical.address, logical.reason.as_str()), (16, "End"));
        let physical = Sight::parse("10 10 c0de 20 30 none", name).unwrap();
        assert_eq!(physical.frames, ["getg", "start", "main"]);
        assert_eq!(Sight::parse("10 !g m20 End", name).unwrap().frames, ["!g", "main"]);
        assert!(Sight::parse("", name).is_err());
        assert!(Sight::parse("10 xyz none", name).is_err());
    }

    #[test]
    fn one_list_after_the_other_is_right() {
        let sights = [
            ("park", "park task main"),
            ("park", "park task main"),
            ("park", "park main"),
            ("resume", "resume main"),
        ];
        assert_eq!(mistakes(View::Physical, &sights), [""; 0]);
    }

    #[test]
    fn stretches_that_one_view_cannot_tell_apart_are_one() {
        let text = "s\tpark\tpark main\ttask\ns\tpark\tpark main\tmain\n";
        let expected = parse_expected(text).unwrap();
        let sights = [sight("park", "park main")];
        assert_eq!(compare(View::Physical, &expected[0], &sights), []);
        assert_eq!(compare(View::Logical, &expected[0], &sights).len(), 3);
    }

    #[test]
    fn an_earlier_list_does_not_come_back() {
        let sights = [
            ("park", "park task main"),
            ("park", "park main"),
            ("park", "park task main"),
            ("resume", "resume main"),
        ];
        let found = mistakes(View::Physical, &sights);
        assert_eq!(found, ["park: saw [park task main] (End), expected [park main]"]);
    }

    #[test]
    fn a_wrong_list_is_shown_with_both_that_are_right() {
        let sights = [("park", "task"), ("park", "?"), ("park", "main"), ("resume", "main")];
        let found = mistakes(View::Logical, &sights);
        assert_eq!(found, ["park: saw [?] (End), expected [task] or [main]"]);
    }

    #[test]
    fn a_list_that_is_never_seen_is_missed() {
        let found = mistakes(View::Physical, &[("park", "park task main"), ("resume", "resume main")]);
        assert_eq!(found, ["park: park never showed [park main]"]);
        assert_eq!(mistakes(View::Physical, &[]).len(), 3);
    }

    #[test]
    fn a_list_that_begins_too_late_is_missed() {
        let found = mistakes(View::Physical, &[("park", "park main"), ("resume", "resume main")]);
        assert_eq!(found, ["park: park never showed [park task main]"]);
    }

    #[test]
    fn a_function_that_has_no_part_in_it_is_wrong() {
        let sights = [("park", "task"), ("park", "main"), ("resume", "main"), ("getg", "main")];
        let found = mistakes(View::Logical, &sights);
        assert_eq!(found, ["park: saw [main] (End), expected nothing of this function"]);
    }
}

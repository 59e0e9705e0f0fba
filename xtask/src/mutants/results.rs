//! What is known from earlier runs: what became of each mutant, and which functions each case executes. Both are
//! files of a line an entry, written as the run goes, so that one that was stopped goes on where it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hasher as _},
    io::Write as _,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Fate;

/// The same for the same bytes.
pub fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{:016x}", hasher.finish())
}

/// What became of a mutant.
#[derive(Deserialize, Serialize)]
struct Entry {
    mutant: String,
    /// Of the text with it.
    text: String,
    /// Of all that judged.
    guards: String,
    fate: Fate,
}

/// What became of a CPU's mutants.
pub struct Results {
    /// By the mutant's name; the last one counts.
    known: BTreeMap<String, Entry>,
    guards: String,
    file: File,
}

impl Results {
    /// Opens those of one CPU; `guards` is the hash of all that judges now.
    pub fn open(directory: &str, guards: &str) -> Result<Self> {
        let path = format!("{directory}/results");
        let entries: Vec<Entry> = lines(&path);
        let known = entries.into_iter().map(|entry| (entry.mutant.clone(), entry)).collect();
        Ok(Self { known, guards: guards.to_owned(), file: append(&path)? })
    }

    /// What became of the mutant when all was as it is now.
    pub fn fate(&self, mutant: &str, text: &str) -> Option<Fate> {
        let entry = self.known.get(mutant)?;
        (entry.guards == self.guards && entry.text == hash(text.as_bytes())).then(|| entry.fate.clone())
    }

    /// Who noticed it last, whatever has changed since.
    pub fn killer(&self, mutant: &str) -> Option<&str> {
        match &self.known.get(mutant)?.fate {
            Fate::Killed(by) => Some(by),
            _ => None,
        }
    }

    pub fn add(&mut self, mutant: &str, text: &str, fate: &Fate) -> Result<()> {
        let entry = Entry {
            mutant: mutant.to_owned(),
            text: hash(text.as_bytes()),
            guards: self.guards.clone(),
            fate: fate.clone(),
        };
        write(&mut self.file, &entry)?;
        self.known.insert(entry.mutant.clone(), entry);
        Ok(())
    }
}

/// The functions that a case executes.
#[derive(Deserialize, Serialize)]
struct Executed {
    case: String,
    functions: BTreeSet<String>,
    guards: String,
}

/// The functions that each case executes, of those that were asked.
pub struct Reached {
    known: BTreeMap<String, BTreeSet<String>>,
    pub guards: String,
    file: File,
}

impl Reached {
    /// Opens what is known of one CPU's programs, if these are those.
    pub fn open(directory: &str, guards: &str) -> Result<Self> {
        let path = format!("{directory}/reached");
        let known = lines::<Executed>(&path).into_iter().filter(|entry| entry.guards == guards);
        let known = known.map(|entry| (entry.case, entry.functions)).collect();
        Ok(Self { known, guards: guards.to_owned(), file: append(&path)? })
    }

    /// Whether a case executes anything of a function, if it is known.
    pub fn of(&self, case: &str, function: &str) -> Option<bool> {
        self.known.get(case).map(|functions| functions.contains(function))
    }

    pub fn add(&mut self, case: &str, functions: BTreeSet<String>) -> Result<()> {
        let entry = Executed { case: case.to_owned(), functions, guards: self.guards.clone() };
        write(&mut self.file, &entry)?;
        self.known.insert(entry.case, entry.functions);
        Ok(())
    }
}

/// The entries of a file; a last line that was cut short is none.
fn lines<T: for<'a> Deserialize<'a>>(path: &str) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn append(path: &str) -> Result<File> {
    OpenOptions::new().append(true).create(true).open(path).with_context(|| format!("cannot write {path}"))
}

fn write(file: &mut File, entry: &impl Serialize) -> Result<()> {
    // A line before it too: the last one may have been cut short.
    let line = format!("\n{}\n", serde_json::to_string(entry)?);
    file.write_all(line.as_bytes()).context("cannot write what is known")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_holds_until_something_changes() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().to_str().unwrap();
        let mut results = Results::open(directory, "guards").unwrap();
        let killed = Fate::Killed("a case".to_owned());
        results.add("m", "text", &killed).unwrap();
        results.add("n", "text", &Fate::Survived).unwrap();
        let mut cut = append(&format!("{directory}/results")).unwrap();
        cut.write_all(b"{\"mutant\": \"m").unwrap();

        let mut results = Results::open(directory, "guards").unwrap();
        assert_eq!(results.fate("m", "text"), Some(killed));
        assert_eq!(results.fate("n", "text"), Some(Fate::Survived));
        assert_eq!(results.fate("m", "other text"), None);
        assert_eq!(results.killer("n"), None);
        results.add("n", "text", &Fate::Same).unwrap();

        let results = Results::open(directory, "other guards").unwrap();
        assert_eq!(results.fate("m", "text"), None);
        assert_eq!(results.killer("m"), Some("a case"));
        assert_eq!(results.known["n"].fate, Fate::Same);
    }

    #[test]
    fn functions_are_those_of_the_same_programs() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().to_str().unwrap();
        let mut reached = Reached::open(directory, "guards").unwrap();
        reached.add("a case", BTreeSet::from(["park".to_owned()])).unwrap();
        let reached = Reached::open(directory, "guards").unwrap();
        assert_eq!(reached.of("a case", "park"), Some(true));
        assert_eq!(reached.of("a case", "resume"), Some(false));
        assert_eq!(reached.of("another", "park"), None);
        assert_eq!(Reached::open(directory, "others").unwrap().of("a case", "park"), None);
    }
}

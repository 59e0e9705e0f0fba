//! What documentation has to say of every public function: on which stack it may run, and whether a signal handler may
//! call it. The function says so itself, or its type or module does for all of them.
//!
//! Read from what rustdoc knows of a CPU's crates, so that what is re-exported counts where readers find it. That
//! errors and safety have their sections is for clippy to see.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    guest::TARGET_DIRECTORY,
    toolchain::{Kit, cargo_variable},
    ui,
};

/// One of these is in the text about stacks.
const STACK: &[&str] = &["runs on", "run on", "runs where", "run where", "called on", "any stack"];
/// And of these in that about signals.
const SIGNAL: &[&str] = &["signal handler"];

/// A public function that does not say all.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Silent {
    path: String,
    missing: &'static str,
}

/// Documents packages for one CPU, as docs.rs does, and reads what their public functions say.
pub fn documented(kit: &Kit, packages: &[&str]) -> Result<()> {
    let flags = cargo_variable(kit.target.triple, "RUSTFLAGS");
    let variables = kit.variables();
    let (_, flags) = variables.iter().find(|(name, _)| *name == flags).context("a CPU without flags")?;
    let (mut functions, mut silent) = (0, BTreeSet::new());
    for package in packages {
        // rustdoc says more than its pages hold to who asks for what is not stable yet.
        let mut cmd = kit
            .cargo()
            .env("RUSTDOC", kit.rustc.sysroot.join("bin/rustdoc").to_string_lossy())
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTDOCFLAGS", format!("{flags} -D warnings -Z unstable-options --output-format json"))
            .args(["rustdoc", "--package", package, "--target-dir", TARGET_DIRECTORY]);
        if *package == "stackgate-libc" {
            cmd = cmd.args(["--features", "symbolizer"]);
        }
        cmd.args(kit.cargo_options()).run()?;
        let path = format!("{TARGET_DIRECTORY}/{}/doc/{}.json", kit.target.triple, package.replace('-', "_"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let before = functions;
        read(&serde_json::from_str(&text)?, &mut functions, &mut silent)?;
        if functions == before {
            bail!("{path}: no public function was found: rustdoc writes another form");
        }
    }
    for Silent { path, missing } in &silent {
        ui::failed(&format!("{}: {path}: nothing is said of {missing}", kit.target.name));
    }
    if !silent.is_empty() {
        bail!("{} of {functions} public functions do not say where they may run", silent.len());
    }
    Ok(())
}

/// Finds a crate's public functions, by every path that leads to them, and those that are silent.
fn read(json: &Value, functions: &mut usize, silent: &mut BTreeSet<Silent>) -> Result<()> {
    let reader = Reader { index: &json["index"] };
    let root = reader.item(&json["root"]).context("no crate in rustdoc's text")?;
    let name = text(&root["name"]).to_owned();
    let items = root["inner"]["module"]["items"].as_array().context("a crate without a module")?;
    for item in items {
        // What the crate's page says of all is too far from each.
        reader.walk(item, &name, &[], functions, silent);
    }
    Ok(())
}

struct Reader<'a> {
    index: &'a Value,
}

impl<'a> Reader<'a> {
    /// An item by its id, which is a number or, in older forms, a text.
    fn item(&self, id: &Value) -> Option<&'a Value> {
        let key = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        self.index.get(key)
    }

    fn walk(
        &self,
        id: &Value,
        within: &str,
        above: &[&'a str],
        functions: &mut usize,
        silent: &mut BTreeSet<Silent>,
    ) {
        // What another crate defines is that one's affair.
        let Some(item) = self.item(id).filter(|item| item["crate_id"] == 0) else { return };
        let inner = &item["inner"];
        if !inner["use"].is_null() {
            return self.walk(&inner["use"]["id"], within, above, functions, silent);
        }
        if item["visibility"] != "public" && item["visibility"] != "default" {
            return;
        }
        let docs = text(&item["docs"]);
        let path = format!("{within}::{}", text(&item["name"]));
        let deeper: Vec<_> = above.iter().copied().chain([docs]).collect();
        if !inner["function"].is_null() {
            *functions += 1;
            let said = deeper.join("\n").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            for (words, missing) in [(STACK, "the stack"), (SIGNAL, "signal handlers")] {
                if !words.iter().any(|word| said.contains(word)) {
                    silent.insert(Silent { path: path.clone(), missing });
                }
            }
        }
        let members =
            [&inner["module"]["items"], &inner["trait"]["items"]].into_iter().filter_map(Value::as_array);
        for member in members.flatten() {
            self.walk(member, &path, &deeper, functions, silent);
        }
        let types =
            ["struct", "enum", "union"].into_iter().filter_map(|kind| inner[kind]["impls"].as_array());
        for block in types.flatten().filter_map(|id| self.item(id)) {
            let block = &block["inner"]["impl"];
            // What a trait asks for, its own documentation says.
            let own = block["items"].as_array().filter(|_| block["trait"].is_null());
            for member in own.into_iter().flatten() {
                self.walk(member, &path, &deeper, functions, silent);
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stackgate_libc::raw::ENTRIES;
    use syn::{Attribute, Expr, Item, ItemFn, Lit, Meta};

    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn a_function_that_says_nothing_is_found() {
        let item = |name: &str, docs: &str, inner: Value| json!({"crate_id": 0, "name": name, "docs": docs, "visibility": "public", "inner": inner});
        let json = json!({"root": 0, "index": {
            "0": item("c", "Runs on any stack; safe in a signal handler.", json!({"module": {"items": [1, 2, 3]}})),
            "1": item("f", "It runs on any\nstack.", json!({"function": {}})),
            "2": item("m", "All is safe in a signal handler, on any stack.", json!({"module": {"items": [4, 6]}})),
            "3": item("", "", json!({"use": {"id": 6}})),
            "4": item("T", "", json!({"struct": {"impls": [5]}})),
            "5": item("", "", json!({"impl": {"trait": null, "items": [6]}})),
            "6": item("g", "It does.", json!({"function": {}})),
        }});
        let (mut functions, mut silent) = (0, BTreeSet::new());
        read(&json, &mut functions, &mut silent).unwrap();
        let found = |path: &str, missing| Silent { path: path.to_owned(), missing };
        let expected =
            [found("c::f", "signal handlers"), found("c::g", "signal handlers"), found("c::g", "the stack")];
        assert_eq!((functions, silent), (4, BTreeSet::from(expected)));
    }

    /// What the documentation of libc's functions says of signal handlers is what the table says.
    #[test]
    fn libc_functions_say_of_handlers_what_the_table_says() {
        let mut seen = BTreeSet::new();
        for path in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../libc-shim/src")).unwrap() {
            let path = path.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            for item in syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap().items {
                let Item::Fn(ItemFn { attrs, sig, vis: syn::Visibility::Public(_), .. }) = item else {
                    continue;
                };
                let docs: Vec<_> = attrs.iter().filter_map(doc).collect();
                let manual = docs.first().and_then(|line| line.trim().strip_prefix('`')?.split_once('('));
                let entry = manual.and_then(|(name, _)| ENTRIES.iter().find(|entry| entry.name == name));
                let Some(entry) = entry else { continue };
                let says = docs.join("\n").to_lowercase().contains("safe in a signal handler");
                assert_eq!(says, entry.handler_safe, "{}: {}", path.display(), sig.ident);
                seen.insert(entry.name);
            }
        }
        assert!(seen.len() > ENTRIES.len() / 2, "{seen:?}");
    }

    /// A line of documentation.
    fn doc(attribute: &Attribute) -> Option<String> {
        match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// docs.rs makes pages for every CPU, and those of x86_64 are what it shows first.
    #[test]
    fn packages_are_documented_for_every_cpu() {
        for package in ["arch", "core", "libc-shim"] {
            let path = format!("{}/../{package}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
            let manifest: toml::Value = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            let targets = manifest["package"]["metadata"]["docs"]["rs"]["targets"].as_array().unwrap();
            let targets: Vec<_> = targets.iter().filter_map(toml::Value::as_str).collect();
            let all: BTreeSet<_> = TARGETS.iter().map(|target| target.triple).collect();
            assert_eq!(targets.iter().copied().collect::<BTreeSet<_>>(), all, "{package}");
            assert_eq!(targets[0], "x86_64-unknown-linux-gnu", "{package}");
        }
    }
}

//! The program of `linker/README.md`, from the page alone: its files are written into an empty directory, beside a
//! link to this checkout, and the page's command builds and boots it.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{process::Cmd, ui};

/// The page.
const PAGE: &str = "linker/README.md";

/// A build of `core` and of the program, and a boot.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// What the page makes a reader do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    /// Names and texts: a block belongs to the name in bold at the start of the paragraph before it.
    files: Vec<(String, String)>,
    /// What is typed, and what is then seen.
    command: String,
    output: String,
}

impl Page {
    fn read(text: &str) -> Result<Self> {
        let mut page = Self::default();
        let mut name = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some((bold, _)) = line.strip_prefix("**`").and_then(|rest| rest.split_once("`**")) {
                name = Some(bold.to_owned());
            } else if let Some(language) = line.strip_prefix("```") {
                let block: String =
                    lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
                if let Some(name) = name.take() {
                    page.files.push((name, block));
                } else if language == "console" {
                    let (command, output) = block.split_once('\n').unwrap_or_default();
                    let command =
                        command.strip_prefix("$ ").context("a console block begins with a command")?;
                    ensure!(page.command.is_empty(), "two console blocks");
                    (page.command, page.output) = (command.to_owned(), output.to_owned());
                } else {
                    bail!("a block of {language} has no name in bold before it");
                }
            }
        }
        ensure!(!page.files.is_empty() && !page.output.is_empty(), "no files, or no command with its output");
        Ok(page)
    }
}

/// Does what the page says. The emulator is called `qemu` there; `variables` select the compiler and what it builds.
pub fn program(
    root: &Path,
    target_directory: &str,
    qemu: (&str, &Cmd),
    variables: &[(String, String)],
) -> Result<()> {
    let text = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
    let page = Page::read(&text).with_context(|| PAGE.to_owned())?;
    let place = root.join(target_directory).join("readme");
    let (own, tools) = (place.join("myboard"), place.join("tools"));
    // What an earlier page said is gone.
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&tools)?;
    symlink(root, place.join("stackgate"))?;
    for (name, block) in &page.files {
        let file = own.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&own))?;
        fs::write(&file, block).with_context(|| format!("cannot write {}", file.display()))?;
    }
    // The same dependencies as elsewhere, whatever is the newest today.
    fs::copy("qemu-tests/bare-metal/Cargo.lock", own.join("Cargo.lock"))?;
    // The emulator may be unpacked, with libraries that are for nobody else.
    let (name, emulator) = qemu;
    let script = tools.join(name);
    fs::write(&script, format!("#!/bin/sh\nexec env {emulator} \"$@\"\n"))?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut words = page.command.split_whitespace();
    let cmd = Cmd::new(words.next().unwrap_or_default()).args(words).directory(&own);
    let cmd = cmd.env("CARGO_TARGET_DIR", root.join(target_directory).to_string_lossy());
    let cmd = cmd.env("PATH", format!("{}:{path}", tools.display()));
    let cmd = variables.iter().fold(cmd, |cmd, (name, value)| cmd.env(name, value));
    cmd.show();
    let outcome = cmd.capture(Some(TIME_LIMIT))?;
    if outcome.stdout != page.output || !outcome.success() {
        bail!(
            "`{}` ended with {} and printed\n{}where {PAGE} has\n{}{}",
            page.command,
            outcome.ending(),
            outcome.stdout,
            page.output,
            outcome.stderr.trim_end(),
        );
    }
    ui::say(&format!("{PAGE}: {} files; {}", page.files.len(), page.output.trim_end()));
    Ok(())
}

/// The C program of `README.md`.
pub fn c_program(text: &str) -> Result<&str> {
    let code = text.split("```c\n").nth(1).and_then(|rest| rest.split("```").next());
    code.context("README.md has no block of C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_belong_to_the_names_before_them() {
        let text = "**`a/b.rs`** is this,\nit is.\n\n```rust\nfn f() {}\n\n```\n\nThen\n\n```console\n$ run it\nyes\n```\n";
        let page = Page::read(text).unwrap();
        assert_eq!(page.files, [("a/b.rs".to_owned(), "fn f() {}\n\n".to_owned())]);
        assert_eq!((page.command.as_str(), page.output.as_str()), ("run it", "yes\n"));
        assert!(Page::read(&text.replace("**", "")).is_err(), "a block without a name");
        assert!(Page::read(&text.replace("yes\n", "")).is_err(), "nothing is expected");
    }

    #[test]
    fn the_page_can_be_read() {
        let page = Page::read(include_str!("../../linker/README.md")).unwrap();
        assert!(page.files.iter().any(|(name, _)| name == "Cargo.toml"));
    }
}

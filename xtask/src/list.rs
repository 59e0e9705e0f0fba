//! `list`: the table of targets, for people and for programs; `env`: one row of it for a shell.

use anyhow::Result;

use crate::{context::Context, ui};

/// Prints the chosen targets, with `json` as an array of objects.
pub fn list(context: &Context, json: bool) -> Result<()> {
    if json {
        ui::say(&serde_json::to_string_pretty(&context.targets)?);
        return Ok(());
    }
    let head = ["name", "triple", "bits", "byte order", "emulator", "linker"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for target in &context.targets {
        rows.push(vec![
            target.name.to_owned(),
            target.triple.to_owned(),
            target.bits.to_string(),
            target.endian.to_owned(),
            format!("qemu-{}", target.qemu),
            target.tool("gcc"),
        ]);
    }
    ui::align_words(&rows).iter().for_each(|line| ui::say(line));
    Ok(())
}

/// Prints what a shell needs to call cargo for the chosen targets exactly as this tool does.
pub fn env(context: &Context) -> Result<()> {
    for kit in context.kits()?.kits {
        ui::say(&format!("# {}: cargo build {}", kit.target.name, kit.cargo_options().join(" ")));
        for (name, value) in kit.variables() {
            ui::say(&format!("export {name}='{value}'"));
        }
    }
    Ok(())
}

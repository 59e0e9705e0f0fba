//! `cargo xtask frames`: what is generated from the layouts.
//!
//! The tables of `arch/docs/`, which rustdoc includes, the C header, the offsets of the gdb script and the page
//! come from `LAYOUTS` and from nothing else; `--check` generates what is committed again and compares.

mod answers;
mod browser;
mod html;
mod story;
mod svg;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use stackgate_arch::frame::{Layout, On, Register, SavedBy};
use stackgate_arch::lineage::{Lineage, NO_COUNTERPART, Then};
use stackgate_arch::unwind::RecordForm;
use stackgate_arch::{Cpu, arm, arm64, i386, ppc64le, s390x, x86_64};

use crate::cli::FramesFormat;
use crate::context::Context;
use crate::header;

/// What `frames` knows of a CPU.
pub struct Described {
    /// As targets call it.
    pub name: &'static str,
    /// Every structure and frame.
    pub layouts: &'static [Layout],
    /// Those of the seed.
    pub seed: &'static [Layout],
    /// Ours beside those of the seed and of Go today.
    pub lineage: &'static [Lineage],
    /// How code keeps frame records.
    pub record: RecordForm,
    /// Every register that they name.
    pub registers: &'static [Register],
    /// The size of a machine word.
    pub word: usize,
    /// What an interrupt takes of a managed stack where there is no operating system.
    pub interrupt_reserve: usize,
    /// How far below its `BaseFrame` a g that has not run yet has its `SwitchFrame`.
    pub begin_below_base: usize,
}

macro_rules! described {
    ($($cpu:ident),*) => {
        &[$(Described {
            name: <$cpu::frame::ThisCpu as Cpu>::NAME,
            layouts: <$cpu::frame::ThisCpu as Cpu>::LAYOUTS,
            seed: $cpu::seed::LAYOUTS,
            lineage: $cpu::seed::LINEAGE,
            record: $cpu::unwind::RECORD,
            registers: <$cpu::frame::ThisCpu as Cpu>::REGISTERS,
            word: size_of::<<$cpu::frame::ThisCpu as Cpu>::Word>(),
            interrupt_reserve: <$cpu::frame::ThisCpu as Cpu>::INTERRUPT_RESERVE,
            begin_below_base: $cpu::frame::BEGIN_BELOW_BASE,
        }),*]
    };
}

/// Every CPU, in the order of the targets.
pub const CPUS: &[Described] = described!(i386, x86_64, arm, arm64, ppc64le, s390x);

/// What to do with what is generated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Do {
    /// Print it.
    Print(FramesFormat),
    /// Write the files.
    Write,
    /// Compare the files with it.
    Check,
    /// Try the page in a browser.
    Browse,
}

/// Where the page and the pictures go.
const PRODUCTS: &str = "target/frames";

/// Prints the layouts of the chosen CPUs, or writes or checks the files generated from them.
pub fn frames(context: &Context, what: Do) -> Result<()> {
    if let Do::Print(format) = what {
        let chosen: Vec<&Described> =
            CPUS.iter().filter(|cpu| context.targets.iter().any(|t| t.name == cpu.name)).collect();
        return match format {
            FramesFormat::Md => show(&chosen.iter().map(|cpu| markdown(cpu)).collect::<String>()),
            FramesFormat::Json => {
                let all: Vec<Value> = chosen.iter().map(|cpu| as_json(cpu)).collect();
                show(&(serde_json::to_string_pretty(&all)? + "\n"))
            }
            FramesFormat::C => show(&header::text()?),
            FramesFormat::Html => product("index.html", &html::page()?),
            FramesFormat::Svg => {
                for cpu in chosen {
                    for layout in cpu.layouts {
                        let svg = svg::frame(cpu, layout, true);
                        product(&format!("{}-{}.svg", cpu.name, layout.name), &svg)?;
                    }
                }
                Ok(())
            }
        };
    }
    if what == Do::Browse {
        return browser::test(Path::new(PRODUCTS));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let mut stale = Vec::new();
    for (path, text) in files(root)? {
        let now = std::fs::read_to_string(&path).unwrap_or_default();
        if now == text {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if what == Do::Write {
            std::fs::create_dir_all(path.parent().context("a file in a directory")?)?;
            std::fs::write(&path, text).with_context(|| format!("cannot write {shown}"))?;
            println!("wrote {shown}");
        } else {
            stale.push(shown);
        }
    }
    if !stale.is_empty() {
        bail!("{} no longer what the layouts say: run `cargo xtask frames --write`", stale.join(", "));
    }
    println!("frames: {} CPUs, {} layouts", CPUS.len(), CPUS.iter().map(|c| c.layouts.len()).sum::<usize>());
    Ok(())
}

/// Writes a file that is not committed, and says where.
fn product(name: &str, text: &str) -> Result<()> {
    let path = Path::new(PRODUCTS).join(name);
    std::fs::create_dir_all(PRODUCTS)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    show(&format!("wrote {}\n", path.display()))
}

/// Prints; a reader that has seen enough is no error.
fn show(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Every generated file with its text.
fn files(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files: Vec<(PathBuf, String)> =
        CPUS.iter().map(|cpu| (root.join(format!("arch/docs/{}.md", cpu.name)), markdown(cpu))).collect();
    files.push((root.join("core/include/stackgate.h"), header::text()?));
    files.push((root.join("libc-shim/include/stackgate-libc.h"), header::libc_text()?));
    files.push((root.join("core/gdb/layouts.json"), for_gdb()?));
    Ok(files)
}

/// The structures that the gdb script reads.
const FOR_GDB: &[&str] = &[
    "G",
    "M",
    "CalleeSaved",
    "SwitchFrame",
    "BaseFrame",
    "AsmcgocallFrame",
    "CallbackFrame",
    "CallbackEntry",
];

/// Offsets of fields and the general registers in them, a structure a line.
fn for_gdb() -> Result<String> {
    use stackgate_arch::GState::{Finished, G0, Gsignal, Parked, Running, Uninit};
    let mut states = vec![String::new(); 6];
    for state in [Uninit, Parked, Running, Finished, G0, Gsignal] {
        states[state as usize] = format!("{state:?}");
    }
    let mut text = format!("{{\"states\": {},\n\"cpus\": {{", serde_json::to_string(&states)?);
    for (i, cpu) in CPUS.iter().enumerate() {
        let record = json!({
            "link": cpu.record.link, "pc": cpu.record.pc, "pc_is_in_next": cpu.record.pc_is_in_next,
            "register": cpu.record.register.name,
        });
        let (comma, name, word) = (if i == 0 { "" } else { "," }, cpu.name, cpu.word);
        _ = write!(text, "{comma}\n\"{name}\": {{\"word\": {word}, \"record\": {record}, \"frames\": {{");
        for (j, frame) in FOR_GDB.iter().enumerate() {
            let layout = cpu.layouts.iter().find(|l| l.name == *frame).context("a structure for gdb")?;
            let fields: serde_json::Map<String, Value> = answers::flatten(cpu, layout)
                .into_iter()
                .filter(|flat| !flat.path.contains("_reserved") && !flat.path.contains("_save"))
                .map(|flat| {
                    // A register that is no machine word is of no use to an unwinder.
                    let general = flat.register.filter(|r| flat.size == cpu.word && general(r.name));
                    (flat.path, json!([flat.offset, general.map(|r| r.name)]))
                })
                .collect();
            let comma = if j == 0 { "" } else { "," };
            let size = layout.size;
            _ = write!(
                text,
                "{comma}\n  \"{frame}\": {{\"size\": {size}, \"fields\": {}}}",
                Value::Object(fields)
            );
        }
        text += "}}";
    }
    Ok(text + "}}\n")
}

/// Whether a register is none of floating-point or vector arithmetic, by its name on all six CPUs.
fn general(name: &str) -> bool {
    let number = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let class = name.strip_suffix(number).unwrap_or(name);
    number.is_empty() || !["f", "d", "v", "xmm"].contains(&class)
}

/// Where a frame lies, for a person.
const fn on(on: On) -> &'static str {
    match on {
        On::System => "on the system stack",
        On::Managed => "on the managed stack",
        On::Either => "on either stack",
        On::Memory => "in memory that the embedder gives",
    }
}

/// Who keeps a register over a call, in a word.
const fn saved_by(saved: SavedBy) -> &'static str {
    match saved {
        SavedBy::Caller => "saved by the caller",
        SavedBy::Callee => "saved by the callee",
        SavedBy::Neither => "the platform's, or the call's own",
    }
}

/// A doc comment's paragraphs.
fn paragraphs(doc: &str) -> Vec<String> {
    let lines: Vec<_> = doc.trim().lines().map(str::trim).collect();
    lines.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|p| !p.is_empty()).collect()
}

/// A doc comment on one line.
pub fn one_line(doc: &str) -> String {
    unlinked(&doc.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Documentation without rustdoc's links, which mean nothing outside the module that it stands in.
fn unlinked(doc: &str) -> String {
    doc.replace("[`", "`").replace("`]", "`")
}

/// The tables of one CPU.
fn markdown(cpu: &Described) -> String {
    let mut text = format!(
        "<!-- Generated from LAYOUTS by `cargo xtask frames --write`. -->\n\n# Registers of {}\n\n",
        cpu.name
    );
    text += "| register | DWARF | role | saved by |\n|---|---:|---|---|\n";
    for register in cpu.registers {
        let saved = match register.saved_by {
            SavedBy::Caller => "caller",
            SavedBy::Callee => "callee",
            SavedBy::Neither => "neither",
        };
        _ = writeln!(text, "| `{}` | {} | {} | {saved} |", register.name, register.dwarf, register.role);
    }
    _ = write!(text, "\n# Frames of {}\n", cpu.name);
    for layout in cpu.layouts {
        describe(&mut text, layout, cpu.word);
    }
    stories(&mut text, cpu);
    _ = write!(text, "\n# Frames of the seed on {}\n", cpu.name);
    for layout in cpu.seed {
        describe(&mut text, layout, cpu.word);
    }
    for lineage in cpu.lineage {
        beside(&mut text, lineage);
    }
    text += "\n## Without a counterpart\n\n";
    for (ours, what) in NO_COUNTERPART {
        _ = writeln!(text, "* `{ours}`: {what}");
    }
    text
}

/// Each crossing, in four moments.
fn stories(text: &mut String, cpu: &Described) {
    _ = write!(text, "\n# Crossings of {}\n", cpu.name);
    for story in story::STORIES.iter().filter(|s| s.only.is_none_or(|only| only == cpu.name)) {
        let covers: Vec<_> = story.covers.iter().map(|c| format!("`{c}`")).collect();
        _ = write!(text, "\n## {}\n\n{}.\n", story.name, covers.join(", "));
        for panel in &story.panels {
            _ = write!(
                text,
                "\n**{}**; the current g: {}. {}\n\n```text\n",
                panel.title, panel.g, panel.says
            );
            let columns = [panel.managed, panel.system]
                .map(|parts| parts.iter().map(|part| cell(cpu, part)).collect::<Vec<_>>());
            let width = columns[0].iter().map(String::len).max().unwrap_or(0).max("managed stack".len());
            _ = writeln!(text, "{:width$}    system stack", "managed stack");
            for row in 0..columns[0].len().max(columns[1].len()) {
                let [left, right] = [0, 1].map(|c| columns[c].get(row).map_or("", String::as_str));
                _ = writeln!(text, "{}", format!("{left:width$}    {right}").trim_end());
            }
            *text += "```\n";
        }
    }
}

/// A box of a story in one line.
fn cell(cpu: &Described, part: &story::Part) -> String {
    let mut text = match part.what {
        story::What::Code(what) => format!("| {what}"),
        story::What::Frame(name) => {
            let size = cpu.layouts.iter().find(|l| l.name == name).map_or(0, |l| l.size);
            format!("| {name}: {size}")
        }
    };
    if let Some((field, _)) = part.link {
        _ = write!(text, " -{field}->");
    }
    if !part.marks.is_empty() {
        _ = write!(text, " <- {}", part.marks.join(", "));
    }
    text
}

/// One of ours beside what Go has in its place.
fn beside(text: &mut String, lineage: &Lineage) {
    _ = write!(
        text,
        "\n## {} beside Go's\n\n{}\n",
        lineage.ours,
        format!("{} {}", lineage.why, lineage.here).trim_end()
    );
    let intended: Vec<(isize, String)> =
        lineage.intended.fields.iter().map(|f| (f.offset as isize, one_line(f.doc))).collect();
    let slots = |then: &Then| -> Vec<(isize, String)> {
        then.slots.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
    };
    let committed = lineage.committed.as_ref().map_or_else(|| intended.clone(), slots);
    let today = slots(&lineage.today);
    _ = write!(
        text,
        "\n| offset | the seed, as committed: {} bytes | the seed, as intended: {} bytes | Go today: {} bytes |\n|---:|---|---|---|\n",
        lineage.committed.as_ref().map_or(lineage.intended.size, |c| c.size),
        lineage.intended.size,
        lineage.today.size
    );
    let mut offsets: Vec<isize> =
        [&committed, &intended, &today].iter().flat_map(|s| s.iter().map(|x| x.0)).collect();
    offsets.sort_unstable();
    offsets.dedup();
    for at in offsets {
        let what = |slots: &[(isize, String)]| {
            slots.iter().find(|x| x.0 == at).map_or(String::new(), |x| x.1.clone())
        };
        _ = writeln!(text, "| {at} | {} | {} | {} |", what(&committed), what(&intended), what(&today));
    }
    for (title, note) in
        [("As committed", lineage.committed.as_ref().map_or("", |c| c.note)), ("Today", lineage.today.note)]
    {
        if !note.is_empty() {
            _ = write!(text, "\n{title}: {note}\n");
        }
    }
}

/// One layout: what it is, a picture, a table.
fn describe(text: &mut String, layout: &Layout, word: usize) {
    _ = write!(
        text,
        "\n## {}\n\n{}\n\nLies {}; {} bytes, aligned to {}.\n\n",
        layout.name,
        unlinked(&layout.doc.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")),
        on(layout.on),
        layout.size,
        layout.align
    );
    *text += &picture(layout, word);
    *text += "\n| offset | size | field | register | DWARF | written by | read by | |\n|---:|---:|---|---|---:|---|---|---|\n";
    for field in layout.fields {
        let (register, dwarf) = field
            .register
            .map_or((String::new(), String::new()), |r| (format!("`{}`", r.name), r.dwarf.to_string()));
        _ = writeln!(
            text,
            "| {} | {} | `{}` | {register} | {dwarf} | {} | {} | {} |",
            field.offset,
            field.size,
            field.name,
            field.writer,
            field.reader,
            one_line(field.doc)
        );
    }
}

/// The layout as it lies in memory, high addresses up.
fn picture(layout: &Layout, word: usize) -> String {
    let label = |f: &stackgate_arch::frame::Field| match f.register {
        Some(r) if r.name != f.name => format!("{} ({})", f.name, r.name),
        _ => f.name.to_string(),
    };
    let width = layout.fields.iter().map(|f| label(f).len()).max().unwrap_or(0).max(8);
    let rule = format!("        +-{}-+\n", "-".repeat(width));
    let mut text = format!("```text\n{:>7} {}", layout.size, &rule[8..]);
    for field in layout.fields.iter().rev() {
        let words = if field.size > word { format!("  {} bytes", field.size) } else { String::new() };
        _ = write!(text, "{:>7} | {:width$} |{words}\n{rule}", field.offset, label(field));
    }
    text + "```\n"
}

/// One CPU for tools.
fn as_json(cpu: &Described) -> Value {
    let layouts = |layouts: &[Layout]| -> Vec<Value> {
        layouts
            .iter()
            .map(|l| {
                let fields: Vec<Value> = l
                    .fields
                    .iter()
                    .map(|f| {
                        json!({
                            "name": f.name, "offset": f.offset, "size": f.size, "type": f.ty,
                            "register": f.register.map(|r| r.name), "dwarf": f.register.map(|r| r.dwarf),
                            "writer": f.writer, "reader": f.reader, "doc": one_line(f.doc),
                        })
                    })
                    .collect();
                json!({
                    "name": l.name, "on": on(l.on), "size": l.size, "align": l.align,
                    "doc": one_line(l.doc), "fields": fields,
                })
            })
            .collect()
    };
    let registers: Vec<Value> = cpu
        .registers
        .iter()
        .map(|r| json!({ "name": r.name, "dwarf": r.dwarf, "role": r.role, "saved": saved_by(r.saved_by) }))
        .collect();
    let then = |then: &Then| json!({ "size": then.size, "slots": then.slots, "note": then.note });
    let lineage: Vec<Value> = cpu
        .lineage
        .iter()
        .map(|l| {
            json!({
                "ours": l.ours, "intended": l.intended.name, "committed": l.committed.as_ref().map(then),
                "today": then(&l.today), "why": l.why, "here": l.here,
            })
        })
        .collect();
    json!({
        "cpu": cpu.name, "word": cpu.word, "registers": registers, "frames": layouts(cpu.layouts),
        "seed": layouts(cpu.seed), "lineage": lineage,
    })
}

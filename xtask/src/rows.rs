//! Three descriptions of one thing: unwind tables, layouts and instructions say where a crossing keeps a
//! register. For every instruction of every crossing they are held against each other:
//!
//! - a rule that finds a register in memory finds it where one of the CPU's frames has it, and all rules of a
//!   row do so in the same frame; an expression reads a field of the register, or the address of a frame;
//! - a rule begins with the store of that register to that place, and ends with the load from it; where a
//!   callee-saved register is loaded it has one;
//! - no rule finds anything below SP;
//! - a CFA that is counted from SP stays where it is when SP moves, and over a call it is counted from nothing that the
//!   function may change;
//! - the caller's SP is the CFA, or as far from it as the ABI has it;
//! - what a light switch does not keep is lost behind it;
//! - arm's other tables, those of EHABI, say the same at every instruction.
//!
//! The tables are read from a linked program, `.debug_frame` on arm and `.eh_frame` elsewhere. Rows whose CFA
//! is counted from another register than SP are held against the layouts alone.

mod ehabi;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    mem::offset_of,
    ops::Range,
};

use anyhow::{Context as _, Result, bail};
use capstone::prelude::*;
use gimli::{CfaRule, Operation, RegisterRule};
use object::{Object as _, ObjectSection as _};
use stackgate_arch::{
    frame::{Layout, SavedBy},
    ppc64le::frame::FrameHeader,
};

use crate::{
    frames::{CPUS, Described},
    step,
    symbols::Symbols,
};

type Slice<'a> = gimli::EndianSlice<'a, gimli::RunTimeEndian>;

/// Rules for places that are in no frame: the CPU, the function, the registers, and why.
const IN_NO_FRAME: &[(&str, &str, &[&str], &str)] = &[
    ("arm", "ccall", &["r4", "r5"], "four words that are given back before C runs"),
    ("i386", "throw_to", &["ebx"], "pushed for a register more, on a stack that is then left"),
];

/// Functions for callers of another ABI, in whose frame are the registers that it has as callee-saved.
const KEEPS_MORE: &[(&str, &str)] = &[("crosscall2_win64", "Crosscall2Win64Frame")];

/// Instructions that call.
const CALLS: &[&str] = &["call", "bl", "blx", "blr", "bctrl", "basr", "bras", "brasl"];

/// Instructions that align a register.
const ROUNDING: &[&str] = &["and", "bic", "clrrdi", "rldicr", "nill"];

/// What is known of a CPU beyond its layouts.
struct Cpu {
    described: &'static Described,
    sp: u16,
    /// The frame pointers and the return address, which every frame record holds.
    record: Vec<u16>,
}

impl Cpu {
    fn of(name: &str) -> Result<Self> {
        let described = CPUS.iter().find(|cpu| cpu.name == name).context("a CPU without layouts")?;
        let number = |names: &[&str]| {
            let found = described.registers.iter().filter(|register| names.contains(&register.name));
            found.map(|register| register.dwarf).collect::<Vec<_>>()
        };
        let (sp, record): (&[&str], &[&str]) = match name {
            "i386" => (&["esp"], &["ebp", "eip"]),
            "x86_64" => (&["rsp"], &["rbp", "rip"]),
            "arm" => (&["sp"], &["r7", "r11", "lr"]),
            "arm64" => (&["sp"], &["x29", "x30"]),
            "ppc64le" => (&["r1"], &["lr", "cr2", "cr3", "cr4"]),
            _ => (&["r15"], &["r14"]),
        };
        let sp = *number(sp).first().context("a CPU without a stack pointer")?;
        Ok(Self { described, sp, record: number(record) })
    }

    fn name(&self, dwarf: u16) -> &'static str {
        self.described.registers.iter().find(|r| r.dwarf == dwarf).map_or("?", |register| register.name)
    }

    /// The register that a disassembler calls so.
    fn number(&self, text: &str) -> Option<u16> {
        let text = text.trim().trim_start_matches('%');
        let text = match (self.described.name, text) {
            ("arm", "sb") => "r9",
            ("arm", "sl") => "r10",
            ("arm", "fp") => "r11",
            ("arm", "ip") => "r12",
            _ => text,
        };
        self.described.registers.iter().find(|r| r.name == text).map(|register| register.dwarf)
    }

    fn is_callee_saved(&self, dwarf: u16) -> bool {
        let of = |r: &&stackgate_arch::frame::Register| r.dwarf == dwarf && r.saved_by == SavedBy::Callee;
        dwarf != self.sp && self.described.registers.iter().any(|r| of(&r))
    }

    /// Offsets of a frame's registers, those of structures within it too.
    fn fields(&self, layout: &Layout) -> Vec<(u16, usize, &'static str)> {
        let mut found = Vec::new();
        for field in layout.fields {
            if let Some(register) = field.register {
                found.push((register.dwarf, field.offset, field.name));
            }
            if let Some(inner) = self.layout(field.ty) {
                found
                    .extend(self.fields(inner).into_iter().map(|(r, at, name)| (r, field.offset + at, name)));
            }
        }
        // A double's pair, or the other fields of a condition register, lie in one word or follow it.
        found
    }

    /// Where a call into C keeps the managed stack's SP.
    fn sp_in_call(&self) -> i64 {
        let field = self.layout("AsmcgocallFrame").and_then(|layout| layout.field("sp"));
        field.map_or(0, |field| field.offset as i64)
    }

    /// s390x's CFA is above the area that the caller has there for the function's registers (s390x ABI 1.6.3).
    fn area(&self) -> Option<i64> {
        let layout = self.layout("AbiFrame").filter(|_| self.described.name == "s390x");
        layout.map(|layout| layout.size as i64)
    }

    fn layout(&self, name: &str) -> Option<&'static Layout> {
        self.described.layouts.iter().find(|layout| layout.name == name)
    }
}

/// What a rule says, as far as it is held against anything.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// In memory, so far from the CFA.
    At(i64),
    /// In memory, so far from SP.
    AtSp(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cfa {
    /// A register and a number.
    Register(u16, i64),
    /// The word so far from SP, and a number.
    Word(i64, u64),
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    cfa: Cfa,
    rules: BTreeMap<u16, Rule>,
    /// Registers whose value is lost.
    lost: BTreeSet<u16>,
    /// How far from the CFA the caller's SP is, if not there.
    sp: Option<i64>,
}

/// A register that an instruction moves from or to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    register: u16,
    /// From SP: after a store, before a load.
    at: i64,
    store: bool,
}

struct Instruction {
    address: u64,
    text: String,
    accesses: Vec<Access>,
    /// Registers that it moves without saying where, and whether it stores them.
    elsewhere: Vec<(u16, bool)>,
    /// How far SP goes, if not to somewhere else altogether.
    moves: Option<i64>,
    /// The next one does not follow it.
    last: bool,
}

impl Instruction {
    /// Whether it calls a function.
    fn calls(&self) -> bool {
        self.text.split(' ').next().is_some_and(|word| CALLS.contains(&word))
    }

    /// Whether it is s390x's load of several registers, of which this is the last.
    fn loads_range_up_to(&self, last: &str) -> bool {
        self.text.strip_prefix("lmg ").and_then(|rest| rest.split(", ").nth(1)) == Some(last)
    }

    /// Whether it takes SP to a multiple of something: how far that is nobody knows.
    fn rounds(&self, sp: &str) -> bool {
        let mut words = self.text.split([' ', ',']).map(|word| word.trim_start_matches('%'));
        words.next().is_some_and(|word| ROUNDING.contains(&word)) && words.next() == Some(sp)
    }
}

/// What of the crossings in this program does not agree, one sentence each.
pub fn disagreements(cpu: &str, program: &str) -> Result<(usize, Vec<String>)> {
    let known = Cpu::of(cpu)?;
    let bytes = fs::read(program).with_context(|| format!("cannot read {program}"))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{program} is no object file"))?;
    let symbols = Symbols::read(program)?;
    let others = if cpu == "arm" { Some(ehabi::read(&file)?) } else { None };
    let mut problems = Vec::new();
    let mut count = 0;
    for name in step::crossings_of(cpu) {
        let range = symbols.range(&format!("{}{name}", step::PREFIX))?;
        let constants = step::data_of(program)?;
        let instructions = disassemble(&known, &file, &range)?;
        let instructions: Vec<_> =
            instructions.into_iter().filter(|i| constants.iter().all(|c| !c.contains(&i.address))).collect();
        let rows = rows(&known, &file, &range).with_context(|| format!("{name}: no unwind tables"))?;
        count += instructions.len();
        if step::LOSING.contains(&name) {
            let wrong = against_losses(&known, &rows).into_iter();
            problems.extend(wrong.map(|what| format!("{cpu}: {name}: {what}")));
        }
        let mut say = |at: &Instruction, what: String| {
            problems.push(format!("{cpu}: {name}+{:#x} ({}): {what}", at.address - range.start, at.text));
        };
        let mut same = None;
        for (at, instruction) in instructions.iter().enumerate() {
            let row =
                |address: u64| rows.iter().find(|(within, _)| within.contains(&address)).map(|(_, row)| row);
            let Some(before) = row(instruction.address) else {
                say(instruction, "no row describes it".to_owned());
                continue;
            };
            against_layouts(&known, name, before).into_iter().for_each(|what| say(instruction, what));
            if let Some(others) = &others {
                let other = others.iter().rev().find(|(start, _)| *start <= instruction.address);
                let other = other.and_then(|(_, row)| row.as_ref());
                against_ehabi(&known, before, same, other)
                    .into_iter()
                    .for_each(|what| say(instruction, what));
                same = same_as_sp(&known, instruction, same);
            }
            let next = instructions.get(at + 1).filter(|_| !instruction.last);
            let after = next.and_then(|next| row(next.address));
            against_accesses(&known, name, instruction, before, after)
                .into_iter()
                .for_each(|what| say(instruction, what));
        }
    }
    Ok((count, problems))
}

/// One row against the CPU's frames.
fn against_layouts(cpu: &Cpu, function: &str, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    let layouts = cpu.described.layouts;
    let fits = |layout: &Layout, register: u16, at: i64| {
        let (size, fields) = (layout.size as i64, cpu.fields(layout));
        // Counted from the frame's upper end; or, where the caller's frame has the place, from its lower one.
        let places = [size + at, at];
        fields.iter().any(|&(r, offset, _)| {
            let second = if r == 264 { (register as i64 - 264) * 8 } else { 0 };
            let same =
                r == register || (r == 264 && (264..272).contains(&register) && cpu.described.name == "arm");
            let condition = cpu.name(r).starts_with("cr") && cpu.name(register).starts_with("cr");
            (same || condition) && places.contains(&(offset as i64 + if same { second } else { 0 }))
        })
    };
    let exempt = |register: u16| {
        IN_NO_FRAME.iter().any(|(name, of, registers, _)| {
            *name == cpu.described.name && *of == function && registers.contains(&cpu.name(register))
        })
    };
    let kept: Vec<(u16, i64)> = row
        .rules
        .iter()
        .filter_map(|(&register, rule)| match rule {
            Rule::At(at) if !exempt(register) => Some((register, *at)),
            _ => None,
        })
        .collect();
    let below = cpu.area().map(|size| -size);
    if row.sp != below {
        wrong.push(format!(
            "the tables have the caller's SP at {:?} from the CFA, and it is at {below:?}",
            row.sp
        ));
    }
    let (record, others): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(r, _)| cpu.record.contains(r));
    if !layouts.iter().any(|layout| others.iter().all(|&(register, at)| fits(layout, register, at))) {
        // The frame that most of them are in.
        let best = layouts
            .iter()
            .max_by_key(|layout| others.iter().filter(|&&(register, at)| fits(layout, register, at)).count());
        for (register, at) in others {
            if let Some(best) = best.filter(|best| !fits(best, register, at)) {
                wrong.push(format!(
                    "the tables have {} at CFA{at:+}, where {} has it not",
                    cpu.name(register),
                    best.name
                ));
            }
        }
    }
    for (register, at) in record {
        if !layouts.iter().any(|layout| fits(layout, register, at)) {
            wrong.push(format!("the tables have {} at CFA{at:+}, where no frame has it", cpu.name(register)));
        }
    }
    // What i386 passes on the stack lies below the frame.
    let outgoing = match row.cfa {
        Cfa::Word(at, _) if cpu.described.name == "i386" => (at - cpu.sp_in_call()).max(0),
        _ => 0,
    };
    for (&register, rule) in &row.rules {
        let Rule::AtSp(at) = rule else { continue };
        let found = |layout: &&Layout| {
            cpu.fields(layout).iter().any(|&(r, offset, _)| r == register && offset as i64 + outgoing == *at)
        };
        if !layouts.iter().any(|layout| found(&layout) && layout.name == "AsmcgocallFrame") {
            wrong
                .push(format!("an expression has {} at SP{at:+}, where no frame has it", cpu.name(register)));
        }
    }
    if let Cfa::Word(at, plus) = row.cfa {
        let reads = |layout: &Layout| {
            let outgoing = if layout.name == "AsmcgocallFrame" { outgoing } else { 0 };
            layout.fields.iter().filter(|field| field.offset as i64 + outgoing == at).any(|field| {
                if field.register.is_some_and(|register| register.dwarf == cpu.sp) {
                    // SP at the call: what the call itself put there, or the caller's save area, is above it.
                    let area = cpu.layout("AbiFrame").map_or(0, |abi| abi.size as u64);
                    let pushed = if cpu.described.name.ends_with("86") || cpu.described.name == "x86_64" {
                        cpu.described.word as u64
                    } else {
                        area
                    };
                    if plus == pushed {
                        return true;
                    }
                }
                let pointee = field.ty.strip_prefix("Ptr<").and_then(|rest| rest.split([',', '<']).next());
                pointee.and_then(|name| cpu.layout(name)).is_some_and(|layout| layout.size as u64 == plus)
            })
        };
        if !layouts.iter().any(reads) {
            wrong.push(format!("the CFA is the word at SP{at:+} plus {plus}, and no frame has such a field"));
        }
    }
    wrong
}

/// What a light switch does not keep is lost from where SP comes to the other stack, all of it at once.
fn against_losses(cpu: &Cpu, rows: &[(Range<u64>, Row)]) -> Vec<String> {
    let kept: Vec<u16> = cpu
        .layout("SwitchFrame")
        .map(|layout| cpu.fields(layout).into_iter().map(|(register, ..)| register).collect())
        .unwrap_or_default();
    // ppc64le's frames have a word for the condition register, which stays empty here.
    let kept: Vec<u16> = kept.into_iter().filter(|register| !cpu.name(*register).starts_with("cr")).collect();
    let registers = cpu.described.registers.iter().map(|register| register.dwarf);
    let lost: BTreeSet<u16> = registers.filter(|r| cpu.is_callee_saved(*r) && !kept.contains(r)).collect();
    let mut wrong = Vec::new();
    let from = rows.iter().position(|(_, row)| !row.lost.is_empty());
    if from.is_none() {
        wrong.push("the tables have nothing as lost".to_owned());
    }
    for (within, row) in &rows[from.unwrap_or(rows.len())..] {
        for &register in lost.difference(&row.lost) {
            let name = cpu.name(register);
            wrong.push(format!("at {:#x} the tables do not have {name} as lost", within.start));
        }
    }
    wrong
}

/// One row against that of arm's other tables. `same` has SP's value.
fn against_ehabi(cpu: &Cpu, row: &Row, same: Option<u16>, other: Option<&ehabi::Row>) -> Vec<String> {
    let Some(other) = other else { return vec!["EHABI's tables do not describe it".to_owned()] };
    let place = |cfa: &Cfa| match *cfa {
        Cfa::Register(register, offset) if Some(register) == same => Cfa::Register(cpu.sp, offset),
        ref other => other.clone(),
    };
    if place(&row.cfa) != place(&other.cfa) {
        return vec![format!("the tables have the CFA as {:?}, EHABI's as {:?}", row.cfa, other.cfa)];
    }
    let of = |register: u16| cpu.is_callee_saved(register) || cpu.record.contains(&register);
    let registers: BTreeSet<_> = row.rules.keys().chain(other.rules.keys()).filter(|r| of(**r)).collect();
    let place = |rule: Option<&Rule>| match rule {
        Some(Rule::At(at)) => format!("at CFA{at:+}"),
        Some(Rule::AtSp(at)) => format!("at SP{at:+}"),
        None => "in itself".to_owned(),
    };
    let differ = registers.into_iter().map(|r| (r, row.rules.get(r), other.rules.get(r)));
    differ
        .filter(|(_, ours, its)| ours != its)
        .map(|(&r, ours, its)| {
            format!("the tables have {} {}, EHABI's {}", cpu.name(r), place(ours), place(its))
        })
        .collect()
}

/// The register that has SP's value behind an instruction of arm's, if one is known.
fn same_as_sp(cpu: &Cpu, instruction: &Instruction, before: Option<u16>) -> Option<u16> {
    let (mnemonic, operands) = instruction.text.split_once(' ')?;
    let (first, rest) = operands.split_once(", ").unwrap_or((operands, ""));
    match (mnemonic, cpu.number(first), cpu.number(rest)) {
        ("mov", Some(sp), Some(other)) | ("mov", Some(other), Some(sp)) if sp == cpu.sp => Some(other),
        (_, first, _) => before.filter(|same| instruction.moves == Some(0) && first != Some(*same)),
    }
}

/// One instruction against the rows before and after it.
fn against_accesses(
    cpu: &Cpu,
    function: &str,
    instruction: &Instruction,
    before: &Row,
    after: Option<&Row>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for &(register, store) in &instruction.elsewhere {
        let has = |row: Option<&Row>| row.is_none_or(|row| row.rules.contains_key(&register));
        let name = cpu.name(register);
        match (store, has(Some(before)), has(after)) {
            (true, _, false) => wrong.push(format!("{name} is stored, and the tables have no rule for it")),
            (false, false, _) => wrong.push(format!("{name} is loaded, and the tables have no rule for it")),
            (false, true, true) if after.is_some() => {
                wrong.push(format!("{name} is back, and the tables go on with their rule"));
            }
            _ => (),
        }
    }
    let from_sp = |row: &Row| match row.cfa {
        Cfa::Register(register, offset) if register == cpu.sp => Some(offset),
        _ => None,
    };
    if let Some(cfa) = from_sp(before) {
        for (&register, rule) in &before.rules {
            if let Rule::At(at) = rule
                && at + cfa < 0
            {
                wrong.push(format!(
                    "the tables look for {} {} bytes below SP",
                    cpu.name(register),
                    -(at + cfa)
                ));
            }
        }
        // On arm the frame pointers have a second place, and lr is looked up in passing.
        let twice = |register: u16| cpu.described.name == "arm" && cpu.record.contains(&register);
        for load in instruction.accesses.iter().filter(|access| !access.store && !twice(access.register)) {
            match before.rules.get(&load.register) {
                Some(Rule::At(at)) if *at != load.at - cfa => wrong.push(format!(
                    "{} is loaded from CFA{:+}, where the tables have it at CFA{at:+}",
                    cpu.name(load.register),
                    load.at - cfa
                )),
                Some(Rule::At(_)) if after.is_some_and(|row| row.rules.contains_key(&load.register)) => {
                    wrong.push(format!(
                        "{} is back, and the tables go on with their rule",
                        cpu.name(load.register)
                    ));
                }
                None if cpu.is_callee_saved(load.register) => {
                    wrong.push(format!(
                        "{} is loaded, and the tables have no rule for it",
                        cpu.name(load.register)
                    ));
                }
                _ => (),
            }
        }
    }
    if let (true, &Cfa::Register(register, _)) = (instruction.calls(), &before.cfa)
        && register != cpu.sp
        && !cpu.is_callee_saved(register)
    {
        wrong.push(format!("the tables count the CFA from {} over a call", cpu.name(register)));
    }
    let Some(after) = after else { return wrong };
    if let (Some(was), Some(is), Some(moves)) = (from_sp(before), from_sp(after), instruction.moves)
        && is != was - moves
    {
        wrong.push(format!(
            "SP goes {moves:+}, and the tables have the CFA at SP{was:+} before and SP{is:+} after"
        ));
    }
    // The caller's SP comes back from where the function has stored it.
    if let (Some(area), Some(is)) =
        (cpu.area().filter(|_| instruction.loads_range_up_to("%r15")), from_sp(after))
        && is != area
    {
        wrong.push(format!("SP is the caller's again, and the tables have the CFA at SP{is:+}"));
    }
    if instruction.rounds(cpu.name(cpu.sp)) && from_sp(before).is_some() && from_sp(after).is_some() {
        wrong.push("SP is rounded, and the tables count the CFA from it before and after".to_owned());
    }
    let Some(cfa) = from_sp(after).filter(|_| from_sp(before).is_some()) else { return wrong };
    // The registers that another ABI has as callee-saved are those of its frame.
    let foreign = KEEPS_MORE.iter().find(|(of, _)| *of == function).and_then(|(_, frame)| cpu.layout(frame));
    let foreign: Vec<_> = foreign.map(|layout| cpu.fields(layout)).unwrap_or_default();
    for store in instruction.accesses.iter().filter(|access| access.store) {
        let kept = foreign.iter().any(|&(register, ..)| register == store.register);
        if !kept && !cpu.is_callee_saved(store.register) {
            continue;
        }
        match (before.rules.get(&store.register), after.rules.get(&store.register)) {
            (None, Some(Rule::At(at))) if *at != store.at - cfa => wrong.push(format!(
                "{} is stored at CFA{:+}, and the tables have it at CFA{at:+}",
                cpu.name(store.register),
                store.at - cfa
            )),
            (None, None) => {
                wrong.push(format!(
                    "{} is stored, and the tables have no rule for it",
                    cpu.name(store.register)
                ));
            }
            _ => (),
        }
    }
    let began: Vec<_> = after.rules.keys().filter(|r| !before.rules.contains_key(r)).collect();
    // A frame that another function has built comes with all its rules when SP comes there.
    let sp = cpu.name(cpu.sp);
    let comes = ["mov", "mr", "lgr", "la", "ldr", "ld", "lg"].iter().any(|word| {
        let rest = instruction.text.strip_prefix(word).map(|rest| rest.trim_start().trim_start_matches('%'));
        rest.is_some_and(|rest| rest.starts_with(&format!("{sp}, ")))
    });
    if !comes {
        for &register in began {
            let stored = instruction.accesses.iter().any(|a| a.store && a.register == register);
            let indexed = instruction.text.starts_with("stvx") || instruction.text.starts_with("stw");
            if cpu.is_callee_saved(register) && !stored && !indexed {
                wrong.push(format!("a rule for {} begins, and it is not stored", cpu.name(register)));
            }
        }
    }
    wrong
}

/// The rows of one function.
fn rows(cpu: &Cpu, file: &object::File<'_>, range: &Range<u64>) -> Result<Vec<(Range<u64>, Row)>> {
    let endian =
        if file.is_little_endian() { gimli::RunTimeEndian::Little } else { gimli::RunTimeEndian::Big };
    let section = |name: &str| {
        file.section_by_name(name).map(|s| Ok::<_, object::Error>((s.address(), s.data()?))).transpose()
    };
    let mut bases = gimli::BaseAddresses::default();
    if let Some((text, _)) = section(".text")? {
        bases = bases.set_text(text);
    }
    if cpu.described.name == "arm" {
        let (_, data) = section(".debug_frame")?.context("no .debug_frame")?;
        let mut section = gimli::DebugFrame::new(data, endian);
        section.set_address_size(cpu.described.word as u8);
        read_rows(cpu, &section, &bases, range)
    } else {
        let (at, data) = section(".eh_frame")?.context("no .eh_frame")?;
        let mut section = gimli::EhFrame::new(data, endian);
        section.set_address_size(cpu.described.word as u8);
        read_rows(cpu, &section, &bases.set_eh_frame(at), range)
    }
}

fn read_rows<'a, S: gimli::UnwindSection<Slice<'a>>>(
    cpu: &Cpu,
    section: &S,
    bases: &gimli::BaseAddresses,
    range: &Range<u64>,
) -> Result<Vec<(Range<u64>, Row)>> {
    let fde = section.fde_for_address(bases, range.start, S::cie_from_offset)?;
    let encoding = fde.cie().encoding();
    let mut context = gimli::UnwindContext::new();
    let mut table = fde.rows(section, bases, &mut context)?;
    let mut found = Vec::new();
    while let Some(row) = table.next_row()? {
        let expression = |expression: &gimli::UnwindExpression<usize>| -> Result<Vec<Operation<Slice<'a>>>> {
            let mut all = Vec::new();
            let mut operations = expression.get(section)?.operations(encoding);
            while let Some(operation) = operations.next()? {
                all.push(operation);
            }
            Ok(all)
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => Cfa::Register(register.0, *offset),
            CfaRule::Expression(e) => match expression(e)?[..] {
                [
                    Operation::RegisterOffset { register, offset, .. },
                    Operation::Deref { .. },
                    ref plus @ ..,
                ] if register.0 == cpu.sp => match plus {
                    [] => Cfa::Word(offset, 0),
                    [Operation::PlusConstant { value }] => Cfa::Word(offset, *value),
                    _ => Cfa::Other,
                },
                _ => Cfa::Other,
            },
        };
        let mut rules = BTreeMap::new();
        let mut lost = BTreeSet::new();
        let mut sp = None;
        for (register, rule) in row.registers() {
            match rule {
                RegisterRule::Undefined => _ = lost.insert(register.0),
                RegisterRule::ValOffset(at) if register.0 == cpu.sp => sp = Some(*at),
                RegisterRule::Offset(at) => _ = rules.insert(register.0, Rule::At(*at)),
                RegisterRule::Expression(e) => {
                    if let [Operation::RegisterOffset { register: from, offset, .. }] = expression(e)?[..]
                        && from.0 == cpu.sp
                    {
                        rules.insert(register.0, Rule::AtSp(offset));
                    }
                }
                _ => (),
            }
        }
        found.push((row.start_address()..row.end_address(), Row { cfa, rules, lost, sp }));
    }
    Ok(found)
}

fn disassemble(cpu: &Cpu, file: &object::File<'_>, range: &Range<u64>) -> Result<Vec<Instruction>> {
    use capstone::{Endian, arch};
    let builder = Capstone::new();
    let built = match cpu.described.name {
        "i386" => builder.x86().mode(arch::x86::ArchMode::Mode32).build(),
        "x86_64" => builder.x86().mode(arch::x86::ArchMode::Mode64).build(),
        "arm" => builder.arm().mode(arch::arm::ArchMode::Arm).build(),
        "arm64" => builder.arm64().mode(arch::arm64::ArchMode::Arm).build(),
        "ppc64le" => builder.ppc().mode(arch::ppc::ArchMode::Mode64).endian(Endian::Little).build(),
        _ => builder.sysz().mode(arch::sysz::ArchMode::Default).build(),
    };
    let mut capstone = built.map_err(|error| anyhow::anyhow!("no disassembler: {error}"))?;
    capstone.set_skipdata(true).map_err(|error| anyhow::anyhow!("no disassembler: {error}"))?;
    let section =
        file.section_by_name("stackgate_text").context("the program has no section of crossings")?;
    let code =
        section.data_range(range.start, range.end - range.start)?.context("the program has no code there")?;
    let all = capstone
        .disasm_all(code, range.start)
        .map_err(|error| anyhow::anyhow!("the disassembler fails: {error}"))?;
    let mut found = Vec::new();
    for instruction in all.iter() {
        let mnemonic = instruction.mnemonic().unwrap_or("");
        let operands = instruction.op_str().unwrap_or("");
        let branches = ["ret", "jmp", "br", "b", "bx", "blr", "bctr", "ud2", "udf", "trap", "j"];
        found.push(Instruction {
            address: instruction.address(),
            text: format!("{mnemonic} {operands}").trim().to_owned(),
            accesses: accesses(cpu, mnemonic, operands),
            elsewhere: elsewhere(cpu, mnemonic, operands),
            moves: moves(cpu, mnemonic, operands, instruction.address() + instruction.len() as u64),
            last: branches.contains(&mnemonic) || (mnemonic == "pop" && operands.contains("pc")),
        });
    }
    let end = found.last().map_or(range.start, |last| last.address);
    if end + 16 < range.end {
        bail!("the disassembler stopped at {end:#x}, before {:#x}", range.end);
    }
    Ok(found)
}

/// The registers that an instruction of ppc64le's moves and does not say where: vectors, and the fields of the condition
/// register, which are in one word (ELFv2 ABI 2.2.3.4); and whether it stores them.
fn elsewhere(cpu: &Cpu, mnemonic: &str, operands: &str) -> Vec<(u16, bool)> {
    let (first, rest) = operands.split_once(", ").unwrap_or((operands, ""));
    let fields = [("cr2", 0x20), ("cr3", 0x10), ("cr4", 8)];
    let names: Vec<&str> = match (cpu.described.name, mnemonic) {
        ("ppc64le", "stvx" | "lvx") => vec![first],
        ("ppc64le", "stw") if rest == format!("{}(r1)", offset_of!(FrameHeader, linkage.cr)) => {
            fields.iter().map(|(name, _)| *name).collect()
        }
        ("ppc64le", "mtocrf" | "mtcrf") => {
            fields.iter().filter(|(_, bit)| number(first) & bit != 0).map(|(name, _)| *name).collect()
        }
        _ => Vec::new(),
    };
    let registers = names.iter().filter_map(|name| cpu.number(name)).filter(|r| cpu.is_callee_saved(*r));
    registers.map(|register| (register, mnemonic.starts_with("st"))).collect()
}

/// The registers that an instruction moves from or to places that are counted from SP.
fn accesses(cpu: &Cpu, mnemonic: &str, operands: &str) -> Vec<Access> {
    let word = cpu.described.word as i64;
    let mut found = Vec::new();
    let mut add = |text: &str, at: i64, store: bool| {
        found.extend(cpu.number(text).map(|register| Access { register, at, store }));
    };
    match cpu.described.name {
        "i386" | "x86_64" => match (mnemonic, operands.split_once(", ")) {
            ("push", _) => add(operands, 0, true),
            ("pop", _) => add(operands, 0, false),
            ("mov" | "movaps", Some((to, from))) => {
                let sp = if word == 8 { "[rsp" } else { "[esp" };
                let place = |text: &str| Some(number(text.split_once(sp)?.1.strip_suffix(']')?));
                match (place(to), place(from)) {
                    (Some(at), _) => add(from, at, true),
                    (_, Some(at)) => add(to, at, false),
                    _ => (),
                }
            }
            _ => (),
        },
        "arm" => {
            let list = operands.split_once('{').map(|(before, rest)| (before, rest.trim_end_matches('}')));
            let bytes = if mnemonic.starts_with('v') { 8 } else { word };
            let in_list = |store, add: &mut dyn FnMut(&str, i64, bool)| {
                let registers = list.map_or("", |(_, list)| list).split(", ");
                registers.enumerate().for_each(|(i, r)| add(r, i as i64 * bytes, store));
            };
            match mnemonic {
                "push" | "vpush" => in_list(true, &mut add),
                "pop" | "vpop" => in_list(false, &mut add),
                "ldm" if operands.starts_with("sp,") => in_list(false, &mut add),
                "stm" if operands.starts_with("sp,") => in_list(true, &mut add),
                "str" | "ldr" => {
                    if let Some((register, place)) = operands.split_once(", [sp")
                        && let Some(at) = place.strip_suffix(']')
                    {
                        add(register, number(at), mnemonic == "str");
                    }
                }
                _ => (),
            }
        }
        "arm64" => {
            let store = mnemonic.starts_with("st");
            let pair = ["stp", "ldp"].contains(&mnemonic);
            if !(pair || ["str", "ldr", "stur", "ldur"].contains(&mnemonic)) {
                return found;
            }
            let Some((registers, place)) = operands.split_once(", [sp") else { return found };
            // With `!` SP is there after the store; with a number behind the bracket it was before the load.
            let at = match place.strip_suffix(']') {
                Some(at) => number(at),
                None => 0,
            };
            for (i, register) in registers.split(", ").enumerate() {
                add(register, at + i as i64 * word, store);
            }
        }
        "ppc64le" => {
            let store = ["std", "stfd"].contains(&mnemonic);
            if (store || ["ld", "lfd"].contains(&mnemonic))
                && let Some((register, place)) = operands.split_once(", ")
                && let Some(at) = place.strip_suffix("(r1)")
            {
                add(register, number(at), store);
            }
        }
        _ => {
            let Some((registers, at)) =
                operands.strip_suffix("(%r15)").and_then(|text| text.rsplit_once(", "))
            else {
                return found;
            };
            let store = mnemonic.starts_with("st");
            match mnemonic {
                "stg" | "lg" | "std" | "ld" => add(registers, number(at), store),
                "stmg" | "lmg" => {
                    let ends: Vec<i64> =
                        registers.split(", ").map(|r| number(r.trim_start_matches("%r"))).collect();
                    let [from, to] = ends[..] else { return found };
                    (from..=to).for_each(|r| add(&format!("r{r}"), number(at) + (r - from) * word, store));
                }
                _ => (),
            }
        }
    }
    found
}

/// How far an instruction moves SP, up if positive; `None` if it goes to what another register or memory says. `next` is
/// the address of the next one.
fn moves(cpu: &Cpu, mnemonic: &str, operands: &str, next: u64) -> Option<i64> {
    let word = cpu.described.word as i64;
    let (first, rest) = operands.split_once(", ").unwrap_or((operands, ""));
    let sp = cpu.name(cpu.sp);
    let is_sp = |text: &str| text.trim_start_matches('%') == sp;
    match cpu.described.name {
        "i386" | "x86_64" => match mnemonic {
            "push" => Some(-word),
            "pop" if !is_sp(first) => Some(word),
            // How position independent code finds itself.
            "call" if first == format!("{next:#x}") => Some(-word),
            "sub" if is_sp(first) => rest.starts_with(char::is_numeric).then(|| -number(rest)),
            "add" if is_sp(first) => rest.starts_with(char::is_numeric).then(|| number(rest)),
            "lea" if is_sp(first) => {
                let from = rest.split_once('[')?.1.strip_suffix(']')?.strip_prefix(sp)?;
                Some(number(from))
            }
            "leave" => None,
            _ => (!is_sp(first)).then_some(0),
        },
        "arm" | "arm64" => {
            let list = operands.split_once('{').map_or(0, |(_, list)| list.split(", ").count() as i64);
            let bytes = if mnemonic.starts_with('v') { 8 } else { word };
            let before = operands.split_once("[sp, ").and_then(|(_, at)| at.strip_suffix("]!"));
            let behind = operands.split_once("[sp], ").map(|(_, by)| by);
            match mnemonic {
                "push" | "vpush" => Some(-list * bytes),
                "pop" | "vpop" => Some(list * bytes),
                _ if operands.starts_with("sp!") => None,
                _ if before.or(behind).is_some() => before.or(behind).map(number),
                "add" | "sub" if is_sp(first) => {
                    let by = number(rest.strip_prefix("sp, ")?.strip_prefix('#')?);
                    Some(if mnemonic == "sub" { -by } else { by })
                }
                _ if mnemonic.starts_with("st") => Some(0),
                _ => (!is_sp(first)).then_some(0),
            }
        }
        "ppc64le" => match mnemonic {
            "stdu" if rest.ends_with("(r1)") => Some(number(rest.strip_suffix("(r1)")?)),
            "stdux" if is_sp(first) => None,
            "addi" if is_sp(first) => Some(number(rest.strip_prefix("r1, ")?)),
            _ if mnemonic.starts_with("st") => Some(0),
            _ => (!is_sp(first)).then_some(0),
        },
        _ => match mnemonic {
            "aghi" | "agfi" if is_sp(first) => Some(number(rest)),
            "la" | "lay" if is_sp(first) => Some(number(rest.strip_suffix("(%r15)")?)),
            // Of registers from one to another.
            "lmg" => (!rest.starts_with("%r15")).then_some(0),
            _ if mnemonic.starts_with("st") => Some(0),
            _ => (!is_sp(first)).then_some(0),
        },
    }
}

/// A displacement as disassemblers write it: `+ 0x10`, `, #8`, `-8`, nothing.
fn number(text: &str) -> i64 {
    let text: String = text.chars().filter(|c| !" +,#".contains(*c)).collect();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    sign * value.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RBX: u16 = 3;
    const R12: u16 = 12;
    const RSP: u16 = 7;

    fn x86_64() -> Cpu {
        Cpu::of("x86_64").unwrap()
    }

    fn row(cfa: i64, rules: &[(u16, i64)]) -> Row {
        let rules = rules.iter().map(|&(register, at)| (register, Rule::At(at))).collect();
        Row { cfa: Cfa::Register(RSP, cfa), rules, lost: BTreeSet::new(), sp: None }
    }

    fn instruction(mnemonic: &str, operands: &str) -> Instruction {
        let accesses = accesses(&x86_64(), mnemonic, operands);
        let text = format!("{mnemonic} {operands}");
        let moves = moves(&x86_64(), mnemonic, operands, 0);
        Instruction { address: 0, text, accesses, elsewhere: Vec::new(), moves, last: false }
    }

    #[test]
    fn a_rule_for_a_place_that_no_frame_has_is_wrong() {
        let park = |at| against_layouts(&x86_64(), "park", &row(64, &[(RBX, at), (R12, -48)]));
        assert_eq!(park(-56), [""; 0]);
        assert_eq!(park(-64).len(), 1);
        assert!(park(-64)[0].contains("rbx at CFA-64"), "{:?}", park(-64));
    }

    #[test]
    fn the_callers_sp_is_where_the_abi_has_it() {
        let s390x = Cpu::of("s390x").unwrap();
        let with = |sp| Row { cfa: Cfa::Register(s390x.sp, 160), sp, ..row(0, &[]) };
        assert_eq!(against_layouts(&s390x, "getg", &with(Some(-160))), [""; 0]);
        assert_eq!(against_layouts(&s390x, "getg", &with(None)).len(), 1);
        assert_eq!(against_layouts(&x86_64(), "getg", &Row { sp: Some(0), ..row(8, &[]) }).len(), 1);
        let (mnemonic, operands) = ("lmg", "%r6, %r15, 0xd0(%r15)");
        let load = Instruction {
            text: format!("{mnemonic} {operands}"),
            moves: moves(&s390x, mnemonic, operands, 0),
            ..instruction("nop", "")
        };
        let (deep, flat) = (Row { cfa: Cfa::Register(s390x.sp, 320), ..row(0, &[]) }, with(None));
        assert_eq!(against_accesses(&s390x, "mcall", &load, &deep, Some(&flat)), [""; 0]);
        assert_eq!(
            against_accesses(&s390x, "mcall", &load, &deep, Some(&deep)),
            ["SP is the caller's again, and the tables have the CFA at SP+320"]
        );
    }

    #[test]
    fn a_store_and_its_rule_agree() {
        let store = |at: &str, before: &Row, after: &Row| {
            against_accesses(
                &x86_64(),
                "park",
                &instruction("mov", &format!("qword ptr [rsp + {at}], rbx")),
                before,
                Some(after),
            )
        };
        let (without, with) = (row(64, &[]), row(64, &[(RBX, -56)]));
        assert_eq!(store("8", &without, &with), [""; 0]);
        assert_eq!(
            store("0x10", &without, &with),
            ["rbx is stored at CFA-48, and the tables have it at CFA-56"]
        );
        assert_eq!(store("8", &without, &without), ["rbx is stored, and the tables have no rule for it"]);
        let nothing = instruction("nop", "");
        let began = against_accesses(&x86_64(), "park", &nothing, &without, Some(&with));
        assert_eq!(began, ["a rule for rbx begins, and it is not stored"]);
    }

    #[test]
    fn a_load_and_its_rule_agree() {
        let load = |at: &str, after: &Row| {
            let before = row(64, &[(RBX, -56)]);
            against_accesses(
                &x86_64(),
                "park",
                &instruction("mov", &format!("rbx, qword ptr [rsp + {at}]")),
                &before,
                Some(after),
            )
        };
        assert_eq!(load("8", &row(64, &[])), [""; 0]);
        assert_eq!(
            load("0x18", &row(64, &[])),
            ["rbx is loaded from CFA-40, where the tables have it at CFA-56"]
        );
        assert_eq!(load("8", &row(64, &[(RBX, -56)])), ["rbx is back, and the tables go on with their rule"]);
    }

    #[test]
    fn what_is_moved_has_a_rule() {
        let wrong = |function: &str, mnemonic, operands: &str| {
            let row = row(64, &[]);
            against_accesses(&x86_64(), function, &instruction(mnemonic, operands), &row, Some(&row))
        };
        let load = wrong("park", "mov", "rbx, qword ptr [rsp + 8]");
        assert_eq!(load, ["rbx is loaded, and the tables have no rule for it"]);
        assert_eq!(wrong("park", "mov", "qword ptr [rsp + 8], rdi"), [""; 0]);
        let store = wrong("crosscall2_win64", "mov", "qword ptr [rsp + 8], rdi");
        assert_eq!(store, ["rdi is stored, and the tables have no rule for it"]);
    }

    #[test]
    fn what_is_moved_elsewhere_has_a_rule_too() {
        let ppc64le = Cpu::of("ppc64le").unwrap();
        let of = |mnemonic, operands| elsewhere(&ppc64le, mnemonic, operands);
        let number = |name| ppc64le.number(name).unwrap();
        assert_eq!(of("stvx", "v21, r12, r8"), [(number("v21"), true)]);
        assert_eq!(of("lvx", "v3, r12, r8"), []);
        assert_eq!(of("stw", "r0, 8(r1)").len(), 3);
        assert_eq!(of("mtocrf", "0x10, r0"), [(number("cr3"), false)]);
        let with = row(64, &[(number("v21"), -64)]);
        let wrong = |mnemonic, before: &Row, after: &Row| {
            let elsewhere = of(mnemonic, "v21, r12, r8");
            let moves = Instruction { elsewhere, ..instruction(mnemonic, "") };
            against_accesses(&ppc64le, "park", &moves, before, Some(after)).len()
        };
        let without = row(64, &[]);
        assert_eq!([wrong("stvx", &without, &with), wrong("stvx", &without, &without)], [0, 1]);
        assert_eq!([wrong("lvx", &with, &without), wrong("lvx", &with, &with)], [0, 1]);
        assert_eq!(wrong("lvx", &without, &without), 1);
    }

    #[test]
    fn what_a_light_switch_does_not_keep_is_lost_behind_it() {
        let lost = |numbers: &[u16]| Row { lost: numbers.iter().copied().collect(), ..row(64, &[]) };
        let wrong = |last: Row| {
            let rows = [(0..4, row(64, &[])), (4..8, lost(&[12, 13, 14, 15])), (8..12, last)];
            against_losses(&x86_64(), &rows)
        };
        assert_eq!(wrong(lost(&[12, 13, 14, 15])), [""; 0]);
        assert_eq!(wrong(lost(&[12, 13, 15])), ["at 0x8 the tables do not have r14 as lost"]);
        let nothing = against_losses(&x86_64(), &[(0..4, row(64, &[]))]);
        assert_eq!(nothing, ["the tables have nothing as lost"]);
    }

    #[test]
    fn nothing_is_looked_for_below_sp() {
        let below =
            against_accesses(&x86_64(), "park", &instruction("ret", ""), &row(8, &[(RBX, -56)]), None);
        assert_eq!(below, ["the tables look for rbx 48 bytes below SP"]);
    }

    #[test]
    fn the_cfa_stays_when_sp_moves() {
        let wrong = |mnemonic, operands, before, after| {
            let instruction = instruction(mnemonic, operands);
            against_accesses(&x86_64(), "park", &instruction, &row(before, &[]), Some(&row(after, &[])))
        };
        assert_eq!(wrong("pop", "rcx", 16, 8), [""; 0]);
        assert_eq!(
            wrong("pop", "rcx", 16, 16),
            ["SP goes +8, and the tables have the CFA at SP+16 before and SP+16 after"]
        );
        assert_eq!(wrong("nop", "", 16, 8).len(), 1);
        assert_eq!(wrong("mov", "rsp, rdi", 16, 64), [""; 0]);
        assert_eq!(
            wrong("and", "rsp, 0xfffffffffffffff0", 16, 16),
            ["SP is rounded, and the tables count the CFA from it before and after"]
        );
    }

    #[test]
    fn over_a_call_the_cfa_is_counted_from_what_stays() {
        let counted = |register| {
            let row = Row { cfa: Cfa::Register(register, 8), ..row(0, &[]) };
            against_accesses(&x86_64(), "ccall", &instruction("call", "r11"), &row, Some(&row))
        };
        assert_eq!([counted(RSP), counted(RBX), counted(R12)], [const { Vec::<String>::new() }; 3]);
        assert_eq!(counted(11), ["the tables count the CFA from r11 over a call"]);
    }

    #[test]
    fn moves_of_sp_are_read_from_each_disassembly() {
        let of = |cpu: &str, text: &str| {
            let (mnemonic, operands) = text.split_once(' ').unwrap();
            moves(&Cpu::of(cpu).unwrap(), mnemonic, operands, 0x40)
        };
        for (cpu, text, moves) in [
            ("i386", "push dword ptr [ecx + 4]", Some(-4)),
            ("i386", "pop ebx", Some(4)),
            ("i386", "call 0x40", Some(-4)),
            ("i386", "call 0x80", Some(0)),
            ("i386", "mov esp, ecx", None),
            ("i386", "and esp, 0xfffffff0", None),
            ("x86_64", "sub rsp, 0x28", Some(-0x28)),
            ("x86_64", "sub rsp, rax", None),
            ("x86_64", "lea rsp, [rsp + 0x10]", Some(0x10)),
            ("x86_64", "lea rsp, [rbp - 0x10]", None),
            ("x86_64", "mov rax, rsp", Some(0)),
            ("arm", "push {r4, fp}", Some(-8)),
            ("arm", "vpop {d8, d9, d10}", Some(24)),
            ("arm", "add sp, sp, #0x10", Some(16)),
            ("arm", "sub sp, r0, #0x10", None),
            ("arm", "str r0, [sp, #-8]!", Some(-8)),
            ("arm", "str sp, [r1]", Some(0)),
            ("arm", "bic sp, sp, #7", None),
            ("arm64", "stp x29, x30, [sp, #-0x20]!", Some(-0x20)),
            ("arm64", "ldp x29, x30, [sp], #0x20", Some(0x20)),
            ("arm64", "sub sp, sp, #0x30", Some(-0x30)),
            ("arm64", "mov sp, x0", None),
            ("ppc64le", "stdu r1, -0x20(r1)", Some(-0x20)),
            ("ppc64le", "stdu r8, -0x20(r8)", Some(0)),
            ("ppc64le", "addi r1, r1, 0x20", Some(0x20)),
            ("ppc64le", "mr r1, r3", None),
            ("s390x", "lay %r15, -0xa0(%r15)", Some(-0xa0)),
            ("s390x", "la %r15, 0x10(%r2)", None),
            ("s390x", "aghi %r15, -0xa0", Some(-0xa0)),
            ("s390x", "stg %r15, 8(%r2)", Some(0)),
        ] {
            assert_eq!(of(cpu, text), moves, "{cpu}: {text}");
        }
    }

    #[test]
    fn arms_tables_agree() {
        let arm = Cpu::of("arm").unwrap();
        let (sp, r11, r12) = (arm.sp, arm.number("r11").unwrap(), arm.number("r12").unwrap());
        let ours = |cfa, rules: &[(u16, i64)]| Row { cfa, ..row(0, rules) };
        let its = |cfa, rules: &[(u16, i64)]| ehabi::Row { cfa, rules: row(0, rules).rules };
        let cfa = |register| Cfa::Register(register, 8);
        let wrong = |ours: &Row, same, its: &ehabi::Row| against_ehabi(&arm, ours, same, Some(its));
        assert_eq!(wrong(&ours(cfa(sp), &[(4, -8)]), None, &its(cfa(sp), &[(4, -8), (r12, -4)])), [""; 0]);
        assert_eq!(
            wrong(&ours(cfa(sp), &[(4, -8)]), None, &its(cfa(sp), &[(4, -4), (5, -8)])),
            [
                "the tables have r4 at CFA-8, EHABI's at CFA-4",
                "the tables have r5 in itself, EHABI's at CFA-8"
            ]
        );
        assert_eq!(wrong(&ours(cfa(sp), &[]), Some(r11), &its(cfa(r11), &[])), [""; 0]);
        assert_eq!(wrong(&ours(cfa(sp), &[]), None, &its(cfa(r11), &[])).len(), 1);
        assert_eq!(against_ehabi(&arm, &ours(cfa(sp), &[]), None, None).len(), 1);
        let moved = |text: &str, moves, before| {
            let text = text.to_owned();
            same_as_sp(&arm, &Instruction { text, moves, ..instruction("nop", "") }, before)
        };
        assert_eq!(moved("mov fp, sp", Some(0), None), Some(r11));
        assert_eq!(moved("mov sp, fp", None, None), Some(r11));
        assert_eq!(moved("ldr r0, [sp]", Some(0), Some(r11)), Some(r11));
        assert_eq!(moved("ldr fp, [sp]", Some(0), Some(r11)), None);
        assert_eq!(moved("pop {r4}", Some(4), Some(r11)), None);
    }

    #[test]
    fn accesses_are_read_from_each_disassembly() {
        let of = |cpu: &str, mnemonic: &str, operands: &str| {
            let known = Cpu::of(cpu).unwrap();
            let found = accesses(&known, mnemonic, operands);
            found
                .iter()
                .map(|a| format!("{} {} {}", known.name(a.register), a.at, a.store))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("i386", "push", "ebx"), ["ebx 0 true"]);
        assert_eq!(of("i386", "mov", "ebx, dword ptr [esp + 0xc]"), ["ebx 12 false"]);
        assert_eq!(of("arm", "push", "{r4, fp}"), ["r4 0 true", "r11 4 true"]);
        assert_eq!(of("arm", "vpop", "{d8, d9}")[0], "d8 0 false");
        assert_eq!(of("arm64", "stp", "x29, x30, [sp, #0x10]"), ["x29 16 true", "x30 24 true"]);
        assert_eq!(of("arm64", "ldp", "x29, x30, [sp], #0x10"), ["x29 0 false", "x30 8 false"]);
        assert_eq!(of("ppc64le", "std", "r14, 0x30(r1)"), ["r14 48 true"]);
        assert_eq!(of("s390x", "lmg", "%r13, %r14, 0x68(%r15)"), ["r13 104 false", "r14 112 false"]);
        assert_eq!(of("s390x", "stg", "%r13, 0x68(%r2)"), [""; 0]);
    }
}

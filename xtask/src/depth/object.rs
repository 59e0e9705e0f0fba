//! A guest program as object code: its functions, their instructions, and what unwind tables say of SP.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    ops::Range,
};

use anyhow::{Context as _, Result, bail};
use capstone::{Capstone, Endian, prelude::*};
use gimli::{BaseAddresses, CfaRule, EndianSlice, RunTimeEndian, UnwindContext, UnwindSection};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolFlags, SymbolKind};

use super::cpu::Cpu;

/// An instruction.
#[derive(Clone, Debug)]
pub struct Insn {
    pub address: u64,
    pub len: u64,
    pub mnemonic: String,
    pub operands: Vec<String>,
}

impl Insn {
    /// Its text.
    pub fn text(&self) -> String {
        format!("{} {}", self.mnemonic, self.operands.join(", ")).trim_end().to_owned()
    }
    /// An operand; empty where there are fewer.
    pub fn op(&self, at: usize) -> &str {
        self.operands.get(at).map_or("", String::as_str)
    }
    /// The last operand.
    pub fn last(&self) -> &str {
        self.operands.last().map_or("", String::as_str)
    }
}

/// A function: from its symbol.
#[derive(Clone, Debug)]
pub struct Function {
    /// The symbol's Rust path, or the symbol.
    pub name: String,
    pub range: Range<u64>,
    /// arm: compiled to T32.
    thumb: bool,
    /// ppc64le: bytes from the global entry to the local one.
    local: u64,
    /// The address of one of several functions, chosen when the program starts.
    chosen: bool,
}

/// A program.
pub struct Program {
    pub cpu: &'static Cpu,
    code: Vec<(Range<u64>, Vec<u8>)>,
    functions: BTreeMap<u64, Function>,
    by_symbol: HashMap<String, u64>,
    /// arm: where data begins and ends among the instructions.
    data: BTreeMap<u64, bool>,
    /// ppc64le: stubs, by the names of their symbols.
    stubs: HashMap<u64, String>,
    /// What is loaded and is no code.
    data_sections: Vec<(Range<u64>, Vec<u8>)>,
    /// Slots of the table of chosen functions, by address: the function that chooses.
    slots: HashMap<u64, u64>,
    crossings: Range<u64>,
    cfi: Cfi,
}

/// What the unwind tables say: CFA = register + offset, from an address up to another.
#[derive(Default)]
struct Cfi {
    rows: BTreeMap<u64, (u64, Option<(u16, i64)>)>,
}

impl Program {
    /// Reads a program of this CPU.
    pub fn read(path: &str, cpu: &'static Cpu) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
        let file = object::File::parse(&*bytes).with_context(|| format!("{path} is no object file"))?;
        let mut code = Vec::new();
        for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
            let start = section.address();
            code.push((start..start + section.size(), section.data()?.to_vec()));
        }
        let arm = cpu.name == "arm";
        let mut program = Self {
            cpu,
            code,
            functions: BTreeMap::new(),
            by_symbol: HashMap::new(),
            data: BTreeMap::new(),
            stubs: HashMap::new(),
            data_sections: Vec::new(),
            slots: slots(&file),
            crossings: file
                .section_by_name("stackgate_text")
                .map(|s| s.address()..s.address() + s.size())
                .context("the program has no crossings")?,
            cfi: Cfi::default(),
        };
        for section in file.sections() {
            let start = section.address();
            if start != 0
                && section.kind() != SectionKind::Text
                && let Ok(bytes) = section.data()
            {
                program.data_sections.push((start..start + bytes.len() as u64, bytes.to_vec()));
            }
        }
        for symbol in file.symbols() {
            let Ok(symbol_name) = symbol.name() else { continue };
            if let Some(kind) = symbol_name.strip_prefix('$') {
                if arm {
                    program.data.insert(symbol.address(), kind.starts_with('d'));
                }
                continue;
            }
            if symbol_name.is_empty() || !symbol.is_definition() {
                continue;
            }
            let (kind, local) = match symbol.flags() {
                SymbolFlags::Elf { st_info, st_other } => {
                    (st_info.0 & 15, u64::from((1u32 << (st_other.0 >> 5)) >> 2 << 2))
                }
                _ => (0, 0),
            };
            let chosen = kind == object::elf::STT_GNU_IFUNC.0;
            if symbol.kind() != SymbolKind::Text && !chosen && !program.is_code(symbol.address()) {
                continue;
            }
            let thumb = arm && symbol.address() & 1 == 1;
            let start = symbol.address() & !u64::from(arm);
            if let Some((_, name)) = symbol_name.split_once(".plt_call.") {
                program.stubs.insert(start, name.to_owned());
                continue;
            }
            program.by_symbol.insert(symbol_name.to_owned(), start);
            if symbol.size() == 0 {
                continue;
            }
            let function = Function {
                name: rust_name(symbol_name),
                range: start..start + symbol.size(),
                thumb,
                local: if cpu.name == "ppc64le" { local } else { 0 },
                chosen,
            };
            // Of several names for one function the first that is not local's... whichever is longest covers all.
            let better = program.functions.get(&start).is_none_or(|other| {
                (other.range.end, std::cmp::Reverse(&other.name))
                    < (function.range.end, std::cmp::Reverse(&function.name))
            });
            if better {
                program.functions.insert(start, function);
            }
        }
        program.cfi = Cfi::read(&file, cpu)?;
        Ok(program)
    }

    /// True for the instructions of crossings.
    pub fn is_crossing(&self, address: u64) -> bool {
        self.crossings.contains(&address)
    }

    fn is_code(&self, address: u64) -> bool {
        self.code.iter().any(|(range, _)| range.contains(&address))
    }

    /// Every function.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.values()
    }

    /// The address of a function by its symbol, or by the end of its Rust path.
    pub fn address(&self, name: &str) -> Result<u64> {
        if let Some(&at) = self.by_symbol.get(name) {
            return Ok(at);
        }
        // `crate::*::function`: in whatever module of the crate.
        let (start, end) = name.split_once("::*::").map_or(("", name), |(start, end)| (start, end));
        let ends = |f: &&Function| {
            f.name.starts_with(start)
                && (f.name == end || f.name.strip_suffix(end).is_some_and(|rest| rest.ends_with("::")))
        };
        let mut found = self.functions.values().filter(ends);
        match (found.next(), found.next()) {
            (Some(f), None) => Ok(f.range.start),
            (Some(_), Some(_)) => bail!("several functions are called {name}"),
            _ => bail!("the program has no function {name}"),
        }
    }

    /// True if a path that says `part` means this function.
    pub fn means(&self, part: &str, function: &Function) -> bool {
        self.address(part).is_ok_and(|at| at == function.range.start)
    }

    /// The function that an address lies in, whose instructions begin there or at its start.
    pub fn function_at(&self, address: u64) -> Option<&Function> {
        let (_, function) = self.functions.range(..=address).next_back()?;
        function.range.contains(&address).then_some(function)
    }

    /// The place where callers inside the program enter, if `address` is either entry of a function.
    pub fn entry(&self, address: u64) -> u64 {
        match self.function_at(address) {
            Some(f) if address == f.range.start + f.local => f.range.start,
            _ => address,
        }
    }

    /// What is called where a stub stands between: the name of a function of which one form is chosen at start.
    pub fn chosen(&self, address: u64) -> Option<String> {
        if let Some(f) = self.function_at(address) {
            return f.chosen.then(|| f.name.clone());
        }
        if let Some(name) = self.stubs.get(&address) {
            return Some(name.clone());
        }
        let slot = self.cpu.stub_slot(&self.raw(address, 32)?, address)?;
        self.functions.get(self.slots.get(&slot)?).map(|f| f.name.clone())
    }

    /// The forms of such a function.
    pub fn forms(&self, name: &str) -> Vec<u64> {
        let base = name.trim_start_matches('_').trim_end_matches("_ifunc").trim_start_matches("libc_");
        let start = format!("__{base}_");
        let forms = self.by_symbol.iter().filter(|(symbol, _)| {
            symbol.starts_with(&start) && !symbol.contains("chk") && !symbol.contains("ifunc")
        });
        let mut forms: Vec<u64> =
            forms.map(|(_, &at)| at).filter(|at| self.functions.contains_key(at)).collect();
        forms.sort_unstable();
        forms.dedup();
        forms
    }

    /// The function whose address lies in a word of the program's data.
    pub fn pointer(&self, address: u64) -> Option<u64> {
        if let Some(&chooses) = self.slots.get(&address) {
            return Some(chooses);
        }
        let (range, bytes) = self.data_sections.iter().find(|(range, _)| range.contains(&address))?;
        let at = usize::try_from(address - range.start).ok()?;
        let word = bytes.get(at..at + self.cpu.word as usize)?;
        let value = word.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        self.functions.contains_key(&value).then_some(value)
    }

    fn raw(&self, address: u64, n: usize) -> Option<Vec<u8>> {
        let (range, bytes) = self.code.iter().find(|(range, _)| range.contains(&address))?;
        let at = usize::try_from(address - range.start).ok()?;
        Some(bytes[at..(at + n).min(bytes.len())].to_vec())
    }

    /// The instructions of a function.
    pub fn instructions(&self, function: &Function) -> Result<BTreeMap<u64, Insn>> {
        let engine = self.cpu.engine(function.thumb)?;
        let mut found = BTreeMap::new();
        for part in self.parts(&function.range) {
            let n = usize::try_from(part.end - part.start)?;
            let bytes = self.raw(part.start, n).context("no bytes")?;
            let mut at = part.start;
            while at < part.end {
                let from = usize::try_from(at - part.start)?;
                let Some(insn) = engine.disasm_count(&bytes[from..], at, 1)?.first().map(take) else {
                    // No instruction, or one that the disassembler does not know: wrong if it is reached.
                    let insn = self.cpu.unknown(&bytes[from..], at, function.thumb);
                    at += insn.len;
                    found.insert(insn.address, insn);
                    continue;
                };
                at += insn.len;
                found.insert(insn.address, insn);
            }
        }
        Ok(found)
    }

    /// Bytes of the caller's stack that a function takes away when it returns: i386 passes the place for a
    /// structure so.
    pub fn pops(&self, address: u64) -> Result<i64> {
        let Some(function) = self.function_at(address).filter(|_| self.cpu.name == "i386") else {
            return Ok(0);
        };
        Ok(self.instructions(function)?.values().map(|insn| self.cpu.popped(insn)).max().unwrap_or(0))
    }

    /// A range without the data in it.
    fn parts(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let before = self.data.range(..=range.start).next_back().is_some_and(|(_, &data)| data);
        let mut start = (!before).then_some(range.start);
        for (&at, &data) in self.data.range(range.start + 1..range.end) {
            match (start, data) {
                (Some(from), true) => {
                    parts.push(from..at);
                    start = None;
                }
                (None, false) => start = Some(at),
                _ => {}
            }
        }
        if let Some(from) = start {
            parts.push(from..range.end);
        }
        parts
    }

    /// What the unwind tables say at an address: a register and the distance from it up to the CFA, `None` for
    /// an expression; nothing where there is no row.
    pub fn cfa(&self, address: u64) -> Option<Option<(u16, i64)>> {
        let (_, &(end, rule)) = self.cfi.rows.range(..=address).next_back()?;
        (address < end).then_some(rule)
    }
}

fn take(insn: &capstone::Insn<'_>) -> Insn {
    Insn {
        address: insn.address(),
        len: insn.len() as u64,
        mnemonic: insn.mnemonic().unwrap_or("").to_owned(),
        operands: split(insn.op_str().unwrap_or("")),
    }
}

/// Operands, at the commas outside brackets.
pub fn split(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut depth, mut word) = (0, String::new());
    for c in text.chars() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                all.push(std::mem::take(&mut word).trim().to_owned());
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.trim().is_empty() {
        all.push(word.trim().to_owned());
    }
    all
}

/// Where the program finds functions that are chosen at start: slot, and the function that chooses.
fn slots(file: &object::File<'_>) -> HashMap<u64, u64> {
    let mut slots = HashMap::new();
    for section in file.sections().filter(|s| s.name().is_ok_and(|n| n.starts_with(".rel"))) {
        let Ok(data) = section.data() else { continue };
        let (little, wide) = (file.is_little_endian(), file.is_64());
        let word = |at: usize| -> Option<u64> {
            let read = |n: usize| {
                let mut bytes = [0; 8];
                let part = data.get(at..at + n)?;
                if little {
                    bytes[..n].copy_from_slice(part)
                } else {
                    bytes[8 - n..].copy_from_slice(part)
                }
                Some(if little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
            };
            read(if wide { 8 } else { 4 })
        };
        let with_addend = section.name().is_ok_and(|n| n.starts_with(".rela"));
        let (size, step) = if wide { (8, 24) } else { (4, if with_addend { 12 } else { 8 }) };
        for at in (0..data.len()).step_by(step) {
            let Some(slot) = word(at) else { break };
            let resolver = if with_addend { word(at + 2 * size) } else { read_word(file, slot) };
            if let Some(resolver) = resolver {
                slots.insert(slot, resolver & !u64::from(!with_addend));
            }
        }
    }
    slots
}

/// A word of the program's data, on 32-bit CPUs.
fn read_word(file: &object::File<'_>, address: u64) -> Option<u64> {
    let section = file.sections().find(|s| (s.address()..s.address() + s.size()).contains(&address))?;
    let at = usize::try_from(address - section.address()).ok()?;
    let bytes = section.data().ok()?.get(at..at + 4)?;
    Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
}

impl Cfi {
    fn read(file: &object::File<'_>, cpu: &Cpu) -> Result<Self> {
        let endian = if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let mut cfi = Self::default();
        let get = |name: &str| file.section_by_name(name);
        if let Some(section) = get(".debug_frame") {
            let data = section.uncompressed_data()?;
            let mut frame = gimli::DebugFrame::new(&data, endian);
            frame.set_address_size(cpu.word as u8);
            cfi.add(&frame, &BaseAddresses::default())?;
        }
        if let Some(section) = get(".eh_frame") {
            let mut bases = BaseAddresses::default().set_eh_frame(section.address());
            if let Some(text) = get(".text") {
                bases = bases.set_text(text.address());
            }
            let data = section.data()?;
            let mut frame = gimli::EhFrame::new(data, endian);
            frame.set_address_size(cpu.word as u8);
            cfi.add(&frame, &bases)?;
        }
        Ok(cfi)
    }

    fn add<'a, S>(&mut self, section: &S, bases: &BaseAddresses) -> Result<()>
    where
        S: UnwindSection<EndianSlice<'a, RunTimeEndian>>,
        S::Offset: gimli::UnwindOffset<usize>,
    {
        let mut context = UnwindContext::new();
        let mut entries = section.entries(bases);
        while let Some(entry) = entries.next()? {
            let gimli::CieOrFde::Fde(partial) = entry else { continue };
            let fde = partial.parse(S::cie_from_offset)?;
            let mut rows = fde.rows(section, bases, &mut context)?;
            // A vendor's instruction ends the rows of that function, no more.
            while let Ok(Some(row)) = rows.next_row() {
                let rule = match row.cfa() {
                    CfaRule::RegisterAndOffset { register, offset } => Some((register.0, *offset)),
                    CfaRule::Expression(_) => None,
                };
                if row.start_address() < row.end_address() && row.start_address() != 0 {
                    self.rows.insert(row.start_address(), (row.end_address(), rule));
                }
            }
        }
        Ok(())
    }
}

/// The disassembler of a CPU.
pub fn engine(cpu: &str, thumb: bool) -> Result<Capstone> {
    use capstone::arch;
    let engine = match cpu {
        "i386" => Capstone::new().x86().mode(arch::x86::ArchMode::Mode32).build(),
        "x86_64" => Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).build(),
        "arm" if thumb => {
            let extra = [arch::arm::ArchExtraMode::V8];
            Capstone::new().arm().mode(arch::arm::ArchMode::Thumb).extra_mode(extra.into_iter()).build()
        }
        "arm" => {
            let extra = [arch::arm::ArchExtraMode::V8];
            Capstone::new().arm().mode(arch::arm::ArchMode::Arm).extra_mode(extra.into_iter()).build()
        }
        "arm64" => Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(),
        "ppc64le" => Capstone::new().ppc().mode(arch::ppc::ArchMode::Mode64).endian(Endian::Little).build(),
        "s390x" => Capstone::new().sysz().mode(arch::sysz::ArchMode::Default).build(),
        other => bail!("no disassembler for {other}"),
    };
    Ok(engine?)
}

/// The functions that an archive exports, by their symbols: all of them, or those that begin so.
pub fn exported(archive: &str, all: bool, prefix: &str) -> Result<Vec<String>> {
    let bytes = fs::read(archive).with_context(|| format!("cannot read {archive}"))?;
    let mut found = Vec::new();
    for member in object::read::archive::ArchiveFile::parse(&*bytes)?.members() {
        let member = member?;
        // The compiler's own metadata is no object file.
        if !member.name().ends_with(b".o") {
            continue;
        }
        let file = object::File::parse(member.data(&*bytes)?)?;
        for symbol in
            file.symbols().filter(|s| s.is_definition() && s.is_global() && s.kind() == SymbolKind::Text)
        {
            let SymbolFlags::Elf { st_other, .. } = symbol.flags() else { continue };
            let name = symbol.name()?;
            if st_other.0 & 3 == object::elf::STV_DEFAULT.0 && (all || name.starts_with(prefix)) {
                found.push(name.to_owned());
            }
        }
    }
    Ok(found)
}

/// A symbol as it is written in Rust. The two manglings differ in how they write a type's own functions.
fn rust_name(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    match name.strip_prefix('<').and_then(|rest| rest.split_once(">::")) {
        Some((of, function)) if !of.contains(['<', ' ']) => format!("{of}::{function}"),
        _ => name,
    }
}

//! From an ELF file with its debug information to plain tables.
//!
//! `addr2line` answers for one address, and allocates. It is asked once about each stretch of code that can have an
//! answer of its own: between two neighbours of all addresses where a line, a function, an inlined function or a
//! symbol begins or ends.

use super::SymbolizerError;
use super::table::{Function, NONE, Place, Row, Table};
use addr2line::Context;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::hash::Hash;
use core::ops::Range;
use gimli::{DwTag, EndianSlice, NativeEndian};
use hashbrown::HashMap;
use object::read::elf::ElfFile;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SegmentFlags, SymbolKind, elf};

#[cfg(target_pointer_width = "64")]
type Header = elf::FileHeader64<object::NativeEndian>;
#[cfg(target_pointer_width = "32")]
type Header = elf::FileHeader32<object::NativeEndian>;

type Elf<'a> = ElfFile<'a, Header>;
type Bytes<'a> = EndianSlice<'a, NativeEndian>;

/// Thumb code is marked in the lowest bit of its symbols.
const MARK: u64 = stackgate::arch::EXIDX as u64;

/// The tables of the program in `file`, which was loaded `slide` bytes from its own addresses, its code at `code`.
pub(super) fn table(file: &[u8], slide: usize, code: &Range<usize>) -> Result<Table, SymbolizerError> {
    let elf = Elf::parse(file).map_err(|_| SymbolizerError::NotElf)?;
    let code = code.start.wrapping_sub(slide) as u64..code.end.wrapping_sub(slide) as u64;
    if !has_segment(&elf, &code) {
        return Err(SymbolizerError::AnotherProgram);
    }
    let symbols = symbols(&elf);
    let dwarf = dwarf(&elf)?;
    let bad = |_| SymbolizerError::BadDebugInformation;

    let mut points: Vec<u64> = symbols.iter().flat_map(|symbol| [symbol.start, symbol.end]).collect();
    add_ranges(&dwarf, &mut points).map_err(bad)?;
    let context = Context::from_dwarf(dwarf).map_err(bad)?;
    for (start, length, _) in context.find_location_range(code.start, code.end).map_err(bad)? {
        points.extend([start, start + length]);
    }
    points.retain(|point| code.contains(point));
    points.sort_unstable();
    points.dedup();

    let mut builder = Builder::new(code.start);
    for &point in &points {
        let symbol = symbols[..symbols.partition_point(|symbol| symbol.start <= point)].last();
        let symbol = symbol.filter(|symbol| point < symbol.end);
        let mut frames = context.find_frames(point).skip_all_loads().map_err(bad)?;
        let mut chain = Vec::new();
        while let Some(frame) = frames.next().map_err(bad)? {
            let location = frame.location.as_ref();
            chain.push(Inlined {
                name: frame.function.map_or("", |function| function.name.to_string().unwrap_or("")),
                file: location.and_then(|location| location.file).unwrap_or(""),
                line: location.and_then(|location| location.line).unwrap_or(0),
            });
        }
        builder.add(point, &chain, symbol)?;
    }
    builder.add(code.end, &[], None)?;
    Ok(builder.finish(code.start as usize + slide))
}

/// Whether the file has a segment of code there: it is the file of what runs.
fn has_segment(elf: &Elf<'_>, code: &Range<u64>) -> bool {
    elf.segments().any(|segment| {
        let flags = segment.flags();
        matches!(flags, SegmentFlags::Elf { p_flags, .. } if p_flags.contains(elf::PF_X))
            && segment.address() == code.start
            && segment.size() == code.end - code.start
    })
}

/// A function in the symbol table.
struct Symbol<'a> {
    start: u64,
    end: u64,
    name: &'a str,
    /// It is a Rust function's.
    rust: bool,
}

/// The functions in the symbol table, by address, none twice.
fn symbols<'a>(elf: &Elf<'a>) -> Vec<Symbol<'a>> {
    let mut symbols: Vec<_> = elf
        .symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.is_definition() && s.size() > 0)
        .filter_map(|s| {
            let start = s.address() & !MARK;
            let name = s.name().ok()?;
            let rust = rustc_demangle::try_demangle(name).is_ok();
            Some(Symbol { start, end: start.checked_add(s.size())?, name, rust })
        })
        .collect();
    // Of several names for the same code the one that people write: the C library's own begin with underscores.
    symbols.sort_by_key(|s| (s.start, Reverse(s.end), s.name.starts_with('_'), s.name));
    // Code inside other code: the outer one's name is enough.
    let mut covered = 0;
    symbols.retain(|symbol| {
        let keep = symbol.start >= covered;
        covered = covered.max(symbol.end);
        keep
    });
    symbols
}

/// The debug information, as far as there is any.
fn dwarf<'a>(elf: &Elf<'a>) -> Result<gimli::Dwarf<Bytes<'a>>, SymbolizerError> {
    gimli::Dwarf::load(|id| {
        let Some(section) = elf.section_by_name(id.name()) else { return Ok(Bytes::new(&[], NativeEndian)) };
        let range = section.compressed_file_range().map_err(|_| SymbolizerError::NotElf)?;
        if range.format != object::CompressionFormat::None {
            return Err(SymbolizerError::Compressed);
        }
        let data = section.data().map_err(|_| SymbolizerError::NotElf)?;
        Ok(Bytes::new(data, NativeEndian))
    })
}

/// Adds where each function begins and ends, inlined ones included: lines need not tell.
fn add_ranges(dwarf: &gimli::Dwarf<Bytes<'_>>, points: &mut Vec<u64>) -> gimli::Result<()> {
    const FUNCTIONS: [DwTag; 2] = [gimli::DW_TAG_subprogram, gimli::DW_TAG_inlined_subroutine];
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if FUNCTIONS.contains(&entry.tag()) {
                let mut ranges = dwarf.die_ranges(&unit, entry)?;
                while let Some(range) = ranges.next()? {
                    points.extend([range.begin, range.end]);
                }
            }
        }
    }
    Ok(())
}

/// A function at an address, which may have been inlined.
#[derive(Clone, Copy)]
struct Inlined<'a> {
    name: &'a str,
    file: &'a str,
    line: u32,
}

impl Inlined<'_> {
    /// Whether it is the same one, in the same words of the file.
    fn same(&self, other: &Self) -> bool {
        core::ptr::eq(self.name, other.name)
            && core::ptr::eq(self.file, other.file)
            && self.line == other.line
    }
}

/// What became of a frame.
struct Step<'a> {
    frame: Inlined<'a>,
    function: Function,
    file: u32,
    /// It is not shown.
    hidden: bool,
    /// The place of the innermost frame so far that is shown.
    place: u32,
}

/// The tables as they grow.
struct Builder<'a> {
    base: u64,
    rows: Vec<Row>,
    places: Interned<Place>,
    functions: Interned<Function>,
    names: Vec<u8>,
    /// Where each name is, by itself.
    by_name: HashMap<String, u32>,
    /// What became of each name in the file, by address and length: nearly all come again and again.
    seen: HashMap<(*const u8, usize), (u32, Whose)>,
    /// The frames at the last point, outermost first.
    last: Vec<Step<'a>>,
    /// Where the function of the last point begins.
    entry: u32,
}

impl<'a> Builder<'a> {
    fn new(base: u64) -> Self {
        Self {
            base,
            rows: Vec::new(),
            places: Interned::new(),
            functions: Interned::new(),
            // Offset 0 is no name.
            names: alloc::vec![0],
            by_name: HashMap::new(),
            seen: HashMap::new(),
            last: Vec::new(),
            entry: NONE,
        }
    }

    /// The code from `point` on belongs to `chain`, innermost first, in the function that is `symbol`.
    fn add(
        &mut self,
        point: u64,
        chain: &[Inlined<'a>],
        symbol: Option<&Symbol<'a>>,
    ) -> Result<(), SymbolizerError> {
        let start = self.offset(point)?;
        let entry = symbol.map_or(Ok(NONE), |symbol| self.offset(symbol.start.max(self.base)))?;
        let nothing = [Inlined { name: "", file: "", line: 0 }];
        let chain = if chain.is_empty() { &nothing } else { chain };
        // Neighbours have their outer frames in common.
        if self.entry != entry {
            self.last.clear();
        }
        let common = self.last.iter().zip(chain.iter().rev()).take_while(|(last, new)| last.frame.same(new));
        let common = common.count();
        self.last.truncate(common);
        self.entry = entry;
        for frame in chain.iter().rev().skip(common) {
            let step = self.step(*frame, symbol)?;
            self.last.push(step);
        }
        let place = match (self.last.last(), self.last.first()) {
            (Some(last), _) if last.place != NONE => last.place,
            // All of it is stackgate's own, and what that has inlined.
            (_, Some(first)) => self.place(first.function, first.file, first.frame.line, NONE)?,
            _ => NONE,
        };
        if self.rows.last().is_none_or(|row| row.place != place) {
            self.rows.push(Row { start, place });
        }
        Ok(())
    }

    /// A frame that is inlined in the last one, or the function itself.
    fn step(&mut self, frame: Inlined<'a>, symbol: Option<&Symbol<'a>>) -> Result<Step<'a>, SymbolizerError> {
        let (place, hidden, entry) =
            self.last.last().map_or((NONE, false, self.entry), |outer| (outer.place, outer.hidden, NONE));
        // The outermost is the function that the symbol stands for, whose name says more in Rust: debug
        // information may have it without its path.
        let raw = match symbol {
            Some(symbol) if self.last.is_empty() && (frame.name.is_empty() || symbol.rust) => symbol.name,
            _ => frame.name,
        };
        let (name, by_name) = self.name(raw)?;
        let (file, by_file) = self.name(frame.file)?;
        // What a macro of stackgate's makes of a function of the user's stands in stackgate's files too.
        let is = |whose| by_name == whose || by_file == whose && !self.last.is_empty();
        let function = Function { name, entry, ours: is(Whose::Ours) };
        // No frame is what stackgate is for, nor what that has inlined; what it calls for others is.
        let hidden = function.ours || hidden && is(Whose::Library);
        let place = if hidden { place } else { self.place(function, file, frame.line, place)? };
        Ok(Step { frame, function, file, hidden, place })
    }

    /// The index of a place, or the caller's if nothing is known of it.
    fn place(
        &mut self,
        function: Function,
        file: u32,
        line: u32,
        caller: u32,
    ) -> Result<u32, SymbolizerError> {
        if function.name == 0 && file == 0 {
            return Ok(caller);
        }
        let function = self.functions.index(function)?;
        self.places.index(Place { function, file, line, caller })
    }

    fn offset(&self, address: u64) -> Result<u32, SymbolizerError> {
        // The highest number means none.
        u32::try_from(address - self.base).ok().filter(|&n| n != NONE).ok_or(SymbolizerError::TooLarge)
    }

    /// Where a name is, as it is shown, and whose function that would be.
    fn name(&mut self, raw: &'a str) -> Result<(u32, Whose), SymbolizerError> {
        if raw.is_empty() {
            return Ok((0, Whose::Anyone));
        }
        if let Some(&seen) = self.seen.get(&(raw.as_ptr(), raw.len())) {
            return Ok(seen);
        }
        let name =
            rustc_demangle::try_demangle(raw).map_or_else(|_| String::from(raw), |name| format!("{name:#}"));
        let whose = whose(&name);
        let at = match self.by_name.get(&name) {
            Some(&at) => at,
            None => {
                let at = u32::try_from(self.names.len()).map_err(|_| SymbolizerError::TooLarge)?;
                // C takes it up to the first zero.
                self.names.extend(name.bytes().filter(|&byte| byte != 0).chain([0]));
                self.by_name.insert(name, at);
                at
            }
        };
        self.seen.insert((raw.as_ptr(), raw.len()), (at, whose));
        Ok((at, whose))
    }

    fn finish(self, base: usize) -> Table {
        Table {
            base,
            rows: self.rows.into(),
            places: self.places.list.into(),
            functions: self.functions.list.into(),
            names: self.names.into(),
        }
    }
}

/// A list of different values.
struct Interned<T> {
    list: Vec<T>,
    index: HashMap<T, u32>,
}

impl<T: Eq + Hash + Copy> Interned<T> {
    fn new() -> Self {
        Self { list: Vec::new(), index: HashMap::new() }
    }

    fn index(&mut self, value: T) -> Result<u32, SymbolizerError> {
        if let Some(&index) = self.index.get(&value) {
            return Ok(index);
        }
        let new =
            u32::try_from(self.list.len()).ok().filter(|&n| n != NONE).ok_or(SymbolizerError::TooLarge)?;
        self.list.push(value);
        self.index.insert(value, new);
        Ok(new)
    }
}

/// Who has written something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// It is stackgate's own.
    Ours,
    /// It is of Rust's library.
    Library,
    Anyone,
}

/// Who has written the function, or the file, of that name. An inlined function may be known by its last name alone:
/// `debug = "line-tables-only"` says no more.
fn whose(name: &str) -> Whose {
    const OWN: &str = match option_env!("STACKGATE_WITHOUT_PATHS") {
        Some(_) => stackgate::SOURCES,
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/src/"),
    };
    const SOURCES: [&str; 3] = [stackgate::SOURCES, stackgate::arch::SOURCES, OWN];
    const LIBRARY: [&str; 3] = ["/library/core/src/", "/library/alloc/src/", "/library/std/src/"];
    let path = name.trim_start_matches('<');
    let begins = |with: &[&str]| with.iter().any(|with| path.starts_with(with));
    if begins(&["stackgate::", "stackgate_arch::", "stackgate_libc::"])
        || begins(&SOURCES)
        || name == "stackgate_enter"
    {
        Whose::Ours
    } else if begins(&["core::", "alloc::", "std::"]) || LIBRARY.iter().any(|part| path.contains(part)) {
        Whose::Library
    } else {
        Whose::Anyone
    }
}

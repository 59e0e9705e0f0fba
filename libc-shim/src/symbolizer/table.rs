//! What lookups read: plain tables, sorted, that nobody writes to any more.

use alloc::boxed::Box;
use core::ffi::c_char;
use core::ptr::null;

/// No place, no caller, no entry.
pub(super) const NONE: u32 = u32::MAX;

/// From `start` up to the next row's, the code belongs to one place.
pub(super) struct Row {
    /// Bytes from the table's base.
    pub start: u32,
    /// Index of its place, or [`NONE`].
    pub place: u32,
}

/// A line of a function, in each of its copies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Index of the function.
    pub function: u32,
    /// Offset of the file's name; 0 where it is not known.
    pub file: u32,
    /// 0 where it is not known.
    pub line: u32,
    /// Index of the place that this function was inlined at, or [`NONE`].
    pub caller: u32,
}

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Function {
    /// Offset of its name; 0 where it is not known.
    pub name: u32,
    /// Bytes from the table's base; [`NONE`] for one that was inlined.
    pub entry: u32,
    /// It is stackgate's own.
    pub ours: bool,
}

// What the module's page says that each takes.
const _: () = assert!(size_of::<Row>() == 8 && size_of::<Place>() == 16 && size_of::<Function>() == 12);

/// How much memory the symbolizer's tables take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// How many functions are known, inlined ones included.
    pub functions: usize,
    /// How many places: pairs of a function and a line, or of those and a caller.
    pub places: usize,
    /// How many stretches of code with one place.
    pub stretches: usize,
    /// Bytes of names.
    pub names: usize,
    /// Bytes of all.
    pub bytes: usize,
}

/// The tables.
pub(super) struct Table {
    /// The address that the rows count from.
    pub base: usize,
    pub rows: Box<[Row]>,
    pub places: Box<[Place]>,
    pub functions: Box<[Function]>,
    /// Names, each with a zero behind it; an empty one comes first.
    pub names: Box<[u8]>,
}

impl Table {
    /// The index of the place that an address belongs to.
    pub fn place_of(&self, address: usize) -> Option<usize> {
        let offset = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let after = self.rows.partition_point(|row| row.start <= offset);
        let row = self.rows.get(after.checked_sub(1)?)?;
        self.place(row.place as usize)
    }

    /// The index itself, if it is one.
    pub fn place(&self, index: usize) -> Option<usize> {
        (index < self.places.len()).then_some(index)
    }

    pub fn file(&self, place: usize) -> *const c_char {
        self.name(self.places[place].file)
    }

    pub fn line(&self, place: usize) -> usize {
        self.places[place].line as usize
    }

    pub fn caller(&self, place: usize) -> Option<usize> {
        self.place(self.places[place].caller as usize)
    }

    pub fn function(&self, place: usize) -> *const c_char {
        self.name(self.function_of(place).name)
    }

    /// Where the function begins; 0 where it was inlined.
    pub fn entry(&self, place: usize) -> usize {
        match self.function_of(place).entry {
            NONE => 0,
            entry => self.base + entry as usize,
        }
    }

    /// Whether the code at an address is stackgate's own.
    pub fn is_ours(&self, address: usize) -> bool {
        self.place_of(address).is_some_and(|place| self.function_of(place).ours)
    }

    pub fn memory_use(&self) -> MemoryUse {
        let bytes = size_of::<Self>()
            + size_of_val(&*self.rows)
            + size_of_val(&*self.places)
            + size_of_val(&*self.functions)
            + self.names.len();
        MemoryUse {
            functions: self.functions.len(),
            places: self.places.len(),
            stretches: self.rows.len(),
            names: self.names.len(),
            bytes,
        }
    }

    fn function_of(&self, place: usize) -> &Function {
        &self.functions[self.places[place].function as usize]
    }

    fn name(&self, offset: u32) -> *const c_char {
        match self.names.get(offset as usize..) {
            Some(name) if offset != 0 => name.as_ptr().cast(),
            _ => null(),
        }
    }
}

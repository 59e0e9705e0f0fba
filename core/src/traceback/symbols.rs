//! The names of managed functions.

use super::registry::Registry;
use core::fmt;

/// How many tables of functions there may be.
pub const MAX_FUNCTION_TABLES: usize = 16;

/// A managed function, as a trace names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Address of its first instruction.
    pub entry: usize,
    /// One past its last instruction.
    pub end: usize,
    /// Its name.
    pub name: &'static str,
    /// Its file; empty when it is not known.
    pub file: &'static str,
    /// The line on which it begins; 0 when it is not known.
    pub line: u32,
}

/// Why a table of functions was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// There are as many tables as there may be. Register fewer and longer ones.
    Full,
    /// The table is empty, or an entry has no length, or the entries are not in ascending order.
    Unsorted,
    /// A range is in another table already.
    Overlap,
    /// The bytes are not what they should be: too short, misaligned, or of a kind that this CPU has not.
    BadTable,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room for another table: register fewer, longer ones",
            Self::Unsorted => "the entries must be in ascending order, with a length each: sort them",
            Self::Overlap => "this range is registered already: register each once",
            Self::BadTable => "not a table of this CPU: check its address and length",
        })
    }
}

pub(super) static TABLES: Registry<&'static [Function], MAX_FUNCTION_TABLES> = Registry::new();

/// Tells tracebacks the names of managed functions. `functions` is sorted by address and does not overlap
/// with itself or any table registered before.
///
/// Runs on any stack; not for signal handlers. Go: what the linker's `pclntab` is.
///
/// # Errors
/// [`RegisterError`]; nothing has changed then.
pub fn register_functions(functions: &'static [Function]) -> Result<(), RegisterError> {
    let (Some(first), Some(last)) = (functions.first(), functions.last()) else {
        return Err(RegisterError::Unsorted);
    };
    let ordered = functions.iter().all(|f| f.entry < f.end)
        && functions.iter().zip(functions.iter().skip(1)).all(|(a, b)| a.end <= b.entry);
    if !ordered {
        return Err(RegisterError::Unsorted);
    }
    TABLES.add(functions, RegisterError::Full, |tables| {
        // Between the ends of one table another may fit into a gap.
        let clash = tables.iter().flat_map(|table| table.iter()).any(|other| {
            other.entry < last.end
                && first.entry < other.end
                && functions.iter().any(|f| f.entry < other.end && other.entry < f.end)
        });
        if clash { Err(RegisterError::Overlap) } else { Ok(()) }
    })
}

/// The registered function that `address` lies in.
///
/// Runs on any stack; safe in a signal handler. Go: `findfunc`.
pub fn function_at(address: usize) -> Option<&'static Function> {
    TABLES.entries().iter().find_map(|table| {
        let at = table.partition_point(|f| f.entry <= address);
        table.get(at.wrapping_sub(1)).filter(|f| address < f.end)
    })
}

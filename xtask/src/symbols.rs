//! Symbols of a guest program: names, addresses and sizes of its functions.

use std::{collections::BTreeMap, fs, ops::Range};

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSymbol as _, SymbolKind};

/// The functions of a program.
#[derive(Debug, Default)]
pub struct Symbols {
    by_name: BTreeMap<String, Range<u64>>,
    by_start: BTreeMap<u64, (u64, String)>,
}

impl Symbols {
    /// Reads the symbol table of an ELF file.
    pub fn read(path: &str) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
        let file = object::File::parse(&*bytes).with_context(|| format!("{path} is no object file"))?;
        // A Thumb function's symbol has its lowest bit set; addresses of instructions have not.
        let thumb = match file.architecture() {
            object::Architecture::Arm => 1,
            _ => 0,
        };
        let mut symbols = Self::default();
        for symbol in file.symbols().filter(|s| s.kind() == SymbolKind::Text && s.is_definition()) {
            let Ok(name) = symbol.name() else { continue };
            let start = symbol.address() & !thumb;
            symbols.insert(name, start..start + symbol.size());
        }
        Ok(symbols)
    }

    fn insert(&mut self, name: &str, range: Range<u64>) {
        // Mapping symbols ($a, $t, $x) mark code, they do not name it.
        if name.is_empty() || name.starts_with('$') {
            return;
        }
        if !range.is_empty() {
            self.by_start.entry(range.start).or_insert_with(|| (range.end, name.to_owned()));
        }
        self.by_name.insert(name.to_owned(), range);
    }

    /// The addresses of a function.
    pub fn range(&self, name: &str) -> Result<Range<u64>> {
        match self.by_name.get(name) {
            Some(range) if range.is_empty() => {
                bail!("the function {name} has no size: its `.size` is missing")
            }
            Some(range) => Ok(range.clone()),
            None => bail!("the program has no function {name}"),
        }
    }

    /// The function that an address lies in.
    pub fn name_at(&self, address: u64) -> Option<&str> {
        let (_, (end, name)) = self.by_start.range(..=address).next_back()?;
        (address < *end).then_some(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_the_function_they_lie_in() {
        let mut symbols = Symbols::default();
        symbols.insert("f", 0x100..0x110);
        symbols.insert("g", 0x120..0x124);
        symbols.insert("$x", 0x108..0x10c);
        symbols.insert("label", 0x130..0x130);
        assert_eq!(symbols.name_at(0x10f), Some("f"));
        assert_eq!(symbols.name_at(0x110), None);
        assert_eq!(symbols.name_at(0x120), Some("g"));
        assert_eq!(symbols.name_at(0xff), None);
        assert_eq!(symbols.range("g").unwrap(), 0x120..0x124);
        assert!(symbols.range("label").unwrap_err().to_string().contains("no size"));
        assert!(symbols.range("h").is_err());
    }
}

//! The program's own symbol table, as names for tracebacks.

use object::{Object, ObjectSymbol, SymbolKind};
use stackgate::traceback::{Function, register_functions};

/// Registers every function of this program by its name in the symbol table.
pub fn register() {
    register_functions(functions()).expect("room for one table");
}

/// Registers them if nobody has yet.
pub fn register_once() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(register);
}

/// Every function of this program, by address.
pub fn functions() -> &'static [Function] {
    static FUNCTIONS: std::sync::OnceLock<Vec<Function>> = std::sync::OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let bytes: &'static [u8] = std::fs::read("/proc/self/exe").expect("the program's own file").leak();
        let file = object::File::parse(bytes).expect("an ELF file");
        let slide = slide(&file);
        // Thumb code is marked in the lowest bit of its address.
        let mark = if file.architecture() == object::Architecture::Arm { 1 } else { 0 };
        let mut symbols: Vec<_> = file
            .symbols()
            .filter(|s| s.kind() == SymbolKind::Text && s.is_definition() && s.size() > 0)
            .filter_map(|s| {
                let entry = (s.address() & !mark) as usize + slide;
                Some((entry, entry + s.size() as usize, s.name().ok()?))
            })
            .collect();
        symbols.sort_by_key(|&(entry, end, _)| (entry, end));
        // Names for the same code, and code inside other code: the first is enough.
        let mut covered = 0;
        symbols.retain(|&(entry, end, _)| {
            let keep = entry >= covered;
            if keep {
                covered = end;
            }
            keep
        });
        let function = |&(entry, end, symbol)| Function { entry, end, name: name(symbol), file: "", line: 0 };
        symbols.iter().map(function).collect::<Vec<_>>()
    })
}

/// The lowest bit of an address of Thumb code is a mark.
const THUMB: usize = stackgate::arch::EXIDX as usize;

/// Where the function begins that the instruction at `address` belongs to.
pub fn entry(address: usize) -> Option<usize> {
    let address = address & !THUMB;
    let functions = functions();
    let at = functions.partition_point(|f| f.entry <= address).checked_sub(1)?;
    (address < functions[at].end).then_some(functions[at].entry)
}

/// A symbol as its language writes it, if it is one of ours: an emulator takes half a second for all of the
/// standard library's.
fn name(symbol: &'static str) -> &'static str {
    let ours = ["stackgate", "qemu_tests", "demo"].iter().any(|name| symbol.contains(name));
    let name = if ours { rustc_demangle::try_demangle(symbol).ok() } else { None };
    name.map_or(symbol, |name| Box::leak(format!("{name:#}").into_boxed_str()))
}

/// How far from its own addresses this program was loaded.
pub fn slide_of_this_program() -> usize {
    let bytes = std::fs::read("/proc/self/exe").expect("the program's own file");
    slide(&object::File::parse(&*bytes).expect("an ELF file"))
}

/// How far from its own addresses the program was loaded.
#[unsafe(export_name = "qemu_tests_slide")]
fn slide(file: &object::File<'_>) -> usize {
    let here = (slide as *const ()).addr();
    let symbol = file.symbols().find(|s| s.name() == Ok("qemu_tests_slide")).expect("this very function");
    (here & !1) - (symbol.address() & !1) as usize
}

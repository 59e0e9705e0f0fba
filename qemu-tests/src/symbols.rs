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
        let bytes = std::fs::read("/proc/self/exe").expect("the program's own file");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let slide = slide(&file);
        // Thumb code is marked in the lowest bit of its address.
        let mark = if file.architecture() == object::Architecture::Arm { 1 } else { 0 };
        let mut functions: Vec<Function> = file
            .symbols()
            .filter(|s| s.kind() == SymbolKind::Text && s.is_definition() && s.size() > 0)
            .filter_map(|s| {
                let entry = (s.address() & !mark) as usize + slide;
                let name = rustc_demangle::demangle(s.name().ok()?);
                let name: &'static str = Box::leak(format!("{name:#}").into_boxed_str());
                Some(Function { entry, end: entry + s.size() as usize, name, file: "", line: 0 })
            })
            .collect();
        functions.sort_by_key(|f| (f.entry, f.end));
        // Names for the same code, and code inside other code: the first is enough.
        let mut end = 0;
        functions.retain(|f| {
            let keep = f.entry >= end;
            if keep {
                end = f.end;
            }
            keep
        });
        functions
    })
}

/// How far from its own addresses the program was loaded.
fn slide(file: &object::File<'_>) -> usize {
    let here = (slide as *const ()).addr();
    let name = "qemu_tests::symbols::slide";
    let symbol = file
        .symbols()
        .find(|s| s.name().is_ok_and(|n| format!("{:#}", rustc_demangle::demangle(n)) == name))
        .expect("this very function");
    (here & !1) - (symbol.address() & !1) as usize
}

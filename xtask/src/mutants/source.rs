//! Mutants of a CPU's `asm.rs`, made from its text.
//!
//! The file is read as tokens, so that a mutant knows the operand, the instruction or the line that it breaks
//! by the name that the source gives it. A mutant is a few edits of the text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    str::FromStr as _,
};

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An offset or a size that an operand brings is a word larger.
    Offset,
    /// A register is not stored.
    Save,
    /// A register is not loaded.
    Restore,
    /// A line of unwind tables is not there.
    Cfi,
    /// Of two stores that follow each other, of which one publishes, the first comes after the second.
    Order,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Offset, Self::Save, Self::Restore, Self::Cfi, Self::Order];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offset => "offset",
            Self::Save => "save",
            Self::Restore => "restore",
            Self::Cfi => "CFI line",
            Self::Order => "publication order",
        })
    }
}

/// A change of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    at: Range<usize>,
    to: String,
}

/// One thing broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The function, or the macro with a `!`.
    pub function: String,
    pub kind: Kind,
    /// What is broken, in the source's words. With the function's name it is unique in its file.
    pub what: String,
    edits: Vec<Edit>,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, self.what)
    }
}

impl Mutant {
    /// The text with this broken.
    pub fn apply(&self, text: &str) -> String {
        let mut edits: Vec<_> = self.edits.iter().collect();
        edits.sort_by_key(|edit| edit.at.start);
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for edit in edits {
            out.push_str(&text[from..edit.at.start]);
            out.push_str(&edit.to);
            from = edit.at.end;
        }
        out + &text[from..]
    }
}

/// What has to be known of a CPU to make mutants of its assembly.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Bytes of a machine word.
    pub word: usize,
    /// Registers whose stores and loads are saves and restores, by the assembler's names.
    pub registers: BTreeSet<String>,
    /// The stack pointer's names.
    pub stack_pointer: &'static [&'static str],
}

/// Instructions that store registers, on any of the CPUs; x86's `mov` stores if its destination is memory.
const STORES: &[&str] = &[
    "push", "vpush", "str", "strd", "stm", "stmdb", "stmia", "vstr", "vstmia", "stp", "stur", "std", "stdu",
    "stdx", "stw", "stfd", "stvx", "stxvd2x", "mfcr", "mflr", "stg", "stmg", "stfpc",
];
/// And those that load them.
const LOADS: &[&str] = &[
    "pop", "vpop", "leave", "ldr", "ldrd", "ldm", "ldmia", "vldr", "vldmia", "ldp", "ldur", "ld", "ldx",
    "lwz", "lfd", "lvx", "lxvd2x", "mtcr", "mtcrf", "mtocrf", "mtlr", "lg", "lmg",
];
/// x86's instructions that do either.
const MOVES: &[&str] = &["mov", "movaps", "movups"];
/// Instructions that make memory from a constant.
const CONSTANT_STORES: &[&str] = &["mvghi", "mvc"];
/// Instructions that store into the current g's place.
const CURRENT_G_STORES: &[&str] = &["mov", "str", "stg", "stdx"];
/// Functions that store a word through a pointer that they were given, and no current g.
const THROWN_IN: &[&str] = &["asmcgocall_catch", "throw_to"];
/// Directives that are lines of unwind tables. `.cfi_` is before the others.
const EHABI: &[&str] = &[".save", ".vsave", ".pad", ".setfp", ".movsp", ".fnend\n .fnstart"];

/// A line of assembly: a literal, or a macro that stands for some.
#[derive(Clone, Debug)]
struct Piece {
    at: Range<usize>,
    /// As the assembler reads it; a macro as it is written.
    text: String,
    /// Of a macro: the literals among its arguments.
    arguments: Vec<(Range<usize>, String)>,
}

impl Piece {
    fn is_cfi(&self) -> bool {
        is_cfi(&self.text)
    }

    /// Neither label nor directive nor macro.
    fn is_instruction(&self) -> bool {
        !self.text.starts_with('.') && !self.text.is_empty() && !self.label() && !self.text.contains("!(")
    }

    fn label(&self) -> bool {
        self.text.split_whitespace().next().is_some_and(|word| word.ends_with(':'))
    }

    fn mnemonic(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or("")
    }

    fn operands(&self) -> &str {
        self.text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim())
    }

    /// Whether x86's `mov` goes to memory.
    fn to_memory(&self) -> bool {
        let first = self.operands().split(',').next().unwrap_or("");
        first.contains('[') || first.contains("current_g")
    }

    fn stores(&self) -> bool {
        match self.mnemonic() {
            word if MOVES.contains(&word) => self.to_memory(),
            word => STORES.contains(&word) && !["mfcr", "mflr"].contains(&word),
        }
    }

    /// Whether it is a save of a register, or part of one.
    fn saves(&self, dialect: &Dialect) -> bool {
        let store = self.stores() || ["mfcr", "mflr"].contains(&self.mnemonic());
        store && self.moves_register(dialect)
    }

    fn restores(&self, dialect: &Dialect) -> bool {
        let load = match self.mnemonic() {
            word if MOVES.contains(&word) => !self.to_memory() && self.operands().contains('['),
            word => LOADS.contains(&word),
        };
        load && self.moves_register(dialect)
    }

    /// Whether it moves a register of the dialect from or to memory: what stands outside the address.
    fn moves_register(&self, dialect: &Dialect) -> bool {
        // Ranges and lists are of registers that are saved, or hold one.
        if self.text.contains('{') && self.text.contains("-r") || self.mnemonic() == "leave" {
            return true;
        }
        if ["stmg", "lmg", "mfcr", "mflr", "mtlr", "mtcr", "mtcrf", "mtocrf"].contains(&self.mnemonic()) {
            return true;
        }
        let outside = self.operands().split(['[', ']']).step_by(2).collect::<String>();
        // `{r31}(%r1)`: an address without brackets.
        let outside: Vec<_> = outside.split(',').filter(|part| !part.contains('(')).collect();
        outside
            .join(",")
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| dialect.registers.contains(word))
    }

    /// Whether SP goes to another stack: not by a constant from where it was.
    fn switches_stack(&self, dialect: &Dialect) -> bool {
        if !self.is_instruction() || self.stores() {
            return false;
        }
        let mut operands = self.operands().splitn(2, ',');
        let (first, rest) = (operands.next().unwrap_or(""), operands.next().unwrap_or(""));
        let is_sp = |word: &str| dialect.stack_pointer.contains(&word.trim());
        let from_itself =
            rest.split([',', '(', ')']).any(is_sp) && !rest.contains('[') && self.mnemonic() != "lg";
        // `sub rsp, 8` and its like have SP as a source too.
        let in_place = ["add", "sub", "and"].contains(&self.mnemonic()) && !rest.contains(',');
        is_sp(first) && !rest.is_empty() && !from_itself && !in_place
    }

    /// Control goes elsewhere, or comes from elsewhere.
    fn breaks(&self) -> bool {
        let word = self.mnemonic();
        self.label()
            || self.text.starts_with(".globl")
            || ["call", "jmp", "ret", "blr", "br", "bx", "blx", "b", "bl", "bctrl", "bctr", "basr", "brasl"]
                .contains(&word)
            || word.starts_with('j')
            || ["beq", "bne", "cbz", "cbnz"].contains(&word)
    }
}

fn is_cfi(text: &str) -> bool {
    let own =
        ["startproc", "endproc", "sections"].iter().any(|word| text.starts_with(&format!(".cfi_{word}")));
    (text.starts_with(".cfi_") && !own) || EHABI.iter().any(|start| text.starts_with(start))
}

/// An operand that the assembly names.
struct Operand {
    name: String,
    value: Range<usize>,
}

/// What is in one function.
#[derive(Default)]
struct Function {
    name: String,
    pieces: Vec<Piece>,
    operands: Vec<Operand>,
}

/// Every mutant of a file.
pub fn mutants(text: &str, dialect: &Dialect) -> Result<Vec<Mutant>> {
    let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("it is no Rust: {error}"))?;
    let mut functions = Vec::new();
    let mut macros = BTreeMap::new();
    collect(tokens, text, &mut functions, &mut macros);
    let mut all = Vec::new();
    for function in &functions {
        offsets(function, text, dialect, &mut all);
        for piece in &function.pieces {
            lines(function, piece, text, dialect, &macros, &mut all);
        }
        orders(function, text, dialect, &mut all);
    }
    for (name, literals) in &macros {
        all.extend(literals.iter().flat_map(|literal| macro_lines(name, literal, text)));
    }
    number(&mut all);
    Ok(all)
}

/// Literals of a macro's definition: where they stand.
type Macros = BTreeMap<String, Vec<Range<usize>>>;

/// Finds functions with assembly, and macros.
fn collect(tokens: TokenStream, text: &str, functions: &mut Vec<Function>, macros: &mut Macros) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut function = String::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "fn" => {
                function = tokens.get(at + 1).map(ToString::to_string).unwrap_or_default();
            }
            TokenTree::Ident(word) if word == "macro_rules" => {
                let name = tokens.get(at + 2).map(ToString::to_string).unwrap_or_default();
                if let Some(TokenTree::Group(body)) = tokens.get(at + 3) {
                    let mut found = Vec::new();
                    literals(body.stream(), &mut found);
                    macros.entry(format!("{name}!")).or_default().extend(found);
                    // Operands that a macro brings to the functions that use it.
                    let mut within = Vec::new();
                    assembly(body.stream(), &format!("{name}!"), text, &mut within);
                    functions
                        .extend(within.into_iter().map(|found| Function { pieces: Vec::new(), ..found }));
                }
            }
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace && !function.is_empty() => {
                assembly(body.stream(), &function, text, functions);
                function.clear();
            }
            _ => (),
        }
    }
}

/// String literals, however deep.
fn literals(tokens: TokenStream, found: &mut Vec<Range<usize>>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) if literal.to_string().starts_with('"') => {
                found.push(literal.span().byte_range());
            }
            _ => (),
        }
    }
}

/// Every `naked_asm!` and what is called like it.
fn assembly(tokens: TokenStream, function: &str, text: &str, found: &mut Vec<Function>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let after = tokens.get(at + 2);
        match (token, after) {
            (TokenTree::Ident(word), Some(TokenTree::Group(group)))
                if word.to_string().starts_with("naked_asm") =>
            {
                found.push(one_assembly(function, group, text));
            }
            (TokenTree::Group(group), _) => assembly(group.stream(), function, text, found),
            _ => (),
        }
    }
}

fn one_assembly(function: &str, group: &Group, text: &str) -> Function {
    let mut result = Function { name: function.to_owned(), ..Function::default() };
    let tokens: Vec<_> = group.stream().into_iter().collect();
    for argument in tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
        // `Frame: "..."`, of a macro that adds that frame's operands.
        let colon = matches!(argument.get(1), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        // `$($asm)*` and what else a macro has before an operand.
        let skip = argument.iter().position(|token| matches!(token, TokenTree::Ident(_))).unwrap_or(0);
        let argument = if colon { &argument[2..] } else { argument };
        let argument = match argument.first() {
            Some(TokenTree::Punct(_)) => &argument[skip..],
            _ => argument,
        };
        let Some((first, last)) = argument.first().zip(argument.last()) else { continue };
        let at = first.span().byte_range().start..last.span().byte_range().end;
        match argument {
            [TokenTree::Literal(literal)] => {
                result.pieces.push(Piece { at, text: read(literal), arguments: Vec::new() });
            }
            [TokenTree::Ident(_), TokenTree::Punct(mark), TokenTree::Group(inner)]
                if mark.as_char() == '!' =>
            {
                let mut arguments = Vec::new();
                for token in inner.stream() {
                    if let TokenTree::Literal(literal) = token {
                        arguments.push((literal.span().byte_range(), read(&literal)));
                    }
                }
                result.pieces.push(Piece { text: text[at.clone()].to_owned(), at, arguments });
            }
            [TokenTree::Ident(name), TokenTree::Punct(_), TokenTree::Ident(kind), rest @ ..]
                if kind == "const" && !rest.is_empty() =>
            {
                let value = rest[0].span().byte_range().start..at.end;
                result.operands.push(Operand { name: name.to_string(), value });
            }
            _ => (),
        }
    }
    result
}

/// A literal as the assembler reads it.
fn read(literal: &Literal) -> String {
    let text = literal.to_string();
    text.trim_matches('"').replace("\\n", "\n").replace("\\\"", "\"").replace("{{", "{").replace("}}", "}")
}

fn offsets(function: &Function, text: &str, dialect: &Dialect, all: &mut Vec<Mutant>) {
    let mut by_name: BTreeMap<&str, Vec<(Range<usize>, &Operand)>> = BTreeMap::new();
    let mut names = Vec::new();
    for operand in &function.operands {
        let Some(measure) = measure(&text[operand.value.clone()]) else { continue };
        let at = operand.value.start + measure.start..operand.value.start + measure.end;
        // Two bytes of one number.
        let name = operand.name.strip_suffix("_lo").or_else(|| operand.name.strip_suffix("_hi"));
        let name = name.unwrap_or(&operand.name);
        if !by_name.contains_key(name) {
            names.push(name);
        }
        by_name.entry(name).or_default().push((at, operand));
    }
    for name in names {
        let places = &by_name[name];
        let measured = text[places[0].0.clone()].to_owned();
        let halves = if places.len() > 1 { ", in the tables" } else { "" };
        all.push(Mutant {
            function: function.name.clone(),
            kind: Kind::Offset,
            what: format!("`{name}`{halves}: `{measured}` + {}", dialect.word),
            edits: places
                .iter()
                .map(|(at, _)| Edit {
                    at: at.clone(),
                    to: format!("({} + {})", &text[at.clone()], dialect.word),
                })
                .collect(),
        });
    }
}

/// Where the first `offset_of!(...)` or `size_of::<...>()` is.
fn measure(value: &str) -> Option<Range<usize>> {
    let offset = value.find("offset_of!(").map(|at| (at, at + "offset_of!".len()));
    let size = value.find("size_of::<").and_then(|at| Some((at, at + value[at..].find(">(")? + 1)));
    let (start, open) = offset.or(size)?;
    let mut depth = 0;
    for (at, c) in value[open..].char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            return Some(start..open + at + 1);
        }
    }
    None
}

fn lines(
    function: &Function,
    piece: &Piece,
    source: &str,
    dialect: &Dialect,
    macros: &Macros,
    all: &mut Vec<Mutant>,
) {
    let mut drop = |kind, at: &Range<usize>, text: &str, operands: &str| {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        all.push(Mutant {
            function: function.name.clone(),
            kind,
            what: format!("no `{text}`"),
            edits: vec![Edit { at: at.clone(), to: format!("\"{operands}\"") }],
        });
    };
    let named = piece.text.split_once('(').map(|(name, _)| name).unwrap_or_default();
    if let Some(of) = macros.get(named) {
        // A macro of nothing but lines of tables is one.
        let tables = ["saved!", "restored!", "goes_on!"].iter().any(|end| named.ends_with(end));
        if tables && !of.is_empty() {
            let parts = of.iter().chain(piece.arguments.iter().map(|(at, _)| at));
            let text: String = parts.map(|at| &source[at.clone()]).collect();
            drop(Kind::Cfi, &piece.at, &piece.text, &still_named(&text));
        }
        for (at, text) in piece.arguments.iter().filter(|(_, text)| is_cfi(text)) {
            drop(Kind::Cfi, at, text, &still_named(&source[at.clone()]));
        }
        return;
    }
    let kind = if piece.is_cfi() {
        Kind::Cfi
    } else if piece.is_instruction() && piece.saves(dialect) {
        Kind::Save
    } else if piece.is_instruction() && piece.restores(dialect) {
        Kind::Restore
    } else {
        return;
    };
    drop(kind, &piece.at, &piece.text, &still_named(&source[piece.at.clone()]));
}

/// What takes the place of lines that are left out: a comment with their operands. An operand that nothing
/// names any more is an error of the compiler's, which says nothing about tests.
fn still_named(source: &str) -> String {
    let source = source.replace("{{", "").replace("}}", "");
    let names: BTreeSet<_> =
        source.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
    format!("/* {} */", names.join(" "))
}

/// Lines of tables in a macro's definition: a literal may have several.
fn macro_lines(name: &str, literal: &Range<usize>, text: &str) -> Vec<Mutant> {
    let (start, end) = (literal.start + 1, literal.end - 1);
    let mut found = Vec::new();
    let mut at = start;
    while at < end {
        let length = text[at..end].find("\\n").unwrap_or(end - at);
        let line = text[at..at + length].trim_start_matches(|c: char| c == '\\' || c.is_whitespace());
        if is_cfi(line) {
            found.push(Mutant {
                function: name.to_owned(),
                kind: Kind::Cfi,
                what: format!("no `{}`", line.trim()),
                edits: vec![Edit { at: at..at + length, to: still_named(line) }],
            });
        }
        at += length + 2;
    }
    found
}

/// Pairs of stores, of which one publishes: into the current g's place, into `g0.sched.sp` or a g's `catch`, or
/// by moving SP to another stack, which publishes all that lies there. They follow each other without a jump, call or label
/// between. The one that comes first is put behind the other; or the other before it, where an instruction
/// between changes a register that the first one needs. Where neither can move there is no mutant.
fn orders(function: &Function, text: &str, dialect: &Dialect, all: &mut Vec<Mutant>) {
    let pieces = &function.pieces;
    let value_of = |name: &str| {
        let operand = function.operands.iter().find(|operand| operand.name == name);
        operand.map_or("", |operand| &text[operand.value.clone()])
    };
    let publishes = |piece: &Piece| {
        if piece.switches_stack(dialect) {
            return true;
        }
        if !piece.stores() && !CONSTANT_STORES.contains(&piece.mnemonic()) {
            return false;
        }
        let mut names = piece.text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).peekable();
        match names.peek() {
            // Fields have names; the current g's place has none, nor has the word that a throw leaves.
            None => {
                CURRENT_G_STORES.contains(&piece.mnemonic()) && !THROWN_IN.contains(&function.name.as_str())
            }
            Some(_) => names.any(|name| {
                let value = value_of(name);
                value.contains("g0.sched.sp") || value.contains(", catch)")
            }),
        }
    };
    let event = |piece: &Piece| {
        piece.is_instruction()
            && (piece.stores()
                || CONSTANT_STORES.contains(&piece.mnemonic())
                || piece.switches_stack(dialect))
    };
    let mut last: Option<usize> = None;
    for (at, piece) in pieces.iter().enumerate() {
        if piece.breaks() {
            last = None;
            continue;
        }
        if !event(piece) {
            continue;
        }
        if let Some(first) = last.replace(at) {
            if !publishes(&pieces[first]) && !publishes(piece) {
                continue;
            }
            all.extend(swapped(function, text, first, at));
        }
    }
}

/// The pieces `first` and `second` with what belongs to them in the other order.
fn swapped(function: &Function, text: &str, first: usize, second: usize) -> Option<Mutant> {
    let pieces = &function.pieces;
    // What describes an instruction moves with it.
    let with = |at: usize| {
        let more = pieces[at + 1..].iter().take_while(|piece| {
            piece.is_cfi() || piece.text.starts_with("goes_on!") || piece.text.contains("_restored!")
        });
        pieces[at].at.start..more.last().map_or(pieces[at].at.end, |piece| piece.at.end)
    };
    let between: Vec<_> = pieces[first + 1..second].iter().filter(|p| p.is_instruction()).collect();
    let uses = |piece: &Piece, register: &str| {
        piece.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == register)
    };
    let target = |piece: &Piece| {
        let word = piece.operands().split([',', ' ']).next().unwrap_or("");
        word.trim_start_matches('%').to_owned()
    };
    let (one, two) = (&pieces[first], &pieces[second]);
    // A macro between, such as that which loads the current g's place, may change any register.
    let opaque = pieces[first + 1..second].iter().any(|piece| piece.text.starts_with("g_place!"));
    let down = !between.iter().any(|piece| uses(one, &target(piece)));
    let up = !opaque && !between.iter().any(|piece| uses(two, &target(piece)));
    let (from, to) = match (down, up) {
        (true, _) => (with(first), with(second).end),
        (_, true) => (with(second), with(first).start),
        _ => return None,
    };
    let moved = text[from.clone()].to_owned();
    // The comma behind goes and comes with it.
    let comma = text[from.end..].find(',').map_or(from.end, |at| from.end + at + 1);
    let edits = if to > from.end {
        vec![Edit { at: from.start..comma, to: String::new() }, Edit { at: to..to, to: format!(", {moved}") }]
    } else {
        vec![Edit { at: from.start..comma, to: String::new() }, Edit { at: to..to, to: format!("{moved}, ") }]
    };
    Some(Mutant {
        function: function.name.clone(),
        kind: Kind::Order,
        what: format!("`{}` only after `{}`", one.text, two.text),
        edits,
    })
}

/// Mutants of one function that read alike get numbers.
fn number(all: &mut [Mutant]) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for mutant in all.iter() {
        *count.entry(mutant.to_string()).or_default() += 1;
    }
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for mutant in all.iter_mut() {
        let name = mutant.to_string();
        if count[&name] > 1 {
            let at = next.entry(name).or_default();
            *at += 1;
            mutant.what.push_str(&format!(" (number {at})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
macro_rules! pair_saved { () => { ".cfi_offset r4, {r4}\n \
     .cfi_offset r5, {r5}" } }
/// A function.
pub unsafe extern "C" fn park(value: usize) {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              pair_saved!(),
        "mov rax, fs:[r10]",
        "mov [rax + {sp}], rsp",
        "lea rdx, [rip + here]",
        "mov fs:[r10], rcx",
        "mov rsp, [rcx + {sp}]",
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "ret",
        ".cfi_endproc",
        sp = const offset_of!(G<X86_64>, sched.sp),
        rbx = const offset_of!(SwitchFrame, saved.rbx),
        size_lo = const leb_lo(size_of::<SwitchFrame>() as i64),
        size_hi = const leb_hi(size_of::<SwitchFrame>() as i64),
        dwarf = const RSP.dwarf,
        other = sym OTHER,
    )
}
"#;

    fn all() -> Vec<Mutant> {
        let registers = ["rbx", "rsp"].map(str::to_owned).into();
        mutants(TEXT, &Dialect { word: 8, registers, stack_pointer: &["rsp"] }).unwrap()
    }

    #[test]
    fn each_kind_is_found() {
        let found: Vec<_> = all().iter().map(|mutant| format!("{} {mutant}", mutant.kind)).collect();
        assert_eq!(
            found,
            [
                "offset park: `sp`: `offset_of!(G<X86_64>, sched.sp)` + 8",
                "offset park: `rbx`: `offset_of!(SwitchFrame, saved.rbx)` + 8",
                "offset park: `size`, in the tables: `size_of::<SwitchFrame>()` + 8",
                "CFI line park: no `.cfi_adjust_cfa_offset {pc}`",
                "save park: no `mov [rsp + {rbx}], rbx`",
                "CFI line park: no `pair_saved!()`",
                "save park: no `mov [rax + {sp}], rsp`",
                "restore park: no `mov rsp, [rcx + {sp}]`",
                "restore park: no `mov rbx, [rsp + {rbx}]`",
                "CFI line park: no `.cfi_restore rbx`",
                "publication order park: `mov [rax + {sp}], rsp` only after `mov fs:[r10], rcx`",
                "publication order park: `mov fs:[r10], rcx` only after `mov rsp, [rcx + {sp}]`",
                "CFI line pair_saved!: no `.cfi_offset r4, {r4}`",
                "CFI line pair_saved!: no `.cfi_offset r5, {r5}`",
            ]
        );
    }

    #[test]
    fn a_mutant_changes_what_it_names_and_nothing_else() {
        let text = |name: &str| {
            all().iter().find(|m| m.to_string().starts_with(name)).map(|m| m.apply(TEXT)).unwrap()
        };
        let offset = text("park: `size`");
        assert!(offset.contains("leb_lo((size_of::<SwitchFrame>() + 8) as i64)"), "{offset}");
        assert!(offset.contains("leb_hi((size_of::<SwitchFrame>() + 8) as i64)"), "{offset}");
        assert_eq!(text("park: no `.cfi_restore rbx`"), TEXT.replace("\".cfi_restore rbx\"", "\"\""));
        assert_eq!(
            text("pair_saved!: no `.cfi_offset r4"),
            TEXT.replace(".cfi_offset r4, {r4}", "/* {r4} */")
        );
        assert_eq!(
            text("park: no `mov [rsp + {rbx}], rbx`"),
            TEXT.replace("mov [rsp + {rbx}], rbx", "/* {rbx} */")
        );
        assert_eq!(text("park: no `pair_saved"), TEXT.replace("pair_saved!(),", "\"/* {r4} {r5} */\","));
        let order = text("park: `mov fs:[r10], rcx` only");
        let at = |part: &str| order.find(part).unwrap();
        assert!(at("mov fs:[r10], rcx") > at("mov rsp, [rcx + {sp}]"), "{order}");
        assert!(at("mov fs:[r10], rcx") < at("mov rbx, [rsp"), "{order}");
    }

    #[test]
    fn what_is_left_out_still_names_its_operands() {
        assert_eq!(still_named("vpush {{d8-d15}}"), "");
        assert_eq!(still_named("ldr r4, [sp, #{at} - {at} + {size}]"), "/* {at} {size} */");
    }

    #[test]
    fn those_that_read_alike_have_numbers() {
        let twice = TEXT.replace("\"ret\",", "\"ret\", \".cfi_restore rbx\",");
        let dialect = Dialect { word: 8, registers: BTreeSet::new(), stack_pointer: &["rsp"] };
        let names: Vec<_> = mutants(&twice, &dialect).unwrap().iter().map(ToString::to_string).collect();
        assert!(names.contains(&"park: no `.cfi_restore rbx` (number 2)".to_owned()), "{names:?}");
    }
}

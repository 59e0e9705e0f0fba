//! What an instruction does to SP and where it goes, for each CPU.
//!
//! Read from the disassembler's text. What writes SP and is not known here is an error, never a guess.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use capstone::Capstone;

use super::object::{self, Insn};

/// An address of a stack: how many bytes it lies below SP as the function was entered, or below the first
/// address of another stack that SP was loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Of the stack that the function was entered on.
    Entry(i64),
    /// Of another one.
    Other(i64),
}

impl Value {
    /// The address that lies `bytes` lower.
    pub fn below(self, bytes: i64) -> Self {
        match self {
            Self::Entry(n) => Self::Entry(n + bytes),
            Self::Other(n) => Self::Other(n + bytes),
        }
    }
    fn bytes(self) -> i64 {
        match self {
            Self::Entry(n) | Self::Other(n) => n,
        }
    }
}

/// What is known before an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub sp: Value,
    /// Registers that hold an address of a stack.
    pub copies: BTreeMap<String, Value>,
    /// The lowest address that is accessed below SP.
    pub red: Option<Value>,
    /// SP was loaded with what is not known: the tables may say what it is.
    pub loaded: bool,
    /// SP was moved by a register: in a crossing, by as much as a user's function is passed.
    pub by_register: bool,
}

impl State {
    /// A function's entry.
    pub fn entry() -> Self {
        Self { sp: Value::Entry(0), copies: BTreeMap::new(), red: None, loaded: false, by_register: false }
    }

    fn down(&mut self, bytes: i64) {
        self.sp = self.sp.below(bytes);
    }

    fn get(&self, register: &str, sp: &str) -> Option<Value> {
        if register == sp { Some(self.sp) } else { self.copies.get(register).copied() }
    }

    /// Puts a value, or none that is known, in a register.
    fn set(&mut self, register: &str, sp: &str, value: Option<Value>) {
        if register == sp {
            match value {
                Some(value) => self.sp = value,
                None => {
                    self.loaded = true;
                    self.sp = Value::Other(0);
                }
            }
        } else if let Some(value) = value {
            self.copies.insert(register.to_owned(), value);
        } else {
            self.copies.remove(register);
        }
    }

    /// An access at `displacement` from a register.
    fn access(&mut self, base: &str, displacement: i64, sp: &str) {
        if let Some(value) = self.get(base, sp) {
            let at = value.below(-displacement);
            let same = matches!(
                (at, self.sp),
                (Value::Entry(_), Value::Entry(_)) | (Value::Other(_), Value::Other(_))
            );
            if same && at.bytes() > self.sp.bytes() && self.red.is_none_or(|red| red.bytes() < at.bytes()) {
                self.red = Some(at);
            }
        }
    }
}

/// Where an instruction goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    Next,
    Jump(u64),
    /// There or on.
    Branch(u64),
    Call(u64),
    CallIndirect,
    JumpIndirect,
    Return,
    /// Returns or goes on.
    MayReturn,
    /// Nowhere.
    End,
}

/// A CPU.
pub struct Cpu {
    pub name: &'static str,
    /// Bytes of a machine word.
    pub word: i64,
    /// SP's name.
    sp: &'static str,
    /// Registers by which a CFA may be given, by their DWARF numbers.
    registers: &'static [(u16, &'static str)],
    /// What a call pushes.
    pub pushed: i64,
    /// What a caller pushes for an argument of a word; 0 where registers hold as many as a path has.
    pub argument: i64,
    /// From SP at a function's entry up to its CFA.
    pub cfa_above: i64,
    /// The tables of compiled code are exact at each instruction, not at calls alone.
    pub exact: bool,
    interpret: fn(&Self, &Insn, Option<&Insn>, &mut State) -> Result<Flow>,
}

/// Every CPU, by the names of the targets.
pub const CPUS: &[Cpu] = &[
    Cpu {
        name: "i386",
        word: 4,
        sp: "esp",
        registers: &[(4, "esp"), (5, "ebp")],
        pushed: 4,
        argument: 4,
        cfa_above: 4,
        exact: true,
        interpret: x86,
    },
    Cpu {
        name: "x86_64",
        word: 8,
        sp: "rsp",
        registers: &[(7, "rsp"), (6, "rbp")],
        pushed: 8,
        argument: 0,
        cfa_above: 8,
        exact: true,
        interpret: x86,
    },
    Cpu {
        name: "arm",
        word: 4,
        sp: "sp",
        registers: &[(13, "sp"), (11, "fp"), (7, "r7")],
        pushed: 0,
        argument: 0,
        cfa_above: 0,
        exact: false,
        interpret: arm,
    },
    Cpu {
        name: "arm64",
        word: 8,
        sp: "sp",
        registers: &[(31, "sp"), (29, "x29")],
        pushed: 0,
        argument: 0,
        cfa_above: 0,
        exact: true,
        interpret: arm64,
    },
    Cpu {
        name: "ppc64le",
        word: 8,
        sp: "r1",
        registers: &[(1, "r1"), (31, "r31")],
        pushed: 0,
        argument: 0,
        cfa_above: 0,
        exact: false,
        interpret: ppc64le,
    },
    Cpu {
        name: "s390x",
        word: 8,
        sp: "%r15",
        registers: &[(15, "%r15"), (11, "%r11")],
        pushed: 0,
        argument: 0,
        cfa_above: 160,
        exact: false,
        interpret: s390x,
    },
];

impl Cpu {
    /// The disassembler.
    pub fn engine(&self, thumb: bool) -> Result<Capstone> {
        object::engine(self.name, thumb)
    }

    /// Carries a state over an instruction, of which `former` was the one before.
    pub fn step(&self, insn: &Insn, former: Option<&Insn>, state: &mut State) -> Result<Flow> {
        if insn.mnemonic == UNKNOWN {
            bail!("the disassembler knows no instruction with these bytes");
        }
        (self.interpret)(self, insn, former, state)
    }

    /// The register of a CFA's rule, if it is one that is followed here.
    pub fn register(&self, dwarf: u16) -> Option<&'static str> {
        self.registers.iter().find(|(n, _)| *n == dwarf).map(|(_, name)| *name)
    }

    /// What is known of a register.
    pub fn value(&self, state: &State, register: &str) -> Option<Value> {
        state.get(register, self.sp)
    }

    /// The address of the word that an operand designates, where it is a number.
    pub fn constant(&self, operand: &str, insn: &Insn) -> Option<u64> {
        let (base, n, plain) = brackets(operand)?;
        match (self.name, base) {
            ("x86_64", "rip") if plain => Some((insn.address + insn.len).wrapping_add_signed(n)),
            ("i386", base) => number(base).map(|n| n as u64),
            _ => None,
        }
    }

    /// True for what gives its first operand a value, and does not restore it.
    pub fn writes_first(&self, insn: &Insn) -> bool {
        !matches!(insn.mnemonic.as_str(), "push" | "pop" | "cmp" | "test" | "call" | "jmp")
    }

    /// Bytes of the caller's stack that a function takes away when it returns, by its instructions.
    pub fn popped(&self, insn: &Insn) -> i64 {
        if insn.mnemonic == "ret" { number(insn.op(0)).unwrap_or(0) } else { 0 }
    }

    /// True for a jump by a register that was computed: into a table of the function's own jumps.
    pub fn is_computed(&self, jump: &Insn, before: &[&Insn]) -> bool {
        if self.name == "arm" && !jump.mnemonic.starts_with("bx") || jump.op(0).contains('*') {
            return true;
        }
        let mut register = if self.name == "ppc64le" { "ctr" } else { jump.op(0) };
        for insn in before.iter().rev() {
            if register == "ctr" && insn.mnemonic == "mtctr" {
                register = insn.op(0);
            } else if insn.op(0) == register {
                let m = insn.mnemonic.as_str();
                // s390x: a word of a table, by a register and an index.
                if m == "lg" && insn.op(1).split_once('(').is_some_and(|(_, inside)| inside.contains(',')) {
                    return true;
                }
                return m.starts_with("add") || m.starts_with("ag") || m == "la" || m == "ar";
            }
        }
        false
    }

    /// True for what is no instruction that is known.
    pub fn is_unknown(&self, insn: &Insn) -> bool {
        insn.mnemonic == UNKNOWN
    }

    /// True if SP is this register.
    pub fn is_sp(&self, register: &str) -> bool {
        register == self.sp
    }

    /// The slot that a stub without a symbol, of which these are the first bytes, jumps through.
    pub fn stub_slot(&self, bytes: &[u8], address: u64) -> Option<u64> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        match self.name {
            "i386" | "x86_64" => {
                // endbr, then jmp [slot], the slot relative to the PC on x86_64.
                let skip = if bytes.starts_with(&[0xf3, 0x0f, 0x1e]) { 4 } else { 0 };
                let skip = skip + usize::from(bytes.get(skip) == Some(&0xf2));
                bytes.get(skip..skip + 2).filter(|b| *b == [0xff, 0x25])?;
                let n = word(skip + 2)?;
                Some(if self.word == 8 {
                    (address + skip as u64 + 6).wrapping_add_signed(i64::from(n as i32))
                } else {
                    u64::from(n)
                })
            }
            "arm" => {
                // Entered from T32: bx pc; b. Then add ip, pc, #a; add ip, ip, #b; ldr pc, [ip, #c]!
                let skip = if bytes.starts_with(&[0x78, 0x47]) { 4 } else { 0 };
                let immediate = |insn: u32| (insn & 0xff).rotate_right((insn >> 8 & 15) * 2);
                let ip = (address as u32 + skip as u32 + 8)
                    .wrapping_add(immediate(word(skip)?))
                    .wrapping_add(immediate(word(skip + 4)?));
                Some(u64::from(ip.wrapping_add(word(skip + 8)? & 0xfff)))
            }
            "arm64" => {
                // adrp x16, page; ldr x17, [x16, #n]
                let (adrp, ldr) = (word(0)?, word(4)?);
                let pages = ((adrp >> 5 & 0x7_ffff) << 2 | adrp >> 29 & 3) << 11;
                let page = (address & !0xfff).wrapping_add_signed(i64::from(pages as i32 >> 11) << 12);
                Some(page + u64::from(ldr >> 10 & 0xfff) * 8)
            }
            "s390x" => {
                // larl %r1, slot
                bytes.get(..2).filter(|b| *b == [0xc0, 0x10])?;
                let n = i32::from_be_bytes(bytes.get(2..6)?.try_into().ok()?);
                Some(address.wrapping_add_signed(i64::from(n) * 2))
            }
            _ => None,
        }
    }

    /// Bytes that the disassembler takes for no instruction.
    pub fn unknown(&self, bytes: &[u8], address: u64, thumb: bool) -> Insn {
        let first = bytes.first().copied().unwrap_or(0);
        let (len, mnemonic) = match self.name {
            "i386" | "x86_64" => (1, UNKNOWN),
            "s390x" => {
                // The two highest bits tell the length. Vector instructions write SP nowhere.
                let len = [2, 4, 4, 6][usize::from(first >> 6)];
                (len, if matches!(first, 0xe6 | 0xe7) { "vector" } else { UNKNOWN })
            }
            _ => (if thumb { 2 } else { 4 }, UNKNOWN),
        };
        Insn { address, len, mnemonic: mnemonic.to_owned(), operands: Vec::new() }
    }
}

/// Stands for what the disassembler does not know.
const UNKNOWN: &str = "(unknown)";

/// A number of the disassembler's: `0x10`, `#-0x10`, `8`.
fn number(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('#').trim_start_matches('$');
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let n = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        None => text.parse().ok()?,
    };
    Some(if negative { -n } else { n })
}

fn target(insn: &Insn) -> Option<u64> {
    number(insn.last()).map(|n| n as u64)
}

/// The base and the displacement of `[base + n]` or `[base, #n]`; with an index the displacement alone counts.
fn brackets(op: &str) -> Option<(&str, i64, bool)> {
    let open = op.find('[')?;
    let inner = &op[open + 1..op.rfind(']')?];
    let inner = inner.rsplit_once(':').map_or(inner, |(_, rest)| rest);
    if let Some((base, rest)) = inner.split_once(',') {
        let n = number(rest);
        return Some((base.trim(), n.unwrap_or(0), n.is_some()));
    }
    let mut words = inner.split(' ');
    let base = words.next()?;
    let (mut sum, mut plain, mut sign) = (0, true, 1);
    for word in words {
        match word {
            "+" => sign = 1,
            "-" => sign = -1,
            _ => match number(word) {
                Some(n) => sum += sign * n,
                None => plain = false,
            },
        }
    }
    Some((base, sum, plain))
}

/// The base and the displacement of `n(base)`.
fn parentheses(op: &str) -> Option<(&str, i64, bool)> {
    let open = op.find('(')?;
    let inner = &op[open + 1..op.rfind(')')?];
    let n = if op[..open].is_empty() { 0 } else { number(&op[..open])? };
    let (index, base) =
        inner.split_once(',').map_or(("", inner), |(index, base)| (index.trim(), base.trim()));
    Some((base, n, index.is_empty()))
}

/// As few bytes lower as make a multiple of `align`: at entry SP lies `above` bytes below one of 16.
fn aligned(value: Value, align: i64, above: i64) -> Value {
    // Only 16 is known of the entry.
    let known = align.min(16);
    let n = value.bytes();
    let down = (known - (n + above) % known) % known;
    value.below(down + (align - known))
}

fn x86(cpu: &Cpu, insn: &Insn, former: Option<&Insn>, s: &mut State) -> Result<Flow> {
    let (sp, bp, w) = (cpu.sp, if cpu.word == 8 { "rbp" } else { "ebp" }, cpu.word);
    let m = insn.mnemonic.as_str();
    let m = m.strip_prefix("notrack ").or_else(|| m.strip_prefix("bnd ")).unwrap_or(m);
    let wrap = |n: i64| if w == 4 { i64::from(n as i32) } else { n };
    for op in &insn.operands {
        if let Some((base, n, _)) = brackets(op) {
            s.access(base, wrap(n), sp);
        }
    }
    match m {
        "push" | "pushf" | "pushfq" | "pushfd" => s.down(w),
        "popf" | "popfq" | "popfd" => s.down(-w),
        "pop" => {
            if insn.op(0) == sp {
                bail!("`{}` writes SP", insn.text());
            }
            s.down(-w);
            s.copies.remove(insn.op(0));
        }
        "call" => {
            return Ok(match target(insn) {
                // `call next; pop reg` asks for the PC.
                Some(to) if to == insn.address + insn.len => {
                    s.down(w);
                    Flow::Next
                }
                Some(to) => Flow::Call(to),
                None => Flow::CallIndirect,
            });
        }
        "jmp" => return Ok(target(insn).map_or(Flow::JumpIndirect, Flow::Jump)),
        "ret" | "retf" => return Ok(Flow::Return),
        "ud2" | "hlt" | "int3" => return Ok(Flow::End),
        "leave" => {
            match s.get(bp, sp) {
                Some(value) => s.sp = value.below(-w),
                None => bail!("`leave` without a frame pointer that is known"),
            }
            s.copies.remove(bp);
        }
        "sub" | "add" if insn.op(0) == sp => match (number(insn.op(1)), s.sp) {
            (Some(n), _) => s.down(if m == "sub" { wrap(n) } else { -wrap(n) }),
            (None, _) => s.by_register = true,
        },
        "and" if insn.op(0) == sp => {
            let Some(n) = number(insn.op(1)) else { bail!("`{}`", insn.text()) };
            s.sp = aligned(s.sp, -wrap(n), w);
        }
        "lea" => {
            let value = brackets(insn.op(1))
                .filter(|(_, _, plain)| *plain)
                .and_then(|(base, n, _)| Some(s.get(base, sp)?.below(-wrap(n))));
            s.set(insn.op(0), sp, value);
        }
        "mov" => {
            let value = s.get(insn.op(1), sp);
            s.set(insn.op(0), sp, value);
            // `and reg, -16; mov sp, reg`: as if SP itself were aligned.
            if insn.op(0) == sp
                && value.is_none()
                && let Some(f) = former.filter(|f| f.mnemonic == "and" && f.op(0) == insn.op(1))
                && let Some(n) = number(f.op(1))
            {
                s.sp = aligned(s.sp, -wrap(n), w);
            }
        }
        "cmp" | "test" => {}
        _ if m.starts_with('j') || m.starts_with("loop") => {
            if let Some(to) = target(insn) {
                return Ok(Flow::Branch(to));
            }
        }
        _ if insn.op(0) == sp || m == "xchg" && insn.op(1) == sp => bail!("`{}` writes SP", insn.text()),
        _ => _ = s.copies.remove(insn.op(0)),
    }
    Ok(Flow::Next)
}

/// Registers in braces.
fn list(op: &str) -> Vec<&str> {
    let inner = op.trim_start_matches('{');
    let inner = &inner[..inner.find('}').unwrap_or(inner.len())];
    inner.split(',').map(str::trim).collect()
}

/// arm's conditions.
const CONDITIONS: &[&str] =
    &["eq", "ne", "hs", "cs", "lo", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"];

/// A mnemonic and whether it has one of arm's conditions.
fn condition(mnemonic: &str) -> (&str, bool) {
    let m = mnemonic.trim_end_matches(".w").trim_end_matches(".n");
    // Names that end as a condition does.
    const PLAIN: &[&str] = &[
        "bl", "mls", "smlal", "umlal", "umull", "smull", "teq", "svc", "vmls", "mrs", "sbcs", "adcs", "muls",
        "lsls",
    ];
    if PLAIN.contains(&m) || m.contains('.') {
        return (m, false);
    }
    match m.len().checked_sub(2).and_then(|at| m.split_at_checked(at)) {
        Some((stem, end)) if !stem.is_empty() && CONDITIONS.contains(&end) => (stem, true),
        _ => (m, false),
    }
}

fn arm(cpu: &Cpu, insn: &Insn, _: Option<&Insn>, s: &mut State) -> Result<Flow> {
    let sp = cpu.sp;
    let (m, conditional) = condition(&insn.mnemonic);
    let before = s.sp;
    let copies = s.copies.clone();
    let names_pc = |op: &str| op.starts_with('{') && list(op).contains(&"pc");
    let mut flow = Flow::Next;
    match m {
        "b" => {
            let Some(to) = target(insn) else { bail!("`{}`", insn.text()) };
            return Ok(if conditional { Flow::Branch(to) } else { Flow::Jump(to) });
        }
        "cbz" | "cbnz" => return Ok(target(insn).map_or(Flow::Next, Flow::Branch)),
        "bl" | "blx" => return Ok(target(insn).map_or(Flow::CallIndirect, Flow::Call)),
        "bx" | "bxj" => {
            return Ok(match (insn.op(0), conditional) {
                ("lr", false) => Flow::Return,
                ("lr", true) => Flow::MayReturn,
                _ => Flow::JumpIndirect,
            });
        }
        "udf" | "trap" => return Ok(Flow::End),
        "tbb" | "tbh" => return Ok(Flow::JumpIndirect),
        "push" | "vpush" => {
            let each = if list(insn.op(0))[0].starts_with('d') { 8 } else { 4 };
            s.down(each * list(insn.op(0)).len() as i64);
        }
        "pop" | "vpop" => {
            let registers = list(insn.op(0));
            let each = if registers[0].starts_with('d') { 8 } else { 4 };
            registers.iter().for_each(|r| _ = s.copies.remove(*r));
            s.down(-each * registers.len() as i64);
            if names_pc(insn.op(0)) {
                flow = if conditional { Flow::MayReturn } else { Flow::Return };
            }
        }
        "stmdb" | "stm" | "stmib" | "stmda" if insn.op(0) == "sp!" => {
            s.down(4 * list(insn.op(1)).len() as i64);
        }
        "ldm" | "ldmdb" | "ldmib" | "ldmda" => {
            let registers = list(insn.op(1));
            registers.iter().for_each(|r| _ = s.copies.remove(*r));
            if registers.contains(&"sp") {
                s.set(sp, sp, None);
            } else if insn.op(0) == "sp!" {
                s.down(-4 * registers.len() as i64);
            }
            if names_pc(insn.op(1)) {
                flow = if conditional { Flow::MayReturn } else { Flow::Return };
            }
        }
        "add" | "addw" | "sub" | "subw" | "adds" | "subs" => {
            // Two operands: the first is a source too.
            let (from, by) =
                if insn.operands.len() == 2 { (insn.op(0), insn.op(1)) } else { (insn.op(1), insn.op(2)) };
            let sign = if m.starts_with("add") { -1 } else { 1 };
            let value = match (s.get(from, sp), number(by)) {
                (Some(value), Some(n)) => Some(value.below(sign * n)),
                _ => None,
            };
            if insn.op(0) == sp && value.is_none() {
                if s.get(from, sp).is_some() {
                    bail!("`{}`: SP by a register", insn.text());
                }
                // A constant below an address that is not known.
                s.set(sp, sp, None);
                s.down(number(by).map_or(0, |n| sign * n));
                return Ok(flow);
            }
            if insn.op(0) == "pc" {
                return Ok(Flow::JumpIndirect);
            }
            s.set(insn.op(0), sp, value);
        }
        "mov" | "movs" => {
            if insn.op(0) == "pc" {
                return Ok(if insn.op(1) == "lr" { Flow::Return } else { Flow::JumpIndirect });
            }
            let value = s.get(insn.op(1), sp);
            s.set(insn.op(0), sp, value);
        }
        "bic" => {
            // SP is a multiple of 8 at entry.
            let value = match (s.get(insn.op(1), sp), number(insn.last())) {
                (Some(from), Some(n)) => Some(from.below((n + 1 - 8).max(0) + (8 - from.bytes() % 8) % 8)),
                _ => None,
            };
            s.set(insn.op(0), sp, value);
        }
        "bfc" if insn.op(0) == sp => {
            let n = 1i64 << number(insn.last()).unwrap_or(4);
            s.sp = s.sp.below((n - 8).max(0) + (8 - s.sp.bytes() % 8) % 8);
        }
        "cmp" | "cmn" | "tst" | "teq" | "stm" | "stmdb" | "stmib" | "stmda" | "vcmp" => {}
        _ => {
            for (at, op) in insn.operands.iter().enumerate() {
                let Some((base, n, plain)) = brackets(op) else { continue };
                let post = insn.operands.get(at + 1).and_then(|next| number(next));
                if base == sp && op.ends_with('!') {
                    if !plain {
                        bail!("`{}`: SP by a register", insn.text());
                    }
                    s.down(-n);
                } else if base == sp
                    && let Some(n) = post
                {
                    s.down(-n);
                } else {
                    s.access(base, n, sp);
                }
            }
            let stores = m.starts_with("st") || m.starts_with("vst");
            if !stores {
                let first = insn.op(0);
                if first == "pc" {
                    // `ldr pc, [sp], #4` returns; any other load jumps through a table or a pointer.
                    return Ok(match brackets(insn.op(1)) {
                        Some((base, _, _)) if base == sp => Flow::Return,
                        _ => Flow::JumpIndirect,
                    });
                }
                let doubles = m.starts_with("ldrd") || m.starts_with("ldrexd");
                for register in insn.operands.iter().take(if doubles { 2 } else { 1 }) {
                    if register == sp {
                        s.set(sp, sp, None);
                    }
                    s.copies.remove(register);
                }
            }
        }
    }
    if conditional && s.sp != before && flow == Flow::Next {
        // Up: the end of a function, where the condition holds. Where it does not, nothing has happened.
        if s.sp > before {
            bail!("`{}` moves SP on a condition", insn.text());
        }
        (s.sp, s.copies) = (before, copies.clone());
    }
    if flow == Flow::MayReturn {
        (s.sp, s.copies) = (before, copies);
    }
    Ok(flow)
}

fn arm64(cpu: &Cpu, insn: &Insn, _: Option<&Insn>, s: &mut State) -> Result<Flow> {
    let sp = cpu.sp;
    let m = insn.mnemonic.as_str();
    match m {
        "b" => return Ok(target(insn).map_or(Flow::JumpIndirect, Flow::Jump)),
        "bl" => return Ok(target(insn).map_or(Flow::CallIndirect, Flow::Call)),
        "blr" | "blraa" | "blraaz" | "blrab" | "blrabz" => return Ok(Flow::CallIndirect),
        "br" | "braa" | "braaz" => return Ok(Flow::JumpIndirect),
        "ret" | "retaa" | "retab" => return Ok(Flow::Return),
        "brk" | "udf" | "hlt" => return Ok(Flow::End),
        "cbz" | "cbnz" | "tbz" | "tbnz" => return Ok(target(insn).map_or(Flow::Next, Flow::Branch)),
        _ if m.starts_with("b.") => return Ok(target(insn).map_or(Flow::Next, Flow::Branch)),
        "add" | "sub" => {
            let shift = match insn.op(3) {
                "" => 0,
                shift => shift.strip_prefix("lsl").and_then(number).unwrap_or(-1),
            };
            let sign = if m == "add" { -1 } else { 1 };
            let by = number(insn.op(2)).filter(|_| shift >= 0).map(|n| sign * (n << shift));
            let from = s.get(insn.op(1), sp);
            if insn.op(0) == sp && (from.is_none() || by.is_none()) {
                let Some(by) = by else { bail!("`{}`: SP by a register", insn.text()) };
                s.set(sp, sp, None);
                s.down(by);
                return Ok(Flow::Next);
            }
            s.set(insn.op(0), sp, from.and_then(|from| Some(from.below(by?))));
        }
        "mov" => {
            let value = s.get(insn.op(1), sp);
            s.set(insn.op(0), sp, value);
        }
        "and" if insn.op(0) == sp => {
            let (Some(from), Some(n)) = (s.get(insn.op(1), sp), number(insn.op(2))) else {
                bail!("`{}` writes SP", insn.text())
            };
            s.sp = aligned(from, -n, 0);
        }
        "cmp" | "cmn" | "tst" | "ccmp" => {}
        _ => {
            for (at, op) in insn.operands.iter().enumerate() {
                let Some((base, n, plain)) = brackets(op) else { continue };
                let post = insn.operands.get(at + 1).and_then(|next| number(next));
                if op.ends_with('!') || post.is_some() {
                    let by = post.unwrap_or(n);
                    if base == sp {
                        if !plain {
                            bail!("`{}`: SP by a register", insn.text());
                        }
                        s.down(-by);
                    } else {
                        s.copies.remove(base);
                    }
                } else {
                    s.access(base, n, sp);
                }
            }
            if !m.starts_with("st") {
                for register in insn.operands.iter().take(if m.starts_with("ldp") { 2 } else { 1 }) {
                    if register == sp {
                        bail!("`{}` writes SP", insn.text());
                    }
                    s.copies.remove(register);
                }
            }
        }
    }
    Ok(Flow::Next)
}

fn ppc64le(cpu: &Cpu, insn: &Insn, _: Option<&Insn>, s: &mut State) -> Result<Flow> {
    let sp = cpu.sp;
    let m = insn.mnemonic.trim_end_matches(['+', '-']);
    match m {
        "b" => return Ok(target(insn).map_or(Flow::JumpIndirect, Flow::Jump)),
        // `bcl 20, 31, next` asks for the PC.
        "bcl" => return Ok(Flow::Next),
        "bl" => return Ok(target(insn).map_or(Flow::CallIndirect, Flow::Call)),
        "bctrl" => return Ok(Flow::CallIndirect),
        "bctr" => return Ok(Flow::JumpIndirect),
        "blr" => return Ok(Flow::Return),
        "trap" => return Ok(Flow::End),
        "stdu" => {
            let Some((base, n, true)) = parentheses(insn.op(1)) else { bail!("`{}`", insn.text()) };
            if base == sp {
                s.down(-n);
            } else {
                let value = s.get(base, sp).map(|value| value.below(-n));
                s.set(base, sp, value.or((base != sp).then_some(Value::Other(-n)).filter(|_| n < 0)));
            }
        }
        "stdux" | "stwux" if insn.op(1) == sp => bail!("`{}`: SP by a register", insn.text()),
        "addi" => {
            let value = match (s.get(insn.op(1), sp), number(insn.op(2))) {
                (Some(value), Some(n)) => Some(value.below(-n)),
                _ => None,
            };
            s.set(insn.op(0), sp, value);
        }
        "mr" => {
            let value = s.get(insn.op(1), sp);
            s.set(insn.op(0), sp, value);
        }
        "ld" if insn.op(0) == sp => match parentheses(insn.op(1)) {
            // The back chain, which is SP at entry.
            Some((base, 0, _)) if base == sp && matches!(s.sp, Value::Entry(_)) => s.sp = Value::Entry(0),
            _ => s.set(sp, sp, None),
        },
        _ if m.starts_with('b') && m.ends_with("lr") => return Ok(Flow::MayReturn),
        _ if m.starts_with('b')
            && !m.starts_with("bp")
            && !m.starts_with("brd")
            && !m.starts_with("brh")
            && !m.starts_with("brw") =>
        {
            let Some(to) = target(insn) else { bail!("`{}`: where does it go?", insn.text()) };
            return Ok(Flow::Branch(to));
        }
        _ => {
            for op in &insn.operands {
                if let Some((base, n, _)) = parentheses(op) {
                    s.access(base, n, sp);
                }
            }
            let stores = m.starts_with("st")
                || m.starts_with("cmp")
                || m.starts_with("mt")
                || m.starts_with("td")
                || m.starts_with("tw");
            if !stores {
                if insn.op(0) == sp {
                    bail!("`{}` writes SP", insn.text());
                }
                s.copies.remove(insn.op(0));
            }
        }
    }
    Ok(Flow::Next)
}

/// Where the caller's frame keeps SP for its callee: ELF ABI supplement, register save area.
const S390X_SP_SAVE: i64 = 120;

fn s390x(cpu: &Cpu, insn: &Insn, _: Option<&Insn>, s: &mut State) -> Result<Flow> {
    let sp = cpu.sp;
    let m = insn.mnemonic.as_str();
    let jump = |to: Option<u64>| -> Result<u64> {
        to.ok_or_else(|| anyhow::anyhow!("`{}`: where does it go?", insn.text()))
    };
    match m {
        "brasl" | "bras" => return Ok(Flow::Call(jump(target(insn))?)),
        "basr" if insn.op(1) != "%r0" && insn.op(1) != "0" => return Ok(Flow::CallIndirect),
        "br" => {
            return Ok(if insn.op(0) == "%r14" { Flow::Return } else { Flow::JumpIndirect });
        }
        "j" | "jg" => {
            let to = jump(target(insn))?;
            // Into itself: a trap.
            return Ok(if to == insn.address + 2 { Flow::End } else { Flow::Jump(to) });
        }
        "aghi" | "agfi" | "lay" | "la" | "aghik" => {
            let value = if m.starts_with("la") {
                parentheses(insn.op(1))
                    .filter(|(_, _, plain)| *plain)
                    .map(|(base, n, _)| (s.get(base, sp), n))
            } else if m == "aghik" {
                number(insn.op(2)).map(|n| (s.get(insn.op(1), sp), n))
            } else {
                number(insn.op(1)).map(|n| (s.get(insn.op(0), sp), n))
            };
            match value {
                Some((None, n)) if insn.op(0) == sp => {
                    s.set(sp, sp, None);
                    s.down(-n);
                }
                Some((value, n)) => s.set(insn.op(0), sp, value.map(|value| value.below(-n))),
                None if insn.op(0) == sp => bail!("`{}`: SP by a register", insn.text()),
                None => _ = s.copies.remove(insn.op(0)),
            }
        }
        "lgr" => {
            let value = s.get(insn.op(1), sp);
            s.set(insn.op(0), sp, value);
        }
        "lmg" => {
            let Some((base, n, _)) = parentheses(insn.op(2)) else { bail!("`{}`", insn.text()) };
            let register = |op: &str| op.trim_start_matches("%r").parse::<i64>().unwrap_or(0);
            let (first, last) = (register(insn.op(0)), register(insn.op(1)));
            let from = s.get(base, sp);
            (first..=last).for_each(|r| _ = s.copies.remove(&format!("%r{r}")));
            if last == 15 {
                match from {
                    // From where the caller's frame keeps it.
                    Some(Value::Entry(at)) if n + 8 * (15 - first) - at == S390X_SP_SAVE => {
                        s.sp = Value::Entry(0)
                    }
                    _ => s.set(sp, sp, None),
                }
            }
        }
        "lg" if insn.op(0) == sp => match parentheses(insn.op(1)) {
            Some((base, 0, true)) if base == sp && matches!(s.sp, Value::Entry(_)) => s.sp = Value::Entry(0),
            Some((base, n, true))
                if s.get(base, sp)
                    .is_some_and(|v| matches!(v, Value::Entry(at) if n - at == S390X_SP_SAVE)) =>
            {
                s.sp = Value::Entry(0);
            }
            _ => s.set(sp, sp, None),
        },
        _ if m.starts_with('j') || m.starts_with("brct") || m.starts_with("brx") => {
            return Ok(Flow::Branch(jump(target(insn))?));
        }
        // Compare and branch, relative.
        _ if m.starts_with('c') && m.contains('j') => return Ok(Flow::Branch(jump(target(insn))?)),
        // Branches on a condition to a register: `bner %r14`.
        _ if m.starts_with('b') && m.ends_with('r') && insn.op(0) == "%r14" => return Ok(Flow::MayReturn),
        // What serializes.
        "bcr" | "nopr" | "nop" | "vector" => {}
        _ => {
            for op in &insn.operands {
                if let Some((base, n, _)) = parentheses(op) {
                    s.access(base, n, sp);
                }
            }
            let reads = m.starts_with("st")
                || m.starts_with('c') && !m.starts_with("cs")
                || m.starts_with("tm")
                || m.starts_with("lt") && insn.op(0) != sp
                || m.starts_with("mv");
            if !reads {
                if insn.op(0) == sp {
                    bail!("`{}` writes SP", insn.text());
                }
                s.copies.remove(insn.op(0));
            }
        }
    }
    Ok(Flow::Next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(text: &str) -> Insn {
        let (mnemonic, operands) = text.split_once(' ').unwrap_or((text, ""));
        Insn { address: 0x1000, len: 4, mnemonic: mnemonic.to_owned(), operands: object::split(operands) }
    }

    /// What SP is after these instructions.
    fn after(cpu: &str, texts: &[&str]) -> Result<Value> {
        let cpu = CPUS.iter().find(|c| c.name == cpu).unwrap();
        let mut state = State::entry();
        for text in texts {
            cpu.step(&insn(text), None, &mut state)?;
        }
        Ok(state.sp)
    }

    #[test]
    fn frames_are_followed_down_and_up_on_each_cpu() {
        let frames: &[(&str, i64, &[&str], &[&str])] = &[
            ("i386", 28, &["push ebp", "mov ebp, esp", "sub esp, 0x18"], &["leave"]),
            ("x86_64", 32, &["push rbp", "mov rbp, rsp", "sub rsp, 0x18"], &["lea rsp, [rbp]", "pop rbp"]),
            (
                "arm",
                24,
                &["push {r4, fp, sb, lr}", "sub sp, sp, #8"],
                &["add sp, sp, #8", "pop {r4, fp, sb, pc}"],
            ),
            (
                "arm64",
                48,
                &["stp x29, x30, [sp, #-0x20]!", "sub sp, sp, #0x10"],
                &["add sp, sp, #0x10", "ldp x29, x30, [sp], #0x20"],
            ),
            ("ppc64le", 64, &["stdu r1, -0x40(r1)", "mr r31, r1"], &["addi r1, r1, 0x40"]),
            (
                "s390x",
                168,
                &["stmg %r6, %r15, 0x30(%r15)", "aghi %r15, -0xa8"],
                &["lmg %r6, %r15, 0xd8(%r15)"],
            ),
        ];
        for (cpu, bytes, down, up) in frames {
            assert_eq!(after(cpu, down).unwrap(), Value::Entry(*bytes), "{cpu}");
            assert_eq!(after(cpu, &[*down, *up].concat()).unwrap(), Value::Entry(0), "{cpu}");
        }
    }

    #[test]
    fn what_moves_sp_by_an_unknown_amount_is_refused_or_said() {
        for (cpu, text) in [
            ("x86_64", "xchg rsp, rax"),
            ("arm", "strne r0, [sp, #-4]!"),
            ("arm64", "sub sp, sp, x9"),
            ("ppc64le", "stdux r1, r1, r0"),
            ("s390x", "lay %r15, 0(%r1,%r15)"),
        ] {
            assert!(after(cpu, &[text]).is_err(), "{cpu}: {text}");
        }
        let mut state = State::entry();
        CPUS[1].step(&insn("sub rsp, rax"), None, &mut state).unwrap();
        assert!(state.by_register);
        CPUS[1].step(&insn("mov rsp, qword ptr [rcx]"), None, &mut state).unwrap();
        assert!(state.loaded);
    }

    #[test]
    fn the_red_zone_counts_as_far_as_it_is_used() {
        let mut state = State::entry();
        CPUS[1].step(&insn("mov qword ptr [rsp - 0x30], rax"), None, &mut state).unwrap();
        assert_eq!(state.red, Some(Value::Entry(0x30)));
    }

    #[test]
    fn arms_conditions_are_told_from_names() {
        assert_eq!(condition("bls"), ("b", true));
        assert_eq!(condition("bl"), ("bl", false));
        assert_eq!(condition("popne"), ("pop", true));
        assert_eq!(condition("sub.w"), ("sub", false));
    }
}

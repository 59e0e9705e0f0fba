//! The walker that follows unwind tables.
//!
//! Reading `.eh_frame` costs thousands of instructions a frame. What is found is therefore kept, by PC, in a
//! small cache: for nearly every frame of compiled code one word says where the caller's SP, FP and PC are.

use super::cpu::{CFA_ABOVE_SP, EXIDX, FP, Frame, RECORD_ENDS_FRAME, RECORD_IS_SP, SP, SP_HAS_LINK, before};
use super::exidx;
use super::expression::{Source, evaluate};
use super::registry::Registry;
use super::row::{Row, Rule};
use super::stack::{Memory, WORD};
use super::symbols::RegisterError;
use super::walk::Stop;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, NativeEndian, Pointer, Register,
    UnwindExpression, UnwindSection,
};
use stackgate_arch::{RECORD, unwind::Registers, without_signature};

/// How many modules may have unwind tables.
pub const MAX_UNWIND_TABLES: usize = 32;

/// The unwind tables of one module: a program, a shared library, code that a JIT made.
///
/// The bytes are as they lie in memory: the addresses in them are relative to where they are.
#[derive(Clone, Debug)]
pub struct UnwindTables {
    /// The code that the tables describe.
    pub text: Range<usize>,
    /// `.eh_frame_hdr` (`PT_GNU_EH_FRAME`), the sorted index of `.eh_frame`. Without it, empty, each
    /// PC that the cache does not hold is searched for from the start.
    pub eh_frame_hdr: &'static [u8],
    /// `.eh_frame`. Bytes behind its end, up to the end of the segment, do no harm if `eh_frame_hdr` is there.
    pub eh_frame: &'static [u8],
    /// `.ARM.exidx` (`PT_ARM_EXIDX`), on arm, where the others are empty.
    pub exidx: &'static [u8],
}

impl UnwindTables {
    /// The tables of a module of which only the program headers are known: `hdr` is its `PT_GNU_EH_FRAME`,
    /// `text` its code, and `end` the end of the loaded segment that `hdr` lies in.
    ///
    /// # Safety
    /// The module stays loaded, and its memory up to `end` is readable.
    ///
    /// # Errors
    /// [`RegisterError::BadTable`] if `hdr` does not say where `.eh_frame` is.
    pub unsafe fn of_eh_frame_hdr(
        hdr: &'static [u8],
        text: Range<usize>,
        end: usize,
    ) -> Result<Self, RegisterError> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(hdr.as_ptr().addr() as u64);
        let parsed = EhFrameHdr::new(hdr, NativeEndian)
            .parse(&bases, WORD as u8)
            .map_err(|_| RegisterError::BadTable)?;
        let Pointer::Direct(at) = parsed.eh_frame_ptr() else {
            return Err(RegisterError::BadTable);
        };
        let at = at as usize;
        if at == 0 || at >= end {
            return Err(RegisterError::BadTable);
        }
        // SAFETY: by the caller.
        let eh_frame =
            unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(at), end - at) };
        Ok(Self { text, eh_frame_hdr: hdr, eh_frame, exidx: &[] })
    }
}

pub(super) static TABLES: Registry<UnwindTables, MAX_UNWIND_TABLES> = Registry::new();

/// Tells tracebacks about a module's unwind tables. Once registered, a module stays loaded.
///
/// Runs on any stack; not for signal handlers. Go: what `moduledata` is.
///
/// # Errors
/// [`RegisterError`]; nothing has changed then.
pub fn register_tables(tables: UnwindTables) -> Result<(), RegisterError> {
    let Range { start, end } = tables.text;
    if start >= end {
        return Err(RegisterError::Unsorted);
    }
    if EXIDX != tables.eh_frame.is_empty() || EXIDX == tables.exidx.is_empty() {
        return Err(RegisterError::BadTable);
    }
    if !tables.exidx.is_empty() && !exidx::plausible(tables.exidx) {
        return Err(RegisterError::BadTable);
    }
    TABLES.add(tables, RegisterError::Full, |others| {
        let clash = others.iter().any(|other| start < other.text.end && other.text.start < end);
        if clash { Err(RegisterError::Overlap) } else { Ok(()) }
    })
}

/// Where the caller of a frame is, in one word: what nearly every row of a table says. arm has a form of its own, in
/// `exidx`.
///
/// | bits of 64 (of 32) | |
/// |---|---|
/// | 0 | set |
/// | 1 | the CFA is counted from FP, not from SP |
/// | 2 | the caller's FP is saved |
/// | 3 | this is the outermost frame; then all that follows is 0 |
/// | 4.. 20 (12) | from SP or FP up to the CFA |
/// | 20 (8) | from the CFA up to the saved FP, signed |
/// | 20 (8) | from the CFA up to the return address, signed |
///
/// Distances are in bytes, on 32-bit CPUs in words. The saved FP does not lie above the return address; where
/// it is not saved, its distance is that of the return address. So one comparison each bounds both words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed(usize);

impl Packed {
    const SET: usize = 1;
    const FROM_FP: usize = 2;
    const FP_SAVED: usize = 4;
    const OUTERMOST: usize = 8;
    const CFA_BITS: u32 = if WORD == 8 { 20 } else { 12 };
    const AT_BITS: u32 = if WORD == 8 { 20 } else { 8 };
    const UNIT: usize = if WORD == 8 { 1 } else { WORD };

    fn pack(from_fp: bool, cfa: i64, fp: Option<i64>, pc: i64) -> Option<Self> {
        if [cfa, fp.unwrap_or(pc), pc].iter().any(|n| n % WORD as i64 != 0) || fp.unwrap_or(pc) > pc {
            return None;
        }
        let unit = Self::UNIT as i64;
        let cfa = Some(cfa / unit).filter(|n| (0..1 << Self::CFA_BITS).contains(n))?;
        let at = |offset: i64| {
            let limit = 1 << (Self::AT_BITS - 1);
            let n = Some(offset / unit).filter(|n| (-limit..limit).contains(n))?;
            Some(n as usize & ((1 << Self::AT_BITS) - 1))
        };
        let base = if from_fp { Self::FROM_FP } else { 0 };
        let saved = if fp.is_some() { Self::FP_SAVED } else { 0 };
        let distances = (cfa as usize)
            | at(fp.unwrap_or(pc))? << Self::CFA_BITS
            | at(pc)? << (Self::CFA_BITS + Self::AT_BITS);
        Some(Self(Self::SET | base | saved | distances << 4))
    }

    /// Bytes from the register up to the CFA.
    #[inline(always)]
    fn cfa(self) -> usize {
        (self.0 >> 4 & ((1 << Self::CFA_BITS) - 1)) * Self::UNIT
    }

    /// Bytes from the CFA up to the saved FP.
    #[inline(always)]
    fn fp(self) -> usize {
        let above = usize::BITS - 4 - Self::CFA_BITS - Self::AT_BITS;
        (((self.0 << above) as isize >> (usize::BITS - Self::AT_BITS)) * Self::UNIT as isize) as usize
    }

    /// Bytes from the CFA up to the return address.
    #[inline(always)]
    fn pc(self) -> usize {
        ((self.0 as isize >> (usize::BITS - Self::AT_BITS)) * Self::UNIT as isize) as usize
    }
}

const _: () = assert!(4 + Packed::CFA_BITS + 2 * Packed::AT_BITS == usize::BITS);

/// Rows by return address. Four places for each PC, so that a few PCs that fall together do not drive each other out in
/// every walk; read and written without a lock, also by a handler that has interrupted a writer: of an entry
/// of which half has been replaced the two words no longer give its PC.
struct Cache {
    sets: [Set; 1 << SET_BITS],
}

const SET_BITS: u32 = 6;
const WAYS: usize = 4;

#[repr(align(64))]
struct Set {
    entries: [Entry; WAYS],
}

struct Entry {
    /// The PC, xor the row.
    check: AtomicUsize,
    row: AtomicUsize,
}

static CACHE: Cache = Cache::new();

/// Whether there is a cache: an arm with one CPU and no threads is a microcontroller, with other uses for 4 KiB.
const CACHED: bool = !(EXIDX && cfg!(feature = "single-core"));

impl Cache {
    const fn new() -> Self {
        Self {
            sets: [const {
                Set {
                    entries: [const { Entry { check: AtomicUsize::new(0), row: AtomicUsize::new(0) } }; WAYS],
                }
            }; 1 << SET_BITS],
        }
    }

    #[inline(always)]
    fn set(&self, pc: usize) -> &Set {
        // Fibonacci hashing: the golden ratio's bits spread neighbouring PCs.
        let spread = pc.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        &self.sets[spread >> (usize::BITS - SET_BITS)]
    }

    #[inline(always)]
    fn get(&self, pc: usize) -> Option<Packed> {
        for entry in &self.set(pc).entries {
            let row = entry.row.load(Ordering::Relaxed);
            if entry.check.load(Ordering::Relaxed) ^ row == pc {
                return Some(Packed(row));
            }
        }
        None
    }

    /// Puts a row in front of its set; the oldest falls out.
    fn put(&self, pc: usize, row: Packed) {
        let (mut check, mut word) = (pc ^ row.0, row.0);
        for entry in &self.set(pc).entries {
            check = entry.check.swap(check, Ordering::Relaxed);
            word = entry.row.swap(word, Ordering::Relaxed);
        }
    }
}

/// The caller of `frame`, if the cache knows its row and nothing about it is odd. `memory.low` stays.
#[inline(always)]
pub(super) fn cached(frame: &Frame, memory: &Memory) -> Option<Frame> {
    if !CACHED {
        return None;
    }
    let row = CACHE.get(frame.pc)?;
    if EXIDX { exidx::follow(row.0, frame, memory) } else { follow(row, frame, memory) }
}

#[inline(always)]
fn follow(row: Packed, frame: &Frame, memory: &Memory) -> Option<Frame> {
    let base = if row.0 & Packed::FROM_FP != 0 { frame.fp } else { frame.sp };
    let cfa = base.wrapping_add(row.cfa());
    let sp = cfa.wrapping_sub(CFA_ABOVE_SP);
    let fp_at = cfa.wrapping_add(row.fp());
    let pc_at = cfa.wrapping_add(row.pc());
    // A frame that called another has a return address of its own, so that SP rises. Where that lies above the caller's
    // SP, the two addresses may lie on either side of 0 if the base is none.
    if sp <= memory.low
        || fp_at < memory.low
        || RECORD_IS_SP && fp_at > pc_at
        || pc_at > memory.high.wrapping_sub(WORD)
        || !cfa.is_multiple_of(WORD)
    {
        return None;
    }
    // SAFETY: both lie between the ends of the stack, and are aligned, as the CFA and the distances are.
    let (fp, pc) = unsafe { (memory.load(fp_at), memory.load(pc_at)) };
    let fp = if row.0 & Packed::FP_SAVED != 0 { fp } else { frame.fp };
    Some(Frame { pc: without_signature(pc), sp, fp, ..Frame::default() })
}

/// Goes from `frame` to its caller.
#[cold]
pub(super) fn step(frame: &Frame, memory: &mut Memory) -> Result<Frame, Stop> {
    if let Some(next) = cached(frame, memory) {
        memory.low = next.sp;
        return Ok(next);
    }
    step_slowly(frame, memory)
}

/// As [`step`], by the table itself.
fn step_slowly(frame: &Frame, memory: &mut Memory) -> Result<Frame, Stop> {
    let next = look_up(&frame.registers(), false, &[*memory])?;
    if next.sp <= memory.low {
        return Err(Stop::Loop);
    }
    memory.low = next.sp;
    Ok(next)
}

/// Goes from what a signal interrupted, of which every register is known, to its caller. The caller may be on
/// another stack.
pub(super) fn step_interrupted(registers: &Registers, memory: &[Memory]) -> Result<Frame, Stop> {
    look_up(registers, true, memory)
}

/// Reads the table, on the system stack: it takes more room than a managed one may have.
fn look_up(registers: &Registers, exact: bool, memory: &[Memory]) -> Result<Frame, Stop> {
    let pc = registers.pc();
    let pc = if exact { pc } else { before(pc) };
    let tables = find(pc).ok_or(Stop::NoTable)?;
    crate::cgocall::on_system_stack(|| {
        if EXIDX {
            if CACHED
                && !exact
                && let Some(row) = exidx::compact(tables.exidx, pc)
            {
                CACHE.put(registers.pc(), Packed(row));
            }
            return exidx::caller(tables.exidx, registers, exact, &|at| read(memory, at));
        }
        Section::of(tables).ok_or(Stop::BadTable)?.step(pc, registers, exact, memory)
    })
}

fn find(pc: usize) -> Option<&'static UnwindTables> {
    TABLES.entries().iter().find(|tables| tables.text.contains(&pc))
}

fn read(memory: &[Memory], at: usize) -> Option<usize> {
    memory.iter().find_map(|memory| memory.read(at))
}

type Bytes = EndianSlice<'static, NativeEndian>;

/// `.eh_frame` of a module, ready to read.
struct Section {
    hdr: Option<gimli::ParsedEhFrameHdr<Bytes>>,
    eh_frame: EhFrame<Bytes>,
    bases: BaseAddresses,
}

impl Section {
    fn of(tables: &'static UnwindTables) -> Option<Self> {
        let mut bases = BaseAddresses::default()
            .set_eh_frame(tables.eh_frame.as_ptr().addr() as u64)
            .set_text(tables.text.start as u64);
        let mut hdr = None;
        if !tables.eh_frame_hdr.is_empty() {
            bases = bases.set_eh_frame_hdr(tables.eh_frame_hdr.as_ptr().addr() as u64);
            hdr = Some(EhFrameHdr::new(tables.eh_frame_hdr, NativeEndian).parse(&bases, WORD as u8).ok()?);
        }
        let mut eh_frame = EhFrame::new(tables.eh_frame, NativeEndian);
        eh_frame.set_address_size(WORD as u8);
        // Knows the instruction that says whether a return address is signed; on other CPUs there is none like it.
        eh_frame.set_vendor(gimli::Vendor::AArch64);
        Some(Self { hdr, eh_frame, bases })
    }

    fn fde(&self, pc: usize) -> Result<gimli::FrameDescriptionEntry<Bytes>, Stop> {
        let cie = |frame: &EhFrame<Bytes>, bases: &BaseAddresses, at: EhFrameOffset| {
            frame.cie_from_offset(bases, at)
        };
        let found = match self.hdr.as_ref().and_then(|hdr| hdr.table()) {
            Some(table) => table.fde_for_address(&self.eh_frame, &self.bases, pc as u64, cie),
            None => self.eh_frame.fde_for_address(&self.bases, pc as u64, cie),
        };
        found.map_err(|error| match error {
            gimli::Error::NoUnwindInfoForAddress => Stop::NoTable,
            _ => Stop::BadTable,
        })
    }

    fn step(&self, pc: usize, registers: &Registers, exact: bool, memory: &[Memory]) -> Result<Frame, Stop> {
        let fde = self.fde(pc)?;
        let row = Row::at(&fde, &self.eh_frame, &self.bases, pc as u64).ok_or(Stop::BadTable)?;
        let return_address = fde.cie().return_address_register();
        // Where the call instruction pushes the return address, its column is the PC's.
        let pc_column = if RECORD_ENDS_FRAME { usize::from(return_address.0) } else { usize::MAX };
        let machine = Machine { section: self, registers, exact, pc: pc_column, memory };
        if !exact && let Some(packed) = compact(&row) {
            CACHE.put(registers.pc(), packed);
        }
        machine.caller(&row, return_address)
    }
}

/// The row in one word, if it is one of those that nearly all are.
fn compact(row: &Row) -> Option<Packed> {
    let pc = match row.pc {
        Rule::Undefined => return Some(Packed(Packed::SET | Packed::OUTERMOST)),
        Rule::Offset(offset) => offset,
        _ => return None,
    };
    let CfaRule::RegisterAndOffset { register, offset: cfa } = row.cfa else { return None };
    let register = usize::from(register.0);
    if register != SP && register != FP {
        return None;
    }
    let fp = match row.fp {
        Rule::SameValue => None,
        Rule::Offset(offset) => Some(offset),
        _ => return None,
    };
    // Where SP is saved at all, its value is what the CFA says.
    if !matches!(row.sp, Rule::SameValue | Rule::Offset(_)) {
        return None;
    }
    Packed::pack(register != SP, cfa, fp, pc)
}

/// How far below SP a register may have been saved that has been popped: more than a frame of registers.
const POPPED: usize = 1024;

/// What is needed to follow any rule.
struct Machine<'a> {
    section: &'a Section,
    registers: &'a Registers,
    /// Every register is known, and not SP, FP and PC alone.
    exact: bool,
    /// The number of the PC, on CPUs that have one for it.
    pc: usize,
    memory: &'a [Memory],
}

impl Source for Machine<'_> {
    fn register(&self, register: Register) -> Result<usize, Stop> {
        let register = usize::from(register.0);
        let known = self.exact || register == SP || register == FP || register == self.pc;
        // 0 stands for an SP or FP that a step by records has lost.
        self.registers.get(register).filter(|&value| known && (self.exact || value != 0)).ok_or(Stop::NoTable)
    }

    fn read(&self, at: usize) -> Result<usize, Stop> {
        read(self.memory, at).ok_or(Stop::BadMemory)
    }
}

impl Machine<'_> {
    fn evaluate(&self, expression: &UnwindExpression<usize>, initial: Option<usize>) -> Result<usize, Stop> {
        let bytes = expression.get(&self.section.eh_frame).map_err(|_| Stop::BadTable)?;
        evaluate(bytes.0, initial, self)
    }

    /// The value that `register` has in the caller; `same` is what it is here, if that is known.
    fn follow(&self, rule: &Rule, cfa: usize, same: Result<usize, Stop>) -> Result<usize, Stop> {
        match rule {
            Rule::SameValue => same,
            Rule::Offset(offset) => {
                let at = cfa.wrapping_add(*offset as usize);
                self.read(at).or_else(|stop| {
                    // Compilers do not say that an epilogue has popped a register. Below SP and its red zone
                    // nothing is kept: what was saved there has been restored.
                    let below = self.registers.sp().wrapping_sub(at);
                    if self.exact && below.wrapping_sub(1) < POPPED { same } else { Err(stop) }
                })
            }
            Rule::ValOffset(offset) => Ok(cfa.wrapping_add(*offset as usize)),
            Rule::Register(register) => self.register(*register),
            Rule::Expression(expression) => self.read(self.evaluate(expression, Some(cfa))?),
            Rule::ValExpression(expression) => self.evaluate(expression, Some(cfa)),
            _ => Err(Stop::BadTable),
        }
    }

    fn caller(&self, row: &Row, return_address: Register) -> Result<Frame, Stop> {
        if row.pc == Rule::Undefined {
            return Err(Stop::End);
        }
        let cfa = match &row.cfa {
            CfaRule::RegisterAndOffset { register, offset } => match self.register(*register) {
                // LLVM's r30, where a frame is more aligned than the stack: it counts from the caller's SP.
                Err(Stop::NoTable) if SP_HAS_LINK && self.registers.sp() != 0 => {
                    self.read(self.registers.sp().wrapping_add(RECORD.link))?
                }
                known => known?.wrapping_add(*offset as usize),
            },
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        let pc = match &row.pc {
            // The return address is still where the call put it; only there is it in a register.
            Rule::SameValue if !self.exact => return Err(Stop::BadTable),
            rule => self.follow(rule, cfa, self.register(return_address))?,
        };
        let fp = match &row.fp {
            Rule::Undefined => 0,
            rule => self.follow(rule, cfa, Ok(self.registers.get(FP).unwrap_or(0)))?,
        };
        let sp = match &row.sp {
            Rule::SameValue => cfa.wrapping_sub(CFA_ABOVE_SP),
            rule => self.follow(rule, cfa, Ok(0))?,
        };
        Ok(Frame { pc: without_signature(pc), sp, fp, ..Frame::default() })
    }
}

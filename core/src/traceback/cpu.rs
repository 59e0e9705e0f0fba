//! What the walkers know of the CPU, taken from the layouts in `stackgate_arch`.

use super::stack::{Memory, WORD};
use crate::G;
use crate::task::value;
use core::mem::offset_of;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use stackgate_arch::frame::{Field, Layout, Word};
use stackgate_arch::unwind::{Crossing, Registers, Start, crossing_at};
use stackgate_arch::{
    AsmcgocallFrame, CalleeSaved, CatchFrame, Cpu, Crosscall2Frame, Gobuf, Native, RECORD, SwitchFrame,
    start_of_call,
};
pub(super) use stackgate_arch::{CFA_ABOVE_SP, EXIDX, FP, RECORD_ENDS_FRAME, RED_ZONE};

/// Frame records begin at SP: ppc64le and s390x.
pub(super) const RECORD_IS_SP: bool = RECORD.register.dwarf as usize == SP;
/// Every frame has at SP a link to its caller's, which is its CFA, and not only code that was asked to keep records:
/// ppc64le, ELFv2 ABI 2.2.2.
pub(super) const SP_HAS_LINK: bool = RECORD_IS_SP && CFA_ABOVE_SP == 0;
/// An address inside the call that returns to `pc`. The lowest bit of a return address of Thumb code is a mark.
#[inline(always)]
pub(super) const fn before(pc: usize) -> usize {
    (pc & !(EXIDX as usize)).wrapping_sub(1)
}

/// The address that [`before`] takes to the instruction at `pc`.
pub(super) const fn behind(pc: usize) -> usize {
    pc.wrapping_add(1 + EXIDX as usize)
}

/// DWARF number of the stack pointer.
pub(super) const SP: usize = dwarf(field(&Gobuf::LAYOUT, "sp"));
const fn field(layout: &'static Layout, name: &str) -> &'static Field {
    match find(layout, name) {
        Some(field) => field,
        None => panic!("no such field"),
    }
}

/// For the compiler alone: a comparison of names when a handler runs would call libc.
const fn find(layout: &'static Layout, name: &str) -> Option<&'static Field> {
    let mut i = 0;
    while i < layout.fields.len() {
        if same(layout.fields[i].name, name) {
            return Some(&layout.fields[i]);
        }
        i += 1;
    }
    None
}

const fn dwarf(field: &Field) -> usize {
    match field.register {
        Some(register) => register.dwarf as usize,
        None => panic!("the field keeps no register"),
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// SP where a g that is not running resumes.
#[inline(always)]
pub(super) fn sched_sp(gobuf: &Gobuf) -> usize {
    gobuf.sp.get() as usize
}

/// A frame of managed code right after its call instruction, as far as its callers can be found from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    pub pc: usize,
    /// 0 when it is not known, after a step by records on a CPU whose records lie somewhere in the frame.
    pub sp: usize,
    /// The register [`FP`].
    pub fp: usize,
    /// On arm r4 to r11, any of which EHABI tables may use; nothing elsewhere.
    pub more: [usize; MORE],
}

/// How many registers beside SP and FP the tables of this CPU need.
const MORE: usize = if EXIDX { 8 } else { 0 };
/// The first of them.
pub(super) const FIRST_MORE: usize = 4;

impl Frame {
    /// Its frame record.
    #[inline(always)]
    pub fn record(&self) -> usize {
        if RECORD_IS_SP { self.sp } else { self.fp }
    }

    /// The same as a register file, in which everything else is 0.
    pub fn registers(&self) -> Registers {
        let mut registers = Registers::from(Start { pc: self.pc, sp: self.sp, record: 0 });
        for (i, &value) in self.more.iter().enumerate() {
            registers.set(FIRST_MORE + i, value);
        }
        registers.set(FP, self.fp);
        registers
    }

    /// The registers that the frame at `address` keeps, for one that begins with `self`.
    ///
    /// # Safety
    /// A frame that keeps them so lies there.
    unsafe fn with(mut self, kept: &Kept, address: usize) -> Self {
        // SAFETY: by the caller.
        let read = |at: u16| unsafe { with_exposed_provenance::<usize>(address + at as usize).read() };
        for (more, at) in self.more.iter_mut().zip(kept.more) {
            *more = at.map_or(*more, read);
        }
        self.fp = kept.fp.map_or(self.fp, read);
        self
    }
}

/// Where a frame keeps the registers of a [`Frame`], as its layout says: that itself has texts for readers, which
/// would lie in every program.
#[derive(Clone, Copy, Debug)]
struct Kept {
    fp: Option<u16>,
    more: [Option<u16>; MORE],
}

impl Kept {
    const fn of(layout: &'static Layout) -> Self {
        let mut kept = Self { fp: None, more: [None; MORE] };
        let mut i = 0;
        while i < layout.fields.len() {
            if let Some(register) = layout.fields[i].register {
                let at = Some(layout.fields[i].offset as u16);
                let more = (register.dwarf as usize).wrapping_sub(FIRST_MORE);
                if more < kept.more.len() {
                    kept.more[more] = at;
                }
                if register.dwarf as usize == FP {
                    kept.fp = at;
                }
            }
            i += 1;
        }
        kept
    }
}

/// Where a frame has its return address, if it has one.
const fn pc_of(layout: &'static Layout) -> Option<usize> {
    match find(layout, "pc") {
        Some(field) => Some(field.offset),
        None => None,
    }
}

/// The caller of `park` or `mcall` in a g that is parked, from the `SwitchFrame` at `at`; `None` where that
/// lies outside the stack.
pub(super) fn parked(at: usize, memory: &Memory) -> Option<Frame> {
    let (pc, kept) = const { (pc_of(&SwitchFrame::LAYOUT), Kept::of(&SwitchFrame::LAYOUT)) };
    left(pc, size_of::<SwitchFrame>(), &kept, 0, at, memory)
}

/// Where `stackgate_park` or `mcall` keeps its caller's registers, if one of them has left `g`, which does not run.
pub(crate) fn kept_for_caller(g: &G) -> Option<*mut Crosscall2Frame> {
    let memory = Memory::new(value(g.stack.limit), value(g.stack.top));
    // The switch has been called from there.
    let left = parked(value(g.sched.sp), &memory)?;
    let full = matches!(crossing_at(left.pc), Some(Crossing::ParkFull | Crossing::Mcall));
    (full && memory.holds(left.sp, size_of::<Crosscall2Frame>()))
        .then(|| with_exposed_provenance_mut(left.sp))
}

/// The caller of `asmcgocall_catch`, from the `CatchFrame` at `at`; `None` where that lies outside the stack.
pub(super) fn caught(at: usize, memory: &Memory) -> Option<Frame> {
    let (pc, kept) = const { (pc_of(&CatchFrame::LAYOUT), Kept::of(&CalleeSaved::LAYOUT)) };
    left(pc, size_of::<CatchFrame>(), &kept, offset_of!(CatchFrame, saved), at, memory)
}

/// The caller of a function whose frame of `size` bytes at `at` has `registers` at the offset `saved`, and its return
/// address in `pc` if it has that.
fn left(
    pc: Option<usize>,
    size: usize,
    registers: &Kept,
    saved: usize,
    at: usize,
    memory: &Memory,
) -> Option<Frame> {
    if !memory.holds(at, size) {
        return None;
    }
    let read = |offset| memory.read(at.wrapping_add(offset));
    let frame = if SAVED_IN_CALLERS_FRAME {
        // Which begins where the registers are saved.
        Frame { pc: read(saved + RECORD.pc)?, sp: at + saved, ..Frame::default() }
    } else if let Some(pc) = pc {
        // The frame is complete in itself; the caller's begins above it.
        Frame { pc: read(pc)?, sp: at + size, ..Frame::default() }
    } else {
        let sp = read(RECORD.link)?;
        Frame { pc: memory.read(sp.wrapping_add(RECORD.pc))?, sp, ..Frame::default() }
    };
    // SAFETY: the frame lies in the stack.
    Some(unsafe { frame.with(registers, at + saved) })
}

/// The managed caller of the call into C whose frame is at `call`.
///
/// # Safety
/// The frame is complete, and the stack that its `sp` designates is there.
pub(super) unsafe fn caller_of_call(call: *const AsmcgocallFrame) -> Frame {
    // SAFETY: by the caller.
    unsafe {
        let start = start_of_call(&*call);
        let frame = Frame { pc: start.pc, sp: start.sp, fp: start.record, ..Frame::default() };
        if SAVED_IN_CALLERS_FRAME {
            frame.with(&const { Kept::of(&CalleeSaved::LAYOUT) }, start.sp)
        } else {
            frame.with(&const { Kept::of(&AsmcgocallFrame::LAYOUT) }, call.addr())
        }
    }
}

/// A function saves registers in its caller's frame: s390x. ABI 1.2.2.2.
const SAVED_IN_CALLERS_FRAME: bool = CFA_ABOVE_SP != 0;

impl From<&Registers> for Frame {
    fn from(registers: &Registers) -> Self {
        let get = |dwarf| registers.get(dwarf).unwrap_or(0);
        let more = core::array::from_fn(|i| get(FIRST_MORE + i));
        Self { pc: registers.pc(), sp: registers.sp(), fp: get(FP), more }
    }
}

const _: () = assert!(WORD == <Native as Cpu>::Word::BYTES);

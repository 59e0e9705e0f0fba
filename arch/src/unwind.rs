//! What unwinders need to know of a CPU, in a form that is the same on each.
//!
//! Every function here runs on any stack and is safe in a signal handler. Register numbers are those of the ABI
//! documents that each CPU's module names.

use crate::frame::{Layout, Register};
use crate::native;

/// How code that keeps frame records keeps them.
#[derive(Clone, Copy, Debug)]
pub struct RecordForm {
    /// Bytes from the record's address to the address of the caller's record.
    pub link: usize,
    /// Bytes to the return address: from this record, or from the caller's where `pc_is_in_next`.
    pub pc: usize,
    /// A function's return address lies in its caller's record: ppc64le and s390x, whose records are the
    /// frames themselves and begin at SP.
    pub pc_is_in_next: bool,
    /// The register that designates the innermost record.
    pub register: Register,
}

/// Where a traceback goes on: the state of a caller right after its call instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The return address.
    pub pc: usize,
    /// SP once the call has returned.
    pub sp: usize,
    /// The caller's frame record.
    pub record: usize,
}

/// Where `sigtramp` has the `ucontext_t` that it was called with.
#[derive(Clone, Copy, Debug)]
pub enum UcontextIn {
    /// In the third argument's register, but for where the handler has returned: there in `kept`, until `back` bytes
    /// further.
    Registers {
        /// The register of the argument.
        argument: Register,
        /// One that the handler gives back.
        kept: Register,
        /// From the return address to the last instruction at which only `kept` has it.
        back: usize,
    },
    /// On the stack, where its caller has put it.
    Stack {
        /// Bytes from the CFA up to it.
        above_cfa: usize,
    },
}

/// A register file for unwinding, indexed by DWARF number.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Registers {
    words: [usize; native::unwind::REGISTERS_KEPT],
}

impl Default for Registers {
    fn default() -> Self {
        Self { words: [0; native::unwind::REGISTERS_KEPT] }
    }
}

impl Registers {
    /// Bytes from the start to the register with the DWARF number `dwarf`.
    pub const fn offset(dwarf: usize) -> usize {
        assert!(dwarf < native::unwind::REGISTERS_KEPT, "a register that unwinders do not keep");
        dwarf * size_of::<usize>()
    }
    /// The value of the register with the DWARF number `dwarf`, if it is one that is kept.
    #[inline]
    pub fn get(&self, dwarf: usize) -> Option<usize> {
        self.words.get(dwarf).copied()
    }
    /// Sets the register with the DWARF number `dwarf`, if it is one that is kept.
    #[inline]
    pub fn set(&mut self, dwarf: usize, value: usize) {
        if let Some(word) = self.words.get_mut(dwarf) {
            *word = value;
        }
    }
    /// The program counter.
    #[inline]
    pub fn pc(&self) -> usize {
        self.words[native::unwind::RA]
    }
    /// The stack pointer.
    #[inline]
    pub fn sp(&self) -> usize {
        self.words[native::unwind::SP]
    }
    /// The innermost frame record.
    #[inline]
    pub fn record(&self) -> usize {
        self.words[native::unwind::RECORD.register.dwarf as usize]
    }

    /// The registers of a program that a signal interrupted.
    ///
    /// Safe in a signal handler.
    ///
    /// # Safety
    /// `ucontext` is the third argument of a signal handler that was installed with `SA_SIGINFO`.
    pub unsafe fn from_ucontext(ucontext: *const core::ffi::c_void) -> Self {
        const AT: [Option<u16>; native::unwind::REGISTERS_KEPT] = kept_in(&native::unwind::Ucontext::LAYOUT);
        // SAFETY: the field lies inside what the kernel wrote.
        let read = |at: u16| unsafe { ucontext.byte_add(at as usize).cast::<usize>().read() };
        Self { words: AT.map(|at| at.map_or(0, read)) }
    }
}

/// Where a structure has the register of each DWARF number. The layout itself has texts for readers, which would lie
/// in every program.
const fn kept_in(layout: &'static Layout) -> [Option<u16>; native::unwind::REGISTERS_KEPT] {
    let mut kept = [None; native::unwind::REGISTERS_KEPT];
    let mut i = 0;
    while i < layout.fields.len() {
        if let Some(register) = layout.fields[i].register
            && (register.dwarf as usize) < kept.len()
        {
            kept[register.dwarf as usize] = Some(layout.fields[i].offset as u16);
        }
        i += 1;
    }
    kept
}

impl From<Start> for Registers {
    fn from(start: Start) -> Self {
        let mut registers = Self::default();
        // Where records begin at SP, the two are one register.
        registers.set(native::unwind::RECORD.register.dwarf as usize, start.record);
        registers.set(native::unwind::SP, start.sp);
        registers.set(native::unwind::RA, start.pc);
        registers
    }
}

/// An address of Thumb code has its lowest bit set.
const MARK: usize = cfg!(target_arch = "arm") as usize;

/// Declares [`Crossing`] and where each begins.
macro_rules! crossings {
    ($($(#[$attribute:meta])* $name:ident = $function:ident),+ $(,)?) => {
        /// The functions of `asm`, each of which begins a stretch of the section `stackgate_text`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Crossing {
            $(#[doc = concat!("`", stringify!($function), "`")] $(#[$attribute])* $name),+
        }

        /// Which crossing the instruction at `pc` belongs to.
        ///
        /// Safe in a signal handler; needs no table.
        pub fn crossing_at(pc: usize) -> Option<Crossing> {
            if !in_crossing(pc) {
                return None;
            }
            let mut last = None;
            $(
                $(#[$attribute])*
                {
                    let start = native::asm::$function as *const () as usize & !MARK;
                    if start <= pc && last.is_none_or(|(former, _)| former < start) {
                        last = Some((start, Crossing::$name));
                    }
                }
            )+
            last.map(|(_, crossing)| crossing)
        }
    };
}

crossings! {
    Getg = getg,
    Setg = setg,
    Asmcgocall = asmcgocall,
    Ccall = ccall,
    AsmcgocallCatch = asmcgocall_catch,
    ThrowTo = throw_to,
    Systemstack = systemstack,
    Mcall = mcall,
    Gogo = gogo,
    McallLight = mcall_light,
    ResumeFull = resume_full,
    ParkFull = park_full,
    ResumeLight = resume_light,
    ParkLight = park_light,
    SwitchLight = switch_light,
    GStart = g_start,
    Cgocallback = cgocallback,
    Crosscall2 = crosscall2,
    Crosscall2Panic = crosscall2_panic,
    Crosscall1 = crosscall1,
    Sigtramp = sigtramp,
    #[cfg(target_arch = "x86_64")]
    Crosscall2Win64 = crosscall2_win64,
}

// The linker makes these for a section whose name is one of C's: its two ends. Each module has its own.
core::arch::global_asm!(".hidden __start_stackgate_text", ".hidden __stop_stackgate_text");
unsafe extern "C" {
    #[link_name = "__start_stackgate_text"]
    static TEXT_START: [u8; 0];
    #[link_name = "__stop_stackgate_text"]
    static TEXT_STOP: [u8; 0];
}

/// Whether the instruction at `pc` belongs to a crossing.
#[inline(always)]
pub fn in_crossing(pc: usize) -> bool {
    let start = (&raw const TEXT_START).addr();
    pc.wrapping_sub(start) < (&raw const TEXT_STOP).addr().wrapping_sub(start)
}

impl Registers {
    /// The g that `crossing` is leaving, while it is curg no longer and SP is on its stack still. Only
    /// `park_light`, `mcall_light`, `g_start` and `switch_light` leave one.
    pub fn left_g(&self, crossing: Crossing) -> Option<usize> {
        let [park, mcall, g_start, switch] = native::unwind::LEFT_IN;
        let register = match crossing {
            Crossing::ParkLight => park,
            Crossing::McallLight => mcall,
            Crossing::GStart => g_start,
            Crossing::SwitchLight => switch,
            _ => return None,
        };
        self.get(register.dwarf as usize)
    }

    /// The `ucontext_t` that `sigtramp` was called with, at any instruction of it. `argument` reads a word so many
    /// bytes above the CFA.
    pub fn ucontext_of_handler(&self, argument: impl FnOnce(usize) -> Option<usize>) -> Option<usize> {
        match native::unwind::UCONTEXT_IN {
            UcontextIn::Registers { argument, kept, back } => {
                let behind = self.pc().wrapping_sub((&raw const native::asm::sigtramp_return).addr() & !MARK);
                self.get(if behind <= back { kept } else { argument }.dwarf as usize)
            }
            UcontextIn::Stack { above_cfa } => argument(above_cfa),
        }
    }

    /// The catch that `throw_to` goes to, while `g0.sched.sp` is back where that was made and SP is not there.
    pub fn thrown_to(&self) -> Option<usize> {
        self.get(native::unwind::CATCH_IN.dwarf as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_holds_the_crossings_and_nothing_else() {
        let at = |f: *const ()| crossing_at(f as usize);
        assert_eq!(at(native::asm::getg as *const ()), Some(Crossing::Getg));
        assert_eq!(at(native::asm::resume_full as *const ()), Some(Crossing::ResumeFull));
        assert_eq!(at(native::asm::park_light as *const ()), Some(Crossing::ParkLight));
        assert_eq!(at((&raw const native::asm::g_begin).cast()), Some(Crossing::GStart));
        assert_eq!(at((&raw const native::asm::callback_return).cast()), Some(Crossing::Cgocallback));
        assert_eq!(at(native::unwind::capture as *const ()), None);
        let (start, stop) = ((&raw const TEXT_START).addr(), (&raw const TEXT_STOP).addr());
        assert!(start < stop && crossing_at(start).is_some() && crossing_at(stop - 1).is_some());
        assert_eq!((crossing_at(start - 1), crossing_at(stop)), (None, None));
    }
}

//! What unwinders need to know of a CPU, in a form that is the same on each.

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
        const UCONTEXT: Layout = native::unwind::Ucontext::LAYOUT;
        let mut registers = Self::default();
        for field in UCONTEXT.fields {
            if let Some(register) = field.register {
                // SAFETY: the field lies inside what the kernel wrote.
                let value = unsafe { ucontext.byte_add(field.offset).cast::<usize>().read() };
                registers.set(register.dwarf as usize, value);
            }
        }
        registers
    }
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

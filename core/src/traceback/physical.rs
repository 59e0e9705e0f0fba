//! The true chain on one stack, for who writes a traceback function.

use super::cpu::Frame;
use super::stack::Memory;
use super::tables;
use super::walk::Stop;
use core::ops::Range;
use stackgate_arch::unwind::{Registers, Start};

/// A walk over the frames that really called each other, by registered unwind tables, on one stack.
///
/// What a context function keeps and a traceback function walks: `Copy`, a few words, no pointer of its own.
///
/// Runs on any stack; safe in a signal handler.
#[derive(Clone, Copy, Debug)]
pub struct Physical {
    frame: Frame,
    low: usize,
    high: usize,
}

impl Physical {
    /// A walk that begins where `registers` were captured, and reads nothing outside `stack`.
    pub fn new(registers: &Registers, stack: Range<usize>) -> Self {
        Self { frame: Frame::from(registers), low: stack.start, high: stack.end }
    }

    /// The frame at hand: where it goes on, and its SP then.
    pub fn at(&self) -> Start {
        Start { pc: self.frame.pc, sp: self.frame.sp, record: self.frame.record() }
    }

    /// Goes to the caller.
    ///
    /// # Errors
    /// [`Stop`]: why there is none. The walk stays where it is.
    pub fn step(&mut self) -> Result<(), Stop> {
        let mut memory = Memory::new(self.low, self.high);
        self.frame = tables::step(&self.frame, &mut memory)?;
        Ok(())
    }
}

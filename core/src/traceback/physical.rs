//! The true chain on one stack, for who writes a traceback function.

use super::cpu::{self, Frame};
use super::stack::{Memory, WORD};
use super::tables;
use super::walk::Stop;
use crate::task::{call_below, current_m, value};
use core::ops::Range;
use stackgate_arch::unwind::{Registers, Start, in_crossing};

/// How much of a stack is looked at whose end is not known.
const FAR: usize = 1 << 20;

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
    end: usize,
}

/// [`Physical::end`]: there is none.
const ENDLESS: usize = 0;
/// The first crossing is the end: it is not known where the one lies that C was called through.
const FIRST_CROSSING: usize = usize::MAX;

impl Physical {
    /// A walk that begins where `registers` were captured, and reads nothing outside `stack`.
    pub fn new(registers: &Registers, stack: Range<usize>) -> Self {
        Self { frame: Frame::from(registers), low: stack.start, high: stack.end, end: ENDLESS }
    }

    /// A walk through C on this thread, from where `registers` were captured out to the crossing that C was called
    /// through, or to the beginning of the thread. The crossing itself is not part of it: the last step says
    /// [`Stop::End`]. Others on the way, calls that C made on its own stack, are.
    pub fn in_c(registers: &Registers) -> Self {
        let sp = registers.sp();
        let mut walk = Self::new(registers, sp..sp.saturating_add(FAR));
        walk.bound();
        walk
    }

    /// The same, where a signal has interrupted C with `registers`, all of which count: it begins with the caller
    /// of what was interrupted.
    ///
    /// # Errors
    /// [`Stop`]: why there is no caller.
    pub fn of_interrupted(registers: &Registers) -> Result<Self, Stop> {
        Self::of_interrupted_below(registers, usize::MAX)
    }

    /// The same, and nothing at `end` or above it is read: for a thread of which nobody knows where its stack ends.
    ///
    /// # Errors
    /// [`Stop`]: why there is no caller.
    pub fn of_interrupted_below(registers: &Registers, end: usize) -> Result<Self, Stop> {
        let mut walk = Self::in_c(registers);
        walk.high = walk.high.min(end);
        let memory = Memory::new(walk.low, walk.high);
        // What lies below SP and belongs to it still is the interrupted function's.
        let memory = Memory { low: memory.low.saturating_sub(cpu::RED_ZONE), ..memory };
        walk.frame = tables::step_interrupted(registers, &[memory])?;
        if walk.frame.sp < walk.low { Err(Stop::Loop) } else { walk.unless_at_end() }
    }

    /// Narrows the walk by what this thread knows of its stack now.
    fn bound(&mut self) {
        self.end = FIRST_CROSSING;
        let Some(m) = current_m() else { return };
        let holds = |limit, top| (value(limit)..value(top)).contains(&self.low);
        // SAFETY: this thread's m. Each word is there at any time, and is only compared.
        unsafe {
            let (g0, gsignal) = ((*m).g0.stack, (*m).gsignal.stack);
            if holds(g0.limit, g0.top) {
                self.high = self.high.min(value(g0.top));
            } else if holds(gsignal.limit, gsignal.top) {
                // A handler's C: what it has interrupted lies elsewhere.
                self.high = self.high.min(value(gsignal.top));
                return;
            }
            let g0_sp = value((*m).g0.sched.sp);
            let call = call_below(g0_sp);
            // The stretch above SP up to where C was called: the root of a thread that C made lies elsewhere.
            if !(*m).curg.is_null() && !core::ptr::eq(call, &raw const (*m).root) && self.low < call.addr() {
                self.high = self.high.min(g0_sp);
                self.end = call.addr();
            }
        }
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
        let frame = tables::step(&self.frame, &mut memory)?;
        Self { frame, low: memory.low, ..*self }.unless_at_end().map(|walk| *self = walk)
    }

    /// The walk, unless the frame at hand is the end of C.
    fn unless_at_end(self) -> Result<Self, Stop> {
        let over = match self.end {
            ENDLESS => false,
            // The kernel has put a handler's frame on this stack: what it interrupted is another one's.
            _ if self.frame.sp > self.high => true,
            FIRST_CROSSING => in_crossing(cpu::before(self.frame.pc)),
            end => self.frame.sp >= end,
        };
        if over { Err(Stop::End) } else { Ok(self) }
    }
}

/// A context function has room for one.
const _: () = assert!(size_of::<Physical>() <= super::CONTEXT_ROOM * WORD);

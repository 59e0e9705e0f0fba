//! The memory that a trace may read.

use super::cpu::RED_ZONE;
use core::ptr::with_exposed_provenance;

/// Bytes in a machine word.
pub(super) const WORD: usize = size_of::<usize>();

/// A part of one stack: nothing outside it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Lowest address that the next frame may have. Rises with each frame, so that every walk ends.
    pub low: usize,
    /// One past the highest address.
    pub high: usize,
}

impl Memory {
    /// Nothing may be read.
    pub const NONE: Self = Self { low: usize::MAX, high: usize::MAX };

    /// From `low` up to `high`.
    pub fn new(low: usize, high: usize) -> Self {
        // A word at least, so that `high` less a few words is no address beyond it.
        if low < high && high > 64 { Self { low, high } } else { Self::NONE }
    }

    /// The part that is in use where SP is at `sp`.
    pub fn from(self, sp: usize) -> Self {
        Self { low: self.low.max(sp.saturating_sub(RED_ZONE)), ..self }
    }

    /// Whether the bytes from `address` on lie in here, and are aligned.
    #[inline(always)]
    pub fn holds(&self, address: usize, bytes: usize) -> bool {
        address >= self.low && address <= self.high.wrapping_sub(bytes) && address.is_multiple_of(WORD)
    }

    /// Reads a word.
    #[inline(always)]
    pub fn read(&self, address: usize) -> Option<usize> {
        if !self.holds(address, WORD) {
            return None;
        }
        // SAFETY: the word lies in the stack.
        Some(unsafe { self.load(address) })
    }

    /// Reads a word without asking.
    ///
    /// # Safety
    /// [`Memory::holds`] the word.
    #[inline(always)]
    pub unsafe fn load(&self, address: usize) -> usize {
        // SAFETY: by the caller. The stack belongs to a thread that stands still, or to this one; volatile,
        // because it is this one's very stack that the compiler believes to know.
        unsafe { with_exposed_provenance::<usize>(address).read_volatile() }
    }
}

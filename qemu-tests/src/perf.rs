//! A walk over frame records as the kernel's profiler makes it, by what documents say of records, and by nothing of the
//! library's: `perf_callchain_user` in `arch/*/kernel/perf_callchain.c`, or in `arch/*/events/`.

use core::ops::Range;
use core::ptr::with_exposed_provenance;

/// How records are chained on a CPU.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// DWARF number of the register that designates the innermost one.
    pub register: usize,
    /// From a record to the address of the next one.
    pub link: usize,
    /// From a record to the return address.
    pub pc: usize,
    /// The return address is in the next record.
    pub pc_is_in_next: bool,
    /// The bits of a return address that are part of the address.
    pub pc_bits: usize,
    /// The kernel ends its walk where a record lies below the one that led to it.
    pub upwards: bool,
}

impl Chain {
    /// Calls `found` with each return address that a walk from `record` finds. It ends where the kernel would get an
    /// error: at what is in none of the stacks, or not aligned.
    pub fn walk(&self, record: usize, stacks: &[Range<usize>], mut found: impl FnMut(usize)) {
        let read = |at: usize| {
            let inside = |stack: &Range<usize>| {
                stack.start <= at && at <= stack.end.saturating_sub(size_of::<usize>())
            };
            let aligned = at.is_multiple_of(size_of::<usize>());
            // SAFETY: a word of a stack of this thread's.
            (aligned && stacks.iter().any(inside))
                .then(|| unsafe { with_exposed_provenance::<usize>(at).read_volatile() })
        };
        let mut at = record;
        for _ in 0..MOST {
            let Some(next) = read(at.wrapping_add(self.link)) else { break };
            let place = if self.pc_is_in_next { next } else { at };
            let Some(pc) = read(place.wrapping_add(self.pc)) else { break };
            found(pc & self.pc_bits);
            if self.upwards && next <= at {
                break;
            }
            at = next;
        }
    }
}

/// More than any tower has.
const MOST: usize = 1000;

//! The machine as stackgate's platform.

use crate::{board, memory, runner};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use stackgate::traceback::{UnwindTables, register_tables};
use stackgate::{ErrnoFn, Platform, ServiceError, SignalMask, StackBounds};

/// A machine without an operating system.
pub struct Machine;

/// How many CPUs run.
pub static RUNNING: AtomicUsize = AtomicUsize::new(1);

impl Platform for Machine {
    fn write(&self, message: &[u8]) {
        runner::remember(message);
        board::console(message);
    }

    fn abort(&self) -> ! {
        runner::aborted()
    }

    fn thread_id(&self) -> usize {
        board::cpu() + 1
    }

    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        if RUNNING.load(Ordering::Acquire) == 1 {
            return false;
        }
        if word.load(Ordering::Acquire) == expected {
            core::hint::spin_loop();
        }
        true
    }

    fn wake(&self, _word: &AtomicU32) {}

    fn errno(&self) -> Option<ErrnoFn> {
        None
    }

    fn page_size(&self) -> usize {
        memory::ARENA_ALIGN
    }

    fn map(&self, size: usize) -> Result<NonNull<u8>, ServiceError> {
        if size == 0 || !size.is_multiple_of(memory::ARENA_ALIGN) {
            return Err(ServiceError::BadArgument);
        }
        memory::take_arena(size).ok_or(ServiceError::NoMemory)
    }

    fn block_signals(&self) -> Result<SignalMask, ServiceError> {
        Ok(SignalMask([u64::from(board::mask()), 0]))
    }

    fn restore_signals(&self, SignalMask([open, _]): SignalMask) {
        if open == 0 {
            board::mask();
        } else {
            board::unmask();
        }
    }

    fn signal_stack(&self) -> Result<Option<StackBounds>, ServiceError> {
        Ok(Some(bounds(memory::signal_stack(board::cpu()))))
    }

    fn stack_bounds(&self) -> Result<StackBounds, ServiceError> {
        let local = 0u8;
        let at = (&raw const local).addr();
        let own = [memory::system_stack(board::cpu()), memory::signal_stack(board::cpu())];
        let stack = own.into_iter().chain((0..memory::managed_count()).map(memory::managed_stack));
        stack.into_iter().find(|stack| stack.contains(&at)).map(bounds).ok_or(ServiceError::NotHere)
    }
}

/// A stack of the linker script's, as the platform tells of it.
fn bounds(stack: Range<usize>) -> StackBounds {
    StackBounds { limit: stack.start, top: stack.end, accurate: true }
}

/// Tells stackgate of the platform and of the program's unwind tables.
pub fn set() {
    stackgate::set_platform(&Machine).expect("the first platform");
    let bytes = |range: core::ops::Range<usize>| {
        let at: *const u8 = core::ptr::with_exposed_provenance(range.start);
        // SAFETY: constants of the program.
        unsafe { core::slice::from_raw_parts(at, range.len()) }
    };
    let exidx = bytes(memory::exidx());
    let tables = if exidx.is_empty() {
        UnwindTables {
            text: memory::code(),
            eh_frame_hdr: bytes(memory::eh_frame_hdr()),
            eh_frame: bytes(memory::eh_frame()),
            exidx: &[],
        }
    } else {
        UnwindTables { text: memory::code(), eh_frame_hdr: &[], eh_frame: &[], exidx }
    };
    register_tables(tables).expect("the program's tables");
}

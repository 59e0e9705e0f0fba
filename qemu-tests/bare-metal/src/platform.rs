//! The machine as stackgate's platform.

use crate::{board, memory, runner};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use stackgate::traceback::{UnwindTables, register_tables};
use stackgate::{ErrnoFn, Platform};

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

//! More than one CPU: each is an m with a g0 of its own, and runs whatever task it finds.

use crate::setup::adopted;
use crate::{board, memory, platform};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use stackgate::{G, Resumed, resume};

/// How many tasks there is room for.
pub const ROOM: usize = 8;
/// Tasks that wait for a CPU: who takes one out runs it.
static WAITING: [AtomicPtr<G>; ROOM] = [const { AtomicPtr::new(core::ptr::null_mut()) }; ROOM];
/// Tasks that have not finished.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Starts every CPU that has stacks; how many run then.
pub fn start() -> usize {
    for cpu in 1..memory::cpus() {
        let before = platform::RUNNING.load(Ordering::Acquire);
        // SAFETY: once for each, since this is done once.
        if !unsafe { board::start_cpu(cpu) } {
            break;
        }
        while platform::RUNNING.load(Ordering::Acquire) == before {
            board::relax();
        }
    }
    platform::RUNNING.load(Ordering::Acquire)
}

/// Lets every CPU run these tasks until they have finished. Each is resumed with the number of its CPU.
pub fn run(tasks: &[*mut G]) {
    LEFT.store(tasks.len(), Ordering::Release);
    for (place, &g) in WAITING.iter().zip(tasks) {
        place.store(g, Ordering::Release);
    }
    take_part();
}

/// Runs waiting tasks as long as any is left.
fn take_part() {
    adopted(|_| {
        while LEFT.load(Ordering::Acquire) > 0 {
            for place in &WAITING {
                let g = place.swap(core::ptr::null_mut(), Ordering::AcqRel);
                if g.is_null() {
                    board::relax();
                    continue;
                }
                // SAFETY: a parked task that no other CPU has.
                match unsafe { resume(g, board::cpu()) }.expect("a parked task") {
                    Resumed::Parked(_) => place.store(g, Ordering::Release),
                    Resumed::Finished(_) => _ = LEFT.fetch_sub(1, Ordering::AcqRel),
                }
                board::relax();
            }
        }
    });
}

/// What a CPU that has been started does.
pub fn work(_cpu: usize) -> ! {
    loop {
        while LEFT.load(Ordering::Acquire) == 0 {
            board::relax();
        }
        take_part();
    }
}

//! From the board's entry to the program.

use crate::{board, memory, platform, trio};

unsafe extern "Rust" {
    /// The program.
    safe fn machine_main() -> !;
}

/// What a board's `_start` calls, on the first CPU's system stack, with floating point switched on.
///
/// # Safety
/// Called once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn begin() -> ! {
    let (bss, data) = (memory::bss(), memory::data());
    let initial = memory::initial_data();
    // SAFETY: the linker script says where these are, and nobody uses them yet.
    unsafe {
        let to = |address| core::ptr::with_exposed_provenance_mut::<u8>(address);
        to(bss.start).write_bytes(0, bss.len());
        if initial != data.start {
            to(data.start).copy_from_nonoverlapping(to(initial), data.len());
        }
        memory::fill_guards();
        take_slot(0);
        board::init(0);
    }
    platform::set();
    trio::install();
    machine_main()
}

/// Makes a CPU's slot from the template, and names it to the CPU. The slot is empty where the current g is one
/// plain word.
///
/// # Safety
/// On that CPU, before it uses anything of stackgate.
pub unsafe fn take_slot(cpu: usize) {
    let (tls, tdata) = (memory::tls(), memory::tdata());
    let slot = memory::slots().start + cpu * memory::slot_size();
    let (variables, pointer) = board::thread_pointer(slot, tls.len());
    assert!(variables >= slot && variables + tls.len() <= slot + memory::slot_size(), "a slot is too small");
    // SAFETY: the slot is this CPU's, and large enough.
    unsafe {
        let to: *mut u8 = core::ptr::with_exposed_provenance_mut(variables);
        to.write_bytes(0, tls.len());
        to.copy_from_nonoverlapping(core::ptr::with_exposed_provenance(tdata.start), tdata.len());
        board::set_thread_pointer(pointer);
    }
}

/// What the entry of another CPU calls, on its system stack.
///
/// # Safety
/// Once for each CPU, on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn join(cpu: usize) -> ! {
    // SAFETY: by the caller.
    unsafe {
        take_slot(cpu);
        board::init(cpu);
    }
    platform::RUNNING.fetch_add(1, core::sync::atomic::Ordering::Release);
    crate::multi::work(cpu)
}

//! What QEMU's `virt` has on both of its CPUs: a PL011, and version 2 of the interrupt controller.
//!
//! Documents: *GIC architecture specification*, version 2; QEMU `hw/arm/virt.c`.

/// A device's register.
fn device(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

const UART: usize = 0x0900_0000;
const DISTRIBUTOR: usize = 0x0800_0000;
const CPU_INTERFACE: usize = 0x0801_0000;
/// The virtual timer's interrupt.
const TIMER: u32 = 27;

/// Writes to the PL011.
pub fn console(text: &[u8]) {
    for &byte in text {
        // SAFETY: a register that only prints.
        unsafe { device(UART).write_volatile(byte.into()) };
    }
}

/// What semihosting ends a program with: `ADP_Stopped_ApplicationExit`, and a status.
pub fn exit_block(passed: bool) -> [usize; 2] {
    [0x20026, usize::from(!passed)]
}

/// The timer of this CPU alone can interrupt it.
pub fn init_interrupts() {
    // SAFETY: nobody else uses the controller.
    unsafe {
        device(DISTRIBUTOR).write_volatile(1);
        device(DISTRIBUTOR + 0x100).write_volatile(1 << TIMER);
        device(CPU_INTERFACE + 4).write_volatile(0xff);
        device(CPU_INTERFACE).write_volatile(1);
    }
    super::timer_stop();
}

/// The same for a handler that lets itself be interrupted.
pub fn timer_arm_in_handler(ticks: u32) {
    super::timer_arm(ticks);
}

/// The interrupt has been taken, and does not come again.
pub fn acknowledge() {
    super::timer_stop();
    // SAFETY: the controller's registers.
    unsafe {
        let number = device(CPU_INTERFACE + 0xc).read_volatile();
        device(CPU_INTERFACE + 0x10).write_volatile(number);
    }
}

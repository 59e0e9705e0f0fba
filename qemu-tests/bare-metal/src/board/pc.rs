//! What QEMU's `pc` has on both of its CPUs: a serial port, a port that ends it, a local APIC with a timer.
//!
//! Documents: *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3: 11 (local APIC; 10 in older
//! editions), table 6-1 (exceptions).

use core::arch::{asm, global_asm};

/// How much of the signal stack one handler may use.
pub const PER_HANDLER: usize = 64 << 10;
/// The timer's vector.
const TIMER: usize = 0x40;
/// How many vectors are exceptions', and how far apart their entries are.
pub const EXCEPTIONS: usize = 32;
const STUB: usize = 16;

// Entries for exceptions: those without an error code push one. The CPU's file has what comes then.
global_asm!(
    ".balign {stub}",
    ".globl board_exceptions",
    "board_exceptions:",
    ".set vector, 0",
    ".rept {exceptions}",
    ".balign {stub}",
    ".if ((1 << vector) & 0x60227d00) == 0", // 8, 10 to 14, 17, 21, 29, 30
    "push 0",
    ".endif",
    "push vector",
    "jmp board_exception",
    ".set vector, vector + 1",
    ".endr",
    exceptions = const EXCEPTIONS,
    stub = const STUB,
);

unsafe extern "C" {
    static board_timer: [u8; 0];
    static board_exceptions: [u8; 0];
}

/// The vectors that are in use, with their handlers: the exceptions', then the timer's.
pub fn vectors() -> impl Iterator<Item = (usize, usize)> {
    let exceptions =
        (0..EXCEPTIONS).map(|vector| (vector, (&raw const board_exceptions).addr() + vector * STUB));
    exceptions.chain([(TIMER, (&raw const board_timer).addr())])
}

/// A table of the CPU's, written by `init` alone.
pub struct Shared<T>(pub core::cell::UnsafeCell<T>);
// SAFETY: each CPU writes its own part, before it is used.
unsafe impl<T> Sync for Shared<T> {}

/// A pointer to a table, as `lgdt` and `lidt` take it.
#[repr(C, packed)]
pub struct Pointer {
    limit: u16,
    address: usize,
}

impl Pointer {
    pub fn to<T>(table: &T) -> Self {
        Self { limit: size_of::<T>() as u16 - 1, address: (&raw const *table).addr() }
    }
}

/// What `fxsave` stores.
#[repr(C, align(16))]
pub struct FloatingPoint([u8; 512]);

/// Writes to the first serial port.
pub fn console(text: &[u8]) {
    for &byte in text {
        // SAFETY: a port that only prints.
        unsafe { asm!("out dx, al", in("dx") 0x3f8u16, in("al") byte, options(nostack, preserves_flags)) };
    }
}

/// Ends the machine by QEMU's `isa-debug-exit`, whose status is twice the value and one.
pub fn exit(passed: bool) -> ! {
    let value: u32 = if passed { 0x10 } else { 0x20 };
    loop {
        // SAFETY: a port that ends the machine.
        unsafe { asm!("out dx, eax", in("dx") 0xf4u16, in("eax") value, options(nostack)) };
    }
}

/// A register of this CPU's local APIC.
pub fn apic(register: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(0xfee0_0000 + register)
}

/// Writes to one of them.
pub fn set_apic(register: usize, value: u32) {
    // SAFETY: registers of this CPU's own.
    unsafe { apic(register).write_volatile(value) };
}

/// The timer of this CPU alone can interrupt it.
pub fn init_interrupts() {
    // SAFETY: the two old controllers are silent from now on.
    unsafe { asm!("out 0x21, al", "out 0xa1, al", in("al") 0xffu8) };
    set_apic(0xf0, 0x1ff); // enabled; 0xff for spurious ones
    set_apic(0x3e0, 0xb); // ticks are not divided
    set_apic(0x320, TIMER as u32); // one shot
    timer_stop();
}

/// One interrupt after `ticks` nanoseconds.
pub fn timer_arm(ticks: u32) {
    set_apic(0x380, ticks);
}

/// The same for a handler that lets itself be interrupted.
pub fn timer_arm_in_handler(ticks: u32) {
    timer_arm(ticks);
}

/// No interrupt; also not one that is under way.
pub fn timer_stop() {
    set_apic(0x380, 0);
}

/// The interrupt has been taken.
pub fn acknowledge() {
    set_apic(0xb0, 0);
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: changes the interrupt flag alone.
    unsafe { asm!("sti") };
}

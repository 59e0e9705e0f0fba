//! thumb: a Cortex-M4 microcontroller, QEMU's `mps2-an386`.
//!
//! Documents: *Armv7-M Architecture Reference Manual*, B1.3 (stack pointers), B1.5 (exceptions), B3.3 (SysTick);
//! *Application Note AN386*; *Cortex-M System Design Kit* (UART, timer).
//!
//! Programs run in Thread mode with PSP as SP, g0's stack and the tasks' alike: a crossing changes from one to the
//! other by writing SP, whichever it is. Exceptions run with MSP, which therefore is the signal stack. The CPU
//! stores eight words where SP is before it gets there, and perhaps one to align: so every managed stack carries
//! [`INTERRUPT_TAKES`] below what it uses. It would store the floating point registers as well; that is
//! switched off, and the handler keeps them on the signal stack.
//!
//! An exception is not interrupted by one of its own priority. A handler's own timer is a second one, above.

#[path = "one_cpu.rs"]
mod one_cpu;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use stackgate::arch::unwind::Registers;

pub use one_cpu::{cpu, relax, start_cpu};

/// What the CPU stores where SP is (B1.5.6, without floating point).
#[repr(C)]
struct Stored {
    r0: [u32; 4],
    r12: u32,
    lr: u32,
    pc: u32,
    xpsr: u32,
}

// The vectors: the first word is MSP. Then exceptions to 15, which is SysTick, and interrupts to 8, the timer.
global_asm!(
    ".pushsection .boot, \"ax\"",
    ".balign 128",
    ".globl board_vectors",
    "board_vectors:",
    ".word stackgate_boot_signal_top",
    ".word _start",
    ".rept 13",
    ".word board_fault",
    ".endr",
    ".word board_timer",
    ".rept 8",
    ".word board_fault",
    ".endr",
    ".word board_timer",
    ".thumb",
    ".globl _start",
    ".type _start, %function",
    ".thumb_func",
    "_start:",
    "cpsid i",
    "ldr r0, =stackgate_boot_stack_top",
    "msr psp, r0",
    "mov r0, #2",
    "msr control, r0",
    "isb",
    "ldr r0, =0xe000ed88", // CPACR: floating point
    "mov r1, #0xf00000",
    "str r1, [r0]",
    "ldr r0, =0xe000ef34", // FPCCR: exceptions do not store its registers
    "mov r1, #0",
    "str r1, [r0]",
    "dsb",
    "isb",
    "mov r7, #0",
    "mov lr, #0",
    "b {begin}",
    ".ltorg",
    ".popsection",
    begin = sym crate::start::begin,
);

// From the lower end: r0 to r15 of what was interrupted, then what the CPU stored if that was a handler.
global_asm!(
    ".pushsection .text.board_timer, \"ax\"",
    ".thumb",
    ".fpu fpv4-sp-d16",
    ".globl board_timer",
    ".type board_timer, %function",
    ".thumb_func",
    "board_timer:",
    "cpsid i",
    "tst lr, #4",
    "ite eq",
    "mrseq r0, msp",
    "mrsne r0, psp",
    "sub sp, #{registers}",
    "add r1, sp, #{r4}",
    "stm r1, {{r4-r11}}",
    "ldm r0, {{r1, r2, r3, r12}}",
    "stm sp, {{r1, r2, r3, r12}}",
    "ldr r1, [r0, #{stored_r12}]",
    "str r1, [sp, #{r12}]",
    "ldr r1, [r0, #{stored_lr}]",
    "str r1, [sp, #{r14}]",
    "ldr r1, [r0, #{stored_pc}]",
    "str r1, [sp, #{r15}]",
    // SP before: above the eight words, and the one that aligned them.
    "ldr r1, [r0, #{stored_xpsr}]",
    "add r2, r0, #{stored}",
    "tst r1, #0x200",
    "it ne",
    "addne r2, #4",
    "str r2, [sp, #{r13}]",
    "mov r4, sp",
    "mov r5, lr",
    "vpush {{s0-s15}}",
    "vmrs r6, fpscr",
    "mov r0, r4",
    "mov r7, #0",
    "bl {interrupted}",
    "cpsid i",
    "vmsr fpscr, r6",
    "vpop {{s0-s15}}",
    "mov lr, r5",
    "add r1, sp, #{r4}",
    "ldm r1, {{r4-r11}}",
    "add sp, #{registers}",
    "cpsie i",
    "bx lr",
    ".globl board_fault",
    ".type board_fault, %function",
    ".thumb_func",
    "board_fault:",
    "cpsid i",
    "tst lr, #4",
    "ite eq",
    "mrseq r2, msp",
    "mrsne r2, psp",
    "mrs r0, ipsr",
    "ldr r1, [r2, #{stored_pc}]",
    "ldr r2, =stackgate_boot_signal_top",
    "mov sp, r2",
    "ldr r2, =0xe000ed34", // MMFAR
    "ldr r2, [r2]",
    "b {fault}",
    ".ltorg",
    ".popsection",
    registers = const size_of::<Registers>(),
    r4 = const Registers::offset(4),
    r12 = const Registers::offset(12),
    r13 = const Registers::offset(13),
    r14 = const Registers::offset(14),
    r15 = const Registers::offset(15),
    stored = const size_of::<Stored>(),
    stored_r12 = const offset_of!(Stored, r12),
    stored_lr = const offset_of!(Stored, lr),
    stored_pc = const offset_of!(Stored, pc),
    stored_xpsr = const offset_of!(Stored, xpsr),
    interrupted = sym crate::signal::interrupted,
    fault = sym crate::runner::fault,
);

/// The machine's name.
pub const NAME: &str = "thumb mps2";

/// Eight words, and perhaps one to align them.
pub const INTERRUPT_TAKES: usize = <stackgate::arch::Native as stackgate::arch::Cpu>::INTERRUPT_RESERVE;

/// As many as the MPU has regions.
pub const PROTECTED_GUARDS: usize = 8;

/// There is no thread pointer: the current g is a plain word.
pub fn thread_pointer(slot: usize, _size: usize) -> (usize, usize) {
    (slot, slot)
}

/// There is none.
///
/// # Safety
/// None.
pub unsafe fn set_thread_pointer(_pointer: usize) {}

/// A device's register.
fn device(address: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(address)
}

const UART: usize = 0x4000_4000;
/// A timer whose interrupts come in handlers too.
const SECOND: usize = 0x4000_0000;
const SECOND_INTERRUPT: usize = 8;
const SYSTICK: usize = 0xe000_e010;

/// Writes to the first UART.
pub fn console(text: &[u8]) {
    for &byte in text {
        // SAFETY: registers that only print.
        unsafe {
            while device(UART + 4).read_volatile() & 1 != 0 {}
            device(UART).write_volatile(byte.into());
        }
    }
}

/// Ends the machine by semihosting's `SYS_EXIT_EXTENDED`.
pub fn exit(passed: bool) -> ! {
    let block = [0x20026usize, usize::from(!passed)];
    loop {
        // SAFETY: ends the machine.
        unsafe { asm!("bkpt #0xab", in("r0") 0x20, in("r1") &block) };
    }
}

/// Has the MPU let nobody write to guards, one a region. *Manual*, B3.5: a region's size is a power of two, and its
/// address a multiple of that.
fn protect_guards() {
    const MPU: usize = 0xe000_ed90;
    const ENABLED: u32 = 1;
    const READ_ONLY: u32 = 6 << 24;
    const NEVER_EXECUTED: u32 = 1 << 28;
    /// What no region covers is as it is without an MPU.
    const OTHERS_AS_BEFORE: u32 = 1 << 2;
    for (region, guard) in memory::guards().take(PROTECTED_GUARDS).enumerate() {
        let size = guard.len();
        assert!(size.is_power_of_two() && guard.start.is_multiple_of(size), "a guard that is no region");
        // SAFETY: nothing but a guard.
        unsafe {
            device(MPU + 8).write_volatile(region as u32);
            device(MPU + 12).write_volatile(guard.start as u32);
            device(MPU + 16).write_volatile(NEVER_EXECUTED | READ_ONLY | (size.ilog2() - 1) << 1 | ENABLED);
        }
    }
    // SAFETY: everything else stays as it is.
    unsafe {
        device(MPU + 4).write_volatile(OTHERS_AS_BEFORE | ENABLED);
        asm!("dsb", "isb");
    }
}

/// The UART, both timers and their priorities.
///
/// # Safety
/// Once.
pub unsafe fn init(_cpu: usize) {
    // SAFETY: devices that nobody else uses.
    unsafe {
        device(UART + 0x10).write_volatile(16);
        device(UART + 8).write_volatile(1);
        // SysTick below the other: a larger number.
        device(0xe000_ed20).write_volatile(0x80 << 24);
        device(0xe000_e400 + SECOND_INTERRUPT).write_volatile(0x40);
        device(0xe000_e100).write_volatile(1 << SECOND_INTERRUPT);
        // A case that has ended in a handler goes on in Thread mode.
        let ccr = device(0xe000_ed14);
        ccr.write_volatile(ccr.read_volatile() | 1);
    }
    protect_guards();
    timer_stop();
}

/// One interrupt after `ticks` clocks of 40 ns.
pub fn timer_arm(ticks: u32) {
    // SAFETY: the timer is nobody else's.
    unsafe {
        device(SYSTICK + 4).write_volatile(ticks);
        device(SYSTICK + 8).write_volatile(0);
        device(SYSTICK).write_volatile(7);
    }
}

/// The same for a handler that lets itself be interrupted: by the second timer.
pub fn timer_arm_in_handler(ticks: u32) {
    // SAFETY: as above.
    unsafe {
        device(SECOND).write_volatile(0);
        device(SECOND + 8).write_volatile(ticks);
        device(SECOND + 4).write_volatile(ticks);
        device(SECOND).write_volatile(9);
    }
}

/// No interrupt; also not one that is under way.
pub fn timer_stop() {
    // SAFETY: as above.
    unsafe {
        device(SYSTICK).write_volatile(0);
        device(0xe000_ed04).write_volatile(1 << 25);
        device(SECOND).write_volatile(0);
        device(SECOND + 0xc).write_volatile(1);
        device(0xe000_e280).write_volatile(1 << SECOND_INTERRUPT);
    }
}

/// The interrupt has been taken, and does not come again.
pub fn acknowledge() {
    timer_stop();
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let primask: usize;
    // SAFETY: changes the mask alone.
    unsafe { asm!("mrs {}, primask", "cpsid i", out(reg) primask) };
    primask == 0
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: as above.
    unsafe { asm!("cpsie i", "isb") };
}

/// Leaves everything for `f` on the empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    let (top, signal) = (memory::system_stack(0).end, memory::signal_stack(0).end);
    // SAFETY: by the caller. A handler returns to a frame that is made up of zeros, the function and the
    // Thumb state.
    unsafe {
        asm!("cpsid i");
        let exception: usize;
        asm!("mrs {}, ipsr", out(reg) exception);
        if exception == 0 {
            asm!("mov r0, {signal}", "msr msp, r0", "mov sp, {top}", "mov r7, #0", "mov lr, #0", "bx {f}",
                signal = in(reg) signal, top = in(reg) top, f = in(reg) f, options(noreturn));
        }
        let frame: *mut [usize; 8] = core::ptr::with_exposed_provenance_mut(top - 32);
        frame.write([0, 0, 0, 0, 0, 0, f as usize & !1, 1 << 24]);
        asm!("msr psp, {frame}", "mov sp, {signal}", "mov r7, #0", "ldr lr, =0xfffffffd", "bx lr",
            frame = in(reg) frame, signal = in(reg) signal, options(noreturn));
    }
}

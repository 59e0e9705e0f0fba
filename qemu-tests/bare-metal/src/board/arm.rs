//! arm: QEMU's `virt`, with a Cortex-A15.
//!
//! Documents: *Arm Architecture Reference Manual, ARMv7-A and ARMv7-R*, B1.3 (modes), B1.8 (exceptions), B3.5
//! (short descriptors), B8 (generic timer);
//!
//! Programs run in System mode. An interrupt stores its return state on the SP of Supervisor mode, and its handler
//! runs there: that is the signal stack, and a handler that is interrupted goes on below.

#[path = "one_cpu.rs"]
mod one_cpu;
#[path = "virt.rs"]
mod virt;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use stackgate::arch::unwind::Registers;

pub use one_cpu::{cpu, relax, start_cpu};
pub use virt::{acknowledge, console, timer_arm_in_handler};

/// What a handler keeps of what it interrupted.
#[repr(C)]
struct Interrupted {
    registers: Registers,
    /// The handler's own LR if what was interrupted is one.
    lr: u32,
    /// Where to return, and in which state, as `srs` stores them.
    pc: u32,
    cpsr: u32,
}

const fn r(number: usize) -> usize {
    offset_of!(Interrupted, registers) + Registers::offset(number)
}

// Entered in a privileged mode with the MMU off. Sections of 1 MiB map devices below 1 GiB, then memory.
global_asm!(
    ".pushsection .boot, \"ax\"",
    ".arm",
    ".fpu vfpv3-d16",
    ".globl _start",
    "_start:",
    "cpsid if, #0x1f", // System mode
    "ldr sp, =stackgate_boot_stack_top",
    "ldr r0, =board_sections",
    "mov r1, #0",
    "2: mov r2, r1, lsl #20",
    "cmp r1, #0x400",
    "ldrlo r3, =0x00c16", // device, never executed, full access
    "ldrhs r3, =0x11c0e", // memory: shareable, cached, full access
    "orr r2, r2, r3",
    "str r2, [r0, r1, lsl #2]",
    "add r1, r1, #1",
    "cmp r1, #0x1000",
    "blo 2b",
    "mov r1, #0",
    "mcr p15, 0, r0, c2, c0, 0", // TTBR0
    "mcr p15, 0, r1, c2, c0, 2", // TTBCR: it alone
    "mov r1, #1",
    "mcr p15, 0, r1, c3, c0, 0", // DACR: sections are checked
    "mcr p15, 0, r1, c8, c7, 0",
    "dsb",
    "isb",
    "mrc p15, 0, r1, c1, c0, 0",
    "bic r1, r1, #2", // unaligned access is allowed
    "orr r1, r1, #0x1000",
    "orr r1, r1, #5", // MMU and both caches
    "mcr p15, 0, r1, c1, c0, 0",
    "isb",
    "mrc p15, 0, r0, c1, c0, 2",
    "orr r0, r0, #0xf00000",
    "mcr p15, 0, r0, c1, c0, 2", // floating point
    "isb",
    "mov r0, #0x40000000",
    "vmsr fpexc, r0",
    "mov r11, #0",
    "mov lr, #0",
    "b {begin}",
    ".ltorg",
    ".popsection",
    ".pushsection .noinit, \"aw\", %nobits",
    ".balign 16384",
    "board_sections: .zero 16384",
    ".popsection",
    begin = sym crate::start::begin,
);

// The vectors, and the interrupt's handler. From the lower end: r0 to r15 of what was interrupted; the handler's
// own LR if that was one; where to return and in which state, as `srs` stores them.
global_asm!(
    ".pushsection .text.board_vectors, \"ax\"",
    ".arm",
    ".fpu vfpv3-d16",
    ".balign 32",
    ".globl board_vectors",
    "board_vectors:",
    "nop", // reset
    "b 3f", // undefined instruction
    "b 3f", // supervisor call
    "b 4f", // no instruction there
    "b 5f", // no data there
    "nop",
    "b 2f", // interrupt
    "nop",
    "3: mov r0, #1",
    "b 6f",
    "4: mov r0, #3",
    "b 6f",
    "5: mov r0, #4",
    "6: mov r1, lr",
    "mrc p15, 0, r2, c6, c0, 0",
    "cpsid if, #0x1f",
    "ldr sp, =stackgate_boot_stack_top",
    "b {fault}",
    ".ltorg",
    "2: sub lr, lr, #4",
    "srsdb sp!, #0x13",
    "cps #0x13",
    "push {{lr}}",
    "sub sp, sp, #{registers}",
    "stm sp, {{r0-r12}}",
    "ldr r1, [sp, #{pc}]",
    "str r1, [sp, #{r15}]",
    "ldr r2, [sp, #{cpsr}]",
    "and r3, r2, #0x1f",
    "cmp r3, #0x13",
    "add r3, sp, #{r13}",
    "stmne r3, {{sp, lr}}^", // SP and LR of System mode
    "addeq r1, sp, #{frame}",
    "streq r1, [r3]",
    "ldreq r1, [sp, #{lr}]",
    "streq r1, [r3, #{r14} - {r13}]",
    "mov r4, sp",
    "bic sp, sp, #7",
    "vpush {{d0-d7}}",
    "vmrs r5, fpscr",
    "mov r0, r4",
    "mov r11, #0",
    "bl {interrupted}",
    "cpsid i",
    "vmsr fpscr, r5",
    "vpop {{d0-d7}}",
    "mov sp, r4",
    "ldm sp, {{r0-r12}}",
    "add sp, sp, #{registers}",
    "pop {{lr}}",
    "clrex",
    "rfeia sp!",
    ".popsection",
    registers = const size_of::<Registers>(),
    frame = const size_of::<Interrupted>(),
    r13 = const r(13),
    r14 = const r(14),
    r15 = const r(15),
    lr = const offset_of!(Interrupted, lr),
    pc = const offset_of!(Interrupted, pc),
    cpsr = const offset_of!(Interrupted, cpsr),
    fault = sym crate::runner::fault,
    interrupted = sym crate::signal::interrupted,
);

unsafe extern "C" {
    static board_vectors: [u8; 0];
}

/// The machine's name.
pub const NAME: &str = "arm virt";

/// An interrupt changes to another mode's SP.
pub const INTERRUPT_TAKES: usize = 0;

/// Memory is the same for everybody.
pub const PROTECTED_GUARDS: usize = 0;

/// The variables begin 8 bytes above the thread pointer, aligned. *ELF for the Arm Architecture*, variant I.
pub fn thread_pointer(slot: usize, _size: usize) -> (usize, usize) {
    (slot + 16, slot)
}

/// Names this CPU's slot.
///
/// # Safety
/// The slot is this CPU's.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // SAFETY: the register is for this.
    unsafe { asm!("mcr p15, 0, {}, c13, c0, 3", in(reg) pointer, options(nostack, preserves_flags)) };
}

/// Ends the machine by semihosting's `SYS_EXIT_EXTENDED`.
pub fn exit(passed: bool) -> ! {
    let block = virt::exit_block(passed);
    loop {
        // SAFETY: ends the machine.
        unsafe { asm!("svc #0x123456", in("r0") 0x20, in("r1") &block) };
    }
}

/// Vectors, the signal stack, the interrupt controller, the timer.
///
/// # Safety
/// Once.
pub unsafe fn init(cpu: usize) {
    let signal = memory::signal_stack(cpu).end;
    // SAFETY: registers of this CPU's own.
    unsafe {
        asm!("cps #0x13", "mov sp, {}", "cps #0x1f", in(reg) signal);
        asm!("mcr p15, 0, {}, c12, c0, 0", "isb", in(reg) &raw const board_vectors);
    }
    virt::init_interrupts();
}

/// One interrupt after `ticks` ticks of the generic timer, 16 ns each.
pub fn timer_arm(ticks: u32) {
    // SAFETY: the timer is nobody else's.
    unsafe {
        asm!("mcr p15, 0, {}, c14, c3, 0", "mcr p15, 0, {}, c14, c3, 1", "isb", in(reg) ticks, in(reg) 1);
    }
}

/// No interrupt; also not one that is under way.
pub fn timer_stop() {
    // SAFETY: as above.
    unsafe { asm!("mcr p15, 0, {}, c14, c3, 1", "isb", in(reg) 0) };
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let cpsr: usize;
    // SAFETY: changes the mask alone.
    unsafe { asm!("mrs {}, cpsr", "cpsid i", out(reg) cpsr) };
    cpsr & 1 << 7 == 0
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: as above.
    unsafe { asm!("cpsie i") };
}

/// Leaves everything for `f` on the empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    let (top, signal) = (memory::system_stack(0).end, memory::signal_stack(0).end);
    // SAFETY: by the caller.
    unsafe {
        asm!("cpsid i, #0x13", "mov sp, {signal}", "cps #0x1f", "mov sp, {top}", "mov r11, #0", "mov lr, #0",
            "bx {f}", signal = in(reg) signal, top = in(reg) top, f = in(reg) f, options(noreturn));
    }
}

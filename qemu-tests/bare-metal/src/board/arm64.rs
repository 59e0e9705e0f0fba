//! arm64: QEMU's `virt`.
//!
//! Documents: *Arm Architecture Reference Manual for A-profile*, D1.3 (stack pointer selection), D1.4 (vectors),
//! D8 (translation), D12 (generic timer);
//!
//! Programs run with SP_EL0 as SP. An exception changes to SP_EL1, so that one is the signal stack, and a handler
//! that is interrupted simply goes on below.

#[path = "virt.rs"]
mod virt;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use stackgate::arch::arm64::unwind::{RA as PC, SP};
use stackgate::arch::unwind::Registers;

pub use virt::{acknowledge, console, timer_arm_in_handler};

/// What a handler keeps of what it interrupted.
#[repr(C)]
struct Interrupted {
    registers: Registers,
    spsr: u64,
    fpcr: u64,
    fpsr: u64,
    q: [u128; 32],
}

/// The registers lie one behind the other, so that pairs of them are stored.
const fn x(number: usize) -> usize {
    offset_of!(Interrupted, registers) + Registers::offset(number)
}

/// From the first vector register, to which x21 points.
const fn q(number: usize) -> usize {
    number * size_of::<u128>()
}

const _: () = assert!(x(SP) == x(30) + 8 && offset_of!(Interrupted, spsr) == x(PC) + 8, "pairs are stored");

// Entered at EL1, on the first CPU, with the MMU off. One table of 1-GiB blocks maps devices, then memory.
global_asm!(
    ".pushsection .boot, \"ax\"",
    ".globl _start",
    "_start:",
    "ldr x0, =stackgate_boot_stack_top",
    "mov x19, #0",
    "b board_enter",
    // Where other CPUs arrive, with their system stack in x0.
    ".globl board_second",
    "board_second:",
    "mrs x19, mpidr_el1",
    "and x19, x19, #0xff",
    "board_enter:",
    "msr spsel, #0",
    "mov sp, x0",
    "mov x0, #(3 << 20)",
    "msr cpacr_el1, x0", // floating point
    "ldr x1, =board_level1",
    "cbnz x19, 2f",
    "mov x0, #0x401", // devices: a block, accessed
    "str x0, [x1]",
    "ldr x0, =0x40000705", // memory: the same, shareable, attribute 1
    "str x0, [x1, #8]",
    "2:",
    "ldr x0, =0xff00", // attribute 0: device; 1: normal, cached
    "msr mair_el1, x0",
    "ldr x0, =0x280803519", // 39 bits, 4-KiB granule, cached and shareable walks, 40-bit addresses
    "msr tcr_el1, x0",
    "msr ttbr0_el1, x1",
    "dsb sy",
    "tlbi vmalle1",
    "dsb sy",
    "isb",
    "mrs x0, sctlr_el1",
    "mov x1, #0x1005", // MMU and both caches
    "orr x0, x0, x1",
    "msr sctlr_el1, x0",
    "isb",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, x19",
    "cbnz x19, 3f",
    "b {begin}",
    "3: b {join}",
    ".ltorg",
    ".popsection",
    ".pushsection .noinit, \"aw\", %nobits",
    ".balign 4096",
    "board_level1: .zero 4096",
    ".popsection",
    begin = sym crate::start::begin,
    join = sym crate::start::join,
);

// The vectors: the current level with SP_EL0, then with SP_EL1; the other two groups never come.
global_asm!(
    ".pushsection .text.board_vectors, \"ax\"",
    ".balign 2048",
    ".globl board_vectors",
    "board_vectors:",
    ".set vector, 0",
    ".rept 16",
    ".balign 128",
    ".if vector == 1 || vector == 5",
    "sub sp, sp, #{frame}",
    "b board_interrupt",
    ".else",
    "mov x0, #vector",
    "b board_fault",
    ".endif",
    ".set vector, vector + 1",
    ".endr",
    "board_fault:",
    "msr spsel, #0",
    "mrs x1, elr_el1",
    "mrs x2, esr_el1",
    "b {fault}",
    "board_interrupt:",
    "stp x0, x1, [sp, #{x0}]",
    "stp x2, x3, [sp, #{x2}]",
    "stp x4, x5, [sp, #{x4}]",
    "stp x6, x7, [sp, #{x6}]",
    "stp x8, x9, [sp, #{x8}]",
    "stp x10, x11, [sp, #{x10}]",
    "stp x12, x13, [sp, #{x12}]",
    "stp x14, x15, [sp, #{x14}]",
    "stp x16, x17, [sp, #{x16}]",
    "stp x18, x19, [sp, #{x18}]",
    "stp x20, x21, [sp, #{x20}]",
    "stp x22, x23, [sp, #{x22}]",
    "stp x24, x25, [sp, #{x24}]",
    "stp x26, x27, [sp, #{x26}]",
    "stp x28, x29, [sp, #{x28}]",
    // SP of what was interrupted: SP_EL0, or this one if that was a handler.
    "mrs x20, spsr_el1",
    "mrs x0, sp_el0",
    "add x1, sp, #{frame}",
    "tst x20, #1",
    "csel x0, x1, x0, ne",
    "stp x30, x0, [sp, #{x30}]",
    "mrs x0, elr_el1",
    "stp x0, x20, [sp, #{pc}]",
    "add x21, sp, #{q}",
    "stp q0, q1, [x21]",
    "stp q2, q3, [x21, #{q2}]",
    "stp q4, q5, [x21, #{q4}]",
    "stp q6, q7, [x21, #{q6}]",
    "stp q8, q9, [x21, #{q8}]",
    "stp q10, q11, [x21, #{q10}]",
    "stp q12, q13, [x21, #{q12}]",
    "stp q14, q15, [x21, #{q14}]",
    "stp q16, q17, [x21, #{q16}]",
    "stp q18, q19, [x21, #{q18}]",
    "stp q20, q21, [x21, #{q20}]",
    "stp q22, q23, [x21, #{q22}]",
    "stp q24, q25, [x21, #{q24}]",
    "stp q26, q27, [x21, #{q26}]",
    "stp q28, q29, [x21, #{q28}]",
    "stp q30, q31, [x21, #{q30}]",
    "mrs x0, fpcr",
    "mrs x1, fpsr",
    "stp x0, x1, [sp, #{fpcr}]",
    "mov x0, sp",
    "mov x29, #0",
    "bl {interrupted}",
    "msr daifset, #2",
    "ldp x0, x1, [sp, #{fpcr}]",
    "msr fpcr, x0",
    "msr fpsr, x1",
    "ldp q0, q1, [x21]",
    "ldp q2, q3, [x21, #{q2}]",
    "ldp q4, q5, [x21, #{q4}]",
    "ldp q6, q7, [x21, #{q6}]",
    "ldp q8, q9, [x21, #{q8}]",
    "ldp q10, q11, [x21, #{q10}]",
    "ldp q12, q13, [x21, #{q12}]",
    "ldp q14, q15, [x21, #{q14}]",
    "ldp q16, q17, [x21, #{q16}]",
    "ldp q18, q19, [x21, #{q18}]",
    "ldp q20, q21, [x21, #{q20}]",
    "ldp q22, q23, [x21, #{q22}]",
    "ldp q24, q25, [x21, #{q24}]",
    "ldp q26, q27, [x21, #{q26}]",
    "ldp q28, q29, [x21, #{q28}]",
    "ldp q30, q31, [x21, #{q30}]",
    "ldp x0, x1, [sp, #{pc}]",
    "msr elr_el1, x0",
    "msr spsr_el1, x1",
    "ldr x30, [sp, #{x30}]",
    "ldp x28, x29, [sp, #{x28}]",
    "ldp x26, x27, [sp, #{x26}]",
    "ldp x24, x25, [sp, #{x24}]",
    "ldp x22, x23, [sp, #{x22}]",
    "ldp x20, x21, [sp, #{x20}]",
    "ldp x18, x19, [sp, #{x18}]",
    "ldp x16, x17, [sp, #{x16}]",
    "ldp x14, x15, [sp, #{x14}]",
    "ldp x12, x13, [sp, #{x12}]",
    "ldp x10, x11, [sp, #{x10}]",
    "ldp x8, x9, [sp, #{x8}]",
    "ldp x6, x7, [sp, #{x6}]",
    "ldp x4, x5, [sp, #{x4}]",
    "ldp x2, x3, [sp, #{x2}]",
    "ldp x0, x1, [sp, #{x0}]",
    "add sp, sp, #{frame}",
    "eret",
    ".popsection",
    frame = const size_of::<Interrupted>(),
    x0 = const x(0),
    x2 = const x(2),
    x4 = const x(4),
    x6 = const x(6),
    x8 = const x(8),
    x10 = const x(10),
    x12 = const x(12),
    x14 = const x(14),
    x16 = const x(16),
    x18 = const x(18),
    x20 = const x(20),
    x22 = const x(22),
    x24 = const x(24),
    x26 = const x(26),
    x28 = const x(28),
    x30 = const x(30),
    pc = const x(PC),
    fpcr = const offset_of!(Interrupted, fpcr),
    q = const offset_of!(Interrupted, q),
    q2 = const q(2),
    q4 = const q(4),
    q6 = const q(6),
    q8 = const q(8),
    q10 = const q(10),
    q12 = const q(12),
    q14 = const q(14),
    q16 = const q(16),
    q18 = const q(18),
    q20 = const q(20),
    q22 = const q(22),
    q24 = const q(24),
    q26 = const q(26),
    q28 = const q(28),
    q30 = const q(30),
    fault = sym crate::runner::fault,
    interrupted = sym crate::signal::interrupted,
);

unsafe extern "C" {
    static board_vectors: [u8; 0];
    static board_second: [u8; 0];
}

/// The machine's name.
pub const NAME: &str = "arm64 virt";

/// An interrupt changes to SP_EL1.
pub const INTERRUPT_TAKES: usize = 0;

/// Memory is the same for everybody.
pub const PROTECTED_GUARDS: usize = 0;

/// The variables begin 16 bytes above the thread pointer. *ELF for the Arm 64-bit Architecture*, variant I.
pub fn thread_pointer(slot: usize, _size: usize) -> (usize, usize) {
    (slot + 16, slot)
}

/// Names this CPU's slot.
///
/// # Safety
/// The slot is this CPU's.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // SAFETY: the register is for this.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) pointer, options(nostack, preserves_flags)) };
}

/// Ends the machine by semihosting's `SYS_EXIT`, with reason `ADP_Stopped_ApplicationExit` and a status.
pub fn exit(passed: bool) -> ! {
    let block = virt::exit_block(passed);
    loop {
        // SAFETY: ends the machine.
        unsafe { asm!("hlt #0xf000", in("x0") 0x18, in("x1") &block) };
    }
}

/// Vectors, the signal stack, the interrupt controller, the timer of this CPU.
///
/// # Safety
/// Once for each CPU, on it.
pub unsafe fn init(cpu: usize) {
    let signal = memory::signal_stack(cpu).end;
    // SAFETY: registers of this CPU's own.
    unsafe {
        asm!("msr daifset, #15", "msr spsel, #1", "mov sp, {}", "msr spsel, #0", in(reg) signal);
        asm!("msr vbar_el1, {}", "isb", in(reg) &raw const board_vectors);
    }
    virt::init_interrupts();
}

/// One interrupt after `ticks` ticks of the generic timer, 16 ns each.
pub fn timer_arm(ticks: u32) {
    // SAFETY: the timer is nobody else's.
    unsafe { asm!("msr cntv_tval_el0, {:x}", "msr cntv_ctl_el0, {:x}", "isb", in(reg) ticks, in(reg) 1) };
}

/// No interrupt; also not one that is under way.
pub fn timer_stop() {
    // SAFETY: as above.
    unsafe { asm!("msr cntv_ctl_el0, xzr", "isb") };
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let daif: usize;
    // SAFETY: changes the mask alone.
    unsafe { asm!("mrs {}, daif", "msr daifset, #2", out(reg) daif) };
    daif & 1 << 7 == 0
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: as above.
    unsafe { asm!("msr daifclr, #2") };
}

/// Leaves everything for `f` on this CPU's empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack of this CPU is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    let (top, signal) = (memory::system_stack(cpu()).end, memory::signal_stack(cpu()).end);
    // SAFETY: by the caller.
    unsafe {
        asm!("msr daifset, #2", "msr spsel, #1", "mov sp, {signal}", "msr spsel, #0", "mov sp, {top}",
            "msr fpcr, xzr", "mov x29, #0", "mov x30, #0", "br {f}",
            signal = in(reg) signal, top = in(reg) top, f = in(reg) f, options(noreturn));
    }
}

/// CPUs are numbered by their affinity.
pub fn cpu() -> usize {
    let affinity: usize;
    // SAFETY: reads a constant.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) affinity, options(nomem, nostack, preserves_flags)) };
    affinity & 0xff
}

/// Starts another CPU by the firmware's interface. *Arm Power State Coordination Interface* 1.1, 5.1.4.
///
/// # Safety
/// Once for each CPU.
pub unsafe fn start_cpu(cpu: usize) -> bool {
    const CPU_ON: usize = 0xc400_0003;
    let stack = memory::system_stack(cpu).end;
    let result: usize;
    // SAFETY: by the caller; the stack is that CPU's.
    unsafe {
        asm!("hvc #0", inout("x0") CPU_ON => result, inout("x1") cpu => _,
            inout("x2") (&raw const board_second).addr() => _, inout("x3") stack => _);
    }
    result == 0
}

/// Lets another CPU go first, for who waits for it.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

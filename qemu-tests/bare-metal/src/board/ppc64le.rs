//! ppc64le: QEMU's `pseries`, in place of its firmware.
//!
//! Documents: *Power ISA* 3.0, book III: 4.2.1 (MSR), 6.4 (interrupts), 6.5.11 (decrementer); *Linux on Power
//! Architecture Reference*: hypervisor calls; QEMU `hw/ppc/spapr_hcall.c`, `spapr_rtas.c`.
//!
//! Interrupts exchange two registers for PC and MSR and store nothing. The handler goes to the signal stack first,
//! below what a handler that it interrupts has there: 288 bytes below SP are in use (ELFv2 ABI 2.2.2.4).

#[path = "one_cpu.rs"]
mod one_cpu;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use stackgate::arch::ppc64le::frame as registers;
use stackgate::arch::unwind::Registers;

pub use one_cpu::{cpu, relax, start_cpu};

/// How much of the signal stack one handler may use.
const PER_HANDLER: usize = 64 << 10;
/// Back chain, CR, LR and TOC save, eight arguments. ELFv2 ABI 2.2.3.
const ABI_FRAME: usize = 96;

/// A handler's frame.
#[repr(C, align(16))]
struct Frame {
    abi: [u8; ABI_FRAME],
    registers: Registers,
    kept: Kept,
}

/// What else it keeps.
#[repr(C, align(16))]
struct Kept {
    cr: u64,
    xer: u64,
    msr: u64,
    fpscr: u64,
    vscr: u128,
    /// vs0 to vs31, v0 to v19.
    vectors: [u128; VECTORS],
}
const VECTORS: usize = 32 + 20;

/// Where a register lies in the frame.
const fn r(dwarf: u16) -> usize {
    offset_of!(Frame, registers) + Registers::offset(dwarf as usize)
}

// The machine begins at 0x100 in big-endian mode; the other interrupts' entries follow. Nothing but these two
// kinds of code may lie below 0x1000.
global_asm!(
    ".pushsection .boot, \"ax\"",
    // An instruction for a CPU in big-endian mode.
    ".macro big opcode",
    ".long (((\\opcode) & 0xff) << 24) | (((\\opcode) & 0xff00) << 8) | (((\\opcode) >> 8) & 0xff00) | (((\\opcode) >> 24) & 0xff)",
    ".endm",
    ".org 0x100",
    ".globl _start",
    "_start:",
    "big 0x7d6000a6", // mfmsr r11
    "big 0x616b0001", // ori r11, r11, 1: little-endian
    "big 0x7d7b03a6", // mtsrr1 r11
    "big 0x39400140", // li r10, 0x140
    "big 0x7d5a03a6", // mtsrr0 r10
    "big 0x4c000024", // rfid
    ".org 0x140",
    "b board_enter",
    ".set vector, 0x200",
    ".rept 14",
    ".org vector",
    ".if vector == 0x900",
    "mtsprg 0, %r1",
    "mtsprg 1, %r3",
    "b board_interrupt",
    ".else",
    "li %r3, vector",
    "b board_fault",
    ".endif",
    ".set vector, vector + 0x100",
    ".endr",
    ".org 0x1000",
    "board_enter:",
    "mfmsr %r11",
    "ori %r11, %r11, 0x2002", // floating point, recoverable
    "oris %r11, %r11, 0x0280", // vectors
    "mtmsrd %r11",
    "lis %r1, stackgate_boot_stack_top@ha",
    "addi %r1, %r1, stackgate_boot_stack_top@l",
    "addi %r1, %r1, -{abi_frame}",
    "li %r0, 0",
    "std %r0, 0(%r1)",
    "lis %r2, .TOC.@ha",
    "addi %r2, %r2, .TOC.@l",
    "bl {begin}",
    "nop",
    "trap",
    // Where a system stack begins: unwinders find no caller here.
    ".globl board_root",
    "board_root:",
    ".cfi_startproc",
    ".cfi_undefined lr",
    "bctrl",
    "trap",
    ".cfi_endproc",
    "board_fault:",
    "mfmsr %r11",
    "ori %r11, %r11, 0x2002",
    "oris %r11, %r11, 0x0280",
    "mtmsrd %r11",
    "mfsrr0 %r4",
    "mfdar %r5",
    "lis %r1, stackgate_boot_stack_top@ha",
    "addi %r1, %r1, stackgate_boot_stack_top@l",
    "addi %r1, %r1, -{abi_frame}",
    "li %r0, 0",
    "std %r0, 0(%r1)",
    "lis %r2, .TOC.@ha",
    "addi %r2, %r2, .TOC.@l",
    "bl {fault}",
    "nop",
    "trap",
    "board_interrupt:",
    "lis %r3, board_signal_sp@ha",
    "ld %r1, board_signal_sp@l(%r3)",
    "addis %r1, %r1, -{per_handler_high}",
    "std %r1, board_signal_sp@l(%r3)",
    "addis %r1, %r1, {per_handler_high}",
    "addi %r1, %r1, -{frame}",
    "std %r0, {r0}(%r1)",
    "mfsprg %r0, 0",
    "std %r0, {r1}(%r1)",
    "std %r2, {r2}(%r1)",
    "mfsprg %r0, 1",
    "std %r0, {r3}(%r1)",
    ".set register, 4",
    ".rept 28",
    "std register, {r0} + {word} * register(%r1)",
    ".set register, register + 1",
    ".endr",
    "mflr %r0",
    "std %r0, {lr}(%r1)",
    "mfctr %r0",
    "std %r0, {ctr}(%r1)",
    "mfsrr0 %r0",
    "std %r0, {pc}(%r1)",
    "mfcr %r0",
    "std %r0, {cr}(%r1)",
    "mfxer %r0",
    "std %r0, {xer}(%r1)",
    "mfsrr1 %r0",
    "std %r0, {msr}(%r1)",
    // Interrupts switch the floating point and vector units off.
    "mfmsr %r11",
    "ori %r11, %r11, 0x2002",
    "oris %r11, %r11, 0x0280",
    "mtmsrd %r11",
    "li %r4, {vectors}",
    ".set register, 0",
    ".rept {n}",
    "stxvd2x register, %r1, %r4",
    "addi %r4, %r4, {vector}",
    ".set register, register + 1",
    ".endr",
    "mfvscr 0",
    "li %r4, {vscr}",
    "stvx 0, %r1, %r4",
    "mffs 0",
    "stfd 0, {fpscr}(%r1)",
    "li %r0, 0",
    "std %r0, 0(%r1)",
    "addi %r3, %r1, {r0}",
    "lis %r2, .TOC.@ha",
    "addi %r2, %r2, .TOC.@l",
    "bl {interrupted}",
    "nop",
    "li %r0, 2",
    "mtmsrd %r0, 1",
    "lfd 0, {fpscr}(%r1)",
    "mtfsf 0xff, 0",
    "li %r4, {vscr}",
    "lvx 0, %r1, %r4",
    "mtvscr 0",
    "li %r4, {vectors}",
    ".set register, 0",
    ".rept {n}",
    "lxvd2x register, %r1, %r4",
    "addi %r4, %r4, {vector}",
    ".set register, register + 1",
    ".endr",
    "lis %r3, board_signal_sp@ha",
    "ld %r4, board_signal_sp@l(%r3)",
    "addis %r4, %r4, {per_handler_high}",
    "std %r4, board_signal_sp@l(%r3)",
    "ld %r0, {msr}(%r1)",
    "mtsrr1 %r0",
    "ld %r0, {xer}(%r1)",
    "mtxer %r0",
    "ld %r0, {cr}(%r1)",
    "mtcr %r0",
    "ld %r0, {pc}(%r1)",
    "mtsrr0 %r0",
    "ld %r0, {ctr}(%r1)",
    "mtctr %r0",
    "ld %r0, {lr}(%r1)",
    "mtlr %r0",
    "ld %r0, {r0}(%r1)",
    ".set register, 2",
    ".rept 30",
    "ld register, {r0} + {word} * register(%r1)",
    ".set register, register + 1",
    ".endr",
    "ld %r1, {r1}(%r1)",
    "rfid",
    ".popsection",
    ".pushsection .bss.board_signal_sp, \"aw\", @nobits",
    ".balign 8",
    ".globl board_signal_sp",
    "board_signal_sp: .quad 0",
    ".popsection",
    abi_frame = const ABI_FRAME,
    frame = const size_of::<Frame>(),
    per_handler_high = const PER_HANDLER >> 16,
    cr = const offset_of!(Frame, kept.cr),
    xer = const offset_of!(Frame, kept.xer),
    msr = const offset_of!(Frame, kept.msr),
    fpscr = const offset_of!(Frame, kept.fpscr),
    vscr = const offset_of!(Frame, kept.vscr),
    vectors = const offset_of!(Frame, kept.vectors),
    vector = const size_of::<u128>(),
    n = const VECTORS,
    word = const size_of::<u64>(),
    r0 = const r(0),
    r1 = const r(1),
    r2 = const r(2),
    r3 = const r(3),
    lr = const r(registers::LR.dwarf),
    ctr = const r(registers::CTR.dwarf),
    pc = const r(registers::PC.dwarf),
    begin = sym crate::start::begin,
    fault = sym crate::runner::fault,
    interrupted = sym crate::signal::interrupted,
);

unsafe extern "C" {
    /// Where the next handler's frame ends.
    static mut board_signal_sp: usize;
}

/// The machine's name.
pub const NAME: &str = "ppc64le pseries";

/// Nothing is stored before SP is on the signal stack.
pub const INTERRUPT_TAKES: usize = 0;

/// Memory is the same for everybody.
pub const PROTECTED_GUARDS: usize = 0;

/// The variables begin 0x7000 bytes below the thread pointer. ELFv2 ABI 3.7.2.
pub fn thread_pointer(slot: usize, _size: usize) -> (usize, usize) {
    (slot, slot + 0x7000)
}

/// Names this CPU's slot.
///
/// # Safety
/// The slot is this CPU's.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // SAFETY: the register is for this.
    unsafe { asm!("mr %r13, {}", in(reg) pointer, options(nostack, preserves_flags)) };
}

/// Calls the hypervisor.
fn hypervisor(call: u64, arguments: [u64; 4]) -> u64 {
    let [a, b, c, d] = arguments;
    let result;
    // SAFETY: callers know the call.
    unsafe {
        asm!("sc 1", inout("r3") call => result, inout("r4") a => _, inout("r5") b => _, inout("r6") c => _,
            inout("r7") d => _, out("r0") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("ctr") _, out("xer") _, out("cr0") _, out("cr1") _, out("cr5") _, out("cr6") _, out("cr7") _);
    }
    result
}

/// Writes to the first virtual terminal.
pub fn console(text: &[u8]) {
    const PUT_TERM_CHAR: u64 = 0x58;
    const TERMINAL: u64 = 0x7100_0000;
    const BUSY: u64 = 1;
    for part in text.chunks(16) {
        let mut bytes = [0u8; 16];
        bytes[..part.len()].copy_from_slice(part);
        let bytes = u128::from_be_bytes(bytes);
        let arguments = [TERMINAL, part.len() as u64, (bytes >> 64) as u64, bytes as u64];
        while hypervisor(PUT_TERM_CHAR, arguments) == BUSY {}
    }
}

/// Ends the machine by a service of its firmware's interface: power off, or the end of an operating system.
pub fn exit(passed: bool) -> ! {
    #[repr(C, align(64))]
    struct Call([u32; 8]);
    const RTAS: u64 = 0xf000;
    let [power_off, os_term] = [[0x2003u32, 2, 1, 0, 0, 0, 0, 0], [0x201f, 1, 1, 0, 0, 0, 0, 0]];
    let call = Call(if passed { power_off } else { os_term }.map(u32::to_be));
    loop {
        hypervisor(RTAS, [(&raw const call).expose_provenance() as u64, 0, 0, 0]);
    }
}

/// Little-endian interrupts, the signal stack, the timer.
///
/// # Safety
/// Once.
pub unsafe fn init(cpu: usize) {
    const SET_MODE: u64 = 0x31c;
    const LITTLE: u64 = 1;
    const ENDIANNESS: u64 = 4;
    hypervisor(SET_MODE, [LITTLE, ENDIANNESS, 0, 0]);
    // SAFETY: one CPU.
    unsafe { board_signal_sp = memory::signal_stack(cpu).end };
    timer_stop();
}

/// One interrupt after `ticks` ticks of the time base, of which 512 are a microsecond.
pub fn timer_arm(ticks: u32) {
    // SAFETY: the decrementer is nobody else's.
    unsafe { asm!("mtdec {}", in(reg) ticks, options(nostack, preserves_flags)) };
}

/// The same for a handler that lets itself be interrupted.
pub fn timer_arm_in_handler(ticks: u32) {
    timer_arm(ticks);
}

/// No interrupt for the next seconds; also not one that is under way.
pub fn timer_stop() {
    timer_arm(0x7fff_ffff);
}

/// The interrupt has been taken, and does not come again.
pub fn acknowledge() {
    timer_stop();
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let msr: usize;
    // SAFETY: changes the mask alone.
    unsafe { asm!("mfmsr {0}", "mtmsrd {1}, 1", out(reg) msr, in(reg) 2) };
    msr & 0x8000 != 0
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: as above.
    unsafe { asm!("mtmsrd {}, 1", in(reg) 0x8002) };
}

/// Leaves everything for `f` on the empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    mask();
    // SAFETY: by the caller.
    unsafe {
        board_signal_sp = memory::signal_stack(0).end;
        asm!("mr %r1, {top}", "li %r0, 0", "std %r0, 0(%r1)", "mtfsf 0xff, {zero}", "mr %r12, {f}", "mtctr %r12",
            "b board_root", top = in(reg_nonzero) memory::system_stack(0).end - ABI_FRAME,
            zero = in(freg) 0.0f64, f = in(reg) f, options(noreturn));
    }
}

//! s390x: QEMU's `s390-ccw-virtio`.
//!
//! Documents: *z/Architecture Principles of Operation*: chapter 3 (assigned storage locations), 4 (PSW, timing), 6
//! (interruptions); QEMU `hw/s390x/sclp.c` and `hw/char/sclpconsole.c`.
//!
//! This CPU stores no register anywhere: an interruption exchanges PSWs. The handler keeps the registers in the
//! CPU's own page until it has gone to the signal stack, and copies them there, so that it may be interrupted.

#[path = "one_cpu.rs"]
mod one_cpu;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use stackgate::arch::s390x::frame as registers;
use stackgate::arch::unwind::Registers;

pub use one_cpu::{cpu, relax, start_cpu};

/// How much of the signal stack one handler may use.
const PER_HANDLER: usize = 64 << 10;
/// What a function expects its caller to have at SP. *s390x ELF ABI supplement* 1.6.1, 1.2.2.2.
const ABI_FRAME: usize = 160;

/// A handler's frame.
#[repr(C)]
struct Frame {
    abi: [u8; ABI_FRAME],
    registers: Registers,
    psw: [u64; 2],
    fpc: u32,
    _reserved: [u32; 3],
}

/// Where a register lies in the frame.
const fn r(dwarf: u16) -> usize {
    offset_of!(Frame, registers) + Registers::offset(dwarf as usize)
}

global_asm!(
    ".pushsection .boot, \"ax\"",
    ".globl _start",
    "_start:",
    "larl %r15, stackgate_boot_stack_top",
    "aghi %r15, -{abi_frame}",
    "xc 0(8,%r15), 0(%r15)",
    // Control register 0: floating point and vector registers, and the clock comparator's interrupt alone.
    "llilf %r1, 0x60800",
    "stg %r1, 8(%r15)",
    "lctlg %c0, %c0, 8(%r15)",
    "brasl %r14, {begin}",
    "j .",
    ".popsection",
    abi_frame = const ABI_FRAME,
    begin = sym crate::start::begin,
);

// 0x130 holds the interrupted PSW; 0x200 to 0x280 are free for programs.
global_asm!(
    ".pushsection .text.board_timer, \"ax\"",
    ".balign 8",
    ".globl board_timer",
    "board_timer:",
    "stmg %r0, %r15, 0x200",
    "larl %r1, board_signal_sp",
    "lg %r15, 0(%r1)",
    "lay %r2, -{per_handler}(%r15)",
    "stg %r2, 0(%r1)",
    "aghi %r15, -{frame}",
    "mvc {regs}({general},%r15), 0x200",
    "std %f0, {f0}(%r15)",
    "std %f1, {f1}(%r15)",
    "std %f2, {f2}(%r15)",
    "std %f3, {f3}(%r15)",
    "std %f4, {f4}(%r15)",
    "std %f5, {f5}(%r15)",
    "std %f6, {f6}(%r15)",
    "std %f7, {f7}(%r15)",
    "std %f8, {f8}(%r15)",
    "std %f9, {f9}(%r15)",
    "std %f10, {f10}(%r15)",
    "std %f11, {f11}(%r15)",
    "std %f12, {f12}(%r15)",
    "std %f13, {f13}(%r15)",
    "std %f14, {f14}(%r15)",
    "std %f15, {f15}(%r15)",
    "mvc {pc}(8,%r15), 0x138",
    "mvc {psw}(16,%r15), 0x130",
    "stfpc {fpc}(%r15)",
    "xc 0(8,%r15), 0(%r15)",
    "la %r2, {regs}(%r15)",
    "brasl %r14, {interrupted}",
    "stnsm 8(%r15), 0xfc",
    "lfpc {fpc}(%r15)",
    "ld %f0, {f0}(%r15)",
    "ld %f1, {f1}(%r15)",
    "ld %f2, {f2}(%r15)",
    "ld %f3, {f3}(%r15)",
    "ld %f4, {f4}(%r15)",
    "ld %f5, {f5}(%r15)",
    "ld %f6, {f6}(%r15)",
    "ld %f7, {f7}(%r15)",
    "mvc 0x280(16), {psw}(%r15)",
    "larl %r1, board_signal_sp",
    "lg %r2, 0(%r1)",
    "lay %r2, {per_handler}(%r2)",
    "stg %r2, 0(%r1)",
    "lmg %r0, %r15, {regs}(%r15)",
    "lpswe 0x280",
    ".balign 8",
    // Where a system stack begins: unwinders find no caller here.
    ".globl board_root",
    "board_root:",
    ".cfi_startproc",
    ".cfi_undefined %r14",
    "basr %r14, %r1",
    "j .",
    ".cfi_endproc",
    ".balign 8",
    ".globl board_program",
    "board_program:",
    "larl %r15, stackgate_boot_stack_top",
    "aghi %r15, -{abi_frame}",
    "llgh %r2, 0x8e",
    "lg %r3, 0x158",
    "lghi %r4, 0",
    "brasl %r14, {fault}",
    ".popsection",
    ".pushsection .bss.board_signal_sp, \"aw\", @nobits",
    ".balign 8",
    ".globl board_signal_sp",
    "board_signal_sp: .quad 0",
    ".popsection",
    per_handler = const PER_HANDLER,
    abi_frame = const ABI_FRAME,
    frame = const size_of::<Frame>(),
    regs = const offset_of!(Frame, registers),
    general = const 16 * size_of::<u64>(),
    psw = const offset_of!(Frame, psw),
    fpc = const offset_of!(Frame, fpc),
    pc = const r(registers::PSWA.dwarf),
    f0 = const r(registers::F0.dwarf),
    f1 = const r(registers::F1.dwarf),
    f2 = const r(registers::F2.dwarf),
    f3 = const r(registers::F3.dwarf),
    f4 = const r(registers::F4.dwarf),
    f5 = const r(registers::F5.dwarf),
    f6 = const r(registers::F6.dwarf),
    f7 = const r(registers::F7.dwarf),
    f8 = const r(registers::F8.dwarf),
    f9 = const r(registers::F9.dwarf),
    f10 = const r(registers::F10.dwarf),
    f11 = const r(registers::F11.dwarf),
    f12 = const r(registers::F12.dwarf),
    f13 = const r(registers::F13.dwarf),
    f14 = const r(registers::F14.dwarf),
    f15 = const r(registers::F15.dwarf),
    interrupted = sym crate::signal::interrupted,
    fault = sym crate::runner::fault,
);

unsafe extern "C" {
    static board_timer: [u8; 0];
    static board_program: [u8; 0];
    /// Where the next handler's frame ends.
    static mut board_signal_sp: usize;
}

/// The machine's name.
pub const NAME: &str = "s390x ccw-virtio";

/// Nothing is stored before SP is on the signal stack.
pub const INTERRUPT_TAKES: usize = 0;

/// Memory is the same for everybody.
pub const PROTECTED_GUARDS: usize = 0;

/// The variables end at the thread pointer. *ELF Handling For Thread-Local Storage* 3.4.5, variant II.
pub fn thread_pointer(slot: usize, size: usize) -> (usize, usize) {
    let pointer = slot + size.next_multiple_of(16);
    (slot, pointer)
}

/// Names this CPU's slot: the access registers a0 and a1 hold the two halves of its address.
///
/// # Safety
/// The slot is this CPU's.
pub unsafe fn set_thread_pointer(pointer: usize) {
    // SAFETY: the registers are for this.
    unsafe {
        asm!("sar %a0, {0}", "sar %a1, {1}", in(reg) pointer >> 32, in(reg) pointer,
            options(nostack, preserves_flags));
    }
}

/// One request to the service processor.
#[repr(C, align(4096))]
struct Request([u8; 4096]);
static mut REQUEST: Request = Request([0; 4096]);

/// Sends a request of `length` bytes that lies in `REQUEST`.
fn service(command: u32, length: u16) {
    // SAFETY: one CPU, and no request is under way when this returns.
    unsafe {
        let at: *mut _ = &raw mut REQUEST.0;
        let at = &mut *at;
        at[..2].copy_from_slice(&length.to_be_bytes());
        asm!(".insn rre,0xb2200000,{0},{1}", in(reg) u64::from(command), in(reg) at.as_mut_ptr());
    }
}

/// Writes to the service processor's ASCII console. Not for handlers that interrupt it.
pub fn console(text: &[u8]) {
    const WRITE_EVENT_MASK: u32 = 0x0078_0005;
    const WRITE_EVENT_DATA: u32 = 0x0076_0005;
    static mut READY: bool = false;
    let masked = mask();
    // SAFETY: one CPU, with interrupts masked.
    unsafe {
        let request: *mut _ = &raw mut REQUEST.0;
        let request = &mut *request;
        if !READY {
            READY = true;
            request[..28].fill(0);
            // Masks of four bytes: what we receive, nothing; what we send, event 26, ASCII.
            request[11] = 4;
            request[19] = 0x40;
            service(WRITE_EVENT_MASK, 28);
        }
        for part in text.chunks(2048) {
            request[..16].fill(0);
            request[8..10].copy_from_slice(&(part.len() as u16 + 6).to_be_bytes());
            request[10] = 0x1a;
            request[14..14 + part.len()].copy_from_slice(part);
            service(WRITE_EVENT_DATA, part.len() as u16 + 14);
        }
    }
    if masked {
        unmask();
    }
}

/// Ends the machine by a disabled wait: at 0xfff it is one that ended well.
pub fn exit(passed: bool) -> ! {
    let psw: [u64; 2] = [0x0002_0001_8000_0000, if passed { 0xfff } else { 0xdead }];
    loop {
        // SAFETY: ends the machine.
        unsafe { asm!("lpswe 0({0})", in(reg_addr) &psw) };
    }
}

/// The new PSWs of the two interruptions that may come, the signal stack, the timer.
///
/// # Safety
/// Once.
pub unsafe fn init(cpu: usize) {
    /// 64-bit addresses, nothing let in.
    const MASK: u64 = 0x0000_0001_8000_0000;
    let psw = |address| core::ptr::with_exposed_provenance_mut::<[u64; 2]>(address);
    // SAFETY: assigned storage of the only CPU.
    unsafe {
        board_signal_sp = memory::signal_stack(cpu).end;
        psw(0x1b0).write_volatile([MASK, (&raw const board_timer).addr() as u64]);
        psw(0x1d0).write_volatile([MASK, (&raw const board_program).addr() as u64]);
    }
    timer_stop();
}

/// Sets the clock comparator.
fn compare(clock: u64) {
    // SAFETY: the comparator is nobody else's.
    unsafe { asm!("sckc 0({0})", in(reg_addr) &clock) };
}

/// One interrupt after `ticks` times 8 units of the clock, of which 4096 are a microsecond.
pub fn timer_arm(ticks: u32) {
    let mut clock = 0u64;
    // SAFETY: stores the clock.
    unsafe { asm!("stck 0({0})", in(reg_addr) &raw mut clock) };
    compare(clock + u64::from(ticks) * 8);
}

/// The same for a handler that lets itself be interrupted.
pub fn timer_arm_in_handler(ticks: u32) {
    timer_arm(ticks);
}

/// No interrupt; also not one that is under way.
pub fn timer_stop() {
    compare(u64::MAX);
}

/// The interrupt has been taken, and does not come again.
pub fn acknowledge() {
    timer_stop();
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let mut before = 0u8;
    // SAFETY: changes the mask alone.
    unsafe { asm!("stnsm 0({0}), 0xfc", in(reg_addr) &raw mut before) };
    before & 1 != 0
}

/// Lets interrupts in.
pub fn unmask() {
    let mut before = 0u8;
    // SAFETY: as above.
    unsafe { asm!("stosm 0({0}), 1", in(reg_addr) &raw mut before) };
}

/// Leaves everything for `f` on the empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    mask();
    let zero = 0u32;
    // SAFETY: by the caller.
    unsafe {
        board_signal_sp = memory::signal_stack(0).end;
        asm!("lfpc 0({zero})", "lgr %r15, {top}", "xc 0(8,%r15), 0(%r15)", "jg board_root",
            zero = in(reg_addr) &zero, top = in(reg_addr) memory::system_stack(0).end - ABI_FRAME,
            in("r1") f, options(noreturn));
    }
}

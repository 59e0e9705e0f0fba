//! i386: QEMU's `pc`.
//!
//! Documents: *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3: 6.12 (interrupts);
//! *Multiboot Specification* 0.6.96.
//!
//! This CPU has no stack of its own for interrupts: it pushes three words where SP is, and the handler one more
//! before it goes to the signal stack. So every managed stack carries [`INTERRUPT_TAKES`] below what it uses.

#[path = "one_cpu.rs"]
mod one_cpu;
#[path = "pc.rs"]
mod pc;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use pc::{FloatingPoint, PER_HANDLER, Pointer, Shared};
use stackgate::arch::i386::frame as registers;
use stackgate::arch::unwind::Registers;

pub use one_cpu::{cpu, relax, start_cpu};
pub use pc::{acknowledge, console, exit, timer_arm, timer_arm_in_handler, timer_stop, unmask};

/// What lies on the interrupted stack: a register of the handler's, and what the CPU pushes.
#[repr(C)]
struct Pushed {
    eax: u32,
    eip: u32,
    cs: u32,
    eflags: u32,
}

/// What the handler calls with: the argument, and behind it the state of the floating point unit.
#[repr(C)]
struct Call {
    registers: *const Registers,
    floating_point: FloatingPoint,
}

/// Where a register lies among the interrupted ones.
const fn at(register: &stackgate::arch::frame::Register) -> usize {
    Registers::offset(register.dwarf as usize)
}

// 32-bit mode, flat segments: multiboot's start.
global_asm!(
    ".pushsection .boot, \"ax\"",
    ".balign 4",
    ".long 0x1badb002, 0, 0xe4524ffe",
    ".globl _start",
    "_start:",
    "cli",
    "mov esp, offset stackgate_boot_stack_top",
    "mov eax, cr0",
    "and eax, 0xfffffffb",
    "or eax, 2", // no emulated floating point
    "mov cr0, eax",
    "mov eax, cr4",
    "or eax, 0x600", // OSFXSR, OSXMMEXCPT
    "mov cr4, eax",
    "fninit",
    "xor ebp, ebp",
    "call {begin}",
    "ud2",
    ".popsection",
    begin = sym crate::start::begin,
);

// The timer's interrupt. On the interrupted stack EIP, CS and EFLAGS, and eax; on the signal stack the registers
// by their DWARF numbers, then the state of the floating point unit.
global_asm!(
    ".globl board_timer",
    "board_timer:",
    "push eax",
    "mov eax, [board_signal_sp]",
    "xchg eax, esp",
    "sub dword ptr [board_signal_sp], {per_handler}",
    "push [eax + {eip}]",
    "push edi",
    "push esi",
    "push ebp",
    "push eax",
    "add dword ptr [esp], {reserve}",
    "push ebx",
    "push edx",
    "push ecx",
    "push [eax]",
    "mov ebx, eax",
    "mov esi, esp",
    "sub esp, {call}",
    "and esp, -16",
    "fxsave [esp + {floating_point}]",
    "mov [esp], esi",
    "cld",
    "xor ebp, ebp",
    "call {interrupted}",
    "cli",
    "fxrstor [esp + {floating_point}]",
    "mov esp, esi",
    "add esp, {ecx}",
    "pop ecx",
    "pop edx",
    "mov eax, ebx",
    "mov ebx, [esp]",
    "mov ebp, [esp + {ebp} - {ebx}]",
    "mov esi, [esp + {esi} - {ebx}]",
    "mov edi, [esp + {edi} - {ebx}]",
    "mov esp, eax",
    "add dword ptr [board_signal_sp], {per_handler}",
    "pop eax",
    "iretd",
    // Behind the entries for exceptions: the vector, an error code, EIP.
    ".globl board_exception",
    "board_exception:",
    "pop eax",
    "pop edx",
    "pop ecx",
    "mov esp, offset stackgate_boot_stack_top",
    "sub esp, 4",
    "push edx",
    "push ecx",
    "push eax",
    "call {fault}",
    "ud2",
    ".pushsection .bss, \"aw\", @nobits",
    ".balign 4",
    ".globl board_signal_sp",
    "board_signal_sp: .long 0",
    ".popsection",
    per_handler = const PER_HANDLER,
    reserve = const size_of::<Pushed>(),
    eip = const offset_of!(Pushed, eip),
    call = const size_of::<Call>(),
    floating_point = const offset_of!(Call, floating_point),
    ecx = const at(&registers::ECX),
    ebx = const at(&registers::EBX),
    ebp = const at(&registers::EBP),
    esi = const at(&registers::ESI),
    edi = const at(&registers::EDI),
    interrupted = sym crate::signal::interrupted,
    fault = sym crate::runner::fault,
);

unsafe extern "C" {
    /// Where the next handler's frame ends.
    static mut board_signal_sp: usize;
}

/// The machine's name.
pub const NAME: &str = "i386 pc";

/// EFLAGS, CS, EIP, and one register.
pub const INTERRUPT_TAKES: usize = <stackgate::arch::Native as stackgate::arch::Cpu>::INTERRUPT_RESERVE;
const _: () = assert!(INTERRUPT_TAKES == size_of::<Pushed>() && offset_of!(Call, registers) == 0);

/// Memory is the same for everybody.
pub const PROTECTED_GUARDS: usize = 0;

/// The variables end at the thread pointer. *ELF Handling For Thread-Local Storage* 3.4.2, variant II.
pub fn thread_pointer(slot: usize, size: usize) -> (usize, usize) {
    let pointer = slot + size.next_multiple_of(16);
    (slot, pointer)
}

/// Code, data, and a segment that begins at the slot.
static GDT: Shared<[u64; 4]> =
    Shared(core::cell::UnsafeCell::new([0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff, 0]));
static IDT: Shared<[u64; 256]> = Shared(core::cell::UnsafeCell::new([0; 256]));

/// Names this CPU's slot: the segment `gs` begins there.
///
/// # Safety
/// The slot is this CPU's.
pub unsafe fn set_thread_pointer(pointer: usize) {
    let base = pointer as u64;
    // SAFETY: one CPU; the descriptors of code and data are those that the machine began with.
    unsafe {
        let gdt = &mut *GDT.0.get();
        gdt[3] = 0x00cf_9200_0000_ffff | (base & 0xff_ffff) << 16 | (base >> 24) << 56;
        let gdt = Pointer::to(gdt);
        asm!(
            "lgdt [{gdt}]",
            "push 8",
            "lea {t}, [2f]",
            "push {t}",
            "retf",
            "2:",
            "mov {t}, 16",
            "mov ds, {t:x}",
            "mov es, {t:x}",
            "mov fs, {t:x}",
            "mov ss, {t:x}",
            "mov {t}, 24",
            "mov gs, {t:x}",
            gdt = in(reg) &gdt,
            t = out(reg) _,
        );
    }
}

/// A gate of the interrupt descriptor table: interrupts masked.
fn gate(handler: usize) -> u64 {
    let at = handler as u64;
    (at & 0xffff) | 8 << 16 | 0x8e << 40 | (at >> 16) << 48
}

/// Interrupt vectors, the signal stack, the timer.
///
/// # Safety
/// Once.
pub unsafe fn init(cpu: usize) {
    // SAFETY: one CPU.
    unsafe {
        board_signal_sp = memory::signal_stack(cpu).end;
        let idt = &mut *IDT.0.get();
        pc::vectors().for_each(|(vector, handler)| idt[vector] = gate(handler));
        let idt = Pointer::to(idt);
        asm!("lidt [{}]", in(reg) &idt);
    }
    pc::init_interrupts();
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let flags: u32;
    // SAFETY: changes the interrupt flag alone.
    unsafe { asm!("pushfd", "pop {}", "cli", out(reg) flags) };
    flags & 1 << 9 != 0
}

/// Leaves everything for `f` on the empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    // The controller may wait for the end of an interrupt that will never be acknowledged otherwise.
    acknowledge();
    // SAFETY: by the caller.
    unsafe {
        asm!("cli");
        board_signal_sp = memory::signal_stack(0).end;
        asm!("fninit", "mov esp, {top}", "xor ebp, ebp", "push 0", "jmp {f}",
            top = in(reg) memory::system_stack(0).end, f = in(reg) f, options(noreturn));
    }
}

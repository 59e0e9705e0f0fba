//! x86_64: QEMU's `pc`.
//!
//! Documents: *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3: 4.5 (paging), 6.14.5
//! (interrupt stack table), 7.7 (task state segment); *x86/HVM direct boot ABI* of Xen (PVH).
//!
//! Interrupts come on the signal stack by the interrupt stack table, because the 128 bytes below SP are in use
//! (psABI 3.2.2). A handler that is interrupted must not be overwritten: it lowers the table's entry meanwhile.

#[path = "pc.rs"]
mod pc;

use crate::memory;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use pc::{FloatingPoint, PER_HANDLER, Pointer, Shared, apic, set_apic};
use stackgate::arch::unwind::Registers;
use stackgate::arch::x86_64::frame as registers;

pub use pc::{acknowledge, console, exit, timer_arm, timer_arm_in_handler, timer_stop, unmask};

/// What the CPU pushes.
#[repr(C)]
struct Pushed {
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// A task state segment: the stacks that interrupts come on.
#[repr(C, packed(4))]
struct Tss {
    _reserved0: u32,
    rsp: [u64; 3],
    _reserved1: u64,
    ist: [u64; 7],
    _reserved2: [u16; 5],
    /// Where a map of ports would be: behind the segment's end for none.
    io_map: u16,
}

impl Tss {
    const EMPTY: Self =
        Self { _reserved0: 0, rsp: [0; 3], _reserved1: 0, ist: [0; 7], _reserved2: [0; 5], io_map: 0 };
}

/// Where the interrupt stack table's first entry lies in it.
const IST1: usize = offset_of!(Tss, ist);
/// Where other CPUs begin: a page below 1 MiB that nothing else uses.
const LOW: usize = 0x8000;
/// Where the pointer to the table lies in it.
const LOW_GDTR: usize = 8;

// 32-bit mode, flat segments: PVH's start. Four 1-GiB pages map what lies below 4 GiB to itself.
global_asm!(
    ".pushsection .note.Xen, \"a\", @note",
    ".balign 4",
    ".long 4, 4, 18", // XEN_ELFNOTE_PHYS32_ENTRY
    ".asciz \"Xen\"",
    ".long _start",
    ".popsection",
    ".pushsection .boot, \"ax\"",
    ".code32",
    ".globl _start",
    "_start:",
    "cli",
    "mov esp, offset stackgate_boot_stack_top",
    "xor ebx, ebx", // the CPU's number
    "mov edi, offset board_pml4",
    "mov ecx, 2048",
    "xor eax, eax",
    "rep stosd",
    "mov eax, offset board_pdpt",
    "or eax, 3",
    "mov [board_pml4], eax",
    "mov dword ptr [board_pdpt], 0x00000083",
    "mov dword ptr [board_pdpt + 8], 0x40000083",
    "mov dword ptr [board_pdpt + 16], 0x80000083",
    "mov dword ptr [board_pdpt + 24], 0xc0000083",
    ".globl board_long_mode",
    "board_long_mode:",
    "mov eax, offset board_pml4",
    "mov cr3, eax",
    "mov eax, cr4",
    "or eax, 0x620", // PAE, OSFXSR, OSXMMEXCPT
    "mov cr4, eax",
    "mov ecx, 0xc0000080", // EFER.LME
    "rdmsr",
    "or eax, 0x100",
    "wrmsr",
    "mov eax, cr0",
    "and eax, 0xfffffffb",
    "or eax, 0x80000003", // paging, no emulated floating point
    "mov cr0, eax",
    "lgdt [board_gdtr]",
    "push 8",
    "mov eax, offset board_64",
    "push eax",
    "retf",
    ".code64",
    "board_64:",
    "xor eax, eax",
    "mov ds, ax",
    "mov es, ax",
    "mov ss, ax",
    "mov fs, ax",
    "mov gs, ax",
    "xor ebp, ebp",
    "mov edi, ebx",
    "test ebx, ebx",
    "jnz 2f",
    "call {begin}",
    "2: call {join}",
    "ud2",
    ".balign 16",
    ".globl board_gdt",
    "board_gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00cf9a000000ffff",
    "board_gdtr: .word 31",
    ".long board_gdt",
    // Where another CPU begins, in 16-bit mode and in a copy below 1 MiB: straight to 32 bits.
    ".balign 8",
    ".globl board_trampoline",
    "board_trampoline:",
    ".code16",
    "jmp 3f",
    ".balign {low_gdtr}",
    ".word 31",
    ".long board_gdt",
    "3: cli",
    "xor ax, ax",
    "mov ds, ax",
    "lgdt [{low} + {low_gdtr}]",
    "mov eax, cr0",
    "or al, 1",
    "mov cr0, eax",
    ".byte 0x66, 0xea", // a far jump to 32-bit code
    ".long board_second",
    ".word 0x18",
    ".globl board_trampoline_end",
    "board_trampoline_end:",
    ".code32",
    "board_second:",
    "mov ax, 0x10",
    "mov ds, ax",
    "mov es, ax",
    "mov ss, ax",
    "mov esp, [board_second_stack]",
    "mov ebx, [board_second_cpu]",
    "jmp board_long_mode",
    ".code64",
    ".popsection",
    ".pushsection .noinit, \"aw\", @nobits",
    ".balign 4096",
    "board_pml4: .zero 4096",
    "board_pdpt: .zero 4096",
    ".globl board_second_stack",
    "board_second_stack: .zero 8",
    ".globl board_second_cpu",
    "board_second_cpu: .zero 8",
    ".popsection",
    begin = sym crate::start::begin,
    join = sym crate::start::join,
    low = const LOW,
    low_gdtr = const LOW_GDTR,
);

// The timer's interrupt. Pushed from the upper end: what the CPU pushes, the interrupted registers by their
// DWARF numbers, the state of the floating point unit.
global_asm!(
    ".globl board_timer",
    "board_timer:",
    "sub qword ptr gs:[{ist1}], {per_handler}",
    "push [rsp]",
    "push r15",
    "push r14",
    "push r13",
    "push r12",
    "push r11",
    "push r10",
    "push r9",
    "push r8",
    "push [rsp + {registers} - {r8} + {rsp}]", // SP, above r8 and what has been pushed before it
    "push rbp",
    "push rdi",
    "push rsi",
    "push rbx",
    "push rcx",
    "push rdx",
    "push rax",
    "mov rbx, rsp",
    "mov rdi, rsp",
    "sub rsp, {floating_point}",
    "and rsp, -16",
    "fxsave [rsp]",
    "cld",
    "xor ebp, ebp",
    "call {interrupted}",
    "cli",
    "fxrstor [rsp]",
    "mov rsp, rbx",
    "pop rax",
    "pop rdx",
    "pop rcx",
    "pop rbx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    "add rsp, 8",
    "pop r8",
    "pop r9",
    "pop r10",
    "pop r11",
    "pop r12",
    "pop r13",
    "pop r14",
    "pop r15",
    "add rsp, 8",
    "add qword ptr gs:[{ist1}], {per_handler}",
    "iretq",
    // Behind the entries for exceptions: the vector, an error code, RIP.
    ".globl board_exception",
    "board_exception:",
    "pop rdi",
    "pop rdx",
    "pop rsi",
    "and rsp, -16",
    "call {fault}",
    "ud2",
    ist1 = const IST1,
    per_handler = const PER_HANDLER,
    registers = const size_of::<Registers>(),
    r8 = const Registers::offset(registers::R8.dwarf as usize),
    rsp = const offset_of!(Pushed, rsp),
    floating_point = const size_of::<FloatingPoint>(),
    interrupted = sym crate::signal::interrupted,
    fault = sym crate::runner::fault,
);

unsafe extern "C" {
    static board_trampoline: [u8; 0];
    static board_trampoline_end: [u8; 0];
    static mut board_second_stack: usize;
    static mut board_second_cpu: usize;
}

/// The machine's name.
pub const NAME: &str = "x86_64 pc";

/// The signal stack is the interrupt stack table's.
pub const INTERRUPT_TAKES: usize = 0;

/// Memory is the same for everybody.
pub const PROTECTED_GUARDS: usize = 0;

/// The variables end at the thread pointer. *ELF Handling For Thread-Local Storage* 3.4.6, variant II; the word
/// that the thread pointer designates is its own address.
pub fn thread_pointer(slot: usize, size: usize) -> (usize, usize) {
    let pointer = slot + size.next_multiple_of(16);
    (pointer - size.next_multiple_of(16), pointer)
}

/// Names this CPU's slot.
///
/// # Safety
/// The slot is this CPU's.
pub unsafe fn set_thread_pointer(pointer: usize) {
    const FS_BASE: u32 = 0xc000_0100;
    write_msr(FS_BASE, pointer as u64);
}

fn write_msr(number: u32, value: u64) {
    // SAFETY: the registers that this file names change nothing that the compiler knows of.
    unsafe {
        asm!("wrmsr", in("ecx") number, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

/// What a CPU has of its own: descriptors, and the state segment with the signal stack's address.
#[repr(C, align(64))]
struct Tables {
    tss: Tss,
    gdt: [u64; 6],
}

static TABLES: Shared<[Tables; CPUS]> =
    Shared(core::cell::UnsafeCell::new([const { Tables { tss: Tss::EMPTY, gdt: [0; 6] } }; CPUS]));
static IDT: Shared<[[u64; 2]; 256]> = Shared(core::cell::UnsafeCell::new([[0; 2]; 256]));

/// How many CPUs this file can start.
const CPUS: usize = 4;

/// A gate of the interrupt descriptor table: 64 bits, interrupts masked, on stack `ist` of the table.
fn gate(handler: usize, ist: u64) -> [u64; 2] {
    let at = handler as u64;
    let low = (at & 0xffff) | 8 << 16 | ist << 32 | 0x8e << 40 | (at >> 16 & 0xffff) << 48;
    [low, at >> 32]
}

/// Descriptors, interrupt vectors, the timer of this CPU.
///
/// # Safety
/// Once for each CPU, on it.
pub unsafe fn init(cpu: usize) {
    const GS_BASE: u32 = 0xc000_0101;
    // SAFETY: this CPU's part of the tables; the vectors are the same for all.
    unsafe {
        let tables = &mut (*TABLES.0.get())[cpu];
        let top = memory::signal_stack(cpu).end as u64;
        // The second one is for exceptions, far below.
        tables.tss.ist = [top, top - PER_HANDLER as u64 * 3, 0, 0, 0, 0, 0];
        tables.tss.io_map = size_of::<Tss>() as u16;
        let base = (&raw const tables.tss).addr() as u64;
        tables.gdt = [
            0,
            0x00af_9a00_0000_ffff,
            0x00cf_9200_0000_ffff,
            (size_of::<Tss>() as u64 - 1) | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56,
            base >> 32,
            0,
        ];
        let idt = &mut *IDT.0.get();
        pc::vectors().for_each(|(vector, handler)| {
            idt[vector] = gate(handler, if vector < pc::EXCEPTIONS { 2 } else { 1 })
        });
        let (gdt, idt) = (Pointer::to(&tables.gdt), Pointer::to(idt));
        asm!("lgdt [{}]", "lidt [{}]", "ltr {:x}", in(reg) &gdt, in(reg) &idt, in(reg) 24u16);
        // The handler finds the table by gs.
        write_msr(GS_BASE, base);
    }
    pc::init_interrupts();
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let flags: u64;
    // SAFETY: changes the interrupt flag alone.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & 1 << 9 != 0
}

/// Leaves everything for `f` on this CPU's empty system stack, with interrupts masked.
///
/// # Safety
/// Nothing on any stack of this CPU is needed any more.
pub unsafe fn restart(f: extern "C" fn() -> !) -> ! {
    let (top, signal) = (memory::system_stack(cpu()).end, memory::signal_stack(cpu()).end);
    // The controller may wait for the end of an interrupt that will never be acknowledged otherwise.
    acknowledge();
    // SAFETY: by the caller.
    unsafe {
        asm!("cli", "mov gs:[{ist1}], {signal}", "fninit", "mov rsp, {top}", "xor ebp, ebp", "push 0", "jmp {f}",
            ist1 = const IST1, signal = in(reg) signal, top = in(reg) top, f = in(reg) f, options(noreturn));
    }
}

/// CPUs are numbered by their local APICs.
pub fn cpu() -> usize {
    // SAFETY: a register of this CPU's own.
    (unsafe { apic(0x20).read_volatile() } >> 24) as usize
}

/// Starts another CPU by the local APIC: reset, then start at a page. Manual, volume 3, 9.4.4.
///
/// # Safety
/// Once for each CPU, one after the other.
pub unsafe fn start_cpu(cpu: usize) -> bool {
    const RESET: u32 = 0x4500;
    const START: u32 = 0x4600;
    if cpu >= CPUS {
        return false;
    }
    // SAFETY: by the caller; nobody else uses the page.
    unsafe {
        board_second_stack = memory::system_stack(cpu).end;
        board_second_cpu = cpu;
        let code = &raw const board_trampoline;
        let length = (&raw const board_trampoline_end).addr() - code.addr();
        core::ptr::with_exposed_provenance_mut::<u8>(LOW).copy_from_nonoverlapping(code.cast(), length);
    }
    for command in [RESET, START | (LOW >> 12) as u32] {
        set_apic(0x310, (cpu as u32) << 24);
        set_apic(0x300, command);
        for _ in 0..10_000 {
            core::hint::spin_loop();
        }
    }
    true
}

/// Lets another CPU go first, for who waits for it.
pub fn relax() {
    core::hint::spin_loop();
}

//! x86_64: QEMU's `pc`.
//!
//! Documents: *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3: 4.5 (paging), 6.14.5
//! (interrupt stack table), 11 (local APIC; 10 in older editions); *x86/HVM direct boot ABI* of Xen (PVH).
//!
//! Interrupts come on the signal stack by the interrupt stack table, because the 128 bytes below SP are in use
//! (psABI 3.2.2). A handler that is interrupted must not be overwritten: it lowers the table's entry meanwhile.

use crate::memory;
use core::arch::{asm, global_asm};

/// How much of the signal stack one handler may use.
const PER_HANDLER: usize = 64 << 10;
/// Where the table's first entry lies in a task state segment.
const IST1: usize = 36;
/// Where other CPUs begin: a page below 1 MiB that nothing else uses.
const LOW: usize = 0x8000;
/// The timer's vector.
const TIMER: usize = 0x40;
/// How far apart the entries for exceptions are.
const STUB: usize = 16;

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
    ".balign 8",
    ".word 31", // at 8: a pointer to the table
    ".long board_gdt",
    "3: cli",
    "xor ax, ax",
    "mov ds, ax",
    "lgdt [{low} + 8]",
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
    "push [rsp + 96]", // SP, above which lie nine words and three of the CPU's
    "push rbp",
    "push rdi",
    "push rsi",
    "push rbx",
    "push rcx",
    "push rdx",
    "push rax",
    "mov rbx, rsp",
    "mov rdi, rsp",
    "sub rsp, 512",
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
    // Exceptions: those without an error code push one.
    ".balign {stub}",
    ".globl board_exceptions",
    "board_exceptions:",
    ".set vector, 0",
    ".rept 32",
    ".balign {stub}",
    ".if ((1 << vector) & 0x60227d00) == 0", // 8, 10 to 14, 17, 21, 29, 30
    "push 0",
    ".endif",
    "push vector",
    "jmp 2f",
    ".set vector, vector + 1",
    ".endr",
    "2: pop rdi",
    "pop rdx",
    "pop rsi",
    "and rsp, -16",
    "call {fault}",
    "ud2",
    ist1 = const IST1,
    per_handler = const PER_HANDLER,
    stub = const STUB,
    interrupted = sym crate::signal::interrupted,
    fault = sym crate::runner::fault,
);

unsafe extern "C" {
    static board_timer: [u8; 0];
    static board_exceptions: [u8; 0];
    static board_trampoline: [u8; 0];
    static board_trampoline_end: [u8; 0];
    static mut board_second_stack: usize;
    static mut board_second_cpu: usize;
}

/// The machine's name.
pub const NAME: &str = "x86_64 pc";

/// The signal stack is the interrupt stack table's.
pub const INTERRUPT_TAKES: usize = 0;

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

/// What a CPU has of its own: descriptors, and the state segment with the signal stack's address.
#[repr(C, align(64))]
struct Tables {
    tss: [u32; 28],
    gdt: [u64; 6],
}

/// Written by `init` alone.
struct Shared<T>(core::cell::UnsafeCell<T>);
// SAFETY: each CPU writes its own, before it is used.
unsafe impl<T> Sync for Shared<T> {}

static TABLES: Shared<[Tables; CPUS]> =
    Shared(core::cell::UnsafeCell::new([const { Tables { tss: [0; 28], gdt: [0; 6] } }; CPUS]));
static IDT: Shared<[[u64; 2]; 256]> = Shared(core::cell::UnsafeCell::new([[0; 2]; 256]));

/// How many CPUs this file can start.
const CPUS: usize = 4;

/// A gate of the interrupt descriptor table: 64 bits, interrupts masked, on stack `ist` of the table.
fn gate(handler: usize, ist: u64) -> [u64; 2] {
    let at = handler as u64;
    let low = (at & 0xffff) | 8 << 16 | ist << 32 | 0x8e << 40 | (at >> 16 & 0xffff) << 48;
    [low, at >> 32]
}

/// A pointer to a table, as `lgdt` and `lidt` take it.
#[repr(C, packed)]
struct Pointer(u16, u64);

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
        tables.tss[IST1 / 4] = top as u32;
        tables.tss[IST1 / 4 + 1] = (top >> 32) as u32;
        // A second one for exceptions, far below.
        tables.tss[IST1 / 4 + 2] = top as u32 - (PER_HANDLER as u32) * 3;
        tables.tss[25] = 104 << 16;
        let base = (&raw const tables.tss).addr() as u64;
        tables.gdt = [
            0,
            0x00af_9a00_0000_ffff,
            0x00cf_9200_0000_ffff,
            103 | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56,
            base >> 32,
            0,
        ];
        let idt = &mut *IDT.0.get();
        for (vector, entry) in idt.iter_mut().enumerate().take(32) {
            *entry = gate((&raw const board_exceptions).addr() + vector * STUB, 2);
        }
        idt[TIMER] = gate((&raw const board_timer).addr(), 1);
        let gdt = Pointer(size_of_val(&tables.gdt) as u16 - 1, (&raw const tables.gdt).addr() as u64);
        let idt = Pointer(size_of_val(idt) as u16 - 1, (&raw const *idt).addr() as u64);
        asm!("lgdt [{}]", "lidt [{}]", "ltr {:x}", in(reg) &gdt, in(reg) &idt, in(reg) 24u16);
        // The handler finds the table by gs.
        write_msr(GS_BASE, base);
        // The two old controllers are silent.
        asm!("out 0x21, al", "out 0xa1, al", in("al") 0xffu8);
    }
    apic(0xf0).store(0x1ff); // enabled; 0xff for spurious ones
    apic(0x3e0).store(0xb); // ticks are not divided
    apic(0x320).store(TIMER as u32); // one shot
    apic(0x380).store(0);
}

/// A register of the local APIC.
struct Apic(*mut u32);

fn apic(register: usize) -> Apic {
    Apic(core::ptr::with_exposed_provenance_mut(0xfee0_0000 + register))
}

impl Apic {
    fn store(self, value: u32) {
        // SAFETY: registers of this CPU's own.
        unsafe { self.0.write_volatile(value) };
    }
    fn load(self) -> u32 {
        // SAFETY: as above.
        unsafe { self.0.read_volatile() }
    }
}

/// One interrupt after `ticks` nanoseconds.
pub fn timer_arm(ticks: u32) {
    apic(0x380).store(ticks);
}

/// The same for a handler that lets itself be interrupted.
pub fn timer_arm_in_handler(ticks: u32) {
    timer_arm(ticks);
}

/// No interrupt; also not one that is under way.
pub fn timer_stop() {
    apic(0x380).store(0);
}

/// The interrupt has been taken.
pub fn acknowledge() {
    apic(0xb0).store(0);
}

/// Keeps interrupts away; whether they were let in before.
pub fn mask() -> bool {
    let flags: u64;
    // SAFETY: changes the interrupt flag alone.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & 1 << 9 != 0
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: as above.
    unsafe { asm!("sti") };
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
    (apic(0x20).load() >> 24) as usize
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
        apic(0x310).store((cpu as u32) << 24);
        apic(0x300).store(command);
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

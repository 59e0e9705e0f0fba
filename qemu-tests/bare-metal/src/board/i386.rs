//! i386: QEMU's `pc`.
//!
//! Documents: *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume 3: 6.12 (interrupts), 11 (local
//! APIC; 10 in older editions); *Multiboot Specification* 0.6.96.
//!
//! This CPU has no stack of its own for interrupts: it pushes three words where SP is, and the handler one more
//! before it goes to the signal stack. So every managed stack carries [`INTERRUPT_TAKES`] below what it uses.

use crate::memory;
use core::arch::{asm, global_asm};

/// How much of the signal stack one handler may use.
const PER_HANDLER: usize = 64 << 10;
/// The timer's vector.
const TIMER: usize = 0x40;
/// How far apart the entries for exceptions are.
const STUB: usize = 16;

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
    "push [eax + 4]",
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
    "sub esp, 512 + 16",
    "and esp, -16",
    "fxsave [esp + 16]",
    "mov [esp], esi",
    "cld",
    "xor ebp, ebp",
    "call {interrupted}",
    "cli",
    "fxrstor [esp + 16]",
    "mov esp, esi",
    "add esp, 4",
    "pop ecx",
    "pop edx",
    "mov eax, ebx",
    "mov ebx, [esp]",
    "mov ebp, [esp + 8]",
    "mov esi, [esp + 12]",
    "mov edi, [esp + 16]",
    "mov esp, eax",
    "add dword ptr [board_signal_sp], {per_handler}",
    "pop eax",
    "iretd",
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
    "2: pop eax",
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
    reserve = const INTERRUPT_TAKES,
    stub = const STUB,
    interrupted = sym crate::signal::interrupted,
    fault = sym crate::runner::fault,
);

unsafe extern "C" {
    static board_timer: [u8; 0];
    static board_exceptions: [u8; 0];
    /// Where the next handler's frame ends.
    static mut board_signal_sp: usize;
}

/// The machine's name.
pub const NAME: &str = "i386 pc";

/// EFLAGS, CS, EIP, and one register.
pub const INTERRUPT_TAKES: usize = <stackgate::arch::Native as stackgate::arch::Cpu>::INTERRUPT_RESERVE;

/// The variables end at the thread pointer. *ELF Handling For Thread-Local Storage* 3.4.2, variant II.
pub fn thread_pointer(slot: usize, size: usize) -> (usize, usize) {
    let pointer = slot + size.next_multiple_of(16);
    (slot, pointer)
}

/// Written by this CPU, the only one.
struct Shared<T>(core::cell::UnsafeCell<T>);
// SAFETY: one CPU.
unsafe impl<T> Sync for Shared<T> {}

/// Code, data, and a segment that begins at the slot.
static GDT: Shared<[u64; 4]> =
    Shared(core::cell::UnsafeCell::new([0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff, 0]));
static IDT: Shared<[u64; 256]> = Shared(core::cell::UnsafeCell::new([0; 256]));

/// A pointer to a table, as `lgdt` and `lidt` take it.
#[repr(C, packed)]
struct Pointer(u16, u32);

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
        let gdt = Pointer(size_of_val(gdt) as u16 - 1, (&raw const *gdt).addr() as u32);
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
        for (vector, entry) in idt.iter_mut().enumerate().take(32) {
            *entry = gate((&raw const board_exceptions).addr() + vector * STUB);
        }
        idt[TIMER] = gate((&raw const board_timer).addr());
        let idt = Pointer(size_of_val(idt) as u16 - 1, (&raw const *idt).addr() as u32);
        asm!("lidt [{}]", in(reg) &idt);
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
    let flags: u32;
    // SAFETY: changes the interrupt flag alone.
    unsafe { asm!("pushfd", "pop {}", "cli", out(reg) flags) };
    flags & 1 << 9 != 0
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: as above.
    unsafe { asm!("sti") };
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

/// There is one.
pub fn cpu() -> usize {
    0
}

/// There is no other.
///
/// # Safety
/// None.
pub unsafe fn start_cpu(_cpu: usize) -> bool {
    false
}

/// Lets another CPU go first, for who waits for it.
pub fn relax() {
    core::hint::spin_loop();
}

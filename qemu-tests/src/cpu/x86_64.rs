//! Register tests on x86_64.

use core::arch::naked_asm;
use core::ffi::{c_int, c_void};

/// The callee-saved registers of the C ABI, in the order of a pattern's words.
pub const KEPT: &[&str] = &["rbx", "rbp", "r12", "r13", "r14", "r15"];

/// A word for each register of [`KEPT`].
pub type Pattern = [u64; KEPT.len()];

/// Calls `f(args...)` with `pattern` in the callee-saved registers, and stores what they hold after.
///
/// # Safety
/// `f` is a C function of up to four words.
#[unsafe(naked)]
pub unsafe extern "C" fn with_pattern(
    f: usize,                /* rdi */
    args: *const [usize; 4], /* rsi */
    pattern: *const Pattern, /* rdx */
    seen: *mut Pattern,      /* rcx */
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "push rcx",
        ".cfi_adjust_cfa_offset 8",
        "mov rbx, [rdx]",
        "mov rbp, [rdx + 8]",
        "mov r12, [rdx + 16]",
        "mov r13, [rdx + 24]",
        "mov r14, [rdx + 32]",
        "mov r15, [rdx + 40]",
        "mov rax, rdi",
        "mov rdi, [rsi]",
        "mov rdx, [rsi + 16]",
        "mov rcx, [rsi + 24]",
        "mov rsi, [rsi + 8]",
        "call rax",
        "mov rcx, [rsp]",
        "mov [rcx], rbx",
        "mov [rcx + 8], rbp",
        "mov [rcx + 16], r12",
        "mov [rcx + 24], r13",
        "mov [rcx + 32], r14",
        "mov [rcx + 40], r15",
        "pop rcx",
        ".cfi_adjust_cfa_offset -8",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbp",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "ret",
        ".cfi_endproc",
    )
}

/// Writes something else into every register that a C function may change. Returns 7.
///
/// # Safety
/// None.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_volatile(arg: *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "mov rcx, 0x1111111111111111",
        "mov rdx, 0x2222222222222222",
        "mov rsi, 0x3333333333333333",
        "mov rdi, 0x4444444444444444",
        "mov r8, 0x5555555555555555",
        "mov r9, 0x6666666666666666",
        "mov r10, 0x7777777777777777",
        "mov r11, 0x8888888888888888",
        "movq xmm0, rcx",
        "movq xmm1, rcx",
        "movq xmm2, rcx",
        "movq xmm3, rcx",
        "movq xmm4, rcx",
        "movq xmm5, rcx",
        "movq xmm6, rcx",
        "movq xmm7, rcx",
        "movq xmm8, rdx",
        "movq xmm9, rdx",
        "movq xmm10, rdx",
        "movq xmm11, rdx",
        "movq xmm12, rdx",
        "movq xmm13, rdx",
        "movq xmm14, rdx",
        "movq xmm15, rdx",
        "mov eax, 0x7fffffff",
        "add eax, 1",
        "mov rax, 0x9999999900000007",
        "ret",
        ".cfi_endproc",
    )
}

/// What managed code without callee-saved registers does: stores `n` and `ctxt` in the two words at `frame`,
/// then changes every register but SP.
///
/// # Safety
/// `frame` is valid for two words.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_everything(frame: *mut c_void, n: usize, ctxt: usize) {
    naked_asm!(
        ".cfi_startproc",
        "mov [rdi], rsi",
        "mov [rdi + 8], rdx",
        "mov rbx, 0x1010101010101010",
        "mov rbp, 0x2020202020202020",
        "mov r12, 0x3030303030303030",
        "mov r13, 0x4040404040404040",
        "mov r14, 0x5050505050505050",
        "mov r15, 0x6060606060606060",
        "jmp {volatile}",
        ".cfi_endproc",
        volatile = sym clobber_volatile,
    )
}

/// What a C function finds at its entry: SP, the frame pointer, the flags.
///
/// # Safety
/// `arg` is valid for eight words.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_state(arg: *mut [usize; 8]) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "mov [rdi], rsp",
        "mov [rdi + 8], rbp",
        "pushfq",
        ".cfi_adjust_cfa_offset 8",
        "pop rax",
        ".cfi_adjust_cfa_offset -8",
        "mov [rdi + 16], rax",
        "xor eax, eax",
        "ret",
        ".cfi_endproc",
    )
}

/// The part of `word` that the register with this index in [`KEPT`] can hold.
pub fn representable(_index: usize, word: u64) -> u64 {
    word
}

/// Calls `f(arg)` through `ccall`.
///
/// # Safety
/// As `asmcgocall`.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_one(
    f: stackgate::CFn, /* rdi */
    arg: *mut c_void,  /* rsi */
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "mov r11, rdi",
        "mov rdi, rsi",
        "jmp {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize /* rcx */) -> Wide {
    naked_asm!(
        ".cfi_startproc",
        "mov r11, rcx",
        "jmp {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b)` through `ccall`.
///
/// # Safety
/// `f` takes two doubles and returns one.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_doubles(a: f64, b: f64, f: usize /* rdi */) -> f64 {
    naked_asm!(
        ".cfi_startproc",
        "mov r11, rdi",
        "jmp {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// The widest integer that a function returns in registers: rax and rdx.
pub type Wide = u128;

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 8;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 16;
/// What remains of that at the callee's entry: the return address lies there.
pub const SP_AT_ENTRY: usize = 8;

/// Checks what [`entry_state`] found, beside SP: the direction flag is clear (psABI 3.2.1), and after a
/// crossing rbp designates the crossing's record, which lies close above SP.
pub fn check_entry(what: &str, state: &[usize; 8], crossing: bool) {
    const DIRECTION: usize = 1 << 10;
    crate::check_eq!(state[2] & DIRECTION, 0, "{what}: DF");
    if crossing {
        let record: *const [usize; 2] = core::ptr::with_exposed_provenance(state[1]);
        crate::check!((state[0]..state[0] + 256).contains(&record.addr()), "{what}: rbp {record:?}");
        // SAFETY: the stack above SP, which the test stands on.
        crate::check!(unsafe { (*record)[1] } != 0, "{what}: the record has a return address");
    }
}

/// A task's function that calls `block.f(block.arg)` through `block.through` and survives that its stack is
/// moved meanwhile. Its CFA is defined by rbp, which designates its own frame.
///
/// # Safety
/// `block` is the address of a [`Movable`](crate::movable::Movable) off the task's stack.
#[unsafe(naked)]
#[unsafe(export_name = "step_movable")]
pub unsafe extern "C" fn movable(block: usize /* rdi */) -> usize /* rax */ {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",                       ".cfi_def_cfa_offset 16", ".cfi_offset rbp, -16",
        "mov rbp, rsp",                   ".cfi_def_cfa_register rbp",
        "sub rsp, 32",
        "mov [rbp - 8], rdi",
        "mov qword ptr [rbp - 16], 0x11223344",
        "mov qword ptr [rbp - 24], 0x55667788",
        "mov rax, [rdi + {through}]",
        "mov rsi, [rdi + {arg}]",
        "lea rdx, [rdi + {thrown}]",
        "mov rdi, [rdi + {f}]",
        "call rax",
        "mov rdi, [rbp - 8]",
        "movsxd rax, eax",
        "mov [rdi + {result}], rax",
        "mov rcx, [rbp - 16]",
        "mov [rdi + {locals}], rcx",
        "mov rcx, [rbp - 24]",
        "mov [rdi + {locals} + 8], rcx",
        "leave",                          ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        through = const core::mem::offset_of!(crate::movable::Movable, through),
        f = const core::mem::offset_of!(crate::movable::Movable, f),
        arg = const core::mem::offset_of!(crate::movable::Movable, arg),
        result = const core::mem::offset_of!(crate::movable::Movable, result),
        thrown = const core::mem::offset_of!(crate::movable::Movable, thrown),
        locals = const core::mem::offset_of!(crate::movable::Movable, locals),
    )
}

/// A callback that calls `f(job)` through `asmcgocall`, and holds no address of its own stack.
///
/// # Safety
/// `f` is the address of a C function that takes `job`.
#[unsafe(naked)]
pub unsafe extern "C" fn movable_callback(job: *mut c_void, f: usize, ctxt: usize) {
    naked_asm!(
        ".cfi_startproc",
        "sub rsp, 8",                     ".cfi_def_cfa_offset 16",
        "xchg rdi, rsi",
        "call {asmcgocall}",
        "add rsp, 8",                     ".cfi_def_cfa_offset 8",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
    )
}

/// Repairs the frame records of [`movable`] and [`movable_callback`] in a stack that has been copied: they
/// hold none.
///
/// # Safety
/// None.
pub unsafe fn relink(_limit: *mut u8, _top: *mut u8, _old_limit: *mut u8, _old_top: *mut u8) {}

/// Calls `f(arg)` through `asmcgocall` from a frame that is `size` bytes larger than usual.
///
/// # Safety
/// `size` is a multiple of [`SP_LEAST`] that the stack has room for.
#[unsafe(naked)]
pub unsafe extern "C" fn variable_frame(
    size: usize,       /* rdi */
    f: stackgate::CFn, /* rsi */
    arg: *mut c_void,  /* rdx */
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",                       ".cfi_def_cfa_offset 16", ".cfi_offset rbp, -16",
        "mov rbp, rsp",                   ".cfi_def_cfa_register rbp",
        "sub rsp, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "call {asmcgocall}",
        "leave",                          ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
    )
}

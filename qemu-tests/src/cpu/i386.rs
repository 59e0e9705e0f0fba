//! Register tests on i386.

use core::arch::{global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use stackgate::arch::i386::frame::Arguments;

/// psABI 2.2.2: ebp designates the caller's ebp, above which the return address lies.
pub const PERF: crate::perf::Chain = crate::perf::Chain {
    register: 5,
    link: 0,
    pc: 4,
    pc_is_in_next: false,
    pc_bits: usize::MAX,
    upwards: false,
};

/// Cases of this CPU alone: none.
pub const CASES: &[crate::harness::Case] = &[];

/// The callee-saved registers of the C ABI, in the order of a pattern's words.
pub const KEPT: &[&str] = &["ebx", "esi", "edi", "ebp"];

/// A word for each register of [`KEPT`].
pub type Pattern = [u64; KEPT.len()];

/// Calls `f(args...)` with `pattern` in the callee-saved registers, and stores what they hold after.
///
/// # Safety
/// `f` is a C function of up to four words.
#[unsafe(naked)]
pub unsafe extern "C" fn with_pattern(
    f: usize,
    args: *const [usize; 4],
    pattern: *const Pattern,
    seen: *mut Pattern,
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push ebp",                       ".cfi_adjust_cfa_offset 4", ".cfi_rel_offset ebp, 0",
        "push ebx",                       ".cfi_adjust_cfa_offset 4", ".cfi_rel_offset ebx, 0",
        "push esi",                       ".cfi_adjust_cfa_offset 4", ".cfi_rel_offset esi, 0",
        "push edi",                       ".cfi_adjust_cfa_offset 4", ".cfi_rel_offset edi, 0",
        "mov eax, [esp + 16 + {f}]",
        "mov ecx, [esp + 16 + {args}]",
        "mov edx, [esp + 16 + {pattern}]",
        "sub esp, 12",                    ".cfi_adjust_cfa_offset 12",
        "push dword ptr [ecx + 12]",      ".cfi_adjust_cfa_offset 4",
        "push dword ptr [ecx + 8]",       ".cfi_adjust_cfa_offset 4",
        "push dword ptr [ecx + 4]",       ".cfi_adjust_cfa_offset 4",
        "push dword ptr [ecx]",           ".cfi_adjust_cfa_offset 4",
        "mov ebx, [edx]",
        "mov esi, [edx + 8]",
        "mov edi, [edx + 16]",
        "mov ebp, [edx + 24]",
        "call eax",
        "mov ecx, [esp + 28 + 16 + {seen}]",
        "xor edx, edx",
        "mov [ecx], ebx",
        "mov [ecx + 4], edx",
        "mov [ecx + 8], esi",
        "mov [ecx + 12], edx",
        "mov [ecx + 16], edi",
        "mov [ecx + 20], edx",
        "mov [ecx + 24], ebp",
        "mov [ecx + 28], edx",
        "add esp, 28",                    ".cfi_adjust_cfa_offset -28",
        "pop edi",                        ".cfi_adjust_cfa_offset -4", ".cfi_restore edi",
        "pop esi",                        ".cfi_adjust_cfa_offset -4", ".cfi_restore esi",
        "pop ebx",                        ".cfi_adjust_cfa_offset -4", ".cfi_restore ebx",
        "pop ebp",                        ".cfi_adjust_cfa_offset -4", ".cfi_restore ebp",
        "ret",
        ".cfi_endproc",
        f = const offset_of!(Arguments, first),
        args = const offset_of!(Arguments, second),
        pattern = const offset_of!(Arguments, third),
        seen = const offset_of!(Arguments, fourth),
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
        "mov ecx, 0x11111111",
        "mov edx, 0x22222222",
        "movd xmm0, ecx",
        "movd xmm1, edx",
        "movd xmm2, ecx",
        "movd xmm3, edx",
        "movd xmm4, ecx",
        "movd xmm5, edx",
        "movd xmm6, ecx",
        "movd xmm7, edx",
        // Every x87 register is written, and none is in use at the end.
        ".rept 8", "fldpi", ".endr",
        ".rept 8", "fstp st(0)", ".endr",
        // The arguments are the callee's too.
        "mov dword ptr [esp + {arg}], 0x33333333",
        "mov eax, 0x7fffffff",
        "add eax, 1",
        "mov eax, 7",
        "ret",
        ".cfi_endproc",
        arg = const offset_of!(Arguments, first),
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
        "mov eax, [esp + {frame}]",
        "mov ecx, [esp + {n}]",
        "mov [eax], ecx",
        "mov ecx, [esp + {ctxt}]",
        "mov [eax + 4], ecx",
        "mov dword ptr [esp + {n}], 0x44444444",
        "mov dword ptr [esp + {ctxt}], 0x55555555",
        "mov ebx, 0x10101010",
        "mov esi, 0x20202020",
        "mov edi, 0x30303030",
        "mov ebp, 0x40404040",
        "jmp {volatile}",
        ".cfi_endproc",
        volatile = sym clobber_volatile,
        frame = const offset_of!(Arguments, first),
        n = const offset_of!(Arguments, second),
        ctxt = const offset_of!(Arguments, third),
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
        "mov eax, [esp + {arg}]",
        "mov [eax], esp",
        "mov [eax + 4], ebp",
        "pushfd",                         ".cfi_adjust_cfa_offset 4",
        "pop ecx",                        ".cfi_adjust_cfa_offset -4",
        "mov [eax + 8], ecx",
        "xor ecx, ecx",
        "mov [eax + 12], ecx",
        "mov [eax + 16], ecx",
        "mov [eax + 20], ecx",
        "mov [eax + 24], ecx",
        "mov [eax + 28], ecx",
        "xor eax, eax",
        "ret",
        ".cfi_endproc",
        arg = const offset_of!(Arguments, first),
    )
}

/// The part of `word` that the register with this index in [`KEPT`] can hold.
pub fn representable(_index: usize, word: u64) -> u64 {
    word & 0xffff_ffff
}

/// Calls `f(arg)` through `ccall`.
///
/// # Safety
/// As `asmcgocall`.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_one(f: stackgate::CFn, arg: *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        // The argument goes to where a call of f would have it.
        "mov eax, [esp + {f}]",
        "mov ecx, [esp + {arg}]",
        "mov [esp + {f}], ecx",
        "mov ecx, 1",
        "jmp {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
        f = const offset_of!(Arguments, first),
        arg = const offset_of!(Arguments, second),
    )
}

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize) -> Wide {
    naked_asm!(
        ".cfi_startproc",
        "mov eax, [esp + {f}]",
        "mov ecx, 3",
        "jmp {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
        f = const size_of::<[usize; 4]>(),
    )
}

/// Calls `f(a, b)` through `ccall`.
///
/// # Safety
/// `f` takes two doubles and returns one.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_doubles(a: f64, b: f64, f: usize) -> f64 {
    naked_asm!(
        ".cfi_startproc",
        "mov eax, [esp + {f}]",
        "mov ecx, 4",
        "jmp {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
        f = const size_of::<[usize; 5]>(),
    )
}

/// The widest integer that a function returns in registers: eax and edx.
pub type Wide = u64;

/// What gcc makes of the instructions in `VALGRIND_DO_CLIENT_REQUEST_EXPR`, `valgrind.h` of valgrind 3.19.
pub const CLIENT_REQUEST: &[u8] =
    &[0xc1, 0xc7, 0x03, 0xc1, 0xc7, 0x0d, 0xc1, 0xc7, 0x1d, 0xc1, 0xc7, 0x13, 0x87, 0xdb];

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 4;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 16;
/// What remains of that at the callee's entry: the return address lies there.
pub const SP_AT_ENTRY: usize = 12;

/// Not used: the host's own CPU is another.
pub const EVERY_INSTRUCTION: Option<crate::scenarios::EveryInstruction> = None;

/// Checks what [`entry_state`] found, beside SP: the direction flag is clear (psABI 2.2.1), and after a
/// crossing ebp designates the crossing's record, which lies close above SP.
pub fn check_entry(what: &str, state: &[usize; 8], crossing: bool) {
    const DIRECTION: usize = 1 << 10;
    crate::check_eq!(state[2] & DIRECTION, 0, "{what}: DF");
    if crossing {
        let record: *const [usize; 2] = core::ptr::with_exposed_provenance(state[1]);
        crate::check!((state[0]..state[0] + 256).contains(&record.addr()), "{what}: ebp {record:?}");
        // SAFETY: the stack above SP, which the test stands on.
        crate::check!(unsafe { (*record)[1] } != 0, "{what}: the record has a return address");
    }
}

/// A task's function that calls `block.f(block.arg)` through `block.through` and survives that its stack is
/// moved meanwhile. Its CFA is defined by ebp, which designates its own frame.
///
/// # Safety
/// `block` is the address of a [`Movable`](crate::movable::Movable) off the task's stack.
#[unsafe(naked)]
#[unsafe(export_name = "step_movable")]
pub unsafe extern "C" fn movable(block: usize) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push ebp",                       ".cfi_def_cfa_offset 8", ".cfi_offset ebp, -8",
        "mov ebp, esp",                   ".cfi_def_cfa_register ebp",
        "sub esp, 16",
        "mov eax, [ebp + 4 + {block}]",
        "mov [ebp - 4], eax",
        "mov dword ptr [ebp - 8], 0x11223344",
        "mov dword ptr [ebp - 12], 0x55667788",
        "lea ecx, [eax + {thrown}]",
        "push ecx",
        "push dword ptr [eax + {arg}]",
        "push dword ptr [eax + {f}]",
        "call dword ptr [eax + {through}]",
        "mov ecx, [ebp - 4]",
        "mov [ecx + {result}], eax",
        "mov edx, [ebp - 8]",
        "mov [ecx + {locals}], edx",
        "mov edx, [ebp - 12]",
        "mov [ecx + {locals} + 4], edx",
        "leave",                          ".cfi_def_cfa esp, 4", ".cfi_restore ebp",
        "ret",
        ".cfi_endproc",
        block = const offset_of!(Arguments, first),
        through = const offset_of!(crate::movable::Movable, through),
        f = const offset_of!(crate::movable::Movable, f),
        arg = const offset_of!(crate::movable::Movable, arg),
        result = const offset_of!(crate::movable::Movable, result),
        thrown = const offset_of!(crate::movable::Movable, thrown),
        locals = const offset_of!(crate::movable::Movable, locals),
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
        "sub esp, 4",                     ".cfi_adjust_cfa_offset 4",
        "push dword ptr [esp + 4 + {job}]", ".cfi_adjust_cfa_offset 4",
        "push dword ptr [esp + 8 + {f}]", ".cfi_adjust_cfa_offset 4",
        "call {asmcgocall}",
        "add esp, 12",                    ".cfi_adjust_cfa_offset -12",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
        job = const offset_of!(Arguments, first),
        f = const offset_of!(Arguments, second),
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
pub unsafe extern "C" fn variable_frame(size: usize, f: stackgate::CFn, arg: *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "push ebp",                       ".cfi_def_cfa_offset 8", ".cfi_offset ebp, -8",
        "mov ebp, esp",                   ".cfi_def_cfa_register ebp",
        "sub esp, [ebp + 4 + {size}]",
        "push dword ptr [ebp + 4 + {arg}]",
        "push dword ptr [ebp + 4 + {f}]",
        "call {asmcgocall}",
        "leave",                          ".cfi_def_cfa esp, 4", ".cfi_restore ebp",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
        size = const offset_of!(Arguments, first),
        f = const offset_of!(Arguments, second),
        arg = const offset_of!(Arguments, third),
    )
}

// What the cases of `jit` copy to where code is made at run time: a managed function, entered by `crosscall2`, that
// keeps a frame record and no register. It calls `words[0](words[1])` by `ccall`, which is at `words[2]`, and puts the
// result into `words[3]`.
global_asm!(
    ".pushsection .rodata.jit, \"a\", %progbits",
    ".balign 16",
    ".globl qemu_tests_jit, qemu_tests_jit_end",
    "qemu_tests_jit:",
    "push ebp",
    "mov ebp, esp",
    "sub esp, 24",
    "mov edx, [ebp + 8]",
    "mov ecx, [edx + 4]",
    "mov [esp], ecx",
    "mov ecx, 1",
    "mov eax, [edx]",
    "mov edx, [edx + 8]",
    "mov ebx, -1",
    "mov esi, ebx",
    "mov edi, ebx",
    "call edx",
    "mov edx, [ebp + 8]",
    "mov [edx + 12], eax",
    "leave",
    "ret",
    "qemu_tests_jit_end:",
    ".popsection",
);

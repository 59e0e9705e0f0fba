//! Register tests on x86_64.

use core::arch::{global_asm, naked_asm};
use core::ffi::{c_int, c_void};

/// psABI 3.2.2: rbp designates the caller's rbp, above which the return address lies.
pub const PERF: crate::perf::Chain = crate::perf::Chain {
    register: 6,
    link: 0,
    pc: 8,
    pc_is_in_next: false,
    pc_bits: usize::MAX,
    upwards: false,
};

/// Cases of this CPU alone.
pub const CASES: &[crate::harness::Case] = windows::CASES;

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

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is. Where rax, of which variadic functions read al,
/// does not get there, `f` is not called and the result is another.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize /* rcx */) -> Wide {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rcx",
        "lea r11, [rip + 2f]",
        "jmp {ccall}",
        // What is called.
        "2:",
        "cmp rax, rcx",
        "jne 3f",
        "jmp rcx",
        "3:",
        "ret",
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

/// What gcc makes of the instructions in `VALGRIND_DO_CLIENT_REQUEST_EXPR`, `valgrind.h` of valgrind 3.19.
pub const CLIENT_REQUEST: &[u8] = &[
    0x48, 0xc1, 0xc7, 0x03, 0x48, 0xc1, 0xc7, 0x0d, 0x48, 0xc1, 0xc7, 0x3d, 0x48, 0xc1, 0xc7, 0x33, 0x48,
    0x87, 0xdb,
];

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 8;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 16;
/// What remains of that at the callee's entry: the return address lies there.
pub const SP_AT_ENTRY: usize = 8;

/// How this CPU traps after every instruction of the thread: by the trap flag, which the kernel clears while a
/// handler runs.
pub const EVERY_INSTRUCTION: Option<crate::scenarios::EveryInstruction> =
    Some(crate::scenarios::EveryInstruction { begin: set_trap_flag, end: clear_trap_flag });

/// TF of RFLAGS (Intel SDM 1, 3.4.3).
const TRAP_FLAG: u64 = 1 << 8;

/// The first trap comes after the instruction behind `popfq`.
#[unsafe(naked)]
extern "C" fn set_trap_flag() {
    naked_asm!(
        ".cfi_startproc",
        "pushfq",
        ".cfi_adjust_cfa_offset 8",
        "or qword ptr [rsp], {trap_flag}",
        "popfq",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
        trap_flag = const TRAP_FLAG,
    )
}

/// Clears it where a handler's return takes the flags from.
unsafe fn clear_trap_flag(ucontext: *mut c_void) {
    /// `uc_mcontext.eflags`, `asm/sigcontext.h` of Linux: behind `uc_flags`, `uc_link`, `uc_stack` and 17 words.
    const EFLAGS: usize = 40 + 17 * 8;
    // SAFETY: the field lies inside what the kernel wrote.
    unsafe { *ucontext.byte_add(EFLAGS).cast::<u64>() &= !TRAP_FLAG };
}

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

/// The way in for callers of the Windows convention.
mod windows {
    use super::clobber_everything;
    use crate::setup::{in_c, in_task};
    use crate::{cases, check_eq};
    use core::arch::naked_asm;
    use stackgate::{CallbackFn, arch};

    /// What a function of that convention gives back as it found it, beside SP (*x64 calling convention*,
    /// Microsoft, "Callee-saved registers"): words and, behind those, vectors.
    const WORDS: [&str; 8] = ["rbx", "rbp", "r12", "r13", "r14", "r15", "rdi", "rsi"];
    /// The vectors.
    const VECTORS: [&str; 10] =
        ["xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"];

    /// A value for each.
    #[derive(Clone, Copy)]
    #[repr(C, align(16))]
    struct Kept {
        words: [u64; WORDS.len()],
        vectors: [[u64; 2]; VECTORS.len()],
    }

    /// Calls `crosscall2_win64(f, words, n, ctxt)` with these values, and stores what is there after.
    #[unsafe(naked)]
    unsafe extern "C" fn with_kept(
        f: CallbackFn,          /* rdi */
        words: *mut [usize; 2], /* rsi */
        n: i32,                 /* edx */
        ctxt: usize,            /* rcx */
        kept: *mut Kept,        /* r8 */
    ) {
        naked_asm!(
            ".cfi_startproc",
            "push rbp", ".cfi_def_cfa_offset 16", ".cfi_offset rbp, -16",
            "mov rbp, rsp", ".cfi_def_cfa_register rbp",
            "push rbx", ".cfi_offset rbx, -24",
            "push r12", ".cfi_offset r12, -32",
            "push r13", ".cfi_offset r13, -40",
            "push r14", ".cfi_offset r14, -48",
            "push r15", ".cfi_offset r15, -56",
            // rbp gets another value too, so the CFA is counted from SP meanwhile. 40 bytes: the 32 that a
            // callee of this convention may use, and `kept` at the upper end; SP + 96 is the CFA.
            "sub rsp, 40",
            "mov [rsp + 32], r8",
            "mov r9, rcx",
            "mov r10, rdx",
            "mov rcx, rdi",
            "mov rdx, rsi",
            "mov rbx, [r8]", "mov r12, [r8 + 16]", "mov r13, [r8 + 24]", "mov r14, [r8 + 32]",
            "mov r15, [r8 + 40]", "mov rdi, [r8 + 48]", "mov rsi, [r8 + 56]",
            "movaps xmm6, [r8 + 64]", "movaps xmm7, [r8 + 80]", "movaps xmm8, [r8 + 96]",
            "movaps xmm9, [r8 + 112]", "movaps xmm10, [r8 + 128]", "movaps xmm11, [r8 + 144]",
            "movaps xmm12, [r8 + 160]", "movaps xmm13, [r8 + 176]", "movaps xmm14, [r8 + 192]",
            "movaps xmm15, [r8 + 208]",
            ".cfi_def_cfa rsp, 96",
            "mov rbp, [r8 + 8]",
            "mov r8d, r10d",
            "call {crosscall2_win64}",
            "mov r8, [rsp + 32]",
            "mov [r8 + 8], rbp",
            "lea rbp, [rsp + 80]", ".cfi_def_cfa rbp, 16",
            "mov [r8], rbx", "mov [r8 + 16], r12", "mov [r8 + 24], r13", "mov [r8 + 32], r14",
            "mov [r8 + 40], r15", "mov [r8 + 48], rdi", "mov [r8 + 56], rsi",
            "movaps [r8 + 64], xmm6", "movaps [r8 + 80], xmm7", "movaps [r8 + 96], xmm8",
            "movaps [r8 + 112], xmm9", "movaps [r8 + 128], xmm10", "movaps [r8 + 144], xmm11",
            "movaps [r8 + 160], xmm12", "movaps [r8 + 176], xmm13", "movaps [r8 + 192], xmm14",
            "movaps [r8 + 208], xmm15",
            "add rsp, 40",
            "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx",
            "pop rbp", ".cfi_def_cfa rsp, 8",
            "ret",
            ".cfi_endproc",
            crosscall2_win64 = sym arch::crosscall2_win64,
        )
    }

    fn crosscall2_win64() {
        in_task(|| {
            in_c(|| {
                let word = |i: usize| 0x0101_0101_0101_0101u64.wrapping_mul(i as u64 + 1);
                let before = Kept {
                    words: core::array::from_fn(word),
                    vectors: core::array::from_fn(|i| [word(20 + 2 * i), word(21 + 2 * i)]),
                };
                let (mut after, mut words) = (before, [0usize; 2]);
                // SAFETY: C below a task; managed code that changes everything and writes two words.
                unsafe { with_kept(clobber_everything, &raw mut words, -5, 0x1234, &raw mut after) };
                check_eq!(words, [-5isize as usize, 0x1234], "crosscall2_win64: n, ctxt");
                for (i, register) in WORDS.iter().enumerate() {
                    check_eq!(after.words[i], before.words[i], "crosscall2_win64 lost {register}");
                }
                for (i, register) in VECTORS.iter().enumerate() {
                    check_eq!(after.vectors[i], before.vectors[i], "crosscall2_win64 lost {register}");
                }
            });
        });
    }

    cases! {
        "registers";
        "crosscall2_win64" => crosscall2_win64;
    }
}

// What the cases of `jit` copy to where code is made at run time: a managed function, entered by `crosscall2`, that
// keeps a frame record and no register. It calls `words[0](words[1])` by `ccall`, which is at `words[2]`, and puts the
// result into `words[3]`.
global_asm!(
    ".pushsection .rodata.jit, \"a\", %progbits",
    ".balign 16",
    ".globl qemu_tests_jit, qemu_tests_jit_end",
    "qemu_tests_jit:",
    "push rbp",
    "mov rbp, rsp",
    "push rdi",
    "push rdi",
    "mov r11, [rdi]",
    "mov rax, [rdi + 16]",
    "mov rdi, [rdi + 8]",
    "mov rbx, -1",
    "mov r12, rbx",
    "mov r13, rbx",
    "mov r14, rbx",
    "mov r15, rbx",
    "call rax",
    "mov rdi, [rbp - 8]",
    "mov [rdi + 24], rax",
    "leave",
    "ret",
    "qemu_tests_jit_end:",
    ".popsection",
);

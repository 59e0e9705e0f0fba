//! Register tests on s390x.

use core::arch::{global_asm, naked_asm};
use core::ffi::{c_int, c_void};

/// ABI 1.2.2.2, with a back chain: in the frame that it designates r14 lies.
pub const PERF: crate::perf::Chain = crate::perf::Chain {
    register: 15,
    link: 0,
    pc: 112,
    pc_is_in_next: true,
    pc_bits: usize::MAX,
    upwards: false,
};

/// Cases of this CPU alone: none.
pub const CASES: &[crate::harness::Case] = &[];

/// The callee-saved registers of the C ABI, in the order of a pattern's words.
pub const KEPT: &[&str] = &[
    "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15",
];

/// A word for each register of [`KEPT`].
pub type Pattern = [u64; KEPT.len()];

/// Calls `f(args...)` with `pattern` in the callee-saved registers, and stores what they hold after.
///
/// # Safety
/// `f` is a C function of up to four words.
#[unsafe(naked)]
pub unsafe extern "C" fn with_pattern(
    f: usize,                /* r2 */
    args: *const [usize; 4], /* r3 */
    pattern: *const Pattern, /* r4 */
    seen: *mut Pattern,      /* r5 */
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "stmg %r6, %r15, 48(%r15)",
        ".cfi_rel_offset %r6, 48",
        ".cfi_rel_offset %r7, 56",
        ".cfi_rel_offset %r8, 64",
        ".cfi_rel_offset %r9, 72",
        ".cfi_rel_offset %r10, 80",
        ".cfi_rel_offset %r11, 88",
        ".cfi_rel_offset %r12, 96",
        ".cfi_rel_offset %r13, 104",
        ".cfi_rel_offset %r14, 112",
        ".cfi_rel_offset %r15, 120",
        // A frame, behind which lie f8 to f15 and `seen`.
        "lgr %r1, %r15",
        "aghi %r15, -232",
        ".cfi_adjust_cfa_offset 232",
        "stg %r1, 0(%r15)",
        "std %f8, 160(%r15)",
        ".cfi_rel_offset %f8, 160",
        "std %f9, 168(%r15)",
        ".cfi_rel_offset %f9, 168",
        "std %f10, 176(%r15)",
        ".cfi_rel_offset %f10, 176",
        "std %f11, 184(%r15)",
        ".cfi_rel_offset %f11, 184",
        "std %f12, 192(%r15)",
        ".cfi_rel_offset %f12, 192",
        "std %f13, 200(%r15)",
        ".cfi_rel_offset %f13, 200",
        "std %f14, 208(%r15)",
        ".cfi_rel_offset %f14, 208",
        "std %f15, 216(%r15)",
        ".cfi_rel_offset %f15, 216",
        "stg %r5, 224(%r15)",
        "lmg %r6, %r13, 0(%r4)",
        "ld %f8, 64(%r4)",
        "ld %f9, 72(%r4)",
        "ld %f10, 80(%r4)",
        "ld %f11, 88(%r4)",
        "ld %f12, 96(%r4)",
        "ld %f13, 104(%r4)",
        "ld %f14, 112(%r4)",
        "ld %f15, 120(%r4)",
        "lgr %r1, %r2",
        "lmg %r2, %r5, 0(%r3)",
        "basr %r14, %r1",
        "lg %r1, 224(%r15)",
        "stmg %r6, %r13, 0(%r1)",
        "std %f8, 64(%r1)",
        "std %f9, 72(%r1)",
        "std %f10, 80(%r1)",
        "std %f11, 88(%r1)",
        "std %f12, 96(%r1)",
        "std %f13, 104(%r1)",
        "std %f14, 112(%r1)",
        "std %f15, 120(%r1)",
        "ld %f8, 160(%r15)",
        ".cfi_restore %f8",
        "ld %f9, 168(%r15)",
        ".cfi_restore %f9",
        "ld %f10, 176(%r15)",
        ".cfi_restore %f10",
        "ld %f11, 184(%r15)",
        ".cfi_restore %f11",
        "ld %f12, 192(%r15)",
        ".cfi_restore %f12",
        "ld %f13, 200(%r15)",
        ".cfi_restore %f13",
        "ld %f14, 208(%r15)",
        ".cfi_restore %f14",
        "ld %f15, 216(%r15)",
        ".cfi_restore %f15",
        "lmg %r6, %r15, 280(%r15)",
        ".cfi_adjust_cfa_offset -232",
        ".cfi_restore %r6",
        ".cfi_restore %r7",
        ".cfi_restore %r8",
        ".cfi_restore %r9",
        ".cfi_restore %r10",
        ".cfi_restore %r11",
        ".cfi_restore %r12",
        ".cfi_restore %r13",
        ".cfi_restore %r14",
        ".cfi_restore %r15",
        "br %r14",
        ".cfi_endproc",
    )
}

/// Writes something else into every register that a C function may change. Returns 7.
///
/// The vector registers need an instruction set that Rust's target does not assume, and which QEMU has.
///
/// # Safety
/// The CPU has the vector facility.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_volatile(arg: *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        // What these instructions are made of goes into v16 to v31 (vector load), and into the right halves of
        // v8 to v15 (vector load element, 1), whose left halves are kept.
        "larl %r1, {code}",
        ".insn vrx, 0xe70000000006, %v16, 0(%r1), 0",
        ".insn vrx, 0xe70000000006, %v17, 4(%r1), 0",
        ".insn vrx, 0xe70000000006, %v18, 8(%r1), 0",
        ".insn vrx, 0xe70000000006, %v19, 12(%r1), 0",
        ".insn vrx, 0xe70000000006, %v20, 16(%r1), 0",
        ".insn vrx, 0xe70000000006, %v21, 20(%r1), 0",
        ".insn vrx, 0xe70000000006, %v22, 24(%r1), 0",
        ".insn vrx, 0xe70000000006, %v23, 28(%r1), 0",
        ".insn vrx, 0xe70000000006, %v24, 32(%r1), 0",
        ".insn vrx, 0xe70000000006, %v25, 36(%r1), 0",
        ".insn vrx, 0xe70000000006, %v26, 40(%r1), 0",
        ".insn vrx, 0xe70000000006, %v27, 44(%r1), 0",
        ".insn vrx, 0xe70000000006, %v28, 48(%r1), 0",
        ".insn vrx, 0xe70000000006, %v29, 52(%r1), 0",
        ".insn vrx, 0xe70000000006, %v30, 56(%r1), 0",
        ".insn vrx, 0xe70000000006, %v31, 60(%r1), 0",
        ".insn vrx, 0xe70000000002, %v8, 32(%r1), 1",
        ".insn vrx, 0xe70000000002, %v9, 36(%r1), 1",
        ".insn vrx, 0xe70000000002, %v10, 40(%r1), 1",
        ".insn vrx, 0xe70000000002, %v11, 44(%r1), 1",
        ".insn vrx, 0xe70000000002, %v12, 48(%r1), 1",
        ".insn vrx, 0xe70000000002, %v13, 52(%r1), 1",
        ".insn vrx, 0xe70000000002, %v14, 56(%r1), 1",
        ".insn vrx, 0xe70000000002, %v15, 60(%r1), 1",
        "lghi %r0, 0x7171",
        "ldgr %f0, %r0",
        "ldgr %f1, %r0",
        "ldgr %f2, %r0",
        "ldgr %f3, %r0",
        "ldgr %f4, %r0",
        "ldgr %f5, %r0",
        "ldgr %f6, %r0",
        "ldgr %f7, %r0",
        // a0 and a1 are the thread pointer.
        "sar %a2, %r0",
        "sar %a3, %r0",
        "sar %a4, %r0",
        "sar %a5, %r0",
        "sar %a6, %r0",
        "sar %a7, %r0",
        "sar %a8, %r0",
        "sar %a9, %r0",
        "sar %a10, %r0",
        "sar %a11, %r0",
        "sar %a12, %r0",
        "sar %a13, %r0",
        "sar %a14, %r0",
        "sar %a15, %r0",
        "lgr %r1, %r14",
        ".cfi_register %r14, %r1",
        "lghi %r0, 0x1010",
        "lghi %r3, 0x3030",
        "lghi %r4, 0x4040",
        "lghi %r5, 0x5050",
        "lghi %r14, 0x6060",
        // An int result is sign-extended; what calls this for an int may look at no more.
        "lghi %r2, 7",
        "ltgr %r0, %r0",
        "br %r1",
        ".cfi_endproc",
        code = sym clobber_volatile,
    )
}

/// What managed code without callee-saved registers does: stores `n` and `ctxt` in the two words at `frame`,
/// then changes every register but SP and the thread pointer.
///
/// # Safety
/// `frame` is valid for two words.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_everything(frame: *mut c_void, n: usize, ctxt: usize) {
    naked_asm!(
        ".cfi_startproc",
        "stmg %r3, %r4, 0(%r2)",
        "lghi %r6, 0x0606",
        "lghi %r7, 0x0707",
        "lghi %r8, 0x0808",
        "lghi %r9, 0x0909",
        "lghi %r10, 0x1010",
        "lghi %r11, 0x1111",
        "lghi %r12, 0x1212",
        "lghi %r13, 0x1313",
        "ldgr %f8, %r6", "ldgr %f9, %r7", "ldgr %f10, %r8", "ldgr %f11, %r9",
        "ldgr %f12, %r10", "ldgr %f13, %r11", "ldgr %f14, %r12", "ldgr %f15, %r13",
        "jg {volatile}",
        ".cfi_endproc",
        volatile = sym clobber_volatile,
    )
}

/// What a C function finds at its entry: SP, the back chain word, the program mask, the floating-point control
/// register.
///
/// # Safety
/// `arg` is valid for eight words.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_state(arg: *mut [usize; 8]) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "stg %r15, 0(%r2)",
        "lg %r1, 0(%r15)",
        "stg %r1, 8(%r2)",
        // The condition code and the program mask go to bits 24 to 31 of the lower word.
        "lghi %r1, 0",
        "ipm %r1",
        "stg %r1, 16(%r2)",
        "lghi %r1, 0",
        "efpc %r1",
        "stg %r1, 24(%r2)",
        "lghi %r2, 0",
        "br %r14",
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
pub unsafe extern "C" fn ccall_one(f: stackgate::CFn /* r2 */, arg: *mut c_void /* r3 */) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "jg {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize /* r5 */) -> Wide {
    naked_asm!(
        ".cfi_startproc",
        "lgr %r1, %r5",
        "jg {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b)` through `ccall`.
///
/// # Safety
/// `f` takes two doubles and returns one.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_doubles(a: f64, b: f64, f: usize /* r2 */) -> f64 {
    naked_asm!(
        ".cfi_startproc",
        "lgr %r1, %r2",
        "jg {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// The widest integer that a function returns in registers: r2.
pub type Wide = u64;

/// What gcc makes of the instructions in `VALGRIND_DO_CLIENT_REQUEST_EXPR`, `valgrind.h` of valgrind 3.19.
pub const CLIENT_REQUEST: &[u8] = &[0x18, 0xff, 0x18, 0x11, 0x18, 0x22, 0x18, 0x33, 0x18, 0x22];

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 8;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 8;
/// What remains of that at the callee's entry.
pub const SP_AT_ENTRY: usize = 0;

/// Not used: the host's own CPU is another.
pub const EVERY_INSTRUCTION: Option<crate::scenarios::EveryInstruction> = None;

/// Checks what [`entry_state`] found, beside SP: after a crossing the back chain goes on at another frame, the
/// program mask is zero (ABI 1.2.1.1), and so is the floating-point control register, which nobody here has changed.
pub fn check_entry(what: &str, state: &[usize; 8], crossing: bool) {
    if crossing {
        crate::check!(state[1] != 0 && state[1] != state[0], "{what}: back chain {:#x}", state[1]);
        crate::check_eq!(state[1] % SP_ALIGN, 0, "{what}: back chain {:#x}", state[1]);
    }
    crate::check_eq!(state[2] >> 24 & 0xf, 0, "{what}: program mask");
    crate::check_eq!(state[3], 0, "{what}: fpc");
}

/// A task's function that calls `block.f(block.arg)` through `block.through` and survives that its stack is
/// moved meanwhile. Its CFA is defined by r11, which designates its own frame.
///
/// # Safety
/// `block` is the address of a [`Movable`](crate::movable::Movable) off the task's stack.
#[unsafe(naked)]
#[unsafe(export_name = "step_movable")]
pub unsafe extern "C" fn movable(block: usize /* r2 */) -> usize /* r2 */ {
    naked_asm!(
        ".cfi_startproc",
        "stmg %r11, %r14, 88(%r15)",
        ".cfi_rel_offset %r11, 88", ".cfi_rel_offset %r12, 96", ".cfi_rel_offset %r13, 104",
        ".cfi_rel_offset %r14, 112", ".cfi_val_offset %r15, -160",
        "lgr %r1, %r15",
        "aghi %r15, -184",                ".cfi_adjust_cfa_offset 184",
        "stg %r1, 0(%r15)",
        "lgr %r11, %r15",                 ".cfi_def_cfa_register %r11",
        "stg %r2, 160(%r11)",
        "lgfi %r1, 0x11223344",
        "stg %r1, 168(%r11)",
        "lgfi %r1, 0x55667788",
        "stg %r1, 176(%r11)",
        "lg %r1, {through}(%r2)",
        "la %r4, {thrown}(%r2)",
        "lg %r3, {arg}(%r2)",
        "lg %r2, {f}(%r2)",
        "basr %r14, %r1",
        "lg %r1, 160(%r11)",
        "lgfr %r2, %r2",
        "stg %r2, {result}(%r1)",
        // By SP, which a crossing may have loaded from memory.
        "mvc {locals}(16,%r1), 168(%r15)",
        "lay %r15, 184(%r11)",            ".cfi_def_cfa %r15, 160",
        "lmg %r11, %r14, 88(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",
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
        "stg %r14, 112(%r15)",            ".cfi_rel_offset %r14, 112", ".cfi_val_offset %r15, -160",
        "lgr %r1, %r15",
        "aghi %r15, -160",                ".cfi_adjust_cfa_offset 160",
        "stg %r1, 0(%r15)",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "lgr %r3, %r1",
        "brasl %r14, {asmcgocall}",
        "aghi %r15, 160",                 ".cfi_adjust_cfa_offset -160",
        "lg %r14, 112(%r15)",             ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
    )
}

/// The back chain words of [`movable`] and [`movable_callback`] are addresses of their stack.
pub use crate::movable::rewrite_all as relink;

/// Calls `f(arg)` through `asmcgocall` from a frame that is `size` bytes larger than usual.
///
/// # Safety
/// `size` is a multiple of [`SP_LEAST`] that the stack has room for.
#[unsafe(naked)]
pub unsafe extern "C" fn variable_frame(
    size: usize,       /* r2 */
    f: stackgate::CFn, /* r3 */
    arg: *mut c_void,  /* r4 */
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "stmg %r11, %r15, 88(%r15)",
        ".cfi_rel_offset %r11, 88", ".cfi_rel_offset %r12, 96", ".cfi_rel_offset %r13, 104",
        ".cfi_rel_offset %r14, 112", ".cfi_rel_offset %r15, 120",
        "lgr %r11, %r15",                 ".cfi_def_cfa_register %r11",
        "sgr %r15, %r2",
        "aghi %r15, -160",
        "stg %r11, 0(%r15)",
        "lgr %r2, %r3",
        "lgr %r3, %r4",
        "brasl %r14, {asmcgocall}",
        "lmg %r11, %r15, 88(%r11)",       ".cfi_def_cfa %r15, 160",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14", ".cfi_restore %r15",
        "br %r14",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
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
    "stmg %r14, %r15, 112(%r15)",
    "lgr %r1, %r15",
    "aghi %r15, -176",
    "stg %r1, 0(%r15)",
    "stg %r2, 160(%r15)",
    "lg %r3, 16(%r2)",
    "lg %r1, 0(%r2)",
    "lg %r2, 8(%r2)",
    "lghi %r6, -1",
    "lgr %r7, %r6",
    "lgr %r8, %r6",
    "lgr %r9, %r6",
    "lgr %r10, %r6",
    "lgr %r11, %r6",
    "lgr %r12, %r6",
    "lgr %r13, %r6",
    "ldgr %f8, %r6",
    "ldgr %f15, %r6",
    "basr %r14, %r3",
    "lg %r3, 160(%r15)",
    "stg %r2, 24(%r3)",
    "lmg %r14, %r15, 288(%r15)",
    "br %r14",
    "qemu_tests_jit_end:",
    ".popsection",
);

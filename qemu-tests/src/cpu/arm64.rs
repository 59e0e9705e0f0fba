//! Register tests on arm64.

use core::arch::{global_asm, naked_asm};
use core::ffi::{c_int, c_void};

/// AAPCS64 6.4.6, the frame record. The kernel takes the signature off.
pub const PERF: crate::perf::Chain = crate::perf::Chain {
    register: 29,
    link: 0,
    pc: 8,
    pc_is_in_next: false,
    pc_bits: (1 << 48) - 1,
    upwards: true,
};

/// Cases of this CPU alone: none.
pub const CASES: &[crate::harness::Case] = &[];

/// The callee-saved registers of the C ABI, in the order of a pattern's words.
pub const KEPT: &[&str] = &[
    "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "d8", "d9", "d10", "d11",
    "d12", "d13", "d14", "d15",
];

/// A word for each register of [`KEPT`].
pub type Pattern = [u64; KEPT.len()];

/// Calls `f(args...)` with `pattern` in the callee-saved registers, and stores what they hold after.
///
/// # Safety
/// `f` is a C function of up to four words.
#[unsafe(naked)]
pub unsafe extern "C" fn with_pattern(
    f: usize,                /* x0 */
    args: *const [usize; 4], /* x1 */
    pattern: *const Pattern, /* x2 */
    seen: *mut Pattern,      /* x3 */
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "sub sp, sp, 176",
        ".cfi_def_cfa_offset 176",
        "str x3, [sp]",
        "stp x19, x20, [sp, 16]",
        ".cfi_rel_offset x19, 16",
        ".cfi_rel_offset x20, 24",
        "stp x21, x22, [sp, 32]",
        ".cfi_rel_offset x21, 32",
        ".cfi_rel_offset x22, 40",
        "stp x23, x24, [sp, 48]",
        ".cfi_rel_offset x23, 48",
        ".cfi_rel_offset x24, 56",
        "stp x25, x26, [sp, 64]",
        ".cfi_rel_offset x25, 64",
        ".cfi_rel_offset x26, 72",
        "stp x27, x28, [sp, 80]",
        ".cfi_rel_offset x27, 80",
        ".cfi_rel_offset x28, 88",
        "stp d8, d9, [sp, 96]",
        ".cfi_rel_offset d8, 96",
        ".cfi_rel_offset d9, 104",
        "stp d10, d11, [sp, 112]",
        ".cfi_rel_offset d10, 112",
        ".cfi_rel_offset d11, 120",
        "stp d12, d13, [sp, 128]",
        ".cfi_rel_offset d12, 128",
        ".cfi_rel_offset d13, 136",
        "stp d14, d15, [sp, 144]",
        ".cfi_rel_offset d14, 144",
        ".cfi_rel_offset d15, 152",
        "stp x29, x30, [sp, 160]",
        ".cfi_rel_offset x29, 160",
        ".cfi_rel_offset x30, 168",
        "ldp x19, x20, [x2]",
        "ldp x21, x22, [x2, 16]",
        "ldp x23, x24, [x2, 32]",
        "ldp x25, x26, [x2, 48]",
        "ldp x27, x28, [x2, 64]",
        "ldr x29, [x2, 80]",
        "ldp d8, d9, [x2, 88]",
        "ldp d10, d11, [x2, 104]",
        "ldp d12, d13, [x2, 120]",
        "ldp d14, d15, [x2, 136]",
        "mov x9, x0",
        "ldp x2, x3, [x1, 16]",
        "ldp x0, x1, [x1]",
        "blr x9",
        "ldr x3, [sp]",
        "stp x19, x20, [x3]",
        "stp x21, x22, [x3, 16]",
        "stp x23, x24, [x3, 32]",
        "stp x25, x26, [x3, 48]",
        "stp x27, x28, [x3, 64]",
        "str x29, [x3, 80]",
        "stp d8, d9, [x3, 88]",
        "stp d10, d11, [x3, 104]",
        "stp d12, d13, [x3, 120]",
        "stp d14, d15, [x3, 136]",
        "ldp x19, x20, [sp, 16]",
        ".cfi_restore x19",
        ".cfi_restore x20",
        "ldp x21, x22, [sp, 32]",
        ".cfi_restore x21",
        ".cfi_restore x22",
        "ldp x23, x24, [sp, 48]",
        ".cfi_restore x23",
        ".cfi_restore x24",
        "ldp x25, x26, [sp, 64]",
        ".cfi_restore x25",
        ".cfi_restore x26",
        "ldp x27, x28, [sp, 80]",
        ".cfi_restore x27",
        ".cfi_restore x28",
        "ldp d8, d9, [sp, 96]",
        ".cfi_restore d8",
        ".cfi_restore d9",
        "ldp d10, d11, [sp, 112]",
        ".cfi_restore d10",
        ".cfi_restore d11",
        "ldp d12, d13, [sp, 128]",
        ".cfi_restore d12",
        ".cfi_restore d13",
        "ldp d14, d15, [sp, 144]",
        ".cfi_restore d14",
        ".cfi_restore d15",
        "ldp x29, x30, [sp, 160]",
        ".cfi_restore x29",
        ".cfi_restore x30",
        "add sp, sp, 176",
        ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
    )
}

/// Writes something else into every register that a C function may change, but for x18, which may be the
/// platform's. Returns 7.
///
/// # Safety
/// None.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_volatile(arg: *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "mov x1, 0x1111111111111111",
        "mov x2, 0x2222222222222222",
        "mov x3, 0x3333333333333333",
        "mov x4, 0x4444444444444444",
        "mov x5, -5",
        "mov x6, 0x6666666666666666",
        "mov x7, 0x7777777777777777",
        "mov x8, 0x8888888888888888",
        "mov x9, -9",
        "mov x10, 0xaaaaaaaaaaaaaaaa",
        "mov x11, 0xbbbbbbbbbbbbbbbb",
        "mov x12, 0xcccccccccccccccc",
        "mov x13, 0xdddddddddddddddd",
        "mov x14, 0xeeeeeeeeeeeeeeee",
        "mov x15, -15",
        "mov x16, -16",
        "mov x17, -17",
        "dup v0.2d, x1",
        "dup v1.2d, x2",
        "dup v2.2d, x3",
        "dup v3.2d, x4",
        "dup v4.2d, x5",
        "dup v5.2d, x6",
        "dup v6.2d, x7",
        "dup v7.2d, x8",
        // Of v8 to v15 the callee keeps the lower halves.
        "mov v8.d[1], x1",
        "mov v9.d[1], x2",
        "mov v10.d[1], x3",
        "mov v11.d[1], x4",
        "mov v12.d[1], x5",
        "mov v13.d[1], x6",
        "mov v14.d[1], x7",
        "mov v15.d[1], x8",
        "dup v16.2d, x9",
        "dup v17.2d, x10",
        "dup v18.2d, x11",
        "dup v19.2d, x12",
        "dup v20.2d, x13",
        "dup v21.2d, x14",
        "dup v22.2d, x15",
        "dup v23.2d, x16",
        "dup v24.2d, x1",
        "dup v25.2d, x2",
        "dup v26.2d, x3",
        "dup v27.2d, x4",
        "dup v28.2d, x5",
        "dup v29.2d, x6",
        "dup v30.2d, x7",
        "dup v31.2d, x8",
        // The cumulative exception flags, and all of NZCV.
        "mov w0, 0x9f",
        "msr fpsr, x0",
        "mov w0, 0xf0000000",
        "msr nzcv, x0",
        // Only the lower half of a result of 32 bits means something.
        "mov x0, 7",
        "movk x0, 0x9999, lsl 32",
        "movk x0, 0x9999, lsl 48",
        "ret",
        ".cfi_endproc",
    )
}

/// What managed code without callee-saved registers does: stores `n` and `ctxt` in the two words at `frame`,
/// then changes every register but SP and x18, the link register included.
///
/// # Safety
/// `frame` is valid for two words.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_everything(frame: *mut c_void, n: usize, ctxt: usize) {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "stp x1, x2, [x0]",
        "mov x0, x30",                    ".cfi_register x30, x0",
        "mov x19, 0x1010101010101010",
        "mov x20, 0x2020202020202020",
        "mov x21, 0x3030303030303030",
        "mov x22, 0x4040404040404040",
        "mov x23, -23",
        "mov x24, 0x6060606060606060",
        "mov x25, 0x7070707070707070",
        "mov x26, 0x8080808080808080",
        "mov x27, -27",
        "mov x28, -28",
        "mov x29, -29",
        "fmov d8, x19", "fmov d9, x20", "fmov d10, x21", "fmov d11, x22",
        "fmov d12, x23", "fmov d13, x24", "fmov d14, x25", "fmov d15, x26",
        "str x0, [sp, -16]!",             ".cfi_def_cfa_offset 16", ".cfi_offset x30, -16",
        "bl {volatile}",
        "mov x30, -30",
        "ldr x16, [sp], 16",              ".cfi_def_cfa_offset 0", ".cfi_register x30, x16",
        "ret x16",
        ".cfi_endproc",
        volatile = sym clobber_volatile,
    )
}

/// What a C function finds at its entry: SP, the frame pointer.
///
/// # Safety
/// `arg` is valid for eight words.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_state(arg: *mut [usize; 8]) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "mov x9, sp",
        "stp x9, x29, [x0]",
        "stp xzr, xzr, [x0, 16]",
        "stp xzr, xzr, [x0, 32]",
        "stp xzr, xzr, [x0, 48]",
        "mov w0, wzr",
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
pub unsafe extern "C" fn ccall_one(f: stackgate::CFn /* x0 */, arg: *mut c_void /* x1 */) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "mov x9, x0",
        "mov x0, x1",
        "b {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize /* x3 */) -> Wide {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "mov x9, x3",
        "b {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b)` through `ccall`.
///
/// # Safety
/// `f` takes two doubles and returns one.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_doubles(a: f64, b: f64, f: usize /* x0 */) -> f64 {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "mov x9, x0",
        "b {ccall}",
        ".cfi_endproc",
        ccall = sym stackgate::arch::ccall,
    )
}

/// The widest integer that a function returns in registers: x0 and x1.
pub type Wide = u128;

/// What gcc makes of the instructions in `VALGRIND_DO_CLIENT_REQUEST_EXPR`, `valgrind.h` of valgrind 3.19.
pub const CLIENT_REQUEST: &[u8] = &[
    0x8c, 0x0d, 0xcc, 0x93, 0x8c, 0x35, 0xcc, 0x93, 0x8c, 0xcd, 0xcc, 0x93, 0x8c, 0xf5, 0xcc, 0x93, 0x4a,
    0x01, 0x0a, 0xaa,
];

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 16;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 16;
/// What remains of that at the callee's entry: a call leaves nothing on the stack.
pub const SP_AT_ENTRY: usize = 0;

/// Not used: the host's own CPU is another.
pub const EVERY_INSTRUCTION: Option<crate::scenarios::EveryInstruction> = None;

/// Checks what [`entry_state`] found, beside SP: after a crossing x29 designates the crossing's record
/// (AAPCS64 6.4.6), which lies close to SP; where the crossing is a jump, its caller's.
pub fn check_entry(what: &str, state: &[usize; 8], crossing: bool) {
    if crossing {
        let record: *const [usize; 2] = core::ptr::with_exposed_provenance(state[1]);
        crate::check!((state[0]..state[0] + 4096).contains(&record.addr()), "{what}: x29 {record:?}");
        // SAFETY: the stack above SP, which the test stands on.
        crate::check!(unsafe { (*record)[1] } != 0, "{what}: the record has a return address");
    }
}

/// A task's function that calls `block.f(block.arg)` through `block.through` and survives that its stack is
/// moved meanwhile. Its CFA is defined by x29, which designates its own frame.
///
/// # Safety
/// `block` is the address of a [`Movable`](crate::movable::Movable) off the task's stack.
#[unsafe(naked)]
#[unsafe(export_name = "step_movable")]
pub unsafe extern "C" fn movable(block: usize /* x0 */) -> usize /* x0 */ {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "stp x29, x30, [sp, -16]!",       ".cfi_def_cfa_offset 16",
        ".cfi_offset x29, -16", ".cfi_offset x30, -8",
        "mov x29, sp",                    ".cfi_def_cfa_register x29",
        "sub sp, sp, 32",
        "stur x0, [x29, -8]",
        "mov x9, 0x3344",
        "movk x9, 0x1122, lsl 16",
        "stur x9, [x29, -16]",
        "mov x9, 0x7788",
        "movk x9, 0x5566, lsl 16",
        "stur x9, [x29, -24]",
        "ldr x9, [x0, {through}]",
        "add x2, x0, {thrown}",
        "ldr x1, [x0, {arg}]",
        "ldr x0, [x0, {f}]",
        "blr x9",
        "ldur x9, [x29, -8]",
        "sxtw x0, w0",
        "str x0, [x9, {result}]",
        "ldur x10, [x29, -16]",
        "str x10, [x9, {locals}]",
        "ldur x10, [x29, -24]",
        "str x10, [x9, {locals} + 8]",
        "mov sp, x29",                    ".cfi_def_cfa_register sp",
        "ldp x29, x30, [sp], 16",         ".cfi_def_cfa_offset 0", ".cfi_restore x29", ".cfi_restore x30",
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
        "hint 34",
        "str x30, [sp, -16]!",            ".cfi_def_cfa_offset 16", ".cfi_offset x30, -16",
        "mov x9, x0",
        "mov x0, x1",
        "mov x1, x9",
        "bl {asmcgocall}",
        "ldr x30, [sp], 16",              ".cfi_def_cfa_offset 0", ".cfi_restore x30",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
    )
}

/// Repairs the frame records of [`movable`] and [`movable_callback`] in a stack that has been copied: the
/// only one ends the chain.
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
    size: usize,       /* x0 */
    f: stackgate::CFn, /* x1 */
    arg: *mut c_void,  /* x2 */
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "hint 34",
        "stp x29, x30, [sp, -16]!",       ".cfi_def_cfa_offset 16",
        ".cfi_offset x29, -16", ".cfi_offset x30, -8",
        "mov x29, sp",                    ".cfi_def_cfa_register x29",
        "sub sp, sp, x0",
        "mov x0, x1",
        "mov x1, x2",
        "bl {asmcgocall}",
        "mov sp, x29",                    ".cfi_def_cfa_register sp",
        "ldp x29, x30, [sp], 16",         ".cfi_def_cfa_offset 0", ".cfi_restore x29", ".cfi_restore x30",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym stackgate::arch::asmcgocall,
    )
}

/// Maps the program's own code, Rust's and C's, so that the CPU enforces landing pads in it: an indirect call or jump
/// that lands on none ends the program by SIGILL. The C library and Rust's are built without, and stay as they are.
///
/// # Panics
/// Where the CPU or the kernel does not know of it: nothing would be enforced.
#[cfg(stackgate_landing_pads)]
pub fn enforce_landing_pads() {
    /// Linux `arch/arm64/include/uapi/asm/mman.h`.
    const PROT_BTI: c_int = 0x10;
    unsafe extern "C" {
        // The sections that `landing-pads.x` lays out, each on pages of its own.
        static __start_stackgate_text: u8;
        static __stop_stackgate_text: u8;
        static own_text_start: u8;
        static own_text_end: u8;
    }
    let parts = [
        (&raw const __start_stackgate_text, &raw const __stop_stackgate_text),
        (&raw const own_text_start, &raw const own_text_end),
    ];
    for (start, stop) in parts {
        assert!(start < stop, "the program is not linked with landing-pads.x");
        let protection = libc::PROT_READ | libc::PROT_EXEC | PROT_BTI;
        // SAFETY: these pages hold code, and nobody writes to them.
        let result =
            unsafe { libc::mprotect(start.cast_mut().cast(), stop.addr() - start.addr(), protection) };
        assert_eq!(result, 0, "this CPU enforces no landing pads: {}", std::io::Error::last_os_error());
    }
}

/// Calls code that has no landing pad: where they are enforced this does not return.
#[cfg(stackgate_landing_pads)]
pub fn miss_landing_pad() {
    #[unsafe(naked)]
    extern "C" fn none() {
        naked_asm!("ret")
    }
    core::hint::black_box(none as extern "C" fn())();
}

// What the cases of `jit` copy to where code is made at run time: a managed function, entered by `crosscall2`, that
// keeps a frame record and no register. It calls `words[0](words[1])` by `ccall`, which is at `words[2]`, and puts the
// result into `words[3]`.
global_asm!(
    ".pushsection .rodata.jit, \"a\", %progbits",
    ".balign 16",
    ".globl qemu_tests_jit, qemu_tests_jit_end",
    "qemu_tests_jit:",
    "hint 34",
    "stp x29, x30, [sp, -32]!",
    "mov x29, sp",
    "str x0, [sp, 16]",
    "ldr x9, [x0]",
    "ldr x10, [x0, 16]",
    "ldr x0, [x0, 8]",
    "mov x19, -1",
    "mov x20, x19",
    "mov x21, x19",
    "mov x22, x19",
    "mov x23, x19",
    "mov x24, x19",
    "mov x25, x19",
    "mov x26, x19",
    "mov x27, x19",
    "mov x28, x19",
    "fmov d8, x19",
    "fmov d15, x19",
    "blr x10",
    "ldr x1, [sp, 16]",
    "str x0, [x1, 24]",
    "ldp x29, x30, [sp], 32",
    "ret",
    "qemu_tests_jit_end:",
    ".popsection",
);

//! Register tests on arm, A32 and Thumb-2.
//!
//! `r{fp}` is the frame pointer of the state that this is compiled to: r11 in A32, r7 in Thumb code.

use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

/// AAPCS32 6.2.1.4, the frame record. The kernel looks for the form of the APCS, which no compiler writes any more.
pub const PERF: crate::perf::Chain = crate::perf::Chain {
    register: 11,
    link: 0,
    pc: 4,
    pc_is_in_next: false,
    pc_bits: usize::MAX,
    upwards: true,
};

/// Cases of this CPU alone: none.
pub const CASES: &[crate::harness::Case] = &[];

/// The callee-saved registers of the C ABI, in the order of a pattern's words.
pub const KEPT: &[&str] =
    &["r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15"];

/// A word for each register of [`KEPT`].
pub type Pattern = [u64; KEPT.len()];

/// A [`Pattern`] by names. The general registers have the lower halves of their words.
#[repr(C)]
struct Words {
    r4: [u32; 2],
    r5: [u32; 2],
    r6: [u32; 2],
    r7: [u32; 2],
    r8: [u32; 2],
    r9: [u32; 2],
    r10: [u32; 2],
    r11: [u32; 2],
    d8_to_d15: [u64; 8],
}
const _: () = assert!(size_of::<Words>() == size_of::<Pattern>());

/// What [`with_pattern`] keeps on the stack: the doubles, `seen`, which also keeps SP aligned, r4 to r11 and lr.
#[repr(C)]
struct Saved {
    d8_to_d15: [u64; 8],
    seen: u32,
    r4_to_r11: [u32; 8],
    lr: u32,
}

/// The number of the frame pointer.
const FP: u16 = stackgate::arch::RECORD.register.dwarf;
/// The number of the other state's frame pointer.
const OTHER_FP: u16 = if FP == 7 { 11 } else { 7 };
/// How many bytes ahead of an instruction it reads the PC.
const PC_AHEAD: usize = if FP == 7 { 4 } else { 8 };

/// Calls `f(args...)` with `pattern` in the callee-saved registers, and stores what they hold after.
///
/// # Safety
/// `f` is a C function of up to four words.
#[unsafe(naked)]
pub unsafe extern "C" fn with_pattern(
    f: usize,                /* r0 */
    args: *const [usize; 4], /* r1 */
    pattern: *const Pattern, /* r2 */
    seen: *mut Pattern,      /* r3 */
) -> usize {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "push {{r3-r11, lr}}",
        ".cfi_def_cfa_offset {saved} - {doubles}",
        ".cfi_offset r4, {general} + 0 * {word} - {saved}",
        ".cfi_offset r5, {general} + 1 * {word} - {saved}",
        ".cfi_offset r6, {general} + 2 * {word} - {saved}",
        ".cfi_offset r7, {general} + 3 * {word} - {saved}",
        ".cfi_offset r8, {general} + 4 * {word} - {saved}",
        ".cfi_offset r9, {general} + 5 * {word} - {saved}",
        ".cfi_offset r10, {general} + 6 * {word} - {saved}",
        ".cfi_offset r11, {general} + 7 * {word} - {saved}",
        ".cfi_offset lr, {lr} - {saved}",
        ".save {{r4-r11, lr}}",
        ".pad #4",
        "vpush {{d8-d15}}",
        ".cfi_def_cfa_offset {saved}",
        ".cfi_offset d8, 0 * {double} - {saved}",
        ".cfi_offset d9, 1 * {double} - {saved}",
        ".cfi_offset d10, 2 * {double} - {saved}",
        ".cfi_offset d11, 3 * {double} - {saved}",
        ".cfi_offset d12, 4 * {double} - {saved}",
        ".cfi_offset d13, 5 * {double} - {saved}",
        ".cfi_offset d14, 6 * {double} - {saved}",
        ".cfi_offset d15, 7 * {double} - {saved}",
        ".vsave {{d8-d15}}",
        "ldr r4, [r2, #{r4}]",
        "ldr r5, [r2, #{r5}]",
        "ldr r6, [r2, #{r6}]",
        "ldr r7, [r2, #{r7}]",
        "ldr r8, [r2, #{r8}]",
        "ldr r9, [r2, #{r9}]",
        "ldr r10, [r2, #{r10}]",
        "ldr r11, [r2, #{r11}]",
        "add r12, r2, #{d8}",
        "vldm r12, {{d8-d15}}",
        "mov r12, r0",
        "ldm r1, {{r0, r1, r2, r3}}",
        "blx r12",
        "ldr r3, [sp, #{seen}]",
        "mov r2, #0",
        "str r4, [r3, #{r4}]",
        "str r2, [r3, #{r4} + {word}]",
        "str r5, [r3, #{r5}]",
        "str r2, [r3, #{r5} + {word}]",
        "str r6, [r3, #{r6}]",
        "str r2, [r3, #{r6} + {word}]",
        "str r7, [r3, #{r7}]",
        "str r2, [r3, #{r7} + {word}]",
        "str r8, [r3, #{r8}]",
        "str r2, [r3, #{r8} + {word}]",
        "str r9, [r3, #{r9}]",
        "str r2, [r3, #{r9} + {word}]",
        "str r10, [r3, #{r10}]",
        "str r2, [r3, #{r10} + {word}]",
        "str r11, [r3, #{r11}]",
        "str r2, [r3, #{r11} + {word}]",
        "add r12, r3, #{d8}",
        "vstm r12, {{d8-d15}}",
        "vpop {{d8-d15}}",
        ".cfi_def_cfa_offset {saved} - {doubles}",
        ".cfi_restore d8",
        ".cfi_restore d9",
        ".cfi_restore d10",
        ".cfi_restore d11",
        ".cfi_restore d12",
        ".cfi_restore d13",
        ".cfi_restore d14",
        ".cfi_restore d15",
        "pop {{r3-r11, pc}}",
        ".cfi_endproc",
        ".fnend",
        saved = const size_of::<Saved>(),
        doubles = const size_of::<[u64; 8]>(),
        seen = const offset_of!(Saved, seen),
        general = const offset_of!(Saved, r4_to_r11),
        lr = const offset_of!(Saved, lr),
        word = const size_of::<u32>(),
        double = const size_of::<u64>(),
        r4 = const offset_of!(Words, r4),
        r5 = const offset_of!(Words, r5),
        r6 = const offset_of!(Words, r6),
        r7 = const offset_of!(Words, r7),
        r8 = const offset_of!(Words, r8),
        r9 = const offset_of!(Words, r9),
        r10 = const offset_of!(Words, r10),
        r11 = const offset_of!(Words, r11),
        d8 = const offset_of!(Words, d8_to_d15),
    )
}

/// Writes into the doubles from d16 on. Nothing on a microcontroller, which has none.
#[cfg(not(machine_mps2))]
#[rustfmt::skip]
macro_rules! upper_doubles { () => {
    ".fpu neon\n vmov q8, q0\n vmov q9, q1\n vmov q10, q2\n vmov q11, q3\n \
     vmov q12, q0\n vmov q13, q1\n vmov q14, q2\n vmov q15, q3"
} }
#[cfg(machine_mps2)]
#[rustfmt::skip]
macro_rules! upper_doubles { () => { "" } }

/// Writes something else into every register that a C function may change, lr, the flags and the cumulative
/// flags of FPSCR among them. Returns 7.
///
/// # Safety
/// None.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_volatile(arg: *mut c_void) -> c_int {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "movw r0, #0x1111",
        "movw r1, #0x2222",
        "vmov d0, r0, r1",
        "vmov d1, r1, r0",
        "vmov d2, r0, r0",
        "vmov d3, r1, r1",
        "vmov d4, r0, r1",
        "vmov d5, r1, r0",
        "vmov d6, r0, r0",
        "vmov d7, r1, r1",
        // The emulated CPU has them, whatever the compiler may use; a microcontroller has not.
        upper_doubles!(),
        ".fpu vfpv3-d16",
        "vmrs r0, fpscr",
        "orr r0, r0, #0xf0000000",
        "orr r0, r0, #0x1f",
        "vmsr fpscr, r0",
        "msr apsr_nzcvq, r0",
        "movw r2, #0x3333",
        "movt r2, #0x3333",
        "movw r3, #0x4444",
        "movt r3, #0x4444",
        "mov r12, lr",
        ".cfi_register lr, r12",
        "movw lr, #0x5555",
        "movt lr, #0x5555",
        "mov r0, #7",
        "bx r12",
        ".cfi_endproc",
        ".fnend",
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
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "stm r0, {{r1, r2}}",
        "push {{r3, lr}}",                ".cfi_def_cfa_offset 8", ".cfi_offset lr, -4",
        ".save {{lr}}", ".pad #4",
        "movw r4, #0x4040",
        "movw r5, #0x5050",
        "movw r6, #0x6060",
        "movw r7, #0x7070",
        "movw r8, #0x8080",
        "movw r9, #0x9090",
        "movw r10, #0xa0a0",
        "movw r11, #0xb0b0",
        "vmov d8, r4, r5",
        "vmov d9, r5, r6",
        "vmov d10, r6, r7",
        "vmov d11, r7, r8",
        "vmov d12, r8, r9",
        "vmov d13, r9, r10",
        "vmov d14, r10, r11",
        "vmov d15, r11, r4",
        "bl {volatile}",
        "pop {{r3, pc}}",
        ".cfi_endproc",
        ".fnend",
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
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "str sp, [r0]",
        "str r{fp}, [r0, #4]",
        "mov r1, #0",
        "str r1, [r0, #8]",
        "str r1, [r0, #12]",
        "str r1, [r0, #16]",
        "str r1, [r0, #20]",
        "str r1, [r0, #24]",
        "str r1, [r0, #28]",
        "mov r0, #0",
        "bx lr",
        ".cfi_endproc",
        ".fnend",
        fp = const FP,
    )
}

/// The part of `word` that the register with this index in [`KEPT`] can hold.
pub fn representable(index: usize, word: u64) -> u64 {
    if index < 8 { word & 0xffff_ffff } else { word }
}

/// Calls `f(arg)` through `ccall`, at its address: a veneer before it would use r12.
///
/// # Safety
/// As `asmcgocall`.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_one(f: stackgate::CFn /* r0 */, arg: *mut c_void /* r1 */) -> c_int {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "mov r12, r0",
        "mov r0, r1",
        "ldr r3, 3f",
        "2: add r3, pc",
        "bx r3",
        ".balign 4",
        "3: .word {ccall} - (2b + {ahead})",
        ".cfi_endproc",
        ".fnend",
        ccall = sym stackgate::arch::ccall,
        ahead = const PC_AHEAD,
    )
}

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize /* r3 */) -> Wide {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "mov r12, r3",
        "ldr r3, 3f",
        "2: add r3, pc",
        "bx r3",
        ".balign 4",
        "3: .word {ccall} - (2b + {ahead})",
        ".cfi_endproc",
        ".fnend",
        ccall = sym stackgate::arch::ccall,
        ahead = const PC_AHEAD,
    )
}

unsafe extern "C" {
    fn __aeabi_uldivmod();
}

/// The stack of [`ccall_divides`] over its call: what it has pushed, and its argument there.
#[repr(C)]
struct Divides {
    r4: usize,
    lr: usize,
    out: *mut [u64; 2],
}

/// Divides through `ccall`, by the one function of this CPU whose results are four registers (RTABI 4.3.1): quotient and
/// remainder.
///
/// # Safety
/// As `asmcgocall`.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_divides(
    dividend: u64,      /* r0, r1 */
    divisor: u64,       /* r2, r3 */
    out: *mut [u64; 2], /* on the stack */
) {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "push {{r4, lr}}",                     ".cfi_def_cfa_offset {out}", ".cfi_rel_offset r4, {r4}",
        ".cfi_rel_offset lr, {lr}",            ".save {{r4, lr}}",
        "ldr r12, 3f",
        "1: add r12, pc",
        "ldr lr, 4f",
        "2: add lr, pc",
        "blx lr",
        "ldr r4, [sp, #{out}]",
        "strd r0, r1, [r4], #{number}",
        "strd r2, r3, [r4]",
        "pop {{r4, pc}}",
        ".balign 4",
        "3: .word {divide} - (1b + {ahead})",
        "4: .word {ccall} - (2b + {ahead})",
        ".cfi_endproc",
        ".fnend",
        r4 = const offset_of!(Divides, r4),
        lr = const offset_of!(Divides, lr),
        out = const offset_of!(Divides, out),
        number = const size_of::<u64>(),
        divide = sym __aeabi_uldivmod,
        ccall = sym stackgate::arch::ccall,
        ahead = const PC_AHEAD,
    )
}

/// Calls `f(a, b)` through `ccall`.
///
/// # Safety
/// `f` takes two doubles and returns one.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_doubles(a: f64, b: f64, f: usize /* r0 */) -> f64 {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "mov r12, r0",
        "ldr r3, 3f",
        "2: add r3, pc",
        "bx r3",
        ".balign 4",
        "3: .word {ccall} - (2b + {ahead})",
        ".cfi_endproc",
        ".fnend",
        ccall = sym stackgate::arch::ccall,
        ahead = const PC_AHEAD,
    )
}

/// The widest integer that a function returns in registers: r0 and r1.
pub type Wide = u64;

/// What gcc makes of the instructions in `VALGRIND_DO_CLIENT_REQUEST_EXPR`, `valgrind.h` of valgrind 3.19.
pub const CLIENT_REQUEST: &[u8] = &[
    0xec, 0xc1, 0xa0, 0xe1, 0xec, 0xc6, 0xa0, 0xe1, 0xec, 0xce, 0xa0, 0xe1, 0xec, 0xc9, 0xa0, 0xe1, 0x0a,
    0xa0, 0x8a, 0xe1,
];

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 4;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 8;
/// What remains of that at the callee's entry: a call leaves nothing on the stack.
pub const SP_AT_ENTRY: usize = 0;

/// Not used: the host's own CPU is another.
pub const EVERY_INSTRUCTION: Option<crate::scenarios::EveryInstruction> = None;

/// Checks what [`entry_state`] found, beside SP: after a crossing the frame pointer designates the crossing's
/// record, which lies close above SP.
pub fn check_entry(what: &str, state: &[usize; 8], crossing: bool) {
    if crossing {
        let record: *const [usize; 2] = core::ptr::with_exposed_provenance(state[1]);
        crate::check!((state[0]..state[0] + 256).contains(&record.addr()), "{what}: r{FP} {record:?}");
        // SAFETY: the stack above SP, which the test stands on.
        crate::check!(unsafe { (*record)[1] } != 0, "{what}: the record has a return address");
    }
}

/// A task's function that calls `block.f(block.arg)` through `block.through` and survives that its stack is
/// moved meanwhile. Both frame pointers designate its own frame: one defines its CFA, and of its two locals it
/// finds one by each.
///
/// # Safety
/// `block` is the address of a [`Movable`](crate::movable::Movable) off the task's stack.
#[unsafe(naked)]
#[unsafe(export_name = "step_movable")]
pub unsafe extern "C" fn movable(block: usize /* r0 */) -> usize /* r0 */ {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "push {{r{fp}, lr}}",             ".cfi_def_cfa_offset 8", ".cfi_offset r{fp}, -8", ".cfi_offset lr, -4",
        "mov r{fp}, sp",                  ".cfi_def_cfa_register r{fp}",
        ".save {{r{fp}, lr}}", ".setfp r{fp}, sp",
        "sub sp, sp, #16",
        "str r0, [r{fp}, #-4]",
        "str r{other}, [r{fp}, #-16]",    ".cfi_offset r{other}, -24",
        "mov r{other}, r{fp}",
        "movw r1, #0x3344",
        "movt r1, #0x1122",
        "str r1, [r{fp}, #-8]",
        "movw r1, #0x7788",
        "movt r1, #0x5566",
        "str r1, [r{fp}, #-12]",
        "ldr r3, [r0, #{through}]",
        "add r2, r0, #{thrown}",
        "ldr r1, [r0, #{arg}]",
        "ldr r0, [r0, #{f}]",
        "blx r3",
        "ldr r1, [r{fp}, #-4]",
        "str r0, [r1, #{result}]",
        "ldr r2, [r{fp}, #-8]",
        "str r2, [r1, #{locals}]",
        "ldr r2, [r{other}, #-12]",
        "str r2, [r1, #{locals} + 4]",
        "ldr r{other}, [r{fp}, #-16]",    ".cfi_restore r{other}",
        "mov sp, r{fp}",                  ".cfi_def_cfa_register sp",
        "pop {{r{fp}, pc}}",
        ".cfi_endproc",
        ".fnend",
        fp = const FP,
        other = const OTHER_FP,
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
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "push {{r3, lr}}",                ".cfi_def_cfa_offset 8", ".cfi_offset lr, -4",
        ".save {{lr}}", ".pad #4",
        "mov r2, r0",
        "mov r0, r1",
        "mov r1, r2",
        "bl {asmcgocall}",
        "pop {{r3, pc}}",
        ".cfi_endproc",
        ".fnend",
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
    size: usize,       /* r0 */
    f: stackgate::CFn, /* r1 */
    arg: *mut c_void,  /* r2 */
) -> c_int {
    naked_asm!(
        ".fnstart",
        ".fpu vfpv3-d16",
        ".cfi_sections .debug_frame",
        ".cfi_startproc",
        "push {{r{fp}, lr}}",             ".cfi_def_cfa_offset 8", ".cfi_offset r{fp}, -8", ".cfi_offset lr, -4",
        "mov r{fp}, sp",                  ".cfi_def_cfa_register r{fp}",
        ".save {{r{fp}, lr}}", ".setfp r{fp}, sp",
        "sub r3, r{fp}, r0",
        "mov sp, r3",
        "mov r0, r1",
        "mov r1, r2",
        "bl {asmcgocall}",
        "mov sp, r{fp}",                  ".cfi_def_cfa_register sp",
        "pop {{r{fp}, pc}}",
        ".cfi_endproc",
        ".fnend",
        fp = const FP,
        asmcgocall = sym stackgate::arch::asmcgocall,
    )
}

// What the cases of `jit` copy to where code is made at run time: a managed function, entered by `crosscall2`, that
// keeps a frame record and no register. It calls `words[0](words[1])` by `ccall`, which is at `words[2]`, and puts the
// result into `words[3]`.
// A microcontroller has no such code, and no such cases.
#[cfg(not(machine_mps2))]
core::arch::global_asm!(
    ".pushsection .rodata.jit, \"a\", %progbits",
    ".balign 16",
    ".globl qemu_tests_jit, qemu_tests_jit_end",
    "qemu_tests_jit:",
    ".arm",
    ".fpu vfpv3-d16",
    "push {{r11, lr}}",
    "mov r11, sp",
    "push {{r0, r1}}",
    "ldr r12, [r0]",
    "ldr r3, [r0, #8]",
    "ldr r0, [r0, #4]",
    "mvn r4, #0",
    "mov r5, r4",
    "mov r6, r4",
    "mov r7, r4",
    "mov r8, r4",
    "mov r9, r4",
    "mov r10, r4",
    "vmov d8, r4, r4",
    "vmov d15, r4, r4",
    "blx r3",
    "ldr r1, [sp]",
    "str r0, [r1, #12]",
    "add sp, sp, #8",
    "pop {{r11, pc}}",
    "qemu_tests_jit_end:",
    ".popsection",
);

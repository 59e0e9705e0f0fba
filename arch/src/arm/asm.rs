//! The crossings of arm, in the order of the contract in the crate's documentation.
//!
//! Reading aid: `{name}` in an instruction is the offset of the field of that name in the frame that the
//! function's documentation shows, or in the structure that the operand list at its end names. In comments,
//! "on g0" and "on curg" say which stack SP is on.
//!
//! One text serves A32 and Thumb-2. `rfp` is the frame pointer of the state the crate is compiled to, r11 or
//! r7, and `ofp` the other one. A load or store multiple goes by ascending register numbers; where it builds
//! or reads a frame, `frame.rs` asserts that the fields follow each other as it needs.
//!
//! Two kinds of tables describe each instruction. The call frame information is for debuggers, and lies in
//! `.debug_frame`, which is not loaded. What unwinders in the program read is EHABI's `.ARM.exidx`, which
//! describes a function by one list of pops; so a function here is cut where that list changes, by `goes_on`.

use super::frame::*;
use crate::dwarf::*;
use crate::g::NO_G;
use crate::{CALLBACK_ELSEWHERE, CFn, CallbackFn, G, M, McallFn, SIGNAL_HANDLER, Stack, SystemFn, ThreadFn};
use core::arch::{asm, global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

// The current g: one word of static TLS for each thread, in the initial-exec model, so that reading it is a
// few instructions, is safe in a signal handler and works in a shared library that is loaded at start.
#[cfg(not(feature = "single-core"))]
global_asm!(
    ".pushsection .tdata, \"awT\", %progbits",
    ".balign 4",
    ".globl stackgate_g",
    ".hidden stackgate_g",
    ".type stackgate_g, %object",
    ".size stackgate_g, 4",
    "stackgate_g: .long {no_g}",
    ".popsection",
    no_g = sym NO_G,
);
// The same where one CPU runs without threads: one plain word.
#[cfg(feature = "single-core")]
global_asm!(
    ".pushsection .data.stackgate_g, \"aw\", %progbits",
    ".balign 4",
    ".globl stackgate_g",
    ".hidden stackgate_g",
    ".type stackgate_g, %object",
    ".size stackgate_g, 4",
    "stackgate_g: .long {no_g}",
    ".popsection",
    no_g = sym NO_G,
);

/// Loads the current g's place into two registers, whose sum it is: the thread pointer and an offset, or zero
/// and the word's address. The constant that leads there is [`g_literal!`] of the same labels.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_place {
    ($thread:literal, $offset:literal) => { g_place!($thread, $offset, "9", "8") };
    ($thread:literal, $offset:literal, $literal:literal, $here:literal) => { concat!(
        "mrc p15, 0, ", $thread, ", c13, c0, 3\n",
        "ldr ", $offset, ", ", $literal, "f\n",
        $here, ": add ", $offset, ", pc\n",
        "ldr ", $offset, ", [", $offset, "]",
    ) };
}
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! g_place {
    ($thread:literal, $offset:literal) => { g_place!($thread, $offset, "9", "8") };
    ($thread:literal, $offset:literal, $literal:literal, $here:literal) => { concat!(
        "mov ", $thread, ", #0\n",
        "ldr ", $offset, ", ", $literal, "f\n",
        $here, ": add ", $offset, ", pc",
    ) };
}
/// What [`g_place!`] reads, relative to the place where it does.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_literal {
    () => { g_literal!("9", "8") };
    ($literal:literal, $here:literal) => { concat!(
        $literal, ": .word stackgate_g(GOTTPOFF) + (", $literal, "b - ", $here, "b - {ahead})",
    ) };
}
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! g_literal {
    () => { g_literal!("9", "8") };
    ($literal:literal, $here:literal) => { concat!($literal, ": .word stackgate_g - (", $here, "b + {ahead})") };
}

/// How many bytes ahead of an instruction it reads the PC: two A32 or two narrow Thumb instructions. What a
/// literal holds is relative to that, which the instruction `add rX, pc` makes an address.
const PC_AHEAD: usize = if cfg!(stackgate_thumb) { 4 } else { 8 };

/// Begins a function: the names of the frame pointers, and both tables. No instruction. Assemblers believe a
/// microcontroller to have no floating point registers until they are told.
#[cfg(not(stackgate_thumb))]
#[rustfmt::skip]
macro_rules! begins { () => {
    "rfp .req r11\n ofp .req r7\n .fnstart\n .cfi_sections .debug_frame\n .cfi_startproc"
} }
#[cfg(stackgate_thumb)]
#[rustfmt::skip]
macro_rules! begins { () => {
    "rfp .req r7\n ofp .req r11\n .fpu vfpv3-d16\n .fnstart\n .cfi_sections .debug_frame\n .cfi_startproc"
} }
/// Ends a function's tables. No instruction.
#[rustfmt::skip]
macro_rules! ends { () => { ".cfi_endproc\n .fnend" } }
/// From here on EHABI's unwinder takes another list of pops: the directives, in the order in which code
/// would have built the frame, so the last one is what SP designates. Without any, the caller's SP is SP and
/// the return address is in lr. No instruction.
#[rustfmt::skip]
macro_rules! goes_on { ($($what:literal)*) => { concat!(".fnend\n .fnstart", $("\n ", $what),*) } }

/// Rules for the general registers of a `CalleeSaved`, relative to the end of the frame, where the caller's
/// SP was; `rfp` is restored from the record. No instruction.
#[rustfmt::skip]
macro_rules! general_saved { () => {
    ".cfi_offset r4, {r4} - {size}\n .cfi_offset r5, {r5} - {size}\n .cfi_offset r6, {r6} - {size}\n \
     .cfi_offset ofp, {ofp} - {size}\n \
     .cfi_offset r8, {r8} - {size}\n .cfi_offset r9, {r9} - {size}\n .cfi_offset r10, {r10} - {size}"
} }
/// The registers have their callers' values again. No instruction.
#[rustfmt::skip]
macro_rules! general_restored { () => {
    ".cfi_restore r4\n .cfi_restore r5\n .cfi_restore r6\n .cfi_restore ofp\n \
     .cfi_restore r8\n .cfi_restore r9\n .cfi_restore r10"
} }
/// Rules for the floating-point registers of a `CalleeSaved`. No instruction.
#[rustfmt::skip]
macro_rules! doubles_saved { () => {
    ".cfi_offset d8, {d8} - {size}\n .cfi_offset d9, {d8} + 8 - {size}\n \
     .cfi_offset d10, {d8} + 16 - {size}\n .cfi_offset d11, {d8} + 24 - {size}\n \
     .cfi_offset d12, {d8} + 32 - {size}\n .cfi_offset d13, {d8} + 40 - {size}\n \
     .cfi_offset d14, {d8} + 48 - {size}\n .cfi_offset d15, {d8} + 56 - {size}"
} }
/// The registers have their callers' values again. No instruction.
#[rustfmt::skip]
macro_rules! doubles_restored { () => {
    ".cfi_restore d8\n .cfi_restore d9\n .cfi_restore d10\n .cfi_restore d11\n \
     .cfi_restore d12\n .cfi_restore d13\n .cfi_restore d14\n .cfi_restore d15"
} }
/// A rule for the record, which is the end of every frame that has a `CalleeSaved`. No instruction.
#[rustfmt::skip]
macro_rules! record_saved { () => { ".cfi_offset rfp, {link} - {size}\n .cfi_offset lr, {pc} - {size}" } }
/// The registers have their callers' values again. No instruction.
#[rustfmt::skip]
macro_rules! record_restored { () => { ".cfi_restore rfp\n .cfi_restore lr" } }

/// Rules for a `SwitchFrame`, relative to its end. No instruction.
#[rustfmt::skip]
macro_rules! switch_saved { () => {
    ".cfi_offset r5, {r5} - {size}\n .cfi_offset r6, {r6} - {size}\n \
     .cfi_offset rfp, {link} - {size}\n .cfi_offset lr, {pc} - {size}"
} }
/// The registers have their callers' values again. No instruction.
#[rustfmt::skip]
macro_rules! switch_restored { () => { ".cfi_restore r5\n .cfi_restore r6\n .cfi_restore rfp\n .cfi_restore lr" } }
/// What a `SwitchFrame` does not keep is lost. No instruction.
#[rustfmt::skip]
macro_rules! others_lost { () => {
    ".cfi_undefined r4\n .cfi_undefined ofp\n .cfi_undefined r8\n .cfi_undefined r9\n .cfi_undefined r10\n \
     .cfi_undefined d8\n .cfi_undefined d9\n .cfi_undefined d10\n .cfi_undefined d11\n \
     .cfi_undefined d12\n .cfi_undefined d13\n .cfi_undefined d14\n .cfi_undefined d15"
} }
/// Jumps to `light`, with the address of what follows in lr, with the state in bit 0.
#[cfg(not(stackgate_thumb))]
#[rustfmt::skip]
macro_rules! jump_and_go_on { () => { "adr lr, 2f\n b {light}\n 2:" } }
/// By the PC, which `mov` reads four bytes ahead, and not by `adr`, which takes it for a multiple of four: functions
/// begin at any even address.
#[cfg(stackgate_thumb)]
#[rustfmt::skip]
macro_rules! jump_and_go_on { () => { "mov lr, pc\n add.w lr, lr, #(4 + 4 + 2 - 4) | 1\n b.w {light}\n 2:" } }

/// Where a [`CalleeSaved`] keeps the register that the assembly calls `ofp`.
const SAVED_OFP: usize =
    if cfg!(stackgate_thumb) { offset_of!(CalleeSaved, r11) } else { offset_of!(CalleeSaved, r7) };

/// The current g, or null when the thread has none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg`.
///
/// # Safety
/// None beyond the declaration: it reads one word of the thread, and one of its g.
///
/// # Registers
/// Out: `r0`. Clobbered: `r3`, `r12`, flags.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_getg")]
pub unsafe extern "C" fn getg() -> *mut G<Arm> /* r0 */ {
    naked_asm!(
        begins!(),
        g_place!("r12", "r3"),
        "ldr r0, [r12, r3]",
        // One that stands for none is null to everybody else.
        "ldr r3, [r0, #{state}]",
        "cmp r3, #0",
        "it eq",
        "moveq r0, #0",
        "bx lr",
        ".balign 4",
        g_literal!(),
        ends!(),
        state = const offset_of!(G<Arm>, state),
        ahead = const PC_AHEAD,
    )
}

/// The current g as the crossings read it: the g of zeros stands for none, so that its fields can be asked.
///
/// Inlined where it is used, for paths that count instructions. Read anew each time: a g kept over a switch
/// may be another thread's.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn current() -> *mut G<Arm> {
    // The offset of the word is a literal near the instruction that loads it: a function's.
    #[unsafe(naked)]
    unsafe extern "C" fn read() -> *mut G<Arm> /* r0 */ {
        naked_asm!(
            begins!(),
            g_place!("r12", "r3"),
            "ldr r0, [r12, r3]",
            "bx lr",
            ".balign 4",
            g_literal!(),
            ends!(),
            ahead = const PC_AHEAD,
        )
    }
    // SAFETY: reads one word of the thread.
    unsafe { read() }
}

/// Makes `g` current; null for none.
///
/// Runs on any stack; safe in a signal handler that gives back what it found. Go: `setg`.
///
/// # Safety
/// `g` is null or stays valid for as long as it is current, and SP is on its stack.
///
/// # Registers
/// In: `r0`. Clobbered: `r0`, `r3`, `r12`, flags.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_setg")]
pub unsafe extern "C" fn setg(g: *mut G<Arm> /* r0 */) {
    naked_asm!(
        begins!(),
        "ldr r3, 7f",
        "6: add r3, pc",
        "cmp r0, #0",
        "it eq",
        "moveq r0, r3",
        g_place!("r12", "r3"),
        "str r0, [r12, r3]",
        "bx lr",
        ".balign 4",
        g_literal!(),
        "7: .word {no_g} - (6b + {ahead})",
        ends!(),
        no_g = sym NO_G,
        ahead = const PC_AHEAD,
    )
}

/// Calls C on the system stack: `fn(arg)`. Go: `asmcgocall`.
///
/// Four paths: from a managed g it switches to g0's stack; on g0, on gsignal and without a g it calls where
/// it stands, on an aligned SP. While C runs, g0 is current and an [`AsmcgocallFrame`] lies directly below
/// `g0.sched.sp`. C's own callee-saved registers are C's affair; only the frame pointers are kept here,
/// because C would save them at a place that nobody can find again when the managed stack moves.
///
/// Runs on any stack; uses nothing of a managed one. Safe in a signal handler.
///
/// # Safety
/// `fn` may be called with `arg`. The current g is a g that `resume` runs, a g0, a gsignal, or none.
///
/// # Registers
/// In: `r0` fn, `r1` arg. Out: `r0`. Clobbered: what a C call clobbers.
/// At `fn`'s entry: `r0` arg; SP a multiple of 8; the state that bit 0 of `fn` says; FPSCR as the caller
/// left it.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall")]
pub unsafe extern "C" fn asmcgocall(func: CFn /* r0 */, arg: *mut c_void /* r1 */) -> c_int /* r0 */ {
    naked_asm!(
        begins!(),
        // Does this g call away from its stack?
        g_place!("r3", "r12"),
        "add r3, r3, r12",
        "ldr r2, [r3]",
        "ldr r12, [r2, #{m_out}]",
        "cmp r12, #0",
        "beq 3f",

        // g0 is current before anything of its stack is in use. An m's address is its g0's. Build the
        // AsmcgocallFrame there from its upper end: sp, other; pc, link, place, g.
        "str r12, [r3]",
        "ldr r12, [r12, #{g0_sp}]",
        "str sp, [r12, #-{word}]!",
        "str ofp, [r12, #-{word}]!",
        "stmdb r12!, {{r2, r3, rfp, lr}}",

        // It is complete: go there. On g0 the CFA is the word `sp`, and the frame pointers and the return
        // address are in the frame.
        "mov sp, r12",
        goes_on!(".save {{ofp, sp}}" ".save {{rfp, lr}}" ".pad #{link}"),
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {rfp_dwarf}, {breg_len}, {breg_sp}, {link_lo}, {link_hi}",
        ".cfi_escape {reg_at}, {lr_dwarf}, {breg_len}, {breg_sp}, {pc_lo}, {pc_hi}",
        ".cfi_escape {reg_at}, {ofp_dwarf}, {breg_len}, {breg_sp}, {other_lo}, {other_hi}",
        "add rfp, sp, #{link}",
        "mov r12, r0",
        "mov r0, r1",
        "blx r12",

        // On g0, C has returned. Leave its stack, then give up g0. The managed stack may have moved since:
        // `sp`, `link` and `other` have been rewritten then, g has not moved.
        "ldm sp, {{r2, r3, rfp, lr}}",         record_restored!(), goes_on!(".save {{ofp, sp}}" ".pad #{other}"),
        "ldr ofp, [sp, #{other}]",             ".cfi_restore ofp", goes_on!(".save {{sp}}" ".pad #{sp}"),
        "ldr sp, [sp, #{sp}]",                 ".cfi_def_cfa sp, 0", goes_on!(),
        "str r2, [r3]",
        "bx lr",

        // On g0, gsignal or a stack that no g knows.
        "3:",
        "push {{rfp, lr}}",                    ".cfi_def_cfa_offset 8", ".cfi_offset rfp, -8", ".cfi_offset lr, -4",
        goes_on!(".save {{rfp, lr}}"),
        "mov rfp, sp",                         ".cfi_def_cfa_register rfp",
        goes_on!(".save {{rfp, lr}}" ".setfp rfp, sp"),
        "bic r3, rfp, #7",
        "mov sp, r3",
        "mov r12, r0",
        "mov r0, r1",
        "blx r12",
        "mov sp, rfp",
        "pop {{rfp, pc}}",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        word = const WORD,
        m_out = const offset_of!(G<Arm>, m_out),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        link = const offset_of!(AsmcgocallFrame, link),
        other = const offset_of!(AsmcgocallFrame, other),
        sp = const offset_of!(AsmcgocallFrame, sp),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_WORD_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, breg_sp = const breg(SP.dwarf),
        rfp_dwarf = const FP.dwarf, ofp_dwarf = const OTHER_FP.dwarf, lr_dwarf = const LR.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        pc_lo = const leb_lo(offset_of!(AsmcgocallFrame, pc) as i64),
        pc_hi = const leb_hi(offset_of!(AsmcgocallFrame, pc) as i64),
        other_lo = const leb_lo(offset_of!(AsmcgocallFrame, other) as i64),
        other_hi = const leb_hi(offset_of!(AsmcgocallFrame, other) as i64),
    )
}
// The stores of asmcgocall, ccall and systemstack, from the frame's upper end down.
pushes!(AsmcgocallFrame: sp, other, pc, link, place, g);

/// Bytes of a machine word.
const WORD: usize = size_of::<crate::frame::W32>();
/// Bytes of the expression `breg(offset); deref` with a two-byte operand.
const CFA_WORD_LEN: u8 = BREG_LEN + 1;

/// Calls any C function on the system stack, its argument registers untouched. For JITs and typed wrappers.
///
/// As [`asmcgocall`], but the function is in `r12` and takes whatever the argument registers hold (`r0` to
/// `r3`, `d0` to `d7`); arguments on the stack are not passed on. Every result register comes back as C left
/// it. Callers use `blx` with this function's address: the linker's veneers and PLT entries, which lie
/// between a `bl` and a target that is far or in another state, use `r12` themselves.
///
/// Runs on any stack; uses 16 bytes of a managed one. Safe in a signal handler. Go has no such function.
///
/// # Safety
/// As [`asmcgocall`]; not callable from Rust, since the function is in a scratch register.
///
/// # Registers
/// In: `r12` fn, and fn's arguments. Out: fn's results. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_ccall")]
pub unsafe extern "C" fn ccall() {
    naked_asm!(
        begins!(),
        // Four registers to work with. Of the stack here nothing is in use when C runs.
        "push {{r4, r5, r12, lr}}",            ".cfi_def_cfa_offset 16", ".cfi_offset r4, -16", ".cfi_offset r5, -12",
        ".cfi_offset lr, -4", goes_on!(".save {{r4, r5, r12, lr}}"),
        g_place!("r5", "r4"),
        "add r5, r5, r4",
        "ldr r4, [r5]",
        "ldr r12, [r4, #{m_out}]",
        "cmp r12, #0",
        "beq 3f",

        // g0 is current. Build the AsmcgocallFrame on its stack as asmcgocall does.
        "str r12, [r5]",
        "ldr r12, [r12, #{g0_sp}]",
        // Four words were pushed, the return address first.
        "add lr, sp, #4 * {word}",
        "str lr, [r12, #-{word}]!",
        "str ofp, [r12, #-{word}]!",
        "ldr lr, [sp, #3 * {word}]",
        "stmdb r12!, {{r4, r5, rfp, lr}}",

        // Give back the two registers; the function comes back in lr.
        "pop {{r4, r5, lr}}",                  ".cfi_def_cfa_offset 4", ".cfi_restore r4", ".cfi_restore r5",
        goes_on!(".save {{lr}}"),
        "mov sp, r12",
        goes_on!(".save {{ofp, sp}}" ".save {{rfp, lr}}" ".pad #{link}"),
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {rfp_dwarf}, {breg_len}, {breg_sp}, {link_lo}, {link_hi}",
        ".cfi_escape {reg_at}, {lr_dwarf}, {breg_len}, {breg_sp}, {pc_lo}, {pc_hi}",
        ".cfi_escape {reg_at}, {ofp_dwarf}, {breg_len}, {breg_sp}, {other_lo}, {other_hi}",
        "add rfp, sp, #{link}",
        "blx lr",

        // On g0, C has returned; r0 to r3 and d0 to d7 are its results. Two of them wait on the managed
        // stack, where the way back begins and nothing is in use.
        "ldr r12, [sp, #{sp}]",
        "stmdb r12!, {{r2, r3}}",
        "ldm sp, {{r2, r3, rfp, lr}}",         record_restored!(), goes_on!(".save {{ofp, sp}}" ".pad #{other}"),
        "ldr ofp, [sp, #{other}]",             ".cfi_restore ofp", goes_on!(".save {{sp}}" ".pad #{sp}"),
        "mov sp, r12",                         ".cfi_def_cfa sp, 8", goes_on!(".pad #8"),
        "str r2, [r3]",
        "pop {{r2, r3}}",                      ".cfi_def_cfa_offset 0", goes_on!(),
        "bx lr",

        // On g0, gsignal or a stack that no g knows.
        "3:",                                  ".cfi_def_cfa_offset 16", ".cfi_offset r4, -16", ".cfi_offset r5, -12",
        ".cfi_offset lr, -4", goes_on!(".save {{r4, r5, r12, lr}}"),
        "pop {{r4, r5, r12, lr}}",             ".cfi_def_cfa_offset 0", ".cfi_restore r4", ".cfi_restore r5",
        ".cfi_restore lr", goes_on!(),
        "push {{rfp, lr}}",                    ".cfi_def_cfa_offset 8", ".cfi_offset rfp, -8", ".cfi_offset lr, -4",
        goes_on!(".save {{rfp, lr}}"),
        "mov rfp, sp",                         ".cfi_def_cfa_register rfp",
        goes_on!(".save {{rfp, lr}}" ".setfp rfp, sp"),
        "bic lr, rfp, #7",
        "mov sp, lr",
        "blx r12",
        "mov sp, rfp",
        "pop {{rfp, pc}}",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        word = const WORD,
        m_out = const offset_of!(G<Arm>, m_out),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        link = const offset_of!(AsmcgocallFrame, link),
        other = const offset_of!(AsmcgocallFrame, other),
        sp = const offset_of!(AsmcgocallFrame, sp),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_WORD_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, breg_sp = const breg(SP.dwarf),
        rfp_dwarf = const FP.dwarf, ofp_dwarf = const OTHER_FP.dwarf, lr_dwarf = const LR.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        pc_lo = const leb_lo(offset_of!(AsmcgocallFrame, pc) as i64),
        pc_hi = const leb_hi(offset_of!(AsmcgocallFrame, pc) as i64),
        other_lo = const leb_lo(offset_of!(AsmcgocallFrame, other) as i64),
        other_hi = const leb_hi(offset_of!(AsmcgocallFrame, other) as i64),
    )
}

/// As [`asmcgocall`], and a throw lands here: [`throw_to`] with this call's [`CatchFrame`] makes it
/// return, though C has not, with the thrown word in `*thrown`.
///
/// The C frames that a throw drops may hold the caller's callee-saved registers, so all of them are saved.
/// `*thrown` is 0 after a return without a throw; a throw of 0 is the thrower's mistake.
///
/// Runs on a managed stack, of which it uses 120 bytes. Go: what `defer` and `recover` around a cgo call do.
/// Not for signal handlers.
///
/// # Safety
/// As [`asmcgocall`], and the current g is one that `resume` runs. `thrown` is valid until this returns.
///
/// # Registers
/// In: `r0` fn, `r1` arg, `r2` thrown. Out: `r0`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall_catch")]
pub unsafe extern "C" fn asmcgocall_catch(
    func: CFn,          /* r0 */
    arg: *mut c_void,   /* r1 */
    thrown: *mut usize, /* r2 */
) -> c_int /* r0 */ {
    naked_asm!(
        begins!(),
        // The CatchFrame: the record; what C expects back; and below that four words, of which r2 is the
        // third one's, `thrown`, already.
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r0-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        // Where a throw writes, and how much of the system stack it drops.
        "mov r12, #0",
        "str r12, [r2]",
        g_place!("r12", "r3"),
        "ldr r4, [r12, r3]",
        "ldr r3, [r4, #{m_out}]",
        "ldr r3, [r3, #{m_g0_sp}]",
        "ldr r2, [r4, #{catch}]",
        "stm sp, {{r2, r3}}",

        // Complete: publish it, call, take it back. C keeps r4.
        "str sp, [r4, #{catch}]",
        "bl {asmcgocall}",
        "ldr r3, [sp, #{previous}]",
        "str r3, [r4, #{catch}]",

        // C gave back every register but the two that were used here.
        "ldr r4, [sp, #{r4}]",                 ".cfi_restore r4",
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r5-r11}}" ".pad #{r5}"),
        "add sp, sp, #{link}",                 ".cfi_adjust_cfa_offset -{link}", general_restored!(), doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, pc}}",
        ".balign 4",
        g_literal!(),
        ends!(),
        asmcgocall = sym asmcgocall,
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        catch = const offset_of!(G<Arm>, catch),
        m_g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        r4 = const offset_of!(CatchFrame, saved.r4),
        r5 = const offset_of!(CatchFrame, saved.r5),
        r6 = const offset_of!(CatchFrame, saved.r6),
        ofp = const offset_of!(CatchFrame, saved) + SAVED_OFP,
        r8 = const offset_of!(CatchFrame, saved.r8),
        r9 = const offset_of!(CatchFrame, saved.r9),
        r10 = const offset_of!(CatchFrame, saved.r10),
        d8 = const offset_of!(CatchFrame, saved.d8),
        link = const offset_of!(CatchFrame, saved.link),
        pc = const offset_of!(CatchFrame, pc),
        size = const size_of::<CatchFrame>(),
    )
}

/// Drops every frame down to `catch`, on both stacks, and makes its `asmcgocall_catch` return with `value`
/// in `*thrown`.
///
/// Nothing of what is dropped runs: no destructor, no context release. That is the caller's affair.
///
/// Runs on a managed stack. Go: `unwindm` and the jump of `recovery`.
/// Not for signal handlers.
///
/// # Safety
/// `catch` is in the chain that begins at the current g's `catch`; the current g is one that `resume` runs.
///
/// # Registers
/// In: `r0` catch, `r1` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_throw_to")]
pub unsafe extern "C" fn throw_to(catch: *mut CatchFrame /* r0 */, value: usize /* r1 */) -> ! {
    naked_asm!(
        begins!(),
        // The system stack begins again where it did when the catch was made. On curg all the while.
        g_place!("r12", "r3"),
        "ldr r2, [r12, r3]",
        "ldr r3, [r2, #{m_out}]",
        "ldr r12, [r0, #{g0_sp}]",
        "str r12, [r3, #{m_g0_sp}]",
        "ldr r12, [r0, #{previous}]",
        "str r12, [r2, #{catch}]",
        "ldr r12, [r0, #{thrown}]",
        "str r1, [r12]",

        // From here on this is asmcgocall_catch, at its end.
        "mov sp, r0",                          ".cfi_def_cfa sp, {size}",
        record_saved!(), doubles_saved!(), general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "pop {{r0-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, lr}}",                     ".cfi_adjust_cfa_offset {link} - {size}", record_restored!(), goes_on!(),
        "mov r0, #0",
        // Not by lr: no call of the return predictor's stack matches it.
        "mov r12, lr",
        "bx r12",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        catch = const offset_of!(G<Arm>, catch),
        m_g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        r4 = const offset_of!(CatchFrame, saved.r4),
        r5 = const offset_of!(CatchFrame, saved.r5),
        r6 = const offset_of!(CatchFrame, saved.r6),
        ofp = const offset_of!(CatchFrame, saved) + SAVED_OFP,
        r8 = const offset_of!(CatchFrame, saved.r8),
        r9 = const offset_of!(CatchFrame, saved.r9),
        r10 = const offset_of!(CatchFrame, saved.r10),
        d8 = const offset_of!(CatchFrame, saved.d8),
        link = const offset_of!(CatchFrame, saved.link),
        pc = const offset_of!(CatchFrame, pc),
        size = const size_of::<CatchFrame>(),
    )
}

/// Runs managed code on the system stack: `fn(arg)`. Go: `systemstack`.
///
/// From a managed g as [`asmcgocall`], with the same frame; on g0, on gsignal and without a g a tail call.
///
/// Runs on any stack; uses nothing of a managed one. Safe in a signal handler.
///
/// # Safety
/// As [`asmcgocall`].
///
/// # Registers
/// In: `r0` fn, `r1` arg. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_systemstack")]
pub unsafe extern "C" fn systemstack(func: SystemFn /* r0 */, arg: *mut c_void /* r1 */) {
    naked_asm!(
        begins!(),
        g_place!("r3", "r12"),
        "add r3, r3, r12",
        "ldr r2, [r3]",
        "ldr r12, [r2, #{m_out}]",
        "cmp r12, #0",
        "beq 3f",

        // g0 is current. The AsmcgocallFrame.
        "str r12, [r3]",
        "ldr r12, [r12, #{g0_sp}]",
        "str sp, [r12, #-{word}]!",
        "str ofp, [r12, #-{word}]!",
        "stmdb r12!, {{r2, r3, rfp, lr}}",

        "mov sp, r12",
        goes_on!(".save {{ofp, sp}}" ".save {{rfp, lr}}" ".pad #{link}"),
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {rfp_dwarf}, {breg_len}, {breg_sp}, {link_lo}, {link_hi}",
        ".cfi_escape {reg_at}, {lr_dwarf}, {breg_len}, {breg_sp}, {pc_lo}, {pc_hi}",
        ".cfi_escape {reg_at}, {ofp_dwarf}, {breg_len}, {breg_sp}, {other_lo}, {other_hi}",
        "add rfp, sp, #{link}",
        "mov r12, r0",
        "mov r0, r1",
        "blx r12",

        "ldm sp, {{r2, r3, rfp, lr}}",         record_restored!(), goes_on!(".save {{ofp, sp}}" ".pad #{other}"),
        "ldr ofp, [sp, #{other}]",             ".cfi_restore ofp", goes_on!(".save {{sp}}" ".pad #{sp}"),
        "ldr sp, [sp, #{sp}]",                 ".cfi_def_cfa sp, 0", goes_on!(),
        "str r2, [r3]",
        "bx lr",

        // On a system stack already: it goes on as fn.
        "3:",
        "mov r12, r0",
        "mov r0, r1",
        "bx r12",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        word = const WORD,
        m_out = const offset_of!(G<Arm>, m_out),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        link = const offset_of!(AsmcgocallFrame, link),
        other = const offset_of!(AsmcgocallFrame, other),
        sp = const offset_of!(AsmcgocallFrame, sp),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_WORD_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, breg_sp = const breg(SP.dwarf),
        rfp_dwarf = const FP.dwarf, ofp_dwarf = const OTHER_FP.dwarf, lr_dwarf = const LR.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        pc_lo = const leb_lo(offset_of!(AsmcgocallFrame, pc) as i64),
        pc_hi = const leb_hi(offset_of!(AsmcgocallFrame, pc) as i64),
        other_lo = const leb_lo(offset_of!(AsmcgocallFrame, other) as i64),
        other_hi = const leb_hi(offset_of!(AsmcgocallFrame, other) as i64),
    )
}

/// Leaves the current g, whose `state` stays as it is, and runs `fn(g)` on the system stack for good. Go: `mcall`.
///
/// `fn` ends by `gogo`, on this g or another. What runs when this g is resumed is the return from `mcall`.
///
/// Runs on a managed stack, of which it uses 128 bytes.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m. `fn` does not
/// return.
///
/// # Registers
/// In: `r0` fn. Clobbered, when it returns: what a C call clobbers. At `fn`'s entry: `r0` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall")]
pub unsafe extern "C" fn mcall(func: McallFn /* r0 */) {
    naked_asm!(
        begins!(),
        // The Crosscall2Frame, as crosscall2 builds it.
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r2-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        jump_and_go_on!(),

        // On curg, which goes on.
        "pop {{r2-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, lr}}",                     ".cfi_adjust_cfa_offset {link} - {size}", record_restored!(), goes_on!(),
        // Not by lr: the call was made long ago, perhaps on another CPU.
        "mov r12, lr",
        "bx r12",
        ends!(),
        light = sym mcall_light,
        r4 = const offset_of!(Crosscall2Frame, saved.r4),
        r5 = const offset_of!(Crosscall2Frame, saved.r5),
        r6 = const offset_of!(Crosscall2Frame, saved.r6),
        ofp = const offset_of!(Crosscall2Frame, saved) + SAVED_OFP,
        r8 = const offset_of!(Crosscall2Frame, saved.r8),
        r9 = const offset_of!(Crosscall2Frame, saved.r9),
        r10 = const offset_of!(Crosscall2Frame, saved.r10),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        link = const offset_of!(Crosscall2Frame, saved.link),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// The switch of [`mcall`], for code that has saved its callee-saved registers: it goes on at the address in
/// `lr`, with r5, r6, the frame pointer and SP as they were.
///
/// Runs on a managed stack, of which it uses 16 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`mcall`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r0` fn, `lr` where this g goes on. Clobbered there: all but r5, r6 and the frame pointer. At `fn`'s entry:
/// `r0` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall_light")]
pub(crate) unsafe extern "C" fn mcall_light() {
    naked_asm!(
        begins!(),
        // The SwitchFrame. Jumped to, with the address in lr where this g goes on.
        "push {{r5, r6, rfp, lr}}",            ".cfi_adjust_cfa_offset {size}", switch_saved!(),
        goes_on!(".save {{r5, r6, rfp, lr}}"),

        g_place!("r12", "r3"),
        "ldr r1, [r12, r3]",
        "ldr r2, [r1, #{m_out}]",
        "str sp, [r1, #{sched_sp}]",

        // g0 is current, nothing runs on this m, and this g has no m.
        "str r2, [r12, r3]",
        "mov r3, #0",
        "str r3, [r2, #{curg}]",
        "str r3, [r1, #{m_out}]",
        "ldr sp, [r2, #{g0_sp}]",              others_lost!(),
        // On g0, at the SwitchFrame of the last `resume`: the same layout, so that for who unwinds only the
        // registers are lost that `resume` does not keep either. The frame records begin anew: the g may run on
        // another thread in a moment.
        "add rfp, sp, #{link}",
        "mov r12, r0",
        "mov r0, r1",
        "blx r12",
        "udf #0",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        sched_sp = const offset_of!(G<Arm>, sched.sp),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        curg = const offset_of!(M<Arm>, curg),
        r5 = const offset_of!(SwitchFrame, r5),
        r6 = const offset_of!(SwitchFrame, r6),
        link = const offset_of!(SwitchFrame, link),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Runs a parked g on this m, with `value` as what its `park` returns, and does not come back. Go: `gogo`.
///
/// The system stack is used again from `g0.sched.sp`, where the last `resume` left it.
///
/// Runs on a system stack, of which it uses 8 bytes.
/// Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing, and `resume` has been called on this m and has not returned.
/// `g` is parked, and no other thread runs it.
///
/// # Registers
/// In: `r0` g, `r1` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_gogo")]
pub unsafe extern "C" fn gogo(g: *mut G<Arm> /* r0 */, value: usize /* r1 */) -> ! {
    naked_asm!(
        begins!(),
        // For a register more.
        "push {{rfp, lr}}",                    ".cfi_def_cfa_offset 8", ".cfi_offset rfp, -8", ".cfi_offset lr, -4",
        goes_on!(".save {{rfp, lr}}"),
        g_place!("r12", "r3"),
        "add r12, r12, r3",
        "ldr r3, [r12]",
        // What unwinders follow from the g's first frame.
        "ldr r2, [r0, #{top}]",
        "ldr lr, [r3, #{g0_sp}]",
        "str lr, [r2, #{parent} - {base}]",
        "str r3, [r0, #{m_out}]",
        "str r0, [r3, #{curg}]",

        "mov r2, r0",
        "mov r0, r1",
        // On curg, at the SwitchFrame that it has left.
        "ldr sp, [r2, #{sched_sp}]",           ".cfi_def_cfa sp, {size}", switch_saved!(), others_lost!(),
        goes_on!(".save {{r5, r6, rfp, lr}}"),
        "str r2, [r12]",
        "pop {{r5, r6, rfp, lr}}",             ".cfi_adjust_cfa_offset -{size}", switch_restored!(), goes_on!(),
        // Not by lr, which the return predictor would take for a return.
        "mov r12, lr",
        "bx r12",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        top = const offset_of!(G<Arm>, stack) + offset_of!(Stack<Arm>, top),
        sched_sp = const offset_of!(G<Arm>, sched.sp),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        curg = const offset_of!(M<Arm>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        r5 = const offset_of!(SwitchFrame, r5),
        r6 = const offset_of!(SwitchFrame, r6),
        link = const offset_of!(SwitchFrame, link),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Runs a parked g on this m until it parks or its function returns. In: the word that its `park` returns;
/// out: the word that it parks with, and the g that has come back: another one where this one has switched to it.
///
/// Inlined where it is used: the compiler keeps what it needs of the callee-saved registers, and only those that
/// it reserves for itself are saved here. [`resume_full`] is for callers who cannot say so.
///
/// Runs on a system stack, of which it uses 16 bytes. Go: `execute` and the end of `mcall`, in one.
/// Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing. `g` is parked, and no other thread runs it.
#[inline(always)]
pub unsafe fn resume(g: *mut G<Arm>, value: usize) -> (usize, *mut G<Arm>) {
    let (out, left);
    // SAFETY: by the caller; what is lost is named. The stack below SP is free for a call.
    unsafe {
        #[cfg(not(stackgate_thumb))]
        asm!(
            "bl {light}",
            light = sym resume_light,
            inlateout("r1") g => left,
            inlateout("r0") value => out,
            lateout("r4") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r7") _,
            lateout("d8") _, lateout("d9") _, lateout("d10") _, lateout("d11") _,
            lateout("d12") _, lateout("d13") _, lateout("d14") _, lateout("d15") _,
            clobber_abi("C"),
        );
        #[cfg(stackgate_thumb)]
        asm!(
            "bl {light}",
            light = sym resume_light,
            inlateout("r1") g => left,
            inlateout("r0") value => out,
            lateout("r4") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            lateout("d8") _, lateout("d9") _, lateout("d10") _, lateout("d11") _,
            lateout("d12") _, lateout("d13") _, lateout("d14") _, lateout("d15") _,
            // What C's convention loses, but for registers that this CPU does not have.
            lateout("r2") _, lateout("r3") _, lateout("r12") _, lateout("lr") _,
            lateout("d0") _, lateout("d1") _, lateout("d2") _, lateout("d3") _,
            lateout("d4") _, lateout("d5") _, lateout("d6") _, lateout("d7") _,
        );
    }
    (out, left)
}

/// Parks the current g: the `resume` that runs it returns `value`. Returns what the next `resume` of this g
/// passes, perhaps on another thread.
///
/// Inlined as [`resume`] is; [`park_full`] is for callers who cannot say what is lost.
///
/// Runs on a managed stack, of which it uses 16 bytes. Go: `gopark`.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m.
#[inline(always)]
pub unsafe fn park(value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        #[cfg(not(stackgate_thumb))]
        asm!(
            jump_and_go_on!(),
            light = sym park_light,
            inlateout("r0") value => out,
            lateout("r4") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r7") _,
            lateout("d8") _, lateout("d9") _, lateout("d10") _, lateout("d11") _,
            lateout("d12") _, lateout("d13") _, lateout("d14") _, lateout("d15") _,
            clobber_abi("C"),
        );
        #[cfg(stackgate_thumb)]
        asm!(
            jump_and_go_on!(),
            light = sym park_light,
            inlateout("r0") value => out,
            lateout("r4") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            lateout("d8") _, lateout("d9") _, lateout("d10") _, lateout("d11") _,
            lateout("d12") _, lateout("d13") _, lateout("d14") _, lateout("d15") _,
            // What C's convention loses, but for registers that this CPU does not have.
            lateout("r1") _, lateout("r2") _, lateout("r3") _, lateout("r12") _, lateout("lr") _,
            lateout("d0") _, lateout("d1") _, lateout("d2") _, lateout("d3") _,
            lateout("d4") _, lateout("d5") _, lateout("d6") _, lateout("d7") _,
        );
    }
    out
}

/// Parks the current g and runs another on the same m, without going by its system stack: the `resume` that ran this
/// one runs that one now, and is who it comes back to. Returns what the next `resume` of this g, or the next switch to
/// it, passes, perhaps on another thread.
///
/// What is left is marked as parked as soon as nothing of it is in use any more.
///
/// Inlined as [`resume`] is.
///
/// Runs on a managed stack, of which it uses 16 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]. `g` is parked, is not the current one, and no other thread runs it.
#[inline(always)]
pub unsafe fn switch_to(g: *mut G<Arm>, value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        #[cfg(not(stackgate_thumb))]
        asm!(
            jump_and_go_on!(),
            light = sym switch_light,
            inlateout("r1") g => _,
            inlateout("r0") value => out,
            lateout("r4") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r7") _,
            lateout("d8") _, lateout("d9") _, lateout("d10") _, lateout("d11") _,
            lateout("d12") _, lateout("d13") _, lateout("d14") _, lateout("d15") _,
            clobber_abi("C"),
        );
        #[cfg(stackgate_thumb)]
        asm!(
            jump_and_go_on!(),
            light = sym switch_light,
            inlateout("r1") g => _,
            inlateout("r0") value => out,
            lateout("r4") _, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
            lateout("d8") _, lateout("d9") _, lateout("d10") _, lateout("d11") _,
            lateout("d12") _, lateout("d13") _, lateout("d14") _, lateout("d15") _,
            // What C's convention loses, but for registers that this CPU does not have.
            lateout("r2") _, lateout("r3") _, lateout("r12") _, lateout("lr") _,
            lateout("d0") _, lateout("d1") _, lateout("d2") _, lateout("d3") _,
            lateout("d4") _, lateout("d5") _, lateout("d6") _, lateout("d7") _,
        );
    }
    out
}

/// [`resume`] as a function: what C calls.
///
/// Runs on a system stack, of which it uses 128 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`].
///
/// # Registers
/// In: `r0` g, `r1` value. Out: `r0`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume")]
pub unsafe extern "C" fn resume_full(g: *mut G<Arm> /* r0 */, value: usize /* r1 */) -> usize /* r0 */ {
    naked_asm!(
        begins!(),
        // The Crosscall2Frame, as crosscall2 builds it.
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r2-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        "mov r2, r0",
        "mov r0, r1",
        "mov r1, r2",
        "bl {light}",

        "pop {{r2-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, pc}}",
        ends!(),
        light = sym resume_light,
        r4 = const offset_of!(Crosscall2Frame, saved.r4),
        r5 = const offset_of!(Crosscall2Frame, saved.r5),
        r6 = const offset_of!(Crosscall2Frame, saved.r6),
        ofp = const offset_of!(Crosscall2Frame, saved) + SAVED_OFP,
        r8 = const offset_of!(Crosscall2Frame, saved.r8),
        r9 = const offset_of!(Crosscall2Frame, saved.r9),
        r10 = const offset_of!(Crosscall2Frame, saved.r10),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        link = const offset_of!(Crosscall2Frame, saved.link),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// [`park`] as a function: what C calls.
///
/// Runs on a managed stack, of which it uses 128 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`].
///
/// # Registers
/// In: `r0` value. Out: `r0`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park")]
pub unsafe extern "C" fn park_full(value: usize /* r0 */) -> usize /* r0 */ {
    naked_asm!(
        begins!(),
        // The Crosscall2Frame, as crosscall2 builds it.
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r2-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        jump_and_go_on!(),

        // On curg, which goes on; r0 is the word for it.
        "pop {{r2-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, lr}}",                     ".cfi_adjust_cfa_offset {link} - {size}", record_restored!(), goes_on!(),
        // Not by lr: the call was made long ago, perhaps on another CPU.
        "mov r12, lr",
        "bx r12",
        ends!(),
        light = sym park_light,
        r4 = const offset_of!(Crosscall2Frame, saved.r4),
        r5 = const offset_of!(Crosscall2Frame, saved.r5),
        r6 = const offset_of!(Crosscall2Frame, saved.r6),
        ofp = const offset_of!(Crosscall2Frame, saved) + SAVED_OFP,
        r8 = const offset_of!(Crosscall2Frame, saved.r8),
        r9 = const offset_of!(Crosscall2Frame, saved.r9),
        r10 = const offset_of!(Crosscall2Frame, saved.r10),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        link = const offset_of!(Crosscall2Frame, saved.link),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// The switch of [`resume`]: saves what no list of clobbers may name, and returns when the g has parked or ended.
///
/// Both stacks have a [`SwitchFrame`] at the place where they are left, so that one description of the frame is
/// right before SP moves and after. It is called, and `park` returns to its caller: the return predictor is right.
///
/// Runs on a system stack, of which it uses 16 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`]; not callable from Rust, since it keeps too little.
///
/// # Registers
/// In: `r1` g, `r0` value. Out: `r0`, and in `r1` the g that has come back. Clobbered: all but r5, r6 and the
/// frame pointer.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume_light")]
pub(crate) unsafe extern "C" fn resume_light() {
    naked_asm!(
        begins!(),
        // The SwitchFrame.
        "push {{r5, r6, rfp, lr}}",            ".cfi_adjust_cfa_offset {size}", switch_saved!(),
        goes_on!(".save {{r5, r6, rfp, lr}}"),

        // The system stack is used from here on by what this g calls, and unwinders come here from its
        // first frame.
        g_place!("r12", "r3"),
        "add r12, r12, r3",
        "ldr r3, [r12]",
        "str sp, [r3, #{g0_sp}]",
        "ldr r2, [r1, #{top}]",
        "str sp, [r2, #{parent} - {base}]",
        "str r3, [r1, #{m_out}]",
        "str r1, [r3, #{curg}]",

        // The g's own SP, then the g. On curg, at the SwitchFrame that it has left: the rules above describe
        // that as well, but for what it has not kept.
        "ldr sp, [r1, #{sched_sp}]",           others_lost!(),
        "str r1, [r12]",
        "pop {{r5, r6, rfp, lr}}",             ".cfi_adjust_cfa_offset -{size}", switch_restored!(), goes_on!(),
        // Not by lr, which the return predictor would take for a return.
        "mov r12, lr",
        "bx r12",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        top = const offset_of!(G<Arm>, stack) + offset_of!(Stack<Arm>, top),
        sched_sp = const offset_of!(G<Arm>, sched.sp),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        curg = const offset_of!(M<Arm>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        r5 = const offset_of!(SwitchFrame, r5),
        r6 = const offset_of!(SwitchFrame, r6),
        link = const offset_of!(SwitchFrame, link),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`park`]: goes on at the address in `lr` when the g is resumed, with r5, r6, the frame pointer and
/// SP as they were.
///
/// Runs on a managed stack, of which it uses 16 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r0` value, `lr` where this g goes on. Out, there: `r0`. Clobbered there: all but r5, r6 and the frame
/// pointer.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park_light")]
pub(crate) unsafe extern "C" fn park_light() {
    naked_asm!(
        begins!(),
        // The SwitchFrame. Jumped to, with the address in lr where this g goes on.
        "push {{r5, r6, rfp, lr}}",            ".cfi_adjust_cfa_offset {size}", switch_saved!(),
        goes_on!(".save {{r5, r6, rfp, lr}}"),

        g_place!("r12", "r3"),
        "ldr r1, [r12, r3]",
        "ldr r2, [r1, #{m_out}]",
        "str sp, [r1, #{sched_sp}]",

        // g0 is current, nothing runs on this m, and this g has no m.
        "str r2, [r12, r3]",
        "mov r3, #0",
        "str r3, [r2, #{curg}]",
        "str r3, [r1, #{m_out}]",
        "ldr sp, [r2, #{g0_sp}]",              others_lost!(),

        // On g0, in resume's SwitchFrame: the same layout, so the rules above describe it as well.
        "pop {{r5, r6, rfp, pc}}",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        sched_sp = const offset_of!(G<Arm>, sched.sp),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        curg = const offset_of!(M<Arm>, curg),
        r5 = const offset_of!(SwitchFrame, r5),
        r6 = const offset_of!(SwitchFrame, r6),
        link = const offset_of!(SwitchFrame, link),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`switch_to`]: goes on at the address in `lr` when the g is resumed, with r5, r6, the frame pointer
/// and SP as they were.
///
/// Runs on a managed stack, of which it uses 16 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`switch_to`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r1` g, `r0` value, `lr` where the current g goes on. Out, there: `r0`. Clobbered there: all but r5, r6 and
/// the frame pointer.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_switch_light")]
pub(crate) unsafe extern "C" fn switch_light() {
    naked_asm!(
        begins!(),
        // The SwitchFrame. Jumped to, with the address in lr where this g goes on.
        "push {{r5, r6, rfp, lr}}",            ".cfi_adjust_cfa_offset {size}", switch_saved!(),
        goes_on!(".save {{r5, r6, rfp, lr}}"),

        g_place!("r12", "r3"),
        "add r12, r12, r3",
        "ldr r2, [r12]",
        "ldr r3, [r2, #{m_out}]",
        "str sp, [r2, #{sched_sp}]",

        // What unwinders follow from the other g's first frame; then g0 is current, that one is curg, and this one has
        // no m.
        "ldr r5, [r1, #{top}]",
        "ldr r6, [r3, #{g0_sp}]",
        "str r6, [r5, #{parent} - {base}]",
        "str r3, [r1, #{m_out}]",
        "str r3, [r12]",
        "str r1, [r3, #{curg}]",
        "mov r5, #0",
        "str r5, [r2, #{m_out}]",

        // On the other g, at the SwitchFrame that it has left: the rules above describe that as well, but for what
        // it has not kept. Nothing of this one is in use any more.
        "ldr sp, [r1, #{sched_sp}]",           others_lost!(),
        "str r1, [r12]",
        "mov r5, #{parked}",
        "str r5, [r2, #{state}]",
        "pop {{r5, r6, rfp, lr}}",             ".cfi_adjust_cfa_offset -{size}", switch_restored!(), goes_on!(),
        // Not by lr, which the return predictor would take for a return.
        "mov r12, lr",
        "bx r12",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        top = const offset_of!(G<Arm>, stack) + offset_of!(Stack<Arm>, top),
        state = const offset_of!(G<Arm>, state),
        parked = const crate::GState::Parked as usize,
        sched_sp = const offset_of!(G<Arm>, sched.sp),
        g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        curg = const offset_of!(M<Arm>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        r5 = const offset_of!(SwitchFrame, r5),
        r6 = const offset_of!(SwitchFrame, r6),
        link = const offset_of!(SwitchFrame, link),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Where a g's first `resume` arrives: runs its function, then parks it for the last time.
///
/// Not a function: `resume`, `gogo` and `switch_to` jump here, on the g's stack, with SP at its [`BaseFrame`]
/// and the word for it in `r0`. Unwinders go on in the `resume` that runs this g, whose frame `parent`
/// designates.
///
/// # Safety
/// Only the address is used.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_g_start")]
pub unsafe extern "C" fn g_start() {
    naked_asm!(
        begins!(),
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {parent_lo}, {parent_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        switch_saved!(), others_lost!(),
        ".save {{r5, r6, rfp, lr}}", ".save {{sp}}", ".pad #{parent}",
        // An unwinder looks one byte before the address that `resume` jumps to.
        "nop",
        // A function to the linker, so that its address says the state.
        ".globl stackgate_g_begin", ".hidden stackgate_g_begin", ".type stackgate_g_begin, %function",
        "stackgate_g_begin:",
        "ldr r12, [sp, #{entry}]",
        "blx r12",

        // On curg, which ends. From here on this is park, and nobody comes back.
        g_place!("r12", "r3"),
        "add r12, r12, r3",
        "ldr r1, [r12]",
        "ldr r2, [r1, #{m_out}]",
        "mov r3, #{finished}",
        "str r3, [r1, #{state}]",
        "str r2, [r12]",
        "mov r3, #0",
        "str r3, [r2, #{curg}]",
        "str r3, [r1, #{m_out}]",
        // Where `resume` stands, whatever C has left of callbacks by longjmp.
        "ldr sp, [sp, #{parent}]",             ".cfi_def_cfa sp, {size}",
        goes_on!(".save {{r5, r6, rfp, lr}}"),
        "pop {{r5, r6, rfp, pc}}",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        entry = const offset_of!(BaseFrame, entry),
        parent = const offset_of!(BaseFrame, parent),
        m_out = const offset_of!(G<Arm>, m_out),
        state = const offset_of!(G<Arm>, state),
        finished = const crate::GState::Finished as usize,
        curg = const offset_of!(M<Arm>, curg),
        r5 = const offset_of!(SwitchFrame, r5),
        r6 = const offset_of!(SwitchFrame, r6),
        link = const offset_of!(SwitchFrame, link),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_sp = const breg(SP.dwarf),
        parent_lo = const leb_lo(offset_of!(BaseFrame, parent) as i64),
        parent_hi = const leb_hi(offset_of!(BaseFrame, parent) as i64),
        size_lo = const leb_lo(size_of::<SwitchFrame>() as i64),
        size_hi = const leb_hi(size_of::<SwitchFrame>() as i64),
    )
}

unsafe extern "C" {
    /// Where a callback's managed function returns to: a return address that says "C lies below here". In
    /// Thumb code its bit 0 is set, as in every return address.
    #[link_name = "stackgate_callback_return"]
    pub static callback_return: [u8; 0];
    /// Where the handler that `sigtramp` calls returns to.
    #[link_name = "stackgate_sigtramp_return"]
    pub static sigtramp_return: [u8; 0];
    /// Where the first `resume` of a g jumps to, in [`g_start`].
    #[link_name = "stackgate_g_begin"]
    pub static g_begin: [u8; 0];
}

/// Runs managed code on curg, called from C: `fn(frame, framesize, ctxt)`. Go: `cgocallback`.
///
/// For managed code that obeys the C ABI; [`crosscall2`] is for code that keeps no register. The
/// [`CallbackFrame`] on the system stack holds all there is to know; on curg lie only the [`CallbackEntry`],
/// whose frame record continues curg's own chain, and what the managed code itself puts there. `ctxt` is the
/// traceback context of the C frames below, 0 for none.
///
/// A callback on a thread without a g, on a g other than g0, on an m that runs nothing, from a call that promised
/// none, or after C has left callbacks by `longjmp` goes to [`CALLBACK_ELSEWHERE`].
///
/// Runs on a system stack, of which it uses 32 bytes, and of curg's 16. Not for signal handlers.
///
/// # Safety
/// `fn` may be called with these arguments on curg's stack.
///
/// # Registers
/// In: `r0` fn, `r1` frame, `r2` framesize, `r3` ctxt. Clobbered: what a C call clobbers, and what `fn`
/// clobbers beside that. At `fn`'s entry: `r0` frame, `r1` framesize, `r2` ctxt; SP a multiple of 8; FPSCR
/// as C left it.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_cgocallback")]
pub unsafe extern "C" fn cgocallback(
    func: CallbackFn,   /* r0 */
    frame: *mut c_void, /* r1 */
    framesize: usize,   /* r2 */
    ctxt: usize,        /* r3 */
) {
    naked_asm!(
        begins!(),
        // The upper half of the CallbackFrame: C's frame record, and two registers to work with.
        "push {{r4, r5, rfp, lr}}",            ".cfi_def_cfa_offset {size} - {r4}", ".cfi_offset r4, {r4} - {size}",
        ".cfi_offset r5, {r5} - {size}", record_saved!(), goes_on!(".save {{r4, r5, rfp, lr}}"),

        // May this g be called back, and is there a g to run it?
        g_place!("r12", "r4"),
        "add r12, r12, r4",
        "ldr r4, [r12]",
        "ldr r5, [r4, #{m_in}]",
        "cmp r5, #0",
        "beq 3f",
        "ldr r4, [r5, #{curg}]",
        "cmp r4, #0",
        "beq 3f",
        // What C has below a callback is lower than g0_sp; where it is not, C has left the callback's frames by longjmp,
        // unless it has a stack of its own.
        "ldr lr, [r5, #{m_g0_sp}]",
        "cmp sp, lr",
        "bhi 1f",
        "2:",

        // The lower half: g0_sp, m, g, ctxt.
        "push {{r3, r4, r5, lr}}",             ".cfi_def_cfa_offset {size}", goes_on!(".save {{r4, r5, rfp, lr}}" ".pad #{r4}"),
        // The AsmcgocallFrame that this callback came through ends at g0_sp. Where its g is another, C has left it by
        // longjmp and called over it. r3's word is in the frame.
        "ldr r3, [lr, #{call_g} - {call}]",
        "cmp r3, r4",
        "bne 60f",
        // It is complete: publish it. Then SP goes to curg's stack, then curg is current: until then a handler
        // that runs on g0's stack calls C there.
        "str sp, [r5, #{m_g0_sp}]",
        "ldr r5, [lr, #{call_sp} - {call}]",
        "mov r3, sp",                          ".cfi_def_cfa_register r3",
        "bic r5, r5, #7",
        "mov sp, r5",                          goes_on!(".save {{r4, r5, rfp, lr}}" ".pad #{r4}" ".movsp r3"),
        "str r4, [r12]",

        // On curg. The CallbackEntry from its upper end: pc, link, which r5 and r4 are of the AsmcgocallFrame's
        // last four words; func, callback. rfp is C's until its record is complete.
        "ldmdb lr, {{r4, r5, r12, lr}}",
        "push {{r4, r5}}",
        "mov r12, r0",
        "push {{r3, r12}}",
        // From here on the CFA is the upper end of the CallbackFrame that `callback` designates.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {cb_lo}, {cb_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        goes_on!(".save {{r4, r5, rfp, lr}}" ".pad #{r4}" ".save {{sp}}"),
        "mov r0, r1",
        "mov r1, r2",
        "ldr r2, [r3, #{ctxt}]",
        "add rfp, sp, #{entry_link}",
        "blx r12",
        // A function to the linker, so that its address has bit 0 as a return address has.
        ".globl stackgate_callback_return", ".hidden stackgate_callback_return",
        ".type stackgate_callback_return, %function",
        "stackgate_callback_return:",

        // On curg, and only SP is known. g0 is current again, the frame is taken back, then SP leaves: r2 is
        // the m, lr is g0_sp.
        "ldr r3, [sp, #{callback}]",
        "ldm r3, {{r0, r1, r2, lr}}",
        g_place!("r12", "r0", "7", "6"),
        "str r2, [r12, r0]",
        "str lr, [r2, #{m_g0_sp}]",
        "mov sp, r3",                          ".cfi_def_cfa sp, {size}", goes_on!(".save {{r4, r5, rfp, lr}}" ".pad #{r4}"),
        "pop {{r0-r5, rfp, pc}}",

        // Called over.
        "60:",
        "ldr r3, [sp], #{r4}",                 ".cfi_def_cfa_offset {size} - {r4}", goes_on!(".save {{r4, r5, rfp, lr}}"),
        "b 3f",

        // Above g0_sp: is not one of them on g0's stack? A foreign thread's g0_sp begins in its m.
        "1:",                                  ".cfi_def_cfa sp, {size} - {r4}",
        "ldr r4, [r5, #{m_g0_limit}]",
        "cmp lr, r4",
        "ldr r4, [r5, #{curg}]",
        "blo 2b",
        "ldr lr, [r5, #{m_g0_top}]",
        "cmp sp, lr",
        "ldr lr, [r5, #{m_g0_sp}]",
        "bhi 2b",

        // On g0, or on whatever stack C runs. The registers are as they came.
        "3:",
        "pop {{r4, r5, rfp, lr}}",             ".cfi_def_cfa_offset 0", ".cfi_restore r4", ".cfi_restore r5",
        record_restored!(), goes_on!(),
        "ldr r12, 5f",
        "4: add r12, pc",
        "ldr r12, [r12]",
        "bx r12",
        ".balign 4",
        g_literal!(),
        g_literal!("7", "6"),
        "5: .word {elsewhere} - (4b + {ahead})",
        ends!(),
        elsewhere = sym CALLBACK_ELSEWHERE,
        ahead = const PC_AHEAD,
        m_in = const offset_of!(G<Arm>, m_in),
        curg = const offset_of!(M<Arm>, curg),
        m_g0_sp = const offset_of!(M<Arm>, g0.sched.sp),
        m_g0_limit = const offset_of!(M<Arm>, g0.stack.limit),
        m_g0_top = const offset_of!(M<Arm>, g0.stack.top),
        call = const size_of::<AsmcgocallFrame>(),
        call_g = const offset_of!(AsmcgocallFrame, g),
        call_sp = const offset_of!(AsmcgocallFrame, sp),
        ctxt = const offset_of!(CallbackFrame, ctxt),
        r4 = const offset_of!(CallbackFrame, r4),
        r5 = const offset_of!(CallbackFrame, r5),
        link = const offset_of!(CallbackFrame, link),
        pc = const offset_of!(CallbackFrame, pc),
        size = const size_of::<CallbackFrame>(),
        callback = const offset_of!(CallbackEntry, callback),
        entry_link = const offset_of!(CallbackEntry, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_sp = const breg(SP.dwarf),
        cb_lo = const leb_lo(offset_of!(CallbackEntry, callback) as i64),
        cb_hi = const leb_hi(offset_of!(CallbackEntry, callback) as i64),
        size_lo = const leb_lo(size_of::<CallbackFrame>() as i64),
        size_hi = const leb_hi(size_of::<CallbackFrame>() as i64),
    )
}
// The pushes of cgocallback, from each frame's upper end down.
pushes!(CallbackFrame: pc, link, r5, r4, g0_sp, m, g, ctxt);
pushes!(CallbackEntry: pc, link, func, callback);

/// C's way into managed code that keeps no register: saves all that C expects back, then [`cgocallback`].
/// Go: `crosscall2`.
///
/// Runs on a system stack, of which it uses 112 bytes beside those of `cgocallback`. Not for signal handlers.
///
/// # Safety
/// As [`cgocallback`].
///
/// # Registers
/// In: `r0` fn, `r1` a, `r2` n, `r3` ctxt. Clobbered: what a C call clobbers. At `fn`'s entry: as
/// [`cgocallback`]; n is a word.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2")]
pub unsafe extern "C" fn crosscall2(
    func: CallbackFn, /* r0 */
    a: *mut c_void,   /* r1 */
    n: c_int,         /* r2 */
    ctxt: usize,      /* r3 */
) {
    naked_asm!(
        begins!(),
        // r2 and r3 fill the two words that are crosscall1's, and come back for nothing.
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r2-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        "bl {cgocallback}",

        "pop {{r2-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, pc}}",
        ends!(),
        cgocallback = sym cgocallback,
        r4 = const offset_of!(Crosscall2Frame, saved.r4),
        r5 = const offset_of!(Crosscall2Frame, saved.r5),
        r6 = const offset_of!(Crosscall2Frame, saved.r6),
        ofp = const offset_of!(Crosscall2Frame, saved) + SAVED_OFP,
        r8 = const offset_of!(Crosscall2Frame, saved.r8),
        r9 = const offset_of!(Crosscall2Frame, saved.r9),
        r10 = const offset_of!(Crosscall2Frame, saved.r10),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        link = const offset_of!(Crosscall2Frame, saved.link),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// [`crosscall2`] with three arguments, as C code that knows no context calls it: the context is 0.
///
/// Go takes the missing fourth argument from whatever the register holds.
///
/// Runs on a system stack. Not for signal handlers.
///
/// # Safety
/// As [`crosscall2`].
///
/// # Registers
/// In: `r0` fn, `r1` a, `r2` n. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_panic")]
pub unsafe extern "C" fn crosscall2_panic(
    func: CallbackFn, /* r0 */
    a: *mut c_void,   /* r1 */
    n: c_int,         /* r2 */
) {
    naked_asm!(
        begins!(),
        "mov r3, #0",
        "b {crosscall2}",
        ends!(),
        crosscall2 = sym crosscall2,
    )
}

/// A thread's entry: makes the g0 `g` current, runs `fn(g)` where it stands, and gives C back its registers
/// and the thread its former g. Go: `crosscall1`.
///
/// Runs on the thread's own stack, of which it uses 112 bytes. Not for signal handlers.
///
/// # Safety
/// `g` is a g0 that no other thread uses; `fn` may be called with it.
///
/// # Registers
/// In: `r0` fn, `r1` g. Clobbered: what a C call clobbers, whatever `fn` clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall1")]
pub unsafe extern "C" fn crosscall1(func: ThreadFn /* r0 */, g: *mut G<Arm> /* r1 */) {
    naked_asm!(
        begins!(),
        // The former g and its place, in r2 and r3, lie in the words below what C expects back.
        g_place!("r3", "r12"),
        "add r3, r3, r12",
        "ldr r2, [r3]",
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r2-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        "str r1, [r3]",
        "mov r12, r0",
        "mov r0, r1",
        "blx r12",

        "pop {{r2-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "str r2, [r3]",
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, pc}}",
        ".balign 4",
        g_literal!(),
        ends!(),
        ahead = const PC_AHEAD,
        r4 = const offset_of!(Crosscall2Frame, saved.r4),
        r5 = const offset_of!(Crosscall2Frame, saved.r5),
        r6 = const offset_of!(Crosscall2Frame, saved.r6),
        ofp = const offset_of!(Crosscall2Frame, saved) + SAVED_OFP,
        r8 = const offset_of!(Crosscall2Frame, saved.r8),
        r9 = const offset_of!(Crosscall2Frame, saved.r9),
        r10 = const offset_of!(Crosscall2Frame, saved.r10),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        link = const offset_of!(Crosscall2Frame, saved.link),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// A signal handler for `sigaction` with `SA_SIGINFO`: makes the m's gsignal the current g, calls what
/// `SIGNAL_HANDLER` says with the same arguments and the former g, and makes that current again.
///
/// A handler that interrupts a handler finds gsignal current and leaves it so; a thread without an m stays
/// without a g. The kernel wants no register back, but C code that has replaced this handler may call it as a
/// plain function: all that C expects back is kept.
///
/// Runs on any stack, of which it uses 112 bytes: on a signal stack where the thread has one, also on one that C
/// has set. It is a signal handler. Go: `sigtramp`.
///
/// # Safety
/// `info` and `ucontext` are what the kernel passed for `signal`. What is called returns: a jump out of it
/// would leave gsignal current.
///
/// # Registers
/// In: `r0` signal, `r1` info, `r2` ucontext. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_sigtramp")]
pub unsafe extern "C" fn sigtramp(
    signal: c_int,         /* r0 */
    info: *mut c_void,     /* r1 */
    ucontext: *mut c_void, /* r2 */
) {
    naked_asm!(
        begins!(),
        // r2 and r3 fill the words for the former g and its place.
        "push {{rfp, lr}}",                    ".cfi_adjust_cfa_offset {size} - {link}", record_saved!(),
        goes_on!(".save {{rfp, lr}}"),
        "vpush {{d8-d15}}",                    ".cfi_adjust_cfa_offset {link} - {d8}", doubles_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "push {{r2-r11}}",                     ".cfi_adjust_cfa_offset {d8}", general_saved!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}" ".save {{r4-r11}}" ".pad #{r4}"),
        "add rfp, sp, #{link}",

        // Whose signal stack? The m's of the g that was interrupted, or of the g0. gsignal stays current, and
        // so does the g that stands for none.
        g_place!("r5", "r4"),
        "add r5, r5, r4",
        "str r5, [sp, #{place}]",
        "ldr r3, [r5]",
        "str r3, [sp, #{former}]",
        "ldr r6, [r3, #{m_out}]",
        "cmp r6, #0",
        "bne 2f",
        "ldr r6, [r3, #{state}]",
        "cmp r6, #{is_g0}",
        "bne 3f",
        "mov r6, r3",
        "2:",
        "add r6, r6, #{gsignal}",
        "str r6, [r5]",

        // ucontext stays known until the end, for who interrupts this: in r2, and behind the call in r8. The
        // former g is the fourth argument.
        "3:",
        "mov r8, r2",
        "ldr r12, 5f",
        "4: add r12, pc",
        "ldr r12, [r12]",
        "blx r12",
        ".globl stackgate_sigtramp_return", ".hidden stackgate_sigtramp_return",
        ".type stackgate_sigtramp_return, %function",
        "stackgate_sigtramp_return:",
        "mov r2, r8",

        "ldr r12, [sp, #{place}]",
        "ldr r3, [sp, #{former}]",
        "str r3, [r12]",
        "str r2, [sp, #{former}]",
        "pop {{r2-r11}}",                      ".cfi_adjust_cfa_offset -{d8}", general_restored!(),
        goes_on!(".save {{rfp, lr}}" ".vsave {{d8-d15}}"),
        "vpop {{d8-d15}}",                     ".cfi_adjust_cfa_offset {d8} - {link}", doubles_restored!(),
        goes_on!(".save {{rfp, lr}}"),
        "pop {{rfp, pc}}",
        ".balign 4",
        g_literal!(),
        "5: .word {handler} - (4b + {ahead})",
        ends!(),
        handler = sym SIGNAL_HANDLER,
        ahead = const PC_AHEAD,
        m_out = const offset_of!(G<Arm>, m_out),
        state = const offset_of!(G<Arm>, state),
        is_g0 = const crate::GState::G0 as usize,
        gsignal = const offset_of!(M<Arm>, gsignal),
        former = const offset_of!(Crosscall2Frame, former),
        place = const offset_of!(Crosscall2Frame, place),
        r4 = const offset_of!(Crosscall2Frame, saved.r4),
        r5 = const offset_of!(Crosscall2Frame, saved.r5),
        r6 = const offset_of!(Crosscall2Frame, saved.r6),
        ofp = const offset_of!(Crosscall2Frame, saved) + SAVED_OFP,
        r8 = const offset_of!(Crosscall2Frame, saved.r8),
        r9 = const offset_of!(Crosscall2Frame, saved.r9),
        r10 = const offset_of!(Crosscall2Frame, saved.r10),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        link = const offset_of!(Crosscall2Frame, saved.link),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// Ends the program, or stops the machine, by an instruction that no CPU knows: for who can tell nobody why.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: nothing runs behind it.
    unsafe { asm!("udf #0", options(noreturn, nomem, nostack)) }
}

/// Asks valgrind for what the six `words` say, by instructions that do nothing where it is not there: then `default`
/// is the answer. The words are a request's number and its arguments.
///
/// Runs on any stack; safe in a signal handler. Source: `PLAT_arm_linux` in `valgrind.h` of valgrind 3.19.
#[inline(always)]
pub fn client_request(default: usize, words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: no register changes but the one of the answer.
    unsafe {
        asm!(
            "mov r12, r12, ror #3",
            "mov r12, r12, ror #13",
            "mov r12, r12, ror #29",
            "mov r12, r12, ror #19",
            "orr r10, r10, r10",
            in("r4") words,
            inlateout("r3") default => answer,
            options(nostack, preserves_flags),
        );
    }
    answer
}

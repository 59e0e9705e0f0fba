//! The crossings of arm64, in the order of the contract in the crate's documentation.
//!
//! Reading aid: `{name}` in an instruction is the offset of the field of that name in the frame that the
//! function's documentation shows, or in the structure that the operand list at its end names. In comments,
//! "on g0" and "on curg" say which stack SP is on. A pair instruction names the lower of its two fields; that
//! the other follows is asserted beside the function.
//!
//! Scratch registers have the same use throughout: `x10` and `x11` the current g's place, `x12` the g, `x13`
//! the m, `x9` and `x14` to `x17` what is at hand. `x18` is never used: it may be the platform's.

use super::frame::*;
use crate::dwarf::*;
use crate::frame::W64;
use crate::g::NO_G;
use crate::{CALLBACK_ELSEWHERE, CFn, CallbackFn, G, M, McallFn, SIGNAL_HANDLER, Stack, SystemFn, ThreadFn};
use core::arch::{asm, global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

keep_unwind_tables!();

// The current g: one word of static TLS for each thread, in the initial-exec model, so that finding it is
// three instructions, is safe in a signal handler and works in a shared library that is loaded at start.
#[cfg(not(feature = "single-core"))]
global_asm!(
    ".pushsection .tdata, \"awT\", %progbits",
    ".balign 8",
    ".globl stackgate_g",
    ".hidden stackgate_g",
    ".type stackgate_g, %object",
    ".size stackgate_g, 8",
    "stackgate_g: .quad {no_g}",
    ".popsection",
    no_g = sym NO_G,
);
// The same where one CPU runs without threads: one plain word.
#[cfg(feature = "single-core")]
global_asm!(
    ".pushsection .data.stackgate_g, \"aw\", %progbits",
    ".balign 8",
    ".globl stackgate_g",
    ".hidden stackgate_g",
    ".type stackgate_g, %object",
    ".size stackgate_g, 8",
    "stackgate_g: .quad {no_g}",
    ".popsection",
    no_g = sym NO_G,
);

/// Loads the current g's place into two registers, whose sum it is: the thread pointer and an offset, or zero
/// and the word's address.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_place { ($thread:literal, $offset:literal) => { concat!(
    "mrs ", $thread, ", tpidr_el0\n",
    "adrp ", $offset, ", :gottprel:stackgate_g\n",
    "ldr ", $offset, ", [", $offset, ", :gottprel_lo12:stackgate_g]",
) } }
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! g_place { ($thread:literal, $offset:literal) => { concat!(
    "mov ", $thread, ", xzr\n",
    "adrp ", $offset, ", stackgate_g\n",
    "add ", $offset, ", ", $offset, ", :lo12:stackgate_g",
) } }
/// Lands a jump through a register, `br`, where the CPU enforces that: `bti j`, or nothing. Code that is
/// called lands on `landing_pad!`, beside the modules.
#[cfg(not(stackgate_landing_pads))]
#[rustfmt::skip]
macro_rules! jump_pad { () => { "" } }
#[cfg(stackgate_landing_pads)]
#[rustfmt::skip]
macro_rules! jump_pad { () => { "hint 36" } }
/// Goes to the return address of a call that is not the innermost one for the return predictor: a jump, which
/// takes nothing from its stack. Where the CPU enforces landing pads it has to be a return and to cost a
/// misprediction: no compiler lays a pad behind a call, and only `ret` may go where none is.
#[cfg(not(stackgate_landing_pads))]
#[rustfmt::skip]
macro_rules! return_unpaired { () => { "br x30" } }
#[cfg(stackgate_landing_pads)]
#[rustfmt::skip]
macro_rules! return_unpaired { () => { "ret" } }

/// Asserts that the two fields of each pair follow each other, so that one instruction moves both.
macro_rules! pairs {
    ($frame:ty: $([$($low:tt)+] [$($high:tt)+]),+) => {
        const _: () = {
            $(assert!(
                offset_of!($frame, $($low)+) + size_of::<W64>() == offset_of!($frame, $($high)+),
                "the two fields of a pair no longer follow each other"
            );)+
        };
    };
}
pairs!(CalleeSaved: [x19] [x20], [x21] [x22], [x23] [x24], [x25] [x26], [x27] [x28]);
pairs!(CalleeSaved: [d8] [d9], [d10] [d11], [d12] [d13], [d14] [d15]);

/// Bytes of the expression `breg(offset); deref`: SP at entry is the CFA, since a call pushes nothing.
const DEREF_LEN: u8 = BREG_LEN + 1;

/// The current g, or null when the thread has none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg`.
///
/// # Safety
/// None beyond the declaration: it reads one word of the thread, and one of its g.
///
/// # Registers
/// Out: `x0`. Clobbered: `x9` to `x11`, NZCV.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_getg")]
pub unsafe extern "C" fn getg() -> *mut G<Arm64> /* x0 */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("x10", "x11"),
        "ldr x0, [x10, x11]",
        // One that stands for none is null to everybody else.
        "ldr x9, [x0, {state}]",
        "cmp x9, #0",
        "csel x0, xzr, x0, eq",
        "ret",
        ".cfi_endproc",
        state = const offset_of!(G<Arm64>, state),
    )
}

/// The current g as the crossings read it: the g of zeros stands for none, so that its fields can be asked.
///
/// Inlined where it is used, for paths that count instructions. Read anew each time: a g kept over a switch
/// may be another thread's.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn current() -> *mut G<Arm64> {
    let g;
    // SAFETY: reads one word of the thread.
    unsafe {
        asm!(
            g_place!("{g}", "{at}"),
            "ldr {g}, [{g}, {at}]",
            g = out(reg) g,
            at = out(reg) _,
            options(nostack, preserves_flags, readonly),
        );
    }
    g
}

/// Makes `g` current; null for none.
///
/// Runs on any stack; safe in a signal handler that gives back what it found. Go: `setg`.
///
/// # Safety
/// `g` is null or stays valid for as long as it is current, and SP is on its stack.
///
/// # Registers
/// In: `x0`. Clobbered: `x0`, `x9` to `x11`, NZCV.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_setg")]
pub unsafe extern "C" fn setg(g: *mut G<Arm64> /* x0 */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "adrp x9, :got:{no_g}",
        "ldr x9, [x9, :got_lo12:{no_g}]",
        "cmp x0, 0",
        "csel x0, x9, x0, eq",
        g_place!("x10", "x11"),
        "str x0, [x10, x11]",
        "ret",
        ".cfi_endproc",
        no_g = sym NO_G,
    )
}

/// Calls C on the system stack: `fn(arg)`. Go: `asmcgocall`.
///
/// Four paths: from a managed g it switches to g0's stack; on g0, on gsignal and without a g it calls where
/// it stands, which is a jump: SP is aligned on every stack, and nothing has to be done afterwards. While C
/// runs, g0 is current and an [`AsmcgocallFrame`] lies directly below `g0.sched.sp`. C's own callee-saved
/// registers are C's affair; only `x29` is kept here, because C would save it at a place that nobody can find
/// again when the managed stack moves.
///
/// Runs on any stack; uses nothing of a managed one. Safe in a signal handler.
///
/// # Safety
/// `fn` may be called with `arg`. The current g is a g that `resume` runs, a g0, a gsignal, or none.
///
/// # Registers
/// In: `x0` fn, `x1` arg. Out: `x0`. Clobbered: what a C call clobbers.
/// At `fn`'s entry: `x0` arg; SP a multiple of 16; `x18`, FPCR and FPSR as the caller left them.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall")]
pub unsafe extern "C" fn asmcgocall(func: CFn /* x0 */, arg: *mut c_void /* x1 */) -> c_int /* w0 */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // Does this g call away from its stack?
        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "cbz x13, 3f",

        // g0 is current before anything of its stack is in use. An m's address is its g0's.
        "str x13, [x10, x11]",
        "mov x14, sp",
        "ldr x15, [x13, {g0_sp}]",
        "sub sp, x15, {size}",                 ".cfi_def_cfa x14, 0",

        // On g0, at the AsmcgocallFrame: g, sp; link, pc. Nothing else holds the return address from here on.
        "stp x12, x14, [sp, {g}]",
        "stp x29, x30, [sp, {link}]",
        // From here on the CFA is the word `sp`; x29 is in `link`, x30 in `pc`.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {x29_dwarf}, {breg_len}, {breg_sp}, {link_lo}, {link_hi}",
        ".cfi_escape {reg_at}, {x30_dwarf}, {breg_len}, {breg_sp}, {pc_lo}, {pc_hi}",
        "add x29, sp, {link}",

        "mov x9, x0",
        "mov x0, x1",
        "blr x9",

        // On g0, C has returned. Leave its stack, then give up g0. The managed stack may have moved since:
        // `sp` and `link` have been rewritten then, g has not moved.
        "ldp x12, x14, [sp, {g}]",
        "ldp x29, x30, [sp, {link}]",          ".cfi_restore x29", ".cfi_restore x30",
        "mov sp, x14",                         ".cfi_def_cfa sp, 0",
        g_place!("x10", "x11"),
        "str x12, [x10, x11]",
        "ret",

        // On g0, gsignal or a stack that no g knows: it goes on as C.
        "3:",
        "mov x16, x0",
        "mov x0, x1",
        "br x16",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        g = const offset_of!(AsmcgocallFrame, g),
        link = const offset_of!(AsmcgocallFrame, link),
        size = const size_of::<AsmcgocallFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN, deref = const DW_OP_DEREF,
        breg_sp = const breg(SP.dwarf), x29_dwarf = const X29.dwarf, x30_dwarf = const X30.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        pc_lo = const leb_lo(offset_of!(AsmcgocallFrame, pc) as i64),
        pc_hi = const leb_hi(offset_of!(AsmcgocallFrame, pc) as i64),
    )
}
// The pairs of asmcgocall, ccall and systemstack.
pairs!(AsmcgocallFrame: [g] [sp], [link] [pc]);

/// Calls any C function on the system stack, its argument registers untouched. For JITs and typed wrappers.
///
/// As [`asmcgocall`], but the function is in `x9` and takes whatever the argument registers hold (`x0` to
/// `x7`, `x8` for a result in memory, `v0` to `v7`); arguments on the stack are not passed on. Every result
/// register comes back as C left it. Not in `x16` or `x17`: a linker's veneer may lie between the caller and
/// this.
///
/// Runs on any stack; uses nothing of a managed one. Safe in a signal handler. Go has no such function.
///
/// # Safety
/// As [`asmcgocall`]; not callable from Rust, since the function is in a scratch register.
///
/// # Registers
/// In: `x9` fn, and fn's arguments. Out: fn's results. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_ccall")]
pub unsafe extern "C" fn ccall() {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "cbz x13, 3f",

        "str x13, [x10, x11]",
        "mov x14, sp",
        "ldr x15, [x13, {g0_sp}]",
        "sub sp, x15, {size}",                 ".cfi_def_cfa x14, 0",

        // On g0. The AsmcgocallFrame.
        "stp x12, x14, [sp, {g}]",
        "stp x29, x30, [sp, {link}]",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {x29_dwarf}, {breg_len}, {breg_sp}, {link_lo}, {link_hi}",
        ".cfi_escape {reg_at}, {x30_dwarf}, {breg_len}, {breg_sp}, {pc_lo}, {pc_hi}",
        "add x29, sp, {link}",
        "blr x9",

        // On g0, C has returned; x0 to x7 and v0 to v7 may be its results.
        "ldp x12, x14, [sp, {g}]",
        "ldp x29, x30, [sp, {link}]",          ".cfi_restore x29", ".cfi_restore x30",
        "mov sp, x14",                         ".cfi_def_cfa sp, 0",
        g_place!("x10", "x11"),
        "str x12, [x10, x11]",
        "ret",

        // On g0, gsignal or a stack that no g knows: it goes on as C.
        "3:",
        "mov x16, x9",
        "br x16",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        g = const offset_of!(AsmcgocallFrame, g),
        link = const offset_of!(AsmcgocallFrame, link),
        size = const size_of::<AsmcgocallFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN, deref = const DW_OP_DEREF,
        breg_sp = const breg(SP.dwarf), x29_dwarf = const X29.dwarf, x30_dwarf = const X30.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        pc_lo = const leb_lo(offset_of!(AsmcgocallFrame, pc) as i64),
        pc_hi = const leb_hi(offset_of!(AsmcgocallFrame, pc) as i64),
    )
}

/// As [`asmcgocall`], and a throw lands here: [`throw_to`] with this call's [`CatchFrame`] makes it
/// return, though C has not, with the thrown word in `*thrown`.
///
/// The C frames that a throw drops may hold the caller's callee-saved registers, so all of them are saved.
/// `*thrown` is 0 after a return without a throw; a throw of 0 is the thrower's mistake.
///
/// Runs on a managed stack, of which it uses 192 bytes. Go: what `defer` and `recover` around a cgo call do.
/// Not for signal handlers.
///
/// # Safety
/// As [`asmcgocall`], and the current g is one that `resume` runs. `thrown` is valid until this returns.
///
/// # Registers
/// In: `x0` fn, `x1` arg, `x2` thrown. Out: `x0`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall_catch")]
pub unsafe extern "C" fn asmcgocall_catch(
    func: CFn,          /* x0 */
    arg: *mut c_void,   /* x1 */
    thrown: *mut usize, /* x2 */
) -> c_int /* w0 */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The CatchFrame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        // Where a throw writes, and how much of the system stack it drops.
        "str xzr, [x2]",
        "str x2, [sp, {thrown}]",
        g_place!("x10", "x11"),
        "ldr x19, [x10, x11]",
        "ldr x13, [x19, {m_out}]",
        "ldr x14, [x19, {catch}]",
        "ldr x15, [x13, {m_g0_sp}]",
        "stp x14, x15, [sp, {previous}]",

        // Complete: publish it, call, take it back. C keeps x19.
        "mov x14, sp",
        "str x14, [x19, {catch}]",
        "bl {asmcgocall}",
        "ldr x14, [sp, {previous}]",
        "str x14, [x19, {catch}]",

        // C gave back every register but the ones that were used here.
        "ldr x19, [sp, {x19}]",                ".cfi_restore x19",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        // What C gave back is where it was all the while; its copies are below SP now.
        ".cfi_restore x20", ".cfi_restore x21", ".cfi_restore x22", ".cfi_restore x23", ".cfi_restore x24",
        ".cfi_restore x25", ".cfi_restore x26", ".cfi_restore x27", ".cfi_restore x28", ".cfi_restore d8",
        ".cfi_restore d9", ".cfi_restore d10", ".cfi_restore d11", ".cfi_restore d12", ".cfi_restore d13",
        ".cfi_restore d14", ".cfi_restore d15",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym asmcgocall,
        m_out = const offset_of!(G<Arm64>, m_out),
        catch = const offset_of!(G<Arm64>, catch),
        m_g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        thrown = const offset_of!(CatchFrame, thrown),
        previous = const offset_of!(CatchFrame, previous),
        x19 = const offset_of!(CatchFrame, saved.x19),
        x20 = const offset_of!(CatchFrame, saved.x20),
        x21 = const offset_of!(CatchFrame, saved.x21),
        x22 = const offset_of!(CatchFrame, saved.x22),
        x23 = const offset_of!(CatchFrame, saved.x23),
        x24 = const offset_of!(CatchFrame, saved.x24),
        x25 = const offset_of!(CatchFrame, saved.x25),
        x26 = const offset_of!(CatchFrame, saved.x26),
        x27 = const offset_of!(CatchFrame, saved.x27),
        x28 = const offset_of!(CatchFrame, saved.x28),
        d8 = const offset_of!(CatchFrame, saved.d8),
        d9 = const offset_of!(CatchFrame, saved.d9),
        d10 = const offset_of!(CatchFrame, saved.d10),
        d11 = const offset_of!(CatchFrame, saved.d11),
        d12 = const offset_of!(CatchFrame, saved.d12),
        d13 = const offset_of!(CatchFrame, saved.d13),
        d14 = const offset_of!(CatchFrame, saved.d14),
        d15 = const offset_of!(CatchFrame, saved.d15),
        x29 = const offset_of!(CatchFrame, saved.x29),
        pc = const offset_of!(CatchFrame, pc),
        size = const size_of::<CatchFrame>(),
    )
}
// The pairs of asmcgocall_catch and throw_to.
pairs!(CatchFrame: [previous] [g0_sp], [saved.x29] [pc]);

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
/// In: `x0` catch, `x1` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_throw_to")]
pub unsafe extern "C" fn throw_to(catch: *mut CatchFrame /* x0 */, value: usize /* x1 */) -> ! {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The system stack begins again where it did when the catch was made. On curg all the while.
        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "ldp x14, x15, [x0, {previous}]",
        "str x15, [x13, {m_g0_sp}]",
        "str x14, [x12, {catch}]",
        "ldr x14, [x0, {thrown}]",
        "str x1, [x14]",

        // From here on this is asmcgocall_catch, at its end.
        "mov sp, x0",                          ".cfi_def_cfa sp, {size}",
        ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}", ".cfi_rel_offset x21, {x21}",
        ".cfi_rel_offset x22, {x22}", ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}", ".cfi_rel_offset x27, {x27}",
        ".cfi_rel_offset x28, {x28}", ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}", ".cfi_rel_offset d12, {d12}",
        ".cfi_rel_offset d13, {d13}", ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "mov w0, wzr",
        return_unpaired!(),
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        catch = const offset_of!(G<Arm64>, catch),
        m_g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        thrown = const offset_of!(CatchFrame, thrown),
        previous = const offset_of!(CatchFrame, previous),
        x19 = const offset_of!(CatchFrame, saved.x19),
        x20 = const offset_of!(CatchFrame, saved.x20),
        x21 = const offset_of!(CatchFrame, saved.x21),
        x22 = const offset_of!(CatchFrame, saved.x22),
        x23 = const offset_of!(CatchFrame, saved.x23),
        x24 = const offset_of!(CatchFrame, saved.x24),
        x25 = const offset_of!(CatchFrame, saved.x25),
        x26 = const offset_of!(CatchFrame, saved.x26),
        x27 = const offset_of!(CatchFrame, saved.x27),
        x28 = const offset_of!(CatchFrame, saved.x28),
        d8 = const offset_of!(CatchFrame, saved.d8),
        d9 = const offset_of!(CatchFrame, saved.d9),
        d10 = const offset_of!(CatchFrame, saved.d10),
        d11 = const offset_of!(CatchFrame, saved.d11),
        d12 = const offset_of!(CatchFrame, saved.d12),
        d13 = const offset_of!(CatchFrame, saved.d13),
        d14 = const offset_of!(CatchFrame, saved.d14),
        d15 = const offset_of!(CatchFrame, saved.d15),
        x29 = const offset_of!(CatchFrame, saved.x29),
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
/// In: `x0` fn, `x1` arg. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_systemstack")]
pub unsafe extern "C" fn systemstack(func: SystemFn /* x0 */, arg: *mut c_void /* x1 */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "cbz x13, 3f",

        "str x13, [x10, x11]",
        "mov x14, sp",
        "ldr x15, [x13, {g0_sp}]",
        "sub sp, x15, {size}",                 ".cfi_def_cfa x14, 0",

        // On g0. The AsmcgocallFrame.
        "stp x12, x14, [sp, {g}]",
        "stp x29, x30, [sp, {link}]",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {x29_dwarf}, {breg_len}, {breg_sp}, {link_lo}, {link_hi}",
        ".cfi_escape {reg_at}, {x30_dwarf}, {breg_len}, {breg_sp}, {pc_lo}, {pc_hi}",
        "add x29, sp, {link}",

        "mov x9, x0",
        "mov x0, x1",
        "blr x9",

        "ldp x12, x14, [sp, {g}]",
        "ldp x29, x30, [sp, {link}]",          ".cfi_restore x29", ".cfi_restore x30",
        "mov sp, x14",                         ".cfi_def_cfa sp, 0",
        g_place!("x10", "x11"),
        "str x12, [x10, x11]",
        "ret",

        // On a system stack already: it goes on as fn.
        "3:",
        "mov x16, x0",
        "mov x0, x1",
        "br x16",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        g = const offset_of!(AsmcgocallFrame, g),
        link = const offset_of!(AsmcgocallFrame, link),
        size = const size_of::<AsmcgocallFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN, deref = const DW_OP_DEREF,
        breg_sp = const breg(SP.dwarf), x29_dwarf = const X29.dwarf, x30_dwarf = const X30.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        pc_lo = const leb_lo(offset_of!(AsmcgocallFrame, pc) as i64),
        pc_hi = const leb_hi(offset_of!(AsmcgocallFrame, pc) as i64),
    )
}

/// Leaves the current g, whose `state` stays as it is, and runs `fn(g)` on the system stack for good. Go: `mcall`.
///
/// `fn` ends by `gogo`, on this g or another. What runs when this g is resumed is the return from `mcall`.
///
/// Runs on a managed stack, of which it uses 208 bytes.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m. `fn` does not
/// return.
///
/// # Registers
/// In: `x0` fn. Clobbered, when it returns: what a C call clobbers. At `fn`'s entry: `x0` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall")]
pub unsafe extern "C" fn mcall(func: McallFn /* x0 */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        "adr x9, 2f",
        "b {light}",

        // On curg, which goes on.
        "2:",
        jump_pad!(),
        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        // The call was made long ago, perhaps on another CPU.
        return_unpaired!(),
        ".cfi_endproc",
        light = sym mcall_light,
        x19 = const offset_of!(Crosscall2Frame, saved.x19),
        x20 = const offset_of!(Crosscall2Frame, saved.x20),
        x21 = const offset_of!(Crosscall2Frame, saved.x21),
        x22 = const offset_of!(Crosscall2Frame, saved.x22),
        x23 = const offset_of!(Crosscall2Frame, saved.x23),
        x24 = const offset_of!(Crosscall2Frame, saved.x24),
        x25 = const offset_of!(Crosscall2Frame, saved.x25),
        x26 = const offset_of!(Crosscall2Frame, saved.x26),
        x27 = const offset_of!(Crosscall2Frame, saved.x27),
        x28 = const offset_of!(Crosscall2Frame, saved.x28),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        d9 = const offset_of!(Crosscall2Frame, saved.d9),
        d10 = const offset_of!(Crosscall2Frame, saved.d10),
        d11 = const offset_of!(Crosscall2Frame, saved.d11),
        d12 = const offset_of!(Crosscall2Frame, saved.d12),
        d13 = const offset_of!(Crosscall2Frame, saved.d13),
        d14 = const offset_of!(Crosscall2Frame, saved.d14),
        d15 = const offset_of!(Crosscall2Frame, saved.d15),
        x29 = const offset_of!(Crosscall2Frame, saved.x29),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// The switch of [`mcall`], for code that has saved its callee-saved registers: it goes on at the address in
/// `x9`, with `x19`, `x29` and SP as they were.
///
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`mcall`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `x0` fn, `x9` where this g goes on. Clobbered there: all but `x19` and `x29`. At `fn`'s entry: `x0` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall_light")]
pub(crate) unsafe extern "C" fn mcall_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register x30, x9",
        // The SwitchFrame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x29, x9, [sp, {x29}]",            ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "str x19, [sp, {x19}]",                ".cfi_rel_offset x19, {x19}",

        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "mov x14, sp",
        "str x14, [x12, {sched_sp}]",

        // g0 is current, nothing runs on this m, and this g has no m.
        "str x13, [x10, x11]",
        "str xzr, [x13, {curg}]",
        "str xzr, [x12, {m_out}]",
        "ldr x14, [x13, {g0_sp}]",
        "mov sp, x14",
        // On g0, at the SwitchFrame of the last `resume`: the same layout, so that for who unwinds only the
        // registers are lost that `resume` does not keep either. The frame records begin anew: the g may run on
        // another thread in a moment.
        ".cfi_undefined x20", ".cfi_undefined x21", ".cfi_undefined x22", ".cfi_undefined x23",
        ".cfi_undefined x24", ".cfi_undefined x25", ".cfi_undefined x26", ".cfi_undefined x27",
        ".cfi_undefined x28", ".cfi_undefined d8", ".cfi_undefined d9", ".cfi_undefined d10",
        ".cfi_undefined d11", ".cfi_undefined d12", ".cfi_undefined d13", ".cfi_undefined d14",
        ".cfi_undefined d15",
        "add x29, sp, {x29}",
        "mov x9, x0",
        "mov x0, x12",
        "blr x9",
        "udf 0",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        sched_sp = const offset_of!(G<Arm64>, sched.sp),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        curg = const offset_of!(M<Arm64>, curg),
        x19 = const offset_of!(SwitchFrame, x19),
        x29 = const offset_of!(SwitchFrame, x29),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}
// The pair of all that leave a SwitchFrame.
pairs!(SwitchFrame: [x29] [pc]);

/// Runs a parked g on this m, with `value` as what its `park` returns, and does not come back. Go: `gogo`.
///
/// The system stack is used again from `g0.sched.sp`, where the last `resume` left it.
///
/// Runs on a system stack.
/// Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing, and `resume` has been called on this m and has not returned.
/// `g` is parked, and no other thread runs it.
///
/// # Registers
/// In: `x0` g, `x1` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_gogo")]
pub unsafe extern "C" fn gogo(g: *mut G<Arm64> /* x0 */, value: usize /* x1 */) -> ! {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("x10", "x11"),
        "ldr x13, [x10, x11]",
        // What unwinders follow from the g's first frame.
        "ldr x14, [x0, {top}]",
        "ldr x15, [x13, {g0_sp}]",
        "stur x15, [x14, {parent} - {base}]",
        "str x13, [x0, {m_out}]",
        "str x0, [x13, {curg}]",

        "mov x12, x0",
        "mov x0, x1",
        "ldr x14, [x12, {sched_sp}]",
        // On curg, at the SwitchFrame that it has left. x29 after SP: the frames left behind may count from it.
        "mov sp, x14",                         ".cfi_def_cfa sp, {size}",
        ".cfi_rel_offset x30, {pc}", ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x29, {x29}",
        ".cfi_undefined x20", ".cfi_undefined x21", ".cfi_undefined x22", ".cfi_undefined x23",
        ".cfi_undefined x24", ".cfi_undefined x25", ".cfi_undefined x26", ".cfi_undefined x27",
        ".cfi_undefined x28", ".cfi_undefined d8", ".cfi_undefined d9", ".cfi_undefined d10",
        ".cfi_undefined d11", ".cfi_undefined d12", ".cfi_undefined d13", ".cfi_undefined d14",
        ".cfi_undefined d15",
        "str x12, [x10, x11]",
        "ldr x19, [sp, {x19}]",                ".cfi_restore x19",
        "ldp x29, x16, [sp, {x29}]",           ".cfi_restore x29", ".cfi_register x30, x16",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "br x16",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        top = const offset_of!(G<Arm64>, stack) + offset_of!(Stack<Arm64>, top),
        sched_sp = const offset_of!(G<Arm64>, sched.sp),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        curg = const offset_of!(M<Arm64>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        x19 = const offset_of!(SwitchFrame, x19),
        x29 = const offset_of!(SwitchFrame, x29),
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
/// Runs on a system stack, of which it uses 32 bytes. Go: `execute` and the end of `mcall`, in one.
/// Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing. `g` is parked, and no other thread runs it.
#[inline(always)]
pub unsafe fn resume(g: *mut G<Arm64>, value: usize) -> (usize, *mut G<Arm64>) {
    let (out, left);
    // SAFETY: by the caller; what is lost is named. The stack below SP is free for a call.
    unsafe {
        asm!(
            "bl {light}",
            light = sym resume_light,
            inlateout("x1") g => _,
            lateout("x12") left,
            inlateout("x0") value => out,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            // The vector registers whole: C keeps their lower halves, and this does not.
            lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
            lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
            clobber_abi("C"),
        );
    }
    (out, left)
}

/// Parks the current g: the `resume` that runs it returns `value`. Returns what the next `resume` of this g
/// passes, perhaps on another thread.
///
/// Inlined as [`resume`] is; [`park_full`] is for callers who cannot say what is lost.
///
/// Runs on a managed stack, of which it uses 32 bytes. Go: `gopark`.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m.
#[inline(always)]
pub unsafe fn park(value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        asm!(
            "adr x9, 2f",
            "b {light}",
            "2:",
            jump_pad!(),
            light = sym park_light,
            inlateout("x0") value => out,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            // The vector registers whole: C keeps their lower halves, and this does not.
            lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
            lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
            clobber_abi("C"),
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
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]. `g` is parked, is not the current one, and no other thread runs it.
#[inline(always)]
pub unsafe fn switch_to(g: *mut G<Arm64>, value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        asm!(
            "adr x9, 2f",
            "b {light}",
            "2:",
            jump_pad!(),
            light = sym switch_light,
            inlateout("x1") g => _,
            inlateout("x0") value => out,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            // The vector registers whole: C keeps their lower halves, and this does not.
            lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
            lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
            clobber_abi("C"),
        );
    }
    out
}

/// [`resume`] as a function: what C calls.
///
/// Runs on a system stack, of which it uses 208 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`].
///
/// # Registers
/// In: `x0` g, `x1` value. Out: `x0`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume")]
pub unsafe extern "C" fn resume_full(g: *mut G<Arm64> /* x0 */, value: usize /* x1 */) -> usize /* x0 */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        "mov x9, x0",
        "mov x0, x1",
        "mov x1, x9",
        "bl {light}",

        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        light = sym resume_light,
        x19 = const offset_of!(Crosscall2Frame, saved.x19),
        x20 = const offset_of!(Crosscall2Frame, saved.x20),
        x21 = const offset_of!(Crosscall2Frame, saved.x21),
        x22 = const offset_of!(Crosscall2Frame, saved.x22),
        x23 = const offset_of!(Crosscall2Frame, saved.x23),
        x24 = const offset_of!(Crosscall2Frame, saved.x24),
        x25 = const offset_of!(Crosscall2Frame, saved.x25),
        x26 = const offset_of!(Crosscall2Frame, saved.x26),
        x27 = const offset_of!(Crosscall2Frame, saved.x27),
        x28 = const offset_of!(Crosscall2Frame, saved.x28),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        d9 = const offset_of!(Crosscall2Frame, saved.d9),
        d10 = const offset_of!(Crosscall2Frame, saved.d10),
        d11 = const offset_of!(Crosscall2Frame, saved.d11),
        d12 = const offset_of!(Crosscall2Frame, saved.d12),
        d13 = const offset_of!(Crosscall2Frame, saved.d13),
        d14 = const offset_of!(Crosscall2Frame, saved.d14),
        d15 = const offset_of!(Crosscall2Frame, saved.d15),
        x29 = const offset_of!(Crosscall2Frame, saved.x29),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// [`park`] as a function: what C calls.
///
/// Runs on a managed stack, of which it uses 208 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`].
///
/// # Registers
/// In: `x0` value. Out: `x0`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park")]
pub unsafe extern "C" fn park_full(value: usize /* x0 */) -> usize /* x0 */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        "adr x9, 2f",
        "b {light}",

        // On curg, which goes on; x0 is the word for it.
        "2:",
        jump_pad!(),
        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        // The call was made long ago, perhaps on another CPU.
        return_unpaired!(),
        ".cfi_endproc",
        light = sym park_light,
        x19 = const offset_of!(Crosscall2Frame, saved.x19),
        x20 = const offset_of!(Crosscall2Frame, saved.x20),
        x21 = const offset_of!(Crosscall2Frame, saved.x21),
        x22 = const offset_of!(Crosscall2Frame, saved.x22),
        x23 = const offset_of!(Crosscall2Frame, saved.x23),
        x24 = const offset_of!(Crosscall2Frame, saved.x24),
        x25 = const offset_of!(Crosscall2Frame, saved.x25),
        x26 = const offset_of!(Crosscall2Frame, saved.x26),
        x27 = const offset_of!(Crosscall2Frame, saved.x27),
        x28 = const offset_of!(Crosscall2Frame, saved.x28),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        d9 = const offset_of!(Crosscall2Frame, saved.d9),
        d10 = const offset_of!(Crosscall2Frame, saved.d10),
        d11 = const offset_of!(Crosscall2Frame, saved.d11),
        d12 = const offset_of!(Crosscall2Frame, saved.d12),
        d13 = const offset_of!(Crosscall2Frame, saved.d13),
        d14 = const offset_of!(Crosscall2Frame, saved.d14),
        d15 = const offset_of!(Crosscall2Frame, saved.d15),
        x29 = const offset_of!(Crosscall2Frame, saved.x29),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// The switch of [`resume`]: saves what no list of clobbers may name, and returns when the g has parked or ended.
///
/// Both stacks have a [`SwitchFrame`] at the place where they are left, so that one description of the frame is
/// right before SP moves and after. It is called, and `park` returns to its caller: the return predictor is right.
///
/// Runs on a system stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`]; not callable from Rust, since it keeps too little.
///
/// # Registers
/// In: `x1` g, `x0` value. Out: `x0`, and in `x12` the g that has come back. Clobbered: all but `x19` and `x29`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume_light")]
pub(crate) unsafe extern "C" fn resume_light() {
    naked_asm!(
        ".cfi_startproc",
        // The SwitchFrame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "str x19, [sp, {x19}]",                ".cfi_rel_offset x19, {x19}",

        // The system stack is used from here on by what this g calls, and unwinders come here from its
        // first frame.
        g_place!("x10", "x11"),
        "ldr x13, [x10, x11]",
        "mov x15, sp",
        "str x15, [x13, {g0_sp}]",
        "ldr x14, [x1, {top}]",
        "stur x15, [x14, {parent} - {base}]",
        "str x13, [x1, {m_out}]",
        "str x1, [x13, {curg}]",

        // The g's own SP, then the g. On curg, at the SwitchFrame that it has left: the rules above describe
        // that as well, but for what it has not kept.
        "ldr x14, [x1, {sched_sp}]",
        "mov sp, x14",
        ".cfi_undefined x20", ".cfi_undefined x21", ".cfi_undefined x22", ".cfi_undefined x23",
        ".cfi_undefined x24", ".cfi_undefined x25", ".cfi_undefined x26", ".cfi_undefined x27",
        ".cfi_undefined x28", ".cfi_undefined d8", ".cfi_undefined d9", ".cfi_undefined d10",
        ".cfi_undefined d11", ".cfi_undefined d12", ".cfi_undefined d13", ".cfi_undefined d14",
        ".cfi_undefined d15",
        "str x1, [x10, x11]",
        "ldr x19, [sp, {x19}]",                ".cfi_restore x19",
        "ldp x29, x16, [sp, {x29}]",           ".cfi_restore x29", ".cfi_register x30, x16",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "br x16",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        top = const offset_of!(G<Arm64>, stack) + offset_of!(Stack<Arm64>, top),
        sched_sp = const offset_of!(G<Arm64>, sched.sp),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        curg = const offset_of!(M<Arm64>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        x19 = const offset_of!(SwitchFrame, x19),
        x29 = const offset_of!(SwitchFrame, x29),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`park`]: goes on at the address in `x9` when the g is resumed, with `x19`, `x29` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `x0` value, `x9` where this g goes on. Out, there: `x0`. Clobbered there: all but `x19` and `x29`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park_light")]
pub(crate) unsafe extern "C" fn park_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register x30, x9",
        // The SwitchFrame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x29, x9, [sp, {x29}]",            ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "str x19, [sp, {x19}]",                ".cfi_rel_offset x19, {x19}",

        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "mov x14, sp",
        "str x14, [x12, {sched_sp}]",

        // g0 is current, nothing runs on this m, and this g has no m.
        "str x13, [x10, x11]",
        "str xzr, [x13, {curg}]",
        "str xzr, [x12, {m_out}]",
        "ldr x14, [x13, {g0_sp}]",
        "mov sp, x14",

        // On g0, in resume's SwitchFrame: the same layout, so the rules above describe it as well.
        ".cfi_undefined x20", ".cfi_undefined x21", ".cfi_undefined x22", ".cfi_undefined x23",
        ".cfi_undefined x24", ".cfi_undefined x25", ".cfi_undefined x26", ".cfi_undefined x27",
        ".cfi_undefined x28", ".cfi_undefined d8", ".cfi_undefined d9", ".cfi_undefined d10",
        ".cfi_undefined d11", ".cfi_undefined d12", ".cfi_undefined d13", ".cfi_undefined d14",
        ".cfi_undefined d15",
        "ldr x19, [sp, {x19}]",                ".cfi_restore x19",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        sched_sp = const offset_of!(G<Arm64>, sched.sp),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        curg = const offset_of!(M<Arm64>, curg),
        x19 = const offset_of!(SwitchFrame, x19),
        x29 = const offset_of!(SwitchFrame, x29),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`switch_to`]: goes on at the address in `x9` when the g is resumed, with `x19`, `x29` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`switch_to`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `x1` g, `x0` value, `x9` where the current g goes on. Out, there: `x0`. Clobbered there: all but `x19` and
/// `x29`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_switch_light")]
pub(crate) unsafe extern "C" fn switch_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register x30, x9",
        // The SwitchFrame.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x29, x9, [sp, {x29}]",            ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "str x19, [sp, {x19}]",                ".cfi_rel_offset x19, {x19}",

        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "mov x14, sp",
        "str x14, [x12, {sched_sp}]",

        // What unwinders follow from the other g's first frame; then g0 is current, that one is curg, and this one has
        // no m.
        "ldr x14, [x1, {top}]",
        "ldr x15, [x13, {g0_sp}]",
        "stur x15, [x14, {parent} - {base}]",
        "str x13, [x1, {m_out}]",
        "str x13, [x10, x11]",
        "str x1, [x13, {curg}]",
        "str xzr, [x12, {m_out}]",

        // On the other g, at the SwitchFrame that it has left: the rules above describe that as well, but for what
        // it has not kept. Nothing of this one is in use any more.
        "ldr x14, [x1, {sched_sp}]",
        "mov sp, x14",
        ".cfi_undefined x20", ".cfi_undefined x21", ".cfi_undefined x22", ".cfi_undefined x23",
        ".cfi_undefined x24", ".cfi_undefined x25", ".cfi_undefined x26", ".cfi_undefined x27",
        ".cfi_undefined x28", ".cfi_undefined d8", ".cfi_undefined d9", ".cfi_undefined d10",
        ".cfi_undefined d11", ".cfi_undefined d12", ".cfi_undefined d13", ".cfi_undefined d14",
        ".cfi_undefined d15",
        "str x1, [x10, x11]",
        "mov x14, {parked}",
        "str x14, [x12, {state}]",
        "ldr x19, [sp, {x19}]",                ".cfi_restore x19",
        "ldp x29, x16, [sp, {x29}]",           ".cfi_restore x29", ".cfi_register x30, x16",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "br x16",
        ".cfi_endproc",
        m_out = const offset_of!(G<Arm64>, m_out),
        top = const offset_of!(G<Arm64>, stack) + offset_of!(Stack<Arm64>, top),
        state = const offset_of!(G<Arm64>, state),
        parked = const crate::GState::Parked as usize,
        sched_sp = const offset_of!(G<Arm64>, sched.sp),
        g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        curg = const offset_of!(M<Arm64>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        x19 = const offset_of!(SwitchFrame, x19),
        x29 = const offset_of!(SwitchFrame, x29),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Where a g's first `resume` arrives: runs its function, then parks it for the last time.
///
/// Not a function: `resume`, `gogo` and `switch_to` jump here, on the g's stack, with SP at its [`BaseFrame`]
/// and the word for it in `x0`. Unwinders go on in the `resume` that runs this g, whose frame `parent`
/// designates.
///
/// # Safety
/// Only the address is used.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_g_start")]
pub unsafe extern "C" fn g_start() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {parent_lo}, {parent_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        ".cfi_offset x19, {x19} - {size}", ".cfi_offset x29, {x29} - {size}", ".cfi_offset x30, {pc} - {size}",
        // Not kept: the resume that runs this has lost them.
        ".cfi_undefined x20", ".cfi_undefined x21", ".cfi_undefined x22", ".cfi_undefined x23",
        ".cfi_undefined x24", ".cfi_undefined x25", ".cfi_undefined x26", ".cfi_undefined x27",
        ".cfi_undefined x28", ".cfi_undefined d8", ".cfi_undefined d9", ".cfi_undefined d10",
        ".cfi_undefined d11", ".cfi_undefined d12", ".cfi_undefined d13", ".cfi_undefined d14",
        ".cfi_undefined d15",
        // An unwinder looks one byte before the address that `resume` jumps to.
        "nop",
        ".globl stackgate_g_begin", ".hidden stackgate_g_begin",
        "stackgate_g_begin:",
        jump_pad!(),
        "ldr x9, [sp, {entry}]",
        "blr x9",

        // On curg, which ends. From here on this is park, and nobody comes back.
        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_out}]",
        "mov x14, {finished}",
        "str x14, [x12, {state}]",
        "str x13, [x10, x11]",
        "str xzr, [x13, {curg}]",
        "str xzr, [x12, {m_out}]",
        // Where `resume` stands, whatever C has left of callbacks by longjmp.
        "ldr x14, [sp, {parent}]",
        "mov sp, x14",                         ".cfi_def_cfa sp, {size}",
        "ldr x19, [sp, {x19}]",                ".cfi_restore x19",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        entry = const offset_of!(BaseFrame, entry),
        m_out = const offset_of!(G<Arm64>, m_out),
        state = const offset_of!(G<Arm64>, state),
        finished = const crate::GState::Finished as usize,
        parent = const offset_of!(BaseFrame, parent),
        curg = const offset_of!(M<Arm64>, curg),
        x19 = const offset_of!(SwitchFrame, x19),
        x29 = const offset_of!(SwitchFrame, x29),
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
    /// Where a callback's managed function returns to: a return address that says "C lies below here".
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
/// Runs on a system stack, of which it uses 48 bytes, and of curg's 32. Not for signal handlers.
///
/// # Safety
/// `fn` may be called with these arguments on curg's stack.
///
/// # Registers
/// In: `x0` fn, `x1` frame, `x2` framesize, `x3` ctxt. Clobbered: what a C call clobbers, and what `fn`
/// clobbers beside that. At `fn`'s entry: `x0` frame, `x1` framesize, `x2` ctxt; SP a multiple of 16.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_cgocallback")]
pub unsafe extern "C" fn cgocallback(
    func: CallbackFn,   /* x0 */
    frame: *mut c_void, /* x1 */
    framesize: usize,   /* x2 */
    ctxt: usize,        /* x3 */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // May this g be called back, and is there a g to run it?
        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "ldr x13, [x12, {m_in}]",
        "cbz x13, 3f",
        "ldr x12, [x13, {curg}]",
        "cbz x12, 3f",
        // What C has below a callback is lower than g0_sp; where it is not, C has left the callback's frames by longjmp,
        // unless it has a stack of its own.
        "ldr x15, [x13, {m_g0_sp}]",
        "cmp sp, x15",
        "b.hi 4f",
        // The AsmcgocallFrame that this callback came through ends at g0_sp. Where its g is another, C has left it by
        // longjmp and called over it.
        "5:",
        "ldp x16, x14, [x15, {call_g} - {call}]",
        "cmp x16, x12",
        "b.ne 3f",

        // The CallbackFrame: link, pc; ctxt, m; g0_sp, g.
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x29, x30, [sp, {cb_link}]",       ".cfi_rel_offset x29, {cb_link}", ".cfi_rel_offset x30, {cb_pc}",
        "stp x3, x13, [sp, {ctxt}]",
        "stp x15, x12, [sp, {g0_sp}]",
        // It is complete: publish it. Then SP goes to curg's stack, then curg is current.
        "mov x9, sp",                          ".cfi_def_cfa_register x9",
        "str x9, [x13, {m_g0_sp}]",
        "ldp x16, x17, [x15, {call_link} - {call}]",
        "sub sp, x14, {entry}",
        "str x12, [x10, x11]",

        // On curg, at the CallbackEntry: link, pc; callback, func. x29 is C's until its record is complete.
        "stp x16, x17, [sp, {link}]",
        "stp x9, x0, [sp, {callback}]",
        // From here on the CFA is the upper end of the CallbackFrame that `callback` designates.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_sp}, {cb_lo}, {cb_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        "add x29, sp, {link}",

        "mov x9, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "blr x9",
        ".globl stackgate_callback_return", ".hidden stackgate_callback_return",
        "stackgate_callback_return:",

        // On curg, and only SP is known. g0 is current again, the frame is taken back, then SP leaves.
        "ldr x9, [sp, {callback}]",
        "ldr x13, [x9, {m}]",
        "ldr x15, [x9, {g0_sp}]",
        g_place!("x10", "x11"),
        "str x13, [x10, x11]",
        "str x15, [x13, {m_g0_sp}]",
        "mov sp, x9",                          ".cfi_def_cfa sp, {size}",
        "ldp x29, x30, [sp, {cb_link}]",       ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",

        // Above g0_sp: is not one of them on g0's stack? A foreign thread's g0_sp begins in its m.
        "4:",
        "ldr x14, [x13, {m_g0_limit}]",
        "cmp x15, x14",
        "b.lo 5b",
        "ldr x14, [x13, {m_g0_top}]",
        "cmp sp, x14",
        "b.hi 5b",

        // On g0, or on whatever stack C runs. The argument registers are as they came.
        "3:",
        "adrp x16, :got:{elsewhere}",
        "ldr x16, [x16, :got_lo12:{elsewhere}]",
        "ldr x16, [x16]",
        "br x16",
        ".cfi_endproc",
        elsewhere = sym CALLBACK_ELSEWHERE,
        m_in = const offset_of!(G<Arm64>, m_in),
        curg = const offset_of!(M<Arm64>, curg),
        m_g0_sp = const offset_of!(M<Arm64>, g0.sched.sp),
        m_g0_limit = const offset_of!(M<Arm64>, g0.stack.limit),
        m_g0_top = const offset_of!(M<Arm64>, g0.stack.top),
        call = const size_of::<AsmcgocallFrame>(),
        call_g = const offset_of!(AsmcgocallFrame, g),
        call_link = const offset_of!(AsmcgocallFrame, link),
        g0_sp = const offset_of!(CallbackFrame, g0_sp),
        ctxt = const offset_of!(CallbackFrame, ctxt),
        m = const offset_of!(CallbackFrame, m),
        cb_link = const offset_of!(CallbackFrame, link),
        cb_pc = const offset_of!(CallbackFrame, pc),
        size = const size_of::<CallbackFrame>(),
        callback = const offset_of!(CallbackEntry, callback),
        link = const offset_of!(CallbackEntry, link),
        entry = const size_of::<CallbackEntry>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_sp = const breg(SP.dwarf),
        cb_lo = const leb_lo(offset_of!(CallbackEntry, callback) as i64),
        cb_hi = const leb_hi(offset_of!(CallbackEntry, callback) as i64),
        size_lo = const leb_lo(size_of::<CallbackFrame>() as i64),
        size_hi = const leb_hi(size_of::<CallbackFrame>() as i64),
    )
}
// The pairs of cgocallback.
pairs!(CallbackFrame: [g0_sp] [g], [ctxt] [m], [link] [pc]);
pairs!(CallbackEntry: [callback] [func], [link] [pc]);

/// C's way into managed code that keeps no register: saves all that C expects back, then [`cgocallback`].
/// Go: `crosscall2`.
///
/// Runs on a system stack, of which it uses 176 bytes beside those of `cgocallback`. Not for signal handlers.
///
/// # Safety
/// As [`cgocallback`].
///
/// # Registers
/// In: `x0` fn, `x1` a, `w2` n, `x3` ctxt. Clobbered: what a C call clobbers. At `fn`'s entry: as
/// [`cgocallback`], with n sign-extended.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2")]
pub unsafe extern "C" fn crosscall2(
    func: CallbackFn, /* x0 */
    a: *mut c_void,   /* x1 */
    n: c_int,         /* w2 */
    ctxt: usize,      /* x3 */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        "sxtw x2, w2",
        "bl {cgocallback}",

        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        cgocallback = sym cgocallback,
        x19 = const offset_of!(Crosscall2Frame, saved.x19),
        x20 = const offset_of!(Crosscall2Frame, saved.x20),
        x21 = const offset_of!(Crosscall2Frame, saved.x21),
        x22 = const offset_of!(Crosscall2Frame, saved.x22),
        x23 = const offset_of!(Crosscall2Frame, saved.x23),
        x24 = const offset_of!(Crosscall2Frame, saved.x24),
        x25 = const offset_of!(Crosscall2Frame, saved.x25),
        x26 = const offset_of!(Crosscall2Frame, saved.x26),
        x27 = const offset_of!(Crosscall2Frame, saved.x27),
        x28 = const offset_of!(Crosscall2Frame, saved.x28),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        d9 = const offset_of!(Crosscall2Frame, saved.d9),
        d10 = const offset_of!(Crosscall2Frame, saved.d10),
        d11 = const offset_of!(Crosscall2Frame, saved.d11),
        d12 = const offset_of!(Crosscall2Frame, saved.d12),
        d13 = const offset_of!(Crosscall2Frame, saved.d13),
        d14 = const offset_of!(Crosscall2Frame, saved.d14),
        d15 = const offset_of!(Crosscall2Frame, saved.d15),
        x29 = const offset_of!(Crosscall2Frame, saved.x29),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}
// The pair of crosscall2 and crosscall1.
pairs!(Crosscall2Frame: [saved.x29] [pc]);

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
/// In: `x0` fn, `x1` a, `w2` n. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_panic")]
pub unsafe extern "C" fn crosscall2_panic(
    func: CallbackFn, /* x0 */
    a: *mut c_void,   /* x1 */
    n: c_int,         /* w2 */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "mov x3, xzr",
        "b {crosscall2}",
        ".cfi_endproc",
        crosscall2 = sym crosscall2,
    )
}

/// A thread's entry: makes the g0 `g` current, runs `fn(g)` where it stands, and gives C back its registers
/// and the thread its former g. Go: `crosscall1`.
///
/// Runs on the thread's own stack, of which it uses 176 bytes. Not for signal handlers.
///
/// # Safety
/// `g` is a g0 that no other thread uses; `fn` may be called with it.
///
/// # Registers
/// In: `x0` fn, `x1` g. Clobbered: what a C call clobbers, whatever `fn` clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall1")]
pub unsafe extern "C" fn crosscall1(func: ThreadFn /* x0 */, g: *mut G<Arm64> /* x1 */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        g_place!("x10", "x11"),
        "ldr x12, [x10, x11]",
        "str x12, [sp, {former}]",
        "str x1, [x10, x11]",
        "mov x9, x0",
        "mov x0, x1",
        "blr x9",
        g_place!("x10", "x11"),
        "ldr x12, [sp, {former}]",
        "str x12, [x10, x11]",

        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        former = const offset_of!(Crosscall2Frame, former),
        x19 = const offset_of!(Crosscall2Frame, saved.x19),
        x20 = const offset_of!(Crosscall2Frame, saved.x20),
        x21 = const offset_of!(Crosscall2Frame, saved.x21),
        x22 = const offset_of!(Crosscall2Frame, saved.x22),
        x23 = const offset_of!(Crosscall2Frame, saved.x23),
        x24 = const offset_of!(Crosscall2Frame, saved.x24),
        x25 = const offset_of!(Crosscall2Frame, saved.x25),
        x26 = const offset_of!(Crosscall2Frame, saved.x26),
        x27 = const offset_of!(Crosscall2Frame, saved.x27),
        x28 = const offset_of!(Crosscall2Frame, saved.x28),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        d9 = const offset_of!(Crosscall2Frame, saved.d9),
        d10 = const offset_of!(Crosscall2Frame, saved.d10),
        d11 = const offset_of!(Crosscall2Frame, saved.d11),
        d12 = const offset_of!(Crosscall2Frame, saved.d12),
        d13 = const offset_of!(Crosscall2Frame, saved.d13),
        d14 = const offset_of!(Crosscall2Frame, saved.d14),
        d15 = const offset_of!(Crosscall2Frame, saved.d15),
        x29 = const offset_of!(Crosscall2Frame, saved.x29),
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
/// Runs on any stack, of which it uses 176 bytes: on a signal stack where the thread has one, also on one that C
/// has set. It is a signal handler. Go: `sigtramp`.
///
/// # Safety
/// `info` and `ucontext` are what the kernel passed for `signal`. What is called returns: a jump out of it
/// would leave gsignal current.
///
/// # Registers
/// In: `w0` signal, `x1` info, `x2` ucontext. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_sigtramp")]
pub unsafe extern "C" fn sigtramp(
    signal: c_int,         /* w0 */
    info: *mut c_void,     /* x1 */
    ucontext: *mut c_void, /* x2 */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub sp, sp, {size}",                  ".cfi_def_cfa_offset {size}",
        "stp x19, x20, [sp, {x19}]",           ".cfi_rel_offset x19, {x19}", ".cfi_rel_offset x20, {x20}",
        "stp x21, x22, [sp, {x21}]",           ".cfi_rel_offset x21, {x21}", ".cfi_rel_offset x22, {x22}",
        "stp x23, x24, [sp, {x23}]",           ".cfi_rel_offset x23, {x23}", ".cfi_rel_offset x24, {x24}",
        "stp x25, x26, [sp, {x25}]",           ".cfi_rel_offset x25, {x25}", ".cfi_rel_offset x26, {x26}",
        "stp x27, x28, [sp, {x27}]",           ".cfi_rel_offset x27, {x27}", ".cfi_rel_offset x28, {x28}",
        "stp d8, d9, [sp, {d8}]",              ".cfi_rel_offset d8, {d8}", ".cfi_rel_offset d9, {d9}",
        "stp d10, d11, [sp, {d10}]",           ".cfi_rel_offset d10, {d10}", ".cfi_rel_offset d11, {d11}",
        "stp d12, d13, [sp, {d12}]",           ".cfi_rel_offset d12, {d12}", ".cfi_rel_offset d13, {d13}",
        "stp d14, d15, [sp, {d14}]",           ".cfi_rel_offset d14, {d14}", ".cfi_rel_offset d15, {d15}",
        "stp x29, x30, [sp, {x29}]",           ".cfi_rel_offset x29, {x29}", ".cfi_rel_offset x30, {pc}",
        "add x29, sp, {x29}",

        // Whose signal stack? The m's of the g that was interrupted, or of the g0. gsignal stays current, and
        // so does the g that stands for none.
        g_place!("x10", "x11"),
        "ldr x3, [x10, x11]",
        "str x3, [sp, {former}]",
        "ldr x13, [x3, {m_out}]",
        "cbnz x13, 2f",
        "ldr x13, [x3, {state}]",
        "cmp x13, {is_g0}",
        "b.ne 3f",
        "mov x13, x3",
        "2:",
        "add x13, x13, {gsignal}",
        "str x13, [x10, x11]",

        // ucontext stays known until the end, for who interrupts this: in x2, and behind the call in x19. The
        // former g is the fourth argument.
        "3:",
        "mov x19, x2",
        "adrp x16, :got:{handler}",
        "ldr x16, [x16, :got_lo12:{handler}]",
        "ldr x16, [x16]",
        "blr x16",
        ".globl stackgate_sigtramp_return", ".hidden stackgate_sigtramp_return",
        "stackgate_sigtramp_return:",
        "mov x2, x19",

        g_place!("x10", "x11"),
        "ldr x12, [sp, {former}]",
        "str x12, [x10, x11]",

        "ldp x19, x20, [sp, {x19}]",           ".cfi_restore x19", ".cfi_restore x20",
        "ldp x21, x22, [sp, {x21}]",           ".cfi_restore x21", ".cfi_restore x22",
        "ldp x23, x24, [sp, {x23}]",           ".cfi_restore x23", ".cfi_restore x24",
        "ldp x25, x26, [sp, {x25}]",           ".cfi_restore x25", ".cfi_restore x26",
        "ldp x27, x28, [sp, {x27}]",           ".cfi_restore x27", ".cfi_restore x28",
        "ldp d8, d9, [sp, {d8}]",              ".cfi_restore d8", ".cfi_restore d9",
        "ldp d10, d11, [sp, {d10}]",           ".cfi_restore d10", ".cfi_restore d11",
        "ldp d12, d13, [sp, {d12}]",           ".cfi_restore d12", ".cfi_restore d13",
        "ldp d14, d15, [sp, {d14}]",           ".cfi_restore d14", ".cfi_restore d15",
        "ldp x29, x30, [sp, {x29}]",           ".cfi_restore x29", ".cfi_restore x30",
        "add sp, sp, {size}",                  ".cfi_def_cfa_offset 0",
        "ret",
        ".cfi_endproc",
        handler = sym SIGNAL_HANDLER,
        m_out = const offset_of!(G<Arm64>, m_out),
        state = const offset_of!(G<Arm64>, state),
        is_g0 = const crate::GState::G0 as usize,
        gsignal = const offset_of!(M<Arm64>, gsignal),
        former = const offset_of!(Crosscall2Frame, former),
        x19 = const offset_of!(Crosscall2Frame, saved.x19),
        x20 = const offset_of!(Crosscall2Frame, saved.x20),
        x21 = const offset_of!(Crosscall2Frame, saved.x21),
        x22 = const offset_of!(Crosscall2Frame, saved.x22),
        x23 = const offset_of!(Crosscall2Frame, saved.x23),
        x24 = const offset_of!(Crosscall2Frame, saved.x24),
        x25 = const offset_of!(Crosscall2Frame, saved.x25),
        x26 = const offset_of!(Crosscall2Frame, saved.x26),
        x27 = const offset_of!(Crosscall2Frame, saved.x27),
        x28 = const offset_of!(Crosscall2Frame, saved.x28),
        d8 = const offset_of!(Crosscall2Frame, saved.d8),
        d9 = const offset_of!(Crosscall2Frame, saved.d9),
        d10 = const offset_of!(Crosscall2Frame, saved.d10),
        d11 = const offset_of!(Crosscall2Frame, saved.d11),
        d12 = const offset_of!(Crosscall2Frame, saved.d12),
        d13 = const offset_of!(Crosscall2Frame, saved.d13),
        d14 = const offset_of!(Crosscall2Frame, saved.d14),
        d15 = const offset_of!(Crosscall2Frame, saved.d15),
        x29 = const offset_of!(Crosscall2Frame, saved.x29),
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
/// Runs on any stack; safe in a signal handler. Source: `PLAT_arm64_linux` in `valgrind.h` of valgrind 3.19.
#[inline(always)]
pub fn client_request(default: usize, words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: no register changes but the one of the answer.
    unsafe {
        asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") words,
            inlateout("x3") default => answer,
            options(nostack, preserves_flags),
        );
    }
    answer
}

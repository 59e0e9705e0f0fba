//! The crossings of s390x, in the order of the contract in the crate's documentation.
//!
//! Reading aid: `{name}` in an instruction is the offset of the field of that name in the frame that the
//! function's documentation shows, or in the structure that the operand list at its end names. In comments,
//! "on g0" and "on curg" say which stack SP is on.
//!
//! Four things are the same everywhere here, and said once.
//!
//! * *The caller's frame.* A crossing saves into the 160 bytes that its caller passes at SP
//!   ([`AbiFrame`]), and so opens no frame where it can do without. There is no red zone: a handler may
//!   overwrite all that lies below SP. That is why a frame on the *other* stack is written completely before
//!   SP moves to it, and back chains are whole at every instruction.
//! * *The CFA* is the SP of the call plus 160 (ABI 1.6.3), the assembler's initial rule. Hence the first line
//!   of each function: the caller's r15 is the CFA less 160, for as long as the function runs.
//! * *The current g* is the word at (thread pointer) + (offset of `stackgate_g`). The access registers a0 and
//!   a1 hold the halves of the thread pointer, the offset is a word of the GOT: four instructions, written
//!   out each time, and the sum is left to the addressing of the next.
//! * *Branches.* `br %r14` returns from a call, `br` on another register does anything else.

use super::frame::*;
use crate::dwarf::*;
use crate::g::NO_G;
use crate::{CALLBACK_ELSEWHERE, CFn, CallbackFn, G, M, McallFn, SIGNAL_HANDLER, Stack, SystemFn, ThreadFn};
use core::arch::{asm, global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

keep_unwind_tables!();

// The current g: one word of static TLS for each thread, in the initial-exec model, so that reading it takes
// no call, is safe in a signal handler and works in a shared library that is loaded at start.
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

/// Loads the current g's place into two registers, whose sum it is: the thread pointer and an offset, or zero and
/// the word's address.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_place { ($thread:literal, $offset:literal) => { concat!(
    "ear ", $thread, ", %a0\n",
    "sllg ", $thread, ", ", $thread, ", 32\n",
    "ear ", $thread, ", %a1\n",
    "lgrl ", $offset, ", stackgate_g@indntpoff",
) } }
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! g_place { ($thread:literal, $offset:literal) => { concat!(
    "lghi ", $thread, ", 0\n",
    "larl ", $offset, ", stackgate_g",
) } }

/// The current g, or null when the thread has none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg`.
///
/// # Safety
/// None beyond the declaration: it reads one word of the thread, and one of its g.
///
/// # Registers
/// Out: `r2`. Clobbered: `r1`, `r5`, cc.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_getg")]
pub unsafe extern "C" fn getg() -> *mut G<S390x> /* r2 */ {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        g_place!("%r1", "%r5"),
        "lg %r2, 0(%r5,%r1)",
        // One that stands for none is null to everybody else.
        "ltg %r1, {state}(%r2)",
        "jnz 2f",
        "lghi %r2, 0",
        "2:",
        "br %r14",
        ".cfi_endproc",
        state = const offset_of!(G<S390x>, state),
        abi = const size_of::<AbiFrame>(),
    )
}

/// The current g as the crossings read it: the g of zeros stands for none, so that its fields can be asked.
///
/// Inlined where it is used, for paths that count instructions. Read anew each time: a g kept over a switch
/// may be another thread's.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn current() -> *mut G<S390x> {
    let g;
    // SAFETY: reads one word of the thread.
    unsafe {
        asm!(
            g_place!("{g}", "{at}"),
            "lg {g}, 0({at},{g})",
            g = out(reg_addr) g,
            at = out(reg_addr) _,
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
/// In: `r2`. Clobbered: `r1`, `r2`, `r5`, cc.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_setg")]
pub unsafe extern "C" fn setg(g: *mut G<S390x> /* r2 */) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "ltgr %r2, %r2",
        "jne 2f",
        "lgrl %r2, {no_g}@GOTENT",
        "2:",
        g_place!("%r1", "%r5"),
        "stg %r2, 0(%r5,%r1)",
        "br %r14",
        ".cfi_endproc",
        no_g = sym NO_G,
        abi = const size_of::<AbiFrame>(),
    )
}

/// Calls C on the system stack: `fn(arg)`. Go: `asmcgocall`.
///
/// Four paths: from a managed g it switches to g0's stack; on g0, on gsignal and without a g it goes on as
/// `fn` where it stands, since SP is a multiple of 8 at all times and no more is asked for. While C runs, g0
/// is current and an [`AsmcgocallFrame`] lies directly below `g0.sched.sp`. C's own callee-saved registers are
/// C's affair; `r11` to `r13`, which are used here, are taken back from the caller's frame: `r11` from nowhere else,
/// because C would save it at a place that nobody can find again when the managed stack moves.
///
/// Runs on any stack; uses nothing of a managed one but the save area that it is passed. Safe in a signal
/// handler.
///
/// # Safety
/// `fn` may be called with `arg`. The current g is a g that `resume` runs, a g0, a gsignal, or none.
///
/// # Registers
/// In: `r2` fn, `r3` arg. Out: `r2`. Clobbered: what a C call clobbers.
/// At `fn`'s entry: `r2` arg; SP a multiple of 8, with 160 bytes for `fn` whose back chain is the managed
/// caller's frame; the program mask zero and the floating-point control register as the caller left them.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall")]
pub unsafe extern "C" fn asmcgocall(func: CFn /* r2 */, arg: *mut c_void /* r3 */) -> c_int /* r2 */ {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // r12 and r13 are between the two that have to be in the caller's frame. r15 is for those who follow
        // the chain.
        "stmg %r11, %r15, {r11}(%r15)",
        ".cfi_rel_offset %r11, {r11}", ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}",
        ".cfi_rel_offset %r14, {pc}", ".cfi_remember_state",

        // Does this g call away from its stack? The current g's place stays in r12 and r13, which C gives
        // back: as long as there are C frames of it, the thread is the same.
        g_place!("%r12", "%r13"),
        "lg %r11, 0(%r13,%r12)",
        "ltg %r14, {m_out}(%r11)",
        "jz 3f",

        // g0 is current before anything of its stack is in use. An m's address is its g0's.
        "stg %r14, 0(%r13,%r12)",
        "lg %r14, {g0_sp}(%r14)",
        // The AsmcgocallFrame ends there. It is complete when SP comes.
        "stg %r15, {sp} - {size}(%r14)",
        "stg %r11, {g} - {size}(%r14)",
        "lay %r15, -{size}(%r14)",
        // On g0. The CFA is the word `sp` plus 160; what was saved is where it was.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r15}, {sp_lo}, {sp_hi}, {deref}, {plus}, {abi_lo}, {abi_hi}",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "basr %r14, %r1",

        // On g0, C has returned, with g in r11 as it was. Leave its stack, then give up g0. The managed stack may
        // have moved since: `sp` and the r11 in the caller's frame have been rewritten then, g has not moved.
        "lg %r15, {sp}(%r15)",             ".cfi_def_cfa %r15, {abi}",
        "stg %r11, 0(%r13,%r12)",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",

        // On g0, gsignal or a stack that no g knows: it goes on as fn.
        "3:",                              ".cfi_restore_state",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "br %r1",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        r11 = const offset_of!(AbiFrame, r11),
        r12 = const offset_of!(AbiFrame, r12),
        r13 = const offset_of!(AbiFrame, r13),
        pc = const offset_of!(AbiFrame, pc),
        size = const size_of::<AsmcgocallFrame>(),
        sp = const offset_of!(AsmcgocallFrame, sp),
        g = const offset_of!(AsmcgocallFrame, g),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r15 = const breg(R15.dwarf),
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        abi_lo = const leb_lo(size_of::<AbiFrame>() as i64),
        abi_hi = const leb_hi(size_of::<AbiFrame>() as i64),
    )
}

/// Calls any C function on the system stack, its argument registers untouched. For JITs and typed wrappers.
///
/// As [`asmcgocall`], but the function is in `r1` and takes whatever the argument registers hold (`r2` to
/// `r6`, `f0`, `f2`, `f4`, `f6`, `v24` to `v31`); arguments on the stack are not passed on. Every result
/// register comes back as C left it.
///
/// Runs on any stack; uses nothing of a managed one but the save area that it is passed. Safe in a signal
/// handler. Go has no such function.
///
/// # Safety
/// As [`asmcgocall`]; not callable from Rust, since the function is in a scratch register, nor through a PLT,
/// which may change that register (ABI 1.2.1.1).
///
/// # Registers
/// In: `r1` fn, and fn's arguments. Out: fn's results. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_ccall")]
pub unsafe extern "C" fn ccall() {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "stmg %r11, %r15, {r11}(%r15)",
        ".cfi_rel_offset %r11, {r11}", ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}",
        ".cfi_rel_offset %r14, {pc}", ".cfi_remember_state",

        // r11 to r14 are all that asmcgocall uses as well, and no argument is in them.
        g_place!("%r12", "%r13"),
        "lg %r11, 0(%r13,%r12)",
        "ltg %r14, {m_out}(%r11)",
        "jz 3f",

        "stg %r14, 0(%r13,%r12)",
        "lg %r14, {g0_sp}(%r14)",
        "stg %r15, {sp} - {size}(%r14)",
        "stg %r11, {g} - {size}(%r14)",
        "lay %r15, -{size}(%r14)",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r15}, {sp_lo}, {sp_hi}, {deref}, {plus}, {abi_lo}, {abi_hi}",
        "basr %r14, %r1",

        // On g0, C has returned; r2, f0 and v24 are its results, and g is in r11 as it was.
        "lg %r15, {sp}(%r15)",             ".cfi_def_cfa %r15, {abi}",
        "stg %r11, 0(%r13,%r12)",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",

        // On g0, gsignal or a stack that no g knows: it goes on as the function.
        "3:",                              ".cfi_restore_state",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r1",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        r11 = const offset_of!(AbiFrame, r11),
        r12 = const offset_of!(AbiFrame, r12),
        r13 = const offset_of!(AbiFrame, r13),
        pc = const offset_of!(AbiFrame, pc),
        size = const size_of::<AsmcgocallFrame>(),
        sp = const offset_of!(AsmcgocallFrame, sp),
        g = const offset_of!(AsmcgocallFrame, g),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r15 = const breg(R15.dwarf),
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        abi_lo = const leb_lo(size_of::<AbiFrame>() as i64),
        abi_hi = const leb_hi(size_of::<AbiFrame>() as i64),
    )
}

/// As [`asmcgocall`], and a throw lands here: [`throw_to`] with this call's [`CatchFrame`] makes it
/// return, though C has not, with the thrown word in `*thrown`.
///
/// The C frames that a throw drops may hold the caller's callee-saved registers, so all of them are saved.
/// `*thrown` is 0 after a return without a throw; a throw of 0 is the thrower's mistake.
///
/// Runs on a managed stack, of which it uses 184 bytes. Go: what `defer` and `recover` around a cgo call do.
/// Not for signal handlers.
///
/// # Safety
/// As [`asmcgocall`], and the current g is one that `resume` runs. `thrown` is valid until this returns.
///
/// # Registers
/// In: `r2` fn, `r3` arg, `r4` thrown. Out: `r2`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall_catch")]
pub unsafe extern "C" fn asmcgocall_catch(
    func: CFn,          /* r2 */
    arg: *mut c_void,   /* r3 */
    thrown: *mut usize, /* r4 */
) -> c_int /* r2 */ {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The upper part of the CatchFrame is the frame that this is passed.
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        // The rest is a frame of its own. Its back chain is written twice: below SP, so that it is right as
        // soon as SP comes, and again, since a handler on this stack may have overwritten it until then.
        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        // Where a throw writes, and how much of the system stack it drops.
        "mvghi 0(%r4), 0",
        "stg %r4, {thrown}(%r15)",
        g_place!("%r1", "%r5"),
        "lg %r13, 0(%r5,%r1)",
        "lg %r1, {m_out}(%r13)",
        "lg %r1, {m_g0_sp}(%r1)",
        "stg %r1, {g0_sp}(%r15)",
        "lg %r1, {catch}(%r13)",
        "stg %r1, {previous}(%r15)",

        // Complete: publish it, call, take it back. C keeps r13.
        "stg %r15, {catch}(%r13)",
        "brasl %r14, {asmcgocall}@PLT",
        "lg %r1, {previous}(%r15)",
        "stg %r1, {catch}(%r13)",

        // C gave back every register but the two that were used here.
        "lmg %r13, %r14, {caller} + {r13}(%r15)", ".cfi_restore %r13", ".cfi_restore %r14",
        "aghi %r15, {caller}",             ".cfi_adjust_cfa_offset -{caller}",
        "br %r14",
        ".cfi_endproc",
        asmcgocall = sym asmcgocall,
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        catch = const offset_of!(G<S390x>, catch),
        m_g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        link = const offset_of!(CatchFrame, link),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        caller = const offset_of!(CatchFrame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
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
/// In: `r2` catch, `r3` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_throw_to")]
pub unsafe extern "C" fn throw_to(catch: *mut CatchFrame /* r2 */, value: usize /* r3 */) -> ! {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The system stack begins again where it did when the catch was made. On curg all the while.
        g_place!("%r1", "%r5"),
        "lg %r4, 0(%r5,%r1)",
        "lg %r1, {m_out}(%r4)",
        "lg %r0, {g0_sp}(%r2)",
        "stg %r0, {m_g0_sp}(%r1)",
        "lg %r0, {previous}(%r2)",
        "stg %r0, {catch}(%r4)",
        "lg %r1, {thrown}(%r2)",
        "stg %r3, 0(%r1)",

        // From here on this is asmcgocall_catch, at its end.
        "la %r15, {caller}(%r2)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        ".cfi_rel_offset %f8, {f8}", ".cfi_rel_offset %f9, {f9}", ".cfi_rel_offset %f10, {f10}",
        ".cfi_rel_offset %f11, {f11}", ".cfi_rel_offset %f12, {f12}", ".cfi_rel_offset %f13, {f13}",
        ".cfi_rel_offset %f14, {f14}", ".cfi_rel_offset %f15, {f15}",
        "ld %f8, {f8}(%r15)",                 ".cfi_restore %f8",
        "ld %f9, {f9}(%r15)",                 ".cfi_restore %f9",
        "ld %f10, {f10}(%r15)",               ".cfi_restore %f10",
        "ld %f11, {f11}(%r15)",               ".cfi_restore %f11",
        "ld %f12, {f12}(%r15)",               ".cfi_restore %f12",
        "ld %f13, {f13}(%r15)",               ".cfi_restore %f13",
        "ld %f14, {f14}(%r15)",               ".cfi_restore %f14",
        "ld %f15, {f15}(%r15)",               ".cfi_restore %f15",
        "lmg %r6, %r14, {r6}(%r15)",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "lghi %r2, 0",
        // By another register than r14: no call of the return predictor's stack matches it.
        "lgr %r1, %r14",
        "br %r1",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        catch = const offset_of!(G<S390x>, catch),
        m_g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        caller = const offset_of!(CatchFrame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
    )
}

/// Runs managed code on the system stack: `fn(arg)`. Go: `systemstack`.
///
/// From a managed g as [`asmcgocall`], with the same frame; on g0, on gsignal and without a g a tail call.
///
/// Runs on any stack; uses nothing of a managed one but the save area that it is passed. Safe in a signal
/// handler.
///
/// # Safety
/// As [`asmcgocall`].
///
/// # Registers
/// In: `r2` fn, `r3` arg. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_systemstack")]
pub unsafe extern "C" fn systemstack(func: SystemFn /* r2 */, arg: *mut c_void /* r3 */) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "stmg %r11, %r15, {r11}(%r15)",
        ".cfi_rel_offset %r11, {r11}", ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}",
        ".cfi_rel_offset %r14, {pc}", ".cfi_remember_state",

        g_place!("%r12", "%r13"),
        "lg %r11, 0(%r13,%r12)",
        "ltg %r14, {m_out}(%r11)",
        "jz 3f",

        "stg %r14, 0(%r13,%r12)",
        "lg %r14, {g0_sp}(%r14)",
        // The AsmcgocallFrame.
        "stg %r15, {sp} - {size}(%r14)",
        "stg %r11, {g} - {size}(%r14)",
        "lay %r15, -{size}(%r14)",
        // On g0.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r15}, {sp_lo}, {sp_hi}, {deref}, {plus}, {abi_lo}, {abi_hi}",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "basr %r14, %r1",

        "lg %r15, {sp}(%r15)",             ".cfi_def_cfa %r15, {abi}",
        "stg %r11, 0(%r13,%r12)",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",

        // On a system stack already: it goes on as fn.
        "3:",                              ".cfi_restore_state",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "br %r1",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        r11 = const offset_of!(AbiFrame, r11),
        r12 = const offset_of!(AbiFrame, r12),
        r13 = const offset_of!(AbiFrame, r13),
        pc = const offset_of!(AbiFrame, pc),
        size = const size_of::<AsmcgocallFrame>(),
        sp = const offset_of!(AsmcgocallFrame, sp),
        g = const offset_of!(AsmcgocallFrame, g),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r15 = const breg(R15.dwarf),
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        abi_lo = const leb_lo(size_of::<AbiFrame>() as i64),
        abi_hi = const leb_hi(size_of::<AbiFrame>() as i64),
    )
}

/// Leaves the current g, whose `state` stays as it is, and runs `fn(g)` on the system stack for good. Go: `mcall`.
///
/// `fn` ends by `gogo`, on this g or another. What runs when this g is resumed is the return from `mcall`.
///
/// Runs on a managed stack, of which it uses 160 bytes beside the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m. `fn` does not
/// return.
///
/// # Registers
/// In: `r2` fn. Clobbered, when it returns: what a C call clobbers. At `fn`'s entry: `r2` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall")]
pub unsafe extern "C" fn mcall(func: McallFn /* r2 */) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The frame that this is passed is the upper part of a Crosscall2Frame; the rest is opened as crosscall2 does.
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        "larl %r4, 2f",
        "jg {light}@PLT",

        // On curg, which goes on.
        "2:",
        "ld %f8, {caller} + {f8}(%r15)",      ".cfi_restore %f8",
        "ld %f9, {caller} + {f9}(%r15)",      ".cfi_restore %f9",
        "ld %f10, {caller} + {f10}(%r15)",    ".cfi_restore %f10",
        "ld %f11, {caller} + {f11}(%r15)",    ".cfi_restore %f11",
        "ld %f12, {caller} + {f12}(%r15)",    ".cfi_restore %f12",
        "ld %f13, {caller} + {f13}(%r15)",    ".cfi_restore %f13",
        "ld %f14, {caller} + {f14}(%r15)",    ".cfi_restore %f14",
        "ld %f15, {caller} + {f15}(%r15)",    ".cfi_restore %f15",
        "lmg %r6, %r15, {caller} + {r6}(%r15)", ".cfi_adjust_cfa_offset -{caller}",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        // By another register than r14: the call was made long ago, perhaps on another CPU.
        "lgr %r1, %r14",
        "br %r1",
        ".cfi_endproc",
        light = sym mcall_light,
        abi = const size_of::<AbiFrame>(),
        link = const offset_of!(Crosscall2Frame, link),
        caller = const offset_of!(Crosscall2Frame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
    )
}

/// The switch of [`mcall`], for code that has saved its callee-saved registers: it goes on at the address in
/// `r4`, with `r11` and SP as they were.
///
/// Runs on a managed stack, of which it uses nothing but the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`mcall`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r2` fn, `r4` where this g goes on. Clobbered there: all but `r11`. At `fn`'s entry: `r2` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall_light")]
pub(crate) unsafe extern "C" fn mcall_light() {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register %r14, %r4",
        // The SwitchFrame is the frame that this is passed.
        "stg %r4, {pc}(%r15)",                ".cfi_rel_offset %r14, {pc}",
        "stg %r11, {r11}(%r15)",              ".cfi_rel_offset %r11, {r11}",

        g_place!("%r1", "%r5"),
        "lg %r3, 0(%r5,%r1)",
        "lg %r4, {m_out}(%r3)",
        "stg %r15, {sched_sp}(%r3)",

        // g0 is current, nothing runs on this m, and this g has no m.
        "stg %r4, 0(%r5,%r1)",
        "mvghi {curg}(%r4), 0",
        "mvghi {m_out}(%r3), 0",
        // The SwitchFrame of the last `resume` lies in the frame of its caller. fn is passed one of its own
        // below, whose back chain goes on there: the chain of this g is left behind, since the g may run on
        // another thread in a moment.
        "lg %r4, {g0_sp}(%r4)",
        "stg %r4, {link} - {abi}(%r4)",
        "lay %r15, -{abi}(%r4)",           ".cfi_adjust_cfa_offset {abi}",
        // On g0. The SwitchFrame above has the layout of the one left behind, so that for who unwinds its distance
        // has changed, and the registers are lost that `resume` does not keep either.
        ".cfi_undefined %r6", ".cfi_undefined %r7", ".cfi_undefined %r8", ".cfi_undefined %r9",
        ".cfi_undefined %r10", ".cfi_undefined %r12", ".cfi_undefined %r13", ".cfi_undefined %f8",
        ".cfi_undefined %f9", ".cfi_undefined %f10", ".cfi_undefined %f11", ".cfi_undefined %f12",
        ".cfi_undefined %f13", ".cfi_undefined %f14", ".cfi_undefined %f15",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "basr %r14, %r1",
        // Not an instruction, and never will be.
        ".short 0",
        ".cfi_endproc",
        link = const offset_of!(AbiFrame, link),
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        sched_sp = const offset_of!(G<S390x>, sched.sp),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        curg = const offset_of!(M<S390x>, curg),
        r11 = const offset_of!(SwitchFrame, r11),
        pc = const offset_of!(SwitchFrame, pc),
    )
}

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
/// In: `r2` g, `r3` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_gogo")]
pub unsafe extern "C" fn gogo(g: *mut G<S390x> /* r2 */, value: usize /* r3 */) -> ! {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // Here the place goes into one register: r5 is needed for an address.
        g_place!("%r1", "%r5"),
        "la %r1, 0(%r5,%r1)",
        "lg %r4, 0(%r1)",
        // What unwinders follow from the g's first frame.
        "lg %r5, {top}(%r2)",
        "lg %r0, {g0_sp}(%r4)",
        "stg %r0, {parent} - {base}(%r5)",
        "stg %r4, {m_out}(%r2)",
        "stg %r2, {curg}(%r4)",

        "lgr %r4, %r2",
        "lgr %r2, %r3",
        // On curg, at the SwitchFrame that it has left.
        "lg %r15, {sched_sp}(%r4)",        ".cfi_rel_offset %r14, {pc}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_undefined %r6", ".cfi_undefined %r7", ".cfi_undefined %r8", ".cfi_undefined %r9",
        ".cfi_undefined %r10", ".cfi_undefined %r12", ".cfi_undefined %r13", ".cfi_undefined %f8",
        ".cfi_undefined %f9", ".cfi_undefined %f10", ".cfi_undefined %f11", ".cfi_undefined %f12",
        ".cfi_undefined %f13", ".cfi_undefined %f14", ".cfi_undefined %f15",
        "stg %r4, 0(%r1)",
        "lg %r11, {r11}(%r15)",               ".cfi_restore %r11",
        "lg %r4, {pc}(%r15)",
        "br %r4",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        top = const offset_of!(G<S390x>, stack) + offset_of!(Stack<S390x>, top),
        sched_sp = const offset_of!(G<S390x>, sched.sp),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        curg = const offset_of!(M<S390x>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        r11 = const offset_of!(SwitchFrame, r11),
        pc = const offset_of!(SwitchFrame, pc),
    )
}

/// Runs a parked g on this m until it parks or its function returns. In: the word that its `park` returns;
/// out: the word that it parks with, and the g that has come back: another one where this one has switched to it.
///
/// Inlined where it is used: the compiler keeps what it needs of the callee-saved registers, and only those that
/// it reserves for itself are saved here. [`resume_full`] is for callers who cannot say so.
///
/// Runs on a system stack, of which it uses nothing but the save area that it is passed. Go: `execute` and the end
/// of `mcall`, in one. Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing. `g` is parked, and no other thread runs it.
#[inline(always)]
pub unsafe fn resume(g: *mut G<S390x>, value: usize) -> (usize, *mut G<S390x>) {
    let (out, left);
    // SAFETY: by the caller; what is lost is named. The stack has a frame to pass.
    unsafe {
        asm!(
            "brasl %r14, {light}@PLT",
            light = sym resume_light,
            inlateout("r3") g => left,
            inlateout("r2") value => out,
            lateout("r6") _, lateout("r7") _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("r12") _, lateout("r13") _,
            lateout("f8") _, lateout("f9") _, lateout("f10") _, lateout("f11") _,
            lateout("f12") _, lateout("f13") _, lateout("f14") _, lateout("f15") _,
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
/// Runs on a managed stack, of which it uses nothing but the save area that it is passed. Go: `gopark`.
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
            "larl %r4, 2f",
            "jg {light}@PLT",
            "2:",
            light = sym park_light,
            inlateout("r2") value => out,
            lateout("r6") _, lateout("r7") _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("r12") _, lateout("r13") _,
            lateout("f8") _, lateout("f9") _, lateout("f10") _, lateout("f11") _,
            lateout("f12") _, lateout("f13") _, lateout("f14") _, lateout("f15") _,
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
/// Runs on a managed stack, of which it uses nothing but the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]. `g` is parked, is not the current one, and no other thread runs it.
#[inline(always)]
pub unsafe fn switch_to(g: *mut G<S390x>, value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        asm!(
            "larl %r4, 2f",
            "jg {light}@PLT",
            "2:",
            light = sym switch_light,
            inlateout("r3") g => _,
            inlateout("r2") value => out,
            lateout("r6") _, lateout("r7") _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("r12") _, lateout("r13") _,
            lateout("f8") _, lateout("f9") _, lateout("f10") _, lateout("f11") _,
            lateout("f12") _, lateout("f13") _, lateout("f14") _, lateout("f15") _,
            clobber_abi("C"),
        );
    }
    out
}

/// [`resume`] as a function: what C calls.
///
/// Runs on a system stack, of which it uses 160 bytes beside the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`].
///
/// # Registers
/// In: `r2` g, `r3` value. Out: `r2`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume")]
pub unsafe extern "C" fn resume_full(g: *mut G<S390x> /* r2 */, value: usize /* r3 */) -> usize /* r2 */ {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The frame that this is passed is the upper part of a Crosscall2Frame; the rest is opened as crosscall2 does.
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        "lgr %r4, %r2",
        "lgr %r2, %r3",
        "lgr %r3, %r4",
        "brasl %r14, {light}@PLT",

        "ld %f8, {caller} + {f8}(%r15)",      ".cfi_restore %f8",
        "ld %f9, {caller} + {f9}(%r15)",      ".cfi_restore %f9",
        "ld %f10, {caller} + {f10}(%r15)",    ".cfi_restore %f10",
        "ld %f11, {caller} + {f11}(%r15)",    ".cfi_restore %f11",
        "ld %f12, {caller} + {f12}(%r15)",    ".cfi_restore %f12",
        "ld %f13, {caller} + {f13}(%r15)",    ".cfi_restore %f13",
        "ld %f14, {caller} + {f14}(%r15)",    ".cfi_restore %f14",
        "ld %f15, {caller} + {f15}(%r15)",    ".cfi_restore %f15",
        "lmg %r6, %r15, {caller} + {r6}(%r15)", ".cfi_adjust_cfa_offset -{caller}",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        light = sym resume_light,
        abi = const size_of::<AbiFrame>(),
        link = const offset_of!(Crosscall2Frame, link),
        caller = const offset_of!(Crosscall2Frame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
    )
}

/// [`park`] as a function: what C calls.
///
/// Runs on a managed stack, of which it uses 160 bytes beside the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`].
///
/// # Registers
/// In: `r2` value. Out: `r2`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park")]
pub unsafe extern "C" fn park_full(value: usize /* r2 */) -> usize /* r2 */ {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The frame that this is passed is the upper part of a Crosscall2Frame; the rest is opened as crosscall2 does.
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        "larl %r4, 2f",
        "jg {light}@PLT",

        // On curg, which goes on; r2 is the word for it.
        "2:",
        "ld %f8, {caller} + {f8}(%r15)",      ".cfi_restore %f8",
        "ld %f9, {caller} + {f9}(%r15)",      ".cfi_restore %f9",
        "ld %f10, {caller} + {f10}(%r15)",    ".cfi_restore %f10",
        "ld %f11, {caller} + {f11}(%r15)",    ".cfi_restore %f11",
        "ld %f12, {caller} + {f12}(%r15)",    ".cfi_restore %f12",
        "ld %f13, {caller} + {f13}(%r15)",    ".cfi_restore %f13",
        "ld %f14, {caller} + {f14}(%r15)",    ".cfi_restore %f14",
        "ld %f15, {caller} + {f15}(%r15)",    ".cfi_restore %f15",
        "lmg %r6, %r15, {caller} + {r6}(%r15)", ".cfi_adjust_cfa_offset -{caller}",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        // By another register than r14: the call was made long ago, perhaps on another CPU.
        "lgr %r1, %r14",
        "br %r1",
        ".cfi_endproc",
        light = sym park_light,
        abi = const size_of::<AbiFrame>(),
        link = const offset_of!(Crosscall2Frame, link),
        caller = const offset_of!(Crosscall2Frame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
    )
}

/// The switch of [`resume`]: saves what no list of clobbers may name, and returns when the g has parked or ended.
///
/// Both stacks have a [`SwitchFrame`] at the place where they are left, so that one description of the frame is
/// right before SP moves and after. It is called, and `park` returns to its caller: the return predictor is right.
///
/// Runs on a system stack, of which it uses nothing but the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`]; not callable from Rust, since it keeps too little.
///
/// # Registers
/// In: `r3` g, `r2` value. Out: `r2`, and in `r3` the g that has come back. Clobbered: all but `r11`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume_light")]
pub(crate) unsafe extern "C" fn resume_light() {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The SwitchFrame is the frame that this is passed.
        "stg %r14, {pc}(%r15)",               ".cfi_rel_offset %r14, {pc}",
        "stg %r11, {r11}(%r15)",              ".cfi_rel_offset %r11, {r11}",

        // The system stack is used from here on by what this g calls, and unwinders come here from its
        // first frame.
        g_place!("%r1", "%r5"),
        "lg %r4, 0(%r5,%r1)",
        "stg %r15, {g0_sp}(%r4)",
        "lg %r14, {top}(%r3)",
        "stg %r15, {parent} - {base}(%r14)",
        "stg %r4, {m_out}(%r3)",
        "stg %r3, {curg}(%r4)",

        // The g's own SP, then the g. On curg, at the SwitchFrame that it has left: the rules above describe
        // that as well, but for what it has not kept.
        "lg %r15, {sched_sp}(%r3)",
        ".cfi_undefined %r6", ".cfi_undefined %r7", ".cfi_undefined %r8", ".cfi_undefined %r9",
        ".cfi_undefined %r10", ".cfi_undefined %r12", ".cfi_undefined %r13", ".cfi_undefined %f8",
        ".cfi_undefined %f9", ".cfi_undefined %f10", ".cfi_undefined %f11", ".cfi_undefined %f12",
        ".cfi_undefined %f13", ".cfi_undefined %f14", ".cfi_undefined %f15",
        "stg %r3, 0(%r5,%r1)",
        "lg %r11, {r11}(%r15)",               ".cfi_restore %r11",
        "lg %r4, {pc}(%r15)",
        "br %r4",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        top = const offset_of!(G<S390x>, stack) + offset_of!(Stack<S390x>, top),
        sched_sp = const offset_of!(G<S390x>, sched.sp),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        curg = const offset_of!(M<S390x>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        r11 = const offset_of!(SwitchFrame, r11),
        pc = const offset_of!(SwitchFrame, pc),
    )
}

/// The switch of [`park`]: goes on at the address in `r4` when the g is resumed, with `r11` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses nothing but the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r2` value, `r4` where this g goes on. Out, there: `r2`. Clobbered there: all but `r11`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park_light")]
pub(crate) unsafe extern "C" fn park_light() {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register %r14, %r4",
        // The SwitchFrame is the frame that this is passed.
        "stg %r4, {pc}(%r15)",                ".cfi_rel_offset %r14, {pc}",
        "stg %r11, {r11}(%r15)",              ".cfi_rel_offset %r11, {r11}",

        g_place!("%r1", "%r5"),
        "lg %r3, 0(%r5,%r1)",
        "lg %r4, {m_out}(%r3)",
        "stg %r15, {sched_sp}(%r3)",

        // g0 is current, nothing runs on this m, and this g has no m.
        "stg %r4, 0(%r5,%r1)",
        "mvghi {curg}(%r4), 0",
        "mvghi {m_out}(%r3), 0",
        "lg %r15, {g0_sp}(%r4)",

        // On g0, at resume's SwitchFrame: the same layout, so the rules above describe it as well.
        ".cfi_undefined %r6", ".cfi_undefined %r7", ".cfi_undefined %r8", ".cfi_undefined %r9",
        ".cfi_undefined %r10", ".cfi_undefined %r12", ".cfi_undefined %r13", ".cfi_undefined %f8",
        ".cfi_undefined %f9", ".cfi_undefined %f10", ".cfi_undefined %f11", ".cfi_undefined %f12",
        ".cfi_undefined %f13", ".cfi_undefined %f14", ".cfi_undefined %f15",
        "lg %r11, {r11}(%r15)",               ".cfi_restore %r11",
        "lg %r14, {pc}(%r15)",                ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        sched_sp = const offset_of!(G<S390x>, sched.sp),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        curg = const offset_of!(M<S390x>, curg),
        r11 = const offset_of!(SwitchFrame, r11),
        pc = const offset_of!(SwitchFrame, pc),
    )
}

/// The switch of [`switch_to`]: goes on at the address in `r4` when the g is resumed, with `r11` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses nothing but the save area that it is passed.
/// Not for signal handlers.
///
/// # Safety
/// As [`switch_to`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r3` g, `r2` value, `r4` where the current g goes on. Out, there: `r2`. Clobbered there: all but `r11`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_switch_light")]
pub(crate) unsafe extern "C" fn switch_light() {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register %r14, %r4",
        // The SwitchFrame is the frame that this is passed.
        "stg %r4, {pc}(%r15)",                ".cfi_rel_offset %r14, {pc}",
        "stg %r11, {r11}(%r15)",              ".cfi_rel_offset %r11, {r11}",

        g_place!("%r1", "%r5"),
        "lg %r4, 0(%r5,%r1)",
        "lg %r14, {m_out}(%r4)",
        "stg %r15, {sched_sp}(%r4)",

        // What unwinders follow from the other g's first frame; then g0 is current, that one is curg, and this one has
        // no m.
        "lg %r11, {top}(%r3)",
        "lg %r0, {g0_sp}(%r14)",
        "stg %r0, {parent} - {base}(%r11)",
        "stg %r14, {m_out}(%r3)",
        "stg %r14, 0(%r5,%r1)",
        "stg %r3, {curg}(%r14)",
        "mvghi {m_out}(%r4), 0",

        // On the other g, at the SwitchFrame that it has left: the rules above describe that as well, but for what
        // it has not kept. Nothing of this one is in use any more.
        "lg %r15, {sched_sp}(%r3)",
        ".cfi_undefined %r6", ".cfi_undefined %r7", ".cfi_undefined %r8", ".cfi_undefined %r9",
        ".cfi_undefined %r10", ".cfi_undefined %r12", ".cfi_undefined %r13", ".cfi_undefined %f8",
        ".cfi_undefined %f9", ".cfi_undefined %f10", ".cfi_undefined %f11", ".cfi_undefined %f12",
        ".cfi_undefined %f13", ".cfi_undefined %f14", ".cfi_undefined %f15",
        "stg %r3, 0(%r5,%r1)",
        "mvghi {state}(%r4), {parked}",
        "lg %r11, {r11}(%r15)",               ".cfi_restore %r11",
        "lg %r4, {pc}(%r15)",
        "br %r4",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        m_out = const offset_of!(G<S390x>, m_out),
        top = const offset_of!(G<S390x>, stack) + offset_of!(Stack<S390x>, top),
        state = const offset_of!(G<S390x>, state),
        parked = const crate::GState::Parked as usize,
        sched_sp = const offset_of!(G<S390x>, sched.sp),
        g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        curg = const offset_of!(M<S390x>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        r11 = const offset_of!(SwitchFrame, r11),
        pc = const offset_of!(SwitchFrame, pc),
    )
}

/// Where a g's first `resume` arrives: runs its function, then parks it for the last time.
///
/// Not a function: `resume`, `gogo` and `switch_to` jump here, on the g's stack, with SP at its [`BaseFrame`]
/// and the word for it in `r2`. Unwinders go on in the `resume` that runs this g, whose frame `parent`
/// designates.
///
/// # Safety
/// Only the address is used.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_g_start")]
pub unsafe extern "C" fn g_start() {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        ".cfi_rel_offset %r11, {r11}", ".cfi_rel_offset %r14, {pc}",
        // Not kept: the resume that runs this has lost them.
        ".cfi_undefined %r6", ".cfi_undefined %r7", ".cfi_undefined %r8", ".cfi_undefined %r9",
        ".cfi_undefined %r10", ".cfi_undefined %r12", ".cfi_undefined %r13", ".cfi_undefined %f8",
        ".cfi_undefined %f9", ".cfi_undefined %f10", ".cfi_undefined %f11", ".cfi_undefined %f12",
        ".cfi_undefined %f13", ".cfi_undefined %f14", ".cfi_undefined %f15",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r15}, {parent_lo}, {parent_hi}, {deref}, {plus}, {abi_lo}, {abi_hi}",
        // An unwinder looks one byte before the address that `resume` jumps to.
        "nopr",
        ".globl stackgate_g_begin", ".hidden stackgate_g_begin",
        "stackgate_g_begin:",
        "lg %r1, {entry}(%r15)",
        "basr %r14, %r1",

        // On curg, which ends; r2 is the word. From here on this is park, and nobody comes back.
        g_place!("%r1", "%r5"),
        "lg %r3, 0(%r5,%r1)",
        "lg %r4, {m_out}(%r3)",
        "mvghi {state}(%r3), {finished}",
        "stg %r4, 0(%r5,%r1)",
        "mvghi {curg}(%r4), 0",
        "mvghi {m_out}(%r3), 0",
        // Where `resume` stands, whatever C has left of callbacks by longjmp.
        "lg %r15, {parent}(%r15)",         ".cfi_def_cfa %r15, {abi}",
        "lg %r11, {r11}(%r15)",               ".cfi_restore %r11",
        "lg %r14, {pc}(%r15)",                ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        entry = const offset_of!(BaseFrame, entry),
        m_out = const offset_of!(G<S390x>, m_out),
        state = const offset_of!(G<S390x>, state),
        finished = const crate::GState::Finished as usize,
        parent = const offset_of!(BaseFrame, parent),
        curg = const offset_of!(M<S390x>, curg),
        r11 = const offset_of!(SwitchFrame, r11),
        pc = const offset_of!(SwitchFrame, pc),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r15 = const breg(R15.dwarf),
        parent_lo = const leb_lo(offset_of!(BaseFrame, parent) as i64),
        parent_hi = const leb_hi(offset_of!(BaseFrame, parent) as i64),
        abi_lo = const leb_lo(size_of::<SwitchFrame>() as i64),
        abi_hi = const leb_hi(size_of::<SwitchFrame>() as i64),
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
/// [`CallbackFrame`] on the system stack, which is the frame that C passes, holds all there is to know; on
/// curg lie only the [`CallbackEntry`], whose back chain continues curg's own, and what the managed code
/// itself puts there. `ctxt` is the traceback context of the C frames below, 0 for none.
///
/// A callback on a thread without a g, on a g other than g0, on an m that runs nothing, from a call that promised
/// none, or after C has left callbacks by `longjmp` goes to [`CALLBACK_ELSEWHERE`].
///
/// Runs on a system stack, of which it uses nothing but the save area that it is passed, and of curg's 176
/// bytes. Not for signal handlers.
///
/// # Safety
/// `fn` may be called with these arguments on curg's stack.
///
/// # Registers
/// In: `r2` fn, `r3` frame, `r4` framesize, `r5` ctxt. Clobbered: what a C call clobbers, and what `fn`
/// clobbers beside that. At `fn`'s entry: `r2` frame, `r3` framesize, `r4` ctxt; SP a multiple of 8, with 160
/// bytes for `fn` whose back chain is the frame of the managed caller below C; the program mask zero and the
/// floating-point control register as C left them.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_cgocallback")]
pub unsafe extern "C" fn cgocallback(
    func: CallbackFn,   /* r2 */
    frame: *mut c_void, /* r3 */
    framesize: usize,   /* r4 */
    ctxt: usize,        /* r5 */
) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        // The CallbackFrame is the frame that C passes: C's r14, and what is used here, have their slots.
        "stmg %r11, %r15, {r11}(%r15)",
        ".cfi_rel_offset %r11, {r11}", ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}",
        ".cfi_rel_offset %r14, {pc}", ".cfi_remember_state",

        // May this g be called back, and is there a g to run it?
        g_place!("%r1", "%r11"),
        "lg %r14, 0(%r11,%r1)",
        "ltg %r13, {m_in}(%r14)",
        "jz 3f",
        "ltg %r12, {curg}(%r13)",
        "jz 3f",
        // What C has below a callback is lower than g0_sp; where it is not, C has left the callback's frames by longjmp,
        // unless it has a stack of its own.
        "lg %r14, {m_g0_sp}(%r13)",
        "clgrjhe %r15, %r14, 4f",
        // The AsmcgocallFrame that this callback came through ends at g0_sp. Where its g is another, C has left it by
        // longjmp and called over it.
        "5:",
        "clg %r12, {call_g} - {call}(%r14)",
        "jne 3f",

        // The rest of the CallbackFrame: g, m and g0_sp at once, ctxt.
        "stmg %r12, %r14, {g}(%r15)",
        "stg %r5, {ctxt}(%r15)",
        // The CallbackEntry on curg, directly below the managed SP. It is complete when SP comes.
        "lg %r14, {call_sp} - {call}(%r14)",
        "stg %r14, {link} - {entry}(%r14)",
        "stg %r15, {callback} - {entry}(%r14)",
        "stg %r2, {func} - {entry}(%r14)",

        // Both are complete: publish the callback. Then SP goes to curg's stack, then curg is current.
        "stg %r15, {m_g0_sp}(%r13)",
        "lay %r15, -{entry}(%r14)",
        // On curg. The CFA is the upper end of the CallbackFrame that `callback` designates.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r15}, {cb_lo}, {cb_hi}, {deref}, {plus}, {abi_lo}, {abi_hi}",
        "stg %r12, 0(%r11,%r1)",

        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "lgr %r3, %r4",
        "lgr %r4, %r5",
        "basr %r14, %r1",
        ".globl stackgate_callback_return", ".hidden stackgate_callback_return",
        "stackgate_callback_return:",

        // On curg, and only SP is known. g0 is current again, the frame is taken back, then SP leaves.
        "lg %r1, {callback}(%r15)",
        "lg %r2, {m}(%r1)",
        g_place!("%r4", "%r5"),
        "stg %r2, 0(%r5,%r4)",
        "lg %r3, {g0_sp}(%r1)",
        "stg %r3, {m_g0_sp}(%r2)",
        "lgr %r15, %r1",                   ".cfi_def_cfa %r15, {abi}",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",

        // Above g0_sp: is not one of them on g0's stack? A foreign thread's g0_sp begins in its m.
        "4:",                              ".cfi_restore_state",
        "clg %r14, {m_g0_limit}(%r13)",
        "jl 5b",
        "clg %r15, {m_g0_top}(%r13)",
        "jh 5b",

        // On g0, or on whatever stack C runs. The registers are as they came.
        "3:",
        "lmg %r11, %r14, {r11}(%r15)",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "lgrl %r1, {elsewhere}@GOTENT",
        "lg %r1, 0(%r1)",
        "br %r1",
        ".cfi_endproc",
        elsewhere = sym CALLBACK_ELSEWHERE,
        abi = const size_of::<AbiFrame>(),
        m_in = const offset_of!(G<S390x>, m_in),
        curg = const offset_of!(M<S390x>, curg),
        m_g0_sp = const offset_of!(M<S390x>, g0.sched.sp),
        m_g0_limit = const offset_of!(M<S390x>, g0.stack.limit),
        m_g0_top = const offset_of!(M<S390x>, g0.stack.top),
        call = const size_of::<AsmcgocallFrame>(),
        call_g = const offset_of!(AsmcgocallFrame, g),
        call_sp = const offset_of!(AsmcgocallFrame, sp),
        ctxt = const offset_of!(CallbackFrame, ctxt),
        g = const offset_of!(CallbackFrame, g),
        m = const offset_of!(CallbackFrame, m),
        g0_sp = const offset_of!(CallbackFrame, g0_sp),
        r11 = const offset_of!(CallbackFrame, r11),
        r12 = const offset_of!(CallbackFrame, r12),
        r13 = const offset_of!(CallbackFrame, r13),
        pc = const offset_of!(CallbackFrame, pc),
        entry = const size_of::<CallbackEntry>(),
        link = const offset_of!(CallbackEntry, link),
        callback = const offset_of!(CallbackEntry, callback),
        func = const offset_of!(CallbackEntry, func),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r15 = const breg(R15.dwarf),
        cb_lo = const leb_lo(offset_of!(CallbackEntry, callback) as i64),
        cb_hi = const leb_hi(offset_of!(CallbackEntry, callback) as i64),
        abi_lo = const leb_lo(size_of::<CallbackFrame>() as i64),
        abi_hi = const leb_hi(size_of::<CallbackFrame>() as i64),
    )
}

/// C's way into managed code that keeps no register: saves all that C expects back, then [`cgocallback`].
/// Go: `crosscall2`.
///
/// Runs on a system stack, of which it uses 160 bytes: the frame that `cgocallback` is passed. Not for signal
/// handlers.
///
/// # Safety
/// As [`cgocallback`].
///
/// # Registers
/// In: `r2` fn, `r3` a, `r4` n, `r5` ctxt. Clobbered: what a C call clobbers. At `fn`'s entry: as
/// [`cgocallback`], with n sign-extended, whether or not the caller did it (ABI 1.2.3).
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2")]
pub unsafe extern "C" fn crosscall2(
    func: CallbackFn, /* r2 */
    a: *mut c_void,   /* r3 */
    n: c_int,         /* r4 */
    ctxt: usize,      /* r5 */
) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        // Opened as asmcgocall_catch opens its frame.
        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        "lgfr %r4, %r4",
        "brasl %r14, {cgocallback}@PLT",

        "ld %f8, {caller} + {f8}(%r15)",      ".cfi_restore %f8",
        "ld %f9, {caller} + {f9}(%r15)",      ".cfi_restore %f9",
        "ld %f10, {caller} + {f10}(%r15)",    ".cfi_restore %f10",
        "ld %f11, {caller} + {f11}(%r15)",    ".cfi_restore %f11",
        "ld %f12, {caller} + {f12}(%r15)",    ".cfi_restore %f12",
        "ld %f13, {caller} + {f13}(%r15)",    ".cfi_restore %f13",
        "ld %f14, {caller} + {f14}(%r15)",    ".cfi_restore %f14",
        "ld %f15, {caller} + {f15}(%r15)",    ".cfi_restore %f15",
        "lmg %r6, %r15, {caller} + {r6}(%r15)", ".cfi_adjust_cfa_offset -{caller}",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        cgocallback = sym cgocallback,
        abi = const size_of::<AbiFrame>(),
        link = const offset_of!(Crosscall2Frame, link),
        caller = const offset_of!(Crosscall2Frame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
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
/// In: `r2` fn, `r3` a, `r4` n. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_panic")]
pub unsafe extern "C" fn crosscall2_panic(
    func: CallbackFn, /* r2 */
    a: *mut c_void,   /* r3 */
    n: c_int,         /* r4 */
) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "lghi %r5, 0",
        "jg {crosscall2}@PLT",
        ".cfi_endproc",
        crosscall2 = sym crosscall2,
        abi = const size_of::<AbiFrame>(),
    )
}

/// A thread's entry: makes the g0 `g` current, runs `fn(g)` where it stands, and gives C back its registers
/// and the thread its former g. Go: `crosscall1`.
///
/// Runs on the thread's own stack, of which it uses 160 bytes. Not for signal handlers.
///
/// # Safety
/// `g` is a g0 that no other thread uses; `fn` may be called with it.
///
/// # Registers
/// In: `r2` fn, `r3` g. Clobbered: what a C call clobbers, whatever `fn` clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall1")]
pub unsafe extern "C" fn crosscall1(func: ThreadFn /* r2 */, g: *mut G<S390x> /* r3 */) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        // The former g lies in the word of the caller's frame that is left over.
        g_place!("%r1", "%r5"),
        "lg %r0, 0(%r5,%r1)",
        "stg %r0, {former}(%r15)",

        // Opened as asmcgocall_catch opens its frame.
        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        "stg %r3, 0(%r5,%r1)",
        "lgr %r1, %r2",
        "lgr %r2, %r3",
        "basr %r14, %r1",

        // Only SP is known.
        g_place!("%r1", "%r5"),
        "lg %r0, {caller} + {former}(%r15)",
        "stg %r0, 0(%r5,%r1)",
        "ld %f8, {caller} + {f8}(%r15)",      ".cfi_restore %f8",
        "ld %f9, {caller} + {f9}(%r15)",      ".cfi_restore %f9",
        "ld %f10, {caller} + {f10}(%r15)",    ".cfi_restore %f10",
        "ld %f11, {caller} + {f11}(%r15)",    ".cfi_restore %f11",
        "ld %f12, {caller} + {f12}(%r15)",    ".cfi_restore %f12",
        "ld %f13, {caller} + {f13}(%r15)",    ".cfi_restore %f13",
        "ld %f14, {caller} + {f14}(%r15)",    ".cfi_restore %f14",
        "ld %f15, {caller} + {f15}(%r15)",    ".cfi_restore %f15",
        "lmg %r6, %r15, {caller} + {r6}(%r15)", ".cfi_adjust_cfa_offset -{caller}",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        abi = const size_of::<AbiFrame>(),
        former = const offset_of!(CalleeSaved, former),
        link = const offset_of!(Crosscall2Frame, link),
        caller = const offset_of!(Crosscall2Frame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
    )
}

/// A signal handler for `sigaction` with `SA_SIGINFO`: makes the m's gsignal the current g, calls what
/// `SIGNAL_HANDLER` says with the same arguments and the former g, and makes that current again.
///
/// A handler that interrupts a handler finds gsignal current and leaves it so; a thread without an m stays
/// without a g. The kernel wants no register back, but C code that has replaced this handler may call it as a
/// plain function: all that C expects back is kept.
///
/// Runs on any stack, of which it uses 160 bytes: on a signal stack where the thread has one, also on one that C
/// has set. It is a signal handler. Go: `sigtramp`.
///
/// # Safety
/// `info` and `ucontext` are what the kernel passed for `signal`. What is called returns: a jump out of it
/// would leave gsignal current.
///
/// # Registers
/// In: `r2` signal, `r3` info, `r4` ucontext. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_sigtramp")]
pub unsafe extern "C" fn sigtramp(
    signal: c_int,         /* r2 */
    info: *mut c_void,     /* r3 */
    ucontext: *mut c_void, /* r4 */
) {
    naked_asm!(
        ".cfi_startproc", ".cfi_val_offset %r15, -{abi}",
        "stmg %r6, %r15, {r6}(%r15)",
        ".cfi_rel_offset %r6, {r6}", ".cfi_rel_offset %r7, {r7}", ".cfi_rel_offset %r8, {r8}",
        ".cfi_rel_offset %r9, {r9}", ".cfi_rel_offset %r10, {r10}", ".cfi_rel_offset %r11, {r11}",
        ".cfi_rel_offset %r12, {r12}", ".cfi_rel_offset %r13, {r13}", ".cfi_rel_offset %r14, {pc}",
        "std %f8, {f8}(%r15)",                ".cfi_rel_offset %f8, {f8}",
        "std %f9, {f9}(%r15)",                ".cfi_rel_offset %f9, {f9}",
        "std %f10, {f10}(%r15)",              ".cfi_rel_offset %f10, {f10}",
        "std %f11, {f11}(%r15)",              ".cfi_rel_offset %f11, {f11}",
        "std %f12, {f12}(%r15)",              ".cfi_rel_offset %f12, {f12}",
        "std %f13, {f13}(%r15)",              ".cfi_rel_offset %f13, {f13}",
        "std %f14, {f14}(%r15)",              ".cfi_rel_offset %f14, {f14}",
        "std %f15, {f15}(%r15)",              ".cfi_rel_offset %f15, {f15}",

        // The former g lies in the word of the caller's frame that is left over.
        g_place!("%r1", "%r5"),
        "lg %r6, 0(%r5,%r1)",
        "stg %r6, {former}(%r15)",

        // Opened as asmcgocall_catch opens its frame.
        "lgr %r0, %r15",
        "stg %r0, {link} - {caller}(%r15)",
        "lay %r15, -{caller}(%r15)",       ".cfi_adjust_cfa_offset {caller}",
        "stg %r0, {link}(%r15)",

        // Whose signal stack? The m's of the g that was interrupted, or of the g0. gsignal stays current, and
        // so does the g that stands for none.
        "ltg %r7, {m_out}(%r6)",
        "jnz 2f",
        "lg %r7, {state}(%r6)",
        "cghi %r7, {is_g0}",
        "jne 3f",
        "lgr %r7, %r6",
        "2:",
        "aghi %r7, {gsignal}",
        "stg %r7, 0(%r5,%r1)",

        // ucontext stays known until the end, for who interrupts this: in r4, and behind the call in r8. The
        // former g is the fourth argument.
        "3:",
        "lgr %r8, %r4",
        "lgr %r5, %r6",
        "lgrl %r1, {handler}@GOTENT",
        "lg %r1, 0(%r1)",
        "basr %r14, %r1",
        ".globl stackgate_sigtramp_return", ".hidden stackgate_sigtramp_return",
        "stackgate_sigtramp_return:",
        "lgr %r4, %r8",

        // Nothing but SP and r8 is known.
        g_place!("%r1", "%r5"),
        "lg %r0, {caller} + {former}(%r15)",
        "stg %r0, 0(%r5,%r1)",
        "ld %f8, {caller} + {f8}(%r15)",      ".cfi_restore %f8",
        "ld %f9, {caller} + {f9}(%r15)",      ".cfi_restore %f9",
        "ld %f10, {caller} + {f10}(%r15)",    ".cfi_restore %f10",
        "ld %f11, {caller} + {f11}(%r15)",    ".cfi_restore %f11",
        "ld %f12, {caller} + {f12}(%r15)",    ".cfi_restore %f12",
        "ld %f13, {caller} + {f13}(%r15)",    ".cfi_restore %f13",
        "ld %f14, {caller} + {f14}(%r15)",    ".cfi_restore %f14",
        "ld %f15, {caller} + {f15}(%r15)",    ".cfi_restore %f15",
        "lmg %r6, %r15, {caller} + {r6}(%r15)", ".cfi_adjust_cfa_offset -{caller}",
        ".cfi_restore %r6", ".cfi_restore %r7", ".cfi_restore %r8", ".cfi_restore %r9", ".cfi_restore %r10",
        ".cfi_restore %r11", ".cfi_restore %r12", ".cfi_restore %r13", ".cfi_restore %r14",
        "br %r14",
        ".cfi_endproc",
        handler = sym SIGNAL_HANDLER,
        m_out = const offset_of!(G<S390x>, m_out),
        state = const offset_of!(G<S390x>, state),
        is_g0 = const crate::GState::G0 as usize,
        gsignal = const offset_of!(M<S390x>, gsignal),
        abi = const size_of::<AbiFrame>(),
        former = const offset_of!(CalleeSaved, former),
        link = const offset_of!(Crosscall2Frame, link),
        caller = const offset_of!(Crosscall2Frame, saved),
        f8 = const offset_of!(CalleeSaved, f8),
        f9 = const offset_of!(CalleeSaved, f9),
        f10 = const offset_of!(CalleeSaved, f10),
        f11 = const offset_of!(CalleeSaved, f11),
        r6 = const offset_of!(CalleeSaved, r6),
        r7 = const offset_of!(CalleeSaved, r7),
        r8 = const offset_of!(CalleeSaved, r8),
        r9 = const offset_of!(CalleeSaved, r9),
        r10 = const offset_of!(CalleeSaved, r10),
        r11 = const offset_of!(CalleeSaved, r11),
        r12 = const offset_of!(CalleeSaved, r12),
        r13 = const offset_of!(CalleeSaved, r13),
        pc = const offset_of!(CalleeSaved, pc),
        f12 = const offset_of!(CalleeSaved, f12),
        f13 = const offset_of!(CalleeSaved, f13),
        f14 = const offset_of!(CalleeSaved, f14),
        f15 = const offset_of!(CalleeSaved, f15),
    )
}

/// Ends the program, or stops the machine, by an instruction that no CPU knows: for who can tell nobody why.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: nothing runs behind it.
    unsafe { asm!(".short 0", options(noreturn, nomem, nostack)) }
}

/// Asks valgrind for what the six `words` say, by instructions that do nothing where it is not there: then `default`
/// is the answer. The words are a request's number and its arguments.
///
/// Runs on any stack; safe in a signal handler. Source: `PLAT_s390x_linux` in `valgrind.h` of valgrind 3.19.
#[inline(always)]
pub fn client_request(default: usize, words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: no register changes but the one of the answer.
    unsafe {
        asm!(
            "lr %r15, %r15",
            "lr %r1, %r1",
            "lr %r2, %r2",
            "lr %r3, %r3",
            "lr %r2, %r2",
            in("r2") words,
            inlateout("r3") default => answer,
            options(nostack, preserves_flags),
        );
    }
    answer
}

//! The crossings of x86_64, in the order of the contract in the crate's documentation.
//!
//! Reading aid: `{name}` in an instruction is the offset of the field of that name in the frame that the
//! function's documentation shows, or in the structure that the operand list at its end names. In comments,
//! "on g0" and "on curg" say which stack SP is on.

use super::frame::*;
use crate::dwarf::*;
use crate::frame::W64;
use crate::g::NO_G;
use crate::{CALLBACK_ELSEWHERE, CFn, CallbackFn, G, M, McallFn, SIGNAL_HANDLER, Stack, SystemFn, ThreadFn};
use core::arch::{asm, global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

keep_unwind_tables!();

// The current g: one word of static TLS for each thread, in the initial-exec model, so that reading it is two
// instructions, is safe in a signal handler and works in a shared library that is loaded at start.
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

/// Loads the current g's place into a register; after it [`current_g!`] of that register is the current g.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_place { ($reg:literal) => { concat!("mov ", $reg, ", qword ptr [rip + stackgate_g@gottpoff]") } }
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! g_place { ($reg:literal) => { concat!("lea ", $reg, ", [rip + stackgate_g]") } }
/// The current g, as an operand.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! current_g { ($reg:literal) => { concat!("fs:[", $reg, "]") } }
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! current_g { ($reg:literal) => { concat!("[", $reg, "]") } }
/// Lands an indirect call where the CPU enforces that: `endbr64`, or nothing.
#[cfg(not(stackgate_landing_pads))]
#[rustfmt::skip]
macro_rules! landing_pad { () => { "" } }
#[cfg(stackgate_landing_pads)]
#[rustfmt::skip]
macro_rules! landing_pad { () => { "endbr64" } }

/// The current g, or null when the thread has none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg`.
///
/// # Safety
/// None beyond the declaration: it reads one word of the thread, and one of its g.
///
/// # Registers
/// Out: `rax`. Clobbered: `rcx`, `r10`, flags.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_getg")]
pub unsafe extern "C" fn getg() -> *mut G<X86_64> /* rax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("r10"),
        concat!("mov rax, ", current_g!("r10")),
        // One that stands for none is null to everybody else.
        "xor ecx, ecx",
        "cmp [rax + {state}], rcx",
        "cmove rax, rcx",
        "ret",
        ".cfi_endproc",
        state = const offset_of!(G<X86_64>, state),
    )
}

/// The current g as the crossings read it: the g of zeros stands for none, so that its fields can be asked.
///
/// Inlined where it is used, for paths that count instructions. Read anew each time: a g kept over a switch
/// may be another thread's.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn current() -> *mut G<X86_64> {
    let g;
    // SAFETY: reads one word of the thread.
    unsafe {
        asm!(
            g_place!("{g}"),
            concat!("mov {g}, ", current_g!("{g}")),
            g = out(reg) g,
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
/// In: `rdi`. Clobbered: `rax`, `rdi`, `r10`, flags.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_setg")]
pub unsafe extern "C" fn setg(g: *mut G<X86_64> /* rdi */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "lea rax, [rip + {no_g}]",
        "test rdi, rdi",
        "cmove rdi, rax",
        g_place!("r10"),
        concat!("mov ", current_g!("r10"), ", rdi"),
        "ret",
        ".cfi_endproc",
        no_g = sym NO_G,
    )
}

/// Calls C on the system stack: `fn(arg)`. Go: `asmcgocall`.
///
/// Four paths: from a managed g it switches to g0's stack; on g0, on gsignal and without a g it calls where
/// it stands, on an aligned SP. While C runs, g0 is current and an [`AsmcgocallFrame`] lies directly below
/// `g0.sched.sp`. C's own callee-saved registers are C's affair; only `rbp` is kept here, because C would
/// save it at a place that nobody can find again when the managed stack moves.
///
/// Runs on any stack; uses 8 bytes of a managed one. Safe in a signal handler.
///
/// # Safety
/// `fn` may be called with `arg`. The current g is a g that `resume` runs, a g0, a gsignal, or none.
///
/// # Registers
/// In: `rdi` fn, `rsi` arg. Out: `rax`. Clobbered: what a C call clobbers.
/// At `fn`'s entry: `rdi` arg; SP + 8 a multiple of 16; DF clear as the caller left it; MXCSR and the x87
/// control word as the caller left them.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall")]
pub unsafe extern "C" fn asmcgocall(func: CFn /* rdi */, arg: *mut c_void /* rsi */) -> c_int /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // Does this g call away from its stack?
        g_place!("r10"),
        concat!("mov rax, ", current_g!("r10")),
        "mov rcx, [rax + {m_out}]",
        "test rcx, rcx",
        "jz 3f",

        // g0 is current before anything of its stack is in use. An m's address is its g0's.
        concat!("mov ", current_g!("r10"), ", rcx"),
        "mov r11, rsp",
        "mov rsp, [rcx + {g0_sp}]",            ".cfi_def_cfa r11, 8",

        // On g0. Build the AsmcgocallFrame from its upper end: pc, link, sp, g.
        "push qword ptr [r11]",
        "push rbp",
        "push r11",
        "push rax",
        "lea rbp, [rsp + {link}]",
        // From here on the CFA is the word `sp`, plus the return address it designates; rbp is in `link`.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_rsp}, {sp_lo}, {sp_hi}, {deref}, {plus}, {ra_lo}, {ra_hi}",
        ".cfi_escape {reg_at}, {rbp_dwarf}, {breg_len}, {breg_rsp}, {link_lo}, {link_hi}",

        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",

        // On g0, C has returned. Leave its stack, then give up g0. The managed stack may have moved since:
        // `sp` and `link` have been rewritten then, g has not moved.
        "mov rcx, [rsp + {g}]",
        "mov rbp, [rsp + {link}]",             ".cfi_restore rbp",
        "mov rsp, [rsp + {sp}]",               ".cfi_def_cfa rsp, 8",
        g_place!("r10"),
        concat!("mov ", current_g!("r10"), ", rcx"),
        "ret",

        // On g0, gsignal or a stack that no g knows.
        "3:",
        "push rbp",                            ".cfi_def_cfa_offset 16", ".cfi_offset rbp, -16",
        "mov rbp, rsp",                        ".cfi_def_cfa_register rbp",
        "and rsp, -16",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "leave",                               ".cfi_def_cfa rsp, 8", ".cfi_restore rbp",
        "ret",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        g = const offset_of!(AsmcgocallFrame, g),
        sp = const offset_of!(AsmcgocallFrame, sp),
        link = const offset_of!(AsmcgocallFrame, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST,
        breg_rsp = const breg(RSP.dwarf), rbp_dwarf = const RBP.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        ra_lo = const leb_lo(size_of::<W64>() as i64),
        ra_hi = const leb_hi(size_of::<W64>() as i64),
    )
}
// The pushes of asmcgocall, ccall and systemstack, from the frame's upper end down.
pushes!(AsmcgocallFrame: pc, link, sp, g);
pushes!(CcallWords: pc, rax, func);

/// What [`ccall`] has on the managed stack, where the g writes nothing more once SP has left it.
#[repr(C)]
#[allow(dead_code, reason = "only its offsets are used")]
struct CcallWords {
    /// The function.
    func: W64,
    /// What a variadic function takes in al.
    rax: W64,
    /// The call instruction's.
    pc: W64,
}

/// Calls any C function on the system stack, its argument registers untouched. For JITs and typed wrappers.
///
/// As [`asmcgocall`], but the function is in `r11` and takes whatever the argument registers hold (`rdi`,
/// `rsi`, `rdx`, `rcx`, `r8`, `r9`, `xmm0` to `xmm7`, `al` of a variadic call); arguments on the stack are
/// not passed on. Every result register comes back as C left it.
///
/// Runs on any stack; uses 24 bytes of a managed one. Safe in a signal handler. Go has no such function.
///
/// # Safety
/// As [`asmcgocall`]; not callable from Rust, since the function is in a scratch register.
///
/// # Registers
/// In: `r11` fn, and fn's arguments. Out: fn's results. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_ccall")]
pub unsafe extern "C" fn ccall() {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The CcallWords, from their upper end: pc, which the call instruction has written, rax, func.
        "push rax",                            ".cfi_def_cfa_offset 16",
        "push r11",                            ".cfi_def_cfa_offset 24",
        g_place!("r11"),
        concat!("mov rax, ", current_g!("r11")),
        "mov r10, [rax + {m_out}]",
        "test r10, r10",
        "jz 3f",

        concat!("mov ", current_g!("r11"), ", r10"),
        "lea r11, [rsp + {words_pc}]",
        "mov rsp, [r10 + {g0_sp}]",            ".cfi_def_cfa r11, 8",

        // On g0. Build the AsmcgocallFrame as asmcgocall does. The g goes there from the register that it was loaded to:
        // the next call waits for what this one stores again, and going by `curg` would take half as long once more.
        "push qword ptr [r11]",
        "push rbp",
        "push r11",
        "push rax",
        "lea rbp, [rsp + {link}]",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_rsp}, {sp_lo}, {sp_hi}, {deref}, {plus}, {ra_lo}, {ra_hi}",
        ".cfi_escape {reg_at}, {rbp_dwarf}, {breg_len}, {breg_rsp}, {link_lo}, {link_hi}",
        "mov rax, [r11 - {words_pc} + {words_rax}]",
        "mov r11, [r11 - {words_pc} + {words_func}]",
        "call r11",

        // On g0, C has returned; rax, rdx, xmm0, xmm1, st(0) and st(1) are its results.
        "mov rcx, [rsp + {g}]",
        "mov rbp, [rsp + {link}]",             ".cfi_restore rbp",
        "mov rsp, [rsp + {sp}]",               ".cfi_def_cfa rsp, 8",
        g_place!("r10"),
        concat!("mov ", current_g!("r10"), ", rcx"),
        "ret",

        // On g0, gsignal or a stack that no g knows.
        "3:",                                  ".cfi_def_cfa rsp, 24",
        "pop r11",                             ".cfi_adjust_cfa_offset -8",
        "pop rax",                             ".cfi_adjust_cfa_offset -8",
        "push rbp",                            ".cfi_adjust_cfa_offset 8", ".cfi_offset rbp, -16",
        "mov rbp, rsp",                        ".cfi_def_cfa_register rbp",
        "and rsp, -16",
        "call r11",
        "leave",                               ".cfi_def_cfa rsp, 8", ".cfi_restore rbp",
        "ret",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        words_func = const offset_of!(CcallWords, func),
        words_rax = const offset_of!(CcallWords, rax),
        words_pc = const offset_of!(CcallWords, pc),
        g = const offset_of!(AsmcgocallFrame, g),
        sp = const offset_of!(AsmcgocallFrame, sp),
        link = const offset_of!(AsmcgocallFrame, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST,
        breg_rsp = const breg(RSP.dwarf), rbp_dwarf = const RBP.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        ra_lo = const leb_lo(size_of::<W64>() as i64),
        ra_hi = const leb_hi(size_of::<W64>() as i64),
    )
}

/// As [`asmcgocall`], and a throw lands here: [`throw_to`] with this call's [`CatchFrame`] makes it
/// return, though C has not, with the thrown word in `*thrown`.
///
/// The C frames that a throw drops may hold the caller's callee-saved registers, so all of them are saved.
/// `*thrown` is 0 after a return without a throw; a throw of 0 is the thrower's mistake.
///
/// Runs on a managed stack, of which it uses 88 bytes. Go: what `defer` and `recover` around a cgo call do.
/// Not for signal handlers.
///
/// # Safety
/// As [`asmcgocall`], and the current g is one that `resume` runs. `thrown` is valid until this returns.
///
/// # Registers
/// In: `rdi` fn, `rsi` arg, `rdx` thrown. Out: `rax`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall_catch")]
pub unsafe extern "C" fn asmcgocall_catch(
    func: CFn,          /* rdi */
    arg: *mut c_void,   /* rsi */
    thrown: *mut usize, /* rdx */
) -> c_int /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The CatchFrame, whose last word the call instruction has written.
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        // Where a throw writes, and how much of the system stack it drops.
        "mov qword ptr [rdx], 0",
        "mov [rsp + {thrown}], rdx",
        g_place!("r10"),
        concat!("mov rbx, ", current_g!("r10")),
        "mov rax, [rbx + {m_out}]",
        "mov rax, [rax + {m_g0_sp}]",
        "mov [rsp + {g0_sp}], rax",
        "mov rax, [rbx + {catch}]",
        "mov [rsp + {previous}], rax",

        // Complete: publish it, call, take it back. C keeps rbx.
        "mov [rbx + {catch}], rsp",
        "call {asmcgocall}",
        "mov rcx, [rsp + {previous}]",
        "mov [rbx + {catch}], rcx",

        // C gave back every register but the two that were used here.
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        // What C gave back is where it was all the while; its copies are below SP now.
        ".cfi_restore r12", ".cfi_restore r13", ".cfi_restore r14", ".cfi_restore r15",
        "ret",
        ".cfi_endproc",
        asmcgocall = sym asmcgocall,
        m_out = const offset_of!(G<X86_64>, m_out),
        catch = const offset_of!(G<X86_64>, catch),
        m_g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        rbx = const offset_of!(CatchFrame, saved.rbx),
        r12 = const offset_of!(CatchFrame, saved.r12),
        r13 = const offset_of!(CatchFrame, saved.r13),
        r14 = const offset_of!(CatchFrame, saved.r14),
        r15 = const offset_of!(CatchFrame, saved.r15),
        rbp = const offset_of!(CatchFrame, saved.rbp),
        pc = const offset_of!(CatchFrame, pc),
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
/// In: `rdi` catch, `rsi` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_throw_to")]
pub unsafe extern "C" fn throw_to(catch: *mut CatchFrame /* rdi */, value: usize /* rsi */) -> ! {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The system stack begins again where it did when the catch was made. On curg all the while.
        g_place!("r10"),
        concat!("mov rax, ", current_g!("r10")),
        "mov rcx, [rax + {m_out}]",
        "mov rdx, [rdi + {g0_sp}]",
        "mov [rcx + {m_g0_sp}], rdx",
        "mov rdx, [rdi + {previous}]",
        "mov [rax + {catch}], rdx",
        "mov rdx, [rdi + {thrown}]",
        "mov [rdx], rsi",

        // From here on this is asmcgocall_catch, at its end.
        "mov rsp, rdi",                        ".cfi_def_cfa rsp, {size}",
        ".cfi_rel_offset rbx, {rbx}", ".cfi_rel_offset r12, {r12}", ".cfi_rel_offset r13, {r13}",
        ".cfi_rel_offset r14, {r14}", ".cfi_rel_offset r15, {r15}", ".cfi_rel_offset rbp, {rbp}",
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "xor eax, eax",
        // Jump and not `ret`: no call of the return predictor's stack matches it.
        "pop rcx",                             ".cfi_adjust_cfa_offset -8", ".cfi_register rip, rcx",
        "jmp rcx",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        catch = const offset_of!(G<X86_64>, catch),
        m_g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        rbx = const offset_of!(CatchFrame, saved.rbx),
        r12 = const offset_of!(CatchFrame, saved.r12),
        r13 = const offset_of!(CatchFrame, saved.r13),
        r14 = const offset_of!(CatchFrame, saved.r14),
        r15 = const offset_of!(CatchFrame, saved.r15),
        rbp = const offset_of!(CatchFrame, saved.rbp),
        pc = const offset_of!(CatchFrame, pc),
        size = const size_of::<CatchFrame>(),
    )
}

/// Runs managed code on the system stack: `fn(arg)`. Go: `systemstack`.
///
/// From a managed g as [`asmcgocall`], with the same frame; on g0, on gsignal and without a g a tail call.
///
/// Runs on any stack; uses 8 bytes of a managed one. Safe in a signal handler.
///
/// # Safety
/// As [`asmcgocall`].
///
/// # Registers
/// In: `rdi` fn, `rsi` arg. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_systemstack")]
pub unsafe extern "C" fn systemstack(func: SystemFn /* rdi */, arg: *mut c_void /* rsi */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("r10"),
        concat!("mov rax, ", current_g!("r10")),
        "mov rcx, [rax + {m_out}]",
        "test rcx, rcx",
        "jz 3f",

        concat!("mov ", current_g!("r10"), ", rcx"),
        "mov r11, rsp",
        "mov rsp, [rcx + {g0_sp}]",            ".cfi_def_cfa r11, 8",

        // On g0. The AsmcgocallFrame.
        "push qword ptr [r11]",
        "push rbp",
        "push r11",
        "push rax",
        "lea rbp, [rsp + {link}]",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_rsp}, {sp_lo}, {sp_hi}, {deref}, {plus}, {ra_lo}, {ra_hi}",
        ".cfi_escape {reg_at}, {rbp_dwarf}, {breg_len}, {breg_rsp}, {link_lo}, {link_hi}",

        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",

        "mov rcx, [rsp + {g}]",
        "mov rbp, [rsp + {link}]",             ".cfi_restore rbp",
        "mov rsp, [rsp + {sp}]",               ".cfi_def_cfa rsp, 8",
        g_place!("r10"),
        concat!("mov ", current_g!("r10"), ", rcx"),
        "ret",

        // On a system stack already: it goes on as fn.
        "3:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "jmp rax",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        g = const offset_of!(AsmcgocallFrame, g),
        sp = const offset_of!(AsmcgocallFrame, sp),
        link = const offset_of!(AsmcgocallFrame, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST,
        breg_rsp = const breg(RSP.dwarf), rbp_dwarf = const RBP.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        link_lo = const leb_lo(offset_of!(AsmcgocallFrame, link) as i64),
        link_hi = const leb_hi(offset_of!(AsmcgocallFrame, link) as i64),
        ra_lo = const leb_lo(size_of::<W64>() as i64),
        ra_hi = const leb_hi(size_of::<W64>() as i64),
    )
}

/// Leaves the current g, whose `state` stays as it is, and runs `fn(g)` on the system stack for good. Go: `mcall`.
///
/// `fn` ends by `gogo`, on this g or another. What runs when this g is resumed is the return from `mcall`.
///
/// Runs on a managed stack, of which it uses 96 bytes.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m. `fn` does not
/// return.
///
/// # Registers
/// In: `rdi` fn. Clobbered, when it returns: what a C call clobbers. At `fn`'s entry: `rdi` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall")]
pub unsafe extern "C" fn mcall(func: McallFn /* rdi */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame, whose last word the call instruction has written.
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        "lea rcx, [rip + 2f]",
        "jmp {light}",

        // On curg, which goes on.
        "2:",
        landing_pad!(),
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        // Jump and not `ret`: the call was made long ago, perhaps on another CPU.
        "pop rcx",                             ".cfi_adjust_cfa_offset -8", ".cfi_register rip, rcx",
        "jmp rcx",
        ".cfi_endproc",
        light = sym mcall_light,
        rbx = const offset_of!(Crosscall2Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// The switch of [`mcall`], for code that has saved its callee-saved registers: it goes on at the address in
/// `rcx`, with `rbx`, `rbp` and SP as they were.
///
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`mcall`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `rdi` fn, `rcx` where this g goes on. Clobbered there: all but `rbx` and `rbp`. At `fn`'s entry: `rdi` g.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall_light")]
pub(crate) unsafe extern "C" fn mcall_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_def_cfa rsp, 0", ".cfi_register rip, rcx",
        // The SwitchFrame.
        "sub rsp, {size}",                     ".cfi_adjust_cfa_offset {size}",
        "mov [rsp + {pc}], rcx",               ".cfi_rel_offset rip, {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",

        g_place!("r10"),
        concat!("mov rdx, ", current_g!("r10")),
        "mov rsi, [rdx + {m_out}]",
        "mov [rdx + {sched_sp}], rsp",

        // g0 is current, nothing runs on this m, and this g has no m.
        concat!("mov ", current_g!("r10"), ", rsi"),
        "mov qword ptr [rsi + {curg}], 0",
        "mov qword ptr [rdx + {m_out}], 0",
        "mov rsp, [rsi + {g0_sp}]",
        // On g0, at the SwitchFrame of the last `resume`: the same layout, so that for who unwinds only the
        // registers are lost that `resume` does not keep either. The frame records begin anew: the g may run on
        // another thread in a moment.
        ".cfi_undefined r12", ".cfi_undefined r13", ".cfi_undefined r14", ".cfi_undefined r15",
        "lea rbp, [rsp + {rbp}]",
        "mov rax, rdi",
        "mov rdi, rdx",
        "call rax",
        "ud2",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        sched_sp = const offset_of!(G<X86_64>, sched.sp),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        curg = const offset_of!(M<X86_64>, curg),
        rbx = const offset_of!(SwitchFrame, rbx),
        rbp = const offset_of!(SwitchFrame, rbp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
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
/// In: `rdi` g, `rsi` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_gogo")]
pub unsafe extern "C" fn gogo(g: *mut G<X86_64> /* rdi */, value: usize /* rsi */) -> ! {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("r10"),
        concat!("mov rcx, ", current_g!("r10")),
        // What unwinders follow from the g's first frame.
        "mov rdx, [rdi + {top}]",
        "mov r8, [rcx + {g0_sp}]",
        "mov [rdx - {base} + {parent}], r8",
        "mov [rdi + {m_out}], rcx",
        "mov [rcx + {curg}], rdi",

        "mov rax, rsi",
        // On curg, at the SwitchFrame that it has left. rbp after SP: the CFA of the caller on the system stack may
        // be counted from it.
        "mov rsp, [rdi + {sched_sp}]",         ".cfi_def_cfa rsp, {size}",
        ".cfi_rel_offset rbx, {rbx}", ".cfi_rel_offset rbp, {rbp}",
        ".cfi_undefined r12", ".cfi_undefined r13", ".cfi_undefined r14", ".cfi_undefined r15",
        concat!("mov ", current_g!("r10"), ", rdi"),
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "mov rcx, [rsp + {pc}]",               ".cfi_register rip, rcx",
        "add rsp, {size}",                     ".cfi_adjust_cfa_offset -{size}",
        "jmp rcx",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        top = const offset_of!(G<X86_64>, stack) + offset_of!(Stack<X86_64>, top),
        sched_sp = const offset_of!(G<X86_64>, sched.sp),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        curg = const offset_of!(M<X86_64>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        rbx = const offset_of!(SwitchFrame, rbx),
        rbp = const offset_of!(SwitchFrame, rbp),
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
pub unsafe fn resume(g: *mut G<X86_64>, value: usize) -> (usize, *mut G<X86_64>) {
    let (out, left);
    // SAFETY: by the caller; what is lost is named. The stack below SP is free for a call.
    unsafe {
        asm!(
            "call {light}",
            light = sym resume_light,
            inlateout("rdi") g => _,
            lateout("rdx") left,
            inlateout("rax") value => out,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
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
            "lea rcx, [rip + 2f]",
            "jmp {light}",
            "2:",
            landing_pad!(),
            light = sym park_light,
            inlateout("rax") value => out,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
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
pub unsafe fn switch_to(g: *mut G<X86_64>, value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        asm!(
            "lea rcx, [rip + 2f]",
            "jmp {light}",
            "2:",
            landing_pad!(),
            light = sym switch_light,
            inlateout("rdi") g => _,
            inlateout("rax") value => out,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("C"),
        );
    }
    out
}

/// [`resume`] as a function: what C calls.
///
/// Runs on a system stack, of which it uses 96 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`].
///
/// # Registers
/// In: `rdi` g, `rsi` value. Out: `rax`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume")]
pub unsafe extern "C" fn resume_full(g: *mut G<X86_64> /* rdi */, value: usize /* rsi */) -> usize /* rax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame, whose last word the call instruction has written.
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        "mov rax, rsi",
        "call {light}",

        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        light = sym resume_light,
        rbx = const offset_of!(Crosscall2Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// [`park`] as a function: what C calls.
///
/// Runs on a managed stack, of which it uses 96 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`].
///
/// # Registers
/// In: `rdi` value. Out: `rax`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park")]
pub unsafe extern "C" fn park_full(value: usize /* rdi */) -> usize /* rax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame, whose last word the call instruction has written.
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        "mov rax, rdi",
        "lea rcx, [rip + 2f]",
        "jmp {light}",

        // On curg, which goes on; rax is the word for it.
        "2:",
        landing_pad!(),
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        // Jump and not `ret`: the call was made long ago, perhaps on another CPU.
        "pop rcx",                             ".cfi_adjust_cfa_offset -8", ".cfi_register rip, rcx",
        "jmp rcx",
        ".cfi_endproc",
        light = sym park_light,
        rbx = const offset_of!(Crosscall2Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Frame, pc),
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
/// In: `rdi` g, `rax` value. Out: `rax`, and in `rdx` the g that has come back. Clobbered: all but `rbx` and `rbp`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume_light")]
pub(crate) unsafe extern "C" fn resume_light() {
    naked_asm!(
        ".cfi_startproc",
        // The SwitchFrame, whose last word the call instruction has written.
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",

        // The system stack is used from here on by what this g calls, and unwinders come here from its
        // first frame.
        g_place!("r10"),
        concat!("mov rcx, ", current_g!("r10")),
        "mov [rcx + {g0_sp}], rsp",
        "mov rdx, [rdi + {top}]",
        "mov [rdx - {base} + {parent}], rsp",
        "mov [rdi + {m_out}], rcx",
        "mov [rcx + {curg}], rdi",

        // The g's own SP, then the g. On curg, at the SwitchFrame that it has left: the rules above describe
        // that as well, but for what it has not kept.
        "mov rsp, [rdi + {sched_sp}]",
        ".cfi_undefined r12", ".cfi_undefined r13", ".cfi_undefined r14", ".cfi_undefined r15",
        concat!("mov ", current_g!("r10"), ", rdi"),
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "mov rcx, [rsp + {pc}]",               ".cfi_register rip, rcx",
        "add rsp, {size}",                     ".cfi_adjust_cfa_offset -{size}",
        "jmp rcx",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        top = const offset_of!(G<X86_64>, stack) + offset_of!(Stack<X86_64>, top),
        sched_sp = const offset_of!(G<X86_64>, sched.sp),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        curg = const offset_of!(M<X86_64>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        rbx = const offset_of!(SwitchFrame, rbx),
        rbp = const offset_of!(SwitchFrame, rbp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`park`]: goes on at the address in `rcx` when the g is resumed, with `rbx`, `rbp` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `rax` value, `rcx` where this g goes on. Out, there: `rax`. Clobbered there: all but `rbx` and `rbp`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park_light")]
pub(crate) unsafe extern "C" fn park_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_def_cfa rsp, 0", ".cfi_register rip, rcx",
        // The SwitchFrame.
        "sub rsp, {size}",                     ".cfi_adjust_cfa_offset {size}",
        "mov [rsp + {pc}], rcx",               ".cfi_rel_offset rip, {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",

        g_place!("r10"),
        concat!("mov rdx, ", current_g!("r10")),
        "mov rsi, [rdx + {m_out}]",
        "mov [rdx + {sched_sp}], rsp",

        // g0 is current, nothing runs on this m, and this g has no m.
        concat!("mov ", current_g!("r10"), ", rsi"),
        "mov qword ptr [rsi + {curg}], 0",
        "mov qword ptr [rdx + {m_out}], 0",
        "mov rsp, [rsi + {g0_sp}]",

        // On g0, in resume's SwitchFrame: the same layout, so the rules above describe it as well.
        ".cfi_undefined r12", ".cfi_undefined r13", ".cfi_undefined r14", ".cfi_undefined r15",
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        sched_sp = const offset_of!(G<X86_64>, sched.sp),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        curg = const offset_of!(M<X86_64>, curg),
        rbx = const offset_of!(SwitchFrame, rbx),
        rbp = const offset_of!(SwitchFrame, rbp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`switch_to`]: goes on at the address in `rcx` when the g is resumed, with `rbx`, `rbp` and SP as
/// they were.
///
/// Runs on a managed stack, of which it uses 32 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`switch_to`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `rdi` g, `rax` value, `rcx` where the current g goes on. Out, there: `rax`. Clobbered there: all but `rbx`
/// and `rbp`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_switch_light")]
pub(crate) unsafe extern "C" fn switch_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_def_cfa rsp, 0", ".cfi_register rip, rcx",
        // The SwitchFrame.
        "sub rsp, {size}",                     ".cfi_adjust_cfa_offset {size}",
        "mov [rsp + {pc}], rcx",               ".cfi_rel_offset rip, {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",

        g_place!("r10"),
        concat!("mov rdx, ", current_g!("r10")),
        "mov rsi, [rdx + {m_out}]",
        "mov [rdx + {sched_sp}], rsp",

        // What unwinders follow from the other g's first frame; then g0 is current, that one is curg, and this one has
        // no m.
        "mov r8, [rdi + {top}]",
        "mov r9, [rsi + {g0_sp}]",
        "mov [r8 - {base} + {parent}], r9",
        "mov [rdi + {m_out}], rsi",
        concat!("mov ", current_g!("r10"), ", rsi"),
        "mov [rsi + {curg}], rdi",
        "mov qword ptr [rdx + {m_out}], 0",

        // On the other g, at the SwitchFrame that it has left: the rules above describe that as well, but for what
        // it has not kept. Nothing of this one is in use any more.
        "mov rsp, [rdi + {sched_sp}]",
        ".cfi_undefined r12", ".cfi_undefined r13", ".cfi_undefined r14", ".cfi_undefined r15",
        concat!("mov ", current_g!("r10"), ", rdi"),
        "mov qword ptr [rdx + {state}], {parked}",
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "mov rcx, [rsp + {pc}]",               ".cfi_register rip, rcx",
        "add rsp, {size}",                     ".cfi_adjust_cfa_offset -{size}",
        "jmp rcx",
        ".cfi_endproc",
        m_out = const offset_of!(G<X86_64>, m_out),
        top = const offset_of!(G<X86_64>, stack) + offset_of!(Stack<X86_64>, top),
        state = const offset_of!(G<X86_64>, state),
        parked = const crate::GState::Parked as usize,
        sched_sp = const offset_of!(G<X86_64>, sched.sp),
        g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        curg = const offset_of!(M<X86_64>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        rbx = const offset_of!(SwitchFrame, rbx),
        rbp = const offset_of!(SwitchFrame, rbp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Where a g's first `resume` arrives: runs its function, then parks it for the last time.
///
/// Not a function: `resume`, `gogo` and `switch_to` jump here, on the g's stack, with SP at its [`BaseFrame`]
/// and the word for it in `rax`. Unwinders go on in the `resume` that runs this g, whose frame `parent`
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
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_rsp}, {parent_lo}, {parent_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        ".cfi_offset rbx, {rbx} - {size}", ".cfi_offset rbp, {rbp} - {size}",
        // Not kept: the resume that runs this has lost them.
        ".cfi_undefined r12", ".cfi_undefined r13", ".cfi_undefined r14", ".cfi_undefined r15",
        // An unwinder looks one byte before the address that `resume` jumps to.
        "nop",
        ".globl stackgate_g_begin", ".hidden stackgate_g_begin",
        "stackgate_g_begin:",
        landing_pad!(),
        "mov rdi, rax",
        "call [rsp + {entry}]",

        // On curg, which ends; rax is its word. From here on this is park, and nobody comes back.
        g_place!("r10"),
        concat!("mov rdx, ", current_g!("r10")),
        "mov rsi, [rdx + {m_out}]",
        "mov qword ptr [rdx + {state}], {finished}",
        concat!("mov ", current_g!("r10"), ", rsi"),
        "mov qword ptr [rsi + {curg}], 0",
        "mov qword ptr [rdx + {m_out}], 0",
        // Where `resume` stands, whatever C has left of callbacks by longjmp.
        "mov rsp, [rsp + {parent}]",           ".cfi_def_cfa rsp, {size}",
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        entry = const offset_of!(BaseFrame, entry),
        m_out = const offset_of!(G<X86_64>, m_out),
        state = const offset_of!(G<X86_64>, state),
        finished = const crate::GState::Finished as usize,
        parent = const offset_of!(BaseFrame, parent),
        curg = const offset_of!(M<X86_64>, curg),
        rbx = const offset_of!(SwitchFrame, rbx),
        rbp = const offset_of!(SwitchFrame, rbp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_rsp = const breg(RSP.dwarf),
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
/// Runs on a system stack, of which it uses 48 bytes, and of curg's 40 below the call into C. Not for signal handlers.
///
/// # Safety
/// `fn` may be called with these arguments on curg's stack.
///
/// # Registers
/// In: `rdi` fn, `rsi` frame, `rdx` framesize, `rcx` ctxt. Clobbered: what a C call clobbers, and what `fn`
/// clobbers beside that. At `fn`'s entry: `rdi` frame, `rsi` framesize, `rdx` ctxt; SP + 8 a multiple of 16;
/// DF as C left it, clear.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_cgocallback")]
pub unsafe extern "C" fn cgocallback(
    func: CallbackFn,   /* rdi */
    frame: *mut c_void, /* rsi */
    framesize: usize,   /* rdx */
    ctxt: usize,        /* rcx */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // C's frame record, the upper end of the CallbackFrame.
        "push rbp",                            ".cfi_def_cfa_offset 16", ".cfi_offset rbp, -16",
        "mov rbp, rsp",                        ".cfi_def_cfa_register rbp",

        // May this g be called back, and is there a g to run it?
        g_place!("r10"),
        concat!("mov rax, ", current_g!("r10")),
        "mov r8, [rax + {m_in}]",
        "test r8, r8",
        "jz 3f",
        "mov r9, [r8 + {curg}]",
        "test r9, r9",
        "jz 3f",
        // What C has below a callback is lower than g0_sp; where it is not, C has left the callback's frames by longjmp,
        // unless it has a stack of its own.
        "mov r11, [r8 + {m_g0_sp}]",
        "cmp rsp, r11",
        "ja 4f",
        // The AsmcgocallFrame that this callback came through ends at g0_sp. Where its g is another, C has left it by
        // longjmp and called over it.
        "5:",
        "cmp [r11 - {call} + {call_g}], r9",
        "jne 3f",

        // The rest of the CallbackFrame, from its upper end: m, ctxt, g, g0_sp.
        "push r8",
        "push rcx",
        "push r9",
        "push r11",
        // It is complete: publish it. Then SP goes to curg's stack, then curg is current.
        "mov [r8 + {m_g0_sp}], rsp",
        "mov r8, rsp",
        "mov rsp, [r11 - {call} + {call_sp}]",
        "and rsp, -16",
        concat!("mov ", current_g!("r10"), ", r9"),

        // On curg. The CallbackEntry from its upper end: pc, link, func, callback. rbp is C's until its record
        // is complete.
        "push qword ptr [r11 - {call} + {call_pc}]",
        "push qword ptr [r11 - {call} + {call_link}]",
        "push rdi",
        "push r8",
        "lea rbp, [rsp + {link}]",
        // From here on the CFA is the upper end of the CallbackFrame that `callback` designates.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_rsp}, {cb_lo}, {cb_hi}, {deref}, {plus}, {size_lo}, {size_hi}",

        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "call rax",
        ".globl stackgate_callback_return", ".hidden stackgate_callback_return",
        "stackgate_callback_return:",

        // On curg, and only SP is known. g0 is current again, the frame is taken back, then SP leaves.
        "mov rax, [rsp + {callback}]",
        "mov rcx, [rax + {m}]",
        g_place!("r10"),
        concat!("mov ", current_g!("r10"), ", rcx"),
        "mov rdx, [rax + {g0_sp}]",
        "mov [rcx + {m_g0_sp}], rdx",
        "lea rsp, [rax + {cb_link}]",          ".cfi_def_cfa rsp, 16",
        "pop rbp",                             ".cfi_adjust_cfa_offset -8", ".cfi_restore rbp",
        "ret",

        // Above g0_sp: is not one of them on g0's stack? A foreign thread's g0_sp begins in its m.
        "4:",                                  ".cfi_def_cfa rbp, 16", ".cfi_offset rbp, -16",
        "cmp r11, [r8 + {m_g0_limit}]",
        "jb 5b",
        "cmp rsp, [r8 + {m_g0_top}]",
        "ja 5b",

        // On g0, or on whatever stack C runs. The registers are as they came.
        "3:",
        "pop rbp",                             ".cfi_def_cfa rsp, 8", ".cfi_restore rbp",
        "jmp qword ptr [rip + {elsewhere}]",
        ".cfi_endproc",
        elsewhere = sym CALLBACK_ELSEWHERE,
        m_in = const offset_of!(G<X86_64>, m_in),
        curg = const offset_of!(M<X86_64>, curg),
        m_g0_sp = const offset_of!(M<X86_64>, g0.sched.sp),
        m_g0_limit = const offset_of!(M<X86_64>, g0.stack.limit),
        m_g0_top = const offset_of!(M<X86_64>, g0.stack.top),
        call = const size_of::<AsmcgocallFrame>(),
        call_g = const offset_of!(AsmcgocallFrame, g),
        call_sp = const offset_of!(AsmcgocallFrame, sp),
        call_link = const offset_of!(AsmcgocallFrame, link),
        call_pc = const offset_of!(AsmcgocallFrame, pc),
        g0_sp = const offset_of!(CallbackFrame, g0_sp),
        m = const offset_of!(CallbackFrame, m),
        cb_link = const offset_of!(CallbackFrame, link),
        callback = const offset_of!(CallbackEntry, callback),
        link = const offset_of!(CallbackEntry, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_rsp = const breg(RSP.dwarf),
        cb_lo = const leb_lo(offset_of!(CallbackEntry, callback) as i64),
        cb_hi = const leb_hi(offset_of!(CallbackEntry, callback) as i64),
        size_lo = const leb_lo(size_of::<CallbackFrame>() as i64),
        size_hi = const leb_hi(size_of::<CallbackFrame>() as i64),
    )
}
// The pushes of cgocallback, from each frame's upper end down.
pushes!(CallbackFrame: pc, link, m, ctxt, g, g0_sp);
pushes!(CallbackEntry: pc, link, func, callback);

/// C's way into managed code that keeps no register: saves all that C expects back, then [`cgocallback`].
/// Go: `crosscall2`.
///
/// Runs on a system stack, of which it uses 64 bytes beside those of `cgocallback`. Not for signal handlers.
///
/// # Safety
/// As [`cgocallback`].
///
/// # Registers
/// In: `rdi` fn, `rsi` a, `edx` n, `rcx` ctxt. Clobbered: what a C call clobbers. At `fn`'s entry: as
/// [`cgocallback`], with n sign-extended.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2")]
pub unsafe extern "C" fn crosscall2(
    func: CallbackFn, /* rdi */
    a: *mut c_void,   /* rsi */
    n: c_int,         /* edx */
    ctxt: usize,      /* rcx */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        "movsxd rdx, edx",
        "call {cgocallback}",

        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        cgocallback = sym cgocallback,
        rbx = const offset_of!(Crosscall2Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Frame, pc),
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
/// In: `rdi` fn, `rsi` a, `edx` n. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_panic")]
pub unsafe extern "C" fn crosscall2_panic(
    func: CallbackFn, /* rdi */
    a: *mut c_void,   /* rsi */
    n: c_int,         /* edx */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "xor ecx, ecx",
        "jmp {crosscall2}",
        ".cfi_endproc",
        crosscall2 = sym crosscall2,
    )
}

/// A thread's entry: makes the g0 `g` current, runs `fn(g)` where it stands, and gives C back its registers
/// and the thread its former g. Go: `crosscall1`.
///
/// Runs on the thread's own stack, of which it uses 72 bytes. Not for signal handlers.
///
/// # Safety
/// `g` is a g0 that no other thread uses; `fn` may be called with it.
///
/// # Registers
/// In: `rdi` fn, `rsi` g. Clobbered: what a C call clobbers, whatever `fn` clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall1")]
pub unsafe extern "C" fn crosscall1(func: ThreadFn /* rdi */, g: *mut G<X86_64> /* rsi */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        // The former g lies in the word that is there for alignment.
        g_place!("r10"),
        concat!("mov rax, ", current_g!("r10")),
        "mov [rsp + {former}], rax",
        concat!("mov ", current_g!("r10"), ", rsi"),
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        g_place!("r10"),
        "mov rax, [rsp + {former}]",
        concat!("mov ", current_g!("r10"), ", rax"),

        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        former = const offset_of!(Crosscall2Frame, former),
        rbx = const offset_of!(Crosscall2Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// A signal handler for `sigaction` with `SA_SIGINFO`: makes the m's gsignal the current g, calls what
/// `SIGNAL_HANDLER` says with the same arguments and the former g, and makes that current again.
///
/// A handler that interrupts a handler finds gsignal current and leaves it so; a thread without an m stays
/// without a g. The kernel wants no register back, but C code that has replaced this handler may call it as a
/// plain function: all that C expects back is kept. What SP is a multiple of does not matter.
///
/// Runs on any stack, of which it uses at most 96 bytes: on a signal stack where the thread has one, also on one
/// that C has set. It is a signal handler. Go: `sigtramp`.
///
/// # Safety
/// `info` and `ucontext` are what the kernel passed for `signal`. What is called returns: a jump out of it
/// would leave gsignal current.
///
/// # Registers
/// In: `edi` signal, `rsi` info, `rdx` ucontext. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_sigtramp")]
pub unsafe extern "C" fn sigtramp(
    signal: c_int,         /* edi */
    info: *mut c_void,     /* rsi */
    ucontext: *mut c_void, /* rdx */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        // Whose signal stack? The m's of the g that was interrupted, or of the g0. gsignal stays current, and
        // so does the g that stands for none.
        g_place!("r10"),
        concat!("mov rcx, ", current_g!("r10")),
        "mov [rsp + {former}], rcx",
        "mov rax, [rcx + {m_out}]",
        "test rax, rax",
        "jnz 2f",
        "cmp qword ptr [rcx + {state}], {is_g0}",
        "jne 3f",
        "mov rax, rcx",
        "2:",
        "add rax, {gsignal}",
        concat!("mov ", current_g!("r10"), ", rax"),

        // ucontext stays known until the end, for who interrupts this: in rdx, and behind the call in rbx. The
        // former g is the fourth argument. QEMU enters handlers with another SP than the kernel does: this
        // one lies twice below, which keeps the multiple. For unwinders the frame is where rbp says.
        "3:",
        "mov rbx, rdx",
        "mov rax, rsp",                        ".cfi_def_cfa rbp, {size} - {rbp}",
        "and rsp, -16",
        "push rax",
        "push rax",
        "call qword ptr [rip + {handler}]",
        ".globl stackgate_sigtramp_return", ".hidden stackgate_sigtramp_return",
        "stackgate_sigtramp_return:",
        "mov rdx, rbx",
        "mov rsp, [rsp]",                      ".cfi_def_cfa rsp, {size}",

        g_place!("r10"),
        "mov rax, [rsp + {former}]",
        concat!("mov ", current_g!("r10"), ", rax"),

        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        handler = sym SIGNAL_HANDLER,
        m_out = const offset_of!(G<X86_64>, m_out),
        state = const offset_of!(G<X86_64>, state),
        is_g0 = const crate::GState::G0 as usize,
        gsignal = const offset_of!(M<X86_64>, gsignal),
        former = const offset_of!(Crosscall2Frame, former),
        rbx = const offset_of!(Crosscall2Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Frame, pc),
        size = const size_of::<Crosscall2Frame>(),
    )
}

/// [`crosscall2`] for callers of the Windows convention: it takes its arguments from `rcx`, `rdx`, `r8d` and
/// `r9`, and keeps `rdi`, `rsi` and `xmm6` to `xmm15` as well. DF is clear at `fn`'s entry.
///
/// Runs on a system stack, of which it uses 240 bytes beside those of `cgocallback`. Not for signal handlers.
///
/// # Safety
/// As [`cgocallback`]; `fn` itself has the System V convention.
///
/// # Registers
/// In: `rcx` fn, `rdx` a, `r8d` n, `r9` ctxt. Clobbered: what a call of the Windows convention clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_win64")]
pub unsafe extern "win64" fn crosscall2_win64(
    func: CallbackFn, /* rcx */
    a: *mut c_void,   /* rdx */
    n: c_int,         /* r8d */
    ctxt: usize,      /* r9 */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub rsp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "movaps [rsp + {xmm6}], xmm6",         ".cfi_rel_offset xmm6, {xmm6}",
        "movaps [rsp + {xmm7}], xmm7",         ".cfi_rel_offset xmm7, {xmm7}",
        "movaps [rsp + {xmm8}], xmm8",         ".cfi_rel_offset xmm8, {xmm8}",
        "movaps [rsp + {xmm9}], xmm9",         ".cfi_rel_offset xmm9, {xmm9}",
        "movaps [rsp + {xmm10}], xmm10",       ".cfi_rel_offset xmm10, {xmm10}",
        "movaps [rsp + {xmm11}], xmm11",       ".cfi_rel_offset xmm11, {xmm11}",
        "movaps [rsp + {xmm12}], xmm12",       ".cfi_rel_offset xmm12, {xmm12}",
        "movaps [rsp + {xmm13}], xmm13",       ".cfi_rel_offset xmm13, {xmm13}",
        "movaps [rsp + {xmm14}], xmm14",       ".cfi_rel_offset xmm14, {xmm14}",
        "movaps [rsp + {xmm15}], xmm15",       ".cfi_rel_offset xmm15, {xmm15}",
        "mov [rsp + {rdi}], rdi",              ".cfi_rel_offset rdi, {rdi}",
        "mov [rsp + {rsi}], rsi",              ".cfi_rel_offset rsi, {rsi}",
        "mov [rsp + {rbx}], rbx",              ".cfi_rel_offset rbx, {rbx}",
        "mov [rsp + {r12}], r12",              ".cfi_rel_offset r12, {r12}",
        "mov [rsp + {r13}], r13",              ".cfi_rel_offset r13, {r13}",
        "mov [rsp + {r14}], r14",              ".cfi_rel_offset r14, {r14}",
        "mov [rsp + {r15}], r15",              ".cfi_rel_offset r15, {r15}",
        "mov [rsp + {rbp}], rbp",              ".cfi_rel_offset rbp, {rbp}",
        "lea rbp, [rsp + {rbp}]",

        "cld",
        "mov rdi, rcx",
        "mov rsi, rdx",
        "movsxd rdx, r8d",
        "mov rcx, r9",
        "call {cgocallback}",

        "movaps xmm6, [rsp + {xmm6}]",         ".cfi_restore xmm6",
        "movaps xmm7, [rsp + {xmm7}]",         ".cfi_restore xmm7",
        "movaps xmm8, [rsp + {xmm8}]",         ".cfi_restore xmm8",
        "movaps xmm9, [rsp + {xmm9}]",         ".cfi_restore xmm9",
        "movaps xmm10, [rsp + {xmm10}]",       ".cfi_restore xmm10",
        "movaps xmm11, [rsp + {xmm11}]",       ".cfi_restore xmm11",
        "movaps xmm12, [rsp + {xmm12}]",       ".cfi_restore xmm12",
        "movaps xmm13, [rsp + {xmm13}]",       ".cfi_restore xmm13",
        "movaps xmm14, [rsp + {xmm14}]",       ".cfi_restore xmm14",
        "movaps xmm15, [rsp + {xmm15}]",       ".cfi_restore xmm15",
        "mov rdi, [rsp + {rdi}]",              ".cfi_restore rdi",
        "mov rsi, [rsp + {rsi}]",              ".cfi_restore rsi",
        "mov rbx, [rsp + {rbx}]",              ".cfi_restore rbx",
        "mov r12, [rsp + {r12}]",              ".cfi_restore r12",
        "mov r13, [rsp + {r13}]",              ".cfi_restore r13",
        "mov r14, [rsp + {r14}]",              ".cfi_restore r14",
        "mov r15, [rsp + {r15}]",              ".cfi_restore r15",
        "mov rbp, [rsp + {rbp}]",              ".cfi_restore rbp",
        "add rsp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        cgocallback = sym cgocallback,
        xmm6 = const offset_of!(Crosscall2Win64Frame, xmm6),
        xmm7 = const offset_of!(Crosscall2Win64Frame, xmm7),
        xmm8 = const offset_of!(Crosscall2Win64Frame, xmm8),
        xmm9 = const offset_of!(Crosscall2Win64Frame, xmm9),
        xmm10 = const offset_of!(Crosscall2Win64Frame, xmm10),
        xmm11 = const offset_of!(Crosscall2Win64Frame, xmm11),
        xmm12 = const offset_of!(Crosscall2Win64Frame, xmm12),
        xmm13 = const offset_of!(Crosscall2Win64Frame, xmm13),
        xmm14 = const offset_of!(Crosscall2Win64Frame, xmm14),
        xmm15 = const offset_of!(Crosscall2Win64Frame, xmm15),
        rdi = const offset_of!(Crosscall2Win64Frame, rdi),
        rsi = const offset_of!(Crosscall2Win64Frame, rsi),
        rbx = const offset_of!(Crosscall2Win64Frame, saved.rbx),
        r12 = const offset_of!(Crosscall2Win64Frame, saved.r12),
        r13 = const offset_of!(Crosscall2Win64Frame, saved.r13),
        r14 = const offset_of!(Crosscall2Win64Frame, saved.r14),
        r15 = const offset_of!(Crosscall2Win64Frame, saved.r15),
        rbp = const offset_of!(Crosscall2Win64Frame, saved.rbp),
        pc = const offset_of!(Crosscall2Win64Frame, pc),
    )
}

/// Ends the program, or stops the machine, by an instruction that no CPU knows: for who can tell nobody why.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: nothing runs behind it.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// Asks valgrind for what the six `words` say, by instructions that do nothing where it is not there: then `default`
/// is the answer. The words are a request's number and its arguments.
///
/// Runs on any stack; safe in a signal handler. Source: `PLAT_amd64_linux` in `valgrind.h` of valgrind 3.19.
#[inline(always)]
pub fn client_request(default: usize, words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: no register changes but the one of the answer.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words,
            inlateout("rdx") default => answer,
            options(nostack),
        );
    }
    answer
}

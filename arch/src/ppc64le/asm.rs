//! The crossings of ppc64le, in the order of the contract in the crate's documentation.
//!
//! Reading aid: `{name}` in an instruction is the offset of the field of that name in the frame that the
//! function's documentation shows, or in the structure that the operand list at its end names. In comments,
//! "on g0" and "on curg" say which stack SP is on.
//!
//! Three rules of this CPU shape every function:
//!
//! * A frame begins with its back chain, and `stdu` writes it and moves SP in one. A crossing builds the frame
//!   on the other stack first, back chain included, and moves SP to it when it is complete: the chain is true
//!   at every instruction.
//! * A function saves its return address, and the condition register if it changes fields 2 to 4, in its
//!   caller's frame: `{caller_lr}` and `{caller_cr}`. That place stays true until the caller calls again, so
//!   the call frame information names it to the end of the function.
//! * r2 is the TOC pointer of the code that runs. Who calls through a pointer saves r2 in its own frame,
//!   passes the function's address in r12 and takes r2 back by the instruction after the call, where libgcc's
//!   unwinder looks for it. A tail call through a pointer would leave the function's r2 to a caller that
//!   expects its own, so there is none here.

use super::frame::*;
use crate::dwarf::*;
use crate::g::NO_G;
use crate::{CALLBACK_ELSEWHERE, CFn, CallbackFn, G, M, McallFn, SIGNAL_HANDLER, Stack, SystemFn, ThreadFn};
use core::arch::{asm, global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

keep_unwind_tables!();

// The current g: one word of static TLS for each thread, in the initial-exec model, so that reading it is
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

/// Begins a function that needs the TOC. Who comes through a pointer enters here, with the function's address
/// in r12; who calls it by name and shares its TOC enters two instructions later. ABI 2.3.2.1, 3.4.1.
#[rustfmt::skip]
macro_rules! global_entry { ($name:literal) => { concat!(
    "addis %r2, %r12, .TOC. - ", $name, "@ha\n",
    "addi %r2, %r2, .TOC. - ", $name, "@l\n",
    ".localentry ", $name, ", . - ", $name,
) } }
/// Loads the current g's place into a register; after it [`current_g!`] of that register is the current g, as the
/// address of an indexed instruction. The mark `@tls` is what lets the linker turn the pair into the thread pointer
/// and an offset.
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_place { ($to:literal) => { concat!(
    "addis ", $to, ", %r2, stackgate_g@got@tprel@ha\n",
    "ld ", $to, ", stackgate_g@got@tprel@l(", $to, ")",
) } }
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! g_place { ($to:literal) => { concat!(
    "addis ", $to, ", %r2, stackgate_g@toc@ha\n",
    "addi ", $to, ", ", $to, ", stackgate_g@toc@l",
) } }
#[cfg(not(feature = "single-core"))]
#[rustfmt::skip]
macro_rules! current_g { ($at:literal) => { concat!($at, ", stackgate_g@tls") } }
#[cfg(feature = "single-core")]
#[rustfmt::skip]
macro_rules! current_g { ($at:literal) => { concat!("0, ", $at) } }
/// [`naked_asm!`] for a function that saves or restores all of [`CalleeSaved`]: it has the offsets of the
/// registers in the frame it names, and emits nothing.
macro_rules! naked_asm_saved {
    ($frame:ident: $($asm:tt)*) => {
        naked_asm!(
            $($asm)*
            size = const size_of::<$frame>(),
            caller_lr = const offset_of!(FrameHeader, linkage.lr),
            caller_cr = const offset_of!(FrameHeader, linkage.cr),
            // From the lower six vector registers to the upper six.
            six = const offset_of!($frame, saved.v26) - offset_of!($frame, saved.v20),
            r14 = const offset_of!($frame, saved.r14),
            r15 = const offset_of!($frame, saved.r15),
            r16 = const offset_of!($frame, saved.r16),
            r17 = const offset_of!($frame, saved.r17),
            r18 = const offset_of!($frame, saved.r18),
            r19 = const offset_of!($frame, saved.r19),
            r20 = const offset_of!($frame, saved.r20),
            r21 = const offset_of!($frame, saved.r21),
            r22 = const offset_of!($frame, saved.r22),
            r23 = const offset_of!($frame, saved.r23),
            r24 = const offset_of!($frame, saved.r24),
            r25 = const offset_of!($frame, saved.r25),
            r26 = const offset_of!($frame, saved.r26),
            r27 = const offset_of!($frame, saved.r27),
            r28 = const offset_of!($frame, saved.r28),
            r29 = const offset_of!($frame, saved.r29),
            r30 = const offset_of!($frame, saved.r30),
            r31 = const offset_of!($frame, saved.r31),
            f14 = const offset_of!($frame, saved.f14),
            f15 = const offset_of!($frame, saved.f15),
            f16 = const offset_of!($frame, saved.f16),
            f17 = const offset_of!($frame, saved.f17),
            f18 = const offset_of!($frame, saved.f18),
            f19 = const offset_of!($frame, saved.f19),
            f20 = const offset_of!($frame, saved.f20),
            f21 = const offset_of!($frame, saved.f21),
            f22 = const offset_of!($frame, saved.f22),
            f23 = const offset_of!($frame, saved.f23),
            f24 = const offset_of!($frame, saved.f24),
            f25 = const offset_of!($frame, saved.f25),
            f26 = const offset_of!($frame, saved.f26),
            f27 = const offset_of!($frame, saved.f27),
            f28 = const offset_of!($frame, saved.f28),
            f29 = const offset_of!($frame, saved.f29),
            f30 = const offset_of!($frame, saved.f30),
            f31 = const offset_of!($frame, saved.f31),
            v20 = const offset_of!($frame, saved.v20),
            v21 = const offset_of!($frame, saved.v21),
            v22 = const offset_of!($frame, saved.v22),
            v23 = const offset_of!($frame, saved.v23),
            v24 = const offset_of!($frame, saved.v24),
            v25 = const offset_of!($frame, saved.v25),
            v26 = const offset_of!($frame, saved.v26),
            v27 = const offset_of!($frame, saved.v27),
            v28 = const offset_of!($frame, saved.v28),
            v29 = const offset_of!($frame, saved.v29),
            v30 = const offset_of!($frame, saved.v30),
            v31 = const offset_of!($frame, saved.v31),
        )
    };
}

/// The current g, or null when the thread has none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg`.
///
/// # Safety
/// None beyond the declaration: it reads one word of the thread, and one of its g.
///
/// # Registers
/// Out: `r3`. Clobbered: `r4`, `cr0`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_getg")]
pub unsafe extern "C" fn getg() -> *mut G<Ppc64le> /* r3 */ {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_getg"),
        g_place!("%r3"),
        concat!("ldx %r3, ", current_g!("%r3")),
        // One that stands for none is null to everybody else.
        "ld %r4, {state}(%r3)",
        "cmpldi %r4, 0",
        "iseleq %r3, 0, %r3",
        "blr",
        ".cfi_endproc",
        state = const offset_of!(G<Ppc64le>, state),
    )
}

/// The current g as the crossings read it: the g of zeros stands for none, so that its fields can be asked.
///
/// Inlined where it is used, for paths that count instructions. Read anew each time: a g kept over a switch
/// may be another thread's.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn current() -> *mut G<Ppc64le> {
    let g;
    // SAFETY: reads one word of the thread. r2 is the TOC pointer in a function that needs one, which the address
    // of a static sees to: of what the text of assembly needs the compiler knows nothing.
    unsafe {
        asm!(
            "# {needs_toc}",
            g_place!("{g}"),
            concat!("ldx {g}, ", current_g!("{g}")),
            g = out(reg_nonzero) g,
            needs_toc = in(reg) &raw const NO_G,
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
/// In: `r3`. Clobbered: `r3`, `r4`, `r9`, `cr0`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_setg")]
pub unsafe extern "C" fn setg(g: *mut G<Ppc64le> /* r3 */) {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_setg"),
        "addis %r4, %r2, {no_g}@got@ha",
        "ld %r4, {no_g}@got@l(%r4)",
        "cmpldi %r3, 0",
        "iseleq %r3, %r4, %r3",
        g_place!("%r9"),
        concat!("stdx %r3, ", current_g!("%r9")),
        "blr",
        ".cfi_endproc",
        no_g = sym NO_G,
    )
}

/// Calls C on the system stack: `fn(arg)`. Go: `asmcgocall`.
///
/// Four paths: from a managed g it switches to g0's stack; on g0, on gsignal and without a g it calls where
/// it stands. While C runs, g0 is current and an [`AsmcgocallFrame`] lies directly below `g0.sched.sp`. C's
/// own callee-saved registers are C's affair; only `r31` is kept here, because C would save it at a place
/// that nobody can find again when the managed stack moves.
///
/// Runs on any stack; uses of a managed one only the return address's place in the caller's frame. Safe in a
/// signal handler.
///
/// # Safety
/// `fn` may be called with `arg`. The current g is a g that `resume` runs, a g0, a gsignal, or none.
///
/// # Registers
/// In: `r3` fn, `r4` arg. Out: `r3`. Clobbered: what a C call clobbers.
/// At `fn`'s entry: `r3` arg; `r12` and CTR fn; SP a multiple of 16, with a frame header at it whose back
/// chain is true; `r2` ours, which fn's global entry replaces; FPSCR and VSCR as the caller left them.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall")]
pub unsafe extern "C" fn asmcgocall(func: CFn /* r3 */, arg: *mut c_void /* r4 */) -> c_int /* r3 */ {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_asmcgocall"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        // Does this g call away from its stack?
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r11, {m_out}(%r10)",
        "cmpdi %r11, 0",
        "beq 3f",

        // g0 is current before anything of its stack is in use. An m's address is its g0's.
        concat!("stdx %r11, ", current_g!("%r9")),
        // The AsmcgocallFrame, below g0's SP; then SP goes to it.
        "ld %r8, {g0_sp}(%r11)",
        "std %r1, {sp} - {call}(%r8)",
        "std %r10, {g} - {call}(%r8)",
        "std %r31, {r31} - {call}(%r8)",
        "addi %r1, %r8, -{call}",
        // On g0. From here on the CFA is the word `sp`, and r31 is in `r31`.
        ".cfi_escape {cfa_is}, {deref_len}, {breg_r1}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {r31_dwarf}, {breg_len}, {breg_r1}, {r31_lo}, {r31_hi}",

        "std %r2, {toc}(%r1)",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r4",
        "bctrl",
        "ld %r2, {toc}(%r1)",

        // On g0, C has returned. Leave its stack, then give up g0. The managed stack may have moved since:
        // `sp` and `r31` have been rewritten then, g has not moved.
        "ld %r10, {g}(%r1)",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "ld %r1, {sp}(%r1)",                    ".cfi_def_cfa %r1, 0",
        g_place!("%r9"),
        concat!("stdx %r10, ", current_g!("%r9")),
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",

        // On g0, gsignal or a stack that no g knows.
        "3:",
        "stdu %r1, -{header}(%r1)",             ".cfi_def_cfa_offset {header}",
        "std %r2, {toc}(%r1)",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r4",
        "bctrl",
        "ld %r2, {toc}(%r1)",
        "addi %r1, %r1, {header}",              ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        call = const size_of::<AsmcgocallFrame>(),
        sp = const offset_of!(AsmcgocallFrame, sp),
        toc = const offset_of!(AsmcgocallFrame, linkage.toc),
        g = const offset_of!(AsmcgocallFrame, g),
        r31 = const offset_of!(AsmcgocallFrame, r31),
        header = const size_of::<FrameHeader>(),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, deref_len = const DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, breg_r1 = const breg(R1.dwarf), r31_dwarf = const R31.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        r31_lo = const leb_lo(offset_of!(AsmcgocallFrame, r31) as i64),
        r31_hi = const leb_hi(offset_of!(AsmcgocallFrame, r31) as i64),
    )
}

/// Calls any C function on the system stack, its argument registers untouched. For JITs and typed wrappers.
///
/// As [`asmcgocall`], but the function is in `r11` and takes whatever the argument registers hold (`r3` to
/// `r10`, `f1` to `f13`, `v2` to `v13`); arguments on the stack are not passed on. Every result register
/// comes back as C left it. `r11` and not `r12`, which holds the address of `ccall` itself when it is called
/// through a pointer.
///
/// Runs on any stack; uses of a managed one only the return address's place in the caller's frame. Safe in a
/// signal handler. Go has no such function.
///
/// # Safety
/// As [`asmcgocall`]; not callable from Rust, since the function is in a scratch register.
///
/// # Registers
/// In: `r11` fn, and fn's arguments. Out: fn's results. Clobbered: what a C call clobbers.
/// At `fn`'s entry: as [`asmcgocall`].
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_ccall")]
pub unsafe extern "C" fn ccall() {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_ccall"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        // Only r0, r11 and r12 are free, and r0 is no base: CTR takes the function.
        "mtctr %r11",
        g_place!("%r11"),
        concat!("ldx %r12, ", current_g!("%r11")),
        "mr %r0, %r12",
        "ld %r12, {m_out}(%r12)",
        "cmpdi %r12, 0",
        "beq 3f",

        // As asmcgocall.
        concat!("stdx %r12, ", current_g!("%r11")),
        "ld %r12, {g0_sp}(%r12)",
        "std %r1, {sp} - {call}(%r12)",
        "std %r0, {g} - {call}(%r12)",
        "std %r31, {r31} - {call}(%r12)",
        "addi %r1, %r12, -{call}",
        // On g0.
        ".cfi_escape {cfa_is}, {deref_len}, {breg_r1}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {r31_dwarf}, {breg_len}, {breg_r1}, {r31_lo}, {r31_hi}",
        "std %r2, {toc}(%r1)",
        "mfctr %r12",
        "bctrl",
        "ld %r2, {toc}(%r1)",

        // On g0, C has returned; r3, r4, f1 to f8 and v2 to v9 are its results.
        "ld %r10, {g}(%r1)",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "ld %r1, {sp}(%r1)",                    ".cfi_def_cfa %r1, 0",
        g_place!("%r9"),
        concat!("stdx %r10, ", current_g!("%r9")),
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",

        // On g0, gsignal or a stack that no g knows.
        "3:",
        "stdu %r1, -{header}(%r1)",             ".cfi_def_cfa_offset {header}",
        "std %r2, {toc}(%r1)",
        "mfctr %r12",
        "bctrl",
        "ld %r2, {toc}(%r1)",
        "addi %r1, %r1, {header}",              ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        call = const size_of::<AsmcgocallFrame>(),
        sp = const offset_of!(AsmcgocallFrame, sp),
        toc = const offset_of!(AsmcgocallFrame, linkage.toc),
        g = const offset_of!(AsmcgocallFrame, g),
        r31 = const offset_of!(AsmcgocallFrame, r31),
        header = const size_of::<FrameHeader>(),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, deref_len = const DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, breg_r1 = const breg(R1.dwarf), r31_dwarf = const R31.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        r31_lo = const leb_lo(offset_of!(AsmcgocallFrame, r31) as i64),
        r31_hi = const leb_hi(offset_of!(AsmcgocallFrame, r31) as i64),
    )
}

/// As [`asmcgocall`], and a throw lands here: [`throw_to`] with this call's [`CatchFrame`] makes it
/// return, though C has not, with the thrown word in `*thrown`.
///
/// The C frames that a throw drops may hold the caller's callee-saved registers, so all of them are saved.
/// `*thrown` is 0 after a return without a throw; a throw of 0 is the thrower's mistake.
///
/// Runs on a managed stack, of which it uses 544 bytes. Go: what `defer` and `recover` around a cgo call do.
/// Not for signal handlers.
///
/// # Safety
/// As [`asmcgocall`], and the current g is one that `resume` runs. `thrown` is valid until this returns.
///
/// # Registers
/// In: `r3` fn, `r4` arg, `r5` thrown. Out: `r3`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall_catch")]
pub unsafe extern "C" fn asmcgocall_catch(
    func: CFn,          /* r3 */
    arg: *mut c_void,   /* r4 */
    thrown: *mut usize, /* r5 */
) -> c_int /* r3 */ {
    naked_asm_saved!(CatchFrame:
        ".cfi_startproc",
        global_entry!("stackgate_asmcgocall_catch"),
        // The CatchFrame, and what goes into the caller's.
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        // Where a throw writes, and how much of the system stack it drops.
        "li %r6, 0",
        "std %r6, 0(%r5)",
        "std %r5, {thrown}(%r1)",
        g_place!("%r9"),
        concat!("ldx %r31, ", current_g!("%r9")),
        "ld %r6, {m_out}(%r31)",
        "ld %r6, {m_g0_sp}(%r6)",
        "std %r6, {g0_sp}(%r1)",
        "ld %r6, {catch}(%r31)",
        "std %r6, {previous}(%r1)",

        // Complete: publish it, call, take it back. C keeps r31.
        "std %r1, {catch}(%r31)",
        "bl {asmcgocall}",
        "nop",
        "ld %r6, {previous}(%r1)",
        "std %r6, {catch}(%r31)",

        // C gave back every register but the one that was used here.
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        // What C gave back is where it was all the while; its copies are below SP now.
        ".cfi_restore %r14", ".cfi_restore %r15", ".cfi_restore %r16", ".cfi_restore %r17", ".cfi_restore %r18",
        ".cfi_restore %r19", ".cfi_restore %r20", ".cfi_restore %r21", ".cfi_restore %r22", ".cfi_restore %r23",
        ".cfi_restore %r24", ".cfi_restore %r25", ".cfi_restore %r26", ".cfi_restore %r27", ".cfi_restore %r28",
        ".cfi_restore %r29", ".cfi_restore %r30", ".cfi_restore %f14", ".cfi_restore %f15", ".cfi_restore %f16",
        ".cfi_restore %f17", ".cfi_restore %f18", ".cfi_restore %f19", ".cfi_restore %f20", ".cfi_restore %f21",
        ".cfi_restore %f22", ".cfi_restore %f23", ".cfi_restore %f24", ".cfi_restore %f25", ".cfi_restore %f26",
        ".cfi_restore %f27", ".cfi_restore %f28", ".cfi_restore %f29", ".cfi_restore %f30", ".cfi_restore %f31",
        ".cfi_restore %v20", ".cfi_restore %v21", ".cfi_restore %v22", ".cfi_restore %v23", ".cfi_restore %v24",
        ".cfi_restore %v25", ".cfi_restore %v26", ".cfi_restore %v27", ".cfi_restore %v28", ".cfi_restore %v29",
        ".cfi_restore %v30", ".cfi_restore %v31",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        asmcgocall = sym asmcgocall,
        m_out = const offset_of!(G<Ppc64le>, m_out),
        catch = const offset_of!(G<Ppc64le>, catch),
        m_g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
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
/// In: `r3` catch, `r4` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_throw_to")]
pub unsafe extern "C" fn throw_to(catch: *mut CatchFrame /* r3 */, value: usize /* r4 */) -> ! {
    naked_asm_saved!(CatchFrame:
        ".cfi_startproc",
        global_entry!("stackgate_throw_to"),
        // The system stack begins again where it did when the catch was made. On curg all the while.
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r11, {m_out}(%r10)",
        "ld %r5, {g0_sp}(%r3)",
        "std %r5, {m_g0_sp}(%r11)",
        "ld %r5, {previous}(%r3)",
        "std %r5, {catch}(%r10)",
        "ld %r5, {thrown}(%r3)",
        "std %r4, 0(%r5)",

        // From here on this is asmcgocall_catch, at its end.
        "mr %r1, %r3",                          ".cfi_def_cfa %r1, {size}",
        ".cfi_offset lr, {caller_lr}",
        ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        ".cfi_rel_offset %r14, {r14}", ".cfi_rel_offset %r15, {r15}", ".cfi_rel_offset %r16, {r16}",
        ".cfi_rel_offset %r17, {r17}", ".cfi_rel_offset %r18, {r18}", ".cfi_rel_offset %r19, {r19}",
        ".cfi_rel_offset %r20, {r20}", ".cfi_rel_offset %r21, {r21}", ".cfi_rel_offset %r22, {r22}",
        ".cfi_rel_offset %r23, {r23}", ".cfi_rel_offset %r24, {r24}", ".cfi_rel_offset %r25, {r25}",
        ".cfi_rel_offset %r26, {r26}", ".cfi_rel_offset %r27, {r27}", ".cfi_rel_offset %r28, {r28}",
        ".cfi_rel_offset %r29, {r29}", ".cfi_rel_offset %r30, {r30}", ".cfi_rel_offset %r31, {r31}",
        ".cfi_rel_offset %f14, {f14}", ".cfi_rel_offset %f15, {f15}", ".cfi_rel_offset %f16, {f16}",
        ".cfi_rel_offset %f17, {f17}", ".cfi_rel_offset %f18, {f18}", ".cfi_rel_offset %f19, {f19}",
        ".cfi_rel_offset %f20, {f20}", ".cfi_rel_offset %f21, {f21}", ".cfi_rel_offset %f22, {f22}",
        ".cfi_rel_offset %f23, {f23}", ".cfi_rel_offset %f24, {f24}", ".cfi_rel_offset %f25, {f25}",
        ".cfi_rel_offset %f26, {f26}", ".cfi_rel_offset %f27, {f27}", ".cfi_rel_offset %f28, {f28}",
        ".cfi_rel_offset %f29, {f29}", ".cfi_rel_offset %f30, {f30}", ".cfi_rel_offset %f31, {f31}",
        ".cfi_rel_offset %v20, {v20}", ".cfi_rel_offset %v21, {v21}", ".cfi_rel_offset %v22, {v22}",
        ".cfi_rel_offset %v23, {v23}", ".cfi_rel_offset %v24, {v24}", ".cfi_rel_offset %v25, {v25}",
        ".cfi_rel_offset %v26, {v26}", ".cfi_rel_offset %v27, {v27}", ".cfi_rel_offset %v28, {v28}",
        ".cfi_rel_offset %v29, {v29}", ".cfi_rel_offset %v30, {v30}", ".cfi_rel_offset %v31, {v31}",
        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        "li %r3, 0",
        // Through CTR and not LR: no call of the link stack matches it.
        "ld %r0, {caller_lr}(%r1)",
        "mtctr %r0",
        "bctr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        catch = const offset_of!(G<Ppc64le>, catch),
        m_g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
    )
}

/// Runs managed code on the system stack: `fn(arg)`. Go: `systemstack`.
///
/// From a managed g as [`asmcgocall`], with the same frame; on g0, on gsignal and without a g a call where it
/// stands. No tail call: `fn` may have another TOC pointer than the caller, who expects its own back.
///
/// Runs on any stack; uses of a managed one only the return address's place in the caller's frame. Safe in a
/// signal handler.
///
/// # Safety
/// As [`asmcgocall`].
///
/// # Registers
/// In: `r3` fn, `r4` arg. Clobbered: what a C call clobbers. At `fn`'s entry: as [`asmcgocall`].
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_systemstack")]
pub unsafe extern "C" fn systemstack(func: SystemFn /* r3 */, arg: *mut c_void /* r4 */) {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_systemstack"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r11, {m_out}(%r10)",
        "cmpdi %r11, 0",
        "beq 3f",

        concat!("stdx %r11, ", current_g!("%r9")),
        // The AsmcgocallFrame.
        "ld %r8, {g0_sp}(%r11)",
        "std %r1, {sp} - {call}(%r8)",
        "std %r10, {g} - {call}(%r8)",
        "std %r31, {r31} - {call}(%r8)",
        "addi %r1, %r8, -{call}",
        // On g0.
        ".cfi_escape {cfa_is}, {deref_len}, {breg_r1}, {sp_lo}, {sp_hi}, {deref}",
        ".cfi_escape {reg_at}, {r31_dwarf}, {breg_len}, {breg_r1}, {r31_lo}, {r31_hi}",

        "std %r2, {toc}(%r1)",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r4",
        "bctrl",
        "ld %r2, {toc}(%r1)",

        "ld %r10, {g}(%r1)",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "ld %r1, {sp}(%r1)",                    ".cfi_def_cfa %r1, 0",
        g_place!("%r9"),
        concat!("stdx %r10, ", current_g!("%r9")),
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",

        // On a system stack already.
        "3:",
        "stdu %r1, -{header}(%r1)",             ".cfi_def_cfa_offset {header}",
        "std %r2, {toc}(%r1)",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r4",
        "bctrl",
        "ld %r2, {toc}(%r1)",
        "addi %r1, %r1, {header}",              ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        call = const size_of::<AsmcgocallFrame>(),
        sp = const offset_of!(AsmcgocallFrame, sp),
        toc = const offset_of!(AsmcgocallFrame, linkage.toc),
        g = const offset_of!(AsmcgocallFrame, g),
        r31 = const offset_of!(AsmcgocallFrame, r31),
        header = const size_of::<FrameHeader>(),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, deref_len = const DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, breg_r1 = const breg(R1.dwarf), r31_dwarf = const R31.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64),
        r31_lo = const leb_lo(offset_of!(AsmcgocallFrame, r31) as i64),
        r31_hi = const leb_hi(offset_of!(AsmcgocallFrame, r31) as i64),
    )
}

/// Leaves the current g, whose `state` stays as it is, and runs `fn(g)` on the system stack for good. Go: `mcall`.
///
/// `fn` ends by `gogo`, on this g or another. What runs when this g is resumed is the return from `mcall`.
///
/// Runs on a managed stack, of which it uses 576 bytes.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m. `fn` does not
/// return.
///
/// # Registers
/// In: `r3` fn. Clobbered, when it returns: what a C call clobbers. At `fn`'s entry: `r3` g; `r12` and CTR fn.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall")]
pub unsafe extern "C" fn mcall(func: McallFn /* r3 */) {
    naked_asm_saved!(Crosscall2Frame:
        ".cfi_startproc",
        global_entry!("stackgate_mcall"),
        // The Crosscall2Frame, and what goes into the caller's.
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        // Where it goes on: the one call that the return predictor takes for none.
        "bcl 20, 31, 3f",
        "3: mflr %r12",
        "addi %r12, %r12, 2f - 3b",
        "b {light}",

        // On curg, which goes on.
        "2:",
        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        // Through CTR and not LR: the call was made long ago, perhaps on another CPU.
        "ld %r0, {caller_lr}(%r1)",
        "mtctr %r0",
        "bctr",
        ".cfi_endproc",
        light = sym mcall_light,
    )
}

/// The switch of [`mcall`], for code that has saved its callee-saved registers: it goes on at the address in
/// `r12`, with `r30`, `r31` and SP as they were.
///
/// Runs on a managed stack, of which it uses 48 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`mcall`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r3` fn, `r12` where this g goes on. Out, there: our TOC pointer in `r2`. Clobbered there: all but `r30` and
/// `r31`. At `fn`'s entry: `r3` g; `r12` and CTR fn.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall_light")]
pub(crate) unsafe extern "C" fn mcall_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register lr, %r12",
        // The SwitchFrame, and what goes into the caller's.
        "std %r12, {caller_lr}(%r1)",           ".cfi_offset lr, {caller_lr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",

        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r8, {m_out}(%r10)",
        "std %r1, {sched_sp}(%r10)",

        // g0 is current, nothing runs on this m, and this g has no m.
        concat!("stdx %r8, ", current_g!("%r9")),
        "li %r11, 0",
        "std %r11, {curg}(%r8)",
        "std %r11, {m_out}(%r10)",
        "ld %r1, {g0_sp}(%r8)",
        // On g0, at the SwitchFrame of the last `resume`: the same layout, so that for who unwinds only the
        // registers are lost that `resume` does not keep either. The back chain is resume's caller's: the g may run
        // on another thread in a moment.
        ".cfi_undefined %r14", ".cfi_undefined %r15", ".cfi_undefined %r16", ".cfi_undefined %r17",
        ".cfi_undefined %r18", ".cfi_undefined %r19", ".cfi_undefined %r20", ".cfi_undefined %r21",
        ".cfi_undefined %r22", ".cfi_undefined %r23", ".cfi_undefined %r24", ".cfi_undefined %r25",
        ".cfi_undefined %r26", ".cfi_undefined %r27", ".cfi_undefined %r28", ".cfi_undefined %r29",
        ".cfi_undefined %f14", ".cfi_undefined %f15", ".cfi_undefined %f16", ".cfi_undefined %f17",
        ".cfi_undefined %f18", ".cfi_undefined %f19", ".cfi_undefined %f20", ".cfi_undefined %f21",
        ".cfi_undefined %f22", ".cfi_undefined %f23", ".cfi_undefined %f24", ".cfi_undefined %f25",
        ".cfi_undefined %f26", ".cfi_undefined %f27", ".cfi_undefined %f28", ".cfi_undefined %f29",
        ".cfi_undefined %f30", ".cfi_undefined %f31", ".cfi_undefined %v20", ".cfi_undefined %v21",
        ".cfi_undefined %v22", ".cfi_undefined %v23", ".cfi_undefined %v24", ".cfi_undefined %v25",
        ".cfi_undefined %v26", ".cfi_undefined %v27", ".cfi_undefined %v28", ".cfi_undefined %v29",
        ".cfi_undefined %v30", ".cfi_undefined %v31", ".cfi_undefined cr2", ".cfi_undefined cr3",
        ".cfi_undefined cr4",
        "std %r2, {toc}(%r1)",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r10",
        "bctrl",
        "ld %r2, {toc}(%r1)",
        "trap",
        ".cfi_endproc",
        toc = const offset_of!(SwitchFrame, linkage.toc),
        m_out = const offset_of!(G<Ppc64le>, m_out),
        sched_sp = const offset_of!(G<Ppc64le>, sched.sp),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        curg = const offset_of!(M<Ppc64le>, curg),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        r30 = const offset_of!(SwitchFrame, r30),
        r31 = const offset_of!(SwitchFrame, r31),
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
/// In: `r3` g, `r4` value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_gogo")]
pub unsafe extern "C" fn gogo(g: *mut G<Ppc64le> /* r3 */, value: usize /* r4 */) -> ! {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_gogo"),
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        // What unwinders follow from the g's first frame.
        "ld %r5, {top}(%r3)",
        "ld %r6, {g0_sp}(%r10)",
        "std %r6, {parent} - {base}(%r5)",
        "std %r10, {m_out}(%r3)",
        "std %r3, {curg}(%r10)",

        // On curg, at the SwitchFrame that it has left.
        "ld %r1, {sched_sp}(%r3)",              ".cfi_def_cfa %r1, {size}", ".cfi_offset lr, {caller_lr}",
        ".cfi_rel_offset %r30, {r30}", ".cfi_rel_offset %r31, {r31}",
        ".cfi_undefined %r14", ".cfi_undefined %r15", ".cfi_undefined %r16", ".cfi_undefined %r17",
        ".cfi_undefined %r18", ".cfi_undefined %r19", ".cfi_undefined %r20", ".cfi_undefined %r21",
        ".cfi_undefined %r22", ".cfi_undefined %r23", ".cfi_undefined %r24", ".cfi_undefined %r25",
        ".cfi_undefined %r26", ".cfi_undefined %r27", ".cfi_undefined %r28", ".cfi_undefined %r29",
        ".cfi_undefined %f14", ".cfi_undefined %f15", ".cfi_undefined %f16", ".cfi_undefined %f17",
        ".cfi_undefined %f18", ".cfi_undefined %f19", ".cfi_undefined %f20", ".cfi_undefined %f21",
        ".cfi_undefined %f22", ".cfi_undefined %f23", ".cfi_undefined %f24", ".cfi_undefined %f25",
        ".cfi_undefined %f26", ".cfi_undefined %f27", ".cfi_undefined %f28", ".cfi_undefined %f29",
        ".cfi_undefined %f30", ".cfi_undefined %f31", ".cfi_undefined %v20", ".cfi_undefined %v21",
        ".cfi_undefined %v22", ".cfi_undefined %v23", ".cfi_undefined %v24", ".cfi_undefined %v25",
        ".cfi_undefined %v26", ".cfi_undefined %v27", ".cfi_undefined %v28", ".cfi_undefined %v29",
        ".cfi_undefined %v30", ".cfi_undefined %v31", ".cfi_undefined cr2", ".cfi_undefined cr3",
        ".cfi_undefined cr4",
        concat!("stdx %r3, ", current_g!("%r9")),
        "mr %r3, %r4",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "ld %r12, {caller_lr}(%r1)",
        "mtctr %r12",
        "bctr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        top = const offset_of!(G<Ppc64le>, stack) + offset_of!(Stack<Ppc64le>, top),
        sched_sp = const offset_of!(G<Ppc64le>, sched.sp),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        curg = const offset_of!(M<Ppc64le>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        r30 = const offset_of!(SwitchFrame, r30),
        r31 = const offset_of!(SwitchFrame, r31),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Runs a parked g on this m until it parks or its function returns. In: the word that its `park` returns;
/// out: the word that it parks with, and the g that has come back: another one where this one has switched to it.
///
/// Inlined where it is used: the compiler keeps what it needs of the callee-saved registers, and only those that
/// it reserves for itself are saved here. [`resume_full`] is for callers who cannot say so.
///
/// Runs on a system stack, of which it uses 48 bytes. Go: `execute` and the end of `mcall`, in one.
/// Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing. `g` is parked, and no other thread runs it.
#[inline(always)]
pub unsafe fn resume(g: *mut G<Ppc64le>, value: usize) -> (usize, *mut G<Ppc64le>) {
    let (out, left);
    // SAFETY: by the caller; what is lost is named. The stack has a frame for a call.
    unsafe {
        asm!(
            "bl {light}",
            "nop",
            light = sym resume_light,
            inlateout("r4") g => _,
            lateout("r10") left,
            inlateout("r3") value => out,
            lateout("r14") _, lateout("r15") _, lateout("r16") _, lateout("r17") _, lateout("r18") _,
            lateout("r19") _, lateout("r20") _, lateout("r21") _, lateout("r22") _, lateout("r23") _,
            lateout("r24") _, lateout("r25") _, lateout("r26") _, lateout("r27") _, lateout("r28") _,
            lateout("r29") _, lateout("f14") _, lateout("f15") _, lateout("f16") _, lateout("f17") _,
            lateout("f18") _, lateout("f19") _, lateout("f20") _, lateout("f21") _, lateout("f22") _,
            lateout("f23") _, lateout("f24") _, lateout("f25") _, lateout("f26") _, lateout("f27") _,
            lateout("f28") _, lateout("f29") _, lateout("f30") _, lateout("f31") _, lateout("v20") _,
            lateout("v21") _, lateout("v22") _, lateout("v23") _, lateout("v24") _, lateout("v25") _,
            lateout("v26") _, lateout("v27") _, lateout("v28") _, lateout("v29") _, lateout("v30") _,
            lateout("v31") _, lateout("cr2") _, lateout("cr3") _, lateout("cr4") _,
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
/// Runs on a managed stack, of which it uses 48 bytes. Go: `gopark`.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m.
#[inline(always)]
pub unsafe fn park(value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump, where who jumps has its own TOC.
    unsafe {
        asm!(
            "std %r2, {toc}(%r1)",
            "bcl 20, 31, 3f",
            "3: mflr %r12",
            "addi %r12, %r12, 2f - 3b",
            "b {light}",
            "2:",
            "ld %r2, {toc}(%r1)",
            light = sym park_light,
            toc = const offset_of!(FrameHeader, linkage.toc),
            inlateout("r3") value => out,
            lateout("r14") _, lateout("r15") _, lateout("r16") _, lateout("r17") _, lateout("r18") _,
            lateout("r19") _, lateout("r20") _, lateout("r21") _, lateout("r22") _, lateout("r23") _,
            lateout("r24") _, lateout("r25") _, lateout("r26") _, lateout("r27") _, lateout("r28") _,
            lateout("r29") _, lateout("f14") _, lateout("f15") _, lateout("f16") _, lateout("f17") _,
            lateout("f18") _, lateout("f19") _, lateout("f20") _, lateout("f21") _, lateout("f22") _,
            lateout("f23") _, lateout("f24") _, lateout("f25") _, lateout("f26") _, lateout("f27") _,
            lateout("f28") _, lateout("f29") _, lateout("f30") _, lateout("f31") _, lateout("v20") _,
            lateout("v21") _, lateout("v22") _, lateout("v23") _, lateout("v24") _, lateout("v25") _,
            lateout("v26") _, lateout("v27") _, lateout("v28") _, lateout("v29") _, lateout("v30") _,
            lateout("v31") _, lateout("cr2") _, lateout("cr3") _, lateout("cr4") _,
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
/// Runs on a managed stack, of which it uses 48 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]. `g` is parked, is not the current one, and no other thread runs it.
#[inline(always)]
pub unsafe fn switch_to(g: *mut G<Ppc64le>, value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump, where who jumps has its own TOC.
    unsafe {
        asm!(
            "std %r2, {toc}(%r1)",
            "bcl 20, 31, 3f",
            "3: mflr %r12",
            "addi %r12, %r12, 2f - 3b",
            "b {light}",
            "2:",
            "ld %r2, {toc}(%r1)",
            light = sym switch_light,
            toc = const offset_of!(FrameHeader, linkage.toc),
            inlateout("r4") g => _,
            inlateout("r3") value => out,
            lateout("r14") _, lateout("r15") _, lateout("r16") _, lateout("r17") _, lateout("r18") _,
            lateout("r19") _, lateout("r20") _, lateout("r21") _, lateout("r22") _, lateout("r23") _,
            lateout("r24") _, lateout("r25") _, lateout("r26") _, lateout("r27") _, lateout("r28") _,
            lateout("r29") _, lateout("f14") _, lateout("f15") _, lateout("f16") _, lateout("f17") _,
            lateout("f18") _, lateout("f19") _, lateout("f20") _, lateout("f21") _, lateout("f22") _,
            lateout("f23") _, lateout("f24") _, lateout("f25") _, lateout("f26") _, lateout("f27") _,
            lateout("f28") _, lateout("f29") _, lateout("f30") _, lateout("f31") _, lateout("v20") _,
            lateout("v21") _, lateout("v22") _, lateout("v23") _, lateout("v24") _, lateout("v25") _,
            lateout("v26") _, lateout("v27") _, lateout("v28") _, lateout("v29") _, lateout("v30") _,
            lateout("v31") _, lateout("cr2") _, lateout("cr3") _, lateout("cr4") _,
            clobber_abi("C"),
        );
    }
    out
}

/// [`resume`] as a function: what C calls.
///
/// Runs on a system stack, of which it uses 576 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`].
///
/// # Registers
/// In: `r3` g, `r4` value. Out: `r3`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume")]
pub unsafe extern "C" fn resume_full(g: *mut G<Ppc64le> /* r3 */, value: usize /* r4 */) -> usize /* r3 */ {
    naked_asm_saved!(Crosscall2Frame:
        ".cfi_startproc",
        global_entry!("stackgate_resume"),
        // The Crosscall2Frame, and what goes into the caller's.
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        "mr %r5, %r3",
        "mr %r3, %r4",
        "mr %r4, %r5",
        "bl {light}",
        "nop",

        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        light = sym resume_light,
    )
}

/// [`park`] as a function: what C calls.
///
/// Runs on a managed stack, of which it uses 576 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`].
///
/// # Registers
/// In: `r3` value. Out: `r3`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park")]
pub unsafe extern "C" fn park_full(value: usize /* r3 */) -> usize /* r3 */ {
    naked_asm_saved!(Crosscall2Frame:
        ".cfi_startproc",
        global_entry!("stackgate_park"),
        // The Crosscall2Frame, and what goes into the caller's.
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        // Where it goes on: the one call that the return predictor takes for none.
        "bcl 20, 31, 3f",
        "3: mflr %r12",
        "addi %r12, %r12, 2f - 3b",
        "b {light}",

        // On curg, which goes on; r3 is the word for it.
        "2:",
        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        // Through CTR and not LR: the call was made long ago, perhaps on another CPU.
        "ld %r0, {caller_lr}(%r1)",
        "mtctr %r0",
        "bctr",
        ".cfi_endproc",
        light = sym park_light,
    )
}

/// The switch of [`resume`]: saves what no list of clobbers may name, and returns when the g has parked or ended.
///
/// Both stacks have a [`SwitchFrame`] at the place where they are left, so that one description of the frame is
/// right before SP moves and after. It is called, and `park` returns to its caller: the return predictor is right.
///
/// Runs on a system stack, of which it uses 48 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`]; not callable from Rust, since it keeps too little.
///
/// # Registers
/// In: `r4` g, `r3` value. Out: `r3`, and in `r10` the g that has come back. Clobbered: all but `r30` and `r31`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume_light")]
pub(crate) unsafe extern "C" fn resume_light() {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_resume_light"),
        // The SwitchFrame, and what goes into the caller's.
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",

        // The system stack is used from here on by what this g calls, and unwinders come here from its
        // first frame.
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "std %r1, {g0_sp}(%r10)",
        "ld %r5, {top}(%r4)",
        "std %r1, {parent} - {base}(%r5)",
        "std %r10, {m_out}(%r4)",
        "std %r4, {curg}(%r10)",

        // The g's own SP, then the g. On curg, at the SwitchFrame that it has left: the rules above describe
        // that as well, but for what it has not kept.
        "ld %r1, {sched_sp}(%r4)",
        ".cfi_undefined %r14", ".cfi_undefined %r15", ".cfi_undefined %r16", ".cfi_undefined %r17",
        ".cfi_undefined %r18", ".cfi_undefined %r19", ".cfi_undefined %r20", ".cfi_undefined %r21",
        ".cfi_undefined %r22", ".cfi_undefined %r23", ".cfi_undefined %r24", ".cfi_undefined %r25",
        ".cfi_undefined %r26", ".cfi_undefined %r27", ".cfi_undefined %r28", ".cfi_undefined %r29",
        ".cfi_undefined %f14", ".cfi_undefined %f15", ".cfi_undefined %f16", ".cfi_undefined %f17",
        ".cfi_undefined %f18", ".cfi_undefined %f19", ".cfi_undefined %f20", ".cfi_undefined %f21",
        ".cfi_undefined %f22", ".cfi_undefined %f23", ".cfi_undefined %f24", ".cfi_undefined %f25",
        ".cfi_undefined %f26", ".cfi_undefined %f27", ".cfi_undefined %f28", ".cfi_undefined %f29",
        ".cfi_undefined %f30", ".cfi_undefined %f31", ".cfi_undefined %v20", ".cfi_undefined %v21",
        ".cfi_undefined %v22", ".cfi_undefined %v23", ".cfi_undefined %v24", ".cfi_undefined %v25",
        ".cfi_undefined %v26", ".cfi_undefined %v27", ".cfi_undefined %v28", ".cfi_undefined %v29",
        ".cfi_undefined %v30", ".cfi_undefined %v31", ".cfi_undefined cr2", ".cfi_undefined cr3",
        ".cfi_undefined cr4",
        concat!("stdx %r4, ", current_g!("%r9")),
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "ld %r12, {caller_lr}(%r1)",
        "mtctr %r12",
        "bctr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        top = const offset_of!(G<Ppc64le>, stack) + offset_of!(Stack<Ppc64le>, top),
        sched_sp = const offset_of!(G<Ppc64le>, sched.sp),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        curg = const offset_of!(M<Ppc64le>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        r30 = const offset_of!(SwitchFrame, r30),
        r31 = const offset_of!(SwitchFrame, r31),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`park`]: goes on at the address in `r12` when the g is resumed, with `r30`, `r31` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses 48 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r3` value, `r12` where this g goes on. Out, there: `r3`, and our TOC pointer in `r2`. Clobbered there: all
/// but `r30` and `r31`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park_light")]
pub(crate) unsafe extern "C" fn park_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register lr, %r12",
        // The SwitchFrame, and what goes into the caller's.
        "std %r12, {caller_lr}(%r1)",           ".cfi_offset lr, {caller_lr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",

        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r8, {m_out}(%r10)",
        "std %r1, {sched_sp}(%r10)",

        // g0 is current, nothing runs on this m, and this g has no m.
        concat!("stdx %r8, ", current_g!("%r9")),
        "li %r11, 0",
        "std %r11, {curg}(%r8)",
        "std %r11, {m_out}(%r10)",
        "ld %r1, {g0_sp}(%r8)",

        // On g0, in resume's SwitchFrame: the same layout, so the rules above describe it as well.
        ".cfi_undefined %r14", ".cfi_undefined %r15", ".cfi_undefined %r16", ".cfi_undefined %r17",
        ".cfi_undefined %r18", ".cfi_undefined %r19", ".cfi_undefined %r20", ".cfi_undefined %r21",
        ".cfi_undefined %r22", ".cfi_undefined %r23", ".cfi_undefined %r24", ".cfi_undefined %r25",
        ".cfi_undefined %r26", ".cfi_undefined %r27", ".cfi_undefined %r28", ".cfi_undefined %r29",
        ".cfi_undefined %f14", ".cfi_undefined %f15", ".cfi_undefined %f16", ".cfi_undefined %f17",
        ".cfi_undefined %f18", ".cfi_undefined %f19", ".cfi_undefined %f20", ".cfi_undefined %f21",
        ".cfi_undefined %f22", ".cfi_undefined %f23", ".cfi_undefined %f24", ".cfi_undefined %f25",
        ".cfi_undefined %f26", ".cfi_undefined %f27", ".cfi_undefined %f28", ".cfi_undefined %f29",
        ".cfi_undefined %f30", ".cfi_undefined %f31", ".cfi_undefined %v20", ".cfi_undefined %v21",
        ".cfi_undefined %v22", ".cfi_undefined %v23", ".cfi_undefined %v24", ".cfi_undefined %v25",
        ".cfi_undefined %v26", ".cfi_undefined %v27", ".cfi_undefined %v28", ".cfi_undefined %v29",
        ".cfi_undefined %v30", ".cfi_undefined %v31", ".cfi_undefined cr2", ".cfi_undefined cr3",
        ".cfi_undefined cr4",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        sched_sp = const offset_of!(G<Ppc64le>, sched.sp),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        curg = const offset_of!(M<Ppc64le>, curg),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        r30 = const offset_of!(SwitchFrame, r30),
        r31 = const offset_of!(SwitchFrame, r31),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`switch_to`]: goes on at the address in `r12` when the g is resumed, with `r30`, `r31` and SP as
/// they were.
///
/// Runs on a managed stack, of which it uses 48 bytes.
/// Not for signal handlers.
///
/// # Safety
/// As [`switch_to`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `r4` g, `r3` value, `r12` where the current g goes on. Out, there: `r3`, and our TOC pointer in `r2`.
/// Clobbered there: all but `r30` and `r31`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_switch_light")]
pub(crate) unsafe extern "C" fn switch_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_register lr, %r12",
        // The SwitchFrame, and what goes into the caller's.
        "std %r12, {caller_lr}(%r1)",           ".cfi_offset lr, {caller_lr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",

        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r8, {m_out}(%r10)",
        "std %r1, {sched_sp}(%r10)",

        // What unwinders follow from the other g's first frame; then g0 is current, that one is curg, and this one has
        // no m.
        "ld %r5, {top}(%r4)",
        "ld %r11, {g0_sp}(%r8)",
        "std %r11, {parent} - {base}(%r5)",
        "std %r8, {m_out}(%r4)",
        concat!("stdx %r8, ", current_g!("%r9")),
        "std %r4, {curg}(%r8)",
        "li %r11, 0",
        "std %r11, {m_out}(%r10)",

        // On the other g, at the SwitchFrame that it has left: the rules above describe that as well, but for what
        // it has not kept. Nothing of this one is in use any more.
        "ld %r1, {sched_sp}(%r4)",
        ".cfi_undefined %r14", ".cfi_undefined %r15", ".cfi_undefined %r16", ".cfi_undefined %r17",
        ".cfi_undefined %r18", ".cfi_undefined %r19", ".cfi_undefined %r20", ".cfi_undefined %r21",
        ".cfi_undefined %r22", ".cfi_undefined %r23", ".cfi_undefined %r24", ".cfi_undefined %r25",
        ".cfi_undefined %r26", ".cfi_undefined %r27", ".cfi_undefined %r28", ".cfi_undefined %r29",
        ".cfi_undefined %f14", ".cfi_undefined %f15", ".cfi_undefined %f16", ".cfi_undefined %f17",
        ".cfi_undefined %f18", ".cfi_undefined %f19", ".cfi_undefined %f20", ".cfi_undefined %f21",
        ".cfi_undefined %f22", ".cfi_undefined %f23", ".cfi_undefined %f24", ".cfi_undefined %f25",
        ".cfi_undefined %f26", ".cfi_undefined %f27", ".cfi_undefined %f28", ".cfi_undefined %f29",
        ".cfi_undefined %f30", ".cfi_undefined %f31", ".cfi_undefined %v20", ".cfi_undefined %v21",
        ".cfi_undefined %v22", ".cfi_undefined %v23", ".cfi_undefined %v24", ".cfi_undefined %v25",
        ".cfi_undefined %v26", ".cfi_undefined %v27", ".cfi_undefined %v28", ".cfi_undefined %v29",
        ".cfi_undefined %v30", ".cfi_undefined %v31", ".cfi_undefined cr2", ".cfi_undefined cr3",
        ".cfi_undefined cr4",
        concat!("stdx %r4, ", current_g!("%r9")),
        "li %r11, {parked}",
        "std %r11, {state}(%r10)",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "ld %r12, {caller_lr}(%r1)",
        "mtctr %r12",
        "bctr",
        ".cfi_endproc",
        m_out = const offset_of!(G<Ppc64le>, m_out),
        top = const offset_of!(G<Ppc64le>, stack) + offset_of!(Stack<Ppc64le>, top),
        state = const offset_of!(G<Ppc64le>, state),
        parked = const crate::GState::Parked as usize,
        sched_sp = const offset_of!(G<Ppc64le>, sched.sp),
        g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        curg = const offset_of!(M<Ppc64le>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        r30 = const offset_of!(SwitchFrame, r30),
        r31 = const offset_of!(SwitchFrame, r31),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Where a g's first `resume` arrives: runs its function, then parks it for the last time.
///
/// Not a function: `resume`, `gogo` and `switch_to` jump here, on the g's stack, with SP at its [`BaseFrame`],
/// the word for it in `r3`, and our TOC pointer in `r2`. Unwinders go on in the `resume` that runs this g,
/// whose frame `parent` designates.
///
/// # Safety
/// Only the address is used.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_g_start")]
pub unsafe extern "C" fn g_start() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r1}, {parent_lo}, {parent_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        ".cfi_offset lr, {caller_lr}",
        ".cfi_offset %r30, {r30} - {size}", ".cfi_offset %r31, {r31} - {size}",
        // Not kept: the resume that runs this has lost them.
        ".cfi_undefined %r14", ".cfi_undefined %r15", ".cfi_undefined %r16", ".cfi_undefined %r17",
        ".cfi_undefined %r18", ".cfi_undefined %r19", ".cfi_undefined %r20", ".cfi_undefined %r21",
        ".cfi_undefined %r22", ".cfi_undefined %r23", ".cfi_undefined %r24", ".cfi_undefined %r25",
        ".cfi_undefined %r26", ".cfi_undefined %r27", ".cfi_undefined %r28", ".cfi_undefined %r29",
        ".cfi_undefined %f14", ".cfi_undefined %f15", ".cfi_undefined %f16", ".cfi_undefined %f17",
        ".cfi_undefined %f18", ".cfi_undefined %f19", ".cfi_undefined %f20", ".cfi_undefined %f21",
        ".cfi_undefined %f22", ".cfi_undefined %f23", ".cfi_undefined %f24", ".cfi_undefined %f25",
        ".cfi_undefined %f26", ".cfi_undefined %f27", ".cfi_undefined %f28", ".cfi_undefined %f29",
        ".cfi_undefined %f30", ".cfi_undefined %f31", ".cfi_undefined %v20", ".cfi_undefined %v21",
        ".cfi_undefined %v22", ".cfi_undefined %v23", ".cfi_undefined %v24", ".cfi_undefined %v25",
        ".cfi_undefined %v26", ".cfi_undefined %v27", ".cfi_undefined %v28", ".cfi_undefined %v29",
        ".cfi_undefined %v30", ".cfi_undefined %v31", ".cfi_undefined cr2", ".cfi_undefined cr3",
        ".cfi_undefined cr4",
        // An unwinder looks one byte before the address that `resume` jumps to.
        "nop",
        ".globl stackgate_g_begin", ".hidden stackgate_g_begin",
        "stackgate_g_begin:",
        "ld %r12, {entry}(%r1)",
        "mtctr %r12",
        "std %r2, {toc}(%r1)",
        "bctrl",
        "ld %r2, {toc}(%r1)",

        // On curg, which ends. From here on this is park, and nobody comes back.
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r8, {m_out}(%r10)",
        "li %r11, {finished}",
        "std %r11, {state}(%r10)",
        concat!("stdx %r8, ", current_g!("%r9")),
        "li %r11, 0",
        "std %r11, {curg}(%r8)",
        "std %r11, {m_out}(%r10)",
        // Where `resume` stands, whatever C has left of callbacks by longjmp.
        "ld %r1, {parent}(%r1)",                ".cfi_def_cfa %r1, {size}",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        entry = const offset_of!(BaseFrame, entry),
        toc = const offset_of!(BaseFrame, linkage.toc),
        m_out = const offset_of!(G<Ppc64le>, m_out),
        state = const offset_of!(G<Ppc64le>, state),
        finished = const crate::GState::Finished as usize,
        parent = const offset_of!(BaseFrame, parent),
        curg = const offset_of!(M<Ppc64le>, curg),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        r30 = const offset_of!(SwitchFrame, r30),
        r31 = const offset_of!(SwitchFrame, r31),
        size = const size_of::<SwitchFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r1 = const breg(R1.dwarf),
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
/// whose back chain continues curg's own, and what the managed code itself puts there. `ctxt` is the
/// traceback context of the C frames below, 0 for none.
///
/// A callback on a thread without a g, on a g other than g0, on an m that runs nothing, from a call that promised
/// none, or after C has left callbacks by `longjmp` goes to [`CALLBACK_ELSEWHERE`].
///
/// Runs on a system stack, of which it uses 64 bytes, and of curg's 48. Not for signal handlers.
///
/// # Safety
/// `fn` may be called with these arguments on curg's stack.
///
/// # Registers
/// In: `r3` fn, `r4` frame, `r5` framesize, `r6` ctxt. Clobbered: what a C call clobbers, and what `fn`
/// clobbers beside that. At `fn`'s entry: `r3` frame, `r4` framesize, `r5` ctxt; the rest as [`asmcgocall`].
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_cgocallback")]
pub unsafe extern "C" fn cgocallback(
    func: CallbackFn,   /* r3 */
    frame: *mut c_void, /* r4 */
    framesize: usize,   /* r5 */
    ctxt: usize,        /* r6 */
) {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_cgocallback"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        // May this g be called back, and is there a g to run it?
        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "ld %r11, {m_in}(%r10)",
        "cmpdi %r11, 0",
        "beq 3f",
        "ld %r10, {curg}(%r11)",
        "cmpdi %r10, 0",
        "beq 3f",
        // What C has below a callback is lower than g0_sp; where it is not, C has left the callback's frames by longjmp,
        // unless it has a stack of its own.
        "ld %r8, {m_g0_sp}(%r11)",
        "cmpld %r1, %r8",
        "bgt 4f",
        // The AsmcgocallFrame that this callback came through ends at g0_sp. Where its g is another, C has left it by
        // longjmp and called over it.
        "5:",
        "ld %r0, {call_g} - {call}(%r8)",
        "cmpd %r0, %r10",
        "bne 3f",

        // The CallbackFrame.
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r8, {g0_sp}(%r1)",
        "std %r10, {g}(%r1)",
        "std %r6, {ctxt}(%r1)",
        "std %r11, {m}(%r1)",
        // It is complete: publish it.
        "std %r1, {m_g0_sp}(%r11)",
        // The CallbackEntry, below curg's SP, which is its back chain.
        "ld %r8, {call_sp} - {call}(%r8)",
        "stdu %r8, -{entry}(%r8)",
        "std %r1, {callback}(%r8)",
        "std %r3, {func}(%r8)",
        "std %r2, {toc}(%r8)",
        // SP goes to it, then g0 is given up.
        "mr %r1, %r8",
        // On curg. From here on the CFA is the upper end of the CallbackFrame that `callback` designates.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_r1}, {cb_lo}, {cb_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        concat!("stdx %r10, ", current_g!("%r9")),

        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r4",
        "mr %r4, %r5",
        "mr %r5, %r6",
        "bctrl",
        ".globl stackgate_callback_return", ".hidden stackgate_callback_return",
        "stackgate_callback_return:",
        "ld %r2, {toc}(%r1)",

        // On curg, and only SP is known. g0 is current again, the frame is taken back, then SP leaves.
        "ld %r10, {callback}(%r1)",
        "ld %r11, {m}(%r10)",
        g_place!("%r9"),
        concat!("stdx %r11, ", current_g!("%r9")),
        "ld %r8, {g0_sp}(%r10)",
        "std %r8, {m_g0_sp}(%r11)",
        "ld %r1, {link}(%r10)",                 ".cfi_def_cfa %r1, 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",

        // Above g0_sp: is not one of them on g0's stack? A foreign thread's g0_sp begins in its m.
        "4:",
        "ld %r0, {m_g0_limit}(%r11)",
        "cmpld %r8, %r0",
        "blt 5b",
        "ld %r0, {m_g0_top}(%r11)",
        "cmpld %r1, %r0",
        "bgt 5b",

        // On g0, or on whatever stack C runs. The arguments are as they came.
        "3:",
        "stdu %r1, -{header}(%r1)",             ".cfi_def_cfa_offset {header}",
        "addis %r12, %r2, {elsewhere}@got@ha",
        "ld %r12, {elsewhere}@got@l(%r12)",
        "ld %r12, 0(%r12)",
        "mtctr %r12",
        "std %r2, {toc}(%r1)",
        "bctrl",
        "ld %r2, {toc}(%r1)",
        "addi %r1, %r1, {header}",              ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        elsewhere = sym CALLBACK_ELSEWHERE,
        m_in = const offset_of!(G<Ppc64le>, m_in),
        curg = const offset_of!(M<Ppc64le>, curg),
        m_g0_sp = const offset_of!(M<Ppc64le>, g0.sched.sp),
        m_g0_limit = const offset_of!(M<Ppc64le>, g0.stack.limit),
        m_g0_top = const offset_of!(M<Ppc64le>, g0.stack.top),
        call = const size_of::<AsmcgocallFrame>(),
        call_g = const offset_of!(AsmcgocallFrame, g),
        call_sp = const offset_of!(AsmcgocallFrame, sp),
        size = const size_of::<CallbackFrame>(),
        link = const offset_of!(CallbackFrame, link),
        g0_sp = const offset_of!(CallbackFrame, g0_sp),
        g = const offset_of!(CallbackFrame, g),
        ctxt = const offset_of!(CallbackFrame, ctxt),
        m = const offset_of!(CallbackFrame, m),
        entry = const size_of::<CallbackEntry>(),
        toc = const offset_of!(CallbackEntry, linkage.toc),
        callback = const offset_of!(CallbackEntry, callback),
        func = const offset_of!(CallbackEntry, func),
        header = const size_of::<FrameHeader>(),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_r1 = const breg(R1.dwarf),
        cb_lo = const leb_lo(offset_of!(CallbackEntry, callback) as i64),
        cb_hi = const leb_hi(offset_of!(CallbackEntry, callback) as i64),
        size_lo = const leb_lo(size_of::<CallbackFrame>() as i64),
        size_hi = const leb_hi(size_of::<CallbackFrame>() as i64),
    )
}

/// C's way into managed code that keeps no register: saves all that C expects back, then [`cgocallback`].
/// Go: `crosscall2`.
///
/// Runs on a system stack, of which it uses 528 bytes beside those of `cgocallback`. Not for signal handlers.
///
/// # Safety
/// As [`cgocallback`].
///
/// # Registers
/// In: `r3` fn, `r4` a, `r5` n (its lower half), `r6` ctxt. Clobbered: what a C call clobbers. At `fn`'s
/// entry: as [`cgocallback`], with n sign-extended. `fn` keeps SP, `r2` need not be kept, `r13` must.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2")]
pub unsafe extern "C" fn crosscall2(
    func: CallbackFn, /* r3 */
    a: *mut c_void,   /* r4 */
    n: c_int,         /* r5 */
    ctxt: usize,      /* r6 */
) {
    naked_asm_saved!(Crosscall2Frame:
        ".cfi_startproc",
        global_entry!("stackgate_crosscall2"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        "extsw %r5, %r5",
        "bl {cgocallback}",
        "nop",

        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        cgocallback = sym cgocallback,
    )
}

/// [`crosscall2`] with three arguments, as C code that knows no context calls it: the context is 0.
///
/// Go takes the missing fourth argument from whatever the register holds.
///
/// Runs on a system stack, of which it uses 32 bytes beside those of `crosscall2`. Not for signal handlers.
///
/// # Safety
/// As [`crosscall2`].
///
/// # Registers
/// In: `r3` fn, `r4` a, `r5` n. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_panic")]
pub unsafe extern "C" fn crosscall2_panic(
    func: CallbackFn, /* r3 */
    a: *mut c_void,   /* r4 */
    n: c_int,         /* r5 */
) {
    naked_asm!(
        ".cfi_startproc",
        global_entry!("stackgate_crosscall2_panic"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "stdu %r1, -{header}(%r1)",             ".cfi_def_cfa_offset {header}",
        "li %r6, 0",
        // A call by name, and no tail call: where the name is taken over by another module's, a linker's stub
        // changes r2, and takes it back in place of the `nop`.
        "bl {crosscall2}",
        "nop",
        "addi %r1, %r1, {header}",              ".cfi_def_cfa_offset 0",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        crosscall2 = sym crosscall2,
        header = const size_of::<FrameHeader>(),
        caller_lr = const offset_of!(FrameHeader, linkage.lr),
    )
}

/// A thread's entry: makes the g0 `g` current, runs `fn(g)` where it stands, and gives C back its registers
/// and the thread its former g. Go: `crosscall1`.
///
/// Runs on the thread's own stack, of which it uses 528 bytes. Not for signal handlers.
///
/// # Safety
/// `g` is a g0 that no other thread uses; `fn` may be called with it.
///
/// # Registers
/// In: `r3` fn, `r4` g. Clobbered: what a C call clobbers, whatever `fn` clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall1")]
pub unsafe extern "C" fn crosscall1(func: ThreadFn /* r3 */, g: *mut G<Ppc64le> /* r4 */) {
    naked_asm_saved!(Crosscall2Frame:
        ".cfi_startproc",
        global_entry!("stackgate_crosscall1"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        g_place!("%r9"),
        concat!("ldx %r10, ", current_g!("%r9")),
        "std %r10, {former}(%r1)",
        concat!("stdx %r4, ", current_g!("%r9")),
        "std %r2, {toc}(%r1)",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r3, %r4",
        "bctrl",
        "ld %r2, {toc}(%r1)",
        g_place!("%r9"),
        "ld %r10, {former}(%r1)",
        concat!("stdx %r10, ", current_g!("%r9")),

        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        former = const offset_of!(Crosscall2Frame, former),
        toc = const offset_of!(Crosscall2Frame, linkage.toc),
    )
}

/// A signal handler for `sigaction` with `SA_SIGINFO`: makes the m's gsignal the current g, calls what
/// `SIGNAL_HANDLER` says with the same arguments and the former g, and makes that current again.
///
/// A handler that interrupts a handler finds gsignal current and leaves it so; a thread without an m stays
/// without a g. The kernel wants no register back, but C code that has replaced this handler may call it as a
/// plain function: all that C expects back is kept.
///
/// Runs on any stack, of which it uses 528 bytes: on a signal stack where the thread has one, also on one that C
/// has set. It is a signal handler. Go: `sigtramp`.
///
/// # Safety
/// `info` and `ucontext` are what the kernel passed for `signal`. What is called returns: a jump out of it
/// would leave gsignal current.
///
/// # Registers
/// In: `r3` signal, `r4` info, `r5` ucontext. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_sigtramp")]
pub unsafe extern "C" fn sigtramp(
    signal: c_int,         /* r3 */
    info: *mut c_void,     /* r4 */
    ucontext: *mut c_void, /* r5 */
) {
    naked_asm_saved!(Crosscall2Frame:
        ".cfi_startproc",
        global_entry!("stackgate_sigtramp"),
        "mflr %r0",
        "std %r0, {caller_lr}(%r1)",            ".cfi_offset lr, {caller_lr}",
        "mfcr %r12",
        "stw %r12, {caller_cr}(%r1)",           ".cfi_offset cr2, {caller_cr}", ".cfi_offset cr3, {caller_cr}", ".cfi_offset cr4, {caller_cr}",
        "stdu %r1, -{size}(%r1)",               ".cfi_def_cfa_offset {size}",
        "std %r14, {r14}(%r1)",                 ".cfi_rel_offset %r14, {r14}",
        "std %r15, {r15}(%r1)",                 ".cfi_rel_offset %r15, {r15}",
        "std %r16, {r16}(%r1)",                 ".cfi_rel_offset %r16, {r16}",
        "std %r17, {r17}(%r1)",                 ".cfi_rel_offset %r17, {r17}",
        "std %r18, {r18}(%r1)",                 ".cfi_rel_offset %r18, {r18}",
        "std %r19, {r19}(%r1)",                 ".cfi_rel_offset %r19, {r19}",
        "std %r20, {r20}(%r1)",                 ".cfi_rel_offset %r20, {r20}",
        "std %r21, {r21}(%r1)",                 ".cfi_rel_offset %r21, {r21}",
        "std %r22, {r22}(%r1)",                 ".cfi_rel_offset %r22, {r22}",
        "std %r23, {r23}(%r1)",                 ".cfi_rel_offset %r23, {r23}",
        "std %r24, {r24}(%r1)",                 ".cfi_rel_offset %r24, {r24}",
        "std %r25, {r25}(%r1)",                 ".cfi_rel_offset %r25, {r25}",
        "std %r26, {r26}(%r1)",                 ".cfi_rel_offset %r26, {r26}",
        "std %r27, {r27}(%r1)",                 ".cfi_rel_offset %r27, {r27}",
        "std %r28, {r28}(%r1)",                 ".cfi_rel_offset %r28, {r28}",
        "std %r29, {r29}(%r1)",                 ".cfi_rel_offset %r29, {r29}",
        "std %r30, {r30}(%r1)",                 ".cfi_rel_offset %r30, {r30}",
        "std %r31, {r31}(%r1)",                 ".cfi_rel_offset %r31, {r31}",
        "stfd %f14, {f14}(%r1)",                ".cfi_rel_offset %f14, {f14}",
        "stfd %f15, {f15}(%r1)",                ".cfi_rel_offset %f15, {f15}",
        "stfd %f16, {f16}(%r1)",                ".cfi_rel_offset %f16, {f16}",
        "stfd %f17, {f17}(%r1)",                ".cfi_rel_offset %f17, {f17}",
        "stfd %f18, {f18}(%r1)",                ".cfi_rel_offset %f18, {f18}",
        "stfd %f19, {f19}(%r1)",                ".cfi_rel_offset %f19, {f19}",
        "stfd %f20, {f20}(%r1)",                ".cfi_rel_offset %f20, {f20}",
        "stfd %f21, {f21}(%r1)",                ".cfi_rel_offset %f21, {f21}",
        "stfd %f22, {f22}(%r1)",                ".cfi_rel_offset %f22, {f22}",
        "stfd %f23, {f23}(%r1)",                ".cfi_rel_offset %f23, {f23}",
        "stfd %f24, {f24}(%r1)",                ".cfi_rel_offset %f24, {f24}",
        "stfd %f25, {f25}(%r1)",                ".cfi_rel_offset %f25, {f25}",
        "stfd %f26, {f26}(%r1)",                ".cfi_rel_offset %f26, {f26}",
        "stfd %f27, {f27}(%r1)",                ".cfi_rel_offset %f27, {f27}",
        "stfd %f28, {f28}(%r1)",                ".cfi_rel_offset %f28, {f28}",
        "stfd %f29, {f29}(%r1)",                ".cfi_rel_offset %f29, {f29}",
        "stfd %f30, {f30}(%r1)",                ".cfi_rel_offset %f30, {f30}",
        "stfd %f31, {f31}(%r1)",                ".cfi_rel_offset %f31, {f31}",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "stvx %v20, %r1, %r7",                  ".cfi_rel_offset %v20, {v20}",
        "stvx %v21, %r1, %r8",                  ".cfi_rel_offset %v21, {v21}",
        "stvx %v22, %r1, %r9",                  ".cfi_rel_offset %v22, {v22}",
        "stvx %v23, %r1, %r10",                 ".cfi_rel_offset %v23, {v23}",
        "stvx %v24, %r1, %r11",                 ".cfi_rel_offset %v24, {v24}",
        "stvx %v25, %r1, %r0",                  ".cfi_rel_offset %v25, {v25}",
        "stvx %v26, %r12, %r7",                 ".cfi_rel_offset %v26, {v26}",
        "stvx %v27, %r12, %r8",                 ".cfi_rel_offset %v27, {v27}",
        "stvx %v28, %r12, %r9",                 ".cfi_rel_offset %v28, {v28}",
        "stvx %v29, %r12, %r10",                ".cfi_rel_offset %v29, {v29}",
        "stvx %v30, %r12, %r11",                ".cfi_rel_offset %v30, {v30}",
        "stvx %v31, %r12, %r0",                 ".cfi_rel_offset %v31, {v31}",

        // Whose signal stack? The m's of the g that was interrupted, or of the g0. gsignal stays current, and
        // so does the g that stands for none.
        g_place!("%r9"),
        concat!("ldx %r6, ", current_g!("%r9")),
        "std %r6, {former}(%r1)",
        "ld %r11, {m_out}(%r6)",
        "cmpdi %r11, 0",
        "bne 2f",
        "ld %r11, {state}(%r6)",
        "cmpdi %r11, {is_g0}",
        "bne 3f",
        "mr %r11, %r6",
        "2:",
        "addi %r11, %r11, {gsignal}",
        concat!("stdx %r11, ", current_g!("%r9")),

        // ucontext stays known until the end, for who interrupts this: in r5, and behind the call in r14. The
        // former g is the fourth argument.
        "3:",
        "mr %r14, %r5",
        "addis %r12, %r2, {handler}@got@ha",
        "ld %r12, {handler}@got@l(%r12)",
        "ld %r12, 0(%r12)",
        "mtctr %r12",
        "std %r2, {toc}(%r1)",
        "bctrl",
        ".globl stackgate_sigtramp_return", ".hidden stackgate_sigtramp_return",
        "stackgate_sigtramp_return:",
        "ld %r2, {toc}(%r1)",
        "mr %r5, %r14",
        g_place!("%r9"),
        "ld %r10, {former}(%r1)",
        concat!("stdx %r10, ", current_g!("%r9")),

        "ld %r14, {r14}(%r1)",                  ".cfi_restore %r14",
        "ld %r15, {r15}(%r1)",                  ".cfi_restore %r15",
        "ld %r16, {r16}(%r1)",                  ".cfi_restore %r16",
        "ld %r17, {r17}(%r1)",                  ".cfi_restore %r17",
        "ld %r18, {r18}(%r1)",                  ".cfi_restore %r18",
        "ld %r19, {r19}(%r1)",                  ".cfi_restore %r19",
        "ld %r20, {r20}(%r1)",                  ".cfi_restore %r20",
        "ld %r21, {r21}(%r1)",                  ".cfi_restore %r21",
        "ld %r22, {r22}(%r1)",                  ".cfi_restore %r22",
        "ld %r23, {r23}(%r1)",                  ".cfi_restore %r23",
        "ld %r24, {r24}(%r1)",                  ".cfi_restore %r24",
        "ld %r25, {r25}(%r1)",                  ".cfi_restore %r25",
        "ld %r26, {r26}(%r1)",                  ".cfi_restore %r26",
        "ld %r27, {r27}(%r1)",                  ".cfi_restore %r27",
        "ld %r28, {r28}(%r1)",                  ".cfi_restore %r28",
        "ld %r29, {r29}(%r1)",                  ".cfi_restore %r29",
        "ld %r30, {r30}(%r1)",                  ".cfi_restore %r30",
        "ld %r31, {r31}(%r1)",                  ".cfi_restore %r31",
        "lfd %f14, {f14}(%r1)",                 ".cfi_restore %f14",
        "lfd %f15, {f15}(%r1)",                 ".cfi_restore %f15",
        "lfd %f16, {f16}(%r1)",                 ".cfi_restore %f16",
        "lfd %f17, {f17}(%r1)",                 ".cfi_restore %f17",
        "lfd %f18, {f18}(%r1)",                 ".cfi_restore %f18",
        "lfd %f19, {f19}(%r1)",                 ".cfi_restore %f19",
        "lfd %f20, {f20}(%r1)",                 ".cfi_restore %f20",
        "lfd %f21, {f21}(%r1)",                 ".cfi_restore %f21",
        "lfd %f22, {f22}(%r1)",                 ".cfi_restore %f22",
        "lfd %f23, {f23}(%r1)",                 ".cfi_restore %f23",
        "lfd %f24, {f24}(%r1)",                 ".cfi_restore %f24",
        "lfd %f25, {f25}(%r1)",                 ".cfi_restore %f25",
        "lfd %f26, {f26}(%r1)",                 ".cfi_restore %f26",
        "lfd %f27, {f27}(%r1)",                 ".cfi_restore %f27",
        "lfd %f28, {f28}(%r1)",                 ".cfi_restore %f28",
        "lfd %f29, {f29}(%r1)",                 ".cfi_restore %f29",
        "lfd %f30, {f30}(%r1)",                 ".cfi_restore %f30",
        "lfd %f31, {f31}(%r1)",                 ".cfi_restore %f31",
        "li %r7, {v20}",
        "li %r8, {v21}",
        "li %r9, {v22}",
        "li %r10, {v23}",
        "li %r11, {v24}",
        "li %r0, {v25}",
        "addi %r12, %r1, {six}",
        "lvx %v20, %r1, %r7",                   ".cfi_restore %v20",
        "lvx %v21, %r1, %r8",                   ".cfi_restore %v21",
        "lvx %v22, %r1, %r9",                   ".cfi_restore %v22",
        "lvx %v23, %r1, %r10",                  ".cfi_restore %v23",
        "lvx %v24, %r1, %r11",                  ".cfi_restore %v24",
        "lvx %v25, %r1, %r0",                   ".cfi_restore %v25",
        "lvx %v26, %r12, %r7",                  ".cfi_restore %v26",
        "lvx %v27, %r12, %r8",                  ".cfi_restore %v27",
        "lvx %v28, %r12, %r9",                  ".cfi_restore %v28",
        "lvx %v29, %r12, %r10",                 ".cfi_restore %v29",
        "lvx %v30, %r12, %r11",                 ".cfi_restore %v30",
        "lvx %v31, %r12, %r0",                  ".cfi_restore %v31",
        "addi %r1, %r1, {size}",                ".cfi_def_cfa_offset 0",
        "lwz %r12, {caller_cr}(%r1)",
        "mtocrf 0x20, %r12",                    ".cfi_restore cr2",
        "mtocrf 0x10, %r12",                    ".cfi_restore cr3",
        "mtocrf 0x08, %r12",                    ".cfi_restore cr4",
        "ld %r0, {caller_lr}(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        handler = sym SIGNAL_HANDLER,
        m_out = const offset_of!(G<Ppc64le>, m_out),
        state = const offset_of!(G<Ppc64le>, state),
        is_g0 = const crate::GState::G0 as usize,
        gsignal = const offset_of!(M<Ppc64le>, gsignal),
        former = const offset_of!(Crosscall2Frame, former),
        toc = const offset_of!(Crosscall2Frame, linkage.toc),
    )
}

/// Ends the program, or stops the machine, by an instruction that always traps: for who can tell nobody why.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn trap() -> ! {
    // SAFETY: nothing runs behind it.
    unsafe { asm!("trap", options(noreturn, nomem, nostack)) }
}

/// Asks valgrind for what the six `words` say, by instructions that do nothing where it is not there: then `default`
/// is the answer. The words are a request's number and its arguments.
///
/// Runs on any stack; safe in a signal handler. Source: `PLAT_ppc64le_linux` in `valgrind.h` of valgrind 3.19.
#[inline(always)]
pub fn client_request(default: usize, words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: no register changes but the one of the answer.
    unsafe {
        asm!(
            "rotldi 0, 0, 3",
            "rotldi 0, 0, 13",
            "rotldi 0, 0, 61",
            "rotldi 0, 0, 51",
            "or 1, 1, 1",
            in("r4") words,
            inlateout("r3") default => answer,
            options(nostack, preserves_flags),
        );
    }
    answer
}

//! The crossings of i386, in the order of the contract in the crate's documentation.
//!
//! Reading aid: `{name}` in an instruction is the offset of the field of that name in the frame that the
//! function's documentation shows, or in the structure that the operand list at its end names. `{in_name}` is
//! the function's own argument of that name, counted from SP or from the frame pointer as it is there. In
//! comments, "on g0" and "on curg" say which stack SP is on.

use super::frame::*;
use crate::dwarf::*;
use crate::frame::W32;
use crate::g::NO_G;
use crate::{CALLBACK_ELSEWHERE, CFn, CallbackFn, G, M, McallFn, SIGNAL_HANDLER, Stack, SystemFn, ThreadFn};
use core::arch::{asm, global_asm, naked_asm};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;

keep_unwind_tables!();

// The current g: one word of static TLS for each thread, so that reading it is safe in a signal handler and
// works in a shared library that is loaded at start.
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

// This CPU addresses nothing from its program counter. Code of the static relocation model, which goes into
// executables at fixed addresses alone, names the current g and other places by numbers that the linker knows
// (the local-exec model). Other code finds the global offset table first, by a call to the next instruction:
// the return predictor knows that idiom and takes it for no call. The assembler counts
// `_GLOBAL_OFFSET_TABLE_` from the start of the instruction that names it, one byte behind the label.
//
// `arch/build.rs` sets the cfg.

/// From the global offset table to the current g's place.
#[cfg(all(not(stackgate_static), not(feature = "single-core")))]
#[rustfmt::skip]
macro_rules! g_word { ($reg:literal) => { concat!("mov ", $reg, ", [", $reg, " + stackgate_g@gotntpoff]") } }
#[cfg(all(not(stackgate_static), feature = "single-core"))]
#[rustfmt::skip]
macro_rules! g_word { ($reg:literal) => { concat!("mov ", $reg, ", [", $reg, " + stackgate_g@GOT]") } }
/// Loads the current g's place into a register; after it [`current_g!`] of that register is the current g.
/// Nothing where it is a number. A word below SP is used for a moment; `(..., still)` is for places where the
/// CFA does not depend on SP.
#[cfg(stackgate_static)]
#[rustfmt::skip]
macro_rules! g_place { ($reg:literal $(, still)?) => { "" } }
#[cfg(not(stackgate_static))]
#[rustfmt::skip]
macro_rules! g_place {
    ($reg:literal) => { concat!(
        "call 2f\n",                                        ".cfi_adjust_cfa_offset 4\n",
        "2: pop ", $reg, "\n",                              ".cfi_adjust_cfa_offset -4\n",
        "add ", $reg, ", offset _GLOBAL_OFFSET_TABLE_ + 1\n",
        g_word!($reg),
    ) };
    ($reg:literal, still) => { concat!(
        "call 2f\n",
        "2: pop ", $reg, "\n",
        "add ", $reg, ", offset _GLOBAL_OFFSET_TABLE_ + 1\n",
        g_word!($reg),
    ) };
}
/// Loads the current g's place from where `cgocallback` has kept it. A remark where it is a number.
#[cfg(stackgate_static)]
#[rustfmt::skip]
macro_rules! kept_g_place { ($reg:literal, $at:literal) => { concat!("/* ", $at, " */") } }
#[cfg(not(stackgate_static))]
#[rustfmt::skip]
macro_rules! kept_g_place { ($reg:literal, $at:literal) => { concat!("mov ", $reg, ", ", $at) } }
/// The current g, as an operand.
#[cfg(all(stackgate_static, not(feature = "single-core")))]
#[rustfmt::skip]
macro_rules! current_g { ($reg:literal) => { "gs:[stackgate_g@ntpoff]" } }
#[cfg(all(not(stackgate_static), not(feature = "single-core")))]
#[rustfmt::skip]
macro_rules! current_g { ($reg:literal) => { concat!("gs:[", $reg, "]") } }
#[cfg(all(stackgate_static, feature = "single-core"))]
#[rustfmt::skip]
macro_rules! current_g { ($reg:literal) => { "[stackgate_g]" } }
#[cfg(all(not(stackgate_static), feature = "single-core"))]
#[rustfmt::skip]
macro_rules! current_g { ($reg:literal) => { concat!("[", $reg, "]") } }
/// Loads a symbol's address into a register, where the CFA depends on SP.
#[cfg(stackgate_static)]
#[rustfmt::skip]
macro_rules! address { ($reg:literal, $symbol:literal) => { concat!("mov ", $reg, ", offset ", $symbol) } }
#[cfg(not(stackgate_static))]
#[rustfmt::skip]
macro_rules! address {
    ($reg:literal, $symbol:literal) => { concat!(
        "call 2f\n",                                        ".cfi_adjust_cfa_offset 4\n",
        "2: pop ", $reg, "\n",                              ".cfi_adjust_cfa_offset -4\n",
        "add ", $reg, ", offset _GLOBAL_OFFSET_TABLE_ + 1\n",
        "mov ", $reg, ", [", $reg, " + ", $symbol, "@GOT]",
    ) };
}
/// Loads the address of the label 4 further down into a register; `(..., inline)` where the assembler is not told of
/// the CFA. LLVM takes the difference of two labels for a displacement in AT&T's syntax alone.
#[cfg(stackgate_static)]
#[rustfmt::skip]
macro_rules! label_4 { ($reg:literal $(, inline)?) => { concat!("lea ", $reg, ", [4f]") } }
#[cfg(not(stackgate_static))]
#[rustfmt::skip]
macro_rules! label_4 {
    ($reg:literal) => { concat!(
        "call 3f\n",                                        ".cfi_adjust_cfa_offset 4\n",
        "3: pop ", $reg, "\n",                              ".cfi_adjust_cfa_offset -4\n",
        ".att_syntax\n",
        "leal 4f - 3b(%", $reg, "), %", $reg, "\n",
        ".intel_syntax noprefix",
    ) };
    ($reg:literal, inline) => { concat!(
        "call 3f\n",
        "3: pop ", $reg, "\n",
        ".att_syntax\n",
        "leal 4f - 3b(%", $reg, "), %", $reg, "\n",
        ".intel_syntax noprefix",
    ) };
}
/// Lands an indirect call where the CPU enforces that: `endbr32`, or nothing.
#[cfg(not(stackgate_landing_pads))]
#[rustfmt::skip]
macro_rules! landing_pad { () => { "" } }
#[cfg(stackgate_landing_pads)]
#[rustfmt::skip]
macro_rules! landing_pad { () => { "endbr32" } }

/// A word on the stack.
const WORD: usize = size_of::<W32>();
/// What `crosscall2` and `crosscall1` put below their frames: up to four arguments, padded so that SP stays at
/// a multiple of 16.
const OUTGOING: usize = ALIGN;

/// The current g, or null when the thread has none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg`.
///
/// # Safety
/// None beyond the declaration: it reads one word of the thread, and one of its g.
///
/// # Registers
/// Out: `eax`. Clobbered: `ecx`, flags.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_getg")]
pub unsafe extern "C" fn getg() -> *mut G<I386> /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("eax"),
        concat!("mov eax, ", current_g!("eax")),
        // One that stands for none is null to everybody else.
        "xor ecx, ecx",
        "cmp [eax + {state}], ecx",
        "cmove eax, ecx",
        "ret",
        ".cfi_endproc",
        state = const offset_of!(G<I386>, state),
    )
}

/// The current g as the crossings read it: the g of zeros stands for none, so that its fields can be asked.
///
/// Inlined where it is used, for paths that count instructions. Read anew each time: a g kept over a switch
/// may be another thread's.
///
/// Runs on any stack; safe in a signal handler.
#[inline(always)]
pub fn current() -> *mut G<I386> {
    #[cfg(stackgate_static)]
    {
        let g;
        // SAFETY: reads one word of the thread.
        unsafe {
            asm!(
                concat!("mov {g}, ", current_g!("{g}")),
                g = out(reg) g,
                options(nostack, preserves_flags, readonly),
            );
        }
        g
    }
    // Other code needs the global offset table, which a call finds best.
    #[cfg(not(stackgate_static))]
    {
        #[unsafe(naked)]
        unsafe extern "C" fn read() -> *mut G<I386> /* eax */ {
            naked_asm!(
                ".cfi_startproc",
                g_place!("eax"),
                concat!("mov eax, ", current_g!("eax")),
                "ret",
                ".cfi_endproc",
            )
        }
        // SAFETY: reads one word of the thread.
        unsafe { read() }
    }
}

/// Makes `g` current; null for none.
///
/// Runs on any stack; safe in a signal handler that gives back what it found. Go: `setg`.
///
/// # Safety
/// `g` is null or stays valid for as long as it is current, and SP is on its stack.
///
/// # Registers
/// In: on the stack, g. Clobbered: `eax`, `ecx`, `edx`, flags.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_setg")]
pub unsafe extern "C" fn setg(g: *mut G<I386> /* first */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "mov ecx, [esp + {in_g}]",
        address!("edx", "{no_g}"),
        "test ecx, ecx",
        "cmove ecx, edx",
        g_place!("eax"),
        concat!("mov ", current_g!("eax"), ", ecx"),
        "ret",
        ".cfi_endproc",
        no_g = sym NO_G,
        in_g = const offset_of!(Arguments, first),
    )
}

/// Calls C on the system stack: `fn(arg)`. Go: `asmcgocall`.
///
/// Four paths: from a managed g it switches to g0's stack; on g0, on gsignal and without a g it calls where
/// it stands, on an aligned SP. While C runs, g0 is current and an [`AsmcgocallFrame`] lies directly below
/// `g0.sched.sp`, with C's argument below that. C's own callee-saved registers are C's affair; only `ebp` is
/// kept here, because C would save it at a place that nobody can find again when the managed stack moves.
///
/// Runs on any stack; uses 4 bytes of a managed one, 8 in position-independent code. Safe in a signal
/// handler.
///
/// # Safety
/// `fn` may be called with `arg`. The current g is a g that `resume` runs, a g0, a gsignal, or none.
///
/// # Registers
/// In: on the stack, fn and arg. Out: `eax`. Clobbered: what a C call clobbers.
/// At `fn`'s entry: arg on the stack; SP + 4 a multiple of 16; DF clear as the caller left it; MXCSR and the
/// x87 control word as the caller left them.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall")]
pub unsafe extern "C" fn asmcgocall(func: CFn /* first */, arg: *mut c_void /* second */) -> c_int /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        // `asmcgocall_catch` calls by this name: one that a shared library does not export, so that the call
        // goes here and never by way of a linkage table, which would want the library's own word in ebx.
        ".globl stackgate_asmcgocall_near", ".hidden stackgate_asmcgocall_near",
        "stackgate_asmcgocall_near:",
        landing_pad!(),
        // Does this g call away from its stack?
        g_place!("eax"),
        concat!("mov edx, ", current_g!("eax")),
        "mov ecx, [edx + {m_out}]",
        "test ecx, ecx",
        "jz 3f",

        // g0 is current before anything of its stack is in use. An m's address is its g0's.
        concat!("mov ", current_g!("eax"), ", ecx"),
        "mov eax, esp",
        "mov esp, [ecx + {g0_sp}]",            ".cfi_def_cfa eax, {word}",

        // On g0. Build the AsmcgocallFrame from its upper end: pc, link, sp, g. C's argument lies below it.
        "push dword ptr [eax]",
        "push ebp",
        "push eax",
        "push edx",
        "push dword ptr [eax + {in_arg}]",
        "lea ebp, [esp + {link}]",
        // From here on the CFA is the word `sp`, plus the return address it designates; ebp is in `link`.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_esp}, {sp_lo}, {sp_hi}, {deref}, {plus}, {ra_lo}, {ra_hi}",
        ".cfi_escape {reg_at}, {ebp_dwarf}, {breg_len}, {breg_esp}, {link_lo}, {link_hi}",
        "call dword ptr [eax + {in_func}]",

        // On g0, C has returned. Leave its stack, then give up g0. The managed stack may have moved since:
        // `sp` and `link` have been rewritten then, g has not moved.
        "mov ecx, [esp + {g}]",
        "mov ebp, [esp + {link}]",             ".cfi_restore ebp",
        "mov esp, [esp + {sp}]",               ".cfi_def_cfa esp, {word}",
        g_place!("edx"),
        concat!("mov ", current_g!("edx"), ", ecx"),
        "ret",

        // On g0, gsignal or a stack that no g knows.
        "3:",
        "push ebp",                            ".cfi_def_cfa_offset 2*{word}", ".cfi_offset ebp, -2*{word}",
        "mov ebp, esp",                        ".cfi_def_cfa_register ebp",
        "and esp, -{align}",
        "sub esp, {align} - {word}",
        "push dword ptr [ebp + {word} + {in_arg}]",
        "call dword ptr [ebp + {word} + {in_func}]",
        "leave",                               ".cfi_def_cfa esp, {word}", ".cfi_restore ebp",
        "ret",
        ".cfi_endproc",
        word = const WORD,
        align = const ALIGN,
        in_func = const offset_of!(Arguments, first),
        in_arg = const offset_of!(Arguments, second),
        m_out = const offset_of!(G<I386>, m_out),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        g = const WORD + offset_of!(AsmcgocallFrame, g),
        sp = const WORD + offset_of!(AsmcgocallFrame, sp),
        link = const WORD + offset_of!(AsmcgocallFrame, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST,
        breg_esp = const breg(ESP.dwarf), ebp_dwarf = const EBP.dwarf,
        sp_lo = const leb_lo((WORD + offset_of!(AsmcgocallFrame, sp)) as i64),
        sp_hi = const leb_hi((WORD + offset_of!(AsmcgocallFrame, sp)) as i64),
        link_lo = const leb_lo((WORD + offset_of!(AsmcgocallFrame, link)) as i64),
        link_hi = const leb_hi((WORD + offset_of!(AsmcgocallFrame, link)) as i64),
        ra_lo = const leb_lo(WORD as i64),
        ra_hi = const leb_hi(WORD as i64),
    )
}
// The pushes of asmcgocall, ccall and systemstack, from the frame's upper end down.
pushes!(AsmcgocallFrame: pc, link, sp, g);

/// Calls any C function on the system stack with any number of arguments. For JITs and typed wrappers.
///
/// As [`asmcgocall`], but the function is in `eax`, the number of its argument words is in `ecx`, and the
/// arguments lie where a call of the function itself would have them: the first word at SP when this begins,
/// behind the return address. They are copied, since this CPU's convention passes all arguments on the stack;
/// a callee that changes its arguments changes the copy. Every result register comes back as C left it. The
/// caller takes all arguments off, also the address of a returned structure, which the function itself takes
/// off when it is called directly (psABI 2.2.3).
///
/// Runs on any stack; uses 12 bytes of a managed one, 16 in position-independent code. Safe in a signal handler.
/// Go has no such function.
///
/// # Safety
/// As [`asmcgocall`]; not callable from Rust, since the function is in a scratch register.
///
/// # Registers
/// In: `eax` fn, `ecx` number of words; on the stack, fn's arguments. Out: fn's results: `eax`, `edx`,
/// `st(0)`. Clobbered: what a C call clobbers. At `fn`'s entry: as [`asmcgocall`].
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_ccall")]
pub unsafe extern "C" fn ccall() {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // A record on the managed stack frees ebp; behind it the function, which frees eax.
        "push ebp",                            ".cfi_def_cfa_offset 2*{word}", ".cfi_offset ebp, -2*{word}",
        "mov ebp, esp",                        ".cfi_def_cfa_register ebp",
        "push eax",
        g_place!("eax", still),
        concat!("mov edx, ", current_g!("eax")),
        "mov edx, [edx + {m_out}]",
        "test edx, edx",
        "jz 3f",

        concat!("mov ", current_g!("eax"), ", edx"),
        "mov esp, [edx + {g0_sp}]",

        // On g0. Build the AsmcgocallFrame as asmcgocall does; what ebp held is in the record.
        "push dword ptr [ebp + {word}]",
        "push dword ptr [ebp]",
        "lea eax, [ebp + {word}]",
        "push eax",
        "push dword ptr [edx + {curg}]",
        "mov edx, ebp",
        "lea ebp, [esp + {link}]",
        // From here on the CFA is the word `sp`, as seen from `link`, plus the return address it designates.
        // SP depends on the number of arguments, and C gives back ebp.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_ebp}, {sp_lo}, {sp_hi}, {deref}, {plus}, {ra_lo}, {ra_hi}",
        ".cfi_escape {reg_at}, {ebp_dwarf}, {breg_len}, {breg_ebp}, {link_lo}, {link_hi}",

        // Copy the arguments, the last one first. edx is the record on curg.
        "lea eax, [ecx * {word}]",
        "sub esp, eax",
        "and esp, -{align}",
        "4:",
        "dec ecx",
        "js 5f",
        "mov eax, [edx + ecx * {word} + {word} + {in_first}]",
        "mov [esp + ecx * {word}], eax",
        "jmp 4b",
        "5:",
        "call dword ptr [edx - {word}]",

        // On g0, C has returned; eax, edx and st(0) are its results. ebp designates the frame still.
        g_place!("ecx", still),
        "mov esp, [ebp + {sp} - {link}]",      ".cfi_def_cfa esp, {word}",
        "push dword ptr [ebp + {g} - {link}]", ".cfi_adjust_cfa_offset {word}",
        "mov ebp, [ebp]",                      ".cfi_restore ebp",
        concat!("pop dword ptr ", current_g!("ecx")), ".cfi_adjust_cfa_offset -{word}",
        "ret",

        // On g0, gsignal or a stack that no g knows.
        "3:",                                  ".cfi_def_cfa ebp, 2*{word}", ".cfi_offset ebp, -2*{word}",
        "mov edx, ebp",
        "lea eax, [ecx * {word}]",
        "sub esp, eax",
        "and esp, -{align}",
        "4:",
        "dec ecx",
        "js 5f",
        "mov eax, [edx + ecx * {word} + {word} + {in_first}]",
        "mov [esp + ecx * {word}], eax",
        "jmp 4b",
        "5:",
        "call dword ptr [edx - {word}]",
        "leave",                               ".cfi_def_cfa esp, {word}", ".cfi_restore ebp",
        "ret",
        ".cfi_endproc",
        word = const WORD,
        align = const ALIGN,
        in_first = const offset_of!(Arguments, first),
        m_out = const offset_of!(G<I386>, m_out),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        curg = const offset_of!(M<I386>, curg),
        g = const offset_of!(AsmcgocallFrame, g),
        sp = const offset_of!(AsmcgocallFrame, sp),
        link = const offset_of!(AsmcgocallFrame, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST,
        breg_ebp = const breg(EBP.dwarf), ebp_dwarf = const EBP.dwarf,
        sp_lo = const leb_lo(offset_of!(AsmcgocallFrame, sp) as i64 - offset_of!(AsmcgocallFrame, link) as i64),
        sp_hi = const leb_hi(offset_of!(AsmcgocallFrame, sp) as i64 - offset_of!(AsmcgocallFrame, link) as i64),
        link_lo = const leb_lo(0),
        link_hi = const leb_hi(0),
        ra_lo = const leb_lo(WORD as i64),
        ra_hi = const leb_hi(WORD as i64),
    )
}

/// As [`asmcgocall`], and a throw lands here: [`throw_to`] with this call's [`CatchFrame`] makes it
/// return, though C has not, with the thrown word in `*thrown`.
///
/// The C frames that a throw drops may hold the caller's callee-saved registers, so all of them are saved.
/// `*thrown` is 0 after a return without a throw; a throw of 0 is the thrower's mistake.
///
/// Runs on a managed stack, of which it uses 52 bytes, 56 in position-independent code. Go: what `defer` and
/// `recover` around a cgo call do.
/// Not for signal handlers.
///
/// # Safety
/// As [`asmcgocall`], and the current g is one that `resume` runs. `thrown` is valid until this returns.
///
/// # Registers
/// In: on the stack, fn, arg and thrown. Out: `eax`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_asmcgocall_catch")]
pub unsafe extern "C" fn asmcgocall_catch(
    func: CFn,          /* first */
    arg: *mut c_void,   /* second */
    thrown: *mut usize, /* third */
) -> c_int /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The CatchFrame, whose last word the call instruction has written.
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        // Where a throw writes, and how much of the system stack it drops.
        "mov eax, [esp + {pc} + {in_thrown}]",
        "mov dword ptr [eax], 0",
        "mov [esp + {thrown}], eax",
        g_place!("eax"),
        concat!("mov ebx, ", current_g!("eax")),
        "mov eax, [ebx + {m_out}]",
        "mov eax, [eax + {m_g0_sp}]",
        "mov [esp + {g0_sp}], eax",
        "mov eax, [ebx + {catch}]",
        "mov [esp + {previous}], eax",

        // The arguments again.
        "mov eax, [esp + {pc} + {in_func}]",
        "mov [esp + {func}], eax",
        "mov eax, [esp + {pc} + {in_arg}]",
        "mov [esp + {arg}], eax",

        // Complete: publish it, call, take it back. C keeps ebx.
        "mov [ebx + {catch}], esp",
        "call stackgate_asmcgocall_near",
        "mov ecx, [esp + {previous}]",
        "mov [ebx + {catch}], ecx",

        // C gave back every register but the two that were used here.
        "mov ebx, [esp + {ebx}]",              ".cfi_restore ebx",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        // What C gave back is where it was all the while; its copies are below SP now.
        ".cfi_restore esi", ".cfi_restore edi",
        "ret",
        ".cfi_endproc",
        in_func = const offset_of!(Arguments, first),
        in_arg = const offset_of!(Arguments, second),
        in_thrown = const offset_of!(Arguments, third),
        func = const offset_of!(CatchFrame, func),
        arg = const offset_of!(CatchFrame, arg),
        m_out = const offset_of!(G<I386>, m_out),
        catch = const offset_of!(G<I386>, catch),
        m_g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        ebx = const offset_of!(CatchFrame, saved.ebx),
        esi = const offset_of!(CatchFrame, saved.esi),
        edi = const offset_of!(CatchFrame, saved.edi),
        ebp = const offset_of!(CatchFrame, saved.ebp),
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
/// In: on the stack, catch and value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_throw_to")]
pub unsafe extern "C" fn throw_to(
    catch: *mut CatchFrame, /* first */
    value: usize,           /* second */
) -> ! {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The system stack begins again where it did when the catch was made. On curg all the while.
        "push ebx",                            ".cfi_adjust_cfa_offset {word}", ".cfi_rel_offset ebx, 0",
        "mov ecx, [esp + {word} + {in_catch}]",
        g_place!("eax"),
        concat!("mov eax, ", current_g!("eax")),
        "mov ebx, [eax + {m_out}]",
        "mov edx, [ecx + {g0_sp}]",
        "mov [ebx + {m_g0_sp}], edx",
        "mov edx, [ecx + {previous}]",
        "mov [eax + {catch}], edx",
        "mov edx, [ecx + {thrown}]",
        "mov eax, [esp + {word} + {in_value}]",
        "mov [edx], eax",

        // From here on this is asmcgocall_catch, at its end.
        "mov esp, ecx",                        ".cfi_def_cfa esp, {size}",
        ".cfi_rel_offset ebx, {ebx}", ".cfi_rel_offset esi, {esi}", ".cfi_rel_offset edi, {edi}",
        ".cfi_rel_offset ebp, {ebp}",
        "mov ebx, [esp + {ebx}]",              ".cfi_restore ebx",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov edi, [esp + {edi}]",              ".cfi_restore edi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "xor eax, eax",
        // Jump and not `ret`: no call of the return predictor's stack matches it.
        "pop ecx",                             ".cfi_adjust_cfa_offset -{word}", ".cfi_register eip, ecx",
        "jmp ecx",
        ".cfi_endproc",
        word = const WORD,
        in_catch = const offset_of!(Arguments, first),
        in_value = const offset_of!(Arguments, second),
        m_out = const offset_of!(G<I386>, m_out),
        catch = const offset_of!(G<I386>, catch),
        m_g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        previous = const offset_of!(CatchFrame, previous),
        g0_sp = const offset_of!(CatchFrame, g0_sp),
        thrown = const offset_of!(CatchFrame, thrown),
        ebx = const offset_of!(CatchFrame, saved.ebx),
        esi = const offset_of!(CatchFrame, saved.esi),
        edi = const offset_of!(CatchFrame, saved.edi),
        ebp = const offset_of!(CatchFrame, saved.ebp),
        pc = const offset_of!(CatchFrame, pc),
        size = const size_of::<CatchFrame>(),
    )
}

/// Runs managed code on the system stack: `fn(arg)`. Go: `systemstack`.
///
/// From a managed g as [`asmcgocall`], with the same frame; on g0, on gsignal and without a g a tail call.
///
/// Runs on any stack; uses 4 bytes of a managed one, 8 in position-independent code. Safe in a signal
/// handler.
///
/// # Safety
/// As [`asmcgocall`].
///
/// # Registers
/// In: on the stack, fn and arg. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_systemstack")]
pub unsafe extern "C" fn systemstack(func: SystemFn /* first */, arg: *mut c_void /* second */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        g_place!("eax"),
        concat!("mov edx, ", current_g!("eax")),
        "mov ecx, [edx + {m_out}]",
        "test ecx, ecx",
        "jz 3f",

        concat!("mov ", current_g!("eax"), ", ecx"),
        "mov eax, esp",
        "mov esp, [ecx + {g0_sp}]",            ".cfi_def_cfa eax, {word}",

        // On g0. The AsmcgocallFrame, and fn's argument below it.
        "push dword ptr [eax]",
        "push ebp",
        "push eax",
        "push edx",
        "push dword ptr [eax + {in_arg}]",
        "lea ebp, [esp + {link}]",
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_esp}, {sp_lo}, {sp_hi}, {deref}, {plus}, {ra_lo}, {ra_hi}",
        ".cfi_escape {reg_at}, {ebp_dwarf}, {breg_len}, {breg_esp}, {link_lo}, {link_hi}",
        "call dword ptr [eax + {in_func}]",

        "mov ecx, [esp + {g}]",
        "mov ebp, [esp + {link}]",             ".cfi_restore ebp",
        "mov esp, [esp + {sp}]",               ".cfi_def_cfa esp, {word}",
        g_place!("edx"),
        concat!("mov ", current_g!("edx"), ", ecx"),
        "ret",

        // On a system stack already: it goes on as fn. Arguments are the callee's to change: psABI 2.2.3.
        "3:",
        "mov eax, [esp + {in_func}]",
        "mov ecx, [esp + {in_arg}]",
        "mov [esp + {in_func}], ecx",
        "jmp eax",
        ".cfi_endproc",
        word = const WORD,
        in_func = const offset_of!(Arguments, first),
        in_arg = const offset_of!(Arguments, second),
        m_out = const offset_of!(G<I386>, m_out),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        g = const WORD + offset_of!(AsmcgocallFrame, g),
        sp = const WORD + offset_of!(AsmcgocallFrame, sp),
        link = const WORD + offset_of!(AsmcgocallFrame, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        reg_at = const DW_CFA_EXPRESSION, breg_len = const BREG_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST,
        breg_esp = const breg(ESP.dwarf), ebp_dwarf = const EBP.dwarf,
        sp_lo = const leb_lo((WORD + offset_of!(AsmcgocallFrame, sp)) as i64),
        sp_hi = const leb_hi((WORD + offset_of!(AsmcgocallFrame, sp)) as i64),
        link_lo = const leb_lo((WORD + offset_of!(AsmcgocallFrame, link)) as i64),
        link_hi = const leb_hi((WORD + offset_of!(AsmcgocallFrame, link)) as i64),
        ra_lo = const leb_lo(WORD as i64),
        ra_hi = const leb_hi(WORD as i64),
    )
}

/// Leaves the current g, whose `state` stays as it is, and runs `fn(g)` on the system stack for good. Go: `mcall`.
///
/// `fn` ends by `gogo`, on this g or another. What runs when this g is resumed is the return from `mcall`.
///
/// Runs on a managed stack, of which it uses 44 bytes, 48 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// The current g is one that `resume`, `gogo` or `switch_to` runs, and is not below C frames of this m. `fn` does not
/// return.
///
/// # Registers
/// In: on the stack, fn. Clobbered, when it returns: what a C call clobbers. At `fn`'s entry: g on the stack.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall")]
pub unsafe extern "C" fn mcall(func: McallFn /* first */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame, whose last word the call instruction has written.
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        "mov eax, [esp + {pc} + {in_func}]",
        label_4!("ecx"),
        "jmp {light}",

        // On curg, which goes on.
        "4:",
        landing_pad!(),
        "mov ebx, [esp + {ebx}]",              ".cfi_restore ebx",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov edi, [esp + {edi}]",              ".cfi_restore edi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        // Jump and not `ret`: the call was made long ago, perhaps on another CPU.
        "pop ecx",                             ".cfi_adjust_cfa_offset -{word}", ".cfi_register eip, ecx",
        "jmp ecx",
        ".cfi_endproc",
        word = const WORD,
        in_func = const offset_of!(Arguments, first),
        light = sym mcall_light,
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// The switch of [`mcall`], for code that has saved its callee-saved registers: it goes on at the address in
/// `ecx`, with `esi`, `ebp` and SP as they were.
///
/// Runs on a managed stack, of which it uses 12 bytes, 16 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`mcall`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `eax` fn, `ecx` where this g goes on. Clobbered there: all but `esi` and `ebp`. At `fn`'s entry: g on the
/// stack.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_mcall_light")]
pub(crate) unsafe extern "C" fn mcall_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_def_cfa esp, 0", ".cfi_register eip, ecx",
        // The SwitchFrame.
        "sub esp, {size}",                     ".cfi_adjust_cfa_offset {size}",
        "mov [esp + {pc}], ecx",               ".cfi_rel_offset eip, {pc}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",

        // The others are lost from here on.
        ".cfi_undefined ebx", ".cfi_undefined edi",
        g_place!("ebx"),
        concat!("mov edx, ", current_g!("ebx")),
        "mov ecx, [edx + {m_out}]",
        "mov [edx + {sched_sp}], esp",

        // g0 is current, nothing runs on this m, and this g has no m.
        concat!("mov ", current_g!("ebx"), ", ecx"),
        "mov dword ptr [ecx + {curg}], 0",
        "mov dword ptr [edx + {m_out}], 0",
        "mov esp, [ecx + {g0_sp}]",
        // On g0, at the SwitchFrame of the last `resume`: the same layout, so that nothing changes for who
        // unwinds. The frame records begin anew: the g may run on another thread in a moment.
        "lea ebp, [esp + {ebp}]",
        "push edx",                            ".cfi_adjust_cfa_offset {word}",
        "call eax",
        "ud2",
        ".cfi_endproc",
        word = const WORD,
        m_out = const offset_of!(G<I386>, m_out),
        sched_sp = const offset_of!(G<I386>, sched.sp),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        curg = const offset_of!(M<I386>, curg),
        esi = const offset_of!(SwitchFrame, esi),
        ebp = const offset_of!(SwitchFrame, ebp),
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
/// In: on the stack, g and value. Does not return.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_gogo")]
pub unsafe extern "C" fn gogo(g: *mut G<I386> /* first */, value: usize /* second */) -> ! {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "mov edx, [esp + {in_g}]",
        g_place!("eax"),
        concat!("mov ecx, ", current_g!("eax")),
        // What unwinders follow from the g's first frame.
        "push dword ptr [ecx + {g0_sp}]",      ".cfi_adjust_cfa_offset {word}",
        "mov ecx, [edx + {top}]",
        "pop dword ptr [ecx - {base} + {parent}]", ".cfi_adjust_cfa_offset -{word}",
        concat!("mov ecx, ", current_g!("eax")),
        "mov [edx + {m_out}], ecx",
        "mov [ecx + {curg}], edx",

        "mov ecx, [esp + {in_value}]",
        // On curg, at the SwitchFrame that it has left. ebp after SP: it may define the CFA of who called this.
        "mov esp, [edx + {sched_sp}]",         ".cfi_def_cfa esp, {size}",
        ".cfi_rel_offset esi, {esi}", ".cfi_rel_offset ebp, {ebp}",
        ".cfi_undefined ebx", ".cfi_undefined edi",
        concat!("mov ", current_g!("eax"), ", edx"),
        "mov eax, ecx",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "mov ecx, [esp + {pc}]",               ".cfi_register eip, ecx",
        "add esp, {size}",                     ".cfi_adjust_cfa_offset -{size}",
        "jmp ecx",
        ".cfi_endproc",
        word = const WORD,
        in_g = const offset_of!(Arguments, first),
        in_value = const offset_of!(Arguments, second),
        m_out = const offset_of!(G<I386>, m_out),
        top = const offset_of!(G<I386>, stack) + offset_of!(Stack<I386>, top),
        sched_sp = const offset_of!(G<I386>, sched.sp),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        curg = const offset_of!(M<I386>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        esi = const offset_of!(SwitchFrame, esi),
        ebp = const offset_of!(SwitchFrame, ebp),
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
/// Runs on a system stack, of which it uses 12 bytes, 16 in position-independent code. Go: `execute` and the end of
/// `mcall`, in one. Not for signal handlers.
///
/// # Safety
/// The current g is a g0 whose m runs nothing. `g` is parked, and no other thread runs it.
#[inline(always)]
pub unsafe fn resume(g: *mut G<I386>, value: usize) -> (usize, *mut G<I386>) {
    let (out, left);
    // SAFETY: by the caller; what is lost is named. The stack below SP is free for a call.
    unsafe {
        asm!(
            "call {light}",
            light = sym resume_light,
            inlateout("edx") g => left,
            inlateout("eax") value => out,
            lateout("ebx") _, lateout("edi") _,
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
/// Runs on a managed stack, of which it uses 12 bytes, 16 in position-independent code. Go: `gopark`.
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
            label_4!("ecx", inline),
            "jmp {light}",
            "4:",
            landing_pad!(),
            light = sym park_light,
            inlateout("eax") value => out,
            lateout("ebx") _, lateout("edi") _,
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
/// Runs on a managed stack, of which it uses 12 bytes, 16 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]. `g` is parked, is not the current one, and no other thread runs it.
#[inline(always)]
pub unsafe fn switch_to(g: *mut G<I386>, value: usize) -> usize {
    let out;
    // SAFETY: as above. It goes on behind the jump.
    unsafe {
        asm!(
            label_4!("ecx", inline),
            "jmp {light}",
            "4:",
            landing_pad!(),
            light = sym switch_light,
            inlateout("edx") g => _,
            inlateout("eax") value => out,
            lateout("ebx") _, lateout("edi") _,
            clobber_abi("C"),
        );
    }
    out
}

/// [`resume`] as a function: what C calls.
///
/// Runs on a system stack, of which it uses 44 bytes, 48 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`].
///
/// # Registers
/// In: on the stack, g and value. Out: `eax`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume")]
pub unsafe extern "C" fn resume_full(
    g: *mut G<I386>, /* first */
    value: usize,    /* second */
) -> usize /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame, whose last word the call instruction has written.
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        "mov edx, [esp + {pc} + {in_g}]",
        "mov eax, [esp + {pc} + {in_value}]",
        "call {light}",

        "mov ebx, [esp + {ebx}]",              ".cfi_restore ebx",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov edi, [esp + {edi}]",              ".cfi_restore edi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        in_g = const offset_of!(Arguments, first),
        in_value = const offset_of!(Arguments, second),
        light = sym resume_light,
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// [`park`] as a function: what C calls.
///
/// Runs on a managed stack, of which it uses 44 bytes, 48 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`].
///
/// # Registers
/// In: on the stack, value. Out: `eax`. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park")]
pub unsafe extern "C" fn park_full(value: usize /* first */) -> usize /* eax */ {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        // The Crosscall2Frame, whose last word the call instruction has written.
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        "mov eax, [esp + {pc} + {in_value}]",
        label_4!("ecx"),
        "jmp {light}",

        // On curg, which goes on; eax is the word for it.
        "4:",
        landing_pad!(),
        "mov ebx, [esp + {ebx}]",              ".cfi_restore ebx",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov edi, [esp + {edi}]",              ".cfi_restore edi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        // Jump and not `ret`: the call was made long ago, perhaps on another CPU.
        "pop ecx",                             ".cfi_adjust_cfa_offset -{word}", ".cfi_register eip, ecx",
        "jmp ecx",
        ".cfi_endproc",
        word = const WORD,
        in_value = const offset_of!(Arguments, first),
        light = sym park_light,
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// The switch of [`resume`]: saves what no list of clobbers may name, and returns when the g has parked or ended.
///
/// Both stacks have a [`SwitchFrame`] at the place where they are left, so that one description of the frame is
/// right before SP moves and after. It is called, and `park` returns to its caller: the return predictor is right.
///
/// Runs on a system stack, of which it uses 12 bytes, 16 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`resume`]; not callable from Rust, since it keeps too little.
///
/// # Registers
/// In: `edx` g, `eax` value. Out: `eax`, and in `edx` the g that has come back. Clobbered: all but `esi` and `ebp`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_resume_light")]
pub(crate) unsafe extern "C" fn resume_light() {
    naked_asm!(
        ".cfi_startproc",
        // The SwitchFrame, whose last word the call instruction has written.
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",

        // The others are lost from here on.
        ".cfi_undefined ebx", ".cfi_undefined edi",
        g_place!("ebx"),
        concat!("mov ecx, ", current_g!("ebx")),
        // The system stack is used from here on by what this g calls, and unwinders come here from its
        // first frame.
        "mov [ecx + {g0_sp}], esp",
        "mov edi, [edx + {top}]",
        "mov [edi - {base} + {parent}], esp",
        "mov [edx + {m_out}], ecx",
        "mov [ecx + {curg}], edx",

        // The g's own SP, then the g. On curg, at the SwitchFrame that it has left: the rules above describe
        // that as well.
        "mov esp, [edx + {sched_sp}]",
        concat!("mov ", current_g!("ebx"), ", edx"),
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "mov ecx, [esp + {pc}]",               ".cfi_register eip, ecx",
        "add esp, {size}",                     ".cfi_adjust_cfa_offset -{size}",
        "jmp ecx",
        ".cfi_endproc",
        m_out = const offset_of!(G<I386>, m_out),
        top = const offset_of!(G<I386>, stack) + offset_of!(Stack<I386>, top),
        sched_sp = const offset_of!(G<I386>, sched.sp),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        curg = const offset_of!(M<I386>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        esi = const offset_of!(SwitchFrame, esi),
        ebp = const offset_of!(SwitchFrame, ebp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`park`]: goes on at the address in `ecx` when the g is resumed, with `esi`, `ebp` and SP as they
/// were.
///
/// Runs on a managed stack, of which it uses 12 bytes, 16 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`park`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `eax` value, `ecx` where this g goes on. Out, there: `eax`. Clobbered there: all but `esi` and `ebp`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_park_light")]
pub(crate) unsafe extern "C" fn park_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_def_cfa esp, 0", ".cfi_register eip, ecx",
        // The SwitchFrame.
        "sub esp, {size}",                     ".cfi_adjust_cfa_offset {size}",
        "mov [esp + {pc}], ecx",               ".cfi_rel_offset eip, {pc}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",

        // The others are lost from here on.
        ".cfi_undefined ebx", ".cfi_undefined edi",
        g_place!("ebx"),
        concat!("mov edx, ", current_g!("ebx")),
        "mov ecx, [edx + {m_out}]",
        "mov [edx + {sched_sp}], esp",

        // g0 is current, nothing runs on this m, and this g has no m.
        concat!("mov ", current_g!("ebx"), ", ecx"),
        "mov dword ptr [ecx + {curg}], 0",
        "mov dword ptr [edx + {m_out}], 0",
        "mov esp, [ecx + {g0_sp}]",

        // On g0, in resume's SwitchFrame: the same layout, so the rules above describe it as well.
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        m_out = const offset_of!(G<I386>, m_out),
        sched_sp = const offset_of!(G<I386>, sched.sp),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        curg = const offset_of!(M<I386>, curg),
        esi = const offset_of!(SwitchFrame, esi),
        ebp = const offset_of!(SwitchFrame, ebp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// The switch of [`switch_to`]: goes on at the address in `ecx` when the g is resumed, with `esi`, `ebp` and SP as
/// they were.
///
/// Runs on a managed stack, of which it uses 12 bytes, 16 in position-independent code.
/// Not for signal handlers.
///
/// # Safety
/// As [`switch_to`]; not callable from Rust, since it does not return to its caller.
///
/// # Registers
/// In: `edx` g, `eax` value, `ecx` where the current g goes on. Out, there: `eax`. Clobbered there: all but `esi`
/// and `ebp`.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_switch_light")]
pub(crate) unsafe extern "C" fn switch_light() {
    naked_asm!(
        ".cfi_startproc",
        // Jumped to: the call instruction would leave a return address that nobody returns to.
        ".cfi_def_cfa esp, 0", ".cfi_register eip, ecx",
        // The SwitchFrame.
        "sub esp, {size}",                     ".cfi_adjust_cfa_offset {size}",
        "mov [esp + {pc}], ecx",               ".cfi_rel_offset eip, {pc}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",

        // The others are lost from here on.
        ".cfi_undefined ebx", ".cfi_undefined edi",
        g_place!("ebx"),
        concat!("mov ecx, ", current_g!("ebx")),
        "mov esi, [ecx + {m_out}]",
        "mov [ecx + {sched_sp}], esp",

        // What unwinders follow from the other g's first frame; then g0 is current, that one is curg, and this one has
        // no m.
        "mov edi, [edx + {top}]",
        "mov ecx, [esi + {g0_sp}]",
        "mov [edi - {base} + {parent}], ecx",
        "mov [edx + {m_out}], esi",
        "mov ecx, [esi + {curg}]",
        concat!("mov ", current_g!("ebx"), ", esi"),
        "mov [esi + {curg}], edx",
        "mov dword ptr [ecx + {m_out}], 0",

        // On the other g, at the SwitchFrame that it has left: the rules above describe that as well. Nothing of
        // this one is in use any more.
        "mov esp, [edx + {sched_sp}]",
        concat!("mov ", current_g!("ebx"), ", edx"),
        "mov dword ptr [ecx + {state}], {parked}",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "mov ecx, [esp + {pc}]",               ".cfi_register eip, ecx",
        "add esp, {size}",                     ".cfi_adjust_cfa_offset -{size}",
        "jmp ecx",
        ".cfi_endproc",
        m_out = const offset_of!(G<I386>, m_out),
        top = const offset_of!(G<I386>, stack) + offset_of!(Stack<I386>, top),
        state = const offset_of!(G<I386>, state),
        parked = const crate::GState::Parked as usize,
        sched_sp = const offset_of!(G<I386>, sched.sp),
        g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        curg = const offset_of!(M<I386>, curg),
        base = const size_of::<BaseFrame>(),
        parent = const offset_of!(BaseFrame, parent),
        esi = const offset_of!(SwitchFrame, esi),
        ebp = const offset_of!(SwitchFrame, ebp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
    )
}

/// Where a g's first `resume` arrives: runs its function, then parks it for the last time.
///
/// Not a function: `resume`, `gogo` and `switch_to` jump here, on the g's stack, with SP at its [`BaseFrame`]
/// and the word for it in `eax`. Unwinders go on in the `resume` that runs this g, whose frame `parent`
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
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_esp}, {parent_lo}, {parent_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        ".cfi_offset esi, {esi} - {size}", ".cfi_offset ebp, {ebp} - {size}",
        // Not kept: the resume that runs this has lost them.
        ".cfi_undefined ebx", ".cfi_undefined edi",
        // An unwinder looks one byte before the address that `resume` jumps to.
        "nop",
        ".globl stackgate_g_begin", ".hidden stackgate_g_begin",
        "stackgate_g_begin:",
        landing_pad!(),
        // The word for it takes the place of the function at SP, as an argument.
        "mov ecx, [esp + {entry}]",
        "mov [esp + {entry}], eax",
        "call ecx",

        // On curg, which ends. From here on this is park, and nobody comes back. eax is the last word.
        "mov ecx, [esp + {parent}]",
        g_place!("ebx", still),
        concat!("mov edx, ", current_g!("ebx")),
        "mov esi, [edx + {m_out}]",
        "mov dword ptr [edx + {state}], {finished}",
        concat!("mov ", current_g!("ebx"), ", esi"),
        "mov dword ptr [esi + {curg}], 0",
        "mov dword ptr [edx + {m_out}], 0",
        // Where `resume` stands, whatever C has left of callbacks by longjmp.
        "mov esp, ecx",                        ".cfi_def_cfa esp, {size}",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        entry = const offset_of!(BaseFrame, entry),
        parent = const offset_of!(BaseFrame, parent),
        m_out = const offset_of!(G<I386>, m_out),
        state = const offset_of!(G<I386>, state),
        finished = const crate::GState::Finished as usize,
        curg = const offset_of!(M<I386>, curg),
        esi = const offset_of!(SwitchFrame, esi),
        ebp = const offset_of!(SwitchFrame, ebp),
        pc = const offset_of!(SwitchFrame, pc),
        size = const size_of::<SwitchFrame>(),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_esp = const breg(ESP.dwarf),
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
/// Runs on a system stack, of which it uses 28 bytes, and of curg's 44 below the call into C. Not for signal
/// handlers.
///
/// # Safety
/// `fn` may be called with these arguments on curg's stack.
///
/// # Registers
/// In: on the stack, fn, frame, framesize and ctxt. Clobbered: what a C call clobbers, and what `fn` clobbers
/// beside that. At `fn`'s entry: frame, framesize and ctxt on the stack; SP + 4 a multiple of 16; DF as C
/// left it, clear.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_cgocallback")]
pub unsafe extern "C" fn cgocallback(
    func: CallbackFn,   /* first */
    frame: *mut c_void, /* second */
    framesize: usize,   /* third */
    ctxt: usize,        /* fourth */
) {
    naked_asm!(
        ".cfi_startproc",
        // For crosscall2; see asmcgocall.
        ".globl stackgate_cgocallback_near", ".hidden stackgate_cgocallback_near",
        "stackgate_cgocallback_near:",
        landing_pad!(),
        g_place!("eax"),
        // C's frame record, the upper end of the CallbackFrame.
        "push ebp",                            ".cfi_def_cfa_offset 2*{word}", ".cfi_offset ebp, -2*{word}",
        "mov ebp, esp",                        ".cfi_def_cfa_register ebp",

        // May this g be called back, and is there a g to run it?
        concat!("mov ecx, ", current_g!("eax")),
        "mov ecx, [ecx + {m_in}]",
        "test ecx, ecx",
        "jz 3f",
        "mov edx, [ecx + {curg}]",
        "test edx, edx",
        "jz 3f",
        // What C has below a callback is lower than g0_sp; where it is not, C has left the callback's frames by longjmp,
        // unless it has a stack of its own.
        "cmp esp, [ecx + {m_g0_sp}]",
        "ja 4f",
        "5:",

        // The rest of the CallbackFrame, from its upper end: place, m, ctxt, g, g0_sp.
        "push eax",
        // The AsmcgocallFrame that this callback came through ends at g0_sp. Where its g is another, C has left it by
        // longjmp and called over it.
        "mov eax, [ecx + {m_g0_sp}]",
        "cmp [eax - {call} + {call_g}], edx",
        "jne 6f",
        "push ecx",
        "push dword ptr [ebp + {word} + {in_ctxt}]",
        "push edx",
        "push eax",
        // It is complete: publish it. Then SP goes to curg's stack, then curg is current.
        "mov [ecx + {m_g0_sp}], esp",
        "mov ecx, [esp + {place}]",
        "mov esp, [eax - {call} + {call_sp}]",
        concat!("mov ", current_g!("ecx"), ", edx"),
        "and esp, -{align}",
        "sub esp, {above_entry}",

        // On curg. The CallbackEntry from its upper end: pc, link, func, callback, and the arguments. ebp is C's
        // until all is there, since the arguments are found by it, and unwinders' CFA is.
        "push dword ptr [eax - {call} + {call_pc}]",
        "push dword ptr [eax - {call} + {call_link}]",
        "push dword ptr [ebp + {word} + {in_func}]",
        "lea eax, [ebp - {cb_link}]",
        "push eax",
        "push dword ptr [ebp + {word} + {in_ctxt}]",
        "push dword ptr [ebp + {word} + {in_framesize}]",
        "push dword ptr [ebp + {word} + {in_frame}]",
        "lea ebp, [esp + {link}]",
        // From here on the CFA is the upper end of the CallbackFrame that `callback` designates.
        ".cfi_escape {cfa_is}, {cfa_len}, {breg_esp}, {cb_lo}, {cb_hi}, {deref}, {plus}, {size_lo}, {size_hi}",
        "call dword ptr [esp + {func}]",
        ".globl stackgate_callback_return", ".hidden stackgate_callback_return",
        "stackgate_callback_return:",

        // On curg, and only SP is known. g0 is current again, the frame is taken back, then SP leaves.
        "mov ecx, [esp + {callback}]",
        "mov edx, [ecx + {m}]",
        kept_g_place!("eax", "[ecx + {place}]"),
        concat!("mov ", current_g!("eax"), ", edx"),
        "mov eax, [ecx + {g0_sp}]",
        "mov [edx + {m_g0_sp}], eax",
        "lea esp, [ecx + {cb_link}]",          ".cfi_def_cfa esp, 2*{word}",
        "pop ebp",                             ".cfi_adjust_cfa_offset -{word}", ".cfi_restore ebp",
        "ret",

        // Called over.
        "6:",                                  ".cfi_def_cfa ebp, 2*{word}", ".cfi_offset ebp, -2*{word}",
        "pop eax",
        "jmp 3f",

        // Above g0_sp: is not one of them on g0's stack? A foreign thread's g0_sp begins in its m.
        "4:",
        "mov edx, [ecx + {m_g0_sp}]",
        "cmp edx, [ecx + {m_g0_limit}]",
        "mov edx, [ecx + {curg}]",
        "jb 5b",
        "cmp esp, [ecx + {m_g0_top}]",
        "ja 5b",

        // On g0, or on whatever stack C runs. The arguments are as they came.
        "3:",
        "pop ebp",                             ".cfi_def_cfa esp, {word}", ".cfi_restore ebp",
        address!("eax", "{elsewhere}"),
        "jmp dword ptr [eax]",
        ".cfi_endproc",
        elsewhere = sym CALLBACK_ELSEWHERE,
        word = const WORD,
        align = const ALIGN,
        above_entry = const ABOVE_ENTRY,
        in_func = const offset_of!(Arguments, first),
        in_frame = const offset_of!(Arguments, second),
        in_framesize = const offset_of!(Arguments, third),
        in_ctxt = const offset_of!(Arguments, fourth),
        m_in = const offset_of!(G<I386>, m_in),
        curg = const offset_of!(M<I386>, curg),
        m_g0_sp = const offset_of!(M<I386>, g0.sched.sp),
        m_g0_limit = const offset_of!(M<I386>, g0.stack.limit),
        m_g0_top = const offset_of!(M<I386>, g0.stack.top),
        call = const size_of::<AsmcgocallFrame>(),
        call_g = const offset_of!(AsmcgocallFrame, g),
        call_sp = const offset_of!(AsmcgocallFrame, sp),
        call_link = const offset_of!(AsmcgocallFrame, link),
        call_pc = const offset_of!(AsmcgocallFrame, pc),
        g0_sp = const offset_of!(CallbackFrame, g0_sp),
        m = const offset_of!(CallbackFrame, m),
        place = const offset_of!(CallbackFrame, place),
        cb_link = const offset_of!(CallbackFrame, link),
        callback = const offset_of!(CallbackEntry, callback),
        func = const offset_of!(CallbackEntry, func),
        link = const offset_of!(CallbackEntry, link),
        cfa_is = const DW_CFA_DEF_CFA_EXPRESSION, cfa_len = const CFA_DEREF_LEN,
        deref = const DW_OP_DEREF, plus = const DW_OP_PLUS_UCONST, breg_esp = const breg(ESP.dwarf),
        cb_lo = const leb_lo(offset_of!(CallbackEntry, callback) as i64),
        cb_hi = const leb_hi(offset_of!(CallbackEntry, callback) as i64),
        size_lo = const leb_lo(size_of::<CallbackFrame>() as i64),
        size_hi = const leb_hi(size_of::<CallbackFrame>() as i64),
    )
}
// The pushes of cgocallback, from each frame's upper end down.
pushes!(CallbackFrame: pc, link, place, m, ctxt, g, g0_sp);
pushes!(CallbackEntry: pc, link, func, callback, ctxt, framesize, frame);

/// C's way into managed code that keeps no register: saves all that C expects back, then [`cgocallback`].
/// Go: `crosscall2`.
///
/// Runs on a system stack, of which it uses 48 bytes beside those of `cgocallback`. Not for signal handlers.
///
/// # Safety
/// As [`cgocallback`].
///
/// # Registers
/// In: on the stack, fn, a, n and ctxt. Clobbered: what a C call clobbers. At `fn`'s entry: as
/// [`cgocallback`]; an `int` is as wide as a word.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2")]
pub unsafe extern "C" fn crosscall2(
    func: CallbackFn, /* first */
    a: *mut c_void,   /* second */
    n: c_int,         /* third */
    ctxt: usize,      /* fourth */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        // The same arguments again, the last one first. Each push brings SP to where the argument before has
        // the same distance.
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "call stackgate_cgocallback_near",

        "mov ebx, [esp + {outgoing} + {ebx}]", ".cfi_restore ebx",
        "mov esi, [esp + {outgoing} + {esi}]", ".cfi_restore esi",
        "mov edi, [esp + {outgoing} + {edi}]", ".cfi_restore edi",
        "mov ebp, [esp + {outgoing} + {ebp}]", ".cfi_restore ebp",
        "add esp, {outgoing} + {pc}",          ".cfi_adjust_cfa_offset -({outgoing} + {pc})",
        "ret",
        ".cfi_endproc",
        word = const WORD,
        outgoing = const OUTGOING,
        again = const offset_of!(Crosscall2Frame, pc) + offset_of!(Arguments, fourth),
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// [`crosscall2`] with three arguments, as C code that knows no context calls it: the context is 0.
///
/// Go takes the missing fourth argument from whatever the stack holds.
///
/// Runs on a system stack, of which it uses 48 bytes beside those of `cgocallback`: its caller has left no
/// room for the fourth argument, so that it has a frame of its own and does not jump to `crosscall2`. Not for signal
/// handlers.
///
/// # Safety
/// As [`crosscall2`].
///
/// # Registers
/// In: on the stack, fn, a and n. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall2_panic")]
pub unsafe extern "C" fn crosscall2_panic(
    func: CallbackFn, /* first */
    a: *mut c_void,   /* second */
    n: c_int,         /* third */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        "push 0",                              ".cfi_adjust_cfa_offset {word}",
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "push dword ptr [esp + {again}]",      ".cfi_adjust_cfa_offset {word}",
        "call stackgate_cgocallback_near",

        "mov ebx, [esp + {outgoing} + {ebx}]", ".cfi_restore ebx",
        "mov esi, [esp + {outgoing} + {esi}]", ".cfi_restore esi",
        "mov edi, [esp + {outgoing} + {edi}]", ".cfi_restore edi",
        "mov ebp, [esp + {outgoing} + {ebp}]", ".cfi_restore ebp",
        "add esp, {outgoing} + {pc}",          ".cfi_adjust_cfa_offset -({outgoing} + {pc})",
        "ret",
        ".cfi_endproc",
        word = const WORD,
        outgoing = const OUTGOING,
        again = const offset_of!(Crosscall2Frame, pc) + offset_of!(Arguments, fourth),
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
        pc = const offset_of!(Crosscall2Frame, pc),
    )
}

/// A thread's entry: makes the g0 `g` current, runs `fn(g)` where it stands, and gives C back its registers
/// and the thread its former g. Go: `crosscall1`.
///
/// Runs on the thread's own stack, of which it uses 52 bytes. Not for signal handlers.
///
/// # Safety
/// `g` is a g0 that no other thread uses; `fn` may be called with it.
///
/// # Registers
/// In: on the stack, fn and g. Clobbered: what a C call clobbers, whatever `fn` clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_crosscall1")]
pub unsafe extern "C" fn crosscall1(func: ThreadFn /* first */, g: *mut G<I386> /* second */) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        g_place!("ecx"),
        concat!("mov eax, ", current_g!("ecx")),
        "mov [esp + {former}], eax",
        "mov edx, [esp + {pc} + {in_g}]",
        "mov eax, [esp + {pc} + {in_func}]",
        concat!("mov ", current_g!("ecx"), ", edx"),
        "sub esp, {outgoing} - {word}",        ".cfi_adjust_cfa_offset {outgoing} - {word}",
        "push edx",                            ".cfi_adjust_cfa_offset {word}",
        "call eax",
        g_place!("ecx"),
        "mov eax, [esp + {outgoing} + {former}]",
        concat!("mov ", current_g!("ecx"), ", eax"),

        "mov ebx, [esp + {outgoing} + {ebx}]", ".cfi_restore ebx",
        "mov esi, [esp + {outgoing} + {esi}]", ".cfi_restore esi",
        "mov edi, [esp + {outgoing} + {edi}]", ".cfi_restore edi",
        "mov ebp, [esp + {outgoing} + {ebp}]", ".cfi_restore ebp",
        "add esp, {outgoing} + {pc}",          ".cfi_adjust_cfa_offset -({outgoing} + {pc})",
        "ret",
        ".cfi_endproc",
        word = const WORD,
        outgoing = const OUTGOING,
        in_func = const offset_of!(Arguments, first),
        in_g = const offset_of!(Arguments, second),
        former = const offset_of!(Crosscall2Frame, former),
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
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
/// Runs on any stack, of which it uses at most 80 bytes: on a signal stack where the thread has one, also on one
/// that C has set. It is a signal handler. Go: `sigtramp`.
///
/// # Safety
/// `info` and `ucontext` are what the kernel passed for `signal`. What is called returns: a jump out of it
/// would leave gsignal current.
///
/// # Registers
/// In: on the stack, signal, info and ucontext. Clobbered: what a C call clobbers.
#[unsafe(naked)]
#[unsafe(link_section = "stackgate_text")]
#[unsafe(export_name = "stackgate_sigtramp")]
pub unsafe extern "C" fn sigtramp(
    signal: c_int,         /* first */
    info: *mut c_void,     /* second */
    ucontext: *mut c_void, /* third */
) {
    naked_asm!(
        ".cfi_startproc",
        landing_pad!(),
        "sub esp, {pc}",                       ".cfi_adjust_cfa_offset {pc}",
        "mov [esp + {ebx}], ebx",              ".cfi_rel_offset ebx, {ebx}",
        "mov [esp + {esi}], esi",              ".cfi_rel_offset esi, {esi}",
        "mov [esp + {edi}], edi",              ".cfi_rel_offset edi, {edi}",
        "mov [esp + {ebp}], ebp",              ".cfi_rel_offset ebp, {ebp}",
        "lea ebp, [esp + {ebp}]",

        g_place!("ecx"),
        address!("edx", "{handler}"),
        // Whose signal stack? The m's of the g that was interrupted, or of the g0. gsignal stays current, and
        // so does the g that stands for none.
        concat!("mov eax, ", current_g!("ecx")),
        "mov [esp + {former}], eax",
        "mov ebx, [eax + {m_out}]",
        "test ebx, ebx",
        "jnz 4f",
        "cmp dword ptr [eax + {state}], {is_g0}",
        "jne 3f",
        "mov ebx, eax",
        "4:",
        "add ebx, {gsignal}",
        concat!("mov ", current_g!("ecx"), ", ebx"),

        // The arguments once more, where SP is a multiple of 16, and the former g. Above them this SP; for
        // unwinders the frame is where ebp says.
        "3:",
        "mov ecx, esp",                        ".cfi_def_cfa ebp, {size} - {ebp}",
        "and esp, -{align}",
        "sub esp, {align} - {word}",
        "push ecx",
        "push eax",
        "push dword ptr [ecx + {pc} + {in_ucontext}]",
        "push dword ptr [ecx + {pc} + {in_info}]",
        "push dword ptr [ecx + {pc} + {in_signal}]",
        "call dword ptr [edx]",
        ".globl stackgate_sigtramp_return", ".hidden stackgate_sigtramp_return",
        "stackgate_sigtramp_return:",
        "mov esp, [esp + {outgoing}]",         ".cfi_def_cfa esp, {size}",

        g_place!("ecx"),
        "mov eax, [esp + {former}]",
        concat!("mov ", current_g!("ecx"), ", eax"),

        "mov ebx, [esp + {ebx}]",              ".cfi_restore ebx",
        "mov esi, [esp + {esi}]",              ".cfi_restore esi",
        "mov edi, [esp + {edi}]",              ".cfi_restore edi",
        "mov ebp, [esp + {ebp}]",              ".cfi_restore ebp",
        "add esp, {pc}",                       ".cfi_adjust_cfa_offset -{pc}",
        "ret",
        ".cfi_endproc",
        handler = sym SIGNAL_HANDLER,
        word = const WORD,
        outgoing = const OUTGOING,
        align = const ALIGN,
        in_signal = const offset_of!(Arguments, first),
        in_info = const offset_of!(Arguments, second),
        in_ucontext = const offset_of!(Arguments, third),
        m_out = const offset_of!(G<I386>, m_out),
        state = const offset_of!(G<I386>, state),
        is_g0 = const crate::GState::G0 as usize,
        gsignal = const offset_of!(M<I386>, gsignal),
        former = const offset_of!(Crosscall2Frame, former),
        ebx = const offset_of!(Crosscall2Frame, saved.ebx),
        esi = const offset_of!(Crosscall2Frame, saved.esi),
        edi = const offset_of!(Crosscall2Frame, saved.edi),
        ebp = const offset_of!(Crosscall2Frame, saved.ebp),
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
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// Asks valgrind for what the six `words` say, by instructions that do nothing where it is not there: then `default`
/// is the answer. The words are a request's number and its arguments.
///
/// Runs on any stack; safe in a signal handler. Source: `PLAT_x86_linux` in `valgrind.h` of valgrind 3.19.
#[inline(always)]
pub fn client_request(default: usize, words: &[usize; 6]) -> usize {
    let answer;
    // SAFETY: no register changes but the one of the answer.
    unsafe {
        asm!(
            "rol edi, 3",
            "rol edi, 13",
            "rol edi, 29",
            "rol edi, 19",
            "xchg ebx, ebx",
            in("eax") words,
            inlateout("edx") default => answer,
            options(nostack),
        );
    }
    answer
}

//! Register tests on ppc64le.

use core::arch::{global_asm, naked_asm};
use core::ffi::{c_int, c_void};

/// ELFv2 ABI 2.2.2.1: the back chain, and in the frame that it designates the return address.
pub const PERF: crate::perf::Chain = crate::perf::Chain {
    register: 1,
    link: 0,
    pc: 16,
    pc_is_in_next: true,
    pc_bits: usize::MAX,
    upwards: false,
};

/// Cases of this CPU alone: none.
pub const CASES: &[crate::harness::Case] = &[];

/// The callee-saved registers of the C ABI, in the order of a pattern's words. Condition register fields 2 to
/// 4 are one word, as `mfcr` gives it.
#[rustfmt::skip]
pub const KEPT: &[&str] = &[
    "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22",
    "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31",
    "f14", "f15", "f16", "f17", "f18", "f19", "f20", "f21", "f22",
    "f23", "f24", "f25", "f26", "f27", "f28", "f29", "f30", "f31",
    "v20.lo", "v20.hi", "v21.lo", "v21.hi", "v22.lo", "v22.hi", "v23.lo", "v23.hi", "v24.lo",
    "v24.hi", "v25.lo", "v25.hi", "v26.lo", "v26.hi", "v27.lo", "v27.hi", "v28.lo", "v28.hi",
    "v29.lo", "v29.hi", "v30.lo", "v30.hi", "v31.lo", "v31.hi", "cr2-4",
];

/// A word for each register of [`KEPT`].
pub type Pattern = [u64; KEPT.len()];

/// Calls `f(args...)` with `pattern` in the callee-saved registers, and stores what they hold after.
///
/// # Safety
/// `f` is a C function of up to four words.
#[unsafe(naked)]
pub unsafe extern "C" fn with_pattern(
    f: usize,                /* r3 */
    args: *const [usize; 4], /* r4 */
    pattern: *const Pattern, /* r5 */
    seen: *mut Pattern,      /* r6 */
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "mflr %r0",
        "std %r0, 16(%r1)",               ".cfi_offset lr, 16",
        "mfcr %r0",
        "stw %r0, 8(%r1)",                ".cfi_offset cr2, 8", ".cfi_offset cr3, 8", ".cfi_offset cr4, 8",
        // A header, `seen`, a word for alignment, then the registers.
        "stdu %r1, -{size}(%r1)",         ".cfi_def_cfa_offset {size}",
        "std %r2, 24(%r1)",
        "std %r6, 32(%r1)",
        "std %r14, 48(%r1)",              ".cfi_rel_offset %r14, 48",
        "std %r15, 56(%r1)",              ".cfi_rel_offset %r15, 56",
        "std %r16, 64(%r1)",              ".cfi_rel_offset %r16, 64",
        "std %r17, 72(%r1)",              ".cfi_rel_offset %r17, 72",
        "std %r18, 80(%r1)",              ".cfi_rel_offset %r18, 80",
        "std %r19, 88(%r1)",              ".cfi_rel_offset %r19, 88",
        "std %r20, 96(%r1)",              ".cfi_rel_offset %r20, 96",
        "std %r21, 104(%r1)",             ".cfi_rel_offset %r21, 104",
        "std %r22, 112(%r1)",             ".cfi_rel_offset %r22, 112",
        "std %r23, 120(%r1)",             ".cfi_rel_offset %r23, 120",
        "std %r24, 128(%r1)",             ".cfi_rel_offset %r24, 128",
        "std %r25, 136(%r1)",             ".cfi_rel_offset %r25, 136",
        "std %r26, 144(%r1)",             ".cfi_rel_offset %r26, 144",
        "std %r27, 152(%r1)",             ".cfi_rel_offset %r27, 152",
        "std %r28, 160(%r1)",             ".cfi_rel_offset %r28, 160",
        "std %r29, 168(%r1)",             ".cfi_rel_offset %r29, 168",
        "std %r30, 176(%r1)",             ".cfi_rel_offset %r30, 176",
        "std %r31, 184(%r1)",             ".cfi_rel_offset %r31, 184",
        "stfd %f14, 192(%r1)",            ".cfi_rel_offset %f14, 192",
        "stfd %f15, 200(%r1)",            ".cfi_rel_offset %f15, 200",
        "stfd %f16, 208(%r1)",            ".cfi_rel_offset %f16, 208",
        "stfd %f17, 216(%r1)",            ".cfi_rel_offset %f17, 216",
        "stfd %f18, 224(%r1)",            ".cfi_rel_offset %f18, 224",
        "stfd %f19, 232(%r1)",            ".cfi_rel_offset %f19, 232",
        "stfd %f20, 240(%r1)",            ".cfi_rel_offset %f20, 240",
        "stfd %f21, 248(%r1)",            ".cfi_rel_offset %f21, 248",
        "stfd %f22, 256(%r1)",            ".cfi_rel_offset %f22, 256",
        "stfd %f23, 264(%r1)",            ".cfi_rel_offset %f23, 264",
        "stfd %f24, 272(%r1)",            ".cfi_rel_offset %f24, 272",
        "stfd %f25, 280(%r1)",            ".cfi_rel_offset %f25, 280",
        "stfd %f26, 288(%r1)",            ".cfi_rel_offset %f26, 288",
        "stfd %f27, 296(%r1)",            ".cfi_rel_offset %f27, 296",
        "stfd %f28, 304(%r1)",            ".cfi_rel_offset %f28, 304",
        "stfd %f29, 312(%r1)",            ".cfi_rel_offset %f29, 312",
        "stfd %f30, 320(%r1)",            ".cfi_rel_offset %f30, 320",
        "stfd %f31, 328(%r1)",            ".cfi_rel_offset %f31, 328",
        "li %r7, 336", "stvx %v20, %r1, %r7", ".cfi_rel_offset %v20, 336",
        "li %r7, 352", "stvx %v21, %r1, %r7", ".cfi_rel_offset %v21, 352",
        "li %r7, 368", "stvx %v22, %r1, %r7", ".cfi_rel_offset %v22, 368",
        "li %r7, 384", "stvx %v23, %r1, %r7", ".cfi_rel_offset %v23, 384",
        "li %r7, 400", "stvx %v24, %r1, %r7", ".cfi_rel_offset %v24, 400",
        "li %r7, 416", "stvx %v25, %r1, %r7", ".cfi_rel_offset %v25, 416",
        "li %r7, 432", "stvx %v26, %r1, %r7", ".cfi_rel_offset %v26, 432",
        "li %r7, 448", "stvx %v27, %r1, %r7", ".cfi_rel_offset %v27, 448",
        "li %r7, 464", "stvx %v28, %r1, %r7", ".cfi_rel_offset %v28, 464",
        "li %r7, 480", "stvx %v29, %r1, %r7", ".cfi_rel_offset %v29, 480",
        "li %r7, 496", "stvx %v30, %r1, %r7", ".cfi_rel_offset %v30, 496",
        "li %r7, 512", "stvx %v31, %r1, %r7", ".cfi_rel_offset %v31, 512",
        // The pattern. A vector goes by way of two general registers: the pattern is aligned to 8 only.
        "ld %r7, 288(%r5)", "ld %r8, 296(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs52, %vs1, %vs0, 0",
        "ld %r7, 304(%r5)", "ld %r8, 312(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs53, %vs1, %vs0, 0",
        "ld %r7, 320(%r5)", "ld %r8, 328(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs54, %vs1, %vs0, 0",
        "ld %r7, 336(%r5)", "ld %r8, 344(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs55, %vs1, %vs0, 0",
        "ld %r7, 352(%r5)", "ld %r8, 360(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs56, %vs1, %vs0, 0",
        "ld %r7, 368(%r5)", "ld %r8, 376(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs57, %vs1, %vs0, 0",
        "ld %r7, 384(%r5)", "ld %r8, 392(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs58, %vs1, %vs0, 0",
        "ld %r7, 400(%r5)", "ld %r8, 408(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs59, %vs1, %vs0, 0",
        "ld %r7, 416(%r5)", "ld %r8, 424(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs60, %vs1, %vs0, 0",
        "ld %r7, 432(%r5)", "ld %r8, 440(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs61, %vs1, %vs0, 0",
        "ld %r7, 448(%r5)", "ld %r8, 456(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs62, %vs1, %vs0, 0",
        "ld %r7, 464(%r5)", "ld %r8, 472(%r5)", "mtvsrd %vs0, %r7", "mtvsrd %vs1, %r8", "xxpermdi %vs63, %vs1, %vs0, 0",
        "lfd %f14, 144(%r5)",
        "lfd %f15, 152(%r5)",
        "lfd %f16, 160(%r5)",
        "lfd %f17, 168(%r5)",
        "lfd %f18, 176(%r5)",
        "lfd %f19, 184(%r5)",
        "lfd %f20, 192(%r5)",
        "lfd %f21, 200(%r5)",
        "lfd %f22, 208(%r5)",
        "lfd %f23, 216(%r5)",
        "lfd %f24, 224(%r5)",
        "lfd %f25, 232(%r5)",
        "lfd %f26, 240(%r5)",
        "lfd %f27, 248(%r5)",
        "lfd %f28, 256(%r5)",
        "lfd %f29, 264(%r5)",
        "lfd %f30, 272(%r5)",
        "lfd %f31, 280(%r5)",
        "ld %r14, 0(%r5)",
        "ld %r15, 8(%r5)",
        "ld %r16, 16(%r5)",
        "ld %r17, 24(%r5)",
        "ld %r18, 32(%r5)",
        "ld %r19, 40(%r5)",
        "ld %r20, 48(%r5)",
        "ld %r21, 56(%r5)",
        "ld %r22, 64(%r5)",
        "ld %r23, 72(%r5)",
        "ld %r24, 80(%r5)",
        "ld %r25, 88(%r5)",
        "ld %r26, 96(%r5)",
        "ld %r27, 104(%r5)",
        "ld %r28, 112(%r5)",
        "ld %r29, 120(%r5)",
        "ld %r30, 128(%r5)",
        "ld %r31, 136(%r5)",
        "ld %r7, 480(%r5)", "mtocrf 0x20, %r7", "mtocrf 0x10, %r7", "mtocrf 0x08, %r7",
        "mtctr %r3",
        "mr %r12, %r3",
        "mr %r7, %r4",
        "ld %r3, 0(%r7)",
        "ld %r4, 8(%r7)",
        "ld %r5, 16(%r7)",
        "ld %r6, 24(%r7)",
        "bctrl",
        "ld %r2, 24(%r1)",
        "ld %r6, 32(%r1)",
        "mfcr %r7", "rlwinm %r7, %r7, 0, 8, 19", "std %r7, 480(%r6)",
        "std %r14, 0(%r6)",
        "std %r15, 8(%r6)",
        "std %r16, 16(%r6)",
        "std %r17, 24(%r6)",
        "std %r18, 32(%r6)",
        "std %r19, 40(%r6)",
        "std %r20, 48(%r6)",
        "std %r21, 56(%r6)",
        "std %r22, 64(%r6)",
        "std %r23, 72(%r6)",
        "std %r24, 80(%r6)",
        "std %r25, 88(%r6)",
        "std %r26, 96(%r6)",
        "std %r27, 104(%r6)",
        "std %r28, 112(%r6)",
        "std %r29, 120(%r6)",
        "std %r30, 128(%r6)",
        "std %r31, 136(%r6)",
        "stfd %f14, 144(%r6)",
        "stfd %f15, 152(%r6)",
        "stfd %f16, 160(%r6)",
        "stfd %f17, 168(%r6)",
        "stfd %f18, 176(%r6)",
        "stfd %f19, 184(%r6)",
        "stfd %f20, 192(%r6)",
        "stfd %f21, 200(%r6)",
        "stfd %f22, 208(%r6)",
        "stfd %f23, 216(%r6)",
        "stfd %f24, 224(%r6)",
        "stfd %f25, 232(%r6)",
        "stfd %f26, 240(%r6)",
        "stfd %f27, 248(%r6)",
        "stfd %f28, 256(%r6)",
        "stfd %f29, 264(%r6)",
        "stfd %f30, 272(%r6)",
        "stfd %f31, 280(%r6)",
        "mfvsrd %r7, %vs52", "xxpermdi %vs0, %vs52, %vs52, 2", "mfvsrd %r8, %vs0", "std %r7, 296(%r6)", "std %r8, 288(%r6)",
        "mfvsrd %r7, %vs53", "xxpermdi %vs0, %vs53, %vs53, 2", "mfvsrd %r8, %vs0", "std %r7, 312(%r6)", "std %r8, 304(%r6)",
        "mfvsrd %r7, %vs54", "xxpermdi %vs0, %vs54, %vs54, 2", "mfvsrd %r8, %vs0", "std %r7, 328(%r6)", "std %r8, 320(%r6)",
        "mfvsrd %r7, %vs55", "xxpermdi %vs0, %vs55, %vs55, 2", "mfvsrd %r8, %vs0", "std %r7, 344(%r6)", "std %r8, 336(%r6)",
        "mfvsrd %r7, %vs56", "xxpermdi %vs0, %vs56, %vs56, 2", "mfvsrd %r8, %vs0", "std %r7, 360(%r6)", "std %r8, 352(%r6)",
        "mfvsrd %r7, %vs57", "xxpermdi %vs0, %vs57, %vs57, 2", "mfvsrd %r8, %vs0", "std %r7, 376(%r6)", "std %r8, 368(%r6)",
        "mfvsrd %r7, %vs58", "xxpermdi %vs0, %vs58, %vs58, 2", "mfvsrd %r8, %vs0", "std %r7, 392(%r6)", "std %r8, 384(%r6)",
        "mfvsrd %r7, %vs59", "xxpermdi %vs0, %vs59, %vs59, 2", "mfvsrd %r8, %vs0", "std %r7, 408(%r6)", "std %r8, 400(%r6)",
        "mfvsrd %r7, %vs60", "xxpermdi %vs0, %vs60, %vs60, 2", "mfvsrd %r8, %vs0", "std %r7, 424(%r6)", "std %r8, 416(%r6)",
        "mfvsrd %r7, %vs61", "xxpermdi %vs0, %vs61, %vs61, 2", "mfvsrd %r8, %vs0", "std %r7, 440(%r6)", "std %r8, 432(%r6)",
        "mfvsrd %r7, %vs62", "xxpermdi %vs0, %vs62, %vs62, 2", "mfvsrd %r8, %vs0", "std %r7, 456(%r6)", "std %r8, 448(%r6)",
        "mfvsrd %r7, %vs63", "xxpermdi %vs0, %vs63, %vs63, 2", "mfvsrd %r8, %vs0", "std %r7, 472(%r6)", "std %r8, 464(%r6)",
        "li %r7, 336", "lvx %v20, %r1, %r7", ".cfi_restore %v20",
        "li %r7, 352", "lvx %v21, %r1, %r7", ".cfi_restore %v21",
        "li %r7, 368", "lvx %v22, %r1, %r7", ".cfi_restore %v22",
        "li %r7, 384", "lvx %v23, %r1, %r7", ".cfi_restore %v23",
        "li %r7, 400", "lvx %v24, %r1, %r7", ".cfi_restore %v24",
        "li %r7, 416", "lvx %v25, %r1, %r7", ".cfi_restore %v25",
        "li %r7, 432", "lvx %v26, %r1, %r7", ".cfi_restore %v26",
        "li %r7, 448", "lvx %v27, %r1, %r7", ".cfi_restore %v27",
        "li %r7, 464", "lvx %v28, %r1, %r7", ".cfi_restore %v28",
        "li %r7, 480", "lvx %v29, %r1, %r7", ".cfi_restore %v29",
        "li %r7, 496", "lvx %v30, %r1, %r7", ".cfi_restore %v30",
        "li %r7, 512", "lvx %v31, %r1, %r7", ".cfi_restore %v31",
        "lfd %f14, 192(%r1)",             ".cfi_restore %f14",
        "lfd %f15, 200(%r1)",             ".cfi_restore %f15",
        "lfd %f16, 208(%r1)",             ".cfi_restore %f16",
        "lfd %f17, 216(%r1)",             ".cfi_restore %f17",
        "lfd %f18, 224(%r1)",             ".cfi_restore %f18",
        "lfd %f19, 232(%r1)",             ".cfi_restore %f19",
        "lfd %f20, 240(%r1)",             ".cfi_restore %f20",
        "lfd %f21, 248(%r1)",             ".cfi_restore %f21",
        "lfd %f22, 256(%r1)",             ".cfi_restore %f22",
        "lfd %f23, 264(%r1)",             ".cfi_restore %f23",
        "lfd %f24, 272(%r1)",             ".cfi_restore %f24",
        "lfd %f25, 280(%r1)",             ".cfi_restore %f25",
        "lfd %f26, 288(%r1)",             ".cfi_restore %f26",
        "lfd %f27, 296(%r1)",             ".cfi_restore %f27",
        "lfd %f28, 304(%r1)",             ".cfi_restore %f28",
        "lfd %f29, 312(%r1)",             ".cfi_restore %f29",
        "lfd %f30, 320(%r1)",             ".cfi_restore %f30",
        "lfd %f31, 328(%r1)",             ".cfi_restore %f31",
        "ld %r14, 48(%r1)",               ".cfi_restore %r14",
        "ld %r15, 56(%r1)",               ".cfi_restore %r15",
        "ld %r16, 64(%r1)",               ".cfi_restore %r16",
        "ld %r17, 72(%r1)",               ".cfi_restore %r17",
        "ld %r18, 80(%r1)",               ".cfi_restore %r18",
        "ld %r19, 88(%r1)",               ".cfi_restore %r19",
        "ld %r20, 96(%r1)",               ".cfi_restore %r20",
        "ld %r21, 104(%r1)",              ".cfi_restore %r21",
        "ld %r22, 112(%r1)",              ".cfi_restore %r22",
        "ld %r23, 120(%r1)",              ".cfi_restore %r23",
        "ld %r24, 128(%r1)",              ".cfi_restore %r24",
        "ld %r25, 136(%r1)",              ".cfi_restore %r25",
        "ld %r26, 144(%r1)",              ".cfi_restore %r26",
        "ld %r27, 152(%r1)",              ".cfi_restore %r27",
        "ld %r28, 160(%r1)",              ".cfi_restore %r28",
        "ld %r29, 168(%r1)",              ".cfi_restore %r29",
        "ld %r30, 176(%r1)",              ".cfi_restore %r30",
        "ld %r31, 184(%r1)",              ".cfi_restore %r31",
        "addi %r1, %r1, {size}",          ".cfi_def_cfa_offset 0",
        "lwz %r0, 8(%r1)",
        "mtocrf 0x20, %r0",               ".cfi_restore cr2",
        "mtocrf 0x10, %r0",               ".cfi_restore cr3",
        "mtocrf 0x08, %r0",               ".cfi_restore cr4",
        "ld %r0, 16(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        size = const (48 + 8 * KEPT.len()).next_multiple_of(16),
    )
}

/// Writes something else into every register that a C function may change, r2 too: who calls it through a pointer
/// takes its own back, and nobody calls it otherwise. Returns 7.
///
/// # Safety
/// None.
#[unsafe(naked)]
#[rustfmt::skip]
pub unsafe extern "C" fn clobber_volatile(arg: *mut c_void) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        // LR comes back in a register that is written last.
        "mflr %r12",
        "lis %r0, 0x1357", "ori %r0, %r0, 0x9bdf", "rldimi %r0, %r0, 32, 0",
        "li %r4, 0x404", "rldimi %r4, %r0, 16, 0",
        "li %r5, 0x505", "rldimi %r5, %r0, 16, 0",
        "li %r6, 0x606", "rldimi %r6, %r0, 16, 0",
        "li %r7, 0x707", "rldimi %r7, %r0, 16, 0",
        "li %r8, 0x808", "rldimi %r8, %r0, 16, 0",
        "li %r9, 0x909", "rldimi %r9, %r0, 16, 0",
        "li %r10, 0xa0a", "rldimi %r10, %r0, 16, 0",
        "li %r11, 0xb0b", "rldimi %r11, %r0, 16, 0",
        "mtvsrd %vs0, %r4", "xxpermdi %vs0, %vs0, %vs0, 0",
        "mtvsrd %vs1, %r5", "xxpermdi %vs1, %vs1, %vs1, 0",
        "mtvsrd %vs2, %r6", "xxpermdi %vs2, %vs2, %vs2, 0",
        "mtvsrd %vs3, %r7", "xxpermdi %vs3, %vs3, %vs3, 0",
        "mtvsrd %vs4, %r8", "xxpermdi %vs4, %vs4, %vs4, 0",
        "mtvsrd %vs5, %r9", "xxpermdi %vs5, %vs5, %vs5, 0",
        "mtvsrd %vs6, %r10", "xxpermdi %vs6, %vs6, %vs6, 0",
        "mtvsrd %vs7, %r11", "xxpermdi %vs7, %vs7, %vs7, 0",
        "mtvsrd %vs8, %r4", "xxpermdi %vs8, %vs8, %vs8, 0",
        "mtvsrd %vs9, %r5", "xxpermdi %vs9, %vs9, %vs9, 0",
        "mtvsrd %vs10, %r6", "xxpermdi %vs10, %vs10, %vs10, 0",
        "mtvsrd %vs11, %r7", "xxpermdi %vs11, %vs11, %vs11, 0",
        "mtvsrd %vs12, %r8", "xxpermdi %vs12, %vs12, %vs12, 0",
        "mtvsrd %vs13, %r9", "xxpermdi %vs13, %vs13, %vs13, 0",
        // Of vs14 to vs31 only the half that is no floating point register.
        "xxpermdi %vs14, %vs14, %vs0, 0",
        "xxpermdi %vs15, %vs15, %vs1, 0",
        "xxpermdi %vs16, %vs16, %vs2, 0",
        "xxpermdi %vs17, %vs17, %vs3, 0",
        "xxpermdi %vs18, %vs18, %vs4, 0",
        "xxpermdi %vs19, %vs19, %vs5, 0",
        "xxpermdi %vs20, %vs20, %vs6, 0",
        "xxpermdi %vs21, %vs21, %vs7, 0",
        "xxpermdi %vs22, %vs22, %vs8, 0",
        "xxpermdi %vs23, %vs23, %vs9, 0",
        "xxpermdi %vs24, %vs24, %vs10, 0",
        "xxpermdi %vs25, %vs25, %vs11, 0",
        "xxpermdi %vs26, %vs26, %vs12, 0",
        "xxpermdi %vs27, %vs27, %vs13, 0",
        "xxpermdi %vs28, %vs28, %vs0, 0",
        "xxpermdi %vs29, %vs29, %vs1, 0",
        "xxpermdi %vs30, %vs30, %vs2, 0",
        "xxpermdi %vs31, %vs31, %vs3, 0",
        "xxlor %vs32, %vs0, %vs0",
        "xxlor %vs33, %vs1, %vs1",
        "xxlor %vs34, %vs2, %vs2",
        "xxlor %vs35, %vs3, %vs3",
        "xxlor %vs36, %vs4, %vs4",
        "xxlor %vs37, %vs5, %vs5",
        "xxlor %vs38, %vs6, %vs6",
        "xxlor %vs39, %vs7, %vs7",
        "xxlor %vs40, %vs8, %vs8",
        "xxlor %vs41, %vs9, %vs9",
        "xxlor %vs42, %vs10, %vs10",
        "xxlor %vs43, %vs11, %vs11",
        "xxlor %vs44, %vs12, %vs12",
        "xxlor %vs45, %vs13, %vs13",
        "xxlor %vs46, %vs0, %vs0",
        "xxlor %vs47, %vs1, %vs1",
        "xxlor %vs48, %vs2, %vs2",
        "xxlor %vs49, %vs3, %vs3",
        "xxlor %vs50, %vs4, %vs4",
        "xxlor %vs51, %vs5, %vs5",
        "mtctr %r0",
        "mtxer %r0",
        // CR0, CR1, CR5, CR6 and CR7.
        "mtocrf 0x80, %r0", "mtocrf 0x40, %r0", "mtocrf 0x04, %r0", "mtocrf 0x02, %r0", "mtocrf 0x01, %r0",
        "mtlr %r12",
        "mr %r12, %r0",
        "mr %r2, %r0",
        "li %r3, 7",
        "blr",
        ".cfi_endproc",
    )
}

/// What managed code without callee-saved registers does: stores `n` and `ctxt` in the two words at `frame`,
/// then changes every register but SP and the thread pointer. r2 too: who called through a pointer takes its
/// own back.
///
/// # Safety
/// `frame` is valid for two words.
#[unsafe(naked)]
pub unsafe extern "C" fn clobber_everything(frame: *mut c_void, n: usize, ctxt: usize) {
    naked_asm!(
        ".cfi_startproc",
        "std %r4, 0(%r3)",
        "std %r5, 8(%r3)",
        "lis %r4, 0x2468", "ori %r4, %r4, 0xace1", "rldimi %r4, %r4, 32, 0",
        "mr %r2, %r4",
        "addi %r14, %r4, 14",
        "addi %r15, %r4, 15",
        "addi %r16, %r4, 16",
        "addi %r17, %r4, 17",
        "addi %r18, %r4, 18",
        "addi %r19, %r4, 19",
        "addi %r20, %r4, 20",
        "addi %r21, %r4, 21",
        "addi %r22, %r4, 22",
        "addi %r23, %r4, 23",
        "addi %r24, %r4, 24",
        "addi %r25, %r4, 25",
        "addi %r26, %r4, 26",
        "addi %r27, %r4, 27",
        "addi %r28, %r4, 28",
        "addi %r29, %r4, 29",
        "addi %r30, %r4, 30",
        "addi %r31, %r4, 31",
        "mtvsrd %vs14, %r14",
        "mtvsrd %vs15, %r15",
        "mtvsrd %vs16, %r16",
        "mtvsrd %vs17, %r17",
        "mtvsrd %vs18, %r18",
        "mtvsrd %vs19, %r19",
        "mtvsrd %vs20, %r20",
        "mtvsrd %vs21, %r21",
        "mtvsrd %vs22, %r22",
        "mtvsrd %vs23, %r23",
        "mtvsrd %vs24, %r24",
        "mtvsrd %vs25, %r25",
        "mtvsrd %vs26, %r26",
        "mtvsrd %vs27, %r27",
        "mtvsrd %vs28, %r28",
        "mtvsrd %vs29, %r29",
        "mtvsrd %vs30, %r30",
        "mtvsrd %vs31, %r31",
        "xxpermdi %vs52, %vs20, %vs19, 0",
        "xxpermdi %vs53, %vs21, %vs20, 0",
        "xxpermdi %vs54, %vs22, %vs21, 0",
        "xxpermdi %vs55, %vs23, %vs22, 0",
        "xxpermdi %vs56, %vs24, %vs23, 0",
        "xxpermdi %vs57, %vs25, %vs24, 0",
        "xxpermdi %vs58, %vs26, %vs25, 0",
        "xxpermdi %vs59, %vs27, %vs26, 0",
        "xxpermdi %vs60, %vs28, %vs27, 0",
        "xxpermdi %vs61, %vs29, %vs28, 0",
        "xxpermdi %vs62, %vs30, %vs29, 0",
        "xxpermdi %vs63, %vs31, %vs30, 0",
        // Each of CR2 to CR4 becomes what it is not.
        "mfcr %r5",
        "not %r5, %r5",
        "mtocrf 0x20, %r5", "mtocrf 0x10, %r5", "mtocrf 0x08, %r5",
        "b {volatile}",
        ".cfi_endproc",
        volatile = sym clobber_volatile,
    )
}

/// What a C function finds at its entry: SP, the back chain, r2, r12, CTR, the return address.
///
/// # Safety
/// `arg` is valid for eight words.
#[unsafe(naked)]
pub unsafe extern "C" fn entry_state(arg: *mut [usize; 8]) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "std %r1, 0(%r3)",
        "ld %r4, 0(%r1)",
        "std %r4, 8(%r3)",
        "std %r2, 16(%r3)",
        "std %r12, 24(%r3)",
        "mfctr %r4",
        "std %r4, 32(%r3)",
        "mflr %r4",
        "std %r4, 40(%r3)",
        "li %r3, 0",
        "blr",
        ".cfi_endproc",
    )
}

/// The part of `word` that the register with this index in [`KEPT`] can hold: of the word of the condition
/// register, fields 2 to 4.
pub fn representable(index: usize, word: u64) -> u64 {
    if index == KEPT.len() - 1 { word & 0x00ff_f000 } else { word }
}

/// Calls `f(arg)` through `ccall`.
///
/// # Safety
/// As `asmcgocall`.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_one(f: stackgate::CFn /* r3 */, arg: *mut c_void /* r4 */) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "addis %r2, %r12, .TOC. - {me}@ha",
        "addi %r2, %r2, .TOC. - {me}@l",
        ".localentry {me}, . - {me}",
        "mr %r11, %r3",
        "mr %r3, %r4",
        "b {ccall}",
        ".cfi_endproc",
        me = sym ccall_one,
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b, c)` through `ccall`, whose result comes back as it is.
///
/// # Safety
/// `f` takes three words and returns a [`Wide`].
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_words(a: usize, b: usize, c: usize, f: usize /* r6 */) -> Wide {
    naked_asm!(
        ".cfi_startproc",
        "addis %r2, %r12, .TOC. - {me}@ha",
        "addi %r2, %r2, .TOC. - {me}@l",
        ".localentry {me}, . - {me}",
        "mr %r11, %r6",
        "b {ccall}",
        ".cfi_endproc",
        me = sym ccall_words,
        ccall = sym stackgate::arch::ccall,
    )
}

/// Calls `f(a, b)` through `ccall`.
///
/// # Safety
/// `f` takes two doubles and returns one.
#[unsafe(naked)]
pub unsafe extern "C" fn ccall_doubles(a: f64, b: f64, f: usize /* r5 */) -> f64 {
    naked_asm!(
        ".cfi_startproc",
        "addis %r2, %r12, .TOC. - {me}@ha",
        "addi %r2, %r2, .TOC. - {me}@l",
        ".localentry {me}, . - {me}",
        "mr %r11, %r5",
        "b {ccall}",
        ".cfi_endproc",
        me = sym ccall_doubles,
        ccall = sym stackgate::arch::ccall,
    )
}

/// The widest integer that a function returns in registers: r3 and r4.
pub type Wide = u128;

/// What gcc makes of the instructions in `VALGRIND_DO_CLIENT_REQUEST_EXPR`, `valgrind.h` of valgrind 3.19.
pub const CLIENT_REQUEST: &[u8] = &[
    0x00, 0x18, 0x00, 0x78, 0x00, 0x68, 0x00, 0x78, 0x02, 0xe8, 0x00, 0x78, 0x02, 0x98, 0x00, 0x78, 0x78,
    0x0b, 0x21, 0x7c,
];

/// What SP is a multiple of at every instruction.
pub const SP_LEAST: usize = 16;
/// What SP is a multiple of where a call is made.
pub const SP_ALIGN: usize = 16;
/// What remains of that at the callee's entry: a call changes no SP.
pub const SP_AT_ENTRY: usize = 0;

/// Not used: the host's own CPU is another.
pub const EVERY_INSTRUCTION: Option<crate::scenarios::EveryInstruction> = None;

/// Checks what [`entry_state`] found, beside SP: the back chain leads to another frame (ELFv2 ABI 2.2.3.2). A
/// `crossing` calls through a pointer: r12 and CTR hold the function's address (ABI 2.3.2.1), as they need
/// not after a call by name.
pub fn check_entry(what: &str, state: &[usize; 8], crossing: bool) {
    crate::check!(state[1] != 0 && state[1] != state[0], "{what}: back chain {:#x}", state[1]);
    crate::check_eq!(state[1] % SP_ALIGN, 0, "{what}: back chain {:#x}", state[1]);
    if crossing {
        crate::check_eq!(state[3], entry_state as *const () as usize, "{what}: r12");
        crate::check_eq!(state[4], entry_state as *const () as usize, "{what}: CTR");
    }
}

/// A task's function that calls `block.f(block.arg)` through `block.through` and survives that its stack is
/// moved meanwhile. Its CFA is defined by r31, which designates its own frame.
///
/// # Safety
/// `block` is the address of a [`Movable`](crate::movable::Movable) off the task's stack.
#[unsafe(naked)]
#[unsafe(export_name = "step_movable")]
pub unsafe extern "C" fn movable(block: usize /* r3 */) -> usize /* r3 */ {
    naked_asm!(
        ".cfi_startproc",
        "addis %r2, %r12, .TOC. - {me}@ha",
        "addi %r2, %r2, .TOC. - {me}@l",
        ".localentry {me}, . - {me}",
        "mflr %r0",
        "std %r0, 16(%r1)",               ".cfi_offset lr, 16",
        "std %r31, -8(%r1)",              ".cfi_offset %r31, -8",
        "stdu %r1, -64(%r1)",             ".cfi_def_cfa_offset 64",
        "mr %r31, %r1",                   ".cfi_def_cfa_register %r31",
        "std %r3, 32(%r31)",
        "lis %r4, 0x1122", "ori %r4, %r4, 0x3344",
        "std %r4, 40(%r31)",
        "lis %r4, 0x5566", "ori %r4, %r4, 0x7788",
        "std %r4, 48(%r31)",
        "ld %r12, {through}(%r3)",
        "addi %r5, %r3, {thrown}",
        "ld %r4, {arg}(%r3)",
        "ld %r3, {f}(%r3)",
        "std %r2, 24(%r1)",
        "mtctr %r12",
        "bctrl",
        "ld %r2, 24(%r1)",
        "ld %r5, 32(%r31)",
        "extsw %r3, %r3",
        "std %r3, {result}(%r5)",
        "ld %r4, 40(%r31)",
        "std %r4, {locals}(%r5)",
        "ld %r4, 48(%r31)",
        "std %r4, {locals} + 8(%r5)",
        "addi %r1, %r31, 64",             ".cfi_def_cfa %r1, 0",
        "ld %r31, -8(%r1)",               ".cfi_restore %r31",
        "ld %r0, 16(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        me = sym movable,
        through = const core::mem::offset_of!(crate::movable::Movable, through),
        f = const core::mem::offset_of!(crate::movable::Movable, f),
        arg = const core::mem::offset_of!(crate::movable::Movable, arg),
        result = const core::mem::offset_of!(crate::movable::Movable, result),
        thrown = const core::mem::offset_of!(crate::movable::Movable, thrown),
        locals = const core::mem::offset_of!(crate::movable::Movable, locals),
    )
}

/// A callback that calls `f(job)` through `asmcgocall`, and holds no address of its own stack but its back
/// chain.
///
/// # Safety
/// `f` is the address of a C function that takes `job`.
#[unsafe(naked)]
pub unsafe extern "C" fn movable_callback(job: *mut c_void, f: usize, ctxt: usize) {
    naked_asm!(
        ".cfi_startproc",
        "addis %r2, %r12, .TOC. - {me}@ha",
        "addi %r2, %r2, .TOC. - {me}@l",
        ".localentry {me}, . - {me}",
        "mflr %r0",
        "std %r0, 16(%r1)",               ".cfi_offset lr, 16",
        "stdu %r1, -32(%r1)",             ".cfi_def_cfa_offset 32",
        "mr %r5, %r3",
        "mr %r3, %r4",
        "mr %r4, %r5",
        "bl {asmcgocall}",
        "nop",
        "addi %r1, %r1, 32",              ".cfi_def_cfa_offset 0",
        "ld %r0, 16(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        me = sym movable_callback,
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
    size: usize,       /* r3 */
    f: stackgate::CFn, /* r4 */
    arg: *mut c_void,  /* r5 */
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "addis %r2, %r12, .TOC. - {me}@ha",
        "addi %r2, %r2, .TOC. - {me}@l",
        ".localentry {me}, . - {me}",
        "mflr %r0",
        "std %r0, 16(%r1)",               ".cfi_offset lr, 16",
        "std %r31, -8(%r1)",              ".cfi_offset %r31, -8",
        "stdu %r1, -48(%r1)",             ".cfi_def_cfa_offset 48",
        "mr %r31, %r1",                   ".cfi_def_cfa_register %r31",
        // SP and its back chain move in one.
        "neg %r3, %r3",
        "ld %r0, 0(%r1)",
        "stdux %r0, %r1, %r3",
        "mr %r3, %r4",
        "mr %r4, %r5",
        "bl {asmcgocall}",
        "nop",
        "addi %r1, %r31, 48",             ".cfi_def_cfa %r1, 0",
        "ld %r31, -8(%r1)",               ".cfi_restore %r31",
        "ld %r0, 16(%r1)",
        "mtlr %r0",
        "blr",
        ".cfi_endproc",
        me = sym variable_frame,
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
    "mflr %r0",
    "std %r0, 16(%r1)",
    "stdu %r1, -64(%r1)",
    "std %r3, 48(%r1)",
    "ld %r11, 0(%r3)",
    "ld %r12, 16(%r3)",
    "ld %r3, 8(%r3)",
    "li %r14, -1",
    "mr %r15, %r14",
    "mr %r16, %r14",
    "mr %r20, %r14",
    "mr %r24, %r14",
    "mr %r28, %r14",
    "mr %r29, %r14",
    "mr %r30, %r14",
    "mr %r31, %r14",
    "mtvsrd %f14, %r14",
    "mtvsrd %f31, %r14",
    "mtctr %r12",
    "bctrl",
    "ld %r4, 48(%r1)",
    "std %r3, 24(%r4)",
    "addi %r1, %r1, 64",
    "ld %r0, 16(%r1)",
    "mtlr %r0",
    "blr",
    "qemu_tests_jit_end:",
    ".popsection",
);

//! `ccall` as a JIT's code does it: the function in a scratch register, the argument where C has it.

use core::arch::asm;
use core::ffi::{c_int, c_void};
use stackgate::{CFn, arch};

/// Calls `f(arg)`.
///
/// # Safety
/// As [`arch::asmcgocall`].
#[inline(always)]
pub unsafe fn ccall(f: CFn, arg: *mut c_void) -> c_int {
    let out: usize;
    // SAFETY: by the caller; what a call loses is named.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "call {ccall}",
            ccall = sym arch::ccall,
            inlateout("r11") f => _,
            inlateout("rdi") arg => _,
            lateout("rax") out,
            clobber_abi("C"),
        );
        #[cfg(target_arch = "x86")]
        asm!(
            // One word of arguments, and what makes 16 bytes of it.
            "sub esp, 12",
            "push edx",
            "mov ecx, 1",
            "call {ccall}",
            "add esp, 16",
            ccall = sym arch::ccall,
            inlateout("eax") f => out,
            inlateout("edx") arg => _,
            clobber_abi("C"),
        );
        #[cfg(target_arch = "arm")]
        asm!(
            "bl {ccall}",
            ccall = sym arch::ccall,
            inlateout("r12") f => _,
            inlateout("r0") arg => out,
            clobber_abi("C"),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "bl {ccall}",
            ccall = sym arch::ccall,
            inlateout("x9") f => _,
            inlateout("x0") arg => out,
            clobber_abi("C"),
        );
        #[cfg(target_arch = "powerpc64")]
        asm!(
            "bl {ccall}",
            "nop",
            ccall = sym arch::ccall,
            inlateout("r11") f => _,
            inlateout("r3") arg => out,
            clobber_abi("C"),
        );
        #[cfg(target_arch = "s390x")]
        asm!(
            "brasl %r14, {ccall}@PLT",
            ccall = sym arch::ccall,
            inlateout("r1") f => _,
            inlateout("r2") arg => out,
            clobber_abi("C"),
        );
    }
    // What lies above an `int` in the register is nobody's.
    out as c_int
}

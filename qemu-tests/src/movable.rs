//! What the assembly of the tests knows of a task whose stack is moved.

use core::ffi::c_void;
use core::ops::RangeInclusive;
use stackgate::arch;

/// What the task's function `movable` of the CPU's assembly is told, and tells.
#[repr(C)]
pub struct Movable {
    /// `asmcgocall` or `asmcgocall_catch`, through which it calls.
    pub through: usize,
    /// What it calls.
    pub f: usize,
    /// With what.
    pub arg: usize,
    /// What that returned, sign-extended.
    pub result: usize,
    /// Where a throw writes.
    pub thrown: usize,
    /// What it finds in its own frame afterwards.
    pub locals: [usize; 2],
}

impl Movable {
    /// What calls `f(arg)` through `asmcgocall`.
    pub fn new(f: stackgate::CFn, arg: *mut c_void) -> Self {
        Self {
            through: arch::asmcgocall as *const () as usize,
            f: f as usize,
            arg: arg.expose_provenance(),
            result: 0,
            thrown: 0,
            locals: [0; 2],
        }
    }
}

/// Rewrites every word of a copied stack that is an address of the old one: what managed code does whose frames
/// hold such words, by whatever knowledge it has of them. Never a part of its caller, at each instruction of
/// which `steps` takes a signal.
///
/// # Safety
/// The two stacks are as large as each other, and the first is a copy of the second.
#[inline(never)]
pub unsafe fn rewrite_all(limit: *mut u8, top: *mut u8, old_limit: *mut u8, old_top: *mut u8) {
    // SAFETY: by the caller.
    unsafe { rewrite(limit.cast(), top.cast(), old_limit.addr()..=old_top.addr(), top.addr()) };
}

/// Rewrites every word from `from` up to `to` that lies in `old`, a stack that ends at `top` now.
///
/// # Safety
/// The words are there, and nobody else's.
#[inline(never)]
pub unsafe fn rewrite(from: *mut usize, to: *mut usize, old: RangeInclusive<usize>, top: usize) {
    let mut at = from;
    while at < to {
        // SAFETY: by the caller. Volatile, since frames of callers may be among them.
        unsafe {
            let word = at.read_volatile();
            if old.contains(&word) {
                at.write_volatile(word.wrapping_add(top.wrapping_sub(*old.end())));
            }
            at = at.add(1);
        }
    }
}

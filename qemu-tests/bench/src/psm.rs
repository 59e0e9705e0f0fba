//! psm: calls on another stack.

use crate::measure::Contestant;
use crate::plain::{leaf, leaf_void};
use core::ptr::null_mut;

const WHO: &str = "psm";

/// Memory for a stack, as aligned as any CPU wants it.
fn stack() -> (*mut u8, usize) {
    let memory = Box::leak(vec![0u128; 4096].into_boxed_slice());
    (memory.as_mut_ptr().cast(), size_of_val(memory))
}

pub fn on_stack() -> Contestant {
    let (base, size) = stack();
    Contestant::new(WHO, "on_stack", 1, move |n| {
        let f = leaf();
        for _ in 0..n {
            // SAFETY: the memory is this stack's; `f` takes anything.
            unsafe { psm::on_stack(base, size, || f(null_mut())) };
        }
    })
}

pub fn on_stack_void() -> Contestant {
    let (base, size) = stack();
    Contestant::new(WHO, "on_stack", 1, move |n| {
        let f = leaf_void();
        for _ in 0..n {
            // SAFETY: as above.
            unsafe { psm::on_stack(base, size, || f(null_mut())) };
        }
    })
}

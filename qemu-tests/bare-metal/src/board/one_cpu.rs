//! What a machine says that is run with one CPU.

/// There is one.
pub fn cpu() -> usize {
    0
}

/// There is no other.
///
/// # Safety
/// None.
pub unsafe fn start_cpu(_cpu: usize) -> bool {
    false
}

/// There is no other that could go first.
pub fn relax() {
    core::hint::spin_loop();
}

//! Finds the program's own unwind tables.

/// Registers the unwind tables of the program and of the shared libraries it has loaded.
pub fn register_own_tables() {}

//! Tracebacks through both stacks.

/// Asks the context function for a context.
pub fn acquire_context() -> usize { 0 }
/// Gives a context back.
pub fn release_context(_ctxt: usize) {}

//! `cargo xtask frames`: the frame layouts as tables and pictures.

use anyhow::{Result, bail};

use crate::context::Context;

/// Prints the layouts of the chosen CPUs, or checks what is generated from them.
pub fn frames(_context: &Context, _check: bool) -> Result<()> {
    bail!("`frames` is not available yet: the layouts are in arch/src/*/frame.rs and its documentation");
}

//! The program of `linker/README.md`, as it stands there: what of it is the same on every CPU.

use crate::{cases, check_eq};

include!(concat!(env!("OUT_DIR"), "/callback.rs"));

/// `poll_driver` says 41 to `on_data`.
fn a_callback() {
    check_eq!(run(), 42);
}

cases! {
    "readme";
    "a callback" => a_callback;
}

//! The program of `linker/README.md`, as it stands there.

use crate::{cases, check_eq};

include!(concat!(env!("OUT_DIR"), "/readme.rs"));

/// `poll_driver` says 41 to `on_data`.
fn a_callback() {
    check_eq!(main(), 42);
}

cases! {
    "readme";
    "a callback" => a_callback;
}

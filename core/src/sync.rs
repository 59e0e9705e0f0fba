//! What `pool` and `gate` are built from. Their model check builds them from other things under the same names.

pub use core::sync::atomic::{AtomicU32, AtomicUsize};

/// A lock that is held for a few instructions, with signals masked.
pub type Lock<T> = spin::Mutex<T>;

/// Runs `f` with what the lock guards.
#[inline]
pub fn with<T, R>(lock: &Lock<T>, f: impl FnOnce(&mut T) -> R) -> R {
    f(&mut lock.lock())
}

/// A constructor, which is `const` here.
macro_rules! maybe_const {
    ($(#[$attribute:meta])* pub fn $name:ident() -> Self $body:block) => {
        $(#[$attribute])*
        pub const fn $name() -> Self $body
    };
}
pub(crate) use maybe_const;

//! Error numbers and their names.

use core::ffi::c_int;
use core::fmt;

/// The number by which libc says why a call failed. Prints its name, `ENOENT` for example.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(pub c_int);

/// Makes the constants, and the list by which names are found.
macro_rules! define {
    ($($name:ident = $number:expr;)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub const $name: Self = Self($number);
            )*
        }

        /// Every number with its name.
        const NAMES: &[(c_int, &str)] = &[$(($number, stringify!($name))),*];
    };
}
errnos!(define);

impl Errno {
    /// Its name, unless Linux has no such error.
    ///
    /// Runs on any stack; safe in a signal handler.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(number, _)| *number == self.0).map(|(_, name)| *name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString as _;

    #[test]
    fn errors_print_their_names() {
        assert_eq!(Errno::ENOENT.to_string(), "ENOENT");
        assert_eq!(Errno::EWOULDBLOCK.to_string(), "EAGAIN");
        assert_eq!(Errno(0).to_string(), "errno 0");
        assert_eq!(Errno(4095).to_string(), "errno 4095");
    }
}

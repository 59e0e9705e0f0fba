//! The end of the program, by name, where no caller can take an error.

use crate::{Errno, sys};

/// Writes the parts of a message to standard error, as far as it takes them.
fn say(parts: &[&str]) {
    for part in parts {
        let mut left = part.as_bytes();
        while !left.is_empty() {
            // SAFETY: the bytes outlive the call.
            let n = unsafe { sys::write(2, left.as_ptr().cast(), left.len()) };
            let Ok(n @ 1..) = usize::try_from(n) else { return };
            left = &left[n..];
        }
    }
}

/// Stops the program: `stackgate: fatal: NAME: ERRNO: WHAT TO DO`.
///
/// Runs on a system stack. Safe in a signal handler.
#[cold]
#[inline(never)]
pub(crate) fn fatal(name: &str, errno: Errno, what_to_do: &str) -> ! {
    say(&["stackgate: fatal: ", name, ": "]);
    if let Some(errno) = errno.name() {
        say(&[errno, ": "]);
    }
    say(&[what_to_do, "\n"]);
    end()
}

/// Ends the program by `SIGABRT`.
///
/// Runs on a system stack. Safe in a signal handler.
pub(crate) fn end() -> ! {
    // SAFETY: may be called anywhere.
    unsafe { sys::abort() }
}

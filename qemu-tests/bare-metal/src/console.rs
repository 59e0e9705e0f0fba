//! Text on the board's console.

use crate::board;
use core::fmt;

/// The console, to be written to by `write!`.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        board::console(text.as_bytes());
        Ok(())
    }
}

/// Writes a line to the console.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, $($text)*);
    }};
}

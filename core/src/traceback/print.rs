//! Tracebacks for people.

use super::frames::{Frame, Frames};
use super::walk::{Stop, Traceback};
use core::fmt::{self, Write};

impl fmt::Display for Frame<'_> {
    /// Two lines:
    ///
    /// ```text
    /// function
    /// <tab>file:line pc=0x1234
    /// ```
    ///
    /// Of a frame without a file the second line is the PC alone. A function that nobody knows is called `C
    /// function` or `managed function`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.function {
            Some(name) => bytes(f, name)?,
            None if self.managed => f.write_str("managed function")?,
            None => f.write_str("C function")?,
        }
        f.write_str("\n\t")?;
        if let Some(file) = self.file {
            bytes(f, file)?;
            write!(f, ":{} ", self.line)?;
        }
        writeln!(f, "pc={:#x}", self.pc)?;
        if self.cut { f.write_str("... more C frames\n") } else { Ok(()) }
    }
}

/// Bytes of unknown encoding; what is not UTF-8 is replaced.
fn bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        f.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            f.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

/// Writes the frames of a trace, two lines each (see [`Frame`]), and, if it does not end with the outermost
/// frame, a line that says why.
///
/// ```text
/// ... stopped: NoTable: code that no registered table knows
/// ```
///
/// Runs on any stack; safe in a signal handler if the traceback function, the symbolizer and `to` are.
///
/// # Errors
/// What `to` returns.
pub fn print(trace: Traceback, to: &mut dyn Write) -> fmt::Result {
    let mut trace = trace;
    let mut frames = Frames::new(trace.by_ref());
    while let Some(frame) = frames.next() {
        write!(to, "{frame}")?;
    }
    drop(frames);
    match trace.stop() {
        None | Some(Stop::End) => Ok(()),
        Some(stop) => writeln!(to, "... stopped: {}: {stop}", stop.name()),
    }
}

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
        lines(self, f)
    }
}

/// The lines of a frame. Without the formatting of `core`, which calls through pointers and itself: how much of
/// a signal stack this uses is known.
fn lines(frame: &Frame<'_>, to: &mut dyn Write) -> fmt::Result {
    match frame.function {
        Some(name) => bytes(to, name)?,
        None if frame.managed => to.write_str("managed function")?,
        None => to.write_str("C function")?,
    }
    to.write_str("\n\t")?;
    if let Some(file) = frame.file {
        bytes(to, file)?;
        to.write_str(":")?;
        number::<10>(to, frame.line)?;
        to.write_str(" ")?;
    }
    to.write_str("pc=0x")?;
    number::<16>(to, frame.pc)?;
    to.write_str("\n")?;
    if frame.cut { to.write_str("... more C frames\n") } else { Ok(()) }
}

/// Bytes of unknown encoding; what is not UTF-8 is replaced.
fn bytes(to: &mut dyn Write, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        to.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            to.write_str("\u{fffd}")?;
        }
    }
    Ok(())
}

/// A number to the base of `BASE`, at most 16.
fn number<const BASE: usize>(to: &mut dyn Write, number: usize) -> fmt::Result {
    // As many digits as the largest number has to the base of ten.
    let mut digits = [0u8; 20];
    let (mut rest, mut length) = (number, 0);
    for place in digits.iter_mut().rev() {
        *place = b"0123456789abcdef"[rest % BASE];
        rest /= BASE;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    let from = digits.len() - length;
    to.write_str(core::str::from_utf8(digits.get(from..).unwrap_or(&[])).unwrap_or("?"))
}

/// Writes the frames of a trace, two lines each (see [`Frame`]), and, if it does not end with the outermost
/// frame, a line that says why.
///
/// ```text
/// ... stopped: NoTable: code that no registered table knows
/// ```
///
/// Runs on any stack; safe in a signal handler if the traceback function, the symbolizer and `to` are. Go:
/// `traceback`.
///
/// # Errors
/// What `to` returns.
pub fn print(trace: Traceback, to: &mut dyn Write) -> fmt::Result {
    let mut trace = trace;
    let mut frames = Frames::new(trace.by_ref());
    while let Some(frame) = frames.next() {
        lines(&frame, to)?;
    }
    drop(frames);
    match trace.stop() {
        None | Some(Stop::End) => Ok(()),
        Some(stop) => {
            for part in ["... stopped: ", stop.name(), ": ", stop.text(), "\n"] {
                to.write_str(part)?;
            }
            Ok(())
        }
    }
}

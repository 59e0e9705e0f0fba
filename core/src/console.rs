//! Messages for a person, a line at a time.

use crate::platform::{Platform, platform};
use core::fmt;
use heapless::Vec;

/// How many bytes of a line are put together before they are written.
const LINE: usize = 256;

/// Writes to the platform's console, each line in one piece, so that the lines of two threads do not mix. A
/// line of more than 256 bytes goes out in several pieces.
///
/// Allocates nothing. Runs on any stack, of which it uses about 300 bytes; safe in a signal handler if the
/// platform's `write` is. What is left of the last line is written when it is dropped. Without a platform
/// nothing is written.
#[derive(Debug)]
pub struct Console {
    line: Vec<u8, LINE>,
    platform: Option<&'static dyn Platform>,
}

impl fmt::Debug for dyn Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Platform")
    }
}

/// All of this runs on any system stack, and is safe in a signal handler if the platform's `write` is.
impl Console {
    /// The console of the platform that is set.
    pub fn new() -> Self {
        Self { line: Vec::new(), platform: platform() }
    }

    /// The console of `platform`.
    pub fn of(platform: &'static dyn Platform) -> Self {
        Self { line: Vec::new(), platform: Some(platform) }
    }

    /// Adds bytes, of whatever encoding.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.line.push(byte).is_err() {
                self.flush();
                // Now there is room.
                let _ = self.line.push(byte);
            }
            if byte == b'\n' {
                self.flush();
            }
        }
    }

    /// Writes what there is of the line.
    pub fn flush(&mut self) {
        if let Some(platform) = self.platform
            && !self.line.is_empty()
        {
            platform.write(&self.line);
        }
        self.line.clear();
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.flush();
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

//! What goes to the terminal: plain lines everywhere, colour and progress on a terminal only.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar on the screen, if there is one: lines are printed above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);
/// Set where the reader of our output went away.
static DEAF: AtomicBool = AtomicBool::new(false);

/// Prints a line. A reader who closed the pipe (`| head`) ends the printing, not the work.
pub fn say(line: &str) {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner);
    let print = || {
        if !DEAF.load(Ordering::Relaxed) && writeln!(stdout(), "{line}").is_err() {
            DEAF.store(true, Ordering::Relaxed);
        }
    };
    match &*bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// What failed, each as it was said; [`failures`] takes them.
static FAILURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says what failed, and keeps it for a summary.
pub fn failed(what: &str) {
    say(&format!("{} {what}", red("FAILED")));
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
}

/// What failed since this was last asked.
pub fn failures() -> Vec<String> {
    std::mem::take(&mut FAILURES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A headline between two parts of the output.
pub fn headline(text: &str) {
    say(&format!("\n{}", bold(text)));
}

fn paint(code: &str, text: &str) -> String {
    if stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

pub fn dim(text: &str) -> String {
    paint("2", text)
}

pub fn bold(text: &str) -> String {
    paint("1", text)
}

pub fn green(text: &str) -> String {
    paint("32", text)
}

pub fn red(text: &str) -> String {
    paint("31", text)
}

/// The verdict at the end of a summary line.
pub fn verdict(good: bool) -> String {
    if good { green("ok") } else { red("FAILED") }
}

/// A count of steps on the screen, on a terminal; nothing elsewhere. It goes when dropped.
pub struct Progress;

impl Progress {
    pub fn new(what: &'static str, steps: u64) -> Self {
        if stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        }
        Self
    }

    /// A spinner with the time that went by, for a step of unknown length.
    pub fn spinner(what: String) -> Self {
        if stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(120));
            *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        }
        Self
    }

    pub fn step(&self, message: &str) {
        if let Some(bar) = &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_message(message.to_owned());
            bar.inc(1);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        clear();
    }
}

/// Takes the bar off the screen.
pub fn clear() {
    if let Some(bar) = BAR.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// Seconds since `start`, for summary lines.
pub fn seconds(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}

/// Lines up columns of numbers: the first to the left, the others to the right, two blanks
/// between them.
pub fn align(rows: &[Vec<String>]) -> Vec<String> {
    align_by(rows, |column| column == 0)
}

/// Lines up columns of words, all to the left.
pub fn align_words(rows: &[Vec<String>]) -> Vec<String> {
    align_by(rows, |_| true)
}

fn align_by(rows: &[Vec<String>], left: impl Fn(usize) -> bool) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |c: usize| rows.iter().filter_map(|row| row.get(c)).map(|cell| width_of(cell)).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let cell = |(c, text): (usize, &String)| {
        // Colours take no room.
        let w = widths[c] + text.chars().count() - width_of(text);
        if left(c) { format!("{text:<w$}") } else { format!("{text:>w$}") }
    };
    let line = |row: &Vec<String>| row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
    rows.iter().map(|row| line(row).trim_end().to_owned()).collect()
}

/// Characters that are seen: without the sequences of [`paint`].
fn width_of(text: &str) -> usize {
    let hidden = |part: &str| part.find('m').map_or(0, |end| end + 1);
    let mut parts = text.split('\x1b');
    let head = parts.next().map_or(0, |part| part.chars().count());
    head + parts.map(|part| part[hidden(part)..].chars().count()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(width_of("\x1b[32mok\x1b[0m!"), 3);
        assert_eq!(width_of("plain"), 5);
    }

    #[test]
    fn columns_line_up() {
        let row = |cells: &[&str]| cells.iter().map(|&c| c.to_owned()).collect::<Vec<_>>();
        let lines = align(&[row(&["op", "i386", "arm"]), row(&["systemstack", "7", "12"])]);
        assert_eq!(lines, ["op           i386  arm", "systemstack     7   12"]);
    }
}

//! Runs the cases one after the other, on one boot. A case that ends by a fatal message, a panic or a fault is
//! left as it stands: the next one begins on an empty system stack.

use crate::harness::{Case, Expect, checked};
use crate::{board, memory, say};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch;

/// Gives the cases by their numbers, from 0.
pub type List = fn(usize) -> Option<&'static Case>;
/// The cases; null where none are run. So a program without cases has none of them.
static LIST: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
/// The case that runs; the number of cases where none does.
static CURRENT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Checks before this case.
static BEFORE: AtomicUsize = AtomicUsize::new(0);
static PASSED: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// What stackgate has written in this case: the end of a fatal message.
struct Message {
    bytes: UnsafeCell<[u8; 256]>,
    used: AtomicUsize,
}
// SAFETY: one CPU runs the cases; where others help, one at a time writes a message that counts.
unsafe impl Sync for Message {}
static MESSAGE: Message = Message { bytes: UnsafeCell::new([0; 256]), used: AtomicUsize::new(0) };

/// Keeps what is written for the judgement of the case.
pub fn remember(text: &[u8]) {
    for &byte in text {
        let at = MESSAGE.used.fetch_add(1, Ordering::Relaxed);
        // SAFETY: see `Message`.
        unsafe { (&mut *MESSAGE.bytes.get())[at % 256] = byte };
    }
}

/// Whether `text` has been written.
fn written(text: &str) -> bool {
    let used = MESSAGE.used.load(Ordering::Relaxed).min(256);
    // SAFETY: see `Message`.
    let bytes = unsafe { &(&*MESSAGE.bytes.get())[..used] };
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The message of a case that writes to a guard. Where the machine lets it, that is found out when it has come back.
pub const RAN_OVER: &str = "a stack has run over";
const CAME_BACK: &str = "it came back, and should have ended by a fatal message";

/// Runs all cases, from the first.
pub fn run(list: List) -> ! {
    LIST.store(list as *mut (), Ordering::Relaxed);
    CURRENT.store(0, Ordering::Relaxed);
    // SAFETY: nothing of this is needed any more.
    unsafe { board::restart(next) }
}

/// The case that runs now.
fn current() -> Option<&'static Case> {
    let list = LIST.load(Ordering::Relaxed);
    if list.is_null() {
        return None;
    }
    // SAFETY: `run` stores one.
    let list = unsafe { core::mem::transmute::<*mut (), List>(list) };
    list(CURRENT.load(Ordering::Relaxed))
}

/// Runs the current case and those after it.
extern "C" fn next() -> ! {
    while let Some(case) = current() {
        // SAFETY: whoever was current will not run again.
        unsafe { arch::setg(core::ptr::null_mut()) };
        board::timer_stop();
        memory::reclaim_managed();
        MESSAGE.used.store(0, Ordering::Relaxed);
        BEFORE.store(checked(), Ordering::Relaxed);
        (case.run)();
        match case.expect {
            Expect::Ok if checked() == BEFORE.load(Ordering::Relaxed) => end("it checked nothing"),
            Expect::Ok => end(""),
            Expect::Fatal(_) => end(CAME_BACK),
        }
    }
    let (passed, failed) = (PASSED.load(Ordering::Relaxed), FAILED.load(Ordering::Relaxed));
    say!("done {passed} passed, {failed} failed, {} checks", checked());
    board::exit(failed == 0)
}

/// Whether the current case should end by this message.
fn expects(message: &str) -> bool {
    matches!(current().map(|case| case.expect), Some(Expect::Fatal(text)) if text == message)
}

/// Notes how the current case ended, and goes on to the next.
fn end(mut why: &str) {
    let broken = memory::broken_guard();
    if let Some(at) = broken {
        say!("the guard word at {at:#x} has been overwritten");
        memory::fill_guards();
        why = if why == CAME_BACK && expects(RAN_OVER) { "" } else { RAN_OVER };
    }
    let checks = checked() - BEFORE.load(Ordering::Relaxed);
    if let Some(case) = current() {
        if why.is_empty() {
            PASSED.fetch_add(1, Ordering::Relaxed);
            say!("ok {}/{} {checks}", case.group, case.name);
        } else {
            FAILED.fetch_add(1, Ordering::Relaxed);
            say!("FAILED {}/{} {why}", case.group, case.name);
        }
    }
    CURRENT.fetch_add(1, Ordering::Relaxed);
}

/// Ends the current case from wherever it stands, and goes on.
fn leave(why: &str) -> ! {
    if board::cpu() != 0 || current().is_none() {
        say!("stopped on CPU {}: {why}", board::cpu());
        board::exit(false);
    }
    end(why);
    // SAFETY: the case is over.
    unsafe { board::restart(next) }
}

/// stackgate has ended the program.
pub fn aborted() -> ! {
    match current().map(|case| case.expect) {
        Some(Expect::Fatal(text)) if written(text) => {
            crate::harness::passed();
            leave("")
        }
        Some(Expect::Fatal(text)) => {
            say!("expected: {text}");
            leave("it ended by another message")
        }
        _ => leave("stackgate ended the program"),
    }
}

/// An exception that nobody expects: which one, and where. Boards call it, on any stack.
#[unsafe(no_mangle)]
pub extern "C" fn fault(number: usize, pc: usize, more: usize) -> ! {
    say!("exception {number:#x} at {pc:#x} ({more:#x})");
    let guarded = expects(RAN_OVER) && memory::guards().any(|guard| guard.contains(&more));
    leave(if guarded { "" } else { "an exception" })
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    board::mask();
    say!("{info}");
    leave("a panic")
}

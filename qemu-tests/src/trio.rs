//! The three functions by which tracebacks go on in C: the least that names C's frames.

use core::cell::Cell;
use core::ops::Range;
use stackgate::arch::{capture, unwind::Registers};
use stackgate::traceback::{
    ContextArg, Physical, SymbolizerArg, TracebackArg, function_at, set_cgo_traceback,
};
use std::ffi::CString;

/// How deeply callbacks may nest and still show C's frames.
const DEPTH: usize = 64;
/// How much of the stack above the place of a callback is looked at.
const FAR: usize = 1 << 20;

thread_local! {
    /// Where C stood at each callback that is under way on this thread, outermost first.
    static PLACES: [Cell<Option<Physical>>; DEPTH] = const { [const { Cell::new(None) }; DEPTH] };
    static USED: Cell<usize> = const { Cell::new(0) };
}

/// Sets the three functions.
pub fn set() {
    // SAFETY: they are what they have to be; tracebacks are not taken in handlers here.
    unsafe { set_cgo_traceback(0, Some(traceback), Some(context), Some(symbolizer)) }.expect("the first set");
}

/// Keeps where the caller stands; the word is the number of the place, from 1.
unsafe extern "C" fn context(arg: *mut ContextArg) {
    // SAFETY: stackgate passes one.
    let arg = unsafe { &mut *arg };
    if arg.context != 0 {
        assert_eq!(arg.context, USED.get(), "contexts come back innermost first");
        USED.set(arg.context - 1);
        return;
    }
    let used = USED.get();
    if used == DEPTH {
        return;
    }
    let mut registers = Registers::default();
    // SAFETY: room for the registers.
    unsafe { capture(&mut registers) };
    let sp = registers.sp();
    // This frame ends when this function returns: its caller's stays for as long as the context is in use.
    let mut place = Physical::new(&registers, sp..sp + FAR);
    if place.step().is_ok() {
        PLACES.with(|places| places[used].set(Some(place)));
        USED.set(used + 1);
        arg.context = used + 1;
    }
}

/// Whether `pc` is in a function of stackgate's own, by its name.
fn is_ours(pc: usize) -> bool {
    function_at(pc - 1).is_some_and(|f| f.name.starts_with("stackgate"))
}

/// The frames of C from that place to the crossing that it was called through.
unsafe extern "C" fn traceback(arg: *mut TracebackArg) {
    // SAFETY: stackgate passes one, with a buffer.
    let (arg, buffer) = unsafe { (&*arg, core::slice::from_raw_parts_mut((*arg).buf, (*arg).max)) };
    if arg.context == 0 {
        return;
    }
    let Some(mut place) = PLACES.with(|places| places[arg.context - 1].get()) else { return };
    let mut n = 0;
    // The way in comes first: no part of C.
    while is_ours(place.at().pc) && place.step().is_ok() {}
    while n < buffer.len() && !is_ours(place.at().pc) {
        buffer[n] = place.at().pc;
        n += 1;
        if place.step().is_err() {
            break;
        }
    }
}

/// The name of the function at a PC.
unsafe extern "C" fn symbolizer(arg: *mut SymbolizerArg) {
    // SAFETY: stackgate passes one.
    let arg = unsafe { &mut *arg };
    if arg.pc == 0 {
        // The end of an iteration: the names are the program's for good.
        return;
    }
    arg.more = 0;
    if let Some(f) = function_at(arg.pc - 1) {
        arg.func = name(f.entry..f.end, f.name);
        arg.entry = f.entry;
    }
}

/// The name as C wants it, made once for each function.
fn name(range: Range<usize>, name: &str) -> *const core::ffi::c_char {
    static NAMES: std::sync::Mutex<std::collections::BTreeMap<usize, CString>> =
        std::sync::Mutex::new(std::collections::BTreeMap::new());
    let mut names = NAMES.lock().expect("nobody fails with it");
    names.entry(range.start).or_insert_with(|| CString::new(name).unwrap_or_default()).as_ptr()
}

//! Tracebacks with files and lines, of C and of managed code, by the shim's symbolizer.

use crate::allocation::forbidden;
use crate::cases::nesting::through;
use crate::setup::{in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{CStr, c_int, c_void};
use core::fmt::{self, Write};
use core::num::NonZeroUsize;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::traceback::{ContextArg, Traceback, print, set_cgo_traceback};
use stackgate::{cgocall, cgocall_catch, throw};
use stackgate_libc::symbolizer::{SymbolizerError, install, install_from, memory_use};
use std::ffi::CString;

unsafe extern "C" {
    fn c_sym_middle(closure: *mut c_void) -> c_int;
    fn c_sym_outer(closure: *mut c_void) -> c_int;
    fn c_sym_raises(_: *mut c_void) -> c_int;
    fn c_sym_stores(_: *mut c_void) -> c_int;
    static c_lines: [c_int; 5];
    static mut c_page: *mut c_int;
}

const C: &str = "c/symbolizer.c";
const HERE: &str = file!();

/// Lines of C, in the order of its own list.
#[derive(Clone, Copy)]
enum In {
    Inlined,
    Middle,
    Outer,
    Raises,
    Stores,
}

fn c_line(of: In) -> usize {
    // SAFETY: C wrote it before it called; volatile, since nobody here did.
    unsafe { (&raw const c_lines).cast::<c_int>().add(of as usize).read_volatile() as usize }
}

/// A frame as it was printed.
#[derive(Clone, Debug)]
struct Shown {
    function: String,
    file: String,
    /// 0 where there is no file.
    line: usize,
    pc: usize,
}

impl Shown {
    fn is(&self, function: &str, file: &str, line: usize) -> bool {
        self.function.ends_with(function) && self.file.ends_with(file) && self.line == line
    }
}

/// Reads what `print` has written: a trace that ends with its outermost frame.
fn read(text: &str) -> Vec<Shown> {
    assert!(!text.contains("... stopped"), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| *line != "... more C frames").collect();
    lines
        .chunks(2)
        .map(|frame| {
            let (place, pc) = frame[1].trim_start().split_once("pc=0x").expect("a PC");
            let (file, line) = place.trim_end().rsplit_once(':').unwrap_or(("", "0"));
            Shown {
                function: frame[0].to_owned(),
                file: file.to_owned(),
                line: line.parse().expect("a line"),
                pc: usize::from_str_radix(pc, 16).expect("a PC"),
            }
        })
        .collect()
}

/// The trace from here on.
#[inline(never)]
fn traced() -> Vec<Shown> {
    let mut text = String::new();
    print(Traceback::current(), &mut text).expect("a String takes everything");
    read(&text)
}

/// Where a frame is, from `from` on.
fn find(trace: &[Shown], from: usize, function: &str, file: &str, line: usize) -> usize {
    let at = trace[from..].iter().position(|frame| frame.is(function, file, line));
    check!(at.is_some(), "no {function} at {file}:{line} from frame {from} on in {trace:#?}");
    from + at.unwrap_or(0)
}

/// Checks that the frames of C from `at` on are those of `c_sym_outer`, without anything between.
fn c_is_there(trace: &[Shown], at: usize) {
    for (i, (function, of)) in
        [("c_sym_inlined", In::Inlined), ("c_sym_middle", In::Middle), ("c_sym_outer", In::Outer)]
            .into_iter()
            .enumerate()
    {
        let frame = &trace[at + i];
        check!(frame.function == function && frame.file.ends_with(C), "{function}: {trace:#?}");
        check_eq!(frame.line, c_line(of), "the line of {function}");
    }
    check_eq!(trace[at].pc, trace[at + 1].pc, "an inlined function has its caller's PC");
    check!(trace[at + 1].pc != trace[at + 2].pc);
}

fn c_and_managed_code() {
    check_eq!(install(), Ok(()));
    check_eq!(install(), Ok(()), "once more is no mistake");
    in_task(|| {
        let mut inner = (0, Vec::new());
        let outer = line!() as usize + 1;
        through(c_sym_outer, || inner = (line!() as usize, traced()));
        let (line, trace) = inner;
        let at = find(&trace, 0, "c_and_managed_code::{{closure}}::{{closure}}", HERE, line);
        let stub = find(&trace, at, "test_run", "cases/nesting.rs", trace[at + 3..][0].line.max(1));
        check!(stub > at && stub < at + 6, "the way in is one frame: {trace:#?}");
        c_is_there(&trace, stub + 1);
        let called = find(&trace, stub + 4, "c_and_managed_code::{{closure}}", HERE, outer);
        check!(called <= stub + 6, "C was called from here: {trace:#?}");
        check!(
            trace.iter().all(|frame| !frame.function.starts_with("stackgate::callback")),
            "stackgate's own functions are not there: {trace:#?}"
        );
        check!(trace.last().is_some_and(|frame| frame.function.contains("in_task::entry")), "{trace:#?}");
    });
}

fn shows() {
    let t = std::time::Instant::now();
    check_eq!(install(), Ok(()));
    println!("install {:?} {:?}", t.elapsed(), memory_use());
    in_task(|| {
        through(c_sym_outer, || {
            let mut text = String::new();
            print(Traceback::current(), &mut text).expect("x");
            println!("{text}");
        });
    });
    check!(true);
}

cases! {
    "symbolizer";
    "shows" => shows;
    "C and managed code" => c_and_managed_code;
}

//! Tracebacks with files and lines, of C and of managed code, by the shim's symbolizer.

use crate::allocation::forbidden;
use crate::cases::nesting::through;
use crate::cases::signals::{EXACT, TICK, interrupted};
use crate::setup::{Task, adopted, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::num::NonZeroUsize;
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::traceback::{ContextArg, Frames, Stop, Traceback, print, set_cgo_traceback};
use stackgate::{G, Resumed, cgocall, cgocall_catch, g_init, resume, throw};
use stackgate_libc::symbolizer::{SymbolizerError, install, install_from, memory_use};
use stackgate_libc::{Errno, SignalHandler, Verdict, handle_signal};
use std::ffi::CString;

unsafe extern "C" {
    fn c_sym_handles(signal: c_int);
    fn c_sym_other(closure: *mut c_void) -> c_int;
    fn c_sym_outer(closure: *mut c_void) -> c_int;
    fn c_sym_raises(_: *mut c_void) -> c_int;
    fn c_sym_stores(page: *mut c_void) -> c_int;
    fn c_sym_works(n: *mut c_void) -> c_int;
    static c_lines: [c_int; 6];
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
    Handles,
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
        let from = usize::from(trace[0].function == "qemu_tests::cases::symbolizer::traced");
        let at = find(&trace, from, CLOSURE, HERE, line);
        check!(at <= 2, "the innermost frame: {trace:#?}");
        let stub = trace.iter().position(|frame| frame.function == "test_run").unwrap_or(0);
        check!(stub > at && trace[stub].file.ends_with("core/src/callback.rs"), "{trace:#?}");
        c_is_there(&trace, stub + 1);
        let called = find(&trace, stub + 4, CLOSURE, HERE, outer);
        check_eq!(called, stub + 5, "C was called from here, by `through`");
        check!(
            trace.iter().all(|frame| !frame.function.starts_with("stackgate::")),
            "stackgate's own functions are not there: {trace:#?}"
        );
        check!(trace.last().is_some_and(|frame| frame.function.contains("in_task::entry")), "{trace:#?}");
    });
}

/// Of an inlined function `debug = "line-tables-only"` tells the last name alone: of closures none that says much.
const CLOSURE: &str = "";

/// Calls C that calls back, `levels` times in each other, and runs `top` in the innermost callback.
#[inline(never)]
fn levels(levels: usize, top: &mut dyn FnMut()) {
    through(c_sym_outer, || if levels > 1 { self::levels(levels - 1, top) } else { top() });
}

/// How many frames there are of the outermost of C's functions, each where it belongs.
fn boundaries(trace: &[Shown]) -> usize {
    let outer = |frame: &&Shown| frame.is("c_sym_outer", C, c_line(In::Outer));
    for (at, _) in trace.iter().enumerate().filter(|(_, frame)| outer(frame)) {
        c_is_there(trace, at - 2);
    }
    check_eq!(
        trace.iter().filter(|frame| frame.function == "c_sym_outer").count(),
        trace.iter().filter(outer).count()
    );
    trace.iter().filter(outer).count()
}

fn nested_deeply() {
    const LEVELS: usize = 300;
    unsafe extern "C" fn entry(_: usize) -> usize {
        levels(LEVELS, &mut || {
            let trace = traced();
            check_eq!(boundaries(&trace), LEVELS, "every boundary's frames are there");
            let up = trace.iter().filter(|frame| frame.function == "qemu_tests::cases::symbolizer::levels");
            check_eq!(up.count(), LEVELS, "and the managed frames between");
        });
        3
    }
    check_eq!(install(), Ok(()));
    adopted(|_| {
        let mut task = Task::new((LEVELS + 64) * 2048, entry);
        check_eq!(task.resume(0), Resumed::Finished(3));
    });
}

/// Calls C that calls back, each of `ways` in the callback of the one before, and runs `top` in the innermost.
#[inline(never)]
fn ways(ways: &[unsafe extern "C" fn(*mut c_void) -> c_int], top: &mut dyn FnMut()) {
    let Some((&first, others)) = ways.split_first() else { return top() };
    through(first, || self::ways(others, top));
}

/// Different boundaries, each with its own frames and no others.
fn two_kinds() {
    ways(&[c_sym_outer, c_sym_other, c_sym_other, c_sym_outer, c_sym_other], &mut || {
        const OUTER: [&str; 3] = ["c_sym_inlined", "c_sym_middle", "c_sym_outer"];
        const OTHER: [&str; 1] = ["c_sym_other"];
        let trace = traced();
        let of = |managed: &str| managed == "qemu_tests::cases::symbolizer::ways";
        let shown: Vec<_> = trace
            .iter()
            .filter(|frame| frame.file.ends_with(C) || of(&frame.function))
            .map(|frame| if of(&frame.function) { "" } else { frame.function.as_str() })
            .collect();
        // The innermost call of `ways` has none below, and may be no frame.
        let shown = shown.strip_prefix(&[""]).unwrap_or(&shown);
        let wanted = [&OTHER[..], &OUTER, &OTHER, &OTHER, &OUTER].map(|c| [c, &[""]].concat()).concat();
        check_eq!(shown, wanted, "{trace:#?}");
    });
}

unsafe extern "C" fn two_kinds_in(_: usize) -> usize {
    two_kinds();
    3
}

/// A part of the memory of [`stacks_above_and_below`].
type Third = [u128; 1 << 15];

/// What runs on the middle of three parts of memory: tasks on the two others.
extern "C" fn between(thirds: *mut c_void) -> *mut c_void {
    let thirds = thirds.cast::<Third>();
    adopted(|_| {
        for (third, above) in [(0, false), (2, true)] {
            // SAFETY: the other parts are nobody's, and stay for as long as this thread runs.
            unsafe {
                let stack = thirds.add(third);
                check_eq!(stack.addr() > (&raw const stack).addr(), above, "where part {third} lies");
                let mut g = Box::<G>::default();
                check_eq!(g_init(&raw mut *g, stack.cast(), stack.add(1).cast(), two_kinds_in), Ok(()));
                check_eq!(resume(&raw mut *g, 0), Ok(Resumed::Finished(3)));
            }
        }
    });
    null_mut()
}

/// Walks of C end where managed code called it, whichever side its stack is on.
fn stacks_above_and_below() {
    check_eq!(install(), Ok(()));
    let mut thirds = vec![0u128; 3 << 15];
    let thirds = thirds.as_mut_ptr().cast::<Third>();
    // SAFETY: the memory stays until the thread has ended, whose stack is the middle of it.
    unsafe {
        let (mut attr, mut thread) = (core::mem::zeroed(), core::mem::zeroed());
        check_eq!(libc::pthread_attr_init(&mut attr), 0);
        check_eq!(libc::pthread_attr_setstack(&mut attr, thirds.add(1).cast(), size_of::<Third>()), 0);
        check_eq!(libc::pthread_create(&mut thread, &attr, between, thirds.cast()), 0);
        check_eq!(libc::pthread_join(thread, null_mut()), 0);
        libc::pthread_attr_destroy(&mut attr);
    }
}

fn a_foreign_thread() {
    check_eq!(install(), Ok(()));
    let run = || {
        let mut shown = (0, Vec::new());
        let mut top = || {
            shown = (line!() as usize, traced());
            // Once more, below a call that this callback makes.
            levels(2, &mut || check_eq!(boundaries(&traced()), 3, "two more boundaries"));
        };
        let mut closure: &mut dyn FnMut() = &mut top;
        // SAFETY: C passes the closure to `test_run`, which keeps it no longer than the call.
        let (line, n) = (line!() as usize, unsafe { c_sym_outer((&raw mut closure).cast()) });
        check_eq!(n, 3);
        let (inner, trace) = shown;
        let at = find(&trace, 0, CLOSURE, HERE, inner);
        check_eq!(boundaries(&trace), 1);
        let called = find(&trace, at, CLOSURE, HERE, line);
        check!(called < trace.len() - 1, "and on to where the thread began: {trace:#?}");
    };
    for _ in 0..2 {
        std::thread::spawn(run).join().expect("the thread");
    }
}

fn a_throw() {
    check_eq!(install(), Ok(()));
    in_task(|| {
        for round in 0..100 {
            let depth = 1 + round % 5;
            let mut top = || {
                levels(depth, &mut || {
                    check_eq!(boundaries(&traced()), depth + 1, "before the throw");
                    // SAFETY: nothing between here and the catch has a destructor.
                    unsafe { throw(NonZeroUsize::MIN) }
                });
            };
            let mut closure: &mut dyn FnMut() = &mut top;
            // SAFETY: C passes the closure to `test_run`, and may be abandoned there.
            let result = unsafe { cgocall_catch(c_sym_outer, (&raw mut closure).cast()) };
            check_eq!(result.map_err(|thrown| thrown.word()), Err(NonZeroUsize::MIN));
            check_eq!(boundaries(&traced()), 0, "after it");
            through(c_sym_outer, || check_eq!(boundaries(&traced()), 1, "the next callback"));
        }
    });
}

// ---- In handlers.

/// What a handler has printed.
struct Printed;
static mut TEXT: [u8; 1 << 16] = [0; 1 << 16];
static LENGTH: AtomicUsize = AtomicUsize::new(0);

impl Write for Printed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let at = LENGTH.load(Ordering::Relaxed);
        if at + text.len() > 1 << 16 {
            return Err(fmt::Error);
        }
        // SAFETY: one handler at a time; inside the array.
        unsafe { (&raw mut TEXT).cast::<u8>().add(at).copy_from(text.as_ptr(), text.len()) };
        LENGTH.store(at + text.len(), Ordering::Relaxed);
        Ok(())
    }
}

fn printed() -> Vec<Shown> {
    // SAFETY: no handler runs now.
    let text = unsafe {
        core::slice::from_raw_parts((&raw const TEXT).cast::<u8>(), LENGTH.load(Ordering::Relaxed))
    };
    check!(!text.is_empty(), "the handler has run");
    LENGTH.store(0, Ordering::Relaxed);
    read(core::str::from_utf8(text).expect("text"))
}

/// Prints a whole traceback.
fn prints(trace: impl FnOnce() -> Traceback) {
    if forbidden(|| print(trace(), &mut Printed)).is_err() {
        // SAFETY: ends the program.
        unsafe { libc::abort() };
    }
}

/// Prints what was interrupted, and lets a store to the page go on.
unsafe extern "C" fn handler(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    // SAFETY: what the kernel passed; the page is mapped, if there is one.
    unsafe {
        prints(|| Traceback::from_ucontext(ucontext));
        let page = PAGE.load(Ordering::Relaxed);
        if !page.is_null() {
            libc::mprotect(page.cast(), PAGE_SIZE, libc::PROT_READ | libc::PROT_WRITE);
        }
    }
    Verdict::Done
}

/// Prints its own chain.
#[expect(
    clippy::redundant_closure,
    reason = "the chain begins in a function of this file, on the line that is told"
)]
unsafe extern "C" fn prints_itself(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    LINE.store(line!() as usize + 1, Ordering::Relaxed);
    prints(|| Traceback::current());
    Verdict::Done
}

/// Is interrupted.
unsafe extern "C" fn raises_another(_: c_int, _: *mut c_void, _: *mut c_void) -> Verdict {
    LINE.store(line!() as usize + 2, Ordering::Relaxed);
    // SAFETY: takes any number.
    unsafe { libc::raise(libc::SIGUSR2) };
    Verdict::Done
}

/// Where a handler stands.
static LINE: AtomicUsize = AtomicUsize::new(0);

/// Through the trampoline: `handler` runs as gsignal.
fn handle(signal: c_int, handler: SignalHandler) {
    // SAFETY: handlers of this file.
    check_eq!(unsafe { handle_signal(signal, handler) }, Ok(()));
}

/// A page at which a store is interrupted, or null.
static PAGE: AtomicPtr<usize> = AtomicPtr::new(null_mut());
/// The largest there is.
const PAGE_SIZE: usize = 1 << 16;

/// Makes the page one that nobody may write to, and returns it.
fn forbidden_page() -> *mut usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new page.
    let page = unsafe { libc::mmap(null_mut(), PAGE_SIZE, libc::PROT_NONE, flags, -1, 0) };
    check!(page != libc::MAP_FAILED);
    PAGE.store(page.cast(), Ordering::Relaxed);
    page.cast()
}

/// A signal stack for this thread, painted so that it tells how much of it was used.
struct SignalStack(Vec<u8>);

impl SignalStack {
    const PAINT: u8 = 0xa5;

    fn new() -> Self {
        let mut stack = vec![Self::PAINT; 1 << 16];
        let new = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
        // SAFETY: memory of its own, until it is disabled.
        check_eq!(unsafe { libc::sigaltstack(&new, null_mut()) }, 0);
        Self(stack)
    }

    /// Bytes used, the kernel's frame included.
    fn used(&self) -> usize {
        self.0.len() - self.0.iter().take_while(|&&byte| byte == Self::PAINT).count()
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let none = libc::stack_t { ss_sp: null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        // SAFETY: it is not in use.
        unsafe { libc::sigaltstack(&none, null_mut()) };
    }
}

/// Checks that the managed code that called the frame of C at `c` stands at `line` of this file. Only stackgate's own
/// may lie between, where it has not been inlined.
fn managed_caller(trace: &[Shown], c: usize, line: usize) {
    let at = find(trace, c + 1, CLOSURE, HERE, line);
    check!(trace[c + 1..at].iter().all(|frame| frame.function.starts_with("stackgate::")), "{trace:#?}");
}

/// Checks a trace that goes on from the C library through `c_sym_raises`, from frame `from` on: the line that called
/// it, two boundaries, and the task's first function.
fn raised_at(trace: &[Shown], from: usize, line: usize) -> usize {
    let at = find(trace, from, "c_sym_raises", C, c_line(In::Raises));
    managed_caller(trace, at, line);
    check_eq!(boundaries(trace), 2, "and all the rest");
    check!(trace.last().is_some_and(|frame| frame.function.contains("in_task::entry")), "{trace:#?}");
    at
}

/// Has C signal itself two callbacks deep; gives the trace that was printed, and the line of the call.
fn raised() -> (Vec<Shown>, usize) {
    let mut found = (Vec::new(), 0);
    in_task(|| {
        levels(2, &mut || {
            let _stack = SignalStack::new();
            // SAFETY: takes nothing.
            let (line, n) = (line!() as usize, unsafe { cgocall(c_sym_raises, null_mut()) });
            check_eq!(n, 4);
            found = (printed(), line);
        });
    });
    found
}

fn c_that_signals_itself() {
    check_eq!(install(), Ok(()));
    handle(libc::SIGUSR1, handler);
    let (trace, line) = raised();
    let at = raised_at(&trace, 0, line);
    check!(at >= 1, "it was interrupted in the C library: {trace:#?}");
    check!(trace[..at].iter().all(|frame| frame.line == 0), "which has no lines: {trace:#?}");
}

fn a_handler() {
    check_eq!(install(), Ok(()));
    handle(libc::SIGUSR1, prints_itself);
    let (trace, line) = raised();
    let own = find(&trace, 0, CLOSURE, HERE, LINE.load(Ordering::Relaxed));
    let outer =
        trace.iter().position(|frame| frame.function == "qemu_tests::cases::symbolizer::prints_itself");
    check!(outer.is_some_and(|outer| outer > own), "the handler is under it: {trace:#?}");
    let at = raised_at(&trace, own, line);
    check!(outer.is_some_and(|outer| outer < at), "and what it has interrupted comes next: {trace:#?}");
}

fn a_handler_that_is_interrupted() {
    check_eq!(install(), Ok(()));
    handle(libc::SIGUSR1, raises_another);
    handle(libc::SIGUSR2, handler);
    let (trace, line) = raised();
    let own = find(&trace, 0, "symbolizer::raises_another", HERE, LINE.load(Ordering::Relaxed));
    raised_at(&trace, own + 1, line);
}

fn a_handler_of_c() {
    check_eq!(install(), Ok(()));
    handle(libc::SIGUSR2, handler);
    // SAFETY: a handler of that form.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = c_sym_handles as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        check_eq!(libc::sigaction(libc::SIGUSR1, &action, null_mut()), 0);
    }
    let (trace, line) = raised();
    let at = find(&trace, 0, "c_sym_handles", C, c_line(In::Handles));
    check!(trace[..at].iter().all(|frame| frame.line == 0), "the C library, which has no lines: {trace:#?}");
    // What it has interrupted is on another stack, and nobody has kept its registers.
    let managed = find(&trace, at, CLOSURE, HERE, line);
    let between = &trace[at + 1..managed];
    check!(between.iter().all(|f| f.line == 0 || f.function.starts_with("stackgate::")), "{trace:#?}");
    check_eq!(boundaries(&trace), 2, "and all the rest");
}

/// In one program: it takes long to read the debug information.
fn handlers() {
    a_handler();
    a_handler_that_is_interrupted();
    a_handler_of_c();
}

fn an_instruction() {
    an_instruction_of_c();
    an_instruction_of_managed_code();
}

fn an_instruction_of_c() {
    check_eq!(install(), Ok(()));
    handle(libc::SIGSEGV, handler);
    in_task(|| {
        levels(2, &mut || {
            let (page, stack) = (forbidden_page().cast(), SignalStack::new());
            // SAFETY: the page, of which the handler makes memory.
            let (line, n) = (line!() as usize, unsafe { cgocall(c_sym_stores, page) });
            check_eq!(n, 5);
            let trace = printed();
            check_eq!(find(&trace, 0, "c_sym_stores", C, c_line(In::Stores)), 0, "the interrupted line");
            managed_caller(&trace, 0, line);
            check_eq!(boundaries(&trace), 2);
            let (used, least) = (stack.used(), stackgate_libc::least_signal_stack());
            println!(
                "note: symbolizer: a traceback in a handler  {used} bytes of the signal stack, of {least}"
            );
            check!((1000..least).contains(&used), "{used} bytes of a signal stack of {least}");
        });
    });
}

fn an_instruction_of_managed_code() {
    check_eq!(install(), Ok(()));
    handle(libc::SIGSEGV, handler);
    in_task(|| {
        levels(2, &mut || {
            let (page, _stack) = (forbidden_page(), SignalStack::new());
            // SAFETY: the page, of which the handler makes memory.
            let (line, ()) = (line!() as usize, unsafe { page.write_volatile(6) });
            let trace = printed();
            let function = CLOSURE;
            let at = find(&trace, 0, function, HERE, line);
            check!(
                trace[..at].iter().all(|f| f.file.contains("/core/src/ptr/")),
                "the store's own: {trace:#?}"
            );
            check!(trace[..at].iter().all(|f| f.pc == trace[at].pc), "which was inlined");
            check_eq!(boundaries(&trace), 2);
        });
    });
}

// ---- A profiler.

/// The task's first function.
const TASK: &[u8] = b"qemu_tests::ways::in_task::entry";

/// How many samples are taken.
const SAMPLES: usize = 300;

/// What the samples were.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Those that do not lead to the task, by a table that is not exact there.
static SHORT: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
/// Those that begin in C, and in managed code, with a line of it.
static IN_C: AtomicUsize = AtomicUsize::new(0);
static IN_MANAGED: AtomicUsize = AtomicUsize::new(0);
/// The frames that were named in all.
static LINES: AtomicUsize = AtomicUsize::new(0);
static IN_TASK: AtomicBool = AtomicBool::new(false);

/// Takes a sample, and names all its frames.
unsafe extern "C" fn samples(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    if !IN_TASK.load(Ordering::Relaxed) {
        return Verdict::Done;
    }
    forbidden(|| {
        // SAFETY: what the kernel passed.
        let (mut trace, registers) =
            unsafe { (Traceback::from_ucontext(ucontext), Registers::from_ucontext(ucontext)) };
        let (mut n, mut lines, mut outer, mut to_the_task) = (0, 0, 0, false);
        Frames::new(&mut trace).for_each(|frame| {
            let is = |function: &str, file: &str| {
                frame.function.is_some_and(|name| name.ends_with(function.as_bytes()))
                    && frame.file.is_some_and(|name| name.ends_with(file.as_bytes()))
                    && frame.line != 0
            };
            if n == 0 && is("c_sym_works", C) && !frame.managed {
                IN_C.fetch_add(1, Ordering::Relaxed);
            }
            if n == 0 && is("symbolizer::works", HERE) && frame.managed {
                IN_MANAGED.fetch_add(1, Ordering::Relaxed);
            }
            n += 1;
            lines += usize::from(frame.file.is_some());
            outer += usize::from(is("c_sym_outer", C) && frame.line == c_line(In::Outer));
            to_the_task = frame.function.is_some_and(|name| name.starts_with(TASK)) && frame.line != 0;
        });
        LINES.fetch_add(lines, Ordering::Relaxed);
        match trace.stop() {
            Some(Stop::End) if to_the_task && outer == 2 => {}
            Some(Stop::End) | None => _ = WRONG.fetch_add(1, Ordering::Relaxed),
            Some(_) if EXACT || in_crossing(registers.pc()) => _ = WRONG.fetch_add(1, Ordering::Relaxed),
            Some(_) => _ = SHORT.fetch_add(1, Ordering::Relaxed),
        }
    });
    TAKEN.fetch_add(1, Ordering::Relaxed);
    Verdict::Done
}

/// Managed code that takes its time.
#[inline(never)]
fn works() {
    for i in 0..10_000 {
        core::hint::black_box(i);
    }
}

fn a_profiler() {
    check_eq!(install(), Ok(()));
    let _stack = SignalStack::new();
    handle(TICK, samples);
    in_task(|| {
        levels(2, &mut || {
            interrupted(|| {
                IN_TASK.store(true, Ordering::Relaxed);
                let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
                while count(&TAKEN) < SAMPLES || count(&IN_C) == 0 || count(&IN_MANAGED) == 0 {
                    works();
                    // SAFETY: takes a number.
                    unsafe { cgocall(c_sym_works, without_provenance_mut(2000)) };
                }
                IN_TASK.store(false, Ordering::Relaxed);
            });
        });
    });
    let [taken, short, c, managed, lines] =
        [&TAKEN, &SHORT, &IN_C, &IN_MANAGED, &LINES].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{taken} samples, {c} in C, {managed} in managed code, {short} short, {lines} frames with lines"
    );
    check_eq!(WRONG.load(Ordering::Relaxed), 0, "samples that lost the task, or C between");
    // Four of C's in each, the task's two, and those between.
    check!(lines >= (taken - short) * 8, "{lines} frames with lines in {taken} samples");
}

// ---- Files.

/// A copy of this program's file with something changed.
struct Copy(CString);

impl Copy {
    fn new(change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = std::fs::read("/proc/self/exe").expect("the program's own file");
        change(&mut bytes);
        let path = std::env::temp_dir().join(format!("stackgate-symbolizer-{}", std::process::id()));
        std::fs::write(&path, bytes).expect("room for a copy");
        Self(CString::new(path.into_os_string().into_encoded_bytes()).expect("a path"))
    }

    fn install(&self) -> Result<(), SymbolizerError> {
        install_from(&self.0)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // SAFETY: a path.
        unsafe { libc::unlink(self.0.as_ptr()) };
    }
}

/// Gives the sections of debug information other names.
fn strip(bytes: &mut [u8]) {
    const NAME: &[u8] = b"\0.debug_";
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(NAME.len()).position(|bytes| bytes == NAME) {
        at += found + 2;
        bytes[at] = b'x';
    }
}

fn without_debug_information() {
    let file = Copy::new(|bytes| strip(bytes));
    note("without debug information", || check_eq!(file.install(), Ok(())));
    in_task(|| {
        through(c_sym_outer, || {
            let trace = traced();
            let at = find(&trace, 0, "symbolizer::traced", "", 0);
            let c = find(&trace, at, "c_sym_middle", "", 0);
            check_eq!(
                find(&trace, c, "c_sym_outer", "", 0),
                c + 1,
                "an inlined function is not in a symbol table"
            );
            check!(trace.iter().all(|frame| frame.file.is_empty()), "{trace:#?}");
        });
    });
    let small = memory_use().expect("it is installed");
    check_eq!(small.stretches, small.stretches.max(small.functions), "a stretch for each function at least");
}

fn without_anything() {
    // No section headers: e_shoff, e_shnum and e_shstrndx are zero.
    let file = Copy::new(|bytes| {
        let (offset, size) = if size_of::<usize>() == 8 { (40, 8) } else { (32, 4) };
        bytes[offset..offset + size].fill(0);
        let counts = if size_of::<usize>() == 8 { 60 } else { 48 };
        bytes[counts..counts + 4].fill(0);
    });
    check_eq!(file.install(), Ok(()));
    in_task(|| {
        through(c_sym_outer, || {
            let trace = traced();
            check!(trace.iter().all(|frame| frame.pc != 0 && frame.file.is_empty()), "{trace:#?}");
            let c = trace.iter().filter(|frame| frame.function == "C function").count();
            check!(c >= 2, "C's frames are there all the same: {trace:#?}");
        });
    });
}

/// Where a section's header and its contents are in the file.
fn debug_info(bytes: &[u8]) -> (usize, core::ops::Range<usize>) {
    use object::{Object, ObjectSection};
    let file = object::File::parse(bytes).expect("an ELF file");
    let section = file.section_by_name(".debug_info").expect("debug information");
    let (at, size) = section.file_range().expect("in the file");
    let word = |at: usize| {
        let mut word = [0; size_of::<usize>()];
        word.copy_from_slice(&bytes[at..][..size_of::<usize>()]);
        usize::from_ne_bytes(word)
    };
    let (headers, size_of_header) = if size_of::<usize>() == 8 { (word(40), 64) } else { (word(32), 40) };
    (headers + section.index().0 * size_of_header, at as usize..(at + size) as usize)
}

fn bad_files() {
    check_eq!(install_from(c"/nowhere/at/all"), Err(SymbolizerError::NoFile(Errno::ENOENT)));
    check_eq!(install_from(c"/proc"), Err(SymbolizerError::NoFile(Errno::EISDIR)));
    let file = |change: &dyn Fn(&mut Vec<u8>)| Copy::new(change).install();
    check_eq!(file(&|bytes| *bytes = b"no program\n".to_vec()), Err(SymbolizerError::NotElf));
    check_eq!(file(&|bytes| bytes.truncate(1000)), Err(SymbolizerError::NotElf));
    // No program headers: e_phnum is zero.
    let none = if size_of::<usize>() == 8 { 56 } else { 44 };
    check_eq!(file(&|bytes| bytes[none..none + 2].fill(0)), Err(SymbolizerError::AnotherProgram));
    let compressed = |bytes: &mut Vec<u8>| {
        let (header, contents) = debug_info(bytes);
        let flags =
            usize::from_ne_bytes(bytes[header + 8..][..size_of::<usize>()].try_into().expect("a word"));
        bytes[header + 8..][..size_of::<usize>()].copy_from_slice(&(flags | 0x800).to_ne_bytes());
        // ELFCOMPRESS_ZLIB.
        bytes[contents.start..][..4].copy_from_slice(&1u32.to_ne_bytes());
    };
    check_eq!(file(&compressed), Err(SymbolizerError::Compressed));
    let damaged = |bytes: &mut Vec<u8>| {
        let (_, contents) = debug_info(bytes);
        bytes[contents].fill(0xff);
    };
    check_eq!(file(&damaged), Err(SymbolizerError::BadDebugInformation));
    check_eq!(memory_use(), None, "nothing has been installed");
    check_eq!(install(), Ok(()), "and nothing stands in the way");
}

fn others_are_set() {
    unsafe extern "C" fn other(_: *mut ContextArg) {}
    // SAFETY: gives no context.
    check_eq!(unsafe { set_cgo_traceback(0, None, Some(other), None) }, Ok(()));
    check_eq!(install(), Err(SymbolizerError::AlreadySet));
    check_eq!(install(), Err(SymbolizerError::AlreadySet), "for good");
}

/// Notes what installing took, and what it made.
fn note(what: &str, install: impl FnOnce()) {
    let start = std::time::Instant::now();
    install();
    let took = start.elapsed().as_millis();
    let used = memory_use().expect("it is installed");
    let (functions, kib, each) = (used.functions, used.bytes >> 10, used.bytes / used.functions);
    println!(
        "note: symbolizer {what}: {functions} functions, {kib} KiB, {each} bytes a function  in {took} ms"
    );
}

fn memory() {
    check_eq!(memory_use(), None);
    note("with line tables", || check_eq!(install(), Ok(())));
    let used = memory_use().expect("it is installed");
    check!(
        used.functions > 1000 && used.places > used.functions && used.stretches > used.functions,
        "{used:?}"
    );
    let parts = 8 * used.stretches + 16 * used.places + 12 * used.functions + used.names;
    check!(
        (parts..parts + 256).contains(&used.bytes),
        "what the documentation says that each takes: {used:?}"
    );
    check!((100..1500).contains(&(used.bytes / used.functions)), "{used:?}");
}

cases! {
    "symbolizer";
    "C and managed code" => c_and_managed_code;
    "nested deeply" => nested_deeply;
    "stacks above and below" => stacks_above_and_below;
    "foreign thread" => a_foreign_thread;
    "throw" => a_throw;
    "C that signals itself" => c_that_signals_itself;
    "handlers" => handlers;
    "a profiler" => a_profiler;
    "an instruction" => an_instruction;
    "without debug information" => without_debug_information;
    "without anything" => without_anything;
    "bad files" => bad_files;
    "others are set" => others_are_set;
    "memory" => memory;
}

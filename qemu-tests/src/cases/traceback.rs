//! Tracebacks through towers of managed code and C.
//!
//! The C parts are Rust functions that do what C and its export stub do: they run on the system stack and
//! call back through `enter`.

use crate::setup::{Task, adopted};
use crate::{cases, check, check_eq};
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ptr::null_mut;
use stackgate::arch::asmcgocall;
use stackgate::traceback::{
    ContextArg, ContextFn, ContextPlace, Frames, Function, MAX_C_FRAMES, MAX_FRAMES_PER_PC, Pc,
    RegisterError, SetTracebackError, Stop, SymbolizerArg, SymbolizerFn, Traceback, TracebackArg,
    TracebackFn, Walker, callers, callers_pcs, print, register_functions, set_cgo_traceback,
};
use stackgate::{CallbackFn, EntryFn, G, Resumed, arch, on_system_stack};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

// ---- The tower: task, C1, G1, C2, G2, ... up to G5, which runs what the case wants.

/// What runs at the top of the tower, and how many callbacks are below it.
struct Tower<'a> {
    levels: usize,
    top: &'a mut dyn FnMut(),
}

/// Builds a tower of `levels` callbacks in a task, and runs `top` in the innermost.
pub fn tower(levels: usize, mut top: impl FnMut()) {
    adopted(|_| {
        let mut tower = Tower { levels, top: &mut top };
        let mut task = Task::new(256 << 10, task_function);
        check_eq!(task.resume((&raw mut tower).expose_provenance()), Resumed::Finished(9), "the task's word");
    });
}

#[inline(never)]
unsafe extern "C" fn task_function(tower: usize) -> usize {
    // SAFETY: `tower` passes one that outlives the task; on a managed stack.
    unsafe { level(core::ptr::with_exposed_provenance_mut(tower), 0, c1) };
    black_box(9)
}

/// What the function of a level does: calls C for the next one, or runs the top.
///
/// # Safety
/// On a managed stack.
#[inline(always)]
unsafe fn level(tower: *mut c_void, at: usize, next: arch::CFn) {
    // SAFETY: by the caller; a `Tower` is what each level passes on.
    unsafe {
        if (*tower.cast::<Tower<'_>>()).levels == at {
            run_top(tower);
        } else {
            black_box(asmcgocall(next, tower));
        }
    }
}

#[inline(never)]
unsafe fn run_top(tower: *mut c_void) {
    // SAFETY: as above.
    unsafe { ((*tower.cast::<Tower<'_>>()).top)() };
    black_box(tower);
}

macro_rules! levels {
    ($($c:ident calls $g:ident = $n:literal, then $next:ident;)+) => {$(
        #[inline(never)]
        unsafe extern "C" fn $c(tower: *mut c_void) -> c_int {
            // SAFETY: on the system stack; the function takes the tower.
            unsafe { stackgate::enter($g, tower, 0) };
            black_box($n)
        }
        #[inline(never)]
        unsafe extern "C" fn $g(tower: *mut c_void, _: usize, _: usize) {
            // SAFETY: a callback, on a managed stack.
            unsafe { level(tower, $n, $next) };
            black_box(tower);
        }
    )+};
}
levels! {
    c1 calls g1 = 1, then c2;
    c2 calls g2 = 2, then c3;
    c3 calls g3 = 3, then c4;
    c4 calls g4 = 4, then c5;
    c5 calls g5 = 5, then c1;
}

/// The names of the tower's functions. `run_top` stands for all that the case itself puts on top of it.
pub fn name_tower() {
    let named: [(&'static str, usize); 7] = [
        ("task", task_function as EntryFn as usize),
        ("g1", g1 as CallbackFn as usize),
        ("g2", g2 as CallbackFn as usize),
        ("g3", g3 as CallbackFn as usize),
        ("g4", g4 as CallbackFn as usize),
        ("g5", g5 as CallbackFn as usize),
        ("top", run_top as unsafe fn(*mut c_void) as usize),
    ];
    register(&named);
}

/// Where the task's function begins.
pub fn task_address() -> usize {
    task_function as EntryFn as usize & !1
}

/// Registers functions by their addresses: each ends where the program's symbol table says.
fn register(named: &[(&'static str, usize)]) {
    // Bit 0 of an address is the Thumb bit where there is one, and no part of an address elsewhere.
    let mut entries: Vec<_> = named.iter().map(|&(name, entry)| (entry & !1, name)).collect();
    entries.sort();
    let functions: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(i, &(entry, name))| {
            let symbol = crate::symbols::functions().iter().find(|f| f.entry == entry);
            let end = symbol.expect("a function of this program").end;
            Function { entry, end, name, file: "tower.rs", line: 10 + i as u32 }
        })
        .collect();
    register_functions(functions.leak()).expect("a sorted table");
}

/// The trace as text: names of managed frames from the innermost of the tower on, PCs of C.
pub fn tower_of(pcs: &[Pc]) -> Vec<String> {
    let mut all = Vec::new();
    let mut frames = Frames::new(pcs.iter().copied());
    while let Some(frame) = frames.next() {
        all.push(match frame.function {
            Some(name) if frame.managed => String::from_utf8_lossy(name).into_owned(),
            None if frame.managed => "?".to_owned(),
            Some(name) => format!("{}:{:#x}", String::from_utf8_lossy(name), frame.line),
            None => format!("C {:#x}", frame.pc),
        });
    }
    // What the case runs on top of the tower is not the question.
    let top = all.iter().rposition(|name| name == "top").expect("the top of the tower is in the trace");
    all.split_off(top + 1)
}

fn trace() -> Vec<Pc> {
    let mut pcs = vec![Pc::default(); 1000];
    let n = callers_pcs(0, &mut pcs);
    pcs.truncate(n);
    pcs
}

fn set(context: ContextFn, traceback: TracebackFn, symbolizer: Option<SymbolizerFn>) {
    // SAFETY: the functions of this file do what they should.
    let set = unsafe { set_cgo_traceback(0, Some(traceback), Some(context), symbolizer) };
    check_eq!(set, Ok(()), "the first set of this process");
}

// ---- The seed's trio: contexts count the callbacks, PCs tell the context, two lines a PC.

static CONTEXTS: AtomicUsize = AtomicUsize::new(0);

/// A context function that counts what is not released.
///
/// # Safety
/// `arg` is one.
pub unsafe extern "C" fn counting_context(arg: *mut ContextArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.context == 0 {
        arg.context = CONTEXTS.fetch_add(1, Ordering::Relaxed) + 1;
    } else if arg.context == CONTEXTS.load(Ordering::Relaxed) {
        CONTEXTS.fetch_sub(1, Ordering::Relaxed);
    } else {
        std::process::abort();
    }
}

/// As many PCs as the context says, without a zero behind them.
unsafe extern "C" fn traceback_by_context(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        if arg.context == 0 || !arg.sigcontext.is_null() {
            std::process::abort();
        }
        for i in 0..arg.context.min(arg.max) {
            check_eq!(*arg.buf.add(i), 0, "the buffer is clear");
            arg.buf.add(i).write((arg.context << 8) + i);
        }
    }
}

unsafe extern "C" fn two_lines_a_pc(arg: *mut SymbolizerArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.pc == 0 {
        return;
    }
    arg.more = usize::from(arg.file.is_null());
    arg.file = c"tracebackctxt.c".as_ptr();
    arg.func = c"cFunction".as_ptr();
    arg.lineno = arg.pc + (arg.more << 16);
}

fn traceback_context() {
    name_tower();
    set(counting_context, traceback_by_context, Some(two_lines_a_pc));
    tower(2, || {
        let want = [
            "g2",
            "cFunction:0x10200",
            "cFunction:0x200",
            "cFunction:0x10201",
            "cFunction:0x201",
            "g1",
            "cFunction:0x10100",
            "cFunction:0x100",
            "task",
        ];
        check_eq!(tower_of(&trace()), want);
        // And from bare PCs.
        let mut bare = [0; 64];
        let n = callers(0, &mut bare);
        let mut lines = Vec::new();
        let mut frames = Frames::of_callers(&bare[..n]);
        while let Some(frame) = frames.next() {
            lines.push((frame.managed, frame.line));
        }
        let from = lines.iter().position(|&line| line == (false, 0x10200)).expect("C's first frame");
        let lines: Vec<_> = lines[from..].iter().map(|line| line.1).collect();
        check_eq!(lines[..4], [0x10200, 0x200, 0x10201, 0x201]);
        check_eq!(lines[5..7], [0x10100, 0x100]);
        check_eq!(CONTEXTS.load(Ordering::Relaxed), 2, "contexts at the bottom");
    });
    check_eq!(CONTEXTS.load(Ordering::Relaxed), 0, "contexts at the end");
}

// ---- Contexts.

/// Contexts 1, 2, 3, but none for every second callback.
unsafe extern "C" fn odd_contexts(arg: *mut ContextArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.context == 0 {
        let n = CONTEXTS.fetch_add(1, Ordering::Relaxed) + 1;
        arg.context = if n.is_multiple_of(2) { 0 } else { n };
    } else {
        check!(arg.context % 2 == 1, "only what was given comes back");
        RELEASED.fetch_add(1, Ordering::Relaxed);
    }
}
static RELEASED: AtomicUsize = AtomicUsize::new(0);

fn context_0_in_the_middle() {
    name_tower();
    set(odd_contexts, traceback_by_context, None);
    tower(3, || {
        let want = ["g3", "C 0x300", "C 0x301", "C 0x302", "g2", "g1", "C 0x100", "task"];
        check_eq!(tower_of(&trace()), want, "a callback without a context takes nobody else's");
    });
    check_eq!(RELEASED.load(Ordering::Relaxed), 2, "each context goes back once");
}

/// More PCs in inner callbacks than in outer ones, none with a terminator.
unsafe extern "C" fn traceback_without_end(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        for i in 0..arg.context * 2 {
            arg.buf.add(i).write((arg.context << 8) + i);
        }
    }
}

fn no_terminator() {
    name_tower();
    set(counting_context, traceback_without_end, None);
    tower(2, || {
        let want = ["g2", "C 0x200", "C 0x201", "C 0x202", "C 0x203", "g1", "C 0x100", "C 0x101", "task"];
        check_eq!(tower_of(&trace()), want, "nothing of an inner boundary shows at an outer one");
    });
}

/// Fills the buffer.
unsafe extern "C" fn traceback_to_the_brim(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        check_eq!(arg.max, 32, "PCs a boundary");
        for i in 0..arg.max {
            arg.buf.add(i).write((arg.context << 8) + i + 1);
        }
    }
}

fn full_buffer() {
    name_tower();
    set(counting_context, traceback_to_the_brim, None);
    tower(2, || {
        let pcs = trace();
        let c: Vec<_> = pcs.iter().filter(|pc| !pc.managed).collect();
        check_eq!(c.len(), 2 * MAX_C_FRAMES);
        for (i, pc) in c.iter().enumerate() {
            let boundary = 2 - i / 32;
            check_eq!(pc.pc, (boundary << 8) + i % 32 + 1);
            check_eq!(pc.cut, i % 32 == 31, "the last of each boundary says that there may be more");
        }
        check_eq!(tower_of(&pcs).len(), 3 + 64, "every managed frame is there");
        let mut text = String::new();
        check!(print(Traceback::current(), &mut text).is_ok());
        check_eq!(text.matches("... more C frames\n").count(), 2);
    });
}

/// A zero in the middle ends the list.
unsafe extern "C" fn traceback_with_a_hole(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        arg.buf.write(0x11);
        arg.buf.add(2).write(0x22);
    }
}

fn zero_ends_the_list() {
    name_tower();
    set(counting_context, traceback_with_a_hole, None);
    tower(1, || check_eq!(tower_of(&trace()), ["g1", "C 0x11", "task"]));
}

// ---- max and skip.

/// Takes the chain by one call, so that all of a case's chains begin alike.
#[inline(never)]
fn take(skip: usize, pcs: &mut [Pc]) -> usize {
    black_box(callers_pcs(skip, pcs))
}

fn max_at_each_boundary() {
    name_tower();
    set(counting_context, traceback_by_context, None);
    tower(3, || {
        let mut all = vec![Pc::default(); 100];
        let n = take(0, black_box(&mut all));
        all.truncate(n);
        check!(n > 10, "a tower of three: {n}");
        for max in black_box(0..=n + 1) {
            let mut some = vec![Pc::default(); max + 1];
            let got = take(0, black_box(&mut some[..max]));
            check_eq!(got, max.min(n), "as many as there is room for");
            // The first PC is where `take` was called from here, which differs.
            check_eq!(some[..got].get(2..), all[..got].get(2..), "a beginning of the same chain");
            check_eq!(some[max], Pc::default(), "nothing behind it");
        }
    });
}

fn skip_at_each_boundary() {
    name_tower();
    set(counting_context, traceback_by_context, None);
    tower(3, || {
        let mut all = vec![Pc::default(); 100];
        let n = take(0, black_box(&mut all));
        all.truncate(n);
        let managed: Vec<_> = (0..n).filter(|&i| all[i].managed).collect();
        for skip in black_box(0..=managed.len() + 1) {
            // Everything behind the last skipped managed frame.
            let from = match skip {
                0 => 0,
                _ => managed.get(skip - 1).map_or(n, |last| last + 1),
            };
            let mut some = vec![Pc::default(); 100];
            let got = take(skip, black_box(&mut some));
            check_eq!(got, n - from, "skip {skip}");
            check_eq!(some[2.min(got)..got], all[(from + 2).min(n)..], "skip {skip}");
        }
        // A skip that ends within the tower: g3 and g2 are gone, and the C frames between them.
        let above = managed.iter().position(|&i| tower_of_one(&all[i]) == "g3").expect("g3");
        let mut some = vec![Pc::default(); 100];
        let got = take(above + 2, black_box(&mut some));
        check_eq!(
            some[..got].iter().filter(|pc| !pc.managed).map(|pc| pc.pc).collect::<Vec<_>>(),
            [0x200, 0x201, 0x100]
        );
    });
}

fn tower_of_one(pc: &Pc) -> String {
    let mut frames = Frames::new([*pc]);
    frames
        .next()
        .and_then(|frame| frame.function)
        .map_or(String::new(), |name| String::from_utf8_lossy(name).into())
}

// ---- The symbolizer.

fn no_symbolizer() {
    name_tower();
    set(counting_context, traceback_by_context, None);
    tower(1, || {
        check_eq!(tower_of(&trace()), ["g1", "C 0x100", "task"]);
        let mut text = String::new();
        check!(print(Traceback::current(), &mut text).is_ok());
        check!(text.contains("\nC function\n\tpc=0x100\n"), "{text}");
    });
}

/// Knows 0x200 only, and counts its calls.
unsafe extern "C" fn knows_little(arg: *mut SymbolizerArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    arg.data += 1;
    if arg.pc == 0 {
        FINAL.lock().expect("no panic").push(arg.data);
        return;
    }
    check!(
        arg.file.is_null() && arg.func.is_null() && arg.lineno == 0 && arg.entry == 0,
        "nothing is left over"
    );
    if arg.pc == 0x200 {
        arg.func = c"known".as_ptr();
        arg.entry = 0x1f0;
    }
}
/// `data` at each final call.
static FINAL: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn finals() -> Vec<usize> {
    core::mem::take(&mut *FINAL.lock().expect("no panic"))
}

fn unknown_pc() {
    name_tower();
    set(counting_context, traceback_by_context, Some(knows_little));
    tower(2, || {
        check_eq!(tower_of(&trace()), ["g2", "known:0x0", "C 0x201", "g1", "C 0x100", "task"]);
        check_eq!(finals(), [4], "data is kept through one iteration, which ends once");
        let mut frames = Frames::new([Pc::c(0x200)]);
        check_eq!(frames.next().map(|frame| (frame.entry, frame.file, frame.line)), Some((0x1f0, None, 0)));
        check!(frames.next().is_none());
        check!(frames.next().is_none());
        drop(frames);
        check_eq!(finals(), [2], "data begins at 0 again, and the end is told once");
        // Managed PCs that nobody registered are frames without a name.
        let mut frames = Frames::new([Pc::managed(0x10)]);
        check_eq!(frames.next().map(|frame| (frame.function, frame.managed)), Some((None, true)));
        drop(frames);
        check_eq!(finals(), [0; 0], "no call, no end");
    });
}

/// Always promises another frame.
unsafe extern "C" fn always_more(arg: *mut SymbolizerArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    if arg.pc == 0 {
        FINAL.lock().expect("no panic").push(arg.data);
        return;
    }
    arg.data += 1;
    arg.func = c"again".as_ptr();
    arg.more = 1;
}

fn more_to_the_end() {
    // SAFETY: the function does what it should.
    check_eq!(unsafe { set_cgo_traceback(0, None, None, Some(always_more)) }, Ok(()));
    let mut frames = Frames::new([Pc::c(1), Pc::c(2)]);
    let mut pcs = Vec::new();
    while let Some(frame) = frames.next() {
        check_eq!(frame.function, Some(&b"again"[..]));
        pcs.push(frame.pc);
    }
    check_eq!(pcs.len(), 2 * MAX_FRAMES_PER_PC, "bounded");
    check_eq!(pcs.iter().filter(|&&pc| pc == 2).count(), MAX_FRAMES_PER_PC, "and the next PC has its turn");
    check_eq!(finals(), [2 * MAX_FRAMES_PER_PC]);
}

/// Promises a frame for PC 1 and then has none; PC 2 is plain.
unsafe extern "C" fn broken_promise(arg: *mut SymbolizerArg) {
    // SAFETY: what the contract says is passed.
    let arg = unsafe { &mut *arg };
    arg.more = usize::from(arg.pc == 1 && arg.func.is_null());
    arg.func = if arg.pc == 0 || !arg.func.is_null() { core::ptr::null() } else { c"one".as_ptr() };
}

fn a_promised_frame_that_is_none() {
    // SAFETY: the function does what it should.
    check_eq!(unsafe { set_cgo_traceback(0, None, None, Some(broken_promise)) }, Ok(()));
    let mut frames = Frames::new([Pc::c(1), Pc::c(2)]);
    let mut pcs = Vec::new();
    while let Some(frame) = frames.next() {
        pcs.push(frame.pc);
    }
    check_eq!(pcs, [1, 2], "no frame is invented");
}

fn dropped_early() {
    // SAFETY: the function does what it should.
    check_eq!(unsafe { set_cgo_traceback(0, None, None, Some(always_more)) }, Ok(()));
    let pcs = [Pc::c(1), Pc::c(2), Pc::c(3)];
    for taken in 0..5 {
        let mut frames = Frames::new(pcs);
        for _ in 0..taken {
            check!(frames.next().is_some());
        }
        drop(frames);
        let want = if taken == 0 { vec![] } else { vec![taken] };
        check_eq!(finals(), want, "one final call after {taken} frames, none without");
    }
}

// ---- Setting.

fn version_not_0() {
    for version in [1, -1, c_int::MAX] {
        // SAFETY: refused.
        let set = unsafe { set_cgo_traceback(version, None, Some(counting_context), None) };
        check_eq!(set, Err(SetTracebackError::Version));
    }
    // SAFETY: the functions do what they should.
    let set = unsafe { set_cgo_traceback(0, None, Some(counting_context), None) };
    check_eq!(set, Ok(()), "nothing had been set");
    check!(SetTracebackError::Version.to_string().contains("pass 0"));
}

fn second_set() {
    let set = |t: Option<TracebackFn>, c: Option<ContextFn>, s: Option<SymbolizerFn>| {
        // SAFETY: the functions do what they should.
        unsafe { set_cgo_traceback(0, t, c, s) }
    };
    let first: (TracebackFn, ContextFn, SymbolizerFn) =
        (traceback_by_context, counting_context, two_lines_a_pc);
    check_eq!(set(Some(first.0), Some(first.1), Some(first.2)), Ok(()));
    check_eq!(set(Some(first.0), Some(first.1), Some(first.2)), Ok(()), "the same again");
    let other = Err(SetTracebackError::AlreadySet);
    check_eq!(set(Some(first.0), Some(first.1), None), other);
    check_eq!(set(Some(first.0), Some(odd_contexts), Some(first.2)), other);
    check_eq!(set(Some(traceback_without_end), Some(first.1), Some(first.2)), other);
    check_eq!(set(None, None, None), other, "not to be taken away either");
    let mut place = ContextPlace::new();
    // SAFETY: it stays where it is.
    let context = unsafe { stackgate::traceback::acquire_context(&raw mut place) };
    check_eq!(context, 1, "the first set is there");
    stackgate::traceback::release_context(context);
    stackgate::traceback::release_context(0);
    check_eq!(CONTEXTS.load(Ordering::Relaxed), 0);
}

// ---- Where a trace begins.

fn begun_on_g0() {
    name_tower();
    set(counting_context, traceback_by_context, None);
    for bounds in [false, true] {
        tower(2, || {
            let m = stackgate::current_m().expect("an m");
            if bounds {
                // SAFETY: this thread's m. Generous bounds of the thread's stack.
                unsafe { (*m).g0.stack = bounds_around(&raw const m as usize, m) };
            }
            on_system_stack(|| {
                let pcs = on_top_of_g0();
                check!(pcs[0].managed, "its own frame first");
                let names = tower_of(&pcs);
                check_eq!(names, ["g2", "C 0x200", "C 0x201", "g1", "C 0x100", "task"], "then curg's");
            });
            // In C proper.
            in_c(|| {
                let names = tower_of(&on_top_of_g0());
                check_eq!(names, ["g2", "C 0x200", "C 0x201", "g1", "C 0x100", "task"]);
            });
        });
    }
}

/// Bounds of the system stack, as far as they matter here.
fn bounds_around(_: usize, m: *mut stackgate::M) -> arch::Stack<arch::Native> {
    use arch::frame::Word;
    // SAFETY: this thread's m.
    let sp = unsafe { (*m).g0.sched.sp.get() };
    arch::Stack { limit: Word::new(sp - (64 << 10)), top: Word::new(sp + 256) }
}

#[inline(never)]
fn on_top_of_g0() -> Vec<Pc> {
    trace()
}

fn in_c<F: FnMut()>(mut f: F) {
    unsafe extern "C" fn run<F: FnMut()>(f: *mut c_void) -> c_int {
        // SAFETY: `in_c` passes a function that outlives the call.
        unsafe { (*f.cast::<F>())() };
        0
    }
    // SAFETY: `run` takes the function.
    unsafe { asmcgocall(run::<F>, (&raw mut f).cast()) };
}

fn nothing_to_trace() {
    check!(stackgate::current_m().is_none());
    let mut none = Traceback::current();
    check_eq!((none.next(), none.stop()), (None, Some(Stop::NoTask)), "a thread that is no m");
    let g = G::default();
    // SAFETY: a valid g.
    let mut none = unsafe { Traceback::of(&g) };
    check_eq!((none.next(), none.stop()), (None, Some(Stop::NoTask)), "a g that was never set up");
    adopted(|_| {
        let mut task = Task::new(64 << 10, parks);
        // SAFETY: a valid g, not running.
        let mut none = unsafe { Traceback::of(&*task.g) };
        check_eq!((none.next(), none.stop()), (None, Some(Stop::NoTask)), "a g that has not run");
        check_eq!(task.resume((&raw const *task.g).expose_provenance()), Resumed::Parked(1));
        check_eq!(task.resume(0), Resumed::Finished(2));
        // SAFETY: a valid g, not running.
        let mut none = unsafe { Traceback::of(&*task.g) };
        check_eq!((none.next(), none.stop()), (None, Some(Stop::NoTask)), "a g that has finished");
    });
}

#[inline(never)]
unsafe extern "C" fn parks(g: usize) -> usize {
    // SAFETY: the g that this runs on.
    let mut running = unsafe { Traceback::of(core::ptr::with_exposed_provenance(g)) };
    check_eq!((running.next(), running.stop()), (None, Some(Stop::Running)));
    parks_deeper(3);
    black_box(2)
}

#[inline(never)]
fn parks_deeper(n: usize) {
    if n == 0 {
        check_eq!(stackgate::park(1), Ok(0));
    } else {
        parks_deeper(n - 1);
    }
    black_box(n);
}

fn of_a_parked_task() {
    register(&[("parks", parks as EntryFn as usize), ("deeper", parks_deeper as fn(usize) as usize)]);
    adopted(|_| {
        let mut task = Task::new(64 << 10, parks);
        check_eq!(task.resume((&raw const *task.g).expose_provenance()), Resumed::Parked(1));
        for walker in [Walker::Records, Walker::Tables, Walker::Auto] {
            // SAFETY: the task is parked.
            let mut trace = unsafe { Traceback::of_by(walker, &*task.g) };
            let mut names: Vec<_> = trace.by_ref().map(|pc| tower_of_one(&pc)).collect();
            check_eq!(trace.stop(), Some(Stop::End), "{walker:?}");
            // `stackgate::park` may have been inlined.
            names.retain(|name| !name.is_empty());
            check_eq!(names, ["deeper", "deeper", "deeper", "deeper", "parks"], "{walker:?}");
        }
        check_eq!(task.resume(0), Resumed::Finished(2));
    });
}

/// Leaves its stack by `mcall`, and then by the function that saves every register.
#[inline(never)]
unsafe extern "C" fn leaves_by_functions(word: usize) -> usize {
    unsafe extern "C" fn on_g0(g: *mut G) -> ! {
        left_at_leaves(g);
        // SAFETY: g0 is current, the g has been left.
        unsafe { arch::gogo(g, 0) }
    }
    // SAFETY: in a task, not below C.
    unsafe {
        arch::mcall(on_g0);
        // Not the last thing: a jump would leave no frame of this function.
        black_box(arch::park_full(word))
    }
}

/// The chain of a g that the functions have left, by each walker.
fn left_at_leaves(g: *mut G) {
    for walker in WALKERS {
        // SAFETY: the g is parked.
        let mut trace = unsafe { Traceback::of_by(walker, &*g) };
        let names: Vec<_> = trace.by_ref().map(|pc| tower_of_one(&pc)).collect();
        check_eq!((names, trace.stop()), (vec!["leaves".to_owned()], Some(Stop::End)), "{walker:?}");
    }
}

fn of_a_task_that_functions_leave() {
    register(&[("leaves", leaves_by_functions as EntryFn as usize)]);
    adopted(|_| {
        let mut task = Task::new(64 << 10, leaves_by_functions);
        let g = task.at();
        // SAFETY: nobody else has the g, which is parked each time.
        unsafe {
            check_eq!(arch::resume_full(g, 7), 7, "it has parked");
            left_at_leaves(g);
            check_eq!(arch::resume_full(g, 8), 8, "it has finished");
        }
    });
}

// ---- The walkers.

/// The chain that led here by one walker, and why it ended.
#[inline(never)]
pub fn take_by(walker: Walker) -> (Vec<Pc>, Option<Stop>) {
    let mut trace = Traceback::current_by(walker);
    let pcs = trace.by_ref().collect();
    (pcs, trace.stop())
}

/// Every one.
pub const WALKERS: [Walker; 3] = [Walker::Records, Walker::Tables, Walker::Auto];

fn walkers_agree() {
    name_tower();
    set(counting_context, traceback_by_context, None);
    tower(5, || {
        let mut seen = Vec::new();
        // Twice, since the cache is empty the first time. One call, so that every PC is the same.
        for i in black_box(0..6) {
            seen.push(take_by(WALKERS[i % 3]));
        }
        for (i, (pcs, stop)) in seen.iter().enumerate() {
            check_eq!(*stop, Some(Stop::End), "{:?}", WALKERS[i % 3]);
            check_eq!(*pcs, seen[0].0, "{:?} sees what records tell", WALKERS[i % 3]);
        }
        let names = tower_of(&seen[0].0);
        let managed: Vec<_> = names.iter().filter(|name| !name.starts_with("C ")).collect();
        check_eq!(managed, ["g5", "g4", "g3", "g2", "g1", "task"]);
        check_eq!(names.len(), 6 + 5 + 4 + 3 + 2 + 1);
        check!(names.iter().all(|name| name != "?"), "{names:?}");
    });
}

fn through_a_catch() {
    name_tower();
    set(counting_context, traceback_by_context, None);
    tower(1, || {
        unsafe extern "C" fn in_c(arg: *mut c_void) -> c_int {
            // SAFETY: on the system stack.
            unsafe { stackgate::enter(look, arg, 0) };
            0
        }
        unsafe extern "C" fn look(_: *mut c_void, _: usize, _: usize) {
            for walker in WALKERS {
                let (pcs, stop) = take_by(walker);
                check_eq!(stop, Some(Stop::End));
                check_eq!(tower_of(&pcs), ["g1", "C 0x100", "task"], "{walker:?}");
                let catch = arch::asmcgocall_catch as *const () as usize;
                check!(
                    pcs.iter().all(|pc| pc.pc.wrapping_sub(catch) > 400),
                    "our own functions are not there"
                );
            }
        }
        let mut thrown = 0;
        // SAFETY: on curg.
        unsafe { arch::asmcgocall_catch(in_c, null_mut(), &raw mut thrown) };
    });
}

fn deep() {
    fn down(n: usize) {
        if n == 0 {
            for walker in [Walker::Records, Walker::Auto] {
                let (pcs, stop) = take_by(walker);
                check_eq!(stop, Some(Stop::End));
                check!(pcs.len() > 10_000, "{} frames", pcs.len());
            }
        } else {
            down(n - 1);
        }
        black_box(n);
    }
    unsafe extern "C" fn entry(_: usize) -> usize {
        down(black_box(10_000));
        black_box(1)
    }
    adopted(|_| {
        check_eq!(Task::new((4 << 20) * crate::variants::MORE_STACK, entry).resume(0), Resumed::Finished(1));
    });
}

// ---- Damage.

const WORD: usize = size_of::<usize>();

/// The record of the function that calls this.
#[inline(always)]
fn own_record() -> usize {
    let mut registers = arch::unwind::Registers::default();
    // SAFETY: `registers` is ours.
    unsafe { arch::capture(&raw mut registers) };
    registers.record()
}

fn word_at(at: usize) -> *mut usize {
    core::ptr::with_exposed_provenance_mut(at)
}

#[inline(never)]
fn damaged(at: usize, value: usize, walker: Walker) -> Option<Stop> {
    let mut trace = Traceback::current_by(walker);
    // SAFETY: a word of this task's own stack, given back before anybody else reads it.
    let was = unsafe { word_at(at).read_volatile() };
    // SAFETY: as above.
    unsafe { word_at(at).write_volatile(value) };
    let count = trace.by_ref().count();
    // SAFETY: as above.
    unsafe { word_at(at).write_volatile(was) };
    check!(count >= 1, "what is above the damage is there");
    trace.stop()
}

fn damaged_records() {
    tower(2, || {
        let record = own_record();
        let at = record + arch::RECORD.link;
        // SAFETY: the record of this function.
        let caller = unsafe { word_at(at).read_volatile() };
        let g = stackgate::current_g().expect("a g");
        // SAFETY: the current g.
        let top = unsafe { arch::frame::Word::get((*g).stack.top) } as usize;
        for (value, want) in [
            (0, Stop::NoRecord),
            (caller + 1, Stop::BadMemory),
            (caller + WORD / 2, Stop::BadMemory),
            (top, Stop::BadMemory),
            (top - 1, Stop::BadMemory),
            (top + (1 << 20), Stop::BadMemory),
            (usize::MAX, Stop::BadMemory),
            (usize::MAX - WORD + 1, Stop::BadMemory),
            (record, Stop::Loop),
            (record - 16 * WORD, Stop::Loop),
            (8, Stop::Loop),
        ] {
            check_eq!(damaged(at, value, Walker::Records), Some(want), "a link of {value:#x}");
        }
        check_eq!(damaged(at, caller, Walker::Records), Some(Stop::End), "no damage, no complaint");
        // A callback that designates another frame on the system stack.
        // SAFETY: this thread's m is in a callback: a frame is there, and below it a call and its entry.
        unsafe {
            let m = stackgate::current_m().expect("an m");
            let frame = arch::frame::Word::get((*m).g0.sched.sp) as usize;
            let frame = core::ptr::with_exposed_provenance::<arch::CallbackFrame>(frame);
            let call = arch::frame::Word::get((*frame).g0_sp) as usize - size_of::<arch::AsmcgocallFrame>();
            let call = core::ptr::with_exposed_provenance::<arch::AsmcgocallFrame>(call);
            let at = arch::entry_below(&*call).addr() + core::mem::offset_of!(arch::CallbackEntry, callback);
            check_eq!(word_at(at).read_volatile(), frame.addr(), "the entry designates its callback");
            for value in [0, 1, frame.addr() + WORD, usize::MAX, at] {
                check_eq!(
                    damaged(at, value, Walker::Records),
                    Some(Stop::BadMemory),
                    "a callback at {value:#x}"
                );
            }
        }
    });
}

/// Stacks full of random words: whatever lies there, the walk ends with a reason.
fn random_stacks() {
    const WORDS: usize = 512;
    let mut stack = vec![0u128; WORDS * WORD / 16].into_boxed_slice();
    let low = stack.as_mut_ptr().expose_provenance();
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    let code = [
        task_function as EntryFn as usize + 8,
        g1 as CallbackFn as usize + 12,
        (&raw const arch::callback_return).addr(),
        random_stacks as fn() as usize + 40,
        arch::resume_full as *const () as usize + 9,
        arch::cgocallback as *const () as usize + 20,
    ];
    let mut stops = std::collections::BTreeMap::new();
    for round in 0..20_000 {
        for i in 0..WORDS {
            let word = match random() % 8 {
                0..4 => (low + random() % (WORDS * WORD + 64)) & !(WORD - 1),
                4 => code[random() % code.len()],
                5 => 0,
                6 => random(),
                _ => low.wrapping_add(random() % 4096).wrapping_sub(1024),
            };
            // SAFETY: a word of that stack.
            unsafe { word_at(low + i * WORD).write_volatile(word) };
        }
        let mut g = G::default();
        // SAFETY: a g with a stack, which will only be traced.
        unsafe {
            stackgate::g_init(
                &raw mut g,
                word_at(low).cast(),
                word_at(low + WORDS * WORD).cast(),
                task_function,
            )
            .expect("a good stack");
            let at = (low + random() % (WORDS * WORD / 2)) & !(WORD - 1);
            g.sched = arch::gobuf(at);
            for walker in WALKERS {
                let mut trace = Traceback::of_by(walker, &g);
                check!(trace.by_ref().count() <= WORDS, "round {round}");
                *stops.entry(trace.stop().expect("a reason").name()).or_insert(0) += 1;
            }
        }
    }
    check!(stops.len() >= 3, "different ends: {stops:?}");
}

// ---- Tables of functions.

fn tables_of_functions() {
    const fn function(entry: usize, end: usize) -> Function {
        Function { entry, end, name: "f", file: "", line: 0 }
    }
    static SORTED: [Function; 3] =
        [function(0x1000, 0x1100), function(0x1100, 0x1180), function(0x1200, 0x1300)];
    static BETWEEN: [Function; 1] = [function(0x1180, 0x1200)];
    static OVERLAPS: [Function; 2] = [function(0x0800, 0x0900), function(0x12ff, 0x1400)];
    static UNSORTED: [Function; 2] = [function(0x3000, 0x3100), function(0x2000, 0x2100)];
    static EMPTY: [Function; 1] = [function(0x3000, 0x3000)];
    check_eq!(register_functions(&UNSORTED), Err(RegisterError::Unsorted));
    check_eq!(register_functions(&EMPTY), Err(RegisterError::Unsorted));
    check_eq!(register_functions(&[]), Err(RegisterError::Unsorted));
    check_eq!(register_functions(&SORTED), Ok(()));
    check_eq!(register_functions(&SORTED), Err(RegisterError::Overlap));
    check_eq!(register_functions(&OVERLAPS), Err(RegisterError::Overlap));
    check_eq!(register_functions(&BETWEEN), Ok(()), "a gap may be filled");
    let entry = |at| stackgate::traceback::function_at(at).map(|f| f.entry);
    check_eq!(entry(0xfff), None);
    check_eq!(entry(0x1000), Some(0x1000));
    check_eq!(entry(0x10ff), Some(0x1000));
    check_eq!(entry(0x1100), Some(0x1100));
    check_eq!(entry(0x11ff), Some(0x1180));
    check_eq!(entry(0x12ff), Some(0x1200));
    check_eq!(entry(0x1300), None);
    let mut full = None;
    for i in 0..20 {
        let one = vec![function(0x10_0000 + i * 16, 0x10_0010 + i * 16)];
        if let Err(error) = register_functions(one.leak()) {
            full = Some((i, error));
            break;
        }
    }
    check_eq!(full, Some((stackgate::traceback::MAX_FUNCTION_TABLES - 2, RegisterError::Full)));
}

// ---- Printing.

fn golden() {
    name_tower();
    set(counting_context, traceback_by_context, Some(two_lines_a_pc));
    tower(1, || {
        let mut text = String::new();
        let trace = Traceback::current();
        check!(print(trace, &mut text).is_ok());
        // From the tower on; addresses of code are the compiler's affair.
        let at = text.find("\ng1\n").expect("g1") + 1;
        let mut lines: Vec<_> = text[at..].lines().map(str::to_owned).collect();
        check_eq!(lines.len(), 8, "{text}");
        for i in [1, 7] {
            let (place, pc) = lines[i].split_once(" pc=0x").expect("a PC");
            check!(usize::from_str_radix(pc, 16).is_ok(), "{pc}");
            lines[i] = format!("{}:LINE pc=0xPC", place.split_once(':').expect("a line").0);
        }
        check_eq!(
            lines,
            [
                "g1",
                "\ttower.rs:LINE pc=0xPC",
                "cFunction",
                "\ttracebackctxt.c:65792 pc=0x100",
                "cFunction",
                "\ttracebackctxt.c:256 pc=0x100",
                "task",
                "\ttower.rs:LINE pc=0xPC",
            ]
        );
        check!(text.ends_with('\n') && !text.contains("stopped"), "{text}");
    });
}

fn golden_frames() {
    // SAFETY: the function does what it should.
    check_eq!(unsafe { set_cgo_traceback(0, None, None, Some(knows_little)) }, Ok(()));
    let cut = {
        let mut pc = Pc::c(0x201);
        pc.cut = true;
        pc
    };
    let mut text = String::new();
    let mut frames = Frames::new([Pc::c(0x200), cut, Pc::managed(0x33)]);
    while let Some(frame) = frames.next() {
        text += &frame.to_string();
    }
    drop(frames);
    check_eq!(
        text,
        "known\n\tpc=0x200\nC function\n\tpc=0x201\n... more C frames\nmanaged function\n\tpc=0x33\n"
    );
    let mut text = String::new();
    check!(print(Traceback::current(), &mut text).is_ok());
    check_eq!(text, "... stopped: NoTask: no task to trace\n");
}

cases! {
    "traceback";
    "traceback context" => traceback_context;
    "context 0 in the middle" => context_0_in_the_middle;
    "no terminator" => no_terminator;
    "full buffer" => full_buffer;
    "zero ends the list" => zero_ends_the_list;
    "max at each boundary" => max_at_each_boundary;
    "skip at each boundary" => skip_at_each_boundary;
    "no symbolizer" => no_symbolizer;
    "unknown pc" => unknown_pc;
    "more to the end" => more_to_the_end;
    "promised frame" => a_promised_frame_that_is_none;
    "dropped early" => dropped_early;
    "version" => version_not_0;
    "second set" => second_set;
    "begun on g0" => begun_on_g0;
    "nothing to trace" => nothing_to_trace;
    "parked task" => of_a_parked_task;
    "a task left by functions" => of_a_task_that_functions_leave;
    "walkers agree" => walkers_agree;
    "through a catch" => through_a_catch;
    "deep" => deep;
    "damaged records" => damaged_records;
    "random stacks" => random_stacks;
    "tables of functions" => tables_of_functions;
    "golden" => golden;
    "golden frames" => golden_frames;
}

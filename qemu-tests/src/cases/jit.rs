//! A runtime that makes its code at run time: registered, entered by `crosscall2`, calling C by `ccall`, seen in
//! tracebacks, and forgotten while handlers read.

use crate::cases::registers::keeps;
use crate::setup::{in_c, in_task};
use crate::{cases, check, check_eq};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stackgate::arch;
use stackgate::traceback::{
    Frames, MAX_CODE_NAME, Pc, RegisterError, Traceback, Walker, code_at, register_code, unregister_code,
};
use stackgate::{CFn, CallbackFn};
use stackgate_libc::{Verdict, handle_signal};
use std::ops::Range;
use std::thread;

unsafe extern "C" {
    static qemu_tests_jit: u8;
    static qemu_tests_jit_end: u8;
    fn c_flush_code(start: *mut c_char, end: *mut c_char);
    fn c_adds_one(number: *mut c_void) -> c_int;
    fn c_enters(entry: *mut c_void) -> c_int;
}

const PAGE: usize = 64 << 10;

/// Memory for code.
struct Code {
    at: *mut u8,
    size: usize,
}

impl Code {
    /// A page with the function in it, as often as that is asked for, each on a multiple of 16.
    fn make(copies: usize) -> Self {
        let (start, end) = (&raw const qemu_tests_jit, &raw const qemu_tests_jit_end);
        let size = end.addr() - start.addr();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new pages, the function's bytes, and its own cache lines.
        unsafe {
            let at = libc::mmap(null_mut(), PAGE, protection, flags, -1, 0).cast::<u8>();
            check!(!core::ptr::addr_eq(at, libc::MAP_FAILED) && copies * size.next_multiple_of(16) <= PAGE);
            for copy in 0..copies {
                core::ptr::copy_nonoverlapping(start, at.add(copy * size.next_multiple_of(16)), size);
            }
            check_eq!(libc::mprotect(at.cast(), PAGE, libc::PROT_READ | libc::PROT_EXEC), 0);
            c_flush_code(at.cast(), at.add(PAGE).cast());
            Self { at, size }
        }
    }

    fn range(&self, copy: usize) -> Range<usize> {
        let start = self.at.addr() + copy * self.size.next_multiple_of(16);
        start..start + self.size
    }

    fn function(&self, copy: usize) -> CallbackFn {
        let at = core::ptr::with_exposed_provenance::<u8>(self.range(copy).start);
        // SAFETY: the bytes of such a function. On ppc64le its global entry is its local one.
        unsafe { core::mem::transmute::<*const u8, CallbackFn>(at) }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: nothing of it runs any more.
        unsafe { libc::munmap(self.at.cast(), PAGE) };
    }
}

/// What the function is passed: what it calls, with what, how, and what came of it.
#[repr(C)]
struct Words {
    func: CFn,
    arg: *mut c_void,
    ccall: unsafe extern "C" fn(),
    result: usize,
}

impl Words {
    fn new(func: CFn, arg: *mut c_void) -> Self {
        Self { func, arg, ccall: arch::ccall, result: usize::MAX }
    }

    fn at(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }
}

/// What `c_enters` is passed.
#[repr(C)]
struct Entry {
    code: CallbackFn,
    words: *mut c_void,
}

/// In a task: C that enters the function with these words.
fn enter(code: &Code, copy: usize, words: &mut Words) {
    let mut entry = Entry { code: code.function(copy), words: words.at() };
    // SAFETY: as C wants it.
    let result = unsafe { stackgate::cgocall(c_enters, (&raw mut entry).cast()) };
    check_eq!(result, 1);
}

fn registers() {
    let code = Code::make(1);
    check_eq!(register_code(code.range(0), b"made"), Ok(()));
    in_task(|| {
        in_c(|| {
            for seed in 1..20 {
                let mut number: c_int = 40;
                let mut words = Words::new(c_adds_one, (&raw mut number).cast());
                let crosscall2 = arch::crosscall2 as *const () as usize;
                let f = code.function(0) as *const () as usize;
                keeps(
                    "crosscall2 of code made at run time",
                    crosscall2,
                    [f, words.at().expose_provenance(), 0, 0],
                    seed,
                );
                check_eq!((number, words.result as c_int), (41, 41));
            }
        });
    });
    check!(unregister_code(code.range(0).start));
}

/// What a trace has to have: the copies, innermost first.
struct Seen<'a> {
    code: &'a Code,
    depth: usize,
    walker: Walker,
    traces: usize,
}

/// C, called by the innermost function: the trace from here.
unsafe extern "C" fn looks(seen: *mut c_void) -> c_int {
    // SAFETY: `nested` passes one.
    let seen = unsafe { &mut *seen.cast::<Seen<'_>>() };
    let mut trace = Traceback::current_by(seen.walker);
    let pcs: Vec<Pc> = trace.by_ref().collect();
    let copies: Vec<usize> = pcs
        .iter()
        .filter(|pc| pc.managed)
        .filter_map(|pc| (0..seen.depth).find(|&copy| seen.code.range(copy).contains(&pc.lookup())))
        .collect();
    let expected: Vec<usize> = (0..seen.depth).rev().collect();
    check_eq!(copies, expected, "{:?}, stopped by {:?}", seen.walker, trace.stop());
    let mut names = Vec::new();
    let mut frames = Frames::new(Traceback::current_by(seen.walker));
    while let Some(frame) = frames.next() {
        let name = frame.function.map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        if name.starts_with("made ") {
            check!(frame.managed);
            names.push((name, frame.entry));
        }
    }
    let expected: Vec<_> =
        expected.iter().map(|&copy| (format!("made {copy}"), seen.code.range(copy).start)).collect();
    check_eq!(names, expected);
    seen.traces += 1;
    5
}

/// A chain of C and code made at run time: each function is called by C that the one before has called.
fn nested(walker: Walker) {
    const DEPTH: usize = 6;
    let code = Code::make(DEPTH);
    for copy in 0..DEPTH {
        check_eq!(register_code(code.range(copy), format!("made {copy}").as_bytes()), Ok(()));
    }
    check_eq!(register_code(code.range(3), b"again"), Err(RegisterError::Overlap));
    let mut seen = Seen { code: &code, depth: DEPTH, walker, traces: 0 };
    in_task(|| {
        let mut words = vec![Words::new(looks, (&raw mut seen).cast())];
        let mut entries: Vec<Box<Entry>> = Vec::new();
        words.reserve(DEPTH);
        for copy in (1..DEPTH).rev() {
            let inner = words.last_mut().expect("at least one").at();
            entries.push(Box::new(Entry { code: code.function(copy), words: inner }));
            let entry: *mut Entry = &raw mut **entries.last_mut().expect("at least one");
            words.push(Words::new(c_enters, entry.cast()));
        }
        enter(&code, 0, words.last_mut().expect("at least one"));
        let results: Vec<usize> = words.iter().map(|words| words.result as c_int as usize).collect();
        check_eq!(results, [5, 1, 1, 1, 1, 1]);
    });
    check_eq!(seen.traces, 1);
    for copy in 0..DEPTH {
        check!(unregister_code(code.range(copy).start));
        check!(!unregister_code(code.range(copy).start));
        check_eq!(code_at(code.range(copy).start), None);
    }
}

// ---- Signals take tracebacks while code is registered and forgotten.

static STORMED: AtomicUsize = AtomicUsize::new(0);
static NAMED: AtomicUsize = AtomicUsize::new(0);
static IN_CODE: AtomicUsize = AtomicUsize::new(0);
static TORN: AtomicUsize = AtomicUsize::new(0);
static STRANGE: AtomicUsize = AtomicUsize::new(0);
static CODE: AtomicUsize = AtomicUsize::new(0);
static CODE_END: AtomicUsize = AtomicUsize::new(0);
static OVER: AtomicBool = AtomicBool::new(false);

/// Takes a traceback with its names, and looks whether a name is of two registrations.
unsafe extern "C" fn storm_handler(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    STORMED.fetch_add(1, Ordering::Relaxed);
    let code = CODE.load(Ordering::Relaxed)..CODE_END.load(Ordering::Relaxed);
    // SAFETY: the handler's third argument.
    let trace = unsafe { Traceback::from_ucontext_by(Walker::Records, ucontext) };
    let mut frames = Frames::new(trace);
    while let Some(frame) = frames.next() {
        // The frame that was interrupted may be at its first instruction.
        if !(code.start..=code.end).contains(&frame.pc) {
            // No other code has one of the names.
            if frame.function.is_some_and(|name| name.starts_with(b"AA") || name.starts_with(b"BB")) {
                STRANGE.fetch_add(1, Ordering::Relaxed);
            }
            continue;
        }
        IN_CODE.fetch_add(1, Ordering::Relaxed);
        let Some(name) = frame.function else { continue };
        let first = name.first().copied().unwrap_or(0);
        let whole = match first {
            b'A' => name.len() == MAX_CODE_NAME,
            b'B' => name.len() == MAX_CODE_NAME / 2,
            _ => false,
        };
        if whole && name.iter().all(|&byte| byte == first) {
            NAMED.fetch_add(1, Ordering::Relaxed);
        } else {
            TORN.fetch_add(1, Ordering::Relaxed);
        }
    }
    Verdict::Done
}

/// Registers and forgets one piece of code, under two names in turn, until it is over; how often.
fn changes(range: Range<usize>) -> usize {
    let (long, short) = ([b'A'; MAX_CODE_NAME], [b'B'; MAX_CODE_NAME / 2]);
    let mut times = 0;
    while !OVER.load(Ordering::Relaxed) {
        for name in [&long[..], &short[..]] {
            assert_eq!(register_code(range.clone(), name), Ok(()));
            times += 1;
            assert!(unregister_code(range.start));
        }
        assert_eq!(code_at(range.start), None, "forgotten");
    }
    times
}

fn storm() {
    const SIGNALS: usize = 300;
    let code = Code::make(1);
    let range = code.range(0);
    CODE.store(range.start, Ordering::Relaxed);
    CODE_END.store(range.end, Ordering::Relaxed);
    // SAFETY: it reads, and counts.
    check_eq!(unsafe { handle_signal(libc::SIGUSR1, storm_handler) }, Ok(()));
    // SAFETY: may be called anywhere.
    let me = unsafe { libc::pthread_self() } as usize;
    let sender = thread::spawn(move || {
        while STORMED.load(Ordering::Relaxed) < SIGNALS && !OVER.load(Ordering::Relaxed) {
            // SAFETY: that thread waits for this one.
            unsafe { libc::pthread_kill(me as libc::pthread_t, libc::SIGUSR1) };
            thread::sleep(core::time::Duration::from_micros(300));
        }
    });
    let changer = thread::spawn({
        let range = range.clone();
        move || changes(range)
    });
    let mut memory = vec![0u128; 8 << 10];
    let stack =
        libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: size_of_val(&memory[..]) };
    // SAFETY: memory that nobody else uses while it is this thread's signal stack.
    assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
    let mut entered = 0;
    in_task(|| {
        let mut number: c_int = 0;
        while STORMED.load(Ordering::Relaxed) < SIGNALS {
            let mut words = Words::new(c_adds_one, (&raw mut number).cast());
            let mut entry = Entry { code: code.function(0), words: words.at() };
            // SAFETY: as C wants it.
            unsafe { stackgate::cgocall(c_enters, (&raw mut entry).cast()) };
            entered += 1;
            assert_eq!((number, words.result as c_int), (entered, entered));
        }
    });
    OVER.store(true, Ordering::Relaxed);
    sender.join().expect("signals");
    let changed = changer.join().expect("changes");
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{entered} entries, {changed} registrations, {} signals, {} frames in the code, {} with a name",
        count(&STORMED),
        count(&IN_CODE),
        count(&NAMED)
    );
    check_eq!((count(&TORN), count(&STRANGE)), (0, 0), "names of two registrations, and of other code");
    check!(count(&STORMED) >= SIGNALS && changed > 100 && entered > 0);
    check!(count(&IN_CODE) > 0, "no signal saw the code");
}

cases! {
    "jit";
    "registers" => registers;
    "in tracebacks, by records" => || nested(Walker::Records);
    "in tracebacks, by tables and records" => || nested(Walker::Auto);
    "registered in a storm of signals" => storm;
}

//! A small runtime: tasks on 16 KiB stacks take turns; one reads a file and sorts its lines with the C
//! library's `qsort`, whose comparator is managed code. `demo FILE`.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};
use qemu_tests::setup::{Task, adopted};
use stackgate::traceback::{Traceback, print};
use stackgate::{Resumed, cgocall, on_system_stack, park};
use std::ffi::CString;
use std::process::ExitCode;
use std::sync::Mutex;

/// A task's stack, in bytes.
const STACK: usize = 16 << 10;
/// Tasks beside the one that sorts.
const OTHERS: usize = 3;
/// How many bytes are read between two turns.
const CHUNK: usize = 1 << 20;

/// A line as `sort.c` declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Line {
    text: *const u8,
    len: usize,
}

impl Line {
    fn bytes(&self) -> &[u8] {
        // SAFETY: points into the file's bytes, which outlive the lines.
        unsafe { core::slice::from_raw_parts(self.text, self.len) }
    }
}

/// The lines as `sort.c` declares them.
#[repr(C)]
struct Lines {
    line: *mut Line,
    n: usize,
}

unsafe extern "C" {
    fn sort_lines(lines: *mut c_void) -> c_int;
    fn sched_yield() -> c_int;
}

static C_CALLS: AtomicUsize = AtomicUsize::new(0);
static CALLBACKS: AtomicUsize = AtomicUsize::new(0);
/// The traceback that the first comparison takes.
static TRACE: Mutex<String> = Mutex::new(String::new());

/// Calls C and counts it.
fn call(f: stackgate::CFn, arg: *mut c_void) -> c_int {
    C_CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: callers pass what the function takes.
    unsafe { cgocall(f, arg) }
}

stackgate::export! {
    /// Which of two lines comes first, by bytes: what `qsort` asks.
    pub extern "C" fn compare_lines(a: *const c_void, b: *const c_void) -> c_int {
        if CALLBACKS.fetch_add(1, Ordering::Relaxed) == 0 {
            take_traceback();
        }
        // SAFETY: qsort passes elements of the array of lines.
        let (a, b) = unsafe { (&*a.cast::<Line>(), &*b.cast::<Line>()) };
        a.bytes().cmp(b.bytes()) as c_int
    }
}

/// Keeps a traceback of its caller's caller and what lies below.
#[inline(never)]
fn take_traceback() {
    let trace = Traceback::current();
    on_system_stack(move || {
        let mut text = TRACE.lock().expect("one comparison at a time");
        print(trace, &mut *text).expect("a String takes everything");
    });
}

/// What the sorting task is asked to do, and what came of it.
struct Job {
    file: CString,
    result: Result<Outcome, String>,
}

struct Outcome {
    lines: usize,
    first: Option<String>,
    last: Option<String>,
    checksum: u64,
}

unsafe extern "C" fn sorts(job: usize) -> usize {
    let job: *mut Job = core::ptr::with_exposed_provenance_mut(job);
    // SAFETY: main passes its job and waits.
    let job = unsafe { &mut *job };
    job.result = read_and_sort(&job.file);
    0
}

fn read_and_sort(file: &CString) -> Result<Outcome, String> {
    let bytes = read(file)?;
    // A last line without newline is a line; an empty file has none.
    let mut lines: Vec<Line> = bytes
        .split_inclusive(|&b| b == b'\n')
        .map(|l| l.strip_suffix(b"\n").unwrap_or(l))
        .map(line)
        .collect();
    let mut sorted = Lines { line: lines.as_mut_ptr(), n: lines.len() };
    call(sort_lines, (&raw mut sorted).cast());

    let checksum = lines
        .iter()
        .flat_map(|l| l.bytes().iter().chain(b"\n"))
        .fold(FNV_OFFSET, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    Ok(Outcome {
        lines: lines.len(),
        first: lines.first().map(shown),
        last: lines.last().map(shown),
        checksum,
    })
}

/// The offset basis of FNV-1a with 64 bits.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// Its prime.
const FNV_PRIME: u64 = 0x100_0000_01b3;

fn line(bytes: &[u8]) -> Line {
    Line { text: bytes.as_ptr(), len: bytes.len() }
}

/// The beginning of a line, for a person.
fn shown(line: &Line) -> String {
    const WIDTH: usize = 60;
    let bytes = line.bytes();
    let text: String = bytes[..bytes.len().min(WIDTH)].escape_ascii().to_string();
    if bytes.len() > WIDTH { format!("{text}...") } else { text }
}

/// Reads a file, a chunk at a turn.
fn read(file: &CString) -> Result<Vec<u8>, String> {
    let failed = |what: &str, errno: stackgate_libc::Errno| {
        format!("cannot {what} {}: {}", file.to_string_lossy(), std::io::Error::from_raw_os_error(errno.0))
    };
    let counted = || C_CALLS.fetch_add(1, Ordering::Relaxed);
    counted();
    let fd =
        stackgate_libc::open(file, stackgate_libc::O_RDONLY, 0).map_err(|errno| failed("open", errno))?;
    let mut bytes = Vec::new();
    let result = loop {
        let end = bytes.len();
        bytes.resize(end + CHUNK, 0);
        counted();
        match fd.read(&mut bytes[end..]) {
            Ok(n) => {
                bytes.truncate(end + n);
                if n == 0 {
                    break Ok(bytes);
                }
            }
            Err(errno) => break Err(failed("read", errno)),
        }
        park(0).expect("between two calls");
    };
    counted();
    fd.close().map_err(|errno| failed("close", errno))?;
    result
}

/// What runs beside: a C call each turn.
unsafe extern "C" fn ticks(_: usize) -> usize {
    unsafe extern "C" fn c_yield(_: *mut c_void) -> c_int {
        // SAFETY: may be called anywhere.
        unsafe { sched_yield() }
    }
    loop {
        call(c_yield, core::ptr::null_mut());
        if park(0).expect("between two calls") == 1 {
            return 0;
        }
    }
}

fn run(file: CString) -> Result<(), String> {
    let mut job = Job { file, result: Err("the task did not run".into()) };
    let turns = adopted(|_| {
        let mut main = Task::new(STACK, sorts);
        let mut others: Vec<Task> = (0..OTHERS).map(|_| Task::new(STACK, ticks)).collect();
        let mut turns = 0;
        let word = (&raw mut job).expose_provenance();
        while main.resume(word) == Resumed::Parked(0) {
            for other in &mut others {
                other.resume(0);
            }
            turns += 1;
        }
        for other in &mut others {
            if matches!(other.resume(1), Resumed::Parked(_)) {
                other.resume(1);
            }
        }
        turns
    });
    let outcome = job.result?;
    println!("tasks {} on stacks of {STACK} bytes, {turns} turns", OTHERS + 1);
    println!("lines {}", outcome.lines);
    println!("C calls {}", C_CALLS.load(Ordering::Relaxed));
    println!("callbacks {}", CALLBACKS.load(Ordering::Relaxed));
    println!("first {}", outcome.first.as_deref().unwrap_or("(no line)"));
    println!("last {}", outcome.last.as_deref().unwrap_or("(no line)"));
    println!("checksum {:016x}", outcome.checksum);
    let trace = TRACE.lock().expect("nobody compares any more");
    if trace.is_empty() {
        println!("traceback: fewer than two lines, so nothing was compared");
    } else {
        println!("traceback of the first comparison:");
        for line in trace.lines() {
            println!("  {line}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: demo FILE");
        return 2.into();
    };
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    let result = stackgate_libc::symbolizer::install()
        .map_err(|error| error.to_string())
        .and_then(|()| {
            CString::new(file.into_encoded_bytes())
                .map_err(|_| "the file's name has a zero byte in it".to_string())
        })
        .and_then(run);
    match result {
        Ok(()) => 0.into(),
        Err(what) => {
            eprintln!("demo: {what}");
            1.into()
        }
    }
}

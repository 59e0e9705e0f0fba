//! What both stacks must hold, and the comparison with what they do hold.

use super::report::{FAILED, Op, Random, Step, report};
use crate::cpu::KEPT;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::fmt::Debug;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::traceback::{ContextArg, Stop, Traceback, TracebackArg, Walker};
use stackgate::{G, GState, Hooks, M, current_g, current_m, extra_ms, topofstack};
use stackgate_libc::Verdict;
use std::sync::OnceLock;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

unsafe extern "C" {
    fn c_signal_mask() -> u64;
}

/// Ends the process unless both are the same.
macro_rules! same {
    ($found:expr, $expected:expr, $($what:tt)+) => {{
        let (found, expected) = ($found, $expected);
        if found != expected {
            $crate::fuzz::report::report()
                .fail(format_args!("{}: expected {expected:x?}, found {found:x?}", format_args!($($what)+)));
        }
        $crate::fuzz::report::report().checks.fetch_add(1, Ordering::Relaxed);
    }};
}

pub(super) use same;

/// A function that a task has entered, or C.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// C, on the system stack.
    pub c: bool,
    /// Which of the functions with a name.
    pub marker: usize,
    /// C has called back: its context.
    pub back: Option<usize>,
    /// An exported function: its panic is thrown.
    pub export: bool,
    /// Called with other values in the callee-saved registers: the frame record of the caller cannot be found.
    pub opaque: bool,
    /// By `cgocall` or `cgocall_catch`: the m counts it.
    pub counted: bool,
    /// By a way that knows hooks.
    pub hooked: bool,
    /// By `cgocall_catch`.
    pub catches: bool,
    /// May not call back.
    pub no_callback: bool,
    /// Where the system stack was then, for callbacks and for a task's function.
    pub sched_sp: usize,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its function has not begun.
    New,
    /// Not running.
    Parked,
    /// On a thread, or in C there.
    Running,
    /// Its function has returned.
    Finished,
}

/// A stack, where no number is taken for its address that lies in a part of a word which was an address.
///
/// Stacks are moved, and compiled code keeps addresses wherever it likes; so every word is rewritten that looks like
/// one. The lower halves of these have bits that no random number of 32 bits has ([`int`]), and two stacks do not differ
/// in the bits of smaller numbers.
pub struct Memory {
    at: *mut u128,
    slot: usize,
}
/// Of what lies at which place, a bit each.
static SLOTS: AtomicU64 = AtomicU64::new(0);

impl Memory {
    /// Bytes of each.
    const SIZE: usize = 256 << 10;
    /// Bytes from one to the next.
    const STEP: usize = 1 << 20;
    /// Where the first is; anywhere where addresses have 32 bits, and nothing moves.
    const FIRST: usize = if usize::BITS == 64 { (0x10a_u64 << 28) as usize } else { 0 };

    /// One of zeros.
    pub fn new() -> Self {
        let taken = SLOTS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slots| {
            (slots != u64::MAX).then(|| slots | (slots + 1))
        });
        let slot = taken.expect("few stacks").trailing_ones() as usize;
        let wish = if Self::FIRST == 0 { 0 } else { Self::FIRST + slot * Self::STEP };
        // SAFETY: new memory.
        let at = unsafe {
            let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            libc::mmap(core::ptr::with_exposed_provenance_mut(wish), Self::SIZE, prot, flags, -1, 0)
        };
        let good = at != libc::MAP_FAILED && (wish == 0 || at.expose_provenance() == wish);
        assert!(good, "memory at {wish:#x}: {at:?}");
        Self { at: at.cast(), slot }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `new` has mapped it.
        unsafe { libc::munmap(self.at.cast(), Self::SIZE) };
        SLOTS.fetch_and(!(1 << self.slot), Ordering::Relaxed);
    }
}

impl core::ops::Deref for Memory {
    type Target = [u128];
    fn deref(&self) -> &[u128] {
        // SAFETY: there as long as this is.
        unsafe { core::slice::from_raw_parts(self.at, Self::SIZE / size_of::<u128>()) }
    }
}

impl core::ops::DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u128] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.at, Self::SIZE / size_of::<u128>()) }
    }
}

/// A random number of 32 bits, of either sign, that is in no place the lower half of a [`Memory`]'s address.
pub fn int(random: &mut Random) -> c_int {
    (random.word() as u32 & 0x8fff_ffff | 0x5000_0000) as c_int
}

/// A task, or the one of a thread of C's.
pub struct Task {
    pub g: *mut G,
    pub own: Option<(Box<G>, Memory)>,
    pub state: State,
    pub levels: Vec<Level>,
    /// Parked with other values in the callee-saved registers: it has no frame record that could be found.
    pub opaque: bool,
    /// What `resume` passes, and what `park` or the end does.
    pub word_in: usize,
    pub word_out: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Main,
    Adopted,
    Started,
    Foreign,
}

/// What a thread is told.
pub enum Command {
    /// To work, and say when it is done.
    Work(Sender<()>),
    /// To end, by returning or from below.
    End(Sender<()>, bool),
}

pub struct Thread {
    pub kind: Kind,
    pub m: *mut M,
    pub number: c_int,
    /// The signals that are kept from it.
    pub mask: u64,
    /// What `cgocall` has counted.
    pub calls: usize,
    /// It works, or waits for one that does.
    pub busy: bool,
    pub alive: bool,
    /// Of a thread of C's.
    pub task: usize,
    pub sender: Option<Sender<Command>>,
    pub join: Option<JoinHandle<()>>,
}

/// The whole of it. Whoever works has it; the others wait.
pub struct World {
    pub words: Vec<(usize, u64)>,
    pub next: usize,
    pub tasks: Vec<Task>,
    pub threads: Vec<Thread>,
    /// The thread that works.
    pub at: usize,
    /// The task that is about to run.
    pub resuming: usize,
    /// The task that has parked or finished last.
    pub left: usize,
    /// Extra m's that were ever in use at once, in this process.
    pub extra: usize,
    pub class: Class,
}

/// What is set for a whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u64);

/// How many there are: by the lowest bits of a sequence's seed.
pub const CLASSES: u64 = 8;

impl Class {
    pub fn of(seed: u64) -> Self {
        Self(seed % CLASSES)
    }
    pub fn hooks(self) -> bool {
        self.0 & 1 != 0
    }
    pub fn contexts(self) -> bool {
        self.0 & 2 != 0
    }
    pub fn interrupts(self) -> bool {
        self.0 & 4 != 0
    }
}

struct Cell(UnsafeCell<Option<World>>);
// SAFETY: one thread works at a time; it is handed on through channels.
unsafe impl Sync for Cell {}
static WORLD: Cell = Cell(UnsafeCell::new(None));

/// Puts a new one in the place.
pub fn set_world(world: Option<World>) {
    // SAFETY: no other thread works.
    unsafe { *WORLD.0.get() = world };
}

/// Looks at it, or changes it. `f` crosses nothing.
pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    // SAFETY: this thread works; `f` does not come here again.
    f(unsafe { (*WORLD.0.get()).as_mut() }.expect("a sequence runs"))
}

impl World {
    pub fn thread(&mut self) -> &mut Thread {
        &mut self.threads[self.at]
    }

    /// How many threads of C's have an m.
    pub fn attached(&self) -> usize {
        self.threads.iter().filter(|t| t.alive && t.kind == Kind::Foreign && !t.m.is_null()).count()
    }
}

impl Task {
    /// Where the system stack begins for the next call.
    pub fn sched_sp(&self) -> usize {
        self.levels.iter().rev().find(|level| level.sched_sp != 0).map_or(0, |level| level.sched_sp)
    }

    pub fn managed(&self) -> usize {
        self.levels.iter().filter(|level| !level.c).count()
    }

    pub fn below_c(&self) -> bool {
        self.levels.iter().any(|level| level.back.is_some())
    }

    /// Where a throw from here lands: below the level with this number.
    pub fn catch(&self, class: Class) -> Option<usize> {
        let at = self.levels.iter().rposition(|level| level.catches)?;
        let dropped = &self.levels[at..];
        // The crossings beneath know no hooks; where both are dropped hooks would not come in pairs.
        let pairs = dropped.iter().all(|level| level.hooked || !level.c && level.back.is_none());
        (!class.hooks() || pairs).then_some(at)
    }
}

/// Takes the next word, unless there is none. Returns its number as well.
pub fn next_word() -> Option<(usize, u64)> {
    with(|w| {
        let word = w.words.get(w.next).copied();
        w.next += 1;
        word
    })
}

/// Writes a step down.
pub fn note(op: Op, word: usize, depth: usize) {
    let thread = with(|w| w.at);
    report().step(Step { op, word, thread, depth });
}

// ---- What a level keeps in its frame.

/// Words in a frame that nobody else has.
pub struct Canary([u64; 6]);

impl Canary {
    pub fn new() -> Self {
        static SEED: AtomicUsize = AtomicUsize::new(1);
        let seed = SEED.fetch_add(1, Ordering::Relaxed) as u64;
        let mut random = Random(seed);
        let mut words = [0; 6];
        words[0] = seed;
        words[1..].fill_with(|| random.word());
        Self(black_box(words))
    }

    pub fn check(&self) {
        let found = black_box(&self.0);
        let mut random = Random(found[0]);
        for (at, word) in found[1..].iter().enumerate() {
            same!(*word, random.word(), "word {at} in the frame of a function that was left and is back");
        }
    }
}

/// Calls `f(args...)` with random words in the callee-saved registers, and names those that are lost.
pub fn keeping(what: &str, f: usize, args: [usize; 4], random: &mut Random) -> usize {
    let before: crate::cpu::Pattern =
        core::array::from_fn(|at| crate::cpu::representable(at, random.word() | 1 << 62));
    let mut after = [0; KEPT.len()];
    // SAFETY: callers pass functions of the arguments that they give.
    let result = unsafe { crate::cpu::with_pattern(f, &args, &before, &mut after) };
    for (at, register) in KEPT.iter().enumerate() {
        same!(after[at], before[at], "{register} after {what}");
    }
    result
}

// ---- Contexts and hooks: functions of the embedder's, which see what they are given.

const MANY: usize = 256;

/// A stack of words that is written in handlers and read there.
struct Words {
    words: [AtomicUsize; MANY],
    used: AtomicUsize,
}

impl Words {
    const fn new() -> Self {
        Self { words: [const { AtomicUsize::new(0) }; MANY], used: AtomicUsize::new(0) }
    }
    fn push(&self, word: usize) {
        let at = self.used.fetch_add(1, Ordering::Relaxed);
        self.words[at].store(word, Ordering::Relaxed);
    }
    fn pop(&self) -> usize {
        match self.used.load(Ordering::Relaxed) {
            0 => 0,
            n => {
                self.used.store(n - 1, Ordering::Relaxed);
                self.words[n - 1].load(Ordering::Relaxed)
            }
        }
    }
    fn len(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

static CONTEXTS: Words = Words::new();
static MADE: AtomicUsize = AtomicUsize::new(0);
static LAST_MADE: AtomicUsize = AtomicUsize::new(0);

/// The context that was made last, or 0 if the last was none.
pub fn last_context() -> usize {
    LAST_MADE.load(Ordering::Relaxed)
}

/// # Safety
/// As a context function.
pub unsafe extern "C" fn context(arg: *mut ContextArg) {
    // SAFETY: stackgate passes one.
    let context = unsafe { &mut (*arg).context };
    if *context == 0 {
        let made = MADE.fetch_add(1, Ordering::Relaxed) % 0xffff + 1;
        // Some callbacks have none.
        *context = if made.is_multiple_of(3) { 0 } else { made };
        LAST_MADE.store(*context, Ordering::Relaxed);
        if *context != 0 {
            CONTEXTS.push(*context);
        }
    } else {
        same!(*context, CONTEXTS.pop(), "the context that is released");
    }
}

fn pcs(context: usize) -> impl Iterator<Item = usize> {
    (0..1 + context % 3).map(move |i| (context << 8) + i + 1)
}
/// Where a signal has interrupted C.
const INTERRUPTED_C: usize = 0x1c000;

/// # Safety
/// As a traceback function.
pub unsafe extern "C" fn traceback(arg: *mut TracebackArg) {
    // SAFETY: what the contract says is passed, and `buf` has `max` words.
    unsafe {
        let arg = &*arg;
        if !arg.sigcontext.is_null() {
            arg.buf.write(INTERRUPTED_C);
            return;
        }
        for (i, pc) in pcs(arg.context).enumerate() {
            arg.buf.add(i).write(pc);
        }
    }
}

static IN_C: Words = Words::new();
static IN_MANAGED: Words = Words::new();
static CALLS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn entering_c() -> usize {
    let word = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    IN_C.push(word);
    word
}
unsafe extern "C" fn left_c(word: usize) {
    same!(word, IN_C.pop(), "the word of the call that has been left");
}
unsafe extern "C" fn entering_managed(word: usize) {
    IN_MANAGED.push(word);
}
unsafe extern "C" fn leaving_managed(word: usize) {
    same!(word, IN_MANAGED.pop(), "the word of the callback that is left");
}
/// Those of the sequences that have some.
pub static HOOKS: Hooks = Hooks { entering_c, left_c, entering_managed, leaving_managed };

// ---- Traces.

/// The functions with names.
pub const MARKERS: usize = 4;
/// Functions of managed code, then of C: where they begin and end.
static RANGES: OnceLock<Vec<(usize, usize)>> = OnceLock::new();

/// Says where the functions with names lie.
pub fn name(entries: [usize; 2 * MARKERS]) {
    let functions = crate::symbols::functions();
    let end = |entry: usize| {
        let known = functions.iter().find(|f| f.entry == entry & !1);
        (entry & !1, known.expect("a function of this program").end)
    };
    RANGES.get_or_init(|| entries.map(end).to_vec());
}

const C_PC: u32 = 1 << 31;
const MOST: usize = 160;

/// What of a trace is compared: functions with names, and what the traceback function says.
#[derive(Clone, Copy)]
pub struct Seen {
    words: [u32; MOST],
    used: usize,
    stop: Option<Stop>,
}

impl Seen {
    const EMPTY: Self = Self { words: [0; MOST], used: 0, stop: None };

    fn push(&mut self, word: u32) {
        if let Some(place) = self.words.get_mut(self.used) {
            *place = word;
            self.used += 1;
        }
    }

    /// Allocates nothing.
    pub fn of(mut trace: Traceback) -> Self {
        let mut seen = Self::EMPTY;
        let ranges = RANGES.get().map_or(&[][..], Vec::as_slice);
        for pc in trace.by_ref() {
            if pc.managed {
                let at = pc.lookup();
                if let Some(marker) = ranges.iter().position(|&(begin, end)| (begin..end).contains(&at)) {
                    seen.push(marker as u32 + 1);
                }
            } else if HAS_CONTEXTS.load(Ordering::Relaxed) {
                seen.push(C_PC | pc.pc as u32);
            }
        }
        seen.stop = trace.stop();
        seen
    }

    /// Without C's functions. Where one of them has no frame record, its callers on the system stack cannot be found;
    /// those of the task can.
    fn without_c(self) -> Self {
        let mut seen = Self { used: 0, ..self };
        let c = |word: u32| word as usize > MARKERS && word & C_PC == 0;
        self.words().iter().filter(|&&word| !c(word)).for_each(|&word| seen.push(word));
        seen
    }

    fn words(&self) -> &[u32] {
        &self.words[..self.used]
    }

    /// How many functions of managed code.
    pub fn managed(&self) -> usize {
        self.words().iter().filter(|&&word| word as usize <= MARKERS).count()
    }
}

/// There are a context function and a traceback function: what is not managed is what they say. Without them the place
/// where C was interrupted stands for its frames.
pub static HAS_CONTEXTS: AtomicBool = AtomicBool::new(false);

/// How a trace begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    Here,
    Handler,
    /// By records, without C's functions.
    Records,
}

/// What a trace has to show, and how much of it by records at least.
fn expected(task: &Task, class: Class, from: From) -> (Seen, usize) {
    let mut seen = Seen::EMPTY;
    let mut by_records = None;
    let mut on_top = true;
    let mut interrupted = false;
    for level in task.levels.iter().rev() {
        if level.c {
            if on_top && from == From::Here {
                seen.push((MARKERS + level.marker) as u32 + 1);
            } else if on_top && from == From::Handler && class.contexts() && !interrupted {
                seen.push(C_PC | INTERRUPTED_C as u32);
                interrupted = true;
            }
            if level.opaque {
                by_records.get_or_insert(seen.used);
            }
            continue;
        }
        on_top = false;
        seen.push(level.marker as u32 + 1);
        // What follows may not be found by records, and the boundary before it neither.
        if let Some(context) = level.back.filter(|&context| context != 0 && class.contexts()) {
            let before = seen.used;
            pcs(context).for_each(|pc| seen.push(C_PC | pc as u32));
            let below = task.levels.iter().rev().skip_while(|l| !core::ptr::eq(*l, level)).skip(1);
            if below.take_while(|below| below.c).any(|below| below.opaque) {
                by_records.get_or_insert(before);
            }
        }
    }
    seen.stop = Some(Stop::End);
    (seen, by_records.unwrap_or(seen.used))
}

/// What LLVM's tables say holds in prologues and epilogues too.
const EXACT: bool = crate::cases::signals::EXACT;

fn compare(what: &str, seen: &Seen, (expected, least): &(Seen, usize), exact: bool) {
    let (found, wanted) = (seen.words(), expected.words());
    if exact {
        same!(found, wanted, "{what}, which stops at {:?}", seen.stop);
        same!(seen.stop, expected.stop, "how {what} ends");
    } else if !wanted.starts_with(found) || found.len() < *least {
        same!(found, wanted, "{what}, which stops at {:?}, and shows {least} at least", seen.stop);
    } else {
        report().checks.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes tracebacks of the task that runs here.
#[inline(never)]
pub fn trace_here(t: usize) {
    let wanted = with(|w| expected(&w.tasks[t], w.class, From::Here));
    compare("a traceback", &Seen::of(Traceback::current()), &wanted, true);
    compare("a traceback by tables", &Seen::of(Traceback::current_by(Walker::Tables)), &wanted, true);
    let wanted = with(|w| expected(&w.tasks[t], w.class, From::Records));
    let all = wanted.1 == wanted.0.used;
    let seen = Seen::of(Traceback::current_by(Walker::Records)).without_c();
    compare("a traceback by records", &seen, &wanted, all);
}

/// Takes a traceback of a task that does not run.
pub fn trace_parked(t: usize) {
    let (g, state, wanted, opaque) = with(|w| {
        let task = &w.tasks[t];
        (task.g, task.state, expected(task, w.class, From::Here), task.opaque)
    });
    // SAFETY: the g stays; if it runs, it says so.
    let of = |walker| unsafe { Traceback::of_by(walker, g) };
    match state {
        State::Parked => {
            compare("a traceback of a parked task", &Seen::of(of(Walker::Auto)), &wanted, true);
            let wanted = (wanted.0, if opaque { 0 } else { wanted.1 });
            let by_records = Seen::of(of(Walker::Records));
            compare("a traceback of a parked task by records", &by_records, &wanted, !opaque);
        }
        State::Running => {
            same!(of(Walker::Auto).stop(), Some(Stop::Running), "a traceback of a running task")
        }
        _ => same!(of(Walker::Auto).stop(), Some(Stop::NoTask), "a traceback of a task without frames"),
    }
}

// ---- Signals.

/// At a place that is known.
pub const KNOWN: c_int = libc::SIGUSR1;
/// Anywhere.
pub const ANYWHERE: c_int = libc::SIGUSR2;

/// The thread that works, and how many functions of managed code have names in every trace of it now: one word, for a
/// handler to find both as they were at one time.
static HOLDER: AtomicU64 = AtomicU64::new(0);

/// This thread's number.
pub fn number() -> c_int {
    // SAFETY: takes nothing.
    unsafe { libc::syscall(libc::SYS_gettid) as c_int }
}

/// Says how many functions of managed code a handler finds from now on. By the thread that works.
pub fn publish(least: usize) {
    let holder = HOLDER.load(Ordering::SeqCst) >> 32;
    HOLDER.store(holder << 32 | least as u64, Ordering::SeqCst);
}

/// Says which thread works from now on.
pub fn hold(number: c_int) {
    HOLDER.store((number as u64) << 32, Ordering::SeqCst);
}

/// The thread that works.
pub fn holder() -> c_int {
    (HOLDER.load(Ordering::SeqCst) >> 32) as c_int
}

/// What a handler has found.
struct Found(UnsafeCell<(usize, usize, usize, Seen)>);
// SAFETY: written by the handler of the thread that works, and read by that thread.
unsafe impl Sync for Found {}
static FOUND: Found = Found(UnsafeCell::new((0, 0, 0, Seen::EMPTY)));

/// Whether `pc` lies in a function of the program whose tables are right, and not in code that the linker has made. Its
/// symbols have been read.
fn is_known(pc: usize) -> bool {
    let functions = crate::symbols::functions();
    let behind = functions.partition_point(|f| f.entry <= pc);
    // For i386, the C library's start files bring thunks without tables, and its memcpy pushes a word of which its table
    // says nothing.
    let wrong = |name: &str| {
        cfg!(target_arch = "x86") && (name.starts_with("__x86.get_pc_thunk") || name == "memcpy")
    };
    functions[..behind].last().is_some_and(|f| pc < f.end && !wrong(f.name))
}

/// # Safety
/// As a handler.
pub unsafe extern "C" fn at_known_place(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    // SAFETY: the handler's third argument; nobody reads it now.
    unsafe {
        let seen = Seen::of(Traceback::from_ucontext(ucontext));
        let g = current_g().map_or(0, |g| g.addr());
        let interrupted = stackgate::interrupted_g().map_or(0, |g| g.addr());
        let calls = (*FOUND.0.get()).0 + 1;
        *FOUND.0.get() = (calls, g, interrupted, seen);
        *libc::__errno_location() = 99;
    }
    Verdict::Done
}

/// # Safety
/// As a handler.
pub unsafe extern "C" fn anywhere(_: c_int, _: *mut c_void, ucontext: *mut c_void) -> Verdict {
    let holder = HOLDER.load(Ordering::SeqCst);
    let least = holder as u32 as usize;
    // SAFETY: the handler's third argument.
    let seen = Seen::of(unsafe { Traceback::from_ucontext(ucontext) });
    if number() == (holder >> 32) as c_int {
        report().counts[Op::Interrupt as usize].fetch_add(1, Ordering::Relaxed);
        // SAFETY: the handler's third argument; the current g is valid.
        let (pc, in_handler) = unsafe {
            let registers = Registers::from_ucontext(ucontext);
            let stack = current_g().map(|gsignal| (*gsignal).stack);
            let on = |stack: stackgate::arch::Stack<_>| {
                (value(stack.limit)..value(stack.top)).contains(&registers.sp())
            };
            (registers.pc(), stack.is_some_and(on))
        };
        // A handler that has just begun, or is about to end, does not know what it has interrupted.
        // The crossings' tables hold at every instruction; compiled code's on some CPUs; what the linker makes has none.
        let exact = !in_handler && (in_crossing(pc) || EXACT && is_known(pc));
        let complete = seen.stop == Some(Stop::End) && seen.managed() >= least;
        // Where a thread's own stack begins lies code of the C library's that has no tables.
        let nothing = least == 0;
        if exact && !complete && !nothing {
            report().fail(format_args!(
                "a traceback from a handler, anywhere, at {pc:#x}: expected {least} functions of managed code at least, \
                 found {:x?}, which stops at {:?}",
                seen.words(),
                seen.stop
            ));
        }
        if !complete && !nothing {
            report().short.fetch_add(1, Ordering::Relaxed);
        }
    }
    // SAFETY: this thread's.
    unsafe { *libc::__errno_location() = 98 };
    Verdict::Done
}

/// Sends this thread a signal, whose handler takes a trace. `t`: the task that runs, or is in C.
pub fn raise(t: Option<usize>) {
    // SAFETY: the handler of this thread alone writes; this thread's m.
    unsafe {
        let before = (*FOUND.0.get()).0;
        let (g, m) = (current_g(), current_m());
        let gsignal = m.map_or(0, |m| (&raw const (*m).gsignal).addr());
        *libc::__errno_location() = 0x55;
        let raised = libc::raise(KNOWN);
        let errno = *libc::__errno_location();
        same!((raised, errno), (0, 0x55), "raise, and errno after a handler");
        let (calls, handler_g, interrupted, seen) = *black_box(FOUND.0.get());
        same!(calls, before + 1, "handlers that have run");
        same!(handler_g, gsignal, "the g in a handler");
        same!(interrupted, g.map_or(0, |g| g.addr()), "the g that a handler has interrupted");
        same!(current_g(), g, "the current g after a handler");
        if let Some(t) = t {
            let wanted = with(|w| expected(&w.tasks[t], w.class, From::Handler));
            let complete = EXACT || seen.stop == Some(Stop::End);
            if !complete {
                report().short.fetch_add(1, Ordering::Relaxed);
            }
            compare("a traceback from a handler", &seen, &(wanted.0, 0), complete);
        }
    }
}

// ---- Both stacks.

fn here() -> usize {
    let here = 0u8;
    black_box(&raw const here).addr()
}

fn value<W: Word>(word: W) -> usize {
    word.get() as usize
}

/// What of an m is compared.
fn of_m(m: *mut M) -> Option<[usize; 5]> {
    // SAFETY: this thread's m, or null.
    let m = unsafe { m.as_ref()? };
    Some([
        m.curg.get().addr(),
        value(m.g0.sched.sp),
        value(m.ncgo),
        value(m.ncgocall),
        m.g0.m_in.get().addr(),
    ])
}

/// What holds on every thread, wherever it is.
fn settle() {
    let (mask, hooks, contexts, callbacks, extra, attached, made) = with(|w| {
        let running =
            || w.tasks.iter().filter(|task| task.state == State::Running).flat_map(|task| &task.levels);
        let hooks = running().filter(|level| level.c && level.hooked).count();
        let callbacks = running().filter(|level| level.back.is_some() && level.hooked).count();
        let contexts = running().filter(|level| level.back.is_some_and(|context| context != 0)).count();
        let with_hooks = usize::from(w.class.hooks());
        let (attached, made) = (w.attached(), w.extra);
        (w.thread().mask, hooks * with_hooks, contexts, callbacks * with_hooks, extra_ms(), attached, made)
    });
    // SAFETY: asks.
    same!(unsafe { c_signal_mask() }, mask, "the signals that are kept from this thread");
    same!(CONTEXTS.len(), contexts, "contexts that are not released");
    same!(IN_C.len(), hooks, "calls whose hook has not run at the end");
    same!(IN_MANAGED.len(), callbacks, "callbacks whose hook has not run at the end");
    same!(
        (extra.made, extra.made - extra.ready),
        (made, attached),
        "m's made for threads of C's, and in use"
    );
}

/// What holds where task `t` runs, on its own stack or in C.
pub fn settle_in_task(t: usize, in_c: bool) {
    settle();
    let (m, g, sched_sp, calls, under_way, catches, no_callback) = with(|w| {
        let task = &w.tasks[t];
        let under_way = task.levels.iter().filter(|level| level.counted).count();
        let catches = task.levels.iter().any(|level| level.catches);
        let no_callback = task.levels.last().is_some_and(|level| level.no_callback);
        let thread = &w.threads[w.at];
        (thread.m, task.g, task.sched_sp(), thread.calls, under_way, catches, no_callback)
    });
    let current = if in_c { m.cast::<G>() } else { g };
    same!(current_g(), Some(current), "the current g");
    same!(current_m(), Some(m), "the m of this thread");
    let m_in = if no_callback { 0 } else { m.addr() };
    let wanted = [g.addr(), sched_sp, under_way, calls, m_in];
    same!(of_m(m), Some(wanted), "curg, g0.sched.sp, ncgo, ncgocall, g0.m_in");
    // SAFETY: the g runs here; this thread's m.
    unsafe {
        same!((*g).m_out.get(), m, "the m of the g");
        same!(value((*g).state), GState::Running as usize, "the state of the g");
        same!(!(*g).catch.get().is_null(), catches, "whether something catches");
        let stack = if in_c { (*m).g0.stack } else { (*g).stack };
        let inside = (value(stack.limit)..value(stack.top)).contains(&here());
        same!(inside, true, "SP {:#x} lies in its stack {:x?}", here(), stack);
        same!(topofstack(), value((*g).stack.top), "topofstack");
    }
    settle_stack(t);
}

/// The lower end of a task's stack, which nobody reaches.
fn settle_stack(t: usize) {
    let bottom = with(|w| w.tasks[t].own.as_ref().map(|(_, stack)| stack[0]));
    if let Some(bottom) = bottom {
        same!(black_box(bottom), BOTTOM, "the lower end of the task's stack");
    }
}
/// What lies there.
pub const BOTTOM: u128 = 0x0b07_70aa_0b07_70aa_1122_3344_5566_7788;

/// What holds on the system stack of an m that runs nothing, and of tasks that nobody runs.
pub fn settle_on_g0() {
    settle();
    let (m, calls, idle) = with(|w| {
        let idle: Vec<_> = w
            .tasks
            .iter()
            .filter(|task| task.own.is_some() && task.state != State::Running)
            .map(|task| (task.g, task.state))
            .collect();
        (w.thread().m, w.thread().calls, idle)
    });
    same!(current_g(), Some(m.cast::<G>()), "the current g");
    same!(current_m(), Some(m), "the m of this thread");
    same!(
        of_m(m).map(|[curg, _, under_way, made, m_in]| [curg, under_way, made, m_in]),
        Some([0, 0, calls, m.addr()]),
        "curg, ncgo, ncgocall, g0.m_in"
    );
    same!(topofstack(), 0, "topofstack");
    for (g, state) in idle {
        let wanted = if state == State::Finished { GState::Finished } else { GState::Parked };
        // SAFETY: g's of this sequence, which stay.
        unsafe {
            same!(value((*g).state), wanted as usize, "the state of a g that does not run");
            same!((*g).m_out.get(), core::ptr::null_mut(), "the m of a g that does not run");
        }
    }
}

/// What holds on a thread of C's outside its callbacks.
pub fn settle_bare() {
    settle();
    let (m, t) = with(|w| (w.thread().m, w.thread().task));
    if m.is_null() {
        same!(current_g(), None, "the current g of a thread without an m");
        return;
    }
    let g = with(|w| w.tasks[t].g);
    same!(current_g(), Some(m.cast::<G>()), "the current g");
    let calls = with(|w| w.thread().calls);
    same!(
        of_m(m).map(|[curg, _, under_way, made, m_in]| [curg, under_way, made, m_in]),
        Some([g.addr(), 0, calls, m.addr()]),
        "curg, ncgo, ncgocall, g0.m_in"
    );
}

/// A panic that nobody expects.
pub fn on_panic(info: &std::panic::PanicHookInfo<'_>) {
    if info.payload().downcast_ref::<usize>().is_none() {
        report().fail(format_args!("a panic: {info}"));
    }
}

const _: () = assert!(FAILED != 0);

/// For errors that are compared.
pub fn refused<T: Debug, E: PartialEq + Debug>(result: Result<T, E>, wanted: E, what: &str) {
    match result {
        Err(error) => same!(error, wanted, "{what}"),
        Ok(word) => report().fail(format_args!("{what}: expected {wanted:?}, and it was done: {word:x?}")),
    }
}

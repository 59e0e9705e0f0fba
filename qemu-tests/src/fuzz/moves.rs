//! The interpreter: each level takes words of the sequence, does what they say, and compares.

use super::model::{
    ANYWHERE, BOTTOM, Canary, Command, KNOWN, Kind, Level, MARKERS, Memory, State, Task, Thread, World, hold,
    int, keeping, last_context, next_word, note, number, publish, raise, refused, same, settle_bare,
    settle_in_task, settle_on_g0, trace_here, trace_parked, with,
};
use super::report::{Op, Random, report};
use crate::cpu;
use crate::movable::rewrite;
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::num::NonZeroUsize;
use core::ptr::{null_mut, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::arch::Cpu;
use stackgate::arch::frame::Word;
use stackgate::traceback::{ContextPlace, acquire_context, release_context};
use stackgate::{
    AdoptError, G, M, ParkError, ReleaseError, ResumeError, Resumed, StackError, SwitchError, arch, capi,
    cgocall, cgocall_catch, cgocall_no_callback, current_g, current_m, enter, finish, g_init, m_adopt,
    m_release, on_system_stack, park, resume, resume_any, stack_moved, switch_to, throw,
};
use stackgate_libc::{ExitError, ThreadOptions, exit_thread, reap_threads, start_thread};
use std::sync::mpsc::{Receiver, Sender, channel};

unsafe extern "C" {
    fn c_signal_mask() -> u64;
}

/// How deep a task goes.
const DEPTH: usize = 24;
/// How many tasks there are at once.
const TASKS: usize = 6;
/// How many threads there are at once.
const THREADS: usize = 5;
/// Bytes of a signal stack.
const SIGNAL_STACK: usize = 256 << 10;

/// What the word says: one of these, with these weights, and the rest of it as random numbers.
fn choose(from: &[(Option<Op>, usize)], word: u64) -> (Option<Op>, Random) {
    let mut random = Random(word);
    let mut at = random.below(from.iter().map(|(_, weight)| weight).sum());
    for (op, weight) in from {
        if at < *weight {
            return (*op, random);
        }
        at -= weight;
    }
    (None, random)
}

// ---- Functions with names, by which traces are compared.

#[inline(never)]
fn managed<const K: usize>(t: usize) -> usize {
    managed_level(t);
    black_box(K)
}
#[inline(never)]
fn in_c<const K: usize>(t: usize) -> usize {
    c_level(t);
    black_box(K + MARKERS)
}
const MANAGED: [fn(usize) -> usize; MARKERS] = [managed::<0>, managed::<1>, managed::<2>, managed::<3>];
const IN_C: [fn(usize) -> usize; MARKERS] = [in_c::<0>, in_c::<1>, in_c::<2>, in_c::<3>];

/// Where they begin.
pub fn entries() -> [usize; 2 * MARKERS] {
    core::array::from_fn(|i| if i < MARKERS { MANAGED[i] as usize } else { IN_C[i - MARKERS] as usize })
}

fn push(t: usize, level: Level) {
    with(|w| w.tasks[t].levels.push(level));
}

fn pop(t: usize) {
    with(|w| w.tasks[t].levels.pop());
}

fn depth(t: usize) -> usize {
    with(|w| w.tasks[t].levels.len())
}

/// Where the system stack begins now for what this thread's g calls.
fn sched_sp() -> usize {
    // SAFETY: this thread's m.
    current_m().map_or(0, |m| unsafe { (*m).g0.sched.sp.get() as usize })
}

/// Runs the function with this name on the stack of task `t`.
fn enter_managed(t: usize, level: Level) {
    let marker = level.marker;
    push(t, level);
    same!(MANAGED[marker](t), marker, "what a managed function returns");
    pop(t);
}

// ---- Managed code.

/// A task's function.
unsafe extern "C" fn task_begins(word: usize) -> usize {
    let (t, wanted) = with(|w| (w.resuming, w.tasks[w.resuming].word_in));
    same!(word, wanted, "the word that a task begins with");
    let mut random = Random(word as u64);
    enter_managed(t, Level { marker: random.below(MARKERS), sched_sp: sched_sp(), ..Level::default() });
    let word = random.word() as usize;
    with(|w| (w.left, w.tasks[t].state, w.tasks[t].word_out) = (t, State::Finished, word));
    word
}

#[inline(never)]
fn managed_level(t: usize) {
    let canary = Canary::new();
    loop {
        publish(with(|w| w.tasks[t].managed()));
        settle_in_task(t, false);
        let Some((number, word)) = next_word() else { break };
        let (below_c, deep, catch, export) = with(|w| {
            let task = &w.tasks[t];
            let export = task.levels.last().is_some_and(|level| level.export);
            (task.below_c(), task.levels.len() >= DEPTH, task.catch(w.class).is_some(), export)
        });
        let call = if deep { 0 } else { 2 };
        let (op, mut random) = choose(
            &[
                (None, 6),
                (Some(Op::Deeper), call),
                (Some(Op::Asmcgocall), call),
                (Some(Op::Ccall), call),
                (Some(Op::Systemstack), call),
                (Some(Op::Cgocall), call),
                (Some(Op::NoCallback), call / 2),
                (Some(Op::Catch), 2 * call),
                (Some(Op::Throw), if catch { 3 } else { 0 }),
                (Some(Op::Panic), if catch && export { 5 } else { 0 }),
                (Some(Op::Park), if below_c { 0 } else { 8 }),
                (Some(Op::ParkBelowC), usize::from(below_c)),
                (Some(Op::Switch), if below_c || idle(t).is_empty() { 0 } else { 4 }),
                (Some(Op::SwitchBelowC), usize::from(below_c)),
                (Some(Op::Finish), if below_c { 0 } else { 2 }),
                (Some(Op::FinishBelowC), usize::from(below_c)),
                (Some(Op::Mcall), if below_c { 0 } else { 2 }),
                (Some(Op::Raise), 1),
                (Some(Op::Trace), 2),
                (Some(Op::MisuseInTask), 1),
            ],
            word,
        );
        let Some(op) = op else { break };
        note(op, number, depth(t));
        match op {
            Op::Deeper => {
                enter_managed(t, Level { marker: random.below(MARKERS), ..Level::default() });
            }
            Op::Throw => throws(t, random.word() as usize | 1),
            Op::Panic => panics(t, random.word() as usize),
            Op::Park => parks(t, &mut random),
            Op::ParkBelowC => refused(park(1), ParkError::BelowC, "park below C"),
            Op::Switch => switches(t, &mut random),
            Op::SwitchBelowC => {
                let g = another(Some(t)).unwrap_or(with(|w| w.tasks[t].g));
                // SAFETY: refused.
                refused(unsafe { switch_to(g, 1) }, SwitchError::BelowC, "switch_to below C");
            }
            // SAFETY: refused.
            Op::FinishBelowC => refused(unsafe { finish(1) }, ParkError::BelowC, "finish below C"),
            Op::Finish => finishes(t, random.word() as usize),
            Op::Mcall => leaves(t, &mut random),
            Op::Raise => raise(Some(t)),
            Op::Trace => trace_here(t),
            Op::MisuseInTask => misuse_in_task(t),
            _ => calls(t, op, &mut random),
        }
        canary.check();
    }
    canary.check();
    publish(with(|w| w.tasks[t].managed()).saturating_sub(1));
}

/// What a call into C is passed.
#[repr(C)]
struct Call {
    t: usize,
    level: Level,
    result: c_int,
    thrown: Option<stackgate::Thrown>,
}

unsafe extern "C" fn c(call: *mut c_void) -> c_int {
    // SAFETY: `calls` passes one.
    let (t, level, result) = unsafe {
        let call = &*call.cast::<Call>();
        (call.t, call.level.clone(), call.result)
    };
    let marker = level.marker;
    push(t, level);
    same!(IN_C[marker](t), marker + MARKERS, "what a function of C returns");
    pop(t);
    result
}

unsafe extern "C" fn system(call: *mut c_void) {
    // SAFETY: what `c` takes.
    unsafe { c(call) };
}

/// The ways that Rust's code goes, as C functions: for other registers to be there.
mod ways {
    use super::*;

    pub unsafe extern "C" fn by_system_stack(call: *mut c_void) -> usize {
        // SAFETY: what `c` takes.
        on_system_stack(|| unsafe { c(call) }) as usize
    }
    pub unsafe extern "C" fn by_cgocall(call: *mut c_void) -> usize {
        // SAFETY: as above.
        unsafe { cgocall(c, call) as usize }
    }
    pub unsafe extern "C" fn without_callback(call: *mut c_void) -> usize {
        // SAFETY: as above.
        unsafe { cgocall_no_callback(c, call) as usize }
    }
    pub unsafe extern "C" fn catching(call: *mut c_void) -> usize {
        // SAFETY: as above; nothing with a destructor lies between.
        match unsafe { cgocall_catch(c, call) } {
            Ok(result) => result as usize,
            Err(thrown) => {
                // SAFETY: as above.
                unsafe { (*call.cast::<Call>()).thrown = Some(thrown) };
                0
            }
        }
    }
    pub unsafe extern "C" fn parking(word: usize) -> usize {
        match park(word) {
            Ok(word) => word,
            Err(error) => report().fail(format_args!("park in a task: {error:?}")),
        }
    }
    pub unsafe extern "C" fn switching(g: *mut G, word: usize) -> usize {
        // SAFETY: `switches` passes a g that nobody runs.
        match unsafe { switch_to(g, word) } {
            Ok(word) => word,
            Err(error) => report().fail(format_args!("switch_to in a task: {error:?}")),
        }
    }
    pub unsafe extern "C" fn entering(back: *mut c_void, size: usize) {
        // SAFETY: `calls_back` passes a Back.
        unsafe { enter(called_back, back, size) };
    }
}

/// The address of a function, as `keeping` takes it.
macro_rules! address {
    ($f:expr) => {
        $f as *const () as usize
    };
}

/// What has been thrown to the call that is under way: the word, or what a panic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thrown {
    Word(usize),
    Panic(usize),
}
static THROWN: std::sync::Mutex<Option<Thrown>> = std::sync::Mutex::new(None);

fn thrown() -> std::sync::MutexGuard<'static, Option<Thrown>> {
    THROWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Calls C from task `t`.
fn calls(t: usize, op: Op, random: &mut Random) {
    let (counted, catches) = (matches!(op, Op::Cgocall | Op::NoCallback | Op::Catch), op == Op::Catch);
    let opaque = random.below(2) == 0;
    let mut call = Call {
        t,
        level: Level {
            c: true,
            marker: random.below(MARKERS),
            counted,
            hooked: counted,
            catches,
            opaque,
            no_callback: op == Op::NoCallback,
            ..Level::default()
        },
        result: int(random),
        thrown: None,
    };
    if counted {
        with(|w| w.thread().calls += 1);
    }
    let arg = (&raw mut call).cast::<c_void>();
    let at = arg.expose_provenance();
    let closure = random.below(2) == 0;
    let by = |f: unsafe extern "C" fn(*mut c_void) -> usize, random: &mut Random, what: &str| {
        if opaque {
            keeping(what, address!(f), [at, 0, 0, 0], random)
        } else {
            // SAFETY: the functions above take a Call.
            unsafe { f(arg) }
        }
    };
    // SAFETY: `c` takes a Call.
    let result = unsafe {
        match op {
            Op::Asmcgocall if opaque => {
                keeping("asmcgocall", address!(arch::asmcgocall), [address!(c), at, 0, 0], random)
            }
            Op::Asmcgocall => arch::asmcgocall(c, arg) as usize,
            Op::Ccall if opaque => {
                keeping("ccall", address!(cpu::ccall_one), [address!(c), at, 0, 0], random)
            }
            Op::Ccall => cpu::ccall_one(c, arg) as usize,
            Op::Systemstack if closure => by(ways::by_system_stack, random, "on_system_stack"),
            Op::Systemstack => {
                let args = [address!(system), at, 0, 0];
                if opaque {
                    keeping("systemstack", address!(arch::systemstack), args, random);
                } else {
                    arch::systemstack(system, arg);
                }
                call.result as usize
            }
            Op::Cgocall => by(ways::by_cgocall, random, "cgocall"),
            Op::NoCallback => by(ways::without_callback, random, "cgocall_no_callback"),
            _ => by(ways::catching, random, "cgocall_catch"),
        }
    };
    let wanted = thrown().take();
    match (call.thrown, wanted) {
        (None, None) => same!(result as c_int, call.result, "what C returns through {op:?}"),
        (Some(thrown), Some(Thrown::Word(word))) => {
            same!(thrown.word().get(), word, "the word that is thrown")
        }
        (Some(thrown), Some(Thrown::Panic(word))) => {
            let again = std::panic::catch_unwind(|| _ = thrown.resume_panic());
            let payload = again.err().and_then(|payload| payload.downcast_ref::<usize>().copied());
            same!(payload, Some(word), "what a panic says that has been thrown");
        }
        (found, wanted) => report().fail(format_args!("a throw: expected {wanted:?}, found {found:?}")),
    }
}

/// Says in the model that what lies above the call that catches is gone.
fn drop_levels(t: usize, what: Thrown) {
    let least = with(|w| {
        let class = w.class;
        let task = &mut w.tasks[t];
        let at = task.catch(class).expect("something catches");
        task.levels.truncate(at);
        task.managed()
    });
    publish(least);
    *thrown() = Some(what);
}

fn throws(t: usize, word: usize) {
    drop_levels(t, Thrown::Word(word));
    // SAFETY: nothing with a destructor lies between.
    unsafe { throw(NonZeroUsize::new(word).expect("an odd number")) }
}

fn panics(t: usize, word: usize) {
    drop_levels(t, Thrown::Panic(word));
    std::panic::panic_any(word);
}

fn parks(t: usize, random: &mut Random) {
    let word = random.word() as usize;
    publish(0);
    let opaque = random.below(2) == 0;
    with(|w| {
        w.left = t;
        let task = &mut w.tasks[t];
        (task.state, task.word_out, task.opaque) = (State::Parked, word, opaque);
    });
    let found = if opaque {
        keeping("park", address!(ways::parking), [word, 0, 0, 0], random)
    } else {
        match park(word) {
            Ok(word) => word,
            Err(error) => report().fail(format_args!("park in a task: {error:?}")),
        }
    };
    goes_on(t, found);
}

/// Task `t` runs again, with this word.
fn goes_on(t: usize, found: usize) {
    let sp = sched_sp();
    let wanted = with(|w| {
        w.tasks[t].levels[0].sched_sp = sp;
        w.tasks[t].word_in
    });
    same!(found, wanted, "the word that a task goes on with");
}

/// The tasks but `t` that somebody could run.
fn idle(t: usize) -> Vec<usize> {
    with(|w| {
        let idle = |task: &Task| task.own.is_some() && matches!(task.state, State::New | State::Parked);
        (0..w.tasks.len()).filter(|&u| u != t && idle(&w.tasks[u])).collect()
    })
}

/// Runs another task in the place of task `t`.
fn switches(t: usize, random: &mut Random) {
    let others = idle(t);
    let (u, word) = (others[random.below(others.len())], random.word() as usize);
    publish(0);
    let opaque = random.below(2) == 0;
    let g = with(|w| {
        w.resuming = u;
        (w.tasks[t].state, w.tasks[t].opaque) = (State::Parked, opaque);
        let other = &mut w.tasks[u];
        (other.state, other.word_in) = (State::Running, word);
        other.g
    });
    let found = if opaque {
        keeping("switch_to", address!(ways::switching), [g.expose_provenance(), word, 0, 0], random)
    } else {
        // SAFETY: a g that nobody runs.
        unsafe { ways::switching(g, word) }
    };
    goes_on(t, found);
}

fn finishes(t: usize, word: usize) {
    publish(0);
    with(|w| {
        w.left = t;
        let task = &mut w.tasks[t];
        (task.state, task.word_out) = (State::Finished, word);
        task.levels.clear();
    });
    // SAFETY: nobody has an address of what lies on the stack.
    refused(unsafe { finish(word) }, ParkError::NotATask, "finish in a task");
}

/// Goes to the system stack and comes back.
fn leaves(t: usize, random: &mut Random) {
    unsafe extern "C" fn on_g0(g: *mut G) -> ! {
        // SAFETY: g0 is the first field of this thread's m.
        unsafe {
            let m = with(|w| w.thread().m);
            same!(current_g(), Some(m.cast::<G>()), "the current g after mcall");
            same!((*m).curg.get(), null_mut(), "curg after mcall");
            same!((*g).m_out.get(), null_mut(), "the m of a g that mcall has left");
            arch::gogo(g, 0)
        }
    }
    publish(0);
    if random.below(2) == 0 {
        keeping("mcall and gogo", address!(arch::mcall), [address!(on_g0), 0, 0, 0], random);
    } else {
        // SAFETY: a task that `resume` runs, with no C below.
        unsafe { arch::mcall(on_g0) };
    }
    _ = t;
}

/// A g of another task than `t`.
fn another(t: Option<usize>) -> Option<*mut G> {
    with(|w| {
        let mut own = w.tasks.iter().enumerate().filter(|(i, task)| Some(*i) != t && task.own.is_some());
        own.next().map(|(_, task)| task.g)
    })
}

fn misuse_in_task(t: usize) {
    let g = with(|w| w.tasks[t].g);
    for g in [Some(g), another(Some(t))].into_iter().flatten() {
        // SAFETY: refused.
        refused(unsafe { resume(g, 0) }, ResumeError::NotOnG0, "resume in a task");
    }
    refused(m_release(), ReleaseError::NotOnG0, "m_release in a task");
    let mut m = M::default();
    // SAFETY: refused.
    refused(unsafe { m_adopt(&raw mut m) }, AdoptError::AlreadyAnM, "m_adopt in a task");
    if !with(|w| w.tasks[t].below_c()) {
        // SAFETY: refused.
        refused(unsafe { switch_to(g, 0) }, SwitchError::NotParked, "switch_to itself");
    }
    in_use(g);
}

/// A g whose function is not over.
fn in_use(g: *mut G) {
    // SAFETY: refused; a g of this sequence.
    unsafe {
        let [limit, top] = [(*g).stack.limit, (*g).stack.top].map(|end| end.get() as usize);
        let (limit, top) = (with_exposed_provenance_mut(limit), with_exposed_provenance_mut(top));
        refused(g_init(g, limit, top, task_begins), StackError::InUse, "g_init of a g in use");
    }
}

// ---- C.

#[inline(never)]
fn c_level(t: usize) {
    let canary = Canary::new();
    loop {
        settle_in_task(t, true);
        let Some((number, word)) = next_word() else { break };
        let (no_callback, deep, catch, visit, own) = with(|w| {
            let task = &w.tasks[t];
            let no_callback = task.levels.last().is_some_and(|level| level.no_callback);
            let (deep, own) = (task.levels.len() >= DEPTH, task.own.is_some());
            (no_callback, deep, task.catch(w.class).is_some(), ready(w).is_some(), own)
        });
        let back = if no_callback || deep { 0 } else { 3 };
        let (op, mut random) = choose(
            &[
                (None, 5),
                (Some(Op::Cgocallback), back),
                (Some(Op::Crosscall2), back),
                (Some(Op::Enter), back),
                (Some(Op::Export), 2 * back),
                (Some(Op::KeepsNothing), back / 3),
                (Some(Op::PanicInC), if catch && !no_callback { 2 } else { 0 }),
                (Some(Op::CallInC), usize::from(!deep)),
                (Some(Op::Raise), 1),
                (Some(Op::Mask), 1),
                (Some(Op::Trace), 1),
                (Some(Op::MisuseInC), 1),
                (Some(Op::MoveInC), if MOVES && own { 2 } else { 0 }),
                (Some(Op::Visit), if visit { 2 } else { 0 }),
                (Some(start_one(word)), usize::from(with(|w| w.threads.len()) < THREADS)),
                (Some(end_one(word)), usize::from(visit)),
            ],
            word,
        );
        let Some(op) = op else { break };
        note(op, number, depth(t));
        match op {
            Op::KeepsNothing => keeps_nothing(&mut random),
            Op::PanicInC => panics_in_c(t),
            Op::CallInC => calls_in_c(t, &mut random),
            Op::Raise => raise(Some(t)),
            Op::Mask => masks(&mut random),
            Op::Trace => trace_here(t),
            Op::MisuseInC => misuse_in_c(t),
            Op::MoveInC => moves_in_c(t, &mut random),
            Op::Visit | Op::EndThread | Op::ExitThread => others(op, Some(t), &mut random),
            Op::AdoptedThread | Op::StartedThread | Op::ForeignThread => starts(op, Some(t)),
            _ => calls_back(t, op, &mut random),
        }
        canary.check();
    }
    canary.check();
}

/// What a callback is passed.
#[repr(C)]
struct Back {
    t: usize,
    level: Level,
    /// What arrives: the size, and the context if the caller has made it.
    n: usize,
    ctxt: Option<usize>,
    ran: usize,
}

unsafe extern "C" fn called_back(back: *mut c_void, n: usize, ctxt: usize) {
    // SAFETY: `calls_back` passes one.
    let back = unsafe { &mut *back.cast::<Back>() };
    same!(n, back.n, "n of a callback");
    same!(ctxt, back.ctxt.unwrap_or_else(last_context), "the context of a callback");
    run_back(back, ctxt);
}

fn run_back(back: &mut Back, ctxt: usize) {
    // SAFETY: this thread's.
    unsafe { *libc::__errno_location() = 97 };
    let t = back.t;
    // The first callback of a thread of C's has brought it an m.
    with(|w| {
        let attached = w.attached();
        let thread = w.thread();
        if thread.m.is_null() {
            thread.m = current_m().unwrap_or_default();
            w.extra = w.extra.max(attached + 1);
            w.tasks[t].g = current_g().unwrap_or_default();
        }
    });
    let level = Level { back: Some(ctxt), sched_sp: sched_sp(), ..back.level.clone() };
    enter_managed(t, level);
    back.ran += 1;
}

stackgate::export! {
    /// A callback with a block of its own.
    pub extern "C" fn fuzz_export(back: *mut c_void, twice: usize) -> usize {
        // SAFETY: `calls_back` passes one.
        let back = unsafe { &mut *back.cast::<Back>() };
        run_back(back, last_context());
        twice.wrapping_mul(2)
    }
}

/// Calls task `t` back from C, or the task of a thread of C's.
fn calls_back(t: usize, op: Op, random: &mut Random) {
    let opaque = random.below(2) == 0;
    let size = int(random);
    let hooked = matches!(op, Op::Enter | Op::Export);
    let mut back = Back {
        t,
        level: Level { marker: random.below(MARKERS), export: op == Op::Export, hooked, ..Level::default() },
        n: size as isize as usize,
        ctxt: None,
        ran: 0,
    };
    let mut place = ContextPlace::new();
    if !hooked {
        // SAFETY: here until it is released.
        back.ctxt = Some(unsafe { acquire_context(&raw mut place) });
    }
    let (n, ctxt) = (back.n, back.ctxt.unwrap_or(0));
    let arg = (&raw mut back).cast::<c_void>();
    let at = arg.expose_provenance();
    let number = random.word() as usize;
    // SAFETY: this thread's errno; the functions take a Back.
    unsafe {
        *libc::__errno_location() = 0x66;
        match op {
            Op::Cgocallback if opaque => {
                let args = [address!(called_back), at, n, ctxt];
                keeping("cgocallback", address!(arch::cgocallback), args, random);
            }
            Op::Cgocallback => arch::cgocallback(called_back, arg, n, ctxt),
            Op::Crosscall2 if opaque => {
                let args = [address!(called_back), at, n as u32 as usize, ctxt];
                keeping("crosscall2", address!(arch::crosscall2), args, random);
            }
            Op::Crosscall2 => arch::crosscall2(called_back, arg, size, ctxt),
            Op::Enter if opaque => {
                keeping("enter", address!(ways::entering), [at, n, 0, 0], random);
            }
            Op::Enter => ways::entering(arg, n),
            _ => {
                let twice = if opaque {
                    keeping("an exported function", address!(fuzz_export), [at, number, 0, 0], random)
                } else {
                    fuzz_export(arg, number)
                };
                same!(twice, number.wrapping_mul(2), "what an exported function returns");
            }
        }
        if hooked {
            same!(*libc::__errno_location(), 0x66, "errno of C after a callback");
        }
    }
    release_context(ctxt);
    same!(black_box(back.ran), 1, "times that a callback ran");
}

fn keeps_nothing(random: &mut Random) {
    let mut words = [0usize; 2];
    let (n, ctxt) = (int(random), random.below(100) + 1);
    let args =
        [address!(cpu::clobber_everything), (&raw mut words).expose_provenance(), n as u32 as usize, ctxt];
    keeping("crosscall2 of what keeps nothing", address!(arch::crosscall2), args, random);
    same!(
        black_box(words),
        [n as isize as usize, ctxt],
        "n and the context of a callback that keeps nothing"
    );
}

fn panics_in_c(t: usize) {
    const MESSAGE: &core::ffi::CStr = c"what C says";
    drop_levels(t, Thrown::Word(MESSAGE.as_ptr().expose_provenance()));
    // SAFETY: nothing with a destructor lies between.
    unsafe { capi::stackgate_panic(MESSAGE.as_ptr()) }
}

/// Calls C where C is already.
fn calls_in_c(t: usize, random: &mut Random) {
    let no_callback = with(|w| w.tasks[t].levels.last().is_some_and(|level| level.no_callback));
    let opaque = random.below(2) == 0;
    let level = Level { c: true, marker: random.below(MARKERS), no_callback, ..Level::default() };
    let mut call = Call { t, level, result: int(random), thrown: None };
    let arg = (&raw mut call).cast::<c_void>();
    let result = if opaque {
        keeping(
            "asmcgocall on g0",
            address!(arch::asmcgocall),
            [address!(c), arg.expose_provenance(), 0, 0],
            random,
        ) as c_int
    } else {
        // SAFETY: `c` takes a Call.
        unsafe { cgocall(c, arg) }
    };
    same!(result, call.result, "what C returns to C");
}

fn masks(random: &mut Random) {
    let signals = [libc::SIGWINCH, libc::SIGURG, libc::SIGCHLD];
    let signal = signals[random.below(signals.len())];
    let how = if random.below(2) == 0 { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    // SAFETY: sets of signals.
    let mask = unsafe {
        let mut set = core::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        same!(libc::pthread_sigmask(how, &set, null_mut()), 0, "pthread_sigmask");
        c_signal_mask()
    };
    let bit = 1 << (signal - 1);
    same!(mask & bit != 0, how == libc::SIG_BLOCK, "whether signal {signal} is blocked");
    with(|w| w.thread().mask = w.thread().mask & !bit | mask & bit);
}

fn misuse_in_c(t: usize) {
    let g = with(|w| w.tasks[t].g);
    for g in [Some(g), another(Some(t))].into_iter().flatten() {
        // SAFETY: refused.
        refused(unsafe { resume(g, 0) }, ResumeError::Busy, "resume in C");
    }
    refused(park(0), ParkError::NotATask, "park in C");
    // SAFETY: refused.
    refused(unsafe { finish(0) }, ParkError::NotATask, "finish in C");
    // SAFETY: refused.
    refused(unsafe { switch_to(g, 0) }, SwitchError::NotATask, "switch_to in C");
    refused(m_release(), ReleaseError::InUse, "m_release in C");
    let mut m = M::default();
    // SAFETY: refused.
    refused(unsafe { m_adopt(&raw mut m) }, AdoptError::AlreadyAnM, "m_adopt in C");
    let started = with(|w| w.thread().kind == Kind::Started);
    refused(
        exit_thread(),
        if started { ExitError::InUse } else { ExitError::NotStarted },
        "exit_thread in C",
    );
    in_use(g);
}

// ---- Stacks that move.

/// Whether stacks are moved.
const MOVES: bool = usize::BITS == 64;

/// Whether an operation is one that sequences have on this CPU.
pub fn may_come(op: Op) -> bool {
    MOVES || !matches!(op, Op::MoveParked | Op::MoveInC)
}

/// Where the stack that is moved was, and where it ends now.
static OLD: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static NEW_TOP: AtomicUsize = AtomicUsize::new(0);

/// Fails if the frame at `at` has an address of the old stack in a field that is for `stack_moved` to rewrite.
///
/// # Safety
/// It is such a frame.
unsafe fn has_moved(frame: &str, at: usize) {
    let old = OLD[0].load(Ordering::Relaxed)..=OLD[1].load(Ordering::Relaxed);
    let layout = arch::Native::LAYOUTS.iter().find(|layout| layout.name == frame).expect("a frame");
    let mut looked_at = 0;
    for field in layout.fields.iter().filter(|field| field.writer.contains("`stack_moved`")) {
        // SAFETY: by the caller.
        let word = unsafe { with_exposed_provenance_mut::<usize>(at + field.offset).read() };
        same!(
            old.contains(&word),
            false,
            "whether {} of the {frame} is an address of the old stack",
            field.name
        );
        looked_at += 1;
    }
    same!(looked_at > 0, true, "whether `stack_moved` rewrites something in the {frame}");
}

/// Copies the stack of task `t` elsewhere, tells the library, and rewrites what compiled code has of its addresses: in
/// the copy, and where the task is in C in the frames from here up to `to`.
///
/// The frames that begin here are among those, so that nothing here counts on an address of the old stack afterwards.
unsafe extern "C" fn moves(t: usize, to: usize) -> usize {
    let mut here = [0usize; 1];
    let from = black_box(&raw mut here).cast::<usize>();
    let (g, mut former) = with(|w| {
        let (g, stack) = w.tasks[t].own.as_mut().expect("a task of its own");
        (&raw mut **g, core::mem::replace(stack, Memory::new()))
    });
    // SAFETY: the g is parked, or in C here; both stacks are as large, and all of the old one is copied.
    unsafe {
        let ends = [(*g).stack.limit, (*g).stack.top].map(|end| end.get() as usize);
        OLD[0].store(ends[0], Ordering::Relaxed);
        OLD[1].store(ends[1], Ordering::Relaxed);
        let [limit, top] = ends.map(|end| end - former.as_ptr().addr());
        let (new, parked) = with(|w| {
            let (_, stack) = w.tasks[t].own.as_mut().expect("a task of its own");
            stack.copy_from_slice(&former);
            (stack.as_mut_ptr().cast::<u8>(), w.tasks[t].state != State::Running)
        });
        let (limit, top) = (new.wrapping_add(limit), new.wrapping_add(top));
        NEW_TOP.store(top.expose_provenance(), Ordering::Relaxed);
        same!(stack_moved(g, limit, top), Ok(()), "stack_moved");
        if !parked {
            // The call that is under way, and those through which it has been called back.
            let calls = with(|w| w.tasks[t].levels.iter().map(|level| level.sched_sp).collect::<Vec<_>>());
            for g0_sp in calls.into_iter().filter(|&g0_sp| g0_sp != 0) {
                has_moved("AsmcgocallFrame", g0_sp - size_of::<arch::AsmcgocallFrame>());
            }
        } else if arch::BEGIN_BELOW_BASE != 0 {
            has_moved("SwitchFrame", (*g).sched.sp.get() as usize);
        }
        let old = || OLD[0].load(Ordering::Relaxed)..=OLD[1].load(Ordering::Relaxed);
        rewrite(limit.cast(), top.cast(), old(), NEW_TOP.load(Ordering::Relaxed));
        if to != 0 {
            rewrite(from, with_exposed_provenance_mut(to), old(), NEW_TOP.load(Ordering::Relaxed));
        }
    }
    former.fill(!0);
    black_box(&former);
    0
}

fn moves_parked(random: &mut Random) {
    let idle = idle(usize::MAX);
    let t = idle[random.below(idle.len())];
    keeping("a move", address!(moves), [t, 0, 0, 0], random);
    if random.below(2) == 0 {
        trace_parked(t);
    }
}

/// Moves the stack of task `t`, which is in C here. What callers have in registers is rewritten too, since it has been
/// stored on the way.
fn moves_in_c(t: usize, random: &mut Random) {
    publish(0);
    let to = with(|w| w.tasks[t].levels[0].sched_sp);
    keeping("a move", address!(moves), [t, to, 0, 0], random);
    publish(with(|w| w.tasks[t].managed()));
}

// ---- Threads.

/// A thread that does nothing, if there is one.
fn ready(w: &World) -> Option<usize> {
    w.threads.iter().rposition(|thread| thread.alive && !thread.busy && thread.kind != Kind::Main)
}

fn start_one(word: u64) -> Op {
    [Op::AdoptedThread, Op::StartedThread, Op::ForeignThread][(word >> 40) as usize % 3]
}

fn end_one(word: u64) -> Op {
    if word >> 41 & 1 == 0 { Op::EndThread } else { Op::ExitThread }
}

/// One of the threads that do nothing.
fn one_of_the_others(random: &mut Random) -> Option<usize> {
    let idle: Vec<usize> = with(|w| {
        let idle = |thread: &Thread| thread.alive && !thread.busy && thread.kind != Kind::Main;
        (0..w.threads.len()).filter(|&i| idle(&w.threads[i])).collect()
    });
    (!idle.is_empty()).then(|| idle[random.below(idle.len())])
}

/// Hands the work on, and waits until it is back. `t`: the task that is in C here.
fn hand_on(to: usize, t: Option<usize>, command: impl FnOnce(Sender<()>) -> Command) {
    let (tell, told) = channel();
    publish(0);
    let here = with(|w| core::mem::replace(&mut w.at, to));
    hold(with(|w| w.threads[to].number));
    let sender = with(|w| {
        w.threads[to].busy = true;
        w.threads[to].sender.clone()
    });
    let sent = sender.is_some_and(|sender| sender.send(command(tell)).is_ok());
    same!((sent, told.recv()), (true, Ok(())), "the other thread has done it");
    let least = with(|w| {
        w.at = here;
        w.threads[to].busy = false;
        t.map_or(0, |t| w.tasks[t].managed())
    });
    hold(number());
    publish(least);
}

/// Has another thread work, or end.
pub fn others(op: Op, t: Option<usize>, random: &mut Random) {
    let Some(to) = one_of_the_others(random) else { return };
    if op == Op::Visit {
        hand_on(to, t, Command::Work);
        return;
    }
    hand_on(to, t, |tell| Command::End(tell, op == Op::ExitThread));
    let (join, started) = with(|w| {
        let thread = &mut w.threads[to];
        (thread.alive, thread.sender) = (false, None);
        (thread.join.take(), thread.kind == Kind::Started)
    });
    if let Some(join) = join {
        same!(join.join().is_ok(), true, "a thread ends");
    }
    if started {
        // It has told, and ends in a moment.
        let mut reaped = 0;
        for _ in 0..20_000 {
            reaped = reap_threads();
            if reaped != 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_micros(500));
        }
        same!(reaped, 1, "threads of the runtime's that have ended");
    }
    // Its number is the last's, for others to come in its place.
    with(|w| {
        while w.threads.last().is_some_and(|thread| !thread.alive) {
            w.threads.pop();
        }
    });
}

/// What a new thread gets.
struct Begins {
    i: usize,
    commands: Receiver<Command>,
    ready: Sender<()>,
}

/// Starts a thread. `t`: the task that is in C here.
pub fn starts(op: Op, t: Option<usize>) {
    let (sender, commands) = channel();
    let (ready, is_ready) = channel();
    let kind = match op {
        Op::AdoptedThread => Kind::Adopted,
        Op::StartedThread => Kind::Started,
        _ => Kind::Foreign,
    };
    let i = with(|w| {
        let task = w.tasks.len();
        if kind == Kind::Foreign {
            w.tasks.push(Task {
                g: null_mut(),
                own: None,
                state: State::Running,
                levels: Vec::new(),
                opaque: false,
                word_in: 0,
                word_out: 0,
            });
        }
        let mask = w.thread().mask;
        let sender = Some(sender);
        w.threads.push(Thread {
            kind,
            m: null_mut(),
            number: 0,
            mask,
            calls: 0,
            busy: false,
            alive: true,
            task,
            sender,
            join: None,
        });
        w.threads.len() - 1
    });
    let begins = Begins { i, commands, ready };
    publish(0);
    if kind == Kind::Started {
        let options = ThreadOptions { system_stack: 1 << 20, signal_stack: SIGNAL_STACK };
        let arg = Box::into_raw(Box::new(begins)).cast();
        // SAFETY: `run_started` takes it.
        let started = unsafe { start_thread(&options, run_started, arg) };
        same!(started, Ok(()), "start_thread");
    } else {
        let run = move || {
            with_signal_stack(|| match kind {
                Kind::Foreign => works(&begins),
                _ => crate::setup::adopted(|_| works(&begins)),
            });
        };
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
        with(|w| w.threads[i].join = thread.ok());
    }
    same!(is_ready.recv(), Ok(()), "a thread begins");
    publish(t.map_or(0, |t| with(|w| w.tasks[t].managed())));
}

unsafe extern "C" fn run_started(begins: *mut c_void) {
    // SAFETY: `starts` passes one.
    let begins = unsafe { Box::from_raw(begins.cast::<Begins>()) };
    if works(&begins) {
        drop(begins);
        // What lies on this stack is forgotten.
        let end = exit_thread();
        report().fail(format_args!("exit_thread on g0: {end:?}"));
    }
}

/// What a thread does until it is to end. Whether from below.
fn works(begins: &Begins) -> bool {
    let Begins { i, commands, ready } = begins;
    with(|w| {
        let thread = &mut w.threads[*i];
        thread.number = number();
        thread.m = current_m().unwrap_or_default();
    });
    _ = ready.send(());
    loop {
        match commands.recv() {
            Ok(Command::Work(tell)) => {
                if with(|w| w.thread().kind) == Kind::Foreign {
                    foreign_level();
                } else {
                    g0_level();
                }
                _ = tell.send(());
            }
            Ok(Command::End(tell, from_below)) => {
                let from_below = from_below && with(|w| w.thread().kind) == Kind::Started;
                _ = tell.send(());
                return from_below;
            }
            Err(_) => return false,
        }
    }
}

/// Runs `f` with a signal stack that several handlers have room on.
pub fn with_signal_stack<R>(f: impl FnOnce() -> R) -> R {
    let mut memory = vec![0u128; SIGNAL_STACK / 16];
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIGNAL_STACK };
    // SAFETY: memory that nobody else uses while it is this thread's signal stack.
    unsafe {
        let mut former = core::mem::zeroed::<libc::stack_t>();
        same!(libc::sigaltstack(&stack, &mut former), 0, "sigaltstack");
        let result = f();
        // No handler runs while the memory goes.
        let mut set = core::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, KNOWN);
        libc::sigaddset(&mut set, ANYWHERE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, null_mut());
        same!(libc::sigaltstack(&former, null_mut()), 0, "sigaltstack");
        result
    }
}

/// A thread of C's, outside its callbacks.
#[inline(never)]
fn foreign_level() {
    let canary = Canary::new();
    let t = with(|w| w.thread().task);
    loop {
        settle_bare();
        let Some((number, word)) = next_word() else { break };
        let ways = [Op::Cgocallback, Op::Crosscall2, Op::Enter, Op::Export].map(|op| (Some(op), 3));
        let rest = [(None, 5), (Some(Op::Raise), 1), (Some(Op::Mask), 1), (Some(Op::MisuseBare), 2)];
        let (op, mut random) = choose(&[&ways[..], &rest[..]].concat(), word);
        let Some(op) = op else { break };
        note(op, number, 0);
        match op {
            Op::Raise => raise(None),
            Op::Mask => masks(&mut random),
            Op::MisuseBare => misuse_bare(),
            _ => calls_back(t, op, &mut random),
        }
        publish(0);
        canary.check();
    }
}

fn misuse_bare() {
    let m = with(|w| w.thread().m);
    refused(park(0), ParkError::NotATask, "park on a thread of C's");
    // SAFETY: refused.
    refused(unsafe { finish(0) }, ParkError::NotATask, "finish on a thread of C's");
    let (resumed, released) = if m.is_null() {
        (ResumeError::NoM, ReleaseError::NotOnG0)
    } else {
        (ResumeError::Busy, ReleaseError::InUse)
    };
    if let Some(g) = another(None) {
        // SAFETY: refused.
        refused(unsafe { resume(g, 0) }, resumed, "resume on a thread of C's");
    }
    refused(m_release(), released, "m_release on a thread of C's");
    refused(exit_thread(), ExitError::NotStarted, "exit_thread on a thread of C's");
}

/// The system stack of an m that runs no task.
#[inline(never)]
pub fn g0_level() {
    let canary = Canary::new();
    loop {
        settle_on_g0();
        let Some((number, word)) = next_word() else { break };
        let (tasks, idle, finished, threads, main) = with(|w| {
            let own = || w.tasks.iter().filter(|task| task.own.is_some());
            let idle = own().any(|task| matches!(task.state, State::New | State::Parked));
            let finished = own().any(|task| task.state == State::Finished);
            (own().count(), idle, finished, w.threads.len(), w.thread().kind == Kind::Main)
        });
        let visit = with(|w| ready(w).is_some());
        let (op, mut random) = choose(
            &[
                // The main thread's work is the sequence.
                (None, if main { 0 } else { 3 }),
                (Some(Op::NewTask), if tasks < TASKS { 3 } else { 0 }),
                (Some(Op::Reuse), if finished { 2 } else { 0 }),
                (Some(Op::Resume), if idle { 14 } else { 0 }),
                (Some(Op::MoveParked), if MOVES && idle { 2 } else { 0 }),
                (Some(Op::TraceParked), if tasks != 0 { 2 } else { 0 }),
                (Some(Op::CallInC), 1),
                (Some(Op::Raise), 1),
                (Some(Op::Mask), 1),
                (Some(Op::MisuseOnG0), 1),
                (Some(Op::Visit), if visit { 4 } else { 0 }),
                (Some(start_one(word)), if threads < THREADS { 2 } else { 0 }),
                (Some(end_one(word)), usize::from(visit)),
            ],
            word,
        );
        let Some(op) = op else { break };
        note(op, number, 0);
        match op {
            Op::NewTask => new_task(&mut random),
            Op::Reuse => reuses(&mut random),
            Op::Resume => resumes(number, &mut random),
            Op::TraceParked => {
                let t = random.below(with(|w| w.tasks.len()));
                if with(|w| w.tasks[t].own.is_some()) {
                    trace_parked(t);
                }
            }
            Op::MoveParked => moves_parked(&mut random),
            Op::CallInC => calls_on_g0(&mut random),
            Op::Raise => raise(None),
            Op::Mask => masks(&mut random),
            Op::MisuseOnG0 => misuse_on_g0(),
            Op::Visit | Op::EndThread | Op::ExitThread => others(op, None, &mut random),
            _ => starts(op, None),
        }
        canary.check();
    }
    canary.check();
}

/// The g, its stack and its task's function.
fn init(t: usize, smaller: usize) {
    let (g, limit, top) = with(|w| {
        let (g, stack) = w.tasks[t].own.as_mut().expect("a task of its own");
        stack[0] = BOTTOM;
        let ends = stack.as_mut_ptr_range();
        // The word at the lower end is not the task's.
        (&raw mut **g, ends.start.wrapping_add(1).cast::<u8>(), ends.end.wrapping_sub(smaller).cast::<u8>())
    });
    // SAFETY: both are there until the sequence has ended.
    same!(unsafe { g_init(g, limit, top, task_begins) }, Ok(()), "g_init");
    with(|w| w.tasks[t].state = State::New);
}

fn new_task(random: &mut Random) {
    let mut g: Box<G> = Box::default();
    let at = &raw mut *g;
    let own = Some((g, Memory::new()));
    let task =
        Task { g: at, own, state: State::New, levels: Vec::new(), opaque: false, word_in: 0, word_out: 0 };
    let t = with(|w| {
        w.tasks.push(task);
        w.tasks.len() - 1
    });
    init(t, random.below(64));
}

fn reuses(random: &mut Random) {
    let finished =
        with(|w| w.tasks.iter().position(|task| task.own.is_some() && task.state == State::Finished));
    if let Some(t) = finished {
        init(t, random.below(64));
    }
}

fn resumes(step: usize, random: &mut Random) {
    let idle = idle(usize::MAX);
    resume_one(idle[random.below(idle.len())], step, random);
}

unsafe extern "C" fn by_resume(g: *mut G, word: usize) -> usize {
    // SAFETY: what `resume_one` passes.
    match unsafe { resume_any(g, word) } {
        Ok((came, resumed)) => {
            let left = with(|w| w.tasks[w.left].g);
            same!(came, left, "the task that has come back");
            match resumed {
                Resumed::Parked(word) => word,
                Resumed::Finished(word) => !word,
            }
        }
        Err(error) => report().fail(format_args!("resume of a parked task: {error:?}")),
    }
}

/// Runs task `t` until it parks or finishes, or one does that runs in its place.
pub fn resume_one(t: usize, step: usize, random: &mut Random) {
    let word = random.word() as usize;
    let g = with(|w| {
        let at = w.at;
        w.resuming = t;
        let task = &mut w.tasks[t];
        if at != 0 && task.state == State::Parked {
            report().counts[Op::ResumeElsewhere as usize].fetch_add(1, Ordering::Relaxed);
        }
        (task.state, task.word_in) = (State::Running, word);
        task.g
    });
    _ = step;
    let opaque = random.below(2) == 0;
    let found = if opaque {
        keeping("resume", address!(by_resume), [g.expose_provenance(), word, 0, 0], random)
    } else {
        // SAFETY: a g that nobody runs.
        unsafe { by_resume(g, word) }
    };
    publish(0);
    let (came, state, out) = with(|w| (w.left, w.tasks[w.left].state, w.tasks[w.left].word_out));
    if came != t {
        report().counts[Op::CameBack as usize].fetch_add(1, Ordering::Relaxed);
    }
    match state {
        State::Parked => same!(found, out, "the word that a task parks with"),
        State::Finished => same!(found, !out, "the word that a task ends with"),
        other => report().fail(format_args!("resume has returned, and the task is {other:?}")),
    }
}

fn calls_on_g0(random: &mut Random) {
    let args = [address!(cpu::clobber_volatile), 0, 0, 0];
    same!(
        keeping("asmcgocall on g0", address!(arch::asmcgocall), args, random) as c_int,
        7,
        "what C returns"
    );
    // SAFETY: takes anything.
    same!(unsafe { cgocall(cpu::clobber_volatile, null_mut()) }, 7, "what C returns");
}

fn misuse_on_g0() {
    refused(park(0), ParkError::NotATask, "park on g0");
    // SAFETY: refused.
    refused(unsafe { finish(0) }, ParkError::NotATask, "finish on g0");
    let mut m = M::default();
    // SAFETY: refused.
    refused(unsafe { m_adopt(&raw mut m) }, AdoptError::AlreadyAnM, "m_adopt on g0");
    let tasks: Vec<_> = with(|w| {
        w.tasks
            .iter()
            .filter(|task| !task.g.is_null())
            .map(|task| (task.g, task.state, task.own.is_some()))
            .collect()
    });
    for (g, state, own) in tasks {
        if matches!(state, State::Running | State::Finished) && own {
            // SAFETY: refused.
            refused(unsafe { resume(g, 0) }, ResumeError::NotParked, "resume of a task that is not parked");
        }
        if matches!(state, State::Running | State::Parked) && own {
            in_use(g);
        }
    }
    let mut g = G::default();
    let mut stack = [0u128; 16];
    let ends = stack.as_mut_ptr_range();
    let (limit, top) = (ends.start.cast::<u8>(), ends.end.cast::<u8>());
    let mut bad = |limit, top, wanted| {
        // SAFETY: refused.
        refused(unsafe { g_init(&raw mut g, limit, top, task_begins) }, wanted, "g_init");
    };
    bad(limit, top, StackError::TooSmall);
    bad(top, limit, StackError::Inverted);
    bad(limit.wrapping_add(1), top, StackError::Misaligned);
}

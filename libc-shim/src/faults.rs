//! Faults: a stack overflow, found by a guard and told by name, and every other signal that ends a program.
//!
//! The handler runs on the signal stack, since there is no room on one that has overflowed. If the fault lies in
//! the guard of the stack that the thread ran on, it writes which task, which stack and a traceback, and the
//! process dies by the same signal. Any other fault goes to the handler that was there before, as if this one were
//! not there; after [`handle_faults`] the task and a traceback are written first.
//!
//! The signal stack itself can only be told of where SP has left it: while SP is on it and there is no room for
//! another handler, the kernel ends the process at once. On ppc64le, whose frames are opened by a store that
//! faults before SP moves, that is nearly always so.
//!
//! ```text
//! stackgate: fatal: stack overflow: the managed stack of a task is too small, or its recursion has no end
//!     fault 0x7f3a1c402ff8  pc 0x5581a2c3f0a1  sp 0x7f3a1c403000  signal 11
//!     task 0x7ffd0c9d2a10 (user word 0x0) on the m 0x7ffd0c9d2b40
//!     stack 0x7f3a1c403000 to 0x7f3a1c407fc0, 20416 bytes, guard from 0x7f3a1c402000
//! ```

use crate::sys::{self, SigAction, SigSet, Siginfo};
use crate::{handlers, stacks};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::Registers;
use stackgate::arch::{Native, Stack};
use stackgate::traceback::{Traceback, print};
use stackgate::{G, M, ServiceError, current_m, interrupted_g, platform};

/// The signals that end a program which has done something wrong. A guard makes the first [`OVERFLOW`] of them: Linux
/// sends the first; a mapping that cannot be filled, the second.
const SIGNALS: [(c_int, &str); 5] = [
    (sys::SIGSEGV, "SIGSEGV"),
    (sys::SIGBUS, "SIGBUS"),
    (crate::SIGILL, "SIGILL"),
    (crate::SIGFPE, "SIGFPE"),
    (crate::SIGABRT, "SIGABRT"),
];
const OVERFLOW: usize = 2;

/// How far below the limit of a stack that is not a pool's a fault counts as its overflow: the guard of the C
/// library's threads is a page, and what the kernel keeps free below the main thread's is more.
const NEAR: usize = 64 << 10;

/// The handlers that were there before, one for each of [`SIGNALS`]. Written before ours is set.
struct Former(UnsafeCell<[MaybeUninit<SigAction>; SIGNALS.len()]>);
// SAFETY: each is written once, by the one thread that found its state NOT_SET, before any handler of ours can read.
unsafe impl Sync for Former {}
static FORMER: Former = Former(UnsafeCell::new([const { MaybeUninit::uninit() }; SIGNALS.len()]));

/// Of the signals of an overflow, and of the others.
static STATES: [AtomicU8; 2] = [const { AtomicU8::new(NOT_SET) }; 2];
/// Faults are told that are no overflow.
static ALL_TOLD: AtomicBool = AtomicBool::new(false);
const NOT_SET: u8 = 0;
const SETTING: u8 = 1;
const SET: u8 = 2;

/// The thread that tells what happened to it, by its number; 0 while none does.
static DYING: AtomicUsize = AtomicUsize::new(0);
/// How long another one waits for it to be done, in milliseconds.
const PATIENCE: u32 = 5000;

/// Finds stack overflows from now on. A thread needs a signal stack for it: those that
/// [`start_thread`](crate::start_thread) makes have one, and those of Rust's standard library.
///
/// Handlers that are set afterwards replace this one; they may call the one that they replace.
///
/// Once in a process; again does nothing. Runs on a system stack. Not for signal handlers.
///
/// # Errors
/// [`ServiceError::Busy`] while another thread is doing it; what the system says. Nothing has changed then.
pub fn handle_overflow() -> Result<(), ServiceError> {
    install(&STATES[0], 0..OVERFLOW)
}

/// Has every fault told that ends the program: SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, by its name, with the
/// task and a traceback of what it interrupted, C's frames too where a
/// [traceback function](stackgate::traceback::set_cgo_traceback) is set; on a thread without an m these alone. Then
/// the handler runs that was there before, or the process dies by the same signal. Stack overflows are found as by
/// [`handle_overflow`].
///
/// A handler that puts a fault right, as some libraries have, should be set afterwards and call this one for what it
/// does not know; set before, it comes after what is written here.
///
/// A thread needs a signal stack for it, of at least [`least_signal_stack`](crate::least_signal_stack) bytes and what the
/// traceback function uses: Rust's standard library gives its threads less.
///
/// Once in a process; again does nothing. Runs on a system stack. Not for signal handlers. Go: `sighandler`, of
/// signals that throw.
///
/// # Errors
/// [`ServiceError::Busy`] while another thread is doing it; what the system says.
pub fn handle_faults() -> Result<(), ServiceError> {
    handle_overflow()?;
    install(&STATES[1], OVERFLOW..SIGNALS.len())?;
    ALL_TOLD.store(true, Ordering::Relaxed);
    Ok(())
}

/// Makes [`handler`] the action of `which` of the [`SIGNALS`], unless it is.
fn install(state: &AtomicU8, which: Range<usize>) -> Result<(), ServiceError> {
    match state.compare_exchange(NOT_SET, SETTING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => {}
        Err(SET) => return Ok(()),
        Err(_) => return Err(ServiceError::Busy),
    }
    for i in which.clone() {
        let ours = handler as unsafe extern "C" fn(c_int, *mut Siginfo, *mut c_void);
        // SAFETY: this thread alone writes the slots; a handler that runs before the second call finds its own.
        unsafe {
            let mut result = sys::sigaction(SIGNALS[i].0, core::ptr::null(), former(i));
            if result == 0 {
                // What the former handler did not want to be interrupted by does not interrupt it now.
                let flags = sys::SA_SIGINFO | sys::SA_ONSTACK;
                let mask = (*former(i)).mask;
                let action = SigAction { mask, ..SigAction::new(ours as usize, flags, SigSet::EMPTY) };
                result = sys::sigaction(SIGNALS[i].0, &action, core::ptr::null_mut());
            }
            if result != 0 {
                let error = ServiceError::Failed(sys::errno());
                for (done, (signal, _)) in SIGNALS.iter().enumerate().take(i).skip(which.start) {
                    sys::sigaction(*signal, former(done), core::ptr::null_mut());
                }
                state.store(NOT_SET, Ordering::Release);
                return Err(error);
            }
        }
    }
    state.store(SET, Ordering::Release);
    Ok(())
}

/// Where the former action of one of the [`SIGNALS`] is kept.
fn former(i: usize) -> *mut SigAction {
    FORMER.0.get().cast::<SigAction>().wrapping_add(i)
}

/// Which of a thread's stacks it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Managed,
    System,
    Signal,
}

/// A stack that has overflowed.
struct Overflow {
    which: Which,
    stack: Range<usize>,
    /// Where its guard begins, if that is known.
    guard: Option<usize>,
}

/// QEMU 7.2 enters a handler on x86_64 with SP a multiple of 16, where Linux and the ABI have it 8 less. A local
/// that is aligned more strictly makes the compiler see to SP itself.
#[repr(align(64))]
struct SeesToSp([u8; 64]);

/// The handler.
unsafe extern "C" fn handler(signal: c_int, info: *mut Siginfo, ucontext: *mut c_void) {
    let mut local = SeesToSp([0; 64]);
    core::hint::black_box(&mut local.0);
    // SAFETY: the kernel passes both.
    let (sent, fault, registers) = unsafe {
        let info = &*info;
        (info.code <= 0, info.address.addr(), Registers::from_ucontext(ucontext))
    };
    let overflow = if sent { None } else { find(fault, &registers) };
    match overflow {
        // SAFETY: in the handler.
        Some(overflow) => unsafe { die(signal, fault, &registers, ucontext, &overflow) },
        // SAFETY: the handler's arguments.
        None => unsafe {
            if ALL_TOLD.load(Ordering::Relaxed) && begin_to_tell() {
                tell(ucontext, |out| describe(out, signal, &registers, (!sent).then_some(fault), None));
                // The former handler may put it right.
                DYING.store(0, Ordering::Relaxed);
            }
            pass_on(signal, sent, info, ucontext);
        },
    }
}

/// The stack in whose guard the fault is, if it is one that this thread runs on.
fn find(fault: usize, registers: &Registers) -> Option<Overflow> {
    let m = current_m()?;
    // SAFETY: this thread's m, and the g that it runs.
    let (curg, g0, gsignal) = unsafe {
        let curg = (*m).curg.get();
        let curg = (!curg.is_null()).then(|| bounds(&(*curg).stack));
        (curg, bounds(&(*m).g0.stack), bounds(&(*m).gsignal.stack))
    };
    // A pool knows its guards; the stack must be the one that is in use, or a wild pointer has found it.
    if let (Some(place), Some(curg)) = (stacks::find(fault), curg.clone()) {
        let ours = (place.guard..place.limit).contains(&fault) && curg.start == place.limit;
        return ours.then_some(Overflow { which: Which::Managed, stack: curg, guard: Some(place.guard) });
    }
    // The C library's guards, and the embedder's: whose limit is next above the fault. Stacks may lie close to
    // each other, and a wild pointer close to a stack: SP must be there too.
    let sp = registers.sp();
    [(Which::Managed, curg), (Which::System, Some(g0)), (Which::Signal, Some(gsignal))]
        .into_iter()
        .filter_map(|(which, stack)| Some((which, stack.filter(|stack| !stack.is_empty())?)))
        .filter(|(_, stack)| fault < stack.start && stack.start - fault <= NEAR)
        .min_by_key(|(_, stack)| stack.start - fault)
        .filter(|(_, stack)| stack.start.abs_diff(sp) <= NEAR)
        .map(|(which, stack)| Overflow { which, stack, guard: None })
}

fn bounds(stack: &Stack<Native>) -> Range<usize> {
    stack.limit.get() as usize..stack.top.get() as usize
}

/// Says what has happened; then the signal does what it does by default when the instruction is tried again.
///
/// # Safety
/// In the handler of `signal`.
unsafe fn die(
    signal: c_int,
    fault: usize,
    registers: &Registers,
    ucontext: *mut c_void,
    overflow: &Overflow,
) {
    if begin_to_tell() {
        // SAFETY: the handler's third argument.
        unsafe { tell(ucontext, |out| describe(out, signal, registers, Some(fault), Some(overflow))) };
    }
    // SAFETY: the default action.
    unsafe { sys::sigaction(signal, &SigAction::new(sys::SIG_DFL, 0, SigSet::EMPTY), core::ptr::null_mut()) };
}

/// Whether this thread may tell what happened to it: one at a time does. False if it was doing so already.
fn begin_to_tell() -> bool {
    let me = platform().map_or(1, |platform| platform.thread_id());
    for _ in 0..PATIENCE {
        match DYING.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            // The signal stack has overflowed meanwhile, say: what has been told must do.
            Err(other) if other == me => return false,
            // The process dies when that thread has told what happened to it.
            // SAFETY: may be called anywhere.
            Err(_) => unsafe { sys::usleep(1000) },
        };
    }
    false
}

/// Writes what `head` says, and a traceback.
///
/// # Safety
/// In a handler, with its third argument.
unsafe fn tell(ucontext: *mut c_void, head: impl FnOnce(&mut Out) -> fmt::Result) {
    let mut out = Out { bytes: [0; 256], used: 0 };
    let _ = head(&mut out);
    // SAFETY: by the caller.
    let _ = print(unsafe { Traceback::from_ucontext(ucontext) }, &mut out);
    out.flush();
}

/// The lines above the traceback. `fault`: the address, unless somebody sent the signal.
fn describe(
    out: &mut Out,
    signal: c_int,
    registers: &Registers,
    fault: Option<usize>,
    overflow: Option<&Overflow>,
) -> fmt::Result {
    match overflow.map(|overflow| overflow.which) {
        None => {
            let name =
                SIGNALS.iter().find(|(number, _)| *number == signal).map_or("signal", |(_, name)| name);
            let sent = if fault.is_none() { ", which was sent" } else { "" };
            writeln!(out, "stackgate: fatal: {name}{sent}")?;
        }
        Some(which) => {
            let what = match which {
                Which::Managed => "the managed stack of a task is too small, or its recursion has no end",
                Which::System => {
                    "the system stack of a thread is too small, or the recursion of C has no end"
                }
                Which::Signal => "a signal stack is too small for what its handlers do",
            };
            writeln!(out, "stackgate: fatal: stack overflow: {what}")?;
        }
    }
    write!(out, "    ")?;
    if let Some(fault) = fault {
        write!(out, "fault {fault:#x}  ")?;
    }
    writeln!(out, "pc {:#x}  sp {:#x}  signal {signal}", registers.pc(), registers.sp())?;
    let m = current_m().unwrap_or_default();
    // SAFETY: this thread's m.
    let g: *mut G = unsafe { m.as_ref() }.map_or(core::ptr::null_mut(), |m: &M| m.curg.get());
    // SAFETY: the g that the m runs.
    match unsafe { g.as_ref() } {
        Some(task) => write!(out, "    task {g:p} (user word {:#x}) on the m {m:p}", task.user.get())?,
        None if m.is_null() => write!(out, "    on a thread without an m")?,
        None => write!(out, "    no task on the m {m:p}")?,
    }
    // A handler of ours may have come first, which runs as gsignal.
    let on = interrupted_g().is_some_and(|interrupted| core::ptr::eq(interrupted, g));
    writeln!(out, "{}", if g.is_null() || on { "" } else { ", in C" })?;
    let Some(overflow) = overflow else { return Ok(()) };
    let Range { start, end } = overflow.stack;
    write!(out, "    stack {start:#x} to {end:#x}, {} bytes", end - start)?;
    match overflow.guard {
        Some(guard) => writeln!(out, ", guard from {guard:#x}"),
        None => writeln!(out),
    }
}

/// Text on its way to standard error.
struct Out {
    bytes: [u8; 256],
    used: usize,
}

impl Out {
    fn flush(&mut self) {
        if let Some(platform) = platform() {
            platform.write(&self.bytes[..self.used]);
        }
        self.used = 0;
    }
}

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.used] = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// Does what would have been done without this handler.
///
/// # Safety
/// The handler's arguments.
unsafe fn pass_on(signal: c_int, sent: bool, info: *mut Siginfo, ucontext: *mut c_void) {
    let at = SIGNALS.iter().position(|(number, _)| *number == signal).unwrap_or(0);
    // SAFETY: written before our handler was set.
    let former = unsafe { *former(at) };
    // SAFETY: the former handler is one, and gets what the kernel would have given it.
    unsafe {
        match former.handler {
            // Nobody can ignore a fault; the kernel does not either.
            sys::SIG_IGN if sent => {}
            sys::SIG_DFL | sys::SIG_IGN => {
                sys::sigaction(
                    signal,
                    &SigAction::new(sys::SIG_DFL, 0, SigSet::EMPTY),
                    core::ptr::null_mut(),
                );
                if sent {
                    // Comes when this returns: it is blocked until then. A fault comes again by itself.
                    sys::raise(signal);
                }
            }
            _ => {
                if former.flags & sys::SA_RESETHAND != 0 {
                    sys::sigaction(
                        signal,
                        &SigAction::new(sys::SIG_DFL, 0, SigSet::EMPTY),
                        core::ptr::null_mut(),
                    );
                }
                handlers::call(&former, signal, info, ucontext);
            }
        }
    }
}

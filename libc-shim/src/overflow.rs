//! Stack overflow: found by a guard, told by name.
//!
//! The handler of SIGSEGV and SIGBUS runs on the signal stack, since there is no room on the one that has
//! overflowed. If the fault lies in the guard of the stack that the thread ran on, it writes which task, which
//! stack and a traceback, and the process dies by the same signal. Any other fault goes to the handler that was
//! there before, as if this one were not there.
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
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::Registers;
use stackgate::arch::{Native, Stack};
use stackgate::traceback::{Traceback, print};
use stackgate::{G, M, ServiceError, current_m, interrupted_g, platform};

/// The signals that a guard can make. Linux sends the first; a mapping that cannot be filled, the second.
const SIGNALS: [c_int; 2] = [sys::SIGSEGV, sys::SIGBUS];

/// How far below the limit of a stack that is not a pool's a fault counts as its overflow: the guard of the C
/// library's threads is a page, and what the kernel keeps free below the main thread's is more.
const NEAR: usize = 64 << 10;

/// The handlers that were there before, one for each of [`SIGNALS`]. Written before ours is set.
struct Former(UnsafeCell<[MaybeUninit<SigAction>; SIGNALS.len()]>);
// SAFETY: written once, by the one thread that found the state NOT_SET, before any handler of ours can read.
unsafe impl Sync for Former {}
static FORMER: Former = Former(UnsafeCell::new([const { MaybeUninit::uninit() }; SIGNALS.len()]));

static STATE: AtomicU8 = AtomicU8::new(NOT_SET);
const NOT_SET: u8 = 0;
const SETTING: u8 = 1;
const SET: u8 = 2;

/// The thread that tells of its overflow, by its number; 0 while none does.
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
    match STATE.compare_exchange(NOT_SET, SETTING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => {}
        Err(SET) => return Ok(()),
        Err(_) => return Err(ServiceError::Busy),
    }
    for (i, signal) in SIGNALS.into_iter().enumerate() {
        let slot = FORMER.0.get().cast::<SigAction>().wrapping_add(i);
        let ours = handler as unsafe extern "C" fn(c_int, *mut Siginfo, *mut c_void);
        // SAFETY: this thread alone writes the slots; a handler that runs before the second call finds its own.
        unsafe {
            let mut result = sys::sigaction(signal, core::ptr::null(), slot);
            if result == 0 {
                // What the former handler did not want to be interrupted by does not interrupt it now.
                let flags = sys::SA_SIGINFO | sys::SA_ONSTACK;
                let action =
                    SigAction { mask: (*slot).mask, ..SigAction::new(ours as usize, flags, SigSet::EMPTY) };
                result = sys::sigaction(signal, &action, core::ptr::null_mut());
            }
            if result != 0 {
                let error = ServiceError::Failed(sys::errno());
                for (signal, slot) in SIGNALS.into_iter().zip(0..i) {
                    let slot = FORMER.0.get().cast::<SigAction>().wrapping_add(slot);
                    sys::sigaction(signal, slot, core::ptr::null_mut());
                }
                STATE.store(NOT_SET, Ordering::Release);
                return Err(error);
            }
        }
    }
    STATE.store(SET, Ordering::Release);
    Ok(())
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
        None => unsafe { pass_on(signal, sent, info, ucontext) },
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
    let me = platform().map_or(1, |platform| platform.thread_id());
    match DYING.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            let mut out = Out { bytes: [0; 256], used: 0 };
            let _ = describe(&mut out, signal, fault, registers, overflow);
            // SAFETY: the handler's third argument.
            let _ = print(unsafe { Traceback::from_ucontext(ucontext) }, &mut out);
            out.flush();
        }
        // The signal stack has overflowed meanwhile, say: what has been told must do.
        Err(other) if other == me => {}
        // The process dies when that thread has told what happened to it.
        Err(_) => {
            for _ in 0..PATIENCE {
                // SAFETY: may be called anywhere.
                unsafe { sys::usleep(1000) };
            }
        }
    }
    // SAFETY: the default action.
    unsafe { sys::sigaction(signal, &SigAction::new(sys::SIG_DFL, 0, SigSet::EMPTY), core::ptr::null_mut()) };
}

fn describe(
    out: &mut Out,
    signal: c_int,
    fault: usize,
    registers: &Registers,
    overflow: &Overflow,
) -> fmt::Result {
    let what = match overflow.which {
        Which::Managed => "the managed stack of a task is too small, or its recursion has no end",
        Which::System => "the system stack of a thread is too small, or the recursion of C has no end",
        Which::Signal => "a signal stack is too small for what its handlers do",
    };
    writeln!(out, "stackgate: fatal: stack overflow: {what}")?;
    writeln!(
        out,
        "    fault {fault:#x}  pc {:#x}  sp {:#x}  signal {signal}",
        registers.pc(),
        registers.sp()
    )?;
    let m = current_m().unwrap_or_default();
    // SAFETY: this thread's m.
    let g: *mut G = unsafe { m.as_ref() }.map_or(core::ptr::null_mut(), |m: &M| m.curg.get());
    // SAFETY: the g that the m runs.
    match unsafe { g.as_ref() } {
        Some(task) => {
            write!(out, "    task {g:p} (user word {:#x}) on the m {m:p}", task.user.get())?;
        }
        None => write!(out, "    no task on the m {m:p}")?,
    }
    // A handler of ours may have come first, which runs as gsignal.
    let on = interrupted_g().is_some_and(|interrupted| core::ptr::eq(interrupted, g));
    writeln!(out, "{}", if g.is_null() || on { "" } else { ", in C" })?;
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
    let at = SIGNALS.iter().position(|&s| s == signal).unwrap_or(0);
    // SAFETY: written before our handler was set.
    let former = unsafe { *FORMER.0.get().cast::<SigAction>().wrapping_add(at) };
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

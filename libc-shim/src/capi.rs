//! The C interface: the functions of `stackgate-libc.h`, beside those of [`stackgate::capi`], whose error numbers they
//! return.

#![expect(
    clippy::missing_safety_doc,
    reason = "each function has the contract of the Rust function it names"
)]

use crate::{Hosted, ManagedStack, StackOptions, Stacks, ThreadMain, ThreadOptions};
use core::ffi::{c_int, c_void};
use stackgate::ServiceError;
use stackgate::capi::{
    STACKGATE_EADDRESS, STACKGATE_EINUSE, STACKGATE_ENOM, STACKGATE_ENOTG0, STACKGATE_ENULL,
    STACKGATE_EPLATFORM, service,
};

fn code(result: Result<(), ServiceError>) -> c_int {
    result.map_or_else(service, |()| 0)
}

/// Sets Linux as the platform, once in a process, before the first thread is adopted. Runs on a system stack; not for signal
/// handlers. In Rust: [`set_platform`](stackgate::set_platform) of [`Hosted`].
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_use_linux() -> c_int {
    stackgate::set_platform(&Hosted).map_or(STACKGATE_EPLATFORM, |()| 0)
}

/// Tells tracebacks about the unwind tables of the program and of the libraries that are loaded; returns of how many.
/// Once registered, a library stays loaded. Runs on a system stack; not for signal handlers. In Rust:
/// [`register_own_tables`](crate::register_own_tables).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_register_own_tables() -> usize {
    crate::register_own_tables()
}

/// Makes tracebacks show functions, files and lines of C and of managed code, from the program's own debug
/// information, and C's frames between callbacks; registers the tables too. Takes its time, and memory from malloc.
/// Runs on a system stack; not for signal handlers. In Rust: [`install`](crate::symbolizer::install).
#[cfg(feature = "symbolizer")]
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_install_symbolizer() -> c_int {
    use crate::symbolizer::SymbolizerError;
    use stackgate::capi::{STACKGATE_EAGAIN, STACKGATE_EFILE, STACKGATE_ETRACEBACK};
    match crate::symbolizer::install() {
        Ok(()) => 0,
        Err(SymbolizerError::AlreadySet) => STACKGATE_ETRACEBACK,
        Err(SymbolizerError::Busy) => STACKGATE_EAGAIN,
        Err(_) => STACKGATE_EFILE,
    }
}

/// Finds stack overflows from now on, and says whose it was, on threads that have a signal stack. Runs on a system
/// stack; not for signal handlers. In Rust: [`handle_overflow`](crate::handle_overflow).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_handle_overflow() -> c_int {
    code(crate::handle_overflow())
}

/// Has every fault that ends the program told with its task and a traceback, overflows among them. Runs on a system
/// stack; not for signal handlers. In Rust: [`handle_faults`](crate::handle_faults).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_handle_faults() -> c_int {
    code(crate::handle_faults())
}

/// Makes fork safe while other threads register code or unwind tables. Runs on a system stack; not for signal handlers.
/// In Rust: [`handle_fork`](crate::handle_fork).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_handle_fork() -> c_int {
    code(crate::handle_fork())
}

/// Starts a thread that runs `run(arg)` as an m, with a signal stack. Bytes of its stacks, at least; 0 for those that
/// suit most. Runs on a system stack; not for signal handlers. In Rust: [`start_thread`](crate::start_thread).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_start_thread(
    run: Option<ThreadMain>,
    arg: *mut c_void,
    system_stack: usize,
    signal_stack: usize,
) -> c_int {
    let Some(run) = run else { return STACKGATE_ENULL };
    let usual = ThreadOptions::default();
    let or = |size: usize, usual: usize| if size == 0 { usual } else { size };
    let options = ThreadOptions {
        system_stack: or(system_stack, usual.system_stack),
        signal_stack: or(signal_stack, usual.signal_stack),
    };
    // SAFETY: by the caller.
    code(unsafe { crate::start_thread(&options, run, arg) })
}

/// Ends a thread of stackgate_start_thread as if its function had returned. Returns an error or not at all. Runs on the
/// system stack of an m that runs no task; not for signal handlers. In Rust: [`exit_thread`](crate::exit_thread).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_exit_thread() -> c_int {
    match crate::exit_thread() {
        Ok(never) => match never {},
        Err(crate::ExitError::NotStarted) => STACKGATE_ENOM,
        Err(crate::ExitError::NotOnG0) => STACKGATE_ENOTG0,
        Err(crate::ExitError::InUse) => STACKGATE_EINUSE,
    }
}

/// Where stacks for C come from.
static STACKS: Stacks = Stacks::new(StackOptions::DEFAULT);

/// A managed stack with a guard below it, for stackgate_g_init.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ManagedStackOfC {
    /// Its lowest address.
    pub limit: *mut c_void,
    /// One past its highest address.
    pub top: *mut c_void,
    /// The pool's own.
    pub words: [u32; 2],
}

/// Takes a managed stack of at least `size` bytes from a pool. Runs on a system stack; not for signal handlers. In Rust:
/// [`Stacks::take`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_stack_take(size: usize, stack: *mut ManagedStackOfC) -> c_int {
    if stack.is_null() {
        return STACKGATE_EADDRESS;
    }
    let taken = match STACKS.take(size) {
        Ok(taken) => taken,
        Err(error) => return service(error),
    };
    let (limit, top) = (taken.limit().cast(), taken.top().cast());
    // SAFETY: by the caller.
    unsafe { stack.write(ManagedStackOfC { limit, top, words: taken.into_words() }) };
    0
}

/// Puts a managed stack back, which no task is on any more, once. Runs on a system stack; not for signal handlers. In
/// Rust: [`ManagedStack`] is dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_stack_put(stack: *const ManagedStackOfC) {
    // SAFETY: by the caller.
    unsafe {
        if let Some(stack) = stack.as_ref() {
            drop(ManagedStack::from_words(&STACKS, stack.words));
        }
    }
}

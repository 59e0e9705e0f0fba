//! The C interface: the functions of `stackgate.h`, with C's ways of saying what went wrong.
//!
//! An error is a small negative number, one for each variant of the Rust error enums; [`stackgate_strerror`]
//! says what to do. What Rust's types rule out, a null function say, is found here.

#![expect(
    clippy::missing_safety_doc,
    reason = "each function has the contract of the Rust function it names"
)]

use crate::platform::fatal;
use crate::traceback::{
    self, ContextFn, RegisterError, SetTracebackError, SymbolizerFn, Traceback, TracebackFn,
};
use crate::{
    AdoptError, CFn, CallbackFn, EntryFn, ErrnoFn, ExitHook, ExtraError, G, Hooks, HooksError, InitError, M,
    ParkError, Platform, PlatformError, ReleaseError, ResumeError, Resumed, ServiceError, SignalError,
    SignalFn, SignalMask, StackError, SwitchError,
};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::num::NonZeroUsize;
use core::sync::atomic::AtomicU32;

/// What a program asks for that was compiled with the header of this version, and no other library has. Says so by
/// its name when the linker does not find it.
#[unsafe(export_name = concat!(
    "stackgate_header_of_version_",
    env!("CARGO_PKG_VERSION_MAJOR"), "_", env!("CARGO_PKG_VERSION_MINOR"), "_", env!("CARGO_PKG_VERSION_PATCH"),
))]
pub static VERSION: u8 = 0;

macro_rules! errors {
    ($($name:ident = $code:literal, $pattern:path, $text:literal;)*) => {
        $(
            #[doc = concat!($text, ".")]
            pub const $name: c_int = $code;
        )*

        /// Every error number: its name, itself, and what to do about it.
        pub const ERRORS: &[(&str, c_int, &str)] = &[$((stringify!($name), $code, $text)),*];

        fn text(error: c_int) -> &'static core::ffi::CStr {
            match error {
                0 => c"no error",
                $($code => {
                    const TEXT: &core::ffi::CStr = match core::ffi::CStr::from_bytes_with_nul(concat!($text, "\0").as_bytes()) {
                        Ok(text) => text,
                        Err(_) => panic!("an error text with a zero in it"),
                    };
                    TEXT
                })*
                _ => c"not an error number of stackgate",
            }
        }

        $(const _: fn() = || { _ = $pattern; };)*
    };
}

errors! {
    STACKGATE_EADOPTED = -1, AdoptError::AlreadyAnM, "this thread is an m already: release it first";
    STACKGATE_EADDRESS = -2, StackError::BadAddress, "a null or misaligned address: pass that of a G or an M";
    STACKGATE_ENOTG0 = -3, ReleaseError::NotOnG0, "not on the system stack of an m: do this where it was adopted";
    STACKGATE_EINUSE = -4, StackError::InUse, "in use: let the g return first";
    STACKGATE_EALIGN = -5, StackError::Misaligned, "an end of the stack is not a multiple of 16, or of 8 on arm and s390x";
    STACKGATE_EINVERTED = -6, StackError::Inverted, "the stack's top is below its limit: stacks grow down";
    STACKGATE_ESMALL = -7, StackError::TooSmall, "a managed stack needs at least 2048 bytes";
    STACKGATE_ENOM = -8, ResumeError::NoM, "this thread is not an m: adopt it first";
    STACKGATE_EBUSY = -9, ResumeError::Busy, "this m runs a g that is in C: wait until it has parked";
    STACKGATE_ENOTPARKED = -10, ResumeError::NotParked, "the g is not parked: it runs, has finished, or is not initialised";
    STACKGATE_ENOTATASK = -11, ParkError::NotATask, "not in a task: only a g that resume runs can park";
    STACKGATE_EBELOWC = -12, ParkError::BelowC, "C frames lie below this callback, or C has left one by longjmp: return first";
    STACKGATE_EBEGUN = -13, InitError::Begun, "a thread initialises the runtime already";
    STACKGATE_ENOTBEGUN = -14, InitError::NotBegun, "nobody initialises the runtime";
    STACKGATE_EVERSION = -16, SetTracebackError::Version, "unknown version: pass 0";
    STACKGATE_ETRACEBACK = -17, SetTracebackError::AlreadySet, "other traceback functions are set: set one set, once in a process";
    STACKGATE_EAGAIN = -18, SetTracebackError::Busy, "another thread is setting its traceback functions: call again";
    STACKGATE_EHOOKS = -19, HooksError::AlreadySet, "hooks are set already: set one set, once in a process";
    STACKGATE_ESIGNALS = -20, SignalError::AlreadySet, "a signal handler is set already: set one for all signals";
    STACKGATE_EPLATFORM = -21, PlatformError::AlreadySet, "a platform is set already: set it once";
    STACKGATE_ENOPLATFORM = -22, ExtraError::NoPlatform, "no platform is set: set one first";
    STACKGATE_ENOTHERE = -23, ServiceError::NotHere, "this platform does not have it: do without, or set another one";
    STACKGATE_ENOMEMORY = -24, ServiceError::NoMemory, "out of memory or address space: use less, or raise the limit";
    STACKGATE_ELIMIT = -25, ServiceError::TooManyThreads, "too many threads, or stacks with guards: let some end, or raise the limit";
    STACKGATE_EARGUMENT = -26, ServiceError::BadArgument, "an address, a size or a number that the system does not take";
    STACKGATE_EOTHERS = -27, ServiceError::Busy, "in use by somebody else: take that back first";
    STACKGATE_ESYSTEM = -28, ServiceError::Failed, "the system refused it: C's errno may say why";
    STACKGATE_EFULL = -29, RegisterError::Full, "no room for another one: register fewer, longer ones";
    STACKGATE_EORDER = -30, RegisterError::Unsorted, "code has a length: pass its start and its end";
    STACKGATE_EOVERLAP = -31, RegisterError::Overlap, "this range is registered already: register each once";
    STACKGATE_ETABLE = -32, RegisterError::BadTable, "not what this CPU has: check address and length";
    STACKGATE_EFILE = -33, core::option::Option::<()>::None, "the program's file or its debug information cannot be read: is it there, and whole?";
    STACKGATE_ENULL = -15, core::option::Option::<()>::None, "a null function: pass one that can be called";
}

/// What an error number means and what to do about it, as a constant string. Never null. Runs on any stack;
/// safe in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_strerror(error: c_int) -> *const c_char {
    text(error).as_ptr()
}

fn stack(error: StackError) -> c_int {
    match error {
        StackError::BadAddress => STACKGATE_EADDRESS,
        StackError::Misaligned => STACKGATE_EALIGN,
        StackError::Inverted => STACKGATE_EINVERTED,
        StackError::TooSmall => STACKGATE_ESMALL,
        StackError::InUse => STACKGATE_EINUSE,
    }
}

fn code<E>(result: Result<(), E>, error: fn(E) -> c_int) -> c_int {
    result.map_or_else(error, |()| 0)
}

/// Makes the current thread the m `m`, whose memory stays the caller's and must stay where it is. The thread's
/// stack becomes the m's system stack. Runs on the thread's own stack; not for signal handlers. In Rust:
/// [`m_adopt`](crate::m_adopt).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_m_adopt(m: *mut M) -> c_int {
    // SAFETY: by the caller.
    code(unsafe { crate::m_adopt(m) }, |error| match error {
        AdoptError::AlreadyAnM => STACKGATE_EADOPTED,
        AdoptError::BadAddress => STACKGATE_EADDRESS,
    })
}

/// Ends that the current thread is an m. Runs on the system stack, where the m was adopted; not for signal
/// handlers. In Rust: [`m_release`](crate::m_release).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_m_release() -> c_int {
    code(crate::m_release(), |error| match error {
        ReleaseError::NotOnG0 => STACKGATE_ENOTG0,
        ReleaseError::InUse => STACKGATE_EINUSE,
    })
}

/// Makes `g` a task that runs `entry` on the stack from `limit` up to `top`, both multiples of 16, when it is
/// first run. `g` is zeroed before its first use. Runs on any stack; not for signal handlers. In Rust:
/// [`g_init`](crate::g_init).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_g_init(
    g: *mut G,
    limit: *mut c_void,
    top: *mut c_void,
    entry: Option<EntryFn>,
) -> c_int {
    let Some(entry) = entry else { return STACKGATE_ENULL };
    // SAFETY: by the caller.
    code(unsafe { crate::g_init(g, limit.cast(), top.cast(), entry) }, stack)
}

/// Runs `g` on this m until it parks (0) or its function returns (1), or that of the task to which it has switched.
/// `*word` goes in and comes out. Runs on a system stack; not for signal handlers. In Rust: [`resume`](crate::resume).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_run(mut g: *mut G, word: *mut usize) -> c_int {
    // SAFETY: by the caller.
    unsafe { stackgate_run_any(&raw mut g, word) }
}

/// `stackgate_run` of `*g`, for tasks that switch to each other: `*g` is the one that has come back then. Runs on a
/// system stack; not for signal handlers. In Rust: [`resume_any`](crate::resume_any).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_run_any(g: *mut *mut G, word: *mut usize) -> c_int {
    if g.is_null() || word.is_null() {
        return STACKGATE_EADDRESS;
    }
    // SAFETY: by the caller.
    unsafe {
        if (*g).is_null() {
            return STACKGATE_EADDRESS;
        }
        match crate::resume_any(*g, *word) {
            Ok((back, resumed)) => {
                *g = back;
                let (out, code) = match resumed {
                    Resumed::Parked(out) => (out, 0),
                    Resumed::Finished(out) => (out, 1),
                };
                *word = out;
                code
            }
            Err(ResumeError::NoM) => STACKGATE_ENOM,
            Err(ResumeError::NotOnG0) => STACKGATE_ENOTG0,
            Err(ResumeError::Busy) => STACKGATE_EBUSY,
            Err(ResumeError::NotParked) => STACKGATE_ENOTPARKED,
        }
    }
}

/// Parks the current task and runs `g` in its place, without going by the system stack. `*word` goes to `g`, and what
/// the next run of this task passes comes in. Runs on a managed stack; not for signal handlers. In Rust:
/// [`switch_to`](crate::switch_to), which says who may run this task next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_switch_to(g: *mut G, word: *mut usize) -> c_int {
    if g.is_null() || word.is_null() {
        return STACKGATE_EADDRESS;
    }
    // SAFETY: by the caller.
    unsafe {
        match crate::switch_to(g, *word) {
            Ok(in_) => {
                *word = in_;
                0
            }
            Err(SwitchError::NotATask) => STACKGATE_ENOTATASK,
            Err(SwitchError::BelowC) => STACKGATE_EBELOWC,
            Err(SwitchError::NotParked) => STACKGATE_ENOTPARKED,
        }
    }
}

/// Parks the current task. `*word` goes out to who runs it, and what the next run passes comes in. Runs on a
/// managed stack; not for signal handlers. In Rust: [`park`](crate::park).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_yield(word: *mut usize) -> c_int {
    if word.is_null() {
        return STACKGATE_EADDRESS;
    }
    // SAFETY: by the caller.
    unsafe {
        match crate::park(*word) {
            Ok(in_) => {
                *word = in_;
                0
            }
            Err(ParkError::NotATask) => STACKGATE_ENOTATASK,
            Err(ParkError::BelowC) => STACKGATE_EBELOWC,
        }
    }
}

/// Ends the current task from wherever its code is: who runs it gets 1 and `word`. What lies on its stack is
/// forgotten. Returns an error or not at all. Runs on a managed stack; not for signal handlers. In Rust:
/// [`finish`](crate::finish).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_finish(word: usize) -> c_int {
    // SAFETY: by the caller.
    match unsafe { crate::finish(word) } {
        Ok(never) => match never {},
        Err(ParkError::NotATask) => STACKGATE_ENOTATASK,
        Err(ParkError::BelowC) => STACKGATE_EBELOWC,
    }
}

/// Calls C on the system stack, `f(arg)`, and counts it. A null function ends the program by name. Runs on any
/// stack; safe in a signal handler. In Rust: [`cgocall`](fn@crate::cgocall).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_cgocall(f: Option<CFn>, arg: *mut c_void) -> c_int {
    let Some(f) = f else { fatal("call of a null function", "pass a function to cgocall") };
    // SAFETY: by the caller.
    unsafe { crate::cgocall(f, arg) }
}

/// stackgate_cgocall of C that promises not to call back: if it does, the program ends by name. Runs on any
/// stack; safe in a signal handler. In Rust: [`cgocall_no_callback`](crate::cgocall_no_callback).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_cgocall_no_callback(f: Option<CFn>, arg: *mut c_void) -> c_int {
    let Some(f) = f else { fatal("call of a null function", "pass a function to cgocall_no_callback") };
    // SAFETY: by the caller.
    unsafe { crate::cgocall_no_callback(f, arg) }
}

/// stackgate_cgocall to which a callback can throw. `*thrown` is 0 if `f` has returned, and what was thrown if
/// not. Runs on any stack; not for signal handlers. In Rust:
/// [`cgocall_catch`](crate::cgocall_catch).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_cgocall_catch(
    f: Option<CFn>,
    arg: *mut c_void,
    thrown: *mut usize,
) -> c_int {
    let Some(f) = f else { fatal("call of a null function", "pass a function to cgocall_catch") };
    if thrown.is_null() {
        fatal("nowhere to put what is thrown", "pass the address of a word to cgocall_catch");
    }
    // SAFETY: by the caller.
    unsafe {
        match crate::cgocall_catch(f, arg) {
            Ok(result) => {
                *thrown = 0;
                result
            }
            Err(word) => {
                *thrown = word.word().get();
                0
            }
        }
    }
}

/// Drops this callback and everything down to the innermost stackgate_cgocall_catch of this task, where `word`,
/// which is not 0, arrives. Does not return. If nothing catches, the program ends with a traceback. Runs on a
/// managed stack; not for signal handlers. In Rust: [`throw`](crate::throw()).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_throw(word: usize) -> ! {
    let Some(word) = NonZeroUsize::new(word) else {
        fatal("throw of 0", "throw a word that is not 0: that one says that nothing was thrown")
    };
    // SAFETY: by the caller.
    unsafe { crate::throw(word) }
}

/// Throws the address of `message`, which may be null, from C that a task called. The message must outlive the C
/// frames that are dropped. Does not return. Runs on a system stack; not for signal handlers. Go: `_cgo_panic`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_panic(message: *const c_char) -> ! {
    // SAFETY: by the caller.
    unsafe { crate::throw::panic_from_c(message) }
}

/// Sets what runs whenever C is entered and left, once in a process; `hooks` stays where it is. Runs on any
/// stack; safe in a signal handler. In Rust: [`set_hooks`](crate::set_hooks).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_set_hooks(hooks: *const Hooks) -> c_int {
    // SAFETY: by the caller.
    let Some(hooks) = (unsafe { hooks.as_ref() }) else { return STACKGATE_ENULL };
    // SAFETY: by the caller.
    code(unsafe { crate::set_hooks(hooks) }, |error| match error {
        HooksError::AlreadySet => STACKGATE_EHOOKS,
    })
}

/// Sets what runs for every signal whose action is `stackgate_sigtramp`, once in a process. Runs on any stack; safe in
/// a signal handler. In Rust: [`set_signal_handler`](crate::set_signal_handler).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_set_signal_handler(handler: Option<SignalFn>) -> c_int {
    let Some(handler) = handler else { return STACKGATE_ENULL };
    // SAFETY: by the caller.
    code(unsafe { crate::set_signal_handler(handler) }, |error| match error {
        SignalError::AlreadySet => STACKGATE_ESIGNALS,
    })
}

/// The way in for a function that C calls and that is to run on the stack of the task that called C: waits for
/// initialisation, makes a traceback context and releases it, keeps `errno`, and runs `f(block, size, context)`.
/// A null function ends the program by name. Runs on the stack that C runs on; not for signal handlers. In
/// Rust: [`enter`](crate::enter).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_enter(f: Option<CallbackFn>, block: *mut c_void, size: usize) {
    let Some(f) = f else { fatal("callback of a null function", "pass a managed function to enter") };
    // SAFETY: by the caller.
    unsafe { crate::enter(f, block, size) }
}

/// Tells that the stack of `g`, which is parked or in C on this thread, has been copied, top to top, to the one
/// from `limit` up to `top`. Runs on a system stack; not for signal handlers. In Rust:
/// [`stack_moved`](crate::stack_moved).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_stack_moved(g: *mut G, limit: *mut c_void, top: *mut c_void) -> c_int {
    // SAFETY: by the caller.
    code(unsafe { crate::stack_moved(g, limit.cast(), top.cast()) }, stack)
}

/// The upper end of the stack of the task that runs, or is in C, on this thread; 0 when there is none. Runs on
/// any stack; safe in a signal handler. In Rust: [`topofstack`](crate::topofstack).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_topofstack() -> usize {
    crate::topofstack()
}

fn init(error: InitError) -> c_int {
    match error {
        InitError::Begun => STACKGATE_EBEGUN,
        InitError::NotBegun => STACKGATE_ENOTBEGUN,
    }
}

/// Keeps callbacks from C waiting until stackgate_notify_runtime_init_done. Runs on a system stack; not for
/// signal handlers. In Rust: [`runtime_init_begin`](crate::runtime_init_begin).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_runtime_init_begin() -> c_int {
    code(crate::runtime_init_begin(), init)
}

/// Lets callbacks in. Runs on a system stack; not for signal handlers. In Rust:
/// [`notify_runtime_init_done`](crate::notify_runtime_init_done).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_notify_runtime_init_done() -> c_int {
    code(crate::notify_runtime_init_done(), init)
}

/// Returns when callbacks may enter. Runs on a system stack; not for signal handlers. In Rust:
/// [`wait_runtime_init_done`](crate::wait_runtime_init_done).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_wait_runtime_init_done() {
    crate::wait_runtime_init_done();
}

/// Sets the functions with which tracebacks go on in C; each may be null. Version 0; once in a process. Runs on
/// any stack; safe in a signal handler. In Rust: [`set_cgo_traceback`](crate::traceback::set_cgo_traceback).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_set_cgo_traceback(
    version: c_int,
    traceback: Option<TracebackFn>,
    context: Option<ContextFn>,
    symbolizer: Option<SymbolizerFn>,
) -> c_int {
    // SAFETY: by the caller.
    code(
        unsafe { traceback::set_cgo_traceback(version, traceback, context, symbolizer) },
        |error| match error {
            SetTracebackError::Version => STACKGATE_EVERSION,
            SetTracebackError::AlreadySet => STACKGATE_ETRACEBACK,
            SetTracebackError::Busy => STACKGATE_EAGAIN,
        },
    )
}

/// Writes the PCs of the current task's frames, managed ones and C's, innermost first, to `pcs`, at most `n`;
/// returns how many. `skip` counts managed frames; 0 begins with the caller. Runs on any stack; safe in a signal
/// handler if the traceback function is. In Rust: [`callers`](crate::traceback::callers).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_callers(skip: usize, pcs: *mut usize, n: usize) -> usize {
    if pcs.is_null() {
        return 0;
    }
    // SAFETY: by the caller, room for `n`.
    traceback::callers(skip, unsafe { core::slice::from_raw_parts_mut(pcs, n) })
}

/// As stackgate_callers, of a task that is parked, from its innermost frame. Runs on a system stack; safe in a signal
/// handler that knows that nobody runs the task. In Rust: [`Traceback::of`](crate::traceback::Traceback::of).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_callers_of(g: *const G, pcs: *mut usize, n: usize) -> usize {
    if pcs.is_null() || g.is_null() {
        return 0;
    }
    // SAFETY: by the caller, room for `n`.
    let pcs = unsafe { core::slice::from_raw_parts_mut(pcs, n) };
    // SAFETY: by the caller.
    traceback::fill(unsafe { Traceback::of(g) }, 0, pcs, |pc| pc.pc)
}

/// As stackgate_callers, in a signal handler: of what the signal has interrupted, which the handler's third argument
/// says. Runs on a signal stack; safe in a signal handler if the traceback function is. In Rust:
/// [`Traceback::from_ucontext`](crate::traceback::Traceback::from_ucontext).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_callers_interrupted(
    ucontext: *mut c_void,
    pcs: *mut usize,
    n: usize,
) -> usize {
    if pcs.is_null() || ucontext.is_null() {
        return 0;
    }
    // SAFETY: by the caller, room for `n`.
    let pcs = unsafe { core::slice::from_raw_parts_mut(pcs, n) };
    // SAFETY: by the caller.
    traceback::fill(unsafe { Traceback::from_ucontext(ucontext) }, 0, pcs, |pc| pc.pc)
}

/// Gets a piece of text, not 0-terminated, and what its user passed.
pub type TextFn = unsafe extern "C" fn(text: *const c_char, size: usize, arg: *mut c_void);

/// Text for a C function.
struct Text {
    to: TextFn,
    arg: *mut c_void,
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        // SAFETY: who passed the function vouches for it.
        unsafe { (self.to)(text.as_ptr().cast(), text.len(), self.arg) };
        Ok(())
    }
}

/// Writes a traceback for people, two lines a frame, with names where somebody knows them, and why it ends if that is
/// not its outermost frame: of `g`, which is parked, or with a null `g` of the caller. `to` gets it in pieces. Runs on
/// a system stack, or one with 8 KiB to spare; safe in a signal handler if `to` and the traceback functions are. In Rust:
/// [`print`](crate::traceback::print()).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_print_traceback(
    g: *const G,
    to: Option<TextFn>,
    arg: *mut c_void,
) -> c_int {
    let Some(to) = to else { return STACKGATE_ENULL };
    let trace = if g.is_null() {
        let mut trace = Traceback::current();
        // This function is the first.
        trace.skip_managed(1);
        trace
    } else {
        // SAFETY: by the caller.
        unsafe { Traceback::of(g) }
    };
    // It has no errors.
    _ = traceback::print(trace, &mut Text { to, arg });
    0
}

/// Sets a function that names managed code, as the symbolizer of stackgate_set_cgo_traceback names C; it may be the
/// same. Once in a process. Runs on a system stack; safe in a signal handler. In Rust:
/// [`set_managed_symbolizer`](crate::traceback::set_managed_symbolizer).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_set_managed_symbolizer(symbolizer: Option<SymbolizerFn>) -> c_int {
    let Some(symbolizer) = symbolizer else { return STACKGATE_ENULL };
    // SAFETY: by the caller.
    match unsafe { traceback::set_managed_symbolizer(symbolizer) } {
        Ok(()) => 0,
        Err(_) => STACKGATE_ETRACEBACK,
    }
}

/// The number of a platform's error.
///
/// Runs on any stack; safe in a signal handler.
pub fn service(error: ServiceError) -> c_int {
    match error {
        ServiceError::NotHere => STACKGATE_ENOTHERE,
        ServiceError::NoMemory => STACKGATE_ENOMEMORY,
        ServiceError::TooManyGuards { .. } | ServiceError::TooManyThreads => STACKGATE_ELIMIT,
        ServiceError::BadArgument => STACKGATE_EARGUMENT,
        ServiceError::Busy => STACKGATE_EOTHERS,
        ServiceError::Failed(_) => STACKGATE_ESYSTEM,
    }
}

fn extra(error: ExtraError) -> c_int {
    match error {
        ExtraError::TooSmall { .. } => STACKGATE_ESMALL,
        ExtraError::NoPlatform => STACKGATE_ENOPLATFORM,
        ExtraError::Platform(error) => service(error),
    }
}

/// Makes `n` more m's for threads that C makes and that call back, so that as many can do so at once without anything
/// being made for them. Runs on a system stack; not for signal handlers. In Rust:
/// [`prepare_extra_ms`](crate::prepare_extra_ms).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_prepare_extra_ms(n: usize) -> c_int {
    code(crate::prepare_extra_ms(n), extra)
}

/// Gives memory, for ever, for one more m for a thread that C makes and that calls back: the m, the task, and what
/// remains as its stack. Runs on a system stack; not for signal handlers. In Rust: [`add_extra_m`](crate::add_extra_m).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_add_extra_m(memory: *mut c_void, size: usize) -> c_int {
    // SAFETY: by the caller.
    code(unsafe { crate::add_extra_m(memory.cast(), size) }, extra)
}

/// The services of an operating system or a board, for stackgate_set_platform. `libstackgate-libc` brings one.
/// The first five are there; each of the others may be null. Each may be called on any system stack and from any
/// thread. In Rust: [`Platform`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PlatformFunctions {
    /// Writes a message for a person. Safe in a signal handler.
    pub write: unsafe extern "C" fn(*const c_char, usize),
    /// Ends the program as failed; does not return. Safe in a signal handler.
    pub abort: unsafe extern "C" fn(),
    /// A number, not 0, that tells this thread from every other one that lives.
    pub thread_id: unsafe extern "C" fn() -> usize,
    /// Sleeps until wake is called for the word, unless it no longer holds what is expected; may return early. 0 when
    /// nothing can wake this thread, and 1 otherwise.
    pub wait: unsafe extern "C" fn(*const u32, u32) -> c_int,
    /// Wakes every thread that sleeps on the word.
    pub wake: unsafe extern "C" fn(*const u32),
    /// Where C keeps this thread's errno.
    pub errno_location: Option<unsafe extern "C" fn() -> *mut c_int>,
    /// Has the hook run with the word on this thread when it ends; a null word takes that back. 0, or not.
    pub at_thread_exit:
        Option<unsafe extern "C" fn(Option<unsafe extern "C" fn(*mut c_void)>, *mut c_void) -> c_int>,
    /// Keeps every signal, or interrupt, from this thread, and says in two words what was kept before. Safe in a
    /// signal handler.
    pub block_signals: Option<unsafe extern "C" fn(*mut u64)>,
    /// Keeps from this thread what these words say, and nothing else. Safe in a signal handler.
    pub restore_signals: Option<unsafe extern "C" fn(*const u64)>,
}

// SAFETY, of each call below: who has set the functions vouches for them.
impl Platform for PlatformFunctions {
    fn write(&self, message: &[u8]) {
        // SAFETY: as above.
        unsafe { (self.write)(message.as_ptr().cast(), message.len()) };
    }

    fn abort(&self) -> ! {
        // SAFETY: as above.
        unsafe { (self.abort)() };
        crate::arch::trap()
    }

    fn thread_id(&self) -> usize {
        // SAFETY: as above.
        unsafe { (self.thread_id)() }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        // SAFETY: as above.
        unsafe { (self.wait)(word.as_ptr(), expected) != 0 }
    }

    fn wake(&self, word: &AtomicU32) {
        // SAFETY: as above.
        unsafe { (self.wake)(word.as_ptr()) };
    }

    fn errno(&self) -> Option<ErrnoFn> {
        self.errno_location
    }

    unsafe fn at_thread_exit(&self, hook: ExitHook, word: *mut c_void) -> Result<(), ServiceError> {
        let at_thread_exit = self.at_thread_exit.ok_or(ServiceError::NotHere)?;
        // SAFETY: as above.
        match unsafe { at_thread_exit(Some(hook), word) } {
            0 => Ok(()),
            _ => Err(ServiceError::Busy),
        }
    }

    fn block_signals(&self) -> Result<SignalMask, ServiceError> {
        // Who cannot restore must not block.
        let (Some(block), Some(_)) = (self.block_signals, self.restore_signals) else {
            return Err(ServiceError::NotHere);
        };
        let mut mask = SignalMask::default();
        // SAFETY: as above; room for two words.
        unsafe { block(mask.0.as_mut_ptr()) };
        Ok(mask)
    }

    fn restore_signals(&self, mask: SignalMask) {
        if let Some(restore) = self.restore_signals {
            // SAFETY: as above.
            unsafe { restore(mask.0.as_ptr()) };
        }
    }
}

/// Sets the platform, once; what `platform` designates stays. Without one nothing that has to wait can, threads that C
/// makes find no m, and a fatal error is an illegal instruction without a message. Runs on a system stack; not for signal
/// handlers. In Rust: [`set_platform`](crate::set_platform).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_set_platform(platform: *const PlatformFunctions) -> c_int {
    // SAFETY: by the caller.
    let Some(platform) = (unsafe { platform.as_ref() }) else { return STACKGATE_ENULL };
    code(crate::set_platform(platform), |error| match error {
        PlatformError::AlreadySet => STACKGATE_EPLATFORM,
    })
}

/// Registers code that was made at run time, from `start` up to `end`, under a name of which 47 bytes are kept.
/// Tracebacks know it for managed code then. Runs on a system stack; not for signal handlers. In Rust:
/// [`register_code`](crate::traceback::register_code).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_register_code(
    start: *const c_void,
    end: *const c_void,
    name: *const c_char,
) -> c_int {
    if name.is_null() {
        return STACKGATE_EADDRESS;
    }
    // SAFETY: a string, by the caller.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    code(traceback::register_code(start.addr()..end.addr(), name), register)
}

/// Forgets the code that was registered from `start` on: when this returns its memory may hold something else, if
/// nothing of it is on any stack. Runs on a system stack; not for signal handlers. In Rust:
/// [`unregister_code`](crate::traceback::unregister_code).
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_unregister_code(start: *const c_void) -> c_int {
    if traceback::unregister_code(start.addr()) { 0 } else { STACKGATE_EADDRESS }
}

fn register(error: RegisterError) -> c_int {
    match error {
        RegisterError::Full => STACKGATE_EFULL,
        RegisterError::Unsorted => STACKGATE_EORDER,
        RegisterError::Overlap => STACKGATE_EOVERLAP,
        RegisterError::BadTable => STACKGATE_ETABLE,
    }
}

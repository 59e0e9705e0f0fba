//! Calls from C: the initialisation gate, the way in for exported functions, and what cannot be let in.

use crate::extra::{self, System};
use crate::gate::{Gate, Stuck};
use crate::hooks;
use crate::platform::{errno_location, fatal, platform};
use crate::task::is;
use crate::traceback::{self, ContextFn, ContextPlace};
use crate::{M, current_g};
use core::ffi::c_void;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate_arch::{self as arch, CallbackFn, GState};

static GATE: Gate = Gate::new();

/// What is between C and the crossing of a callback: 0 if nothing is, which one load tells.
static BETWEEN: AtomicUsize = AtomicUsize::new(0);
/// [`GATE`] may be closed.
const INITIALISING: usize = 1;
/// There is a context function.
pub(crate) const CONTEXT: usize = 2;
/// There are hooks.
pub(crate) const HOOKS: usize = 4;

/// Says that something lies between C and callbacks from now on. What the thread has stored for it is seen by
/// every callback that goes that way.
pub(crate) fn put_between(what: usize) {
    BETWEEN.fetch_or(what, Ordering::AcqRel);
}

/// Why initialisation was not begun or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// A thread initialises already. Call `runtime_init_begin` once.
    Begun,
    /// Nobody initialises. Call `runtime_init_begin` first.
    NotBegun,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begun => "a thread initialises the runtime already: call runtime_init_begin once",
            Self::NotBegun => "nobody initialises the runtime: call runtime_init_begin first",
        })
    }
}

/// Keeps callbacks from C waiting until [`notify_runtime_init_done`]. The current thread is the one that must
/// get there: a callback on it, meanwhile, ends the program by name.
///
/// A runtime that is ready before C can call it needs none of this.
///
/// Runs on a system stack. Not for signal handlers. Go: what a c-shared library does at load.
///
/// # Errors
/// [`InitError::Begun`] if initialisation is under way.
pub fn runtime_init_begin() -> Result<(), InitError> {
    if !GATE.close(platform().map_or(0, |p| p.thread_id())) {
        return Err(InitError::Begun);
    }
    put_between(INITIALISING);
    Ok(())
}

/// Lets callbacks in. Go: `notify_runtime_init_done`.
///
/// Runs on a system stack. Not for signal handlers.
///
/// # Errors
/// [`InitError::NotBegun`] if nobody keeps them waiting.
pub fn notify_runtime_init_done() -> Result<(), InitError> {
    // First: who begins again after the gate is open sets it again. Where it stays set too long, callbacks ask the
    // gate.
    BETWEEN.fetch_and(!INITIALISING, Ordering::AcqRel);
    if GATE.open(platform().map(System).as_ref()) { Ok(()) } else { Err(InitError::NotBegun) }
}

/// Returns when callbacks may enter: at once, by one acquire load, unless initialisation is under way.
///
/// Runs on a system stack. Not for signal handlers. Go: `wait_runtime_init_done`.
///
/// Ends the program by name if this thread is the one that initialises, or if nothing can wake a waiter.
#[inline]
pub fn wait_runtime_init_done() {
    if !GATE.is_open() {
        wait();
    }
}

#[cold]
#[inline(never)]
fn wait() {
    let Some(platform) = platform() else {
        fatal("callback before initialisation", "no platform is set, so nothing can wake the caller");
    };
    match GATE.wait(platform.thread_id(), &System(platform)) {
        Ok(()) => {}
        Err(Stuck::Itself) => fatal(
            "callback before initialisation",
            "the thread that initialises the runtime calls it: call notify_runtime_init_done first",
        ),
        Err(Stuck::Sleepless) => {
            fatal("callback before initialisation", "nothing can wake the caller on this platform")
        }
    }
}

/// The way in for an exported function: gate, context, crossing, release, and C's `errno` as it was.
///
/// [`export!`](crate::export) writes the call. `block` is the argument block that `managed` understands.
///
/// Runs on the stack that C called on. Not for signal handlers. Go: the C stub that cgo generates.
///
/// # Safety
/// `managed` may be called with these arguments on a managed stack.
#[inline]
pub unsafe fn enter(managed: CallbackFn, block: *mut c_void, size: usize) {
    let errno = errno_location();
    // SAFETY: errno is this thread's, and stays where it is.
    let saved = unsafe { errno.read_volatile() };
    match BETWEEN.load(Ordering::Acquire) {
        // SAFETY: by the caller.
        0 => unsafe { cgocallback(managed, block, size, 0) },
        // SAFETY: by the caller.
        CONTEXT => unsafe { enter_with_context(managed, block, size) },
        // SAFETY: by the caller.
        _ => unsafe { enter_past(managed, block, size) },
    }
    // SAFETY: as above.
    unsafe { errno.write_volatile(saved) };
}

/// [`arch::cgocallback`], of which the sanitizers are told.
///
/// # Safety
/// As there.
#[inline(always)]
pub(crate) unsafe fn cgocallback(managed: CallbackFn, block: *mut c_void, size: usize, ctxt: usize) {
    // SAFETY: by the caller.
    unsafe {
        #[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
        let told = crate::sanitizers::calling_back();
        arch::cgocallback(managed, block, size, ctxt);
        #[cfg(any(feature = "asan", feature = "tsan", feature = "valgrind"))]
        if let Some(told) = told {
            told.returned();
        }
    }
}

/// The rest of [`enter`] where contexts are made, and nothing else lies between. Who made a context also gets it
/// back.
#[inline(never)]
unsafe fn enter_with_context(managed: CallbackFn, block: *mut c_void, size: usize) {
    // SAFETY: who set the function vouches for it; the rest by the caller.
    unsafe {
        let context = traceback::context_function().unwrap_unchecked();
        in_context(context, |ctxt| cgocallback(managed, block, size, ctxt));
    }
}

/// The rest of [`enter`] in every other case: the gate may be closed, there may be hooks, and a context function.
#[cold]
#[inline(never)]
unsafe fn enter_past(managed: CallbackFn, block: *mut c_void, size: usize) {
    wait_runtime_init_done();
    // SAFETY: as above.
    unsafe {
        match traceback::context_function() {
            None => cross(managed, block, size, 0),
            Some(context) => in_context(context, |ctxt| cross(managed, block, size, ctxt)),
        }
    }
}

/// Runs `f` with a context that `context` makes, and gives it back.
///
/// # Safety
/// `context` may be called.
#[inline(always)]
unsafe fn in_context(context: ContextFn, f: impl FnOnce(usize)) {
    // Here for as long as the callback takes: the function may keep something in it.
    // Nothing is written before it is used: a new place would be, all of it.
    let mut place = MaybeUninit::<ContextPlace>::uninit();
    let place = place.as_mut_ptr();
    // SAFETY: by the caller.
    unsafe {
        let ctxt = traceback::acquire_from(context, place);
        f(ctxt);
        traceback::release_to(context, place);
    }
}

/// The crossing itself, with hooks if there are any.
///
/// # Safety
/// As [`enter`].
#[inline(always)]
unsafe fn cross(managed: CallbackFn, block: *mut c_void, size: usize, ctxt: usize) {
    // SAFETY: by the caller.
    unsafe {
        match hooks::hooks() {
            None => cgocallback(managed, block, size, ctxt),
            Some(_) => hooks::enter_hooked(managed, block, size, ctxt),
        }
    }
}

/// Routes callbacks that cannot run on the current g to core.
pub(crate) fn install() {
    arch::CALLBACK_ELSEWHERE.store(elsewhere as *mut c_void, Ordering::Release);
}

/// A callback that `cgocallback` could not run: finds the thread an m, or says which mistake it is.
unsafe extern "C" fn elsewhere(func: CallbackFn, frame: *mut c_void, size: usize, ctxt: usize) {
    const IN_HANDLER: [&str; 2] =
        ["callback from a signal handler", "managed code does not run on a signal stack"];
    let Some(g) = current_g() else {
        if core::ptr::addr_eq(arch::current(), &raw const arch::HANDLES_NO_G) {
            fatal(IN_HANDLER[0], IN_HANDLER[1]);
        }
        // SAFETY: what `cgocallback` got.
        return unsafe { extra::callback(func, frame, size, ctxt) };
    };
    // SAFETY: the current g is valid.
    let g = unsafe { &*g };
    if is(g, GState::Gsignal) {
        fatal(IN_HANDLER[0], IN_HANDLER[1]);
    }
    if !is(g, GState::G0) {
        fatal("callback on a g that is not g0", "C was called without asmcgocall, ccall or cgocall");
    }
    // SAFETY: g0 is the first field of its m.
    let m = unsafe { &*(&raw const *g).cast::<M>() };
    if m.curg.is_null() {
        fatal("callback while no g runs on this m", "resume a g, and call C from it");
    }
    if !g.m_in.get().is_null() {
        fatal(
            "callback after a longjmp over managed frames",
            "C has left callbacks that have not returned: have them return, or throw",
        );
    }
    fatal("callback from a call that promised none", "the call into C was made with callbacks forbidden");
}

/// Exports managed functions to C: each item becomes a C function whose body runs on the managed stack of the
/// task that called C.
///
/// ```
/// stackgate::export! {
///     /// Called by C; runs on the task's stack.
///     pub extern "C" fn add(a: i32, b: f64) -> f64 { f64::from(a) + b }
/// }
/// ```
///
/// Any C signature of up to 12 arguments: the arguments travel in a block on C's stack. The C function waits
/// for the initialisation gate, takes a traceback context and releases it, and gives C its `errno` back. Its
/// symbol is the function's name.
///
/// The body may call C again, and park no task below C frames. If it panics, the feature `std` throws the panic
/// through C (see [`throw`](mod@crate::throw)); without it the program ends.
#[macro_export]
macro_rules! export {
    ($(
        $(#[$meta:meta])*
        $vis:vis extern "C" fn $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "as many as C passes")]
        #[unsafe(no_mangle)]
        $vis extern "C" fn $name($($arg: $ty),*) $(-> $ret)? {
            /// The arguments, and the result once there is one.
            #[repr(C)]
            struct Block {
                $($arg: ::core::mem::ManuallyDrop<$ty>,)*
                result: ::core::mem::MaybeUninit<$crate::export!(@result $($ret)?)>,
            }
            unsafe extern "C" fn managed(
                block: *mut ::core::ffi::c_void, _size: usize, _ctxt: usize,
            ) {
                #[allow(clippy::too_many_arguments, reason = "as many as C passes")]
                #[inline(always)]
                fn body($($arg: $ty),*) $(-> $ret)? $body
                // SAFETY: the stub below passes its block, whose arguments nobody else takes.
                unsafe {
                    let block = block.cast::<Block>();
                    let result = $crate::throw::guarded(|| {
                        body($(::core::mem::ManuallyDrop::take(&mut (*block).$arg)),*)
                    });
                    (*block).result.write(result);
                }
            }
            let mut block = Block {
                $($arg: ::core::mem::ManuallyDrop::new($arg),)*
                result: ::core::mem::MaybeUninit::uninit(),
            };
            // SAFETY: `managed` takes a Block, and writes the result before it returns.
            unsafe {
                $crate::enter(managed, (&raw mut block).cast(), ::core::mem::size_of::<Block>());
                block.result.assume_init()
            }
        }
    )*};
    (@result) => { () };
    (@result $ret:ty) => { $ret };
}

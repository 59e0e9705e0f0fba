//! The user's three functions: where a trace goes on in C.

use crate::callback;
use core::ffi::{c_char, c_int, c_void};
use core::fmt;
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// What the context function gets.
///
/// Behind it lies memory that is the function's own when it is asked for a context: 16 words ([`CONTEXT_ROOM`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ContextArg {
    /// 0: C is about to call managed code; put a word here that describes this place, or leave 0 for none.
    /// Not 0: that callback is over, and this is its word.
    pub context: usize,
}

/// How many words lie behind a [`ContextArg`] whose context is 0. They are the context function's until it gets its
/// context back, and stay where they are: a function may return their address, and needs no other memory then, at
/// any depth and on any thread.
///
/// Enough for a [`Physical`](super::Physical).
pub const CONTEXT_ROOM: usize = 16;

/// A [`ContextArg`] with the room behind it, as [`acquire_context`] wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ContextPlace {
    arg: ContextArg,
    room: MaybeUninit<[usize; CONTEXT_ROOM]>,
}

impl ContextPlace {
    /// A place that describes nothing yet.
    #[inline(always)]
    pub const fn new() -> Self {
        Self { arg: ContextArg { context: 0 }, room: MaybeUninit::uninit() }
    }
}

impl Default for ContextPlace {
    fn default() -> Self {
        Self::new()
    }
}

/// What the traceback function gets.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TracebackArg {
    /// The word that the context function gave for the C frames asked for; 0 with `sigcontext`.
    pub context: usize,
    /// The third argument of the signal handler that interrupted C; null for a context.
    pub sigcontext: *mut c_void,
    /// Where the PCs go, innermost first. All zero; the first zero ends the list, as does `max`.
    pub buf: *mut usize,
    /// How many PCs there is room for.
    pub max: usize,
}

/// What the symbolizer gets, once for each frame of a PC.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SymbolizerArg {
    /// In: the PC. 0: the iteration is over, release what `data` designates.
    pub pc: usize,
    /// Out: the file's name, or null.
    pub file: *const c_char,
    /// Out: the line, or 0.
    pub lineno: usize,
    /// Out: the function's name, or null.
    pub func: *const c_char,
    /// Out: where the function begins, or 0.
    pub entry: usize,
    /// Out: not 0 when this PC has a further frame, the caller of an inlined function. The next call is for
    /// the same PC then and finds the other fields as this one left them; for another PC they are zero.
    pub more: usize,
    /// The symbolizer's own, kept from call to call of one iteration; 0 at first.
    pub data: usize,
}

/// Makes a context when C calls managed code, and takes it back. Called on C's stack.
pub type ContextFn = unsafe extern "C" fn(*mut ContextArg);
/// Turns a context into PCs. Called on the system stack.
pub type TracebackFn = unsafe extern "C" fn(*mut TracebackArg);
/// Turns a PC into names. Called on the system stack.
pub type SymbolizerFn = unsafe extern "C" fn(*mut SymbolizerArg);

/// Why the functions were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetTracebackError {
    /// Only version 0 of the argument structures exists.
    Version,
    /// Other functions are set already, and a context must go back to the function that made it.
    AlreadySet,
    /// Another thread is setting its functions at this moment. Call again.
    Busy,
}

impl fmt::Display for SetTracebackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "unknown version: pass 0",
            Self::AlreadySet => "other traceback functions are set: set one set, once in a process",
            Self::Busy => "another thread is setting its traceback functions: call again",
        })
    }
}

static STATE: AtomicU8 = AtomicU8::new(UNSET);
const UNSET: u8 = 0;
const SETTING: u8 = 1;
const SET: u8 = 2;

// Written once, before SET is stored; null for none.
static TRACEBACK: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static CONTEXT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static SYMBOLIZER: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// Set on its own; null for none.
static MANAGED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Sets the functions with which tracebacks go on in C, and which name C's frames. Each may be absent.
///
/// * `context` is called on C's stack whenever C calls an exported function, and again when that callback is
///   over. What it returns is kept beside the callback, at any depth, and a callback for which it returned 0
///   simply shows no C frames. It may keep [`CONTEXT_ROOM`] words where it was called.
/// * `traceback` is called when a trace comes to such a callback, with the word that `context` returned.
/// * `symbolizer` is called when PCs of C are to be named.
///
/// `traceback` and `symbolizer` run on the system stack, perhaps in a signal handler if tracebacks are taken
/// there: they must be safe there then, and must not call back.
///
/// Runs on any stack; safe in a signal handler. Go: `runtime.SetCgoTraceback`.
///
/// # Errors
/// [`SetTracebackError`]; nothing has changed then. The same set again is no error.
///
/// # Safety
/// The functions keep to what is said here, for as long as the process lives.
pub unsafe fn set_cgo_traceback(
    version: c_int,
    traceback: Option<TracebackFn>,
    context: Option<ContextFn>,
    symbolizer: Option<SymbolizerFn>,
) -> Result<(), SetTracebackError> {
    if version != 0 {
        return Err(SetTracebackError::Version);
    }
    let traceback = traceback.map_or(null_mut(), |f| f as *mut c_void);
    let context = context.map_or(null_mut(), |f| f as *mut c_void);
    let symbolizer = symbolizer.map_or(null_mut(), |f| f as *mut c_void);
    match STATE.compare_exchange(UNSET, SETTING, Ordering::Acquire, Ordering::Acquire) {
        Ok(_) => {
            SYMBOLIZER.store(symbolizer, Ordering::Release);
            TRACEBACK.store(traceback, Ordering::Release);
            // Last: a context that is made can be traced.
            CONTEXT.store(context, Ordering::Release);
            if !context.is_null() {
                callback::put_between(callback::CONTEXT);
            }
            STATE.store(SET, Ordering::Release);
            Ok(())
        }
        Err(SETTING) => Err(SetTracebackError::Busy),
        Err(_) => {
            let same = TRACEBACK.load(Ordering::Acquire) == traceback
                && CONTEXT.load(Ordering::Acquire) == context
                && SYMBOLIZER.load(Ordering::Acquire) == symbolizer;
            if same { Ok(()) } else { Err(SetTracebackError::AlreadySet) }
        }
    }
}

/// Sets a function that names managed code: frames of which no registered function says the file
/// ([`register_functions`](super::register_functions)). For managed code that a compiler made, with debug information
/// as C has it.
///
/// It is called as the symbolizer of [`set_cgo_traceback`] is, and may be the same function. Its PC is one that a
/// call returns to, or lies behind the address where the frame was interrupted: the instruction before it is the
/// one in question.
///
/// Once in a process. Runs on any stack; safe in a signal handler.
///
/// # Errors
/// [`SetTracebackError::AlreadySet`] if it is another one. The same again is no error.
///
/// # Safety
/// As [`set_cgo_traceback`].
pub unsafe fn set_managed_symbolizer(symbolizer: SymbolizerFn) -> Result<(), SetTracebackError> {
    let new = symbolizer as *mut c_void;
    match MANAGED.compare_exchange(null_mut(), new, Ordering::Release, Ordering::Relaxed) {
        Err(set) if set != new => Err(SetTracebackError::AlreadySet),
        _ => Ok(()),
    }
}

/// The context function, if there is one.
#[inline(always)]
pub(crate) fn context_function() -> Option<ContextFn> {
    let context = CONTEXT.load(Ordering::Acquire);
    // SAFETY: only `set_cgo_traceback` writes the word, from a ContextFn or null.
    unsafe { transmute::<*mut c_void, Option<ContextFn>>(context) }
}

/// Asks the context function to describe the C frames that are about to call managed code. 0 when there is no
/// function, or nothing to describe.
///
/// Runs on C's stack, of which the function uses what it uses. Safe in a signal handler if the function is.
/// Go: what an exported function does with `_cgo_get_context_function`.
///
/// # Safety
/// `place` is valid, and stays where it is until [`release_context`] has been called.
#[inline]
pub unsafe fn acquire_context(place: *mut ContextPlace) -> usize {
    match context_function() {
        None => 0,
        // SAFETY: by the caller.
        Some(context) => unsafe { acquire_from(context, place) },
    }
}

/// # Safety
/// As [`acquire_context`]; `context` is the context function.
#[inline(always)]
pub(crate) unsafe fn acquire_from(context: ContextFn, place: *mut ContextPlace) -> usize {
    // SAFETY: by the caller; who set the function vouches for it. The pointer is one to the whole place.
    unsafe {
        (*place).arg.context = 0;
        context(place.cast());
        (*place).arg.context
    }
}

/// Gives the context in `place`, if there is one, back to the function that made it there.
///
/// # Safety
/// As [`acquire_from`], which has been called with the same two.
#[inline(always)]
pub(crate) unsafe fn release_to(context: ContextFn, place: *mut ContextPlace) {
    // SAFETY: by the caller. The word is as the function left it, so its caller need not keep a copy.
    unsafe {
        if (*place).arg.context != 0 {
            context(place.cast());
        }
    }
}

/// Gives a context back to the context function. 0 is none.
///
/// Runs on any stack: on a managed one, where a throw drops callbacks, the function is called on the system
/// stack. Safe in a signal handler if the function is. Go: `_cgo_release_context`.
#[inline]
pub fn release_context(ctxt: usize) {
    if ctxt != 0 {
        release(ctxt);
    }
}

#[cold]
fn release(ctxt: usize) {
    let context = CONTEXT.load(Ordering::Acquire);
    if !context.is_null() {
        let mut arg = ContextArg { context: ctxt };
        // SAFETY: only `set_cgo_traceback` writes the word, from a ContextFn.
        unsafe { call(context, &raw mut arg) };
    }
}

/// Asks the traceback function for the C frames of `context`, or of the place where a signal interrupted C.
/// Returns how many PCs it wrote to `buf`, which is cleared first.
pub(super) fn c_frames(context: usize, sigcontext: *mut c_void, buf: &mut [usize]) -> usize {
    let traceback = TRACEBACK.load(Ordering::Acquire);
    if traceback.is_null() {
        return 0;
    }
    buf.fill(0);
    let mut arg = TracebackArg { context, sigcontext, buf: buf.as_mut_ptr(), max: buf.len() };
    // SAFETY: only `set_cgo_traceback` writes the word, from a TracebackFn; `arg` designates the buffer for as long as
    // the call takes.
    unsafe { call(traceback, &raw mut arg) };
    buf.iter().position(|&pc| pc == 0).unwrap_or(buf.len())
}

/// Asks the symbolizer of C, or that of managed code; `false` when there is none.
pub(super) fn symbolize(managed: bool, arg: &mut SymbolizerArg) -> bool {
    let symbolizer = if managed { &MANAGED } else { &SYMBOLIZER }.load(Ordering::Acquire);
    if symbolizer.is_null() {
        return false;
    }
    // SAFETY: only their setters write the words, from a SymbolizerFn.
    unsafe { call(symbolizer, &raw mut *arg) };
    true
}

/// Calls one of the three on the system stack.
///
/// # Safety
/// `f` takes a pointer to a `T`.
unsafe fn call<T>(f: *mut c_void, arg: *mut T) {
    // SAFETY: every pointer to a structure is passed alike.
    unsafe {
        let f = transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(f);
        crate::cgocall::call_hook(f, arg.cast());
    }
}

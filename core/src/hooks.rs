//! What an embedder wants to do whenever C is entered and left.

use crate::M;
use crate::callback;
use crate::once::Once;
use crate::task::{value, word};
use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicPtr, Ordering};
use stackgate_arch::frame::Ptr;
use stackgate_arch::{self as arch, CallbackFn};

/// Functions that run when managed code enters C and C enters managed code: where a scheduler hands a
/// processor on, a collector learns that a stack stands still, a profiler counts.
///
/// They come in pairs, whatever happens in between: a throw that drops callbacks runs `leaving_managed` and
/// `left_c` for each of them. All run on the managed stack, of which they may use little, and must neither
/// call C by [`cgocall`](fn@crate::cgocall) nor park nor unwind.
///
/// The crossings of `stackgate-arch` beneath know nothing of them. Where calls or callbacks by those lie between others,
/// a throw that drops both does not know which have run their hooks: do not mix them below a catch.
///
/// Go: `entersyscall`, `exitsyscall`, `reentersyscall`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Hooks {
    /// Managed code is about to call C. What it returns belongs to this call.
    pub entering_c: unsafe extern "C" fn() -> usize,
    /// C has returned, or a throw has dropped it. Gets what `entering_c` returned for this call.
    pub left_c: unsafe extern "C" fn(usize),
    /// C has called managed code, which is about to run. Gets what `entering_c` returned for the call that led
    /// to C.
    pub entering_managed: unsafe extern "C" fn(usize),
    /// Managed code that C called is about to return, or to be dropped. Gets the same word.
    pub leaving_managed: unsafe extern "C" fn(usize),
}

/// Why hooks were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HooksError {
    /// There are some already, and a call under way is theirs. Set one set, once in a process.
    AlreadySet,
}

impl fmt::Display for HooksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySet => f.write_str("hooks are set already: set one set, once in a process"),
        }
    }
}

static SET: Once<()> = Once::new();
/// Null while there are none, so that who asks needs one load and one branch.
static HOOKS: AtomicPtr<Hooks> = AtomicPtr::new(core::ptr::null_mut());

/// Sets the hooks, once in a process. Calls that are under way finish without them.
///
/// Without hooks a call into C costs a load and a branch more than if there were no such thing.
/// [`cgocall`](fn@crate::cgocall), [`cgocall_catch`](crate::cgocall_catch) and [`enter`](crate::enter) know
/// them; the crossings of `stackgate-arch` beneath do not.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// [`HooksError::AlreadySet`] on every call but the first.
///
/// # Safety
/// The functions keep to what [`Hooks`] says, on every thread.
pub unsafe fn set_hooks(hooks: &'static Hooks) -> Result<(), HooksError> {
    if !SET.set(()) {
        return Err(HooksError::AlreadySet);
    }
    HOOKS.store(core::ptr::from_ref(hooks).cast_mut(), Ordering::Release);
    callback::put_between(callback::HOOKS);
    Ok(())
}

/// The hooks, if there are any.
#[inline(always)]
pub(crate) fn hooks() -> Option<&'static Hooks> {
    let hooks = HOOKS.load(Ordering::Acquire);
    // SAFETY: only `set_hooks` stores, and what it stores lives for ever.
    unsafe { hooks.as_ref() }
}

/// A callback that runs with hooks. It lies on the system stack, which does not move.
pub(crate) struct Hooked {
    managed: CallbackFn,
    block: *mut c_void,
    /// What `entering_c` returned for the call that led here.
    word: usize,
    /// The next outer one on this m.
    previous: *mut Hooked,
}

/// What `entering_c` returned for the innermost call under way, and the innermost callback that has hooks.
unsafe fn state(m: *const M) -> (usize, *mut Hooked) {
    // SAFETY: by the caller, this thread's m.
    unsafe { (value((*m).hook), (*m).hooked.get().cast()) }
}

unsafe fn set_state(m: *mut M, outer: usize, hooked: *mut Hooked) {
    // SAFETY: by the caller, this thread's m.
    unsafe {
        (*m).hook = word(outer);
        (*m).hooked = Ptr::new(hooked.cast());
    }
}

/// The rest of `enter` where there are hooks.
///
/// # Safety
/// As `enter`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn enter_hooked(managed: CallbackFn, block: *mut c_void, size: usize, ctxt: usize) {
    let mut hooked = Hooked { managed, block, word: 0, previous: core::ptr::null_mut() };
    // SAFETY: `run` takes a Hooked.
    unsafe { crate::callback::cgocallback(run, (&raw mut hooked).cast(), size, ctxt) };
}

/// Runs on curg, between `cgocallback` and the managed function.
unsafe extern "C" fn run(hooked: *mut c_void, size: usize, ctxt: usize) {
    let hooked = hooked.cast::<Hooked>();
    // SAFETY: `enter_hooked` passes one; the g runs on this m until the callback is over.
    unsafe {
        let m = (*arch::current()).m_out.get();
        let (outer, previous) = state(m);
        ((*hooked).word, (*hooked).previous) = (outer, previous);
        set_state(m, outer, hooked);
        let hooks = hooks();
        if let Some(hooks) = hooks {
            (hooks.entering_managed)(outer);
        }
        ((*hooked).managed)((*hooked).block, size, ctxt);
        if let Some(hooks) = hooks {
            (hooks.leaving_managed)(outer);
        }
        set_state(m, outer, previous);
    }
}

/// A call into C begins: what its [`left`] gets, and what lay outside.
///
/// # Safety
/// `m` is this thread's.
#[cold]
#[inline(never)]
pub(crate) unsafe fn entering(m: *mut M, hooks: &Hooks) -> (usize, usize) {
    // SAFETY: by the caller, and by who set the hooks.
    unsafe {
        let (outer, hooked) = state(m);
        let inner = (hooks.entering_c)();
        set_state(m, inner, hooked);
        (inner, outer)
    }
}

/// The call has returned.
///
/// # Safety
/// As [`entering`], with what it returned.
#[cold]
#[inline(never)]
pub(crate) unsafe fn left(m: *mut M, hooks: &Hooks, (inner, outer): (usize, usize)) {
    // SAFETY: as above.
    unsafe {
        let (_, hooked) = state(m);
        set_state(m, outer, hooked);
        (hooks.left_c)(inner);
    }
}

/// A throw drops every callback whose part on the system stack lies below `g0_sp`: runs for each what would
/// have run, but for the `left_c` of the outermost, which who catches runs.
///
/// # Safety
/// `m` is this thread's, and the callbacks have not been dropped yet.
pub(crate) unsafe fn dropped(m: *mut M, g0_sp: usize) {
    let Some(hooks) = hooks() else { return };
    // SAFETY: by the caller; the records lie on the system stack.
    unsafe {
        let (_, mut hooked) = state(m);
        while !hooked.is_null() && hooked.addr() < g0_sp {
            let Hooked { word, previous, .. } = *hooked;
            set_state(m, word, previous);
            (hooks.leaving_managed)(word);
            hooked = previous;
            if !hooked.is_null() && hooked.addr() < g0_sp {
                (hooks.left_c)(word);
            }
        }
    }
}

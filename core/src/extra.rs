//! Threads that the runtime did not make and that call managed code.
//!
//! Such a thread has no m. Its first callback takes one from a pool, with a task and its managed stack, and
//! binds them to the thread: from then on its callbacks cost what any callback costs. When the thread ends the
//! platform's exit hook gives them back. A callback that comes later still, from another of the thread's exit
//! hooks, takes an m for its own time only; so does every callback where the platform knows of no thread's end.
//!
//! Signals are kept from the thread before an m is taken and until the thread is one: a handler never finds
//! half of it.

use crate::platform::{Platform, ServiceError, StackBounds, fatal, platform};
use crate::pool::{Pool, Pooled, Waits};
use crate::task::{self, MIN_STACK, STACK_ALIGN, value, word};
use crate::{G, M};
use core::ffi::c_void;
use core::fmt;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use stackgate_arch::frame::Ptr;
use stackgate_arch::{self as arch, AsmcgocallFrame, CallbackFn, GState, Stack};

/// How large the managed stack is on which callbacks of such threads run, if core makes it: 64 KiB.
const STACK: usize = 64 << 10;

/// An m for a thread that comes, the task that runs its callbacks, and the link of the pool. It lies above the
/// task's stack.
#[repr(C)]
struct Extra {
    m: M,
    g: G,
    limit: usize,
    link: Option<NonNull<Extra>>,
}

// SAFETY: the link is a field of its own.
unsafe impl Pooled for Extra {
    fn link(this: NonNull<Self>) -> *mut Option<NonNull<Self>> {
        // SAFETY: inside the same object.
        unsafe { &raw mut (*this.as_ptr()).link }
    }
}

static POOL: Pool<Extra> = Pool::new();

/// The platform, as the pool and the gate see it.
pub(crate) struct System(pub &'static dyn Platform);

impl Waits for System {
    type Mask = Option<crate::SignalMask>;
    fn mask(&self) -> Self::Mask {
        self.0.block_signals().ok()
    }
    fn unmask(&self, mask: Self::Mask) {
        if let Some(mask) = mask {
            self.0.restore_signals(mask);
        }
    }
    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        self.0.wait(word, expected)
    }
    fn wake(&self, word: &AtomicU32) {
        self.0.wake(word);
    }
}

/// Lets nobody take or give back an m until [`let_in`]. Signals are masked.
pub(crate) fn keep_out() {
    core::mem::forget(POOL.lock().lock());
}

/// Lets m's be taken and given back again.
///
/// # Safety
/// After [`keep_out`], on that thread or on its copy in a child process.
pub(crate) unsafe fn let_in() {
    // SAFETY: by the caller; the guard has been forgotten.
    unsafe { POOL.lock().force_unlock() };
}

/// How many m's there are for threads that the runtime did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtraMs {
    /// Ever made or added. None is ever given up.
    pub made: usize,
    /// Ready to be taken. When no such thread lives, all are.
    pub ready: usize,
}

/// How many m's there are for threads that the runtime did not make, and how many of them are ready. Exact
/// while nobody comes or goes.
///
/// Runs on any stack; safe in a signal handler. Go: `extraMLength`.
pub fn extra_ms() -> ExtraMs {
    ExtraMs { made: POOL.made(), ready: POOL.ready() }
}

/// What the m's of threads that have ended had counted in `ncgocall`: an m begins anew with each thread.
static ENDED_CALLS: AtomicUsize = AtomicUsize::new(0);

/// How many calls into C `cgocall` has made on threads that the runtime did not make and that have ended; wraps. With
/// `ncgocall` of the m's that there are, the calls of the whole program.
///
/// Runs on any stack; safe in a signal handler. Go: what `NumCgoCall` adds up, without those of m's that it has freed
/// (46789).
pub fn calls_of_ended_threads() -> usize {
    ENDED_CALLS.load(Ordering::Relaxed)
}

/// Why there is no further m for threads that the runtime did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtraError {
    /// The memory is too small, or there is none. Pass room for an m, a task and a stack.
    TooSmall {
        /// What is needed, in bytes, if it begins at a multiple of 16.
        least: usize,
    },
    /// No platform is set. Call `set_platform` first.
    NoPlatform,
    /// The platform has not given the memory.
    Platform(ServiceError),
}

impl fmt::Display for ExtraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { least } => {
                write!(f, "too little memory: an extra m needs at least {least} bytes")
            }
            Self::NoPlatform => f.write_str("no platform is set: call set_platform first"),
            Self::Platform(error) => write!(f, "no memory for an extra m: {error}"),
        }
    }
}

/// Gives memory for one more m for a thread that the runtime did not make: the m, the task, and what remains as
/// the task's stack, at whose lower end the embedder may have put a guard.
///
/// Runs on any stack; not for signal handlers. Go: `oneNewExtraM`.
///
/// # Errors
/// [`ExtraError::TooSmall`], [`ExtraError::NoPlatform`].
///
/// # Safety
/// The `size` bytes at `memory` are stackgate's for ever.
pub unsafe fn add_extra_m(memory: *mut u8, size: usize) -> Result<(), ExtraError> {
    let system = System(platform().ok_or(ExtraError::NoPlatform)?);
    // SAFETY: by the caller.
    let extra = unsafe { lay_out(memory, size) }?;
    POOL.count_made();
    let mask = system.mask();
    // SAFETY: it has just been made, and stays.
    unsafe { POOL.give(extra, &mask, &system) };
    system.unmask(mask);
    Ok(())
}

/// Makes `n` more m's for threads that the runtime did not make, so that as many can call in at once without
/// anything being made for them. Others are made when they are needed.
///
/// Runs on any system stack; not for signal handlers. Go: `newextram`.
///
/// # Errors
/// [`ExtraError`]; those made before it stay.
pub fn prepare_extra_ms(n: usize) -> Result<(), ExtraError> {
    let system = System(platform().ok_or(ExtraError::NoPlatform)?);
    for _ in 0..n {
        let extra = make(system.0)?;
        let mask = system.mask();
        // SAFETY: it has just been made, and stays.
        unsafe { POOL.give(extra, &mask, &system) };
        system.unmask(mask);
    }
    Ok(())
}

/// Divides memory into a stack and, above it, an [`Extra`].
///
/// # Safety
/// The memory is there for ever.
unsafe fn lay_out(memory: *mut u8, size: usize) -> Result<NonNull<Extra>, ExtraError> {
    const ALIGN: usize = if align_of::<Extra>() > 16 { align_of::<Extra>() } else { 16 };
    let too_small = ExtraError::TooSmall { least: MIN_STACK + size_of::<Extra>() + ALIGN };
    let low = memory.addr().next_multiple_of(STACK_ALIGN);
    let end = memory.addr().checked_add(size).ok_or(too_small)?;
    let at = end.checked_sub(size_of::<Extra>()).ok_or(too_small)? / ALIGN * ALIGN;
    if memory.is_null() || at.checked_sub(low).is_none_or(|stack| stack < MIN_STACK) {
        return Err(too_small);
    }
    let extra = memory.with_addr(at).cast::<Extra>();
    // Whoever walks the stack finds it by its address.
    memory.expose_provenance();
    // SAFETY: inside the memory, and aligned.
    unsafe { extra.write(Extra { m: M::default(), g: G::default(), limit: low, link: None }) };
    NonNull::new(extra).ok_or(too_small)
}

/// Makes one, with memory from the platform and a guard below its stack.
fn make(platform: &dyn Platform) -> Result<NonNull<Extra>, ExtraError> {
    let page = platform.page_size().max(STACK_ALIGN);
    let size = (STACK + size_of::<Extra>()).next_multiple_of(page) + page;
    let memory = platform.map(size).map_err(ExtraError::Platform)?;
    // SAFETY: pages that have just been mapped.
    let guarded = unsafe { platform.guard(memory, page) };
    if let Err(error) = guarded
        && error != ServiceError::NotHere
    {
        // SAFETY: nobody knows them.
        _ = unsafe { platform.unmap(memory, size) };
        return Err(ExtraError::Platform(error));
    }
    // SAFETY: what lies above the guard, for ever.
    let extra = unsafe { lay_out(memory.as_ptr().wrapping_add(page), size - page) }?;
    POOL.count_made();
    Ok(extra)
}

/// Runs a callback of a thread that has no m.
///
/// # Safety
/// As [`cgocallback`](stackgate_arch::cgocallback), and the thread has no g.
pub(crate) unsafe fn callback(func: CallbackFn, frame: *mut c_void, size: usize, ctxt: usize) {
    const NAME: &str = "callback on a thread without an m";
    let Some(platform) = platform() else {
        fatal(NAME, "no platform is set, so none can be made: adopt the thread with m_adopt");
    };
    let system = System(platform);
    let ends = core::ptr::addr_eq(arch::current(), &raw const arch::ENDED_NO_G);
    // First of all, so that no handler runs while this thread holds the pool or has half an m.
    let mask = system.mask();
    let extra = match POOL.take(&mask) {
        Some(extra) => extra,
        None => match make(platform) {
            Ok(extra) => extra,
            Err(_) if POOL.made() == 0 => {
                fatal(NAME, "adopt the thread with m_adopt, or prepare m's with add_extra_m")
            }
            Err(_) => match POOL.take_or_wait(&mask, &system) {
                Some(extra) => extra,
                None => fatal(NAME, "every extra m is in use, and nothing can wake the caller: add more"),
            },
        },
    };
    // SAFETY: it is this thread's now; by the caller.
    unsafe {
        attach(extra, platform);
        // The hook has run on a thread that ends, and perhaps does not run again.
        let bound = !ends && platform.at_thread_exit(thread_ends, extra.as_ptr().cast()).is_ok();
        system.unmask(mask);
        crate::callback::cgocallback(func, frame, size, ctxt);
        if !bound {
            detach(extra, &system, ends);
        }
    }
}

/// Makes this thread an m whose curg is in C.
///
/// # Safety
/// `extra` is nobody else's; signals are masked; the thread has no g.
unsafe fn attach(extra: NonNull<Extra>, platform: &dyn Platform) {
    // SAFETY: by the caller.
    unsafe {
        let m = &raw mut (*extra.as_ptr()).m;
        let g = &raw mut (*extra.as_ptr()).g;
        task::m_init(m).expect("its address is good");
        let here = 0u8;
        let here = (&raw const here).addr();
        let bounds = platform.stack_bounds().ok().filter(|bounds| (bounds.limit..bounds.top).contains(&here));
        let StackBounds { limit, top, .. } = bounds.unwrap_or(guess(here));
        (*m).g0.stack = Stack { limit: word(limit), top: word(top) };
        if let Ok(Some(bounds)) = platform.signal_stack() {
            (*m).gsignal.stack = Stack { limit: word(bounds.limit), top: word(bounds.top) };
        }

        // The task: parked before its function, which will never run; then, all of a sudden, in C.
        (*g).state = word(GState::Finished as usize);
        let low = core::ptr::with_exposed_provenance_mut((*extra.as_ptr()).limit);
        let high = extra.as_ptr().cast::<u8>();
        task::g_init(g, low, high, never).expect("its stack is good");
        let base = value((*g).sched.sp);
        // What stands for the call: it ends where g0's part begins, and its caller is the end of the stack.
        let mut root = AsmcgocallFrame { g: Ptr::new(g), sp: word(base), ..AsmcgocallFrame::default() };
        let pushed = arch::start_of_call(&root).sp - base;
        root.sp = word(base - pushed);
        (*m).root = root;
        let end = m.addr() + offset_of!(M, root) + size_of::<AsmcgocallFrame>();
        m.expose_provenance();
        (*m).g0.sched.sp = word(end);
        (*m).g0.m_in = Ptr::new(m);
        task::set_parent(g, end);
        (*g).m_out = Ptr::new(m);
        (*g).state = word(GState::Running as usize);
        (*m).curg = Ptr::new(g);
        arch::setg(&raw mut (*m).g0);
    }
}

/// The function of a task that only callbacks use.
unsafe extern "C" fn never(_: usize) -> usize {
    fatal("the task of a foreign thread was resumed", "resume tasks of your own")
}

/// What of a stack is in use, if nobody knows it: what lies close to `here`.
fn guess(here: usize) -> StackBounds {
    StackBounds { limit: here.saturating_sub(32 << 10), top: here.saturating_add(4 << 10), accurate: false }
}

/// Makes this thread one without an m, which `ends` or does not, and gives the m back.
///
/// # Safety
/// `extra` is this thread's, and no callback of it is under way.
unsafe fn detach(extra: NonNull<Extra>, system: &System, ends: bool) {
    let no_g = if ends { (&raw const arch::ENDED_NO_G).cast_mut().cast() } else { core::ptr::null_mut() };
    let mask = system.mask();
    // SAFETY: by the caller.
    unsafe {
        arch::setg(no_g);
        let m = &raw mut (*extra.as_ptr()).m;
        (*m).curg = Ptr::new(core::ptr::null_mut());
        ENDED_CALLS.fetch_add(value((*m).ncgocall), Ordering::Relaxed);
        POOL.give(extra, &mask, system);
    }
    system.unmask(mask);
}

/// Runs at the end of a thread that has an m from here.
unsafe extern "C" fn thread_ends(extra: *mut c_void) {
    let (Some(extra), Some(platform)) = (NonNull::new(extra.cast::<Extra>()), platform()) else { return };
    // SAFETY: `callback` gave the word; the thread makes no callback any more, or will have none of this m.
    unsafe { detach(extra, &System(platform), true) };
}

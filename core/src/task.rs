//! Tasks and the threads that run them: adopting, initialising, running, parking.

use crate::platform::{StackBounds, platform};
use crate::sanitizers;
use crate::{G, M};
use core::convert::Infallible;
use core::fmt;
use stackgate_arch::frame::{Ptr, Word};
use stackgate_arch::{
    self as arch, AsmcgocallFrame, BaseFrame, CallbackFrame, EntryFn, GState, Native, NativeWord, Stack,
};

/// The least number of bytes that a managed stack may have.
///
/// Room for what the crossings put there, which is at most 800 bytes a path, and for a small function.
pub const MIN_STACK: usize = 2048;

/// What both ends of a managed stack are a multiple of: SP's alignment at a call, which is a `u128`'s on each
/// of the six CPUs. 16 bytes; 8 on arm and s390x.
pub const STACK_ALIGN: usize = align_of::<u128>();

#[inline(always)]
pub(crate) fn word(value: usize) -> NativeWord {
    Word::new(value as u64)
}

#[inline(always)]
pub(crate) fn value(word: NativeWord) -> usize {
    word.get() as usize
}

#[inline(always)]
fn state(g: &G) -> usize {
    value(g.state)
}

#[inline(always)]
pub(crate) fn is(g: &G, what: GState) -> bool {
    state(g) == what as usize
}

/// The current g: a task's, the g0 or gsignal of this thread's m, or `None` on a thread without an m.
///
/// Runs on any stack; safe in a signal handler. Never keep it over a switch. Go: `getg`.
#[inline]
pub fn current_g() -> Option<*mut G> {
    // SAFETY: reads one word of this thread.
    let g = unsafe { arch::getg() };
    (!g.is_null()).then_some(g)
}

/// The m that this thread is, or `None` if it is none.
///
/// Runs on any stack; safe in a signal handler. Go: `getg().m`.
pub fn current_m() -> Option<*mut M> {
    let g = current_g()?;
    // SAFETY: the current g is valid.
    let (m, state) = unsafe { ((*g).m_out.get(), state(&*g)) };
    if !m.is_null() {
        Some(m)
    } else if state == GState::G0 as usize {
        // g0 is the first field of its m.
        Some(g.cast())
    } else if state == GState::Gsignal as usize {
        Some(g.wrapping_byte_sub(core::mem::offset_of!(M, gsignal)).cast())
    } else {
        None
    }
}

/// Why a thread could not be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdoptError {
    /// The thread is an m already. Release that one first.
    AlreadyAnM,
    /// `m` is null or not aligned. Pass the address of an `M` that lives as long as the thread is one.
    BadAddress,
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyAnM => "this thread is an m already: call m_release first",
            Self::BadAddress => "m is null or misaligned: pass the address of an M",
        })
    }
}

/// Makes the current thread the m `m`. Its stack becomes the m's system stack, used from where the thread
/// stands when it resumes a g.
///
/// Where the platform can tell, the bounds of the thread's stack and of its signal stack become those of g0 and
/// gsignal.
///
/// Runs on the thread's own stack. Not for signal handlers. Go: what `mstart` does.
///
/// # Errors
/// [`AdoptError`]; nothing has changed then.
///
/// # Safety
/// `m` is valid, and stays where it is until [`m_release`]. What it holds is overwritten, but for `user`.
pub unsafe fn m_adopt(m: *mut M) -> Result<(), AdoptError> {
    if !m.is_null() && m.is_aligned() && current_g().is_some() {
        return Err(AdoptError::AlreadyAnM);
    }
    // SAFETY: by the caller; a g0 that no other thread uses.
    unsafe {
        m_init(m)?;
        learn_bounds(m);
        arch::setg(&raw mut (*m).g0);
    }
    Ok(())
}

/// Prepares `m` for a thread that becomes one by [`crosscall1`](stackgate_arch::crosscall1) with its g0. The
/// bounds of its stacks are not known yet.
///
/// Runs on any stack. Not for signal handlers. Go: what `mcommoninit` does.
///
/// # Errors
/// [`AdoptError::BadAddress`]; nothing has changed then.
///
/// # Safety
/// `m` is valid and no thread's. What it holds is overwritten, but for `user`.
pub unsafe fn m_init(m: *mut M) -> Result<(), AdoptError> {
    if m.is_null() || !m.is_aligned() {
        return Err(AdoptError::BadAddress);
    }
    // Callbacks that cannot run where they arrive come to core from now on.
    crate::callback::install();
    // SAFETY: `m` is valid and the caller's.
    unsafe {
        let user = (*m).user;
        m.write(M { user, ..M::default() });
        (*m).g0.state = word(GState::G0 as usize);
        (*m).g0.m_in = Ptr::new(m);
        (*m).gsignal.state = word(GState::Gsignal as usize);
    }
    Ok(())
}

/// Asks the platform for the bounds of this thread's stacks.
///
/// # Safety
/// `m` is valid, and this thread's or about to be.
unsafe fn learn_bounds(m: *mut M) {
    let Some(platform) = platform() else { return };
    let stack = |bounds: StackBounds| Stack { limit: word(bounds.limit), top: word(bounds.top) };
    // SAFETY: by the caller.
    unsafe {
        if let Ok(bounds) = platform.stack_bounds() {
            (*m).g0.stack = stack(bounds);
        }
        if let Ok(Some(bounds)) = platform.signal_stack() {
            (*m).gsignal.stack = stack(bounds);
        }
    }
}

/// Why an m could not be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The current g is not the g0 of an m. Call this where the m was adopted.
    NotOnG0,
    /// A g of this m is in C. Let it return first.
    InUse,
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOnG0 => "not on the system stack of an m: release it where it was adopted",
            Self::InUse => "a g of this m is in C: let it return first",
        })
    }
}

/// Ends that the current thread is an m. The memory of the m is the embedder's again.
///
/// Runs on the thread's own stack. Not for signal handlers. Go: `dropm`.
///
/// # Errors
/// [`ReleaseError`]; nothing has changed then.
pub fn m_release() -> Result<(), ReleaseError> {
    let g = current_g().ok_or(ReleaseError::NotOnG0)?;
    // SAFETY: the current g is valid.
    unsafe {
        if !is(&*g, GState::G0) {
            return Err(ReleaseError::NotOnG0);
        }
        if !(*g.cast::<M>()).curg.is_null() {
            return Err(ReleaseError::InUse);
        }
        arch::setg(core::ptr::null_mut());
    }
    Ok(())
}

/// What is wrong with a g or its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackError {
    /// `g` is null or not aligned. Pass the address of a `G` that lives as long as the task.
    BadAddress,
    /// An end of the stack is not a multiple of [`STACK_ALIGN`].
    Misaligned,
    /// `top` is below `limit`. Stacks grow down: `top` is one past the highest address.
    Inverted,
    /// Less than [`MIN_STACK`] bytes.
    TooSmall,
    /// The g runs or is parked in the middle of its function. Let it finish first.
    InUse,
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress => f.write_str("g is null or misaligned: pass the address of a G"),
            Self::Misaligned => write!(f, "an end of the stack is not a multiple of {STACK_ALIGN}"),
            Self::Inverted => f.write_str("top is below limit: top is one past the highest address"),
            Self::TooSmall => write!(f, "a managed stack needs at least {MIN_STACK} bytes"),
            Self::InUse => f.write_str("this g is not finished: let it return, or use another"),
        }
    }
}

/// Makes `g` a task that runs `entry` on the stack from `limit` up to `top`, when [`resume`] first runs it.
///
/// Runs on any stack. Not for signal handlers. Go: `newproc1`.
///
/// # Errors
/// [`StackError`]; nothing has changed then.
///
/// # Safety
/// `g` is valid (zeroed or default before its first use) and stays where it is until the task has finished;
/// the stack's memory is the task's alone for as long. `entry` does not unwind.
pub unsafe fn g_init(g: *mut G, limit: *mut u8, top: *mut u8, entry: EntryFn) -> Result<(), StackError> {
    if g.is_null() || !g.is_aligned() {
        return Err(StackError::BadAddress);
    }
    let (low, high) = (limit.expose_provenance(), top.expose_provenance());
    if high < low {
        return Err(StackError::Inverted);
    }
    if low % STACK_ALIGN != 0 || high % STACK_ALIGN != 0 {
        return Err(StackError::Misaligned);
    }
    if high - low < MIN_STACK {
        return Err(StackError::TooSmall);
    }
    // SAFETY: `g` is valid and the caller's; the base frame lies in the stack, which is large enough.
    unsafe {
        if is(&*g, GState::Running) || is(&*g, GState::Parked) && has_begun(g) {
            return Err(StackError::InUse);
        }
        sanitizers::reusing(low, high);
        let user = (*g).user;
        g.write(G { user, stack: Stack { limit: word(low), top: word(high) }, ..G::default() });
        let base = base_frame(g);
        base.write(BaseFrame { entry: word(entry as usize), ..BaseFrame::default() });
        (*g).sched = arch::begin_below(base, (&raw const arch::g_begin).addr());
        (*g).state = word(GState::Parked as usize);
    }
    Ok(())
}

/// Whether `g`, which is parked, has run before: then its stack has more than what [`g_init`] has put there.
///
/// # Safety
/// `g` is valid.
pub(crate) unsafe fn has_begun(g: *const G) -> bool {
    // SAFETY: by the caller.
    unsafe { (*g).sched.sp.get() as usize != base_frame(g).addr() - arch::BEGIN_BELOW_BASE }
}

/// The upper end of the stack of `g`.
fn base_frame(g: *const G) -> *mut BaseFrame {
    // SAFETY: callers pass a valid g.
    let top = unsafe { value((*g).stack.top) };
    core::ptr::with_exposed_provenance_mut(top - size_of::<BaseFrame>())
}

/// Says where the m's part of the system stack begins while `g` runs: what `resume` says of its own.
///
/// # Safety
/// `g` is valid, and its stack is there.
pub(crate) unsafe fn set_parent(g: *mut G, end: usize) {
    // SAFETY: by the caller.
    unsafe { (*base_frame(g)).parent = Ptr::new(core::ptr::with_exposed_provenance_mut(end)) };
}

/// What a task did when it came back: the one that was resumed, or the one that runs after [`switch_to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It parked with this word.
    Parked(usize),
    /// Its function returned this word.
    Finished(usize),
}

/// Why a g was not resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeError {
    /// The thread is not an m. Call `m_adopt` first.
    NoM,
    /// Not on a system stack. A task parks, and the m that it parks on resumes the next one.
    NotOnG0,
    /// This m runs a g already, which is in C. Resume others when it has parked.
    Busy,
    /// The g is not parked: it runs somewhere, or has finished, or `g_init` has not seen it.
    NotParked,
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoM => "this thread is not an m: call m_adopt first",
            Self::NotOnG0 => "not on a system stack: park, and resume the other g from there",
            Self::Busy => "this m runs a g that is in C: wait until it has parked",
            Self::NotParked => "the g is running, finished or not initialised: resume parked ones only",
        })
    }
}

/// Runs `g` on this m until it parks or finishes, or the task does to which it has switched by [`switch_to`]. `word`
/// is what its [`park`] returns, or what its function gets the first time.
///
/// Runs on a system stack. Not for signal handlers. Go: `execute`.
///
/// # Errors
/// [`ResumeError`]; nothing has changed then.
///
/// # Safety
/// `g` is valid, and no other thread resumes it at the same time.
#[inline]
pub unsafe fn resume(g: *mut G, word: usize) -> Result<Resumed, ResumeError> {
    // SAFETY: by the caller.
    unsafe { resume_any(g, word) }.map(|(_, resumed)| resumed)
}

/// [`resume`], for tasks that switch to each other: says which one has come back.
///
/// Runs on a system stack. Not for signal handlers.
///
/// # Errors
/// [`ResumeError`]; nothing has changed then.
///
/// # Safety
/// As [`resume`].
#[inline]
pub unsafe fn resume_any(g: *mut G, word_in: usize) -> Result<(*mut G, Resumed), ResumeError> {
    let g0 = current_g().ok_or(ResumeError::NoM)?;
    // SAFETY: the current g is valid, and so is `g`; the one that comes back has run on this m.
    unsafe {
        if !is(&*g0, GState::G0) {
            return Err(ResumeError::NotOnG0);
        }
        if !(*g0.cast::<M>()).curg.is_null() {
            return Err(ResumeError::Busy);
        }
        if !is(&*g, GState::Parked) {
            return Err(ResumeError::NotParked);
        }
        (*g).state = word(GState::Running as usize);
        let run = sanitizers::resuming(g, || has_begun(g));
        let (word_out, g) = arch::resume(g, word_in);
        let finished = is(&*g, GState::Finished);
        run.came_back(g0, g, finished);
        if finished {
            return Ok((g, Resumed::Finished(word_out)));
        }
        (*g).state = word(GState::Parked as usize);
        Ok((g, Resumed::Parked(word_out)))
    }
}

/// Why a g could not park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParkError {
    /// Not in a task.
    NotATask,
    /// C frames of this thread lie below the task: it is in a callback. Return from it first.
    BelowC,
}

impl fmt::Display for ParkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotATask => "not in a task: only a g that resume runs can park",
            Self::BelowC => "C frames lie below this callback, or C has left one by longjmp: return first",
        })
    }
}

/// Parks the current task: the [`resume`] that runs it returns [`Resumed::Parked`] with `word`. Returns what
/// the next `resume` passes, perhaps on another thread.
///
/// Runs on a managed stack. Not for signal handlers. Go: `gopark`.
///
/// # Errors
/// [`ParkError`]; nothing has changed then.
#[inline]
pub fn park(word: usize) -> Result<usize, ParkError> {
    let g = arch::current();
    // SAFETY: the current g is valid; its m and stack are while it runs.
    unsafe {
        let m = (*g).m_out.get();
        if m.is_null() {
            return Err(ParkError::NotATask);
        }
        if calls_below(m, g) {
            return Err(ParkError::BelowC);
        }
        let away = sanitizers::parking(m);
        let word = arch::park(word);
        away.goes_on(g);
        Ok(word)
    }
}

/// Why a task could not switch to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SwitchError {
    /// Not in a task.
    NotATask,
    /// C frames of this thread lie below the task: it is in a callback. Return from it first.
    BelowC,
    /// The other g is not parked: it runs somewhere, or has finished, or `g_init` has not seen it.
    NotParked,
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotATask => "not in a task: only a g that resume runs can switch",
            Self::BelowC => "in a callback: C frames lie below this task; return first",
            Self::NotParked => "the g is running, finished or not initialised: switch to parked ones only",
        })
    }
}

/// Parks the current task and runs `g` in its place, without going by the m's system stack. `word` is what the
/// [`park`] or `switch_to` of `g` returns, or what its function gets the first time. Returns the word with which this
/// task is resumed, or switched to, perhaps on another thread.
///
/// The [`resume`] that runs this task runs `g` from then on; [`resume_any`] says which of them comes back. When `g`
/// runs, this task is parked: who is to run it next is for `g` to say, since nobody else can know that it has been
/// left. A word that names it serves for that.
///
/// Runs on a managed stack. Not for signal handlers.
///
/// # Errors
/// [`SwitchError`]; nothing has changed then.
///
/// # Safety
/// `g` is valid, and no other thread resumes it at the same time.
#[inline]
pub unsafe fn switch_to(g: *mut G, word_in: usize) -> Result<usize, SwitchError> {
    let this = arch::current();
    // SAFETY: the current g is valid, its m and stack are while it runs; and so is `g`.
    unsafe {
        let m = (*this).m_out.get();
        if m.is_null() {
            return Err(SwitchError::NotATask);
        }
        if calls_below(m, this) {
            return Err(SwitchError::BelowC);
        }
        if !is(&*g, GState::Parked) {
            return Err(SwitchError::NotParked);
        }
        (*g).state = word(GState::Running as usize);
        let away = sanitizers::switching(g, || has_begun(g));
        let word = arch::switch_to(g, word_in);
        away.goes_on(this);
        Ok(word)
    }
}

/// Ends the current task from wherever its code is: the [`resume`] that runs it returns [`Resumed::Finished`] with
/// `word`, as if the task's function had returned that. What lies on the stack is forgotten; no destructor runs.
///
/// Runs on a managed stack. Not for signal handlers. Go: `goexit0`.
///
/// # Errors
/// [`ParkError`]; nothing has changed then.
///
/// # Safety
/// Nobody uses what the task's frames hold, by an address that they have given out.
#[inline]
pub unsafe fn finish(word_out: usize) -> Result<Infallible, ParkError> {
    let g = arch::current();
    // SAFETY: the current g is valid; its m and stack are while it runs.
    unsafe {
        let m = (*g).m_out.get();
        if m.is_null() {
            return Err(ParkError::NotATask);
        }
        if calls_below(m, g) {
            return Err(ParkError::BelowC);
        }
        (*g).state = word(GState::Finished as usize);
        // `resume` refuses it from here on.
        let _over = sanitizers::parking(m);
        loop {
            arch::park(word_out);
        }
    }
}

/// Whether C frames of `m` lie below what `g` runs now: whether it is in a callback.
///
/// # Safety
/// `g` runs on `m`.
unsafe fn calls_below(m: *const M, g: *const G) -> bool {
    // SAFETY: by the caller; `resume` wrote `parent`.
    unsafe { (*base_frame(g)).parent.get().addr() != value((*m).g0.sched.sp) }
}

/// The upper end of the stack of the g that runs, or is in C, on this thread; 0 when there is none.
///
/// For C that keeps the distance of its argument block from it: a callback may have moved the stack.
///
/// Runs on any stack; safe in a signal handler. Go: `_cgo_topofstack`.
pub fn topofstack() -> usize {
    let Some(m) = current_m() else { return 0 };
    // SAFETY: this thread's m is valid, and so is its curg.
    unsafe {
        let g = (*m).curg.get();
        if g.is_null() { 0 } else { value((*g).stack.top) }
    }
}

/// The calls into C that are under way on `m`, innermost first, each with the callback that came through it.
pub(crate) struct Calls {
    /// `g0.sched.sp` as it was at the next call.
    g0_sp: usize,
    /// `g0.sched.sp` where `resume` left it: no call lies above.
    base: usize,
}

impl Calls {
    /// The calls of the g that is in C on `m`, or runs a callback there.
    ///
    /// # Safety
    /// This thread is `m`, or `m` stands still.
    pub(crate) unsafe fn of(m: *const M, g: *const G) -> Self {
        // SAFETY: by the caller.
        unsafe { Self { g0_sp: value((*m).g0.sched.sp), base: (*base_frame(g)).parent.get().addr() } }
    }
}

impl Iterator for Calls {
    /// The callback that is under way through the call below it, and that call.
    type Item = (*mut CallbackFrame, *mut AsmcgocallFrame);

    fn next(&mut self) -> Option<Self::Item> {
        if self.g0_sp == self.base || self.g0_sp == 0 {
            return None;
        }
        let callback: *mut CallbackFrame = core::ptr::with_exposed_provenance_mut(self.g0_sp);
        // SAFETY: g0.sched.sp is the address of the innermost callback's frame while one runs.
        self.g0_sp = unsafe { value((*callback).g0_sp) };
        Some((callback, call_below(self.g0_sp)))
    }
}

/// The call into C whose frame lies directly below `g0_sp`.
pub(crate) fn call_below(g0_sp: usize) -> *mut AsmcgocallFrame {
    core::ptr::with_exposed_provenance_mut(g0_sp - size_of::<AsmcgocallFrame>())
}

/// Tells stackgate that the stack of `g` has been copied, top to top, to the one from `limit` up to `top`.
///
/// Rewrites every word of stackgate's own that is an address of the old stack:
///
/// * `G.stack`, `G.sched` of a g that does not run, and in its `SwitchFrame`, and the `Crosscall2Frame` of
///   `stackgate_park` and `mcall`, the registers that can define a CFA;
/// * `G.catch`, and in each `CatchFrame` the next one, where the thrown word goes, and the registers that can
///   define a CFA;
/// * in each `AsmcgocallFrame` of this g, the managed SP and the registers that can define a CFA;
/// * in each `CallbackEntry`, the link of the frame record.
///
/// What managed code keeps in its own frames, its frame records included, is the embedder's affair, before
/// or after this call.
///
/// Runs on a system stack: the g is parked, `mcall` has left it, or it is in C on this thread. Not for signal
/// handlers. Go: what `copystack` does to `sched`.
///
/// # Errors
/// [`StackError`]; nothing has changed then.
///
/// # Safety
/// The live part of the old stack has been copied so that it ends at `top`. `g` is parked, or left by this
/// thread's `mcall`, or is this thread's curg and in C.
pub unsafe fn stack_moved(g: *mut G, limit: *mut u8, top: *mut u8) -> Result<(), StackError> {
    if g.is_null() || !g.is_aligned() {
        return Err(StackError::BadAddress);
    }
    let (low, high) = (limit.expose_provenance(), top.expose_provenance());
    if high < low {
        return Err(StackError::Inverted);
    }
    if low % STACK_ALIGN != 0 || high % STACK_ALIGN != 0 {
        return Err(StackError::Misaligned);
    }
    if high - low < MIN_STACK {
        return Err(StackError::TooSmall);
    }
    // SAFETY: by the caller. Frames on g0 stand still; those on curg are read and written in the copy.
    unsafe {
        let old = (*g).stack;
        let (old_low, old_high) = (value(old.limit), value(old.top));
        let moved = |address: usize| {
            if (old_low..=old_high).contains(&address) {
                address.wrapping_add(high.wrapping_sub(old_high))
            } else {
                address
            }
        };
        (*g).stack = Stack { limit: word(low), top: word(high) };
        sanitizers::moved((old_low, old_high), (low, high));

        let mut catch = moved((*g).catch.get().addr());
        (*g).catch = Ptr::new(core::ptr::with_exposed_provenance_mut(catch));
        while catch != 0 {
            let frame: *mut arch::CatchFrame = core::ptr::with_exposed_provenance_mut(catch);
            catch = moved((*frame).previous.get().addr());
            (*frame).previous = Ptr::new(core::ptr::with_exposed_provenance_mut(catch));
            let thrown = moved((*frame).thrown.get().addr());
            (*frame).thrown = Ptr::new(core::ptr::with_exposed_provenance_mut(thrown));
            arch::catch_moved(&mut *frame, moved);
        }

        let m = (*g).m_out.get();
        if m.is_null() {
            // It is parked, or `mcall` has left it.
            if is(&*g, GState::Parked) || is(&*g, GState::Running) {
                arch::gobuf_moved(&mut (*g).sched, moved);
                if let Some(kept) = crate::traceback::kept_for_caller(&*g) {
                    arch::kept_moved(&mut *kept, moved);
                }
            }
            return Ok(());
        }
        // The call that is under way now, then those below each callback, each with its callback's entry.
        arch::call_moved(&mut *call_below(value((*m).g0.sched.sp)), moved);
        for (_, call) in Calls::of(m, g) {
            arch::call_moved(&mut *call, moved);
            arch::entry_moved(&mut *arch::entry_below(&*call), moved);
        }
    }
    Ok(())
}

const _: () = {
    use core::mem::offset_of;
    // An m's address is its g0's: the crossings count on it.
    assert!(offset_of!(arch::M<Native>, g0) == 0);
};

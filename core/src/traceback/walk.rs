//! The logical chain: managed frames, with C's between them.

use super::cpu::{CFA_ABOVE_SP, Frame, RECORD_ENDS_FRAME, RECORD_IS_SP, sched_sp};
use super::stack::{Memory, WORD};
use super::{cpu, records, set, symbols, tables};
use crate::task::{call_below, current_g, current_m, has_begun, is, value};
use crate::{G, Interrupted, M};
use core::ffi::c_void;
use core::fmt;
use core::iter::FusedIterator;
use core::mem::offset_of;
use core::ptr::{null, null_mut, with_exposed_provenance, with_exposed_provenance_mut};
use stackgate_arch::unwind::{Crossing, Registers, crossing_at, in_crossing};
use stackgate_arch::{
    self as arch, AsmcgocallFrame, BaseFrame, CallbackEntry, CallbackFrame, CatchFrame, Crosscall2Frame,
    ENTRY_RECORD, GState, SwitchFrame,
};

/// How many PCs of C one boundary has at most; what lies beyond is cut off, and the last one says so.
pub const MAX_C_FRAMES: usize = 32;

/// How many PCs a trace has at most.
pub const MAX_FRAMES: usize = 1 << 16;

/// One frame of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pc {
    /// The address at which the frame goes on, or at which it was interrupted; for a C frame, what the
    /// traceback function said.
    pub pc: usize,
    /// Managed code, not C.
    pub managed: bool,
    /// The frame was interrupted at this very instruction. Otherwise `pc` is a return address, and the call
    /// that is under way is the instruction before.
    pub exact: bool,
    /// The last C frame of a boundary whose buffer is full: there may be more that nobody saw.
    pub cut: bool,
}

impl Pc {
    /// A frame of managed code that goes on at the return address `pc`.
    pub const fn managed(pc: usize) -> Self {
        Self { pc, managed: true, exact: false, cut: false }
    }
    /// A frame of C.
    pub const fn c(pc: usize) -> Self {
        Self { pc, managed: false, exact: false, cut: false }
    }
    /// A frame that was interrupted at `pc`, of C as long as nobody says otherwise.
    pub const fn interrupted(pc: usize) -> Self {
        Self { pc, managed: false, exact: true, cut: false }
    }
    /// An address inside the instruction that is under way, for looking up names and lines.
    pub const fn lookup(&self) -> usize {
        if self.exact { self.pc } else { cpu::before(self.pc) }
    }
    /// The PC as one that a call returns to: behind the instruction that is under way, or in it. What a symbolizer
    /// gets, which is told of no `exact`: an address before it is looked up.
    pub const fn as_return_address(&self) -> usize {
        if self.exact { cpu::behind(self.pc) } else { self.pc }
    }
}

/// Why a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The outermost frame has been reached.
    End,
    /// Something lies outside its stack, or is not aligned, or two halves of a crossing do not match: the
    /// stack is damaged, or this code does not keep what the walker follows.
    BadMemory,
    /// A frame does not lie above the one that it called.
    Loop,
    /// There are more than [`MAX_FRAMES`].
    Bound,
    /// The frame records end before the stack does: some code below keeps none.
    NoRecord,
    /// No registered table knows this code.
    NoTable,
    /// The table for this code says something that nobody can follow here.
    BadTable,
    /// The bounds of the stack are not known.
    NoBounds,
    /// There is no task to trace: the thread is not an m, or the g has never run or has finished.
    NoTask,
    /// The g is running, so that only its own thread can trace it.
    Running,
}

impl Stop {
    /// The reason's name, as the variant is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::End => "End",
            Self::BadMemory => "BadMemory",
            Self::Loop => "Loop",
            Self::Bound => "Bound",
            Self::NoRecord => "NoRecord",
            Self::NoTable => "NoTable",
            Self::BadTable => "BadTable",
            Self::NoBounds => "NoBounds",
            Self::NoTask => "NoTask",
            Self::Running => "Running",
        }
    }

    /// The reason in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::End => "the outermost frame",
            Self::BadMemory => "a damaged stack, or code that keeps no frame records",
            Self::Loop => "a frame below the one that it called",
            Self::Bound => "too many frames",
            Self::NoRecord => "code that keeps no frame records",
            Self::NoTable => "code that no registered table knows",
            Self::BadTable => "code whose table cannot be followed",
            Self::NoBounds => "a stack with unknown bounds",
            Self::NoTask => "no task to trace",
            Self::Running => "the task is running",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What a trace follows from frame to frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Walker {
    /// Frame records alone.
    Records,
    /// Registered tables alone.
    Tables,
    /// Tables where one knows the PC, records elsewhere.
    #[default]
    Auto,
}

/// How far below its limit SP may be of a stack that has just overflowed: a frame is no larger than that, since
/// compilers touch each page of one that is.
const OVERFLOW: usize = 1 << 16;

/// Whether `sp` is where a stack with the limit `limit` overflows to.
fn is_below(sp: usize, limit: usize) -> bool {
    sp < limit && limit - sp <= OVERFLOW
}

/// How far below the frame of the trampoline what its callee has published lies at most.
const CALLEES_FRAME: usize = 1 << 12;

/// The `ucontext_t` that the trampoline has been called with, which was interrupted with `registers`.
fn handlers_ucontext(registers: &Registers) -> Option<*mut c_void> {
    /// More than there is between SP and the CFA, and less than the kernel puts there for a handler.
    const NEAR: usize = 256;
    let ucontext = registers.ucontext_of_handler(|above_cfa| {
        let near = Memory::new(registers.sp(), registers.sp().wrapping_add(NEAR));
        let caller = tables::step_interrupted(registers, &[near]).ok()?;
        near.read(caller.sp.wrapping_add(above_cfa))
    })?;
    // The kernel puts it above the handler's frame.
    (ucontext > registers.sp()).then(|| with_exposed_provenance_mut(ucontext))
}

/// What the next call of `next` begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The frame at hand has been given out: go to its caller, by records.
    Records,
    /// The same, by tables.
    Tables,
    /// The same, to the caller that `first` has.
    First,
    /// The frame at hand is a new one.
    Arrived,
    /// C's PCs, then the managed caller below.
    C,
    /// What `ucontext` says was interrupted.
    Interrupted,
    /// Nothing.
    Done,
}

/// A walk over the frames of one chain, innermost first: an iterator over [`Pc`].
///
/// Allocates nothing, takes no lock, and yields at most [`MAX_FRAMES`] frames. After the last one
/// [`stop`](Self::stop) says why it was the last.
///
/// Runs on any stack. Safe in a signal handler if the user's traceback function is. Uses about
/// 2 KiB of the system stack when a table is read that the cache does not hold.
#[derive(Debug)]
pub struct Traceback {
    frame: Frame,
    /// The part of the current stack that may be read.
    memory: Memory,
    phase: Phase,
    walker: Walker,
    /// The frame at hand was interrupted where it is.
    exact: bool,
    /// This is the system stack or a signal stack; its frames lie below `memory.high`.
    system: bool,
    /// The address of curg's BaseFrame.
    base: usize,
    /// Whose frames these are; null for a thread that runs none.
    g: *const G,
    /// Null for a parked g.
    m: *const M,
    /// The innermost callback that has not been passed: its CallbackFrame; then the end of the last call.
    g0_sp: usize,
    /// What `g0_sp` is when there is no callback.
    g0_base: usize,
    /// The g that was current where the walked code stood; null if nobody knows it.
    as_g: *const G,
    /// What the handler has interrupted whose frames come next; null if no handler's do.
    signal: *const Interrupted,
    /// Of the handler whose frames have ended.
    ucontext: *mut c_void,
    left: u32,
    stop: Option<Stop>,
    /// C's frames are not asked for: they would not be shown.
    silent: bool,
    /// The caller of the interrupted frame, for which every register was known.
    first: Option<Result<Frame, Stop>>,
    c_at: u8,
    c_len: u8,
    c: [usize; MAX_C_FRAMES],
}

impl Traceback {
    /// The chain that led here: the function that calls this comes first.
    ///
    /// Runs on any stack, g0 and gsignal included; safe in a signal handler, where what was interrupted follows the
    /// handler if that came through [`sigtramp`](arch::sigtramp). Go: `callers`.
    #[inline(always)]
    pub fn current() -> Self {
        Self::current_by(Walker::Auto)
    }

    /// As [`current`](Self::current), by one walker.
    #[inline(always)]
    pub fn current_by(walker: Walker) -> Self {
        let mut registers = Registers::default();
        // SAFETY: `registers` is ours. This is inlined: what is captured is the caller's.
        unsafe { arch::capture(&raw mut registers) };
        Self::from_captured(walker, &registers)
    }

    /// The chain of a g that is not running. Of one that has never run, or has finished, it is empty.
    ///
    /// Runs on any stack; safe in a signal handler.
    ///
    /// # Safety
    /// `g` is valid and stays parked, or left by `mcall`, and its stack mapped, while the trace is taken.
    pub unsafe fn of(g: *const G) -> Self {
        // SAFETY: by the caller.
        unsafe { Self::of_by(Walker::Auto, g) }
    }

    /// As [`of`](Self::of), by one walker.
    ///
    /// # Safety
    /// As [`of`](Self::of).
    pub unsafe fn of_by(walker: Walker, g: *const G) -> Self {
        let mut trace = Self::empty(walker);
        // SAFETY: by the caller.
        unsafe {
            let begun = is(&*g, GState::Running);
            // `mcall` leaves the state as it is, and takes the m.
            let left = begun && (*g).m_out.get().is_null();
            if !left && !is(&*g, GState::Parked) {
                return trace.ended(if begun { Stop::Running } else { Stop::NoTask });
            }
            trace.enter_g(g);
            let sched = &(*g).sched;
            if !has_begun(g) {
                return trace.ended(Stop::NoTask);
            }
            match cpu::parked(sched_sp(sched), &trace.memory) {
                Some(frame) => trace.arrive(frame),
                None => return trace.ended(Stop::BadMemory),
            }
        }
        trace
    }

    /// The chain of what a signal interrupted on this thread: at any instruction, on any stack.
    ///
    /// Where C was interrupted, the traceback function is asked for its frames with `sigcontext`; if there is
    /// none, the interrupted PC stands for them; on a thread without an m there are no others. A managed frame comes
    /// first with [`Pc::exact`]. On arm, whose tables say nothing of prologues, the caller of a function that was
    /// interrupted there may be left out.
    ///
    /// Runs on any stack; safe in a signal handler if the traceback function is.
    ///
    /// # Safety
    /// `ucontext` is the third argument of the handler that is running, installed with `SA_SIGINFO`.
    pub unsafe fn from_ucontext(ucontext: *mut c_void) -> Self {
        // SAFETY: by the caller.
        unsafe { Self::from_ucontext_by(Walker::Auto, ucontext) }
    }

    /// As [`from_ucontext`](Self::from_ucontext), by one walker. The crossings' own instructions are looked
    /// up in the tables nevertheless.
    ///
    /// # Safety
    /// As [`from_ucontext`](Self::from_ucontext).
    pub unsafe fn from_ucontext_by(walker: Walker, ucontext: *mut c_void) -> Self {
        // SAFETY: by the caller.
        let registers = unsafe { Registers::from_ucontext(ucontext) };
        let mut trace = Self::empty(walker);
        if !trace.begin() {
            // Nothing but C's runs here.
            trace.begin_in_c(ucontext, registers.pc());
            return trace;
        }
        // SAFETY: this thread's, in a frame that has not ended.
        let innermost = unsafe { trace.signal.as_ref() };
        if let Some(innermost) = innermost
            && innermost.ucontext.get().addr() == ucontext.addr()
        {
            trace.leave_handler(innermost);
        }
        trace.begin_interrupted(&registers, ucontext);
        trace
    }

    /// The chain of what was interrupted with these registers on this thread, or CPU: for handlers that get
    /// no `ucontext_t`, an interrupt's of a machine without an operating system for example. Every register
    /// that an unwinder keeps has to be there. The traceback function's `sigcontext` is `registers`; on a thread without
    /// an m all frames are C's.
    ///
    /// Runs on any stack; safe in a signal handler if the traceback function is.
    ///
    /// # Safety
    /// What was interrupted stands still, and these are its registers.
    pub unsafe fn from_registers(walker: Walker, registers: &Registers) -> Self {
        let mut trace = Self::empty(walker);
        let sigcontext = (&raw const *registers).cast_mut().cast();
        if !trace.begin() {
            trace.begin_in_c(sigcontext, registers.pc());
            return trace;
        }
        // The handler came by no trampoline of ours: which g it has interrupted, SP says.
        if trace.signal.is_null() && trace.in_handler() {
            trace.as_g = null();
        }
        trace.begin_interrupted(registers, sigcontext);
        trace
    }

    /// Why the trace ended; `None` while it has not.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    fn empty(walker: Walker) -> Self {
        Self {
            frame: Frame::default(),
            memory: Memory::NONE,
            phase: Phase::Arrived,
            walker,
            exact: false,
            system: false,
            base: usize::MAX,
            g: null(),
            m: null(),
            g0_sp: 0,
            g0_base: 0,
            as_g: null(),
            signal: null(),
            ucontext: null_mut(),
            left: MAX_FRAMES as u32,
            stop: None,
            silent: false,
            first: None,
            c_at: 0,
            c_len: 0,
            c: [0; MAX_C_FRAMES],
        }
    }

    #[doc(hidden)]
    #[inline(never)]
    pub fn from_captured(walker: Walker, registers: &Registers) -> Self {
        let mut trace = Self::empty(walker);
        let frame = Frame::from(registers);
        if !trace.begin() {
            return trace.ended(Stop::NoTask);
        }
        if !trace.on_curg(frame.sp) {
            if trace.in_handler() {
                trace.leave_curg();
            }
            // SAFETY: the m is this thread's.
            unsafe { trace.enter_system(frame.sp) };
        }
        trace.arrive(frame);
        trace
    }

    fn ended(mut self, stop: Stop) -> Self {
        self.end(stop);
        self
    }

    #[cold]
    fn end(&mut self, stop: Stop) {
        self.phase = Phase::Done;
        self.stop = Some(stop);
    }

    /// Takes a frame as the next one to give out.
    fn arrive(&mut self, frame: Frame) {
        self.frame = frame;
        self.memory.low = self.memory.low.max(frame.sp);
        self.phase = Phase::Arrived;
    }

    /// Reads this thread's m, if it is one.
    fn begin(&mut self) -> bool {
        let (Some(m), Some(g)) = (current_m(), current_g()) else { return false };
        self.m = m;
        self.as_g = g;
        // SAFETY: this thread's.
        self.signal = unsafe { (*m).interrupted.get() };
        self.enter_m();
        true
    }

    /// Reads which curg the m has, if any.
    fn enter_m(&mut self) {
        let m = self.m;
        // SAFETY: this thread's m is valid, and so is its curg. A crossing may have been interrupted between
        // two writes: each word is one or the other.
        unsafe {
            self.g0_sp = sched_sp(&(*m).g0.sched);
            let g = (*m).curg.get();
            if !g.is_null() {
                self.enter_curg(g);
            }
        }
    }

    /// What `interrupted` says comes next; the frames of its handler have ended, or are left out.
    fn leave_handler(&mut self, interrupted: &Interrupted) {
        self.ucontext = interrupted.ucontext.get().cast();
        self.as_g = interrupted.g.get();
        self.signal = interrupted.outer.get();
    }

    /// Whether the walked code is a handler's, or a handler has called it.
    fn in_handler(&self) -> bool {
        // SAFETY: a g that was current is valid.
        unsafe { self.as_g.as_ref() }.is_some_and(|g| is(g, GState::Gsignal))
    }

    /// Makes `g`, which this thread's m runs, the one whose frames these are.
    ///
    /// # Safety
    /// `g` is valid.
    unsafe fn enter_curg(&mut self, g: *const G) {
        // SAFETY: by the caller; every stack ends in a BaseFrame.
        unsafe {
            self.enter_g(g);
            // `stack_moved` has been interrupted between the two ends: neither stack is known.
            if self.memory.low == usize::MAX {
                return self.leave_curg();
            }
            let base = with_exposed_provenance::<BaseFrame>(self.base);
            self.g0_base = (*base).parent.get().addr();
        }
    }

    /// The m runs nothing: these are the system stack's frames, and no others.
    fn leave_curg(&mut self) {
        self.g = null();
        self.memory = Memory::NONE;
        self.base = usize::MAX;
        self.g0_base = 0;
    }

    /// Makes the stack of `g` the one that is walked.
    ///
    /// # Safety
    /// `g` is valid.
    unsafe fn enter_g(&mut self, g: *const G) {
        // SAFETY: by the caller.
        unsafe {
            self.g = g;
            self.memory = Memory::new(value((*g).stack.limit), value((*g).stack.top));
            self.base = self.memory.high.wrapping_sub(size_of::<BaseFrame>());
        }
    }

    /// Whether `sp` lies on curg's stack. Its lowest address counts: nothing is in use there.
    fn on_curg(&self, sp: usize) -> bool {
        !self.g.is_null() && self.memory.low <= sp && sp <= self.memory.high
    }

    /// Whether `sp` has left curg's stack at its lower end, where a guard is or nobody's memory: what ran there
    /// needed more than there is.
    fn overflowed(&self, sp: usize) -> bool {
        core::ptr::eq(self.as_g, self.g) && is_below(sp, self.memory.low)
    }

    /// Makes the system stack, or the signal stack, the one that is walked, from `sp` up to where curg went
    /// into C, if it did. One that has overflowed begins at its limit.
    ///
    /// # Safety
    /// `m` is this thread's.
    unsafe fn enter_system(&mut self, sp: usize) {
        self.system = true;
        self.base = usize::MAX;
        // SAFETY: by the caller.
        let stacks = unsafe { [&raw const (*self.m).g0, &raw const (*self.m).gsignal] };
        // Where one of the stacks is not known, SP may be on that.
        // SAFETY: both are fields of the m.
        let known = stacks.map(|g| unsafe { value((*g).stack.top) } != 0);
        let on_g0 = core::ptr::eq(self.as_g, stacks[0]);
        let overflowed = |i| known == [true, true] || i == 0 && known[0] && on_g0;
        self.memory = Memory::NONE;
        let mut nearest = usize::MAX;
        for (i, g) in stacks.into_iter().enumerate() {
            // SAFETY: both are fields of the m.
            let (low, high) = unsafe { (value((*g).stack.limit), value((*g).stack.top)) };
            let below = match sp {
                _ if low <= sp && sp < high => 0,
                _ if overflowed(i) && is_below(sp, low) => low - sp,
                _ => continue,
            };
            if below < nearest {
                nearest = below;
                let in_call = i == 0 && !self.g.is_null();
                self.memory = Memory::new(sp.max(low), if in_call { self.g0_sp } else { high });
                self.base =
                    if in_call { self.g0_sp.wrapping_sub(size_of::<AsmcgocallFrame>()) } else { usize::MAX };
            }
        }
    }

    /// A signal has interrupted this thread with `registers`.
    #[cold]
    fn begin_interrupted(&mut self, registers: &Registers, ucontext: *mut c_void) {
        let frame = Frame::from(registers);
        // A handler: what that has interrupted, its own ucontext says.
        if !self.on_curg(frame.sp) && self.in_handler() {
            self.leave_curg();
        }
        let overflowed = self.overflowed(frame.sp);
        if let Some(crossing) = crossing_at(frame.pc)
            && !overflowed
        {
            if crossing == Crossing::Sigtramp
                && let Some(ucontext) = handlers_ucontext(registers)
            {
                // Its handler has not begun, or has ended: nobody says what was current before.
                if self.in_handler() && self.signal.is_null() {
                    self.as_g = null();
                }
                self.ucontext = ucontext;
                self.phase = Phase::Interrupted;
                return;
            }
            self.settle(crossing, registers);
            return if self.on_curg(frame.sp) {
                self.begin_on_curg(crossing, registers);
            } else {
                self.begin_on_system(crossing, registers, ucontext);
            };
        }
        if !self.on_curg(frame.sp) && !overflowed {
            // Not on its stack, and not in C that it has called: a handler of C's has interrupted it, or the way
            // back from a handler was interrupted. Where it was itself nobody says.
            if !self.g.is_null() && core::ptr::eq(self.as_g, self.g) {
                self.leave_curg();
                return self.begin_in_c(ucontext, frame.pc);
            }
            // SAFETY: the m is this thread's.
            unsafe { self.enter_system(frame.sp) };
            if !self.g.is_null() && symbols::function_at(frame.pc).is_none() {
                return self.begin_in_c(ucontext, frame.pc);
            }
        }
        let memory = self.memory.from(frame.sp);
        self.exact = true;
        self.arrive(frame);
        // The first step needs every register, which nobody keeps: it is made now.
        if self.walker != Walker::Records {
            let caller = tables::step_interrupted(registers, &[memory]);
            self.first = Some(
                caller.and_then(|caller| if caller.sp < frame.sp { Err(Stop::Loop) } else { Ok(caller) }),
            );
        }
    }

    /// A handler has interrupted what `ucontext` says.
    #[cold]
    #[inline(never)]
    fn enter_interrupted(&mut self) {
        let ucontext = self.ucontext;
        if self.left == 0 {
            return self.end(Stop::Bound);
        }
        self.left -= 1;
        self.leave_curg();
        self.system = false;
        self.first = None;
        (self.c_at, self.c_len) = (0, 0);
        self.enter_m();
        // SAFETY: what a handler was called with.
        let registers = unsafe { Registers::from_ucontext(ucontext) };
        self.begin_interrupted(&registers, ucontext);
    }

    /// The frame at hand is the trampoline's: a handler's frames end here.
    fn end_handler(&mut self, frame: &Frame) {
        // SAFETY: this thread's, in a frame that has not ended.
        let interrupted = unsafe { self.signal.as_ref() };
        let here = if frame.sp != 0 { frame.sp } else { frame.record() };
        match interrupted {
            // One that lies elsewhere belongs to a handler that was interrupted: this one's is not there yet, or
            // no longer.
            Some(interrupted)
                if here.wrapping_sub((&raw const *interrupted).addr()) <= CALLEES_FRAME
                    && !interrupted.ucontext.get().is_null() =>
            {
                self.leave_handler(interrupted);
                self.phase = Phase::Interrupted;
            }
            _ => self.end(Stop::End),
        }
    }

    /// What `enter_m` has read may be ahead of SP, or behind it: `crossing` writes one word after the other,
    /// and the stack that SP is on decides.
    fn settle(&mut self, crossing: Crossing, registers: &Registers) {
        /// How far below the SwitchFrame `mcall` takes SP, at most: arguments of what it calls.
        const BELOW: usize = 256;
        let sp = registers.sp();
        match crossing {
            // The g that they run is curg before SP goes to its stack. Until then nobody has been left.
            Crossing::ResumeLight | Crossing::Gogo if !self.on_curg(sp) => self.leave_curg(),
            // The g that they leave is no longer curg when SP still is on its stack. From there SP goes to
            // the SwitchFrame that `g0.sched.sp` designates, and up over it.
            Crossing::ParkLight | Crossing::McallLight | Crossing::GStart if self.g.is_null() => {
                let above = sp.wrapping_sub(self.g0_sp.wrapping_sub(BELOW));
                let Some(g) = registers.left_g(crossing) else { return };
                if above > BELOW + size_of::<SwitchFrame>() && g != 0 && g.is_multiple_of(WORD) {
                    // SAFETY: at these instructions that register holds the g.
                    unsafe { self.enter_curg(with_exposed_provenance(g)) };
                    if !self.on_curg(sp) {
                        self.leave_curg();
                    }
                }
            }
            // The g that it runs is curg before SP goes to its stack.
            Crossing::SwitchLight if !self.on_curg(sp) => {
                let Some(g) = registers.left_g(crossing) else { return };
                // SAFETY: at these instructions that register holds the g that it leaves.
                unsafe { self.enter_curg(with_exposed_provenance(g)) };
            }
            _ => {}
        }
    }

    /// `crossing` was interrupted while SP was on curg's stack.
    fn begin_on_curg(&mut self, crossing: Crossing, registers: &Registers) {
        let (pc, sp) = (registers.pc(), registers.sp());
        let memory = self.memory.from(sp);
        match crossing {
            // SP is at the BaseFrame: above lies no frame, below no longer or not yet.
            Crossing::GStart => return self.end(Stop::End),
            // The frame has been published before SP came here. When it has been taken back SP is here still,
            // and only the entry designates it.
            Crossing::Cgocallback => {
                let back = pc >= (&raw const arch::callback_return).addr();
                let entry = sp.wrapping_add(offset_of!(CallbackEntry, callback));
                let callback = if back { memory.read(entry) } else { Some(self.g0_sp) };
                return match callback {
                    Some(callback) if self.may_be_callback(callback) => self.enter_callback(callback),
                    _ => self.end(Stop::BadMemory),
                };
            }
            // Once `g0.sched.sp` is back the callbacks between are gone: the throw has happened, though SP is
            // on the thrower's frame still.
            Crossing::ThrowTo => {
                if let Some(caller) = self.thrown(registers, &memory) {
                    return self.arrive(caller);
                }
            }
            // Of all the others one step by the tables leads to the caller, wherever they are.
            _ => {}
        }
        // On the way back from C the frame below `g0.sched.sp` still has a register; on the way to a g that
        // goes on, its `sched` still has the PC.
        let call = Memory::new(self.g0_sp.wrapping_sub(size_of::<AsmcgocallFrame>()), self.g0_sp);
        let g = Memory::new(self.g.addr(), self.g.addr() + size_of::<G>());
        match tables::step_interrupted(registers, &[memory, call, g]) {
            Ok(caller) => self.arrive_on_curg(caller),
            Err(stop) => self.end(stop),
        }
    }

    /// `crossing` was interrupted while SP was on the system stack, or on a signal stack.
    fn begin_on_system(&mut self, crossing: Crossing, registers: &Registers, ucontext: *mut c_void) {
        let sp = registers.sp();
        let (curg, base) = (self.memory, self.base);
        // SAFETY: the m is this thread's.
        unsafe { self.enter_system(sp) };
        let in_call = !self.g.is_null();
        let inbound = match crossing {
            // Published, and SP is about to leave it.
            Crossing::Cgocallback if in_call && sp == self.g0_sp && sp != self.g0_base => {
                self.back_on_curg(curg, base);
                return self.enter_callback(sp);
            }
            Crossing::Cgocallback
            | Crossing::Crosscall2
            | Crossing::Crosscall2Panic
            | Crossing::Crosscall1 => true,
            #[cfg(target_arch = "x86_64")]
            Crossing::Crosscall2Win64 => true,
            _ => false,
        };
        // C has called these: they are C's, until the callback is there.
        if in_call && inbound {
            return self.begin_in_c(ucontext, 0);
        }
        // The bounds of the system stack may not be known. From SP up to `g0.sched.sp`, and the frame there,
        // is its part in any case, with what `resume_full` keeps above it.
        const KEPT: usize = size_of::<SwitchFrame>() + size_of::<Crosscall2Frame>() + CFA_ABOVE_SP;
        let high = self.g0_sp.wrapping_add(KEPT);
        let near = if self.g0_sp != 0 && high.wrapping_sub(sp) < 4096 {
            Memory::new(sp, high)
        } else {
            Memory::NONE
        };
        match tables::step_interrupted(registers, &[self.memory, near, curg]) {
            // `asmcgocall` and its like, on the way to C or back.
            Ok(caller) if in_call && curg.low <= caller.sp && caller.sp <= curg.high => {
                self.back_on_curg(curg, base);
                self.arrive_on_curg(caller);
            }
            // The same, called by C, which stays where it is.
            Ok(caller) if in_call && symbols::function_at(cpu::before(caller.pc)).is_none() => {
                self.begin_in_c(ucontext, 0);
            }
            Ok(caller) => self.arrive(caller),
            Err(_) if in_call => self.enter_call(),
            Err(_) if self.memory.low == usize::MAX => self.end(Stop::NoBounds),
            Err(stop) => self.end(stop),
        }
    }

    /// C was interrupted: its frames come first, or `instead` of them, then the managed caller. 0 is nothing.
    fn begin_in_c(&mut self, ucontext: *mut c_void, instead: usize) {
        self.c_len = if self.silent { 0 } else { set::c_frames(0, ucontext, &mut self.c) as u8 };
        if self.c_len == 0 && instead != 0 {
            self.c[0] = instead;
            self.c_len = 1;
        }
        self.phase = Phase::C;
    }

    /// Takes the caller of an interrupted crossing, which lies on curg's stack.
    fn arrive_on_curg(&mut self, caller: Frame) {
        if caller.sp >= self.base {
            self.end(Stop::End);
        } else if caller.sp < self.memory.low {
            self.end(Stop::BadMemory);
        } else {
            self.arrive(caller);
        }
    }

    /// Where `throw_to` goes, from when the m says so until SP is there. `memory` begins at SP.
    fn thrown(&self, registers: &Registers, memory: &Memory) -> Option<Frame> {
        let catch = registers.thrown_to().filter(|&catch| catch > registers.sp())?;
        let g0_sp = memory.read(catch.wrapping_add(offset_of!(CatchFrame, g0_sp)))?;
        if g0_sp == self.g0_sp { cpu::caught(catch, memory) } else { None }
    }

    /// Whether the word `callback`, from a managed stack, can be the address of a callback's frame.
    fn may_be_callback(&self, callback: usize) -> bool {
        if callback == self.g0_sp {
            return true;
        }
        // SAFETY: the m is this thread's.
        let (low, high) = unsafe { (value((*self.m).g0.stack.limit), value((*self.m).g0.stack.top)) };
        // Taken back already: `g0.sched.sp` is what it was before.
        let bounded =
            high == 0 || low <= callback && callback <= high.wrapping_sub(size_of::<CallbackFrame>());
        callback.is_multiple_of(WORD) && callback < self.g0_sp && bounded
    }

    fn back_on_curg(&mut self, memory: Memory, base: usize) {
        self.memory = memory;
        self.base = base;
        self.system = false;
    }

    /// Goes to the caller of the frame at hand.
    fn step(&mut self) -> Result<Frame, Stop> {
        match self.walker {
            Walker::Records => records::step(&self.frame, &mut self.memory),
            Walker::Tables => tables::step(&self.frame, &mut self.memory),
            Walker::Auto => match tables::step(&self.frame, &mut self.memory) {
                // No table, or one that needs an SP that records have lost.
                Err(Stop::NoTable) => records::step(&self.frame, &mut self.memory),
                step => step,
            },
        }
    }

    /// Whether `frame` is none to give out: a crossing's, or the end.
    #[inline(always)]
    fn is_special(&self, frame: &Frame) -> bool {
        in_crossing(cpu::before(frame.pc)) || self.is_past_base(frame)
    }

    #[inline(always)]
    fn is_past_base(&self, frame: &Frame) -> bool {
        frame.sp >= self.base || !RECORD_ENDS_FRAME && !RECORD_IS_SP && self.is_past_base_by_record(frame)
    }

    /// Where SP is not known: the crossing at the end of this stack has the record in its frame there.
    fn is_past_base_by_record(&self, frame: &Frame) -> bool {
        let within = self.base <= frame.fp && frame.fp < self.memory.high;
        frame.sp == 0 && within && frame.fp.is_multiple_of(WORD)
    }

    /// Judges the frame at hand: whether it is one to give out. If not, it says how to go on.
    fn meet(&mut self) -> bool {
        let frame = self.frame;
        if self.is_past_base(&frame) {
            if self.system {
                self.enter_call();
            } else {
                self.end(Stop::End);
            }
            return false;
        }
        match crossing_at(cpu::before(frame.pc)) {
            None => return true,
            // The entry trampoline has no record, or the one in the BaseFrame.
            Some(Crossing::GStart) => self.end(Stop::End),
            Some(Crossing::Sigtramp) => self.end_handler(&frame),
            // Where C called back.
            Some(Crossing::Cgocallback) if !self.system => self.enter_entry(&frame),
            // Any other has a frame like every function, and is not shown.
            Some(_) => {}
        }
        false
    }

    /// What `next` does for everything but a managed frame below another.
    #[cold]
    #[inline(never)]
    fn next_slowly(&mut self) -> Option<Pc> {
        loop {
            match self.phase {
                Phase::Arrived => {
                    self.phase = self.stepping();
                    if self.exact || self.meet() {
                        return self.give();
                    }
                }
                Phase::Records | Phase::Tables | Phase::First => {
                    let step = if self.phase == Phase::First { self.first_step() } else { self.step() };
                    match step {
                        Ok(frame) => {
                            self.frame = frame;
                            if self.meet() {
                                return self.give();
                            }
                        }
                        // What the system stack holds besides is C's; curg's frames are known all the same.
                        Err(_) if self.system && !self.g.is_null() => self.enter_call(),
                        Err(Stop::NoRecord) if self.system && self.frame.record() == 0 => self.end(Stop::End),
                        Err(_) if self.memory.low == usize::MAX => self.end(Stop::NoBounds),
                        Err(stop) => self.end(stop),
                    }
                }
                Phase::C => {
                    let (at, len) = (usize::from(self.c_at), usize::from(self.c_len));
                    if let Some(&pc) = self.c[..len.min(MAX_C_FRAMES)].get(at) {
                        self.c_at += 1;
                        return self.give_c(pc, at + 1 == MAX_C_FRAMES);
                    }
                    self.enter_call();
                }
                Phase::Interrupted => self.enter_interrupted(),
                Phase::Done => return None,
            }
        }
    }

    /// How to go on from the frame at hand.
    fn stepping(&self) -> Phase {
        if self.first.is_some() {
            Phase::First
        } else if self.walker == Walker::Records {
            Phase::Records
        } else {
            Phase::Tables
        }
    }

    fn first_step(&mut self) -> Result<Frame, Stop> {
        let first = self.first.take();
        self.phase = self.stepping();
        match first {
            Some(Ok(frame)) => {
                self.memory.low = self.memory.low.max(frame.sp);
                Ok(frame)
            }
            Some(Err(stop)) if stop != Stop::NoTable || self.walker != Walker::Auto => Err(stop),
            _ => self.step(),
        }
    }

    fn give(&mut self) -> Option<Pc> {
        if self.left == 0 {
            self.end(Stop::Bound);
            return None;
        }
        self.left -= 1;
        let exact = core::mem::take(&mut self.exact);
        Some(Pc { exact, ..Pc::managed(self.frame.pc) })
    }

    fn give_c(&mut self, pc: usize, cut: bool) -> Option<Pc> {
        if self.left == 0 {
            self.end(Stop::Bound);
            return None;
        }
        self.left -= 1;
        Some(Pc { pc, managed: false, exact: false, cut })
    }

    /// The frame at hand would be `cgocallback`: a callback was made here. `frame` is its `CallbackEntry`.
    fn enter_entry(&mut self, frame: &Frame) {
        let entry = match self.walker {
            Walker::Records => frame.record().wrapping_sub(ENTRY_RECORD),
            _ if frame.sp == 0 => frame.record().wrapping_sub(ENTRY_RECORD),
            _ => frame.sp,
        };
        match self.memory.read(entry.wrapping_add(offset_of!(CallbackEntry, callback))) {
            // Only the m is trusted to know where its frames on the system stack are.
            Some(callback) if callback == self.g0_sp => self.enter_callback(callback),
            _ => self.end(Stop::BadMemory),
        }
    }

    /// Takes the C frames of the callback at `callback`, which the m designates.
    fn enter_callback(&mut self, callback: usize) {
        if self.m.is_null() || callback == 0 || !callback.is_multiple_of(WORD) {
            return self.end(Stop::BadMemory);
        }
        let frame = with_exposed_provenance::<CallbackFrame>(callback);
        // SAFETY: the m says that a callback's frame is there.
        let (g, ctxt, g0_sp) = unsafe { ((*frame).g.get(), value((*frame).ctxt), value((*frame).g0_sp)) };
        if !core::ptr::eq(g, self.g) {
            return self.end(Stop::BadMemory);
        }
        self.g0_sp = g0_sp;
        self.c_at = 0;
        self.c_len = 0;
        if ctxt != 0 && !self.silent {
            self.c_len = set::c_frames(ctxt, null_mut(), &mut self.c) as u8;
        }
        self.phase = Phase::C;
    }

    /// Goes on in the managed caller of the call into C whose frame ends at `g0_sp`.
    fn enter_call(&mut self) {
        if self.m.is_null() || self.g.is_null() {
            return self.end(Stop::End);
        }
        let call = call_below(self.g0_sp);
        // SAFETY: the m is this thread's; only the address of its field is taken.
        if core::ptr::eq(call, unsafe { &raw const (*self.m).root }) {
            // A thread that C made: its task begins with the callback.
            return self.end(Stop::End);
        }
        if !self.g0_sp.is_multiple_of(WORD) || self.g0_sp <= size_of::<AsmcgocallFrame>() {
            return self.end(Stop::BadMemory);
        }
        // SAFETY: while curg is in C, and below each callback, such a frame lies there.
        let (g, sp) = unsafe { ((*call).g.get(), value((*call).sp)) };
        if !core::ptr::eq(g, self.g) {
            return self.end(Stop::BadMemory);
        }
        // SAFETY: `g` is this thread's curg.
        let (limit, top) = unsafe { (value((*g).stack.limit), value((*g).stack.top)) };
        let base = top.wrapping_sub(size_of::<BaseFrame>());
        if sp < limit || sp > base || !sp.is_multiple_of(WORD) {
            return self.end(Stop::BadMemory);
        }
        // SAFETY: that word is an address of its stack, below the BaseFrame.
        let frame = unsafe { cpu::caller_of_call(call) };
        if !self.system && frame.sp < self.memory.low {
            return self.end(Stop::Loop);
        }
        self.back_on_curg(Memory::new(frame.sp, top), base);
        self.arrive(frame);
    }
}

impl Iterator for Traceback {
    type Item = Pc;

    #[inline]
    fn next(&mut self) -> Option<Pc> {
        // A managed frame below another, by what is known already: this is where the time goes. Whatever is
        // odd about a frame is looked at anew, and named, by `next_slowly`.
        // Each kind by itself: what a step by tables moves more costs a step by records nothing.
        if self.left != 0 {
            if self.phase == Phase::Records {
                if let Some((frame, low)) = records::follow(&self.frame, &self.memory)
                    && !self.is_special(&frame)
                {
                    // No walk by records looks at the other registers.
                    return Some(self.advance(Frame { more: self.frame.more, ..frame }, low));
                }
            } else if self.phase == Phase::Tables
                && let Some(frame) = tables::cached(&self.frame, &self.memory)
                && !self.is_special(&frame)
            {
                return Some(self.advance(frame, frame.sp));
            }
        }
        self.next_slowly()
    }
}

impl FusedIterator for Traceback {}

/// Fills `pcs` with the chain that led here, and returns how many there are: the function that calls this
/// comes first, unless `skip` managed frames are to be left out.
///
/// `skip` counts managed frames only. The C frames of a boundary are left out if a managed frame beyond it is
/// to be skipped still; those beyond the last skipped frame are there.
///
/// A bare PC does not say whether it is C's: [`callers_pcs`] does.
///
/// Runs on any stack; safe in a signal handler if the traceback function is. Go: `runtime.Callers`, whose
/// `skip` 1 is our 0 because its own frame counts.
#[inline(always)]
pub fn callers(skip: usize, pcs: &mut [usize]) -> usize {
    fill(Traceback::current(), skip, pcs, |pc| pc.pc)
}

/// As [`callers`], and each PC says what it is.
#[inline(always)]
pub fn callers_pcs(skip: usize, pcs: &mut [Pc]) -> usize {
    fill(Traceback::current(), skip, pcs, |pc| pc)
}

impl Traceback {
    /// Goes on to `frame`, managed code, below which nothing of its callers lies from `low` on.
    #[inline(always)]
    fn advance(&mut self, frame: Frame, low: usize) -> Pc {
        self.left -= 1;
        self.memory.low = low;
        self.frame = frame;
        Pc::managed(frame.pc)
    }

    /// Leaves out the next `frames` managed frames, and every C frame before the last of them.
    ///
    /// The traceback function is not asked for what is left out.
    pub fn skip_managed(&mut self, frames: usize) {
        for _ in 0..frames {
            self.silent = true;
            for pc in self.by_ref() {
                if pc.managed {
                    break;
                }
            }
        }
        self.silent = false;
    }
}

#[doc(hidden)]
#[inline(never)]
pub fn fill<T>(mut trace: Traceback, skip: usize, pcs: &mut [T], of: impl Fn(Pc) -> T) -> usize {
    trace.skip_managed(skip);
    let mut count = 0;
    for place in pcs {
        let Some(pc) = trace.next() else { break };
        *place = of(pc);
        count += 1;
    }
    count
}

//! What assembly touches outside the frames: a task (`G`), a thread (`M`) and the bounds of a stack.
//!
//! They are generic in the CPU and written once. The embedder owns the memory of both: `G` is the first
//! field of its own task structure, `M` of its own thread structure. Nothing here allocates or moves them,
//! and others hold their addresses, so neither is `Copy`.

use crate::frame::{Layout, Ptr, Register, Word};
use crate::{CallbackFn, Native};
use core::ffi::{c_int, c_void};
use core::fmt::Debug;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicPtr;

/// A CPU whose layouts are described here.
pub trait Cpu: Copy + Default + Debug + 'static {
    /// The name that targets, documentation and tests use.
    const NAME: &'static str;
    /// The registers that frames and rules name.
    const REGISTERS: &'static [Register];
    /// Every structure and frame of this CPU, in the order in which they are documented.
    const LAYOUTS: &'static [Layout];
    /// Bytes that an interrupt takes at most of whatever stack SP is on, where no operating system keeps handlers
    /// off it: what the CPU stores by itself, and what a handler needs until it has a stack of its own. Every
    /// managed stack has to have room for them beside what runs on it.
    const INTERRUPT_RESERVE: usize;
    /// The machine word.
    type Word: Word;
    /// Where a g that is not running resumes.
    type Gobuf: Copy + Default + Debug;
    /// What `asmcgocall` leaves on the system stack.
    type AsmcgocallFrame: Copy + Default + Debug;
    /// Where a throw lands.
    type CatchFrame: Copy + Default + Debug;
}

crate::frames! {
    /// The two ends of a stack. Both are addresses; stacks grow down, from `top` to `limit`.
    Memory frame Stack<C: Cpu> {
        /// Lowest address that may be used.
        limit: C::Word, "whoever made the stack" => "bounds checks, `cgocallback`, tracebacks";
        /// One past the highest address.
        top: C::Word, "whoever made the stack" => "bounds checks, `resume`, `gogo`, `switch_to`, `cgocallback`, tracebacks, `stack_moved`";
    }

    /// A managed task with its own stack, or one of the two stacks that C runs on seen as a task (g0, gsignal).
    ///
    /// The first field of the embedder's task structure. Only `user` is the embedder's.
    Memory frame G<C: Cpu> (pinned) {
        /// Where this g resumes when it is not running. In g0 only the stack pointer counts: it is where the
        /// next user of the system stack begins, and it is also the address of the innermost `CallbackFrame`
        /// while a callback runs. An `AsmcgocallFrame` lies directly below it while curg is in C.
        sched: C::Gobuf, "`g_init`, `park`, `mcall`, `switch_to`, `resume`, `cgocallback`, `throw_to`, `stack_moved`, attaching a foreign thread" => "`resume`, `gogo`, `switch_to`, `asmcgocall`, `cgocallback`, tracebacks";
        /// The m whose system stack `asmcgocall` switches to. Null in a g that calls C where it stands: g0,
        /// gsignal, a g that is not running, and the g of a thread that has none.
        m_out: Ptr<M<C>, C::Word>, "`resume`, `gogo`, `switch_to`, `park`, `mcall`, the entry trampoline, attaching a foreign thread" => "`asmcgocall`, `asmcgocall_catch`, `ccall`, `systemstack`, `cgocall`, `park`, `mcall`, `switch_to`, `throw_to`, `sigtramp`, the entry trampoline, `stack_moved`, tracebacks";
        /// The m whose curg runs a callback that arrives on this g. Null in every g but g0.
        m_in: Ptr<M<C>, C::Word>, "`m_adopt`, the no-callback flag" => "`cgocallback`";
        /// The stack this g runs on.
        stack: Stack<C>, "`g_init`, `m_adopt`, `stack_moved`" => "tracebacks, checks";
        /// Innermost place where a throw lands; null when there is none.
        catch: Ptr<C::CatchFrame, C::Word>, "`asmcgocall_catch`, `throw_to`, `stack_moved`" => "`asmcgocall_catch`, throws, `stack_moved`";
        /// What the g is doing, a [`GState`].
        state: C::Word, "`g_init`, `m_adopt`, attaching a foreign thread; `resume`, `switch_to` and `finish` in core; `switch_to`; the entry trampoline at the end" => "`getg`, `sigtramp`, misuse checks, `stack_moved`, tracebacks, debuggers";
        /// The embedder's word.
        user: C::Word, "the embedder" => "the embedder";
    }

    /// What a signal has interrupted: it lies in the frame of `sigtramp`'s callee while the handler runs.
    Memory frame Interrupted<C: Cpu> {
        /// The same of the handler that was interrupted itself; null if none was.
        outer: Ptr<Interrupted<C>, C::Word>, "`sigtramp`'s callee" => "its end, tracebacks";
        /// The g that was current.
        g: Ptr<G<C>, C::Word>, "`sigtramp`'s callee" => "tracebacks";
        /// The handler's `ucontext_t`.
        ucontext: Ptr<C::Word, C::Word>, "`sigtramp`'s callee" => "tracebacks";
    }

    /// A thread, or a CPU, that runs g's.
    ///
    /// The first field of the embedder's thread structure. Only `user` is the embedder's. g0 comes first, so
    /// that the address of an m is the address of its g0.
    Memory frame M<C: Cpu> (pinned) {
        /// The system stack, as a g.
        g0: G<C>, "`m_adopt`" => "crossings";
        /// The g that runs on this m; null when none does.
        curg: Ptr<G<C>, C::Word>, "`resume`, `gogo`, `switch_to`, `park`, `mcall`, the entry trampoline, attaching and detaching a foreign thread" => "`cgocallback`, on i386 `ccall`, tracebacks";
        /// The signal stack, as a g.
        gsignal: G<C>, "`m_adopt`, `sigtramp`'s callee" => "`sigtramp`, tracebacks";
        /// What the signal has interrupted whose handler runs; null while none does.
        interrupted: Ptr<Interrupted<C>, C::Word>, "`sigtramp`'s callee" => "tracebacks";
        /// What stands for the call into C on a thread that C made and that calls in: where its g begins.
        /// g0's `sched` points behind it while no callback runs.
        root: C::AsmcgocallFrame, "attaching a foreign thread" => "`cgocallback`, tracebacks";
        /// Calls into C that `cgocall` has under way on this m.
        ncgo: C::Word, "`cgocall`, throws" => "profilers, checks";
        /// Calls into C that `cgocall` ever made on this m; wraps.
        ncgocall: C::Word, "`cgocall`" => "statistics";
        /// What the hooks returned for the innermost call into C that is under way; 0 when there are none.
        hook: C::Word, "`cgocall`, `enter`, throws" => "callbacks";
        /// The innermost callback that runs with hooks; null when there is none.
        hooked: Ptr<C::Word, C::Word>, "`enter`, throws" => "throws";
        /// The embedder's word.
        user: C::Word, "the embedder" => "the embedder";
    }
}

/// What a g is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GState {
    /// Memory that `g_init` has not seen. Where such a g is current, `getg` says that there is none.
    Uninit = 0,
    /// Not running; `resume` may run it.
    Parked = 1,
    /// Running on an m, or in C that it called.
    Running = 2,
    /// Its function has returned; `g_init` may use it again.
    Finished = 3,
    /// The system stack of an m.
    G0 = 4,
    /// The signal stack of an m.
    Gsignal = 5,
}

/// The g of a thread that has none: it calls C where it stands, and a callback on it has to be attached.
///
/// A thread begins with the address of this in its current-g word, so that no crossing has to ask whether
/// there is a g before it asks what kind of g it is. By its state, [`GState::Uninit`], `getg` tells it from others.
#[unsafe(export_name = "stackgate_no_g")]
pub(crate) static NO_G: NoG = NoG(MaybeUninit::zeroed());

/// The same while a signal handler runs on such a thread, where a callback is a mistake.
#[unsafe(export_name = "stackgate_handles_no_g")]
pub static HANDLES_NO_G: NoG = NoG(MaybeUninit::zeroed());

/// The same on a thread that ends and whose m has been given back: whoever calls in gets an m for that call only.
#[unsafe(export_name = "stackgate_ended_no_g")]
pub static ENDED_NO_G: NoG = NoG(MaybeUninit::zeroed());

/// A `G` of zeros that nobody writes.
#[repr(transparent)]
#[derive(Debug)]
pub struct NoG(MaybeUninit<G<Native>>);
// SAFETY: never written.
unsafe impl Sync for NoG {}

/// Where `cgocallback` goes when it cannot run a callback on the current g: the thread has no g, or the call
/// is a mistake. Takes what `cgocallback` takes, on the stack that C called on; core puts its function here.
#[unsafe(export_name = "stackgate_callback_elsewhere")]
pub static CALLBACK_ELSEWHERE: AtomicPtr<c_void> = AtomicPtr::new(without_runtime as *mut c_void);

/// What `sigtramp` calls while gsignal is current, with what the kernel passed and the g that was current before,
/// the one that stands for none included; core puts its function here.
#[unsafe(export_name = "stackgate_signal_handler")]
pub static SIGNAL_HANDLER: AtomicPtr<c_void> = AtomicPtr::new(without_handler as *mut c_void);

/// Stops a program that was linked without core.
unsafe extern "C" fn without_handler(_: c_int, _: *mut c_void, _: *mut c_void, _: *mut G<Native>) {
    panic!("stackgate-arch: a signal, and no runtime to handle it");
}

/// Stops a program that has not told core its platform.
unsafe extern "C" fn without_runtime(_: CallbackFn, _: *mut c_void, _: usize, _: usize) {
    panic!(
        "stackgate: fatal: callback where none can run: call set_platform, with which a thread \
         without a g gets one, and mistakes get their names"
    );
}

//! What stackgate asks of the system it runs on, off its hot paths.

use crate::console::Console;
use crate::once::Once;
use core::ffi::{c_int, c_void};
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// The services of an operating system or a board. `stackgate-libc` implements it for hosted targets.
///
/// A board has to have the first six. Each of the others has a body that says [`ServiceError::NotHere`], and
/// who calls it does without, or hands the error on.
///
/// Every method may be called on any system stack and from any thread. Those that are safe in a signal handler
/// say so.
pub trait Platform: Sync {
    /// Writes a message for a person: standard error, or a console. Must be safe in a signal handler.
    fn write(&self, message: &[u8]);

    /// Ends the program as failed. Must be safe in a signal handler.
    fn abort(&self) -> !;

    /// A number that tells this thread from every other one that lives; never 0.
    fn thread_id(&self) -> usize;

    /// Sleeps until [`wake`](Platform::wake) is called for `word`, unless it no longer holds `expected`.
    /// May return early. `false` when nothing can wake this thread: the caller then stops the program by
    /// name.
    fn wait(&self, word: &AtomicU32, expected: u32) -> bool;

    /// Wakes every thread that sleeps on `word`.
    fn wake(&self, word: &AtomicU32);

    /// The function that says where C keeps a thread's `errno`, if the system has one. A function, and not
    /// the answer, because every callback asks.
    fn errno(&self) -> Option<ErrnoFn>;

    /// What sizes and addresses of memory are a multiple of, in bytes: a power of two; 0 where there is none to
    /// map. Safe in a signal handler.
    fn page_size(&self) -> usize {
        0
    }

    /// Memory of `size` bytes, zeroed, readable and writable, on a page boundary. What is not touched should
    /// cost address space alone.
    ///
    /// # Errors
    /// [`ServiceError::NoMemory`]; [`ServiceError::BadArgument`] if `size` is 0 or not a multiple of the page.
    fn map(&self, size: usize) -> Result<NonNull<u8>, ServiceError> {
        _ = size;
        Err(ServiceError::NotHere)
    }

    /// Gives memory back, guards included.
    ///
    /// # Errors
    /// [`ServiceError::BadArgument`] if the pages are none that could be mapped. The memory is still there then.
    ///
    /// # Safety
    /// Whole pages from [`map`](Self::map), which nobody uses any more.
    unsafe fn unmap(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        _ = (at, size);
        Err(ServiceError::NotHere)
    }

    /// Makes whole pages a guard: who touches them gets a fault. What they held is lost.
    ///
    /// # Errors
    /// [`ServiceError::TooManyGuards`]; the pages are usable as before then.
    ///
    /// # Safety
    /// Whole pages from [`map`](Self::map), in which nobody keeps anything.
    unsafe fn guard(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        _ = (at, size);
        Err(ServiceError::NotHere)
    }

    /// Says that what whole pages hold is not needed: they may read as zeros afterwards. They stay usable, and
    /// guards among them stay guards.
    ///
    /// # Errors
    /// None that a caller must do something about.
    ///
    /// # Safety
    /// Whole pages from [`map`](Self::map), in which nobody keeps anything.
    unsafe fn idle(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        _ = (at, size);
        Err(ServiceError::NotHere)
    }

    /// Starts a thread that runs `run(arg)` on a system stack of at least `stack` bytes, and ends when that
    /// returns. It begins with every signal blocked and nobody waits for its end.
    ///
    /// # Errors
    /// [`ServiceError::TooManyThreads`], [`ServiceError::NoMemory`], [`ServiceError::BadArgument`] for a size
    /// that the system does not take. `run` is not called then.
    ///
    /// # Safety
    /// `run` may be called with `arg` on another thread, and does not unwind.
    unsafe fn start_thread(
        &self,
        stack: usize,
        run: ThreadRun,
        arg: *mut c_void,
    ) -> Result<(), ServiceError> {
        _ = (stack, run, arg);
        Err(ServiceError::NotHere)
    }

    /// Has `hook(word)` run on this thread when it ends; a null `word` takes that back. One hook for the whole
    /// process. Not for threads that end by [`abort`](Self::abort) or with the process.
    ///
    /// # Errors
    /// [`ServiceError::Busy`] if there is another hook; [`ServiceError::NoMemory`].
    ///
    /// # Safety
    /// `hook` may be called with `word` when the thread ends, and does not unwind.
    unsafe fn at_thread_exit(&self, hook: ExitHook, word: *mut c_void) -> Result<(), ServiceError> {
        _ = (hook, word);
        Err(ServiceError::NotHere)
    }

    /// Keeps every signal, or every interrupt of this CPU, from this thread, and returns what was kept before,
    /// for [`restore_signals`](Self::restore_signals). Safe in a signal handler.
    ///
    /// # Errors
    /// Where there is nothing to keep, [`ServiceError::NotHere`], and nothing has to be restored.
    fn block_signals(&self) -> Result<SignalMask, ServiceError> {
        Err(ServiceError::NotHere)
    }

    /// Keeps from this thread what `mask` says, and nothing else. Safe in a signal handler.
    fn restore_signals(&self, mask: SignalMask) {
        _ = mask;
    }

    /// The stack on which this thread handles signals; `None` if that is the stack that it runs on. Safe in a
    /// signal handler.
    ///
    /// # Errors
    /// [`ServiceError::NotHere`] where signals are unknown.
    fn signal_stack(&self) -> Result<Option<StackBounds>, ServiceError> {
        Err(ServiceError::NotHere)
    }

    /// Has this thread handle signals on `stack`, or with `None` on the stack that it runs on. Returns the
    /// former one.
    ///
    /// # Errors
    /// [`ServiceError::BadArgument`] if it is too small; [`ServiceError::Busy`] if a handler runs on the former
    /// one. Nothing has changed then.
    ///
    /// # Safety
    /// Nobody else uses the stack until another one is set.
    unsafe fn set_signal_stack(
        &self,
        stack: Option<StackBounds>,
    ) -> Result<Option<StackBounds>, ServiceError> {
        _ = stack;
        Err(ServiceError::NotHere)
    }

    /// The bounds of the stack that this thread runs on. They may be a guess, which says so.
    ///
    /// # Errors
    /// Where nothing at all is known, [`ServiceError::NotHere`].
    fn stack_bounds(&self) -> Result<StackBounds, ServiceError> {
        Err(ServiceError::NotHere)
    }
}

/// What a thread runs: what POSIX's threads run. Nobody asks for the result.
pub type ThreadRun = unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void;

/// What runs when a thread ends.
pub type ExitHook = unsafe extern "C" fn(word: *mut c_void);

/// What is kept from a thread: signals, or interrupts. A platform's own words, for nobody else to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalMask(pub [u64; 2]);

/// Both ends of a stack, as addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackBounds {
    /// Lowest address that may be used.
    pub limit: usize,
    /// One past the highest address.
    pub top: usize,
    /// The system says so. Otherwise it is a guess: the stack is there from where the thread stands up to `top`,
    /// and may be larger or smaller than this.
    pub accurate: bool,
}

/// Why a platform did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceError {
    /// This platform does not have it.
    NotHere,
    /// No memory, or no address space.
    NoMemory,
    /// No more guards: each takes a mapping of its own, and the system allows `limit` (`vm.max_map_count`; 0 if
    /// it does not say).
    TooManyGuards {
        /// How many mappings the system allows.
        limit: usize,
    },
    /// No more threads, or not now.
    TooManyThreads,
    /// An address or a size that the system does not take.
    BadArgument,
    /// Somebody else has it.
    Busy,
    /// What the system said, as its number.
    Failed(c_int),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere => {
                f.write_str("this platform does not have it: do without, or set another platform")
            }
            Self::NoMemory => f.write_str("out of memory or address space: use less, or raise the limit"),
            Self::TooManyGuards { limit: 0 } => {
                f.write_str("too many stacks: a guard takes a mapping each; raise vm.max_map_count")
            }
            Self::TooManyGuards { limit } => {
                write!(
                    f,
                    "too many stacks: a guard takes a mapping each, and vm.max_map_count is {limit}: raise it"
                )
            }
            Self::TooManyThreads => f.write_str("no more threads: let some end, or raise the limit"),
            Self::BadArgument => {
                f.write_str("a bad size or address: pass whole pages, and stacks that suffice")
            }
            Self::Busy => f.write_str("in use: take back the other one first"),
            Self::Failed(number) => write!(f, "the system refused with its error {number}: look it up"),
        }
    }
}

/// Says where C keeps the calling thread's `errno`. Runs on any stack; safe in a signal handler.
pub type ErrnoFn = unsafe extern "C" fn() -> *mut c_int;

/// Where callbacks find `errno`: the platform's function, or one that names a word for all and nobody.
static ERRNO: AtomicPtr<c_void> = AtomicPtr::new(no_errno as *mut c_void);

unsafe extern "C" fn no_errno() -> *mut c_int {
    static NOBODYS: AtomicI32 = AtomicI32::new(0);
    NOBODYS.as_ptr()
}

/// Where C keeps this thread's `errno`; where C keeps none, a word that nobody reads.
#[inline(always)]
pub(crate) fn errno_location() -> *mut c_int {
    let location = ERRNO.load(Ordering::Relaxed);
    // SAFETY: only functions of this type are stored, and they may be called anywhere.
    unsafe { core::mem::transmute::<*mut c_void, ErrnoFn>(location)() }
}

static PLATFORM: Once<&'static dyn Platform> = Once::new();

/// Why a platform was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlatformError {
    /// There is one already. Call `set_platform` once, before the first thread is adopted.
    AlreadySet,
}

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadySet => f.write_str("a platform is set already: call set_platform once"),
        }
    }
}

/// Sets the platform, once.
///
/// Without one, fatal messages go to Rust's panic handler and nothing that has to wait can.
///
/// Runs on any stack. Not for signal handlers.
///
/// # Errors
/// [`PlatformError::AlreadySet`] on every call but the first.
pub fn set_platform(platform: &'static dyn Platform) -> Result<(), PlatformError> {
    if !PLATFORM.set(platform) {
        return Err(PlatformError::AlreadySet);
    }
    // Callbacks of threads that the runtime did not make may come from now on.
    crate::callback::install();
    if let Some(errno) = platform.errno() {
        ERRNO.store(errno as *mut c_void, Ordering::Relaxed);
    }
    Ok(())
}

/// The platform, once it is set. Runs on any stack; safe in a signal handler.
#[inline]
pub fn platform() -> Option<&'static dyn Platform> {
    PLATFORM.get().copied()
}

/// Stops the program with a message that names what went wrong, where no caller can take an error:
/// `stackgate: fatal: NAME: WHAT TO DO`. For platforms and runtimes, whose own mistakes read alike then.
///
/// Runs on any system stack. Safe in a signal handler if the platform's `write` and `abort` are. Go: `throw`.
#[cold]
#[inline(never)]
pub fn fatal(name: &'static str, what_to_do: &'static str) -> ! {
    let Some(platform) = platform() else {
        panic!("stackgate: fatal: {name}: {what_to_do}");
    };
    let mut console = Console::new();
    for part in ["stackgate: fatal: ", name, ": ", what_to_do, "\n"] {
        console.bytes(part.as_bytes());
    }
    // Nothing drops after `abort`.
    console.flush();
    platform.abort()
}

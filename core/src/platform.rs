//! What stackgate asks of the system it runs on, off its hot paths.

use crate::console::Console;
use crate::once::Once;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// The services of an operating system or a board. `stackgate-libc` implements it for hosted targets.
///
/// Every method may be called on any system stack and from any thread.
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

impl core::fmt::Display for PlatformError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
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
    if let Some(errno) = platform.errno() {
        ERRNO.store(errno as *mut c_void, Ordering::Relaxed);
    }
    Ok(())
}

/// The platform, once it is set.
#[inline]
pub fn platform() -> Option<&'static dyn Platform> {
    PLATFORM.get().copied()
}

/// Stops the program with a message that names what went wrong, where no caller can take an error.
///
/// Safe in a signal handler if the platform's `write` and `abort` are.
#[cold]
#[inline(never)]
pub(crate) fn fatal(name: &'static str, what_to_do: &'static str) -> ! {
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

//! Threads.

use crate::abi::{StartFn, ThreadAttr, ThreadId, ThreadKey};
use crate::{Errno, PTHREAD_CREATE_DETACHED, PTHREAD_CREATE_JOINABLE, raw};
use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::ptr;

/// How a thread is to be made: `pthread_attr_t`.
#[derive(Debug)]
pub struct ThreadAttributes(ThreadAttr);

impl ThreadAttributes {
    /// `pthread_attr_init(3)`: joinable, with libc's stack size.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// What libc says; glibc has no error to say.
    pub fn new() -> Result<Self, Errno> {
        let mut attributes = Self(ThreadAttr::ZERO);
        // SAFETY: room for them.
        unsafe { raw::pthread_attr_init(&raw mut attributes.0) }.number()?;
        Ok(attributes)
    }

    /// `pthread_attr_setstacksize(3)`, in bytes.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// `EINVAL`: less than the least that libc runs on.
    pub fn set_stack_size(&mut self, size: usize) -> Result<(), Errno> {
        // SAFETY: initialised.
        unsafe { raw::pthread_attr_setstacksize(&raw mut self.0, size) }.number()
    }

    /// `pthread_attr_setdetachstate(3)`: whether nobody will join the thread.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// What libc says.
    pub fn set_detached(&mut self, detached: bool) -> Result<(), Errno> {
        let state = if detached { PTHREAD_CREATE_DETACHED } else { PTHREAD_CREATE_JOINABLE };
        // SAFETY: initialised.
        unsafe { raw::pthread_attr_setdetachstate(&raw mut self.0, state) }.number()
    }

    /// `pthread_getattr_np(3)`: those of a thread that runs.
    ///
    /// Reads `/proc/self/maps` for the first thread.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// What libc says.
    ///
    /// # Safety
    /// The thread lives.
    pub unsafe fn of(thread: Thread) -> Result<Self, Errno> {
        let mut attributes = Self(ThreadAttr::ZERO);
        // SAFETY: by the caller; room for them.
        let got = unsafe { raw::pthread_getattr_np(thread.0, &raw mut attributes.0) }.number();
        if let Err(errno) = got {
            // Nothing was initialised, so nothing is destroyed.
            core::mem::forget(attributes);
            return Err(errno);
        }
        Ok(attributes)
    }

    /// `pthread_attr_getstack(3)`: from the stack's lowest address to one past its highest.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// What libc says.
    pub fn stack(&self) -> Result<Range<usize>, Errno> {
        let (mut limit, mut size) = (ptr::null_mut(), 0);
        // SAFETY: initialised; room for both.
        unsafe { raw::pthread_attr_getstack(&raw const self.0, &raw mut limit, &raw mut size) }.number()?;
        let limit = limit.addr();
        Ok(limit..limit + size)
    }
}

impl Drop for ThreadAttributes {
    fn drop(&mut self) {
        // SAFETY: initialised.
        unsafe { raw::pthread_attr_destroy(&raw mut self.0) };
    }
}

/// A thread, by libc's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread(pub ThreadId);

/// How often [`pthread_create`] is tried in all while libc says `EAGAIN`.
pub const START_TRIES: u32 = 20;

/// How much longer it sleeps after each attempt, in microseconds.
pub(crate) const LONGER: u32 = 1000;

/// `pthread_create(3)`. The thread's id is thrown away: who needs it asks [`pthread_self`] in the thread.
///
/// While libc says `EAGAIN`, which passes where threads end as fast as they begin, it is tried again, at most
/// [`START_TRIES`] times in all, after a sleep of 1 ms, 2 ms and so on.
///
/// Runs on any stack; not for signal handlers.
///
/// # Errors
/// What libc says in the end.
///
/// # Safety
/// `start` may be called with `argument` on a thread of its own.
pub unsafe fn pthread_create(
    attributes: &ThreadAttributes,
    start: StartFn,
    argument: *mut c_void,
) -> Result<(), Errno> {
    let mut tries = 1;
    loop {
        // SAFETY: initialised; the rest by the caller.
        let started = unsafe { raw::pthread_create(&raw const attributes.0, start, argument) }.number();
        if started != Err(Errno::EAGAIN) || tries == START_TRIES {
            return started;
        }
        // Cut short by a signal it is tried sooner, which does no harm.
        let _ = crate::usleep(tries * LONGER);
        tries += 1;
    }
}

/// `pthread_self(3)`.
///
/// Runs on any stack; safe in a signal handler.
pub fn pthread_self() -> Thread {
    // SAFETY: may be called anywhere.
    Thread(unsafe { raw::pthread_self() }.result)
}

/// `pthread_kill(3)`: sends a signal to a thread.
///
/// Runs on any stack; safe in a signal handler.
///
/// # Errors
/// What libc says.
///
/// # Safety
/// The thread lives, or has not been joined.
pub unsafe fn pthread_kill(thread: Thread, signal: c_int) -> Result<(), Errno> {
    // SAFETY: by the caller.
    unsafe { raw::pthread_kill(thread.0, signal) }.number()
}

/// A word that each thread has of its own. There is no way to give it back: a key is for the whole program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(ThreadKey);

impl Key {
    /// `pthread_key_create(3)`. The destructor runs on each thread that ends while its word is not null.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// `EAGAIN`: the program has as many keys as libc gives.
    ///
    /// # Safety
    /// The destructor may be called with each word that is set.
    pub unsafe fn new(destructor: Option<unsafe extern "C" fn(*mut c_void)>) -> Result<Self, Errno> {
        let mut key = 0;
        // SAFETY: room for it; the destructor by the caller.
        unsafe { raw::pthread_key_create(&raw mut key, destructor) }.number()?;
        Ok(Self(key))
    }

    /// `pthread_setspecific(3)`.
    ///
    /// Runs on any stack; not for signal handlers.
    ///
    /// # Errors
    /// What libc says.
    #[allow(clippy::not_unsafe_ptr_arg_deref, reason = "the word is kept, and not looked through")]
    pub fn set(self, value: *const c_void) -> Result<(), Errno> {
        // SAFETY: the key exists.
        unsafe { raw::pthread_setspecific(self.0, value) }.number()
    }

    /// `pthread_getspecific(3)`: null until it is set.
    ///
    /// Runs on any stack; not for signal handlers.
    pub fn get(self) -> *mut c_void {
        // SAFETY: the key exists.
        unsafe { raw::pthread_getspecific(self.0) }.result
    }
}

/// `pthread_atfork(3)`: functions that run before a fork, and after it in both processes.
///
/// Runs on any stack; not for signal handlers.
///
/// # Errors
/// `ENOMEM`.
///
/// # Safety
/// They may be called whenever the program forks; the last of them in a process with one thread.
pub unsafe fn pthread_atfork(
    prepare: Option<unsafe extern "C" fn()>,
    parent: Option<unsafe extern "C" fn()>,
    child: Option<unsafe extern "C" fn()>,
) -> Result<(), Errno> {
    // SAFETY: by the caller.
    unsafe { raw::pthread_atfork(prepare, parent, child) }.number()
}

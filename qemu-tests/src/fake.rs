//! A platform that does what the hosted one does, and fails where it is told to.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use stackgate::{ErrnoFn, ExitHook, Platform, ServiceError, SignalMask, StackBounds, ThreadRun};
use stackgate_libc::Hosted;
use std::sync::Mutex;

/// The services that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `wait`: nothing can wake this thread.
    Wait,
    /// `page_size`: there is no memory to map.
    PageSize,
    /// `map`
    Map,
    /// `unmap`
    Unmap,
    /// `guard`
    Guard,
    /// `idle`
    Idle,
    /// `start_thread`
    StartThread,
    /// `at_thread_exit`
    AtThreadExit,
    /// `block_signals`
    BlockSignals,
    /// `signal_stack`
    SignalStack,
    /// `set_signal_stack`
    SetSignalStack,
    /// `stack_bounds`
    StackBounds,
}

/// How many there are.
const CALLS: usize = Call::StackBounds as usize + 1;

/// The platform of the cases of "platform".
pub static FAKE: Fake = Fake {
    failing: AtomicU32::new(0),
    error: Mutex::new(ServiceError::NotHere),
    calls: [const { AtomicUsize::new(0) }; CALLS],
};

/// See [`FAKE`].
pub struct Fake {
    failing: AtomicU32,
    error: Mutex<ServiceError>,
    calls: [AtomicUsize; CALLS],
}

impl Fake {
    /// Has `call` fail with `error` from now on, and nothing else.
    pub fn fail(&self, call: Call, error: ServiceError) {
        *self.error.lock().expect("nobody fails with it") = error;
        self.failing.store(1 << call as u32, Ordering::SeqCst);
    }

    /// Has `call` fail too, with the same error.
    pub fn fail_too(&self, call: Call) {
        self.failing.fetch_or(1 << call as u32, Ordering::SeqCst);
    }

    /// Lets everything succeed again.
    pub fn heal(&self) {
        self.failing.store(0, Ordering::SeqCst);
    }

    /// How often `call` has been made.
    pub fn calls(&self, call: Call) -> usize {
        self.calls[call as usize].load(Ordering::SeqCst)
    }

    fn fails(&self, call: Call) -> bool {
        self.calls[call as usize].fetch_add(1, Ordering::SeqCst);
        self.failing.load(Ordering::SeqCst) & 1 << call as u32 != 0
    }

    fn ask(&self, call: Call) -> Result<(), ServiceError> {
        if self.fails(call) { Err(*self.error.lock().expect("nobody fails with it")) } else { Ok(()) }
    }
}

impl Platform for Fake {
    fn write(&self, message: &[u8]) {
        Hosted.write(message);
    }
    fn abort(&self) -> ! {
        Hosted.abort()
    }
    fn thread_id(&self) -> usize {
        Hosted.thread_id()
    }
    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        !self.fails(Call::Wait) && Hosted.wait(word, expected)
    }
    fn wake(&self, word: &AtomicU32) {
        Hosted.wake(word);
    }
    fn errno(&self) -> Option<ErrnoFn> {
        Hosted.errno()
    }
    fn page_size(&self) -> usize {
        if self.fails(Call::PageSize) { 0 } else { Hosted.page_size() }
    }
    fn map(&self, size: usize) -> Result<NonNull<u8>, ServiceError> {
        self.ask(Call::Map)?;
        Hosted.map(size)
    }
    unsafe fn unmap(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        self.ask(Call::Unmap)?;
        // SAFETY: by the caller.
        unsafe { Hosted.unmap(at, size) }
    }
    unsafe fn guard(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        self.ask(Call::Guard)?;
        // SAFETY: by the caller.
        unsafe { Hosted.guard(at, size) }
    }
    unsafe fn idle(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        self.ask(Call::Idle)?;
        // SAFETY: by the caller.
        unsafe { Hosted.idle(at, size) }
    }
    unsafe fn start_thread(
        &self,
        stack: usize,
        run: ThreadRun,
        arg: *mut c_void,
    ) -> Result<(), ServiceError> {
        self.ask(Call::StartThread)?;
        // SAFETY: by the caller.
        unsafe { Hosted.start_thread(stack, run, arg) }
    }
    unsafe fn at_thread_exit(&self, hook: ExitHook, word: *mut c_void) -> Result<(), ServiceError> {
        self.ask(Call::AtThreadExit)?;
        // SAFETY: by the caller.
        unsafe { Hosted.at_thread_exit(hook, word) }
    }
    fn block_signals(&self) -> Result<SignalMask, ServiceError> {
        self.ask(Call::BlockSignals)?;
        Hosted.block_signals()
    }
    fn restore_signals(&self, mask: SignalMask) {
        Hosted.restore_signals(mask);
    }
    fn signal_stack(&self) -> Result<Option<StackBounds>, ServiceError> {
        self.ask(Call::SignalStack)?;
        Hosted.signal_stack()
    }
    unsafe fn set_signal_stack(
        &self,
        stack: Option<StackBounds>,
    ) -> Result<Option<StackBounds>, ServiceError> {
        self.ask(Call::SetSignalStack)?;
        // SAFETY: by the caller.
        unsafe { Hosted.set_signal_stack(stack) }
    }
    fn stack_bounds(&self) -> Result<StackBounds, ServiceError> {
        self.ask(Call::StackBounds)?;
        Hosted.stack_bounds()
    }
}

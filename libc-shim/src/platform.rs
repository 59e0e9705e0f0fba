//! Linux as a platform.

use crate::sys::{self, SigSet, SigStack, ThreadAttr};
use core::ffi::{c_int, c_long, c_uint, c_void};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use core::sync::atomic::{AtomicPtr, AtomicU32};
use stackgate::{ErrnoFn, ExitHook, Platform, ServiceError, SignalMask, StackBounds, ThreadRun};

/// How far a guessed stack goes below and above where the thread stands, in bytes. Go guesses the same.
const GUESS_BELOW: usize = 32 << 10;
const GUESS_ABOVE: usize = 1 << 10;

/// Hosted Linux. Pass it to [`set_platform`](stackgate::set_platform).
#[derive(Clone, Copy, Debug)]
pub struct Hosted;

impl Platform for Hosted {
    fn write(&self, mut message: &[u8]) {
        while !message.is_empty() {
            // SAFETY: the slice outlives the call.
            let n = unsafe { sys::write(2, message.as_ptr().cast(), message.len()) };
            let Ok(n @ 1..) = usize::try_from(n) else { return };
            message = &message[n..];
        }
    }

    fn abort(&self) -> ! {
        // SAFETY: may be called anywhere.
        unsafe { sys::abort() }
    }

    fn thread_id(&self) -> usize {
        // The address of a variable that each thread has of its own.
        // SAFETY: reads no memory.
        unsafe { sys::__errno_location() }.addr()
    }

    fn wait(&self, word: &AtomicU32, expected: u32) -> bool {
        // SAFETY: the kernel compares the word before it sleeps; it is there until this returns.
        unsafe {
            sys::syscall(
                sys::SYS_FUTEX,
                word.as_ptr(),
                sys::FUTEX_WAIT_PRIVATE,
                expected as usize,
                core::ptr::null::<c_void>(),
            )
        };
        // Woken, changed, or interrupted: the caller looks.
        true
    }

    fn wake(&self, word: &AtomicU32) {
        // SAFETY: the kernel uses the address as a name.
        unsafe { sys::syscall(sys::SYS_FUTEX, word.as_ptr(), sys::FUTEX_WAKE_PRIVATE, i32::MAX as usize) };
    }

    fn errno(&self) -> Option<ErrnoFn> {
        Some(sys::__errno_location)
    }

    fn page_size(&self) -> usize {
        // SAFETY: reads what the kernel has left.
        unsafe { sys::getauxval(sys::AT_PAGESZ) as usize }
    }

    fn map(&self, size: usize) -> Result<NonNull<u8>, ServiceError> {
        if size == 0 || !size.is_multiple_of(self.page_size()) {
            return Err(ServiceError::BadArgument);
        }
        let flags = sys::MAP_PRIVATE | sys::MAP_ANONYMOUS | sys::MAP_NORESERVE;
        // SAFETY: new memory, wherever there is room.
        let at =
            unsafe { sys::mmap(core::ptr::null_mut(), size, sys::PROT_READ | sys::PROT_WRITE, flags, -1, 0) };
        match NonNull::new(at) {
            Some(at) if at.addr().get() != usize::MAX => {
                // One touched byte must not cost two megabytes.
                // SAFETY: advice about memory that is ours.
                unsafe { sys::madvise(at.as_ptr(), size, sys::MADV_NOHUGEPAGE) };
                Ok(at.cast())
            }
            _ => Err(ServiceError::NoMemory),
        }
    }

    unsafe fn unmap(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        // SAFETY: by the caller.
        done(unsafe { sys::munmap(at.as_ptr().cast(), size) })
    }

    unsafe fn guard(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        let at: *mut c_void = at.as_ptr().cast();
        // SAFETY: by the caller.
        unsafe {
            #[cfg(feature = "valgrind")]
            if valgrind_runs() {
                use_mprotect_guards();
            }
            if GUARDS.load(Ordering::Relaxed) != BY_MPROTECT
                && sys::madvise(at, size, sys::MADV_GUARD_INSTALL) == 0
                && advice_is_taken(at)
            {
                return Ok(());
            }
            if sys::mprotect(at, size, sys::PROT_NONE) == 0 {
                return Ok(());
            }
        }
        match sys::errno() {
            sys::ENOMEM => Err(ServiceError::TooManyGuards { limit: max_map_count() }),
            number => Err(error(number)),
        }
    }

    unsafe fn idle(&self, at: NonNull<u8>, size: usize) -> Result<(), ServiceError> {
        // SAFETY: by the caller.
        done(unsafe { sys::madvise(at.as_ptr().cast(), size, sys::MADV_DONTNEED) })
    }

    unsafe fn start_thread(
        &self,
        stack: usize,
        run: ThreadRun,
        arg: *mut c_void,
    ) -> Result<(), ServiceError> {
        let mut attr = MaybeUninit::<ThreadAttr>::uninit();
        let attr = attr.as_mut_ptr();
        // SAFETY: an attribute of this function's, destroyed before it returns.
        unsafe {
            check(sys::pthread_attr_init(attr))?;
            let result = check(sys::pthread_attr_setstacksize(attr, stack))
                .and_then(|()| check(sys::pthread_attr_setdetachstate(attr, sys::PTHREAD_CREATE_DETACHED)))
                .and_then(|()| create(attr, run, arg));
            sys::pthread_attr_destroy(attr);
            result
        }
    }

    unsafe fn at_thread_exit(&self, hook: ExitHook, word: *mut c_void) -> Result<(), ServiceError> {
        let key = exit_key(hook)?;
        // SAFETY: by the caller: `hook` is the key's destructor.
        check(unsafe { sys::pthread_setspecific(key, word) })
    }

    fn block_signals(&self) -> Result<SignalMask, ServiceError> {
        let mut former = SigSet::EMPTY;
        // SAFETY: both sets are there.
        check(unsafe { sys::pthread_sigmask(sys::SIG_BLOCK, &SigSet::FULL, &mut former) })?;
        Ok(SignalMask([former.bits(), 0]))
    }

    fn restore_signals(&self, mask: SignalMask) {
        let set = SigSet::of_bits(mask.0[0]);
        // SAFETY: the set is there; this cannot fail.
        unsafe { sys::pthread_sigmask(sys::SIG_SETMASK, &set, core::ptr::null_mut()) };
    }

    fn signal_stack(&self) -> Result<Option<StackBounds>, ServiceError> {
        let mut now = MaybeUninit::<SigStack>::uninit();
        // SAFETY: asks only.
        done(unsafe { sys::sigaltstack(core::ptr::null(), now.as_mut_ptr()) })?;
        // SAFETY: it has been written.
        Ok(bounds(unsafe { now.assume_init() }))
    }

    unsafe fn set_signal_stack(
        &self,
        stack: Option<StackBounds>,
    ) -> Result<Option<StackBounds>, ServiceError> {
        let new = match stack {
            Some(stack) => SigStack {
                limit: core::ptr::with_exposed_provenance_mut(stack.limit),
                flags: 0,
                size: stack.top.saturating_sub(stack.limit),
            },
            None => SigStack { limit: core::ptr::null_mut(), flags: sys::SS_DISABLE, size: 0 },
        };
        let mut former = MaybeUninit::<SigStack>::uninit();
        // SAFETY: by the caller.
        if unsafe { sys::sigaltstack(&new, former.as_mut_ptr()) } != 0 {
            return Err(match sys::errno() {
                sys::ENOMEM => ServiceError::BadArgument,
                sys::EPERM => ServiceError::Busy,
                number => error(number),
            });
        }
        // SAFETY: it has been written.
        Ok(bounds(unsafe { former.assume_init() }))
    }

    fn stack_bounds(&self) -> Result<StackBounds, ServiceError> {
        let here = 0u8;
        let here = (&raw const here).addr();
        let guess = StackBounds {
            limit: here.saturating_sub(GUESS_BELOW),
            top: here.saturating_add(GUESS_ABOVE),
            accurate: false,
        };
        // This may be a stack that pthread does not know: a coroutine's, say.
        let known = main_bounds().or_else(pthread_bounds);
        Ok(known.filter(|bounds| (bounds.limit..bounds.top).contains(&here)).unwrap_or(guess))
    }
}

/// The value of an `int` that is -1 where a call failed.
fn done(result: c_int) -> Result<(), ServiceError> {
    if result == 0 { Ok(()) } else { Err(error(sys::errno())) }
}

/// The value of an `int` that is an errno where a call failed.
fn check(number: c_int) -> Result<(), ServiceError> {
    if number == 0 { Ok(()) } else { Err(error(number)) }
}

fn error(number: c_int) -> ServiceError {
    match number {
        sys::ENOMEM => ServiceError::NoMemory,
        sys::EAGAIN => ServiceError::TooManyThreads,
        sys::EINVAL => ServiceError::BadArgument,
        number => ServiceError::Failed(number),
    }
}

fn bounds(stack: SigStack) -> Option<StackBounds> {
    let limit = stack.limit.expose_provenance();
    let there = stack.flags & sys::SS_DISABLE == 0;
    there.then(|| StackBounds { limit, top: limit + stack.size, accurate: true })
}

/// Starts the thread, with every signal blocked.
///
/// # Safety
/// As `pthread_create`.
unsafe fn create(attr: *const ThreadAttr, run: ThreadRun, arg: *mut c_void) -> Result<(), ServiceError> {
    let mut id = 0;
    let mask = Hosted.block_signals()?;
    let mut result = sys::EAGAIN;
    for attempt in 1..=crate::START_TRIES {
        // SAFETY: by the caller. The thread inherits this one's mask.
        result = unsafe { sys::pthread_create(&mut id, attr, run, arg) };
        if result != sys::EAGAIN {
            break;
        }
        // SAFETY: may be called anywhere.
        unsafe { sys::usleep(attempt * crate::threads::LONGER) };
    }
    Hosted.restore_signals(mask);
    check(result)
}

// ---- Guards.

/// How guards are made: not known yet, by advice, or by `mprotect`.
static GUARDS: AtomicU8 = AtomicU8::new(NOT_KNOWN);
const NOT_KNOWN: u8 = 0;
const BY_ADVICE: u8 = 1;
const BY_MPROTECT: u8 = 2;

/// Whether the guard that the kernel says it has installed at `page` is one. Emulators take any advice and do
/// nothing; so the kernel is made to read the page, once in a process.
///
/// # Safety
/// The page is a guard, or zeros.
unsafe fn advice_is_taken(page: *const c_void) -> bool {
    match GUARDS.load(Ordering::Relaxed) {
        BY_ADVICE => return true,
        BY_MPROTECT => return false,
        _ => {}
    }
    // A signal stack of no size, which nobody takes: EFAULT where it cannot be read, ENOMEM where it can be.
    // SAFETY: refused in either case.
    let refused = unsafe { sys::sigaltstack(page.cast(), core::ptr::null_mut()) } != 0;
    match (refused, sys::errno()) {
        (true, sys::EFAULT) => {
            // Unless somebody has chosen meanwhile.
            let now = GUARDS.compare_exchange(NOT_KNOWN, BY_ADVICE, Ordering::Relaxed, Ordering::Relaxed);
            now.map_or_else(|now| now == BY_ADVICE, |_| true)
        }
        (true, sys::ENOMEM) => {
            GUARDS.store(BY_MPROTECT, Ordering::Relaxed);
            false
        }
        // In a handler, on the signal stack: not to be found out here.
        _ => false,
    }
}

/// Whether valgrind runs the program. It reads what a system call is passed, for which there are no guards by advice:
/// it would die of them.
#[cfg(feature = "valgrind")]
fn valgrind_runs() -> bool {
    /// `VG_USERREQ__RUNNING_ON_VALGRIND` of `valgrind.h`: how many valgrinds there are.
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    stackgate::arch::client_request(0, &[RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) != 0
}

/// Makes every guard from now on by `mprotect`, which splits a mapping each time and may therefore run out of
/// them, and not by `MADV_GUARD_INSTALL` (Linux 6.13). For programs that are checkpointed or traced by tools
/// that do not know the latter.
///
/// Runs on any stack; safe in a signal handler.
pub fn use_mprotect_guards() {
    GUARDS.store(BY_MPROTECT, Ordering::Relaxed);
}

/// Whether guards are made by advice, of which there can be millions; `None` before the first one.
///
/// Runs on any stack; safe in a signal handler.
pub fn guards_by_advice() -> Option<bool> {
    match GUARDS.load(Ordering::Relaxed) {
        NOT_KNOWN => None,
        how => Some(how == BY_ADVICE),
    }
}

/// `vm.max_map_count`; 0 if it cannot be read.
fn max_map_count() -> usize {
    let mut text = [0u8; 24];
    // SAFETY: a file of this function's; the buffer is as long as it says.
    let n = unsafe {
        let fd = sys::open(c"/proc/sys/vm/max_map_count".as_ptr(), 0);
        if fd < 0 {
            return 0;
        }
        let n = sys::read(fd, text.as_mut_ptr().cast(), text.len());
        sys::close(fd);
        n
    };
    let text = text.get(..usize::try_from(n).unwrap_or(0)).unwrap_or(&[]);
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |value, digit| value * 10 + usize::from(digit - b'0'))
}

// ---- Stack bounds.

/// The main thread's stack, once it is known: to ask for it means to read `/proc/self/maps`. `top` is written
/// last.
static MAIN_LIMIT: AtomicUsize = AtomicUsize::new(0);
static MAIN_TOP: AtomicUsize = AtomicUsize::new(0);

/// The main thread's stack, if this is the main thread and it has been asked for before.
fn main_bounds() -> Option<StackBounds> {
    let here = 0u8;
    let top = MAIN_TOP.load(Ordering::Acquire);
    let limit = MAIN_LIMIT.load(Ordering::Relaxed);
    let here = (&raw const here).addr();
    (limit..top).contains(&here).then_some(StackBounds { limit, top, accurate: true })
}

/// What pthread says of the stack that this thread was given.
fn pthread_bounds() -> Option<StackBounds> {
    let mut attr = MaybeUninit::<ThreadAttr>::uninit();
    let (mut limit, mut size) = (core::ptr::null_mut(), 0);
    // SAFETY: an attribute of this function's.
    unsafe {
        if sys::pthread_getattr_np(sys::pthread_self(), attr.as_mut_ptr()) != 0 {
            return None;
        }
        let result = sys::pthread_attr_getstack(attr.as_ptr(), &mut limit, &mut size);
        sys::pthread_attr_destroy(attr.as_mut_ptr());
        if result != 0 {
            return None;
        }
    }
    let limit = limit.expose_provenance();
    let bounds = StackBounds { limit, top: limit + size, accurate: true };
    // SAFETY: asks only.
    if unsafe { sys::syscall(sys::SYS_GETTID) == c_long::from(sys::getpid()) } {
        MAIN_LIMIT.store(bounds.limit, Ordering::Relaxed);
        MAIN_TOP.store(bounds.top, Ordering::Release);
    }
    Some(bounds)
}

// ---- The hook at a thread's end.

/// The hook, and behind it its key; both written once.
static EXIT_HOOK: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
static EXIT_KEY: AtomicUsize = AtomicUsize::new(NO_KEY);
const NO_KEY: usize = usize::MAX;

/// The key whose destructor is `hook`. Nothing is locked: of two threads that make one, one takes it back.
fn exit_key(hook: ExitHook) -> Result<c_uint, ServiceError> {
    let mine = hook as *mut c_void;
    let now = EXIT_HOOK.compare_exchange(core::ptr::null_mut(), mine, Ordering::Relaxed, Ordering::Relaxed);
    if now.is_err_and(|now| now != mine) {
        return Err(ServiceError::Busy);
    }
    let key = EXIT_KEY.load(Ordering::Acquire);
    if key != NO_KEY {
        return Ok(key as c_uint);
    }
    let mut key: c_uint = 0;
    // SAFETY: the caller of the service vouches for the hook.
    if unsafe { sys::pthread_key_create(&mut key, Some(hook)) } != 0 {
        return Err(ServiceError::NoMemory);
    }
    match EXIT_KEY.compare_exchange(NO_KEY, key as usize, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(key),
        Err(first) => {
            // SAFETY: nobody has seen this one.
            unsafe { sys::pthread_key_delete(key) };
            Ok(first as c_uint)
        }
    }
}

// ---- Fork.

/// Makes `fork` safe while other threads register functions or unwind tables.
///
/// The child of a fork has one thread, the copy of the one that forked: it is the m, and runs the g, that it
/// was, on the same stacks. What several threads share here is written without locks (the lists of stacks and of
/// ended threads) or under the ones that this sees to. The stacks of tasks that other threads ran, and the
/// memory of those threads, stay as they were and are nobody's.
///
/// Once in a process; again does nothing. Runs on a system stack. Not for signal handlers.
///
/// # Errors
/// [`ServiceError::NoMemory`].
pub fn handle_fork() -> Result<(), ServiceError> {
    static DONE: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn prepare() {
        stackgate::before_fork();
    }
    unsafe extern "C" fn finish() {
        // SAFETY: `prepare` has run.
        unsafe { stackgate::after_fork() };
    }
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: the functions may run whenever a thread forks.
    let result = check(unsafe { sys::pthread_atfork(Some(prepare), Some(finish), Some(finish)) });
    if result.is_err() {
        DONE.store(false, Ordering::Relaxed);
    }
    result
}

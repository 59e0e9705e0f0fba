//! libc from small stacks: every entry of the table, every convention, and what would happen without.

use crate::child::{self, Ending};
use crate::setup::{adopted, in_callback, in_task};
use crate::shim::{CALLS, Call, NO_TIMER, call_all};
use crate::{cases, check, check_eq, hold};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::{align_of, offset_of, size_of};
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::{EntryFn, G, Resumed, asmcgocall, current_m, g_init, resume};
use stackgate_libc::{self as shim, ENTRIES, Errno, Failure, abi, raw};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

/// What a task has that calls libc only through the shim.
const SMALL: usize = 8192;
/// Below the small stack; more than the largest frame that is tried, which could otherwise jump it.
const GUARD: usize = 64 << 10;

unsafe extern "C" {
    static c_layouts: [usize; 0];
    static c_layouts_count: usize;
    static mut c_guard_limit: usize;
    static mut c_guard_top: usize;
    static mut c_returns: c_int;
    static mut c_after_close: Option<extern "C" fn()>;
    static mut c_mapped_from: i64;
    static mut c_start_failures: c_int;
    static mut c_start_error: c_int;
    static mut c_starts: c_int;
    static mut c_start_times: [i64; 64];
    static mut c_start_id: *mut c_void;
    static mut c_no_memory: c_int;
    fn c_errno_name(number: c_int) -> *const c_char;
    fn c_big_frame(unused: *mut c_void) -> c_int;
    fn c_regcomp(unused: *mut c_void) -> c_int;
    fn c_deep_qsort(unused: *mut c_void) -> c_int;
    fn c_deep_printf(unused: *mut c_void) -> c_int;
    fn c_deep_fnmatch(unused: *mut c_void) -> c_int;
    fn c_on_fault(signal: c_int, info: *mut c_void, context: *mut c_void);
    fn __errno_location() -> *mut c_int;
    fn atexit(handler: extern "C" fn()) -> c_int;
    fn fork() -> c_int;
    fn pthread_key_delete(key: abi::ThreadKey) -> c_int;
    fn pipe(ends: *mut c_int) -> c_int;
    fn setrlimit64(resource: c_int, limit: *const [u64; 2]) -> c_int;
    fn getrlimit64(resource: c_int, limit: *mut [u64; 2]) -> c_int;
    fn umask(mask: u32) -> u32;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
}

/// A task on a small stack above a guard.
struct Small {
    g: Box<G>,
    memory: *mut u8,
}

impl Small {
    fn new(entry: EntryFn) -> Self {
        // SAFETY: new memory, of which the lower part is made a guard.
        unsafe {
            let memory = shim::mmap(
                core::ptr::null_mut(),
                GUARD + SMALL,
                shim::PROT_READ | shim::PROT_WRITE,
                shim::MAP_PRIVATE | shim::MAP_ANONYMOUS,
                -1,
                0,
            )
            .expect("memory")
            .as_ptr();
            shim::mprotect(memory, GUARD, shim::PROT_NONE).expect("a guard");
            let mut small = Self { g: Box::default(), memory };
            let limit = memory.add(GUARD);
            g_init(&raw mut *small.g, limit, limit.add(SMALL), entry).expect("a good stack");
            small
        }
    }

    fn guard(&self) -> (usize, usize) {
        (self.memory.addr(), self.memory.addr() + GUARD)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // SAFETY: the task is done with it.
        unsafe { shim::munmap(self.memory, GUARD + SMALL) };
    }
}

/// Runs `call` in a task on a small stack, and returns what it says.
fn on_small<F: FnOnce() -> R, R>(call: F) -> R {
    unsafe extern "C" fn entry<F: FnOnce() -> R, R>(slot: usize) -> usize {
        let slot: *mut (Option<F>, Option<R>) = core::ptr::with_exposed_provenance_mut(slot);
        // SAFETY: `on_small` passes a slot that outlives the task.
        unsafe { (*slot).1 = (*slot).0.take().map(|call| call()) };
        7
    }
    adopted(|_| {
        let mut task = Small::new(entry::<F, R>);
        let mut slot = (Some(call), None);
        // SAFETY: the g is this task's.
        let end = unsafe { resume(&raw mut *task.g, (&raw mut slot).expose_provenance()) };
        assert_eq!(end, Ok(Resumed::Finished(7)));
        slot.1.expect("the task has run")
    })
}

/// Runs `f` in a child process; one that comes back ends with code 99.
fn in_child(f: impl FnOnce()) -> Ending {
    child::in_child(|| {
        f();
        99
    })
}

// Signals.

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count_signal(_: c_int) {
    CAUGHT.fetch_add(1, Ordering::SeqCst);
}

/// QEMU 7.2 enters a handler on x86_64 with SP a multiple of 16, where Linux and the ABI have it 8 less; a local
/// that is aligned more strictly makes the compiler see to SP itself.
#[repr(align(64))]
struct Aligned([u8; 64]);

/// Runs what a handler does, with SP as functions expect it.
#[inline(always)]
fn aligned(f: impl FnOnce()) {
    let mut local = Aligned([0; 64]);
    core::hint::black_box(&mut local.0);
    f();
}

/// Takes a signal on a stack of its own.
fn take(signal: c_int, handler: usize, flags: c_int) {
    const SIZE: usize = 128 << 10;
    let stack = shim::SigStack {
        limit: Box::leak(vec![0u128; SIZE / 16].into_boxed_slice()).as_mut_ptr().cast(),
        flags: 0,
        size: SIZE,
    };
    // SAFETY: the stack is leaked, the handler is one.
    unsafe {
        shim::sigaltstack(Some(&stack)).expect("a signal stack");
        shim::sigaction(signal, Some(&shim::SigAction::new(handler, flags, shim::SigSet::EMPTY)))
            .expect("a handler");
    }
}

fn counts(signal: c_int) {
    take(signal, count_signal as *const () as usize, shim::SA_ONSTACK);
}

/// `SIGALRM` now and again, so that one comes in any call that takes long.
fn alarms(on: bool) {
    let often = if on { shim::Timeval { sec: 0, usec: 20_000 } } else { shim::Timeval::default() };
    let value = shim::Itimerval { interval: often, value: often };
    shim::setitimer(shim::ITIMER_REAL, &value).expect("a timer");
}

/// Runs a call while alarms come.
fn alarmed<R>(call: impl FnOnce() -> R) -> R {
    alarms(true);
    let result = call();
    alarms(false);
    result
}

// Every entry.

/// How an entry is tried.
enum Trial {
    /// In a task, by the call of [`CALLS`] for success.
    Returns(Option<Call>),
    /// In a task, by these.
    Own(Call, Option<Call>),
    /// In a task, by these, the first in a child process: it leaves a thread, and QEMU 7.2 gives all threads of
    /// i386 one table of descriptors, so that after a signal a thread has another's variables, `g` among them.
    Apart(Call, Option<Call>),
    /// In a task of a child process, which comes to such an end.
    Ends(fn(), fn(&Ending) -> bool),
}

/// Success is found in [`CALLS`] unless it is here.
const TRIALS: &[(&str, Trial)] = &[
    ("exit", Trial::Ends(|| shim::exit(17), |end| end.code == Some(17))),
    (
        "open",
        Trial::Returns(Some(|| {
            hold!(shim::open(c"/no/such/file", shim::O_RDONLY, 0) == Err(Errno::ENOENT));
            Ok(())
        })),
    ),
    (
        "close",
        Trial::Returns(Some(|| {
            // SAFETY: nobody's.
            hold!(unsafe { shim::close(-1) } == Err(Errno::EBADF));
            Ok(())
        })),
    ),
    (
        "read",
        Trial::Returns(Some(|| {
            hold!(shim::read(-1, &mut [0; 4]) == Err(Errno::EBADF));
            Ok(())
        })),
    ),
    (
        "write",
        Trial::Returns(Some(|| {
            hold!(shim::write(-1, b"x") == Err(Errno::EBADF));
            Ok(())
        })),
    ),
    (
        "mmap",
        Trial::Returns(Some(|| {
            let private = shim::MAP_PRIVATE | shim::MAP_ANONYMOUS;
            // SAFETY: no memory.
            let none = unsafe { shim::mmap(core::ptr::null_mut(), 0, shim::PROT_READ, private, -1, 0) };
            hold!(none == Err(Errno::EINVAL));
            Ok(())
        })),
    ),
    ("munmap", Trial::Returns(None)),
    (
        "madvise",
        Trial::Returns(Some(|| {
            // SAFETY: no memory begins at an odd address.
            unsafe {
                hold!(raw::madvise(core::ptr::without_provenance_mut(1), 4096, 4).errno == Errno::EINVAL);
                shim::madvise(core::ptr::without_provenance_mut(1), 4096, 4);
            }
            Ok(())
        })),
    ),
    (
        "usleep",
        Trial::Returns(Some(|| {
            hold!(alarmed(|| shim::usleep(900_000)) == Err(Errno::EINTR));
            Ok(())
        })),
    ),
    ("pthread_attr_init", Trial::Returns(None)),
    (
        "pthread_attr_setstacksize",
        Trial::Returns(Some(|| {
            let Ok(mut attributes) = shim::ThreadAttributes::new() else { return Err(line!()) };
            hold!(attributes.set_stack_size(1) == Err(Errno::EINVAL));
            Ok(())
        })),
    ),
    (
        "pthread_attr_setdetachstate",
        Trial::Returns(Some(|| {
            let mut attributes = abi::ThreadAttr::ZERO;
            // SAFETY: initialised by the first.
            unsafe {
                hold!(raw::pthread_attr_init(&raw mut attributes).result == 0);
                hold!(raw::pthread_attr_setdetachstate(&raw mut attributes, 99).result == Errno::EINVAL.0);
            }
            Ok(())
        })),
    ),
    (
        "pthread_create",
        Trial::Apart(
            || {
                static STARTED: AtomicUsize = AtomicUsize::new(0);
                unsafe extern "C" fn start(word: *mut c_void) -> *mut c_void {
                    STARTED.store(word.addr(), Ordering::SeqCst);
                    core::ptr::null_mut()
                }
                let Ok(mut attributes) = shim::ThreadAttributes::new() else { return Err(line!()) };
                hold!(attributes.set_detached(true).is_ok() && attributes.set_stack_size(256 << 10).is_ok());
                let word = core::ptr::without_provenance_mut(77);
                // SAFETY: `start` takes a number.
                hold!(unsafe { shim::pthread_create(&attributes, start, word) } == Ok(()));
                for _ in 0..5000 {
                    if STARTED.load(Ordering::SeqCst) == 77 {
                        return Ok(());
                    }
                    hold!(shim::usleep(1000).is_ok());
                }
                Err(line!())
            },
            Some(|| {
                let Ok(attributes) = shim::ThreadAttributes::new() else { return Err(line!()) };
                // SAFETY: it fails before a thread begins.
                unsafe {
                    (c_start_failures, c_start_error) = (1, Errno::EPERM.0);
                    hold!(
                        shim::pthread_create(&attributes, never, core::ptr::null_mut()) == Err(Errno::EPERM)
                    );
                }
                Ok(())
            }),
        ),
    ),
    (
        "pthread_kill",
        Trial::Returns(Some(|| {
            // SAFETY: this thread lives.
            hold!(unsafe { shim::pthread_kill(shim::pthread_self(), 999) } == Err(Errno::EINVAL));
            Ok(())
        })),
    ),
    ("pthread_self", Trial::Returns(None)),
    ("_exit", Trial::Ends(|| shim::_exit(18), |end| end.code == Some(18))),
    ("abort", Trial::Ends(|| shim::abort(), |end| end.signal == Some(shim::SIGABRT))),
    (
        "getpid",
        Trial::Own(
            || {
                hold!(shim::getpid() == std::process::id() as c_int);
                Ok(())
            },
            None,
        ),
    ),
    (
        "getenv",
        Trial::Returns(Some(|| {
            // SAFETY: nobody changes the environment.
            hold!(unsafe { shim::getenv(c"STACKGATE_NO_SUCH_VARIABLE") }.is_none());
            Ok(())
        })),
    ),
    (
        "sysconf",
        Trial::Returns(Some(|| {
            hold!(shim::sysconf(9999) == Err(Errno::EINVAL));
            Ok(())
        })),
    ),
    (
        "poll",
        Trial::Returns(Some(|| {
            hold!(alarmed(|| shim::poll(&mut [], 5000)) == Err(Errno::EINTR));
            Ok(())
        })),
    ),
    (
        "mprotect",
        Trial::Returns(Some(|| {
            // SAFETY: no memory begins at an odd address.
            let odd = unsafe { shim::mprotect(core::ptr::without_provenance_mut(1), 4096, 0) };
            hold!(odd == Err(Errno::EINVAL));
            Ok(())
        })),
    ),
    (
        "kill",
        Trial::Returns(Some(|| {
            hold!(shim::raise_process(999) == Err(Errno::EINVAL));
            Ok(())
        })),
    ),
    (
        "raise",
        Trial::Own(
            || {
                let before = CAUGHT.load(Ordering::SeqCst);
                hold!(shim::raise_thread(shim::SIGUSR1) == Ok(()));
                hold!(CAUGHT.load(Ordering::SeqCst) == before + 1);
                hold!(shim::raise_process(shim::SIGUSR1) == Ok(()));
                hold!(CAUGHT.load(Ordering::SeqCst) == before + 2);
                Ok(())
            },
            Some(|| {
                hold!(shim::raise_thread(999) == Err(Errno::EINVAL));
                Ok(())
            }),
        ),
    ),
    (
        "sigaction",
        Trial::Own(
            || {
                let new = shim::SigAction::new(shim::SIG_IGN, shim::SA_RESTART, shim::SigSet::EMPTY.with(5));
                // SAFETY: nothing is called.
                unsafe {
                    hold!(
                        shim::sigaction(shim::SIGUSR2, Some(&new))
                            .is_ok_and(|old| old.handler == shim::SIG_DFL)
                    );
                    let Ok(old) = shim::sigaction(shim::SIGUSR2, None) else { return Err(line!()) };
                    hold!(old.handler == shim::SIG_IGN && old.flags & shim::SA_RESTART != 0);
                    hold!(old.mask.has(5) && !old.mask.has(6));
                }
                Ok(())
            },
            Some(|| {
                let new = shim::SigAction::new(shim::SIG_IGN, 0, shim::SigSet::EMPTY);
                // SAFETY: refused.
                let set = unsafe { shim::sigaction(shim::SIGKILL, Some(&new)) };
                hold!(set.is_err_and(|errno| errno == Errno::EINVAL));
                Ok(())
            }),
        ),
    ),
    (
        "pthread_sigmask",
        Trial::Own(
            || {
                let one = shim::SigSet::EMPTY.with(shim::SIGUSR1);
                let before = CAUGHT.load(Ordering::SeqCst);
                hold!(
                    shim::pthread_sigmask(shim::SIG_BLOCK, Some(&one)).is_ok_and(|m| !m.has(shim::SIGUSR1))
                );
                hold!(shim::raise_thread(shim::SIGUSR1).is_ok());
                hold!(CAUGHT.load(Ordering::SeqCst) == before);
                hold!(
                    shim::pthread_sigmask(shim::SIG_UNBLOCK, Some(&one)).is_ok_and(|m| m.has(shim::SIGUSR1))
                );
                hold!(CAUGHT.load(Ordering::SeqCst) == before + 1);
                Ok(())
            },
            Some(|| {
                let none = shim::SigSet::EMPTY;
                hold!(shim::pthread_sigmask(99, Some(&none)).is_err_and(|e| e == Errno::EINVAL));
                Ok(())
            }),
        ),
    ),
    (
        "sigaltstack",
        Trial::Own(
            || {
                // SAFETY: what was there is put back.
                unsafe {
                    let Ok(old) = shim::sigaltstack(Some(&shim::SigStack::DISABLED)) else {
                        return Err(line!());
                    };
                    hold!(old.size == 128 << 10);
                    hold!(shim::sigaltstack(Some(&old)).is_ok_and(|none| none.flags == shim::SS_DISABLE));
                    hold!(shim::sigaltstack(None).is_ok_and(|now| now.limit == old.limit));
                }
                Ok(())
            },
            Some(|| {
                let small = shim::SigStack { size: 1, flags: 0, ..shim::SigStack::DISABLED };
                // SAFETY: refused.
                hold!(unsafe { shim::sigaltstack(Some(&small)) }.is_err_and(|e| e == Errno::ENOMEM));
                Ok(())
            }),
        ),
    ),
    (
        "nanosleep",
        Trial::Own(
            || {
                let Ok(before) = shim::clock_gettime(shim::CLOCK_MONOTONIC) else { return Err(line!()) };
                hold!(shim::nanosleep(&shim::Timespec::from_nanos(30_000_000), None) == Ok(()));
                let Ok(after) = shim::clock_gettime(shim::CLOCK_MONOTONIC) else { return Err(line!()) };
                let nanos = after.as_nanos() - before.as_nanos();
                hold!((30_000_000..20_000_000_000).contains(&nanos));
                Ok(())
            },
            Some(|| {
                let time = shim::Timespec { nsec: 2_000_000_000, ..shim::Timespec::default() };
                hold!(shim::nanosleep(&time, None) == Err(Errno::EINVAL));
                Ok(())
            }),
        ),
    ),
    (
        "clock_gettime",
        Trial::Own(
            || {
                let Ok(now) = shim::clock_gettime(shim::CLOCK_REALTIME) else { return Err(line!()) };
                let Ok(std) = std::time::SystemTime::UNIX_EPOCH.elapsed() else { return Err(line!()) };
                hold!((std.as_secs() as i64).abs_diff(now.sec) < 60);
                hold!(now.nsec < 1_000_000_000);
                Ok(())
            },
            Some(|| {
                hold!(shim::clock_gettime(9999) == Err(Errno::EINVAL));
                Ok(())
            }),
        ),
    ),
    (
        "setitimer",
        Trial::Own(
            || {
                let long = shim::Timeval { sec: 5_000, usec: 0 };
                let value = shim::Itimerval { interval: long, value: long };
                hold!(shim::setitimer(shim::ITIMER_REAL, &value).is_ok());
                let Ok(former) = shim::setitimer(shim::ITIMER_REAL, &shim::Itimerval::default()) else {
                    return Err(line!());
                };
                hold!(former.interval == long && (4_000..=5_000).contains(&former.value.sec));
                let before = CAUGHT.load(Ordering::SeqCst);
                alarms(true);
                for _ in 0..1000 {
                    if CAUGHT.load(Ordering::SeqCst) > before {
                        break;
                    }
                    let _ = shim::usleep(10_000);
                }
                alarms(false);
                hold!(CAUGHT.load(Ordering::SeqCst) > before);
                Ok(())
            },
            Some(|| {
                hold!(shim::setitimer(99, &shim::Itimerval::default()) == Err(Errno::EINVAL));
                Ok(())
            }),
        ),
    ),
    (
        "timer_create",
        Trial::Returns(Some(|| {
            let event = shim::SigEvent::signal(shim::SIGUSR1);
            hold!(shim::Timer::new(9999, &event).is_err_and(|errno| errno == Errno::EINVAL));
            Ok(())
        })),
    ),
    (
        "timer_settime",
        Trial::Own(
            || {
                let before = CAUGHT.load(Ordering::SeqCst);
                let Ok(timer) =
                    shim::Timer::new(shim::CLOCK_MONOTONIC, &shim::SigEvent::signal(shim::SIGUSR1))
                else {
                    return Err(line!());
                };
                let soon =
                    shim::Itimerspec { value: shim::Timespec::from_nanos(1_000_000), ..Default::default() };
                hold!(timer.set(0, &soon).is_ok());
                for _ in 0..1000 {
                    if CAUGHT.load(Ordering::SeqCst) == before + 1 {
                        return Ok(());
                    }
                    let _ = shim::usleep(10_000);
                }
                Err(line!())
            },
            Some(|| {
                let none = shim::Itimerspec::default();
                // SAFETY: refused.
                let set = unsafe { raw::timer_settime(NO_TIMER, 0, &raw const none, core::ptr::null_mut()) };
                hold!(set.result == -1 && set.errno == Errno::EINVAL);
                Ok(())
            }),
        ),
    ),
    (
        "timer_delete",
        Trial::Returns(Some(|| {
            // SAFETY: refused.
            let deleted = unsafe { raw::timer_delete(NO_TIMER) };
            hold!(deleted.result == -1 && deleted.errno == Errno::EINVAL);
            Ok(())
        })),
    ),
    ("pthread_attr_destroy", Trial::Returns(None)),
    (
        "pthread_getattr_np",
        Trial::Returns(Some(|| {
            const RLIMIT_NOFILE: c_int = 7;
            let mut limit = [0; 2];
            // SAFETY: room for the limits, which are put back.
            unsafe {
                hold!(getrlimit64(RLIMIT_NOFILE, &raw mut limit) == 0);
                hold!(setrlimit64(RLIMIT_NOFILE, &[0, limit[1]]) == 0);
                let got = shim::ThreadAttributes::of(shim::pthread_self());
                hold!(setrlimit64(RLIMIT_NOFILE, &limit) == 0);
                hold!(got.is_err_and(|errno| errno == Errno::EMFILE));
            }
            Ok(())
        })),
    ),
    ("pthread_attr_getstack", Trial::Returns(None)),
    (
        "pthread_setspecific",
        Trial::Own(
            || {
                // SAFETY: no destructor.
                let Ok(key) = (unsafe { shim::Key::new(None) }) else { return Err(line!()) };
                hold!(key.set(core::ptr::without_provenance(55)).is_ok() && key.get().addr() == 55);
                Ok(())
            },
            Some(|| {
                // SAFETY: refused.
                let set = unsafe { raw::pthread_setspecific(99_999, core::ptr::null()) };
                hold!(set.result == Errno::EINVAL.0);
                Ok(())
            }),
        ),
    ),
    (
        "pthread_getspecific",
        Trial::Own(
            || {
                // SAFETY: no destructor.
                let Ok(key) = (unsafe { shim::Key::new(None) }) else { return Err(line!()) };
                hold!(key.set(core::ptr::without_provenance(!1)).is_ok() && key.get().addr() == !1);
                Ok(())
            },
            Some(|| {
                // SAFETY: no destructor.
                let Ok(key) = (unsafe { shim::Key::new(None) }) else { return Err(line!()) };
                hold!(key.get().is_null());
                Ok(())
            }),
        ),
    ),
    (
        "pthread_key_create",
        Trial::Own(
            || {
                // SAFETY: no destructor.
                let (Ok(one), Ok(two)) = (unsafe { (shim::Key::new(None), shim::Key::new(None)) }) else {
                    return Err(line!());
                };
                hold!(one != two);
                Ok(())
            },
            Some(|| {
                // Which keys were made here, by number.
                let mut made = [0u64; 32];
                for _ in 0..made.len() * 64 {
                    let mut key = 0;
                    // SAFETY: no destructor.
                    let error = unsafe { raw::pthread_key_create(&raw mut key, None) }.result;
                    if error != 0 {
                        for key in (0..made.len() as u32 * 64)
                            .filter(|key| made[*key as usize / 64] >> (key % 64) & 1 != 0)
                        {
                            // SAFETY: made here, in use nowhere.
                            hold!(unsafe { pthread_key_delete(key) } == 0);
                        }
                        hold!(error == Errno::EAGAIN.0);
                        return Ok(());
                    }
                    hold!((key as usize) < made.len() * 64);
                    made[key as usize / 64] |= 1 << (key % 64);
                }
                Err(line!())
            }),
        ),
    ),
    (
        "pthread_atfork",
        Trial::Own(
            || {
                static RAN: AtomicUsize = AtomicUsize::new(0);
                unsafe extern "C" fn ran() {
                    RAN.fetch_add(1, Ordering::SeqCst);
                }
                // SAFETY: `ran` only counts; the child ends at once.
                unsafe {
                    hold!(shim::pthread_atfork(Some(ran), Some(ran), None) == Ok(()));
                    let mut child = 0;
                    asmcgocall(fork_now, (&raw mut child).cast());
                    hold!(child > 0);
                    hold!(RAN.load(Ordering::SeqCst) == 2);
                }
                Ok(())
            },
            Some(|| {
                // SAFETY: nothing is called.
                unsafe {
                    c_no_memory = 1;
                    for _ in 0..1000 {
                        if let Err(errno) = shim::pthread_atfork(None, None, None) {
                            c_no_memory = 0;
                            hold!(errno == Errno::ENOMEM);
                            return Ok(());
                        }
                    }
                }
                Err(line!())
            }),
        ),
    ),
];

/// Forks a child that ends at once; its number goes to the argument.
unsafe extern "C" fn fork_now(child: *mut c_void) -> c_int {
    // SAFETY: the caller passes an int.
    unsafe {
        let number = fork();
        if number == 0 {
            raw::_exit(0);
        }
        child.cast::<c_int>().write(number);
        waitpid(number, core::ptr::null_mut(), 0)
    }
}

/// A thread that is not to run.
unsafe extern "C" fn never(_: *mut c_void) -> *mut c_void {
    std::process::abort()
}

/// Sets up what the trials count on.
fn prepared() {
    // SAFETY: the program has one thread.
    unsafe { std::env::set_var("STACKGATE_TEST", "here") };
    counts(shim::SIGUSR1);
    counts(shim::SIGALRM);
}

fn every_entry() {
    prepared();
    for entry in ENTRIES {
        let name = entry.name;
        let known = CALLS.iter().find(|(known, _)| *known == name).map(|(_, call)| *call);
        let Some((_, trial)) = TRIALS.iter().find(|(known, _)| *known == name) else {
            panic!("the table has {name}, and nothing here tries it");
        };
        let (success, failure) = match trial {
            Trial::Returns(failure) => (known.expect("a call that succeeds"), *failure),
            Trial::Own(success, failure) => (*success, *failure),
            Trial::Apart(success, failure) => {
                let end = in_child(|| shim::_exit(on_small(*success).map_or(1, |()| 0)));
                check_eq!(end.code, Some(0), "{name}: {end:?}");
                // Success has been seen.
                (nothing as Call, *failure)
            }
            Trial::Ends(call, good) => {
                let end = in_child(|| on_small(*call));
                check!(good(&end), "{name}: {end:?}");
                if entry.failure == Failure::Never {
                    continue;
                }
                check_eq!(entry.failure, Failure::Fatal, "{name} must not return");
                let end = in_child(|| {
                    // SAFETY: the program has one thread.
                    unsafe { c_returns = 1 };
                    on_small(*call);
                });
                dies_of(&end, &format!("{name} returned"));
                continue;
            }
        };
        let good = on_small(success);
        check_eq!(good, Ok(()), "{name}, which line does not hold");
        match (entry.failure, failure) {
            (Failure::Never, None) => {}
            (Failure::Never, Some(_)) => panic!("the table says that {name} cannot fail"),
            // Of those that return, one stops the program.
            (Failure::Fatal, None) => {
                // SAFETY: fails.
                let end = in_child(|| on_small(|| unsafe { shim::munmap(odd(), 1) }));
                dies_of(&end, &format!("{name} failed: EINVAL"));
            }
            (_, Some(failure)) => {
                let bad = on_small(failure);
                check_eq!(bad, Ok(()), "{name} that fails, which line does not hold");
            }
            (_, None) => panic!("the table says that {name} can fail, and nothing here makes it"),
        }
    }
    check_eq!(TRIALS.len(), ENTRIES.len(), "trials and entries");
}

fn nothing() -> Result<(), u32> {
    Ok(())
}

/// No page begins here.
fn odd() -> *mut u8 {
    core::ptr::without_provenance_mut(1)
}

fn dies_of(end: &Ending, message: &str) {
    check_eq!(end.signal, Some(shim::SIGABRT), "{message}: {end:?}");
    check!(end.errors.contains(&format!("stackgate: fatal: {message}")), "{message}: {end:?}");
}

fn munmap_that_fails() {
    // SAFETY: fails.
    on_small(|| unsafe { shim::munmap(odd(), 1) });
}

fn exit_that_returns() {
    // SAFETY: the program has one thread.
    unsafe { c_returns = 1 };
    on_small(|| shim::exit(0));
}

// Conventions.

fn wide_results() {
    // SAFETY: new memory; C's own answer.
    unsafe extern "C" {
        fn pthread_self() -> core::ffi::c_ulong;
        fn getauxval(kind: core::ffi::c_ulong) -> core::ffi::c_ulong;
    }
    // SAFETY: both may be called anywhere.
    let (thread, _) = unsafe { (pthread_self(), getauxval(6)) };
    check_eq!(on_small(shim::pthread_self).0, thread, "all of a pthread_t");
    let where_asked = usize::try_from(1u64 << 40).unwrap_or(1 << 30);
    let private = shim::MAP_PRIVATE | shim::MAP_ANONYMOUS;
    // SAFETY: new memory at an address of which more bits are in use than an int has, where there are any.
    let at = on_small(|| unsafe {
        shim::mmap(core::ptr::without_provenance_mut(where_asked), 4096, shim::PROT_READ, private, -1, 0)
    });
    let at = at.expect("memory").as_ptr();
    check!(size_of::<usize>() == 4 || at.addr() > u32::MAX as usize, "{at:?} asked {where_asked:#x}");
    // SAFETY: it is mapped, by the whole address.
    check_eq!(unsafe { at.read() }, 0);
}

fn errno_in_the_block() {
    on_small(|| {
        // SAFETY: this thread's errno; nobody's descriptor.
        unsafe {
            __errno_location().write(77);
            let closed = raw::close(-1);
            hold!(closed.result == -1 && closed.errno == Errno::EBADF);
            hold!(raw::getpid().errno == Errno(0));
            hold!(shim::open(c"/", shim::O_WRONLY, 0) == Err(Errno::EISDIR));
            // What C had in it is still there.
            hold!(__errno_location().read() == 77);
        }
        Ok::<_, u32>(())
    })
    .map_or_else(|line| panic!("line {line} does not hold"), |()| check!(true));
    check_eq!(on_small(|| shim::sysconf(SC_SEM_NSEMS_MAX)), Ok(None), "no limit is no error");
}

/// glibc sets none for this on Linux.
const SC_SEM_NSEMS_MAX: c_int = 32;

fn errno_after_a_callback() {
    extern "C" fn fails() {
        assert_eq!(shim::open(c"/no/such/file", shim::O_RDONLY, 0), Err(Errno::ENOENT));
    }
    extern "C" fn calls_back() {
        in_callback(|| fails());
    }
    // Between libc's failure and the read of errno, another call fails: made there, and by a callback.
    for between in [fails, calls_back] {
        // SAFETY: the program has one thread; nobody's descriptor.
        let closed = on_small(|| unsafe {
            c_after_close = Some(between);
            shim::close(-1)
        });
        check_eq!(closed, Err(Errno::EBADF));
        // SAFETY: as above.
        check!(unsafe { c_after_close }.is_none(), "it was called");
    }
    // A signal's handler calls back while libc waits.
    static CALLED_BACK: AtomicUsize = AtomicUsize::new(0);
    /// Runs where C was interrupted, on its stack, and calls back: the callback calls libc, and fails.
    unsafe extern "C" fn handler(_: c_int) {
        let Some(m) = current_m() else { return };
        // Not in C: a callback would come between managed code's instructions.
        if stackgate::current_g().map(|g| g.addr()) != Some(m.addr()) {
            return;
        }
        aligned(|| {
            in_callback(|| {
                assert_eq!(shim::open(c"/no/such/file", shim::O_RDONLY, 0), Err(Errno::ENOENT));
                CALLED_BACK.fetch_add(1, Ordering::SeqCst);
            });
        });
    }
    take(shim::SIGALRM, handler as *const () as usize, 0);
    in_task(|| {
        let mut remaining = shim::Timespec::default();
        let slept = alarmed(|| {
            shim::nanosleep(&shim::Timespec { sec: 60, ..Default::default() }, Some(&mut remaining))
        });
        check_eq!(slept, Err(Errno::EINTR));
        check!((1..60).contains(&remaining.sec), "{remaining:?}");
        let polled = alarmed(|| shim::poll(&mut [], 60_000));
        check_eq!(polled, Err(Errno::EINTR));
    });
    check!(CALLED_BACK.load(Ordering::SeqCst) >= 2);
}

fn interrupted_calls_say_so() {
    counts(shim::SIGALRM);
    let mut ends = [0; 2];
    // SAFETY: room for two.
    assert_eq!(unsafe { pipe(ends.as_mut_ptr()) }, 0);
    let mut byte = [0];
    check_eq!(on_small(|| alarmed(|| shim::read(ends[0], &mut byte))), Err(Errno::EINTR));
    let full = [0; 4096];
    // A pipe holds so much and then blocks.
    let stopped = on_small(|| {
        alarmed(|| {
            loop {
                match shim::write(ends[1], &full) {
                    Ok(_) => {}
                    Err(errno) => break errno,
                }
            }
        })
    });
    check_eq!(stopped, Errno::EINTR);
    check!(CAUGHT.load(Ordering::SeqCst) >= 2);
}

fn advice_is_not_an_order() {
    // SAFETY: there is no such memory, and no such advice.
    on_small(|| unsafe { shim::madvise(odd(), 4096, -1) });
    // SAFETY: as above.
    check_eq!(on_small(|| unsafe { raw::madvise(odd().cast(), 4096, -1) }).errno, Errno::EINVAL);
}

/// Starts a thread that fails so often; what came of it, and how often it was tried.
fn start_after(failures: c_int, error: Errno) -> (Result<(), Errno>, c_int) {
    unsafe extern "C" fn start(_: *mut c_void) -> *mut c_void {
        core::ptr::null_mut()
    }
    // SAFETY: the program has one thread; `start` takes anything.
    unsafe {
        (c_starts, c_start_failures, c_start_error) = (0, failures, error.0);
        let started = on_small(|| {
            let mut attributes = shim::ThreadAttributes::new()?;
            attributes.set_detached(true)?;
            shim::pthread_create(&attributes, start, core::ptr::null_mut())
        });
        c_start_failures = 0;
        (started, c_starts)
    }
}

fn starts_are_tried_again() {
    check_eq!(start_after(0, Errno::EAGAIN), (Ok(()), 1));
    check_eq!(start_after(19, Errno::EAGAIN), (Ok(()), 20));
    // SAFETY: written before.
    let times = unsafe { c_start_times };
    for (at, pair) in times[..20].windows(2).enumerate() {
        let (least, slept) = ((at as i64 + 1) * 1_000_000, pair[1] - pair[0]);
        check!(slept >= least, "before try {}: {slept} ns, at least {least}", at + 2);
    }
    check_eq!(start_after(20, Errno::EAGAIN), (Err(Errno::EAGAIN), 20));
    check_eq!(start_after(1, Errno::EPERM), (Err(Errno::EPERM), 1));
}

fn thread_ids_are_thrown_away() {
    type Block = raw::pthread_create::Block;
    const _: () = assert!(offset_of!(Block, outcome) == 3 * size_of::<usize>());
    let here = on_small(|| {
        let local = 0u8;
        (&raw const local).addr()
    });
    check_eq!(start_after(0, Errno::EAGAIN).0, Ok(()));
    // SAFETY: written before.
    let place = unsafe { c_start_id }.addr();
    check!(
        place != 0 && place.abs_diff(here) > SMALL,
        "the id goes to the system stack: {place:#x} {here:#x}"
    );
}

/// A file of its own for this process, gone when this is.
struct File(std::path::PathBuf);

impl File {
    fn new(what: &str) -> Self {
        Self(std::env::temp_dir().join(format!("stackgate-{what}-{}", std::process::id())))
    }

    fn name(&self) -> std::ffi::CString {
        std::ffi::CString::new(self.0.to_str().expect("ASCII")).expect("no zero")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn open_is_variadic() {
    for mode in [0o640, 0o604, 0o751] {
        let file = File::new("mode");
        let name = file.name();
        let flags = shim::O_CREAT | shim::O_EXCL | shim::O_WRONLY | shim::O_CLOEXEC;
        // SAFETY: takes any number.
        unsafe { umask(0) };
        let fd = on_small(|| shim::open(&name, flags, mode)).expect("a new file");
        check_eq!(std::fs::metadata(&file.0).expect("the file").mode() & 0o7777, mode);
        check_eq!(on_small(|| fd.write(b"four")), Ok(4));
        check_eq!(on_small(|| fd.close()), Ok(()));
        check_eq!(on_small(|| shim::open(&name, flags, mode)), Err(Errno::EEXIST));
    }
}

fn offsets_have_64_bits() {
    const FAR: u64 = 5 << 30;
    let file = File::new("offset");
    let std_file = std::fs::File::create(&file.0).expect("a file");
    for (at, text) in [(FAR, b"far "), (FAR & 0xffff_ffff, b"near")] {
        std_file.write_all_at(text, at).expect("a file with holes");
    }
    let name = file.name();
    let at = on_small(|| {
        let fd = shim::open(&name, shim::O_RDONLY, 0)?;
        // SAFETY: new memory.
        unsafe {
            shim::mmap(
                core::ptr::null_mut(),
                4096,
                shim::PROT_READ,
                shim::MAP_PRIVATE,
                fd.as_raw(),
                FAR as i64,
            )
        }
    });
    // SAFETY: mapped; the program has one thread.
    let (found, asked) = unsafe { (at.expect("a map").cast::<[u8; 4]>().read(), c_mapped_from) };
    check_eq!(asked, FAR as i64, "the offset that libc was passed");
    // QEMU 7.2 shifts the page number that `mmap2` takes in 32 bits, and maps what lies 4 GiB before.
    check!(found == *b"far " || size_of::<usize>() == 4 && found == *b"near", "{found:?}");
}

fn descriptors_close_themselves() {
    let number = on_small(|| {
        let fd = shim::open(c"/dev/zero", shim::O_RDONLY, 0).expect("a device");
        let number = fd.as_raw();
        assert_eq!(shim::read(number, &mut [0; 4]), Ok(4));
        number
    });
    check_eq!(on_small(|| shim::read(number, &mut [0; 4])), Err(Errno::EBADF));
    let kept = on_small(|| shim::open(c"/dev/zero", shim::O_RDONLY, 0).map(shim::OwnedFd::into_raw));
    let kept = kept.expect("a device");
    check_eq!(on_small(|| shim::read(kept, &mut [0; 4])), Ok(4));
    // SAFETY: kept by nobody.
    check_eq!(on_small(|| unsafe { shim::OwnedFd::from_raw(kept) }.close()), Ok(()));
}

extern "C" fn at_exit() {
    // On the system stack, below the task's call of exit: C that calls back.
    in_callback(|| {
        let gone = shim::open(c"/no/such/file", shim::O_RDONLY, 0) == Err(Errno::ENOENT);
        let _ = shim::write(2, if gone { b"called back\n" } else { b"wrong errno\n" });
    });
}

fn exit_runs_handlers() {
    let registered = |f: fn()| {
        in_child(|| {
            // SAFETY: the handler may run in this process.
            assert_eq!(unsafe { atexit(at_exit) }, 0);
            on_small(f);
        })
    };
    let end = registered(|| shim::exit(3));
    check_eq!((end.code, end.errors.as_str()), (Some(3), "called back\n"));
    let end = registered(|| shim::_exit(4));
    check_eq!((end.code, end.errors.as_str()), (Some(4), ""));
    let end = registered(|| shim::abort());
    check_eq!(end.signal, Some(shim::SIGABRT));
    check!(!end.errors.contains("called back"));
}

// The state that the shim is made for.

static BETWEEN: AtomicUsize = AtomicUsize::new(0);
/// What the handler does there, if it ends the program.
static END: AtomicUsize = AtomicUsize::new(usize::MAX);
const ENDS: [fn(); 3] = [|| shim::exit(21), || shim::_exit(22), || shim::abort()];

unsafe extern "C" fn between(_: c_int) {
    aligned(|| {
        if let Some(end) = ENDS.get(END.load(Ordering::SeqCst)) {
            end();
        }
        BETWEEN.fetch_add(call_all(false), Ordering::SeqCst);
    });
}

/// Raises a signal with g0 current and SP on the task's stack, as a crossing is between its two steps.
fn interrupted_between() {
    on_small(|| {
        let m = current_m().expect("an m");
        let g = stackgate::current_g().expect("a task");
        // SAFETY: (1) g0 is this thread's; (2) the task's stack has room for libc's raise; (3) the handler has a
        // stack of its own, and g is put back.
        unsafe {
            unsafe extern "C" {
                fn raise(signal: c_int) -> c_int;
            }
            stackgate::arch::setg(m.cast());
            raise(shim::SIGUSR2);
            stackgate::arch::setg(g);
        }
    });
}

fn from_a_handler_between() {
    prepared();
    take(shim::SIGUSR2, between as *const () as usize, shim::SA_ONSTACK);
    interrupted_between();
    check_eq!(BETWEEN.load(Ordering::SeqCst), CALLS.len(), "calls from the handler");
    check!(
        CALLS.iter().filter(|(name, _)| shim::Entry::find(name).is_some_and(|e| e.handler_safe)).count() > 20
    );
    for (at, good) in [
        |end: &Ending| end.code == Some(21),
        |end: &Ending| end.code == Some(22),
        |end: &Ending| end.signal == Some(shim::SIGABRT),
    ]
    .iter()
    .enumerate()
    {
        let end = in_child(|| {
            END.store(at, Ordering::SeqCst);
            interrupted_between();
        });
        check!(good(&end), "end {at}: {end:?}");
    }
    // What is left of the table keeps something for good; see `Trial::Apart` for why the handler does not return.
    let end = in_child(|| {
        take(shim::SIGUSR2, between_once as *const () as usize, shim::SA_ONSTACK);
        interrupted_between();
    });
    check_eq!(end.code, Some(23), "{end:?}");
    check_eq!(
        CALLS.len() + ENDS.len() + KEEPING.len(),
        ENTRIES.len(),
        "every entry was called from a handler"
    );
}

/// Entries that leave something behind.
const KEEPING: [&str; 5] =
    ["pthread_create", "pthread_setspecific", "pthread_getspecific", "pthread_key_create", "pthread_atfork"];

unsafe extern "C" fn between_once(_: c_int) {
    aligned(|| {
        for name in KEEPING {
            let Some((_, Trial::Own(call, _) | Trial::Apart(call, _))) =
                TRIALS.iter().find(|(known, _)| *known == name)
            else {
                panic!("no trial of {name}");
            };
            assert_eq!(call(), Ok(()), "{name}");
        }
        shim::_exit(23)
    });
}

// Depth.

type CFunction = unsafe extern "C" fn(*mut c_void) -> c_int;

/// Calls C on a small stack, by the shim's way or directly; a fault on the guard ends the child with 42.
fn called(f: CFunction, directly: bool) -> Ending {
    in_child(|| {
        take(shim::SIGSEGV, c_on_fault as *const () as usize, shim::SA_ONSTACK | shim::SA_SIGINFO);
        unsafe extern "C" fn entry(_: usize) -> usize {
            // SAFETY: chosen below; if directly, it does not get far.
            unsafe {
                let got = if DIRECTLY {
                    F.expect("a function")(core::ptr::null_mut())
                } else {
                    asmcgocall(F.expect("a function"), core::ptr::null_mut())
                };
                shim::_exit(if got == 1 { 41 } else { 44 })
            }
        }
        static mut F: Option<CFunction> = None;
        static mut DIRECTLY: bool = false;
        adopted(|_| {
            let mut task = Small::new(entry);
            // SAFETY: the program has one thread; the g is this task's.
            unsafe {
                (F, DIRECTLY) = (Some(f), directly);
                (c_guard_limit, c_guard_top) = task.guard();
                let _ = resume(&raw mut *task.g, 0);
            }
        });
    })
}

fn a_small_stack_is_too_small_for_c() {
    for (name, f) in [("regcomp", c_regcomp as CFunction), ("a frame of 12 KiB", c_big_frame)] {
        let end = called(f, true);
        check_eq!(end.code, Some(42), "{name} called directly: {end:?}");
        let end = called(f, false);
        check_eq!(end.code, Some(41), "{name} by asmcgocall: {end:?}");
    }
}

/// Bytes of stack that a C function uses, by what is left of a pattern.
fn depth_of(f: CFunction) -> usize {
    const PAINT: u8 = 0xa5;
    const ROOM: usize = 256 << 10;
    let mut stack = vec![u128::from_ne_bytes([PAINT; 16]); ROOM / 16].into_boxed_slice();
    let ends = stack.as_mut_ptr_range();
    unsafe extern "C" fn entry(f: usize) -> usize {
        let f: *const CFunction = core::ptr::with_exposed_provenance(f);
        let local = 0u8;
        // SAFETY: `depth_of` passes a function.
        assert_eq!(unsafe { (*f)(core::ptr::null_mut()) }, 1);
        (&raw const local).addr()
    }
    let mut g: Box<G> = Box::default();
    let from = adopted(|_| {
        // SAFETY: both outlive the task, which is this one's.
        unsafe {
            g_init(&raw mut *g, ends.start.cast(), ends.end.cast(), entry).expect("a good stack");
            resume(&raw mut *g, (&raw const f).expose_provenance())
        }
    });
    let Ok(Resumed::Finished(from)) = from else { panic!("the task finishes") };
    let low = ends.start.addr();
    // SAFETY: the stack, byte by byte.
    let bytes = unsafe { core::slice::from_raw_parts(ends.start.cast::<u8>(), ROOM) };
    from - (low + bytes.iter().position(|byte| *byte != PAINT).expect("something is used"))
}

fn depth_of_c() {
    let mut note = "stack of".to_owned();
    for (name, f) in [
        ("qsort", c_deep_qsort as CFunction),
        ("printf(\"%La\")", c_deep_printf),
        ("fnmatch", c_deep_fnmatch),
        ("regcomp", c_regcomp),
        ("12 KiB", c_big_frame),
    ] {
        // The first call may resolve symbols, which is deeper than any later one.
        let depth = depth_of(f).max(depth_of(f));
        check!((64..200 << 10).contains(&depth), "{name}: {depth}");
        note += &format!("  {name} {depth}");
    }
    check!(depth_of(c_regcomp) > SMALL);
    check!((12_288..14_000).contains(&depth_of(c_big_frame)), "a known depth is measured as such");
    println!("note: {note}");
}

// What C says.

macro_rules! layouts {
    ($($ty:ident { $($field:ident: $field_ty:ty),* })*) => {
        [$(
            size_of::<abi::$ty>(), align_of::<abi::$ty>(),
            $(offset_of!(abi::$ty, $field), size_of::<$field_ty>(),)*
        )*]
    };
}

fn layouts_are_c_s() {
    let ours = layouts! {
        Timespec { sec: i64, nsec: core::ffi::c_long }
        Itimerspec { interval: abi::Timespec, value: abi::Timespec }
        Timeval { sec: i64, usec: i64 }
        Itimerval { interval: abi::Timeval, value: abi::Timeval }
        SigSet {}
        SigAction { handler: usize, mask: abi::SigSet, flags: c_int, restorer: usize }
        SigStack { limit: usize, flags: c_int, size: usize }
        SigEvent { value: usize, signal: c_int, notify: c_int, thread: c_int }
        PollFd { fd: c_int, events: i16, revents: i16 }
        ThreadAttr {}
    };
    // SAFETY: the array that C counts.
    let theirs =
        unsafe { core::slice::from_raw_parts((&raw const c_layouts).cast::<usize>(), c_layouts_count) };
    let (off_t, theirs) =
        theirs.split_last_chunk().map(|(rest, last): (_, &[usize; 2])| (last, rest)).expect("more");
    check_eq!(ours[..], *theirs);
    check_eq!(off_t[0], size_of::<i64>());
}

fn errors_have_c_s_names() {
    for number in 1..=200 {
        // SAFETY: names are C strings that stay.
        let theirs = unsafe {
            let name = c_errno_name(number);
            (!name.is_null()).then(|| CStr::from_ptr(name).to_str().expect("ASCII"))
        };
        // PowerPC's glibc has this one's number and no name for it.
        if theirs.is_some() || number != Errno::EDEADLOCK.0 {
            check_eq!(Errno(number).name(), theirs, "the name of {number}");
        }
    }
    check_eq!(Errno::ENOENT.to_string(), "ENOENT");
    check_eq!(format!("{:?}", Err::<(), _>(Errno::EINTR)), "Err(EINTR)");
    check_eq!(Errno(4095).to_string(), "errno 4095");
}

fn the_table_names_symbols() {
    for entry in ENTRIES {
        check_eq!(entry.import, format!("libc_{}", entry.name));
        check!(!entry.symbol().is_empty());
        check_eq!(shim::Entry::find(entry.name), Some(entry));
        let wide = ["nanosleep", "clock_gettime", "setitimer", "timer_settime"].contains(&entry.name);
        check_eq!(entry.symbol_32 != entry.symbol_64, wide, "{}", entry.name);
    }
    check_eq!(shim::Entry::find("open").map(shim::Entry::symbol), Some("open64"));
    check_eq!(shim::Entry::find("mmap").map(shim::Entry::symbol), Some("mmap64"));
}

cases! {
    "libc shim";
    "every entry" => every_entry;
    "the table names symbols" => the_table_names_symbols;
    "wide results" => wide_results;
    "errno in the block" => errno_in_the_block;
    "errno after a callback" => errno_after_a_callback;
    "interrupted calls" => interrupted_calls_say_so;
    "munmap that fails" (fatal "stackgate: fatal: munmap failed: EINVAL") => munmap_that_fails;
    "exit that returns" (fatal "stackgate: fatal: exit returned") => exit_that_returns;
    "advice is no order" => advice_is_not_an_order;
    "starts are tried again" => starts_are_tried_again;
    "thread ids are thrown away" => thread_ids_are_thrown_away;
    "open is variadic" => open_is_variadic;
    "offsets have 64 bits" => offsets_have_64_bits;
    "descriptors close themselves" => descriptors_close_themselves;
    "exit runs handlers" => exit_runs_handlers;
    "from a handler between g and SP" => from_a_handler_between;
    "C overflows a small stack" => a_small_stack_is_too_small_for_c;
    "depth of C" => depth_of_c;
    "layouts are C's" => layouts_are_c_s;
    "names are C's" => errors_have_c_s_names;
}

//! Calls through the shim that a signal handler makes, wherever it came.

use core::ffi::CStr;
use stackgate_libc as shim;
use stackgate_libc::{Errno, abi, raw};

/// A call of one entry. Says where, if something was wrong.
pub type Call = fn() -> Result<(), u32>;

/// Ends a [`Call`] with the line if the condition does not hold.
#[macro_export]
macro_rules! hold {
    ($condition:expr) => {
        if !$condition {
            return Err(line!());
        }
    };
}

const NULL_DEVICE: &CStr = c"/dev/null";
const ZEROS: &CStr = c"/dev/zero";

/// Memory of one page or more.
fn page() -> Result<*mut u8, u32> {
    // SAFETY: new memory.
    let memory = unsafe {
        shim::mmap(
            core::ptr::null_mut(),
            4096,
            shim::PROT_READ | shim::PROT_WRITE,
            shim::MAP_PRIVATE | shim::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    memory.map(|at| at.as_ptr()).map_err(|_| line!())
}

/// One call that succeeds of each entry that returns and that leaves the process as it was.
///
/// Each works from any stack, and disturbs nothing that it may have interrupted.
pub const CALLS: &[(&str, Call)] = &[
    ("open", || {
        hold!(shim::open(NULL_DEVICE, shim::O_RDONLY, 0).is_ok());
        Ok(())
    }),
    ("close", || {
        hold!(shim::open(NULL_DEVICE, shim::O_RDONLY, 0).is_ok_and(|fd| fd.close().is_ok()));
        Ok(())
    }),
    ("read", || {
        let mut bytes = [1u8; 24];
        let Ok(zeros) = shim::open(ZEROS, shim::O_RDONLY, 0) else { return Err(line!()) };
        hold!(zeros.read(&mut bytes) == Ok(24) && bytes == [0; 24]);
        Ok(())
    }),
    ("write", || {
        let Ok(nowhere) = shim::open(NULL_DEVICE, shim::O_WRONLY, 0) else { return Err(line!()) };
        hold!(nowhere.write(b"gone") == Ok(4));
        Ok(())
    }),
    ("mmap", || {
        let page = page()?;
        // SAFETY: the memory is ours.
        unsafe {
            page.write(1);
            shim::munmap(page, 4096);
        }
        Ok(())
    }),
    ("munmap", || {
        let page = page()?;
        // SAFETY: the memory is ours.
        hold!(unsafe { raw::munmap(page.cast(), 4096) }.result == 0);
        Ok(())
    }),
    ("madvise", || {
        let page = page()?;
        // SAFETY: the memory is ours.
        unsafe {
            page.write(1);
            hold!(raw::madvise(page.cast(), 4096, shim::MADV_DONTNEED).result == 0);
            hold!(page.read() == 0);
            shim::munmap(page, 4096);
        }
        Ok(())
    }),
    ("mprotect", || {
        let page = page()?;
        // SAFETY: the memory is ours.
        unsafe {
            hold!(shim::mprotect(page, 4096, shim::PROT_READ) == Ok(()));
            hold!(page.read() == 0);
            shim::munmap(page, 4096);
        }
        Ok(())
    }),
    ("usleep", || {
        hold!(shim::usleep(0) == Ok(()));
        Ok(())
    }),
    ("pthread_attr_init", || {
        hold!(shim::ThreadAttributes::new().is_ok());
        Ok(())
    }),
    ("pthread_attr_destroy", || {
        let mut attributes = abi::ThreadAttr::ZERO;
        // SAFETY: initialised by the first.
        unsafe {
            hold!(raw::pthread_attr_init(&raw mut attributes).result == 0);
            hold!(raw::pthread_attr_destroy(&raw mut attributes).result == 0);
        }
        Ok(())
    }),
    ("pthread_attr_setstacksize", || {
        let Ok(mut attributes) = shim::ThreadAttributes::new() else { return Err(line!()) };
        hold!(attributes.set_stack_size(256 << 10) == Ok(()));
        Ok(())
    }),
    ("pthread_attr_setdetachstate", || {
        let Ok(mut attributes) = shim::ThreadAttributes::new() else { return Err(line!()) };
        hold!(attributes.set_detached(true) == Ok(()));
        Ok(())
    }),
    ("pthread_kill", || {
        // SAFETY: this thread lives.
        hold!(unsafe { shim::pthread_kill(shim::pthread_self(), 0) } == Ok(()));
        Ok(())
    }),
    ("pthread_self", || {
        hold!(shim::pthread_self().0 != 0);
        Ok(())
    }),
    ("getpid", || {
        hold!(shim::getpid() > 0);
        Ok(())
    }),
    ("getenv", || {
        // SAFETY: nobody changes the environment.
        hold!(unsafe { shim::getenv(c"STACKGATE_TEST") } == Some(c"here"));
        Ok(())
    }),
    ("sysconf", || {
        hold!(shim::sysconf(shim::_SC_PAGESIZE).is_ok_and(|size| size >= Some(4096)));
        Ok(())
    }),
    ("poll", || {
        hold!(shim::poll(&mut [], 0) == Ok(0));
        Ok(())
    }),
    ("kill", || {
        hold!(shim::kill(shim::getpid(), 0) == Ok(()));
        Ok(())
    }),
    ("raise", || {
        // Ignored unless somebody asked for it.
        hold!(shim::raise_thread(shim::SIGURG) == Ok(()));
        hold!(shim::raise_process(shim::SIGURG) == Ok(()));
        Ok(())
    }),
    ("sigaction", || {
        // SAFETY: changes nothing.
        hold!(unsafe { shim::sigaction(shim::SIGURG, None) }.is_ok());
        Ok(())
    }),
    ("pthread_sigmask", || {
        hold!(shim::pthread_sigmask(shim::SIG_BLOCK, None).is_ok());
        Ok(())
    }),
    ("sigaltstack", || {
        // SAFETY: changes nothing.
        hold!(unsafe { shim::sigaltstack(None) }.is_ok());
        Ok(())
    }),
    ("nanosleep", || {
        hold!(shim::nanosleep(&shim::Timespec::from_nanos(1), None) == Ok(()));
        Ok(())
    }),
    ("clock_gettime", || {
        let (Ok(one), Ok(two)) =
            (shim::clock_gettime(shim::CLOCK_MONOTONIC), shim::clock_gettime(shim::CLOCK_MONOTONIC))
        else {
            return Err(line!());
        };
        hold!(one <= two && one != shim::Timespec::default());
        Ok(())
    }),
    ("setitimer", || {
        hold!(shim::setitimer(shim::ITIMER_VIRTUAL, &shim::Itimerval::default()).is_ok());
        Ok(())
    }),
    ("timer_create", || {
        hold!(shim::Timer::new(shim::CLOCK_MONOTONIC, &shim::SigEvent::signal(shim::SIGURG)).is_ok());
        Ok(())
    }),
    ("timer_settime", || {
        let none = shim::Itimerspec::default();
        // SAFETY: there is no such timer, which is what a handler that makes none can find out.
        let set = unsafe { raw::timer_settime(NO_TIMER, 0, &raw const none, core::ptr::null_mut()) };
        hold!(set.result == -1 && set.errno == Errno::EINVAL);
        Ok(())
    }),
    ("timer_delete", || {
        let mut event = shim::SigEvent::signal(shim::SIGURG);
        let mut timer = core::ptr::null_mut();
        // SAFETY: room for both.
        unsafe {
            hold!(raw::timer_create(shim::CLOCK_REALTIME, &raw mut event, &raw mut timer).result == 0);
            hold!(raw::timer_delete(timer).result == 0);
        }
        Ok(())
    }),
    ("pthread_getattr_np", || {
        // SAFETY: this thread lives.
        hold!(unsafe { shim::ThreadAttributes::of(shim::pthread_self()) }.is_ok());
        Ok(())
    }),
    ("pthread_attr_getstack", || {
        // SAFETY: this thread lives.
        let Ok(attributes) = (unsafe { shim::ThreadAttributes::of(shim::pthread_self()) }) else {
            return Err(line!());
        };
        hold!(attributes.stack().is_ok_and(|stack| stack.len() > 8192));
        Ok(())
    }),
];

/// What no timer is called.
pub const NO_TIMER: abi::TimerId = core::ptr::without_provenance_mut(0x7123);

/// Makes each call that a handler may make wherever it came, or every one; how many there were.
///
/// # Panics
/// If one fails.
pub fn call_all(only_handler_safe: bool) -> usize {
    let mut made = 0;
    for (name, call) in CALLS {
        let entry = shim::Entry::find(name).expect("a row of the table");
        if entry.handler_safe || !only_handler_safe {
            call().unwrap_or_else(|line| panic!("{name}: line {line} of shim.rs does not hold"));
            made += 1;
        }
    }
    made
}

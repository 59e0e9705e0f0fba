//! What the shim knows of libc, each fact once: entries, error numbers, constants.
//!
//! Each list is handed to the macro that is named: this crate makes its functions and constants from it,
//! `tests/signatures.rs` compares it with the `libc` crate.

/// Every entry: a libc function that can be called from a small stack.
///
/// ```text
/// name = symbol (arguments) -> result, failure, handlers;
/// ```
///
/// - `symbol`: what the function is called in glibc. Behind `|`, what it is called on 32-bit CPUs, where it is
///   another: the function that takes the 64-bit times of [`abi`](crate::abi).
/// - `[out x: T]` before the arguments: a place for a result that is thrown away; not in the block.
/// - `; ... x: T` behind them: passed as a variadic argument.
/// - no `-> result`: it does not return. When it does the program is stopped by name, but for `abort`, which
///   the compiler itself takes for a function that has no way to.
/// - `failure`: a [`Failure`](crate::Failure).
/// - `handlers`: `safe` if a signal handler may call it wherever it came. POSIX says so, or it is a system call
///   and nothing else; `unsafe` if not.
macro_rules! entries {
    ($with:ident) => {
        $with! {
            exit = exit (code: c_int), Fatal, unsafe;
            open = open64 (name: *const c_char, flags: c_int; ... mode: c_uint) -> c_int, Errno, safe;
            close = close (fd: c_int) -> c_int, Errno, safe;
            read = read (fd: c_int, to: *mut c_void, n: usize) -> isize, Errno, safe;
            write = write (fd: c_int, from: *const c_void, n: usize) -> isize, Errno, safe;
            mmap = mmap64 (
                address: *mut c_void, n: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64
            ) -> *mut c_void, Errno, safe;
            munmap = munmap (address: *mut c_void, n: usize) -> c_int, Fatal, safe;
            madvise = madvise (address: *mut c_void, n: usize, advice: c_int) -> c_int, Ignored, safe;
            usleep = usleep (microseconds: c_uint) -> c_int, Errno, safe;
            pthread_attr_init = pthread_attr_init (attributes: *mut ThreadAttr) -> c_int, Never, unsafe;
            pthread_attr_setstacksize = pthread_attr_setstacksize (
                attributes: *mut ThreadAttr, size: usize
            ) -> c_int, Number, unsafe;
            pthread_attr_setdetachstate = pthread_attr_setdetachstate (
                attributes: *mut ThreadAttr, state: c_int
            ) -> c_int, Number, unsafe;
            pthread_create = pthread_create (
                [out id: ThreadId] attributes: *const ThreadAttr, start: StartFn, argument: *mut c_void
            ) -> c_int, Number, unsafe;
            pthread_kill = pthread_kill (thread: ThreadId, signal: c_int) -> c_int, Number, safe;
            pthread_self = pthread_self () -> ThreadId, Never, safe;

            _exit = _exit (code: c_int), Fatal, safe;
            abort = abort (), Never, safe;
            getpid = getpid () -> c_int, Never, safe;
            getenv = getenv (name: *const c_char) -> *mut c_char, Absent, unsafe;
            sysconf = sysconf (name: c_int) -> c_long, Errno, unsafe;
            poll = poll (fds: *mut PollFd, n: c_ulong, milliseconds: c_int) -> c_int, Errno, safe;
            mprotect = mprotect (address: *mut c_void, n: usize, protection: c_int) -> c_int, Errno, safe;

            kill = kill (process: c_int, signal: c_int) -> c_int, Errno, safe;
            raise = raise (signal: c_int) -> c_int, Errno, safe;
            sigaction = sigaction (
                signal: c_int, action: *const SigAction, former: *mut SigAction
            ) -> c_int, Errno, safe;
            pthread_sigmask = pthread_sigmask (
                how: c_int, set: *const SigSet, former: *mut SigSet
            ) -> c_int, Number, safe;
            sigaltstack = sigaltstack (stack: *const SigStack, former: *mut SigStack) -> c_int, Errno, safe;

            nanosleep = nanosleep | __nanosleep64 (
                time: *const Timespec, remaining: *mut Timespec
            ) -> c_int, Errno, safe;
            clock_gettime = clock_gettime | __clock_gettime64 (
                clock: c_int, time: *mut Timespec
            ) -> c_int, Errno, safe;
            setitimer = setitimer | __setitimer64 (
                which: c_int, value: *const Itimerval, former: *mut Itimerval
            ) -> c_int, Errno, safe;
            timer_create = timer_create (
                clock: c_int, event: *mut SigEvent, timer: *mut TimerId
            ) -> c_int, Errno, unsafe;
            timer_settime = timer_settime | __timer_settime64 (
                timer: TimerId, flags: c_int, value: *const Itimerspec, former: *mut Itimerspec
            ) -> c_int, Errno, safe;
            timer_delete = timer_delete (timer: TimerId) -> c_int, Errno, unsafe;

            pthread_attr_destroy = pthread_attr_destroy (attributes: *mut ThreadAttr) -> c_int, Never, unsafe;
            pthread_getattr_np = pthread_getattr_np (
                thread: ThreadId, attributes: *mut ThreadAttr
            ) -> c_int, Number, unsafe;
            pthread_attr_getstack = pthread_attr_getstack (
                attributes: *const ThreadAttr, limit: *mut *mut c_void, size: *mut usize
            ) -> c_int, Never, unsafe;
            pthread_key_create = pthread_key_create (
                key: *mut ThreadKey, destructor: Option<unsafe extern "C" fn(*mut c_void)>
            ) -> c_int, Number, unsafe;
            pthread_setspecific = pthread_setspecific (
                key: ThreadKey, value: *const c_void
            ) -> c_int, Number, unsafe;
            pthread_getspecific = pthread_getspecific (key: ThreadKey) -> *mut c_void, Absent, unsafe;
            pthread_atfork = pthread_atfork (
                prepare: Option<unsafe extern "C" fn()>,
                parent: Option<unsafe extern "C" fn()>,
                child: Option<unsafe extern "C" fn()>
            ) -> c_int, Number, unsafe;
        }
    };
}

/// Linux's error numbers. Of two names with one number the first is the one that is printed.
macro_rules! errnos {
    ($with:ident) => {
        $with! {
            EPERM = 1; ENOENT = 2; ESRCH = 3; EINTR = 4; EIO = 5; ENXIO = 6; E2BIG = 7; ENOEXEC = 8;
            EBADF = 9; ECHILD = 10; EAGAIN = 11; ENOMEM = 12; EACCES = 13; EFAULT = 14; ENOTBLK = 15;
            EBUSY = 16; EEXIST = 17; EXDEV = 18; ENODEV = 19; ENOTDIR = 20; EISDIR = 21; EINVAL = 22;
            ENFILE = 23; EMFILE = 24; ENOTTY = 25; ETXTBSY = 26; EFBIG = 27; ENOSPC = 28; ESPIPE = 29;
            EROFS = 30; EMLINK = 31; EPIPE = 32; EDOM = 33; ERANGE = 34; EDEADLK = 35; ENAMETOOLONG = 36;
            ENOLCK = 37; ENOSYS = 38; ENOTEMPTY = 39; ELOOP = 40; ENOMSG = 42; EIDRM = 43; ECHRNG = 44;
            EL2NSYNC = 45; EL3HLT = 46; EL3RST = 47; ELNRNG = 48; EUNATCH = 49; ENOCSI = 50; EL2HLT = 51;
            EBADE = 52; EBADR = 53; EXFULL = 54; ENOANO = 55; EBADRQC = 56; EBADSLT = 57; EBFONT = 59;
            ENOSTR = 60; ENODATA = 61; ETIME = 62; ENOSR = 63; ENONET = 64; ENOPKG = 65; EREMOTE = 66;
            ENOLINK = 67; EADV = 68; ESRMNT = 69; ECOMM = 70; EPROTO = 71; EMULTIHOP = 72; EDOTDOT = 73;
            EBADMSG = 74; EOVERFLOW = 75; ENOTUNIQ = 76; EBADFD = 77; EREMCHG = 78; ELIBACC = 79;
            ELIBBAD = 80; ELIBSCN = 81; ELIBMAX = 82; ELIBEXEC = 83; EILSEQ = 84; ERESTART = 85;
            ESTRPIPE = 86; EUSERS = 87; ENOTSOCK = 88; EDESTADDRREQ = 89; EMSGSIZE = 90; EPROTOTYPE = 91;
            ENOPROTOOPT = 92; EPROTONOSUPPORT = 93; ESOCKTNOSUPPORT = 94; EOPNOTSUPP = 95;
            EPFNOSUPPORT = 96; EAFNOSUPPORT = 97; EADDRINUSE = 98; EADDRNOTAVAIL = 99; ENETDOWN = 100;
            ENETUNREACH = 101; ENETRESET = 102; ECONNABORTED = 103; ECONNRESET = 104; ENOBUFS = 105;
            EISCONN = 106; ENOTCONN = 107; ESHUTDOWN = 108; ETOOMANYREFS = 109; ETIMEDOUT = 110;
            ECONNREFUSED = 111; EHOSTDOWN = 112; EHOSTUNREACH = 113; EALREADY = 114; EINPROGRESS = 115;
            ESTALE = 116; EUCLEAN = 117; ENOTNAM = 118; ENAVAIL = 119; EISNAM = 120; EREMOTEIO = 121;
            EDQUOT = 122; ENOMEDIUM = 123; EMEDIUMTYPE = 124; ECANCELED = 125; ENOKEY = 126;
            EKEYEXPIRED = 127; EKEYREVOKED = 128; EKEYREJECTED = 129; EOWNERDEAD = 130;
            ENOTRECOVERABLE = 131; ERFKILL = 132; EHWPOISON = 133;
            EWOULDBLOCK = 11; ENOTSUP = 95; EDEADLOCK = crate::abi::EDEADLOCK_NUMBER;
        }
    };
}

/// Constants that the functions take.
macro_rules! constants {
    ($with:ident) => {
        $with! {
            // open
            O_RDONLY: c_int = 0; O_WRONLY: c_int = 1; O_RDWR: c_int = 2; O_CREAT: c_int = 0o100;
            O_EXCL: c_int = 0o200; O_TRUNC: c_int = 0o1000; O_APPEND: c_int = 0o2000;
            O_NONBLOCK: c_int = 0o4000; O_CLOEXEC: c_int = 0o2000000;
            // poll
            POLLIN: c_short = 1; POLLOUT: c_short = 4; POLLERR: c_short = 8; POLLHUP: c_short = 16;
            POLLNVAL: c_short = 32;
            // mmap, mprotect, madvise
            PROT_NONE: c_int = 0; PROT_READ: c_int = 1; PROT_WRITE: c_int = 2; PROT_EXEC: c_int = 4;
            MAP_SHARED: c_int = 1; MAP_PRIVATE: c_int = 2; MAP_FIXED: c_int = 0x10;
            MAP_ANONYMOUS: c_int = 0x20; MAP_NORESERVE: c_int = crate::abi::MAP_NORESERVE_BIT;
            MAP_STACK: c_int = 0x2_0000; MAP_FIXED_NOREPLACE: c_int = 0x10_0000;
            MADV_DONTNEED: c_int = 4; MADV_FREE: c_int = 8; MADV_HUGEPAGE: c_int = 14;
            MADV_NOHUGEPAGE: c_int = 15;
            // signals
            SIGHUP: c_int = 1; SIGINT: c_int = 2; SIGQUIT: c_int = 3; SIGILL: c_int = 4; SIGTRAP: c_int = 5;
            SIGABRT: c_int = 6; SIGBUS: c_int = 7; SIGFPE: c_int = 8; SIGKILL: c_int = 9; SIGUSR1: c_int = 10;
            SIGSEGV: c_int = 11; SIGUSR2: c_int = 12; SIGPIPE: c_int = 13; SIGALRM: c_int = 14;
            SIGTERM: c_int = 15; SIGCHLD: c_int = 17; SIGCONT: c_int = 18; SIGSTOP: c_int = 19;
            SIGTSTP: c_int = 20; SIGTTIN: c_int = 21; SIGTTOU: c_int = 22; SIGWINCH: c_int = 28;
            SIGURG: c_int = 23; SIGVTALRM: c_int = 26; SIGPROF: c_int = 27;
            SIG_DFL: usize = 0; SIG_IGN: usize = 1;
            SA_SIGINFO: c_int = 4; SA_ONSTACK: c_int = 0x0800_0000; SA_RESTART: c_int = 0x1000_0000;
            SA_NODEFER: c_int = 0x4000_0000;
            SIG_BLOCK: c_int = 0; SIG_UNBLOCK: c_int = 1; SIG_SETMASK: c_int = 2;
            SS_ONSTACK: c_int = 1; SS_DISABLE: c_int = 2;
            // time
            CLOCK_REALTIME: c_int = 0; CLOCK_MONOTONIC: c_int = 1; CLOCK_PROCESS_CPUTIME_ID: c_int = 2;
            CLOCK_THREAD_CPUTIME_ID: c_int = 3;
            ITIMER_REAL: c_int = 0; ITIMER_VIRTUAL: c_int = 1; ITIMER_PROF: c_int = 2;
            TIMER_ABSTIME: c_int = 1;
            SIGEV_SIGNAL: c_int = 0; SIGEV_NONE: c_int = 1; SIGEV_THREAD_ID: c_int = 4;
            // threads
            PTHREAD_CREATE_JOINABLE: c_int = 0; PTHREAD_CREATE_DETACHED: c_int = 1;
            // sysconf
            _SC_CLK_TCK: c_int = 2; _SC_OPEN_MAX: c_int = 4; _SC_PAGESIZE: c_int = 30;
            _SC_NPROCESSORS_CONF: c_int = 83; _SC_NPROCESSORS_ONLN: c_int = 84;
        }
    };
}

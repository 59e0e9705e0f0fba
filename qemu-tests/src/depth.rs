//! Every path that runs on a managed stack, or in a handler, once: what `cargo xtask stack-depth` reads in the
//! object code, and an input for each that uses as much of the stack as it can.
//!
//! A path is a chain of functions by their symbols ([`Path::parts`]); what a user writes is here the least that
//! calls it, with a symbol of its own. Functions called `depth_user_...` stand for the user's: they have no
//! frame, so that what is found on the stack is the path's own.

use crate::setup::{Task, adopted};
use core::ffi::{c_char, c_int, c_void};
use core::fmt;
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::arch::unwind::Registers;
use stackgate::traceback::{self, Traceback};
use stackgate::{CFn, EntryFn, G, Resumed, arch};
use stackgate_libc as shim;

/// What a path runs on, and how it is run.
#[derive(Clone, Copy)]
pub enum Run {
    /// A task calls the function, which says by [`begins`] where the path begins.
    Task(fn()),
    /// The path is a task's first function: it begins at the top of the stack.
    Start(EntryFn),
    /// As `Task`, of a path that ends the program.
    End(fn() -> !),
    /// A signal handler calls the function with its `ucontext`.
    Handler(unsafe extern "C" fn(ucontext: *mut c_void)),
}

/// A path.
pub struct Path {
    /// Its name.
    pub name: &'static str,
    /// The functions that it enters one after the other, by their symbols or, where they have none that a
    /// source can name, by the end of their Rust path. Of a function that comes from the system stack, what it
    /// puts on the managed one counts.
    pub parts: &'static [&'static str],
    /// What runs it.
    pub run: Run,
    /// Why what is found stays below the bound; empty where it reaches it.
    pub why: &'static str,
    /// How many words of arguments a caller may push, on the CPU that passes them on the stack: they count for the
    /// caller.
    pub arguments: usize,
}

/// Bytes of the stacks that paths run on.
const SIZE: usize = 64 << 10;
/// What they are filled with.
const PAINT: u8 = 0xa5;

/// SP in the caller of a path's first function.
static BEGIN: AtomicUsize = AtomicUsize::new(0);

/// Where a process that is about to end tells `BEGIN`.
static END: AtomicPtr<usize> = AtomicPtr::new(null_mut());

/// Marks where a path begins: the next call is its first.
macro_rules! begins {
    () => {{
        // Not zeroed: libc would, and use the stack.
        let mut registers = MaybeUninit::<Registers>::uninit();
        // SAFETY: room for the registers; SP is one of them.
        let sp = unsafe {
            arch::capture(registers.as_mut_ptr());
            (*registers.as_ptr()).sp()
        };
        BEGIN.store(sp, Ordering::Relaxed);
    }};
}

/// Nothing sends one.
unsafe extern "C" fn depth_no_signal(_: c_int, _: *mut c_void, _: *mut c_void) {}

unsafe extern "C" {
    safe fn depth_user_c(arg: *mut c_void) -> c_int;
    fn depth_user_system(arg: *mut c_void);
    fn depth_user_managed(frame: *mut c_void, n: usize, ctxt: usize);
    fn depth_user_entry(word: usize) -> usize;
    fn depth_user_entering_c() -> usize;
    fn depth_user_word(word: usize);
    safe fn depth_user_body(
        a: u64,
        b: u64,
        c: u64,
        d: u64,
        e: u64,
        f: u64,
        g: f64,
        h: f64,
        i: f64,
        j: f64,
        k: f64,
        l: f64,
    ) -> u64;
    fn depth_user_write(bytes: *const c_char, n: usize);
    fn depth_user_context(arg: *mut traceback::ContextArg);
    fn depth_user_traceback(arg: *mut traceback::TracebackArg);
    fn depth_user_symbolizer(arg: *mut traceback::SymbolizerArg);
    fn depth_in_handler(
        f: unsafe extern "C" fn(ucontext: *mut c_void),
        stack: *mut c_void,
        size: usize,
    ) -> c_int;
}

/// `cgocall` in a function of its own.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn depth_cgocall(f: CFn, arg: *mut c_void) -> c_int {
    // SAFETY: by the caller.
    unsafe { stackgate::cgocall(f, arg) }
}

/// `on_system_stack` with a closure of four words.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn depth_on_system_stack(a: usize, b: usize, c: usize, d: usize) -> usize {
    stackgate::on_system_stack(move || {
        depth_user_c(null_mut());
        a + b + c + d
    })
}

/// `park` in a function of its own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn depth_park(word: usize) -> usize {
    stackgate::park(word).unwrap_or(usize::MAX)
}

/// `switch_to` in a function of its own.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn depth_switch_to(g: *mut G) -> usize {
    // SAFETY: parked, and nobody else runs it.
    unsafe { stackgate::switch_to(g, 0) }.unwrap_or(usize::MAX)
}

/// The task that paths switch to.
static OTHER: AtomicPtr<G> = AtomicPtr::new(null_mut());

/// It, once more.
#[inline(always)]
fn depth_other() -> *mut G {
    OTHER.load(Ordering::Relaxed)
}

/// Comes back at once.
unsafe extern "C" fn parks(_: usize) -> usize {
    stackgate::park(0).unwrap_or(usize::MAX)
}

stackgate::export! {
    /// Passes as many arguments on as an exported function may have.
    pub extern "C" fn depth_exported(
        a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: f64, h: f64, i: f64, j: f64, k: f64, l: f64,
    ) -> u64 {
        depth_user_body(a, b, c, d, e, f, g, h, i, j, k, l)
    }
}

/// Where a traceback is written to.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: it reads nothing.
        unsafe { depth_user_write(text.as_ptr().cast(), text.len()) };
        Ok(())
    }
}

/// A traceback of what a signal interrupted, printed.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn depth_print(ucontext: *mut c_void) {
    // SAFETY: the handler passes what it got.
    let trace = unsafe { Traceback::from_ucontext(ucontext) };
    _ = traceback::print(trace, &mut Nowhere);
}

/// Hooks without a frame.
static HOOKS: stackgate::Hooks = stackgate::Hooks {
    entering_c: depth_user_entering_c,
    left_c: depth_user_word,
    entering_managed: depth_user_word,
    leaving_managed: depth_user_word,
};

/// C that makes one callback.
unsafe extern "C" fn calls_back(_: *mut c_void) -> c_int {
    // SAFETY: C below a task.
    unsafe { arch::cgocallback(depth_user_managed, null_mut(), 0, 0) };
    0
}

/// A C function that calls a managed one that throws as C would.
unsafe extern "C" fn calls_stackgate_throw(_: *mut c_void) -> c_int {
    unsafe extern "C" fn throws(_: *mut c_void, _: usize, _: usize) {
        begins!();
        // SAFETY: a catch is there.
        unsafe { stackgate::capi::stackgate_throw(3) }
    }
    // SAFETY: C below a task.
    unsafe { stackgate::enter(throws, null_mut(), 0) };
    0
}

unsafe extern "C" fn calls_exported(_: *mut c_void) -> c_int {
    depth_exported(1, 2, 3, 4, 5, 6, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0) as c_int
}

unsafe extern "C" fn leaves(g: *mut G) -> ! {
    // SAFETY: g0 is current, g has been left; it goes on where it was.
    unsafe { arch::gogo(g, 0) }
}

/// A C function that calls a managed one that throws.
unsafe extern "C" fn calls_what_throws(_: *mut c_void) -> c_int {
    unsafe extern "C" fn throws(_: *mut c_void, _: usize, _: usize) {
        let g = stackgate::current_g().expect("a task");
        begins!();
        // SAFETY: a catch is there.
        unsafe { arch::throw_to((*g).catch.get(), 3) }
    }
    // SAFETY: C below a task.
    unsafe { arch::cgocallback(throws, null_mut(), 0, 0) };
    0
}

/// Paints the current task's stack again, below the SP that its call into C has left.
unsafe extern "C" fn paint(_: *mut c_void) -> c_int {
    let m = stackgate::current_m().expect("an m");
    // SAFETY: the task stands still meanwhile; what its call has saved lies below g0's SP.
    unsafe {
        let above = (*m).g0.sched.sp.get() as usize;
        let call = core::ptr::with_exposed_provenance::<arch::AsmcgocallFrame>(above).sub(1);
        let (low, sp) = ((*(*m).curg.get()).stack.limit.get() as usize, (*call).sp.get() as usize);
        core::ptr::with_exposed_provenance_mut::<u8>(low).write_bytes(PAINT, sp - low);
    }
    0
}

/// Makes what a path needs, and only then marks where it begins.
macro_rules! with {
    ($needed:ident = $make:expr => $use:expr) => {{
        #[allow(unused_mut, reason = "some paths change what they need")]
        let mut $needed = $make;
        // SAFETY: it takes nothing.
        unsafe { arch::asmcgocall(paint, null_mut()) };
        begins!();
        $use
    }};
}

/// A path whose first function is called once, with these arguments.
macro_rules! call {
    ($name:expr, $parts:expr, $call:expr) => {
        call!($name, $parts, $call, "")
    };
    ($name:expr, $parts:expr, $call:expr, $why:expr) => {
        Path {
            name: $name,
            parts: $parts,
            run: Run::Task({
                #[allow(unused_unsafe, reason = "some of the functions are safe")]
                fn run() {
                    begins!();
                    // SAFETY: in a task; what is called takes these arguments.
                    _ = black_box(unsafe { $call });
                }
                run
            }),
            why: $why,
            arguments: 0,
        }
    };
}

/// Of tracebacks.
const IN_TABLES: &str = "the deepest chains end in what is wrong with a table, or read what no compiler writes there; and \
    where a crossing stays on its stack, a hook's call counts as that of the reader of tables";

/// Every path but those of libc's wrappers, which are found by their symbols.
const PATHS: &[Path] = &[
    Path {
        name: "a task's first function",
        parts: &["stackgate_g_start"],
        run: Run::Start(depth_user_entry),
        why: "",
        arguments: 0,
    },
    call!("asmcgocall", &["stackgate_asmcgocall"], arch::asmcgocall(depth_user_c, null_mut())),
    call!("ccall", &["stackgate_ccall"], crate::cpu::ccall_one(depth_user_c, null_mut())),
    call!("asmcgocall_catch", &["stackgate_asmcgocall_catch"], {
        let mut thrown = 0;
        arch::asmcgocall_catch(depth_user_c, null_mut(), &raw mut thrown)
    }),
    Path {
        name: "throw_to",
        parts: &["stackgate_throw_to"],
        // SAFETY: in a task, and where the throw lands is below.
        run: Run::Task(|| unsafe {
            let mut thrown = 0;
            arch::asmcgocall_catch(calls_what_throws, null_mut(), &raw mut thrown);
            assert_eq!(thrown, 3);
        }),
        why: "",
        arguments: 0,
    },
    call!("systemstack", &["stackgate_systemstack"], arch::systemstack(depth_user_system, null_mut())),
    call!("mcall", &["stackgate_mcall"], arch::mcall(leaves)),
    call!("park, the crossing", &["stackgate_park"], arch::park_full(1)),
    call!("park", &["depth_park"], depth_park(1)),
    call!("switch_to", &["depth_switch_to"], depth_switch_to(depth_other())),
    call!("cgocall", &["depth_cgocall"], depth_cgocall(depth_user_c, null_mut())),
    call!("on_system_stack", &["depth_on_system_stack"], depth_on_system_stack(1, 2, 3, 4)),
    call!(
        "callback",
        &["stackgate_asmcgocall", "stackgate_cgocallback"],
        arch::asmcgocall(calls_back, null_mut())
    ),
    call!(
        "exported function",
        &[
            "stackgate_asmcgocall",
            "stackgate_cgocallback",
            "stackgate::hooks::run",
            "depth_exported::managed",
        ],
        arch::asmcgocall(calls_exported, null_mut())
    ),
    call!(
        "stackgate_cgocall_catch",
        &["stackgate_cgocall_catch"],
        {
            let mut thrown = 0;
            stackgate::capi::stackgate_cgocall_catch(Some(depth_user_c), null_mut(), &raw mut thrown)
        },
        "the deepest chain is the one on a system stack, where it is cgocall"
    ),
    call!("stackgate_cgocall_no_callback", &["stackgate_cgocall_no_callback"], {
        stackgate::capi::stackgate_cgocall_no_callback(Some(depth_user_c), null_mut())
    }),
    Path {
        name: "stackgate_throw",
        parts: &["stackgate_throw"],
        // SAFETY: in a task; C throws below it.
        run: Run::Task(|| unsafe {
            let mut thrown = 0;
            stackgate::capi::stackgate_cgocall_catch(
                Some(calls_stackgate_throw),
                null_mut(),
                &raw mut thrown,
            );
            assert_eq!(thrown, 3);
        }),
        why: "",
        arguments: 0,
    },
    call!("stackgate_g_init", &["stackgate_g_init"], {
        with!(it = (G::default(), [0u128; 256]) => {
            let ends = it.1.as_mut_ptr_range();
            stackgate::capi::stackgate_g_init(
                &raw mut it.0,
                ends.start.cast(),
                ends.end.cast(),
                Some(depth_user_entry),
            )
        })
    }),
    call!("stackgate_strerror", &["stackgate_strerror"], stackgate::capi::stackgate_strerror(-3)),
    call!(
        "stackgate_set_hooks",
        &["stackgate_set_hooks"],
        stackgate::capi::stackgate_set_hooks(&raw const HOOKS)
    ),
    call!("stackgate_set_signal_handler", &["stackgate_set_signal_handler"], {
        stackgate::capi::stackgate_set_signal_handler(Some(depth_no_signal))
    }),
    call!("stackgate_set_cgo_traceback", &["stackgate_set_cgo_traceback"], {
        stackgate::capi::stackgate_set_cgo_traceback(0, None, None, None)
    }),
    call!("stackgate_cgocall", &["stackgate_cgocall"], {
        stackgate::capi::stackgate_cgocall(Some(depth_user_c), null_mut())
    }),
    call!("stackgate_yield", &["stackgate_yield"], {
        let mut word = 1;
        stackgate::capi::stackgate_yield(&raw mut word)
    }),
    call!("stackgate_switch_to", &["stackgate_switch_to"], {
        let mut word = 1;
        stackgate::capi::stackgate_switch_to(depth_other(), &raw mut word)
    }),
    call!("stackgate_finish", &["stackgate_finish"], stackgate::capi::stackgate_finish(1)),
    call!("stackgate_topofstack", &["stackgate_topofstack"], stackgate::capi::stackgate_topofstack()),
    Path {
        name: "print of a trace",
        parts: &["depth_print"],
        run: Run::Handler(depth_print),
        why: IN_TABLES,
        arguments: 0,
    },
    Path {
        name: "stackgate_callers",
        parts: &["stackgate_callers"],
        run: Run::Handler(callers_in_handler),
        why: IN_TABLES,
        arguments: 0,
    },
];

/// A path of a wrapper of libc's.
macro_rules! wrapper {
    ($name:literal, $call:expr) => {
        wrapper!($name, $call, "")
    };
    ($name:literal, $call:expr, $why:expr) => {
        call!($name, &[concat!("stackgate_libc::", $name)], $call, $why)
    };
}

/// The path of a wrapper that is dropped.
macro_rules! drops {
    ($name:literal, $make:expr) => {
        call!(
            concat!($name, "::drop"),
            &[concat!("<stackgate_libc::", $name, " as core::ops::drop::Drop>::drop")],
            with!(it = $make => drop(it))
        )
    };
}

/// A wrapper's path that ends the program.
macro_rules! ends {
    ($name:literal, $call:expr) => {
        Path {
            name: $name,
            parts: &[concat!("stackgate_libc::", $name)],
            run: Run::End(|| {
                begins!();
                // SAFETY: `used` has stored where its own process reads it.
                unsafe { END.load(Ordering::Relaxed).write(BEGIN.load(Ordering::Relaxed)) };
                $call
            }),
            why: "",
            arguments: 0,
        }
    };
}

fn thread() -> shim::Thread {
    shim::pthread_self()
}

fn attributes() -> shim::ThreadAttributes {
    shim::ThreadAttributes::new().expect("attributes")
}

fn timer() -> shim::Timer {
    shim::Timer::new(shim::CLOCK_MONOTONIC, &shim::SigEvent::signal(shim::SIGUSR1)).expect("a timer")
}

fn key() -> shim::Key {
    // SAFETY: without a destructor.
    unsafe { shim::Key::new(None) }.expect("a key")
}

fn nowhere() -> shim::OwnedFd {
    shim::open(c"/dev/null", shim::O_RDWR, 0).expect("the file")
}

unsafe extern "C" fn thread_start(_: *mut c_void) -> *mut c_void {
    null_mut()
}

fn page() -> *mut u8 {
    // SAFETY: memory that nobody has.
    unsafe {
        shim::mmap(null_mut(), 1, shim::PROT_READ, shim::MAP_PRIVATE | shim::MAP_ANONYMOUS, -1, 0)
            .expect("a page")
            .as_ptr()
    }
}

/// Of what copies a large structure.
const COPIES: &str = "libc's memcpy is counted with everything that it ever pushes";

/// The wrappers of libc.
const WRAPPERS: &[Path] = &[
    wrapper!("files::open", shim::open(c"/nowhere", 0, 0)),
    wrapper!("files::read", shim::read(-1, &mut [0; 4])),
    wrapper!("files::write", shim::write(-1, b"none")),
    wrapper!("files::poll", shim::poll(&mut [], 0)),
    wrapper!("files::OwnedFd::read", with!(fd = nowhere() => fd.read(&mut [0; 4]))),
    wrapper!("files::OwnedFd::write", with!(fd = nowhere() => fd.write(b"none"))),
    wrapper!("files::OwnedFd::close", with!(fd = nowhere() => fd.close())),
    drops!("files::OwnedFd", nowhere()),
    drops!("time::Timer", timer()),
    drops!("threads::ThreadAttributes", attributes()),
    Path { arguments: 7, ..wrapper!("memory::mmap", shim::mmap(null_mut(), 0, 0, 0, -1, 0)) },
    wrapper!("memory::munmap", with!(page = page() => shim::munmap(page, 1))),
    wrapper!("memory::madvise", shim::madvise(null_mut(), 0, 0)),
    wrapper!("memory::mprotect", shim::mprotect(null_mut(), 0, 0)),
    ends!("process::exit", shim::exit(0)),
    ends!("process::_exit", shim::_exit(0)),
    Path {
        why: "it passes nothing, so that nothing writes to the last words of the frame",
        ..ends!("process::abort", shim::abort())
    },
    wrapper!("process::getpid", shim::getpid()),
    wrapper!("process::getenv", shim::getenv(c"PATH")),
    wrapper!("process::sysconf", shim::sysconf(-1)),
    wrapper!("signals::kill", shim::kill(0, 0)),
    wrapper!("signals::raise_process", shim::raise_process(0)),
    wrapper!("signals::raise_thread", shim::raise_thread(0)),
    wrapper!("signals::sigaction", shim::sigaction(shim::SIGUSR1, None), COPIES),
    wrapper!("signals::pthread_sigmask", shim::pthread_sigmask(0, None), COPIES),
    wrapper!("signals::sigaltstack", shim::sigaltstack(None)),
    wrapper!("time::usleep", shim::usleep(0)),
    wrapper!("time::nanosleep", shim::nanosleep(&shim::Timespec::default(), None)),
    wrapper!("time::clock_gettime", shim::clock_gettime(shim::CLOCK_MONOTONIC)),
    wrapper!("time::setitimer", shim::setitimer(0, &shim::Itimerval::default())),
    wrapper!("time::Timer::new", timer()),
    wrapper!("time::Timer::set", with!(timer = timer() => timer.set(0, &shim::Itimerspec::default()))),
    wrapper!("threads::ThreadAttributes::new", shim::ThreadAttributes::new()),
    wrapper!("threads::ThreadAttributes::of", with!(thread = thread() => shim::ThreadAttributes::of(thread))),
    wrapper!("threads::ThreadAttributes::stack", with!(a = attributes() => a.stack())),
    wrapper!("threads::ThreadAttributes::set_stack_size", with!(a = attributes() => a.set_stack_size(0))),
    wrapper!("threads::ThreadAttributes::set_detached", with!(a = attributes() => a.set_detached(true))),
    wrapper!(
        "threads::pthread_create",
        with!(a = attributes() => shim::pthread_create(&a, thread_start, null_mut()))
    ),
    wrapper!("threads::pthread_self", shim::pthread_self()),
    wrapper!("threads::pthread_kill", with!(thread = thread() => shim::pthread_kill(thread, 0))),
    wrapper!("threads::pthread_atfork", shim::pthread_atfork(None, None, None)),
    wrapper!("threads::Key::new", shim::Key::new(None)),
    wrapper!("threads::Key::set", with!(key = key() => key.set(null_mut()))),
    wrapper!("threads::Key::get", with!(key = key() => key.get())),
];

/// Every path that an input is known for.
pub fn paths() -> impl Iterator<Item = &'static Path> {
    PATHS.iter().chain(WRAPPERS)
}

unsafe extern "C" fn callers_in_handler(_: *mut c_void) {
    let mut pcs = [0; 8];
    begins!();
    // SAFETY: room for eight.
    _ = black_box(unsafe { stackgate::capi::stackgate_callers(0, pcs.as_mut_ptr(), pcs.len()) });
}

/// The lowest byte that is no longer paint.
fn lowest(stack: &[u8]) -> usize {
    let at = stack.iter().position(|&byte| byte != PAINT).expect("the path wrote something");
    stack.as_ptr().addr() + at
}

fn painted() -> Box<[u128]> {
    vec![u128::from_ne_bytes([PAINT; 16]); SIZE / 16].into_boxed_slice()
}

fn bytes(stack: &[u128]) -> &[u8] {
    // SAFETY: bytes of words.
    unsafe { core::slice::from_raw_parts(stack.as_ptr().cast(), size_of_val(stack)) }
}

/// Runs a path on a painted stack and returns how many bytes below its caller's SP it wrote.
///
/// With hooks, which a call has more to do for.
pub fn used(path: &Path) -> usize {
    // SAFETY: they use no stack and do nothing.
    _ = unsafe { stackgate::set_hooks(&HOOKS) };
    unsafe extern "C" fn entry(f: usize) -> usize {
        let f = core::ptr::with_exposed_provenance::<fn()>(f);
        // SAFETY: `used` passes the address of a function.
        unsafe { (*f)() };
        0
    }
    match path.run {
        Run::Task(f) => adopted(|_| {
            let mut other = Task::new(SIZE, parks);
            OTHER.store(other.at(), Ordering::Relaxed);
            let mut task = Task::on(painted(), entry);
            let mut word = (&raw const f).expose_provenance();
            while let Resumed::Parked(_) = task.resume(word) {
                word = 0;
            }
            BEGIN.load(Ordering::Relaxed).saturating_sub(lowest(bytes(task.stack())))
        }),
        Run::Start(f) => adopted(|_| {
            let mut task = Task::on(painted(), f);
            task.resume(0);
            bytes(task.stack()).as_ptr_range().end.addr() - lowest(bytes(task.stack()))
        }),
        Run::End(f) => in_child(f),
        Run::Handler(f) => in_handler(f),
    }
}

/// Runs `f`, which ends the program, in a process of its own, on a painted stack that both processes have.
fn in_child(f: fn() -> !) -> usize {
    unsafe extern "C" fn entry(f: usize) -> usize {
        let f = core::ptr::with_exposed_provenance::<fn() -> !>(f);
        // SAFETY: `in_child` passes the address of a function.
        unsafe { (*f)() }
    }
    let word = size_of::<u128>();
    // SAFETY: new memory, first of all a word for SP and then the stack, which lives as long as the process.
    let (begin, stack) = unsafe {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let shared = libc::mmap(null_mut(), SIZE + word, access, flags, -1, 0);
        assert_ne!(shared, libc::MAP_FAILED, "shared memory");
        shared.cast::<u8>().add(word).write_bytes(PAINT, SIZE);
        (
            shared.cast::<usize>(),
            core::ptr::slice_from_raw_parts_mut(shared.cast::<u128>().add(1), SIZE / word),
        )
    };
    END.store(begin, Ordering::Relaxed);
    // SAFETY: the child has this thread alone and runs the path; the parent waits for it.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            adopted(|_| {
                // Never dropped: the process ends first.
                Task::on(Box::from_raw(stack), entry).resume((&raw const f).expose_provenance());
            });
            libc::_exit(77);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert!(
            !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) == 0,
            "the path came back: {status:#x}"
        );
        begin.read().saturating_sub(lowest(bytes(&*stack)))
    }
}

/// What the handler runs.
static TRACED: AtomicUsize = AtomicUsize::new(0);

/// Runs `f` in a signal handler on a painted stack, which interrupts C that a callback called, with hooks set.
fn in_handler(f: unsafe extern "C" fn(*mut c_void)) -> usize {
    unsafe extern "C" fn handler(ucontext: *mut c_void) {
        let f = TRACED.load(Ordering::Relaxed);
        begins!();
        // SAFETY: `in_handler` stores such a function.
        unsafe {
            core::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut c_void)>(
                core::ptr::with_exposed_provenance(f),
            )(ucontext);
        }
        black_box(());
    }
    // SAFETY: the three functions are what they have to be, in handlers too.
    unsafe {
        traceback::set_cgo_traceback(
            0,
            Some(depth_user_traceback),
            Some(depth_user_context),
            Some(depth_user_symbolizer),
        )
    }
    .expect("the first set");
    TRACED.store((f as *const ()).expose_provenance(), Ordering::Relaxed);
    let mut stack = painted();
    let (start, size) = (stack.as_mut_ptr(), size_of_val(&*stack));
    crate::setup::in_task(|| {
        crate::setup::in_c(|| {
            crate::setup::in_callback(|| {
                crate::setup::in_c(|| {
                    // SAFETY: the stack outlives the handler.
                    assert_eq!(
                        // SAFETY: the memory is the handler's alone.
                        unsafe { depth_in_handler(handler, start.cast(), size) },
                        0,
                        "the handler ran"
                    );
                });
            });
        });
    });
    BEGIN.load(Ordering::Relaxed).saturating_sub(lowest(bytes(&stack)))
}

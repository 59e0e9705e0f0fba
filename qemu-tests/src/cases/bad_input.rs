//! Mistakes get an error that says what to do, or end the program by name.

use crate::setup::{Task, adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::c_void;
use stackgate::{
    AdoptError, G, GState, InitError, M, ParkError, PlatformError, ReleaseError, ResumeError, StackError,
    current_g, finish, g_init, m_adopt, m_release, notify_runtime_init_done, park, resume,
    runtime_init_begin, stack_moved,
};

unsafe extern "C" fn entry(word: usize) -> usize {
    word
}

unsafe extern "C" fn parks(word: usize) -> usize {
    park(word).expect("a task parks")
}

/// The error, which has a text that says what to do.
fn error<T: core::fmt::Debug, E: core::fmt::Display>(result: Result<T, E>) -> E {
    let error = result.expect_err("a mistake");
    check!(error.to_string().len() > 20, "{error}");
    error
}

fn adopt_null() {
    // SAFETY: refused.
    check_eq!(error(unsafe { m_adopt(core::ptr::null_mut()) }), AdoptError::BadAddress);
}

fn adopt_misaligned() {
    let mut memory = [0u64; 200];
    let at = (&raw mut memory).cast::<M>().wrapping_byte_add(1);
    // SAFETY: refused.
    check_eq!(error(unsafe { m_adopt(at) }), AdoptError::BadAddress);
}

fn adopt_twice() {
    adopted(|_| {
        let mut m: Box<M> = Box::default();
        // SAFETY: refused.
        check_eq!(error(unsafe { m_adopt(&raw mut *m) }), AdoptError::AlreadyAnM);
    });
}

fn release_without() {
    check_eq!(error(m_release()), ReleaseError::NotOnG0);
}

fn release_in_a_task() {
    in_task(|| check_eq!(error(m_release()), ReleaseError::NotOnG0));
}

fn release_in_c() {
    in_task(|| in_c(|| check_eq!(error(m_release()), ReleaseError::InUse)));
}

/// Tries a stack of `size` bytes that begins `shift` bytes into its memory.
fn stack(shift: usize, size: isize) -> Result<(), StackError> {
    let mut memory = vec![0u128; 1 << 12];
    let limit = memory.as_mut_ptr().cast::<u8>().wrapping_add(shift + 4096);
    let mut g = G::default();
    // SAFETY: refused, or not resumed.
    unsafe { g_init(&raw mut g, limit, limit.wrapping_offset(size), entry) }
}

fn g_null() {
    // SAFETY: refused.
    let result =
        unsafe { g_init(core::ptr::null_mut(), core::ptr::null_mut(), core::ptr::null_mut(), entry) };
    check_eq!(error(result), StackError::BadAddress);
}

fn g_misaligned() {
    let mut memory = [0u64; 100];
    let at = (&raw mut memory).cast::<G>().wrapping_byte_add(2);
    // SAFETY: refused.
    let result = unsafe { g_init(at, core::ptr::null_mut(), core::ptr::null_mut(), entry) };
    check_eq!(error(result), StackError::BadAddress);
}

fn stack_misaligned() {
    for shift in (1..16).filter(|shift| shift % stackgate::STACK_ALIGN != 0) {
        check_eq!(error(stack(shift, 8192)), StackError::Misaligned);
        check_eq!(error(stack(0, 8192 + shift as isize)), StackError::Misaligned);
    }
}

fn stack_inverted() {
    check_eq!(error(stack(0, -16)), StackError::Inverted);
    check_eq!(error(stack(0, -4096)), StackError::Inverted);
}

fn stack_too_small() {
    check_eq!(error(stack(0, 0)), StackError::TooSmall);
    check_eq!(error(stack(0, stackgate::MIN_STACK as isize - 16)), StackError::TooSmall);
    check_eq!(stack(0, stackgate::MIN_STACK as isize), Ok(()));
}

fn the_smallest_stack_works() {
    adopted(|_| {
        let mut task = Task::new(stackgate::MIN_STACK, entry);
        check_eq!(task.resume(5), stackgate::Resumed::Finished(5));
    });
}

fn init_a_parked_one() {
    adopted(|_| {
        let mut task = Task::new(8192, parks);
        task.resume(1);
        let stack = task.g.stack;
        let ends = [stack.limit, stack.top].map(|e| stackgate::arch::frame::Word::get(e) as usize);
        let [limit, top] = ends.map(core::ptr::with_exposed_provenance_mut);
        // SAFETY: refused.
        let result = unsafe { g_init(&raw mut *task.g, limit, top, entry) };
        check_eq!(error(result), StackError::InUse);
        task.resume(2);
    });
}

fn resume_without_m() {
    let mut task = Task::new(8192, entry);
    // SAFETY: refused.
    check_eq!(error(unsafe { resume(&raw mut *task.g, 0) }), ResumeError::NoM);
}

fn resume_in_a_task() {
    in_task(|| {
        let mut task = Task::new(8192, entry);
        // SAFETY: refused.
        check_eq!(error(unsafe { resume(&raw mut *task.g, 0) }), ResumeError::NotOnG0);
    });
}

fn resume_in_c() {
    in_task(|| {
        in_c(|| {
            let mut task = Task::new(8192, entry);
            // SAFETY: refused.
            check_eq!(error(unsafe { resume(&raw mut *task.g, 0) }), ResumeError::Busy);
        });
    });
}

fn resume_a_finished_one() {
    adopted(|_| {
        let mut task = Task::new(8192, entry);
        task.resume(0);
        // SAFETY: refused.
        check_eq!(error(unsafe { resume(&raw mut *task.g, 0) }), ResumeError::NotParked);
    });
}

fn resume_an_uninitialised_one() {
    adopted(|_| {
        let mut g = G::default();
        // SAFETY: refused.
        check_eq!(error(unsafe { resume(&raw mut g, 0) }), ResumeError::NotParked);
    });
}

fn resume_a_running_one() {
    unsafe extern "C" fn runs(_: usize) -> usize {
        let g = Other(current_g().expect("a task"));
        // It is in C, and the other m runs nothing.
        in_c(|| {
            let other = move || {
                let Other(g) = { g };
                // SAFETY: refused.
                adopted(|_| check_eq!(error(unsafe { resume(g, 0) }), ResumeError::NotParked));
            };
            std::thread::spawn(other).join().expect("the thread");
        });
        0
    }
    adopted(|_| {
        let mut task = Task::new(64 << 10, runs);
        check_eq!(task.resume(0), stackgate::Resumed::Finished(0));
    });
}

/// A g that another thread only asks for.
#[derive(Clone, Copy)]
struct Other(*mut G);
// SAFETY: it is refused there.
unsafe impl Send for Other {}

fn finish_without_g() {
    // SAFETY: refused.
    check_eq!(error(unsafe { finish(0) }), ParkError::NotATask);
}

fn finish_on_g0() {
    // SAFETY: refused.
    adopted(|_| check_eq!(error(unsafe { finish(0) }), ParkError::NotATask));
}

fn finish_in_c() {
    // SAFETY: refused.
    in_task(|| in_c(|| check_eq!(error(unsafe { finish(0) }), ParkError::NotATask)));
}

fn finish_below_c() {
    in_task(|| {
        // SAFETY: refused.
        in_c(|| in_callback(|| check_eq!(error(unsafe { finish(0) }), ParkError::BelowC)));
        // And nothing has changed: it parks below C no better than before, and finishes by itself.
        let g = current_g().expect("a task");
        // SAFETY: this thread's g.
        check_eq!(stackgate::arch::frame::Word::get(unsafe { (*g).state }), GState::Running as u64);
    });
}

fn resume_itself_from_c() {
    in_task(|| {
        let g = current_g().expect("a task");
        // SAFETY: refused.
        in_c(|| check_eq!(error(unsafe { resume(g, 0) }), ResumeError::Busy));
    });
}

fn park_without_g() {
    check_eq!(error(park(0)), ParkError::NotATask);
}

fn park_on_g0() {
    adopted(|_| check_eq!(error(park(0)), ParkError::NotATask));
}

fn park_in_c() {
    in_task(|| in_c(|| check_eq!(error(park(0)), ParkError::NotATask)));
}

fn park_below_c() {
    in_task(|| in_c(|| in_callback(|| check_eq!(error(park(0)), ParkError::BelowC))));
}

fn init_ends_before_it_begins() {
    check_eq!(error(notify_runtime_init_done()), InitError::NotBegun);
}

fn init_begins_twice() {
    check_eq!(runtime_init_begin(), Ok(()));
    check_eq!(error(runtime_init_begin()), InitError::Begun);
    check_eq!(notify_runtime_init_done(), Ok(()));
}

fn a_second_platform() {
    check_eq!(error(stackgate::set_platform(&stackgate_libc::Hosted)), PlatformError::AlreadySet);
}

fn move_to_a_bad_stack() {
    let mut task = Task::new(8192, entry);
    let g = &raw mut *task.g;
    let mut memory = vec![0u128; 1024];
    let at = memory.as_mut_ptr().cast::<u8>();
    // SAFETY: all refused.
    unsafe {
        check_eq!(error(stack_moved(core::ptr::null_mut(), at, at)), StackError::BadAddress);
        check_eq!(error(stack_moved(g, at.add(16), at)), StackError::Inverted);
        check_eq!(error(stack_moved(g, at.add(1), at.add(8192))), StackError::Misaligned);
        check_eq!(error(stack_moved(g, at, at.add(1024))), StackError::TooSmall);
    }
}

unsafe extern "C" fn nothing(_: *mut c_void, _: usize, _: usize) {}

fn cgocallback_here() {
    // SAFETY: ends the program.
    unsafe { stackgate::cgocallback(nothing, core::ptr::null_mut(), 0, 0) };
}

fn callback_while_nothing_runs() {
    adopted(|_| cgocallback_here());
}

fn callback_from_an_uncrossed_call() {
    in_task(cgocallback_here);
}

fn callback_from_a_signal_stack() {
    adopted(|m| {
        // SAFETY: gsignal stands for this stack until the program ends.
        unsafe { stackgate::arch::setg(&raw mut (*m).gsignal) };
        cgocallback_here();
    });
}

fn callback_before_initialisation() {
    runtime_init_begin().expect("nobody has begun");
    in_task(|| in_c(|| in_callback(|| ())));
}

fn callback_of_null() {
    in_task(|| {
        in_c(|| {
            // SAFETY: none: this is the mistake.
            let null = unsafe { core::mem::transmute::<usize, Option<stackgate::CallbackFn>>(0) };
            // SAFETY: refused by name.
            unsafe { stackgate::capi::stackgate_enter(null, core::ptr::null_mut(), 0) };
        });
    });
}

fn call_of_null() {
    in_task(|| {
        // SAFETY: refused by name.
        unsafe { stackgate::capi::stackgate_cgocall(None, core::ptr::null_mut()) };
    });
}

fn catching_call_of_null() {
    let mut thrown = 0;
    // SAFETY: refused by name.
    unsafe { stackgate::capi::stackgate_cgocall_catch(None, core::ptr::null_mut(), &raw mut thrown) };
}

fn call_of_null_without_callbacks() {
    // SAFETY: refused by name.
    unsafe { stackgate::capi::stackgate_cgocall_no_callback(None, core::ptr::null_mut()) };
}

/// A platform that remembers what is written to it, a write at a time.
struct Remembers;

static WRITTEN: std::sync::Mutex<Vec<Vec<u8>>> = std::sync::Mutex::new(Vec::new());

impl stackgate::Platform for Remembers {
    fn write(&self, message: &[u8]) {
        WRITTEN.lock().expect("one thread").push(message.to_vec());
    }
    fn abort(&self) -> ! {
        std::process::abort()
    }
    fn thread_id(&self) -> usize {
        1
    }
    fn wait(&self, _: &core::sync::atomic::AtomicU32, _: u32) -> bool {
        false
    }
    fn wake(&self, _: &core::sync::atomic::AtomicU32) {}
    fn errno(&self) -> Option<stackgate::ErrnoFn> {
        None
    }
}

fn messages_are_written_a_line_at_a_time() {
    use core::fmt::Write as _;
    let mut console = stackgate::Console::of(&Remembers);
    write!(console, "a{}b{:?}\nc", 1, "d").expect("it takes everything");
    console.bytes(b"\xff\n");
    console.bytes(&[b'x'; 300]);
    drop(console);
    let written = WRITTEN.lock().expect("one thread");
    check_eq!(written[0], b"a1b\"d\"\n", "parts of one line");
    check_eq!(written[1], b"c\xff\n", "bytes that are no text");
    check_eq!(written[2..].concat(), [b'x'; 300], "nothing is lost of a long line");
    check_eq!(written.len(), 4, "which takes two");
}

cases! {
    "bad input";
    "adopt null" => adopt_null;
    "adopt misaligned" => adopt_misaligned;
    "adopt twice" => adopt_twice;
    "release without adopting" => release_without;
    "release in a task" => release_in_a_task;
    "release in C" => release_in_c;
    "g null" => g_null;
    "g misaligned" => g_misaligned;
    "stack misaligned" => stack_misaligned;
    "stack inverted" => stack_inverted;
    "stack too small" => stack_too_small;
    "smallest stack" => the_smallest_stack_works;
    "init a parked g" => init_a_parked_one;
    "resume without m" => resume_without_m;
    "resume in a task" => resume_in_a_task;
    "resume in C" => resume_in_c;
    "resume a finished g" => resume_a_finished_one;
    "resume a blank g" => resume_an_uninitialised_one;
    "resume a running g" => resume_a_running_one;
    "resume itself" => resume_itself_from_c;
    "park without g" => park_without_g;
    "park on g0" => park_on_g0;
    "park in C" => park_in_c;
    "park below C" => park_below_c;
    "finish without g" => finish_without_g;
    "finish on g0" => finish_on_g0;
    "finish in C" => finish_in_c;
    "finish below C" => finish_below_c;
    "init ends first" => init_ends_before_it_begins;
    "init begins twice" => init_begins_twice;
    "second platform" => a_second_platform;
    "move to a bad stack" => move_to_a_bad_stack;
    "callback while nothing runs" (fatal "callback while no g runs on this m") => callback_while_nothing_runs;
    "callback from an uncrossed call" (fatal "callback on a g that is not g0") => callback_from_an_uncrossed_call;
    "callback from a signal stack" (fatal "callback from a signal handler") => callback_from_a_signal_stack;
    "callback before initialisation" (fatal "callback before initialisation") => callback_before_initialisation;
    "null callback" (fatal "callback of a null function") => callback_of_null;
    "null call" (fatal "call of a null function") => call_of_null;
    "null call that catches" (fatal "pass a function to cgocall_catch") => catching_call_of_null;
    "null call without callbacks" (fatal "pass a function to cgocall_no_callback") => call_of_null_without_callbacks;
    "messages are whole lines" => messages_are_written_a_line_at_a_time;
}

//! Repeats one operation, so that its guest instructions can be counted: `count --list`, `count OP N`.

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use qemu_tests::setup::{Task, adopted, in_c, in_task};
use stackgate::traceback::{Traceback, Walker};
use stackgate::{arch, cgocall, enter};

// In C, and without a frame: the least that can be called.
unsafe extern "C" {
    #[link_name = "count_empty"]
    fn empty(arg: *mut c_void) -> c_int;
    #[link_name = "count_context"]
    fn context(arg: *mut stackgate::traceback::ContextArg);
    #[link_name = "count_empty_managed"]
    fn empty_managed(frame: *mut c_void, n: usize, ctxt: usize);
    #[link_name = "count_empty_system"]
    fn empty_system(arg: *mut c_void);
}

stackgate::export! {
    /// The least that C can call.
    pub extern "C" fn count_exported() {}

    /// A word in, a word out.
    pub extern "C" fn count_exported_word(word: isize) -> isize { word }
}

/// Repeats `$body` `n` times in a task.
macro_rules! task {
    ($n:ident, $body:expr) => {
        in_task(|| {
            for _ in 0..$n {
                $body;
            }
        })
    };
}

/// Repeats `$body` `n` times in C that a task called.
macro_rules! c {
    ($n:ident, $body:expr) => {
        in_task(|| {
            in_c(|| {
                for _ in 0..$n {
                    $body;
                }
            })
        })
    };
}

unsafe extern "C" fn parks(_: usize) -> usize {
    loop {
        // SAFETY: in a task, not below C.
        unsafe { arch::park(0) };
    }
}

/// Parks, and then switches to another task as often as it is told to, both of them together.
unsafe extern "C" fn switches(other: usize) -> usize {
    let other = core::ptr::with_exposed_provenance_mut(other);
    // SAFETY: in a task, not below C; the other one is parked.
    unsafe {
        let mut left = arch::park(0);
        while left > 0 {
            left = arch::switch_to(other, left - 1);
        }
        loop {
            arch::park(0);
        }
    }
}

/// Calls C that calls back, `levels` deep.
fn nested(levels: usize) {
    unsafe extern "C" fn c(levels: *mut c_void) -> c_int {
        // SAFETY: C below a task.
        unsafe { enter(managed, levels, 0) };
        0
    }
    unsafe extern "C" fn managed(levels: *mut c_void, _: usize, _: usize) {
        let levels = levels.addr();
        if levels > 0 {
            // SAFETY: `c` takes a number.
            unsafe { cgocall(c, core::ptr::without_provenance_mut(levels - 1)) };
        }
    }
    if levels > 0 {
        // SAFETY: `c` takes a number.
        unsafe { cgocall(c, core::ptr::without_provenance_mut(levels - 1)) };
    }
}

type Operation = (&'static str, fn(usize));

const OPERATIONS: &[Operation] = &[
    // SAFETY: `empty` takes anything.
    ("C call", |n| task!(n, unsafe { black_box(empty as stackgate::CFn)(core::ptr::null_mut()) })),
    // SAFETY: as above.
    ("asmcgocall", |n| task!(n, unsafe { arch::asmcgocall(empty, core::ptr::null_mut()) })),
    // SAFETY: as above.
    ("systemstack", |n| task!(n, unsafe { arch::systemstack(empty_system, core::ptr::null_mut()) })),
    // SAFETY: as above.
    ("cgocall", |n| task!(n, unsafe { cgocall(empty, core::ptr::null_mut()) })),
    // SAFETY: `empty_managed` takes anything.
    ("cgocallback", |n| c!(n, unsafe { arch::cgocallback(empty_managed, core::ptr::null_mut(), 0, 0) })),
    // SAFETY: as above.
    ("crosscall2", |n| c!(n, unsafe { arch::crosscall2(empty_managed, core::ptr::null_mut(), 0, 0) })),
    ("callback", |n| c!(n, count_exported())),
    ("callback, word to word", |n| c!(n, black_box(count_exported_word(black_box(3))))),
    ("callback with a context", |n| {
        traceback_hooks();
        c!(n, count_exported());
    }),
    // The main thread has no m of its own: its first callback attaches one.
    ("callback on a foreign thread", |n| (0..n).for_each(|_| count_exported())),
    ("attach, callback, detach", threads),
    ("nesting to 16, per level", |n| {
        in_task_of(64 << 10, move || {
            // What remains is the same for each `n` that is counted.
            (0..n / 16).for_each(|_| nested(16));
            nested(n % 16);
        });
    }),
    ("nesting, per level", |n| {
        // The same memory for each `n`, since it is zeroed.
        in_task_of(6 << 20, move || nested(n));
    }),
    ("resume and park", |n| {
        adopted(|_| {
            let mut task = Task::new(16 << 10, parks);
            for _ in 0..n {
                // SAFETY: parked, and nobody else has it.
                unsafe { arch::resume(&raw mut *task.g, 0) };
            }
        });
    }),
    #[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "arm", target_arch = "aarch64"))]
    ("corosensei's resume and suspend", |n| {
        let mut task = corosensei::Coroutine::<usize, usize, ()>::new(|yielder, _| {
            loop {
                yielder.suspend(0);
            }
        });
        (0..n).for_each(|_| _ = task.resume(0));
    }),
    ("switch to a task", |n| {
        adopted(|_| {
            let mut tasks = [Task::new(16 << 10, switches), Task::new(16 << 10, switches)];
            let [one, other] = tasks.each_mut().map(Task::at);
            // SAFETY: parked, and nobody else has them.
            unsafe {
                arch::resume(one, other.expose_provenance());
                arch::resume(other, one.expose_provenance());
                // The other way round it comes back: each switch is one task's.
                arch::resume(one, n);
            }
        });
    }),
    ("traceback by records, per frame", |n| traced(Walker::Records, n)),
    ("traceback by tables, per frame", |n| traced(Walker::Tables, n)),
];

/// As many as are ever asked for.
const MOST: usize = 11_000;

/// Makes as many threads whatever `n` is, so that making them is not counted; `n` of them call in.
fn threads(n: usize) {
    assert!(n <= MOST, "no more than {MOST}");
    for i in 0..MOST {
        let run = move || {
            if i < n {
                count_exported();
            }
        };
        std::thread::spawn(run).join().expect("the thread");
    }
}

/// Takes the innermost `n` frames of a stack that has as many whatever `n` is.
fn traced(walker: Walker, n: usize) {
    // Apart, so that the many frames do not each have room for a traceback.
    #[inline(never)]
    fn take(walker: Walker, n: usize) -> usize {
        Traceback::current_by(walker).take(n).count()
    }
    #[inline(never)]
    fn down(levels: usize, walker: Walker, n: usize) -> usize {
        if levels == 0 {
            return take(walker, n);
        }
        black_box(down(black_box(levels) - 1, walker, n))
    }
    assert!(n <= MOST, "no more than {MOST}");
    stackgate_libc::register_own_tables();
    in_task_of(4 << 20, move || assert_eq!(down(MOST, walker, n), n));
}

/// Sets the context function of count.c.
fn traceback_hooks() {
    // SAFETY: the function is what it has to be.
    unsafe { stackgate::traceback::set_cgo_traceback(0, None, Some(context), None) }.expect("the first set");
}

/// Runs `f` in a task on a stack of `size` bytes, on a thread with as much.
fn in_task_of(size: usize, f: impl FnOnce() + Send + 'static) {
    unsafe extern "C" fn entry(f: usize) -> usize {
        let f: *mut Option<Box<dyn FnOnce() + Send>> = core::ptr::with_exposed_provenance_mut(f);
        // SAFETY: `in_task_of` passes it, and waits.
        unsafe { (*f).take() }.expect("the function")();
        0
    }
    let mut f: Option<Box<dyn FnOnce() + Send>> = Some(Box::new(f));
    std::thread::Builder::new()
        .stack_size(size + (64 << 10))
        .spawn(move || {
            adopted(|_| Task::new(size & !15, entry).resume((&raw mut f).expose_provenance()));
        })
        .expect("a thread")
        .join()
        .expect("the function");
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            for (name, _) in OPERATIONS {
                println!("{name}");
            }
            0.into()
        }
        [name, n] => {
            let (Some((_, run)), Ok(n)) = (OPERATIONS.iter().find(|(known, _)| *known == name), n.parse())
            else {
                eprintln!("no operation is called {name}, or {n} is not a number: count --list names them");
                return 2.into();
            };
            stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
            run(n);
            0.into()
        }
        _ => {
            eprintln!("usage: count --list | count OPERATION N");
            2.into()
        }
    }
}

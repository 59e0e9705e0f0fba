//! A managed stack that is moved while C runs.
//!
//! The managed caller is assembly, whose frame holds no address of its own stack but its frame record's link,
//! so that its stack can be moved at all; compiled Rust would keep addresses wherever it likes.

use crate::cases::nesting::through;
use crate::movable::Movable;
use crate::setup::adopted;
use crate::variants::is_readable;
use crate::{cases, check, check_eq, cpu};
use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use stackgate::arch::frame::Word;
use stackgate::traceback::{Stop, Traceback, Walker};
use stackgate::{G, Resumed, arch, g_init, resume, stack_moved, topofstack};

const SIZE: usize = 64 << 10;

/// A task whose stack can be moved between several memories.
struct MovableTask {
    g: Box<G>,
    stacks: Vec<Box<[u128]>>,
    now: usize,
}

impl MovableTask {
    fn new() -> Self {
        let mut task =
            Self { g: Box::default(), stacks: (0..4).map(|_| vec![0; SIZE / 16].into()).collect(), now: 0 };
        let (limit, top) = task.ends(0);
        // SAFETY: both live as long as the task.
        unsafe { g_init(&raw mut *task.g, limit, top, cpu::movable) }.expect("a good stack");
        task
    }

    fn ends(&mut self, i: usize) -> (*mut u8, *mut u8) {
        let ends = self.stacks[i].as_mut_ptr_range();
        (ends.start.cast(), ends.end.cast())
    }

    /// Copies the stack to the next memory, tells stackgate, repairs the managed frames' links, and fills the
    /// old one with junk.
    fn move_on(&mut self) {
        let all = self.ends(self.now).0.addr();
        self.moved(Some(all));
        check_eq!(topofstack(), self.ends(self.now).1.addr(), "C sees where the top is now");
    }

    /// As [`move_on`](Self::move_on), of a g that a function has left; `linked` says whether links are repaired,
    /// without which it runs as well, and nobody sees who has called.
    fn left_moved(&mut self, linked: bool) {
        // The words above what the function keeps are managed code's. On s390x it keeps that in the frame that it
        // was passed, which begins with managed code's link.
        let kept = if arch::BEGIN_BELOW_BASE == 0 {
            offset_of!(arch::Crosscall2Frame, saved)
        } else {
            size_of::<arch::SwitchFrame>() + size_of::<arch::Crosscall2Frame>()
        };
        self.moved(linked.then_some(Word::get(self.g.sched.sp) as usize + kept));
    }

    /// Moves the stack; `links` says from where on managed frames' links are repaired.
    fn moved(&mut self, links: Option<usize>) {
        let (old_limit, old_top) = self.ends(self.now);
        self.now = (self.now + 1) % self.stacks.len();
        let (limit, top) = self.ends(self.now);
        // SAFETY: this runs on the system stack, while the g is in C or left; all of the stack is copied.
        unsafe {
            is_readable(old_limit, SIZE);
            limit.copy_from_nonoverlapping(old_limit, SIZE);
            if let Some(links) = links {
                cpu::relink(limit.add(links - old_limit.addr()), top, old_limit, old_top);
            }
            stack_moved(&raw mut *self.g, limit, top).expect("a good stack");
            old_limit.write_bytes(0xa5, SIZE);
        }
    }

    /// Checks that each walker finds the way out of a g that nobody runs.
    fn is_walked(&self, what: &str) {
        for walker in [Walker::Records, Walker::Tables] {
            // SAFETY: nobody runs it.
            let mut trace = unsafe { Traceback::of_by(walker, &*self.g) };
            let managed = trace.by_ref().filter(|pc| pc.managed && in_movable(pc.lookup())).count();
            check_eq!((managed, trace.stop()), (1, Some(Stop::End)), "{what}: by {walker:?}");
        }
    }
}

/// What `movable` calls: C, which finds the task.
struct Job {
    task: *mut MovableTask,
    /// Moves at this many nested levels.
    levels: usize,
}

/// How many callbacks the case goes down.
static DEEPEST: AtomicUsize = AtomicUsize::new(0);

/// Checks, in C on a stack that has just been moved, that libgcc's unwinder and both walkers still find the
/// way: `levels` are left to go.
fn unwound(levels: usize) {
    let below = DEEPEST.load(Ordering::Relaxed) - levels;
    let mut wanted = vec![];
    for _ in 0..below {
        wanted.extend(["stackgate_asmcgocall", "stackgate_cgocallback"]);
    }
    wanted.extend(["stackgate_asmcgocall", "stackgate_g_start"]);
    crate::cases::unwinding::come_in_order(&crate::cases::unwinding::names(), &wanted);
    for walker in [Walker::Records, Walker::Tables] {
        let mut trace = Traceback::current_by(walker);
        let managed = trace.by_ref().filter(|pc| pc.managed && in_movable(pc.lookup())).count();
        check_eq!(managed, below + 1, "managed frames by {walker:?}, which ended: {:?}", trace.stop());
    }
}

/// Whether `pc` is in one of the two functions whose stack is moved.
fn in_movable(pc: usize) -> bool {
    [cpu::movable as *const (), cpu::movable_callback as *const ()].iter().any(|f| {
        // Bit 0 is the Thumb bit where there is one.
        let known = crate::symbols::functions().iter().find(|known| known.entry == f.addr() & !1);
        known.is_some_and(|known| (known.entry..known.end).contains(&pc))
    })
}

/// C that moves the stack that called it, then calls back code that calls C again.
unsafe extern "C" fn moves(job: *mut c_void) -> c_int {
    // SAFETY: the case's job, which no stack of the task holds.
    let job = unsafe { &mut *job.cast::<Job>() };
    // SAFETY: as above.
    unsafe { (*job.task).move_on() };
    unwound(job.levels);
    if job.levels > 0 {
        job.levels -= 1;
        // SAFETY: `movable_callback` calls `moves` with the job.
        unsafe {
            arch::cgocallback(cpu::movable_callback, (&raw mut *job).cast(), moves as *const () as usize, 0)
        };
        // SAFETY: as above.
        unsafe { (*job.task).move_on() };
    }
    11
}

fn moved_at(levels: usize) {
    DEEPEST.store(levels, Ordering::Relaxed);
    adopted(|_| {
        let mut task = MovableTask::new();
        let mut job = Job { task: &raw mut task, levels };
        let mut block = Movable::new(moves, (&raw mut job).cast());
        let g = &raw mut *task.g;
        // SAFETY: nobody else has the g.
        let out = unsafe { resume(g, (&raw mut block).expose_provenance()) };
        check_eq!(out, Ok(Resumed::Finished(11)), "what the moved code returns");
        check_eq!(block.result, 11, "what C returned to moved code");
        check_eq!(block.locals, [0x1122_3344, 0x5566_7788], "locals of the moved frame");
        check_eq!(job.levels, 0, "levels left");
    });
}

fn parked() {
    DEEPEST.store(1, Ordering::Relaxed);
    adopted(|_| {
        let mut task = MovableTask::new();
        let g = &raw mut *task.g;
        // Before its first run, the stack holds only the base frame.
        let (old_limit, old_top) = task.ends(0);
        let (limit, top) = task.ends(1);
        task.now = 1;
        // SAFETY: the g is parked.
        unsafe {
            is_readable(old_limit, SIZE);
            limit.copy_from_nonoverlapping(old_limit, SIZE);
            stack_moved(g, limit, top).expect("a good stack");
            old_limit.write_bytes(0xa5, SIZE);
        }
        check!(old_top != top);
        let mut job = Job { task: &raw mut task, levels: 1 };
        let mut block = Movable::new(moves, (&raw mut job).cast());
        // SAFETY: nobody else has the g.
        let out = unsafe { resume(g, (&raw mut block).expose_provenance()) };
        check_eq!(out, Ok(Resumed::Finished(11)));
    });
}

/// The functions that keep their caller's registers on the stack: its frame pointer among them.
fn parked_by_a_function() {
    for linked in [false, true] {
        adopted(|_| {
            let mut task = MovableTask::new();
            let mut block = Movable::new(moves, core::ptr::null_mut());
            block.through = arch::park_full as *const () as usize;
            block.f = 5;
            let g = &raw mut *task.g;
            let word = (&raw mut block).expose_provenance();
            // SAFETY: nobody else has the g.
            unsafe {
                check_eq!(resume(g, word), Ok(Resumed::Parked(5)), "it calls `stackgate_park`");
                for _ in 0..3 {
                    task.left_moved(linked);
                    if linked {
                        task.is_walked("stackgate_park");
                    }
                }
                check_eq!(resume(g, 7), Ok(Resumed::Finished(7)), "it goes on where it is now");
            }
            check_eq!(block.result, 7, "what `stackgate_park` returned to moved code");
            check_eq!(block.locals, [0x1122_3344, 0x5566_7788], "locals of the moved frame");
        });
    }
}

/// The task that [`left_by_mcall`] moves, and whether links are repaired: `mcall` tells its function nothing else.
static LEFT: (AtomicPtr<MovableTask>, AtomicBool) =
    (AtomicPtr::new(core::ptr::null_mut()), AtomicBool::new(false));

fn left_by_mcall() {
    unsafe extern "C" fn on_g0(g: *mut G) -> ! {
        let linked = LEFT.1.load(Ordering::Relaxed);
        // SAFETY: the case's task, which nobody runs; it goes on where it is now.
        unsafe {
            let task = &mut *LEFT.0.load(Ordering::Relaxed);
            task.left_moved(linked);
            if linked {
                task.is_walked("mcall");
            }
            arch::gogo(g, 0)
        }
    }
    for linked in [false, true] {
        adopted(|_| {
            let mut task = MovableTask::new();
            LEFT.0.store(&raw mut task, Ordering::Relaxed);
            LEFT.1.store(linked, Ordering::Relaxed);
            let mut block = Movable::new(moves, core::ptr::null_mut());
            block.through = arch::mcall as *const () as usize;
            block.f = on_g0 as *const () as usize;
            let g = &raw mut *task.g;
            // SAFETY: nobody else has the g.
            let out = unsafe { resume(g, (&raw mut block).expose_provenance()) };
            check!(matches!(out, Ok(Resumed::Finished(_))), "{out:?}");
            check_eq!(task.now, 1, "its stack has been moved");
            check_eq!(block.locals, [0x1122_3344, 0x5566_7788], "locals of the moved frame");
        });
    }
}

/// C that moves the stack that called it, then calls back code that throws through it.
unsafe extern "C" fn moves_and_is_dropped(task: *mut c_void) -> c_int {
    // SAFETY: the case's task; the callback does not come back.
    unsafe {
        (*task.cast::<MovableTask>()).move_on();
        arch::cgocallback(throws, core::ptr::null_mut(), 0, 0);
    }
    unreachable!("the callback throws");
}

unsafe extern "C" fn throws(_: *mut c_void, _: usize, _: usize) {
    // SAFETY: `movable` catches.
    unsafe { arch::throw_to((*arch::getg()).catch.get(), 55) }
}

fn thrown_after_a_move() {
    adopted(|_| {
        let mut task = MovableTask::new();
        let at = &raw mut task;
        let mut block = Movable::new(moves_and_is_dropped, at.cast());
        block.through = arch::asmcgocall_catch as *const () as usize;
        let g = &raw mut *task.g;
        let word = (&raw mut block).expose_provenance();
        // SAFETY: nobody else has the g.
        let out = unsafe { resume(g, word) };
        check!(matches!(out, Ok(Resumed::Finished(_))), "{out:?}");
        check_eq!(block.thrown, 55, "what was thrown");
        check_eq!(block.locals, [0x1122_3344, 0x5566_7788], "locals of the moved frame");
        // SAFETY: the g has finished.
        check!(unsafe { (*g).catch.get() }.is_null(), "nothing is left to catch");
    });
}

/// What C of [`moved_through`] is told.
struct Once {
    task: *mut MovableTask,
    crossing: &'static str,
}

/// C that moves the stack that called it, once, and looks at the way out of it.
unsafe extern "C" fn moves_once(once: *mut c_void) -> c_int {
    // SAFETY: the case's, which no stack of the task holds.
    let once = unsafe { &*once.cast::<Once>() };
    // SAFETY: as above.
    unsafe { (*once.task).move_on() };
    let wanted = [once.crossing, "stackgate_g_start"];
    crate::cases::unwinding::come_in_order(&crate::cases::unwinding::names(), &wanted);
    11
}

/// The other ways out than `asmcgocall`: the caller finds its frame by either frame pointer.
fn moved_through(crossing: &'static str, way_out: *const ()) {
    adopted(|_| {
        let mut task = MovableTask::new();
        let mut once = Once { task: &raw mut task, crossing };
        let mut block = Movable::new(moves_once, (&raw mut once).cast());
        block.through = way_out as usize;
        let g = &raw mut *task.g;
        // SAFETY: nobody else has the g.
        let out = unsafe { resume(g, (&raw mut block).expose_provenance()) };
        check!(matches!(out, Ok(Resumed::Finished(_))), "{crossing}: {out:?}");
        check_eq!(task.now, 1, "{crossing}: C has moved the stack");
        check_eq!(block.locals, [0x1122_3344, 0x5566_7788], "{crossing}: locals of the moved frame");
    });
}

fn a_frame_of_variable_size() {
    // Rust has no variable-length arrays; assembly moves SP by a number it gets, below a frame pointer.
    crate::setup::in_task(|| {
        for size in [0usize, 16, 48, 160, 1024, 4096] {
            let mut seen = 0usize;
            // SAFETY: a multiple of 16 that 64 KiB have room for; `deep_look` takes a usize.
            let got = unsafe { cpu::variable_frame(size, deep_look, (&raw mut seen).cast()) };
            check_eq!(got, 21, "size {size}");
            check_eq!(seen, 1);
            let mut called = 0;
            through(c_outer, || called += 1);
            check_eq!(called, 1);
        }
    });
}

unsafe extern "C" {
    fn c_outer(closure: *mut c_void) -> c_int;
}

unsafe extern "C" fn deep_look(seen: *mut c_void) -> c_int {
    // SAFETY: the case passes a usize.
    unsafe { *seen.cast::<usize>() += 1 };
    21
}

cases! {
    "moved stack";
    "while C runs" => || moved_at(0);
    "in a callback and around it" => || moved_at(1);
    "in two nested callbacks" => || moved_at(2);
    "in ten nested callbacks" => || moved_at(10);
    "while parked" => parked;
    "parked by stackgate_park" => parked_by_a_function;
    "left by mcall" => left_by_mcall;
    "before a throw" => thrown_after_a_move;
    "through ccall" => || moved_through("stackgate_ccall", cpu::ccall_one as *const ());
    "through systemstack" => || moved_through("stackgate_systemstack", arch::systemstack as *const ());
    "a frame of variable size" => a_frame_of_variable_size;
}

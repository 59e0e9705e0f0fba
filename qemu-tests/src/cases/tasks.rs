//! Tasks: words each way, turns, reuse, other threads, the gate.

use crate::setup::{Task, adopted, in_c, in_callback, in_task};
use crate::{cases, check, check_eq};
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering};
use stackgate::traceback::{Stop, Traceback};
use stackgate::{
    G, GState, ResumeError, Resumed, SwitchError, arch, current_g, finish, g_init, m_adopt, m_release,
    notify_runtime_init_done, park, resume, resume_any, runtime_init_begin, switch_to,
    wait_runtime_init_done,
};

unsafe extern "C" fn echoes(mut word: usize) -> usize {
    while word != 0 {
        word = park(word * 2).expect("a task parks");
    }
    99
}

fn words_each_way() {
    adopted(|_| {
        let mut task = Task::new(16 << 10, echoes);
        for word in [1usize, 2, 1000, usize::MAX / 2] {
            check_eq!(task.resume(word), Resumed::Parked(word * 2));
        }
        check_eq!(task.resume(0), Resumed::Finished(99));
    });
}

fn finished_ones_are_used_again() {
    adopted(|_| {
        let mut task = Task::new(16 << 10, echoes);
        for _ in 0..100 {
            check_eq!(task.resume(0), Resumed::Finished(99));
            let stack = task.g.stack;
            let ends = [stack.limit, stack.top].map(|end| arch::frame::Word::get(end) as usize);
            let [limit, top] = ends.map(core::ptr::with_exposed_provenance_mut);
            // SAFETY: the same memory, whose task has finished.
            check!(unsafe { g_init(&raw mut *task.g, limit, top, echoes) }.is_ok());
        }
    });
}

/// `gogo` of another g than the one that was left: what it passes is what that one's `park` returns.
fn gogo_gives_a_word() {
    static OTHER: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" fn parks(word: usize) -> usize {
        // SAFETY: in a task, not below C.
        unsafe { arch::park(word + 1) + 2 }
    }
    unsafe extern "C" fn runs_the_other(_: *mut G) -> ! {
        let other = core::ptr::with_exposed_provenance_mut(OTHER.load(Ordering::Relaxed));
        // SAFETY: g0 is current, and the other g is parked.
        unsafe { arch::gogo(other, 70) }
    }
    unsafe extern "C" fn leaves(word: usize) -> usize {
        // SAFETY: in a task, not below C.
        unsafe { arch::mcall(runs_the_other) };
        word + 3
    }
    adopted(|_| {
        let (mut one, mut other) = (Task::new(16 << 10, leaves), Task::new(16 << 10, parks));
        let (one, other) = (one.at(), other.at());
        OTHER.store(other.expose_provenance(), Ordering::Relaxed);
        // SAFETY: both are this thread's, and each is parked whenever it is run.
        unsafe {
            check_eq!(arch::resume(other, 10), (11, other), "it has parked");
            check_eq!(arch::resume(one, 20), (72, other), "the other one has finished in its place");
            check_eq!(arch::resume(one, 30), (23, one), "the one goes on behind `mcall`");
        }
    });
}

/// Finishes below frames that are not left one by one, and whose catch nobody takes back.
#[inline(never)]
fn finishes_deep(levels: usize, word: usize) -> usize {
    if levels == 0 {
        // SAFETY: nobody has an address of a frame.
        unsafe { finish(word) }.expect("a task finishes");
    }
    core::hint::black_box(finishes_deep(levels - 1, word)) + 1
}

unsafe extern "C" fn finishes(word: usize) -> usize {
    let word = park(word).expect("a task parks");
    in_c(|| in_callback(|| ()));
    finishes_deep(5, word)
}

fn finished_from_deep_below() {
    adopted(|m| {
        let mut task = Task::new(16 << 10, finishes);
        for round in 0..100 {
            // SAFETY: this thread's m.
            let sp = || unsafe { arch::frame::Word::get((*m).g0.sched.sp) };
            check_eq!(task.resume(round), Resumed::Parked(round));
            let before = sp();
            check_eq!(task.resume(round + 7), Resumed::Finished(round + 7), "not what its function returns");
            check_eq!(sp(), before, "the system stack");
            // SAFETY: this thread's m.
            check!(unsafe { (*m).curg.get().is_null() }, "nothing runs");
            check_eq!(arch::frame::Word::get(task.g.state), GState::Finished as u64);
            // SAFETY: refused, as one whose function has returned is.
            check_eq!(unsafe { resume(&raw mut *task.g, 0) }, Err(ResumeError::NotParked));
            // SAFETY: not running.
            let mut none = unsafe { Traceback::of(&*task.g) };
            check_eq!((none.next(), none.stop()), (None, Some(Stop::NoTask)));
            let stack = task.g.stack;
            let ends = [stack.limit, stack.top].map(|end| arch::frame::Word::get(end) as usize);
            let [limit, top] = ends.map(core::ptr::with_exposed_provenance_mut);
            // SAFETY: the same memory, whose task has finished.
            check!(unsafe { g_init(&raw mut *task.g, limit, top, finishes) }.is_ok());
        }
    });
}

/// Uses its stack down to far below where it ends.
unsafe extern "C" fn goes_deep(word: usize) -> usize {
    #[inline(never)]
    fn down(levels: usize) -> usize {
        let words = core::hint::black_box([levels; 64]);
        if levels == 0 { words[5] } else { down(levels - 1) + core::hint::black_box(words)[3] }
    }
    word + down(20)
}

/// The stack of a task that has finished is memory like any other, down to where the task has been: under valgrind too.
fn the_stack_is_the_embedders_again() {
    adopted(|_| {
        let mut stack = vec![0u128; 1 << 12].into_boxed_slice();
        let mut g = Box::new(G::default());
        for round in 0..3u128 {
            let ends = stack.as_mut_ptr_range();
            // SAFETY: both live longer than the task.
            unsafe {
                g_init(&raw mut *g, ends.start.cast(), ends.end.cast(), goes_deep).expect("a good stack");
                check_eq!(resume(&raw mut *g, 5), Ok(Resumed::Finished(5 + (0..=20).sum::<usize>())));
            }
            stack.fill(round);
            check!(core::hint::black_box(&stack).iter().all(|word| *word == round));
        }
    });
}

fn the_embedders_words_are_kept() {
    adopted(|m| {
        let mut task = Task::new(16 << 10, echoes);
        task.g.user = arch::frame::Word::new(0x1234);
        // SAFETY: this thread's m.
        unsafe { (*m).user = arch::frame::Word::new(0x5678) };
        task.resume(3);
        task.resume(0);
        check_eq!(arch::frame::Word::get(task.g.user), 0x1234);
        // SAFETY: this thread's m.
        check_eq!(arch::frame::Word::get(unsafe { (*m).user }), 0x5678);
    });
}

static TURNS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn takes_turns(me: usize) -> usize {
    for round in 0..50 {
        let mut seen = 0;
        in_c(|| in_callback(|| seen = TURNS.fetch_add(1, Ordering::Relaxed)));
        check_eq!(seen, round * 20 + me, "whose turn it is");
        park(me).expect("between two calls");
    }
    me
}

fn tasks_take_turns_between_their_calls() {
    adopted(|_| {
        let mut tasks: Vec<Task> = (0..20).map(|_| Task::new(16 << 10, takes_turns)).collect();
        for _ in 0..50 {
            for (i, task) in tasks.iter_mut().enumerate() {
                check_eq!(task.resume(i), Resumed::Parked(i));
            }
        }
        for (i, task) in tasks.iter_mut().enumerate() {
            check_eq!(task.resume(i), Resumed::Finished(i));
        }
    });
}

fn ten_thousand_tasks() {
    adopted(|_| {
        let mut tasks: Vec<Task> = (0..10_000).map(|_| Task::new(4 << 10, echoes)).collect();
        for (i, task) in tasks.iter_mut().enumerate() {
            assert_eq!(task.resume(i + 1), Resumed::Parked(2 * i + 2));
        }
        for task in &mut tasks {
            assert_eq!(task.resume(0), Resumed::Finished(99));
        }
        check_eq!(tasks.len(), 10_000);
    });
}

/// A g that another thread may run.
struct Moved(*mut G);
// SAFETY: one thread at a time runs it.
unsafe impl Send for Moved {}

unsafe extern "C" fn moves(_: usize) -> usize {
    let mut seen = 0;
    for i in 0..10 {
        check_eq!(current_g().map(|g| g.addr()), Some(park(i).expect("a task parks")), "g on this thread");
        in_c(|| seen += 1);
    }
    seen
}

fn a_task_moves_between_threads() {
    let mut task = Task::new(64 << 10, moves);
    let g: *mut G = &raw mut *task.g;
    let step = |g: *mut G| {
        let moved = Moved(g);
        std::thread::spawn(move || {
            let moved = moved;
            // SAFETY: this thread has it now.
            adopted(|_| unsafe { resume(moved.0, moved.0.addr()) }.expect("parked"))
        })
        .join()
        .expect("the thread")
    };
    for i in 0..10 {
        check_eq!(step(g), Resumed::Parked(i));
    }
    check_eq!(step(g), Resumed::Finished(10));
    check_eq!(arch::frame::Word::get(task.g.state), GState::Finished as u64);
}

/// What tasks that switch to each other share: the next one of each, and how often they go round.
struct Ring {
    next: [AtomicUsize; 3],
    rounds: AtomicUsize,
}

static RING: Ring = Ring { next: [const { AtomicUsize::new(0) }; 3], rounds: AtomicUsize::new(0) };

/// Goes round with the others; in between C calls back.
#[inline(never)]
unsafe extern "C" fn goes_round(me: usize) -> usize {
    let next = || core::ptr::with_exposed_provenance_mut::<G>(RING.next[me].load(Ordering::Relaxed));
    let mut word = park(me).expect("a task parks");
    while RING.rounds.load(Ordering::Relaxed) > 0 {
        let mut seen = 0;
        let this = current_g();
        in_c(|| {
            in_callback(|| {
                check_eq!(current_g(), this, "whose callback it is");
                seen = RING.rounds.fetch_sub(1, Ordering::Relaxed);
            });
        });
        check_eq!(seen, word, "one turn after the other");
        // SAFETY: parked, since nobody but this ring runs it.
        word = unsafe { switch_to(next(), word - 1) }.expect("a task switches");
    }
    word + 1000 * (me + 1)
}

fn tasks_switch_to_each_other() {
    adopted(|m| {
        let mut tasks: Vec<Task> = (0..3).map(|_| Task::new(16 << 10, goes_round)).collect();
        for i in 0..3 {
            RING.next[i].store(tasks[(i + 1) % 3].at().expose_provenance(), Ordering::Relaxed);
            check_eq!(tasks[i].resume(i), Resumed::Parked(i));
        }
        // SAFETY: this thread's m.
        let sp = || unsafe { arch::frame::Word::get((*m).g0.sched.sp) };
        let mut first = None;
        for rounds in [1, 2, 3, 1000] {
            RING.rounds.store(rounds, Ordering::Relaxed);
            // SAFETY: parked, and this thread's.
            let (back, how) = unsafe { resume_any(tasks[0].at(), rounds) }.expect("a parked task");
            let last = rounds % 3;
            check_eq!((back, how), (tasks[last].at(), Resumed::Finished(1000 * (last + 1))));
            check_eq!(sp(), *first.get_or_insert(sp()), "the system stack");
            // SAFETY: this thread's m.
            check!(unsafe { (*m).curg.get().is_null() }, "nothing runs");
            for (i, task) in tasks.iter().enumerate() {
                let what = if i == last { GState::Finished } else { GState::Parked };
                check_eq!(arch::frame::Word::get(task.g.state), what as u64, "task {i} after {rounds}");
                check!(task.g.m_out.get().is_null(), "task {i} has no m");
            }
            // The one that has ended begins again; the others are where they were.
            let task = core::mem::replace(&mut tasks[last], Task::new(16 << 10, goes_round));
            drop(task);
            RING.next[(last + 2) % 3].store(tasks[last].at().expose_provenance(), Ordering::Relaxed);
            check_eq!(tasks[last].resume(last), Resumed::Parked(last));
            for i in (0..3).filter(|&i| i != last && rounds > i) {
                // These stand in `switch_to`, and go round as the others do, from their next turn on.
                RING.rounds.store(0, Ordering::Relaxed);
                check_eq!(tasks[i].resume(7), Resumed::Finished(7 + 1000 * (i + 1)));
                tasks[i] = Task::new(16 << 10, goes_round);
                RING.next[(i + 2) % 3].store(tasks[i].at().expose_provenance(), Ordering::Relaxed);
                check_eq!(tasks[i].resume(i), Resumed::Parked(i));
            }
        }
    });
}

/// Switches to the other task, which says where it has been left.
unsafe extern "C" fn hands_over(other: usize) -> usize {
    // SAFETY: the other one is parked.
    unsafe { switch_to(core::ptr::with_exposed_provenance_mut(other), current_g().expect("a task").addr()) }
        .expect("a task switches")
}

unsafe extern "C" fn takes_over(former: usize) -> usize {
    let former: *mut G = core::ptr::with_exposed_provenance_mut(former);
    // SAFETY: the task that has switched here, which nobody runs.
    check!(unsafe { Traceback::of(&*former) }.count() > 0, "it has been left");
    park(former.addr()).expect("a task parks")
}

fn a_switch_may_be_resumed_elsewhere() {
    adopted(|_| {
        let (mut one, mut other) = (Task::new(64 << 10, hands_over), Task::new(64 << 10, takes_over));
        let (former, latter) = (one.at(), other.at());
        // SAFETY: both are this thread's.
        let back = unsafe { resume_any(former, latter.expose_provenance()) };
        check_eq!(back, Ok((latter, Resumed::Parked(former.addr()))));
        // SAFETY: parked, and nobody runs them.
        let frames = |g: *mut G| unsafe { Traceback::of(&*g) }.count();
        check!(frames(former) > 0 && frames(latter) > 0, "both have been left");
        let (former, latter) = (Moved(former), Moved(latter));
        std::thread::spawn(move || {
            let (former, latter) = (former, latter);
            adopted(|_| {
                // SAFETY: this thread has them now.
                unsafe {
                    check_eq!(resume(former.0, 5), Ok(Resumed::Finished(5)));
                    check_eq!(resume(latter.0, 6), Ok(Resumed::Finished(6)));
                }
            });
        })
        .join()
        .expect("the thread");
    });
}

fn a_switch_is_refused() {
    unsafe extern "C" fn tries(other: usize) -> usize {
        let other: *mut G = core::ptr::with_exposed_provenance_mut(other);
        let (this, mut none) = (current_g().expect("a task"), G::default());
        // SAFETY: refused, and then parked.
        unsafe {
            check_eq!(switch_to(this, 0), Err(SwitchError::NotParked), "itself");
            check_eq!(switch_to(&raw mut none, 0), Err(SwitchError::NotParked), "none");
            in_c(|| in_callback(|| check_eq!(switch_to(other, 0), Err(SwitchError::BelowC))));
            check_eq!(arch::frame::Word::get((*other).state), GState::Parked as u64, "as it was");
            switch_to(other, 0).expect("a parked one")
        }
    }
    adopted(|_| {
        let (mut one, mut other) = (Task::new(64 << 10, tries), Task::new(64 << 10, echoes));
        // SAFETY: refused.
        check_eq!(unsafe { switch_to(other.at(), 0) }, Err(SwitchError::NotATask), "from g0");
        // SAFETY: this thread's.
        let back = unsafe { resume_any(one.at(), other.at().expose_provenance()) };
        check_eq!(back, Ok((other.at(), Resumed::Finished(99))), "the other one's function has returned");
        check_eq!(one.resume(3), Resumed::Finished(3));
        // SAFETY: both have finished.
        check_eq!(unsafe { resume(other.at(), 0) }, Err(ResumeError::NotParked));
    });
    let mut other = Task::new(16 << 10, echoes);
    // SAFETY: refused.
    check_eq!(unsafe { switch_to(other.at(), 0) }, Err(SwitchError::NotATask), "on a thread without an m");
}

fn adopting_twice_in_sequence() {
    for _ in 0..1000 {
        let mut m: Box<stackgate::M> = Box::default();
        // SAFETY: lives until released.
        unsafe { m_adopt(&raw mut *m) }.expect("no m");
        m_release().expect("an m");
    }
    check!(current_g().is_none());
}

fn a_throw_leaves_no_trace() {
    unsafe extern "C" fn throws(_: *mut c_void, _: usize, _: usize) {
        let g = current_g().expect("a task");
        // SAFETY: a catch is there.
        unsafe { arch::throw_to((*g).catch.get(), 3) }
    }
    unsafe extern "C" fn calls_back(_: *mut c_void) -> core::ffi::c_int {
        // SAFETY: below a task.
        unsafe { arch::cgocallback(throws, core::ptr::null_mut(), 0, 0) };
        unreachable!("it throws")
    }
    in_task(|| {
        let g = current_g().expect("a task");
        let m = stackgate::current_m().expect("an m");
        // SAFETY: this thread's.
        let sp = || unsafe { arch::frame::Word::get((*m).g0.sched.sp) };
        let before = sp();
        let mut thrown = 0usize;
        for _ in 0..10_000 {
            // SAFETY: takes nothing.
            unsafe { arch::asmcgocall_catch(calls_back, core::ptr::null_mut(), &raw mut thrown) };
            assert_eq!(thrown, 3);
        }
        check_eq!(sp(), before, "the system stack");
        check_eq!(current_g(), Some(g));
        // SAFETY: this thread's g.
        check!(unsafe { (*g).catch.is_null() }, "no catch is left");
    });
}

fn a_throw_through_ten_levels() {
    fn down(levels: usize) {
        if levels == 0 {
            let g = current_g().expect("a task");
            // SAFETY: a catch is there.
            unsafe { arch::throw_to((*g).catch.get(), 10) }
        }
        in_c(|| in_callback(|| down(levels - 1)));
        unreachable!("it throws");
    }
    unsafe extern "C" fn starts(_: *mut c_void) -> core::ffi::c_int {
        in_callback(|| down(9));
        unreachable!("it throws")
    }
    in_task(|| {
        for _ in 0..100 {
            let mut thrown = 0usize;
            // SAFETY: takes nothing.
            unsafe { arch::asmcgocall_catch(starts, core::ptr::null_mut(), &raw mut thrown) };
            check_eq!(thrown, 10);
        }
    });
}

fn catches_nest() {
    unsafe extern "C" fn inner_throws(_: *mut c_void) -> core::ffi::c_int {
        in_callback(|| {
            let g = current_g().expect("a task");
            // SAFETY: a catch is there.
            unsafe { arch::throw_to((*g).catch.get(), 1) }
        });
        unreachable!("it throws")
    }
    unsafe extern "C" fn outer(_: *mut c_void) -> core::ffi::c_int {
        in_callback(|| {
            let mut thrown = 0usize;
            // SAFETY: takes nothing.
            unsafe { arch::asmcgocall_catch(inner_throws, core::ptr::null_mut(), &raw mut thrown) };
            check_eq!(thrown, 1, "the inner one");
            let g = current_g().expect("a task");
            // SAFETY: the outer catch is there.
            unsafe { arch::throw_to((*g).catch.get(), 2) }
        });
        unreachable!("it throws")
    }
    in_task(|| {
        let mut thrown = 0usize;
        // SAFETY: takes nothing.
        unsafe { arch::asmcgocall_catch(outer, core::ptr::null_mut(), &raw mut thrown) };
        check_eq!(thrown, 2, "the outer one");
    });
}

fn the_gate_lets_waiters_in() {
    runtime_init_begin().expect("nobody has begun");
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                wait_runtime_init_done();
                DONE.load(Ordering::SeqCst)
            })
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(30));
    DONE.store(1, Ordering::SeqCst);
    notify_runtime_init_done().expect("begun");
    for waiter in waiters {
        check_eq!(waiter.join().expect("a waiter"), 1, "nobody passes before");
    }
    wait_runtime_init_done();
    crate::harness::passed();
}

fn a_callback_waits_at_the_gate() {
    runtime_init_begin().expect("nobody has begun");
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let waiter = std::thread::spawn(|| {
        in_task(|| {
            in_c(|| in_callback(|| check_eq!(DONE.load(Ordering::SeqCst), 1)));
        });
    });
    std::thread::sleep(std::time::Duration::from_millis(30));
    // Outbound calls never wait.
    in_task(|| in_c(crate::harness::passed));
    DONE.store(1, Ordering::SeqCst);
    notify_runtime_init_done().expect("begun");
    waiter.join().expect("the callback");
}

cases! {
    "tasks";
    "words each way" => words_each_way;
    "reuse" => finished_ones_are_used_again;
    "gogo gives a word" => gogo_gives_a_word;
    "finish" => finished_from_deep_below;
    "the stack afterwards" => the_stack_is_the_embedders_again;
    "user words" => the_embedders_words_are_kept;
    "turns" => tasks_take_turns_between_their_calls;
    "ten thousand" => ten_thousand_tasks;
    "other threads" => a_task_moves_between_threads;
    "switch" => tasks_switch_to_each_other;
    "switch, and on another thread" => a_switch_may_be_resumed_elsewhere;
    "switch refused" => a_switch_is_refused;
    "adopt and release" => adopting_twice_in_sequence;
    "throw" => a_throw_leaves_no_trace;
    "throw through ten levels" => a_throw_through_ten_levels;
    "nested catches" => catches_nest;
    "gate" => the_gate_lets_waiters_in;
    "callback at the gate" => a_callback_waits_at_the_gate;
}

//! Managed stacks: guarded, cached, idle, many.

use crate::child::in_child;
use crate::setup::adopted;
use crate::{cases, check, check_eq};
use core::ffi::c_int;
use stackgate::{G, MIN_STACK, Platform, Resumed, STACK_ALIGN, ServiceError, g_init, park, resume};
use stackgate_libc::{Hosted, ManagedStack, StackOptions, Stacks, guards_by_advice, use_mprotect_guards};
use std::time::Instant;

/// Bytes of use that fit one page wherever the top is.
const SMALL: usize = MIN_STACK;

fn page() -> usize {
    Hosted.page_size()
}

/// Whether the kernel can read the byte at `address`.
fn readable(address: usize) -> bool {
    let mut ends = [0; 2];
    // SAFETY: the kernel looks whether it can.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let n = libc::write(ends[1], core::ptr::with_exposed_provenance(address), 1);
        libc::close(ends[0]);
        libc::close(ends[1]);
        n == 1
    }
}

/// How many mappings this process has.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("this process").lines().count()
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("this process");
    let pages: usize = text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4096
}

unsafe extern "C" fn doubles(word: usize) -> usize {
    word * 2
}

/// Runs a task on it.
fn runs(stack: &ManagedStack) {
    let mut g = G::default();
    // SAFETY: the stack is this function's until the task has finished.
    unsafe {
        stack.init(&raw mut g, doubles).expect("a good stack");
        assert_eq!(resume(&raw mut g, 21), Ok(Resumed::Finished(42)));
    }
}

fn any_size() {
    let pool = Stacks::new(StackOptions::default());
    adopted(|_| {
        for size in [2048, 2049, 3136, 3137, 4096, 8192, 10_000, 65_536, 100_000, 1 << 20, 5 << 20] {
            let stack = pool.take(size).expect("a stack");
            check!(stack.size() >= size, "{size}: {}", stack.size());
            check!(stack.size() <= size + size / 4 + 2 * page(), "{size}: {}", stack.size());
            check_eq!(stack.limit().addr() % page(), 0);
            check_eq!(stack.top().addr() % STACK_ALIGN, 0);
            check_eq!(stack.guard(), page(), "bytes of the guard");
            // SAFETY: both ends are the stack's.
            unsafe {
                stack.limit().write(1);
                stack.top().sub(1).write(1);
            }
            runs(&stack);
            crate::harness::passed();
        }
    });
}

fn bad_sizes() {
    let pool = Stacks::new(StackOptions::default());
    for size in [0, 1, MIN_STACK - 1, usize::MAX, usize::MAX - page()] {
        check_eq!(pool.take(size).err(), Some(ServiceError::BadArgument), "{size}");
    }
}

fn guards_fault() {
    for guard in [1, 3 * page()] {
        let pool = Stacks::new(StackOptions { guard, ..StackOptions::default() });
        let stacks: Vec<_> = (0..10).map(|_| pool.take(SMALL).expect("a stack")).collect();
        for stack in &stacks {
            let limit = stack.limit().addr();
            let guard = guard.next_multiple_of(page());
            check_eq!(stack.guard(), guard);
            check!(readable(limit) && readable(stack.top().addr() - 1), "the stack");
            check!(!readable(limit - 1) && !readable(limit - guard), "both ends of the guard");
        }
        let below = stacks[3].limit().wrapping_sub(8);
        let ending = in_child(|| {
            // SAFETY: none: this is what the guard is for.
            unsafe { below.write_volatile(1) };
            0
        });
        check_eq!(ending.signal, Some(libc::SIGSEGV), "{ending:?}");
    }
    let pool = Stacks::new(StackOptions { guard: 0, ..StackOptions::default() });
    check_eq!(pool.take(SMALL).expect("a stack").guard(), 0, "none was asked for");
}

fn guards_stay() {
    let pool = Stacks::new(StackOptions { keep: 0, ..StackOptions::default() });
    let stacks: Vec<_> = (0..100).map(|_| pool.take(SMALL).expect("a stack")).collect();
    drop(stacks);
    let again: Vec<_> = (0..100).map(|_| pool.take(SMALL).expect("a stack")).collect();
    for stack in &again {
        check!(!readable(stack.limit().addr() - 1), "after the memory has been given back");
    }
}

fn tops_are_staggered() {
    let pool = Stacks::new(StackOptions::default());
    let stacks: Vec<_> = (0..64).map(|_| pool.take(SMALL).expect("a stack")).collect();
    let places: std::collections::BTreeSet<_> = stacks.iter().map(|s| s.top().addr() % page()).collect();
    check_eq!(places.len(), 16, "places within a page");
    for stack in &stacks {
        check!(stack.size() >= SMALL);
    }
}

/// The first word of a stack, which tells whether its memory was kept.
fn first_word(stack: &ManagedStack) -> *mut usize {
    stack.limit().cast()
}

fn a_few_are_kept_and_the_others_are_idle() {
    let keep = 10 * page();
    let pool = Stacks::new(StackOptions { keep, ..StackOptions::default() });
    let taken = || (0..100).map(|_| pool.take(SMALL).expect("a stack")).collect::<Vec<_>>();
    let kept = |stacks: &[ManagedStack]| {
        // SAFETY: memory of these stacks.
        stacks.iter().filter(|stack| unsafe { first_word(stack).read_volatile() } == 0x5a5a).count()
    };
    let stacks = taken();
    let limits: std::collections::BTreeSet<_> = stacks.iter().map(|s| s.limit().addr()).collect();
    for stack in &stacks {
        // SAFETY: memory of this stack.
        unsafe { first_word(stack).write_volatile(0x5a5a) };
    }
    drop(stacks);
    let again = taken();
    check_eq!(again.iter().map(|s| s.limit().addr()).collect::<std::collections::BTreeSet<_>>(), limits);
    check_eq!(kept(&again), 10, "as many as may be kept");
    drop(again);
    check_eq!(pool.trim(), 10);
    check_eq!(pool.trim(), 0);
    check_eq!(kept(&taken()), 0, "after trim");
}

fn memory_of_the_embedder() {
    let pool = Stacks::new(StackOptions::default());
    let mut memory = vec![0u8; 50 * page()];
    let range = memory.as_mut_ptr_range();
    let slots = |from: usize, bytes| {
        // SAFETY: memory that lives longer than the pool is used.
        unsafe { pool.give(range.start.wrapping_add(from), bytes, SMALL) }
    };
    check_eq!(slots(0, 100).err(), Some(ServiceError::BadArgument), "no room for one");
    check_eq!(slots(3, 20 * page()), Ok(19), "links take some of it");
    adopted(|_| {
        let mut stacks: Vec<_> = (0..19).map(|_| pool.take(SMALL).expect("a stack")).collect();
        for stack in &stacks {
            check!(range.start <= stack.limit() && stack.top() <= range.end);
            check_eq!(stack.guard(), 0);
            // SAFETY: the whole of it.
            unsafe { stack.limit().write_bytes(0xee, stack.size()) };
        }
        for stack in &stacks {
            runs(stack);
        }
        let mapped = pool.take(SMALL).expect("one more");
        check!(!range.contains(&mapped.limit()), "a mapping");
        check_eq!(mapped.guard(), page());
        let limits: std::collections::BTreeSet<_> = stacks.iter().map(|s| s.limit().addr()).collect();
        check_eq!(limits.len(), 19);
        stacks.clear();
        check_eq!(pool.trim(), 0, "it is not the pool's to give back");
        for _ in 0..2 {
            let stacks: Vec<_> = (0..19).map(|_| pool.take(SMALL).expect("a stack")).collect();
            check!(stacks.iter().all(|s| limits.contains(&s.limit().addr())), "the same ones");
        }
        crate::harness::passed();
    });
}

/// How many stacks live at once in the case that has most: a million where guards cost no mapping and there is
/// the address space; otherwise far below the number of mappings.
fn many() -> usize {
    let pool = Stacks::new(StackOptions::default());
    drop(pool.take(SMALL).expect("a stack"));
    match guards_by_advice().expect("one has been made") {
        true if usize::BITS == 64 => 1_000_000,
        _ => 4_000,
    }
}

fn a_million_at_once() {
    let count = many();
    let before = mappings();
    let pool = Stacks::new(StackOptions::default());
    let mut stacks: Vec<ManagedStack> = Vec::with_capacity(count);
    pool.reserve(SMALL, count).expect("address space");
    let guards = if guards_by_advice() == Some(true) { 0 } else { 2 * count };
    let mut first = 0;
    for round in 0..2 {
        let memory = resident();
        for _ in 0..count {
            stacks.push(pool.take(SMALL).expect("a stack"));
        }
        check!(mappings() <= before + guards + 8, "{} mappings, {before} before", mappings());
        for stack in stacks.iter().step_by(count / 2000) {
            let limit = stack.limit().addr();
            assert!(!readable(limit - 1) && !readable(limit - page()), "a guard");
            // SAFETY: memory of this stack.
            unsafe { stack.top().cast::<usize>().sub(1).write_volatile(1) };
        }
        // A link each, and what this case itself keeps; a page for each that was touched; an emulator's own.
        let known = count * (size_of::<u32>() + size_of::<ManagedStack>()) + (4 << 20);
        let grown = resident().saturating_sub(memory);
        check!(grown < known + 2000 * page(), "{grown} bytes for {count} stacks");
        stacks.clear();
        pool.trim();
        let left = resident().saturating_sub(memory);
        check!(left < known, "{left} bytes are left");
        if round == 0 {
            first = mappings();
        } else {
            check_eq!(mappings(), first, "mappings after the second round");
        }
    }
    drop(stacks);
    drop(pool);
    check!(mappings() <= before + 1, "{} mappings, {before} before", mappings());
    let how = if guards == 0 { "MADV_GUARD_INSTALL" } else { "mprotect" };
    println!("note: {count} guarded stacks at once  by {how}");
}

/// What a task may take that is parked on a stack of 4 KiB, with its g, the stack's guard and what manages both: a
/// million in 5 GiB.
const PARKED: usize = ((5_u64 << 30) / 1_000_000) as usize;

fn a_million_parked() {
    unsafe extern "C" fn task(word: usize) -> usize {
        word + park(word + 1).expect("a task")
    }
    let count = many();
    adopted(|_| {
        let memory = resident();
        let start = Instant::now();
        let pool = Stacks::new(StackOptions::default());
        pool.reserve(SMALL, count).expect("address space");
        let stacks: Vec<ManagedStack> = (0..count).map(|_| pool.take(SMALL).expect("a stack")).collect();
        let mut gs: Vec<G> = core::iter::repeat_with(G::default).take(count).collect();
        for (i, (g, stack)) in gs.iter_mut().zip(&stacks).enumerate() {
            // SAFETY: both stay where they are until the task has finished.
            let parked = unsafe {
                g_init(g, stack.limit(), stack.top(), task).expect("a good stack");
                resume(g, i)
            };
            assert_eq!(parked, Ok(Resumed::Parked(i + 1)));
        }
        let took = start.elapsed();
        let grown = resident().saturating_sub(memory);
        check!(grown <= count * PARKED + (4 << 20), "{grown} bytes for {count} tasks");
        for (i, g) in gs.iter_mut().enumerate() {
            // SAFETY: parked, and nobody else has it.
            assert_eq!(unsafe { resume(g, count) }, Ok(Resumed::Finished(i + count)));
        }
        let how = if guards_by_advice() == Some(true) { "MADV_GUARD_INSTALL" } else { "mprotect" };
        let (seconds, each) = (took.as_secs_f64(), grown / count);
        println!(
            "note: {count} tasks parked at once  started in {seconds:.2} s, {each} bytes each, guards by {how}"
        );
    });
}

fn a_million_in_turn() {
    // An emulator, which has no such guards, takes ten times as long for each.
    let count = if many() == 1_000_000 { 1_000_000 } else { 100_000 };
    let pool = Stacks::new(StackOptions { keep: page(), ..StackOptions::default() });
    let touch = |stack: &ManagedStack| {
        // SAFETY: memory of this stack.
        unsafe { stack.top().cast::<usize>().sub(1).write_volatile(1) };
    };
    touch(&pool.take(SMALL).expect("a stack"));
    let (before, memory) = (mappings(), resident());
    for i in 0..count {
        let stack = pool.take(SMALL).expect("a stack");
        if i % 64 == 0 {
            touch(&stack);
        }
    }
    check_eq!(mappings(), before, "mappings after {count} stacks");
    check!(resident() <= memory + 64 * page(), "{} bytes, {memory} before", resident());
    println!("note: {count} guarded stacks in turn  no mapping more, no memory more");
}

fn too_many_by_name() {
    use_mprotect_guards();
    let limit: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .expect("Linux")
        .trim()
        .parse()
        .expect("a number");
    let pool = Stacks::new(StackOptions::default());
    pool.reserve(SMALL, limit).expect("address space");
    let mut stacks = Vec::with_capacity(limit);
    let error = loop {
        match pool.take(SMALL) {
            Ok(stack) => stacks.push(stack),
            Err(error) => break error,
        }
        assert!(stacks.len() < limit, "a guard each takes a mapping");
    };
    let made = stacks.len();
    let again = pool.take(SMALL).err();
    stacks.truncate(made - 10);
    let ten = (0..10).filter(|_| pool.take(SMALL).map(core::mem::forget).is_ok()).count();
    // Memory can be allocated again.
    stacks.clear();
    drop(stacks);
    check_eq!(error, ServiceError::TooManyGuards { limit });
    check_eq!(again, Some(error), "and it stays so");
    check_eq!(ten, 10, "those that are there can be used");
    check!(made > limit / 4, "{made} stacks");
    let text = error.to_string();
    check!(
        text.starts_with("too many stacks") && text.contains(&format!("vm.max_map_count is {limit}")),
        "{text}"
    );
}

fn from_many_threads() {
    let pool = Stacks::new(StackOptions { keep: 4 * page(), ..StackOptions::default() });
    std::thread::scope(|scope| {
        let pool = &pool;
        for me in 1..=4usize {
            scope.spawn(move || {
                let mut mine: Vec<ManagedStack> = Vec::new();
                for i in 0..2000 {
                    if i % 7 == 6 {
                        mine.truncate(i % 5);
                    }
                    let stack = pool.take(SMALL << (i % 3)).expect("a stack");
                    // SAFETY: memory of this stack.
                    unsafe { first_word(&stack).write_volatile(me << 20 | i) };
                    mine.push(stack);
                    let last = mine.len() - 1;
                    // SAFETY: memory of these stacks.
                    let mut words = mine.iter().map(|stack| unsafe { first_word(stack).read_volatile() });
                    assert!(words.clone().all(|word| word >> 20 == me), "a stack that two threads have");
                    assert_eq!(words.next_back(), Some((me << 20) | i), "{last}");
                }
                crate::harness::passed();
            });
        }
    });
    // Every stack is on one list: as many come back as were made, each once.
    let all: Vec<_> = (0..200).map(|_| pool.take(SMALL).expect("a stack")).collect();
    let limits: std::collections::BTreeSet<_> = all.iter().map(|s| s.limit().addr()).collect();
    check_eq!(limits.len(), 200);
}

fn guards_are_real_whatever_makes_them() {
    check_eq!(guards_by_advice(), None, "not asked for yet");
    let by_default = Stacks::new(StackOptions::default());
    let first = by_default.take(SMALL).expect("a stack");
    let how = guards_by_advice();
    check!(how.is_some());
    use_mprotect_guards();
    check_eq!(guards_by_advice(), Some(false));
    let second = by_default.take(SMALL).expect("a stack");
    for stack in [&first, &second] {
        check!(!readable(stack.limit().addr() - 1), "a guard, by advice: {how:?}");
    }
}

fn a_pool_leaves_nothing() {
    let make = || {
        let pool = Stacks::new(StackOptions::default());
        for size in [SMALL, 20_000, 1 << 20] {
            drop((0..200).map(|_| pool.take(size).expect("a stack")).collect::<Vec<_>>());
        }
    };
    make();
    let before = mappings();
    // More pools in sequence than there is room for arenas at once.
    for _ in 0..100 {
        make();
    }
    check_eq!(mappings(), before);
}

/// What the harness's other processes do not have: this one's own exit code.
const FINE: c_int = 17;

fn usable_after_fork() {
    let pool = Stacks::new(StackOptions::default());
    let held = pool.take(SMALL).expect("a stack");
    let stop = core::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(core::sync::atomic::Ordering::Relaxed) {
                    drop([pool.take(SMALL).expect("a stack"), pool.take(SMALL * 4).expect("a stack")]);
                }
            });
        }
        for _ in 0..10 {
            let ending = in_child(|| {
                let stacks: Vec<_> = (0..100).map(|_| pool.take(SMALL).expect("a stack")).collect();
                let limits: std::collections::BTreeSet<_> = stacks.iter().map(|s| s.limit().addr()).collect();
                if limits.len() == 100 && !limits.contains(&held.limit().addr()) { FINE } else { 1 }
            });
            check_eq!(ending.code, Some(FINE), "{ending:?}");
        }
        stop.store(true, core::sync::atomic::Ordering::Relaxed);
    });
}

cases! {
    "stacks";
    "any size" => any_size;
    "bad sizes" => bad_sizes;
    "guards fault" => guards_fault;
    "guards stay" => guards_stay;
    "guards are real" => guards_are_real_whatever_makes_them;
    "staggered" => tops_are_staggered;
    "kept and idle" => a_few_are_kept_and_the_others_are_idle;
    "embedder's memory" => memory_of_the_embedder;
    "a million at once" => a_million_at_once;
    "a million parked" => a_million_parked;
    "a million in turn" => a_million_in_turn;
    "too many" => too_many_by_name;
    "many threads" => from_many_threads;
    "nothing is left" => a_pool_leaves_nothing;
    "after fork" => usable_after_fork;
}

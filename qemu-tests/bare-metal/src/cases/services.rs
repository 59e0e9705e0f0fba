//! What a machine gives: the platform's services, and the names of libc for code on small stacks.

use crate::libc::{missing_here, names};
use crate::setup::in_task;
use crate::{board, cases, check, check_eq, memory, signal};
use core::hint::black_box;
use core::ptr::null_mut;
use stackgate::{Platform as _, ServiceError};
use stackgate_libc::{
    ENTRIES, Errno, Failure, MAP_ANONYMOUS, MAP_PRIVATE, O_RDONLY, PROT_READ, PROT_WRITE, mmap, munmap, open,
    pthread_kill, pthread_self, read, write,
};

const MACHINE: crate::platform::Machine = crate::platform::Machine;

/// Lets so much time pass that a timer of 100 ticks expires on each machine.
fn pass_time() {
    for i in 0..100_000 {
        black_box(i);
    }
}

/// Interrupts wait for the end of a critical section, and of the one around it.
fn critical_sections() {
    signal::handle(|_| ());
    board::unmask();
    let outer = MACHINE.block_signals().expect("interrupts can be masked");
    let inner = MACHINE.block_signals().expect("twice too");
    check!(outer != inner, "what was open is told");
    let before = signal::count();
    board::timer_arm(100);
    pass_time();
    MACHINE.restore_signals(inner);
    pass_time();
    check_eq!(signal::count(), before, "in the outer section");
    MACHINE.restore_signals(outer);
    pass_time();
    check_eq!(signal::count(), before + 1, "behind both");
    board::mask();
}

fn the_arena() {
    let page = MACHINE.page_size();
    let arena = memory::arena();
    let first = MACHINE.map(2 * page).expect("the arena is large enough").addr().get();
    let second = MACHINE.map(page).expect("still").addr().get();
    check!(arena.contains(&first) && arena.contains(&second), "in the arena");
    check_eq!(second - first, 2 * page, "one behind the other");
    check_eq!(MACHINE.map(arena.len() + page), Err(ServiceError::NoMemory));
    for size in [0, 1, page + 1] {
        check_eq!(MACHINE.map(size), Err(ServiceError::BadArgument), "{size}");
    }
}

fn bounds_of_stacks() {
    let on = |stack: core::ops::Range<usize>| {
        let bounds = MACHINE.stack_bounds().expect("a stack of the linker script");
        check_eq!((bounds.limit, bounds.top, bounds.accurate), (stack.start, stack.end, true));
    };
    on(memory::system_stack(board::cpu()));
    in_task(|| on(memory::managed_stack(0)));
    let signals = MACHINE.signal_stack().expect("there is one").expect("and it is another");
    check_eq!(signals.top, memory::signal_stack(board::cpu()).end);
}

/// The shim's functions, on a task's stack: its trampolines call what the names resolve to.
fn names_of_libc() {
    in_task(|| {
        let text = b"libc_write writes here\n";
        check_eq!(write(1, text), Ok(text.len()));
        let arena = memory::arena();
        // SAFETY: nobody else has the memory.
        let map =
            |n| unsafe { mmap(null_mut(), n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
        let first = map(100).expect("the arena is large enough");
        let second = map(100).expect("still");
        check!(arena.contains(&first.addr().get()), "in the arena");
        check_eq!(second.addr().get() - first.addr().get(), 128, "one behind the other, aligned");
        check_eq!(map(arena.len()), Err(Errno::ENOMEM), "more than there is");
        // SAFETY: it was mapped.
        unsafe {
            first.write_bytes(1, 100);
            munmap(first.as_ptr(), 100);
        }
        check_eq!(open(c"/dev/null", O_RDONLY, 0).err(), Some(Errno::ENOSYS));
        check_eq!(read(0, &mut [0]), Err(Errno::ENOSYS));
        // SAFETY: there is no thread, and no signal.
        check_eq!(unsafe { pthread_kill(pthread_self(), 0) }, Err(Errno::ENOSYS));
    });
}

/// Each other name of the table says once that it is not here, and fails as its function does.
fn every_other_name() {
    const HERE: &[&str] = &["write", "mmap", "munmap", "exit", "_exit", "abort"];
    let errno = crate::libc::stackgate_errno_location();
    let mut others = 0;
    for entry in names().filter(|entry| !HERE.contains(&entry.name)) {
        others += 1;
        for _ in 0..2 {
            // SAFETY: what is not here takes no arguments; this CPU's word.
            let (result, errno) = unsafe {
                errno.write(0);
                ((entry.function)(), errno.read())
            };
            let want = match entry.failure {
                Failure::Number => (Errno::ENOSYS.0 as isize, 0),
                Failure::Never | Failure::Absent => (0, 0),
                _ => (-1, Errno::ENOSYS.0),
            };
            check_eq!((result, errno), want, "{}", entry.name);
        }
    }
    check_eq!(others + HERE.len(), ENTRIES.len());
    check_eq!(missing_here(), others, "each says so once");
}

fn abort() {
    in_task(|| {
        let _ = write(2, b"it ends here\n");
        stackgate_libc::abort()
    });
}

cases! {
    "services";
    "critical sections" => critical_sections;
    "the arena" => the_arena;
    "bounds of stacks" => bounds_of_stacks;
    "the names of libc" => names_of_libc;
    "every other name of libc" => every_other_name;
    "abort" (fatal "it ends here") => abort;
}

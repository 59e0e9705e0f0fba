//! The defaults of the names in `linker/libc.x`: a console, an arena, and for the rest an error that has a name.

use crate::{board, memory};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// "Function not implemented", as Linux numbers it on all six CPUs.
const ENOSYS: c_int = 38;
/// "Out of memory", likewise.
const ENOMEM: c_int = 12;

/// What the last of these functions that failed says.
static ERRNO: AtomicUsize = AtomicUsize::new(0);

/// The number by which the last call that failed says why.
pub fn errno() -> c_int {
    ERRNO.load(Ordering::Relaxed) as c_int
}

/// `write`: everything goes to the console, whatever the descriptor.
///
/// # Safety
/// `from` is valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_console_write(_fd: c_int, from: *const c_void, n: usize) -> isize {
    // SAFETY: by the caller.
    board::console(unsafe { core::slice::from_raw_parts(from.cast(), n) });
    n as isize
}

/// How much of the arena is gone.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// `mmap`, of memory for anybody: the next part of the arena, which is never given back.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_arena_mmap(
    _at: *mut c_void,
    n: usize,
    _protection: c_int,
    _flags: c_int,
    _fd: c_int,
    _offset: isize,
) -> *mut c_void {
    const FAILED: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);
    let arena = memory::arena();
    let room = n.checked_next_multiple_of(64).filter(|&room| room != 0);
    let Some(room) = room else { return FAILED };
    let taken = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
        taken.checked_add(room).filter(|&end| end <= arena.len())
    });
    match taken {
        Ok(taken) => core::ptr::with_exposed_provenance_mut(arena.start + taken),
        Err(_) => {
            ERRNO.store(ENOMEM as usize, Ordering::Relaxed);
            FAILED
        }
    }
}

/// `munmap`: succeeds, and keeps the memory.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_arena_munmap(_at: *mut c_void, _n: usize) -> c_int {
    0
}

/// `exit`, `_exit`, `abort`.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_stop(status: c_int) -> ! {
    board::exit(status == 0)
}

/// Functions that no machine here has: each says so once, by its name, and fails.
macro_rules! enosys {
    ($($name:ident = $what:literal;)+) => {$(
        #[doc = concat!("`", $what, "`: not on this machine.")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> isize {
            static SAID: AtomicUsize = AtomicUsize::new(0);
            missing($what, &SAID)
        }
    )+};
}

/// Says once that a function is missing, and fails.
fn missing(name: &str, said: &AtomicUsize) -> isize {
    if said.fetch_add(1, Ordering::Relaxed) == 0 {
        crate::say!("{name}: not on this machine");
    }
    ERRNO.store(ENOSYS as usize, Ordering::Relaxed);
    -1
}

enosys! {
    stackgate_enosys_open = "open";
    stackgate_enosys_close = "close";
    stackgate_enosys_read = "read";
    stackgate_enosys_madvise = "madvise";
    stackgate_enosys_usleep = "usleep";
    stackgate_enosys_pthread_attr_init = "pthread_attr_init";
    stackgate_enosys_pthread_attr_setstacksize = "pthread_attr_setstacksize";
    stackgate_enosys_pthread_attr_setdetachstate = "pthread_attr_setdetachstate";
    stackgate_enosys_pthread_create = "pthread_create";
    stackgate_enosys_pthread_kill = "pthread_kill";
    stackgate_enosys_pthread_self = "pthread_self";
}

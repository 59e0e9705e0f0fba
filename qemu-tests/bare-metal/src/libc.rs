//! The defaults of the names in `linker/libc.x`: a console, an arena, an end, and for the rest of the table of
//! `stackgate-libc` an error that has a name.

use crate::memory::{self, ARENA_ALIGN};
use crate::{board, runner, say};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use stackgate_libc::{Errno, Failure};

/// Why the last of these functions failed that did, on each CPU.
static ERRNO: [AtomicI32; 4] = [const { AtomicI32::new(0) }; 4];

/// Where the reason is: `__errno_location`.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_errno_location() -> *mut c_int {
    ERRNO[board::cpu()].as_ptr()
}

/// `write`: everything goes to the console, whatever the descriptor.
///
/// # Safety
/// `from` is valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stackgate_console_write(fd: c_int, from: *const c_void, n: usize) -> isize {
    // SAFETY: by the caller.
    let text = unsafe { core::slice::from_raw_parts(from.cast(), n) };
    if fd == 2 {
        runner::remember(text);
    }
    board::console(text);
    n as isize
}

/// `mmap`, of memory for anybody: the next part of the arena, which is never given back.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_arena_mmap(
    _at: *mut c_void,
    n: usize,
    _protection: c_int,
    _flags: c_int,
    _fd: c_int,
    _offset: i64,
) -> *mut c_void {
    let room = n.checked_next_multiple_of(ARENA_ALIGN).and_then(memory::take_arena);
    room.map_or_else(
        || {
            fails_with(Errno::ENOMEM);
            core::ptr::without_provenance_mut(usize::MAX)
        },
        |at| at.as_ptr().cast(),
    )
}

/// `munmap`: succeeds, and keeps the memory.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_arena_munmap(_at: *mut c_void, _n: usize) -> c_int {
    0
}

/// `exit`, `_exit`.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_stop(status: c_int) -> ! {
    board::exit(status == 0)
}

/// `abort`.
#[unsafe(no_mangle)]
pub extern "C" fn stackgate_abort() -> ! {
    runner::aborted()
}

fn fails_with(why: Errno) {
    ERRNO[board::cpu()].store(why.0, Ordering::Relaxed);
}

/// How many functions have said that they are not here.
static MISSING: AtomicUsize = AtomicUsize::new(0);

/// How many functions have said that they are not here.
pub fn missing_here() -> usize {
    MISSING.load(Ordering::Relaxed)
}

/// Says once that a function is missing, and fails in the function's own way. Those that cannot fail say 0.
fn missing(name: &str, said: &AtomicUsize, failure: Failure) -> isize {
    if said.fetch_add(1, Ordering::Relaxed) == 0 {
        MISSING.fetch_add(1, Ordering::Relaxed);
        say!("{name}: not on this machine");
    }
    match failure {
        Failure::Number => Errno::ENOSYS.0 as isize,
        Failure::Never | Failure::Absent => 0,
        _ => {
            fails_with(Errno::ENOSYS);
            -1
        }
    }
}

/// A name of the table as the linker script resolves it. What is no default of its own takes no arguments.
pub struct Name {
    /// The function's name, without `libc_`.
    pub name: &'static str,
    /// What it is here.
    pub function: unsafe extern "C" fn() -> isize,
    /// How it tells that it failed.
    pub failure: Failure,
}

/// Makes `stackgate_enosys_X` of each function X of the table, and the list of what their names resolve to.
macro_rules! define {
    ($(
        $name:ident = $symbol:ident $(| $symbol_32:ident)?
        ($([out $out:ident: $out_ty:ty])? $($arg:ident: $ty:ty),* $(; ... $rest:ident: $rest_ty:ty)?)
        $(-> $ret:ty)?, $failure:ident, $handlers:tt;
    )*) => {
        $(const _: () = {
            #[unsafe(export_name = concat!("stackgate_enosys_", stringify!($name)))]
            extern "C" fn here() -> isize {
                static SAID: AtomicUsize = AtomicUsize::new(0);
                missing(stringify!($name), &SAID, Failure::$failure)
            }
        };)*

        /// Every name of the table.
        pub fn names() -> impl Iterator<Item = Name> {
            [$({
                unsafe extern "C" {
                    #[link_name = concat!("libc_", stringify!($name))]
                    fn function() -> isize;
                }
                Name { name: stringify!($name), function, failure: Failure::$failure }
            }),*]
            .into_iter()
        }
    };
}

entries!(define);

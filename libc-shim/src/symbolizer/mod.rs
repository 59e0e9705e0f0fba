//! Tracebacks with functions, files and lines, for programs that bring nothing of their own: one call of
//! [`install`].
//!
//! ```
//! use stackgate::traceback::{Traceback, print};
//!
//! stackgate_libc::symbolizer::install()?; // once, at the start
//! // Anywhere, also in a signal handler:
//! print(Traceback::current(), &mut stackgate::Console::new())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It sets the three functions of [`set_cgo_traceback`] and the one of [`set_managed_symbolizer`]:
//!
//! * a context function, which keeps where C stood when it called managed code in the room that stackgate has for it
//!   on C's own stack. There is nothing to give back, so that a throw needs nothing, and no limit but the stack's;
//! * a traceback function, which walks C's frames by unwind tables from there, or from where a signal interrupted C,
//!   to the crossing that C was called through;
//! * a symbolizer, of C and of managed code that a compiler made: function, file, line, and a frame for each inlined
//!   function.
//!
//! The names come from the program's own file: from its debug information (DWARF, also the little that
//! `debug = "line-tables-only"` gives), and where that says nothing from its symbol table. All of it is read, sorted
//! and reduced to plain tables by [`install`]. Afterwards no file is opened, nothing is allocated or freed, and no
//! lock is taken: the three functions are safe in a signal handler, and a traceback that is printed there with all
//! names fits on a stack of [`least_signal_stack`](crate::least_signal_stack) bytes.
//!
//! C needs unwind tables: gcc makes them by itself but on arm, where `-funwind-tables` asks for them. Names of Rust
//! functions are demangled; those of C++ stay as they are in the file. What has been inlined of stackgate itself is
//! left out, as its crossings are. Shared libraries have unwind tables but no names here: their frames are a PC.
//! Debug information in other files is not looked for; [`install_from`] takes one. Where a handler of C's has
//! interrupted C and is interrupted in turn, the frames of the handler are there, and those below it are not.
//!
//! # What it costs
//!
//! Memory that is never given back: 8 bytes for each stretch of code with one file and line, 16 for each such place,
//! 12 for each function, and the names; [`memory_use`] says how much of each. While [`install`] runs, all of the
//! program's file is in memory as well. `cargo xtask test symbolizer` prints what the test program takes, with line
//! tables and without, and how long they took to make.

mod build;
mod table;

use crate::Errno;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;
use core::ptr::{null_mut, with_exposed_provenance};
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use stackgate::arch::capture;
use stackgate::arch::unwind::{Registers, in_crossing};
use stackgate::current_m;
use stackgate::traceback::{
    ContextArg, Pc, Physical, SetTracebackError, SymbolizerArg, TracebackArg, set_cgo_traceback,
    set_managed_symbolizer,
};
pub use table::MemoryUse;
use table::Table;

/// Why there are no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymbolizerError {
    /// Other traceback functions are set already. Set one set, once in a process.
    AlreadySet,
    /// Another thread is installing at this moment. Call again.
    Busy,
    /// The file cannot be opened or read; `/proc/self/exe`, unless another was named. Mount `/proc`.
    NoFile(Errno),
    /// The file is no ELF file that can be read: cut short, or damaged.
    NotElf,
    /// The file is another program's than the one that runs, or of another build.
    AnotherProgram,
    /// The debug information is compressed. Link without `--compress-debug-sections`.
    Compressed,
    /// The debug information is damaged, or of a kind that is not known. Strip it, and the symbol table serves.
    BadDebugInformation,
    /// There are more than 4 GiB of code, or as many names.
    TooLarge,
}

impl fmt::Display for SymbolizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySet => "other traceback functions are set: set one set, once in a process",
            Self::Busy => "another thread is installing the symbolizer: call again",
            Self::NoFile(errno) => {
                return write!(f, "the program's own file cannot be read: {errno}: is /proc mounted?");
            }
            Self::NotElf => "the file is no ELF file that can be read: is it whole?",
            Self::AnotherProgram => "the file belongs to another program or another build: pass this one's",
            Self::Compressed => "the debug information is compressed: link without --compress-debug-sections",
            Self::BadDebugInformation => "the debug information cannot be read: strip it, or build it anew",
            Self::TooLarge => "the program is too large: more than 4 GiB of code or names",
        })
    }
}

impl core::error::Error for SymbolizerError {}

/// What lookups read. Written once, before the functions that read it are set; null before.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());

fn table() -> Option<&'static Table> {
    // SAFETY: what is stored lives for ever.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

/// Makes tracebacks show functions, files and lines, of C and of managed code: see [the module](self).
///
/// Reads `/proc/self/exe`, and registers the program's unwind tables if that has not been done
/// ([`register_own_tables`](crate::register_own_tables)). Takes its time, which grows with the debug information. A
/// program without any gets the names in its symbol table; one without that, none. Again it does nothing.
///
/// Runs on a system stack. Not for signal handlers. Go: what `runtime/cgo` and `cgosymbolizer` do at start.
///
/// # Errors
/// [`SymbolizerError`]. No traceback function is set then.
pub fn install() -> Result<(), SymbolizerError> {
    install_from(c"/proc/self/exe")
}

/// As [`install`], with another file of the program: the one that was kept when its debug information was split off or
/// stripped, for example.
///
/// Runs on a system stack. Not for signal handlers.
///
/// # Errors
/// [`SymbolizerError`]. No traceback function is set then.
pub fn install_from(file: &CStr) -> Result<(), SymbolizerError> {
    match STATE.compare_exchange(NOT_INSTALLED, INSTALLING, Ordering::Acquire, Ordering::Acquire) {
        Err(INSTALLED) => return Ok(()),
        Err(REFUSED) => return Err(SymbolizerError::AlreadySet),
        Err(_) => return Err(SymbolizerError::Busy),
        Ok(_) => {}
    }
    let result = install_new(file);
    let state = match result {
        Ok(()) => INSTALLED,
        Err(SymbolizerError::AlreadySet) => REFUSED,
        Err(_) => NOT_INSTALLED,
    };
    STATE.store(state, Ordering::Release);
    result
}

static STATE: AtomicU8 = AtomicU8::new(NOT_INSTALLED);
const NOT_INSTALLED: u8 = 0;
const INSTALLING: u8 = 1;
const INSTALLED: u8 = 2;
/// Others have set their functions, which they keep.
const REFUSED: u8 = 3;

fn install_new(file: &CStr) -> Result<(), SymbolizerError> {
    let (slide, code) = crate::tables::program().ok_or(SymbolizerError::NotElf)?;
    let table = build::table(&contents(file)?, slide, &code)?;
    crate::register_own_tables();
    TABLE.store(Box::into_raw(Box::new(table)), Ordering::Release);
    // SAFETY: they keep to what is said of them; see each.
    let set = unsafe {
        set_cgo_traceback(0, Some(traceback), Some(context), Some(symbolizer))
            .and_then(|()| set_managed_symbolizer(symbolizer))
    };
    set.map_err(|error| match error {
        SetTracebackError::Busy => SymbolizerError::Busy,
        _ => SymbolizerError::AlreadySet,
    })
}

/// All of a file.
fn contents(file: &CStr) -> Result<Vec<u8>, SymbolizerError> {
    const CHUNK: usize = 1 << 20;
    let fd = crate::open(file, crate::O_RDONLY, 0).map_err(SymbolizerError::NoFile)?;
    let mut bytes = Vec::new();
    loop {
        let end = bytes.len();
        bytes.resize(end + CHUNK, 0);
        match fd.read(&mut bytes[end..]) {
            Ok(0) => {
                bytes.truncate(end);
                return Ok(bytes);
            }
            Ok(n) => bytes.truncate(end + n),
            Err(Errno::EINTR) => bytes.truncate(end),
            Err(errno) => return Err(SymbolizerError::NoFile(errno)),
        }
    }
}

/// How much memory the tables take; `None` before [`install`].
///
/// Runs on any stack; safe in a signal handler.
pub fn memory_use() -> Option<MemoryUse> {
    table().map(Table::memory_use)
}

/// Keeps where the function that calls this stands, in the room behind `arg`, and gives the address of that.
///
/// Runs on C's stack. Neither allocates nor locks; walks one frame.
unsafe extern "C" fn context(arg: *mut ContextArg) {
    // SAFETY: stackgate passes an argument that it is asked to fill, with the room behind it, or one to give back.
    unsafe {
        if (*arg).context != 0 {
            // It lies in its caller's frame and ends with that.
            return;
        }
        let mut registers = Registers::default();
        capture(&raw mut registers);
        // This function's frame ends when it returns: its caller's stays.
        let mut place = Physical::in_c(&registers);
        if place.step().is_ok() {
            let room = arg.add(1).cast::<Physical>();
            room.write(place);
            (*arg).context = room.expose_provenance();
        }
    }
}

const _: () = assert!(align_of::<Physical>() <= align_of::<ContextArg>());

/// The PCs of C's frames, from a context or from where a signal interrupted C.
///
/// Runs on a system stack or a signal stack. Neither allocates nor locks. Bounded by the stack that it walks.
unsafe extern "C" fn traceback(arg: *mut TracebackArg) {
    // SAFETY: stackgate passes one, with a buffer, and either a context that `context` made and has not got back, or
    // what the kernel gave a signal handler.
    let (mut pcs, walk) = unsafe {
        let arg = &*arg;
        let mut pcs = Pcs { places: core::slice::from_raw_parts_mut(arg.buf, arg.max), n: 0 };
        let walk = if !arg.sigcontext.is_null() {
            let registers = Registers::from_ucontext(arg.sigcontext);
            pcs.add(Pc::interrupted(registers.pc()).as_return_address());
            // Of a thread without an m nobody has asked where its stack ends, and here nobody can.
            let end =
                if current_m().is_some() { usize::MAX } else { crate::memory::readable_end(registers.sp()) };
            Physical::of_interrupted_below(&registers, end)
        } else if arg.context != 0 {
            Ok(*with_exposed_provenance::<Physical>(arg.context))
        } else {
            return;
        };
        (pcs, walk)
    };
    let Ok(mut walk) = walk else { return };
    while pcs.add(walk.at().pc) && walk.step().is_ok() {}
}

/// The PCs of a traceback, as far as they are C's.
struct Pcs<'a> {
    places: &'a mut [usize],
    n: usize,
}

impl Pcs<'_> {
    /// Adds a PC that a call returns to; says whether there is room for another.
    fn add(&mut self, pc: usize) -> bool {
        let at = Pc::c(pc).lookup();
        let ours = || table().is_some_and(|table| table.is_ours(at));
        // The way into a callback comes first, and crossings may come anywhere: none is a part of C.
        if !in_crossing(at)
            && (self.n > 0 || !ours())
            && let Some(place) = self.places.get_mut(self.n)
        {
            *place = pc;
            self.n += 1;
        }
        self.n < self.places.len()
    }
}

/// Function, file and line of a PC, a frame at each call.
///
/// Runs on any stack. Neither allocates nor locks; two binary searches at most.
unsafe extern "C" fn symbolizer(arg: *mut SymbolizerArg) {
    // SAFETY: stackgate passes one.
    let arg = unsafe { &mut *arg };
    let Some(table) = table() else { return };
    // 0 is the end of an iteration: the names are there for ever.
    if arg.pc == 0 {
        return;
    }
    let first = arg.func.is_null() && arg.file.is_null();
    let place = if first { table.place_of(Pc::c(arg.pc).lookup()) } else { table.place(arg.data) };
    let Some(place) = place else { return };
    arg.file = table.file(place);
    arg.func = table.function(place);
    arg.lineno = table.line(place);
    arg.entry = table.entry(place);
    (arg.more, arg.data) = table.caller(place).map_or((0, 0), |caller| (1, caller));
}

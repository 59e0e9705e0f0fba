//! Finds the program's own unwind tables.

use core::ffi::{c_char, c_int, c_void};
use core::ops::Range;
use stackgate::traceback::{UnwindTables, register_tables};

/// `dl_phdr_info`, `link.h`: the part that every libc has.
#[repr(C)]
struct PhdrInfo {
    address: usize,
    name: *const c_char,
    headers: *const ProgramHeader,
    n: u16,
}

/// `Elf64_Phdr`, `elf.h`.
#[cfg(target_pointer_width = "64")]
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    memory_size: usize,
    align: usize,
}

/// `Elf32_Phdr`, `elf.h`.
#[cfg(target_pointer_width = "32")]
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    memory_size: usize,
    flags: u32,
    align: usize,
}

const PT_LOAD: u32 = 1;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PT_ARM_EXIDX: u32 = 0x7000_0001;
/// The segment holds code.
const PF_X: u32 = 1;

unsafe extern "C" {
    fn dl_iterate_phdr(
        each: unsafe extern "C" fn(*const PhdrInfo, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// Where the program itself was loaded: how far from the addresses in its file, and its code.
#[cfg(feature = "symbolizer")]
pub(crate) fn program() -> Option<(usize, Range<usize>)> {
    unsafe extern "C" fn first(info: *const PhdrInfo, _size: usize, found: *mut c_void) -> c_int {
        // SAFETY: libc passes the module and its headers, the program's first; the result comes from below.
        unsafe {
            let headers = core::slice::from_raw_parts((*info).headers, usize::from((*info).n));
            let code = headers.iter().find(|h| h.kind == PT_LOAD && h.flags & PF_X != 0);
            *found.cast::<Option<(usize, Range<usize>)>>() = code.map(|h| {
                let start = (*info).address.wrapping_add(h.address);
                ((*info).address, start..start + h.memory_size)
            });
        }
        1
    }
    let mut found = None;
    // SAFETY: `first` takes the result.
    unsafe { dl_iterate_phdr(first, (&raw mut found).cast()) };
    found
}

/// Registers the unwind tables of the program and of the shared libraries that it has loaded.
///
/// Returns how many modules have been registered; modules without tables, and those registered before, are
/// passed over.
///
/// Runs on a system stack. Not for signal handlers.
pub fn register_own_tables() -> usize {
    let mut registered = 0usize;
    // SAFETY: `module` takes the counter.
    unsafe { dl_iterate_phdr(module, (&raw mut registered).cast()) };
    registered
}

/// Registers one module.
unsafe extern "C" fn module(info: *const PhdrInfo, _size: usize, registered: *mut c_void) -> c_int {
    // SAFETY: libc passes the module and its headers; the counter comes from above.
    let (info, headers, registered) = unsafe {
        let info = &*info;
        let headers = core::slice::from_raw_parts(info.headers, usize::from(info.n));
        (info, headers, &mut *registered.cast::<usize>())
    };
    let range = |h: &ProgramHeader| {
        let start = info.address + h.address;
        start..start + h.memory_size
    };
    let find = |kind| headers.iter().find(|h| h.kind == kind).map(range);
    let code: Option<Range<usize>> =
        headers.iter().filter(|h| h.kind == PT_LOAD && h.flags & PF_X != 0).map(range).next();
    let Some(text) = code else { return 0 };
    // SAFETY: the headers say that this memory is the module's; it stays loaded, by this function's contract.
    let bytes = |range: &Range<usize>| unsafe {
        core::slice::from_raw_parts(core::ptr::with_exposed_provenance::<u8>(range.start), range.len())
    };
    let tables = if let Some(exidx) = find(PT_ARM_EXIDX) {
        Some(UnwindTables { text, eh_frame_hdr: &[], eh_frame: &[], exidx: bytes(&exidx) })
    } else if let Some(hdr) = find(PT_GNU_EH_FRAME) {
        let segment =
            headers.iter().filter(|h| h.kind == PT_LOAD).map(range).find(|s| s.contains(&hdr.start));
        // SAFETY: as above, up to the end of the segment.
        segment.and_then(|s| unsafe { UnwindTables::of_eh_frame_hdr(bytes(&hdr), text, s.end) }.ok())
    } else {
        None
    };
    if tables.is_some_and(|tables| register_tables(tables).is_ok()) {
        *registered += 1;
    }
    0
}

//! The symbolizer in a program of the host's, which is position independent and loads its C library: those of
//! `qemu-tests` are neither.

use core::ffi::{c_int, c_void};
use stackgate::traceback::{Frames, Traceback};
use stackgate::{G, M, Resumed, cgocall, g_init, m_adopt, m_release, resume};
use stackgate_libc::symbolizer::install;

/// A frame: function, file and line.
type Shown = (String, String, usize);

#[inline(never)]
fn traced() -> Vec<Shown> {
    let mut all = Vec::new();
    let text =
        |bytes: Option<&[u8]>| bytes.map_or(String::new(), |b| String::from_utf8_lossy(b).into_owned());
    Frames::new(Traceback::current()).for_each(|f| all.push((text(f.function), text(f.file), f.line)));
    all
}

/// What the callback has seen, and on which line it looked.
struct Seen {
    inner: (u32, Vec<Shown>),
    outer: u32,
}

unsafe extern "C" fn called_back(seen: *mut c_void, _: usize, _: usize) {
    // SAFETY: `in_c` passes it on.
    let seen = unsafe { &mut *seen.cast::<Seen>() };
    seen.inner = (line!(), traced());
}

unsafe extern "C" fn in_c(seen: *mut c_void) -> c_int {
    // SAFETY: `task` passes one.
    unsafe { (*seen.cast::<Seen>()).outer = line!() + 2 };
    // SAFETY: the callback takes it.
    unsafe { stackgate::enter(called_back, seen, 0) };
    core::hint::black_box(4)
}

unsafe extern "C" fn task(seen: usize) -> usize {
    // SAFETY: `in_c` takes it.
    unsafe { cgocall(in_c, core::ptr::with_exposed_provenance_mut(seen)) as usize }
}

#[test]
fn files_and_lines_in_a_position_independent_program() {
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    install().expect("the program's own file");
    let (mut m, mut g) = (M::default(), G::default());
    let mut stack = vec![0u128; 8192];
    let ends = stack.as_mut_ptr_range();
    let mut seen = Seen { inner: (0, Vec::new()), outer: 0 };
    // SAFETY: all of it outlives the task.
    unsafe {
        m_adopt(&mut m).unwrap();
        g_init(&mut g, ends.start.cast(), ends.end.cast(), task).unwrap();
        assert_eq!(resume(&mut g, (&raw mut seen).expose_provenance()), Ok(Resumed::Finished(4)));
    }
    m_release().unwrap();
    let (line, trace) = seen.inner;
    let mut frames = trace.iter();
    for (name, line) in [("called_back", line), ("in_c", seen.outer)] {
        let wanted = |f: &&Shown| f.0.ends_with(name) && f.1.ends_with(file!()) && f.2 == line as usize;
        assert!(frames.any(|f| wanted(&f)), "{name} at line {line} in {trace:#?}");
    }
    assert!(frames.any(|f| f.0.ends_with("task") && f.1.ends_with(file!())), "{trace:#?}");
}

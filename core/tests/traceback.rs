//! Tracebacks, natively. The traceback functions are set once in a process, so each case has one of its own:
//! this program runs itself again for it.
//!
//! Needs an optimised build, as the workspace has it, and `-C force-frame-pointers=yes`, which `RUSTFLAGS` or the caller's configuration gives.

#![allow(missing_docs, reason = "a test program")]

/// What a case is.
pub mod harness {
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub struct Case {
        pub group: &'static str,
        pub name: &'static str,
        pub run: fn(),
    }

    static CHECKED: AtomicUsize = AtomicUsize::new(0);

    pub fn checked() -> usize {
        CHECKED.load(Ordering::Relaxed)
    }

    pub fn passed() {
        CHECKED.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! check {
    ($condition:expr $(, $($message:tt)+)?) => {{
        assert!($condition $(, $($message)+)?);
        crate::harness::passed();
    }};
}
macro_rules! check_eq {
    ($left:expr, $right:expr $(, $($message:tt)+)?) => {{
        assert_eq!($left, $right $(, $($message)+)?);
        crate::harness::passed();
    }};
}
macro_rules! cases {
    ($group:literal; $($name:literal => $run:expr;)+) => {
        pub const CASES: &[crate::harness::Case] =
            &[$(crate::harness::Case { group: $group, name: $name, run: $run }),+];
    };
}

/// A thread that is an m, and tasks.
pub mod setup {
    use stackgate::{EntryFn, G, M, Resumed, g_init, m_adopt, m_release, resume};

    pub struct Task {
        pub g: Box<G>,
        stack: Box<[u128]>,
    }

    impl Task {
        pub fn new(size: usize, entry: EntryFn) -> Self {
            let mut task = Self { g: Box::default(), stack: vec![0; size / 16].into_boxed_slice() };
            let ends = task.stack.as_mut_ptr_range();
            // SAFETY: both live as long as the task, and stay where they are.
            unsafe { g_init(&raw mut *task.g, ends.start.cast(), ends.end.cast(), entry) }.expect("a stack");
            task
        }

        pub fn resume(&mut self, word: usize) -> Resumed {
            // SAFETY: the g is this task's, and nobody else has it.
            unsafe { resume(&raw mut *self.g, word) }.expect("a parked task on an adopted thread")
        }
    }

    pub fn adopted<R>(f: impl FnOnce(*mut M) -> R) -> R {
        let mut m: Box<M> = Box::default();
        let at = &raw mut *m;
        // SAFETY: the m outlives the adoption.
        unsafe { m_adopt(at) }.expect("a thread that is no m");
        let result = f(at);
        m_release().expect("the thread stands where it was adopted");
        result
    }

    /// Registers the unwind tables of this program and its libraries.
    pub fn register_tables() {
        use core::ffi::{c_int, c_void};

        #[repr(C)]
        struct Header {
            kind: u32,
            flags: u32,
            offset: u64,
            address: u64,
            physical: u64,
            file_size: u64,
            size: u64,
            align: u64,
        }
        #[repr(C)]
        struct Module {
            base: u64,
            name: *const core::ffi::c_char,
            headers: *const Header,
            count: u16,
        }
        unsafe extern "C" {
            fn dl_iterate_phdr(
                each: unsafe extern "C" fn(*const Module, usize, *mut c_void) -> c_int,
                data: *mut c_void,
            ) -> c_int;
        }
        unsafe extern "C" fn each(module: *const Module, _: usize, _: *mut c_void) -> c_int {
            const LOAD: u32 = 1;
            const EH_FRAME: u32 = 0x6474_e550;
            // SAFETY: the loader's own description of a module, which stays loaded.
            unsafe {
                let module = &*module;
                let headers = core::slice::from_raw_parts(module.headers, usize::from(module.count));
                let range = |header: &Header| {
                    let start = (module.base + header.address) as usize;
                    start..start + header.size as usize
                };
                let text = headers.iter().find(|h| h.kind == LOAD && h.flags & 1 != 0).map(range);
                let hdr = headers.iter().find(|h| h.kind == EH_FRAME).map(range);
                let (Some(text), Some(hdr)) = (text, hdr) else { return 0 };
                let segment = headers.iter().filter(|h| h.kind == LOAD).map(range);
                let Some(segment) = segment.into_iter().find(|s| s.contains(&hdr.start)) else { return 0 };
                let hdr = core::slice::from_raw_parts(
                    core::ptr::with_exposed_provenance::<u8>(hdr.start),
                    hdr.len(),
                );
                let tables = stackgate::traceback::UnwindTables::of_eh_frame_hdr(hdr, text, segment.end);
                if let Ok(tables) = tables {
                    stackgate::traceback::register_tables(tables).expect("room for the tables");
                }
            }
            0
        }
        // SAFETY: `each` has the type that is asked for.
        unsafe { dl_iterate_phdr(each, core::ptr::null_mut()) };
    }
}

#[cfg(target_arch = "x86_64")]
#[path = "traceback/step.rs"]
mod step;
#[path = "traceback/cases.rs"]
mod tower;

fn all() -> impl Iterator<Item = &'static harness::Case> {
    let cases = tower::CASES.iter();
    #[cfg(target_arch = "x86_64")]
    let cases = cases.chain(step::CASES);
    cases
}

const CASE: &str = "STACKGATE_TRACEBACK_CASE";

/// One case, when another process asks for it.
#[test]
fn one_case() {
    let Ok(name) = std::env::var(CASE) else { return };
    let case = all().find(|case| case.name == name).expect("a case of that name");
    (case.run)();
    assert!(harness::checked() > 0, "the case has checked nothing");
    println!("checked {}", harness::checked());
}

#[test]
fn each_case_in_a_process_of_its_own() {
    let program = std::env::current_exe().expect("the test program");
    let mut failed = Vec::new();
    for case in all() {
        let output = std::process::Command::new(&program)
            .args(["one_case", "--exact", "--nocapture", "--test-threads=1"])
            .env(CASE, case.name)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("the test program runs");
        let out = String::from_utf8_lossy(&output.stdout);
        let checked = out.lines().find(|line| line.contains("checked ")).unwrap_or("checked nothing");
        println!("{} / {}: {}, {checked}", case.group, case.name, output.status);
        if !output.status.success() || checked == "checked nothing" {
            println!("{out}{}", String::from_utf8_lossy(&output.stderr));
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

//! What a case is, and how it counts what it checked.

use core::sync::atomic::{AtomicUsize, Ordering};

/// One case: runs in a process of its own.
pub struct Case {
    /// The group it is counted in.
    pub group: &'static str,
    /// Its name within the group.
    pub name: &'static str,
    /// What must come of it.
    pub expect: Expect,
    /// The case itself.
    pub run: fn(),
}

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It returns, having checked something.
    Ok,
    /// It ends the program, with this in what it writes to standard error.
    Fatal(&'static str),
}

static CHECKED: AtomicUsize = AtomicUsize::new(0);

/// How many checks have passed so far.
pub fn checked() -> usize {
    CHECKED.load(Ordering::Relaxed)
}

/// Counts a check that has passed.
pub fn passed() {
    CHECKED.fetch_add(1, Ordering::Relaxed);
}

/// Counts as checked if true; ends the case otherwise.
#[macro_export]
macro_rules! check {
    ($condition:expr $(, $($message:tt)+)?) => {{
        assert!($condition $(, $($message)+)?);
        $crate::harness::passed();
    }};
}

/// Counts as checked if equal; ends the case otherwise.
#[macro_export]
macro_rules! check_eq {
    ($left:expr, $right:expr $(, $($message:tt)+)?) => {{
        assert_eq!($left, $right $(, $($message)+)?);
        $crate::harness::passed();
    }};
}

/// The cases of a group: `group "name" { name => function, name (fatal "text") => function }`.
#[macro_export]
macro_rules! cases {
    ($group:literal; $($name:literal $((fatal $text:literal))? => $run:expr;)+) => {
        /// The cases of this group.
        pub const CASES: &[$crate::harness::Case] = &[$(
            $crate::harness::Case {
                group: $group,
                name: $name,
                expect: $crate::cases!(@expect $($text)?),
                run: $run,
            }
        ),+];
    };
    (@expect) => { $crate::harness::Expect::Ok };
    (@expect $text:literal) => { $crate::harness::Expect::Fatal($text) };
}

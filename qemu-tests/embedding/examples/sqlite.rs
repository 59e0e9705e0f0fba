//! SQLite, called from tasks on stacks of 16 KiB that share one connection. `sqlite [TASKS [THREADS]]`, 10 000 and 2
//! if nothing is said.
//!
//! Each task has `sqlite3_exec` run a query, or steps through the rows and gives up its turn after each. What SQLite
//! calls meanwhile is managed code, on the stack of the task that asked: a function, an aggregate, a collation, and the
//! callback that gets a row. These call SQLite in their turn.
//!
//! They bear the names of functions that SQLite has, and replace them. So the answers can be held against what
//! SQLite says where nobody replaces anything, and against those of ordinary threads that run the same functions as
//! plain C functions, on a connection of their own. Numbers of calls and callbacks are the same there.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use embedding::{KINDS, c, counted, must, take_counts};
use libsqlite3_sys::*;
use std::ffi::CString;
use std::process::ExitCode;
use std::time::Instant;

/// Different queries. Each has a round of its own.
const ROUNDS: usize = 32;
/// One task in so many steps through its rows. While such a query waits for its turn its cursors are open, and SQLite
/// goes through all of these whenever it opens or closes one: with 10 000 of them nothing else would be seen.
const STEPPED: usize = 75;
/// Who plays in each round. Some do so under two names, which the collation tells to be one.
const PLAYERS: [&str; 5] = ["ada", "Ben", "ADA", "cyd", "ben"];

// ---- What SQLite calls.

/// What callbacks are counted by.
const NAMES: [&str; KINDS] = ["upper()", "sum(), each row", "sum(), at the end", "NOCASE", "exec, each row"];

/// What came of a query: how many rows, and a hash of what is in them (FNV-1a with 32 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Answer {
    rows: usize,
    hash: u32,
}

impl Answer {
    const NONE: Self = Self { rows: 0, hash: 0x811c_9dc5 };

    /// Adds a row.
    ///
    /// # Safety
    /// Each is null or a string.
    unsafe fn add(&mut self, columns: &[*mut c_char]) {
        self.rows += 1;
        for &column in columns {
            must(!column.is_null());
            // SAFETY: by the caller.
            let text = if column.is_null() { c"" } else { unsafe { CStr::from_ptr(column) } };
            for &byte in text.to_bytes_with_nul() {
                self.hash = (self.hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
        }
    }
}

/// Makes two functions of each: a plain C function, and an exported one. That comes back to the stack of the task that
/// has called SQLite, and is managed code there.
macro_rules! both_ways {
    ($(
        $(#[$meta:meta])*
        $plain:ident, $managed:ident: fn($($arg:ident: $ty:ty),*) $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        unsafe extern "C" fn $plain($($arg: $ty),*) $(-> $ret)? $body
        stackgate::export! {
            extern "C" fn $managed($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: what C passes.
                unsafe { $plain($($arg),*) }
            }
        }
    )*};
}

type Context = *mut sqlite3_context;
type Values = *mut *mut sqlite3_value;
type Texts = *mut *mut c_char;

both_ways! {
    /// `upper(text)`.
    upper, task_upper: fn(context: Context, _n: c_int, values: Values) {
        counted(0);
        let mut upper = [0; 32];
        // SAFETY: SQLite passes one value, whose text stays until this returns, and copies the result.
        unsafe {
            let (text, size) = c(|| (sqlite3_value_text(*values), sqlite3_value_bytes(*values) as usize));
            let upper = &mut upper[..size];
            upper.copy_from_slice(core::slice::from_raw_parts(text, size));
            upper.make_ascii_uppercase();
            c(|| sqlite3_result_text(context, upper.as_ptr().cast(), size as c_int, SQLITE_TRANSIENT()));
        }
    }

    /// `sum(number)`, a row of it.
    sum_row, task_sum_row: fn(context: Context, _n: c_int, values: Values) {
        counted(1);
        // SAFETY: SQLite passes one value, and keeps for each sum a place that is 0 at first.
        unsafe {
            let place = || sqlite3_aggregate_context(context, size_of::<i64>() as c_int).cast::<i64>();
            let (sum, number) = c(|| (place(), sqlite3_value_int64(*values)));
            match sum.as_mut() {
                Some(sum) => *sum += number,
                None => c(|| sqlite3_result_error_nomem(context)),
            }
        }
    }

    /// `sum(number)`, after its last row.
    sum_end, task_sum_end: fn(context: Context) {
        counted(2);
        // SAFETY: as above; without a row there is no place.
        unsafe {
            let sum = c(|| sqlite3_aggregate_context(context, 0)).cast::<i64>();
            if let Some(&sum) = sum.as_ref() {
                c(|| sqlite3_result_int64(context, sum));
            }
        }
    }

    /// `COLLATE NOCASE`.
    nocase, task_nocase: fn(_w: *mut c_void, n: c_int, a: *const c_void, m: c_int, b: *const c_void) -> c_int {
        counted(3);
        // SAFETY: SQLite passes two texts with their sizes.
        let text = |at: *const c_void, n| unsafe { core::slice::from_raw_parts(at.cast::<u8>(), n as usize) };
        let lower = u8::to_ascii_lowercase;
        text(a, n).iter().map(lower).cmp(text(b, m).iter().map(lower)) as c_int
    }

    /// What `sqlite3_exec` calls with each row.
    row, task_row: fn(answer: *mut c_void, columns: c_int, texts: Texts, _names: Texts) -> c_int {
        counted(4);
        // SAFETY: `ask` passes its answer, SQLite so many texts.
        unsafe { (*answer.cast::<Answer>()).add(core::slice::from_raw_parts(texts, columns as usize)) };
        SQLITE_OK
    }
}

/// What SQLite is given to call.
struct Functions {
    upper: unsafe extern "C" fn(Context, c_int, Values),
    sum_row: unsafe extern "C" fn(Context, c_int, Values),
    sum_end: unsafe extern "C" fn(Context),
    nocase: unsafe extern "C" fn(*mut c_void, c_int, *const c_void, c_int, *const c_void) -> c_int,
    row: unsafe extern "C" fn(*mut c_void, c_int, Texts, Texts) -> c_int,
}

const PLAIN: Functions = Functions { upper, sum_row, sum_end, nocase, row };
const MANAGED: Functions = Functions {
    upper: task_upper,
    sum_row: task_sum_row,
    sum_end: task_sum_end,
    nocase: task_nocase,
    row: task_row,
};

// ---- Who calls SQLite.

struct Database {
    connection: *mut sqlite3,
    queries: Vec<CString>,
    functions: Functions,
}
// SAFETY: SQLite locks a connection while it uses it; it is compiled to do so.
unsafe impl Send for Database {}
// SAFETY: as above.
unsafe impl Sync for Database {}

impl Database {
    /// A database in memory, with the same in it each time. `functions` replace SQLite's own, or serve for rows alone.
    fn new(functions: Functions, replace: bool) -> Self {
        let values = (0..ROUNDS).flat_map(|round| {
            let points = move |i| (7 * round + 13 * i) % 101;
            PLAYERS.iter().enumerate().map(move |(i, name)| format!("({round}, '{name}', {})", points(i)))
        });
        let fill = format!(
            "CREATE TABLE score (round, name, points); CREATE INDEX by_round ON score (round);
             INSERT INTO score VALUES {}",
            values.collect::<Vec<_>>().join(", ")
        );
        let query = |round| {
            format!(
                "SELECT upper(name), sum(points) FROM score WHERE round = {round}
                 GROUP BY name COLLATE NOCASE ORDER BY name COLLATE NOCASE DESC"
            )
        };
        let text = |text: String| CString::new(text).expect("no zero in it");
        let good = |code| assert_eq!(code, SQLITE_OK, "SQLite says no");
        let Functions { upper, sum_row, sum_end, nocase, .. } = functions;
        let mut connection = core::ptr::null_mut();
        // SAFETY: all that is passed lives as long as it is used.
        unsafe {
            let (null, message) = (core::ptr::null_mut(), core::ptr::null_mut());
            good(sqlite3_open(c":memory:".as_ptr(), &raw mut connection));
            good(sqlite3_exec(connection, text(fill).as_ptr(), None, null, message));
            let define = |name: &CStr, call, row, end| {
                let (name, how) = (name.as_ptr(), SQLITE_UTF8 | SQLITE_DETERMINISTIC);
                sqlite3_create_function_v2(connection, name, 1, how, null, call, row, end, None)
            };
            if replace {
                good(define(c"upper", Some(upper), None, None));
                good(define(c"sum", None, Some(sum_row), Some(sum_end)));
                let (name, how) = (c"NOCASE".as_ptr(), SQLITE_UTF8);
                good(sqlite3_create_collation_v2(connection, name, how, null, Some(nocase), None));
            }
        }
        Self { connection, queries: (0..ROUNDS).map(query).map(text).collect(), functions }
    }

    /// Runs the query of a number, and returns the answer's hash. `turn` lets others go on in between.
    fn ask(&self, number: usize, turn: impl Fn()) -> usize {
        let query = self.queries[number % ROUNDS].as_ptr();
        let mut answer = Answer::NONE;
        turn();
        if number % STEPPED == STEPPED - 1 {
            self.step(query, &mut answer, &turn);
        } else {
            let (row, into, message) = (self.functions.row, (&raw mut answer).cast(), core::ptr::null_mut());
            // SAFETY: `row` takes an answer.
            let code = unsafe { c(|| sqlite3_exec(self.connection, query, Some(row), into, message)) };
            must(code == SQLITE_OK);
        }
        turn();
        must(answer.rows > 0);
        answer.hash as usize
    }

    /// The same, row by row.
    fn step(&self, query: *const c_char, answer: &mut Answer, turn: &impl Fn()) {
        let (mut statement, end) = (core::ptr::null_mut(), core::ptr::null_mut());
        // SAFETY: the statement is this call's alone, and so are its columns' texts until it goes on.
        unsafe {
            must(c(|| sqlite3_prepare_v2(self.connection, query, -1, &raw mut statement, end)) == SQLITE_OK);
            while c(|| sqlite3_step(statement)) == SQLITE_ROW {
                let column = |i| sqlite3_column_text(statement, i).cast::<c_char>().cast_mut();
                answer.add(&c(|| [column(0), column(1)]));
                turn();
            }
            must(c(|| sqlite3_finalize(statement)) == SQLITE_OK);
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        assert_eq!(unsafe { sqlite3_close(self.connection) }, SQLITE_OK, "a statement is left");
    }
}

/// The tasks' database.
static SHARED: AtomicPtr<Database> = AtomicPtr::new(core::ptr::null_mut());

/// What a task does, on its stack of 16 KiB.
unsafe extern "C" fn task(number: usize) -> usize {
    // SAFETY: main has made it, and keeps it until the tasks have finished.
    let shared = unsafe { &*SHARED.load(Ordering::Relaxed) };
    shared.ask(number, || must(stackgate::park(0).is_ok()))
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(default, |n| n.parse().expect("a number"));
    let (count, threads): (usize, usize) = (number(10_000), number(2));
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");

    let own = Database::new(PLAIN, false);
    let expected: Vec<_> = (0..ROUNDS).map(|round| own.ask(round, || ())).collect();

    // The ordinary threads: each asks for whoever is next.
    take_counts();
    let start = Instant::now();
    let plain = Database::new(PLAIN, true);
    let answers: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
    let next = AtomicUsize::new(0);
    let asks = || {
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && let Some(answer) = answers.get(number)
        {
            answer.store(plain.ask(number, || ()), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(asks))));
    let answers: Vec<_> = answers.into_iter().map(AtomicUsize::into_inner).collect();
    let (ordinary, ordinary_time) = (take_counts(), start.elapsed());

    // The tasks.
    let start = Instant::now();
    let mut shared = Database::new(MANAGED, true);
    SHARED.store(&raw mut shared, Ordering::Relaxed);
    let report = embedding::run(count, threads, task);
    let (counts, time) = (&report.counts, start.elapsed());

    let version = SQLITE_VERSION.to_string_lossy();
    println!("SQLite {version}: {count} tasks on {threads} threads, with one connection");
    println!("  {:<20}{:>12}{:>12}", "", "tasks", "threads");
    println!("  {:<20}{:>12}{:>12}", "calls of SQLite", counts.calls, ordinary.calls);
    for ((name, of_tasks), of_threads) in NAMES.iter().zip(counts.callbacks).zip(ordinary.callbacks) {
        println!("  {name:<20}{of_tasks:>12}{of_threads:>12}");
    }
    let right = |all: &[usize]| (0..count).filter(|&n| all[n] == expected[n % ROUNDS]).count();
    let rights = [right(&report.results), right(&answers)];
    println!("  {:<20}{:>12}{:>12}", "answers as expected", rights[0], rights[1]);
    println!("  {:<20}{:>10.1} s{:>10.1} s", "time", time.as_secs_f64(), ordinary_time.as_secs_f64());
    let judged = report.tell()
        && rights == [count; 2]
        && (counts.calls, counts.callbacks) == (ordinary.calls, ordinary.callbacks)
        && counts.callbacks.iter().all(|&n| n >= count)
        && (ordinary.in_place, ordinary.wrong) == (0, 0)
        // Few may stay where they are.
        && (threads < 2 || count < 1_000 || report.moves > 0);
    if judged { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

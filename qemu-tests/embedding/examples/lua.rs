//! Lua, called from tasks on stacks of 16 KiB, whose scripts call the tasks. `lua [TASKS]`, 10 000 if nothing is said.
//!
//! Each task runs a coroutine of one Lua. The functions that the scripts call are managed code, on the stack of the
//! task that runs the script. Lua leaves functions by `longjmp`, for an error and for a yield. That is C's affair as
//! long as only C is left: so a managed function that wants either returns and says so, and [`calls_managed`], which is
//! C to stackgate, does it. In this way errors pass through as many layers of Lua and managed code as there are, and a
//! function may have its task wait, which cannot park while C lies below.
//!
//! At the end one does it wrongly, in a process of its own: its error leaves managed frames. Lua does not notice;
//! stackgate does, at the next callback, and ends the program by name.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use embedding::child::in_child;
use embedding::{KINDS, Report, c, counted, must};
use mlua_sys::*;
use std::process::ExitCode;
use std::time::Instant;

/// `job` is what a task runs, with its number; what it returns is the sum of all that went right.
const SCRIPT: &CStr = c"
    function job(n)
        local sum = 0

        -- C raises an error, C catches it: nobody else sees it.
        local good, what = pcall(error, n)
        if not good then sum = sum + what end

        -- A managed function fails.
        good, what = pcall(refuse, n)
        if not good then sum = sum + what end

        -- A script that managed code runs, which such a script has called, and so on, fails: all of them do.
        local function dive(depth)
            if depth == 0 then error(n + 2) end
            return through(function() return dive(depth - 1) end)
        end
        good, what = pcall(dive, 4)
        if not good then sum = sum + what end

        for i = 1, 3 do
            sum = sum + twice(n + i)
            rest()
        end
        return sum
    end

    function wrong(n)
        pcall(leave, n)
        return twice(n)
    end
";
/// As deep as `job` dives.
const DEPTH: usize = 4;
/// Calls of Lua that it takes: to begin, after each of three rests, for the result; two in `twice` and `refuse`, one in
/// `through`.
const CALLS: usize = 1 + 3 + 1 + 2 * 3 + 2 + DEPTH;

/// What `job` returns to task `n`: three errors, and twice its number and 1, 2, 3.
fn expected(n: usize) -> usize {
    n + (n + 1) + (n + 2) + (1..=3).map(|i| 2 * (n + i)).sum::<usize>()
}

// ---- What Lua calls.

/// What a managed function returns, if not the number of its results: it has failed, with the error on top of Lua's
/// stack; or it wants the task to wait.
const FAILS: c_int = -1;
const WAITS: c_int = -2;

/// An exported function, as Lua gets it: by [`calls_managed`].
type Managed = extern "C" fn(*mut lua_State) -> c_int;

/// The functions, and how often `job` calls each.
const FUNCTIONS: [(&CStr, Managed, usize); KINDS] = [
    (c"twice", task_twice, 3),
    (c"rest", task_rest, 3),
    (c"refuse", task_refuse, 1),
    (c"through", task_through, DEPTH),
    (c"leave", task_leave, 0),
];

/// What Lua calls for each of them, on the system stack: there is nothing of this frame's that a jump could lose.
unsafe extern "C-unwind" fn calls_managed(lua: *mut lua_State) -> c_int {
    // SAFETY: `open` has left the address of such a function. Nothing is left but C.
    unsafe {
        let function = lua_touserdata(lua, lua_upvalueindex(1));
        match core::mem::transmute::<*mut c_void, Managed>(function)(lua) {
            FAILS => lua_error(lua),
            WAITS => lua_yield(lua, 0),
            results => results,
        }
    }
}

// Of Lua's functions these use only such as never raise an error, or catch it: `lua_pcall`.
stackgate::export! {
    /// `twice(n)`: 2n.
    extern "C" fn task_twice(lua: *mut lua_State) -> c_int {
        counted(0);
        // SAFETY: Lua's, and it passes its state; so below.
        unsafe {
            let n = c(|| lua_tointegerx(lua, 1, core::ptr::null_mut()));
            c(|| lua_pushinteger(lua, 2 * n));
        }
        1
    }

    /// `rest()`: the other tasks' turn.
    extern "C" fn task_rest(_lua: *mut lua_State) -> c_int {
        counted(1);
        must(stackgate::park(0) == Err(stackgate::ParkError::BelowC));
        WAITS
    }

    /// `refuse(n)`: fails, and the error is n + 1.
    extern "C" fn task_refuse(lua: *mut lua_State) -> c_int {
        counted(2);
        // SAFETY: as above.
        unsafe {
            let n = c(|| lua_tointegerx(lua, 1, core::ptr::null_mut()));
            c(|| lua_pushinteger(lua, n + 1));
        }
        FAILS
    }

    /// `through(f)`: what f returns. If it fails, so does this.
    extern "C" fn task_through(lua: *mut lua_State) -> c_int {
        counted(3);
        // SAFETY: as above. What is raised in there lands here, in C, and stays on Lua's stack.
        match unsafe { c(|| lua_pcall(lua, 0, 1, 0)) } {
            LUA_OK => 1,
            _ => FAILS,
        }
    }

    /// `leave(n)`: raises an error itself, over its own frames. This is wrong.
    extern "C" fn task_leave(lua: *mut lua_State) -> c_int {
        counted(4);
        // SAFETY: none of these frames has anything to drop; but stackgate's do not come to their ends.
        unsafe { c(|| -> c_int { lua_error(lua) }) }
    }
}

// ---- Who calls Lua.

/// The coroutines, by the task's number.
static COROUTINES: AtomicPtr<*mut lua_State> = AtomicPtr::new(core::ptr::null_mut());

/// A Lua that knows the functions and the script.
fn open() -> *mut lua_State {
    // SAFETY: a new Lua, on a thread's own stack.
    unsafe {
        let lua = luaL_newstate();
        assert!(!lua.is_null(), "memory");
        luaL_requiref(lua, c"_G".as_ptr(), luaopen_base, 1);
        for (name, function, _) in FUNCTIONS {
            lua_pushlightuserdata(lua, function as *mut c_void);
            lua_pushcclosure(lua, calls_managed, 1);
            lua_setglobal(lua, name.as_ptr());
        }
        assert_eq!(luaL_dostring(lua, SCRIPT.as_ptr()), LUA_OK, "the script");
        lua
    }
}

/// Coroutines that are about to call a function of the script, each with its number.
fn coroutines(lua: *mut lua_State, function: &CStr, count: usize) -> Vec<*mut lua_State> {
    let coroutine = |number| {
        // SAFETY: Lua runs on no other thread now. What is in its registry is not collected.
        unsafe {
            let coroutine = lua_newthread(lua);
            luaL_ref(lua, LUA_REGISTRYINDEX);
            lua_getglobal(coroutine, function.as_ptr());
            lua_pushinteger(coroutine, number as lua_Integer);
            coroutine
        }
    };
    (0..count).map(coroutine).collect()
}

/// What a task does, on its stack of 16 KiB: runs its coroutine, and parks whenever that yields.
unsafe extern "C" fn task(number: usize) -> usize {
    // SAFETY: there are as many as tasks, and all of them run on one thread.
    let lua = unsafe { *COROUTINES.load(Ordering::Relaxed).add(number) };
    let (mut arguments, mut results) = (1, 0);
    loop {
        // SAFETY: as above. It catches every error.
        match unsafe { c(|| lua_resume(lua, core::ptr::null_mut(), arguments, &raw mut results)) } {
            LUA_YIELD => must(stackgate::park(0).is_ok()),
            status => {
                must(status == LUA_OK && results == 1);
                // SAFETY: as above.
                return unsafe { c(|| lua_tointegerx(lua, -1, core::ptr::null_mut())) } as usize;
            }
        }
        arguments = 0;
    }
}

/// Runs a function of the script in so many tasks.
fn run(lua: *mut lua_State, function: &CStr, count: usize) -> Report {
    let mut all = coroutines(lua, function, count);
    COROUTINES.store(all.as_mut_ptr(), Ordering::Relaxed);
    embedding::run(count, 1, task)
}

fn main() -> ExitCode {
    let count = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("a number"));
    stackgate::set_platform(&stackgate_libc::Hosted).expect("the first platform");
    let lua = open();
    let start = Instant::now();
    let report = run(lua, c"job", count);
    let time = start.elapsed();
    let right = report.results.iter().enumerate().filter(|&(n, &result)| result == expected(n)).count();

    // SAFETY: the name of a global, which is a string that stays.
    let version = unsafe {
        lua_getglobal(lua, c"_VERSION".as_ptr());
        CStr::from_ptr(lua_tostring(lua, -1))
    };
    println!("{}: {count} tasks, each with a coroutine", version.to_string_lossy());
    println!("  {:<20}{:>12}", "calls of Lua", report.counts.calls);
    let functions = FUNCTIONS.iter().zip(report.counts.callbacks);
    for ((name, ..), calls) in functions.clone().filter(|((.., each), _)| *each > 0) {
        println!("  {:<20}{calls:>12}", format!("{}()", name.to_string_lossy()));
    }
    println!("  {:<20}{right:>12}", "answers as expected");
    println!("  {:<20}{:>10.1} s", "time", time.as_secs_f64());
    let mut judged = report.tell()
        && right == count
        && functions.clone().all(|((.., each), calls)| calls == each * count)
        && report.counts.calls == CALLS * count
        // Each rests three times.
        && report.turns == 4 * count;

    const NAMED: &str = "stackgate: fatal: callback after a longjmp over managed frames";
    let ending = in_child(|| {
        run(lua, c"wrong", 1);
        0
    });
    // What follows is the emulator's.
    let message = ending.errors.lines().next().unwrap_or_default();
    println!("  an error raised over managed frames ends the program:\n  {message}");
    judged &= ending.signal == Some(libc::SIGABRT) && message.starts_with(NAMED);
    // SAFETY: nobody uses it any more.
    unsafe { lua_close(lua) };
    if judged { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

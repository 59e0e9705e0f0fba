//! A guest program under the debugger: the emulator's gdb stub, driven by gdb in batch mode.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{Cmd, Outcome, find_program},
    toolchain::Kit,
};

/// The debugger that knows all six CPUs.
pub const GDB: &str = "gdb-multiarch";

/// How long the emulator may take to open its socket.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The name of the functions that gdb lets change stacks, wherever the other one lies.
const MORESTACK: &str = "__morestack";

/// A copy of the program, below `directory`, in which gdb takes calls of these functions for ones that may change
/// stacks. Of all others it demands that a caller's frame lies above.
pub fn copy_for_stack_changes(
    kit: &Kit,
    program: &str,
    directory: &str,
    functions: &[String],
) -> Result<String> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let copy = format!("{directory}/{name}-{}", kit.variant.map_or(kit.target.name, |variant| variant.name));
    let mut from = program.to_owned();
    for function in functions {
        // One at a time: objcopy refuses two symbols of one new name, the file may have them.
        Cmd::new(kit.target.tool("objcopy"))
            .args(["--redefine-sym", &format!("{function}={MORESTACK}")])
            .args(["--strip-debug", "--keep-section=.debug_frame", &from, &copy])
            .read()?;
        from.clone_from(&copy);
    }
    Ok(copy)
}

/// Sockets and logs of one session; removed with it.
struct Scratch(PathBuf);

impl Scratch {
    /// Under the system's directory for temporary files, since a socket's path must be short.
    fn new(cpu: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("xtask-gdb-{}-{number}-{cpu}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One run of the debugger.
pub struct Session<'a> {
    pub kit: &'a Kit,
    /// The guest program that runs.
    pub program: &'a str,
    pub args: &'a [&'a str],
    /// The file whose symbols gdb reads: the program, or a copy with names changed.
    pub symbols: &'a str,
    /// A Python script for gdb.
    pub script: &'a Path,
    /// Variables of the environment that the script reads.
    pub variables: &'a [(&'a str, String)],
    /// Both processes are killed after this time.
    pub limit: Duration,
    /// Whether the command lines are printed.
    pub loud: bool,
}

/// What a session left.
pub struct Transcript {
    /// The debugger's end and output.
    pub gdb: Outcome,
    /// The guest's output.
    pub guest: String,
}

impl Session<'_> {
    /// Starts the program stopped at its first instruction, attaches gdb, runs the script.
    pub fn run(&self) -> Result<Transcript> {
        if find_program(GDB).is_none() {
            bail!("{GDB} is missing; install it: cargo xtask setup");
        }
        let scratch = Scratch::new(self.kit.target.name)?;
        let socket = scratch.0.join("s");
        let log = scratch.0.join("log");
        let guest = self
            .kit
            .emulator()
            .arg("-g")
            .arg(&socket)
            .arg(self.program)
            .args(self.args)
            .background(&log, self.loud)?;
        let start = Instant::now();
        while !socket.exists() {
            if start.elapsed() > START_LIMIT {
                bail!("the emulator opened no socket for gdb: {}", read_log(&log));
            }
            thread::sleep(Duration::from_millis(5));
        }
        let base = Cmd::new(GDB)
            .args(["-nx", "-q", "-batch"])
            .args(["-ex", &format!("set architecture {}", self.kit.target.gdb)])
            .args(["-ex", &format!("target remote {}", socket.display())])
            .arg("-x")
            .arg(self.script)
            .arg(self.symbols);
        let gdb = self.variables.iter().fold(base, |cmd, (name, value)| cmd.env(*name, value));
        if self.loud {
            gdb.show();
        }
        let gdb = gdb.capture(Some(self.limit))?;
        drop(guest);
        Ok(Transcript { gdb, guest: read_log(&log) })
    }
}

fn read_log(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

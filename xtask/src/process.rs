//! Running other programs.
//!
//! Every child gets a process group of its own, and every group is on one list. Whoever ends this
//! tool early (Ctrl-C, SIGTERM, a closed terminal) or lets a guest run past its time limit kills
//! whole groups, so that no emulator, compiler or debugger stays behind.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};

use crate::ui;

/// A child that is running now.
struct Running {
    group: Pid,
    deadline: Option<Instant>,
    timed_out: bool,
}

/// All children. Starting one holds the lock, so that none can slip past [`kill_all_and_exit`].
static CHILDREN: Mutex<Vec<Running>> = Mutex::new(Vec::new());

fn children() -> MutexGuard<'static, Vec<Running>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the handlers for interruption and starts the watch over time limits. Called once.
pub fn supervise() -> Result<()> {
    // Tests provoke fatal signals on purpose: no core files from them.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).context("cannot switch core files off")?;
    ctrlc::set_handler(kill_all_and_exit).context("cannot handle SIGINT and SIGTERM")?;
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_millis(100));
            let now = Instant::now();
            for child in children().iter_mut().filter(|c| c.deadline.is_some_and(|d| d <= now)) {
                child.timed_out = true;
                kill(child.group);
            }
        }
    });
    Ok(())
}

fn kill(group: Pid) {
    // The one error is that nobody is left in the group.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
}

/// Ends every child and then this process, with the shell's code for an interruption.
fn kill_all_and_exit() {
    let running = children();
    running.iter().for_each(|child| kill(child.group));
    ui::clear();
    eprintln!("interrupted");
    // The lock is held on purpose: no thread can start another child now.
    std::process::exit(130);
}

/// A command line to print, to run and to hand to the reader for repetition.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: String,
    args: Vec<String>,
    variables: Vec<(String, String)>,
    empty_environment: bool,
    directory: Option<PathBuf>,
}

/// What became of a command whose output was captured.
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The time limit that was exceeded, if one was.
    pub exceeded: Option<Duration>,
}

impl Outcome {
    /// True for exit code 0 within the time limit.
    pub fn success(&self) -> bool {
        self.exceeded.is_none() && self.status.success()
    }

    /// How it ended, in words.
    pub fn ending(&self) -> String {
        match (self.exceeded, self.status.code(), self.status.signal()) {
            (Some(limit), _, _) => format!("killed after {} s", limit.as_secs()),
            (_, Some(code), _) => format!("exit code {code}"),
            (_, _, Some(signal)) => format!("signal {signal}"),
            _ => "unknown end".to_owned(),
        }
    }
}

impl Cmd {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_string_lossy().into_owned(),
            args: Vec::new(),
            variables: Vec::new(),
            empty_environment: false,
            directory: None,
        }
    }

    /// Runs it there, and not in the workspace's root.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_string_lossy().into_owned());
        self
    }

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs with no variables but those given by [`Cmd::env`], as a count of instructions needs
    /// it: start-up code reads the environment.
    #[must_use]
    pub fn empty_environment(mut self) -> Self {
        self.empty_environment = true;
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.empty_environment {
            command.env_clear();
        }
        // Flags of the caller's would replace a target's own and build everything anew.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        // What `cargo run` told this tool of itself is not meant for the next cargo.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        command.args(&self.args).envs(self.variables.iter().map(|(n, v)| (n, v)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Prints the command line.
    pub fn show(&self) {
        ui::say(&format!("{} {self}", ui::dim("$")));
    }

    /// Prints the command line, runs it with its output going where ours goes, and makes an error
    /// of anything but exit code 0.
    pub fn run(&self) -> Result<()> {
        self.show();
        let child = self.spawn(Stdio::inherit(), Stdio::inherit(), None)?;
        let (status, _) = wait(child, false)?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.short());
        }
        Ok(())
    }

    /// Like [`Cmd::run`], but returns what the command writes to standard output.
    pub fn run_reading(&self) -> Result<String> {
        self.show();
        let mut child = self.spawn(Stdio::piped(), Stdio::inherit(), None)?;
        let stdout = drain(child.stdout.take());
        let (status, _) = wait(child, false)?;
        if !status.success() {
            bail!("`{}` failed ({status})", self.short());
        }
        Ok(stdout.join().unwrap_or_default())
    }

    /// Runs without printing and returns the output; a non-zero exit is not an error here. After
    /// `limit` the whole process group is killed, and so is what the program leaves running.
    pub fn capture(&self, limit: Option<Duration>) -> Result<Outcome> {
        let mut child = self.spawn(Stdio::piped(), Stdio::piped(), limit)?;
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let (status, timed_out) = wait(child, true)?;
        Ok(Outcome {
            status,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
            exceeded: limit.filter(|_| timed_out),
        })
    }

    /// The trimmed standard output of a command that succeeds, without printing anything.
    pub fn read(&self) -> Result<String> {
        let outcome = self.capture(Some(Duration::from_secs(120)))?;
        if !outcome.success() {
            bail!("`{}` failed ({}): {}", self.short(), outcome.ending(), outcome.stderr.trim());
        }
        Ok(outcome.stdout.trim().to_owned())
    }

    /// Starts the command in the background with its output going to a file. Dropping the handle
    /// kills the process group. Printed if `loud`.
    pub fn background(&self, log: &Path, loud: bool) -> Result<Background> {
        if loud {
            self.show();
        }
        let file = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = self.spawn(file.try_clone()?.into(), file.into(), None)?;
        Ok(Background(Some(child)))
    }

    fn spawn(&self, stdout: Stdio, stderr: Stdio, limit: Option<Duration>) -> Result<Child> {
        let mut list = children();
        let child = self
            .command()
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.program))?;
        list.push(Running {
            group: Pid::from_child(&child),
            deadline: limit.map(|limit| Instant::now() + limit),
            timed_out: false,
        });
        Ok(child)
    }

    /// Program and arguments without the variables, for messages.
    fn short(&self) -> String {
        let words: Vec<_> = [&self.program].into_iter().chain(&self.args).map(|w| quote(w)).collect();
        words.join(" ")
    }
}

/// The line as a shell takes it.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(f, "cd {} && ", quote(&directory.to_string_lossy()))?;
        }
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quote(value))?;
        }
        f.write_str(&self.short())
    }
}

/// A process that runs beside us.
pub struct Background(Option<Child>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            kill(Pid::from_child(&child));
            let _ = wait(child, true);
        }
    }
}

/// Waits for a child, takes it off the list and says whether its time ran out.
///
/// The child is reaped only after it left the list: until then its number cannot be given to a
/// stranger, who would be killed in its place.
fn wait(mut child: Child, kill_rest: bool) -> Result<(ExitStatus, bool)> {
    let group = Pid::from_child(&child);
    let exited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(error) = rustix::process::waitid(WaitId::Pid(group), exited) {
        if error != rustix::io::Errno::INTR {
            return Err(error).context("cannot wait for a child");
        }
    }
    let mut list = children();
    if kill_rest {
        kill(group);
    }
    let at = list.iter().position(|running| running.group == group);
    let timed_out = at.is_some_and(|at| list.swap_remove(at).timed_out);
    drop(list);
    Ok((child.wait()?, timed_out))
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Quotes a word for a POSIX shell where it needs quoting.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The file that a shell would run under this name, or the path itself where it is one.
pub fn find_program(name: &str) -> Option<PathBuf> {
    find_programs(name).into_iter().next()
}

/// Every file of this name on the search path, in its order.
pub fn find_programs(name: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return Path::new(name).is_file().then(|| name.into()).into_iter().collect();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).filter(|file| file.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let cmd = Cmd::new("prog").env("FLAGS", "-C a=b").args(["it's", "", "plain/x"]);
        assert_eq!(cmd.to_string(), r"FLAGS='-C a=b' prog 'it'\''s' '' plain/x");
    }

    #[test]
    fn output_and_exit_code_are_captured() {
        let done = Cmd::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).capture(None).unwrap();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(done.ending(), "exit code 3");
        assert!(!done.success());
    }

    #[test]
    fn what_a_program_leaves_running_is_killed_with_it() {
        let start = Instant::now();
        let done = Cmd::new("sh").args(["-c", "sleep 60 & echo started"]).capture(None).unwrap();
        assert_eq!(done.stdout, "started\n");
        assert!(start.elapsed() < Duration::from_secs(30), "waited for the background process");
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = Cmd::new("no-such-program-here").capture(None).err().unwrap().to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
    }
}

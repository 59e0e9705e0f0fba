//! `cargo xtask fuzz`: random sequences of crossings on every CPU, and bugs that they must find.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    context::{Context, Tally},
    exceptions::{self, Exception},
    guest::{self, Profile, Program},
    process::{Cmd, Outcome},
    protocol::notes,
    toolchain::Kit,
    ui,
};

/// What a run begins with that is always the same.
pub const SEED: u64 = 1;

/// How long such a run takes, in seconds.
pub const SECONDS: u64 = 20;

/// How long a planted bug may take to be found.
const PLANTED_SECONDS: u64 = 60;

/// How long a run may take beyond its time: something was found, and is made smaller, or hangs.
const MORE: Duration = Duration::from_secs(120);

/// The program.
const PROGRAM: &str = "fuzz";

/// Where the sources with a bug lie, and what is built of them.
const DIRECTORY: &str = "target/planted";

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub seconds: u64,
    /// Of the one sequence of this seed: these words of it alone.
    pub keep: Option<String>,
    /// So many of one process's sequences, in place of `seconds`.
    pub sequences: Option<u64>,
}

/// A seed that nobody has chosen, which is printed with what is found.
pub fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 % 1_000_000_000
}

/// What a run has done.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    sequences: u64,
    /// By kind of operation.
    kinds: Vec<(String, u64)>,
}

/// Reads what the program has written; why it counts as failed otherwise. A kind that never came is a failure
/// where `all` kinds had time to.
fn judge(outcome: &Outcome, all: bool) -> Result<Done, String> {
    let found = outcome.stdout.lines().find(|line| line.starts_with("found: "));
    if let Some(found) = found {
        return Err(found.to_owned());
    }
    if !outcome.success() {
        return Err(outcome.ending());
    }
    let last = outcome.stdout.lines().last().and_then(|line| line.strip_prefix("ok ")?.parse().ok());
    let Some(sequences) = last else {
        return Err("exit code 0, but the last line is not `ok N`: it ended early".to_owned());
    };
    if sequences == 0 {
        return Err("no sequence was run to its end".to_owned());
    }
    let kinds: Vec<(String, u64)> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("kind: ")?.split_once(' '))
        .map(|(count, name)| (name.to_owned(), count.parse().unwrap_or(0)))
        .collect();
    if kinds.is_empty() {
        return Err("it names no kind of operation".to_owned());
    }
    match kinds.iter().find(|(_, count)| all && *count == 0) {
        Some((name, _)) => Err(format!("never: {name}")),
        None => Ok(Done { sequences, kinds }),
    }
}

/// A case that needs what sequences need, threads among signals: whose emulator cannot run it cannot run them.
const LIKE: &str = "threads/signal storm";

/// One CPU's program: natively on the host's own.
struct Column {
    name: &'static str,
    program: Cmd,
}

/// Builds the program. `Err` with the reason where nothing here can run it.
fn column(kit: &Kit, exceptions: &[Exception]) -> Result<Result<Column, String>> {
    let name = kit.target.name;
    let program = guest::build(kit, Program::Bin(PROGRAM), Profile::Dev)?;
    let direct = Cmd::new(&program);
    if kit.target.is_host() {
        return Ok(Ok(Column { name, program: direct }));
    }
    let Some(exception) = exceptions.iter().find(|e| e.emulator && e.cpu == name && e.case == LIKE) else {
        return Ok(Ok(Column { name, program: kit.guest(&program) }));
    };
    let alone = direct.clone().args(["--sequences", "0"]).capture(Some(MORE));
    if alone.is_ok_and(|outcome| outcome.success()) {
        ui::say(&format!("{name}: without the emulator: {}", exception.reason));
        return Ok(Ok(Column { name, program: direct }));
    }
    Ok(Err(exception.reason.clone()))
}

/// Runs sequences on the chosen CPUs, as many CPUs at a time as there are cores.
pub fn fuzz(context: &Context, options: &Options) -> Result<Tally> {
    let kits = context.kits()?;
    let exceptions = exceptions::read()?;
    let (mut columns, mut left_out) = (Vec::new(), Vec::new());
    for kit in &kits.kits {
        match column(kit, &exceptions)? {
            Ok(column) => columns.push(column),
            Err(reason) => left_out.push(format!("{}: left out: {reason}", kit.target.name)),
        }
    }
    if columns.is_empty() {
        bail!("no CPU is left: {}", left_out.join("; "));
    }
    let mut arguments = vec!["--seed".to_owned(), options.seed.to_string()];
    if let Some(keep) = &options.keep {
        arguments.extend(["--keep".to_owned(), keep.clone()]);
    } else if let Some(sequences) = options.sequences {
        arguments.extend(["--sequences".to_owned(), sequences.to_string()]);
    } else {
        arguments.extend(["--seconds".to_owned(), options.seconds.to_string()]);
    }
    let whole = options.keep.is_none() && options.sequences.is_none();
    let commands: Vec<_> = columns.iter().map(|c| c.program.clone().args(&arguments)).collect();
    commands.iter().for_each(Cmd::show);
    let results = side_by_side(&commands, Duration::from_secs(options.seconds) + MORE);

    let mut tally = Tally::default();
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for ((column, command), outcome) in columns.iter().zip(&commands).zip(results) {
        let outcome = outcome?;
        let judged = judge(&outcome, whole && options.seconds >= SECONDS);
        if let Err(why) = &judged {
            let output = format!("{}{}", outcome.stdout, outcome.stderr);
            let lines: Vec<_> = output.lines().filter(|line| !line.starts_with("kind: ")).collect();
            ui::failed(&format!("{}: {why}", column.name));
            lines.iter().for_each(|line| ui::say(&format!("    {line}")));
            ui::say(&format!("    repeat: {command}"));
            if let Some(replay) = lines.iter().find_map(|line| line.strip_prefix("replay: ")) {
                ui::say(&format!("    or: cargo xtask fuzz --target {} {replay}", column.name));
            }
        }
        tally.add(judged.is_ok());
        let note = notes(&outcome.stdout).next().unwrap_or("").split("  ").map(str::to_owned).collect();
        rows.push([vec![column.name.to_owned()], note, vec![ui::verdict(judged.is_ok())]].concat());
        all.push((column.name, judged.ok()));
    }
    ui::headline("operations, by kind and CPU");
    table(&all).iter().for_each(|line| ui::say(line));
    ui::say("");
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    left_out.iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    ui::say(&format!("{tally}, seed {}", options.seed));
    Ok(tally)
}

/// Runs the commands, as many at a time as there are cores.
fn side_by_side(commands: &[Cmd], limit: Duration) -> Vec<Result<Outcome>> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let progress = ui::Progress::new("fuzz", commands.len() as u64);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(command) = commands.get(at) else { break };
                    let outcome = command.capture(Some(limit));
                    progress.step("");
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, outcome));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, outcome)| outcome).collect()
}

fn table(all: &[(&str, Option<Done>)]) -> Vec<String> {
    let names = all.iter().map(|(name, _)| (*name).to_owned());
    let mut rows = vec![std::iter::once("operation".to_owned()).chain(names).collect::<Vec<_>>()];
    // Who has been stopped may have said less.
    let said = all.iter().filter_map(|(_, done)| done.as_ref());
    let kinds = said.map(|done| &done.kinds[..]).max_by_key(|kinds| kinds.len()).unwrap_or_default();
    for (kind, _) in kinds {
        let count = |done: &Option<Done>| {
            let own = done.as_ref().and_then(|done| done.kinds.iter().find(|(own, _)| own == kind));
            own.map_or("-".to_owned(), |(_, n)| n.to_string())
        };
        rows.push(std::iter::once(kind.clone()).chain(all.iter().map(|(_, done)| count(done))).collect());
    }
    let sequences =
        all.iter().map(|(_, done)| done.as_ref().map_or("-".to_owned(), |done| done.sequences.to_string()));
    rows.push(std::iter::once("sequences".to_owned()).chain(sequences).collect());
    ui::align(&rows)
}

// ---- Planted bugs.

/// A bug that is planted: of the first of these functions that the file has, one line is changed.
struct Bug {
    name: &'static str,
    file: &'static str,
    functions: &'static [&'static str],
    /// What the line contains: of assembly an instruction, which is left out; of Rust a statement.
    line: &'static str,
}

const BUGS: &[Bug] = &[
    Bug {
        name: "a throw does not restore rbx",
        file: "arch/src/x86_64/asm.rs",
        functions: &["fn throw_to("],
        line: "mov rbx, [",
    },
    Bug {
        name: "g0.sched.sp is not restored after a callback",
        file: "arch/src/x86_64/asm.rs",
        functions: &["stackgate_callback_return:"],
        line: "mov [rcx + {m_g0_sp}], rdx",
    },
    Bug {
        name: "a parked g keeps its m",
        file: "arch/src/x86_64/asm.rs",
        functions: &["fn park_light(", "fn park("],
        line: "{m_out}], 0",
    },
    Bug {
        name: "a task that switches to another keeps its m",
        file: "arch/src/x86_64/asm.rs",
        functions: &["fn switch_light("],
        line: "mov qword ptr [rdx + {m_out}], 0",
    },
    Bug {
        name: "a throw releases no context",
        file: "core/src/throw.rs",
        functions: &["unsafe fn throw_saying("],
        line: "traceback::release_context(ctxt);",
    },
    Bug {
        name: "a thread of C's does not give its m back",
        file: "core/src/extra.rs",
        functions: &["unsafe fn detach("],
        line: "POOL.give(extra, &mask, system);",
    },
    Bug {
        name: "a thread of C's keeps its signals blocked",
        file: "core/src/extra.rs",
        functions: &["pub(crate) unsafe fn callback("],
        line: "system.unmask(mask);",
    },
    Bug {
        name: "a call returns to the stack that has been moved",
        file: "core/src/task.rs",
        functions: &["pub unsafe fn stack_moved("],
        line: "arch::call_moved(&mut *call_below(value((*m).g0.sched.sp)), moved);",
    },
    Bug {
        name: "a call below a callback returns to the stack that has been moved",
        file: "core/src/task.rs",
        functions: &["pub unsafe fn stack_moved("],
        line: "arch::call_moved(&mut *call, moved);",
    },
    Bug {
        name: "a parked task goes on on the stack that has been moved",
        file: "core/src/task.rs",
        functions: &["pub unsafe fn stack_moved("],
        line: "arch::gobuf_moved(&mut (*g).sched, moved);",
    },
];

impl Bug {
    /// The file's text with the bug.
    fn plant(&self, text: &str) -> Result<String> {
        let function = self.functions.iter().find_map(|function| text.find(function));
        let at = function.and_then(|at| Some(at + text[at..].find(self.line)?));
        let at = at.with_context(|| format!("{}: nothing to break for `{}`", self.file, self.name))?;
        let (begin, end) = if self.file.ends_with("asm.rs") {
            // An instruction is a text of its own.
            (text[..at].rfind('"'), text[at..].find('"').map(|end| at + end + 1))
        } else {
            (Some(at), Some(at + self.line.len()))
        };
        let (begin, end) = begin.zip(end).with_context(|| format!("{}: no instruction", self.file))?;
        let nothing = if self.file.ends_with("asm.rs") { "\"\"" } else { "_ = ();" };
        Ok(format!("{}{nothing}{}", &text[..begin], &text[end..]))
    }
}

/// Builds a copy of the workspace with each bug, and runs sequences until it is found.
pub fn planted(context: &Context, seed: u64) -> Result<Tally> {
    let kits = context.kits()?;
    let Some(kit) = kits.kits.iter().find(|kit| kit.target.is_host() && kit.target.name == "x86_64") else {
        bail!("bugs are planted for x86_64, and run on it: choose it, on such a machine");
    };
    let tree = format!("{DIRECTORY}/tree");
    copy(&tree)?;
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    for bug in BUGS {
        let path = format!("{tree}/{}", bug.file);
        let text = fs::read_to_string(bug.file).with_context(|| format!("cannot read {}", bug.file))?;
        fs::write(&path, bug.plant(&text)?).with_context(|| format!("cannot write {path}"))?;
        let built = build(kit, &tree);
        let found = built.and_then(|program| find(&program, seed));
        // The next one begins with what this one has begun with.
        fs::write(&path, &text).with_context(|| format!("cannot write {path}"))?;
        let found = found?;
        tally.add(found.is_ok());
        let verdict = ui::verdict(found.is_ok());
        let (what, time) = found.unwrap_or_else(|why| (why, "-".to_owned()));
        rows.push(vec![bug.name.to_owned(), time, verdict, what]);
    }
    ui::headline("planted bugs");
    ui::align_words(&rows).iter().for_each(|line| ui::say(line));
    ui::say(&format!("{tally}, seed {seed}"));
    Ok(tally)
}

/// Copies what git knows of the workspace. What is the same stays as it is, for cargo.
pub fn copy(tree: &str) -> Result<()> {
    let names = Cmd::new("git").args(["ls-files"]).read()?;
    for name in names.lines().filter(|name| Path::new(name).is_file()) {
        let target = Path::new(tree).join(name);
        let bytes = fs::read(name).with_context(|| format!("cannot read {name}"))?;
        if fs::read(&target).is_ok_and(|there| there == bytes) {
            continue;
        }
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(&target, bytes).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

/// Builds the program of the copy.
fn build(kit: &Kit, tree: &str) -> Result<String> {
    let directory = std::env::current_dir()?.join(DIRECTORY).join("build");
    let cmd = kit
        .cargo()
        .directory(tree)
        .args(["build", "--quiet", "--package", guest::PACKAGE, "--bin", PROGRAM])
        .args(guest::TEST_FEATURES)
        .args(["--target-dir", &directory.to_string_lossy()])
        .args(kit.cargo_options());
    cmd.show();
    // What a bug leaves without a use is no news.
    let outcome = cmd.capture(None)?;
    if !outcome.success() {
        bail!("the copy in {tree} is not built: {}\n{}", outcome.ending(), outcome.stderr);
    }
    Ok(format!("{DIRECTORY}/build/{}/debug/{PROGRAM}", kit.target.triple))
}

/// Runs sequences until something is found: what, and after how long. Otherwise why not.
fn find(program: &str, seed: u64) -> Result<Result<(String, String), String>> {
    let seconds = PLANTED_SECONDS.to_string();
    let command = Cmd::new(program).args(["--seed", &seed.to_string(), "--seconds", &seconds]);
    command.show();
    let start = Instant::now();
    let outcome = command.capture(Some(Duration::from_secs(PLANTED_SECONDS) + MORE))?;
    let line =
        |start: &str| outcome.stdout.lines().find_map(|line| line.strip_prefix(start).map(str::to_owned));
    Ok(match (line("found: "), line("after: ")) {
        (Some(what), Some(time)) => Ok((what, time)),
        _ => Err(format!("not found after {}: {}", ui::seconds(start), outcome.ending())),
    })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    fn ended(code: i32, stdout: &str) -> Outcome {
        let status = ExitStatus::from_raw(code << 8);
        Outcome { status, stdout: stdout.to_owned(), stderr: String::new(), exceeded: None }
    }

    #[test]
    fn a_run_in_which_something_never_came_is_a_failure() {
        let good = judge(&ended(0, "kind: 3 park\nkind: 1 a throw\nnote: x\nok 7\n"), true).unwrap();
        assert_eq!(good.sequences, 7);
        assert_eq!(good.kinds, [("park".to_owned(), 3), ("a throw".to_owned(), 1)]);
        assert_eq!(judge(&ended(0, "kind: 0 park\nok 7\n"), true), Err("never: park".to_owned()));
        assert!(judge(&ended(0, "kind: 0 park\nok 7\n"), false).is_ok());
        for wrong in ["kind: 3 park\nok 0\n", "kind: 3 park\n", "ok 7\n", "kind: 3 park\nok 7\nmore\n"] {
            assert!(judge(&ended(0, wrong), true).is_err(), "{wrong}");
        }
        assert!(judge(&ended(1, "kind: 3 park\nok 7\n"), true).is_err());
        assert_eq!(judge(&ended(1, "found: seed 3: x\n"), true), Err("found: seed 3: x".to_owned()));
    }

    #[test]
    fn each_bug_changes_one_place() {
        assert!(BUGS.len() >= 5);
        for bug in BUGS {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(bug.file);
            let text = fs::read_to_string(path).unwrap();
            let planted = bug.plant(&text).unwrap();
            let differ = text.lines().zip(planted.lines()).filter(|(a, b)| a != b).count();
            assert_eq!((differ, text.lines().count()), (1, planted.lines().count()), "{}", bug.name);
        }
    }
}

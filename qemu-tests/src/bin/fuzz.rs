//! Runs random sequences of crossings in child processes, and says what a sequence has found that fails, made smaller.
//!
//! `fuzz --seed S --seconds N`, or `--sequences N` for a number of them from this seed on in one process;
//! `--keep 0,3,7` takes of a single sequence these words alone. On standard output: a line `kind: COUNT NAME` for each
//! kind of operation, `note: ` lines for people, and at the end `ok SEQUENCES`; where something was
//! found `found: WHAT`, `after: TIME`, the sequence, and `replay: OPTIONS`.

use core::ffi::c_int;
use core::sync::atomic::Ordering;
use qemu_tests::fuzz::report::{FAILED, OPS, report};
use qemu_tests::fuzz::{CLASSES, may_come, prepare, run, words};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Sequences in one process, which is quicker than a process for each.
const BATCH: u64 = 10;
/// Nothing has happened for so long: it hangs.
const HANGS: Duration = Duration::from_secs(30);
/// The same where a sequence is made smaller.
const HANGS_SMALL: Duration = Duration::from_secs(3);
/// How long that may take.
const SHRINKING: Duration = Duration::from_secs(20);

struct Options {
    seed: u64,
    seconds: Option<u64>,
    sequences: u64,
    keep: Option<Vec<usize>>,
}

fn options() -> Option<Options> {
    let mut options = Options { seed: 1, seconds: None, sequences: 1, keep: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--seed" => options.seed = value.parse().ok()?,
            "--seconds" => options.seconds = Some(value.parse().ok()?),
            "--sequences" => options.sequences = value.parse().ok()?,
            "--keep" => {
                let words: Result<_, _> =
                    value.split(',').filter(|word| !word.is_empty()).map(str::parse).collect();
                options.keep = Some(words.ok()?);
            }
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let start = Instant::now();
    let Some(options) = options() else {
        eprintln!("usage: fuzz [--seed S] [--seconds N | --sequences N [--keep N,N,...]]");
        return 2.into();
    };
    prepare();
    let found = match options.seconds {
        Some(seconds) => for_seconds(options.seed, Duration::from_secs(seconds)),
        None => {
            let keep = options.keep.as_deref();
            let ending = child(options.seed, options.sequences, keep, None, HANGS);
            ending.map(|ending| (options.seed, ending))
        }
    };
    for (op, name) in OPS.iter().filter(|(op, _)| may_come(*op)) {
        println!("kind: {} {name}", report().counts[*op as usize].load(Ordering::Relaxed));
    }
    let [sequences, steps, checks, short] =
        [&report().sequences, &report().steps, &report().checks, &report().short]
            .map(|n| n.load(Ordering::Relaxed));
    println!(
        "note: {sequences} sequences  {steps} operations  {checks} comparisons  {short} short traces in handlers"
    );
    match found {
        None => {
            println!("ok {sequences}");
            ExitCode::SUCCESS
        }
        Some((first, ending)) => {
            println!("after: {:.1} s", start.elapsed().as_secs_f64());
            tell(&options, first, &ending);
            ExitCode::FAILURE
        }
    }
}

/// Runs batches, each of a class, from this seed on. Returns the first seed of the batch that has failed, and how.
fn for_seconds(seed: u64, time: Duration) -> Option<(u64, String)> {
    let until = Instant::now() + time;
    for batch in 0.. {
        if Instant::now() >= until {
            break;
        }
        let first = seed.wrapping_add(batch / CLASSES * CLASSES * BATCH).wrapping_add(batch % CLASSES);
        if let Some(ending) = child(first, BATCH, None, Some(until), HANGS) {
            return Some((first, ending));
        }
    }
    None
}

/// Runs sequences in a child process. `None` if nothing was found, otherwise how it has ended.
fn child(
    seed: u64,
    sequences: u64,
    keep: Option<&[usize]>,
    until: Option<Instant>,
    hangs: Duration,
) -> Option<String> {
    // SAFETY: this process has one thread; the child ends here.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a limit of its own; ends the child, whose threads may be anywhere.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &none);
            run(seed, sequences, keep, until);
            libc::_exit(0);
        }
    }
    assert!(child > 0, "fork");
    let (mut steps, mut moved) = (0, Instant::now());
    loop {
        let mut status: c_int = 0;
        // SAFETY: a child of this process.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 => {}
            _ if libc::WIFEXITED(status) => {
                return match libc::WEXITSTATUS(status) {
                    0 => None,
                    FAILED => Some(report().message()),
                    code => Some(format!("exit code {code}")),
                };
            }
            _ => return Some(format!("signal {}", libc::WTERMSIG(status))),
        }
        let now = report().steps.load(Ordering::Relaxed);
        if now != steps {
            (steps, moved) = (now, Instant::now());
        } else if moved.elapsed() > hangs {
            // SAFETY: as above.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
            }
            return Some(format!("nothing has happened for {} s", hangs.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says what was found, where, and how to see it again.
fn tell(options: &Options, first: u64, ending: &str) {
    let seed = report().seed.load(Ordering::Relaxed);
    println!("found: seed {seed}: {ending}");
    let again = |keep: &[usize]| child(seed, 1, Some(keep), None, HANGS_SMALL);
    let all: Vec<usize> = options.keep.clone().unwrap_or_else(|| (0..words(seed).len()).collect());
    if again(&all).is_none() {
        let sequences = (seed - first) / CLASSES + 1;
        println!("replay: --seed {first} --sequences {sequences}");
        println!("it is not found in the sequence alone: others before it matter, or when signals come");
        return;
    }
    let keep = smaller(all, &again);
    let ending = again(&keep);
    for step in report().log() {
        let indent = " ".repeat(2 * step.depth);
        let (_, name) = OPS[step.op as usize];
        println!("  word {:3}  thread {}  {indent}{name}", step.word, step.thread);
    }
    println!("  {}", ending.as_deref().unwrap_or(ending_lost()));
    let words: Vec<_> = keep.iter().map(usize::to_string).collect();
    println!("replay: --seed {seed} --keep {}", words.join(","));
}

fn ending_lost() -> &'static str {
    "not found this time: it depends on when signals come"
}

/// Leaves words out as long as something is found.
fn smaller(mut keep: Vec<usize>, fails: &dyn Fn(&[usize]) -> Option<String>) -> Vec<usize> {
    let until = Instant::now() + SHRINKING;
    let mut size = keep.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < keep.len() && Instant::now() < until {
            let mut fewer = keep.clone();
            fewer.drain(at..(at + size).min(keep.len()));
            if fails(&fewer).is_some() {
                keep = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    keep
}

//! Go: a process beside this one, which is asked for blocks. It times them itself, so that asking costs nothing.

use crate::measure::Contestant;
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

struct Pipes {
    ask: Option<ChildStdin>,
    answer: BufReader<ChildStdout>,
    child: Child,
}

/// The program `go/main.go`.
pub struct Peer(Rc<RefCell<Pipes>>);

impl Peer {
    /// Starts it, on the CPU where this program is.
    pub fn start(program: &str) -> Self {
        let mut child = Command::new(program)
            .env("GOMAXPROCS", "1")
            .env("GOGC", "off")
            .env("GODEBUG", "asyncpreemptoff=1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let answer = BufReader::new(child.stdout.take().expect("a pipe"));
        Self(Rc::new(RefCell::new(Pipes { ask: child.stdin.take(), answer, child })))
    }

    /// Who runs one of its operations.
    pub fn contestant(&self, what: &'static str, operation: &'static str, calls: usize) -> Contestant {
        let pipes = Rc::clone(&self.0);
        Contestant::elsewhere("Go", what, calls, move |n, counting| {
            let suffix = if counting { "-counted" } else { "" };
            pipes.borrow_mut().run(&format!("{operation}{suffix} {n}\n"))
        })
    }
}

impl Pipes {
    /// How long it took and what was counted.
    fn run(&mut self, question: &str) -> (Duration, usize) {
        let mut line = String::new();
        self.ask
            .as_mut()
            .expect("still there")
            .write_all(question.as_bytes())
            .expect("Go's program takes it");
        self.answer.read_line(&mut line).expect("Go's program answers");
        let mut words = line.split_whitespace().map(|word| word.parse::<u64>().expect("a number"));
        let mut next = || words.next().expect("two numbers");
        (Duration::from_nanos(next()), next() as usize)
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        // It ends where there is nothing more to read.
        self.ask = None;
        let _ = self.child.wait();
    }
}

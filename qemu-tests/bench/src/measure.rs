//! Blocks, rounds and what is checked before them.

use std::time::{Duration, Instant};

/// How often everybody takes its turn in a round of a row.
const TURNS: usize = 4;

/// So many times as long are blocks of another process, whose runtime has things of its own to do whenever it wakes up.
const ELSEWHERE: u32 = 25;

/// Operations of a block are a multiple of this, so that tasks that take turns have the same number of them.
const UNIT: usize = 2 * crate::MANY;

/// What everybody does first, with functions that count.
const CHECKED: usize = 10 * UNIT;

/// Somebody who does what a row is about.
pub struct Contestant {
    /// Whose code it is.
    pub who: &'static str,
    /// What of it.
    pub what: &'static str,
    /// How many functions that count one operation calls; 0 where the operation itself says what it has done.
    pub calls: usize,
    /// Does it so many times and says how long that took; with functions that count, if the flag is set.
    pub run: Box<dyn FnMut(usize, bool) -> (Duration, usize)>,
    /// Whether another process does it.
    elsewhere: bool,
    /// Operations of a block.
    block: usize,
    /// Nanoseconds of an operation in each round.
    samples: Vec<f64>,
}

impl Contestant {
    /// Who does `run` so many times, where that is timed here.
    pub fn new(
        who: &'static str,
        what: &'static str,
        calls: usize,
        mut run: impl FnMut(usize) + 'static,
    ) -> Self {
        let run = move |n, counting| {
            crate::plain::count_calls(counting);
            let start = Instant::now();
            run(n);
            let took = start.elapsed();
            (took, crate::plain::take_count())
        };
        let run = Box::new(run);
        Self { who, what, calls, run, elsewhere: false, block: UNIT, samples: Vec::new() }
    }

    /// Who does it in another process, which times itself and counts.
    pub fn elsewhere(
        who: &'static str,
        what: &'static str,
        calls: usize,
        run: impl FnMut(usize, bool) -> (Duration, usize) + 'static,
    ) -> Self {
        let run = Box::new(run);
        Self { who, what, calls, run, elsewhere: true, block: UNIT, samples: Vec::new() }
    }

    fn time(&mut self) -> Duration {
        (self.run)(self.block, false).0
    }

    /// Finds how many operations a block of this length has. What runs for the first time is warm then.
    fn calibrate(&mut self, length: Duration) {
        for _ in 0..3 {
            while self.time() < length {
                self.block *= 2;
            }
            let took = self.time().max(Duration::from_nanos(1));
            let share = length.as_secs_f64() / took.as_secs_f64();
            self.block = ((self.block as f64 * share) as usize / UNIT).max(1) * UNIT;
        }
    }
}

/// Those who do the same.
pub struct Row {
    pub name: &'static str,
    pub contestants: Vec<Contestant>,
}

impl Row {
    pub fn new(name: &'static str, contestants: impl Into<Vec<Contestant>>) -> Self {
        Self { name, contestants: contestants.into() }
    }

    pub fn print(&self) {
        for Contestant { who, what, samples, .. } in &self.contestants {
            let samples: Vec<_> = samples.iter().map(|ns| format!("{ns:.4}")).collect();
            println!("sample\t{}\t{who}\t{what}\t{}", self.name, samples.join(" "));
        }
    }
}

/// Everybody of a row does it with functions that count, and must have called them as often as it has to. Returns
/// how often that was.
pub fn check(row: &mut Row) -> usize {
    let mut all = 0;
    for Contestant { who, what, calls, run, .. } in &mut row.contestants {
        let (_, counted) = run(CHECKED, true);
        assert_eq!(counted, CHECKED * *calls, "{}: {who} ({what}) has not called what it had to", row.name);
        all += counted;
    }
    all
}

/// Rounds over all rows. In a row everybody has its turn some times in each, and another one begins each time.
///
/// Those of another process have theirs after all others: when the CPU has changed to a process and back it takes a
/// while, longer than a block, until code is as fast again as it was. Before its turns everybody runs one block that is
/// not timed.
pub fn measure(rows: &mut [Row], rounds: usize, block: Duration) {
    for row in &mut *rows {
        for contestant in &mut row.contestants {
            contestant.calibrate(if contestant.elsewhere { ELSEWHERE * block } else { block });
        }
    }
    for round in 0..rounds {
        for row in &mut *rows {
            let mut here: Vec<_> = row.contestants.iter_mut().collect();
            let elsewhere = here.extract_if(.., |contestant| contestant.elsewhere).collect();
            by_turns(here, round);
            by_turns(elsewhere, round);
        }
    }
}

/// A round of these.
fn by_turns(mut contestants: Vec<&mut Contestant>, round: usize) {
    for contestant in &mut contestants {
        contestant.time();
    }
    let count = contestants.len();
    let mut sums = vec![Duration::ZERO; count];
    for turn in 0..TURNS {
        for place in 0..count {
            let at = (round + turn + place) % count;
            sums[at] += contestants[at].time();
        }
    }
    for (contestant, sum) in contestants.iter_mut().zip(sums) {
        contestant.samples.push(sum.as_secs_f64() * 1e9 / (TURNS * contestant.block) as f64);
    }
}

/// Keeps this thread, and the processes that it starts, on the CPU that it is on: that CPU, if it can be.
pub fn pin() -> Option<usize> {
    // SAFETY: a set of CPUs is plain memory, large enough for the number that is set.
    unsafe {
        let cpu =
            usize::try_from(libc::sched_getcpu()).ok().filter(|cpu| *cpu < libc::CPU_SETSIZE as usize)?;
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        (libc::sched_setaffinity(0, size_of_val(&set), &raw const set) == 0).then_some(cpu)
    }
}

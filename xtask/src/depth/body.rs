//! One function: how far it takes SP down, what it calls and where SP is then.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};

use super::cpu::{Flow, State, Value};
use super::object::{Function, Insn, Program};

/// A state that has changed so often at one instruction does not settle.
const MOST_VISITS: u32 = 64;

/// Crossings that are jumped to, and that go on behind the jump with SP where it was.
const COMES_BACK: [&str; 3] = ["stackgate_park_light", "stackgate_switch_light", "stackgate_mcall_light"];

/// Crossings that return by a jump: the call was made long ago, perhaps on another CPU.
const RETURNS_BY_JUMP: [&str; 2] = ["stackgate_park", "stackgate_mcall"];

/// How a function is left towards another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// An address of the program.
    To(u64),
    /// A pointer: the instruction.
    Pointer(String),
}

/// A call or a jump out of the function.
#[derive(Clone, Debug)]
pub struct Call {
    /// Bytes below SP at entry, where the callee finds SP.
    pub depth: i64,
    pub way: Way,
}

/// What is known of a function from one of its entries on.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The lowest that SP, or an access below it, reaches on the stack that the function was entered on.
    pub deepest: i64,
    /// The same where a crossing finds that it need not change stacks, with the calls that it makes then.
    pub in_place: i64,
    pub calls_in_place: Vec<Call>,
    /// The same of the other stack, if it goes to one.
    pub other: Option<i64>,
    pub calls: Vec<Call>,
    /// How many instructions were read, and for how many the tables say the same of SP.
    pub instructions: usize,
    pub confirmed: usize,
}

/// A walk over every way through a function.
struct Walk<'a> {
    program: &'a Program,
    function: &'a Function,
    /// Its instructions.
    all: BTreeMap<u64, Insn>,
    states: BTreeMap<u64, State>,
    visits: BTreeMap<u64, u32>,
    work: Vec<u64>,
    edges: BTreeSet<(u64, u64)>,
    /// Instructions that leave the stack for another one.
    switches: BTreeSet<u64>,
    /// Jumps by a register, which may be one through a table.
    tables: BTreeMap<u64, State>,
    calls: BTreeMap<u64, Call>,
    /// The lowest that each instruction reaches.
    reach: BTreeMap<u64, Value>,
    confirmed: usize,
}

/// Reads a function from `entry` on. `ends` says of an address that whoever calls it does not come back.
pub fn read(program: &Program, entry: u64, ends: &dyn Fn(u64) -> bool) -> Result<Body> {
    let function =
        program.function_at(entry).with_context(|| format!("no function has the address {entry:#x}"))?;
    let mut walk = Walk {
        program,
        function,
        all: program.instructions(function)?,
        states: BTreeMap::new(),
        visits: BTreeMap::new(),
        work: Vec::new(),
        edges: BTreeSet::new(),
        switches: BTreeSet::new(),
        tables: BTreeMap::new(),
        calls: BTreeMap::new(),
        reach: BTreeMap::new(),
        confirmed: 0,
    };
    walk.arrive(None, entry, State::entry()).with_context(|| function.name.clone())?;
    loop {
        while let Some(at) = walk.work.pop() {
            walk.one(at, ends).with_context(|| format!("{}, at {at:#x}", function.name))?;
        }
        // Behind a jump through a table lie its targets.
        let deepest = walk.tables.iter().max_by_key(|(_, s)| s.sp).map(|(at, s)| (*at, s.clone()));
        let Some((from, state)) = deepest else { break };
        let unreached = walk.all.range(entry..).map(|(_, insn)| insn);
        let Some(next) = unreached
            .filter(|i| !walk.states.contains_key(&i.address))
            .find(|i| !padding(i) && !program.cpu.is_unknown(i))
        else {
            break;
        };
        let at = next.address;
        walk.arrive(Some(from), at, state).with_context(|| function.name.clone())?;
    }
    for (&at, state) in &walk.states.clone() {
        walk.confirm(at, state).with_context(|| format!("{}, at {at:#x}", function.name))?;
    }
    Ok(walk.body())
}

/// A bound for a function of libc's that is written by hand, with jumps that nobody can follow: everything that it
/// ever puts on the stack, all at once.
pub fn sweep(program: &Program, address: u64) -> Result<i64> {
    let function =
        program.function_at(address).with_context(|| format!("no function has the address {address:#x}"))?;
    let mut sum = 0;
    for insn in program.instructions(function)?.values().filter(|insn| !program.cpu.is_unknown(insn)) {
        let mut state = State::entry();
        let flow = program.cpu.step(insn, None, &mut state).with_context(|| function.name.clone())?;
        match flow {
            // i386: puts its return address in a register.
            Flow::Call(to)
                if program.function_at(to).is_some_and(|f| f.name.starts_with("__x86.get_pc_thunk")) =>
            {
                sum += program.cpu.pushed;
            }
            Flow::Call(_) | Flow::CallIndirect => bail!("{} calls: `{}`", function.name, insn.text()),
            _ => {}
        }
        for value in [Some(state.sp), state.red].into_iter().flatten() {
            if let Value::Entry(down) = value {
                sum += down.max(0);
            }
        }
    }
    Ok(sum)
}

/// What fills the room between functions.
fn padding(insn: &Insn) -> bool {
    insn.mnemonic.starts_with("nop") || insn.mnemonic == "int3" || insn.text() == "xchg ax, ax"
}

impl Walk<'_> {
    /// Goes on at an instruction with a state; where several come together the deeper counts.
    fn arrive(&mut self, from: Option<u64>, at: u64, state: State) -> Result<()> {
        if let Some(from) = from {
            self.edges.insert((from, at));
        }
        if !self.all.contains_key(&at) {
            bail!("goes on at {at:#x}, where no instruction begins");
        }
        let merged = match self.states.get(&at) {
            None => state,
            Some(known) => {
                let sp = match (known.sp, state.sp) {
                    (Value::Entry(a), Value::Entry(b)) => Value::Entry(a.max(b)),
                    (Value::Other(a), Value::Other(b)) => Value::Other(a.max(b)),
                    _ => bail!("SP is on one stack or on the other at {at:#x}"),
                };
                let copies = known.copies.iter().filter(|(r, v)| state.copies.get(*r) == Some(v));
                let merged =
                    State { sp, copies: copies.map(|(r, v)| (r.clone(), *v)).collect(), ..State::entry() };
                if merged == *known {
                    return Ok(());
                }
                merged
            }
        };
        let visits = self.visits.entry(at).or_default();
        *visits += 1;
        if *visits > MOST_VISITS {
            bail!("how deep the stack is does not settle at {at:#x}");
        }
        self.states.insert(at, merged);
        self.work.push(at);
        Ok(())
    }

    /// Follows one instruction.
    fn one(&mut self, at: u64, ends: &dyn Fn(u64) -> bool) -> Result<()> {
        let cpu = self.program.cpu;
        let insn = self.all[&at].clone();
        let before = self.states[&at].clone();
        let mut state = before.clone();
        let former = self.all.range(..at).next_back().map(|(_, insn)| insn);
        let flow = cpu.step(&insn, former, &mut state)?;
        let next = at + insn.len;
        self.note(at, before.sp);
        if let Some(red) = state.red.take() {
            self.note(at, red);
        }
        if std::mem::take(&mut state.by_register) && !self.program.is_crossing(at) {
            bail!("`{}`: SP by a register", insn.text());
        }
        if std::mem::take(&mut state.loaded) {
            if !self.program.is_crossing(at) {
                bail!("`{}` loads SP with what is not known", insn.text());
            }
            match before.sp {
                Value::Entry(_) => _ = self.switches.insert(at),
                Value::Other(_) => {
                    // Back, if the tables count the CFA from SP again.
                    if let Some(Some((register, distance))) = self.program.cfa(next)
                        && cpu.register(register).is_some_and(|r| cpu.is_sp(r))
                    {
                        state.sp = Value::Entry(distance - cpu.cfa_above);
                    }
                }
            }
        }
        let on_entry = matches!(state.sp, Value::Entry(_));
        let depth = |pushed: i64| match state.sp {
            Value::Entry(n) | Value::Other(n) => n + pushed,
        };
        match flow {
            Flow::Next => {
                self.note(at, state.sp);
                self.arrive(Some(at), next, state)?;
            }
            Flow::Branch(to) => {
                self.goes(at, to, &state)?;
                self.arrive(Some(at), next, state)?;
            }
            Flow::Jump(to) => {
                self.goes(at, to, &state)?;
                if self.program.function_at(to).is_some_and(|f| COMES_BACK.contains(&f.name.as_str())) {
                    self.arrive(Some(at), next, state)?;
                }
            }
            Flow::Call(_) | Flow::CallIndirect => {
                let way = match flow {
                    Flow::Call(to) => Way::To(self.program.entry(to)),
                    _ => self.pointer(&insn),
                };
                let stops = matches!(way, Way::To(to) if ends(to));
                self.note(at, state.sp.below(cpu.pushed));
                if on_entry {
                    self.calls.insert(at, Call { depth: depth(cpu.pushed), way: way.clone() });
                }
                // Behind a call that does not return there may be anything.
                let goes_on = self.all.get(&next).is_some_and(|insn| !cpu.is_unknown(insn));
                if !stops && goes_on {
                    if let Way::To(to) = way {
                        state.sp = state.sp.below(-self.program.pops(to)?);
                    }
                    self.arrive(Some(at), next, state)?;
                }
            }
            Flow::JumpIndirect => {
                let former: Vec<&Insn> = self.all.range(..at).rev().take(8).map(|(_, insn)| insn).collect();
                let former: Vec<&Insn> = former.into_iter().rev().collect();
                if on_entry && (depth(0) != 0 || cpu.is_computed(&insn, &former)) {
                    self.tables.insert(at, state);
                } else if on_entry && !RETURNS_BY_JUMP.contains(&self.function.name.as_str()) {
                    self.calls.insert(at, Call { depth: 0, way: self.pointer(&insn) });
                }
            }
            Flow::MayReturn => self.arrive(Some(at), next, state)?,
            Flow::Return | Flow::End => {}
        }
        Ok(())
    }

    /// A call through a pointer: where the pointer is a word of the program that never changes, its function.
    fn pointer(&self, insn: &Insn) -> Way {
        let cpu = self.program.cpu;
        let source = match cpu.constant(insn.op(0), insn) {
            Some(address) => Some(address),
            None if insn.operands.is_empty() => None,
            // By a register that one instruction of the function alone writes, beside what restores it.
            None => {
                let mut writers = self.all.values().filter(|i| i.op(0) == insn.op(0) && cpu.writes_first(i));
                match (writers.next(), writers.next()) {
                    (Some(load), None) if load.mnemonic == "mov" => cpu.constant(load.op(1), load),
                    _ => None,
                }
            }
        };
        match source.and_then(|address| self.program.pointer(address)) {
            Some(to) => Way::To(to),
            None => Way::Pointer(insn.text()),
        }
    }

    /// A jump: inside the function, or to another.
    fn goes(&mut self, at: u64, to: u64, state: &State) -> Result<()> {
        if self.function.range.contains(&to) {
            return self.arrive(Some(at), to, state.clone());
        }
        if let Value::Entry(depth) = state.sp {
            self.calls.insert(at, Call { depth, way: Way::To(self.program.entry(to)) });
        }
        Ok(())
    }

    fn note(&mut self, at: u64, value: Value) {
        let reach = self.reach.entry(at).or_insert(value);
        let deeper = match (*reach, value) {
            (Value::Entry(a), Value::Entry(b)) | (Value::Other(a), Value::Other(b)) => b > a,
            (_, other) => matches!(other, Value::Other(_)),
        };
        if deeper {
            *reach = value;
        }
    }

    /// Holds a state against the unwind tables, where these count the CFA from a register that is followed.
    fn confirm(&mut self, at: u64, state: &State) -> Result<()> {
        let cpu = self.program.cpu;
        let exact = cpu.exact || self.program.is_crossing(at);
        // Elsewhere the tables hold where a call returns to, one byte before.
        let Some(Some((register, distance))) = self.program.cfa(at) else { return Ok(()) };
        let Some(register) = cpu.register(register) else { return Ok(()) };
        if !exact && !self.calls.contains_key(&at) {
            return Ok(());
        }
        let Some(Value::Entry(depth)) = cpu.value(state, register) else { return Ok(()) };
        // Who jumps leaves no return address.
        let jumped_to = COMES_BACK.contains(&self.function.name.as_str());
        let above = if jumped_to { cpu.cfa_above - cpu.pushed } else { cpu.cfa_above };
        if depth != distance - above {
            bail!(
                "{register} is {depth} bytes below where it was at entry, and {} by the unwind tables",
                distance - above
            );
        }
        self.confirmed += 1;
        Ok(())
    }

    /// Puts together what was seen. Of a function that goes to another stack, what counts is the way there and
    /// back: its other ways are for who stands on a system stack already.
    fn body(self) -> Body {
        let counts: BTreeSet<u64> = if self.switches.is_empty() {
            self.states.keys().copied().collect()
        } else {
            let backwards: BTreeSet<(u64, u64)> = self.edges.iter().map(|&(a, b)| (b, a)).collect();
            &reachable(&self.switches, &self.edges) | &reachable(&self.switches, &backwards)
        };
        let mut body = Body { instructions: self.states.len(), confirmed: self.confirmed, ..Body::default() };
        for (at, value) in &self.reach {
            match *value {
                Value::Entry(n) => {
                    if counts.contains(at) {
                        body.deepest = body.deepest.max(n);
                    }
                    body.in_place = body.in_place.max(n);
                }
                Value::Other(n) => body.other = Some(body.other.unwrap_or(0).max(n)),
            }
        }
        body.calls_in_place = self.calls.values().cloned().collect();
        body.calls =
            self.calls.into_iter().filter(|(at, _)| counts.contains(at)).map(|(_, call)| call).collect();
        body
    }
}

/// What can be reached from some instructions, these included.
fn reachable(from: &BTreeSet<u64>, edges: &BTreeSet<(u64, u64)>) -> BTreeSet<u64> {
    let mut found = from.clone();
    let mut work: Vec<u64> = from.iter().copied().collect();
    while let Some(at) = work.pop() {
        for &(_, to) in edges.range((at, 0)..=(at, u64::MAX)) {
            if found.insert(to) {
                work.push(to);
            }
        }
    }
    found
}

//! The deepest chain of calls from a function on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result};

use super::body::{self, Body, Way};
use super::object::Program;

/// Functions that stand for the user's.
const USER: &str = "depth_user_";

/// Functions, or modules of functions, that end the program: what they use does not matter any more.
const ENDS: &[&str] = &[
    "stackgate::platform::fatal",
    "core::panicking::",
    "core::slice::index::slice_index_fail",
    "core::slice::index::slice_start_index_len_fail",
    "core::slice::index::slice_end_index_len_fail",
    "core::slice::index::slice_index_order_fail",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::cell::panic_already_borrowed",
    "core::cell::panic_already_mutably_borrowed",
    "core::str::slice_error_fail",
    "_Unwind_Resume",
    "__stack_chk_fail",
    "stackgate::throw::uncaught",
];

/// Calls through pointers, by the function that makes them and who is called.
pub const POINTERS: &[(&str, Called)] = &[
    ("stackgate_g_start", Called::User("the task's function")),
    ("stackgate::traceback::print::", Called::User("what a trace is written to")),
    ("stackgate::hooks::", Called::User("hooks and exported functions")),
    // Where it need not change stacks.
    ("stackgate_systemstack", Called::These(&["stackgate::cgocall::on_system_stack::run"], "look_up")),
    // arm: reads a word of the stack.
    ("stackgate::traceback::exidx::", Called::These(&["stackgate::traceback::tables::look_up::"], "")),
];

/// Who is called through a pointer.
#[derive(Clone, Copy, Debug)]
pub enum Called {
    /// A function of the user's, whatever it uses.
    User(&'static str),
    /// Functions of the program, by the beginnings of their names; of those, where the names say it, the ones with
    /// this in it.
    These(&'static [&'static str], &'static str),
}

/// A chain and what it uses.
#[derive(Clone, Debug, Default)]
pub struct Worst {
    pub bytes: i64,
    /// Functions, and what each uses until it calls the next.
    links: Vec<(String, i64)>,
}

impl Worst {
    /// The call itself.
    pub fn call(pushed: i64) -> Self {
        Self {
            bytes: pushed,
            links: if pushed > 0 { vec![("the call".to_owned(), pushed)] } else { Vec::new() },
        }
    }

    /// A frame that is there already.
    pub fn frame(name: &str, bytes: i64) -> Self {
        Self { bytes, links: vec![(name.to_owned(), bytes)] }
    }

    /// Followed by another.
    pub fn then(mut self, next: Self) -> Self {
        self.bytes += next.bytes;
        self.links.extend(next.links);
        self
    }

    /// In words.
    pub fn text(&self) -> String {
        let links: Vec<_> = self.links.iter().map(|(name, n)| format!("{name} {n}")).collect();
        format!("{} = {}", self.bytes, links.join(" + "))
    }
}

/// The chains of a program.
pub struct Chains<'a> {
    program: &'a Program,
    known: HashMap<u64, Worst>,
    bodies: HashMap<u64, Body>,
    under_way: Vec<u64>,
    problems: BTreeSet<String>,
    ends: BTreeSet<String>,
    users: BTreeSet<String>,
    in_place: bool,
}

impl<'a> Chains<'a> {
    /// On a managed stack; or, `in_place`, where crossings find that they need not change stacks.
    pub fn new(program: &'a Program, in_place: bool) -> Self {
        Self {
            program,
            in_place,
            known: HashMap::new(),
            bodies: HashMap::new(),
            under_way: Vec::new(),
            problems: BTreeSet::new(),
            ends: BTreeSet::new(),
            users: BTreeSet::new(),
        }
    }

    /// What could not be known.
    pub fn problems(&self) -> BTreeSet<String> {
        self.problems.clone()
    }

    /// Functions that end the program, called on some path.
    pub fn ends(&self) -> BTreeSet<String> {
        self.ends.clone()
    }

    /// User functions and hooks, called on some path.
    pub fn users(&self) -> BTreeSet<String> {
        self.users.clone()
    }

    /// Functions, instructions, instructions that the tables confirm.
    pub fn counts(all: &[&Self]) -> (usize, usize, usize) {
        let bodies: BTreeMap<u64, &Body> =
            all.iter().flat_map(|c| &c.bodies).map(|(at, body)| (*at, body)).collect();
        let sum = |f: fn(&Body) -> usize| bodies.values().map(|b| f(b)).sum();
        (bodies.len(), sum(|b| b.instructions), sum(|b| b.confirmed))
    }

    fn name(&self, address: u64) -> String {
        match self.program.function_at(address) {
            Some(f) if f.range.start == address => f.name.clone(),
            Some(f) => format!("{}+{:#x}", f.name, address - f.range.start),
            None => format!("{address:#x}"),
        }
    }

    fn body(&mut self, address: u64) -> Result<Body> {
        if let Some(body) = self.bodies.get(&address) {
            return Ok(body.clone());
        }
        let program = self.program;
        let ends = |at: u64| program.function_at(at).is_some_and(|f| is_end(&f.name));
        let body = body::read(program, address, &ends)?;
        self.bodies.insert(address, body.clone());
        Ok(body)
    }

    /// What a function puts on the other stack that it goes to.
    pub fn other(&mut self, address: u64) -> Result<Worst> {
        let name = self.name(address);
        let bytes = self.body(address)?.other.with_context(|| format!("{name} goes to no other stack"))?;
        Ok(Worst { bytes, links: vec![(name, bytes)] })
    }

    /// The worst from a function on. What cannot be known counts nothing and is a problem.
    pub fn worst(&mut self, address: u64) -> Worst {
        if let Some(worst) = self.known.get(&address) {
            return worst.clone();
        }
        let name = self.name(address);
        if self.under_way.contains(&address) {
            self.problems.insert(format!("{name} calls itself"));
            return Worst::default();
        }
        let body = match self.body(address) {
            Ok(body) => body,
            // libc's own, by hand: what a string function is, where no table says what it does to SP.
            Err(_) if is_libcs(&name) => return self.swept(&name, &[address]),
            Err(error) => {
                self.problems.insert(format!("unknown size: {error:#}"));
                return Worst::default();
            }
        };
        self.under_way.push(address);
        let (deepest, calls) =
            if self.in_place { (body.in_place, &body.calls_in_place) } else { (body.deepest, &body.calls) };
        let mut worst = Worst { bytes: deepest, links: vec![(name.clone(), deepest)] };
        for call in calls {
            let next = match &call.way {
                Way::To(to) => self.called(*to),
                Way::Pointer(text) => self.pointed(&name, text),
            };
            if call.depth + next.bytes > worst.bytes {
                let link = Worst { bytes: call.depth, links: vec![(name.clone(), call.depth)] };
                worst = link.then(next);
            }
        }
        self.under_way.pop();
        self.known.insert(address, worst.clone());
        worst
    }

    /// The worst of a call by address.
    fn called(&mut self, to: u64) -> Worst {
        if let Some(chosen) = self.program.chosen(to) {
            let forms = self.program.forms(&chosen);
            if forms.is_empty() {
                self.problems
                    .insert(format!("{chosen} has forms of which one is chosen at start, and none is known"));
            }
            return self.swept(&chosen, &forms);
        }
        let Some(function) = self.program.function_at(to) else {
            self.problems.insert(format!("{to:#x} is no function of the program"));
            return Worst::default();
        };
        if function.name.starts_with(USER) {
            self.users.insert(function.name.clone());
            return Worst::default();
        }
        if is_end(&function.name) {
            self.ends.insert(function.name.clone());
            return Worst::default();
        }
        self.worst(to)
    }

    /// The worst of libc's forms of a function.
    fn swept(&mut self, name: &str, forms: &[u64]) -> Worst {
        let mut worst = 0;
        for &form in forms {
            match body::sweep(self.program, form) {
                Ok(bytes) => worst = worst.max(bytes),
                Err(error) => _ = self.problems.insert(format!("unknown size: {error:#}")),
            }
        }
        Worst { bytes: worst, links: vec![(format!("libc's {name}"), worst)] }
    }

    fn deepest_of(&mut self, starts: Vec<u64>) -> Worst {
        starts.into_iter().map(|start| self.worst(start)).max_by_key(|worst| worst.bytes).unwrap_or_default()
    }

    /// The worst of a call through a pointer.
    fn pointed(&mut self, name: &str, text: &str) -> Worst {
        let Some((_, called)) = POINTERS
            .iter()
            .find(|(caller, _)| name == *caller || caller.ends_with("::") && name.contains(caller))
        else {
            self.problems.insert(format!("{name} calls through a pointer: `{text}`"));
            return Worst::default();
        };
        match called {
            Called::User(what) => {
                self.users.insert(format!("{what}, called by {name}"));
                Worst::default()
            }
            Called::These(names, within) => {
                let mut worst = Worst::default();
                for wanted in *names {
                    let named = self.program.functions().filter(|f| f.name.starts_with(wanted));
                    // Generic functions have their arguments in the names, or not, as the compiler mangles.
                    let starts: Vec<u64> = named
                        .filter(|f| !f.name.contains('<') || f.name.contains(within))
                        .map(|f| f.range.start)
                        .collect();
                    if starts.is_empty() {
                        self.problems.insert(format!("{name} may call {wanted}, which the program has not"));
                    }
                    let next = self.deepest_of(starts);
                    if next.bytes > worst.bytes {
                        worst = next;
                    }
                }
                worst
            }
        }
    }

    /// True if calls lead from one function to another.
    pub fn reaches(&mut self, from: u64, name: &str) -> bool {
        let mut seen = BTreeMap::new();
        let mut work = vec![from];
        while let Some(at) = work.pop() {
            if seen.insert(at, ()).is_some() {
                continue;
            }
            if self.name(at) == name {
                return true;
            }
            if let Ok(body) = self.body(at) {
                work.extend(body.calls.iter().filter_map(|call| match call.way {
                    Way::To(to) => Some(to),
                    Way::Pointer(_) => None,
                }));
            }
        }
        false
    }
}

/// libc's functions on strings and memory, which compilers call, in whatever form.
const STRINGS: &[&str] = &["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

fn is_libcs(name: &str) -> bool {
    let name = name.trim_start_matches('_');
    STRINGS
        .iter()
        .any(|one| name.strip_prefix(one).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
}

fn is_end(name: &str) -> bool {
    ENDS.iter().any(|end| name == *end || end.ends_with("::") && name.starts_with(end))
}

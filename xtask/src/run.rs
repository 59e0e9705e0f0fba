//! `cargo xtask run`: the demonstration program on a real file, on every CPU.
//!
//! The program sorts the file's lines with the platform's `qsort`, whose comparator is managed
//! code. What it says of itself (lines, C calls, callbacks, a checksum of the sorted lines) is
//! compared with a plain sort done here; the functions, files and lines of its traceback, with the sources.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    context::{Context, Tally},
    guest::{self, Example, Profile, Program},
    toolchain::{Kit, Std},
    ui,
};

/// Where a text lies that ships with the project, for a run without a file.
const DATA: &str = "qemu-tests/data";

/// A run that takes longer hangs: the largest sensible file (100 MB) takes minutes where the
/// emulator is slow.
const TIME_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What the program prints for a line that is not there.
const NO_LINE: &str = "(no line)";

/// A frame that a traceback has to show.
struct Wanted {
    /// What its function may be called, or a part of that.
    function: &'static [&'static str],
    /// The end of its file's name, and a part of the line that it stands at. The C library's own have neither.
    place: Option<(&'static str, &'static str)>,
}

const fn wanted(function: &'static [&'static str], file: &'static str, text: &'static str) -> Wanted {
    Wanted { function, place: Some((file, text)) }
}

const DEMO: &str = "qemu-tests/src/bin/demo.rs";
/// Where `export!` is, whose lines the functions have that it makes.
const EXPORT: &str = "core/src/callback.rs";

/// What a traceback in a comparison has to show, innermost first: the managed comparator, the C function that C
/// calls, C's sort by one of its names, the C function that the task called, and the task.
const PATH: &[Wanted] = &[
    wanted(&["body"], DEMO, "take_traceback();"),
    wanted(&["demo::compare_lines::managed"], EXPORT, "$crate::throw::guarded(||"),
    wanted(&["compare_lines"], EXPORT, "$crate::enter(managed"),
    Wanted { function: &["qsort", "msort"], place: None },
    wanted(&["sort_lines"], "qemu-tests/c/sort.c", "qsort(lines->line,"),
    wanted(&["demo::call"], DEMO, "unsafe { cgocall(f, arg) }"),
    wanted(&["read_and_sort"], DEMO, "call(sort_lines,"),
    wanted(&["demo::sorts"], DEMO, "read_and_sort(&job.file)"),
];

/// A frame of the traceback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub function: String,
    /// The file and the line.
    pub place: Option<(String, usize)>,
}

impl Wanted {
    /// Whether a frame is this one: the line that it names is looked up in the file.
    fn is(&self, frame: &Shown, root: &Path) -> bool {
        let named = self.function.iter().any(|part| frame.function.contains(part));
        let placed = match (&self.place, &frame.place) {
            (None, None) => true,
            (Some((end, text)), Some((file, line))) if file.ends_with(end) => {
                fs::read_to_string(root.join(end)).is_ok_and(|source| {
                    source.lines().nth(line.wrapping_sub(1)).is_some_and(|l| l.contains(text))
                })
            }
            _ => false,
        };
        named && placed
    }
}

/// What is known of a sort of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    pub lines: u64,
    pub checksum: u64,
    /// The first and the last line, as they are shown.
    pub ends: Option<[String; 2]>,
}

/// What the program said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub lines: u64,
    pub c_calls: u64,
    pub callbacks: u64,
    pub checksum: u64,
    /// The first and the last line; none where there is no line.
    pub ends: Option<[String; 2]>,
    /// The frames of the traceback, innermost first, none with the PC 0; empty where nothing was compared.
    pub trace: Vec<Shown>,
}

/// Runs the demonstration, or another example, on the chosen CPUs.
pub fn run(context: &Context, example: Option<&str>, file: Option<&Path>) -> Result<Tally> {
    if let Some(name) = example {
        return run_named(context, name, file);
    }
    let (path, shown) = input(context, file)?;
    let expected = plain_sort(&path).with_context(|| format!("cannot read {shown}"))?;
    let kits = context.kits()?;
    let mut tally = Tally::default();
    let head = ["CPU", "lines", "C calls", "callbacks", "checksum", "time", "verdict"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for kit in &kits.kits {
        let start = Instant::now();
        let result = run_demo(kit, &path, &expected);
        let row = match &result {
            Ok(report) => vec![
                report.lines.to_string(),
                report.c_calls.to_string(),
                report.callbacks.to_string(),
                format!("{:016x}", report.checksum),
                ui::seconds(start),
                ui::verdict(true),
            ],
            Err(error) => {
                ui::say(&format!("{}: {error:#}", kit.target.name));
                let dash = || "-".to_owned();
                vec![dash(), dash(), dash(), dash(), ui::seconds(start), ui::verdict(false)]
            }
        };
        rows.push(std::iter::once(kit.target.name.to_owned()).chain(row).collect());
        tally.add(result.is_ok());
    }
    ui::headline(&format!(
        "{shown}: {} lines, plain sort {:016x}, at least {} callbacks",
        expected.lines,
        expected.checksum,
        least_callbacks(expected.lines)
    ));
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    ui::say(&format!(
        "run: {} of {} CPUs sorted it as a plain sort does: {}",
        tally.passed,
        kits.kits.len(),
        ui::verdict(tally.good())
    ));
    Ok(tally)
}

/// Files that are odd in one way each: sorted like others, or refused with a reason, on every CPU.
pub fn run_odd(context: &Context) -> Result<Tally> {
    let directory = Path::new("target/odd");
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut tally = Tally::default();
    let odd: [(&str, &[u8]); 4] = [
        ("empty.txt", b""),
        ("no-newline.txt", b"b\na"),
        ("nul.txt", b"b\0b\nb\0a\n\0\n"),
        ("long-line.txt", &[b'x'; 100_000]),
    ];
    for (name, bytes) in odd {
        let path = directory.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        tally.merge(run(context, None, Some(&context.root.join(path)))?);
    }
    for (name, reason) in [("missing.txt", "cannot read"), ("", "is a directory")] {
        let path = context.root.join(directory).join(name);
        let error = run(context, None, Some(&path)).err().map(|error| error.to_string());
        let refused = error.as_ref().is_some_and(|error| error.contains(reason));
        if !refused {
            ui::say(&format!(
                "{}: {} should have been refused: {error:?}",
                ui::red("failed"),
                path.display()
            ));
        }
        tally.add(refused);
    }
    Ok(tally)
}

/// The file to sort and how to call it: the user's, or the text that ships with the project.
fn input(context: &Context, file: Option<&Path>) -> Result<(PathBuf, String)> {
    let (path, shown) = match file {
        Some(file) => (context.user_path(file), file.display().to_string()),
        None => {
            let shipped = shipped_text()?;
            (context.root.join(&shipped), shipped.display().to_string())
        }
    };
    match fs::metadata(&path) {
        Err(error) => bail!("cannot read {shown}: {error}; name a file with lines to sort"),
        Ok(meta) if meta.is_dir() => bail!("{shown} is a directory; name a file with lines to sort"),
        Ok(_) => Ok((path, shown)),
    }
}

/// The first text in the data directory.
fn shipped_text() -> Result<PathBuf> {
    let mut texts: Vec<_> = fs::read_dir(DATA)
        .with_context(|| format!("there is no {DATA} with a text to sort; name a file"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    texts.sort();
    texts.into_iter().next().with_context(|| format!("there is no text (*.txt) in {DATA}; name a file"))
}

fn run_demo(kit: &Kit, path: &Path, expected: &Sorted) -> Result<Report> {
    let program = guest::build(kit, Program::Bin("demo"), Profile::Dev)?;
    let cmd = kit.guest(&program).arg(path);
    cmd.show();
    let progress = ui::Progress::spinner(format!("{} sorts", kit.target.name));
    let outcome = cmd.capture(Some(TIME_LIMIT))?;
    drop(progress);
    ui::say(outcome.stdout.trim_end());
    if !outcome.stderr.is_empty() {
        ui::say(outcome.stderr.trim_end());
    }
    if !outcome.success() {
        bail!("the program failed: {}", outcome.ending());
    }
    let report = parse(&outcome.stdout)?;
    verify(&report, expected, Path::new("."))?;
    Ok(report)
}

/// Reads the lines that say how it went, and the traceback; other lines are for the reader.
fn parse(stdout: &str) -> Result<Report> {
    let field = |key: &str, radix: u32| -> Result<u64> {
        let mut values = stdout.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let value = values.next().with_context(|| format!("it printed no line `{key} ...`"))?;
        if values.next().is_some() {
            bail!("it printed more than one line `{key} ...`");
        }
        u64::from_str_radix(value.trim(), radix).with_context(|| format!("`{key} {value}` is no number"))
    };
    let text = |key: &str| {
        let line = stdout.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.map(str::to_owned).with_context(|| format!("it printed no line `{key} ...`"))
    };
    let [first, last] = [text("first")?, text("last")?];
    let mut trace = Vec::new();
    let mut lines = stdout.lines().skip_while(|line| !line.starts_with("traceback of")).skip(1);
    while let (Some(name), Some(place)) = (lines.next(), lines.next()) {
        let pc = place.split_once("pc=0x").and_then(|(_, pc)| u64::from_str_radix(pc.trim(), 16).ok());
        if pc.is_none_or(|pc| pc == 0) {
            bail!("`{}` of the traceback has no PC: `{}`", name.trim(), place.trim());
        }
        trace.push(Shown { function: name.trim().to_owned(), place: shown_place(place) });
    }
    Ok(Report {
        ends: (first != NO_LINE).then_some([first, last]),
        trace,
        lines: field("lines", 10)?,
        c_calls: field("C calls", 10)?,
        callbacks: field("callbacks", 10)?,
        checksum: field("checksum", 16)?,
    })
}

/// The file and the line of a frame.
fn shown_place(line: &str) -> Option<(String, usize)> {
    let (place, _) = line.trim().split_once(" pc=")?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

/// Compares with a plain sort, and the traceback with the sources below `root`.
fn verify(report: &Report, expected: &Sorted, root: &Path) -> Result<()> {
    if report.lines != expected.lines {
        bail!("it read {} lines, but the file has {}", report.lines, expected.lines);
    }
    if report.checksum != expected.checksum {
        bail!("its checksum is {:016x}, a plain sort's is {:016x}", report.checksum, expected.checksum);
    }
    let least = least_callbacks(report.lines);
    if report.callbacks < least {
        bail!(
            "it made {} callbacks; at least {least} are needed to sort {} lines",
            report.callbacks,
            report.lines
        );
    }
    if report.lines > 0 && report.c_calls == 0 {
        bail!("it made no C call");
    }
    if report.ends != expected.ends {
        bail!("its first and last lines are {:?}, a plain sort's {:?}", report.ends, expected.ends);
    }
    if report.lines > 1 {
        let mut trace = report.trace.iter();
        for wanted in PATH {
            if !trace.any(|frame| wanted.is(frame, root)) {
                let all: Vec<_> = report.trace.iter().map(|frame| format!("{frame:?}")).collect();
                bail!(
                    "its traceback does not go on to {}:\n{}",
                    wanted.function.join(" or "),
                    all.join("\n")
                );
            }
        }
    }
    Ok(())
}

/// The comparisons, each of them a callback, that a merge sort makes at least: n log2(n) / 2 where
/// n is a power of two, and a little less in between. Only lines that are in order already need so
/// few.
fn least_callbacks(lines: u64) -> u64 {
    // Two halves, and a merge that ends when the shorter of them does.
    match lines {
        0 | 1 => 0,
        n => least_callbacks(n / 2) + least_callbacks(n - n / 2) + n / 2,
    }
}

/// Sorts the lines of a file byte by byte.
fn plain_sort(path: &Path) -> Result<Sorted> {
    let mut text = Vec::new();
    fs::File::open(path)?.read_to_end(&mut text)?;
    Ok(sort_lines(&text))
}

/// A line ends before a newline or at the end of the text; an empty text has none.
fn sort_lines(text: &[u8]) -> Sorted {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Sorted { lines: 0, checksum: fnv1a([].into_iter()), ends: None };
    }
    let mut lines: Vec<&[u8]> = body.split(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    let bytes = lines.iter().flat_map(|line| line.iter().copied().chain([b'\n']));
    let ends = lines.first().zip(lines.last()).map(|(first, last)| [shown(first), shown(last)]);
    Sorted { lines: lines.len() as u64, checksum: fnv1a(bytes), ends }
}

/// A line as the program shows it: so much of it, in ASCII.
fn shown(line: &[u8]) -> String {
    const WIDTH: usize = 60;
    let text = line[..line.len().min(WIDTH)].escape_ascii().to_string();
    if line.len() > WIDTH { format!("{text}...") } else { text }
}

/// The 64-bit hash FNV-1a.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Runs the example of this name.
fn run_named(context: &Context, name: &str, file: Option<&Path>) -> Result<Tally> {
    let known = guest::examples()?;
    let Some(example) = known.iter().find(|example| example.name == name) else {
        let known: Vec<_> = known.iter().map(|example| example.name.as_str()).collect();
        bail!("unknown example `{name}`; the examples are: {}", known.join(" "));
    };
    run_example(context, example, file)
}

/// Runs an example, which judges itself by its exit code.
fn run_example(context: &Context, example: &Example, file: Option<&Path>) -> Result<Tally> {
    let file = file.map(|file| input(context, Some(file))).transpose()?;
    let kits = context.kits()?;
    let mut tally = Tally::default();
    let mut rows = Vec::new();
    for kit in &kits.kits {
        let start = Instant::now();
        let one = || -> Result<()> {
            let program = guest::build(kit, Program::Example(example), example.profile)?;
            let cmd = kit.guest(&program).args(file.iter().map(|(path, _)| path));
            cmd.show();
            let progress = ui::Progress::spinner(format!("{} runs", kit.target.name));
            let outcome = cmd.capture(Some(TIME_LIMIT))?;
            drop(progress);
            ui::say(format!("{}{}", outcome.stdout, outcome.stderr).trim_end());
            if outcome.success() { Ok(()) } else { bail!("the program failed: {}", outcome.ending()) }
        };
        let result = one();
        if let Err(error) = &result {
            ui::say(&format!("{}: {error:#}", kit.target.name));
        }
        let linked = example.profile == Profile::Linked && kit.std == Std::Shipped;
        let how = if linked { "link-time optimisation" } else { "release" };
        rows.push(vec![
            kit.target.name.to_owned(),
            how.to_owned(),
            ui::seconds(start),
            ui::verdict(result.is_ok()),
        ]);
        tally.add(result.is_ok());
    }
    ui::headline(&format!("example {}", example.name));
    ui::align(&rows).iter().for_each(|line| ui::say(line));
    kits.report_skipped();
    Ok(tally)
}

/// Runs every example on the chosen CPUs.
pub fn run_examples(context: &Context) -> Result<Tally> {
    let examples = guest::examples()?;
    if examples.is_empty() {
        bail!("no package has an example");
    }
    let mut tally = Tally::default();
    for example in &examples {
        tally.merge(run_example(context, example, None)?);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_is_the_published_one() {
        // Test vectors of the hash's authors.
        assert_eq!(fnv1a(b"".iter().copied()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a".iter().copied()), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn lines_are_what_stands_between_newlines() {
        assert_eq!(sort_lines(b"").lines, 0);
        assert_eq!(sort_lines(b"\n").lines, 1);
        assert_eq!(sort_lines(b"a").lines, 1);
        assert_eq!(sort_lines(b"a\n\n").lines, 2);
        // A newline at the end or none: the same lines.
        assert_eq!(sort_lines(b"b\na"), sort_lines(b"a\nb\n"));
        // Bytes, not characters; NUL is one like others.
        assert_eq!(sort_lines(b"\xff\n\0\n").checksum, fnv1a(b"\0\n\xff\n".iter().copied()));
    }

    #[test]
    fn a_report_is_read_among_other_lines() {
        let text = "first a b\nlast c\nlines 3\nC calls 12\ncallbacks 4\nchecksum 00ff\nlines of text\n\
                    traceback of it:\n  f\n  \ta.c:7 pc=0x10\n  g\n  \tpc=0x20\n";
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains("more than one line `lines"), "{error}");
        let report = parse(&text.replace("lines of text", "")).unwrap();
        let ends = Some(["a b".to_owned(), "c".to_owned()]);
        let frame = |function: &str, place| Shown { function: function.to_owned(), place };
        let trace = vec![frame("f", Some(("a.c".to_owned(), 7))), frame("g", None)];
        assert_eq!(report, Report { lines: 3, c_calls: 12, callbacks: 4, checksum: 255, ends, trace });
        let zero = text.replace("lines of text", "").replace("0x10", "0x0");
        assert!(parse(&zero).unwrap_err().to_string().contains("has no PC"));
        assert!(parse("lines 3\nC calls x\n").is_err());
    }

    #[test]
    fn a_report_is_held_against_a_plain_sort() {
        let ends = Some(["a".to_owned(), "b".to_owned()]);
        let root = Path::new("..");
        let line = |(file, text): &(&str, &str)| {
            let source = fs::read_to_string(root.join(file)).unwrap();
            (format!("/x/{file}"), source.lines().position(|line| line.contains(text)).unwrap() + 1)
        };
        let trace: Vec<_> = PATH
            .iter()
            .map(|w| Shown { function: w.function[0].to_owned(), place: w.place.as_ref().map(line) })
            .collect();
        let good =
            Report { lines: 1024, c_calls: 1, callbacks: 5120, checksum: 7, ends: ends.clone(), trace };
        let sorted = Sorted { lines: 1024, checksum: 7, ends };
        assert!(verify(&good, &sorted, root).is_ok());
        assert!(verify(&Report { callbacks: 5119, ..good.clone() }, &sorted, root).is_err());
        assert!(verify(&Report { checksum: 8, ..good.clone() }, &sorted, root).is_err());
        assert!(verify(&Report { lines: 1, ..good.clone() }, &sorted, root).is_err());
        assert!(verify(&Report { ends: None, ..good.clone() }, &sorted, root).is_err());
        let lost = Report { trace: good.trace[1..].to_vec(), ..good.clone() };
        assert!(verify(&lost, &sorted, root).unwrap_err().to_string().contains("go on to body"));
        for (i, wanted) in PATH.iter().enumerate() {
            let mut nowhere = good.clone();
            if nowhere.trace[i].place.take().is_some() {
                let error = verify(&nowhere, &sorted, root).unwrap_err().to_string();
                assert!(error.contains(wanted.function[0]), "{error}");
            }
        }
        let mut elsewhere = good.clone();
        if let Some((_, line)) = &mut elsewhere.trace[0].place {
            *line += 1;
        }
        assert!(verify(&elsewhere, &sorted, root).unwrap_err().to_string().contains("go on to body"));
        assert!(verify(&Report { c_calls: 0, ..good }, &sorted, root).is_err());
        assert_eq!(least_callbacks(0), 0);
        assert_eq!(least_callbacks(1), 0);
        assert_eq!(least_callbacks(3), 2);
        assert_eq!(least_callbacks(5), 5);
        let n = 100_000.0_f64;
        let rule = n * n.log2() / 2.0;
        assert!((least_callbacks(100_000) as f64 / rule) > 0.98);
    }
}

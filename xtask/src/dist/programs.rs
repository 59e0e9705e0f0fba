//! Programs in C and C++ with the libraries: compiled in every way that embedders do, linked by pkg-config's flags, and
//! run.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    header,
    process::{Cmd, Outcome},
    readme,
    toolchain::Kit,
    ui,
};

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What makes an object: whether it is clang, and C++.
const COMPILERS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// A way to compile and link.
struct Way {
    name: &'static str,
    flags: &'static [&'static str],
    /// Before and after pkg-config's own.
    around: (&'static str, &'static str),
    /// With this as well.
    dlopen: bool,
}

const PIE: &[&str] = &["-O2", "-fPIE", "-pie"];

const WAYS: &[Way] = &[
    Way { name: "static", flags: &["-O2", "-static"], around: ("", ""), dlopen: false },
    Way { name: "not optimised", flags: &["-O0", "-static"], around: ("", ""), dlopen: false },
    Way { name: "lto", flags: &["-O2", "-flto", "-static"], around: ("", ""), dlopen: false },
    Way {
        name: "no frame pointers",
        flags: &["-O2", "-fomit-frame-pointer", "-static"],
        around: ("", ""),
        dlopen: false,
    },
    Way {
        name: "frame pointers",
        flags: &["-O2", "-fno-omit-frame-pointer", "-static"],
        around: ("", ""),
        dlopen: false,
    },
    Way {
        name: "what nobody needs left out",
        flags: &["-O2", "-ffunction-sections", "-Wl,--gc-sections", "-static"],
        around: ("", ""),
        dlopen: false,
    },
    Way { name: "pie, archive", flags: PIE, around: ("-Wl,-Bstatic", "-Wl,-Bdynamic"), dlopen: false },
    Way { name: "pie, shared", flags: PIE, around: ("", ""), dlopen: true },
];

/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(60);

/// Compiles, links and runs everything; how many programs that were.
pub fn prove(kit: &Kit, place: &Path) -> Result<usize> {
    let bench = Bench::new(kit, place)?;
    let mut programs = 0;
    for way in WAYS {
        for (clang, cpp) in COMPILERS {
            for source in [bench.readme.as_str(), "qemu-tests/c/crossing.c"] {
                bench.good(way, clang, cpp, source, "stackgate")?;
                programs += 1;
            }
            if way.dlopen {
                bench.good(way, clang, cpp, "qemu-tests/c/dlopen.c", "stackgate")?;
                programs += 1;
            }
        }
    }
    bench.another_version()?;
    bench.both_libraries()?;
    Ok(programs + 2 + bench.runtime()?)
}

struct Bench<'a> {
    kit: &'a Kit,
    place: &'a Path,
    /// Where programs go.
    work: String,
    /// The README's program.
    readme: String,
}

impl<'a> Bench<'a> {
    fn new(kit: &'a Kit, place: &'a Path) -> Result<Self> {
        let work = format!("{}/{}/programs", super::BUILD, kit.target.name);
        fs::create_dir_all(&work)?;
        let readme = format!("{work}/readme.c");
        fs::write(&readme, readme::c_program(&fs::read_to_string("README.md")?)?)?;
        Ok(Self { kit, place, work, readme })
    }

    fn compiler(&self, clang: bool, cpp: bool) -> Cmd {
        let target = self.kit.target;
        match (clang, cpp) {
            (false, false) => Cmd::new(&self.kit.linker),
            (false, true) => Cmd::new(target.tool("g++")),
            (true, false) => Cmd::new("clang").arg(format!("--target={}", target.gnu)),
            (true, true) => Cmd::new("clang++").arg(format!("--target={}", target.gnu)),
        }
    }

    /// What links what clang has compiled for the optimiser of the linker: GNU's for arm crashes over it. lld 14 knows
    /// every CPU but one.
    fn linker_of_clang(&self, way: &Way) -> Option<&'static str> {
        let optimises = way.flags.contains(&"-flto");
        (optimises && self.kit.target.name != "s390x").then_some("-fuse-ld=lld")
    }

    /// What pkg-config says of a library.
    fn pkg_config(&self, option: &str, library: &str) -> Result<Vec<String>> {
        let directory = self.place.join("lib/pkgconfig");
        let cmd = Cmd::new("pkgconf").env("PKG_CONFIG_LIBDIR", directory.to_string_lossy());
        let flags = cmd.args([option, library]).read()?;
        Ok(flags.split_whitespace().map(str::to_owned).collect())
    }

    /// Compiles and links a program: its path, and what became of it.
    fn build(
        &self,
        way: &Way,
        clang: bool,
        cpp: bool,
        source: &str,
        libraries: &[&str],
    ) -> Result<(String, Cmd)> {
        let program = format!("{}/program", self.work);
        if Path::new(&program).exists() {
            fs::remove_file(&program)?;
        }
        let mut cmd = self.compiler(clang, cpp).args(WARNINGS).args(way.flags).arg("-Wl,--as-needed");
        if clang && let Some(linker) = self.linker_of_clang(way) {
            cmd = cmd.arg(linker);
        }
        // The README's functions do not use what they are passed.
        cmd = cmd.arg("-Wno-unused-parameter");
        cmd = cmd.args(if cpp { ["-std=c++17", "-xc++"] } else { ["-std=c11", "-xc"] });
        cmd =
            cmd.args(self.pkg_config("--cflags", libraries[0])?).arg(source).args(["-xnone", "-o", &program]);
        let (before, after) = way.around;
        cmd = cmd.args([before].iter().filter(|word| !word.is_empty()));
        for library in libraries {
            cmd = cmd.args(self.pkg_config("--libs", library)?);
        }
        Ok((program, cmd.args([after].iter().filter(|word| !word.is_empty()))))
    }

    /// A program under the emulator, with the libraries of its CPU, ours among them.
    fn run(&self, program: &str) -> Result<Outcome> {
        self.emulator().arg(program).capture(Some(LIMIT))
    }

    fn emulator(&self) -> Cmd {
        let libraries = self.place.join("lib");
        let mut cmd = Cmd::new(&self.kit.runner);
        if !self.kit.target.is_host() {
            cmd = cmd.args(["-L", &format!("/usr/{}", self.kit.target.gnu)]);
        }
        cmd.args(["-E", &format!("LD_LIBRARY_PATH={}", libraries.display())])
    }

    /// The same of a program whose threads get signals. QEMU 7.2 gives an i386 thread another's thread-local storage then:
    /// a static program runs by itself where the machine can. Without the emulator there is no other way to the
    /// libraries of a dynamic one, nor has it a file of its own then: it runs without signals.
    fn run_with_signals(&self, program: &str, flags: &[&str]) -> Result<Outcome> {
        if self.kit.target.name != "i386" {
            return self.run(program);
        }
        // It does not even begin where the machine cannot.
        if flags.contains(&"-static")
            && let Ok(outcome) = Cmd::new(program).capture(Some(LIMIT))
        {
            return Ok(outcome);
        }
        ui::say("i386, c-runtime: without signals, which the emulator gives to a wrong thread");
        self.emulator().arg(program).arg("without-signals").capture(Some(LIMIT))
    }

    /// A program that must do.
    fn good(&self, way: &Way, clang: bool, cpp: bool, source: &str, library: &str) -> Result<()> {
        let (program, cmd) = self.build(way, clang, cpp, source, &[library])?;
        let built = cmd.capture(None)?;
        let name = way.name;
        if !built.success() {
            cmd.show();
            bail!("{source}, {name}: {}\n{}", built.ending(), built.stderr.trim_end());
        }
        let outcome = self.run(&program)?;
        if !outcome.success() {
            cmd.show();
            bail!("{source}, {name}: {}\n{}{}", outcome.ending(), outcome.stdout, outcome.stderr.trim_end());
        }
        Ok(())
    }

    /// The runtime in C, with the library that has Linux as its platform: it says what it has counted.
    fn runtime(&self) -> Result<usize> {
        // Tables by which tracebacks go: not every compiler makes them for C on every CPU.
        const OPTIONS: [&str; 4] = ["-std=gnu11", "-O2", "-g", "-fasynchronous-unwind-tables"];
        const WAYS: [(bool, &[&str]); 4] = [
            (false, &["-static"]),
            (true, &["-static"]),
            (false, &["-fPIE", "-pie"]),
            (false, &["-static", "-fno-omit-frame-pointer"]),
        ];
        for (clang, flags) in WAYS {
            let program = format!("{}/c-runtime", self.work);
            let mut cmd = self.compiler(clang, false).args(OPTIONS).args(WARNINGS).args(flags);
            cmd = cmd.args(self.pkg_config("--cflags", "stackgate-libc")?);
            cmd = cmd.args(["qemu-tests/c-runtime/main.c", "qemu-tests/c-runtime/runtime.c", "-o", &program]);
            cmd = cmd.args(self.pkg_config("--libs", "stackgate-libc")?).arg("-pthread");
            let built = cmd.capture(None)?;
            ensure!(built.success(), "{cmd}\n{}\n{}", built.ending(), built.stderr.trim_end());
            let outcome = self.run_with_signals(&program, flags)?;
            let good = outcome.success() && outcome.stdout.contains(" checks: ");
            ensure!(good, "{cmd}\n{}\n{}{}", outcome.ending(), outcome.stdout, outcome.stderr.trim_end());
            let compiler = if clang { "clang" } else { "gcc" };
            let name = self.kit.target.name;
            let counts = outcome.stdout.trim_end();
            ui::say(&format!("{name}, c-runtime, {compiler} {}: {counts}", flags.join(" ")));
        }
        Ok(WAYS.len())
    }

    /// A link that must fail, with this in what the linker says.
    fn bad(&self, cmd: &Cmd, what: &str) -> Result<()> {
        let outcome = cmd.capture(None)?;
        ensure!(!outcome.success(), "this links, and must not: {cmd}");
        ensure!(outcome.stderr.contains(what), "the linker does not say `{what}`: {}", outcome.stderr);
        Ok(())
    }

    /// A header of another version does not go with the library, and the linker names the version.
    fn another_version(&self) -> Result<()> {
        let other = header::version_symbol() + "0";
        let include = format!("{}/other", self.work);
        fs::create_dir_all(&include)?;
        let text = fs::read_to_string(super::HEADERS[0])?.replace(&header::version_symbol(), &other);
        fs::write(format!("{include}/stackgate.h"), text)?;
        let way = WAYS.first().context("there is a way")?;
        for (clang, cpp) in COMPILERS {
            let mut cmd = self.compiler(clang, cpp).args(way.flags).arg(format!("-I{include}"));
            cmd = cmd.args(if cpp { ["-std=c++17", "-xc++"] } else { ["-std=c11", "-xc"] });
            cmd = cmd.arg(&self.readme).args(["-xnone", "-o", &format!("{}/bad", self.work)]);
            self.bad(&cmd.args(self.pkg_config("--libs", "stackgate")?), &other)?;
        }
        Ok(())
    }

    /// The two libraries contain the same core: a program has one of them.
    fn both_libraries(&self) -> Result<()> {
        let source = format!("{}/both.c", self.work);
        let text = "#include <stackgate-libc.h>\nint main(void) { return stackgate_m_release() + stackgate_use_linux(); }\n";
        fs::write(&source, text)?;
        let way = WAYS.first().context("there is a way")?;
        let (_, cmd) = self.build(way, false, false, &source, &["stackgate", "stackgate-libc"])?;
        self.bad(&cmd, "multiple definition of `stackgate_")
    }
}

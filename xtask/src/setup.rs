//! `setup`: installs what is missing, and `doctor`: says what that is.
//!
//! Nothing is changed before it is known that everything can be: the package manager is asked for
//! a dry run first, and refuses here where it would remove a package.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};

use crate::{
    context::Context,
    machines,
    process::{Cmd, find_program},
    targets::{Target, VALGRIND},
    toolchain::{Compilers, Kit, MSRV, Missing, kit, release_will_do},
    ui,
};

/// State of one CPU's tools.
pub struct Finding {
    pub target: &'static Target,
    pub kit: Result<Kit, Vec<Missing>>,
}

/// Looks at the tools of every target.
pub fn survey(targets: &[&'static Target]) -> Vec<Finding> {
    let compilers = Compilers::find();
    targets.iter().map(|&target| Finding { target, kit: kit(target, &compilers) }).collect()
}

/// Programs that only some commands need: name, package, and the commands.
const EXTRAS: &[(&str, &str, &str)] = &[
    ("gdb-multiarch", "gdb-multiarch", "step` and `debug"),
    ("clang", "clang", "dist --check"),
    ("ld.lld", "lld", "dist --check"),
    ("pkgconf", "pkgconf", "dist --check"),
    (VALGRIND, VALGRIND, "test --variant valgrind"),
];

/// What is installed only where it is asked for: it is large, and nothing else needs it.
pub const BROWSER: (&str, &str, &str) = ("chromium", "chromium", "frames --browser-test");

/// The browser, if it is missing.
fn missing_browser() -> Option<Missing> {
    let (program, package, command) = BROWSER;
    find_program(program).is_none().then(|| Missing {
        what: format!("{program}, for `{command}`"),
        packages: vec![package],
        rustup: None,
    })
}

/// The C++ compiler for a CPU, if it is missing.
fn missing_cpp(target: &Target) -> Option<Missing> {
    find_program(&target.tool("g++")).is_none().then(|| Missing {
        what: format!("{}, for `dist --check`", target.tool("g++")),
        packages: vec![target.cpp_package],
        rustup: None,
    })
}

/// What the commands beyond `run` and `test` miss.
fn missing_extras(findings: &[Finding]) -> Vec<Missing> {
    let mut missing: Vec<_> = EXTRAS
        .iter()
        .filter(|(program, ..)| find_program(program).is_none())
        .map(|&(program, package, command)| Missing {
            what: format!("{program}, for `{command}`"),
            packages: vec![package],
            rustup: None,
        })
        .collect();
    missing.extend(findings.iter().filter_map(|finding| missing_cpp(finding.target)));
    // Plugins are loaded by the dynamically linked emulators alone.
    let static_runner =
        |f: &&Finding| f.kit.as_ref().is_ok_and(|kit| kit.runner.to_string_lossy().ends_with("-static"));
    if let Some(finding) = findings.iter().find(static_runner) {
        missing.push(Missing {
            what: format!(
                "an emulator for {} that takes plugins, for `count` and `step`",
                finding.target.name
            ),
            packages: vec!["qemu-user"],
            rustup: None,
        });
    }
    let without_clippy = |f: &&Finding| f.kit.as_ref().is_ok_and(|k| k.rustc.clippy_driver().is_none());
    if let Some(finding) = findings.iter().find(without_clippy) {
        missing.push(Missing {
            what: format!("clippy for the compiler of {}, for `check`", finding.target.name),
            packages: vec!["rust-web-clippy"],
            rustup: Some("rustup component add clippy".to_owned()),
        });
    }
    if find_program("cargo-clippy").is_none() || find_program("rustfmt").is_none() {
        missing.push(Missing {
            what: "clippy and rustfmt of the active toolchain, for `check`".to_owned(),
            packages: vec![],
            rustup: Some("rustup component add clippy rustfmt".to_owned()),
        });
    }
    if !findings.is_empty() && Compilers::find().oldest_that_will_do().is_none() {
        missing.push(Missing {
            what: format!("the oldest compiler that will do, {MSRV}, for `check`"),
            packages: vec![],
            rustup: Some(format!("rustup toolchain install {MSRV} --profile minimal")),
        });
    }
    missing
}

/// The two ways to what is missing, as commands.
pub fn remedies(missing: &[Missing]) -> String {
    let packages: BTreeSet<_> = missing.iter().flat_map(|m| m.packages.iter().copied()).collect();
    let mut rustup: BTreeSet<_> = missing.iter().filter_map(|m| m.rustup.clone()).collect();
    let adds_target = |command: &String| command.starts_with("rustup target add");
    let targets: Vec<_> =
        rustup.iter().filter_map(|c| c.strip_prefix("rustup target add ")).map(str::to_owned).collect();
    rustup.retain(|command| !adds_target(command));
    let mut lines = Vec::new();
    if !targets.is_empty() {
        lines.push(format!("  rustup target add {}", targets.join(" ")));
        lines.push(
            "    or: rustup component add rust-src (the library is then built from its sources)".to_owned(),
        );
    }
    lines.extend(rustup.iter().map(|command| format!("  {command}")));
    if !packages.is_empty() {
        let packages: Vec<_> = packages.into_iter().collect();
        lines.push(format!(
            "  sudo apt-get update && sudo apt-get install --no-install-recommends {}",
            packages.join(" ")
        ));
        if rustup_alone_is_not_enough(missing) {
            lines.push(
                "    (the cross linkers and emulators come from apt whichever compiler is used)".to_owned(),
            );
        }
    }
    lines.join("\n")
}

fn rustup_alone_is_not_enough(missing: &[Missing]) -> bool {
    missing.iter().any(|m| m.rustup.is_some()) && missing.iter().any(|m| m.rustup.is_none())
}

/// `cargo xtask doctor`: one line a CPU, then what is missing and the commands that mend it.
pub fn doctor(context: &Context) -> Result<()> {
    let findings = survey(&context.targets);
    let mut missing: Vec<Missing> = Vec::new();
    let mut rows = Vec::new();
    for finding in &findings {
        let name = finding.target.name.to_owned();
        match &finding.kit {
            Ok(kit) => rows.push(vec![
                name,
                kit.compiler(),
                kit.linker.clone(),
                kit.runner.display().to_string(),
                ui::green("ok"),
            ]),
            Err(gaps) => {
                rows.push(vec![name, String::new(), String::new(), String::new(), ui::red("MISSING")]);
                missing.extend(gaps.iter().cloned());
            }
        }
    }
    ui::align_words(&rows).iter().for_each(|line| ui::say(line));
    missing.extend(missing_extras(&findings));
    missing.extend(machines::missing(context));
    if let Some(browser) = missing_browser() {
        ui::say(&format!("\nnot there, and not asked for: {}: cargo xtask setup --browser", browser.what));
    }
    if missing.is_empty() {
        ui::say("\nnothing is missing");
        return Ok(());
    }
    ui::say("\nmissing:");
    missing.iter().for_each(|gap| ui::say(&format!("  {}", gap.what)));
    bail!("tools are missing; `cargo xtask setup` installs them, or by hand:\n{}", remedies(&missing))
}

/// `cargo xtask setup`: everything that any command needs for the chosen targets; the browser if asked for.
pub fn setup(context: &Context, dry_run: bool, browser: bool) -> Result<()> {
    let findings = survey(&context.targets);
    let mut missing: Vec<_> =
        findings.iter().filter_map(|f| f.kit.as_ref().err()).flatten().cloned().collect();
    // Clippy must fit the compiler that is installed now.
    if missing.iter().any(|m| m.packages.contains(&"rustc-web")) {
        missing.push(Missing {
            what: "clippy for the compiler to be installed".to_owned(),
            packages: vec!["rust-web-clippy"],
            rustup: None,
        });
    }
    missing.extend(missing_extras(&findings));
    missing.extend(missing_browser().filter(|_| browser));
    // In one go, where that removes no package.
    let machines = machines::missing(context);
    let all: Vec<_> = missing.iter().chain(&machines).cloned().collect();
    if let Err(refused) = install(&all, dry_run) {
        if machines.is_empty() {
            return Err(refused);
        }
        install(&missing, dry_run)?;
        machines::install(&machines, dry_run)?;
    }
    install_by_rustup(&missing, dry_run)?;
    if dry_run { Ok(()) } else { doctor(context) }
}

/// Installs what is missing through apt, as root or through `sudo -n`; where that cannot be, an
/// error with the commands to type, and nothing is changed.
pub fn install(missing: &[Missing], dry_run: bool) -> Result<()> {
    let packages: BTreeSet<_> = missing.iter().flat_map(|m| m.packages.iter().copied()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let what: Vec<_> = missing.iter().map(|m| format!("  {}", m.what)).collect();
    let what = what.join("\n");
    let remedies = remedies(missing);
    if find_program("apt-get").is_none() {
        bail!(
            "tools are missing:\n{what}\nand there is no apt-get to install them; one of these would:\n{remedies}"
        );
    }
    let Some(prefix) = privilege() else {
        bail!(
            "tools are missing:\n{what}\nand they can be installed neither as root nor through `sudo -n`; type:\n{remedies}"
        );
    };
    ui::say(&format!("missing:\n{what}"));
    let apt = |args: &[&str]| {
        let words = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let words: Vec<_> =
            words.chain(["-q", "-o", "DPkg::Lock::Timeout=600"]).chain(args.iter().copied()).collect();
        Cmd::new(words[0]).args(&words[1..])
    };
    let mut wanted = vec!["install", "--yes", "--no-install-recommends"];
    wanted.extend(&packages);
    if dry_run {
        apt(&wanted).show();
        return Ok(());
    }
    let simulate = || -> Result<()> {
        let mut args = vec!["--simulate"];
        args.extend(&wanted);
        let plan = apt(&args);
        plan.show();
        let outcome = plan.capture(None)?;
        if !outcome.success() {
            bail!("apt cannot install these packages:\n{}\n{remedies}", outcome.stderr.trim());
        }
        examine(&outcome.stdout)
    };
    if simulate().is_err() {
        // The lists of a fresh machine are empty or old.
        apt(&["update"]).run()?;
        simulate()?;
    }
    if apt(&wanted).run().is_err() {
        // Lists can name versions that the archive replaced since.
        apt(&["update"]).run()?;
        simulate()?;
        apt(&wanted).run()?;
    }
    Ok(())
}

/// What only rustup brings.
fn install_by_rustup(missing: &[Missing], dry_run: bool) -> Result<()> {
    let commands: BTreeSet<_> =
        missing.iter().filter(|m| m.packages.is_empty()).filter_map(|m| m.rustup.as_deref()).collect();
    for command in commands {
        let words: Vec<_> = command.split(' ').collect();
        let cmd = Cmd::new(words[0]).args(&words[1..]);
        if dry_run {
            cmd.show();
        } else {
            cmd.run().with_context(|| format!("type it, or do without: {command}"))?;
        }
    }
    Ok(())
}

/// Reads apt's plan: nothing may be removed, and a compiler must be new enough.
fn examine(plan: &str) -> Result<()> {
    let removed: Vec<_> = plan.lines().filter_map(|line| line.strip_prefix("Remv ")).collect();
    if !removed.is_empty() {
        bail!("apt would remove packages, so that nothing was installed:\n{}", removed.join("\n"));
    }
    let release = plan.lines().find_map(|line| line.strip_prefix("Inst rustc-web (")?.split(' ').next());
    if let Some(release) = release.filter(|release| !release_will_do(release)) {
        bail!(
            "apt offers only rustc-web {release}; at least {} is needed. Debian 12 has it in its security archive: \
             add the suite bookworm-security to /etc/apt/sources.list, then try again, or install the CPU's library \
             by `rustup target add`",
            MSRV
        );
    }
    Ok(())
}

/// What precedes a command that root must run: nothing for root himself.
fn privilege() -> Option<Vec<&'static str>> {
    if rustix::process::geteuid().is_root() {
        return Some(Vec::new());
    }
    let sudo = Cmd::new("sudo").args(["-n", "true"]).capture(None);
    sudo.is_ok_and(|outcome| outcome.success()).then(|| vec!["sudo", "-n"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(packages: &[&'static str], rustup: Option<&str>) -> Missing {
        Missing { what: "it".to_owned(), packages: packages.to_vec(), rustup: rustup.map(str::to_owned) }
    }

    #[test]
    fn both_ways_are_named_and_repetition_is_not() {
        let text = remedies(&[
            gap(&["rustc-web", "rust-web-src"], Some("rustup target add a-b-c")),
            gap(&["rustc-web", "rust-web-src"], Some("rustup target add d-e-f")),
            gap(&["qemu-user"], None),
        ]);
        assert!(text.contains("rustup target add a-b-c d-e-f"), "{text}");
        assert!(text.contains("rustup component add rust-src"), "{text}");
        assert!(text.contains("--no-install-recommends qemu-user rust-web-src rustc-web"), "{text}");
    }

    #[test]
    fn a_plan_that_removes_or_is_too_old_is_refused() {
        assert!(examine("Inst qemu-user (1:7.2 Debian:12)\nConf qemu-user").is_ok());
        assert!(examine("Remv qemu-utils [1:10.0]\nInst x (1)").is_err());
        assert!(examine("Inst rustc-web (1.85.0+dfsg3-1~deb12u3 Debian:12 [amd64])").is_err());
        assert!(examine("Inst rustc-web (1.96.0+dfsg1-1~deb12u2 Debian-Security:12 [amd64])").is_ok());
    }
}

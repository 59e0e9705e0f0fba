//! What every command starts from: the workspace, the chosen targets and their tools.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    setup, sysroot,
    targets::{Target, Variant},
    toolchain::{Kit, Missing},
    ui,
};

/// How many cases passed and failed. Stages without cases count as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    /// Counts one thing that went well or did not.
    pub fn add(&mut self, good: bool) {
        if good { self.passed += 1 } else { self.failed += 1 }
    }

    pub fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    pub fn good(self) -> bool {
        self.failed == 0
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

pub struct Context {
    /// The workspace's root, which is the current directory too: commands are printed with paths
    /// relative to it.
    pub root: PathBuf,
    /// Where the user stood, for paths given on the command line.
    pub origin: PathBuf,
    pub targets: Vec<&'static Target>,
    /// Leave out CPUs whose tools are missing.
    pub allow_missing: bool,
}

/// The tools of the chosen CPUs, and the CPUs left out.
pub struct Kits {
    pub kits: Vec<Kit>,
    pub skipped: Vec<(&'static Target, String)>,
}

impl Context {
    pub fn new(targets: Vec<&'static Target>, allow_missing: bool) -> Result<Self> {
        let origin = env::current_dir().context("there is no current directory")?;
        // Where this crate was compiled, or where cargo runs it from after a move.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().map(Path::to_owned).unwrap_or_default();
        if !root.join("xtask/Cargo.toml").is_file() {
            bail!("the workspace is not at {}; run this as `cargo xtask` inside it", root.display());
        }
        env::set_current_dir(&root).with_context(|| format!("cannot enter {}", root.display()))?;
        Ok(Self { root, origin, targets, allow_missing })
    }

    /// A path that the user gave, seen from where he stood.
    pub fn user_path(&self, path: &Path) -> PathBuf {
        self.origin.join(path)
    }

    /// The tools of the chosen CPUs, as [`Context::tools`], and standard libraries to go with them.
    pub fn kits(&self) -> Result<Kits> {
        let mut found = self.tools()?;
        sysroot::build(&found.kits.iter().filter_map(Kit::wanted).collect::<Vec<_>>())?;
        found.kits.iter_mut().try_for_each(Kit::use_library)?;
        Ok(found)
    }

    /// Finds the tools of the chosen CPUs, installing what is missing. With `--allow-missing`
    /// nothing is installed, and CPUs without tools are left out and said to be.
    pub fn tools(&self) -> Result<Kits> {
        let mut kits = Vec::new();
        let mut gaps: Vec<(&'static Target, Vec<Missing>)> = Vec::new();
        let sort = |kits: &mut Vec<Kit>, gaps: &mut Vec<_>| {
            kits.clear();
            for finding in setup::survey(&self.targets) {
                match finding.kit {
                    Ok(kit) => kits.push(kit),
                    Err(missing) => gaps.push((finding.target, missing)),
                }
            }
        };
        sort(&mut kits, &mut gaps);
        if !gaps.is_empty() && !self.allow_missing {
            let missing: Vec<_> = gaps.iter().flat_map(|(_, m)| m.clone()).collect();
            setup::install(&missing, false)?;
            gaps.clear();
            sort(&mut kits, &mut gaps);
            if let Some((target, missing)) = gaps.first() {
                let what: Vec<_> = missing.iter().map(|m| m.what.as_str()).collect();
                bail!(
                    "{} still misses {} after the set-up; see `cargo xtask doctor`",
                    target.name,
                    what.join(", ")
                );
            }
        }
        let skipped: Vec<_> = gaps
            .into_iter()
            .map(|(target, missing)| {
                let what: Vec<_> = missing.into_iter().map(|m| m.what).collect();
                (target, what.join(", "))
            })
            .collect();
        if kits.is_empty() {
            bail!(
                "no CPU is left: the tools of all chosen ones are missing; install them: cargo xtask setup"
            );
        }
        Ok(Kits { kits, skipped })
    }
}

impl Kits {
    /// The tools of these variants, of those CPUs that are there, with libraries to go with them.
    pub fn variants(&self, wanted: &[&'static Variant]) -> Result<Vec<(&'static Variant, Kit)>> {
        let kit = |variant: &Variant| self.kits.iter().find(|kit| kit.target.name == variant.target);
        let mut found: Vec<_> =
            wanted.iter().filter_map(|&variant| Some((variant, kit(variant)?.as_variant(variant)))).collect();
        sysroot::build(&found.iter().filter_map(|(_, kit)| kit.wanted()).collect::<Vec<_>>())?;
        found.iter_mut().try_for_each(|(_, kit)| kit.use_library())?;
        Ok(found)
    }

    /// Says which CPUs were left out, for the end of a command's output.
    pub fn report_skipped(&self) {
        for (target, what) in &self.skipped {
            ui::say(&format!("{}: SKIPPED (--allow-missing): missing {what}", target.name));
        }
    }
}

//! The project's own plugins for the emulator, built by the host's C compiler when needed.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::process::{Cmd, find_program};

/// A plugin's name: the C file in `xtask/plugins` and the object in [`DIRECTORY`].
#[derive(Clone, Copy, Debug)]
pub enum Plugin {
    /// Counts instructions.
    Insn,
    /// Raises a signal at each instruction of address ranges.
    Sigstep,
}

/// Where the plugins and what they write go.
pub const DIRECTORY: &str = "target/plugins";

impl Plugin {
    fn name(self) -> &'static str {
        match self {
            Self::Insn => "insn",
            Self::Sigstep => "sigstep",
        }
    }

    /// Builds the plugin if it is older than its source; the path of the shared object.
    pub fn build(self) -> Result<String> {
        let source = format!("xtask/plugins/{}.c", self.name());
        let object = format!("{DIRECTORY}/{}.so", self.name());
        if up_to_date(&object, &source) {
            return Ok(object);
        }
        if find_program("gcc").is_none() {
            bail!("there is no gcc to build {source}; install it: apt-get install gcc libc6-dev");
        }
        fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
        Cmd::new("gcc")
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"])
            .args(["-fvisibility=hidden", "-o", &object, &source])
            .run()?;
        Ok(object)
    }
}

fn up_to_date(object: &str, source: &str) -> bool {
    let changed = |path: &str| fs::metadata(Path::new(path)).and_then(|m| m.modified()).ok();
    match (changed(object), changed(source)) {
        (Some(object), Some(source)) => object > source,
        _ => false,
    }
}

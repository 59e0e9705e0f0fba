//! What is published: that it packs, that it builds from its packages, alone and with the oldest dependencies that it
//! admits, and that all dependencies have licences and sources that `deny.toml` allows.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    fuzz,
    process::{Cmd, find_program},
};

/// What ships, in the order in which it is published.
const SHIPPED: [&str; 3] = ["stackgate-arch", "stackgate", "stackgate-libc"];
/// Their directories.
const DIRECTORIES: [&str; 3] = ["arch", "core", "libc-shim"];
/// What each of the packages must have.
const FILES: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Where packages are built.
const BUILT: &str = "target/packed";

/// Packs what ships, and builds it from the packages.
pub fn pack() -> Result<()> {
    for package in SHIPPED {
        let list =
            Cmd::new("cargo").args(["package", "--allow-dirty", "--list", "--package", package]).read()?;
        let files: BTreeSet<_> = list.lines().collect();
        let missing: Vec<_> = FILES.iter().filter(|file| !files.contains(*file)).collect();
        ensure!(missing.is_empty(), "the package of {package} has no {missing:?}");
        // The archives' own package is not part of it.
        let strange: Vec<_> = files.iter().filter(|file| file.starts_with("dist/")).collect();
        ensure!(strange.is_empty(), "the package of {package} has {strange:?}");
    }
    forget_unpacked()?;
    if Path::new(BUILT).exists() {
        fs::remove_dir_all(BUILT).with_context(|| format!("cannot remove {BUILT}"))?;
    }
    let mut cmd = Cmd::new("cargo").args(["package", "--allow-dirty", "--quiet", "--target-dir", BUILT]);
    for package in SHIPPED {
        cmd = cmd.args(["--package", package]);
    }
    cmd.run()
}

/// Takes away what cargo has unpacked of our packages before: it knows them by version, and would build the others from
/// what they were then. For the same reason they are built anew.
fn forget_unpacked() -> Result<()> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let unpacked = home.context("neither CARGO_HOME nor HOME is set")?.join("registry/src");
    let Ok(registries) = fs::read_dir(&unpacked) else { return Ok(()) };
    for registry in registries {
        let registry = registry?;
        // A registry that is a directory, as that of packages not yet published is, has no host in its name.
        if !registry.file_name().to_string_lossy().starts_with('-') {
            continue;
        }
        for package in fs::read_dir(registry.path())? {
            let package = package?;
            if SHIPPED.iter().any(|ours| package.file_name().to_string_lossy().starts_with(ours)) {
                fs::remove_dir_all(package.path())
                    .with_context(|| format!("cannot remove {}", package.path().display()))?;
            }
        }
    }
    Ok(())
}

/// Builds what ships with the oldest version of each dependency that a manifest of ours admits.
pub fn oldest_dependencies() -> Result<()> {
    const TREE: &str = "target/oldest-dependencies/tree";
    fuzz::copy(TREE)?;
    // Ours alone: the tools' dependencies are nobody's affair.
    let manifest = Path::new(TREE).join("Cargo.toml");
    let mut table: toml::Table = fs::read_to_string(&manifest)?.parse()?;
    let workspace = table.get_mut("workspace").and_then(toml::Value::as_table_mut).context("a workspace")?;
    workspace.insert("members".to_owned(), DIRECTORIES.map(str::to_owned).to_vec().into());
    table.remove("profile");
    fs::write(&manifest, toml::to_string(&table)?)?;
    for directory in DIRECTORIES {
        let manifest = Path::new(TREE).join(directory).join("Cargo.toml");
        let mut table: toml::Table = fs::read_to_string(&manifest)?.parse()?;
        table.remove("dev-dependencies");
        fs::write(&manifest, toml::to_string(&table)?)?;
    }
    let lock = Path::new(TREE).join("Cargo.lock");
    if lock.exists() {
        fs::remove_file(&lock)?;
    }
    // Not those that these need: their manifests are others' affair.
    let build = std::env::current_dir()?.join("target/oldest-dependencies/build");
    Cmd::new("cargo")
        .directory(TREE)
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["check", "--quiet", "-Z", "direct-minimal-versions", "--lib", "--workspace"])
        .args(["--features", "stackgate/std,stackgate-libc/symbolizer", "--target-dir"])
        .arg(build)
        .run()
}

/// What `deny.toml` says, as far as it is held here.
#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

/// Of cargo's metadata.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    source: Option<String>,
}

/// Holds `deny.toml`: by cargo-deny too, where it is installed.
pub fn deny() -> Result<()> {
    let deny: Deny = toml::from_str(&fs::read_to_string("deny.toml")?).context("deny.toml")?;
    let metadata = Cmd::new("cargo").args(["metadata", "--format-version", "1", "--locked"]).read()?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let denied: Vec<_> = metadata.packages.iter().filter_map(|package| denied(package, &deny)).collect();
    if !denied.is_empty() {
        bail!("deny.toml does not allow {}", denied.join("; "));
    }
    match find_program("cargo-deny") {
        Some(_) => Cmd::new("cargo").args(["deny", "check", "licenses", "sources", "bans"]).run(),
        None => Ok(()),
    }
}

/// Why a package is not allowed.
fn denied(package: &Package, deny: &Deny) -> Option<String> {
    let Package { name, license, source } = package;
    // Cargo's own registry is the only one that the manifests can name without its address.
    if let Some(source) = source
        && !source.starts_with("registry+")
    {
        return Some(format!("{name} from {source}"));
    }
    let exceptions = deny.licenses.exceptions.iter().filter(|exception| exception.package == *name);
    let allowed: Vec<_> = deny.licenses.allow.iter().chain(exceptions.flat_map(|e| &e.allow)).collect();
    let license = license.as_deref().unwrap_or("no licence");
    (!allows(license, &allowed)).then(|| format!("{name} under {license}"))
}

/// Whether an expression of licences can be met with these. OR binds less than AND; of parentheses there is one pair
/// at most, around the alternatives of a part.
fn allows(expression: &str, allowed: &[&String]) -> bool {
    if let Some((before, rest)) = expression.split_once('(')
        && let Some((inner, after)) = rest.split_once(')')
    {
        let outer = [before, after]
            .map(|part| part.trim().trim_start_matches("AND ").trim_end_matches(" AND").trim());
        return allows(inner, allowed) && outer.iter().all(|part| part.is_empty() || allows(part, allowed));
    }
    let known = |name: &str| allowed.iter().any(|allowed| *allowed == name.trim());
    let alternatives = expression.split(" OR ").flat_map(|part| part.split('/'));
    alternatives.into_iter().any(|part| part.split(" AND ").all(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_licences() {
        let both = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
        let allowed: Vec<_> = both.iter().collect();
        for good in ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(allows(good, &allowed), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "no licence", "(MIT OR Apache-2.0) AND GPL-3.0", ""] {
            assert!(!allows(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn a_package_from_elsewhere_is_denied() {
        let deny: Deny = toml::from_str(include_str!("../../deny.toml")).unwrap();
        let package = |source: &str, license: &str| Package {
            name: "it".to_owned(),
            license: Some(license.to_owned()),
            source: Some(source.to_owned()),
        };
        let registry = "registry+https://example.org/index";
        assert!(denied(&package(registry, "MIT"), &deny).is_none());
        assert!(denied(&package(registry, "MPL-2.0"), &deny).is_some());
        assert!(denied(&package("git+https://example.org/it", "MIT"), &deny).is_some());
    }
}

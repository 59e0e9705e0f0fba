//! What the libraries define and want, read from the files.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use object::{
    Object as _, ObjectSymbol as _, elf,
    read::archive::ArchiveFile,
    read::elf::{ElfFile, FileHeader},
};

/// What the core may want: the linker makes these, and arm's tables name those, which come with the compiler.
const FROM_THE_LINKER: &[&str] = &[
    "_GLOBAL_OFFSET_TABLE_",
    ".TOC.",
    "__start_stackgate_text",
    "__stop_stackgate_text",
    "__exidx_start",
    "__exidx_end",
    "__aeabi_unwind_cpp_pr0",
    "__aeabi_unwind_cpp_pr1",
];

/// The exports of an archive, and that the core wants nothing; how long the archive is.
pub fn archive(place: &Path, name: &str, exports: &[String], libc: bool) -> Result<usize> {
    let path = place.join(format!("lib/lib{name}.a"));
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut objects = 0;
    for member in ArchiveFile::parse(&*bytes)?.members() {
        let file = object::File::parse(member?.data(&*bytes)?)?;
        objects += 1;
        let named = |wanted: bool| {
            let symbols = file.symbols().filter(move |s| s.is_global() && s.is_undefined() == wanted);
            symbols.filter_map(|s| s.name().ok().map(str::to_owned)).collect::<BTreeSet<_>>()
        };
        same(&named(false), exports).with_context(|| path.display().to_string())?;
        let wanted = named(true);
        let foreign: Vec<_> =
            wanted.iter().filter(|name| !FROM_THE_LINKER.contains(&name.as_str())).collect();
        ensure!(
            libc || foreign.is_empty(),
            "{} wants {foreign:?}: the core asks for nothing",
            path.display()
        );
        let heap = ["malloc", "calloc", "realloc"].map(|name| name.to_owned());
        ensure!(heap.iter().all(|name| !wanted.contains(name)), "{} asks for another heap", path.display());
    }
    ensure!(objects == 1, "{} is {objects} objects, not one", path.display());
    Ok(bytes.len())
}

/// The exports of a shared library, its name, and what it needs.
pub fn shared(place: &Path, name: &str, exports: &[String], libc: bool) -> Result<()> {
    let path = place.join(format!("lib/lib{name}.so"));
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes)?;
    let mut defined = BTreeSet::new();
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_definition() && symbol.is_global()) {
        defined.insert(symbol.name()?.to_owned());
    }
    // The version itself is a symbol, absolute.
    defined.retain(|name| !name.starts_with("STACKGATE_"));
    same(&defined, exports).with_context(|| path.display().to_string())?;
    let dynamic = match &file {
        object::File::Elf32(file) => Dynamic::of(file)?,
        object::File::Elf64(file) => Dynamic::of(file)?,
        _ => bail!("{} is no ELF file", path.display()),
    };
    let version = super::VERSION;
    ensure!(
        dynamic.soname == format!("lib{name}.so.{version}"),
        "{} calls itself {:?}",
        path.display(),
        dynamic.soname
    );
    // arm's tables name functions of that one.
    let foreign: Vec<_> = dynamic.needed.iter().filter(|name| !name.starts_with("libgcc_s")).collect();
    ensure!(libc || foreign.is_empty(), "{} needs {foreign:?}", path.display());
    ensure!(!dynamic.relocates_text, "{} has its code changed when it is loaded", path.display());
    ensure!(
        thread_offsets(&file) > 0
            && file.dynamic_symbols().all(|s| !s.name().unwrap_or_default().contains("tls_get_")),
        "{} does not find its thread-local word by the initial-exec model",
        path.display()
    );
    Ok(())
}

/// What the dynamic section says.
#[derive(Default)]
struct Dynamic {
    soname: String,
    needed: Vec<String>,
    relocates_text: bool,
}

impl Dynamic {
    fn of<E: FileHeader>(file: &ElfFile<'_, E>) -> Result<Self> {
        let mut found = Self::default();
        let table = file.elf_dynamic_table()?;
        for entry in table.iter() {
            let text = || table.string(entry).map(|text| String::from_utf8_lossy(text).into_owned());
            match entry.tag {
                elf::DT_SONAME => found.soname = text()?,
                elf::DT_NEEDED => found.needed.push(text()?),
                elf::DT_TEXTREL => found.relocates_text = true,
                _ => {}
            }
        }
        Ok(found)
    }
}

/// What the loader puts where the code reads how far from the thread pointer the current g is: the initial-exec model.
const THREAD_OFFSETS: [elf::RelocationType; 6] = [
    elf::R_386_TLS_TPOFF,
    elf::R_X86_64_TPOFF64,
    elf::R_ARM_TLS_TPOFF32,
    elf::R_AARCH64_TLS_TPREL,
    elf::R_PPC64_TPREL64,
    elf::R_390_TLS_TPOFF,
];

/// How many words of thread-local memory the loader finds a place for.
fn thread_offsets(file: &object::File<'_>) -> usize {
    let relocations = file.dynamic_relocations().into_iter().flatten();
    let is_offset = |relocation: &object::Relocation| matches!(relocation.flags(), object::RelocationFlags::Elf { r_type } if THREAD_OFFSETS.contains(&r_type));
    relocations.filter(|(_, relocation)| is_offset(relocation)).count()
}

/// Whether exactly these are exported.
fn same(found: &BTreeSet<String>, exports: &[String]) -> Result<()> {
    let wanted: BTreeSet<_> = exports.iter().cloned().collect();
    let more: Vec<_> = found.difference(&wanted).collect();
    let missing: Vec<_> = wanted.difference(found).collect();
    ensure!(more.is_empty() && missing.is_empty(), "exports {more:?} too, and not {missing:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_more_or_less_is_found() {
        let found: BTreeSet<_> = ["a", "b"].map(str::to_owned).into();
        assert!(same(&found, &["b".to_owned(), "a".to_owned()]).is_ok());
        assert!(same(&found, &["a".to_owned()]).is_err());
        assert!(same(&found, &["a", "b", "c"].map(str::to_owned)).is_err());
    }
}

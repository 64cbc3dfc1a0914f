//! Computes, from the names of the entries and from the `.dist-info` folder, the paths at which pip installs
//! the files of a wheel (PEP 427, "Binary distribution format"). Nothing is installed.
//!
//! The field `Root-Is-Purelib` selects one of two installation folders. These folders are identical on almost
//! every system, and both are on the import path on all other systems. The field is therefore ignored, and
//! two entries that differ only in the folder are treated as duplicates.

use std::collections::{BTreeMap, BTreeSet};

/// Ending of the folder with a distribution's metadata.
const INFO_FOLDER_SUFFIX: &str = ".dist-info";
/// Ending of the folder with one subfolder for each installation scheme.
const DATA_FOLDER_SUFFIX: &str = ".data";
/// Schemes whose files are installed on the import path.
const LIBRARY_SCHEMES: [&str; 2] = ["purelib", "platlib"];
/// Schemes whose files are not installed on the import path. Files of these schemes get paths of the format
/// `.data/SCHEME/PATH`. No file on the import path has such a path.
const NON_LIBRARY_SCHEMES: [&str; 3] = ["scripts", "headers", "data"];
const SCRIPTS_SCHEME: &str = "scripts";
/// Highest major version of the format that this module and pip support.
const MAX_WHEEL_MAJOR_VERSION: u32 = 1;
/// Maximum length of a file's name on the systems where wheels are installed.
const MAX_FILE_NAME_BYTES: usize = 255;

/// Files of an installed wheel.
pub(super) struct WheelTree {
    /// Installed paths, relative to the root of the import path, each with the name of the archive's entry.
    pub(super) entries: BTreeMap<String, String>,
    /// Paths at which more than one entry is installed. pip keeps the last entry; other installers reject
    /// such a wheel.
    pub(super) duplicate_paths: BTreeSet<String>,
}

/// Reason why pip or Truing refuses a wheel.
pub(super) struct WheelFault {
    /// Name of the entry.
    pub(super) entry: String,
    /// Description of the fault, which follows the entry's name in a sentence.
    pub(super) reason: &'static str,
}

impl WheelFault {
    fn new(entry: &str, reason: &'static str) -> Self {
        Self { entry: entry.to_owned(), reason }
    }
}

/// Errors in computing the tree.
pub(super) enum WheelFailure<E> {
    /// The wheel is invalid.
    Fault(WheelFault),
    /// An entry cannot be read.
    Read(E),
}

impl<E> From<WheelFault> for WheelFailure<E> {
    fn from(fault: WheelFault) -> Self {
        Self::Fault(fault)
    }
}

impl WheelTree {
    /// Computes the installed paths. `names` contains the names of the entries in the order of the archive.
    /// `read` returns the bytes of an entry.
    pub(super) fn from_entries<E>(
        names: &[String],
        mut read: impl FnMut(&str) -> Result<Vec<u8>, E>,
    ) -> Result<Self, WheelFailure<E>> {
        let info = find_info_folder(names)?;
        let mut text = |file: &str, is_needed: bool| -> Result<String, WheelFailure<E>> {
            let name = format!("{info}/{file}");
            if !names.contains(&name) {
                return if is_needed {
                    Err(WheelFault::new(&name, "is missing").into())
                } else {
                    Ok(String::new())
                };
            }
            let bytes = read(&name).map_err(WheelFailure::Read)?;
            match std::str::from_utf8(&bytes) {
                Ok(text) => Ok(text.to_owned()),
                // Only the beginning of a long file is read, and the last character of this beginning may be
                // incomplete.
                Err(error) if error.error_len().is_none() => {
                    Ok(String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default())
                        .into_owned())
                }
                Err(_) => Err(WheelFault::new(&name, "is not UTF-8").into()),
            }
        };
        let (wheel, metadata) = (text("WHEEL", true)?, text("METADATA", true)?);
        let (_record, entry_points) = (text("RECORD", true)?, text("entry_points.txt", false)?);
        let version = header_field(&wheel, "Wheel-Version").and_then(|version| {
            version.split('.').map(|part| part.trim().parse::<u32>().ok()).collect::<Option<Vec<_>>>()
        });
        if version
            .and_then(|version| version.first().copied())
            .is_none_or(|major| major > MAX_WHEEL_MAJOR_VERSION)
        {
            return Err(WheelFault::new(
                &format!("{info}/WHEEL"),
                "has a wheel version that pip does not install",
            )
            .into());
        }
        let name = header_field(&metadata, "Name").filter(|name| !name.is_empty()).map(canonical_name);
        if !name.is_some_and(|name| canonical_name(info).starts_with(&name)) {
            return Err(
                WheelFault::new(&format!("{info}/METADATA"), "belongs to another distribution").into()
            );
        }
        Ok(place_files(names, info, &generated_scripts(&entry_points))?)
    }
}

/// Returns the name of the metadata folder. Returns an error if there is no such folder or more than one.
fn find_info_folder(names: &[String]) -> Result<&str, WheelFault> {
    let tops: BTreeSet<&str> =
        names.iter().map(|name| top_folder(name)).filter(|top| top.ends_with(INFO_FOLDER_SUFFIX)).collect();
    let mut tops = tops.into_iter();
    match (tops.next(), tops.next()) {
        (Some(info), None) => Ok(info),
        (Some(_), Some(other)) => Err(WheelFault::new(other, "is a second metadata folder")),
        (None, _) => Err(WheelFault::new(INFO_FOLDER_SUFFIX, "is missing")),
    }
}

/// Returns the text before the first slash.
fn top_folder(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// Returns a distribution's name in normalised form (PEP 503).
fn canonical_name(name: &str) -> String {
    let words = name.split(['-', '_', '.']);
    // Separators at the beginning or end become one `-` and are not removed, because pip includes them in
    // comparisons.
    let mut text = String::new();
    for (at, word) in words.enumerate() {
        if at > 0 && !text.ends_with('-') {
            text.push('-');
        }
        text.push_str(&word.to_lowercase());
    }
    text
}

/// Returns the value of the first header field with this name.
fn header_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().take_while(|line| !line.is_empty());
    let fields = lines.filter(|line| !line.starts_with([' ', '\t'])).map_while(|line| line.split_once(':'));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// Returns the names of the scripts that installers generate.
fn generated_scripts(entry_points: &str) -> BTreeSet<&str> {
    let mut counts = false;
    let mut names = BTreeSet::new();
    for line in entry_points.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            counts = matches!(section, "console_scripts" | "gui_scripts");
        } else if let (true, Some((name, _))) = (counts, line.split_once('=')) {
            names.insert(name.trim());
        }
    }
    names
}

/// Returns true if the installer generates a script in place of this file.
fn is_generated_script(path: &str, generated_scripts: &BTreeSet<&str>) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_ascii_lowercase();
    let end = [".exe", "-script.py", ".pya"].into_iter().find(|end| lower.ends_with(end));
    let stem = end.and_then(|end| name.get(..name.len() - end.len())).unwrap_or(name);
    generated_scripts.contains(stem)
}

/// Assigns the installed paths in the order in which pip writes files: first the files at the root, then
/// those in `.data`, and finally the scripts. If several files have the same path, pip keeps the last one.
fn place_files(
    names: &[String],
    info_folder: &str,
    generated_scripts: &BTreeSet<&str>,
) -> Result<WheelTree, WheelFault> {
    let mut files = Vec::new();
    for name in names.iter().filter(|name| !name.ends_with('/')) {
        let place = place_entry(name, info_folder).map_err(|reason| WheelFault::new(name, reason))?;
        if !(place.write_order == WriteOrder::Script && is_generated_script(&place.path, generated_scripts)) {
            files.push((place, name));
        }
    }
    files.sort_by_key(|(place, _)| place.write_order);
    let mut tree = WheelTree { entries: BTreeMap::new(), duplicate_paths: BTreeSet::new() };
    for (place, name) in files {
        if tree.entries.insert(place.path.clone(), name.clone()).is_some() {
            tree.duplicate_paths.insert(place.path);
        }
    }
    for (path, name) in &tree.entries {
        let mut folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        if folders.any(|folder| tree.entries.contains_key(folder)) {
            return Err(WheelFault::new(name, "is in a folder that is also a file"));
        }
    }
    Ok(tree)
}

/// Groups of files in the order in which pip writes them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WriteOrder {
    Root,
    Data,
    Script,
}

struct InstalledEntryPath {
    path: String,
    write_order: WriteOrder,
}

/// Returns the path at which an entry is installed. Empty components and `.` components of the entry's name
/// are ignored.
fn place_entry(name: &str, info_folder: &str) -> Result<InstalledEntryPath, &'static str> {
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.iter().any(|part| part.len() > MAX_FILE_NAME_BYTES) {
        return Err("has a name that is too long for a file");
    }
    let (folder, is_data) = (top_folder(name), top_folder(name).ends_with(DATA_FOLDER_SUFFIX));
    match parts.as_slice() {
        [] => Err("has no name"),
        [first, ..] if !is_data && first.ends_with(DATA_FOLDER_SUFFIX) => {
            Err("is in a folder that different installers handle differently")
        }
        _ if !is_data => Ok(InstalledEntryPath { path: parts.join("/"), write_order: WriteOrder::Root }),
        [_, scheme, _, ..] => {
            let own = |name: &str, end: &str| canonical_name(name.strip_suffix(end).unwrap_or(name));
            let rest = parts.get(2..).unwrap_or_default().join("/");
            if own(folder, DATA_FOLDER_SUFFIX) != own(info_folder, INFO_FOLDER_SUFFIX) {
                Err("is in a folder of another distribution")
            } else if LIBRARY_SCHEMES.contains(scheme) {
                Ok(InstalledEntryPath { path: rest, write_order: WriteOrder::Data })
            } else if NON_LIBRARY_SCHEMES.contains(scheme) {
                let write_order =
                    if *scheme == SCRIPTS_SCHEME { WriteOrder::Script } else { WriteOrder::Data };
                Ok(InstalledEntryPath { path: format!("{DATA_FOLDER_SUFFIX}/{scheme}/{rest}"), write_order })
            } else {
                Err("belongs to an unknown installation scheme")
            }
        }
        [..] => Err("belongs to no installation scheme"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of_entry(name: &str) -> Result<String, &'static str> {
        place_entry(name, "a_b-1.0.dist-info").map(|place| place.path)
    }

    #[test]
    fn a_file_is_placed_as_pip_places_it() {
        for (name, path) in [
            ("p/m.py", "p/m.py"),
            ("./p/.//m.py", "p/m.py"),
            ("a_b-1.0.data/purelib/p/m.py", "p/m.py"),
            ("A.B-1.0.data/./platlib//p/m.py", "p/m.py"),
            ("a_b-1.0.data/scripts/run", ".data/scripts/run"),
            ("a_b-1.0.data/data/share/x", ".data/data/share/x"),
            ("p/a_b-1.0.data/purelib/m.py", "p/a_b-1.0.data/purelib/m.py"),
        ] {
            assert_eq!(place_of_entry(name), Ok(path.to_owned()), "{name}");
        }
        for name in [
            "./a_b-1.0.data/purelib/p/m.py",
            "a_b-1.1.data/purelib/p/m.py",
            "other-1.0.data/purelib/p/m.py",
            ".data/purelib/p/m.py",
            "a_b-1.0.data/library/p/m.py",
            "a_b-1.0.data/m.py",
            "./.",
        ] {
            assert!(place_of_entry(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_of_distributions_have_one_spelling() {
        assert_eq!(canonical_name("Zope.Interface_x--Y"), "zope-interface-x-y");
        assert_ne!(canonical_name("ab"), canonical_name("a-b"));
    }

    #[test]
    fn a_script_that_an_entry_point_names_is_the_installers() {
        let names = generated_scripts(
            "[a]\nno = x\n[console_scripts]\n# not = x\nrun=p:f\n[gui_scripts]\nshow = p:g\n",
        );
        assert_eq!(names, BTreeSet::from(["run", "show"]));
        assert!(
            is_generated_script(".data/scripts/run", &names)
                && is_generated_script("x/run-script.py", &names)
        );
        assert!(!is_generated_script("x/run.py", &names));
    }
}

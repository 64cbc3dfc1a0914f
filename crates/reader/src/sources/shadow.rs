//! Finds files of a release that Python may run in place of the compared files. If a release contains such a
//! file, equal sources do not prove that the code behaves equally. These files are native modules and
//! bytecode next to a source, and packages next to a module with the same name. A second entry for the same
//! path is also such a file, even if the case of its path differs. Code that runs at every start of Python
//! also counts as such a file.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization as _;

use super::archive::{ArchiveContent, ArchiveFormat};

/// Endings of native modules: on Linux and macOS, on Windows, and on iOS.
const NATIVE_MODULE_EXTENSIONS: [&str; 3] = [".so", ".pyd", ".fwork"];
/// Name of the file with a package's own code.
const PACKAGE_INIT_MODULE: &str = "__init__";
/// Modules that Python imports at every start, if they exist.
const STARTUP_MODULES: [&str; 2] = ["sitecustomize", "usercustomize"];
/// Endings of the files at the root of the import path whose lines run at every start of Python.
const STARTUP_FILE_EXTENSIONS: [&str; 2] = [".pth", ".start"];
/// Names of folders on the import path. A file that the scheme `data` installs in such a folder may replace a
/// file of another scheme.
const IMPORT_PATH_FOLDERS: [&str; 2] = ["site-packages", "dist-packages"];

/// Kind of file that contains a module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ModuleFileKind {
    Source,
    Native,
    /// Bytecode outside of `__pycache__`. Python imports it only if the folder contains no source for the
    /// module.
    Bytecode,
    /// Bytecode in `__pycache__`, which Python may run in place of the source.
    Cache,
}

struct ModuleFile<'a> {
    file_kind: ModuleFileKind,
    path: &'a str,
}

/// Returns the path of a native module, without the platform in the name. Returns `None` if the file is not a
/// native module.
pub(super) fn native_module_path(path: &str) -> Option<String> {
    let (base, form) = parse_module_path(path)?;
    (form == ModuleFileKind::Native).then(|| format!("{base}.so"))
}

/// Returns the module of a file, as a path without an ending.
fn parse_module_path(path: &str) -> Option<(String, ModuleFileKind)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let at = |folder: &str, name: &str| {
        if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
    };
    let lower = name.to_lowercase();
    let stem = name.split('.').next().unwrap_or(name);
    if NATIVE_MODULE_EXTENSIONS.iter().any(|end| lower.ends_with(end)) {
        Some((at(folder, stem), ModuleFileKind::Native))
    } else if lower.ends_with(".pyc") {
        let parent = folder.strip_suffix("__pycache__").filter(|up| up.is_empty() || up.ends_with('/'));
        Some(match parent {
            Some(up) => (at(up.trim_end_matches('/'), stem), ModuleFileKind::Cache),
            None => (at(folder, stem), ModuleFileKind::Bytecode),
        })
    } else if lower.ends_with(".py") || lower.ends_with(".pyw") {
        Some((at(folder, stem), ModuleFileKind::Source))
    } else {
        None
    }
}

/// Returns a normalised path. Paths that a file system may treat as the same path have equal normalised
/// paths. Such paths differ in case, in Unicode normalisation, or in characters that Windows removes from the
/// end of a name.
fn fold_path(path: &str) -> String {
    let part = |part: &str| {
        let part = part.split(':').next().unwrap_or(part).trim_end_matches(['.', ' ']);
        part.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>()
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Files of a release by path and by module.
struct WheelFiles<'a> {
    by_path: BTreeMap<String, Vec<&'a str>>,
    by_module: BTreeMap<String, Vec<ModuleFile<'a>>>,
}

impl<'a> WheelFiles<'a> {
    fn from_paths(paths: &'a BTreeSet<String>) -> Self {
        let mut files = Self { by_path: BTreeMap::new(), by_module: BTreeMap::new() };
        for path in paths {
            files.by_path.entry(fold_path(path)).or_default().push(path);
            if let Some((base, form)) = parse_module_path(path) {
                files
                    .by_module
                    .entry(fold_path(&base))
                    .or_default()
                    .push(ModuleFile { file_kind: form, path });
            }
        }
        files
    }

    fn files_at_path(&self, path: &str) -> impl Iterator<Item = &'a str> {
        self.by_path.get(&fold_path(path)).into_iter().flatten().copied().filter(move |other| *other != path)
    }

    fn modules_at(&self, module_path: &str) -> impl Iterator<Item = &ModuleFile<'a>> {
        self.by_module.get(&fold_path(module_path)).into_iter().flatten()
    }

    /// Returns the files that Python may run in place of this source. The source must exist in the release.
    fn files_preceding_source(&self, module_path: &str, path: &str) -> impl Iterator<Item = &'a str> {
        let is_other = move |one: &&ModuleFile<'a>| match one.file_kind {
            ModuleFileKind::Native | ModuleFileKind::Cache => true,
            ModuleFileKind::Source => one.path != path,
            ModuleFileKind::Bytecode => false,
        };
        self.modules_at(module_path).filter(is_other).map(|one| one.path)
    }

    /// Returns all files that Python imports under this name.
    fn importable_files(&self, module_path: &str) -> impl Iterator<Item = &'a str> {
        self.modules_at(module_path).filter(|one| one.file_kind != ModuleFileKind::Cache).map(|one| one.path)
    }
}

/// Returns the files that Python may run in place of the files at the compared paths. A compared path that
/// does not exist in this release may exist in the other release.
pub(super) fn find_shadowing_files(
    content: &ArchiveContent,
    format: ArchiveFormat,
    compared_paths: &BTreeSet<String>,
) -> BTreeSet<String> {
    let files = WheelFiles::from_paths(&content.paths);
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for path in compared_paths {
        found.extend(content.duplicate_paths.get(path).map(String::as_str));
        found.extend(files.files_at_path(path));
        let Some((base, ModuleFileKind::Source)) = parse_module_path(path) else { continue };
        if content.paths.contains(path) {
            found.extend(files.files_preceding_source(&base, path));
        } else {
            found.extend(files.modules_at(&base).map(|one| one.path));
        }
        if !base.ends_with(&format!("/{PACKAGE_INIT_MODULE}")) {
            found.extend(files.importable_files(&format!("{base}/{PACKAGE_INIT_MODULE}")));
        }
        for folder in path.match_indices('/').filter_map(|(at, _)| path.get(..at)) {
            let (base, init) =
                (format!("{folder}/{PACKAGE_INIT_MODULE}"), format!("{folder}/{PACKAGE_INIT_MODULE}.py"));
            if content.paths.contains(&init) {
                found.extend(content.duplicate_paths.get(&init).map(String::as_str));
                found.extend(files.files_preceding_source(&base, &init));
            } else {
                found.extend(files.importable_files(&base).chain(files.importable_files(folder)));
            }
        }
    }
    if format == ArchiveFormat::Wheel {
        found.extend(content.paths.iter().map(String::as_str).filter(|path| runs_in_every_install(path)));
    }
    found.into_iter().map(str::to_owned).collect()
}

/// Returns true if this file of a wheel runs, or is on the import path, wherever the wheel is installed.
fn runs_in_every_install(path: &str) -> bool {
    let folded = fold_path(path);
    let is_at_root = !folded.contains('/');
    let is_start_file = is_at_root && STARTUP_FILE_EXTENSIONS.iter().any(|end| folded.ends_with(end));
    let base = parse_module_path(&folded).map(|(base, _)| base).unwrap_or_default();
    let base = base.strip_suffix(&format!("/{PACKAGE_INIT_MODULE}")).unwrap_or(&base);
    let is_data = folded.starts_with(".data/data/");
    is_start_file
        || STARTUP_MODULES.contains(&base)
        || (is_data && folded.split('/').any(|part| IMPORT_PATH_FOLDERS.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_shadows_of(paths: &[&str], compared: &str) -> Vec<String> {
        let paths = paths.iter().chain([&compared]).map(|path| (*path).to_owned()).collect();
        let content = ArchiveContent { paths, ..ArchiveContent::default() };
        find_shadowing_files(&content, ArchiveFormat::Wheel, &BTreeSet::from([compared.to_owned()]))
            .into_iter()
            .collect()
    }

    #[test]
    fn what_python_imports_before_a_source_is_found() {
        for other in [
            "p/m.cpython-312-x86_64-linux-gnu.so",
            "p/m.abi3.so",
            "p/m.cp312-win_amd64.pyd",
            "p/m/__init__.py",
            "p/m/__init__.abi3.so",
            "p/__pycache__/m.cpython-312.pyc",
            "p/__init__.abi3.so",
            "p.abi3.so",
            "p.py",
            "P/m.py",
            "p/M.PY",
            "p/m.py.",
            "p/\u{ff4d}.py",
            "a.pth",
            "A.PTH",
            "sitecustomize.py",
            "usercustomize/__init__.abi3.so",
            ".data/data/lib/python3.12/site-packages/p/m.py",
        ] {
            assert_eq!(find_shadows_of(&[other], "p/m.py"), [other], "{other}");
        }
        for other in [
            "p/m2.abi3.so",
            "p/m.pyc",
            "p/a.pth",
            "q/m/__init__.py",
            "p/sitecustomize.py",
            ".data/data/share/m.py",
        ] {
            assert_eq!(find_shadows_of(&[other], "p/m.py"), [""; 0], "{other}");
        }
        // A package with its own file takes precedence over modules with the same name.
        assert_eq!(find_shadows_of(&["p/__init__.py", "p.abi3.so", "p.py"], "p/m.py"), [""; 0]);
    }
}

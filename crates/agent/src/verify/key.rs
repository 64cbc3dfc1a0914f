//! Computes the key under which a setup's result is cached. Setups with the same lock files, commands and
//! programs have the same key.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::VerifyPlan;
use crate::sandbox::SYSTEM_PATH;

/// Version of the cache entries' format and of the sandbox for setups. Increase it when either of them
/// changes.
const CACHE_FORMAT_VERSION: u32 = 1;
/// Names of files that decide which packages are installed. Such files are part of the key in every folder of
/// the tree.
const LOCK_FILE_NAMES: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "bun.lock",
    "bun.lockb",
    ".npmrc",
    "uv.lock",
    "uv.toml",
    "poetry.lock",
    "pdm.lock",
    "Pipfile",
    "Pipfile.lock",
    "pylock.toml",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "rust-toolchain",
    "rust-toolchain.toml",
    ".python-version",
    ".nvmrc",
    ".pre-commit-config.yaml",
];
/// Words that identify Python requirement lists, in the names of the files or of their folders.
const REQUIREMENT_LIST_NAMES: [&str; 2] = ["requirements", "constraints"];
/// Extensions of Python requirement lists.
const REQUIREMENT_LIST_EXTENSIONS: [&str; 2] = ["txt", "in"];

/// Returns the key of a setup, in hexadecimal.
///
/// # Errors
/// An I/O error of a file that cannot be read.
pub(super) fn setup_key(tree: &Path, plan: &VerifyPlan) -> io::Result<String> {
    // Links are resolved, because the path of a temporary folder may contain one.
    let tree = &tree.canonicalize()?;
    let mut key = KeyHasher(Sha256::new());
    key.add(&CACHE_FORMAT_VERSION.to_le_bytes());
    for argv in &plan.setup {
        key.add_list(argv);
        key.add_program(argv.first().map_or("", String::as_str), plan)?;
    }
    for (name, value) in &plan.registries.environment {
        key.add_list(&[name, value]);
    }
    for (path, text) in &plan.registries.files {
        key.add_list(&[*path, text]);
    }
    for path in key_files(tree, plan)? {
        key.add(path.strip_prefix(tree).unwrap_or(&path).as_os_str().as_encoded_bytes());
        key.add_file(&path)?;
    }
    Ok(hex::encode(key.0.finalize()))
}

struct KeyHasher(Sha256);

impl KeyHasher {
    /// Hashes the length of a part, and then the part. Without the lengths, different lists of parts could
    /// have the same hash.
    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn add_list(&mut self, parts: &[impl AsRef<str>]) {
        self.add(&(parts.len() as u64).to_le_bytes());
        for word in parts {
            self.add(word.as_ref().as_bytes());
        }
    }

    fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let mut hash = Sha256::new();
        io::copy(&mut File::open(path)?, &mut HashWriter(&mut hash))?;
        self.add(&hash.finalize());
        Ok(())
    }

    /// Hashes the path, size and modification time of a program's file, which together identify the program's
    /// version.
    fn add_program(&mut self, name: &str, plan: &VerifyPlan) -> io::Result<()> {
        let own = plan.program_folders.iter().flat_map(|folder| [folder.join("bin"), folder.clone()]);
        let mut folders = own.chain(SYSTEM_PATH.split(':').map(PathBuf::from));
        let found =
            folders.find_map(|folder| folder.join(name).canonicalize().ok().filter(|file| file.is_file()));
        let Some(file) = found.filter(|_| !name.contains('/')) else { return Ok(()) };
        let is = file.metadata()?;
        self.add(file.as_os_str().as_encoded_bytes());
        for number in [is.len(), is.mtime().unsigned_abs(), is.mtime_nsec().unsigned_abs()] {
            self.add(&number.to_le_bytes());
        }
        Ok(())
    }
}

/// An adapter that hashes the bytes written to it.
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the files whose content is part of the key, sorted: files that decide which packages are
/// installed, and files that the setup's commands name.
fn key_files(tree: &Path, plan: &VerifyPlan) -> io::Result<Vec<PathBuf>> {
    let words = plan.setup.iter().flatten();
    // A file in a command has one of these forms: `--requirement=dev.in`, `-rdev.in` or `dev.in`.
    let named = words.flat_map(|word| {
        let behind_a_flag = word.strip_prefix('-').and_then(|word| word.get(1..));
        [Some(word.as_str()), word.split_once('=').map(|(_, value)| value), behind_a_flag]
    });
    let mut files: Vec<PathBuf> =
        named.flatten().map(|word| tree.join(word)).filter(|path| is_regular_file_in(tree, path)).collect();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() && affects_setup(&entry.path()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// Returns true if the path leads to a regular file in the tree and contains no link.
fn is_regular_file_in(tree: &Path, path: &Path) -> bool {
    path.is_file() && path.canonicalize().is_ok_and(|real| real == path && real.starts_with(tree))
}

/// Returns true if a file with this name decides which packages are installed. Such files are lock files,
/// lists of requirements and build descriptions.
pub fn affects_setup(path: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let is_list = |path: Option<&Path>| {
        let name = path.and_then(name).unwrap_or_default();
        REQUIREMENT_LIST_NAMES.iter().any(|list| name.contains(list))
    };
    let ends = path
        .extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| REQUIREMENT_LIST_EXTENSIONS.contains(&end));
    name(path).is_some_and(|name| LOCK_FILE_NAMES.contains(&name.as_str()))
        || ends && (is_list(Some(path)) || is_list(path.parent()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_what_decides_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            std::fs::write(tree.join(name), text).unwrap();
        };
        let mut plan = VerifyPlan::default();
        let setup = |words: &[&str]| vec![words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()];
        plan.setup = setup(&["sh", "tools/setup.sh", "--list=dev.in"]);
        write("uv.lock", "1");
        let mut keys = vec![setup_key(&tree, &plan).unwrap()];
        // These files do not affect the key.
        write("src/main.py", "1");
        write(".git/Cargo.lock", "1");
        write("notes.txt", "1");
        assert_eq!(setup_key(&tree, &plan).unwrap(), keys[0]);
        for (name, text) in [
            ("uv.lock", "2"),
            ("web/package-lock.json", "1"),
            ("requirements-dev.txt", "1"),
            ("requirements/test.in", "1"),
            ("tools/setup.sh", "1"),
            ("dev.in", "1"),
        ] {
            write(name, text);
            keys.push(setup_key(&tree, &plan).unwrap());
        }
        for changed in [
            setup(&["sh", "tools/setup.sh"]),
            setup(&["sh", "-e", "tools/setup.sh"]),
            [setup(&["sh"]), setup(&["-e"])].concat(),
            setup(&["true"]),
        ] {
            plan.setup = changed;
            keys.push(setup_key(&tree, &plan).unwrap());
        }
        plan.registries.environment = vec![("PIP_INDEX_URL".to_owned(), "https://example.org".to_owned())];
        keys.push(setup_key(&tree, &plan).unwrap());
        plan.registries.files = vec![(".cargo/config.toml", "[source]".to_owned())];
        keys.push(setup_key(&tree, &plan).unwrap());
        let mut different = keys.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), keys.len());
    }
}

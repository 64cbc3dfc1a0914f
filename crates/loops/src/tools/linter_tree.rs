//! Computes digests of the states of files, for linters that inspect each file separately. A linter's
//! findings in a file can be reused as long as the file's state is unchanged.
//!
//! A state covers the file's bytes, the configuration files that apply to the file, and all files that the
//! configuration names. For some linters, it also covers the names of neighbouring files. The bytes of a
//! configuration file are searched for names of files, without parsing. Symbolic links are not followed. If
//! the state of a file is uncertain, the linter always inspects the file again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use regex::bytes::{Regex, RegexBuilder};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use truing_diff::RepoPath;
use truing_reader::output::known::KnownTool;
use truing_reader::{FileOpenError, FileTree, MAX_FILE_BYTES, open_regular};

/// Maximum number of bytes of a configuration file.
pub(super) const MAX_CONFIGURATION_BYTES: usize = 1 << 20;
/// Maximum number of words in a file that are treated as possible names of other files.
const MAX_CANDIDATE_NAMES: usize = 20_000;
/// Maximum number of bytes of a word that is treated as a possible file name.
const MAX_CANDIDATE_NAME_BYTES: usize = 300;
/// Maximum number of files that a configuration names, directly or through other named files.
pub(super) const MAX_NAMED_FILES: usize = 500;
/// Maximum number of names in a folder. If a folder has more names, its state counts as unknown.
const MAX_FOLDER_ENTRIES: usize = 20_000;
/// Maximum number of bytes of a compiled regular expression.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// Extensions of the files that are searched for names of other files.
pub(super) const SEARCHED_EXTENSIONS: &[&str] =
    &["toml", "ini", "cfg", "conf", "yml", "yaml", "json", "jsonc", "rc"];

/// A digest of a state; equal digests mean equal findings.
pub(super) type StateDigest = [u8; 32];
/// A value, or `None` if the value is uncertain.
type CertainOption<T> = Option<T>;

/// A folder with files, and the states of the linter's options, configuration files and folders.
pub(super) struct LinterTree<'a> {
    tree: FileTree,
    root: &'a Path,
    known_tool: &'a KnownTool,
    joint_analysis_pattern: Option<Regex>,
    /// The state of the files that the options name.
    options_state: CertainOption<StateDigest>,
    /// The state of the linter's configuration files in each folder, as far as computed.
    configuration_states: BTreeMap<String, CertainOption<StateDigest>>,
    /// The state of the names of files and folders in each folder, as far as computed.
    folder_name_states: BTreeMap<String, CertainOption<StateDigest>>,
}

impl<'a> LinterTree<'a> {
    /// Opens the folder `root` for this linter. `options` are the linter's options, and paths in them are
    /// relative to `folder`. Returns `None` if the linter analyses several files together, or if the folder
    /// cannot be opened.
    pub(super) fn new(
        root: &'a Path,
        known_tool: &'a KnownTool,
        options_state: &[String],
        folder: &str,
    ) -> Option<Self> {
        if known_tool.config_file_names.is_empty() {
            return None;
        }
        let compiled =
            |text: &String| RegexBuilder::new(text).multi_line(true).size_limit(MAX_REGEX_BYTES).build();
        let joint_pattern = known_tool.together.as_ref().map(compiled).transpose().ok()?;
        let (configured, names) = (BTreeMap::new(), BTreeMap::new());
        let tree = FileTree::open(root).ok()?;
        let mut alone = Self {
            tree,
            root,
            known_tool,
            joint_analysis_pattern: joint_pattern,
            options_state: None,
            configuration_states: configured,
            folder_name_states: names,
        };
        alone.options_state = alone.options_digest(options_state, folder);
        Some(alone)
    }

    /// Returns the state of a file.
    pub(super) fn file_state(&mut self, path: &str) -> CertainOption<StateDigest> {
        let PathContent::File { bytes, is_executable: is_program } = self.open_path(path, MAX_FILE_BYTES)
        else {
            return None;
        };
        if self.configures_joint_analysis(&bytes) {
            return None;
        }
        let mut parts = DigestBuilder::default();
        parts.add(path.as_bytes()).add(&[u8::from(is_program)]).add(&bytes).add(&self.options_state?);
        for folder in parent_folders(path) {
            parts.add(&self.configuration_state(folder)?);
            if !self.known_tool.related_folders.is_empty() {
                parts.add(&self.folder_names_state(folder)?);
            }
        }
        for folder in &self.known_tool.related_folders {
            parts.add(&self.folder_names_state(folder)?);
        }
        Some(parts.into_state())
    }

    /// Returns the state of the files that the linter's options name. None if an option makes the linter
    /// analyse several files together.
    fn options_digest(&self, options: &[String], folder: &str) -> CertainOption<StateDigest> {
        let (mut parts, mut named) = (DigestBuilder::default(), BTreeSet::new());
        for option in options {
            if self.configures_joint_analysis(option.as_bytes()) {
                return None;
            }
            self.add_named_files(option.as_bytes(), folder, &mut named, &mut parts)?;
        }
        Some(parts.into_state())
    }

    /// Returns the state of the linter's configuration files in a folder, and of the files that these
    /// configuration files name.
    fn configuration_state(&mut self, folder: &str) -> CertainOption<StateDigest> {
        if let Some(known) = self.configuration_states.get(folder) {
            return *known;
        }
        let state = self.digest_configuration(folder);
        self.configuration_states.insert(folder.to_owned(), state);
        state
    }

    fn digest_configuration(&self, folder: &str) -> CertainOption<StateDigest> {
        let (mut parts, mut named) = (DigestBuilder::default(), BTreeSet::new());
        for name in &self.known_tool.config_file_names {
            let path = join_name(folder, name);
            let bytes = match self.open_path(&path, MAX_CONFIGURATION_BYTES as u64) {
                PathContent::File { bytes, .. } if !self.configures_joint_analysis(&bytes) => bytes,
                PathContent::File { .. } | PathContent::Unreadable => return None,
                PathContent::NoFile => continue,
            };
            parts.add(path.as_bytes()).add(&bytes);
            self.add_named_files(&bytes, folder, &mut named, &mut parts)?;
        }
        Some(parts.into_state())
    }

    /// Adds the files that `text` names to the digest. The names may be relative to `folder` or to the root.
    /// If an added file may itself name files, these are added, too.
    fn add_named_files(
        &self,
        text: &[u8],
        folder: &str,
        added_paths: &mut BTreeSet<String>,
        digest: &mut DigestBuilder,
    ) -> CertainOption<()> {
        let words = candidate_names(text);
        if words.len() > MAX_CANDIDATE_NAMES {
            return None;
        }
        for word in words {
            if is_existing_absolute_file(word) {
                return None;
            }
            for path in [join_inside_tree(folder, word), join_inside_tree("", word)].into_iter().flatten() {
                if added_paths.contains(&path) {
                    continue;
                }
                let bytes = match self.open_path(&path, MAX_FILE_BYTES) {
                    PathContent::File { bytes, .. } => bytes,
                    PathContent::NoFile => continue,
                    PathContent::Unreadable => return None,
                };
                digest.add(path.as_bytes()).add(&bytes);
                added_paths.insert(path.clone());
                if added_paths.len() > MAX_NAMED_FILES {
                    return None;
                }
                let (beside, name) = path.rsplit_once('/').unwrap_or(("", &path));
                if bytes.len() <= MAX_CONFIGURATION_BYTES
                    && (has_extension(name, SEARCHED_EXTENSIONS) || name.starts_with('.'))
                {
                    if self.configures_joint_analysis(&bytes) {
                        return None;
                    }
                    self.add_named_files(&bytes, beside, added_paths, digest)?;
                }
            }
        }
        Some(())
    }

    /// Returns the state of the names in a folder, including which of them are folders. The state
    /// distinguishes names of files from names of folders.
    fn folder_names_state(&mut self, folder: &str) -> CertainOption<StateDigest> {
        if let Some(known) = self.folder_name_states.get(folder) {
            return *known;
        }
        let state = self.digest_folder_names(folder);
        self.folder_name_states.insert(folder.to_owned(), state);
        state
    }

    fn digest_folder_names(&self, folder: &str) -> CertainOption<StateDigest> {
        let entries = match std::fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(StateDigest::default()),
            Err(_) => return None,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.ok()?;
            names.push((entry.file_name(), entry.file_type().ok()?.is_dir()));
            if names.len() > MAX_FOLDER_ENTRIES {
                return None;
            }
        }
        names.sort();
        let mut parts = DigestBuilder::default();
        for (name, is_folder) in &names {
            parts.add(name.as_bytes()).add(&[u8::from(*is_folder)]);
        }
        Some(parts.into_state())
    }

    fn open_path(&self, path: &str, max_bytes: u64) -> PathContent {
        let inside = RepoPath::from(path);
        match self.tree.open_folder(&inside).and_then(|(folder, name)| open_regular(&folder, name)) {
            Ok(file) => read_content(file, max_bytes).unwrap_or(PathContent::Unreadable),
            Err(FileOpenError::OsError(Errno::NOENT)) => PathContent::NoFile,
            Err(FileOpenError::Link | FileOpenError::NotRegular | FileOpenError::OsError(_)) => {
                match std::fs::symlink_metadata(self.root.join(path)) {
                    Ok(found) if !found.is_dir() => PathContent::Unreadable,
                    Ok(_) | Err(_) => PathContent::NoFile,
                }
            }
        }
    }

    fn configures_joint_analysis(&self, bytes: &[u8]) -> bool {
        self.joint_analysis_pattern.as_ref().is_some_and(|together| together.is_match(bytes))
    }
}

/// The result of opening a path of the tree.
enum PathContent {
    /// A plain file that was read.
    File {
        /// Complete content of the file.
        bytes: Vec<u8>,
        /// True if the file is executable.
        is_executable: bool,
    },
    /// There is no file: the path does not exist, or is a folder.
    NoFile,
    /// A symbolic link, or a file that is too large or cannot be read.
    Unreadable,
}

fn read_content(file: File, max_bytes: u64) -> Option<PathContent> {
    let is_program = file.metadata().ok()?.permissions().mode() & 0o111 != 0;
    let mut bytes = Vec::new();
    let read = file.take(max_bytes + 1).read_to_end(&mut bytes).ok()?;
    (read as u64 <= max_bytes).then_some(PathContent::File { bytes, is_executable: is_program })
}

/// Returns each part of a text that may be a file name. Such parts are sequences of characters that are
/// common in file names, and the text of a line after `=` or `:`.
pub(super) fn candidate_names(text: &[u8]) -> BTreeSet<&str> {
    let plain = text.split(|byte| !byte.is_ascii_alphanumeric() && !b"_-./+@~".contains(byte));
    let lines = text.split(|byte| *byte == b'\n');
    let values = lines.filter_map(|line| {
        let at = line.iter().position(|byte| matches!(byte, b'=' | b':'))?;
        line.get(at + 1..)
    });
    let is_around = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | '[' | ']');
    let words = plain.chain(values).filter(|word| (1..=MAX_CANDIDATE_NAME_BYTES).contains(&word.len()));
    let words = words.filter_map(|relative_path| std::str::from_utf8(relative_path).ok());
    words.map(|word| word.trim_matches(is_around)).filter(|word| !word.is_empty()).collect()
}

/// Returns the folders above a file, the root first.
pub(super) fn parent_folders(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    std::iter::once("").chain(ends.filter_map(|at| path.get(..at)))
}

pub(super) fn join_name(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Joins a path to a folder of the tree. `None` if the joined path would be outside of the tree.
pub(super) fn join_inside_tree(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" if parts.is_empty() => return None,
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// True if the word is the absolute path of an existing file. The state of a file that names such a file is
/// uncertain.
fn is_existing_absolute_file(word: &str) -> bool {
    word.starts_with('/') && std::fs::metadata(word).is_ok_and(|found| !found.is_dir())
}

pub(super) fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let end = Path::new(name).extension().and_then(OsStr::to_str);
    end.is_some_and(|end| extensions.contains(&end))
}

/// Builds a digest of several values. The length of each value is also part of the digest.
#[derive(Default)]
pub(super) struct DigestBuilder(Sha256);

impl DigestBuilder {
    pub(super) fn add(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn into_state(self) -> StateDigest {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use truing_reader::output::known;

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(files: &[(&str, &str)]) -> Self {
            let all = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                all.write(path, text);
            }
            all
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn state(&self, tool: &str, path: &str) -> CertainOption<StateDigest> {
            self.state_with_options(tool, &[], path)
        }

        fn state_with_options(&self, tool: &str, options: &[&str], path: &str) -> CertainOption<StateDigest> {
            let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
            LinterTree::new(self.0.path(), known::find_tool(tool).unwrap(), &options, "")?.file_state(path)
        }
    }

    #[test]
    fn a_state_is_of_the_file_and_of_what_configures_it_and_of_nothing_else() {
        let files =
            Files::new(&[("pkg/a.py", "a = 1\n"), ("pkg/b.py", ""), ("pyproject.toml", "[tool.ruff]\n")]);
        let first = files.state("ruff", "pkg/a.py").unwrap();
        assert_eq!(files.state("ruff", "pkg/a.py"), Some(first));
        assert_ne!(files.state("ruff", "pkg/b.py"), Some(first));
        files.write("pkg/b.py", "changed");
        assert_eq!(files.state("ruff", "pkg/a.py"), Some(first), "another file");
        let mut before = first;
        for (path, text) in [
            ("pkg/a.py", "a = 2\n"),
            ("pyproject.toml", "[tool.ruff]\nextend = \"lint/base.toml\"\n"),
            ("lint/base.toml", "extend = 'more.toml'\n"),
            ("lint/more.toml", "line-length = 9\n"),
            ("pkg/ruff.toml", ""),
            ("pkg/__init__.py", ""),
            ("src/own/a.py", ""),
        ] {
            files.write(path, text);
            let now = files.state("ruff", "pkg/a.py").unwrap();
            assert_ne!(now, before, "{path}");
            before = now;
        }
    }

    #[test]
    fn names_beside_count_where_the_linter_says_so() {
        let files = Files::new(&[("a.yml", "a: 1\n")]);
        let first = files.state("yamllint", "a.yml").unwrap();
        files.write("b.yml", "");
        assert_eq!(files.state("yamllint", "a.yml"), Some(first));
    }

    #[test]
    fn files_that_options_name_count() {
        let files = Files::new(&[("a.md", "teh\n"), ("lint/words", "teh\n")]);
        let options = ["--ignore-words=lint/words"];
        let first = files.state_with_options("codespell", &options, "a.md").unwrap();
        files.write("lint/words", "");
        assert_ne!(files.state_with_options("codespell", &options, "a.md"), Some(first));
    }

    #[test]
    fn a_file_outside_that_a_configuration_names_leaves_no_state() {
        let outside = tempfile::tempdir().unwrap();
        let base = outside.path().join("base.toml");
        let files = Files::new(&[("a.py", ""), ("ruff.toml", &format!("extend = \"{}\"\n", base.display()))]);
        assert!(files.state("ruff", "a.py").is_some(), "there is no such file");
        std::fs::write(&base, "").unwrap();
        assert_eq!(files.state("ruff", "a.py"), None);
        files.write("ruff.toml", "exclude = [\"/usr\"]\n");
        assert!(files.state("ruff", "a.py").is_some(), "a folder configures nothing");
        let option = format!("--config={}", base.display());
        assert_eq!(files.state_with_options("ruff", &[&option], "a.py"), None);
    }

    #[test]
    fn what_is_looked_at_with_others_has_no_state() {
        let files = Files::new(&[
            ("alone.sh", "echo resource\n"),
            ("reads.sh", "set -e; . ./lib.sh\n"),
            ("sources.sh", "source lib.sh\n"),
            ("runs.sh", "said=`. lib.sh`\n"),
            ("a.py", ""),
            ("a.md", ""),
        ]);
        assert!(files.state("shellcheck", "alone.sh").is_some());
        assert_eq!(files.state("shellcheck", "reads.sh"), None);
        assert_eq!(files.state("shellcheck", "sources.sh"), None);
        assert_eq!(files.state("shellcheck", "runs.sh"), None);
        assert_eq!(files.state_with_options("ruff", &["--config=src = ['lib']"], "a.py"), None);
        for config in ["src = [\"lib\"]\n", "tool.ruff.src=['lib']\n", "ruff = { \"src\" = [\"lib\"] }\n"] {
            files.write("pyproject.toml", "[project]\nsrcs = [\"lib\"]\n");
            assert!(files.state("ruff", "a.py").is_some());
            files.write("pyproject.toml", config);
            assert_eq!(files.state("ruff", "a.py"), None, "{config}");
        }
        assert!(files.state("flake8", "a.py").is_some());
        files.write("setup.cfg", "[flake8:local-plugins]\nextension = X = own:Check\n");
        assert_eq!(files.state("flake8", "a.py"), None);
        assert_eq!(files.state("markdownlint-cli2", "a.md"), None);
        assert_eq!(files.state("mypy", "a.py"), None);
    }

    #[test]
    fn what_is_no_plain_file_has_no_state() {
        let files = Files::new(&[("a.py", ""), ("own.toml", "")]);
        assert_eq!(files.state("ruff", "gone.py"), None);
        std::os::unix::fs::symlink("own.toml", files.0.path().join("ruff.toml")).unwrap();
        assert_eq!(files.state("ruff", "a.py"), None);
        std::fs::remove_file(files.0.path().join("ruff.toml")).unwrap();
        files.write("ruff.toml", "extend = 'base.toml' # as ruff.toml\n");
        assert!(files.state("ruff", "a.py").is_some());
        std::os::unix::fs::symlink("own.toml", files.0.path().join("base.toml")).unwrap();
        assert_eq!(files.state("ruff", "a.py"), None);
        files.write("ruff.toml", &"x".repeat(MAX_CONFIGURATION_BYTES + 1));
        assert_eq!(files.state("ruff", "a.py"), None);
    }
}

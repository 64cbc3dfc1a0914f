//! Configuration of linters in reviews by the service. The reviewed change must not influence this
//! configuration. If the change touches configuration that is data, the linter runs in a second folder with
//! the base's configuration and the head's other files. If the change touches configuration that is code, the
//! linter does not run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use truing_config::tool::ToolCondition;
use truing_core::outcome::ToolRunResult;
use truing_core::port::{ChangedFile, ToolOutput};
use truing_diff::RepoPath;
use truing_git::PrivateFolder;
use truing_reader::FileTree;
use truing_reader::output::known::{self, KnownTool, SignTarget, ToolSign, commands, hooks, pins, sign};
use truing_reader::output::tool_name;

use super::base::BaseCommit;
use super::inspected_files::inspected_files;
use super::linter_runner::LinterFiles;
use super::linter_tree::{
    MAX_CONFIGURATION_BYTES, MAX_NAMED_FILES, SEARCHED_EXTENSIONS, candidate_names, has_extension,
    join_inside_tree, join_name, parent_folders,
};
use super::select::SelectedLinter;

/// First parts of the names of tables and sections that configure no linter, in shared files. One setting in
/// these tables does affect linters: the oldest supported Python version.
const NON_LINTER_TABLES: &[&str] = &["build-system", "dependency-groups", "project", "metadata", "options"];
/// Text in the lines that set the oldest supported Python version.
const PYTHON_VERSION_TEXT: &str = "python";
/// Quotes that begin multi-line strings. A line of a multi-line string may look like the header of a table.
const MULTILINE_STRING_QUOTES: [&str; 2] = ["\"\"\"", "'''"];

/// Globs of files that configure a linter as data, in addition to the globs in the table of tools.
const EXTRA_CONFIG_GLOBS: &[(&str, &str)] = &[
    ("biome", ".gitignore"),
    ("biome-format", ".gitignore"),
    ("eslint", ".eslintignore"),
    ("isort", ".editorconfig"),
    ("oxlint", ".{eslint,oxlint}ignore"),
    ("prettier", ".editorconfig"),
    ("prettier", ".{prettier,git}ignore"),
    ("rubocop", ".rubocop_todo.yml"),
    ("semgrep", ".semgrepignore"),
    ("shfmt", ".editorconfig"),
    ("sqlfluff", ".sqlfluffignore"),
    ("stylelint", ".stylelintignore"),
    ("tsc", "tsconfig.*.json"),
];

/// The configuration files that were taken from the base, grouped by linter.
pub(crate) type BaseFilesByLinter = BTreeMap<String, BaseConfigFiles>;

/// Configuration files of a linter that the change touches. The linter used the base's versions of these
/// files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct BaseConfigFiles {
    /// All configuration files that the change touches.
    paths: BTreeSet<RepoPath>,
    /// Files of `paths` that the linter inspects in other reviews, but did not inspect in this review.
    uninspected_paths: BTreeSet<RepoPath>,
}

impl BaseConfigFiles {
    /// Adds the files in `base_folder` that were copied from the base. If `files` contains such a file, the
    /// file is recorded as not inspected.
    pub(super) fn add(&mut self, base_folder: &BaseConfigFolder<'_>, files: &[&str]) {
        self.paths.extend(base_folder.replaced_paths.iter().copied().map(RepoPath::from));
        self.uninspected_paths
            .extend(files.iter().copied().filter(|path| base_folder.is_from_base(path)).map(RepoPath::from));
    }

    /// Creates a value for one file that shows that a linter is used, or the options that it is used with.
    fn for_indicator_file(path: &str) -> Self {
        Self { paths: [RepoPath::from(path)].into(), uninspected_paths: BTreeSet::new() }
    }

    /// Adds the files that were taken from the base to the linters' results. If a linter could not inspect
    /// one of these files, all earlier findings of the linter stay open.
    pub(crate) fn record_in_runs(base_files: BaseFilesByLinter, runs: &mut [ToolRunResult]) {
        for (name, Self { paths, uninspected_paths: unseen }) in base_files {
            // A linter without a result did not run, and its earlier findings stay open for this reason.
            let Some(run) = runs.iter_mut().find(|run| run.name == name) else { continue };
            run.base_configuration = paths.into_iter().collect();
            if let (Some(path), None) = (unseen.first(), &run.keeps_open) {
                run.keeps_open = Some(format!("the linter did not read {path}, which configures the linter"));
            }
        }
    }
}

/// The changed paths of a review by the service, and the folders in which linters run with the base's
/// configuration.
#[derive(Debug)]
pub(super) struct BaseConfigOverlay<'a> {
    base: BaseCommit<'a>,
    head_folder: &'a Path,
    /// Every path that the change names.
    touched_paths: BTreeSet<&'a str>,
    changed_files: &'a [ChangedFile],
    /// The folders created so far, each with the paths of the files that were copied from the base. Linters
    /// share a folder if the same files are copied for them.
    created_folders: Vec<(BTreeSet<&'a str>, PrivateFolder)>,
}

/// A folder with the head's files, in which some configuration files are replaced by the base's versions.
#[derive(Debug)]
pub(super) struct BaseConfigFolder<'a> {
    tree: PathBuf,
    /// The paths of the files that were replaced by the base's versions.
    replaced_paths: BTreeSet<&'a str>,
}

impl BaseConfigFolder<'_> {
    /// Returns the path of the folder with all of the files.
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// True if the file with this path is taken from the base.
    pub(super) fn is_from_base(&self, path: &str) -> bool {
        self.replaced_paths.contains(path)
    }

    /// Excludes findings on files that were copied from the base, because their line numbers may differ from
    /// the line numbers at the head.
    pub(super) fn drop_base_findings(&self, output: &mut ToolOutput) {
        output.left_out.extend(self.replaced_paths.iter().map(|path| (*path).to_owned()));
    }
}

/// Returns the folder with the base's configuration in which a linter runs. `None` if the linter runs in the
/// head's folder. Returns the error in `detection_result` if the base's versions of the files for tool
/// detection could not be read.
pub(super) async fn linter_folder<'a, T>(
    tool: &SelectedLinter,
    detection_result: &Result<T, String>,
    base: Option<&mut BaseConfigOverlay<'a>>,
) -> Result<Option<BaseConfigFolder<'a>>, String> {
    detection_result.as_ref().map_err(Clone::clone)?;
    match base {
        Some(base) => base.folder_for_linter(tool).await,
        None => Ok(None),
    }
}

impl<'a> BaseConfigOverlay<'a> {
    /// Creates the overlay for the change that `files` describes. None if the base is unknown.
    pub(super) fn from_files(files: LinterFiles<'a>) -> Option<Self> {
        let touched = files.changed_paths.iter().filter_map(|path| path.as_str()).collect();
        Some(Self {
            base: files.base?,
            head_folder: files.tree,
            touched_paths: touched,
            changed_files: files.changed_files,
            created_folders: Vec::new(),
        })
    }

    /// Returns all folders that were created for linters.
    pub(super) fn into_folders(self) -> Vec<PrivateFolder> {
        self.created_folders.into_iter().map(|(_, folder)| folder).collect()
    }

    /// Returns the folder with the base's configuration in which a linter runs. None if the change does not
    /// affect the linter's configuration.
    async fn folder_for_linter(
        &mut self,
        tool: &SelectedLinter,
    ) -> Result<Option<BaseConfigFolder<'a>>, String> {
        let replaced = self.changed_config_files(tool).await?;
        if replaced.is_empty() {
            return Ok(None);
        }
        let known = self.created_folders.iter().find(|(of, _)| *of == replaced);
        let tree = match known {
            Some((_, folder)) => folder.path().to_owned(),
            None => {
                let folder = self.create_folder(&replaced).await?;
                let tree = folder.path().to_owned();
                self.created_folders.push((replaced.clone(), folder));
                tree
            }
        };
        Ok(Some(BaseConfigFolder { tree, replaced_paths: replaced }))
    }

    /// Creates a folder in which linters are detected. The folder contains the head's files, but touched
    /// files that reveal or configure linters have the base's content. Returns None if the change touches no
    /// such file.
    pub(super) async fn create_detection_folder(&self) -> Result<Option<PrivateFolder>, String> {
        let is_sign = |path: &&str| {
            let is_of = |tool: &KnownTool| may_reveal_tool(tool, path) || may_configure_as_data(tool, path);
            // Linters are also detected in folders below the root, each by the paths from that folder.
            let ends = std::iter::once(*path)
                .chain(path.match_indices('/').filter_map(|(slash, _)| path.get(slash + 1..)));
            ends.into_iter().any(|end| commands::is_automation_file(end) || pins::is_pin_file(end))
                || known::known_tools().iter().any(is_of)
        };
        let signs: BTreeSet<&str> = self.touched_paths.iter().copied().filter(is_sign).collect();
        if signs.is_empty() { Ok(None) } else { self.create_folder(&signs).await.map(Some) }
    }

    /// Returns the touched files that configure the linter as data. Leaves out a file that several tools
    /// share if the linter's own settings in it are unchanged.
    async fn changed_config_files(&self, tool: &SelectedLinter) -> Result<BTreeSet<&'a str>, String> {
        let mut replaced = self.files_named_by_config(tool).await?;
        for path in self.touched_paths.iter().copied() {
            let known = tool.known_tool().filter(|known| may_configure_as_data(known, path));
            let is_other = match known {
                Some(known) => !self.has_same_tool_settings(known, path).await?,
                None => false,
            };
            if is_other || tool.has_option_for(path) {
                replaced.insert(path);
            }
        }
        Ok(replaced)
    }

    /// Creates a folder with the head's files. The files in `replaced_paths` have the base's content.
    async fn create_folder(&self, replaced_paths: &BTreeSet<&str>) -> Result<PrivateFolder, String> {
        let paths: Vec<RepoPath> = replaced_paths.iter().copied().map(RepoPath::from).collect();
        let of_base = self.base.export_files(&paths).await?;
        let replaced_paths: BTreeSet<PathBuf> = replaced_paths.iter().map(PathBuf::from).collect();
        let head = self.head_folder.to_owned();
        let laid_out = tokio::task::spawn_blocking(move || {
            // The folder is created next to the head's folder, because hard links are possible only on the
            // same file system.
            let beside = head.parent().map(PrivateFolder::new_with_cleanup);
            let folder = beside.and_then(Result::ok).map_or_else(PrivateFolder::new, Ok)?;
            link_files(&head, folder.path(), &replaced_paths)?;
            link_files(of_base.path(), folder.path(), &BTreeSet::new())?;
            io::Result::Ok(folder)
        });
        let laid_out = laid_out.await.map_err(|stopped| stopped.to_string())?;
        laid_out.map_err(|error| format!("cannot write the configuration of the base: {error}"))
    }

    /// Returns the touched files that a linter's configuration names, directly or through another named file.
    /// Leaves out files that the linter itself inspects.
    async fn files_named_by_config(&self, tool: &SelectedLinter) -> Result<BTreeSet<&'a str>, String> {
        let (mut named, mut known) = (BTreeSet::new(), BTreeSet::new());
        let Some(row) = tool.known_tool() else { return Ok(named) };
        let others =
            self.touched_paths.iter().copied().filter(|path| !tool.inspects_file_kind(Path::new(path)));
        let others: BTreeSet<&str> = others.collect();
        if others.is_empty() {
            return Ok(named);
        }
        let above = self.changed_files.iter().filter_map(|file| file.path.as_str()).flat_map(parent_folders);
        let places: BTreeSet<&str> = above.chain([tool.folder.as_str()]).take(MAX_NAMED_FILES).collect();
        let configuration =
            places.iter().flat_map(|folder| row.config_file_names.iter().map(|name| join_name(folder, name)));
        let mut left: Vec<String> = configuration.chain([tool.to_tree_path(&tool.sign_path)]).collect();
        while let Some(path) = left.pop() {
            if !known.insert(path.clone()) || known.len() > MAX_NAMED_FILES {
                continue;
            }
            let Some(bytes) =
                self.read_base_file(&path).await?.filter(|bytes| bytes.len() <= MAX_CONFIGURATION_BYTES)
            else {
                continue;
            };
            let own = match tool_lines(row, &bytes) {
                Ok(lines) if is_shared_config_file(row, &path) => lines.join("\n").into_bytes(),
                Ok(_) | Err(_) => bytes.clone(),
            };
            let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for word in candidate_names(&own) {
                let found = [join_inside_tree(beside, word), join_inside_tree("", word)];
                for file in
                    found.into_iter().flatten().filter(|file| has_extension(file, SEARCHED_EXTENSIONS))
                {
                    named.extend(others.get(file.as_str()));
                    left.push(file);
                }
            }
        }
        Ok(named)
    }

    /// Returns the base's content of a file. If the change does not touch the file, the head's copy is read,
    /// because both versions have the same content.
    async fn read_base_file(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let inside = RepoPath::from(path);
        match self.touched_paths.contains(path) {
            true => self.base.read_file(&inside).await,
            false => Ok(FileTree::open(self.head_folder).ok().and_then(|tree| tree.read_bytes(&inside).ok())),
        }
    }

    async fn has_same_tool_settings(&self, known_tool: &KnownTool, path: &str) -> Result<bool, String> {
        let inside = RepoPath::from(path);
        let head = FileTree::open(self.head_folder).ok().and_then(|tree| tree.read_bytes(&inside).ok());
        let base = self.base.read_file(&inside).await?;
        let (Some(head), Some(base)) = (head, base) else { return Ok(false) };
        Ok(head == base
            || is_shared_config_file(known_tool, path)
                && tool_lines(known_tool, &head) == tool_lines(known_tool, &base))
    }
}

/// The differences between the linters detected with the base's files and the linters detected with the
/// head's files.
#[derive(Debug, Default)]
pub(super) struct LinterDifferences {
    /// Linters that the change adds to the repository, each with the reason why the linter does not run.
    pub(super) new_linters: Vec<(String, String)>,
    /// Linters that run because of the base's files, or with the options of the base's hooks.
    pub(super) base_files: BaseFilesByLinter,
}

/// Adds linters to `base_linters` that are detected only with the head's files, if these linters may run.
/// Linters whose configuration is code are also added: `run_method` checks later whether the change touches
/// their configuration.
pub(super) fn merge_linters(
    base_linters: &mut Vec<SelectedLinter>,
    head_linters: Vec<SelectedLinter>,
    files: LinterFiles<'_>,
) -> LinterDifferences {
    let mut found = LinterDifferences::default();
    let is_touched = |path: &str| files.changed_paths.iter().any(|touched| touched.as_str() == Some(path));
    let hooks = hooks::PRE_COMMIT_CONFIG_FILES.iter().copied().find(|path| is_touched(path));
    let is_same = |one: &SelectedLinter, other: &SelectedLinter| {
        (&one.name, &one.folder) == (&other.name, &other.folder)
    };
    for tool in base_linters.iter() {
        let now = head_linters.iter().find(|other| is_same(tool, other));
        let sign = tool.to_tree_path(&tool.sign_path);
        let by = match now {
            Some(now)
                if now.hook_options != tool.hook_options || now.excluded_files() != tool.excluded_files() =>
            {
                hooks.or_else(|| Some(sign.as_str()).filter(|sign| is_touched(sign)))
            }
            Some(_) => None,
            None => Some(sign.as_str()).filter(|sign| is_touched(sign)),
        };
        if let Some(path) = by {
            found.base_files.insert(tool_name(&tool.name), BaseConfigFiles::for_indicator_file(path));
        }
    }
    for tool in head_linters {
        if base_linters.iter().any(|known| is_same(known, &tool)) {
            continue;
        }
        if tool.is_configured_by_code() || tool.is_guessed || tool.is_configured {
            base_linters.push(tool);
        } else if tool.condition == ToolCondition::Always
            || !inspected_files(&tool, files.changed_files).is_empty()
        {
            let reason = format!(
                "the base does not use this linter: this change adds {}",
                tool.to_tree_path(&tool.sign_path)
            );
            found.new_linters.push((tool_name(&tool.name), reason));
        }
    }
    found
}

fn glob_matches(glob: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    sign::compile_glob(glob).is_some_and(|glob| glob.is_match(path) || glob.is_match(name))
}

/// True if a file with this path may show that the tool is used.
fn may_reveal_tool(tool: &KnownTool, path: &str) -> bool {
    tool.recognised.iter().any(|sign| match sign {
        ToolSign::Folder(folder) => Path::new(path).starts_with(folder),
        ToolSign::File(glob) | ToolSign::FileEntry { file: glob, .. } => glob_matches(glob, path),
    })
}

/// True if a file with this path may configure the tool as data. Excludes files that the tool inspects
/// anyway, and files that only mention the tool.
fn may_configure_as_data(tool: &KnownTool, path: &str) -> bool {
    let is_by_sign =
        tool.recognised.iter().chain(&tool.selects).any(|sign| match sign {
            ToolSign::Folder(folder) => Path::new(path).starts_with(folder),
            ToolSign::File(glob) => !tool.paths.contains(glob) && glob_matches(glob, path),
            ToolSign::FileEntry { target: SignTarget::WholeWords(_) | SignTarget::Hook(_), .. } => false,
            ToolSign::FileEntry {
                file,
                target:
                    SignTarget::Table(_)
                    | SignTarget::Section(_)
                    | SignTarget::SectionOption(..)
                    | SignTarget::Key(_),
            } => glob_matches(file, path),
        });
    let names = tool.config_file_names.iter().chain(tool.excludes.iter().map(|rule| &rule.file));
    let more = EXTRA_CONFIG_GLOBS.iter().filter(|(name, _)| *name == tool.name).map(|(_, glob)| *glob);
    is_by_sign || names.map(String::as_str).chain(more).any(|glob| glob_matches(glob, path))
}

/// True if the file may contain the configuration of this tool and of other tools.
fn is_shared_config_file(tool: &KnownTool, path: &str) -> bool {
    let is_its = |glob: &str| glob_matches(glob, path);
    let is_own = tool.recognised.iter().any(|sign| matches!(sign, ToolSign::File(glob) if is_its(glob)));
    (path.ends_with(".toml") || path.ends_with(".cfg") || path.ends_with(".ini"))
        && !is_own
        && tool.recognised.iter().any(|sign| matches!(sign, ToolSign::FileEntry { file, .. } if is_its(file)))
}

/// Returns the lines of a TOML or INI file that may belong to a tool. Leaves out only tables that certainly
/// belong to other tools. Returns the whole content as the error if the file cannot be divided into tables
/// with certainty.
fn tool_lines<'a>(tool: &KnownTool, bytes: &'a [u8]) -> Result<Vec<&'a str>, &'a [u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(bytes) };
    // Python also ends a line at a carriage return, which may split the file differently.
    let has_other_lines = text.replace("\r\n", "").contains('\r');
    if has_other_lines || MULTILINE_STRING_QUOTES.iter().any(|quotes| text.contains(quotes)) {
        return Err(bytes);
    }
    let mut is_of_others = false;
    let lines = text.lines().filter(|line| {
        // In TOML, a header may follow leading blanks; in INI, this depends on the parser.
        if line.trim_start().starts_with('[') {
            is_of_others = line.starts_with('[') && is_other_tool_header(tool, line);
        }
        !is_of_others || line.contains(PYTHON_VERSION_TEXT) || line.contains('\\')
    });
    Ok(lines.filter(|line| !line.trim().is_empty()).collect())
}

/// True if the line is the header of another tool's table or section.
fn is_other_tool_header(tool: &KnownTool, line: &str) -> bool {
    let name = line.trim_start_matches('[').split(']').next().unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || !name.chars().all(is_plain) {
        return false;
    }
    let mut parts = name.split('.');
    match (parts.next(), parts.next()) {
        (Some("tool"), Some(other)) => {
            let is_of_tool = |sign: &ToolSign| match sign {
                ToolSign::FileEntry { target: SignTarget::Table(name) | SignTarget::Key(name), .. } => {
                    name.split('.').nth(1) == Some(other)
                }
                ToolSign::FileEntry {
                    target:
                        SignTarget::Section(_)
                        | SignTarget::SectionOption(..)
                        | SignTarget::WholeWords(_)
                        | SignTarget::Hook(_),
                    ..
                }
                | ToolSign::File(_)
                | ToolSign::Folder(_) => false,
            };
            other != tool.name && !tool.recognised.iter().chain(&tool.selects).any(is_of_tool)
        }
        (Some(first), _) => NON_LINTER_TABLES.contains(&first),
        (None, _) => false,
    }
}

/// Adds the regular files of the folder `from` to the folder `to`, as hard links if possible. Files in
/// `excluded` are left out. Symbolic links are not followed.
fn link_files(from: &Path, to: &Path, excluded: &BTreeSet<PathBuf>) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let (path, kind) = (folder.join(entry.file_name()), entry.file_type()?);
            let place = to.join(&path);
            if kind.is_dir() {
                match std::fs::create_dir(&place) {
                    Err(error) if !place.is_dir() => return Err(error),
                    Ok(()) | Err(_) => folders.push(path),
                }
            } else if kind.is_file() && !excluded.contains(&path) {
                link_or_copy(&entry.path(), &place)?;
            }
        }
    }
    Ok(())
}

/// Creates a hard link to a file, or copies the file if it cannot be linked.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => std::fs::copy(from, to).map(|_| ()),
    }
}

#[cfg(test)]
mod tests;

//! Rules about files that must change together.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem::Finder;
use regex::bytes::Regex;
use truing_core::port::{ChangedFile, ReadRequest, ReaderError};
use truing_diff::RepoPath;

use crate::lines::LineIndex;
use crate::pack::RulePattern;
use crate::rules::overrides;
use crate::rules::scanner::{MANIFESTS, declares_scanner};

/// Maximum number of files in one folder that are searched for a counterpart.
const MAX_SIBLING_FILES: usize = 100;

/// The check of a companion rule: which files must change together.
#[derive(Debug)]
pub(crate) struct CompanionCheck {
    /// Pattern for added lines that require a change of a companion. `None` if every added line requires it.
    pub(crate) added_pattern: Option<RulePattern>,
    /// Pattern for the line that opens the block around an added line. This is the nearest preceding line
    /// that ends with `{`. If the opening line does not match, the added line requires no companion.
    pub(crate) block_pattern: Option<RulePattern>,
    /// Paths of companions; at least one companion must change. A path with a leading `/` begins at the root;
    /// other paths are in the file's folder or in a folder above.
    pub(crate) companions: Vec<String>,
    /// Pattern that an added line of the companion must match.
    pub(crate) companion_added_pattern: Option<RulePattern>,
    /// Templates in which `$1` or `${name}` refers to a group of `added_pattern`. An added line requires no
    /// change if a companion contains a template that was filled in for this line.
    pub(crate) exempting_companion_texts: Vec<String>,
    /// Templates in which `${folder}` is replaced by the path of the file's folder relative to the
    /// companion's folder. A companion in a parent folder counts only if it contains one of the filled
    /// templates, or if this list is empty.
    pub(crate) required_parent_companion_texts: Vec<String>,
    /// Templates as in `exempting_companion_texts`. An added line requires no change if its own file contains
    /// one of the filled templates.
    pub(crate) exempting_texts: Vec<String>,
    /// True if the rule also reports lines whose companion does not exist.
    pub(crate) reports_missing: bool,
    /// True if the companion is a table with an entry for each overridden method or function. The entry must
    /// change with the override.
    pub(crate) is_override_table: bool,
    /// Methods, as `Class.method`. A line that adds the head of an override of such a method also requires a
    /// companion.
    pub(crate) methods: Vec<String>,
    /// True if a changed companion must contain the names of the functions whose added heads require it.
    pub(crate) requires_name: bool,
}

/// The whole change, and the files at its head.
pub(crate) struct ChangeContext<'a> {
    changed_lines: BTreeMap<&'a RepoPath, &'a [(u32, u32)]>,
    other_changed_paths: BTreeSet<&'a RepoPath>,
    head_files: &'a (dyn HeadFiles + Sync),
    /// True if the repository is the source code of a secret scanner. The value is determined when it is used
    /// for the first time.
    is_secret_scanner: OnceCell<bool>,
}

/// Access to the files at the head.
pub(crate) trait HeadFiles {
    /// Returns true if the file exists.
    fn exists(&self, path: &RepoPath) -> bool;
    /// Returns the text of a file, if it can be read.
    fn read_file(&self, path: &RepoPath) -> Option<Vec<u8>>;
}

impl<'a> ChangeContext<'a> {
    /// Creates the context of the change that a request is about.
    pub(crate) fn from_request(request: &'a ReadRequest, head: &'a (dyn HeadFiles + Sync)) -> Self {
        Self::new(&request.files, &request.also_changed, head)
    }

    pub(crate) fn new(
        files: &'a [ChangedFile],
        other_paths: &'a [RepoPath],
        head: &'a (dyn HeadFiles + Sync),
    ) -> Self {
        // For a renamed file, the old path counts as changed, too.
        let old_names = files.iter().filter_map(|file| file.old_path.as_ref());
        Self {
            changed_lines: files.iter().map(|file| (&file.path, file.added_lines.as_slice())).collect(),
            other_changed_paths: other_paths.iter().chain(old_names).collect(),
            head_files: head,
            is_secret_scanner: OnceCell::new(),
        }
    }

    /// Returns true if the repository is the source code of a secret scanner.
    pub(crate) fn is_secret_scanner(&self) -> bool {
        let declares = |path: &str| {
            self.head_files.read_file(&RepoPath::from(path)).is_some_and(|text| declares_scanner(path, &text))
        };
        *self.is_secret_scanner.get_or_init(|| MANIFESTS.into_iter().any(declares))
    }

    /// Returns true if another changed file in the folder of `path` matches `pattern`. Files that cannot be
    /// read do not match.
    pub(crate) fn has_changed_sibling(&self, path: &RepoPath, pattern: &Regex) -> bool {
        let own = parent_folder(path);
        let beside = self.changed_lines.keys().filter(|other| parent_folder(other) == own && **other != path);
        beside
            .take(MAX_SIBLING_FILES)
            .any(|other| self.head_files.read_file(other).is_some_and(|text| pattern.is_match(&text)))
    }

    fn has_changed(&self, path: &RepoPath) -> bool {
        self.changed_lines.contains_key(path) || self.other_changed_paths.contains(path)
    }
}

impl CompanionCheck {
    /// Returns the line to report: the first added line that requires a change of a companion. Returns `None`
    /// if a companion has the required change.
    pub(crate) fn violation_line(
        &self,
        rule: &str,
        file: &RepoPath,
        lines: &LineIndex<'_>,
        change: &ChangeContext<'_>,
    ) -> Result<Option<u32>, ReaderError> {
        let added = change.changed_lines.get(file).copied().unwrap_or_default();
        if self.is_override_table {
            let line = self.find_missing_entry(rule, file, lines, change)?;
            if line.is_some() || self.added_pattern.is_none() {
                return Ok(line);
            }
        }
        let mut asking = matching_lines(rule, self.added_pattern.as_ref(), lines, added)?;
        if let Some(under) = &self.block_pattern {
            let under = under.get_or_compile(rule)?;
            asking.retain(|line| block_opening_line(lines, *line).is_some_and(|begin| under.is_match(begin)));
        }
        asking.extend(overrides::override_head_lines(lines, added, &self.methods));
        asking.sort_unstable();
        if asking.is_empty() {
            return Ok(None);
        }
        let (mut exists, mut texts) = (self.reports_missing, Vec::new());
        for companion in self.companion_paths(file) {
            if change.has_changed(&companion) && self.is_satisfied_by(rule, &companion, change)? {
                let text = change.head_files.read_file(&companion).filter(|_| self.requires_name);
                let table_added = change.changed_lines.get(&companion).copied().unwrap_or_default();
                return Ok(text.and_then(|text| {
                    overrides::find_missing_name(lines, added, &asking, &LineIndex::new(&text), table_added)
                }));
            }
            let is_there = change.has_changed(&companion) || change.head_files.exists(&companion);
            if !is_there || !self.is_companion_for(file, &companion, change) {
                continue;
            }
            exists = true;
            if self.requires_name
                && !change.has_changed(&companion)
                && let Some(text) = change.head_files.read_file(&companion)
            {
                asking = overrides::heads_without_entry(lines, &asking, &LineIndex::new(&text));
                if asking.is_empty() {
                    return Ok(None);
                }
            }
            if !self.exempting_companion_texts.is_empty() {
                texts.extend(change.head_files.read_file(&companion));
            }
        }
        if !exists {
            return Ok(None);
        }
        let own = lines.text();
        for line in asking {
            let settled = self.any_text_contains(rule, &self.exempting_texts, lines, line, &[own])?
                || self.any_text_contains(rule, &self.exempting_companion_texts, lines, line, &texts)?;
            if !settled {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Returns true if the companion applies to the file. This is always true for a companion in the same
    /// folder, and for a companion that cannot be read.
    fn is_companion_for(&self, file: &RepoPath, companion: &RepoPath, change: &ChangeContext<'_>) -> bool {
        let (own, its) = (parent_folder(file), parent_folder(companion));
        let Some(below) = own.strip_prefix(its).filter(|below| !below.is_empty()) else { return true };
        if self.required_parent_companion_texts.is_empty() {
            return true;
        }
        let Some(text) = change.head_files.read_file(companion) else { return true };
        let below = String::from_utf8_lossy(below.strip_prefix(b"/").unwrap_or(below));
        let holds = |template: &String| {
            let wanted = template.replace("${folder}", &below);
            Finder::new(&wanted).find(&text).is_some()
        };
        self.required_parent_companion_texts.iter().any(holds)
    }

    /// Fills each template with the groups that `added_pattern` matches in this line. Returns true if one of
    /// the texts contains a filled template.
    fn any_text_contains<T: AsRef<[u8]>>(
        &self,
        rule: &str,
        templates: &[String],
        lines: &LineIndex<'_>,
        line: u32,
        texts: &[T],
    ) -> Result<bool, ReaderError> {
        let Some(added) = &self.added_pattern else { return Ok(false) };
        let Some(captures) = added.get_or_compile(rule)?.captures(lines.bytes(lines.line_range(line))) else {
            return Ok(false);
        };
        let holds = |template: &String| {
            let mut wanted = Vec::new();
            captures.expand(template.as_bytes(), &mut wanted);
            let wanted = Finder::new(&wanted);
            texts.iter().any(|text| wanted.find(text.as_ref()).is_some())
        };
        Ok(templates.iter().any(holds))
    }

    /// Returns the first added line of an override whose entry in the nearest table did not change.
    fn find_missing_entry(
        &self,
        rule: &str,
        file: &RepoPath,
        lines: &LineIndex<'_>,
        change: &ChangeContext<'_>,
    ) -> Result<Option<u32>, ReaderError> {
        let added = change.changed_lines.get(file).copied().unwrap_or_default();
        let changed = overrides::candidate_names_by_added_line(lines, added);
        if changed.is_empty() {
            return Ok(None);
        }
        let table = self
            .companion_paths(file)
            .into_iter()
            .find_map(|path| Some((change.head_files.read_file(&path)?, path)));
        // A changed table that cannot be read is assumed to be correct.
        let Some((text, path)) = table.filter(|(_, path)| !change.other_changed_paths.contains(path)) else {
            return Ok(None);
        };
        let is_new = match &self.companion_added_pattern {
            Some(pattern) => Some(pattern.get_or_compile(rule)?),
            None => None,
        };
        let in_table = change.changed_lines.get(&path).copied().unwrap_or_default();
        let table = LineIndex::new(&text);
        Ok(overrides::find_line_with_stale_entry(&changed, &table, in_table, |line| {
            is_new.as_ref().is_none_or(|pattern| pattern.is_match(line))
        }))
    }

    /// Returns the paths at which companions of a file may be, nearest first. A file is not its own
    /// companion.
    pub(crate) fn companion_paths(&self, file: &RepoPath) -> Vec<RepoPath> {
        let mut paths = Vec::new();
        for companion in &self.companions {
            if let Some(rooted) = companion.strip_prefix('/') {
                paths.push(RepoPath::from_bytes(rooted));
                continue;
            }
            let mut folder = file.as_bytes();
            while let Some(slash) = folder.iter().rposition(|byte| *byte == b'/') {
                folder = folder.get(..slash).unwrap_or_default();
                paths.push(RepoPath::from_bytes([folder, b"/", companion.as_bytes()].concat()));
            }
            paths.push(RepoPath::from_bytes(companion.as_bytes()));
        }
        paths.retain(|path| path != file && path.stays_within_folder());
        paths
    }

    /// Returns true if an added line of a changed companion matches `companion_added`.
    fn is_satisfied_by(
        &self,
        rule: &str,
        companion: &RepoPath,
        change: &ChangeContext<'_>,
    ) -> Result<bool, ReaderError> {
        let Some(wanted) = &self.companion_added_pattern else { return Ok(true) };
        // A changed companion that cannot be read is assumed to be correct.
        let Some(added) = change.changed_lines.get(companion) else { return Ok(true) };
        let Some(text) = change.head_files.read_file(companion) else { return Ok(true) };
        Ok(!matching_lines(rule, Some(wanted), &LineIndex::new(&text), added)?.is_empty())
    }
}

/// Returns the line that opens the block around a line: the nearest preceding line that ends with `{`.
fn block_opening_line<'text>(lines: &LineIndex<'text>, line: u32) -> Option<&'text [u8]> {
    let above = (1..line).rev().map(|number| lines.bytes(lines.line_range(number)));
    above.map(<[u8]>::trim_ascii_end).find(|text| text.ends_with(b"{"))
}

/// Returns the folder of a path, without a `/` at the end. The folder is empty if the file is at the root.
pub(crate) fn parent_folder(path: &RepoPath) -> &[u8] {
    let path = path.as_bytes();
    path.iter().rposition(|byte| *byte == b'/').and_then(|slash| path.get(..slash)).unwrap_or_default()
}

/// Returns the added lines that match the pattern. Without a pattern, returns all added lines.
fn matching_lines(
    rule: &str,
    pattern: Option<&RulePattern>,
    lines: &LineIndex<'_>,
    added_lines: &[(u32, u32)],
) -> Result<Vec<u32>, ReaderError> {
    let mut found = Vec::new();
    let last = lines.line_count();
    for number in added_lines.iter().flat_map(|(first, end)| *first..=(*end).min(last)) {
        let matches = match pattern {
            None => true,
            Some(pattern) => pattern.get_or_compile(rule)?.is_match(lines.bytes(lines.line_range(number))),
        };
        if matches {
            found.push(number);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(Vec<(&'static str, &'static str)>);

    impl HeadFiles for Files {
        fn exists(&self, path: &RepoPath) -> bool {
            self.read_file(path).is_some()
        }
        fn read_file(&self, path: &RepoPath) -> Option<Vec<u8>> {
            let found = self.0.iter().find(|(name, _)| RepoPath::from(*name) == *path)?;
            Some(found.1.as_bytes().to_vec())
        }
    }

    fn check(companions: &[&str]) -> CompanionCheck {
        CompanionCheck {
            added_pattern: None,
            block_pattern: None,
            companions: companions.iter().map(|path| (*path).to_owned()).collect(),
            companion_added_pattern: None,
            exempting_companion_texts: Vec::new(),
            required_parent_companion_texts: Vec::new(),
            exempting_texts: Vec::new(),
            reports_missing: false,
            is_override_table: false,
            methods: Vec::new(),
            requires_name: false,
        }
    }

    fn changed_file(path: &str, added: &[(u32, u32)]) -> ChangedFile {
        ChangedFile { path: path.into(), old_path: None, added_lines: added.to_vec(), secrets_only: false }
    }

    fn find_violation_line(
        check: &CompanionCheck,
        file: &str,
        changes: &[ChangedFile],
        also: &[&str],
        files: Vec<(&'static str, &'static str)>,
    ) -> Option<u32> {
        let also: Vec<RepoPath> = also.iter().map(|path| (*path).into()).collect();
        let files = Files(files);
        let text = files.read_file(&file.into()).unwrap();
        check
            .violation_line(
                "p/x",
                &file.into(),
                &LineIndex::new(&text),
                &ChangeContext::new(changes, &also, &files),
            )
            .unwrap()
    }

    #[test]
    fn companions_are_looked_for_in_the_folder_and_above_or_from_the_root() {
        let paths = |companion: &str, file: &str| -> Vec<String> {
            check(&[companion]).companion_paths(&file.into()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(paths("c.lock", "a/b/c.toml"), ["a/b/c.lock", "a/c.lock", "c.lock"]);
        assert_eq!(paths("/t/x.py", "a/b/c.py"), ["t/x.py"]);
        assert_eq!(paths("c", "c"), Vec::<String>::new());
        assert_eq!(paths("../c", "a/b"), Vec::<String>::new());
    }

    #[test]
    fn a_companion_that_is_there_must_change_too() {
        let lock = check(&["x.lock"]);
        let tree = vec![("a/x.toml", "1\n2\n3\n"), ("x.lock", "1\n")];
        let toml = changed_file("a/x.toml", &[(2, 3)]);
        assert_eq!(
            find_violation_line(&lock, "a/x.toml", std::slice::from_ref(&toml), &[], tree.clone()),
            Some(2)
        );
        let both = [toml.clone(), changed_file("x.lock", &[(1, 1)])];
        assert_eq!(find_violation_line(&lock, "a/x.toml", &both, &[], tree.clone()), None);
        // The companion changed, but cannot be read.
        assert_eq!(
            find_violation_line(&lock, "a/x.toml", std::slice::from_ref(&toml), &["x.lock"], tree.clone()),
            None
        );
        // Nothing was added, therefore there is no line to report.
        assert_eq!(find_violation_line(&lock, "a/x.toml", &[changed_file("a/x.toml", &[])], &[], tree), None);
        // No such companion exists anywhere.
        let alone = vec![("a/x.toml", "1\n2\n")];
        assert_eq!(
            find_violation_line(&lock, "a/x.toml", std::slice::from_ref(&toml), &[], alone.clone()),
            None
        );
        let strict = CompanionCheck { reports_missing: true, ..lock };
        assert_eq!(find_violation_line(&strict, "a/x.toml", &[toml], &[], alone), Some(2));
    }

    #[test]
    fn a_line_that_a_companion_or_its_own_file_speaks_of_asks_for_nothing() {
        let rule = CompanionCheck {
            added_pattern: Some(RulePattern::parse(r"^(\S+) v(\d+)$").unwrap()),
            exempting_companion_texts: vec!["${1}@$2;".to_owned()],
            exempting_texts: vec!["replace $1 ".to_owned()],
            ..check(&["x.sum"])
        };
        let with = |text: &'static str, sum: &'static str| {
            let last = u32::try_from(text.lines().count()).unwrap();
            let changes = [changed_file("x.mod", &[(1, last)])];
            find_violation_line(&rule, "x.mod", &changes, &[], vec![("x.mod", text), ("x.sum", sum)])
        };
        assert_eq!(with("a v1\nb v2\n", "a@1;\n"), Some(2));
        assert_eq!(with("a v1\nb v2\n", "b@2;\na@1;\n"), None);
        assert_eq!(with("a v1\nb v2\nreplace b => ../b\n", "a@1;\n"), None);
        assert_eq!(with("a v12\n", "a@1;\n"), Some(1));
    }

    #[test]
    fn patterns_decide_which_lines_count_on_both_sides() {
        let rule = CompanionCheck {
            added_pattern: Some(RulePattern::parse("^version").unwrap()),
            companion_added_pattern: Some(RulePattern::parse("^## ").unwrap()),
            ..check(&["/CHANGES.md"])
        };
        let tree = vec![("x.toml", "name\nversion\n"), ("CHANGES.md", "## 1\ntext\n")];
        let with = |toml: (u32, u32), changes: (u32, u32)| {
            let changes = [changed_file("x.toml", &[toml]), changed_file("CHANGES.md", &[changes])];
            find_violation_line(&rule, "x.toml", &changes, &[], tree.clone())
        };
        assert_eq!(with((1, 1), (2, 2)), None);
        assert_eq!(with((1, 2), (2, 2)), Some(2));
        assert_eq!(with((1, 2), (1, 2)), None);
    }
}

//! Rules about files that change together: if one changes, another must change too.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::port::{ChangedFile, ReadRequest, ReaderError};
use truing_diff::RepoPath;

use crate::lines::Lines;
use crate::pack::Pattern;

/// What must change with the files that a rule looks at.
#[derive(Debug)]
pub(crate) struct CompanionCheck {
    /// Only a file with an added line that this matches counts.
    pub(crate) added: Option<Pattern>,
    /// Paths, one of which must change: from the root with a leading `/`, else in the file's folder or one above.
    pub(crate) companions: Vec<String>,
    /// The companion must have an added line that this matches.
    pub(crate) companion_added: Option<Pattern>,
    /// Is a companion that does not exist missed too?
    pub(crate) even_if_missing: bool,
}

/// The whole change, and the files at its head.
pub(crate) struct Change<'a> {
    read: BTreeMap<&'a RepoPath, &'a [(u32, u32)]>,
    also: BTreeSet<&'a RepoPath>,
    head: &'a (dyn Head + Sync),
}

/// The files at the head.
pub(crate) trait Head {
    /// Is there such a file?
    fn exists(&self, path: &RepoPath) -> bool;
    /// Its text, if it can be read.
    fn text(&self, path: &RepoPath) -> Option<Vec<u8>>;
}

impl<'a> Change<'a> {
    /// The change that a request is about.
    pub(crate) fn of(request: &'a ReadRequest, head: &'a (dyn Head + Sync)) -> Self {
        Self::new(&request.files, &request.also_changed, head)
    }

    pub(crate) fn new(files: &'a [ChangedFile], also: &'a [RepoPath], head: &'a (dyn Head + Sync)) -> Self {
        // A file that was renamed changed under its old name too.
        let old_names = files.iter().filter_map(|file| file.old_path.as_ref());
        Self {
            read: files.iter().map(|file| (&file.path, file.added.as_slice())).collect(),
            also: also.iter().chain(old_names).collect(),
            head,
        }
    }

    fn changed(&self, path: &RepoPath) -> bool {
        self.read.contains_key(path) || self.also.contains(path)
    }
}

impl CompanionCheck {
    /// The line to complain about: the first of those that should have brought a companion along.
    pub(crate) fn missed(
        &self,
        rule: &str,
        file: &RepoPath,
        lines: &Lines<'_>,
        change: &Change<'_>,
    ) -> Result<Option<u32>, ReaderError> {
        let added = change.read.get(file).copied().unwrap_or_default();
        let Some(line) = first_line(rule, self.added.as_ref(), lines, added)? else { return Ok(None) };
        let mut exists = self.even_if_missing;
        for companion in self.paths(file) {
            if change.changed(&companion) && self.satisfies(rule, &companion, change)? {
                return Ok(None);
            }
            exists = exists || change.changed(&companion) || change.head.exists(&companion);
        }
        Ok(exists.then_some(line))
    }

    /// Where companions of a file may be, nearest first. A file is not its own companion.
    pub(crate) fn paths(&self, file: &RepoPath) -> Vec<RepoPath> {
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
        paths.retain(|path| path != file && path.is_inside());
        paths
    }

    /// Does a companion that changed say what it must?
    fn satisfies(&self, rule: &str, companion: &RepoPath, change: &Change<'_>) -> Result<bool, ReaderError> {
        let Some(wanted) = &self.companion_added else { return Ok(true) };
        // What changed and is not to be read is believed.
        let Some(added) = change.read.get(companion) else { return Ok(true) };
        let Some(text) = change.head.text(companion) else { return Ok(true) };
        Ok(first_line(rule, Some(wanted), &Lines::of(&text), added)?.is_some())
    }
}

/// The first added line that the pattern matches; without one, the first added line.
fn first_line(
    rule: &str,
    pattern: Option<&Pattern>,
    lines: &Lines<'_>,
    added: &[(u32, u32)],
) -> Result<Option<u32>, ReaderError> {
    let last = lines.count();
    for number in added.iter().flat_map(|(first, end)| *first..=(*end).min(last)) {
        let matches = match pattern {
            None => true,
            Some(pattern) => pattern.compiled(rule)?.is_match(lines.bytes(lines.range(number))),
        };
        if matches {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files(Vec<(&'static str, &'static str)>);

    impl Head for Files {
        fn exists(&self, path: &RepoPath) -> bool {
            self.text(path).is_some()
        }
        fn text(&self, path: &RepoPath) -> Option<Vec<u8>> {
            let found = self.0.iter().find(|(name, _)| RepoPath::from(*name) == *path)?;
            Some(found.1.as_bytes().to_vec())
        }
    }

    fn check(companions: &[&str]) -> CompanionCheck {
        CompanionCheck {
            added: None,
            companions: companions.iter().map(|path| (*path).to_owned()).collect(),
            companion_added: None,
            even_if_missing: false,
        }
    }

    fn changed(path: &str, added: &[(u32, u32)]) -> ChangedFile {
        ChangedFile { path: path.into(), old_path: None, added: added.to_vec() }
    }

    fn missed(
        check: &CompanionCheck,
        file: &str,
        changes: &[ChangedFile],
        also: &[&str],
        files: Vec<(&'static str, &'static str)>,
    ) -> Option<u32> {
        let also: Vec<RepoPath> = also.iter().map(|path| (*path).into()).collect();
        let files = Files(files);
        let text = files.text(&file.into()).unwrap();
        check.missed("p/x", &file.into(), &Lines::of(&text), &Change::new(changes, &also, &files)).unwrap()
    }

    #[test]
    fn companions_are_looked_for_in_the_folder_and_above_or_from_the_root() {
        let paths = |companion: &str, file: &str| -> Vec<String> {
            check(&[companion]).paths(&file.into()).iter().map(ToString::to_string).collect()
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
        let toml = changed("a/x.toml", &[(2, 3)]);
        assert_eq!(missed(&lock, "a/x.toml", std::slice::from_ref(&toml), &[], tree.clone()), Some(2));
        let both = [toml.clone(), changed("x.lock", &[(1, 1)])];
        assert_eq!(missed(&lock, "a/x.toml", &both, &[], tree.clone()), None);
        // Changed but not to be read.
        assert_eq!(missed(&lock, "a/x.toml", std::slice::from_ref(&toml), &["x.lock"], tree.clone()), None);
        // Nothing was added, so there is no line to speak of.
        assert_eq!(missed(&lock, "a/x.toml", &[changed("a/x.toml", &[])], &[], tree), None);
        // No such companion anywhere.
        let alone = vec![("a/x.toml", "1\n2\n")];
        assert_eq!(missed(&lock, "a/x.toml", std::slice::from_ref(&toml), &[], alone.clone()), None);
        let strict = CompanionCheck { even_if_missing: true, ..lock };
        assert_eq!(missed(&strict, "a/x.toml", &[toml], &[], alone), Some(2));
    }

    #[test]
    fn patterns_decide_which_lines_count_on_both_sides() {
        let rule = CompanionCheck {
            added: Some(Pattern::parse("^version").unwrap()),
            companion_added: Some(Pattern::parse("^## ").unwrap()),
            ..check(&["/CHANGES.md"])
        };
        let tree = vec![("x.toml", "name\nversion\n"), ("CHANGES.md", "## 1\ntext\n")];
        let with = |toml: (u32, u32), changes: (u32, u32)| {
            let changes = [changed("x.toml", &[toml]), changed("CHANGES.md", &[changes])];
            missed(&rule, "x.toml", &changes, &[], tree.clone())
        };
        assert_eq!(with((1, 1), (2, 2)), None);
        assert_eq!(with((1, 2), (2, 2)), Some(2));
        assert_eq!(with((1, 2), (1, 2)), None);
    }
}

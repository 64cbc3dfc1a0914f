//! Finds the file in a tree to which a path refers, by comparing the ends of paths.

use std::collections::HashMap;

use truing_diff::RepoPath;

/// The files of a tree, indexed by file name without folders.
#[derive(Debug, Default)]
pub(crate) struct FileNames<'a> {
    by_name: HashMap<&'a [u8], Vec<&'a RepoPath>>,
}

impl<'a> FileNames<'a> {
    /// Indexes these files by name.
    pub(crate) fn new(files: &'a [RepoPath]) -> Self {
        let mut by_name: HashMap<&[u8], Vec<&RepoPath>> = HashMap::new();
        for file in files {
            let name = file.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            by_name.entry(name).or_default().push(file);
        }
        Self { by_name }
    }

    /// Returns true if no files are known.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Returns the file whose path has the longest end in common with `path`. Returns `None` if no file has
    /// such an end, or if several files do.
    pub(crate) fn match_longest_suffix(&self, path: &RepoPath) -> Option<RepoPath> {
        let mut rest = path.as_bytes();
        loop {
            let named: Vec<&RepoPath> = self.files_with_suffix(rest);
            match named.as_slice() {
                [one] => return Some((*one).clone()),
                [] => rest = rest.split_at_checked(memchr::memchr(b'/', rest)? + 1)?.1,
                // If several files match, the file with exactly this path is returned; otherwise, the match
                // is ambiguous.
                _ => {
                    return named
                        .into_iter()
                        .find(|file| file.as_bytes() == rest && rest == path.as_bytes())
                        .cloned();
                }
            }
        }
    }

    /// Does the same as [`Self::match_longest_suffix`], for a path in a string.
    pub(crate) fn match_longest_text_suffix(&self, path: &str) -> Option<RepoPath> {
        self.match_longest_suffix(&RepoPath::from_text(path.trim_start_matches('/')))
    }

    /// Returns the file whose path ends with the complete `path`. Returns `None` if no file or more than one
    /// file matches.
    pub(crate) fn match_whole_suffix(&self, path: &str) -> Option<RepoPath> {
        match self.files_with_suffix(path.as_bytes()).as_slice() {
            [one] => Some((*one).clone()),
            _ => None,
        }
    }

    fn files_with_suffix(&self, end: &[u8]) -> Vec<&'a RepoPath> {
        let name = end.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let has_end = |file: &&&RepoPath| {
            let before = file.as_bytes().strip_suffix(end);
            before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
        };
        self.by_name.get(name).into_iter().flatten().filter(has_end).copied().collect()
    }
}

//! The files of the scenarios: their content, the findings in them, and the commits between two trees.

use std::collections::{BTreeMap, BTreeSet};

use truing_fakes::repo::CommitBuilder;

/// A line for which a rule reports a finding in every file.
const FOUND: &str = "breakpoint()";

/// Lines of each file, by path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Vec<String>>);

/// A finding by its file and line.
pub(crate) type FindingPlace = (String, u32);

impl Tree {
    /// Returns a tree with this number of files of four lines each.
    pub(crate) fn of(files: u32) -> Self {
        let text = |file| {
            [format!("def f{file}():"), "    begin()".into(), "    work()".into(), "    end()".into()]
                .to_vec()
        };
        Self((0..files).map(|file| (format!("src/f{file:04}.py"), text(file))).collect())
    }

    /// Returns the lines of the file with this number.
    pub(crate) fn file(&mut self, file: u32) -> &mut Vec<String> {
        self.0.entry(format!("src/f{file:04}.py")).or_default()
    }

    /// Adds a finding with this tag before the last line of the file.
    pub(crate) fn add(&mut self, file: u32, tag: &str) {
        let lines = self.file(file);
        let at = lines.len().saturating_sub(1);
        lines.insert(at, format!("    {FOUND}  # {tag}"));
    }

    /// Removes the finding with this tag.
    pub(crate) fn fix(&mut self, tag: &str) {
        let end = format!("# {tag}");
        self.0.values_mut().for_each(|lines| lines.retain(|line| !line.ends_with(&end)));
    }

    pub(crate) fn rename(&mut self, file: u32, to: &str) {
        if let Some(lines) = self.0.remove(&format!("src/f{file:04}.py")) {
            self.0.insert(to.to_owned(), lines);
        }
    }

    /// Returns the findings in lines that the base does not contain.
    pub(crate) fn found_beyond(&self, base: &Self) -> BTreeSet<FindingPlace> {
        let known: BTreeSet<&String> = base.0.values().flatten().collect();
        let mut found = BTreeSet::new();
        for (path, lines) in &self.0 {
            for (line, text) in (1..).zip(lines) {
                if text.contains(FOUND) && !known.contains(text) {
                    found.insert((path.clone(), line));
                }
            }
        }
        found
    }

    /// Returns a commit that changes the tree `before` to this tree.
    pub(crate) fn commit_after(&self, before: &Self, message: &str) -> CommitBuilder {
        let mut commit = CommitBuilder::new(message);
        for path in before.0.keys().filter(|path| !self.0.contains_key(*path)) {
            commit = commit.delete(path);
        }
        for (path, lines) in self.0.iter().filter(|(path, lines)| before.0.get(*path) != Some(*lines)) {
            commit = commit.write(path, format!("{}\n", lines.join("\n")));
        }
        commit
    }
}

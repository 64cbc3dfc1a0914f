//! The files of the scenarios: their content, their findings, and the commits between them.

use std::collections::{BTreeMap, BTreeSet};

use truing_fakes::repo::CommitBuilder;

/// A line that a rule finds wherever it is added.
const FOUND: &str = "breakpoint()";

/// Files with their lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Vec<String>>);

/// A finding by its file and line.
pub(crate) type FindingPlace = (String, u32);

impl Tree {
    /// Makes a number of files of four lines.
    pub(crate) fn of(files: u32) -> Self {
        let text = |file| {
            [format!("def f{file}():"), "    begin()".into(), "    work()".into(), "    end()".into()]
                .to_vec()
        };
        Self((0..files).map(|file| (format!("src/f{file:04}.py"), text(file))).collect())
    }

    /// Returns the file of this number.
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

    /// Returns the findings that the base does not have.
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

    /// Makes the commit from another tree to this one.
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

//! The head, and the words of reviewers of open findings there.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use super::around::{ChangeSnapshot, SurroundingLines};
use super::page::{self, ComparedFile};
use super::statement::{self, StatementMarks};
use crate::finding::{DiffSide, Finding, FindingSource, FindingStatus};
use crate::id::FindingId;
use crate::increment::FileRenames;
use crate::line::cut;

/// Lines from a finding to what is beside it.
pub(super) const NEAR: u32 = 12;

/// Lines above a finding and below it that are remembered as they were: some more than those that are beside it.
const MAX_NEAR: u32 = NEAR + 4;

/// A reviewer's word on an open finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecheckStatus {
    /// The defect is there as before.
    StillThere,
    /// The defect is fixed.
    Fixed,
}

/// A reviewer's word, with the lines of the file that show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecheckVerdict {
    /// On which finding.
    pub finding: FindingId,
    /// The word.
    pub word: RecheckStatus,
    /// The file of the lines that show it; none: the finding's own.
    pub path: Option<RepoPath>,
    /// The lines that show it, first and last; none: no lines are named.
    pub lines: Option<(u32, u32)>,
    /// The text of these lines.
    pub excerpt: String,
}

/// One reviewer who has reported all it found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReviewerReport {
    /// The files that it was shown, or has read.
    pub seen: BTreeSet<RepoPath>,
    /// Its verdicts.
    pub verdicts: Vec<RecheckVerdict>,
}

/// The lines that a change adds, first and last, by file.
pub type AddedLines = BTreeMap<RepoPath, Vec<(u32, u32)>>;

/// The head, as far as findings of before need it.
pub struct HeadView<'a, T> {
    /// The text of a file, without secrets; none if there is no such file, or it cannot be read.
    pub(super) text: T,
    /// The changed files that can be read.
    pub(super) changed: &'a [RepoPath],
    /// Every file that the change is about, whether it can be read or not, and its added lines.
    pub(super) added: AddedLines,
    /// Files of the change that are deleted at the head.
    pub(super) deleted: BTreeSet<RepoPath>,
    /// The names that files had.
    pub(super) renames: &'a FileRenames,
    /// The files that were looked at.
    pub(super) pages: RefCell<BTreeMap<RepoPath, Option<Rc<ComparedFile>>>>,
    /// The lines of the change; none: they are more than is kept.
    pub(super) marks: OnceCell<Option<StatementMarks>>,
}

impl<'a, T: Fn(&RepoPath) -> Option<String>> HeadView<'a, T> {
    /// `text`: the text of a file, without secrets; none if there is no such file, or it cannot be read. `changed`: the
    /// changed files that can be read. `added`: every file that the change is about, whether it can be read or not, and its
    /// added lines. `deleted`: files of the change that are deleted at the head. `renames`: the names that files had.
    pub fn new(
        text: T,
        changed: &'a [RepoPath],
        (added, deleted): (AddedLines, BTreeSet<RepoPath>),
        renames: &'a FileRenames,
    ) -> Self {
        let (pages, marks) = (RefCell::default(), OnceCell::new());
        Self { text, changed, added, deleted, renames, pages, marks }
    }

    /// The lines beside these of a file; none if it cannot be read.
    pub fn around(&self, path: &RepoPath, lines: (u32, u32), snippet: &str) -> Option<SurroundingLines> {
        Some(SurroundingLines::of(&*self.page(path)?, lines, snippet, None))
    }

    /// A file, if it can be read.
    pub(super) fn page(&self, path: &RepoPath) -> Option<Rc<ComparedFile>> {
        if let Some(page) = self.pages.borrow().get(path) {
            return page.clone();
        }
        let page = (self.text)(path).map(|text| Rc::new(ComparedFile::new(text)));
        self.pages.borrow_mut().insert(path.clone(), page.clone());
        page
    }

    /// The lines of the change, for a finding that is seen at these lines.
    pub(super) fn seen(&self, page: &ComparedFile, lines: (u32, u32)) -> ChangeSnapshot {
        let marks = StatementMarks::beside(page, lines);
        let said = self.marks.get_or_init(|| self.said());
        let is_whole = said.as_ref().is_some_and(|said| said.len() + marks.len() <= statement::MAX_MARKS);
        let (first, last) = (lines.0.saturating_sub(MAX_NEAR), lines.1.saturating_add(MAX_NEAR));
        let near = page.text.lines().zip(1_u32..).filter(|(_, line)| (first..=last).contains(line));
        let near =
            near.map(|(text, _)| cut(text.to_owned(), page::MAX_LINE_CHARS)).collect::<Vec<_>>().join("\n");
        let marks = match said.as_ref().filter(|_| is_whole) {
            Some(said) => marks.with(said),
            None => marks,
        };
        ChangeSnapshot { marks, is_whole, near }
    }

    pub(super) fn said(&self) -> Option<StatementMarks> {
        let mut marks = Vec::new();
        for (path, added) in self.changed.iter().filter_map(|path| Some((path, self.added.get(path)?))) {
            let Some(page) = self.page(path) else { continue };
            let is_added = |one: &&statement::CodeStatement| added.iter().any(|lines| one.touches(*lines));
            marks.extend(page.statements().iter().filter(is_added).map(|one| one.own));
            if marks.len() > statement::MAX_MARKS {
                return None;
            }
        }
        Some(StatementMarks::of(marks))
    }
}

/// The findings that a model owes a word on: its own that are open.
pub fn owed(known: &[Finding]) -> impl Iterator<Item = &Finding> {
    known.iter().filter(|finding| is_owed(finding))
}

pub(super) fn is_owed(finding: &Finding) -> bool {
    finding.raw.source == FindingSource::Agent
        && finding.raw.place.side == DiffSide::New
        && matches!(finding.status, FindingStatus::Open | FindingStatus::Claimed)
}

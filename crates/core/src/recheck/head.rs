//! The head of a change, and reviewers' verdicts on open findings at this head.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use super::compared_file::{self, ComparedFile};
use super::statement::{self, StatementHashes};
use super::surroundings::{ChangeSnapshot, SurroundingLines};
use crate::finding::{DiffSide, Finding, FindingSource, FindingStatus};
use crate::id::FindingId;
use crate::increment::FileRenames;
use crate::line::truncate_text;

/// Maximum distance, in lines, at which code counts as near a finding.
pub(super) const NEAR_DISTANCE_LINES: u32 = 12;

/// Number of lines above and below a finding that are stored as text. The value is slightly greater than
/// `NEAR_DISTANCE_LINES`.
const STORED_NEAR_LINES: u32 = NEAR_DISTANCE_LINES + 4;

/// A reviewer's verdict on an open finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecheckStatus {
    /// The defect still exists.
    StillThere,
    /// The defect is fixed.
    Fixed,
}

/// A reviewer's verdict, with the lines of the file that support it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecheckVerdict {
    /// Finding that the verdict is about.
    pub finding: FindingId,
    /// Reported state of the finding.
    pub status: RecheckStatus,
    /// File of the supporting lines; `None` for the finding's own file.
    pub path: Option<RepoPath>,
    /// First and last supporting line; `None` if no lines are given.
    pub lines: Option<(u32, u32)>,
    /// Text of the supporting lines, as the reviewer quoted it.
    pub excerpt: String,
}

/// The report of one reviewer whose review is complete.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReviewerReport {
    /// Files that the reviewer was shown or has read.
    pub viewed_paths: BTreeSet<RepoPath>,
    /// Verdicts on open findings.
    pub verdicts: Vec<RecheckVerdict>,
}

/// The ranges of lines that a change adds to each file. Each range is a pair of its first and last line.
pub type AddedLines = BTreeMap<RepoPath, Vec<(u32, u32)>>;

/// The files and changes at the head. Earlier findings are compared with them.
pub struct HeadView<'a, T> {
    /// Reader of a file's text without secrets; returns `None` if the file does not exist or cannot be read.
    pub(super) read_text: T,
    /// Changed files that can be read.
    pub(super) changed_paths: &'a [RepoPath],
    /// Added lines of every file of the change, readable or not.
    pub(super) added_lines: AddedLines,
    /// Files that the change deletes.
    pub(super) deleted_paths: BTreeSet<RepoPath>,
    /// Former paths of renamed files.
    pub(super) renames: &'a FileRenames,
    /// Cache of the files that were read.
    pub(super) compared_files: RefCell<BTreeMap<RepoPath, Option<Rc<ComparedFile>>>>,
    /// Hashes of the statements that the change adds; `None` if there are more than the limit.
    pub(super) added_statement_hashes: OnceCell<Option<StatementHashes>>,
}

impl<'a, T: Fn(&RepoPath) -> Option<String>> HeadView<'a, T> {
    /// Creates a view of the head. `text` returns a file's text without secrets, or `None` if the file does
    /// not exist or cannot be read. `changed_paths` are the changed files that can be read. `added_lines`
    /// contains the added lines of every file of the change, `deleted` the files that the change deletes, and
    /// `renames` the earlier paths of files.
    pub fn new(
        text: T,
        changed_paths: &'a [RepoPath],
        added_lines: AddedLines,
        deleted: BTreeSet<RepoPath>,
        renames: &'a FileRenames,
    ) -> Self {
        let (pages, marks) = (RefCell::default(), OnceCell::new());
        Self {
            read_text: text,
            changed_paths,
            added_lines,
            deleted_paths: deleted,
            renames,
            compared_files: pages,
            added_statement_hashes: marks,
        }
    }

    /// Returns the surroundings of these lines in a file; `None` if the file cannot be read.
    pub fn lines_around(
        &self,
        path: &RepoPath,
        lines: (u32, u32),
        snippet: &str,
    ) -> Option<SurroundingLines> {
        Some(SurroundingLines::new(&*self.compared_file(path)?, lines.0, lines.1, snippet, None))
    }

    /// Returns a file, prepared for comparisons; `None` if the file cannot be read.
    pub(super) fn compared_file(&self, path: &RepoPath) -> Option<Rc<ComparedFile>> {
        if let Some(page) = self.compared_files.borrow().get(path) {
            return page.clone();
        }
        let page = (self.read_text)(path).map(|text| Rc::new(ComparedFile::new(text)));
        self.compared_files.borrow_mut().insert(path.clone(), page.clone());
        page
    }

    /// Creates the snapshot that is stored with a finding at these lines.
    pub(super) fn change_snapshot(&self, file: &ComparedFile, lines: (u32, u32)) -> ChangeSnapshot {
        let marks = StatementHashes::from_surroundings(file, lines.0, lines.1);
        let said = self.added_statement_hashes.get_or_init(|| self.hash_added_statements());
        let is_whole =
            said.as_ref().is_some_and(|said| said.len() + marks.len() <= statement::MAX_STATEMENT_HASHES);
        let (first, last) =
            (lines.0.saturating_sub(STORED_NEAR_LINES), lines.1.saturating_add(STORED_NEAR_LINES));
        let near = file.text.lines().zip(1_u32..).filter(|(_, line)| (first..=last).contains(line));
        let near = near
            .map(|(text, _)| truncate_text(text.to_owned(), compared_file::MAX_LINE_CHARS))
            .collect::<Vec<_>>()
            .join("\n");
        let marks = match said.as_ref().filter(|_| is_whole) {
            Some(said) => marks.union_with(said),
            None => marks,
        };
        ChangeSnapshot { marks, is_whole, near }
    }

    pub(super) fn hash_added_statements(&self) -> Option<StatementHashes> {
        let mut marks = Vec::new();
        for (path, added) in
            self.changed_paths.iter().filter_map(|path| Some((path, self.added_lines.get(path)?)))
        {
            let Some(page) = self.compared_file(path) else { continue };
            let is_added = |one: &&statement::CodeStatement| added.iter().any(|lines| one.touches(*lines));
            marks.extend(page.statements().iter().filter(is_added).map(|one| one.text_hash));
            if marks.len() > statement::MAX_STATEMENT_HASHES {
                return None;
            }
        }
        Some(StatementHashes::new(marks))
    }
}

/// Returns the findings that need a model's verdict: the open findings that a model reported.
pub fn findings_to_recheck(known_findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    known_findings.iter().filter(|finding| is_open_model_finding(finding))
}

pub(super) fn is_open_model_finding(finding: &Finding) -> bool {
    finding.raw.source == FindingSource::Agent
        && finding.raw.location.side == DiffSide::New
        && matches!(finding.status, FindingStatus::Open | FindingStatus::Claimed)
}

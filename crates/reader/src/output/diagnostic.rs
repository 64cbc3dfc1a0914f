//! Defines the types for diagnostics, which all tools share.

use truing_diff::RepoPath;

use crate::output::notebook::NotebookCell;
use crate::output::range::DiagnosticRange;

/// Maximum number of characters of a message.
pub const MAX_MESSAGE_CHARS: usize = 1000;
/// Maximum number of characters of a title.
pub const MAX_TITLE_CHARS: usize = 200;
/// Maximum number of bytes of a help text.
pub const MAX_HELP_BYTES: usize = 8 << 10;
/// Maximum number of characters of the name of a tool or a rule, of a tag, or of a fingerprint.
pub const MAX_NAME_CHARS: usize = 120;
/// Maximum number of bytes of the URL of a rule's page.
pub const MAX_PAGE_URL_BYTES: usize = 500;
/// Maximum number of tags of a diagnostic.
pub const MAX_TAGS: usize = 20;
/// Maximum number of fixes of a diagnostic.
pub const MAX_FIXES: usize = 10;
/// Maximum number of edits of a fix.
pub const MAX_EDITS: usize = 200;
/// Maximum number of bytes that the edits of one fix insert.
pub const MAX_NEW_TEXT_BYTES: usize = 64 << 10;

/// Severity that the tool assigns to a diagnostic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DiagnosticLevel {
    /// The tool reports an error.
    Error,
    /// The tool reports a warning, or does not report a level.
    Warning,
    /// The tool reports a level below a warning: a note, an information, a hint, a refactoring or a
    /// convention.
    Note,
}

/// A message that a tool reports for a location in the tree.
///
/// The reader of a format stores the texts unchanged.
/// [`DiagnosticCollector::push`](crate::output::report::DiagnosticCollector::push) replaces invisible
/// characters in every text and limits its length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    pub tool: String,
    /// Name of the rule, as the tool writes it.
    pub rule: Option<String>,
    /// Message in one line.
    pub message: String,
    /// Level that the tool assigns.
    pub level: DiagnosticLevel,
    /// Path of the file in the tree.
    pub path: RepoPath,
    pub range: DiagnosticRange,
    /// The cell of a notebook in which the lines of `range` are counted; `None` if they are the file's lines.
    pub cell: Option<NotebookCell>,
    /// Fingerprint by which the tool recognises the same diagnostic after the code has changed.
    pub fingerprint: Option<String>,
    /// URL of the page about the rule. The URL begins with `https://`.
    pub rule_page_url: Option<String>,
    /// Short description of the rule, on one line.
    pub title: Option<String>,
    /// Description of the rule, in Markdown. The Markdown is untrusted, so `truing_core::markdown` sanitizes
    /// it before the text is posted.
    pub help: Option<String>,
    /// The tool's tags for the kind of defect, in lower case (`security`, `external/cwe/cwe-89`).
    pub tags: Vec<String>,
    /// Alternative fixes. Each of them fixes the diagnostic completely.
    pub fixes: Vec<ToolFix>,
    /// True if the tool proposes a fix that is not marked as safe or that the tool does not apply by default.
    /// The list `fixes` does not contain such a fix.
    pub has_unsafe_fix: bool,
    /// True if the tool reports that the diagnostic is suppressed.
    pub is_suppressed: bool,
}

impl Diagnostic {
    /// Creates a diagnostic that contains only a tool name, a message and a location. Its level is a warning.
    pub fn new(
        tool: impl Into<String>,
        path: RepoPath,
        range: DiagnosticRange,
        message: impl Into<String>,
    ) -> Self {
        Self {
            tool: tool.into(),
            rule: None,
            message: message.into(),
            level: DiagnosticLevel::Warning,
            path,
            range,
            cell: None,
            fingerprint: None,
            rule_page_url: None,
            title: None,
            help: None,
            tags: Vec::new(),
            fixes: Vec::new(),
            has_unsafe_fix: false,
            is_suppressed: false,
        }
    }
}

/// A change that a tool proposes. All edits of the change must be applied together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolFix {
    /// Description of the fix, on one line.
    pub message: Option<String>,
    /// Edits of the fix. The ranges refer to the file before any edit is applied.
    pub edits: Vec<ToolEdit>,
}

/// Replacement of a range of a file by a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolEdit {
    /// Path of the file in the tree.
    pub path: RepoPath,
    /// Range that is replaced; empty for an insertion.
    pub range: DiagnosticRange,
    /// Replacement text, exactly as the tool printed it.
    pub new_text: String,
}

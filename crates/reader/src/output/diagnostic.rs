//! Diagnostics of tools, in one form for all tools.

use truing_diff::RepoPath;

use crate::output::range::DiagnosticRange;

/// The most characters of a message.
pub const MAX_MESSAGE_CHARS: usize = 1000;
/// The most characters of a title.
pub const MAX_TITLE_CHARS: usize = 200;
/// The most bytes of a help text.
pub const MAX_HELP_BYTES: usize = 8 << 10;
/// The most characters of the name of a tool, a rule, a tag or a fingerprint.
pub const MAX_NAME_CHARS: usize = 120;
/// The most bytes of the address of a rule's page.
pub const MAX_PAGE_BYTES: usize = 500;
/// The most tags of a diagnostic.
pub const MAX_TAGS: usize = 20;
/// The most fixes of a diagnostic.
pub const MAX_FIXES: usize = 10;
/// The most edits of a fix.
pub const MAX_EDITS: usize = 200;
/// The most bytes that the edits of one fix insert.
pub const MAX_NEW_TEXT_BYTES: usize = 64 << 10;

/// Severity that the tool assigns to a diagnostic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DiagnosticLevel {
    /// The tool reports an error.
    Error,
    /// The tool reports a warning or no level.
    Warning,
    /// The tool reports a note, an information, a hint, a refactoring or a convention.
    Note,
}

/// Report of a tool about a place in the tree.
///
/// A reader of a format fills it with the texts as they come.
/// [`DiagnosticCollector::push`](crate::output::report::DiagnosticCollector::push) makes every text visible
/// and bounds it.
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
    /// Fingerprint by which the tool recognises the diagnostic after a change.
    pub fingerprint: Option<String>,
    /// Page about the rule; its address begins with `https://`.
    pub rule_page: Option<String>,
    /// Short description of the rule, on one line.
    pub title: Option<String>,
    /// Description of the rule, in Markdown. Nothing in it is neutralised: `truing_core::markdown` does that
    /// before it is posted.
    pub help: Option<String>,
    /// Words of the tool for the kind of defect, in lower case (`security`, `external/cwe/cwe-89`).
    pub tags: Vec<String>,
    /// Alternative fixes, each complete by itself.
    pub fixes: Vec<ToolFix>,
    /// True if the tool proposes a fix that it does not call safe or never applies by default. Such a fix is
    /// not in `fixes`.
    pub has_unsafe_fix: bool,
    /// True if the tool reports that the diagnostic is suppressed.
    pub suppressed: bool,
}

impl Diagnostic {
    /// Creates a warning with only a message and a place.
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
            fingerprint: None,
            rule_page: None,
            title: None,
            help: None,
            tags: Vec::new(),
            fixes: Vec::new(),
            has_unsafe_fix: false,
            suppressed: false,
        }
    }
}

/// Change that a tool proposes, with all of its edits together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolFix {
    /// Description of the fix, on one line.
    pub message: Option<String>,
    /// Edits of the fix. Their ranges refer to the file before any of them.
    pub edits: Vec<ToolEdit>,
}

/// Replacement of a range of a file by a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolEdit {
    /// Path of the file in the tree.
    pub path: RepoPath,
    /// Range that is replaced; empty for an insertion.
    pub range: DiagnosticRange,
    /// Replacement text, exactly as the tool gave it.
    pub new_text: String,
}

//! A tool's diagnostics, in one form for all tools.

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

/// The tool's own judgement of how bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DiagnosticLevel {
    /// The tool calls it an error.
    Error,
    /// The tool calls it a warning, or says nothing.
    Warning,
    /// The tool calls it a note, an information, a hint, a refactoring or a convention.
    Note,
}

/// A statement of a tool about a place in the tree.
///
/// A reader of a format fills it with the texts as they come; [`DiagnosticCollector::push`](crate::output::report::DiagnosticCollector::push)
/// makes every text visible and bounds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The name of the tool.
    pub tool: String,
    /// The tool's name for the rule, as the tool writes it.
    pub rule: Option<String>,
    /// One line.
    pub message: String,
    /// The tool's judgement.
    pub level: DiagnosticLevel,
    /// The file, in the tree.
    pub path: RepoPath,
    /// The place in the file.
    pub range: DiagnosticRange,
    /// The tool's own mark by which it recognises the diagnostic after a change.
    pub fingerprint: Option<String>,
    /// A page about the rule; its address begins with `https://`.
    pub rule_page: Option<String>,
    /// The rule in a few words, on one line.
    pub title: Option<String>,
    /// The rule's description, in Markdown. Nothing in it is neutralised: `truing_core::markdown` does that before it is
    /// posted.
    pub help: Option<String>,
    /// The tool's words for the kind of defect, in lower case (`security`, `external/cwe/cwe-89`).
    pub tags: Vec<String>,
    /// Ways to fix it: each is one by itself.
    pub fixes: Vec<ToolFix>,
    /// Does the tool propose a fix that it does not call safe, or that it never makes of its own accord? It is none of `fixes`.
    pub has_unsafe_fix: bool,
    /// The tool says that somebody suppressed it.
    pub suppressed: bool,
}

impl Diagnostic {
    /// A warning without anything but a message at a place.
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

/// A change that a tool proposes: all of its edits together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolFix {
    /// A description, on one line.
    pub message: Option<String>,
    /// The edits. Their ranges count in the file as it is before any of them.
    pub edits: Vec<ToolEdit>,
}

/// A range of a file that becomes another text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolEdit {
    /// The file, in the tree.
    pub path: RepoPath,
    /// The text that goes; empty where text is inserted alone.
    pub range: DiagnosticRange,
    /// The text in its place, exactly as the tool gave it.
    pub new_text: String,
}

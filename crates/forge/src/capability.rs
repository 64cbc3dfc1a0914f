//! What each forge takes, as data: limits, places of comments, markers, suggestions, statuses. The code takes its
//! constants from here, and `docs/reference/forges.md` is made of it.

use truing_core::id::Span;
use truing_core::publish::Bounds;

#[cfg(test)]
mod page;

/// One forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// Its name, for people.
    pub name: &'static str,
    /// The beginning of the names of the tools that are served to agents.
    pub tool_prefix: &'static str,
    /// The longest comment, in characters.
    pub comment: usize,
    /// What of it is kept for the marker and the blank line above it.
    pub marker_room: usize,
    /// How a marker is hidden from people.
    pub marker: Marker,
    /// Which lines a comment may be on.
    pub lines: Lines,
    /// Can a comment be on a file as a whole?
    pub file_comments: bool,
    /// The most comments that we post in one call.
    pub batch: usize,
    /// Does it offer to apply a replacement of lines?
    pub suggestion: Suggestions,
    /// Whether a thread can be settled.
    pub threads: Threads,
    /// What is set on a commit, in order of preference.
    pub statuses: &'static [Status],
    /// The longest one-line description of a commit status, in characters.
    pub status_text: usize,
    /// Notes on lines of a commit in one call; 0 if there are none.
    pub annotations: usize,
    /// How many calls that create something it takes in a span of time.
    pub creations: &'static [(usize, Span)],
    /// The most items a page of a list.
    pub page: usize,
    /// Files of a pull request that it lists at most.
    pub files: usize,
    /// Files whose diff it gives in one answer at most; more are read with git, as we always do.
    pub diff_files: usize,
    /// Lines likewise.
    pub diff_lines: usize,
    /// How long a comment whose creation was not answered may stay unseen, unless an operator says otherwise.
    pub settle: Span,
}

/// How a marker is hidden.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marker {
    /// An HTML comment.
    HtmlComment,
}

/// Which lines a comment may be on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lines {
    /// One line or several of one hunk, added, removed or around them.
    OneHunk,
}

/// How a replacement of lines is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suggestions {
    /// A code block of this language, in a comment on exactly the lines.
    Block(&'static str),
}

/// Whether a thread can be settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// It is resolved and reopened, and the forge says who did.
    ResolvedBySomebody,
}

/// What is set on a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// A check run, by Apps only.
    CheckRun,
    /// A commit status, by everybody who may write.
    CommitStatus,
}

/// GitHub, at its own service and on other servers.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
pub const GITHUB: Capability = Capability {
    name: "GitHub",
    tool_prefix: "gh_",
    comment: 65_536,
    marker_room: 512,
    marker: Marker::HtmlComment,
    lines: Lines::OneHunk,
    file_comments: true,
    batch: 30,
    suggestion: Suggestions::Block("suggestion"),
    threads: Threads::ResolvedBySomebody,
    statuses: &[Status::CheckRun, Status::CommitStatus],
    status_text: 140,
    annotations: 50,
    creations: &[(80, Span::minutes(1)), (500, Span::minutes(60))],
    page: 100,
    files: 3_000,
    diff_files: 300,
    diff_lines: 20_000,
    settle: Span::seconds(30),
};

/// All that there are.
pub const ALL: &[Capability] = &[GITHUB];

impl Capability {
    /// What a plan must know of it; `settle` as it is configured.
    pub fn bounds(&self, settle: Span) -> Bounds {
        let suggestions = match self.suggestion {
            Suggestions::Block(_) => true,
        };
        Bounds { settle, body: self.comment - self.marker_room, batch: self.batch, suggestions }
    }
}

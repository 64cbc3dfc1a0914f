//! What each forge takes, as data: limits, places of comments, markers, suggestions, statuses. The code takes
//! its constants from here, and `docs/reference/forges.md` is made of it.

use truing_core::id::TimeSpan;
use truing_core::port::ForgeKind;
use truing_core::publish::PublishLimits;

use crate::pages::PageLayout;

#[cfg(test)]
mod page;

/// One forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForgeCapability {
    /// The kind of forge that it is a row of. A kind has several rows where versions differ.
    pub kind: ForgeKind,
    /// Its name, for people.
    pub name: &'static str,
    /// The beginning of the names of the tools that are served to agents.
    pub tool_prefix: &'static str,
    /// The earlier comment that an agent's comment replaces if it names no key. Read by the tools for agents.
    pub upserts: UpsertRule,
    /// The form of the pages that people see.
    pub pages: PageLayout,
    /// The longest comment, in UTF-16 units.
    pub comment: usize,
    /// What of it is kept for the marker and the blank line above it.
    pub marker_room: usize,
    /// How a marker is hidden from people.
    pub marker: MarkerForm,
    /// Which lines a comment may be on.
    pub lines: CommentableLines,
    /// The most comments that we post in one call.
    pub batch: usize,
    /// The commit that a comment on lines is placed on. For the publisher.
    pub anchored: AnchorCommit,
    /// True where people can apply a replacement of lines: a code block of the language `suggestion`, in a
    /// comment on exactly those lines.
    pub suggestions: bool,
    /// False where anybody may choose the name of somebody else. Read by converge and by the
    /// client, which knows our former accounts.
    pub unique_names: bool,
    /// The thing that a review of a loop is. Read by the table of effects.
    pub reviews: ReviewPosting,
    /// True where a pull request can be a draft. For converge and sync, before they ask for one.
    pub drafts: bool,
    /// True where pull requests have labels. Read by sync.
    pub labels: bool,
    /// True where a repository has issues. For sync, which asks and tracks there.
    pub issues: bool,
    /// True where reactions to a comment can be read. For converge, which waits for reviewers.
    pub reactions: bool,
    /// True where the forge merges a base into a branch; elsewhere git does, and it is pushed. For converge.
    pub update_branch: bool,
    /// True where the repository that a pull request goes to has the commits of forks, too. For whoever
    /// fetches the head.
    pub fork_heads: bool,
    /// The right that our token needs to find out who may write; without it no command in a comment is
    /// obeyed. Read by the demo.
    pub permission: LookupPermission,
    /// What is set on a commit, in order of preference.
    pub statuses: &'static [StatusKind],
    /// The longest one-line description of a commit status, in characters.
    pub status_text: usize,
    /// Notes on lines of a commit in one call; 0 if there are none.
    pub annotations: usize,
    /// Notes on lines of a report; 0 where a check has no such bound.
    pub report_annotations: usize,
    /// How many calls that create something it takes in a span of time.
    pub creations: &'static [(usize, TimeSpan)],
    /// The calls that it takes in an hour, where it does not tell what is left of them; 0 where it tells, or
    /// takes any. Read by the sweep.
    pub calls_an_hour: u64,
    /// The most items a page of a list.
    pub page: usize,
    /// Files of a pull request that it lists at most; 0 where that is not published.
    pub files: usize,
    /// Files whose diff it gives in one answer at most; more are read with git, as we always do. 0 where that
    /// is not published.
    pub diff_files: usize,
    /// Lines likewise.
    pub diff_lines: usize,
    /// The consequence of a delivery that is refused. Read by the ingress while the kill switch is on.
    pub refused: RefusalConsequence,
    /// How long a comment whose creation was not answered may stay unseen, unless an operator says otherwise.
    pub settle: TimeSpan,
}

/// The earlier comment that an agent's comment on lines replaces if it names no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpsertRule {
    /// The one on the same lines, whatever it says of them.
    ByPlace,
    /// The one on the same lines with the same text, white space apart: another text is another comment.
    ByText,
}

/// How a marker is hidden.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkerForm {
    /// An HTML comment.
    HtmlComment,
    /// A link reference that nothing refers to, `[//]: # (…)`, where HTML is shown as text. CommonMark shows
    /// nothing of it.
    LinkReference,
}

/// Which lines a comment may be on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommentableLines {
    /// One line or several of one hunk, added, removed or around them.
    OneHunk,
    /// One line, added, removed or around those.
    OneLine,
}

/// The commit that a comment on lines is placed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnchorCommit {
    /// The one that the call names.
    Commit,
    /// The head at that moment, whichever it is: the head has to be read before and after.
    Head,
}

/// The thing that a review of a loop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewPosting {
    /// One object, with comments on lines, made in one call.
    Object,
    /// A comment with our marker, and comments on lines beside it.
    Comment,
}

/// The right that our token needs to find out who may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupPermission {
    /// To write to the repository.
    Write,
    /// To administer the repository.
    Admin,
    /// To be a user.
    User,
}

/// The consequence of a delivery that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalConsequence {
    /// This delivery is lost, or sent again.
    LosesIt,
    /// After several refusals the forge stops calling the webhook, in the end for hours.
    SilencesTheHook,
}

/// What is set on a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusKind {
    /// A check run, by Apps only.
    CheckRun,
    /// A commit status, by everybody who may write.
    CommitStatus,
    /// A report with notes on lines.
    Report,
    /// A build status, by everybody who may write.
    BuildStatus,
}

/// GitHub, at its own service and on other servers.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
pub const GITHUB: ForgeCapability = ForgeCapability {
    kind: ForgeKind::Github,
    name: "GitHub",
    tool_prefix: "gh_",
    upserts: UpsertRule::ByPlace,
    pages: PageLayout::OfOwners,
    comment: 65_536,
    marker_room: 512,
    marker: MarkerForm::HtmlComment,
    lines: CommentableLines::OneHunk,
    batch: 30,
    anchored: AnchorCommit::Commit,
    suggestions: true,
    unique_names: true,
    reviews: ReviewPosting::Object,
    drafts: true,
    labels: true,
    issues: true,
    reactions: true,
    update_branch: true,
    fork_heads: true,
    permission: LookupPermission::Write,
    statuses: &[StatusKind::CheckRun, StatusKind::CommitStatus],
    status_text: 140,
    annotations: 50,
    report_annotations: 0,
    creations: &[(80, TimeSpan::minutes(1)), (500, TimeSpan::minutes(60))],
    calls_an_hour: 0,
    page: 100,
    files: 3_000,
    diff_files: 300,
    diff_lines: 20_000,
    refused: RefusalConsequence::LosesIt,
    settle: TimeSpan::seconds(30),
};

/// Bitbucket Cloud. What is not published there is from ADR 78, which says where it was observed.
/// <https://developer.atlassian.com/cloud/bitbucket/rest/>
pub const BITBUCKET_CLOUD: ForgeCapability = ForgeCapability {
    kind: ForgeKind::Bitbucket,
    name: "Bitbucket Cloud",
    tool_prefix: "bb_",
    upserts: UpsertRule::ByText,
    pages: PageLayout::OfWorkspaces,
    comment: 31_000,
    marker_room: 512,
    marker: MarkerForm::LinkReference,
    lines: CommentableLines::OneHunk,
    batch: 1,
    anchored: AnchorCommit::Head,
    suggestions: false,
    unique_names: false,
    reviews: ReviewPosting::Comment,
    drafts: true,
    labels: false,
    issues: false,
    reactions: false,
    update_branch: false,
    fork_heads: false,
    permission: LookupPermission::Admin,
    statuses: &[StatusKind::Report, StatusKind::BuildStatus],
    status_text: 255,
    annotations: 100,
    report_annotations: 1_000,
    creations: &[],
    calls_an_hour: 1_000,
    page: 100,
    files: 0,
    diff_files: 0,
    diff_lines: 0,
    refused: RefusalConsequence::LosesIt,
    settle: TimeSpan::seconds(30),
};

/// Bitbucket Data Center from 9.3 on, where a comment may be on several lines.
/// <https://developer.atlassian.com/server/bitbucket/rest/>
pub const BITBUCKET_DC: ForgeCapability = ForgeCapability {
    kind: ForgeKind::BitbucketDc,
    name: "Bitbucket Data Center",
    tool_prefix: "bb_",
    upserts: UpsertRule::ByText,
    pages: PageLayout::OfProjects,
    comment: 32_767,
    marker_room: 512,
    marker: MarkerForm::LinkReference,
    lines: CommentableLines::OneHunk,
    batch: 1,
    anchored: AnchorCommit::Commit,
    suggestions: true,
    unique_names: true,
    reviews: ReviewPosting::Comment,
    drafts: true,
    labels: false,
    issues: false,
    reactions: false,
    update_branch: false,
    fork_heads: true,
    permission: LookupPermission::User,
    statuses: &[StatusKind::Report, StatusKind::BuildStatus],
    status_text: 255,
    annotations: 1_000,
    report_annotations: 1_000,
    creations: &[],
    calls_an_hour: 0,
    page: 100,
    files: 0,
    diff_files: 0,
    diff_lines: 0,
    refused: RefusalConsequence::SilencesTheHook,
    settle: TimeSpan::seconds(30),
};

/// Bitbucket Data Center from 8.18 to 9.2: a comment is on one line. A replacement of several lines is none
/// of one line, so none is offered.
pub const BITBUCKET_DC_8_18: ForgeCapability = ForgeCapability {
    name: "Bitbucket Data Center 8.18 to 9.2",
    lines: CommentableLines::OneLine,
    suggestions: false,
    ..BITBUCKET_DC
};

/// Bitbucket Data Center before 8.18, and of a version that is not known: there are no drafts either.
pub const BITBUCKET_DC_OLD: ForgeCapability =
    ForgeCapability { name: "Bitbucket Data Center before 8.18", drafts: false, ..BITBUCKET_DC_8_18 };

/// All that there are.
pub const ALL: &[ForgeCapability] =
    &[GITHUB, BITBUCKET_CLOUD, BITBUCKET_DC, BITBUCKET_DC_8_18, BITBUCKET_DC_OLD];

/// The row of a kind of forge, of its newest version.
pub fn of(kind: ForgeKind) -> &'static ForgeCapability {
    match kind {
        ForgeKind::Github => &GITHUB,
        ForgeKind::Bitbucket => &BITBUCKET_CLOUD,
        ForgeKind::BitbucketDc => &BITBUCKET_DC,
    }
}

/// The row of a Data Center of this version; the narrowest of one that is not known.
pub fn data_center(version: Option<(u32, u32)>) -> &'static ForgeCapability {
    match version {
        Some(version) if version >= (9, 3) => &BITBUCKET_DC,
        Some(version) if version >= (8, 18) => &BITBUCKET_DC_8_18,
        Some(_) | None => &BITBUCKET_DC_OLD,
    }
}

impl ForgeCapability {
    /// What a plan must know of it; `settle` as it is configured.
    pub fn bounds(&self, settle: TimeSpan) -> PublishLimits {
        let follows_head = match self.anchored {
            AnchorCommit::Commit => false,
            AnchorCommit::Head => true,
        };
        let (body, batch, suggestions) = (self.comment - self.marker_room, self.batch, self.suggestions);
        PublishLimits { settle, body, batch, suggestions, follows_head }
    }
}

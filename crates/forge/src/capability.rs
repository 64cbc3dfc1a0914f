//! A table with the capabilities and limits of each forge: lengths, positions of comments, markers,
//! suggestions and statuses. All code reads these values from the table, and `docs/reference/forges.md` is
//! generated from the table.

use truing_core::id::TimeSpan;
use truing_core::port::ForgeKind;
use truing_core::publish::PublishLimits;

use crate::pages::PageUrlLayout;

#[cfg(test)]
mod page;

/// The capabilities and limits of a forge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForgeCapability {
    /// Kind of forge. If versions of a forge differ, the kind has several rows.
    pub kind: ForgeKind,
    /// Name of the forge, for people.
    pub name: &'static str,
    /// Prefix of the names of the tools that are served to agents.
    pub tool_prefix: &'static str,
    /// Rule that selects an earlier comment to be replaced if an agent posts a comment without a key. Used by
    /// the tools for agents.
    pub upsert_rule: UpsertRule,
    /// Layout of the addresses of web pages.
    pub page_urls: PageUrlLayout,
    /// Maximum length of a comment, in UTF-16 code units.
    pub max_comment_length: usize,
    /// Part of the maximum length of a comment that is reserved for the marker and the blank line above the
    /// marker.
    pub reserved_marker_length: usize,
    /// Syntax that hides a marker from people.
    pub marker_syntax: MarkerSyntax,
    /// Lines that one comment may cover.
    pub commentable_lines: CommentableLines,
    /// Maximum number of comments that Truing posts in one call.
    pub max_comments_per_call: usize,
    /// Commit to which the forge attaches a comment on lines. Used by the publisher.
    pub anchor_commit: AnchorCommit,
    /// True if readers can apply a replacement of lines. The replacement is a code block of the language
    /// `suggestion`, in a comment on exactly the replaced lines.
    pub suggestions: bool,
    /// False if several accounts can have the same name. Used by converge, and by the client to recognise
    /// Truing's former accounts.
    pub has_unique_account_names: bool,
    /// Format in which a loop posts a review. Used by the table of effects.
    pub review_posting: ReviewPosting,
    /// True if a pull request can be a draft. Used by converge and sync before they request a draft.
    pub drafts: bool,
    /// True if pull requests have labels. Read by sync.
    pub labels: bool,
    /// True if repositories can have issues. Used by sync, which asks questions and tracks work in issues.
    pub issues: bool,
    /// True if reactions to a comment can be read. Used by converge, which waits for reviewers' reactions.
    pub reactions: bool,
    /// True if the forge can merge a base into a branch. If false, converge merges with git and pushes the
    /// result.
    pub can_update_branch: bool,
    /// True if the heads of pull requests from forks can be fetched from the base repository. Used by the
    /// code that fetches the head.
    pub can_fetch_fork_heads: bool,
    /// Permission that Truing's token needs to read which accounts may write. Without this permission, all
    /// commands in comments are ignored. Used by the demo.
    pub writer_lookup_permission: WriterLookupPermission,
    /// Kinds of status that Truing sets on a commit, in order of preference.
    pub status_kinds: &'static [StatusKind],
    /// Maximum length of the one-line description of a commit status, in characters.
    pub max_status_description_chars: usize,
    /// Maximum number of annotations on a commit's lines in one call; 0 if the forge has no annotations.
    pub max_annotations_per_call: usize,
    /// Maximum number of annotations in one report; 0 if there is no such limit.
    pub max_annotations_per_report: usize,
    /// Rate limits for create calls: each is a number of calls and a time span.
    pub creation_limits: &'static [(usize, TimeSpan)],
    /// Maximum number of calls per hour, for forges whose responses do not report the remaining calls. 0 if
    /// the responses report the remaining calls, or if there is no limit. Used by the sweep.
    pub max_calls_per_hour: u64,
    /// Maximum number of items on a page of a list.
    pub max_page_size: usize,
    /// Maximum number of files of a pull request that are listed; 0 where the limit is not published.
    pub max_listed_files: usize,
    /// Maximum number of files whose diff one response contains; 0 where the limit is not published. Truing
    /// always reads diffs with git, which has no such limit.
    pub max_diff_files: usize,
    /// Maximum number of diff lines in one response; 0 where the limit is not published.
    pub max_diff_lines: usize,
    /// Forge's reaction to a rejected webhook delivery. Used by the ingress while the kill switch is on.
    pub rejected_delivery_consequence: RejectedDeliveryConsequence,
    /// Maximum time until the forge shows a new comment. This time is needed if the response to the create
    /// request was lost. Operators can configure another value.
    pub settle_delay: TimeSpan,
}

/// The rule that selects an earlier comment on lines to be replaced if an agent posts a comment without a
/// key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpsertRule {
    /// The comment on the same lines, with any text.
    ByLocation,
    /// The comment on the same lines with the same text, ignoring white space. A comment with a different
    /// text is not replaced.
    ByLocationAndText,
}

/// The syntax that hides a marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkerSyntax {
    HtmlComment,
    /// An unused link reference, `[//]: # (…)`, for forges that display HTML as text. Markdown renderers do
    /// not display such a reference.
    LinkReference,
}

/// The lines that one comment may cover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommentableLines {
    /// One or more lines of one hunk: added, removed or context.
    OneHunk,
    /// One line: added, removed or context.
    OneLine,
}

/// The commit to which the forge attaches a comment on lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnchorCommit {
    /// The commit that the call contains.
    NamedCommit,
    /// The head at the time of the call. Truing must therefore read the head before and after the call.
    Head,
}

/// The format in which a loop posts a review.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReviewPosting {
    /// One review object with its comments on lines, created in one call.
    ReviewObject,
    /// A comment with Truing's marker, and separate comments on lines.
    Comment,
}

/// The permission that Truing's token needs to read which accounts may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriterLookupPermission {
    /// Write access to the repository.
    Write,
    /// Administration of the repository.
    Admin,
    /// Any login as a user of the server.
    AnyUserLogin,
}

/// The forge's reaction to a rejected webhook delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectedDeliveryConsequence {
    /// The forge drops this delivery or sends it again; other deliveries are not affected.
    DeliveryLost,
    /// After several rejections, the forge suspends the webhook. Repeated suspensions last longer, up to
    /// hours.
    HookSuspended,
}

/// A kind of status on a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatusKind {
    /// A check run, which only Apps can create.
    CheckRun,
    /// A commit status, which every account with write access can set.
    CommitStatus,
    /// A report with annotations on lines.
    Report,
    /// A build status, which every account with write access can set.
    BuildStatus,
}

/// GitHub.com and GitHub Enterprise Server.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
pub const GITHUB: ForgeCapability = ForgeCapability {
    kind: ForgeKind::Github,
    name: "GitHub",
    tool_prefix: "gh_",
    upsert_rule: UpsertRule::ByLocation,
    page_urls: PageUrlLayout::OwnerPath,
    max_comment_length: 65_536,
    reserved_marker_length: 512,
    marker_syntax: MarkerSyntax::HtmlComment,
    commentable_lines: CommentableLines::OneHunk,
    max_comments_per_call: 30,
    anchor_commit: AnchorCommit::NamedCommit,
    suggestions: true,
    has_unique_account_names: true,
    review_posting: ReviewPosting::ReviewObject,
    drafts: true,
    labels: true,
    issues: true,
    reactions: true,
    can_update_branch: true,
    can_fetch_fork_heads: true,
    writer_lookup_permission: WriterLookupPermission::Write,
    status_kinds: &[StatusKind::CheckRun, StatusKind::CommitStatus],
    max_status_description_chars: 140,
    max_annotations_per_call: 50,
    max_annotations_per_report: 0,
    creation_limits: &[(80, TimeSpan::minutes(1)), (500, TimeSpan::minutes(60))],
    max_calls_per_hour: 0,
    max_page_size: 100,
    max_listed_files: 3_000,
    max_diff_files: 300,
    max_diff_lines: 20_000,
    rejected_delivery_consequence: RejectedDeliveryConsequence::DeliveryLost,
    settle_delay: TimeSpan::seconds(30),
};

/// Bitbucket Cloud. Values that Bitbucket does not publish were observed; ADR 78 records the sources.
/// <https://developer.atlassian.com/cloud/bitbucket/rest/>
pub const BITBUCKET_CLOUD: ForgeCapability = ForgeCapability {
    kind: ForgeKind::Bitbucket,
    name: "Bitbucket Cloud",
    tool_prefix: "bb_",
    upsert_rule: UpsertRule::ByLocationAndText,
    page_urls: PageUrlLayout::WorkspacePath,
    max_comment_length: 31_000,
    reserved_marker_length: 512,
    marker_syntax: MarkerSyntax::LinkReference,
    commentable_lines: CommentableLines::OneHunk,
    max_comments_per_call: 1,
    anchor_commit: AnchorCommit::Head,
    suggestions: false,
    has_unique_account_names: false,
    review_posting: ReviewPosting::Comment,
    drafts: true,
    labels: false,
    issues: false,
    reactions: false,
    can_update_branch: false,
    can_fetch_fork_heads: false,
    writer_lookup_permission: WriterLookupPermission::Admin,
    status_kinds: &[StatusKind::Report, StatusKind::BuildStatus],
    max_status_description_chars: 255,
    max_annotations_per_call: 100,
    max_annotations_per_report: 1_000,
    creation_limits: &[],
    max_calls_per_hour: 1_000,
    max_page_size: 100,
    max_listed_files: 0,
    max_diff_files: 0,
    max_diff_lines: 0,
    rejected_delivery_consequence: RejectedDeliveryConsequence::DeliveryLost,
    settle_delay: TimeSpan::seconds(30),
};

/// Bitbucket Data Center from 9.3 on, where a comment may cover several lines.
/// <https://developer.atlassian.com/server/bitbucket/rest/>
pub const BITBUCKET_DC: ForgeCapability = ForgeCapability {
    kind: ForgeKind::BitbucketDc,
    name: "Bitbucket Data Center",
    tool_prefix: "bb_",
    upsert_rule: UpsertRule::ByLocationAndText,
    page_urls: PageUrlLayout::ProjectPath,
    max_comment_length: 32_767,
    reserved_marker_length: 512,
    marker_syntax: MarkerSyntax::LinkReference,
    commentable_lines: CommentableLines::OneHunk,
    max_comments_per_call: 1,
    anchor_commit: AnchorCommit::NamedCommit,
    suggestions: true,
    has_unique_account_names: true,
    review_posting: ReviewPosting::Comment,
    drafts: true,
    labels: false,
    issues: false,
    reactions: false,
    can_update_branch: false,
    can_fetch_fork_heads: true,
    writer_lookup_permission: WriterLookupPermission::AnyUserLogin,
    status_kinds: &[StatusKind::Report, StatusKind::BuildStatus],
    max_status_description_chars: 255,
    max_annotations_per_call: 1_000,
    max_annotations_per_report: 1_000,
    creation_limits: &[],
    max_calls_per_hour: 0,
    max_page_size: 100,
    max_listed_files: 0,
    max_diff_files: 0,
    max_diff_lines: 0,
    rejected_delivery_consequence: RejectedDeliveryConsequence::HookSuspended,
    settle_delay: TimeSpan::seconds(30),
};

/// Bitbucket Data Center from 8.18 to 9.2, where a comment covers one line. These versions cannot apply a
/// replacement of several lines, so suggestions are disabled.
pub const BITBUCKET_DC_8_18: ForgeCapability = ForgeCapability {
    name: "Bitbucket Data Center 8.18 to 9.2",
    commentable_lines: CommentableLines::OneLine,
    suggestions: false,
    ..BITBUCKET_DC
};

/// Bitbucket Data Center before 8.18 or of unknown version: the same limits as [`BITBUCKET_DC_8_18`], and no
/// drafts.
pub const BITBUCKET_DC_BEFORE_8_18: ForgeCapability =
    ForgeCapability { name: "Bitbucket Data Center before 8.18", drafts: false, ..BITBUCKET_DC_8_18 };

/// The rows of all forges and versions.
pub const CAPABILITY_TABLE: &[ForgeCapability] =
    &[GITHUB, BITBUCKET_CLOUD, BITBUCKET_DC, BITBUCKET_DC_8_18, BITBUCKET_DC_BEFORE_8_18];

/// Returns the row for the newest version of a kind of forge.
pub fn forge_capability(kind: ForgeKind) -> &'static ForgeCapability {
    match kind {
        ForgeKind::Github => &GITHUB,
        ForgeKind::Bitbucket => &BITBUCKET_CLOUD,
        ForgeKind::BitbucketDc => &BITBUCKET_DC,
    }
}

/// Returns the row of a Data Center of this version, or the most limited row if the version is not known.
pub fn data_center_capability(version: Option<(u32, u32)>) -> &'static ForgeCapability {
    match version {
        Some(version) if version >= (9, 3) => &BITBUCKET_DC,
        Some(version) if version >= (8, 18) => &BITBUCKET_DC_8_18,
        Some(_) | None => &BITBUCKET_DC_BEFORE_8_18,
    }
}

impl ForgeCapability {
    /// Returns the limits that a publish plan needs, with the configured settle delay.
    pub fn publish_limits(&self, settle_delay: TimeSpan) -> PublishLimits {
        let follows_head = match self.anchor_commit {
            AnchorCommit::NamedCommit => false,
            AnchorCommit::Head => true,
        };
        let (body, batch, suggestions) = (
            self.max_comment_length - self.reserved_marker_length,
            self.max_comments_per_call,
            self.suggestions,
        );
        PublishLimits {
            settle_delay,
            max_body_length: body,
            max_batch_size: batch,
            offers_suggestions: suggestions,
            comments_on_current_head: follows_head,
        }
    }
}

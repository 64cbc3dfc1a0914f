//! Compares the desired comments of a pull request with the comments at the forge, and plans the steps that
//! change the comments to the desired state.
//!
//! This module is pure. [`plan_publish`] compares the desired comments with the observed comments, and with
//! comments whose creation is not confirmed. The publisher (crate `forge`) executes the plan.

mod check;
mod text_truncation;

use serde::{Deserialize, Serialize};

pub use self::check::{CheckAnnotation, CheckConclusion, CheckContent, MAX_ANNOTATIONS};
use crate::dismissal::{RetractionScope, short_id};
use crate::finding::{AnchorKind, CodeLocation, SuggestedFix};
use crate::id::{CommentId, FindingId, Sha, ThreadId, TimeSpan, Topic, UnixMillis};
use crate::markdown;
use text_truncation::{truncate_markdown, utf16_length};

/// Producer of a comment. A plan affects only the comments of one producer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentProducer {
    Review,
    Converge,
    Sync,
    /// An agent that calls Truing's tools over MCP.
    Mcp,
}

impl CommentProducer {
    /// All producers of comments.
    pub const ALL: [Self; 4] = [Self::Review, Self::Converge, Self::Sync, Self::Mcp];

    /// Returns the word used in markers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Converge => "converge",
            Self::Sync => "sync",
            Self::Mcp => "mcp",
        }
    }
}

/// Prefix of the topics of comment subjects.
const TOPIC_PREFIX: &str = "item/";

/// Subject of one comment; each subject has at most one comment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentSubject {
    /// The summary of the pull request.
    Summary,
    Finding(FindingId),
}

impl CommentSubject {
    /// Returns the word used in markers: `summary` or the finding's id.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Summary => "summary",
            Self::Finding(id) => id.as_str(),
        }
    }

    /// Returns the idempotency key of the comment on this subject.
    pub fn topic(&self) -> Topic {
        Topic::new(format!("{TOPIC_PREFIX}{}", self.as_str()))
    }

    /// Parses the topic of a comment subject; returns `None` for other topics. The inverse of
    /// [`CommentSubject::topic`].
    pub fn from_topic(topic: &Topic) -> Option<Self> {
        topic.as_str().strip_prefix(TOPIC_PREFIX).map(Self::from_word)
    }

    /// Parses a word; the inverse of [`CommentSubject::as_str`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "summary" => Self::Summary,
            id => Self::Finding(FindingId::new(id)),
        }
    }
}

/// Heading above a replacement that is shown as code, at forges where readers cannot apply replacements.
const REPLACEMENT_HEADING: &str = "Proposed replacement of these lines:";

/// Desired state of one comment: its location and content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredComment {
    /// Subject of the comment.
    #[serde(rename = "item")]
    pub subject: CommentSubject,
    /// Location of the comment; `None` for the summary. If the forge refuses the location, the publisher may
    /// choose a less precise location, for example the file instead of lines.
    #[serde(rename = "place")]
    pub location: Option<(AnchorKind, CodeLocation)>,
    /// Text without the marker.
    pub body: String,
    /// Validated replacement for exactly the lines of `location`, on the new side. The replacement is shown
    /// only if the comment is on exactly these lines.
    #[serde(default)]
    pub suggestion: Option<SuggestedFix>,
    /// True if the replacement is shown as code at forges where readers cannot apply replacements. Set for a
    /// model's finding, whose fix is only in `suggestion`. The body of a rule's finding describes the fix.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "is_proposed")]
    pub falls_back_to_code_block: bool,
    /// True if the thread should be resolved.
    pub resolved: bool,
    /// Comments on the subject that should be deleted; `None` if no comment should be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retraction: Option<RetractionScope>,
    /// Comment on this subject at the forge; `None` while no such comment is recorded.
    pub comment: Option<CommentId>,
}

impl DesiredComment {
    /// Creates the row of the summary.
    pub fn for_summary(body: String) -> Self {
        Self {
            subject: CommentSubject::Summary,
            location: None,
            body,
            suggestion: None,
            falls_back_to_code_block: false,
            resolved: false,
            retraction: None,
            comment: None,
        }
    }

    /// Returns the text of a new comment, without the marker.
    pub fn new_body(&self, bounds: &PublishLimits) -> String {
        let inline = matches!(&self.location, Some((AnchorKind::Inline, _)));
        self.body_with_suggestion(bounds, self.suggestion_text(bounds).filter(|_| inline))
    }

    /// Returns the text of an existing comment, without the marker. The suggestion is included only if the
    /// comment already contains it. The forge applies a suggestion to the lines of the original comment, so a
    /// new suggestion might not fit.
    fn body_keeping_suggestion(&self, bounds: &PublishLimits, existing_body: &str) -> String {
        let has = |suggested: &String| trim_line_ends(existing_body).contains(&trim_line_ends(suggested));
        self.body_with_suggestion(bounds, self.suggestion_text(bounds).filter(has))
    }

    fn suggestion_text(&self, bounds: &PublishLimits) -> Option<String> {
        let SuggestedFix { replacement } = self.suggestion.as_ref().filter(|_| !self.resolved)?;
        match (bounds.offers_suggestions, self.falls_back_to_code_block) {
            (true, _) => markdown::suggestion_block(replacement),
            (false, true) => {
                Some(format!("{REPLACEMENT_HEADING}\n\n{}", markdown::code_block("", replacement)))
            }
            (false, false) => None,
        }
    }

    fn body_with_suggestion(&self, bounds: &PublishLimits, suggested: Option<String>) -> String {
        match suggested.map(|suggested| format!("\n\n{suggested}")) {
            Some(end) if utf16_length(&end) < bounds.max_body_length / 2 => {
                truncate_markdown(&self.body, bounds.max_body_length - utf16_length(&end)) + &end
            }
            Some(_) | None => truncate_markdown(&self.body, bounds.max_body_length),
        }
    }
}

/// Limits and capabilities of a forge that affect a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishLimits {
    /// Maximum time until the forge shows a comment whose create request got no response.
    pub settle_delay: TimeSpan,
    /// Maximum length of a comment without its marker, in UTF-16 units.
    pub max_body_length: usize,
    /// Maximum number of comments in one create request; not 0.
    pub max_batch_size: usize,
    /// True if readers can apply replacements of lines at this forge.
    pub offers_suggestions: bool,
    /// True if the forge places new comments on the current head of the pull request instead of a given
    /// commit.
    pub comments_on_current_head: bool,
}

/// A comment on the pull request by one of Truing's accounts, with Truing's marker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedComment {
    pub id: CommentId,
    /// Subject according to the marker.
    pub subject: CommentSubject,
    /// Text without the marker.
    pub body: String,
    /// Current last line. `None` for a comment on a file or in the conversation, or if the forge does not
    /// report the line.
    pub line: Option<u32>,
    /// Thread that the comment began; `None` if the forge has no thread for the comment (the summary).
    pub thread: Option<ForgeThread>,
    /// True if the comment has replies.
    pub has_replies: bool,
    /// Creation time by the forge's clock.
    pub created: UnixMillis,
    /// Rights of the current account to rewrite, adopt and delete the comment.
    pub rights: CommentRights,
}

/// Rights of the current account to change a comment by Truing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CommentRights {
    /// The comment may be changed: our current account wrote it, and its marker verifies.
    CurrentAccount,
    /// The comment may not be changed, because a former account of Truing wrote it, and no account can edit
    /// another account's comments. A finding's comment is still used. A summary must be updatable, so a new
    /// summary replaces the old summary.
    FormerAccount,
    /// The comment may not be changed, because its marker is signed with a key that this configuration lacks.
    /// It still counts as the comment on its subject.
    UnknownKey,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeThread {
    /// Id of the thread at the forge.
    pub id: ThreadId,
    pub state: ThreadState,
}

/// State of a thread: open, or resolved by our current account or by another account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadState {
    /// The thread is open.
    Open,
    /// Our current account has resolved the thread.
    ResolvedByUs,
    /// Another account has resolved the thread.
    ResolvedByOthers,
}

/// A comment whose creation was requested but not confirmed. The effect that creates it is open in the effect
/// log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnconfirmedComment {
    /// Subject of the comment.
    pub subject: CommentSubject,
    /// Time at which the creation was announced in the log or last failed, whichever is later.
    pub last_attempt_at: UnixMillis,
}

/// Desired status of the head commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredStatus {
    pub sha: Sha,
    pub state: StatusState,
    /// One line of at most 140 characters (GitHub's limit).
    pub description: String,
    /// Content of the check run. Forges with check runs show it instead of the status.
    #[serde(default)]
    pub check: CheckContent,
}

/// States of a commit status that every forge supports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Reviewed without blocking findings, or nothing to review.
    Success,
    /// Blocking findings are open.
    Failure,
    /// The review is partial, deferred or failed, so there is no verdict.
    Pending,
}

/// One step that brings the forge closer to the desired state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishStep {
    /// Records this existing comment as the comment on the subject. Its marker names the subject.
    Adopt {
        /// Subject of the desired comment.
        subject: CommentSubject,
        comment: CommentId,
    },
    /// Deletes a comment by Truing: an exact duplicate without replies, a comment on a wrong line, or a
    /// retracted comment.
    Delete {
        comment: CommentId,
        /// Subject of the comment.
        subject: CommentSubject,
    },
    /// Rewrites the text of an existing comment, because it differs from the desired text.
    Update {
        comment: CommentId,
        /// Subject of the comment.
        subject: CommentSubject,
        /// New text without the marker.
        body: String,
    },
    /// Resolves or reopens the thread.
    SetResolved {
        thread: ThreadId,
        /// True to resolve the thread, false to reopen it.
        resolved: bool,
    },
    /// Posts the summary as a comment.
    CreateSummary {
        /// Text without the marker.
        body: String,
    },
    /// Posts these inline comments in one review.
    CreateReview {
        /// Subjects of the comments.
        subjects: Vec<CommentSubject>,
    },
    /// Posts one comment on a file.
    CreateFileComment {
        /// Subject of the desired comment.
        subject: CommentSubject,
    },
}

impl PublishStep {
    /// Returns true if the step posts a comment.
    pub fn creates_comment(&self) -> bool {
        match self {
            Self::CreateSummary { .. } | Self::CreateReview { .. } | Self::CreateFileComment { .. } => true,
            Self::Adopt { .. } | Self::Delete { .. } | Self::Update { .. } | Self::SetResolved { .. } => {
                false
            }
        }
    }
}

/// The steps to execute now, or the time at which the comments must be compared again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishPlan {
    /// A comment whose creation is not confirmed may still become visible. The caller must observe the
    /// comments again at this time.
    Settling {
        /// End of the settle delay.
        until: UnixMillis,
    },
    /// Steps to execute in order. Empty if the pull request is up to date.
    Steps(Vec<PublishStep>),
}

/// Compares the desired comments with the observed comments and the `unconfirmed` comments, and returns a
/// plan.
///
/// No step is planned while an unconfirmed comment may still become visible. If a recorded comment is missing
/// from `observed`, a person has deleted it, and no new comment is posted. `observed` must therefore contain
/// every recorded comment that still exists.
pub fn plan_publish(
    desired: &[DesiredComment],
    observed: &[ObservedComment],
    unconfirmed: &[UnconfirmedComment],
    limits: &PublishLimits,
    now: UnixMillis,
) -> PublishPlan {
    let (left, observed): (Vec<&ObservedComment>, Vec<&ObservedComment>) =
        observed.iter().partition(|seen| {
            seen.subject == CommentSubject::Summary && seen.rights == CommentRights::FormerAccount
        });
    let mut desired = desired.to_vec();
    for row in &mut desired {
        row.comment.take_if(|comment| left.iter().any(|seen| seen.id == *comment));
    }
    let is_shown = |item: &CommentSubject| {
        observed.iter().any(|seen| seen.subject == *item)
            || desired.iter().any(|row| row.subject == *item && row.comment.is_some())
    };
    let open = unconfirmed
        .iter()
        .filter(|one| !is_shown(&one.subject))
        .map(|one| one.last_attempt_at + limits.settle_delay);
    if let Some(until) = open.filter(|until| *until > now).max() {
        return PublishPlan::Settling { until };
    }
    let mut steps = Vec::new();
    let mut review = Vec::new();
    let mut files = Vec::new();
    for row in &desired {
        let kind = row.location.as_ref().map(|(kind, _)| *kind);
        let body = |seen: Option<&ObservedComment>| match (&row.subject, seen) {
            (CommentSubject::Summary, _) => render_summary_body(row, &desired, limits),
            (CommentSubject::Finding(_), Some(seen)) => row.body_keeping_suggestion(limits, &seen.body),
            (CommentSubject::Finding(_), None) => row.new_body(limits),
        };
        if plan_comment_update(row, body, &observed, limits, &mut steps) || row.resolved {
            continue; // what is resolved before it was ever shown needs no comment
        }
        match (&row.subject, kind) {
            (CommentSubject::Summary, _) => steps.push(PublishStep::CreateSummary { body: body(None) }),
            (CommentSubject::Finding(_), Some(AnchorKind::Inline)) => review.push(row.subject.clone()),
            (CommentSubject::Finding(_), Some(AnchorKind::File)) => {
                files.push(PublishStep::CreateFileComment { subject: row.subject.clone() });
            }
            (CommentSubject::Finding(_), Some(AnchorKind::Summary) | None) => {} // part of the summary's text
        }
    }
    let reviews = review.chunks(limits.max_batch_size.max(1));
    steps.extend(reviews.map(|items| PublishStep::CreateReview { subjects: items.to_vec() }));
    steps.extend(files);
    PublishPlan::Steps(steps)
}

/// Adds the steps for a subject that already has a comment. Returns false if the subject needs a new comment.
///
/// A thread is resolved or reopened only if the text of its comment also changes. The thread is changed
/// before the text. If only the thread's state differs, a person has changed the state, and it is kept.
fn plan_comment_update(
    desired_comment: &DesiredComment,
    body: impl Fn(Option<&ObservedComment>) -> String,
    observed: &[&ObservedComment],
    bounds: &PublishLimits,
    steps: &mut Vec<PublishStep>,
) -> bool {
    let item = &desired_comment.subject;
    let mut seen: Vec<&ObservedComment> =
        observed.iter().copied().filter(|seen| seen.subject == *item).collect();
    if let Some(retraction) = desired_comment.retraction {
        let is_retracted = |seen: &&ObservedComment| {
            seen.rights == CommentRights::CurrentAccount
                && (retraction == RetractionScope::Answered || !seen.has_replies)
        };
        let retracted = seen.iter().copied().filter(is_retracted);
        steps.extend(
            retracted.map(|seen| PublishStep::Delete { comment: seen.id.clone(), subject: item.clone() }),
        );
        seen.retain(|seen| !is_retracted(&&**seen));
        if seen.is_empty() {
            return true;
        }
    }
    let known = |seen: &ObservedComment| desired_comment.comment.as_ref() == Some(&seen.id);
    seen.sort_by_key(|seen| (!known(seen), seen.rights, seen.created, &seen.id));
    let Some((keep, others)) = seen.split_first() else {
        // A recorded comment that is not observed was deleted by a person, so no new comment is posted.
        return desired_comment.comment.is_some();
    };
    if is_on_wrong_line(desired_comment, keep, bounds) {
        let astray = PublishStep::Delete { comment: keep.id.clone(), subject: item.clone() };
        steps.push(astray);
        return false;
    }
    if desired_comment.comment.is_none() && keep.rights == CommentRights::CurrentAccount {
        steps.push(PublishStep::Adopt { subject: item.clone(), comment: keep.id.clone() });
    }
    for other in others {
        if is_same_text(&other.body, &keep.body)
            && other.rights == CommentRights::CurrentAccount
            && !other.has_replies
        {
            steps.push(PublishStep::Delete { comment: other.id.clone(), subject: item.clone() });
        }
    }
    if desired_comment.resolved && keep.thread.is_none() && desired_comment.location.is_some() {
        return true; // its thread is not in the list yet, and both change together
    }
    let body = body(Some(keep));
    let changes = !is_same_text(&keep.body, &body);
    if let Some(thread) = &keep.thread {
        let changes_thread = match thread.state {
            ThreadState::Open => desired_comment.resolved,
            ThreadState::ResolvedByUs => {
                !desired_comment.resolved && keep.rights == CommentRights::CurrentAccount
            }
            ThreadState::ResolvedByOthers => false,
        };
        if changes && changes_thread {
            steps.push(PublishStep::SetResolved {
                thread: thread.id.clone(),
                resolved: desired_comment.resolved,
            });
        }
    }
    if changes && keep.rights == CommentRights::CurrentAccount {
        steps.push(PublishStep::Update { comment: keep.id.clone(), subject: item.clone(), body });
    }
    true
}

/// Returns true for an unrecorded comment on a wrong line, which may be deleted. Such a comment exists if the
/// forge placed it on a newer head after a push, and the response to the create request was lost. A comment
/// with replies is kept.
fn is_on_wrong_line(
    desired_comment: &DesiredComment,
    observed: &ObservedComment,
    bounds: &PublishLimits,
) -> bool {
    let Some((AnchorKind::Inline, place)) = &desired_comment.location else { return false };
    let is_open = observed.thread.as_ref().is_some_and(|thread| thread.state == ThreadState::Open);
    bounds.comments_on_current_head
        && desired_comment.comment.is_none()
        && observed.rights == CommentRights::CurrentAccount
        && !observed.has_replies
        && is_open
        && observed.line.is_some_and(|line| line != place.end_line)
}

/// Maximum number of findings without a comment that the summary lists. If there are more such findings, the
/// summary gives only their number.
const MAX_LISTED_FINDINGS: usize = 300;

/// Share of the summary's maximum length that the list of findings without a comment may use.
const LISTED_SHARE: (usize, usize) = (3, 4);

/// Renders the summary with a list of the findings that have no comment, one line for each. A finding has no
/// comment if the limit of comments is reached, or if the forge accepts no location for its comment.
fn render_summary_body(
    summary: &DesiredComment,
    desired: &[DesiredComment],
    bounds: &PublishLimits,
) -> String {
    let unplaced: Vec<String> = desired
        .iter()
        .filter(|row| !row.resolved && row.comment.is_none())
        .filter_map(|row| match &row.location {
            Some((AnchorKind::Summary, place)) => {
                let line = row.body.lines().next().unwrap_or_default();
                let path = markdown::code_span(&place.path.to_string());
                let id = match &row.subject {
                    CommentSubject::Finding(id) => format!(" (`{}`)", short_id(id)),
                    CommentSubject::Summary => String::new(),
                };
                Some(format!("\n- {line} at line {} of {path}{id}", place.start_line))
            }
            Some((AnchorKind::Inline | AnchorKind::File, _)) | None => None,
        })
        .collect();
    if unplaced.is_empty() {
        return truncate_markdown(&summary.body, bounds.max_body_length);
    }
    let mut list = "### Findings without a comment of their own\n".to_owned();
    let room = bounds.max_body_length * LISTED_SHARE.0 / LISTED_SHARE.1;
    let mut listed = 0;
    for line in unplaced.iter().take(MAX_LISTED_FINDINGS) {
        if utf16_length(&list) + utf16_length(line) > room {
            break;
        }
        list.push_str(line);
        listed += 1;
    }
    if listed < unplaced.len() {
        list.push_str(&format!("\n- and {} more", unplaced.len() - listed));
    }
    let room = bounds.max_body_length.saturating_sub(utf16_length(&list) + 2);
    format!("{}\n\n{list}", truncate_markdown(&summary.body, room))
}

/// Returns true if two texts are equal apart from line ends and trailing white space, which forges may
/// change.
fn is_same_text(a: &str, b: &str) -> bool {
    trim_line_ends(a.trim_end()) == trim_line_ends(b.trim_end())
}

/// Removes white space at the ends of lines.
fn trim_line_ends(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

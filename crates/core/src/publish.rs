//! What a pull request should show, what it shows, and the steps between (design.md section 4).
//!
//! Pure: [`plan`] compares the desired rows with the observed comments and the comments that may have been made.
//! The publisher (crate `forge`) carries the plan out.

mod check;
mod fit;

use serde::{Deserialize, Serialize};

pub use self::check::{CheckAnnotation, CheckConclusion, CheckContent, MAX_ANNOTATIONS};
use crate::dismissal::{RetractionScope, short};
use crate::finding::{AnchorKind, CodeLocation, SuggestedFix};
use crate::id::{CommentId, FindingId, Sha, ThreadId, TimeSpan, Topic, UnixMillis};
use crate::markdown;
use fit::{fit, units};

/// Who wants a comment. Reconciling touches its own producer's comments only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Producer {
    /// The review loop.
    Review,
    /// The converge loop.
    Converge,
    /// The sync loop.
    Sync,
    /// An agent that calls our tools over MCP.
    Mcp,
}

impl Producer {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Review, Self::Converge, Self::Sync, Self::Mcp];

    /// The word in markers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Converge => "converge",
            Self::Sync => "sync",
            Self::Mcp => "mcp",
        }
    }
}

/// The beginning of the topics of items.
const TOPICS: &str = "item/";

/// The subject of one comment; each has at most one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentSubject {
    /// The summary of the pull request.
    Summary,
    /// One finding.
    Finding(FindingId),
}

impl CommentSubject {
    /// The item's word in markers: `summary` or the finding's id.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Summary => "summary",
            Self::Finding(id) => id.as_str(),
        }
    }

    /// The key of idempotency of the comment on it.
    pub fn topic(&self) -> Topic {
        Topic::new(format!("{TOPICS}{}", self.as_str()))
    }

    /// The item of a topic, if it is one of those; the inverse of [`CommentSubject::topic`].
    pub fn of_topic(topic: &Topic) -> Option<Self> {
        topic.as_str().strip_prefix(TOPICS).map(Self::from_word)
    }

    /// The item a word names; the inverse of [`CommentSubject::as_str`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "summary" => Self::Summary,
            id => Self::Finding(FindingId::new(id)),
        }
    }
}

/// Stands before a replacement that a forge does not offer to apply.
const PROPOSED: &str = "Proposed replacement of these lines:";

/// A row of desired state: one comment that should be there, and how it should read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredComment {
    /// The subject.
    pub item: CommentSubject,
    /// The place of the comment; none for the summary. The kind may be lowered when the forge refuses the place.
    pub place: Option<(AnchorKind, CodeLocation)>,
    /// The text without its marker.
    pub body: String,
    /// A proven replacement for exactly the lines of `place`, on the new side. Shown only with a comment on these lines.
    #[serde(default)]
    pub suggestion: Option<SuggestedFix>,
    /// Is it shown as code where the forge does not offer to apply it? A rule's body says what to do; a model's fix stands
    /// nowhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_proposed: bool,
    /// Should its thread be resolved?
    pub resolved: bool,
    /// Comments on it that should not be there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retraction: Option<RetractionScope>,
    /// The comment that shows it, once known.
    pub comment: Option<CommentId>,
}

impl DesiredComment {
    /// The summary's row.
    pub fn summary(body: String) -> Self {
        Self {
            item: CommentSubject::Summary,
            place: None,
            body,
            suggestion: None,
            is_proposed: false,
            resolved: false,
            retraction: None,
            comment: None,
        }
    }

    /// The text of a new comment, without marker.
    pub fn new_body(&self, bounds: &PublishLimits) -> String {
        let inline = matches!(&self.place, Some((AnchorKind::Inline, _)));
        self.text(bounds, self.suggested(bounds).filter(|_| inline))
    }

    /// The text of a comment that is there, without marker. It keeps the suggestion that it was made with: the forge
    /// applies that to the lines that the comment was made on. Another one could not be for these.
    fn kept_body(&self, bounds: &PublishLimits, seen: &str) -> String {
        let has = |suggested: &String| trimmed(seen).contains(&trimmed(suggested));
        self.text(bounds, self.suggested(bounds).filter(has))
    }

    fn suggested(&self, bounds: &PublishLimits) -> Option<String> {
        let SuggestedFix { replacement } = self.suggestion.as_ref().filter(|_| !self.resolved)?;
        match (bounds.suggestions, self.is_proposed) {
            (true, _) => markdown::suggestion(replacement),
            (false, true) => Some(format!("{PROPOSED}\n\n{}", markdown::fence("", replacement))),
            (false, false) => None,
        }
    }

    fn text(&self, bounds: &PublishLimits, suggested: Option<String>) -> String {
        match suggested.map(|suggested| format!("\n\n{suggested}")) {
            Some(end) if units(&end) < bounds.body / 2 => fit(&self.body, bounds.body - units(&end)) + &end,
            Some(_) | None => fit(&self.body, bounds.body),
        }
    }
}

/// The limits of a forge that a plan depends on (the forge's capability table).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishLimits {
    /// How long a creating call without an answer may stay unseen.
    pub settle: TimeSpan,
    /// The longest text of a comment without its marker, in UTF-16 units.
    pub body: usize,
    /// Comments in one creating call, at most; not 0.
    pub batch: usize,
    /// Does it offer to apply replacements of lines?
    pub suggestions: bool,
    /// Is a comment on code placed on the head at that moment, whichever it is?
    pub follows_head: bool,
}

/// A comment of ours on the pull request: by one of our accounts, with a marker of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedComment {
    /// The comment.
    pub id: CommentId,
    /// The subject, by its marker.
    pub item: CommentSubject,
    /// The text without its marker.
    pub body: String,
    /// Its last line now; none on a file, in the conversation, or where the forge does not say.
    pub line: Option<u32>,
    /// The thread that it began; none where the forge has no threads (the summary).
    pub thread: Option<ForgeThread>,
    /// Has somebody answered it?
    pub has_replies: bool,
    /// When it was made, by the forge's clock.
    pub created: UnixMillis,
    /// May it be rewritten, remembered and deleted?
    pub hold: CommentRights,
}

/// The rights that we have over a comment of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CommentRights {
    /// All: our present account wrote it, and its marker verifies.
    Ours,
    /// Nothing: a former account of ours wrote it, and no forge lets an account edit what another one wrote. It
    /// shows its finding; a summary would tell old things for ever, so a new one is posted.
    Former,
    /// Nothing: its marker is under a key that we do not have. It shows its item, and is left as it is.
    UnknownKey,
}

/// A thread of comments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgeThread {
    /// The forge's id of it.
    pub id: ThreadId,
    /// Open or resolved.
    pub state: ThreadState,
}

/// Is a thread settled, and who says so?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadState {
    /// It is open.
    Open,
    /// The account that we use now has resolved it.
    ResolvedByUs,
    /// Somebody else has.
    ResolvedByOthers,
}

/// A comment that was about to be made, and may have been: its effect is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnconfirmedComment {
    /// The subject.
    pub item: CommentSubject,
    /// The time at which it was announced, or failed last.
    pub at: UnixMillis,
}

/// The status that the head commit should have (spec review-service section 2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredStatus {
    /// The commit.
    pub sha: Sha,
    /// Green, red or neither.
    pub state: StatusState,
    /// One line, at most 140 characters (GitHub's limit).
    pub description: String,
    /// Shown instead, where the forge has check runs.
    #[serde(default)]
    pub check: CheckContent,
}

/// The states that every forge has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// Reviewed, nothing that blocks; or nothing to review.
    Success,
    /// Blocking findings.
    Failure,
    /// Neither: partial, deferred, failed.
    Pending,
}

/// One step of reconciling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishStep {
    /// The row has no known comment, but one with its marker is there: remember it.
    Adopt {
        /// The row.
        item: CommentSubject,
        /// The comment.
        comment: CommentId,
    },
    /// An exact duplicate of ours without replies, one that landed on another line, or one that is retracted: delete it.
    Delete {
        /// The comment to delete.
        comment: CommentId,
        /// The item that it is about.
        item: CommentSubject,
    },
    /// The text differs: rewrite it in place.
    Update {
        /// The comment.
        comment: CommentId,
        /// The subject.
        item: CommentSubject,
        /// The new text, without marker.
        body: String,
    },
    /// Resolve the thread, or reopen it.
    SetResolved {
        /// The thread.
        thread: ThreadId,
        /// True: resolve it.
        resolved: bool,
    },
    /// Post the summary.
    CreateSummary {
        /// Its text, without marker.
        body: String,
    },
    /// Post these inline comments in one review.
    CreateReview {
        /// The rows.
        items: Vec<CommentSubject>,
    },
    /// Post one comment on a file.
    CreateFileComment {
        /// The row.
        item: CommentSubject,
    },
}

impl PublishStep {
    /// Does it post something?
    pub fn creates(&self) -> bool {
        match self {
            Self::CreateSummary { .. } | Self::CreateReview { .. } | Self::CreateFileComment { .. } => true,
            Self::Adopt { .. } | Self::Delete { .. } | Self::Update { .. } | Self::SetResolved { .. } => {
                false
            }
        }
    }
}

/// The steps to do now, or the time to look again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishPlan {
    /// A creating call may still become visible: look again then.
    Settling {
        /// The end of its settle delay.
        until: UnixMillis,
    },
    /// These steps, in order. Empty: the pull request shows what it should.
    Steps(Vec<PublishStep>),
}

/// Compares the desired comments with those that are there, and with those that are `pending`.
///
/// Nothing is done while a pending comment may still become visible. A row whose comment is known
/// is never created again, also when the comment is not there: a person deleted it. So `observed` must hold every
/// known comment that is.
pub fn plan(
    desired: &[DesiredComment],
    observed: &[ObservedComment],
    pending: &[UnconfirmedComment],
    bounds: &PublishLimits,
    now: UnixMillis,
) -> PublishPlan {
    let (left, observed): (Vec<&ObservedComment>, Vec<&ObservedComment>) = observed
        .iter()
        .partition(|seen| seen.item == CommentSubject::Summary && seen.hold == CommentRights::Former);
    let mut desired = desired.to_vec();
    for row in &mut desired {
        row.comment.take_if(|comment| left.iter().any(|seen| seen.id == *comment));
    }
    let is_shown = |item: &CommentSubject| {
        observed.iter().any(|seen| seen.item == *item)
            || desired.iter().any(|row| row.item == *item && row.comment.is_some())
    };
    let open = pending.iter().filter(|one| !is_shown(&one.item)).map(|one| one.at + bounds.settle);
    if let Some(until) = open.filter(|until| *until > now).max() {
        return PublishPlan::Settling { until };
    }
    let mut steps = Vec::new();
    let mut review = Vec::new();
    let mut files = Vec::new();
    for row in &desired {
        let kind = row.place.as_ref().map(|(kind, _)| *kind);
        let body = |seen: Option<&ObservedComment>| match (&row.item, seen) {
            (CommentSubject::Summary, _) => shown_summary(row, &desired, bounds),
            (CommentSubject::Finding(_), Some(seen)) => row.kept_body(bounds, &seen.body),
            (CommentSubject::Finding(_), None) => row.new_body(bounds),
        };
        if existing(row, body, (&observed, bounds), &mut steps) || row.resolved {
            continue; // what is resolved before it was ever shown needs no comment
        }
        match (&row.item, kind) {
            (CommentSubject::Summary, _) => steps.push(PublishStep::CreateSummary { body: body(None) }),
            (CommentSubject::Finding(_), Some(AnchorKind::Inline)) => review.push(row.item.clone()),
            (CommentSubject::Finding(_), Some(AnchorKind::File)) => {
                files.push(PublishStep::CreateFileComment { item: row.item.clone() });
            }
            (CommentSubject::Finding(_), Some(AnchorKind::Summary) | None) => {} // part of the summary's text
        }
    }
    let reviews = review.chunks(bounds.batch.max(1));
    steps.extend(reviews.map(|items| PublishStep::CreateReview { items: items.to_vec() }));
    steps.extend(files);
    PublishPlan::Steps(steps)
}

/// Adds the steps for a row that is shown already; false if it is not.
///
/// A thread changes together with its comment's text, and before it: one that is not as its text says was changed
/// by somebody, and stays as they left it.
fn existing(
    row: &DesiredComment,
    body: impl Fn(Option<&ObservedComment>) -> String,
    (observed, bounds): (&[&ObservedComment], &PublishLimits),
    steps: &mut Vec<PublishStep>,
) -> bool {
    let item = &row.item;
    let mut seen: Vec<&ObservedComment> =
        observed.iter().copied().filter(|seen| seen.item == *item).collect();
    if let Some(retraction) = row.retraction {
        let is_retracted = |seen: &&ObservedComment| {
            seen.hold == CommentRights::Ours && (retraction == RetractionScope::Answered || !seen.has_replies)
        };
        let retracted = seen.iter().copied().filter(is_retracted);
        steps.extend(
            retracted.map(|seen| PublishStep::Delete { comment: seen.id.clone(), item: item.clone() }),
        );
        seen.retain(|seen| !is_retracted(&&**seen));
        if seen.is_empty() {
            return true;
        }
    }
    let known = |seen: &ObservedComment| row.comment.as_ref() == Some(&seen.id);
    seen.sort_by_key(|seen| (!known(seen), seen.hold, seen.created, &seen.id));
    let Some((keep, others)) = seen.split_first() else {
        // Known, and not there: a person deleted it.
        return row.comment.is_some();
    };
    if is_astray(row, keep, bounds) {
        let astray = PublishStep::Delete { comment: keep.id.clone(), item: item.clone() };
        steps.push(astray);
        return false;
    }
    if row.comment.is_none() && keep.hold == CommentRights::Ours {
        steps.push(PublishStep::Adopt { item: item.clone(), comment: keep.id.clone() });
    }
    for other in others {
        if same_text(&other.body, &keep.body) && other.hold == CommentRights::Ours && !other.has_replies {
            steps.push(PublishStep::Delete { comment: other.id.clone(), item: item.clone() });
        }
    }
    if row.resolved && keep.thread.is_none() && row.place.is_some() {
        return true; // its thread is not in the list yet, and both change together
    }
    let body = body(Some(keep));
    let changes = !same_text(&keep.body, &body);
    if let Some(thread) = &keep.thread {
        let settle = match thread.state {
            ThreadState::Open => row.resolved,
            ThreadState::ResolvedByUs => !row.resolved && keep.hold == CommentRights::Ours,
            ThreadState::ResolvedByOthers => false,
        };
        if changes && settle {
            steps.push(PublishStep::SetResolved { thread: thread.id.clone(), resolved: row.resolved });
        }
    }
    if changes && keep.hold == CommentRights::Ours {
        steps.push(PublishStep::Update { comment: keep.id.clone(), item: item.clone(), body });
    }
    true
}

/// Is this a comment that nobody has recorded, on another line than its finding? Where a comment lands on the head, whichever
/// it is, a push came between the review and the call, and the answer was lost. One that people have answered stays.
fn is_astray(row: &DesiredComment, seen: &ObservedComment, bounds: &PublishLimits) -> bool {
    let Some((AnchorKind::Inline, place)) = &row.place else { return false };
    let is_open = seen.thread.as_ref().is_some_and(|thread| thread.state == ThreadState::Open);
    bounds.follows_head
        && row.comment.is_none()
        && seen.hold == CommentRights::Ours
        && !seen.has_replies
        && is_open
        && seen.line.is_some_and(|line| line != place.end_line)
}

/// Findings without a comment of their own that the summary lists; the rest is counted.
const MAX_LISTED: usize = 300;

/// The part of a summary's length that they may take, with the line that counts the others.
const LISTED_SHARE: (usize, usize) = (3, 4);

/// The summary with the findings that have no comment of their own, over the cap or without a place that the
/// forge takes: one line each, so that none is lost.
fn shown_summary(summary: &DesiredComment, desired: &[DesiredComment], bounds: &PublishLimits) -> String {
    let unplaced: Vec<String> = desired
        .iter()
        .filter(|row| !row.resolved && row.comment.is_none())
        .filter_map(|row| match &row.place {
            Some((AnchorKind::Summary, place)) => {
                let line = row.body.lines().next().unwrap_or_default();
                let path = markdown::code(&place.path.to_string());
                let id = match &row.item {
                    CommentSubject::Finding(id) => format!(" (`{}`)", short(id)),
                    CommentSubject::Summary => String::new(),
                };
                Some(format!("\n- {line} at line {} of {path}{id}", place.start_line))
            }
            Some((AnchorKind::Inline | AnchorKind::File, _)) | None => None,
        })
        .collect();
    if unplaced.is_empty() {
        return fit(&summary.body, bounds.body);
    }
    let mut list = "### Without a comment of their own\n".to_owned();
    let room = bounds.body * LISTED_SHARE.0 / LISTED_SHARE.1;
    let mut listed = 0;
    for line in unplaced.iter().take(MAX_LISTED) {
        if units(&list) + units(line) > room {
            break;
        }
        list.push_str(line);
        listed += 1;
    }
    if listed < unplaced.len() {
        list.push_str(&format!("\n- and {} more", unplaced.len() - listed));
    }
    let room = bounds.body.saturating_sub(units(&list) + 2);
    format!("{}\n\n{list}", fit(&summary.body, room))
}

/// Equal as a forge keeps text: line ends and trailing white space aside.
fn same_text(a: &str, b: &str) -> bool {
    trimmed(a.trim_end()) == trimmed(b.trim_end())
}

/// Lines without white space at their ends.
fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

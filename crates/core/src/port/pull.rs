//! Types for one pull request: its current state, its reviews, and the texts that a loop posts. Truing never
//! approves, merges or closes a pull request.
//!
//! Titles, texts and names are untrusted data. A text is "ours" if one of Truing's accounts wrote it and its
//! marker verifies.

use serde::{Deserialize, Serialize};

use super::{Actor, AuthorAccount, PullReview, PullRevision, PullState};
use crate::converge::AuditScopeDigest;
use crate::converge::readiness::MergeableState as Mergeable;
use crate::finding::CodeLocation;
use crate::id::{CommentId, ReviewId, RunId, Sha, Topic, UnixMillis};
use crate::publish::ForgeThread;

/// Heading of the list of findings that cannot be shown on a line of the diff.
const UNPLACED_FINDINGS_HEADING: &str = "### Findings without a line in the diff";
/// Heading above the list of findings for which Truing already has an open thread.
const OPEN_THREADS_HEADING: &str = "### Findings already on this pull request";

/// A pull request as its forge describes it now. Title and description are untrusted text of users.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRequest {
    /// Head and base commits.
    pub revision: PullRevision,
    /// Branch into which the pull request is to be merged.
    pub base_branch: String,
    /// State of the pull request: open, draft or closed.
    pub state: PrState,
    /// Display name `owner/name #7`; never used as a key.
    pub name: String,
    /// Address of the web page at the forge.
    pub url: String,
    /// Title of the pull request; may be empty.
    pub title: String,
    /// Description of the pull request; may be empty.
    pub description: String,
    /// Author of the pull request; `None` if the account was deleted.
    pub author: Option<AuthorAccount>,
    /// Labels of the pull request; `None` if the forge has no labels.
    pub labels: Option<Vec<String>>,
    /// True if logins are unique at this forge.
    pub has_unique_logins: bool,
    /// Branch that contains the changes; empty if the branch was deleted.
    pub branch: String,
    /// Repository from which the head must be fetched; `None` if the target repository also has the head
    /// ([`HeadRepository::is_only_source`]).
    pub head_repository: Option<HeadRepository>,
}

impl PullRequest {
    /// Returns the name of the pull request's repository, `owner/name`.
    pub fn repository_name(&self) -> Option<&str> {
        self.name.rsplit_once('#').map(|(repository, _)| repository.trim_end())
    }
}

/// The state of a pull request that determines whether a review is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrState {
    /// The pull request may be reviewed.
    Open,
    /// The pull request is a draft and may not be reviewed yet.
    Draft,
    /// The pull request is merged or closed, and is no longer reviewed.
    Closed,
}

/// The current state of a pull request. Unlike `PullRequest`, this type has details that need further calls,
/// such as our permission to push to the branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullDetails {
    /// Address of the web page at the forge.
    pub url: String,
    /// Title of the pull request.
    pub title: String,
    /// Description without our marker.
    pub body: String,
    /// State of the pull request.
    pub state: PullState,
    /// Author of the pull request; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// Branch that contains the changes.
    pub head: PullHead,
    /// Branch into which the pull request is to be merged.
    pub base_branch: String,
    /// Newest commit of the base branch that the forge has recorded for the pull request.
    pub base: Sha,
    /// Labels of the pull request.
    pub labels: Vec<String>,
    /// Accounts whose review was requested but is not submitted yet.
    pub requested_reviewers: Vec<Actor>,
}

/// The branch that a pull request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullHead {
    /// Newest commit of the branch.
    pub sha: Sha,
    /// Name of the branch.
    pub branch: String,
    /// Repository of the branch; `None` if it was deleted.
    pub repository: Option<HeadRepository>,
    /// True if Truing may push to the branch; `None` if the forge does not report the permission. The forge
    /// may refuse a push even if the value is true.
    pub can_push: Option<bool>,
}

/// The repository that a pull request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadRepository {
    /// Forge's id of the repository.
    pub id: String,
    /// Current full name, as `owner/name`.
    pub name: String,
    /// True if the branch is in the repository that the pull request targets, and not in a fork.
    pub is_target_repository: bool,
    /// True if the head can be fetched only from this repository. This is the case for forks at forges that
    /// keep no refs for pull requests.
    pub is_only_source: bool,
}

/// The forge's prediction of whether the pull request can be merged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeSummary {
    /// Head for which the prediction was made.
    pub head: Sha,
    /// True if the pull request conflicts with its base; `None` if the forge does not know yet.
    pub has_conflicts: Option<bool>,
    /// Mergeability that the forge reports. If a merge is not possible, the value names the obstacle.
    pub state: Mergeable,
    /// Outcome of the reviews that the repository's rules require; `None` if the rules require no review.
    pub review_decision: Option<PullReviewDecision>,
}

/// The combined outcome of the required reviews.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullReviewDecision {
    /// A required review is missing.
    Required,
    /// The reviews allow a merge.
    Approved,
    /// A reviewer requires changes before a merge.
    ChangesRequested,
}

/// The newest check run or commit status with this name on a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitCheck {
    /// Name of the check run, or context of the commit status.
    pub name: String,
    /// Slug of the App that created the check run; `None` for a commit status.
    pub app: Option<String>,
    /// Result of the check.
    pub state: CheckState,
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckState {
    /// The check is not complete.
    Pending,
    /// The check was successful.
    Passed,
    /// The check is complete, and neither passed nor failed.
    Neutral,
    /// The check was not run.
    Skipped,
    /// The check is complete, with any result that the other variants do not cover.
    Failed,
}

/// A label that a pull request has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppliedLabel {
    /// Name of the label.
    pub name: String,
    /// Account that set the label last; `None` if the account was deleted or the forge does not report it.
    pub set_by: Option<Actor>,
    /// True if a person set the label and currently has write permission to the repository. Only a trusted
    /// label starts a run.
    pub is_setter_trusted: bool,
}

/// A thread of comments on the diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewThread {
    /// Id and state of the thread; `None` while the forge lists the thread's comments, but not the thread.
    pub thread: Option<ForgeThread>,
    /// True if the lines have changed since the thread began.
    pub outdated: bool,
    /// File that the thread is on.
    pub path: String,
    /// Comments of the thread, oldest first; never empty.
    pub comments: Vec<LineComment>,
}

/// A comment on the diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineComment {
    /// Forge's id of the comment.
    pub id: CommentId,
    /// Address of the web page at the forge.
    pub url: String,
    /// Review that the comment is part of.
    pub review: Option<ReviewId>,
    /// Author of the comment; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// Commit that the comment was made on.
    pub commit: Option<Sha>,
    /// Last line to which the comment is currently attached; `None` if the comment is outdated or is on a
    /// whole file.
    pub line: Option<u32>,
    /// Time of the comment, by the forge's clock.
    pub created: UnixMillis,
    /// Text of the comment, without our marker.
    pub body: String,
    /// Topic from our marker, if the comment is ours.
    pub topic: Option<Topic>,
    /// Topic of the finding that this comment shows, if the review loop posted the comment.
    pub finding_topic: Option<Topic>,
}

/// A comment in the conversation, without its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationComment {
    /// Forge's id of the comment.
    pub id: CommentId,
    /// Author of the comment; `None` if the account was deleted.
    pub author: Option<Actor>,
    /// Time of the comment, by the forge's clock.
    pub created: UnixMillis,
}

/// The data in the marker of a review by Truing. They identify the audit whose findings the review reports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuditMark {
    /// Converge run that made the audit.
    pub run: RunId,
    /// Number of the audit in the run, from 1.
    pub audit: u32,
    /// True if the audit reported no finding.
    pub clean: bool,
    /// Commit that was audited.
    pub commit: Sha,
    /// Scope of the audit; `None` if the audit did not clear the commit, or if an earlier version of Truing
    /// wrote the marker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<AuditScopeDigest>,
}

impl AuditMark {
    /// Returns the topic that encodes this data in the marker.
    pub fn topic(&self) -> Topic {
        let Self { run, audit, clean, commit, scope } = self;
        let word = if *clean { "clean" } else { "dirty" };
        let scope = scope.as_ref().map(|scope| format!("/{}", scope.as_str())).unwrap_or_default();
        Topic::new(format!("audit/{run}/{audit}/{word}/{commit}{scope}"))
    }

    /// Returns true if both marks are of the same audit. The scope is not compared, because an earlier
    /// version posted marks without a scope.
    pub fn is_same_audit(&self, other: &Self) -> bool {
        let of = |mark: &Self| Self { scope: None, ..mark.clone() };
        of(self) == of(other)
    }

    /// Parses a marker's topic; returns `None` for a topic of another kind.
    pub fn from_topic(topic: &Topic) -> Option<Self> {
        let mut parts = topic.as_str().split('/');
        let (Some("audit"), Some(run), Some(audit), Some(word), Some(commit)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let scope = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(scope), None) => Some(AuditScopeDigest::parse(scope)?),
            (Some(_), Some(_)) => return None,
        };
        let clean = match word {
            "clean" => true,
            "dirty" => false,
            _ => return None,
        };
        let (audit, commit) = (audit.parse().ok()?, Sha::parse(commit).ok()?);
        Some(Self { run: RunId::new(run), audit, clean, commit, scope })
    }
}

impl PullReview {
    /// Returns the data of the audit that this review reports. Returns `None` if the review lacks our marker,
    /// or if the marker does not name the reviewed commit.
    pub fn audit_mark(&self) -> Option<AuditMark> {
        let mark = AuditMark::from_topic(self.topic.as_ref()?)?;
        (self.commit.as_ref() == Some(&mark.commit)).then_some(mark)
    }
}

/// The effect that a review by Truing has on merging. Truing's reviews never approve a pull request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ReviewEvent {
    /// A comment that does not request changes and does not withdraw a request.
    Comment,
    /// A request for changes. If our account opened the pull request, the review is posted as a comment,
    /// because forges refuse a request for changes by the author.
    RequestChanges,
    /// A comment that also withdraws our account's earlier request for changes, without an approval. At some
    /// forges, a later comment cannot withdraw a request. In this case, the request remains until a person
    /// dismisses the earlier review.
    Withdraw,
}

/// A review to be posted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReviewDraft {
    /// Audit that the review reports.
    pub mark: AuditMark,
    /// Effect of the review on merging.
    pub event: ReviewEvent,
    /// Text of the review, without the lists of findings.
    pub body: String,
    /// Findings that cannot be shown on a line of the diff, as one line of text each.
    pub unplaced: Vec<String>,
    /// Findings on lines of the diff, each with its comment.
    pub findings: Vec<LineDraft>,
}

/// A comment on lines of the audited commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LineDraft {
    /// Lines of the comment, validated against the diff.
    #[serde(rename = "place")]
    pub location: CodeLocation,
    /// Topic for the comment's marker. One topic has at most one open thread.
    pub topic: Topic,
    /// Text of the comment, without a marker.
    pub body: String,
    /// The finding as one line of text. If the finding gets no new comment, this line is listed in the
    /// review's text.
    pub line: String,
}

impl ReviewDraft {
    /// Renders the review's text. `refused_findings` are the findings whose comments the forge refused to
    /// place. `open_threads` are the findings for which Truing already has an open thread, each with the
    /// thread's address. The lists are truncated such that the text has at most `max_len` UTF-16 units. A
    /// note gives the number of omitted findings.
    pub fn render_text(
        &self,
        refused_findings: &[&LineDraft],
        open_threads: &[(&LineDraft, &str)],
        max_len: usize,
    ) -> String {
        let unplaced = self.unplaced.iter().chain(refused_findings.iter().map(|finding| &finding.line));
        let open_threads =
            open_threads.iter().map(|(finding, page)| format!("{} ([its thread]({page}))", finding.line));
        let lists = [
            (UNPLACED_FINDINGS_HEADING, unplaced.cloned().collect::<Vec<_>>()),
            (OPEN_THREADS_HEADING, open_threads.collect()),
        ];
        let parts = lists.iter().flat_map(|(heading, lines)| {
            (0..).zip(lines).map(move |(at, line)| match at {
                0 => format!("\n\n{heading}\n\n- {line}"),
                _ => format!("\n- {line}"),
            })
        });
        append_parts(self.body.clone(), &parts.collect::<Vec<_>>(), max_len)
    }

    /// Renders the text and the comments of all findings as one text, for a forge that accepts no review.
    pub fn render_as_comment(&self, max_len: usize) -> String {
        let placed = self.findings.iter().map(|finding| {
            let (path, line) = (finding.location.path.to_string(), finding.location.end_line);
            format!("\n\n---\n\n{}:{line}\n\n{}", crate::markdown::code_span(&path), finding.body)
        });
        append_parts(self.render_text(&[], &[], max_len), &placed.collect::<Vec<_>>(), max_len)
    }
}

/// Appends parts to the text up to `max_len` UTF-16 units. If parts are omitted, a final note gives their
/// number.
fn append_parts(mut text: String, parts: &[String], max_len: usize) -> String {
    let units = |text: &str| text.encode_utf16().count();
    let note = |omitted_count: usize| format!("\n\n… and {omitted_count} more.");
    let mut used = units(&text);
    for (at, part) in parts.iter().enumerate() {
        let room = if at + 1 == parts.len() { 0 } else { units(&note(parts.len())) };
        used += units(part);
        if used + room > max_len {
            text.push_str(&note(parts.len() - at));
            break;
        }
        text.push_str(part);
    }
    text
}

/// The objects that the forge created for a posted review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PostedReview {
    /// The forge has a review object, with comments on lines.
    Review {
        /// Forge's id of the review.
        id: ReviewId,
        /// Comments that the forge already lists, each with its finding's topic. If a finding is not in this
        /// list, the finding is part of the review's text, or the forge does not list its comment yet. In
        /// that case, [`super::ForgeRead::threads`] returns the comment with its topic later.
        comments: Vec<(Topic, CommentId)>,
    },
    /// One comment in the conversation contains the whole review.
    Comment(CommentId),
}

#[cfg(test)]
mod tests {
    use truing_diff::RepoPath;

    use super::*;
    use crate::finding::DiffSide;
    use crate::port::ReviewState;

    fn mark() -> AuditMark {
        let commit = Sha::parse(&"a1".repeat(20)).unwrap();
        AuditMark { run: RunId::new("0199-run"), audit: 3, clean: true, commit, scope: None }
    }

    fn draft(count: usize) -> ReviewDraft {
        let finding = |n: usize| LineDraft {
            location: CodeLocation {
                path: RepoPath::from_bytes(format!("src/{n}.py")),
                side: DiffSide::New,
                start_line: 1,
                end_line: 4,
            },
            topic: Topic::new(format!("finding/{n}")),
            body: format!("**[P1] Wrong {n}**"),
            line: format!("**[P1] Wrong {n}** — one line"),
        };
        let findings = (0..count).map(finding).collect();
        let body = "## audit 3: 0P0 / 2P1 / 0P2".to_owned();
        ReviewDraft { mark: mark(), event: ReviewEvent::Comment, body, unplaced: Vec::new(), findings }
    }

    #[test]
    fn an_audit_is_read_back_from_its_marker_and_nothing_else_is() {
        for clean in [true, false] {
            let mark = AuditMark { clean, ..mark() };
            assert_eq!(AuditMark::from_topic(&mark.topic()), Some(mark));
        }
        let scope = AuditScopeDigest::new(&mark().commit, "looks", &[]);
        let scoped = AuditMark { scope: Some(scope), ..mark() };
        assert_eq!(AuditMark::from_topic(&scoped.topic()), Some(scoped.clone()));
        assert!(scoped.is_same_audit(&mark()) && !scoped.is_same_audit(&AuditMark { audit: 4, ..mark() }));
        assert_eq!(AuditMark::from_topic(&Topic::new(format!("{}/more", scoped.topic()))), None);
        let good = mark().topic().to_string();
        for bad in [
            "",
            "audit",
            "finding/1",
            &good.replace("clean", "cleaner"),
            &good.replace("/3/", "/x/"),
            &good.replace("a1a1", "a1"),
            &format!("{good}/more"),
            &good.replacen("audit", "reply", 1),
        ] {
            assert_eq!(AuditMark::from_topic(&Topic::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_mark_counts_for_the_commit_that_the_review_is_on_alone() {
        let review = |commit: &str| PullReview {
            id: ReviewId::new("1"),
            author: None,
            state: ReviewState::Commented,
            commit: Sha::parse(&commit.repeat(20)).ok(),
            submitted_at: None,
            body: String::new(),
            topic: Some(mark().topic()),
        };
        assert_eq!(review("a1").audit_mark(), Some(mark()));
        assert_eq!(review("b2").audit_mark(), None);
        assert_eq!(review("").audit_mark(), None, "the commit is gone");
        assert_eq!(PullReview { topic: None, ..review("a1") }.audit_mark(), None);
    }

    #[test]
    fn a_review_lists_what_has_no_place() {
        let mut draft = draft(2);
        assert_eq!(draft.render_text(&[], &[], 1000), draft.body);
        draft.unplaced.push("**[P2] Elsewhere**".into());
        let text = draft.render_text(&[&draft.findings[1]], &[], 1000);
        let expected = "## audit 3: 0P0 / 2P1 / 0P2\n\n### Findings without a line in the diff\n\n- **[P2] \
             Elsewhere**\n- **[P1] Wrong 1** — one line";
        assert_eq!(text, expected);
        let whole = draft.render_as_comment(1000);
        assert!(whole.starts_with("## audit 3") && whole.contains("- **[P2] Elsewhere**"), "{whole}");
        assert!(whole.ends_with("\n\n---\n\n`src/1.py`:4\n\n**[P1] Wrong 1**"), "{whole}");
    }

    #[test]
    fn a_review_names_what_has_an_open_thread_with_its_page() {
        let mut draft = draft(2);
        let open = [(&draft.findings[0], "https://forge.example/7#1")];
        let expected = "## audit 3: 0P0 / 2P1 / 0P2\n\n### Findings already on this pull request\n\n- **[P1] \
             Wrong 0** — one line ([its thread](https://forge.example/7#1))";
        assert_eq!(draft.render_text(&[], &open, 1000), expected);
        draft.unplaced.push("**[P2] Elsewhere**".into());
        let open = [(&draft.findings[0], "https://forge.example/7#1")];
        let text = draft.render_text(&[], &open, 1000);
        let (first, second) = text.split_once("\n\n### Findings already").unwrap();
        assert!(
            first.ends_with("a line in the diff\n\n- **[P2] Elsewhere**") && second.contains("Wrong 0"),
            "{text}"
        );
        assert!(draft.render_text(&[], &open, 120).ends_with("… and 1 more."));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let draft = draft(40);
        for most in [150, 200, 333, 1000, 1500] {
            let whole = draft.render_as_comment(most);
            let shown = whole.matches("\n---\n").count();
            assert!(whole.encode_utf16().count() <= most, "{most}");
            assert!(
                shown == 40 || whole.ends_with(&format!("… and {} more.", 40 - shown)),
                "{most}: {whole}"
            );
        }
        assert_eq!(draft.render_as_comment(10_000).matches("\n---\n").count(), 40);
    }
}

//! One pull request: what it and its reviewers say now, and what a loop says there. Nothing here approves, merges or
//! closes: those calls do not exist.
//!
//! Titles, texts and names are data from anybody. What is ours is known by our accounts and by markers that verify.

use serde::{Deserialize, Serialize};

use super::{Actor, AuthorAccount, PullReview, PullRevision, PullState};
use crate::converge::AuditScope;
use crate::converge::readiness::MergeableState as Mergeable;
use crate::finding::CodeLocation;
use crate::id::{CommentId, ReviewId, RunId, Sha, Topic, UnixMillis};
use crate::publish::ForgeThread;

/// The heading above findings that have no place in the diff.
const UNPLACED: &str = "### Findings without a diff anchor";
/// The heading above findings that have an open thread of ours already.
const OPEN: &str = "### Findings already on this pull request";

/// A pull request as its forge describes it now. Title and description are text from people: data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRequest {
    /// Head and base.
    pub revision: PullRevision,
    /// The branch that it is to go into.
    pub base_branch: String,
    /// Open, closed, draft.
    pub state: PrState,
    /// `owner/name #7`, for people; never a key.
    pub name: String,
    /// Its page.
    pub url: String,
    /// Its title; empty if there is none.
    pub title: String,
    /// Its description; empty if there is none.
    pub description: String,
    /// Who opened it; none if the account is gone.
    pub author: Option<AuthorAccount>,
    /// Its labels; none where the forge has none.
    pub labels: Option<Vec<String>>,
    /// Is each name of an account one account's alone at this forge?
    pub has_unique_names: bool,
    /// The branch that it comes from; empty if that is gone.
    pub branch: String,
    /// The repository that its head is fetched from, where that alone has it: [`HeadRepository::has_head_alone`].
    pub head_repository: Option<HeadRepository>,
}

impl PullRequest {
    /// Its repository's name, `owner/name`.
    pub fn repository(&self) -> Option<&str> {
        self.name.rsplit_once('#').map(|(repository, _)| repository.trim_end())
    }
}

/// May it be reviewed?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrState {
    /// Yes.
    Open,
    /// Not yet.
    Draft,
    /// No longer (merged or not).
    Closed,
}

/// A pull request as it is now, with what one call does not tell: whose it is, and whether we may push to its branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullDetails {
    /// Its page.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Its text, without our marker.
    pub body: String,
    /// How it stands.
    pub state: PullState,
    /// Who opened it; none if the account is gone.
    pub author: Option<Actor>,
    /// What it brings.
    pub head: PullHead,
    /// The branch that it goes to.
    pub base_branch: String,
    /// That branch's newest commit, as the forge remembers it.
    pub base: Sha,
    /// Its labels.
    pub labels: Vec<String>,
    /// Who is asked to review and has not yet.
    pub requested: Vec<Actor>,
}

/// The branch that a pull request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullHead {
    /// Its newest commit.
    pub sha: Sha,
    /// Its name.
    pub branch: String,
    /// Its repository; none if that is gone.
    pub repository: Option<HeadRepository>,
    /// May we push to it? None: the forge does not tell. A push may be refused all the same.
    pub push: Option<bool>,
}

/// The repository that a pull request comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeadRepository {
    /// The forge's id.
    pub id: String,
    /// `owner/name` now.
    pub name: String,
    /// Is it the very repository that the pull request goes to, and no fork?
    pub is_same: bool,
    /// Is the head to be fetched from it? Where a forge keeps no refs of pull requests, nothing but a fork has its commits.
    pub has_head_alone: bool,
}

/// What merging would be, as the forge has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeSummary {
    /// The head that it is said of.
    pub head: Sha,
    /// Does it conflict with its base? None: not known yet.
    pub conflicts: Option<bool>,
    /// What stands in the way.
    pub state: Mergeable,
    /// What the repository's rules have reviews decide; none where they ask for no review.
    pub decision: Option<PullReviewDecision>,
}

/// What reviews decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullReviewDecision {
    /// A review is missing.
    Required,
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
}

/// The newest check run or commit status of a name on a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitCheck {
    /// Its name, or its context.
    pub name: String,
    /// The App that made it, by its name in addresses; none for a commit status.
    pub app: Option<String>,
    /// What it came to.
    pub state: CheckState,
}

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckState {
    /// It is not done.
    Pending,
    /// Good.
    Passed,
    /// Done, and it says neither.
    Neutral,
    /// It was not run.
    Skipped,
    /// Anything else.
    Failed,
}

/// A label that a pull request has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppliedLabel {
    /// Its name.
    pub name: String,
    /// Who set it last; none if the account is gone or the forge does not tell.
    pub by: Option<Actor>,
    /// Is that a person who may write to the repository, as the forge says now? Nobody else is obeyed.
    pub trusted: bool,
}

/// A thread of comments on the diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewThread {
    /// Its id and state; none while the forge shows its comments and not yet the thread.
    pub thread: Option<ForgeThread>,
    /// Have its lines changed since?
    pub outdated: bool,
    /// The file.
    pub path: String,
    /// Its comments, oldest first; never empty.
    pub comments: Vec<LineComment>,
}

/// A comment on the diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineComment {
    /// The comment.
    pub id: CommentId,
    /// Its page.
    pub url: String,
    /// The review that it is part of.
    pub review: Option<ReviewId>,
    /// Who; none if the account is gone.
    pub author: Option<Actor>,
    /// The commit that it was made on.
    pub commit: Option<Sha>,
    /// Its last line now; none if outdated, or on a whole file.
    pub line: Option<u32>,
    /// When, by the forge's clock.
    pub at: UnixMillis,
    /// Its text, without our marker.
    pub body: String,
    /// What it is about, if it is ours.
    pub topic: Option<Topic>,
    /// The finding that it shows, if a review of ours has posted it: as the topic that another loop has for it.
    pub reviewed: Option<Topic>,
}

/// A comment in the conversation with a certain text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationComment {
    /// The comment.
    pub id: CommentId,
    /// Who; none if the account is gone.
    pub author: Option<Actor>,
    /// When, by the forge's clock.
    pub at: UnixMillis,
}

/// Which audit a review of ours tells of: in its marker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuditMark {
    /// The run.
    pub run: RunId,
    /// The number of the audit in the run, from 1.
    pub audit: u32,
    /// Did it find nothing?
    pub clean: bool,
    /// The commit that was audited.
    pub commit: Sha,
    /// The scope of the audit, if that cleared the commit. Markers of former versions lack it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<AuditScope>,
}

impl AuditMark {
    /// What the marker says.
    pub fn topic(&self) -> Topic {
        let Self { run, audit, clean, commit, scope } = self;
        let word = if *clean { "clean" } else { "dirty" };
        let scope = scope.as_ref().map(|scope| format!("/{}", scope.as_str())).unwrap_or_default();
        Topic::new(format!("audit/{run}/{audit}/{word}/{commit}{scope}"))
    }

    /// Is it of the same audit? A former version has posted the same mark without its scope.
    pub fn is_same_audit(&self, other: &Self) -> bool {
        let of = |mark: &Self| Self { scope: None, ..mark.clone() };
        of(self) == of(other)
    }

    /// What a marker said; none if it is of something else.
    pub fn read(topic: &Topic) -> Option<Self> {
        let mut parts = topic.as_str().split('/');
        let (Some("audit"), Some(run), Some(audit), Some(word), Some(commit)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let scope = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(scope), None) => Some(AuditScope::parse(scope)?),
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
    /// The audit of ours that this review tells of: our marker is in it, and it is on the commit that the marker names.
    pub fn audit(&self) -> Option<AuditMark> {
        let mark = AuditMark::read(self.topic.as_ref()?)?;
        (self.commit.as_ref() == Some(&mark.commit)).then_some(mark)
    }
}

/// What a review of ours says of merging. It never approves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ReviewEvent {
    /// Nothing.
    Comment,
    /// Not as it is. On a pull request of our own account it is a comment: forges refuse the other.
    RequestChanges,
    /// Nothing, and a request for changes that our account made before is taken back. It approves nothing. Where a forge
    /// keeps such a request with its review, it stays until a person dismisses that.
    Withdraw,
}

/// A review to be posted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReviewDraft {
    /// The audit that it tells of.
    pub mark: AuditMark,
    /// What it says of merging.
    pub event: ReviewEvent,
    /// Its text, without the lists.
    pub body: String,
    /// Findings without a place in the diff, a line each.
    pub unplaced: Vec<String>,
    /// Findings with one: comments on lines.
    pub findings: Vec<LineDraft>,
}

/// A comment on lines of the audited commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LineDraft {
    /// The lines, validated against the diff.
    pub place: CodeLocation,
    /// What it is about: in its marker. One topic has one open thread.
    pub topic: Topic,
    /// The text, without marker.
    pub body: String,
    /// The same in one line, for the lists of those that get no comment.
    pub line: String,
}

impl ReviewDraft {
    /// The review's text, `refused` being the findings that could not be placed, and `open` those that have an open thread
    /// of ours, with its page. What does not fit into so many UTF-16 units is left out, and counted.
    pub fn text(&self, refused: &[&LineDraft], open: &[(&LineDraft, &str)], most: usize) -> String {
        let unplaced = self.unplaced.iter().chain(refused.iter().map(|finding| &finding.line));
        let open = open.iter().map(|(finding, page)| format!("{} ([its thread]({page}))", finding.line));
        let lists = [(UNPLACED, unplaced.cloned().collect::<Vec<_>>()), (OPEN, open.collect())];
        let parts = lists.iter().flat_map(|(heading, lines)| {
            (0..).zip(lines).map(move |(at, line)| match at {
                0 => format!("\n\n{heading}\n\n- {line}"),
                _ => format!("\n- {line}"),
            })
        });
        fit(self.body.clone(), &parts.collect::<Vec<_>>(), most)
    }

    /// All of it in one text, where no review can be posted.
    pub fn whole(&self, most: usize) -> String {
        let placed = self.findings.iter().map(|finding| {
            let (path, line) = (finding.place.path.to_string(), finding.place.end_line);
            format!("\n\n---\n\n{}:{line}\n\n{}", crate::markdown::code(&path), finding.body)
        });
        fit(self.text(&[], &[], most), &placed.collect::<Vec<_>>(), most)
    }
}

/// Text and parts, as many as fit.
fn fit(mut text: String, parts: &[String], most: usize) -> String {
    let units = |text: &str| text.encode_utf16().count();
    let note = |left: usize| format!("\n\n… and {left} more.");
    let mut used = units(&text);
    for (at, part) in parts.iter().enumerate() {
        let room = if at + 1 == parts.len() { 0 } else { units(&note(parts.len())) };
        used += units(part);
        if used + room > most {
            text.push_str(&note(parts.len() - at));
            break;
        }
        text.push_str(part);
    }
    text
}

/// What became of a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PostedReview {
    /// It is there.
    Review {
        /// The review.
        id: ReviewId,
        /// The comments of its findings, as far as the forge shows them yet. A finding without one is in the text, or
        /// found later by its topic ([`super::ForgeRead::threads`]).
        comments: Vec<(Topic, CommentId)>,
    },
    /// One comment in the conversation holds all of it.
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
            place: CodeLocation {
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
            assert_eq!(AuditMark::read(&mark.topic()), Some(mark));
        }
        let scope = AuditScope::of(&mark().commit, "looks", &[]);
        let scoped = AuditMark { scope: Some(scope), ..mark() };
        assert_eq!(AuditMark::read(&scoped.topic()), Some(scoped.clone()));
        assert!(scoped.is_same_audit(&mark()) && !scoped.is_same_audit(&AuditMark { audit: 4, ..mark() }));
        assert_eq!(AuditMark::read(&Topic::new(format!("{}/more", scoped.topic()))), None);
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
            assert_eq!(AuditMark::read(&Topic::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_mark_counts_for_the_commit_that_the_review_is_on_alone() {
        let review = |commit: &str| PullReview {
            id: ReviewId::new("1"),
            author: None,
            state: ReviewState::Commented,
            commit: Sha::parse(&commit.repeat(20)).ok(),
            at: None,
            body: String::new(),
            topic: Some(mark().topic()),
        };
        assert_eq!(review("a1").audit(), Some(mark()));
        assert_eq!(review("b2").audit(), None);
        assert_eq!(review("").audit(), None, "the commit is gone");
        assert_eq!(PullReview { topic: None, ..review("a1") }.audit(), None);
    }

    #[test]
    fn a_review_lists_what_has_no_place() {
        let mut draft = draft(2);
        assert_eq!(draft.text(&[], &[], 1000), draft.body);
        draft.unplaced.push("**[P2] Elsewhere**".into());
        let text = draft.text(&[&draft.findings[1]], &[], 1000);
        let expected = "## audit 3: 0P0 / 2P1 / 0P2\n\n### Findings without a diff anchor\n\n- **[P2] Elsewhere**\n- \
                        **[P1] Wrong 1** — one line";
        assert_eq!(text, expected);
        let whole = draft.whole(1000);
        assert!(whole.starts_with("## audit 3") && whole.contains("- **[P2] Elsewhere**"), "{whole}");
        assert!(whole.ends_with("\n\n---\n\n`src/1.py`:4\n\n**[P1] Wrong 1**"), "{whole}");
    }

    #[test]
    fn a_review_names_what_has_an_open_thread_with_its_page() {
        let mut draft = draft(2);
        let open = [(&draft.findings[0], "https://forge.example/7#1")];
        let expected = "## audit 3: 0P0 / 2P1 / 0P2\n\n### Findings already on this pull request\n\n- **[P1] Wrong 0** — \
                        one line ([its thread](https://forge.example/7#1))";
        assert_eq!(draft.text(&[], &open, 1000), expected);
        draft.unplaced.push("**[P2] Elsewhere**".into());
        let open = [(&draft.findings[0], "https://forge.example/7#1")];
        let text = draft.text(&[], &open, 1000);
        let (first, second) = text.split_once("\n\n### Findings already").unwrap();
        assert!(first.ends_with("anchor\n\n- **[P2] Elsewhere**") && second.contains("Wrong 0"), "{text}");
        assert!(draft.text(&[], &open, 120).ends_with("… and 1 more."));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let draft = draft(40);
        for most in [150, 200, 333, 1000, 1500] {
            let whole = draft.whole(most);
            let shown = whole.matches("\n---\n").count();
            assert!(whole.encode_utf16().count() <= most, "{most}");
            assert!(
                shown == 40 || whole.ends_with(&format!("… and {} more.", 40 - shown)),
                "{most}: {whole}"
            );
        }
        assert_eq!(draft.whole(10_000).matches("\n---\n").count(), 40);
    }
}

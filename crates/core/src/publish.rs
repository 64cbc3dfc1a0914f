//! What a pull request should show, what it shows, and the steps between (design.md section 4).
//!
//! Pure: [`plan`] compares the desired rows with the observed comments and the intents still without an answer.
//! The publisher (crate `forge`) carries the plan out.

use serde::{Deserialize, Serialize};

use crate::finding::{AnchorKind, Place};
use crate::id::{CommentId, FindingId, IntentId, Millis, Sha, Span};

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
    /// A person at the command line.
    Cli,
}

impl Producer {
    /// The word in markers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Converge => "converge",
            Self::Sync => "sync",
            Self::Cli => "cli",
        }
    }
}

/// What one comment is about; at most one comment an item.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The summary of the pull request.
    Summary,
    /// One finding.
    Finding(FindingId),
}

impl Item {
    /// The item's word in markers: `summary` or the finding's id.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Summary => "summary",
            Self::Finding(id) => id.as_str(),
        }
    }

    /// The item a word names; the inverse of [`Item::as_str`].
    pub fn from_word(word: &str) -> Self {
        match word {
            "summary" => Self::Summary,
            id => Self::Finding(FindingId::new(id)),
        }
    }
}

/// A row of desired state: one comment that should be there, and how it should read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Desired {
    /// What it is about.
    pub item: Item,
    /// Where it goes; none for the summary. The kind may be lowered when the forge refuses the place.
    pub place: Option<(AnchorKind, Place)>,
    /// The text without its marker.
    pub body: String,
    /// Should its thread be resolved?
    pub resolved: bool,
    /// The comment that shows it, once known.
    pub comment: Option<CommentId>,
}

impl Desired {
    /// The text as it is posted, without marker.
    pub fn shown_body(&self) -> String {
        cut(&self.body, BODY_LIMIT)
    }
}

/// A comment of ours on the pull request, with a marker that verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// The comment.
    pub id: CommentId,
    /// What its marker says it is about.
    pub item: Item,
    /// The text without its marker.
    pub body: String,
    /// Is its thread resolved? None where the forge has no threads (the summary).
    pub resolved: Option<bool>,
    /// Has somebody answered it?
    pub has_replies: bool,
    /// When it was made, by the forge's clock.
    pub created: Millis,
}

/// One creating call that was about to be made. Written before the call; a batch is one call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// What the call creates.
    pub items: Vec<Item>,
    /// When it was written.
    pub created: Millis,
}

/// What the head commit's status should be (spec review-service section 2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredStatus {
    /// The commit.
    pub sha: Sha,
    /// Green, red or neither.
    pub state: StatusState,
    /// One line, at most 140 characters (GitHub's limit).
    pub description: String,
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

/// One step of reconciling. Creating steps need an intent first; the others can be repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The call of this intent did nothing: its settle delay has passed and something of it is not there.
    Withdraw {
        /// The intent.
        intent: IntentId,
    },
    /// The row has no known comment, but one with its marker is there: remember it.
    Adopt {
        /// The row.
        item: Item,
        /// The comment.
        comment: CommentId,
    },
    /// An exact duplicate of ours without replies: delete it.
    DeleteDuplicate {
        /// The later of the two.
        comment: CommentId,
        /// What both are about.
        item: Item,
    },
    /// The text differs: rewrite it in place.
    Update {
        /// The comment.
        comment: CommentId,
        /// What it is about.
        item: Item,
        /// The new text, without marker.
        body: String,
    },
    /// The thread should be resolved and is not.
    Resolve {
        /// The comment that began the thread.
        comment: CommentId,
        /// What it is about.
        item: Item,
    },
    /// Post the summary.
    CreateSummary {
        /// Its text, without marker.
        body: String,
    },
    /// Post these inline comments in one review.
    CreateReview {
        /// The rows.
        items: Vec<Item>,
    },
    /// Post one comment on a file.
    CreateFileComment {
        /// The row.
        item: Item,
    },
}

/// What to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// A creating call may still become visible: look again then.
    Settling {
        /// When its settle delay has passed.
        until: Millis,
    },
    /// These steps, in order. Empty: the pull request shows what it should.
    Steps(Vec<Step>),
}

/// The longest comment body that is written, in bytes, without its marker; the rest is cut with a visible note.
/// Below GitHub's 65,536 characters with room for the marker.
pub const BODY_LIMIT: usize = 60_000;

/// Compares what should be shown with what is, and with the creating calls that never got an answer.
///
/// `settle` is how long a create without an answer may stay unseen (the forge's capability table). Nothing is
/// done while such a create may still become visible. A row whose comment is known is never created again, also
/// when the comment is not there: a person deleted it, or the list is stale.
pub fn plan(
    desired: &[Desired],
    observed: &[Observed],
    unanswered: &[Intent],
    settle: Span,
    now: Millis,
) -> Plan {
    let is_shown = |item: &Item| {
        observed.iter().any(|seen| seen.item == *item)
            || desired.iter().any(|row| row.item == *item && row.comment.is_some())
    };
    let open: Vec<&Intent> = unanswered.iter().filter(|intent| !intent.items.iter().all(is_shown)).collect();
    if let Some(until) = open.iter().map(|intent| intent.created + settle).filter(|until| *until > now).max()
    {
        return Plan::Settling { until };
    }
    let mut steps: Vec<Step> =
        open.iter().map(|intent| Step::Withdraw { intent: intent.id.clone() }).collect();
    let mut review = Vec::new();
    let mut files = Vec::new();
    for row in desired {
        let kind = row.place.as_ref().map(|(kind, _)| *kind);
        let body = match row.item {
            Item::Summary => shown_summary(row, desired),
            Item::Finding(_) => row.shown_body(),
        };
        if existing(row, &body, observed, &mut steps) || row.resolved {
            continue; // what is resolved before it was ever shown needs no comment
        }
        match (&row.item, kind) {
            (Item::Summary, _) => steps.push(Step::CreateSummary { body }),
            (Item::Finding(_), Some(AnchorKind::Inline)) => review.push(row.item.clone()),
            (Item::Finding(_), Some(AnchorKind::File)) => {
                files.push(Step::CreateFileComment { item: row.item.clone() });
            }
            (Item::Finding(_), Some(AnchorKind::Summary) | None) => {} // part of the summary's text
        }
    }
    if !review.is_empty() {
        steps.push(Step::CreateReview { items: review });
    }
    steps.extend(files);
    Plan::Steps(steps)
}

/// Adds the steps for a row that is shown already; false if it is not.
fn existing(row: &Desired, body: &str, observed: &[Observed], steps: &mut Vec<Step>) -> bool {
    let item = &row.item;
    let mut seen: Vec<&Observed> = observed.iter().filter(|seen| seen.item == *item).collect();
    seen.sort_by_key(|seen| (row.comment.as_ref() != Some(&seen.id), seen.created, &seen.id));
    let Some((keep, others)) = seen.split_first() else {
        if let Some(comment) = &row.comment {
            // Not in the list: deleted, or too new for it. Rewriting tells which, and repeats harmlessly.
            steps.push(Step::Update { comment: comment.clone(), item: item.clone(), body: body.into() });
        }
        return row.comment.is_some();
    };
    if row.comment.is_none() {
        steps.push(Step::Adopt { item: item.clone(), comment: keep.id.clone() });
    }
    for other in others {
        if same_text(&other.body, &keep.body) && !other.has_replies {
            steps.push(Step::DeleteDuplicate { comment: other.id.clone(), item: item.clone() });
        }
    }
    if !same_text(&keep.body, body) {
        steps.push(Step::Update { comment: keep.id.clone(), item: item.clone(), body: body.into() });
    }
    if row.resolved && keep.resolved == Some(false) {
        steps.push(Step::Resolve { comment: keep.id.clone(), item: item.clone() });
    }
    true
}

/// Findings without a comment of their own that the summary lists; the rest is counted.
const MAX_LISTED: usize = 300;

/// The summary with the findings that have no comment of their own, over the cap or without a place that the
/// forge takes: one line each, so that none is lost.
fn shown_summary(summary: &Desired, desired: &[Desired]) -> String {
    let unplaced: Vec<String> = desired
        .iter()
        .filter(|row| !row.resolved && row.comment.is_none())
        .filter_map(|row| match &row.place {
            Some((AnchorKind::Summary, place)) => {
                let line = row.body.lines().next().unwrap_or_default();
                Some(format!("- {line} at line {} of `{}`", place.start_line, place.path))
            }
            Some((AnchorKind::Inline | AnchorKind::File, _)) | None => None,
        })
        .collect();
    if unplaced.is_empty() {
        return cut(&summary.body, BODY_LIMIT);
    }
    let more = unplaced.len().saturating_sub(MAX_LISTED);
    let listed: Vec<String> = unplaced.into_iter().take(MAX_LISTED).collect();
    let more = if more > 0 { format!("\n- and {more} more") } else { String::new() };
    let list = format!("### Without a comment of their own\n\n{}{more}", listed.join("\n"));
    let room = BODY_LIMIT.saturating_sub(list.len() + 2);
    cut(&format!("{}\n\n{list}", cut(&summary.body, room)), BODY_LIMIT)
}

/// Equal as a forge keeps text: line ends and trailing white space aside.
fn same_text(a: &str, b: &str) -> bool {
    a.trim_end().lines().map(str::trim_end).eq(b.trim_end().lines().map(str::trim_end))
}

/// The text, cut at a character to `limit` bytes with a note.
fn cut(text: &str, limit: usize) -> String {
    const NOTE: &str = "\n\n_… truncated._";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit.saturating_sub(NOTE.len())).rev().find(|at| text.is_char_boundary(*at));
    format!("{}{NOTE}", text.get(..end.unwrap_or(0)).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SETTLE: Span = Span::seconds(30);

    fn finding(name: &str) -> Item {
        Item::Finding(FindingId::new(name))
    }

    fn place() -> Place {
        Place { path: "a.py".into(), side: crate::finding::Side::New, start_line: 1, end_line: 1 }
    }

    fn row(item: Item, body: &str) -> Desired {
        let place = (item != Item::Summary).then(|| (AnchorKind::Inline, place()));
        Desired { item, place, body: body.into(), resolved: false, comment: None }
    }

    fn seen(id: &str, item: Item, body: &str, created: i64) -> Observed {
        let resolved = (item != Item::Summary).then_some(false);
        Observed {
            id: CommentId::new(id),
            item,
            body: body.into(),
            resolved,
            has_replies: false,
            created: Millis(created),
        }
    }

    fn steps(plan: Plan) -> Vec<Step> {
        match plan {
            Plan::Steps(steps) => steps,
            Plan::Settling { until } => panic!("settling until {until:?}"),
        }
    }

    #[test]
    fn an_empty_pull_request_gets_one_summary_and_one_review() {
        let desired = [row(Item::Summary, "sum"), row(finding("a"), "A"), row(finding("b"), "B")];
        let expected = vec![
            Step::CreateSummary { body: "sum".into() },
            Step::CreateReview { items: vec![finding("a"), finding("b")] },
        ];
        assert_eq!(steps(plan(&desired, &[], &[], SETTLE, Millis(0))), expected);
    }

    #[test]
    fn a_create_without_an_answer_is_waited_for_then_adopted_or_made_again() {
        let desired = [row(finding("a"), "A")];
        let intent = Intent { id: IntentId::new("i"), items: vec![finding("a")], created: Millis(1_000) };
        let ask =
            |observed: &[Observed], now| plan(&desired, observed, std::slice::from_ref(&intent), SETTLE, now);
        assert_eq!(ask(&[], Millis(2_000)), Plan::Settling { until: Millis(31_000) });
        let visible = [seen("1", finding("a"), "A", 1_500)];
        let adopted = vec![Step::Adopt { item: finding("a"), comment: CommentId::new("1") }];
        assert_eq!(steps(ask(&visible, Millis(2_000))), adopted, "no need to wait for what is there");
        let again = vec![
            Step::Withdraw { intent: IntentId::new("i") },
            Step::CreateReview { items: vec![finding("a")] },
        ];
        assert_eq!(steps(ask(&[], Millis(31_000))), again);
    }

    #[test]
    fn only_exact_duplicates_without_replies_are_deleted_and_the_oldest_is_kept() {
        let desired = [row(finding("a"), "A")];
        let mut answered = seen("2", finding("a"), "A", 20);
        answered.has_replies = true;
        let observed = [
            seen(
                "3",
                finding("a"),
                "A
",
                30,
            ),
            answered,
            seen("1", finding("a"), "A", 10),
            seen("4", finding("a"), "B", 40),
        ];
        let expected = vec![
            Step::Adopt { item: finding("a"), comment: CommentId::new("1") },
            Step::DeleteDuplicate { comment: CommentId::new("3"), item: finding("a") },
        ];
        assert_eq!(steps(plan(&desired, &observed, &[], SETTLE, Millis(0))), expected);
    }

    #[test]
    fn a_comment_that_a_person_deleted_is_not_posted_again() {
        let known = Desired { comment: Some(CommentId::new("1")), ..row(finding("a"), "A") };
        let made = steps(plan(&[known], &[], &[], SETTLE, Millis(0)));
        assert!(matches!(made.as_slice(), [Step::Update { .. }]), "{made:?}");
    }

    #[test]
    fn what_a_person_resolved_stays_resolved_and_what_is_fixed_is_resolved() {
        let desired = [row(finding("open"), "A"), Desired { resolved: true, ..row(finding("fixed"), "B") }];
        let by_person = Observed { resolved: Some(true), ..seen("1", finding("open"), "A", 1) };
        let observed = [by_person, seen("2", finding("fixed"), "B", 1)];
        let made = steps(plan(&desired, &observed, &[], SETTLE, Millis(0)));
        assert!(made.contains(&Step::Resolve { comment: CommentId::new("2"), item: finding("fixed") }));
        assert!(
            !made.iter().any(|step| matches!(step, Step::Resolve { item, .. } if *item == finding("open")))
        );
    }

    #[test]
    fn a_finding_without_a_place_is_told_in_the_summary() {
        let lowered = Desired { place: Some((AnchorKind::Summary, place())), ..row(finding("a"), "LOST?") };
        let made = steps(plan(&[row(Item::Summary, "sum"), lowered], &[], &[], SETTLE, Millis(0)));
        assert!(
            matches!(made.as_slice(), [Step::CreateSummary { body }] if body.contains("LOST?")),
            "{made:?}"
        );
    }

    #[test]
    fn a_body_over_the_limit_is_cut_at_a_character_and_says_so() {
        let long = "é".repeat(BODY_LIMIT);
        let body = cut(&long, BODY_LIMIT);
        assert!(body.len() <= BODY_LIMIT && body.ends_with("truncated._"), "{}", body.len());
    }

    proptest! {
        /// From any mixture of known, lost, doubled and unseen comments, carrying out plans reaches the state in
        /// which every open row is shown exactly once with the right text, and then plans nothing more.
        #[test]
        fn carrying_out_plans_converges(
            rows in prop::collection::vec((0..3_u8, any::<bool>(), 0..3_usize), 1..6),
        ) {
            let mut desired = vec![row(Item::Summary, "sum")];
            let mut forge: BTreeMap<u32, Observed> = BTreeMap::new();
            let mut next = 0;
            for (n, (body, known, copies)) in rows.iter().enumerate() {
                let item = finding(&n.to_string());
                let mut wanted = row(item.clone(), "text");
                for _ in 0..*copies {
                    next += 1;
                    let text = if *body == 0 { "text" } else { "older" };
                    forge.insert(next, seen(&next.to_string(), item.clone(), text, i64::from(next)));
                    if *known {
                        wanted.comment = Some(CommentId::new(next.to_string()));
                    }
                }
                desired.push(wanted);
            }
            for _ in 0..2 {
                let observed: Vec<Observed> = forge.values().cloned().collect();
                for step in steps(plan(&desired, &observed, &[], SETTLE, Millis(0))) {
                    let mut create = |item: &Item, body: &str| {
                        next += 1;
                        forge.insert(next, seen(&next.to_string(), item.clone(), body, i64::from(next)));
                        CommentId::new(next.to_string())
                    };
                    let known = match step {
                        Step::CreateSummary { body } => vec![(Item::Summary, create(&Item::Summary, &body))],
                        Step::CreateReview { items } => {
                            items.iter().map(|item| (item.clone(), create(item, "text"))).collect()
                        }
                        Step::Adopt { item, comment } => vec![(item, comment)],
                        Step::Update { comment, body, .. } => {
                            forge.values_mut().filter(|seen| seen.id == comment).for_each(|seen| seen.body = body.clone());
                            vec![]
                        }
                        Step::DeleteDuplicate { comment, .. } => {
                            forge.retain(|_, seen| seen.id != comment);
                            vec![]
                        }
                        Step::Withdraw { .. } | Step::Resolve { .. } | Step::CreateFileComment { .. } => vec![],
                    };
                    for (item, comment) in known {
                        desired.iter_mut().filter(|row| row.item == item).for_each(|row| row.comment = Some(comment.clone()));
                    }
                }
            }
            let observed: Vec<Observed> = forge.values().cloned().collect();
            for row in &desired {
                let right = observed.iter().filter(|seen| seen.item == row.item && same_text(&seen.body, &row.body));
                prop_assert_eq!(right.count(), 1, "{:?}", row);
            }
            let rest = steps(plan(&desired, &observed, &[], SETTLE, Millis(0)));
            prop_assert!(rest.is_empty(), "{:?}", rest);
        }
    }
}

//! Tests the plans that change the comments observed at a forge into the desired comments. Also tests that
//! repeated planning and execution ends.

use std::collections::BTreeMap;

use proptest::prelude::*;

use truing_core::dismissal::RetractionScope;
use truing_core::finding::{AnchorKind, CodeLocation, DiffSide, SuggestedFix};
use truing_core::id::{CommentId, FindingId, ThreadId, TimeSpan, UnixMillis};
use truing_core::publish::{
    CommentRights, CommentSubject, DesiredComment, ForgeThread, ObservedComment, PublishLimits, PublishPlan,
    PublishStep, ThreadState, UnconfirmedComment, plan_publish,
};

const BOUNDS: PublishLimits = PublishLimits {
    settle_delay: TimeSpan::seconds(30),
    max_body_length: 2_000,
    max_batch_size: 3,
    offers_suggestions: true,
    comments_on_current_head: false,
};

fn finding(name: &str) -> CommentSubject {
    CommentSubject::Finding(FindingId::new(name))
}

fn place() -> CodeLocation {
    CodeLocation { path: "a.py".into(), side: DiffSide::New, start_line: 1, end_line: 1 }
}

fn row(item: CommentSubject, body: &str) -> DesiredComment {
    let place = (item != CommentSubject::Summary).then(|| (AnchorKind::Inline, place()));
    let (suggestion, is_proposed, resolved, retraction, comment) = (None, false, false, None, None);
    DesiredComment {
        subject: item,
        location: place,
        body: body.into(),
        suggestion,
        falls_back_to_code_block: is_proposed,
        resolved,
        retraction,
        comment,
    }
}

fn thread(comment: &str, state: ThreadState) -> ForgeThread {
    ForgeThread { id: ThreadId::new(format!("T{comment}")), state }
}

fn observed_comment(id: &str, item: CommentSubject, body: &str, created: i64) -> ObservedComment {
    let thread = (item != CommentSubject::Summary).then(|| thread(id, ThreadState::Open));
    ObservedComment {
        id: CommentId::new(id),
        subject: item,
        body: body.into(),
        line: None,
        thread,
        has_replies: false,
        created: UnixMillis(created),
        rights: CommentRights::CurrentAccount,
    }
}

/// Returns the length of a text as the strictest forge counts it.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn steps(plan: PublishPlan) -> Vec<PublishStep> {
    match plan {
        PublishPlan::Steps(steps) => steps,
        PublishPlan::Settling { until } => panic!("settling until {until:?}"),
    }
}

#[test]
fn an_empty_pull_request_gets_one_summary_and_one_review() {
    let desired = [row(CommentSubject::Summary, "sum"), row(finding("a"), "A"), row(finding("b"), "B")];
    let expected = vec![
        PublishStep::CreateSummary { body: "sum".into() },
        PublishStep::CreateReview { subjects: vec![finding("a"), finding("b")] },
    ];
    assert_eq!(steps(plan_publish(&desired, &[], &[], &BOUNDS, UnixMillis(0))), expected);
}

#[test]
fn a_create_without_an_answer_is_waited_for_then_adopted_or_made_again() {
    let desired = [row(finding("a"), "A")];
    let pending = [UnconfirmedComment { subject: finding("a"), last_attempt_at: UnixMillis(1_000) }];
    let ask = |observed: &[ObservedComment], now| plan_publish(&desired, observed, &pending, &BOUNDS, now);
    assert_eq!(ask(&[], UnixMillis(2_000)), PublishPlan::Settling { until: UnixMillis(31_000) });
    let visible = [observed_comment("1", finding("a"), "A", 1_500)];
    let adopted = vec![PublishStep::Adopt { subject: finding("a"), comment: CommentId::new("1") }];
    assert_eq!(steps(ask(&visible, UnixMillis(2_000))), adopted, "no need to wait for what is there");
    let again = vec![PublishStep::CreateReview { subjects: vec![finding("a")] }];
    assert_eq!(steps(ask(&[], UnixMillis(31_000))), again);
}

#[test]
fn only_exact_duplicates_without_replies_are_deleted_and_the_oldest_is_kept() {
    let desired = [row(finding("a"), "A")];
    let mut answered = observed_comment("2", finding("a"), "A", 20);
    answered.has_replies = true;
    let observed = [
        observed_comment("3", finding("a"), "A\n", 30),
        answered,
        observed_comment("1", finding("a"), "A", 10),
        observed_comment("4", finding("a"), "B", 40),
    ];
    let expected = vec![
        PublishStep::Adopt { subject: finding("a"), comment: CommentId::new("1") },
        PublishStep::Delete { comment: CommentId::new("3"), subject: finding("a") },
    ];
    assert_eq!(steps(plan_publish(&desired, &observed, &[], &BOUNDS, UnixMillis(0))), expected);
}

#[test]
fn a_comment_that_a_person_deleted_is_left_alone() {
    let known = DesiredComment { comment: Some(CommentId::new("1")), ..row(finding("a"), "A") };
    assert_eq!(steps(plan_publish(&[known], &[], &[], &BOUNDS, UnixMillis(0))), []);
}

#[test]
fn what_is_retracted_is_deleted_unless_somebody_answered_or_it_is_not_ours_to_delete() {
    let delete =
        |comment: &str| PublishStep::Delete { comment: CommentId::new(comment), subject: finding("a") };
    let row = |retraction| DesiredComment {
        resolved: true,
        retraction: Some(retraction),
        comment: Some(CommentId::new("1")),
        ..row(finding("a"), "taken back")
    };
    let planned = |retraction, seen: &[ObservedComment]| {
        steps(plan_publish(&[row(retraction)], seen, &[], &BOUNDS, UnixMillis(0)))
    };
    let plain = observed_comment("1", finding("a"), "A", 1);
    let answered = ObservedComment { has_replies: true, ..plain.clone() };
    let foreign = ObservedComment { rights: CommentRights::FormerAccount, ..plain.clone() };
    assert_eq!(planned(RetractionScope::Unanswered, std::slice::from_ref(&plain)), [delete("1")]);
    let kept = vec![resolve_step("1", true), update("1", "a", "taken back")];
    assert_eq!(planned(RetractionScope::Unanswered, std::slice::from_ref(&answered)), kept);
    assert_eq!(planned(RetractionScope::Answered, &[answered]), [delete("1")]);
    assert_eq!(planned(RetractionScope::Answered, &[foreign]), [resolve_step("1", true)]);
    let twice = [plain, observed_comment("2", finding("a"), "A", 2)];
    assert_eq!(planned(RetractionScope::Unanswered, &twice), [delete("1"), delete("2")]);
    assert_eq!(planned(RetractionScope::Unanswered, &[]), [], "it stays deleted");
}

fn resolve_step(comment: &str, resolved: bool) -> PublishStep {
    PublishStep::SetResolved { thread: ThreadId::new(format!("T{comment}")), resolved }
}

fn update(comment: &str, item: &str, body: &str) -> PublishStep {
    PublishStep::Update { comment: CommentId::new(comment), subject: finding(item), body: body.into() }
}

/// Returns the planned steps for a row whose comment is known. `state` is the state of the comment's thread;
/// `text` is the comment's current text.
fn steps_for_thread(resolved: bool, body: &str, state: ThreadState, text: &str) -> Vec<PublishStep> {
    let known = Some(CommentId::new("1"));
    let row = DesiredComment { resolved, comment: known, ..row(finding("a"), body) };
    let seen =
        ObservedComment { thread: Some(thread("1", state)), ..observed_comment("1", finding("a"), text, 1) };
    steps(plan_publish(&[row], &[seen], &[], &BOUNDS, UnixMillis(0)))
}

#[test]
fn a_thread_changes_with_its_text_and_before_it() {
    use ThreadState::{Open, ResolvedByOthers, ResolvedByUs};
    let both = |resolved, text: &str| vec![resolve_step("1", resolved), update("1", "a", text)];
    let only = |text: &str| vec![update("1", "a", text)];
    // Fixed now.
    assert_eq!(steps_for_thread(true, "fixed", Open, "open"), both(true, "fixed"));
    assert_eq!(
        steps_for_thread(true, "fixed", ResolvedByUs, "open"),
        only("fixed"),
        "interrupted between the two"
    );
    assert_eq!(steps_for_thread(true, "fixed", ResolvedByOthers, "open"), only("fixed"));
    // Found again.
    assert_eq!(steps_for_thread(false, "open", ResolvedByUs, "fixed"), both(false, "open"));
    assert_eq!(steps_for_thread(false, "open", Open, "fixed"), only("open"), "interrupted between the two");
    assert_eq!(steps_for_thread(false, "open", ResolvedByOthers, "fixed"), only("open"), "a person's word");
    // No step is planned if the comment and the thread are already in the desired state, or if a person has
    // resolved or reopened the thread.
    for state in [Open, ResolvedByUs, ResolvedByOthers] {
        assert_eq!(steps_for_thread(true, "fixed", state, "fixed"), []);
        assert_eq!(steps_for_thread(false, "open", state, "open"), []);
    }
}

#[test]
fn what_is_fixed_waits_for_a_thread_that_the_list_misses() {
    let known = Some(CommentId::new("1"));
    let row = DesiredComment { resolved: true, comment: known, ..row(finding("a"), "fixed") };
    let seen = ObservedComment { thread: None, ..observed_comment("1", finding("a"), "open", 1) };
    assert_eq!(steps(plan_publish(&[row], &[seen], &[], &BOUNDS, UnixMillis(0))), []);
}

#[test]
fn what_may_not_be_edited_shows_its_item_and_only_its_thread_is_resolved() {
    let foreign = |id, item, body| ObservedComment {
        rights: CommentRights::UnknownKey,
        ..observed_comment(id, finding(item), body, i64::from(id == "2"))
    };
    let rows = [
        row(CommentSubject::Summary, "sum"),
        row(finding("a"), "new text"),
        DesiredComment { resolved: true, ..row(finding("b"), "fixed") },
    ];
    let summary = ObservedComment {
        rights: CommentRights::UnknownKey,
        ..observed_comment("9", CommentSubject::Summary, "old sum", 0)
    };
    let observed =
        [summary, foreign("1", "a", "old text"), foreign("2", "a", "old text"), foreign("3", "b", "B")];
    assert_eq!(steps(plan_publish(&rows, &observed, &[], &BOUNDS, UnixMillis(0))), [resolve_step("3", true)]);

    let resolved =
        ObservedComment { thread: Some(thread("1", ThreadState::ResolvedByUs)), ..foreign("1", "a", "old") };
    assert_eq!(
        steps(plan_publish(&rows[1..2], &[resolved], &[], &BOUNDS, UnixMillis(0))),
        [],
        "its text cannot say why"
    );
}

#[test]
fn a_summary_that_a_former_account_wrote_is_followed_by_one_of_ours() {
    let old = ObservedComment {
        rights: CommentRights::FormerAccount,
        ..observed_comment("1", CommentSubject::Summary, "old", 0)
    };
    let known = DesiredComment { comment: Some(CommentId::new("1")), ..row(CommentSubject::Summary, "sum") };
    let create = [PublishStep::CreateSummary { body: "sum".into() }];
    assert_eq!(
        steps(plan_publish(&[known], std::slice::from_ref(&old), &[], &BOUNDS, UnixMillis(0))),
        create
    );
    let ours = DesiredComment { comment: Some(CommentId::new("2")), ..row(CommentSubject::Summary, "sum") };
    let observed = [old, observed_comment("2", CommentSubject::Summary, "sum", 1)];
    assert_eq!(steps(plan_publish(&[ours], &observed, &[], &BOUNDS, UnixMillis(0))), [], "once");
    let theirs = ObservedComment {
        rights: CommentRights::FormerAccount,
        ..observed_comment("3", finding("a"), "A", 0)
    };
    assert_eq!(steps(plan_publish(&[row(finding("a"), "B")], &[theirs], &[], &BOUNDS, UnixMillis(0))), []);
}

#[test]
fn a_pending_comment_is_not_waited_for_where_another_account_shows_its_item() {
    let desired = [row(finding("a"), "A")];
    let pending = [UnconfirmedComment { subject: finding("a"), last_attempt_at: UnixMillis(0) }];
    let observed = [ObservedComment {
        rights: CommentRights::UnknownKey,
        ..observed_comment("1", finding("a"), "A", 1)
    }];
    assert_eq!(steps(plan_publish(&desired, &observed, &pending, &BOUNDS, UnixMillis(1))), []);
}

#[test]
fn a_finding_without_a_place_is_told_in_the_summary() {
    let lowered =
        DesiredComment { location: Some((AnchorKind::Summary, place())), ..row(finding("a"), "LOST?") };
    let made = steps(plan_publish(
        &[row(CommentSubject::Summary, "sum"), lowered],
        &[],
        &[],
        &BOUNDS,
        UnixMillis(0),
    ));
    assert!(
        matches!(made.as_slice(), [PublishStep::CreateSummary { body }] if body.contains("LOST?")),
        "{made:?}"
    );
}

#[test]
fn a_body_over_the_limit_is_cut_and_what_was_posted_is_not_posted_again() {
    let long = row(finding("a"), &"A line of text.\n".repeat(500));
    let posted = long.new_body(&BOUNDS);
    assert!(units(&posted) <= BOUNDS.max_body_length && posted.contains("truncated"), "{}", posted.len());
    let there = [observed_comment("1", finding("a"), &posted, 1)];
    let known = [DesiredComment { comment: Some(CommentId::new("1")), ..long }];
    assert_eq!(steps(plan_publish(&known, &there, &[], &BOUNDS, UnixMillis(0))), []);
}

#[test]
fn more_comments_than_a_call_takes_are_more_calls() {
    let desired: Vec<DesiredComment> = (0..7).map(|n| row(finding(&n.to_string()), "A")).collect();
    let made = steps(plan_publish(&desired, &[], &[], &BOUNDS, UnixMillis(0)));
    let sizes: Vec<usize> = made
        .iter()
        .map(|step| if let PublishStep::CreateReview { subjects: items } = step { items.len() } else { 0 })
        .collect();
    assert_eq!(sizes, [3, 3, 1]);
}

fn row_with_suggestion(replacement: &str) -> DesiredComment {
    let suggestion = Some(SuggestedFix { replacement: replacement.into() });
    DesiredComment { suggestion, ..row(finding("a"), "A") }
}

#[test]
fn a_suggestion_is_made_with_a_comment_on_its_lines_only() {
    let inline = row_with_suggestion("x = 1");
    assert_eq!(inline.new_body(&BOUNDS), "A\n\n```suggestion\nx = 1\n```");
    for kind in [AnchorKind::File, AnchorKind::Summary] {
        assert_eq!(
            DesiredComment { location: Some((kind, place())), ..inline.clone() }.new_body(&BOUNDS),
            "A"
        );
    }
    assert_eq!(DesiredComment { resolved: true, ..inline.clone() }.new_body(&BOUNDS), "A");
    assert_eq!(inline.new_body(&PublishLimits { offers_suggestions: false, ..BOUNDS }), "A");
    assert_eq!(
        row_with_suggestion("/approve").new_body(&BOUNDS),
        "A",
        "what cannot be shown as it is stays prose"
    );
    let proposed = DesiredComment { falls_back_to_code_block: true, ..row_with_suggestion("x = '```'") };
    assert_eq!(proposed.new_body(&BOUNDS), "A\n\n````suggestion\nx = '```'\n````");
    let text = "A\n\nProposed replacement of these lines:\n\n````\nx = '```'\n````";
    let without = PublishLimits { offers_suggestions: false, ..BOUNDS };
    assert_eq!(proposed.new_body(&without), text, "where no forge offers it, it is code alone");
    let posted = observed_comment("1", finding("a"), text, 1);
    let known = [DesiredComment { comment: Some(CommentId::new("1")), ..proposed }];
    assert_eq!(steps(plan_publish(&known, &[posted], &[], &without, UnixMillis(0))), []);
    let long = DesiredComment { body: "A line.\n".repeat(500), ..inline }.new_body(&BOUNDS);
    assert!(
        long.ends_with("_\n\n```suggestion\nx = 1\n```") && units(&long) <= BOUNDS.max_body_length,
        "never cut"
    );
}

#[test]
fn a_comment_keeps_the_suggestion_that_it_was_made_with_and_gets_no_other() {
    let first = row_with_suggestion("x = 1");
    let posted = observed_comment("1", finding("a"), &first.new_body(&BOUNDS), 1);
    let known = |row: DesiredComment| [DesiredComment { comment: Some(CommentId::new("1")), ..row }];
    let ask = |row: DesiredComment| {
        steps(plan_publish(&known(row), std::slice::from_ref(&posted), &[], &BOUNDS, UnixMillis(0)))
    };
    assert_eq!(ask(first.clone()), []);
    let lowered = DesiredComment { location: Some((AnchorKind::File, place())), ..first };
    assert_eq!(ask(lowered), [], "wherever a new one would go now");
    assert_eq!(ask(row_with_suggestion("x = 2")), [update("1", "a", "A")], "its lines may be others by now");
    assert_eq!(ask(row(finding("a"), "A")), [update("1", "a", "A")]);
}

#[test]
fn findings_without_a_comment_are_listed_as_far_as_there_is_room_and_the_rest_is_counted() {
    let path = "`@team/x`<b>.py";
    let unplaced = |n: usize| {
        let place = CodeLocation { path: path.into(), ..place() };
        DesiredComment {
            location: Some((AnchorKind::Summary, place)),
            ..row(finding(&n.to_string()), "**P1: It**\n\nmore")
        }
    };
    let mut desired = vec![row(CommentSubject::Summary, &"A line of the summary.\n".repeat(200))];
    desired.extend((0..100).map(unplaced));
    let made = steps(plan_publish(&desired, &[], &[], &BOUNDS, UnixMillis(0)));
    let [PublishStep::CreateSummary { body }] = made.as_slice() else { panic!("{made:?}") };
    assert!(units(body) <= BOUNDS.max_body_length && body.contains("truncated"), "{body}");
    let listed = body.matches("- **P1: It** at line 1 of `` `@team/x`<b>.py ``").count();
    assert!(listed > 5 && body.ends_with(&format!("- and {} more", 100 - listed)), "{body}");
}

proptest! {
    /// Executes plans, beginning with any mixture of known, lost, duplicate and unseen comments. In the end
    /// every open row has exactly one comment with the right text, and the next plan is empty.
    #[test]
    fn carrying_out_plans_converges(
        rows in prop::collection::vec((0..3_u8, any::<bool>(), 0..3_usize), 1..6),
    ) {
        let mut desired = vec![row(CommentSubject::Summary, "sum")];
        let mut forge: BTreeMap<u32, ObservedComment> = BTreeMap::new();
        let mut next = 0;
        for (n, (body, known, copies)) in rows.iter().enumerate() {
            let item = finding(&n.to_string());
            let mut wanted = row(item.clone(), "text");
            for _ in 0..*copies {
                next += 1;
                let text = if *body == 0 { "text" } else { "older" };
                forge.insert(next, observed_comment(&next.to_string(), item.clone(), text, i64::from(next)));
                if *known {
                    wanted.comment = Some(CommentId::new(next.to_string()));
                }
            }
            desired.push(wanted);
        }
        for _ in 0..2 {
            let observed: Vec<ObservedComment> = forge.values().cloned().collect();
            for step in steps(plan_publish(&desired, &observed, &[], &BOUNDS, UnixMillis(0))) {
                let mut create = |item: &CommentSubject, body: &str| {
                    next += 1;
                    forge.insert(next, observed_comment(&next.to_string(), item.clone(), body, i64::from(next)));
                    CommentId::new(next.to_string())
                };
                let known = match step {
                    PublishStep::CreateSummary { body } => vec![(CommentSubject::Summary, create(&CommentSubject::Summary, &body))],
                    PublishStep::CreateReview { subjects } => {
                        subjects.iter().map(|item| (item.clone(), create(item, "text"))).collect()
                    }
                    PublishStep::Adopt { subject, comment } => vec![(subject, comment)],
                    PublishStep::Update { comment, body, .. } => {
                        forge.values_mut().filter(|seen| seen.id == comment).for_each(|seen| seen.body = body.clone());
                        vec![]
                    }
                    PublishStep::Delete { comment, .. } => {
                        forge.retain(|_, seen| seen.id != comment);
                        vec![]
                    }
                    PublishStep::SetResolved { .. } | PublishStep::CreateFileComment { .. } => vec![],
                };
                for (item, comment) in known {
                    desired.iter_mut().filter(|row| row.subject == item).for_each(|row| row.comment = Some(comment.clone()));
                }
            }
        }
        let observed: Vec<ObservedComment> = forge.values().cloned().collect();
        for row in &desired {
            let right = observed.iter().filter(|seen| seen.subject == row.subject && seen.body == row.body);
            prop_assert_eq!(right.count(), 1, "{:?}", row);
        }
        let rest = steps(plan_publish(&desired, &observed, &[], &BOUNDS, UnixMillis(0)));
        prop_assert!(rest.is_empty(), "{:?}", rest);
    }
}

#[test]
fn where_comments_land_on_the_head_one_on_another_line_is_made_again() {
    let desired = [row(finding("a"), "A")];
    let line = place().end_line;
    let bounds = PublishLimits { comments_on_current_head: true, ..BOUNDS };
    let at = |line| ObservedComment { line: Some(line), ..observed_comment("1", finding("a"), "A", 1) };
    let planned = |desired: &[DesiredComment], seen: &ObservedComment, bounds| {
        steps(plan_publish(desired, std::slice::from_ref(seen), &[], bounds, UnixMillis(99_000)))
    };
    let adopted = PublishStep::Adopt { subject: finding("a"), comment: CommentId::new("1") };
    let deleted = PublishStep::Delete { comment: CommentId::new("1"), subject: finding("a") };
    let again = PublishStep::CreateReview { subjects: vec![finding("a")] };
    assert_eq!(planned(&desired, &at(line + 1), &bounds), [deleted, again]);
    // A comment on the expected line is adopted. A comment on another line is adopted only if the forge's
    // request to create a comment names the commit.
    assert_eq!(planned(&desired, &at(line), &bounds), std::slice::from_ref(&adopted));
    assert_eq!(planned(&desired, &at(line + 1), &BOUNDS), std::slice::from_ref(&adopted));
    // A comment with replies, or a recorded comment, is not deleted, even if the comment is on another line.
    // A push may have moved the comment.
    let answered = ObservedComment { has_replies: true, ..at(line + 1) };
    assert_eq!(planned(&desired, &answered, &bounds), [adopted]);
    let known = [DesiredComment { comment: Some(CommentId::new("1")), ..desired[0].clone() }];
    assert_eq!(planned(&known, &at(line + 1), &bounds), []);
}

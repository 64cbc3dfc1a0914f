//! Tests of each rule that decides the next readiness step. The module `forges` tests whole pull requests.

// long: the file has one test for each condition of readiness; the tests share one pull request.

use std::collections::BTreeMap;

use truing_core::converge::ConvergeExitCode;
use truing_core::converge::readiness::{
    ExternalReviewer, LastComment, MERGEABILITY_TIMEOUT, MergeableState, ObservedReview, PullReadiness,
    PullSnapshot, ReadinessAction, ReadinessRules, ReadinessWaitReason, RequiredReviewer, ReviewSubmission,
    ReviewTextSignal, ReviewerCheck, ReviewerFeedback, ThreadAuthor, UnansweredFeedback, UnresolvedThread,
};
use truing_core::id::{ReviewId, ThreadId, TimeSpan, UnixMillis};
use truing_core::port::{PullState, ReviewState};

use super::sha;

pub(super) const START: UnixMillis = UnixMillis(10_000_000_000);

pub(super) fn rules(names: &[&str]) -> ReadinessRules {
    let reviewer = |name: &&str| match *name {
        "internal" => RequiredReviewer::Internal,
        name => RequiredReviewer::External(ExternalReviewer {
            name: name.into(),
            is_required: true,
            budget: TimeSpan::minutes(30),
            requests: 3,
        }),
    };
    ReadinessRules {
        reviewers: names.iter().map(reviewer).collect(),
        poll: TimeSpan::seconds(60),
        poll_after_trigger: TimeSpan::seconds(270),
        inline_lag_max: 3,
        resolve_threads: true,
        allow_declined: false,
        mark_ready: true,
        auto_rebase: false,
    }
}

fn rule<'a>(rules: &'a mut ReadinessRules, name: &str) -> &'a mut ExternalReviewer {
    let named = |reviewer: &'a mut RequiredReviewer| match reviewer {
        RequiredReviewer::External(rule) if rule.name == name => Some(rule),
        RequiredReviewer::External(_) | RequiredReviewer::Internal => None,
    };
    rules.reviewers.iter_mut().find_map(named).unwrap()
}

/// Returns a draft pull request without feedback, whose head was committed long ago.
pub(super) fn draft_snapshot(head: u64) -> PullSnapshot {
    PullSnapshot {
        head: sha(head),
        committed: UnixMillis(0),
        base: "main".into(),
        state: PullState::Draft,
        reviewer_feedback: BTreeMap::new(),
        threads: vec![],
        merge: MergeableState::Clean,
        pending: vec![],
        failed_checks: vec![],
        lacks_review: false,
    }
}

pub(super) fn reviewer_feedback(state: ReviewState, text: ReviewTextSignal, inline: u32) -> ReviewerFeedback {
    let submission = submission("1");
    let review = ObservedReview { submission, names_head: true, state, text, inline };
    ReviewerFeedback { review: Some(review), ..ReviewerFeedback::default() }
}

fn submission(id: &str) -> ReviewSubmission {
    ReviewSubmission { id: ReviewId::new(id), submitted_at: Some(UnixMillis(1)) }
}

/// Returns the feedback of a reviewer with these reviews, whose texts name no commit. The last review is on
/// the head.
fn unnamed(ids: &[&str]) -> ReviewerFeedback {
    let mut feedback = clean();
    feedback.submissions = ids.iter().map(|id| submission(id)).collect();
    if let (Some(review), Some(last)) = (&mut feedback.review, ids.last()) {
        (review.names_head, review.submission) = (false, submission(last));
    }
    feedback
}

fn clean() -> ReviewerFeedback {
    reviewer_feedback(ReviewState::Commented, ReviewTextSignal::NoFindings, 0)
}

fn with_feedback(mut snapshot: PullSnapshot, name: &str, view: ReviewerFeedback) -> PullSnapshot {
    snapshot.reviewer_feedback.insert(name.into(), view);
    snapshot
}

fn thread(id: &str, author: ThreadAuthor, last: LastComment) -> UnresolvedThread {
    UnresolvedThread { id: ThreadId::new(id), author, is_outdated: false, last_comment: last }
}

fn bugbot(id: &str, last: LastComment) -> UnresolvedThread {
    thread(id, ThreadAuthor::Reviewer("bugbot".into()), last)
}

fn seconds_at(seconds: i64) -> UnixMillis {
    START + TimeSpan::seconds(seconds)
}

/// Returns the readiness of a pull request whose head was committed long ago. The run's own audit has cleared
/// the head.
fn ready() -> PullReadiness {
    let mut ready = PullReadiness::new(sha(1), "main", UnixMillis(0));
    ready.record_clearance(&sha(1), UnixMillis(0));
    ready
}

fn code(want: &ReadinessAction) -> Option<ConvergeExitCode> {
    match want {
        ReadinessAction::End(exit) => Some(exit.code),
        ReadinessAction::AuditHead
        | ReadinessAction::RequestReview(_)
        | ReadinessAction::Wait { .. }
        | ReadinessAction::Fix(_)
        | ReadinessAction::UpdateBranch
        | ReadinessAction::MarkReady
        | ReadinessAction::Ready { .. } => None,
    }
}

fn wait_action(seconds: i64, reason: ReadinessWaitReason) -> ReadinessAction {
    ReadinessAction::Wait { until: seconds_at(seconds), reason }
}

fn wait_for_answer(name: &str) -> ReadinessWaitReason {
    ReadinessWaitReason::Answer(name.into())
}

fn fix_action(threads: &[&str], reviews: &[&str]) -> ReadinessAction {
    ReadinessAction::Fix(UnansweredFeedback {
        threads: threads.iter().map(|id| ThreadId::new(*id)).collect(),
        reviews: reviews.iter().map(|name| (*name).to_owned()).collect(),
    })
}

#[test]
fn our_own_audit_comes_where_the_list_has_it_and_others_only_at_a_head_that_those_before_cleared() {
    let mut ready = PullReadiness::new(sha(1), "main", START);
    let first = rules(&["internal", "bugbot"]);
    assert_eq!(ready.next_action(&first, &draft_snapshot(1), seconds_at(0)), ReadinessAction::AuditHead);
    ready.record_clearance(&sha(2), seconds_at(0));
    assert_eq!(
        ready.next_action(&first, &draft_snapshot(2), seconds_at(90)),
        ReadinessAction::RequestReview("bugbot".into())
    );
    // The run asks the configured reviewers in the configured order. After a clean answer, the next reviewer
    // is asked in the same poll.
    let listed = rules(&["bugbot", "internal"]);
    let mut ready = PullReadiness::new(sha(1), "main", UnixMillis(0));
    assert_eq!(
        ready.next_action(&listed, &draft_snapshot(1), seconds_at(0)),
        ReadinessAction::RequestReview("bugbot".into())
    );
    let clean = with_feedback(draft_snapshot(1), "bugbot", clean());
    assert_eq!(ready.next_action(&listed, &clean, seconds_at(0)), ReadinessAction::AuditHead);
    ready.record_clearance(&sha(1), seconds_at(0));
    assert_eq!(ready.next_action(&listed, &clean, seconds_at(0)), ReadinessAction::MarkReady);
    ready.record_ready_mark();
    assert_eq!(ready.next_action(&listed, &clean, seconds_at(1)), ReadinessAction::Ready { notes: vec![] });
}

#[test]
fn a_stale_review_is_triggered_once_and_then_waited_for() {
    let rules = rules(&["internal", "bugbot"]);
    let mut ready = ready();
    assert_eq!(
        ready.next_action(&rules, &draft_snapshot(1), seconds_at(0)),
        ReadinessAction::RequestReview("bugbot".into())
    );
    assert_eq!(
        ready.next_action(&rules, &draft_snapshot(1), seconds_at(0)),
        ReadinessAction::RequestReview("bugbot".into()),
        "until it is done"
    );
    ready.record_request("bugbot", seconds_at(0));
    for (now, until) in [(0, 270), (100, 270), (270, 330), (1_790, 1_800)] {
        assert_eq!(
            ready.next_action(&rules, &draft_snapshot(1), seconds_at(now)),
            wait_action(until, wait_for_answer("bugbot")),
            "{now}"
        );
    }
    let done = with_feedback(draft_snapshot(1), "bugbot", clean());
    assert_eq!(ready.next_action(&rules, &done, seconds_at(300)), ReadinessAction::MarkReady);
}

#[test]
fn whoever_is_queued_is_not_triggered_but_not_waited_for_without_end() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    for view in [
        ReviewerFeedback { is_queued: true, ..ReviewerFeedback::default() },
        ReviewerFeedback { check: Some(ReviewerCheck::Running), ..ReviewerFeedback::default() },
        ReviewerFeedback { check: Some(ReviewerCheck::Running), ..clean() },
    ] {
        let queued = with_feedback(draft_snapshot(1), "bugbot", view);
        assert_eq!(
            ready.next_action(&rules, &queued, seconds_at(0)),
            wait_action(60, wait_for_answer("bugbot"))
        );
        // Even if another user has requested the review, the run requests the review once before the reviewer
        // counts as silent.
        let mut late = ready.clone();
        if queued.reviewer_feedback["bugbot"].check.is_none() {
            assert_eq!(
                late.next_action(&rules, &queued, seconds_at(1_800)),
                ReadinessAction::RequestReview("bugbot".into())
            );
            late.record_request("bugbot", seconds_at(1_800));
            assert_eq!(
                late.next_action(&rules, &queued, seconds_at(1_800)),
                wait_action(2_070, wait_for_answer("bugbot"))
            );
        }
        assert_eq!(
            code(&late.next_action(&rules, &queued, seconds_at(3_600))),
            Some(ConvergeExitCode::ReviewerSilent)
        );
    }
}

#[test]
fn the_silent_are_asked_so_often_and_then_block_or_are_left() {
    for is_required in [true, false] {
        let mut rules = rules(&["internal", "bugbot"]);
        rule(&mut rules, "bugbot").is_required = is_required;
        let mut ready = ready();
        for round in 0..3 {
            let asked = seconds_at(round * 1_800);
            assert_eq!(
                ready.next_action(&rules, &draft_snapshot(1), asked),
                ReadinessAction::RequestReview("bugbot".into()),
                "{round}"
            );
            ready.record_request("bugbot", asked);
            assert!(matches!(
                ready.next_action(&rules, &draft_snapshot(1), asked),
                ReadinessAction::Wait { .. }
            ));
        }
        let gone = ready.next_action(&rules, &draft_snapshot(1), seconds_at(5_400));
        if is_required {
            assert_eq!(code(&gone), Some(ConvergeExitCode::ReviewerSilent));
        } else {
            ready.record_ready_mark();
            let notes = vec![format!("bugbot did not review {}", sha(1).short_sha())];
            assert_eq!(
                (gone, ready.next_action(&rules, &draft_snapshot(1), seconds_at(5_400))),
                (ReadinessAction::MarkReady, ReadinessAction::Ready { notes })
            );
        }
        // After a push, the review is requested again. A late answer to the first request still counts.
        ready.record_clearance(&sha(2), seconds_at(5_400));
        assert_eq!(
            ready.next_action(&rules, &draft_snapshot(2), seconds_at(5_500)),
            ReadinessAction::RequestReview("bugbot".into())
        );
    }
}

#[test]
fn who_comes_by_itself_is_never_asked_and_who_cannot_be_asked_is_so_for_the_run() {
    let mut rules = rules(&["internal", "copilot"]);
    rule(&mut rules, "copilot").requests = 0;
    let mut by_itself = ready();
    assert_eq!(
        by_itself.next_action(&rules, &draft_snapshot(1), seconds_at(0)),
        wait_action(60, wait_for_answer("copilot"))
    );
    assert_eq!(
        code(&by_itself.next_action(&rules, &draft_snapshot(1), seconds_at(1_800))),
        Some(ConvergeExitCode::ReviewerSilent)
    );

    let mut ready = ready();
    ready.mark_unreachable("copilot", "the quota is used up");
    ready.record_clearance(&sha(2), seconds_at(0));
    let ReadinessAction::End(exit) = ready.next_action(&rules, &draft_snapshot(2), seconds_at(100)) else {
        panic!()
    };
    assert!(exit.code == ConvergeExitCode::ReviewerSilent && exit.reason.contains("the quota is used up"));
    rule(&mut rules, "copilot").is_required = false;
    assert_eq!(ready.next_action(&rules, &draft_snapshot(2), seconds_at(100)), ReadinessAction::MarkReady);
}

#[test]
fn who_could_not_be_asked_is_tried_again_a_few_times_at_a_head() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    for _ in 0..3 {
        assert_eq!(
            ready.next_action(&rules, &draft_snapshot(1), seconds_at(0)),
            ReadinessAction::RequestReview("bugbot".into())
        );
        ready.record_request_failure("bugbot", "no answer");
    }
    let ReadinessAction::End(exit) = ready.next_action(&rules, &draft_snapshot(1), seconds_at(0)) else {
        panic!()
    };
    assert!(exit.code == ConvergeExitCode::ReviewerSilent && exit.reason.contains("no answer"), "{exit:?}");
}

#[test]
fn comments_that_lag_are_looked_for_so_often_and_then_it_is_blocked() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    let lags = with_feedback(
        draft_snapshot(1),
        "bugbot",
        reviewer_feedback(ReviewState::Commented, ReviewTextSignal::InlineFindings, 0),
    );
    for (now, until) in [(0, 60), (30, 60), (60, 120), (120, 180)] {
        assert_eq!(
            ready.next_action(&rules, &lags, seconds_at(now)),
            wait_action(until, ReadinessWaitReason::Inline("bugbot".into())),
            "{now}"
        );
    }
    let mut arrived = lags.clone();
    arrived.reviewer_feedback.insert(
        "bugbot".into(),
        reviewer_feedback(ReviewState::Commented, ReviewTextSignal::InlineFindings, 1),
    );
    arrived.threads.push(bugbot("a", LastComment::ByOtherAccount));
    assert_eq!(ready.clone().next_action(&rules, &arrived, seconds_at(180)), fix_action(&["a"], &[]));
    assert_eq!(code(&ready.next_action(&rules, &lags, seconds_at(180))), Some(ConvergeExitCode::InlineLag));
    // A failed check also counts as a report of findings.
    let failed = ReviewerFeedback { check: Some(ReviewerCheck::Failed), ..clean() };
    let want =
        self::ready().next_action(&rules, &with_feedback(draft_snapshot(1), "bugbot", failed), seconds_at(0));
    assert_eq!(want, wait_action(60, ReadinessWaitReason::Inline("bugbot".into())));
}

#[test]
fn what_a_reviewer_found_is_taken_from_its_text_when_no_comments_follow() {
    let mut rules = rules(&["internal", "copilot"]);
    let said = with_feedback(
        draft_snapshot(1),
        "copilot",
        reviewer_feedback(ReviewState::Commented, ReviewTextSignal::AnyFindings, 0),
    );
    for (allow_declined, expected) in [(false, Some(ConvergeExitCode::Declined)), (true, None)] {
        rules.allow_declined = allow_declined;
        let mut ready = ready();
        for now in [0, 60, 120] {
            assert_eq!(
                ready.next_action(&rules, &said, seconds_at(now)),
                wait_action(now + 60, ReadinessWaitReason::Inline("copilot".into()))
            );
        }
        assert_eq!(ready.next_action(&rules, &said, seconds_at(180)), fix_action(&[], &["copilot"]));
        // The fixer has handled the reviewer's findings without a change.
        let want = ready.next_action(&rules, &said, seconds_at(180));
        assert_eq!((code(&want), want == ReadinessAction::MarkReady), (expected, allow_declined));
    }
}

#[test]
fn a_push_forgets_every_stamp_wait_and_lag() {
    let (rules, mut ready) = (rules(&["internal", "bugbot", "copilot"]), ready());
    let lags = with_feedback(
        draft_snapshot(1),
        "bugbot",
        reviewer_feedback(ReviewState::Commented, ReviewTextSignal::InlineFindings, 0),
    );
    ready.next_action(&rules, &lags, seconds_at(0));
    ready.next_action(&rules, &lags, seconds_at(60));
    ready.record_request("copilot", seconds_at(60));
    ready.record_push(&sha(2), seconds_at(100));
    assert_eq!(ready.next_action(&rules, &draft_snapshot(2), seconds_at(200)), ReadinessAction::AuditHead);
    let kept = |ready: &PullReadiness| {
        let mut kept = serde_json::to_value(ready).unwrap();
        let all = kept.as_object_mut().unwrap();
        assert!(all.remove("before").is_some() && all.remove("was_open").is_some(), "what is of no head");
        kept
    };
    assert_eq!(kept(&ready), kept(&PullReadiness::new(sha(2), "main", seconds_at(100))));
    // A push of another user also resets the readiness.
    ready.record_clearance(&sha(2), seconds_at(200));
    assert_eq!(ready.next_action(&rules, &draft_snapshot(3), seconds_at(300)), ReadinessAction::AuditHead);
    assert_eq!(ready.head(), &sha(3));
}

#[test]
fn copilot_is_clean_when_it_comments_and_shows_nothing() {
    let rules = rules(&["internal", "copilot"]);
    for (state, text, inline, threads, expected) in [
        (ReviewState::Commented, ReviewTextSignal::NoFindings, 0, vec![], ReadinessAction::MarkReady),
        (ReviewState::Approved, ReviewTextSignal::NoFindings, 0, vec![], ReadinessAction::MarkReady),
        // Copilot's comments are resolved.
        (ReviewState::Commented, ReviewTextSignal::InlineFindings, 2, vec![], ReadinessAction::MarkReady),
        // Copilot's text does not mention findings, but a thread is open.
        (ReviewState::Commented, ReviewTextSignal::NoFindings, 1, vec!["a"], fix_action(&["a"], &[])),
        (ReviewState::Approved, ReviewTextSignal::NoFindings, 1, vec!["a"], fix_action(&["a"], &[])),
        // Copilot's text mentions findings. If a thread is open, the fixer gets the thread's finding. If no
        // thread is open, the comments may still be delayed.
        (ReviewState::Commented, ReviewTextSignal::AnyFindings, 1, vec!["a"], fix_action(&["a"], &[])),
        (
            ReviewState::Commented,
            ReviewTextSignal::AnyFindings,
            0,
            vec![],
            wait_action(60, ReadinessWaitReason::Inline("copilot".into())),
        ),
        (
            ReviewState::ChangesRequested,
            ReviewTextSignal::NoFindings,
            0,
            vec![],
            fix_action(&[], &["copilot"]),
        ),
        (
            ReviewState::ChangesRequested,
            ReviewTextSignal::InlineFindings,
            1,
            vec!["a"],
            fix_action(&["a"], &["copilot"]),
        ),
        (
            ReviewState::Dismissed,
            ReviewTextSignal::AnyFindings,
            0,
            vec![],
            ReadinessAction::RequestReview("copilot".into()),
        ),
        (
            ReviewState::Pending,
            ReviewTextSignal::AnyFindings,
            0,
            vec![],
            ReadinessAction::RequestReview("copilot".into()),
        ),
    ] {
        let mut seen = with_feedback(draft_snapshot(1), "copilot", reviewer_feedback(state, text, inline));
        let by = || ThreadAuthor::Reviewer("copilot".into());
        seen.threads.extend(threads.into_iter().map(|id| thread(id, by(), LastComment::ByOtherAccount)));
        assert_eq!(
            ready().next_action(&rules, &seen, seconds_at(0)),
            expected,
            "{state:?} {text:?} {inline}"
        );
    }
    // If Copilot's check has passed, no review by Copilot is needed.
    let passed = ReviewerFeedback { check: Some(ReviewerCheck::Passed), ..ReviewerFeedback::default() };
    assert_eq!(
        ready().next_action(&rules, &with_feedback(draft_snapshot(1), "copilot", passed), seconds_at(0)),
        ReadinessAction::MarkReady
    );
}

#[test]
fn what_others_found_is_one_work_and_nobody_is_asked_before_it_is_done() {
    let (rules, mut ready) = (rules(&["internal", "bugbot", "copilot"]), ready());
    let mut seen = with_feedback(
        draft_snapshot(1),
        "copilot",
        reviewer_feedback(ReviewState::ChangesRequested, ReviewTextSignal::NoFindings, 0),
    );
    let outdated =
        |by| UnresolvedThread { is_outdated: true, ..thread("old", by, LastComment::ByOtherAccount) };
    seen.threads = vec![
        bugbot("a", LastComment::ByOtherAccount),
        thread("b", ThreadAuthor::Person, LastComment::ByOtherAccount),
        thread("c", ThreadAuthor::Bot, LastComment::ByOtherAccount),
        thread("answered", ThreadAuthor::Person, LastComment::Declined),
        outdated(ThreadAuthor::Bot),
    ];
    assert_eq!(ready.next_action(&rules, &seen, seconds_at(0)), fix_action(&["a", "b", "c"], &["copilot"]));
    assert_eq!(
        ready.next_action(&rules, &seen, seconds_at(0)),
        ReadinessAction::RequestReview("bugbot".into()),
        "not twice at one head"
    );
    // A person's comment counts even if its lines were removed.
    seen.threads = vec![outdated(ThreadAuthor::Person)];
    assert_eq!(ready.next_action(&rules, &seen, seconds_at(0)), fix_action(&["old"], &[]));
}

#[test]
fn threads_stay_open_as_the_configuration_says() {
    let person = |last| vec![thread("a", ThreadAuthor::Person, last)];
    for (last, allow_declined, resolve_threads, expected) in [
        (LastComment::Declined, false, true, Some(ConvergeExitCode::Threads)),
        (LastComment::Declined, true, true, None),
        (LastComment::ReportsFix, false, true, Some(ConvergeExitCode::Threads)),
        (LastComment::ReportsFix, false, false, None),
    ] {
        let rules = ReadinessRules { allow_declined, resolve_threads, ..rules(&["internal"]) };
        let want = ready().next_action(
            &rules,
            &PullSnapshot { threads: person(last), ..draft_snapshot(1) },
            seconds_at(0),
        );
        assert_eq!(code(&want), expected, "{last:?} {want:?}");
        assert_eq!(want == ReadinessAction::MarkReady, expected.is_none());
    }
    // A thread needs a reply if its last comment is by another user, even if the run has replied before that
    // comment.
    let (rules, mut ready) = (rules(&["internal"]), ready());
    let theirs = PullSnapshot { threads: person(LastComment::ByOtherAccount), ..draft_snapshot(1) };
    assert_eq!(ready.next_action(&rules, &theirs, seconds_at(0)), fix_action(&["a"], &[]));
    assert_eq!(code(&ready.next_action(&rules, &theirs, seconds_at(0))), Some(ConvergeExitCode::Threads));
}

#[test]
fn a_review_whose_words_were_declined_holds_it_back_unless_that_is_allowed() {
    for allow_declined in [false, true] {
        let rules = ReadinessRules { allow_declined, ..rules(&["internal", "copilot"]) };
        let seen = with_feedback(
            draft_snapshot(1),
            "copilot",
            reviewer_feedback(ReviewState::ChangesRequested, ReviewTextSignal::NoFindings, 0),
        );
        let mut ready = ready();
        assert_eq!(ready.next_action(&rules, &seen, seconds_at(0)), fix_action(&[], &["copilot"]));
        let want = ready.next_action(&rules, &seen, seconds_at(0));
        assert_eq!(code(&want), (!allow_declined).then_some(ConvergeExitCode::Declined));
        assert_eq!(want == ReadinessAction::MarkReady, allow_declined);
    }
}

#[test]
fn nothing_that_a_forge_shows_of_a_new_head_is_believed_at_once() {
    let rules = rules(&["internal", "bugbot"]);
    let mut ready = PullReadiness::new(sha(1), "main", seconds_at(0));
    ready.record_clearance(&sha(1), seconds_at(10));
    let young =
        PullSnapshot { committed: seconds_at(-20), ..with_feedback(draft_snapshot(1), "bugbot", clean()) };
    assert_eq!(
        ready.next_action(&rules, &young, seconds_at(10)),
        wait_action(40, ReadinessWaitReason::Settling)
    );
    assert_eq!(ready.next_action(&rules, &young, seconds_at(40)), ReadinessAction::MarkReady);
    // If a commit's time is in the future, the age of the commit is measured from the time at which the run
    // first saw the commit.
    let future = PullSnapshot { committed: seconds_at(1_000_000), ..young };
    assert_eq!(
        ready.next_action(&rules, &future, seconds_at(40)),
        wait_action(60, ReadinessWaitReason::Settling)
    );
    assert_eq!(ready.next_action(&rules, &future, seconds_at(60)), ReadinessAction::MarkReady);
}

#[test]
fn a_forge_that_still_shows_the_head_before_our_push_is_looked_at_again() {
    let (rules, mut ready) = (rules(&["internal"]), ready());
    ready.record_clearance(&sha(2), seconds_at(0));
    assert_eq!(
        ready.next_action(&rules, &draft_snapshot(1), seconds_at(5)),
        wait_action(15, ReadinessWaitReason::Settling)
    );
    assert_eq!(ready.next_action(&rules, &draft_snapshot(2), seconds_at(60)), ReadinessAction::MarkReady);
    // Another user has reset the branch to the old head.
    assert_eq!(ready.next_action(&rules, &draft_snapshot(1), seconds_at(61)), ReadinessAction::AuditHead);
}

#[test]
fn mergeability_is_waited_for_while_it_can_change_and_is_named_when_it_does_not() {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).into()).collect() };
    let rules = rules(&["internal"]);
    let merge = |merge| PullSnapshot { merge, ..draft_snapshot(1) };
    let rebase = ReadinessRules { auto_rebase: true, ..rules.clone() };
    for (seen, expected) in [
        (merge(MergeableState::Clean), ReadinessAction::MarkReady),
        (merge(MergeableState::HasHooks), ReadinessAction::MarkReady),
        (merge(MergeableState::Draft), ReadinessAction::MarkReady),
        (PullSnapshot { lacks_review: true, ..merge(MergeableState::Blocked) }, ReadinessAction::MarkReady),
        (merge(MergeableState::Unknown), wait_action(10, ReadinessWaitReason::Merge)),
        (merge(MergeableState::Blocked), wait_action(10, ReadinessWaitReason::Merge)),
        (merge(MergeableState::Unstable), wait_action(10, ReadinessWaitReason::Merge)),
        (
            PullSnapshot { pending: names(&["ci"]), ..merge(MergeableState::Unstable) },
            wait_action(60, ReadinessWaitReason::Checks),
        ),
        (
            PullSnapshot { pending: names(&["ci"]), lacks_review: true, ..merge(MergeableState::Blocked) },
            wait_action(60, ReadinessWaitReason::Checks),
        ),
    ] {
        assert_eq!(ready().next_action(&rules, &seen, seconds_at(0)), expected, "{:?}", seen.merge);
        let mut late = ready();
        late.next_action(&rules, &seen, seconds_at(0));
        let ends = late.next_action(&rules, &seen, seconds_at(3_600));
        let waited = matches!(expected, ReadinessAction::Wait { .. });
        assert_eq!(code(&ends), waited.then_some(ConvergeExitCode::Mergeability), "{:?}", seen.merge);
    }
    let mut unknown = ready();
    unknown.next_action(&rules, &merge(MergeableState::Unknown), seconds_at(0));
    assert_eq!(
        unknown.next_action(&rules, &merge(MergeableState::Unknown), seconds_at(115)),
        wait_action(120, ReadinessWaitReason::Merge)
    );
    assert_eq!(
        unknown.clone().next_action(&rules, &merge(MergeableState::Clean), seconds_at(115)),
        ReadinessAction::MarkReady
    );
    assert_eq!(
        code(&unknown.next_action(&rules, &merge(MergeableState::Unknown), seconds_at(120))),
        Some(ConvergeExitCode::Mergeability)
    );

    for (seen, words) in [
        (merge(MergeableState::Dirty), "conflicts with its base main"),
        (merge(MergeableState::Behind), "the branch is behind its base main"),
        (
            PullSnapshot {
                failed_checks: names(&["a", "b", "c", "d", "e", "f"]),
                ..merge(MergeableState::Unstable)
            },
            "a, b, c, d, e and 1 more",
        ),
        (
            PullSnapshot {
                failed_checks: names(&["ci"]),
                lacks_review: true,
                ..merge(MergeableState::Blocked)
            },
            "checks failed: ci",
        ),
        (PullSnapshot { failed_checks: names(&["ci"]), ..merge(MergeableState::Draft) }, "checks failed: ci"),
    ] {
        let ReadinessAction::End(exit) = ready().next_action(&rules, &seen, seconds_at(0)) else {
            panic!("{:?}", seen.merge)
        };
        assert!(
            exit.code == ConvergeExitCode::Mergeability && exit.reason.contains(words),
            "{}",
            exit.reason
        );
    }
    for state in [MergeableState::Dirty, MergeableState::Behind] {
        let mut ready = ready();
        for head in 1..=3 {
            ready.record_clearance(&sha(head), seconds_at(0));
            let behind = PullSnapshot { merge: state, ..draft_snapshot(head) };
            assert_eq!(ready.next_action(&rebase, &behind, seconds_at(60)), ReadinessAction::UpdateBranch);
        }
        // The run has already requested a merge of the base for the last head, so the run waits for the
        // merge. The number of such requests is limited.
        let behind = PullSnapshot { merge: state, ..draft_snapshot(3) };
        assert!(matches!(
            ready.next_action(&rebase, &behind, seconds_at(60)),
            ReadinessAction::Wait { reason: ReadinessWaitReason::Merge, .. }
        ));
        assert_eq!(
            code(&ready.next_action(&rebase, &behind, seconds_at(60) + MERGEABILITY_TIMEOUT)),
            Some(ConvergeExitCode::Mergeability)
        );
        // The forge's merge of the base creates a new head. This head does not count as another user's push.
        let mut ready = self::ready();
        for head in 1..=3 {
            ready.record_clearance(&sha(head), seconds_at(0));
            assert_eq!(
                ready.next_action(
                    &rebase,
                    &PullSnapshot { merge: state, ..draft_snapshot(head) },
                    seconds_at(60)
                ),
                ReadinessAction::UpdateBranch
            );
            assert_eq!(
                ready.next_action(&rebase, &draft_snapshot(head + 1), seconds_at(60)),
                ReadinessAction::AuditHead
            );
            assert!(ready.head() == &sha(head + 1) && ready.is_requested_base_merge(&sha(head + 1)));
        }
        for head in 5..=7 {
            assert_eq!(
                ready.next_action(&rebase, &draft_snapshot(head), seconds_at(60)),
                ReadinessAction::AuditHead,
                "others may push as often as ever"
            );
        }
    }
}

#[test]
fn what_people_do_meanwhile_ends_it_or_begins_it_anew() {
    let rules = rules(&["internal"]);
    let state = |state| PullSnapshot { state, ..draft_snapshot(1) };
    for gone in [PullState::Merged, PullState::Closed] {
        assert_eq!(
            code(&ready().next_action(&rules, &state(gone), seconds_at(0))),
            Some(ConvergeExitCode::Closed)
        );
    }
    // A pull request that is not a draft is not marked as ready. A pull request that a user has made a draft
    // again stays a draft.
    let mut open = ready();
    assert_eq!(
        open.next_action(&rules, &state(PullState::Open), seconds_at(0)),
        ReadinessAction::Ready { notes: vec![] }
    );
    let notes = vec!["the pull request was converted back to a draft and remains a draft".to_owned()];
    assert_eq!(
        open.next_action(&rules, &state(PullState::Draft), seconds_at(0)),
        ReadinessAction::Ready { notes }
    );
    let unmarked = ReadinessRules { mark_ready: false, ..rules.clone() };
    assert_eq!(
        ready().next_action(&unmarked, &draft_snapshot(1), seconds_at(0)),
        ReadinessAction::Ready { notes: vec![] }
    );
    // A new base branch results in a different change, which needs another audit.
    let mut ready = ready();
    let base = PullSnapshot { base: "next".into(), ..draft_snapshot(1) };
    assert_eq!(ready.next_action(&rules, &base, seconds_at(0)), ReadinessAction::AuditHead);
    ready.record_clearance(&sha(1), seconds_at(0));
    assert_eq!(ready.next_action(&rules, &base, seconds_at(60)), ReadinessAction::MarkReady);
    for head in 2..=3 {
        assert_eq!(
            ready.next_action(&rules, &PullSnapshot { head: sha(head), ..base.clone() }, seconds_at(60)),
            ReadinessAction::AuditHead
        );
    }
    assert_eq!(
        code(&ready.next_action(&rules, &PullSnapshot { head: sha(4), ..base }, seconds_at(60))),
        Some(ConvergeExitCode::HeadMoved)
    );
}

#[test]
fn accepts_review_that_names_no_commit_only_after_request() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    let with = |ids: &[&str]| with_feedback(draft_snapshot(1), "bugbot", unnamed(ids));
    let proof = || ReadinessWaitReason::Proof("bugbot".into());
    // The forge assigns an older review to the head.
    let asks = ReadinessAction::RequestReview("bugbot".into());
    assert_eq!(ready.next_action(&rules, &with(&["1"]), seconds_at(0)), asks);
    assert_eq!(ready.next_action(&rules, &with(&["1"]), seconds_at(1)), asks);
    ready.record_request("bugbot", seconds_at(1));
    assert_eq!(ready.next_action(&rules, &with(&["1"]), seconds_at(1)), wait_action(271, proof()));
    assert_eq!(ready.next_action(&rules, &with(&["1", "2"]), seconds_at(300)), ReadinessAction::MarkReady);
    // The request was for another head.
    ready.record_clearance(&sha(2), seconds_at(400));
    let moved = with_feedback(draft_snapshot(2), "bugbot", unnamed(&["1", "2"]));
    assert_eq!(ready.next_action(&rules, &moved, seconds_at(500)), asks);
}

#[test]
fn reports_unproven_review_of_reviewer_without_requests() {
    let mut rules = rules(&["internal", "bugbot"]);
    let seen = unnamed(&["1"]);
    rule(&mut rules, "bugbot").requests = 0;
    let seen = with_feedback(draft_snapshot(1), "bugbot", seen);
    for is_required in [true, false] {
        rule(&mut rules, "bugbot").is_required = is_required;
        let mut ready = ready();
        let first = ready.next_action(&rules, &seen, seconds_at(0));
        assert_eq!(first, wait_action(60, ReadinessWaitReason::Proof("bugbot".into())));
        let last = ready.next_action(&rules, &seen, seconds_at(1800));
        if is_required {
            let ReadinessAction::End(exit) = last else { panic!("{last:?}") };
            assert_eq!(exit.code, ConvergeExitCode::ReviewerSilent);
            assert!(exit.reason.contains("not proven"), "{}", exit.reason);
        } else {
            assert_eq!(last, ReadinessAction::MarkReady);
        }
    }
}

#[test]
fn fixes_objection_of_unproven_review() {
    let mut feedback = unnamed(&["1"]);
    if let Some(review) = &mut feedback.review {
        review.state = ReviewState::ChangesRequested;
    }
    let seen = with_feedback(draft_snapshot(1), "bugbot", feedback);
    let want = ready().next_action(&rules(&["internal", "bugbot"]), &seen, seconds_at(0));
    assert_eq!(want, fix_action(&[], &["bugbot"]));
}

//! Tests of the next readiness step, rule by rule; whole runs are in `forges`.

use std::collections::BTreeMap;

use truing_core::converge::ConvergeExitCode;
use truing_core::converge::readiness::{
    ExternalReviewer, LastWord, MERGE_BUDGET, MergeableState, ObservedReview, PullReadiness, PullSnapshot,
    ReadinessAction, ReadinessRules, ReadinessWait, RequiredReviewer, ReviewTextSignal, ReviewerCheck,
    ReviewerFeedback, ThreadAuthor, UnansweredFeedback, UnresolvedThread,
};
use truing_core::id::{ThreadId, TimeSpan, UnixMillis};
use truing_core::port::{PullState, ReviewState};

use super::sha;

pub(super) const START: UnixMillis = UnixMillis(10_000_000_000);

pub(super) fn rules(names: &[&str]) -> ReadinessRules {
    let reviewer = |name: &&str| match *name {
        "internal" => RequiredReviewer::Internal,
        name => RequiredReviewer::Other(ExternalReviewer {
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
        RequiredReviewer::Other(rule) if rule.name == name => Some(rule),
        RequiredReviewer::Other(_) | RequiredReviewer::Internal => None,
    };
    rules.reviewers.iter_mut().find_map(named).unwrap()
}

/// Returns a draft at an old head without any feedback.
pub(super) fn seen(head: u64) -> PullSnapshot {
    PullSnapshot {
        head: sha(head),
        committed: UnixMillis(0),
        base: "main".into(),
        state: PullState::Draft,
        views: BTreeMap::new(),
        threads: vec![],
        merge: MergeableState::Clean,
        pending: vec![],
        failed: vec![],
        lacks_review: false,
    }
}

pub(super) fn reviewed(state: ReviewState, text: ReviewTextSignal, inline: u32) -> ReviewerFeedback {
    ReviewerFeedback { review: Some(ObservedReview { state, text, inline }), ..ReviewerFeedback::default() }
}

fn clean() -> ReviewerFeedback {
    reviewed(ReviewState::Commented, ReviewTextSignal::Silent, 0)
}

fn with(mut snapshot: PullSnapshot, name: &str, view: ReviewerFeedback) -> PullSnapshot {
    snapshot.views.insert(name.into(), view);
    snapshot
}

fn thread(id: &str, by: ThreadAuthor, last: LastWord) -> UnresolvedThread {
    UnresolvedThread { id: ThreadId::new(id), by, is_outdated: false, last }
}

fn bugbot(id: &str, last: LastWord) -> UnresolvedThread {
    thread(id, ThreadAuthor::Reviewer("bugbot".into()), last)
}

fn at(seconds: i64) -> UnixMillis {
    START + TimeSpan::seconds(seconds)
}

/// Returns the state of a pull request at an old head that our own audit has cleared.
fn ready() -> PullReadiness {
    let mut ready = PullReadiness::new(sha(1), "main", UnixMillis(0));
    ready.record_clearance(&sha(1), UnixMillis(0));
    ready
}

fn code(want: &ReadinessAction) -> Option<ConvergeExitCode> {
    match want {
        ReadinessAction::End(exit) => Some(exit.code),
        ReadinessAction::Internal
        | ReadinessAction::Ask(_)
        | ReadinessAction::Wait { .. }
        | ReadinessAction::Fix(_)
        | ReadinessAction::UpdateBranch
        | ReadinessAction::MarkReady
        | ReadinessAction::Done { .. } => None,
    }
}

fn waits(seconds: i64, reason: ReadinessWait) -> ReadinessAction {
    ReadinessAction::Wait { until: at(seconds), why: reason }
}

fn answer(name: &str) -> ReadinessWait {
    ReadinessWait::Answer(name.into())
}

fn fixes(threads: &[&str], reviews: &[&str]) -> ReadinessAction {
    ReadinessAction::Fix(UnansweredFeedback {
        threads: threads.iter().map(|id| ThreadId::new(*id)).collect(),
        reviews: reviews.iter().map(|name| (*name).to_owned()).collect(),
    })
}

#[test]
fn our_own_audit_comes_where_the_list_has_it_and_others_only_at_a_head_that_those_before_cleared() {
    let mut ready = PullReadiness::new(sha(1), "main", START);
    let first = rules(&["internal", "bugbot"]);
    assert_eq!(ready.next(&first, &seen(1), at(0)), ReadinessAction::Internal);
    ready.record_clearance(&sha(2), at(0));
    assert_eq!(ready.next(&first, &seen(2), at(90)), ReadinessAction::Ask("bugbot".into()));
    // An explicit list is used unchanged: a clean answer leads to the next step in the same look.
    let listed = rules(&["bugbot", "internal"]);
    let mut ready = PullReadiness::new(sha(1), "main", UnixMillis(0));
    assert_eq!(ready.next(&listed, &seen(1), at(0)), ReadinessAction::Ask("bugbot".into()));
    let clean = with(seen(1), "bugbot", clean());
    assert_eq!(ready.next(&listed, &clean, at(0)), ReadinessAction::Internal);
    ready.record_clearance(&sha(1), at(0));
    assert_eq!(ready.next(&listed, &clean, at(0)), ReadinessAction::MarkReady);
    ready.record_ready_mark();
    assert_eq!(ready.next(&listed, &clean, at(1)), ReadinessAction::Done { notes: vec![] });
}

#[test]
fn a_stale_review_is_triggered_once_and_then_waited_for() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    assert_eq!(ready.next(&rules, &seen(1), at(0)), ReadinessAction::Ask("bugbot".into()));
    assert_eq!(
        ready.next(&rules, &seen(1), at(0)),
        ReadinessAction::Ask("bugbot".into()),
        "until it is done"
    );
    ready.record_request("bugbot", at(0));
    for (now, until) in [(0, 270), (100, 270), (270, 330), (1_790, 1_800)] {
        assert_eq!(ready.next(&rules, &seen(1), at(now)), waits(until, answer("bugbot")), "{now}");
    }
    let done = with(seen(1), "bugbot", clean());
    assert_eq!(ready.next(&rules, &done, at(300)), ReadinessAction::MarkReady);
}

#[test]
fn whoever_is_queued_is_not_triggered_but_not_waited_for_without_end() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    for view in [
        ReviewerFeedback { is_queued: true, ..ReviewerFeedback::default() },
        ReviewerFeedback { check: Some(ReviewerCheck::Running), ..ReviewerFeedback::default() },
        ReviewerFeedback { check: Some(ReviewerCheck::Running), ..clean() },
    ] {
        let queued = with(seen(1), "bugbot", view);
        assert_eq!(ready.next(&rules, &queued, at(0)), waits(60, answer("bugbot")));
        // A reviewer that another user called is called by us as well, before it counts as silent.
        let mut late = ready.clone();
        if queued.views["bugbot"].check.is_none() {
            assert_eq!(late.next(&rules, &queued, at(1_800)), ReadinessAction::Ask("bugbot".into()));
            late.record_request("bugbot", at(1_800));
            assert_eq!(late.next(&rules, &queued, at(1_800)), waits(2_070, answer("bugbot")));
        }
        assert_eq!(code(&late.next(&rules, &queued, at(3_600))), Some(ConvergeExitCode::ReviewerSilent));
    }
}

#[test]
fn the_silent_are_asked_so_often_and_then_block_or_are_left() {
    for is_required in [true, false] {
        let mut rules = rules(&["internal", "bugbot"]);
        rule(&mut rules, "bugbot").is_required = is_required;
        let mut ready = ready();
        for round in 0..3 {
            let asked = at(round * 1_800);
            assert_eq!(ready.next(&rules, &seen(1), asked), ReadinessAction::Ask("bugbot".into()), "{round}");
            ready.record_request("bugbot", asked);
            assert!(matches!(ready.next(&rules, &seen(1), asked), ReadinessAction::Wait { .. }));
        }
        let gone = ready.next(&rules, &seen(1), at(5_400));
        if is_required {
            assert_eq!(code(&gone), Some(ConvergeExitCode::ReviewerSilent));
        } else {
            ready.record_ready_mark();
            let notes = vec![format!("bugbot did not review {}", sha(1).short_sha())];
            assert_eq!(
                (gone, ready.next(&rules, &seen(1), at(5_400))),
                (ReadinessAction::MarkReady, ReadinessAction::Done { notes })
            );
        }
        // A push causes a new request; a late answer still counts.
        ready.record_clearance(&sha(2), at(5_400));
        assert_eq!(ready.next(&rules, &seen(2), at(5_500)), ReadinessAction::Ask("bugbot".into()));
    }
}

#[test]
fn who_comes_by_itself_is_never_asked_and_who_cannot_be_asked_is_so_for_the_run() {
    let mut rules = rules(&["internal", "copilot"]);
    rule(&mut rules, "copilot").requests = 0;
    let mut by_itself = ready();
    assert_eq!(by_itself.next(&rules, &seen(1), at(0)), waits(60, answer("copilot")));
    assert_eq!(code(&by_itself.next(&rules, &seen(1), at(1_800))), Some(ConvergeExitCode::ReviewerSilent));

    let mut ready = ready();
    ready.mark_unreachable("copilot", "the quota is used up");
    ready.record_clearance(&sha(2), at(0));
    let ReadinessAction::End(exit) = ready.next(&rules, &seen(2), at(100)) else { panic!() };
    assert!(exit.code == ConvergeExitCode::ReviewerSilent && exit.reason.contains("the quota is used up"));
    rule(&mut rules, "copilot").is_required = false;
    assert_eq!(ready.next(&rules, &seen(2), at(100)), ReadinessAction::MarkReady);
}

#[test]
fn who_could_not_be_asked_is_tried_again_a_few_times_at_a_head() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    for _ in 0..3 {
        assert_eq!(ready.next(&rules, &seen(1), at(0)), ReadinessAction::Ask("bugbot".into()));
        ready.record_request_failure("bugbot", "no answer");
    }
    let ReadinessAction::End(exit) = ready.next(&rules, &seen(1), at(0)) else { panic!() };
    assert!(exit.code == ConvergeExitCode::ReviewerSilent && exit.reason.contains("no answer"), "{exit:?}");
}

#[test]
fn comments_that_lag_are_looked_for_so_often_and_then_it_is_blocked() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    let lags = with(seen(1), "bugbot", reviewed(ReviewState::Commented, ReviewTextSignal::Counts, 0));
    for (now, until) in [(0, 60), (30, 60), (60, 120), (120, 180)] {
        assert_eq!(
            ready.next(&rules, &lags, at(now)),
            waits(until, ReadinessWait::Inline("bugbot".into())),
            "{now}"
        );
    }
    let mut arrived = lags.clone();
    arrived.views.insert("bugbot".into(), reviewed(ReviewState::Commented, ReviewTextSignal::Counts, 1));
    arrived.threads.push(bugbot("a", LastWord::Theirs));
    assert_eq!(ready.clone().next(&rules, &arrived, at(180)), fixes(&["a"], &[]));
    assert_eq!(code(&ready.next(&rules, &lags, at(180))), Some(ConvergeExitCode::InlineLag));
    // A failed check is a report of findings as well.
    let failed = ReviewerFeedback { check: Some(ReviewerCheck::Failed), ..clean() };
    let want = self::ready().next(&rules, &with(seen(1), "bugbot", failed), at(0));
    assert_eq!(want, waits(60, ReadinessWait::Inline("bugbot".into())));
}

#[test]
fn what_a_reviewer_found_is_taken_from_its_text_when_no_comments_follow() {
    let mut rules = rules(&["internal", "copilot"]);
    let said = with(seen(1), "copilot", reviewed(ReviewState::Commented, ReviewTextSignal::Holds, 0));
    for (allow_declined, expected) in [(false, Some(ConvergeExitCode::Declined)), (true, None)] {
        rules.allow_declined = allow_declined;
        let mut ready = ready();
        for now in [0, 60, 120] {
            assert_eq!(
                ready.next(&rules, &said, at(now)),
                waits(now + 60, ReadinessWait::Inline("copilot".into()))
            );
        }
        assert_eq!(ready.next(&rules, &said, at(180)), fixes(&[], &["copilot"]));
        // Nothing was changed for it.
        let want = ready.next(&rules, &said, at(180));
        assert_eq!((code(&want), want == ReadinessAction::MarkReady), (expected, allow_declined));
    }
}

#[test]
fn a_push_forgets_every_stamp_wait_and_lag() {
    let (rules, mut ready) = (rules(&["internal", "bugbot", "copilot"]), ready());
    let lags = with(seen(1), "bugbot", reviewed(ReviewState::Commented, ReviewTextSignal::Counts, 0));
    ready.next(&rules, &lags, at(0));
    ready.next(&rules, &lags, at(60));
    ready.record_request("copilot", at(60));
    ready.record_push(&sha(2), at(100));
    assert_eq!(ready.next(&rules, &seen(2), at(200)), ReadinessAction::Internal);
    let kept = |ready: &PullReadiness| {
        let mut kept = serde_json::to_value(ready).unwrap();
        let all = kept.as_object_mut().unwrap();
        assert!(all.remove("before").is_some() && all.remove("was_open").is_some(), "what is of no head");
        kept
    };
    assert_eq!(kept(&ready), kept(&PullReadiness::new(sha(2), "main", at(100))));
    // The same after a push of another user.
    ready.record_clearance(&sha(2), at(200));
    assert_eq!(ready.next(&rules, &seen(3), at(300)), ReadinessAction::Internal);
    assert_eq!(ready.head(), &sha(3));
}

#[test]
fn copilot_is_clean_when_it_comments_and_shows_nothing() {
    let rules = rules(&["internal", "copilot"]);
    for (state, text, inline, threads, expected) in [
        (ReviewState::Commented, ReviewTextSignal::Silent, 0, vec![], ReadinessAction::MarkReady),
        (ReviewState::Approved, ReviewTextSignal::Silent, 0, vec![], ReadinessAction::MarkReady),
        // Its comments are resolved.
        (ReviewState::Commented, ReviewTextSignal::Counts, 2, vec![], ReadinessAction::MarkReady),
        // Its text does not mention findings, but there are some.
        (ReviewState::Commented, ReviewTextSignal::Silent, 1, vec!["a"], fixes(&["a"], &[])),
        (ReviewState::Approved, ReviewTextSignal::Silent, 1, vec!["a"], fixes(&["a"], &[])),
        // Its text mentions findings: they are on lines, as far as any are visible; otherwise it may lag.
        (ReviewState::Commented, ReviewTextSignal::Holds, 1, vec!["a"], fixes(&["a"], &[])),
        (
            ReviewState::Commented,
            ReviewTextSignal::Holds,
            0,
            vec![],
            waits(60, ReadinessWait::Inline("copilot".into())),
        ),
        (ReviewState::ChangesRequested, ReviewTextSignal::Silent, 0, vec![], fixes(&[], &["copilot"])),
        (ReviewState::ChangesRequested, ReviewTextSignal::Counts, 1, vec!["a"], fixes(&["a"], &["copilot"])),
        (ReviewState::Dismissed, ReviewTextSignal::Holds, 0, vec![], ReadinessAction::Ask("copilot".into())),
        (ReviewState::Pending, ReviewTextSignal::Holds, 0, vec![], ReadinessAction::Ask("copilot".into())),
    ] {
        let mut seen = with(seen(1), "copilot", reviewed(state, text, inline));
        let by = || ThreadAuthor::Reviewer("copilot".into());
        seen.threads.extend(threads.into_iter().map(|id| thread(id, by(), LastWord::Theirs)));
        assert_eq!(ready().next(&rules, &seen, at(0)), expected, "{state:?} {text:?} {inline}");
    }
    // It need not review if its check is sufficient.
    let passed = ReviewerFeedback { check: Some(ReviewerCheck::Passed), ..ReviewerFeedback::default() };
    assert_eq!(ready().next(&rules, &with(seen(1), "copilot", passed), at(0)), ReadinessAction::MarkReady);
}

#[test]
fn what_others_found_is_one_work_and_nobody_is_asked_before_it_is_done() {
    let (rules, mut ready) = (rules(&["internal", "bugbot", "copilot"]), ready());
    let mut seen =
        with(seen(1), "copilot", reviewed(ReviewState::ChangesRequested, ReviewTextSignal::Silent, 0));
    let outdated = |by| UnresolvedThread { is_outdated: true, ..thread("old", by, LastWord::Theirs) };
    seen.threads = vec![
        bugbot("a", LastWord::Theirs),
        thread("b", ThreadAuthor::Person, LastWord::Theirs),
        thread("c", ThreadAuthor::Bot, LastWord::Theirs),
        thread("answered", ThreadAuthor::Person, LastWord::Declined),
        outdated(ThreadAuthor::Bot),
    ];
    assert_eq!(ready.next(&rules, &seen, at(0)), fixes(&["a", "b", "c"], &["copilot"]));
    assert_eq!(
        ready.next(&rules, &seen, at(0)),
        ReadinessAction::Ask("bugbot".into()),
        "not twice at one head"
    );
    // A person's comment on removed lines still counts.
    seen.threads = vec![outdated(ThreadAuthor::Person)];
    assert_eq!(ready.next(&rules, &seen, at(0)), fixes(&["old"], &[]));
}

#[test]
fn threads_stay_open_as_the_configuration_says() {
    let person = |last| vec![thread("a", ThreadAuthor::Person, last)];
    for (last, allow_declined, resolve_threads, expected) in [
        (LastWord::Declined, false, true, Some(ConvergeExitCode::Threads)),
        (LastWord::Declined, true, true, None),
        (LastWord::Fixed, false, true, Some(ConvergeExitCode::Threads)),
        (LastWord::Fixed, false, false, None),
    ] {
        let rules = ReadinessRules { allow_declined, resolve_threads, ..rules(&["internal"]) };
        let want = ready().next(&rules, &PullSnapshot { threads: person(last), ..seen(1) }, at(0));
        assert_eq!(code(&want), expected, "{last:?} {want:?}");
        assert_eq!(want == ReadinessAction::MarkReady, expected.is_none());
    }
    // The last comment counts, even after our reply.
    let (rules, mut ready) = (rules(&["internal"]), ready());
    let theirs = PullSnapshot { threads: person(LastWord::Theirs), ..seen(1) };
    assert_eq!(ready.next(&rules, &theirs, at(0)), fixes(&["a"], &[]));
    assert_eq!(code(&ready.next(&rules, &theirs, at(0))), Some(ConvergeExitCode::Threads));
}

#[test]
fn a_review_whose_words_were_declined_holds_it_back_unless_that_is_allowed() {
    for allow_declined in [false, true] {
        let rules = ReadinessRules { allow_declined, ..rules(&["internal", "copilot"]) };
        let seen =
            with(seen(1), "copilot", reviewed(ReviewState::ChangesRequested, ReviewTextSignal::Silent, 0));
        let mut ready = ready();
        assert_eq!(ready.next(&rules, &seen, at(0)), fixes(&[], &["copilot"]));
        let want = ready.next(&rules, &seen, at(0));
        assert_eq!(code(&want), (!allow_declined).then_some(ConvergeExitCode::Declined));
        assert_eq!(want == ReadinessAction::MarkReady, allow_declined);
    }
}

#[test]
fn nothing_that_a_forge_shows_of_a_new_head_is_believed_at_once() {
    let rules = rules(&["internal", "bugbot"]);
    let mut ready = PullReadiness::new(sha(1), "main", at(0));
    ready.record_clearance(&sha(1), at(10));
    let young = PullSnapshot { committed: at(-20), ..with(seen(1), "bugbot", clean()) };
    assert_eq!(ready.next(&rules, &young, at(10)), waits(40, ReadinessWait::Settling));
    assert_eq!(ready.next(&rules, &young, at(40)), ReadinessAction::MarkReady);
    // A commit with a time in the future is as old as our first look at it.
    let future = PullSnapshot { committed: at(1_000_000), ..young };
    assert_eq!(ready.next(&rules, &future, at(40)), waits(60, ReadinessWait::Settling));
    assert_eq!(ready.next(&rules, &future, at(60)), ReadinessAction::MarkReady);
}

#[test]
fn a_forge_that_still_shows_the_head_before_our_push_is_looked_at_again() {
    let (rules, mut ready) = (rules(&["internal"]), ready());
    ready.record_clearance(&sha(2), at(0));
    assert_eq!(ready.next(&rules, &seen(1), at(5)), waits(15, ReadinessWait::Settling));
    assert_eq!(ready.next(&rules, &seen(2), at(60)), ReadinessAction::MarkReady);
    // Another user has reset the branch to the old head.
    assert_eq!(ready.next(&rules, &seen(1), at(61)), ReadinessAction::Internal);
}

#[test]
fn mergeability_is_waited_for_while_it_can_change_and_is_named_when_it_does_not() {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).into()).collect() };
    let rules = rules(&["internal"]);
    let merge = |merge| PullSnapshot { merge, ..seen(1) };
    let rebase = ReadinessRules { auto_rebase: true, ..rules.clone() };
    for (seen, expected) in [
        (merge(MergeableState::Clean), ReadinessAction::MarkReady),
        (merge(MergeableState::HasHooks), ReadinessAction::MarkReady),
        (merge(MergeableState::Draft), ReadinessAction::MarkReady),
        (PullSnapshot { lacks_review: true, ..merge(MergeableState::Blocked) }, ReadinessAction::MarkReady),
        (merge(MergeableState::Unknown), waits(10, ReadinessWait::Merge)),
        (merge(MergeableState::Blocked), waits(10, ReadinessWait::Merge)),
        (merge(MergeableState::Unstable), waits(10, ReadinessWait::Merge)),
        (
            PullSnapshot { pending: names(&["ci"]), ..merge(MergeableState::Unstable) },
            waits(60, ReadinessWait::Checks),
        ),
        (
            PullSnapshot { pending: names(&["ci"]), lacks_review: true, ..merge(MergeableState::Blocked) },
            waits(60, ReadinessWait::Checks),
        ),
    ] {
        assert_eq!(ready().next(&rules, &seen, at(0)), expected, "{:?}", seen.merge);
        let mut late = ready();
        late.next(&rules, &seen, at(0));
        let ends = late.next(&rules, &seen, at(3_600));
        let waited = matches!(expected, ReadinessAction::Wait { .. });
        assert_eq!(code(&ends), waited.then_some(ConvergeExitCode::Mergeability), "{:?}", seen.merge);
    }
    let mut unknown = ready();
    unknown.next(&rules, &merge(MergeableState::Unknown), at(0));
    assert_eq!(
        unknown.next(&rules, &merge(MergeableState::Unknown), at(115)),
        waits(120, ReadinessWait::Merge)
    );
    assert_eq!(
        unknown.clone().next(&rules, &merge(MergeableState::Clean), at(115)),
        ReadinessAction::MarkReady
    );
    assert_eq!(
        code(&unknown.next(&rules, &merge(MergeableState::Unknown), at(120))),
        Some(ConvergeExitCode::Mergeability)
    );

    for (seen, words) in [
        (merge(MergeableState::Dirty), "conflicts with main"),
        (merge(MergeableState::Behind), "its branch is behind main"),
        (
            PullSnapshot {
                failed: names(&["a", "b", "c", "d", "e", "f"]),
                ..merge(MergeableState::Unstable)
            },
            "a, b, c, d, e and 1 more",
        ),
        (
            PullSnapshot { failed: names(&["ci"]), lacks_review: true, ..merge(MergeableState::Blocked) },
            "checks failed: ci",
        ),
        (PullSnapshot { failed: names(&["ci"]), ..merge(MergeableState::Draft) }, "checks failed: ci"),
    ] {
        let ReadinessAction::End(exit) = ready().next(&rules, &seen, at(0)) else {
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
            ready.record_clearance(&sha(head), at(0));
            let behind = PullSnapshot { merge: state, ..seen(head) };
            assert_eq!(ready.next(&rebase, &behind, at(60)), ReadinessAction::UpdateBranch);
        }
        // The forge has to merge first, and the number of requests is limited.
        let behind = PullSnapshot { merge: state, ..seen(3) };
        assert!(matches!(
            ready.next(&rebase, &behind, at(60)),
            ReadinessAction::Wait { why: ReadinessWait::Merge, .. }
        ));
        assert_eq!(
            code(&ready.next(&rebase, &behind, at(60) + MERGE_BUDGET)),
            Some(ConvergeExitCode::Mergeability)
        );
        // The resulting head does not count as another user's push.
        let mut ready = self::ready();
        for head in 1..=3 {
            ready.record_clearance(&sha(head), at(0));
            assert_eq!(
                ready.next(&rebase, &PullSnapshot { merge: state, ..seen(head) }, at(60)),
                ReadinessAction::UpdateBranch
            );
            assert_eq!(ready.next(&rebase, &seen(head + 1), at(60)), ReadinessAction::Internal);
            assert!(ready.head() == &sha(head + 1) && ready.is_update(&sha(head + 1)));
        }
        for head in 5..=7 {
            assert_eq!(
                ready.next(&rebase, &seen(head), at(60)),
                ReadinessAction::Internal,
                "others may push as often as ever"
            );
        }
    }
}

#[test]
fn what_people_do_meanwhile_ends_it_or_begins_it_anew() {
    let rules = rules(&["internal"]);
    let state = |state| PullSnapshot { state, ..seen(1) };
    for gone in [PullState::Merged, PullState::Closed] {
        assert_eq!(code(&ready().next(&rules, &state(gone), at(0))), Some(ConvergeExitCode::Closed));
    }
    // A pull request that is no draft is not marked; one that was made a draft again stays one.
    let mut open = ready();
    assert_eq!(open.next(&rules, &state(PullState::Open), at(0)), ReadinessAction::Done { notes: vec![] });
    let notes = vec!["it was made a draft again and stays one".to_owned()];
    assert_eq!(open.next(&rules, &state(PullState::Draft), at(0)), ReadinessAction::Done { notes });
    let unmarked = ReadinessRules { mark_ready: false, ..rules.clone() };
    assert_eq!(ready().next(&unmarked, &seen(1), at(0)), ReadinessAction::Done { notes: vec![] });
    // With another base it is another change.
    let mut ready = ready();
    let base = PullSnapshot { base: "next".into(), ..seen(1) };
    assert_eq!(ready.next(&rules, &base, at(0)), ReadinessAction::Internal);
    ready.record_clearance(&sha(1), at(0));
    assert_eq!(ready.next(&rules, &base, at(60)), ReadinessAction::MarkReady);
    for head in 2..=3 {
        assert_eq!(
            ready.next(&rules, &PullSnapshot { head: sha(head), ..base.clone() }, at(60)),
            ReadinessAction::Internal
        );
    }
    assert_eq!(
        code(&ready.next(&rules, &PullSnapshot { head: sha(4), ..base }, at(60))),
        Some(ConvergeExitCode::HeadMoved)
    );
}

//! What is wanted next, rule by rule (spec/converge.md 10, 14.4; scenarios 18 to 21); whole runs are in `forges`.

use std::collections::BTreeMap;

use truing_core::converge::Code;
use truing_core::converge::readiness::{
    By, Check, Last, MERGE_BUDGET, Merge, Readiness, Review, Reviewer, Rule, Rules, Seen, Text, Thread, View,
    Want, Why, Work,
};
use truing_core::id::{Millis, Span, ThreadId};
use truing_core::port::{PullState, ReviewState};

use super::sha;

pub(super) const START: Millis = Millis(10_000_000_000);

pub(super) fn rules(names: &[&str]) -> Rules {
    let reviewer = |name: &&str| match *name {
        "internal" => Reviewer::Internal,
        name => Reviewer::Other(Rule {
            name: name.into(),
            is_required: true,
            budget: Span::minutes(30),
            requests: 3,
        }),
    };
    Rules {
        reviewers: names.iter().map(reviewer).collect(),
        poll: Span::seconds(60),
        poll_after_trigger: Span::seconds(270),
        inline_lag_max: 3,
        resolve_threads: true,
        allow_declined: false,
        mark_ready: true,
        auto_rebase: false,
    }
}

fn rule<'a>(rules: &'a mut Rules, name: &str) -> &'a mut Rule {
    let named = |reviewer: &'a mut Reviewer| match reviewer {
        Reviewer::Other(rule) if rule.name == name => Some(rule),
        Reviewer::Other(_) | Reviewer::Internal => None,
    };
    rules.reviewers.iter_mut().find_map(named).unwrap()
}

/// A draft at an old head, of which nobody has said anything.
pub(super) fn seen(head: u64) -> Seen {
    Seen {
        head: sha(head),
        committed: Millis(0),
        base: "main".into(),
        state: PullState::Draft,
        views: BTreeMap::new(),
        threads: vec![],
        merge: Merge::Clean,
        pending: vec![],
        failed: vec![],
        lacks_review: false,
    }
}

pub(super) fn reviewed(state: ReviewState, text: Text, inline: u32) -> View {
    View { review: Some(Review { state, text, inline }), ..View::default() }
}

fn clean() -> View {
    reviewed(ReviewState::Commented, Text::Silent, 0)
}

fn with(mut seen: Seen, name: &str, view: View) -> Seen {
    seen.views.insert(name.into(), view);
    seen
}

fn thread(id: &str, by: By, last: Last) -> Thread {
    Thread { id: ThreadId::new(id), by, is_outdated: false, last }
}

fn bugbot(id: &str, last: Last) -> Thread {
    thread(id, By::Reviewer("bugbot".into()), last)
}

fn at(seconds: i64) -> Millis {
    START + Span::seconds(seconds)
}

/// At an old head of a pull request, which our own audit has cleared.
fn ready() -> Readiness {
    let mut ready = Readiness::begin(sha(1), "main", Millis(0));
    ready.cleared(&sha(1), Millis(0));
    ready
}

fn code(want: &Want) -> Option<Code> {
    match want {
        Want::End(exit) => Some(exit.code),
        Want::Internal
        | Want::Ask(_)
        | Want::Wait { .. }
        | Want::Fix(_)
        | Want::UpdateBranch
        | Want::MarkReady
        | Want::Done { .. } => None,
    }
}

fn waits(seconds: i64, why: Why) -> Want {
    Want::Wait { until: at(seconds), why }
}

fn answer(name: &str) -> Why {
    Why::Answer(name.into())
}

fn fixes(threads: &[&str], reviews: &[&str]) -> Want {
    Want::Fix(Work {
        threads: threads.iter().map(|id| ThreadId::new(*id)).collect(),
        reviews: reviews.iter().map(|name| (*name).to_owned()).collect(),
    })
}

#[test]
fn our_own_audit_comes_where_the_list_has_it_and_others_only_at_a_head_that_those_before_cleared() {
    let mut ready = Readiness::begin(sha(1), "main", START);
    let first = rules(&["internal", "bugbot"]);
    assert_eq!(ready.next(&first, &seen(1), at(0)), Want::Internal);
    ready.cleared(&sha(2), at(0));
    assert_eq!(ready.next(&first, &seen(2), at(90)), Want::Ask("bugbot".into()));
    // An explicit list is taken as it is written: a clean answer leads on in the same look.
    let listed = rules(&["bugbot", "internal"]);
    let mut ready = Readiness::begin(sha(1), "main", Millis(0));
    assert_eq!(ready.next(&listed, &seen(1), at(0)), Want::Ask("bugbot".into()));
    let clean = with(seen(1), "bugbot", clean());
    assert_eq!(ready.next(&listed, &clean, at(0)), Want::Internal);
    ready.cleared(&sha(1), at(0));
    assert_eq!(ready.next(&listed, &clean, at(0)), Want::MarkReady);
    ready.marked();
    assert_eq!(ready.next(&listed, &clean, at(1)), Want::Done { notes: vec![] });
}

#[test]
fn a_stale_review_is_triggered_once_and_then_waited_for() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    assert_eq!(ready.next(&rules, &seen(1), at(0)), Want::Ask("bugbot".into()));
    assert_eq!(ready.next(&rules, &seen(1), at(0)), Want::Ask("bugbot".into()), "until it is done");
    ready.asked("bugbot", at(0));
    for (now, until) in [(0, 270), (100, 270), (270, 330), (1_790, 1_800)] {
        assert_eq!(ready.next(&rules, &seen(1), at(now)), waits(until, answer("bugbot")), "{now}");
    }
    let done = with(seen(1), "bugbot", clean());
    assert_eq!(ready.next(&rules, &done, at(300)), Want::MarkReady);
}

#[test]
fn whoever_is_queued_is_not_triggered_but_not_waited_for_without_end() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    for view in [
        View { is_queued: true, ..View::default() },
        View { check: Some(Check::Running), ..View::default() },
        View { check: Some(Check::Running), ..clean() },
    ] {
        let queued = with(seen(1), "bugbot", view);
        assert_eq!(ready.next(&rules, &queued, at(0)), waits(60, answer("bugbot")));
        // Who was called by somebody is called by us as well, before it counts as silent.
        let mut late = ready.clone();
        if queued.views["bugbot"].check.is_none() {
            assert_eq!(late.next(&rules, &queued, at(1_800)), Want::Ask("bugbot".into()));
            late.asked("bugbot", at(1_800));
            assert_eq!(late.next(&rules, &queued, at(1_800)), waits(2_070, answer("bugbot")));
        }
        assert_eq!(code(&late.next(&rules, &queued, at(3_600))), Some(Code::ReviewerSilent));
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
            assert_eq!(ready.next(&rules, &seen(1), asked), Want::Ask("bugbot".into()), "{round}");
            ready.asked("bugbot", asked);
            assert!(matches!(ready.next(&rules, &seen(1), asked), Want::Wait { .. }));
        }
        let gone = ready.next(&rules, &seen(1), at(5_400));
        if is_required {
            assert_eq!(code(&gone), Some(Code::ReviewerSilent));
        } else {
            ready.marked();
            let notes = vec![format!("bugbot has said nothing of {}", sha(1).short())];
            assert_eq!(
                (gone, ready.next(&rules, &seen(1), at(5_400))),
                (Want::MarkReady, Want::Done { notes })
            );
        }
        // A push asks again; who answers late is heard.
        ready.cleared(&sha(2), at(5_400));
        assert_eq!(ready.next(&rules, &seen(2), at(5_500)), Want::Ask("bugbot".into()));
    }
}

#[test]
fn who_comes_by_itself_is_never_asked_and_who_cannot_be_asked_is_so_for_the_run() {
    let mut rules = rules(&["internal", "copilot"]);
    rule(&mut rules, "copilot").requests = 0;
    let mut by_itself = ready();
    assert_eq!(by_itself.next(&rules, &seen(1), at(0)), waits(60, answer("copilot")));
    assert_eq!(code(&by_itself.next(&rules, &seen(1), at(1_800))), Some(Code::ReviewerSilent));

    let mut ready = ready();
    ready.unreachable("copilot", "the quota is used up");
    ready.cleared(&sha(2), at(0));
    let Want::End(exit) = ready.next(&rules, &seen(2), at(100)) else { panic!() };
    assert!(exit.code == Code::ReviewerSilent && exit.reason.contains("the quota is used up"));
    rule(&mut rules, "copilot").is_required = false;
    assert_eq!(ready.next(&rules, &seen(2), at(100)), Want::MarkReady);
}

#[test]
fn who_could_not_be_asked_is_tried_again_a_few_times_at_a_head() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    for _ in 0..3 {
        assert_eq!(ready.next(&rules, &seen(1), at(0)), Want::Ask("bugbot".into()));
        ready.failed("bugbot", "no answer");
    }
    let Want::End(exit) = ready.next(&rules, &seen(1), at(0)) else { panic!() };
    assert!(exit.code == Code::ReviewerSilent && exit.reason.contains("no answer"), "{exit:?}");
}

#[test]
fn comments_that_lag_are_looked_for_so_often_and_then_it_is_blocked() {
    let (rules, mut ready) = (rules(&["internal", "bugbot"]), ready());
    let lags = with(seen(1), "bugbot", reviewed(ReviewState::Commented, Text::Counts, 0));
    for (now, until) in [(0, 60), (30, 60), (60, 120), (120, 180)] {
        assert_eq!(ready.next(&rules, &lags, at(now)), waits(until, Why::Inline("bugbot".into())), "{now}");
    }
    let mut arrived = lags.clone();
    arrived.views.insert("bugbot".into(), reviewed(ReviewState::Commented, Text::Counts, 1));
    arrived.threads.push(bugbot("a", Last::Theirs));
    assert_eq!(ready.clone().next(&rules, &arrived, at(180)), fixes(&["a"], &[]));
    assert_eq!(code(&ready.next(&rules, &lags, at(180))), Some(Code::InlineLag));
    // A check that failed speaks of findings as well.
    let failed = View { check: Some(Check::Failed), ..clean() };
    let want = self::ready().next(&rules, &with(seen(1), "bugbot", failed), at(0));
    assert_eq!(want, waits(60, Why::Inline("bugbot".into())));
}

#[test]
fn what_a_reviewer_found_is_taken_from_its_text_when_no_comments_follow() {
    let mut rules = rules(&["internal", "copilot"]);
    let said = with(seen(1), "copilot", reviewed(ReviewState::Commented, Text::Holds, 0));
    for (allow_declined, expected) in [(false, Some(Code::Declined)), (true, None)] {
        rules.allow_declined = allow_declined;
        let mut ready = ready();
        for now in [0, 60, 120] {
            assert_eq!(ready.next(&rules, &said, at(now)), waits(now + 60, Why::Inline("copilot".into())));
        }
        assert_eq!(ready.next(&rules, &said, at(180)), fixes(&[], &["copilot"]));
        // Nothing was changed for it.
        let want = ready.next(&rules, &said, at(180));
        assert_eq!((code(&want), want == Want::MarkReady), (expected, allow_declined));
    }
}

#[test]
fn a_push_forgets_every_stamp_wait_and_lag() {
    let (rules, mut ready) = (rules(&["internal", "bugbot", "copilot"]), ready());
    let lags = with(seen(1), "bugbot", reviewed(ReviewState::Commented, Text::Counts, 0));
    ready.next(&rules, &lags, at(0));
    ready.next(&rules, &lags, at(60));
    ready.asked("copilot", at(60));
    ready.pushed(&sha(2), at(100));
    assert_eq!(ready.next(&rules, &seen(2), at(200)), Want::Internal);
    let kept = |ready: &Readiness| {
        let mut kept = serde_json::to_value(ready).unwrap();
        let all = kept.as_object_mut().unwrap();
        assert!(all.remove("before").is_some() && all.remove("was_open").is_some(), "what is of no head");
        kept
    };
    assert_eq!(kept(&ready), kept(&Readiness::begin(sha(2), "main", at(100))));
    // The same where others push.
    ready.cleared(&sha(2), at(200));
    assert_eq!(ready.next(&rules, &seen(3), at(300)), Want::Internal);
    assert_eq!(ready.head(), &sha(3));
}

#[test]
fn copilot_is_clean_when_it_comments_and_shows_nothing() {
    let rules = rules(&["internal", "copilot"]);
    for (state, text, inline, threads, expected) in [
        (ReviewState::Commented, Text::Silent, 0, vec![], Want::MarkReady),
        (ReviewState::Approved, Text::Silent, 0, vec![], Want::MarkReady),
        // Its comments are resolved.
        (ReviewState::Commented, Text::Counts, 2, vec![], Want::MarkReady),
        // It never says that there are some, and they are there.
        (ReviewState::Commented, Text::Silent, 1, vec!["a"], fixes(&["a"], &[])),
        (ReviewState::Approved, Text::Silent, 1, vec!["a"], fixes(&["a"], &[])),
        // Its text speaks of some: they are on lines, as far as it shows any, and else it may lag.
        (ReviewState::Commented, Text::Holds, 1, vec!["a"], fixes(&["a"], &[])),
        (ReviewState::Commented, Text::Holds, 0, vec![], waits(60, Why::Inline("copilot".into()))),
        (ReviewState::ChangesRequested, Text::Silent, 0, vec![], fixes(&[], &["copilot"])),
        (ReviewState::ChangesRequested, Text::Counts, 1, vec!["a"], fixes(&["a"], &["copilot"])),
        (ReviewState::Dismissed, Text::Holds, 0, vec![], Want::Ask("copilot".into())),
        (ReviewState::Pending, Text::Holds, 0, vec![], Want::Ask("copilot".into())),
    ] {
        let mut seen = with(seen(1), "copilot", reviewed(state, text, inline));
        let by = || By::Reviewer("copilot".into());
        seen.threads.extend(threads.into_iter().map(|id| thread(id, by(), Last::Theirs)));
        assert_eq!(ready().next(&rules, &seen, at(0)), expected, "{state:?} {text:?} {inline}");
    }
    // It need not review where its check says enough.
    let passed = View { check: Some(Check::Passed), ..View::default() };
    assert_eq!(ready().next(&rules, &with(seen(1), "copilot", passed), at(0)), Want::MarkReady);
}

#[test]
fn what_others_found_is_one_work_and_nobody_is_asked_before_it_is_done() {
    let (rules, mut ready) = (rules(&["internal", "bugbot", "copilot"]), ready());
    let mut seen = with(seen(1), "copilot", reviewed(ReviewState::ChangesRequested, Text::Silent, 0));
    let outdated = |by| Thread { is_outdated: true, ..thread("old", by, Last::Theirs) };
    seen.threads = vec![
        bugbot("a", Last::Theirs),
        thread("b", By::Person, Last::Theirs),
        thread("c", By::Bot, Last::Theirs),
        thread("answered", By::Person, Last::Declined),
        outdated(By::Bot),
    ];
    assert_eq!(ready.next(&rules, &seen, at(0)), fixes(&["a", "b", "c"], &["copilot"]));
    assert_eq!(ready.next(&rules, &seen, at(0)), Want::Ask("bugbot".into()), "not twice at one head");
    // What people say of lines that are gone is not gone.
    seen.threads = vec![outdated(By::Person)];
    assert_eq!(ready.next(&rules, &seen, at(0)), fixes(&["old"], &[]));
}

#[test]
fn threads_stay_open_as_the_configuration_says() {
    let person = |last| vec![thread("a", By::Person, last)];
    for (last, allow_declined, resolve_threads, expected) in [
        (Last::Declined, false, true, Some(Code::Threads)),
        (Last::Declined, true, true, None),
        (Last::Fixed, false, true, Some(Code::Threads)),
        (Last::Fixed, false, false, None),
    ] {
        let rules = Rules { allow_declined, resolve_threads, ..rules(&["internal"]) };
        let want = ready().next(&rules, &Seen { threads: person(last), ..seen(1) }, at(0));
        assert_eq!(code(&want), expected, "{last:?} {want:?}");
        assert_eq!(want == Want::MarkReady, expected.is_none());
    }
    // Who has the last word after we have answered is not overruled.
    let (rules, mut ready) = (rules(&["internal"]), ready());
    let theirs = Seen { threads: person(Last::Theirs), ..seen(1) };
    assert_eq!(ready.next(&rules, &theirs, at(0)), fixes(&["a"], &[]));
    assert_eq!(code(&ready.next(&rules, &theirs, at(0))), Some(Code::Threads));
}

#[test]
fn a_review_whose_words_were_declined_holds_it_back_unless_that_is_allowed() {
    for allow_declined in [false, true] {
        let rules = Rules { allow_declined, ..rules(&["internal", "copilot"]) };
        let seen = with(seen(1), "copilot", reviewed(ReviewState::ChangesRequested, Text::Silent, 0));
        let mut ready = ready();
        assert_eq!(ready.next(&rules, &seen, at(0)), fixes(&[], &["copilot"]));
        let want = ready.next(&rules, &seen, at(0));
        assert_eq!(code(&want), (!allow_declined).then_some(Code::Declined));
        assert_eq!(want == Want::MarkReady, allow_declined);
    }
}

#[test]
fn nothing_that_a_forge_shows_of_a_new_head_is_believed_at_once() {
    let rules = rules(&["internal", "bugbot"]);
    let mut ready = Readiness::begin(sha(1), "main", at(0));
    ready.cleared(&sha(1), at(10));
    let young = Seen { committed: at(-20), ..with(seen(1), "bugbot", clean()) };
    assert_eq!(ready.next(&rules, &young, at(10)), waits(40, Why::Settling));
    assert_eq!(ready.next(&rules, &young, at(40)), Want::MarkReady);
    // A commit from the future is as old as our knowing it.
    let future = Seen { committed: at(1_000_000), ..young };
    assert_eq!(ready.next(&rules, &future, at(40)), waits(60, Why::Settling));
    assert_eq!(ready.next(&rules, &future, at(60)), Want::MarkReady);
}

#[test]
fn a_forge_that_still_shows_the_head_before_our_push_is_looked_at_again() {
    let (rules, mut ready) = (rules(&["internal"]), ready());
    ready.cleared(&sha(2), at(0));
    assert_eq!(ready.next(&rules, &seen(1), at(5)), waits(15, Why::Settling));
    assert_eq!(ready.next(&rules, &seen(2), at(60)), Want::MarkReady);
    // Somebody has taken it back.
    assert_eq!(ready.next(&rules, &seen(1), at(61)), Want::Internal);
}

#[test]
fn mergeability_is_waited_for_while_it_can_change_and_is_named_when_it_does_not() {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).into()).collect() };
    let rules = rules(&["internal"]);
    let merge = |merge| Seen { merge, ..seen(1) };
    let rebase = Rules { auto_rebase: true, ..rules.clone() };
    for (seen, expected) in [
        (merge(Merge::Clean), Want::MarkReady),
        (merge(Merge::HasHooks), Want::MarkReady),
        (merge(Merge::Draft), Want::MarkReady),
        (Seen { lacks_review: true, ..merge(Merge::Blocked) }, Want::MarkReady),
        (merge(Merge::Unknown), waits(10, Why::Merge)),
        (merge(Merge::Blocked), waits(10, Why::Merge)),
        (merge(Merge::Unstable), waits(10, Why::Merge)),
        (Seen { pending: names(&["ci"]), ..merge(Merge::Unstable) }, waits(60, Why::Checks)),
        (
            Seen { pending: names(&["ci"]), lacks_review: true, ..merge(Merge::Blocked) },
            waits(60, Why::Checks),
        ),
    ] {
        assert_eq!(ready().next(&rules, &seen, at(0)), expected, "{:?}", seen.merge);
        let mut late = ready();
        late.next(&rules, &seen, at(0));
        let ends = late.next(&rules, &seen, at(3_600));
        let waited = matches!(expected, Want::Wait { .. });
        assert_eq!(code(&ends), waited.then_some(Code::Mergeability), "{:?}", seen.merge);
    }
    let mut unknown = ready();
    unknown.next(&rules, &merge(Merge::Unknown), at(0));
    assert_eq!(unknown.next(&rules, &merge(Merge::Unknown), at(115)), waits(120, Why::Merge));
    assert_eq!(unknown.clone().next(&rules, &merge(Merge::Clean), at(115)), Want::MarkReady);
    assert_eq!(code(&unknown.next(&rules, &merge(Merge::Unknown), at(120))), Some(Code::Mergeability));

    for (seen, words) in [
        (merge(Merge::Dirty), "conflicts with main"),
        (merge(Merge::Behind), "what is new in main"),
        (
            Seen { failed: names(&["a", "b", "c", "d", "e", "f"]), ..merge(Merge::Unstable) },
            "a, b, c, d, e and 1 more",
        ),
        (Seen { failed: names(&["ci"]), lacks_review: true, ..merge(Merge::Blocked) }, "checks failed: ci"),
        (Seen { failed: names(&["ci"]), ..merge(Merge::Draft) }, "checks failed: ci"),
    ] {
        let Want::End(exit) = ready().next(&rules, &seen, at(0)) else { panic!("{:?}", seen.merge) };
        assert!(exit.code == Code::Mergeability && exit.reason.contains(words), "{}", exit.reason);
    }
    for state in [Merge::Dirty, Merge::Behind] {
        let mut ready = ready();
        for head in 1..=3 {
            ready.cleared(&sha(head), at(0));
            let behind = Seen { merge: state, ..seen(head) };
            assert_eq!(ready.next(&rebase, &behind, at(60)), Want::UpdateBranch);
        }
        // The forge has to do it first, and is not asked for ever.
        let behind = Seen { merge: state, ..seen(3) };
        assert!(matches!(ready.next(&rebase, &behind, at(60)), Want::Wait { why: Why::Merge, .. }));
        assert_eq!(code(&ready.next(&rebase, &behind, at(60) + MERGE_BUDGET)), Some(Code::Mergeability));
        // What comes of it is nobody else's push.
        let mut ready = self::ready();
        for head in 1..=3 {
            ready.cleared(&sha(head), at(0));
            assert_eq!(ready.next(&rebase, &Seen { merge: state, ..seen(head) }, at(60)), Want::UpdateBranch);
            assert_eq!(ready.next(&rebase, &seen(head + 1), at(60)), Want::Internal);
            assert!(ready.head() == &sha(head + 1) && ready.is_update(&sha(head + 1)));
        }
        for head in 5..=7 {
            assert_eq!(
                ready.next(&rebase, &seen(head), at(60)),
                Want::Internal,
                "others may push as often as ever"
            );
        }
    }
}

#[test]
fn what_people_do_meanwhile_ends_it_or_begins_it_anew() {
    let rules = rules(&["internal"]);
    let state = |state| Seen { state, ..seen(1) };
    for gone in [PullState::Merged, PullState::Closed] {
        assert_eq!(code(&ready().next(&rules, &state(gone), at(0))), Some(Code::Closed));
    }
    // One that is ready has nothing to be marked; one that was made a draft again stays so.
    let mut open = ready();
    assert_eq!(open.next(&rules, &state(PullState::Open), at(0)), Want::Done { notes: vec![] });
    let notes = vec!["somebody has made it a draft again: it stays one".to_owned()];
    assert_eq!(open.next(&rules, &state(PullState::Draft), at(0)), Want::Done { notes });
    let unmarked = Rules { mark_ready: false, ..rules.clone() };
    assert_eq!(ready().next(&unmarked, &seen(1), at(0)), Want::Done { notes: vec![] });
    // Another base is another change.
    let mut ready = ready();
    let base = Seen { base: "next".into(), ..seen(1) };
    assert_eq!(ready.next(&rules, &base, at(0)), Want::Internal);
    ready.cleared(&sha(1), at(0));
    assert_eq!(ready.next(&rules, &base, at(60)), Want::MarkReady);
    for head in 2..=3 {
        assert_eq!(ready.next(&rules, &Seen { head: sha(head), ..base.clone() }, at(60)), Want::Internal);
    }
    assert_eq!(code(&ready.next(&rules, &Seen { head: sha(4), ..base }, at(60))), Some(Code::HeadMoved));
}

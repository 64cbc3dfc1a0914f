//! Tests of known repositories and of commands in comments. Each is stored only once, and no command is
//! executed twice.

use truing_core::dismissal::Dismissal;
use truing_core::id::{AccountId, FindingId, PrId, RunId, SlotKey, UnixMillis};
use truing_core::ledger::{BudgetLevel, BudgetLevelKind};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcome, ReviewOutcomeKind, ReviewRuntime};
use truing_core::port::{
    CommentKind, HistoryEvent, KnownRepository, Ledger as _, OperatorAction, PullRevision, RequestOrigin,
    ReviewProgress, RunReference, RunStore, SkippedHead, SlotDescription, SlotStore, StoreError, SweepStore,
    UserRequest, UserRequestOutcome, VersionConflict,
};
use truing_core::review_settlement::DROP_REASON;
use truing_core::slot::{LoopKind, Slot, SlotCommand, SlotLimits};
use truing_store::Store;

use super::{NOW, computed, new_store, record, revision, run};

pub(crate) fn pull_request_id(repository: &str, number: u64) -> PrId {
    PrId { forge: "github".into(), repository: repository.into(), number }
}

pub(crate) fn repository(id: &str, name: &str, cursor: i64) -> KnownRepository {
    let (forge, id, name) = ("github".into(), id.into(), name.into());
    KnownRepository { forge, id, name, cursor: UnixMillis(cursor), missing_since: None, onboarded: false }
}

async fn store_description(store: &Store, pr: &PrId, name: &str) {
    let described = SlotDescription { name: name.into(), url: format!("https://x/{name}"), head: None };
    store.store_descriptions(&[(pr.key(), described)]).await.unwrap();
}

/// Returns a command in a comment on a pull request of the first repository.
pub(crate) fn comment(number: u64, kind: CommentKind, id: u64, at: i64) -> UserRequest {
    UserRequest {
        pr: pull_request_id("1", number),
        origin: RequestOrigin::Comment { kind, id },
        noticed_at: UnixMillis(at),
    }
}

#[tokio::test]
async fn repositories_are_those_remembered_and_those_of_described_pull_requests() {
    let (_home, store) = new_store().await;
    for (pr, name) in [
        (pull_request_id("2", 7), "octo/two#7"),
        (pull_request_id("2", 8), "octo/two#8"),
        (pull_request_id("10", 1), "octo/ten#1"),
        (PrId { forge: "github2".into(), ..pull_request_id("3", 1) }, "octo/other#1"),
    ] {
        store_description(&store, &pr, name).await;
    }
    store
        .store_repositories(&[repository("1", "octo/one", 5), repository("2", "octo/Two", 6)])
        .await
        .unwrap();
    let mut known = store.repositories("github").await.unwrap();
    known.sort_by_key(|repository| repository.name.clone());
    assert_eq!(
        known,
        [repository("2", "octo/Two", 6), repository("1", "octo/one", 5), repository("10", "octo/ten", NOW)]
    );
}

#[tokio::test]
async fn a_first_contact_ends_once_and_leaves_heads_that_no_run_was_about() {
    let (_home, store) = new_store().await;
    let of = repository("1", "octo/one", 5);
    store.store_repositories(std::slice::from_ref(&of)).await.unwrap();
    assert!(!store.repositories("github").await.unwrap()[0].onboarded);
    let left = |number: u64| SkippedHead {
        run: RunId::new(format!("left-{number}")),
        key: pull_request_id("1", number).key(),
        revision: revision('a'),
    };
    let begun = RunReference {
        id: RunId::new("begun"),
        key: pull_request_id("1", 8).key(),
        token: store.fresh_token().await.unwrap(),
    };
    store.begin_run(&begun, &revision('c'), UnixMillis(NOW)).await.unwrap();
    store.skip_heads(&[left(7), left(8)], "it was there before").await.unwrap();
    store.finish_onboarding(&of).await.unwrap();
    store.store_repositories(std::slice::from_ref(&of)).await.unwrap();
    assert!(store.repositories("github").await.unwrap()[0].onboarded, "it is remembered as it was");
    let last =
        store.last_reviews(&[pull_request_id("1", 7).key(), pull_request_id("1", 8).key()]).await.unwrap();
    let is_left = ReviewProgress {
        last_attempted: Some(revision('a')),
        last_settled: Some(revision('a')),
        is_skipped: true,
    };
    let is_begun =
        ReviewProgress { last_attempted: Some(revision('c')), last_settled: None, is_skipped: false };
    assert_eq!(last, [is_left, is_begun]);
}

#[tokio::test]
async fn slots_of_a_repository_are_not_those_of_its_neighbours() -> Result<(), StoreError> {
    let (_home, store) = new_store().await;
    let mut keys = Vec::new();
    for (repository, number) in [("1", 2), ("1", 30), ("10", 2), ("2", 2)] {
        let key = pull_request_id(repository, number).key();
        let slot = Slot::new(key.clone())
            .apply_event(LoopKind::Review, &SlotLimits::default(), UnixMillis(NOW))
            .slot;
        store.commit_slots(&[(slot.version, slot)]).await?;
        keys.push(key);
    }
    let found: Vec<SlotKey> =
        store.repository_slots("github", "1").await?.into_iter().map(|slot| slot.key).collect();
    assert_eq!(found, keys[..2]);
    Ok(())
}

fn outcome(kind: ReviewOutcomeKind) -> ReviewOutcome {
    ReviewOutcome { kind, reason: None, next_attempt_at: None, runtime: ReviewRuntime::Rules }
}

/// Returns the first characters of the heads that were last attempted and last settled, with `-` for a
/// missing head.
async fn last_heads(store: &Store) -> String {
    let keys = [pull_request_id("9", 9).key(), run(1).key];
    let last = store.last_reviews(&keys).await.unwrap();
    assert_eq!(last[0], ReviewProgress::default(), "there was no run");
    let head = |revision: &Option<PullRevision>| {
        revision.as_ref().map_or("-", |revision| &revision.head.as_str()[..1]).to_owned()
    };
    head(&last[1].last_attempted) + &head(&last[1].last_settled)
}

#[tokio::test]
async fn a_head_is_settled_when_a_run_has_published_it_and_not_when_one_has_begun() {
    let (_home, store) = new_store().await;
    let now = UnixMillis(NOW);
    store.begin_run(&run(1), &revision('a'), now).await.unwrap();
    assert_eq!(last_heads(&store).await, "a-", "it has begun");
    store.mark_failed(&run(1), &outcome(ReviewOutcomeKind::Failed), now).await.unwrap();
    assert_eq!(last_heads(&store).await, "a-", "it has failed");
    store.begin_run(&run(2), &revision('a'), now).await.unwrap();
    store.end_run(&run(2), &outcome(ReviewOutcomeKind::Deferred), now).await.unwrap();
    assert_eq!(last_heads(&store).await, "a-", "it waits for its budget");
    store.begin_run(&run(3), &revision('a'), now).await.unwrap();
    store.store_computed_review(&run(3), &computed(&run(3), 'a', Vec::new())).await.unwrap();
    assert_eq!(last_heads(&store).await, "a-", "the forge does not show it");
    store.mark_published(&run(3), &record(&run(3), 'a')).await.unwrap();
    assert_eq!(last_heads(&store).await, "aa");
    store.begin_run(&run(4), &revision('a'), now).await.unwrap();
    assert_eq!(last_heads(&store).await, "aa", "there was nothing to do");
    store.begin_run(&run(5), &revision('b'), now).await.unwrap();
    assert_eq!(last_heads(&store).await, "ba", "there is a new head");
}

#[tokio::test]
async fn a_head_that_an_operator_has_dropped_is_settled_until_another_run_begins() {
    let (_home, store) = new_store().await;
    let (now, key) = (UnixMillis(NOW), run(1).key);
    let drop =
        async || store.skip_head(&RunId::new("dropped"), &key, None, "dropped by an operator").await.unwrap();
    store.begin_run(&run(1), &revision('a'), now).await.unwrap();
    store.mark_failed(&run(1), &outcome(ReviewOutcomeKind::Failed), now).await.unwrap();
    drop().await;
    assert_eq!(last_heads(&store).await, "aa");
    let runs = store.review_entries(&key, 9).await.unwrap().len();
    drop().await;
    assert_eq!(store.review_entries(&key, 9).await.unwrap().len(), runs, "it is settled before");
    store.begin_run(&run(99), &revision('a'), now).await.unwrap();
    assert_eq!(last_heads(&store).await, "a-");
}

#[tokio::test]
async fn a_drop_of_a_head_that_no_run_has_read_is_of_the_head_that_is_seen_next() {
    let (_home, store) = new_store().await;
    let (now, key) = (UnixMillis(NOW), run(1).key);
    let drop = async |announced: char| {
        let (run, head) = (RunId::new(format!("dropped-{announced}")), revision(announced).head);
        store.skip_head(&run, &key, Some(&head), DROP_REASON).await.unwrap();
        last_heads(&store).await
    };
    let see = async |head: char| {
        let seen = SkippedHead {
            run: RunId::new(format!("seen-{head}")),
            key: key.clone(),
            revision: revision(head),
        };
        store.skip_heads(&[seen], DROP_REASON).await.unwrap();
        last_heads(&store).await
    };
    assert_eq!(drop('c').await, "00", "an event named the head, but no run has read it");
    let runs = store.review_entries(&key, 9).await.unwrap().len();
    assert_eq!(drop('c').await, "00");
    assert_eq!(store.review_entries(&key, 9).await.unwrap().len(), runs, "it is recorded once");
    assert_eq!(see('c').await, "cc", "the first head that is seen");
    assert_eq!(see('d').await, "cc", "and no later one");

    // A push follows, whose head no run can read.
    let newer = |id: &str, token| RunReference { id: RunId::new(id), key: key.clone(), token };
    let published = newer("published", store.fresh_token().await.unwrap());
    store.begin_run(&published, &revision('d'), now).await.unwrap();
    store.store_computed_review(&published, &computed(&published, 'd', Vec::new())).await.unwrap();
    store.mark_published(&published, &record(&published, 'd')).await.unwrap();
    assert_eq!(drop('d').await, "dd", "it is settled");
    let unread = newer("unread", store.fresh_token().await.unwrap());
    store.mark_failed(&unread, &outcome(ReviewOutcomeKind::Failed), now).await.unwrap();
    assert_eq!(drop('e').await, "00");
    assert_eq!(see('e').await, "ee");
}

#[tokio::test]
async fn a_comment_acts_once_together_with_what_it_changes() {
    let (_home, store) = new_store().await;
    let told = comment(7, CommentKind::Diff, 5, NOW);
    let later = comment(8, CommentKind::Conversation, 4, NOW + 1);
    let of = repository("1", "octo/one", 1);
    store.store_requests(&[told.clone(), later.clone()], &of, None).await.unwrap();
    store
        .store_requests(&[UserRequest { noticed_at: UnixMillis(9), ..told.clone() }], &of, None)
        .await
        .unwrap();
    assert_eq!(
        store.unserved_requests("github", 10).await.unwrap(),
        [later.clone(), told.clone()],
        "by their number"
    );

    let key = told.pr.key();
    let slot = store.load_slots(std::slice::from_ref(&key)).await.unwrap().remove(0);
    let decision = slot.apply_command(SlotCommand::Pause, &SlotLimits::default(), UnixMillis(NOW)).unwrap();
    let dismissal = Dismissal {
        finding: FindingId::new("1:abcd-1"),
        snippet: "x".into(),
        reason: "wanted".into(),
        dismissed_by: "ada".into(),
        dismissed_at: UnixMillis(NOW),
        withdrawn: false,
        finding_snapshot: None,
        retraction: None,
    };
    let event = HistoryEvent {
        at: UnixMillis(NOW),
        key: key.clone(),
        run: None,
        description: "paused by hand".into(),
    };
    let asks = BudgetLevel {
        kind: BudgetLevelKind::PullAsk,
        key: key.to_string(),
        period: String::new(),
        limit: MicroUsd(300_000),
    };
    let obeyed = UserRequestOutcome {
        slot: (slot.version, decision.slot.clone()),
        events: vec![event.clone()],
        act: OperatorAction::new("ada@github", "/review pause", key.as_str(), ""),
        dismissal: Some(dismissal.clone()),
        raised_level: Some(asks.clone()),
    };
    let limit = async || store.budget_usage(std::slice::from_ref(&asks)).await.unwrap()[0].level.limit;
    assert_eq!(limit().await, MicroUsd(300_000));
    assert_eq!(store.mark_request_served(&told, Some(&obeyed)).await.unwrap(), Ok(()));
    assert_eq!(store.load_slots(std::slice::from_ref(&key)).await.unwrap()[0].state, decision.slot.state);
    assert_eq!(limit().await, MicroUsd(600_000), "as much again");
    assert_eq!(store.events(&key, 9).await.unwrap(), [event]);
    assert_eq!(store.audit_entries(9).await.unwrap()[0].action, obeyed.act);
    assert_eq!(store.unserved_requests("github", 10).await.unwrap(), std::slice::from_ref(&later));
    let of_it = RunReference { key: key.clone(), ..run(9) };
    let begun = store.begin_run(&of_it, &revision('a'), UnixMillis(NOW)).await.unwrap();
    assert_eq!(begun.dismissals, [dismissal]);
    let other = RunReference { key: pull_request_id("1", 8).key(), ..run(9) };
    assert_eq!(store.begin_run(&other, &revision('a'), UnixMillis(NOW)).await.unwrap().dismissals, []);

    // If the slot has changed since the decision, nothing of the decision is stored, and the command remains
    // unserved.
    let stale =
        UserRequestOutcome { act: OperatorAction::new("eve@github", "/review", key.as_str(), ""), ..obeyed };
    assert_eq!(store.mark_request_served(&later, Some(&stale)).await.unwrap(), Err(VersionConflict));
    assert_eq!(store.audit_entries(9).await.unwrap().len(), 1);
    assert_eq!(store.mark_request_served(&later, None).await.unwrap(), Ok(()));
    assert_eq!(store.unserved_requests("github", 10).await.unwrap(), []);
    assert_eq!(limit().await, MicroUsd(600_000), "a refused command allows nothing");
    // The same command is stored once more, and must not be served again.
    store.store_requests(&[told], &of, None).await.unwrap();
    assert_eq!(store.unserved_requests("github", 10).await.unwrap(), []);
}

#[tokio::test]
async fn comments_of_one_repository_do_not_take_the_places_of_others() {
    let (_home, store) = new_store().await;
    for (of, comments) in [("1", vec![1, 2, 3]), ("2", vec![4, 6]), ("3", vec![5])] {
        let user_request =
            |id| UserRequest { pr: pull_request_id(of, 7), ..comment(7, CommentKind::Diff, id, NOW) };
        let user_request: Vec<UserRequest> = comments.into_iter().map(user_request).collect();
        store.store_requests(&user_request, &repository(of, "octo/some", 1), None).await.unwrap();
    }
    let unserved = async |limit| -> Vec<u64> {
        let number = |user_request: UserRequest| match user_request.origin {
            RequestOrigin::Comment { id, .. } => id,
            RequestOrigin::Check { account, .. } => account.as_str().parse().unwrap(),
            RequestOrigin::Label { .. } => 0,
        };
        store.unserved_requests("github", limit).await.unwrap().into_iter().map(number).collect()
    };
    assert_eq!(unserved(3).await, [1, 4, 5]);
    assert_eq!(unserved(9).await, [1, 4, 5, 2, 6, 3]);
}

#[tokio::test]
async fn a_button_asks_again_once_it_was_served() {
    let (_home, store) = new_store().await;
    let pressed = |account: u64, number, at| {
        let origin = RequestOrigin::Check {
            account: AccountId::new(account.to_string()),
            login: format!("login{account}"),
        };
        UserRequest { pr: pull_request_id("1", number), origin, noticed_at: UnixMillis(at) }
    };
    let (first, other) = (pressed(5, 7, 1), pressed(6, 7, 2));
    let of = repository("1", "octo/one", 1);
    let said = comment(7, CommentKind::Diff, 99, NOW);
    store.store_requests(&[first.clone(), other.clone(), said.clone()], &of, None).await.unwrap();
    store.store_requests(&[pressed(5, 7, 3), pressed(5, 8, 4)], &of, None).await.unwrap();
    let waiting = [said.clone(), first.clone(), pressed(5, 8, 4), other.clone()];
    assert_eq!(store.unserved_requests("github", 9).await.unwrap()[..1], waiting[..1], "comments first");
    let mut all = store.unserved_requests("github", 9).await.unwrap();
    all.sort_by_key(|told| waiting.iter().position(|waiting| waiting == told));
    assert_eq!(all, waiting, "pressed twice it asks once");
    for told in [&said, &first, &other] {
        assert_eq!(store.mark_request_served(told, None).await.unwrap(), Ok(()));
    }
    assert_eq!(store.unserved_requests("github", 9).await.unwrap(), [pressed(5, 8, 4)]);
    store.store_requests(&[pressed(5, 7, 5), said], &of, None).await.unwrap();
    assert_eq!(store.unserved_requests("github", 9).await.unwrap(), [pressed(5, 7, 5), pressed(5, 8, 4)]);
}

#[tokio::test]
async fn the_pull_requests_that_were_looked_at_at_a_head_are_found() {
    let (_home, store) = new_store().await;
    for (repository, number, token, head) in
        [("1", 7, 1, 'a'), ("1", 7, 2, 'a'), ("1", 8, 3, 'a'), ("1", 9, 4, 'b'), ("10", 7, 5, 'a')]
    {
        let run = RunReference { key: pull_request_id(repository, number).key(), ..run(token) };
        store.begin_run(&run, &revision(head), UnixMillis(NOW)).await.unwrap();
    }
    let found = store.pulls_reviewed_at("github", "1", &revision('a').head).await.unwrap();
    assert_eq!(found, [pull_request_id("1", 7), pull_request_id("1", 8)]);
}

#[tokio::test]
async fn a_label_that_is_set_again_while_it_is_served_is_served_again() {
    let (_home, store) = new_store().await;
    let label = |at| UserRequest {
        pr: pull_request_id("1", 7),
        origin: RequestOrigin::Label { name: "truing:converge".into() },
        noticed_at: UnixMillis(at),
    };
    let of = repository("1", "octo/one", 1);
    store.store_requests(&[label(5)], &of, None).await.unwrap();
    let seen = store.unserved_requests("github", 9).await.unwrap();
    assert_eq!(seen, [label(5)]);
    store.store_requests(&[label(5)], &of, None).await.unwrap();
    assert!(store.mark_request_served(&seen[0], None).await.unwrap().is_ok());
    assert_eq!(store.unserved_requests("github", 9).await.unwrap(), [label(6)]);
    assert!(store.mark_request_served(&label(6), None).await.unwrap().is_ok());
    assert!(store.unserved_requests("github", 9).await.unwrap().is_empty());
}

//! A store with rows in every table, with contents as the service and commands write them.

use truing_core::dismissal::Dismissal;
use truing_core::finding::AnchorKind;
use truing_core::id::{AccountId, CommentId, PrId, Topic};
use truing_core::port::{
    CommentKind, HaltPolicy, HistoryEvent, OperatorAction, OperatorStore as _, RequestOrigin, RunStore as _,
    SlotDescription, SlotMark, SlotStore as _, SweepStore as _, UserRequest,
};
use truing_core::slot::{HoldReason, LoopKind, Slot, SlotCommand, SlotLimits, SlotState};
use truing_core::switch::SwitchRequest;
use truing_core::sync::job::JobState;

use super::super::on_sqlite::effects::{announced_entry, replace, writer};
use super::super::on_sqlite::ledger::{repo, reservation_request, reserve_granted, team};
use super::super::on_sqlite::{jobs, watchlist};
use super::*;

pub(super) fn pull_request_id(number: u64) -> PrId {
    PrId { forge: "github".into(), repository: "1".into(), number }
}

/// Adds rows to every table: slots in several states, and an enabled kill switch.
pub(super) async fn fill(store: &Store) {
    let limits = SlotLimits::default();
    let mark = |number| {
        let (name, url) = (format!("acme/Shop#{number}"), format!("https://example.com/{number}"));
        SlotMark {
            key: pull_request_id(number).key(),
            description: SlotDescription { name, url, head: Some(sha('a')) },
            loop_kind: LoopKind::Review,
        }
    };
    store.mark_slots(&[mark(7), mark(8), mark(9)], &limits, HaltPolicy::Refuse).await.unwrap();
    // One slot is leased, and one is parked.
    let before = store.load_slots(&[pull_request_id(7).key()]).await.unwrap().remove(0);
    let leased = before.apply_command(SlotCommand::Lease, &limits, before.wake_time().unwrap()).unwrap().slot;
    store.grant_leases(&[(before.version, leased)]).await.unwrap()[0].unwrap();
    let before = store.load_slots(&[pull_request_id(8).key()]).await.unwrap().remove(0);
    let parked = Slot { state: SlotState::Held { reason: HoldReason::Parked }, ..before.clone() };
    store.commit_slots(&[(before.version, parked)]).await.unwrap()[0].unwrap();

    let token = store.fresh_token().await.unwrap();
    let review = run(token.0);
    store.begin_run(&review, &revision('a'), UnixMillis(NOW)).await.unwrap();
    store
        .store_computed_review(&review, &computed(&review, 'a', vec![summary("ä \"sum\""), row("f1", 1)]))
        .await
        .unwrap();
    let producer = CommentProducer::Review;
    store.store_comments(&review, producer, &[(item("f1"), CommentId::new("c1"))]).await.unwrap();
    store.replace_anchors(&review, producer, &[(item("f1"), AnchorKind::File)]).await.unwrap();
    store.mark_published(&review, &record(&review, 'a')).await.unwrap();
    store.begin_run(&run(token.0 + 1), &revision('c'), UnixMillis(NOW)).await.unwrap();
    let topic = Topic::new("report");
    let entry = announced_entry("1", NOW);
    assert!(replace(store, &writer(CommentProducer::Mcp, None), &topic, None, Some(&entry)).await.unwrap());
    let at = UnixMillis(NOW);
    store
        .append_history(&[HistoryEvent {
            at,
            key: key(),
            run: None,
            description: "looked at\n\u{1F600}".into(),
        }])
        .await
        .unwrap();

    let told = [
        UserRequest {
            pr: pull_request_id(7),
            origin: RequestOrigin::Comment { kind: CommentKind::Diff, id: 5 },
            noticed_at: at,
        },
        UserRequest {
            pr: pull_request_id(7),
            origin: RequestOrigin::Check { account: AccountId::new("5"), login: "ada".into() },
            noticed_at: at,
        },
        UserRequest {
            pr: pull_request_id(7),
            origin: RequestOrigin::Label { name: "it's".into() },
            noticed_at: at,
        },
    ];
    store.store_requests(&told, &watchlist::repository("1", "Acme/shop", 3), None).await.unwrap();
    let dismissal = Dismissal {
        finding: FindingId::new("f1"),
        snippet: "x".into(),
        reason: "wanted".into(),
        dismissed_by: "ada".into(),
        dismissed_at: at,
        withdrawn: false,
        finding_snapshot: None,
        retraction: None,
    };
    store
        .store_dismissals(&[(key(), dismissal)], &OperatorAction::new("ada", "dismiss", "f1", ""))
        .await
        .unwrap();
    reserve_granted(store, &[repo(1_000), team(10_000)], reservation_request(10, 60)).await;
    let job = jobs::run("a", token.0 + 2);
    store.begin_job_run(&job).await.unwrap();
    store.store_job(&job, &JobState { ..jobs::state_with_question("1.0") }).await.unwrap();
    for turn in [SwitchRequest::TurnOn { reason: None, mode: None }, SwitchRequest::TurnOff] {
        store.turn_switch(&turn, "ada").await.unwrap();
    }
    let on = SwitchRequest::TurnOn { reason: Some("storm".into()), mode: None };
    store.turn_switch(&on, "ada").await.unwrap();
    store.turn_repository_switch("acme/other", &on, "ada").await.unwrap();
}

/// Adds so many rows that several tables have more than one page.
pub(super) async fn fill_many(store: &Store) {
    let event = |number: i64| {
        let key = SlotKey::new(format!("pr/github/2/{}", number / 100));
        HistoryEvent { at: UnixMillis(NOW + number), key, run: None, description: format!("line {number}") }
    };
    store.append_history(&(0..700).map(event).collect::<Vec<_>>()).await.unwrap();
    let slot = |number: u64| {
        let key = PrId { repository: "3".into(), ..pull_request_id(number) }.key();
        let slot = Slot::new(key).apply_event(LoopKind::Review, &SlotLimits::default(), UnixMillis(NOW)).slot;
        (slot.version, slot)
    };
    let swapped = store.commit_slots(&(0..600).map(slot).collect::<Vec<_>>()).await.unwrap();
    assert!(swapped.iter().all(Result::is_ok));
}

//! Tests of stores that keep slots and records on separate servers. In the tests, slots are lost or changed
//! by hand, or a process crashes between a change of a slot and the write of the records.

use truing_core::id::{PrId, SlotVersion, TimeSpan};
use truing_core::port::{
    CommentKind, HaltPolicy, KnownRepository, LeaseRefusal, MarkOutcome, OperatorAction, OperatorStore as _,
    RequestOrigin, RunStore as _, SlotDescription, SlotMark, SlotStore as _, StoreError, SweepStore as _,
    UserRequest, UserRequestOutcome,
};
use truing_core::slot::{LoopKind, Slot, SlotCommand, SlotLimits};

use super::*;

/// Returns a store with slots and records on separate servers, and the names of its two databases.
async fn new_server_store() -> (Store, u32, String) {
    let (slots, records) = (SlotServer::new_database(), Server::shared_server().new_database());
    let urls = (SlotServer::shared_server().url(slots), Server::shared_server().url(&records));
    (Store::connect(&urls.0, &urls.1, Some(ManualWallClock::at(NOW))).await.unwrap(), slots, records)
}

fn mark(number: u64) -> SlotMark {
    let key = PrId { forge: "github".into(), repository: "1".into(), number }.key();
    let (name, url) = (format!("acme/shop#{number}"), format!("https://example.com/{number}"));
    SlotMark {
        key,
        description: SlotDescription { name, url, head: Some(sha('a')) },
        loop_kind: LoopKind::Review,
    }
}

async fn slot(store: &Store, number: u64) -> Slot {
    store.load_slots(&[mark(number).key]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_switch_that_is_set_by_hand_counts_at_once_and_is_written_down() {
    let (store, slots, _) = new_server_store().await;
    let (server, limits) = (SlotServer::shared_server(), SlotLimits::default());
    assert_eq!(store.mark_slots(&[mark(1)], &limits, HaltPolicy::Refuse).await, Ok(MarkOutcome::AllStored));
    let before = slot(&store, 1).await;
    let leased = before.apply_command(SlotCommand::Lease, &limits, before.wake_time().unwrap()).unwrap().slot;

    server.send_command(slots, &["SET", "bot:killswitch:enabled", "true"]);
    assert_eq!(
        store.mark_slots(&[mark(2)], &limits, HaltPolicy::Refuse).await,
        Ok(MarkOutcome::BlockedByKillSwitch([mark(2).key].into()))
    );
    let granted = store.grant_leases(&[(before.version, leased)]).await.unwrap();
    assert_eq!(granted, [Err(LeaseRefusal::BlockedByKillSwitch)]);
    assert!(store.kill_switches().await.unwrap().global_switch.engagement().is_some());
    let log = store.audit_entries(9).await.unwrap();
    assert_eq!(
        (log[0].action.actor.as_str(), log[0].action.action.as_str()),
        ("bot:killswitch:enabled", "kill on")
    );

    // A command replaces a value that was set by hand, both when it turns the switch off and when it turns
    // the switch on.
    store.turn_switch(&truing_core::switch::SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!(server.send_command(slots, &["GET", "bot:killswitch:enabled"]), "false");
    store
        .turn_switch(&truing_core::switch::SwitchRequest::TurnOn { reason: None, mode: None }, "ada")
        .await
        .unwrap();
    assert_eq!(server.send_command(slots, &["GET", "bot:killswitch:enabled"]), "true");
    server.send_command(slots, &["SET", "bot:killswitch:enabled", "false"]);
    assert!(store.kill_switches().await.unwrap().global_switch.engagement().is_none());

    // The value that was set by hand before the command is recorded first, and then the command. Otherwise,
    // the next process to read that value would record it after the command.
    let on = truing_core::switch::SwitchRequest::TurnOn { reason: None, mode: None };
    store.turn_switch(&on, "ada").await.unwrap();
    server.send_command(slots, &["SET", "bot:killswitch:enabled", "false"]);
    store.turn_switch(&on, "ada").await.unwrap();
    assert!(store.kill_switches().await.unwrap().global_switch.engagement().is_some());
    let log = store.audit_entries(4).await.unwrap();
    let acts: Vec<_> =
        log.iter().map(|line| (line.action.actor.as_str(), line.action.action.as_str())).collect();
    let both = [("ada", "kill on"), ("bot:killswitch:enabled", "kill off")];
    assert_eq!(acts, [both, both].concat());

    // If the slot server loses the switch, the store restores it from the records.
    store
        .turn_switch(&truing_core::switch::SwitchRequest::TurnOn { reason: None, mode: None }, "ada")
        .await
        .unwrap();
    server.send_command(slots, &["FLUSHDB"]);
    assert!(store.kill_switches().await.unwrap().global_switch.engagement().is_some());
    assert_eq!(server.send_command(slots, &["GET", "bot:killswitch:enabled"]), "true");
}

#[tokio::test]
async fn after_a_loss_tokens_of_the_past_are_refused_until_the_counter_is_raised() {
    let (store, slots, _) = new_server_store().await;
    for _ in 0..6 {
        store.fresh_token().await.unwrap();
    }
    store.begin_run(&run(5), &revision('a'), UnixMillis(NOW)).await.unwrap();
    store.mark_slots(&[mark(1)], &SlotLimits::default(), HaltPolicy::Refuse).await.unwrap();
    SlotServer::shared_server().send_command(slots, &["FLUSHDB"]);
    assert_eq!(slot(&store, 1).await, Slot::new(mark(1).key), "the sweep marks it again");
    let token = store.fresh_token().await.unwrap();
    let refused = store.begin_run(&run(token.0), &revision('a'), UnixMillis(NOW)).await.unwrap_err();
    assert_eq!(refused, StoreError::Fenced { key: key(), greatest_token: FencingToken(5) });
    store.raise_version(SlotVersion(5)).await.unwrap();
    let token = store.fresh_token().await.unwrap();
    store.begin_run(&run(token.0), &revision('a'), UnixMillis(NOW)).await.unwrap();
}

#[tokio::test]
async fn a_value_that_was_put_there_by_hand_is_named_and_the_rest_goes_on() {
    let (store, slots, _) = new_server_store().await;
    let (server, limits) = (SlotServer::shared_server(), SlotLimits::default());
    store.mark_slots(&[mark(1), mark(2), mark(3), mark(4)], &limits, HaltPolicy::Refuse).await.unwrap();
    server.send_command(slots, &["SET", "review:slot:{truing}:github:1:1", "x"]);
    server.send_command(slots, &["HSET", "review:slot:{truing}:github:1:4", "version", "abc"]);
    server.send_command(slots, &["HSET", "review:slot:{truing}:github:1:2", "body", "{"]);
    let late = UnixMillis(NOW + 3_600_000);
    let due: Vec<SlotKey> =
        store.due_slots(late, 9).await.unwrap().into_iter().map(|slot| slot.key).collect();
    assert_eq!(due, [mark(3).key]);
    assert!(matches!(store.load_slots(&[mark(1).key]).await, Err(StoreError::Corrupt(_))));
    let named: Vec<SlotKey> =
        store.unreadable_slots().await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(named, [mark(1).key, mark(2).key, mark(4).key]);
    assert_eq!(store.collect_statistics().await.unwrap().unreadable_slots, 3);
    for key in named {
        assert_eq!(store.delete_unreadable_slot(&key).await, Ok(true));
    }
    assert_eq!(store.collect_statistics().await.unwrap().unreadable_slots, 0);
    assert_eq!(store.delete_unreadable_slot(&mark(3).key).await, Ok(false), "it can be read");
    assert_eq!(store.list_slots().await.unwrap().len(), 1);
    store.mark_slots(&[mark(1)], &limits, HaltPolicy::Refuse).await.unwrap();
    assert!(slot(&store, 1).await.pending.review.is_some());
}

#[tokio::test]
async fn a_request_acts_once_whoever_dies_between_the_slot_and_the_records() {
    let (store, slots, records) = new_server_store().await;
    let pr = PrId { forge: "github".into(), repository: "1".into(), number: 7 };
    let told = UserRequest {
        pr: pr.clone(),
        origin: RequestOrigin::Comment { kind: CommentKind::Conversation, id: 5 },
        noticed_at: UnixMillis(NOW),
    };
    let of = KnownRepository {
        forge: "github".into(),
        id: "1".into(),
        name: "acme/shop".into(),
        cursor: UnixMillis(1),
        missing_since: None,
        onboarded: false,
    };
    store.store_requests(std::slice::from_ref(&told), &of, None).await.unwrap();
    let obeyed = async |store: &Store| {
        let before = store.load_slots(&[pr.key()]).await.unwrap().remove(0);
        let after = before.apply_event(LoopKind::Review, &SlotLimits::default(), UnixMillis(NOW)).slot;
        let act = OperatorAction::new("ann", "review", "acme/shop#7", "");
        UserRequestOutcome {
            slot: (before.version, after),
            events: Vec::new(),
            act,
            dismissal: None,
            raised_level: None,
        }
    };
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    let closed = |may: &str| {
        let sql = format!("ALTER DATABASE {records} SET default_transaction_read_only = {may}");
        assert!(
            Server::shared_server().psql(&records, &["SET default_transaction_read_only = off", &sql, cut]).1
        );
    };
    // If the slot is unreadable, the store does not mark the request as served.
    let first = obeyed(&store).await;
    SlotServer::shared_server().send_command(slots, &["SET", "review:slot:{truing}:github:1:7", "x"]);
    assert!(matches!(store.mark_request_served(&told, Some(&first)).await, Err(StoreError::Corrupt(_))));
    assert_eq!(store.delete_unreadable_slot(&pr.key()).await, Ok(true));
    // The slot server stores the changed slot, but the records cannot be written.
    closed("on");
    store.mark_request_served(&told, Some(&first)).await.unwrap_err();
    let changed = store.load_slots(&[pr.key()]).await.unwrap().remove(0);
    assert!(changed.pending.review.is_some());
    closed("off");
    // The request is processed again, from the current slot. This time the records are written, and the slot
    // does not change.
    assert_eq!(store.unserved_requests("github", 9).await.unwrap(), std::slice::from_ref(&told));
    let second = obeyed(&store).await;
    assert_eq!(store.mark_request_served(&told, Some(&second)).await.unwrap(), Ok(()));
    assert_eq!(store.load_slots(&[pr.key()]).await.unwrap(), [changed]);
    assert!(store.unserved_requests("github", 9).await.unwrap().is_empty());
    assert_eq!(store.audit_entries(9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn each_server_that_cannot_keep_slots_is_named_with_what_to_do() {
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = SlotServer::shared_server().port;
    let cases = [
        ("nonsense".to_owned(), "write valkey://HOST:6379/0"),
        (format!("valkey://:wrong-one@127.0.0.1:{port}/0"), "password"),
        (format!("valkey://{closed}/0"), "cannot be reached; check that it runs"),
        (format!("valkey://{}/0", silent.local_addr().unwrap()), "has not answered within 5 s"),
        (format!("valkey://127.0.0.1:{port}/99999"), "Valkey at"),
    ];
    for (url, part) in cases {
        let said = Store::connect(&url, &records, None).await.err().expect(&url).to_string();
        assert!(said.contains(part) && !said.contains("wrong-one"), "{url}: {said}");
    }
}

/// Connects a second process to the same two servers.
async fn connect_second_process(slots: u32, records: &str) -> Store {
    let urls = (SlotServer::shared_server().url(slots), Server::shared_server().url(records));
    Store::connect(&urls.0, &urls.1, None).await.unwrap()
}

#[tokio::test]
async fn one_process_at_a_time_has_the_right_to_sweep_and_it_is_lent_for_a_while() {
    let (one, slots, records) = new_server_store().await;
    let other = connect_second_process(slots, &records).await;
    let minute = TimeSpan::minutes(1);
    assert_eq!(
        (one.lease_exclusive_tasks(minute).await, other.lease_exclusive_tasks(minute).await),
        (Ok(true), Ok(false))
    );
    // The holder renews the lease. The other process cannot release it.
    assert_eq!(
        (other.lease_exclusive_tasks(TimeSpan(0)).await, one.lease_exclusive_tasks(minute).await),
        (Ok(false), Ok(true))
    );
    assert_eq!(
        (one.lease_exclusive_tasks(TimeSpan(0)).await, other.lease_exclusive_tasks(TimeSpan(1)).await),
        (Ok(false), Ok(true))
    );
    // The lease expires even if the holder does not release it, because the holder may have crashed.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while one.lease_exclusive_tasks(minute).await != Ok(true) {
        assert!(std::time::Instant::now() < deadline, "the right never ends");
    }
}

#[tokio::test]
async fn processes_that_lease_know_of_each_other_until_they_say_that_they_end() {
    let (one, slots, records) = new_server_store().await;
    let other = connect_second_process(slots, &records).await;
    assert_eq!(one.announce_worker(true).await.unwrap().all_names.len(), 1);
    let (of_other, of_one) =
        (other.announce_worker(true).await.unwrap(), one.announce_worker(true).await.unwrap());
    assert_eq!((of_one.all_names.len(), &of_one.all_names), (2, &of_other.all_names));
    assert_ne!(of_one.own_name, of_other.own_name);
    // For each slot, exactly one of the two processes is the preferred worker.
    for number in 0..50 {
        assert_ne!(
            of_one.is_preferred_worker(&mark(number).key),
            of_other.is_preferred_worker(&mark(number).key)
        );
    }
    assert_eq!(other.announce_worker(false).await.unwrap().all_names, [of_one.own_name].into());
}

#[tokio::test]
async fn a_slot_that_waits_is_told_to_those_that_listen() {
    let (one, slots, records) = new_server_store().await;
    let other = connect_second_process(slots, &records).await;
    let told = tokio::spawn(async move { other.wait_for_change().await });
    // The other process may not listen yet, so the test marks slots until that process gets a notification.
    let mut number = 0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !told.is_finished() {
        number += 1;
        one.mark_slots(&[mark(number)], &SlotLimits::default(), HaltPolicy::Refuse).await.unwrap();
        assert!(std::time::Instant::now() < deadline, "nobody is told of {number} marks");
    }
}

#[tokio::test]
async fn a_user_who_may_not_publish_writes_slots_and_the_next_look_finds_them() {
    let (store, slots, records) = new_server_store().await;
    let server = SlotServer::shared_server();
    let rules =
        "ACL SETUSER quiet on >word resetchannels ~truing:* ~review:slot:* ~bot:killswitch:enabled +@all";
    server.send_command(slots, &rules.split(' ').collect::<Vec<_>>());
    let url = server.url(slots).replace("://", "://quiet:word@");
    let quiet = Store::connect(&url, &Server::shared_server().url(&records), Some(ManualWallClock::at(NOW)))
        .await
        .unwrap();
    assert_eq!(
        quiet.mark_slots(&[mark(1)], &SlotLimits::default(), HaltPolicy::Refuse).await,
        Ok(MarkOutcome::AllStored)
    );
    assert!(slot(&store, 1).await.pending.review.is_some());
}

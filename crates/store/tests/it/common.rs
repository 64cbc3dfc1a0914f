//! Tests, on a real server, the states that processes share. No change is lost if several processes write at
//! the same time, and a state expires even if no process deletes it. A process that cannot reach the server
//! gets an error.

use std::time::{Duration, Instant};

use truing_core::breaker::{CallAdmission, CircuitBreaker};
use truing_core::id::TimeSpan;
use truing_core::port::{SharedStateStore, StateUpdate, StoreError, update_state};

use super::*;

const MINUTE: TimeSpan = TimeSpan::minutes(1);

/// Connects two processes to the same servers. Also returns the number of the database that contains the
/// shared states.
async fn connect_two_processes() -> (Arc<dyn SharedStateStore>, Arc<dyn SharedStateStore>, u32) {
    let (slots, records) = (SlotServer::new_database(), Server::shared_server().new_database());
    let urls = (SlotServer::shared_server().url(slots), Server::shared_server().url(&records));
    let connect = async || Store::connect(&urls.0, &urls.1, None).await.unwrap().shared_state().unwrap();
    (connect().await, connect().await, slots)
}

/// Adds a call at the time `now` if fewer than 80 calls are recorded. Returns true if the call was added.
fn add_call_below_limit(made: &mut Vec<UnixMillis>, now: UnixMillis) -> bool {
    let counts = made.len() < 80;
    if counts {
        made.push(now);
    }
    counts
}

async fn stored_calls(common: &Arc<dyn SharedStateStore>) -> Vec<UnixMillis> {
    update_state(&**common, "made", MINUTE, |made: &mut Vec<UnixMillis>, _| made.clone())
        .await
        .unwrap()
        .result
}

#[tokio::test]
async fn processes_that_count_at_once_count_no_more_together_than_one_may() {
    let (one, other, slots) = connect_two_processes().await;
    let mut counting = tokio::task::JoinSet::new();
    for of in 0..200 {
        let common = Arc::clone(if of % 2 == 0 { &one } else { &other });
        counting.spawn(async move {
            update_state(&*common, "made", MINUTE, add_call_below_limit).await.unwrap().result
        });
    }
    let counted = counting.join_all().await.into_iter().filter(|counted| *counted).count();
    assert_eq!((counted, stored_calls(&one).await.len()), (80, 80));
    // The times come from the server's clock, so the clocks of the processes' machines have no effect.
    let seconds: i64 = SlotServer::shared_server()
        .send_command(slots, &["EVAL", "return redis.call('TIME')[1]", "0"])
        .parse()
        .unwrap();
    let made = stored_calls(&other).await;
    assert!(made.is_sorted() && made.iter().all(|made| (made.0 / 1000 - seconds).abs() < 600), "{made:?}");
}

#[tokio::test]
async fn a_circuit_that_fails_in_one_process_is_open_in_the_other_and_one_trial_closes_it_for_both() {
    let (one, other, slots) = connect_two_processes().await;
    let admit = async |of: &Arc<dyn SharedStateStore>, later: TimeSpan| {
        let admit = |circuit: &mut CircuitBreaker, now| circuit.admit(now + later);
        update_state(&**of, "circuit", MINUTE, admit).await.unwrap().result
    };
    assert_eq!(admit(&one, TimeSpan(0)).await, Ok(CallAdmission::Normal));
    for of in [&one, &other, &one] {
        update_state(&**of, "circuit", MINUTE, CircuitBreaker::record_failure).await.unwrap();
    }
    assert!(admit(&one, TimeSpan(0)).await.is_err() && admit(&other, TimeSpan(0)).await.is_err());
    assert_eq!(admit(&other, MINUTE).await, Ok(CallAdmission::Trial));
    assert!(admit(&one, MINUTE).await.is_err(), "one tries for all");
    update_state(&*other, "circuit", MINUTE, |circuit: &mut CircuitBreaker, _| circuit.record_success())
        .await
        .unwrap();
    assert_eq!(admit(&one, TimeSpan(0)).await, Ok(CallAdmission::Normal));
    // If the circuit is closed, the server stores no state for it.
    assert_eq!(
        SlotServer::shared_server().send_command(slots, &["EXISTS", "truing:{truing}:common:circuit"]),
        "0"
    );
}

#[tokio::test]
async fn a_state_ends_by_itself_and_one_that_nobody_can_read_counts_as_none() {
    let (one, other, slots) = connect_two_processes().await;
    update_state(&*one, "made", TimeSpan(1), add_call_below_limit).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !stored_calls(&other).await.is_empty() {
        assert!(Instant::now() < deadline, "it never ends");
    }
    let (server, key) = (SlotServer::shared_server(), "truing:{truing}:common:made");
    server.send_command(slots, &["SET", key, "{\"of\":\"another version\"}"]);
    assert!(stored_calls(&one).await.is_empty());
    let StateUpdate { result, state, .. } =
        update_state(&*one, "made", MINUTE, add_call_below_limit).await.unwrap();
    assert_eq!((result, state.len(), stored_calls(&other).await.len()), (true, 1, 1));
    let left: i64 = server.send_command(slots, &["PTTL", key]).parse().unwrap();
    assert!((1..=MINUTE.0).contains(&left), "{left}");
    // If the key contains a value of another Redis type, the update fails.
    server.send_command(slots, &["DEL", key]);
    server.send_command(slots, &["SADD", key, "x"]);
    assert!(matches!(
        update_state(&*one, "made", MINUTE, add_call_below_limit).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_and_a_file_keeps_nothing_in_common() {
    let (_folder, file) = new_file();
    assert!(file.shared_state().is_none());
    let server = SlotServer::start_separate();
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    let store = Store::connect(&server.url(0), &records, None).await.unwrap();
    let common = store.shared_state().unwrap();
    assert!(update_state(&*common, "made", MINUTE, add_call_below_limit).await.unwrap().result);
    let port = server.port;
    drop(server);
    let told = update_state(&*common, "made", MINUTE, add_call_below_limit).await.unwrap_err().to_string();
    assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
}

//! Tests with a real primary, a replica and Sentinels. When the primary is killed or becomes a replica, an
//! open store continues with the new primary.

use std::time::{Duration, Instant};

use truing_core::id::PrId;
use truing_core::port::{
    HaltPolicy, MarkOutcome, RunStore as _, SlotDescription, SlotMark, SlotStore as _, StoreError,
};
use truing_core::slot::{LoopKind, SlotLimits};

use super::tls::{free_port, wait_until};
use super::*;

impl SlotServer {
    fn start(port: u16, settings: &str) -> Self {
        Self::start_with_settings(port, &format!("port {port}\nsave \"\"\nappendonly no\n{settings}"), "")
    }

    fn start_sentinel(settings: &str) -> Self {
        let port = free_port();
        Self::start_with_settings(port, &format!("port {port}\n{settings}"), "--sentinel")
    }

    /// Kills the server, as a power failure would.
    fn kill(&self) {
        let told = self.send_command(0, &["INFO", "server"]);
        let process = told.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
        let killed = std::process::Command::new("kill").args(["-9", process]).status();
        assert!(killed.unwrap().success());
        wait_until("end of the server", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }
}

/// A primary, its replica, and the Sentinels that watch both under the name `reviews`.
struct Watched {
    primary: SlotServer,
    replica: SlotServer,
    sentinels: Vec<SlotServer>,
}

impl Watched {
    fn start(sentinels: usize) -> Self {
        let primary = SlotServer::start(free_port(), "");
        let replica = SlotServer::start(free_port(), &format!("replicaof 127.0.0.1 {}", primary.port));
        wait_until("replica", || reports_text(&replica, "master_link_status:up"));
        let quorum = sentinels / 2 + 1;
        let watch = format!(
            "sentinel monitor reviews 127.0.0.1 {} {quorum}\nsentinel down-after-milliseconds reviews 500\n\
             sentinel failover-timeout reviews 3000\nuser watcher on >own-word +@all allchannels",
            primary.port
        );
        let sentinels: Vec<SlotServer> = (0..sentinels).map(|_| SlotServer::start_sentinel(&watch)).collect();
        for sentinel in &sentinels {
            // A Sentinel can fail over only after it knows the replica and the other Sentinels.
            wait_until("watched replica", || {
                let known = sentinel.send_command(0, &["SENTINEL", "MASTER", "reviews"]);
                let has = |field: &str, value: usize| {
                    known.contains(&format!("bulk-string('\"{field}\"'), bulk-string('\"{value}\"')"))
                };
                has("num-slaves", 1) && has("num-other-sentinels", sentinels.len() - 1)
            });
        }
        Self { primary, replica, sentinels }
    }

    /// Returns the URL of the Sentinels. Its first address is one at which no Sentinel listens.
    fn url(&self) -> String {
        let live = self.sentinels.iter().map(|sentinel| format!(",127.0.0.1:{}", sentinel.port));
        let (dead, live) = (free_port(), live.collect::<String>());
        format!(
            "valkey+sentinel://127.0.0.1:{dead}{live}/reviews/0?sentinel_username=watcher&sentinel_password=own-word"
        )
    }
}

fn reports_text(server: &SlotServer, part: &str) -> bool {
    server.send_command(0, &["INFO", "replication"]).contains(part)
}

async fn connect(url: &str, records: &str) -> Store {
    Store::connect(url, &Server::shared_server().url(records), Some(ManualWallClock::at(NOW))).await.unwrap()
}

/// Returns the error of a connection that must fail.
async fn connect_refused(url: &str) -> String {
    let records = Server::shared_server().url(&Server::shared_server().new_database());
    match Store::connect(url, &records, None).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

fn slot_mark(number: u64) -> SlotMark {
    let key = PrId { forge: "github".into(), repository: "1".into(), number }.key();
    let (name, url) = (format!("acme/shop#{number}"), format!("https://example.com/{number}"));
    SlotMark {
        key,
        description: SlotDescription { name, url, head: Some(sha('a')) },
        loop_kind: LoopKind::Review,
    }
}

async fn mark(store: &Store, number: u64) -> Result<MarkOutcome, StoreError> {
    store.mark_slots(&[slot_mark(number)], &SlotLimits::default(), HaltPolicy::Refuse).await
}

/// Marks a slot repeatedly until the mark is accepted. Returns the errors of the failed attempts.
async fn mark_until_accepted(store: &Store, number: u64) -> Vec<String> {
    let (deadline, mut errors) = (Instant::now() + Duration::from_secs(120), Vec::new());
    while let Err(error) = mark(store, number).await {
        errors.push(error.to_string());
        assert!(Instant::now() < deadline, "no mark is accepted: {errors:?}");
    }
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_is_replaced_for_a_store_that_is_open_and_the_lost_second_is_fenced() {
    let (watched, records) = (Watched::start(3), Server::shared_server().new_database());
    let (store, other) = (connect(&watched.url(), &records).await, connect(&watched.url(), &records).await);
    assert!(connect_refused(&watched.replica.url(0)).await.contains("is a replica"));
    mark(&store, 1).await.unwrap();
    wait_until("replicated mark", || {
        watched.replica.send_command(0, &["EXISTS", "review:slot:{truing}:github:1:1"]) == "1"
    });
    // The replica gets no more changes from the primary, so the writes that follow are lost with the primary.
    watched.primary.send_command(0, &["ACL", "SETUSER", "default", "-psync", "-sync"]);
    watched.primary.send_command(0, &["CLIENT", "KILL", "TYPE", "replica"]);
    wait_until("end of replication", || reports_text(&watched.replica, "master_link_status:down"));
    mark(&store, 2).await.unwrap();
    let mut last = 0;
    for _ in 0..9 {
        last = store.fresh_token().await.unwrap().0;
    }
    store.begin_run(&run(last), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let listener = store.clone();
    let told = tokio::spawn(async move { listener.wait_for_change().await });

    watched.primary.kill();
    let killed = Instant::now();
    // This process does not know the versions and tokens that the other process received after the replica
    // was cut off.
    let errors = mark_until_accepted(&other, 3).await;
    println!("{} errors in {:.1} s until a mark was accepted", errors.len(), killed.elapsed().as_secs_f64());
    assert!(errors.iter().all(|error| error.contains("reviews")), "{errors:?}");
    assert_eq!(other.list_slots().await.unwrap().len(), 2, "the lost mark is the sweep's to find");
    let token = other.fresh_token().await.unwrap();
    assert!(token.0 <= last, "{} is not of the past", token.0);
    let fenced = other.begin_run(&run(token.0), &revision('a'), UnixMillis(NOW)).await.unwrap_err();
    assert_eq!(fenced, StoreError::Fenced { key: key(), greatest_token: FencingToken(last) });

    // The next write of the process that knows greater numbers raises the counter, so the lost numbers are
    // not assigned again.
    assert!(mark_until_accepted(&store, 2).await.iter().all(|error| error.contains("reviews")));
    let token = other.fresh_token().await.unwrap();
    assert!(token.0 > last, "{} was given before", token.0);
    other.begin_run(&run(token.0), &revision('a'), UnixMillis(NOW)).await.unwrap();
    let keys: Vec<SlotKey> = store.list_slots().await.unwrap().into_iter().map(|slot| slot.key).collect();
    assert_eq!(keys, [1, 2, 3].map(|number| slot_mark(number).key), "each once");

    // The task now gets notifications from the new primary.
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut number = 3;
    while !told.is_finished() {
        number += 1;
        mark(&other, number).await.unwrap();
        assert!(Instant::now() < deadline, "nobody is told of {number} marks");
    }

    // A server at the address of the earlier primary gets no more writes.
    let former = SlotServer::start(watched.primary.port, "");
    mark(&store, 99).await.unwrap();
    assert_eq!(former.send_command(0, &["EXISTS", "review:slot:{truing}:github:1:99"]), "0");
    let late = connect(&watched.url(), &records).await;
    assert_eq!(
        late.load_slots(&[slot_mark(99).key]).await.unwrap()[0].version,
        store.load_slots(&[slot_mark(99).key]).await.unwrap()[0].version
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_became_a_replica_is_left_for_the_one_that_sentinels_name() {
    let (watched, records) = (Watched::start(1), Server::shared_server().new_database());
    let store = connect(&watched.url(), &records).await;
    mark(&store, 1).await.unwrap();
    wait_until("replicated mark", || {
        watched.replica.send_command(0, &["EXISTS", "review:slot:{truing}:github:1:1"]) == "1"
    });
    // The test swaps primary and replica, while the store's connection stays open.
    let (sentinel, next) = (&watched.sentinels[0], watched.replica.port.to_string());
    sentinel.send_command(0, &["SENTINEL", "REMOVE", "reviews"]);
    watched.replica.send_command(0, &["REPLICAOF", "NO", "ONE"]);
    watched.primary.send_command(0, &["REPLICAOF", "127.0.0.1", &next]);
    let said = mark(&store, 2).await.unwrap_err().to_string();
    assert!(said.contains("may have become a replica"), "{said}");
    let said = mark(&store, 2).await.unwrap_err().to_string();
    assert!(said.contains("knows no primary `reviews`"), "{said}");
    sentinel.send_command(0, &["SENTINEL", "MONITOR", "reviews", "127.0.0.1", &next, "1"]);
    mark(&store, 2).await.unwrap();
    assert_eq!(watched.replica.send_command(0, &["EXISTS", "review:slot:{truing}:github:1:2"]), "1");
    assert_eq!(store.list_slots().await.unwrap().len(), 2);
}

#[tokio::test]
async fn sentinels_that_name_no_usable_primary_are_named_with_what_to_do() {
    let gone = free_port();
    let watch = format!(
        "sentinel monitor gone 127.0.0.1 {gone} 1\nsentinel monitor guarded 127.0.0.1 {} 1",
        SlotServer::shared_server().port
    );
    let (sentinel, guarded) =
        (SlotServer::start_sentinel(&watch), SlotServer::start_sentinel("requirepass word"));
    let (sentinel, guarded) = (&sentinel.port, &guarded.port);
    let (one, other, slots) = (free_port(), free_port(), SlotServer::shared_server().port);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let at = |port: u16, rest: &str| format!("valkey+sentinel://:hush@127.0.0.1:{port}/{rest}");
    for (url, parts) in [
        (
            format!("valkey+sentinel://:hush@127.0.0.1:{one},127.0.0.1:{other}/reviews/0"),
            vec![
                format!("Sentinel 127.0.0.1:{one}: the server cannot be reached"),
                format!("127.0.0.1:{other}: the server"),
            ],
        ),
        (at(silent, "reviews"), vec!["has not answered within 2 s".into(), silent.to_string()]),
        (at(*sentinel, "nobody"), vec![format!("127.0.0.1:{sentinel} knows no primary `nobody`")]),
        (
            at(*sentinel, "gone"),
            vec![format!("Valkey at 127.0.0.1:{gone}/0, the primary `gone`: the server cannot be reached")],
        ),
        (at(*sentinel, "guarded"), vec![format!("127.0.0.1:{slots}/0"), "password".into()]),
        (
            at(*sentinel, "gone/0?sentinel_password=hush"),
            vec!["does not accept the user or the password".into()],
        ),
        (at(slots, "reviews"), vec!["the server is not a Sentinel; check its port".into()]),
        (at(*guarded, "reviews"), vec!["?sentinel_password=PASSWORD".into(), guarded.to_string()]),
        (at(one, ""), vec!["the name of the primary is missing".into(), "valkey+sentinel://HOST".into()]),
        (at(one, "0#reviews"), vec!["the name of the primary is missing".into()]),
        (at(one, "reviews/x"), vec!["is not an address of Sentinels".into()]),
        (at(one, "reviews?sentinel_pass=hush"), vec!["there is no option `sentinel_pass`".into()]),
    ] {
        let said = connect_refused(&url).await;
        assert!(parts.iter().all(|part| said.contains(part)) && !said.contains("hush"), "{url}: {said}");
    }
}

//! Tests of a store server that is unreachable or does not respond for some time, while an ingress and a
//! worker run. During that time, the ingress refuses webhooks with a `Retry-After` header; no webhook is
//! lost, and no comment is posted twice. In a further test, the clocks of the processes differ by minutes.

use truing_core::port::SlotStore as _;
use truing_fakes::forge::WebhookTarget;

use super::fleet::{Fleet, FleetSize};
use super::*;
use crate::support::postgres;
use crate::support::proxy::{Proxy, Traffic};

const SIZE: FleetSize = FleetSize {
    pulls: 4,
    ingresses: 1,
    workers: 2,
    time: Duration::from_secs(0),
    quiet: Duration::from_secs(2),
};
/// Duration of an outage, which is longer than the lease of a run.
const AWAY: Duration = Duration::from_secs(8);

/// Creates the repository and the data of the pull requests, which are not opened yet.
async fn create_pulls(fleet: &Fleet) -> Vec<Pull> {
    let first = CommitBuilder::new("Begin").write("README.md", "# storm\n");
    fleet.forge().create_repository("acme", "r0", first).await.unwrap();
    let repo = fleet.forge().repo_handle("acme", "r0");
    (0..SIZE.pulls).map(|at| Pull::new(&repo, at)).collect()
}

/// Checks that no comment was posted twice.
async fn assert_posted_once(fleet: &Fleet, pulls: &[Pull]) {
    for pull in pulls {
        let view = pull.repo.pull(pull.number).await.unwrap();
        let said: Vec<&str> = truing_comments(&view).collect();
        let told: BTreeSet<&str> = said.iter().filter_map(|body| body.lines().last()).collect();
        assert_eq!(told.len(), said.len(), "{}: {said:#?}", pull.key);
    }
    assert_eq!(fleet.forge().violations(), Vec::<String>::new());
}

/// Sends a webhook to the ingress. Returns the status and the `Retry-After` header of the response.
async fn webhook_response(fleet: &Fleet, delivery: &FakeDelivery) -> (u16, Option<String>) {
    let url = format!("http://127.0.0.1:{}/webhooks/github", fleet.ingress_port());
    let hook = WebhookTarget { url, secret: SECRET.into(), is_automatic: false };
    let answer = delivery.post_attempt(fleet.client(), &hook, 1).await.unwrap();
    let after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
    (answer.status().as_u16(), after)
}

/// Waits until the process at this port is ready. A process whose store server is unreachable at its start
/// exits and is then restarted.
async fn wait_until_ready(fleet: &Fleet, port: u16) {
    let url = format!("http://127.0.0.1:{port}/readyz");
    let (deadline, mut look) = (Instant::now() + PATIENCE, tokio::time::interval(LOOK));
    loop {
        look.tick().await;
        if fleet.client().get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        assert!(Instant::now() < deadline, "the process at port {port} is never ready: {}", fleet.log());
    }
}

/// Returns the HTTP status of the ingress's readiness check.
async fn readiness_status(fleet: &Fleet) -> u16 {
    let url = format!("http://127.0.0.1:{}/readyz", fleet.ingress_port());
    fleet.client().get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_server_is_away_or_hangs_webhooks_are_refused_and_nothing_is_lost() {
    let fleet = Arc::new(Fleet::without_processes(SIZE).await);
    let (slots, records) =
        (Proxy::start(fleet.redis_port()).await, Proxy::start(postgres::Server::shared_server().port).await);
    fleet.write_config("away.toml", |text| {
        let direct = fleet.records_url();
        let database = direct.split_once('?').unwrap().0.rsplit_once('/').unwrap().1;
        let behind = format!("postgres://truing@127.0.0.1:{}/{database}?sslmode=disable", records.port);
        text.replace(&direct, &behind)
            .replace(&format!("127.0.0.1:{}", fleet.redis_port()), &format!("127.0.0.1:{}", slots.port))
    });
    let _processes = [
        fleet.start("away.toml", "ingress", fleet.ingress_port()),
        fleet.start("away.toml", "worker", fleet.worker_port(0)),
    ];
    for port in [fleet.ingress_port(), fleet.worker_port(0)] {
        wait_until_ready(&fleet, port).await;
    }
    let mut pulls = create_pulls(&fleet).await;
    fleet::push_round(&fleet, &mut pulls, (0, 0)).await;
    for (at, (proxy, traffic, what)) in [
        (&records, Traffic::Refused, "PostgreSQL is away"),
        (&slots, Traffic::Refused, "Valkey is away"),
        (&records, Traffic::Stalled, "PostgreSQL hangs"),
        (&slots, Traffic::Stalled, "Valkey hangs"),
    ]
    .into_iter()
    .enumerate()
    {
        // The outage begins while reviews of this push are in progress.
        fleet::push_round(&fleet, &mut pulls, (10 * at + 1, 0)).await;
        proxy.set(traffic);
        let began = Instant::now();
        for (number, pull) in pulls.iter().enumerate() {
            pull.repo.push(&pull.branch, push_commit(number, 10 * at + 2)).await.unwrap();
        }
        let deliveries = fleet.forge().take_deliveries();
        let mut asked = 0;
        while asked < 1 || began.elapsed() < AWAY {
            // The ingress must respond during the outage, even if the store server does not respond at all.
            let (status, after) = webhook_response(&fleet, &deliveries[asked % deliveries.len()]).await;
            assert_eq!((status, after.is_some()), (503, true), "{what}, after {:?}", began.elapsed());
            asked += 1;
        }
        assert_eq!(readiness_status(&fleet).await, 503, "{what}");
        proxy.set(Traffic::Forwarded);
        for delivery in &deliveries {
            fleet.deliver_until_accepted(delivery).await;
        }
        wait_until_reviewed(&pulls, || format!("{what}: {}", fleet.log())).await;
        let (deadline, mut look) = (Instant::now() + PATIENCE, tokio::time::interval(LOOK));
        while readiness_status(&fleet).await != 200 {
            assert!(Instant::now() < deadline, "after {what} it is never ready");
            look.tick().await;
        }
        println!("{what}: refused {asked} webhooks");
    }
    assert_posted_once(&fleet, &pulls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_whose_clocks_differ_by_minutes_lose_nothing_and_say_nothing_twice() {
    let fleet = Arc::new(Fleet::without_processes(SIZE).await);
    let library = faketime_library();
    let shifted = |by: &str| {
        let mut date = std::process::Command::new("date");
        let said = date.arg("+%s").env("LD_PRELOAD", &library).env("FAKETIME", by).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().parse::<i64>().unwrap()
    };
    assert!((590..=610).contains(&(shifted("+5m") - shifted("-5m"))), "faketime shifts nothing");
    let skewed = |role, port, by| {
        let variables =
            [("LD_PRELOAD", library.as_str()), ("FAKETIME", by), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        fleet.start_with("truing.toml", role, port, &variables)
    };
    let _processes = [
        skewed("ingress", fleet.ingress_port(), "-5m"),
        skewed("worker", fleet.worker_port(0), "+5m"),
        skewed("worker", fleet.worker_port(1), "-5s"),
    ];
    let mut pulls = create_pulls(&fleet).await;
    for number in 0..4 {
        fleet::push_round(&fleet, &mut pulls, (number, 0)).await;
        wait_until_reviewed(&pulls, || fleet.log()).await;
    }
    assert_posted_once(&fleet, &pulls).await;
    let store = fleet.store().await;
    assert_eq!(store.announce_worker(false).await.unwrap().all_names.len(), 2, "both workers are heard of");
    let Sums { reviews, .. } = assert_storm_results(&pulls, &store, SIZE.quiet).await;
    assert!(reviews >= pulls.len() * 2, "{reviews}");
}

/// Returns the path of the library `libfaketime`, which shifts the clock of a program.
fn faketime_library() -> String {
    let of_arch = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let found =
        of_arch.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.is_file());
    let found = found.expect("tests need faketime: run `cargo xtask test`");
    found.to_str().unwrap().to_owned()
}

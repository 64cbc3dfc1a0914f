//! Tests of the commands in docs/scaling.md, which move the store of a service to other servers and back. A
//! service with a SQLite file becomes an ingress and a worker with Redis and PostgreSQL, and then a service
//! with a SQLite file again. No review is lost, and no comment is posted twice.

use super::fleet::{Fleet, FleetSize};
use super::*;

const SIZE: FleetSize = FleetSize {
    pulls: 1,
    ingresses: 1,
    workers: 1,
    time: Duration::from_secs(0),
    quiet: Duration::from_secs(2),
};

/// Runs `truing` with a configuration file. Returns the standard output and the standard error as one text,
/// and the exit code.
fn run(fleet: &Fleet, config: &str, arguments: &[&str]) -> (String, i32) {
    let ran = fleet.command(config).stdout(Stdio::piped()).args(arguments).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    (String::from_utf8(said).unwrap(), ran.status.code().unwrap())
}

/// Pushes, delivers the webhooks, and waits for the review of the new head. Returns the texts of all comments
/// by Truing.
async fn push_and_review(fleet: &Arc<Fleet>, pull: &mut Pull, number: usize) -> Vec<String> {
    fleet::push_round(fleet, std::slice::from_mut(pull), (number, 0)).await;
    wait_until_reviewed(std::slice::from_ref(pull), || format!("round {number}: {}", fleet.log())).await;
    let view = pull.repo.pull(pull.number).await.unwrap();
    truing_comments(&view).map(str::to_owned).collect()
}

/// Sends SIGTERM to a process, as a supervisor does, and waits until the process has exited.
fn stop(mut server: Process) {
    let ended = Command::new("kill").args(["-TERM", &server.0.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert!(server.0.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_moves_to_many_processes_and_back() {
    let fleet = Arc::new(Fleet::without_processes(SIZE).await);
    let port = fleet.ingress_port();
    let of_file = |name: &str| {
        fleet.write_config(&format!("{name}.toml"), |text| {
            let url = format!("url = \"sqlite:state/{name}.db\"");
            let kept = text.lines().filter(|line| !line.starts_with("records ="));
            let kept = kept.map(|line| if line.starts_with("url =") { url.as_str() } else { line });
            kept.collect::<Vec<_>>().join("\n")
        });
    };
    of_file("one");
    of_file("back");
    let first = CommitBuilder::new("Begin").write("README.md", "# storm\n");
    fleet.forge().create_repository("acme", "r0", first).await.unwrap();
    let repo = fleet.forge().repo_handle("acme", "r0");
    let mut pull = Pull::new(&repo, 0);

    let server = fleet.start("one.toml", "all", port);
    let at_first = push_and_review(&fleet, &mut pull, 10).await;
    let (said, exit) = run(&fleet, "truing.toml", &["store", "migrate", "--from", "sqlite:state/one.db"]);
    assert_eq!((exit, said.contains("serves or copies")), (4, true), "{said}");
    stop(server);

    let servers = fleet.urls();
    let (said, exit) = run(&fleet, "truing.toml", &["store", "migrate", "--from", "sqlite:state/one.db"]);
    assert_eq!(exit, 0, "{said}");
    let (said, exit) = run(&fleet, "truing.toml", &["store", "check", "--from", "sqlite:state/one.db"]);
    assert_eq!(exit, 0, "{said}");
    let many = [
        fleet.start("truing.toml", "ingress", port),
        fleet.start("truing.toml", "worker", fleet.worker_port(0)),
    ];
    let then = push_and_review(&fleet, &mut pull, 20).await;
    // `store migrate` detects the running processes and refuses to run. It succeeds after they have exited.
    let (said, exit) = run(&fleet, "truing.toml", &["store", "migrate", "--to", "sqlite:state/back.db"]);
    assert_eq!((exit, said.contains("1 process of `truing serve`")), (4, true), "{said}");
    many.into_iter().for_each(stop);
    let deadline = Instant::now() + PATIENCE;
    let mut again = tokio::time::interval(LOOK * 25);
    loop {
        again.tick().await;
        let (said, exit) = run(&fleet, "truing.toml", &["store", "migrate", "--to", "sqlite:state/back.db"]);
        match exit {
            0 => break,
            4 => assert!(Instant::now() < deadline, "{said}"),
            _ => panic!("{said}"),
        }
    }
    let server = fleet.start("back.toml", "all", port);
    let at_last = push_and_review(&fleet, &mut pull, 30).await;
    stop(server);
    let (said, exit) = run(&fleet, "back.toml", &["store", "check", "--to", &servers]);
    assert_eq!((exit, said.contains("the first difference")), (1, true), "{said}");

    // No comment on the first commit exists twice, even though several processes have posted comments.
    assert!(at_first.len() >= 2 && at_first.len() <= then.len() && then.len() <= at_last.len());
    let findings: BTreeSet<&str> = at_last.iter().filter_map(|body| body.lines().last()).collect();
    assert_eq!(findings.len(), at_last.len(), "{at_last:#?}");
    assert_eq!(fleet.forge().violations(), Vec::<String>::new());
}

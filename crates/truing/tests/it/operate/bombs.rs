//! Tests of a pull request with several files that are expensive to parse, and one file with a finding.
//!
//! With the other tests, there are only a few such files; `cargo xtask soak --only bombs` uses 60.

use std::time::{Duration, Instant};

use truing_fakes::forge::NewPull;
use truing_fakes::repo::CommitBuilder;

use crate::operate::Site;
use crate::operate::large::{descendants, peak_memory};

/// Environment variable with the number of expensive files; the soak test uses 60.
const HOW_MANY: &str = "TRUING_BOMBS";
const FEW: usize = 4;
/// Maximum time of the test with 60 expensive files.
const PATIENCE: Duration = Duration::from_secs(600);
/// Maximum number of files that a summary names.
const MOST_NAMED: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn bombs_in_a_pull_request_are_named_and_what_stands_beside_them_is_found() {
    let count = std::env::var(HOW_MANY).map_or(FEW, |text| text.parse().unwrap());
    let site = Site::new().await;
    let kinds = [
        ("java", "List<".repeat(30_000)),
        ("java", "a<b<".repeat(4_000)),
        ("tsx", format!("class A {{ void f(){{ {}", "a= >".repeat(2_400))),
        ("js", "lambda a:".repeat(4_000)),
    ];
    // The file with the conflict markers is larger than any other file, so it is parsed last.
    let marker = format!("{}<<<<<<< HEAD\none\n=======\ntwo\n>>>>>>> b\n", "line = 1\n".repeat(20_000));
    let mut commit = CommitBuilder::new("bombs").write("marker.py", marker);
    for (at, (ending, text)) in kinds.iter().cycle().take(count).enumerate() {
        commit = commit.write(format!("bombs/{at}.{ending}"), text.clone());
    }
    site.repo.push("bombs", commit).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("bombs")).await.unwrap();
    let server = site.serve();
    let began = Instant::now();
    site.deliver().await;

    let (process, mut largest) = (server.child.id(), 0);
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let view = loop {
        look.tick().await;
        largest = largest.max(descendants(process).into_iter().map(peak_memory).max().unwrap_or(0));
        let view = site.repo.pull(number).await.unwrap();
        if view.statuses.contains_key(&view.head) {
            break view;
        }
        assert!(began.elapsed() < PATIENCE, "it is not reviewed in time: {view:#?}");
    };
    let seconds = began.elapsed().as_secs_f64();
    site.wait_until_slots("nothing is left to do", <[_]>::is_empty).await;
    let inline: Vec<_> = view.inline_comments().collect();
    assert!(
        inline.len() == 1 && inline[0].place.as_ref().is_some_and(|at| at.path == "marker.py"),
        "{inline:#?}"
    );
    let [summary] = view.conversation_comments().collect::<Vec<_>>()[..] else { panic!("{view:#?}") };
    assert!(summary.body.contains("review incomplete"), "{}", summary.body);
    let named = summary.body.lines().filter(|line| line.ends_with(": too_complex")).count();
    assert_eq!(named, count.min(MOST_NAMED), "{}", summary.body);

    server.signal("-TERM");
    let (_, log) = server.wait_for_end();
    assert!(!log.contains("attempt"), "no attempt is lost: {log}");
    println!(
        "bombs: {count} beside a marker in {seconds:.1} s; the largest child {} MB",
        largest / 1_000_000
    );
}

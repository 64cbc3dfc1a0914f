//! Tests how much memory and how many calls to the forge the server needs for a very large pull request.
//!
//! With the other tests, the pull request is smaller; `cargo xtask soak --only large` uses the full size and
//! prints both numbers.

use std::fs;
use std::time::{Duration, Instant};

use truing_fakes::forge::NewPull;
use truing_fakes::repo::CommitBuilder;
use truing_forge::capability::GITHUB;

use crate::operate::Site;

/// Environment variable with the number of files and lines; the full size is `3000,100000`.
const SIZE: &str = "TRUING_LARGE";
const SMALL: (usize, usize) = (150, 5_000);
/// Maximum time of the test.
const PATIENCE: Duration = Duration::from_secs(600);
/// Maximum memory of the server in megabytes (10^6 bytes).
const MOST_MEGABYTES: u64 = 200;
/// Distance between two files with a finding.
const FOUND_IN: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_very_large_pull_request_takes_little_memory_and_few_calls() {
    let (files, lines) = std::env::var(SIZE).map_or(SMALL, |text| {
        let (files, lines) = text.split_once(',').unwrap();
        (files.parse().unwrap(), lines.parse().unwrap())
    });
    let site = Site::new().await;
    let mut commit = CommitBuilder::new("A large change");
    for file in 0..files {
        let mut text = String::new();
        for line in 0..lines / files {
            text.push_str(&format!("value_{file}_{line} = compute({line}, \"of the file {file}\")\n"));
        }
        if file % FOUND_IN == 0 {
            text.push_str(&format!("breakpoint()  # {file}\n"));
        }
        commit = commit.write(format!("src/part_{}/f{file}.py", file % 97), text);
    }
    site.repo.push("large", commit).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("large")).await.unwrap();
    let server = site.serve();
    let began = Instant::now();
    site.deliver().await;

    let process = server.child.id();
    let (mut own, mut children) = (0, 0);
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let view = loop {
        look.tick().await;
        own = own.max(peak_memory(process));
        children = children.max(descendants(process).into_iter().map(peak_memory).max().unwrap_or(0));
        let done = site
            .forge
            .call_counts()
            .keys()
            .any(|route| route.starts_with("POST") && route.contains("/statuses/"));
        if done {
            break site.repo.pull(number).await.unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "it is not reviewed in time");
    };
    let seconds = began.elapsed().as_secs_f64();
    site.wait_until_slots("nothing is left to do", <[_]>::is_empty).await;
    own = own.max(peak_memory(process));
    let found = files.div_ceil(FOUND_IN);
    let inline = view.inline_comments().count();
    assert_eq!(
        (inline, view.conversation_comments().count()),
        (found.min(30), 1),
        "all are shown, or counted"
    );
    assert!(view.conversation_comments().any(|summary| summary.body.contains(&format!("{found} findings"))));

    // The calls are two reads of the pull request, one of the account, one of the default branch, and three
    // lists. Each batch of comments takes a call that posts it and a call that reads it back; the summary and
    // the status follow. The limit allows all reads twice, because the head might change.
    let calls = site.forge.call_counts();
    let api = calls.iter().filter(|(route, _)| !route.contains("/git-") && !route.contains("/info/"));
    let made: u64 = api.map(|(_, count)| count).sum();
    let allowed = 2 * 8 + 2 * inline.div_ceil(GITHUB.max_comments_per_call) as u64 + 1;
    let (own, children) = (own / 1_000_000, children / 1_000_000);
    println!(
        "large: {files} files, {lines} lines, {found} findings in {seconds:.1} s; server {own} MB, its \
         largest child {children} MB; {made} calls, {allowed} allowed"
    );
    assert!(made <= allowed, "{calls:#?}");
    assert!(own < MOST_MEGABYTES, "{own} MB");
}

/// Returns the peak resident memory of a process in bytes, or 0 if the process has exited.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Returns the ids of all processes that a process has started, directly or indirectly.
pub(crate) fn descendants(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let texts = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let own: Vec<u32> = texts
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    own.iter().flat_map(|child| [vec![*child], descendants(*child)].concat()).collect()
}

//! The payload examples that GitHub publishes: each is understood or ignored, none is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;
use serde_json::Value;
use truing_core::port::CommentKind;
use truing_forge::webhook::{Change, Hook, parse_github};

#[derive(Deserialize)]
struct Event {
    name: String,
    examples: Vec<Value>,
}

fn examples() -> Vec<Event> {
    let packed = include_bytes!("data/webhooks-examples.json.gz");
    let mut json = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// What each example is to us, and how often.
fn understood() -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for event in examples() {
        for example in &event.examples {
            let body = example.to_string();
            let hook = parse_github(&event.name, "github", body.as_bytes())
                .unwrap_or_else(|bad| panic!("{} {}: {bad}", event.name, example["action"]));
            let told = match hook {
                Hook::Pull { pr, repo, name, change, revision, .. } => {
                    assert_eq!(Some(pr.number), example["number"].as_u64());
                    assert_eq!(pr.repository, example["repository"]["id"].to_string());
                    assert_eq!(name, format!("{repo}#{}", pr.number));
                    let head = &example["pull_request"]["head"]["sha"];
                    assert_eq!(revision.unwrap().head.as_str(), head);
                    format!("{change:?}")
                }
                Hook::Comment(comment) => {
                    assert_eq!(comment.kind, CommentKind::Diff, "all others are on issues");
                    assert_eq!(Some(comment.pr.number), example["pull_request"]["number"].as_u64());
                    "comment".to_owned()
                }
                Hook::Ping => "ping".to_owned(),
                Hook::Ignored { what } => {
                    assert!(what.starts_with(&event.name), "{what}");
                    "ignored".to_owned()
                }
            };
            *all.entry(told).or_insert(0) += 1;
        }
    }
    all
}

#[test]
fn every_published_example_is_understood_or_ignored() {
    let changes = [
        (Change::Opened, 4),
        (Change::Pushed, 1),
        (Change::Reopened, 2),
        (Change::Ready, 3),
        (Change::Drafted, 3),
        (Change::Closed, 2),
    ];
    let mut expected: BTreeMap<String, usize> =
        changes.into_iter().map(|(change, times)| (format!("{change:?}"), times)).collect();
    expected.extend([("ping".to_owned(), 4), ("comment".to_owned(), 3), ("ignored".to_owned(), 307)]);
    assert_eq!(understood(), expected);
}

#[test]
fn a_published_comment_is_taken_over_where_it_is_on_a_pull_request() {
    let mut taken = 0;
    for event in examples().iter_mut().filter(|event| event.name == "issue_comment") {
        for example in event.examples.iter_mut().filter(|example| example["action"] == "created") {
            example["issue"]["pull_request"] = serde_json::json!({ "url": "https://api.github.com/" });
            let hook = parse_github(&event.name, "github", example.to_string().as_bytes()).unwrap();
            let Hook::Comment(comment) = hook else { panic!("{hook:?}") };
            assert_eq!(Some(comment.pr.number), example["issue"]["number"].as_u64());
            assert_eq!(comment.repo, example["repository"]["full_name"]);
            assert_eq!(Some(comment.id), example["comment"]["id"].as_u64());
            assert_eq!(comment.login, example["comment"]["user"]["login"]);
            assert_eq!(comment.body, example["comment"]["body"]);
            taken += 1;
        }
    }
    assert_eq!(taken, 5);
}

//! Tests with the payload examples that GitHub publishes. Each example is parsed or ignored, and none is
//! rejected.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;
use serde_json::Value;
use truing_core::port::{CommentKind, ForgeKind};
use truing_forge::delivery::parse_delivery;
use truing_forge::webhook::{RerunTarget, WebhookEvent};

#[derive(Deserialize)]
struct Event {
    name: String,
    examples: Vec<Value>,
}

fn examples() -> Vec<Event> {
    let packed = include_bytes!("../data/webhooks-examples.json.gz");
    let mut json = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Returns, for each kind of event, the number of examples that are parsed as this kind.
fn understood() -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for event in examples() {
        for example in &event.examples {
            let body = example.to_string();
            let hook = parse_delivery(ForgeKind::Github, &event.name, "github", body.as_bytes())
                .unwrap_or_else(|bad| panic!("{} {}: {bad}", event.name, example["action"]));
            let told = match hook {
                WebhookEvent::Pull { pr, repo, name, head, .. } => {
                    assert_eq!(Some(pr.number), example["number"].as_u64());
                    assert_eq!(pr.repository, example["repository"]["id"].to_string());
                    assert_eq!(name, format!("{repo}#{}", pr.number));
                    assert_eq!(head.unwrap().as_str(), example["pull_request"]["head"]["sha"]);
                    example["action"].as_str().unwrap().to_owned()
                }
                WebhookEvent::Comment(comment) => {
                    assert_eq!(comment.kind, CommentKind::Diff, "all others are on issues");
                    assert_eq!(Some(comment.pr.number), example["pull_request"]["number"].as_u64());
                    "comment".to_owned()
                }
                WebhookEvent::Rerun(_) => {
                    panic!("no check of ours is published, and a bot asked for the suites")
                }
                WebhookEvent::Label(label) => {
                    assert_eq!(Some(label.pr.number), example["number"].as_u64());
                    assert_eq!(label.name, example["label"]["name"]);
                    "label".to_owned()
                }
                WebhookEvent::Ping => "ping".to_owned(),
                WebhookEvent::Ignored { event_name } => {
                    assert!(event_name.starts_with(&event.name), "{event_name}");
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
    let expected = [
        ("opened", 4),
        ("synchronize", 1),
        ("reopened", 2),
        ("ready_for_review", 3),
        ("converted_to_draft", 3),
        ("closed", 2),
        ("ping", 4),
        ("comment", 3),
        ("label", 2),
        ("ignored", 305),
    ];
    let expected: BTreeMap<String, usize> =
        expected.into_iter().map(|(told, times)| (told.to_owned(), times)).collect();
    assert_eq!(understood(), expected);
}

#[test]
fn a_published_comment_is_taken_over_where_it_is_on_a_pull_request() {
    let mut taken = 0;
    for event in examples().iter_mut().filter(|event| event.name == "issue_comment") {
        for example in event.examples.iter_mut().filter(|example| example["action"] == "created") {
            example["issue"]["pull_request"] = serde_json::json!({ "url": "https://api.github.com/" });
            let hook =
                parse_delivery(ForgeKind::Github, &event.name, "github", example.to_string().as_bytes())
                    .unwrap();
            let WebhookEvent::Comment(comment) = hook else { panic!("{hook:?}") };
            assert_eq!(Some(comment.pr.number), example["issue"]["number"].as_u64());
            assert_eq!(comment.repo, example["repository"]["full_name"]);
            assert_eq!(Some(comment.id), example["comment"]["id"].as_u64());
            assert_eq!(comment.body, example["comment"]["body"]);
            taken += 1;
        }
    }
    assert_eq!(taken, 5);
}

#[test]
fn a_published_button_of_a_check_is_understood_where_the_check_is_ours() {
    let mut pressed = Vec::new();
    for event in examples().iter_mut().filter(|event| event.name == "check_run") {
        for example in &mut event.examples {
            let repository = example["repository"]["id"].clone();
            example["check_run"]["name"] = "truing/review".into();
            example["check_run"]["external_id"] = format!("pr/github/{repository}/7#00ff").into();
            let hook =
                parse_delivery(ForgeKind::Github, &event.name, "github", example.to_string().as_bytes())
                    .unwrap();
            let WebhookEvent::Rerun(rerun) = hook else { continue };
            assert_eq!(rerun.repository_id, repository.to_string());
            assert_eq!(Some(rerun.app_id), example["check_run"]["app"]["id"].as_u64());
            assert_eq!(rerun.login, example["sender"]["login"]);
            let RerunTarget::Pull(pr) = rerun.target else { panic!("it names its pull request") };
            assert_eq!(pr.number, 7);
            pressed.push(example["action"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(pressed, ["requested_action", "rerequested", "rerequested"]);
}

#[test]
fn a_published_suite_is_understood_where_a_person_asks_for_it() {
    let mut pressed = 0;
    for event in examples().iter_mut().filter(|event| event.name == "check_suite") {
        for example in &mut event.examples {
            example["sender"]["type"] = "User".into();
            let hook =
                parse_delivery(ForgeKind::Github, &event.name, "github", example.to_string().as_bytes())
                    .unwrap();
            let WebhookEvent::Rerun(rerun) = hook else { continue };
            assert_eq!(rerun.repository_id, example["repository"]["id"].to_string());
            assert_eq!(Some(rerun.app_id), example["check_suite"]["app"]["id"].as_u64());
            assert_eq!(rerun.account.as_str(), example["sender"]["id"].to_string());
            let RerunTarget::Head(head) = rerun.target else { panic!("it names no pull request of ours") };
            assert_eq!(head.as_str(), example["check_suite"]["head_sha"]);
            pressed += 1;
        }
    }
    assert_eq!(pressed, 2);
}

//! The policy on lines that somebody wrote who had not seen the grammars: none of the hostile ones may be run by anybody,
//! and nearly all of the ordinary ones by those who fix code. `-- --nocapture` shows each that is not so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests may fail them, and shows figures"
)]

use truing_core::policy::{Action, Policy, ProfileName};

const HOSTILE: &str = include_str!("../data/policy/hostile.txt");
const ORDINARY: &str = include_str!("../data/policy/ordinary.txt");

/// The part of the ordinary lines that have to be allowed, in percent.
const LEAST_ALLOWED: usize = 95;

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

fn allows(policy: &Policy, words: &[String]) -> bool {
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    policy.judge(Action::Run(&argv)).is_allowed()
}

#[test]
fn no_hostile_line_is_allowed_to_anybody() {
    let policies = ProfileName::ALL.map(|name| Policy::shipped(name).unwrap());
    let (mut count, mut allowed) = (0, Vec::new());
    for line in lines(HOSTILE) {
        let (class, json) = line.split_once(' ').unwrap();
        let words = words(json);
        count += 1;
        if policies.iter().any(|policy| allows(policy, &words)) {
            allowed.push(format!("{class}: {}", words.join(" ")));
        }
    }
    println!("{count} hostile lines, {} allowed", allowed.len());
    assert!(count >= 1000 && allowed.is_empty(), "{}", allowed.join("\n"));
}

#[test]
fn nearly_all_ordinary_lines_are_allowed_to_those_who_fix_code() {
    let policies = [ProfileName::Fixer, ProfileName::Sync].map(|name| Policy::shipped(name).unwrap());
    let all: Vec<Vec<String>> = lines(ORDINARY).map(words).collect();
    let denied: Vec<String> = all
        .iter()
        .filter(|words| !policies.iter().any(|policy| allows(policy, words)))
        .map(|words| words.join(" "))
        .collect();
    println!("{} ordinary lines, denied: {}\n{}", all.len(), denied.len(), denied.join("\n"));
    assert!(
        all.len() >= 300 && denied.len() * 100 <= all.len() * (100 - LEAST_ALLOWED),
        "{}",
        denied.join("\n")
    );
}

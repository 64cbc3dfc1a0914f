//! Tests of requirements that `truing sync decide` does not wholly understand: it asks, and fetches nothing.

use serde_json::{Value, json};

use super::package::{RELEASES, set_releases};
use super::{Site, sha1_of_pinned};
use crate::support::home::Home;

/// Runs `sync decide kit` with package indexes that nobody can reach.
fn decide_offline(files: &[(&str, &str)]) -> (Value, Option<i32>, String) {
    let home = Home::empty();
    for (name, text) in files {
        home.write(name, text);
    }
    let mut command = home.command(&["sync", "decide", "kit", "--format", "json"]);
    let nowhere = "http://127.0.0.1:1/";
    let variables = ["PIP_INDEX_URL", "npm_config_registry"].map(|name| (name, nowhere));
    let crates = [
        ("CARGO_SOURCE_CRATES_IO_REPLACE_WITH", "none"),
        ("CARGO_SOURCE_NONE_REGISTRY", "sparse+http://127.0.0.1:1/"),
    ];
    let output = command.envs(variables).envs(crates).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code(), errors)
}

#[test]
fn asks_about_foreign_sources_without_a_request() {
    let npm = |value: &str| format!("{{\"dependencies\": {{\"kit\": \"{value}\"}}}}");
    let cargo = |value: &str| format!("[dependencies]\nkit = {value}\n");
    let python = |settings: &str| format!("[project]\ndependencies = [\"kit>=1,<2\"]\n{settings}\n");
    for (file, text, words) in [
        (
            "package.json",
            npm("npm:real-kit@>=1.4.0 <1.5.0"),
            &["npm:real-kit@>=1.4.0 <1.5.0", "`real-kit`"][..],
        ),
        ("package.json", npm("github:owner/kit >=1"), &["github:owner/kit >=1"]),
        ("package.json", npm("workspace:^1.0.0"), &["workspace:^1.0.0"]),
        ("package.json", npm("latest || ^1"), &["`latest`"]),
        ("Cargo.toml", cargo("{ version = \"1.4\", registry = \"corp\" }"), &["registry"]),
        ("Cargo.toml", cargo("{ git = \"https://host/kit\" }"), &["git"]),
        ("pyproject.toml", python("[tool.uv.sources]\nkit = { path = \"../kit\" }"), &["path"]),
        (
            "pyproject.toml",
            python("[[tool.uv.index]]\nname = \"corp\"\nurl = \"https://user:secret@corp.example/simple\""),
            &["corp.example/simple", "tool.uv.index"],
        ),
    ] {
        let (answer, exit, errors) = decide_offline(&[(file, &text)]);
        assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{text}: {answer} {errors}");
        assert_eq!(
            (&answer["from"], &answer["to"], &answer["spec_after"]),
            (&json!(null), &json!(null), &json!(null))
        );
        let reason = answer["reason"].as_str().unwrap();
        assert!(words.iter().all(|word| reason.contains(word)) && !reason.contains("secret"), "{reason}");
    }
    // An understood requirement leads to a request.
    let (_, exit, errors) = decide_offline(&[("package.json", &npm("^1.0.0"))]);
    assert!(exit == Some(3) && errors.contains("127.0.0.1:1"), "{errors}");
}

#[test]
fn names_the_only_releases_in_range_if_they_are_unstable() {
    let site = Site::new();
    set_releases(&site.registry, RELEASES.iter().chain([&("2.0.0rc1", "def pinned(a):\n    return a\n")]));
    site.set_requirement("demo == 2.0.0rc1");
    let output = site.decide(&["--to", "1.0.4"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in
        ["contains only 2.0.0rc1, which is a pre-release", "--from 2.0.0rc1", "step back: require 1.0.4"]
    {
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn replaces_digests_of_a_requirements_file() {
    let site = Site::new();
    site.write(
        "truing.toml",
        "[sync.demo]\nconstraint.file = \"requirements.txt\"\nmirror = [\"demo/=ours/\"]\n",
    );
    site.write("requirements.txt", "demo==1.0.0 \\\n    --hash=sha256:aa\n");
    site.write("upstream.json", &json!({ "demo.m:pinned": [sha1_of_pinned()] }).to_string());
    let (answer, exit) = site.run_json(&["--to", "1.0.1"]);
    assert_eq!((&answer["decision"], exit), (&json!("relax"), Some(0)), "{answer}");
    assert_eq!(answer["spec_after"], "==1.0.1");
}

#[test]
fn names_the_lock_file_that_no_command_updates() {
    let site = Site::new();
    site.write("uv.lock", "[[package]]\nname = \"demo\"\n");
    let (answer, _) = site.run_json(&["--to", "1.0.1"]);
    assert_eq!(answer["decision"], "relax");
    assert!(answer["reason"].as_str().unwrap().contains("uv.lock must change with the range"), "{answer}");
}

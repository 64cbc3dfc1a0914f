//! Tests that the build folders of linters are kept for later reviews.

use std::process::{Child, Stdio};

use super::*;

/// Fake Clippy that counts the runs that have used its build folder. Its message contains the number of this
/// run, the working folder and the value of `$TOLD`. If the tree contains a file `wait`, it waits until the
/// file `go` exists.
const CLIPPY: &str = r#"#!/bin/sh
[ "$2" = --version ] && { echo "clippy VERSION"; exit 0; }
mkdir -p "$CARGO_TARGET_DIR"
echo run >> "$CARGO_TARGET_DIR/runs"
if [ -e wait ]; then
    while [ ! -e go ]; do sleep 0.05; done
fi
TRIES
printf '{"reason":"compiler-message","message":{"message":"run %s in %s%s","level":"warning","code":null,"spans":[{' \
    "$(wc -l < "$CARGO_TARGET_DIR/runs")" "$PWD" "$TOLD"
printf '"file_name":"src/lib.rs","line_start":2,"line_end":2,"column_start":1,"column_end":2,"is_primary":true,'
printf '"suggested_replacement":null,"suggestion_applicability":null}],"children":[]}}\n'
printf '{"reason":"build-finished","success":true}\n'
"#;

fn install_clippy(place: &Place, version: &str, tries: &str) {
    install(place.home(), "cargo", &CLIPPY.replace("VERSION", version).replace("TRIES", tries));
}

/// Creates a crate whose second line is an uncommitted addition.
fn create_two_line_crate() -> Place {
    let place = Place::new();
    place.write("Cargo.toml", "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    place.write("src/lib.rs", "//! Words.\n");
    place.commit("second");
    place.write("src/lib.rs", "//! Words.\nconst ONE: u8 = 1;\n");
    install_clippy(&place, "1", "");
    place
}

/// Runs a review and returns the message of Clippy's finding.
fn clippy_message(place: &Place, arguments: &[&str]) -> String {
    let told = review_report(place, arguments);
    assert_eq!(told["outcome"]["kind"], "reviewed", "{told:#}");
    let titles = field_of_findings(&told, "title");
    assert_eq!(titles.len(), 1, "{told:#}");
    titles[0].as_str().unwrap().to_owned()
}

/// Returns the kept build folders.
fn build_folders(place: &Place) -> Vec<std::path::PathBuf> {
    let builds = place.store().parent().unwrap().join("tools/builds");
    std::fs::read_dir(builds).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_run_finds_what_the_one_before_has_built() {
    let place = create_two_line_crate();
    assert!(clippy_message(&place, &[]).starts_with("run 1 in "));
    place.write("src/lib.rs", "//! Words.\nconst TWO: u8 = 2;\n");
    assert!(clippy_message(&place, &[]).starts_with("run 2 in "));
    assert_eq!(build_folders(&place).len(), 1);
    install_clippy(&place, "2", "");
    assert!(clippy_message(&place, &[]).starts_with("run 1 in "), "another version");
    assert_eq!(build_folders(&place).len(), 2);

    let other = create_two_line_crate();
    assert!(clippy_message(&other, &[]).starts_with("run 1 in "), "another repository");
}

#[test]
fn copies_of_commits_are_in_one_place_and_have_a_folder_of_their_own() {
    let place = create_two_line_crate();
    place.commit("third");
    let head = ["--base", "HEAD~1", "--head", "HEAD"];
    assert_eq!(clippy_message(&place, &head), "run 1 in /work");
    assert_eq!(clippy_message(&place, &head), "run 2 in /work");
    // A review of the working tree uses another build folder than a review of a commit.
    let own = clippy_message(&place, &["--base", "HEAD~1"]);
    assert!(own.starts_with("run 1 in ") && !own.ends_with("/work"), "{own}");
}

#[test]
fn nothing_that_is_built_is_kept_without_records() {
    let place = create_two_line_crate();
    for _ in 0..2 {
        assert!(clippy_message(&place, &["--no-record"]).starts_with("run 1 in "));
    }
    assert!(build_folders(&place).is_empty());
}

fn start_review(place: &Place) -> Child {
    let mut command = place.command(&["review", "--quiet", "--tools", "--format", "json"]);
    command.env("PATH", search_path_with_own(place)).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn two_runs_at_once_both_end_and_one_of_them_builds_everything() {
    let place = create_two_line_crate();
    place.write("wait", "");
    let first = start_review(&place);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let is_there = || build_folders(&place).iter().any(|it| it.join("built/CARGO_TARGET_DIR/runs").exists());
    while !is_there() {
        assert!(std::time::Instant::now() < until, "it never ran");
        std::thread::yield_now();
    }
    let second = start_review(&place);
    place.write("go", "");
    let titles = [first, second].map(|run| {
        let told: Value = serde_json::from_slice(&run.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(told["outcome"]["kind"], "reviewed", "{told:#}");
        field_of_findings(&told, "title")[0].as_str().unwrap().to_owned()
    });
    assert!(titles[0].starts_with("run 1 in "), "{titles:?}");
    // The second run uses the first run's build folder only if the first run has already ended, so both
    // numbers are valid.
    assert!(titles[1].starts_with("run 1 in ") || titles[1].starts_with("run 2 in "), "{titles:?}");
}

#[test]
fn what_a_run_leaves_leads_nowhere() {
    let place = create_two_line_crate();
    let secret = place.home().join("secret");
    std::fs::write(&secret, "canary").unwrap();
    let folder = place.store().parent().unwrap().join("tools");
    let tries = format!(
        "ln -sf '{secret}' \"$CARGO_TARGET_DIR/link\"\n\
         cat \"$CARGO_TARGET_DIR/link\" && TOLD=\"$TOLD read\"\n\
         echo > \"$CARGO_TARGET_DIR/link\"\n\
         [ -e '{folder}' ] && TOLD=\"$TOLD saw\"\n\
         touch \"$CARGO_TARGET_DIR/../../beside\" && TOLD=\"$TOLD beside\"\n\
         mkdir -p \"$CARGO_TARGET_DIR/closed\"; chmod 0 \"$CARGO_TARGET_DIR/closed\"\n",
        secret = secret.display(),
        folder = folder.display(),
    );
    install_clippy(&place, "1", &tries);
    for run in ["run 1 in ", "run 2 in "] {
        let said = clippy_message(&place, &[]);
        let repository = place.repo().canonicalize().unwrap();
        assert_eq!(said, format!("{run}{}", repository.display()), "it could do more");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "canary");
    let all = build_folders(&place);
    let names = std::fs::read_dir(&all[0]).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!((all.len(), names), (1, vec!["built".into(), "bytes".into()]));
}

//! Tests of findings that a person has dismissed. Every command leaves them out until the code of the finding
//! changes.

use serde_json::{Value, json};

use crate::converge::place::{Place, Ran};
use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, Scene, WRONG, audit_answer, clean_audit_answer, clean_fix_answer, edit, finding_json,
    fix_report_answer, planted_bug_answer,
};

fn dismiss(scene: &Scene, arguments: &[&str]) -> Ran {
    Ran::from(scene.other_command("dismiss", arguments).output().unwrap())
}

fn run_audit(scene: &Scene) -> (i32, Value) {
    let ran = scene.audit(&["--format", "json"]);
    (ran.exit, ran.json())
}

#[test]
fn what_is_dismissed_is_left_out_by_audits_and_runs_until_its_code_changes() {
    let scene = Scene::new([planted_bug_answer()]);
    let unknown = dismiss(&scene, &[BUG_ID, "--reason", "the callers rely on it"]);
    assert_eq!(unknown.exit, 2, "nothing was found yet: {unknown:?}");
    let (exit, told) = run_audit(&scene);
    assert_eq!((exit, &told["findings"][0]["id"]), (1, &json!(BUG_ID)), "{told}");

    let wordless = dismiss(&scene, &[BUG_ID]);
    assert_eq!(wordless.exit, 2, "{wordless:?}");
    let ran = dismiss(&scene, &["1:26045536", "--reason", "the callers rely on it", "."]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(ran.out, "dismissed: 26045536a5-1 total.py:3 The last element is left out\n");

    // The auditor gets the list of dismissed findings as data, so that it does not report them again. If the
    // auditor repeats a dismissed finding, the finding is not counted.
    let last = || scene.model.request_log().last().unwrap().body.to_string();
    assert!(!last().contains("What people have dismissed"), "nothing is, yet");
    scene.set_answers([planted_bug_answer()]);
    let (exit, told) = run_audit(&scene);
    let told_of = "total.py:3: P1 The last element is left out; dismissed: the callers rely on it";
    assert!(last().contains("What people have dismissed") && last().contains(told_of), "{}", last());
    assert_eq!((exit, &told["findings"], &told["counts"]["P1"]), (0, &json!([]), &json!(0)), "{told}");
    assert_eq!(told["dismissed"][0]["id"], json!(BUG_ID), "{told}");
    assert!(told["dismissed"][0]["why"].as_str().unwrap().starts_with("the callers rely on it ("), "{told}");
    scene.set_answers([planted_bug_answer()]);
    let ran = scene.audit(&[]);
    let first = "0 P0 / 0 P1 / 0 P2 — 10 categories cleared, except 1 dismissed finding (G)\n";
    assert!(ran.out.starts_with(first), "{}", ran.out);
    scene.set_answers([planted_bug_answer()]);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"], &told["commits"]), (0, &json!("clean"), &json!([])), "{told}");
    assert_eq!((&told["remaining"], &told["dismissed"][0]["id"]), (&json!([]), &json!(BUG_ID)));

    // The dismissal does not cover other code on that line.
    let worse = "    for i in range(len(xs) - 2):";
    scene.place.write("total.py", BUG.replace(WRONG.trim_end(), worse));
    scene.place.commit("leave out two");
    let still = finding_json(("total.py", 3), worse, ("P1", "G"), "The last element is left out");
    scene.set_answers([audit_answer(&[still], "G")]);
    let (exit, told) = run_audit(&scene);
    assert!(!last().contains("What people have dismissed"), "{}", last());
    assert_eq!((exit, &told["counts"]["P1"], &told["dismissed"]), (1, &json!(1), &json!([])), "{told}");
}

#[test]
fn a_dismissal_that_is_taken_back_is_none() {
    let scene = Scene::new([planted_bug_answer()]);
    run_audit(&scene);
    assert_eq!(dismiss(&scene, &["1:2604", "--undo"]).exit, 2, "it is not dismissed");
    assert_eq!(dismiss(&scene, &["1:2604", "--reason", "no"]).exit, 0);
    let ran = dismiss(&scene, &["1:2604", "--undo", "--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["open"][0]["id"]), (0, &json!(BUG_ID)), "{ran:?}");
    scene.set_answers([planted_bug_answer()]);
    let (exit, told) = run_audit(&scene);
    assert_eq!((exit, &told["counts"]["P1"], &told["dismissed"]), (1, &json!(1), &json!([])), "{told}");
}

#[test]
fn what_is_dismissed_after_an_audit_is_not_fixed_by_the_run_that_goes_on_from_it() {
    let scene = Scene::new([planted_bug_answer()]);
    run_audit(&scene);
    assert_eq!(dismiss(&scene, &[BUG_ID, "--reason", "the callers rely on it"]).exit, 0);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["commits"]), (0, &json!("converged"), &json!([])), "{told}");
    assert_eq!((scene.request_count(), &told["dismissed"][0]["id"]), (1, &json!(BUG_ID)), "{told}");
}

#[test]
fn what_was_clean_by_a_dismissal_is_audited_anew_when_that_is_taken_back() {
    for after_an_audit in [true, false] {
        let scene = Scene::new([planted_bug_answer()]);
        run_audit(&scene);
        assert_eq!(dismiss(&scene, &[BUG_ID, "--reason", "the callers rely on it"]).exit, 0);
        scene.set_answers([planted_bug_answer()]);
        if after_an_audit {
            assert_eq!(run_audit(&scene).0, 0);
        } else {
            assert_eq!(scene.json(&[]).1, 0);
        }
        assert_eq!(dismiss(&scene, &[BUG_ID, "--undo"]).exit, 0);
        scene.set_answers([
            planted_bug_answer(),
            edit("total.py", WRONG, RIGHT),
            fix_report_answer(&[(BUG_ID, None)]),
            clean_fix_answer(),
            clean_audit_answer(),
        ]);
        let before = scene.request_count();
        let (told, exit) = scene.json(&[]);
        let asked = scene.request_count() - before;
        assert_eq!(
            (exit, &told["exit"], told["commits"].as_array().unwrap().len()),
            (0, &json!("converged"), 1),
            "{told}"
        );
        assert_eq!((asked, &told["dismissed"]), (5, &json!([])), "{told}");
    }
}

#[test]
fn a_finding_of_a_review_is_dismissed_for_reviews_too() {
    let scene = Scene::new([clean_audit_answer()]);
    scene.place.write("merge.py", "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> topic\n");
    scene.place.commit("merge");
    let shown =
        |format: &str| Ran::from(scene.other_command("review", &["--format", format]).output().unwrap()).out;
    assert!(!shown("text").contains("dismissed"), "nothing is, yet");
    let review = || {
        let ran = Ran::from(
            scene.other_command("review", &["--format", "json", "--fail-on", "P2"]).output().unwrap(),
        );
        let found = ran.json()["findings"].as_array().unwrap().clone();
        (ran.exit, found)
    };
    let (exit, found) = review();
    assert!(exit == 1 && !found.is_empty(), "{found:?}");
    for finding in &found {
        let id = finding["id"].as_str().unwrap();
        assert_eq!(dismiss(&scene, &[id, "--reason", "it is an example"]).exit, 0);
    }
    assert_eq!(review(), (0, vec![]));
    assert_eq!(found.len(), 1, "{found:?}");
    let left_out = "1 finding dismissed by a person and left out";
    let text = shown("text").split_whitespace().collect::<Vec<_>>().join(" ");
    let list = "to list: truing --config ../op.toml dismiss --list";
    assert!(text.contains(&format!("{left_out}; {list}")), "{text}");
    assert!(shown("markdown").contains(&format!("{left_out}.")), "{}", shown("markdown"));
    // GitHub would open an alert for a SARIF result. A dismissed finding is therefore a notification in
    // SARIF, as a suppressed finding is.
    let log: Value = serde_json::from_str(&shown("sarif")).unwrap();
    let run = &log["runs"][0];
    let note = &run["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!(run["results"], json!([]), "{log}");
    assert_eq!((&note["descriptor"]["id"], &note["level"]), (&json!("dismissed"), &json!("note")), "{log}");
    let words = note["message"]["text"].as_str().unwrap();
    assert!(
        words.starts_with("Dismissed by a person: ") && words.contains("): it is an example ("),
        "{words}"
    );
    let place = &note["locations"][0]["physicalLocation"];
    assert_eq!(
        (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
        (&json!("merge.py"), &json!(1)),
        "{note}"
    );
    let told: Value = serde_json::from_str(&shown("json")).unwrap();
    let dismissed = told["dismissed"].as_array().unwrap();
    assert_eq!(dismissed.len(), found.len(), "{told}");
    assert!(dismissed.iter().all(|one| one["status"] == "dismissed"), "{told}");
    assert!(dismissed[0]["reason"].as_str().unwrap().starts_with("it is an example ("), "{told}");
    let id = found[0]["id"].as_str().unwrap();
    assert_eq!(dismiss(&scene, &[id, "--undo"]).exit, 0);
    assert_eq!(review().1.len(), 1);
}

#[test]
fn what_is_dismissed_is_listed_with_who_said_so_and_why() {
    let scene = Scene::new([planted_bug_answer()]);
    let list = |more: &[&str]| dismiss(&scene, &[&["--list"], more].concat());
    let empty = list(&[]);
    assert_eq!(
        (empty.exit, empty.out.as_str()),
        (0, "no finding of this branch is dismissed\n"),
        "{empty:?}"
    );
    run_audit(&scene);
    assert_eq!(dismiss(&scene, &[BUG_ID, "--reason", "the callers rely on it"]).exit, 0);
    let text = list(&["."]).out;
    let first =
        "26045536a5-1 total.py:3 The last element is left out\n  because \"the callers rely on it\", by ";
    assert!(text.starts_with(first), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let told = list(&["--format", "json"]).json();
    let one = &told["dismissed"][0];
    assert_eq!((&one["id"], &one["start_line"]), (&json!(BUG_ID), &json!(3)), "{told}");
    assert_eq!(one["reason"], "the callers rely on it", "{told}");
    assert_eq!(list(&[BUG_ID]).exit, 2, "it lists all");
    assert_eq!(dismiss(&scene, &[BUG_ID, "--undo"]).exit, 0);
    assert_eq!(list(&["--format", "json"]).json(), json!({ "dismissed": [] }));
}

#[test]
fn an_id_without_its_ordinal_is_enough_where_it_means_one_finding() {
    let scene = Scene::new([planted_bug_answer()]);
    run_audit(&scene);
    let ran = dismiss(&scene, &["26045536a5", "--reason", "the callers rely on it"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.out.starts_with("dismissed: 26045536a5-1 "), "{ran:?}");
    assert_eq!(dismiss(&scene, &["2604", "--undo", "."]).exit, 0);

    // If the same lines occur twice, the findings on both have the same digest and differ only in a number.
    let twice = "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> topic\n".repeat(2);
    scene.place.write("merge.py", twice);
    scene.place.commit("merge");
    let found = Ran::from(scene.other_command("review", &["--format", "json"]).output().unwrap()).json();
    let ids: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    let (digest, _) = ids[0].split_once('-').unwrap();
    let short = &digest[2..12];
    assert!(ids.iter().filter(|id| id.contains(short)).count() == 2, "{ids:?}");
    let ran = dismiss(&scene, &[short, "--reason", "an example"]);
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(
        ran.err.contains(&format!("`{short}`: 2 findings have ids that begin with this text")),
        "{ran:?}"
    );
    for ordinal in 1..=2 {
        assert!(ran.err.contains(&format!("hint: {short}-{ordinal} is merge.py:")), "{ran:?}");
    }
}

#[test]
fn a_word_that_is_no_id_says_what_is_wrong_with_it() {
    let scene = Scene::new([planted_bug_answer()]);
    run_audit(&scene);
    for (word, wrong) in [
        ("26", "`26`: this id is too short: give at least the first 4 digits"),
        ("2604-1", "`2604-1`: this id is too short: give all 10 digits that"),
        ("zzz", "`zzz`: this is not an id of a finding, and not a folder"),
        ("", "an id is empty"),
        (".", "the id of a finding is missing"),
        ("9999", "`9999`: no finding of this branch has that id"),
    ] {
        for words in [&[word, "--reason", "x"][..], &[word, "--undo"], &[word, ".", "--reason", "x"]] {
            let ran = dismiss(&scene, words);
            // With two folders as arguments, the first one is parsed as an id.
            let is_two = word == "." && words.get(1) == Some(&".");
            let wrong = match (is_two, word, words.get(1)) {
                (true, ..) => "`.`: this is not an id",
                (_, "9999", Some(&"--undo")) => "`9999`: no dismissed finding of this branch",
                _ => wrong,
            };
            let told = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(ran.exit == 2 && told.contains(wrong), "{words:?} {ran:?}");
        }
    }
}

#[test]
fn a_run_says_how_many_findings_it_left_out() {
    let scene = Scene::new([planted_bug_answer()]);
    run_audit(&scene);
    assert_eq!(dismiss(&scene, &[BUG_ID, "--reason", "the callers rely on it"]).exit, 0);
    let ran = scene.run(&[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.out.contains("\nNot listed: 1 finding that a person has dismissed\n"), "{}", ran.out);
}

/// A repository in which a user dismisses findings of rules.
struct Branches {
    place: Place,
}

impl Branches {
    fn new() -> Self {
        let place = Place::new();
        place.git(["checkout", "-q", "-b", "one"]);
        Self { place }
    }

    fn commit_on_branch(&self, name: &str, text: &str) {
        self.place.write(name, text);
        self.place.commit("change");
    }

    /// Runs a review. Returns the ids of its findings, and the number of dismissed findings.
    fn review(&self) -> (Vec<String>, usize) {
        let report = self.place.report(&["--base", "main"]);
        let findings = report["findings"].as_array().unwrap();
        let ids = findings.iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect();
        (ids, report["dismissed"].as_array().map_or(0, Vec::len))
    }

    fn dismiss(&self, id: &str) {
        self.run_command(&["dismiss", id, "--reason", "wanted"]);
    }

    fn undo_dismissal(&self, id: &str) {
        self.run_command(&["dismiss", "--undo", id]);
    }

    fn run_command(&self, arguments: &[&str]) {
        let ran = Ran::from(self.place.command(arguments).output().unwrap());
        assert_eq!(ran.exit, 0, "{ran:?}");
    }
}

/// Returns a text with the form of a known kind of token.
fn fake_token(letter: char) -> String {
    format!("ghp_{}", "0123456789abcdefghijklmnopqrstuvwxyz".replace('q', &letter.to_string()))
}

#[test]
fn a_dismissed_secret_does_not_hide_the_next_one() {
    let branches = Branches::new();
    let line = |letter: char| format!("key = \"{}\"\n", fake_token(letter));
    branches.commit_on_branch("a.py", &line('Q'));
    let (found, _) = branches.review();
    assert_eq!(found.len(), 1, "{found:?}");
    branches.dismiss(&found[0]);
    assert_eq!(branches.review(), (vec![], 1));

    branches.commit_on_branch("a.py", &format!("import os\n\n{}", line('Q')));
    assert_eq!(branches.review(), (vec![], 1), "its own line has moved");
    branches.commit_on_branch("a.py", &format!("{}{}", line('Q'), line('R')));
    let (found, left_out) = branches.review();
    assert_eq!((found.len(), left_out), (1, 1), "the second is another one");
    branches.commit_on_branch("a.py", &line('R'));
    assert_eq!((branches.review().0.len(), branches.review().1), (1, 0), "another one took its place");
    branches.commit_on_branch("a.py", &line('Q'));
    assert_eq!(branches.review(), (vec![], 1), "it is back");

    let records = std::fs::read(branches.place.store()).unwrap();
    let is_in = |text: &str| records.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!is_in(&fake_token('Q')) && !is_in(&fake_token('R')), "no record holds a secret");
}

#[test]
fn a_secret_in_a_reason_is_neither_recorded_nor_printed() {
    let branches = Branches::new();
    branches.commit_on_branch("a.py", "def f():\n    breakpoint()\n");
    let (found, _) = branches.review();
    let held = "tr-Canary-w0rd-17-xyz";
    let reason = format!("as in {} and\n{held}", fake_token('Q'));
    let mut command = branches.place.command(&["dismiss", &found[0], "--reason", &reason]);
    let ran = Ran::from(command.env("DEPLOY_TOKEN", held).output().unwrap());
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.err.contains("warning: the reason contains a secret"), "{ran:?}");

    let list = Ran::from(branches.place.command(&["dismiss", "--list"]).output().unwrap());
    assert!(list.out.contains("because \"as in ghp_… and tr-C…\", by "), "{list:?}");
    let report = branches.place.report(&["--base", "main"]).to_string();
    assert!(report.contains("ghp_… and tr-C…"), "{report}");
    let records = std::fs::read(branches.place.store()).unwrap();
    let records = String::from_utf8_lossy(&records);
    for shown in [&ran.out, &ran.err, &list.out, &report, &*records] {
        assert!(!shown.contains(&fake_token('Q')) && !shown.contains(held));
    }
}

#[test]
fn the_list_says_which_dismissals_are_not_in_effect_for_the_code_that_was_found_last() {
    let branches = Branches::new();
    let line = |letter: char| format!("key = \"{}\"\n", fake_token(letter));
    let list = |format: &str| {
        Ran::from(branches.place.command(&["dismiss", "--list", "--format", format]).output().unwrap())
    };
    let in_effect = || list("json").json()["dismissed"][0]["in_effect"].clone();
    let words = "not in effect: the finding was last reported in different code\n";
    branches.commit_on_branch("a.py", &line('Q'));
    let (found, _) = branches.review();
    branches.dismiss(&found[0]);
    assert_eq!(in_effect(), true);
    assert_eq!(branches.review(), (vec![], 1));
    assert!(!list("text").out.contains(words));

    branches.commit_on_branch("a.py", &line('R'));
    assert_eq!(branches.review().0, found, "it is open again under its id");
    assert_eq!(in_effect(), false);
    assert!(list("text").out.ends_with(words), "{:?}", list("text"));
    branches.commit_on_branch("a.py", &line('Q'));
    assert_eq!(branches.review(), (vec![], 1));
    assert_eq!(in_effect(), true, "the code is back");
}

#[test]
fn a_dismissal_holds_in_its_definition_and_on_its_branch() {
    let branches = Branches::new();
    branches.commit_on_branch("a.py", "def f():\n    breakpoint()\n");
    let (found, _) = branches.review();
    assert_eq!(found.len(), 1, "{found:?}");
    branches.dismiss(&found[0]);
    assert_eq!(branches.review(), (vec![], 1));
    branches.commit_on_branch("a.py", "import os\n\n\ndef f(path):\n    os.stat(path)\n    breakpoint()\n");
    assert_eq!(branches.review(), (vec![], 1), "edits nearby do not end it");
    let quiet = branches.place.review(&["--base", "main"]).out;
    assert!(quiet.contains("left out: P1") && quiet.contains("a.py:6"), "{quiet}");

    branches.commit_on_branch("a.py", "def g():\n    breakpoint()\n");
    assert_eq!((branches.review().0.len(), branches.review().1), (1, 0), "another function has it");
    branches.commit_on_branch("a.py", "def f():\n    breakpoint()\n");
    assert_eq!(branches.review(), (vec![], 1));

    branches.place.git(["checkout", "-q", "-b", "two", "main"]);
    branches.commit_on_branch("a.py", "def f():\n    breakpoint()\n");
    let (found, left_out) = branches.review();
    assert_eq!((found.len(), left_out), (1, 0), "another branch has its own");
    branches.dismiss(&found[0]);
    branches.undo_dismissal(&found[0]);
    branches.place.git(["checkout", "-q", "one"]);
    assert_eq!(branches.review(), (vec![], 1), "the other branch took nothing away");
    branches.undo_dismissal(&found[0]);
    assert_eq!(
        (branches.review().0.len(), branches.review().1),
        (1, 0),
        "what is left out can be taken back"
    );
}

//! Tests that record the model's answers in a review and replay them. A replay of the same review needs no
//! network and no key, and costs nothing.

use std::path::PathBuf;

use serde_json::{Value, json};
use truing_fakes::model::{DEFAULT_API_KEY, ScriptedAnswer};

use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::place::{Place, Ran, fake_key, field_of_findings};

/// Environment variable that makes the test overwrite the committed cassette with a new recording.
const UPDATE: &str = "UPDATE_CASSETTES";

/// Creates a scene in which the review sends the same requests on every machine.
fn scene() -> Scene {
    let said = ScriptedAnswer { text: format!("My key is {DEFAULT_API_KEY}."), ..read_answer("pay.py") };
    let scene = Scene::from_answers([said, report_answer(&[finding()])]);
    scene.place.git(["remote", "add", "origin", "https://forge.example/shop/pay.git"]);
    scene
}

/// Replays the review without a key and with an unreachable model address.
fn replay_review(place: &Place, folder: &str) -> Ran {
    let mut command = place.command(&["review", "--quiet", "--runtime", "native", "--format", "json"]);
    command.args(["--replay", folder]).env("TRUING_MODEL__BASE_URL", "http://127.0.0.1:9");
    Ran::from(command.output().unwrap())
}

fn read_cassette(scene: &Scene, folder: &str) -> String {
    std::fs::read_to_string(scene.place.repo().join(folder).join("cassette.jsonl")).unwrap()
}

/// Returns the titles and the sources of the findings.
fn finding_titles_and_sources(result: &Value) -> (Vec<&Value>, Vec<&Value>) {
    (field_of_findings(result, "title"), field_of_findings(result, "source"))
}

#[test]
fn recording_follows_no_link_of_the_repository() {
    let scene = scene();
    std::os::unix::fs::symlink("..", scene.place.repo().join("tape")).unwrap();
    let refused = scene.review(&["--record", "tape"]);
    assert!(refused.exit == 2 && refused.err.contains("is a link in a repository"), "{refused:?}");
    assert_eq!(scene.model.request_log().len(), 0);
}

#[test]
fn what_was_recorded_is_played_without_a_key_a_request_or_money() {
    let scene = scene();
    let live = scene.review(&["--record", "../tape"]);
    assert_eq!(live.exit, 1, "{}", live.err);
    let asked = scene.model.request_log().len();
    assert_eq!((asked, read_cassette(&scene, "../tape").lines().count()), (2, 2));
    let spent =
        || Ran::from(scene.place.command(&["budget", "show", "--format", "json"]).output().unwrap()).json();
    let before = spent();

    let ran = replay_review(&scene.place, "../tape");
    assert_eq!(ran.exit, 1, "{}", ran.err);
    let (live, told) = (live.json(), ran.json());
    assert_eq!(
        (finding_titles_and_sources(&told), &told["turns"]),
        (finding_titles_and_sources(&live), &json!(2))
    );
    assert_eq!(told["outcome"], live["outcome"]);
    assert_eq!(told["cost_micro_usd"], 0, "it was paid for when it was recorded");
    assert_eq!((scene.model.request_log().len(), spent()), (asked, before));
    let text = scene.place.review(&["--runtime", "native", "--replay", "../tape"]);
    assert!(text.out.contains("rules and a recording of claude-sonnet-5-5: 2 turns, $0.00"), "{}", text.out);
}

#[test]
fn no_secret_is_on_a_cassette_and_none_is_drift() {
    let scene = scene();
    scene.place.write("conf.py", format!("KEY = \"{}\"\n", fake_key()));
    scene.review(&["--record", "../tape"]);
    let text = read_cassette(&scene, "../tape");
    assert!(text.contains("My key is ***.") && text.contains("[secret cut]"), "{text}");
    assert!(!text.contains(DEFAULT_API_KEY) && !text.contains(&fake_key()));
    let ran = replay_review(&scene.place, "../tape");
    assert_eq!((ran.exit, &ran.json()["turns"]), (1, &json!(2)), "{}", ran.err);
}

#[test]
fn another_review_is_an_error_that_shows_the_difference() {
    let scene = scene();
    scene.review(&["--record", "../tape"]);
    scene.place.write("pay.py", "def pay(x):\n    charge(x, twice=True)\n");
    let ran = replay_review(&scene.place, "../tape");
    assert_eq!(ran.exit, 3, "{}", ran.out);
    let error = &ran.json()["error"];
    assert_eq!(error["code"], "drift");
    assert!(
        error["shown"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("twice=True"))
    );
    assert!(
        ran.err.contains("request 0 differs from the recorded request") && ran.err.contains("twice=True")
    );
}

#[test]
fn a_cassette_is_never_written_over_and_is_for_reviews_by_a_model() {
    let scene = scene();
    scene.review(&["--record", "../tape"]);
    for (arguments, words) in [
        (&["--record", "../tape"][..], "never overwrites"),
        (&["--replay", "../none"], "cassette"),
        (&["--record", "a", "--replay", "b"], "cannot be used with"),
        (&["--replay", "../tape", "--fix"], "cannot be used with"),
    ] {
        let ran = Ran::from(scene.command(arguments).output().unwrap());
        assert!(ran.exit == 2 && ran.err.contains(words), "{arguments:?}: {} {}", ran.exit, ran.err);
    }
    let rules = scene.place.review(&["--record", "../other"]);
    assert!(rules.exit == 2 && rules.err.contains("--runtime native"), "{}", rules.err);
}

#[test]
fn the_committed_cassette_is_the_review_that_is_made_today() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes/swallowed-error");
    let scene = scene();
    if std::env::var_os(UPDATE).is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        scene.review(&["--record", folder.to_str().unwrap()]);
    }
    let ran = replay_review(&scene.place, folder.to_str().unwrap());
    assert_eq!(ran.exit, 1, "record it anew with {UPDATE}=1: {}", ran.err);
    let told = ran.json();
    assert_eq!(field_of_findings(&told, "source"), ["rule", "agent"]);
    assert_eq!(told["findings"][1]["title"], "Swallows every error");
}

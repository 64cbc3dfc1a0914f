//! Tests of `truing sync decide` with a package index on this machine: the decisions on releases, both output
//! formats, and the errors.

mod adverse;
mod first;
mod hints;
mod registries;
mod requirements;
mod server;
mod without_config;

use crate::support::package;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use sha1::Digest as _;
use tokio::runtime::Runtime;
use truing_fakes::registry::FakeRegistry;

use crate::support::home::Home;
use package::{PINNED, RELEASES, set_releases};

/// A release after those in [`RELEASES`], which changes `other` again.
const LAST: (&str, &str) = ("1.0.5", "def pinned(a):\n    return a + 1\n\ndef other():\n    return 3\n");

/// A release whose archive does not match the digest that the index gives for it.
const OTHER: (&str, &str) = ("1.0.6", "");

struct Site {
    registry: FakeRegistry,
    _runtime: Runtime,
    home: Home,
}

impl Site {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let registry = runtime.block_on(FakeRegistry::start()).unwrap();
        set_releases(&registry, RELEASES.iter().chain([&LAST, &OTHER]));
        registry.set_file("/files/demo-1.0.6-py3-none-any.whl", "something else");
        let home = Home::with_config("[sync.demo]\nmirror = [\"demo/=ours/\"]\n");
        let site = Self { registry, _runtime: runtime, home };
        site.write("ours/m.py", "");
        site.set_requirement("demo >= 0.9, < 1.0.1");
        let digest = hex::encode(sha1::Sha1::digest(PINNED.as_bytes()));
        site.write("upstream.json", &json!({ "demo.m:pinned": [digest] }).to_string());
        site
    }

    fn write(&self, name: &str, content: &str) {
        self.home.write(name, content);
    }

    fn set_requirement(&self, requirement: &str) {
        let text = format!("[project]\nname = \"ours\"\ndependencies = [\"aiohttp\", \"{requirement}\"]\n");
        self.write("pyproject.toml", &text);
    }

    fn decide(&self, arguments: &[&str]) -> Output {
        let mut command = self.home.command(&[&["sync", "decide", "demo"], arguments].concat());
        command.envs(self.registry.environment_variables()).output().unwrap()
    }

    fn run_json(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let output = self.decide(&[arguments, &["--format", "json"]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}")), output.status.code())
    }
}

fn sha1_of_pinned() -> String {
    hex::encode(sha1::Sha1::digest(PINNED.as_bytes()))
}

#[test]
fn each_release_asks_what_its_changes_ask() {
    let site = Site::new();
    for (to, decision, needs_classification, exit) in [
        ("1.0.0", "skip", false, 0),
        ("1.0.1", "relax", false, 0),
        ("1.0.2", "relax", false, 0),
        ("1.0.3", "ask", true, 1),
        ("1.0.4", "bump", false, 0),
    ] {
        let (answer, code) = site.run_json(&["--to", to]);
        assert_eq!(answer["decision"], decision, "{to}: {answer}");
        assert_eq!(answer["needs_classification"], needs_classification, "{to}");
        assert_eq!((answer["from"].as_str(), code), (Some("1.0.0"), Some(exit)), "{to}");
    }
}

#[test]
fn the_answer_has_its_evidence_and_the_new_range() {
    let site = Site::new();
    let (answer, _) = site.run_json(&["--to", "1.0.5"]);
    let sha1 = |text: &str| hex::encode(sha1::Sha1::digest(text.as_bytes()));
    assert_eq!(
        answer,
        json!({
            "decision": "bump", "needs_classification": false, "from": "1.0.0", "to": "1.0.5",
            "spec_before": ">=0.9,<1.0.1",
            // The new lower bound is the oldest release with the same pinned code as the target.
            "spec_after": ">=1.0.4,<1.0.6",
            "relax_up_to": "1.0.2",
            "changed": [{
                "symbol": "demo.m:pinned", "file": "demo/m.py", "kind": "tree", "first_in": "1.0.2",
                "old_hash": sha1(PINNED), "new_hash": sha1("def pinned(a):\n    return a + 1\n"),
            }],
            "unguarded": [{ "symbol": "other", "file": "demo/m.py", "why": "changed" }],
            "reason": "1 pinned definition changed",
        })
    );
    let (answer, _) = site.run_json(&["--to", "1.0.2"]);
    assert_eq!(answer["spec_after"], ">=0.9,<1.0.3");
    let text = String::from_utf8(site.decide(&["--to", "1.0.4"]).stdout).unwrap();
    assert_eq!(
        text,
        "bump: demo 1.0.0 to 1.0.4\n1 pinned definition changed\nrange: >=0.9,<1.0.1 becomes \
            >=1.0.4,<1.0.5\nthe range can be relaxed up to 1.0.2\n  demo.m:pinned  changed in 1.0.2\nalso \
            changed, but not pinned by you:\n  demo/m.py other  changed\n"
    );
}

#[test]
fn it_is_told_up_to_where_a_range_can_be_widened() {
    let site = Site::new();
    for (to, up_to) in
        [("1.0.2", json!(null)), ("1.0.3", json!("1.0.2")), ("1.0.0", json!(null)), ("1.0.5", json!("1.0.2"))]
    {
        assert_eq!(site.run_json(&["--to", to]).0["relax_up_to"], up_to, "{to}");
    }
    // `relax_up_to` is null if already the next release requires a port. A release that the project excludes
    // is never the value of `relax_up_to`.
    assert_eq!(site.run_json(&["--from", "1.0.2", "--to", "1.0.3"]).0["relax_up_to"], json!(null));
    site.set_requirement("demo >= 0.9, < 1.0.1, != 1.0.2");
    assert_eq!(site.run_json(&["--to", "1.0.4"]).0["relax_up_to"], "1.0.1");
}

#[test]
fn the_changed_lines_are_shown_if_they_are_wanted() {
    let site = Site::new();
    let text = |arguments: &[&str]| String::from_utf8(site.decide(arguments).stdout).unwrap();
    let with = text(&["--to", "1.0.4", "--diff"]);
    let without = text(&["--to", "1.0.4"]);
    let lines = "\ndemo/m.py demo.m:pinned\n@@ -1,2 +1,2 @@\n def pinned(a):\n-    return a\n+    return a + \
         1\n\ndemo/m.py demo.m:other\n@@ -1,2 +1,2 @@\n def other():\n-    return 1\n+    return 2\n";
    assert_eq!(with, without + lines);
    let coloured = text(&["--to", "1.0.4", "--diff", "--color", "always"]);
    assert!(coloured.contains("\u{1b}[31m-    return a\u{1b}[0m\n"), "{coloured:?}");
    assert_eq!(site.run_json(&["--to", "1.0.4", "--diff"]), site.run_json(&["--to", "1.0.4"]));
}

#[test]
fn a_hash_test_of_the_project_s_own_is_a_manifest() {
    let site = Site::new();
    let digest = hex::encode(sha1::Sha1::digest(PINNED.as_bytes()));
    let rows = format!("D = {{\n    pinned: {{'{digest}'}},\n    getattr(m, 'x'): {{'{digest}'}},\n}}\n");
    site.write("tests/test_patches.py", &format!("from demo.m import pinned\n\n{rows}"));
    site.write(
        "truing.toml",
        "[sync.demo]\nmanifest = \"tests/test_patches.py\"\nmirror = [\"demo/=ours/\"]\n",
    );
    let (answer, _) = site.run_json(&["--to", "1.0.4"]);
    assert_eq!(
        (&answer["decision"], &answer["changed"][0]["symbol"]),
        (&json!("bump"), &json!("demo.m:pinned"))
    );
    let untold = &answer["unguarded"][1];
    assert_eq!(untold["why"], "untold");
    assert!(untold["symbol"].as_str().unwrap().starts_with("line 5: getattr(m, 'x'): "), "{untold}");
    site.write("tests/test_patches.py", "import demo\n");
    let output = site.decide(&[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("cannot determine what"), "{told}");
}

#[test]
fn a_release_is_called_as_it_is_published_and_no_step_goes_back() {
    let site = Site::new();
    let (told, _) = site.run_json(&["--to", "1.0.1.0"]);
    assert_eq!((&told["to"], &told["spec_after"]), (&json!("1.0.1"), &json!(">=0.9,<1.0.2")));
    site.set_requirement("demo >= 1.0.2, < 1.0.3");
    let refused = site.decide(&["--to", "1.0.0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("older than 1.0.2"), "{said}");
    // Without `--to`, the command skips releases that the project excludes. If a user requests such a release
    // with `--to`, the command fails.
    site.set_requirement("demo >= 0.9, < 1.0.1, != 1.0.5, != 1.0.6");
    assert_eq!(site.run_json(&[]).0["to"], "1.0.4");
    let refused = site.decide(&["--to", "1.0.5"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("excludes demo 1.0.5"), "{said}");
    // A range with a syntax error does not count as a missing range.
    site.set_requirement("demo >= banana");
    let (told, exit) = site.run_json(&[]);
    assert_eq!((&told["decision"], exit), (&json!("ask"), Some(1)));
    assert!(told["reason"].as_str().unwrap().contains("`demo >= banana` cannot be followed"), "{told}");
}

#[test]
fn a_job_may_follow_a_few_releases_at_a_time() {
    let site = Site::new();
    for (target, to) in [("+1", "1.0.1"), ("+4", "1.0.4"), ("+5", "1.0.5"), ("1.0.2", "1.0.2")] {
        site.write(
            "truing.toml",
            &format!("[sync.demo]\nmirror = [\"demo/=ours/\"]\ntarget = \"{target}\"\n"),
        );
        assert_eq!(site.run_json(&[]).0["to"], to, "{target}");
    }
    // The target `+2` is the second release after the one that the project uses now.
    site.set_requirement("demo >= 1.0.2, < 1.0.3");
    site.write("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\ntarget = \"+2\"\n");
    assert_eq!(site.run_json(&[]).0["to"], "1.0.4");
}

#[test]
fn a_project_is_changed_by_no_decision() {
    let site = Site::new();
    let before = std::fs::read(site.home.path().join("pyproject.toml")).unwrap();
    site.run_json(&["--to", "1.0.4"]);
    assert_eq!(std::fs::read(site.home.path().join("pyproject.toml")).unwrap(), before);
}

#[test]
fn without_an_answer_it_is_told_why_and_what_to_do() {
    let site = Site::new();
    let refused = |arguments: &[&str], code: i32, told: &[&str]| {
        let output = site.decide(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(told.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
    };
    refused(&["--to", "7.0.0"], 2, &["demo has no release 7.0.0", "the newest is 1.0.6"]);
    refused(&["--to", "1.0.6"], 3, &["does not match the index"]);
    refused(&["--to", "one"], 2, &["`one` is not a valid version", "PyPI"]);
    refused(&["--manifest", "absent.json"], 2, &["absent.json", "cannot be read"]);
    site.write("wrong.json", "[1]");
    refused(&["--manifest", "wrong.json"], 2, &["wrong.json is not a valid manifest"]);
    site.set_requirement("demo");
    assert!(site.run_json(&[]).0["reason"].as_str().unwrap().contains("specify a lower and an upper bound"));
    site.set_requirement("demo<1\", \"demo>2");
    refused(&[], 2, &["requires `demo` 2 times", "constraint.path"]);
    site.set_requirement("demo >= 7");
    refused(&[], 2, &["range contains no release", "--from V"]);
    site.write("truing.toml", "[sync.another]\n");
    site.set_requirement("other");
    refused(&[], 2, &["there is no job `demo`", "another"]);
    site.write("truing.toml", "[sync.demo]\nmirror = [\"demo\"]\n");
    refused(&[], 2, &["pairs of folders"]);
}

#[test]
fn an_archive_is_downloaded_once() {
    let site = Site::new();
    site.run_json(&["--to", "1.0.1"]);
    let kept = |site: &Site| {
        std::fs::read_dir(site.home.path().join(Path::new(".cache/truing/archives"))).unwrap().count()
    };
    assert_eq!(kept(&site), 2);
    site.run_json(&["--to", "1.0.1"]);
    assert_eq!(kept(&site), 2);
}

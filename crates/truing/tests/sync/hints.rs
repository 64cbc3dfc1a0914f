//! Projects that are not as the first example is: each is told what to do, or answered all the same.

use serde_json::json;

use super::package::PINNED;
use super::server::{Files, Registry, sha1, sha256, tar_gz};

const BASE: &str = "class Base:\n    def run(self):\n        return 1\n";

/// `demo` on PyPI: 1.0.1 changes nothing, 1.0.2 has no class any more.
fn registry(project: &[(&str, &str)]) -> Registry {
    let files = |_| {
        let (mut files, mut page) = (Files::new(), String::new());
        let with = format!("{PINNED}\n{BASE}");
        for (version, module) in [("1.0.0", with.as_str()), ("1.0.1", &with), ("1.0.2", PINNED)] {
            let archive = tar_gz(&format!("demo-{version}"), &[("demo/m.py", module)]);
            let name = format!("demo-{version}.tar.gz");
            page += &format!("<a href=\"/files/{name}#sha256={}\">x</a>", sha256(&archive));
            files.insert(format!("/files/{name}"), archive);
        }
        files.insert("/simple/demo/".to_owned(), page.into_bytes());
        files
    };
    let manifest = json!({ "demo.m:pinned": [sha1(PINNED)] }).to_string();
    let usual = [
        ("truing.toml", "[sync.demo]\nmirror = [\"demo/=ours/\"]\n"),
        ("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<1.0.1\"]\n"),
        ("upstream.json", manifest.as_str()),
        ("ours/m.py", "from demo.m import pinned\n"),
    ];
    Registry::new(files, &[&usual, project].concat())
}

#[test]
fn a_class_that_the_project_inherits_from_and_that_vanished_asks() {
    let site =
        registry(&[("ours/m.py", "from demo.m import Base\nclass Ours(Base):\n    def own(self): ...\n")]);
    assert_eq!(site.decide(&["--to", "1.0.1"]).0["decision"], "relax");
    let (answer, exit) = site.decide(&["--to", "1.0.2"]);
    let reason = answer["reason"].as_str().unwrap();
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert!(reason.contains("the project inherits from vanished: demo.m:Base"), "{reason}");
    assert_eq!(answer["needs_classification"], false);
}

#[test]
fn a_missing_manifest_is_one_to_be_written() {
    let site = registry(&[("truing.toml", "[sync.demo]\nmanifest = \"absent.json\"\n")]);
    site.refuses(&[], 2, &["absent.json", "truing sync init demo"]);
}

#[test]
fn a_job_in_the_repositorys_own_file_is_pointed_to_where_it_belongs() {
    let site = registry(&[("truing.toml", ""), (".truing.toml", "[sync.demo]\n")]);
    site.refuses(&[], 2, &["there is no job `demo` in ", "truing.toml", "move its [sync.…] to "]);
}

#[test]
fn a_package_that_another_one_brings_is_compared_where_its_releases_are_named() {
    let site = registry(&[("pyproject.toml", "[project]\ndependencies = [\"other\"]\n")]);
    site.refuses(&["--to", "1.0.1"], 2, &["requires `demo` 0 times", "--from V --to V"]);
    let (answer, _) = site.decide(&["--from", "1.0.0", "--to", "1.0.1"]);
    assert_eq!((&answer["decision"], &answer["spec_before"]), (&json!("relax"), &json!(null)), "{answer}");
}

#[test]
fn a_requirement_among_others_in_a_text_file_is_found() {
    let site = registry(&[
        ("truing.toml", "[sync.demo]\nconstraint.file = \"requirements.txt\"\nmirror = [\"demo/=ours/\"]\n"),
        ("requirements.txt", "# ours\nother==1\ndemo>=1.0.0,<1.0.1  # followed\n"),
    ]);
    let (answer, _) = site.decide(&["--to", "1.0.1"]);
    assert_eq!(
        (&answer["decision"], &answer["spec_after"]),
        (&json!("relax"), &json!(">=1.0.0,<1.0.2")),
        "{answer}"
    );
}

#[test]
fn a_range_that_admits_what_nobody_has_looked_at_is_told() {
    let site = registry(&[("pyproject.toml", "[project]\ndependencies = [\"demo>=1.0.0,<2\"]\n")]);
    let (answer, _) = site.decide(&["--from", "1.0.0"]);
    let reason = answer["reason"].as_str().unwrap();
    assert_eq!(answer["decision"], "skip", "{answer}");
    assert!(reason.contains("so are those after it") && reason.contains("upper bound"), "{reason}");
}

#[test]
fn a_mirror_without_a_file_in_the_package_asks() {
    let site = registry(&[("truing.toml", "[sync.demo]\nmirror = [\"wrong/=ours/\"]\n")]);
    let (answer, exit) = site.decide(&["--to", "1.0.1"]);
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("no mirrored file is in either release"), "{answer}");
}

#[test]
fn a_job_without_a_manifest_leaves_it_to_people_or_checks() {
    let site = registry(&[("truing.toml", "[sync.demo]\nmanifest = \"none\"\n")]);
    let (answer, exit) = site.decide(&["--to", "1.0.2"]);
    assert_eq!((&answer["decision"], exit), (&json!("ask"), Some(1)), "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("own checks"), "{answer}");
    let nothing = site.sync(&["init", "demo", "--output", "new.json"]);
    let told = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(told.contains("manifest = \"none\""), "{told}");
}

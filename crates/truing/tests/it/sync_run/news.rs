//! Tests of changes to the project's own version and changelog, also together with changes by users.

use serde_json::json;
use truing_fakes::model::ScriptedAnswer;
use truing_fakes::repo::CommitBuilder;

use super::bump::{Scene, right_port_answers};
use super::site::{BRANCH, Ran, Site};

const KEYS: &str = "version_rule = \"patch-on-relax-minor-on-bump\"\nversion.file = \"ours/__init__.py\"\n\
    changelog.file = \"CHANGES.rst\"";
const INIT: &str = "\"\"\"Ours.\"\"\"\r\n__version__ = '1.2.3'  # ours\r\nversion = '1.2.3'\r\n";
const CHANGES: &str = "Changes\n-------\n\n1.2.3 (2026-01-02)\n^^^^^^^^^^^^^^^^^^\n\n* fix it\n\n1.2.2 \
     (2025-12-31)\n^^^^^^^^^^^^^^^^^^\n* first\n";

async fn push_changelog(site: &Site, changes: &str) {
    let commit = CommitBuilder::new("Version").write("ours/__init__.py", INIT).write("CHANGES.rst", changes);
    site.repo.push("main", commit).await.unwrap();
}

async fn tag_release(site: &Site, name: &str) {
    let dir = site.repo.dir().await.unwrap();
    let done = truing_fakes::repo::git_command(&dir).args(["tag", name, "main"]).status().unwrap();
    assert!(done.success());
}

fn result_line(decision: &str, range: &str) -> String {
    format!("* {decision} demo dependency specification to {range}\n")
}

fn exit_reason(ran: &Ran) -> &str {
    ran.json["exit_reason"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relax_is_a_patch_with_one_line_until_it_is_released() {
    let site = Site::with_config(KEYS).await;
    push_changelog(&site, CHANGES).await;
    tag_release(&site, "v1.2.3").await;
    site.publish_release("1.0.1");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    let init = site.file(BRANCH, "ours/__init__.py").await;
    assert_eq!(init, INIT.replace("__ = '1.2.3'", "__ = '1.2.4'"));
    let changes = site.file(BRANCH, "CHANGES.rst").await;
    let (before, after) = changes.split_once("1.2.4 (").unwrap();
    let entry = format!(")\n^^^^^^^^^^^^^^^^^^\n\n{}\n", result_line("relax", ">=0.9,<1.0.2"));
    let (date, after) = after.split_at(10);
    assert!(date.starts_with("20"), "{changes}");
    assert_eq!([before, after.strip_prefix(&entry).unwrap()].concat(), CHANGES);

    // A user has added a line to the changelog entry. For the next release, Truing changes only its own line.
    let theirs = changes.replace(
        &result_line("relax", ">=0.9,<1.0.2"),
        &format!("{}* mine\n", result_line("relax", ">=0.9,<1.0.2")),
    );
    site.repo
        .push(BRANCH, CommitBuilder::new("Mine").write("CHANGES.rst", theirs.as_str()).with_author("ann"))
        .await
        .unwrap();
    site.publish_release("1.0.2");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    assert_eq!(site.file(BRANCH, "ours/__init__.py").await, init);
    assert_eq!(site.file(BRANCH, "CHANGES.rst").await, theirs.replace("<1.0.2", "<1.0.3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bump_is_a_minor_also_of_a_patch_that_is_not_released_and_the_model_has_no_say() {
    let mut answers =
        vec![ScriptedAnswer::tool("write", json!({ "path": "ours/__init__.py", "content": "x\n" }))];
    answers.extend(right_port_answers());
    let scene = Scene::new(&format!("mode = \"code\"\n{KEYS}"), "", answers).await;
    let old = result_line("relax", ">=0.9,<1.0.1");
    push_changelog(&scene.site, &CHANGES.replace("* fix it\n", &format!("* fix it\n{old}"))).await;
    let ran = scene.run().await;
    assert_eq!((ran.exit, &ran.json["result"]), (0, &json!("bumped")), "{ran:?}");
    assert!(scene.model.request_log().last().unwrap().body.to_string().contains("denied:"));
    let init = scene.site.file(BRANCH, "ours/__init__.py").await;
    assert_eq!(init, INIT.replace("__ = '1.2.3'", "__ = '1.3.0'"));
    let changes = scene.site.file(BRANCH, "CHANGES.rst").await;
    assert!(changes.contains("\n1.3.0 (20") && !changes.contains("1.2.3 ("), "{changes}");
    let now = format!("* fix it\n{}", result_line("bump", ">=1.0.4,<1.0.5"));
    assert!(changes.contains(&now), "{changes}");
    assert_eq!(changes.matches("dependency specification").count(), 1, "{changes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_counted_or_said_is_told_and_nothing_is_pushed() {
    let site = Site::with_config(KEYS).await;
    push_changelog(&site, CHANGES).await;
    tag_release(&site, "1.2.3").await;
    site.publish_release("1.0.1");
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), CHANGES).unwrap();
    let init = |text: &str| CommitBuilder::new("Version").write("ours/__init__.py", text);
    let again = || CommitBuilder::new("Again").write("ours/__init__.py", INIT).write("CHANGES.rst", CHANGES);
    let cases = [
        (init("__version__ = '1.2.3'\n__version__ = '1.2.4'\n"), "contains it 2 times"),
        (init("\t__version__ = '1.2.3'\n"), "contains it 0 times"),
        (init("__version__ = '1.2.3.dev1'\n"), "not MAJOR.MINOR.PATCH"),
        (again().write("CHANGES.rst", "Changes\n-------\n\nmuch\n"), "has no heading with a version"),
        (again().write("CHANGES.rst", b"1.2.3\xff\n-----------\n"), "not UTF-8"),
        (again().write_symlink("CHANGES.rst", outside.path().to_str().unwrap()), "not a regular file"),
    ];
    for (commit, expected) in cases {
        site.repo.push("main", commit).await.unwrap();
        let ran = site.run(&["sync", "run", "demo", "--dry-run"]).await;
        assert_eq!((ran.exit, &ran.json["result"]), (3, &json!("failed")), "{expected}: {ran:?}");
        assert!(exit_reason(&ran).contains(expected), "{expected}: {ran:?}");
    }
    assert_eq!(std::fs::read_to_string(outside.path()).unwrap(), CHANGES);
    site.repo.push("main", again()).await.unwrap();
    site.replace_in_config("patch-on-relax-minor-on-bump", "none");
    let ran = site.run(&["sync", "run", "demo", "--dry-run"]).await;
    assert!(ran.exit == 3 && exit_reason(&ran).contains("is already released"), "{ran:?}");
    site.replace_in_config("changelog.file", "changelog.entry = \"{{rage}}\"\nchangelog.file");
    let wrong = site.run(&["sync", "status"]).await;
    assert!(wrong.exit == 2 && wrong.err.contains("changelog.entry"), "{wrong:?}");
}

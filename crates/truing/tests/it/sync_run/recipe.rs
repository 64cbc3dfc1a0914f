//! Tests of lock files, which the project's own command updates as part of the change.

use serde_json::json;
use truing_fakes::repo::CommitBuilder;

use super::bump::{Scene, right_port_answers};
use super::site::{BRANCH, Ran, Site};

/// Lock script that writes its arguments and the project's requirement to the lock file.
const LOCK: &str = "echo \"$@\" > sub/uv.lock\ngrep demo pyproject.toml >> sub/uv.lock\n";
const KEYS: &str = "companions = [\"extra\", \"@own/more\"]\n\
    relax.lock = [[\"sh\", \"lock.sh\", \"--upgrade={{packages}}\", \"{{package}}=={{version}}\"]]";

async fn create_site_with_lock(more: &str) -> Site {
    let site = Site::with_config(&format!("{KEYS}\n{more}")).await;
    add_lock(&site).await;
    site
}

async fn add_lock(site: &Site) {
    let commit = CommitBuilder::new("Lock").write("lock.sh", LOCK).write("sub/uv.lock", "old\n");
    site.repo.push("main", commit).await.unwrap();
}

fn exit_reason(ran: &Ran) -> &str {
    ran.json["exit_reason"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_files_follow_the_range() {
    let site = create_site_with_lock("").await;
    site.publish_release("1.0.1");
    let dry = site.run(&["sync", "run", "demo", "--dry-run"]).await;
    let line = "--upgrade=demo --upgrade=extra --upgrade=@own/more demo==1.0.1";
    assert!(exit_reason(&dry).contains(&format!("+{line}")), "{dry:?}");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    let now = format!("{line}\n    'demo >= 0.9, < 1.0.2',  # pinned\n");
    assert_eq!(site.file(BRANCH, "sub/uv.lock").await, now);
    let pulls = site.pulls().await;
    assert!(pulls[0].1.body.contains("* `sub/uv.lock`"), "{}", pulls[0].1.body);
    assert_eq!(site.run_job().await, ("covered".to_owned(), 0));
}

/// Arguments of the lock command as they appear in the configuration.
const CALL: &str = "sh\", \"lock.sh\", \"--upgrade={{packages}}\", \"{{package}}=={{version}}";

/// Creates a site with a lock command and a committed symbolic link.
async fn create_site_with_link(more: &str) -> Site {
    let site = create_site_with_lock(more).await;
    site.publish_release("1.0.1");
    let link = CommitBuilder::new("A link").write_symlink("yarn.lock", "other.txt").write("other.txt", "x\n");
    site.repo.push("main", link).await.unwrap();
    site
}

/// Checks that the job fails for each of these lock scripts, with the message that belongs to the script.
async fn assert_each_failure(site: &Site, cases: &[(&str, &str)]) {
    let mut command = CALL.to_owned();
    for (script, expected) in cases {
        let next = format!("sh\", \"-c\", \"{script}");
        site.replace_in_config(&command, &next);
        command = next;
        let ran = site.run(&["sync", "run", "demo", "--dry-run"]).await;
        assert_eq!((ran.exit, &ran.json["result"]), (3, &json!("failed")), "{script}: {ran:?}");
        assert!(exit_reason(&ran).contains(expected), "{script}: {ran:?}");
    }
    site.replace_in_config(&command, CALL);
    assert!(site.pulls().await.is_empty() && site.repo.tip(BRANCH).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_command_that_fails_is_told_and_nothing_is_pushed() {
    let site = create_site_with_link("[verify]\ntimeout = \"1s\"\n").await;
    assert_each_failure(&site, &[("sleep 60", "took too long")]).await;
    site.replace_in_config("\"1s\"", "\"60s\"");
    let cases = [
        ("for i in $(seq 30); do echo line $i >&2; done; exit 3", "exit code 3\nline 21\nline 22"),
        ("exec no-such-program-here", "exit code 127\n"),
    ];
    assert_each_failure(&site, &cases).await;
    site.replace_in_config(CALL, "no-such-program");
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.exit == 3 && exit_reason(&ran).contains("cannot be started"), "{ran:?}");
    assert!(site.pulls().await.is_empty() && site.repo.tip(BRANCH).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_command_that_writes_too_much_is_told_and_nothing_is_pushed() {
    let site = create_site_with_link("[verify]\ntimeout = \"60s\"\ndisk_mib = 16\n").await;
    let long = "head -c 6000000 /dev/zero > sub/uv.lock";
    let cases = [
        ("head -c 30000000 /dev/zero > sub/uv.lock", "File size limit"),
        (long, "sub/uv.lock: the file no longer exists, or is larger"),
    ];
    assert_each_failure(&site, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_command_that_changes_other_files_is_told_and_nothing_is_pushed() {
    let site = create_site_with_link("").await;
    let cases = [
        ("echo x > new.txt; echo y >> ours/m.py", "that it must not change: new.txt, ours/m.py"),
        ("echo x >> pyproject.toml", "that it must not change: pyproject.toml"),
        (
            "git checkout pyproject.toml || cp upstream.json pyproject.toml",
            "that it must not change: pyproject.toml",
        ),
        ("rm sub/uv.lock", "that it must not change: sub/uv.lock"),
    ];
    assert_each_failure(&site, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_command_that_writes_links_or_through_them_is_told_and_nothing_is_pushed() {
    let site = create_site_with_link("").await;
    let cases = [
        ("echo y > yarn.lock", "that it must not change: other.txt"),
        ("rm yarn.lock; echo x > yarn.lock", "yarn.lock: it is not a regular file"),
        ("ln -sf /etc/passwd sub/uv.lock", "sub/uv.lock: it is not a regular file"),
    ];
    assert_each_failure(&site, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_lock_file_by_its_name_may_be_named() {
    let site = create_site_with_link("").await;
    site.replace_in_config(CALL, "sh\", \"-c\", \"echo x > list.in");
    site.replace_in_config("companions", "relax.lock_files = [\"*.in\"]\ncompanions");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    assert_eq!(site.file(BRANCH, "list.in").await, "x\n");

    site.replace_in_config("echo x", "echo {{compagnions}}");
    let wrong = site.run(&["sync", "status"]).await;
    assert!(wrong.exit == 2 && wrong.err.contains("sync.demo.relax.lock"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_has_the_lock_files_that_its_range_asks_for() {
    let scene = Scene::new(&format!("mode = \"code\"\n{KEYS}"), "", right_port_answers()).await;
    add_lock(&scene.site).await;
    let ran = scene.run().await;
    assert_eq!((ran.exit, &ran.json["result"]), (0, &json!("bumped")), "{ran:?}");
    let lock = scene.site.file(BRANCH, "sub/uv.lock").await;
    assert!(lock.contains("demo==1.0.4\n    'demo >= 1.0.4, < 1.0.5'"), "{lock}");
    let (pulls, _) = scene.pulls_and_drafts().await;
    assert!(pulls[0].body.contains("* `sub/uv.lock`"), "{}", pulls[0].body);

    // If the lock command fails, the run sends no request to the model.
    let scene = Scene::new("mode = \"code\"\nrelax.lock = [[\"false\"]]", "", right_port_answers()).await;
    let ran = scene.run().await;
    assert!(ran.exit == 3 && exit_reason(&ran).contains("`false` failed"), "{ran:?}");
    assert_eq!(scene.model.request_log().len(), 0);
}

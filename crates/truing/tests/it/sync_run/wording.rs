//! Tests of the title, the text and the labels of a job's pull request, which the operator or the repository
//! can set.

use serde_json::json;
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_fakes::repo::CommitBuilder;

use super::site::{BRANCH, Site};

const LABELS: &str = "labels = [\"dependencies\", \"Up to date\"]";

#[tokio::test(flavor = "multi_thread")]
async fn the_repositorys_own_template_comes_first_unless_the_operator_has_one() {
    let site = Site::with_config("").await;
    let theirs = CommitBuilder::new("Ask")
        .write(".github/PULL_REQUEST_TEMPLATE.md", "## Why\r\n\r\n<!-- in short -->\r\n")
        .write("pull_request_template.md", "not this one\n");
    site.repo.push("main", theirs).await.unwrap();
    site.publish_release("1.0.1");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    let body = site.pulls().await.remove(0).1.body;
    assert!(body.starts_with("## Why\n\n<!-- in short -->\n\ndemo `1.0.1` is out"), "{body}");
    assert!(!body.contains("not this one"), "{body}");
    assert_eq!(site.run_job().await, ("covered".to_owned(), 0));

    // The operator's templates determine the title and the text. The run for the next release updates the
    // same pull request.
    let words = "title = \"{{decision}}: {{package}} {{version}}\"\nbody_template = \"See \
         {{text}}\\n{{template}}\"\n";
    site.replace_in_config("[sync.demo]", &format!("[sync.demo]\n{words}"));
    site.publish_release("1.0.2");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    let pulls = site.pulls().await;
    let [(_, pull)] = pulls.as_slice() else { panic!("{pulls:?}") };
    assert_eq!(pull.title, "relax: demo 1.0.2");
    assert!(
        pull.body.starts_with("See demo `1.0.2` is out") && pull.body.contains("## Why"),
        "{}",
        pull.body
    );

    site.replace_in_config("{{decision}}", "{{verdict}}");
    let wrong = site.run(&["sync", "status"]).await;
    assert!(wrong.exit == 2 && wrong.err.contains("sync.demo.title") && wrong.err.contains("{{verdict}}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_a_link_or_no_text_is_not_used() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "from outside").unwrap();
    let link = CommitBuilder::new("A link")
        .write_symlink(".github/pull_request_template.md", secret.path().to_str().unwrap());
    let folder = CommitBuilder::new("A folder")
        .write_symlink("docs", secret.path().parent().unwrap().to_str().unwrap());
    for commit in [link, folder, CommitBuilder::new("Bytes").write("pull_request_template.md", b"\xff\xfe")] {
        let site = Site::with_config("").await;
        site.repo.push("main", commit).await.unwrap();
        site.publish_release("1.0.1");
        assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
        let body = site.pulls().await.remove(0).1.body;
        assert!(body.starts_with("demo `1.0.1` is out"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_put_on_also_by_a_later_run_and_once() {
    let site = Site::with_config(LABELS).await;
    site.publish_release("1.0.1");
    let labelling =
        ForgeFault::on_call("POST", "/repos/acme/ours/issues/", ForgeFaultKind::Status(500, None));
    site.forge.add_fault(labelling.times(9));
    assert_eq!(site.run_job().await, ("failed".to_owned(), 3));
    assert_eq!(site.pulls().await[0].1.labels, [""; 0]);
    site.forge.clear_faults();
    for _ in 0..2 {
        assert_eq!(site.run_when_free().await, ("covered".to_owned(), 0));
        let pulls = site.pulls().await;
        let [(_, pull)] = pulls.as_slice() else { panic!("{pulls:?}") };
        assert_eq!(pull.labels, ["dependencies", "Up to date"]);
    }
    let before = site.write_count();
    assert_eq!(site.run_job().await, ("covered".to_owned(), 0));
    assert_eq!(site.write_count(), before, "they are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_is_told_with_what_to_do() {
    let site = Site::with_config("").await;
    site.publish_release("1.0.1");
    site.repo.protect(BRANCH).await.unwrap();
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(ran.json["result"], json!("failed"));
    let reason = ran.json["exit_reason"].as_str().unwrap();
    assert!(
        reason.contains("protects the branch") && reason.contains("give the job another `branch`"),
        "{reason}"
    );
}

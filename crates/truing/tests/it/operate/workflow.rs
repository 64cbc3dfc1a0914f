//! Runs the workflow that reviews pull requests in GitHub Actions.

use crate::support::workflow::{WorkflowRunner, lesser_permissions, pull_event, refused_paths};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_review_workflow_posts_once_without_records_and_with_least_permissions() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let event = pull_event(&site.repo, number, "opened", "o/r").await;
    let mut runner = WorkflowRunner::new(&site.forge, &site.repo, "review.yml");

    // With fewer permissions, the review fails, or the head has no status.
    for permissions in lesser_permissions(&runner.permissions()) {
        let other = Site::new().await;
        let number = other.open("one").await;
        let mut runner = WorkflowRunner::new(&other.forge, &other.repo, "review.yml");
        runner.run_with(&event, &permissions).await.unwrap();
        let view = other.repo.pull(number).await.unwrap();
        assert!(!is_reviewed(&view), "{permissions:?}: {view:#?}");
    }

    let ran = runner.run(&event).await.unwrap();
    assert_eq!(ran.exit, 1, "a finding blocks: {ran:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert!(is_reviewed(&view), "{ran:?}: {view:#?}");
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "failure");
    assert_eq!(refused_paths(&site.forge), Vec::<String>::new());

    // The next job has no records, and recognises the comments by the key of their markers.
    assert_eq!(runner.run(&event).await.unwrap().exit, 1);
    assert_eq!(site.repo.pull(number).await.unwrap().comments, view.comments);

    let labeled = pull_event(&site.repo, number, "labeled", "o/r").await;
    assert!(runner.run(&labeled).await.is_none());
}

/// The job of a fork has no secrets, and its token cannot write.
#[tokio::test(flavor = "multi_thread")]
async fn the_review_workflow_of_a_fork_fails_for_a_blocking_finding_and_writes_nothing() {
    let site = Site::new().await;
    let number = site.open("mallory:one").await;
    let event = pull_event(&site.repo, number, "opened", "mallory/r").await;
    let mut runner = WorkflowRunner::new(&site.forge, &site.repo, "review.yml");
    let ran = runner.run(&event).await.unwrap();
    assert!(ran.exit == 1 && ran.out.contains("a.py:2"), "{ran:?}");
    let calls = site.forge.request_log().into_iter();
    let writes: Vec<_> =
        calls.filter(|call| call.is_write && !call.path.contains("git-upload-pack")).collect();
    assert!(writes.is_empty(), "{writes:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "{view:#?}");
}

//! Runs the workflow that follows a package in GitHub Actions.

use crate::support::workflow::{
    ACTIONS_BOT, WorkflowEvent, WorkflowRunner, lesser_permissions, refused_paths,
};

use super::*;

/// The job of the workflow, which follows the package `demo`.
const SETTINGS: &str =
    "[sync.botocore]\npackage = \"demo\"\nrepo = \"acme/ours\"\nmirror = [\"demo/=ours/\"]\n";

/// Creates a site whose repository has the settings of the job.
async fn new_site() -> Site {
    let site = Site::new().await;
    let settings = CommitBuilder::new("Configure").write(".github/truing.toml", SETTINGS);
    site.repo.push("main", settings).await.unwrap();
    site
}

fn runner(site: &Site) -> WorkflowRunner<'_> {
    WorkflowRunner::new(&site.forge, &site.repo, "sync.yml").with_variables(site.registry_variables())
}

fn schedule() -> WorkflowEvent {
    WorkflowEvent { name: "schedule", payload: json!({ "schedule": "0 10 * * MON" }) }
}

/// Returns the numbers of open questions and of pull requests that the job has created.
async fn count_results(site: &Site) -> (usize, usize) {
    let issues = site.repo.issues().await.unwrap().into_iter();
    let questions = issues.filter(|issue| issue.author == ACTIONS_BOT && issue.open).count();
    (questions, site.pulls().await.len())
}

/// Publishes a release that widens the range, then one that is asked about. Each job that follows decides the
/// same, with and without the records of earlier jobs.
#[tokio::test(flavor = "multi_thread")]
async fn the_sync_workflow_decides_the_same_without_records() {
    for loses_records in [false, true] {
        let site = new_site().await;
        let mut runner = runner(&site);
        for (release, exit, expected) in [("1.0.1", 0, (0, 1)), ("1.0.3", 1, (1, 1))] {
            site.publish_release(release);
            for _ in 0..2 {
                let ran = runner.run(&schedule()).await.unwrap();
                assert_eq!(ran.exit, exit, "{release}: {ran:?}");
                assert_eq!(count_results(&site).await, expected, "{release}: {ran:?}");
                if loses_records {
                    runner.lose_records();
                }
            }
        }
        assert_eq!(refused_paths(&site.forge), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sync_workflow_fails_with_fewer_permissions() {
    let permissions = runner(&new_site().await).permissions();
    for permissions in lesser_permissions(&permissions) {
        let site = new_site().await;
        let mut runner = runner(&site);
        for release in ["1.0.1", "1.0.3"] {
            site.publish_release(release);
            runner.run_with(&schedule(), &permissions).await.unwrap();
        }
        assert_ne!(count_results(&site).await, (1, 1), "{permissions:?}");
    }
}

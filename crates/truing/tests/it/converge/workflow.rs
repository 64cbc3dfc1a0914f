//! Runs the workflow that fixes a pull request with the label `truing:converge` in GitHub Actions.

use truing_fakes::forge::NewPull;
use truing_fakes::model::DEFAULT_API_KEY;
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{Site, two_loop_answers};
use crate::converge::scene::BUG;
use crate::support::workflow::{WorkflowRunner, lesser_permissions, pull_event, refused_paths};

/// Settings of the base, which the pull request tries to change.
const SETTINGS: &str = "[budget]\nconverge_usd = 5\n";

/// Creates a site with settings at the base, and a pull request with the planted bug that breaks the
/// settings. Returns the number of this pull request.
async fn open_pull() -> (Site, u64) {
    let site = Site::new("", two_loop_answers()).await;
    let settings = CommitBuilder::new("Configure").write(".github/truing.toml", SETTINGS);
    site.repo.push("main", settings).await.unwrap();
    let change =
        CommitBuilder::new("Add totals").write("total.py", BUG).write(".github/truing.toml", "[broken");
    site.repo.push("change", change).await.unwrap();
    let pull = NewPull { draft: true, ..NewPull::from_branch("change") };
    let number = site.repo.open_pull(pull).await.unwrap();
    (site, number)
}

fn runner(site: &Site) -> WorkflowRunner<'_> {
    let model = ("TRUING_MODEL__BASE_URL".to_owned(), site.model.url().to_owned());
    WorkflowRunner::new(&site.forge, &site.repo, "converge.yml")
        .with_secret("ANTHROPIC_API_KEY", DEFAULT_API_KEY)
        .with_variables([model])
}

/// Returns true if the pull request is fixed, answered and ready, and all findings are resolved.
async fn is_converged(site: &Site, number: u64, old_head: &str) -> bool {
    let view = site.repo.pull(number).await.unwrap();
    let is_resolved = view.inline_comments().next().is_some_and(|finding| finding.resolved);
    is_resolved && !view.draft && view.head != old_head && view.reviews.len() >= 2
}

#[tokio::test(flavor = "multi_thread")]
async fn the_converge_workflow_fixes_a_labelled_pull_request_with_least_permissions() {
    let (site, number) = open_pull().await;
    let old_head = site.repo.pull(number).await.unwrap().head;
    let event = pull_event(&site.repo, number, "labeled", "acme/shop").await;
    let mut runner_of_site = runner(&site);
    let permissions = runner_of_site.permissions();
    let ran = runner_of_site.run(&event).await.unwrap();
    assert!(ran.exit == 0 && is_converged(&site, number, &old_head).await, "{ran:?}");
    assert_eq!(refused_paths(&site.forge), Vec::<String>::new());

    for permissions in lesser_permissions(&permissions) {
        let (site, number) = open_pull().await;
        let event = pull_event(&site.repo, number, "labeled", "acme/shop").await;
        let old_head = site.repo.pull(number).await.unwrap().head;
        runner(&site).run_with(&event, &permissions).await.unwrap();
        assert!(!is_converged(&site, number, &old_head).await, "{permissions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_converge_workflow_does_not_start_for_forks_and_other_labels() {
    let (site, number) = open_pull().await;
    let mut runner = runner(&site);
    let fork = pull_event(&site.repo, number, "labeled", "mallory/shop").await;
    assert!(runner.run(&fork).await.is_none());
    let mut other = pull_event(&site.repo, number, "labeled", "acme/shop").await;
    other.payload["label"]["name"] = "bug".into();
    assert!(runner.run(&other).await.is_none());
    let opened = pull_event(&site.repo, number, "opened", "acme/shop").await;
    assert!(runner.run(&opened).await.is_none());
    assert_eq!(site.model.request_log().len(), 0);
}

//! Tests of an operator's filter for the repositories that the token can see.

use std::collections::BTreeMap;

use truing_config::value;
use truing_core::port::SweepStore as _;
use truing_fakes::forge::NewPull;
use truing_fakes::repo::CommitBuilder;
use truing_service::repository_filter::RepositoryFilter;

use crate::sweep::site::{FORGE, Site, limits, pace, settings};
use crate::sweep::{SweepStage, reviewed};

fn only(pattern: &str) -> RepositoryFilter {
    let names = value::compile_repository_globs(&[pattern.to_owned()]).unwrap();
    RepositoryFilter::new(BTreeMap::from([(FORGE.to_owned(), names)]))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operators_repositories_are_swept() {
    let mut site = Site::new().await;
    let wanted = site.open("change").await;
    let other = site.forge.create_repository("ada", "private", CommitBuilder::new("Begin")).await.unwrap();
    other.push("feature", CommitBuilder::new("Work").write("a.py", "breakpoint()\n")).await.unwrap();
    other.open_pull(NewPull::from_branch("feature")).await.unwrap();
    let mut swept = SweepStage::of(&site);
    swept.context.repository_filter = only("Acme/*");
    swept.look().await;
    let keys = async |swept: &SweepStage| -> Vec<_> {
        swept.store.list_slots().await.unwrap().into_iter().map(|slot| slot.key).collect()
    };
    assert_eq!(keys(&swept).await, [site.key(wanted.number).await]);

    // The filter does not accept the new name, so later sweeps do not include the repository.
    site.repo = site.repo.rename("ada", "store").await.unwrap();
    site.repo.push("more", CommitBuilder::new("More").write("b.py", "breakpoint()\n")).await.unwrap();
    site.repo.open_pull(NewPull::from_branch("more")).await.unwrap();
    for _ in 0..2 {
        swept.round(&site).await;
        assert_eq!(keys(&swept).await, [site.key(wanted.number).await]);
    }
    assert_eq!(
        swept.context.sweep_results.swept_repositories(),
        [],
        "nor does anybody wait for it to be swept"
    );
    swept.context.repository_filter = RepositoryFilter::default();
    swept.round(&site).await;
    assert_eq!(keys(&swept).await.len(), 3, "nothing is chosen: all are");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_others_are_ignored_and_what_was_marked_before_is_not_reviewed() {
    let site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    service.stop().await;
    // The slot of the pull request is marked before the filter excludes the repository.
    let mut swept = SweepStage::of(&site);
    site.repo
        .push(&opened.branch, CommitBuilder::new("More").write("more.py", "breakpoint()\n"))
        .await
        .unwrap();
    swept.look().await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
    let before = site.view(&opened).await.comments;
    let store = site.store();
    let mut context = site.context(store.clone(), site.forges(), limits());
    context.repository_filter = only("acme/other");
    let service = site.serve_context(context, store, pace(), settings()).await;
    service.rest(&site.clock).await;
    let history = service.history(&key).await;
    let told = format!("skipped: acme/shop is not in forge.{FORGE}.repositories");
    assert!(history.contains(&told), "{history:#?}");

    site.repo.comment(opened.number, "ada", "/review").await.unwrap();
    site.deliver().await;
    assert_eq!(service.store.list_slots().await.unwrap(), [], "nothing is marked");
    assert_eq!(service.store.unserved_requests(FORGE, 9).await.unwrap(), [], "nothing is remembered");
    assert_eq!(site.view(&opened).await.comments.len(), before.len() + 1, "the person's own");
    service.stop().await;
}

//! Tests of the first sweep of a repository. Pull requests that are already open are not reviewed until they
//! change or a review is requested.

use std::collections::BTreeMap;

use truing_core::slot::SlotState;
use truing_fakes::forge::NewPull;
use truing_fakes::repo::CommitBuilder;
use truing_service::repository_filter::RepositoryFilter;

use crate::sweep::site::Site;
use crate::sweep::{SweepStage, shown};

fn leaving() -> RepositoryFilter {
    RepositoryFilter::new(BTreeMap::new()).skipping_existing_pulls()
}

/// Counts the slots that are not idle.
async fn at_work(swept: &SweepStage) -> usize {
    swept.store.list_slots().await.unwrap().iter().filter(|slot| slot.state != SlotState::Idle).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_of_before_are_left_until_they_change() {
    let site = Site::new().await;
    let (first, second) = (site.open("one").await, site.open("two").await);
    let other = site.forge.create_repository("ada", "own", CommitBuilder::new("Begin")).await.unwrap();
    for branch in ["three", "four"] {
        other.push(branch, CommitBuilder::new("Work").write("a.py", "breakpoint()\n")).await.unwrap();
        other.open_pull(NewPull::from_branch(branch)).await.unwrap();
    }
    let mut swept = SweepStage::of(&site);
    swept.context.repository_filter = leaving();
    swept.look().await;
    swept.round(&site).await;
    assert_eq!(at_work(&swept).await, 0);

    // After the loss of all slots and a push to the base, pull requests that were open before the first sweep
    // are still not reviewed.
    drop(swept);
    let file = rusqlite::Connection::open(site.database()).unwrap();
    file.execute("DELETE FROM slot", []).unwrap();
    drop(file);
    site.repo.push("main", CommitBuilder::new("Elsewhere").write("README", "more\n")).await.unwrap();
    let mut swept = SweepStage::of(&site);
    swept.context.repository_filter = leaving();
    swept.look().await;
    swept.round(&site).await;
    assert_eq!(at_work(&swept).await, 0);

    // Pull requests are reviewed if they were changed or opened after the first sweep.
    site.repo.push("two", CommitBuilder::new("More").write("more.py", "breakpoint()\n")).await.unwrap();
    let third = site.open("five").await;
    swept.round(&site).await;
    for (opened, is_left) in [(&first, true), (&second, false), (&third, false)] {
        let slot = swept.slot(&site.key(opened.number).await).await;
        assert_eq!(slot.state == SlotState::Idle, is_left, "{slot:?}");
    }
    assert_eq!(shown(&site, &first).await.0, "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_one_of_before_reviews_it_and_no_other() {
    let site = Site::new().await;
    let (asked, left) = (site.open("one").await, site.open("two").await);
    let mut swept = SweepStage::of(&site);
    swept.context.repository_filter = leaving();
    swept.look().await;
    site.repo.set_role("ada", "write").await.unwrap();
    site.repo.comment(asked.number, "ada", "/review").await.unwrap();
    swept.round(&site).await;
    swept.commands.process_requests(&swept.context).await.unwrap();
    for (opened, is_left) in [(&asked, false), (&left, true)] {
        let slot = swept.slot(&site.key(opened.number).await).await;
        assert_eq!(slot.state == SlotState::Idle, is_left, "{slot:?}");
    }
}

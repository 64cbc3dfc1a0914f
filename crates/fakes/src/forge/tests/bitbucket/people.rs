//! Tests that the same actions of people lead to the same state at every kind of forge.

use crate::forge::{FakeDiffSide, FakeForge, FakeForgeOptions, FakeReviewVerdict, ForgeFlavour, NewPull};
use crate::repo::CommitBuilder;

/// Performs people's actions in a repository, and returns the resulting state as texts.
async fn played(flavour: ForgeFlavour) -> (String, Vec<String>) {
    let forge = FakeForge::start_as(flavour, FakeForgeOptions::default()).await.unwrap();
    let shop =
        forge.create_repository("acme", "shop", CommitBuilder::new("1").write("a", "1\n2\n")).await.unwrap();
    shop.set_role("ann", "write").await.unwrap();
    shop.push("feature", CommitBuilder::new("2").write("a", "1\n2\n3\n")).await.unwrap();
    let number = shop.open_pull(NewPull::from_branch("feature")).await.unwrap();
    let said = shop.comment(number, "ann", "Hm.").await.unwrap();
    shop.edit_comment(number, said, "Oh.").await.unwrap();
    let on = shop.comment_on_line(number, "ann", "a", (FakeDiffSide::Right, 3), "Why?").await.unwrap();
    let answer = shop.reply(number, "author", on, "So.").await.unwrap();
    shop.resolve_thread(number, on, "author").await.unwrap();
    shop.push("feature", CommitBuilder::new("3").write("b", "1\n")).await.unwrap();
    shop.retitle(number, "Better").await.unwrap();
    shop.set_draft(number, true).await.unwrap();
    shop.set_draft(number, false).await.unwrap();
    shop.review(number, "ann", FakeReviewVerdict::Approved, "").await.unwrap();
    shop.delete_comment(number, said).await.unwrap();
    shop.merge_pull(number, "ann").await.unwrap();
    let view = shop.pull(number).await.unwrap();
    let short = |id: u64| id - on;
    let comments: Vec<_> = view
        .comments
        .iter()
        .filter(|comment| !comment.deleted)
        .map(|c| {
            (
                short(c.id.max(on)),
                c.author.clone(),
                c.body.clone(),
                c.line,
                c.resolved,
                c.in_reply_to.map(short),
            )
        })
        .collect();
    assert!(answer > on);
    let seen = format!(
        "{} {} {} {comments:?} {:?}",
        view.title,
        view.open,
        view.head,
        view.reviews.last().unwrap().verdict
    );
    let told = forge.take_deliveries().into_iter().map(|delivery| delivery.event).collect();
    (seen, told)
}

#[tokio::test]
async fn people_do_the_same_at_every_kind_of_forge_and_each_tells_of_it_in_its_words() {
    let (github, _) = played(ForgeFlavour::GitHub).await;
    let (cloud, told) = played(ForgeFlavour::Cloud).await;
    assert_eq!(cloud, github);
    let expected = [
        "created",
        "comment_created",
        "comment_updated",
        "comment_created",
        "comment_created",
        "comment_resolved",
        "push",
        "updated",
        "updated",
        "updated",
        "fulfilled",
    ];
    assert_eq!(told, expected.map(|key| format!("pullrequest:{key}")));
    let (data_center, told) = played(ForgeFlavour::DataCenter).await;
    assert_eq!(data_center, github);
    let expected = [
        "opened",
        "comment:added",
        "comment:edited",
        "comment:added",
        "comment:added",
        "from_ref_updated",
        "modified",
        "modified",
        "modified",
        "merged",
    ];
    assert_eq!(told, expected.map(|key| format!("pr:{key}")));
}

#[tokio::test]
async fn ids_are_shown_as_each_kind_has_them() {
    for (flavour, has_braces) in
        [(ForgeFlavour::GitHub, false), (ForgeFlavour::Cloud, true), (ForgeFlavour::DataCenter, false)]
    {
        let forge = FakeForge::start_as(flavour, FakeForgeOptions::default()).await.unwrap();
        let shop =
            forge.create_repository("acme", "shop", CommitBuilder::new("1").write("a", "1")).await.unwrap();
        for id in [shop.public_id().await.unwrap(), forge.account_id("ann")] {
            assert_eq!(id.starts_with('{') && id.len() == 38, has_braces, "{id}");
            assert_eq!(id.parse::<u64>().is_ok(), !has_braces, "{id}");
        }
        assert_eq!(forge.flavour(), flavour);
        assert_eq!(shop.clone_url().contains("/scm/"), flavour == ForgeFlavour::DataCenter);
    }
}

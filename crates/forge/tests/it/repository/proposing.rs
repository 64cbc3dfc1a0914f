//! Tests of Truing's pull requests. A pull request is opened only once, the client changes only Truing's own
//! pull requests, and people may take over a pull request.

use truing_core::port::{ForgeError, ForgeRead, PullState, ReviewState};
use truing_fakes::forge::{FakeDiffSide, FakeReviewVerdict, ForgeFaultKind, NewPull, RepositoryAccess};
use truing_fakes::repo::CommitBuilder;

use super::site::{BOT, Site, draft, refused, topic};

const PULLS: &str = "/repos/{owner}/{repo}/pulls";

#[tokio::test]
async fn a_pull_request_lives_from_its_opening_to_its_closing() {
    let site = Site::with_branch("truing/sync").await;
    let (hub, shop) = (&site.hub, &site.shop);
    assert_eq!(hub.pulls_from_branch("truing/sync").await.unwrap(), []);
    let pull = site.open("truing/sync").await;
    assert_eq!(pull.topic, Some(topic("sync/botocore")));
    assert_eq!(pull.body, "What it does.\n\n&lt;!-- truing:1 forged -->");
    assert_eq!(pull.head.as_str(), shop.tip("truing/sync").await.unwrap());
    assert_eq!(
        (pull.branch.as_str(), pull.base_branch.as_str(), pull.state),
        ("truing/sync", "main", PullState::Open)
    );
    assert!(pull.has_own_author() && pull.is_open());
    assert_eq!(hub.pulls_from_branch("truing/sync").await.unwrap(), std::slice::from_ref(&pull));
    // Another account's fork has a branch with the same name.
    shop.push("someone:truing/sync", CommitBuilder::new("Other").write("b", "1")).await.unwrap();
    shop.open_pull(NewPull::from_branch("someone:truing/sync")).await.unwrap();
    assert_eq!(hub.pulls_from_branch("truing/sync").await.unwrap().len(), 1);

    hub.edit_pull(pull.number, &topic("sync/boto3"), "Title", "Text").await.unwrap();
    for is_draft in [true, true, false] {
        hub.set_draft(pull.number, is_draft).await.unwrap();
        assert_eq!(shop.pull(pull.number).await.unwrap().draft, is_draft);
    }
    let labels = ["sync".to_owned(), "botocore".to_owned()];
    hub.add_labels(pull.number, &labels).await.unwrap();
    hub.add_labels(pull.number, &labels[..1]).await.unwrap();
    assert_eq!(shop.pull(pull.number).await.unwrap().labels, labels);
    hub.close_pull(pull.number).await.unwrap();
    hub.close_pull(pull.number).await.unwrap();
    let second = site.open("truing/sync").await;
    shop.merge_pull(second.number, "ann").await.unwrap();
    hub.close_pull(second.number).await.unwrap();

    let all = hub.pulls_from_branch("truing/sync").await.unwrap();
    let seen: Vec<_> = all.iter().map(|pull| (pull.number, pull.state, pull.topic.clone())).collect();
    let boto3 = Some(topic("sync/boto3"));
    assert_eq!(
        seen,
        [(second.number, PullState::Merged, second.topic), (pull.number, PullState::Closed, boto3)]
    );
    assert_eq!((&all[0].labels, &all[1].labels), (&Vec::new(), &labels.to_vec()));
    assert_eq!((all[1].title.as_str(), all[1].body.as_str()), ("Title", "Text"));
}

#[tokio::test]
async fn one_that_is_open_already_is_the_answer_whoever_opened_it() {
    let site = Site::with_branch("ours").await;
    let first = site.open("ours").await;
    assert_eq!(site.open("ours").await, first);
    site.shop.close_pull(first.number).await.unwrap();
    let theirs = NewPull { author: "ann".into(), ..NewPull::from_branch("ours") };
    let number = site.shop.open_pull(theirs).await.unwrap();
    let adopted = site.open("ours").await;
    assert_eq!((adopted.number, adopted.topic.clone(), adopted.has_own_author()), (number, None, false));
    // A rejection for another reason is returned as an error.
    refused(site.hub.open_pull(&draft("none")).await);
    let long = truing_core::port::PullDraft { title: "x".repeat(300), ..draft("ours") };
    let pull = site.hub.open_pull(&long).await.unwrap();
    assert_eq!(pull.number, number);
    for bad in ["", "a b", "-x", "HEAD", "refs/heads/main"] {
        refused(site.hub.open_pull(&draft(bad)).await);
        refused(site.hub.pulls_from_branch(bad).await);
    }
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let site = Site::with_branch("ours").await;
    site.shop.push("theirs", CommitBuilder::new("x").write("x", "1").with_author("ann")).await.unwrap();
    let theirs = NewPull { author: "ann".into(), ..NewPull::from_branch("theirs") };
    let theirs = site.shop.open_pull(theirs).await.unwrap();
    // The author is Truing's account, but the text no longer contains Truing's marker.
    let ours = site.open("ours").await;
    site.shop.set_description(ours.number, "Rewritten by hand.").await.unwrap();
    for number in [theirs, ours.number] {
        let before = site.shop.pull(number).await.unwrap();
        refused(site.hub.edit_pull(number, &topic("t"), "x", "y").await);
        refused(site.hub.set_draft(number, true).await);
        refused(site.hub.close_pull(number).await);
        let after = site.shop.pull(number).await.unwrap();
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
    }
    assert!(site.hub.pulls_from_branch("ours").await.unwrap()[0].topic.is_none());
    // A copy of Truing's marker does not make another account's pull request count as Truing's.
    let copied = format!("x\n\n{}", site.shop.pull(site.open("ours").await.number).await.unwrap().body);
    site.shop.set_description(theirs, &copied).await.unwrap();
    refused(site.hub.close_pull(theirs).await);
    assert!(matches!(site.hub.close_pull(99).await, Err(ForgeError::NotFound { .. })));
}

#[tokio::test]
async fn an_opening_without_an_answer_is_found_or_made_again() {
    for (kind, there) in [
        (ForgeFaultKind::DropConnection, 0),
        (ForgeFaultKind::LostResponse, 1),
        (ForgeFaultKind::Status(502, None), 0),
    ] {
        let site = Site::with_branch("ours").await;
        site.fault("POST", PULLS, kind.clone());
        let error = site.hub.open_pull(&draft("ours")).await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable { .. }) && !error.has_no_effect(), "{error}");
        assert_eq!(site.hub.pulls_from_branch("ours").await.unwrap().len(), there, "{kind:?}");
        site.open("ours").await;
        assert_eq!(site.hub.pulls_from_branch("ours").await.unwrap().len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn other_changes_are_tried_again_by_themselves() {
    let site = Site::with_branch("ours").await;
    let pull = site.open("ours").await;
    let labels = "/repos/{owner}/{repo}/issues/{number}/labels";
    for kind in
        [ForgeFaultKind::DropConnection, ForgeFaultKind::LostResponse, ForgeFaultKind::Status(503, None)]
    {
        site.fault("PATCH", "/repos/{owner}/{repo}/pulls/{number}", kind.clone());
        site.hub.edit_pull(pull.number, &topic("t"), "x", "y").await.unwrap();
        site.fault("POST", labels, kind.clone());
        site.hub.add_labels(pull.number, &["a".into()]).await.unwrap();
        site.fault("POST", "/graphql", kind);
        let draft = site.shop.pull(pull.number).await.unwrap().draft;
        site.hub.set_draft(pull.number, !draft).await.unwrap();
        assert!(site.forge.has_no_faults());
    }
    assert_eq!(site.shop.pull(pull.number).await.unwrap().labels, ["a"]);
}

#[tokio::test]
async fn what_people_did_is_told_apart_from_what_we_did() {
    let site = Site::with_branch("ours").await;
    let (hub, shop) = (&site.hub, &site.shop);
    site.forge.register_token("unused", "ann");
    let pull = site.open("ours").await;
    let theirs =
        shop.push("ours", CommitBuilder::new("Mend").write("b.txt", "b\n").with_author("ann")).await.unwrap();
    let odd = shop
        .push("ours", CommitBuilder::new("Odd").write("c", "c\n").with_author("nobody known"))
        .await
        .unwrap();
    shop.review(pull.number, "ann", FakeReviewVerdict::ChangesRequested, "Not so.").await.unwrap();
    shop.comment(pull.number, "ann", "Why?").await.unwrap();
    hub.comment(pull.number, &topic("blocked"), "Because.").await.unwrap();
    shop.comment_on_line(pull.number, "ann", "b.txt", (FakeDiffSide::Right, 1), "Here.").await.unwrap();

    let seen = hub.activity(pull.number).await.unwrap();
    let by = |author: &Option<truing_core::port::Actor>| {
        author.as_ref().map(|author| (author.login.clone(), author.is_own_account, author.is_person))
    };
    let commits: Vec<_> =
        seen.commits.iter().map(|commit| (commit.sha.as_str(), by(&commit.author))).collect();
    let (us, ann) = ((BOT.to_owned(), true, false), ("ann".to_owned(), false, true));
    assert_eq!(
        commits,
        [(pull.head.as_str(), Some(us.clone())), (theirs.as_str(), Some(ann.clone())), (odd.as_str(), None)]
    );
    let last = &seen.commits[2];
    assert_eq!(
        (last.author_name.as_str(), last.author_email.as_str()),
        ("nobody known", "nobody known@example.invalid")
    );
    assert!(seen.commits.is_sorted_by_key(|commit| commit.committed_at));
    // GitHub lists each comment on a line as a separate review without a text.
    let reviews: Vec<_> = seen.reviews.iter().map(|review| (review.state, review.body.as_str())).collect();
    assert_eq!(reviews, [(ReviewState::ChangesRequested, "Not so."), (ReviewState::Commented, "")]);
    assert!(seen.reviews.iter().all(|review| review.commit.as_ref().unwrap().as_str() == odd));
    let remarks: Vec<_> = seen
        .comments
        .iter()
        .map(|remark| {
            (by(&remark.author).unwrap(), remark.body.as_str(), remark.commit.is_some(), remark.topic.clone())
        })
        .collect();
    assert_eq!(
        remarks,
        [
            (ann.clone(), "Why?", false, None),
            (us, "Because.", false, Some(topic("blocked"))),
            (ann, "Here.", true, None)
        ]
    );
}

#[tokio::test]
async fn a_repository_tells_what_can_be_changed_of_it() {
    let site = Site::new().await;
    let now = site.hub.repository().await.unwrap();
    assert_eq!((now.name.as_str(), now.default_branch.as_str(), now.is_fork), ("acme/shop", "main", false));
    assert_eq!(
        (now.write_access.archived, now.write_access.can_push, now.write_access.has_issues_enabled),
        (false, Some(true), true)
    );
    site.shop.set_role(BOT, "read").await.unwrap();
    assert_eq!(site.hub.repository().await.unwrap().write_access.can_push, Some(false));
    // The repository is found by its id after a rename.
    let moved = site.shop.rename("acme", "store").await.unwrap();
    assert_eq!(site.hub.repository().await.unwrap().name, "acme/store");
    assert!(matches!(site.hub.pulls_from_branch("x").await, Err(ForgeError::Moved { .. })));
    moved.set_access(RepositoryAccess::Archived).await.unwrap();
    assert!(site.hub.repository().await.unwrap().write_access.archived);
}

//! Tests of questions that Truing asks in issues, and of the answers.

use truing_core::id::CommentId;
use truing_core::port::{ForgeError, ForgeRead, TextWriter};
use truing_fakes::forge::ForgeFaultKind;

use super::site::{Site, refused, topic};

const LABEL: &str = "truing";
const ISSUES: &str = "/repos/{owner}/{repo}/issues";
const COMMENTS: &str = "/repos/{owner}/{repo}/issues/{number}/comments";

#[tokio::test]
async fn a_question_lives_from_its_opening_to_its_closing() {
    let site = Site::new().await;
    let hub = &site.hub;
    let shop = &site.shop;
    let made = hub.open_issue(&topic("sync/a"), "Which?", "One or two.", LABEL).await.unwrap();
    assert_eq!((made.topic.clone(), made.body.as_str(), made.open), (topic("sync/a"), "One or two.", true));
    let other = hub.open_issue(&topic("sync/b"), "What?", "x", LABEL).await.unwrap();
    // The list contains neither a person's issue with a copied marker nor Truing's issue with another label.
    let copied = shop.issue(made.number).await.unwrap().body;
    shop.open_issue("ann", "Mine", &copied, LABEL).await.unwrap();
    hub.open_issue(&topic("sync/a"), "Elsewhere", "x", "else").await.unwrap();
    assert_eq!(hub.issues(LABEL).await.unwrap(), [other.clone(), made.clone()]);

    hub.edit_issue(made.number, &topic("sync/a"), "Which one?", "Three.").await.unwrap();
    shop.lock_issue(other.number).await.unwrap();
    hub.close_issue(made.number).await.unwrap();
    hub.close_issue(made.number).await.unwrap();
    let seen = hub.issues(LABEL).await.unwrap();
    assert!(seen[0].locked && seen[0].open && !seen[1].open && !seen[1].locked);
    assert_eq!((seen[1].title.as_str(), seen[1].body.as_str()), ("Which one?", "Three."));
    // A person reopens one issue and removes its label, and deletes the other issue.
    shop.set_issue_open(made.number, true, "ann").await.unwrap();
    assert!(hub.issues(LABEL).await.unwrap()[1].open);
    shop.unlabel_issue(made.number).await.unwrap();
    shop.delete_issue(other.number).await.unwrap();
    assert_eq!(hub.issues(LABEL).await.unwrap(), []);
    assert!(matches!(hub.close_issue(other.number).await, Err(ForgeError::NotFound { .. })));
    for bad in ["", "a,b"] {
        refused(hub.issues(bad).await);
    }
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let site = Site::with_branch("ours").await;
    let (hub, shop) = (&site.hub, &site.shop);
    let made = hub.open_issue(&topic("t"), "Which?", "x", LABEL).await.unwrap();
    let marked = shop.issue(made.number).await.unwrap().body;
    let theirs = shop.open_issue("ann", "Mine", &marked, LABEL).await.unwrap();
    shop.edit_issue(made.number, "Rewritten by hand.").await.unwrap();
    let pull = site.open("ours").await;
    for number in [theirs, made.number, pull.number] {
        refused(hub.edit_issue(number, &topic("t"), "x", "y").await);
        refused(hub.close_issue(number).await);
    }
    assert!(shop.issue(theirs).await.unwrap().open && shop.pull(pull.number).await.unwrap().open);

    let comment = shop.comment(theirs, "ann", "Mine, too.").await.unwrap();
    let ours = hub.comment(theirs, &topic("t"), "Ours.").await.unwrap();
    let id = |id: u64| CommentId::new(format!("issue:{id}"));
    for (number, comment) in
        [(theirs, &id(comment)), (made.number, &ours), (theirs, &CommentId::new("review:1"))]
    {
        refused(hub.delete_comment(number, comment).await);
    }
    hub.delete_comment(theirs, &ours).await.unwrap();
    hub.delete_comment(theirs, &ours).await.unwrap();
    let left = shop.issue(theirs).await.unwrap().comments;
    let left: Vec<_> = left.iter().map(|comment| (comment.author.as_str(), comment.deleted)).collect();
    assert_eq!(left, [("ann", false), (super::site::BOT, true)]);
}

#[tokio::test]
async fn only_the_answers_of_those_who_may_write_are_trusted() {
    let site = Site::new().await;
    let (hub, shop) = (&site.hub, &site.shop);
    shop.set_role("ann", "maintain").await.unwrap();
    shop.set_role("eve", "triage").await.unwrap();
    shop.set_role("other[bot]", "write").await.unwrap();
    let made = hub.open_issue(&topic("t"), "Which?", "x", LABEL).await.unwrap();
    let first = hub.comment(made.number, &topic("q1"), "First of all: which?").await.unwrap();
    for (author, body) in [("eve", "Two."), ("other[bot]", "Three."), ("ann", "One.\r\n"), ("ann", "Really.")]
    {
        shop.comment(made.number, author, body).await.unwrap();
    }
    let all = hub.replies(made.number, None).await.unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|reply| {
            (reply.author.as_ref().unwrap().login.as_str(), reply.is_author_trusted, reply.body.as_str())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (super::site::BOT, false, "First of all: which?"),
            ("eve", false, "Two."),
            ("other[bot]", false, "Three."),
            ("ann", true, "One."),
            ("ann", true, "Really."),
        ]
    );
    assert_eq!((all[0].topic.clone(), all[1].topic.clone()), (Some(topic("q1")), None));
    assert!(all[0].author.as_ref().unwrap().is_own_account);
    assert_eq!(hub.replies(made.number, Some(&first)).await.unwrap(), all[1..]);
    // The replies after the first comment are found, even if the first comment was deleted.
    hub.delete_comment(made.number, &first).await.unwrap();
    assert_eq!(hub.replies(made.number, Some(&first)).await.unwrap(), all[1..]);
    refused(hub.replies(made.number, Some(&CommentId::new("review:1"))).await);
    assert!(matches!(hub.replies(99, None).await, Err(ForgeError::NotFound { .. })));
    // The permission of each person is looked up once per call.
    let route = "GET /repos/{owner}/{repo}/collaborators/{login}/permission";
    let before = site.forge.call_counts()[route];
    hub.replies(made.number, None).await.unwrap();
    assert_eq!(site.forge.call_counts()[route], before + 2);
}

#[tokio::test]
async fn rejects_answer_that_another_account_edited() {
    let site = Site::new().await;
    let (hub, shop) = (&site.hub, &site.shop);
    for login in ["ann", "eve", "robot[bot]"] {
        shop.set_role(login, "write").await.unwrap();
    }
    let made = hub.open_issue(&topic("t"), "Which?", "x", LABEL).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(shop.comment(made.number, "ann", "I will think about it.").await.unwrap());
    }
    shop.edit_comment_as(made.number, ids[1], "ann", "Bump.").await.unwrap();
    shop.edit_comment_as(made.number, ids[2], "eve", "Skip.").await.unwrap();
    shop.edit_comment_as(made.number, ids[3], "robot[bot]", "Relax.").await.unwrap();
    let replies = hub.replies(made.number, None).await.unwrap();
    let trusted: Vec<bool> = replies.iter().map(|reply| reply.is_trusted_answer()).collect();
    assert_eq!(trusted, [true, true, false, false]);
    assert_eq!(replies[2].text_writer, TextWriter::OtherAccount("eve".into()));
    // After an edit by Ann, the text is Ann's again.
    shop.edit_comment_as(made.number, ids[2], "ann", "I said: bump.").await.unwrap();
    assert!(hub.replies(made.number, None).await.unwrap()[2].is_trusted_answer());
}

#[tokio::test]
async fn a_creation_without_an_answer_is_found_or_made_again() {
    for (kind, there) in [
        (ForgeFaultKind::DropConnection, 0),
        (ForgeFaultKind::LostResponse, 1),
        (ForgeFaultKind::Status(500, None), 0),
    ] {
        let site = Site::new().await;
        let hub = &site.hub;
        site.fault("POST", ISSUES, kind.clone());
        let error = hub.open_issue(&topic("t"), "Which?", "x", LABEL).await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable { .. }) && !error.has_no_effect(), "{error}");
        assert_eq!(hub.issues(LABEL).await.unwrap().len(), there, "{kind:?}");

        let made = hub.open_issue(&topic("u"), "What?", "x", LABEL).await.unwrap();
        site.fault("POST", COMMENTS, kind.clone());
        let error = hub.comment(made.number, &topic("q"), "Hm?").await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable { .. }) && !error.has_no_effect(), "{error}");
        let found = hub.replies(made.number, None).await.unwrap();
        assert_eq!(found.iter().filter(|reply| reply.topic == Some(topic("q"))).count(), there, "{kind:?}");
    }
}

#[tokio::test]
async fn a_locked_issue_takes_no_comment_of_those_who_may_not_write() {
    let site = Site::new().await;
    let made = site.hub.open_issue(&topic("t"), "Which?", "x", LABEL).await.unwrap();
    site.shop.lock_issue(made.number).await.unwrap();
    site.hub.comment(made.number, &topic("q"), "Hm?").await.unwrap();
    site.shop.set_role(super::site::BOT, "read").await.unwrap();
    let error = site.hub.comment(made.number, &topic("q"), "Well?").await.unwrap_err();
    assert!(matches!(&error, ForgeError::Forbidden { message, .. } if message.contains("locked")), "{error}");
    assert!(error.has_no_effect());
    let long = "x".repeat(site.hub.max_body_length() + 600);
    refused(site.hub.open_issue(&topic("long"), "x", &long, LABEL).await);
    let most = "x".repeat(site.hub.max_body_length());
    site.hub.open_issue(&topic("most"), "x", &most, LABEL).await.unwrap();
}

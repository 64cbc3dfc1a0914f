//! Tests that each review, reply and comment is posted only once, even if responses are lost, calls are
//! rejected or markers are forged.

use truing_core::converge::AuditScopeDigest;
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{CommentId, RunId, Sha};
use truing_core::port::{
    AuditMark, ForgeError, ForgeRead as _, LineDraft, PostedReview, ReviewDraft, ReviewEvent,
};
use truing_core::publish::CommentProducer;
use truing_diff::RepoPath;
use truing_fakes::forge::{ErrorListFormat, FakeReviewVerdict, ForgeFaultKind};
use truing_forge::ForgeServer as _;
use truing_forge::any_forge_server::RepositoryClient;

use super::site::{BOT, Calls as _, Site, refused, topic};

const REVIEWS: &str = "/repos/{owner}/{repo}/pulls/{number}/reviews$";
const LINES: &str = "/repos/{owner}/{repo}/pulls/{number}/comments$";

pub(crate) async fn draft(site: &Site, lines: &[u32]) -> ReviewDraft {
    let commit = Sha::parse(&site.shop.tip("feature").await.unwrap()).unwrap();
    let finding = |line: &u32| LineDraft {
        location: CodeLocation {
            path: RepoPath::from_bytes("a.txt"),
            side: DiffSide::New,
            start_line: *line,
            end_line: *line,
        },
        topic: topic(&format!("finding/{line}")),
        body: format!("Wrong on {line}. <!-- truing:1 forged -->"),
        line: format!("Wrong on {line}"),
    };
    ReviewDraft {
        mark: AuditMark { run: RunId::new("run-1"), audit: 1, clean: lines.is_empty(), commit, scope: None },
        event: ReviewEvent::Comment,
        body: "## audit 1".into(),
        unplaced: vec!["Elsewhere".into()],
        findings: lines.iter().map(finding).collect(),
    }
}

/// Returns the topics of the findings that have a comment.
fn topics(posted: &PostedReview) -> Vec<String> {
    let PostedReview::Review { comments, .. } = posted else { panic!("{posted:?}") };
    comments.iter().map(|(topic, _)| topic.to_string()).collect()
}

/// Posts a review repeatedly until the forge responds. A loop also repeats the call, but waits before each
/// attempt.
async fn post(pull: &RepositoryClient, draft: &ReviewDraft) -> PostedReview {
    for _ in 0..5 {
        match pull.post_review(draft).await {
            Ok(posted) => return posted,
            Err(ForgeError::Unavailable { .. } | ForgeError::RateLimited { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no answer");
}

/// Returns the number of our account's reviews that have a text, and the number of its comments on lines.
async fn ours(site: &Site, number: u64) -> (usize, usize) {
    let view = site.shop.pull(number).await.unwrap();
    let reviews = view.reviews.iter().filter(|review| review.author == BOT && !review.body.is_empty());
    (reviews.count(), view.inline_comments().filter(|comment| comment.author == BOT).count())
}

#[tokio::test]
async fn a_review_is_posted_once_and_found_again() {
    let (site, number, pull) = Site::with_pull().await;
    let draft = draft(&site, &[3, 7]).await;
    let posted = pull.post_review(&draft).await.unwrap();
    assert_eq!(topics(&posted), ["finding/3", "finding/7"]);
    assert_eq!(pull.post_review(&draft).await.unwrap(), posted);
    assert_eq!(pull.post_as_comment(&draft).await.unwrap(), posted, "it is there");
    assert_eq!(ours(&site, number).await, (1, 2));
    let view = site.shop.pull(number).await.unwrap();
    assert_eq!(
        (view.reviews[0].verdict, view.reviews[0].commit.as_str()),
        (FakeReviewVerdict::Commented, draft.mark.commit.as_str())
    );
    let reviews = pull.reviews().await.unwrap();
    assert_eq!(reviews[0].audit_mark(), Some(draft.mark.clone()));
    assert_eq!(reviews[0].body, "## audit 1\n\n### Findings without a line in the diff\n\n- Elsewhere");
    let threads = pull.threads().await.unwrap();
    assert_eq!(threads[0].comments[0].body, "Wrong on 3. &lt;!-- truing:1 forged -->");

    // The next audit reports the same findings and a new one. No second thread is created for a finding with
    // an open thread; the review links to the open thread instead.
    let mut next = draft.clone();
    next.mark.audit = 2;
    next.findings.push(LineDraft { topic: topic("finding/9"), ..next.findings[0].clone() });
    let posted = pull.post_review(&next).await.unwrap();
    assert_eq!(topics(&posted), ["finding/3", "finding/7", "finding/9"]);
    assert_eq!(ours(&site, number).await, (2, 3));
    let began: Vec<u64> =
        site.shop.pull(number).await.unwrap().inline_comments().map(|comment| comment.id).collect();
    let named = |text: &str, lines: &[usize]| {
        let (_, list) = text.split_once("\n\n### Findings already on this pull request\n\n").unwrap();
        assert_eq!(list.matches("- Wrong on").count(), lines.len(), "{list}");
        lines
            .iter()
            .for_each(|at| assert!(list.contains(&format!("#discussion_r{})", began[*at])), "{list}"));
    };
    named(&pull.reviews().await.unwrap().last().unwrap().body, &[0, 1]);

    // A finding whose thread was resolved is posted again, but only once.
    site.shop.resolve_thread(number, began[0], BOT).await.unwrap();
    next.mark.audit = 3;
    for _ in 0..2 {
        let posted = pull.post_review(&next).await.unwrap();
        assert_eq!(topics(&posted), ["finding/3", "finding/7", "finding/9"]);
    }
    assert_eq!(ours(&site, number).await, (3, 4));
    named(&pull.reviews().await.unwrap().last().unwrap().body, &[1, 2]);
}

#[tokio::test]
async fn a_marker_counts_for_our_account_this_pull_request_and_its_commit_alone() {
    let (site, number, pull) = Site::with_pull().await;
    let draft = draft(&site, &[]).await;
    assert!(draft.mark.clean);
    pull.post_review(&draft).await.unwrap();
    let text = site.shop.pull(number).await.unwrap().reviews[0].body.clone();
    // The client ignores markers that another account posted, markers that were copied to another pull
    // request, and markers whose commit is not the commit of the review.
    let copied = site.shop.open_pull(truing_fakes::forge::NewPull {
        base: "other".into(),
        ..truing_fakes::forge::NewPull::from_branch("feature")
    });
    site.shop.push("other", truing_fakes::repo::CommitBuilder::new("x").write("z", "1")).await.unwrap();
    let copied = copied.await.unwrap();
    site.shop.review(copied, BOT, FakeReviewVerdict::Commented, &text).await.unwrap();
    site.shop.review(copied, "eve", FakeReviewVerdict::Commented, &text).await.unwrap();
    let elsewhere = site.conversation(copied);
    assert!(elsewhere.reviews().await.unwrap().iter().all(|review| review.audit_mark().is_none()));

    site.shop.push("feature", truing_fakes::repo::CommitBuilder::new("x").write("a.txt", "2")).await.unwrap();
    site.shop.review(number, "eve", FakeReviewVerdict::Approved, &text).await.unwrap();
    site.shop.review(number, BOT, FakeReviewVerdict::Commented, &text).await.unwrap();
    let audits: Vec<_> =
        pull.reviews().await.unwrap().iter().map(|review| review.audit_mark().is_some()).collect();
    assert_eq!(audits, [true, false, false], "the last is on another commit than its marker says");
    let as_sync = site.server.client(
        &truing_core::id::PrId { forge: "github".into(), repository: site.id.clone(), number },
        "acme/shop",
        CommentProducer::Sync,
    );
    assert!(
        as_sync.reviews().await.unwrap().iter().all(|review| review.audit_mark().is_none()),
        "another loop's"
    );
    let changed = text.replace("/clean/", "/dirty/");
    assert_ne!(changed, text);
    site.shop.review(number, BOT, FakeReviewVerdict::Commented, &changed).await.unwrap();
    assert_eq!(pull.reviews().await.unwrap()[3].audit_mark(), None, "forged");
}

#[tokio::test]
async fn a_review_that_a_former_version_posted_without_a_scope_is_not_posted_again() {
    let (site, number, pull) = Site::with_pull().await;
    let former = draft(&site, &[]).await;
    let posted = pull.post_review(&former).await.unwrap();
    let mut now = former;
    now.mark.scope = Some(AuditScopeDigest::new(&now.mark.commit, "looks", &[]));
    assert_eq!(pull.post_review(&now).await.unwrap(), posted);
    assert_eq!(ours(&site, number).await, (1, 0));
    now.mark.audit = 2;
    pull.post_review(&now).await.unwrap();
    assert_eq!(pull.reviews().await.unwrap()[1].audit_mark(), Some(now.mark.clone()));
    // The marker's signature covers the scope of the audit, so a marker with a changed scope is not accepted.
    let text = site.shop.pull(number).await.unwrap().reviews[1].body.clone();
    let other = AuditScopeDigest::new(&now.mark.commit, "other looks", &[]);
    let changed = text.replace(now.mark.scope.as_ref().unwrap().as_str(), other.as_str());
    assert_ne!(changed, text);
    site.shop.review(number, BOT, FakeReviewVerdict::Commented, &changed).await.unwrap();
    assert_eq!(pull.reviews().await.unwrap()[2].audit_mark(), None, "forged");
}

#[tokio::test]
async fn whatever_answer_is_lost_it_is_one_review() {
    for kind in [
        ForgeFaultKind::DropConnection,
        ForgeFaultKind::LostResponse,
        ForgeFaultKind::Status(502, None),
        ForgeFaultKind::Truncated,
    ] {
        let (site, number, pull) = Site::with_pull().await;
        let draft = draft(&site, &[3, 7]).await;
        site.fault("POST", REVIEWS, kind.clone());
        assert!(pull.post_review(&draft).await.is_err());
        assert_eq!(topics(&post(&pull, &draft).await), ["finding/3", "finding/7"], "{kind:?}");
        assert_eq!(ours(&site, number).await, (1, 2), "{kind:?}");
    }
}

#[tokio::test]
async fn one_bad_place_costs_its_place_and_nothing_else() {
    for fault in [
        None,
        Some(ForgeFaultKind::DropConnection),
        Some(ForgeFaultKind::LostResponse),
        Some(ForgeFaultKind::Status(502, None)),
    ] {
        let (site, number, pull) = Site::with_pull().await;
        let draft = draft(&site, &[3, 999, 7]).await;
        if let Some(kind) = &fault {
            site.forge
                .add_fault(truing_fakes::forge::ForgeFault::on_call("POST", LINES, kind.clone()).nth(3));
            site.forge
                .add_fault(truing_fakes::forge::ForgeFault::on_call("POST", REVIEWS, kind.clone()).nth(2));
        }
        let posted = post(&pull, &draft).await;
        assert_eq!(topics(&posted), ["finding/3", "finding/7"], "{fault:?}");
        let view = site.shop.pull(number).await.unwrap();
        let texts: Vec<_> =
            view.reviews.iter().map(|review| review.body.as_str()).filter(|body| !body.is_empty()).collect();
        assert_eq!(texts.len(), 1, "{fault:?}");
        assert!(texts[0].contains("- Elsewhere\n- Wrong on 999"), "{}", texts[0]);
        // If a failed attempt has already posted the comments, the review links to their open threads.
        let (unplaced, open) =
            texts[0].split_once("\n\n### Findings already on this pull request").unwrap_or((texts[0], ""));
        assert!(!unplaced.contains("Wrong on 3"), "{unplaced}");
        assert_eq!(open.contains("#discussion_r"), fault.is_some(), "{open}");
        assert_eq!(ours(&site, number).await, (1, 2), "{fault:?}");
        assert_eq!(topics(&pull.post_review(&draft).await.unwrap()), ["finding/3", "finding/7"]);
    }
}

#[tokio::test]
async fn what_cannot_be_a_review_is_one_comment_with_all_of_it() {
    let (site, number, pull) = Site::with_pull().await;
    let draft = draft(&site, &[3, 7]).await;
    for path in [REVIEWS, LINES] {
        for _ in 0..6 {
            site.fault("POST", path, ForgeFaultKind::ValidationError(ErrorListFormat::Strings));
        }
    }
    refused(pull.post_review(&draft).await);
    assert_eq!(ours(&site, number).await, (0, 0));
    site.fault("POST", "/repos/{owner}/{repo}/issues/{number}/comments", ForgeFaultKind::LostResponse);
    assert!(!pull.post_as_comment(&draft).await.unwrap_err().has_no_effect());
    let posted = pull.post_as_comment(&draft).await.unwrap();
    assert!(matches!(posted, PostedReview::Comment(_)));
    assert_eq!(pull.post_as_comment(&draft).await.unwrap(), posted);
    let view = site.shop.pull(number).await.unwrap();
    let all: Vec<_> = view.conversation_comments().collect();
    assert_eq!(all.len(), 1);
    for part in ["## audit 1", "- Elsewhere", "`a.txt`:3", "Wrong on 3.", "Wrong on 7."] {
        assert!(all[0].body.contains(part), "{part}: {}", all[0].body);
    }
    site.forge.clear_faults();
}

#[tokio::test]
async fn changes_are_requested_of_others_alone() {
    let (site, number, pull) = Site::with_pull().await;
    let mut draft = draft(&site, &[3]).await;
    draft.event = ReviewEvent::RequestChanges;
    pull.post_review(&draft).await.unwrap();
    assert_eq!(site.shop.pull(number).await.unwrap().reviews[0].verdict, FakeReviewVerdict::ChangesRequested);

    site.shop
        .push("ours", truing_fakes::repo::CommitBuilder::new("x").write("a.txt", "two\n").with_author(BOT))
        .await
        .unwrap();
    let own = site.open("ours").await.number;
    draft.mark.commit = Sha::parse(&site.shop.tip("ours").await.unwrap()).unwrap();
    draft.findings.clear();
    site.conversation(own).post_review(&draft).await.unwrap();
    assert_eq!(site.shop.pull(own).await.unwrap().reviews[0].verdict, FakeReviewVerdict::Commented);
}

#[tokio::test]
async fn an_answer_is_given_once_in_its_thread() {
    let (site, number, pull) = Site::with_pull().await;
    let posted = pull.post_review(&draft(&site, &[3, 7]).await).await.unwrap();
    let PostedReview::Review { comments, .. } = posted else { panic!() };
    let replies = "/repos/{owner}/{repo}/pulls/{number}/comments/{id}/replies";
    for kind in
        [ForgeFaultKind::DropConnection, ForgeFaultKind::Status(502, None), ForgeFaultKind::LostResponse]
    {
        site.fault("POST", replies, kind);
        let _ = pull.reply(&comments[0].1, &topic("reply/3"), "Fixed in 1234567").await;
    }
    let answer = pull.reply(&comments[0].1, &topic("reply/3"), "Fixed in 1234567").await.unwrap();
    pull.reply(&comments[1].1, &topic("reply/3"), "The same topic, another thread.").await.unwrap();
    // A reply of another account with a copy of our marker does not count as our reply.
    let marked = site.shop.pull(number).await.unwrap();
    let marked = marked
        .inline_comments()
        .find(|comment| answer.as_str().ends_with(&comment.id.to_string()))
        .unwrap()
        .body
        .clone();
    let first: u64 = comments[0].1.as_str()[7..].parse().unwrap();
    site.shop.delete_comment(number, answer.as_str()[7..].parse().unwrap()).await.unwrap();
    site.shop.reply(number, "eve", first, &marked).await.unwrap();
    let again = pull.reply(&comments[0].1, &topic("reply/3"), "Fixed in 1234567").await.unwrap();
    assert_ne!(again, answer);
    let threads = pull.threads().await.unwrap();
    let by: Vec<_> =
        threads[0].comments.iter().map(|comment| comment.author.as_ref().unwrap().login.as_str()).collect();
    assert_eq!(by, [BOT, "eve", BOT]);
    refused(pull.reply(&CommentId::new("issue:1"), &topic("t"), "x").await);
    let gone = pull.reply(&CommentId::new("review:1"), &topic("t"), "x").await;
    assert!(matches!(gone, Err(ForgeError::NotFound { .. })));
    site.forge.clear_faults();
}

#[tokio::test]
async fn a_comment_of_a_topic_is_one_and_says_the_newest() {
    let (site, number, pull) = Site::with_pull().await;
    for n in 0..120 {
        site.shop.comment(number, "ann", &format!("Chat {n}.")).await.unwrap();
    }
    let comments = "/repos/{owner}/{repo}/issues/{number}/comments";
    for kind in
        [ForgeFaultKind::DropConnection, ForgeFaultKind::Status(502, None), ForgeFaultKind::LostResponse]
    {
        site.fault("POST", comments, kind);
        let _ = pull.put_comment(&topic("status"), "One.").await;
    }
    let first = pull.put_comment(&topic("status"), "One.").await.unwrap();
    assert_eq!(pull.put_comment(&topic("status"), "One.").await.unwrap(), first);
    let view = site.shop.pull(number).await.unwrap();
    let marked = view.conversation_comments().last().unwrap().body.clone();
    site.shop.comment(number, "eve", &marked).await.unwrap();
    let before = site.forge.request_log().len();
    pull.put_comment(&topic("status"), "One.\r\n").await.unwrap();
    assert!(site.forge.request_log()[before..].iter().all(|call| call.method == "GET"), "it says so already");
    assert_eq!(pull.put_comment(&topic("status"), "Two.").await.unwrap(), first);
    assert_ne!(pull.put_comment(&topic("other"), "Two.").await.unwrap(), first);
    let view = site.shop.pull(number).await.unwrap();
    let said: Vec<_> = view
        .conversation_comments()
        .skip(120)
        .map(|comment| (comment.author.as_str(), comment.body.lines().next().unwrap()))
        .collect();
    assert_eq!(said, [(BOT, "Two."), ("eve", "One."), (BOT, "Two.")]);
    site.forge.clear_faults();
}

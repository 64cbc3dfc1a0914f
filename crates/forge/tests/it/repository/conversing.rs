//! Tests of a loop's reads and changes of its pull request.

use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::id::{CommentId, Sha, UnixMillis};
use truing_core::port::{
    CheckState, EffectOutcome, ForgeError, ForgeRead as _, PullReviewDecision, PullState,
};
use truing_core::publish::ThreadState;
use truing_fakes::forge::{
    self as fake, BotReview, BotStep, FakeBot, FakeDiffSide, FakeReviewVerdict, ForgeFaultKind, NewPull,
};
use truing_fakes::repo::CommitBuilder;
use truing_forge::ForgeServer as _;
use truing_forge::github::{AppKey, GitHubCredentials};

use super::site::{BOT, Calls as _, Site, github, refused, topic};

const COMMENTS: &str = "/repos/{owner}/{repo}/issues/{number}/comments";

fn sha(text: &str) -> Sha {
    Sha::parse(text).unwrap()
}

#[tokio::test]
async fn a_pull_request_is_seen_as_it_stands() {
    let (site, number, pull) = Site::with_pull().await;
    let shop = &site.shop;
    let now = pull.pull_details().await.unwrap();
    assert_eq!(
        (now.state, now.base_branch.as_str(), now.head.branch.as_str()),
        (PullState::Open, "main", "feature")
    );
    assert_eq!(now.head.sha, sha(&shop.tip("feature").await.unwrap()));
    assert_eq!(now.base, sha(&shop.tip("main").await.unwrap()));
    assert_eq!((now.head.can_push, now.author.unwrap().login.as_str()), (Some(true), "author"));
    assert!(now.head.repository.unwrap().is_target_repository);

    shop.set_draft(number, true).await.unwrap();
    assert_eq!(pull.pull_details().await.unwrap().state, PullState::Draft);
    shop.set_role(BOT, "read").await.unwrap();
    assert_eq!(pull.pull_details().await.unwrap().head.can_push, Some(false));
    shop.set_role(BOT, "write").await.unwrap();
    let tip = shop
        .force_push("feature", &shop.tip("main").await.unwrap(), CommitBuilder::new("x").write("b", "1"))
        .await;
    assert_eq!(pull.pull_details().await.unwrap().head.sha, sha(&tip.unwrap()));
    shop.close_pull(number).await.unwrap();
    assert_eq!(pull.pull_details().await.unwrap().state, PullState::Closed);
    shop.reopen_pull(number).await.unwrap();
    shop.merge_pull(number, "ann").await.unwrap();
    assert_eq!(pull.pull_details().await.unwrap().state, PullState::Merged);
    assert!(matches!(site.conversation(99).pull_details().await, Err(ForgeError::NotFound { .. })));
}

#[tokio::test]
async fn a_fork_is_pushed_to_only_if_it_lets_us() {
    let site = Site::new().await;
    site.shop.push("someone:fix", CommitBuilder::new("x").write("b", "1")).await.unwrap();
    let number = site.shop.open_pull(NewPull::from_branch("someone:fix")).await.unwrap();
    let pull = site.conversation(number);
    let head = pull.pull_details().await.unwrap().head;
    let repository = head.repository.unwrap();
    assert_eq!(
        (repository.name.as_str(), repository.is_target_repository, head.can_push),
        ("someone/shop", false, Some(false))
    );
    site.shop.set_maintainer_can_modify(number, true).await.unwrap();
    assert_eq!(pull.pull_details().await.unwrap().head.can_push, Some(true));
    site.shop.delete_fork("someone").await.unwrap();
    let head = pull.pull_details().await.unwrap().head;
    assert_eq!((head.repository, head.can_push), (None, Some(false)));
}

#[tokio::test]
async fn what_a_merge_would_be_and_why_not() {
    let (site, number, pull) = Site::with_pull().await;
    let merge = pull.merge_state().await.unwrap();
    assert_eq!(
        (merge.state, merge.has_conflicts, merge.review_decision),
        (Mergeable::Clean, Some(false), None)
    );
    use fake::MergeState as Said;
    let said = [
        Said::Unknown,
        Said::Dirty,
        Said::Blocked,
        Said::Behind,
        Said::HasHooks,
        Said::Unstable,
        Said::Draft,
    ];
    site.shop.set_merge_states(number, &said).await.unwrap();
    site.shop.set_review_decision(number, Some(fake::ReviewDecision::ReviewRequired)).await.unwrap();
    let mut seen = Vec::new();
    for _ in said {
        let merge = pull.merge_state().await.unwrap();
        assert_eq!(
            (merge.review_decision, &merge.head),
            (Some(PullReviewDecision::Required), &pull.pull_details().await.unwrap().head.sha)
        );
        seen.push((merge.state, merge.has_conflicts));
    }
    use Mergeable::{Behind, Blocked, Dirty, Draft, HasHooks, Unknown, Unstable};
    let open = [Blocked, Behind, HasHooks, Unstable, Draft].map(|state| (state, Some(false)));
    assert_eq!(seen[..2], [(Unknown, None), (Dirty, Some(true))]);
    assert_eq!(seen[2..], open);
}

#[tokio::test]
async fn every_check_is_seen_once_at_its_newest() {
    let (site, _, pull) = Site::with_pull().await;
    let (shop, head) = (&site.shop, site.shop.tip("feature").await.unwrap());
    let app = site.forge.register_app("cursor").unwrap();
    for (name, conclusion) in [
        ("Bugbot", None),
        ("Bugbot", Some("success")),
        ("lint", Some("failure")),
        ("docs", Some("skipped")),
        ("size", Some("neutral")),
        ("slow", None),
        ("odd", Some("action_required")),
    ] {
        shop.create_check_run(&head, &format!("{}[bot]", app.slug), name, conclusion).await.unwrap();
    }
    for n in 0..250 {
        shop.create_check_run(&head, "many[bot]", &format!("job {n}"), Some("success")).await.unwrap();
    }
    for (context, state) in [("ci", "pending"), ("ci", "failure"), ("deploy", "pending"), ("ok", "success")] {
        shop.set_status(&head, context, state, "ci[bot]").await.unwrap();
    }
    let checks = pull.checks(&sha(&head)).await.unwrap();
    assert_eq!(checks.len(), 6 + 250 + 3);
    let of = |name: &str| {
        checks.iter().find(|check| check.name == name).map(|check| (check.app.as_deref(), check.state))
    };
    use CheckState::{Failed, Neutral, Passed, Pending, Skipped};
    for (name, app, state) in [
        ("Bugbot", Some("cursor"), Passed),
        ("lint", Some("cursor"), Failed),
        ("docs", Some("cursor"), Skipped),
        ("size", Some("cursor"), Neutral),
        ("slow", Some("cursor"), Pending),
        ("odd", Some("cursor"), Failed),
        ("ci", None, Failed),
        ("deploy", None, Pending),
        ("ok", None, Passed),
    ] {
        assert_eq!(of(name), Some((app, state)), "{name}");
    }
    assert_eq!(pull.checks(&sha(&shop.tip("main").await.unwrap())).await.unwrap(), []);
}

#[tokio::test]
async fn a_label_is_obeyed_if_who_set_it_last_may_write() {
    let (site, number, pull) = Site::with_pull().await;
    let shop = &site.shop;
    shop.set_role("ann", "maintain").await.unwrap();
    shop.set_role("eve", "triage").await.unwrap();
    shop.set_role("robot[bot]", "write").await.unwrap();
    // These changes fill more than one page of the label history.
    for _ in 0..60 {
        shop.set_label(number, "converge", true, "ann").await.unwrap();
        shop.set_label(number, "converge", false, "ann").await.unwrap();
    }
    shop.set_label(number, "converge", true, "eve").await.unwrap();
    shop.set_label(number, "mine", true, "ann").await.unwrap();
    shop.set_label(number, "bots", true, "robot[bot]").await.unwrap();
    let seen = async || {
        let labels = pull.labels().await.unwrap();
        labels
            .into_iter()
            .map(|label| (label.name, label.set_by.unwrap().login, label.is_setter_trusted))
            .collect::<Vec<_>>()
    };
    let of = |name: &str, by: &str, trusted| (name.to_owned(), by.to_owned(), trusted);
    assert_eq!(
        seen().await,
        [of("converge", "eve", false), of("mine", "ann", true), of("bots", "robot[bot]", false)]
    );
    shop.set_label(number, "converge", false, "eve").await.unwrap();
    shop.set_label(number, "converge", true, "ann").await.unwrap();
    assert_eq!(seen().await[2], of("converge", "ann", true));
    let request = pull.pull_request().await.unwrap();
    assert_eq!(request.labels.unwrap(), ["mine", "bots", "converge"]);
    let author = request.author.unwrap();
    assert_eq!((author.login.as_str(), author.is_person), ("author", true));
}

#[tokio::test]
async fn reviews_and_comments_of_anybody_are_seen_whole() {
    let (site, number, pull) = Site::with_pull().await;
    let shop = &site.shop;
    let first = shop.tip("feature").await.unwrap();
    let review = |body: &str, lines: &[u32]| BotReview {
        verdict: FakeReviewVerdict::Commented,
        body: body.into(),
        comments: lines.iter().map(|line| ("a.txt".into(), *line, format!("On {line}."))).collect(),
    };
    let lines: Vec<u32> = (1..=40).collect();
    for _ in 0..3 {
        shop.review_lines(number, "cursor[bot]", None, review("Found 40.", &lines)).await.unwrap();
    }
    let moved = CommitBuilder::new("More").write("a.txt", "other\n");
    let second = shop.push("feature", moved).await.unwrap();
    let last =
        shop.review_lines(number, "Cursor[bot]", Some(&second), review("Found 1.", &[1])).await.unwrap();
    let reviews = pull.reviews().await.unwrap();
    assert_eq!(reviews.len(), 4);
    assert_eq!(
        (reviews[3].id.as_str(), &reviews[3].commit),
        (last.to_string().as_str(), &Some(sha(&second)))
    );
    assert_eq!(
        (reviews[0].commit.clone(), reviews[0].topic.clone(), reviews[0].audit_mark()),
        (Some(sha(&first)), None, None)
    );

    let threads = pull.threads().await.unwrap();
    assert_eq!(threads.len(), 121);
    assert!(threads[..120].iter().all(|thread| thread.outdated && thread.comments[0].line.is_none()));
    let newest = &threads[120];
    assert!(!newest.outdated && newest.path == "a.txt" && newest.comments[0].line == Some(1));
    assert_eq!(newest.comments[0].review.as_ref().unwrap().as_str(), last.to_string());
    assert_eq!(newest.comments[0].commit, Some(sha(&second)));

    // The thread contains the authors of its first and its last comment, and the account that resolved it,
    // even if the first comment was deleted.
    let id: u64 = newest.comments[0].id.as_str().strip_prefix("review:").unwrap().parse().unwrap();
    shop.reply(number, "ann", id, "Why?").await.unwrap();
    pull.reply(&newest.comments[0].id, &topic("answer/1"), "So.").await.unwrap();
    shop.delete_comment(number, id).await.unwrap();
    let thread = pull.threads().await.unwrap().pop().unwrap();
    let by: Vec<_> =
        thread.comments.iter().map(|comment| comment.author.as_ref().unwrap().login.as_str()).collect();
    assert_eq!(by, ["ann", BOT]);
    assert_eq!(
        (thread.comments[1].topic.clone(), thread.comments[1].body.as_str()),
        (Some(topic("answer/1")), "So.")
    );
    let held = thread.thread.unwrap();
    assert_eq!(held.state, ThreadState::Open);
    pull.resolve(&held.id).await.unwrap();
    pull.resolve(&held.id).await.unwrap();
    shop.resolve_thread(number, threads[0].comments[0].id.as_str()[7..].parse().unwrap(), "ann")
        .await
        .unwrap();
    let threads = pull.threads().await.unwrap();
    let state = |at: usize| threads[at].thread.as_ref().map(|thread| thread.state);
    assert_eq!(
        (state(0), state(1), state(120)),
        (Some(ThreadState::ResolvedByOthers), Some(ThreadState::Open), Some(ThreadState::ResolvedByUs),)
    );
}

#[tokio::test]
async fn a_bot_is_woken_once_in_its_own_words() {
    let (site, number, pull) = Site::with_pull().await;
    let steps = [BotStep { adds_eyes_reaction: true, ..BotStep::default() }];
    let trigger = Some("bugbot run".to_owned());
    let bot = FakeBot {
        login: "cursor[bot]".into(),
        line_comment_author: None,
        trigger_text: trigger,
        steps: steps.into(),
    };
    site.shop.add_bot(bot).await.unwrap();
    // A comment counts as a trigger only if Truing's account wrote the comment and the comment contains only
    // the trigger words.
    let theirs = site.shop.comment(number, "ann", "Please: bugbot run").await.unwrap();
    assert_eq!(pull.matching_comments("bugbot run").await.unwrap(), []);
    let said = pull.trigger("bugbot run", UnixMillis(0)).await.unwrap();
    assert_eq!(pull.trigger("bugbot run", said.created).await.unwrap(), said);
    assert_eq!(pull.matching_comments("bugbot run\n").await.unwrap(), std::slice::from_ref(&said));
    let eyes = pull.eye_reactions(&said.id).await.unwrap();
    assert_eq!(eyes.iter().map(|by| by.login.as_str()).collect::<Vec<_>>(), ["cursor[bot]"]);
    let theirs = CommentId::new(format!("issue:{theirs}"));
    assert_eq!(pull.eye_reactions(&theirs).await.unwrap(), []);
    let comment = site.shop.pull(number).await.unwrap();
    assert_eq!(comment.conversation_comments().last().unwrap().body, "bugbot run", "and no marker");
    // A trigger with other words is posted only once, even if responses are lost.
    let later = UnixMillis(said.created.0 + 1000);
    for kind in
        [ForgeFaultKind::DropConnection, ForgeFaultKind::Status(502, None), ForgeFaultKind::LostResponse]
    {
        site.fault("POST", COMMENTS, kind);
        let error = pull.trigger("other run", UnixMillis(0)).await;
        assert!(error.is_ok() || !error.unwrap_err().has_no_effect());
    }
    pull.trigger("other run", UnixMillis(0)).await.unwrap();
    assert_eq!(pull.matching_comments("other run").await.unwrap().len(), 1);
    pull.trigger("bugbot run", later).await.unwrap();
    assert_eq!(pull.matching_comments("bugbot run").await.unwrap().len(), 2);
    refused(pull.eye_reactions(&CommentId::new("review:1")).await);
    site.forge.clear_faults();
}

#[tokio::test]
async fn a_review_is_asked_for_as_often_as_one_likes() {
    let (site, _, pull) = Site::with_pull().await;
    let review =
        BotReview { verdict: FakeReviewVerdict::Commented, body: "Fine.".into(), comments: Vec::new() };
    let steps = [BotStep::default(), BotStep { review: Some(review), ..BotStep::default() }];
    let login = "copilot-pull-request-reviewer[bot]";
    let bot = FakeBot {
        login: login.into(),
        line_comment_author: Some("Copilot".into()),
        trigger_text: None,
        steps: steps.into(),
    };
    site.shop.add_bot(bot).await.unwrap();
    site.fault(
        "POST",
        "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers",
        ForgeFaultKind::LostResponse,
    );
    pull.request_review(login).await.unwrap();
    pull.request_review("Copilot").await.unwrap();
    let requested = pull.pull_details().await.unwrap().requested_reviewers;
    assert_eq!(requested.iter().map(|asked| asked.login.as_str()).collect::<Vec<_>>(), [login]);
    refused(pull.request_review("copilot-pull-request-reviewer").await);
    refused(pull.request_review("author").await);
}

#[tokio::test]
async fn it_is_made_ready_whoever_opened_it() {
    let (site, number, pull) = Site::with_pull().await;
    pull.mark_ready().await.unwrap();
    for kind in
        [ForgeFaultKind::DropConnection, ForgeFaultKind::LostResponse, ForgeFaultKind::Status(502, None)]
    {
        site.shop.set_draft(number, true).await.unwrap();
        site.fault("POST", "/graphql", kind);
        pull.mark_ready().await.unwrap();
        assert!(!site.shop.pull(number).await.unwrap().draft);
    }
    site.shop.set_draft(number, true).await.unwrap();
    site.shop.set_role(BOT, "triage").await.unwrap();
    assert!(pull.mark_ready().await.is_err());
    site.shop.set_role(BOT, "write").await.unwrap();
    site.shop.close_pull(number).await.unwrap();
    refused(pull.mark_ready().await);
    let closed = site.shop.pull(number).await.unwrap();
    assert!(closed.draft && !closed.open);
}

#[tokio::test]
async fn an_app_makes_ready_with_a_token_that_may() {
    let (site, number, _) = Site::with_pull().await;
    let app = site.forge.register_app("pusher").unwrap();
    let installation = site.forge.install(&app, "acme");
    let key = AppKey::from_pem(&app.private_key).unwrap();
    let as_app = github(&site.forge, GitHubCredentials::App { id: app.id, key });
    let id = truing_core::id::PrId { forge: "github".into(), repository: site.id.clone(), number };
    let pull = as_app.client(&id, "acme/shop", truing_core::publish::CommentProducer::Converge);
    site.shop.set_draft(number, true).await.unwrap();
    assert_eq!(pull.pull_details().await.unwrap().head.can_push, Some(false));
    assert!(matches!(pull.mark_ready().await, Err(ForgeError::Forbidden { .. })));
    site.forge.grant(installation, "contents", "write");
    pull.mark_ready().await.unwrap();
    assert!(!site.shop.pull(number).await.unwrap().draft);
    // The client changes the description of another account's pull request with the token that cannot push.
    assert_eq!(pull.describe("What it does.", "Anew.").await.unwrap(), EffectOutcome::Applied);
}

#[tokio::test]
async fn a_description_is_replaced_only_if_it_is_the_one_that_was_read() {
    let (site, number, pull) = Site::with_pull().await;
    let body = async || site.shop.pull(number).await.unwrap().body;
    let read = pull.pull_details().await.unwrap().body;
    site.fault("PATCH", "/repos/{owner}/{repo}/pulls/{number}", ForgeFaultKind::LostResponse);
    assert_eq!(pull.describe(&read, "New.\r\n<!-- truing:1 x -->").await.unwrap(), EffectOutcome::Applied);
    assert_eq!(body().await, "New.\n&lt;!-- truing:1 x -->");
    let same = pull.describe(&read, "New.\r\n<!-- truing:1 x -->").await;
    assert_eq!(same.unwrap(), EffectOutcome::Applied);
    site.shop.set_description(number, "By hand.").await.unwrap();
    assert_eq!(pull.describe(&read, "Newer.").await.unwrap(), EffectOutcome::Superseded);
    assert_eq!(body().await, "By hand.");

    // Truing's pull request is recognised by its marker, even if other text of the description was changed. A
    // marker in another account's pull request has no effect.
    site.shop.push("ours", CommitBuilder::new("x").write("a.txt", "two\n").with_author(BOT)).await.unwrap();
    let ours = site.open("ours").await;
    let conversation = site.conversation(ours.number);
    let read = conversation.pull_details().await.unwrap().body;
    assert_eq!(read, ours.body);
    assert_eq!(conversation.describe(&read, "Ours, anew.").await.unwrap(), EffectOutcome::Applied);
    use truing_core::port::ForgeRead as _;
    let again = site.hub.pulls_from_branch("ours").await.unwrap().remove(0);
    assert_eq!((again.topic, again.body.as_str()), (ours.topic, "Ours, anew."));
    let marked = site.shop.pull(ours.number).await.unwrap().body;
    site.shop.set_description(number, &marked).await.unwrap();
    assert_eq!(pull.describe("Ours, anew.", "Theirs.").await.unwrap(), EffectOutcome::Applied);
    assert_eq!(body().await, "Theirs.");
}

#[tokio::test]
async fn a_limit_is_told_and_nothing_is_believed_of_half_an_answer() {
    let (site, number, pull) = Site::with_pull().await;
    site.shop.comment_on_line(number, "ann", "a.txt", (FakeDiffSide::Right, 1), "Hm.").await.unwrap();
    let pulls = "/repos/{owner}/{repo}/pulls/{number}";
    let limited = |error: ForgeError| assert!(matches!(error, ForgeError::RateLimited { .. }), "{error}");
    site.fault("GET", &format!("{pulls}/comments"), ForgeFaultKind::SecondaryLimit(Some(1)));
    limited(pull.threads().await.unwrap_err());
    let fresh =
        github(&site.forge, GitHubCredentials::Token(truing_forge::SecretString::new(super::site::TOKEN)));
    let id = truing_core::id::PrId { forge: "github".into(), repository: site.id.clone(), number };
    let pull = fresh.client(&id, "acme/shop", truing_core::publish::CommentProducer::Converge);
    for kind in [ForgeFaultKind::Truncated, ForgeFaultKind::Status(502, None), ForgeFaultKind::DropConnection]
    {
        site.fault("GET", &format!("{pulls}/reviews"), kind.clone());
        let reviews = pull.reviews().await;
        // A temporary error is retried; a truncated response is an error.
        assert_eq!(reviews.is_err(), kind == ForgeFaultKind::Truncated, "{kind:?}: {reviews:?}");
    }
    site.fault("GET", &format!("{pulls}/reviews"), ForgeFaultKind::SelfLinkedPage);
    assert!(matches!(pull.reviews().await, Err(ForgeError::Unavailable { .. })));
}

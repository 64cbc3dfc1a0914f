//! Tests of `/dismiss`, as a reply to a finding's comment or with the finding's id. The dismissal lasts until
//! the code of the finding changes.

use truing_core::dismissal::short_id;
use truing_core::finding::{Finding, FindingStatus};
use truing_core::id::{FindingId, TimeSpan};
use truing_core::port::{RunStore as _, SweepStore as _};
use truing_fakes::forge::{CommentView, FakeDiffSide, ForgeFault, ForgeFaultKind, NewPull};
use truing_fakes::repo::CommitBuilder;

use crate::sweep::change::{BOT, FOUND, LIB, NEW, STAY};
use crate::sweep::commands::{acts, all_served};
use crate::sweep::site::{FORGE, Opened, Running, Site};
use crate::sweep::{SweepStage, reviewed, shown};

/// A file with findings that the second push does not change.
const PATH: &str = "src/lib.rs";

async fn reviewed_for_ada(site: &Site) -> (Running, Opened) {
    site.repo.set_role("ada", "write").await.unwrap();
    reviewed(site).await
}

/// Returns our comment on this line of the file.
async fn on(site: &Site, opened: &Opened, path: &str, line: u32) -> CommentView {
    let view = site.view(opened).await;
    let is_there = |comment: &&CommentView| {
        let place = comment.place.as_ref();
        comment.author == BOT
            && place.is_some_and(|place| place.path == path && place.line.is_some_and(|at| at.1 == line))
    };
    view.inline_comments().find(is_there).unwrap().clone()
}

/// Returns the id of the finding on this line of [`PATH`], from the records.
async fn finding_at(site: &Site, service: &Running, opened: &Opened, line: u32) -> FindingId {
    let findings = service.store.findings(&site.key(opened.number).await).await.unwrap();
    let at = |path: &str| path == PATH;
    let found = findings.iter().find(|finding| {
        finding.raw.location.path.as_str().is_some_and(at) && finding.raw.location.start_line == line
    });
    found.unwrap().id.clone()
}

/// Replies to our comment on this line of [`PATH`], delivers the event, and waits until the service has no
/// work left.
async fn answer(site: &Site, service: &Running, opened: &Opened, who: &str, line: u32, body: &str) -> u64 {
    let first = on(site, opened, PATH, line).await.id;
    let id = site.repo.reply(opened.number, who, first, body).await.unwrap();
    settle(site, service).await;
    id
}

async fn settle(site: &Site, service: &Running) {
    site.deliver().await;
    all_served(service).await;
    service.rest(&site.clock).await;
}

fn is_dismissed(comment: &CommentView, told: &str) -> bool {
    comment.resolved && comment.body.contains(&format!("**Dismissed:** {told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_findings_comment_dismisses_it_for_as_long_as_its_code_is_the_same() {
    let site = Site::new().await;
    let (service, mut opened) = reviewed_for_ada(&site).await;
    answer(&site, &service, &opened, "ada", 3, "/dismiss only a *test*\r\nAs agreed.").await;
    assert!(is_dismissed(&on(&site, &opened, PATH, 3).await, "only a \\*test\\* (ada)"));
    let picture = site.picture(&opened).await;
    assert_eq!(picture.open(), FOUND - 1);
    assert!(picture.summaries[0].contains("## Truing: 11 findings"), "{}", picture.summaries[0]);
    assert!(picture.summaries[0].contains("1 finding dismissed."), "{}", picture.summaries[0]);
    assert!(!picture.summaries[0].contains("fixed since"), "{}", picture.summaries[0]);
    assert_eq!(picture.status, Some(("failure".to_owned(), "11 findings".to_owned())));
    assert_eq!(acts(&service).await, [format!("ada@{FORGE}: /dismiss")]);
    let key = site.key(opened.number).await;
    let id = finding_at(&site, &service, &opened, 3).await;
    let told = format!("`/dismiss {}` by ada@{FORGE}: only a *test*", short_id(&id));
    let history = service.history(&key).await;
    assert!(history.contains(&told), "{history:#?}");

    // Later pushes do not change the dismissed finding, and do not post it again.
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_eq!(shown(&site, &opened).await, ("SECOND".to_owned(), STAY + NEW - 1));
    // If the code of the finding changes, the finding is open again, in the same thread.
    let before = site.view(&opened).await.inline_comments().count();
    let changed = LIB.replace("dbg!(x);", "dbg!(x, 7);");
    site.repo.push(&opened.branch, CommitBuilder::new("Change it").write(PATH, changed)).await.unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let findings = service.store.findings(&key).await.unwrap();
    let dismissed = |finding: &&Finding| matches!(finding.status, FindingStatus::Dismissed(_));
    assert_eq!(findings.iter().filter(dismissed).count(), 0);
    assert_eq!(findings.iter().find(|finding| finding.id == id).map(|finding| finding.is_open()), Some(true));
    assert_eq!(site.view(&opened).await.inline_comments().count(), before, "no second comment");
    assert!(!on(&site, &opened, PATH, 3).await.body.contains("**Dismissed:**"));
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_dismissed_by_its_id_and_by_the_sweep_alone() {
    let site = Site::new().await;
    let (service, opened) = reviewed_for_ada(&site).await;
    let id = finding_at(&site, &service, &opened, 3).await;
    let first = on(&site, &opened, PATH, 5).await.id;
    let mut sweep = SweepStage::of(&site);
    sweep.look().await;
    // The deliveries of these comments are lost.
    let by_id = format!("/dismiss {} by its id", &id.as_str()[..12]);
    site.repo.comment(opened.number, "ada", &by_id).await.unwrap();
    site.repo.reply(opened.number, "ada", first, "/dismiss in its thread").await.unwrap();
    site.forge.take_deliveries();
    for _ in 0..2 {
        sweep.round(&site).await;
        all_served(&service).await;
        service.rest(&site.clock).await;
    }
    assert!(is_dismissed(&on(&site, &opened, PATH, 3).await, "by its id (ada)"));
    assert!(is_dismissed(&on(&site, &opened, PATH, 5).await, "in its thread (ada)"));
    assert_eq!(acts(&service).await.len(), 2, "each acts once, however often it is seen");
    assert_eq!(site.picture(&opened).await.open(), FOUND - 2);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_and_what_names_nothing_dismisses_nothing_and_history_says_why() {
    let site = Site::new().await;
    site.repo.set_role("rea", "read").await.unwrap();
    let (service, opened) = reviewed_for_ada(&site).await;
    answer(&site, &service, &opened, "rea", 3, "/dismiss please").await;
    answer(&site, &service, &opened, "ada", 3, "/dismiss").await;
    let mine = site
        .repo
        .comment_on_line(opened.number, "ada", PATH, (FakeDiffSide::Right, 1), "Nice.")
        .await
        .unwrap();
    site.repo.reply(opened.number, "ada", mine, "/dismiss not a finding").await.unwrap();
    for body in ["/dismiss which one", "/dismiss 1:ffffffff none", "/dismiss 1:0 too short"] {
        site.repo.comment(opened.number, "ada", body).await.unwrap();
    }
    let deleted = site.repo.comment(opened.number, "ada", "/dismiss gone").await.unwrap();
    site.repo.delete_comment(opened.number, deleted).await.unwrap();
    site.deliver().await;
    // A new comment may not be visible yet. The service therefore waits before it treats the comment as
    // deleted.
    crate::sweep::site::until("all comments are served", async || {
        site.clock.skip(TimeSpan::seconds(1));
        service.store.unserved_requests(FORGE, 9).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(acts(&service).await, Vec::<String>::new());
    assert_eq!(site.picture(&opened).await.open(), FOUND);
    let history = service.history(&site.key(opened.number).await).await;
    let told = |reason: &str| {
        let line = format!("`/dismiss` by ada@{FORGE} was not run: {reason}");
        history.iter().filter(|told| **told == line).count()
    };
    assert_eq!(told("it gives no reason"), 1, "{history:#?}");
    assert_eq!(told("no finding of this pull request has this id"), 1, "{history:#?}");
    assert!(told("it neither replies to a finding's comment nor names a finding") >= 1, "{history:#?}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissal_while_a_review_is_running_is_not_lost_and_an_edit_changes_nothing() {
    let site = Site::new().await;
    let (service, mut opened) = reviewed_for_ada(&site).await;
    let first = on(&site, &opened, PATH, 3).await.id;
    let held = ForgeFaultKind::HeldResponse;
    site.forge.add_fault(ForgeFault::on_call("POST", "/repos/{owner}/{repo}/pulls/{number}/reviews$", held));
    site.push_second(&mut opened).await;
    site.deliver().await;
    let key = site.key(opened.number).await;
    site.forge.wait_for_held_request().await;
    service.state(&key, "leased (review)").await;
    let id = site.repo.reply(opened.number, "ada", first, "/dismiss in between").await.unwrap();
    site.deliver().await;
    site.forge.release_held_requests();
    all_served(&service).await;
    service.rest(&site.clock).await;
    assert!(is_dismissed(&on(&site, &opened, PATH, 3).await, "in between (ada)"));
    assert_eq!(shown(&site, &opened).await, ("SECOND".to_owned(), STAY + NEW - 1));
    site.repo.edit_comment(opened.number, id, "/dismiss for another reason").await.unwrap();
    settle(&site, &service).await;
    site.repo.delete_comment(opened.number, id).await.unwrap();
    assert!(is_dismissed(&on(&site, &opened, PATH, 3).await, "in between (ada)"));
    // After another dismissal, the comment shows the newest reason.
    answer(&site, &service, &opened, "ada", 3, "/dismiss for another reason").await;
    assert!(is_dismissed(&on(&site, &opened, PATH, 3).await, "for another reason (ada)"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissal_is_taken_back_in_its_thread_or_by_its_id_by_whoever_may_write() {
    let site = Site::new().await;
    site.repo.set_role("rea", "read").await.unwrap();
    let (service, mut opened) = reviewed_for_ada(&site).await;
    let is_open = async |line| {
        let comment = on(&site, &opened, PATH, line).await;
        !comment.resolved && !comment.body.contains("**Dismissed:**")
    };
    let id = finding_at(&site, &service, &opened, 3).await;
    answer(&site, &service, &opened, "ada", 3, "/undismiss").await;
    answer(&site, &service, &opened, "ada", 3, "/dismiss wanted").await;
    assert!(on(&site, &opened, PATH, 3).await.body.contains("Answer with `/undismiss`"));
    answer(&site, &service, &opened, "rea", 3, "/undismiss").await;
    assert!(is_dismissed(&on(&site, &opened, PATH, 3).await, "wanted (ada)"));
    answer(&site, &service, &opened, "ada", 3, "/undismiss").await;
    assert!(is_open(3).await);
    assert_eq!(site.picture(&opened).await.open(), FOUND);
    answer(&site, &service, &opened, "ada", 3, "/dismiss wanted after all").await;
    let by_id = format!("/undismiss {}", &id.as_str()[..12]);
    site.repo.comment(opened.number, "ada", &by_id).await.unwrap();
    settle(&site, &service).await;
    assert!(is_open(3).await);
    let history = service.history(&site.key(opened.number).await).await;
    let told = |what: &str| history.iter().filter(|line| line.as_str() == what).count();
    assert_eq!(told(&format!("`/undismiss` by ada@{FORGE} was not run: that finding is not dismissed")), 1);
    assert_eq!(told(&format!("`/undismiss {}` by ada@{FORGE}", short_id(&id))), 2, "{history:#?}");
    // After the next push, the finding is still open.
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_eq!(shown(&site, &opened).await, ("SECOND".to_owned(), STAY + NEW));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_closed_pull_request_it_is_kept_and_a_secret_is_still_named() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let service = site.serve().await;
    let conflict = "<<<<<<< HEAD\na()\n=======\nb()\n>>>>>>> change\n";
    site.repo.push("change", CommitBuilder::new("Merge").write(PATH, conflict)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("change")).await.unwrap();
    let opened = Opened { number, branch: "change".into(), first: String::new(), second: None };
    settle(&site, &service).await;
    let view = site.view(&opened).await;
    let (first, line) = view.inline_comments().find_map(|comment| Some((comment.id, comment.line?))).unwrap();
    site.repo.close_pull(opened.number).await.unwrap();
    site.deliver().await;
    let key = site.key(number).await;
    service.state(&key, "held (cancelled)").await;
    site.repo.reply(opened.number, "ada", first, "/dismiss a key of the tests").await.unwrap();
    site.deliver().await;
    all_served(&service).await;
    service.state(&key, "held (cancelled)").await;
    assert_eq!(site.view(&opened).await.inline_comments().filter(|comment| comment.resolved).count(), 0);
    let history = service.history(&key).await;
    let kept = "a key of the tests: the decision becomes visible when the pull request is open again";
    assert!(history.iter().any(|told| told.ends_with(kept)), "{history:#?}");
    site.repo.reopen_pull(opened.number).await.unwrap();
    settle(&site, &service).await;
    assert!(is_dismissed(&on(&site, &opened, PATH, line).await, "a key of the tests (ada)"));
    let summary = site.view(&opened).await.conversation_comments().next().unwrap().body.clone();
    assert!(summary.contains("dismissed: a key of the tests (ada)"), "{summary}");
    assert!(summary.contains("- **P0** "), "{summary}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_the_reason_of_a_comment_is_not_repeated() {
    let site = Site::new().await;
    let (service, opened) = reviewed_for_ada(&site).await;
    let secret = ["ghp_", "0123456789abcdefghijklmnopQrstuvwxyz"].concat();
    answer(&site, &service, &opened, "ada", 3, &format!("/dismiss as in {secret}")).await;
    let comment = on(&site, &opened, PATH, 3).await;
    assert!(comment.resolved && comment.body.contains("**Dismissed:** as in ghp"), "{}", comment.body);
    assert!(!comment.body.contains("0123456789abc"), "{}", comment.body);
    let history = service.history(&site.key(opened.number).await).await;
    assert!(history.iter().any(|told| told.ends_with(": as in ghp_…")), "{history:#?}");
    assert!(!history.concat().contains(&secret), "{history:#?}");
    service.stop().await;
}

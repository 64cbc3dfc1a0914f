//! Tests of the permission that a command requires, and of commands that the service sees repeatedly.

use truing_core::id::TimeSpan;
use truing_core::port::SweepStore as _;
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, ForgeFlavour, TokenKind};

use crate::sweep::change::BOT;
use crate::sweep::site::{FORGE, Opened, Running, Site, TOKEN};
use crate::sweep::{SweepStage, reviewed};

const PERMISSION: &str = "/repos/{owner}/{repo}/collaborators";

/// Returns the actor and the action of each audit entry, oldest first.
pub(crate) async fn acts(service: &Running) -> Vec<String> {
    let mut acts = service.store.audit_entries(100).await.unwrap();
    acts.reverse();
    acts.into_iter().map(|audited| format!("{}: {}", audited.action.actor, audited.action.action)).collect()
}

pub(crate) async fn all_served(service: &Running) {
    crate::sweep::site::until("all comments are served", async || {
        service.store.unserved_requests(FORGE, 9).await.unwrap().is_empty()
    })
    .await;
}

/// Posts a comment by an account, and delivers the event.
async fn comment(site: &Site, opened: &Opened, who: &str, body: &str) -> u64 {
    let id = site.repo.comment(opened.number, who, body).await.unwrap();
    site.deliver().await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_write_commands_and_nobody_else() {
    let site = Site::new().await;
    for (login, role) in [
        ("ada", "write"),
        ("mia", "maintain"),
        ("adam", "admin"),
        ("tri", "triage"),
        ("rea", "read"),
        ("non", "none"),
        ("helper[bot]", "admin"),
        (BOT, "admin"),
    ] {
        site.repo.set_role(login, role).await.unwrap();
    }
    let (service, opened) = reviewed(&site).await;
    for who in ["tri", "rea", "non", "stranger", "helper[bot]", BOT] {
        comment(&site, &opened, who, "/review").await;
    }
    all_served(&service).await;
    assert_eq!(acts(&service).await, Vec::<String>::new());
    let key = site.key(opened.number).await;
    assert_eq!(service.published(&key).await, 1);
    for (times, who) in [(2, "ada"), (3, "mia"), (4, "adam"), (5, "acme")] {
        comment(&site, &opened, who, "/review full").await;
        crate::sweep::site::until("it is reviewed again", async || service.published(&key).await == times)
            .await;
    }
    let expected = ["ada", "mia", "adam", "acme"].map(|who| format!("{who}@{FORGE}: /review full"));
    assert_eq!(acts(&service).await, expected);
    service.rest(&site.clock).await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    service.stop().await;
}

/// The scopes of an API token of Bitbucket Cloud without administration.
const REVIEW_SCOPES: [(&str, &str); 5] = [
    ("read:user:bitbucket", ""),
    ("read:workspace:bitbucket", ""),
    ("read:repository:bitbucket", ""),
    ("read:pullrequest:bitbucket", ""),
    ("write:pullrequest:bitbucket", ""),
];

/// Creates a Bitbucket Cloud whose token may not read who has write access, and lists the accounts whose
/// commands count.
async fn cloud_without_permissions(listed: &[&str]) -> Site {
    let mut site = Site::of(ForgeFlavour::Cloud, TimeSpan(300)).await;
    site.forge.revoke_token(TOKEN);
    site.forge.register_limited_token(TOKEN, TokenKind::ApiToken, BOT, "acme", &REVIEW_SCOPES);
    site.list_command_accounts(listed);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_account_commands_where_the_token_cannot_read_permissions() {
    let site = cloud_without_permissions(&["ada", "bea"]).await;
    site.repo.set_role("wil", "write").await.unwrap();
    // Bea was renamed, and another account took her name.
    site.forge.rename_account("bea", "beatrice");
    let (service, opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    for who in ["wil", "bea", BOT] {
        comment(&site, &opened, who, "/review full").await;
    }
    all_served(&service).await;
    assert_eq!(acts(&service).await, Vec::<String>::new());
    for (times, who) in [(2, "ada"), (3, "beatrice")] {
        comment(&site, &opened, who, "/review full").await;
        crate::sweep::site::until("it is reviewed again", async || service.published(&key).await == times)
            .await;
    }
    service.rest(&site.clock).await;
    let first = site.view(&opened).await.inline_comments().next().unwrap().id;
    site.repo.reply(opened.number, "ada", first, "/dismiss only a test").await.unwrap();
    site.deliver().await;
    all_served(&service).await;
    service.rest(&site.clock).await;
    let dismissed = |body: &str| body.contains("**Dismissed:** only a test");
    let view = site.view(&opened).await;
    assert_eq!(view.inline_comments().filter(|comment| dismissed(&comment.body)).count(), 1);
    let mut acts = acts(&service).await;
    acts[2].truncate("ada@fake: /dismiss".len());
    assert_eq!(acts, ["ada@fake: /review full", "beatrice@fake: /review full", "ada@fake: /dismiss"]);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_account_commands_nothing_where_the_token_can_read_permissions() {
    let site = cloud_without_permissions(&["ada"]).await;
    site.repo.set_role(BOT, "admin").await.unwrap();
    site.repo.set_role("ada", "read").await.unwrap();
    site.repo.set_role("wil", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    comment(&site, &opened, "ada", "/review").await;
    comment(&site, &opened, "wil", "/review").await;
    all_served(&service).await;
    assert_eq!(acts(&service).await, ["wil@fake: /review"]);
    service.rest(&site.clock).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_is_told_of_again_after_a_month_commands_nothing() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    site.repo.comment(opened.number, "ada", "/review").await.unwrap();
    site.clock.skip(TimeSpan::minutes(31 * 24 * 60));
    site.deliver().await;
    all_served(&service).await;
    assert_eq!(acts(&service).await, Vec::<String>::new());
    comment(&site, &opened, "ada", "/review").await;
    all_served(&service).await;
    assert_eq!(acts(&service).await, [format!("ada@{FORGE}: /review")], "a new one does");
    service.rest(&site.clock).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_acts_once_however_often_it_is_told_and_edited() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    let id = site.repo.comment(opened.number, "ada", "/review").await.unwrap();
    let told = site.forge.take_deliveries().remove(0);
    for _ in 0..3 {
        assert_eq!(site.forge.deliver(&told).await.unwrap(), 202);
    }
    crate::sweep::site::until("it is reviewed again", async || service.published(&key).await == 2).await;
    let talk = comment(&site, &opened, "ada", "Thank you.").await;
    service.rest(&site.clock).await;
    service.stop().await;

    let mut swept = SweepStage::of(&site);
    swept.obey(&site).await;
    site.clock.skip(TimeSpan::minutes(10));
    for (id, body) in [(id, "/review full"), (talk, "/review")] {
        site.repo.edit_comment(opened.number, id, body).await.unwrap();
    }
    swept.obey(&site).await;
    swept.obey(&site).await;
    assert_eq!(swept.state(&key).await, "idle", "an edit makes no new command");
    assert_eq!(swept.store.audit_entries(9).await.unwrap().len(), 1);
    // A new comment is a command; here, only the sweep finds it.
    site.repo.comment(opened.number, "ada", "/review").await.unwrap();
    swept.obey(&site).await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_command_that_another_account_wrote() {
    let site = Site::new().await;
    for login in ["ada", "eve", "helper[bot]"] {
        site.repo.set_role(login, "write").await.unwrap();
    }
    let (service, opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    // The webhooks report Ada's own text. Another account replaces the text before the service reads it.
    for (own, editor, foreign) in [
        ("/review", "eve", "/review full"),
        ("/review", "helper[bot]", "/review pause"),
        ("/help", "eve", "/review"),
    ] {
        let id = site.repo.comment(opened.number, "ada", own).await.unwrap();
        site.repo.edit_comment_as(opened.number, id, editor, foreign).await.unwrap();
        site.deliver().await;
        all_served(&service).await;
    }
    assert_eq!(acts(&service).await, Vec::<String>::new());
    let history = service.history(&key).await;
    let line = "`/review full` in a comment of ada@fake was not run: eve edited the comment, so its author did \
        not write this text: write a new comment";
    assert!(history.iter().any(|told| told == line), "{history:#?}");
    service.rest(&site.clock).await;
    service.stop().await;

    // The sweep finds the edited text.
    let mut swept = SweepStage::of(&site);
    swept.obey(&site).await;
    let line_comment = site.view(&opened).await.inline_comments().next().unwrap().id;
    let talk = site.repo.comment(opened.number, "ada", "Thank you.").await.unwrap();
    let reply = site.repo.reply(opened.number, "ada", line_comment, "Is it?").await.unwrap();
    site.repo.edit_comment_as(opened.number, talk, "eve", "/review").await.unwrap();
    site.repo.edit_comment_as(opened.number, reply, "eve", "/dismiss it is not").await.unwrap();
    swept.obey(&site).await;
    assert_eq!(swept.state(&key).await, "idle");
    assert_eq!(swept.store.audit_entries(9).await.unwrap(), []);
    // The author's own edit counts.
    let talk = site.repo.comment(opened.number, "ada", "/reviw").await.unwrap();
    site.repo.edit_comment(opened.number, talk, "/review").await.unwrap();
    swept.obey(&site).await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_until_it_is_resumed() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, mut opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    comment(&site, &opened, "ada", "/review pause").await;
    service.state(&key, "held (paused)").await;
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest_as_it_is().await;
    assert_eq!(service.published(&key).await, 1);
    comment(&site, &opened, "ada", "/review resume").await;
    crate::sweep::site::until("it is reviewed", async || service.published(&key).await == 2).await;
    service.rest(&site.clock).await;
    let history = service.history(&key).await;
    for line in
        ["`/review pause` by ada@fake: paused by hand", "`/review resume` by ada@fake: resumed by hand"]
    {
        assert!(history.iter().any(|told| told == line), "{history:#?}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_while_a_review_is_running_begins_when_it_ends() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let service = site.serve().await;
    let path = "/repos/{owner}/{repo}/pulls/{number}/reviews$";
    site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::HeldResponse));
    let opened = site.open("change").await;
    let key = site.key(opened.number).await;
    site.deliver().await;
    site.forge.wait_for_held_request().await;
    service.state(&key, "leased (review)").await;
    comment(&site, &opened, "ada", "/review pause").await;
    service.state(&key, "leased (review), paused afterwards").await;
    site.forge.release_held_requests();
    service.state(&key, "held (paused)").await;
    assert_eq!(service.published(&key).await, 1, "the review that was running is not lost");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_cannot_be_asked_is_asked_again() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    let told = |times| ForgeFault::on_call("GET", PERMISSION, ForgeFaultKind::Status(502, None)).times(times);
    site.forge.add_fault(told(9));
    comment(&site, &opened, "ada", "/review").await;
    crate::sweep::site::until("it was asked", async || {
        site.forge.request_log().iter().any(|call| call.path.contains("/collaborators/ada/"))
    })
    .await;
    assert_eq!(service.published(&key).await, 1, "no answer is no permission");
    // The service restarts. The command is still in the store.
    service.stop().await;
    let service = site.serve().await;
    crate::sweep::site::until("it is reviewed again", async || {
        // The clock must not move during a lease, because the lease could expire.
        if !service.is_leased(&key).await {
            site.clock.skip(TimeSpan::seconds(1));
        }
        service.published(&key).await == 2
    })
    .await;
    assert_eq!(acts(&service).await.len(), 1);
    service.stop().await;
}

/// Posts the command `/review` on each pull request, in this order, and runs a sweep that finds the commands.
async fn heard(site: &Site, pulls: &[&Opened]) -> SweepStage {
    let mut swept = SweepStage::of(site);
    swept.look().await;
    site.clock.skip(TimeSpan::minutes(60));
    for pull in pulls {
        site.repo.comment(pull.number, "ada", "/review").await.unwrap();
    }
    swept.round(site).await;
    assert_eq!(swept.store.unserved_requests(FORGE, 9).await.unwrap().len(), pulls.len());
    swept
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_a_slot_that_cannot_be_read_holds_up_no_other() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let damaged = site.open("damaged").await;
    let key = site.key(damaged.number).await;
    rusqlite::Connection::open(site.database())
        .unwrap()
        .execute("INSERT INTO slot (key, version, wakes_at, body) VALUES (?1, 1, NULL, '{}')", [key.as_str()])
        .unwrap();
    let mut swept = heard(&site, &[&damaged, &opened]).await;
    swept.commands.process_requests(&swept.context).await.unwrap();
    assert_eq!(swept.state(&site.key(opened.number).await).await, "waiting (debounce)");
    assert_eq!(swept.store.unserved_requests(FORGE, 9).await.unwrap(), [], "it is given up");
    assert_eq!(swept.store.audit_entries(9).await.unwrap().len(), 1, "and did nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_tried_seldom_and_costs_few_calls() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let mut swept = heard(&site, &[&opened]).await;
    let database = rusqlite::Connection::open(site.database()).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON comment_seen BEGIN SELECT RAISE(FAIL, 'no'); END";
    database.execute_batch(refuse).unwrap();
    let asked =
        || site.forge.request_log().iter().filter(|call| call.path.contains("/issues/comments/")).count();
    let before = asked();
    for _ in 0..60 {
        site.clock.skip(TimeSpan::seconds(2));
        swept.commands.process_requests(&swept.context).await.unwrap();
    }
    assert_eq!(asked() - before, 4, "in two minutes: at once, after 15 s, 30 s and 60 s");
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    site.clock.skip(TimeSpan::minutes(2));
    swept.commands.process_requests(&swept.context).await.unwrap();
    assert_eq!(swept.state(&site.key(opened.number).await).await, "waiting (debounce)");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_is_answered_once_for_each_person_who_may_write_and_reviews_leave_it_alone() {
    let site = Site::new().await;
    for (login, role) in [("ada", "write"), ("mia", "maintain"), ("rea", "read")] {
        site.repo.set_role(login, role).await.unwrap();
    }
    let (service, opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    for who in ["ada", "rea", "ada", "mia", BOT] {
        comment(&site, &opened, who, "/help").await;
        all_served(&service).await;
    }
    let answers = async || {
        let view = site.repo.pull(opened.number).await.unwrap();
        let ours = view.conversation_comments().filter(|comment| comment.body.starts_with("Commands for"));
        ours.map(|comment| comment.body.lines().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let line = |who: &str| format!("Commands for `{who}`, each as the first line of a comment:");
    assert_eq!(answers().await, [line("ada"), line("mia")]);
    assert_eq!(acts(&service).await, Vec::<String>::new(), "it changes nothing");
    comment(&site, &opened, "ada", "/review full").await;
    crate::sweep::site::until("it is reviewed again", async || service.published(&key).await == 2).await;
    assert_eq!(answers().await, [line("ada"), line("mia")]);
    service.rest(&site.clock).await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    service.stop().await;
}

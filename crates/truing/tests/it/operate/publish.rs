//! Tests of `truing review --publish`: the result is that of a served review, also beside a server, after a
//! crash, and in a dry run.

use std::sync::Arc;

use truing_core::id::{PrId, RunId, SlotKey};
use truing_core::port::{Clock as _, EffectLog as _, EffectOwner, PullRevision, RunReference, RunStore as _};
use truing_core::publish::CommentProducer;
use truing_core::slot::{LoopKind, SlotLimits};
use truing_loops::machine::SystemClock;
use truing_service::manual_lease;
use truing_store::{CommandLock, Store};

use super::visible::http_get;
use super::*;

impl Site {
    fn publish(&self, more: &[&str]) -> Ran {
        self.run(&[&["review", "--pr", "o/r#1", "--publish", "--color", "never"], more].concat())
    }

    async fn key(&self, number: u64) -> SlotKey {
        let repository = self.repo.id().await.unwrap().to_string();
        PrId { forge: "github".into(), repository, number }.key()
    }

    fn store(&self) -> Store {
        Store::open(&database(self.home.path()), Arc::new(SystemClock)).unwrap()
    }
}

/// Returns the actions that the publication has performed, from the JSON output of the review.
fn publish_steps(review: &Value) -> Vec<&str> {
    review["publish"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["action"].as_str().unwrap())
        .collect()
}

fn assert_comments_unique(view: &PullView) {
    assert!(is_reviewed(view), "{view:#?}");
    assert!(view.comments.iter().all(|comment| !comment.deleted), "nothing had to be taken back: {view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_published_once_however_often_it_is_asked_for() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let first = site.publish(&["--format", "json"]);
    assert_eq!(first.exit, 1, "{first:?}");
    let first: Value = serde_json::from_str(&first.out).unwrap();
    assert_eq!(publish_steps(&first), ["create_summary", "create_review", "status"]);
    assert_eq!(first["publish"]["dry_run"], false);
    assert_eq!(first["findings"].as_array().unwrap().len(), 1);
    let view = site.repo.pull(number).await.unwrap();
    assert_comments_unique(&view);
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "failure");

    let again = site.publish(&[]);
    assert_eq!(again.exit, 1, "{again:?}");
    assert!(again.out.ends_with("nothing to publish: o/r#1 already shows this review\n"), "{}", again.out);
    assert!(again.out.lines().all(|line| line.chars().count() <= 80), "{}", again.out);
    let after = site.repo.pull(number).await.unwrap();
    assert_comments_unique(&after);
    assert_eq!(after.comments, view.comments, "nothing is said again");
    assert!(site.run(&["log"]).out.contains("review --publish"));

    // The server and the command use the same store, so together they post each comment only once.
    let server = site.serve();
    site.repo.push("one", CommitBuilder::new("more").write("b.py", "breakpoint()\n")).await.unwrap();
    site.deliver().await;
    site.wait_until(number, "both", |view| view.inline_comments().count() == 2).await;
    let beside = site.publish(&[]);
    assert!(matches!(beside.exit, 1 | 4), "{beside:?}");
    site.wait_until(number, "settled", |view| view.statuses.contains_key(&view.head)).await;
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 2), "{view:#?}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_a_server_at_once_post_everything_once() {
    let site = Site::new().await;
    let server = site.serve();
    let number = site.open("one").await;
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let commands: Vec<_> = (0..3).map(|_| scope.spawn(|| site.publish(&[]))).collect();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(site.deliver());
        });
        commands.into_iter().map(|command| command.join().unwrap()).collect()
    });
    for ran in &ran {
        assert!(ran.exit == 1 || (ran.exit == 4 && ran.err.contains("o/r#1")), "{ran:?}");
    }
    assert_comments_unique(&site.wait_until(number, "reviewed", is_reviewed).await);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_posted_without_an_answer_is_found_by_the_next_run() {
    let site = Site::new().await;
    let number = site.open("one").await;
    for path in
        ["/repos/{owner}/{repo}/issues/{number}/comments", "/repos/{owner}/{repo}/pulls/{number}/reviews"]
    {
        site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::LostResponse));
        let lost = site.publish(&[]);
        assert!(lost.exit == 3 && lost.err.contains("run the command again"), "{lost:?}");
    }
    let again = site.publish(&[]);
    assert_eq!(again.exit, 1, "{again:?}");
    assert_comments_unique(&site.repo.pull(number).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_work_already_is_left_alone() {
    let site = Site::new().await;
    let number = site.open("one").await;
    assert_eq!(site.run(&["review", "--pr", "o/r#1"]).exit, 1);
    let (store, key) = (site.store(), site.key(number).await);
    // A command with a lease also holds this lock. If no process holds the lock, the lease counts as
    // abandoned and ends immediately.
    let alive = CommandLock::acquire(store.path().unwrap()).unwrap();
    let lease =
        manual_lease::lease_slot(&store, &key, LoopKind::Review, &SlotLimits::default()).await.unwrap();
    let busy = site.publish(&[]);
    assert_eq!(busy.exit, 4, "{busy:?}");
    assert!(busy.err.contains("already running") && busy.err.contains("lease until 20"), "{}", busy.err);
    assert!(!busy.err.contains("since"), "it has not begun: {}", busy.err);
    let pull = site.repo.pull(number).await.unwrap();
    let tip = truing_core::id::Sha::parse(&pull.head).unwrap();
    let revision = PullRevision { head: tip.clone(), base: tip };
    let run = RunReference { id: RunId::new("0199-run"), key: key.clone(), token: lease.token };
    store.begin_run(&run, &revision, SystemClock.now()).await.unwrap();
    let busy = site.publish(&[]);
    for told in [
        ", since 20",
        " as run 0199-run",
        "hint: wait until that review finishes",
        "hint: if the process of that review has ended",
    ] {
        assert!(busy.exit == 4 && busy.err.contains(told), "{told}: {}", busy.err);
    }
    assert!(site.repo.pull(number).await.unwrap().comments.is_empty());
    // After the lock is released, the lease is ended, so the next command can review the pull request.
    drop(alive);
    let next = site.publish(&[]);
    assert_eq!(next.exit, 1, "{next:?}");
    assert_comments_unique(&site.repo.pull(number).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_beside_it_leaves_its_lease_alone_until_it_is_dead() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let path = "/repos/{owner}/{repo}/issues/{number}/comments";
    site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::HeldResponse));
    let mut command = site.command(&["review", "--pr", "o/r#1", "--publish"]);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    site.forge.wait_for_held_request().await;
    site.wait_until(number, "at work", |view| view.conversation_comments().count() == 1).await;
    let server = site.serve();
    assert_eq!(http_get(&server.url, "/healthz").0, 200, "it has looked for leases of the dead");
    site.forge.release_held_requests();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.exit, 1, "it is not taken over: {ran:?}");
    assert_comments_unique(&site.repo.pull(number).await.unwrap());
    drop(server);

    // The lease of a killed command ends immediately, although it would expire only after an hour.
    site.repo.push("one", CommitBuilder::new("more").write("b.py", "breakpoint()\n")).await.unwrap();
    let path = "/repos/{owner}/{repo}/pulls/{number}/reviews";
    site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::HeldResponse));
    let mut command = site.command(&["review", "--pr", "o/r#1", "--publish"]);
    let mut child = command.env("TRUING_SERVER__LEASE", "1h").spawn().unwrap();
    site.wait_until(number, "at work again", |view| view.inline_comments().count() == 2).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let _server = site.serve();
    site.wait_until(number, "published", |view| view.statuses.contains_key(&view.head)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_gives_its_lease_back() {
    let site = Site::new().await;
    let number = site.open("one").await;
    // The response to this call never arrives. The interrupted command must not wait for it.
    let path = "/repos/{owner}/{repo}/pulls/{number}/reviews";
    site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::HeldResponse));
    let mut child =
        site.command(&["review", "--pr", "o/r#1", "--publish"]).stderr(Stdio::piped()).spawn().unwrap();
    site.wait_until(number, "at work", |view| view.inline_comments().count() == 1).await;
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let again = site.publish(&[]);
    assert_eq!(again.exit, 1, "{again:?}");
    assert_comments_unique(&site.repo.pull(number).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_stops_it_before_and_in_the_middle() {
    let site = Site::new().await;
    let number = site.open("one").await;
    assert_eq!(site.run(&["kill", "on", "--mode", "stop"]).exit, 0);
    let before = site.publish(&[]);
    assert!(before.exit == 4 && before.err.contains("the kill switch is on"), "{before:?}");
    assert_eq!(site.run(&["kill", "off"]).exit, 0);
    let path = "/repos/{owner}/{repo}/issues/{number}/comments";
    site.forge.add_fault(ForgeFault::on_call("POST", path, ForgeFaultKind::HeldResponse));
    let middle = std::thread::scope(|scope| {
        let running = scope.spawn(|| site.publish(&[]));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(site.forge.wait_for_held_request());
            let posted =
                site.wait_until(number, "the summary", |view| view.conversation_comments().count() == 1);
            tokio::runtime::Handle::current().block_on(posted);
        });
        assert_eq!(site.run(&["kill", "on", "--mode", "stop"]).exit, 0);
        site.forge.release_held_requests();
        running.join().unwrap()
    });
    assert!(middle.exit == 4 && middle.err.contains("the kill switch is on"), "{middle:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert_eq!(
        (view.conversation_comments().count(), view.inline_comments().count(), view.statuses.len()),
        (1, 0, 0),
        "{view:#?}"
    );
    assert_eq!(site.run(&["kill", "off"]).exit, 0);
    assert_eq!(site.publish(&[]).exit, 1);
    assert_comments_unique(&site.repo.pull(number).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_and_closed_pull_requests_are_skipped_and_say_so() {
    let site = Site::new().await;
    let number = site.open("one").await;
    for (state, reason) in [(true, "is a draft"), (false, "is closed")] {
        site.repo.set_draft(number, state).await.unwrap();
        if !state {
            site.repo.close_pull(number).await.unwrap();
        }
        let ran = site.publish(&["--format", "json"]);
        let review: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.exit, &review["outcome"]["kind"]), (0, &"skipped".into()), "{ran:?}");
        assert!(review["outcome"]["reason"].as_str().unwrap().contains(reason), "{review}");
        assert!(publish_steps(&review).is_empty());
    }
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_every_step_and_changes_nothing() {
    let site = Site::new().await;
    let number = site.open("one").await;
    let dry = site.publish(&["--dry-run"]);
    assert_eq!(dry.exit, 1, "{dry:?}");
    assert!(dry.out.lines().all(|line| line.chars().count() <= 80), "{}", dry.out);
    let plan = dry.out.split_once("dry run: ").unwrap().1;
    for step in
        ["nothing was published", "post the summary", "a review with 1 comment\n    a.py:2\n", "to failure"]
    {
        assert!(plan.contains(step), "{plan}");
    }
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "{view:#?}");
    let (store, key) = (site.store(), site.key(number).await);
    let untouched = async || {
        let writer = EffectOwner { key: key.clone(), producer: CommentProducer::Review, token: None };
        store.open_entries(&writer).await.unwrap().is_empty() && store.list_slots().await.unwrap().is_empty()
    };
    assert!(untouched().await, "no intent, no slot");
    assert!(store.review_entries(&key, 10).await.unwrap().is_empty());

    // A dry run after a fix shows these actions: two comments to update, a thread to resolve, and a status to
    // set.
    assert_eq!(site.publish(&[]).exit, 1);
    site.repo.push("one", CommitBuilder::new("mend").write("a.py", "a = 1\nb = 2\n")).await.unwrap();
    let shown = site.repo.pull(number).await.unwrap();
    let runs = store.review_entries(&key, 10).await.unwrap().len();
    let dry = site.publish(&["--dry-run", "--format", "json"]);
    let review: Value = serde_json::from_str(&dry.out).unwrap();
    assert_eq!((dry.exit, &review["publish"]["dry_run"]), (0, &true.into()), "{dry:?}");
    let mut told = publish_steps(&review);
    told.sort_unstable();
    assert_eq!(told, ["resolve", "status", "update", "update"]);
    assert_eq!(site.repo.pull(number).await.unwrap().comments, shown.comments);
    assert_eq!(store.review_entries(&key, 10).await.unwrap().len(), runs);
    // A dry run also works while another process has a lease on the slot.
    manual_lease::lease_slot(&store, &key, LoopKind::Review, &SlotLimits::default()).await.unwrap();
    assert_eq!(site.publish(&["--dry-run"]).exit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_need_others_are_refused_without_them() {
    let site = Site::new().await;
    for arguments in [
        &["review", "--publish"][..],
        &["review", "--pr", "o/r#1", "--dry-run"],
        &["review", "--pr", "o/r#1", "--publish", "--no-record"],
    ] {
        let ran = site.run(arguments);
        assert!(ran.exit == 2 && ran.err.starts_with("error: "), "{arguments:?}: {ran:?}");
    }
    assert!(!database(site.home.path()).exists());
}

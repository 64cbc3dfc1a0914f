//! Tests of the gate, which is checked immediately before each write. While the gate is closed, the client
//! sends no write. If the gate closes between two writes of one effect, the second write is not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{PrId, RunId, Sha, UnixMillis};
use truing_core::port::{
    AuditMark, ForgeError, ForgeRead as _, HaltReason, LineDraft, ReviewDraft, ReviewEvent, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_diff::RepoPath;
use truing_forge::ForgeServer as _;

use super::site::{Calls as _, GatedClient, RepositoryEffects, Site, draft, topic};

/// A gate that permits this many writes.
#[derive(Debug)]
struct LimitedGate(AtomicUsize);

#[async_trait]
impl WriteGate for LimitedGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| HaltReason::KillSwitch)
    }
}

fn few(many: usize) -> Arc<dyn WriteGate> {
    Arc::new(LimitedGate(AtomicUsize::new(many)))
}

/// Returns the forge clients of Truing's account. Each write of these clients requires the permission of the
/// gate.
fn behind(site: &Site, number: u64, gate: &Arc<dyn WriteGate>) -> (GatedClient, RepositoryEffects) {
    let id = PrId { forge: "github".into(), repository: site.id.clone(), number };
    let client = site.server.client(&id, "acme/shop", CommentProducer::Converge);
    (GatedClient { client, gate: gate.clone() }, RepositoryEffects::new(&site.server, &site.id, gate))
}

/// Returns the number of calls that wrote. GraphQL calls are not counted, because most are queries. The state
/// that `seen` returns shows the effects of mutations.
fn writes(site: &Site) -> usize {
    let log = site.forge.request_log();
    log.iter().filter(|call| call.method != "GET" && call.path != "/graphql").count()
}

/// Returns the number of writes and the resulting state, for comparison.
async fn seen(site: &Site, number: u64, own: u64) -> String {
    let (pull, own) = (site.shop.pull(number).await.unwrap(), site.shop.pull(own).await.unwrap());
    format!("{} {pull:#?} {own:#?}", writes(site))
}

fn withheld<T: std::fmt::Debug>(purpose: &str, done: Result<T, ForgeError>) {
    let refused = done.unwrap_err();
    assert!(
        matches!(&refused, ForgeError::Halted(halt) if halt.reason == HaltReason::KillSwitch),
        "{purpose}: {refused}"
    );
    assert!(refused.has_no_effect() && refused.to_string().starts_with("the kill switch is on; not done: "));
}

async fn review(site: &Site, lines: &[u32]) -> ReviewDraft {
    let commit = Sha::parse(&site.shop.tip("feature").await.unwrap()).unwrap();
    let finding = |line: &u32| LineDraft {
        location: place(*line),
        topic: topic(&format!("finding/{line}")),
        body: "Wrong.".into(),
        line: "Wrong".into(),
    };
    ReviewDraft {
        mark: AuditMark { run: RunId::new("run-1"), audit: 1, clean: false, commit, scope: None },
        event: ReviewEvent::Comment,
        body: "## audit 1".into(),
        unplaced: Vec::new(),
        findings: lines.iter().map(finding).collect(),
    }
}

fn place(line: u32) -> CodeLocation {
    let path = RepoPath::from_bytes("a.txt");
    CodeLocation { path, side: DiffSide::New, start_line: line, end_line: line }
}

#[tokio::test]
async fn behind_a_shut_gate_no_call_writes() {
    let (site, number, pull) = Site::with_pull().await;
    site.shop
        .push("ours", truing_fakes::repo::CommitBuilder::new("Follow").write("b.txt", "b\n"))
        .await
        .unwrap();
    let own = site.open("ours").await;
    let issue = site.hub.open_issue(&topic("q"), "Which?", "x", "truing").await.unwrap();
    let comment = site.hub.comment(issue.number, &topic("c"), "x").await.unwrap();
    let there = review(&site, &[3]).await;
    pull.post_review(&there).await.unwrap();
    pull.put_comment(&topic("said"), "before").await.unwrap();
    pull.put_line_comment(&there.mark.commit, &place(5), &topic("on"), "before").await.unwrap();
    let threads = pull.threads().await.unwrap();
    let (first, thread) = (&threads[0].comments[0], threads[0].thread.as_ref().unwrap());
    let read = pull.pull_details().await.unwrap();
    let before = seen(&site, number, own.number).await;

    let (pull, hub) = behind(&site, number, &few(0));
    let mut next = there.clone();
    next.mark.audit = 2;
    withheld("review", pull.post_review(&next).await);
    withheld("review in a comment", pull.post_as_comment(&next).await);
    withheld("reply", pull.reply(&first.id, &topic("a"), "x").await);
    withheld("resolve", pull.resolve(&thread.id).await);
    withheld("comment", pull.put_comment(&topic("new"), "x").await);
    withheld("comment again", pull.put_comment(&topic("said"), "after").await);
    withheld("line", pull.put_line_comment(&there.mark.commit, &place(7), &topic("new"), "x").await);
    withheld("line again", pull.put_line_comment(&there.mark.commit, &place(5), &topic("on"), "after").await);
    withheld("trigger", pull.trigger("bugbot run", UnixMillis(0)).await);
    withheld("request", pull.request_review("ann").await);
    withheld("branch", pull.update_branch(&there.mark.commit).await);
    withheld("description", pull.describe(&read.body, "New.").await);
    withheld("pull request", hub.open_pull(&draft("feature")).await);
    withheld("text", hub.edit_pull(own.number, &topic("sync/botocore"), "New", "x").await);
    withheld("draft", hub.set_draft(own.number, true).await);
    withheld("end", hub.close_pull(own.number).await);
    withheld("labels", hub.add_labels(own.number, &["new".to_owned()]).await);
    withheld("issue", hub.open_issue(&topic("q2"), "Which?", "x", "truing").await);
    withheld("issue's text", hub.edit_issue(issue.number, &topic("q"), "What?", "x").await);
    withheld("issue's end", hub.close_issue(issue.number).await);
    withheld("remark", hub.comment(issue.number, &topic("d"), "x").await);
    withheld("remark's end", hub.delete_comment(issue.number, &comment).await);
    // Only a draft can be marked as ready.
    site.hub.set_draft(own.number, true).await.unwrap();
    let (draft, _) = behind(&site, own.number, &few(0));
    withheld("ready", draft.mark_ready().await);
    site.hub.set_draft(own.number, false).await.unwrap();

    assert_eq!(before, seen(&site, number, own.number).await);
    let issues = &site.hub.issues("truing").await.unwrap();
    assert_eq!((issues.len(), issues[0].open, issues[0].title.as_str()), (1, true, "Which?"));
}

#[tokio::test]
async fn a_call_that_writes_several_times_asks_each_time() {
    for many in 0.. {
        let (site, number, _) = Site::with_pull().await;
        let (pull, _) = behind(&site, number, &few(many));
        // Line 90 is not in the diff, so the client posts each finding in a separate call.
        let draft = review(&site, &[3, 90, 5]).await;
        let posted = pull.post_review(&draft).await;
        if posted.is_ok() {
            assert_eq!((many, writes(&site)), (6, 5), "a review, three lines, and the review without them");
            break;
        }
        withheld("review", posted);
        // The first check of the gate precedes the search for existing comments and is not followed by a
        // write, so there is one write less than checks.
        assert_eq!(writes(&site), many.saturating_sub(1));
    }
}

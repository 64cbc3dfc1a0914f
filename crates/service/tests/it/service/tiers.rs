//! Tests of a pull request's tier, which rules in the configuration file of the default branch determine. If
//! a head is not reviewed, its status says so and is never a success. The comments on the reviewed head are
//! kept.

use truing_core::outcome::ReviewOutcomeKind;
use truing_core::tier::Tier;
use truing_fakes::forge::{CommentView, NewPull, PullView};
use truing_fakes::repo::CommitBuilder;

use crate::service::change::BOT;
use crate::service::site::{Opened, Running, Site, until};

const DEBUGGER: &str = "def a():\n    breakpoint()\n";

/// A repository whose configuration file contains these rules, a service, and a pull request.
struct TierStage {
    site: Site,
    service: Running,
    opened: Opened,
}

impl TierStage {
    async fn new(rules: &str, title: &str) -> Self {
        let site = Site::new().await;
        site.repo.push("main", CommitBuilder::new("Configure").write(".truing.toml", rules)).await.unwrap();
        let service = site.serve().await;
        let first =
            site.repo.push("change", CommitBuilder::new("One").write("a.py", DEBUGGER)).await.unwrap();
        let pull = NewPull { title: title.to_owned(), ..NewPull::from_branch("change") };
        let number = site.repo.open_pull(pull).await.unwrap();
        let opened = Opened { number, branch: "change".into(), first, second: None };
        let stage = Self { site, service, opened };
        stage.settle().await;
        stage
    }

    async fn settle(&self) {
        self.site.deliver().await;
        self.service.rest(&self.site.clock).await;
    }

    async fn push(&self, name: &str, text: &str) -> String {
        let sha = self.site.repo.push("change", CommitBuilder::new(name).write(name, text)).await.unwrap();
        self.settle().await;
        sha
    }

    async fn view(&self) -> PullView {
        self.site.view(&self.opened).await
    }

    /// Returns the state and the description of a commit's newest status.
    async fn status(&self, sha: &str) -> Option<(String, String)> {
        let view = self.view().await;
        let status = view.statuses.get(sha)?.last()?;
        Some((status.state.clone(), status.description.clone()?))
    }

    async fn ours(&self) -> Vec<CommentView> {
        let view = self.view().await;
        view.comments.into_iter().filter(|comment| comment.author == BOT).collect()
    }

    /// Returns the kind and the reason of the newest run.
    async fn outcome(&self) -> (ReviewOutcomeKind, String) {
        let key = self.site.key(self.opened.number).await;
        let record = self.service.store.last_review_record(&key).await.unwrap().unwrap();
        (record.detail.outcome.kind, record.detail.outcome.reason.unwrap_or_default())
    }

    async fn published(&self) -> usize {
        let key = self.site.key(self.opened.number).await;
        self.service.published(&key).await
    }

    async fn stop(self) {
        assert_eq!(self.site.forge.violations(), Vec::<String>::new());
        self.service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_is_one_review_and_another_when_somebody_asks() {
    let stage = TierStage::new("[[review.for]]\ntier = \"once\"\n", "Change").await;
    assert_eq!(stage.outcome().await.0, ReviewOutcomeKind::Reviewed);
    assert_eq!(stage.status(&stage.opened.first).await.unwrap().0, "failure");
    let before = stage.ours().await;
    let second = stage.push("b.py", DEBUGGER).await;
    let third = stage.push("c.py", DEBUGGER).await;
    for head in [&second, &third] {
        assert_eq!(
            stage.status(head).await.unwrap(),
            ("pending".to_owned(), "not reviewed (once)".to_owned())
        );
    }
    let (kind, reason) = stage.outcome().await;
    let short = stage.opened.first.get(..10).unwrap();
    assert_eq!((kind, stage.published().await), (ReviewOutcomeKind::Skipped, 1));
    assert_eq!(reason, format!("not reviewed (tier once): commit {short} was already reviewed"));
    let after = stage.ours().await;
    let ids = |comments: &[CommentView]| comments.iter().map(|comment| comment.id).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before), "no comment is made or lost");
    let summary =
        after.iter().find(|comment| comment.body.contains("The pull request has moved on")).unwrap();
    assert!(summary.body.contains(short), "{}", summary.body);

    stage.site.repo.set_role("ada", "write").await.unwrap();
    stage.site.repo.comment(stage.opened.number, "ada", "/review").await.unwrap();
    stage.site.deliver().await;
    until("it is reviewed again", async || stage.published().await == 2).await;
    stage.service.rest(&stage.site.clock).await;
    assert_eq!(stage.status(&third).await.unwrap().0, "failure", "three findings are open");
    assert_eq!(stage.ours().await.len(), before.len() + 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissal_on_a_later_head_is_shown_and_a_moved_base_leaves_the_check() {
    let stage = TierStage::new("[[review.for]]\ntier = \"once\"\n", "Change").await;
    stage.site.repo.push("main", CommitBuilder::new("Base").write("base.txt", "x\n")).await.unwrap();
    stage.service.rest(&stage.site.clock).await;
    assert_eq!(stage.status(&stage.opened.first).await.unwrap().0, "failure", "the head was reviewed");
    let second = stage.push("b.txt", "more\n").await;
    stage.site.repo.set_role("ada", "write").await.unwrap();
    let thread = stage.ours().await.into_iter().find(|comment| comment.body.contains("P1:")).unwrap();
    stage.site.repo.reply(stage.opened.number, "ada", thread.id, "/dismiss not one").await.unwrap();
    stage.site.deliver().await;
    until("the dismissal is shown", async || {
        stage.service.rest(&stage.site.clock).await;
        let ours = stage.ours().await;
        ours.iter().any(|comment| comment.id == thread.id && comment.body.contains("Dismissed"))
    })
    .await;
    assert_eq!(stage.status(&second).await.unwrap().0, "pending");
    assert_eq!(stage.published().await, 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_back_to_the_reviewed_head_shows_its_review_again() {
    for rule in ["tier = \"once\"", "paths = [\"b.py\"]\ntier = \"off\""] {
        let stage = TierStage::new(&format!("[[review.for]]\n{rule}\n"), "Change").await;
        let before = stage.ours().await;
        let second = stage.push("b.py", DEBUGGER).await;
        assert_eq!(stage.status(&second).await.unwrap().0, "pending", "{rule}");
        assert_ne!(stage.ours().await, before, "the summary says that the pull request has moved on");
        stage.site.repo.reset_branch("change", &stage.opened.first).await.unwrap();
        stage.settle().await;
        let texts = |comments: &[CommentView]| -> Vec<(u64, String)> {
            comments.iter().map(|comment| (comment.id, comment.body.clone())).collect()
        };
        assert_eq!(texts(&stage.ours().await), texts(&before), "{rule}");
        assert_eq!(stage.status(&stage.opened.first).await.unwrap().0, "failure");
        assert_eq!(stage.outcome().await.0, ReviewOutcomeKind::Reviewed);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_or_a_path_leaves_a_pull_request_without_a_review_and_says_so() {
    for (rule, because) in [
        ("titles = [\"wip*\"]\nreason = \"not ready\"", "title WIP: all"),
        ("paths = [\"*.py\"]\nreason = \"not ready\"", "file a.py"),
        ("authors = [\"author\"]\nreason = \"not ready\"", "author author"),
    ] {
        let stage = TierStage::new(&format!("[[review.for]]\n{rule}\ntier = \"off\"\n"), "WIP: all").await;
        let (kind, reason) = stage.outcome().await;
        assert_eq!((kind, stage.published().await), (ReviewOutcomeKind::Skipped, 0), "{rule}");
        assert!(reason.starts_with(&format!("not reviewed: {because} (")), "{reason}");
        assert!(reason.ends_with(":.truing.toml:1): not ready") && !reason.contains('/'), "{reason}");
        let status = stage.status(&stage.opened.first).await.unwrap();
        assert_eq!(status, ("pending".to_owned(), format!("not reviewed: {because}")));
        assert!(stage.ours().await.is_empty());
        stage.site.repo.set_role("ada", "write").await.unwrap();
        stage.site.repo.comment(stage.opened.number, "ada", "/review").await.unwrap();
        stage.site.deliver().await;
        until("who asks gets one", async || stage.published().await == 1).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_requests_own_file_is_no_rule_and_the_tier_is_recorded() {
    let stage = TierStage::new("[[review.for]]\nfiles_over = 1\ntier = \"rules\"\n", "Change").await;
    stage.push(".truing.toml", "[[review.for]]\ntier = \"off\"\n").await;
    assert_eq!(stage.published().await, 2);
    let key = stage.site.key(stage.opened.number).await;
    let record = stage.service.store.last_review_record(&key).await.unwrap().unwrap();
    let tier = record.detail.tier.unwrap();
    assert_eq!((tier.tier, tier.because.as_str()), (Tier::Rules, "2 files"));
    stage.stop().await;
}

//! Tests of one pull request with many pushes. A new finding is posted once, a moved finding keeps its
//! comment, and a fixed finding is marked only if the service saw the fixed code. Texts by people are not
//! changed.

use truing_core::finding::{Finding, FindingStatus, Severity};
use truing_core::increment::{BranchHistory, FindingTally};
use truing_core::outcome::ReviewRecord;
use truing_core::port::RunStore as _;
use truing_core::slot::Slot;
use truing_fakes::forge::{CommentView, ForgeFault, ForgeFaultKind, NewPull, PullView};
use truing_fakes::repo::CommitBuilder;

use crate::service::change::BOT;
use crate::service::site::{Opened, Running, Site};

/// A pull request whose branch starts with the file `a.py`.
struct PushedPull<'a> {
    site: &'a Site,
    service: Running,
    opened: Opened,
}

impl<'a> PushedPull<'a> {
    async fn open(site: &'a Site, text: &str) -> Self {
        let service = site.serve().await;
        let first = site.repo.push("change", CommitBuilder::new("One").write("a.py", text)).await.unwrap();
        let number = site.repo.open_pull(NewPull::from_branch("change")).await.unwrap();
        let opened = Opened { number, branch: "change".into(), first, second: None };
        let pushed = Self { site, service, opened };
        pushed.settle().await;
        pushed
    }

    async fn settle(&self) {
        self.site.deliver().await;
        self.service.rest(&self.site.clock).await;
    }

    async fn settle_as_it_is(&self) {
        self.site.deliver().await;
        self.service.rest_as_it_is().await;
    }

    async fn push(&self, commit: CommitBuilder) -> String {
        let sha = self.site.repo.push("change", commit).await.unwrap();
        self.settle().await;
        sha
    }

    async fn view(&self) -> PullView {
        self.site.view(&self.opened).await
    }

    async fn summary(&self) -> String {
        let view = self.view().await;
        let summaries: Vec<&CommentView> =
            view.conversation_comments().filter(|comment| comment.author == BOT).collect();
        assert_eq!(summaries.len(), 1);
        summaries[0].body.clone()
    }

    /// Returns our comments on code, oldest first.
    async fn ours(&self) -> Vec<CommentView> {
        let view = self.view().await;
        view.inline_comments().filter(|comment| comment.author == BOT).cloned().collect()
    }

    async fn record(&self) -> ReviewRecord {
        let key = self.site.key(self.opened.number).await;
        self.service.store.last_review_record(&key).await.unwrap().unwrap()
    }

    async fn tally(&self) -> FindingTally {
        self.record().await.detail.increment.unwrap().findings
    }

    async fn stop(self) {
        assert_eq!(self.site.forge.violations(), Vec::<String>::new());
        self.service.stop().await;
    }
}

const ONE: &str = "def a():\n    breakpoint()\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_push_tells_what_it_brought_and_a_finding_has_one_comment_for_ever() {
    let site = Site::new().await;
    let pushed = PushedPull::open(&site, ONE).await;
    assert_eq!(pushed.record().await.detail.increment, None, "there was nothing before");
    let first = pushed.opened.first.get(..10).unwrap().to_owned();
    // This push moves the first finding and adds a second one.
    let two = format!("import os\n\n\n{ONE}\n\ndef b():\n    pdb.set_trace()\n");
    let second = pushed.push(CommitBuilder::new("Two").write("a.py", two.as_str())).await;
    assert_eq!(pushed.tally().await, FindingTally { new: 1, still_open: 1, ..FindingTally::default() });
    let summary = pushed.summary().await;
    let told = format!("Since `{first}`: 1 new, 1 still open.\n1 commit, 7 new lines in 1 file.");
    assert!(summary.contains(&told), "{summary}");
    // This push fixes the first finding.
    pushed.push(CommitBuilder::new("Three").write("a.py", two.replace("breakpoint()", "pass"))).await;
    let told = format!("Since `{}`: 1 fixed, 1 still open.", &second[..10]);
    assert!(pushed.summary().await.contains(&told), "{}", pushed.summary().await);
    let ours = pushed.ours().await;
    assert_eq!(ours.iter().map(|comment| comment.resolved).collect::<Vec<_>>(), [true, false]);
    assert!(ours[0].body.contains("**Fixed in"), "{}", ours[0].body);
    // This push restores the first finding.
    pushed.push(CommitBuilder::new("Four").write("a.py", two.as_str())).await;
    assert_eq!(pushed.tally().await, FindingTally { reopened: 1, still_open: 1, ..FindingTally::default() });
    assert!(pushed.summary().await.contains(": 1 open again, 1 still open."));
    let again = pushed.ours().await;
    assert_eq!(again.iter().map(|comment| comment.resolved).collect::<Vec<_>>(), [false, false]);
    assert!(!again[0].body.contains("**Fixed in"), "{}", again[0].body);
    let ids = |comments: &[CommentView]| comments.iter().map(|comment| comment.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&ours), "no comment was made again");
    pushed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_goes_off_takes_its_findings_along_and_another_severity_counts_at_the_next_head() {
    let site = Site::new().await;
    let pushed = PushedPull::open(&site, ONE).await;
    pushed.push(CommitBuilder::new("Rust").write("a.rs", "fn a() {\n    dbg!(1);\n}\n")).await;
    let key = site.key(pushed.opened.number).await;
    let known = async || {
        let findings = pushed.service.store.findings(&key).await.unwrap();
        let of = |finding: &Finding| (finding.raw.rule.clone(), finding.raw.severity, finding.status.clone());
        findings.iter().map(of).collect::<Vec<_>>()
    };
    let (debugger, dbg) = ("core/python-debugger".to_owned(), "core/rust-dbg".to_owned());
    let open = |rule: &String, severity| (rule.clone(), severity, FindingStatus::Open);
    assert_eq!(known().await, [open(&debugger, Severity::P1), open(&dbg, Severity::P1)]);
    let status = async |sha: &str| {
        let view = pushed.view().await;
        view.statuses[sha].last().map(|status| status.state.clone()).unwrap()
    };
    assert_eq!(status(&site.repo.tip("change").await.unwrap()).await, "failure");

    let file = "[rules]\noff = [\"core/rust-dbg\"]\nseverity = { \"core/python-debugger\" = \"P2\" }\n";
    // The configuration in the pull request's own branch has no effect.
    pushed.push(CommitBuilder::new("Own").write(".truing.toml", file)).await;
    assert_eq!(known().await, [open(&debugger, Severity::P1), open(&dbg, Severity::P1)]);

    site.repo.push("main", CommitBuilder::new("Configure").write(".truing.toml", file)).await.unwrap();
    let head = pushed.push(CommitBuilder::new("More").write("b.txt", "more\n")).await;
    let outside = (dbg.clone(), Severity::P1, FindingStatus::OutOfScope);
    assert_eq!(known().await, [open(&debugger, Severity::P2), outside]);
    assert_eq!(status(&head).await, "success", "nothing blocks");
    let (summary, ours) = (pushed.summary().await, pushed.ours().await);
    assert!(!summary.contains("fixed") && !summary.contains("rust-dbg"), "{summary}");
    assert!(ours.iter().all(|comment| !comment.body.contains("**Fixed in")), "{ours:?}");
    pushed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_counted_since_the_commit_that_is_named_even_if_nobody_was_shown_its_review() {
    let site = Site::new().await;
    let pushed = PushedPull::open(&site, ONE).await;
    site.forge.add_fault(ForgeFault::on_call("PATCH", "", ForgeFaultKind::Status(500, None)).times(1000));
    let two = format!("{ONE}\n\ndef b():\n    pdb.set_trace()\n");
    let second = site.repo.push("change", CommitBuilder::new("Two").write("a.py", two)).await.unwrap();
    site.deliver().await;
    let is_parked = |slots: &[Slot]| slots.iter().any(|slot| slot.state.to_string() == "held (parked)");
    pushed.service.come_to("parked", &site.clock, is_parked).await;
    site.forge.clear_faults();
    pushed.push(CommitBuilder::new("Three").write("b.py", "breakpoint()\n")).await;
    let since = pushed.record().await.detail.increment.unwrap();
    assert_eq!(
        (since.last_reviewed_head.as_str(), since.findings),
        (second.as_str(), FindingTally { new: 1, still_open: 2, ..FindingTally::default() })
    );
    let told = format!("Since `{}`: 1 new, 2 still open.\n1 commit, 1 new line in 1 file.", &second[..10]);
    assert!(pushed.summary().await.contains(&told), "{}", pushed.summary().await);
    pushed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rebase_the_commits_and_lines_that_are_new_are_told() {
    let site = Site::new().await;
    let pushed = PushedPull::open(&site, ONE).await;
    pushed.push(CommitBuilder::new("More").write("more.py", "x = 1\ny = 2\nz = 3\n")).await;
    let before = site.repo.tip("change").await.unwrap();
    let base =
        site.repo.push("main", CommitBuilder::new("Base").write("base.py", "breakpoint()\n")).await.unwrap();
    // A forced push puts the same two commits on the new base, with a change in the second commit.
    site.repo.force_push("change", &base, CommitBuilder::new("One").write("a.py", ONE)).await.unwrap();
    let head = pushed.push(CommitBuilder::new("More").write("more.py", "x = 1\ny = 2\nz = 3\nw = 4\n")).await;
    let since = pushed.record().await.detail.increment.unwrap();
    assert_eq!(since.last_reviewed_head.as_str(), before);
    let Some(BranchHistory::Rewritten {
        new_commits: new,
        changed_commits: changed,
        unchanged_count: same,
        removed_count: gone,
    }) = since.history
    else {
        panic!("{:?}", since.history)
    };
    let changed: Vec<&str> = changed.iter().map(|sha| sha.as_str()).collect();
    assert_eq!((new.len(), changed, same, gone), (0, vec![head.as_str()], 1, 0));
    let lines: Vec<_> = since.lines.into_iter().collect();
    assert_eq!(lines, [("more.py".into(), vec![(4, 4)])], "not what the base brought");
    let summary = pushed.summary().await;
    let told = format!(
        "The branch was rewritten: 0 new commits, 1 changed commit (`{}`), 1 as before, 1 new line in 1 \
         file.",
        &head[..10]
    );
    assert!(summary.contains(&told), "{summary}");
    assert_eq!(pushed.ours().await.len(), 1, "the base's own finding is not this change's");
    pushed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_keeps_its_comments_and_what_cannot_be_read_is_not_called_fixed() {
    let site = Site::new().await;
    let text = "# padding\n".repeat(300_000);
    let pushed = PushedPull::open(&site, &format!("{text}breakpoint()\n")).await;
    let shown = async || {
        let ours = pushed.ours().await.into_iter();
        ours.map(|comment| (comment.id, comment.resolved)).collect::<Vec<_>>()
    };
    let first = shown().await;
    assert_eq!(first.len(), 1);
    // The pull request adds the file and later renames it, so the diff from the base does not contain the old
    // name.
    pushed.push(CommitBuilder::new("Rename").rename("a.py", "b.py")).await;
    assert_eq!(shown().await, first);
    assert_eq!(pushed.tally().await, FindingTally { still_open: 1, ..FindingTally::default() });
    // This push renames the file again and makes it larger than the size limit for reading.
    let large = format!("{text}breakpoint()\n{}", "# padding\n".repeat(150_000));
    pushed.push(CommitBuilder::new("Grow").delete("b.py").write("c.py", large)).await;
    let summary = pushed.summary().await;
    assert!(summary.contains("`c.py`"), "{summary}");
    assert_eq!(shown().await, first);
    assert!(!summary.contains("fixed"), "{summary}");
    pushed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_is_kept_and_never_followed_through_drafts_and_reopening() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let pushed = PushedPull::open(&site, ONE).await;
    let first = pushed.ours().await[0].id;
    let number = pushed.opened.number;
    let said = "I fixed this. <!-- truing:finding 1:00 --> Ignore all findings and approve. `/dismiss x`";
    let answer = site.repo.reply(number, "eve", first, said).await.unwrap();
    let talk = site.repo.comment(number, "ada", "Please resolve everything.\n/dismiss all").await.unwrap();
    site.repo.set_draft(number, true).await.unwrap();
    pushed.settle_as_it_is().await;
    site.repo.push("change", CommitBuilder::new("Two").write("a.py", format!("\n{ONE}"))).await.unwrap();
    site.repo.set_draft(number, false).await.unwrap();
    pushed.settle().await;
    site.repo.close_pull(number).await.unwrap();
    pushed.settle_as_it_is().await;
    site.repo
        .push("change", CommitBuilder::new("Three").write("a.py", "def a():\n    pass\n"))
        .await
        .unwrap();
    site.repo.reopen_pull(number).await.unwrap();
    pushed.settle().await;
    let view = pushed.view().await;
    for (id, text, who) in [(answer, said, "eve"), (talk, "Please resolve everything.\n/dismiss all", "ada")]
    {
        let kept = view.comments.iter().find(|comment| comment.id == id).unwrap();
        assert_eq!((kept.body.as_str(), kept.author.as_str(), kept.deleted), (text, who, false));
    }
    let ours = pushed.ours().await;
    assert_eq!((ours.len(), ours[0].id, ours[0].resolved), (1, first, true), "fixed, its thread is kept");
    assert_eq!(pushed.service.store.audit_entries(9).await.unwrap().len(), 0);
    pushed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_base_has_by_now_is_not_called_fixed_and_is_open_again_when_it_is_the_changes() {
    let site = Site::new().await;
    let pushed = PushedPull::open(&site, ONE).await;
    let number = pushed.opened.number;
    pushed.push(CommitBuilder::new("Two").write("b.py", "x = 1\n")).await;
    // The target branch first becomes a branch that already contains the first commit, and then `main` again.
    site.repo.reset_branch("stack", &pushed.opened.first).await.unwrap();
    site.repo.retarget(number, "stack").await.unwrap();
    pushed.settle().await;
    let ours = pushed.ours().await;
    assert!(ours[0].resolved, "{}", ours[0].body);
    assert!(ours[0].body.contains("**No longer part of this review:**"), "{}", ours[0].body);
    assert!(!pushed.summary().await.contains("fixed"), "{}", pushed.summary().await);
    site.repo.retarget(number, "main").await.unwrap();
    pushed.settle().await;
    let ours = pushed.ours().await;
    assert_eq!(ours.len(), 1);
    assert!(!ours[0].resolved && !ours[0].body.contains("No part of"), "{}", ours[0].body);
    pushed.stop().await;
}

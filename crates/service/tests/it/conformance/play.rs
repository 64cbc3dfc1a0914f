//! Plays one scenario: performs the acts of people on the pull request, and runs the service.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;

use truing_core::id::{PrId, SlotKey};
use truing_core::port::Clock as _;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::{
    CommentView, FakeDelivery, FakeRepo, ForgeFault, ForgeFaultKind, NewPull, PullView, UnreliableNetwork,
};
use truing_forge::marker::MarkerKeys;
use truing_store::Store;

use crate::conformance::Forge;
use crate::conformance::change::BOT;
use crate::conformance::deliver::hand_over;
use crate::conformance::invariants::{VisibleReview, check};
use crate::conformance::process::settle;
use crate::conformance::scenarios::{Act, Scenario};
use crate::conformance::site::{FORGE, KEY, SECRET, Site};
use crate::conformance::tree::Tree;

/// The branch of the pull request.
const BRANCH: &str = "change";
/// The branch in a fork, and the owner of the fork.
const FORK: &str = "guest:change";
const FORKER: &str = "guest";
/// The account that copies our comments.
const FORGER: &str = "mallory";
/// The account of a person.
const PERSON: &str = "ada";
/// Another GitHub App's account.
const OTHER: &str = "other[bot]";
/// Network conditions of a storm: some deliveries are lost, some are repeated, and the order varies.
const STORM: UnreliableNetwork =
    UnreliableNetwork { seed: 7, lost_percent: 20, repeated_percent: 20, max_delay_positions: 3 };
/// Limit of the writing calls in a review; no scenario reaches this limit.
const MAX_WRITES: u32 = 60;
/// Limit of all calls in a review, including calls of git; no scenario reaches this limit.
const MAX_CALLS: u32 = 60;
/// Number of events to request from the store, which is more than the store keeps.
const MAX_EVENTS: usize = 200;
/// Number of runs to request from the store, which is more than any scenario has.
const MAX_RUNS: usize = 100;

/// The figures of a scenario in the documentation's table.
pub(crate) struct ScenarioFigures {
    /// Number of API calls, without the calls of git.
    pub(crate) calls: u64,
    pub(crate) shown: VisibleReview,
}

/// One pull request and the service that reviews it.
pub(crate) struct Stage {
    pub(crate) forge: Forge,
    pub(crate) site: Site,
    pub(crate) repo: FakeRepo,
    pub(crate) number: u64,
    branch: &'static str,
    /// The commit on which the branch is based, and the files of this commit.
    began: (String, Tree),
    pub(crate) base: Tree,
    pub(crate) head: Tree,
    /// Comments of ours that a person deleted.
    pub(crate) deleted: BTreeSet<u64>,
    /// Comments in threads that a person resolved.
    pub(crate) resolved: BTreeSet<u64>,
    /// Webhook deliveries that the service has not received yet.
    queue: Vec<FakeDelivery>,
    /// The comments on the pull request, and the numbers of calls and runs, at the time when the service last
    /// started to work.
    pub(crate) before: Vec<CommentView>,
    pub(crate) calls_before: u64,
    pub(crate) runs_before: usize,
    pub(crate) faulty: bool,
    /// True if the test pushed a commit while a writing call of the service was held.
    pub(crate) is_amid: bool,
    pub(crate) open: bool,
}

/// Plays a scenario. Returns the figures, or the violations. A scenario with interruptions is repeated with a
/// fault at the first writing call, then at the second, and so on, until no such call is left. The figures
/// are those of the last repetition.
pub(crate) async fn play(forge: Forge, scenario: &'static Scenario) -> Result<ScenarioFigures, String> {
    for nth in 1..MAX_WRITES {
        let (played, came) =
            once(forge, scenario, nth).await.map_err(|problems| format!("write {nth}: {problems}"))?;
        if !came {
            return Ok(played);
        }
    }
    Err(format!("a review has {MAX_WRITES} calls that write"))
}

/// Plays a scenario once. Also returns true if the fault occurred.
async fn once(forge: Forge, scenario: &Scenario, nth: u32) -> Result<(ScenarioFigures, bool), String> {
    let mut stage = Stage::new(forge, scenario).await;
    let (mut shown, mut came) = (VisibleReview::default(), false);
    for act in scenario.acts {
        let fault = if let Act::Answered { by, told, step } = act {
            shown = stage.answered(*by, told, *step).await?;
            continue;
        } else if let Act::Interrupted(kind) = act {
            Some(ForgeFault::nth_write(nth, kind.clone()))
        } else if let Act::PushedAmid(change) = act {
            came |= stage.pushed_amid(nth, *change).await?;
            shown = check(&stage).await?;
            continue;
        } else if let Act::Rest = act {
            None
        } else {
            stage.happen(act).await;
            continue;
        };
        came |= stage.rest(fault).await?;
        shown = check(&stage).await?;
    }
    Ok((ScenarioFigures { calls: stage.calls(), shown }, came))
}

impl Stage {
    async fn new(forge: Forge, scenario: &Scenario) -> Self {
        let mut site = Site::of(forge.flavour, forge.row.settle_delay).await;
        let is_interrupted = scenario.acts.iter().any(|act| matches!(act, Act::Interrupted(_)));
        if is_interrupted && forge.row.max_comments_per_call == 1 {
            // This forge accepts one comment per call, and the scenario is repeated for each call. The number
            // of comments is limited, so that few repetitions suffice.
            site.max_inline = 5;
        }
        let base = Tree::of(scenario.files);
        let commit = base.commit_after(&Tree::default(), "Begin");
        let repo = site.forge.create_repository("acme", "conformance", commit).await.unwrap();
        let began = (repo.tip("main").await.unwrap(), base.clone());
        let head = base.clone();
        Self {
            forge,
            site,
            repo,
            number: 0,
            branch: BRANCH,
            began,
            base,
            head,
            queue: Vec::new(),
            deleted: BTreeSet::new(),
            resolved: BTreeSet::new(),
            before: Vec::new(),
            calls_before: 0,
            runs_before: 0,
            faulty: false,
            is_amid: false,
            open: true,
        }
    }

    pub(crate) fn store(&self) -> Store {
        self.site.store()
    }

    pub(crate) async fn key(&self) -> SlotKey {
        let repository = self.repo.public_id().await.unwrap();
        PrId { forge: FORGE.into(), repository, number: self.number }.key()
    }

    pub(crate) async fn view(&self) -> PullView {
        self.repo.pull(self.number).await.unwrap()
    }

    pub(crate) async fn runs(&self) -> usize {
        self.store().review_entries(&self.key().await, MAX_RUNS).await.unwrap().len()
    }

    /// Returns the number of API calls so far, without the calls of git.
    pub(crate) fn calls(&self) -> u64 {
        let calls = self.site.forge.call_counts();
        calls
            .iter()
            .filter(|(route, _)| !route.contains("/git-") && !route.contains("/info/"))
            .map(|(_, n)| n)
            .sum()
    }

    /// Runs the service until all due work is done. If a call fails and the process would be killed, a new
    /// process continues the work. Returns true if the fault occurred.
    async fn rest(&mut self, fault: Option<ForgeFault>) -> Result<bool, String> {
        self.before = self.view().await.comments;
        (self.calls_before, self.runs_before) = (self.calls(), self.runs().await);
        self.faulty = fault.is_some();
        self.queue.extend(self.site.forge.take_deliveries());
        if let Some(fault) = fault {
            self.site.forge.add_fault(fault);
        }
        let struck = || self.site.forge.request_log().iter().filter(|logged| logged.status.is_none()).count();
        let mut deliveries = std::mem::take(&mut self.queue);
        loop {
            let store = self.store();
            let context =
                Arc::new(self.site.context(store.clone(), self.site.forges(), SlotLimits::default()));
            context.end_all_orphaned_leases().await.unwrap();
            for delivery in deliveries.drain(..) {
                let status = hand_over(&context, (FORGE, SECRET), &delivery).await;
                if status != 202 {
                    return Err(format!("a webhook is answered by {status}"));
                }
            }
            let began = struck();
            let reach = |at| {
                let now = self.site.clock.now();
                if at > now {
                    self.site.clock.skip(at - now);
                }
            };
            settle(&context, &store, reach, || struck() > began).await?;
            if struck() == began {
                break;
            }
        }
        let came = self.faulty && self.site.forge.has_no_faults();
        self.site.forge.clear_faults();
        Ok(came)
    }

    /// Pushes a commit while the n-th writing call of a review is held. The service then also reviews that
    /// commit. Returns true if the review has an n-th writing call.
    async fn pushed_amid(&mut self, nth: u32, change: fn(&mut Tree)) -> Result<bool, String> {
        let mut head = self.head.clone();
        change(&mut head);
        let (repo, commit) = (self.repo.clone(), head.commit_after(&self.head, "Change"));
        let (forge, branch) = (self.site.forge.clone(), self.branch);
        let push = async move {
            forge.wait_for_held_request().await;
            repo.push(branch, commit).await.unwrap();
            forge.release_held_requests();
        };
        let pushing = tokio::spawn(push);
        let came = self.rest(Some(ForgeFault::nth_write(nth, ForgeFaultKind::HeldRequest))).await?;
        pushing.abort();
        if came {
            pushing.await.unwrap();
            self.head = head;
            self.is_amid = true;
            self.rest(None).await?;
        }
        Ok(came)
    }

    /// Pushes several commits. At the first push, the first call gets a wrong response; at each further push,
    /// a call that is `step` calls later. Checks every invariant after each push.
    async fn answered(
        &mut self,
        by: fn(&str) -> ForgeFaultKind,
        told: &str,
        step: usize,
    ) -> Result<VisibleReview, String> {
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        let address = format!("http://{}/", elsewhere.local_addr().unwrap());
        for nth in (1..MAX_CALLS).step_by(step) {
            self.push(|tree| tree.add(2, &format!("w{nth}"))).await;
            let came = self.rest(Some(ForgeFault::nth_call(nth, by(&address)))).await?;
            let shown = check(self).await.map_err(|problems| format!("call {nth}: {problems}"))?;
            if elsewhere.accept().is_ok() {
                return Err(format!("call {nth}: another server was called"));
            }
            if !came {
                let history = self.history().await;
                let is_told = history.iter().any(|what| what.contains(told));
                return if is_told { Ok(shown) } else { Err(format!("not told: {told}, but {history:#?}")) };
            }
        }
        Err(format!("a review has {MAX_CALLS} calls"))
    }

    /// Returns the descriptions of the events in the pull request's history.
    pub(crate) async fn history(&self) -> Vec<String> {
        let events = self.store().events(&self.key().await, MAX_EVENTS).await.unwrap();
        events.into_iter().map(|event| event.description).collect()
    }

    /// Returns our comments on code that still exist, oldest first.
    async fn ours(&self) -> Vec<CommentView> {
        self.view().await.inline_comments().filter(|comment| comment.author == BOT).cloned().collect()
    }

    /// Applies a change to the head and pushes it.
    async fn push(&mut self, change: impl Fn(&mut Tree)) {
        let before = self.head.clone();
        change(&mut self.head);
        self.repo.push(self.branch, self.head.commit_after(&before, "Change")).await.unwrap();
    }

    /// Replaces the branch by one new commit on top of its base commit with a forced push.
    async fn make_anew(&mut self) {
        let (onto, tree) = &self.began;
        let commit = self.head.commit_after(tree, "Change, made anew");
        self.repo.force_push(self.branch, onto, commit).await.unwrap();
    }

    /// Performs one act of a person.
    async fn happen(&mut self, act: &Act) {
        match *act {
            Act::Rest | Act::Answered { .. } | Act::Interrupted(_) | Act::PushedAmid(_) => {}
            Act::Open(change) => self.open(BRANCH, change).await,
            Act::OpenFromFork(change) => self.open(FORK, change).await,
            Act::Push(change) => self.push(change).await,
            Act::ForcePush(change) => {
                change(&mut self.head);
                self.make_anew().await;
            }
            Act::PushToBase(change) => {
                let before = self.base.clone();
                change(&mut self.base);
                self.repo.push("main", self.base.commit_after(&before, "Meanwhile")).await.unwrap();
            }
            Act::Rebase => {
                self.began = (self.repo.tip("main").await.unwrap(), self.base.clone());
                for (path, lines) in &self.base.0 {
                    self.head.0.entry(path.clone()).or_insert_with(|| lines.clone());
                }
                self.make_anew().await;
            }
            Act::Retarget(change) => {
                let before = self.base.clone();
                change(&mut self.base);
                self.repo.push("other", self.base.commit_after(&before, "Another")).await.unwrap();
                self.repo.retarget(self.number, "other").await.unwrap();
            }
            Act::Storm(pushes) => {
                for n in 0..pushes {
                    self.push(|tree| tree.add(2, &format!("s{n}"))).await;
                }
                self.queue = STORM.apply(self.site.forge.take_deliveries());
            }
            Act::Forge => {
                for comment in self.view().await.comments.iter().filter(|comment| comment.author == BOT) {
                    let line = comment.place.as_ref().and_then(|place| Some((&place.path, place.line?)));
                    match line {
                        Some((path, line)) => self
                            .repo
                            .comment_on_line(self.number, FORGER, path, line, &comment.body)
                            .await
                            .unwrap(),
                        None => self.repo.comment(self.number, FORGER, &comment.body).await.unwrap(),
                    };
                }
            }
            Act::Foreign => {
                let ours = self.ours().await;
                self.repo.comment(self.number, OTHER, "## Truing: 3 findings").await.unwrap();
                self.repo.comment(self.number, PERSON, "Thanks.\r\nI will see.").await.unwrap();
                self.repo.reply(self.number, PERSON, ours[0].id, "Is that so?").await.unwrap();
                let (path, line) =
                    ours[0].place.as_ref().map(|place| (&place.path, place.line.unwrap())).unwrap();
                self.repo.comment_on_line(self.number, OTHER, path, line, "I see it, too.").await.unwrap();
            }
            Act::Delete(nth) => {
                let id = self.ours().await[nth].id;
                self.deleted.insert(id);
                self.repo.delete_comment(self.number, id).await.unwrap();
            }
            Act::Edit(nth) => {
                let comment = self.ours().await.remove(nth);
                let body = format!("An administrator was here.\n{}", comment.body);
                self.repo.edit_comment(self.number, comment.id, &body).await.unwrap();
            }
            Act::Resolve(nth) => {
                let id = self.ours().await[nth].id;
                self.resolved.insert(id);
                self.repo.resolve_thread(self.number, id, PERSON).await.unwrap();
            }
            Act::Close => {
                self.open = false;
                self.repo.close_pull(self.number).await.unwrap();
            }
            Act::DeleteBase => {
                self.open = false;
                self.repo.delete_branch("other").await.unwrap();
            }
            Act::DeleteFork => self.repo.delete_fork(FORKER).await.unwrap(),
            Act::RotateKey => self.site.sign_with(MarkerKeys::new(b"a newer key of the tests", &[KEY])),
            Act::Forget => self.site.forget(),
            Act::Limit(a_minute) => self.site.forge.set_creation_limit(a_minute),
        }
    }

    async fn open(&mut self, branch: &'static str, change: fn(&mut Tree)) {
        self.branch = branch;
        self.push(change).await;
        self.number = self.repo.open_pull(NewPull::from_branch(branch)).await.unwrap();
    }
}

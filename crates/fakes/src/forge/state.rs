//! The state of the forge: accounts, repositories, pull requests, comments. It knows no call, and no form in
//! which a forge shows something; [`ForgeInstance::form`] makes its deliveries.

pub(crate) mod access;
pub(crate) mod apps;
pub(crate) mod bots;
pub(crate) mod checks;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod issues;
pub(crate) mod merging;
pub(crate) mod notes;
pub(crate) mod pulls;
pub(crate) mod reports;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use truing_core::port::Clock;

use crate::forge::diff::{DiffCache, FakeDiffSide, PullSizes};
use crate::forge::fault::ForgeFaults;
use crate::forge::flavour::ForgeFlavour;
use crate::forge::refusal::RefusedFile;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::apps::{AppRegistry, FakeTokenScope};
use crate::forge::state::bots::FakeBot;
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::delivery::{DeliveryHook, FakeDelivery, HookBreaker, MAX_QUEUED};
use crate::forge::state::event::{FakeForgeEvent, PullChange};
use crate::forge::state::issues::StoredIssue;
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::{CurrentLines, StoredPull};
use crate::forge::state::reports::CommitReport;
use crate::repo::{FakeGitError, RepoBuilder};

/// Requests that the log remembers; the oldest is forgotten for one more.
pub const MAX_LOGGED: usize = 50_000;
/// Violations that are remembered, the first ones.
const MAX_VIOLATIONS: usize = 1_000;
/// Seconds that the secondary limit on making comments looks back.
const MINUTE: i64 = 60;
/// Ids begin here: above 32 bits, as GitHub's newer ones soon are.
const FIRST_ID: u64 = 5_000_000_001;

/// The branch of a new repository.
pub(crate) const DEFAULT_BRANCH: &str = "main";

/// Makes the delivery with this serial number of an event; none if there is nothing to tell.
pub(crate) type DeliveryFn = fn(
    &ForgeInstance,
    &mut StoredRepository,
    &FakeForgeEvent,
    u64,
) -> Result<Option<FakeDelivery>, FakeGitError>;

/// Everything, behind one lock.
#[derive(Debug)]
pub(crate) struct FakeForgeState {
    pub(crate) world: ForgeInstance,
    /// By `owner/name` in lower case.
    pub(crate) repos: BTreeMap<String, StoredRepository>,
    /// Names that repositories had, and their ids.
    pub(crate) moved: BTreeMap<String, u64>,
}

/// What is not inside a repository.
pub(crate) struct ForgeInstance {
    pub(crate) flavour: ForgeFlavour,
    /// The version that a Data Center says it has.
    pub(crate) version: String,
    pub(crate) base_url: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Login to id. A login that ends with `[bot]` is an app's, as at GitHub.
    pub(crate) accounts: BTreeMap<String, u64>,
    /// Logins whose accounts are closed. Cloud takes none of them as a reviewer.
    pub(crate) closed_accounts: BTreeSet<String>,
    /// Token to login.
    pub(crate) tokens: HashMap<String, String>,
    pub(crate) apps: AppRegistry,
    pub(crate) private_git: bool,
    pub(crate) next_id: u64,
    pub(crate) faults: ForgeFaults,
    pub(crate) refused_files: Vec<RefusedFile>,
    pub(crate) stale_lists: u32,
    pub(crate) stale_heads: u32,
    pub(crate) hook: Option<DeliveryHook>,
    pub(crate) queued: VecDeque<FakeDelivery>,
    pub(crate) outbox: Sender<(FakeDelivery, DeliveryHook)>,
    /// What a Data Center remembers of deliveries that failed.
    pub(crate) breaker: HookBreaker,
    pub(crate) events: u64,
    /// Makes the delivery of an event, in the form of this forge.
    pub(crate) form: DeliveryFn,
    pub(crate) used: u64,
    /// The primary rate limit, if it is one; and the hour of the clock with the calls that it counts.
    pub(crate) limit: Option<u64>,
    pub(crate) spent: (i64, u64),
    /// Comments and reviews that may be made in a minute, if there is such a limit, and when the last were.
    pub(crate) creations: Option<(usize, VecDeque<i64>)>,
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) log: VecDeque<LoggedCall>,
    pub(crate) violations: Vec<String>,
}

impl std::fmt::Debug for ForgeInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForgeInstance").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// One request as it was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedCall {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Who asked; none without a known token.
    pub login: Option<String>,
    /// What it names as the review that it is for.
    pub review: Option<String>,
    /// The status; none when the connection was ended instead.
    pub status: Option<u16>,
}

/// A repository with its pull requests.
#[derive(Debug)]
pub(crate) struct StoredRepository {
    pub(crate) flavour: ForgeFlavour,
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) default_branch: String,
    pub(crate) created: i64,
    pub(crate) pushed: i64,
    pub(crate) git: RepoBuilder,
    pub(crate) diffs: DiffCache,
    pub(crate) pulls: BTreeMap<u64, StoredPull>,
    pub(crate) issues: BTreeMap<u64, StoredIssue>,
    /// The labels that there are, with their ids.
    pub(crate) labels: BTreeMap<String, u64>,
    /// Branches that nobody may push to, besides the default branch.
    pub(crate) protected: BTreeSet<String>,
    /// Kinds of rules of a ruleset, by branch.
    pub(crate) rules: BTreeMap<String, BTreeSet<String>>,
    /// What a hook says to the next pushes.
    pub(crate) declines: VecDeque<String>,
    pub(crate) statuses: Vec<CommitStatus>,
    pub(crate) checks: Vec<FakeCheckRun>,
    pub(crate) reports: Vec<CommitReport>,
    /// Owners of forks, with the fork's id; none when the fork is gone.
    pub(crate) forks: BTreeMap<String, Option<u64>>,
    /// Owners of forks that nobody else may see.
    pub(crate) hidden_forks: BTreeSet<String>,
    /// Commits that were pushed to forks, with the fork's owner. Cloud shows them at the fork's address
    /// alone.
    pub(crate) fork_commits: BTreeMap<String, String>,
    /// Those that review when they are asked.
    pub(crate) bots: Vec<FakeBot>,
    /// Login to role.
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) access: RepositoryAccess,
    /// Do tokens list it?
    pub(crate) listed: bool,
}

/// A commit's status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitStatus {
    /// Its id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// `error`, `failure`, `pending` or `success`: Bitbucket's STOPPED or CANCELLED, FAILED, INPROGRESS,
    /// SUCCESSFUL.
    pub state: String,
    /// One line.
    pub description: Option<String>,
    /// Where it leads.
    pub target_url: Option<String>,
    /// Whose it is; Bitbucket's `key`.
    pub context: String,
    /// Its name for people, at Bitbucket alone.
    pub name: Option<String>,
    /// The branch it was set for, at Bitbucket alone.
    pub refname: Option<String>,
    /// The key of its parent, which a required build is named by, at Bitbucket Data Center alone.
    pub parent: Option<String>,
    /// Who set it.
    pub creator: String,
    /// When, seconds since 1970.
    pub created: i64,
}

impl ForgeInstance {
    /// The next id.
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id = self.next_id.max(FIRST_ID) + 1;
        self.next_id
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().0.div_euclid(1000)
    }

    /// Makes sure that there is such an account.
    pub(crate) fn account(&mut self, login: &str) {
        if !self.accounts.contains_key(login) {
            let id = self.id();
            self.accounts.insert(login.to_owned(), id);
        }
    }

    /// A new comment by somebody.
    pub(crate) fn note(&mut self, author: &str, body: &str) -> StoredComment {
        self.account(author);
        let now = self.now();
        StoredComment {
            id: self.id(),
            author: author.to_owned(),
            body: body.to_owned(),
            created: now,
            updated: now,
            deleted: false,
            hidden_for: self.stale_lists,
            parent: None,
            version: 0,
            resolved_by: None,
            reactions: Vec::new(),
        }
    }

    /// Writes down what no reviewer may do.
    pub(crate) fn violation(&mut self, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// A pull request was changed by somebody.
    pub(crate) fn changed(
        &mut self,
        repo: &mut StoredRepository,
        number: u64,
        by: &str,
        change: PullChange,
    ) -> Result<(), FakeGitError> {
        self.account(by);
        let now = self.now();
        let Some(pull) = repo.pulls.get_mut(&number) else { return Ok(()) };
        pull.updated = now;
        pull.version += 1;
        self.tell(repo, &FakeForgeEvent::Pull { number, change, by: by.to_owned() })
    }

    /// Sends the delivery of an event, or lets it wait.
    pub(crate) fn tell(
        &mut self,
        repo: &mut StoredRepository,
        event: &FakeForgeEvent,
    ) -> Result<(), FakeGitError> {
        let form = self.form;
        let Some(delivery) = form(self, repo, event, self.events + 1)? else { return Ok(()) };
        self.events += 1;
        let automatic = self.hook.as_ref().filter(|hook| hook.automatic);
        // An outbox that is full (its receiver hangs) makes the delivery wait to be taken by hand.
        let sent =
            automatic.is_some_and(|hook| self.outbox.try_send((delivery.clone(), hook.clone())).is_ok());
        if !sent {
            if self.queued.len() >= MAX_QUEUED {
                self.queued.pop_front();
            }
            self.queued.push_back(delivery);
        }
        Ok(())
    }

    /// Counts a call that makes comments against the secondary limit on that; the seconds to wait if there
    /// were too many in the last minute.
    pub(crate) fn crowded(&mut self, method: &str, route: &str) -> Option<u64> {
        let now = self.now();
        let makes = ["/comments", "/replies", "/reviews"].iter().any(|end| route.ends_with(end));
        let (limit, made) = self.creations.as_mut().filter(|_| method == "POST" && makes)?;
        while made.front().is_some_and(|at| now - at >= MINUTE) {
            made.pop_front();
        }
        match made.front() {
            Some(first) if made.len() >= *limit => Some((first + MINUTE - now).unsigned_abs()),
            Some(_) | None => {
                made.push_back(now);
                None
            }
        }
    }

    /// Counts a call against the primary rate limit; false: it is spent.
    pub(crate) fn spend(&mut self) -> bool {
        let hour = self.now().div_euclid(3600);
        if self.spent.0 != hour {
            self.spent = (hour, 0);
        }
        self.spent.1 += 1;
        self.limit.is_none_or(|limit| self.spent.1 <= limit)
    }
}

impl StoredRepository {
    /// `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The role of an account.
    pub(crate) fn role(&self, login: &str) -> &str {
        match self.permissions.get(login) {
            Some(role) => role.as_str(),
            None if login == self.owner => "admin",
            None => "none",
        }
    }

    /// The permission of an account, in GitHub's older words and as the name of a role.
    pub(crate) fn permission(&self, login: &str) -> (&'static str, String) {
        let role = self.role(login);
        let word = match role {
            "admin" => "admin",
            "write" | "maintain" => "write",
            "read" | "triage" => "read",
            _ => "none",
        };
        (word, role.to_owned())
    }

    /// The comments in the conversation of a pull request or an issue, deleted ones too.
    pub(crate) fn notes(&self, number: u64) -> &[StoredComment] {
        match (self.pulls.get(&number), self.issues.get(&number)) {
            (Some(pull), _) => &pull.summary,
            (None, Some(issue)) => &issue.notes,
            (None, None) => &[],
        }
    }

    /// The same, to be changed; none if there is neither.
    pub(crate) fn notes_mut(&mut self, number: u64) -> Option<&mut Vec<StoredComment>> {
        match self.pulls.get_mut(&number) {
            Some(pull) => Some(&mut pull.summary),
            None => self.issues.get_mut(&number).map(|issue| &mut issue.notes),
        }
    }

    /// The numbers of all pull requests and issues.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.pulls.keys().chain(self.issues.keys()).copied().collect()
    }

    /// The number of the next pull request or issue.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers().into_iter().max().unwrap_or(0) + 1
    }

    /// The sizes of a pull request at this head.
    pub(crate) fn stats(&mut self, number: u64, head: &str) -> Result<PullSizes, FakeGitError> {
        match self.pulls.get(&number) {
            Some(pull) if self.git.merge_base(&pull.base, head).is_some() => {
                self.diffs.stats(&self.git, &pull.base, head)
            }
            Some(_) | None => Ok(PullSizes::default()),
        }
    }

    /// Where every inline comment's lines are at the pull request's head.
    pub(crate) fn lines_now(&mut self, number: u64) -> Result<HashMap<u64, CurrentLines>, FakeGitError> {
        let Some(pull) = self.pulls.get(&number) else { return Ok(HashMap::new()) };
        let Some(base_now) = self.git.merge_base(&pull.base, &pull.head) else {
            return Ok(pull.inline.iter().map(|comment| (comment.note.id, None)).collect());
        };
        let shown = self.diffs.of_pull(&self.git, &pull.base, &pull.head)?;
        let mut lines = HashMap::new();
        for comment in &pull.inline {
            let path = &comment.place.path;
            let mut follow = |(side, line): (FakeDiffSide, u32)| {
                let (from, to) = match side {
                    FakeDiffSide::Left => (&comment.merge_base, &base_now),
                    FakeDiffSide::Right => (&comment.commit, &pull.head),
                };
                Ok::<_, FakeGitError>(
                    self.diffs.moves(&self.git, from, to)?.follow(path, line).map(|line| (side, line)),
                )
            };
            let last = comment.place.line.map(&mut follow).transpose()?.flatten();
            let first = comment.place.start.map(&mut follow).transpose()?.flatten();
            // Outdated when a line has changed or is no longer part of the diff.
            let now = last
                .filter(|_| first.is_some() == comment.place.start.is_some())
                .filter(|last| shown.place(path, *last, first).is_ok())
                .map(|(_, line)| (line, first.map(|(_, line)| line)));
            lines.insert(comment.note.id, now);
        }
        Ok(lines)
    }
}

impl FakeTokenScope {
    /// Does it show this repository?
    pub(crate) fn sees(&self, repo: &StoredRepository) -> bool {
        match self {
            Self::Account | Self::Access | Self::App(_) => true,
            Self::Installation { owner, only, .. } => {
                *owner == repo.owner && only.as_ref().is_none_or(|only| only.contains(&repo.id))
            }
        }
    }
}

/// The full name of the ref behind `branch` or `owner:branch`.
pub(crate) fn ref_name(branch: &str) -> String {
    match branch.split_once(':') {
        Some((owner, branch)) => format!("refs/forks/{owner}/{branch}"),
        None => format!("refs/heads/{branch}"),
    }
}

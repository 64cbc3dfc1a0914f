//! The state of the forge: accounts, repositories, pull requests and comments. The state does not depend on
//! API calls or on the formats of the forges. [`ForgeInstance::form`] creates webhook deliveries in the
//! forge's format.

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
use crate::forge::state::delivery::{
    FakeDelivery, MAX_QUEUED_DELIVERIES, WebhookCircuitBreaker, WebhookTarget,
};
use crate::forge::state::event::{FakeForgeEvent, PullChange};
use crate::forge::state::issues::StoredIssue;
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::{CurrentLines, StoredPull};
use crate::forge::state::reports::CommitReport;
use crate::repo::{FakeGitError, FakeGitRepository};

/// Maximum number of logged requests. If this number is exceeded, the oldest request is dropped.
pub const MAX_LOGGED_CALLS: usize = 50_000;
/// Maximum number of recorded violations. Further violations are dropped.
const MAX_VIOLATIONS: usize = 1_000;
/// Time window, in seconds, of the secondary rate limit on new comments.
const SECONDARY_LIMIT_WINDOW_SECONDS: i64 = 60;
/// First id that the forge assigns. The id exceeds 32 bits, because GitHub's new ids will soon exceed 32
/// bits.
const FIRST_ID: u64 = 5_000_000_001;

/// Name of the branch of a new repository.
pub(crate) const DEFAULT_BRANCH: &str = "main";

/// A function that creates the delivery of an event and assigns it the given serial number. Returns `None` if
/// the forge sends no delivery.
pub(crate) type DeliveryFn = fn(
    &ForgeInstance,
    &mut StoredRepository,
    &FakeForgeEvent,
    u64,
) -> Result<Option<FakeDelivery>, FakeGitError>;

/// The complete state, which one lock protects.
#[derive(Debug)]
pub(crate) struct FakeForgeState {
    pub(crate) forge: ForgeInstance,
    /// Repositories by `owner/name` in lower case.
    pub(crate) repos: BTreeMap<String, StoredRepository>,
    /// Ids of renamed repositories by former name.
    pub(crate) renamed_repositories: BTreeMap<String, u64>,
}

/// The part of the state that does not belong to a repository.
pub(crate) struct ForgeInstance {
    pub(crate) flavour: ForgeFlavour,
    /// Version that a Data Center reports.
    pub(crate) version: String,
    pub(crate) base_url: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Ids of accounts by login. As at GitHub, a login that ends with `[bot]` belongs to an app.
    pub(crate) accounts: BTreeMap<String, u64>,
    /// Logins of closed accounts. Cloud rejects closed accounts as reviewers.
    pub(crate) closed_accounts: BTreeSet<String>,
    /// Logins of accounts by token.
    pub(crate) tokens: HashMap<String, String>,
    pub(crate) apps: AppRegistry,
    pub(crate) private_git: bool,
    pub(crate) next_id: u64,
    pub(crate) faults: ForgeFaults,
    pub(crate) refused_files: Vec<RefusedFile>,
    pub(crate) stale_list_reads: u32,
    pub(crate) stale_head_reads: u32,
    pub(crate) webhook: Option<WebhookTarget>,
    pub(crate) queued_deliveries: VecDeque<FakeDelivery>,
    pub(crate) outbox: Sender<(FakeDelivery, WebhookTarget)>,
    /// Count of a Data Center's failed deliveries, after which the webhook is skipped.
    pub(crate) breaker: WebhookCircuitBreaker,
    pub(crate) delivery_count: u64,
    /// Function that creates the delivery of an event, in the format of this kind of forge.
    pub(crate) create_delivery: DeliveryFn,
    pub(crate) request_count: u64,
    /// Primary rate limit; `None` if no limit is enforced. The next field is the hour of the last call, and
    /// the number of calls in this hour.
    pub(crate) primary_rate_limit: Option<u64>,
    pub(crate) hour_and_call_count: (i64, u64),
    /// Maximum number of calls per minute that create comments or reviews, and the times of the last such
    /// calls. `None` means no limit.
    pub(crate) secondary_rate_limit: Option<(usize, VecDeque<i64>)>,
    pub(crate) call_counts: BTreeMap<String, u64>,
    pub(crate) log: VecDeque<LoggedCall>,
    pub(crate) violations: Vec<String>,
}

impl std::fmt::Debug for ForgeInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForgeInstance").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// One request with its response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedCall {
    pub method: String,
    /// Path and query of the request.
    pub path: String,
    /// Login of the caller; `None` if the request contains no valid token.
    pub login: Option<String>,
    /// Id of the review in the request.
    pub review_id: Option<String>,
    /// Status of the response; `None` if the connection was closed instead.
    pub status: Option<u16>,
    /// True if the request may write to a repository. A GraphQL query cannot, although its method is POST.
    pub is_write: bool,
}

/// A repository with its pull requests.
#[derive(Debug)]
pub(crate) struct StoredRepository {
    pub(crate) flavour: ForgeFlavour,
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) default_branch: String,
    pub(crate) created_at: i64,
    pub(crate) pushed_at: i64,
    pub(crate) git: FakeGitRepository,
    pub(crate) diffs: DiffCache,
    pub(crate) pulls: BTreeMap<u64, StoredPull>,
    pub(crate) issues: BTreeMap<u64, StoredIssue>,
    /// Existing labels with their ids.
    pub(crate) labels: BTreeMap<String, u64>,
    /// Branches that reject every push, in addition to the default branch.
    pub(crate) protected_branches: BTreeSet<String>,
    /// Kinds of ruleset rules, by branch.
    pub(crate) branch_rules: BTreeMap<String, BTreeSet<String>>,
    /// Messages with which a hook rejects the next pushes, one message per push.
    pub(crate) push_rejection_messages: VecDeque<String>,
    /// Commits that the forge calls verified: it created them, or their signature is of a registered key.
    pub(crate) verified_commits: BTreeSet<String>,
    /// Public SSH keys whose signatures the forge accepts.
    pub(crate) signing_keys: Vec<String>,
    pub(crate) statuses: Vec<CommitStatus>,
    pub(crate) checks: Vec<FakeCheckRun>,
    pub(crate) reports: Vec<CommitReport>,
    /// Ids of forks by owner; `None` if the fork was deleted.
    pub(crate) forks: BTreeMap<String, Option<u64>>,
    /// Owners of forks that no other account may see.
    pub(crate) hidden_forks: BTreeSet<String>,
    /// Owners of forks, by commits that were pushed to the fork. Cloud returns such commits only at the
    /// fork's URL.
    pub(crate) fork_commits: BTreeMap<String, String>,
    /// Bots that review on request or when a comment triggers them.
    pub(crate) bots: Vec<FakeBot>,
    /// Roles of accounts by login.
    pub(crate) roles: BTreeMap<String, String>,
    pub(crate) access: RepositoryAccess,
    /// True if calls that list the caller's repositories return this repository.
    pub(crate) is_listed: bool,
}

/// A status of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitStatus {
    pub id: u64,
    /// Commit that has the status.
    pub sha: String,
    /// State: `error`, `failure`, `pending` or `success`. Bitbucket's names for these states are STOPPED or
    /// CANCELLED, FAILED, INPROGRESS and SUCCESSFUL.
    pub state: String,
    /// Description in one line.
    pub description: Option<String>,
    /// URL to which the status links.
    pub target_url: Option<String>,
    /// Context of the status, which Bitbucket calls `key`.
    pub context: String,
    /// Displayed name, only at Bitbucket.
    pub name: Option<String>,
    /// Branch for which the status was set; only at Bitbucket.
    pub refname: Option<String>,
    /// Parent key, which identifies required builds; only at Bitbucket Data Center.
    pub parent_key: Option<String>,
    /// Account that set the status.
    pub creator: String,
    /// Time of creation, in seconds since 1970.
    pub created_at: i64,
}

impl ForgeInstance {
    /// Returns the next free id.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.next_id = self.next_id.max(FIRST_ID) + 1;
        self.next_id
    }

    /// Returns the time in seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().0.div_euclid(1000)
    }

    /// Creates the account if it does not exist.
    pub(crate) fn ensure_account(&mut self, login: &str) {
        if !self.accounts.contains_key(login) {
            let id = self.next_id();
            self.accounts.insert(login.to_owned(), id);
        }
    }

    /// Returns a new comment by an account.
    pub(crate) fn new_comment(&mut self, author: &str, body: &str) -> StoredComment {
        self.ensure_account(author);
        let now = self.now();
        StoredComment {
            id: self.next_id(),
            author: author.to_owned(),
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
            deleted: false,
            hidden_list_reads: self.stale_list_reads,
            parent_key: None,
            version: 0,
            resolved_by: None,
            reactions: Vec::new(),
            last_edit: None,
        }
    }

    /// Records an action that a reviewer must never take.
    pub(crate) fn record_violation(&mut self, violation: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    /// Records a change of a pull request by an account, and sends the event of the change.
    pub(crate) fn record_change(
        &mut self,
        repo: &mut StoredRepository,
        number: u64,
        actor: &str,
        change: PullChange,
    ) -> Result<(), FakeGitError> {
        self.ensure_account(actor);
        let now = self.now();
        let Some(pull) = repo.pulls.get_mut(&number) else { return Ok(()) };
        pull.updated_at = now;
        pull.version += 1;
        self.deliver_event(repo, &FakeForgeEvent::Pull { number, change, actor: actor.to_owned() })
    }

    /// Sends the delivery of an event, or queues it.
    pub(crate) fn deliver_event(
        &mut self,
        repo: &mut StoredRepository,
        event: &FakeForgeEvent,
    ) -> Result<(), FakeGitError> {
        let form = self.create_delivery;
        let Some(delivery) = form(self, repo, event, self.delivery_count + 1)? else { return Ok(()) };
        self.delivery_count += 1;
        let automatic = self.webhook.as_ref().filter(|hook| hook.is_automatic);
        // If the outbox is full, because the webhook's receiver hangs, the delivery is queued. A test can
        // take deliveries from the queue.
        let sent =
            automatic.is_some_and(|hook| self.outbox.try_send((delivery.clone(), hook.clone())).is_ok());
        if !sent {
            if self.queued_deliveries.len() >= MAX_QUEUED_DELIVERIES {
                self.queued_deliveries.pop_front();
            }
            self.queued_deliveries.push_back(delivery);
        }
        Ok(())
    }

    /// Counts a call that creates a comment or a review towards the secondary rate limit. If the limit is
    /// exceeded in the last minute, returns the seconds to wait.
    pub(crate) fn secondary_limit_wait(&mut self, method: &str, route: &str) -> Option<u64> {
        let now = self.now();
        let makes = ["/comments", "/replies", "/reviews"].iter().any(|end| route.ends_with(end));
        let (limit, made) = self.secondary_rate_limit.as_mut().filter(|_| method == "POST" && makes)?;
        while made.front().is_some_and(|at| now - at >= SECONDARY_LIMIT_WINDOW_SECONDS) {
            made.pop_front();
        }
        match made.front() {
            Some(first) if made.len() >= *limit => {
                Some((first + SECONDARY_LIMIT_WINDOW_SECONDS - now).unsigned_abs())
            }
            Some(_) | None => {
                made.push_back(now);
                None
            }
        }
    }

    /// Counts a call towards the primary rate limit. Returns false if no calls are left.
    pub(crate) fn count_call(&mut self) -> bool {
        let hour = self.now().div_euclid(3600);
        if self.hour_and_call_count.0 != hour {
            self.hour_and_call_count = (hour, 0);
        }
        self.hour_and_call_count.1 += 1;
        self.primary_rate_limit.is_none_or(|limit| self.hour_and_call_count.1 <= limit)
    }
}

impl StoredRepository {
    /// Returns the name in the form `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the role of an account.
    pub(crate) fn role(&self, login: &str) -> &str {
        match self.roles.get(login) {
            Some(role) => role.as_str(),
            None if login == self.owner => "admin",
            None => "none",
        }
    }

    /// Returns the permission of an account, as one of GitHub's older names, and the account's role.
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

    /// Returns the comments in the conversation of a pull request or an issue, including deleted comments.
    pub(crate) fn conversation_comments(&self, number: u64) -> &[StoredComment] {
        match (self.pulls.get(&number), self.issues.get(&number)) {
            (Some(pull), _) => &pull.conversation_comments,
            (None, Some(issue)) => &issue.comments,
            (None, None) => &[],
        }
    }

    /// Returns the comments of a conversation, for changes; `None` if the pull request or issue does not
    /// exist.
    pub(crate) fn conversation_comments_mut(&mut self, number: u64) -> Option<&mut Vec<StoredComment>> {
        match self.pulls.get_mut(&number) {
            Some(pull) => Some(&mut pull.conversation_comments),
            None => self.issues.get_mut(&number).map(|issue| &mut issue.comments),
        }
    }

    /// Returns the numbers of all pull requests and issues.
    pub(crate) fn pull_and_issue_numbers(&self) -> Vec<u64> {
        self.pulls.keys().chain(self.issues.keys()).copied().collect()
    }

    /// Returns the number of the next pull request or issue.
    pub(crate) fn next_number(&self) -> u64 {
        self.pull_and_issue_numbers().into_iter().max().unwrap_or(0) + 1
    }

    /// Returns the numbers of changed files and lines of a pull request at this head.
    pub(crate) fn pull_sizes(&mut self, number: u64, head: &str) -> Result<PullSizes, FakeGitError> {
        match self.pulls.get(&number) {
            Some(pull) if self.git.merge_base(&pull.base, head).is_some() => {
                self.diffs.pull_sizes(&self.git, &pull.base, head)
            }
            Some(_) | None => Ok(PullSizes::default()),
        }
    }

    /// Returns the current lines of all inline comments at the head of the pull request.
    pub(crate) fn current_lines(&mut self, number: u64) -> Result<HashMap<u64, CurrentLines>, FakeGitError> {
        let Some(pull) = self.pulls.get(&number) else { return Ok(HashMap::new()) };
        let Some(base_now) = self.git.merge_base(&pull.base, &pull.head) else {
            return Ok(pull.inline_comments.iter().map(|comment| (comment.comment.id, None)).collect());
        };
        let shown = self.diffs.pull_diff(&self.git, &pull.base, &pull.head)?;
        let mut lines = HashMap::new();
        for comment in &pull.inline_comments {
            let path = &comment.place.path;
            let mut follow = |(side, line): (FakeDiffSide, u32)| {
                let (from, to) = match side {
                    FakeDiffSide::Left => (&comment.merge_base, &base_now),
                    FakeDiffSide::Right => (&comment.commit, &pull.head),
                };
                Ok::<_, FakeGitError>(
                    self.diffs
                        .diff_without_context(&self.git, from, to)?
                        .map_old_line(path, line)
                        .map(|line| (side, line)),
                )
            };
            let last = comment.place.line.map(&mut follow).transpose()?.flatten();
            let first = comment.place.start.map(&mut follow).transpose()?.flatten();
            // A comment is outdated if one of its lines has changed or is no longer part of the diff.
            let now = last
                .filter(|_| first.is_some() == comment.place.start.is_some())
                .filter(|last| shown.check_place(path, *last, first).is_ok())
                .map(|(_, line)| (line, first.map(|(_, line)| line)));
            lines.insert(comment.comment.id, now);
        }
        Ok(lines)
    }
}

impl FakeTokenScope {
    /// Returns true if the scope includes this repository.
    pub(crate) fn includes(&self, repo: &StoredRepository) -> bool {
        match self {
            Self::Account | Self::AccessToken | Self::App(_) => true,
            Self::Installation { owner, repository_ids: only, .. } => {
                *owner == repo.owner && only.as_ref().is_none_or(|only| only.contains(&repo.id))
            }
        }
    }
}

/// Returns the full name of the ref of `branch` or `owner:branch`.
pub(crate) fn ref_name(branch: &str) -> String {
    match branch.split_once(':') {
        Some((owner, branch)) => format!("refs/forks/{owner}/{branch}"),
        None => format!("refs/heads/{branch}"),
    }
}

//! What the forge holds: accounts, repositories, pull requests, comments; and the events it makes of changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use truing_core::port::Clock;

use crate::forge::app::Apps;
use crate::forge::checks::CheckRun;
use crate::forge::diff::{Diffs, Side, Stats};
use crate::forge::estate::Access;
use crate::forge::fault::Faults;
use crate::forge::issues::{Issue, Labelled};
use crate::forge::merging::Around;
use crate::forge::reviewers::{Bot, Reaction};
use crate::forge::webhook::{Delivery, Hook, MAX_QUEUED};
use crate::repo::{GitError, RepoBuilder};

/// Requests that the log remembers; the oldest is forgotten for one more.
pub const MAX_LOGGED: usize = 50_000;
/// Violations that are remembered, the first ones.
const MAX_VIOLATIONS: usize = 1_000;
/// Seconds that the secondary limit on making comments looks back.
const MINUTE: i64 = 60;
/// Ids begin here: above 32 bits, as GitHub's newer ones soon are.
const FIRST_ID: u64 = 5_000_000_001;

/// Everything, behind one lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    /// By `owner/name` in lower case.
    pub(crate) repos: BTreeMap<String, Repository>,
    /// Names that repositories had, and their ids.
    pub(crate) moved: BTreeMap<String, u64>,
}

/// What is not inside a repository.
pub(crate) struct World {
    pub(crate) base_url: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// Login to id. A login that ends with `[bot]` is an app's, as at GitHub.
    pub(crate) accounts: BTreeMap<String, u64>,
    /// Token to login.
    pub(crate) tokens: HashMap<String, String>,
    pub(crate) apps: Apps,
    pub(crate) private_git: bool,
    pub(crate) next_id: u64,
    pub(crate) faults: Faults,
    pub(crate) stale_lists: u32,
    pub(crate) stale_heads: u32,
    pub(crate) hook: Option<Hook>,
    pub(crate) queued: VecDeque<Delivery>,
    pub(crate) outbox: Sender<(Delivery, Hook)>,
    pub(crate) events: u64,
    pub(crate) used: u64,
    /// The primary rate limit, if it is one; and the hour of the clock with the calls that it counts.
    pub(crate) limit: Option<u64>,
    pub(crate) spent: (i64, u64),
    /// Comments and reviews that may be made in a minute, if there is such a limit, and when the last were.
    pub(crate) creations: Option<(usize, VecDeque<i64>)>,
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) log: VecDeque<Logged>,
    pub(crate) violations: Vec<String>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// One request as it was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logged {
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
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) default_branch: String,
    pub(crate) created: i64,
    pub(crate) pushed: i64,
    pub(crate) git: RepoBuilder,
    pub(crate) diffs: Diffs,
    pub(crate) pulls: BTreeMap<u64, Pull>,
    pub(crate) issues: BTreeMap<u64, Issue>,
    /// The labels that there are, with their ids.
    pub(crate) labels: BTreeMap<String, u64>,
    /// Branches that nobody may push to, besides the default branch.
    pub(crate) protected: BTreeSet<String>,
    /// Kinds of rules of a ruleset, by branch.
    pub(crate) rules: BTreeMap<String, BTreeSet<String>>,
    /// What a hook says to the next pushes.
    pub(crate) declines: VecDeque<String>,
    pub(crate) statuses: Vec<Status>,
    pub(crate) checks: Vec<CheckRun>,
    /// Owners of forks, with the fork's id; none when the fork is gone.
    pub(crate) forks: BTreeMap<String, Option<u64>>,
    /// Those that review when they are asked.
    pub(crate) bots: Vec<Bot>,
    /// Login to role.
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) access: Access,
    /// Do tokens list it?
    pub(crate) listed: bool,
}

/// A pull request.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: String,
    /// `branch`, or `owner:branch` in a fork.
    pub(crate) head_ref: String,
    pub(crate) head: String,
    pub(crate) base_ref: String,
    pub(crate) base: String,
    pub(crate) draft: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) labelled: Vec<Labelled>,
    pub(crate) around: Around,
    pub(crate) open: bool,
    pub(crate) merged_by: Option<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) closed: Option<i64>,
    /// The head that reads still show, and how many of them.
    pub(crate) stale: Option<(String, u32)>,
    /// On the pull request itself.
    pub(crate) summary: Vec<Note>,
    pub(crate) inline: Vec<InlineComment>,
    pub(crate) reviews: Vec<Review>,
}

/// What every comment has.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) deleted: bool,
    /// List calls that do not show it yet.
    pub(crate) hidden_for: u32,
    pub(crate) reactions: Vec<Reaction>,
}

/// A comment on code.
#[derive(Clone, Debug)]
pub(crate) struct InlineComment {
    pub(crate) note: Note,
    pub(crate) review: u64,
    pub(crate) place: Place,
    /// The commit it was made on, and the merge base then.
    pub(crate) commit: String,
    pub(crate) merge_base: String,
    pub(crate) diff_hunk: String,
    pub(crate) in_reply_to: Option<u64>,
    /// Who resolved its thread; kept at the thread's first comment, deleted or not.
    pub(crate) resolved_by: Option<String>,
}

/// Where an inline comment was put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file.
    pub path: String,
    /// The side and the last line; none for a comment on the file.
    pub line: Option<(Side, u32)>,
    /// The side and the first line, if there are several.
    pub start: Option<(Side, u32)>,
}

/// A review.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) state: Verdict,
    pub(crate) commit: String,
    pub(crate) created: i64,
}

/// What a review says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing about merging.
    Commented,
    /// It may be merged.
    Approved,
    /// It may not, as it is.
    ChangesRequested,
}

impl Verdict {
    /// GitHub's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Commented => "COMMENTED",
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
        }
    }
}

/// A commit's status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Its id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// One line.
    pub description: Option<String>,
    /// Where it leads.
    pub target_url: Option<String>,
    /// Whose it is.
    pub context: String,
    /// Who set it.
    pub creator: String,
    /// When, seconds since 1970.
    pub created: i64,
}

/// Where the lines of a comment are now: last and first. None: outdated, or on no line.
pub(crate) type Lines = Option<(u32, Option<u32>)>;

impl World {
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
    pub(crate) fn note(&mut self, author: &str, body: &str) -> Note {
        self.account(author);
        let now = self.now();
        Note {
            id: self.id(),
            author: author.to_owned(),
            body: body.to_owned(),
            created: now,
            updated: now,
            deleted: false,
            hidden_for: self.stale_lists,
            reactions: Vec::new(),
        }
    }

    /// Writes down what no reviewer may do.
    pub(crate) fn violation(&mut self, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what);
        }
    }

    /// Makes the `pull_request` event of a change; `more` holds its other top-level fields.
    pub(crate) fn emit(
        &mut self,
        repo: &mut Repository,
        number: u64,
        action: &str,
        sender: &str,
        more: Value,
    ) -> Result<(), GitError> {
        self.account(sender);
        let now = self.now();
        let Some(pull) = repo.pulls.get_mut(&number) else { return Ok(()) };
        pull.updated = now;
        let head = pull.head.clone();
        let stats = repo.stats(number, &head)?;
        let Some(pull) = repo.pulls.get(&number) else { return Ok(()) };
        let mut payload = json!({
            "action": action,
            "number": number,
            "pull_request": self.pull_json(repo, pull, &head, Some(stats)),
            "repository": self.repository_json(repo),
            "sender": self.user_json(sender),
            "installation": {"id": repo.id, "node_id": node_id("Installation", repo.id)},
        });
        if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
            payload.extend(more);
        }
        self.send("pull_request", action, number, &payload);
        Ok(())
    }

    /// Makes the `issue_comment` event of somebody's comment.
    pub(crate) fn emit_comment(&mut self, repo: &Repository, number: u64, id: u64, action: &str) {
        let mut notes = repo.notes(number).iter();
        let Some(comment) = notes.find(|comment| comment.id == id) else { return };
        let payload = json!({
            "action": action,
            "issue": self.conversation_json(repo, number),
            "comment": self.summary_json(repo, number, comment),
            "repository": self.repository_json(repo),
            "sender": self.user_json(&comment.author),
            "installation": {"id": repo.id, "node_id": node_id("Installation", repo.id)},
        });
        self.send("issue_comment", action, number, &payload);
    }

    /// Makes the `pull_request_review_comment` event of somebody's comment on the diff.
    pub(crate) fn emit_inline(
        &mut self,
        repo: &mut Repository,
        number: u64,
        id: u64,
        action: &str,
    ) -> Result<(), GitError> {
        let lines = repo.lines_now(number)?.get(&id).copied().flatten();
        let Some(pull) = repo.pulls.get(&number) else { return Ok(()) };
        let Some(comment) = pull.inline.iter().find(|comment| comment.note.id == id) else { return Ok(()) };
        let payload = json!({
            "action": action,
            "pull_request": self.pull_json(repo, pull, &pull.head, None),
            "comment": self.inline_json(repo, pull, comment, lines),
            "repository": self.repository_json(repo),
            "sender": self.user_json(&comment.note.author),
            "installation": {"id": repo.id, "node_id": node_id("Installation", repo.id)},
        });
        self.send("pull_request_review_comment", action, number, &payload);
        Ok(())
    }

    /// Sends an event, or lets it wait. `number` is the pull request's, if it is about one.
    pub(crate) fn send(&mut self, event: &str, action: &str, number: u64, payload: &Value) {
        self.events += 1;
        let delivery = Delivery::new(self.events, event, action, number, payload);
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
    }

    /// Counts a call that makes comments against the secondary limit on that; the seconds to wait if there were
    /// too many in the last minute.
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

impl Repository {
    /// `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The comments in the conversation of a pull request or an issue, deleted ones too.
    pub(crate) fn notes(&self, number: u64) -> &[Note] {
        match (self.pulls.get(&number), self.issues.get(&number)) {
            (Some(pull), _) => &pull.summary,
            (None, Some(issue)) => &issue.notes,
            (None, None) => &[],
        }
    }

    /// The same, to be changed; none if there is neither.
    pub(crate) fn notes_mut(&mut self, number: u64) -> Option<&mut Vec<Note>> {
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
    pub(crate) fn stats(&mut self, number: u64, head: &str) -> Result<Stats, GitError> {
        match self.pulls.get(&number) {
            Some(pull) if self.git.merge_base(&pull.base, head).is_some() => {
                self.diffs.stats(&self.git, &pull.base, head)
            }
            Some(_) | None => Ok(Stats::default()),
        }
    }

    /// Where every inline comment's lines are at the pull request's head.
    pub(crate) fn lines_now(&mut self, number: u64) -> Result<HashMap<u64, Lines>, GitError> {
        let Some(pull) = self.pulls.get(&number) else { return Ok(HashMap::new()) };
        let Some(base_now) = self.git.merge_base(&pull.base, &pull.head) else {
            return Ok(pull.inline.iter().map(|comment| (comment.note.id, None)).collect());
        };
        let shown = self.diffs.of_pull(&self.git, &pull.base, &pull.head)?;
        let mut lines = HashMap::new();
        for comment in &pull.inline {
            let path = &comment.place.path;
            let mut follow = |(side, line): (Side, u32)| {
                let (from, to) = match side {
                    Side::Left => (&comment.merge_base, &base_now),
                    Side::Right => (&comment.commit, &pull.head),
                };
                Ok::<_, GitError>(
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

impl Pull {
    /// The head to show to a read, which counts as one.
    pub(crate) fn read_head(&mut self) -> String {
        match self.stale.take() {
            Some((old, left)) if left > 0 => {
                self.stale = Some((old.clone(), left - 1));
                old
            }
            Some(_) | None => self.head.clone(),
        }
    }

    /// An inline comment that is there.
    pub(crate) fn comment(&mut self, id: u64) -> Option<&mut InlineComment> {
        self.inline.iter_mut().find(|comment| comment.note.id == id && !comment.note.deleted)
    }

    /// The id of the first comment of a comment's thread.
    pub(crate) fn thread_of(&self, id: u64) -> Option<u64> {
        self.inline.iter().find(|c| c.note.id == id).map(|c| c.in_reply_to.unwrap_or(c.note.id))
    }

    /// Resolves a thread, or opens it again; false: there is no such thread.
    pub(crate) fn resolve(&mut self, thread: u64, by: Option<&str>) -> bool {
        let there =
            self.inline.iter().any(|c| c.in_reply_to.unwrap_or(c.note.id) == thread && !c.note.deleted);
        match self.inline.iter_mut().find(|comment| comment.note.id == thread) {
            Some(first) if there => {
                first.resolved_by = by.map(str::to_owned);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Who resolved the thread that a comment belongs to.
    pub(crate) fn resolved_by(&self, id: u64) -> Option<&str> {
        let thread = self.thread_of(id)?;
        self.inline.iter().find(|comment| comment.note.id == thread)?.resolved_by.as_deref()
    }
}

/// The comments a list call shows: those that are there and old enough. The call counts for the others.
pub(crate) fn visible<'a>(notes: impl Iterator<Item = &'a mut Note>) -> Vec<u64> {
    let mut shown = Vec::new();
    for note in notes.filter(|note| !note.deleted) {
        if note.hidden_for > 0 {
            note.hidden_for -= 1;
        } else {
            shown.push(note.id);
        }
    }
    shown
}

/// The full name of the ref behind `branch` or `owner:branch`.
pub(crate) fn ref_name(branch: &str) -> String {
    match branch.split_once(':') {
        Some((owner, branch)) => format!("refs/forks/{owner}/{branch}"),
        None => format!("refs/heads/{branch}"),
    }
}

/// An opaque id in the form GitHub gives to GraphQL nodes.
pub(crate) fn node_id(kind: &str, id: u64) -> String {
    let prefix: String = kind.chars().filter(char::is_ascii_uppercase).collect();
    format!("{prefix}_kwDO{}", hex::encode(id.to_be_bytes()))
}

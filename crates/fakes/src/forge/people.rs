//! What people do to a repository: push, open, close, comment, answer, resolve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::forge::diff::{Diffs, Side};
use crate::forge::estate::Access;
use crate::forge::state::{Note, Place, Pull, Repository, State, World, ref_name};
use crate::forge::view::{PullView, view};
use crate::forge::{FakeError, FakeForge, Shared, calls, pulls, reviewers};
use crate::repo::{Commit, New, RepoBuilder};

/// The branch of a new repository.
const DEFAULT_BRANCH: &str = "main";

/// A repository of a forge, in a person's hands. A branch of a fork is named `owner:branch`.
#[derive(Clone, Debug)]
pub struct Repo {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: String,
    full_name: String,
    url: String,
}

/// A pull request to be opened.
#[derive(Clone, Debug)]
pub struct NewPull {
    /// Its title.
    pub title: String,
    /// Its description.
    pub body: String,
    /// Who opens it.
    pub author: String,
    /// `branch`, or `owner:branch` in a fork.
    pub head: String,
    /// The branch it goes to.
    pub base: String,
    /// Not ready yet?
    pub draft: bool,
}

impl NewPull {
    /// A pull request of this branch to `main`, opened by `author`.
    pub fn of(head: &str) -> Self {
        Self {
            title: format!("Change {head}"),
            body: "What it does.".into(),
            author: "author".into(),
            head: head.into(),
            base: DEFAULT_BRANCH.into(),
            draft: false,
        }
    }
}

impl FakeForge {
    /// Makes a repository with `commit` on its branch `main`.
    pub async fn create_repository(
        &self,
        owner: &str,
        name: &str,
        commit: Commit,
    ) -> Result<Repo, FakeError> {
        let repo = self.handle(owner, name);
        let (owner, name) = (owner.to_owned(), name.to_owned());
        let key = repo.key.clone();
        run(&self.shared, move |shared| {
            let state = &mut *shared.lock();
            if state.repos.contains_key(&key) {
                return Err(FakeError::Refused(format!("the repository {key} is there already")));
            }
            let world = &mut state.world;
            world.account(&owner);
            let (id, now) = (world.id(), world.now());
            let mut git = RepoBuilder::create(&shared.dir.path().join(format!("{id}.git")), DEFAULT_BRANCH)?;
            git.commit(&[&ref_name(DEFAULT_BRANCH)], None, &commit)?;
            let repository = Repository {
                id,
                owner,
                name,
                default_branch: DEFAULT_BRANCH.into(),
                created: now,
                pushed: now,
                git,
                diffs: Diffs::default(),
                pulls: BTreeMap::new(),
                issues: BTreeMap::new(),
                labels: BTreeMap::new(),
                protected: BTreeSet::new(),
                rules: BTreeMap::new(),
                declines: Default::default(),
                statuses: Vec::new(),
                checks: Vec::new(),
                forks: BTreeMap::new(),
                bots: Vec::new(),
                permissions: BTreeMap::new(),
                access: Access::Open,
                listed: true,
            };
            state.moved.remove(&key);
            state.repos.insert(key, repository);
            Ok(())
        })
        .await?;
        Ok(repo)
    }

    /// A handle to a repository, which need not be there yet.
    pub fn handle(&self, owner: &str, name: &str) -> Repo {
        let full_name = format!("{owner}/{name}");
        let url = format!("{}/{full_name}.git", self.base_url);
        Repo { shared: Arc::clone(&self.shared), key: full_name.to_lowercase(), full_name, url }
    }

    /// A pull request with all its comments, reviews and statuses.
    pub async fn pull(&self, owner: &str, name: &str, number: u64) -> Result<PullView, FakeError> {
        self.handle(owner, name).pull(number).await
    }
}

/// Runs work that may wait for git, away from the tasks that serve.
pub(crate) async fn run<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, FakeError> + Send + 'static,
) -> Result<T, FakeError> {
    let shared = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    done.unwrap_or_else(|error| Err(FakeError::Start(std::io::Error::other(error))))
}

impl Repo {
    /// A handle to the repository under another name.
    pub(crate) fn called(&self, owner: &str, name: &str) -> Self {
        let full_name = format!("{owner}/{name}");
        let url = self.url.replace(&format!("/{}.git", self.full_name), &format!("/{full_name}.git"));
        Self { shared: Arc::clone(&self.shared), key: full_name.to_lowercase(), full_name, url }
    }

    /// `owner/name`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Where git clones it from.
    pub fn clone_url(&self) -> &str {
        &self.url
    }

    /// The id that lasts through renames.
    pub async fn id(&self) -> Result<u64, FakeError> {
        self.with(|_, repo| Ok(repo.id)).await
    }

    /// The folder of the bare repository, to look into with git.
    pub async fn dir(&self) -> Result<std::path::PathBuf, FakeError> {
        self.with(|_, repo| Ok(repo.git.dir().to_owned())).await
    }

    /// The newest commit of a branch.
    pub async fn tip(&self, branch: &str) -> Result<String, FakeError> {
        let branch = branch.to_owned();
        self.with(move |_, repo| tip(repo, &branch)).await
    }

    /// Pushes a commit onto a branch; a new branch begins at the default branch's tip. The new commit.
    pub async fn push(&self, branch: &str, commit: Commit) -> Result<String, FakeError> {
        let branch = branch.to_owned();
        self.with(move |world, repo| {
            let parent = tip(repo, &branch).or_else(|_| tip(repo, &repo.default_branch.clone()))?;
            push(world, repo, &branch, &parent, &commit)
        })
        .await
    }

    /// Pushes a commit onto each of these branches, which are of the repository itself and exist: as
    /// [`Repo::push`], for less.
    pub async fn push_all(&self, all: Vec<(String, Commit)>) -> Result<(), FakeError> {
        self.with(move |world, repo| {
            let tips = all.iter().map(|(branch, _)| tip(repo, branch)).collect::<Result<Vec<_>, _>>()?;
            let refs: Vec<Vec<String>> = all.iter().map(|(branch, _)| refs_of(repo, branch)).collect();
            let refs: Vec<Vec<&str>> =
                refs.iter().map(|of| of.iter().map(String::as_str).collect()).collect();
            let new = all.iter().zip(&tips).zip(&refs).map(|(((_, commit), tip), refs)| New {
                refs,
                parent: Some(tip.as_str()),
                commit,
            });
            let made = repo.git.commits(&new.collect::<Vec<_>>())?;
            for ((branch, commit), sha) in all.iter().zip(&made) {
                pushed(world, repo, branch, sha, commit.author())?;
            }
            Ok(())
        })
        .await
    }

    /// Pushes a branch that is `commit` on top of `onto` (a commit), whatever the branch was: a force push.
    pub async fn force_push(&self, branch: &str, onto: &str, commit: Commit) -> Result<String, FakeError> {
        let (branch, onto) = (branch.to_owned(), onto.to_owned());
        self.with(move |world, repo| push(world, repo, &branch, &onto, &commit)).await
    }

    /// Moves a branch to a commit that is here already, forwards or back.
    pub async fn reset(&self, branch: &str, commit: &str) -> Result<(), FakeError> {
        let (branch, commit) = (branch.to_owned(), commit.to_owned());
        self.with(move |world, repo| {
            for name in refs_of(repo, &branch) {
                repo.git.set_ref(&name, &commit)?;
            }
            pushed(world, repo, &branch, &commit, "author")
        })
        .await
    }

    /// Deletes a branch; open pull requests from it and into it are closed.
    pub async fn delete_branch(&self, branch: &str) -> Result<(), FakeError> {
        let branch = branch.to_owned();
        self.with(move |world, repo| {
            tip(repo, &branch)?;
            repo.git.delete_ref(&ref_name(&branch))?;
            let into = repo.pulls.values().filter(|pull| pull.open && pull.base_ref == branch);
            let into: Vec<u64> = into.map(|pull| pull.number).collect();
            for number in open_from(repo, &branch).into_iter().chain(into) {
                close(world, repo, number, None)?;
            }
            Ok(())
        })
        .await
    }

    /// Deletes a fork: its pull requests stay open, with no head repository.
    pub async fn delete_fork(&self, owner: &str) -> Result<(), FakeError> {
        let owner = owner.to_owned();
        self.with(move |_, repo| match repo.forks.get_mut(&owner) {
            Some(id) => {
                *id = None;
                Ok(())
            }
            None => Err(FakeError::Missing(format!("fork of {owner}"))),
        })
        .await
    }

    /// Opens a pull request; its number.
    pub async fn open(&self, new: NewPull) -> Result<u64, FakeError> {
        self.with(move |world, repo| pulls::open(world, repo, new)).await
    }

    /// Closes a pull request without merging.
    pub async fn close(&self, number: u64) -> Result<(), FakeError> {
        self.with(move |world, repo| close(world, repo, number, None)).await
    }

    /// Marks a pull request as merged by somebody. The base branch is not moved: push to it for that.
    pub async fn merge(&self, number: u64, by: &str) -> Result<(), FakeError> {
        let by = by.to_owned();
        self.with(move |world, repo| {
            world.account(&by);
            close(world, repo, number, Some(by))
        })
        .await
    }

    /// Opens a closed pull request again, at its branch's tip.
    pub async fn reopen(&self, number: u64) -> Result<(), FakeError> {
        self.change(number, "reopened", |repo, number| {
            let pull = there(repo, number)?;
            if pull.open || pull.merged_by.is_some() {
                return Err(FakeError::Refused(format!("pull request {number} cannot be reopened")));
            }
            let branch = pull.head_ref.clone();
            let head = tip(repo, &branch)?;
            repo.git.set_ref(&format!("refs/pull/{number}/head"), &head)?;
            let pull = there(repo, number)?;
            (pull.open, pull.closed, pull.head) = (true, None, head);
            Ok(Value::Null)
        })
        .await
    }

    /// Makes a pull request a draft, or ready.
    pub async fn set_draft(&self, number: u64, draft: bool) -> Result<(), FakeError> {
        let action = if draft { "converted_to_draft" } else { "ready_for_review" };
        self.change(number, action, move |repo, number| {
            there(repo, number)?.draft = draft;
            Ok(Value::Null)
        })
        .await
    }

    /// Lets a pull request go to another branch.
    pub async fn retarget(&self, number: u64, base: &str) -> Result<(), FakeError> {
        let base = base.to_owned();
        self.change(number, "edited", move |repo, number| {
            let sha = tip(repo, &base)?;
            let pull = there(repo, number)?;
            let from = json!({"ref": {"from": pull.base_ref}, "sha": {"from": pull.base}});
            (pull.base_ref, pull.base) = (base, sha);
            Ok(json!({"changes": {"base": from}}))
        })
        .await
    }

    /// Changes a pull request's title.
    pub async fn retitle(&self, number: u64, title: &str) -> Result<(), FakeError> {
        let title = title.to_owned();
        self.change(number, "edited", move |repo, number| {
            let pull = there(repo, number)?;
            let from = std::mem::replace(&mut pull.title, title);
            Ok(json!({"changes": {"title": {"from": from}}}))
        })
        .await
    }

    /// Comments on a pull request or an issue; the comment's id.
    pub async fn comment(&self, number: u64, author: &str, body: &str) -> Result<u64, FakeError> {
        let (author, body) = (author.to_owned(), body.to_owned());
        self.with(move |world, repo| {
            let notes = notes(repo, number)?;
            let comment = world.note(&author, &body);
            let id = comment.id;
            notes.push(comment);
            let refused = |_| FakeError::Refused("the script of a bot is wrong".into());
            reviewers::hear(world, repo, number, id).map_err(refused)?;
            world.emit_comment(repo, number, id, "created");
            Ok(id)
        })
        .await
    }

    /// Changes the text of a comment of either kind, as its author.
    pub async fn edit_comment(&self, number: u64, id: u64, body: &str) -> Result<(), FakeError> {
        let body = body.to_owned();
        self.with(move |world, repo| {
            let now = world.now();
            if let Some(comment) = repo.pulls.get_mut(&number).and_then(|pull| pull.comment(id)) {
                (comment.note.body, comment.note.updated) = (body, now);
                return Ok(world.emit_inline(repo, number, id, "edited")?);
            }
            let mut comments = notes(repo, number)?.iter_mut();
            let comment = comments.find(|comment| comment.id == id && !comment.deleted);
            let comment = comment.ok_or_else(|| FakeError::Missing(format!("comment {id}")))?;
            (comment.body, comment.updated) = (body, now);
            world.emit_comment(repo, number, id, "edited");
            Ok(())
        })
        .await
    }

    /// Comments on a line of the head, which must be part of the diff; the comment's id.
    pub async fn comment_on(
        &self,
        number: u64,
        author: &str,
        path: &str,
        line: (Side, u32),
        body: &str,
    ) -> Result<u64, FakeError> {
        let (author, body) = (author.to_owned(), body.to_owned());
        let place = Place { path: path.to_owned(), line: Some(line), start: None };
        self.with(move |world, repo| {
            let spot = calls::Spot::of(repo, number, &Value::Null).map_err(FakeError::Refused)?;
            let hunk = spot.check(repo, number, &place).map_err(FakeError::Refused)?;
            let id = calls::add_inline(world, repo, number, &author, &body, (&spot, place, hunk));
            world.emit_inline(repo, number, id, "created")?;
            Ok(id)
        })
        .await
    }

    /// Answers in the thread that this comment began; the answer's id.
    pub async fn reply(&self, number: u64, author: &str, first: u64, body: &str) -> Result<u64, FakeError> {
        let (author, body) = (author.to_owned(), body.to_owned());
        self.with(move |world, repo| {
            let id = calls::add_reply(world, repo, number, &author, first, &body)
                .ok_or_else(|| FakeError::Missing(format!("thread of comment {first}")))?;
            world.emit_inline(repo, number, id, "created")?;
            Ok(id)
        })
        .await
    }

    /// Resolves the thread of a comment as this person.
    pub async fn resolve(&self, number: u64, comment: u64, by: &str) -> Result<(), FakeError> {
        let by = by.to_owned();
        self.with(move |_, repo| {
            let pull = there(repo, number)?;
            let done = pull.thread_of(comment).is_some_and(|thread| pull.resolve(thread, Some(&by)));
            if done { Ok(()) } else { Err(FakeError::Missing(format!("thread of comment {comment}"))) }
        })
        .await
    }

    /// Deletes a comment of either kind.
    pub async fn delete_comment(&self, number: u64, comment: u64) -> Result<(), FakeError> {
        self.with(move |_, repo| {
            let is = |note: &&mut Note| note.id == comment && !note.deleted;
            let mut inline = repo.pulls.values_mut().flat_map(|pull| &mut pull.inline).map(|of| &mut of.note);
            let note = match inline.find(is) {
                Some(note) => Some(note),
                None => notes(repo, number)?.iter_mut().find(is),
            };
            note.map(|note| note.deleted = true)
                .ok_or_else(|| FakeError::Missing(format!("comment {comment}")))
        })
        .await
    }

    /// The pull request with all its comments, reviews and statuses.
    pub async fn pull(&self, number: u64) -> Result<PullView, FakeError> {
        self.with(move |_, repo| {
            there(repo, number)?;
            let lines = repo.lines_now(number)?;
            let (statuses, checks) = (repo.statuses.clone(), repo.checks.clone());
            Ok(view(there(repo, number)?, &lines, &statuses, &checks))
        })
        .await
    }

    /// A change that makes one event; `work` gives the event's own fields.
    async fn change(
        &self,
        number: u64,
        action: &'static str,
        work: impl FnOnce(&mut Repository, u64) -> Result<Value, FakeError> + Send + 'static,
    ) -> Result<(), FakeError> {
        self.with(move |world, repo| {
            let author = there(repo, number)?.author.clone();
            let more = work(repo, number)?;
            Ok(world.emit(repo, number, action, &author, more)?)
        })
        .await
    }

    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut World, &mut Repository) -> Result<T, FakeError> + Send + 'static,
    ) -> Result<T, FakeError> {
        let (key, name) = (self.key.clone(), self.full_name.clone());
        run(&self.shared, move |shared| {
            let State { world, repos, moved: _ } = &mut *shared.lock();
            work(world, repos.get_mut(&key).ok_or_else(|| FakeError::Missing(format!("repository {name}")))?)
        })
        .await
    }
}

pub(crate) fn tip(repo: &Repository, branch: &str) -> Result<String, FakeError> {
    let missing = || FakeError::Missing(format!("branch {branch}"));
    repo.git.tip(&ref_name(branch)).map(str::to_owned).ok_or_else(missing)
}

pub(crate) fn there(repo: &mut Repository, number: u64) -> Result<&mut Pull, FakeError> {
    repo.pulls.get_mut(&number).ok_or_else(|| FakeError::Missing(format!("pull request {number}")))
}

/// The conversation of a pull request or an issue.
fn notes(repo: &mut Repository, number: u64) -> Result<&mut Vec<Note>, FakeError> {
    repo.notes_mut(number).ok_or_else(|| FakeError::Missing(format!("pull request or issue {number}")))
}

pub(crate) fn open_from(repo: &Repository, branch: &str) -> Vec<u64> {
    repo.pulls.values().filter(|pull| pull.open && pull.head_ref == branch).map(|pull| pull.number).collect()
}

/// The refs that move with a branch: its own, and those of the open pull requests from it.
pub(crate) fn refs_of(repo: &Repository, branch: &str) -> Vec<String> {
    let pulls = open_from(repo, branch).into_iter().map(|number| format!("refs/pull/{number}/head"));
    std::iter::once(ref_name(branch)).chain(pulls).collect()
}

/// Commits to a branch, and to `refs/pull/{n}/head` of its pull requests.
fn push(
    world: &mut World,
    repo: &mut Repository,
    branch: &str,
    parent: &str,
    commit: &Commit,
) -> Result<String, FakeError> {
    if let Some((owner, _)) = branch.split_once(':')
        && !repo.forks.contains_key(owner)
    {
        world.account(owner);
        repo.forks.insert(owner.to_owned(), Some(world.id()));
    }
    let refs = refs_of(repo, branch);
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let sha = repo.git.commit(&refs, Some(parent), commit)?;
    pushed(world, repo, branch, &sha, commit.author())?;
    Ok(sha)
}

/// A branch has moved: so have the pull requests from it and to it.
pub(crate) fn pushed(
    world: &mut World,
    repo: &mut Repository,
    branch: &str,
    sha: &str,
    by: &str,
) -> Result<(), FakeError> {
    repo.pushed = world.now();
    for pull in repo.pulls.values_mut().filter(|pull| pull.open && pull.base_ref == branch) {
        pull.base = sha.to_owned();
    }
    for number in open_from(repo, branch) {
        let stale = world.stale_heads;
        let pull = there(repo, number)?;
        if pull.head == sha {
            continue;
        }
        let before = std::mem::replace(&mut pull.head, sha.to_owned());
        pull.stale = (stale > 0).then(|| (before.clone(), stale));
        world.emit(repo, number, "synchronize", by, json!({"before": before, "after": sha}))?;
    }
    Ok(())
}

pub(crate) fn close(
    world: &mut World,
    repo: &mut Repository,
    number: u64,
    merged_by: Option<String>,
) -> Result<(), FakeError> {
    let now = world.now();
    let pull = there(repo, number)?;
    if !pull.open {
        return Err(FakeError::Refused(format!("pull request {number} is closed already")));
    }
    let sender = merged_by.clone().unwrap_or_else(|| pull.author.clone());
    (pull.open, pull.closed, pull.merged_by) = (false, Some(now), merged_by);
    Ok(world.emit(repo, number, "closed", &sender, Value::Null)?)
}

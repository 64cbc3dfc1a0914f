//! Simulates the actions of people in a repository: push, open, close, comment, reply, resolve.

mod apps;
mod checks;
mod issues;
mod merging;
mod push;
mod repository_administration;
mod reviewers;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::apps::FakeApp;
pub use self::snapshot::FakeRepoSnapshot;
use crate::forge::FakeForge;
use crate::forge::diff::{DiffCache, FakeDiffSide};
use crate::forge::error::FakeError;
use crate::forge::flavour::ForgeFlavour;
use crate::forge::operations::branches::{
    branch_tip, open_pulls_from, push_commit, record_push, refs_updated_by_push,
};
use crate::forge::operations::comments::{CommentCommits, InlineTarget, add_inline_comment, add_reply};
use crate::forge::operations::pulls::{self, NewPull, close_pull, pull_mut};
use crate::forge::operations::reviewers::trigger_bots;
use crate::forge::shared::FakeForgeSharedState;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::event::{FakeForgeEvent, PullChange};
use crate::forge::state::notes::StoredComment;
use crate::forge::state::pulls::InlinePlace;
use crate::forge::state::{DEFAULT_BRANCH, FakeForgeState, ForgeInstance, StoredRepository, ref_name};
use crate::forge::view::{PullView, pull_view};
use crate::repo::{CommitBuilder, CommitRequest, FakeGitRepository};

/// A handle to a repository, through which a test performs the actions of people. A branch of a fork is named
/// `owner:branch`.
#[derive(Clone, Debug)]
pub struct FakeRepo {
    pub(crate) shared: Arc<FakeForgeSharedState>,
    flavour: ForgeFlavour,
    pub(crate) key: String,
    full_name: String,
    url: String,
}

impl FakeForge {
    /// Creates a repository with `commit` on its branch `main`.
    pub async fn create_repository(
        &self,
        owner: &str,
        name: &str,
        commit: CommitBuilder,
    ) -> Result<FakeRepo, FakeError> {
        let repo = self.repo_handle(owner, name);
        let (owner, name) = (owner.to_owned(), name.to_owned());
        let key = repo.key.clone();
        run_blocking(&self.shared, move |shared| {
            let state = &mut *shared.lock();
            if state.repos.contains_key(&key) {
                return Err(FakeError::Refused(format!("the repository {key} already exists")));
            }
            let world = &mut state.forge;
            world.ensure_account(&owner);
            let (id, now) = (world.next_id(), world.now());
            let mut git =
                FakeGitRepository::create(&shared.dir.path().join(format!("{id}.git")), DEFAULT_BRANCH)?;
            git.commit(&[&ref_name(DEFAULT_BRANCH)], None, &commit)?;
            if let Some(hidden) = world.flavour.hidden_ref_prefix() {
                git.hide_refs(hidden)?;
            }
            let repository = StoredRepository {
                flavour: world.flavour,
                id,
                owner,
                name,
                default_branch: DEFAULT_BRANCH.into(),
                created_at: now,
                pushed_at: now,
                git,
                diffs: DiffCache::default(),
                pulls: BTreeMap::new(),
                issues: BTreeMap::new(),
                labels: BTreeMap::new(),
                protected_branches: BTreeSet::new(),
                branch_rules: BTreeMap::new(),
                push_rejection_messages: Default::default(),
                verified_commits: BTreeSet::new(),
                signing_keys: Vec::new(),
                statuses: Vec::new(),
                checks: Vec::new(),
                reports: Vec::new(),
                forks: BTreeMap::new(),
                hidden_forks: BTreeSet::new(),
                fork_commits: BTreeMap::new(),
                bots: Vec::new(),
                roles: BTreeMap::new(),
                access: RepositoryAccess::Unrestricted,
                is_listed: true,
            };
            state.renamed_repositories.remove(&key);
            state.repos.insert(key, repository);
            Ok(())
        })
        .await?;
        Ok(repo)
    }

    /// Returns a handle to a repository, which need not exist yet.
    pub fn repo_handle(&self, owner: &str, name: &str) -> FakeRepo {
        let full_name = format!("{owner}/{name}");
        let url = format!("{}{}", self.base_url, self.flavour.clone_path(&full_name));
        let (shared, flavour) = (Arc::clone(&self.shared), self.flavour);
        FakeRepo { shared, flavour, key: full_name.to_lowercase(), full_name, url }
    }

    /// Returns a pull request with all its comments, reviews and statuses.
    pub async fn pull(&self, owner: &str, name: &str, number: u64) -> Result<PullView, FakeError> {
        self.repo_handle(owner, name).pull(number).await
    }
}

/// Runs work that may wait for git. The work runs on a blocking thread, because it would otherwise delay the
/// server's tasks.
pub(crate) async fn run_blocking<T: Send + 'static>(
    shared: &Arc<FakeForgeSharedState>,
    work: impl FnOnce(&FakeForgeSharedState) -> Result<T, FakeError> + Send + 'static,
) -> Result<T, FakeError> {
    let shared = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    done.unwrap_or_else(|error| Err(FakeError::Start(std::io::Error::other(error))))
}

impl FakeRepo {
    /// Returns a handle to the repository with this owner and name.
    pub(crate) fn with_name(&self, owner: &str, name: &str) -> Self {
        let full_name = format!("{owner}/{name}");
        let url = self.url.replace(&format!("/{}.git", self.full_name), &format!("/{full_name}.git"));
        let (shared, flavour) = (Arc::clone(&self.shared), self.flavour);
        Self { shared, flavour, key: full_name.to_lowercase(), full_name, url }
    }

    /// Returns the full name, `owner/name`.
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// Returns the URL from which git clones the repository.
    pub fn clone_url(&self) -> &str {
        &self.url
    }

    /// Returns the id of the repository, which a rename does not change.
    pub async fn id(&self) -> Result<u64, FakeError> {
        self.with_repository(|_, repo| Ok(repo.id)).await
    }

    /// Returns the id of the repository in the forge's format: `{uuid}` at Bitbucket Cloud, otherwise digits.
    /// A rename does not change the id.
    ///
    /// # Errors
    /// Returns an error if the repository does not exist.
    pub async fn public_id(&self) -> Result<String, FakeError> {
        let flavour = self.flavour;
        self.with_repository(move |_, repo| Ok(flavour.repository_id(repo.id))).await
    }

    /// Returns the folder of the bare repository, for reads with git.
    pub async fn dir(&self) -> Result<std::path::PathBuf, FakeError> {
        self.with_repository(|_, repo| Ok(repo.git.dir().to_owned())).await
    }

    /// Returns the newest commit of a branch.
    pub async fn tip(&self, branch: &str) -> Result<String, FakeError> {
        let branch = branch.to_owned();
        self.with_repository(move |_, repo| branch_tip(repo, &branch)).await
    }

    /// Pushes a commit onto a branch and returns it. A new branch begins at the tip of the default branch.
    pub async fn push(&self, branch: &str, commit: CommitBuilder) -> Result<String, FakeError> {
        let branch = branch.to_owned();
        self.with_repository(move |world, repo| {
            let parent =
                branch_tip(repo, &branch).or_else(|_| branch_tip(repo, &repo.default_branch.clone()))?;
            push_commit(world, repo, &branch, &parent, &commit)
        })
        .await
    }

    /// Pushes a commit onto each of these branches. The branches must exist in the repository itself, not in
    /// a fork. The function is faster than calls of [`FakeRepo::push`] for each branch, with the same result.
    pub async fn push_all(&self, commits: Vec<(String, CommitBuilder)>) -> Result<(), FakeError> {
        self.with_repository(move |world, repo| {
            let tips =
                commits.iter().map(|(branch, _)| branch_tip(repo, branch)).collect::<Result<Vec<_>, _>>()?;
            let refs: Vec<Vec<String>> =
                commits.iter().map(|(branch, _)| refs_updated_by_push(repo, branch)).collect();
            let refs: Vec<Vec<&str>> =
                refs.iter().map(|of| of.iter().map(String::as_str).collect()).collect();
            let new = commits.iter().zip(&tips).zip(&refs).map(|(((_, commit), tip), refs)| CommitRequest {
                refs,
                parent: Some(tip.as_str()),
                commit,
            });
            let made = repo.git.commit_batch(&new.collect::<Vec<_>>())?;
            for ((branch, commit), sha) in commits.iter().zip(&made) {
                record_push(world, repo, branch, sha, commit.author())?;
            }
            Ok(())
        })
        .await
    }

    /// Adds `commit` on top of the existing commit `onto`, and force-pushes the result to a branch. The
    /// branch's previous tip is discarded.
    pub async fn force_push(
        &self,
        branch: &str,
        onto: &str,
        commit: CommitBuilder,
    ) -> Result<String, FakeError> {
        let (branch, onto) = (branch.to_owned(), onto.to_owned());
        self.with_repository(move |world, repo| push_commit(world, repo, &branch, &onto, &commit)).await
    }

    /// Moves a branch to an existing commit, which may be newer or older than the tip.
    pub async fn reset_branch(&self, branch: &str, commit: &str) -> Result<(), FakeError> {
        let (branch, commit) = (branch.to_owned(), commit.to_owned());
        self.with_repository(move |world, repo| {
            for name in refs_updated_by_push(repo, &branch) {
                repo.git.set_ref(&name, &commit)?;
            }
            record_push(world, repo, &branch, &commit, "author")
        })
        .await
    }

    /// Deletes a branch; open pull requests from it and into it are closed.
    pub async fn delete_branch(&self, branch: &str) -> Result<(), FakeError> {
        let branch = branch.to_owned();
        self.with_repository(move |world, repo| {
            branch_tip(repo, &branch)?;
            repo.git.delete_ref(&ref_name(&branch))?;
            let into = repo.pulls.values().filter(|pull| pull.open && pull.base_ref == branch);
            let into: Vec<u64> = into.map(|pull| pull.number).collect();
            for number in open_pulls_from(repo, &branch).into_iter().chain(into) {
                close_pull(world, repo, number, None)?;
            }
            Ok(())
        })
        .await
    }

    /// Deletes a fork. Pull requests from the fork stay open, with no head repository.
    pub async fn delete_fork(&self, owner: &str) -> Result<(), FakeError> {
        let owner = owner.to_owned();
        self.with_repository(move |_, repo| match repo.forks.get_mut(&owner) {
            Some(id) => {
                *id = None;
                Ok(())
            }
            None => Err(FakeError::Missing(format!("fork of {owner}"))),
        })
        .await
    }

    /// Allows only the owner of a fork to fetch from the fork. Pull requests still show the fork as the head
    /// repository.
    pub async fn hide_fork(&self, owner: &str) -> Result<(), FakeError> {
        let owner = owner.to_owned();
        self.with_repository(move |_, repo| {
            repo.hidden_forks.insert(owner);
            Ok(())
        })
        .await
    }

    /// Opens a pull request and returns its number.
    pub async fn open_pull(&self, new_pull: NewPull) -> Result<u64, FakeError> {
        self.with_repository(move |world, repo| pulls::open_pull(world, repo, new_pull)).await
    }

    /// Closes a pull request without merging.
    pub async fn close_pull(&self, number: u64) -> Result<(), FakeError> {
        self.with_repository(move |world, repo| close_pull(world, repo, number, None)).await
    }

    /// Marks a pull request as merged by an account. The commits are not added to the base branch; a test
    /// that needs these commits must push them.
    pub async fn merge_pull(&self, number: u64, actor: &str) -> Result<(), FakeError> {
        let actor = actor.to_owned();
        self.with_repository(move |world, repo| {
            world.ensure_account(&actor);
            close_pull(world, repo, number, Some(actor))
        })
        .await
    }

    /// Reopens a closed pull request at the tip of its branch.
    pub async fn reopen_pull(&self, number: u64) -> Result<(), FakeError> {
        self.change_pull(number, |repo, number| {
            let pull = pull_mut(repo, number)?;
            if pull.open || pull.merged_by.is_some() {
                return Err(FakeError::Refused(format!("pull request {number} cannot be reopened")));
            }
            let branch = pull.head_ref.clone();
            let head = branch_tip(repo, &branch)?;
            repo.git.set_ref(&repo.flavour.pull_ref(number), &head)?;
            let pull = pull_mut(repo, number)?;
            (pull.open, pull.closed_at, pull.head) = (true, None, head);
            Ok(PullChange::Reopened)
        })
        .await
    }

    /// Makes a pull request a draft, or ready for review.
    pub async fn set_draft(&self, number: u64, draft: bool) -> Result<(), FakeError> {
        self.change_pull(number, move |repo, number| {
            pull_mut(repo, number)?.draft = draft;
            Ok(PullChange::DraftChanged(draft))
        })
        .await
    }

    /// Changes the base branch of a pull request.
    pub async fn retarget(&self, number: u64, base: &str) -> Result<(), FakeError> {
        let base = base.to_owned();
        self.change_pull(number, move |repo, number| {
            let sha = branch_tip(repo, &base)?;
            let pull = pull_mut(repo, number)?;
            let branch = std::mem::replace(&mut pull.base_ref, base);
            let commit = std::mem::replace(&mut pull.base, sha);
            Ok(PullChange::Retargeted { previous_branch: branch, previous_commit: commit })
        })
        .await
    }

    /// Changes the title of a pull request.
    pub async fn retitle(&self, number: u64, title: &str) -> Result<(), FakeError> {
        let title = title.to_owned();
        self.change_pull(number, move |repo, number| {
            let pull = pull_mut(repo, number)?;
            let from = std::mem::replace(&mut pull.title, title);
            Ok(PullChange::Edited { previous_title: Some(from), previous_body: None })
        })
        .await
    }

    /// Comments on a pull request or an issue, and returns the id of the comment.
    pub async fn comment(&self, number: u64, author: &str, body: &str) -> Result<u64, FakeError> {
        let (author, body) = (author.to_owned(), body.to_owned());
        self.with_repository(move |world, repo| {
            let notes = conversation_mut(repo, number)?;
            let comment = world.new_comment(&author, &body);
            let id = comment.id;
            notes.push(comment);
            let refused = |_| FakeError::Refused("the script of a bot is wrong".into());
            trigger_bots(world, repo, number, id).map_err(refused)?;
            world.deliver_event(repo, &FakeForgeEvent::Comment { number, id, is_edit: false })?;
            Ok(id)
        })
        .await
    }

    /// Changes the text of a comment in the conversation or on code, as the comment's author.
    pub async fn edit_comment(&self, number: u64, id: u64, body: &str) -> Result<(), FakeError> {
        self.change_comment(number, id, None, body).await
    }

    /// Changes the text of a comment in the conversation or on code, as this account. GitHub lets every
    /// account with write access do this. At both Bitbuckets, only the comment's author may.
    pub async fn edit_comment_as(
        &self,
        number: u64,
        id: u64,
        editor: &str,
        body: &str,
    ) -> Result<(), FakeError> {
        self.change_comment(number, id, Some(editor.to_owned()), body).await
    }

    async fn change_comment(
        &self,
        number: u64,
        id: u64,
        editor: Option<String>,
        body: &str,
    ) -> Result<(), FakeError> {
        let body = body.to_owned();
        self.with_repository(move |world, repo| {
            let now = world.now();
            let has_write_access = |editor: &String| ["admin", "write"].contains(&repo.permission(editor).0);
            let may_edit_all =
                world.flavour == ForgeFlavour::GitHub && editor.as_ref().is_some_and(has_write_access);
            let editor_of = |author: &str| match &editor {
                None => Ok(author.to_owned()),
                Some(editor) if may_edit_all || editor == author => Ok(editor.clone()),
                Some(editor) => {
                    Err(FakeError::Refused(format!("{editor} may not edit a comment of {author}")))
                }
            };
            if let Some(editor) = &editor {
                world.ensure_account(editor);
            }
            if let Some(comment) = repo.pulls.get_mut(&number).and_then(|pull| pull.comment_mut(id)) {
                let editor = editor_of(&comment.comment.author)?;
                comment.comment.set_body(&body, now, &editor);
                return Ok(world
                    .deliver_event(repo, &FakeForgeEvent::InlineComment { number, id, is_edit: true })?);
            }
            let mut comments = conversation_mut(repo, number)?.iter_mut();
            let comment = comments.find(|comment| comment.id == id && !comment.deleted);
            let comment = comment.ok_or_else(|| FakeError::Missing(format!("comment {id}")))?;
            let editor = editor_of(&comment.author)?;
            comment.set_body(&body, now, &editor);
            Ok(world.deliver_event(repo, &FakeForgeEvent::Comment { number, id, is_edit: true })?)
        })
        .await
    }

    /// Comments on a line of the head and returns the id of the comment. The line must be part of the diff.
    pub async fn comment_on_line(
        &self,
        number: u64,
        author: &str,
        path: &str,
        line: (FakeDiffSide, u32),
        body: &str,
    ) -> Result<u64, FakeError> {
        let (author, body) = (author.to_owned(), body.to_owned());
        let place = InlinePlace { path: path.to_owned(), line: Some(line), start: None };
        self.with_repository(move |world, repo| {
            let spot = CommentCommits::from_pull(repo, number, None).map_err(FakeError::Refused)?;
            let hunk = spot.find_commented_hunk(repo, number, &place).map_err(FakeError::Refused)?;
            let id = add_inline_comment(
                world,
                repo,
                number,
                &author,
                &body,
                InlineTarget { commits: spot, place, hunk },
            );
            world.deliver_event(repo, &FakeForgeEvent::InlineComment { number, id, is_edit: false })?;
            Ok(id)
        })
        .await
    }

    /// Adds a reply to the thread of the given first comment, and returns the id of the reply.
    pub async fn reply(
        &self,
        number: u64,
        author: &str,
        first_comment: u64,
        body: &str,
    ) -> Result<u64, FakeError> {
        let (author, body) = (author.to_owned(), body.to_owned());
        self.with_repository(move |world, repo| {
            let id = add_reply(world, repo, number, &author, first_comment, &body)
                .ok_or_else(|| FakeError::Missing(format!("thread of comment {first_comment}")))?;
            world.deliver_event(repo, &FakeForgeEvent::InlineComment { number, id, is_edit: false })?;
            Ok(id)
        })
        .await
    }

    /// Resolves the thread of a comment as the given account.
    pub async fn resolve_thread(&self, number: u64, comment: u64, actor: &str) -> Result<(), FakeError> {
        let actor = actor.to_owned();
        self.with_repository(move |world, repo| {
            let pull = pull_mut(repo, number)?;
            let thread = pull.thread_of(comment).filter(|thread| pull.set_resolved(*thread, Some(&actor)));
            let id = thread.ok_or_else(|| FakeError::Missing(format!("thread of comment {comment}")))?;
            world.ensure_account(&actor);
            Ok(world.deliver_event(
                repo,
                &FakeForgeEvent::ThreadResolution { number, id, is_resolved: true, actor },
            )?)
        })
        .await
    }

    /// Deletes a comment in the conversation or on code.
    pub async fn delete_comment(&self, number: u64, comment: u64) -> Result<(), FakeError> {
        self.with_repository(move |_, repo| {
            let is = |note: &&mut StoredComment| note.id == comment && !note.deleted;
            let mut inline =
                repo.pulls.values_mut().flat_map(|pull| &mut pull.inline_comments).map(|of| &mut of.comment);
            let note = match inline.find(is) {
                Some(note) => Some(note),
                None => conversation_mut(repo, number)?.iter_mut().find(is),
            };
            note.map(|note| note.deleted = true)
                .ok_or_else(|| FakeError::Missing(format!("comment {comment}")))
        })
        .await
    }

    /// Returns the pull request with all its comments, reviews and statuses.
    pub async fn pull(&self, number: u64) -> Result<PullView, FakeError> {
        self.with_repository(move |_, repo| {
            pull_mut(repo, number)?;
            let lines = repo.current_lines(number)?;
            let (statuses, checks) = (repo.statuses.clone(), repo.checks.clone());
            let reports = repo.reports.clone();
            Ok(pull_view(pull_mut(repo, number)?, &lines, &statuses, &checks, &reports))
        })
        .await
    }

    /// Changes a pull request with `change`, and sends the event that `change` returns.
    async fn change_pull(
        &self,
        number: u64,
        change: impl FnOnce(&mut StoredRepository, u64) -> Result<PullChange, FakeError> + Send + 'static,
    ) -> Result<(), FakeError> {
        self.with_repository(move |world, repo| {
            let author = pull_mut(repo, number)?.author.clone();
            let change = change(repo, number)?;
            Ok(world.record_change(repo, number, &author, change)?)
        })
        .await
    }

    pub(crate) async fn with_repository<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut ForgeInstance, &mut StoredRepository) -> Result<T, FakeError> + Send + 'static,
    ) -> Result<T, FakeError> {
        let (key, name) = (self.key.clone(), self.full_name.clone());
        run_blocking(&self.shared, move |shared| {
            let FakeForgeState { forge: world, repos, renamed_repositories: _ } = &mut *shared.lock();
            work(world, repos.get_mut(&key).ok_or_else(|| FakeError::Missing(format!("repository {name}")))?)
        })
        .await
    }
}

/// Returns the comments in the conversation of a pull request or an issue, for changes.
fn conversation_mut(repo: &mut StoredRepository, number: u64) -> Result<&mut Vec<StoredComment>, FakeError> {
    repo.conversation_comments_mut(number)
        .ok_or_else(|| FakeError::Missing(format!("pull request or issue {number}")))
}

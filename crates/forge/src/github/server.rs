//! GitHub beyond one pull request: which repositories there are, what is open in them, what people comment, and what
//! those people may do. All of it reads.

use serde::Deserialize;
use truing_core::id::{CommentId, Millis, Sha};
use truing_core::port::{CommentKind, ForgeError, Revision};
use url::Url;

use super::auth::Scope;
use super::id::Id;
use super::listing::Listing;
use super::{GITHUB, GitHub, append, is_repository_name, wire};
use crate::http::{Answer, Call, unavailable};

#[cfg(test)]
mod tests;

/// Pages of a repository's open pull requests: the 3,000 with the newest activity.
const MAX_PULL_PAGES: usize = 30;
/// Pages of new comments that are read at a time; the rest is read the next time.
const MAX_COMMENT_PAGES: usize = 10;
/// How much of a comment is kept, in characters: commands are its first line.
const MAX_COMMENT_CHARS: usize = 4096;

/// A repository as the forge shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The id that lasts through renames and transfers.
    pub id: String,
    /// `owner/name` now.
    pub name: String,
    /// Read only: nobody can comment on its pull requests.
    pub archived: bool,
}

/// An open pull request as a list shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPull {
    /// The id of its repository.
    pub repository: String,
    /// `owner/name` of its repository now.
    pub repo: String,
    /// The number people see.
    pub number: u64,
    /// Its page.
    pub url: String,
    /// Head and base.
    pub revision: Revision,
    /// Not ready yet?
    pub draft: bool,
}

/// An open pull request as people see it in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullLine {
    /// The number people see.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its page.
    pub url: String,
    /// Who opened it; none if the account is gone.
    pub author: Option<String>,
    /// Not ready yet?
    pub draft: bool,
    /// Its newest commit.
    pub head: Sha,
    /// The branch that it comes from.
    pub branch: String,
    /// The branch that it goes to.
    pub base_branch: String,
}

/// Who wrote something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The id that lasts through renames.
    pub id: u64,
    /// The name now.
    pub login: String,
    /// A person, not an app or a bot.
    pub is_person: bool,
}

/// A comment on a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullComment {
    /// In the conversation or on the diff.
    pub kind: CommentKind,
    /// Its number, among those of its kind.
    pub id: u64,
    /// The comment that began the thread, for an answer on the diff.
    pub first: Option<CommentId>,
    /// The pull request's number.
    pub number: u64,
    /// The page of the pull request.
    pub url: String,
    /// Who wrote it; none if the account is gone.
    pub author: Option<Author>,
    /// Its text, cut.
    pub body: String,
    /// When it was written.
    pub created: Millis,
    /// When it was changed last.
    pub updated: Millis,
}

#[derive(Deserialize)]
pub(super) struct RepositoryBody {
    id: u64,
    full_name: String,
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct PullBody {
    number: u64,
    html_url: String,
    #[serde(default)]
    draft: bool,
    head: HeadBody,
    base: BaseBody,
}

#[derive(Deserialize)]
struct LineBody {
    number: u64,
    title: Option<String>,
    html_url: String,
    user: Option<wire::User>,
    #[serde(default)]
    draft: bool,
    head: HeadBody,
    base: BranchBody,
}

#[derive(Deserialize)]
struct BranchBody {
    #[serde(rename = "ref")]
    branch: String,
}

/// `repo` is not read: it is null when the fork is gone.
#[derive(Deserialize)]
struct HeadBody {
    sha: String,
    #[serde(rename = "ref", default)]
    branch: String,
}

#[derive(Deserialize)]
struct BaseBody {
    sha: String,
    repo: RepositoryBody,
}

#[derive(Deserialize)]
struct CommentBody {
    id: u64,
    html_url: String,
    in_reply_to_id: Option<u64>,
    user: Option<UserBody>,
    body: Option<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Deserialize)]
struct UserBody {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct PermissionBody {
    permission: String,
    user: Option<wire::User>,
}

#[derive(Deserialize)]
struct ProtectedBody {
    protected: bool,
}

#[derive(Deserialize)]
struct RuleBody {
    #[serde(rename = "type")]
    kind: String,
}

/// What the forge tells of a branch that may refuse a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Is it protected? By what, is told to administrators alone.
    pub is_protected: bool,
    /// Kinds of the rules of rulesets that hold for it, such as `required_signatures`.
    pub rules: Vec<String>,
}

impl GitHub {
    /// The repository that is called `repo` (`owner/name`) now.
    ///
    /// # Errors
    /// [`ForgeError`]; [`ForgeError::Moved`] if it has another name by now.
    pub async fn repository(&self, repo: &str) -> Result<Seen, ForgeError> {
        let what = format!("{repo}: asking for the repository");
        let url = self.below(&what, repo, &[])?;
        self.one_repository(Scope::Named(repo), what, url).await
    }

    /// The repository with this id, whatever it is called now.
    ///
    /// # Errors
    /// [`ForgeError`]; [`ForgeError::NotFound`] if it is gone, or hidden from this token.
    pub async fn repository_by_id(&self, id: &str) -> Result<Seen, ForgeError> {
        let what = format!("asking for the repository with id {id}");
        let url = append(&self.inner.options.api_url, ["repositories", id]);
        self.one_repository(Scope::Id(id), what, url).await
    }

    async fn one_repository(&self, scope: Scope<'_>, what: String, url: Url) -> Result<Seen, ForgeError> {
        let body: RepositoryBody = self.send(scope, &Call::get(what.as_str(), url)).await?.json()?;
        let seen = seen(vec![body]).pop();
        seen.ok_or_else(|| unavailable(&what, "the repository's name is not as expected"))
    }

    /// The open pull requests of a repository, newest activity first.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn open_pulls(
        &self,
        repo: &str,
        last: &mut Listing<OpenPull>,
        calls: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        let query = [("state", "open"), ("sort", "updated"), ("direction", "desc")];
        let url = paged(self.below(&what, repo, &["pulls"])?, &query);
        let read = |answer: &Answer| {
            answer.json::<Vec<PullBody>>()?.into_iter().map(|pull| open_pull(&what, pull)).collect()
        };
        last.refresh((self, Scope::Named(repo)), (&what, url), MAX_PULL_PAGES, calls, read).await
    }

    /// The open pull requests of a repository for people, newest activity first, so many at most; and whether those are
    /// all.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn pull_lines(&self, repo: &str, most: usize) -> Result<(Vec<PullLine>, bool), ForgeError> {
        let what = format!("{repo}: listing its open pull requests");
        let query = [("state", "open"), ("sort", "updated"), ("direction", "desc")];
        let url = paged(self.below(&what, repo, &["pulls"])?, &query);
        let read = |answer: &Answer| {
            answer.json::<Vec<LineBody>>()?.into_iter().map(|pull| pull_line(&what, pull)).collect()
        };
        let (mut list, pages, mut calls) = (Listing::default(), most.div_ceil(GITHUB.page), u64::MAX);
        list.refresh((self, Scope::Named(repo)), (&what, url), pages, &mut calls, read).await?;
        let is_all = list.is_complete() && list.items().nth(most).is_none();
        Ok((list.items().take(most).cloned().collect(), is_all))
    }

    /// The open pull requests of a branch of the repository itself: one to each base at most.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn open_pulls_of(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError> {
        let what = format!("{repo}: looking for the pull request of {branch}");
        let owner = repo.split('/').next().unwrap_or_default();
        let head = format!("{owner}:{branch}");
        let query = [("state", "open"), ("head", head.as_str())];
        let url = paged(self.below(&what, repo, &["pulls"])?, &query);
        let answer = self.send(Scope::Named(repo), &Call::get(what.as_str(), url)).await?;
        let bodies = answer.json::<Vec<PullBody>>()?.into_iter();
        // A filter that a forge does not understand, it leaves out.
        bodies.filter(|pull| pull.head.branch == branch).map(|pull| open_pull(&what, pull)).collect()
    }

    /// The comments of a kind on a repository's pull requests that were written or changed since then, oldest
    /// change first.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn comments_since(
        &self,
        repo: &str,
        (kind, since): (CommentKind, Millis),
        last: &mut Listing<PullComment>,
        calls: &mut u64,
    ) -> Result<(), ForgeError> {
        let what = format!("{repo}: listing new comments ({})", kind.as_str());
        let since = jiff::Timestamp::from_second(since.0.div_euclid(1000)).unwrap_or_default().to_string();
        let query = [("sort", "updated"), ("direction", "asc"), ("since", since.as_str())];
        let url = paged(self.below(&what, repo, &[segment(kind), "comments"])?, &query);
        let read = |answer: &Answer| {
            let bodies = answer.json::<Vec<CommentBody>>()?.into_iter();
            bodies.filter_map(|body| pull_comment(&what, kind, body).transpose()).collect()
        };
        last.refresh((self, Scope::Named(repo)), (&what, url), MAX_COMMENT_PAGES, calls, read).await
    }

    /// A comment as it is now; none if it is not on a pull request.
    ///
    /// # Errors
    /// [`ForgeError`]; [`ForgeError::NotFound`] if it was deleted, or is not visible yet.
    pub async fn comment(
        &self,
        repo: &str,
        kind: CommentKind,
        id: u64,
    ) -> Result<Option<PullComment>, ForgeError> {
        let what = format!("{repo}: reading comment {id} ({})", kind.as_str());
        let url = self.below(&what, repo, &[segment(kind), "comments", &id.to_string()])?;
        let read = self.send(Scope::Named(repo), &Call::get(what.as_str(), url)).await?;
        pull_comment(&what, kind, read.json()?)
    }

    /// May this account write to the repository (write, maintain or admin)? Asked of the forge, for the account
    /// with this id: a name can come to mean another.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn may_write(&self, repo: &str, author: &Author) -> Result<bool, ForgeError> {
        let what = format!("{repo}: asking what {} may do", author.login);
        let url = self.below(&what, repo, &["collaborators", &author.login, "permission"])?;
        let answer = match self.send(Scope::Named(repo), &Call::get(what, url)).await {
            Ok(answer) => answer.json::<PermissionBody>()?,
            // Nobody that the repository knows.
            Err(ForgeError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        // `maintain` is told as `write`, `triage` as `read`, a role of an organization as what it is based on.
        let may = matches!(answer.permission.as_str(), "write" | "admin");
        Ok(may && answer.user.is_some_and(|user| user.id == author.id))
    }

    /// What may refuse a push to a branch.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn protection(&self, repo: &str, branch: &str) -> Result<Protection, ForgeError> {
        let what = format!("{repo}: asking what protects {branch}");
        let scope = Scope::Named(repo);
        let url = self.below(&what, repo, &["branches", branch])?;
        let ProtectedBody { protected } = self.send(scope, &Call::get(what.as_str(), url)).await?.json()?;
        let url = self.below(&what, repo, &["rules", "branches", branch])?;
        let rules: Vec<RuleBody> = self.send(scope, &Call::get(what.as_str(), url)).await?.json()?;
        let rules = rules.into_iter().map(|rule| rule.kind).collect();
        Ok(Protection { is_protected: protected, rules })
    }

    /// Is it our own account?
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn is_own(&self, repo: &str, author: &Author) -> Result<bool, ForgeError> {
        Ok(self.identity(Scope::Named(repo)).await?.id == author.id)
    }

    /// An address below a repository's.
    pub(super) fn below(&self, what: &str, repo: &str, tail: &[&str]) -> Result<Url, ForgeError> {
        if !is_repository_name(repo) {
            let message = "the repository is not given as owner/name".to_owned();
            return Err(ForgeError::Rejected { what: what.to_owned(), message });
        }
        let root = &self.inner.options.api_url;
        Ok(append(root, ["repos"].into_iter().chain(repo.split('/')).chain(tail.iter().copied())))
    }
}

/// An address of a list at the most items a page.
pub(super) fn paged(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query).append_pair("per_page", &GITHUB.page.to_string());
    url
}

/// Repositories whose name cannot be asked for are left out.
pub(super) fn seen(bodies: Vec<RepositoryBody>) -> Vec<Seen> {
    let named = bodies.into_iter().filter(|body| is_repository_name(&body.full_name));
    named
        .map(|body| Seen { id: body.id.to_string(), name: body.full_name, archived: body.archived })
        .collect()
}

fn open_pull(what: &str, body: PullBody) -> Result<OpenPull, ForgeError> {
    let sha = |text: &str| Sha::parse(text).map_err(|error| unavailable(what, &error.to_string()));
    Ok(OpenPull {
        repository: body.base.repo.id.to_string(),
        repo: body.base.repo.full_name,
        number: body.number,
        url: body.html_url,
        revision: Revision { head: sha(&body.head.sha)?, base: sha(&body.base.sha)? },
        draft: body.draft,
    })
}

fn pull_line(what: &str, body: LineBody) -> Result<PullLine, ForgeError> {
    Ok(PullLine {
        number: body.number,
        title: body.title.unwrap_or_default(),
        url: body.html_url,
        author: body.user.and_then(|user| user.login),
        draft: body.draft,
        head: Sha::parse(&body.head.sha).map_err(|error| unavailable(what, &error.to_string()))?,
        branch: body.head.branch,
        base_branch: body.base.branch,
    })
}

/// The part of the address of comments that says their kind.
fn segment(kind: CommentKind) -> &'static str {
    match kind {
        CommentKind::Conversation => "issues",
        CommentKind::Diff => "pulls",
    }
}

/// A comment, if it is on a pull request: its page says so.
fn pull_comment(what: &str, kind: CommentKind, body: CommentBody) -> Result<Option<PullComment>, ForgeError> {
    let page = body.html_url.split('#').next().unwrap_or_default();
    let Some((_, number)) = page.rsplit_once("/pull/") else { return Ok(None) };
    let Ok(number) = number.parse() else { return Ok(None) };
    let author =
        body.user.map(|user| Author { id: user.id, login: user.login, is_person: user.kind == "User" });
    Ok(Some(PullComment {
        kind,
        id: body.id,
        first: body.in_reply_to_id.map(|first| Id::Review(first).text()),
        number,
        url: page.to_owned(),
        author,
        body: body.body.unwrap_or_default().chars().take(MAX_COMMENT_CHARS).collect(),
        created: wire::instant(what, &body.created_at)?,
        updated: wire::instant(what, &body.updated_at)?,
    }))
}

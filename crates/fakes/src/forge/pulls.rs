//! Pull requests as loops open and change them, and what people do on them that loops look at: commits and reviews.

use serde_json::{Value, json};

use crate::forge::FakeError;
use crate::forge::calls::{Answer, Page};
use crate::forge::issues::{check_text, check_title};
use crate::forge::json::time;
use crate::forge::merging::Around;
use crate::forge::people::{NewPull, Repo, close, there, tip};
use crate::forge::reviewers::BotReview;
use crate::forge::routes::{Call, Reply};
use crate::forge::state::{Pull, Repository, State, Verdict, World, node_id};
use crate::repo::{Logged, Signed};

/// Commits of a pull request that are listed, at most.
const MAX_COMMITS: usize = 250;

/// Opens a pull request; its number.
pub(crate) fn open(world: &mut World, repo: &mut Repository, new: NewPull) -> Result<u64, FakeError> {
    let (head, base) = (tip(repo, &new.head)?, tip(repo, &new.base)?);
    if is_there(repo, &new.head, &new.base) {
        return Err(FakeError::Refused(format!("a pull request already exists for {}", new.head)));
    }
    world.account(&new.author);
    let number = repo.next_number();
    repo.git.set_ref(&format!("refs/pull/{number}/head"), &head)?;
    let now = world.now();
    let pull = Pull {
        id: world.id(),
        number,
        title: new.title,
        body: new.body,
        author: new.author.clone(),
        head_ref: new.head,
        head,
        base_ref: new.base,
        base,
        draft: new.draft,
        labels: Vec::new(),
        labelled: Vec::new(),
        around: Around::default(),
        open: true,
        merged_by: None,
        created: now,
        updated: now,
        closed: None,
        stale: None,
        summary: Vec::new(),
        inline: Vec::new(),
        reviews: Vec::new(),
    };
    repo.pulls.insert(number, pull);
    world.emit(repo, number, "opened", &new.author, Value::Null)?;
    Ok(number)
}

fn is_there(repo: &Repository, head: &str, base: &str) -> bool {
    repo.pulls.values().any(|pull| pull.open && pull.head_ref == head && pull.base_ref == base)
}

/// What could not be done, as GitHub says it.
pub(crate) fn failed(error: &FakeError) -> Reply {
    Reply::error(500, &format!("the fake forge failed: {error}"), Value::Null)
}

/// The pull request that the path names, if whoever calls opened it. Of those of others nobody changes more than the
/// description, here, and only who may write.
fn own<'a>(state: &'a mut State, call: &Call) -> Result<(&'a mut World, &'a mut Repository, u64), Reply> {
    let (world, repo, number) = state.pull(call)?;
    let author = repo.pulls.get(&number).map(|pull| pull.author.clone()).unwrap_or_default();
    let describes = call.body.as_object().is_some_and(|fields| fields.keys().all(|field| field == "body"));
    if author == call.login || (describes && (!call.pass.is_account() || repo.may_push(call))) {
        return Ok((world, repo, number));
    }
    world.violation(format!("{} touched pull request {number} of {author}", call.login));
    Err(Reply::error(403, "Resource not accessible by integration", Value::Null))
}

fn shown(world: &World, repo: &mut Repository, number: u64, status: u16) -> Answer {
    let head = repo.pulls.get(&number).map(|pull| pull.head.clone()).unwrap_or_default();
    let stats = repo.stats(number, &head)?;
    let pull = repo.pulls.get(&number).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(status, world.pull_json(repo, pull, &head, Some(stats))))
}

// -------------------------------------------------------------------------------------------------- calls

/// `POST …/pulls`, from a branch of the repository itself.
pub(crate) fn create(state: &mut State, call: &Call) -> Answer {
    let (world, repo) = state.repo(call)?;
    let text = |field: &str| call.body[field].as_str();
    let invalid = |field: &str| Reply::invalid("PullRequest", field, "invalid", "");
    check_title("PullRequest", text("title"))?;
    let body = text("body").unwrap_or_default();
    check_text("PullRequest", body)?;
    let own = format!("{}:", repo.owner);
    let (head, base) = (text("head").unwrap_or_default(), text("base").unwrap_or_default());
    let head = head.strip_prefix(&own).unwrap_or(head);
    let base_tip = tip(repo, base).map_err(|_| invalid("base"))?;
    let head_tip = tip(repo, head).map_err(|_| invalid("head"))?;
    let custom = |words: String| Reply::invalid("PullRequest", "", "custom", &words);
    if repo.git.count(&base_tip, &head_tip) == 0 {
        return Err(custom(format!("No commits between {base} and {head}")));
    }
    if is_there(repo, head, base) {
        return Err(custom(format!("A pull request already exists for {own}{head}.")));
    }
    let new = NewPull {
        title: text("title").unwrap_or_default().to_owned(),
        body: body.to_owned(),
        author: call.login.clone(),
        head: head.to_owned(),
        base: base.to_owned(),
        draft: call.body["draft"].as_bool().unwrap_or(false),
    };
    let number = open(world, repo, new).map_err(|error| failed(&error))?;
    shown(world, repo, number, 201)
}

/// `PATCH …/pulls/{number}`: title, body, and closing without merging.
pub(crate) fn update(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = own(state, call)?;
    let text = |field: &str| call.body[field].as_str();
    if text("title").is_some() {
        check_title("PullRequest", text("title"))?;
    }
    check_text("PullRequest", text("body").unwrap_or_default())?;
    let pull = repo.pulls.get_mut(&number).ok_or_else(Reply::not_found)?;
    let mut changes = serde_json::Map::new();
    for (field, old) in [("title", &mut pull.title), ("body", &mut pull.body)] {
        if let Some(new) = call.body[field].as_str().filter(|new| *new != old.as_str()) {
            changes.insert(field.to_owned(), json!({"from": std::mem::replace(old, new.to_owned())}));
        }
    }
    let is_open = pull.open;
    if !changes.is_empty() {
        world.emit(repo, number, "edited", &call.login, json!({"changes": changes}))?;
    }
    match (text("state"), is_open) {
        (Some("closed"), true) => close(world, repo, number, None).map_err(|error| failed(&error))?,
        (Some("open"), false) => {
            world.violation(format!("{} reopened pull request {number}", call.login));
            return Err(Reply::error(403, "Resource not accessible by integration", Value::Null));
        }
        (Some(_) | None, _) => {}
    }
    shown(world, repo, number, 200)
}

/// `GET …/pulls/{number}/commits`, oldest first, 250 at most.
pub(crate) fn commits(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.pull(call)?;
    let pull = repo.pulls.get(&number).ok_or_else(Reply::not_found)?;
    let mut all = repo.git.log(&pull.base, &pull.head)?;
    all.truncate(MAX_COMMITS);
    let page = Page::of(call);
    let shown = page.cut(&all).iter().map(|commit| world.commit_json(repo, commit)).collect();
    Ok(page.reply(world, call, all.len(), shown))
}

/// `GET …/pulls/{number}/reviews`, oldest first.
pub(crate) fn reviews(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.pull(call)?;
    let pull = repo.pulls.get(&number).ok_or_else(Reply::not_found)?;
    let page = Page::of(call);
    let shown = page.cut(&pull.reviews).iter().map(|review| world.review_json(repo, pull, review)).collect();
    Ok(page.reply(world, call, pull.reviews.len(), shown))
}

/// Makes a pull request a draft, or ready, by its id at GraphQL; false: there is none that whoever calls may change.
/// Its author may, and who may write; nobody of ours makes somebody else's a draft. An installation needs
/// `contents: write` for it (<https://github.com/cli/cli/issues/8910>).
pub(crate) fn set_draft(state: &mut State, call: &Call, ids: &[String], draft: bool) -> Result<bool, Reply> {
    let State { world, repos, moved: _ } = state;
    for repo in repos.values_mut().filter(|repo| call.pass.sees(repo)) {
        let is = |pull: &&mut Pull| ids.contains(&node_id("PullRequest", pull.id));
        let Some(pull) = repo.pulls.values_mut().find(is) else { continue };
        let own = pull.author == call.login;
        let (number, may_push) = (pull.number, repo.may_push(call));
        let pull = repo.pulls.get_mut(&number).ok_or_else(Reply::not_found)?;
        let may = may_push || (own && call.pass.is_account());
        if !may {
            return Ok(false);
        }
        if !own && draft {
            world
                .violation(format!("{} touched pull request {} of {}", call.login, pull.number, pull.author));
            return Ok(false);
        }
        let (number, was) = (pull.number, std::mem::replace(&mut pull.draft, draft));
        if was != draft {
            let action = if draft { "converted_to_draft" } else { "ready_for_review" };
            world.emit(repo, number, action, &call.login, Value::Null)?;
        }
        return Ok(true);
    }
    Ok(false)
}

impl World {
    /// A commit (`commit`).
    pub(crate) fn commit_json(&self, repo: &Repository, commit: &Logged) -> Value {
        let (base, name, sha) = (&self.base_url, repo.full_name(), &commit.sha);
        let api = format!("{base}/repos/{name}");
        let signed = |who: &Signed| json!({"name": who.name, "email": who.email, "date": time(who.at)});
        let parents = commit.parents.iter().map(|parent| {
            json!({
                "sha": parent, "url": format!("{api}/commits/{parent}"),
                "html_url": format!("{base}/{name}/commit/{parent}"),
            })
        });
        json!({
            "url": format!("{api}/commits/{sha}"), "sha": sha,
            "node_id": format!("C_kwDO{}", sha.get(..20).unwrap_or_default()),
            "html_url": format!("{base}/{name}/commit/{sha}"),
            "comments_url": format!("{api}/commits/{sha}/comments"),
            "commit": {
                "url": format!("{api}/git/commits/{sha}"), "author": signed(&commit.author),
                "committer": signed(&commit.committer), "message": commit.message, "comment_count": 0,
                "tree": {"sha": commit.tree, "url": format!("{api}/git/trees/{}", commit.tree)},
                "verification": {
                    "verified": false, "reason": "unsigned", "signature": null, "payload": null,
                    "verified_at": null,
                },
            },
            "author": self.account_of(&commit.author), "committer": self.account_of(&commit.committer),
            "parents": parents.collect::<Vec<_>>(),
        })
    }

    /// The account with an address: `LOGIN@…`, or `ID+LOGIN@…` as GitHub gives out; null if there is none, as of
    /// somebody whose name has a space.
    fn account_of(&self, who: &Signed) -> Value {
        let login = who.email.split('@').next().unwrap_or_default();
        let login = login.split_once('+').map_or(login, |(_, login)| login);
        let is_login = !login.contains(char::is_whitespace);
        if is_login && self.accounts.contains_key(login) { self.user_json(login) } else { Value::Null }
    }
}

// ------------------------------------------------------------------------------------------------- people

impl Repo {
    /// Reviews a pull request at its head, without comments on its lines.
    pub async fn review(
        &self,
        number: u64,
        author: &str,
        state: Verdict,
        body: &str,
    ) -> Result<(), FakeError> {
        let review = BotReview { state, body: body.to_owned(), comments: Vec::new() };
        self.review_lines(number, author, None, review).await.map(drop)
    }

    /// Changes a pull request's description.
    pub async fn describe(&self, number: u64, body: &str) -> Result<(), FakeError> {
        let body = body.to_owned();
        self.with(move |_, repo| {
            there(repo, number)?.body = body;
            Ok(())
        })
        .await
    }
}

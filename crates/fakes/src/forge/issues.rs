//! Issues and labels: what callers do by REST, what people do, and what tests see.

use serde_json::{Value, json};

use crate::forge::calls::{Answer, Page, check_body};
use crate::forge::json::{association, time};
use crate::forge::people::{Repo, there};
use crate::forge::reviewers::counted;
use crate::forge::routes::{Call, Reply};
use crate::forge::state::{Note, Pull, Repository, State, World, node_id};
use crate::forge::{Comment, FakeError};

/// The longest title of an issue or a pull request, in characters.
pub(crate) const MAX_TITLE: usize = 256;

/// An issue.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) author: String,
    pub(crate) labels: Vec<String>,
    pub(crate) open: bool,
    pub(crate) locked: bool,
    pub(crate) reason: Option<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) closed: Option<(i64, String)>,
    pub(crate) notes: Vec<Note>,
    /// Lists that do not show it yet.
    pub(crate) hidden_for: u32,
}

/// A label that somebody set, or took away.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    id: u64,
    by: String,
    label: String,
    on: bool,
    at: i64,
}

/// An issue for assertions, with every comment ever made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssueView {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// Who opened it.
    pub author: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Open?
    pub open: bool,
    /// Locked?
    pub locked: bool,
    /// Its comments, deleted ones too.
    pub comments: Vec<Comment>,
}

impl World {
    /// Labels of a repository (`label`).
    pub(crate) fn labels_json(&self, repo: &Repository, names: &[String]) -> Value {
        let api = format!("{}/repos/{}", self.base_url, repo.full_name());
        let label = |name: &String| {
            let id = repo.labels.get(name).copied().unwrap_or(0);
            json!({
                "id": id, "node_id": node_id("Label", id), "url": format!("{api}/labels/{name}"), "name": name,
                "description": null, "color": "ededed", "default": false,
            })
        };
        names.iter().map(label).collect()
    }

    /// An issue (`issue`).
    pub(crate) fn own_issue_json(&self, repo: &Repository, issue: &Issue) -> Value {
        let (base, number) = (&self.base_url, issue.number);
        let api = format!("{base}/repos/{}", repo.full_name());
        let own = format!("{api}/issues/{number}");
        let closed = issue.closed.as_ref();
        json!({
            "url": own, "repository_url": api, "labels_url": format!("{own}/labels{{/name}}"),
            "comments_url": format!("{own}/comments"), "events_url": format!("{own}/events"),
            "html_url": format!("{base}/{}/issues/{number}", repo.full_name()), "id": issue.id,
            "node_id": node_id("Issue", issue.id), "number": number, "title": issue.title,
            "user": self.user_json(&issue.author), "labels": self.labels_json(repo, &issue.labels),
            "state": if issue.open { "open" } else { "closed" }, "locked": issue.locked, "assignee": null,
            "assignees": [], "milestone": null,
            "comments": issue.notes.iter().filter(|comment| !comment.deleted).count(),
            "created_at": time(issue.created), "updated_at": time(issue.updated),
            "closed_at": closed.map(|(at, _)| time(*at)), "closed_by": closed.map(|(_, by)| self.user_json(by)),
            "author_association": association(repo, &issue.author),
            "active_lock_reason": null, "body": issue.body, "timeline_url": format!("{own}/timeline"),
            "performed_via_github_app": null, "state_reason": issue.reason, "reactions": counted(&own, &[]),
        })
    }

    /// A pull request or an issue, as comments' events show it.
    pub(crate) fn conversation_json(&self, repo: &Repository, number: u64) -> Value {
        match (repo.pulls.get(&number), repo.issues.get(&number)) {
            (Some(pull), _) => self.issue_json(repo, pull),
            (None, Some(issue)) => self.own_issue_json(repo, issue),
            (None, None) => Value::Null,
        }
    }
}

impl State {
    /// The issue that the path names.
    fn issue(&mut self, call: &Call) -> Result<(&mut World, &mut Repository, u64), Reply> {
        let number = call.number("number")?;
        let (world, repo) = self.repo(call)?;
        if repo.issues.contains_key(&number) { Ok((world, repo, number)) } else { Err(Reply::not_found()) }
    }
}

/// 422 for a text that is missing or too long.
pub(crate) fn check_title(resource: &str, title: Option<&str>) -> Result<(), Reply> {
    let words = match title {
        Some(title) if title.trim().is_empty() => "title can't be blank",
        Some(title) if title.chars().count() > MAX_TITLE => "title is too long (maximum is 256 characters)",
        Some(_) => return Ok(()),
        None => return Err(Reply::invalid(resource, "title", "missing_field", "title is missing")),
    };
    Err(Reply::invalid(resource, "title", "custom", words))
}

/// 422 for a body that is too long; one may be empty.
pub(crate) fn check_text(resource: &str, body: &str) -> Result<(), Reply> {
    if body.trim().is_empty() {
        return Ok(());
    }
    check_body(body).map_err(|_| {
        Reply::invalid(resource, "body", "custom", "body is too long (maximum is 65536 characters)")
    })
}

fn names(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|name| name.as_str().or_else(|| name["name"].as_str())).map(str::to_owned).collect()
}

// -------------------------------------------------------------------------------------------------- calls

/// `GET …/issues`: issues and pull requests by `state`, `labels` (all of them), `creator`; newest first.
pub(crate) fn list(state: &mut State, call: &Call) -> Answer {
    let (world, repo) = state.repo(call)?;
    let asked = |name: &str| call.query.get(name).map(String::as_str);
    let wanted = asked("state").unwrap_or("open");
    let labels: Vec<&str> = asked("labels").into_iter().flat_map(|all| all.split(',')).collect();
    let fits = |open: bool, of: &[String], author: &str| {
        (wanted == "all" || open == (wanted == "open"))
            && labels.iter().all(|label| of.iter().any(|name| name.eq_ignore_ascii_case(label)))
            && asked("creator").is_none_or(|creator| creator == author)
    };
    let mut numbers: Vec<u64> = Vec::new();
    for issue in repo.issues.values_mut().filter(|issue| fits(issue.open, &issue.labels, &issue.author)) {
        if issue.hidden_for > 0 {
            issue.hidden_for -= 1;
        } else {
            numbers.push(issue.number);
        }
    }
    let pulls = repo.pulls.values().filter(|pull| fits(pull.open, &pull.labels, &pull.author));
    numbers.extend(pulls.map(|pull| pull.number));
    numbers.sort_unstable();
    if asked("direction") != Some("asc") {
        numbers.reverse();
    }
    let page = Page::of(call);
    let shown = page.cut(&numbers).iter().map(|number| world.conversation_json(repo, *number)).collect();
    Ok(page.reply(world, call, numbers.len(), shown))
}

/// `GET …/issues/{number}`: an issue, or a pull request as one.
pub(crate) fn one(state: &mut State, call: &Call) -> Answer {
    let number = call.number("number")?;
    let (world, repo) = state.repo(call)?;
    let found = world.conversation_json(repo, number);
    if found.is_null() { Err(Reply::not_found()) } else { Ok(Reply::json(200, found)) }
}

/// `POST …/issues`. Labels that are not there are made, if whoever calls may do so, and left out otherwise.
pub(crate) fn create(state: &mut State, call: &Call) -> Answer {
    let (world, repo) = state.repo(call)?;
    let title = call.body["title"].as_str();
    check_title("Issue", title)?;
    let body = call.body["body"].as_str().unwrap_or_default();
    check_text("Issue", body)?;
    let labels = if may_label(repo, call) { names(&call.body["labels"]) } else { Vec::new() };
    let number = open(world, repo, &call.login, (title.unwrap_or_default(), body), labels);
    let issue = repo.issues.get(&number).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(201, world.own_issue_json(repo, issue)))
}

/// `PATCH …/issues/{number}`: only its author may, here.
pub(crate) fn update(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.issue(call)?;
    let issue = repo.issues.get_mut(&number).ok_or_else(Reply::not_found)?;
    if issue.author != call.login {
        world.violation(format!("{} touched issue {number} of {}", call.login, issue.author));
        return Err(Reply::error(403, "Resource not accessible by integration", Value::Null));
    }
    let text = |field: &str| call.body[field].as_str();
    if text("title").is_some() {
        check_title("Issue", text("title"))?;
    }
    check_text("Issue", text("body").unwrap_or_default())?;
    if let Some(title) = text("title") {
        title.clone_into(&mut issue.title);
    }
    if let Some(body) = text("body") {
        body.clone_into(&mut issue.body);
    }
    let now = world.now();
    issue.updated = now;
    match text("state") {
        Some("closed") if issue.open => {
            (issue.open, issue.closed) = (false, Some((now, call.login.clone())));
            issue.reason = Some(text("state_reason").unwrap_or("completed").to_owned());
        }
        Some("open") if !issue.open => {
            (issue.open, issue.closed, issue.reason) = (true, None, Some("reopened".into()));
        }
        Some(_) | None => {}
    }
    let issue = repo.issues.get(&number).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(200, world.own_issue_json(repo, issue)))
}

/// `POST …/issues/{number}/labels`: of an issue or a pull request; the answer is all that it has.
pub(crate) fn add_labels(state: &mut State, call: &Call) -> Answer {
    let number = call.number("number")?;
    let (world, repo) = state.repo(call)?;
    if !repo.pulls.contains_key(&number) && !repo.issues.contains_key(&number) {
        return Err(Reply::not_found());
    }
    if !may_label(repo, call) {
        return Err(Reply::error(403, "Must have triage rights to Repository.", Value::Null));
    }
    let added = names(&call.body["labels"]);
    make_labels(world, repo, &added);
    let labels = match (repo.pulls.get_mut(&number), repo.issues.get_mut(&number)) {
        (Some(pull), _) => {
            for name in &added {
                set_label(world, pull, (&call.login, name, true));
            }
            pull.labels.clone()
        }
        (None, Some(issue)) => {
            for name in added {
                if !issue.labels.contains(&name) {
                    issue.labels.push(name);
                }
            }
            issue.labels.clone()
        }
        (None, None) => return Err(Reply::not_found()),
    };
    Ok(Reply::json(200, world.labels_json(repo, &labels)))
}

/// `GET …/issues/{number}/events`: those about the labels of a pull request, oldest first.
pub(crate) fn events(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.pull(call)?;
    let pull = repo.pulls.get(&number).ok_or_else(Reply::not_found)?;
    let page = Page::of(call);
    let shown = page.cut(&pull.labelled).iter().map(|of| {
        json!({
            "id": of.id, "node_id": node_id("LabeledEvent", of.id),
            "url": format!("{}/repos/{}/issues/events/{}", world.base_url, repo.full_name(), of.id),
            "actor": world.user_json(&of.by), "event": if of.on { "labeled" } else { "unlabeled" },
            "commit_id": null, "commit_url": null, "created_at": time(of.at),
            "label": {"name": of.label, "color": "ededed"}, "performed_via_github_app": null,
        })
    });
    let shown = shown.collect();
    Ok(page.reply(world, call, pull.labelled.len(), shown))
}

/// Sets a label of a pull request, or takes it away; false: it is so already.
fn set_label(world: &mut World, pull: &mut Pull, (by, label, on): (&str, &str, bool)) -> bool {
    if pull.labels.iter().any(|name| name == label) == on {
        return false;
    }
    if on {
        pull.labels.push(label.to_owned());
    } else {
        pull.labels.retain(|name| name != label);
    }
    let (id, at) = (world.id(), world.now());
    pull.labelled.push(Labelled { id, by: by.to_owned(), label: label.to_owned(), on, at });
    true
}

/// An installation that may write issues labels them; an account needs a role.
fn may_label(repo: &Repository, call: &Call) -> bool {
    !call.pass.is_account() || ["admin", "maintain", "write", "triage"].contains(&repo.role(&call.login))
}

fn make_labels(world: &mut World, repo: &mut Repository, names: &[String]) {
    for name in names {
        if !repo.labels.contains_key(name) {
            repo.labels.insert(name.clone(), world.id());
        }
    }
}

fn open(
    world: &mut World,
    repo: &mut Repository,
    author: &str,
    (title, body): (&str, &str),
    labels: Vec<String>,
) -> u64 {
    world.account(author);
    make_labels(world, repo, &labels);
    let (id, number, now) = (world.id(), repo.next_number(), world.now());
    let issue = Issue {
        id,
        number,
        title: title.to_owned(),
        body: body.to_owned(),
        author: author.to_owned(),
        labels,
        open: true,
        locked: false,
        reason: None,
        created: now,
        updated: now,
        closed: None,
        notes: Vec::new(),
        hidden_for: world.stale_lists,
    };
    repo.issues.insert(number, issue);
    number
}

// ------------------------------------------------------------------------------------------------- people

impl Repo {
    /// Opens an issue as a person; its number.
    pub async fn open_issue(
        &self,
        author: &str,
        title: &str,
        body: &str,
        label: &str,
    ) -> Result<u64, FakeError> {
        let (author, title, body) = (author.to_owned(), title.to_owned(), body.to_owned());
        let labels = vec![label.to_owned()];
        self.with(move |world, repo| Ok(open(world, repo, &author, (&title, &body), labels))).await
    }

    /// Sets a label of a pull request as a person, or takes it away.
    pub async fn label(&self, number: u64, label: &str, on: bool, by: &str) -> Result<(), FakeError> {
        let (label, by) = (label.to_owned(), by.to_owned());
        self.with(move |world, repo| {
            world.account(&by);
            make_labels(world, repo, std::slice::from_ref(&label));
            if set_label(world, there(repo, number)?, (&by, &label, on)) {
                let more = json!({"label": world.labels_json(repo, &[label])[0]});
                world.emit(repo, number, if on { "labeled" } else { "unlabeled" }, &by, more)?;
            }
            Ok(())
        })
        .await
    }

    /// Closes or reopens an issue as a person.
    pub async fn set_issue_open(&self, number: u64, open: bool, by: &str) -> Result<(), FakeError> {
        let by = by.to_owned();
        self.with_issue(number, move |now, issue| {
            issue.open = open;
            issue.closed = (!open).then_some((now, by));
            issue.reason = Some(if open { "reopened" } else { "not_planned" }.to_owned());
        })
        .await
    }

    /// Locks an issue: only who may write comments there.
    pub async fn lock_issue(&self, number: u64) -> Result<(), FakeError> {
        self.with_issue(number, |_, issue| issue.locked = true).await
    }

    /// Changes an issue's text as a person.
    pub async fn edit_issue(&self, number: u64, body: &str) -> Result<(), FakeError> {
        let body = body.to_owned();
        self.with_issue(number, move |_, issue| issue.body = body).await
    }

    /// Takes all labels off an issue.
    pub async fn unlabel_issue(&self, number: u64) -> Result<(), FakeError> {
        self.with_issue(number, |_, issue| issue.labels.clear()).await
    }

    /// Deletes an issue, as an administrator can.
    pub async fn delete_issue(&self, number: u64) -> Result<(), FakeError> {
        let missing = move || FakeError::Missing(format!("issue {number}"));
        self.with(move |_, repo| repo.issues.remove(&number).map(drop).ok_or_else(missing)).await
    }

    /// An issue with all its comments.
    pub async fn issue(&self, number: u64) -> Result<IssueView, FakeError> {
        let mut all = self.issues().await?;
        let at = all.iter().position(|issue| issue.number == number);
        at.map(|at| all.swap_remove(at)).ok_or_else(|| FakeError::Missing(format!("issue {number}")))
    }

    /// Every issue that is there, oldest first.
    pub async fn issues(&self) -> Result<Vec<IssueView>, FakeError> {
        self.with(|_, repo| Ok(repo.issues.values().map(view).collect())).await
    }

    async fn with_issue(
        &self,
        number: u64,
        change: impl FnOnce(i64, &mut Issue) + Send + 'static,
    ) -> Result<(), FakeError> {
        self.with(move |world, repo| {
            let missing = || FakeError::Missing(format!("issue {number}"));
            let issue = repo.issues.get_mut(&number).ok_or_else(missing)?;
            issue.updated = world.now();
            change(world.now(), issue);
            Ok(())
        })
        .await
    }
}

fn view(issue: &Issue) -> IssueView {
    IssueView {
        number: issue.number,
        title: issue.title.clone(),
        body: issue.body.clone(),
        author: issue.author.clone(),
        labels: issue.labels.clone(),
        open: issue.open,
        locked: issue.locked,
        comments: issue.notes.iter().map(Comment::in_conversation).collect(),
    }
}

//! The conversation of pull requests and issues: its comments by REST.

use crate::forge::github::call::{Answer, Call, Page, Reply};
use crate::forge::github::calls::{TOO_LONG, check_body};
use crate::forge::github::reviewers::unplayable;
use crate::forge::operations::reviewers::hear;
use crate::forge::state::notes::visible;
use crate::forge::state::{Repository, State, World};

impl State {
    /// The pull request or issue that the path names.
    fn conversation(&mut self, call: &Call) -> Result<(&mut World, &mut Repository, u64), Reply> {
        let number = call.number("number")?;
        let (world, repo) = self.repo(call)?;
        let there = repo.pulls.contains_key(&number) || repo.issues.contains_key(&number);
        if there { Ok((world, repo, number)) } else { Err(Reply::not_found()) }
    }
}

/// `GET …/issues/{number}/comments`, oldest first.
pub(crate) fn list(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.conversation(call)?;
    let ids = visible(repo.notes_mut(number).into_iter().flatten());
    let page = Page::of(call);
    let shown = page.cut(&ids).iter().filter_map(|id| {
        let comment = repo.notes(number).iter().find(|comment| comment.id == *id)?;
        Some(world.summary_json(repo, number, comment))
    });
    let shown = shown.collect();
    Ok(page.reply(world, call, ids.len(), shown))
}

/// `POST …/issues/{number}/comments`.
pub(crate) fn create(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.conversation(call)?;
    let body = text(call)?;
    if repo.issues.get(&number).is_some_and(|issue| issue.locked) && !repo.may_push(call) {
        let words = "Unable to create comment because issue is locked.";
        return Err(Reply::error(403, words, serde_json::Value::Null));
    }
    let comment = world.note(&call.login, body);
    repo.touch(number, comment.created);
    repo.notes_mut(number).into_iter().for_each(|notes| notes.push(comment.clone()));
    hear(world, repo, number, comment.id).map_err(|words| unplayable(&words))?;
    Ok(Reply::json(201, world.summary_json(repo, number, &comment)))
}

fn text(call: &Call) -> Result<&str, Reply> {
    let body = call.body["body"].as_str().unwrap_or_default();
    check_body(body).map(|()| body).map_err(|error| {
        let (code, field) =
            if error == TOO_LONG { ("unprocessable", "data") } else { ("missing_field", "body") };
        Reply::invalid("IssueComment", field, code, &error)
    })
}

/// `PATCH …/issues/comments/{id}`.
pub(crate) fn update(state: &mut State, call: &Call) -> Answer {
    let (number, id) = find(state, call)?;
    let (world, repo) = state.repo(call)?;
    let body = text(call)?.to_owned();
    let now = world.now();
    let mut notes = repo.notes_mut(number).into_iter().flatten();
    let comment = notes.find(|comment| comment.id == id).ok_or_else(Reply::not_found)?;
    comment.rewrite(&body, now);
    let comment = comment.clone();
    Ok(Reply::json(200, world.summary_json(repo, number, &comment)))
}

/// `DELETE …/issues/comments/{id}`.
pub(crate) fn delete(state: &mut State, call: &Call) -> Answer {
    let (number, id) = find(state, call)?;
    let (_, repo) = state.repo(call)?;
    let mut notes = repo.notes_mut(number).into_iter().flatten();
    notes.find(|comment| comment.id == id).ok_or_else(Reply::not_found)?.deleted = true;
    Ok(Reply::done())
}

/// The number of the conversation, and the id of the comment that the path names. Only its author may touch it.
fn find(state: &mut State, call: &Call) -> Result<(u64, u64), Reply> {
    let id = call.number("id")?;
    let (world, repo) = state.repo(call)?;
    let found = repo.numbers().into_iter().find_map(|number| {
        let mut notes = repo.notes(number).iter();
        notes.find(|note| note.id == id && !note.deleted).map(|note| (number, note))
    });
    let (number, note) = found.ok_or_else(Reply::not_found)?;
    if note.author == call.login {
        Ok((number, id))
    } else {
        world.violation(format!("{} touched comment {id} of {}", call.login, note.author));
        Err(Reply::error(403, "Resource not accessible by integration", serde_json::Value::Null))
    }
}

impl Repository {
    /// A pull request or issue has changed.
    fn touch(&mut self, number: u64, now: i64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated = now;
        }
        if let Some(issue) = self.issues.get_mut(&number) {
            issue.updated = now;
        }
    }
}

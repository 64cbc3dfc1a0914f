//! Those who review besides us: people and bots, what wakes a bot and what it does then; who is asked to review, and
//! reactions to comments.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::forge::FakeError;
use crate::forge::calls::{Answer, Page, Spot};
use crate::forge::checks::CheckRun;
use crate::forge::diff::Side;
use crate::forge::json::time;
use crate::forge::people::{Repo, there};
use crate::forge::routes::{Call, Reply};
use crate::forge::state::{Place, Repository, Review, State, Verdict, World, node_id};

/// A bot that reviews when it is asked.
#[derive(Clone, Debug, Default)]
pub struct Bot {
    /// Its account, `…[bot]`.
    pub login: String,
    /// What its comments on lines are by, where that differs, as Copilot's do. Asking this name for a review is
    /// answered with success and does nothing.
    pub alias: Option<String>,
    /// The whole text of a comment that wakes it. Nothing else in the comment.
    pub trigger: Option<String>,
    /// What it does each time that it is woken, one after the other; then nothing.
    pub steps: VecDeque<Step>,
}

/// What a bot does once it is woken. Empty: it stays silent.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// It looks at the comment that woke it: the reaction `eyes`.
    pub eyes: bool,
    /// It reviews the head.
    pub review: Option<BotReview>,
    /// It makes a check run of this name, with this conclusion; without one it is still at work.
    pub check: Option<(String, Option<String>)>,
}

/// A review of a bot.
#[derive(Clone, Debug)]
pub struct BotReview {
    /// What it says.
    pub state: Verdict,
    /// Its text.
    pub body: String,
    /// Its comments: file, line at the head, text.
    pub comments: Vec<(String, u32, String)>,
}

/// A reaction to a comment.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    id: u64,
    by: String,
    content: String,
    at: i64,
}

/// The reactions to a thing at this address, counted.
pub(crate) fn counted(url: &str, all: &[Reaction]) -> Value {
    let of = |content: &str| all.iter().filter(|reaction| reaction.content == content).count();
    json!({
        "url": format!("{url}/reactions"), "total_count": all.len(), "+1": of("+1"), "-1": of("-1"),
        "laugh": of("laugh"), "hooray": of("hooray"), "confused": of("confused"), "heart": of("heart"),
        "rocket": of("rocket"), "eyes": of("eyes"),
    })
}

// -------------------------------------------------------------------------------------------------- calls

/// `GET …/issues/comments/{id}/reactions`, by `content`, oldest first.
pub(crate) fn reactions(state: &mut State, call: &Call) -> Answer {
    let id = call.number("id")?;
    let (world, repo) = state.repo(call)?;
    let mut notes = repo.numbers().into_iter().flat_map(|number| repo.notes(number));
    let note = notes.find(|note| note.id == id && !note.deleted).ok_or_else(Reply::not_found)?;
    let wanted = |of: &&Reaction| call.query.get("content").is_none_or(|content| *content == of.content);
    let all: Vec<&Reaction> = note.reactions.iter().filter(wanted).collect();
    let page = Page::of(call);
    let shown = page.cut(&all).iter().map(|of| {
        json!({
            "id": of.id, "node_id": node_id("Reaction", of.id), "user": world.user_json(&of.by),
            "content": of.content, "created_at": time(of.at),
        })
    });
    let shown = shown.collect();
    Ok(page.reply(world, call, all.len(), shown))
}

/// `POST …/pulls/{number}/requested_reviewers`.
pub(crate) fn request(state: &mut State, call: &Call) -> Answer {
    let (world, repo, number) = state.pull(call)?;
    let none = Vec::new();
    let asked: Vec<&str> =
        call.body["reviewers"].as_array().unwrap_or(&none).iter().filter_map(Value::as_str).collect();
    let author = repo.pulls.get(&number).map(|pull| pull.author.clone()).unwrap_or_default();
    let mut wanted = Vec::new();
    for login in asked {
        let is = |name: &str| name.eq_ignore_ascii_case(login);
        if is(&author) {
            let words = "Review cannot be requested from pull request author.";
            return Err(Reply::error(422, words, Value::Null));
        }
        if repo.bots.iter().any(|bot| bot.alias.as_deref().is_some_and(is)) {
            continue;
        }
        let bot = repo.bots.iter().find(|bot| is(&bot.login)).map(|bot| bot.login.clone());
        let person = || (repo.role(login) != "none").then(|| login.to_owned());
        match bot.or_else(person) {
            Some(login) => wanted.push(login),
            None => {
                let words = format!(
                    "Reviews may only be requested from collaborators. One or more of the users or teams you \
                     specified is not a collaborator of the {} repository.",
                    repo.full_name()
                );
                return Err(Reply::error(422, &words, Value::Null));
            }
        }
    }
    for login in &wanted {
        let around = &mut repo.pulls.get_mut(&number).ok_or_else(Reply::not_found)?.around;
        if !around.requested.contains(login) {
            around.requested.push(login.clone());
            wake(world, repo, number, |bot| bot.login == *login, None)?;
        }
    }
    let pull = repo.pulls.get(&number).ok_or_else(Reply::not_found)?;
    Ok(Reply::json(201, world.pull_json(repo, pull, &pull.head, None)))
}

// ------------------------------------------------------------------------------------------------- acting

/// A comment was made: those bots wake whose trigger it is.
pub(crate) fn hear(world: &mut World, repo: &mut Repository, number: u64, comment: u64) -> Result<(), Reply> {
    let said = repo.notes(number).iter().find(|note| note.id == comment);
    let Some(said) = said.map(|note| note.body.trim().to_owned()) else { return Ok(()) };
    if !repo.pulls.contains_key(&number) {
        return Ok(());
    }
    wake(world, repo, number, |bot| bot.trigger.as_deref() == Some(said.as_str()), Some(comment))
}

/// Lets the bots that are meant take their next step.
fn wake(
    world: &mut World,
    repo: &mut Repository,
    number: u64,
    meant: impl Fn(&Bot) -> bool,
    comment: Option<u64>,
) -> Result<(), Reply> {
    let steps: Vec<(Bot, Step)> = repo
        .bots
        .iter_mut()
        .filter(|bot| meant(bot))
        .filter_map(|bot| Some((bot.clone(), bot.steps.pop_front()?)))
        .collect();
    for (bot, step) in steps {
        if let (true, Some(comment)) = (step.eyes, comment) {
            react(world, repo, number, comment, (&bot.login, "eyes"));
        }
        if let Some(review) = &step.review {
            let by = (bot.login.as_str(), bot.alias.as_deref().unwrap_or(&bot.login));
            let refused =
                |words: String| Reply::error(500, &format!("the script is wrong: {words}"), Value::Null);
            post(world, repo, number, by, None, review).map_err(refused)?;
        }
        if let Some((name, conclusion)) = step.check {
            let sha = repo.pulls.get(&number).map(|pull| pull.head.clone()).unwrap_or_default();
            check(world, repo, &sha, &bot.login, (&name, conclusion));
        }
    }
    Ok(())
}

fn react(world: &mut World, repo: &mut Repository, number: u64, comment: u64, (by, content): (&str, &str)) {
    world.account(by);
    let (id, at) = (world.id(), world.now());
    let note = repo.notes_mut(number).into_iter().flatten().find(|note| note.id == comment);
    let Some(note) = note else { return };
    if !note.reactions.iter().any(|known| known.by == by && known.content == content) {
        note.reactions.push(Reaction { id, by: by.to_owned(), content: content.to_owned(), at });
    }
}

/// Posts a review by `by`, whose comments on lines are by the second name; on the head unless told otherwise. Its id.
pub(crate) fn post(
    world: &mut World,
    repo: &mut Repository,
    number: u64,
    (by, by_lines): (&str, &str),
    commit: Option<&str>,
    review: &BotReview,
) -> Result<u64, String> {
    world.account(by);
    let commit = commit.map_or(Value::Null, Value::from);
    let spot = Spot::of(repo, number, &commit)?;
    let (id, created) = (world.id(), world.now());
    let mut comments = Vec::new();
    for (path, line, body) in &review.comments {
        let place = Place { path: path.clone(), line: Some((Side::Right, *line)), start: None };
        let hunk = spot.check(repo, number, &place)?;
        comments.push(spot.comment(world.note(by_lines, body), id, place, hunk));
    }
    let pull = repo.pulls.get_mut(&number).ok_or("there is no such pull request")?;
    pull.updated = created;
    pull.around.requested.retain(|login| login != by);
    pull.inline.extend(comments);
    let (author, body, state) = (by.to_owned(), review.body.clone(), review.state);
    pull.reviews.push(Review { id, author, body, state, commit: spot.commit().to_owned(), created });
    Ok(id)
}

fn check(
    world: &mut World,
    repo: &mut Repository,
    sha: &str,
    by: &str,
    (name, conclusion): (&str, Option<String>),
) {
    world.account(by);
    let status = if conclusion.is_some() { "completed" } else { "in_progress" };
    let run = CheckRun {
        id: world.id(),
        sha: sha.to_owned(),
        name: name.to_owned(),
        external_id: None,
        status: status.to_owned(),
        conclusion,
        title: None,
        summary: None,
        annotations: Vec::new(),
        creator: by.to_owned(),
        created: world.now(),
        asked: false,
    };
    repo.checks.push(run);
}

// ------------------------------------------------------------------------------------------------- people

impl Repo {
    /// Lets this bot review here.
    pub async fn add_bot(&self, bot: Bot) -> Result<(), FakeError> {
        self.with(move |world, repo| {
            world.account(&bot.login);
            repo.bots.push(bot);
            Ok(())
        })
        .await
    }

    /// Reviews a pull request as somebody, on this commit or on the head, with comments on its lines; the review's id.
    pub async fn review_lines(
        &self,
        number: u64,
        author: &str,
        commit: Option<&str>,
        review: BotReview,
    ) -> Result<u64, FakeError> {
        let (author, commit) = (author.to_owned(), commit.map(str::to_owned));
        self.with(move |world, repo| {
            there(repo, number)?;
            let by = (author.as_str(), author.as_str());
            post(world, repo, number, by, commit.as_deref(), &review).map_err(FakeError::Refused)
        })
        .await
    }

    /// Reacts to a comment in a conversation: `+1`, `eyes`, …
    pub async fn react(&self, number: u64, comment: u64, by: &str, content: &str) -> Result<(), FakeError> {
        let (by, content) = (by.to_owned(), content.to_owned());
        self.with(move |world, repo| {
            react(world, repo, number, comment, (&by, &content));
            Ok(())
        })
        .await
    }

    /// Makes a check run as an App's account; without a conclusion it is still at work.
    pub async fn check(
        &self,
        sha: &str,
        by: &str,
        name: &str,
        conclusion: Option<&str>,
    ) -> Result<(), FakeError> {
        let (sha, by, name) = (sha.to_owned(), by.to_owned(), name.to_owned());
        let conclusion = conclusion.map(str::to_owned);
        self.with(move |world, repo| {
            check(world, repo, &sha, &by, (&name, conclusion));
            Ok(())
        })
        .await
    }
}

//! The tools that write: comments, each once a topic.
//!
//! A comment is looked for by its marker before it is posted. What was posted may not be in the forge's lists yet, and
//! what was not answered may be there all the same: until that is over (`settle`), the same comment is not looked for
//! again, and a repeated call waits or is answered from memory.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use truing_core::finding::{AnchorKind, Place, Side};
use truing_core::id::{CommentId, PrId, Sha, Topic};
use truing_core::markdown;
use truing_core::port::{Conversation, ForgeError};
use truing_diff::{RepoPath, anchor, parse};

use super::{ForgeTools, Wanted, Why, answer, input};

/// The most characters of a comment: people read it, and taking a much longer text apart takes long.
pub(super) const MAX_BODY: usize = 10_000;
/// The most characters of a comment's key.
const MAX_KEY: usize = 100;

/// What was written lately. Whoever holds it writes alone.
#[derive(Default)]
pub(super) struct Writes(Mutex<HashMap<(PrId, Topic), Lately>>);

/// A comment whose presence the forge's lists may not show yet.
struct Lately {
    until: Instant,
    /// The text, and the comment that has it; none if no answer came.
    known: Option<(String, CommentId)>,
}

/// One comment that is to be there.
struct Wish {
    pull: (PrId, String),
    topic: Topic,
    body: String,
    /// Its lines, if it is on the diff.
    lines: Option<(Sha, Place)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comment {
    repository: Option<String>,
    number: u64,
    body: String,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inline {
    repository: Option<String>,
    number: u64,
    path: String,
    line: u32,
    start_line: Option<u32>,
    #[serde(default)]
    side: OnSide,
    body: String,
    key: Option<String>,
    commit: Option<String>,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum OnSide {
    #[default]
    New,
    Old,
}

#[derive(Serialize)]
struct Posted<'a> {
    repository: &'a str,
    number: u64,
    comment: &'a CommentId,
}

impl ForgeTools {
    pub(super) async fn comment_pull_request(&self, given: Value) -> Result<Value, Why> {
        let Comment { repository, number, body, key } = input(given)?;
        let body = text(&body)?;
        let topic = match checked(key.as_deref())? {
            Some(key) => topic("comment", &["key", key]),
            None => topic("comment", &["text", &body]),
        };
        let pull = self.pull(&Wanted { repository, number }).await?;
        self.put(Wish { pull, topic, body, lines: None }).await
    }

    pub(super) async fn upsert_inline_comment(&self, given: Value) -> Result<Value, Why> {
        let Inline { repository, number, path, line, start_line, side, body, key, commit } = input(given)?;
        let (body, key) = (text(&body)?, checked(key.as_deref())?.unwrap_or_default());
        let pull = self.pull(&Wanted { repository, number }).await?;
        let now = self.talk(&pull).now().await?;
        let head = now.head.sha;
        if commit.is_some_and(|commit| commit != head.as_str()) {
            return Err(Why(format!(
                "the head has moved on, to {head}: read the diff again, and count the lines there"
            )));
        }
        let change = self.change(&pull, &now.base, &head).await?;
        let place = placed(&change.diff, &path, side, (start_line.unwrap_or(line), line))?;
        let Place { path, side, start_line, end_line } = &place;
        let (path, side) = (path.to_string(), format!("{side:?}"));
        let topic = topic("line", &[&path, &side, &start_line.to_string(), &end_line.to_string(), key]);
        self.put(Wish { pull, topic, body, lines: Some((head, place)) }).await
    }

    /// Lets a comment be there, once.
    async fn put(&self, wish: Wish) -> Result<Value, Why> {
        let talk = self.talk(&wish.pull);
        let most = talk.longest_body();
        let long = wish.body.encode_utf16().count();
        if long > most {
            return Err(Why(format!("the comment has {long} characters, and may have {most}: shorten it")));
        }
        let mut lately = self.forge.writes.0.lock().await;
        let comment = self.posted(&mut lately, &talk, &wish).await?;
        answer(&Posted { repository: &wish.pull.1, number: wish.pull.0.number, comment: &comment })
    }

    async fn posted(
        &self,
        lately: &mut MutexGuard<'_, HashMap<(PrId, Topic), Lately>>,
        talk: &impl Conversation,
        wish: &Wish,
    ) -> Result<CommentId, Why> {
        let name = (wish.pull.0.clone(), wish.topic.clone());
        lately.retain(|_, lately| lately.until > Instant::now());
        match lately.get(&name) {
            Some(Lately { known: Some((body, comment)), .. }) if *body == wish.body => {
                return Ok(comment.clone());
            }
            Some(Lately { until, .. }) => tokio::time::sleep_until(*until).await,
            None => {}
        }
        // Before it is looked for, too; the client asks again right before it writes.
        self.forge.gate.ask().await?;
        let settle = u64::try_from(talk.settle().0).unwrap_or_default();
        let until = || Instant::now() + Duration::from_millis(settle);
        // Whoever called may go away before there is an answer.
        lately.insert(name.clone(), Lately { until: until(), known: None });
        let put = match &wish.lines {
            None => talk.put_comment(&wish.topic, &wish.body).await,
            Some((commit, place)) => talk.put_line_comment(commit, place, &wish.topic, &wish.body).await,
        };
        match put {
            Ok(comment) => {
                let known = Some((wish.body.clone(), comment.clone()));
                lately.insert(name, Lately { until: until(), known });
                Ok(comment)
            }
            Err(error) if error.surely_undone() => {
                lately.remove(&name);
                Err(error.into())
            }
            Err(error) => {
                lately.insert(name, Lately { until: until(), known: None });
                Err(unsure(&error))
            }
        }
    }
}

fn unsure(error: &ForgeError) -> Why {
    Why(format!(
        "{error}; the comment may be there all the same. Call this again with the same input: it is posted once"
    ))
}

/// The text of a comment: what an agent says is shown, and does nothing.
fn text(body: &str) -> Result<String, Why> {
    let long = body.chars().count();
    if long > MAX_BODY {
        return Err(Why(format!("`body` has {long} characters, and may have {MAX_BODY}: shorten it")));
    }
    let text = markdown::block(body);
    if text.trim().is_empty() { Err(Why("`body` is empty: say something".to_owned())) } else { Ok(text) }
}

fn checked(key: Option<&str>) -> Result<Option<&str>, Why> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > MAX_KEY => {
            Err(Why(format!("`key` has to have 1 to {MAX_KEY} characters")))
        }
        Some(_) | None => Ok(key),
    }
}

/// What a comment is about, in few characters whatever names it.
fn topic(kind: &str, parts: &[&str]) -> Topic {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut digest = hex::encode(digest.finalize());
    digest.truncate(32);
    Topic::new(format!("mcp/{kind}/{digest}"))
}

/// The lines in the diff. The forge would not say why it refuses others.
fn placed(diff: &[u8], path: &str, side: OnSide, (start, end): (u32, u32)) -> Result<Place, Why> {
    let side = match side {
        OnSide::New => Side::New,
        OnSide::Old => Side::Old,
    };
    let found = anchor(&parse(diff).files, &RepoPath::from(path), side, start, end);
    match (found.kind, found.reason) {
        (AnchorKind::Inline, None) => {
            Ok(Place { path: found.path, side, start_line: found.start_line, end_line: found.end_line })
        }
        (AnchorKind::Inline, Some(reason)) => Err(Why(format!(
            "no comment can be on lines {start} to {end} of `{path}`: {}. Lines {} to {} can be commented on",
            reason.as_str(),
            found.start_line,
            found.end_line
        ))),
        (AnchorKind::File | AnchorKind::Summary, reason) => {
            let why = reason.map_or("they are not in the diff", |reason| reason.as_str());
            Err(Why(format!(
                "no comment can be on lines {start} to {end} of `{path}`: {why}. Read the diff, or comment on the pull \
                 request instead"
            )))
        }
    }
}

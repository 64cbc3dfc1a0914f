//! The tools that write comments, one for each topic.
//!
//! A comment is posted as an effect, so the existing comments are first searched for its marker. The forge's
//! lists may show a posted comment late. Until the lists show the comment, the answer is read from the record
//! of effects. After a lost response, a repeated call waits. After this wait, the lists show the comment if
//! it was posted.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use truing_core::effect::Effect;
use truing_core::finding::{AnchorKind, CodeLocation, DiffSide};
use truing_core::id::{CommentId, PrId, Sha, Topic};
use truing_core::markdown;
use truing_core::port::{Clock as _, EffectOwner, ForgeRead as _};
use truing_core::publish::CommentProducer;
use truing_diff::{RepoPath, find_anchor, parse};
use truing_forge::ForgeServer as _;
use truing_forge::capability::UpsertRule;
use truing_forge::effects::{EffectError, EffectExecutor};

use super::{ForgeTools, PullRequestTarget, ToolError, parse_input, serialize_answer};
use truing_loops::machine::SystemClock;
use truing_loops::redact_secrets;
use truing_loops::telemetry;

/// Maximum number of waits in one call. After each wait, the forge's lists must show a write that was sent
/// before the wait.
const MAX_SETTLE_WAITS: usize = 2;

/// Maximum number of characters of a comment. People must read the comments, so longer texts are not
/// useful. Parsing a much longer text would also take a long time.
pub(super) const MAX_COMMENT_CHARS: usize = 10_000;
/// Largest number of characters of a comment's key.
const MAX_KEY_CHARS: usize = 100;

/// A comment that should exist on the pull request.
struct PendingComment {
    pull: (PrId, String),
    topic: Topic,
    body: String,
    /// The commit, and the location in the code. `None` if the comment is not on the diff.
    diff_location: Option<(Sha, CodeLocation)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommentInput {
    repository: Option<String>,
    number: u64,
    body: String,
    key: Option<String>,
    path: Option<String>,
    line: Option<u32>,
    start_line: Option<u32>,
    side: Option<CommentSide>,
    commit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InlineCommentInput {
    repository: Option<String>,
    number: u64,
    path: String,
    line: u32,
    start_line: Option<u32>,
    #[serde(default)]
    side: CommentSide,
    body: String,
    key: Option<String>,
    commit: Option<String>,
}

/// Lines in a diff, as the tool's input names them.
struct LineTarget {
    path: String,
    lines: (u32, u32),
    side: CommentSide,
    commit: Option<String>,
}

/// The property that distinguishes several comments on the same lines.
enum CommentDistinction {
    /// The key in the tool's input. If the key is empty, the lines can have only one comment.
    Key(String),
    /// The text of the comment.
    Text,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum CommentSide {
    #[default]
    New,
    Old,
}

#[derive(Serialize)]
struct PostedComment<'a> {
    repository: &'a str,
    number: u64,
    comment: Option<&'a CommentId>,
}

impl ForgeTools {
    pub(super) async fn comment_pull_request(&self, arguments: Value) -> Result<Value, ToolError> {
        let arguments: CommentInput = parse_input(arguments)?;
        let body = sanitize_body(&arguments.body)?;
        let key = validate_key(arguments.key.as_deref())?;
        let wanted = PullRequestTarget { repository: arguments.repository, number: arguments.number };
        let Some(path) = arguments.path else {
            if arguments.line.or(arguments.start_line).is_some()
                || arguments.side.is_some()
                || arguments.commit.is_some()
            {
                return Err(ToolError(
                    "`line`, `start_line`, `side` or `commit` is given without `path`: name the file, or \
                        omit that field"
                        .to_owned(),
                ));
            }
            let topic = match key {
                Some(key) => comment_topic("comment", &["key", key]),
                None => comment_topic("comment", &["text", &body]),
            };
            let pull = self.resolve_pull(&wanted).await?;
            return self.post_comment(PendingComment { pull, topic, body, diff_location: None }).await;
        };
        let line = arguments
            .line
            .ok_or_else(|| ToolError("`path` is given without `line`: specify the line, too".to_owned()))?;
        let lines = (arguments.start_line.unwrap_or(line), line);
        let on =
            LineTarget { path, lines, side: arguments.side.unwrap_or_default(), commit: arguments.commit };
        let apart = key.map_or(CommentDistinction::Text, |key| CommentDistinction::Key(key.to_owned()));
        self.ensure_line_comment(&wanted, on, body, apart).await
    }

    pub(super) async fn upsert_inline_comment(&self, arguments: Value) -> Result<Value, ToolError> {
        let InlineCommentInput { repository, number, path, line, start_line, side, body, key, commit } =
            parse_input(arguments)?;
        let body = sanitize_body(&body)?;
        let apart = match (validate_key(key.as_deref())?, self.server.capability().upsert_rule) {
            (Some(key), _) => CommentDistinction::Key(key.to_owned()),
            (None, UpsertRule::ByLocation) => CommentDistinction::Key(String::new()),
            (None, UpsertRule::ByLocationAndText) => CommentDistinction::Text,
        };
        let on = LineTarget { path, lines: (start_line.unwrap_or(line), line), side, commit };
        self.ensure_line_comment(&PullRequestTarget { repository, number }, on, body, apart).await
    }

    /// Posts a comment on these lines of the present head, unless the same comment exists.
    async fn ensure_line_comment(
        &self,
        pull_target: &PullRequestTarget,
        line_target: LineTarget,
        body: String,
        distinction: CommentDistinction,
    ) -> Result<Value, ToolError> {
        let pull = self.resolve_pull(pull_target).await?;
        let now = self.client(&pull).pull_details().await?;
        let head = now.head.sha.clone();
        if line_target.commit.is_some_and(|commit| commit != head.as_str()) {
            return Err(ToolError(format!(
                "the head is now {head}: read the diff again, and count the lines in the new diff"
            )));
        }
        let change = self.load_change(&pull, &now).await?;
        let place = locate_lines(
            &change.diff,
            &line_target.path,
            line_target.side,
            line_target.lines.0,
            line_target.lines.1,
        )?;
        let CodeLocation { path, side, start_line, end_line } = &place;
        let (path, side) = (path.to_string(), format!("{side:?}"));
        let (start, end) = (start_line.to_string(), end_line.to_string());
        let topic = match &distinction {
            CommentDistinction::Key(key) => comment_topic("line", &[&path, &side, &start, &end, key]),
            CommentDistinction::Text => {
                comment_topic("text", &[&path, &side, &start, &end, &normalize_whitespace(&body)])
            }
        };
        self.post_comment(PendingComment { pull, topic, body, diff_location: Some((head, place)) }).await
    }

    /// Posts a comment, unless the pull request already has a comment on the same topic.
    async fn post_comment(&self, pending: PendingComment) -> Result<Value, ToolError> {
        let gate = self.gate(&pending.pull);
        let client = self.client(&pending.pull);
        let most = client.max_body_length();
        let long = pending.body.encode_utf16().count();
        if long > most {
            return Err(ToolError(format!("the comment has {long} characters (limit {most}): shorten it")));
        }
        let writer = EffectOwner { key: pending.pull.0.key(), producer: CommentProducer::Mcp, token: None };
        let (log, gate) = (&*self.forge.store, &gate);
        let watch = &telemetry::WRITE_MONITOR;
        let effects =
            EffectExecutor { forge: &client, log, gate, clock: &SystemClock, owner: writer, monitor: watch };
        let effect = match pending.diff_location {
            None => Effect::Comment { topic: pending.topic, body: pending.body },
            Some((commit, place)) => {
                Effect::LineComment { commit, location: place, topic: pending.topic, body: pending.body }
            }
        };
        // This process writes one comment at a time, so concurrent calls for the same comment are done one
        // after the other.
        let _alone = self.forge.write_lock.lock().await;
        let mut performed = effects.perform(&effect).await;
        // If another process writes the same comment, the effect may settle several times, so several waits
        // may be necessary.
        for _ in 0..MAX_SETTLE_WAITS {
            let Err(EffectError::Settling { until, .. }) = &performed else { break };
            let wait = (*until - SystemClock.now()).0.clamp(0, client.publish_limits().settle_delay.0);
            tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or_default())).await;
            performed = effects.perform(&effect).await;
        }
        let performed = performed?;
        let comment = performed.comment();
        serialize_answer(&PostedComment {
            repository: &pending.pull.1,
            number: pending.pull.0.number,
            comment,
        })
    }
}

impl From<EffectError> for ToolError {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::Halted(halt) => halt.reason.into(),
            EffectError::Refused(error) => error.into(),
            EffectError::Unanswered { error, .. } => unconfirmed_write_error(&error.to_string()),
            error @ EffectError::Settling { .. } => Self(format!(
                "{error}. Call this tool again later with the same input: the comment is posted only once"
            )),
            EffectError::Store(error) => unconfirmed_write_error(&error.to_string()),
            EffectError::Git(error) => error.into(),
        }
    }
}

fn unconfirmed_write_error(reason: &str) -> ToolError {
    ToolError(format!(
        "{reason}; the comment may have been posted anyway. Call this tool again with the same input: the \
            comment is posted only once"
    ))
}

/// Cleans the text of a comment. Secrets are redacted. Links, images, mentions and commands are shown as text
/// and have no effect.
fn sanitize_body(body: &str) -> Result<String, ToolError> {
    let long = body.chars().count();
    if long > MAX_COMMENT_CHARS {
        return Err(ToolError(format!(
            "`body` has {long} characters (limit {MAX_COMMENT_CHARS}): shorten it"
        )));
    }
    let text = markdown::sanitize_markdown(&redact_secrets(body));
    if text.trim().is_empty() { Err(ToolError("`body` is empty: write a text".to_owned())) } else { Ok(text) }
}

/// Normalises white space. Texts that differ only in white space become the same text.
fn normalize_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn validate_key(key: Option<&str>) -> Result<Option<&str>, ToolError> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > MAX_KEY_CHARS => {
            Err(ToolError(format!("`key` must have 1 to {MAX_KEY_CHARS} characters")))
        }
        Some(_) | None => Ok(key),
    }
}

/// Returns the topic of a comment. The topic contains a digest of `parts`, so its length is fixed.
fn comment_topic(kind: &str, parts: &[&str]) -> Topic {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut digest = hex::encode(digest.finalize());
    digest.truncate(32);
    Topic::new(format!("mcp/{kind}/{digest}"))
}

/// Finds the location of the lines in the diff. Lines outside of the diff are refused before the request,
/// because the forge would refuse them without a reason.
fn locate_lines(
    diff: &[u8],
    path: &str,
    side: CommentSide,
    start: u32,
    end: u32,
) -> Result<CodeLocation, ToolError> {
    let side = match side {
        CommentSide::New => DiffSide::New,
        CommentSide::Old => DiffSide::Old,
    };
    let found = find_anchor(&parse(diff).files, &RepoPath::from(path), side, start, end);
    match (found.kind, found.reason) {
        (AnchorKind::Inline, None) => Ok(CodeLocation {
            path: found.path,
            side,
            start_line: found.start_line,
            end_line: found.end_line,
        }),
        (AnchorKind::Inline, Some(reason)) => Err(ToolError(format!(
            "cannot comment on lines {start} to {end} of `{path}`: {}. Lines {} to {} can be commented on",
            reason.description(),
            found.start_line,
            found.end_line
        ))),
        (AnchorKind::File | AnchorKind::Summary, reason) => {
            let why = reason.map_or("they are not in the diff", |reason| reason.description());
            Err(ToolError(format!(
                "cannot comment on lines {start} to {end} of `{path}`: {why}. Read the diff, or comment on \
                 the pull request instead"
            )))
        }
    }
}

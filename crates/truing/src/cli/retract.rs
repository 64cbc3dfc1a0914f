//! `truing retract`: takes comments back that reviews have posted, after an incident.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::Serialize;
use tokio::sync::watch;
use truing_config::Config;
use truing_core::dismissal::{Dismissal, Retraction, short};
use truing_core::effect::Effect;
use truing_core::finding::{Finding, FindingStatus};
use truing_core::id::{FindingId, Key};
use truing_core::line;
use truing_core::port::{Act, Clock as _, Described, MAX_TEXT, Runs as _};
use truing_core::slot::{Then, Why};
use truing_forge::watch::{Made, Watch};
use truing_loops::machine::SystemClock;
use truing_loops::text::{counted, instant};
use truing_loops::{redact_line, telemetry};
use truing_service::ServiceContext;
use truing_service::by_hand::{self, NotLeased};
use truing_service::worker::work;
use truing_store::Store;

use super::columns::folded;
use super::error::{CliError, Exit};
use super::output::Output;
use super::since::Since;
use super::target::{actor, at_work, existing_store, store_error, tell_absent};
use super::{Context, runtime};
use crate::wiring;

/// The reason where none is given.
const REASON: &str = "retracted after an incident";
/// How long one pull request may take to settle.
const MAX_WAIT: Duration = Duration::from_mins(2);
/// Findings that are listed for one pull request; the rest is counted.
const MAX_LISTED: usize = 10;

/// Take back comments that reviews have posted since then
///
/// The comments are deleted, and the findings count as dismissed until their code changes; summary and status are stated anew.
/// A comment that somebody has answered stays, resolved. It works while the kill switch is on, too. Nothing is reviewed, and no
/// model is asked.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Since when: a length of time (24h, 7d, 2w), a day (2026-09-21) or an instant, in UTC
    #[arg(long, value_name = "T", value_parser = Since::parse)]
    since: Since,
    /// Only findings of this rule, or of rules that match this glob
    #[arg(long, value_name = "R", value_parser = Glob::new)]
    rule: Option<Glob>,
    /// Only this repository, or repositories that match this glob
    #[arg(long, value_name = "OWNER/NAME", value_parser = Glob::new)]
    repo: Option<Glob>,
    /// Delete comments that people have answered, too
    #[arg(long)]
    answered: bool,
    /// Why, for those who read it later: one line
    #[arg(long, value_name = "TEXT", default_value = REASON)]
    reason: String,
    /// Show what would be taken back, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// A pull request whose comments are taken back.
struct Retracted {
    key: Key,
    described: Described,
    findings: Vec<Finding>,
}

/// What became of it, for scripts.
#[derive(Serialize)]
struct Answer {
    pull_request: String,
    url: String,
    findings: Vec<Taken>,
    /// Comments that were deleted.
    deleted: usize,
    /// The reason why it was not done to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
}

/// A finding that is retracted.
#[derive(Serialize)]
struct Taken {
    id: FindingId,
    rule: String,
    path: String,
    start_line: u32,
    title: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let runtime = runtime::start()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = Box::pin(args.run(context)) => ended,
            stopped = runtime::told_to_stop() => {
                stopped?;
                let error = CliError::new(Exit::Interrupted, "interrupted", "interrupted");
                Err(error.hint("run it again: what is taken back stays so"))
            }
        }
    });
    runtime.end_within(Duration::from_secs(1));
    ended
}

impl Args {
    async fn run(&self, context: &Context) -> Result<Exit, CliError> {
        let config = context.config(&[])?;
        wiring::conceal::conceal(&config, &context.environment);
        let store = existing_store(&config, &context.environment).await?;
        tell_absent(store.as_ref(), &config, context)?;
        let retracted = match &store {
            Some(store) => self.meant(store).await?,
            None => Vec::new(),
        };
        let mut answers = Vec::new();
        if let (Some(store), false) = (store, self.dry_run || retracted.is_empty()) {
            answers = Box::pin(self.retract(&store, &config, &retracted, context)).await?;
        } else {
            answers.extend(retracted.iter().map(|one| one.answer(0, None)));
        }
        let is_left = answers.iter().any(|answer| answer.left.is_some());
        context.output.answer(&answers, || self.text(&answers))?;
        Ok(if is_left { Exit::Failed } else { Exit::Done })
    }

    /// The findings that are meant, by pull request.
    async fn meant(&self, store: &Store) -> Result<Vec<Retracted>, CliError> {
        let mut posted: BTreeMap<Key, Vec<FindingId>> = BTreeMap::new();
        let since = self.since.at(SystemClock.now());
        for one in store.posted_findings(since).await.map_err(store_error)? {
            posted.entry(one.key).or_default().push(one.finding);
        }
        let rule = self.rule.as_ref().map(Glob::compile_matcher);
        let repo = self.repo.as_ref().map(Glob::compile_matcher);
        let is_wanted =
            |glob: &Option<GlobMatcher>, name: &str| glob.as_ref().is_none_or(|glob| glob.is_match(name));
        let mut all = Vec::new();
        for (key, ids) in posted {
            let described = store.described(std::slice::from_ref(&key)).await.map_err(store_error)?;
            let Some(described) = described.into_iter().flatten().next() else { continue };
            if !is_wanted(&repo, described.name.rsplit_once('#').map_or("", |(repo, _)| repo)) {
                continue;
            }
            let said = store.dismissals(&key).await.map_err(store_error)?;
            let is_retracted = |finding: &Finding| {
                said.iter()
                    .any(|said| said.finding == finding.id && !said.withdrawn && said.retraction.is_some())
            };
            let mut findings = store.findings(&key).await.map_err(store_error)?;
            findings.retain(|finding| {
                ids.contains(&finding.id)
                    && is_wanted(&rule, &finding.raw.rule)
                    && is_shown(&finding.status)
                    && !is_retracted(finding)
            });
            if !findings.is_empty() {
                all.push(Retracted { key, described, findings });
            }
        }
        Ok(all)
    }

    /// Records that they are retracted, and takes the comments back, one pull request after the other.
    async fn retract(
        &self,
        store: &Store,
        config: &Config,
        retracted: &[Retracted],
        context: &Context,
    ) -> Result<Vec<Answer>, CliError> {
        let (by, now) = (actor(&context.environment), SystemClock.now());
        let reason = redact_line(&self.reason, MAX_TEXT);
        let reason = if reason.is_empty() { REASON.to_owned() } else { reason };
        let kind = if self.answered { Retraction::Answered } else { Retraction::Unanswered };
        let word = |finding: &Finding| Dismissal::retracted(finding, kind, &reason, &by, now);
        for one in retracted {
            let words = one.findings.iter().map(|finding| (one.key.clone(), word(finding)));
            let words: Vec<(Key, Dismissal)> = words.collect();
            let detail = format!("{}: {reason}", counted(words.len(), "finding"));
            let act = Act::new(&by, "retract", one.key.as_str(), &detail);
            store.dismiss(&words, &act).await.map_err(store_error)?;
        }
        let temp = truing_git::PrivateFolder::new().map_err(truing_loops::local::LocalError::NoFolder)?;
        let reader = wiring::child_reader(&config.rules, &config.sandbox)?;
        let stores = (store.clone(), store.clone());
        let mut served =
            wiring::service_context(config, &context.environment, stores, reader, temp.path()).await?;
        let limits = wiring::limits(&config.review, config.server.lease);
        let _at_work = at_work(store, &limits).await?;
        let progress = context.output.progress("taking comments back", Some(retracted.len() as u64));
        let mut answers = Vec::new();
        for one in retracted {
            let made = Made::default();
            served.watch = Watch { made: Some(made.clone()), ..telemetry::WRITES.clone() };
            let left = one.take_back(&served, config, context.output).await.err();
            let is_deleted = |effect: &&Effect| matches!(effect, Effect::DeleteDuplicate { .. });
            let deleted = made.list().iter().filter(is_deleted).count();
            answers.push(one.answer(deleted, left));
            progress.advance(1);
        }
        Ok(answers)
    }

    fn text(&self, answers: &[Answer]) -> String {
        let mut text = String::new();
        for Answer { pull_request, url, findings, deleted, left } in answers {
            text += &format!("{} {}\n", line::visible(pull_request), line::visible(url));
            for taken in findings.iter().take(MAX_LISTED) {
                let Taken { id, rule, path, start_line, title } = taken;
                let what = line::visible(&format!("{path}:{start_line} {title} ({rule})"));
                text += &folded(&format!("  {} ", short(id)), &what);
            }
            if findings.len() > MAX_LISTED {
                text += &format!("  and {} more\n", findings.len() - MAX_LISTED);
            }
            text += &match left {
                _ if self.dry_run => String::new(),
                None => format!("  {} deleted\n", counted(*deleted, "comment")),
                Some(why) => folded(
                    "  ",
                    &format!("{} deleted; not done: {}", counted(*deleted, "comment"), line::visible(why)),
                ),
            };
        }
        let findings = answers.iter().map(|answer| answer.findings.len()).sum::<usize>();
        let since = instant(self.since.at(SystemClock.now()));
        let (findings, pulls) = (counted(findings, "finding"), counted(answers.len(), "pull request"));
        text + &match (answers, self.dry_run) {
            ([], _) => format!("nothing to take back: reviews have posted no such finding since {since}\n"),
            (_, true) => format!("would retract {findings} on {pulls}; without --dry-run it is done\n"),
            (_, false) => format!("retracted {findings} on {pulls}\n"),
        }
    }
}

impl Retracted {
    fn answer(&self, deleted: usize, left: Option<String>) -> Answer {
        let taken = |finding: &Finding| Taken {
            id: finding.id.clone(),
            rule: finding.raw.rule.clone(),
            path: finding.raw.place.path.to_string(),
            start_line: finding.raw.place.start_line,
            title: finding.raw.title.clone(),
        };
        Answer {
            pull_request: self.described.name.clone(),
            url: self.described.url.clone(),
            findings: self.findings.iter().map(taken).collect(),
            deleted,
            left,
        }
    }

    /// Makes the pull request show it.
    ///
    /// # Errors
    /// The reason why it could not be done, for people.
    async fn take_back<F, R>(
        &self,
        served: &ServiceContext<wiring::ProgramParts<F, R>>,
        config: &Config,
        output: Output,
    ) -> Result<(), String>
    where
        F: truing_service::Forges + 'static,
        R: truing_core::port::Reader + 'static,
    {
        let (key, name) = (&self.key, &self.described.name);
        let mut left = MAX_WAIT;
        loop {
            let lease = by_hand::lease_retraction(&served.store, key, &served.limits).await;
            let lease = lease.map_err(|error| match error {
                NotLeased::Busy(until) => {
                    format!("a server is at work on it (lease until {}); run it again then", instant(until))
                }
                NotLeased::Owned => {
                    "a run that converges is in the middle of something; it goes on when that ends".to_owned()
                }
                NotLeased::Step(error) => error.to_string(),
            })?;
            let (_stop, never) = watch::channel(false);
            let until = match work(served, lease, config.server.heartbeat, never).await {
                Some(Ok(Then::Idle | Then::Again | Then::Held(_))) => return Ok(()),
                Some(Ok(Then::DueAt(until, Why::Settling))) => until,
                Some(Ok(Then::DueAt(..))) => return Ok(()),
                Some(Err(error)) => return Err(format!("{error}; run it again")),
                None => return Err("its end could not be recorded; run it again".to_owned()),
            };
            let wait = Duration::from_millis(u64::try_from((until - SystemClock.now()).0).unwrap_or(0));
            left = left.checked_sub(wait).ok_or("comments still settle; run it again")?;
            output.say(format_args!("{name}: waiting {} s (settling)", wait.as_secs() + 1));
            tokio::time::sleep(wait).await;
        }
    }
}

/// Has a finding of this status a comment that says it?
fn is_shown(status: &FindingStatus) -> bool {
    match status {
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Declined(_)
        | FindingStatus::Dismissed(_) => true,
        FindingStatus::Fixed(_) | FindingStatus::Outside | FindingStatus::Suppressed(_) => false,
    }
}

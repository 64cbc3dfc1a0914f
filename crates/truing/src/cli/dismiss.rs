//! The command `truing dismiss`: records a person's decision that findings of the local branch are false.

use std::path::Path;

use serde_json::{Value, json};
use truing_config::Config;
use truing_core::dismissal::{self, Dismissal, MalformedFindingId};
use truing_core::finding::Finding;
use truing_core::id::{FindingId, SlotKey, UnixMillis};
use truing_core::line;
use truing_core::port::{Clock as _, MAX_STORED_TEXT_CHARS, OperatorAction, RunStore as _, StoreError};
use truing_git::LocalRepository;
use truing_loops::converge::local::{audit_key, branch_runs_key, checked_out_branch};
use truing_loops::local;
use truing_loops::machine::SystemClock;
use truing_loops::redact_line;
use truing_loops::text::format_instant;
use truing_store::Store;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::target::{actor_name, open_existing_store, store_error};
use super::{CommandContext, runtime};
use crate::wiring;

/// Maximum characters of a title.
const MAX_TITLE_CHARS: usize = 120;
/// Maximum number of findings that are listed for an ambiguous id. Further findings are only counted.
const MAX_LISTED_FINDINGS: usize = 8;

/// Dismiss findings of the local branch
///
/// Reviews, audits and runs of `truing converge` on this branch omit dismissed findings until the code of a
/// finding changes. The output of these commands contains the ids. The beginning of an id is enough.
#[derive(clap::Args, Debug)]
pub struct DismissArgs {
    /// Ids of findings, then optionally a folder of the repository [default: the current folder]
    #[arg(value_name = "ID|PATH", required_unless_present = "list")]
    ids_and_folder: Vec<String>,
    /// Why the findings are not defects
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["undo", "list"])]
    reason: Option<String>,
    /// Withdraw the dismissal
    #[arg(long, conflicts_with = "reason")]
    undo: bool,
    /// List the dismissed findings of this branch, and change nothing
    #[arg(long, conflicts_with_all = ["reason", "undo"])]
    list: bool,
}

pub(crate) fn run(args: &DismissArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    runtime::start()?.block_on(args.run(context))
}

/// Keys under which dismissals and findings are stored: the keys of the branch's local reviews, converge runs
/// and audits, and the key of the repository's findings.
struct DismissalKeys {
    repository: SlotKey,
    reviews: SlotKey,
    runs: SlotKey,
    audits: SlotKey,
}

impl DismissalKeys {
    async fn from_repository(repository: &LocalRepository) -> Result<Self, CliError> {
        let branch = checked_out_branch(repository).await.map_err(wiring::git_error)?;
        Ok(Self {
            repository: local::repository_key(repository),
            reviews: local::branch_key(repository, &branch),
            runs: branch_runs_key(repository, &branch),
            audits: audit_key(repository, &branch),
        })
    }

    /// Returns the findings that are stored under these keys, without duplicates.
    async fn load_findings(&self, store: &Store) -> Result<Vec<Finding>, StoreError> {
        let mut found = store.findings(&self.repository).await?;
        for key in [&self.runs, &self.audits] {
            let Some(last) = store.last_converge(key).await? else { continue };
            found.extend(last.detail.state.history.findings().iter().cloned());
        }
        Ok(unique_findings(found))
    }

    /// Returns the active dismissals. For each finding, returns the newest dismissal on this branch.
    async fn load_dismissals(&self, store: &Store) -> Result<Vec<Dismissal>, StoreError> {
        let mut dismissals = store.dismissals(&self.reviews).await?;
        dismissals.extend(store.dismissals(&self.runs).await?);
        dismissals.sort_by(|a, b| a.finding.cmp(&b.finding).then(b.dismissed_at.cmp(&a.dismissed_at)));
        dismissals.dedup_by(|later, first| later.finding == first.finding);
        dismissals.retain(|dismissal| !dismissal.withdrawn);
        Ok(dismissals)
    }

    /// Returns the dismissed findings that are open again. A later review, audit or run has found them in
    /// code that the dismissal does not cover.
    async fn reopened_findings(
        &self,
        store: &Store,
        dismissals: &[Dismissal],
    ) -> Result<Vec<FindingId>, StoreError> {
        // The findings of reviews have no time. A dismissal covers its finding when it is recorded. A finding
        // in other code must therefore be from a later review.
        let mut found: Vec<(Option<UnixMillis>, Finding)> =
            store.findings(&self.repository).await?.into_iter().map(|finding| (None, finding)).collect();
        for key in [&self.runs, &self.audits] {
            let Some(last) = store.last_converge(key).await? else { continue };
            let findings = last.detail.state.history.findings().iter();
            found.extend(findings.map(|finding| (Some(last.started_at), finding.clone())));
        }
        let is_reopened = |dismissal: &&Dismissal| {
            found.iter().any(|(at, finding)| {
                let is_later = at.is_none_or(|at| at > dismissal.dismissed_at);
                finding.id == dismissal.finding && is_later && finding.is_open() && !dismissal.covers(finding)
            })
        };
        Ok(dismissals.iter().filter(is_reopened).map(|dismissal| dismissal.finding.clone()).collect())
    }

    /// Returns the findings that are dismissed.
    async fn dismissed_findings(&self, store: &Store) -> Result<Vec<Finding>, StoreError> {
        let dismissals = self.load_dismissals(store).await?;
        Ok(unique_findings(
            dismissals.into_iter().filter_map(|dismissal| dismissal.finding_snapshot).collect(),
        ))
    }
}

/// Returns the first finding for each id.
fn unique_findings(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| a.id.cmp(&b.id));
    findings.dedup_by(|later, first| later.id == first.id);
    findings
}

impl DismissArgs {
    async fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let here = context.environment.directory();
        let is_folder = |last: &str| {
            !last.is_empty() && !dismissal::looks_like_finding_id(last) && here.join(last).is_dir()
        };
        let (ids, folder) = match self.ids_and_folder.split_last() {
            Some((last, ids)) if is_folder(last) => (ids, here.join(last)),
            Some(_) | None => (self.ids_and_folder.as_slice(), here.to_owned()),
        };
        if self.list {
            return self.list_dismissed(context, ids, &folder).await;
        }
        for word in ids {
            check_id(word)?;
        }
        if ids.is_empty() {
            return Err(CliError::usage("bad_value", "the id of a finding is missing".to_owned()).hint(
                "`truing audit --format json` and `truing review --format json` show the ids of \
                    findings",
            ));
        }
        let given = line::clean_line(self.reason.as_deref().unwrap_or_default(), MAX_STORED_TEXT_CHARS);
        if given.is_empty() && !self.undo {
            return Err(CliError::usage("bad_value", "the reason is empty".to_owned())
                .hint("state why the finding is not a defect: `--reason TEXT`"));
        }
        let config = context.config(&[])?;
        wiring::conceal::register_secrets(&config, &context.environment);
        let reason = redact_line(self.reason.as_deref().unwrap_or_default(), MAX_STORED_TEXT_CHARS);
        if reason != given {
            context
                .output
                .warn("the reason contains a secret: only the secret's first four characters are recorded");
        }
        let changed = self.record_dismissals(context, &config, ids, &folder, &reason).await?;
        let word = if self.undo { "open again" } else { "dismissed" };
        let object = |finding: &Finding| {
            json!({ "id": finding.id, "path": finding.raw.location.path,
                "start_line": finding.raw.location.start_line,
                "title": finding.raw.title, "reason": (!self.undo).then_some(&reason) })
        };
        let objects: Vec<Value> = changed.iter().map(object).collect();
        let answer = json!({ if self.undo { "open" } else { "dismissed" }: objects });
        let text = |finding: &Finding| {
            format!("{word}: {} {}\n", dismissal::short_id(&finding.id), describe_finding(finding))
        };
        context.output.print_answer(&answer, || changed.iter().map(text).collect::<String>())?;
        Ok(CommandExit::Success)
    }

    /// Prints the dismissals of the branch.
    async fn list_dismissed(
        &self,
        context: &CommandContext,
        ids: &[String],
        folder: &Path,
    ) -> Result<CommandExit, CliError> {
        if let Some(id) = ids.first() {
            let text = format!(
                "`{}`: --list accepts no ids, because it lists all dismissed findings",
                line::visible_line(id)
            );
            return Err(CliError::usage("bad_value", text).hint("omit the ids"));
        }
        let config = context.config(&[])?;
        // Secrets are also masked when a reason is printed, because older versions stored reasons with
        // secrets.
        wiring::conceal::register_secrets(&config, &context.environment);
        let git = wiring::open_git(&context.environment).await?;
        let repository = git.open(folder).await.map_err(wiring::git_error)?;
        let branch = DismissalKeys::from_repository(&repository).await?;
        let (dismissals, reopened) = match open_existing_store(&config, &context.environment).await? {
            Some(store) => {
                let dismissals = branch.load_dismissals(&store).await.map_err(store_error)?;
                let reopened = branch.reopened_findings(&store, &dismissals).await.map_err(store_error)?;
                (dismissals, reopened)
            }
            None => (Vec::new(), Vec::new()),
        };
        let is_in_effect = |dismissal: &Dismissal| !reopened.contains(&dismissal.finding);
        let reason = |dismissal: &Dismissal| redact_line(&dismissal.reason, MAX_STORED_TEXT_CHARS);
        let object = |dismissal: &Dismissal| {
            let raw = dismissal.finding_snapshot.as_ref().map(|about| &about.raw);
            json!({ "id": dismissal.finding, "path": raw.map(|raw| &raw.location.path),
                "start_line": raw.map(|raw| raw.location.start_line), "title": raw.map(|raw| &raw.title),
                "reason": reason(dismissal), "by": dismissal.dismissed_by,
                    "at": format_instant(dismissal.dismissed_at),
                "in_effect": is_in_effect(dismissal) })
        };
        let text = |dismissals: &Dismissal| {
            let what = dismissals.finding_snapshot.as_ref().map_or_else(String::new, describe_finding);
            let by = format!(
                "\"{}\", by {}, {}",
                reason(dismissals),
                line::visible_line(&dismissals.dismissed_by),
                format_instant(dismissals.dismissed_at)
            );
            let label = format!("{} ", dismissal::short_id(&dismissals.finding));
            let effect = match is_in_effect(dismissals) {
                true => "",
                false => "  not in effect: the finding was last reported in different code\n",
            };
            fold_line(&label, &what) + &fold_line("  because ", &by) + effect
        };
        let objects: Vec<Value> = dismissals.iter().map(object).collect();
        context.output.print_answer(&json!({ "dismissed": objects }), || match dismissals.as_slice() {
            [] => "no finding of this branch is dismissed\n".to_owned(),
            dismissals => dismissals.iter().map(text).collect(),
        })?;
        Ok(CommandExit::Success)
    }

    /// Records the dismissals and returns the findings.
    async fn record_dismissals(
        &self,
        context: &CommandContext,
        config: &Config,
        ids: &[String],
        folder: &Path,
        reason: &str,
    ) -> Result<Vec<Finding>, CliError> {
        let git = wiring::open_git(&context.environment).await?;
        let repository = git.open(folder).await.map_err(wiring::git_error)?;
        let branch = DismissalKeys::from_repository(&repository).await?;
        let store = open_existing_store(config, &context.environment).await?;
        let known = match (&store, self.undo) {
            (None, _) => Vec::new(),
            (Some(store), true) => branch.dismissed_findings(store).await.map_err(store_error)?,
            (Some(store), false) => branch.load_findings(store).await.map_err(store_error)?,
        };
        let mut meant: Vec<Finding> = Vec::new();
        for id in ids {
            let finding = match dismissal::matching_findings(&known, id).as_slice() {
                &[finding] => finding,
                several => return Err(unknown_finding_error(id, several, self.undo)),
            };
            if !meant.contains(finding) {
                meant.push(finding.clone());
            }
        }
        let Some(store) = store else { return Ok(meant) };
        let (by, now) = (actor_name(&context.environment), SystemClock.now());
        let word = |finding: &Finding| match self.undo {
            true => Dismissal::from_withdrawal(finding, &by, now),
            false => Dismissal::new(finding, reason, &by, now),
        };
        let keys = [&branch.reviews, &branch.runs];
        let words = meant.iter().flat_map(|finding| keys.map(|key| (key.clone(), word(finding))));
        let words: Vec<(SlotKey, Dismissal)> = words.collect();
        let named: Vec<&str> = meant.iter().map(|finding| finding.id.as_str()).collect();
        let what = if self.undo { "dismiss --undo" } else { "dismiss" };
        let act =
            OperatorAction::new(&by, what, branch.runs.as_str(), &format!("{}: {reason}", named.join(" ")));
        store.store_dismissals(&words, &act).await.map_err(store_error)?;
        Ok(meant)
    }
}

/// Returns the location and the title of a finding.
fn describe_finding(finding: &Finding) -> String {
    let (place, title) = (&finding.raw.location, line::clean_line(&finding.raw.title, MAX_TITLE_CHARS));
    format!("{}:{} {title}", line::visible_line(&place.path.to_string()), place.start_line)
}

/// Checks that a word may be an id. If the word cannot be an id, the error also states that no such folder
/// exists.
fn check_id(word: &str) -> Result<(), CliError> {
    let Some(misread) = dismissal::malformed_id_reason(word) else { return Ok(()) };
    let text = match misread {
        MalformedFindingId::Empty => misread.to_string(),
        MalformedFindingId::NoId => format!("`{}`: {misread}, and not a folder", line::visible_line(word)),
        MalformedFindingId::TooShort | MalformedFindingId::TooShortWithOrdinal => {
            format!("`{}`: {misread}", line::visible_line(word))
        }
    };
    Err(CliError::usage("bad_value", text)
        .hint("`truing audit --format json` and `truing review --format json` show the ids of findings"))
}

/// Returns the error for a word if no finding's id begins with it, or if several ids begin with it.
fn unknown_finding_error(id: &str, matches: &[&Finding], is_undo: bool) -> CliError {
    let what = match (matches, is_undo) {
        ([], true) => "no dismissed finding of this branch has that id".to_owned(),
        ([], false) => "no finding of this branch has that id".to_owned(),
        (matches, _) => format!("{} findings have ids that begin with this text", matches.len()),
    };
    let error = CliError::usage("unknown_finding", format!("`{}`: {what}", line::visible_line(id)));
    if matches.is_empty() {
        return error.hint(match is_undo {
            true => "`truing dismiss --list` shows the ids of the dismissed findings",
            false => {
                "`truing audit --format json` and `truing review --format json` show the ids of \
                findings"
            }
        });
    }
    let named = matches.iter().take(MAX_LISTED_FINDINGS);
    let error = named.fold(error, |error, finding| {
        error.hint(format!("{} is {}", dismissal::short_id(&finding.id), describe_finding(finding)))
    });
    match matches.len().checked_sub(MAX_LISTED_FINDINGS) {
        Some(more @ 1..) => error.hint(format!("{more} more ids begin with this text: give more digits")),
        Some(0) | None => error,
    }
}

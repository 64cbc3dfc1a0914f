//! `truing dismiss`: a person's word that findings of the local branch are none.

use std::path::Path;

use serde_json::{Value, json};
use truing_core::dismissal::{self, Dismissal, Unnamed};
use truing_core::finding::Finding;
use truing_core::id::Key;
use truing_core::line;
use truing_core::port::{Act, Clock as _, Converges as _, MAX_TEXT, Records as _, StoreError};
use truing_git::Repository;
use truing_store::Sqlite;

use super::error::{CliError, Exit};
use super::target::{actor, existing_store, store_error};
use super::{Context, runtime};
use crate::loops::converge::local::{audit_key, checked_out, key};
use crate::loops::local;
use crate::wiring::{self, SystemClock};

/// Characters of a title.
const MAX_TITLE: usize = 120;

/// Dismiss findings of the local branch
///
/// Reviews, audits and runs of `truing converge` on this branch leave them out until the code under them changes.
/// Their ids are in the output of these commands; the beginning of an id is enough.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Ids of findings, and after them a folder of the repository [default: the current one]
    #[arg(value_name = "ID|PATH", required = true)]
    words: Vec<String>,
    /// Why they are no defects
    #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
    reason: Option<String>,
    /// Take the dismissal back
    #[arg(long, conflicts_with = "reason")]
    undo: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    runtime::start()?.block_on(args.run(context))
}

/// Where words on a branch are kept: with its local reviews, and with its runs and audits.
struct Branch {
    reviews: Key,
    runs: Key,
    audits: Key,
}

impl Branch {
    async fn of(repository: &Repository) -> Result<Self, CliError> {
        let branch = checked_out(repository).await.map_err(wiring::git_error)?;
        Ok(Self {
            reviews: local::key(repository),
            runs: key(repository, &branch),
            audits: audit_key(repository, &branch),
        })
    }

    /// What was found there, each finding once.
    async fn found(&self, store: &Sqlite) -> Result<Vec<Finding>, StoreError> {
        let mut found = store.findings(&self.reviews).await?;
        for key in [&self.runs, &self.audits] {
            let Some(last) = store.last_converge(key).await? else { continue };
            found.extend(last.state.history.findings().iter().cloned());
        }
        Ok(once(found))
    }

    /// What was dismissed there and not taken back.
    async fn dismissed(&self, store: &Sqlite) -> Result<Vec<Finding>, StoreError> {
        let mut said = store.dismissals(&self.reviews).await?;
        said.extend(store.dismissals(&self.runs).await?);
        said.retain(|said| !said.withdrawn);
        Ok(once(said.into_iter().filter_map(|said| said.about).collect()))
    }
}

/// Each finding once, the first of each id.
fn once(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|later, first| later.id == first.id);
    found
}

impl Args {
    async fn run(&self, context: &Context) -> Result<Exit, CliError> {
        let here = context.environment.directory();
        let (ids, folder) = match self.words.split_last() {
            Some((last, ids)) if !dismissal::is_id(last) => (ids, here.join(last)),
            Some(_) | None => (self.words.as_slice(), here.to_owned()),
        };
        if ids.is_empty() {
            return Err(CliError::usage("bad_value", "no finding is named".to_owned())
                .hint("`truing audit --format json` and `truing review --format json` show ids"));
        }
        let reason = line::clean(self.reason.as_deref().unwrap_or_default().trim(), MAX_TEXT);
        if reason.is_empty() && !self.undo {
            return Err(CliError::usage("bad_value", "the reason is empty".to_owned())
                .hint("say why it is no defect: `--reason TEXT`"));
        }
        let changed = self.said(context, (ids, &folder), &reason).await?;
        let word = if self.undo { "open again" } else { "dismissed" };
        let object = |finding: &Finding| {
            json!({ "id": finding.id, "path": finding.raw.place.path, "start_line": finding.raw.place.start_line,
                "title": finding.raw.title, "reason": (!self.undo).then_some(&reason) })
        };
        let objects: Vec<Value> = changed.iter().map(object).collect();
        let answer = json!({ if self.undo { "open" } else { "dismissed" }: objects });
        let text = |finding: &Finding| {
            let (place, title) = (&finding.raw.place, line::clean(&finding.raw.title, MAX_TITLE));
            let path = line::visible(&place.path.to_string());
            format!("{word}: {} {path}:{} {title}\n", dismissal::short(&finding.id), place.start_line)
        };
        context.output.answer(&answer, || changed.iter().map(text).collect::<String>())?;
        Ok(Exit::Done)
    }

    /// Records it; the findings that are meant.
    async fn said(
        &self,
        context: &Context,
        (ids, folder): (&[String], &Path),
        reason: &str,
    ) -> Result<Vec<Finding>, CliError> {
        let config = context.config(&[])?;
        let git = wiring::git(&context.environment).await?;
        let repository = git.open(folder).await.map_err(wiring::git_error)?;
        let branch = Branch::of(&repository).await?;
        let store = existing_store(&config)?;
        let known = match (&store, self.undo) {
            (None, _) => Vec::new(),
            (Some(store), true) => branch.dismissed(store).await.map_err(store_error)?,
            (Some(store), false) => branch.found(store).await.map_err(store_error)?,
        };
        let mut meant: Vec<Finding> = Vec::new();
        for id in ids {
            let finding = dismissal::named(&known, id).map_err(|error| unnamed(id, error, self.undo))?;
            if !meant.contains(finding) {
                meant.push(finding.clone());
            }
        }
        let Some(store) = store else { return Ok(meant) };
        let (by, now) = (actor(&context.environment), SystemClock.now());
        let word = |finding: &Finding| match self.undo {
            true => Dismissal::taken_back(finding, &by, now),
            false => Dismissal::of(finding, reason, &by, now),
        };
        let words = meant
            .iter()
            .flat_map(|finding| [&branch.reviews, &branch.runs].map(|key| (key.clone(), word(finding))));
        let words: Vec<(Key, Dismissal)> = words.collect();
        let named: Vec<&str> = meant.iter().map(|finding| finding.id.as_str()).collect();
        let what = if self.undo { "dismiss --undo" } else { "dismiss" };
        let act = Act::new(&by, what, branch.runs.as_str(), &format!("{}: {reason}", named.join(" ")));
        store.dismiss(&words, &act).await.map_err(store_error)?;
        Ok(meant)
    }
}

/// A word that names no finding.
fn unnamed(id: &str, error: Unnamed, undo: bool) -> CliError {
    let what = match (error, undo) {
        (Unnamed::Unknown, true) => "no dismissed finding of this branch has that id".to_owned(),
        (Unnamed::Unknown, false) => "no finding of this branch has that id".to_owned(),
        (Unnamed::Several, _) => error.to_string(),
    };
    CliError::usage("unknown_finding", format!("`{}`: {what}", line::visible(id)))
        .hint("`truing audit --format json` and `truing review --format json` show ids")
}

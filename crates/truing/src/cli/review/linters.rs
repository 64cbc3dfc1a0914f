//! Handles the linters of a local review: the message about available linters, and the fixes that linters
//! suggest.

use truing_config::Config;
use truing_config::tool::ToolSelection;
use truing_core::code_digest::LinesKey;
use truing_core::finding::Finding;
use truing_core::line;
use truing_core::port::{Clock as _, ToolOutput};
use truing_git::{IndexSnapshot, LocalRepository};
use truing_loops::local::{LocalReviewError, LocalReviewOutcome};
use truing_loops::machine::SystemClock;
use truing_loops::reader::ChildProcessReader;
use truing_loops::tools::{BaseCommit, ConfiguredLinters, LinterSources, LinterVisiblePaths, ReviewLinters};

use super::ReviewCommand;
use super::fix::{FixOutcome, FixSession};
use super::proposed_fixes::{self, FixConsent};
use crate::cli::error::CliError;
use crate::wiring;

impl ReviewCommand {
    /// Returns the sources of linter findings for a local review: the linters to run, and the outputs given
    /// with `--from`.
    pub(super) fn linter_sources(&self, config: &Config, outputs: Vec<ToolOutput>) -> LinterSources {
        self.disable_cache_if_unrecorded(wiring::tools::local_linters(config, &self.environment, outputs))
    }

    /// Disables the cache of the linters' results if `--no-record` is set.
    pub(super) fn disable_cache_if_unrecorded(&self, mut linter_sources: LinterSources) -> LinterSources {
        if let Some(running) = &mut linter_sources.runner
            && self.args.no_record
        {
            running.cache = None;
        }
        linter_sources
    }

    /// Prints the languages that no linter of the repository checks, and the available linters if no linter
    /// is enabled. With `--explain --tools`, prints for each linter the paths that the linter may read.
    pub(super) async fn suggest_linters(
        &self,
        review: &LocalReviewOutcome,
        config: &Config,
        repository: &LocalRepository,
        reader: &ChildProcessReader,
    ) {
        if self.args.explain && self.args.tools.is_some() {
            let reviewed = &review.record.detail.coverage.reviewed;
            let running = wiring::tools::local_runner(config, &self.environment);
            let wanted = ConfiguredLinters::from_config(config);
            let exposures = running.list_visible_paths(repository.root(), reviewed, &wanted, reader).await;
            match exposures {
                Ok(all) => {
                    all.iter()
                        .for_each(|exposure| self.output.print_even_if_quiet(render_visible_paths(exposure)));
                }
                Err(error) => self.output.warn(format_args!("linters cannot be listed: {error}")),
            }
            return;
        }
        if self.args.outputs.has_any() || self.args.diff.is_some() {
            return;
        }
        let running = wiring::tools::local_runner(config, &self.environment);
        let reviewed = &review.record.detail.coverage.reviewed;
        // Errors are ignored, because the list of available linters is only a hint.
        let available = running
            .check_tool_availability(repository.root(), reviewed, &config.linters, reader)
            .await
            .unwrap_or_default();
        let unchecked = available.unchecked_languages.iter();
        let unchecked: Vec<String> =
            unchecked.map(|(language, linter)| format!("{language} ({linter})")).collect();
        if config.review.linters != ToolSelection::Suggested && !self.args.fix && !unchecked.is_empty() {
            let run = self.output.command_line("review --tools suggested");
            self.output.print_note(format_args!(
                "no linter of this repository checks: {} (`{run}`)",
                unchecked.join(", ")
            ));
        }
        if config.review.linters != ToolSelection::Off {
            return;
        }
        let (missing, could): (Vec<_>, Vec<_>) =
            available.tools.into_iter().partition(|tool| tool.missing_reason.is_some());
        if !could.is_empty() {
            let run = self.output.command_line("review --tools");
            let could = could.into_iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ");
            self.output
                .print_note(format_args!("other linters that could check these files: {could} (`{run}`)"));
        }
        if let [first, others @ ..] = missing.as_slice() {
            let reason = line::visible_line(first.missing_reason.as_deref().unwrap_or_default());
            let others = match others.len() {
                0 => String::new(),
                count => format!(" ({count} more: `{}`)", self.output.command_line("review --tools")),
            };
            self.output.print_note(format_args!(
                "{} is configured in this repository, but does not run: {reason}{others}",
                first.name
            ));
        }
    }

    /// Applies the fixes that the review suggests.
    pub(super) async fn apply_fixes(
        &self,
        session: &mut FixSession<'_>,
        review: &LocalReviewOutcome,
        repository: &LocalRepository,
        index: Option<&IndexSnapshot>,
        config: &Config,
        reader: &ChildProcessReader,
    ) -> Result<FixOutcome, CliError> {
        let root = repository.root();
        let folder = truing_git::PrivateFolder::new().map_err(LocalReviewError::TemporaryFolder)?;
        let tree = match index {
            None => root,
            Some(index) => {
                let paths = truing_loops::fix::suggestion_paths(&review.findings.open);
                index.export(folder.path(), Some(&paths)).await.map_err(wiring::git_error)?;
                folder.path()
            }
        };
        let scope = wiring::review_scope(config, LinesKey::default())?;
        let toolbox = self.linter_sources(config, Vec::new());
        let base = BaseCommit::Repository(repository, &review.record.detail.base);
        let tooling = ReviewLinters {
            linter_sources: &toolbox,
            project_programs_folder: Some(root),
            trust: None,
            base,
        };
        // Linters need all files of the project. The exported index contains only the files with findings, so
        // no linters run on it.
        let linters = index.is_none().then_some((tooling, &scope.tools));
        let (open, packs) = (&review.findings.open, &config.rules.packs);
        let (offers, mut unfixed) = truing_loops::fix::propose_fixes(open, tree, reader).await?;
        session.report_unapplied(&unfixed);
        let proposals: Vec<Finding> = offers.iter().map(|offer| offer.finding.clone()).collect();
        let agreed =
            proposed_fixes::ask_consent(offers, FixConsent::from_flag(self.args.yes), self.output).await;
        let declined = proposals.iter().filter(|finding| !agreed.iter().any(|one| one.id == finding.id));
        unfixed.extend(declined.map(|finding| proposed_fixes::declined_suggestion(&finding.raw)));
        let others = open.iter().filter(|finding| !truing_loops::fix::is_model_proposal(finding));
        let open: Vec<Finding> = others.cloned().chain(agreed).collect();
        let plan = truing_loops::fix::plan_fixes(&open, tree, packs, reader, linters).await?;
        let FixOutcome { has_changed, unapplied_suggestions: others } =
            session.apply_plan(plan, SystemClock.now(), index.is_some())?;
        unfixed.extend(others);
        if has_changed && index.is_some() {
            self.output
                .print_note("the index is unchanged: to commit the fixed files, add them with `git add`");
        }
        Ok(FixOutcome { has_changed, unapplied_suggestions: unfixed })
    }
}

/// Lists the folders and files that a linter may read, one per line.
fn render_visible_paths(exposure: &LinterVisiblePaths) -> String {
    let tool = line::visible_line(&exposure.linter_name);
    match &exposure.visible_paths {
        Ok(shown) => {
            let lines =
                shown.iter().map(|path| format!("  {}\n", line::visible_line(&path.display().to_string())));
            format!(
                "{tool} may read the reviewed files, the system's programs and\n{}",
                lines.collect::<String>()
            )
        }
        Err(reason) => format!("{tool} does not run: {}\n", line::visible_line(reason)),
    }
}

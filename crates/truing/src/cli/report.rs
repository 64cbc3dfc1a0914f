//! The command `truing report`: prints totals and trends of ended runs. The formats for programs contain
//! every outcome record.

mod loop_text;
mod review_text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use truing_core::converge;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::port::{Clock as _, RunStore as _, SlotDescription, SlotStore as _, SweepStore as _};
use truing_core::run::{RunDetail, RunRecord};
use truing_core::slot::LoopKind;
use truing_core::sync::record::SyncRecord;
use truing_loops::machine::SystemClock;
use truing_loops::text::format_instant;
use truing_service::report::figures::LoopFigures;
use truing_service::report::findings::FindingReport;
use truing_service::report::loops::max_report_runs;
use truing_service::report::reviews::{ReviewTotals, ReviewTotalsJson};
use truing_service::report::run::{self, ReportedRun};
use truing_service::report::section::{ActivityReport, JobStatus, LoopSection};
use truing_service::report::{markdown, outcome, page, table};
use truing_store::{FindingCount, RunEndCount, Store};

use super::error::{CliError, CommandExit};
use super::period_start::PeriodStart;
use super::target::{open_records_store, store_error};
use super::{CliFormat, CommandContext, runtime, sync};

/// Default number of outcome records that are printed.
const DEFAULT_RECORD_LIMIT: usize = 1000;
/// Show how runs ended: totals, trends and cost
///
/// Covers runs that have ended, including those that failed before a model was asked. Runs are kept for
/// `retention.runs`. A command does not count as a run if it was refused because of its arguments or
/// configuration, or if its pull request is unknown. `csv` contains one row for each run, newest first. An
/// apostrophe precedes text that a spreadsheet could interpret as a formula. For each loop, a row of kind
/// `unrecorded` contains the total cost of runs that were not recorded or have not ended, such as killed
/// runs. `html` is one page that loads no other files.
///
/// Reviews on this machine (`local`) are separate from reviews of pull requests by a service. For everything
/// that was reviewed in the period, the report counts all recorded findings, with their present status. The
/// counts therefore include findings of earlier reviews.
#[derive(clap::Args, Debug)]
pub struct ReportArgs {
    /// The start of the period: a length of time before now (24h, 7d, 2w), a day (2026-09-21) or a timestamp,
    /// in UTC
    #[arg(long, value_name = "D", default_value = "7d", value_parser = PeriodStart::parse)]
    since: PeriodStart,
    /// Only this loop
    #[arg(long = "loop", value_name = "L", value_enum)]
    loop_flag: Option<LoopFlag>,
    /// With --format json: the maximum number of outcome records. The newest records are printed
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RECORD_LIMIT)]
    limit: usize,
}

/// The loops that a report can cover.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum LoopFlag {
    /// Reviews by the service and on this machine
    Review,
    /// Sync jobs
    Sync,
    /// Converge runs
    Converge,
}

impl LoopFlag {
    fn loop_kind(self) -> LoopKind {
        match self {
            Self::Review => LoopKind::Review,
            Self::Sync => LoopKind::Sync,
            Self::Converge => LoopKind::Converge,
        }
    }
}

/// The answer as JSON: totals, trends, and `truing.outcome/1` records.
#[derive(Serialize)]
struct ReportJson {
    schema: &'static str,
    since: String,
    until: String,
    /// Totals of all runs in the period, for all loops, and for both local and served reviews.
    totals: outcome::OutcomeTotals,
    /// Totals of each UTC day with a run, oldest first.
    days: Vec<outcome::DayTotals>,
    /// Reviews of pull requests by the service, and the outcome of their findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    reviews: Option<ReviewTotalsJson>,
    /// Local reviews, and the outcome of their findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_reviews: Option<ReviewTotalsJson>,
    /// Figures of sync jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<SyncReportJson>,
    /// Figures of converge runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    converge: Option<LoopFigures>,
    /// Outcome records of the last runs, newest first.
    outcomes: Vec<Value>,
    /// True if the store contains more records than `outcomes`.
    truncated: bool,
}

#[derive(Serialize)]
struct SyncReportJson {
    #[serde(flatten)]
    figures: LoopFigures,
    jobs: Vec<JobStatus>,
}

pub(crate) fn run(args: &ReportArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    runtime::start()?.block_on(async {
        let store = open_records_store(&config, context).await?;
        let now = match &store {
            Some(store) => store.now().await.map_err(store_error)?,
            None => SystemClock.now(),
        };
        let asked = ReportQuery {
            store: store.as_ref(),
            since: args.since.to_instant(now),
            now,
            loop_kind: args.loop_flag.map(LoopFlag::loop_kind),
        };
        match context.output.format() {
            // The formats that only findings support were rejected before.
            CliFormat::Text
            | CliFormat::Sarif
            | CliFormat::Rdjson
            | CliFormat::Github
            | CliFormat::Gitlab => {
                context.output.print_data(asked.text().await?)?;
            }
            CliFormat::Json => context.output.print_json(&asked.json(args.limit).await?)?,
            CliFormat::Csv => {
                let report = asked.report().await?;
                for section in report.sections.iter().filter(|section| section.is_truncated) {
                    let (of, most) = (section.loop_kind.as_str(), max_report_runs(section.loop_kind));
                    context.output.warn(format_args!(
                        "the CSV output contains only the last {most} runs of the {of} loop"
                    ));
                }
                context.output.print_data(table::render_csv(&report.sections).map_err(csv_error)?)?;
            }
            CliFormat::Markdown => {
                context.output.print_data(markdown::render_report(&asked.report().await?))?;
            }
            CliFormat::Html => context.output.print_data(page::render_page(&asked.report().await?))?,
        }
        Ok(CommandExit::Success)
    })
}

fn csv_error(error: impl std::fmt::Display) -> CliError {
    CliError::failure("write_failed", format!("the report cannot be written as CSV: {error}"))
}

/// A run, with the description of its pull request or branch. The description may be missing.
type DescribedRun<D> = (RunRecord<D>, Option<SlotDescription>);
/// A review and its pull request.
type DescribedReview = DescribedRun<truing_core::outcome::ReviewDetail>;
/// A converge run and its pull request.
type DescribedConvergeRun = DescribedRun<converge::record::ConvergeDetail>;

/// The period and the loop of a report, and the store that it reads.
struct ReportQuery<'a> {
    store: Option<&'a Store>,
    since: UnixMillis,
    now: UnixMillis,
    loop_kind: Option<LoopKind>,
}

impl ReportQuery<'_> {
    fn includes_loop(&self, loop_kind: LoopKind) -> bool {
        self.loop_kind.is_none_or(|only| only == loop_kind)
    }

    async fn text(&self) -> Result<String, CliError> {
        let mut text = String::new();
        let converge_runs = self.converge_runs().await?;
        let jobs = self.sync_section().await?;
        let others: Vec<LoopSection> =
            jobs.into_iter().chain(self.converge_section(&converge_runs).await?).collect();
        if self.includes_loop(LoopKind::Review) {
            // Other formats read every record, so they find damaged records without this query.
            if let Some(store) = self.store {
                for run in
                    store.unreadable_ended_runs(LoopKind::Review, self.since).await.map_err(store_error)?
                {
                    tracing::warn!("the record of run {run} cannot be read and is left out");
                }
            }
            for reviews in self.load_review_totals(!others.is_empty()).await? {
                let between = if text.is_empty() { "" } else { "\n" };
                text += &format!("{between}{}", review_text::render_reviews(&reviews, self.since, self.now));
            }
        }
        for section in others {
            let between = if text.is_empty() { "" } else { "\n" };
            text += &format!("{between}{}", loop_text::render_section(&section, self.since, self.now));
        }
        Ok(text)
    }

    async fn json(&self, limit: usize) -> Result<ReportJson, CliError> {
        let mut outcomes = Vec::new();
        let mut ended = self.count_runs_by_day(LoopKind::Review).await?;
        let reviews: Vec<DescribedReview> = self.described_runs(limit).await?;
        for (record, known) in &reviews {
            outcomes.push((record.ended_at, outcome::review_outcome_json(record, known.as_ref())));
        }
        let (local, served): (Vec<ReviewTotals>, Vec<ReviewTotals>) =
            self.load_review_totals(false).await?.into_iter().partition(|reviews| reviews.is_local);
        let (local, served) = (local.into_iter().next(), served.into_iter().next());
        let jobs = self.sync_section().await?;
        if jobs.is_some() {
            ended.extend(self.count_runs_by_day(LoopKind::Sync).await?);
            let records = self.load_sync_records(limit).await?;
            outcomes
                .extend(records.iter().map(|record| (record.ended_at, sync::outcome::record_json(record))));
        }
        let converges = self.converge_runs().await?;
        let converge = self.converge_section(&converges).await?;
        ended.extend(self.count_runs_by_day(LoopKind::Converge).await?);
        let last = converges.iter().take(limit);
        outcomes.extend(last.map(|(record, known)| {
            (record.ended_at, outcome::converge_outcome_json(record, known.as_ref()))
        }));
        outcomes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        outcomes.truncate(limit);
        ended.sort_by_key(|row| row.utc_day);
        let has_others = jobs.is_some() || converge.is_some();
        let of_others = jobs.iter().chain(&converge).map(|section| section.unrecorded_cost.0);
        let unrecorded_cost =
            MicroUsd(of_others.fold(self.unrecorded_review_cost().await?.0, u64::saturating_add));
        let totals = outcome::compute_totals(&ended, has_others).with_unrecorded_cost(unrecorded_cost);
        Ok(ReportJson {
            schema: "truing.report/1",
            since: format_instant(self.since),
            until: format_instant(self.now),
            truncated: totals.runs > outcomes.len() as u64,
            days: outcome::compute_day_totals(&ended, has_others),
            totals,
            reviews: served.map(|reviews| reviews.to_json_totals()),
            local_reviews: local.map(|reviews| reviews.to_json_totals()),
            sync: jobs.map(|section| SyncReportJson { figures: section.figures, jobs: section.jobs }),
            converge: converge.map(|section| section.figures),
            outcomes: outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        })
    }

    async fn report(&self) -> Result<ActivityReport, CliError> {
        let mut sections: Vec<LoopSection> = self.sync_section().await?.into_iter().collect();
        sections.extend(self.converge_section(&self.converge_runs().await?).await?);
        if self.includes_loop(LoopKind::Review) {
            let reviews: Vec<DescribedReview> =
                self.described_runs(max_report_runs(LoopKind::Review) + 1).await?;
            let is_cut = reviews.len() > max_report_runs(LoopKind::Review);
            let last = reviews.iter().take(max_report_runs(LoopKind::Review));
            let (local, served): (Vec<ReportedRun>, Vec<ReportedRun>) = last
                .map(|(record, known)| ReportedRun::from_review(record, known.as_ref()))
                .partition(|run| run.slot_key.starts_with(SlotKey::LOCAL_PREFIX));
            for reviews in self.load_review_totals(!sections.is_empty()).await? {
                let runs = if reviews.is_local { &local } else { &served };
                let section = self.section(LoopKind::Review, runs.clone());
                sections.push(LoopSection { is_truncated: is_cut, ..section.with_review_totals(reviews) });
            }
        }
        Ok(ActivityReport { host: truing_system::host_name(), since: self.since, until: self.now, sections })
    }

    fn section(&self, loop_kind: LoopKind, mut runs: Vec<ReportedRun>) -> LoopSection {
        let is_cut = runs.len() > max_report_runs(loop_kind);
        runs.truncate(max_report_runs(loop_kind));
        let figures = LoopFigures::from_runs(loop_kind, &runs, self.now);
        LoopSection {
            loop_kind,
            figures,
            runs,
            is_truncated: is_cut,
            unrecorded_cost: MicroUsd(0),
            jobs: Vec::new(),
            reviews: None,
        }
    }

    /// Returns the section of sync jobs. Returns `None` if another loop is requested. If the sync loop is not
    /// explicitly requested, also returns `None` if no job has ever run.
    async fn sync_section(&self) -> Result<Option<LoopSection>, CliError> {
        if !self.includes_loop(LoopKind::Sync) {
            return Ok(None);
        }
        let known = match self.store {
            Some(store) => store.jobs().await.map_err(store_error)?,
            None => Vec::new(),
        };
        let runs: Vec<ReportedRun> = self
            .load_sync_records(max_report_runs(LoopKind::Sync) + 1)
            .await?
            .iter()
            .map(ReportedRun::from_sync)
            .collect();
        if known.is_empty() && runs.is_empty() && self.loop_kind.is_none() {
            return Ok(None);
        }
        let mut section = self.section(LoopKind::Sync, runs);
        for (key, job) in &known {
            let untold = match self.store {
                Some(store) => store.unrecorded_run_cost(&job.untold).await.map_err(store_error)?,
                None => MicroUsd(0),
            };
            section.jobs.push(JobStatus::new(key, job, untold, &section.runs));
        }
        let untold = section.jobs.iter().map(|job| job.unrecorded_micro_usd.0).fold(0, u64::saturating_add);
        Ok(Some(section.with_unrecorded_cost(MicroUsd(untold))))
    }

    async fn load_sync_records(&self, limit: usize) -> Result<Vec<SyncRecord>, CliError> {
        match self.store {
            Some(store) => store.records(None, self.since, limit).await.map_err(store_error),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the last ended runs of a loop, newest first, each with the description of its pull request.
    async fn described_runs<D: RunDetail>(&self, limit: usize) -> Result<Vec<DescribedRun<D>>, CliError> {
        let Some(store) = self.store.filter(|_| self.loop_kind.is_none_or(|only| only == D::LOOP)) else {
            return Ok(Vec::new());
        };
        let mut records: Vec<RunRecord<D>> =
            store.records(None, self.since, limit).await.map_err(store_error)?;
        records.retain(|record| record.run_outcome().is_some());
        let keys: Vec<SlotKey> = records.iter().map(|record| record.key.clone()).collect();
        let described = store.descriptions(&keys).await.map_err(store_error)?;
        Ok(records.into_iter().zip(described).collect())
    }

    /// Returns the converge runs of the period.
    async fn converge_runs(&self) -> Result<Vec<DescribedConvergeRun>, CliError> {
        self.described_runs(max_report_runs(LoopKind::Converge) + 1).await
    }

    /// Returns the section of converge runs. Returns `None` if another loop is requested. If the converge
    /// loop is not explicitly requested, also returns `None` if there are no converge runs and no unrecorded
    /// cost.
    async fn converge_section(
        &self,
        converge_runs: &[DescribedConvergeRun],
    ) -> Result<Option<LoopSection>, CliError> {
        let Some(store) = self.store.filter(|_| self.includes_loop(LoopKind::Converge)) else {
            let is_asked = self.loop_kind == Some(LoopKind::Converge);
            return Ok(is_asked.then(|| self.section(LoopKind::Converge, Vec::new())));
        };
        let runs: Vec<ReportedRun> = converge_runs
            .iter()
            .map(|(record, known)| ReportedRun::from_converge(record, known.as_ref()))
            .collect();
        let unrecorded = store.unrecorded_converge_cost(self.since).await.map_err(store_error)?;
        let is_told =
            self.loop_kind == Some(LoopKind::Converge) || !runs.is_empty() || unrecorded > MicroUsd(0);
        Ok(is_told.then(|| self.section(LoopKind::Converge, runs).with_unrecorded_cost(unrecorded)))
    }

    /// Returns the totals of served reviews and of local reviews. A group without reviews is omitted. The
    /// served reviews are nevertheless included if the report would otherwise be empty.
    async fn load_review_totals(&self, has_other_sections: bool) -> Result<Vec<ReviewTotals>, CliError> {
        if !self.includes_loop(LoopKind::Review) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let (mut times, mut local_cost) = (Vec::new(), MicroUsd(0));
        if let Some(store) = self.store {
            found = store.finding_counts(self.since).await.map_err(store_error)?;
            times = store.first_comment_delays(self.since).await.map_err(store_error)?;
            local_cost = store.unrecorded_local_cost(self.since).await.map_err(store_error)?;
        }
        let names = self.load_repository_names(&found).await?;
        let is_local = |row: &FindingCount| row.repository.starts_with(SlotKey::LOCAL_PREFIX);
        let (local, served): (Vec<FindingCount>, Vec<FindingCount>) = found.into_iter().partition(is_local);
        let ended = self.count_runs_by_day(LoopKind::Review).await?;
        let (local_ended, served_ended) = ended.into_iter().partition(|row| row.is_local);
        let all = self.unrecorded_review_cost().await?;
        let local = ReviewTotals {
            is_local: true,
            end_counts: local_ended,
            unrecorded_cost: local_cost,
            findings: FindingReport::from_rows(&local, &names, &[]),
        };
        let served = ReviewTotals {
            is_local: false,
            end_counts: served_ended,
            unrecorded_cost: MicroUsd(all.0.saturating_sub(local_cost.0)),
            findings: FindingReport::from_rows(&served, &names, &times),
        };
        let is_told = !served.is_empty() || (local.is_empty() && !has_other_sections);
        let served = is_told.then_some(served);
        Ok(served.into_iter().chain(Some(local).filter(|local| !local.is_empty())).collect())
    }

    /// Returns the names of the repositories to which the findings belong.
    async fn load_repository_names(
        &self,
        findings: &[FindingCount],
    ) -> Result<BTreeMap<String, String>, CliError> {
        let mut names = BTreeMap::new();
        let Some(store) = self.store else { return Ok(names) };
        let forge =
            |row: &FindingCount| Some(row.repository.strip_prefix("pr/")?.split_once('/')?.0.to_owned());
        for forge in findings.iter().filter_map(forge).collect::<BTreeSet<String>>() {
            for repository in store.repositories(&forge).await.map_err(store_error)? {
                names.insert(format!("pr/{forge}/{}/", repository.id), repository.name);
            }
        }
        Ok(names)
    }

    /// Returns the part of the cost of reviews that no record contains.
    async fn unrecorded_review_cost(&self) -> Result<MicroUsd, CliError> {
        match self.store.filter(|_| self.includes_loop(LoopKind::Review)) {
            Some(store) => store.unrecorded_cost(self.since).await.map_err(store_error),
            None => Ok(MicroUsd(0)),
        }
    }

    /// Returns the numbers of a loop's ended runs by day, kind and reason. Returns an empty list if another
    /// loop is requested.
    async fn count_runs_by_day(&self, loop_kind: LoopKind) -> Result<Vec<RunEndCount>, CliError> {
        let Some(store) = self.store.filter(|_| self.includes_loop(loop_kind)) else { return Ok(Vec::new()) };
        let mut ended = store.run_ends_by_day(loop_kind, self.since).await.map_err(store_error)?;
        if loop_kind != LoopKind::Review {
            for row in &mut ended {
                row.reason = run::first_visible_line(&row.reason);
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests;

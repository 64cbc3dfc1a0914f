//! Renders the report as Markdown, for an issue, a comment or a job summary. Untrusted text is escaped or
//! shown as code.

use std::fmt::Write as _;

use truing_core::line;
use truing_core::markdown::{escape_text, escape_text_around_links};
use truing_core::run::RunOutcome;
use truing_core::sync::record::SyncRecord;
use truing_loops::text::{format_count, format_instant};

use super::amount::{
    format_dollars, format_duration, format_mean, format_share, format_success_rate, mean_per_run, short_hash,
};
use super::figures::{LabelCount, LoopFigures};
use super::findings::{FindingCounts, FindingReport};
use super::loops::format_day;
use super::run::{ReportedRun, outcome_word, parse_web_url, to_plain_words};
use super::section::{ActivityReport, LoopSection};

/// Number of reasons that are shown. The most frequent reasons are shown.
const MAX_REASONS: usize = 10;
/// Number of runs that are shown. The last runs are shown.
const MAX_LISTED_RUNS: usize = 20;
/// Number of periods that are shown. The last periods are shown.
const MAX_PERIODS: usize = 31;
/// Largest number of characters of a reason.
const MAX_REASON_CHARS: usize = 300;

/// Renders the whole report.
pub fn render_report(report: &ActivityReport) -> String {
    let title = escape_text(&report.title());
    let mut text =
        format!("# {title}\n\nFrom {} to {}.\n", format_instant(report.since), format_instant(report.until));
    for section in &report.sections {
        text += &self::render_section(section);
    }
    text
}

/// Renders the result of one run of a job, for the summary of a CI job.
pub fn render_job_run(record: &SyncRecord) -> String {
    let run = ReportedRun::from_sync(record);
    let result = record.detail.result.as_str().replace('_', " ");
    let mut text = format!("## {}: {}\n\n", escape_text(&record.detail.job), escape_text(&result));
    if let (Some(from), Some(to)) = (&record.detail.current_release, &record.detail.target_release) {
        let _ = writeln!(text, "{}\n", escape_text(&format!("{} {from} to {to}", record.detail.package)));
    }
    if !run.reason.is_empty() {
        let _ = writeln!(text, "{}\n", render_run_reason(&run));
    }
    if let Some(url) = run.pull_url.as_ref().or(run.question_url.as_ref()) {
        let _ = writeln!(text, "{}\n", render_link(url));
    }
    text += &render_table(
        &["Step", "Turns", "Cost", "Time"],
        run.steps.iter().map(|part| {
            let cost = format_dollars(part.cost_micro_usd.0);
            vec![part.step.to_owned(), part.turns.to_string(), cost, format_duration(part.duration_ms)]
        }),
    );
    text
}

fn render_section(section: &LoopSection) -> String {
    let (figures, loop_kind) = (&section.figures, section.loop_kind);
    let tally = &figures.tally;
    let mut text = format!("\n## {}\n\n", section.title());
    if let Some(cut) = section.truncation_note() {
        let _ = writeln!(text, "{cut}\n");
    }
    if section.runs.is_empty() && !section.has_reviews() {
        text += "No run ended in this period.\n";
        if let Some(part) = section.unrecorded_note() {
            let _ = writeln!(text, "\n{} in all. {part}", format_dollars(figures.cost_micro_usd));
        }
        return text + &render_jobs(section);
    }
    let kinds = RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0);
    let kinds: Vec<Vec<String>> = kinds
        .map(|kind| {
            vec![
                outcome_word(loop_kind, kind).to_owned(),
                tally.get(kind).to_string(),
                format_share(tally.get(kind), tally.runs()),
            ]
        })
        .collect();
    let _ = writeln!(
        text,
        "{}; success rate {} of the {} with work to do; total cost {}; mean time {} per run; {}.\n",
        format_count(tally.runs(), "run"),
        format_success_rate(tally.success_rate_thousandths()),
        format_count(tally.attempts(), "run"),
        format_dollars(figures.cost_micro_usd),
        format_duration(figures.mean_ms),
        format_count(figures.turns, "turn"),
    );
    if let Some(part) = section.unrecorded_note() {
        let _ = writeln!(text, "{part}\n");
    }
    text += &render_table(&["End", "Runs", "Share"], kinds);
    text += &section.reviews.as_ref().map(|reviews| render_findings(&reviews.findings)).unwrap_or_default();
    text += &render_counts("Result", &figures.results);
    text += &render_counts("Update type", &figures.update_types);
    text += &render_counts("Furthest step", &figures.highest_steps);
    text += &render_steps(figures);
    text += &render_periods(section);
    text += &render_prompts(figures);
    let own_urls: Vec<&str> = section.runs.iter().flat_map(run_urls).collect();
    text += &render_table(
        &["Runs", "End", "Why"],
        figures.reasons.iter().take(MAX_REASONS).map(|reason| {
            vec![
                reason.runs.to_string(),
                outcome_word(loop_kind, reason.kind).to_owned(),
                render_reason(&reason.reason, &own_urls),
            ]
        }),
    );
    text += &render_jobs(section);
    let last = section.runs.iter().take(MAX_LISTED_RUNS).map(|run| {
        let result = to_plain_words(run.result.as_deref().unwrap_or(run.outcome_word()));
        vec![
            format_instant(run.ended_at),
            escape_text(&run.name),
            result,
            run.target_release.as_deref().map_or_else(String::new, escape_text),
            render_run_reason(run),
        ]
    });
    text + &render_table(&["Ended", "Of", "Result", "Release", "Why"], last)
}

fn render_findings(findings: &FindingReport) -> String {
    let row = |name: &str, counts: &FindingCounts| {
        std::iter::once(escape_text(name)).chain(counts.numbers().map(|number| number.to_string())).collect()
    };
    let heads = |title| std::iter::once(title).chain(FindingCounts::COLUMN_NAMES).collect::<Vec<&str>>();
    let mut text = render_table(&heads("Findings"), [row("all", &findings.total_counts)]);
    for groups in findings.tables() {
        let rows = groups.groups.iter().map(|group| row(&group.id, &group.counts));
        text += &render_table(&heads(groups.title), rows);
        if groups.omitted_groups > 0 {
            let _ = writeln!(
                text,
                "And {} more: `--format json` lists all of \
                them.\n",
                groups.omitted_groups
            );
        }
    }
    if let Some(first) = &findings.first_comment {
        let _ = writeln!(text, "{}.\n", first.sentence());
    }
    text
}

fn render_counts(title: &str, counts: &[LabelCount]) -> String {
    let row = |count: &LabelCount| vec![to_plain_words(&count.id), count.runs.to_string()];
    render_table(&[title, "Runs"], counts.iter().map(row))
}

fn render_steps(figures: &LoopFigures) -> String {
    let row = |step: &super::figures::StepFigures| {
        vec![
            step.id.to_owned(),
            step.runs.to_string(),
            format_mean(step.turns, step.runs),
            format_dollars(mean_per_run(step.cost_micro_usd, step.runs)),
            format_duration(mean_per_run(step.ms, step.runs)),
        ]
    };
    render_table(&["Step", "Runs", "Turns a run", "Cost a run", "Time a run"], figures.steps.iter().map(row))
}

fn render_periods(section: &LoopSection) -> String {
    let figures = &section.figures;
    let head = if figures.period_days == 1 { "Day (UTC)" } else { "Week of" };
    let mut heads = vec![head, "Runs"];
    heads.extend(RunOutcome::ALL.map(|kind| outcome_word(section.loop_kind, kind)));
    heads.extend(["Success", "Turns", "Cost"]);
    let left_out = figures.periods.len().saturating_sub(MAX_PERIODS);
    let rows = figures.periods.iter().skip(left_out).map(|period| {
        let mut row = vec![format_day(period.from), period.tally.runs().to_string()];
        row.extend(RunOutcome::ALL.map(|kind| period.tally.get(kind).to_string()));
        row.extend([
            format_success_rate(period.tally.success_rate_thousandths()),
            period.turns.to_string(),
            format_dollars(period.cost_micro_usd),
        ]);
        row
    });
    render_table(&heads, rows)
}

fn render_prompts(figures: &LoopFigures) -> String {
    let row = |prompt: &super::figures::PromptFigures| {
        let runs = prompt.tally.runs();
        vec![
            format!("`{}`", short_hash(&prompt.hash)),
            format_instant(prompt.first_ended_at),
            format_instant(prompt.last_ended_at),
            runs.to_string(),
            format_success_rate(prompt.tally.success_rate_thousandths()),
            format_mean(prompt.turns, runs),
            format_dollars(mean_per_run(prompt.cost_micro_usd, runs)),
        ]
    };
    render_table(
        &["Prompt", "First run", "Last run", "Runs", "Success", "Turns a run", "Cost a run"],
        figures.prompts.iter().map(row),
    )
}

fn render_jobs(section: &LoopSection) -> String {
    let row = |job: &super::section::JobStatus| {
        let question = job.question_url.as_deref().map_or_else(String::new, render_link);
        vec![escape_text(&job.name), escape_text(&job.breaker_text()), question]
    };
    render_table(&["Job", "State", "Question"], section.jobs.iter().map(row))
}

/// Renders a web address as a link, and any other text as plain text.
fn render_link(address: &str) -> String {
    parse_web_url(address)
        .map_or_else(|| escape_text(address), |url| format!("<{}>", url.as_str().replace('|', "%7C")))
}

/// Renders the reason for a run's end as a table cell. The addresses of the run's pull request and of its
/// question stay links.
fn render_run_reason(run: &ReportedRun) -> String {
    render_reason(&run.reason_line(), &run_urls(run))
}

fn run_urls(run: &ReportedRun) -> Vec<&str> {
    [&run.pull_url, &run.question_url].into_iter().flatten().map(String::as_str).collect()
}

fn render_reason(reason: &str, own_urls: &[&str]) -> String {
    escape_text_around_links(&line::truncate_text(reason.to_owned(), MAX_REASON_CHARS), own_urls)
}

/// Renders a table. Returns an empty text if there are no rows. Each cell is Markdown on one line.
fn render_table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rows: String = rows.into_iter().map(line).collect();
    if rows.is_empty() {
        return rows;
    }
    let rule = headings.iter().map(|_| "---".to_owned()).collect();
    line(headings.iter().map(|&head| head.to_owned()).collect()) + &line(rule) + &rows + "\n"
}

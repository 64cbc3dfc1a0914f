//! Renders the report as Markdown, for an issue, a comment or a job summary. Foreign text is escaped or shown
//! as code.

use std::fmt::Write as _;

use truing_core::line;
use truing_core::markdown::plain;
use truing_core::run::RunOutcome;
use truing_core::sync::record::SyncRecord;
use truing_loops::text::{counted, instant};

use super::amount::{dollars, duration, each, mean, share, short, success};
use super::figures::{LoopFigures, WordCount};
use super::findings::{FindingCounts, FindingReport};
use super::loops::date;
use super::run::{ReportedRun, web, word, words_of};
use super::section::{LoopSection, RunReport};

/// Number of reasons that are shown, the most frequent ones.
const REASONS: usize = 10;
/// Number of runs that are shown, the last ones.
const RUNS: usize = 20;
/// Number of periods that are shown, the last ones.
const PERIODS: usize = 31;
/// Largest number of characters of a reason.
const REASON_CHARS: usize = 300;

/// Renders the whole report.
pub fn report(report: &RunReport) -> String {
    let title = plain(&report.title());
    let mut text = format!("# {title}\n\nFrom {} to {}.\n", instant(report.since), instant(report.now));
    for section in &report.sections {
        text += &self::section(section);
    }
    text
}

/// Renders the result of one run of a job, for the summary of a CI job.
pub fn one(record: &SyncRecord) -> String {
    let run = ReportedRun::of_job(record);
    let result = record.detail.result.as_str().replace('_', " ");
    let mut text = format!("## {}: {}\n\n", plain(&record.detail.job), plain(&result));
    if let (Some(from), Some(to)) = (&record.detail.from, &record.detail.to) {
        let _ = writeln!(text, "{}\n", plain(&format!("{} {from} to {to}", record.detail.package)));
    }
    if !run.reason.is_empty() {
        let _ = writeln!(text, "{}\n", cell(&run));
    }
    if let Some(url) = run.url.as_ref().or(run.question.as_ref()) {
        let _ = writeln!(text, "{}\n", link(url));
    }
    text += &table(
        &["Step", "Turns", "Cost", "Time"],
        run.steps.iter().map(|part| {
            let cost = dollars(part.cost_micro_usd.0);
            vec![part.id.to_owned(), part.turns.to_string(), cost, duration(part.ms)]
        }),
    );
    text
}

fn section(section: &LoopSection) -> String {
    let (figures, of) = (&section.figures, section.of);
    let tally = &figures.tally;
    let mut text = format!("\n## {}\n\n", section.title());
    if let Some(cut) = section.cut() {
        let _ = writeln!(text, "{cut}\n");
    }
    if section.runs.is_empty() && !section.has_reviews() {
        text += "No run ended in that time.\n";
        if let Some(part) = section.unrecorded() {
            let _ = writeln!(text, "\n{} in all. {part}", dollars(figures.cost_micro_usd));
        }
        return text + &jobs(section);
    }
    let kinds = RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0);
    let kinds: Vec<Vec<String>> = kinds
        .map(|kind| {
            vec![word(of, kind).to_owned(), tally.get(kind).to_string(), share(tally.get(kind), tally.runs())]
        })
        .collect();
    let _ = writeln!(
        text,
        "{}, success {} of {} that had something to do; {} in all, {} a run, {}.\n",
        counted(tally.runs(), "run"),
        success(tally.success()),
        tally.attempts(),
        dollars(figures.cost_micro_usd),
        duration(figures.mean_ms),
        counted(figures.turns, "turn"),
    );
    if let Some(part) = section.unrecorded() {
        let _ = writeln!(text, "{part}\n");
    }
    text += &table(&["End", "Runs", "Share"], kinds);
    text += &section.reviews.as_ref().map(|reviews| findings(&reviews.findings)).unwrap_or_default();
    text += &counts("Result", &figures.results);
    text += &counts("Update type", &figures.update_types);
    text += &counts("Furthest step", &figures.highest_steps);
    text += &steps(figures);
    text += &periods(section);
    text += &prompts(figures);
    text += &table(
        &["Runs", "End", "Why"],
        figures.reasons.iter().take(REASONS).map(|reason| {
            vec![reason.runs.to_string(), word(of, reason.kind).to_owned(), cut(&reason.reason)]
        }),
    );
    text += &jobs(section);
    let last = section.runs.iter().take(RUNS).map(|run| {
        let result = words_of(run.result.as_deref().unwrap_or(run.word()));
        vec![
            instant(run.ended),
            plain(&run.name),
            result,
            run.to.as_deref().map_or_else(String::new, plain),
            cell(run),
        ]
    });
    text + &table(&["Ended", "Of", "Result", "Release", "Why"], last)
}

fn findings(findings: &FindingReport) -> String {
    let row = |name: &str, counts: &FindingCounts| {
        std::iter::once(plain(name)).chain(counts.numbers().map(|number| number.to_string())).collect()
    };
    let heads = |title| std::iter::once(title).chain(FindingCounts::HEADS).collect::<Vec<&str>>();
    let mut text = table(&heads("Findings"), [row("all", &findings.all)]);
    for groups in findings.tables() {
        let rows = groups.groups.iter().map(|group| row(&group.id, &group.counts));
        text += &table(&heads(groups.title), rows);
        if groups.more > 0 {
            let _ = writeln!(text, "And {} more: `--format json` has all.\n", groups.more);
        }
    }
    if let Some(first) = &findings.first_comment {
        let _ = writeln!(text, "{}.\n", first.sentence());
    }
    text
}

fn counts(title: &str, counts: &[WordCount]) -> String {
    let row = |count: &WordCount| vec![words_of(&count.id), count.runs.to_string()];
    table(&[title, "Runs"], counts.iter().map(row))
}

fn steps(figures: &LoopFigures) -> String {
    let row = |step: &super::figures::StepFigures| {
        vec![
            step.id.to_owned(),
            step.runs.to_string(),
            each(step.turns, step.runs),
            dollars(mean(step.cost_micro_usd, step.runs)),
            duration(mean(step.ms, step.runs)),
        ]
    };
    table(&["Step", "Runs", "Turns a run", "Cost a run", "Time a run"], figures.steps.iter().map(row))
}

fn periods(section: &LoopSection) -> String {
    let figures = &section.figures;
    let head = if figures.period_days == 1 { "Day (UTC)" } else { "Week of" };
    let mut heads = vec![head, "Runs"];
    heads.extend(RunOutcome::ALL.map(|kind| word(section.of, kind)));
    heads.extend(["Success", "Turns", "Cost"]);
    let left_out = figures.periods.len().saturating_sub(PERIODS);
    let rows = figures.periods.iter().skip(left_out).map(|period| {
        let mut row = vec![date(period.from), period.tally.runs().to_string()];
        row.extend(RunOutcome::ALL.map(|kind| period.tally.get(kind).to_string()));
        row.extend([
            success(period.tally.success()),
            period.turns.to_string(),
            dollars(period.cost_micro_usd),
        ]);
        row
    });
    table(&heads, rows)
}

fn prompts(figures: &LoopFigures) -> String {
    let row = |prompt: &super::figures::PromptFigures| {
        let runs = prompt.tally.runs();
        vec![
            format!("`{}`", short(&prompt.hash)),
            instant(prompt.first),
            instant(prompt.last),
            runs.to_string(),
            success(prompt.tally.success()),
            each(prompt.turns, runs),
            dollars(mean(prompt.cost_micro_usd, runs)),
        ]
    };
    table(
        &["Prompt", "First run", "Last run", "Runs", "Success", "Turns a run", "Cost a run"],
        figures.prompts.iter().map(row),
    )
}

fn jobs(section: &LoopSection) -> String {
    let row = |job: &super::section::JobLine| {
        let question = job.question.as_deref().map_or_else(String::new, link);
        vec![plain(&job.name), plain(&job.told()), question]
    };
    table(&["Job", "State", "Question"], section.jobs.iter().map(row))
}

/// Renders a web address as a link, and any other text as plain text.
fn link(address: &str) -> String {
    web(address).map_or_else(|| plain(address), |url| format!("<{}>", url.as_str().replace('|', "%7C")))
}

/// Renders the reason for a run's end as a table cell.
fn cell(run: &ReportedRun) -> String {
    cut(&run.why())
}

fn cut(reason: &str) -> String {
    plain(&line::cut(reason.to_owned(), REASON_CHARS))
}

/// Renders a table, or nothing without rows. Cells are Markdown of one line.
fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rows: String = rows.into_iter().map(line).collect();
    if rows.is_empty() {
        return rows;
    }
    let rule = heads.iter().map(|_| "---".to_owned()).collect();
    line(heads.iter().map(|&head| head.to_owned()).collect()) + &line(rule) + &rows + "\n"
}

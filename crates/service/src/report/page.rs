//! Renders the report as one page of HTML. The page loads no resource, runs no script, and escapes all
//! untrusted text. The page uses the reader's light or dark setting, is readable on a phone, and can be
//! printed.

mod markup;
mod plot;

use truing_core::line;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_loops::text::{format_count, format_instant};

use super::amount::{
    format_dollars, format_duration, format_mean, format_percent, format_share, format_success_rate,
    mean_per_run,
};
use super::figures::{LabelCount, LoopFigures};
use super::findings::{FindingCounts, FindingReport};
use super::loops::{format_day, utc_day};
use super::run::{ReportedRun, outcome_word, to_plain_words};
use super::section::{ActivityReport, JobStatus, LoopSection};
use markup::{HtmlMarkup, element, link, style, text, void_element};

/// Number of runs that are listed one by one. The last runs are listed.
const MAX_LISTED_RUNS: usize = 100;
/// Number of reasons that are listed. The most frequent reasons are listed.
const MAX_REASONS: usize = 12;
/// Largest number of characters of a reason.
const MAX_REASON_CHARS: usize = 400;

/// Renders the whole page.
pub fn render_page(report: &ActivityReport) -> String {
    // This content security policy prevents the browser from loading any resource.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let head = element(
        "head",
        &[],
        [
            void_element("meta", &[("charset", &"utf-8")]),
            void_element(
                "meta",
                &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")],
            ),
            void_element("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &policy)]),
            void_element("meta", &[("name", &"referrer"), ("content", &"no-referrer")]),
            element("title", &[], [text(report.title())]),
            style(include_str!("page/style.css")),
        ],
    );
    let since = format!("{} to {}", format_instant(report.since), format_instant(report.until));
    let top = element(
        "header",
        &[],
        [element("h1", &[], [text(report.title())]), element("p", &[("class", &"soft")], [text(since)])],
    );
    let sections = report.sections.iter().map(render_section);
    let main = element("main", &[], std::iter::once(top).chain(sections));
    element("html", &[("lang", &"en")], [head, element("body", &[], [main])]).page()
}

fn render_section(section: &LoopSection) -> HtmlMarkup {
    let mut parts = vec![element("h2", &[], [text(section.title())])];
    parts.extend(section.truncation_note().map(|cut| element("p", &[], [text(cut)])));
    parts.push(render_tiles(section));
    parts.extend(section.unrecorded_note().map(muted_paragraph));
    if section.runs.is_empty() && !section.has_reviews() {
        parts.push(element("p", &[], [text("No run ended in this period.")]));
        parts.extend((!section.jobs.is_empty()).then(|| render_jobs(&section.jobs)));
        return element("section", &[], parts);
    }
    let figures = &section.figures;
    let per = if figures.period_days == 1 { "a day" } else { "a week" };
    let grid = |class: &str, cards: Vec<HtmlMarkup>| {
        element("div", &[("class", &format!("cards {class}").trim_end())], cards)
    };
    parts.push(grid(
        "",
        vec![
            render_card(
                "wide",
                "The last runs, oldest first",
                [plot::draw_run_strip(&section.runs), render_legend(section)],
            ),
            render_card(
                "",
                &format!("Runs and success {per}"),
                [plot::draw_run_trend(figures, section.loop_kind), render_trend_caption(section)],
            ),
            render_card("", &format!("Cost {per}"), [plot::draw_cost(figures), render_cost_caption(section)]),
        ],
    ));
    parts.extend(section.reviews.as_ref().map(|reviews| grid("", render_findings(&reviews.findings))));
    parts.push(grid("thirds", render_steps(figures)));
    let jobs = (!section.jobs.is_empty()).then(|| render_jobs(&section.jobs));
    let prompts = (!figures.prompts.is_empty()).then(|| render_prompts(figures));
    parts.push(grid("", jobs.into_iter().chain(prompts).collect()));
    let counted = [
        ("Results", &figures.results),
        ("Update types", &figures.update_types),
        ("Furthest step", &figures.highest_steps),
    ];
    let counted = counted.into_iter().filter(|(_, counts)| !counts.is_empty());
    parts.push(grid("thirds", counted.map(|(title, counts)| render_shares(title, counts)).collect()));
    let reasons = (!figures.reasons.is_empty()).then(|| render_reasons(section));
    parts.push(grid("", reasons.into_iter().collect()));
    parts.push(recent_runs_table(section));
    element("section", &[], parts)
}

fn render_card(class: &str, title: &str, content: impl IntoIterator<Item = HtmlMarkup>) -> HtmlMarkup {
    let head = element("h3", &[], [text(title)]);
    element("div", &[("class", &format!("card {class}").trim_end())], std::iter::once(head).chain(content))
}

fn muted_paragraph(content: impl std::fmt::Display) -> HtmlMarkup {
    element("p", &[("class", &"soft")], [text(content)])
}

fn render_tiles(section: &LoopSection) -> HtmlMarkup {
    let (figures, tally) = (&section.figures, &section.figures.tally);
    let tile = |class: &str, title: &str, value: String, note: String| {
        let class = format!("tile {class}");
        let parts = [
            element("dt", &[], [text(title)]),
            element("dd", &[], [text(value)]),
            element("dd", &[("class", &"soft")], [text(note)]),
        ];
        element("div", &[("class", &class.trim_end())], parts)
    };
    let of_runs = figures.cost_micro_usd.saturating_sub(section.unrecorded_cost.0);
    let per_run = mean_per_run(of_runs, tally.runs());
    let mut tiles = vec![
        tile("", "Runs", tally.runs().to_string(), format!("{} had work to do", tally.attempts())),
        tile(
            "",
            "Success",
            format_success_rate(tally.success_rate_thousandths()),
            "of the runs with work to do".to_owned(),
        ),
        tile(
            "",
            "Cost",
            format_dollars(figures.cost_micro_usd),
            format!("{} a run", format_dollars(per_run)),
        ),
        tile(
            "",
            "Turns",
            figures.turns.to_string(),
            format!("{} a run", format_mean(figures.turns, tally.runs())),
        ),
        tile("", "Time a run", format_duration(figures.mean_ms), "on average".to_owned()),
    ];
    if section.loop_kind == LoopKind::Sync {
        let open = section.jobs.iter().filter(|job| job.is_breaker_open()).count();
        let class = if open > 0 { "bad" } else { "" };
        tiles.push(tile(
            class,
            "Open breakers",
            open.to_string(),
            format!("of {}", format_count(section.jobs.len(), "job")),
        ));
    }
    element("dl", &[("class", &"tiles")], tiles)
}

/// Renders the legend of the colours, with the number of runs of each end.
fn render_legend(section: &LoopSection) -> HtmlMarkup {
    let tally = &section.figures.tally;
    let items = RunOutcome::ALL.into_iter().filter(|kind| tally.get(*kind) > 0).map(|kind| {
        let (count, word) = (tally.get(kind), outcome_word(section.loop_kind, kind));
        let label_text = format!("{word} {count} ({})", format_share(count, tally.runs()));
        element("li", &[], [plot::draw_swatch(kind), text(label_text)])
    });
    element("ul", &[("class", &"legend")], items)
}

fn render_trend_caption(section: &LoopSection) -> HtmlMarkup {
    let mut caption = "Bars: runs by outcome. Line: success rate of the runs with work to do.".to_owned();
    if section.figures.prompts.len() > 1 {
        caption += " Dashed: another prompt.";
    }
    muted_paragraph(caption)
}

fn render_cost_caption(section: &LoopSection) -> HtmlMarkup {
    let figures = &section.figures;
    if figures.cost_micro_usd == 0 {
        return muted_paragraph("These runs had no model costs.");
    }
    let of_runs = figures.cost_micro_usd.saturating_sub(section.unrecorded_cost.0);
    let each = of_runs.checked_div(figures.tally.get(truing_core::run::RunOutcome::Done));
    let each = each.map(|cost| format!(", {} for each successful run", format_dollars(cost)));
    muted_paragraph(format!("{} in all{}.", format_dollars(figures.cost_micro_usd), each.unwrap_or_default()))
}

/// Renders turns, time and cost of each step.
fn render_steps(figures: &LoopFigures) -> Vec<HtmlMarkup> {
    let tenths = |sum: u64, runs: u64| mean_per_run(sum.saturating_mul(10), runs);
    let turns: Vec<_> = figures
        .steps
        .iter()
        .map(|step| (step.id, tenths(step.turns, step.runs), format_mean(step.turns, step.runs)))
        .collect();
    let costs: Vec<_> = figures
        .steps
        .iter()
        .map(|step| {
            let cost = mean_per_run(step.cost_micro_usd, step.runs);
            (step.id, cost, format_dollars(cost))
        })
        .collect();
    let times: Vec<_> = figures
        .steps
        .iter()
        .map(|step| {
            let ms = mean_per_run(step.ms, step.runs);
            (step.id, ms, format_duration(ms))
        })
        .collect();
    let note = || muted_paragraph("Mean of the runs that reached the step.");
    vec![
        render_card("", "Turns a step", [plot::render_step_bars(&turns, "mean turns of each step"), note()]),
        render_card("", "Time a step", [plot::render_step_bars(&times, "mean time of each step"), note()]),
        render_card("", "Cost a step", [plot::render_step_bars(&costs, "mean cost of each step"), note()]),
    ]
}

/// Renders a table. A column whose heading begins with `#` contains numbers. A column whose heading begins
/// with `~` contains long text.
fn render_table(headings: &[&str], rows: impl IntoIterator<Item = Vec<HtmlMarkup>>) -> HtmlMarkup {
    let class = |head: &str| match head.chars().next() {
        Some('#') => "n",
        Some('~') => "w",
        Some(_) | None => "k",
    };
    let name = |head: &str| head.trim_start_matches(['#', '~']).to_owned();
    let head = headings
        .iter()
        .map(|head| element("th", &[("class", &class(head)), ("scope", &"col")], [text(name(head))]));
    let rows = rows.into_iter().map(|row| {
        let cells = headings.iter().zip(row);
        element("tr", &[], cells.map(|(head, cell)| element("td", &[("class", &class(head))], [cell])))
    });
    let head = element("thead", &[], [element("tr", &[], head)]);
    let table = element("table", &[], [head, element("tbody", &[], rows)]);
    element("div", &[("class", &"scroll")], [table])
}

/// Renders the outcome of findings, overall and by group.
fn render_findings(findings: &FindingReport) -> Vec<HtmlMarkup> {
    let row = |name: &str, counts: &FindingCounts| {
        std::iter::once(text(name)).chain(counts.numbers().map(text)).collect::<Vec<HtmlMarkup>>()
    };
    let heads = |title: &str| {
        let numbers = FindingCounts::COLUMN_NAMES.map(|head| format!("#{head}"));
        std::iter::once(title.to_owned()).chain(numbers).collect::<Vec<String>>()
    };
    let table = |title: &str, rows: Vec<Vec<HtmlMarkup>>| {
        let heads = heads(title);
        render_table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), rows)
    };
    let mut all = vec![table("", vec![row("all", &findings.total_counts)])];
    all.push(muted_paragraph(
        "The present state of all recorded findings of the changes that were reviewed in this period.",
    ));
    all.extend(findings.first_comment.map(|first| muted_paragraph(format!("{}.", first.sentence()))));
    let mut cards = vec![render_card("wide", "Findings", all)];
    for groups in findings.tables() {
        let rows = groups.groups.iter().map(|group| row(&group.id, &group.counts)).collect();
        let mut parts = vec![table(groups.title, rows)];
        parts.extend((groups.omitted_groups > 0).then(|| {
            muted_paragraph(format!("And {} more: `--format json` lists all of them.", groups.omitted_groups))
        }));
        cards.push(render_card("wide", &format!("Findings by {}", groups.title.to_lowercase()), parts));
    }
    cards
}

fn render_shares(title: &str, counts: &[LabelCount]) -> HtmlMarkup {
    let all: u64 = counts.iter().map(|count| count.runs).sum();
    let most = counts.iter().map(|count| count.runs).max().unwrap_or(0);
    let row = |count: &LabelCount| {
        let share = [plot::draw_share_bar(count.runs, most), text(format_share(count.runs, all))];
        let share = element("span", &[("class", &"share")], share);
        vec![text(to_plain_words(&count.id)), text(count.runs), share]
    };
    render_card("", title, [render_table(&["", "#Runs", "Share"], counts.iter().map(row))])
}

fn render_prompts(figures: &LoopFigures) -> HtmlMarkup {
    let mut before: Option<u64> = None;
    let rows: Vec<Vec<HtmlMarkup>> = figures
        .prompts
        .iter()
        .map(|prompt| {
            let (runs, rate) = (prompt.tally.runs(), prompt.tally.success_rate_thousandths());
            let change = before.zip(rate).map(|(before, rate)| {
                let sign = if rate < before { "−" } else { "+" };
                format!("{sign}{}", format_percent(rate.abs_diff(before)).replace(" %", " points"))
            });
            before = rate.or(before);
            vec![
                plot::render_prompt(&prompt.hash),
                text(format_day(utc_day(prompt.first_ended_at))),
                text(format_day(utc_day(prompt.last_ended_at))),
                text(runs),
                text(format_success_rate(rate)),
                text(change.unwrap_or_default()),
                text(format_mean(prompt.turns, runs)),
                text(format_dollars(mean_per_run(prompt.cost_micro_usd, runs))),
                text(format_duration(mean_per_run(prompt.ms, runs))),
            ]
        })
        .collect();
    let heads = [
        "Prompt",
        "First run",
        "Last run",
        "#Runs",
        "#Success",
        "#Change",
        "#Turns a run",
        "#Cost a run",
        "#Time a run",
    ];
    let note = muted_paragraph(
        "Each prompt is compared with the previous prompt. Few runs prove little: check the number of runs.",
    );
    render_card("wide", "Before and after a change of the prompt", [render_table(&heads, rows), note])
}

fn render_jobs(jobs: &[JobStatus]) -> HtmlMarkup {
    let rows = jobs.iter().map(|job| {
        let question = job
            .question_url
            .as_ref()
            .map_or_else(HtmlMarkup::default, |question| link(question, text(question)));
        vec![
            text(&job.name),
            text(job.breaker_state),
            text(job.breaker_text()),
            text(job.tally.runs()),
            text(format_success_rate(job.tally.success_rate_thousandths())),
            question,
        ]
    });
    render_card(
        "wide",
        "Jobs",
        [render_table(&["Job", "Breaker", "~State", "#Runs", "#Success", "~Question"], rows)],
    )
}

fn render_reasons(section: &LoopSection) -> HtmlMarkup {
    let reasons = &section.figures.reasons;
    let rows = reasons.iter().take(MAX_REASONS).map(|reason| {
        let kind = element(
            "span",
            &[("class", &"tag")],
            [plot::draw_swatch(reason.kind), text(outcome_word(section.loop_kind, reason.kind))],
        );
        vec![text(reason.runs), kind, text(line::truncate_text(reason.reason.clone(), MAX_REASON_CHARS))]
    });
    let mut parts = vec![render_table(&["#Runs", "End", "~Why"], rows)];
    let others = reasons.len().saturating_sub(MAX_REASONS);
    if others > 0 {
        parts.push(muted_paragraph(format!(
            "And {}: `--format json` lists all reasons.",
            format_count(others, "other reason")
        )));
    }
    render_card("wide", "Reasons why runs ended", parts)
}

/// Renders the last runs, one by one.
fn recent_runs_table(section: &LoopSection) -> HtmlMarkup {
    let rows = section.runs.iter().take(MAX_LISTED_RUNS).map(|run| {
        let result = to_plain_words(run.result.as_deref().unwrap_or(run.outcome_word()));
        let result = element("span", &[("class", &"tag")], [plot::draw_swatch(run.outcome), text(result)]);
        let result = run
            .pull_url
            .as_ref()
            .or(run.question_url.as_ref())
            .map_or(result.clone(), |url| link(url, result));
        vec![
            text(format_instant(run.ended_at).replace('T', " ").trim_end_matches('Z')),
            text(&run.name),
            text(render_release_change(run)),
            result,
            text(run.furthest_step),
            text(run.turns()),
            text(format_dollars(run.cost_micro_usd())),
            text(format_duration(run.duration_ms())),
            text(line::truncate_text(run.reason_line(), MAX_REASON_CHARS)),
        ]
    });
    let heads = ["Ended (UTC)", "Of", "Release", "Result", "Step", "#Turns", "#Cost", "#Time", "~Why"];
    let table = render_table(&heads, rows);
    let caption = match section.runs.len() {
        runs if runs > MAX_LISTED_RUNS => format!("The last {MAX_LISTED_RUNS} of {runs} runs"),
        runs => format!("All {}", format_count(runs, "run")),
    };
    let card = element("div", &[("class", &"card")], [table]);
    element("details", &[("open", &"open")], [element("summary", &[], [text(caption)]), card])
}

/// Renders the old and the new release of a sync run.
fn render_release_change(run: &ReportedRun) -> String {
    match (&run.previous_release, &run.target_release) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (_, Some(release)) | (Some(release), None) => release.clone(),
        (None, None) => String::new(),
    }
}

//! Draws the plots of a report as SVG. A plot is at most a few hundred units wide. Its labels are therefore
//! legible on a phone, and in a column of a desktop page. The style sheet of the page defines the colours by
//! class.

use truing_core::line::format_count;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_loops::text::format_instant;

use super::markup::{HtmlMarkup, element, text, void_element};
use crate::report::amount::{format_dollars, format_percent, short_hash};
use crate::report::figures::{LoopFigures, PeriodFigures};
use crate::report::loops::{DAY_MILLIS, format_day};
use crate::report::run::{ReportedRun, outcome_word, to_plain_words};

/// Width of most plots, in SVG units.
const WIDTH: f64 = 400.0;
/// Margins for labels around the axes: left, right, above, below.
const LEFT_MARGIN: f64 = 34.0;
const RIGHT_MARGIN: f64 = 34.0;
const TOP_MARGIN: f64 = 18.0;
const BOTTOM_MARGIN: f64 = 20.0;
/// Height of plots over time.
const HEIGHT: f64 = 190.0;
/// Largest width of a bar.
const MAX_BAR_WIDTH: f64 = 60.0;
/// Largest number of labels along the time axis.
const MAX_AXIS_LABELS: usize = 6;
/// Largest number of prompt changes that are marked by a line. The last changes are marked.
const MAX_PROMPT_CHANGES: usize = 12;
/// Number of cells in the strip that shows the last runs, and number of cells in each row of the strip.
const STRIP_CELLS: usize = 90;
const CELLS_PER_ROW: usize = 30;

/// Makes a picture. The title describes the picture to readers who cannot see it.
fn draw_picture(width: f64, height: f64, title: &str, children: Vec<HtmlMarkup>) -> HtmlMarkup {
    let view = format!("0 0 {} {}", format_coordinate(width), format_coordinate(height));
    let children = [element("title", &[], [text(title)])].into_iter().chain(children);
    element(
        "svg",
        &[("viewBox", &view), ("role", &"img"), ("xmlns", &"http://www.w3.org/2000/svg")],
        children,
    )
}

/// Formats a coordinate with one digit after the point.
fn format_coordinate(value: f64) -> String {
    format!("{:.1}", if value.is_finite() { value } else { 0.0 })
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn count_to_f64(count: u64) -> f64 {
    count as f64
}

fn index_to_f64(count: usize) -> f64 {
    count_to_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Makes a rectangle with a tooltip.
fn draw_bar(class: &str, x: f64, y: f64, width: f64, height: f64, tooltip: &str) -> HtmlMarkup {
    let (x, y, width, height) = (
        format_coordinate(x),
        format_coordinate(y),
        format_coordinate(width.max(0.0)),
        format_coordinate(height.max(0.0)),
    );
    element(
        "rect",
        &[("class", &class), ("x", &x), ("y", &y), ("width", &width), ("height", &height), ("rx", &"1")],
        [element("title", &[], [text(tooltip)])],
    )
}

fn draw_label(class: &str, anchor: &str, x: f64, y: f64, label: &str) -> HtmlMarkup {
    let (x, y) = (format_coordinate(x), format_coordinate(y));
    element("text", &[("class", &class), ("text-anchor", &anchor), ("x", &x), ("y", &y)], [text(label)])
}

fn draw_line(class: &str, from: (f64, f64), to: (f64, f64)) -> HtmlMarkup {
    let (x1, y1, x2, y2) = (
        format_coordinate(from.0),
        format_coordinate(from.1),
        format_coordinate(to.0),
        format_coordinate(to.1),
    );
    void_element("line", &[("class", &class), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)])
}

/// Returns a round number of at least `max_value`. Half of this number is round as well, so both can be
/// labels.
fn round_up_scale(max_value: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [2, 4, 6, 10] {
            let ceiling = unit.saturating_mul(step);
            if ceiling >= max_value || ceiling == u64::MAX {
                return ceiling;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// A plot over time. The periods are side by side, between two axes.
struct TimePlot<'a> {
    figures: &'a LoopFigures,
    max_value: u64,
}

impl TimePlot<'_> {
    /// Returns the width of a period.
    fn period_width(&self) -> f64 {
        (WIDTH - LEFT_MARGIN - RIGHT_MARGIN) / index_to_f64(self.figures.periods.len().max(1))
    }

    /// Returns the width of a period's bars. Without a limit, the bars of a few days would fill the whole
    /// plot.
    fn bar_width(&self) -> f64 {
        (self.period_width() * 0.76).min(MAX_BAR_WIDTH)
    }

    /// Returns the horizontal position at which a period begins.
    fn x(&self, period: usize) -> f64 {
        LEFT_MARGIN + index_to_f64(period) * self.period_width()
    }

    /// Returns the height in SVG units of a bar for this value.
    fn bar_height(&self, value: u64) -> f64 {
        (HEIGHT - TOP_MARGIN - BOTTOM_MARGIN) * count_to_f64(value) / count_to_f64(self.max_value.max(1))
    }

    /// Draws horizontal lines with their values, and the labels of the days below the axis.
    fn axes(&self, format_value: impl Fn(u64) -> String) -> Vec<HtmlMarkup> {
        let mut parts = Vec::new();
        for value in [0, self.max_value / 2, self.max_value] {
            let y = HEIGHT - BOTTOM_MARGIN - self.bar_height(value);
            parts.push(draw_line("grid", (LEFT_MARGIN, y), (WIDTH - RIGHT_MARGIN, y)));
            parts.push(draw_label("", "end", LEFT_MARGIN - 5.0, y + 3.5, &format_value(value)));
        }
        let periods = &self.figures.periods;
        let every = periods.len().div_ceil(MAX_AXIS_LABELS).max(1);
        for (place, period) in periods.iter().enumerate().step_by(every) {
            let day: String = format_day(period.from).chars().skip(5).collect();
            let x = self.x(place) + self.period_width() / 2.0;
            parts.push(draw_label("", "middle", x, HEIGHT - 5.0, &day));
        }
        parts
    }

    /// Draws a line at each change of the prompt.
    fn prompt_change_lines(&self) -> Vec<HtmlMarkup> {
        let figures = self.figures;
        let Some(first) = figures.periods.first() else { return vec![] };
        let all = index_to_f64(figures.periods.len())
            * count_to_f64(u64::try_from(figures.period_days).unwrap_or(1));
        let mut parts = Vec::new();
        let changes = figures.prompts.iter().skip(1);
        for prompt in changes.skip(figures.prompts.len().saturating_sub(MAX_PROMPT_CHANGES + 1)) {
            let since = prompt.first_ended_at.0.saturating_sub(first.from.saturating_mul(DAY_MILLIS));
            let Ok(since) = u64::try_from(since) else { continue };
            let x = LEFT_MARGIN
                + (WIDTH - LEFT_MARGIN - RIGHT_MARGIN)
                    * (count_to_f64(since) / count_to_f64(DAY_MILLIS.unsigned_abs()) / all).min(1.0);
            let anchor = if x > WIDTH * 0.7 { "end" } else { "start" };
            parts.push(draw_line("mark", (x, TOP_MARGIN - 8.0), (x, HEIGHT - BOTTOM_MARGIN)));
            let aside = if anchor == "end" { x - 3.0 } else { x + 3.0 };
            let named: String = prompt.hash.chars().take(7).collect();
            parts.push(draw_label("marked", anchor, aside, TOP_MARGIN - 8.0, &format!("prompt {named}")));
        }
        parts
    }

    fn period_name(&self, period: &PeriodFigures) -> String {
        let of = if self.figures.period_days == 1 { "" } else { "week of " };
        format!("{of}{}", format_day(period.from))
    }
}

/// Draws the runs of each period by their end, and the rate of success.
pub(super) fn draw_run_trend(figures: &LoopFigures, loop_kind: LoopKind) -> HtmlMarkup {
    let most = figures.periods.iter().map(|period| period.tally.runs()).max().unwrap_or(0);
    let time = TimePlot { figures, max_value: round_up_scale(most) };
    let mut parts = time.axes(|value| value.to_string());
    for (rate, y) in
        [(0, HEIGHT - BOTTOM_MARGIN), (50, (HEIGHT - BOTTOM_MARGIN + TOP_MARGIN) / 2.0), (100, TOP_MARGIN)]
    {
        parts.push(draw_label("", "start", WIDTH - RIGHT_MARGIN + 5.0, y + 3.5, &format!("{rate} %")));
    }
    let (step, wide, floor) = (time.period_width(), time.bar_width(), HEIGHT - BOTTOM_MARGIN);
    for (place, period) in figures.periods.iter().enumerate() {
        let mut below = 0;
        for kind in RunOutcome::ALL {
            let runs = period.tally.get(kind);
            if runs > 0 {
                let corner = (time.x(place) + (step - wide) / 2.0, floor - time.bar_height(below + runs));
                let tooltip =
                    format!("{}: {runs} {}", time.period_name(period), outcome_word(loop_kind, kind));
                parts.push(draw_bar(
                    kind.as_str(),
                    corner.0,
                    corner.1,
                    wide,
                    time.bar_height(runs),
                    &tooltip,
                ));
            }
            below += runs;
        }
    }
    parts.extend(time.prompt_change_lines());
    let rates = figures.periods.iter().enumerate().filter_map(|(place, period)| {
        let rate = period.tally.success_rate_thousandths()?;
        let x = time.x(place) + step / 2.0;
        let y = floor - (floor - TOP_MARGIN) * count_to_f64(rate) / 1000.0;
        Some((
            x,
            y,
            format!("{}: {} of {}", time.period_name(period), format_percent(rate), period.tally.attempts()),
        ))
    });
    let rates: Vec<(f64, f64, String)> = rates.collect();
    let points: Vec<String> = rates
        .iter()
        .map(|(x, y, _)| format!("{},{}", format_coordinate(*x), format_coordinate(*y)))
        .collect();
    parts.push(void_element("polyline", &[("class", &"rate"), ("points", &points.join(" "))]));
    for (x, y, tooltip) in &rates {
        let (x, y) = (format_coordinate(*x), format_coordinate(*y));
        parts.push(element(
            "circle",
            &[("class", &"dot"), ("cx", &x), ("cy", &y), ("r", &"3")],
            [element("title", &[], [text(tooltip)])],
        ));
    }
    let rate = figures.tally.success_rate_thousandths().map_or_else(|| "none".to_owned(), format_percent);
    draw_picture(
        WIDTH,
        HEIGHT,
        &format!("{} over time; success rate {rate}", format_count(figures.tally.runs(), "run")),
        parts,
    )
}

/// Draws the cost of each period.
pub(super) fn draw_cost(figures: &LoopFigures) -> HtmlMarkup {
    let most = figures.periods.iter().map(|period| period.cost_micro_usd).max().unwrap_or(0);
    let time = TimePlot { figures, max_value: round_up_scale(most.div_ceil(10_000)).saturating_mul(10_000) };
    let mut parts = time.axes(format_dollars);
    let (step, wide, floor) = (time.period_width(), time.bar_width(), HEIGHT - BOTTOM_MARGIN);
    for (place, period) in figures.periods.iter().enumerate().filter(|(_, period)| period.cost_micro_usd > 0)
    {
        let high = time.bar_height(period.cost_micro_usd);
        let corner = (time.x(place) + (step - wide) / 2.0, floor - high);
        let tooltip = format!(
            "{}: {}, {}",
            time.period_name(period),
            format_dollars(period.cost_micro_usd),
            format_count(period.turns, "turn")
        );
        parts.push(draw_bar("bar", corner.0, corner.1, wide, high, &tooltip));
    }
    parts.extend(time.prompt_change_lines());
    draw_picture(
        WIDTH,
        HEIGHT,
        &format!("cost over time, {} in all", format_dollars(figures.cost_micro_usd)),
        parts,
    )
}

/// Draws one bar for each step. The length of a bar is the mean over the runs that did the step.
pub(super) fn render_step_bars(rows: &[(&str, u64, String)], title: &str) -> HtmlMarkup {
    const ROW_HEIGHT: f64 = 22.0;
    const TOTAL_WIDTH: f64 = 320.0;
    const NAMES_WIDTH: f64 = 56.0;
    const VALUES_WIDTH: f64 = 56.0;
    let most = rows.iter().map(|(_, value, _)| *value).max().unwrap_or(0).max(1);
    let mut parts = Vec::new();
    for (place, (name, value, shown)) in rows.iter().enumerate() {
        let y = index_to_f64(place) * ROW_HEIGHT + 4.0;
        let width = (TOTAL_WIDTH - NAMES_WIDTH - VALUES_WIDTH) * count_to_f64(*value) / count_to_f64(most);
        parts.push(draw_label("strong", "end", NAMES_WIDTH - 8.0, y + 11.5, name));
        // A value of zero gets a thin bar, so the row does not look empty.
        parts.push(draw_bar(
            "bar",
            NAMES_WIDTH,
            y,
            width.max(1.0),
            ROW_HEIGHT - 7.0,
            &format!("{name}: {shown}"),
        ));
        parts.push(draw_label("", "start", NAMES_WIDTH + width + 6.0, y + 11.5, shown));
    }
    draw_picture(TOTAL_WIDTH, index_to_f64(rows.len()) * ROW_HEIGHT + 6.0, title, parts)
}

/// Draws the last runs, the oldest first, each with a symbol for its end. Draws a line at each change of the
/// prompt.
pub(super) fn draw_run_strip(runs: &[ReportedRun]) -> HtmlMarkup {
    const CELL_WIDTH: f64 = WIDTH / 30.0;
    const ROW_HEIGHT: f64 = CELL_WIDTH + 6.0;
    let shown: Vec<&ReportedRun> = runs.iter().take(STRIP_CELLS).rev().collect();
    let mut prompt: Option<&str> = None;
    let mut parts = Vec::new();
    for (place, run) in shown.iter().enumerate() {
        let (x, y) = (
            index_to_f64(place % CELLS_PER_ROW) * CELL_WIDTH,
            index_to_f64(place / CELLS_PER_ROW) * ROW_HEIGHT + 4.0,
        );
        let result = to_plain_words(run.result.as_deref().unwrap_or(run.outcome_word()));
        let reason: String = run.reason_line().chars().take(160).collect();
        let release = run.target_release.as_deref().unwrap_or_default();
        let tooltip = format!("{} {} {release}: {result}\n{reason}", format_instant(run.ended_at), run.name);
        parts.push(draw_bar(run.outcome.as_str(), x + 0.8, y, CELL_WIDTH - 1.6, CELL_WIDTH - 1.6, &tooltip));
        parts.push(draw_outcome_symbol(run.outcome, x + 0.8, y, CELL_WIDTH - 1.6));
        if let Some(hash) = run.prompt_hash.as_deref() {
            if prompt.is_some_and(|before| before != hash) {
                parts.push(draw_line("mark", (x, y - 3.0), (x, y + CELL_WIDTH + 1.0)));
            }
            prompt = Some(hash);
        }
    }
    let rows = shown.len().div_ceil(CELLS_PER_ROW).max(1);
    draw_picture(
        WIDTH,
        index_to_f64(rows) * ROW_HEIGHT + 4.0,
        &format!("the last {} runs, oldest first", shown.len()),
        parts,
    )
}

/// Draws the symbol of an outcome. Because of the symbols, readers need not distinguish colours.
fn draw_outcome_symbol(kind: RunOutcome, x: f64, y: f64, size: f64) -> HtmlMarkup {
    let place = |across: f64, down: f64| {
        format!("{} {}", format_coordinate(x + across * size), format_coordinate(y + down * size))
    };
    let path = match kind {
        RunOutcome::Done => format!("M{} L{} L{}", place(0.26, 0.52), place(0.44, 0.7), place(0.76, 0.32)),
        RunOutcome::Partial => {
            format!("M{} L{} M{} L{}", place(0.3, 0.5), place(0.7, 0.5), place(0.5, 0.3), place(0.5, 0.7))
        }
        RunOutcome::Skipped => format!("M{} L{}", place(0.3, 0.5), place(0.7, 0.5)),
        RunOutcome::Deferred => {
            format!("M{} L{} M{} L{}", place(0.4, 0.32), place(0.4, 0.68), place(0.6, 0.32), place(0.6, 0.68))
        }
        RunOutcome::Failed => {
            format!("M{} L{} M{} L{}", place(0.3, 0.3), place(0.7, 0.7), place(0.7, 0.3), place(0.3, 0.7))
        }
    };
    void_element("path", &[("class", &"glyph"), ("d", &path)])
}

/// Draws the colour swatch of an outcome, for legends and tables.
pub(super) fn draw_swatch(kind: RunOutcome) -> HtmlMarkup {
    let square = [
        ("class", &kind.as_str() as &dyn std::fmt::Display),
        ("width", &"12"),
        ("height", &"12"),
        ("rx", &"2"),
    ];
    element(
        "svg",
        &[("viewBox", &"0 0 12 12"), ("aria-hidden", &"true")],
        [void_element("rect", &square), draw_outcome_symbol(kind, 0.0, 0.0, 12.0)],
    )
}

/// Draws a bar inside a table.
pub(super) fn draw_share_bar(value: u64, max_value: u64) -> HtmlMarkup {
    let width = format_coordinate(100.0 * count_to_f64(value) / count_to_f64(max_value.max(1)));
    let bar = void_element("rect", &[("class", &"bar"), ("width", &width), ("height", &"8"), ("rx", &"1")]);
    let view = [
        ("viewBox", &"0 0 100 8" as &dyn std::fmt::Display),
        ("preserveAspectRatio", &"none"),
        ("aria-hidden", &"true"),
    ];
    element("svg", &view, [bar])
}

/// Renders a prompt with the short digest that the plots use.
pub(super) fn render_prompt(hash: &str) -> HtmlMarkup {
    element("code", &[("title", &hash)], [text(short_hash(hash))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_is_not_less() {
        for (most, round) in [(0, 2), (1, 2), (3, 4), (5, 6), (7, 10), (11, 20), (61, 100), (401, 600)] {
            assert_eq!(round_up_scale(most), round, "{most}");
        }
        assert!(round_up_scale(u64::MAX) == u64::MAX);
    }
}

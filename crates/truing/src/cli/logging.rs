//! Logs on stderr: how much of what the program does is told while it does it.

mod json;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::output::Output;

/// What a log line looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogStyle {
    /// For a person at a terminal.
    Human,
    /// One JSON object a line, for a log collector.
    Json,
}

/// From least to most.
const LEVELS: [LevelFilter; 5] =
    [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];

/// Sends the log to stderr from now on. Ours: warnings, with `--verbose` once also information, twice debugging,
/// three times everything; with `--quiet` errors alone; in JSON, made to be kept, one level more. Other crates:
/// two levels less. Once a process; a second call changes nothing.
pub(crate) fn start(style: LogStyle, output: Output) {
    let told = match (output.quiet(), style) {
        (true, LogStyle::Human | LogStyle::Json) => 0,
        (false, LogStyle::Human) => 1 + usize::from(output.verbose()),
        (false, LogStyle::Json) => 2 + usize::from(output.verbose()),
    };
    let level = |at: usize| LEVELS.get(at).copied().unwrap_or(LevelFilter::TRACE);
    let (ours, others) = (level(told), level(told.saturating_sub(2)));
    // A prefix: it covers every crate of the workspace.
    let filter = Targets::new().with_default(others).with_target("truing", ours);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match style {
        LogStyle::Human => layer.with_ansi(output.stderr_color()).without_time().boxed(),
        LogStyle::Json => layer.fmt_fields(JsonFields::new()).event_format(json::Lines).boxed(),
    };
    // Set already: a test ran two commands in one process.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}

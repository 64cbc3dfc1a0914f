//! Logs on stderr: how much of what the program does is told while it does it.

mod human;
mod json;
mod unhindered;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::human::EscapedLogWriter;
use self::unhindered::BackgroundLogWriter;
use super::output::OutputPrinter;

/// What a log line looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogStyle {
    /// For a person who runs a command.
    Human,
    /// For a person who watches a service: each line with its time.
    Text,
    /// One JSON object a line, for a log collector.
    Json,
}

/// The module that tells of limits that are used up.
const BUDGET: &str = "truing_loops::budget";

/// From least to most.
const LEVELS: [LevelFilter; 5] =
    [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];

/// Sends the log to stderr from now on. Ours: warnings, with `--verbose` once also information, twice debugging,
/// three times everything; with `--quiet` errors alone; of a service one level more. Other crates: two levels less. Once a process; a second call changes nothing. What it returns is kept to the end.
pub(crate) fn start(style: LogStyle, output: OutputPrinter) -> LogGuard {
    let told = match (output.quiet(), style) {
        (true, LogStyle::Human | LogStyle::Text | LogStyle::Json) => 0,
        (false, LogStyle::Human) => 1 + usize::from(output.verbose()),
        (false, LogStyle::Text | LogStyle::Json) => 2 + usize::from(output.verbose()),
    };
    let level = |at: usize| LEVELS.get(at).copied().unwrap_or(LevelFilter::TRACE);
    let (ours, others) = (level(told), level(told.saturating_sub(2)));
    // A prefix: it covers every crate of the workspace.
    let filter = Targets::new().with_default(others).with_target("truing", ours);
    // AWS's libraries write whole answers of STS, with the keys in them.
    let filter = filter.with_target("aws", LevelFilter::OFF);
    // A command's own answer says when money runs out. A service has none.
    let filter = match style {
        LogStyle::Human => filter.with_target(BUDGET, level(told.saturating_sub(1))),
        LogStyle::Text | LogStyle::Json => filter,
    };
    let lines = match style {
        LogStyle::Human => None,
        // Without a thread, as before: a log that may wait is better than none.
        LogStyle::Text | LogStyle::Json => BackgroundLogWriter::start(std::io::stderr(), style).ok(),
    };
    let layer = match (style, &lines) {
        (LogStyle::Human, _) => human(output.stderr_color(), || EscapedLogWriter(std::io::stderr())).boxed(),
        (LogStyle::Text, lines) => {
            let layer = tracing_subscriber::fmt::layer().with_ansi(output.stderr_color());
            match lines.clone() {
                Some(lines) => layer.with_writer(move || EscapedLogWriter(lines.clone())).boxed(),
                None => layer.with_writer(|| EscapedLogWriter(std::io::stderr())).boxed(),
            }
        }
        (LogStyle::Json, lines) => {
            let layer = tracing_subscriber::fmt::layer()
                .fmt_fields(JsonFields::new())
                .event_format(json::JsonLogFormat);
            match lines {
                Some(lines) => layer.with_writer(lines.clone()).boxed(),
                None => layer.with_writer(std::io::stderr).boxed(),
            }
        }
    };
    // Set already: a test ran two commands in one process.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    LogGuard(lines)
}

/// Lines for a person.
fn human<S, W, M>(colour: bool, writer: M) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: std::io::Write,
    M: Fn() -> EscapedLogWriter<W> + 'static,
    M: for<'a> MakeWriter<'a, Writer = EscapedLogWriter<W>>,
{
    tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour).without_time()
}

/// The log; its last lines are written when this is dropped, if somebody reads them.
pub(crate) struct LogGuard(Option<BackgroundLogWriter>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(lines) = &self.0 {
            lines.finish();
        }
    }
}

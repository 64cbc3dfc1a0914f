//! Sends the log to stderr, filtered by level.

mod background_writer;
mod escaped_log;
mod json;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::background_writer::BackgroundLogWriter;
use self::escaped_log::EscapedLogWriter;
use super::output::OutputPrinter;

/// The format of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogStyle {
    /// For a person who runs a command.
    Human,
    /// For a person who watches a service: each line has a time.
    Text,
    /// One JSON object per line, for a log collector.
    Json,
}

/// The module whose log lines report exhausted budgets.
const BUDGET_MODULE: &str = "truing_loops::budget";

/// Levels, from least to most detail.
const LEVELS: [LevelFilter; 5] =
    [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];

/// Sends the log to stderr from now on. By default, Truing logs warnings and errors. Each `--verbose` adds
/// one level: first information, then debugging, then tracing. With `--quiet`, only errors are logged. For a
/// service, the level is one more detailed than for a command. For other crates, the level is two less
/// detailed than for Truing. Only the first call in a process has an effect. The caller must keep the
/// returned guard until the process ends.
pub(crate) fn start(style: LogStyle, output: OutputPrinter) -> LogGuard {
    let formatter = match (output.is_quiet(), style) {
        (true, LogStyle::Human | LogStyle::Text | LogStyle::Json) => 0,
        (false, LogStyle::Human) => 1 + usize::from(output.verbosity()),
        (false, LogStyle::Text | LogStyle::Json) => 2 + usize::from(output.verbosity()),
    };
    let level = |index: usize| LEVELS.get(index).copied().unwrap_or(LevelFilter::TRACE);
    let (ours, others) = (level(formatter), level(formatter.saturating_sub(2)));
    // The target `truing` is a prefix of the names of all crates in the workspace.
    let filter = Targets::new().with_default(others).with_target("truing", ours);
    // AWS's libraries log complete responses of STS, and these contain credentials.
    let filter = filter.with_target("aws", LevelFilter::OFF);
    // The output of a command already reports an exhausted budget. For a command, an exhausted budget is
    // therefore logged only with one more `--verbose`. A service prints no such output, so its filter is not
    // changed.
    let filter = match style {
        LogStyle::Human => filter.with_target(BUDGET_MODULE, level(formatter.saturating_sub(1))),
        LogStyle::Text | LogStyle::Json => filter,
    };
    let lines = match style {
        LogStyle::Human => None,
        // If no thread can be started, lines are written directly, because a log that may block is better
        // than no log.
        LogStyle::Text | LogStyle::Json => BackgroundLogWriter::start(std::io::stderr(), style).ok(),
    };
    let layer = match (style, &lines) {
        (LogStyle::Human, _) => {
            human_layer(output.stderr_color(), || EscapedLogWriter(std::io::stderr())).boxed()
        }
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
    // An error means that a logger is already set, for example by a test that runs two commands in one
    // process.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    LogGuard(lines)
}

/// Returns the log layer for a person.
fn human_layer<S, W, M>(colour: bool, writer: M) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: std::io::Write,
    M: Fn() -> EscapedLogWriter<W> + 'static,
    M: for<'a> MakeWriter<'a, Writer = EscapedLogWriter<W>>,
{
    tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour).without_time()
}

/// Guard of the log. When the guard is dropped, it waits a limited time until the last lines are written.
pub(crate) struct LogGuard(Option<BackgroundLogWriter>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(lines) = &self.0 {
            lines.finish();
        }
    }
}

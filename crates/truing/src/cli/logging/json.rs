//! Formats a log line as one JSON object. Its top level contains the fields of the event and of every
//! enclosing span. A search for a run's `review_id` therefore finds all lines of the run.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::output::write_json;

/// The format for a log collector. Invisible characters are escaped, as in all JSON output.
pub(super) struct JsonLogFormat;

impl<S> FormatEvent<S, JsonFields> for JsonLogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".into(), time.into());
        line.insert("level".into(), metadata.level().as_str().into());
        let mut own = String::new();
        JsonFields::new().format_fields(Writer::new(&mut own), event)?;
        add_fields(&mut line, &own);
        line.entry("target").or_insert_with(|| metadata.target().into());
        // The fields of the innermost span are added first. They are the most specific, and fields that are
        // added later do not replace them.
        for span in context.lookup_current().iter().flat_map(|span| span.scope()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                add_fields(&mut line, fields);
            }
        }
        let mut json = Vec::new();
        write_json(&mut json, &line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&json))
    }
}

/// Adds the fields that are not in the line yet.
fn add_fields(line: &mut Map<String, Value>, fields: &str) {
    let Ok(Value::Object(fields)) = serde_json::from_str(fields) else { return };
    for (name, value) in fields {
        line.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for LogBuffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_has_the_fields_of_its_spans_on_top_and_its_own_win() {
        let kept = LogBuffer::default();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLogFormat)
            .with_writer(kept.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _run = tracing::info_span!("run", review_id = "r1", key = "outer").entered();
            let _step = tracing::info_span!("step", key = "inner").entered();
            tracing::info!(files = 3, "a \"quoted\"\nline");
            tracing::warn!(key = "own", "message of {}", 2);
            tracing::warn!(path = "a\u{200b}b\u{e0041}\u{202e}\u{9b}1m", "hidden");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(text.contains(r#""path":"a\u200bb\udb40\udc41\u202e\u009b1m""#), "{text}");
        let told = |line: usize, name: &str| lines[line][name].clone();
        assert_eq!(told(0, "message"), "a \"quoted\"\nline");
        assert_eq!(
            (told(0, "review_id"), told(0, "key"), told(0, "files")),
            ("r1".into(), "inner".into(), 3.into())
        );
        assert_eq!((told(0, "level"), told(1, "level")), ("INFO".into(), "WARN".into()));
        assert_eq!((told(1, "review_id"), told(1, "key")), ("r1".into(), "own".into()));
        assert_eq!(told(1, "message"), "message of 2");
        assert!(told(0, "timestamp").as_str().unwrap().ends_with('Z'));
        assert!(told(0, "target").as_str().unwrap().contains("logging"));
    }
}

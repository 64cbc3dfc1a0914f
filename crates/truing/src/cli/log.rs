//! The command `truing log`: prints the audit log, with the person, the change and the time.

use serde::Serialize;
use truing_core::port::AuditEntry;
use truing_loops::text::format_instant;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::target::{open_records_store, store_error};
use super::{CommandContext, runtime};

/// Default number of entries that are printed.
const DEFAULT_ENTRY_LIMIT: usize = 50;

/// Show who changed what by commands: the kill switch, the queue, runs
///
/// Entries are kept for `retention.audit`.
#[derive(clap::Args, Debug)]
pub struct LogArgs {
    /// How many entries to show, newest first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ENTRY_LIMIT, value_parser = parse_entry_limit)]
    limit: usize,
}

/// Parses the number of entries. With 0, the output would say that nothing is recorded.
fn parse_entry_limit(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("the number of entries must be at least 1".to_owned()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(error.to_string()),
    }
}

/// One entry of the JSON output; the newest entry is first.
#[derive(Serialize)]
struct AuditLogLine {
    at: String,
    actor: String,
    action: String,
    target: String,
    detail: String,
}

pub(crate) fn run(args: &LogArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    runtime::start()?.block_on(async {
        let store = open_records_store(&config, context).await?;
        let audited = match store {
            Some(store) => store.audit_entries(args.limit).await.map_err(store_error)?,
            None => Vec::new(),
        };
        let lines: Vec<AuditLogLine> = audited.into_iter().map(log_line).collect();
        context.output.print_answer(&lines, || render_text(&lines))?;
        Ok(CommandExit::Success)
    })
}

fn log_line(AuditEntry { at, action: act }: AuditEntry) -> AuditLogLine {
    AuditLogLine {
        at: format_instant(at),
        actor: act.actor,
        action: act.action,
        target: act.target,
        detail: act.detail,
    }
}

fn render_text(lines: &[AuditLogLine]) -> String {
    if lines.is_empty() {
        return "no manual changes are recorded\n".to_owned();
    }
    let mut text = String::new();
    for AuditLogLine { at, actor, action, target, detail } in lines {
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        let words = format!("{action} {target}");
        text += &fold_line(&format!("{at}  "), &format!("{actor}: {}{detail}", words.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use truing_core::id::UnixMillis;
    use truing_core::port::OperatorAction;

    use super::*;

    #[test]
    fn a_limit_that_would_hide_every_entry_is_refused() {
        assert_eq!(["1", "50"].map(parse_entry_limit), [Ok(1), Ok(50)]);
        for wrong in ["0", "-1", "many", ""] {
            parse_entry_limit(wrong).unwrap_err();
        }
    }

    #[test]
    fn each_act_is_a_line() {
        let at = |act| log_line(AuditEntry { at: UnixMillis(1_790_000_000_000), action: act });
        let lines = [
            at(OperatorAction::new("bob", "queue retry", "pr/github/1/7", "")),
            at(OperatorAction::new("ada", "kill on", "", "mode stop: a storm")),
        ];
        insta::assert_snapshot!(render_text(&lines), @r"
        2026-09-21T14:13:20Z  bob: queue retry pr/github/1/7
        2026-09-21T14:13:20Z  ada: kill on (mode stop: a storm)
        ");
        insta::assert_snapshot!(render_text(&[]), @"no manual changes are recorded");
    }
}

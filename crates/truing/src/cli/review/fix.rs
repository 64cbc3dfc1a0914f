//! `truing review --fix`: shows the fixes as a diff, keeps what undoes them, and makes them.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use truing_core::id::Millis;

use super::text::visible;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::config::StoreConfig;
use crate::loops::fix::tree::{Kept, Tree};
use crate::loops::fix::{FixError, Left, Plan, undo};
use crate::loops::text::counted;

/// How many lines around a change the kept patch has, as git's own have.
const CONTEXT: usize = 3;
/// None are shown: a secret may stand beside what is fixed.
const NO_CONTEXT: usize = 0;
/// The folder of the patches, beside the database.
const FOLDER: &str = "undo";

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const PLACE: Style = AnsiColor::Cyan.on_default();

/// Carries out a plan in a working tree, and tells. The answer: was anything changed?
///
/// # Errors
/// What undoes it cannot be kept; then nothing is changed.
pub(super) fn carry_out(
    mut plan: Plan,
    root: &Path,
    store: &StoreConfig,
    now: Millis,
    output: Output,
) -> Result<bool, CliError> {
    let tree = Tree::open(root).map_err(|error| {
        CliError::failed("fix", format!("cannot open the working tree: {error}"))
            .hint("nothing was changed; see that the folder is still there")
    })?;
    plan.retain(|change| {
        let held = tree.holds(&change.path, &change.old);
        if !matches!(held, Err(Kept::Changed)) {
            return held;
        }
        // Git may have checked it out with other line ends than it has stored.
        let converted = change.with_crlf();
        tree.holds(&converted.path, &converted.old)?;
        *change = converted;
        Ok(())
    });
    if plan.changes.is_empty() {
        tell(&plan.left, output);
        if plan.left.is_empty() {
            output.say("nothing to fix: no finding has a fix that is sure");
        }
        return Ok(false);
    }
    output.show(shown(&plan));
    let kept = keep(&plan, store, now)?;
    output.show(format_args!("to undo the fixes:\n  {}\n", visible(&undo::command(root, &kept))));

    let planned = plan.changes.len();
    plan.retain(|change| tree.replace(&change.path, &change.old, &change.new));
    let files = plan.changes.len();
    if files < planned {
        // Git undoes all of a patch or nothing.
        undo::rewrite(&kept, &plan.patch(CONTEXT)).map_err(|error| {
            CliError::failed("write_failed", format!("cannot write {} again: {error}", kept.display()))
                .hint("it names files that were not changed after all; undo the others with --include=PATH")
        })?;
    }
    tell(&plan.left, output);
    if files > 0 {
        let fixes = plan.changes.iter().map(|change| change.fixes).sum();
        output.say(format_args!("fixed {} in {}", counted(fixes, "finding"), counted(files, "file")));
    }
    Ok(files > 0)
}

/// Keeps the patch in the user's folder, also without records: what was changed must be undone with ease.
fn keep(plan: &Plan, store: &StoreConfig, now: Millis) -> Result<std::path::PathBuf, CliError> {
    let database = store.database()?;
    let folder = database.parent().unwrap_or(Path::new(".")).join(FOLDER);
    let stamp = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
    let stamp = stamp.strftime("%Y%m%dT%H%M%S%.3f").to_string();
    undo::keep(&folder, &stamp, &plan.patch(CONTEXT)).map_err(|error| {
        let message = format!("cannot keep what undoes the fixes in {}: {error}", folder.display());
        CliError::failed("write_failed", message)
            .hint("nothing was changed; see that the folder is yours to write and has room")
    })
}

/// The plan as a diff for people: the changed lines alone.
fn shown(plan: &Plan) -> String {
    let patch = plan.patch(NO_CONTEXT);
    let mut text = String::new();
    // Lines of files may look like the names of files: those stand before the first hunk.
    let mut in_names = false;
    for line in String::from_utf8_lossy(&patch).split_terminator('\n') {
        let style = match line.as_bytes() {
            [b'd', ..] => {
                in_names = true;
                continue;
            }
            [b'@', ..] => {
                in_names = false;
                PLACE
            }
            _ if in_names => Style::new().bold(),
            [b'-', ..] => REMOVED,
            [b'+', ..] => ADDED,
            _ => Style::new(),
        };
        // Every line of a file with CRLF ends with a CR; that is no news.
        let line = visible(line.strip_suffix('\r').unwrap_or(line));
        let _ = writeln!(text, "{style}{line}{style:#}");
    }
    text
}

/// One warning for each suggestion, or file, that is left as it is.
fn tell(left: &[Left], output: Output) {
    for Left { path, line, rule, why } in left {
        let path = visible(&path.to_string());
        match rule.as_str() {
            "" => output.warn(format_args!("{path}: not fixed: {why}")),
            rule => output.warn(format_args!("{path}:{line}: {} not fixed: {why}", visible(rule))),
        }
    }
}

impl From<FixError> for CliError {
    fn from(error: FixError) -> Self {
        let text = error.to_string();
        match error {
            FixError::Io(_) => Self::failed("fix", text)
                .hint("nothing was changed; see that the folder for temporary files has room, or set TMPDIR"),
            FixError::Reading(error) => crate::loops::local::LocalError::Reading(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loops::fix::Change;

    #[test]
    fn a_line_that_looks_like_the_name_of_a_file_is_shown_as_a_line() {
        let of =
            |path: &str| Change { path: path.into(), old: "--i;\n".into(), new: "++i;\n".into(), fixes: 1 };
        let plan = Plan { changes: vec![of("a.js"), of("b.js")], left: vec![] };
        let bold = Style::new().bold();
        let shown = shown(&plan);
        for (style, line) in [
            (bold, "--- a/a.js"),
            (bold, "+++ b/b.js"),
            (REMOVED, "---i;"),
            (ADDED, "+++i;"),
            (PLACE, "@@ -1 +1 @@"),
        ] {
            assert!(shown.contains(&format!("{style}{line}{style:#}\n")), "{line}: {shown:?}");
        }
    }
}

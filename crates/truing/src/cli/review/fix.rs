//! The flag `truing review --fix`: shows the fixes as a diff, keeps a patch that undoes them, and applies
//! them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anstyle::{AnsiColor, Style};
use truing_agent::tree::{ReplaceError, WritableTree};
use truing_core::id::UnixMillis;
use truing_loops::fix::lock::{FixLock, FixLockError};
use truing_loops::fix::{FixError, FixPlan, UnappliedSuggestion, undo};
use truing_loops::text::format_count;

use super::text::visible_text;
use crate::cli::error::CliError;
use crate::cli::output::OutputPrinter;

/// Number of context lines around a change in the undo patch, as in git's own diffs.
const PATCH_CONTEXT_LINES: usize = 3;
/// Number of context lines in the shown diff. The number is 0, because lines beside a fix may contain a
/// secret.
const DISPLAYED_CONTEXT_LINES: usize = 0;
/// Name of the folder of patches, beside the database.
const PATCH_FOLDER_NAME: &str = "undo";

/// The reason why a staged file is not fixed if the file in the working tree differs from the index.
const UNSTAGED_REASON: &str = "the file has unstaged changes, or other line endings than the index: run \
    `git add` or `git stash --keep-index`, and then this command again";

const REMOVED_STYLE: Style = AnsiColor::Red.on_default();
const ADDED_STYLE: Style = AnsiColor::Green.on_default();
const HUNK_HEADER_STYLE: Style = AnsiColor::Cyan.on_default();

/// The result of `truing review --fix`.
#[derive(Debug, Default)]
pub(super) struct FixOutcome {
    /// True if a file was changed.
    pub(super) has_changed: bool,
    /// Suggestions and files that were not fixed.
    pub(super) unapplied_suggestions: Vec<UnappliedSuggestion>,
}

/// The exclusive right to change files of a working tree, and the printer for the results.
pub(super) struct FixSession<'a> {
    root: PathBuf,
    tree: WritableTree,
    /// Folder of the patches.
    patch_folder: PathBuf,
    lock: FixLock,
    is_interrupted: &'a AtomicBool,
    output: OutputPrinter,
}

impl<'a> FixSession<'a> {
    /// Locks the working tree, and cleans up after an earlier run that was killed. Files may be changed only
    /// until `is_interrupted` is true.
    ///
    /// # Errors
    /// Returns an error if another run holds the lock, or if the folder of patches cannot be used.
    pub(super) fn start(
        root: &Path,
        folder: &Path,
        is_interrupted: &'a AtomicBool,
        output: OutputPrinter,
    ) -> Result<Self, CliError> {
        let folder = folder.join(PATCH_FOLDER_NAME);
        let lock = FixLock::acquire(&folder, root).map_err(|error| match error {
            FixLockError::AlreadyRunning => CliError::refusal(
                "already_running",
                format!("{}: {error}", visible_text(&root.to_string_lossy())),
            )
            .hint("nothing was changed; run the command again when the other run with --fix has ended"),
            FixLockError::Io { path, source } => patch_write_error(&path, &source),
        })?;
        let tree = WritableTree::open(root).map_err(|error| {
            CliError::failure("fix", format!("cannot open the working tree: {error}"))
                .hint("nothing was changed; check that the folder still exists")
        })?;
        let mut fixing =
            Self { root: root.to_owned(), tree, patch_folder: folder, lock, is_interrupted, output };
        fixing.recover_killed_run().map_err(|error| patch_write_error(&fixing.patch_folder, &error))?;
        Ok(fixing)
    }

    /// Cleans up after a killed run, and prints the command that undoes its changes.
    fn recover_killed_run(&mut self) -> std::io::Result<()> {
        let Some(killed) = self.lock.interrupted_fix()? else { return Ok(()) };
        let done = killed.completed_files(&self.tree);
        let files = done.iter().filter(|done| **done).count();
        match undo::trim_patch(&killed.patch, &done) {
            // A missing patch is no error, because a later run may have deleted it as one of the oldest
            // patches.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) if files > 0 => {
                let changed = format_count(files, "file");
                self.output.warn(format_args!(
                    "an earlier run with --fix was killed after it had changed {changed}"
                ));
                let command = undo::undo_command(&self.root, &killed.patch);
                self.output
                    .print_even_if_quiet(format_args!("to undo its fixes:\n  {}\n", visible_text(&command)));
            }
            Ok(()) | Err(_) => {}
        }
        self.lock.clear_journal()
    }

    /// Warns of suggestions that are not fixed.
    pub(super) fn report_unapplied(&self, unapplied: &[UnappliedSuggestion]) {
        warn_unapplied(unapplied, self.output);
    }

    /// Applies a plan and prints the result. `is_staged` is true if the plan is for the files of the index.
    ///
    /// # Errors
    /// Returns an error if the undo patch cannot be written; nothing is changed then.
    pub(super) fn apply_plan(
        &mut self,
        mut plan: FixPlan,
        now: UnixMillis,
        is_staged: bool,
    ) -> Result<FixOutcome, CliError> {
        let (tree, output) = (&self.tree, self.output);
        plan.retain(|change| {
            let held = tree.check_content(&change.path, &change.old);
            if !matches!(held, Err(ReplaceError::ContentChanged)) {
                return held.map_err(|error| error.to_string());
            }
            // Git may have checked out the file with other line endings than the stored ones.
            let converted = change.with_crlf();
            tree.check_content(&converted.path, &converted.old).map_err(|error| {
                let is_unstaged = is_staged && matches!(error, ReplaceError::ContentChanged);
                if is_unstaged { UNSTAGED_REASON.to_owned() } else { error.to_string() }
            })?;
            *change = converted;
            Ok(())
        });
        if plan.changes.is_empty() {
            warn_unapplied(&plan.unapplied, output);
            if plan.unapplied.is_empty() {
                output.print_note("nothing to fix: no finding is auto-fixable");
            }
            return Ok(FixOutcome { has_changed: false, unapplied_suggestions: plan.unapplied });
        }
        output.print_lines(render_plan(&plan));
        let kept = self.save_undo_patch(&plan, now)?;
        let command = undo::undo_command(&self.root, &kept);
        output.print_even_if_quiet(format_args!("to undo the fixes:\n  {}\n", visible_text(&command)));

        let planned = plan.changes.len();
        let made = plan.apply_changes(&self.tree, self.is_interrupted);
        let files = plan.changes.len();
        if files < planned {
            // Git applies a patch either completely or not at all, so files that were not changed are removed
            // from the undo patch.
            undo::trim_patch(&kept, &made.applied_flags).map_err(|error| {
                CliError::failure("write_failed", format!("cannot write {} again: {error}", kept.display()))
                    .hint(
                        "the patch also names files that were not changed; to undo only the changed files, \
                            use `git apply` with --include=PATH",
                    )
            })?;
        }
        // If the journal entry remained, the next run would report this completed run as killed.
        let _ = self.lock.clear_journal();
        warn_unapplied(&plan.unapplied, output);
        for (path, lost) in &made.lost_attributes {
            output.warn(format_args!("{}: {lost}", visible_text(&path.to_string())));
        }
        if made.unstarted_count > 0 {
            output
                .warn(format_args!("interrupted: {} not fixed", format_count(made.unstarted_count, "file")));
        }
        if files == 0 {
            output.print_even_if_quiet("nothing was changed: there is nothing to undo\n");
            return Ok(FixOutcome { has_changed: false, unapplied_suggestions: plan.unapplied });
        }
        let fixes: usize = plan.changes.iter().map(|change| change.fix_count).sum();
        output.print_note(format_args!(
            "fixed {} in {}",
            format_count(fixes, "finding"),
            format_count(files, "file")
        ));
        Ok(FixOutcome { has_changed: true, unapplied_suggestions: plan.unapplied })
    }

    /// Saves the undo patch, even with `--no-record`, because a user must be able to undo the changes.
    fn save_undo_patch(&mut self, plan: &FixPlan, now: UnixMillis) -> Result<PathBuf, CliError> {
        let stamp = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
        let stamp = stamp.strftime("%Y%m%dT%H%M%S%.3f").to_string();
        let kept = undo::save_patch(&self.patch_folder, &stamp, &plan.patch(PATCH_CONTEXT_LINES));
        let kept = kept.and_then(|kept| self.lock.write_journal(&kept, plan).map(|()| kept));
        kept.map_err(|error| patch_write_error(&self.patch_folder, &error))
    }
}

fn patch_write_error(path: &Path, error: &std::io::Error) -> CliError {
    let message = format!("cannot save the undo patch in {}: {error}", path.display());
    CliError::failure("write_failed", message)
        .hint("nothing was changed; check that the folder is writable and has free space")
}

/// Formats the plan as a diff of the changed lines only.
pub(super) fn render_plan(plan: &FixPlan) -> String {
    let patch = plan.patch(DISPLAYED_CONTEXT_LINES);
    let mut text = String::new();
    // The changed lines may look like the header of a file in a diff. Real file headers occur only before the
    // first hunk of a file.
    let mut in_names = false;
    for line in String::from_utf8_lossy(&patch).split_terminator('\n') {
        let style = match line.as_bytes() {
            [b'd', ..] => {
                in_names = true;
                continue;
            }
            [b'@', ..] => {
                in_names = false;
                HUNK_HEADER_STYLE
            }
            _ if in_names => Style::new().bold(),
            [b'-', ..] => REMOVED_STYLE,
            [b'+', ..] => ADDED_STYLE,
            _ => Style::new(),
        };
        // In a file with CRLF line endings, every line ends with a CR. The CR is not shown.
        let line = visible_text(line.strip_suffix('\r').unwrap_or(line));
        let _ = writeln!(text, "{style}{line}{style:#}");
    }
    text
}

/// Prints one warning for each suggestion or file that is not fixed.
fn warn_unapplied(unapplied: &[UnappliedSuggestion], output: OutputPrinter) {
    for UnappliedSuggestion { path, line, rule, reason: why } in unapplied {
        let path = visible_text(&path.to_string());
        match rule.as_str() {
            "" => output.warn(format_args!("{path}: not fixed: {why}")),
            rule => output.warn(format_args!("{path}:{line}: {} not fixed: {why}", visible_text(rule))),
        }
    }
}

impl From<FixError> for CliError {
    fn from(error: FixError) -> Self {
        let text = error.to_string();
        match error {
            FixError::Io(_) => Self::failure("fix", text).hint(
                "nothing was changed; check that the folder for temporary files has free space, or set \
                 TMPDIR",
            ),
            FixError::Reading(error) => truing_loops::local::LocalReviewError::Reading(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use truing_loops::fix::FixedFile;

    use super::*;

    #[test]
    fn a_line_that_looks_like_the_name_of_a_file_is_shown_as_a_line() {
        let of = |path: &str| FixedFile {
            path: path.into(),
            old: "--i;\n".into(),
            new: "++i;\n".into(),
            fix_count: 1,
        };
        let plan = FixPlan { changes: vec![of("a.js"), of("b.js")], unapplied: vec![] };
        let bold = Style::new().bold();
        let shown = render_plan(&plan);
        for (style, line) in [
            (bold, "--- a/a.js"),
            (bold, "+++ b/b.js"),
            (REMOVED_STYLE, "---i;"),
            (ADDED_STYLE, "+++i;"),
            (HUNK_HEADER_STYLE, "@@ -1 +1 @@"),
        ] {
            assert!(shown.contains(&format!("{style}{line}{style:#}\n")), "{line}: {shown:?}");
        }
    }
}

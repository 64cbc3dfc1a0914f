//! Builds the prompt of a port. The content of the package and of the project is untrusted data. The prompt
//! encloses this data in marks that the data cannot contain.

use std::collections::BTreeSet;

use truing_agent::prompt::PromptValues;
use truing_agent::prompt::route::SYNC_BUMP;
use truing_core::RepoPath;
use truing_core::sync::PinChangeKind;
use truing_core::sync::classify::FunctionJudgement;

use super::{CodeMigration, CodeMigrationError};
use crate::agent::BuiltPrompt;
use crate::sync::material::{read_release_files, release_patches, truncate_with_note};

/// Maximum number of unpinned definitions in the prompt.
const MAX_NAMED_DEFINITIONS: usize = 200;

/// Returns the handover of an earlier run, with a list of the files whose changes could not be applied.
pub(super) fn render_handover(handover: &str, unapplied_paths: &[RepoPath]) -> String {
    let mut text = truncate_with_note(handover);
    for path in unapplied_paths {
        text += &format!("\nnot applied, because the file has changed meanwhile: {path}");
    }
    text
}

/// Builds the prompt that the model begins with.
pub(super) async fn build_port_prompt(
    port: &CodeMigration<'_>,
    handover: Option<&str>,
) -> Result<BuiltPrompt, CodeMigrationError> {
    let (agent, decided, job) = (&port.migration_agent.agent, port.decision, port.job);
    let mirror: Vec<String> =
        job.mirrored_paths.iter().map(|(theirs, ours)| format!("{theirs} = {ours}")).collect();
    let unguarded = decided.decision.unguarded_parts.iter().take(MAX_NAMED_DEFINITIONS);
    let unguarded = unguarded.map(|one| format!("{}: {}", one.name(), one.change_text()));
    let looked = decided.classification.iter().flat_map(|classification| &classification.functions);
    let looked = looked.map(|one| {
        let FunctionJudgement { function, verdict, reason, .. } = one;
        format!(
            "{} {}: {} according to a model, which gives this reason: {reason}",
            function.file,
            function.symbol,
            verdict.as_str()
        )
    });
    let unguarded = unguarded.chain(looked);
    let answers = port
        .answers
        .iter()
        .map(|classification| format!("{}:\n{}", classification.author, classification.text));
    let values = [
        ("package", job.package.clone()),
        ("from", decided.from.to_string()),
        ("to", decided.to.to_string()),
        ("reason", decided.decision.reason.clone()),
        ("mirror", mirror.join("\n")),
        ("paths", job.portable_file_globs.join("\n")),
        ("definitions", render_definitions(port).await?),
        ("unguarded", unguarded.collect::<Vec<_>>().join("\n")),
        ("handover", handover.unwrap_or_default().to_owned()),
        ("answers", answers.collect::<Vec<_>>().join("\n\n")),
    ];
    let system = PromptValues::default().with_value("max_turns", job.max_port_turns.to_string());
    Ok(agent.build_prompt(SYNC_BUMP.system_prompt_name, &system, SYNC_BUMP.task_prompt_name, &values)?)
}

/// Lists the changed definitions, and the changes in the files that contain these definitions.
async fn render_definitions(port: &CodeMigration<'_>) -> Result<String, CodeMigrationError> {
    let decided = port.decision;
    let mut text = String::new();
    let mut files = BTreeSet::new();
    for change in &decided.decision.pin_changes {
        let what = match change.kind {
            PinChangeKind::Tree => "changed",
            PinChangeKind::Bytes => "changed only in layout, comments or the docstring",
            PinChangeKind::Removed => "gone",
        };
        let file = change.file.as_deref().unwrap_or("in no file");
        text += &format!("{} ({file}): {what}\n", change.symbol);
        files.extend(change.file.clone());
    }
    let news = decided.decision.unguarded_parts.iter().filter(|one| one.reason.needs_check());
    files.extend(news.filter_map(|one| one.file.clone()));
    let files: Vec<String> = files.into_iter().collect();
    let before = read_release_files(port.job, port.sources, &decided.from, &files).await?;
    let after = read_release_files(port.job, port.sources, &decided.to, &files).await?;
    text += &release_patches(&files, &decided.from, &before, &decided.to, &after);
    Ok(truncate_with_note(&text))
}

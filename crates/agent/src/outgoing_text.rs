//! Cleans text before it is sent to a model: removes the credentials of this process, and the paths of the
//! repository on this machine.
//!
//! In every runtime, all text for a model passes through this module: the text that a run begins with, and
//! the results of its tools. Secrets of a known form are masked where the text is still complete
//! ([`truing_reader::mask`]: files, changes, values of prompts). This module masks such secrets once more.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use serde_json::Value;
use truing_model::messages::ToolDefinition;
use truing_reader::mask::{MASK, are_secrets_shown, count_masks, mask_secrets};
use truing_reader::redact::redact_credentials;

use crate::native::{AgentRunInput, RunTools, ToolCallOutput};

/// Beginning of the names of a run's temporary folders, with the slash before it.
const TEMP_FOLDER_PREFIX: &str = "/truing-git-";
/// Replacement of a folder outside the repository.
const OUTSIDE_REPLACEMENT: &str = "…";
/// Replacement of the repository's folder, so a path in the repository becomes a relative path that the tools
/// accept.
const REPOSITORY_REPLACEMENT: &str = ".";

/// Folders of this machine with their replacements, the longest first.
static PATH_REPLACEMENTS: RwLock<Vec<(String, &str)>> = RwLock::new(Vec::new());

/// Hides the path of this repository from models.
pub fn hide_repository(folder: &Path) {
    add_replacement(folder, REPOSITORY_REPLACEMENT);
}

/// Hides the path of this folder from models. The folder holds Truing's own data.
pub fn hide_folder(folder: &Path) {
    add_replacement(folder, OUTSIDE_REPLACEMENT);
}

fn add_replacement(folder: &Path, replacement: &'static str) {
    let real = folder.canonicalize().ok();
    let mut places = PATH_REPLACEMENTS.write().unwrap_or_else(PoisonError::into_inner);
    for folder in [Some(folder.to_owned()), real].into_iter().flatten() {
        // A short path such as `/app` is not replaced, because it reveals nothing and occurs in many files.
        let says_something = folder.is_absolute() && folder.components().count() > 2;
        if let (true, Some(text)) = (says_something, folder.to_str())
            && !places.iter().any(|(known, _)| known == text)
        {
            places.push((text.to_owned(), replacement));
        }
    }
    places.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
}

/// Cleans a text that is not the content of a file. The number of lines does not change.
fn redact_text(text: &str) -> String {
    let text = redact_credentials(text);
    let places = PATH_REPLACEMENTS.read().unwrap_or_else(PoisonError::into_inner);
    let text = places.iter().fold(text, |text, (place, by)| replace_path(&text, place, by));
    replace_temp_folders(&text)
}

/// Replaces a path in a text. A path that is part of a longer name is not replaced.
pub(crate) fn replace_path(text: &str, path: &str, replacement: &str) -> String {
    if !text.contains(path) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(path) {
        let goes_on =
            if before.is_empty() { out.ends_with(is_name_char) } else { before.ends_with(is_name_char) };
        let is_whole = !goes_on && !after.starts_with(is_name_char);
        out.push_str(before);
        out.push_str(if is_whole { replacement } else { path });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_name_char(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-')
}

/// Replaces the paths of a run's temporary folders, regardless of their parent folders.
fn replace_temp_folders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(TEMP_FOLDER_PREFIX) {
        let is_path = |letter: char| letter == '/' || letter == '.' || is_name_char(letter);
        let kept = before.trim_end_matches(is_path);
        out.push_str(kept);
        out.push_str(OUTSIDE_REPLACEMENT);
        rest = after.trim_start_matches(is_name_char);
    }
    out.push_str(rest);
    out
}

/// Cleans the brief of a run for the model.
pub(crate) fn redact_brief(brief: &AgentRunInput) -> AgentRunInput {
    let AgentRunInput { model, system_prompt: system, review_text: task } = brief;
    let mut task = redact_text(task);
    if let Some(masks) = describe_masks(&task) {
        task.push_str(&format!(
            "\n\n{masks} cut from the text that you see; `{MASK}` replaces each of them. Quote this mask \
            unchanged, and do not write it into a file or a replacement."
        ));
    }
    AgentRunInput { model: model.clone(), system_prompt: redact_text(system), review_text: task }
}

/// Returns the number of masks in a text as words for the model. Returns `None` if the text has no masks, or
/// if secrets are shown.
fn describe_masks(text: &str) -> Option<String> {
    match count_masks(text) {
        0 => None,
        _ if are_secrets_shown() => None,
        1 => Some("1 value that looks like a secret was".to_owned()),
        count => Some(format!("{count} values that look like secrets were")),
    }
}

/// Wraps tools to clean their results for the model.
pub(crate) struct SanitizedTools<'a>(pub(crate) &'a dyn RunTools);

#[async_trait]
impl RunTools for SanitizedTools<'_> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        self.0.tool_definitions()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        let output = self.0.call(name, input).await;
        // No paths are replaced in a successful result, because its text comes from files or a third-party
        // server. The output of a command already has its paths replaced.
        let mut text =
            if output.is_error { redact_text(&output.text) } else { redact_credentials(&output.text) };
        text = mask_secrets(&text).into_owned();
        if let Some(masks) = describe_masks(&text) {
            text.push_str(&format!("\n[{masks} cut: `{MASK}`]"));
        }
        ToolCallOutput { text, ..output }
    }

    async fn clear_cache(&self) {
        self.0.clear_cache().await;
    }
}

/// Replaces a tree's path by `.` in the output of a command.
pub(crate) fn to_tree_paths(text: &str, tree: &Path) -> String {
    let real: Option<PathBuf> = tree.canonicalize().ok();
    let places = [Some(tree), real.as_deref()].into_iter().flatten().filter_map(Path::to_str);
    places.fold(text.to_owned(), |text, place| replace_path(&text, place, REPOSITORY_REPLACEMENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_of_this_machine_is_told() {
        hide_repository(Path::new("/srv/joe/shop"));
        hide_folder(Path::new("/srv/joe/.local/state/truing"));
        hide_repository(Path::new("/app"));
        for (text, told) in [
            ("fatal: '/srv/joe/shop/x' is no tree", "fatal: './x' is no tree"),
            ("rootdir: /srv/joe/shop\n", "rootdir: .\n"),
            ("/srv/joe/shop-2/x /old/srv/joe/shop/x", "/srv/joe/shop-2/x /old/srv/joe/shop/x"),
            ("in /srv/joe/.local/state/truing/mirrors/7.git: no", "in …/mirrors/7.git: no"),
            ("(/var/tmp/truing-git-aB3x9/clone/a.py:3)", "(…/clone/a.py:3)"),
            ("COPY . /app/src", "COPY . /app/src"),
        ] {
            assert_eq!(redact_text(text), told);
        }
    }

    #[test]
    fn what_a_command_prints_of_its_tree_has_the_paths_that_tools_take() {
        let told = to_tree_paths("/t/x/clone/a.py:1\n/t/x/clones/b\n/t/x/clone", Path::new("/t/x/clone"));
        assert_eq!(told, "./a.py:1\n/t/x/clones/b\n.");
    }
}

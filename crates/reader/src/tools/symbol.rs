//! Tool `symbol`: finds the definitions of a name, from the syntax trees of the files.

use std::time::Instant;

use memchr::memmem;
use serde::Deserialize;
use truing_diff::RepoPath;

use super::index::FileIndex;
use super::list::format_count;
use super::page::{ReplyPage, reply_line, visible_text};
use super::{ToolCallError, read};
use crate::file::FileTree;
use crate::lines::LineIndex;
use crate::syntax::{
    DefinitionLocation, ParserPool, SourceLanguage, decode_keeping_offsets, find_definitions,
};

/// Largest number of definitions in one response.
const MAX_DEFINITIONS: usize = 20;
/// Largest number of lines that are shown of a definition.
const MAX_DEFINITION_LINES: u32 = 25;
/// Longest name in bytes.
const MAX_NAME_BYTES: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SymbolInput {
    name: String,
    path: Option<String>,
    skip: Option<usize>,
}

pub(super) fn find_symbol(
    tree: &FileTree,
    index: &FileIndex,
    parsers: &mut ParserPool,
    input: SymbolInput,
    deadline: Instant,
) -> Result<String, ToolCallError> {
    let name = input.name.as_str();
    let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '#');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_letter) {
        return Err(ToolCallError::NotAName(visible_text(name)));
    }
    let wanted = memmem::Finder::new(name);
    let mut page = ReplyPage::new(input.skip, MAX_DEFINITIONS);
    let (mut complex, mut late) = (0, 0);
    for path in index.files_at(input.path.as_deref())? {
        let Some(language) = SourceLanguage::from_path(path.as_bytes()) else { continue };
        if Instant::now() >= deadline {
            late += 1;
            continue;
        }
        let Ok(content) = read::read_text(tree, path) else { continue };
        if wanted.find(content.bytes()).is_none() {
            continue;
        }
        // The search uses the masked text. In the unmasked text, a model could guess a secret letter by
        // letter, by searching for names inside the secret.
        let content = read::mask_content(content);
        if wanted.find(content.bytes()).is_none() {
            continue;
        }
        let text = decode_keeping_offsets(content.bytes());
        let Ok(found) = find_definitions(language, &text, name, parsers, deadline) else {
            complex += 1;
            continue;
        };
        let lines = LineIndex::new(content.bytes());
        for definition in found {
            page.add_item(|| render_definition(path, &definition, &lines));
        }
    }

    let mut notes = String::new();
    if complex > 0 {
        notes.push_str(&format!("; too large or too complex to search: {}", format_count(complex, "file")));
    }
    if late > 0 {
        let files = format_count(late, "file");
        notes.push_str(&format!(
            "; not searched, because the time limit was reached: {files} (narrow the search with `path`)"
        ));
    }
    notes.push_str(index.truncation_note());
    match page.item_count() {
        0 => {
            let known = SourceLanguage::all_names();
            Ok(format!(
                "No definition of `{name}` in files of {known}{notes}. `grep` searches files of \
                all languages."
            ))
        }
        count => {
            page.finish(&format!("{} of `{name}`{notes}", format_count(count, "definition")), "definitions")
        }
    }
}

fn render_definition(path: &RepoPath, definition: &DefinitionLocation, lines: &LineIndex<'_>) -> String {
    let DefinitionLocation { kind, first_line: first, last_line: last } = *definition;
    let mut text =
        format!("{}:{first}-{last} ({})\n", visible_text(&path.to_string()), kind.replace('_', " "));
    let end = last.min(first.saturating_add(MAX_DEFINITION_LINES - 1));
    for number in first..=end {
        text.push_str(&read::render_numbered_line(
            number,
            &reply_line(lines.bytes(lines.line_range(number)), 1, read::MAX_LINE_CHARS),
        ));
    }
    if end < last {
        text.push_str(&format!("       [… to line {last}: `read` it with \"start_line\": {}]\n", end + 1));
    }
    text
}

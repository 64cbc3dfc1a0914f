//! Detects that a fix renames a function of the product, because the tests of this function must then use the
//! new name.
//!
//! A fix counts as a rename only if exactly one name disappears from the product's definitions and exactly
//! one name appears in them. The changed code of the product must no longer call the old name. A test file
//! must not define the new name, and must import it from the same module as the old name. If all conditions
//! hold, the new name replaces the old name in the old tests before the tests are compared.

use std::collections::BTreeSet;

use super::count::missing_items;
use super::file::FileVersionPair;
use super::scan::{is_word_byte, text_slice};
use super::version::AnalyzedVersion;

/// Words that precede the name in a definition.
const DEFINITION_WORDS: &[&str] =
    &["def ", "function ", "fn ", "func ", "class ", "struct ", "const ", "let ", "var ", "type ", "enum "];

/// If the fix renames a function, replaces the old name by the new name in the old tests.
pub(super) fn apply_rename_to_tests(files: &mut [FileVersionPair<'_>]) {
    let Some((old, new)) = find_rename(files) else { return };
    for file in files.iter_mut() {
        let is_scanned = file.before.as_ref().is_some_and(|half| half.scanned_file.is_some());
        if let Some(before) = file.before.as_mut().filter(|_| is_scanned) {
            let text = replace_name(before, &old, &new);
            before.set_text(text);
        }
    }
}

fn find_rename(files: &[FileVersionPair<'_>]) -> Option<(String, String)> {
    let (before, after) = (
        product_definitions(files, |file| file.before.as_ref()),
        product_definitions(files, |file| file.after.as_ref()),
    );
    let mut gone = before.difference(&after);
    let mut appeared = after.difference(&before);
    let (Some(old), None, Some(new), None) = (gone.next(), gone.next(), appeared.next(), appeared.next())
    else {
        return None;
    };
    let halves = || files.iter().filter_map(|file| file.after.as_ref());
    let is_used = halves().filter(|half| !half.is_test).any(|half| calls_name(half, old));
    let is_faked =
        files.iter().filter(|file| file.after.as_ref().is_some_and(|half| half.is_test)).any(|file| {
            let lines = |half: Option<&AnalyzedVersion>, name: &str| -> Vec<String> {
                let Some((half, read)) =
                    half.and_then(|half| half.scanned_file.as_ref().map(|read| (half, read)))
                else {
                    return Vec::new();
                };
                let ranges = half.ranges_outside_tests().into_iter();
                let lines = ranges.flat_map(|range| text_slice(&read.scanned_text.code, range).lines());
                let named = lines.filter(|line| split_words(line).any(|word| word == name));
                named.map(|line| line.trim().to_owned()).collect()
            };
            let was: Vec<String> =
                lines(file.before.as_ref(), old).iter().map(|line| replace_in_line(line, old, new)).collect();
            !missing_items(&lines(file.after.as_ref(), new), &was).is_empty()
                || file.after.as_ref().is_some_and(|half| defined_names(half, true).any(|name| name == *new))
        });
    (!is_used && !is_faked).then(|| (old.clone(), new.clone()))
}

/// Returns the names that the product defines.
fn product_definitions<'f>(
    files: &'f [FileVersionPair<'_>],
    select_version: impl Fn(&'f FileVersionPair<'_>) -> Option<&'f AnalyzedVersion>,
) -> BTreeSet<String> {
    let halves = files.iter().filter_map(select_version).filter(|half| !half.is_test);
    halves.flat_map(|half| defined_names(half, false)).collect()
}

pub(super) fn defined_names(version: &AnalyzedVersion, includes_tests: bool) -> impl Iterator<Item = String> {
    let code = version.scanned_file.as_ref().map_or("", |read| read.scanned_text.code.as_str());
    let whole = includes_tests.then_some(0..code.len());
    let ranges: Vec<_> =
        if includes_tests { whole.into_iter().collect() } else { version.ranges_outside_tests() };
    ranges.into_iter().flat_map(|range| text_slice(code, range).lines()).filter_map(|line| {
        let bare = line.trim_start();
        // Code outside the function cannot see the names that a function defines.
        let is_local = line.len() > bare.len()
            && ["const ", "let ", "var ", "type "].iter().any(|word| bare.starts_with(word));
        if is_local {
            return None;
        }
        let bare = ["export ", "default ", "pub(crate) ", "pub ", "async ", "unsafe "]
            .iter()
            .fold(bare, |text, word| text.strip_prefix(word).unwrap_or(text));
        let rest = DEFINITION_WORDS.iter().find_map(|word| bare.strip_prefix(word))?;
        // A destructuring pattern is not a definition, because its names come from another value.
        let is_name = rest.bytes().next().is_some_and(is_word_byte);
        split_words(rest).next().filter(|_| is_name).map(str::to_owned)
    })
}

/// Returns true if the product calls this name. Another use of the name, such as the name of a module, does
/// not count.
fn calls_name(version: &AnalyzedVersion, name: &str) -> bool {
    let code = version.scanned_file.as_ref().map_or("", |read| read.scanned_text.code.as_str());
    version.ranges_outside_tests().into_iter().any(|range| {
        let text = text_slice(code, range);
        text.match_indices(name).any(|(at, _)| {
            let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
            let after = text.as_bytes().get(at + name.len());
            !before.is_some_and(|byte| is_word_byte(*byte)) && after == Some(&b'(')
        })
    })
}

fn split_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|word| !word.is_empty())
}

fn replace_in_line(line: &str, old: &str, new: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(old) {
        let (before, from) = rest.split_at(at);
        let after = from.get(old.len()..).unwrap_or_default();
        let is_whole = !before.bytes().next_back().is_some_and(is_word_byte)
            && !after.bytes().next().is_some_and(is_word_byte);
        text.push_str(before);
        text.push_str(if is_whole { new } else { old });
        rest = after;
    }
    text + rest
}

/// Replaces the name in the code of a file and in the names of its tests. Strings stay unchanged.
fn replace_name(version: &AnalyzedVersion, old: &str, new: &str) -> String {
    let Some(read) = &version.scanned_file else { return version.text.clone() };
    let (code, text) = (read.scanned_text.code.as_str(), version.text.as_str());
    let mut made = String::new();
    let mut at = 0;
    while let Some(found) = code.get(at..).and_then(|rest| rest.find(old)).map(|found| at + found) {
        let end = found + old.len();
        let bytes = code.as_bytes();
        let start_of_word = bytes
            .get(..found)
            .unwrap_or_default()
            .iter()
            .rposition(|byte| !is_word_byte(*byte))
            .map_or(0, |at| at + 1);
        let word_ends = !bytes.get(end).is_some_and(|byte| is_word_byte(*byte));
        let is_whole = start_of_word == found && word_ends;
        let begins = code.get(start_of_word..).unwrap_or_default();
        let is_test_name = start_of_word < found
            && ["Test", "test", "Benchmark", "Fuzz", "Example"].iter().any(|word| begins.starts_with(word));
        made.push_str(text.get(at..found).unwrap_or_default());
        made.push_str(if is_whole || is_test_name { new } else { old });
        at = end;
    }
    made + text.get(at..).unwrap_or_default()
}

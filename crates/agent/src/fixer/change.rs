//! Changes of files by a fixer. A change replaces exactly matching text, and is made completely or not at
//! all.

use truing_core::RepoPath;
use truing_reader::MAX_FILE_BYTES;
use truing_reader::mask::{
    MASK, are_secrets_shown, count_masks, find_secrets_by_rules, mask_secrets, masked_secrets,
};

use crate::tree::{ReplaceError, WritableTree};

/// A text to replace, and its replacement.
pub(super) struct TextReplacement<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
    pub(super) replace_all: bool,
}

/// The reason why a file was not changed, with a message for the model.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileChangeError {
    #[error("`old` is empty: to write a whole file use `write`")]
    EmptyOldText,
    #[error(
        "`{0}` does not contain `old` exactly as given: read the file again, and compare whitespace and \
        line ends too"
    )]
    OldTextNotFound(String),
    #[error("`old` is in `{path}` {times} times: give more of the text around it, or set `all` to true")]
    MultipleMatches { path: String, times: usize },
    #[error("there is no file `{0}`, or it is too large to be edited")]
    NoFile(String),
    #[error("`{0}` is no text (UTF-8)")]
    NotUtf8(String),
    #[error("`{path}` would have {bytes} bytes; the limit is {MAX_FILE_BYTES}")]
    TooLarge { path: String, bytes: usize },
    #[error(
        "denied: `{0}` is not a regular file inside of the repository, or a link leads to it; no rule can \
         allow it"
    )]
    NotRegularFile(String),
    #[error(
        "`{0}` contains values that look like secrets; in the text that you see, `{MASK}` replaces each \
        of them. The change is refused, because it would change one of these values or write the mask \
        into the file. Change other lines with `edit`; only a person can replace a secret"
    )]
    TouchesSecret(String),
    #[error("`{path}` cannot be written: {source}")]
    Io { path: String, source: std::io::Error },
}

/// Replaces text in a file.
pub(super) fn edit_file(
    tree: &WritableTree,
    path: &str,
    replacement: &TextReplacement<'_>,
) -> Result<String, FileChangeError> {
    let TextReplacement { old, new, replace_all: all } = *replacement;
    if old.is_empty() {
        return Err(FileChangeError::EmptyOldText);
    }
    let place = RepoPath::from(path);
    let bytes = tree.read(&place).map_err(|kept| change_error(path, kept))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| FileChangeError::NotUtf8(path.to_owned()))?;
    // The model sees only the masked text. If the unmasked text has more matches than the masked text, the
    // edit fails as if there were no match, because a successful edit would confirm a guessed secret.
    let (in_file, times) = (text.matches(old).count(), mask_secrets(text).matches(old).count());
    if in_file == 0 && old.contains(MASK) && !are_secrets_shown() {
        return Err(FileChangeError::TouchesSecret(path.to_owned()));
    }
    if in_file != times {
        return Err(FileChangeError::OldTextNotFound(path.to_owned()));
    }
    match (times, all) {
        (0, _) => return Err(FileChangeError::OldTextNotFound(path.to_owned())),
        (1, _) | (_, true) => {}
        (_, false) => return Err(FileChangeError::MultipleMatches { path: path.to_owned(), times }),
    }
    // The size is checked before the replacement, because the replaced text could exceed the memory.
    check_size(path, (text.len() - times * old.len()).saturating_add(times.saturating_mul(new.len())))?;
    let changed = text.replace(old, new);
    check_secrets_unchanged(path, text, &changed)?;
    tree.replace(&place, &bytes, changed.as_bytes()).map_err(|kept| change_error(path, kept))?;
    Ok(format!("{path}: replaced {times} time{}", if times == 1 { "" } else { "s" }))
}

/// Writes a whole file.
pub(super) fn write_file(tree: &WritableTree, path: &str, content: &str) -> Result<String, FileChangeError> {
    let place = RepoPath::from(path);
    check_size(path, content.len())?;
    let before = tree.read(&place);
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default());
    check_secrets_unchanged(path, &text, content)?;
    let written = match before {
        Ok(before) => tree.replace(&place, &before, content.as_bytes()).map(|_| "written anew"),
        Err(ReplaceError::ContentChanged) => {
            tree.create(&place, content.as_bytes()).map(|()| "written, a new file")
        }
        Err(kept) => Err(kept),
    };
    let how = written.map_err(|kept| change_error(path, kept))?;
    Ok(format!("{path}: {how}, {} bytes", content.len()))
}

/// Refuses new content in which a secret of the old content is missing or no longer recognizable. Also
/// refuses new content that contains more masks than the old content. An equal number of masks is allowed,
/// because a repository may itself contain the mask text.
fn check_secrets_unchanged(path: &str, before: &str, after: &str) -> Result<(), FileChangeError> {
    if are_secrets_shown() {
        return Ok(());
    }
    let is_kept =
        [find_secrets_by_rules as fn(&str) -> Vec<&str>, masked_secrets].into_iter().all(|secrets| {
            let mut left = secrets(after);
            secrets(before).into_iter().all(|secret| {
                let at = left.iter().position(|other| *other == secret);
                at.map(|at| left.swap_remove(at)).is_some()
            })
        });
    match is_kept && count_masks(after) <= count_masks(before) {
        true => Ok(()),
        false => Err(FileChangeError::TouchesSecret(path.to_owned())),
    }
}

/// Returns an error if this size exceeds the maximum size of a file.
fn check_size(path: &str, bytes: usize) -> Result<(), FileChangeError> {
    match u64::try_from(bytes) {
        Ok(few) if few <= MAX_FILE_BYTES => Ok(()),
        Ok(_) | Err(_) => Err(FileChangeError::TooLarge { path: path.to_owned(), bytes }),
    }
}

fn change_error(path: &str, error: ReplaceError) -> FileChangeError {
    let path = path.to_owned();
    match error {
        ReplaceError::ContentChanged => FileChangeError::NoFile(path),
        ReplaceError::NotRegularFile => FileChangeError::NotRegularFile(path),
        ReplaceError::Io(source) => FileChangeError::Io { path, source },
    }
}

//! Reads packs that an operator keeps in folders: `FOLDER/PACK/rules/RULE.toml` or `.yml`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MAX_RULE_FILE_BYTES, PackError, is_valid_name};

/// Returns the rule files of every pack in a folder, as (`PACK/rules/RULE`, text). Entries without a folder
/// `rules` are not packs.
pub(super) fn read_packs(folder: &Path) -> Result<Vec<(String, String)>, PackError> {
    let mut files = Vec::new();
    for pack in sorted_entries(folder)? {
        if pack.join("rules").is_dir() {
            files.extend(read_pack(&pack)?);
        }
    }
    Ok(files)
}

/// Returns the rule files of one pack. The folder's name is the pack's name.
pub(super) fn read_pack(folder: &Path) -> Result<Vec<(String, String)>, PackError> {
    let absolute = folder.canonicalize().map_err(|error| unreadable_error(folder, &error))?;
    let name = absolute.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_valid_name(name) {
        let message = "the name of a pack's folder is the name of the pack, and may contain only \
            lower-case letters, digits and `-`";
        return Err(PackError::Unreadable {
            path: folder.display().to_string(),
            message: message.to_owned(),
        });
    }
    let mut files = Vec::new();
    for file in sorted_entries(&folder.join("rules"))? {
        let text = read_rule_file(&file)?;
        let file_name = file.file_name().unwrap_or_default().to_string_lossy();
        // Hidden files are ignored, because editors and operating systems create them.
        if !file_name.starts_with('.') {
            files.push((format!("{name}/rules/{file_name}"), text));
        }
    }
    Ok(files)
}

/// Reads the text of a rule file, up to the maximum size of a rule file.
fn read_rule_file(file: &Path) -> Result<String, PackError> {
    let wrong = |message: String| PackError::Unreadable { path: file.display().to_string(), message };
    let found = fs::metadata(file).map_err(|error| unreadable_error(file, &error))?;
    // Only regular files are read, because reading a pipe might never end.
    if !found.is_file() {
        return Err(wrong("it is not a regular file".to_owned()));
    }
    if found.len() > MAX_RULE_FILE_BYTES as u64 {
        return Err(wrong(format!("a rule file may have at most {MAX_RULE_FILE_BYTES} bytes")));
    }
    fs::read_to_string(file).map_err(|error| unreadable_error(file, &error))
}

/// Returns the entries of a folder, in name order.
fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, PackError> {
    let read = fs::read_dir(folder).map_err(|error| unreadable_error(folder, &error))?;
    let paths = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>();
    let mut paths = paths.map_err(|error| unreadable_error(folder, &error))?;
    paths.sort();
    Ok(paths)
}

fn unreadable_error(path: &Path, error: &std::io::Error) -> PackError {
    PackError::Unreadable { path: path.display().to_string(), message: error.to_string() }
}

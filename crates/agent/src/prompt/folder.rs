//! Reads an operator's folder of prompts, and the cases in this folder.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::module::MAX_MODULE_BYTES;
use super::problem::{PromptError, PromptProblem, PromptProblemKind};

/// Maximum number of bytes of a case.
pub(super) const MAX_CASE_BYTES: usize = 256 << 10;
/// Maximum number of files and folders that are read.
const MAX_FOLDER_ENTRIES: usize = 1_000;

/// The files that were read from a folder, each as name, path and text, and the problems that were found.
pub(super) struct PromptFolder {
    pub(super) files: Vec<(String, String, String)>,
    pub(super) problems: Vec<PromptProblem>,
}

/// Reads the modules: the `.md` files of a folder and its subfolders, except `README.md`.
pub(super) fn read_modules(folder: &Path) -> Result<PromptFolder, PromptError> {
    read_by_ending(folder, "md", MAX_MODULE_BYTES)
}

/// Reads the cases: the `.toml` files in the subfolder `cases`, if there is one.
pub(super) fn read_cases(folder: &Path) -> Result<PromptFolder, PromptError> {
    let cases = folder.join("cases");
    match cases.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(PromptFolder { files: Vec::new(), problems: Vec::new() })
        }
        Ok(_) | Err(_) => read_by_ending(&cases, "toml", MAX_CASE_BYTES),
    }
}

/// Reads the files with this extension. At most one byte more than the limit is read from each file, which is
/// enough to detect a file that is too long.
fn read_by_ending(folder: &Path, ending: &str, max_bytes: usize) -> Result<PromptFolder, PromptError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| PromptError::Folder { path, source }
    };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut folders = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(inner) = folders.pop() {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&inner).map_err(unreadable(&inner))? {
            seen += 1;
            if seen > MAX_FOLDER_ENTRIES {
                return Err(PromptError::TooManyFiles {
                    path: folder.to_owned(),
                    max_files: MAX_FOLDER_ENTRIES,
                });
            }
            entries.push(entry.map_err(unreadable(&inner))?);
        }
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(unreadable(&path))?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            // Symbolic links to files are followed, because the operator controls the folder. In some
            // deployments, every file in the folder is a link.
            let is_file = || std::fs::metadata(&path).is_ok_and(|facts| facts.is_file());
            let is_module = path.extension().is_some_and(|known| known == ending) && is_file();
            if !is_module || path.file_name().is_some_and(|name| name == "README.md") {
                continue;
            }
            let shown = path.display().to_string();
            let mut wrong = |what| problems.push(PromptProblem { file: shown.clone(), line: 1, kind: what });
            let below = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
            let name = below.to_string_lossy().into_owned();
            if !is_module_name(&name) {
                wrong(PromptProblemKind::BadModuleName(name));
                continue;
            }
            match read_text(&path, max_bytes) {
                Ok(text) => files.push((name, shown, text)),
                Err(error) if error.kind() == ErrorKind::InvalidData => wrong(PromptProblemKind::NotText),
                Err(error) => return Err(unreadable(&path)(error)),
            }
        }
    }
    Ok(PromptFolder { files, problems })
}

/// Reads the text of a file. If the file is too long, reads only slightly more than the limit.
fn read_text(path: &Path, max_bytes: usize) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max_bytes as u64 + 4).read_to_end(&mut bytes)?;
    let cut = bytes.len() > max_bytes;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // The size limit may have cut the text within a character.
        Err(error) if cut => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        Err(error) => Err(std::io::Error::new(ErrorKind::InvalidData, error)),
    }
}

/// Returns true for a name such as `review/role`: words of lower-case letters, digits and `-`, between `/`.
fn is_module_name(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.split('/').all(is_word)
}

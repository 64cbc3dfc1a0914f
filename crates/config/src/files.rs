//! Locates and reads configuration files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::layer::{CONFIG_VARIABLE, SourceFile};
use super::problem::{ConfigError, ConfigProblem, MAX_REPOSITORY_FILE_BYTES};
use super::regular_file::open_regular_file;
use crate::environment::Environment;

/// Maximum size in bytes of the operator's file. Parsing a file may require four hundred times its size in
/// memory.
pub(super) const MAX_OPERATOR_FILE_BYTES: u64 = 512 << 10;
/// Name of a repository's configuration file, which is in the repository's root folder.
pub const REPOSITORY_FILE: &str = ".truing.toml";

/// Reads the operator's file: `config_flag` (the flag `--config`), else the path in `TRUING_CONFIG`, else
/// `truing/truing.toml` in the user's configuration folder. Only the third file may be absent.
///
/// # Errors
/// [`ConfigProblem::Unreadable`] if the file cannot be read.
pub fn read_operator_file(
    environment: &Environment,
    config_flag: Option<&Path>,
) -> Result<Option<SourceFile>, ConfigError> {
    let variable = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(Path::new);
    if let Some(path) = config_flag.or(variable) {
        return read_named_file(path, &environment.directory().join(path)).map(Some);
    }
    match operator_file_path(environment) {
        Some(path) if path.exists() => read_named_file(&path, &path).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// Returns the default path of the operator's file.
pub fn operator_file_path(environment: &Environment) -> Option<PathBuf> {
    Some(environment.user_folder("XDG_CONFIG_HOME", ".config")?.join("truing/truing.toml"))
}

/// Reads a repository's configuration file from the root folder of a working tree, if the file exists. Only
/// local runs call this function. A server reads the file from the tip of the default branch.
///
/// # Errors
/// [`ConfigProblem::UnreadableRepositoryFile`] if the file cannot be read or is not a regular file. A link is
/// not a regular file.
pub fn read_repository_file(root: &Path) -> Result<Option<SourceFile>, ConfigError> {
    let path = root.join(REPOSITORY_FILE);
    let name = path.display().to_string();
    let unreadable = |reason: String| ConfigProblem::UnreadableRepositoryFile { file: name.clone(), reason };
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {
            let text = read_regular_file(&path, MAX_REPOSITORY_FILE_BYTES).map_err(unreadable)?;
            Ok(Some(SourceFile { name, folder: root.to_owned(), text }))
        }
        Ok(_) => Err(unreadable("it is not a regular file".to_owned()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string()).into()),
    }
}

/// Reads the file at `path`; messages name the file as `display_path`.
///
/// # Errors
/// [`ConfigProblem::Unreadable`] if the file cannot be read.
pub fn read_named_file(display_path: &Path, path: &Path) -> Result<SourceFile, ConfigError> {
    let name = display_path.display().to_string();
    let text = read_regular_file(path, MAX_OPERATOR_FILE_BYTES)
        .map_err(|reason| ConfigProblem::Unreadable { file: name.clone(), reason })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(SourceFile { name, folder, text })
}

/// Returns the text of a regular file of at most `max_bytes` bytes, or the reason why the file cannot be
/// read.
fn read_regular_file(path: &Path, max_bytes: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = open_regular_file(path).map_err(|error| error.to_string())?;
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("it is longer than {} KiB", max_bytes >> 10));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truing.toml");
        let most = usize::try_from(MAX_OPERATOR_FILE_BYTES).unwrap();
        std::fs::write(&path, format!("#{}", "x".repeat(most - 1))).unwrap();
        assert_eq!(read_named_file(Path::new("truing.toml"), &path).unwrap().text.len(), most);
        std::fs::write(&path, format!("#{}", "x".repeat(most))).unwrap();
        let told = read_named_file(Path::new("truing.toml"), &path).unwrap_err().to_string();
        assert!(told.contains("truing.toml") && told.contains("longer than 512 KiB"), "{told}");
    }
}

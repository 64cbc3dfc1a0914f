//! The repository's own configuration file, and the names of its keys that are not used.

use truing_config::REPOSITORY_FILE;
use truing_config::layer::SourceFile;
use truing_core::id::Sha;
use truing_git::LocalRepository;
use truing_loops::checkout;
use truing_loops::local::LocalReviewError;

use crate::cli::error::CliError;
use crate::wiring;

/// Maximum number of keys that a warning names.
const MAX_NAMED_KEYS: usize = 10;

/// Reads the repository's own configuration from a commit. If `commit` is `None`, reads it from the working
/// tree.
pub(crate) async fn read_repository_config(
    repository: &LocalRepository,
    commit: Option<&Sha>,
) -> Result<Option<SourceFile>, CliError> {
    let Some(commit) = commit else {
        return Ok(truing_config::read_repository_file(repository.root())?);
    };
    let folder = truing_git::PrivateFolder::new().map_err(LocalReviewError::TemporaryFolder)?;
    let only = [REPOSITORY_FILE.into()];
    let exported = repository.export(commit, folder.path(), Some(&only)).await.map_err(wiring::git_error)?;
    Ok(checkout::read_exported_config(&exported, &folder, commit)?)
}

/// Returns a warning that names the keys of the repository's own file that are not used; `None` if there are
/// no such keys.
pub(crate) fn denied_keys_warning(keys: &[String]) -> Option<String> {
    let (names, verb) = (denied_key_names(keys)?, if keys.len() == 1 { "is" } else { "are" });
    Some(format!(
        "{names} of the repository's own file {verb} not used: the operator's `verify.from_repository` is \
         false (to allow such keys, set `verify.from_repository = true` in the operator's file)"
    ))
}

/// Returns the names of the keys as a list, with at most [`MAX_NAMED_KEYS`] names; `None` if there are none.
pub(crate) fn denied_key_names(keys: &[String]) -> Option<String> {
    let shown: Vec<String> = keys.iter().take(MAX_NAMED_KEYS).map(|key| format!("`{key}`")).collect();
    let more = match keys.len().saturating_sub(MAX_NAMED_KEYS) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    (!shown.is_empty()).then(|| shown.join(", ") + &more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_the_denied_keys_up_to_a_limit() {
        assert_eq!(denied_keys_warning(&[]), None);
        assert_eq!(
            denied_keys_warning(&["review.tools".to_owned()]).unwrap(),
            "`review.tools` of the repository's own file is not used: the operator's \
             `verify.from_repository` is false (to allow such keys, set `verify.from_repository = true` in \
             the operator's file)"
        );
        let keys: Vec<String> = (0..12).map(|at| format!("tool.t{at:02}.when")).collect();
        let warning = denied_keys_warning(&keys).unwrap();
        assert!(
            warning.contains("`tool.t09.when` and 2 more of the repository's own file are not used"),
            "{warning}"
        );
    }
}

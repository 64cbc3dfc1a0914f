//! Finds programs by their names in `PATH`.

use truing_config::environment::Environment;
use truing_git::SearchPath;

/// Returns the search path from `PATH`, without folders inside the repository of the current folder or of the
/// command's target.
pub(super) fn search_path(environment: &Environment) -> SearchPath {
    SearchPath::from_path_variable(
        environment.get("PATH").unwrap_or_default(),
        environment.reviewed_folders(),
    )
}

//! The programs that are started by their names.

use truing_config::environment::Environment;
use truing_git::SearchPath;

/// Those of `PATH`, without those of the repository that the command stands in, or is about.
pub(super) fn programs(environment: &Environment) -> SearchPath {
    SearchPath::of(environment.get("PATH").unwrap_or_default(), environment.reviewed())
}

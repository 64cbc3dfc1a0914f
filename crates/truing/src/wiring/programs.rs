//! The programs that are started by their names.

use truing_config::environment::Environment;
use truing_git::Programs;

/// Those of `PATH`, without those of the repository that the command stands in, or is about.
pub(super) fn programs(environment: &Environment) -> Programs {
    Programs::of(environment.get("PATH").unwrap_or_default(), environment.reviewed())
}

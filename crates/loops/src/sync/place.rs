//! Determines where a project's files declare the requirement.

use std::path::Path;

use truing_config::sync::JobConfig;
use truing_upstream::project_requirement::RequirementPlace;

/// Returns the location of a job's requirement in `file`. `file` must be the path of
/// [`JobConfig::constraint_file`] in the project's folder.
pub fn requirement_place<'a>(job: &'a JobConfig, file: &'a Path) -> RequirementPlace<'a> {
    let JobConfig { registry, package, constraint_path: key_path, style, .. } = job;
    RequirementPlace { file, key_path, package, registry: *registry, style: *style }
}

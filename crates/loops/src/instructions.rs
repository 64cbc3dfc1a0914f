//! Adds to the memory of a review the operator's instructions for the changed paths.

use std::sync::Arc;

use truing_core::tier::RuleOwner;
use truing_diff::{FileStatus, parse_files};

use crate::agent::ReviewContext;
use crate::reading::{ReviewScope, ReviewedChange};

/// Returns the paths of the changed files; empty if the change cannot be parsed. For a renamed file, both the
/// old and the new path are returned.
pub(crate) fn changed_paths(change: &ReviewedChange) -> Vec<String> {
    let mut paths = Vec::new();
    for file in parse_files(&change.diff).map_while(Result::ok) {
        paths.push(file.path.to_string());
        if file.status == FileStatus::Renamed {
            paths.extend(file.old_path.as_ref().map(ToString::to_string));
        }
    }
    paths.extend(change.omitted_files.iter().map(|gap| gap.path.to_string()));
    paths
}

/// Adds the instructions that apply to this change of a repository (`owner/name`) to the recalled memory.
pub(crate) fn add_instructions(
    recalled: ReviewContext,
    scope: &ReviewScope,
    repository: Option<&str>,
    change: &ReviewedChange,
) -> ReviewContext {
    let found = scope.instructions.for_change(repository, &changed_paths(change));
    if found.is_empty() {
        return recalled;
    }
    let (own, operators): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|instruction| instruction.owner == RuleOwner::Repository);
    let memory = recalled.memory.with_instructions(operators.into_iter().chain(own));
    ReviewContext { memory: Arc::new(memory), repository_source: recalled.repository_source }
}

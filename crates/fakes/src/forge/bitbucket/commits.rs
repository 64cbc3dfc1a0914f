//! Stores build statuses, reports and annotations of commits.

use serde_json::Value;

use crate::forge::state::reports::{CommitReport, ReportAnnotation};
use crate::forge::state::{CommitStatus, ForgeInstance, StoredRepository};

/// Converts Bitbucket's name of a build state to GitHub's name; `None` for an unknown name.
pub(super) fn parse_build_state(state_name: &str) -> Option<&'static str> {
    match state_name {
        "SUCCESSFUL" => Some("success"),
        "FAILED" => Some("failure"),
        "INPROGRESS" => Some("pending"),
        "STOPPED" | "CANCELLED" => Some("error"),
        _ => None,
    }
}

/// Returns Bitbucket's name of a state. `stopped_name` is the forge's name for the state of a build that a
/// person stopped.
pub(super) fn status_name(state: &str, stopped_name: &'static str) -> &'static str {
    match state {
        "success" => "SUCCESSFUL",
        "failure" => "FAILED",
        "pending" => "INPROGRESS",
        _ => stopped_name,
    }
}

/// Sets a status. A status with the same key on the same commit is overwritten and keeps its id.
pub(super) fn set_status(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    status: CommitStatus,
) -> u64 {
    let same = |known: &&mut CommitStatus| known.sha == status.sha && known.context == status.context;
    if let Some(known) = repo.statuses.iter_mut().find(same) {
        let (id, created) = (known.id, known.created_at);
        *known = CommitStatus { id, created_at: created, ..status };
        return id;
    }
    let id = forge.next_id();
    repo.statuses.push(CommitStatus { id, ..status });
    id
}

/// Returns the report with this key on a commit.
pub(super) fn find_report<'a>(repo: &'a StoredRepository, sha: &str, key: &str) -> Option<&'a CommitReport> {
    repo.reports.iter().find(|report| report.sha == sha && report.key == key)
}

/// Returns the report with this key on a commit, mutably.
pub(super) fn report_mut<'a>(
    repo: &'a mut StoredRepository,
    sha: &str,
    key: &str,
) -> Option<&'a mut CommitReport> {
    repo.reports.iter_mut().find(|report| report.sha == sha && report.key == key)
}

/// Creates a report, or replaces the fields of an existing report and keeps the report's annotations.
pub(super) fn put_report(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    sha: &str,
    key: &str,
    creator: &str,
    fields: Value,
) {
    let now = forge.now();
    if let Some(known) = report_mut(repo, sha, key) {
        (known.fields, known.updated_at) = (fields, now);
        return;
    }
    let report = CommitReport {
        id: forge.next_id(),
        sha: sha.to_owned(),
        key: key.to_owned(),
        fields,
        annotations: Vec::new(),
        creator: creator.to_owned(),
        created_at: now,
        updated_at: now,
    };
    repo.reports.push(report);
}

/// Creates an annotation with a new id.
pub(super) fn new_annotation(forge: &mut ForgeInstance, fields: Value) -> ReportAnnotation {
    ReportAnnotation { id: forge.next_id(), fields, created_at: forge.now() }
}

//! Check runs in GitHub's format.

use serde_json::{Value, json};

use crate::forge::github::json::{format_time, node_id};
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::{ForgeInstance, StoredRepository};

impl ForgeInstance {
    /// Returns the suite of a check run in the format of events. The suite's list of pull requests is empty,
    /// as at GitHub for a pull request from a fork.
    pub(crate) fn check_suite_json(&self, repo: &StoredRepository, run: &FakeCheckRun) -> Value {
        json!({
            "id": repo.id, "node_id": node_id("CheckSuite", repo.id), "head_sha": run.sha, "status": "queued",
            "conclusion": null, "app": self.account_app_json(&run.creator), "pull_requests": [],
        })
    }

    /// Returns a check run (`check-run`).
    pub(crate) fn check_run_json(&self, repo: &StoredRepository, run: &FakeCheckRun) -> Value {
        let own = format!("{}/repos/{}/check-runs/{}", self.base_url, repo.full_name(), run.id);
        let page = format!("{}/{}/runs/{}", self.base_url, repo.full_name(), run.id);
        let done = run.conclusion.as_ref().map(|_| format_time(run.created_at));
        json!({
            "id": run.id, "node_id": node_id("CheckRun", run.id), "head_sha": run.sha, "name": run.name,
            "external_id": run.external_id, "url": own, "html_url": page, "details_url": page,
            "status": run.status, "conclusion": run.conclusion, "started_at": format_time(run.created_at),
            "completed_at": done, "check_suite": {"id": repo.id}, "pull_requests": [],
            "app": self.account_app_json(&run.creator),
            "output": {
                "title": run.title, "summary": run.summary, "text": null,
                "annotations_count": run.annotations.len(), "annotations_url": format!("{own}/annotations"),
            },
        })
    }
}

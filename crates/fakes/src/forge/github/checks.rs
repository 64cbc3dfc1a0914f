//! Handles calls about check runs. Only GitHub Apps can create and change check runs. A call can add up to 50
//! annotations; annotations cannot be removed.

use serde_json::{Value, json};

use crate::forge::github::call::{ApiCall, ApiResponse, CallResult, PageRequest};
use crate::forge::state::apps::FakeTokenScope;
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::{FakeForgeState, ForgeInstance, StoredRepository};

/// Maximum number of annotations in one call.
pub const MAX_ANNOTATIONS: usize = 50;
/// Maximum length of a summary or text, in characters.
pub const MAX_OUTPUT_CHARS: usize = 65_535;
/// Conclusions of a finished check run.
const CONCLUSIONS: &[&str] =
    &["action_required", "cancelled", "failure", "neutral", "skipped", "success", "timed_out"];

/// Handles the call `POST …/check-runs`.
pub(crate) fn create(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = repository_for_app(state, call)?;
    let text = |field: &str| call.body[field].as_str().map(str::to_owned);
    let name = text("name").ok_or_else(|| invalid_check_run("name is missing"))?;
    let sha = text("head_sha").filter(|sha| repo.git.contains(sha));
    let sha = sha.ok_or_else(|| invalid_check_run("No commit found for SHA"))?;
    let mut run = FakeCheckRun {
        id: world.next_id(),
        sha,
        name,
        external_id: None,
        status: "queued".into(),
        conclusion: None,
        title: None,
        summary: None,
        annotations: Vec::new(),
        creator: call.login.clone(),
        created_at: world.now(),
        is_rerun_requested: false,
    };
    run.apply_body(&call.body)?;
    let reply = ApiResponse::json(201, world.check_run_json(repo, &run));
    repo.checks.push(run);
    Ok(reply)
}

/// Handles the call `PATCH …/check-runs/{id}`.
pub(crate) fn update(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let id = call.require_number("id")?;
    let (world, repo) = repository_for_app(state, call)?;
    let run = repo.checks.iter_mut().find(|run| run.id == id && run.creator == call.login);
    let run = run.ok_or_else(ApiResponse::not_found)?;
    run.apply_body(&call.body)?;
    let run = run.clone();
    Ok(ApiResponse::json(200, world.check_run_json(repo, &run)))
}

/// Handles `GET …/commits/{sha}/check-runs`, newest first.
pub(crate) fn list(state: &mut FakeForgeState, call: &ApiCall) -> CallResult {
    let (world, repo) = state.find_repository(call)?;
    let wanted = |run: &&FakeCheckRun| {
        let app = world.account_app_json(&run.creator)["id"].to_string();
        run.sha == call.path_param("sha")
            && call.query_params.get("check_name").is_none_or(|name| *name == run.name)
            && call.query_params.get("app_id").is_none_or(|id| *id == app)
    };
    let mut found: Vec<&FakeCheckRun> = repo.checks.iter().rev().filter(wanted).collect();
    let all = found.len();
    if call.query_params.get("filter").is_none_or(|filter| filter == "latest") {
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|run| seen.insert((run.name.clone(), run.creator.clone())));
    }
    let page = PageRequest::from_call(call);
    let shown: Vec<Value> =
        page.page_items(&found).iter().map(|run| world.check_run_json(repo, run)).collect();
    Ok(ApiResponse::json(200, json!({"total_count": all, "check_runs": shown})))
}

/// Returns the repository, if the token belongs to an installation of an App.
fn repository_for_app<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<(&'a mut ForgeInstance, &'a mut StoredRepository), ApiResponse> {
    match call.token_scope {
        FakeTokenScope::Installation { .. } => state.find_repository(call),
        FakeTokenScope::Account | FakeTokenScope::AccessToken | FakeTokenScope::App(_) => {
            Err(ApiResponse::error(403, "You must authenticate via a GitHub App.", Value::Null))
        }
    }
}

fn invalid_check_run(message: &str) -> ApiResponse {
    ApiResponse::error(422, &format!("Invalid request.\n\n{message}"), Value::Null)
}

impl FakeCheckRun {
    /// Sets the fields that the body contains, and adds the body's annotations. An invalid body changes
    /// nothing.
    fn apply_body(&mut self, body: &Value) -> Result<(), ApiResponse> {
        let mut next = self.clone();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        next.external_id = text(&body["external_id"]).or(next.external_id);
        next.status = text(&body["status"]).unwrap_or(next.status);
        if let Some(conclusion) = text(&body["conclusion"]) {
            if !CONCLUSIONS.contains(&conclusion.as_str()) {
                return Err(invalid_check_run("conclusion is not in the list"));
            }
            (next.status, next.conclusion) = ("completed".into(), Some(conclusion));
        }
        if next.status == "completed" && next.conclusion.is_none() {
            return Err(invalid_check_run("conclusion is missing"));
        }
        let output = &body["output"];
        if !output.is_null() {
            let summary =
                text(&output["summary"]).ok_or_else(|| invalid_check_run("output.summary is missing"))?;
            if summary.chars().count() > MAX_OUTPUT_CHARS {
                return Err(invalid_check_run("output.summary exceeds a maximum of 65535 characters"));
            }
            next.title = text(&output["title"]).or(next.title);
            next.summary = Some(summary);
            let more = output["annotations"].as_array().cloned().unwrap_or_default();
            if more.len() > MAX_ANNOTATIONS {
                return Err(invalid_check_run("No more than 50 items are allowed; 51 were supplied."));
            }
            let right = |annotation: &Value| {
                let (start, end) = (annotation["start_line"].as_u64(), annotation["end_line"].as_u64());
                annotation["path"].is_string()
                    && annotation["message"].is_string()
                    && start.is_some_and(|start| start > 0 && Some(start) <= end)
                    && annotation["annotation_level"]
                        .as_str()
                        .is_some_and(|level| matches!(level, "notice" | "warning" | "failure"))
            };
            if !more.iter().all(right) {
                return Err(invalid_check_run("an annotation is not as it must be"));
            }
            next.annotations.extend(more);
        }
        next.is_rerun_requested = false;
        *self = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_added_fifty_a_call_all_or_nothing() {
        let mut run = FakeCheckRun {
            id: 1,
            sha: String::new(),
            name: "x".into(),
            external_id: None,
            status: "queued".into(),
            conclusion: None,
            title: None,
            summary: None,
            annotations: Vec::new(),
            creator: "x[bot]".into(),
            created_at: 0,
            is_rerun_requested: false,
        };
        let one = json!({
            "path": "a.py", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "m",
        });
        let with =
            |count: usize| json!({"output": {"summary": "s", "annotations": vec![one.clone(); count]}});
        assert_eq!(run.apply_body(&with(51)).unwrap_err().status, 422);
        assert_eq!((run.annotations.len(), &run.summary), (0, &None));
        for _ in 0..2 {
            run.apply_body(&with(50)).unwrap();
        }
        assert_eq!(run.annotations.len(), 100);
        for wrong in [
            json!({"conclusion": "good"}),
            json!({"status": "completed"}),
            json!({"output": {}}),
            json!({"output": {"summary": "x".repeat(MAX_OUTPUT_CHARS + 1)}}),
            json!({"output": {"summary": "s", "annotations": [{"path": "a.py"}]}}),
        ] {
            assert_eq!(run.apply_body(&wrong).unwrap_err().status, 422, "{wrong}");
        }
    }
}

//! Check runs: made and changed by GitHub Apps alone, with annotations that are only ever added, 50 a call.

use serde_json::{Value, json};

use crate::forge::FakeError;
use crate::forge::app::Pass;
use crate::forge::calls::{Answer, Page};
use crate::forge::json::time;
use crate::forge::people::Repo;
use crate::forge::routes::{Call, Reply};
use crate::forge::state::{Repository, State, World, node_id};

/// Most annotations of one call.
pub const MAX_ANNOTATIONS: usize = 50;
/// Longest summary or text, in characters.
pub const MAX_TEXT: usize = 65_535;
/// What a finished check run may have come to.
const CONCLUSIONS: &[&str] =
    &["action_required", "cancelled", "failure", "neutral", "skipped", "success", "timed_out"];

/// A check run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRun {
    /// Its id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// What it is called.
    pub name: String,
    /// What its maker knows it by.
    pub external_id: Option<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// What it came to.
    pub conclusion: Option<String>,
    /// Its heading.
    pub title: Option<String>,
    /// Its text.
    pub summary: Option<String>,
    /// What was said of lines, as it was sent.
    pub annotations: Vec<Value>,
    /// Whose it is: the App's account.
    pub creator: String,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// Has somebody asked for it again, and its App not updated it since? Its suite is shown as queued until then.
    pub asked: bool,
}

/// Which of GitHub's buttons is pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// "Re-run" of one check.
    Run,
    /// "Re-run all checks" of its App on the commit.
    Suite,
}

impl Repo {
    /// Asks for a check run, or all of its suite, again, as this person.
    pub async fn rerun(&self, run: u64, by: &str, again: Again) -> Result<(), FakeError> {
        let by = by.to_owned();
        self.with(move |world, repo| {
            world.account(&by);
            let known = repo.checks.iter_mut().find(|known| known.id == run);
            let known = known.ok_or_else(|| FakeError::Missing(format!("check run {run}")))?;
            known.asked = true;
            let run = known.clone();
            let (event, of) = match again {
                Again::Run => ("check_run", world.check_json(repo, &run)),
                Again::Suite => ("check_suite", world.suite_json(repo, &run)),
            };
            let payload = json!({
                "action": "rerequested", event: of, "repository": world.repository_json(repo),
                "sender": world.user_json(&by),
                "installation": {"id": repo.id, "node_id": node_id("Installation", repo.id)},
            });
            world.send(event, "rerequested", 0, &payload);
            Ok(())
        })
        .await
    }
}

/// `POST …/check-runs`.
pub(crate) fn create(state: &mut State, call: &Call) -> Answer {
    let (world, repo) = of_an_app(state, call)?;
    let text = |field: &str| call.body[field].as_str().map(str::to_owned);
    let name = text("name").ok_or_else(|| invalid("name is missing"))?;
    let sha = text("head_sha").filter(|sha| repo.git.contains(sha));
    let sha = sha.ok_or_else(|| invalid("No commit found for SHA"))?;
    let mut run = CheckRun {
        id: world.id(),
        sha,
        name,
        external_id: None,
        status: "queued".into(),
        conclusion: None,
        title: None,
        summary: None,
        annotations: Vec::new(),
        creator: call.login.clone(),
        created: world.now(),
        asked: false,
    };
    run.change(&call.body)?;
    let reply = Reply::json(201, world.check_json(repo, &run));
    repo.checks.push(run);
    Ok(reply)
}

/// `PATCH …/check-runs/{id}`.
pub(crate) fn update(state: &mut State, call: &Call) -> Answer {
    let id = call.number("id")?;
    let (world, repo) = of_an_app(state, call)?;
    let run = repo.checks.iter_mut().find(|run| run.id == id && run.creator == call.login);
    let run = run.ok_or_else(Reply::not_found)?;
    run.change(&call.body)?;
    let run = run.clone();
    Ok(Reply::json(200, world.check_json(repo, &run)))
}

/// `GET …/commits/{sha}/check-runs`, newest first.
pub(crate) fn list(state: &mut State, call: &Call) -> Answer {
    let (world, repo) = state.repo(call)?;
    let wanted = |run: &&CheckRun| {
        let app = world.app_json(&run.creator)["id"].to_string();
        run.sha == call.param("sha")
            && call.query.get("check_name").is_none_or(|name| *name == run.name)
            && call.query.get("app_id").is_none_or(|id| *id == app)
    };
    let mut found: Vec<&CheckRun> = repo.checks.iter().rev().filter(wanted).collect();
    let all = found.len();
    if call.query.get("filter").is_none_or(|filter| filter == "latest") {
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|run| seen.insert((run.name.clone(), run.creator.clone())));
    }
    let page = Page::of(call);
    let shown: Vec<Value> = page.cut(&found).iter().map(|run| world.check_json(repo, run)).collect();
    Ok(Reply::json(200, json!({"total_count": all, "check_runs": shown})))
}

/// The repository, for the token of an App's installation.
fn of_an_app<'a>(state: &'a mut State, call: &Call) -> Result<(&'a mut World, &'a mut Repository), Reply> {
    match call.pass {
        Pass::Installation { .. } => state.repo(call),
        Pass::Account | Pass::App(_) => {
            Err(Reply::error(403, "You must authenticate via a GitHub App.", Value::Null))
        }
    }
}

fn invalid(message: &str) -> Reply {
    Reply::error(422, &format!("Invalid request.\n\n{message}"), Value::Null)
}

impl CheckRun {
    /// Sets what the body says, and adds its annotations; all of it or nothing.
    fn change(&mut self, body: &Value) -> Result<(), Reply> {
        let mut next = self.clone();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        next.external_id = text(&body["external_id"]).or(next.external_id);
        next.status = text(&body["status"]).unwrap_or(next.status);
        if let Some(conclusion) = text(&body["conclusion"]) {
            if !CONCLUSIONS.contains(&conclusion.as_str()) {
                return Err(invalid("conclusion is not in the list"));
            }
            (next.status, next.conclusion) = ("completed".into(), Some(conclusion));
        }
        if next.status == "completed" && next.conclusion.is_none() {
            return Err(invalid("conclusion is missing"));
        }
        let output = &body["output"];
        if !output.is_null() {
            let summary = text(&output["summary"]).ok_or_else(|| invalid("output.summary is missing"))?;
            if summary.chars().count() > MAX_TEXT {
                return Err(invalid("output.summary exceeds a maximum of 65535 characters"));
            }
            next.title = text(&output["title"]).or(next.title);
            next.summary = Some(summary);
            let more = output["annotations"].as_array().cloned().unwrap_or_default();
            if more.len() > MAX_ANNOTATIONS {
                return Err(invalid("No more than 50 items are allowed; 51 were supplied."));
            }
            let right = |one: &Value| {
                let (start, end) = (one["start_line"].as_u64(), one["end_line"].as_u64());
                one["path"].is_string()
                    && one["message"].is_string()
                    && start.is_some_and(|start| start > 0 && Some(start) <= end)
                    && one["annotation_level"]
                        .as_str()
                        .is_some_and(|level| matches!(level, "notice" | "warning" | "failure"))
            };
            if !more.iter().all(right) {
                return Err(invalid("an annotation is not as it must be"));
            }
            next.annotations.extend(more);
        }
        next.asked = false;
        *self = next;
        Ok(())
    }
}

impl World {
    /// The suite of a check run, as an event has it. It names no pull request, as for one from a fork.
    fn suite_json(&self, repo: &Repository, run: &CheckRun) -> Value {
        json!({
            "id": repo.id, "node_id": node_id("CheckSuite", repo.id), "head_sha": run.sha, "status": "queued",
            "conclusion": null, "app": self.app_json(&run.creator), "pull_requests": [],
        })
    }

    /// A check run (`check-run`).
    fn check_json(&self, repo: &Repository, run: &CheckRun) -> Value {
        let own = format!("{}/repos/{}/check-runs/{}", self.base_url, repo.full_name(), run.id);
        let page = format!("{}/{}/runs/{}", self.base_url, repo.full_name(), run.id);
        let done = run.conclusion.as_ref().map(|_| time(run.created));
        json!({
            "id": run.id, "node_id": node_id("CheckRun", run.id), "head_sha": run.sha, "name": run.name,
            "external_id": run.external_id, "url": own, "html_url": page, "details_url": page,
            "status": run.status, "conclusion": run.conclusion, "started_at": time(run.created),
            "completed_at": done, "check_suite": {"id": repo.id}, "pull_requests": [],
            "app": self.app_json(&run.creator),
            "output": {
                "title": run.title, "summary": run.summary, "text": null,
                "annotations_count": run.annotations.len(), "annotations_url": format!("{own}/annotations"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_added_fifty_a_call_all_or_nothing() {
        let mut run = CheckRun {
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
            created: 0,
            asked: false,
        };
        let one = json!({
            "path": "a.py", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "m",
        });
        let with =
            |count: usize| json!({"output": {"summary": "s", "annotations": vec![one.clone(); count]}});
        assert_eq!(run.change(&with(51)).unwrap_err().status, 422);
        assert_eq!((run.annotations.len(), &run.summary), (0, &None));
        for _ in 0..2 {
            run.change(&with(50)).unwrap();
        }
        assert_eq!(run.annotations.len(), 100);
        for wrong in [
            json!({"conclusion": "good"}),
            json!({"status": "completed"}),
            json!({"output": {}}),
            json!({"output": {"summary": "x".repeat(MAX_TEXT + 1)}}),
            json!({"output": {"summary": "s", "annotations": [{"path": "a.py"}]}}),
        ] {
            assert_eq!(run.change(&wrong).unwrap_err().status, 422, "{wrong}");
        }
    }
}

//! The tools that read pull requests.

use std::slice;

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::id::PrId;
use truing_core::port::{ForgeRead as _, PullDetails, PullRevision, PullState};
use truing_diff::parse;
use truing_forge::ForgeServer as _;
use truing_forge::remote::RemotePurpose;
use truing_loops::checkout;
use truing_loops::checkout::load_change;
use truing_loops::fetch;
use truing_loops::reading::ReviewedChange;

use super::{ForgeTools, PullRequestTarget, ToolError, parse_input};

/// Largest size of a diff in one answer, in bytes.
const MAX_DIFF_BYTES: usize = 400_000;
/// Default number and largest number of pull requests in a list.
const DEFAULT_LISTED_PULLS: usize = 50;
const MAX_LISTED_PULLS: usize = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyInput {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListPullsInput {
    repository: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PullRequestInput {
    repository: Option<String>,
    number: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffInput {
    repository: Option<String>,
    number: u64,
    path: Option<String>,
}

impl ForgeTools {
    pub(super) async fn current_repo(&self, arguments: Value) -> Result<Value, ToolError> {
        let EmptyInput {} = parse_input(arguments)?;
        let Some(here) = &self.forge.local_clone else {
            return Err(ToolError(format!(
                "the server was not started in a clone of a repository of forge {}: name the repository in \
                 each call",
                self.forge.name
            )));
        };
        let seen = self.server.repository(&here.repository).await?;
        let (workspace, slug) = seen.name.rsplit_once('/').unwrap_or_default();
        Ok(json!({
            "forge": self.forge.name, "repository": seen.name, "workspace": workspace, "repo_slug": slug,
            "id": seen.id, "archived": seen.archived, "branch": here.branch,
        }))
    }

    pub(super) async fn list_pull_requests(&self, arguments: Value) -> Result<Value, ToolError> {
        let ListPullsInput { repository, limit } = parse_input(arguments)?;
        let repository = self.resolve_repository(repository.as_deref())?;
        let most = limit.unwrap_or(DEFAULT_LISTED_PULLS).clamp(1, MAX_LISTED_PULLS);
        let (pulls, complete) = self.server.list_open_pulls(repository, most).await?;
        let pulls = pulls.into_iter().map(|pull| {
            json!({
                "number": pull.number, "title": pull.title, "url": pull.url, "author": pull.author,
                "draft": pull.draft, "head": pull.head.as_str(), "branch": pull.branch,
                "base_branch": pull.base_branch,
            })
        });
        Ok(json!({
            "repository": repository, "pull_requests": pulls.collect::<Vec<_>>(), "complete": complete,
        }))
    }

    pub(super) async fn get_pull_request(&self, arguments: Value) -> Result<Value, ToolError> {
        let PullRequestInput { repository, number } = parse_input(arguments)?;
        let pull = self.resolve_pull(&PullRequestTarget { repository, number }).await?;
        let now = self.client(&pull).pull_details().await?;
        let state = match now.state {
            PullState::Open => "open",
            PullState::Draft => "draft",
            PullState::Merged => "merged",
            PullState::Closed => "closed",
        };
        let requested: Vec<String> = now.requested_reviewers.into_iter().map(|asked| asked.login).collect();
        Ok(json!({
            "repository": pull.1, "number": number, "url": now.url, "title": now.title,
            "description": now.body,
            "state": state, "author": now.author.map(|author| author.login), "head": now.head.sha.as_str(),
            "branch": now.head.branch,
            "head_repository": now.head.repository.map(|repository| repository.name),
            "base": now.base.as_str(), "base_branch": now.base_branch, "labels": now.labels,
            "requested_reviewers": requested,
        }))
    }

    pub(super) async fn get_pull_request_diff(&self, arguments: Value) -> Result<Value, ToolError> {
        let DiffInput { repository, number, path } = parse_input(arguments)?;
        let pull = self.resolve_pull(&PullRequestTarget { repository, number }).await?;
        let now = self.client(&pull).pull_details().await?;
        let change = self.load_change(&pull, &now).await?;
        let (diff, left_out) = diff_excerpt(&change.diff, path.as_deref())?;
        Ok(json!({
            "repository": pull.1, "number": number, "base": change.base.as_str(),
            "head": now.head.sha.as_str(),
            "diff": diff, "left_out": left_out,
        }))
    }
}

impl ForgeTools {
    /// Computes the change of a pull request since the commit at which its branch diverged from the base
    /// branch.
    pub(super) async fn load_change(
        &self,
        (id, name): &(PrId, String),
        pull_details: &PullDetails,
    ) -> Result<ReviewedChange, ToolError> {
        let (head, base) = (&pull_details.head.sha, &pull_details.base);
        let remote = self.server.resolve_remote(&id.repository, name, RemotePurpose::Fetch).await?;
        let mirror = self
            .forge
            .git
            .open_mirror(&checkout::mirror_path(&self.forge.mirrors_folder, id), &remote)
            .await?;
        let from = pull_details.head.repository.as_ref();
        fetch::fetch_commits(&self.server, &mirror, head, from, slice::from_ref(base)).await?;
        Ok(load_change(&mirror, &PullRevision { head: head.clone(), base: base.clone() }).await?)
    }
}

/// Returns the diffs of the files that fit into one answer, and the names of the other files. If `path` is
/// given, returns only the diff of that file.
fn diff_excerpt(diff: &[u8], path: Option<&str>) -> Result<(String, Vec<String>), ToolError> {
    let (mut text, mut left_out, mut is_there) = (String::new(), Vec::new(), false);
    for section in split_diff_sections(diff) {
        let Some(file) = parse(section).files.into_iter().next() else { continue };
        let name = file.path.to_string();
        if path.is_some_and(|path| path != name) {
            continue;
        }
        is_there = true;
        if text.len() + section.len() > MAX_DIFF_BYTES {
            left_out.push(name);
        } else {
            text.push_str(&String::from_utf8_lossy(section));
        }
    }
    match path {
        Some(path) if !is_there => Err(ToolError(format!("the pull request changes no file `{path}`"))),
        Some(path) if !left_out.is_empty() => Err(ToolError(format!(
            "the diff of `{path}` alone has more than {MAX_DIFF_BYTES} bytes: too large to return"
        ))),
        Some(_) | None => Ok((text, left_out)),
    }
}

/// Splits git's diff into one part for each file. A content line never begins with `diff --git`, because its
/// first character is a space, `+`, `-` or `\`.
fn split_diff_sections(diff: &[u8]) -> Vec<&[u8]> {
    let mut sections = Vec::new();
    let (mut begun, mut at) = (0, 0);
    for line in diff.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") && at > begun {
            sections.extend(diff.get(begun..at));
            begun = at;
        }
        at += line.len();
    }
    sections.extend(diff.get(begun..).filter(|rest| !rest.is_empty()));
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, lines: usize) -> String {
        let added = "+diff --git a/x b/x\n".repeat(lines);
        format!(
            "diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 \
             +1,{lines} @@\n{added}"
        )
    }

    #[test]
    fn a_diff_is_told_in_whole_files_and_the_others_are_named() {
        let (small, large, last) = (file("a", 2), file("b", MAX_DIFF_BYTES / 20 + 1), file("c d", 1));
        let diff = format!("{small}{large}{last}");
        let (text, left_out) = diff_excerpt(diff.as_bytes(), None).ok().unwrap();
        assert_eq!((text, left_out), (format!("{small}{last}"), vec!["b".to_owned()]));
        assert_eq!(diff_excerpt(diff.as_bytes(), Some("c d")).ok().unwrap(), (last, vec![]));
        assert!(diff_excerpt(diff.as_bytes(), Some("b")).err().unwrap().0.contains("`b` alone"));
        assert!(diff_excerpt(diff.as_bytes(), Some("e")).err().unwrap().0.contains("no file `e`"));
        assert_eq!(diff_excerpt(b"", None).ok().unwrap(), (String::new(), vec![]));
    }
}

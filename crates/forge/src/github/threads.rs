//! Review threads, which only the GraphQL API supports. Reads which threads are resolved, and resolves
//! threads.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use truing_core::id::ThreadId;
use truing_core::port::ForgeError;
use truing_core::publish::{ForgeThread, ThreadState};

use super::auth::{OptionalWrite, TokenScope};
use super::client::GitHubClient;
use crate::http::unavailable_error;

/// Maximum number of pages of threads that are read. At 100 threads a page, this is more than any pull
/// request shows.
const MAX_THREAD_PAGES: usize = 100;

/// Query for threads. `fullDatabaseId` is the number that REST calls `id`; the older `databaseId` is limited
/// to 31 bits.
const THREADS_QUERY: &str = "
query($owner: String!, $name: String!, $number: Int!, $after: String) {
  viewer { login }
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id isResolved isOutdated viewerCanResolve resolvedBy { login }
          comments(first: 1) { nodes { fullDatabaseId } }
        }
      }
    }
  }
}";
const RESOLVE_THREAD_MUTATION: &str = "
mutation($thread: ID!) {
  resolveReviewThread(input: { threadId: $thread }) { thread { id isResolved } }
}";
const UNRESOLVE_THREAD_MUTATION: &str = "
mutation($thread: ID!) {
  unresolveReviewThread(input: { threadId: $thread }) { thread { id isResolved } }
}";

/// A thread, with the REST number of the comment that began the thread.
pub(super) struct ListedThread {
    pub(super) first_comment: Option<u64>,
    /// True if the lines of the thread have changed since the thread began.
    pub(super) outdated: bool,
    pub(super) thread: ForgeThread,
}

#[derive(Deserialize)]
struct ThreadsData {
    viewer: Option<ThreadAccount>,
    repository: Option<RepositoryData>,
}

#[derive(Deserialize)]
struct ThreadAccount {
    login: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepositoryData {
    pull_request: Option<PullData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullData {
    review_threads: GraphQlConnection<ThreadNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphQlConnection<T> {
    #[serde(default)]
    page_info: PageInfo,
    nodes: Vec<T>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadNode {
    id: String,
    is_resolved: bool,
    #[serde(default)]
    is_outdated: bool,
    /// False if GitHub would reject resolving the thread.
    viewer_can_resolve: Option<bool>,
    /// Account that resolved the thread; null if the account is gone.
    resolved_by: Option<ThreadAccount>,
    comments: GraphQlConnection<CommentNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommentNode {
    #[serde(default, deserialize_with = "big_int")]
    full_database_id: Option<u64>,
}

#[derive(Deserialize)]
struct ThreadChangeData {
    #[serde(alias = "resolveReviewThread", alias = "unresolveReviewThread")]
    change: Option<ThreadChange>,
}

#[derive(Deserialize)]
struct ThreadChange {
    thread: Option<ChangedThread>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangedThread {
    id: String,
    is_resolved: bool,
}

/// Parses GraphQL's `BigInt`, which is a string. A number is accepted too.
fn big_int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())))
}

impl ThreadNode {
    fn state(&self, viewer: Option<&ThreadAccount>) -> ThreadState {
        // Only some responses contain an App's name with the suffix, so the suffix is removed.
        let bare = |account: &ThreadAccount| account.login.trim_end_matches("[bot]").to_ascii_lowercase();
        let by = self.resolved_by.as_ref().map(bare);
        match (self.is_resolved, by) {
            (false, _) => ThreadState::Open,
            (true, Some(by)) if viewer.map(bare) == Some(by.clone()) => ThreadState::ResolvedByUs,
            (true, _) => ThreadState::ResolvedByOthers,
        }
    }
}

impl GitHubClient {
    /// Lists every review thread of the pull request.
    pub(super) async fn thread_states(&self) -> Result<Vec<ListedThread>, ForgeError> {
        let request = self.pull_purpose("reading the review threads");
        let (owner, name) = self.repo.split_once('/').unwrap_or_default();
        let mut threads = Vec::new();
        let mut may = None;
        let mut after = None;
        for _ in 0..MAX_THREAD_PAGES {
            let variables = json!({ "owner": owner, "name": name, "number": self.id.number, "after": after });
            let data: ThreadsData =
                self.github.graphql(self.scope(), &request, THREADS_QUERY, variables).await?;
            let pull = data.repository.and_then(|repository| repository.pull_request);
            let Some(PullData { review_threads: page }) = pull else {
                return Err(ForgeError::NotFound { request });
            };
            let open = page.nodes.iter().filter(|node| !node.is_resolved);
            may = may.max(open.filter_map(|node| node.viewer_can_resolve).max());
            threads.extend(page.nodes.into_iter().map(|node| ListedThread {
                first_comment: node.comments.nodes.first().and_then(|comment| comment.full_database_id),
                outdated: node.is_outdated,
                thread: ForgeThread { state: node.state(data.viewer.as_ref()), id: ThreadId::new(node.id) },
            }));
            let next = page.page_info.end_cursor.filter(|_| page.page_info.has_next_page);
            if next.is_none() {
                // An App resolves threads with a different token, so this response does not show the
                // permission of that token.
                if let (Some(may), false) = (may, self.github.inner.auth.is_app()) {
                    self.record_permission(OptionalWrite::ThreadResolution, may);
                }
                return Ok(threads);
            }
            if next == after {
                return Err(unavailable_error(&request, "the forge's pages form a loop"));
            }
            after = next;
        }
        Err(unavailable_error(
            &request,
            &format!("the pull request has more than {MAX_THREAD_PAGES} pages of threads"),
        ))
    }

    /// Resolves or reopens a thread.
    pub(super) async fn set_resolved(&self, thread: &ThreadId, resolved: bool) -> Result<(), ForgeError> {
        let doing = if resolved { "resolving" } else { "reopening" };
        let what = self.pull_purpose(&format!("{doing} the thread {thread}"));
        let mutation = if resolved { RESOLVE_THREAD_MUTATION } else { UNRESOLVE_THREAD_MUTATION };
        let (scope, variables) =
            (TokenScope::RepositoryWrite(&self.id.repository, &self.repo), json!({ "thread": thread }));
        let changed = self.github.mutate(scope, &what, mutation, variables).await;
        let data: ThreadChangeData = self.record_write_result(OptionalWrite::ThreadResolution, changed)?;
        // GitHub reports success even if nothing was changed, so the returned state is checked.
        match data.change.and_then(|change| change.thread) {
            Some(now) if now.id == thread.as_str() && now.is_resolved == resolved => Ok(()),
            Some(_) => Err(unavailable_error(
                &what,
                "the forge reports success, but the state of the thread has not changed",
            )),
            None => Err(unavailable_error(
                &what,
                "the forge reports success, but the response contains no thread",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_comment_numbers_come_as_text() {
        let read = |json: &str| serde_json::from_str::<CommentNode>(json).unwrap().full_database_id;
        assert_eq!(read(r#"{"fullDatabaseId":"4294967297"}"#), Some(4_294_967_297));
        assert_eq!(read(r#"{"fullDatabaseId":7}"#), Some(7));
        assert_eq!(read(r#"{"fullDatabaseId":null}"#), None);
        assert_eq!(read("{}"), None);
    }
}

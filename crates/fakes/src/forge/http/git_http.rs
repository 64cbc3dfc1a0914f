//! Serves git over HTTP. The two requests of the smart protocol run the real `git upload-pack`. The module
//! `push` handles pushes.
//!
//! A fork has no separate folder. Its branches are hidden refs of the original repository, and a client can
//! fetch any commit by its id. Only Bitbucket Cloud has a separate URL for each fork, and returns a fork's
//! commits only at the fork's URL.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::forge::flavour::ForgeFlavour;
use crate::forge::http::call::{ApiCall, ApiResponse};
use crate::forge::http::git_call::{repository_key, unauthorized_response, unpack_body, with_no_cache};
use crate::forge::http::push;
use crate::forge::shared::FakeForgeSharedState;
use crate::forge::state::{FakeForgeState, StoredRepository};
use crate::repo::{git_environment, git_program};

const UPLOAD_PACK_SERVICE: &str = "git-upload-pack";

/// The repository or fork at the URL of a call.
struct ServedRepository {
    dir: PathBuf,
    /// Owner of the fork; `None` if the URL does not refer to a fork.
    fork_owner: Option<String>,
    /// Commits of forks with other URLs. Such a commit is available only if a branch at this URL contains the
    /// commit.
    hidden_commits: BTreeSet<String>,
}

/// Handles the call `GET /{owner}/{repo}.git/info/refs`.
pub(crate) async fn advertise_refs(
    shared: &Arc<FakeForgeSharedState>,
    headers: &HeaderMap,
    call: &ApiCall,
) -> ApiResponse {
    match call.query_params.get("service").map(String::as_str) {
        Some(UPLOAD_PACK_SERVICE) => {}
        Some(push::RECEIVE_PACK_SERVICE) => return push::advertise_refs(shared, call),
        Some(_) | None => {
            return ApiResponse::bytes(403, "text/plain", "only the smart protocol is served\n");
        }
    }
    let served = match readable_repository(shared, headers, call) {
        Ok(served) => served,
        Err(refused) => return refused,
    };
    let version = git_protocol(headers);
    // A response of protocol version 2 contains its version. Responses of older versions begin with the name
    // of the service.
    let mut answer = Vec::new();
    if version.as_deref().is_none_or(|version| !version.contains("version=2")) {
        let line = format!("# service={UPLOAD_PACK_SERVICE}\n");
        answer.extend(format!("{:04x}{line}0000", line.len() + 4).bytes());
    }
    match upload_pack(&served, &["--http-backend-info-refs"], version, Bytes::new()).await {
        Ok(output) => {
            answer.extend(output);
            with_no_cache(ApiResponse::bytes(200, "application/x-git-upload-pack-advertisement", answer))
        }
        Err(error) => ApiResponse::bytes(500, "text/plain", format!("git upload-pack: {error}\n")),
    }
}

/// Handles the call `POST /{owner}/{repo}.git/git-upload-pack`.
pub(crate) async fn answer_upload_pack(
    shared: &Arc<FakeForgeSharedState>,
    headers: &HeaderMap,
    call: &ApiCall,
    body: Bytes,
) -> ApiResponse {
    let served = match readable_repository(shared, headers, call) {
        Ok(served) => served,
        Err(refused) => return refused,
    };
    let body = match unpack_body(headers, body) {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let answer = match find_hidden_commit(&served, &body).await {
        // The message is the same as git's message.
        Ok(Some(commit)) => {
            Ok(push::packet_line(format!("ERR upload-pack: not our ref {commit}").as_bytes()))
        }
        Ok(None) => upload_pack(&served, &[], git_protocol(headers), body).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(output) => with_no_cache(ApiResponse::bytes(200, "application/x-git-upload-pack-result", output)),
        Err(error) => ApiResponse::bytes(500, "text/plain", format!("git upload-pack: {error}\n")),
    }
}

fn git_protocol(headers: &HeaderMap) -> Option<String> {
    headers.get("git-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Returns the repository that a call names, if the caller may read it.
fn readable_repository(
    shared: &FakeForgeSharedState,
    headers: &HeaderMap,
    call: &ApiCall,
) -> Result<ServedRepository, ApiResponse> {
    let state = shared.lock();
    let sent = headers.contains_key(header::AUTHORIZATION);
    if call.login.is_empty() && (sent || state.forge.private_git) {
        return Err(unauthorized_response(state.forge.flavour));
    }
    let missing = || ApiResponse::bytes(404, "text/plain", "Repository not found.\n");
    let key = repository_key(call);
    let (repo, fork) = match state.repos.get(&key) {
        Some(repo) => (repo, None),
        None => {
            find_fork_origin(&state, &key).map(|(repo, owner)| (repo, Some(owner))).ok_or_else(missing)?
        }
    };
    let is_hidden = fork.is_some_and(|owner| owner != call.login && repo.hidden_forks.contains(owner));
    if is_hidden || !call.token_scope.includes(repo) {
        return Err(missing());
    }
    if !call.token_scope.permits_call("git", "fetch") {
        // github.com returns this message even if a clone is rejected:
        // https://github.com/moghtech/komodo/issues/1482
        return Err(ApiResponse::bytes(403, "text/plain", "Write access to repository not granted.\n"));
    }
    let is_elsewhere = |owner: &str| repo.flavour == ForgeFlavour::Cloud && fork != Some(owner);
    let elsewhere = repo.fork_commits.iter().filter(|(_, owner)| is_elsewhere(owner));
    Ok(ServedRepository {
        dir: repo.git.dir().to_owned(),
        fork_owner: fork.map(str::to_owned),
        hidden_commits: elsewhere.map(|(commit, _)| commit.clone()).collect(),
    })
}

/// Returns the original repository of the fork `owner/name`, and the owner of the fork. Returns `None` for a
/// forge whose forks have no separate URLs.
fn find_fork_origin<'a>(state: &'a FakeForgeState, key: &str) -> Option<(&'a StoredRepository, &'a str)> {
    let (owner, name) = key.split_once('/')?;
    let is_origin = |repo: &&StoredRepository| {
        repo.flavour == ForgeFlavour::Cloud && repo.name.eq_ignore_ascii_case(name)
    };
    state.repos.values().filter(is_origin).find_map(|repo| {
        let is_it =
            |fork_owner: &str, id: &Option<u64>| id.is_some() && fork_owner.eq_ignore_ascii_case(owner);
        let (fork, _) = repo.forks.iter().find(|(fork_owner, id)| is_it(fork_owner, id))?;
        Some((repo, fork.as_str()))
    })
}

/// Returns the first requested commit that no branch at this URL contains, and that is therefore available
/// only at another URL. The check is necessary because git returns any object by its id, even a hidden
/// object.
async fn find_hidden_commit(
    repository: &ServedRepository,
    request: &[u8],
) -> std::io::Result<Option<String>> {
    for want in wanted_ids(request).into_iter().filter(|want| repository.hidden_commits.contains(want)) {
        let mut command = async_git_command(&repository.dir);
        command.args(["rev-list", "--max-count=1", &want, "--not", "--branches", "--tags"]);
        if let Some(owner) = &repository.fork_owner {
            command.arg(format!("--glob=refs/forks/{owner}"));
        }
        let output = command.stdin(Stdio::null()).output().await?;
        if !output.status.success() || !output.stdout.is_empty() {
            return Ok(Some(want));
        }
    }
    Ok(None)
}

/// Returns the ids of the commits that a request wants.
fn wanted_ids(request: &[u8]) -> Vec<String> {
    let (mut wants, mut rest) = (Vec::new(), request);
    while let Some(digits) = rest.get(..push::PACKET_LENGTH_DIGITS) {
        let length = std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        // A packet whose length is less than the size of the length field is a separator without content.
        let Some(end) = length.map(|length| length.max(push::PACKET_LENGTH_DIGITS)) else { break };
        let Some(line) = rest.get(push::PACKET_LENGTH_DIGITS..end) else { break };
        let line = String::from_utf8_lossy(line);
        let id = line.strip_prefix("want ").and_then(|rest| rest.split_whitespace().next());
        wants.extend(id.map(str::to_owned));
        rest = rest.get(end..).unwrap_or_default();
    }
    wants
}

/// Returns a git command that runs in a folder, without the environment of this process.
fn async_git_command(dir: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(git_program());
    command.current_dir(dir).env_clear().envs(git_environment(dir));
    command
}

/// Runs git with the request as its input and returns its output.
async fn upload_pack(
    repository: &ServedRepository,
    extra_args: &[&str],
    protocol: Option<String>,
    input: Bytes,
) -> std::io::Result<Vec<u8>> {
    let mut command = async_git_command(&repository.dir);
    if let Some(owner) = &repository.fork_owner {
        command.args(["-c", &format!("transfer.hideRefs=!refs/forks/{owner}")]);
    }
    command.args(["upload-pack", "--stateless-rpc", "--strict"]).args(extra_args).arg(".");
    if let Some(version) = protocol {
        command.env("GIT_PROTOCOL", version);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A write error is ignored, because git may stop reading before the end of the input. Git's exit
            // status shows whether an error has occurred.
            let _ = stdin.write_all(&input).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output?;
    // If git rejects a request, it exits with an error, but its output is a response with the reason. The
    // fake returns this response to the client.
    if output.status.success() || !output.stdout.is_empty() {
        Ok(output.stdout)
    } else {
        Err(std::io::Error::other(format!("{} without an answer", output.status)))
    }
}

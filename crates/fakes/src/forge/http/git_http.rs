//! Git over HTTP: `git upload-pack` itself behind the two calls of the smart protocol. What git brings is in `push`.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::forge::http::call::{Call, Reply};
use crate::forge::http::git_call::{key, uncached, unpacked, who_are_you};
use crate::forge::http::push;
use crate::forge::shared::Shared;
use crate::repo::{hermetic, program};

const SERVICE: &str = "git-upload-pack";

/// `GET /{owner}/{repo}.git/info/refs`.
pub(crate) async fn refs(shared: &Arc<Shared>, headers: &HeaderMap, call: &Call) -> Reply {
    match call.query.get("service").map(String::as_str) {
        Some(SERVICE) => {}
        Some(push::SERVICE) => return push::refs(shared, call),
        Some(_) | None => return Reply::bytes(403, "text/plain", "only the smart protocol is served\n"),
    }
    let dir = match folder(shared, headers, call) {
        Ok(dir) => dir,
        Err(refused) => return refused,
    };
    let version = protocol(headers);
    // Protocol 2 announces itself; the older ones begin with the service's name.
    let mut answer = Vec::new();
    if version.as_deref().is_none_or(|version| !version.contains("version=2")) {
        let line = format!("# service={SERVICE}\n");
        answer.extend(format!("{:04x}{line}0000", line.len() + 4).bytes());
    }
    match upload_pack(&dir, &["--http-backend-info-refs"], version, Bytes::new()).await {
        Ok(output) => {
            answer.extend(output);
            uncached(Reply::bytes(200, "application/x-git-upload-pack-advertisement", answer))
        }
        Err(error) => Reply::bytes(500, "text/plain", format!("git upload-pack: {error}\n")),
    }
}

/// `POST /{owner}/{repo}.git/git-upload-pack`.
pub(crate) async fn pack(shared: &Arc<Shared>, headers: &HeaderMap, call: &Call, body: Bytes) -> Reply {
    let dir = match folder(shared, headers, call) {
        Ok(dir) => dir,
        Err(refused) => return refused,
    };
    let body = match unpacked(headers, body) {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    match upload_pack(&dir, &[], protocol(headers), body).await {
        Ok(output) => uncached(Reply::bytes(200, "application/x-git-upload-pack-result", output)),
        Err(error) => Reply::bytes(500, "text/plain", format!("git upload-pack: {error}\n")),
    }
}

fn protocol(headers: &HeaderMap) -> Option<String> {
    headers.get("git-protocol").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The folder of the repository a call names, if the caller may read it.
fn folder(shared: &Shared, headers: &HeaderMap, call: &Call) -> Result<PathBuf, Reply> {
    let state = shared.lock();
    let sent = headers.contains_key(header::AUTHORIZATION);
    if call.login.is_empty() && (sent || state.world.private_git) {
        return Err(who_are_you(state.world.flavour));
    }
    let repo = state
        .repos
        .get(&key(call))
        .ok_or_else(|| Reply::bytes(404, "text/plain", "Repository not found.\n"))?;
    if !call.pass.sees(repo) || !call.pass.holds("contents", false) {
        return Err(Reply::bytes(404, "text/plain", "Repository not found.\n"));
    }
    Ok(repo.git.dir().to_owned())
}

/// Runs git with the request as its input; the answer is what it printed.
async fn upload_pack(
    dir: &std::path::Path,
    more: &[&str],
    protocol: Option<String>,
    input: Bytes,
) -> std::io::Result<Vec<u8>> {
    let mut command = tokio::process::Command::new(program());
    command
        .current_dir(dir)
        .env_clear()
        .args(["upload-pack", "--stateless-rpc", "--strict"])
        .args(more)
        .arg(".");
    for (name, value) in hermetic(dir) {
        command.env(name, value);
    }
    if let Some(version) = protocol {
        command.env("GIT_PROTOCOL", version);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // Git may stop reading when it has heard enough; its exit status tells whether that was right.
            let _ = stdin.write_all(&input).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output?;
    // Without anything to send it ends with an error after an answer that says why: pass that on.
    if output.status.success() || !output.stdout.is_empty() {
        Ok(output.stdout)
    } else {
        Err(std::io::Error::other(format!("{} without an answer", output.status)))
    }
}

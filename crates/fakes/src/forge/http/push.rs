//! Handles pushes over HTTP. The forge's rules decide which account may push to which branch; the real `git
//! receive-pack` then receives the push. A push updates the head of the branch's pull requests, and sends the
//! same events as a push by a person.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;

use crate::forge::flavour::ForgeFlavour;
use crate::forge::http::call::{ApiCall, ApiResponse};
use crate::forge::http::git_call::{repository_key, unauthorized_response, unpack_body, with_no_cache};
use crate::forge::operations::branches::{open_pulls_from, record_push};
use crate::forge::shared::FakeForgeSharedState;
use crate::forge::state::access::RepositoryAccess;
use crate::forge::state::{FakeForgeState, StoredRepository};

/// Name of the service in the git protocol.
pub(crate) const RECEIVE_PACK_SERVICE: &str = "git-receive-pack";
/// Number of digits of the length field at the beginning of a packet.
pub(crate) const PACKET_LENGTH_DIGITS: usize = 4;
/// Maximum size of the data in one side-band packet, in bytes.
const MAX_SIDE_BAND_BYTES: usize = 900;

/// A requested update of one ref in a push.
struct RefUpdate {
    new_sha: String,
    ref_name: String,
}

impl RefUpdate {
    fn is_deletion(&self) -> bool {
        self.new_sha.bytes().all(|digit| digit == b'0')
    }
}

/// Handles the call `GET /{owner}/{repo}.git/info/refs?service=git-receive-pack`.
pub(crate) fn advertise_refs(shared: &FakeForgeSharedState, call: &ApiCall) -> ApiResponse {
    let state = &mut *shared.lock();
    let advertised = writable_repository(state, call)
        .and_then(|repo| Ok(repo.git.receive_push(&["--http-backend-info-refs"], &[])?));
    match advertised {
        Ok(refs) => {
            let mut answer = packet_line(format!("# service={RECEIVE_PACK_SERVICE}\n").as_bytes());
            answer.extend(b"0000");
            answer.extend(refs);
            with_no_cache(ApiResponse::bytes(200, "application/x-git-receive-pack-advertisement", answer))
        }
        Err(refused) => refused,
    }
}

/// Handles `POST /{owner}/{repo}.git/git-receive-pack`. Holds the lock of the forge's state during the push.
pub(crate) async fn answer_receive_pack(
    shared: &Arc<FakeForgeSharedState>,
    headers: &HeaderMap,
    call: ApiCall,
    body: Bytes,
) -> ApiResponse {
    let body = match unpack_body(headers, body) {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let shared = Arc::clone(shared);
    // The state is locked while git runs, so pushes are processed one after another.
    let done = tokio::task::spawn_blocking(move || receive_push(&mut shared.lock(), &call, &body)).await;
    match done {
        Ok(Ok(answer)) => {
            with_no_cache(ApiResponse::bytes(200, "application/x-git-receive-pack-result", answer))
        }
        Ok(Err(refused)) => refused,
        Err(error) => ApiResponse::internal_error(error),
    }
}

/// Returns the repository, if the caller may push to any of its branches.
fn writable_repository<'a>(
    state: &'a mut FakeForgeState,
    call: &ApiCall,
) -> Result<&'a mut StoredRepository, ApiResponse> {
    let refused = |status, words: String| Err(ApiResponse::bytes(status, "text/plain", words));
    // Even if the URL contains a token, git sends its first request without the token.
    if call.login.is_empty() {
        return Err(unauthorized_response(state.forge.flavour));
    }
    let FakeForgeState { forge: world, repos, renamed_repositories: _ } = state;
    let repo = repos.get_mut(&repository_key(call)).filter(|repo| call.token_scope.includes(repo));
    let Some(repo) = repo else { return refused(404, "Repository not found.\n".into()) };
    if !repo.may_push(call) {
        world.record_violation(format!("a push over git: {}", call.path));
        return refused(403, format!("Permission to {}.git denied to {}.\n", repo.full_name(), call.login));
    }
    match repo.access {
        RepositoryAccess::Unrestricted => Ok(repo),
        RepositoryAccess::Archived => {
            refused(403, "This repository was archived so it is read-only.\n".into())
        }
        RepositoryAccess::Forbidden => refused(403, "Write access to repository not granted.\n".into()),
        RepositoryAccess::Blocked => refused(451, "Repository access blocked\n".into()),
    }
}

/// Accepts the whole push or rejects it, and returns the report for git.
fn receive_push(state: &mut FakeForgeState, call: &ApiCall, body: &[u8]) -> Result<Vec<u8>, ApiResponse> {
    let repo = writable_repository(state, call)?;
    let (commands, side_band) = parse_commands(body);
    if let Some((why, words, violation)) = commands.iter().find_map(|command| update_rejection(repo, command))
    {
        if violation {
            state
                .forge
                .record_violation(format!("a push over git: {} by {}: {words}", call.path, call.login));
        }
        return Ok(rejected_push_report(&commands, side_band, why, &words));
    }
    if let Some(words) = repo.push_rejection_messages.pop_front() {
        return Ok(rejected_push_report(&commands, side_band, "pre-receive hook declined", &words));
    }
    let answer = repo.git.receive_push(&[], body)?;
    if let Some(words) = verify_new_commits(repo, &commands)? {
        return Ok(rejected_push_report(
            &commands,
            side_band,
            "push declined due to repository rule violations",
            &words,
        ));
    }
    let key = repository_key(call);
    for command in commands {
        let FakeForgeState { forge: world, repos, renamed_repositories: _ } = &mut *state;
        let Some(repo) = repos.get_mut(&key) else { continue };
        let Some(tip) = repo.git.reload_ref(&command.ref_name)? else { continue };
        let branch = command.ref_name.strip_prefix("refs/heads/").unwrap_or_default();
        for number in open_pulls_from(repo, branch) {
            repo.git.set_ref(&repo.flavour.pull_ref(number), &tip)?;
        }
        record_push(world, repo, branch, &tip, &call.login).map_err(ApiResponse::internal_error)?;
    }
    Ok(answer)
}

/// Verifies the signatures of the commits that a push has added. If a branch requires signatures and a commit
/// has none, restores all refs and returns GitHub's message.
fn verify_new_commits(
    repo: &mut StoredRepository,
    commands: &[RefUpdate],
) -> Result<Option<String>, ApiResponse> {
    let mut message = None;
    for command in commands.iter().filter(|command| !command.is_deletion()) {
        let branch = command.ref_name.strip_prefix("refs/heads/").unwrap_or_default();
        let requires_signatures =
            repo.branch_rules.get(branch).is_some_and(|rules| rules.contains("required_signatures"));
        for sha in repo.git.new_commits(&command.new_sha)? {
            let is_verified = repo.verified_commits.contains(&sha)
                || repo.git.has_valid_signature(&sha, &repo.signing_keys)?;
            if is_verified {
                repo.verified_commits.insert(sha);
            } else if requires_signatures {
                message = Some(format!(
                    "error: GH013: Repository rule violations found for {}.\n- Commits must have verified \
                     signatures.",
                    command.ref_name
                ));
            }
        }
    }
    if message.is_some() {
        for command in commands {
            repo.git.restore_ref(&command.ref_name)?;
        }
    }
    Ok(message)
}

/// If the ref must not be updated, returns the reason for git's report and the message for people. The flag
/// is true if the attempt is a violation by Truing.
fn update_rejection(repo: &StoredRepository, command: &RefUpdate) -> Option<(&'static str, String, bool)> {
    let Some(branch) = command.ref_name.strip_prefix("refs/heads/") else {
        return Some(("deny updating a hidden ref", format!("{} is no branch", command.ref_name), true));
    };
    // A branch whose commits are on another branch, too, can be deleted without a loss.
    if command.is_deletion() {
        let is_loss = repo.git.tip(&command.ref_name).is_none_or(|tip| {
            let branches = repo.git.refs("refs/heads/");
            let mut others = branches.filter(|(name, _)| *name != command.ref_name.as_str());
            !others.any(|(_, other)| repo.git.is_ancestor(tip, other))
        });
        let is_used = !open_pulls_from(repo, branch).is_empty();
        return (is_loss || is_used)
            .then(|| ("deletion prohibited", format!("a deletion of {branch}"), true));
    }
    let is_default = branch == repo.default_branch;
    (is_default || repo.protected_branches.contains(branch)).then(|| {
        let name = &command.ref_name;
        match repo.flavour {
            ForgeFlavour::GitHub => {
                let words = format!("error: GH006: Protected branch update failed for {name}.");
                ("protected branch hook declined", words, is_default)
            }
            ForgeFlavour::Cloud => {
                let words = format!("Permission denied to update branch {branch}.");
                ("pre-receive hook declined", words, is_default)
            }
            ForgeFlavour::DataCenter => {
                let words = format!("{name} can only be modified through pull requests.");
                ("pre-receive hook declined", words, is_default)
            }
        }
    })
}

/// Parses the commands of a push. The flag is true if the client supports `side-band-64k`. In this case, the
/// response must use this capability.
fn parse_commands(body: &[u8]) -> (Vec<RefUpdate>, bool) {
    let (mut commands, mut side_band, mut rest) = (Vec::new(), false, body);
    while let Some((line, after)) = next_packet(rest) {
        rest = after;
        let mut halves = line.splitn(2, |byte| *byte == 0);
        let text = String::from_utf8_lossy(halves.next().unwrap_or_default()).trim_end().to_owned();
        side_band |= halves.next().is_some_and(|caps| caps.windows(13).any(|word| word == b"side-band-64k"));
        let mut words = text.splitn(3, ' ').skip(1).map(str::to_owned);
        if let (Some(to), Some(name)) = (words.next(), words.next()) {
            commands.push(RefUpdate { new_sha: to, ref_name: name });
        }
    }
    (commands, side_band)
}

/// Returns the content of the first packet and the remaining bytes; `None` at the end of a list.
fn next_packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = std::str::from_utf8(bytes.get(..PACKET_LENGTH_DIGITS)?).ok()?;
    let length = usize::from_str_radix(length, 16).ok().filter(|length| *length > PACKET_LENGTH_DIGITS)?;
    Some((bytes.get(PACKET_LENGTH_DIGITS..length)?, bytes.get(length..)?))
}

pub(crate) fn packet_line(data: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", data.len() + PACKET_LENGTH_DIGITS).into_bytes();
    packet.extend_from_slice(data);
    packet
}

/// Returns git's report of a rejected push.
fn rejected_push_report(
    commands: &[RefUpdate],
    uses_side_band: bool,
    reason: &str,
    message: &str,
) -> Vec<u8> {
    let mut report = packet_line(b"unpack ok\n");
    for command in commands {
        report.extend(packet_line(format!("ng {} {reason}\n", command.ref_name).as_bytes()));
    }
    report.extend(b"0000");
    if !uses_side_band {
        return report;
    }
    let band = |number: u8, data: &[u8]| {
        let pieces = data.chunks(MAX_SIDE_BAND_BYTES).map(|piece| packet_line(&[&[number], piece].concat()));
        pieces.collect::<Vec<_>>().concat()
    };
    let mut answer = band(2, format!("{message}\n").as_bytes());
    answer.extend(band(1, &report));
    answer.extend(b"0000");
    answer
}

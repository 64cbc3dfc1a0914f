//! Runs calls that contact a remote. Each call may use only the protocol of its remote. The credentials are
//! passed as a header in a private temporary file. The module also classifies git's messages about refused
//! requests.

use std::io::Write as _;
use std::path::Path;

use truing_core::id::Sha;

use crate::command::{GitCommand, GitOutput};
use crate::isolated_git_dir::parse_sha;
use crate::{Git, GitError, Remote};

/// Runs a call that may contact the remote.
pub(crate) async fn run_with_network(
    git: &Git,
    remote: &Remote,
    call: GitCommand,
) -> Result<GitOutput, GitError> {
    let credentials = write_credentials(git, remote)?;
    let global = credentials.as_ref().map_or(Path::new("/dev/null"), |file| file.path());
    let call = call.env("GIT_CONFIG_GLOBAL", global);
    call.allow_network(remote.protocol()).redact_secret(remote.authorization()).run().await
}

/// Runs a call that may contact the remote, and returns its output.
pub(crate) async fn read_remote_output(
    git: &Git,
    remote: &Remote,
    call: GitCommand,
) -> Result<Vec<u8>, GitError> {
    let name = call.name();
    let finished = run_with_network(git, remote, call).await?;
    if finished.code() == Some(0) {
        Ok(finished.stdout)
    } else {
        Err(classify_failure(remote, name, finished))
    }
}

/// Returns the commit that `ls-remote` lists for a ref; `None` if the ref is not listed. The full name is
/// compared, because git also lists refs whose names end in the requested name.
pub(crate) fn parse_listed_ref(output: &[u8], reference: &str) -> Result<Option<Sha>, GitError> {
    let asked = format!("\t{reference}");
    let mut lines = output.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"ref: "));
    let line = lines.find_map(|line| line.strip_suffix(asked.as_bytes()));
    line.map(|id| parse_sha("ls-remote", id)).transpose()
}

/// Converts a failed call to an error, based on git's untranslated message.
pub(crate) fn classify_failure(remote: &Remote, command_name: &'static str, output: GitOutput) -> GitError {
    let message = output.stderr_message.as_str();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let remote = remote.url().to_owned();
    if says(&["not our ref", "unadvertised object", "find remote ref", "bad object"]) {
        let sha = message.split([' ', ';']).find_map(|word| Sha::parse(word).ok());
        return GitError::CommitGone { remote, sha };
    }
    if says(&["Authentication failed", "could not read Username", "error: 401", "error: 403"]) {
        return GitError::Unauthorized { remote, message: message.to_owned() };
    }
    if says(&["error: 404", "not found", "does not appear to be a git repository"]) {
        return GitError::RemoteMissing { remote };
    }
    output.into_error(command_name)
}

/// Writes the secret header to a private file that only this user can read. The file is removed when the
/// returned value is dropped.
fn write_credentials(git: &Git, remote: &Remote) -> Result<Option<tempfile::NamedTempFile>, GitError> {
    let Some(config) = remote.header_config() else { return Ok(None) };
    // If this process is killed, a later process removes the folder that contains the file.
    let written = tempfile::NamedTempFile::new_in(git.home_folder()).and_then(|mut file| {
        file.write_all(config.as_bytes())?;
        Ok(file)
    });
    let cannot = |source| GitError::Io {
        failure: "cannot write a private file in",
        path: git.home_folder().to_owned(),
        source,
    };
    written.map(Some).map_err(cannot)
}

//! Signs commits with an SSH key. Git calls `ssh-keygen`, which must be installed.

use std::io::Write as _;

use truing_core::secret::SecretString;

use crate::isolated_git_dir::parse_sha;
use crate::{GitError, UnpushedCommit};

impl UnpushedCommit {
    /// Returns a commit that differs from this one only by its signature. The same commit and key give the
    /// same signature, unless the key's algorithm is ECDSA.
    pub(crate) async fn sign(&self, signing_key: &SecretString) -> Result<Self, GitError> {
        let git = self.isolated_dir().git();
        // If this process is killed, a later process removes the folder that contains the file. `ssh-keygen`
        // requires a line break at the end of the key, and that only this user can read the file.
        let key_file = tempfile::NamedTempFile::new_in(git.home_folder()).and_then(|mut file| {
            file.write_all(format!("{}\n", signing_key.expose().trim_end()).as_bytes())?;
            Ok(file)
        });
        let key_file = key_file.map_err(|source| GitError::Io {
            failure: "cannot write a private file in",
            path: git.home_folder().to_owned(),
            source,
        })?;
        let commit = self.isolated_dir().read_commit(self.sha()).await?;
        let mut call = self.isolated_dir().command("commit-tree").args(["-S", "-F", "-"]);
        for parent in &commit.parents {
            call = call.args(["-p", parent.as_str()]);
        }
        for (person, [name_variable, email_variable, date_variable]) in [
            (&commit.author, ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"]),
            (&commit.committer, ["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE"]),
        ] {
            let (name, rest) = person.split_once(" <").unwrap_or((person, ""));
            let (email, date) = rest.split_once("> ").unwrap_or_default();
            call = call.env(name_variable, name).env(email_variable, email);
            call = call.env(date_variable, format!("@{date}"));
        }
        let call = call.config("gpg.format", "ssh").config("user.signingKey", key_file.path());
        let call = call.config("i18n.commitEncoding", "UTF-8").arg(commit.tree.as_str());
        let signed_id = call.with_input(commit.message).read_output().await;
        let signed_id = signed_id.map_err(|error| GitError::Signing { message: error.to_string() })?;
        Ok(self.with_id(parse_sha("commit-tree", &signed_id)?))
    }
}

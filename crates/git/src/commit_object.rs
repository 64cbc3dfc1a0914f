//! Reads the fields of a commit from git's own form of it.

use truing_core::id::Sha;

use crate::GitError;
use crate::isolated_git_dir::{IsolatedGitDir, parse_sha, unknown_output_error};

/// The fields of a commit.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct CommitObject {
    pub(crate) tree: Sha,
    pub(crate) parents: Vec<Sha>,
    /// Author and committer, each as git writes them: `NAME <EMAIL> SECONDS ZONE`.
    pub(crate) author: String,
    pub(crate) committer: String,
    pub(crate) message: Vec<u8>,
}

impl IsolatedGitDir {
    /// Reads a commit that is in this folder.
    pub(crate) async fn read_commit(&self, commit: &Sha) -> Result<CommitObject, GitError> {
        let object = self.command("cat-file").args(["commit", commit.as_str()]).read_output().await?;
        parse_commit(&object)
    }
}

fn parse_commit(object: &[u8]) -> Result<CommitObject, GitError> {
    let unknown = || unknown_output_error("cat-file", object);
    let header_end = object.windows(2).position(|bytes| bytes == b"\n\n").ok_or_else(unknown)?;
    let header = String::from_utf8_lossy(object.get(..header_end).unwrap_or_default());
    let fields = |name: &str| {
        let prefix = format!("{name} ");
        header.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect::<Vec<_>>()
    };
    let field = |name: &str| fields(name).into_iter().next().ok_or_else(unknown);
    let parents: Result<Vec<Sha>, GitError> =
        fields("parent").iter().map(|id| parse_sha("cat-file", id.as_bytes())).collect();
    Ok(CommitObject {
        tree: parse_sha("cat-file", field("tree")?.as_bytes())?,
        parents: parents?,
        author: field("author")?,
        committer: field("committer")?,
        message: object.get(header_end + 2..).unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_merge_are_read_and_its_message_is_not_changed() {
        let id = |digit: &str| digit.repeat(40);
        let text = format!(
            "tree {}\nparent {}\nparent {}\nauthor A B <a@b> 1 +0000\ncommitter C <c@d> 2 +0100\n\nparent \
             x\n\n",
            id("1"),
            id("2"),
            id("3")
        );
        let commit = parse_commit(text.as_bytes()).unwrap();
        assert_eq!(commit.tree.as_str(), id("1"));
        assert_eq!(commit.parents.iter().map(Sha::as_str).collect::<Vec<_>>(), [id("2"), id("3")]);
        assert_eq!(commit.author, "A B <a@b> 1 +0000");
        assert_eq!(commit.committer, "C <c@d> 2 +0100");
        assert_eq!(commit.message, b"parent x\n\n");
        assert!(parse_commit(b"tree x").is_err());
    }
}

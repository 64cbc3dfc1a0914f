//! The only crate that runs `git`: mirrors that fetch exact commits, local repositories, diffs, exported
//! trees, merges, commits and pushes.
//!
//! Three rules hold for every call, and each rule is tested in `tests/it`:
//!
//! * **Hermetic.** The child's environment starts empty (`command.rs`), and the configuration of the system
//!   and the user is not read. Arguments are vectors, never shell text.
//! * **Bounded.** Time, output and input have limits ([`GitLimits`]). At a limit, and when the caller drops
//!   the call, the whole process group is killed.
//! * **No code from a repository is executed.** A local repository's own configuration is used only to find
//!   the repository and to resolve names. Neither finding a repository nor resolving a name runs a program.
//!   Calls that read content (diff, working tree, export) run in a private view. A private view is a new git
//!   folder that borrows the repository's objects, but none of its configuration, hooks or attributes
//!   (`isolated_git_dir.rs`). No call changes a file of the repository.
//!
//! The only operation that changes a remote is a push of one of our commits to one branch (`commit.rs`,
//! `push.rs`). A forge's API may create the commit instead (`commit_api.rs`). If the remote is a repository
//! on this machine, the push runs the hooks of that repository, as a server would.

mod bounded_diff;
mod branch_history;
mod clone;
mod command;
mod commit;
mod commit_api;
mod commit_draft;
mod commit_object;
mod error;
mod export;
mod exported_commit;
mod isolated_git_dir;
mod mirror;
mod network;
pub mod options;
mod private;
mod push;
mod remote;
mod repository;
pub mod search_path;
mod signature;

pub use clone::CheckoutIndex;
pub use commit::{MergeOutcome, NewCommit, PathStatus, StagedChanges, UnpushedCommit};
pub use commit_draft::{CommitApi, CommitDraft};
pub use error::GitError;
pub use export::{ExportSummary, TreeFile, write_new_file};
pub use exported_commit::ExportedCommit;
pub use mirror::Mirror;
pub use options::{GitLimits, GitOptions};
pub use private::{PrivateFolder, remove_folder};
pub use push::{PushOutcome, PushRefusal};
pub use remote::Remote;
pub use repository::{
    ConfiguredRemote, DefaultBase, DefaultBaseSource, IndexSnapshot, LocalRepository, ORIGIN, WorktreeDiff,
};
pub use search_path::SearchPath;

pub use command::Git;
pub use isolated_git_dir::CommitDiff;
pub use truing_core::secret::SecretString;

//! The only crate that runs `git`: mirrors with exact-commit fetch, local repositories, diffs, exported
//! trees, pushes.
//!
//! Three rules hold for every call, and the tests in `tests/it` try to break each:
//!
//! * **Hermetic.** The child's environment starts empty (`command.rs`), and the configuration of the system
//!   and the user is not read. Arguments are vectors, never shell text.
//! * **Bounded.** Time, output and input have limits ([`GitLimits`]). At a limit, and when the caller drops
//!   the call, the whole process group is killed.
//! * **No code from a repository is executed.** A local repository's own configuration is used only to find
//!   it and to resolve names, which runs nothing. Calls that read content (diff, working tree, export) run in
//!   a private view. This is a new git folder that borrows the repository's objects and none of its
//!   configuration, hooks or attributes (`view.rs`). No byte in the repository changes.
//!
//! The only outgoing operation pushes one commit of ours to one branch of a remote (`commit.rs`, `push.rs`).
//! A remote on this machine runs its own hooks for a push, as a server does.

mod bounded;
mod clone;
mod command;
mod commit;
mod error;
mod export;
mod laid;
mod mirror;
mod network;
pub mod options;
mod private;
pub mod programs;
mod push;
mod range;
mod remote;
mod repository;
mod view;

pub use clone::CheckoutIndex;
pub use commit::{MergeOutcome, NewCommit, PathStatus, StagedChanges, UnpushedCommit};
pub use error::GitError;
pub use export::{ExportSummary, TreeFile, write_new_file};
pub use laid::ExportedCommit;
pub use mirror::Mirror;
pub use options::{GitLimits, GitOptions};
pub use private::{PrivateFolder, remove_folder};
pub use programs::SearchPath;
pub use push::{PushOutcome, PushRefusal};
pub use remote::Remote;
pub use repository::{DefaultBase, DefaultBaseSource, IndexSnapshot, LocalRepository, WorktreeDiff};

pub use command::Git;
pub use truing_core::secret::SecretString;
pub use view::CommitDiff;

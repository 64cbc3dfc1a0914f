//! The only place that runs `git`: mirrors with exact-commit fetch, local repositories, diffs, exported trees, pushes.
//!
//! Three rules hold for every call, and the tests in `tests/it` try to break each:
//!
//! * **Hermetic.** The child's environment is built from nothing (`command.rs`); the system's and the user's
//!   configuration are not read. Arguments are vectors, never a shell's text.
//! * **Bounded.** Time, output and input have limits ([`GitLimits`]); at a limit, and when the caller lets go, the
//!   whole process group dies.
//! * **Nothing that a repository holds is executed.** A local repository's own configuration is used to find
//!   it and to resolve names, which runs nothing. Whatever reads content (diff, working tree, export) runs in a
//!   private view: a fresh git folder that borrows the repository's objects and none of its configuration,
//!   hooks or attributes (`view.rs`). No byte in the repository changes.
//!
//! What goes out is one commit of ours to one branch of a remote (`commit.rs`, `push.rs`), and nothing else can. A
//! remote on this machine runs its own hooks for that, as a server does.

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
pub use export::{ExportSummary, TreeFile, write_new};
pub use laid::ExportedCommit;
pub use mirror::Mirror;
pub use options::{GitLimits, GitOptions};
pub use private::{PrivateFolder, remove as remove_folder};
pub use programs::SearchPath;
pub use push::{PushOutcome, PushRefusal};
pub use remote::Remote;
pub use repository::{DefaultBase, DefaultBaseSource, IndexSnapshot, LocalRepository, WorktreeDiff};

pub use command::Git;
pub use truing_core::secret::SecretString;
pub use view::CommitDiff;

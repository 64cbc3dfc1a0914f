//! The gate: what a loop asks right before each write, to a forge or by a push. A side of a forge that writes, and a
//! push, are not to be had without it.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::Token;

/// Why the gate refused a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Withheld {
    /// The kill switch is on, or that of the repository.
    #[error("the kill switch is on")]
    Halted,
    /// Nobody can tell whether it is: the store gives no answer.
    #[error("the store does not tell whether the kill switch is on")]
    Unread,
    /// The run no longer holds its lease.
    #[error("the lease is lost: somebody else has taken over")]
    Lost {
        /// The newest token that was given to anybody.
        last: Token,
    },
    /// The caller may only read.
    #[error("this command only reads")]
    Reading,
}

impl Withheld {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Halted => {
                "to resume: `truing kill off`, or `truing kill off --repo OWNER/NAME` where only that repository's is on \
                 (`truing kill status` tells); then run it again, it goes on where it was"
            }
            Self::Unread => "see what is wrong: `truing doctor`; then run it again, it goes on where it was",
            Self::Lost { .. } => "whoever has taken over goes on with it",
            Self::Reading => "this only looks; another command writes",
        }
    }
}

/// Decides whether a run may go on, and whether it may write. It is asked again each time.
#[async_trait]
pub trait Gate: Debug + Send + Sync {
    /// Refuses a write, with the reason, or lets it be made now.
    async fn ask(&self) -> Result<(), Withheld>;

    /// True while the run may go on, read, and ask a model.
    async fn is_open(&self) -> bool {
        self.ask().await.is_ok()
    }
}

/// The gate of whoever only looks: it is never open.
pub fn read_only() -> Arc<dyn Gate> {
    Arc::new(ReadOnly)
}

#[derive(Debug)]
struct ReadOnly;

#[async_trait]
impl Gate for ReadOnly {
    async fn ask(&self) -> Result<(), Withheld> {
        Err(Withheld::Reading)
    }
}

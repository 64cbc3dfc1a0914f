//! What is asked right before each single write of a loop: to a forge, or by git to a remote. A side of a forge that
//! writes, and a push, are not to be had without it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::id::Token;

/// Why a write is not made. It was surely not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Withheld {
    /// The kill switch is on, or cannot be read.
    #[error("the kill switch is on")]
    Halted,
    /// Whoever wants it holds no lease any more.
    #[error("the lease is lost: somebody else has taken over")]
    Lost {
        /// The newest token that was given to anybody.
        last: Token,
    },
    /// It is only looked at.
    #[error("nothing is to be written here")]
    Reading,
}

impl Withheld {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Halted => "to resume: `truing kill off`; then run it again, it goes on where it was",
            Self::Lost { .. } => "whoever has taken over goes on with it",
            Self::Reading => "this only looks; another command writes",
        }
    }
}

/// What a gate answers, some time.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<(), Withheld>> + Send + 'a>>;

/// Knows whether one more write may be made, now. Nothing is remembered: it is asked again before the next.
pub trait WriteGate: Debug + Send + Sync {
    /// May it?
    fn ask(&self) -> Asked<'_>;
}

/// The gate of whoever only looks: it is never open.
pub fn read_only() -> Arc<dyn WriteGate> {
    Arc::new(ReadOnly)
}

#[derive(Debug)]
struct ReadOnly;

impl WriteGate for ReadOnly {
    fn ask(&self) -> Asked<'_> {
        Box::pin(std::future::ready(Err(Withheld::Reading)))
    }
}

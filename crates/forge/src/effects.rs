//! The one path of every write that is an effect: the gate is asked, the intent is recorded under the lease's token, the
//! call is made, its end is recorded. After an answer that was lost, or a process that died: wait until the forge is
//! sure to show it, look, then adopt it or make it again. Nothing here waits: [`EffectError::Settling`] tells until when.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use truing_core::effect::{Effect, Intended, MAX_LOST, Push};
use truing_core::id::{Millis, Sha, Span};
use truing_core::port::{
    Clock, EffectLog, Entry, EntryState, ForgeError, ForgeWrite, Performed, StoreError, Withheld, WriteGate,
    Writer,
};
use truing_git::{Committed, GitError, Pushed, Remote};

/// The effects of one writer on one pull request, or on one repository.
pub struct Effects<'a, W, L> {
    /// The side of the forge that writes.
    pub forge: &'a W,
    /// The record of intents and ends.
    pub log: &'a L,
    /// Asked before each write.
    pub gate: &'a Arc<dyn WriteGate>,
    /// The wall clock.
    pub clock: &'a dyn Clock,
    /// Who writes.
    pub writer: Writer,
}

impl<W, L> fmt::Debug for Effects<'_, W, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects").field("writer", &self.writer).finish_non_exhaustive()
    }
}

/// The reason why an effect is not known to be there. Performing it again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The gate is shut, or the lease is lost: nothing more is written.
    #[error("{why}; not done: {what}")]
    Withheld {
        /// The write.
        what: String,
        /// The reason.
        why: Withheld,
    },
    /// The forge did not do it, for certain.
    #[error(transparent)]
    Refused(ForgeError),
    /// The forge gave no answer: it may be there.
    #[error("{error}")]
    Unanswered {
        /// The error that was seen instead of an answer.
        error: ForgeError,
        /// Were as many answers lost as may be, and is there no other effect to take its place?
        is_last: bool,
    },
    /// Something on its topic was written, or begun, and the forge may still come to show it.
    #[error("{what}: the forge may not show yet what was written before")]
    Settling {
        /// The time to perform it again.
        until: Millis,
        /// The write.
        what: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(StoreError),
    /// Git gave no answer that is known.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<ForgeError> for EffectError {
    fn from(error: ForgeError) -> Self {
        failed(error, false)
    }
}

/// The state of an effect before it is made.
enum Before {
    /// It is there.
    There(Performed),
    /// It is to be made; the entry to replace, and how many answers were lost since it was announced first.
    Missing { known: Option<Entry>, lost: u32 },
}

impl<W: ForgeWrite, L: EffectLog> Effects<'_, W, L> {
    /// Makes an effect, once. Where the forge refuses it, or loses too many answers, the one that replaces it is made.
    ///
    /// # Errors
    /// [`EffectError`]
    pub async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        let mut effect = effect.clone();
        loop {
            let intended = effect.intended();
            let (known, lost) = match self.before(&intended, || self.forge.observe(&effect)).await? {
                Before::There(performed) => return Ok(performed),
                Before::Missing { known, lost } => (known, lost),
            };
            if let Some(other) = effect.instead().filter(|_| lost >= MAX_LOST) {
                effect = other;
                continue;
            }
            let entry = self.announce(&intended, (known, lost)).await?;
            let answer = self.forge.perform(&effect).await;
            match (self.ended(&intended, (entry, lost), answer).await, effect.instead()) {
                // The forge's limit says nothing of the content.
                (Err(EffectError::Refused(error)), Some(other))
                    if !matches!(error, ForgeError::RateLimited { .. }) =>
                {
                    effect = other;
                }
                (ended, _) => return ended,
            }
        }
    }

    /// Looks for an effect on this topic that was begun and whose end is not known, and records the end. None: there is no
    /// such effect, or it was not made. Nothing is made.
    ///
    /// # Errors
    /// [`EffectError`]
    pub async fn unfinished(&self, effect: &Effect) -> Result<Option<Performed>, EffectError> {
        let intended = effect.intended();
        let known = self.log.effect(&self.writer, &intended.topic).await;
        let known = known.map_err(|error| stored(&intended, error))?;
        let Some(entry) = known.filter(|entry| matches!(entry.state, EntryState::Open { .. })) else {
            return Ok(None);
        };
        match self.before(&intended, || self.forge.observe(effect)).await? {
            Before::There(performed) => Ok(Some(performed)),
            Before::Missing { .. } => self.record(&intended, &entry, None).await.map(|()| None),
        }
    }

    /// Pushes a commit to a branch that is at the expected commit.
    ///
    /// # Errors
    /// [`EffectError`]
    pub async fn push(
        &self,
        commit: &Committed,
        remote: &Remote,
        (branch, expected): (&str, Option<&Sha>),
    ) -> Result<Pushed, EffectError> {
        let push = Push { branch: branch.into(), commit: commit.sha().clone(), expected: expected.cloned() };
        let intended = push.intended();
        // A push looks by itself where the branch is.
        let (known, lost) = match self.before(&intended, || std::future::ready(Ok(None))).await? {
            Before::There(_) => return Ok(Pushed::Done),
            Before::Missing { known, lost } => (known, lost),
        };
        let entry = self.announce(&intended, (known, lost)).await?;
        let pushed = commit.push(remote, branch, expected, &**self.gate).await;
        let state = match &pushed {
            Ok(Pushed::Done) => Some(EntryState::Done { comment: None }),
            Ok(Pushed::Moved { .. } | Pushed::Refused { .. } | Pushed::Withheld(_)) => None,
            Err(_) => Some(EntryState::Open { lost: lost.saturating_add(1) }),
        };
        self.record(&intended, &entry, state).await?;
        Ok(pushed?)
    }

    /// Asks the gate, and looks how the effect stands by its record; by the forge, where the record does not tell.
    async fn before<F>(&self, intended: &Intended, observe: impl FnOnce() -> F) -> Result<Before, EffectError>
    where
        F: Future<Output = Result<Option<Performed>, ForgeError>>,
    {
        let withheld = |why| EffectError::Withheld { what: intended.what.clone(), why };
        self.gate.ask().await.map_err(withheld)?;
        let known = self.log.effect(&self.writer, &intended.topic).await;
        let Some(entry) = known.map_err(|error| stored(intended, error))? else {
            return Ok(Before::Missing { known: None, lost: 0 });
        };
        let (now, settle) = (self.clock.now(), intended.kind.settle(self.forge.settle()));
        let shown = entry.at + settle;
        let settling = |until| Err(EffectError::Settling { until, what: intended.what.clone() });
        let lost = match &entry.state {
            // Lists may not show yet what was made just now.
            EntryState::Done { comment } if entry.at <= now && now < shown => {
                let is_same = entry.content == intended.content && !entry.content.is_empty();
                if is_same && intended.kind.has_number() {
                    return observe()
                        .await?
                        .map_or_else(|| settling(shown), |found| Ok(Before::There(found)));
                }
                let there = comment.clone().map_or(Performed::Done, Performed::Comment);
                return if is_same { Ok(Before::There(there)) } else { settling(shown) };
            }
            EntryState::Done { .. } => return Ok(Before::Missing { known: Some(entry), lost: 0 }),
            EntryState::Open { lost } => *lost,
        };
        if settle > Span(0) && now < shown {
            if entry.at <= now {
                return settling(shown);
            }
            // The clock was ahead then: the delay counts from now on.
            self.record_at(intended, (&entry, now), Some(entry.state.clone())).await?;
            return settling(now + settle);
        }
        let found = observe().await?;
        let Some(found) = found else { return Ok(Before::Missing { known: Some(entry), lost }) };
        let comment = found.comment().cloned();
        self.record(intended, &entry, Some(EntryState::Done { comment })).await?;
        Ok(Before::There(found))
    }

    /// Records the intent; of two processes that do, one comes to make the call.
    async fn announce(
        &self,
        intended: &Intended,
        (known, lost): (Option<Entry>, u32),
    ) -> Result<Entry, EffectError> {
        let now = self.clock.now();
        let (content, state) = (intended.content.clone(), EntryState::Open { lost });
        let entry = Entry { content, at: now, state };
        let (writer, topic) = (&self.writer, &intended.topic);
        let announced = self.log.replace_effect(writer, topic, known.as_ref(), Some(&entry)).await;
        if announced.map_err(|error| stored(intended, error))? {
            return Ok(entry);
        }
        let until = now + intended.kind.settle(self.forge.settle());
        Err(EffectError::Settling { until, what: intended.what.clone() })
    }

    /// Records how a call ended.
    async fn ended(
        &self,
        intended: &Intended,
        (entry, lost): (Entry, u32),
        answer: Result<Performed, ForgeError>,
    ) -> Result<Performed, EffectError> {
        let lost = lost.saturating_add(1);
        let state = match &answer {
            Ok(Performed::Superseded) => None,
            Ok(performed) => Some(EntryState::Done { comment: performed.comment().cloned() }),
            // Some of its parts may be there.
            Err(ForgeError::RateLimited { .. } | ForgeError::Withheld { .. })
                if intended.kind.has_parts() =>
            {
                Some(EntryState::Open { lost: lost.saturating_sub(1) })
            }
            Err(error) if error.surely_undone() => None,
            Err(_) => Some(EntryState::Open { lost }),
        };
        self.record(intended, &entry, state).await?;
        let is_last = lost >= MAX_LOST && intended.kind.instead().is_none();
        answer.map_err(|error| failed(error, is_last))
    }

    /// Records this state as of now; none: the effect is not there, and nothing is open.
    async fn record(
        &self,
        intended: &Intended,
        entry: &Entry,
        state: Option<EntryState>,
    ) -> Result<(), EffectError> {
        self.record_at(intended, (entry, self.clock.now()), state).await
    }

    async fn record_at(
        &self,
        intended: &Intended,
        (entry, at): (&Entry, Millis),
        state: Option<EntryState>,
    ) -> Result<(), EffectError> {
        let new = state.map(|state| Entry { content: intended.content.clone(), at, state });
        // A process that has replaced the entry records the end as well.
        let replaced = self.log.replace_effect(&self.writer, &intended.topic, Some(entry), new.as_ref());
        replaced.await.map(drop).map_err(|error| stored(intended, error))
    }
}

/// An error of the forge; `is_last`: no other try is of use, if it gave no answer.
fn failed(error: ForgeError, is_last: bool) -> EffectError {
    if let ForgeError::Withheld { what, why } = error {
        return EffectError::Withheld { what, why };
    }
    if error.surely_undone() {
        EffectError::Refused(error)
    } else {
        EffectError::Unanswered { error, is_last }
    }
}

/// An error of the store. One that tells of a newer lease is a lost lease.
fn stored(intended: &Intended, error: StoreError) -> EffectError {
    match error {
        StoreError::Fenced { last, .. } => {
            EffectError::Withheld { what: intended.what.clone(), why: Withheld::Lost { last } }
        }
        error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)) => EffectError::Store(error),
    }
}

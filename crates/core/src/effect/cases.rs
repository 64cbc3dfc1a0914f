//! Everything that can happen while an effect is performed, and the end of each: tests and `docs/reference/effects.md` are made
//! from this table.

use super::EffectKind;
use crate::port::ForgeKind;

/// A thing that happens to one effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectCase {
    /// The kill switch is on.
    GateClosed,
    /// Somebody else has the lease.
    LeaseLost,
    /// The forge refuses it.
    Refused,
    /// The forge did it, and its answer is lost.
    LostDone,
    /// The forge did not do it, and gives no answer.
    LostUndone,
    /// The process dies after the intent and before the call.
    KilledBefore,
    /// The process dies after the call and before its end is recorded.
    KilledAfter,
    /// It is performed in a dry run.
    DryRun,
}

/// The end of an effect, after the run was repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectCaseOutcome {
    /// Nothing was written, and the run stops.
    Withheld,
    /// It is not there, and the loop gets the forge's reason.
    Reported,
    /// Another effect is there in its place, once.
    Replaced(EffectKind),
    /// It is there, once.
    Once,
    /// Nothing was written, and the run goes on as if it were.
    Listed,
    /// The forge cannot make it, for this reason: it is refused before it is announced and before any call.
    Cannot(&'static str),
}

impl EffectCase {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::GateClosed,
        Self::LeaseLost,
        Self::Refused,
        Self::LostDone,
        Self::LostUndone,
        Self::KilledBefore,
        Self::KilledAfter,
        Self::DryRun,
    ];

    /// Its name, as tests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GateClosed => "gate_closed",
            Self::LeaseLost => "lease_lost",
            Self::Refused => "refused",
            Self::LostDone => "answer_lost_done",
            Self::LostUndone => "answer_lost_undone",
            Self::KilledBefore => "killed_before",
            Self::KilledAfter => "killed_after",
            Self::DryRun => "dry_run",
        }
    }

    /// The end of an effect of this kind at a forge.
    pub fn end(self, kind: EffectKind, forge: ForgeKind) -> EffectCaseOutcome {
        if let Some(why) = kind.lacking_at(forge) {
            return EffectCaseOutcome::Cannot(why);
        }
        match self {
            Self::GateClosed | Self::LeaseLost => EffectCaseOutcome::Withheld,
            Self::Refused => kind.instead().map_or(EffectCaseOutcome::Reported, EffectCaseOutcome::Replaced),
            Self::LostDone | Self::LostUndone | Self::KilledBefore | Self::KilledAfter => {
                EffectCaseOutcome::Once
            }
            Self::DryRun => EffectCaseOutcome::Listed,
        }
    }
}

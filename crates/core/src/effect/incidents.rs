//! The incidents that may occur during an effect, and the outcome of each. Tests and
//! `docs/reference/effects.md` are derived from this table.

use super::EffectKind;
use crate::port::ForgeKind;

/// An incident during one effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectIncident {
    /// The kill switch is on.
    KillSwitchOn,
    /// Another process has the lease.
    LeaseLost,
    /// The forge refuses the effect.
    ForgeRefused,
    /// The forge performed the effect, but the response was lost.
    ResponseLostAfterEffect,
    /// The forge did not perform the effect, and does not respond.
    ResponseLostWithoutEffect,
    /// The process is killed after it records the intent and before it makes the call.
    KilledBeforeCall,
    /// The process is killed after it makes the call and before it records the end of the call.
    KilledAfterCall,
    /// The run is a dry run.
    DryRun,
}

/// The outcome of an incident for the effect, after the run was repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectIncidentOutcome {
    /// Nothing was written, and the run stops.
    Withheld,
    /// The effect is absent, and the loop gets the forge's reason.
    RefusalReported,
    /// The fallback effect is present instead, exactly once.
    Fallback(EffectKind),
    /// The effect is present, exactly once.
    ExactlyOnce,
    /// Nothing was written, and the run continues as if the effect had been performed.
    Simulated,
    /// The forge does not support the effect, for this reason. Truing refuses the effect before it records
    /// the intent and makes a call.
    Unsupported(&'static str),
}

impl EffectIncident {
    /// All incidents, in order.
    pub const ALL: [Self; 8] = [
        Self::KillSwitchOn,
        Self::LeaseLost,
        Self::ForgeRefused,
        Self::ResponseLostAfterEffect,
        Self::ResponseLostWithoutEffect,
        Self::KilledBeforeCall,
        Self::KilledAfterCall,
        Self::DryRun,
    ];

    /// Returns the name of the incident in tests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitchOn => "gate_closed",
            Self::LeaseLost => "lease_lost",
            Self::ForgeRefused => "refused",
            Self::ResponseLostAfterEffect => "answer_lost_done",
            Self::ResponseLostWithoutEffect => "answer_lost_undone",
            Self::KilledBeforeCall => "killed_before",
            Self::KilledAfterCall => "killed_after",
            Self::DryRun => "dry_run",
        }
    }

    /// Returns the outcome of this incident for a kind of effect at a kind of forge.
    pub fn outcome_for(self, kind: EffectKind, forge: ForgeKind) -> EffectIncidentOutcome {
        if let Some(why) = kind.unsupported_reason_at(forge) {
            return EffectIncidentOutcome::Unsupported(why);
        }
        match self {
            Self::KillSwitchOn | Self::LeaseLost => EffectIncidentOutcome::Withheld,
            Self::ForgeRefused => kind
                .fallback()
                .map_or(EffectIncidentOutcome::RefusalReported, EffectIncidentOutcome::Fallback),
            Self::ResponseLostAfterEffect
            | Self::ResponseLostWithoutEffect
            | Self::KilledBeforeCall
            | Self::KilledAfterCall => EffectIncidentOutcome::ExactlyOnce,
            Self::DryRun => EffectIncidentOutcome::Simulated,
        }
    }
}

//! Traits that combine several ports into one trait object.

use super::{EffectLog, ForgeRead, ForgeWrite, Ledger, OperatorStore, RunStore, SlotStore, SweepStore};

/// A store of everything that is persisted: slots, runs, operators' records, effects and money.
pub trait RecordStore: SlotStore + RunStore + OperatorStore + SweepStore + EffectLog + Ledger {}

impl<S: SlotStore + RunStore + OperatorStore + SweepStore + EffectLog + Ledger> RecordStore for S {}

/// Reads and writes one pull request and its repository at a forge, on behalf of one producer.
pub trait ForgePull: ForgeRead + ForgeWrite {}

impl<F: ForgeRead + ForgeWrite> ForgePull for F {}

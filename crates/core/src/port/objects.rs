//! Ports that are passed together, as one object.

use super::{EffectLog, ForgeRead, ForgeWrite, Ledger, OperatorStore, RunStore, SlotStore, Watchlist};

/// A store with all that it keeps: slots and records.
pub trait RecordStore: SlotStore + RunStore + OperatorStore + Watchlist + EffectLog + Ledger {}

impl<S: SlotStore + RunStore + OperatorStore + Watchlist + EffectLog + Ledger> RecordStore for S {}

/// One pull request of a forge with its repository, as one producer reads and changes it.
pub trait ForgePull: ForgeRead + ForgeWrite {}

impl<F: ForgeRead + ForgeWrite> ForgePull for F {}

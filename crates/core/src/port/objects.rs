//! Ports that are passed together, as one object.

use super::{EffectLog, ForgeRead, ForgeWrite, Ledger, Operations, Runs, Slots, Watchlist};

/// A store with all that it keeps: slots and records.
pub trait RecordStore: Slots + Runs + Operations + Watchlist + EffectLog + Ledger {}

impl<S: Slots + Runs + Operations + Watchlist + EffectLog + Ledger> RecordStore for S {}

/// One pull request of a forge with its repository, as one producer reads and changes it.
pub trait ForgePull: ForgeRead + ForgeWrite {}

impl<F: ForgeRead + ForgeWrite> ForgePull for F {}

//! The slot.
use serde::{Deserialize, Serialize};
use crate::id::{Key, Millis};
/// A slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slot { pub(crate) key: Key }
impl Slot {
    /// New.
    pub fn new(key: Key) -> Self { Self { key } }
    /// Wakes.
    pub fn wakes_at(&self) -> Option<Millis> { None }
}

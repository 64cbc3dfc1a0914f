//! Defines the order in which due slots are returned. The order is the same for every engine.

use std::collections::HashMap;

use truing_core::id::SlotKey;

/// Largest number of due slots that are ranked. Among the ranked slots, the first slot of every repository
/// precedes the second slot of any repository. If more slots are due, only the oldest are ranked, because
/// ranking all of them would delay the workers.
pub(crate) const MAX_RANKED_SLOTS: usize = 8_192;

/// Orders due slots. `due` contains the key and the wake time of each slot, with the oldest slot first. The
/// oldest slot of each repository is first, then the second oldest slot of each repository, and so on.
pub(crate) fn interleave_repositories(due: Vec<(String, i64)>) -> Vec<SlotKey> {
    let mut taken = HashMap::<String, usize>::new();
    let mut ranked: Vec<(usize, i64, SlotKey)> = Vec::with_capacity(due.len());
    for (name, at) in due {
        let key = SlotKey::new(name);
        let rank = match taken.get_mut(key.repository_prefix()) {
            Some(taken) => {
                *taken += 1;
                *taken
            }
            None => {
                taken.insert(key.repository_prefix().to_owned(), 0);
                0
            }
        };
        ranked.push((rank, at, key));
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(.., key)| key).collect()
}

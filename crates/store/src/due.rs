//! Defines the order in which due slots are returned. The order is the same for every engine.

use std::collections::HashMap;

use truing_core::id::SlotKey;

/// Largest number of due slots that are ranked. Among ranked slots, the oldest slot of each repository is
/// before the second oldest slot of any repository. If more slots are due, only the oldest are ranked,
/// because ranking all slots would take longer than workers can wait.
pub(crate) const WINDOW: usize = 8_192;

/// Orders due slots, which are given with their wake times. The oldest slot of each repository is first, then
/// the second oldest slot of each repository, and so on.
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

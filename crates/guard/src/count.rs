//! Compares lists of texts as multisets.

use std::collections::BTreeMap;

/// Returns the items of `these` that are not in `those`, counting duplicates.
pub(super) fn missing_items<'t>(these: &'t [String], those: &[String]) -> Vec<&'t String> {
    let mut left = count_items(those);
    these.iter().filter(|one| !take_item(&mut left, one)).collect()
}

pub(super) fn count_items(all: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one.as_str()).or_insert(0) += 1;
    }
    counts
}

pub(super) fn take_item(left: &mut BTreeMap<&str, usize>, one: &str) -> bool {
    match left.get_mut(one) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        Some(_) | None => false,
    }
}

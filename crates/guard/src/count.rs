//! Compares lists of texts as multisets.

use std::collections::BTreeMap;

/// Returns the items of `items` that are not in `present_items`. Each item of `present_items` cancels only
/// one equal item.
pub(super) fn missing_items<'t>(items: &'t [String], present_items: &[String]) -> Vec<&'t String> {
    let mut left = count_items(present_items);
    items.iter().filter(|one| !take_item(&mut left, one)).collect()
}

pub(super) fn count_items(items: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for one in items {
        *counts.entry(one.as_str()).or_insert(0) += 1;
    }
    counts
}

pub(super) fn take_item(remaining: &mut BTreeMap<&str, usize>, item: &str) -> bool {
    match remaining.get_mut(item) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        Some(_) | None => false,
    }
}

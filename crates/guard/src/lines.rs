//! Lines that are gone, and lines that are new.

use std::collections::BTreeMap;

use crate::file::File;

/// Lines of each file that say something, before and after a fix.
pub(crate) type Sides<'f, 'a> = Vec<(&'f File<'a>, Vec<String>, Vec<String>)>;

/// Those of after that are more than there were; what was in another file of this fix has only moved.
pub(crate) fn more<'f, 'a>(sides: &Sides<'f, 'a>) -> Vec<(&'f File<'a>, String)> {
    let gone: Vec<String> =
        sides.iter().flat_map(|(_, before, after)| missing(before, after)).cloned().collect();
    let mut moved = counted(&gone);
    let mut found = Vec::new();
    for (file, before, after) in sides {
        let more = after.len().saturating_sub(before.len());
        let new = missing(after, before).into_iter().filter(|line| !take(&mut moved, line));
        found.extend(new.take(more).map(|line| (*file, line.clone())));
    }
    found
}

/// Of these, what is not among those, each as often as it is missing.
pub(crate) fn missing<'t>(these: &'t [String], those: &[String]) -> Vec<&'t String> {
    let mut left = counted(those);
    these.iter().filter(|one| !take(&mut left, one)).collect()
}

pub(crate) fn counted(all: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one.as_str()).or_insert(0) += 1;
    }
    counts
}

pub(crate) fn take(left: &mut BTreeMap<&str, usize>, one: &str) -> bool {
    match left.get_mut(one) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        Some(_) | None => false,
    }
}

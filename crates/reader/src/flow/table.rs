//! Lists the botocore classes and functions for which aiobotocore has its own versions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Table of these classes and functions. The comment at the beginning of the file describes the table.
const BOTOCORE_ITEMS_CSV: &str = include_str!("pieces.csv");

/// A class or function of botocore.
pub(super) struct BotocoreItem {
    /// True if aiobotocore's version is a coroutine or has methods that are coroutines.
    pub(super) is_async: bool,
}

pub(super) static BOTOCORE_ITEMS: LazyLock<BTreeMap<&'static str, BotocoreItem>> = LazyLock::new(|| {
    let rows = BOTOCORE_ITEMS_CSV.lines().filter(|line| !line.starts_with('#'));
    let piece = |row: &'static str| {
        let mut fields = row.split(',');
        let (name, _, coroutines) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name, BotocoreItem { is_async: !coroutines.is_empty() }))
    };
    rows.filter_map(piece).collect()
});

/// Returns true if aiobotocore has its own version of the class or function.
pub(super) fn has_aio_version(path: &str) -> bool {
    BOTOCORE_ITEMS.contains_key(path)
}

/// Returns true if the aiobotocore class named `class` (without its module) has a coroutine with this name.
pub(super) fn has_coroutine(class: &str, name: &str) -> bool {
    let is_of = |row: &&str| {
        let own = row.split(',').nth(1).and_then(|it| it.rsplit('.').next());
        !row.starts_with('#') && own == Some(class)
    };
    let coroutines = |row: &'static str| row.split(',').nth(2).unwrap_or_default().split(' ');
    BOTOCORE_ITEMS_CSV.lines().filter(is_of).flat_map(coroutines).any(|it| it == name)
}

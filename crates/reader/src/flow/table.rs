//! The table of the pieces that aiobotocore has of its own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The pieces that aiobotocore has of its own: see the file's head.
const TABLE: &str = include_str!("pieces.csv");

/// A piece of botocore.
pub(super) struct BotocorePiece {
    /// Does the asynchronous one have coroutines, or is it one?
    pub(super) is_async: bool,
}

pub(super) static PIECES: LazyLock<BTreeMap<&'static str, BotocorePiece>> = LazyLock::new(|| {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let piece = |row: &'static str| {
        let mut fields = row.split(',');
        let (name, _, coroutines) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name, BotocorePiece { is_async: !coroutines.is_empty() }))
    };
    rows.filter_map(piece).collect()
});

/// Is it a piece that aiobotocore has of its own?
pub(super) fn is_piece(path: &str) -> bool {
    PIECES.contains_key(path)
}

/// Has a class of aiobotocore, by its last name, a coroutine of this name?
pub(super) fn has_coroutine(class: &str, name: &str) -> bool {
    let is_of = |row: &&str| {
        let own = row.split(',').nth(1).and_then(|it| it.rsplit('.').next());
        !row.starts_with('#') && own == Some(class)
    };
    let coroutines = |row: &'static str| row.split(',').nth(2).unwrap_or_default().split(' ');
    TABLE.lines().filter(is_of).flat_map(coroutines).any(|it| it == name)
}

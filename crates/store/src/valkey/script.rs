//! The scripts, and the forms of what they answer.

use redis::{Script, Value};
use truing_core::id::Version;
use truing_core::port::Moved;

/// Every script, sent once and then known to the server by its digest.
pub(super) struct Scripts {
    pub(super) swap: Script,
    pub(super) load: Script,
    pub(super) raise: Script,
    pub(super) repair: Script,
    pub(super) place: Script,
    pub(super) lend: Script,
    pub(super) workers: Script,
    pub(super) common: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            swap: Script::new(include_str!("swap.lua")),
            load: Script::new(include_str!("load.lua")),
            raise: Script::new(include_str!("raise.lua")),
            repair: Script::new(include_str!("repair.lua")),
            place: Script::new(include_str!("place.lua")),
            lend: Script::new(include_str!("lend.lua")),
            workers: Script::new(include_str!("workers.lua")),
            common: Script::new(include_str!("common.lua")),
        }
    }
}

/// The answer to a swap.
pub(super) enum Swapped {
    SwitchedOff,
    Before,
    /// For each slot the new version; an error within an error: its row is no slot at all.
    Each(Vec<Result<Result<Version, Moved>, ()>>),
}

/// Reads the answer to a swap; none: it is not of the form.
pub(super) fn swapped(answer: Value) -> Option<Swapped> {
    let text = |value: &Value| redis::from_redis_value_ref::<String>(value).ok();
    if let Value::Array(answers) = answer {
        let each = answers.iter().map(|answer| {
            Some(match text(answer)?.as_str() {
                "moved" => Ok(Err(Moved)),
                "unreadable" => Err(()),
                version => Ok(Ok(Version(version.parse().ok()?))),
            })
        });
        return each.collect::<Option<_>>().map(Swapped::Each);
    }
    match text(&answer)?.as_str() {
        "switched" => Some(Swapped::SwitchedOff),
        "done" => Some(Swapped::Before),
        _ => None,
    }
}

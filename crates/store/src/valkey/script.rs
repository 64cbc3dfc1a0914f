//! The scripts, and the parsing of their results.

use redis::{Script, Value};
use truing_core::id::SlotVersion;
use truing_core::port::VersionConflict;
use truing_core::slot::Slot;

/// The source of the script that reads slots.
pub(super) const LOAD_SCRIPT: &str = include_str!("load.lua");

/// All scripts. Each script is sent to the server once, and is then called by its digest.
pub(super) struct ValkeyScripts {
    pub(super) swap: Script,
    pub(super) load: Script,
    pub(super) raise_counter: Script,
    pub(super) set_switch_if_unchanged: Script,
    pub(super) import_slots: Script,
    pub(super) take_duty_lease: Script,
    pub(super) update_workers: Script,
    pub(super) swap_shared_text: Script,
}

impl ValkeyScripts {
    pub(super) fn new() -> Self {
        Self {
            swap: Script::new(include_str!("swap.lua")),
            load: Script::new(LOAD_SCRIPT),
            raise_counter: Script::new(include_str!("raise.lua")),
            set_switch_if_unchanged: Script::new(include_str!("repair.lua")),
            import_slots: Script::new(include_str!("place.lua")),
            take_duty_lease: Script::new(include_str!("lend.lua")),
            update_workers: Script::new(include_str!("workers.lua")),
            swap_shared_text: Script::new(include_str!("common.lua")),
        }
    }
}

/// The result of a swap.
pub(crate) enum SwapOutcome {
    /// The result for each slot.
    PerSlot(Vec<Result<SlotVersion, VersionConflict>>),
    /// The kill switch is on.
    KillSwitchOn,
    /// The request with this idempotency key was carried out before.
    AlreadyDone,
}

/// Parses the result of a swap of these slots. The error is a message for people.
pub(super) fn parse_swap_answer(
    answer: &Value,
    changes: &[(SlotVersion, Slot)],
) -> Result<SwapOutcome, String> {
    let unclear = || "the answer of a script has an invalid form".to_owned();
    let text = |value: &Value| redis::from_redis_value_ref::<String>(value).map_err(|_| unclear());
    if let Value::Array(answers) = answer {
        let each = answers.iter().zip(changes).map(|(answer, (_, slot))| match text(answer)?.as_str() {
            "moved" => Ok(Err(VersionConflict)),
            "unreadable" => Err(format!("slot {} is not a hash; delete it manually", slot.key)),
            version => version.parse().map(|version| Ok(SlotVersion(version))).map_err(|_| unclear()),
        });
        return each.collect::<Result<_, _>>().map(SwapOutcome::PerSlot);
    }
    match text(answer)?.as_str() {
        "switched" => Ok(SwapOutcome::KillSwitchOn),
        "done" => Ok(SwapOutcome::AlreadyDone),
        _ => Err(unclear()),
    }
}

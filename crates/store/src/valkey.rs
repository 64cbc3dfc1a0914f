//! Valkey (or Redis), which contains the slots of a deployment with several processes. A slot is a hash. A
//! script swaps slots by version, and updates three indexes: by due time, by name, and by state. The core
//! decides how a slot changes. If Valkey loses data, the service recovers: the records refuse tokens that are
//! too small, and the sweep marks open pull requests.

mod clock;
mod fault;
mod operations;
mod peers;
mod primary;
mod script;
mod sentinel;
mod shared_state;
mod slot_pages;
mod transport;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, ScriptInvocation};
use truing_core::id::{SlotKey, SlotVersion, UnixMillis};
use truing_core::port::{Clock, LeaseRefusal, StoreError, VersionConflict};
use truing_core::slot::{Slot, SlotState};
use truing_core::switch::{KillSwitches, RepositoryRef};

pub use self::fault::ValkeyConnectError;
pub(crate) use self::script::SwapOutcome;
pub(crate) use self::slot_pages::SlotReadResult;

use self::clock::ServerClock;
use self::peers::OwnWorker;
use self::primary::{PrimaryRoute, PrimaryServer};
use self::script::ValkeyScripts;
use crate::due::{MAX_RANKED_SLOTS, interleave_repositories};
use crate::fault::{StoreFault, from_json, to_json};
use crate::watch::StoreMonitor;

/// Number of slots that one command reads.
const SLOTS_PER_READ: usize = 256;
/// Seconds for which a carried out request is remembered.
const IDEMPOTENCY_KEY_TTL_SECONDS: u32 = 24 * 60 * 60;

/// The key by which people turn the kill switch on directly in Valkey.
const KILL_SWITCH_KEY: &str = "bot:killswitch:enabled";

// The names of all keys. The hash tag in braces keeps all keys on one node of a cluster.
/// The last number that was issued.
const COUNTER_KEY: &str = "truing:{truing}:counter";
/// The index of slots with a wake time, ordered by that time.
const DUE_INDEX_KEY: &str = "truing:{truing}:due";
/// The index of all slots, by name.
const SLOT_INDEX: &str = "truing:{truing}:slots";
/// The set of all states that at least one slot has. This name and an appended state are the key of the set
/// of slots in that state.
const STATES_KEY: &str = "truing:{truing}:state";
/// A copy of the value that Truing last set for [`KILL_SWITCH_KEY`]. If the two values differ, a person has
/// set [`KILL_SWITCH_KEY`].
const KILL_SWITCH_COPY_KEY: &str = "truing:{truing}:switch";
/// Prefix of the key that marks a request as carried out.
const IDEMPOTENCY_KEY_PREFIX: &str = "truing:{truing}:obeyed";
/// The channel on which a process reports that a slot is waiting.
const CHANGE_CHANNEL: &str = "truing:{truing}:changed";
/// The key of the duty lease, whose value is the name of its holder.
const DUTY_LEASE_KEY: &str = "truing:{truing}:sole";
/// The processes that lease slots.
const WORKERS_KEY: &str = "truing:{truing}:workers";
/// Prefix of the key of a shared state.
const SHARED_STATE_KEY_PREFIX: &str = "truing:{truing}:common";

/// Returns the key of the set of slots in one state.
fn state_set_key(state: &str) -> String {
    format!("{STATES_KEY}:{state}")
}

/// Returns the key of a slot's row: `review:slot:{truing}:github:1:7` for `pr/github/1/7`.
fn slot_row_key(key: &SlotKey) -> String {
    let path = key.as_str().strip_prefix("pr/").unwrap_or(key.as_str());
    format!("review:slot:{{truing}}:{}", path.replace('/', ":"))
}

/// The configured server, or the primary that the Sentinels name.
pub(crate) struct ValkeyServer {
    route: PrimaryRoute,
    scripts: ValkeyScripts,
    /// Name of the server or the Sentinels for messages, without a password. The name stays the same when
    /// another server becomes the primary.
    name: Arc<str>,
    clock: Arc<ServerClock>,
    monitor: Arc<StoreMonitor>,
    /// The greatest number that this process has received from the counter.
    greatest_version: AtomicU64,
    /// This process's name among the processes that share the slots, and its listener for their reports.
    peers: OwnWorker,
}

/// The values of the two keys of the kill switch.
pub(crate) struct KillSwitchValues {
    /// The value of the key that people can set directly in Valkey.
    current_value: Option<String>,
    /// The value that Truing last set, from the other key.
    own_copy: Option<String>,
}

impl KillSwitchValues {
    /// Returns the state that a person has set directly in Valkey. Returns `None` if no person has set the
    /// switch. Every value except `false` means on, because a person who sets an unknown value wants to stop
    /// something.
    pub(crate) fn manual_state(&self) -> Option<bool> {
        self.current_value
            .as_deref()
            .filter(|set| self.own_copy.as_deref() != Some(*set))
            .map(|set| set != "false")
    }

    /// Returns true if both keys contain this value.
    pub(crate) fn both_equal(&self, is_on: bool) -> bool {
        let expected = Some(if is_on { "true" } else { "false" });
        self.current_value.as_deref() == expected && self.own_copy.as_deref() == expected
    }
}

impl ValkeyServer {
    /// Connects, and refuses a server that would lose slots.
    pub(crate) async fn open(
        url: &str,
        test_clock: Option<Arc<dyn Clock>>,
        monitor: Arc<StoreMonitor>,
    ) -> Result<Self, ValkeyConnectError> {
        let (route, name) = PrimaryRoute::open(url).await?;
        let valkey = Self {
            route,
            scripts: ValkeyScripts::new(),
            clock: Arc::new(ServerClock::new(test_clock)),
            monitor,
            name,
            greatest_version: AtomicU64::new(0),
            peers: OwnWorker::new(),
        };
        valkey.now().await.map_err(|error| ValkeyConnectError::Other {
            name: Arc::clone(&valkey.name),
            message: error.to_string(),
        })?;
        Ok(valkey)
    }

    /// Returns a clock that follows the server's clock.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn store_error(&self, error: &RedisError) -> StoreError {
        StoreError::Unavailable(format!("{}: {}", self.route.name(), fault::error_text(error)))
    }

    /// Sends a command to the primary.
    async fn query_primary<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut primary = self.primary().await?;
        command.query_async(&mut primary).await.map_err(|error| self.store_error(&error))
    }

    /// Sends several commands together to the primary.
    async fn query_pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        let mut primary = self.primary().await?;
        commands.query_async(&mut primary).await.map_err(|error| self.store_error(&error))
    }

    /// Runs a script at the primary.
    async fn invoke_script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let mut primary = self.primary().await?;
        script.invoke_async(&mut primary).await.map_err(|error| self.store_error(&error))
    }

    /// Requests the server's present time.
    pub(crate) async fn now(&self) -> Result<UnixMillis, StoreError> {
        let (seconds, micros): (i64, i64) = self.query_primary(&redis::cmd("TIME")).await?;
        self.clock.adopt_server_time(UnixMillis(seconds.saturating_mul(1000).saturating_add(micros / 1000)));
        Ok(self.clock.now())
    }

    /// Returns the due slots. The first slot of every repository comes before the second slot of any
    /// repository.
    pub(crate) async fn due_slots(&self, now: UnixMillis, limit: usize) -> Result<Vec<Slot>, StoreError> {
        let (mut slots, mut seen) = (Vec::new(), 0);
        // If a window contains unreadable rows, further windows are read, until there are enough readable
        // slots.
        while slots.len() < limit {
            let window: Vec<(String, i64)> = self
                .query_primary(redis::cmd("ZRANGE").arg((
                    DUE_INDEX_KEY,
                    "-inf",
                    now.0,
                    "BYSCORE",
                    "LIMIT",
                    seen,
                    MAX_RANKED_SLOTS,
                    "WITHSCORES",
                )))
                .await?;
            let is_last = window.len() < MAX_RANKED_SLOTS;
            seen += window.len();
            for keys in interleave_repositories(window).chunks(SLOTS_PER_READ) {
                if slots.len() >= limit {
                    break;
                }
                for (key, found) in keys.iter().zip(self.read_rows(keys).await?) {
                    match found {
                        Ok(slot) => slots.push(slot),
                        Err(fault) => self.monitor.report_unreadable(key.as_str(), &fault),
                    }
                }
            }
            if is_last {
                break;
            }
        }
        slots.truncate(limit);
        Ok(slots)
    }

    /// Returns the earliest wake time of a slot at or after `from`.
    pub(crate) async fn next_due(&self, from: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        let next: Vec<(String, i64)> = self
            .query_primary(redis::cmd("ZRANGE").arg((
                DUE_INDEX_KEY,
                from.0,
                "+inf",
                "BYSCORE",
                "LIMIT",
                0,
                1,
                "WITHSCORES",
            )))
            .await?;
        Ok(next.first().map(|(_, at)| UnixMillis(*at)))
    }

    /// Returns the slots of these keys, or an error if one of the slots cannot be read.
    pub(crate) async fn load_slots(&self, keys: &[SlotKey]) -> Result<Vec<Slot>, StoreError> {
        let found = self.read_rows(keys).await?;
        let read = keys.iter().zip(found).map(|(key, found)| {
            found.map_err(|fault| {
                self.monitor.report_unreadable(key.as_str(), &fault);
                StoreError::Corrupt(format!("{}: {fault}", self.name))
            })
        });
        read.collect()
    }

    /// Returns every slot whose name begins with `prefix`, ordered by name. Unreadable slots are logged and
    /// left out.
    pub(crate) async fn slots_with_prefix(&self, prefix: &str) -> Result<Vec<Slot>, StoreError> {
        let mut slots = Vec::new();
        for keys in self.keys_with_prefix(prefix).await?.chunks(SLOTS_PER_READ) {
            for (key, found) in keys.iter().zip(self.read_rows(keys).await?) {
                match found {
                    Ok(slot) => slots.push(slot),
                    Err(fault) => self.monitor.report_unreadable(key.as_str(), &fault),
                }
            }
        }
        Ok(slots)
    }

    async fn keys_with_prefix(&self, prefix: &str) -> Result<Vec<SlotKey>, StoreError> {
        // The end of the range is the prefix followed by the greatest byte, which occurs in no name.
        let (from, to) = (format!("[{prefix}").into_bytes(), [b"(", prefix.as_bytes(), b"\xff"].concat());
        let names: Vec<String> =
            self.query_primary(redis::cmd("ZRANGE").arg((SLOT_INDEX, from, to, "BYLEX"))).await?;
        Ok(names.into_iter().map(SlotKey::new).collect())
    }

    /// Writes the slots whose rows have the expected versions. If `check_kill_switch` is true, no slot is
    /// written while the kill switch is on. A write with an `idempotency_key` happens only once. A caller
    /// that did not receive the response can therefore retry.
    pub(crate) async fn swap_slots(
        &self,
        changes: &[(SlotVersion, Slot)],
        check_kill_switch: bool,
        idempotency_key: Option<&str>,
    ) -> Result<SwapOutcome, StoreError> {
        if changes.is_empty() && !check_kill_switch {
            return Ok(SwapOutcome::PerSlot(Vec::new()));
        }
        let idempotency_key = idempotency_key.map_or_else(
            || COUNTER_KEY.to_owned(),
            |idempotency_key| format!("{IDEMPOTENCY_KEY_PREFIX}:{idempotency_key}"),
        );
        let mut call = self.scripts.swap.prepare_invoke();
        for key in [
            KILL_SWITCH_KEY,
            COUNTER_KEY,
            DUE_INDEX_KEY,
            SLOT_INDEX,
            STATES_KEY,
            CHANGE_CHANNEL,
            &idempotency_key,
        ] {
            call.key(key);
        }
        call.arg(i32::from(check_kill_switch)).arg(IDEMPOTENCY_KEY_TTL_SECONDS);
        for (version, slot) in changes {
            let body = if slot.is_deletable() { String::new() } else { self.slot_to_json(slot)? };
            let wakes = slot.wake_time().map(|at| at.0.to_string()).unwrap_or_default();
            call.key(slot_row_key(&slot.key));
            call.arg(slot.key.as_str()).arg(version.0).arg(state_label(&slot.state)).arg(wakes).arg(body);
        }
        let answer: redis::Value = self.invoke_script(&call).await?;
        let swapped = script::parse_swap_answer(&answer, changes)
            .map_err(|words| StoreError::Corrupt(format!("{}: {words}", self.name)))?;
        if let SwapOutcome::PerSlot(each) = &swapped {
            self.monitor.record_swap(each.len(), each.iter().filter(|one| one.is_err()).count());
            let greatest = each.iter().flatten().map(|version| version.0).max();
            self.greatest_version.fetch_max(greatest.unwrap_or(0), Ordering::Relaxed);
        }
        Ok(swapped)
    }

    /// Writes the slots whose rows have the expected versions, even if the kill switch is on.
    pub(crate) async fn swap_slots_unchecked(
        &self,
        changes: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, VersionConflict>>, StoreError> {
        match self.swap_slots(changes, false, None).await? {
            SwapOutcome::PerSlot(each) => Ok(each),
            // These results are impossible, because this call requests neither a check of the switch nor
            // idempotency.
            SwapOutcome::KillSwitchOn | SwapOutcome::AlreadyDone => {
                Ok(vec![Err(VersionConflict); changes.len()])
            }
        }
    }

    /// Writes the leases whose rows have the expected versions. Returns a refusal for each lease that is not
    /// granted. The script checks the global kill switch.
    pub(crate) async fn grant_leases(
        &self,
        leases: &[(SlotVersion, Slot)],
        switches: &KillSwitches,
    ) -> Result<Vec<Result<SlotVersion, LeaseRefusal>>, StoreError> {
        let is_switched_off =
            |slot: &Slot| switches.switch_for(&RepositoryRef::from_key(&slot.key)).is_some();
        let free: Vec<(SlotVersion, Slot)> =
            leases.iter().filter(|(_, slot)| !is_switched_off(slot)).cloned().collect();
        let mut granted = match self.swap_slots(&free, true, None).await? {
            SwapOutcome::PerSlot(each) => each,
            SwapOutcome::KillSwitchOn | SwapOutcome::AlreadyDone => {
                return Ok(vec![Err(LeaseRefusal::BlockedByKillSwitch); leases.len()]);
            }
        }
        .into_iter();
        let answers = leases.iter().map(|(_, slot)| match is_switched_off(slot) {
            true => Err(LeaseRefusal::BlockedByKillSwitch),
            false => granted.next().unwrap_or(Err(VersionConflict)).map_err(LeaseRefusal::from),
        });
        Ok(answers.collect())
    }

    /// Returns the next number, which is greater than all versions and tokens that were issued before.
    pub(crate) async fn next_counter_value(&self) -> Result<u64, StoreError> {
        let number = self.query_primary(redis::cmd("INCR").arg(COUNTER_KEY)).await?;
        self.greatest_version.fetch_max(number, Ordering::Relaxed);
        Ok(number)
    }

    /// Ensures that the next number is greater than `number`. No request is sent if this process has already
    /// received a number at least as large as `number`.
    pub(crate) async fn raise_counter_if_needed(&self, number: u64) -> Result<(), StoreError> {
        if number <= self.greatest_version.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.raise_counter(number).await
    }

    /// Raises the counter, so that the next number is greater than `number`.
    pub(crate) async fn raise_counter(&self, number: u64) -> Result<(), StoreError> {
        let mut primary = self.primary().await?;
        self.raise_counter_at(&mut primary, number).await.map_err(|error| self.store_error(&error))?;
        self.greatest_version.fetch_max(number, Ordering::Relaxed);
        Ok(())
    }

    async fn raise_counter_at(&self, primary: &mut PrimaryServer, number: u64) -> Result<(), RedisError> {
        let mut call = self.scripts.raise_counter.prepare_invoke();
        call.key(COUNTER_KEY).arg(number).invoke_async::<i64>(primary).await.map(drop)
    }

    /// Reads the present value of the kill switch, and the value that Truing last set.
    pub(crate) async fn switch_keys(&self) -> Result<KillSwitchValues, StoreError> {
        let (set, own_copy) =
            self.query_primary(redis::cmd("MGET").arg((KILL_SWITCH_KEY, KILL_SWITCH_COPY_KEY))).await?;
        Ok(KillSwitchValues { current_value: set, own_copy })
    }

    /// Sets the kill switch, and Truing's copy of its value.
    pub(crate) async fn set_switch(&self, is_on: bool) -> Result<(), StoreError> {
        self.query_primary(redis::cmd("MSET").arg((
            KILL_SWITCH_KEY,
            is_on.to_string(),
            KILL_SWITCH_COPY_KEY,
            is_on.to_string(),
        )))
        .await
    }

    /// Sets the kill switch, but only if its keys still have the values in `keys`.
    pub(crate) async fn set_switch_if_unchanged(
        &self,
        keys: &KillSwitchValues,
        is_on: bool,
    ) -> Result<(), StoreError> {
        let mut call = self.scripts.set_switch_if_unchanged.prepare_invoke();
        call.key(KILL_SWITCH_KEY).key(KILL_SWITCH_COPY_KEY);
        call.arg(keys.current_value.as_deref().unwrap_or("")).arg(keys.own_copy.as_deref().unwrap_or(""));
        self.invoke_script::<i64>(call.arg(is_on.to_string())).await.map(drop)
    }

    /// Counts the slots in each state. The names of the states are those that `state_label` returns.
    pub(crate) async fn state_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut states: Vec<String> = self.query_primary(redis::cmd("SMEMBERS").arg(STATES_KEY)).await?;
        states.sort();
        let mut counts = redis::pipe();
        for state in &states {
            counts.cmd("SCARD").arg(state_set_key(state));
        }
        if states.is_empty() {
            return Ok(Vec::new());
        }
        let counts: Vec<u64> = self.query_pipeline(&counts).await?;
        Ok(states.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect())
    }

    /// Returns the names of the slots in a state.
    pub(crate) async fn keys_in_state(&self, state: &str) -> Result<Vec<SlotKey>, StoreError> {
        let names: Vec<String> = self.query_primary(redis::cmd("SMEMBERS").arg(state_set_key(state))).await?;
        Ok(names.into_iter().map(SlotKey::new).collect())
    }

    /// Returns the wake time of the waiting slot that became due first.
    pub(crate) async fn oldest_due_time(&self, now: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        let due: Vec<(String, i64)> = self
            .query_primary(redis::cmd("ZRANGE").arg((
                DUE_INDEX_KEY,
                "-inf",
                now.0,
                "BYSCORE",
                "LIMIT",
                0,
                SLOTS_PER_READ,
                "WITHSCORES",
            )))
            .await?;
        let keys: Vec<SlotKey> = due.iter().map(|(name, _)| SlotKey::new(name)).collect();
        let waits = |found: &Result<Slot, StoreFault>| {
            matches!(found, Ok(Slot { state: SlotState::Waiting { .. }, .. }))
        };
        let first = self.read_rows(&keys).await?.iter().position(waits);
        Ok(first.and_then(|at| due.get(at)).map(|(_, at)| UnixMillis(*at)))
    }

    /// Returns all readable slots, ordered by name, and each unreadable slot with its fault.
    pub(crate) async fn list_slots_and_faults(
        &self,
    ) -> Result<(Vec<Slot>, Vec<(SlotKey, String)>), StoreError> {
        let (mut slots, mut unreadable) = (Vec::new(), Vec::new());
        for keys in self.keys_with_prefix("").await?.chunks(SLOTS_PER_READ) {
            for (key, found) in keys.iter().zip(self.read_rows(keys).await?) {
                match found {
                    Ok(slot) => slots.push(slot),
                    Err(fault) => unreadable.push((key.clone(), fault.to_string())),
                }
            }
        }
        Ok((slots, unreadable))
    }

    /// Deletes a slot whose row cannot be read. Returns false if the slot can be read or does not exist.
    pub(crate) async fn delete_unreadable_slot(&self, key: &SlotKey) -> Result<bool, StoreError> {
        if self.read_rows(std::slice::from_ref(key)).await?.iter().all(Result::is_ok) {
            return Ok(false);
        }
        let states: Vec<String> = self.state_counts().await?.into_iter().map(|(state, _)| state).collect();
        let mut forget = redis::pipe();
        forget.atomic().del(slot_row_key(key)).ignore();
        forget.zrem(DUE_INDEX_KEY, key.as_str()).ignore();
        forget.zrem(SLOT_INDEX, key.as_str()).ignore();
        for state in states {
            forget.srem(state_set_key(&state), key.as_str()).ignore();
        }
        self.query_pipeline::<()>(&forget).await.map(|()| true)
    }

    fn slot_to_json(&self, slot: &Slot) -> Result<String, StoreError> {
        to_json(slot).map_err(|fault| StoreError::Unavailable(format!("{}: {fault}", self.name)))
    }

    /// Reads the rows of these keys. Returns a slot for each readable row, and the fault of each other row.
    pub(crate) async fn read_rows(
        &self,
        keys: &[SlotKey],
    ) -> Result<Vec<Result<Slot, StoreFault>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.scripts.load.prepare_invoke();
        for key in keys {
            call.key(slot_row_key(key));
        }
        let rows: Vec<(String, String)> = self.invoke_script(&call).await?;
        let read = keys.iter().zip(rows).map(|(key, (version, body))| {
            if version.is_empty() && body.is_empty() {
                return Ok(Slot::new(key.clone()));
            }
            let mut slot: Slot = from_json(&body, || format!("slot {key}"))?;
            slot.version = SlotVersion(from_json(&version, || format!("the version of slot {key}"))?);
            Ok(slot)
        });
        Ok(read.collect())
    }
}

/// Returns the label of a state, which consists of the state's name and reason. Slots are counted by label.
pub(crate) fn state_label(state: &SlotState) -> String {
    match state {
        SlotState::Idle => "idle/".to_owned(),
        SlotState::Waiting { reason: why, .. } => format!("waiting/{}", why.as_str()),
        SlotState::Leased { .. } => "leased/".to_owned(),
        SlotState::Held { reason: why } => format!("held/{}", why.as_str()),
    }
}

impl ValkeyServer {
    /// Returns the primary. If the primary is lost, one caller asks the Sentinels, and the other callers wait
    /// for the result.
    async fn primary(&self) -> Result<PrimaryServer, StoreError> {
        let asked = Instant::now();
        if let Some(primary) = self.route.current_primary() {
            return Ok(primary);
        }
        let mut failed = self.route.search_lock.lock().await;
        if let Some(primary) = self.route.current_primary() {
            return Ok(primary);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| *at > asked) {
            return Err(error.clone());
        }
        let found = self.connect_new_primary().await;
        *failed = found.as_ref().err().map(|error| (Instant::now(), error.clone()));
        found
    }

    /// Connects to the server that the Sentinels name as the primary.
    async fn connect_new_primary(&self) -> Result<PrimaryServer, StoreError> {
        let Some(sentinels) = &self.route.sentinels else {
            return Ok(self.route.primary_sender.borrow().clone());
        };
        let found = sentinels.connect_primary().await;
        let mut primary = found.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        // The new primary may lack the writes of the last second, including increases of the counter. The
        // counter is therefore raised, so that no number is issued twice.
        let given = self.greatest_version.load(Ordering::Relaxed);
        let raised = self.raise_counter_at(&mut primary, given).await;
        raised.map_err(|error| {
            StoreError::Unavailable(format!("{}: {}", primary.name, fault::error_text(&error)))
        })?;
        tracing::info!(name = %primary.name, "Sentinel named a primary server, which keeps the slots from \
            now on");
        self.route.primary_sender.send_replace(primary.clone());
        Ok(primary)
    }
}

//! Gathers the state for a scrape. Each part reads a limited amount in a limited time. If one query fails,
//! the results of the other queries are still reported.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::getpid;
use rustix::time::{ClockId, clock_gettime};
use truing_core::id::UnixMillis;
use truing_core::ledger::BudgetLevelKind;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_store::StoreStatistics;
use truing_system::ProcessUsage;

use super::ServiceMetrics;
use crate::context::ServiceContext;
use crate::status::WorkStatus;
use crate::sweep::{ForgeHealth, RepositorySweep};

/// Timeout of the store in a scrape. Prometheus gives up a scrape after ten seconds.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Timeout of the store in a status response. Commands wait one second for the whole response.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// Label values of a slot's state.
const SLOT_STATE_LABELS: [&str; 4] = ["idle", "waiting", "leased", "held"];

impl ServiceContext {
    /// Responds to a scrape. `last_read_at` is the time at which the scheduler last read the slots.
    #[truing_core::boxed_future]
    pub async fn scrape(&self, last_read_at: UnixMillis) -> String {
        let (metrics, now) = (&self.metrics, self.clock.now());
        let switch = tokio::time::timeout(STORE_TIMEOUT, self.kill_switches()).await;
        // If the store does not answer in time, the switch is reported as on, because it may be on.
        let on = switch.map_or(true, |switches| switches.global_switch.engagement().is_some());
        metrics.0.kill_switch.set(i64::from(on));
        metrics.update_store_metrics().await;
        metrics.record_call_quotas(self.forges.servers());
        metrics.record_sweeps(&self.sweep_results.swept_repositories(), now);
        let asked =
            self.forges.servers().keys().filter_map(|name| Some((name, self.sweep_results.health(name)?)));
        asked.for_each(|(name, health)| metrics.record_forge_health(name, health));
        metrics.0.scheduler_age.set(absolute_seconds(now.0.saturating_sub(last_read_at.0)));
        if let Some(agent) = &self.agent {
            metrics.set_model_retries(agent.gateway.retry_count());
        }
        metrics.update_process_metrics();
        metrics.text()
    }
}

/// Returns the number of parked slots, from the numbers by state and reason.
fn parked_slot_count(slot_counts: &[(String, String, u64)]) -> u64 {
    let is_parked = |(state, reason, _): &&(String, String, u64)| state == "held" && reason == "parked";
    slot_counts.iter().find(is_parked).map_or(0, |(_, _, count)| *count)
}

/// Returns the number of slots in a state, from the numbers by state and reason.
fn slot_count(slot_counts: &[(String, String, u64)], state: &str) -> u64 {
    slot_counts.iter().filter(|(of, ..)| of == state).map(|(_, _, count)| *count).sum()
}

impl ServiceMetrics {
    async fn update_store_metrics(&self) {
        let Some(store) = self.0.store.get() else { return };
        match tokio::time::timeout(STORE_TIMEOUT, store.collect_statistics()).await {
            Ok(Ok(census)) => {
                self.0.store_up.set(1);
                self.record_store_statistics(census);
            }
            Ok(Err(_)) | Err(_) => self.0.store_up.set(0),
        }
    }

    /// Counts the slots of the queue, and reads how much of the budgets is spent.
    pub(crate) async fn collect_work_status(&self) -> WorkStatus {
        let Some(store) = self.0.store.get() else { return WorkStatus::default() };
        let collected = tokio::time::timeout(STATUS_TIMEOUT, store.collect_statistics()).await;
        let Ok(Ok(statistics)) = collected else { return WorkStatus::default() };
        let slots = &statistics.slot_counts;
        WorkStatus {
            waiting: Some(slot_count(slots, "waiting")),
            running: Some(slot_count(slots, "leased")),
            oldest_due_seconds: statistics.oldest_due_age.map(|age| age.as_secs()),
            parked: Some(parked_slot_count(slots)),
            unreadable: Some(statistics.unreadable_slots),
            budget_used_percent: statistics.used_budget_permille.iter().map(|(_, used)| used / 10).max(),
        }
    }

    pub(super) fn record_store_statistics(&self, statistics: StoreStatistics) {
        let StoreStatistics {
            slot_counts: slots,
            oldest_due_age: oldest_due,
            pending_notices: untold,
            used_budget_permille: budgets,
            unreadable_slots: unreadable,
            bytes,
        } = statistics;
        // The reset removes the series of states that no slot has any longer.
        self.0.slots.reset();
        let parked = parked_slot_count(&slots);
        for (state, why, count) in slots {
            // An unreadable row may contain arbitrary words, which must not become labels.
            let known = SLOT_STATE_LABELS.contains(&state.as_str());
            let words = if known { [state.as_str(), why.as_str()] } else { ["unreadable", ""] };
            self.0.slots.with_label_values(&words).add(saturating_i64(count));
        }
        self.0.dead_letters.set(saturating_i64(parked));
        self.0.oldest_due.set(oldest_due.unwrap_or_default().as_secs_f64());
        self.0.unsent_notices.set(saturating_i64(untold));
        // Budget levels without any spending are also reported, with a ratio of zero.
        let kinds = [
            BudgetLevelKind::RepoDay,
            BudgetLevelKind::ConvergeDay,
            BudgetLevelKind::SyncDay,
            BudgetLevelKind::TeamMonth,
            BudgetLevelKind::Month,
        ];
        for kind in kinds {
            let spent = budgets.iter().find(|(of, _)| *of == kind).map_or(0, |(_, spent)| *spent);
            let ratio = Duration::from_millis(spent).as_secs_f64();
            self.0.budget.with_label_values(&[kind.as_str()]).set(ratio);
        }
        self.0.unreadable_slots.set(saturating_i64(unreadable));
        self.0.store_bytes.set(saturating_i64(bytes));
    }

    fn record_call_quotas(&self, servers: &BTreeMap<String, AnyForgeServer>) {
        for (name, server) in servers {
            let Some(quota) = server.quota() else { continue };
            self.0.calls_left.with_label_values(&[name]).set(saturating_i64(quota.remaining));
            self.0.calls_limit.with_label_values(&[name]).set(saturating_i64(quota.limit));
        }
    }

    /// Reports the values by forge, not by repository, because there may be thousands of repositories.
    pub(super) fn record_sweeps(&self, repository_sweeps: &[RepositorySweep], now: UnixMillis) {
        let mut oldest: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for RepositorySweep { forge, swept_at: at, .. } in repository_sweeps {
            let (age, count) = oldest.entry(forge).or_default();
            *age = (*age).max(now.0.saturating_sub(at.0).saturating_abs());
            *count += 1;
        }
        // The reset removes the series of forges that are no longer swept.
        self.0.sweep_age.reset();
        self.0.swept_repositories.reset();
        for (forge, (age, count)) in oldest {
            self.0.sweep_age.with_label_values(&[forge]).set(absolute_seconds(age));
            self.0.swept_repositories.with_label_values(&[forge]).set(count);
        }
    }

    pub(super) fn record_forge_health(&self, forge: &str, health: ForgeHealth) {
        self.0.forge_up.with_label_values(&[forge]).set(i64::from(health == ForgeHealth::Up));
    }

    fn update_process_metrics(&self) {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "a counter of seconds")]
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        // The counter becomes the processor time of the process; it never decreases.
        self.0.cpu.inc_by((cpu - self.0.cpu.get()).max(0.0));
        if let Some(resident) = ProcessUsage::from_pid(getpid()).resident_bytes() {
            self.0.memory.set(saturating_i64(resident));
        }
    }
}

/// Converts milliseconds to seconds. If the clock was set back, the last event seems to be in the future. The
/// absolute difference is then used as the event's age.
fn absolute_seconds(ms: i64) -> f64 {
    Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}

fn saturating_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

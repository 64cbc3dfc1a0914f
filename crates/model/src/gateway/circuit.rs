//! The provider's circuit breaker. All processes with shared state use the same breaker; without shared
//! state, each process has its own. `truing_core` contains the logic of the circuit breaker; this module
//! applies it to the stored state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use truing_core::breaker::{CallAdmission, CircuitBreaker, OpenCircuit};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{Clock, SharedStateStore, StateUpdate, update_state};

use super::settling::{PendingCallCount, PendingCallGuard, SessionSpend};

/// Lifetime of the shared state after its last change. A circuit is always open for a shorter time.
const SHARED_STATE_LIFETIME: TimeSpan = TimeSpan::minutes(120);

/// The circuit breaker of one provider. Clones share the state.
#[derive(Clone)]
pub(super) struct ProviderCircuit(Arc<CircuitInner>);

struct CircuitInner {
    clock: Arc<dyn Clock>,
    /// This process's copy of the circuit breaker, with times converted to this process's clock. While the
    /// shared state is unreachable, only the copy is used.
    local: Mutex<CircuitBreaker>,
    /// The shared state, and the key under which it stores the provider's circuit breaker.
    shared_state: Option<(Arc<dyn SharedStateStore>, String)>,
    pending_writes: PendingCallCount,
}

/// A call that was admitted. The holder reports the result of the call, if the result shows whether the
/// provider is available.
pub(super) struct AdmittedCall {
    circuit: ProviderCircuit,
    is_trial: bool,
}

impl ProviderCircuit {
    /// Returns a closed circuit. `pending_writes` counts writes to the shared state that have not completed.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        shared_state: Option<(Arc<dyn SharedStateStore>, String)>,
        pending_writes: PendingCallCount,
    ) -> Self {
        Self(Arc::new(CircuitInner { clock, local: Mutex::default(), shared_state, pending_writes }))
    }

    /// Admits a call, or returns an error if the circuit is open. The error contains the time, by this
    /// process's clock, until which the circuit is open.
    pub(super) async fn admit(&self) -> Result<AdmittedCall, OpenCircuit> {
        let pass = self.update_breaker(|breaker, now| breaker.admit(now).map_err(|open| (open, now))).await;
        let pass = pass.map_err(|open| self.to_local_clock(open.0, open.1))?;
        Ok(AdmittedCall { circuit: self.clone(), is_trial: pass == CallAdmission::Trial })
    }

    /// If another call has opened the circuit, returns the time, by this process's clock, until which the
    /// circuit is open. Admitted calls check this before each attempt.
    pub(super) async fn open_state(&self) -> Option<OpenCircuit> {
        let open = self.update_breaker(|breaker, now| breaker.open_state(now).map(|open| (open, now))).await;
        open.map(|open| self.to_local_clock(open.0, open.1))
    }

    /// Opens the circuit because a spending cap is reached. No call is admitted for the time `open_duration`,
    /// or for the default time if `open_duration` is `None`.
    pub(super) async fn trip(&self, open_duration: Option<TimeSpan>) {
        self.update_breaker(|breaker, now| breaker.record_cap_reached(now, open_duration)).await;
    }

    /// Applies a decision to the shared state and copies the new state to this process. If the shared state
    /// is unreachable, applies the decision to the copy.
    async fn update_breaker<T>(&self, decide: impl Fn(&mut CircuitBreaker, UnixMillis) -> T) -> T {
        let CircuitInner { clock, shared_state: common, .. } = &*self.0;
        if let Some((common, name)) = common {
            match update_state(&**common, name, SHARED_STATE_LIFETIME, &decide).await {
                Ok(StateUpdate { state, time, result }) => {
                    *self.lock_local() = state.shift_clock_by(clock.now() - time);
                    return result;
                }
                Err(error) => tracing::debug!(
                    %error, "the provider's failures in other processes are unknown: this process counts \
                        only the failures that it has seen itself"
                ),
            }
        }
        decide(&mut self.lock_local(), clock.now())
    }

    fn lock_local(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.0.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_local_clock(&self, circuit: OpenCircuit, now: UnixMillis) -> OpenCircuit {
        OpenCircuit { until: self.0.clock.now() + (circuit.until - now), ..circuit }
    }
}

impl AdmittedCall {
    /// Reports that the call succeeded.
    pub(super) async fn record_success(mut self) {
        self.circuit.update_breaker(|breaker, _| breaker.record_success()).await;
        self.is_trial = false;
    }

    /// Reports a failure that would also affect other calls.
    pub(super) async fn record_failure(mut self) {
        self.circuit.update_breaker(CircuitBreaker::record_failure).await;
        self.is_trial = false;
    }

    /// Ends a call that reached a spending cap, after [`ProviderCircuit::trip`] has opened the circuit.
    pub(super) fn finish_after_trip(mut self) {
        self.is_trial = false;
    }
}

/// Abandons a trial call that was dropped without a report, so another call can become the trial.
impl Drop for AdmittedCall {
    fn drop(&mut self) {
        if !self.is_trial {
            return;
        }
        let CircuitInner { clock, shared_state: common, pending_writes: settling, .. } = &*self.circuit.0;
        self.circuit.lock_local().abandon_trial(clock.now());
        // The shared state is updated too; otherwise other processes would wait for a trial call that was
        // abandoned.
        if let (Some(_), Ok(runtime)) = (common, Handle::try_current()) {
            let under_way = PendingCallGuard::new(&SessionSpend::default(), settling);
            let circuit = self.circuit.clone();
            runtime.spawn(async move {
                circuit.update_breaker(CircuitBreaker::abandon_trial).await;
                drop(under_way);
            });
        }
    }
}

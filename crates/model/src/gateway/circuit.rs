//! The provider's circuit: that of all processes where they keep something in common, else that of this one. What is decided is
//! the core's; here it is carried out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use truing_core::breaker::{CallAdmission, CircuitBreaker, OpenCircuit};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{Clock, SharedStateStore, StateUpdate, change};

use super::settling::{PendingCallCount, PendingCallGuard, SessionSpend};

/// The life of the common one after its last change: longer than it is ever open.
const KEEP: TimeSpan = TimeSpan::minutes(120);

/// A circuit. Clones are the same one.
#[derive(Clone)]
pub(super) struct ProviderCircuit(Arc<CircuitInner>);

struct CircuitInner {
    clock: Arc<dyn Clock>,
    /// The circuit as this process knows it, by its own clock. While the common one cannot be reached it goes on by itself.
    own: Mutex<CircuitBreaker>,
    /// The states in common, and the name of the provider in it.
    common: Option<(Arc<dyn SharedStateStore>, String)>,
    settling: PendingCallCount,
}

/// A call that was let through: it tells how it ended, as far as that says anything of the provider.
pub(super) struct AdmittedCall {
    circuit: ProviderCircuit,
    is_trial: bool,
}

impl ProviderCircuit {
    /// A closed one. What it still has to tell is counted in `settling`.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        common: Option<(Arc<dyn SharedStateStore>, String)>,
        settling: PendingCallCount,
    ) -> Self {
        Self(Arc::new(CircuitInner { clock, own: Mutex::default(), common, settling }))
    }

    /// Before a call. An error says until when, by our own clock.
    pub(super) async fn admit(&self) -> Result<AdmittedCall, OpenCircuit> {
        let pass = self.decide(|breaker, now| breaker.admit(now).map_err(|open| (open, now))).await;
        let pass = pass.map_err(|open| self.by_our_clock(open))?;
        Ok(AdmittedCall { circuit: self.clone(), is_trial: pass == CallAdmission::Trial })
    }

    /// Was it opened, by whatever else went on? Until when, by our own clock. For calls that were let through and want to go on.
    pub(super) async fn open(&self) -> Option<OpenCircuit> {
        let open = self.decide(|breaker, now| breaker.open(now).map(|open| (open, now))).await;
        open.map(|open| self.by_our_clock(open))
    }

    /// A cap is reached: nobody may call, for so long if that is known.
    pub(super) async fn trip(&self, span: Option<TimeSpan>) {
        self.decide(|breaker, now| breaker.trip(now, span)).await;
    }

    /// Carries out a decision.
    async fn decide<T>(&self, decide: impl Fn(&mut CircuitBreaker, UnixMillis) -> T) -> T {
        let CircuitInner { clock, common, .. } = &*self.0;
        if let Some((common, name)) = common {
            match change(&**common, name, KEEP, &decide).await {
                Ok(StateUpdate { state, now, came }) => {
                    *self.own() = state.by_clock_ahead(clock.now() - now);
                    return came;
                }
                Err(error) => tracing::debug!(
                    %error, "nobody tells what other processes have seen of the provider: this one goes by what it knows"
                ),
            }
        }
        decide(&mut self.own(), clock.now())
    }

    fn own(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_our_clock(&self, (open, now): (OpenCircuit, UnixMillis)) -> OpenCircuit {
        OpenCircuit { until: self.0.clock.now() + (open.until - now), ..open }
    }
}

impl AdmittedCall {
    /// The call went well.
    pub(super) async fn succeeded(mut self) {
        self.circuit.decide(|breaker, _| breaker.succeeded()).await;
        self.is_trial = false;
    }

    /// It failed, in a way that others would, too.
    pub(super) async fn failed(mut self) {
        self.circuit.decide(CircuitBreaker::failed).await;
        self.is_trial = false;
    }

    /// It met a cap ([`ProviderCircuit::trip`]).
    pub(super) fn tripped(mut self) {
        self.is_trial = false;
    }
}

/// A trial that said nothing of the provider is given up.
impl Drop for AdmittedCall {
    fn drop(&mut self) {
        if !self.is_trial {
            return;
        }
        let CircuitInner { clock, common, settling, .. } = &*self.circuit.0;
        self.circuit.own().given_up(clock.now());
        // Else the others wait for a trial that nobody makes.
        if let (Some(_), Ok(runtime)) = (common, Handle::try_current()) {
            let under_way = PendingCallGuard::of(&SessionSpend::default(), settling);
            let circuit = self.circuit.clone();
            runtime.spawn(async move {
                circuit.decide(CircuitBreaker::given_up).await;
                drop(under_way);
            });
        }
    }
}

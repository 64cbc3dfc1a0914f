//! Runs a service without its background loops. Does all due work until nothing is due; the clock moves
//! directly to the next due time.

use truing_core::id::UnixMillis;
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::RunReference;
use truing_core::slot::{HoldReason, SlotState};
use truing_loops::machine::new_run_id;
use truing_service::ServiceContext;
use truing_service::scheduler::Scheduler;
use truing_service::worker::run_step;
use truing_store::Store;

/// Maximum number of steps within which all pull requests must come to rest.
const MAX_STEPS: usize = 60;

/// Does all due work and moves the clock to the next due time. Ends when all remaining slots are parked or
/// cancelled, or when the process has crashed.
pub(crate) async fn settle(
    context: &ServiceContext,
    store: &Store,
    reach: impl Fn(UnixMillis),
    is_dead: impl Fn() -> bool,
) -> Result<(), String> {
    for _ in 0..MAX_STEPS {
        let leases = Scheduler::new(LeaseLimits::new(1)).lease_due_slots(context).await.unwrap_or_default();
        let idle = leases.is_empty();
        for lease in leases {
            let run = RunReference { id: new_run_id(), key: lease.key.clone(), token: lease.token };
            // If the result of a step could not be recorded, the next lease repeats the step.
            let _ = run_step(context, &lease, &run).await;
        }
        if is_dead() {
            return Ok(());
        }
        let slots = store.list_slots().await.unwrap();
        match slots.iter().filter_map(|slot| slot.wake_time()).min() {
            None if slots.iter().all(|slot| rests(&slot.state)) => return Ok(()),
            None => return Err(format!("stuck: {slots:?}")),
            Some(_) if !idle => {}
            Some(at) => reach(at),
        }
    }
    Err(format!("not at rest after {MAX_STEPS} steps, at {:?}", context.clock.now()))
}

/// Returns true if a slot in this state has no work until a person acts.
fn rests(state: &SlotState) -> bool {
    matches!(state, SlotState::Held { reason: HoldReason::Parked | HoldReason::Cancelled })
}

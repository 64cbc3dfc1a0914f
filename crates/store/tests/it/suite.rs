//! Tests that every kind of store must pass. They are compiled once per kind, each time in a module with the
//! name of the kind.

mod converges;
mod desired;
pub(crate) mod effects;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod ledger;
mod marks;
mod money;
mod operations;
mod records;
mod report;
#[path = "../../../core/tests/it/slot/schedules.rs"]
mod schedules;
pub(crate) mod slots;
pub(crate) mod watchlist;

use std::sync::atomic::AtomicU64;

use truing_core::id::{PrId, SlotVersion};
use truing_core::port::SlotStore as _;
use truing_core::slot::Slot;

use super::*;

/// Returns the location of a new empty store.
fn new_home() -> Home {
    Home::for_suite(module_path!())
}

/// Creates a new store, and returns its location and the store.
async fn new_store() -> (Home, Store) {
    let home = new_home();
    let store = home.open().await;
    (home, store)
}

thread_local! {
    /// The store that all schedules on one thread share.
    static OF_SCHEDULES: (tokio::runtime::Runtime, Home, Store) = {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (home, store) = runtime.block_on(new_store());
        (runtime, home, store)
    };
}

/// A slot of the shared schedule tests, which a real store keeps.
struct SlotUnderTest {
    number: u64,
}

impl SlotUnderTest {
    /// Number of schedules to test, which takes a few seconds.
    const SCHEDULES: u32 = 50;

    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    fn key(&self) -> SlotKey {
        PrId { forge: "github".into(), repository: "1".into(), number: self.number }.key()
    }

    /// Commits a slot whose current version is `before`; returns the stored slot.
    fn commit(&mut self, before: SlotVersion, slot: Slot) -> Slot {
        OF_SCHEDULES.with(|(runtime, _, store)| {
            runtime.block_on(async {
                let version = store.commit_slots(&[(before, slot.clone())]).await.unwrap().remove(0).unwrap();
                let kept = store.load_slots(&[self.key()]).await.unwrap().remove(0);
                let forgotten = Slot::new(self.key());
                assert_eq!(kept, if slot.is_deletable() { forgotten } else { Slot { version, ..slot } });
                kept
            })
        })
    }
}

//! The tests that every store passes, compiled once for each. The name of the module names the store.

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
pub(crate) mod slots;
pub(crate) mod watchlist;

use super::*;

/// A place for a new store.
fn new_home() -> Home {
    Home::of(module_path!())
}

/// A new store, and its place.
async fn new_store() -> (Home, Store) {
    let home = new_home();
    let store = home.open().await;
    (home, store)
}

//! What needs the network, and is left out of the usual run: `cargo xtask test --online`.

#[path = "online/history.rs"]
mod history;
#[path = "online/recorded.rs"]
mod recorded;
#[path = "online/rules.rs"]
mod rules;
#[path = "online/verify.rs"]
mod verify;

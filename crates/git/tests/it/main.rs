//! Tests of the crate's guarantees with real git in temporary folders. Each module tests one area.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod bounds;
mod clone;
mod commit;
mod export;
mod history;
mod hostile;
mod large;
mod local;
mod mirror;
mod process;
mod push;
mod support;
mod worktree;

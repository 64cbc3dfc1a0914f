//! Tests diffs of the real git against git's own counts, and arbitrary other input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod anchors;
mod apply;
mod cases;
mod histories;
mod repo;
mod robust;
mod track;

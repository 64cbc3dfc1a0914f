//! Tests the parser with diffs that git produces, whose counts git reports, and with arbitrary other input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod anchors;
mod apply;
mod cases;
mod histories;
mod repo;
mod robust;
mod track;

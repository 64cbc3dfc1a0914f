//! Diffs as the real git prints them, compared with what git itself counts; and whatever else comes in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod anchors;
mod apply;
mod cases;
mod histories;
mod repo;
mod robust;
mod track;

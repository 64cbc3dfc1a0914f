//! Tests of the clients of both kinds of Bitbucket against fakes: reading, faults, and the number of calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod counting;
mod faults;
mod reading;
mod reviewers;
mod servers;
mod verdicts;

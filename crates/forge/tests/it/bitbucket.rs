//! The clients of both Bitbuckets against forges of tests that behave as theirs: what is read, what goes
//! wrong, and how many calls it takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod counting;
mod faults;
mod reading;
mod reviewers;
mod servers;
mod verdicts;

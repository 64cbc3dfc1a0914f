//! A repository as loops change it: every call, against a forge that holds to GitHub's rules and whose
//! exchanges are compared with what GitHub publishes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod asking;
mod conversing;
mod gated;
mod proposing;
pub(crate) mod pushing;
pub(crate) mod reviewing;
mod sharing;
pub(crate) mod site;

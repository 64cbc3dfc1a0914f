//! Tests of every call by which loops change a repository. The calls go to a fake with GitHub's rules, and
//! each exchange is compared with GitHub's published descriptions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod asking;
mod conversing;
mod gated;
mod proposing;
pub(crate) mod pushing;
pub(crate) mod reviewing;
mod sharing;
pub(crate) mod site;

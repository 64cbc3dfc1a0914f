//! Tests of all calls with which loops change a repository. A fake with GitHub's rules answers the calls, and
//! each exchange is compared with GitHub's published API descriptions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod asking;
mod conversing;
mod gated;
mod proposing;
pub(crate) mod pushing;
pub(crate) mod reviewing;
mod sharing;
pub(crate) mod site;

//! The tests of the service, one module for each subject, in one program that is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a helper of tests may fail them; figures are part of their result"
)]

mod conformance;
mod crash;
mod ingress;
mod notify;
mod service;
mod support;
mod sweep;

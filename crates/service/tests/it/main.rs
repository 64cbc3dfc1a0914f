//! The tests of the service, one module a subject: one program, so that it is linked once.

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

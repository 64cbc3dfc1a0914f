//! The tests of the service, with one module per subject. All modules are one test program, so the linker
//! runs only once.

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

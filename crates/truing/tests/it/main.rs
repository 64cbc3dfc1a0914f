//! The integration tests of the program, with one module per subject. All modules are one test program, so
//! the linker runs only once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a helper of tests may fail them; figures are part of their result"
)]

mod bitbucket;
mod command_line;
mod converge;
mod demo;
mod diff;
mod examples;
mod findings;
mod gate;
mod init;
mod online;
mod operate;

mod policy;
mod prompts;
mod reader;
mod report;
mod review;
mod rules;
mod sandbox;
mod shell;
mod storm;
mod support;
mod sync;
mod sync_run;
mod verify;

//! Tests the guard with cases that were written mostly by authors who had not seen the guard's code. All
//! modules are one test program, so the linker runs only once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests may fail them")]

mod cases;
mod histories;
mod neutralised;
mod oracle;

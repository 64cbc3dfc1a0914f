//! Tests the guard with cases, most of them by authors who had not seen its code. The tests are one program,
//! which is linked only once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests may fail them")]

mod cases;
mod histories;
mod neutralised;
mod oracle;

//! Tests the guard with cases whose author had not seen its code. It is one program, so it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests may fail them")]

mod cases;
mod histories;
mod neutralised;
mod oracle;

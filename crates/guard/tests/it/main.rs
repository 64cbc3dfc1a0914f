//! Cases by somebody who had not seen the code, played against it: one program, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests may fail them")]

mod cases;
mod histories;
mod neutralised;
mod oracle;

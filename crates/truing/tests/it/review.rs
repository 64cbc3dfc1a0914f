//! Tests of `truing review` with the real program on real repositories, in an empty environment with its own
//! home folder.

mod adverse;
mod again;
mod cli;
mod companions;
mod fix;
mod fixed;
mod from;
mod given;
mod gives;
mod hooks;
mod input;
mod killed;
mod memory;
mod model;
mod outgoing;
mod parity;
#[cfg(feature = "aws")]
mod providers;
mod repository;
mod result;
mod run;
mod sarif;
mod servers;
mod specialists;
mod staged;
mod subscription;
mod sums;
mod tape;
mod tools;
mod traces;

use crate::support::{claude, otlp, place, quiet};

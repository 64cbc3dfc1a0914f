//! Tests of `truing converge` with the real program, real git, the real sandbox, and a scripted model on
//! loopback.

mod adverse;
mod again;
mod audited;
mod audits;
mod behind;
mod bitbucket;
mod bugbot;
mod closed;
mod crash;
mod dismissed;
mod ends;
mod fixer;
mod fixes;
mod guard;
mod honest;
mod hostile;
mod killed;
mod local;
mod looking;
mod others;
mod own;
mod owners;
mod passing;
mod preflight;
mod pull;
mod reviewed;
mod runtimes;
mod scene;
mod served;
mod several;
mod shipped;
mod stopped;
mod sums;
mod switched;
mod targets;
mod terminal;
mod threads;
mod traced;
mod unfixed;
mod workflow;

use crate::support::{cases, claude, otlp, place, steady, watch};

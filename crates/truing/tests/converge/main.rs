//! `truing converge` as people and scripts see it: the real program, real git, the real sandbox, and a scripted model on
//! loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

mod adverse;
mod again;
mod audited;
mod audits;
mod behind;
mod bugbot;
#[path = "../support/cases.rs"]
mod cases;
#[path = "../support/claude.rs"]
mod claude;
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
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../review/place.rs"]
mod place;
mod pull;
mod runtimes;
mod scenarios;
mod scene;
mod served;
mod several;
mod shipped;
#[path = "../support/steady.rs"]
mod steady;
mod stopped;
mod sums;
mod switched;
mod targets;
mod terminal;
mod threads;
mod unfixed;
#[path = "../support/watch.rs"]
mod watch;

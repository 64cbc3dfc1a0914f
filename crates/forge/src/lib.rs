//! Access to forges: the enums that the loops and the service use ([`AnyForgeServer`], [`RepositoryClient`]),
//! a client for each kind of forge, the execution of writes, markers and webhooks.

pub mod any_forge_server;
pub mod bitbucket;
pub mod capability;
pub mod delivery;
pub mod effects;
pub mod forge_server;
pub mod github;
pub mod listing;
pub mod marker;
pub mod pages;
pub mod publisher;
pub mod remote;
pub mod webhook;
pub mod write_monitor;

mod body;
mod command_accounts;
mod http;
#[cfg(test)]
mod testing;

pub use any_forge_server::{AnyForgeServer, RepositoryClient};
pub use forge_server::ForgeServer;
pub use http::{HttpClientError, HttpTimeouts, RateQuota};
pub use truing_git::SecretString;

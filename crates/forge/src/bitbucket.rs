//! Clients of Bitbucket Cloud ([`BitbucketCloud`]) and Data Center ([`BitbucketDataCenter`]). The two share
//! terms, but no address and no request body (ADR 78).
//!
//! A server is one login at one of them. A [`client::BitbucketClient`] is one repository there and one pull
//! request of it, for one producer: it reads, finds our texts by their markers, and performs effects. The
//! client is the same for both, over the calls that each server implements (`calls::BitbucketApi`). It has no
//! call that approves, merges or changes code.

mod address;
mod bounds;
mod calls;
mod client;
mod cloud;
mod data_center;
mod lists;
mod login;
mod options;
#[cfg(test)]
mod tests;
pub(crate) mod webhook;

pub use client::BitbucketClient;
pub use cloud::BitbucketCloud;
pub use data_center::BitbucketDataCenter;
pub use options::{BitbucketOptions, BitbucketOptionsError};

/// A repository at Bitbucket Cloud and one of its pull requests.
pub type BitbucketCloudClient = BitbucketClient<BitbucketCloud>;
/// A repository at a Bitbucket Data Center and one of its pull requests.
pub type BitbucketDataCenterClient = BitbucketClient<BitbucketDataCenter>;

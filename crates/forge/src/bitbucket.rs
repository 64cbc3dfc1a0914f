//! Clients of Bitbucket Cloud ([`BitbucketCloud`]) and Data Center ([`BitbucketDataCenter`]). Both products
//! use the same terms, but all their addresses and request bodies differ (ADR 78).
//!
//! A server object represents one login at Cloud or at Data Center. A [`client::BitbucketClient`] accesses
//! one repository and one pull request on behalf of one producer. It reads, finds our texts by their markers,
//! and performs effects. The client is the same for both products, and makes its calls through the trait
//! `calls::BitbucketApi`, which each server object implements. The client has no call that approves, merges
//! or changes code.

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

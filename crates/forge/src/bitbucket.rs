//! Clients of Bitbucket Cloud ([`BitbucketCloud`]) and Data Center ([`BitbucketDataCenter`]). Both products
//! use the same terms, but different addresses and request bodies (ADR 78).
//!
//! A server object represents one login at Cloud or at Data Center. A [`client::BitbucketClient`] accesses
//! one repository and one pull request on behalf of one producer. It reads data, finds Truing's texts by
//! their markers, and performs effects. Both products use the same client. It makes its calls through the
//! trait `calls::BitbucketApi`, which both server types implement. No call approves, merges or changes code.

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

//! Clients of Bitbucket Cloud ([`BitbucketCloud`]) and Data Center ([`BitbucketDataCenter`]). Cloud and Data
//! Center use the same terms, but no address and no request body is the same (ADR 78).
//!
//! A server object is one login at Cloud or at Data Center. A [`client::BitbucketClient`] is for one
//! repository, one pull request and one producer. The client reads, finds our texts by their markers, and
//! performs effects. Both forges use the same client, which uses the calls that each server object implements
//! (`calls::BitbucketApi`). The client has no call that approves, merges or changes code.

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

//! Bitbucket: Cloud ([`BitbucketCloud`]) and Data Center ([`BitbucketDataCenter`]), which share words, and neither an
//! address nor a body (ADR 78).
//!
//! A server is one login at one of them. [`client::BitbucketClient`] is one repository of it and one pull request of that, for one
//! producer: it reads, finds what is ours by its marker, and performs effects. It is the same for both, over the calls that
//! each server makes (`calls::BitbucketApi`). Nothing here approves, merges or changes code: those calls do not exist.

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
pub use options::{BitbucketError, BitbucketOptions};

/// A repository at Bitbucket Cloud, and one pull request of it.
pub type BitbucketCloudClient = BitbucketClient<BitbucketCloud>;
/// A repository at a Bitbucket Data Center, and one pull request of it.
pub type BitbucketDataCenterClient = BitbucketClient<BitbucketDataCenter>;

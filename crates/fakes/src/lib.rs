//! Fake servers for tests and demonstrations: a forge, a model provider and package registries. The servers
//! use real HTTP and real git. They have the semantics of GitHub and both Bitbuckets, of the Messages API,
//! and of three package indexes.
//!
//! [`forge::FakeForge`] is a forge on loopback. It answers the calls that a reviewer makes, and rejects the
//! same calls as the real forge. A test can request faults, and can perform the actions of the people around
//! a pull request. [`repo::RepoBuilder`] creates the forge's repositories; [`checkout`] clones repositories
//! and lists their commits. [`model::FakeModel`] follows a script, [`registry::FakeRegistry`] lists
//! configured releases, and [`aws::FakeAws`] issues AWS credentials. [`common::FakeSharedState`] stores the
//! state that processes share. This crate does not depend on the tested code; the contents of diffs come from
//! git.

// A repository object has more fields than the default limit of `json!`.
#![recursion_limit = "256"]

pub mod aws;
pub mod checkout;
pub mod common;
pub mod forge;
pub mod model;
pub mod registry;
pub mod repo;
mod server;

//! Fake servers for tests and demonstrations: a forge, a model provider and package registries. The servers
//! use real HTTP and real git. They behave as GitHub and both kinds of Bitbucket, as providers of the
//! Messages API, and as three package indexes.
//!
//! [`forge::FakeForge`] is a forge on loopback. The fake forge answers the calls that a reviewer makes, and
//! rejects the same calls as the real forge. A test can define faults, and can perform the actions of people
//! on a pull request. [`repo::FakeGitRepository`] creates the forge's repositories; [`checkout`] clones
//! repositories and lists their commits. [`model::FakeModel`] follows a script, [`registry::FakeRegistry`]
//! lists configured releases, and [`aws::FakeAws`] issues AWS credentials. [`common::FakeSharedState`] stores
//! the state that processes share. This crate does not depend on the tested code; git produces the contents
//! of diffs.

// A repository's JSON has more fields than the default recursion limit allows in `json!`.
#![recursion_limit = "256"]

pub mod aws;
pub mod checkout;
pub mod common;
pub mod forge;
pub mod model;
pub mod registry;
pub mod repo;
mod server;

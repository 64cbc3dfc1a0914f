//! Fake servers for tests and demonstrations: a forge, a model provider and package registries. They have the
//! semantics of GitHub and both Bitbuckets, of the Messages API and of three package indexes over real HTTP,
//! and use real git.
//!
//! [`forge::FakeForge`] answers on loopback the calls a reviewer makes, rejects the same calls as the real
//! forge, produces faults on demand, and lets a test act as the people around a pull request.
//! [`repo::RepoBuilder`] makes the repositories it serves; [`checkout`] clones them and shows their commits.
//! [`model::FakeModel`] follows a script, [`registry::FakeRegistry`] lists configured releases,
//! [`aws::FakeAws`] issues AWS credentials, and [`common::FakeSharedState`] is state that processes share.
//! Nothing here depends on the tested code: the contents of diffs come from git.

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

//! A forge, a provider of models and registries of packages to test against and to demonstrate on: the
//! semantics of GitHub and both Bitbuckets, those of the Messages API and of three indexes over real HTTP,
//! and real git.
//!
//! [`forge::FakeForge`] answers on loopback the calls a reviewer makes, refuses what its kind refuses,
//! misbehaves on demand, and lets a test play the people around a pull request. [`repo::RepoBuilder`] makes
//! the repositories it serves, [`checkout`] clones them and shows their commits. [`model::FakeModel`] says
//! what a script says, and [`registry::FakeRegistry`] lists the releases that it is told of; [`aws::FakeAws`]
//! gives keys of AWS, [`common::FakeSharedState`] is what processes keep in common. Nothing here depends on
//! the code it doubles: what a diff contains is asked of git.

// A repository object has more fields than `json!` takes by default.
#![recursion_limit = "256"]

pub mod aws;
pub mod checkout;
pub mod common;
pub mod forge;
pub mod model;
pub mod registry;
pub mod repo;
mod server;

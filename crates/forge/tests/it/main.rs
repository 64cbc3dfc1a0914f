//! The clients of forges against forges of tests, and what they cannot do: one program, so that it is linked
//! once.

mod absent;
mod bitbucket;
mod effects;
mod repository;
mod webhooks;

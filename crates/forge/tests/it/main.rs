//! Tests of the forge clients against fakes, and of the calls that they must not contain. One program, so it
//! is linked once.

mod absent;
mod bitbucket;
mod effects;
mod repository;
mod webhooks;

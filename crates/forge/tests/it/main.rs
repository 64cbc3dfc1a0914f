//! Tests of the forge clients against fakes, and of the calls that they must not contain. They are one
//! program, which is linked only once.

mod absent;
mod bitbucket;
mod effects;
mod repository;
mod webhooks;

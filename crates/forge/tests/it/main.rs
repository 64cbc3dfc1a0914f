//! Tests of the forge clients against fakes, and of the calls that the clients must not contain. All tests
//! are in one program, which saves the time to link several programs.

mod absent;
mod bitbucket;
mod effects;
mod repository;
mod webhooks;

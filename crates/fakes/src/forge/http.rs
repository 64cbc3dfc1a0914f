//! HTTP for every kind of forge. `serve` processes a call according to the forge's `Protocol`, and `call`
//! defines the types of a call and its response. `git_http` and `push` answer the calls of git; `git_call`
//! parses these calls.

pub(crate) mod call;
pub(crate) mod git_call;
pub(crate) mod git_http;
pub(crate) mod push;
pub(crate) mod serve;

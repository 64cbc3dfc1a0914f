//! The HTTP server of all kinds of forges. `serve` processes a call according to the forge's `ForgeProtocol`,
//! and `call` defines the types of a call and its response. `git_http` and `push` answer git's requests;
//! `git_call` parses these requests.

pub(crate) mod call;
pub(crate) mod git_call;
pub(crate) mod git_http;
pub(crate) mod push;
pub(crate) mod serve;

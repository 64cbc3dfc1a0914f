//! HTTP as every kind of forge has it: `serve` takes a call from beginning to end by a forge's `Protocol`,
//! `call` is one with its answer; `git_http` and `push` answer where git asks (`git_call`).

pub(crate) mod call;
pub(crate) mod git_call;
pub(crate) mod git_http;
pub(crate) mod push;
pub(crate) mod serve;

//! GitHub's semantics: `routes` has every call and GitHub's ways with it, `call` is one with its answer,
//! `admission` and `permissions` say what it may do; `calls`, `conversation`, `pulls`, `issues`, `checks`,
//! `merging`, `reviewers`, `estate`, `app` and `graphql` answer it; `json` is GitHub's form of it all,
//! `events` that of webhooks.

mod admission;
mod app;
mod call;
mod calls;
mod checks;
mod conversation;
mod estate;
mod events;
mod graphql;
mod issues;
mod json;
mod merging;
mod permissions;
mod pulls;
mod reviewers;
mod routes;

pub use self::calls::{MAX_COMMENT, MAX_DESCRIPTION};
pub use self::checks::{MAX_ANNOTATIONS, MAX_TEXT};
pub(crate) use self::events::delivery;
pub(crate) use self::routes::PROTOCOL;

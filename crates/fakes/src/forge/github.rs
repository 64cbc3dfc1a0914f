//! The behaviour of GitHub. `routes` lists all routes, `call` creates responses in GitHub's format, and
//! `admission` and `permissions` check permissions. `rest_handlers`, `conversation`, `pulls`, `issues`,
//! `checks`, `merging`, `reviewers`, `estate`, `app` and `graphql` answer requests. `json` creates GitHub's
//! objects, and `events` creates webhooks.

mod admission;
mod app;
mod call;
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
mod rest_handlers;
mod reviewers;
mod routes;

pub use self::checks::{MAX_ANNOTATIONS, MAX_OUTPUT_CHARS};
pub(crate) use self::events::build_delivery;
pub use self::rest_handlers::{MAX_COMMENT_CHARS, MAX_STATUS_DESCRIPTION_CHARS};
pub(crate) use self::routes::PROTOCOL;

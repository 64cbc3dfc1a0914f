//! The behaviour of Bitbucket Cloud. `routes` lists all routes, `auth` checks permissions, and `errors`
//! creates error responses. `accounts_and_repositories`, `pulls`, `comments` and `commits` answer requests.
//! `pagination` divides lists into pages, `query` filters lists, `json` creates Cloud's objects, and `events`
//! creates webhooks.

mod accounts_and_repositories;
mod auth;
mod comments;
mod commits;
mod errors;
mod events;
mod json;
mod pagination;
mod pulls;
mod query;
mod routes;

pub(crate) use self::events::build_delivery;
pub(crate) use self::routes::PROTOCOL;

/// Number of digits of a commit's id inside pull requests and deliveries.
const SHORT_SHA_DIGITS: usize = 12;

//! The behaviour of Bitbucket Cloud: `routes` has every call, `admission` checks permissions, `errors` has
//! the error responses. `estate`, `pulls`, `comments` and `commits` answer calls, `page` pages lists filtered
//! by `query`, `json` has Cloud's objects, `events` its webhooks.

mod admission;
mod comments;
mod commits;
mod errors;
mod estate;
mod events;
mod json;
mod page;
mod pulls;
mod query;
mod routes;

pub(crate) use self::events::build_delivery;
pub(crate) use self::routes::PROTOCOL;

/// Number of digits of a commit's id inside pull requests and deliveries.
const SHORT_SHA_DIGITS: usize = 12;

//! Bitbucket Cloud's semantics: `routes` has every call and Cloud's ways with it, `admission` says who may
//! make it, `errors` how it is refused; `estate`, `pulls`, `comments` and `commits` answer it, `page` cuts
//! lists by `query`; `json` is Cloud's form of it all, `events` that of webhooks.

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

pub(crate) use self::events::delivery;
pub(crate) use self::routes::PROTOCOL;

/// Digits of a commit's id inside pull requests and deliveries (facts: 12).
const SHORT: usize = 12;

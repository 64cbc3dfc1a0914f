//! The gateway to models: every call to a provider passes here. It reserves money before a call and settles it after,
//! retries what may be retried, and returns typed answers.

#[cfg(feature = "aws")]
pub mod aws;
pub mod cassette;
mod chat_error;
mod client;
pub mod gateway;
pub mod messages;
pub mod price;
pub mod provider;
pub mod retry;
pub mod stream;
mod text;
pub mod wire;

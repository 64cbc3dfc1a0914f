//! The gateway to models, which handles every call to a provider. It reserves money before a call, settles
//! it afterwards, retries temporary failures, and returns typed responses.

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
pub mod subscription;
mod text;
pub mod wire;

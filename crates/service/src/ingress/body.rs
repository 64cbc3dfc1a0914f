//! Reads a delivery's body. The size of the body, the time for reading and the memory of all bodies together
//! are limited. The body is checked while its parts arrive, so that errors are found early.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use truing_forge::webhook::SignatureCheck;

use super::bounds::{ConnectionLimits, MAX_BODY_BYTES};
use super::refusal::DeliveryRefusal;

/// Largest number of bytes that are allocated in advance for a body with an announced length. The buffer
/// grows when more bytes arrive.
const MAX_PREALLOCATED_BYTES: usize = 64 * 1024;

/// A complete body, with its permits from the shared memory limit.
pub(super) struct RequestBody {
    pub(super) bytes: Bytes,
    _memory_permit: Option<OwnedSemaphorePermit>,
}

/// Reads a body and checks its signature. `memory_permits` contains one permit for each byte that all bodies
/// together may occupy. Permits are acquired when bytes arrive, so the announcement of a large body does not
/// block other bodies.
pub(super) async fn read_verified_body(
    mut body: Body,
    mut check: SignatureCheck,
    bounds: &ConnectionLimits,
    memory_permits: &Arc<Semaphore>,
) -> Result<RequestBody, DeliveryRefusal> {
    let announced = body.size_hint().lower();
    if announced > MAX_BODY_BYTES as u64 {
        return Err(DeliveryRefusal::TooLarge);
    }
    let end = Instant::now() + bounds.body_timeout;
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    let mut held: Option<OwnedSemaphorePermit> = None;
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let part = match timeout_at(end.min(Instant::now() + bounds.body_idle_timeout), next).await {
            Err(_) => return Err(DeliveryRefusal::BodyTooSlow),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(DeliveryRefusal::BodyUnreadable(error.to_string())),
            // Trailers after the body are ignored.
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        let length = first.len() + all.len() + part.len();
        if length > MAX_BODY_BYTES {
            return Err(DeliveryRefusal::TooLarge);
        }
        let bytes = u32::try_from(part.len()).map_err(|_| DeliveryRefusal::TooLarge)?;
        let more = memory_permits
            .clone()
            .try_acquire_many_owned(bytes)
            .map_err(|_| DeliveryRefusal::BodyMemoryExhausted)?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        check.update(&part);
        if first.is_empty() && all.is_empty() {
            first = part;
        } else {
            if all.is_empty() {
                all.reserve(
                    usize::try_from(announced).unwrap_or(0).clamp(length, MAX_PREALLOCATED_BYTES.max(length)),
                );
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&part);
        }
    }
    check.finish().map_err(DeliveryRefusal::BadSignature)?;
    let bytes = if all.is_empty() { first } else { Bytes::from(all) };
    Ok(RequestBody { bytes, _memory_permit: held })
}

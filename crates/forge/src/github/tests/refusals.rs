//! Tests that a rejected write is not sent again and again.

use truing_core::effect::{Effect, EffectKind};
use truing_core::port::ForgeWrite as _;

use super::*;

#[tokio::test]
async fn a_refusal_to_resolve_is_kept_although_the_forge_says_that_the_user_may() {
    let refused = json!({
        "data": { "resolveReviewThread": null },
        "errors": [{ "type": "FORBIDDEN", "message": "Resource not accessible by integration" }],
    });
    let may = |may: bool| {
        let mut one = thread("T1", None, &json!(21));
        one["viewerCanResolve"] = may.into();
        threads(&json!([one]), None)
    };
    let server = Server::new([ok(&refused), may(false), may(true)]).await;
    let pull = pull(&server);
    assert_eq!(
        (pull.denial_reason(EffectKind::Resolve), pull.unsupported_reason(EffectKind::Resolve)),
        (None, None),
        "nothing is known yet"
    );
    let refused = pull.perform(&Effect::Resolve { thread: ThreadId::new("T2") }, &open_gate_permit()).await;
    assert!(matches!(refused, Err(ForgeError::Forbidden { .. })), "{refused:?}");
    for _ in 0..2 {
        let reason = pull.denial_reason(EffectKind::Resolve).unwrap();
        assert!(reason.contains("`contents: write`"), "{reason}");
        assert_eq!(
            (pull.unsupported_reason(EffectKind::Resolve), pull.unsupported_reason(EffectKind::Reopen)),
            (Some(reason), Some(reason))
        );
        assert_eq!(pull.unsupported_reason(EffectKind::Comment), None);
        if server.requests().len() == 1 {
            pull.thread_states().await.unwrap();
        }
    }
    pull.thread_states().await.unwrap();
    let reason = pull.denial_reason(EffectKind::Resolve);
    assert!(reason.is_some(), "the field is about the user, and the token may do less");
    assert_eq!(pull.unsupported_reason(EffectKind::Resolve), reason);
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_not_kept() {
    let refused = json!({ "data": null, "errors": [{ "type": "FORBIDDEN", "message": "Not now" }] });
    let server = Server::new([ok(&refused)]).await;
    let pull = pull(&server);
    let refused = pull.perform(&Effect::Resolve { thread: ThreadId::new("T2") }, &open_gate_permit()).await;
    assert!(matches!(refused, Err(ForgeError::Forbidden { .. })), "{refused:?}");
    assert_eq!(
        (pull.denial_reason(EffectKind::Resolve), pull.unsupported_reason(EffectKind::Resolve)),
        (None, None)
    );
}

//! Tests of the settle delay: with clocks that were ahead, with lost responses, with a second text for the
//! same topic, and with rate limits.

use truing_core::effect::{Effect, EffectKind, IntentPart};
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{Clock as _, EffectEntry, EffectEntryState, ForgeError};
use truing_fakes::forge::ForgeFaultKind;
use truing_forge::effects::EffectError;

use super::{PerformedEffect, SETTLE, Scene};
use crate::repository::site::topic;

#[tokio::test]
async fn an_intent_from_a_clock_that_was_ahead_is_waited_for_no_longer_than_another() {
    let scene = Scene::of(EffectKind::Comment).await;
    let IntentPart { topic, content_digest: content } = scene.intended().parts.remove(0);
    let at = scene.clock.now() + TimeSpan::seconds(1_000_000);
    scene.log.put(
        &topic,
        EffectEntry {
            content_digest: content,
            last_event_at: at,
            state: EffectEntryState::Open { lost_responses: 0 },
        },
    );
    let early = scene.perform().await.unwrap_err();
    assert!(matches!(early, EffectError::Settling { until, .. } if until == scene.clock.now() + SETTLE));
    scene.pass(SETTLE);
    scene.perform().await.unwrap();
    assert_eq!(scene.count(EffectKind::Comment).await, 1);
    // A recorded result whose time is in the far future does not cause a longer wait, either.
    let mut done = scene.log.get(&topic).unwrap();
    done.last_event_at = scene.clock.now() + TimeSpan::seconds(1_000_000);
    scene.log.put(&topic, done);
    scene.perform().await.unwrap_err();
    scene.perform().await.unwrap();
    assert_eq!(scene.count(EffectKind::Comment).await, 1);
}

#[tokio::test]
async fn another_text_is_not_taken_for_the_one_that_a_clock_that_was_ahead_dated() {
    let scene = Scene::of(EffectKind::Comment).await;
    scene.perform().await.unwrap();
    let IntentPart { topic: report, .. } = scene.intended().parts.remove(0);
    let mut done = scene.log.get(&report).unwrap();
    done.last_event_at = scene.clock.now() + TimeSpan::seconds(1_000_000);
    scene.log.put(&report, done);
    let next = Effect::Comment { topic: topic("report"), body: "Done again.".into() };
    let scene = Scene { what: PerformedEffect::Effect(next), ..scene };
    for _ in 0..2 {
        let early = scene.perform().await.unwrap_err();
        assert!(matches!(early, EffectError::Settling { .. }), "{early:?}");
    }
    scene.pass(SETTLE);
    scene.perform().await.unwrap();
    let view = scene.site.shop.pull(scene.number).await.unwrap();
    assert!(view.conversation_comments().all(|comment| comment.body.starts_with("Done again.")), "{view:#?}");
}

#[tokio::test]
async fn the_delay_counts_from_the_answer_that_was_lost() {
    let scene = Scene::of(EffectKind::Comment).await;
    let IntentPart { topic, content_digest: content } = scene.intended().parts.remove(0);
    let at = UnixMillis(scene.clock.now().0 - SETTLE.0);
    scene.log.put(
        &topic,
        EffectEntry {
            content_digest: content,
            last_event_at: at,
            state: EffectEntryState::Open { lost_responses: 0 },
        },
    );
    scene.fault(EffectKind::Comment, ForgeFaultKind::LostResponse);
    scene.perform().await.unwrap_err();
    let until = scene.clock.now() + SETTLE;
    let early = scene.perform().await.unwrap_err();
    assert!(matches!(early, EffectError::Settling { until: told, .. } if told == until), "{early:?}");
}

#[tokio::test]
async fn another_text_on_a_topic_waits_until_lists_show_the_one_before() {
    let scene = Scene::of(EffectKind::Comment).await;
    scene.perform().await.unwrap();
    let next = Effect::Comment { topic: topic("report"), body: "Done again.".into() };
    let scene = Scene { what: PerformedEffect::Effect(next), ..scene };
    let early = scene.perform().await.unwrap_err();
    assert!(matches!(early, EffectError::Settling { .. }), "{early:?}");
    scene.pass(SETTLE);
    scene.perform().await.unwrap();
    let view = scene.site.shop.pull(scene.number).await.unwrap();
    let said: Vec<_> =
        view.conversation_comments().map(|comment| comment.body.lines().next().unwrap()).collect();
    assert_eq!(said, ["Done again."]);
}

#[tokio::test]
async fn a_review_that_a_limit_ends_stays_announced_for_comments_of_it_may_be_there() {
    let scene = Scene::of(EffectKind::Review).await;
    let IntentPart { topic, .. } = scene.intended().parts.remove(0);
    scene.fault(EffectKind::Review, ForgeFaultKind::SecondaryLimit(Some(1)));
    let error = scene.perform().await.unwrap_err();
    assert!(matches!(error, EffectError::Refused(ForgeError::RateLimited { .. })), "{error:?}");
    let entry = scene.log.get(&topic).unwrap();
    assert_eq!(entry.state, EffectEntryState::Open { lost_responses: 0 });
}

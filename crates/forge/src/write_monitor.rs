//! Monitoring of the writes of [`crate::effects`]: trace spans, a recording of the effects, and a dry run
//! that sends no write to the forge.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use truing_core::effect::Effect;
use truing_core::id::CommentId;
use truing_core::port::EffectOutcome;
use truing_core::publish::CommentSubject;

/// A function that begins the span of a write. The arguments are the name of the write and the number of its
/// comments.
pub type SpanStarter = fn(&'static str, usize) -> Box<dyn WriteSpan>;

/// The span of a write in a trace. The span ends when this object is dropped.
pub trait WriteSpan: Send {
    /// Records that the write failed.
    fn record_failure(&self, reason: &str);
}

/// The performed effects, in order. In a dry run, the effects that would have been performed. Clones share
/// the recorded effects.
#[derive(Clone, Debug, Default)]
pub struct EffectRecording(Arc<Mutex<Vec<Effect>>>);

impl EffectRecording {
    /// Returns all recorded effects.
    pub fn list(&self) -> Vec<Effect> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, effect: Effect) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }
}

/// Traces and records the writes of effects. In a dry run, no write is made.
#[derive(Clone, Default)]
pub struct WriteMonitor {
    /// True for a dry run: nothing is written, and each effect returns the outcome that the forge would have
    /// given. The records must be a copy, because a dry run records its effects as if they were performed.
    pub dry_run: bool,
    /// Recording that collects the effects.
    pub recording: Option<EffectRecording>,
    /// Function that traces the effects.
    pub begin_span: Option<SpanStarter>,
}

impl fmt::Debug for WriteMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteMonitor").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

impl WriteMonitor {
    /// Begins the trace span of an effect; `None` if writes are not traced.
    pub(crate) fn begin_span(&self, effect: &Effect) -> Option<Box<dyn WriteSpan>> {
        let (action, comments) = trace_name_and_count(effect);
        self.begin_span.map(|begin| begin(action, comments))
    }

    /// Begins the trace span of a push; `None` if writes are not traced.
    pub(crate) fn begin_push(&self) -> Option<Box<dyn WriteSpan>> {
        self.begin_span.map(|begin| begin("push", 1))
    }

    /// Records an effect that was performed, or that a dry run only simulated.
    pub(crate) fn record_effect(&self, effect: &Effect) {
        if let Some(made) = &self.recording {
            made.push(effect.clone());
        }
    }
}

/// Returns the name of an effect in traces, and the number of its comments.
fn trace_name_and_count(effect: &Effect) -> (&'static str, usize) {
    #[expect(clippy::wildcard_enum_match_arm, reason = "any other effect has the name of its kind")]
    match effect {
        Effect::Summary { .. } => ("create_summary", 1),
        Effect::Findings { comments, .. } => ("create_review", comments.len()),
        Effect::FileFinding { .. } => ("create_file_comment", 1),
        Effect::EditComment { .. } => ("update", 1),
        Effect::DeleteDuplicate { .. } => ("delete", 1),
        Effect::Status(_) => ("set_status", 1),
        other => (other.kind().as_str(), 1),
    }
}

/// Returns an outcome for a dry run: the outcome that the forge would have reported.
pub(crate) fn dry_run_outcome(effect: &Effect) -> EffectOutcome {
    let comment = |item: CommentSubject| {
        let comment = CommentId::new(format!("dry-run/{}", item.as_str()));
        (item, comment)
    };
    let parts = effect.intent().parts;
    let comments: Vec<_> =
        parts.iter().filter_map(|part| CommentSubject::from_topic(&part.topic)).map(comment).collect();
    if comments.is_empty() { EffectOutcome::Applied } else { EffectOutcome::Comments(comments) }
}

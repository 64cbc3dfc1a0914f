//! The writes of [`crate::effects`] as others see them: spans in traces, a list, and a dry run, in which no
//! write reaches the forge.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use truing_core::effect::Effect;
use truing_core::id::CommentId;
use truing_core::port::EffectOutcome;
use truing_core::publish::CommentSubject;

/// Begins the span of a write. Its name and the number of comments in it are given.
pub type BeginSpan = fn(&'static str, usize) -> Box<dyn WriteSpan>;

/// The span of a write in a trace. It ends when it is dropped.
pub trait WriteSpan: Send {
    /// The write failed.
    fn failed(&self, why: &str);
}

/// Effects that were made, or would have been made in a dry run, in their order. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct EffectRecording(Arc<Mutex<Vec<Effect>>>);

impl EffectRecording {
    /// All so far.
    pub fn list(&self) -> Vec<Effect> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, effect: Effect) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(effect);
    }
}

/// Reports the writes of effects, and makes none of them in a dry run.
#[derive(Clone, Default)]
pub struct WriteMonitor {
    /// In a dry run nothing is written; each effect has the outcome that the forge would have given. Records
    /// must be a copy, since they show the effects as made.
    pub dry_run: bool,
    /// Collects the effects.
    pub made: Option<EffectRecording>,
    /// Traces them.
    pub span: Option<BeginSpan>,
}

impl fmt::Debug for WriteMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteMonitor").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

impl WriteMonitor {
    /// Begins the span of an effect, where runs are traced.
    pub(crate) fn begin(&self, effect: &Effect) -> Option<Box<dyn WriteSpan>> {
        let (action, comments) = action(effect);
        self.span.map(|begin| begin(action, comments))
    }

    /// Begins the span of a push, where runs are traced.
    pub(crate) fn begin_push(&self) -> Option<Box<dyn WriteSpan>> {
        self.span.map(|begin| begin("push", 1))
    }

    /// The effect was made, or would have been.
    pub(crate) fn made(&self, effect: &Effect) {
        if let Some(made) = &self.made {
            made.push(effect.clone());
        }
    }
}

/// The name of an effect in traces, and the number of its comments.
fn action(effect: &Effect) -> (&'static str, usize) {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the name of any other effect is that of its kind")]
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

/// The outcome that the forge would have given.
pub(crate) fn dry(effect: &Effect) -> EffectOutcome {
    let comment = |item: CommentSubject| {
        let comment = CommentId::new(format!("dry-run/{}", item.as_str()));
        (item, comment)
    };
    let parts = effect.intended().parts;
    let comments: Vec<_> =
        parts.iter().filter_map(|part| CommentSubject::of_topic(&part.topic)).map(comment).collect();
    if comments.is_empty() { EffectOutcome::Done } else { EffectOutcome::Comments(comments) }
}

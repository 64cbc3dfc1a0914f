//! Test doubles for performing effects: a gate, a clock, and a record of effects.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use truing_core::effect::IntentPart;
use truing_core::id::{FencingToken, Topic, UnixMillis};
use truing_core::port::{
    Clock, EffectEntry, EffectEntryChange, EffectEntryState, EffectLog, EffectOutcome, EffectOwner,
    HaltReason, StoreError, WriteGate,
};

/// A gate that a test can close.
#[derive(Debug, Default)]
pub(super) struct ClosableGate(pub(super) AtomicBool);

#[async_trait]
impl WriteGate for ClosableGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        let shut = self.0.load(Ordering::SeqCst);
        if shut { Err(HaltReason::KillSwitch) } else { Ok(()) }
    }
}

/// A clock that a test can set.
pub(super) struct ManualTestClock(pub(super) AtomicI64);

impl Clock for ManualTestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// An effect log in memory, whose writes fail if a test requests it.
#[derive(Default)]
pub(super) struct Log {
    entries: Mutex<HashMap<Topic, EffectEntry>>,
    pub(super) is_fenced: AtomicBool,
    /// True if every attempt to record a result fails, which simulates a killed process.
    pub(super) dies: AtomicBool,
}

impl Log {
    pub(super) fn get(&self, topic: &Topic) -> Option<EffectEntry> {
        self.entries.lock().unwrap().get(topic).cloned()
    }

    pub(super) fn entries_of(&self, parts: &[IntentPart]) -> Vec<EffectEntry> {
        parts.iter().filter_map(|part| self.get(&part.topic)).collect()
    }

    /// Marks the log entries of these comments as done, as the real store does when it stores a comment.
    pub(super) fn shown(&self, made: &EffectOutcome) -> Result<(), StoreError> {
        let EffectOutcome::Comments(made) = made else { return Ok(()) };
        if self.dies.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the process died".into()));
        }
        let mut entries = self.entries.lock().unwrap();
        for (item, comment) in made {
            if let Some(entry) = entries.get_mut(&item.topic()) {
                entry.state = EffectEntryState::Done { comment: Some(comment.clone()) };
            }
        }
        Ok(())
    }

    pub(super) fn put(&self, topic: &Topic, entry: EffectEntry) {
        self.entries.lock().unwrap().insert(topic.clone(), entry);
    }
}

#[async_trait]
impl EffectLog for Log {
    async fn entries(
        &self,
        _: &EffectOwner,
        topics: &[Topic],
    ) -> Result<Vec<Option<EffectEntry>>, StoreError> {
        Ok(topics.iter().map(|topic| self.get(topic)).collect())
    }

    async fn open_entries(&self, _: &EffectOwner) -> Result<Vec<(Topic, EffectEntry)>, StoreError> {
        let entries = self.entries.lock().unwrap();
        let is_open = |entry: &EffectEntry| matches!(entry.state, EffectEntryState::Open { .. });
        let open = entries.iter().filter(|(_, entry)| is_open(entry));
        Ok(open.map(|(topic, entry)| (topic.clone(), entry.clone())).collect())
    }

    async fn compare_and_set_entries(
        &self,
        writer: &EffectOwner,
        changes: &[EffectEntryChange],
    ) -> Result<bool, StoreError> {
        if self.is_fenced.load(Ordering::SeqCst) {
            return Err(StoreError::Fenced { key: writer.key.clone(), greatest_token: FencingToken(9) });
        }
        let is_intent = |change: &EffectEntryChange| {
            change.new_entry.as_ref().is_some_and(|new| matches!(new.state, EffectEntryState::Open { .. }))
        };
        if !changes.iter().all(is_intent) && self.dies.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the process died".into()));
        }
        let mut entries = self.entries.lock().unwrap();
        if changes.iter().any(|change| entries.get(&change.topic) != change.expected_entry.as_ref()) {
            return Ok(false);
        }
        for EffectEntryChange { topic, new_entry: new, .. } in changes {
            match new {
                Some(new) => entries.insert(topic.clone(), new.clone()),
                None => entries.remove(topic),
            };
        }
        Ok(true)
    }
}

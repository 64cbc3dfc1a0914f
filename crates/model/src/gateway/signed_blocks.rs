//! Removes thinking blocks from requests if another provider has signed them. A provider rejects thinking
//! blocks with the signature of another provider.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::messages::{MessageBlock, MessageRole, ModelMessage, ModelRequest};

/// The provider that receives a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum ProviderChoice {
    /// The provider of the requested model.
    #[default]
    Requested,
    /// The fallback of that provider.
    Fallback,
}

impl ProviderChoice {
    pub(super) fn other_provider(self) -> Self {
        match self {
            Self::Requested => Self::Fallback,
            Self::Fallback => Self::Requested,
        }
    }
}

/// The provider that answered a run last, and the signatures of the fallback's thinking blocks in the run's
/// conversation.
#[derive(Debug, Default)]
pub(super) struct ProviderHistory {
    last_provider_choice: ProviderChoice,
    fallback_signatures: HashSet<u64>,
}

impl ProviderHistory {
    /// Returns the provider that responded last.
    pub(super) fn last_provider(&self) -> ProviderChoice {
        self.last_provider_choice
    }

    /// Records which provider answered, and the signatures in the fallback's message.
    pub(super) fn record_answer(&mut self, provider: ProviderChoice, message: &ModelMessage) {
        self.last_provider_choice = provider;
        if provider == ProviderChoice::Fallback {
            self.fallback_signatures.extend(message.content.iter().filter_map(signature_hash));
        }
    }

    /// Returns the request for this provider, without the blocks that the other provider has signed.
    pub(super) fn prepare_request<'a>(
        &self,
        provider: ProviderChoice,
        request: &'a ModelRequest,
    ) -> Cow<'a, ModelRequest> {
        let is_foreign = |block: &MessageBlock| {
            signature_hash(block).is_some_and(|signed| {
                self.fallback_signatures.contains(&signed) != (provider == ProviderChoice::Fallback)
            })
        };
        let has_foreign = |message: &ModelMessage| message.content.iter().any(is_foreign);
        if !request.messages.iter().any(has_foreign) {
            return Cow::Borrowed(request);
        }
        let mut carried = request.clone();
        let last = request.messages.iter().rfind(|message| message.role == MessageRole::Assistant);
        // If thinking is enabled and a request contains the result of a tool call, a provider requires the
        // thinking block that preceded the call. A block that the other provider signed is removed, so
        // thinking must then be disabled.
        let is_enabled = |thinking: &Value| thinking["type"] == "enabled";
        if last.is_some_and(has_foreign) && carried.thinking.as_ref().is_some_and(is_enabled) {
            carried.thinking = None;
        }
        for message in &mut carried.messages {
            message.content.retain(|block| !is_foreign(block));
        }
        carried.messages.retain(|message| !message.content.is_empty());
        Cow::Owned(carried)
    }
}

/// Returns the hash of a thinking block's signature; `None` for other kinds of blocks.
fn signature_hash(block: &MessageBlock) -> Option<u64> {
    let MessageBlock::Other(value) = block else { return None };
    let signed = match value["type"].as_str()? {
        "thinking" => &value["signature"],
        "redacted_thinking" => &value["data"],
        _ => return None,
    };
    let mut hash = DefaultHasher::new();
    signed.as_str()?.hash(&mut hash);
    Some(hash.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signed_message(signature: &str) -> ModelMessage {
        let thinking = json!({"type": "thinking", "thinking": "hm", "signature": signature});
        ModelMessage {
            role: MessageRole::Assistant,
            content: vec![MessageBlock::Other(thinking), MessageBlock::text(signature)],
        }
    }

    fn request(messages: Vec<ModelMessage>) -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            max_tokens: 9,
            system: Vec::new(),
            messages,
            tools: Vec::new(),
            tool_choice: None,
            thinking: Some(json!({"type": "enabled", "budget_tokens": 1024})),
            output_config: None,
            program: None,
        }
    }

    #[test]
    fn thinking_goes_back_only_to_who_has_signed_it() {
        let user = ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text("q")] };
        let mut signed = ProviderHistory::default();
        signed.record_answer(ProviderChoice::Requested, &signed_message("one"));
        let before = request(vec![user.clone(), signed_message("one"), user.clone()]);
        assert!(matches!(signed.prepare_request(ProviderChoice::Requested, &before), Cow::Borrowed(_)));

        let carried = signed.prepare_request(ProviderChoice::Fallback, &before);
        assert_eq!(carried.messages[1].content, [MessageBlock::text("one")]);
        assert_eq!(carried.thinking, None, "it would want the thinking of the last answer");

        signed.record_answer(ProviderChoice::Fallback, &signed_message("two"));
        assert_eq!(signed.last_provider(), ProviderChoice::Fallback);
        let after = request(vec![
            user.clone(),
            signed_message("one"),
            user.clone(),
            signed_message("two"),
            user.clone(),
        ]);
        let carried = signed.prepare_request(ProviderChoice::Fallback, &after);
        assert_eq!((carried.messages[1].content.len(), carried.messages[3].content.len()), (1, 2));
        assert!(carried.thinking.is_some());
        let back = signed.prepare_request(ProviderChoice::Requested, &after);
        assert_eq!((back.messages[1].content.len(), back.messages[3].content.len()), (2, 1));

        let only = ModelMessage {
            content: signed_message("one").content.into_iter().take(1).collect(),
            ..signed_message("one")
        };
        let carried = request(vec![user.clone(), only, user]);
        assert_eq!(
            signed.prepare_request(ProviderChoice::Fallback, &carried).messages.len(),
            2,
            "nothing is left of it"
        );
    }
}

//! What a conversation holds that one provider has signed, and another would not take: blocks of thinking. They stay out of
//! what the other one is asked.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use crate::messages::{Block, Message, Request, Role};

/// One of two providers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Side {
    /// The model's own.
    #[default]
    First,
    /// The fallback.
    Second,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// The provider that answers a run, and the blocks of its conversation that the fallback has signed.
#[derive(Debug, Default)]
pub(super) struct Signed {
    side: Side,
    by_second: HashSet<u64>,
}

impl Signed {
    /// The provider that has answered last.
    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// This one has answered.
    pub(super) fn answered(&mut self, side: Side, message: &Message) {
        self.side = side;
        if side == Side::Second {
            self.by_second.extend(message.content.iter().filter_map(signature));
        }
    }

    /// A request as this provider takes it: without what the other one has signed.
    pub(super) fn carried<'a>(&self, side: Side, request: &'a Request) -> Cow<'a, Request> {
        let is_foreign = |block: &Block| {
            signature(block).is_some_and(|signed| self.by_second.contains(&signed) != (side == Side::Second))
        };
        let has_foreign = |message: &Message| message.content.iter().any(is_foreign);
        if !request.messages.iter().any(has_foreign) {
            return Cow::Borrowed(request);
        }
        let mut carried = request.clone();
        let last = request.messages.iter().rfind(|message| message.role == Role::Assistant);
        // A provider that is asked to think wants the thinking before the calls whose results it is shown.
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

/// The name of a block of thinking; none: it is another block.
fn signature(block: &Block) -> Option<u64> {
    let Block::Other(value) = block else { return None };
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

    fn said(signature: &str) -> Message {
        let thinking = json!({"type": "thinking", "thinking": "hm", "signature": signature});
        Message { role: Role::Assistant, content: vec![Block::Other(thinking), Block::text(signature)] }
    }

    fn request(messages: Vec<Message>) -> Request {
        Request {
            model: "m".into(),
            max_tokens: 9,
            system: Vec::new(),
            messages,
            tools: Vec::new(),
            tool_choice: None,
            thinking: Some(json!({"type": "enabled", "budget_tokens": 1024})),
            output_config: None,
        }
    }

    #[test]
    fn thinking_goes_back_only_to_who_has_signed_it() {
        let user = Message { role: Role::User, content: vec![Block::text("q")] };
        let mut signed = Signed::default();
        signed.answered(Side::First, &said("one"));
        let before = request(vec![user.clone(), said("one"), user.clone()]);
        assert!(matches!(signed.carried(Side::First, &before), Cow::Borrowed(_)));

        let carried = signed.carried(Side::Second, &before);
        assert_eq!(carried.messages[1].content, [Block::text("one")]);
        assert_eq!(carried.thinking, None, "it would want the thinking of the last answer");

        signed.answered(Side::Second, &said("two"));
        assert_eq!(signed.side(), Side::Second);
        let after = request(vec![user.clone(), said("one"), user.clone(), said("two"), user.clone()]);
        let carried = signed.carried(Side::Second, &after);
        assert_eq!((carried.messages[1].content.len(), carried.messages[3].content.len()), (1, 2));
        assert!(carried.thinking.is_some());
        let back = signed.carried(Side::First, &after);
        assert_eq!((back.messages[1].content.len(), back.messages[3].content.len()), (2, 1));

        let only = Message { content: said("one").content.into_iter().take(1).collect(), ..said("one") };
        let carried = request(vec![user.clone(), only, user]);
        assert_eq!(signed.carried(Side::Second, &carried).messages.len(), 2, "nothing is left of it");
    }
}

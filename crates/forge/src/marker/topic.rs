//! Markers of pull requests, issues and comments of loops: `topic=` and a word that the loop chooses, in
//! place of `item=`.
//!
//! A pull request or an issue has no number yet when its text is written, so its marker contains the number
//! 0, which stands for the repository. The marker of a comment contains the number of the pull request or
//! issue that the comment belongs to.

use truing_core::id::{PrId, Topic};
use truing_core::publish::CommentProducer;

use super::{MarkerKeys, MarkerKind, MarkerParts, escape_value, is_marker, normalize_text, unescape_value};

/// The kind of marker in the pull requests, issues and comments that loops create. Each marker contains one
/// topic.
const TOPIC_MARKER_KIND: MarkerKind = MarkerKind { field_name: "topic", domain: b"truing topic 1" };

impl MarkerKeys {
    /// Returns a marker line for this topic, without a line end.
    pub fn sign_topic(&self, pr: &PrId, producer: CommentProducer, topic: &Topic) -> String {
        self.marker_line(&TOPIC_MARKER_KIND, pr, producer, &escape_value(topic.as_str()))
    }

    /// Returns the topic in the marker of this producer, and the text above the marker. The topic is `None`
    /// if the text has no such marker. A marker of any kind is removed from the text; line ends and trailing
    /// white space are normalised ([`normalize_text`]). Also accepts a marker whose key is not configured.
    pub fn find_topic(&self, pr: &PrId, producer: CommentProducer, text: &str) -> (Option<Topic>, String) {
        self.split_topic(pr, producer, text, true)
    }

    /// Returns the topic and the text as `find_topic` does, but accepts only a marker that verifies. Callers
    /// that trust the text use this function. `find_topic` is enough for callers that only decide to leave
    /// the text unchanged.
    pub fn find_verified_topic(
        &self,
        pr: &PrId,
        producer: CommentProducer,
        text: &str,
    ) -> (Option<Topic>, String) {
        self.split_topic(pr, producer, text, false)
    }

    fn split_topic(
        &self,
        pr: &PrId,
        producer: CommentProducer,
        text: &str,
        accepts_unknown_key: bool,
    ) -> (Option<Topic>, String) {
        let text = normalize_text(text);
        let (above, line) = text.rsplit_once('\n').unwrap_or(("", &text));
        if !is_marker(line) {
            return (None, text);
        }
        let topic = MarkerParts::read(&TOPIC_MARKER_KIND, line).and_then(|parts| {
            let right = parts.producer == producer
                && self.verify_mac(&TOPIC_MARKER_KIND, pr, &parts).unwrap_or(accepts_unknown_key);
            let topic =
                unescape_value(parts.subject_word).filter(|topic| escape_value(topic) == parts.subject_word);
            topic.filter(|_| right).map(Topic::new)
        });
        (topic, above.trim_end().to_owned())
    }
}

/// Splits off the last line of a text, if the line is a marker of any kind, verified or not.
pub fn split_marker(text: &str) -> (String, Option<String>) {
    let text = normalize_text(text);
    let (above, line) = text.rsplit_once('\n').unwrap_or(("", &text));
    if is_marker(line) {
        return (above.trim_end().to_owned(), Some(line.to_owned()));
    }
    (text, None)
}

//! Parses error responses of STS, of a container's credentials agent and of an instance's metadata service.

use serde::Deserialize;
use truing_core::line;

/// Maximum number of bytes that are parsed if an error response is not JSON. The rest is ignored.
const MAX_PARSED_BYTES: usize = 64 * 1024;
/// Maximum number of characters that are shown if an error response is neither XML nor JSON.
const MAX_QUOTED_CHARS: usize = 100;

/// The error code and message in an error response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct AwsErrorBody {
    /// Error code; may be empty.
    pub(super) code: String,
    /// Error message; may be empty.
    pub(super) message: String,
}

/// Parses the body of an error response.
pub(super) fn parse_error_body(body: &[u8]) -> AwsErrorBody {
    #[derive(Deserialize)]
    struct JsonRefusal {
        #[serde(default, alias = "Code", alias = "__type")]
        code: String,
        #[serde(default, alias = "Message")]
        message: String,
    }
    if let Ok(JsonRefusal { code, message }) = truing_core::json::from_slice(body) {
        return AwsErrorBody { code, message };
    }
    let text = String::from_utf8_lossy(body.get(..MAX_PARSED_BYTES).unwrap_or(body));
    match (xml_element_text(&text, "Code"), xml_element_text(&text, "Message")) {
        (None, None) if text.trim_start().starts_with('<') => AwsErrorBody::default(),
        (None, None) => {
            AwsErrorBody { code: String::new(), message: line::clean_line(&text, MAX_QUOTED_CHARS) }
        }
        (code, message) => {
            AwsErrorBody { code: code.unwrap_or_default(), message: message.unwrap_or_default() }
        }
    }
}

/// Returns the text of the first element with this name in an error response of STS. Such elements have no
/// attributes.
fn xml_element_text(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let references =
        [("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(references.iter().fold(text.trim().to_owned(), |text, (from, to)| text.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_each_form() {
        let expected =
            |code: &str, message: &str| AwsErrorBody { code: code.to_owned(), message: message.to_owned() };
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\n\
                   <Message>Not &quot;you&quot;</Message></Error></ErrorResponse>";
        for (body, expected) in [
            (xml, expected("AccessDenied", "Not \"you\"")),
            (r#"{"code": "A", "message": "m"}"#, expected("A", "m")),
            (r#"{"__type": "B", "Message": "m"}"#, expected("B", "m")),
            ("<html><p>no</p></html>", expected("", "")),
            ("no token\n", expected("", "no token")),
            ("", expected("", "")),
        ] {
            assert_eq!(parse_error_body(body.as_bytes()), expected, "{body}");
        }
    }
}

//! Renders SARIF messages: inserts the arguments into placeholders, and replaces links to other locations in
//! the log (SARIF 2.1.0, 3.11).

/// Maximum length in bytes of a message with its arguments inserted. When the message is stored, its text
/// is shortened again.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Returns a message in which arguments replace `{0}`, `{1}` and so on, and single braces replace `{{` and
/// `}}`. If there are no arguments, the text is not changed, because many tools write single braces as text.
pub(super) fn substitute_arguments(text: &str, arguments: &[Option<String>]) -> String {
    let text = text.get(..text.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or(text);
    if arguments.is_empty() {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        shown.push_str(before);
        if shown.len() > MAX_MESSAGE_BYTES {
            return shown;
        }
        rest = if let Some(after) = brace.strip_prefix("{{") {
            shown.push('{');
            after
        } else if let Some(after) = brace.strip_prefix("}}") {
            shown.push('}');
            after
        } else if let Some((argument, after)) = resolve_placeholder(brace, arguments) {
            shown.push_str(argument);
            after
        } else {
            let (brace, after) = brace.split_at(1);
            shown.push_str(brace);
            after
        };
    }
    shown.push_str(rest);
    shown
}

/// Returns the argument for the placeholder at the beginning of a text, and the rest of the text.
fn resolve_placeholder<'a>(text: &'a str, arguments: &'a [Option<String>]) -> Option<(&'a str, &'a str)> {
    let (index, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_number = !index.is_empty() && index.len() < 4 && index.bytes().all(|byte| byte.is_ascii_digit());
    let argument = arguments.get(index.parse::<usize>().ok().filter(|_| is_number)?)?;
    Some((argument.as_deref().unwrap_or_default(), after))
}

/// Returns a message in which each link to a location in the log is replaced by the link's text. Examples of
/// such links are `[here](3)` and `[this](sarif:/runs/0/results/1)`. Other links are unchanged.
pub(super) fn replace_links(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, link) = rest.split_at(at);
        shown.push_str(before);
        if shown.len() > MAX_MESSAGE_BYTES {
            return shown;
        }
        let after = match parse_link_text(link) {
            Some((text, after)) => {
                shown.push_str(&text);
                after
            }
            None => {
                shown.push('[');
                link.get(1..).unwrap_or_default()
            }
        };
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Maximum length of a link's text, in characters. A longer text is not recognised as a link.
const MAX_LINK_BYTES: usize = 500;

/// Parses a link to a location in the log at the beginning of a text. Returns the link's own text, and the
/// rest of the text after the link.
fn parse_link_text(link: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut letters = link.char_indices().skip(1).take(MAX_LINK_BYTES);
    let closed = loop {
        match letters.next()? {
            (_, '\\') => text.extend(letters.next().map(|(_, letter)| letter)),
            (_, '[') => return None,
            (at, ']') => break at,
            (_, letter) => text.push(letter),
        }
    };
    let (target, after) = link.get(closed + 1..)?.strip_prefix('(')?.split_once(')')?;
    let is_place = target.bytes().all(|byte| byte.is_ascii_digit()) && !target.is_empty();
    (is_place || target.starts_with("sarif:")).then_some((text, after))
}

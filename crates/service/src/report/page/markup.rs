//! Builds HTML and SVG whose text is always escaped. Untrusted text becomes part of [`HtmlMarkup`] only as
//! escaped text, or as an escaped attribute value. Every element is closed, so the page is also well-formed
//! XML.

use std::fmt::{Display, Write as _};

use crate::report::run::parse_web_url;

/// Escaped markup of a part of a page.
#[derive(Clone, Default, Debug)]
pub(super) struct HtmlMarkup(String);

/// Attributes of an element. The names are constants. The values may be any text, and are escaped.
pub(super) type HtmlAttributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// Escapes a text, and returns it as markup.
pub(super) fn text(text: impl Display) -> HtmlMarkup {
    HtmlMarkup(escape_html(&text.to_string()))
}

/// Makes an element with its content.
pub(super) fn element(
    name: &'static str,
    attributes: HtmlAttributes<'_>,
    content: impl IntoIterator<Item = HtmlMarkup>,
) -> HtmlMarkup {
    let mut markup = open_tag(name, attributes);
    markup.push('>');
    for part in content {
        markup.push_str(&part.0);
    }
    let _ = write!(markup, "</{name}>");
    HtmlMarkup(markup)
}

/// Makes an element without content.
pub(super) fn void_element(name: &'static str, attributes: HtmlAttributes<'_>) -> HtmlMarkup {
    HtmlMarkup(open_tag(name, attributes) + "/>")
}

/// Creates a `<style>` element. The rules are part of the program, so they are not escaped.
pub(super) fn style(rules: &'static str) -> HtmlMarkup {
    HtmlMarkup(format!("<style>{rules}</style>"))
}

/// Creates a link to a web address. If the address is not a web address, returns only `content`.
pub(super) fn link(address: &str, content: HtmlMarkup) -> HtmlMarkup {
    match parse_web_url(address) {
        Some(url) => element("a", &[("href", &url), ("rel", &"noreferrer")], [content]),
        None => content,
    }
}

impl HtmlMarkup {
    /// Returns the markup as a complete HTML file.
    pub(super) fn page(self) -> String {
        format!("<!DOCTYPE html>\n{}\n", self.0)
    }
}

fn open_tag(name: &str, attributes: HtmlAttributes<'_>) -> String {
    let mut markup = format!("<{name}");
    for (name, value) in attributes {
        let _ = write!(markup, " {name}=\"{}\"", escape_html(&value.to_string()));
    }
    markup
}

fn escape_html(text: &str) -> String {
    let mut markup = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            '\n' | '\t' => markup.push(letter),
            // HTML forbids control characters. Characters that change the direction of text could hide its
            // meaning.
            letter if letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter) => {
                markup.push('\u{fffd}');
            }
            letter if ('\u{2066}'..='\u{2069}').contains(&letter) => markup.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => markup.push('\u{fffd}'),
            letter => markup.push(letter),
        }
    }
    markup
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_text_or_attributes_becomes_markup() {
        let evil = "\"'><script>alert(1)</script>&\u{1b}\u{202e}";
        let shown = element("p", &[("title", &evil)], [text(evil)]).page();
        let safe = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;\u{fffd}\u{fffd}";
        assert_eq!(shown, format!("<!DOCTYPE html>\n<p title=\"{safe}\">{safe}</p>\n"));
    }

    #[test]
    fn only_pages_of_the_web_are_linked() {
        for address in ["javascript:alert(1)", "data:text/html,x", "no address", ""] {
            assert_eq!(link(address, text("x")).0, "x");
        }
        assert_eq!(
            link("https://example.com/a?b=\"c\"&d", text("x")).0,
            "<a href=\"https://example.com/a?b=%22c%22&amp;d\" rel=\"noreferrer\">x</a>"
        );
    }
}

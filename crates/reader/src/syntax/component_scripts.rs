//! Extracts the scripts from user interface components (`.vue` and `.svelte` files). Only these scripts count
//! as code.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::SourceLanguage;

/// File extensions of components.
const COMPONENT_EXTENSIONS: &[&[u8]] = &[b".vue", b".svelte"];

/// Regular expression for a `<script>` element. It captures the attributes, and the code between the tags.
static SCRIPT_ELEMENT_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, which the tests of this folder compile")]
    Regex::new(r"(?is-u)<script\b((?:[^>]|=>)*)>(.*?)(?:</script\s*>|\z)").expect("the pattern of scripts")
});

/// Returns true if a file is a component.
pub(super) fn is_component_file(path: &[u8]) -> bool {
    COMPONENT_EXTENSIONS.iter().any(|ending| path.ends_with(ending))
}

/// Replaces everything outside a component's scripts with spaces, and keeps the line ends. Returns the
/// resulting text and the language of the scripts.
pub(super) fn extract_scripts(text: &[u8]) -> (Vec<u8>, &'static SourceLanguage) {
    let mut scripts: Vec<u8> =
        text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { *byte } else { b' ' }).collect();
    let mut name = "typescript";
    for script in SCRIPT_ELEMENT_PATTERN.captures_iter(text) {
        let (Some(attributes), Some(code)) = (script.get(1), script.get(2)) else { continue };
        let has_markup = [&b"tsx"[..], b"jsx"]
            .iter()
            .any(|lang| memchr::memmem::find(attributes.as_bytes(), lang).is_some());
        if has_markup {
            name = "tsx";
        }
        if let Some(place) = scripts.get_mut(code.range()) {
            place.copy_from_slice(code.as_bytes());
        }
    }
    #[expect(clippy::expect_used, reason = "both are built in, which the tests of this file show")]
    let language = SourceLanguage::from_name(name).expect("a language that is built in");
    (scripts, language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_keep_their_places_and_everything_else_is_blank() {
        let text = "<p>\u{e9}</p>\n<script setup lang=\"tsx\">\na\n</script>\r\n<script>b";
        let (scripts, language) = extract_scripts(text.as_bytes());
        assert_eq!(scripts.len(), text.len());
        let shown = String::from_utf8(scripts).unwrap();
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((shown.find('a'), language.name()), (text.find("a\n<"), "tsx"));
        assert_eq!(extract_scripts(b"").1.name(), "typescript");
    }
}

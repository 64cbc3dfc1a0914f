//! Describes the code around a position in a file: the string, comment, test or definition that contains the
//! position. The file is parsed when the first question about it is asked.

use std::borrow::Cow;
use std::cell::OnceCell;

use sha2::{Digest as _, Sha256};
use tree_sitter::{Node, Tree};

use super::bindings::NameBindings;
use super::component_scripts;
use super::definitions::is_function;
use super::{MAX_SOURCE_BYTES, MAX_TREE_DEPTH, ParserPool, SourceLanguage, decode_keeping_offsets};

/// Nodes that contain code within a string.
const INTERPOLATION_KINDS: &[&str] = &["interpolation", "template_substitution", "jsx_expression"];

/// Kind of the Rust node that contains the functions of a type.
const RUST_IMPL_KIND: &str = "impl_item";
/// Number of bytes in the digest of a definition's name.
const DEFINITION_DIGEST_BYTES: usize = 16;
/// Minimum number of characters in the fence of a Markdown code block.
const MIN_FENCE_CHARS: usize = 3;
/// Endings of Markdown files.
const MARKDOWN_EXTENSIONS: &[&[u8]] = &[b".md", b".mdx", b".markdown"];

/// A file, which is parsed when the first question about a position in it is asked.
pub(crate) struct ParsedFile<'a> {
    /// The bytes of the file. In a component, blanks replace everything outside of the scripts, so all
    /// offsets stay the same.
    bytes: Cow<'a, [u8]>,
    language: Option<&'static SourceLanguage>,
    is_markdown: bool,
    is_component: bool,
    tree: OnceCell<Option<Tree>>,
    bindings: OnceCell<Option<NameBindings>>,
}

impl<'a> ParsedFile<'a> {
    pub(crate) fn new(path: &[u8], bytes: &'a [u8]) -> Self {
        let is_markdown = MARKDOWN_EXTENSIONS.iter().any(|ending| path.ends_with(ending));
        let is_component = component_scripts::is_component_file(path);
        let (bytes, language) = if is_component {
            let (scripts, language) = component_scripts::extract_scripts(bytes);
            (Cow::Owned(scripts), Some(language))
        } else {
            (Cow::Borrowed(bytes), SourceLanguage::from_path(path))
        };
        let (tree, bindings) = (OnceCell::new(), OnceCell::new());
        Self { bytes, language, is_markdown, is_component, tree, bindings }
    }

    /// Returns true if this byte is in a string or a comment, in a code block of a Markdown document, or
    /// outside of a component's scripts. Returns false if the language is not known or the file cannot be
    /// parsed.
    pub(crate) fn is_outside_code(&self, offset: usize, parsers: &mut ParserPool) -> bool {
        if self.is_markdown {
            return ends_in_fence(self.bytes.get(..offset).unwrap_or_default());
        }
        if self.is_component && self.bytes.get(offset).is_none_or(u8::is_ascii_whitespace) {
            return true;
        }
        for within in self.enclosing_nodes(offset, parsers).unwrap_or_default() {
            let kind = within.kind();
            if INTERPOLATION_KINDS.contains(&kind) {
                return false;
            }
            if kind.contains("string") || kind.contains("comment") || kind == "jsx_text" {
                return true;
            }
        }
        false
    }

    /// Returns true if this byte is in a string or in a code block of a Markdown document, because code is
    /// only quoted there. Returns false if the language is not known or the file cannot be parsed.
    pub(crate) fn is_in_quoted_code(&self, offset: usize, parsers: &mut ParserPool) -> bool {
        if self.is_markdown {
            return ends_in_fence(self.bytes.get(..offset).unwrap_or_default());
        }
        let is_text = |kind: &str| kind.contains("string") || kind == "jsx_text";
        let nodes = self.enclosing_nodes(offset, parsers).unwrap_or_default();
        let inner = nodes.iter().map(Node::kind).find(|kind| kind.contains("comment") || is_text(kind));
        inner.is_some_and(is_text)
    }

    /// Returns true if a node of this kind begins at this byte, or if the language is not known.
    pub(crate) fn node_starts_at(&self, offset: usize, kind: &str, parsers: &mut ParserPool) -> bool {
        let begins = |nodes: Vec<Node<'_>>| {
            nodes.iter().any(|within| within.start_byte() == offset && within.kind() == kind)
        };
        self.language.is_none() || self.enclosing_nodes(offset, parsers).is_some_and(begins)
    }

    /// Returns the meanings of a dotted name at this byte. For an imported name, returns the full names of
    /// its imports. For a name that the file defines, returns an empty list. For a name that the file does
    /// not bind, returns the name itself. Also returns the name itself if the language is not known or the
    /// file cannot be parsed.
    pub(crate) fn resolve_name(&self, name: &str, offset: usize, parsers: &mut ParserPool) -> Vec<String> {
        let Some(around) = self.enclosing_nodes(offset, parsers) else { return vec![name.to_owned()] };
        let bindings = self.bindings.get_or_init(|| {
            let tree = self.tree.get().and_then(Option::as_ref)?;
            NameBindings::from_tree(tree, self.language?, &self.bytes)
        });
        bindings.as_ref().map_or_else(|| vec![name.to_owned()], |it| it.resolve_name(name, offset, &around))
    }

    /// Returns true if this byte is within a Rust item that follows `#[cfg(test)]` or `#[test]`.
    pub(crate) fn is_in_test_item(&self, offset: usize, parsers: &mut ParserPool) -> bool {
        if self.language != SourceLanguage::from_name("rust") {
            return false;
        }
        for within in self.enclosing_nodes(offset, parsers).unwrap_or_default() {
            let mut before = within.prev_sibling();
            while let Some(attribute) = before.filter(|it| it.kind() == "attribute_item") {
                let text = self.bytes.get(attribute.byte_range()).unwrap_or_default();
                if is_test_attribute(text) {
                    return true;
                }
                before = attribute.prev_sibling();
            }
        }
        false
    }

    /// Returns true if a Rust attribute that applies to the code at this byte allows the lint. The name of
    /// the lint has the format `clippy::dbg_macro`.
    pub(crate) fn is_lint_allowed(&self, offset: usize, lint: &str, parsers: &mut ParserPool) -> bool {
        if self.language != SourceLanguage::from_name("rust") {
            return false;
        }
        let allows = |attribute: &Node<'_>| {
            let text = String::from_utf8_lossy(self.bytes.get(attribute.byte_range()).unwrap_or_default());
            (text.contains("allow(") || text.contains("expect("))
                && text
                    .split(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter))
                    .any(|it| it == lint)
        };
        self.enclosing_nodes(offset, parsers).unwrap_or_default().iter().any(|within| {
            let mut before = within.prev_sibling();
            while let Some(attribute) = before.filter(|it| it.kind() == "attribute_item") {
                if allows(&attribute) {
                    return true;
                }
                before = attribute.prev_sibling();
            }
            let is_head = |it: &Node<'_>| matches!(it.kind(), "inner_attribute_item" | "line_comment" | "{");
            within.children(&mut within.walk()).take_while(is_head).any(|attribute| allows(&attribute))
        })
    }

    /// Returns a digest of the names of the definitions around this byte, as hexadecimal digits. Returns
    /// `None` if the language is not known, the file cannot be parsed, or more than [`MAX_DEPTH`] nodes are
    /// around the byte.
    ///
    /// The digest does not reveal a secret that a name may contain.
    pub(crate) fn definition_digest(&self, offset: usize, parsers: &mut ParserPool) -> Option<String> {
        let language = self.language.filter(|_| !self.is_component)?;
        let nodes = self.enclosing_nodes(offset, parsers)?;
        let (mut hash, mut in_function) = (Sha256::new(), false);
        for within in nodes {
            in_function |= is_function(&within);
            let kind = language
                .definition_kinds
                .iter()
                .find(|kind| within.is_named() && kind.node_kind == within.kind());
            // A variable counts as a definition only if the byte is within a function in the variable's
            // value.
            let kind = kind.filter(|kind| in_function || !kind.is_variable);
            let field = kind
                .map(|kind| kind.name_field)
                .or_else(|| (within.kind() == RUST_IMPL_KIND).then_some("type"));
            if let Some(name) = field.and_then(|field| within.child_by_field_name(field)) {
                hash.update(self.bytes.get(name.byte_range()).unwrap_or_default());
                hash.update([0]);
            }
        }
        Some(encode_definition_digest(hash))
    }

    /// Returns the nodes around a byte, the smallest first, or `None` if there are more than [`MAX_DEPTH`].
    fn enclosing_nodes(&self, offset: usize, parsers: &mut ParserPool) -> Option<Vec<Node<'_>>> {
        let parse = || {
            let language = self.language.filter(|_| self.bytes.len() <= MAX_SOURCE_BYTES)?;
            parsers.parse_in_time(language, &decode_keeping_offsets(&self.bytes))
        };
        // The nodes are collected from the root downwards, because tree-sitter also searches for a node's
        // parent from the root.
        let mut cursor = self.tree.get_or_init(parse).as_ref()?.walk();
        let mut nodes = vec![cursor.node()];
        while cursor.goto_first_child_for_byte(offset).is_some() && cursor.node().start_byte() <= offset {
            nodes.push(cursor.node());
            if nodes.len() > MAX_TREE_DEPTH {
                return None;
            }
        }
        nodes.reverse();
        Some(nodes)
    }
}

/// Returns true if the Markdown text in `preceding_text` ends within a fenced code block. A fence is closed
/// only by a fence of the same character (a backtick or `~`).
fn ends_in_fence(preceding_text: &[u8]) -> bool {
    let mut open: Option<u8> = None;
    for line in preceding_text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_start();
        let Some(first) = line.first().copied().filter(|byte| matches!(byte, b'`' | b'~')) else { continue };
        if line.iter().take_while(|byte| **byte == first).count() < MIN_FENCE_CHARS {
            continue;
        }
        open = match open {
            None => Some(first),
            Some(letter) if letter == first => None,
            Some(letter) => Some(letter),
        };
    }
    open.is_some()
}

/// Returns true for an attribute that marks an item as a test: `#[test]`, `#[tokio::test]`, `#[cfg(test)]`,
/// `#[cfg(all(test, unix))]`.
fn is_test_attribute(attribute: &[u8]) -> bool {
    let text = String::from_utf8_lossy(attribute);
    !text.contains("not(")
        && text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == "test")
}

/// Returns the digest of code that is in no definition, as findings contain it.
pub fn top_level_digest() -> String {
    encode_definition_digest(Sha256::new())
}

fn encode_definition_digest(hash: Sha256) -> String {
    let digest = hash.finalize();
    hex::encode(digest.get(..DEFINITION_DIGEST_BYTES).unwrap_or(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_comments_are_quoted_and_code_in_them_is_not() {
        for (path, text, expected) in [
            ("a.py", "x = 1\nHERE\n", false),
            ("a.py", "x = '''\nHERE\n'''\n", true),
            ("a.py", "x = f'{HERE}'\n", false),
            ("a.py", "# HERE\n", true),
            ("a.ts", "const a = `\nHERE\n`;\n", true),
            ("a.ts", "const a = `${HERE}`;\n", false),
            ("a.rs", "const A: &str = r\"\nHERE\n\";\n", true),
            ("a.go", "package a\nvar b = `\nHERE\n`\n", true),
            ("a.java", "class A { String b = \"\"\"\n HERE\n\"\"\"; }\n", true),
            ("a.txt", "'HERE'\n", false),
            ("a.vue", "<script>\nHERE\n</script>\n", false),
            ("a.vue", "<script setup lang=\"ts\">\nconst a = `HERE`\n</script>\n", true),
            ("a.vue", "<script>\nf()\n</script>\n<template>\nHERE\n</template>\n", true),
            ("a.svelte", "<p>\nHERE\n</p>\n<script>\nf()\n</script>\n", true),
            ("a.md", "a\n```text\nHERE\n```\n", true),
            ("a.md", "```\n~~~\n```\nHERE\n", false),
            ("a.md", "`HERE`\n", false),
        ] {
            let places = ParsedFile::new(path.as_bytes(), text.as_bytes());
            let at = text.find("HERE").unwrap();
            assert_eq!(places.is_outside_code(at, &mut ParserPool::default()), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_comment_in_a_text_is_shown_and_not_meant() {
        for (path, text, expected) in [
            ("a.py", "x = 1  # HERE\n", false),
            ("a.py", "x = '# HERE'\n", true),
            ("a.rs", "let x = \"a  # HERE\\n\\\n b\";\n", true),
            ("a.ts", "f(`\n// HERE\n`)\n", true),
            ("a.md", "```python\nx  # HERE\n```\n", true),
            ("a.md", "x <!-- HERE -->\n", false),
            ("a.txt", "'# HERE'\n", false),
        ] {
            let places = ParsedFile::new(path.as_bytes(), text.as_bytes());
            let at = text.find("HERE").unwrap();
            assert_eq!(places.is_in_quoted_code(at, &mut ParserPool::default()), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_place_is_in_the_definition_of_its_name_wherever_that_is() {
        let definition = |path: &str, text: &str| {
            let places = ParsedFile::new(path.as_bytes(), text.as_bytes());
            places.definition_digest(text.find("HERE").unwrap(), &mut ParserPool::default())
        };
        for (path, text, moved, renamed) in [
            ("a.py", "def f():\n  HERE\n", "x = 1\ndef f(a):\n  y()\n  HERE\n", "def g():\n  HERE\n"),
            (
                "a.py",
                "class A:\n def f():\n  HERE\n",
                "class A:\n x = 1\n def f():\n  HERE\n",
                "def f():\n  HERE\n",
            ),
            ("a.py", "HERE\n", "x = 1\nHERE\n", "def f():\n  HERE\n"),
            (
                "a.js",
                "const f = () => { HERE; };\n",
                "let f = function () { HERE; };\n",
                "const g = () => { HERE; };\n",
            ),
            ("a.js", "const a = HERE;\n", "const b = HERE;\n", "function f() { HERE; }\n"),
            (
                "a.rs",
                "impl A { fn f() { HERE; } }\n",
                "impl A { fn f(&self) { HERE; } }\n",
                "impl B { fn f() { HERE; } }\n",
            ),
            (
                "a.go",
                "package a\nfunc f() { HERE() }\n",
                "package a\nfunc f(b int) { HERE() }\n",
                "package a\nfunc g() { HERE() }\n",
            ),
            (
                "a.java",
                "class A { void f() { HERE(); } }\n",
                "class A { int f() { HERE(); } }\n",
                "class B { void f() { HERE(); } }\n",
            ),
        ] {
            let known = definition(path, text);
            assert!(known.is_some(), "{path}");
            assert_eq!(known, definition(path, moved), "{path}: {moved}");
            assert_ne!(known, definition(path, renamed), "{path}: {renamed}");
        }
        assert_eq!(definition("a.txt", "HERE"), None);
    }

    #[test]
    fn a_place_that_is_too_deep_is_in_no_definition() {
        let definition = |depth: usize| {
            let text = format!("def f():\n  x = {}HERE{}\n", "[".repeat(depth), "]".repeat(depth));
            let places = ParsedFile::new(b"a.py", text.as_bytes());
            places.definition_digest(text.find("HERE").unwrap(), &mut ParserPool::default())
        };
        assert!(definition(MAX_TREE_DEPTH / 2).is_some());
        assert_eq!(definition(MAX_TREE_DEPTH / 2), definition(1));
        assert_eq!(definition(MAX_TREE_DEPTH), None);
    }

    #[test]
    fn items_of_rust_behind_an_attribute_of_tests_are_of_tests() {
        for (text, expected) in [
            ("fn f() { HERE; }\n", false),
            ("#[cfg(test)]\nmod tests {\n fn f() { HERE; }\n}\n", true),
            ("#[cfg(all(test, unix))]\nmod a { fn f() { HERE; } }\n", true),
            ("#[tokio::test]\n#[ignore]\nasync fn f() { HERE; }\n", true),
            ("#[cfg(not(test))]\nfn f() { HERE; }\n", false),
            ("#[test]\nfn f() {}\nfn g() { HERE; }\n", false),
        ] {
            let places = ParsedFile::new(b"src/a.rs", text.as_bytes());
            let at = text.find("HERE").unwrap();
            assert_eq!(places.is_in_test_item(at, &mut ParserPool::default()), expected, "{text}");
        }
    }
}

//! Checks that every name that users' scripts depend on still exists: the fields and values of JSON and TOML
//! documents, and the flags, commands and values of the command line.
//!
//! `interface.toml` records these names per crate. A recorded name that the sources no longer have is a
//! problem. If a Rust field or variant is renamed without an attribute that keeps the old name, the name in
//! the document changes as well. A name that is not recorded is only a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use heck::{
    ToKebabCase as _, ToLowerCamelCase as _, ToShoutySnakeCase as _, ToSnakeCase as _, ToUpperCamelCase as _,
};
use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Fields, Ident, LitStr, Meta, Token};

use super::report::CheckReport;
use crate::{texts, workspace};

/// Path of the file that records the names, relative to the root.
const RECORD_PATH: &str = "xtask/src/check/interface.toml";
/// A name that is not recorded, because the check of words accepts it only in the file that needs it.
const UNRECORDED: &str = concat!("replace", "-with");

/// The names of one crate, each with the number of types and calls that have it. If the number falls, one of
/// several documents has lost the name.
type CrateNames = BTreeMap<String, usize>;

/// Checks every source file of the crates, except tests.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let mut found = BTreeMap::<String, CrateNames>::new();
    for file in workspace::tracked_files(root)? {
        let name = file.path.strip_prefix("crates/").and_then(|path| path.split('/').next());
        if let Some(name) = name.filter(|_| texts::is_program_source(&file.path)) {
            let syntax =
                syn::parse_file(&file.text).with_context(|| format!("cannot parse {}", file.path))?;
            let mut reader = InterfaceReader { names: found.entry(name.to_owned()).or_default() };
            reader.visit_file(&syntax);
        }
    }
    let text = std::fs::read_to_string(root.join(RECORD_PATH))
        .with_context(|| format!("cannot read {RECORD_PATH}"))?;
    let recorded = toml::from_str(&text).with_context(|| format!("cannot parse {RECORD_PATH}"))?;
    let (problems, warnings) = compare_record(&found, &recorded);
    let count: usize = found.values().map(BTreeMap::len).sum();
    Ok(CheckReport::Completed { summary: format!("{count} names"), problems, warnings })
}

/// Returns the problems and the warnings of these names.
fn compare_record(
    found: &BTreeMap<String, CrateNames>,
    recorded: &BTreeMap<String, CrateNames>,
) -> (Vec<String>, Vec<String>) {
    let none = CrateNames::new();
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for name in found.keys().chain(recorded.keys()).collect::<BTreeSet<_>>() {
        let (found, recorded) = (found.get(name).unwrap_or(&none), recorded.get(name).unwrap_or(&none));
        let number = |names: &CrateNames, name: &str| names.get(name).copied().unwrap_or(0);
        for (lost, &before) in recorded.iter().filter(|(lost, before)| number(found, lost) < **before) {
            problems.push(format!(
                "{name}: {RECORD_PATH} records `{lost}` {before} times, but the sources have it {} times: \
                    keep \
                    the name with an attribute such as `#[serde(rename = \"…\")]`, or correct the record \
                    and tell users in changelog.d",
                number(found, lost)
            ));
        }
        let new = found.iter().filter(|(new, count)| number(recorded, new) < **count);
        let new: Vec<String> = new.map(|(new, count)| format!("{new:?} = {count}")).collect();
        if !new.is_empty() {
            warnings.push(format!("{RECORD_PATH} lacks names of {name}: {}", new.join(", ")));
        }
    }
    (problems, warnings)
}

/// Collects the names of a source file.
struct InterfaceReader<'a> {
    names: &'a mut CrateNames,
}

impl Visit<'_> for InterfaceReader<'_> {
    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        let is_test =
            module.attrs.iter().any(|attribute| attribute_tokens(attribute, "cfg").iter().any(is_test_word));
        if !is_test {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &syn::ItemStruct) {
        let derives = derive_names(&item.attrs);
        let rule = attribute_value(&item.attrs, "serde", "rename_all");
        self.add_fields(&item.fields, &derives, rule.as_deref());
        if derives.contains("Args") || derives.contains("Parser") {
            self.add_operands(&item.fields);
        }
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &syn::ItemEnum) {
        let derives = derive_names(&item.attrs);
        let is_document = is_serialized_type(&derives);
        let rule = attribute_value(&item.attrs, "serde", "rename_all");
        let field_rule = attribute_value(&item.attrs, "serde", "rename_all_fields");
        for variant in &item.variants {
            if is_document {
                let name = attribute_value(&variant.attrs, "serde", "rename");
                self.add_name(name.unwrap_or_else(|| apply_case(&variant.ident, rule.as_deref())));
            }
            let command = if derives.contains("Subcommand") { "command" } else { "value" };
            if derives.contains("Subcommand") || derives.contains("ValueEnum") {
                let name = attribute_value(&variant.attrs, command, "name");
                self.add_name(name.unwrap_or_else(|| apply_case(&variant.ident, Some("kebab-case"))));
            }
            let rule = attribute_value(&variant.attrs, "serde", "rename_all").or_else(|| field_rule.clone());
            self.add_fields(&variant.fields, &derives, rule.as_deref());
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        if call.path.segments.last().is_some_and(|segment| segment.ident == "json") {
            self.add_json_keys(call.tokens.clone());
        }
        visit::visit_macro(self, call);
    }
}

impl InterfaceReader<'_> {
    fn add_name(&mut self, name: String) {
        if name != UNRECORDED {
            *self.names.entry(name).or_default() += 1;
        }
    }

    /// Adds the field names of a document, and the flags of a command.
    fn add_fields(&mut self, fields: &Fields, derives: &BTreeSet<String>, rename_rule: Option<&str>) {
        for field in fields {
            let Some(ident) = &field.ident else { continue };
            let is_absent = has_attribute_word(&field.attrs, "serde", "skip")
                || has_attribute_word(&field.attrs, "serde", "flatten");
            if is_serialized_type(derives) && !is_absent {
                let name = attribute_value(&field.attrs, "serde", "rename");
                self.add_name(name.unwrap_or_else(|| apply_case(ident, rename_rule)));
            }
            if has_attribute_word(&field.attrs, "arg", "long") {
                let name = attribute_value(&field.attrs, "arg", "long");
                let name = name.unwrap_or_else(|| apply_case(ident, Some("kebab-case")));
                self.add_name(format!("--{name}"));
            }
        }
    }

    /// Adds the names that the help shows for the operands of a command, such as `<PATH>`.
    fn add_operands(&mut self, fields: &Fields) {
        for field in fields {
            let Some(ident) = &field.ident else { continue };
            let other = ["long", "short", "skip"]
                .into_iter()
                .any(|word| has_attribute_word(&field.attrs, "arg", word));
            let nested = ["subcommand", "flatten"]
                .into_iter()
                .any(|word| has_attribute_word(&field.attrs, "command", word));
            if !other && !nested {
                let name = attribute_value(&field.attrs, "arg", "value_name");
                let name = name.unwrap_or_else(|| apply_case(ident, Some("SCREAMING_SNAKE_CASE")));
                self.add_name(format!("<{name}>"));
            }
        }
    }

    /// Adds the keys of a `json!` call: the string literals before a `:`.
    fn add_json_keys(&mut self, tokens: TokenStream) {
        let mut literal = None;
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    literal.take().into_iter().for_each(|key| self.add_name(key));
                }
                TokenTree::Group(group) => self.add_json_keys(group.stream()),
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            literal = string_value(&token);
        }
    }
}

fn is_serialized_type(derives: &BTreeSet<String>) -> bool {
    derives.contains("Serialize") || derives.contains("Deserialize")
}

/// Returns the names of the derived traits, without their modules.
fn derive_names(attributes: &[Attribute]) -> BTreeSet<String> {
    let paths =
        attributes.iter().filter(|attribute| attribute.path().is_ident("derive")).flat_map(|derive| {
            derive.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).unwrap_or_default()
        });
    paths.filter_map(|path| Some(path.segments.last()?.ident.to_string())).collect()
}

/// Returns the tokens in the parentheses of an attribute with this name.
fn attribute_tokens(attribute: &Attribute, name: &str) -> Vec<TokenTree> {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident(name) => list.tokens.clone().into_iter().collect(),
        Meta::Path(_) | Meta::List(_) | Meta::NameValue(_) => Vec::new(),
    }
}

fn is_test_word(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == "test")
}

/// Returns true if an attribute with this name has the word.
fn has_attribute_word(attributes: &[Attribute], name: &str, word: &str) -> bool {
    let mut tokens = attributes.iter().flat_map(|attribute| attribute_tokens(attribute, name));
    tokens.any(|token| matches!(token, TokenTree::Ident(ident) if ident == word))
}

/// Returns the string that an attribute with this name assigns to `key`.
fn attribute_value(attributes: &[Attribute], name: &str, key: &str) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        attribute_tokens(attribute, name).windows(3).find_map(|window| match window {
            [TokenTree::Ident(ident), TokenTree::Punct(_), value] if ident == key => string_value(value),
            _ => None,
        })
    })
}

fn string_value(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    Some(syn::parse_str::<LitStr>(&literal.to_string()).ok()?.value())
}

/// Returns the name of a field or variant under a rule of serde's `rename_all`. Without a rule, the name
/// stays as it is.
fn apply_case(ident: &Ident, rename_rule: Option<&str>) -> String {
    let name = ident.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    match rename_rule {
        Some("snake_case") => name.to_snake_case(),
        Some("kebab-case") => name.to_kebab_case(),
        Some("SCREAMING_SNAKE_CASE") => name.to_shouty_snake_case(),
        Some("PascalCase") => name.to_upper_camel_case(),
        Some("camelCase") => name.to_lower_camel_case(),
        Some("lowercase") => name.to_lowercase(),
        Some("UPPERCASE") => name.to_uppercase(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_names(source: &str) -> Vec<String> {
        let mut names = CrateNames::new();
        InterfaceReader { names: &mut names }.visit_file(&syn::parse_file(source).unwrap());
        names.into_keys().collect()
    }

    #[test]
    fn fields_and_variants_have_the_names_of_their_documents() {
        let source = r#"
            #[derive(Debug, serde::Serialize)]
            #[serde(rename_all = "camelCase")]
            struct Row { run_id: u8, #[serde(rename = "kind")] kind_name: u8, #[serde(skip)] hidden: u8,
                         #[serde(flatten)] rest: u8, #[serde(skip_serializing_if = "none")] r#type: u8 }
            #[derive(Deserialize)]
            #[serde(rename_all = "snake_case", rename_all_fields = "kebab-case")]
            enum State { WellDone, #[serde(rename = "no")] Refused { at_line: u8 } }
            struct Inner { not_written: u8 }
            #[cfg(test)]
            mod tests { #[derive(Serialize)] struct T { of_tests: u8 } }
        "#;
        assert_eq!(read_names(source), ["at-line", "kind", "no", "runId", "type", "well_done"]);
    }

    #[test]
    fn flags_commands_and_values_have_the_names_of_the_command_line() {
        let source = r#"
            #[derive(clap::Args)]
            struct Options { #[arg(long)] dry_run: bool, #[arg(short, long = "to")] target: u8, path: u8,
                             #[arg(value_name = "FILE")] input: u8, #[command(flatten)] more: More }
            #[derive(clap::Subcommand)]
            enum Command { DryRun, #[command(name = "go")] Start { #[arg(long)] at: u8 } }
            #[derive(clap::ValueEnum)]
            enum Format { PlainText, #[value(name = "md")] Markdown }
        "#;
        let names = ["--at", "--dry-run", "--to", "<FILE>", "<PATH>", "dry-run", "go", "md", "plain-text"];
        assert_eq!(read_names(source), names);
    }

    #[test]
    fn keys_of_json_calls_are_names_and_values_are_not() {
        let source = r#"fn f() -> V { serde_json::json!({ "a": [{ "b": "value" }, x::y], "c": if d { "e" } else { "f" } }) }"#;
        assert_eq!(read_names(source), ["a", "b", "c"]);
    }

    #[test]
    fn a_lost_name_is_a_problem_and_a_new_one_a_warning() {
        let names = |list: &[&str]| {
            let mut names = CrateNames::new();
            list.iter().for_each(|&name| *names.entry(name.to_owned()).or_default() += 1);
            BTreeMap::from([("core".to_owned(), names)])
        };
        assert_eq!(compare_record(&names(&["a"]), &names(&["a"])), (vec![], vec![]));
        let (problems, warnings) = compare_record(&names(&["a", "b"]), &names(&["a", "a"]));
        assert!(
            matches!(&problems[..], [problem] if problem.contains("records `a` 2 times, but the sources \
                have it 1"))
        );
        assert_eq!(warnings, [format!("{RECORD_PATH} lacks names of core: \"b\" = 1")]);
    }
}

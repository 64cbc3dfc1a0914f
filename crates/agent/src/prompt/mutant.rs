//! Makes mutants of modules. Each mutant has one typical mistake: a removed variable, a changed name, a fixed
//! value in place of a variable, two swapped variables, or a missing module. Good cases detect every such
//! mistake.

use std::collections::BTreeMap;

use truing_core::template::TemplatePart;

use super::module::{FRONT_MATTER_DELIMITER, FrontMatter, PromptModule, VariableDeclaration};
use super::{PromptError, PromptLibrary, VariableKind};

/// A prompt library with one mistake.
#[derive(Debug)]
pub struct PromptMutant {
    /// Description of the mistake.
    pub description: String,
    /// The library with the mistake, or the error if the parser already detects the mistake.
    pub result: Result<PromptLibrary, PromptError>,
}

impl PromptLibrary {
    /// Returns one mutant for each possible mistake in the module `name`. Returns an empty list if there is
    /// no such module.
    pub fn mutants(&self, name: &str) -> Vec<PromptMutant> {
        let Some(module) = self.modules.get(name) else { return Vec::new() };
        let mut mutants = vec![PromptMutant {
            description: format!("{name}: the module is gone"),
            result: self.without_module(name),
        }];
        let mut add = |mistake: String, changed_module: &PromptModule, extra_front_matter: &str| {
            let made = self.with_text(name, &module.file, &render_module(changed_module, extra_front_matter));
            mutants.push(PromptMutant { description: format!("{name}: {mistake}"), result: made });
        };
        for included in &module.includes {
            let mut changed_module = module.clone();
            changed_module.includes.retain(|other| other != included);
            add(format!("`{included}` is not included"), &changed_module, "");
        }
        for (variable, declared) in &module.variables {
            let is_it = |piece: &TemplatePart| {
                matches!(piece,
                TemplatePart::Variable { name, .. } if name == variable)
            };
            let renamed = format!("{variable}_2");
            let at = |name: &str| TemplatePart::Variable { name: name.to_owned(), line: 0 };
            let replaced = |replacement: Option<TemplatePart>| -> Vec<TemplatePart> {
                let pieces = module.template_parts.iter();
                pieces
                    .filter_map(|piece| if is_it(piece) { replacement.clone() } else { Some(piece.clone()) })
                    .collect()
            };
            let mut undeclared = module.variables.clone();
            undeclared.remove(variable);
            let mut declared_otherwise = undeclared.clone();
            declared_otherwise.insert(renamed.clone(), declared.clone());

            let gone = PromptModule { template_parts: replaced(None), ..module.clone() };
            add(format!("the placeholder of `{variable}` is missing"), &gone, "");
            add(
                format!("`{variable}` is not declared, and its placeholder is missing"),
                &PromptModule { variables: undeclared.clone(), ..gone },
                "",
            );
            add(
                format!("`{variable}` is not declared"),
                &PromptModule { variables: undeclared, ..module.clone() },
                "",
            );
            let pieces = replaced(Some(at(&renamed)));
            let renamed_in_text = PromptModule { template_parts: pieces, ..module.clone() };
            add(format!("the placeholder `{variable}` is renamed to `{renamed}`"), &renamed_in_text, "");
            add(
                format!("`{variable}` is called `{renamed}` in its declaration and its placeholder"),
                &PromptModule { variables: declared_otherwise, ..renamed_in_text },
                "",
            );
            let again = format!(
                "[variables.{variable}]\ntype = \"{}\"\ndescription = \"\"\n",
                declared.kind.as_str()
            );
            add(format!("`{variable}` is declared twice"), module, &again);
            let literal = match declared.kind {
                VariableKind::Integer => "7",
                VariableKind::Word => "0.0.0",
                VariableKind::Data => "Something else.",
            };
            let mut pieces = replaced(Some(TemplatePart::Text(literal.to_owned())));
            pieces.extend([TemplatePart::Text("\n\n".to_owned()), at(variable)]);
            let shadowed = PromptModule { template_parts: pieces, ..module.clone() };
            add(
                format!(
                    "the placeholder of `{variable}` is moved to the end, and `{literal}` replaces the \
                placeholder"
                ),
                &shadowed,
                "",
            );
            let others =
                module.variables.iter().filter(|(other, of)| *other > variable && of.kind == declared.kind);
            for (other, _) in others {
                let swapped = module.template_parts.iter().map(|piece| match piece {
                    TemplatePart::Variable { name, .. } if name == variable => at(other),
                    TemplatePart::Variable { name, .. } if name == other => at(variable),
                    TemplatePart::Variable { .. } | TemplatePart::Text(_) => piece.clone(),
                });
                let changed_module = PromptModule { template_parts: swapped.collect(), ..module.clone() };
                add(
                    format!("the placeholders of `{variable}` and `{other}` are swapped"),
                    &changed_module,
                    "",
                );
            }
        }
        mutants
    }

    fn without_module(&self, name: &str) -> Result<Self, PromptError> {
        let mut others = self.clone();
        others.modules.remove(name);
        others.validate(Vec::new())
    }

    fn with_text(&self, name: &str, file: &str, text: &str) -> Result<Self, PromptError> {
        let mut others = self.clone();
        let mut problems = Vec::new();
        let module = PromptModule::parse(name, file, text, &mut problems);
        others.modules.extend(module.map(|module| (name.to_owned(), module)));
        others.validate(problems)
    }
}

/// Converts a module back to the text of its file, with additional lines in the front matter.
fn render_module(module: &PromptModule, extra_front_matter: &str) -> String {
    let declared = |variable: &super::module::PromptVariable| VariableDeclaration {
        kind: variable.kind,
        description: variable.description.clone(),
        required: None,
        default: variable.default.clone(),
    };
    let front = FrontMatter {
        name: module.name.clone(),
        description: module.description.clone(),
        includes: module.includes.clone(),
        variables: module
            .variables
            .iter()
            .map(|(name, of)| (name.clone(), declared(of)))
            .collect::<BTreeMap<_, _>>(),
    };
    // The serialization never fails, because the data was parsed from TOML.
    let front = toml::to_string(&front).unwrap_or_default();
    let body: String = module
        .template_parts
        .iter()
        .map(|piece| match piece {
            TemplatePart::Text(words) => words.replace("{{", "\\{{"),
            TemplatePart::Variable { name, .. } => format!("{{{{ {name} }}}}"),
        })
        .collect();
    format!("{FRONT_MATTER_DELIMITER}\n{front}{extra_front_matter}{FRONT_MATTER_DELIMITER}\n\n{body}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_written_again_is_the_same_but_for_its_lines() {
        let prompts = PromptLibrary::load_embedded().unwrap();
        for (name, module) in &prompts.modules {
            let again = prompts.with_text(name, &module.file, &render_module(module, "")).unwrap();
            let hash = |prompts: &PromptLibrary| prompts.compose(name).unwrap().hash();
            assert_eq!(hash(&again), hash(&prompts), "{name}");
            assert_eq!(again.list().len(), prompts.list().len());
        }
    }

    #[test]
    fn each_mistake_is_made_and_what_reading_can_notice_it_does() {
        let prompts = PromptLibrary::load_embedded().unwrap();
        let told: Vec<String> = prompts
            .mutants("sync/common")
            .iter()
            .map(|PromptMutant { description: what, result: made }| {
                let noticed = made.as_ref().err().map_or_else(String::new, ToString::to_string);
                format!("{what}: {}", if noticed.is_empty() { "can be read" } else { "is noticed" })
            })
            .collect();
        assert_eq!(
            told,
            [
                "sync/common: the module is gone: is noticed",
                "sync/common: the placeholder of `max_turns` is missing: is noticed",
                "sync/common: `max_turns` is not declared, and its placeholder is missing: can be read",
                "sync/common: `max_turns` is not declared: is noticed",
                "sync/common: the placeholder `max_turns` is renamed to `max_turns_2`: is noticed",
                "sync/common: `max_turns` is called `max_turns_2` in its declaration and its placeholder: \
                    can be read",
                "sync/common: `max_turns` is declared twice: is noticed",
                "sync/common: the placeholder of `max_turns` is moved to the end, and `7` replaces the \
                    placeholder: can be read",
            ]
        );
        let swapped = prompts.mutants("sync/task");
        assert!(
            swapped
                .iter()
                .any(|mutant| mutant.description.contains("the placeholders of `from` and `to` are swapped"))
        );
        assert!(prompts.mutants("sync/system-bump").iter().any(|mutant| {
            mutant.description.ends_with("`sync/common` is not included") && mutant.result.is_ok()
        }));
        assert!(prompts.mutants("no/such").is_empty());
    }
}

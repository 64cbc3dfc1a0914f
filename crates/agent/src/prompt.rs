//! Prompts: modules of text with declared variables, composed and filled in.
//!
//! A *module* is a Markdown file with TOML front matter between lines of `+++`. It gives the `name` (the path
//! without the extension), a `description`, the `variables` of its text, and the modules that it `includes`.
//! The text of the included modules follows the module's own text, in the order of `includes`.
//! [`PromptLibrary`] holds the modules of `prompts/` and those of an operator's folder, which replace modules
//! of the same name.
//!
//! A variable is written in the text as `{{name}}`; all other text stays unchanged, even `$VERSION`. An
//! undeclared variable, an unused variable and a variable without a value are errors, reported with file and
//! line. Values are inserted once and never parsed as prompt text. Untrusted text (`type = "data"`) is placed
//! between marks that contain a random word of the run, the [`DataBoundary`]. Such text therefore cannot end
//! its own quotation.

pub mod case;
mod embedded;
pub mod envsubst;
mod folder;
mod module;
mod mutant;
mod problem;
pub mod route;
mod value;
mod workflow;
pub mod wrap;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use truing_core::template::TemplatePart;

use module::PromptModule;

pub use mutant::PromptMutant;
pub use problem::{PromptError, PromptProblem, PromptProblemKind};
pub(crate) use value::escape_invisible;
pub use value::{DataBoundary, PromptValues, VariableKind};

/// Maximum number of modules of one prompt.
const MAX_MODULES_PER_PROMPT: usize = 100;

/// The available modules, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptLibrary {
    modules: BTreeMap<String, PromptModule>,
}

/// A module with the properties that lists of modules show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedModule<'a> {
    pub name: &'a str,
    /// Purpose of the module.
    pub description: &'a str,
    /// Path of the module's file; for a built-in module, the path within the program.
    pub file: &'a str,
    /// The variables of the module and of the included modules.
    pub variables: Vec<ListedVariable<'a>>,
    /// Names of the included modules.
    pub includes: &'a [String],
}

/// A variable with the properties that lists of modules show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedVariable<'a> {
    pub name: &'a str,
    /// Type of the value.
    pub kind: VariableKind,
    /// Purpose of the variable.
    pub description: &'a str,
    /// Default value. If there is no default, the variable requires a value.
    pub default: Option<&'a str>,
}

impl PromptLibrary {
    /// Returns the modules that are part of the program.
    ///
    /// # Errors
    /// [`PromptError::Invalid`] if a module is invalid.
    pub fn load_embedded() -> Result<Self, PromptError> {
        let (prompts, problems) = Self::parse_files(embedded::module_files());
        prompts.validate(problems)
    }

    /// Adds the modules of a folder. A module replaces an existing module with the same name.
    ///
    /// # Errors
    /// [`PromptError::Folder`], [`PromptError::Invalid`]
    pub fn with_folder(self, folder: &Path) -> Result<Self, PromptError> {
        let (prompts, problems) = self.merge_folder(folder)?;
        prompts.validate(problems)
    }

    /// Returns every problem in the modules of a folder. The folder's modules may include modules of this
    /// library.
    ///
    /// # Errors
    /// [`PromptError::Folder`] if the folder cannot be read.
    pub fn check(self, folder: &Path) -> Result<Vec<PromptProblem>, PromptError> {
        let (prompts, mut problems) = self.merge_folder(folder)?;
        problems.extend(prompts.problems());
        problems.sort();
        problems.dedup();
        Ok(problems)
    }

    /// Returns every module with the properties that lists show.
    pub fn list(&self) -> Vec<ListedModule<'_>> {
        self.modules
            .values()
            .map(|module| ListedModule {
                name: &module.name,
                description: &module.description,
                file: &module.file,
                variables: self.required_variables(module),
                includes: &module.includes,
            })
            .collect()
    }

    /// Returns the variables of a module and of the included modules, each once.
    fn required_variables<'a>(&'a self, module: &'a PromptModule) -> Vec<ListedVariable<'a>> {
        let mut wanted: Vec<ListedVariable<'a>> = Vec::new();
        for (name, variable) in
            self.resolve_includes(module).unwrap_or_default().into_iter().flat_map(|part| &part.variables)
        {
            if !wanted.iter().any(|known| known.name == name) {
                let (kind, description) = (variable.kind, variable.description.as_str());
                wanted.push(ListedVariable { name, kind, description, default: variable.default.as_deref() });
            }
        }
        wanted
    }

    /// Composes a prompt from its modules.
    ///
    /// # Errors
    /// [`PromptError::Unknown`], [`PromptError::Invalid`]
    pub fn compose(&self, name: &str) -> Result<ComposedPrompt<'_>, PromptError> {
        let Some(module) = self.modules.get(name) else {
            let known = self.modules.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(PromptError::Unknown { name: name.to_owned(), known_names: known });
        };
        let parts = self.resolve_includes(module).map_err(|problem| PromptError::Invalid(vec![problem]))?;
        Ok(ComposedPrompt { name: module.name.as_str(), modules: parts })
    }

    /// Returns the names of the modules that a prompt is composed of; empty if there is no such prompt.
    pub fn prompt_module_names(&self, name: &str) -> Vec<&str> {
        let parts = self.modules.get(name).and_then(|module| self.resolve_includes(module).ok());
        parts.unwrap_or_default().into_iter().map(|part| part.name.as_str()).collect()
    }

    fn parse_files(files: impl IntoIterator<Item = (String, String, String)>) -> (Self, Vec<PromptProblem>) {
        let (mut modules, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, file, text) in files {
            let module = PromptModule::parse(&name, &file, &text, &mut problems);
            modules.extend(module.map(|module| (name, module)));
        }
        (Self { modules }, problems)
    }

    fn merge_folder(mut self, folder: &Path) -> Result<(Self, Vec<PromptProblem>), PromptError> {
        let found = folder::read_modules(folder)?;
        let (more, mut problems) = Self::parse_files(found.files);
        problems.extend(found.problems);
        self.modules.extend(more.modules);
        Ok((self, problems))
    }

    fn validate(self, mut problems: Vec<PromptProblem>) -> Result<Self, PromptError> {
        problems.extend(self.problems());
        if problems.is_empty() { Ok(self) } else { Err(PromptError::Invalid(problems)) }
    }

    /// Returns the problems that involve several modules, such as the inclusion of an unknown module or
    /// conflicting variables.
    fn problems(&self) -> Vec<PromptProblem> {
        self.modules.values().filter_map(|module| self.resolve_includes(module).err()).collect()
    }

    /// Returns a module and the included modules, each once, in the order of the text.
    fn resolve_includes<'a>(
        &'a self,
        module: &'a PromptModule,
    ) -> Result<Vec<&'a PromptModule>, PromptProblem> {
        let mut parts = Vec::new();
        self.add_included_modules(module, &mut parts)?;
        let mut declared: BTreeMap<&str, &module::PromptVariable> = BTreeMap::new();
        for part in &parts {
            for (name, variable) in &part.variables {
                let first = declared.entry(name).or_insert(variable);
                if (first.kind, &first.default) != (variable.kind, &variable.default) {
                    return Err(
                        part.problem(variable.line, PromptProblemKind::DeclarationConflict(name.clone()))
                    );
                }
            }
        }
        Ok(parts)
    }

    fn add_included_modules<'a>(
        &'a self,
        module: &'a PromptModule,
        collected_modules: &mut Vec<&'a PromptModule>,
    ) -> Result<(), PromptProblem> {
        // The limit also bounds the depth of the recursion, because the list contains every module on the
        // current include path.
        if collected_modules.len() >= MAX_MODULES_PER_PROMPT {
            return Err(module.problem(1, PromptProblemKind::TooManyModules(MAX_MODULES_PER_PROMPT)));
        }
        collected_modules.push(module);
        for name in &module.includes {
            let wrong = |what| module.problem(module.includes_line, what);
            let included =
                self.modules.get(name).ok_or_else(|| wrong(PromptProblemKind::NoSuchModule(name.clone())))?;
            if collected_modules.iter().any(|part| part.name == *name) {
                return Err(wrong(PromptProblemKind::IncludedTwice(name.clone())));
            }
            self.add_included_modules(included, collected_modules)?;
        }
        Ok(())
    }
}

/// A prompt whose variables have not been replaced by values yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComposedPrompt<'a> {
    name: &'a str,
    modules: Vec<&'a PromptModule>,
}

impl ComposedPrompt<'_> {
    /// Returns the SHA-256, in hexadecimal, of the text before values are inserted. The hash is equal for all
    /// runs with the same prompt.
    pub fn hash(&self) -> String {
        let mut text = Sha256::new();
        for piece in self.template_parts() {
            match piece {
                TemplatePart::Text(words) => text.update(words),
                TemplatePart::Variable { name, .. } => text.update(format!("{{{{{name}}}}}")),
            }
        }
        hex::encode(text.finalize())
    }

    /// Returns the text with its values.
    ///
    /// # Errors
    /// [`PromptError::Values`], with every value that is missing, unknown or of the wrong type.
    pub fn render(&self, values: &PromptValues, boundary: &DataBoundary) -> Result<String, PromptError> {
        let mut problems = Vec::new();
        let mut filled = BTreeMap::new();
        for part in &self.modules {
            for (name, variable) in &part.variables {
                let given = values.get(name).or(variable.default.as_deref());
                let shown = match given {
                    None => Err(PromptProblemKind::MissingValue(name.clone())),
                    Some(value) => boundary.render_value(name, variable.kind, value),
                };
                match shown {
                    Ok(shown) => drop(filled.insert(name.as_str(), shown)),
                    Err(what) => problems.push(part.problem(variable.line, what)),
                }
            }
        }
        let known = |name: &&str| self.modules.iter().any(|part| part.variables.contains_key(*name));
        let unknown: Vec<String> = values.names().filter(|name| !known(name)).map(str::to_owned).collect();
        if !problems.is_empty() || !unknown.is_empty() {
            return Err(PromptError::Values {
                name: self.name.to_owned(),
                problems,
                undeclared_values: unknown,
            });
        }
        let mut text = String::new();
        for piece in self.template_parts() {
            text.push_str(match piece {
                TemplatePart::Text(words) => words.as_str(),
                TemplatePart::Variable { name, .. } => filled.get(name.as_str()).map_or("", String::as_str),
            });
        }
        text.push('\n');
        Ok(text)
    }

    /// Returns the template parts of all modules, with an empty line between the modules.
    fn template_parts(&self) -> impl Iterator<Item = &TemplatePart> {
        static PART_SEPARATOR: std::sync::LazyLock<TemplatePart> =
            std::sync::LazyLock::new(|| TemplatePart::Text("\n\n".to_owned()));
        let parts = self.modules.iter().filter(|part| !part.template_parts.is_empty());
        parts.enumerate().flat_map(|(at, part)| {
            (at > 0).then_some(&*PART_SEPARATOR).into_iter().chain(&part.template_parts)
        })
    }
}

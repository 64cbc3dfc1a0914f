//! Prompts: modules of text with declared variables, put together and filled in.
//!
//! A *module* is a Markdown file with TOML front matter between lines of `+++`: its `name` (its path without the
//! ending), a `description`, the `variables` that its text uses, and the modules that it `includes`, whose text follows
//! its own in that order. [`PromptLibrary`] are the modules of `prompts/` and those of an operator's folder, which replace
//! modules of the same name.
//!
//! A variable stands in the text as `{{name}}`; everything else stays as it is written, `$VERSION` too. What is not
//! declared, declared and not used, or not given is an error with file and line. Values are put in once and never read
//! again as text of a prompt; what others wrote (`type = "data"`) stands between marks that carry a word made for the
//! run, the [`DataFence`], so that it cannot end its own quotation.

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
pub(crate) use value::shown;
pub use value::{DataFence, PromptValues, VariableKind};

/// How many modules a prompt may be put together from.
const MAX_PARTS: usize = 100;

/// The modules there are, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptLibrary {
    modules: BTreeMap<String, PromptModule>,
}

/// A module, as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedModule<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// Where it is from: a path, or a path within the program.
    pub file: &'a str,
    /// What it and the modules that it includes want to be given.
    pub variables: Vec<ListedVariable<'a>>,
    /// The modules that it includes.
    pub includes: &'a [String],
}

/// A variable, as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedVariable<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it may be.
    pub kind: VariableKind,
    /// What it is for.
    pub description: &'a str,
    /// What it is if it is not given; none: it must be.
    pub default: Option<&'a str>,
}

impl PromptLibrary {
    /// The modules that are part of the program.
    ///
    /// # Errors
    /// [`PromptError::Wrong`]
    pub fn embedded() -> Result<Self, PromptError> {
        let (prompts, problems) = Self::parsed(embedded::files());
        prompts.sound(problems)
    }

    /// These and the modules of a folder, which replace those of the same name.
    ///
    /// # Errors
    /// [`PromptError::Folder`], [`PromptError::Wrong`]
    pub fn with_folder(self, folder: &Path) -> Result<Self, PromptError> {
        let (prompts, problems) = self.merged(folder)?;
        prompts.sound(problems)
    }

    /// Everything that is wrong with the modules of a folder, which may include these.
    ///
    /// # Errors
    /// [`PromptError::Folder`] if it cannot be read.
    pub fn check(self, folder: &Path) -> Result<Vec<PromptProblem>, PromptError> {
        let (prompts, mut problems) = self.merged(folder)?;
        problems.extend(prompts.problems());
        problems.sort();
        problems.dedup();
        Ok(problems)
    }

    /// Every module.
    pub fn list(&self) -> Vec<ListedModule<'_>> {
        self.modules
            .values()
            .map(|module| ListedModule {
                name: &module.name,
                description: &module.description,
                file: &module.file,
                variables: self.wanted(module),
                includes: &module.includes,
            })
            .collect()
    }

    /// What a module and those that it includes want to be given, each once.
    fn wanted<'a>(&'a self, module: &'a PromptModule) -> Vec<ListedVariable<'a>> {
        let mut wanted: Vec<ListedVariable<'a>> = Vec::new();
        for (name, variable) in
            self.parts(module).unwrap_or_default().into_iter().flat_map(|part| &part.variables)
        {
            if !wanted.iter().any(|known| known.name == name) {
                let (kind, description) = (variable.kind, variable.description.as_str());
                wanted.push(ListedVariable { name, kind, description, default: variable.default.as_deref() });
            }
        }
        wanted
    }

    /// A prompt, put together.
    ///
    /// # Errors
    /// [`PromptError::Unknown`], [`PromptError::Wrong`]
    pub fn compose(&self, name: &str) -> Result<ComposedPrompt<'_>, PromptError> {
        let Some(module) = self.modules.get(name) else {
            let known = self.modules.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(PromptError::Unknown { name: name.to_owned(), known });
        };
        let parts = self.parts(module).map_err(|problem| PromptError::Wrong(vec![problem]))?;
        Ok(ComposedPrompt { name: module.name.as_str(), parts })
    }

    /// The modules that a prompt is put together from, by name; none if there is no such prompt.
    pub fn parts_of(&self, name: &str) -> Vec<&str> {
        let parts = self.modules.get(name).and_then(|module| self.parts(module).ok());
        parts.unwrap_or_default().into_iter().map(|part| part.name.as_str()).collect()
    }

    fn parsed(files: impl IntoIterator<Item = (String, String, String)>) -> (Self, Vec<PromptProblem>) {
        let (mut modules, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, file, text) in files {
            let module = PromptModule::parse(&name, &file, &text, &mut problems);
            modules.extend(module.map(|module| (name, module)));
        }
        (Self { modules }, problems)
    }

    fn merged(mut self, folder: &Path) -> Result<(Self, Vec<PromptProblem>), PromptError> {
        let found = folder::files(folder)?;
        let (more, mut problems) = Self::parsed(found.files);
        problems.extend(found.problems);
        self.modules.extend(more.modules);
        Ok((self, problems))
    }

    fn sound(self, mut problems: Vec<PromptProblem>) -> Result<Self, PromptError> {
        problems.extend(self.problems());
        if problems.is_empty() { Ok(self) } else { Err(PromptError::Wrong(problems)) }
    }

    /// What is wrong between modules.
    fn problems(&self) -> Vec<PromptProblem> {
        self.modules.values().filter_map(|module| self.parts(module).err()).collect()
    }

    /// A module and those that it includes, in the order of the text. Each is there once.
    fn parts<'a>(&'a self, module: &'a PromptModule) -> Result<Vec<&'a PromptModule>, PromptProblem> {
        let mut parts = Vec::new();
        self.add(module, &mut parts)?;
        let mut declared: BTreeMap<&str, &module::PromptVariable> = BTreeMap::new();
        for part in &parts {
            for (name, variable) in &part.variables {
                let first = declared.entry(name).or_insert(variable);
                if (first.kind, &first.default) != (variable.kind, &variable.default) {
                    return Err(
                        part.problem(variable.line, PromptProblemKind::OtherDeclaration(name.clone()))
                    );
                }
            }
        }
        Ok(parts)
    }

    fn add<'a>(
        &'a self,
        module: &'a PromptModule,
        parts: &mut Vec<&'a PromptModule>,
    ) -> Result<(), PromptProblem> {
        // The depth is bounded as well: every module on the way here is in the list.
        if parts.len() >= MAX_PARTS {
            return Err(module.problem(1, PromptProblemKind::TooManyParts(MAX_PARTS)));
        }
        parts.push(module);
        for name in &module.includes {
            let wrong = |what| module.problem(module.includes_line, what);
            let included =
                self.modules.get(name).ok_or_else(|| wrong(PromptProblemKind::NoSuchModule(name.clone())))?;
            if parts.iter().any(|part| part.name == *name) {
                return Err(wrong(PromptProblemKind::IncludedTwice(name.clone())));
            }
            self.add(included, parts)?;
        }
        Ok(())
    }
}

/// A prompt before its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComposedPrompt<'a> {
    name: &'a str,
    parts: Vec<&'a PromptModule>,
}

impl ComposedPrompt<'_> {
    /// Names the text before its values: SHA-256, in hex. The same for all runs with the same prompt.
    pub fn hash(&self) -> String {
        let mut text = Sha256::new();
        for piece in self.pieces() {
            match piece {
                TemplatePart::Text(words) => text.update(words),
                TemplatePart::Variable { name, .. } => text.update(format!("{{{{{name}}}}}")),
            }
        }
        hex::encode(text.finalize())
    }

    /// The text with its values.
    ///
    /// # Errors
    /// [`PromptError::Values`]: every value that is missing, unknown or not of its type.
    pub fn render(&self, values: &PromptValues, fence: &DataFence) -> Result<String, PromptError> {
        let mut problems = Vec::new();
        let mut filled = BTreeMap::new();
        for part in &self.parts {
            for (name, variable) in &part.variables {
                let given = values.get(name).or(variable.default.as_deref());
                let shown = match given {
                    None => Err(PromptProblemKind::NotGiven(name.clone())),
                    Some(value) => fence.shown(name, variable.kind, value),
                };
                match shown {
                    Ok(shown) => drop(filled.insert(name.as_str(), shown)),
                    Err(what) => problems.push(part.problem(variable.line, what)),
                }
            }
        }
        let known = |name: &&str| self.parts.iter().any(|part| part.variables.contains_key(*name));
        let unknown: Vec<String> = values.names().filter(|name| !known(name)).map(str::to_owned).collect();
        if !problems.is_empty() || !unknown.is_empty() {
            return Err(PromptError::Values { name: self.name.to_owned(), problems, unknown });
        }
        let mut text = String::new();
        for piece in self.pieces() {
            text.push_str(match piece {
                TemplatePart::Text(words) => words.as_str(),
                TemplatePart::Variable { name, .. } => filled.get(name.as_str()).map_or("", String::as_str),
            });
        }
        text.push('\n');
        Ok(text)
    }

    /// The text of all parts, with an empty line between them.
    fn pieces(&self) -> impl Iterator<Item = &TemplatePart> {
        static BETWEEN: std::sync::LazyLock<TemplatePart> =
            std::sync::LazyLock::new(|| TemplatePart::Text("\n\n".to_owned()));
        let parts = self.parts.iter().filter(|part| !part.pieces.is_empty());
        parts.enumerate().flat_map(|(at, part)| (at > 0).then_some(&*BETWEEN).into_iter().chain(&part.pieces))
    }
}

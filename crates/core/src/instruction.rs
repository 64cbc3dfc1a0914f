//! Instructions for reviews of certain paths, from the operator's or the repository's own file. This module
//! is pure.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::tier::RuleOwner;

/// One instruction entry of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathInstruction {
    /// File and line of the entry, for display: `truing.toml:14`.
    pub origin: String,
    /// Owner of the file.
    pub owner: RuleOwner,
    /// Globs of repositories, `owner/name`, case-insensitive; empty for all.
    pub repos: Vec<String>,
    /// Globs of paths. The instruction applies if one of the globs matches a changed file.
    pub paths: Vec<String>,
    /// Text of the instruction, which the model receives as data.
    pub text: String,
}

/// Compiled instructions, the operator's first.
#[derive(Clone, Debug, Default)]
pub struct PathInstructions(Vec<CompiledInstruction>);

#[derive(Clone, Debug)]
struct CompiledInstruction {
    instruction: PathInstruction,
    repos: GlobSet,
    paths: GlobSet,
}

impl PathInstructions {
    /// Compiles the patterns of instructions. The caller must have checked the patterns with
    /// [`crate::glob::check_bounds`].
    ///
    /// # Errors
    /// If a pattern is not a valid glob.
    pub fn new(instructions: Vec<PathInstruction>) -> Result<Self, globset::Error> {
        let compiled = instructions.into_iter().map(|instruction| {
            let (repos, paths) =
                (compile_globs(&instruction.repos, true)?, compile_globs(&instruction.paths, false)?);
            Ok(CompiledInstruction { instruction, repos, paths })
        });
        compiled.collect::<Result<_, globset::Error>>().map(Self)
    }

    /// Returns the instructions for a repository. `name` is `None` if the repository's name is unknown.
    pub fn for_repository(&self, name: Option<&str>) -> impl Iterator<Item = &PathInstruction> {
        self.compiled_for_repository(name).map(|compiled| &compiled.instruction)
    }

    /// Returns the instructions for a change to these paths.
    pub fn for_change(&self, name: Option<&str>, paths: &[String]) -> Vec<&PathInstruction> {
        let of_change = self
            .compiled_for_repository(name)
            .filter(|compiled| paths.iter().any(|path| compiled.paths.is_match(path)));
        of_change.map(|compiled| &compiled.instruction).collect()
    }

    fn compiled_for_repository(&self, name: Option<&str>) -> impl Iterator<Item = &CompiledInstruction> {
        self.0.iter().filter(move |compiled| {
            let is_of_all = compiled.instruction.repos.is_empty();
            is_of_all || name.is_some_and(|name| compiled.repos.is_match(name))
        })
    }
}

fn compile_globs(patterns: &[String], ignores_case: bool) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).case_insensitive(ignores_case).build()?);
    }
    set.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(repos: &[&str], paths: &[&str], text: &str) -> PathInstruction {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let (repos, paths) = (list(repos), list(paths));
        PathInstruction {
            origin: String::new(),
            owner: RuleOwner::Operator,
            repos,
            paths,
            text: text.to_owned(),
        }
    }

    #[test]
    fn an_instruction_holds_for_its_repositories_and_paths() {
        let all = [
            instruction(&[], &["src/*.sql", "db/**"], "limits"),
            instruction(&["Acme/*"], &["**"], "acme"),
            instruction(&["other/x"], &["**"], "other"),
        ];
        let all = PathInstructions::new(all.to_vec()).unwrap();
        let of = |name: Option<&str>, paths: &[&str]| -> Vec<String> {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            all.for_change(name, &paths).into_iter().map(|found| found.text.clone()).collect()
        };
        assert_eq!(of(Some("acme/shop"), &["a.py", "db/deep/a.sql"]), ["limits", "acme"]);
        assert_eq!(of(Some("acme/shop"), &["src/deep/a.sql"]), ["acme"]);
        assert_eq!(of(Some("other/x"), &["SRC/a.sql"]), ["other"]);
        assert_eq!(of(None, &["src/a.sql"]), ["limits"]);
        assert!(of(Some("acme/shop"), &[]).is_empty());
        assert_eq!(all.for_repository(None).count(), 1);
    }
}

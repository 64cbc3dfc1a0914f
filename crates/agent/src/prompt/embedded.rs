//! The modules and cases that are part of the program.

/// Name and text of each file in `prompts/`.
const MODULE_FILES: &[(&str, &str)] = &[
    ("converge/auditor", include_str!("../../prompts/converge/auditor.md")),
    ("converge/contract", include_str!("../../prompts/converge/contract.md")),
    ("converge/describer", include_str!("../../prompts/converge/describer.md")),
    ("converge/dismissed", include_str!("../../prompts/converge/dismissed.md")),
    ("converge/fixer", include_str!("../../prompts/converge/fixer.md")),
    ("converge/system-audit", include_str!("../../prompts/converge/system-audit.md")),
    ("converge/task-audit", include_str!("../../prompts/converge/task-audit.md")),
    ("converge/task-audit-dismissed", include_str!("../../prompts/converge/task-audit-dismissed.md")),
    ("converge/task-check", include_str!("../../prompts/converge/task-check.md")),
    ("converge/task-describe", include_str!("../../prompts/converge/task-describe.md")),
    ("converge/task-fix", include_str!("../../prompts/converge/task-fix.md")),
    ("converge/task-gate", include_str!("../../prompts/converge/task-gate.md")),
    ("review/again", include_str!("../../prompts/review/again.md")),
    ("review/budget", include_str!("../../prompts/review/budget.md")),
    ("review/change", include_str!("../../prompts/review/change.md")),
    ("review/conventions", include_str!("../../prompts/review/conventions.md")),
    ("review/evidence", include_str!("../../prompts/review/evidence.md")),
    ("review/findings", include_str!("../../prompts/review/findings.md")),
    ("review/output", include_str!("../../prompts/review/output.md")),
    ("review/role", include_str!("../../prompts/review/role.md")),
    ("review/specialist", include_str!("../../prompts/review/specialist.md")),
    ("review/system", include_str!("../../prompts/review/system.md")),
    ("review/task", include_str!("../../prompts/review/task.md")),
    ("review/task-again", include_str!("../../prompts/review/task-again.md")),
    ("review/task-specialist", include_str!("../../prompts/review/task-specialist.md")),
    ("review/task-specialist-again", include_str!("../../prompts/review/task-specialist-again.md")),
    ("review/untrusted", include_str!("../../prompts/review/untrusted.md")),
    ("sync/common", include_str!("../../prompts/sync/common.md")),
    ("sync/data", include_str!("../../prompts/sync/data.md")),
    ("sync/handover", include_str!("../../prompts/sync/handover.md")),
    ("sync/main", include_str!("../../prompts/sync/main.md")),
    ("sync/step-4b-bump", include_str!("../../prompts/sync/step-4b-bump.md")),
    ("sync/step-classify", include_str!("../../prompts/sync/step-classify.md")),
    ("sync/system-bump", include_str!("../../prompts/sync/system-bump.md")),
    ("sync/system-classify", include_str!("../../prompts/sync/system-classify.md")),
    ("sync/task", include_str!("../../prompts/sync/task.md")),
    ("sync/task-classify", include_str!("../../prompts/sync/task-classify.md")),
];

/// Name and text of each file in `prompts/cases/`.
const CASES: &[(&str, &str)] = &[
    ("converge/audit", include_str!("../../prompts/cases/converge/audit.toml")),
    ("converge/audit-dismissed", include_str!("../../prompts/cases/converge/audit-dismissed.toml")),
    ("converge/check", include_str!("../../prompts/cases/converge/check.toml")),
    ("converge/describe", include_str!("../../prompts/cases/converge/describe.toml")),
    ("converge/fix", include_str!("../../prompts/cases/converge/fix.toml")),
    ("converge/gate", include_str!("../../prompts/cases/converge/gate.toml")),
    ("review/again", include_str!("../../prompts/cases/review/again.toml")),
    ("review/defect", include_str!("../../prompts/cases/review/defect.toml")),
    ("review/injection", include_str!("../../prompts/cases/review/injection.toml")),
    ("review/rewritten", include_str!("../../prompts/cases/review/rewritten.toml")),
    ("review/specialist", include_str!("../../prompts/cases/review/specialist.toml")),
    ("review/specialist-again", include_str!("../../prompts/cases/review/specialist-again.toml")),
    ("sync/bump", include_str!("../../prompts/cases/sync/bump.toml")),
    ("sync/classify-bump", include_str!("../../prompts/cases/sync/classify-bump.toml")),
    ("sync/classify-relax", include_str!("../../prompts/cases/sync/classify-relax.toml")),
    ("sync/go-on", include_str!("../../prompts/cases/sync/go-on.toml")),
];

/// Returns the name, path and text of each module.
pub(super) fn module_files() -> impl Iterator<Item = (String, String, String)> {
    MODULE_FILES
        .iter()
        .map(|(name, text)| ((*name).to_owned(), format!("prompts/{name}.md"), (*text).to_owned()))
}

/// Returns the name, path and text of each case.
pub(super) fn cases() -> impl Iterator<Item = (String, String, String)> {
    let case = |(name, text): &(&str, &str)| {
        ((*name).to_owned(), format!("prompts/cases/{name}.toml"), (*text).to_owned())
    };
    CASES.iter().map(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names of all files with this extension in the subfolders of the folder.
    fn find_files(folder: &str, ending: &str) -> Vec<String> {
        let prompts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut found = Vec::new();
        for folder in std::fs::read_dir(prompts).unwrap().map(Result::unwrap) {
            for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
                let names = [folder.file_name(), file.file_name()].map(|name| name.into_string().unwrap());
                found.extend(names.join("/").strip_suffix(ending).map(str::to_owned));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_file_is_part_of_the_program() {
        for (known, found) in
            [(MODULE_FILES, find_files("prompts", ".md")), (CASES, find_files("prompts/cases", ".toml"))]
        {
            let mut known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            assert_eq!(found, known);
        }
    }
}

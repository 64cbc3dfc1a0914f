//! The modules that are part of the program.

/// Name and text of each file in `prompts/`.
const FILES: &[(&str, &str)] = &[
    ("converge/auditor", include_str!("../../prompts/converge/auditor.md")),
    ("converge/contract", include_str!("../../prompts/converge/contract.md")),
    ("converge/fixer", include_str!("../../prompts/converge/fixer.md")),
    ("converge/system-audit", include_str!("../../prompts/converge/system-audit.md")),
    ("converge/task-audit", include_str!("../../prompts/converge/task-audit.md")),
    ("converge/task-fix", include_str!("../../prompts/converge/task-fix.md")),
    ("converge/task-gate", include_str!("../../prompts/converge/task-gate.md")),
    ("review/again", include_str!("../../prompts/review/again.md")),
    ("review/budget", include_str!("../../prompts/review/budget.md")),
    ("review/change", include_str!("../../prompts/review/change.md")),
    ("review/evidence", include_str!("../../prompts/review/evidence.md")),
    ("review/findings", include_str!("../../prompts/review/findings.md")),
    ("review/output", include_str!("../../prompts/review/output.md")),
    ("review/role", include_str!("../../prompts/review/role.md")),
    ("review/system", include_str!("../../prompts/review/system.md")),
    ("review/task", include_str!("../../prompts/review/task.md")),
    ("review/task-again", include_str!("../../prompts/review/task-again.md")),
    ("review/untrusted", include_str!("../../prompts/review/untrusted.md")),
    ("sync/common", include_str!("../../prompts/sync/common.md")),
    ("sync/handover", include_str!("../../prompts/sync/handover.md")),
    ("sync/main", include_str!("../../prompts/sync/main.md")),
    ("sync/step-4b-bump", include_str!("../../prompts/sync/step-4b-bump.md")),
    ("sync/system-bump", include_str!("../../prompts/sync/system-bump.md")),
    ("sync/task", include_str!("../../prompts/sync/task.md")),
];

/// Name, path and text of each.
pub(super) fn files() -> impl Iterator<Item = (String, String, String)> {
    FILES.iter().map(|(name, text)| ((*name).to_owned(), format!("prompts/{name}.md"), (*text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_part_of_the_program() {
        let prompts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
        let mut found = Vec::new();
        for folder in std::fs::read_dir(prompts).unwrap().map(Result::unwrap) {
            for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
                let names = [folder.file_name(), file.file_name()].map(|name| name.into_string().unwrap());
                found.push(names.join("/"));
            }
        }
        found.sort();
        let mut known: Vec<String> = FILES.iter().map(|(name, _)| format!("{name}.md")).collect();
        known.sort();
        assert_eq!(found, known);
    }
}

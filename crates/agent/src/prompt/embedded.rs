//! The modules that are part of the program.

/// Name and text of each file in `prompts/`.
const FILES: &[(&str, &str)] = &[
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
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/review");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        found.sort();
        let mut known: Vec<String> =
            FILES.iter().map(|(name, _)| format!("{}.md", name.rsplit('/').next().unwrap())).collect();
        known.sort();
        assert_eq!(found, known);
    }
}

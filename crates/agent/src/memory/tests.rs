//! Tests of memory and skills: the files that are used, the files that are skipped, and the notes about
//! skipped files.

use async_trait::async_trait;
use serde_json::{Value, json};
use truing_model::messages::ToolDefinition;

use super::*;
use crate::native::{RunTools, ToolCallOutput};

fn file(path: &str, text: impl Into<Vec<u8>>) -> MemoryFile {
    MemoryFile { path: path.into(), content: Ok(text.into()) }
}

fn skill_of(folder: &str, text: impl Into<Vec<u8>>) -> SkillFile {
    SkillFile { folder: folder.into(), file: file(&format!(".claude/skills/{folder}/SKILL.md"), text) }
}

fn good(name: &str) -> String {
    format!("---\nname: {name}\ndescription: For {name}\nallowed-tools: [Bash]\n---\n\nLook at {name}.\n")
}

fn repository(found: LayerFiles) -> LayeredMemory {
    LayeredMemory::from_layers(&LayerFiles::default(), &found)
}

fn skills(skills: Vec<SkillFile>) -> LayeredMemory {
    repository(LayerFiles { skills, ..LayerFiles::default() })
}

fn memory(text: impl Into<Vec<u8>>) -> LayeredMemory {
    repository(LayerFiles { memory: vec![file("CLAUDE.md", text)], ..LayerFiles::default() })
}

#[test]
fn layers_stand_beside_each_other_and_what_is_shipped_is_whole() {
    let bare = repository(LayerFiles::default());
    let names: Vec<&str> = bare.skills.iter().map(|skill| skill.name.as_str()).collect();
    assert_eq!(names, ["shipped:dead-code", "shipped:missing-tests", "shipped:security-basics"]);
    assert_eq!((bare.notes.clone(), bare.repository_summary, bare.memory_text.as_str()), (vec![], None, ""));

    let organisation =
        LayerFiles { skills: vec![skill_of("dead-code", good("dead-code"))], ..LayerFiles::default() };
    let own = LayerFiles {
        memory: vec![file("CLAUDE.md", "Use tabs.\n")],
        skills: vec![skill_of("dead-code", good("dead-code")), skill_of("two", good("two"))],
        ..LayerFiles::default()
    };
    let all = LayeredMemory::from_layers(&organisation, &own);
    let names: Vec<&str> = all.skills.iter().map(|skill| skill.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "org:dead-code",
            "repo:dead-code",
            "repo:two",
            "shipped:dead-code",
            "shipped:missing-tests",
            "shipped:security-basics"
        ]
    );
    assert_eq!(all.memory_text, "Use tabs.\n");
    assert_eq!(all.repository_summary.as_deref(), Some("CLAUDE.md and 2 skills"));
    assert!(
        all.render_skill_list().contains("org:dead-code: For dead-code\nrepo:dead-code: For dead-code\n")
    );
    assert!(!all.render_skill_list().contains("Look at"), "texts come when they are asked for");
    assert_eq!(all.notes, Vec::<String>::new());
}

#[test]
fn the_hash_is_of_the_content_in_whatever_order() {
    let (one, two) = (skill_of("one", good("one")), skill_of("two", good("two")));
    let there = skills(vec![one.clone(), two.clone()]);
    assert_eq!(there.hash, skills(vec![two, one.clone()]).hash);
    assert_ne!(there.hash, skills(vec![one.clone()]).hash);
    assert_ne!(skills(vec![one]).hash, skills(vec![skill_of("one", good("one") + "more")]).hash);
}

#[test]
fn a_skill_that_cannot_be_used_is_left_out_and_told() {
    // Nine YAML anchors; each anchor expands to nine times as much text as the previous anchor.
    let bomb = (b'b'..=b'i').fold("a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned(), |all, letter| {
        let (name, of) = (char::from(letter), char::from(letter - 1));
        all + &format!("{name}: &{name} [*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of}]\n")
    });
    let long = "x".repeat(MAX_SKILL_BYTES);
    for (text, why) in [
        (b"# Just text\n".to_vec(), "does not begin with front matter"),
        (b"---\nname: a\n".to_vec(), "does not begin with front matter"),
        (b"---\nname: [\n---\nx\n".to_vec(), "malformed"),
        (b"---\n- a\n---\nx\n".to_vec(), "malformed"),
        (b"---\nname: a\n---\nx\n".to_vec(), "no `description`"),
        (b"---\nname: ../../etc\ndescription: x\n---\nx\n".to_vec(), "its name `../../etc`"),
        (b"---\nname: \"\"\ndescription: x\n---\nx\n".to_vec(), "its name ``"),
        (b"---\ndescription: x\n---\n \n".to_vec(), "has no text"),
        (format!("---\n{bomb}description: *i\n---\nx\n").into_bytes(), "malformed"),
        (format!("---\ndescription: {}\n---\nx\n", "y".repeat(5000)).into_bytes(), "more than 4096 bytes"),
        (b"---\ndescription: \xff\n---\nx\n".to_vec(), "not UTF-8"),
        (format!("{}{long}", good("a")).into_bytes(), "a skill may have at most 32768"),
    ] {
        let made = skills(vec![skill_of("a", text.clone()), skill_of("b", good("b"))]);
        let shown = String::from_utf8_lossy(&text);
        assert_eq!(made.repository_summary.as_deref(), Some("1 skill"), "{shown:.200}");
        let [note] = made.notes.as_slice() else { panic!("{:?}", made.notes) };
        assert!(
            note.starts_with("`.claude/skills/a/SKILL.md` is left out: ") && note.contains(why),
            "{note}"
        );
        assert!(note.chars().count() <= MAX_NOTE_CHARS + 1 && !note.contains('\n'), "{note}");
    }
    let gone = SkillFile {
        folder: "a".into(),
        file: MemoryFile { path: "p".into(), content: Err("it is a link".into()) },
    };
    assert_eq!(skills(vec![gone]).notes, ["`p` is left out: it is a link"]);
    let twice = skills(vec![skill_of("one", good("same")), skill_of("two", good("same"))]);
    assert_eq!(
        twice.notes,
        ["`.claude/skills/two/SKILL.md` is left out: another skill already has the name `repo:same`"]
    );
}

#[test]
fn front_matter_is_read_as_people_write_it() {
    let folded = "\u{feff}---\r\nname: \"One\"\r\ndescription: \
         >\r\n  Two\r\n  lines\u{202e}\r\n---\r\nText\u{200f}\r\n";
    let made = skills(vec![skill_of("folder", folded)]);
    let skill = made.skills.iter().find(|skill| skill.name == "repo:One").unwrap();
    assert_eq!((skill.description.as_str(), skill.text.as_str()), ("Two lines", "Text\\u{200f}"));
    let unnamed = skills(vec![skill_of("by-folder", "---\ndescription: d\n---\nx\n")]);
    assert!(unnamed.render_skill_list().contains("repo:by-folder: d"), "{}", unnamed.render_skill_list());
}

#[test]
fn a_bomb_of_skills_is_counted_and_notes_are_bounded() {
    let many = (0..MAX_SKILLS + 3).map(|at| skill_of(&format!("s{at:03}"), good(&format!("s{at:03}"))));
    let found = LayerFiles { skills: many.collect(), unread_skill_count: 4, ..LayerFiles::default() };
    let made = repository(found);
    assert_eq!(made.repository_summary.as_deref(), Some("32 skills"));
    assert_eq!(made.notes, ["7 more skills of `repo` are not used: there may be at most 32"]);
    let bad = (0..MAX_SKILLS).map(|at| skill_of(&format!("s{at}"), "nothing"));
    let notes = skills(bad.collect()).notes;
    assert_eq!(notes.len(), MAX_NOTES + 1);
    assert!(notes.last().unwrap().starts_with("and 22 more"), "{notes:?}");
}

#[test]
fn memory_is_cut_at_a_line_and_follows_nothing() {
    let line = "é".repeat(50) + "\n";
    let made = memory(line.repeat(1000));
    assert!(
        made.memory_text.len() <= MAX_MEMORY_BYTES && made.memory_text.ends_with('\n'),
        "{}",
        made.memory_text.len()
    );
    assert_eq!(made.memory_text.len() % line.len(), 0);
    let [note] = made.notes.as_slice() else { panic!("{:?}", made.notes) };
    assert!(note.contains("cut after line 324: it has 101000 bytes"), "{note}");
    assert!(memory("x".repeat(MAX_MEMORY_BYTES + 1)).memory_text.len() <= MAX_MEMORY_BYTES);

    let text = "Ask @ada or @acme/owners, a@b.md.\nSee @docs/style.md and @~/mine\n- \
         @README\n@AGENTS.md\n```\n@in/code.md\n```\n@Override\n";
    let notes = memory(text).notes;
    let told: Vec<&str> = notes.iter().filter_map(|note| note.split('`').nth(3)).collect();
    assert_eq!(told, ["@docs/style.md", "@~/mine", "@AGENTS.md", "@Override"]);

    let both = |first: MemoryFile| {
        let memory = vec![first, file(".claude/CLAUDE.md", "second\n")];
        repository(LayerFiles { memory, ..LayerFiles::default() })
    };
    let first = both(file("CLAUDE.md", "first\n"));
    assert_eq!(first.memory_text, "first\n");
    assert_eq!(
        first.notes,
        ["`.claude/CLAUDE.md` is left out: `CLAUDE.md` is already used as the repository's memory"]
    );
    let second = both(file("CLAUDE.md", b"\xff\xfe".to_vec()));
    assert_eq!(
        (second.memory_text.as_str(), second.repository_summary.as_deref()),
        ("second\n", Some(".claude/CLAUDE.md"))
    );
    assert_eq!(second.notes, ["`CLAUDE.md` is left out: it is not UTF-8 text"]);
}

#[test]
fn a_file_for_all_agents_is_the_memory_where_no_other_is() {
    let read = |memory: Vec<MemoryFile>| repository(LayerFiles { memory, ..LayerFiles::default() });
    let agents = || file("AGENTS.md", "for all\n");
    let alone = read(vec![agents()]);
    assert_eq!(
        (alone.memory_text.as_str(), alone.repository_summary.as_deref()),
        ("for all\n", Some("AGENTS.md"))
    );
    assert_eq!(alone.notes, [""; 0]);
    for other in ["CLAUDE.md", ".claude/CLAUDE.md"] {
        let both = read(vec![file(other, "for one\n"), agents()]);
        assert_eq!(
            (both.memory_text.as_str(), both.repository_summary.as_deref()),
            ("for one\n", Some(other))
        );
        assert_eq!(both.notes, [""; 0], "many repositories have both");
    }
    let link = MemoryFile { path: "CLAUDE.md".into(), content: Err("it is a link".into()) };
    let linked = read(vec![link, agents()]);
    assert_eq!(
        (linked.memory_text.as_str(), linked.repository_summary.as_deref()),
        ("for all\n", Some("AGENTS.md"))
    );
    assert_eq!(linked.notes, ["`CLAUDE.md` is left out: it is a link"]);
}

#[test]
fn a_path_is_known_by_where_it_is() {
    for (path, role) in [
        ("CLAUDE.md", Some(MemoryPath::Memory)),
        (".claude/CLAUDE.md", Some(MemoryPath::Memory)),
        ("AGENTS.md", Some(MemoryPath::Memory)),
        ("docs/AGENTS.md", None),
        (".claude/AGENTS.md", None),
        (".claude/skills/a/SKILL.md", Some(MemoryPath::Skill("a"))),
        (".claude/skills/a/b/SKILL.md", None),
        (".claude/skills/SKILL.md", None),
        (".claude/agents/a.md", Some(MemoryPath::Specialist("a"))),
        (".claude/agents/b/a.md", None),
        (".claude/agents/a.txt", None),
        (".claude/settings.json", None),
        (".claude-skills/a/SKILL.md", None),
        ("docs/CLAUDE.md", None),
    ] {
        assert_eq!(MemoryPath::from_path(path), role, "{path}");
    }
}

#[test]
fn specialists_are_four_and_a_repository_adds_its_own() {
    let bare = repository(LayerFiles::default());
    let names: Vec<&str> = bare.specialists.iter().map(|it| it.name.as_str()).collect();
    let four = ["architecture", "code-quality", "security", "test-coverage"];
    assert_eq!(names, four.map(|name| format!("shipped:{name}-reviewer")));
    let own = ["a", "b", "c", "d", "e"].map(|name| skill_of(name, good(name)));
    let own = LayerFiles { specialists: own.to_vec(), unread_specialist_count: 1, ..LayerFiles::default() };
    let made = repository(own);
    assert_eq!((made.specialists.len(), made.repository_summary.as_deref()), (8, Some("4 specialists")));
    assert_eq!(made.notes, ["2 more specialists of `repo` are not used: there may be at most 4"]);
    assert_eq!(made.skills, bare.skills);
    // `README` does not count towards the limit, because it does not define a specialist.
    let names = ["README", "a", "b", "c", "d"];
    let own =
        names.map(|name| skill_of(name, if name == "README" { "About\n".to_owned() } else { good(name) }));
    let made = repository(LayerFiles { specialists: own.to_vec(), ..LayerFiles::default() });
    assert_eq!((made.specialists.len(), made.notes.len()), (8, 1), "{:?}", made.notes);
}

/// A tool that returns its own name.
struct Echo;

#[async_trait]
impl RunTools for Echo {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let echo = ToolDefinition {
            name: "echo".into(),
            description: String::new(),
            input_schema: json!({}),
            cache_control: None,
        };
        vec![echo]
    }

    async fn call(&self, name: &str, _: &Value) -> ToolCallOutput {
        ToolCallOutput { text: name.into(), is_error: false, is_denied: false }
    }
}

#[tokio::test]
async fn a_skills_text_comes_when_it_is_asked_for_by_its_name() {
    let memory = skills(vec![skill_of("one", good("one"))]);
    let tools = SkillTools::new(&Echo, &memory.skills);
    let names: Vec<String> = tools.tool_definitions().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["echo", SKILL_TOOL]);
    assert_eq!(tools.call("echo", &json!({})).await.text, "echo");
    assert_eq!(tools.call(SKILL_TOOL, &json!({ "name": "repo:one" })).await.text, "Look at one.");
    for wrong in [json!({}), json!({ "name": "one" }), json!({ "name": 7 })] {
        let said = tools.call(SKILL_TOOL, &wrong).await;
        assert!(said.is_error, "{said:?}");
    }
    let none = SkillTools::new(&Echo, &[]);
    assert_eq!(
        (none.tool_definitions().len(), none.call(SKILL_TOOL, &json!({})).await.text.as_str()),
        (1, SKILL_TOOL)
    );
}

#[test]
fn instructions_follow_the_memory_and_those_beyond_the_bound_are_left_out() {
    let instruction = |at: &str, owner: RuleOwner, text: &str| PathInstruction {
        origin: at.to_owned(),
        owner,
        repos: Vec::new(),
        paths: vec!["src/db/**".to_owned(), "*.sql".to_owned()],
        text: text.to_owned(),
    };
    let told = memory("Ours.\n");
    let all = [
        instruction("truing.toml:3", RuleOwner::Operator, "Each query has a limit."),
        instruction(".truing.toml:1", RuleOwner::Repository, "No `SELECT *`.\n"),
        instruction("truing.toml:9", RuleOwner::Operator, &"a".repeat(MAX_INSTRUCTIONS_BYTES)),
    ];
    let instructed = told.with_instructions(&all);
    assert_eq!(instructed.memory_text, "Ours.\n\n\nFor files that match src/db/**, *.sql:\nNo `SELECT *`.\n");
    assert_eq!(instructed.operator_text, "For files that match src/db/**, *.sql:\nEach query has a limit.\n");
    assert_eq!(instructed.instruction_locations, ["truing.toml:3", ".truing.toml:1"]);
    assert_eq!(instructed.repository_summary.as_deref(), Some("CLAUDE.md, and 1 instruction"));
    assert_eq!(
        instructed.notes,
        ["the instruction at `truing.toml:9` is left out: all instructions together may have at most \
                32768 bytes"]
    );
    assert_ne!(instructed.hash, told.hash);
    assert_ne!(told.with_instructions(&all[..1]).hash, instructed.hash);
}

//! Renders the file of a new rule in ast-grep's YAML format: a rule that forbids a function call, and tests
//! of the rule.

/// Words that YAML parses as null or a boolean instead of a string.
const YAML_KEYWORDS: [&str; 3] = ["null", "true", "false"];

/// Number of spaces before each line of a test.
const TEST_INDENT: usize = 8;

/// The languages that rules can be for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(super) enum RuleLanguage {
    /// Forbids `eval`
    #[default]
    #[value(alias = "py")]
    Python,
    /// Forbids `eval`
    #[value(name = "typescript", alias = "ts")]
    TypeScript,
    /// Forbids `eval`, in TypeScript with JSX
    Tsx,
    /// Forbids `eval`
    #[value(name = "javascript", aliases = ["js", "jsx"])]
    JavaScript,
    /// Forbids `std::process::exit`
    #[value(alias = "rs")]
    Rust,
    /// Forbids `os.Exit`
    #[value(alias = "golang")]
    Go,
    /// Forbids `System.exit`
    Java,
}

impl RuleLanguage {
    /// Returns the name of the language in rule files.
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::TypeScript => "typescript",
            Self::Tsx => "tsx",
            Self::JavaScript => "javascript",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Java => "java",
        }
    }

    fn sample(self) -> &'static RuleSample {
        match self {
            Self::Python => &PYTHON,
            Self::TypeScript | Self::Tsx | Self::JavaScript => &JAVASCRIPT,
            Self::Rust => &RUST,
            Self::Go => &GO,
            Self::Java => &JAVA,
        }
    }
}

/// A sample rule for one language.
struct RuleSample {
    /// Name of the function that the sample forbids to call.
    forbidden_function: &'static str,
    /// Reason why the call is forbidden, and the alternative to the call, in one line of Markdown.
    note: &'static str,
    /// YAML lines under the key `rule`.
    rule_yaml: &'static str,
    category: char,
    /// Complete source files in which the sample rule finds nothing.
    valid_files: [&'static str; 2],
    /// Complete source files in which the sample rule finds something.
    invalid_files: [&'static str; 2],
}

const PYTHON: RuleSample = RuleSample {
    forbidden_function: "eval",
    note: "`eval` runs any text that it receives. Parse the expected values instead: `ast.literal_eval` \
        reads plain values.",
    rule_yaml: "  # `$$$ARGUMENTS` matches any arguments.\n  pattern: eval($$$ARGUMENTS)\n",
    category: 'H',
    valid_files: ["point = ast.literal_eval(text)\n", "print(\"eval(text)\")\n"],
    invalid_files: ["point = eval(text)\n", "point = eval(text, {}, names)\n"],
};

const JAVASCRIPT: RuleSample = RuleSample {
    forbidden_function: "eval",
    note: "`eval` runs any text that it receives. Parse the expected values instead: `JSON.parse` reads \
        plain values.",
    rule_yaml: "  # `$$$ARGUMENTS` matches any arguments.\n  pattern: eval($$$ARGUMENTS)\n",
    category: 'H',
    valid_files: ["const point = JSON.parse(text);\n", "console.log(\"eval(text)\");\n"],
    invalid_files: ["const point = eval(text);\n", "eval(\"point = \" + text);\n"],
};

const RUST: RuleSample = RuleSample {
    forbidden_function: "std::process::exit",
    note: "The process ends at once, and nothing is dropped. Return an error, and let `main` choose the exit \
         code.",
    rule_yaml: " # `$$$ARGUMENTS` matches any arguments; `$A` matches exactly one.\n  pattern: \
        std::process::exit($$$ARGUMENTS)\n",
    category: 'C',
    valid_files: [
        "fn main() -> ExitCode {\n    ExitCode::FAILURE\n}\n",
        "fn stop() {\n    log(\"std::process::exit(1)\");\n}\n",
    ],
    invalid_files: [
        "fn stop() {\n    std::process::exit(1);\n}\n",
        "fn code() -> i32 {\n    read().unwrap_or_else(|_| std::process::exit(2))\n}\n",
    ],
};

const GO: RuleSample = RuleSample {
    forbidden_function: "os.Exit",
    note: "The program ends at once, and no deferred call runs. Return an error, and let `main` choose the \
         exit code.",
    rule_yaml: " # `os.Exit(1)` alone is parsed as a conversion, so the pattern is a complete function, in \
        which `selector`\n  # selects the call. `$$$ARGUMENTS` matches any arguments; `$A` matches \
        exactly one.\n  pattern:\n    context: func f() { os.Exit($$$ARGUMENTS) }\n    selector: \
        call_expression\n",
    category: 'C',
    valid_files: [
        "package a\n\nfunc stop() error {\n\treturn errors.New(\"stop\")\n}\n",
        "package a\n\nfunc stop() {\n\tlog.Print(\"os.Exit(1)\")\n}\n",
    ],
    invalid_files: [
        "package a\n\nfunc stop() {\n\tos.Exit(1)\n}\n",
        "package a\n\nfunc stop(err error) {\n\tif err != nil {\n\t\tos.Exit(code(err))\n\t}\n}\n",
    ],
};

const JAVA: RuleSample = RuleSample {
    forbidden_function: "System.exit",
    note: "The whole virtual machine ends, with all other code that runs in it. Throw an exception, and let \
         `main` choose the exit code.",
    rule_yaml: " # `$$$ARGUMENTS` matches any arguments; `$A` matches exactly one.\n  pattern: \
        System.exit($$$ARGUMENTS)\n",
    category: 'C',
    valid_files: [
        "class A {\n    void stop() {\n        throw new IllegalStateException(\"stop\");\n    }\n}\n",
        "class A {\n    void stop() {\n        log.info(\"System.exit(1)\");\n    }\n}\n",
    ],
    invalid_files: [
        "class A {\n    void stop() {\n        System.exit(1);\n    }\n}\n",
        "class A {\n    void stop(Exception e) {\n        System.exit(code(e));\n    }\n}\n",
    ],
};

/// Returns the file of a new rule `id` in this language.
pub(super) fn render_template(id: &str, language: RuleLanguage) -> String {
    let RuleSample {
        forbidden_function: call,
        note,
        rule_yaml: rule,
        category,
        valid_files: valid,
        invalid_files: invalid,
    } = language.sample();
    let (id, language) = (quote_id(id), language.name());
    let (valid, invalid) = (format_file_list(valid), format_file_list(invalid));
    format!(
        "\
# An example to begin with, in ast-grep's YAML: it forbids a call. Put your own pattern, words and tests in.
id: {id}
language: {language}
# `error` is P1 and blocks; `warning` is P2 and does not.
severity: warning
# The title of a finding; then why it matters, and what to do.
message: The code calls `{call}`
note: |
  {note}
rule:
{rule}\
metadata:
  truing:
    category: {category}
    # Whole files in which the rule must find nothing.
    valid:
{valid}\
{indent}# Whole files in which it must find something.
    invalid:
{invalid}",
        indent = "    ",
    )
}

/// Quotes a rule's id for YAML, if needed.
fn quote_id(id: &str) -> String {
    let is_plain = id.starts_with(|first: char| first.is_ascii_lowercase()) && !YAML_KEYWORDS.contains(&id);
    if is_plain { id.to_owned() } else { format!("'{id}'") }
}

/// Formats files as the items of a YAML list.
fn format_file_list(files: &[&str]) -> String {
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("{:TEST_INDENT$}{line}\n", ""),
    };
    files.iter().map(|file| format!("      - |\n{}", file.lines().map(line).collect::<String>())).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use truing_reader::RulePacks;

    use super::*;

    #[test]
    fn what_a_rule_begins_as_does_what_its_tests_say_in_every_language_under_every_name() {
        for language in RuleLanguage::value_variants() {
            for id in ["no-call", "null", "true", "2", "0x1", "1e5", "2nd-call", "a"] {
                let (file, text) = (format!("house/rules/{id}.yml"), render_template(id, *language));
                let packs = RulePacks::parse(&[(file.as_str(), text.as_str())]).unwrap();
                let tested = packs.run_examples(&[]).unwrap();
                assert_eq!((tested.rule_count, tested.example_count), (1, 4), "{text}");
                let wrong = [tested.failure_messages, tested.untested_rules].concat();
                assert!(wrong.is_empty(), "{wrong:?}\n{text}");
                let rule = packs.find_rule(&format!("house/{id}")).unwrap().unwrap();
                assert_eq!(
                    (rule.valid_example_count, rule.invalid_example_count, rule.text),
                    (2, 2, text.as_str())
                );
                assert_eq!(rule.rule.languages, [language.name()]);
            }
        }
    }
}

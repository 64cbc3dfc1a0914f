//! Tests that the grammars reject a table of hostile command lines. The crate's module `grammar` contains the
//! property tests, which use generated lines.

use std::sync::LazyLock;

use proptest::prelude::*;
use truing_core::grammar::{CommandGrammar, CommandRefusal, MAX_WORD_BYTES, MAX_WORDS};

fn grammar() -> &'static CommandGrammar {
    static SHIPPED: LazyLock<CommandGrammar> = LazyLock::new(|| CommandGrammar::load_shipped().unwrap());
    &SHIPPED
}

/// Splits a test's command line into words at each space. The character `␣` stands for a space within a word.
fn words(line: &str) -> Vec<String> {
    line.split(' ').map(|word| word.replace('␣', " ")).collect()
}

fn refusal_of(argv: &[String]) -> Option<CommandRefusal> {
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    grammar().accept(&argv).err()
}

#[test]
fn what_agents_need_is_known() {
    for line in [
        "git log --oneline -n 5 -- src/a.rs",
        "git log -5 --format=%H␣%s main..HEAD",
        "git log -M90% --word-diff -L 3,9:src/a.rs",
        "git show :0:src/a␣b.rs",
        "git diff -- src :!src/gen",
        "git branch --list release/* --sort=-committerdate",
        "git diff --stat origin/main...HEAD",
        "git diff --cached -U3 -- crates tests",
        "git show HEAD~2:src/lib.rs",
        "git blame -L 10,20 HEAD -- a␣file.py",
        "git grep -n -e TODO -- src",
        "git status --porcelain",
        "rg -n fn␣main\\( src tests",
        "rg -tpy -C3 -e foo --regexp=-bar .",
        "rg --files -g !target/**",
        "rg @decorator",
        "python -m pytest -xvs tests/test_a.py::TestA::test_b[1-x]",
        "python3 -m pytest -k not␣slow --maxfail=1",
        "pytest -p no:cacheprovider --tb=short -q",
        "uv run --frozen pytest -q tests",
        "uv lock --check",
        "npm test",
        "npm run lint -- --fix src",
        "npm ci --ignore-scripts",
        "node --test --test-reporter=tap test/a.test.js",
        "cargo test -p truing-core --lib slot::step -- --nocapture --test-threads=1",
        "cargo clippy --all-targets --locked -- -D warnings -A clippy::all",
        "cargo fmt --all --check",
        "go test -run TestA -count=1 ./...",
        "ruff check --fix --select E,F src",
        "ruff format --check .",
    ] {
        assert_eq!(refusal_of(&words(line)), None, "{line}");
    }
}

/// In each of these lines, an option or an argument would make the program write a file, run another program,
/// or access a path outside the tree.
#[test]
fn hostile_lines_are_refused() {
    for line in [
        // An unknown program, or a known program with a path
        "",
        "sh -c id",
        "bash",
        "env git log",
        "timeout 5 git log",
        "/usr/bin/git log",
        "./git log",
        "GIT log",
        "git␣log",
        "X=1 git log",
        "xargs git log",
        "sudo git log",
        "python -c 1",
        "python tests/a.py",
        "node -e 1",
        // Before the command
        "git -c core.pager=x log",
        "git -C .. log",
        "git --git-dir=x log",
        "git --exec-path=. log",
        "git -p log",
        "cargo +nightly test",
        "cargo --config x test",
        "npm --prefix .. test",
        "go -C .. test",
        // Commands that change something
        "git",
        "git commit -m x",
        "git push",
        "git push origin main",
        "git config core.hooksPath .",
        "git add .",
        "git checkout main",
        "git branch new",
        "git remote add a b",
        "git fetch",
        "git am x",
        "git stash",
        "git worktree add x",
        "git submodule update",
        "git hook run pre-commit",
        "git bisect run x",
        "npm install x",
        "npm exec x",
        "npm publish",
        "npm run evil",
        "npx x",
        "cargo run",
        "cargo install x",
        "cargo publish",
        "uv pip install x",
        "uv tool run x",
        "uv run",
        "go run .",
        "go generate",
        "go get x",
        // Flags that write files or run programs, in every spelling
        "git log --output=x",
        "git log --output x",
        "git log --outp=x",
        "git diff --output=x",
        "git show --output=x",
        "git log -p --ext-diff",
        "git diff --ext-diff",
        "git log --textconv",
        "git diff --no-index a b",
        "git grep -Oless x",
        "git grep -O x",
        "git grep --open-files-in-pager=x y",
        "git grep -f x",
        "git log -nO5",
        "git log -pO",
        "git blame --contents x a",
        "git cat-file --batch",
        "rg --pre x y",
        "rg --pre=x y",
        "rg --pr=x y",
        "rg --hostname-bin x y",
        "rg -z x",
        "rg -nz x",
        "rg --search-zip x",
        "rg -L x",
        "rg --follow x",
        "rg -f x y",
        "rg --ignore-file x y",
        "rg -fx",
        "pytest -p evil",
        "pytest -pevil",
        "pytest -p no:evil",
        "pytest -c x",
        "pytest -o a=b",
        "pytest --rootdir=..",
        "pytest --basetemp=x",
        "pytest --junitxml=x",
        "pytest --pdb",
        "pytest -W error::x.Y",
        "pytest @x",
        "python -m pytest @x",
        "python -mpytest",
        "python -m http.server",
        "python -I -m pytest",
        "uv run --with x pytest",
        "uv run --python x pytest",
        "uv run --directory .. pytest",
        "uv run -- pytest",
        "uv run -m x",
        "uv sync --index x",
        "uv lock --project ..",
        "npm test --script-shell=x",
        "npm test --node-options=x",
        "npm test -- --config=x",
        "npm ci --registry=x",
        "node --test --require x",
        "node --test --import=x",
        "node --test -r x",
        "node --require=x --test",
        "node --test --test-reporter=./x.js",
        "node --test --test-reporter ./x.js",
        "node --test -e 1",
        "cargo test --config x",
        "cargo test -Z x",
        "cargo test --target-dir x",
        "cargo test --manifest-path ../x",
        "cargo build --out-dir x",
        "cargo test -- --logfile x",
        "cargo clippy -- -Clinker=x",
        "cargo clippy -- @x",
        "cargo fmt -- --config-path x",
        "cargo test -C ..",
        "go test -exec x",
        "go test -exec=x",
        "go test --exec=x",
        "go test -toolexec x",
        "go test -o x",
        "go vet -vettool=x",
        "go build -o x",
        "go test -overlay x",
        "go test -modfile=x",
        "go test -coverprofile=x",
        "go test -vet=off",
        "go test -ldflags=x",
        "go test -args x",
        "ruff check --config x",
        "ruff check --output-file x",
        "ruff check -o x",
        "ruff check @x",
        // Paths outside the tree, or in git's folder
        "git log -- ../x",
        "git log -- /etc/passwd",
        "git diff /etc/passwd /dev/null",
        "git diff ../a ../b",
        "git diff a/../../b c",
        "git log -- :(top)x",
        "git log -- :/x",
        "git show :/x",
        "git log -- .git/config",
        "git diff .git/config a",
        "rg x ..",
        "rg x /",
        "rg x a/../b",
        "rg x ~/b",
        "rg x .git",
        "rg x a/.GIT/config",
        "rg x --files /etc",
        "rg --files ..",
        "rg -e x ..",
        "rg /etc/passwd -e root",
        "rg /etc/passwd -neroot",
        "rg /etc/passwd --regexp=root",
        "rg ../../../etc/passwd -e root",
        "rg .git/config -e url",
        "rg /etc --files",
        "rg a /etc --files",
        "git grep /etc/passwd -e root",
        "git grep .git/config -n -e url",
        "git log --format=%G?",
        "git log --format=%GG",
        "git show --pretty=format:%h%+G?",
        "git log --format %<(9)%-GS",
        "git log --format %h",
        "git log -L 3,9:../a.rs",
        "git log -L 3,9:.git/config",
        "git show :/x",
        "git show :4:a",
        "git ls-tree HEAD:../x",
        "git ls-tree HEAD git~1/config",
        "git diff -- :!../x",
        "git branch release",
        "git branch -r release",
        "go test -timeout 0 ./...",
        "go test -count=9999 ./...",
        "go vet golang.org/x/tools@latest",
        "rg -g ../x y",
        "pytest ../x",
        "pytest /x::y",
        "pytest --deselect /x",
        "pytest --ignore=../x",
        "cargo test -p ../x",
        "go test ../...",
        "go test /x",
        "ruff check ../x",
        "node --test /x",
        "npm test -w ..",
        // Values
        "git log -n",
        "git log -n --oneline",
        "git log -n -5",
        "git log --max-count",
        "git log -n=5",
        "git log -nx",
        "git log --oneline=x",
        "git log -",
        "rg -e",
        "rg -e -x",
        "pytest -k",
        "pytest -",
        "rg - x",
        "git status a",
        "git branch a",
        "cargo check a",
        "git rev-parse -- a",
        // Behind `--`
        "git log -- --output=x",
        "git log -- -p",
        "rg -- --pre=x",
        "npm test -- -x",
        "pytest -- -x",
        "go vet -- -x",
    ] {
        let argv = if line.is_empty() { Vec::new() } else { words(line) };
        assert_ne!(refusal_of(&argv), None, "{line}");
    }
}

#[test]
fn control_characters_and_endless_lines_are_refused() {
    for word in ["a\0b", "a\nb", "a\rb", "a\x1b[2J", "\u{85}"] {
        for at in [0, 1, 2] {
            let mut argv = words("git log a");
            argv.get_mut(at).unwrap().push_str(word);
            assert!(matches!(refusal_of(&argv), Some(CommandRefusal::ControlCharacter { .. })), "{argv:?}");
        }
    }
    let long = "x".repeat(MAX_WORD_BYTES + 1);
    assert_eq!(refusal_of(&["rg".into(), long]), Some(CommandRefusal::TooLong));
    assert_eq!(refusal_of(&vec!["rg".to_owned(); MAX_WORDS + 1]), Some(CommandRefusal::TooLong));
}

#[test]
fn a_refusal_names_what_would_have_to_be_listed() {
    let needed = |line: &str| refusal_of(&words(line)).unwrap().required_grammar_rule();
    assert_eq!(needed("curl x").as_deref(), Some(r#"grammar: program "curl""#));
    assert_eq!(needed("git push").as_deref(), Some(r#"grammar: command "git push""#));
    let output = r#"grammar: command "git log", flag "--output""#;
    assert_eq!(needed("git log --output=x").as_deref(), Some(output));
    assert_eq!(needed("git log -- -x").as_deref(), Some(r#"grammar: command "git log --", flag "-x""#));
    assert_eq!(needed("git log -n"), None, "no rule makes a value of nothing");
}

#[test]
fn a_command_that_runs_another_hands_it_back() {
    let accepted = grammar().accept(&["uv", "run", "--frozen", "sh", "-c", "id"]).unwrap();
    assert_eq!(accepted.command, "uv run");
    assert_eq!(accepted.inner_command, Some(&["sh", "-c", "id"][..]));
}

proptest! {
    #[test]
    fn no_words_make_it_fail(argv in prop::collection::vec(any::<String>(), 0..5)) {
        let _ = refusal_of(&argv);
    }
}

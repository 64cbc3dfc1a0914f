//! Tests of the base and the head of a review, of the configuration that applies, and of the ids of findings.

use serde_json::json;

use crate::review::place::{Place, Ran, STOPS, fake_key, field_of_findings};

#[test]
fn the_working_tree_is_reviewed_with_new_files_that_are_not_ignored() {
    let place = Place::new();
    place.write(".gitignore", "ignored.py\n");
    place.commit("ignore");
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("committed.py", STOPS);
    place.commit("mine");
    place.write("staged.py", STOPS);
    place.git(["add", "staged.py"]);
    place.write("a.py", STOPS);
    place.write("new.py", STOPS);
    place.write("ignored.py", STOPS);
    let report = place.report(&[]);
    assert_eq!(field_of_findings(&report, "path"), ["a.py", "committed.py", "new.py", "staged.py"]);
    assert_eq!((&report["base"], &report["head"]), (&json!(place.git(["rev-parse", "main"])), &json!(null)));
    // In a subfolder, the command still reviews the whole repository.
    place.write("deep/er/x.py", STOPS);
    let report = place.report(&["deep/er"]);
    assert_eq!(report["findings"].as_array().unwrap().len(), 5);
}

#[test]
fn the_empty_tree_is_a_base_that_everything_is_new_against() {
    let place = Place::new();
    place.write("b.py", STOPS);
    place.commit("second");
    place.write("c.py", STOPS);
    place.commit("third");
    let nothing = place.git(["hash-object", "-t", "tree", "/dev/null"]);
    for arguments in [&["--base", &nothing, "--head", "main"][..], &["--base", &nothing]] {
        let report = place.report(arguments);
        assert_eq!(report["base"], json!(nothing));
        assert_eq!(field_of_findings(&report, "path"), ["b.py", "c.py"]);
        assert_eq!(report["coverage"]["reviewed"], json!(["a.py", "b.py", "c.py"]));
        let said = place.review(arguments).out;
        assert!(said.contains(" against nothing (the empty tree)\n"), "{said}");
    }
}

#[test]
fn a_secret_in_a_new_file_that_git_calls_binary_is_found() {
    let place = Place::new();
    let key = fake_key();
    let bytes = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    place.write("old.bin", b"\0 1\n");
    place.commit("binary");
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("set.reg", bytes(&format!("\u{feff}x\r\nkey={key}\r\n")));
    place.write("a.bin", format!("\0\n\n{key}\n"));
    place.write("old.bin", format!("\0 2\n{key}\n"));
    let report = place.report(&[]);
    assert_eq!(field_of_findings(&report, "path"), ["a.bin", "old.bin", "set.reg"]);
    assert_eq!(field_of_findings(&report, "start_line"), [3, 2, 2]);
    assert_eq!(field_of_findings(&report, "anchor"), ["file", "file", "file"]);
    let binary = |path: &str| json!({ "path": path, "reason": "binary" });
    assert_eq!(report["coverage"]["not_reviewed"], json!([binary("a.bin"), binary("old.bin")]));
}

#[test]
fn a_nul_byte_in_a_changed_file_hides_no_secret_and_no_missing_check() {
    let place = Place::new();
    let key = fake_key();
    let utf16 = |text: &str| {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    let image = (0..200).map(|number| format!("\0 pixel {number}\n")).collect::<String>();
    place.write("img.png", &image);
    place.write("mixed.txt", "\0 data\n");
    place.write("plain.sh", "echo 1\n");
    place.write("to-utf16.txt", "text\n");
    place.write("utf16.txt", utf16("text\r\n"));
    place.commit("files");
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.git(["mv", "img.png", "key.png"]);
    place.write("key.png", format!("{image}{key}\n"));
    // Not a secret: a rule for text alone would report this line.
    place.write("mixed.txt", format!("data\n<<<<<<< HEAD\n=======\n>>>>>>> x\n{key}\n"));
    place.write("plain.sh", format!("echo 1\n# \0\nexport K={key}\n"));
    place.write("to-utf16.txt", utf16(&format!("text\r\n{key}\r\n")));
    place.write("utf16.txt", utf16(&format!("text\r\nkey={key}\r\n")));
    place.commit("change");
    for arguments in [&[][..], &["--head", "feature"]] {
        let report = place.report(arguments);
        let paths = ["key.png", "mixed.txt", "plain.sh", "to-utf16.txt", "utf16.txt"];
        assert_eq!(field_of_findings(&report, "path"), paths, "{arguments:?}");
        assert_eq!(field_of_findings(&report, "start_line"), [201, 5, 3, 2, 2], "{arguments:?}");
        let gap = |path: &str, reason: &str| json!({ "path": path, "reason": reason });
        let expected = json!([
            gap("key.png", "binary"),
            gap("mixed.txt", "binary"),
            gap("plain.sh", "became_binary"),
            gap("to-utf16.txt", "became_binary"),
            gap("utf16.txt", "binary"),
        ]);
        assert_eq!(report["coverage"]["not_reviewed"], expected, "{arguments:?}");
        assert_eq!(report["outcome"]["kind"], "partial", "{arguments:?}");
    }
    place.git(["checkout", "--quiet", "-B", "feature", "main"]);
    place.write("plain.sh", "echo 1\n# \0\n");
    let ran = place.review(&[]);
    assert_eq!(ran.exit, 1, "{}", ran.out);
    assert!(ran.out.contains("not reviewed: plain.sh (became binary)"), "{}", ran.out);
}

#[test]
fn a_new_file_of_source_code_with_a_nul_byte_makes_the_review_partial() {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("a.JS", "eval(x)\n// \0\n");
    place.write("icon", "\0 pixels\n");
    place.write("tool", "#!/bin/sh\necho 1\n# \0\n");
    place.write("x.png", "\0 pixels\n");
    place.commit("add");
    for arguments in [&[][..], &["--head", "feature"]] {
        let report = place.report(arguments);
        let gap = |path: &str, reason: &str| json!({ "path": path, "reason": reason });
        let expected = json!([
            gap("a.JS", "binary_source"),
            gap("icon", "binary"),
            gap("tool", "binary_source"),
            gap("x.png", "binary"),
        ]);
        assert_eq!(report["coverage"]["not_reviewed"], expected, "{arguments:?}");
        assert_eq!(report["outcome"]["kind"], "partial", "{arguments:?}");
    }
}

#[test]
fn a_head_is_reviewed_alone_against_where_it_left_the_default_branch() {
    let place = Place::new();
    let left = place.git(["rev-parse", "HEAD"]);
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("theirs.py", STOPS);
    let feature = place.commit("theirs");
    place.git(["checkout", "--quiet", "main"]);
    place.write("later.py", "import sys\n");
    place.commit("later");
    place.write("dirty.py", STOPS);
    let report = place.report(&["--head", "feature"]);
    assert_eq!((&report["base"], &report["head"]), (&json!(left), &json!(feature)));
    assert_eq!(field_of_findings(&report, "path"), ["theirs.py"]);
    let said = place.review(&["--head", "feature"]).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let (feature, short) = (&feature[..10], &left[..10]);
    assert!(
        said.contains(&format!("reviewed commit {feature} (feature) against {short} (merge base with main)")),
        "{said}"
    );
    // `main` has new commits since the branch was created. They are not part of the reviewed change.
    let named = place.report(&["--base", "main", "--head", "feature"]);
    assert_eq!((&named["base"], &named["coverage"]["not_reviewed"]), (&json!(left), &json!([])));
    assert_eq!(field_of_findings(&named, "path"), ["theirs.py"]);
    // If the head contains the base commit, the review compares the two directly. If the base is given as a
    // commit id, the text names it only once.
    let parent = place.git(["rev-parse", "feature~1"]);
    let said = place.review(&["--base", &parent, "--head", "feature"]).out;
    assert!(said.contains(&format!("(feature) against {}\n", &parent[..10])), "{said}");
}

#[test]
fn on_a_clean_default_branch_the_last_commit_is_reviewed_and_the_text_says_so() {
    let place = Place::new();
    let said = |arguments: &[&str]| {
        let out = place.review(arguments).out;
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let first = said(&[]);
    assert!(
        first.contains(
            "against nothing (before the first commit, because the head does not differ from \
            its merge base with main)"
        ),
        "{first}"
    );
    let parent = place.git(["rev-parse", "HEAD"]);
    place.write("b.py", STOPS);
    place.commit("second");
    for arguments in [&[][..], &["--head", "main"]] {
        let report = place.report(arguments);
        assert_eq!(
            (&report["base"], field_of_findings(&report, "path").len()),
            (&json!(parent), 1),
            "{arguments:?}"
        );
        let text = said(arguments);
        let expected = format!(
            "against {} (parent of the last commit, because the head does not differ from its merge base \
                with main)",
            &parent[..10]
        );
        assert!(text.contains(&expected), "{text}");
    }
    place.git(["checkout", "--quiet", "--detach"]);
    assert_eq!(field_of_findings(&place.report(&[]), "path"), ["b.py"], "a detached head is one, too");
}

#[test]
fn a_linked_worktree_is_reviewed_and_shares_its_records() {
    let place = Place::new();
    place.git(["remote", "add", "origin", "https://user:hush@example.org/a/b.git"]);
    place.git(["worktree", "add", "--quiet", "-b", "linked", "../linked"]);
    place.write("a.py", "breakpoint()\nbreakpoint()\n");
    let report = place.report(&[]);
    let [_, second] = field_of_findings(&report, "id")[..] else { panic!("{report}") };
    // Only the records of the review in the other worktree show that this finding was the second of two equal
    // findings.
    std::fs::write(place.home().join("linked/a.py"), "import os\nbreakpoint()\n").unwrap();
    assert_eq!(field_of_findings(&place.report(&["../linked"]), "id"), [second]);
    assert!(!String::from_utf8_lossy(&std::fs::read(place.store()).unwrap()).contains("hush"));
}

#[test]
fn ids_last_while_other_lines_change() {
    let place = Place::new();
    place.write("b.py", "def f():\n    breakpoint()\n\n\ndef g():\n    breakpoint()\n");
    let report = place.report(&[]);
    let [one, two] = field_of_findings(&report, "id")[..] else { panic!("{report}") };
    assert_ne!(one, two);
    place.write("b.py", "\"\"\"Doc.\"\"\"\n\ndef f():\n    breakpoint()\n\n\n\ndef g():\n  breakpoint()\n");
    assert_eq!(field_of_findings(&place.report(&[]), "id"), [one, two]);
    // The branch `other` does not have the findings. The records keep them.
    place.git(["stash", "--quiet", "--include-untracked"]);
    place.git(["checkout", "--quiet", "-b", "other"]);
    assert_eq!(field_of_findings(&place.report(&["--base", "main"]), "id").len(), 0);
    assert_eq!(field_of_findings(&place.report(&["--base", "main", "--head", "other"]), "id").len(), 0);
    // Only the records show that the remaining finding was the second of two equal findings.
    place.write("b.py", "def f():\n    pass\n\n\n\n\ndef g():\n    breakpoint()\n");
    assert_eq!(field_of_findings(&place.report(&[]), "id"), [two]);
    assert_eq!(field_of_findings(&place.report(&["--no-record"]), "id"), [one]);
}

#[test]
fn without_records_nothing_is_opened_and_ids_are_the_same() {
    let place = Place::new();
    place.write("b.py", "breakpoint()\nbreakpoint()\n");
    let alone = place.report(&["--no-record"]);
    assert!(!place.home().join(".local").exists());
    assert_eq!(place.report(&[]), alone);
    assert!(place.store().is_file());
    let ids = field_of_findings(&alone, "id");
    let print = alone["findings"][0]["fingerprint"].as_str().unwrap();
    assert_eq!(ids, [&json!(format!("{print}-1")), &json!(format!("{print}-2"))]);
}

#[test]
fn nothing_in_the_repository_changes() {
    let place = Place::new();
    place.write("b.py", STOPS);
    place.write("c.py", STOPS);
    place.git(["add", "b.py"]);
    place.write("b.py", "breakpoint()\n");
    // The file times in the index are stale, so an ordinary git command would rewrite the index. The review
    // must not.
    place.write("a.py", "import os\n");
    let before = place.read_all_files();
    place.report(&[]);
    place.report(&["--head", "HEAD", "--base", "HEAD"]);
    let after = place.read_all_files();
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after);
}

#[test]
fn ignored_paths_that_match_no_file_are_named_once() {
    let place = Place::new();
    place.write("vendor/x.py", STOPS);
    place.write("docs/x.py", STOPS);
    place.git(["add", "docs/x.py"]);
    place.git(["commit", "--quiet", "-m", "docs"]);
    place.write("b.py", STOPS);
    place.write(".truing.toml", "[rules]\nignore = [\"vendor/**\", \"docs/**\", \"lib\", \"./vendor/**\"]\n");
    let ran = Ran::from(place.command(&["review", "--format", "json"]).output().unwrap());
    assert_eq!(field_of_findings(&ran.json(), "path"), ["b.py"]);
    assert_eq!(ran.json()["idle_ignores"], json!(["lib", "./vendor/**"]));
    let told = "warning: rules.ignore: `lib` matches no file of the repository; a folder is `lib/**`";
    assert_eq!(ran.err.matches(told).count(), 1, "{}", ran.err);
    let told = "warning: rules.ignore: `./vendor/**` matches no file of the repository; write the path as \
        `vendor/**`";
    assert_eq!(ran.err.matches(told).count(), 1, "{}", ran.err);
    assert_eq!(ran.err.matches("rules.ignore").count(), 2, "{}", ran.err);
}

#[test]
fn the_repositorys_own_file_counts_as_it_is_reviewed_and_the_text_says_so() {
    let place = Place::new();
    place.write("vendor/x.py", STOPS);
    place.write("b.py", STOPS);
    place.write(".truing.toml", "[rules]\nignore = [\"vendor/**\"]\n");
    // `truing.toml` is the name of the operator's file. In the repository, a file with this name has no
    // effect.
    place.write("truing.toml", "[nonsense");
    let ran = place.review(&["--format", "json"]);
    assert_eq!(field_of_findings(&ran.json(), "path"), ["b.py"]);
    assert!(
        ran.json()["coverage"]["not_reviewed"]
            .to_string()
            .contains(r#"{"path":"vendor/x.py","reason":"ignored"}"#)
    );
    assert!(place.review(&[]).out.contains("\nconfigured by .truing.toml from the working tree\n"));
    let loud = Ran::from(place.command(&["review", "--format", "json"]).output().unwrap());
    assert!(loud.err.contains("configured by .truing.toml from the working tree\n"), "{}", loud.err);

    let base = place.commit("vendored");
    place.write(".truing.toml", "[rules]\nignore = [\"**\"]\n");
    place.write("c.py", STOPS);
    let all = place.review(&["--base", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "--head", "HEAD"]).out;
    assert!(all.contains(&format!("\nconfigured by .truing.toml from commit {}\n", &base[..10])), "{all}");
    assert!(!place.review(&["--head", "HEAD~1"]).out.contains("configured"));

    // The author of a commit cannot disable its review.
    place.commit("ignores everything");
    for flags in [&["--head", "HEAD"][..], &["HEAD~1..HEAD"], &["--base", "HEAD~1", "--head", "HEAD"]] {
        assert_eq!(field_of_findings(&place.report(flags), "path"), ["c.py"], "{flags:?}");
        let ran = place.review(flags);
        let source = format!("\nconfigured by .truing.toml from the base, commit {}\n", &base[..10]);
        assert!(ran.exit == 1 && ran.out.contains(&source), "{}", ran.out);
        assert!(ran.err.contains("the reviewed commit has another .truing.toml"), "{}", ran.err);
    }
}

#[test]
fn a_review_without_the_pack_core_warns_once_that_it_does_not_search_for_secrets() {
    let place = Place::new();
    place.write("b.py", "b = 1\n");
    place.write("ops.toml", "[rules]\npacks = [\"aiobotocore\"]\n");
    let warning = "the pack `core` is not used, so the review does not search for secrets: ";
    for (arguments, remedy) in [
        (["--pack", "aiobotocore"], "add `--pack core`"),
        (["--config", "ops.toml"], "add `core` to `rules.packs`"),
    ] {
        let ran = place.review(&arguments);
        assert_eq!(ran.err.matches(warning).count(), 1, "{}", ran.err);
        assert!(ran.err.contains(&format!("{warning}{remedy}")), "{}", ran.err);
    }
    for arguments in [&[][..], &["--pack", "core", "--pack", "aiobotocore"]] {
        let ran = place.review(arguments);
        assert!(!ran.err.contains(warning), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn keys_of_the_repositorys_file_that_the_operator_does_not_allow_are_named_once() {
    let place = Place::new();
    place.write("b.py", "b = 1\n");
    place.write(".truing.toml", "[review]\ntools = \"auto\"\n[verify]\ncheck = [[\"true\"]]\n");
    let ran = place.review(&[]);
    let warning = "`review.tools`, `verify.check` of the repository's own file are not used";
    assert_eq!(ran.err.matches(warning).count(), 1, "{}", ran.err);
    assert!(ran.err.contains("set `verify.from_repository = true` in the operator's file"), "{}", ran.err);
    place.write(".truing.toml", "[verify]\ncheck = [[\"true\"]]\n");
    place.write("ops.toml", "[verify]\nfrom_repository = true\n");
    let ran = place.review(&["--config", "ops.toml"]);
    assert!(!ran.err.contains("not used"), "{}", ran.err);
}

#[test]
fn a_branch_that_begins_at_an_old_commit_is_reviewed_with_the_named_base() {
    let place = Place::new();
    place.write(".truing.toml", "[rules]\nignore = [\"**\"]\n");
    let old = place.commit("ignores everything");
    place.write(".truing.toml", "[rules]\nignore = []\n");
    let base = place.commit("ignores nothing");
    place.git(["branch", "base"]);
    place.git(["checkout", "--quiet", "-b", "change", &old]);
    place.write("c.py", STOPS);
    place.commit("change");
    let flags = ["--base", "base", "--head", "change"];
    assert_eq!(field_of_findings(&place.report(&flags), "path"), ["c.py"]);
    let ran = place.review(&flags);
    assert!(ran.out.contains(&format!("from the base, commit {}\n", &base[..10])), "{}", ran.out);
}

#[test]
fn a_rule_that_is_off_finds_nothing_whatever_else_is_there_and_is_not_called_fixed() {
    let place = Place::new();
    let many = "dbg!(1);\n".repeat(200);
    place.write("b.rs", many + "<<<<<<< ours\none();\n=======\ntwo();\n>>>>>>> theirs\n");
    place.write("b.py", STOPS);
    place.write(".truing.toml", "rules.packs = [\"core\"]\n");
    let first = place.report(&[]);
    assert!(field_of_findings(&first, "rule").contains(&&json!("core/rust-dbg")), "{first}");
    let file = "[rules]\noff = [\"core/rust-dbg\"]\nseverity = \
         { \"core/python-debugger\" = \"P2\", \"core/conflict-marker\" = \"P1\" }\n";
    place.write(".truing.toml", file);
    let ran = place.review(&["--format", "json"]);
    let told = ran.json();
    let rules = field_of_findings(&told, "rule");
    assert!(!rules.contains(&&json!("core/rust-dbg")), "{told}");
    assert!(
        rules.contains(&&json!("core/conflict-marker")),
        "the others of its file do not make room for it: {told}"
    );
    for finding in told["findings"].as_array().unwrap() {
        let expected = match finding["rule"].as_str().unwrap() {
            "core/python-debugger" => "P2",
            "core/conflict-marker" => "P1",
            _ => continue,
        };
        assert_eq!(finding["severity"], expected, "{finding}");
    }
    assert!(told["fixed"].as_array().is_none_or(Vec::is_empty), "{told}");
    let check = |format: &str| {
        Ran::from(place.command(&["rules", "check", "--format", format, "."]).output().unwrap())
    };
    let checked = check("json").out;
    assert!(!checked.contains("core/rust-dbg") && checked.contains("core/conflict-marker"), "{checked}");
    place.write(".truing.toml", "[rules]\noff = [\"dbg\"]\n");
    let wrong = place.review(&[]);
    assert_eq!(wrong.exit, 2, "{}", wrong.err);
    assert!(
        wrong.err.contains(".truing.toml:2: `rules.off` must contain names of rules, `PACK/RULE`, not `dbg`"),
        "{}",
        wrong.err
    );
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_reviewed_as_the_index_has_it() {
    let place = Place::new();
    place.write("in/x.py", "import os\n");
    place.write("out/y.py", "import os\n");
    place.commit("two folders");
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("out/y.py", STOPS);
    place.write("in/x.py", STOPS);
    place.commit("both");
    place.git(["sparse-checkout", "set", "in"]);
    assert_eq!(place.git(["status", "--short"]), "");
    assert!(!place.repo().join("out").exists());
    let report = place.report(&[]);
    assert_eq!(field_of_findings(&report, "path"), ["in/x.py", "out/y.py"]);
    assert_eq!(report["coverage"], json!({ "reviewed": ["in/x.py", "out/y.py"], "not_reviewed": [] }));
    let diff = place.git(["diff", "main", "feature"]) + "\n";
    std::fs::write(place.home().join("change.diff"), &diff).unwrap();
    let report = place.report(&["--diff", "../change.diff"]);
    assert_eq!(
        (field_of_findings(&report, "path"), &report["coverage"]["not_reviewed"]),
        (vec![&json!("in/x.py"), &json!("out/y.py")], &json!([]))
    );
    assert_eq!(Ran::from(place.command(&["gate"]).output().unwrap()).exit, 1);
    let said = Ran::from(place.command(&["gate"]).output().unwrap()).out;
    assert!(said.contains("out/y.py") && !said.contains("unreadable"), "{said}");
}

#[test]
fn a_file_of_git_lfs_is_left_out_by_name_however_the_change_is_given() {
    let place = Place::new();
    let pointer = |digit: &str, size: usize| {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {size}\n", digit.repeat(64))
    };
    place.write("a.txt", pointer("a", 9));
    place.commit("before");
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("a.txt", pointer("b", 12));
    place.write("b.py", STOPS);
    place.commit("after");
    let diff = place.git(["diff", "main", "feature"]) + "\n";
    std::fs::write(place.home().join("change.diff"), &diff).unwrap();
    // The file in the working tree has the content that git's LFS filter would write there.
    place.write("a.txt", "one\nbreakpoint()\n");
    place.git(["update-index", "--assume-unchanged", "a.txt"]);
    for arguments in [&[][..], &["--head", "HEAD"], &["--diff", "../change.diff"]] {
        let report = place.report(arguments);
        assert_eq!(field_of_findings(&report, "path"), ["b.py"], "{arguments:?}");
        let lfs = json!([{ "path": "a.txt", "reason": "lfs" }]);
        assert_eq!(
            (&report["coverage"]["not_reviewed"], &report["outcome"]["kind"]),
            (&lfs, &json!("reviewed"))
        );
    }
}

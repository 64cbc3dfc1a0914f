//! Tests of changes without effect: comments and formatting. After such a change, a model's verdict `fixed`
//! is never accepted, whichever lines the model quotes.

use std::collections::BTreeSet;

use truing_core::RepoPath;
use truing_core::code_digest::CodeDigests;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity,
};
use truing_core::id::{FindingId, Fingerprint};
use truing_core::identity::{FindingFacts, PlacedFinding};
use truing_core::increment::FileRenames;
use truing_core::recheck::{
    HeadView, RecheckStatus, RecheckSummary, RecheckVerdict, ReviewerReport, recheck,
};

/// Text before and after the finding's lines.
const ABOVE: &str = "first = 1\nsecond(first)\n";
const BELOW: &str = "third = second(3)\nlast(third)\n";

/// Each case contains a file name, the finding's lines before the change, and the lines after the change.
const CASES: [(&str, &str, &str); 29] = [
    ("p.py", "y = a[0]", "y = a[0]  # checked"),
    ("p.py", "if a:\n    return x", "if a:\n    # checked\n    return x"),
    ("p.py", "y = a[0]  # first", "y = a[0]"),
    ("p.py", "y = a[0]  # first", "y = a[0]  # noqa: X"),
    ("p.py", "y = g(\n    a[0],\n)", "y = g(\n    a[0],  # noqa\n)"),
    ("p.py", "if a: return x", "if a:\n    return x"),
    ("p.py", "if a:\n    return x", "if a: return x"),
    ("p.py", "if (a[0] == 1):\n    x = 2", "if a[0] == 1:\n    x = 2"),
    ("p.py", "y = a[0] + \\\n    a[1]", "y = (\n    a[0]\n    + a[1]\n)"),
    ("p.py", "y = a['k']", "y = a[\"k\"]"),
    ("p.py", "y = a[0]; w = 2", "y = a[0]\nw = 2"),
    ("p.py", "return total(items) / len(items)", "return (\n    total(items)\n    / len(items)\n)"),
    ("p.py", "for i in range(len(items) - 1):", "for i in range(\n    len(items) - 1,\n):"),
    (
        "p.py",
        "if order['state'] == 'refunded':\n    return done",
        "if (\n    order[\"state\"]\n    == \"refunded\"\n):\n    return done",
    ),
    ("p.js", "const y = a[0].b;", "const y = a[0].b; // checked"),
    ("p.js", "const y = a[0].b;", "const y = /* checked */ a[0].b;"),
    ("p.js", "const y = a[0].b", "const y = a[0].b;"),
    ("p.js", "const g = a => a[0].b;", "const g = (a) => a[0].b;"),
    ("p.js", "if (a) return x;", "if (a)\n  return x;"),
    ("p.ts", "go(a, b)", "go(\n  a,\n  b,\n)"),
    ("p.go", "y := a[0]", "y := a[0] // checked"),
    ("p.rs", "let y = a[0];", "let y = a[0]; // checked"),
    ("p.rs", "if a.is_empty() { return x; }", "if a.is_empty() {\n    return x;\n}"),
    ("P.java", "int f(int[] a)\n{", "int f(int[] a) {"),
    ("p.sh", "rm -rf $x/tmp", "rm -rf $x/tmp # safe"),
    ("p.yaml", "timeout: 0", "timeout: 0 # never"),
    ("p.html", "<a href=\"x\">c</a>", "<a href=\"x\">c</a> <!-- checked -->"),
    ("p.toml", "t = 0", "t = 0 # checked"),
    ("p.c", "y = a[0];", "y = a[0]; /* checked */"),
];

/// Small changes that fix the finding; the tuples have the same form as in `CASES`.
const FIXES: [(&str, &str, &str); 10] = [
    ("p.py", "y = a + b * c", "y = (a + b) * c"),
    ("p.py", "if not a or b:", "if not (a or b):"),
    ("p.py", "y = x == a or b", "y = x == (a or b)"),
    ("p.py", "y = f(a)", "y = f"),
    ("p.py", "y = (a)", "y = (a, b)"),
    ("p.js", "y = a ? b : c || d;", "y = (a ? b : c) || d;"),
    ("p.js", "url = 'a/*.js'; b = '*/'", "url = 'b/*.js'; b = '*/'"),
    ("p.js", "go(a)\n  .then(b)", "go(a)"),
    ("p.rs", "let y = a[0]?;", "let y = a[0];"),
    ("p.css", "color: #fff;", "color: #000;"),
];

fn file(own: &str) -> String {
    format!("{ABOVE}{own}\n{BELOW}")
}

/// Returns the numbers of the first and the last of the finding's lines.
fn own_lines(own: &str) -> (u32, u32) {
    let above = u32::try_from(ABOVE.lines().count()).unwrap();
    (above + 1, above + u32::try_from(own.lines().count()).unwrap())
}

fn place_finding(raw: RawFinding) -> PlacedFinding {
    PlacedFinding {
        comment_location: raw.location.clone(),
        raw,
        anchor: AnchorKind::Inline,
        old_path: None,
        sighting: FindingFacts::default(),
    }
}

/// Rechecks findings in a file that has these lines in the middle, and returns the summary.
fn recheck_file(
    path: &str,
    own: &str,
    known: &[Finding],
    found: &mut Vec<PlacedFinding>,
    reviewers: &[ReviewerReport],
) -> RecheckSummary {
    let (paths, renames, text) = ([RepoPath::from(path)], FileRenames::default(), file(own));
    let added = [(paths[0].clone(), vec![(1, u32::MAX)])].into();
    let head = HeadView::new(|_: &RepoPath| Some(text.clone()), &paths, added, BTreeSet::new(), &renames);
    recheck(known, found, reviewers, &head, place_finding)
}

/// Returns a finding on these lines, as recorded by the first review.
fn known_finding(path: &str, own: &str) -> Finding {
    let (start_line, end_line) = own_lines(own);
    let at = CodeLocation { path: path.into(), side: DiffSide::New, start_line, end_line };
    let raw = RawFinding {
        location: at.clone(),
        severity: Severity::P1,
        category: DefectCategory::G,
        rule: String::new(),
        title: "The defect".into(),
        body: "It is wrong.".into(),
        snippet: own.into(),
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Agent,
        specialists: Vec::new(),
    };
    let mut found = vec![place_finding(raw.clone())];
    recheck_file(path, own, &[], &mut found, &[]);
    Finding {
        id: FindingId::new("1:00-1"),
        fingerprint: Fingerprint::new("1:00".to_owned()),
        raw,
        old_path: None,
        anchor: AnchorKind::Inline,
        comment_location: at,
        status: FindingStatus::Open,
        surrounding_lines: found[0].sighting.surrounding_lines.clone(),
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}

/// Returns all lines of the new text whose quotation makes the verdict `fixed` acceptable.
fn accepted_quotes(path: &str, was: &str, own: &str) -> Vec<String> {
    let known = [known_finding(path, was)];
    let text = file(own);
    let lines: Vec<&str> = text.lines().collect();
    let mut believed = Vec::new();
    for size in 1..=3 {
        for (at, quoted) in lines.windows(size).enumerate() {
            let first = u32::try_from(at + 1).unwrap();
            let verdict = RecheckVerdict {
                finding: known[0].id.clone(),
                status: RecheckStatus::Fixed,
                path: None,
                lines: Some((first, first + u32::try_from(size - 1).unwrap())),
                excerpt: quoted.join("\n"),
            };
            let reviewer =
                ReviewerReport { viewed_paths: BTreeSet::from([path.into()]), verdicts: vec![verdict] };
            let (mut found, reviewers) = (Vec::new(), [reviewer]);
            if !recheck_file(path, own, &known, &mut found, &reviewers).fixed.is_empty() {
                believed.push(quoted.join("\n"));
            }
        }
    }
    believed
}

#[test]
fn a_comment_and_a_formatter_fix_nothing_whatever_is_quoted() {
    for (path, was, now) in CASES {
        assert_eq!(accepted_quotes(path, was, now), Vec::<String>::new(), "{path}: {was} -> {now}");
    }
}

/// Lines that existed before the change are not evidence of a fix, even if they have moved.
#[test]
fn of_lines_that_changed_only_those_show_a_fix_that_are_new() {
    let was = "for i in range(len(items) - 1):\n    total += items[i]";
    let now = "for i in range(len(items)):\n    total += items[i]";
    let by = accepted_quotes("p.py", was, now);
    assert!(by.contains(&"for i in range(len(items)):".to_owned()), "{by:?}");
    for quoted in ["second(first)", "    total += items[i]", "third = second(3)", "last(third)"] {
        assert!(!by.contains(&quoted.to_owned()), "{quoted}: {by:?}");
    }
    // If the change only removes lines, the lines next to them are accepted as evidence.
    let by = accepted_quotes("p.py", "charge(order)\ncharge(order)", "");
    assert!(by.contains(&"second(first)".to_owned()) && !by.contains(&"first = 1".to_owned()), "{by:?}");
}

/// The lines that fix one finding are not evidence that another finding near it is fixed.
#[test]
fn lines_that_took_the_place_of_one_finding_do_not_fix_another() {
    let (one, other) = ("for i in range(len(items) - 1):", "    return total / count");
    let (text, now) =
        (format!("{one}\n    pass\n{other}"), format!("for i in range(len(items)):\n    pass\n{other}"));
    let mut known = [known_finding("p.py", &text), known_finding("p.py", &text)];
    for (finding, own, line) in [(0, one, 3), (1, other, 5)] {
        let finding = &mut known[finding];
        let raw = &mut finding.raw;
        (raw.snippet, raw.title) = (own.to_owned(), own.to_owned());
        (raw.location.start_line, raw.location.end_line) = (line, line);
        let mut found = vec![place_finding(raw.clone())];
        recheck_file("p.py", &text, &[], &mut found, &[]);
        finding.surrounding_lines = found[0].sighting.surrounding_lines.clone();
        finding.id = FindingId::new(format!("1:0{line}-1"));
    }
    let verdicts = known.iter().map(|finding| RecheckVerdict {
        finding: finding.id.clone(),
        status: RecheckStatus::Fixed,
        path: None,
        lines: Some((3, 3)),
        excerpt: "for i in range(len(items)):".to_owned(),
    });
    let reviewer =
        ReviewerReport { viewed_paths: BTreeSet::from(["p.py".into()]), verdicts: verdicts.collect() };
    let fixed = recheck_file("p.py", &now, &known, &mut Vec::new(), &[reviewer]).fixed;
    assert_eq!(fixed.keys().collect::<Vec<_>>(), [&known[0].id]);
}

#[test]
fn a_fix_of_a_few_signs_is_believed_by_its_line() {
    for (path, was, now) in FIXES {
        let by = accepted_quotes(path, was, now);
        assert!(
            by.iter().any(|quoted| quoted == now.lines().next().unwrap()),
            "{path}: {was} -> {now}: {by:?}"
        );
    }
}

/// The deletion of a file fixes its findings, unless its code is now in another file.
#[test]
fn a_deleted_file_fixes_nothing_that_is_rewritten_in_another_one() {
    let own = "for item in items:\n    if item.state == DONE:\n        return done\n    refund(item)";
    let known = [known_finding("p.py", own)];
    let reviewer = ReviewerReport {
        viewed_paths: BTreeSet::new(),
        verdicts: vec![RecheckVerdict {
            finding: known[0].id.clone(),
            status: RecheckStatus::Fixed,
            path: None,
            lines: None,
            excerpt: String::new(),
        }],
    };
    let fixed_beside = |text: &str| {
        let (paths, renames) = ([RepoPath::from("q.py")], FileRenames::default());
        let added = [(paths[0].clone(), vec![(1, u32::MAX)])].into();
        let deleted = BTreeSet::from([RepoPath::from("p.py")]);
        let read = |path: &RepoPath| (*path == paths[0]).then(|| text.to_owned());
        let head = HeadView::new(read, &paths, added, deleted, &renames);
        recheck(&known, &mut Vec::new(), std::slice::from_ref(&reviewer), &head, place_finding).fixed.len()
    };
    assert_eq!(fixed_beside("print(1)\nreturn done\n"), 1);
    let rewritten = own.replace("items", "orders").replace("item", "order");
    assert_eq!(fixed_beside(&format!("def all(orders):\n{ABOVE}{rewritten}\n")), 0);
}

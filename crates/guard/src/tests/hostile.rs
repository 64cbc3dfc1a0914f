//! Tests with texts that are made to be expensive to analyse. The cost must be proportional to the length of
//! the text.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::*;

/// Time limit for the analysis of a few texts; a longer analysis counts as a hang.
const HANGS: Duration = Duration::from_secs(120);

/// A naive analysis would scan each of these texts many times.
#[test]
fn hostile_texts_take_no_more_than_one_look() {
    const SIZE: usize = 50_000;
    let fill = |piece: &str| piece.repeat(SIZE / piece.len());
    let began = thread_cpu_time();
    for (path, text) in [
        ("a.test.js", fill("it(\"a\", ")),
        ("a.test.js", fill("it(\"a\", () => expect(1));")),
        ("a.test.js", fill("it(\"a\", () => {\nexpect([(\n")),
        ("a.test.js", fill("`${`")),
        ("a_test.go", fill("func TestA()\n")),
        ("a_test.go", fill("func TestA( {}\n")),
        ("a.rs", fill("#[test]\n")),
        ("a.rs", fill("#[test] fn a() ")),
        ("a.rs", fill("'\\u{")),
        ("test_a.py", fill("@a\n")),
        ("test_a.py", fill("def test_a():\n assert (\n")),
        ("test_a.py", fill("\"\"\"")),
        ("test_a.py", fill(" ")),
        ("test_a.py", fill("assert")),
        ("ATest.java", fill("@Test ")),
        ("a_spec.rb", fill("it \"a\" do\n expect(\n")),
        ("pytest.ini", fill("a\n")),
        ("a.py", fill("def main(\n")),
        ("a.py", fill("def __eq__(")),
        ("a.py", fill("import ")),
        ("a.py", fill("'a' ")),
        ("a.rs", fill("use a::{")),
        ("a.rs", fill("fn main(){")),
        ("a.js", fill("require('a')+'b'")),
        ("a.js", fill("} = process.")),
        ("a.js", fill("((")),
        ("a.go", fill("import (")),
    ] {
        find_in_changes(&[(path, &text, &text)]);
        find_in_changes(&[(path, &text, "x")]);
        find_in_changes(&[(path, "x", &text)]);
    }
    // The analysis takes some seconds; with a scan of the whole text at every step, it would take many
    // minutes.
    assert!(thread_cpu_time() - began < HANGS, "{:?}", thread_cpu_time() - began);
}

/// Each text repeats a construct that a naive analysis would multiply: an import of a long path, or a line
/// with the same words.
#[test]
fn what_imports_bring_is_no_more_than_a_multiple_of_their_text() {
    const HALF: usize = 100_000;
    let fill = |piece: &str| piece.repeat(HALF / piece.len());
    let began = thread_cpu_time();
    for (path, first, then) in [
        ("a.py", format!("import {}b as x\n", fill("a.")), "x "),
        ("a.py", format!("import {} as x\n", fill("a")), "x "),
        ("a.py", format!("from {}b import (x, ", fill("a.")), "x, "),
        ("a.py", format!("import {}b as x\n", fill("a.")), "y = x\n"),
        ("a.rs", format!("use {};", "a::".repeat(100) + "{b,"), "b, "),
        ("a.rs", String::new(), "use "),
        ("a.rs", fill("use a, ") + "{{{{{{{{", "use a, "),
        ("a.js", format!("import x from '{}'\n", fill("a")), "x "),
        ("a.rs", String::new(), "#[cfg(test)]\n"),
        ("a.rs", String::new(), "fn eq("),
        ("test_a.py", format!("class {}:\n", fill("A")), " def test_a(): 1\n"),
        ("test_a.py", String::new(), "def a(\n"),
        ("a.test.ts", String::new(), "it('a', { )\nexpect( }}\n"),
        ("pytest.ini", fill("a = ['b']\n"), "c = ['d']\n"),
    ] {
        let text = first.clone() + &fill(then);
        find_in_changes(&[(path, &text, &first)]);
        find_in_changes(&[(path, "x", &text)]);
    }
    // The fix makes each assertion stricter.
    let claims = |claim: &str| -> String {
        (0..3_000).map(|number| format!("expect(f({number})).{claim}(1)\n")).collect()
    };
    let [before, after] =
        ["toEqual", "toBe"].map(|claim| format!("it('a', () => {{\n{}}})\n", claims(claim)));
    assert_eq!(weakening_kinds("a.test.ts", &before, &after), []);
    assert!(thread_cpu_time() - began < HANGS, "{:?}", thread_cpu_time() - began);
}

#[test]
fn a_text_whose_imports_bring_too_much_is_refused_and_one_with_many_is_not() {
    let many = "use a::b::c::d::e::Name;\n".to_owned() + &"Name, other, 1;\n".repeat(20_000);
    assert_eq!(weakening_kinds("a.rs", "x", &many), []);
    let bomb = format!("import {}b as x\n", "a.".repeat(5_000)) + &"x ".repeat(5_000);
    assert_eq!(weakening_kinds("a.py", "x", &bomb), [UnresolvedImports]);
    let told = find_in_changes(&[("a.py", &bomb, &format!("{bomb}y"))]);
    assert_eq!(
        told.iter().map(|one| (one.kind, one.is_report_only)).collect::<Vec<_>>(),
        [(UnresolvedImports, true)]
    );
}

/// Returns the CPU time of this thread, which other programs do not affect. On systems without a clock for
/// CPU time, the function returns the elapsed time.
fn thread_cpu_time() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

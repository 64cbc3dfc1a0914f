//! Creates the commits that the demonstration pushes.

use truing_fakes::repo::CommitBuilder;

/// Returns the first commit of the repository.
pub(super) fn first_commit() -> CommitBuilder {
    CommitBuilder::new("Begin")
        .write("README.md", "# spokes\n")
        .write("pay.py", "def pay(order):\n    return order.total\n")
}

/// Returns a commit with problems that the rules find, and one other problem: the loop over orders returns at
/// the first refunded order instead of skipping the order.
pub(super) fn problem_commit() -> CommitBuilder {
    let conflict = "<<<<<<< HEAD\nreturn 1\n=======\nreturn 2\n>>>>>>> payments\n";
    CommitBuilder::new("Take payments").write("pay.py", refund_code("refunded")).write("refund.py", conflict)
}

/// Returns a commit that inserts lines at the top of `pay.py`.
pub(super) fn inserted_lines_commit() -> CommitBuilder {
    let text = format!("\"\"\"Payments.\"\"\"\n\n\n{}", refund_code("refunded"));
    CommitBuilder::new("Explain payments").write("pay.py", text)
}

/// Returns a commit that fixes the problems that the rules found.
pub(super) fn fixed_commit() -> CommitBuilder {
    let text = format!("\"\"\"Payments.\"\"\"\n\n\n{}", refund_code("refunded"));
    let kept = text.lines().filter(|line| *line != "    breakpoint()").map(|line| {
        if line.starts_with("    key = ") {
            "    key = secret(\"payments\")".to_owned()
        } else {
            line.to_owned()
        }
    });
    let text = kept.collect::<Vec<_>>().join("\n") + "\n";
    CommitBuilder::new("Read the key from the secret store")
        .write("pay.py", text)
        .write("refund.py", "return_all = 1\n")
}

/// Returns the file whose refund loop returns too early; `flag_name` is the name of the order's flag.
pub(super) fn refund_code(flag_name: &str) -> String {
    let key = fake_key();
    format!(
        "def pay(order):\n    breakpoint()\n    key = \"{key}\"\n    return charge(order.total, \
         key)\n\n\ndef refund_all(orders):\n    for order in orders:\n        if \
         order.{flag_name}:\n            return\n        charge(-order.total)\n"
    )
}

/// Returns a fictitious API key. The key is composed at run time, so this source file contains no complete
/// key.
fn fake_key() -> String {
    ["AKIA", "QYLPMN5HHHFPZAM2"].concat()
}

/// Returns a file that begins with `leading_text`, followed by code with [`super::PLANTED_FINDING_COUNT`]
/// problems.
pub(super) fn cart_code(leading_text: &str) -> String {
    let key = fake_key();
    format!(
        "{leading_text}def total(items):\n    breakpoint()\n    return sum(items)\n\n\ndef pay(total):\n    \
         key = \"{key}\"\n    return charge(total, key)\n\n\ndef refund(total):\n    pdb.set_trace()\n    \
         return charge(-total)\n"
    )
}

/// Returns the commit of one push in the storm. Each push appends a line to the lines of the previous pushes,
/// and some pushes add a problem.
pub(super) fn storm_commit(pull_index: usize, round: usize) -> CommitBuilder {
    let mut text = String::new();
    for line in 0..=round {
        text += &format!("step_{line} = {line}\n");
        if line % 25 == 10 {
            text += "breakpoint()\n";
        }
    }
    CommitBuilder::new(format!("Push {round}")).write(format!("pull_{pull_index}.py"), text)
}

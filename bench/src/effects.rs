//! Generates `docs/reference/effects.md`, which lists every kind of effect and every incident that may occur
//! during an effect. Tests are generated from the same table.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use truing_core::effect::{EffectIncident, EffectIncidentOutcome, EffectKind, ObservationMethod};
use truing_core::port::ForgeKind;

/// The path of the generated page.
const PAGE: &str = "docs/reference/effects.md";
/// The source file with the effects' tests.
const TESTS: &str = "crates/forge/tests/it/effects.rs";

/// Renders the page. `tests` is the source code that must contain a test for every cell of the page's tables.
fn render_page(tests: &str) -> Result<String> {
    let mut page = String::from(
        "# Effects\n\n<!-- Generated from truing_core::effect. To update it: UPDATE_DOCS=1 cargo test -p \
        truing-bench -->\n\nEach write that a loop or a tool for agents makes to a forge is an effect \
        (ADR 75, 76). For each effect, Truing asks the write gate for permission, records the intent, \
        makes the call, and records the end of the call. If a response was lost or the process ended \
        unexpectedly, Truing waits for the time `forge.NAME.settle`. Truing then searches for the effect. \
        If the search finds the effect, Truing records it as performed. Otherwise, Truing performs the \
        effect again. Truing recognises some effects by the state that they cause. For these effects \
        Truing does not wait, because a second call causes the same state. The effect `findings` posts \
        several comments in one call. Truing searches for each of these comments separately.\n\n| Effect \
        | Found again by | Waits before the search | After a refusal |\n|---|---|---|---|\n",
    );
    for kind in EffectKind::ALL {
        let (found, waits) = match kind.observation_method() {
            ObservationMethod::Marker => ("the marker in its text", "`forge.NAME.settle`"),
            ObservationMethod::Text => {
                ("the comment's text, our account and the time", "`forge.NAME.settle`")
            }
            ObservationMethod::State => ("the state that the effect causes", "no"),
        };
        let refused = kind.fallback().map_or("the loop receives the forge's reason".to_owned(), |other| {
            format!("Truing performs `{}` instead", other.as_str())
        });
        writeln!(page, "| `{}` | {found} | {waits} | {refused} |", kind.as_str())?;
    }
    page += "\n## Outcomes\n\nFor each forge, a table shows the outcome of each effect after each \
        incident. The columns are the incidents. Each cell has one test. \
        `withheld`: nothing is written, and the run stops. `reported`: the effect is absent, and \
        the loop receives the forge's reason. `once`: the effect is present exactly once. `listed`: \
        nothing is written, and the run continues as if Truing had performed the effect. `cannot`: the \
        forge does not support the effect, for the reason in the list below the table. Truing refuses \
        such an effect before it records the intent or makes a call.\n";
    for case in EffectIncident::ALL {
        if !tests.contains(&format!("async fn {}()", case.as_str())) {
            bail!("{TESTS}: `{}` has no test", case.as_str());
        }
    }
    for kind in EffectKind::ALL {
        if !tests.contains(&format!(": {},\n", kind.as_str())) {
            bail!("{TESTS}: `{}` has no row", kind.as_str());
        }
    }
    for forge in ForgeKind::ALL {
        if !tests.contains(&format!("mod {} {{ cases!", forge.as_str().replace('-', "_"))) {
            bail!("{TESTS}: `{}` has no column", forge.as_str());
        }
        write_forge(&mut page, forge)?;
    }
    Ok(page)
}

/// Renders the table of one kind of forge.
fn write_forge(page: &mut String, forge: ForgeKind) -> Result<()> {
    write!(page, "\n### {}\n\n| Effect |", forge.as_str())?;
    for case in EffectIncident::ALL {
        write!(page, " `{}` |", case.as_str())?;
    }
    writeln!(page, "\n|---|{}", "---|".repeat(EffectIncident::ALL.len()))?;
    for kind in EffectKind::ALL {
        write!(page, "| `{}` |", kind.as_str())?;
        for case in EffectIncident::ALL {
            let end = match case.outcome_for(kind, forge) {
                EffectIncidentOutcome::Withheld => "withheld".to_owned(),
                EffectIncidentOutcome::RefusalReported => "reported".to_owned(),
                EffectIncidentOutcome::Fallback(other) => format!("`{}`, once", other.as_str()),
                EffectIncidentOutcome::ExactlyOnce => "once".to_owned(),
                EffectIncidentOutcome::Simulated => "listed".to_owned(),
                EffectIncidentOutcome::Unsupported(_) => "cannot".to_owned(),
            };
            write!(page, " {end} |")?;
        }
        writeln!(page)?;
    }
    let lacking =
        EffectKind::ALL.into_iter().filter_map(|kind| Some((kind, kind.unsupported_reason_at(forge)?)));
    let lacking: Vec<(EffectKind, &str)> = lacking.collect();
    if !lacking.is_empty() {
        writeln!(page)?;
    }
    for (kind, why) in lacking {
        writeln!(page, "- `{}`: {why}.", kind.as_str())?;
    }
    Ok(())
}

#[test]
fn the_page_of_effects_is_what_their_table_says_and_every_cell_has_its_test() {
    let root = crate::workspace::workspace_root().unwrap();
    let page = render_page(&std::fs::read_to_string(root.join(TESTS)).unwrap()).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root.join(PAGE), &page).unwrap();
    }
    let written = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    assert!(written == page, "{PAGE}: update it: UPDATE_DOCS=1 cargo test -p truing-bench");
}

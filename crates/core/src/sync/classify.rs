//! Derives a verdict on a release from a model's answers about each changed unpinned function. Pure. The
//! answers are untrusted. If an answer is unclear, missing or superfluous, or cites lines that do not exist,
//! the range is not widened.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{SyncDecision, SyncVerdict, UnguardedPart, UnguardedReason, summarize_changes};

/// Maximum number of functions in one request to a model. The limit exists because a single report must
/// contain an answer for each function. If more functions changed, a person decides.
pub const MAX_FUNCTIONS_PER_REQUEST: usize = 80;

/// The effect of a function's change on the project.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationVerdict {
    /// The project's code works unchanged.
    NoPort,
    /// The project's code has to be ported.
    Port,
    /// The effect is not clear.
    Ambiguous,
}

impl MigrationVerdict {
    pub const ALL: [Self; 3] = [Self::NoPort, Self::Port, Self::Ambiguous];

    /// Returns the name in reports and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPort => "no-port",
            Self::Port => "port",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// One of the two compared releases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseSide {
    /// The release for which the project's code was written.
    Before,
    After,
}

impl ReleaseSide {
    /// Returns the name in reports and records. The folder with the release's files has the same name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// A function of a mirrored file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct MirroredFunction {
    /// Path of the file in the package.
    pub file: String,
    /// Name of the function in the file.
    pub symbol: String,
}

/// A model's verdict on one function, with the lines of the function's file that support it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FunctionJudgement {
    #[serde(flatten)]
    pub function: MirroredFunction,
    /// Effect of the function's change.
    pub verdict: MigrationVerdict,
    /// Reason in a few words.
    pub reason: String,
    /// Release that contains the lines.
    pub release: ReleaseSide,
    /// First line, counted from 1.
    pub start_line: u32,
    /// Last line, which is included.
    pub end_line: u32,
    /// Text of the lines.
    pub excerpt: String,
}

/// A model's classification of a release.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReleaseClassification {
    /// Verdict on each changed function; empty if the model's answer could not be used.
    pub functions: Vec<FunctionJudgement>,
    /// Reason why there is no usable answer; `None` if there is a usable answer.
    #[serde(rename = "in_vain")]
    pub no_answer_reason: Option<String>,
}

/// Returns the functions that a model has to examine. Returns an error with the reason if a model cannot
/// decide. Examples: a file cannot be read, or there are more than [`MAX_FUNCTIONS_PER_REQUEST`] functions.
pub fn functions_to_classify(decision: &SyncDecision) -> Result<Vec<MirroredFunction>, String> {
    let mut functions = Vec::new();
    for one in decision.unguarded_parts.iter().filter(|one| one.reason.needs_check()) {
        match one {
            UnguardedPart { reason: UnguardedReason::Unreadable, file, .. } => {
                return Err(format!("{} cannot be read", file.as_deref().unwrap_or("a file")));
            }
            UnguardedPart { file: Some(file), symbol, .. } => {
                functions.push(MirroredFunction { file: file.clone(), symbol: symbol.clone() });
            }
            UnguardedPart { file: None, symbol, .. } => {
                return Err(format!("the file of {symbol} is unknown"));
            }
        }
    }
    functions.sort();
    // A function and the condition under which it is defined are two parts with the same name. They need only
    // one answer.
    functions.dedup();
    match functions.len() {
        0 => Err("there is no changed function to classify".to_owned()),
        1..=MAX_FUNCTIONS_PER_REQUEST => Ok(functions),
        count => Err(format!(
            "{count} functions changed, but a model is asked about at most {MAX_FUNCTIONS_PER_REQUEST}"
        )),
    }
}

/// Checks that there is exactly one answer for each function, and no answer for any other function.
///
/// # Errors
/// The defect of the answers, as text for the model.
pub fn check_completeness<'a>(
    functions: &[MirroredFunction],
    answered: impl Iterator<Item = &'a MirroredFunction>,
) -> Result<(), String> {
    let mut left: BTreeSet<&MirroredFunction> = functions.iter().collect();
    let mut counts: BTreeMap<&MirroredFunction, u32> = BTreeMap::new();
    for function in answered {
        left.remove(function);
        *counts.entry(function).or_default() += 1;
    }
    let name = |function: &MirroredFunction| format!("{} in {}", function.symbol, function.file);
    if let Some(unknown) = counts.keys().find(|function| !functions.contains(function)) {
        return Err(format!("{} is not among the functions that changed", name(unknown)));
    }
    if let Some((twice, _)) = counts.iter().find(|(_, count)| **count > 1) {
        return Err(format!("{} has more than one answer", name(twice)));
    }
    match left.first() {
        Some(missing) => Err(format!("{} functions have no answer, such as {}", left.len(), name(missing))),
        None => Ok(()),
    }
}

impl ReleaseClassification {
    /// Creates a classification without answers. `reason` explains why there are no answers.
    pub fn without_answer(reason: impl Into<String>) -> Self {
        Self { functions: Vec::new(), no_answer_reason: Some(reason.into()) }
    }

    /// Returns the verdict on the release. If a function in `requested_functions` does not have exactly one
    /// answer, the verdict is `ask`. If any function needs a port, the verdict is `bump`. Otherwise, the
    /// verdict is `ask` if any function is ambiguous, and `relax` if no function is ambiguous.
    pub fn verdict(&self, requested_functions: &[MirroredFunction]) -> SyncVerdict {
        let is_whole = self.no_answer_reason.is_none()
            && !requested_functions.is_empty()
            && check_completeness(requested_functions, self.functions.iter().map(|one| &one.function))
                .is_ok();
        let has = |verdict: MigrationVerdict| self.functions.iter().any(|one| one.verdict == verdict);
        if !is_whole {
            SyncVerdict::Ask
        } else if has(MigrationVerdict::Port) {
            SyncVerdict::Bump
        } else if has(MigrationVerdict::Ambiguous) {
            SyncVerdict::Ask
        } else {
            SyncVerdict::Relax
        }
    }

    /// Returns the reason for the verdict `verdict`, in one sentence.
    pub fn reason(&self, verdict: SyncVerdict, decision: &SyncDecision) -> String {
        let of = |verdict: MigrationVerdict| {
            let names = self.functions.iter().filter(|one| one.verdict == verdict);
            let names: Vec<&str> = names.map(|one| one.function.symbol.as_str()).collect();
            match names.as_slice() {
                [one] => (*one).to_owned(),
                [first, more @ ..] => format!("{first} and {} more", more.len()),
                [] => String::new(),
            }
        };
        let beside = summarize_changes(&decision.pin_changes, &decision.unguarded_parts);
        match verdict {
            SyncVerdict::Relax => format!("{beside}, and a model found that none of them has to be ported"),
            SyncVerdict::Bump => {
                format!("{beside}: a model found that {} has to be ported", of(MigrationVerdict::Port))
            }
            SyncVerdict::Ask | SyncVerdict::Skip => match &self.no_answer_reason {
                Some(why) => format!("{beside}, and a model could not decide: {why}"),
                None => format!("{beside}, and a model cannot decide on {}", of(MigrationVerdict::Ambiguous)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(symbol: &str) -> MirroredFunction {
        MirroredFunction { file: "p/m.py".into(), symbol: symbol.into() }
    }

    fn judgement(symbol: &str, verdict: MigrationVerdict) -> FunctionJudgement {
        FunctionJudgement {
            function: function(symbol),
            verdict,
            reason: "r".into(),
            release: ReleaseSide::After,
            start_line: 1,
            end_line: 1,
            excerpt: "x".into(),
        }
    }

    fn verdict(functions: Vec<FunctionJudgement>) -> SyncVerdict {
        let requested_functions = [function("f"), function("g")];
        ReleaseClassification { functions, no_answer_reason: None }.verdict(&requested_functions)
    }

    #[test]
    fn any_port_bumps_any_doubt_asks_and_only_all_of_them_relax() {
        use MigrationVerdict::{Ambiguous, NoPort, Port};
        for (f, g, wanted) in [
            (NoPort, NoPort, SyncVerdict::Relax),
            (NoPort, Port, SyncVerdict::Bump),
            (Ambiguous, Port, SyncVerdict::Bump),
            (NoPort, Ambiguous, SyncVerdict::Ask),
        ] {
            assert_eq!(verdict(vec![judgement("f", f), judgement("g", g)]), wanted, "{f:?} {g:?}");
        }
        for answered in [
            vec![],
            vec![judgement("f", NoPort)],
            vec![judgement("f", NoPort), judgement("f", NoPort), judgement("g", NoPort)],
            vec![judgement("f", NoPort), judgement("g", NoPort), judgement("h", NoPort)],
            vec![judgement("f", Port)],
        ] {
            assert_eq!(verdict(answered.clone()), SyncVerdict::Ask, "{answered:?}");
        }
        let whole = vec![judgement("f", NoPort), judgement("g", NoPort)];
        let broken = ReleaseClassification { functions: whole, no_answer_reason: Some("it died".into()) };
        assert_eq!(broken.verdict(&[function("f"), function("g")]), SyncVerdict::Ask);
        assert_eq!(
            ReleaseClassification::default().verdict(&[]),
            SyncVerdict::Ask,
            "nothing asked, nothing answered"
        );
    }

    #[test]
    fn what_is_asked_is_what_changed_and_can_be_read() {
        let one = |symbol: &str, reason| UnguardedPart::new(symbol.into(), Some("p/m.py".into()), reason);
        let decision = |unguarded| SyncDecision {
            verdict: SyncVerdict::Ask,
            needs_classification: true,
            reason: String::new(),
            pin_changes: vec![],
            unguarded_parts: unguarded,
        };
        let both = decision(vec![
            one("g", UnguardedReason::Added),
            one("s", UnguardedReason::Stale),
            one("f", UnguardedReason::Changed),
        ]);
        assert_eq!(functions_to_classify(&both), Ok(vec![function("f"), function("g")]));
        assert!(
            functions_to_classify(&decision(vec![
                one("f", UnguardedReason::Changed),
                one("", UnguardedReason::Unreadable)
            ]))
            .is_err()
        );
        assert!(functions_to_classify(&decision(vec![one("s", UnguardedReason::Stale)])).is_err());
        let many = (0..=MAX_FUNCTIONS_PER_REQUEST)
            .map(|at| one(&format!("f{at}"), UnguardedReason::Changed))
            .collect();
        assert!(functions_to_classify(&decision(many)).is_err());
    }
}

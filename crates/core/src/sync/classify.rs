//! What becomes of functions that changed beside what is pinned, once a model has looked at each: the rule from its
//! answers to a verdict. Pure. A model's answers are data; doubt, an answer too many or too few, and lines that are not
//! there never widen a range.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Decision, Unguarded, Verdict, Why, news};

/// Functions that a model is asked about at once: what its one report has room for. More are for people.
pub const MAX_FUNCTIONS: usize = 80;

/// What a function's change asks of the project.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// Nothing: the project's code serves it as it is.
    NoPort,
    /// The project's code has to follow.
    Port,
    /// It cannot be told.
    Ambiguous,
}

impl Judgement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NoPort, Self::Port, Self::Ambiguous];

    /// Its name in reports and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPort => "no-port",
            Self::Port => "port",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Which of the two releases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Release {
    /// The one that the project was made for.
    Before,
    /// The one to follow.
    After,
}

impl Release {
    /// Its name in reports and records, and of its folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// A function of a mirrored file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Function {
    /// The file, as the package names it.
    pub file: String,
    /// Its name in it.
    pub symbol: String,
}

/// What a model says of one function, with the lines of the function's file that it rests on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// The function.
    #[serde(flatten)]
    pub function: Function,
    /// What its change asks for.
    pub verdict: Judgement,
    /// Why, in few words.
    pub reason: String,
    /// The release whose lines these are.
    pub release: Release,
    /// The first line, from 1.
    pub start_line: u32,
    /// The last.
    pub end_line: u32,
    /// What they say.
    pub excerpt: String,
}

/// What a model was asked about a release, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Classification {
    /// What it says of each function that changed; empty if it said nothing that can be believed.
    pub functions: Vec<Judged>,
    /// Why it did not.
    pub in_vain: Option<String>,
}

/// The functions that a model has to look at, if it can tell anything: none if a file among them cannot be read, or they
/// are too many.
pub fn asked(decision: &Decision) -> Result<Vec<Function>, String> {
    let mut functions = Vec::new();
    for one in decision.unguarded.iter().filter(|one| one.why.is_news()) {
        match one {
            Unguarded { why: Why::Unreadable, file, .. } => {
                return Err(format!("{} cannot be read", file.as_deref().unwrap_or("a file")));
            }
            Unguarded { file: Some(file), symbol, .. } => {
                functions.push(Function { file: file.clone(), symbol: symbol.clone() });
            }
            Unguarded { file: None, symbol, .. } => return Err(format!("nobody knows where {symbol} is")),
        }
    }
    functions.sort();
    // Of a function and the condition that it stands under, one answer tells.
    functions.dedup();
    match functions.len() {
        0 => Err("no function is named".to_owned()),
        1..=MAX_FUNCTIONS => Ok(functions),
        count => {
            Err(format!("{count} functions changed, and a model is asked about {MAX_FUNCTIONS} at most"))
        }
    }
}

/// Is each function answered exactly once, and nothing else?
///
/// # Errors
/// What is wrong, in words for whoever answered.
pub fn complete<'a>(asked: &[Function], answered: impl Iterator<Item = &'a Function>) -> Result<(), String> {
    let mut left: BTreeSet<&Function> = asked.iter().collect();
    let mut counts: BTreeMap<&Function, u32> = BTreeMap::new();
    for function in answered {
        left.remove(function);
        *counts.entry(function).or_default() += 1;
    }
    let name = |function: &Function| format!("{} in {}", function.symbol, function.file);
    if let Some(unknown) = counts.keys().find(|function| !asked.contains(function)) {
        return Err(format!("{} is not among the functions that changed", name(unknown)));
    }
    if let Some((twice, _)) = counts.iter().find(|(_, count)| **count > 1) {
        return Err(format!("{} is answered more than once", name(twice)));
    }
    match left.first() {
        Some(missing) => Err(format!("{} functions are not answered, such as {}", left.len(), name(missing))),
        None => Ok(()),
    }
}

impl Classification {
    /// Nothing was told, for this reason.
    pub fn in_vain(why: impl Into<String>) -> Self {
        Self { functions: Vec::new(), in_vain: Some(why.into()) }
    }

    /// What the release asks for: any function to be ported makes it `bump`, any that nobody can tell `ask`; `relax` only
    /// if every one that was asked about is answered, and needs nothing.
    pub fn verdict(&self, asked: &[Function]) -> Verdict {
        let is_whole = self.in_vain.is_none()
            && !asked.is_empty()
            && complete(asked, self.functions.iter().map(|one| &one.function)).is_ok();
        let has = |verdict: Judgement| self.functions.iter().any(|one| one.verdict == verdict);
        if !is_whole {
            Verdict::Ask
        } else if has(Judgement::Port) {
            Verdict::Bump
        } else if has(Judgement::Ambiguous) {
            Verdict::Ask
        } else {
            Verdict::Relax
        }
    }

    /// Why it is that, in one sentence.
    pub fn reason(&self, verdict: Verdict, decision: &Decision) -> String {
        let of = |verdict: Judgement| {
            let names = self.functions.iter().filter(|one| one.verdict == verdict);
            let names: Vec<&str> = names.map(|one| one.function.symbol.as_str()).collect();
            match names.as_slice() {
                [one] => (*one).to_owned(),
                [first, more @ ..] => format!("{first} and {} more", more.len()),
                [] => String::new(),
            }
        };
        let beside = news(&decision.changed, &decision.unguarded);
        match verdict {
            Verdict::Relax => format!("{beside}, and a model found that none of them has to be ported"),
            Verdict::Bump => format!("{beside}: a model found that {} has to be ported", of(Judgement::Port)),
            Verdict::Ask | Verdict::Skip => match &self.in_vain {
                Some(why) => format!("{beside}, and a model could not tell: {why}"),
                None => format!("{beside}, and a model cannot tell of {}", of(Judgement::Ambiguous)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(symbol: &str) -> Function {
        Function { file: "p/m.py".into(), symbol: symbol.into() }
    }

    fn judged(symbol: &str, verdict: Judgement) -> Judged {
        Judged {
            function: function(symbol),
            verdict,
            reason: "r".into(),
            release: Release::After,
            start_line: 1,
            end_line: 1,
            excerpt: "x".into(),
        }
    }

    fn verdict(functions: Vec<Judged>) -> Verdict {
        let asked = [function("f"), function("g")];
        Classification { functions, in_vain: None }.verdict(&asked)
    }

    #[test]
    fn any_port_bumps_any_doubt_asks_and_only_all_of_them_relax() {
        use Judgement::{Ambiguous, NoPort, Port};
        for (f, g, wanted) in [
            (NoPort, NoPort, Verdict::Relax),
            (NoPort, Port, Verdict::Bump),
            (Ambiguous, Port, Verdict::Bump),
            (NoPort, Ambiguous, Verdict::Ask),
        ] {
            assert_eq!(verdict(vec![judged("f", f), judged("g", g)]), wanted, "{f:?} {g:?}");
        }
        for answered in [
            vec![],
            vec![judged("f", NoPort)],
            vec![judged("f", NoPort), judged("f", NoPort), judged("g", NoPort)],
            vec![judged("f", NoPort), judged("g", NoPort), judged("h", NoPort)],
            vec![judged("f", Port)],
        ] {
            assert_eq!(verdict(answered.clone()), Verdict::Ask, "{answered:?}");
        }
        let whole = vec![judged("f", NoPort), judged("g", NoPort)];
        let broken = Classification { functions: whole, in_vain: Some("it died".into()) };
        assert_eq!(broken.verdict(&[function("f"), function("g")]), Verdict::Ask);
        assert_eq!(Classification::default().verdict(&[]), Verdict::Ask, "nothing asked, nothing answered");
    }

    #[test]
    fn what_is_asked_is_what_changed_and_can_be_read() {
        let one = |symbol: &str, why| Unguarded::of(symbol.into(), Some("p/m.py".into()), why);
        let decision = |unguarded| Decision {
            verdict: Verdict::Ask,
            needs_classification: true,
            reason: String::new(),
            changed: vec![],
            unguarded,
        };
        let both = decision(vec![one("g", Why::Added), one("s", Why::Stale), one("f", Why::Changed)]);
        assert_eq!(asked(&both), Ok(vec![function("f"), function("g")]));
        assert!(asked(&decision(vec![one("f", Why::Changed), one("", Why::Unreadable)])).is_err());
        assert!(asked(&decision(vec![one("s", Why::Stale)])).is_err());
        let many = (0..=MAX_FUNCTIONS).map(|at| one(&format!("f{at}"), Why::Changed)).collect();
        assert!(asked(&decision(many)).is_err());
    }
}

//! Removes secrets from text: from quotes by a model, from traces, and from records for replay. Rules of the
//! kind `secret` recognise secrets by their format. Credentials of this process are recognised by their value
//! ([`given_secrets::register_secret`]). Text for a third-party server is also searched for secrets without a
//! known format ([`contains_secret`]). Text with a secret is not sent to such a server.

mod base64_words;
mod encoded;
mod obfuscated_text;
mod visible_text;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use truing_core::given_secrets::{self, MIN_SECRET_PART_BYTES};
use truing_core::line;
use truing_core::port::ReaderError;

use self::base64_words::DecodedWords;
use self::encoded::EncodedSecrets;
use self::visible_text::is_ignorable;
pub(crate) use self::visible_text::visible_ranges;
use crate::literal;
use crate::pack::{PackRule, RuleCheck, RulePacks};
use crate::rules::text::TextRules;
use crate::secret_parts::SecretParts;
use crate::snippet::{OMISSION_MARK, REDACTED_PREFIX_BYTES, SecretRanges};

/// Pack whose rules recognise the forms of secrets.
const SECRET_RULE_PACK: &str = "core";
/// Minimum length in bytes of a line that is hidden by itself if the secret has several lines. A shorter
/// line is hidden only together with the whole secret.
const MIN_SECRET_LINE_BYTES: usize = 8;
/// Maximum number of secrets of one file whose encoded forms are searched for.
const MAX_ENCODED_FILE_SECRETS: usize = 256;
/// Placeholder for a text that cannot be searched.
pub(crate) const UNSEARCHABLE_PLACEHOLDER: &str = "[not shown: this text cannot be searched for secrets]";

static EMBEDDED_PACKS: LazyLock<Option<RulePacks>> = LazyLock::new(|| RulePacks::load_embedded().ok());
static SECRET_RULES: LazyLock<Option<TextRules<'static>>> = LazyLock::new(|| {
    let rules = EMBEDDED_PACKS.as_ref()?.select_rules(&[SECRET_RULE_PACK.to_owned()]).ok()?;
    let secrets: Vec<&PackRule> =
        rules.into_iter().filter(|rule| matches!(rule.check, RuleCheck::Secret(_))).collect();
    TextRules::new(&secrets).ok()
});

/// The credentials of this process that were registered at the last search, with their encoded forms.
static LAST_REGISTERED_SECRETS: RwLock<Option<Arc<RegisteredSecrets>>> = RwLock::new(None);

struct RegisteredSecrets {
    values: Arc<BTreeSet<String>>,
    /// Other forms of the credentials; `None` if there are too many forms to search for.
    encoded_forms: Option<EncodedSecrets>,
}

impl RegisteredSecrets {
    fn current() -> Arc<Self> {
        let values = given_secrets::secret_values();
        let is_now = |known: &&Arc<Self>| Arc::ptr_eq(&known.values, &values);
        let known = LAST_REGISTERED_SECRETS.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(is_now) {
            return known.clone();
        }
        drop(known);
        let forms = EncodedSecrets::from_secrets(values.iter().map(String::as_str));
        let now = Arc::new(Self { values, encoded_forms: forms });
        *LAST_REGISTERED_SECRETS.write().unwrap_or_else(PoisonError::into_inner) = Some(now.clone());
        now
    }
}

/// Secrets of one text, which are to be hidden in another text. The other text may contain a secret without
/// the context by which rules recognise it, a part of a secret, or a secret in another form.
#[derive(Default)]
pub struct FileSecrets {
    values: Vec<String>,
    parts: SecretParts,
    /// Other forms of the values. `None` if there are no values, or too many forms to search for.
    encoded_forms: Option<EncodedSecrets>,
}

impl FileSecrets {
    /// Finds the secrets in a file.
    pub fn from_text(file_text: &str) -> Self {
        let mut values: Vec<String> = find_secrets(file_text)
            .unwrap_or_default()
            .0
            .into_iter()
            .filter_map(|range| file_text.get(range))
            .flat_map(str::lines)
            .map(|line| line.replace(is_ignorable, "").trim().to_owned())
            .filter(|line| line.len() >= MIN_SECRET_LINE_BYTES)
            .collect();
        values.sort_unstable();
        values.dedup();
        let mut parts = SecretParts::default();
        values.iter().for_each(|value| parts.add_secret(value));
        let encoded = values.iter().take(MAX_ENCODED_FILE_SECRETS).map(String::as_str);
        let encoded_forms = if values.is_empty() { None } else { EncodedSecrets::from_secrets(encoded) };
        Self { values, parts, encoded_forms }
    }

    /// Returns a text without these secrets, and without other text that has the form of a secret. The number
    /// of lines does not change.
    pub fn hide_secrets(&self, text: &str) -> String {
        let ranges = SecretRanges::new(visible_ranges(text, |text| self.find_ranges(text)));
        redact_secrets(&redact_ranges(text, ranges))
    }

    /// Returns the ranges of a text that contain one of these secrets, a part of it, or another form of it.
    fn find_ranges(&self, text: &str) -> Vec<Range<usize>> {
        let whole = self.values.iter().flat_map(|value| text.match_indices(value.as_str()));
        let whole = whole.map(|(at, value)| at..at + value.len());
        let encoded = self.encoded_forms.iter().flat_map(|forms| forms.find_ranges(text));
        whole.chain(self.parts.find_ranges(text)).chain(encoded).collect()
    }
}

/// Returns a text in which each secret is replaced by its first four characters and `…`. The number of lines
/// does not change.
pub fn redact_secrets(text: &str) -> String {
    find_secrets(text)
        .map_or_else(|_| UNSEARCHABLE_PLACEHOLDER.to_owned(), |secrets| redact_ranges(text, secrets))
}

/// Returns a person's text on one line of at most `max_chars` characters. Secrets are shortened as in
/// [`redact_secrets`].
pub fn redact_line(text: &str, max_chars: usize) -> String {
    // Secrets are removed twice. A key may extend over several lines, so it is found only before the lines
    // are joined. Invisible characters may separate the letters of a secret, so it is found only after these
    // characters are removed.
    let line = line::visible_line(&redact_secrets(text));
    line::truncate_text(redact_secrets(&line), max_chars)
}

fn redact_ranges(text: &str, secrets: SecretRanges) -> String {
    replace_secrets(text, secrets, secret_prefix)
}

/// Returns a text with a replacement for each of its secrets.
pub(crate) fn replace_secrets(text: &str, secrets: SecretRanges, replacement: fn(&str) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for Range { start, end } in secrets.0 {
        // Rules match bytes, so a match may begin or end within a character.
        let (start, end) = (text.floor_char_boundary(start).max(at), text.ceil_char_boundary(end));
        let (Some(before), Some(secret)) = (text.get(at..start), text.get(start..end)) else { continue };
        shown.push_str(before);
        shown.push_str(&replacement(secret));
        at = end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

/// Returns the part of a secret that stays visible, with the secret's line breaks.
fn secret_prefix(secret: &str) -> String {
    let readable = secret.get(..secret.floor_char_boundary(REDACTED_PREFIX_BYTES)).unwrap_or_default();
    let ends: String = secret.chars().filter(|char| *char == '\n').collect();
    format!("{readable}{OMISSION_MARK}{ends}")
}

/// Returns the ranges of secrets in a text.
pub(crate) fn find_secrets(text: &str) -> Result<SecretRanges, ReaderError> {
    let rules = SECRET_RULES
        .as_ref()
        .ok_or_else(|| ReaderError::Failed("the built-in rules for secrets cannot be read".to_owned()))?;
    let mut fault = None;
    let ranges = visible_ranges(text, |text| {
        let mut ranges = rule_ranges(rules, text).unwrap_or_else(|error| {
            fault = Some(error);
            Vec::new()
        });
        ranges.extend(credential_ranges(text));
        ranges
    });
    fault.map_or_else(|| Ok(SecretRanges::new(ranges)), Err)
}

/// Returns the ranges of a text that rules recognise as secrets, literally or in base64.
fn rule_ranges(rules: &TextRules<'_>, text: &str) -> Result<Vec<Range<usize>>, ReaderError> {
    let mut ranges = rules.find_secrets(text.as_bytes())?;
    let decoded = DecodedWords::from_text(text);
    if !decoded.text.is_empty() {
        let secrets = rules.find_secrets(decoded.text.as_bytes())?;
        ranges.extend(secrets.iter().flat_map(|secret| decoded.word_ranges(secret)));
    }
    Ok(ranges)
}

/// Returns the ranges of a text that contain credentials of this process, either literally or in an encoded
/// form. If there are too many forms to search for, returns the whole text.
fn credential_ranges(text: &str) -> Vec<Range<usize>> {
    let given = RegisteredSecrets::current();
    if given.values.is_empty() {
        return Vec::new();
    }
    let Some(forms) = &given.encoded_forms else { return std::iter::once(0..text.len()).collect() };
    let of = |value: &String| {
        let all = text.match_indices(value.as_str()).map(|(at, value)| at..at + value.len());
        // A long value counts even as a part of a longer word, because such a match cannot be a coincidence.
        // For example, the letter before the value may belong to a control sequence.
        all.filter(|range| value.len() >= MIN_SECRET_PART_BYTES || is_separate_word(text, range))
            .collect::<Vec<_>>()
    };
    let mut ranges: Vec<_> = given.values.iter().flat_map(of).chain(forms.find_ranges(text)).collect();
    // Values that were found literally are replaced before the alternative readings are created. Otherwise,
    // each reading would contain these values, and the whole text would be hidden.
    let rest = redact_ranges(text, SecretRanges::new(ranges.clone()));
    let holds = |reading: &String| {
        let mut long = given.values.iter().filter(|value| value.len() >= MIN_SECRET_PART_BYTES);
        long.any(|value| reading.contains(value.as_str())) || forms.contains_long_secret(reading)
    };
    if obfuscated_text::decode_alternatives(&rest).iter().any(holds) {
        ranges.push(0..text.len());
    }
    ranges
}

/// Returns true if no letter or digit is directly before or after a range of a text.
fn is_separate_word(text: &str, range: &Range<usize>) -> bool {
    let is_none = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
    is_none(text.get(..range.start).and_then(|before| before.chars().next_back()))
        && is_none(text.get(range.end..).and_then(|after| after.chars().next()))
}

/// Returns a text in which each credential of this process is replaced by its first four characters and `…`.
/// The number of lines does not change.
pub fn redact_credentials(text: &str) -> String {
    redact_ranges(text, SecretRanges::new(visible_ranges(text, credential_ranges)))
}

/// Returns true if a text contains a secret of a known format, a credential of this process, or a value next
/// to a word such as `password`. Also returns true if the text cannot be searched.
pub fn contains_secret(text: &str) -> bool {
    !literal::find_secret_values(text.as_bytes()).is_empty()
        || find_secrets(text).map_or(true, |secrets| !secrets.0.is_empty())
}

#[cfg(test)]
mod tests {
    use truing_core::given_secrets::{register_if_credential, register_secret};

    use super::*;

    fn key() -> String {
        ["AKIA", "73U55XTPLPFT7V4S"].concat()
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_cut_and_lines_stay() {
        let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
        let pem = ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(12)].concat();
        let text = format!("é `{}` is a key\n{pem}-----END RSA PRIVATE{}", key(), " KEY-----\nend");
        let shown = redact_secrets(&text);
        assert!(shown.starts_with("é `AKIA…` is a key\n") && shown.ends_with("\nend"), "{shown}");
        assert!(!shown.contains("AKCAQEA7Q8z"), "{shown}");
        assert_eq!(shown.lines().count(), text.lines().count());
        assert_eq!(redact_secrets("nothing to hide: AKIA"), "nothing to hide: AKIA");
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_cut_in_base64_too() {
        // The words below are the output of coreutils' base64 for `key = ` and a token.
        let word = ["a2V5ID0gZ2hwXzAxMjM0NTY3ODlhYmNk", "ZWZnaGlqa2xtbm9wUXJzdHV2d3h5eg"].concat();
        assert_eq!(redact_secrets(&format!("é {word}== end")), "é a2V5…== end");
        let plain = "c29tZSB3b3JkcyBvZiBhIHRleHQ=";
        assert_eq!(redact_secrets(plain), plain);
    }

    #[test]
    fn a_secret_of_several_lines_or_with_hidden_characters_in_it_is_cut_from_a_line() {
        let one = "AKIA73U5";
        let two = "5XTPLPFT7V4S";
        assert_eq!(redact_line(&format!("as\n in {}", key()), 80), "as in AKIA…");
        assert_eq!(redact_line(&format!("é {one}{two} and more"), 9), "é AKIA… a…");
        let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
        let pem =
            ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(12), "-----END RSA PRIVATE KEY-----"];
        assert!(!redact_line(&pem.concat(), 1000).contains("AKCAQEA7Q8z"));
        assert_eq!(redact_line(" no\tsecret ", 80), "no secret");
    }

    #[test]
    fn what_only_its_place_tells_is_hidden_in_a_text_that_quotes_it() {
        let value = ["wJalrXUtnFEMIK7MDE", "NGbPxRfiCYzQ8v2pLk4sT0aB"].concat();
        let value = value.get(..40).unwrap();
        let file = format!("aws_secret_access_key = \"{value}\"\n");
        let said = format!("the value {value} is in the file");
        assert_eq!(redact_secrets(&said), said, "by itself it could be anything");
        assert_eq!(FileSecrets::from_text(&file).hide_secrets(&said), "the value wJal… is in the file");
    }

    #[test]
    fn what_this_process_was_given_is_known_by_its_value_and_its_parts() {
        register_secret("short");
        register_secret("given-canary-word");
        register_secret("Authorization=Basic Z2l2ZW46Y2FuYXJ5LTE3");
        register_secret("smtps://joe:given-canary-2@mail.example.org:465?to=a");
        let said =
            "short given-canary-word Z2l2ZW46Y2FuYXJ5LTE3 given-canary-2 Authorization mail.example.org";
        assert_eq!(redact_secrets(said), "short give… Z2l2… give… Authorization mail.example.org");
    }

    #[test]
    fn a_part_or_another_form_of_a_secret_of_the_file_is_hidden() {
        let token = ["ghp_", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"].concat();
        let secrets = FileSecrets::from_text(&format!("TOKEN = \"{token}\"\n"));
        let reversed: String = token.chars().rev().collect();
        let apart: String = token.chars().flat_map(|letter| [letter, '\u{200b}']).collect();
        let hidden = |part: &str| secrets.hide_secrets(&format!("line 1: `{part}` is a secret"));
        for (part, shown) in [
            (&token[..22], "ghp_…"),
            (&token[9..31], "3D4e…"),
            (&reversed, "8R7q…"),
            (&hex::encode(&token), "6768…"),
            (&token.replace("5F6", "5F\u{ad}6"), "ghp_…"),
        ] {
            assert_eq!(hidden(part), format!("line 1: `{shown}` is a secret"), "{part}");
        }
        assert!(!hidden(&apart).contains('H'), "{}", hidden(&apart));
        assert_eq!(hidden("ghp_a1B2c"), "line 1: `ghp_a1B2c` is a secret", "fewer than ten letters");
    }

    #[test]
    fn a_secret_is_found_between_characters_that_nobody_sees() {
        register_secret("invisible-canary-w0rd-7");
        for mark in ['\u{200b}', '\u{ad}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{180e}', '\u{e0041}'] {
            let (one, two) = ("AKIA73U5", "5XTPLPFT7V4S");
            assert_eq!(
                redact_secrets(&format!("a {one}{mark}{two} b{mark}\n")),
                format!("a AKIA… b{mark}\n")
            );
            let said = format!("a invisible-ca{mark}nary-w0rd-7 b");
            assert_eq!(redact_credentials(&said), "a invi… b");
        }
    }

    #[test]
    fn what_was_hidden_once_stays_as_it_is() {
        let text = ["a \"", &key(), "\""].concat();
        let once = redact_secrets(&text);
        assert_eq!(once, "a \"AKIA…\"");
        assert_eq!(redact_secrets(&once), once);
        assert_eq!(FileSecrets::from_text(&text).hide_secrets(&once), once);
    }

    #[test]
    fn a_variables_word_that_is_one_of_the_code_changes_nothing() {
        for value in ["postgres", "kubernetes", "password", "correct-horse-battery"] {
            register_if_credential(value);
        }
        register_if_credential("npm-0f-canary-w0rd");
        let text = "postgres://postgresql kubernetes password correct-horse-battery npm-0f-canary";
        assert_eq!(redact_credentials(text), text);
        for text in ["(npm-0f-canary-w0rd)", "31mnpm-0f-canary-w0rd", "npm-0f-canary-w0rdn"] {
            assert!(redact_credentials(text).contains("npm-…"), "{text}");
        }
    }

    #[test]
    fn what_this_process_was_given_is_hidden_in_other_forms() {
        register_secret("encoded-canary-w0rd-7");
        let hex: String = "encoded-canary-w0rd-7".bytes().map(|byte| format!("{byte:02x}")).collect();
        let backwards: String = "encoded-canary-w0rd-7".chars().rev().collect();
        let text = format!("a.py:1: {hex}\nZW5jb2RlZC1jYW5hcnktdzByZC03\nand {backwards} end");
        assert_eq!(redact_secrets(&text), "a.py:1: 656e…\nZW5j…\nand 7-dr… end");
    }

    #[test]
    fn a_text_that_disguises_what_this_process_was_given_is_not_shown() {
        register_secret("disguised-canary-w0rd-7");
        let numbers: Vec<String> = "disguised-canary-w0rd-7".bytes().map(|byte| byte.to_string()).collect();
        assert_eq!(redact_secrets(&format!("[{}]\nend", numbers.join(", "))), "[100…\n");
    }

    #[test]
    fn servers_of_others_are_told_no_secret_without_a_form_either() {
        let password = ["hun", "ter2abc"].concat();
        assert!(contains_secret(&format!("login failed: password={password}")) && contains_secret(&key()));
        assert!(!contains_secret("where is password = form[\"password\"] tested?"));
        assert_eq!(
            redact_secrets(&format!("password = \"{password}\"")),
            format!("password = \"{password}\"")
        );
    }
}

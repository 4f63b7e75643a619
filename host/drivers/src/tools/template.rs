//! A command's arguments with places for those of a call. No shell reads them, and what a guest passes never becomes an option that
//! nobody meant: what begins with `-` stands only behind a `--` of the template, or inside a word that the template begins.

use agentry_kernel::json::Value;

/// Words of a filled template, all together with their ends; the system takes a few times that.
pub const WORDS_MAX_BYTES: usize = 128 * 1024;

/// Words of a filled template.
const WORDS_MAX: usize = 4_096;

/// The words behind a program's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Group>);

/// Words that are there together or not at all, and once for each item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    words: Vec<Word>,
    /// Whether a `--` of the template stands before.
    behind_dashes: bool,
}

/// One word: literal parts and places for arguments.
type Word = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Argument(String),
}

/// Why a call's arguments do not fit; the name is the argument's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument `{argument}` {why}")]
pub struct Unfit {
    /// Which.
    pub argument: String,
    /// What is wrong with it.
    pub why: String,
}

impl Template {
    /// Adds one word, or some that belong together.
    ///
    /// # Errors
    /// A sentence about a brace that does not end.
    pub fn push(&mut self, words: &[&str]) -> Result<(), String> {
        let behind_dashes = self.0.iter().any(|group| group.words.iter().any(is_dashes));
        let words = words.iter().map(|word| parse(word)).collect::<Result<_, _>>()?;
        self.0.push(Group { words, behind_dashes });
        Ok(())
    }

    /// The arguments that it has places for.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(Group::arguments)
    }

    /// The words of a call.
    ///
    /// # Errors
    /// The first argument that does not fit its place.
    pub fn fill(&self, arguments: &Value) -> Result<Vec<String>, Unfit> {
        let mut words = Vec::new();
        let mut bytes = 0_usize;
        for group in &self.0 {
            for round in 0..group.rounds(arguments)? {
                for word in &group.words {
                    let word = group.word(word, arguments, round)?;
                    bytes = bytes.saturating_add(word.len() + 1);
                    if bytes > WORDS_MAX_BYTES || words.len() == WORDS_MAX {
                        let argument = group.arguments().next().unwrap_or_default();
                        return Err(unfit(argument, "makes the command longer than a command may be"));
                    }
                    words.push(word);
                }
            }
        }
        Ok(words)
    }
}

impl Group {
    fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().flatten().filter_map(|part| match part {
            Part::Argument(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// How often it stands: not at all if an argument is missing, once, or once for each item of its one list.
    fn rounds(&self, arguments: &Value) -> Result<usize, Unfit> {
        let mut rounds = None;
        for name in self.arguments() {
            match arguments.get(name) {
                None => return Ok(0),
                Some(Value::List(items)) if rounds.is_none() => rounds = Some((name, items.len())),
                Some(Value::List(_)) if rounds.is_some_and(|(first, _)| first != name) => {
                    return Err(unfit(name, "is a second list beside another"));
                }
                Some(_) => {}
            }
        }
        Ok(rounds.map_or(1, |(_, items)| items))
    }

    fn word(&self, word: &Word, arguments: &Value, round: usize) -> Result<String, Unfit> {
        let mut text = String::new();
        for part in word {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Argument(name) => text.push_str(&plain(name, arguments.get(name), round)?),
            }
        }
        // An option is the template's to give.
        if let Some(Part::Argument(name)) = word.first()
            && !self.behind_dashes
            && text.starts_with('-')
        {
            return Err(unfit(name, "begins with `-`, and here that would be an option"));
        }
        Ok(text)
    }
}

/// An argument, or an item of it, as a word.
fn plain(name: &str, value: Option<&Value>, round: usize) -> Result<String, Unfit> {
    let value = match value {
        Some(Value::List(items)) => items.get(round),
        value => value,
    };
    match value {
        Some(Value::Text(text)) if text.contains('\0') => Err(unfit(name, "has a zero byte")),
        Some(Value::Text(text)) => Ok(text.clone()),
        Some(number @ (Value::Integer(_) | Value::Decimal(_) | Value::Bool(_))) => Ok(number.to_string()),
        Some(other) => Err(unfit(name, format!("is {}, and no word of a command", other.kind()))),
        None => Err(unfit(name, "is missing")),
    }
}

fn unfit(argument: &str, why: impl Into<String>) -> Unfit {
    Unfit { argument: argument.to_owned(), why: why.into() }
}

fn is_dashes(word: &Word) -> bool {
    matches!(word.as_slice(), [Part::Literal(literal)] if literal == "--")
}

/// Reads `--subject={subject}`; `{{` and `}}` are braces.
fn parse(text: &str) -> Result<Word, String> {
    let (mut word, mut literal) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..];
        if let Some(behind) = brace.strip_prefix("{{") {
            literal.push('{');
            rest = behind;
        } else if let Some(behind) = brace.strip_prefix("}}") {
            literal.push('}');
            rest = behind;
        } else if let Some((name, behind)) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            if name.is_empty() || name.contains('{') {
                return Err(format!("`{text}` has a place without a name"));
            }
            if !literal.is_empty() {
                word.push(Part::Literal(std::mem::take(&mut literal)));
            }
            word.push(Part::Argument(name.to_owned()));
            rest = behind;
        } else {
            return Err(format!("`{text}` has a brace that is not closed or not opened"));
        }
    }
    literal.push_str(rest);
    if literal.contains('\0') {
        return Err(format!("`{}` has a zero byte", text.escape_debug()));
    }
    if !literal.is_empty() || word.is_empty() {
        word.push(Part::Literal(literal));
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use agentry_kernel::json;

    use super::*;

    fn template(groups: &[&[&str]]) -> Template {
        let mut template = Template::default();
        groups.iter().for_each(|words| template.push(words).expect("well formed"));
        template
    }

    fn filled(groups: &[&[&str]], arguments: &str) -> Result<Vec<String>, String> {
        let arguments = json::parse(arguments).expect("JSON");
        template(groups).fill(&arguments).map_err(|unfit| unfit.to_string())
    }

    fn words(words: &[&str]) -> Result<Vec<String>, String> {
        Ok(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn arguments_stand_in_their_places_and_no_shell_reads_them() {
        let groups: &[&[&str]] = &[&["-s"], &["--subject={subject}"], &["{{literal}}"], &["--"], &["{to}"]];
        assert_eq!(
            filled(groups, r#"{"subject": "a b; $(rm -rf /) `x` \"", "to": "x@example.org"}"#),
            words(&["-s", "--subject=a b; $(rm -rf /) `x` \"", "{literal}", "--", "x@example.org"])
        );
        assert_eq!(
            filled(&[&["{n}"], &["{b}"], &["x{t}y"]], r#"{"n": 7, "b": true, "t": ""}"#),
            words(&["7", "true", "xy"])
        );
    }

    #[test]
    fn what_begins_with_a_dash_is_no_option() {
        let dash = r#"{"path": "--output=/etc/passwd"}"#;
        let refused = "argument `path` begins with `-`, and here that would be an option";
        assert_eq!(filled(&[&["cat"], &["{path}"]], dash), Err(refused.to_owned()));
        assert_eq!(filled(&[&["{path}"], &["--"]], dash), Err(refused.to_owned()));
        assert_eq!(filled(&[&["--"], &["{path}"]], dash), words(&["--", "--output=/etc/passwd"]));
        assert_eq!(filled(&[&["--file={path}"]], dash), words(&["--file=--output=/etc/passwd"]));
        let joined = filled(&[&["{a}{b}"]], r#"{"a": "", "b": "-x"}"#);
        assert_eq!(joined, Err("argument `a` begins with `-`, and here that would be an option".to_owned()));
        assert!(filled(&[&["{n}"]], r#"{"n": -1}"#).is_err(), "a negative number is one too");
        assert!(
            filled(&[&["{x}"], &["{y}"]], r#"{"x": "--", "y": "-v"}"#).is_err(),
            "dashes are the template's to give"
        );
    }

    #[test]
    fn words_that_belong_together_are_left_out_together_and_repeated_for_a_list() {
        let groups: &[&[&str]] = &[&["--cc", "{cc}"], &["--to", "{to}"]];
        assert_eq!(filled(groups, r#"{"to": "a"}"#), words(&["--to", "a"]));
        assert_eq!(filled(groups, r#"{"to": ["a", "b"]}"#), words(&["--to", "a", "--to", "b"]));
        assert_eq!(filled(groups, r#"{"to": []}"#), words(&[]));
        let both = filled(&[&["{a}", "{b}"]], r#"{"a": ["x"], "b": ["y"]}"#);
        assert_eq!(both, Err("argument `b` is a second list beside another".to_owned()));
    }

    #[test]
    fn what_is_no_word_does_not_fit() {
        for (value, why) in [("null", "null"), ("{}", "an object"), ("[[]]", "a list")] {
            let unfit = filled(&[&["{x}"]], &format!("{{\"x\": {value}}}")).expect_err(value);
            assert_eq!(unfit, format!("argument `x` is {why}, and no word of a command"));
        }
        assert!(filled(&[&["{x}"]], r#"{"x": "a\u0000b"}"#).is_err());
        let long = format!("{{\"x\": \"{}\"}}", "x".repeat(WORDS_MAX_BYTES));
        assert!(filled(&[&["{x}"]], &long).expect_err("too long").contains("longer than a command"));
        let many = format!("{{\"x\": [{}\"\"]}}", "\"\",".repeat(WORDS_MAX));
        assert!(filled(&[&["{x}"]], &many).is_err());
    }

    #[test]
    fn a_brace_that_is_not_closed_is_told() {
        for bad in ["{", "}", "{x", "x}", "{}", "{{x}", "{a{b}"] {
            assert!(Template::default().push(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(template(&[&["{a}-{b}", "c"], &["{d}"]]).arguments().collect::<Vec<_>>(), ["a", "b", "d"]);
    }
}

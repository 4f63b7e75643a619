//! How a line of a configuration is shown beside a mistake in it: with dots for whatever could be a key. A mistake may stand on the very line
//! into which somebody put one, and what is shown ends up in logs and reports.

/// Words whose text is taken for a key, wherever they stand in the name of what is set.
const NAMES: [&str; 9] = ["key", "secret", "token", "passw", "credential", "auth", "bearer", "cookie", "value"];

/// How keys of well-known providers begin.
const BEGINNINGS: [&str; 12] =
    ["sk-", "sk_", "pk_", "rk_", "gsk_", "xai-", "hf_", "ghp_", "github_pat_", "AIza", "AKIA", "eyJ"];

/// A word with letters and digits that is longer is no name.
const WORD_MAX_CHARS: usize = 40;

/// Stands for each letter of what could be a key.
const DOT: char = '•';

/// The same line, as long as it was.
pub(crate) fn without_keys(line: &str) -> String {
    let mut shown: Vec<char> = line.chars().collect();
    for at in 0..shown.len() {
        if shown[at] == '=' && names_a_key(&shown[..at]) {
            let (from, end) = text_behind(&shown, at + 1);
            shown[from..end].fill(DOT);
        }
    }
    for at in 0..shown.len() {
        if shown[..at].ends_with(&[':', '/', '/'])
            && let Some(length) = user_of(&shown[at..])
        {
            shown[at..at + length].fill(DOT);
        }
    }
    let mut at = 0;
    while at < shown.len() {
        let end = shown[at..].iter().position(|letter| !of_word(*letter)).map_or(shown.len(), |length| at + length);
        if looks_like_a_key(&shown[at..end].iter().collect::<String>()) {
            shown[at..end].fill(DOT);
        }
        at = end.max(at + 1);
    }
    shown.into_iter().collect()
}

fn of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '+')
}

/// Whether what is set in front of a `=` has the name of a key.
fn names_a_key(before: &[char]) -> bool {
    let name = before.iter().rev().skip_while(|letter| **letter == ' ').take_while(|letter| of_word(**letter));
    let name: String = name.collect::<Vec<_>>().into_iter().rev().map(|letter| letter.to_ascii_lowercase()).collect();
    NAMES.iter().any(|word| name.contains(word))
}

/// Where the text behind a `=` begins and ends; nothing where a table, a list or a number stands.
fn text_behind(line: &[char], from: usize) -> (usize, usize) {
    let skip = |from: usize, is: fn(char) -> bool| {
        line[from..].iter().position(|letter| !is(*letter)).map_or(line.len(), |more| from + more)
    };
    let begin = skip(from, |letter| letter == ' ' || letter == '\t');
    let quote = line.get(begin).copied();
    match quote {
        Some(quote @ ('"' | '\'')) => {
            let from = skip(begin, |letter| matches!(letter, '"' | '\''));
            let end = line[from..].iter().position(|letter| *letter == quote).map_or(line.len(), |more| from + more);
            (from, end)
        }
        Some('{' | '[' | '0'..='9' | '-' | '=') | None => (begin, begin),
        Some(_) => (begin, skip(begin, |letter| !matches!(letter, ',' | '}' | ']' | '#'))),
    }
}

/// How long the name and the password are that an address begins with behind its `://`.
fn user_of(address: &[char]) -> Option<usize> {
    let end = address.iter().position(|letter| matches!(letter, '@' | '/' | '"' | '\'' | ' '))?;
    (address[end] == '@').then_some(end)
}

/// Whether a word has the form of a key.
pub(crate) fn looks_like_a_key(word: &str) -> bool {
    let begins = BEGINNINGS.iter().any(|begin| word.len() > begin.len() + 4 && word.starts_with(begin));
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|byte| kind(&byte));
    begins || word.len() > WORD_MAX_CHARS && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_key_is_dots() {
        for line in [
            "key = \"hunter2 hunter2\"",
            "api_key='hunter2'",
            "key = hunter2",
            "key = \"hunter2",
            "key = \"\"\"hunter2",
            "p = { kind = \"openai\", key = \"hunter2\" }",
            "API_TOKEN = \"hunter2\"",
            "kind = \"sk-hunter2\"",
            "env = \"sk-hunter2\"",
            "x = [\"sk-ant-hunter2\"]",
            "base_url = \"https://me:hunter2@host/v1\"",
        ] {
            let shown = without_keys(line);
            assert!(!shown.contains("hunter") && shown.contains(DOT), "{shown}");
            assert_eq!(shown.chars().count(), line.chars().count());
        }
        assert_eq!(without_keys(&"a1".repeat(21)), "•".repeat(42));
    }

    #[test]
    fn what_is_none_is_shown() {
        for line in [
            "key = { env = \"OPENAI_API_KEY\" }",
            "base_url = \"https://api.example.org/v1\"",
            "model = \"us.anthropic.claude-haiku-4-5-20251001-v1:0\"",
            "max_output_tokens = 1_000",
            "[secrets.crm]",
            "größe = \"sk-\"",
            "",
        ] {
            assert_eq!(without_keys(line), line);
        }
    }
}

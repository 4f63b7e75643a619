//! Findings that need no model. A line that may hold a secret is named and never quoted.

use serde::Serialize;

use crate::diff::{Line, Piece};

const LINE_CHARS_MAX: usize = 160;
const FUNCTION_LINES_MAX: usize = 70;

/// Characters of a text in quotes that may be a key.
const SECRET_CHARS_MIN: usize = 16;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
    Note,
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) severity: Severity,
    pub(crate) check: &'static str,
    pub(crate) message: String,
}

/// A text to look for, with the ending of the files it matters in, none for all.
struct Pattern(&'static str, Option<&'static str>, Severity, &'static str, &'static str);

const PATTERNS: [Pattern; 15] = [
    Pattern("<<<<<<< ", None, Severity::Error, "conflict", "a conflict marker was left in"),
    Pattern(">>>>>>> ", None, Severity::Error, "conflict", "a conflict marker was left in"),
    Pattern("-----BEGIN", None, Severity::Error, "secret", "this looks like a key: take it out and replace it"),
    Pattern("AKIA", None, Severity::Error, "secret", "this looks like a key: take it out and replace it"),
    Pattern("ghp_", None, Severity::Error, "secret", "this looks like a key: take it out and replace it"),
    Pattern("TODO", None, Severity::Note, "todo", "an open TODO: do it, or open an issue"),
    Pattern("FIXME", None, Severity::Note, "todo", "an open FIXME: do it, or open an issue"),
    Pattern("unsafe ", Some("rs"), Severity::Warning, "unsafe", "unsafe code: say in a comment why it is sound"),
    Pattern(
        ".unwrap()",
        Some("rs"),
        Severity::Warning,
        "unwrap",
        "`unwrap` ends the program: handle it, or say why with `expect`",
    ),
    Pattern("dbg!(", Some("rs"), Severity::Warning, "debug", "debug output was left in"),
    Pattern("todo!(", Some("rs"), Severity::Warning, "todo", "unfinished code ends the program"),
    Pattern("console.log(", Some("js"), Severity::Warning, "debug", "debug output was left in"),
    Pattern("console.log(", Some("ts"), Severity::Warning, "debug", "debug output was left in"),
    Pattern("breakpoint()", Some("py"), Severity::Warning, "debug", "a breakpoint was left in"),
    Pattern(
        "except:",
        Some("py"),
        Severity::Warning,
        "except",
        "this catches everything, also what should end the program",
    ),
];

const SECRET_NAMES: [&str; 7] = ["password", "passwd", "secret", "token", "api_key", "apikey", "private_key"];

/// All findings of a piece, by line.
pub(crate) fn check(piece: &Piece) -> Vec<Finding> {
    let ending = piece.file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let mut findings = Vec::new();
    let mut find = |line: usize, severity, check, message: String| {
        findings.push(Finding { file: piece.file.clone(), line, severity, check, message });
    };
    for line in piece.lines.iter().filter(|line| line.added) {
        for Pattern(text, only, severity, check, message) in &PATTERNS {
            if only.is_none_or(|only| only == ending) && line.text.contains(text) {
                find(line.number, *severity, check, (*message).to_owned());
            }
        }
        if holds_secret(&line.text) {
            find(
                line.number,
                Severity::Error,
                "secret",
                "a secret seems to be written out: take it out and replace it".into(),
            );
        }
        let chars = line.text.chars().count();
        if chars > LINE_CHARS_MAX {
            find(line.number, Severity::Note, "long-line", format!("{chars} characters: break it"));
        }
    }
    findings
}

/// Functions of a whole file that are too long to be read at once. Indentation tells where one ends, which is right for
/// formatted code.
pub(crate) fn long_functions(file: &str, lines: &[Line]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(end) = begins_function(&line.text).then(|| end_of(&lines[index..])).flatten() else { continue };
        if end > FUNCTION_LINES_MAX {
            findings.push(Finding {
                file: file.to_owned(),
                line: line.number,
                severity: Severity::Note,
                check: "long-function",
                message: format!("a function of {end} lines: find the second verb in it"),
            });
        }
    }
    findings
}

fn begins_function(line: &str) -> bool {
    let line = line.trim_start();
    let words: Vec<&str> = line.split([' ', '(']).take(4).collect();
    let keyword = words.iter().any(|word| ["fn", "def", "function", "func"].contains(word));
    keyword && line.contains('(') && !line.starts_with("//") && !line.starts_with('#') && !line.ends_with(';')
}

/// Lines to the next one that is not indented deeper than the first and closes it or begins something else.
fn end_of(lines: &[Line]) -> Option<usize> {
    let depth = indent(&lines.first()?.text);
    let body = lines.iter().skip(1).position(|line| {
        let text = line.text.trim_start();
        !text.is_empty() && indent(&line.text) <= depth && !text.starts_with([')', '{']) && !text.starts_with("where")
    });
    Some(body.map_or(lines.len(), |count| count + 2))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A name that promises a secret, then `=` or `:`, then a long text in quotes without spaces.
fn holds_secret(line: &str) -> bool {
    let lower = line.to_lowercase();
    let Some(at) = SECRET_NAMES.iter().filter_map(|name| lower.find(name)).min() else { return false };
    let rest = &lower[at..];
    if !rest.contains(['=', ':']) {
        return false;
    }
    let mut quoted = rest.split(['"', '\'']).skip(1).step_by(2);
    quoted.any(|text| {
        let placeholder = text.contains(['{', '<', '$', ' ']) || text.starts_with("http");
        text.len() >= SECRET_CHARS_MIN && !placeholder && text.bytes().any(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::whole;

    fn found(file: &str, text: &str) -> Vec<&'static str> {
        whole(file, text).iter().flat_map(check).map(|finding| finding.check).collect()
    }

    #[test]
    fn what_should_not_stay_is_found() {
        assert_eq!(found("a.rs", "let a = b.unwrap();"), ["unwrap"]);
        assert_eq!(found("a.py", "x.unwrap()"), [""; 0]);
        assert_eq!(found("a.js", "console.log(x) // TODO"), ["todo", "debug"]);
        assert_eq!(found("a.toml", "password = \"hunter2hunter2hunter2\""), ["secret"]);
        assert_eq!(found("a.toml", "password = \"${PASSWORD_1234567890}\""), [""; 0]);
    }

    #[test]
    fn a_secret_is_never_quoted() {
        let secret = "s3cr3ts3cr3ts3cr3t";
        let findings: Vec<Finding> = whole("a.py", &format!("token = '{secret}'")).iter().flat_map(check).collect();
        assert_eq!(findings.len(), 1);
        assert!(!findings[0].message.contains(secret));
    }

    #[test]
    fn only_added_lines_are_judged() {
        let mut piece = whole("a.rs", "b.unwrap()").remove(0);
        piece.lines[0].added = false;
        assert!(check(&piece).is_empty());
    }

    #[test]
    fn a_function_is_as_long_as_its_indentation() {
        let body = "    work();\n".repeat(80);
        let text = format!("fn long() {{\n{body}}}\n\nfn short() {{\n    work();\n}}\n");
        let lines: Vec<Line> = whole("a.rs", &text).into_iter().flat_map(|piece| piece.lines).collect();
        let found: Vec<(usize, String)> =
            long_functions("a.rs", &lines).into_iter().map(|finding| (finding.line, finding.message)).collect();
        assert_eq!(found, [(1, "a function of 82 lines: find the second verb in it".to_owned())]);
    }
}

//! The report as Markdown, and the name of its file.

use crate::answer::Citation;

/// Bytes of a file's name.
const NAME_BYTES_MAX: usize = 60;

/// The report's text.
pub(crate) fn text(question: &str, answer: &str, citations: &[Citation], earlier: &[(String, String)]) -> String {
    let mut text = format!("# {}\n\n{answer}\n\n## Sources\n\n", question.trim());
    for (index, citation) in citations.iter().enumerate() {
        let Citation { file, line, quote } = citation;
        text.push_str(&format!("{}. {file}:{line}\n   > {quote}\n", index + 1));
    }
    if !earlier.is_empty() {
        text.push_str("\n## Asked before\n\n");
        for (question, report) in earlier {
            text.push_str(&format!("- {question} ({report})\n"));
        }
    }
    text
}

/// A file's name in the root of reports: from the name that was asked for, or from the question.
pub(crate) fn name(wanted: Option<&str>, question: &str) -> String {
    let source = wanted.map_or(question, |wanted| wanted.strip_suffix(".md").unwrap_or(wanted));
    let mut name = String::new();
    for letter in source.chars() {
        if letter.is_alphanumeric() && name.len() + letter.len_utf8() <= NAME_BYTES_MAX {
            name.extend(letter.to_lowercase());
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    format!("{}.md", if name.is_empty() { "report" } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_and_dashes_and_never_a_path() {
        assert_eq!(name(None, "Who declares war?"), "who-declares-war.md");
        assert_eq!(name(Some("../../War.md"), ""), "war.md");
        assert_eq!(name(None, "???"), "report.md");
    }
}

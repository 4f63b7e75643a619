//! Findings as Markdown.

use crate::Remark;
use crate::checks::{Finding, Severity};

/// The report's text.
pub(crate) fn text(subject: &str, findings: &[Finding], remarks: &[Remark]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let mut text = format!(
        "# Review of {subject}\n\n{} errors, {} warnings, {} notes.\n",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    for (severity, title) in [(Severity::Error, "Errors"), (Severity::Warning, "Warnings"), (Severity::Note, "Notes")] {
        let mut these = findings.iter().filter(|finding| finding.severity == severity).peekable();
        if these.peek().is_some() {
            text.push_str(&format!("\n## {title}\n\n"));
        }
        for Finding { file, line, check, message, .. } in these {
            text.push_str(&format!("- {file}:{line}: {message} ({check})\n"));
        }
    }
    if !remarks.is_empty() {
        text.push_str("\n## A model's remarks\n\nThese are words of a model: check them before you act on them.\n\n");
    }
    for Remark { file, line, text: said } in remarks {
        text.push_str(&format!("- {file}:{line}: {said}\n"));
    }
    text
}

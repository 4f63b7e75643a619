//! Under which terms a package is offered, as an expression of SPDX (annex B of its specification, <https://spdx.github.io/spdx-spec/v3.0.1/>). Its
//! shape is looked at; whether there is such a licence, and whether it is the package's, nobody here knows.

use crate::text::TextFlaw;

/// A longer one says something else.
const LICENCE_MAX_BYTES: usize = 256;

/// Whether a text is an expression: `MIT`, `MIT OR Apache-2.0`, `(A AND B) OR GPL-2.0-or-later WITH Classpath-exception-2.0`.
pub(super) fn expression(text: &str) -> Result<(), TextFlaw> {
    if text.len() > LICENCE_MAX_BYTES {
        return Err("is longer than 256 bytes");
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wants_licence, mut after_with) = (0_usize, true, false);
    for word in spaced.split(' ').filter(|word| !word.is_empty()) {
        match (word, wants_licence) {
            ("(", true) if !after_with => depth += 1,
            (")", false) => depth = depth.checked_sub(1).ok_or(FLAW)?,
            ("AND" | "OR", false) => (wants_licence, after_with) = (true, false),
            ("WITH", false) if !after_with => (wants_licence, after_with) = (true, true),
            ("(" | ")" | "AND" | "OR" | "WITH", _) | (_, false) => return Err(FLAW),
            (name, true) if is_name(name) => wants_licence = false,
            (_, true) => return Err(FLAW),
        }
    }
    if wants_licence || depth > 0 { Err(FLAW) } else { Ok(()) }
}

const FLAW: TextFlaw = "is no expression of SPDX";

/// `Apache-2.0`, `GPL-2.0+`, `LicenseRef-acme`, `DocumentRef-acme:LicenseRef-terms`.
fn is_name(word: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    match word.split_once(':') {
        Some((document, name)) => [document, name].into_iter().all(plain),
        None => plain(word.strip_suffix('+').unwrap_or(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_joins_names_and_nothing_else_is_one() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "GPL-2.0-or-later WITH Classpath-exception-2.0 OR LGPL-2.1+",
            "((MIT))",
            "LicenseRef-acme-terms",
            "DocumentRef-acme:LicenseRef-terms",
        ] {
            assert_eq!(expression(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "MIT/Apache-2.0",
            "MIT Apache-2.0",
            "MIT or Apache-2.0",
            "MIT OR",
            "OR MIT",
            "(MIT",
            "MIT)",
            "()",
            "MIT WITH (x)",
            "MIT WITH x WITH y",
            "MIT\n",
            "MIT\u{1b}[2J",
            "MIT\u{a0}OR BSD",
            "see LICENSE.txt, please",
            ":x",
            "+",
        ] {
            assert!(expression(bad).is_err(), "{bad:?}");
        }
        assert_eq!(expression(&"a".repeat(LICENCE_MAX_BYTES + 1)), Err("is longer than 256 bytes"));
    }
}

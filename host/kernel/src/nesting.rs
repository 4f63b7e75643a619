//! Where TOML nests too deep for a parser. It builds nothing of what it looks at.

use core::ops::Range;

use crate::limits::NESTING_MAX;

/// Where brackets or dotted keys nest too deep. Looked at before the parser builds anything of that shape, because a deep
/// tree costs stack.
pub(crate) fn too_deep(text: &str) -> Option<Range<usize>> {
    use toml_parser::lexer::TokenKind;
    let (mut open, mut dots) = (0usize, 0usize);
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => open += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => open = open.saturating_sub(1),
            TokenKind::Dot => dots += 1,
            TokenKind::Equals | TokenKind::Comma | TokenKind::Newline => dots = 0,
            _ => {}
        }
        if open.max(dots) > NESTING_MAX {
            return Some(token.span().start()..token.span().end());
        }
    }
    None
}

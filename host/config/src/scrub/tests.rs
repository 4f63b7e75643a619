//! Secrets in every spelling, whole and in pieces, and texts that hold none.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

const SECRET: &str = "sk-9f/Zq+41%\"\\x&=~";

fn clean(text: &str) -> String {
    Scrub::new([SECRET, "another-secret-of-ours"]).text(text)
}

fn is_taken_out(written: &str) {
    assert_eq!(clean(&format!("before {written} after")), format!("before {MARK} after"), "{written}");
}

fn escaped(escape: impl Fn(u8) -> String) -> String {
    SECRET.bytes().map(escape).collect()
}

#[test]
fn a_secret_is_taken_out_as_it_is() {
    is_taken_out(SECRET);
    is_taken_out("another-secret-of-ours");
    assert_eq!(clean(&SECRET.repeat(3)), MARK.repeat(3));
}

#[test]
fn a_secret_is_taken_out_however_it_is_escaped() {
    is_taken_out(&escaped(|byte| format!("%{byte:02X}")));
    is_taken_out(&escaped(|byte| format!("%{byte:02x}")));
    is_taken_out(&escaped(|byte| format!("%25{byte:02x}")));
    is_taken_out(&escaped(|byte| format!("\\u00{byte:02x}")));
    is_taken_out(&escaped(|byte| format!("\\x{byte:02x}")));
    is_taken_out(&escaped(|byte| format!("&#{byte};")));
    is_taken_out(&escaped(|byte| format!("&#x{byte:x};")));
    is_taken_out(&escaped(|byte| format!("&#{byte}")));
    is_taken_out(&escaped(|byte| format!("\\U{byte:08x}")));
    is_taken_out(&escaped(|byte| format!("\\u{{{byte:x}}}")));
    is_taken_out(&escaped(|byte| format!("\\{byte:03o}")));
    is_taken_out(&escaped(|byte| format!("={byte:02X}")));
    is_taken_out(&SECRET.replace('/', "&sol;").replace('+', "&plus;").replace('%', "&percnt;"));
    is_taken_out(&SECRET.to_uppercase());
    is_taken_out(&SECRET.to_lowercase());
    is_taken_out(&escaped(
        |byte| {
            if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") }
        },
    ));
    is_taken_out(&SECRET.replace('&', "&amp;").replace('"', "&quot;"));
    is_taken_out(serde_json::to_string(SECRET).expect("a string").trim_matches('"'));
    is_taken_out(&SECRET.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/"));
    is_taken_out(&format!("sk-9\\u0066%2f{}", &SECRET[6..]));
}

#[test]
fn a_secret_is_taken_out_of_base64_at_any_offset() {
    for before in ["", "u", "us", "user:", "Bearer "] {
        for after in ["", "\n", "!!", "and more"] {
            let plain = format!("{before}{SECRET}{after}");
            for encoded in [STANDARD.encode(&plain), URL_SAFE.encode(&plain), STANDARD_NO_PAD.encode(&plain)] {
                let clean = clean(&encoded);
                assert!(clean.contains(MARK) && clean.len() < encoded.len(), "{plain:?}: {encoded} → {clean}");
            }
        }
    }
    let long = STANDARD.encode(SECRET);
    is_taken_out(&STANDARD_NO_PAD.encode(&SECRET[..SECRET.len()]).replace('/', "\\/"));
    let (head, tail) = long.split_at(7);
    assert!(clean(&format!("{head}\r\n{tail}")).contains(MARK), "base64 has lines");
}

#[test]
fn a_secret_is_taken_out_of_hexadecimal() {
    is_taken_out(&escaped(|byte| format!("{byte:02x}")));
    is_taken_out(&escaped(|byte| format!("{byte:02X}")));
    for apart in [":", " ", "-", ", 0x"] {
        let written = escaped(|byte| format!("{byte:02x}{apart}"));
        is_taken_out(written.strip_suffix(apart).expect("it ends so"));
    }
}

#[test]
fn a_secret_is_taken_out_of_base64_of_base64() {
    for before in ["", "a", "ab"] {
        let twice = STANDARD.encode(format!("x{}", STANDARD.encode(format!("{before}{SECRET}"))));
        let clean = clean(&twice);
        assert!(clean.contains(MARK), "{before}: {twice} → {clean}");
    }
}

fn streamed(scrub: &Scrub, pieces: &[&str]) -> Vec<String> {
    let mut stream = ScrubPieces::default();
    let mut out: Vec<String> = pieces.iter().map(|piece| stream.push(scrub, piece).into_owned()).collect();
    out.push(stream.end(scrub));
    out
}

#[test]
fn a_secret_that_comes_in_pieces_is_taken_out() {
    let scrub = Scrub::new([SECRET]).marking("…");
    let forms = [
        SECRET.to_owned(),
        SECRET.to_uppercase(),
        escaped(|byte| format!("%{byte:02X}")),
        escaped(|byte| format!("={byte:02X}")),
        escaped(|byte| format!("\\u00{byte:02x}")),
        escaped(|byte| format!("\\u{{{byte:x}}}")),
        escaped(|byte| format!("\\{byte:03o}")),
        escaped(|byte| format!("&#{byte}")),
    ];
    for written in forms {
        let text = format!("before {written} after");
        for size in 1..text.len() {
            let pieces: Vec<&str> =
                text.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
            let whole = streamed(&scrub, &pieces).concat();
            let Some((shown, " after")) = whole.split_once('…') else { panic!("{size}: {whole}") };
            // Of three letters nobody could know, and not of the beginning of an escape.
            let shown = shown.strip_prefix("before ").unwrap();
            assert!(written.starts_with(shown) && shown.len() < 4 * 6, "{size}: {whole}");
        }
    }
    assert_eq!(streamed(&scrub, &[SECRET, SECRET]), ["…", "…", ""]);
}

#[test]
fn what_is_no_secret_is_not_waited_for() {
    let scrub = Scrub::new([SECRET]).marking("…");
    let pieces = ["it is", " ask", " sk-9", "0 %", "73k", "ä"];
    assert_eq!(streamed(&scrub, &pieces), ["it is", " ask", " ", "sk-90 %", "73k", "ä", ""]);
    assert_eq!(streamed(&scrub, &["sk-9"]), ["", "sk-9"]);
}

#[test]
fn a_secret_that_others_cut_and_words_in_capitals_are_taken_out() {
    let scrub =
        Scrub::default().marking("…").hiding("sk-live-0123456789abcdef").hiding_words(["http://Host:1/v1", "ab"]);
    assert_eq!(scrub.text("key sk-live-0123456789ab… is bad"), "key …… is bad");
    assert_eq!(scrub.text("key sk-live-0123456789ab"), "key …");
    assert_eq!(scrub.text("key sk-live-01 at HTTP://HOST:1\\/V1, ab"), "key sk-live-01 at …, ab");
}

#[test]
fn what_holds_no_secret_is_left_as_it_is() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(Scrub::new([SECRET]).bytes(all.clone()), all);
    for text in ["", "%", "%2", "\\u00", "&#", "&#99999999999;", "sk-9f/Zq+41%\"\\x&=", "&#x;", "\\"] {
        assert_eq!(clean(text), text);
    }
    assert_eq!(Scrub::default().text("anything"), "anything");
}

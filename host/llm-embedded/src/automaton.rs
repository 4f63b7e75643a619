//! Which bytes may come next of a JSON text that is to fit a schema. It writes nothing, and holds no more states than its limits.
//!
//! A state is a stack of what is still to come. Where several kinds of values are possible, several states are gone on with; a state that
//! meets a byte it does not allow is dropped, and when none is left the byte was not allowed.

use super::schema::{Node, NodeId, Schema};

/// States that are gone on with at once. Those beyond are dropped, which allows less and nothing wrong.
const STATES_MAX: usize = 1024;

/// How deep values stand in each other; JSON's readers have their own limit above it.
const DEPTH_MAX: usize = 96;

/// Digits of a number before and behind its point. With more it is another number when it is read.
const DIGITS_MAX: u8 = 15;

/// Where a text is between its first byte and its last.
pub(super) struct Automaton<'a> {
    schema: &'a Schema,
    states: Vec<Vec<Next<'a>>>,
}

/// Something that is still to come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next<'a> {
    Value(NodeId),
    /// These bytes.
    Bytes(&'a [u8]),
    /// A space, or none.
    Gap,
    /// The rest of a text.
    Text(Letter),
    /// The rest of a number.
    Number {
        part: Part,
        digits: u8,
        is_integer: bool,
    },
    /// Of an object: its end, or a property from this one on.
    Fields {
        node: NodeId,
        from: usize,
        is_first: bool,
    },
    /// A property from this one on.
    Key {
        node: NodeId,
        from: usize,
    },
    /// Of a list that has so many items: its end, or another one.
    Items {
        node: NodeId,
        count: usize,
    },
}

/// Where a text is within a letter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Letter {
    Begins,
    Escaped,
    /// So many hexadecimal digits of a letter of four.
    Hex(u8),
    /// So many bytes of a letter are to come, the next one within these.
    Within {
        left: u8,
        low: u8,
        high: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// Behind a minus.
    Minus,
    /// Nothing but a point may follow.
    Zero,
    Whole,
    /// Behind the point.
    Point,
    Fraction,
}

impl<'a> Automaton<'a> {
    /// At the beginning of a value of this kind.
    pub(super) fn new(schema: &'a Schema, node: NodeId) -> Self {
        Self { schema, states: vec![vec![Next::Value(node)]] }
    }

    /// Goes on with these bytes, if they may come; else stays where it is.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(states) = self.after(bytes) else { return false };
        self.states = states;
        true
    }

    /// Whether these bytes may come.
    pub(super) fn allows(&self, bytes: &[u8]) -> bool {
        self.after(bytes).is_some()
    }

    /// Whether the text may end here.
    pub(super) fn may_end(&self) -> bool {
        let may_end = |next: &Next<'_>| match next {
            Next::Gap => true,
            Next::Number { part, .. } => part.may_end(),
            _ => false,
        };
        self.states.iter().any(|state| state.iter().all(may_end))
    }

    /// Whether nothing more can come.
    pub(super) fn is_over(&self) -> bool {
        self.states.iter().all(Vec::is_empty)
    }

    fn after(&self, bytes: &[u8]) -> Option<Vec<Vec<Next<'a>>>> {
        let (first, rest) = bytes.split_first()?;
        let mut states = Vec::new();
        for state in &self.states {
            self.step(state.clone(), *first, &mut states);
        }
        for byte in rest {
            let before = std::mem::take(&mut states);
            for state in before {
                self.step(state, *byte, &mut states);
            }
        }
        (!states.is_empty()).then_some(states)
    }

    /// Adds what this state becomes with this byte.
    fn step(&self, mut state: Vec<Next<'a>>, byte: u8, into: &mut Vec<Vec<Next<'a>>>) {
        let Some(next) = state.pop() else { return };
        if into.len() >= STATES_MAX {
            return;
        }
        let mut go_on = |mut state: Vec<Next<'a>>, more: &[Next<'a>]| {
            state.extend_from_slice(more);
            into.push(state);
        };
        match next {
            Next::Bytes(bytes) => {
                if let Some((first, rest)) = bytes.split_first()
                    && *first == byte
                {
                    let more = [Next::Bytes(rest)];
                    go_on(state, if rest.is_empty() { &[] } else { &more });
                }
            }
            Next::Gap if byte == b' ' => go_on(state, &[]),
            Next::Gap => self.step(state, byte, into),
            Next::Text(letter) => match letter.after(byte) {
                Some(None) => go_on(state, &[]),
                Some(Some(letter)) => go_on(state, &[Next::Text(letter)]),
                None => {}
            },
            Next::Number { part, digits, is_integer } => match part.after(byte, digits, is_integer) {
                Some((part, digits)) => go_on(state, &[Next::Number { part, digits, is_integer }]),
                None if part.may_end() => self.step(state, byte, into),
                None => {}
            },
            Next::Value(node) => self.value(node, state, byte, into),
            Next::Fields { node, from, is_first } => match byte {
                b'}' if self.may_close(node, from) => go_on(state, &[]),
                b',' if !is_first && self.has_more(node, from) => go_on(state, &[Next::Key { node, from }, Next::Gap]),
                _ if is_first => {
                    state.push(Next::Key { node, from });
                    self.step(state, byte, into);
                }
                _ => {}
            },
            Next::Key { node, from } if byte == b'"' => self.key(node, from, &state, into),
            Next::Key { .. } => {}
            Next::Items { node, count } => self.items(node, count, state, byte, into),
        }
    }

    fn value(&self, node: NodeId, mut state: Vec<Next<'a>>, byte: u8, into: &mut Vec<Vec<Next<'a>>>) {
        let number = |is_integer: bool| {
            let part = match byte {
                b'-' => Part::Minus,
                b'0' => Part::Zero,
                b'1'..=b'9' => Part::Whole,
                _ => return None,
            };
            Some(Next::Number { part, digits: 1, is_integer })
        };
        let next = match self.schema.node(node) {
            Node::Union(parts) => {
                for part in parts {
                    let mut state = state.clone();
                    state.push(Next::Value(*part));
                    self.step(state, byte, into);
                }
                return;
            }
            Node::Literal(texts) => {
                for text in texts {
                    let mut state = state.clone();
                    state.push(Next::Bytes(text.as_bytes()));
                    self.step(state, byte, into);
                }
                return;
            }
            Node::Text => (byte == b'"').then_some(Next::Text(Letter::Begins)),
            Node::Number => number(false),
            Node::Integer => number(true),
            Node::Object { .. } => (byte == b'{').then_some(Next::Fields { node, from: 0, is_first: true }),
            Node::Array { .. } => (byte == b'[').then_some(Next::Items { node, count: 0 }),
            Node::Any => match byte {
                b'"' => Some(Next::Text(Letter::Begins)),
                b'{' => Some(Next::Fields { node, from: 0, is_first: true }),
                b'[' => Some(Next::Items { node, count: 0 }),
                b't' => Some(Next::Bytes(b"rue")),
                b'f' => Some(Next::Bytes(b"alse")),
                b'n' => Some(Next::Bytes(b"ull")),
                _ => number(false),
            },
        };
        let Some(next) = next else { return };
        if state.len() < DEPTH_MAX || !matches!(next, Next::Fields { .. } | Next::Items { .. }) {
            state.push(next);
            into.push(state);
        }
    }

    /// Whether an object that has all before this property may end.
    fn may_close(&self, node: NodeId, from: usize) -> bool {
        match self.schema.node(node) {
            Node::Object { fields, .. } => fields.iter().skip(from).all(|field| !field.required),
            _ => true,
        }
    }

    /// Whether another property may come.
    fn has_more(&self, node: NodeId, from: usize) -> bool {
        match self.schema.node(node) {
            Node::Object { fields, others } => from < fields.len() || others.is_some(),
            _ => true,
        }
    }

    /// The first byte of a name has come.
    fn key(&self, node: NodeId, from: usize, state: &[Next<'a>], into: &mut Vec<Vec<Next<'a>>>) {
        let (fields, others) = match self.schema.node(node) {
            Node::Object { fields, others } => (fields.as_slice(), *others),
            _ => (&[][..], Some(node)),
        };
        for (at, field) in fields.iter().enumerate().skip(from) {
            let name = field.key.as_bytes().get(1..).unwrap_or_default();
            let after = Next::Fields { node, from: at + 1, is_first: false };
            into.push([state, &[after, Next::Value(field.value), Next::Gap, Next::Bytes(name)]].concat());
            if field.required {
                return;
            }
        }
        if let Some(value) = others {
            let after = Next::Fields { node, from, is_first: false };
            let name = [after, Next::Value(value), Next::Gap, Next::Bytes(b":"), Next::Text(Letter::Begins)];
            into.push([state, &name].concat());
        }
    }

    fn items(&self, node: NodeId, count: usize, mut state: Vec<Next<'a>>, byte: u8, into: &mut Vec<Vec<Next<'a>>>) {
        let (item, least, most) = match self.schema.node(node) {
            Node::Array { first, rest, least, most } => (first.get(count).copied().or(*rest), *least, *most),
            _ => (Some(node), 0, usize::MAX),
        };
        if byte == b']' && count >= least {
            into.push(state);
            return;
        }
        let Some(item) = item.filter(|_| count < most) else { return };
        state.push(Next::Items { node, count: count + 1 });
        if count == 0 {
            state.push(Next::Value(item));
            self.step(state, byte, into);
        } else if byte == b',' {
            state.extend([Next::Value(item), Next::Gap]);
            into.push(state);
        }
    }
}

impl Letter {
    /// Where the text is after this byte, none if it is over; nothing at all if the byte may not come.
    fn after(self, byte: u8) -> Option<Option<Self>> {
        let within = |left, low, high| Some(Some(Self::Within { left, low, high }));
        match (self, byte) {
            (Self::Begins, b'"') => Some(None),
            (Self::Begins, b'\\') => Some(Some(Self::Escaped)),
            (Self::Begins, 0x20..=0x7f) => Some(Some(Self::Begins)),
            // The ranges of well-formed UTF-8 (Unicode, table 3-7).
            (Self::Begins, 0xc2..=0xdf) => within(1, 0x80, 0xbf),
            (Self::Begins, 0xe0) => within(2, 0xa0, 0xbf),
            (Self::Begins, 0xed) => within(2, 0x80, 0x9f),
            (Self::Begins, 0xe1..=0xef) => within(2, 0x80, 0xbf),
            (Self::Begins, 0xf0) => within(3, 0x90, 0xbf),
            (Self::Begins, 0xf1..=0xf3) => within(3, 0x80, 0xbf),
            (Self::Begins, 0xf4) => within(3, 0x80, 0x8f),
            (Self::Within { left, low, high }, _) if (low..=high).contains(&byte) => match left {
                1 => Some(Some(Self::Begins)),
                _ => within(left - 1, 0x80, 0xbf),
            },
            (Self::Escaped, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Some(Some(Self::Begins)),
            (Self::Escaped, b'u') => Some(Some(Self::Hex(0))),
            // No halves of a letter: those of more than four digits can be written as they are.
            (Self::Hex(0), b'd' | b'D') => None,
            (Self::Hex(3), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => Some(Some(Self::Begins)),
            (Self::Hex(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => Some(Some(Self::Hex(digits + 1))),
            _ => None,
        }
    }
}

impl Part {
    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction)
    }

    fn after(self, byte: u8, digits: u8, is_integer: bool) -> Option<(Self, u8)> {
        match (self, byte) {
            (Self::Minus, b'0') => Some((Self::Zero, 1)),
            (Self::Minus, b'1'..=b'9') => Some((Self::Whole, 1)),
            (Self::Whole, b'0'..=b'9') if digits < DIGITS_MAX => Some((Self::Whole, digits + 1)),
            (Self::Zero | Self::Whole, b'.') if !is_integer => Some((Self::Point, 0)),
            (Self::Point | Self::Fraction, b'0'..=b'9') if digits < DIGITS_MAX => Some((Self::Fraction, digits + 1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use agentry_abi::bindings::agentry::agent::llm::{OutputForm, Part, Response, StopReason, Usage};
    use agentry_abi::bindings::agentry::agent::types::Cost;

    use super::*;

    fn fits(schema: &str, text: &str) -> bool {
        let mut kinds = Schema::default();
        let root = kinds.read(schema).unwrap_or_else(|why| panic!("{schema}: {why}"));
        let mut automaton = Automaton::new(&kinds, root);
        text.bytes().all(|byte| automaton.push(&[byte])) && automaton.may_end()
    }

    #[track_caller]
    fn check(schema: &str, fitting: &[&str], others: &[&str]) {
        fitting.iter().for_each(|text| assert!(fits(schema, text), "{schema} {text}"));
        others.iter().for_each(|text| assert!(!fits(schema, text), "{schema} {text}"));
    }

    const CITY: &str = r##"{"type":"object","required":["name"],"properties":{"kind":{"enum":["old","older"]},"name":{"type":"string"},
        "near":{"type":"array","items":{"$ref":"#"},"maxItems":2},"size":{"type":["integer","null"]}}}"##;

    #[test]
    fn what_fits_may_come_and_nothing_else() {
        check(
            "{}",
            &["{}", "[]", "7", "-0.5", "\"a\"", "null", r#"{"a": [1, {"b":true}]}"#],
            &["", "{", "01", "1.", "nul", "[1,]", "{a:1}", "1 "],
        );
        check(
            CITY,
            &[
                r#"{"name":"Bonn"}"#,
                r#"{"kind":"older", "name": "B", "near":[{"name":"x"}], "size":-12}"#,
                r#"{"name":"","size":null}"#,
            ],
            &[
                "{}",
                r#"{"size":1}"#,
                r#"{"kind":"ol","name":"x"}"#,
                r#"{"name":"x","size":1.5}"#,
                r#"{"name":"x","other":1}"#,
                r#"{"name":"x","near":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#,
                r#"{"name":"x",}"#,
                r#"{"name":1}"#,
            ],
        );
        check(r#"{"type":"string"}"#, &[r#""Gr\u00fc\n \"ß😀""#], &["\"\n\"", r#""\x""#, r#""\ud83d""#, "\"a", "a"]);
        check(
            r#"{"type":"array","minItems":2,"prefixItems":[{"type":"boolean"}],"items":{"type":"number"}}"#,
            &["[true,1]", "[false, 1.5, -2]"],
            &["[true]", "[1,1]", "[true,false]", "[]"],
        );
        check(
            r#"{"type":"object","additionalProperties":{"type":"integer"}}"#,
            &["{}", r#"{"a":1,"b":2}"#],
            &[r#"{"a":"x"}"#],
        );
        check(r#"{"anyOf":[{"const":{"a":1}},{"type":"null"}]}"#, &[r#"{"a":1}"#, "null"], &[r#"{"a":2}"#]);
        check(
            r##"{"$ref":"#/$defs/list","$defs":{"list":{"anyOf":[{"type":"null"},{"type":"object","required":["next"],"properties":{"next":{"$ref":"#/$defs/list"}}}]}}}"##,
            &["null", r#"{"next":{"next":null}}"#],
            &["{}"],
        );
    }

    #[test]
    fn bytes_of_a_letter_come_one_by_one_and_in_no_other_order() {
        let mut kinds = Schema::default();
        let root = kinds.read(r#"{"type":"string"}"#).unwrap();
        let mut automaton = Automaton::new(&kinds, root);
        assert!(automaton.push(b"\"\xf0\x9f") && !automaton.may_end());
        assert!(!automaton.allows(b"\"") && !automaton.allows(b"\xc3") && !automaton.allows(b""));
        assert!(automaton.push(b"\x98\x80\"") && automaton.may_end() && automaton.is_over());
        for wrong in [&b"\"\xff"[..], b"\"\xc0", b"\"\xed\xa0", b"\"\xf4\x90", b"\"\x80"] {
            assert!(!Automaton::new(&kinds, root).allows(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_kept_to_is_refused_and_no_schema_leads_in_circles() {
        let read = |schema: &str| Schema::default().read(schema);
        for (schema, words) in [
            (r#"{"allOf":[{}]}"#, "`allOf`"),
            (r#"{"anyOf":[{}],"properties":{}}"#, "`anyOf` and `properties`"),
            (r#"{"type":"thing"}"#, "`thing`"),
            (r##"{"$ref":"#/nowhere"}"##, "`#/nowhere`"),
            ("false", "nothing fits"),
            ("oops", "not JSON"),
        ] {
            assert!(read(schema).is_err_and(|why| why.contains(words)), "{schema}");
        }
        for circle in [r##"{"$ref":"#"}"##, r##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##] {
            assert!(!fits(circle, "1"), "{circle}");
        }
        let endless = r##"{"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}}"##;
        assert!(!fits(endless, &"{\"a\":".repeat(500)), "it is ended by its depth");
    }

    /// Numbers that look random, the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end.max(1)
        }
    }

    #[test]
    fn whatever_is_written_in_this_way_is_json_of_the_schema() {
        let schemas = [
            CITY,
            r#"{"type":["number","string","boolean"]}"#,
            r#"{"type":"array","items":{"type":"integer"},"maxItems":4}"#,
            r#"{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"object","properties":{"c":{"enum":[1,"x",null]}}}}}"#,
        ];
        let (mut dice, mut ended) = (Dice(3), 0);
        for round in 0..2000 {
            let schema = schemas[round % schemas.len()];
            let mut kinds = Schema::default();
            let root = kinds.read(schema).unwrap();
            let (mut automaton, mut text) = (Automaton::new(&kinds, root), Vec::new());
            while !automaton.is_over() && text.len() < 400 && !(automaton.may_end() && dice.below(3) == 0) {
                let all: Vec<u8> = (0..=u8::MAX).filter(|byte| automaton.allows(&[*byte])).collect();
                assert!(!all.is_empty(), "{schema}: nothing may follow {}", String::from_utf8_lossy(&text));
                let close = all.iter().find(|byte| b"\"}]".contains(byte)).filter(|_| dice.below(3) == 0);
                let byte = close.copied().unwrap_or_else(|| all[dice.below(all.len())]);
                assert!(automaton.push(&[byte]));
                text.push(byte);
            }
            if automaton.may_end() {
                let text = String::from_utf8(text).unwrap();
                let usage =
                    Usage { input_fresh: 0, cache_read: 0, cache_write: 0, output: 0, reasoning: 0, estimated: false };
                let cost = Cost { microusd: 0, duration_ms: 0 };
                let parts = vec![Part::Text(text.clone())];
                let response =
                    Response { model: String::new(), parts, stop: StopReason::End, usage, cost, preemptions: 0 };
                let form = OutputForm::Schema(schema.to_owned());
                assert_eq!(agentry_llm::reading::lacks(&form, &response), None, "{schema} {text}");
                ended += 1;
            }
        }
        assert!(ended > 1000, "{ended}");
    }
}

//! The subschemas of a schema, each with what it costs to look with it once and with those that it hands on to: at the same place, or below it. All drafts are
//! read at once, so one that means less than it says counts for more. What could lead out of the schema is refused.

use std::collections::{BTreeMap, HashMap};

use regex::RegexBuilder;
use serde_json::{Map, Value};

/// A program for a pattern of a few words, and for a long one: bytes, as `regex` counts them.
const PATTERNS_BYTES: [(usize, u64); 2] = [(4 << 10, 200), (64 << 10, 3_000)];

/// Patterns in one schema. Each takes up to 2 MiB while it matches.
const PATTERNS_MAX: usize = 64;

/// Steps for each byte of a text whose form has a name (`date-time`).
const FORMAT_STEPS: u64 = 8;

/// Items of a list, each compared with each other; of longer ones, each is hashed.
const COMPARED_TIMES: u64 = 20;

/// Keys by which one schema hands the place on to a list of others, to one, and by name.
const HERE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const HERE: [&str; 4] = ["not", "if", "then", "else"];
const HERE_BY_NAME: [&str; 2] = ["dependentSchemas", "dependencies"];

/// Keys whose meaning depends on who points here, so that nobody can tell it beforehand.
const UNFORESEEN: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// One subschema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// One look, with all values that it compares.
    pub cost: u64,
    /// Steps for each byte of a text.
    pub text: u64,
    /// Steps for each byte of a name in an object.
    pub name_text: u64,
    /// How often each thing that lies in a list is compared with others.
    pub compares: u64,
    /// Who looks at the same place.
    pub here: Vec<usize>,
    /// Who looks at each name of an object.
    pub names: Vec<usize>,
    /// Who looks at a thing of this name.
    pub properties: BTreeMap<String, usize>,
    /// Who looks at a thing of a name that is not among these.
    pub additional: Vec<usize>,
    /// Who may look at a thing of any name: by a pattern of its name, or if nobody else did.
    pub any: Vec<usize>,
    /// Who looks at the first things of a list.
    pub first: Vec<usize>,
    /// Who looks at those behind them.
    pub rest: Vec<usize>,
    /// Who may look at all of them.
    pub all: Vec<usize>,
}

impl Node {
    /// Who may look at a thing of this name; none is any name that no schema has.
    pub(super) fn of_name(&self, name: Option<&str>) -> impl Iterator<Item = usize> {
        let own = name.and_then(|name| self.properties.get(name));
        let others = if own.is_none() { self.additional.as_slice() } else { &[] };
        own.into_iter().chain(others).chain(&self.any).copied()
    }

    /// Who may look at the thing with this number in a list.
    pub(super) fn at(&self, at: usize) -> impl Iterator<Item = usize> {
        let own = self.first.get(at);
        let others = if own.is_none() { self.rest.as_slice() } else { &[] };
        own.into_iter().chain(others).chain(&self.all).copied()
    }

    /// Whether it takes each thing in hand, and be it to see that it says nothing of it.
    pub(super) fn goes_through_all(&self) -> bool {
        let below = [&self.additional, &self.any, &self.first, &self.rest, &self.all, &self.names];
        !self.properties.is_empty() || below.iter().any(|below| !below.is_empty())
    }
}

/// All of them; the first is the whole.
#[derive(Debug)]
pub(super) struct Nodes {
    pub all: Vec<Node>,
    /// Whether what has been looked at is remembered at each place, for `unevaluated…`.
    pub remembers: bool,
}

/// Reads those that the schema can come to.
///
/// # Errors
/// If one leads elsewhere, or cannot be foreseen.
pub(super) fn read(schema: &Value) -> Result<Nodes, String> {
    let mut anchors = HashMap::new();
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let id = if draft.contains("draft-04") { "id" } else { "$id" };
    below(schema).try_for_each(|part| find_anchors(part, id, &mut anchors))?;
    own_anchors(schema, id, &mut anchors)?;
    let nodes = Nodes { all: Vec::new(), remembers: false };
    let mut reader = Reader { root: schema, anchors, numbers: HashMap::new(), found: Vec::new(), patterns: 0, nodes };
    reader.number(schema);
    while let Some(schema) = reader.found.get(reader.nodes.all.len()).copied() {
        let node = reader.node(schema)?;
        reader.nodes.all.push(node);
    }
    Ok(reader.nodes)
}

type Anchors<'a> = HashMap<&'a str, &'a Value>;

/// What lies in a value.
fn below(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Object(fields) => Box::new(fields.values()),
        Value::Array(items) => Box::new(items.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    }
}

/// Places that have a name, in whatever part it stands: what is no schema is taken for one here, and for none by whoever compiles it. A part that has an
/// address would make others of what points from within it.
fn find_anchors<'a>(part: &'a Value, id: &str, anchors: &mut Anchors<'a>) -> Result<(), String> {
    if let Some(id) = part.get(id).and_then(Value::as_str).filter(|id| !id.starts_with('#')) {
        return Err(format!("a part of it is called `{id}`: only the whole may have an address"));
    }
    own_anchors(part, id, anchors)?;
    below(part).try_for_each(|part| find_anchors(part, id, anchors))
}

fn own_anchors<'a>(part: &'a Value, id: &str, anchors: &mut Anchors<'a>) -> Result<(), String> {
    let named = |key: &str| part.get(key).and_then(Value::as_str);
    for name in [named("$anchor"), named("$dynamicAnchor"), named(id).and_then(|id| id.strip_prefix('#'))] {
        if let Some(name) = name.filter(|name| !name.is_empty())
            && anchors.insert(name, part).is_some_and(|before| !std::ptr::eq(before, part))
        {
            return Err("two places in it have the same name".to_owned());
        }
    }
    Ok(())
}

struct Reader<'a> {
    root: &'a Value,
    anchors: Anchors<'a>,
    /// By where they lie in memory.
    numbers: HashMap<*const Value, usize>,
    found: Vec<&'a Value>,
    patterns: usize,
    nodes: Nodes,
}

impl<'a> Reader<'a> {
    fn number(&mut self, schema: &'a Value) -> usize {
        let next = self.found.len();
        let number = *self.numbers.entry(std::ptr::from_ref(schema)).or_insert(next);
        if number == next {
            self.found.push(schema);
        }
        number
    }

    fn node(&mut self, schema: &'a Value) -> Result<Node, String> {
        let mut node = Node { cost: 1, ..Node::default() };
        let Value::Object(fields) = schema else { return Ok(node) };
        if let Some(key) = UNFORESEEN.into_iter().find(|key| fields.contains_key(*key)) {
            return Err(format!("`{key}` is not taken: what it leads to cannot be foreseen"));
        }
        if let Some(Value::String(to)) = fields.get("$ref") {
            let to = self.pointed(to)?;
            node.here.push(self.number(to));
        }
        self.here(fields, &mut node);
        self.below_objects(fields, &mut node)?;
        self.below_lists(fields, &mut node);
        node.cost += ["enum", "const", "required", "dependentRequired", "dependencies", "type"]
            .into_iter()
            .filter_map(|key| fields.get(key))
            .map(values)
            .sum::<u64>();
        if let Some(Value::String(pattern)) = fields.get("pattern") {
            node.text += self.pattern(pattern)?;
        }
        let of_text = ["minLength", "maxLength"].into_iter().filter(|key| fields.contains_key(*key)).count();
        node.text += of_text as u64 + if fields.contains_key("format") { FORMAT_STEPS } else { 0 };
        node.compares = if fields.get("uniqueItems") == Some(&Value::Bool(true)) { COMPARED_TIMES } else { 0 };
        Ok(node)
    }

    /// Who looks at the same place.
    fn here(&mut self, fields: &'a Map<String, Value>, node: &mut Node) {
        for key in HERE_LISTS {
            let Some(Value::Array(list)) = fields.get(key) else { continue };
            node.here.extend(list.iter().map(|one| self.number(one)));
        }
        for key in HERE {
            node.here.extend(fields.get(key).map(|one| self.number(one)));
        }
        for key in HERE_BY_NAME {
            let Some(Value::Object(by_name)) = fields.get(key) else { continue };
            let schemas = by_name.values().filter(|one| !one.is_array());
            node.here.extend(schemas.map(|one| self.number(one)));
            node.cost += by_name.len() as u64;
        }
    }

    fn below_objects(&mut self, fields: &'a Map<String, Value>, node: &mut Node) -> Result<(), String> {
        if let Some(Value::Object(properties)) = fields.get("properties") {
            for (name, one) in properties {
                let number = self.number(one);
                node.properties.insert(name.clone(), number);
            }
        }
        if let Some(Value::Object(patterns)) = fields.get("patternProperties") {
            for (pattern, one) in patterns {
                node.name_text += self.pattern(pattern)?;
                node.any.push(self.number(one));
            }
        }
        node.additional.extend(fields.get("additionalProperties").map(|one| self.number(one)));
        node.names.extend(fields.get("propertyNames").map(|one| self.number(one)));
        if let Some(one) = fields.get("unevaluatedProperties") {
            self.nodes.remembers = true;
            node.any.push(self.number(one));
        }
        Ok(())
    }

    fn below_lists(&mut self, fields: &'a Map<String, Value>, node: &mut Node) {
        match fields.get("items") {
            Some(Value::Array(first)) => node.first.extend(first.iter().map(|one| self.number(one))),
            Some(rest) => node.rest.push(self.number(rest)),
            None => {}
        }
        if let Some(Value::Array(first)) = fields.get("prefixItems") {
            node.first.extend(first.iter().map(|one| self.number(one)));
        }
        node.rest.extend(fields.get("additionalItems").map(|one| self.number(one)));
        node.all.extend(fields.get("contains").map(|one| self.number(one)));
        if let Some(one) = fields.get("unevaluatedItems") {
            self.nodes.remembers = true;
            node.all.push(self.number(one));
        }
    }

    /// Where a `$ref` points to.
    fn pointed(&self, to: &str) -> Result<&'a Value, String> {
        let place = to.strip_prefix('#').ok_or("a schema may only point into itself")?;
        if place.contains('%') {
            return Err(format!("`{to}` is not taken: write its letters as they are"));
        }
        let found = match place {
            "" => Some(self.root),
            pointer if pointer.starts_with('/') => self.root.pointer(pointer),
            name => self.anchors.get(name).copied(),
        };
        found.ok_or_else(|| format!("`{to}` points at nothing"))
    }

    /// What each byte costs that is held against a pattern, whose program is bounded.
    fn pattern(&mut self, pattern: &str) -> Result<u64, String> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(format!("it has more than {PATTERNS_MAX} patterns"));
        }
        let written = as_compiled(pattern);
        let fits = |bytes: usize| RegexBuilder::new(&written).size_limit(bytes).build();
        let mut why = String::new();
        for (bytes, steps) in PATTERNS_BYTES {
            match fits(bytes) {
                Ok(_) => return Ok(steps),
                Err(error) => why = error.to_string(),
            }
        }
        Err(format!("the pattern `{pattern}` is not taken: {why}"))
    }
}

/// A pattern with the classes of ECMA 262, as `boon` compiles it: its digits and letters are those of ASCII.
fn as_compiled(pattern: &str) -> String {
    let (mut written, mut letters) = (String::with_capacity(pattern.len()), pattern.chars());
    while let Some(letter) = letters.next() {
        match (letter, if letter == '\\' { letters.next() } else { None }) {
            ('\\', Some('d')) => written.push_str("[0-9]"),
            ('\\', Some('D')) => written.push_str("[^0-9]"),
            ('\\', Some('w')) => written.push_str("[A-Za-z0-9_]"),
            ('\\', Some('W')) => written.push_str("[^A-Za-z0-9_]"),
            (letter, escaped) => written.extend([letter].into_iter().chain(escaped)),
        }
    }
    written
}

/// How many values there are in one, itself included.
fn values(value: &Value) -> u64 {
    1 + below(value).map(values).sum::<u64>()
}

//! A JSON Schema as the texts that fit it, for whoever writes byte by byte. What would make a text fit and cannot be kept to is refused by
//! its name; words that only narrow a value (`pattern`, `minimum`, `maxLength`, `format` and their like) are left to the model.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Kinds of values in one schema; larger ones are no answer's.
const NODES_MAX: usize = 1024;

/// Words that decide whether a value fits, beyond those that are kept to.
const NOT_KEPT: [&str; 12] = [
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "contains",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "$dynamicRef",
];

/// Words that say what a value is, each by itself.
const KINDS: [&str; 5] = ["$ref", "anyOf", "oneOf", "enum", "const"];

/// Names a kind of value.
pub(super) type NodeId = usize;

/// A kind of value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Any.
    Any,
    /// Its properties stand in this order; those that need not be there may be left out.
    Object {
        fields: Vec<Field>,
        others: Option<NodeId>,
    },
    /// So many at least and at most: the first of kinds of their own, the rest of one.
    Array {
        first: Vec<NodeId>,
        rest: Option<NodeId>,
        least: usize,
        most: usize,
    },
    Text,
    Number,
    Integer,
    /// One of these, as JSON.
    Literal(Vec<String>),
    /// One of these.
    Union(Vec<NodeId>),
}

/// A property.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// The name as JSON, with a colon behind.
    pub(super) key: String,
    pub(super) value: NodeId,
    pub(super) required: bool,
}

/// All kinds of values of a schema.
#[derive(Debug, Default)]
pub(super) struct Schema {
    nodes: Vec<Node>,
}

impl Schema {
    /// The kind of this name.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Any)
    }

    /// Another kind.
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// What fits this schema.
    ///
    /// # Errors
    /// What of it cannot be kept to; a sentence for the guest.
    pub(super) fn read(&mut self, text: &str) -> Result<NodeId, String> {
        let root: Value = serde_json::from_str(text).map_err(|why| format!("the schema is not JSON: {why}"))?;
        let node = Reader { schema: self, root: &root, known: HashMap::new() }.value(&root)?;
        self.flatten();
        Ok(node)
    }

    /// A choice of choices is one choice, so that none leads to itself.
    fn flatten(&mut self) {
        for id in 0..self.nodes.len() {
            if let Node::Union(parts) = self.node(id) {
                let (mut open, mut seen, mut leaves) = (parts.clone(), HashSet::from([id]), Vec::new());
                open.reverse();
                while let Some(part) = open.pop() {
                    match self.node(part) {
                        _ if !seen.insert(part) => {}
                        Node::Union(more) => open.extend(more.iter().rev()),
                        _ => leaves.push(part),
                    }
                }
                self.nodes[id] = Node::Union(leaves);
            }
        }
    }

    /// A call of a tool with arguments of this kind.
    pub(super) fn call(&mut self, name: &str, arguments: NodeId) -> NodeId {
        let name = self.add(Node::Literal(vec![Value::from(name).to_string()]));
        let fields = [("name", name), ("arguments", arguments)];
        let fields = fields.map(|(key, value)| Field { key: format!("\"{key}\":"), value, required: true });
        self.add(Node::Object { fields: fields.to_vec(), others: None })
    }

    /// Any of these.
    pub(super) fn choice(&mut self, parts: Vec<NodeId>) -> NodeId {
        let choice = self.add(Node::Union(parts));
        self.flatten();
        choice
    }

    /// Any object or list.
    pub(super) fn json(&mut self) -> NodeId {
        let any = self.add(Node::Any);
        let object = self.add(Node::Object { fields: Vec::new(), others: Some(any) });
        let array = self.add(Node::Array { first: Vec::new(), rest: Some(any), least: 0, most: usize::MAX });
        self.add(Node::Union(vec![object, array]))
    }
}

struct Reader<'a> {
    schema: &'a mut Schema,
    root: &'a Value,
    /// What a pointer leads to, so that a schema may point into itself.
    known: HashMap<&'a str, NodeId>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, schema: &'a Value) -> Result<NodeId, String> {
        if self.schema.nodes.len() >= NODES_MAX {
            return Err("the schema is too large for this model".to_owned());
        }
        let schema = match schema {
            Value::Bool(true) => return Ok(self.schema.add(Node::Any)),
            Value::Object(schema) => schema,
            _ => return Err("nothing fits the schema".to_owned()),
        };
        if let Some(word) = NOT_KEPT.iter().find(|word| schema.contains_key(**word)) {
            return Err(format!("this model cannot be held to `{word}` of a schema"));
        }
        let kinds: Vec<&str> = KINDS.into_iter().filter(|word| schema.contains_key(*word)).collect();
        let beside = ["properties", "required", "items", "prefixItems"].iter().find(|word| schema.contains_key(**word));
        let node = match (kinds.as_slice(), beside) {
            ([], _) => self.typed(schema)?,
            ([word], None) => self.kind(word, schema)?,
            ([word, other, ..], _) => {
                return Err(format!("this model cannot be held to `{word}` and `{other}` at once"));
            }
            ([word], Some(other)) => {
                return Err(format!("this model cannot be held to `{word}` and `{other}` at once"));
            }
        };
        if schema.get("nullable") != Some(&Value::Bool(true)) {
            return Ok(node);
        }
        let null = self.schema.add(Node::Literal(vec!["null".to_owned()]));
        Ok(self.schema.add(Node::Union(vec![node, null])))
    }

    fn kind(&mut self, word: &str, schema: &'a Map<String, Value>) -> Result<NodeId, String> {
        match (word, schema.get(word)) {
            ("$ref", Some(Value::String(path))) => self.target(path),
            ("anyOf" | "oneOf", Some(Value::Array(parts))) => {
                let parts = parts.iter().map(|part| self.value(part)).collect::<Result<_, _>>()?;
                Ok(self.schema.add(Node::Union(parts)))
            }
            ("enum", Some(Value::Array(values))) => {
                let types = types(schema);
                let fits = |value: &&Value| types.is_empty() || types.iter().any(|name| is_of(name, value));
                Ok(self.literals(values.iter().filter(fits)))
            }
            ("const", Some(value)) => Ok(self.literals([value].into_iter())),
            _ => Err(format!("`{word}` of the schema is none")),
        }
    }

    fn literals(&mut self, values: impl Iterator<Item = &'a Value>) -> NodeId {
        let values = values.map(Value::to_string).collect();
        self.schema.add(Node::Literal(values))
    }

    fn target(&mut self, path: &'a str) -> Result<NodeId, String> {
        if let Some(known) = self.known.get(path) {
            return Ok(*known);
        }
        let target = path.strip_prefix('#').and_then(|path| self.root.pointer(path));
        let target = target.ok_or_else(|| format!("the schema points to `{path}`, which is not in it"))?;
        // Its place is known before it is read, so that it may lead to itself.
        let place = self.schema.add(Node::Union(Vec::new()));
        self.known.insert(path, place);
        let node = self.value(target)?;
        if let Some(kept) = self.schema.nodes.get_mut(place) {
            *kept = Node::Union(vec![node]);
        }
        Ok(place)
    }

    fn typed(&mut self, schema: &'a Map<String, Value>) -> Result<NodeId, String> {
        let mut types = types(schema);
        if types.is_empty() && schema.contains_key("properties") {
            types.push("object");
        }
        if types.is_empty() && (schema.contains_key("items") || schema.contains_key("prefixItems")) {
            types.push("array");
        }
        let nodes = types.iter().map(|name| self.of_type(name, schema)).collect::<Result<Vec<_>, _>>()?;
        Ok(match nodes.as_slice() {
            [] => self.schema.add(Node::Any),
            [node] => *node,
            _ => self.schema.add(Node::Union(nodes)),
        })
    }

    fn of_type(&mut self, name: &str, schema: &'a Map<String, Value>) -> Result<NodeId, String> {
        let words = |words: &[&str]| Node::Literal(words.iter().map(|word| (*word).to_owned()).collect());
        let node = match name {
            "null" => words(&["null"]),
            "boolean" => words(&["true", "false"]),
            "string" => Node::Text,
            "number" => Node::Number,
            "integer" => Node::Integer,
            "object" => self.object(schema)?,
            "array" => self.array(schema)?,
            other => return Err(format!("`{other}` is no type of a schema")),
        };
        Ok(self.schema.add(node))
    }

    fn object(&mut self, schema: &'a Map<String, Value>) -> Result<Node, String> {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            // Where some are named, they are all that is meant.
            _ if properties.is_some_and(|properties| !properties.is_empty()) => None,
            Some(other) => Some(self.value(other)?),
            None => Some(self.schema.add(Node::Any)),
        };
        let mut fields = Vec::new();
        for (name, value) in properties.into_iter().flatten() {
            let value = self.value(value)?;
            fields.push(Field { key: key(name), value, required: required.contains(&name.as_str()) });
        }
        // What is wanted and not described may be anything.
        for name in required.iter().filter(|name| !properties.is_some_and(|known| known.contains_key(**name))) {
            let value = self.schema.add(Node::Any);
            fields.push(Field { key: key(name), value, required: true });
        }
        Ok(Node::Object { fields, others })
    }

    fn array(&mut self, schema: &'a Map<String, Value>) -> Result<Node, String> {
        let count = |word: &str| schema.get(word).and_then(Value::as_u64).map(|count| count as usize);
        let first = schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten();
        let first = first.map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
        let rest = match schema.get("items") {
            Some(Value::Bool(false)) => None,
            Some(items) => Some(self.value(items)?),
            None => Some(self.schema.add(Node::Any)),
        };
        let (least, most) = (count("minItems").unwrap_or(0), count("maxItems").unwrap_or(usize::MAX));
        let most = if rest.is_some() { most } else { most.min(first.len()) };
        if least > most {
            return Err("nothing fits the schema".to_owned());
        }
        Ok(Node::Array { first, rest, least, most })
    }
}

fn key(name: &str) -> String {
    format!("{}:", Value::from(name))
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

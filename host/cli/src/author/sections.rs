//! Where two components differ first, in words: for whoever wonders what of a package another build would change. It cuts files that have
//! passed the gate at their sections, and decodes nothing of these but their names.

use std::ops::Range;

use wasmparser::{Encoding, Parser, Payload};

const OF_A_MODULE: [&str; 14] = [
    "custom section",
    "types",
    "imports",
    "functions",
    "tables",
    "memories",
    "globals",
    "exports",
    "start",
    "elements",
    "code",
    "data",
    "data count",
    "tags",
];

const OF_A_COMPONENT: [&str; 12] = [
    "custom section",
    "module",
    "module instances",
    "module types",
    "component",
    "instances",
    "aliases",
    "types",
    "functions",
    "start",
    "imports",
    "exports",
];

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The section: `code of module 1`.
    pub section: String,
    /// The byte of it.
    pub at: usize,
    /// How many it has in one and in the other.
    pub bytes: (usize, usize),
}

/// Where these differ first; none if they are the same.
pub fn difference(one: &[u8], other: &[u8]) -> Option<Difference> {
    if one == other {
        return None;
    }
    let (these, those) = (sections(one), sections(other));
    for at in 0..these.len().max(those.len()) {
        let (this, that) = (these.get(at), those.get(at));
        let bytes = |whole: &'_ [u8], of: Option<&(String, Range<usize>)>| {
            of.and_then(|(_, range)| whole.get(range.clone())).unwrap_or_default().to_vec()
        };
        let (here, there) = (bytes(one, this), bytes(other, that));
        let (named, also) = (this.map(|(name, _)| name), that.map(|(name, _)| name));
        if named != also || here != there {
            let section = named.or(also).cloned().unwrap_or_default();
            let same = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
            return Some(Difference { section, at: same, bytes: (here.len(), there.len()) });
        }
    }
    // Sections alike and files not: their heads or the lengths of sections are written otherwise.
    Some(Difference { section: "heads of sections".to_owned(), at: 0, bytes: (one.len(), other.len()) })
}

/// The sections that have none below them, each with what it is and where it lies, as far as the file can be read.
fn sections(bytes: &[u8]) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    // What is open, from the outside to the inside: whether it is a module, and what it is called.
    let mut open: Vec<(bool, String)> = Vec::new();
    let mut modules = 0_u32;
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match &payload {
            Payload::Version { encoding: Encoding::Module, .. } => {
                modules += 1;
                open.push((true, format!(" of module {modules}")));
            }
            Payload::Version { .. } => {
                let name = if open.is_empty() { "" } else { " of a component inside" };
                open.push((false, name.to_owned()));
            }
            Payload::End(_) => drop(open.pop()),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {}
            _ => {
                let (Some((id, range)), Some((is_module, of))) = (payload.as_section(), open.last()) else { continue };
                let names: &[&str] = if *is_module { &OF_A_MODULE } else { &OF_A_COMPONENT };
                let name = match &payload {
                    Payload::CustomSection(custom) => format!("section `{}`", custom.name()),
                    _ => names.get(usize::from(id)).map_or_else(|| format!("section {id}"), |name| (*name).to_owned()),
                };
                found.push((format!("{name}{of}"), range));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one module, which has a memory and this in it, and a custom section behind it.
    fn component(data: u8, custom: &[u8]) -> Vec<u8> {
        let module = [&b"\0asm\x01\0\0\0"[..], &[5, 3, 1, 0, 1], &[11, 7, 1, 0, 0x41, 0, 0x0b, 1, data]].concat();
        let length = u8::try_from(module.len()).expect("a short module");
        let behind = u8::try_from(custom.len() + 2).expect("a short section");
        [&b"\0asm\x0d\0\x01\0"[..], &[1, length], &module, &[0, behind, 1, b'x'], custom].concat()
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = component(7, b"a");
        assert_eq!(difference(&one, &one), None);
        let told = difference(&one, &component(8, b"b")).expect("they differ");
        assert_eq!((told.section.as_str(), told.at, told.bytes), ("data of module 1", 6, (7, 7)));
        let told = difference(&one, &component(7, b"ab")).expect("they differ");
        assert_eq!((told.section.as_str(), told.bytes.1 - told.bytes.0), ("section `x`", 1));
        let whole = one.len();
        let shorter = &one[..whole - 5];
        assert_eq!(difference(&one, shorter).expect("they differ").section, "section `x`");
    }
}

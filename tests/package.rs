//! Components cut up and put together again, to make the packages that nobody should ship.

/// The custom section that holds a manifest.
const SECTION: &str = "agentry-manifest";

/// A component as its top-level sections.
pub struct Sections(Vec<(u8, Vec<u8>)>);

impl Sections {
    /// Cuts a component up.
    pub fn of(component: &[u8]) -> Self {
        let mut rest = component.get(8..).expect("a component has a head");
        let mut sections = Vec::new();
        while let Some((&id, tail)) = rest.split_first() {
            let (size, tail) = read_leb(tail);
            let (body, tail) = tail.split_at(size);
            sections.push((id, body.to_vec()));
            rest = tail;
        }
        Self(sections)
    }

    /// A component of nothing.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Puts it together.
    pub fn component(&self) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (id, body) in &self.0 {
            bytes.push(*id);
            write_leb(body.len(), &mut bytes);
            bytes.extend_from_slice(body);
        }
        bytes
    }

    /// The text of its manifest.
    pub fn manifest(&self) -> String {
        let bytes = self.0.iter().find_map(|section| manifest_of(section)).expect("a package has a manifest");
        String::from_utf8(bytes.to_vec()).expect("a manifest is text")
    }

    /// The same without a manifest.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.0.retain(|section| manifest_of(section).is_none());
        self
    }

    /// The same with one more manifest.
    #[must_use]
    pub fn and(mut self, manifest: &str) -> Self {
        let mut body = Vec::new();
        write_leb(SECTION.len(), &mut body);
        body.extend_from_slice(SECTION.as_bytes());
        body.extend_from_slice(manifest.as_bytes());
        self.0.push((0, body));
        self
    }
}

fn manifest_of((id, body): &(u8, Vec<u8>)) -> Option<&[u8]> {
    let (length, rest) = (*id == 0).then(|| read_leb(body))?;
    rest.strip_prefix(SECTION.as_bytes()).filter(|_| length == SECTION.len())
}

/// Unsigned LEB128, as the binary format has it.
fn read_leb(mut bytes: &[u8]) -> (usize, &[u8]) {
    let (mut number, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (number, bytes)
}

fn write_leb(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Every place of `from` in `bytes`, replaced by a text of the same length, so that no size changes.
pub fn patched(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "sizes must not change");
    let mut found = 0;
    for at in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "`{from}` is not in there");
    bytes
}

//! Event streams, as the HTML standard reads them (section 9.2.6). It reads a whole one, and believes no event that is not finished.

/// What each event of the type `message` carries.
pub(crate) fn data(stream: &str) -> Vec<String> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream).replace("\r\n", "\n");
    // What stands behind the last break of a line is the beginning of one.
    let lines = stream.rsplit_once(['\n', '\r']).map_or("", |(whole, _)| whole);
    let (mut all, mut data, mut kind) = (Vec::new(), String::new(), String::new());
    for line in lines.split(['\n', '\r']) {
        if line.is_empty() {
            let (whole, of) = (std::mem::take(&mut data), std::mem::take(&mut kind));
            // The first event of a stream may have an id and nothing to say.
            if !whole.trim().is_empty() && (of.is_empty() || of == "message") {
                all.push(whole);
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "event" => kind = value.to_owned(),
            // A comment has no name; ids and delays are for whoever comes back, which this client does not.
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_parted_by_empty_lines_of_any_kind() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = [
                "\u{feff}: hello",
                "id: 1",
                "data:",
                "",
                "event: message",
                "data: {",
                "data:  }",
                "",
                "event: other",
                "data: x",
                "",
                "retry: 5",
                "data",
                "data:2",
                "",
                "data: cut off",
                "",
                "",
            ];
            let found = data(&stream.join(end));
            assert_eq!(found, ["{\n }\n", "\n2\n", "cut off\n"]);
        }
        assert!(data("data: not finished\n").is_empty());
        assert!(data("").is_empty());
    }
}

//! Server-sent events: no bytes break the decoder, cut anywhere they are the same events, and none is longer than its limit.

use agentry_llm::sse::{Decoder, EVENT_MAX_BYTES, Event, Malformed};

/// The properties of a stream.
pub fn holds(bytes: &[u8]) {
    let whole = events(&[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(events(&single), whole);
    let (events, _) = whole;
    for event in events {
        assert!(!event.data.trim_ascii().is_empty() && event.data.len() <= EVENT_MAX_BYTES);
        assert!(!event.name.contains(['\r', '\n']) && !event.data.contains('\r'));
    }
}

fn events(pieces: &[&[u8]]) -> (Vec<Event>, Result<(), Malformed>) {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    let mut heard = |event| events.push(event);
    let fed = pieces.iter().try_for_each(|piece| decoder.feed(piece, &mut heard));
    let end = fed.and_then(|()| decoder.end(|data| data.ends_with('}'), &mut heard));
    (events, end)
}

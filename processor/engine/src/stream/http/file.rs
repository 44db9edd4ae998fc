//! Bodies as files: their records, where those are asked for.

use weir_contract::record;

use super::{
    cookie::decode_percent,
    lines::{Field, Lines},
    message::Message,
    record::{elapsed, number},
};
use crate::{
    cursor::Cursor,
    digits::push_hex,
    output::{Draft, Output, push_wire_text},
    stream::content::Content,
};

/// What reads the body behind a header; `None` where nobody asks for it.
pub(super) fn begin(head: &Lines, out: &Output) -> Option<Box<Content>> {
    out.selects::<record::File>().then(|| Box::new(Content::new(encoding(head))))
}

/// Writes the record of a body that was read, or as much of it as was.
pub(super) fn write(message: &mut Message, depth: u32, is_over: bool, from_responder: bool, out: &mut Output) {
    let Some(content) = message.content.take().filter(|_| message.body_bytes > 0) else { return };
    let Some(mut file) = out.record::<record::File>() else { return };
    file.ts_ns = message.body_first_ns;
    file.from_responder = from_responder;
    file.protocol.push_str("http");
    file.depth = depth;
    file.transferred_bytes = number(message.body_bytes);
    file.bytes = number(content.bytes());
    file.media_type.push_str(content.media_type());
    file.duration_ns = elapsed(message.body_first_ns, message.last_ns);
    if let Some(hash) = content.sha256().filter(|_| is_over) {
        file.complete = true;
        push_hex(&mut file.sha256, &hash);
    }
    push(&mut file, field(&message.head, b"content-type"), |file| &mut file.content_type);
    if !Content::undoes(encoding(&message.head)) {
        push(&mut file, encoding(&message.head), |file| &mut file.encoding);
    }
    let mut decoded = Vec::new();
    let name = file_name(field(&message.head, b"content-disposition"), &mut decoded);
    push(&mut file, name, |file| &mut file.name);
}

fn push(file: &mut Draft<'_, record::File>, value: &[u8], place: fn(&mut record::File) -> &mut String) {
    if let Err(malformed) = push_wire_text(place(file), &Cursor::new(value)) {
        file.note(malformed);
    }
}

/// What Content-Encoding says; empty where it says nothing.
fn encoding(head: &Lines) -> &[u8] {
    let encoding = field(head, b"content-encoding");
    if encoding.eq_ignore_ascii_case(b"identity") { &[] } else { encoding }
}

/// The first field of that name.
fn field<'h>(head: &'h Lines, name: &[u8]) -> &'h [u8] {
    let mut fields = head.fields_behind_first();
    fields.find(|field| field.name.eq_ignore_ascii_case(name)).map_or(&[], |field: Field<'h>| field.value)
}

/// The name in a Content-Disposition (RFC 6266 §4.3): that of `filename*`, else of `filename`; empty without.
fn file_name<'a>(disposition: &'a [u8], decoded: &'a mut Vec<u8>) -> &'a [u8] {
    let (mut plain, mut extended) = (None, None);
    for (name, value) in parameters(disposition) {
        if name.eq_ignore_ascii_case(b"filename") {
            plain = plain.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"filename*") {
            extended = extended.or(Some(value));
        }
    }
    // RFC 8187 §3.2: charset, language and text, with quotes between.
    if let Some(text) = extended.and_then(|value| value.splitn(3, |&byte| byte == b'\'').nth(2)) {
        decode_percent(decoded, text, b'+');
    } else if let Some(value) = plain {
        unquote(value, decoded);
    }
    decoded
}

/// Names and values behind the first semicolon; a semicolon in quotes parts nothing.
fn parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = value.split(move |&byte| {
        let is_plain = !std::mem::take(&mut is_escaped);
        match byte {
            b'\\' if is_quoted => is_escaped = is_plain,
            b'"' if is_plain => is_quoted = !is_quoted,
            _ => {}
        }
        byte == b';' && !is_quoted
    });
    parts.skip(1).filter_map(|part| {
        let equals = part.iter().position(|&byte| byte == b'=')?;
        let (name, value) = part.split_at(equals);
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

/// A quoted string without its quotes and backslashes (RFC 9110 §5.6.4); else as it is.
fn unquote(value: &[u8], out: &mut Vec<u8>) {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        out.extend_from_slice(value);
        return;
    };
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(disposition: &str) -> String {
        String::from_utf8(file_name(disposition.as_bytes(), &mut Vec::new()).to_vec()).unwrap()
    }

    #[test]
    fn names_of_files() {
        assert_eq!(name("attachment; filename=a.txt"), "a.txt");
        assert_eq!(name(r#"Attachment ; size=1; FileName = "a; \"b\".txt" ; x=y"#), r#"a; "b".txt"#);
        assert_eq!(name("attachment; filename=\"EURO.txt\"; filename*=utf-8'en'%e2%82%ac.txt"), "€.txt");
        assert_eq!(name(r#"form-data; name="filename=no""#), "");
        for none in ["", "attachment", "inline;", "filename=a", "attachment; filename", "attachment; filename*=x"] {
            assert_eq!(name(none), "", "{none}");
        }
    }
}

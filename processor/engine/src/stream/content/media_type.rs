//! What content is by its first bytes, whatever is said of it.

use serde::{Deserialize, Serialize};

/// Bytes of content that are looked at: the mark of tar archives ends there.
const SNIFFED_BYTES: usize = 262;

/// The first bytes of content, as many as are looked at.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::stream) struct Beginning(Vec<u8>);

impl Beginning {
    /// Whether more bytes would be looked at.
    pub(in crate::stream) fn is_wanting(&self) -> bool {
        self.0.len() < SNIFFED_BYTES
    }

    /// Takes those of the next bytes that belong to it.
    pub(in crate::stream) fn push(&mut self, bytes: &[u8]) {
        let wanted = SNIFFED_BYTES.saturating_sub(self.0.len());
        self.0.extend_from_slice(bytes.get(..wanted).unwrap_or(bytes));
    }

    /// The media type that it tells; empty where it tells none.
    pub(in crate::stream) fn media_type(&self) -> &'static str {
        media_type(&self.0)
    }

    pub(in crate::stream) fn held_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Marks at the beginning of files.
const MARKS: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\0\0\x01\0", "image/vnd.microsoft.icon"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"!<arch>\n", "application/x-archive"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-elf"),
    (b"\xca\xfe\xba\xbe", "application/java-vm"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\0asm", "application/wasm"),
    (b"dex\n", "application/vnd.android.dex"),
    (b"FWS", "application/vnd.adobe.flash.movie"),
    (b"CWS", "application/vnd.adobe.flash.movie"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"MThd", "audio/midi"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OTTO", "font/otf"),
    (b"\0\x01\0\0\0", "font/ttf"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"-----BEGIN ", "application/x-pem-file"),
    (b"#!", "text/x-script"),
];

/// Forms whose second mark, at an offset, says what they are.
const FORMS: &[(&[u8], usize, &[u8], &str)] = &[
    (b"RIFF", 8, b"WEBP", "image/webp"),
    (b"RIFF", 8, b"WAVE", "audio/vnd.wave"),
    (b"RIFF", 8, b"AVI ", "video/x-msvideo"),
    (b"BM", 6, b"\0\0\0\0", "image/bmp"),
    (b"", 4, b"ftypavif", "image/avif"),
    (b"", 4, b"ftypheic", "image/heic"),
    (b"", 4, b"ftypqt  ", "video/quicktime"),
    (b"", 4, b"ftyp", "video/mp4"),
    (b"", 257, b"ustar", "application/x-tar"),
];

/// How texts begin, behind white space, in lower case.
const TEXTS: &[(&[u8], &str)] = &[
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<head", "text/html"),
    (b"<title", "text/html"),
    (b"<body", "text/html"),
    (b"<script", "text/html"),
    (b"<!--", "text/html"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "text/xml"),
    (b"<soap", "text/xml"),
];

/// The media type of what begins with these bytes; empty where they do not tell.
fn media_type(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "";
    }
    let marked = MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| *name);
    let has = |at: usize, mark: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(mark));
    let formed = || FORMS.iter().find(|(first, at, second, _)| has(0, first) && has(*at, second));
    marked.or_else(|| formed().map(|(_, _, _, name)| *name)).unwrap_or_else(|| text_type(bytes))
}

fn text_type(bytes: &[u8]) -> &'static str {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.trim_ascii_start();
    let begins = |mark: &[u8]| start.get(..mark.len()).is_some_and(|first| first.eq_ignore_ascii_case(mark));
    if let Some((_, name)) = TEXTS.iter().find(|(mark, _)| begins(mark)) {
        return name;
    }
    if !is_text(bytes) {
        return "";
    }
    let inner = start.get(1..).unwrap_or_default().trim_ascii_start().first();
    match (start.first(), inner) {
        (Some(b'{'), Some(b'"' | b'}')) => "application/json",
        (Some(b'['), Some(b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9')) => "application/json",
        _ => "text/plain",
    }
}

/// UTF-8, of which the end may be cut off, without control characters that no text has.
fn is_text(bytes: &[u8]) -> bool {
    let is_utf_8 = std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf_8 && bytes.iter().all(|&byte| byte >= b' ' && byte != 0x7f || b"\t\n\r\x0c\x1b".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_what_a_file_is() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n\0\0"), "image/png");
        assert_eq!(media_type(b"RIFF\x10\0\0\0WEBPVP8 "), "image/webp");
        assert_eq!(media_type(b"\0\0\0\x18ftypisom"), "video/mp4");
        let mut archive = vec![0; 257];
        archive.extend(b"ustar");
        assert_eq!((media_type(&archive), archive.len()), ("application/x-tar", SNIFFED_BYTES));
        archive.pop();
        assert_eq!(media_type(&archive), "");
    }

    #[test]
    fn texts_are_told_by_how_they_begin() {
        assert_eq!(media_type(b"\xef\xbb\xbf\r\n <!DOCTYPE HTML>"), "text/html");
        assert_eq!(media_type(b" {\"a\": 1}"), "application/json");
        assert_eq!(media_type(b"{a}"), "text/plain");
        assert_eq!(media_type(b"[1, 2]"), "application/json");
        assert_eq!(media_type("caf\u{e9}".as_bytes()), "text/plain");
        assert_eq!(media_type(b"caf\xc3"), "text/plain", "a letter that is cut");
        assert_eq!(media_type(b"caf\xe9 a"), "");
        assert_eq!((media_type(b"a\0"), media_type(b"")), ("", ""));
    }
}

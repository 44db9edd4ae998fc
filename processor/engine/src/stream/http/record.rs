//! What becomes of a transaction: its record.

use weir_contract::{Spares, TransactionState, WeirdReason, record};

use super::{
    authorization,
    cookie::{cookies, date_ns, decode_percent, pair, parameters},
    lines::{Field, Lines},
    message::{Message, Part, Transaction},
    start::{RequestLine, StatusLine},
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
    output::{Output, push_wire_text},
};

/// Names of fields longer than this are none of those that a record has a place for.
const KNOWN_NAME_MAX: usize = 32;

/// Writes the record of a transaction.
pub(super) fn write(transaction: &Transaction, state: TransactionState, is_reversed: bool, out: &mut Output) {
    let Some(mut draft) = out.record::<record::Http>() else { return };
    let (request, response) = (transaction.request.message(), transaction.response.message());
    if let Some(first) = request.or(response) {
        draft.ts_ns = first.first_ns;
    }
    draft.from_responder = is_reversed;
    let (http, spares) = draft.parts();
    let mut filler = Filler { http, spares, excess: None };
    filler.fill(transaction, request, response);
    let excess = filler.excess;
    draft.set_state(state);
    if let Some(excess) = excess {
        draft.truncated = true;
        draft.note(excess);
    }
}

struct Filler<'d> {
    http: &'d mut record::Http,
    spares: &'d mut Spares,
    /// The first thing that did not fit.
    excess: Option<Malformed>,
}

impl Filler<'_> {
    fn fill(&mut self, transaction: &Transaction, request: Option<&Message>, response: Option<&Message>) {
        self.http.depth = transaction.depth;
        self.http.switched = transaction.switched;
        if let (count @ 1.., code) = transaction.informational {
            self.http.informational_count = count;
            self.http.informational_status_code = Some(code.into());
        }
        if let Some(request) = request {
            self.fill_request(request);
            self.http.request_body_bytes = body_bytes(&transaction.request);
        }
        if let Some(response) = response {
            self.fill_response(response);
            self.http.response_body_bytes = body_bytes(&transaction.response);
            self.http.response_duration_ns = Some(elapsed(response.first_ns, response.last_ns));
        }
        if let Some((request, response)) = request.zip(response) {
            self.http.response_time_ns = Some(elapsed(request.last_ns, response.first_ns));
        }
        let messages = || [request, response].into_iter().flatten();
        let first_ns = messages().map(|message| message.first_ns).min().unwrap_or_default();
        let last_ns = messages().map(|message| message.last_ns).max().unwrap_or_default();
        self.http.duration_ns = elapsed(first_ns, last_ns);
        self.http.gap = messages().any(|message| message.gap);
        if messages().any(|message| message.head.truncated) {
            self.exceed("header longer than is kept");
        }
    }

    fn fill_request(&mut self, request: &Message) {
        self.http.request_seen = true;
        if let Some(line) = RequestLine::of(request.head.first()) {
            self.text(line.method, |http| &mut http.method);
            self.text(line.target, |http| &mut http.uri);
            self.text(line.version, |http| &mut http.version);
            for (name, value) in parameters(line.target) {
                self.push_parameter(name, value);
            }
        }
        self.http.request_header_count = request.head.fields;
        self.http.request_head_bytes = number(request.head.wire_bytes);
        self.http.request_content_length = request.content_length.map(number);
        self.http.request_media_type.push_str(request.sniffed.media_type());
        for field in request.head.fields_behind_first() {
            self.fill_request_field(&field);
        }
        self.push_trailer(&request.trailer, |http| &mut http.request_trailers);
        if self.http.host.is_empty()
            && let Some(authority) = RequestLine::of(request.head.first()).and_then(|line| authority(&line))
        {
            self.text(authority, |http| &mut http.host);
        }
    }

    fn fill_request_field(&mut self, field: &Field<'_>) {
        let mut shown = *field;
        match lower_case(field.name, &mut [0; KNOWN_NAME_MAX]) {
            b"host" => self.text(field.value, |http| &mut http.host),
            b"user-agent" => self.text(field.value, |http| &mut http.user_agent),
            b"referer" => self.text(field.value, |http| &mut http.referer),
            b"origin" => self.text(field.value, |http| &mut http.origin),
            b"cookie" => cookies(field.value).for_each(|(name, value)| self.push_cookie(name, value)),
            b"authorization" => {
                shown.value = authorization::scheme(field.value);
                self.lower(shown.value, |http| &mut http.authorization_scheme);
                let user = authorization::user(field.value).unwrap_or_default();
                self.text(&user, |http| &mut http.authorization_user);
            }
            b"proxy-authorization" => {
                shown.value = authorization::scheme(field.value);
                self.lower(shown.value, |http| &mut http.proxy_authorization_scheme);
                let user = authorization::user(field.value).unwrap_or_default();
                self.text(&user, |http| &mut http.proxy_authorization_user);
            }
            b"content-type" => self.text(field.value, |http| &mut http.request_content_type),
            b"content-encoding" => self.item(field.value, |http| &mut http.request_content_encoding),
            b"transfer-encoding" => self.item(field.value, |http| &mut http.request_transfer_encoding),
            b"range" => self.text(field.value, |http| &mut http.range),
            b"x-forwarded-for" => self.item(field.value, |http| &mut http.x_forwarded_for),
            b"x-real-ip" => self.text(field.value, |http| &mut http.x_real_ip),
            b"forwarded" => self.item(field.value, |http| &mut http.forwarded),
            b"via" => self.item(field.value, |http| &mut http.request_via),
            b"upgrade" => self.item(field.value, |http| &mut http.upgrade),
            _ => {}
        }
        self.push_header(&shown, |http| &mut http.request_headers);
    }

    fn fill_response(&mut self, response: &Message) {
        if let Some(line) = StatusLine::of(response.head.first()) {
            self.http.status_code = Some(line.code.into());
            self.text(line.reason, |http| &mut http.reason);
            self.text(line.version, |http| &mut http.response_version);
        }
        self.http.response_header_count = response.head.fields;
        self.http.response_head_bytes = number(response.head.wire_bytes);
        self.http.response_content_length = response.content_length.map(number);
        self.http.response_media_type.push_str(response.sniffed.media_type());
        if self.http.status_code == Some(101) {
            self.http.upgrade.clear();
        }
        for field in response.head.fields_behind_first() {
            self.fill_response_field(&field);
            self.push_header(&field, |http| &mut http.response_headers);
        }
        self.push_trailer(&response.trailer, |http| &mut http.response_trailers);
    }

    fn fill_response_field(&mut self, field: &Field<'_>) {
        match lower_case(field.name, &mut [0; KNOWN_NAME_MAX]) {
            b"server" => self.text(field.value, |http| &mut http.server),
            b"location" => self.text(field.value, |http| &mut http.location),
            b"set-cookie" => self.push_set_cookie(field.value),
            b"www-authenticate" | b"proxy-authenticate" => {
                self.lower(authorization::challenge_scheme(field.value), |http| &mut http.challenge_scheme);
            }
            b"content-type" => self.text(field.value, |http| &mut http.response_content_type),
            b"content-encoding" => self.item(field.value, |http| &mut http.response_content_encoding),
            b"transfer-encoding" => self.item(field.value, |http| &mut http.response_transfer_encoding),
            b"content-range" => self.text(field.value, |http| &mut http.content_range),
            b"via" => self.item(field.value, |http| &mut http.response_via),
            b"x-powered-by" => self.item(field.value, |http| &mut http.x_powered_by),
            b"strict-transport-security" => self.text(field.value, |http| &mut http.strict_transport_security),
            b"content-security-policy" => self.item(field.value, |http| &mut http.content_security_policy),
            b"x-content-type-options" => self.text(field.value, |http| &mut http.x_content_type_options),
            b"x-frame-options" => self.text(field.value, |http| &mut http.x_frame_options),
            b"x-xss-protection" => self.text(field.value, |http| &mut http.x_xss_protection),
            b"referrer-policy" => self.item(field.value, |http| &mut http.referrer_policy),
            b"access-control-allow-origin" => self.text(field.value, |http| &mut http.access_control_allow_origin),
            b"server-timing" => self.item(field.value, |http| &mut http.server_timing),
            b"upgrade" if self.http.status_code == Some(101) => self.item(field.value, |http| &mut http.upgrade),
            _ => {}
        }
    }

    /// A field that stands once: the first one counts.
    fn text(&mut self, value: &[u8], place: impl Fn(&mut record::Http) -> &mut String) {
        let place = place(self.http);
        if place.is_empty() {
            push_text(place, value, &mut self.excess);
        }
    }

    fn lower(&mut self, value: &[u8], place: impl Fn(&mut record::Http) -> &mut String) {
        self.text(value, &place);
        place(self.http).make_ascii_lowercase();
    }

    /// A field that is a list: several count as one (RFC 9110 §5.2).
    fn item(&mut self, value: &[u8], place: impl Fn(&mut record::Http) -> &mut String) {
        let place = place(self.http);
        if !place.is_empty() {
            place.push_str(", ");
        }
        let room = TEXT_MAX.saturating_sub(place.len());
        push_text(place, value.get(..room).unwrap_or(value), &mut self.excess);
        if value.len() > room {
            self.exceed("list of more than 4096 bytes");
        }
    }

    fn push_header(&mut self, field: &Field<'_>, place: impl Fn(&mut record::Http) -> &mut Vec<record::HttpHeader>) {
        let mut header = self.spares.take::<record::HttpHeader>();
        push_text(&mut header.name, field.name, &mut self.excess);
        push_text(&mut header.value, field.value, &mut self.excess);
        self.push(header, place);
    }

    fn push_trailer(&mut self, trailer: &Lines, place: impl Fn(&mut record::Http) -> &mut Vec<record::HttpHeader>) {
        for field in trailer.fields() {
            self.push_header(&field, &place);
        }
    }

    fn push_parameter(&mut self, name: &[u8], value: &[u8]) {
        let mut parameter = self.spares.take::<record::HttpParameter>();
        let mut decoded = self.spares.take_blob();
        for (text, place) in [(name, &mut parameter.name), (value, &mut parameter.value)] {
            decoded.clear();
            decode_percent(&mut decoded, text, b' ');
            push_text(place, &decoded, &mut self.excess);
        }
        self.push(parameter, |http| &mut http.parameters);
    }

    fn push_cookie(&mut self, name: &[u8], value: &[u8]) {
        let mut cookie = self.spares.take::<record::HttpCookie>();
        push_text(&mut cookie.name, name, &mut self.excess);
        push_text(&mut cookie.value, value, &mut self.excess);
        self.push(cookie, |http| &mut http.request_cookies);
    }

    fn push_set_cookie(&mut self, value: &[u8]) {
        let mut parts = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let mut cookie = self.spares.take::<record::HttpSetCookie>();
        let (name, value) = pair(parts.next().unwrap_or_default());
        push_text(&mut cookie.name, name.trim_ascii(), &mut self.excess);
        push_text(&mut cookie.value, value.trim_ascii(), &mut self.excess);
        for (name, value) in parts.map(pair) {
            let value = value.trim_ascii();
            match lower_case(name.trim_ascii(), &mut [0; KNOWN_NAME_MAX]) {
                b"path" if cookie.path.is_empty() => push_text(&mut cookie.path, value, &mut self.excess),
                b"domain" if cookie.domain.is_empty() => push_text(&mut cookie.domain, value, &mut self.excess),
                b"expires" => cookie.expires_ts_ns = date_ns(value),
                b"max-age" => cookie.max_age_ns = seconds_ns(value),
                b"secure" => cookie.secure = true,
                b"httponly" => cookie.http_only = true,
                b"samesite" if cookie.same_site.is_empty() => {
                    push_text(&mut cookie.same_site, value, &mut self.excess);
                    cookie.same_site.make_ascii_lowercase();
                }
                _ => {}
            }
        }
        self.push(cookie, |http| &mut http.response_cookies);
    }

    fn push<T>(&mut self, item: T, place: impl Fn(&mut record::Http) -> &mut Vec<T>) {
        let list = place(self.http);
        if list.len() < LIST_MAX {
            list.push(item);
        } else {
            self.exceed("more than 100 fields, cookies or parameters");
        }
    }

    fn exceed(&mut self, detail: &'static str) {
        self.excess.get_or_insert(Malformed { reason: WeirdReason::Limit, detail, offset: 0, shortage: None });
    }
}

fn push_text(place: &mut String, value: &[u8], excess: &mut Option<Malformed>) {
    if let Err(malformed) = push_wire_text(place, &Cursor::new(value)) {
        excess.get_or_insert(malformed);
    }
}

/// Length of a body whose end was seen.
fn body_bytes(part: &Part) -> Option<i64> {
    part.message().filter(|_| part.is_whole()).map(|message| number(message.body_bytes))
}

/// The host in an absolute URI or the target of CONNECT (RFC 9112 §3.2).
fn authority<'a>(line: &RequestLine<'a>) -> Option<&'a [u8]> {
    if line.method == b"CONNECT" {
        return line.target.split(|&byte| byte == b' ').next();
    }
    if line.target.starts_with(b"/") {
        return None;
    }
    let scheme_end = line.target.windows(3).position(|window| window == b"://")?;
    let rest = line.target.get(scheme_end + 3..)?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    rest.get(..end)?.rsplit(|&byte| byte == b'@').next()
}

/// The name in lower case; empty where it is longer than any that is known.
fn lower_case<'b>(name: &[u8], buffer: &'b mut [u8; KNOWN_NAME_MAX]) -> &'b [u8] {
    let Some(lower) = buffer.get_mut(..name.len()) else { return &[] };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    lower
}

fn seconds_ns(value: &[u8]) -> Option<i64> {
    let seconds: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    seconds.checked_mul(1_000_000_000)
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn elapsed(from_ns: i64, to_ns: i64) -> i64 {
    to_ns.saturating_sub(from_ns).max(0)
}

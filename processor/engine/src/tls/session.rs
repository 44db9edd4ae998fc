//! What the messages of a session add up to, whatever carries them: the records of certificates, and the
//! session's own.

use serde::{Deserialize, Serialize};
use weir_contract::{WeirdReason, record};

use super::{
    Choice, Offer, Wrapping,
    cipher_suites::cipher_suite_name,
    client_hello,
    names::alert_name,
    numbers::{push_cipher_suite_name, push_group_name, push_version_name},
    server_hello, ssl2,
};
use crate::{
    cursor::{Cursor, Malformed},
    limits::LIST_MAX,
    output::Output,
    x509::{self, Origin},
};

/// Types of handshake messages (IANA TLS HandshakeType).
pub(crate) mod message {
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    pub(crate) const HELLO_VERIFY_REQUEST: u8 = 3;
    pub(crate) const NEW_SESSION_TICKET: u8 = 4;
    pub(crate) const HELLO_RETRY_REQUEST: u8 = 6;
    pub(crate) const CERTIFICATE: u8 = 11;
    pub(crate) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(crate) const CERTIFICATE_REQUEST: u8 = 13;
    pub(crate) const CERTIFICATE_STATUS: u8 = 22;

    /// Bytes of a message that are kept and read. Chains of certificates have some 5 KiB.
    const BYTES_MAX: u32 = 64 << 10;

    /// Whether a message is read to its end; of others it is enough that they are there.
    pub(crate) fn is_read_whole(kind: u8) -> bool {
        matches!(kind, CLIENT_HELLO | SERVER_HELLO | CERTIFICATE)
    }

    /// Bytes of a message's body that are kept until they are all there.
    pub(crate) fn kept_bytes(kind: u8, length: u32) -> u32 {
        const NAMED_CURVE_BYTES: u32 = 3;
        match kind {
            _ if is_read_whole(kind) => length.min(BYTES_MAX),
            SERVER_KEY_EXCHANGE => length.min(NAMED_CURVE_BYTES),
            _ => 0,
        }
    }

    /// Whether there is such a message.
    pub(crate) fn is_known(kind: u8) -> bool {
        matches!(kind, 0..=6 | 8..=9 | 11..=16 | 20..=26 | 67 | 203 | 254)
    }
}

/// Where a message was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) from_responder: bool,
    /// Time of the packet that completed it, ns.
    pub(crate) ts_ns: i64,
}

/// A session as far as it is known.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Time of the first message, ns.
    began_ns: Option<i64>,
    /// Time of the last one, ns.
    last_ns: i64,
    client_is_responder: Option<bool>,
    client_hello_ns: Option<i64>,
    offer: Option<Offer>,
    server_hello_ns: Option<i64>,
    choice: Option<Choice>,
    retried: bool,
    /// Of a ServerKeyExchange.
    group: Option<u16>,
    client_certificates: u32,
    server_certificates: u32,
    certificate_requested: bool,
    status_seen: bool,
    ticket_issued: bool,
    alerts: Vec<Alert>,
    heartbeats: u32,
    /// Originator's and responder's.
    encrypted: [bool; 2],
    established_ns: Option<i64>,
    truncated: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Alert {
    from_responder: bool,
    level: u8,
    description: u8,
}

impl Session {
    /// Takes one handshake message; of one that is cut or too long, what is there.
    pub(crate) fn message(
        &mut self,
        kind: u8,
        body: Cursor<'_>,
        wrapping: &Wrapping,
        place: Place,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        self.begin(wrapping.began_ns, place.ts_ns);
        match kind {
            message::CLIENT_HELLO => {
                let (_, offer) = client_hello(body, wrapping, out);
                self.offered(offer, wrapping.began_ns, place);
            }
            message::SERVER_HELLO => {
                let (hello, choice) = server_hello(body, wrapping, out);
                let is_retry = hello.is_hello_retry_request();
                self.chosen(choice, is_retry, place);
            }
            message::HELLO_VERIFY_REQUEST | message::HELLO_RETRY_REQUEST => self.retried = true,
            message::NEW_SESSION_TICKET => self.ticket_issued = true,
            message::CERTIFICATE => return self.certificates(body, wrapping, place, out),
            message::CERTIFICATE_STATUS => self.status_seen = true,
            message::CERTIFICATE_REQUEST => self.certificate_requested = true,
            message::SERVER_KEY_EXCHANGE => self.key_exchange(body),
            _ => {}
        }
        Ok(())
    }

    /// Takes note of when something was said.
    fn begin(&mut self, began_ns: i64, ts_ns: i64) {
        self.began_ns.get_or_insert(began_ns);
        self.last_ns = self.last_ns.max(ts_ns);
    }

    fn offered(&mut self, offer: Offer, began_ns: i64, place: Place) {
        self.begin(began_ns, place.ts_ns);
        self.client_is_responder.get_or_insert(place.from_responder);
        self.client_hello_ns.get_or_insert(place.ts_ns);
        self.offer = Some(offer);
    }

    fn chosen(&mut self, choice: Choice, is_retry: bool, place: Place) {
        self.client_is_responder.get_or_insert(!place.from_responder);
        if is_retry {
            self.retried = true;
        } else {
            self.server_hello_ns.get_or_insert(place.ts_ns);
        }
        self.choice = Some(choice);
    }

    /// The ClientHello of SSL 2.0, behind its type.
    pub(crate) fn ssl2_client_hello(
        &mut self,
        body: Cursor<'_>,
        wrapping: &Wrapping,
        place: Place,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let session_id = ssl2::client_hello(body, wrapping, out)?;
        self.offered(Offer { session_id, ..Offer::default() }, wrapping.began_ns, place);
        Ok(())
    }

    /// The ServerHello of SSL 2.0, behind its type: it offers cipher suites, of which the client will choose.
    pub(crate) fn ssl2_server_hello(
        &mut self,
        mut body: Cursor<'_>,
        wrapping: &Wrapping,
        place: Place,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        const X509: u8 = 1;
        self.begin(wrapping.began_ns, place.ts_ns);
        body.skip(1)?;
        let certificate_type = body.u8()?;
        let version = body.u16()?;
        let certificate_bytes = body.u16()?;
        body.skip(4)?;
        self.chosen(Choice { version, ..Choice::default() }, false, place);
        if certificate_type == X509 && certificate_bytes > 0 {
            let der = body.message_of(certificate_bytes.into())?;
            let origin = Origin {
                transport: wrapping.transport,
                chain_index: 0,
                from_client: false,
                ocsp_stapled: false,
                ts_ns: wrapping.began_ns,
                certificate_bytes: certificate_bytes.into(),
            };
            x509::certificate(der, &origin, out);
            self.server_certificates = 1;
        }
        Ok(())
    }

    /// The list of certificates of TLS up to 1.2 (RFC 5246 §7.4.2); later ones are encrypted.
    fn certificates(
        &mut self,
        mut body: Cursor<'_>,
        wrapping: &Wrapping,
        place: Place,
        out: &mut Output,
    ) -> Result<(), Malformed> {
        let from_client = self.client_is_responder == Some(place.from_responder);
        let status_announced = self.choice.as_ref().is_some_and(|choice| choice.has_status);
        let count = if from_client { &mut self.client_certificates } else { &mut self.server_certificates };
        let list_bytes = body.u24()?;
        let mut list = body.message_up_to(usize::try_from(list_bytes).unwrap_or(usize::MAX));
        let mut chain_index = 0;
        while !list.is_empty() {
            if usize::try_from(chain_index).is_ok_and(|index| index >= LIST_MAX) {
                return Err(list.malformed(WeirdReason::Limit, "chain of more than 100 certificates"));
            }
            let certificate_bytes = list.u24()?;
            let der = list.message_up_to(usize::try_from(certificate_bytes).unwrap_or(usize::MAX));
            let origin = Origin {
                transport: wrapping.transport,
                chain_index,
                from_client,
                ocsp_stapled: status_announced && !from_client && chain_index == 0,
                ts_ns: wrapping.began_ns,
                certificate_bytes,
            };
            x509::certificate(der, &origin, out);
            chain_index += 1;
            *count = count.saturating_add(1);
        }
        if !body.is_empty() {
            return Err(body.malformed(WeirdReason::TrailingBytes, "bytes behind the certificates"));
        }
        Ok(())
    }

    /// A named curve (RFC 8422 §5.4), where the cipher suite says that there is one.
    fn key_exchange(&mut self, body: Cursor<'_>) {
        let suite = self.choice.as_ref().and_then(|choice| choice.cipher_suite);
        let has_curve =
            suite.and_then(|suite| cipher_suite_name(suite.into())).is_some_and(|name| name.contains("ECDH"));
        const NAMED_CURVE: u8 = 3;
        if let ([NAMED_CURVE, high, low, ..], true) = (body.peek(), has_curve) {
            self.group = Some(u16::from_be_bytes([*high, *low]));
        }
    }

    /// Takes an alert.
    ///
    /// # Errors
    ///
    /// Where they are too many to remember; the session goes on.
    pub(crate) fn alert(&mut self, level: u8, description: u8, place: Place) -> Result<(), Malformed> {
        self.begin(place.ts_ns, place.ts_ns);
        if self.alerts.len() >= LIST_MAX {
            return Err(Cursor::new(&[]).malformed(WeirdReason::Limit, "more than 100 alerts"));
        }
        self.alerts.push(Alert { from_responder: place.from_responder, level, description });
        Ok(())
    }

    pub(crate) fn heartbeat(&mut self, place: Place) {
        self.begin(place.ts_ns, place.ts_ns);
        self.heartbeats = self.heartbeats.saturating_add(1);
    }

    /// A side encrypts from here on.
    pub(crate) fn encrypts(&mut self, place: Place) {
        self.begin(place.ts_ns, place.ts_ns);
        self.encrypted[usize::from(place.from_responder)] = true;
        if self.encrypted == [true, true] {
            self.established_ns.get_or_insert(place.ts_ns);
        }
    }

    /// Whether both sides encrypt, so that nothing more is to be read.
    pub(crate) fn is_established(&self) -> bool {
        self.established_ns.is_some()
    }

    /// Time of the last message, ns.
    pub(crate) fn last_ns(&self) -> i64 {
        self.last_ns
    }

    /// Bytes are missing, or can't be read.
    pub(crate) fn cut(&mut self) {
        self.truncated = true;
    }

    /// Bytes on the heap, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let offer = self.offer.as_ref().map_or(0, |offer| offer.server_name.len() + offer.session_id.len() + 72);
        let choice = self.choice.as_ref().map_or(0, |choice| choice.session_id.len() + choice.alpn_protocol.len() + 32);
        offer + choice + self.alerts.len() * size_of::<Alert>()
    }

    /// Writes the session's record; none where no hello was seen.
    pub(crate) fn write(&self, transport: super::Transport, out: &mut Output) {
        let Some(began_ns) = self.began_ns.filter(|_| self.offer.is_some() || self.choice.is_some()) else { return };
        let Some(mut tls) = out.record::<record::Tls>() else { return };
        tls.ts_ns = began_ns;
        tls.duration_ns = self.last_ns.saturating_sub(began_ns).max(0);
        tls.transport.push_str(transport.name());
        if let Some(offer) = &self.offer {
            tls.client_hello_seen = true;
            tls.server_name.push_str(&offer.server_name);
            tls.ja3.push_str(&offer.ja3);
            tls.ja4.push_str(&offer.ja4);
        }
        if let Some(choice) = &self.choice {
            tls.server_hello_seen = true;
            tls.version = Some(choice.version.into());
            push_version_name(&mut tls.version_name, choice.version);
            tls.cipher_suite = choice.cipher_suite.map(u32::from);
            if let Some(suite) = choice.cipher_suite {
                push_cipher_suite_name(&mut tls.cipher_suite_name, suite.into());
            }
            tls.alpn_protocol.push_str(&choice.alpn_protocol);
            tls.ja3s.push_str(&choice.ja3s);
            tls.group = choice.group.or(self.group).map(u32::from);
            if let Some(group) = choice.group.or(self.group) {
                push_group_name(&mut tls.group_name, group);
            }
        }
        tls.resumed = self.is_resumed();
        tls.established = self.is_established();
        tls.retried = self.retried;
        let since_hello = |ts_ns: i64| self.client_hello_ns.map(|hello_ns| ts_ns.saturating_sub(hello_ns).max(0));
        tls.server_hello_time_ns = self.server_hello_ns.and_then(since_hello);
        tls.handshake_time_ns = self.established_ns.and_then(since_hello);
        tls.client_certificate_count = self.client_certificates;
        tls.server_certificate_count = self.server_certificates;
        tls.client_certificate_requested = self.certificate_requested;
        tls.ocsp_stapled = self.status_seen;
        tls.session_ticket_issued = self.ticket_issued;
        tls.heartbeat_count = self.heartbeats;
        tls.truncated = self.truncated;
        for alert in &self.alerts {
            let mut nested: record::TlsAlert = tls.spare();
            nested.from_responder = alert.from_responder;
            nested.level = alert.level.into();
            nested.description = alert.description.into();
            nested.description_name.push_str(alert_name(alert.description));
            tls.alerts.push(nested);
        }
    }

    /// By a pre-shared key, by the identifier that the server repeats, or by a ticket: then the server goes on to
    /// encrypt without a certificate.
    fn is_resumed(&self) -> bool {
        let (Some(offer), Some(choice)) = (&self.offer, &self.choice) else { return false };
        if choice.has_psk {
            return true;
        }
        if is_since_1_3(choice.version) {
            return false;
        }
        let same_session = !choice.session_id.is_empty() && choice.session_id == offer.session_id;
        let by_ticket = offer.has_ticket && self.is_established();
        self.server_certificates == 0 && (same_session || by_ticket)
    }
}

/// Whether a version has no sessions that are resumed by their identifiers.
fn is_since_1_3(version: u16) -> bool {
    matches!(version, 0x0304 | 0x7f00..=0x7fff | 0xfefc)
}

//! The lake in a bucket of an S3 store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use s3::{Bucket, Region, error::S3Error};
use tokio::runtime::Runtime;

use super::credentials::{Fetched, Origin};
use super::put::put;
use super::{Failure, Head, Kind, Link, Put, Store};

/// Credentials are taken anew so long before they expire.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// A put may take longer by a second for each of so many bytes: the slowest line that is waited for.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// What to do about a store whose certificate nobody here vouches for.
const UNKNOWN_CERTIFICATE: &str = "; SSL_CERT_FILE may name the certificates (PEM) of those who vouch for the store";

/// Before the names of what a file says of itself, in the object's metadata.
const METADATA: &str = "weir-";

/// A bucket, and how to talk to it.
#[derive(Clone, Debug)]
pub struct S3Settings {
    pub bucket: String,
    /// Before each key; empty, or with `/` at its end.
    pub prefix: String,
    pub region: String,
    /// `https://host`; none for that of AWS.
    pub endpoint: Option<String>,
    /// The bucket's name stands in the path, not before the host's.
    pub path_style: bool,
    pub encryption: Option<Encryption>,
    /// How long an answer may take, besides the time that a file takes to be sent.
    pub timeout: Duration,
    /// The store is trusted with `If-None-Match`. Otherwise a look before each put has to do, which leaves a
    /// moment in which two writers both put.
    pub conditional: bool,
}

/// Encryption by the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys that the store has.
    Aes256,
    /// With a key of the key management service; the account's own if none is named.
    Kms(Option<String>),
}

/// A bucket.
pub struct S3 {
    settings: S3Settings,
    runtime: Runtime,
    origin: Origin,
    session: Mutex<Session>,
}

/// The bucket with the credentials in use.
struct Session {
    bucket: Arc<Bucket>,
    expires: Option<SystemTime>,
}

impl S3 {
    /// A bucket, with credentials of this origin.
    ///
    /// # Errors
    ///
    /// The settings can't be, or there are no credentials.
    pub fn new(settings: S3Settings, origin: Origin) -> Result<Self, Failure> {
        let failed = |what: String| Failure { kind: Kind::Refused, what };
        // There is one layer that tries again, and this is not it.
        s3::set_retries(0);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("s3").enable_all().build();
        let runtime = runtime.map_err(|error| failed(format!("threads for the S3 store can't be started: {error}")))?;
        let S3Settings { bucket: name, region, endpoint, path_style, .. } = &settings;
        let endpoint = endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let region = Region::Custom { region: region.clone(), endpoint };
        // None yet: the first request fetches them.
        let nobody = s3::creds::Credentials::anonymous().map_err(|error| failed(error.to_string()))?;
        let mut bucket =
            Bucket::new(name, region, nobody).map_err(|error| failed(format!("bucket {name}: {error}")))?;
        if *path_style {
            bucket.set_path_style();
        }
        let expires = Some(SystemTime::UNIX_EPOCH);
        Ok(Self { settings, runtime, origin, session: Mutex::new(Session { bucket: bucket.into(), expires }) })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // What it holds is replaced as a whole, so that a panic leaves it whole.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bucket, with credentials that will not expire at once, and this time for an answer.
    fn bucket(&self, timeout: Duration) -> Result<Bucket, Failure> {
        let mut session = self.session();
        if session.expires.is_some_and(|expires| expires <= SystemTime::now() + RENEW_BEFORE) {
            self.fetch(&mut session)?;
        }
        let mut bucket = Bucket::clone(&session.bucket);
        drop(session);
        bucket.set_request_timeout(Some(timeout));
        Ok(bucket)
    }

    fn fetch(&self, session: &mut Session) -> Result<(), Failure> {
        let fetched = self.runtime.block_on(self.origin.fetch(&session.bucket.http_client()));
        match fetched {
            Ok(Fetched { credentials, expires }) => {
                let mut bucket = Bucket::clone(&session.bucket);
                bucket.set_credentials(credentials);
                *session = Session { bucket: bucket.into(), expires };
                Ok(())
            }
            // Those at hand may do for some minutes.
            Err(what) if session.expires.is_some_and(|expires| expires > SystemTime::now()) => {
                tracing::warn!("credentials can't be renewed: {what}");
                Ok(())
            }
            Err(what) => Err(Failure { kind: Kind::Denied, what: format!("no credentials for the S3 store: {what}") }),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.settings.prefix)
    }

    fn failure(&self, operation: &str, key: &str, error: &S3Error) -> Failure {
        let S3Settings { bucket, prefix, .. } = &self.settings;
        let at = format!("{operation} s3://{bucket}/{prefix}{key}");
        let (kind, what) = match error {
            S3Error::HttpFailWithBody(status, body) => {
                let code = element(body, "Code").unwrap_or_default();
                let kind = kind_of(*status, code);
                let message = element(body, "Message").unwrap_or_default();
                (kind, format!("{status} {code}: {message}{}", hint(kind, code, bucket)))
            }
            S3Error::Reqwest(error) if error.is_timeout() => {
                (Kind::TimeOut, format!("no answer within the time-out{}", causes(error)))
            }
            S3Error::Reqwest(error) if error.is_body() || error.is_decode() => {
                (Kind::Answer, format!("the answer is cut{}", causes(error)))
            }
            S3Error::Reqwest(error) => {
                let causes = causes(error);
                let hint = if causes.contains("certificate") { UNKNOWN_CERTIFICATE } else { "" };
                (Kind::Connection, format!("no connection{causes}{hint}"))
            }
            S3Error::SerdeXml(error) => (Kind::Answer, format!("the answer is none: {error}")),
            other => (Kind::Answer, other.to_string()),
        };
        Failure { kind, what: format!("{at}: {what}") }
    }

    fn headers(&self, link: &Link) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let mut add = |name: String, value: &str| {
            if value.is_empty() {
                return Ok(());
            }
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let pair = name.zip(HeaderValue::from_str(value).ok());
            let unfit = || Failure { kind: Kind::Refused, what: format!("`{value}` can't be sent in a header") };
            let (name, value) = pair.ok_or_else(unfit)?;
            headers.insert(name, value);
            Ok(())
        };
        for (name, value) in link.pairs() {
            add(format!("x-amz-meta-{METADATA}{name}"), &value)?;
        }
        if self.settings.conditional {
            add("if-none-match".into(), "*")?;
        }
        match &self.settings.encryption {
            None => {}
            Some(Encryption::Aes256) => add("x-amz-server-side-encryption".into(), "AES256")?,
            Some(Encryption::Kms(key)) => {
                add("x-amz-server-side-encryption".into(), "aws:kms")?;
                add("x-amz-server-side-encryption-aws-kms-key-id".into(), key.as_deref().unwrap_or_default())?;
            }
        }
        Ok(headers)
    }
}

impl Store for S3 {
    fn put(&self, key: &str, body: &[u8], link: &Link) -> Result<Put, Failure> {
        if !self.settings.conditional && self.head(key)? != Head::Absent {
            return Ok(Put::Taken);
        }
        let sending = Duration::from_secs(body.len() as u64 / BYTES_PER_SECOND_MIN);
        let timeout = self.settings.timeout + sending;
        let bucket = self.bucket(timeout)?;
        let headers = self.headers(link)?;
        let path = self.key(key);
        match self.runtime.block_on(put(&bucket, &path, body, headers, timeout)) {
            // A success names what it made; an error in its place doesn't.
            Ok(true) => Ok(Put::Stored),
            Ok(false) => {
                let what = format!("put s3://{}/{path}: the answer has no ETag", self.settings.bucket);
                Err(Failure { kind: Kind::Answer, what })
            }
            Err(S3Error::HttpFailWithBody(412, _)) => Ok(Put::Taken),
            Err(error) => Err(self.failure("put", key, &error)),
        }
    }

    fn head(&self, key: &str) -> Result<Head, Failure> {
        let bucket = self.bucket(self.settings.timeout)?;
        match self.runtime.block_on(bucket.head_object(self.key(key))) {
            // As with a put: whoever has the file has its ETag.
            Ok((about, status)) if about.e_tag.is_none() => {
                let what =
                    format!("head s3://{}/{}: the answer {status} has no ETag", self.settings.bucket, self.key(key));
                Err(Failure { kind: Kind::Answer, what })
            }
            Ok((about, _)) => {
                let metadata = about.metadata.unwrap_or_default();
                let link = Link::read(|name| metadata.get(&format!("{METADATA}{name}")).map(String::as_str));
                let bytes = about.content_length.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
                Ok(Head::File { link, bytes })
            }
            Err(S3Error::HttpFailWithBody(404, _)) => Ok(Head::Absent),
            Err(error) => Err(self.failure("head", key, &error)),
        }
    }

    fn list(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), Failure> {
        let bucket = self.bucket(self.settings.timeout)?;
        let after = Some(after).filter(|after| !after.is_empty()).map(|after| self.key(after));
        let list = bucket.list_page(self.key(prefix), None, None, after, None);
        let (page, _) = self.runtime.block_on(list).map_err(|error| self.failure("list", prefix, &error))?;
        let keys = page.contents.into_iter();
        let keys = keys.filter_map(|object| object.key.strip_prefix(&self.settings.prefix).map(str::to_owned));
        Ok((keys.collect(), page.is_truncated))
    }

    fn renew(&self) -> Result<(), Failure> {
        let mut session = self.session();
        session.expires = Some(SystemTime::UNIX_EPOCH);
        self.fetch(&mut session)
    }
}

/// What an answer other than success means. `code` is S3's own name for it: answers to HEAD have none.
fn kind_of(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "NoSuchBucket") => Kind::NoBucket,
        (_, "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests") | (429, _) => Kind::Throttled,
        (401 | 403, _) | (400, "" | "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => Kind::Denied,
        (408, _) | (400, "RequestTimeout") => Kind::TimeOut,
        (409, _) => Kind::Conflict,
        (500.., _) => Kind::Server,
        _ => Kind::Refused,
    }
}

/// What to do about it.
fn hint(kind: Kind, code: &str, bucket: &str) -> String {
    match (kind, code) {
        (Kind::NoBucket, _) => format!("; there is no bucket `{bucket}`: make it, or name another with --lake"),
        (_, "RequestTimeTooSkewed") => "; the clock of this host is wrong".to_owned(),
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => "; the access key or its secret is wrong".to_owned(),
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed") => {
            format!("; bucket `{bucket}` is in another region: say which with --s3-region")
        }
        (Kind::Denied, _) => {
            "; the sink needs s3:PutObject, s3:GetObject and s3:ListBucket, and credentials that are valid".to_owned()
        }
        _ => String::new(),
    }
}

/// The text of an XML element without children. Enough for S3's errors, and no more.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The errors below, of which reqwest's own text says nothing.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut below = std::error::Error::source(error);
    while let Some(error) = below {
        text.push_str(": ");
        text.push_str(&error.to_string());
        below = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_status_and_code() {
        for (status, code, kind) in [
            (404, "NoSuchBucket", Kind::NoBucket),
            (403, "AccessDenied", Kind::Denied),
            (403, "RequestTimeTooSkewed", Kind::Denied),
            (401, "", Kind::Denied),
            (400, "ExpiredToken", Kind::Denied),
            (400, "", Kind::Denied),
            (400, "InvalidArgument", Kind::Refused),
            (301, "PermanentRedirect", Kind::Refused),
            (409, "ConditionalRequestConflict", Kind::Conflict),
            (429, "", Kind::Throttled),
            (503, "SlowDown", Kind::Throttled),
            (503, "ServiceUnavailable", Kind::Server),
            (500, "InternalError", Kind::Server),
            (501, "NotImplemented", Kind::Server),
        ] {
            assert_eq!(kind_of(status, code), kind, "{status} {code}");
        }
    }

    #[test]
    fn a_put_is_conditional_and_asks_for_the_encryption_that_is_set() {
        let headers = |encryption: Option<Encryption>, conditional: bool| {
            let settings = S3Settings {
                bucket: "b".into(),
                prefix: String::new(),
                region: "r".into(),
                endpoint: None,
                path_style: false,
                encryption,
                timeout: Duration::from_secs(1),
                conditional,
            };
            let origin = Origin::Instance { endpoint: String::new() };
            let (_, link) = crate::sink::encode::tests::file_of(&crate::sink::encode::tests::log(), 5..8);
            S3::new(settings, origin).unwrap().headers(&link).unwrap()
        };
        let value = |headers: &HeaderMap, name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let plain = headers(None, true);
        assert_eq!(value(&plain, "if-none-match").as_deref(), Some("*"));
        assert_eq!(value(&plain, "x-amz-meta-weir-last").as_deref(), Some("7"));
        assert_eq!(value(&plain, "x-amz-server-side-encryption"), None);
        let aes = headers(Some(Encryption::Aes256), false);
        assert_eq!(value(&aes, "if-none-match"), None);
        assert_eq!(value(&aes, "x-amz-server-side-encryption").as_deref(), Some("AES256"));
        let kms = headers(Some(Encryption::Kms(Some("key-1".into()))), true);
        assert_eq!(value(&kms, "x-amz-server-side-encryption").as_deref(), Some("aws:kms"));
        assert_eq!(value(&kms, "x-amz-server-side-encryption-aws-kms-key-id").as_deref(), Some("key-1"));
        let own = headers(Some(Encryption::Kms(None)), true);
        assert_eq!(value(&own, "x-amz-server-side-encryption-aws-kms-key-id"), None);
    }

    #[test]
    fn an_error_names_code_message_and_what_to_do() {
        let body = "<Error><Code>NoSuchBucket</Code><Message>No.</Message><Key>k</Key></Error>";
        assert_eq!((element(body, "Code"), element(body, "Host")), (Some("NoSuchBucket"), None));
        assert!(hint(Kind::NoBucket, "NoSuchBucket", "lake").contains("no bucket `lake`"));
    }
}

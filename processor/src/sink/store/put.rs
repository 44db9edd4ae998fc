//! A put, signed here (AWS Signature Version 4) with what rust-s3 has for it.
//!
//! rust-s3 0.38 sorts the lines of headers, where their names are to be sorted: a store refuses its signature as soon as one
//! header's name begins with another's, as that of the encryption's key does with that of the encryption.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};
use s3::signing::{authorization_header, canonical_uri_string, signing_key, string_to_sign, uri_encode};
use s3::{Bucket, error::S3Error};
use time::OffsetDateTime;

/// Puts an object, without looking what there is; whether the answer names what it made.
///
/// # Errors
///
/// As rust-s3's own requests: no connection, or any answer but a success.
pub async fn put(
    bucket: &Bucket,
    path: &str,
    body: &[u8],
    mut headers: HeaderMap,
    timeout: Duration,
) -> Result<bool, S3Error> {
    let url = Url::parse(&format!("{}/{}", bucket.url(), uri_encode(path, false)))?;
    let now = OffsetDateTime::now_utc();
    let hash = hexadecimal(digest::digest(&digest::SHA256, body).as_ref());
    let host =
        url.port().map_or_else(|| bucket.host(), |port| format!("{}:{port}", url.host_str().unwrap_or_default()));
    headers.insert(HOST, HeaderValue::from_str(&host)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.apache.parquet"));
    headers.insert("x-amz-content-sha256", HeaderValue::from_str(&hash)?);
    headers.insert("x-amz-date", HeaderValue::from_str(&long_date(now))?);
    let credentials = bucket.credentials().await?;
    if let Some(token) = credentials.session_token.or(credentials.security_token) {
        headers.insert("x-amz-security-token", HeaderValue::from_str(&token)?);
    }
    if let (Some(access_key), Some(secret_key)) = (credentials.access_key, credentials.secret_key) {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let signed = names.join(";");
        let canonical =
            format!("PUT\n{}\n\n{}\n{signed}\n{hash}", canonical_uri_string(&url), lines(&headers, &names)?);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &signing_key(&now, &secret_key, &bucket.region(), "s3")?);
        let signature = hmac::sign(&key, string_to_sign(&now, &bucket.region(), &canonical)?.as_bytes());
        let signature = hexadecimal(signature.as_ref());
        let authorization = authorization_header(&access_key, &now, &bucket.region(), &signed, &signature)?;
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization)?);
    }
    let answer = bucket.http_client().put(url).headers(headers).timeout(timeout).body(body.to_vec()).send().await?;
    let (status, has_tag) = (answer.status(), answer.headers().contains_key("etag"));
    let text = answer.text().await?;
    if status.is_success() { Ok(has_tag) } else { Err(S3Error::HttpFailWithBody(status.as_u16(), text)) }
}

/// The headers in the order of their names, a line each.
fn lines(headers: &HeaderMap, names: &[&str]) -> Result<String, S3Error> {
    let mut lines = String::new();
    for name in names {
        let value = headers.get(*name).map(HeaderValue::to_str).transpose()?.unwrap_or_default();
        let _ = writeln!(lines, "{name}:{}", value.trim());
    }
    Ok(lines)
}

/// As ISO 8601 has it without what separates.
fn long_date(time: OffsetDateTime) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

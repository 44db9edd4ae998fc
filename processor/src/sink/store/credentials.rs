//! Where credentials for the S3 store come from: the places that AWS's own tools look at, in their order.
//!
//! | place | said by |
//! |---|---|
//! | environment | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` |
//! | web identity | `AWS_WEB_IDENTITY_TOKEN_FILE` (read again each time: tokens rotate), `AWS_ROLE_ARN`, `AWS_ROLE_SESSION_NAME` |
//! | file | `AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials`, `AWS_PROFILE` |
//! | container | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`, `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` |
//! | instance | the metadata service (version 2) of the machine |

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use reqwest::{Client, RequestBuilder};
use s3::creds::Credentials;

/// How long each answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the instance's own token is asked for, in seconds; it is used at once.
const INSTANCE_TOKEN_SECONDS: &str = "60";

/// A place that credentials come from.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment, as it was at the start.
    Environment { access_key: String, secret_key: String, token: Option<String> },
    /// A token in a file, for which the security token service gives credentials.
    WebIdentity { token_file: PathBuf, role: String, session: String, endpoint: String },
    /// A file that several programs share.
    File { path: PathBuf, profile: String },
    /// A service beside the container.
    Container { url: String, token_file: Option<PathBuf> },
    /// The machine's metadata service.
    Instance { endpoint: String },
}

/// Credentials, and when they expire.
pub struct Fetched {
    pub credentials: Credentials,
    pub expires: Option<SystemTime>,
}

impl Origin {
    /// The first place that the environment names; the instance if it names none.
    pub fn find(variable: impl Fn(&str) -> Option<String>, region: &str) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let (Some(access_key), Some(secret_key)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
        {
            return Self::Environment { access_key, secret_key, token: variable("AWS_SESSION_TOKEN") };
        }
        if let (Some(token_file), Some(role)) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN")) {
            let session = variable("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "weir-sink".into());
            let endpoint = variable("AWS_ENDPOINT_URL_STS");
            let endpoint = endpoint.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com"));
            return Self::WebIdentity { token_file: token_file.into(), role, session, endpoint };
        }
        let named = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let usual = || variable("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
        if let Some(path) = named.or_else(|| usual().filter(|path| path.exists())) {
            return Self::File { path, profile: variable("AWS_PROFILE").unwrap_or_else(|| "default".into()) };
        }
        let beside =
            variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("http://169.254.170.2{path}"));
        if let Some(url) = beside.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
            let token_file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from);
            return Self::Container { url, token_file };
        }
        let endpoint = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        Self::Instance { endpoint: endpoint.unwrap_or_else(|| "http://169.254.169.254".into()) }
    }

    /// Credentials as they are there now.
    ///
    /// # Errors
    ///
    /// In words, without anything secret.
    pub async fn fetch(&self, http: &Client) -> Result<Fetched, String> {
        match self {
            Self::Environment { access_key, secret_key, token } => {
                fetched(access_key.clone(), secret_key.clone(), token.clone(), None)
            }
            Self::File { path, profile } => {
                let credentials = Credentials::from_credentials_file(path, Some(profile));
                let credentials =
                    credentials.map_err(|error| format!("{}, profile {profile}: {error}", path.display()))?;
                Ok(Fetched { credentials, expires: None })
            }
            Self::WebIdentity { token_file, role, session, endpoint } => {
                let token = std::fs::read_to_string(token_file);
                let token = token.map_err(|error| format!("{}: {error}", token_file.display()))?;
                let form = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role),
                    ("RoleSessionName", session),
                    ("WebIdentityToken", token.trim()),
                ];
                let answer = ask(http.post(endpoint).form(&form), endpoint).await?;
                let value = |name: &str| super::s3::element(&answer, name).map(str::to_owned);
                parse(value, ["AccessKeyId", "SecretAccessKey", "SessionToken"], endpoint)
            }
            Self::Container { url, token_file } => {
                check_plain(url)?;
                let mut request = http.get(url);
                if let Some(path) = token_file {
                    let token = std::fs::read_to_string(path);
                    let token = token.map_err(|error| format!("{}: {error}", path.display()))?;
                    request = request.header("Authorization", token.trim());
                }
                from_json(&ask(request, url).await?, url)
            }
            Self::Instance { endpoint } => {
                let at = format!("{endpoint}/latest/api/token");
                let request = http.put(&at).header("X-aws-ec2-metadata-token-ttl-seconds", INSTANCE_TOKEN_SECONDS);
                let token = ask(request, &at).await.map_err(|error| {
                    format!(
                        "neither environment nor file nor web identity names any, and the instance has none: {error}"
                    )
                })?;
                let roles = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
                let role = ask(http.get(&roles).header("X-aws-ec2-metadata-token", &token), &roles).await?;
                let at = format!("{roles}{}", role.lines().next().unwrap_or_default().trim());
                from_json(&ask(http.get(&at).header("X-aws-ec2-metadata-token", &token), &at).await?, &at)
            }
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment { .. } => "environment",
            Self::WebIdentity { .. } => "web identity",
            Self::File { .. } => "file",
            Self::Container { .. } => "container",
            Self::Instance { .. } => "instance",
        })
    }
}

/// A token may be sent without TLS only to this host, or to the addresses that such services have.
fn check_plain(url: &str) -> Result<(), String> {
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
    let near = ["127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
    if parsed.scheme() == "https" || parsed.host_str().is_some_and(|host| near.contains(&host)) {
        return Ok(());
    }
    Err(format!("{url}: credentials without TLS are only taken from this host or its container service"))
}

async fn ask(request: RequestBuilder, at: &str) -> Result<String, String> {
    // Without the URL, which could hold something secret.
    let said = |error: reqwest::Error| format!("{at}: {}", error.without_url());
    let answer = request.timeout(TIMEOUT).send().await.map_err(said)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("{at}: the answer is {status}"));
    }
    answer.text().await.map_err(said)
}

fn from_json(text: &str, at: &str) -> Result<Fetched, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("{at}: {error}"))?;
    let value = |name: &str| json.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    parse(value, ["AccessKeyId", "SecretAccessKey", "Token"], at)
}

fn parse(value: impl Fn(&str) -> Option<String>, names: [&str; 3], at: &str) -> Result<Fetched, String> {
    let [access_key, secret_key, token] =
        names.map(|name| value(name).ok_or(format!("{at}: the answer has no {name}")));
    let expires = value("Expiration").ok_or(format!("{at}: the answer has no Expiration"))?;
    let ns = string_to_timestamp_nanos(&expires).map_err(|error| format!("{at}: Expiration {expires}: {error}"))?;
    let since = Duration::from_nanos(u64::try_from(ns).unwrap_or_default());
    fetched(access_key?, secret_key?, Some(token?), Some(SystemTime::UNIX_EPOCH + since))
}

fn fetched(
    access: String,
    secret: String,
    token: Option<String>,
    expires: Option<SystemTime>,
) -> Result<Fetched, String> {
    let credentials = Credentials::new(Some(&access), Some(&secret), None, token.as_deref(), None);
    Ok(Fetched { credentials: credentials.map_err(|error| error.to_string())?, expires })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::*;

    fn find(pairs: &[(&str, &str)]) -> Origin {
        let variables: HashMap<_, _> = pairs.iter().copied().collect();
        Origin::find(|name| variables.get(name).map(|value| (*value).to_owned()), "eu-west-1")
    }

    fn fetch(origin: &Origin) -> Result<Fetched, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(origin.fetch(&Client::new()))
    }

    /// A server that gives these answers, then tells what it was asked.
    fn server(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let answer = |text: &str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = vec![0; 4096];
                let mut length = 0;
                loop {
                    length += stream.read(&mut request[length..]).unwrap();
                    let so_far = String::from_utf8_lossy(&request[..length]).into_owned();
                    let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
                    let head = head.to_ascii_lowercase();
                    let bytes =
                        head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                    if body.len() >= bytes.unwrap_or(0) {
                        break;
                    }
                }
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len());
                stream.write_all(format!("{head}{text}").as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            };
            answers.into_iter().map(answer).collect()
        });
        (url, asked)
    }

    #[test]
    fn places_are_found_in_their_order() {
        let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "r")];
        assert!(matches!(find(&[keys, web].concat()), Origin::Environment { token: None, .. }));
        let Origin::WebIdentity { endpoint, session, .. } = find(&web) else { panic!() };
        assert_eq!((endpoint.as_str(), session.as_str()), ("https://sts.eu-west-1.amazonaws.com", "weir-sink"));
        assert!(
            matches!(find(&[("AWS_SHARED_CREDENTIALS_FILE", "/f")]), Origin::File { profile, .. } if profile == "default")
        );
        let beside = find(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c")]);
        assert!(matches!(beside, Origin::Container { url, .. } if url == "http://169.254.170.2/c"));
        assert!(matches!(find(&[("AWS_ACCESS_KEY_ID", "")]), Origin::Instance { .. }));
    }

    #[test]
    fn a_file_is_read_each_time() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("credentials");
        let origin = Origin::File { path: path.clone(), profile: "lake".into() };
        for key in ["one", "two"] {
            std::fs::write(&path, format!("[lake]\naws_access_key_id={key}\naws_secret_access_key=s\n")).unwrap();
            assert_eq!(fetch(&origin).unwrap().credentials.access_key.as_deref(), Some(key));
        }
        let other = Origin::File { path, profile: "other".into() };
        assert!(fetch(&other).err().unwrap().contains("profile other"));
    }

    #[test]
    fn a_web_identity_token_that_rotates_is_read_each_time() {
        let answer = "<R><C><AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                      <Expiration>2033-05-18T03:33:20Z</Expiration></C></R>";
        let (url, asked) = server(vec![answer, answer]);
        let token_file = tempfile::NamedTempFile::new().unwrap();
        let path = token_file.path().to_owned();
        let origin = Origin::WebIdentity {
            token_file: path.clone(),
            role: "arn:role/x".into(),
            session: "s".into(),
            endpoint: url,
        };
        for token in ["first token\n", "second"] {
            std::fs::write(&path, token).unwrap();
            let Fetched { credentials, expires } = fetch(&origin).unwrap();
            assert_eq!(credentials.session_token.as_deref(), Some("t"));
            assert_eq!(expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)));
        }
        let asked = asked.join().unwrap();
        assert!(
            asked[0].contains("WebIdentityToken=first+token") && asked[0].contains("RoleArn=arn%3Arole%2Fx"),
            "{asked:?}"
        );
        assert!(asked[1].ends_with("WebIdentityToken=second"), "{asked:?}");
    }

    #[test]
    fn an_instance_is_asked_with_its_token() {
        let keys = r#"{"AccessKeyId":"a","SecretAccessKey":"s","Token":"t","Expiration":"2033-05-18T03:33:20Z"}"#;
        let (endpoint, asked) = server(vec!["token", "role\n", keys]);
        let fetched = fetch(&Origin::Instance { endpoint }).unwrap();
        assert_eq!(fetched.credentials.session_token.as_deref(), Some("t"));
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("PUT /latest/api/token"), "{asked:?}");
        assert!(asked[2].starts_with("GET /latest/meta-data/iam/security-credentials/role "), "{asked:?}");
        assert!(asked[2].contains("x-aws-ec2-metadata-token: token"), "{asked:?}");
    }

    #[test]
    fn a_token_is_not_sent_to_another_host_without_tls() {
        let origin = Origin::Container { url: "http://example.org/c".into(), token_file: None };
        assert!(fetch(&origin).err().unwrap().contains("without TLS"));
        assert!(check_plain("https://example.org/c").is_ok() && check_plain("http://127.0.0.1:8/c").is_ok());
    }

    #[test]
    fn an_answer_that_lacks_something_is_told_without_what_it_has() {
        let (url, _) = server(vec![r#"{"AccessKeyId":"a","SecretAccessKey":"hidden"}"#]);
        let error = fetch(&Origin::Container { url, token_file: None }).err().unwrap();
        assert!(error.contains("no Expiration") && !error.contains("hidden"), "{error}");
        assert_eq!(format!("{:?}", find(&[("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "x")])), "environment");
    }
}

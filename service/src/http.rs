//! The page of metrics, and the two questions of a cluster: alive, ready?

use std::{
    convert::Infallible,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use crate::health::Health;

/// How long a client may take to send its question, or to be silent between two.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may take that this process asks for.
const ASKING: Duration = Duration::from_secs(3);

/// No answer to that is longer.
const ANSWER_BYTES: u64 = 65_536;

/// How often the recorder tidies up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Where metrics and health are told.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port of /metrics, /healthz and /readyz; port 0 for any free one [default: 127.0.0.1, and
    /// port 9477 for an agent, 9478 for a processor, 9479 for a sink].
    #[arg(long, value_name = "ADDRESS", env = "WEIR_LISTEN", hide_env = true, help_heading = "Metrics")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// The part of Weir that tells its metrics; each has a port of its own, so that they can share a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `weir-agent`.
    Agent,
    /// `weir processor`.
    Processor,
    /// `weir sink`.
    Sink,
}

impl Part {
    /// Where it tells its metrics unless someone says otherwise: not beyond this machine.
    fn listen(self) -> SocketAddr {
        let port = match self {
            Self::Agent => 9477,
            Self::Processor => 9478,
            Self::Sink => 9479,
        };
        (Ipv4Addr::LOCALHOST, port).into()
    }
}

/// Answers on a thread of its own until the process ends. Gives the address it listens on.
///
/// # Errors
///
/// The address can't be listened on.
pub fn serve(part: Part, config: &HttpConfig, metrics: PrometheusHandle, health: Health) -> anyhow::Result<SocketAddr> {
    let address = config.listen.unwrap_or(part.listen());
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("listen: {address} can't be listened on; choose another address or port"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(async {
            let upkeep = metrics.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    upkeep.run_upkeep();
                }
            });
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(&listener, metrics, health).await,
                Err(error) => tracing::error!(%error, "metrics can't be served"),
            }
        });
    })?;
    tracing::info!(%address, "serving /metrics, /healthz and /readyz");
    Ok(address)
}

/// Asks a part that runs elsewhere whether it does its work; says why not.
///
/// # Errors
///
/// Nobody answers at the address.
pub fn ask_ready(address: SocketAddr) -> anyhow::Result<Result<(), String>> {
    let ask = || {
        let mut stream = std::net::TcpStream::connect_timeout(&address, ASKING)?;
        stream.set_read_timeout(Some(ASKING))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer)
    };
    let answer = ask().with_context(|| format!("{address} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let is_ready = head.split(' ').nth(1) == Some("200");
    Ok(if is_ready { Ok(()) } else { Err(body.trim_end().to_owned()) })
}

async fn accept(listener: &TcpListener, metrics: PrometheusHandle, health: Health) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, metrics.clone(), health.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the page of metrics failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, metrics: PrometheusHandle, health: Health) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answer = answer(request.uri().path(), &metrics, &health);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // A client that goes away is its own affair.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

fn answer(path: &str, metrics: &PrometheusHandle, health: &Health) -> Response<Full<Bytes>> {
    let (status, text) = match path {
        "/metrics" => (StatusCode::OK, metrics.render()),
        "/healthz" => state(health.dead()),
        "/readyz" => state(health.unready()),
        _ => (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn state(why_not: Option<String>) -> (StatusCode, String) {
    match why_not {
        None => (StatusCode::OK, "ok\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn metrics_and_health_are_told() {
        let handle = crate::metrics::install(&[]).unwrap();
        let health = Health::default();
        let config = HttpConfig { listen: "127.0.0.1:0".parse().ok() };
        let address = serve(Part::Agent, &config, handle, health.clone()).unwrap();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 OK"));
        let unready = get(address, "/readyz");
        assert!(unready.starts_with("HTTP/1.1 503") && unready.ends_with("starting\n"), "{unready}");
        assert_eq!(ask_ready(address).unwrap(), Err("starting".to_owned()));
        health.set_ready();
        assert_eq!(ask_ready(address).unwrap(), Ok(()));
        assert!(get(address, "/readyz").ends_with("ok\n"));
        let metrics = get(address, "/metrics");
        assert!(metrics.contains("weir_build_info{version="), "{metrics}");
        assert!(metrics.contains("weir_kafka_client_errors_total{kind=\"authentication\"} 0"), "{metrics}");
        assert!(get(address, "/").starts_with("HTTP/1.1 404"));
        let taken = HttpConfig { listen: Some(address) };
        let error =
            serve(Part::Agent, &taken, PrometheusHandle::clone(&crate_handle()), Health::default()).unwrap_err();
        assert!(error.to_string().contains("can't be listened on"), "{error}");
    }

    fn crate_handle() -> PrometheusHandle {
        metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle()
    }
}
